//! Inner sets that add up segments: a zonotope of common generators in every vehicle.

use evflex_fleet::Schedule;
use evflex_solver::{Options, ProblemBuilder, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::{
    affine::FacetViolation,
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    image::{self, Image, ImageVariables, image_rows},
    objective::Objective,
    per_vehicle::{CLAIM_TOLERANCE_KW, Facets, for_each_class, worst_violation},
};

/// The zonotope `{c + G diag(β) ζ : ζ ∈ [−1, 1]^m}`, the sum of one zonotope in every vehicle.
///
/// The generators (columns of `G`) are common; in [`ZonotopeInner::new`] those of Müller, Szabó, Sundström and Lygeros
/// (IEEE Transactions on Smart Grid 10, 2019): more power in one step, and a shift between two consecutive
/// steps. With the facets `H u ≤ h_i` of vehicle `i`, its zonotope is the linear program
///
/// ```text
/// max  Σ_j w_j β_ij    s.t.   |H G| β_i + H c_i ≤ h_i,   β_i ≥ 0,
/// ```
///
/// and `c = Σ c_i`, `β = Σ β_i`, because zonotopes of common generators add. A point of the sum with
/// coefficients `ζ` is followed by `u_i = c_i + G diag(β_i) ζ`. Sets of this kind, with weights of their own,
/// are the `weighted zonotopes` in the comparison of Öztürk et al. (Energies 15, 2501, 2022).
/// [`ZonotopeInner::of_all_shifts`] takes shifts between any two steps, which the literature does not, and is
/// much the better set.
///
/// | symbol | shape | unit |
/// |---|---|---|
/// | `G` | T × m | 1 |
/// | `c`, `c_i` | T | kW |
/// | `β`, `β_i` | m | kW |
///
/// ```
/// use evflex_flexibility::{AggregateSet, FleetPolymatroid, ZonotopeInner};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let grid = evflex_fleet::TimeGrid::new(18, evflex_fleet::Hours(1.0))?;
/// let fleet = evflex_fleet::synthetic::Population::new(grid, 3).generate(1)?;
/// let exact = FleetPolymatroid::exact(&fleet)?;
/// let set = ZonotopeInner::new(&exact, &Clarabel::default(), &Options::default())?;
/// assert!(set.verify(1e-9).is_none()); // no facet of any vehicle is exceeded
/// let best = set.support(ndarray::Array1::ones(18).view(), &Clarabel::default())?;
/// let schedule = set.disaggregate(best.profile_kw.view(), &Clarabel::default())?;
/// assert!(schedule.check(&fleet, 1e-6)?.is_feasible());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ZonotopeInner<'a> {
    fleet: &'a FleetPolymatroid,
    generators: Array2<f64>,
    total: Part,
    /// The zonotope of each class of vehicles.
    parts: Vec<Part>,
    claim: Claim,
}

/// `c` and `β`.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    centre: Array1<f64>,
    extent: Array1<f64>,
}

/// Sums of a generator over a facet's steps below this are rounding.
const NO_CROSSING: f64 = 1e-12;

impl<'a> ZonotopeInner<'a> {
    /// Of more power in each step, and shifts between consecutive steps: 2 T − 1 generators of length one,
    /// all with the same weight in the objective. It has many optima then; which one it is depends on the
    /// solver.
    ///
    /// # Errors
    /// [`Error::Solver`], also when the time is over or the computation was cancelled; [`Error::Threads`].
    pub fn new(
        fleet: &'a FleetPolymatroid,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let generators = Self::steps_and_shifts(fleet.steps(), 1);
        let weights = Array1::ones(generators.ncols());
        Self::with_generators(fleet, generators, weights.view(), solver, options)
    }

    /// Of more power in each step, and shifts between any two steps: T (T + 1) / 2 generators of length one,
    /// with the weights of [`ZonotopeInner::interval_weights`].
    ///
    /// Shifts over many steps are what makes energy cheap and peaks flat, so this is much the better set;
    /// the price is a linear program with more columns for each vehicle.
    ///
    /// # Errors
    /// As [`ZonotopeInner::new`].
    pub fn of_all_shifts(
        fleet: &'a FleetPolymatroid,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let generators = Self::steps_and_shifts(fleet.steps(), fleet.steps());
        let weights = Self::interval_weights(generators.view());
        Self::with_generators(fleet, generators, weights.view(), solver, options)
    }

    /// With given generators, one per column, and their weights in the objective.
    ///
    /// # Errors
    /// As [`ZonotopeInner::new`]; [`Error::Length`], [`Error::Rows`], [`Error::NotFinite`]; [`Error::Domain`] for
    /// a negative weight.
    pub fn with_generators(
        fleet: &'a FleetPolymatroid,
        generators: Array2<f64>,
        weights: ArrayView1<'_, f64>,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let (steps, count) = (fleet.steps(), generators.ncols());
        for generator in generators.columns() {
            check_profile("a generator", generator, steps)?;
        }
        if weights.len() != count {
            return Err(Error::Rows {
                what: "the weights of the generators",
                expected: count,
                found: weights.len(),
            });
        }
        check_profile("the weights of the generators", weights, count)?;
        if let Some(&value) = weights.iter().find(|&&weight| weight < 0.0) {
            return Err(Error::Domain {
                what: "the weight of a generator",
                value,
                domain: "0 or more",
            });
        }
        let parts = for_each_class(fleet, "zonotopes", options, |facets, options| {
            largest(facets, generators.view(), weights, solver, options)
        })?;
        let mut total = Part {
            centre: Array1::zeros(steps),
            extent: Array1::zeros(count),
        };
        for &class in &fleet.packed().class_of_vehicle {
            total.centre += &parts[class].centre;
            total.extent += &parts[class].extent;
        }
        let mut set = Self {
            fleet,
            generators,
            total,
            parts,
            claim: Claim::Unproven,
        };
        if set.verify(CLAIM_TOLERANCE_KW).is_none() {
            set.claim = fleet.claim().of_subset();
        }
        Ok(set)
    }

    /// More power in each step, then shifts between steps that are at most `reach` apart, the nearest first;
    /// of unit length, one per column.
    #[must_use]
    pub fn steps_and_shifts(steps: usize, reach: usize) -> Array2<f64> {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let shifts = (1..=reach.min(steps.saturating_sub(1)))
            .flat_map(|apart| (apart..steps).map(move |to| (to - apart, to)))
            .map(|(from, to)| vec![(from, half), (to, -half)]);
        let generators: Vec<_> = (0..steps).map(|t| vec![(t, 1.0)]).chain(shifts).collect();
        let mut matrix = Array2::zeros((steps, generators.len()));
        for (mut column, generator) in matrix.columns_mut().into_iter().zip(generators) {
            for (t, entry) in generator {
                column[t] = entry;
            }
        }
        matrix
    }

    /// What a unit of each generator adds to the total extent along all intervals of steps, which are the
    /// facets of a zonotope of steps and consecutive shifts: `w_j = Σ_{s ≤ t} |Σ_{r=s}^{t} G_rj| / √(t − s + 1)`.
    #[must_use]
    pub fn interval_weights(generators: ArrayView2<'_, f64>) -> Array1<f64> {
        let extent = |generator: ArrayView1<'_, f64>| -> f64 {
            let mut total = 0.0;
            for first in 0..generator.len() {
                let mut sum = 0.0;
                for (count, entry) in generator.iter().skip(first).enumerate() {
                    sum += entry;
                    total += f64::abs(sum) / ((count + 1) as f64).sqrt();
                }
            }
            total
        };
        generators.columns().into_iter().map(extent).collect()
    }

    /// `G`, one generator per column.
    #[must_use]
    pub fn generators(&self) -> &Array2<f64> {
        &self.generators
    }

    /// `c`, kW.
    #[must_use]
    pub fn centre_kw(&self) -> &Array1<f64> {
        &self.total.centre
    }

    /// `β`, one per generator, kW.
    #[must_use]
    pub fn extents_kw(&self) -> &Array1<f64> {
        &self.total.extent
    }

    /// Whether the zonotope of every vehicle is inside its set, `|H G| β_i + H c_i ≤ h_i` by arithmetic: the
    /// facet that is exceeded most, if one is by more than `tolerance_kw`.
    #[must_use]
    pub fn verify(&self, tolerance_kw: f64) -> Option<FacetViolation> {
        worst_violation(self.fleet, tolerance_kw, |class, normal| {
            let part = &self.parts[class];
            (
                normal.dot(&part.centre),
                crossings(self.generators.view(), normal).dot(&part.extent),
            )
        })
    }
}

/// `|aᵀ G|`.
fn crossings(generators: ArrayView2<'_, f64>, normal: &Array1<f64>) -> Array1<f64> {
    normal.dot(&generators).mapv(|sum| {
        if sum.abs() > NO_CROSSING {
            sum.abs()
        } else {
            0.0
        }
    })
}

/// The linear program of one vehicle, and its answer pulled inside as far as rounding asks for.
fn largest(
    facets: &Facets,
    generators: ArrayView2<'_, f64>,
    weights: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Part, Error> {
    let steps = facets.steps();
    let free = f64::INFINITY;
    let mut builder = ProblemBuilder::new("zonotope in a vehicle");
    // Generators that cross a flat slab, or are zero, have no extent.
    let mut usable: Vec<bool> = generators
        .columns()
        .into_iter()
        .map(|generator| generator.iter().any(|entry| *entry != 0.0))
        .collect();
    for slab in facets.flat() {
        for (usable, crossing) in usable.iter_mut().zip(crossings(generators, &slab.normal)) {
            *usable &= crossing == 0.0;
        }
    }
    let extent: Vec<VariableId> = usable
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(j, (&usable, weight))| {
            let most = if usable { free } else { 0.0 };
            builder.variable(format!("extent_{j}"), 0.0, most, -weight)
        })
        .collect();
    // The centre relative to the middle, and its running sums, which keep the rows short.
    let shift: Vec<VariableId> = (0..steps)
        .map(|t| builder.variable(format!("shift_{t}"), -free, free, 0.0))
        .collect();
    let sums: Vec<VariableId> = (0..steps)
        .map(|t| builder.variable(format!("sum_{t}"), -free, free, 0.0))
        .collect();
    for t in 0..steps {
        let before = t.checked_sub(1).map(|before| (sums[before], -1.0));
        let terms = [(sums[t], 1.0), (shift[t], -1.0)].into_iter().chain(before);
        builder.row(format!("running_{t}"), 0.0, terms, 0.0);
    }
    let mut before: Option<(VariableId, Array1<f64>)> = None;
    for (k, slab) in facets.slabs().iter().enumerate() {
        let along = if k < steps { sums[k] } else { shift[k - steps] };
        let crossing = crossings(generators, &slab.normal);
        // The radius `|aᵀ G| β` of a running sum is that of the one before and what changes in its step.
        let radius = builder.variable(format!("radius_{k}"), 0.0, free, 0.0);
        let (mut terms, mut change) = (vec![(radius, 1.0)], -&crossing);
        if k < steps {
            if let Some((known, crossing)) = before.take() {
                terms.push((known, -1.0));
                change += &crossing;
            }
            before = Some((radius, crossing));
        }
        let extents = extent.iter().copied().zip(change);
        terms.extend(extents.filter(|term| term.1.abs() > NO_CROSSING));
        builder.row(format!("radius_{k}"), 0.0, terms, 0.0);
        if slab.is_flat() {
            builder.set_bounds(along, 0.0, 0.0);
            continue;
        }
        let middle = slab.normal.dot(&facets.middle);
        let side = |sign: f64| [(along, 1.0), (radius, sign)];
        builder.row(format!("high_{k}"), -free, side(1.0), slab.high - middle);
        builder.row(format!("low_{k}"), slab.low - middle, side(-1.0), free);
    }
    let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
    let shift: Array1<f64> = shift.iter().map(|&shift| solution.value(shift)).collect();
    let basis = facets.free_directions();
    let centre = &facets.middle + &basis.dot(&basis.t().dot(&shift));
    let extent: Array1<f64> = extent
        .iter()
        .zip(&usable)
        .map(|(&extent, &usable)| {
            if usable {
                solution.value(extent).max(0.0)
            } else {
                0.0
            }
        })
        .collect();
    let share = facets.pull(centre.view(), |normal| {
        crossings(generators, normal).dot(&extent)
    });
    Ok(Part {
        centre: centre * (1.0 - share) + &facets.middle * share,
        extent: extent * (1.0 - share),
    })
}

impl Image for ZonotopeInner<'_> {
    fn image_steps(&self) -> usize {
        self.generators.nrows()
    }

    /// The coefficients `ζ`.
    fn write_image(&self, builder: &mut ProblemBuilder) -> ImageVariables {
        let coefficients = (0..self.generators.ncols())
            .map(|j| builder.variable(format!("coefficient_{j}"), -1.0, 1.0, 0.0))
            .collect();
        image_rows(builder, coefficients, self.total.centre.view(), |t, j| {
            self.generators[[t, j]] * self.total.extent[j]
        })
    }

    fn clean(&self, inner: Array1<f64>) -> Array1<f64> {
        inner.mapv(|coefficient| coefficient.clamp(-1.0, 1.0))
    }

    fn image(&self, inner: ArrayView1<'_, f64>) -> Array1<f64> {
        &self.total.centre + &self.generators.dot(&(&inner * &self.total.extent))
    }

    fn furthest(&self, direction: ArrayView1<'_, f64>) -> Array1<f64> {
        direction.dot(&self.generators).mapv(f64::signum)
    }
}

impl AggregateSet for ZonotopeInner<'_> {
    fn steps(&self) -> usize {
        self.generators.nrows()
    }

    fn step_hours(&self) -> f64 {
        self.fleet.step_hours()
    }

    fn claim(&self) -> Claim {
        self.claim
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        image::support(self, direction)
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        Ok(image::preimage(self, profile, tolerance_kw, solver)?.into_membership())
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        image::minimise(self, self.step_hours(), objective, solver, options)
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        let coefficients = image::preimage(self, profile, DEFAULT_TOLERANCE_KW, solver)?.found()?;
        let mut by_class = Array2::zeros((self.parts.len(), self.steps()));
        for (mut row, part) in by_class.outer_iter_mut().zip(&self.parts) {
            row.assign(&(&part.centre + &self.generators.dot(&(&coefficients * &part.extent))));
        }
        self.fleet.schedule_of_classes(&by_class)
    }
}

#[cfg(test)]
mod tests {
    use evflex_solver::Clarabel;

    use super::*;

    #[test]
    fn verification_sees_a_change_of_a_milliwatt() {
        let fleet = evflex_fleet::synthetic::appendix_c(3).expect("a fleet");
        let exact = FleetPolymatroid::exact(&fleet).expect("lossless");
        let set = ZonotopeInner::new(&exact, &Clarabel::default(), &Options::default());
        let mut set = set.expect("zonotopes");
        assert_eq!((set.claim(), set.verify(1e-9)), (Claim::Inner, None));
        set.parts[4].extent += 1e-6;
        let violation = set.verify(1e-9).expect("the fifth is too large now");
        assert!(violation.value > violation.bound, "{violation:?}");
    }

    #[test]
    fn generators_are_steps_then_shifts_the_nearest_first() {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let wanted = ndarray::array![
            [1.0, 0.0, 0.0, half, 0.0, half],
            [0.0, 1.0, 0.0, -half, half, 0.0],
            [0.0, 0.0, 1.0, 0.0, -half, -half],
        ];
        assert_eq!(ZonotopeInner::steps_and_shifts(3, 9), wanted);
        assert_eq!(
            ZonotopeInner::steps_and_shifts(1, 1),
            ndarray::array![[1.0]]
        );
        // A step is in one interval of length one, two of length two and one of length three, at most.
        let weights = ZonotopeInner::interval_weights(wanted.view());
        assert!((weights[1] - (1.0 + 2.0 * half + 3.0_f64.sqrt().recip())).abs() < 1e-12);
    }
}
