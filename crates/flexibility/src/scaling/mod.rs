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

mod certificate;
mod inner_polytope;
mod modular_bound;
mod sweep;

use ndarray::{Array1, Array2, ArrayView1};

pub use certificate::{SweepCertificate, Verification};
pub use inner_polytope::InnerPolytope;
pub use modular_bound::DualVector;

use crate::{
    aggregate_set::Side,
    error::{Error, check_profile},
    fleet_polymatroid::FleetPolymatroid,
    generalized_polymatroid::WalkOrderTable,
    support_simplex::SupportSimplex,
};
use modular_bound::sign_of;
use sweep::{BINDING, SideSweep, gray_position, indicator};

/// Derivatives of a number with respect to the data of an [`InnerPolytope`] and its centre.
#[derive(Clone, Debug, PartialEq)]
pub struct SetGradient {
    /// With respect to `A`, rows × variables.
    pub normals: Array2<f64>,
    /// With respect to `d`.
    pub offsets: Array1<f64>,
    /// With respect to the lower bounds of all variables.
    pub lower: Array1<f64>,
    /// With respect to the upper bounds of all variables.
    pub upper: Array1<f64>,
    /// With respect to the centre Δ, per kW.
    pub centre: Array1<f64>,
}

impl SetGradient {
    /// All zero, in the shapes of a set.
    #[must_use]
    pub fn zeros(set: &InnerPolytope) -> Self {
        Self {
            normals: Array2::zeros(set.normals().raw_dim()),
            offsets: Array1::zeros(set.offsets().len()),
            lower: Array1::zeros(set.variables()),
            upper: Array1::zeros(set.variables()),
            centre: Array1::zeros(set.steps()),
        }
    }

    /// Adds `factor` times another gradient of the same set.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn scaled_add(&mut self, factor: f64, other: &Self) {
        self.normals.scaled_add(factor, &other.normals);
        self.offsets.scaled_add(factor, &other.offsets);
        self.lower.scaled_add(factor, &other.lower);
        self.upper.scaled_add(factor, &other.upper);
        self.centre.scaled_add(factor, &other.centre);
    }
}

/// One of the 2·2^T directions `±1_S`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SubsetDirection {
    /// `1_S` or `−1_S`.
    pub side: Side,
    /// The subset: bit `T − 1 − t` says whether step `t` is in it.
    pub position: u32,
}

impl SubsetDirection {
    /// The steps of the subset, rising.
    #[must_use]
    pub fn subset(self, steps: usize) -> Vec<usize> {
        (0..steps)
            .filter(|t| self.position >> (steps - 1 - t) & 1 == 1)
            .collect()
    }
}

/// The largest scaling that some directions allow, and how it changes with the set.
///
/// Over all directions this is `γ_exact`; over some it is an upper bound, which steers training between
/// complete sweeps and certifies nothing.
#[derive(Clone, Debug)]
pub struct ScalingLimit {
    /// γ.
    pub gamma: f64,
    /// The direction that limits it.
    pub binding: SubsetDirection,
    /// Its derivatives: `dγ/dd = −(γ/h) y`, `dγ/dA = (γ/h) y ξᵀ`, `dγ/dΔ = ∓1_S / h`, with multipliers
    /// `y` and maximiser `ξ` of `h = h_F(±1_S)` (`thanvantri2025` differentiates none of them).
    pub gradient: SetGradient,
    /// Whether γ is not differentiable there: two directions with different multipliers bind, or the
    /// program of the binding direction has several optima. The gradient is then one of several.
    pub kink: bool,
}

/// The exact scaling with its proof.
#[derive(Clone, Debug)]
pub struct ExactScaling {
    /// `γ_exact`.
    pub gamma: f64,
    /// The steps of a subset that limits it.
    pub binding_steps: Vec<usize>,
    /// Whether its upper or its lower bound limits.
    pub binding_side: Side,
    /// Its derivatives, as in [`ScalingLimit::gradient`].
    pub gradient: SetGradient,
    /// Whether γ is not differentiable there, as in [`ScalingLimit::kink`].
    pub kink: bool,
    /// Linear programs solved.
    pub programs: usize,
    /// The directions solved whose ratio is within [`ExactScaler::POOL_MARGIN`] of γ, most limiting
    /// first: a pool for [`ExactScaler::limit_over`].
    pub pool: Vec<SubsetDirection>,
    /// The proof.
    pub certificate: SweepCertificate,
}

/// The program of one direction, solved.
#[derive(Clone, Debug)]
struct Binding {
    direction: SubsetDirection,
    /// The γ that it allows.
    ratio: f64,
    /// `h_F`, from above.
    support: f64,
    /// Of the rows, the upper, and the lower bounds.
    multipliers: Vec<f64>,
    point: Vec<f64>,
    degenerate: bool,
}

impl Binding {
    fn solve(
        set: &InnerPolytope,
        simplex: &mut SupportSimplex,
        direction: SubsetDirection,
        room: f64,
    ) -> Self {
        let weights = indicator(direction, set.steps());
        // Bounds on every variable rule out that a direction is unbounded.
        let Ok(solution) = simplex.maximise(&weights) else {
            let multipliers = vec![0.0; set.offsets().len() + 2 * set.variables()];
            let support = set.support_bound(ArrayView1::from(&weights), &multipliers);
            return Self {
                direction,
                ratio: ratio(room, support),
                support,
                point: vec![0.0; set.variables()],
                multipliers,
                degenerate: true,
            };
        };
        let support = set.support_bound(ArrayView1::from(&weights), &solution.multipliers);
        Self {
            direction,
            ratio: ratio(room, support),
            support,
            multipliers: solution.multipliers,
            point: solution.point,
            degenerate: solution.degenerate,
        }
    }

    fn gradient(&self, set: &InnerPolytope) -> SetGradient {
        let (rows, variables) = (set.offsets().len(), set.variables());
        let factor = self.ratio / self.support;
        let scaled = |range: std::ops::Range<usize>| -> Array1<f64> {
            self.multipliers[range].iter().map(|y| factor * y).collect()
        };
        let of_rows = scaled(0..rows);
        let mut normals = Array2::zeros((rows, variables));
        for (mut row, &y) in normals.rows_mut().into_iter().zip(&of_rows) {
            if y > 0.0 {
                row.assign(&ArrayView1::from(&self.point));
                row *= y;
            }
        }
        let direction = Array1::from_vec(indicator(self.direction, set.steps()));
        SetGradient {
            normals,
            offsets: -of_rows,
            upper: -scaled(rows..rows + variables),
            lower: scaled(rows + variables..rows + 2 * variables),
            centre: direction / -self.support,
        }
    }

    /// Whether another binding direction has the same derivatives.
    fn agrees_with(&self, other: &Self) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()));
        self.multipliers
            .iter()
            .zip(&other.multipliers)
            .all(|(a, b)| close(a / self.support, b / other.support))
    }
}

fn ratio(room: f64, support: f64) -> f64 {
    if support > 0.0 {
        room.max(0.0) / support
    } else {
        f64::INFINITY
    }
}

/// The tightest of the directions solved, with its derivatives.
fn limit(set: &InnerPolytope, binding: &[Binding]) -> Option<ScalingLimit> {
    let tightest = binding
        .iter()
        .filter(|found| found.ratio.is_finite())
        .min_by(|a, b| a.ratio.total_cmp(&b.ratio))?;
    let together = tightest.ratio * (1.0 + BINDING);
    let kink = tightest.degenerate
        || binding
            .iter()
            .any(|other| other.ratio <= together && !tightest.agrees_with(other));
    Some(ScalingLimit {
        gamma: tightest.ratio,
        binding: tightest.direction,
        gradient: tightest.gradient(set),
        kink,
    })
}

impl FleetPolymatroid {
    /// The largest γ with `γF + Δ ⊆ U`, by the complete sweep over all 2·2^T directions.
    ///
    /// For several sets of one fleet make an [`ExactScaler`] once.
    ///
    /// # Errors
    /// Those of [`ExactScaler::new`] and [`ExactScaler::scale`].
    pub fn exact_scaling(
        &self,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
    ) -> Result<ExactScaling, Error> {
        ExactScaler::new(self)?.scale(set, centre)
    }
}

/// Scales any number of sets inside the aggregate set of one fleet: holds the values of its set
/// functions over all subsets.
#[derive(Clone, Debug)]
pub struct ExactScaler {
    steps: usize,
    table: WalkOrderTable,
}

/// Share of the largest room below which a negative room is rounding.
const ROUNDING: f64 = 1e-12;

impl ExactScaler {
    /// Directions whose ratio is at most this much above γ go into the pool.
    pub const POOL_MARGIN: f64 = 0.1;

    /// Tabulates the set functions, 16 · 2^T bytes.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`] beyond [`crate::MAX_TABLE_STEPS`] steps.
    pub fn new(fleet: &FleetPolymatroid) -> Result<Self, Error> {
        Ok(Self {
            steps: fleet.steps(),
            table: fleet.packed().walk_order_table()?,
        })
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The largest γ with `γF + Δ ⊆ U`, with its derivatives and its proof.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::CentreOutside`] if Δ is not in `U`; [`Error::UnboundedScaling`] if
    /// `F` is the origin alone.
    pub fn scale(
        &self,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
    ) -> Result<ExactScaling, Error> {
        check_belongs(set, centre, self.steps)?;
        let simplex = set.simplex(1.0);
        let prepare = |side| -> Result<SideSweep<'_>, Error> {
            let rooms = self.checked_rooms(centre, side)?;
            let mut sweep = SideSweep::new(set, side, rooms, simplex.clone());
            sweep.probe();
            Ok(sweep)
        };
        let (upper, lower) = rayon::join(|| prepare(Side::Upper), || prepare(Side::Lower));
        let (mut upper, mut lower) = (upper?, lower?);
        // The sides share what the probes found and nothing later, so that the answer does not depend
        // on which of the two runs faster.
        let gamma = upper.gamma().min(lower.gamma());
        rayon::join(|| upper.close_all(gamma), || lower.close_all(gamma));

        let binding = [&upper.binding[..], &lower.binding[..]].concat();
        let limit = limit(set, &binding).ok_or(Error::UnboundedScaling)?;
        let mut solved = [&upper.solved[..], &lower.solved[..]].concat();
        let programs = solved.len();
        solved.retain(|(ratio, _)| *ratio <= limit.gamma * (1.0 + Self::POOL_MARGIN));
        solved.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(ExactScaling {
            gamma: limit.gamma,
            binding_steps: limit.binding.subset(self.steps),
            binding_side: limit.binding.side,
            gradient: limit.gradient,
            kink: limit.kink,
            programs,
            pool: solved.into_iter().map(|(_, direction)| direction).collect(),
            certificate: SweepCertificate {
                gamma: limit.gamma,
                upper: upper.duals,
                lower: lower.duals,
            },
        })
    }

    /// The scaling that some directions allow: an upper bound of `γ_exact`, which certifies nothing.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Subset`] for a direction of more steps; [`Error::CentreOutside`] if
    /// a direction shows it; [`Error::UnboundedScaling`] if no direction limits γ.
    pub fn limit_over(
        &self,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
        pool: &[SubsetDirection],
    ) -> Result<ScalingLimit, Error> {
        check_belongs(set, centre, self.steps)?;
        let mut simplex = set.simplex(1.0);
        let mut binding: Vec<Binding> = Vec::new();
        for &direction in pool {
            let room = self.room(centre, direction)?;
            let found = Binding::solve(set, &mut simplex, direction, room);
            let least = binding
                .iter()
                .fold(found.ratio, |least, other| least.min(other.ratio));
            let together = least * (1.0 + BINDING);
            binding.retain(|other| other.ratio <= together);
            if found.ratio <= together {
                binding.push(found);
            }
        }
        limit(set, &binding).ok_or(Error::UnboundedScaling)
    }

    /// `b(S) − Δ(S)` or `Δ(S) − p(S)`.
    fn room(&self, centre: ArrayView1<'_, f64>, direction: SubsetDirection) -> Result<f64, Error> {
        let values = match direction.side {
            Side::Upper => &self.table.upper,
            Side::Lower => &self.table.lower,
        };
        let Some(value) = values.get(direction.position as usize) else {
            return Err(Error::Subset {
                step: (u32::BITS - 1 - direction.position.leading_zeros()) as usize,
                steps: self.steps,
            });
        };
        let subset = direction.subset(self.steps);
        let sum: f64 = subset.iter().map(|&t| centre[t]).sum();
        let room = sign_of(direction.side) * (value - sum);
        if room < -ROUNDING * (1.0 + value.abs() + sum.abs()) {
            return Err(Error::CentreOutside {
                steps: subset,
                violation_kw: -room,
            });
        }
        Ok(room)
    }

    /// `b(S) − Δ(S)` or `Δ(S) − p(S)` for all subsets, in the order of the walk.
    fn rooms(&self, centre: ArrayView1<'_, f64>, side: Side) -> Vec<f64> {
        let mut sums = vec![0.0];
        for &value in centre {
            sums = sums.iter().flat_map(|&sum| [sum, sum + value]).collect();
        }
        let values = match side {
            Side::Upper => &self.table.upper,
            Side::Lower => &self.table.lower,
        };
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sign_of(side) * (value - *sum);
        }
        sums
    }

    fn checked_rooms(&self, centre: ArrayView1<'_, f64>, side: Side) -> Result<Vec<f64>, Error> {
        let rooms = self.rooms(centre, side);
        let scale = rooms
            .iter()
            .fold(1.0, |most, room| f64::max(most, room.abs()));
        match (0..)
            .zip(&rooms)
            .find(|(_, room)| **room < -ROUNDING * scale)
        {
            Some((position, room)) => Err(Error::CentreOutside {
                steps: SubsetDirection { side, position }.subset(self.steps),
                violation_kw: -room,
            }),
            None => Ok(rooms),
        }
    }

    /// Positions and rooms of all subsets but the empty one; neighbours differ in one step.
    fn rooms_in_gray_order(
        &self,
        centre: ArrayView1<'_, f64>,
        side: Side,
    ) -> impl Iterator<Item = (u32, f64)> {
        let rooms = self.rooms(centre, side);
        (1..1_u32 << self.steps).map(move |rank| {
            let position = gray_position(rank);
            (position, rooms[position as usize])
        })
    }
}

fn check_belongs(
    set: &InnerPolytope,
    centre: ArrayView1<'_, f64>,
    steps: usize,
) -> Result<(), Error> {
    check_profile("the centre", centre, steps)?;
    if set.steps() != steps {
        return Err(Error::Length {
            what: "a normal",
            expected: steps,
            found: set.steps(),
        });
    }
    Ok(())
}
