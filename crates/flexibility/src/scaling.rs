//! How far a set can be scaled inside the aggregate set, exactly: the complete sweep.
//!
//! All facets of `U` have normals `±1_S`, so `γF + Δ ⊆ U` holds up to
//!
//! ```text
//! γ_exact = min over S of min( (b(S) − Δ(S)) / h_F(1_S),  (Δ(S) − p(S)) / h_F(−1_S) ),
//! ```
//!
//! `h_F` the support function of `F`: one linear program for each of 2·2^T directions. Nearly all of
//! them are decided without one. Multipliers `y ≥ 0` from any direction bound all others,
//!
//! ```text
//! h_F(c) ≤ y · d + Σ_t max(r_t upper_t, r_t lower_t),     r = c − Aᵀ y,
//! ```
//!
//! and over `c = 1_S` this bound is a sum over the steps, so one `y` is held against all subsets at
//! the price of an addition each. The sweep solves the program of the direction that limits γ most
//! as far as is known, holds its multipliers against the directions still open, and ends when none
//! is left. The multipliers are the certificate: [`SweepCertificate::verify`] recomputes everything
//! by arithmetic.

use ndarray::{Array1, Array2, ArrayView1};

use crate::{
    aggregate_set::Side,
    error::{Error, check_profile},
    fleet_polymatroid::FleetPolymatroid,
    generalized_polymatroid::WalkOrderTable,
    support_simplex::SupportSimplex,
};

/// `F = {x : A x ≤ d, lower ≤ x ≤ upper}`, relative to a centre; contains the origin.
#[derive(Clone, Debug, PartialEq)]
pub struct InnerPolytope {
    normals: Array2<f64>,
    offsets: Array1<f64>,
    lower: Array1<f64>,
    upper: Array1<f64>,
}

impl InnerPolytope {
    /// Checks lengths, numbers, and that the origin is inside.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`], and [`Error::Domain`] for an offset below 0, a lower
    /// bound above 0 or an upper bound below 0.
    pub fn new(
        normals: Array2<f64>,
        offsets: Array1<f64>,
        lower: Array1<f64>,
        upper: Array1<f64>,
    ) -> Result<Self, Error> {
        let steps = normals.ncols();
        if offsets.len() != normals.nrows() {
            return Err(Error::Rows {
                what: "offsets",
                expected: normals.nrows(),
                found: offsets.len(),
            });
        }
        for row in normals.rows() {
            check_profile("a normal", row, steps)?;
        }
        check_profile("offsets", offsets.view(), offsets.len())?;
        check_profile("the lower bounds", lower.view(), steps)?;
        check_profile("the upper bounds", upper.view(), steps)?;
        let below = |what, values: &Array1<f64>, sign: f64, domain| match values
            .iter()
            .find(|&&value| sign * value < 0.0)
        {
            Some(&value) => Err(Error::Domain {
                what,
                value,
                domain,
            }),
            None => Ok(()),
        };
        below(
            "an offset",
            &offsets,
            1.0,
            "0 or more, so that the set contains its centre",
        )?;
        below(
            "an upper bound",
            &upper,
            1.0,
            "0 or more, so that the set contains its centre",
        )?;
        below(
            "a lower bound",
            &lower,
            -1.0,
            "0 or less, so that the set contains its centre",
        )?;
        Ok(Self {
            normals,
            offsets,
            lower,
            upper,
        })
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.normals.ncols()
    }

    /// Facet normals, one per row.
    #[must_use]
    pub fn normals(&self) -> &Array2<f64> {
        &self.normals
    }

    /// Right-hand sides, kW.
    #[must_use]
    pub fn offsets(&self) -> &Array1<f64> {
        &self.offsets
    }

    /// Lower bounds, kW per step.
    #[must_use]
    pub fn lower(&self) -> &Array1<f64> {
        &self.lower
    }

    /// Upper bounds, kW per step.
    #[must_use]
    pub fn upper(&self) -> &Array1<f64> {
        &self.upper
    }

    /// The largest value of `direction · x` over the set, with a maximiser.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::NotFinite`] for a bad direction.
    pub fn support(&self, direction: ArrayView1<'_, f64>) -> Result<(f64, Array1<f64>), Error> {
        check_profile("direction", direction, self.steps())?;
        // Bounds on every variable rule out that a direction is unbounded.
        let scale = direction
            .iter()
            .fold(0.0, |most, d| f64::max(most, d.abs()));
        if scale == 0.0 {
            return Ok((0.0, Array1::zeros(self.steps())));
        }
        let scaled: Vec<f64> = direction.iter().map(|d| d / scale).collect();
        let solution = self
            .simplex()
            .maximise(&scaled)
            .map_err(|_| Error::UnboundedScaling)?;
        let point = Array1::from_vec(solution.point);
        Ok((direction.dot(&point), point))
    }

    /// The rows `A`, then the upper, then the lower bounds, as inequalities with `rhs ≥ 0`.
    fn simplex(&self) -> SupportSimplex {
        let steps = self.steps();
        let unit = |t: usize, sign: f64| {
            (0..steps)
                .map(|s| if s == t { sign } else { 0.0 })
                .collect()
        };
        let matrix = self
            .normals
            .rows()
            .into_iter()
            .map(|row| row.to_vec())
            .chain((0..steps).map(|t| unit(t, 1.0)))
            .chain((0..steps).map(|t| unit(t, -1.0)))
            .collect();
        let rhs = self
            .offsets
            .iter()
            .chain(&self.upper)
            .copied()
            .chain(self.lower.iter().map(|low| -low));
        SupportSimplex::new(matrix, rhs.collect(), steps)
    }
}

/// The bound of one multiplier vector over all directions of one sign: `constant + Σ_{t ∈ S} share_t`.
#[derive(Clone, Debug, PartialEq)]
struct ModularBound {
    constant: f64,
    share: Vec<f64>,
}

impl ModularBound {
    /// For directions `±1_S` with `±` the `sign`.
    fn new(set: &InnerPolytope, multipliers: &[f64], sign: f64) -> Self {
        let steps = set.steps();
        let mut rest = vec![0.0; steps]; // −Aᵀ y
        let mut constant = 0.0;
        for (row, (&y, &offset)) in set
            .normals
            .rows()
            .into_iter()
            .zip(multipliers.iter().zip(&set.offsets))
        {
            if y > 0.0 {
                constant += y * offset;
                for (entry, normal) in rest.iter_mut().zip(row) {
                    *entry -= y * normal;
                }
            }
        }
        let most = |t: usize, r: f64| f64::max(r * set.upper[t], r * set.lower[t]);
        let share = (0..steps)
            .map(|t| {
                let outside = most(t, rest[t]);
                constant += outside;
                most(t, rest[t] + sign) - outside
            })
            .collect();
        Self { constant, share }
    }

    /// Its values over the subsets of some consecutive steps, in the order of the walk.
    fn half_table(&self, steps: std::ops::Range<usize>, constant: f64) -> Vec<f64> {
        let mut values = vec![constant];
        for t in steps {
            values = values
                .iter()
                .flat_map(|&value| [value, value + self.share[t]])
                .collect();
        }
        values
    }
}

/// `γF + Δ ⊆ U`, with what proves it.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepCertificate {
    /// The scaling γ that is certified.
    pub gamma: f64,
    /// Multipliers of the rows of `A` for directions `1_S`, one vector per row.
    pub upper_multipliers: Vec<Vec<f64>>,
    /// Multipliers of the rows of `A` for directions `−1_S`.
    pub lower_multipliers: Vec<Vec<f64>>,
}

/// The exact scaling, its certificate, and its derivatives.
#[derive(Clone, Debug)]
pub struct ExactScaling {
    /// `γ_exact`.
    pub gamma: f64,
    /// The steps of a subset that limits it.
    pub binding_steps: Vec<usize>,
    /// Whether its upper or its lower bound limits.
    pub binding_side: Side,
    /// `dγ/d offsets`, not positive.
    pub offsets_gradient: Array1<f64>,
    /// `dγ/d upper`, not positive.
    pub upper_gradient: Array1<f64>,
    /// `dγ/d lower`, not negative.
    pub lower_gradient: Array1<f64>,
    /// Whether γ is not differentiable there: two directions bind, or the program of the binding
    /// direction has several optima. The gradient is then one of several.
    pub kink: bool,
    /// Linear programs solved.
    pub programs: usize,
    /// The proof.
    pub certificate: SweepCertificate,
}

/// A direction that may still limit γ.
#[derive(Clone, Copy)]
struct Open {
    position: u32,
    /// `b(S) − Δ(S)` or `Δ(S) − p(S)`.
    room: f64,
    /// The best upper bound on `h_F` known.
    bound: f64,
}

/// Ratios closer than this share of γ bind together.
const BINDING: f64 = 1e-9;

impl FleetPolymatroid {
    /// The largest γ with `γF + Δ ⊆ U`, by the complete sweep over all 2·2^T directions.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`]; [`Error::Length`]; [`Error::CentreOutside`] if Δ is not in `U`;
    /// [`Error::UnboundedScaling`] if `F` is the origin alone.
    pub fn exact_scaling(
        &self,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
    ) -> Result<ExactScaling, Error> {
        check_profile("the centre", centre, self.steps())?;
        if set.steps() != self.steps() {
            return Err(Error::Length {
                what: "a normal",
                expected: self.steps(),
                found: set.steps(),
            });
        }
        let table = self.packed().walk_order_table()?;
        Sweep::new(set, centre, &table).run()
    }
}

impl SweepCertificate {
    /// Recomputes the proof by arithmetic: for every subset and side some multiplier vector keeps
    /// `γ h_F` within the room that `U` leaves, up to `tolerance` relative to the size of the room.
    /// Returns the largest violation found, relative; it is at most `tolerance` if the proof holds.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`], [`Error::Length`] if certificate, set and fleet do not belong together,
    /// [`Error::Domain`] for a negative multiplier.
    pub fn verify(
        &self,
        fleet: &FleetPolymatroid,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
        tolerance: f64,
    ) -> Result<Verification, Error> {
        check_profile("the centre", centre, fleet.steps())?;
        if set.steps() != fleet.steps() {
            return Err(Error::Length {
                what: "a normal",
                expected: fleet.steps(),
                found: set.steps(),
            });
        }
        for multipliers in self.upper_multipliers.iter().chain(&self.lower_multipliers) {
            if multipliers.len() != set.offsets.len() {
                return Err(Error::Rows {
                    what: "multipliers",
                    expected: set.offsets.len(),
                    found: multipliers.len(),
                });
            }
            if let Some(&value) = multipliers.iter().find(|y| !(y.is_finite() && **y >= 0.0)) {
                return Err(Error::Domain {
                    what: "a multiplier",
                    value,
                    domain: "a finite number that is not negative",
                });
            }
        }
        let table = fleet.packed().walk_order_table()?;
        let mut largest = f64::NEG_INFINITY;
        for (side, vectors) in [
            (Side::Upper, &self.upper_multipliers),
            (Side::Lower, &self.lower_multipliers),
        ] {
            let sign = sign_of(side);
            let zero = vec![0.0; set.offsets.len()];
            let bounds: Vec<ModularBound> = std::iter::once(&zero)
                .chain(vectors)
                .map(|y| ModularBound::new(set, y, sign))
                .collect();
            let rooms = rooms(&table, centre, side);
            let mut left: Vec<Open> = rooms
                .into_iter()
                .enumerate()
                .skip(1)
                .map(|(position, room)| Open {
                    position: position_u32(position),
                    room,
                    bound: f64::INFINITY,
                })
                .collect();
            for bound in &bounds {
                tighten(&mut left, bound, fleet.steps(), |open| {
                    let violation = (self.gamma * open.bound - open.room) / (1.0 + open.room.abs());
                    violation > tolerance
                });
            }
            for open in &left {
                largest =
                    largest.max((self.gamma * open.bound - open.room) / (1.0 + open.room.abs()));
            }
        }
        Ok(if largest > tolerance {
            Verification::Refused {
                largest_violation: largest,
            }
        } else {
            Verification::Confirmed
        })
    }
}

/// What the arithmetic says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verification {
    /// Every stated inequality holds within the tolerance.
    Confirmed,
    /// Some inequality does not.
    Refused {
        /// The largest relative violation.
        largest_violation: f64,
    },
}

fn sign_of(side: Side) -> f64 {
    match side {
        Side::Upper => 1.0,
        Side::Lower => -1.0,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "tables end at 2^24 positions"
)]
fn position_u32(position: usize) -> u32 {
    position as u32
}

/// `b(S) − Δ(S)` or `Δ(S) − p(S)`, in the order of the walk.
fn rooms(table: &WalkOrderTable, centre: ArrayView1<'_, f64>, side: Side) -> Vec<f64> {
    let mut sums = vec![0.0];
    for &value in centre {
        sums = sums.iter().flat_map(|&sum| [sum, sum + value]).collect();
    }
    let values = if side == Side::Upper {
        &table.upper
    } else {
        &table.lower
    };
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = sign_of(side) * (value - *sum);
    }
    sums
}

/// Lowers the bounds of the open directions to a modular bound, and keeps those that stay open.
fn tighten(
    open: &mut Vec<Open>,
    bound: &ModularBound,
    steps: usize,
    stays_open: impl Fn(&Open) -> bool,
) {
    let late = steps / 2;
    let early_table = bound.half_table(0..steps - late, bound.constant);
    let late_table = bound.half_table(steps - late..steps, 0.0);
    let mask = (1_u32 << late) - 1;
    open.retain_mut(|direction| {
        let value = early_table[(direction.position >> late) as usize]
            + late_table[(direction.position & mask) as usize];
        if value < direction.bound {
            direction.bound = value;
        }
        stays_open(direction)
    });
}

struct Sweep<'a> {
    set: &'a InnerPolytope,
    centre: ArrayView1<'a, f64>,
    table: &'a WalkOrderTable,
    simplex: SupportSimplex,
    programs: usize,
    best: Option<Binding>,
    /// Directions with exact ratios, smallest first two, to find kinks.
    second_ratio: f64,
}

struct Binding {
    ratio: f64,
    side: Side,
    position: usize,
    multipliers: Vec<f64>,
    support: f64,
    degenerate: bool,
}

impl<'a> Sweep<'a> {
    fn new(set: &'a InnerPolytope, centre: ArrayView1<'a, f64>, table: &'a WalkOrderTable) -> Self {
        Self {
            set,
            centre,
            table,
            simplex: set.simplex(),
            programs: 0,
            best: None,
            second_ratio: f64::INFINITY,
        }
    }

    fn steps(&self) -> usize {
        self.set.steps()
    }

    fn gamma(&self) -> f64 {
        self.best.as_ref().map_or(f64::INFINITY, |best| best.ratio)
    }

    fn subset(&self, position: usize) -> Vec<usize> {
        let steps = self.steps();
        (0..steps)
            .filter(|t| position >> (steps - 1 - t) & 1 == 1)
            .collect()
    }

    /// Solves the program of one direction; its multipliers of the rows of `A`.
    fn solve(&mut self, side: Side, position: usize, room: f64) -> Vec<f64> {
        self.programs += 1;
        let mut direction = vec![0.0; self.steps()];
        for t in self.subset(position) {
            direction[t] = sign_of(side);
        }
        // Bounds on every variable rule out that a direction is unbounded.
        let Ok(solution) = self.simplex.maximise(&direction) else {
            return vec![0.0; self.set.offsets.len()];
        };
        let rows = &solution.multipliers[..self.set.offsets.len()];
        let bound = ModularBound::new(self.set, rows, sign_of(side));
        let support = bound.constant
            + self
                .subset(position)
                .iter()
                .map(|&t| bound.share[t])
                .sum::<f64>();
        let ratio = if support > 0.0 {
            room / support
        } else {
            f64::INFINITY
        };
        if ratio < self.gamma() {
            self.second_ratio = self.gamma();
            self.best = Some(Binding {
                ratio,
                side,
                position,
                multipliers: solution.multipliers.clone(),
                support,
                degenerate: solution.degenerate,
            });
        } else {
            self.second_ratio = self.second_ratio.min(ratio);
        }
        rows.to_vec()
    }

    /// Rounds of one side until no direction is open.
    fn sweep_side(&mut self, side: Side, vectors: &mut Vec<Vec<f64>>) -> Result<(), Error> {
        let steps = self.steps();
        let rooms = rooms(self.table, self.centre, side);
        let scale = 1.0
            + rooms
                .iter()
                .fold(0.0, |most, room| f64::max(most, room.abs()));
        let box_bound =
            ModularBound::new(self.set, &vec![0.0; self.set.offsets.len()], sign_of(side));
        let late = steps / 2;
        let early_table = box_bound.half_table(0..steps - late, box_bound.constant);
        let late_table = box_bound.half_table(steps - late..steps, 0.0);
        // A good γ first, from the intervals: most other directions then close at once.
        let mut pool = Vec::new();
        for from in 0..steps {
            let mut position = 0;
            for to in from..steps {
                position |= 1 << (steps - 1 - to);
                pool.push(self.solve(side, position, rooms[position]));
            }
        }
        let mut open = Vec::new();
        for (position, &room) in rooms.iter().enumerate().skip(1) {
            if room < -ROUNDING * scale {
                return Err(Error::CentreOutside {
                    steps: self.subset(position),
                    violation_kw: -room,
                });
            }
            let bound = early_table[position >> late] + late_table[position & ((1 << late) - 1)];
            if self.gamma() * bound > room {
                open.push(Open {
                    position: position_u32(position),
                    room,
                    bound,
                });
            }
        }
        let gamma = self.gamma();
        for multipliers in pool {
            let before = open.len();
            let bound = ModularBound::new(self.set, &multipliers, sign_of(side));
            tighten(&mut open, &bound, steps, |direction| {
                gamma * direction.bound > direction.room
            });
            if open.len() < before {
                vectors.push(multipliers);
            }
        }
        while let Some(worst) = open
            .iter()
            .copied()
            .min_by(|a, b| (a.room * b.bound).total_cmp(&(b.room * a.bound)))
        {
            let multipliers = self.solve(side, worst.position as usize, worst.room);
            let gamma = self.gamma();
            let bound = ModularBound::new(self.set, &multipliers, sign_of(side));
            tighten(&mut open, &bound, steps, |direction| {
                direction.position != worst.position && gamma * direction.bound > direction.room
            });
            vectors.push(multipliers);
        }
        Ok(())
    }

    fn run(mut self) -> Result<ExactScaling, Error> {
        let (mut upper_multipliers, mut lower_multipliers) = (Vec::new(), Vec::new());
        self.sweep_side(Side::Upper, &mut upper_multipliers)?;
        self.sweep_side(Side::Lower, &mut lower_multipliers)?;
        let steps = self.steps();
        let binding_steps = self
            .best
            .as_ref()
            .map(|best| self.subset(best.position))
            .unwrap_or_default();
        let Some(best) = self.best.take() else {
            return Err(Error::UnboundedScaling);
        };
        let rows = self.set.offsets.len();
        let factor = -best.ratio / best.support;
        let gradient = |range: std::ops::Range<usize>| -> Array1<f64> {
            best.multipliers[range].iter().map(|y| factor * y).collect()
        };
        Ok(ExactScaling {
            gamma: best.ratio,
            binding_steps,
            binding_side: best.side,
            offsets_gradient: gradient(0..rows),
            upper_gradient: gradient(rows..rows + steps),
            lower_gradient: -gradient(rows + steps..rows + 2 * steps),
            kink: best.degenerate || self.second_ratio <= best.ratio * (1.0 + BINDING),
            programs: self.programs,
            certificate: SweepCertificate {
                gamma: best.ratio,
                upper_multipliers,
                lower_multipliers,
            },
        })
    }
}

/// Share of the largest room below which a negative room is rounding.
const ROUNDING: f64 = 1e-12;
