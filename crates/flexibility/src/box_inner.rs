//! The largest box inside the aggregate set: every step has a band of its own.

use std::time::Instant;

use evflex_fleet::Schedule;
use evflex_solver::{Options, ProgressReport, Solver};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    decision::on_threads,
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    generalized_polymatroid::PackedFleet,
    image::bounded_decision,
    objective::{Objective, cost_per_kw},
    per_vehicle::{CLAIM_TOLERANCE_KW, stop_if_over},
    quadratic::SeparableQuadratic,
};

/// A box `[l, h] ⊆ U`: the fleet can follow whatever stays between two profiles.
///
/// `U = {p(S) ≤ u(S) ≤ b(S)}` contains the box between two of its members `l ≤ h`, because
/// `p(S) ≤ l(S) ≤ u(S) ≤ h(S) ≤ b(S)` for every `u` in between. So containment is two questions of
/// membership ([`BoxInner::verify`]), polynomial at any number of steps.
///
/// [`BoxInner::largest`] has the largest volume of all boxes in `U`. The widths that a box in `U` can
/// have are the polymatroid
///
/// ```text
/// {w ≥ 0 : w(S) ≤ b(S) − p(S) for every S}
/// ```
///
/// (`w = h − l` with `h` in the submodular polyhedron of `b` and `−l` in that of `−p`, and the sum of
/// two submodular polyhedra is that of the sum). All separable concave symmetric functions of `w`, its
/// product and its smallest entry among them, have one and the same maximiser there: the point of
/// least norm of the base polytope of `b − p` (Fujishige 1980), found by the algorithm of the
/// projection onto `U` over the fleet and its mirror image, without a solver. Where a step
/// has no extent, the largest product is that of the others.
///
/// Decisions over a box are closed formulas. A profile of the box disaggregates like any other of `U`;
/// in [`BoxInner::of_vehicles`], a smaller box, every vehicle keeps a band of its own.
///
/// ```
/// use evflex_flexibility::{AggregateSet, BoxInner, FleetPolymatroid};
/// use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
/// use evflex_solver::Options;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Two hours, up to 4 kW, between 2 and 6 kWh in the end: widths that sum to at most 4 kW.
/// let vehicle = Vehicle::new("car", vec![0.0; 2], vec![4.0; 2], vec![0.0, 2.0], vec![6.0, 6.0])?;
/// let fleet = Fleet::new(TimeGrid::new(2, Hours(1.0))?, vec![vehicle])?;
/// let set = FleetPolymatroid::exact(&fleet)?;
/// let largest = BoxInner::largest(&set, &Options::default())?;
/// assert!((&largest.widths_kw() - 2.0).iter().all(|difference| difference.abs() < 1e-9));
/// assert!(largest.verify(1e-9)?.is_inside());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BoxInner<'a> {
    fleet: &'a FleetPolymatroid,
    lower: Array1<f64>,
    upper: Array1<f64>,
    /// Boxes of the classes of vehicles, when they sum to this one.
    shares: Option<Vec<Bounds>>,
    claim: Claim,
}

/// A box.
#[derive(Clone, Debug, PartialEq)]
struct Bounds {
    lower: Array1<f64>,
    upper: Array1<f64>,
}

/// Largest violation of a subset sum at which a box counts as inside, kW per kW of the fleet's power:
/// the rounding of sums over vehicles.
const ROUNDING: f64 = 1e-11;

impl<'a> BoxInner<'a> {
    /// The box of largest volume.
    ///
    /// # Errors
    /// [`Error::Threads`]; [`Error::Solver`] if the time is over or the computation was cancelled.
    pub fn largest(fleet: &'a FleetPolymatroid, options: &Options) -> Result<Self, Error> {
        Self::weighted(fleet, Array1::ones(fleet.steps()).view(), options)
    }

    /// The box with the largest `Π_t w_t^{a_t}`: widths are shared out in proportion to the weights `a > 0`
    /// of the steps, as far as `U` allows.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Domain`] for weights that are not positive; those of
    /// [`BoxInner::largest`].
    pub fn weighted(
        fleet: &'a FleetPolymatroid,
        weight: ArrayView1<'_, f64>,
        options: &Options,
    ) -> Result<Self, Error> {
        check_profile("the weights of the steps", weight, fleet.steps())?;
        if let Some(&value) = weight.iter().find(|&&weight| weight <= 0.0) {
            return Err(Error::Domain {
                what: "the weight of a step",
                value,
                domain: "positive",
            });
        }
        let bounds = on_threads(options.threads, || {
            largest_box(fleet.packed(), weight, options, Instant::now())
        })??;
        Self::checked(fleet, bounds, None)
    }

    /// The sum of the largest boxes of the vehicles: smaller than [`BoxInner::largest`], but a vehicle
    /// that knows `u` in a step knows its own power there, whatever the other steps are.
    ///
    /// ```text
    /// u_i = l_i + (h_i − l_i) / (h − l) · (u − l)
    /// ```
    ///
    /// # Errors
    /// As [`BoxInner::largest`].
    pub fn of_vehicles(fleet: &'a FleetPolymatroid, options: &Options) -> Result<Self, Error> {
        let started = Instant::now();
        let packed = fleet.packed();
        let weight = Array1::ones(fleet.steps());
        let shares: Vec<Bounds> = on_threads(options.threads, || {
            (0..packed.classes)
                .into_par_iter()
                .map(|class| {
                    let alone = PackedFleet::new(&[packed.vehicle_set(class)], fleet.steps(), 1);
                    largest_box(&alone, weight.view(), options, started)
                })
                .collect::<Result<_, _>>()
        })??;
        let mut sum = Bounds {
            lower: Array1::zeros(fleet.steps()),
            upper: Array1::zeros(fleet.steps()),
        };
        for &class in &packed.class_of_vehicle {
            sum.lower += &shares[class].lower;
            sum.upper += &shares[class].upper;
        }
        Self::checked(fleet, sum, Some(shares))
    }

    /// The box between two profiles of the fleet.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`]; [`Error::Domain`] if `lower` is above `upper` in a step;
    /// [`Error::Outside`] with the subset of steps that proves that the box is not inside `U`.
    pub fn between(
        fleet: &'a FleetPolymatroid,
        lower: ArrayView1<'_, f64>,
        upper: ArrayView1<'_, f64>,
        tolerance_kw: f64,
    ) -> Result<Self, Error> {
        check_profile("the lower profile", lower, fleet.steps())?;
        check_profile("the upper profile", upper, fleet.steps())?;
        if let Some(value) = (&upper - &lower).into_iter().find(|&width| width < 0.0) {
            return Err(Error::Domain {
                what: "the width of the box in a step",
                value,
                domain: "0 or more",
            });
        }
        let mut set = Self {
            fleet,
            lower: lower.to_owned(),
            upper: upper.to_owned(),
            shares: None,
            claim: Claim::Unproven,
        };
        if let Membership::Outside(witness) = set.verify(tolerance_kw)? {
            return Err(Error::Outside { witness });
        }
        set.claim = set.inner_claim();
        Ok(set)
    }

    fn checked(
        fleet: &'a FleetPolymatroid,
        bounds: Bounds,
        shares: Option<Vec<Bounds>>,
    ) -> Result<Self, Error> {
        let mut set = Self {
            fleet,
            lower: bounds.lower,
            upper: bounds.upper,
            shares,
            claim: Claim::Unproven,
        };
        let tolerance_kw = CLAIM_TOLERANCE_KW.max(ROUNDING * fleet.packed().power_scale());
        match set.verify(tolerance_kw) {
            Ok(Membership::Inside) => set.claim = set.inner_claim(),
            Ok(_) | Err(Error::Undecided { .. }) => {
                tracing::warn!(tolerance_kw, "the box could not be proven to be inside");
            }
            Err(error) => return Err(error),
        }
        Ok(set)
    }

    fn inner_claim(&self) -> Claim {
        self.fleet.claim().of_subset()
    }

    /// Whether the box is inside the aggregate set, up to `tolerance_kw` in every subset sum: both of its
    /// extreme profiles have to be members. Otherwise with a subset that proves it.
    ///
    /// # Errors
    /// [`Error::Domain`] for a negative tolerance; [`Error::Undecided`] if rounding forbids an answer.
    pub fn verify(&self, tolerance_kw: f64) -> Result<Membership, Error> {
        match self.fleet.contains(self.lower.view(), tolerance_kw)? {
            Membership::Inside => self.fleet.contains(self.upper.view(), tolerance_kw),
            outside => Ok(outside),
        }
    }

    /// `l`, kW per step.
    #[must_use]
    pub fn lower_kw(&self) -> &Array1<f64> {
        &self.lower
    }

    /// `h`, kW per step.
    #[must_use]
    pub fn upper_kw(&self) -> &Array1<f64> {
        &self.upper
    }

    /// `h − l`, kW per step.
    #[must_use]
    pub fn widths_kw(&self) -> Array1<f64> {
        &self.upper - &self.lower
    }

    fn corner(&self, direction: ArrayView1<'_, f64>) -> Array1<f64> {
        (0..direction.len())
            .map(|t| {
                if direction[t] > 0.0 {
                    self.upper[t]
                } else {
                    self.lower[t]
                }
            })
            .collect()
    }

    fn clamped(&self, wanted: &Array1<f64>) -> Array1<f64> {
        (0..wanted.len())
            .map(|t| wanted[t].max(self.lower[t]).min(self.upper[t]))
            .collect()
    }

    /// The best profile, and the slope of the cost that proves it.
    fn best(&self, objective: &Objective) -> (Array1<f64>, Array1<f64>) {
        let steps = self.lower.len();
        match objective {
            Objective::Energy { price_eur_per_mwh } => {
                let slope = cost_per_kw(price_eur_per_mwh, self.step_hours());
                (self.corner((-&slope).view()), slope)
            }
            Objective::Tracking { target_kw, weight } => {
                let profile = self.clamped(target_kw);
                let slope = 2.0 * weight * (&profile - target_kw);
                (profile, slope)
            }
            Objective::Peak { load_kw } => {
                let profile = self.clamped(&-load_kw);
                let mut slope = Array1::zeros(steps);
                let net = &profile + load_kw;
                if let Some(t) = (0..steps).max_by(|&a, &b| net[a].abs().total_cmp(&net[b].abs()))
                    && net[t] != 0.0
                {
                    slope[t] = net[t].signum();
                }
                (profile, slope)
            }
            Objective::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                // A higher peak lets the steps with negative prices take more. It is worth its rate as
                // long as those that still want more pay for it.
                let mut slope = cost_per_kw(price_eur_per_mwh, self.step_hours());
                let (low, high) = (&self.lower + load_kw, &self.upper + load_kw);
                let by_height = |levels: &Array1<f64>| {
                    (0..steps).max_by(|&a, &b| levels[a].total_cmp(&levels[b]))
                };
                let Some(mut limiting) = by_height(&low) else {
                    return (self.lower.clone(), slope);
                };
                let mut peak = low[limiting];
                let mut wanting: Vec<usize> = (0..steps)
                    .filter(|&t| slope[t] < 0.0 && high[t] > peak)
                    .collect();
                wanting.sort_by(|&a, &b| high[b].total_cmp(&high[a]));
                let mut left = *rate_eur_per_kw;
                let mut paid = Vec::new();
                for t in wanting {
                    if -slope[t] > left {
                        (limiting, peak) = (t, high[t]);
                        break;
                    }
                    left += slope[t];
                    paid.push(t);
                }
                let profile = (0..steps)
                    .map(|t| {
                        if slope[t] < 0.0 {
                            self.upper[t].min(peak - load_kw[t]).max(self.lower[t])
                        } else {
                            self.lower[t]
                        }
                    })
                    .collect();
                for t in paid {
                    slope[t] = 0.0;
                }
                slope[limiting] += left;
                (profile, slope)
            }
        }
    }
}

/// Two members of the set whose difference is the point of least weighted norm of the base polytope
/// of `b − p`: the top face of the set minus itself.
fn largest_box(
    packed: &PackedFleet,
    weight: ArrayView1<'_, f64>,
    options: &Options,
    started: Instant,
) -> Result<Bounds, Error> {
    let steps = packed.steps;
    let difference = packed.difference();
    // Beyond every width, the nearest point to a multiple of the weights lies on the top face.
    let beyond = 1.0 + 2.0 * difference.power_scale();
    let smallest = weight.iter().copied().fold(f64::INFINITY, f64::min);
    let target = weight.mapv(|weight| beyond * weight / smallest);
    let mut projection = SeparableQuadratic::projection(
        &difference,
        target,
        weight.mapv(|weight| smallest / weight),
    );
    let mut sweeps = 0;
    loop {
        stop_if_over("largest box", options, started)?;
        if !projection.sweep() {
            break;
        }
        sweeps += 1;
        options.report(&ProgressReport::new("largest box", sweeps));
    }
    let mixture = projection.mixture();
    let (mut upper, mut lower) = (Array1::zeros(steps), Array1::zeros(steps));
    for (index, permutation) in mixture.permutations().iter().enumerate() {
        let weights = mixture.weights(index);
        if weights.iter().all(|&weight| weight == 0.0) {
            continue;
        }
        for (group, vertex) in difference
            .group_vertices(permutation)
            .outer_iter()
            .enumerate()
        {
            if group < packed.groups {
                upper.scaled_add(weights[group], &vertex);
            } else {
                lower.scaled_add(-weights[group], &vertex);
            }
        }
    }
    // At the optimum the two profiles cross by rounding at most.
    if let Some(share) = crossing(&lower, &upper) {
        let middle: Array1<f64> = 0.5 * (&lower + &upper);
        if share > CROSSING {
            tracing::warn!(
                share,
                "rounding kept the largest box from being found; a point is left"
            );
            return Ok(Bounds {
                lower: middle.clone(),
                upper: middle,
            });
        }
        for t in 0..steps {
            if lower[t] > upper[t] {
                lower[t] = middle[t];
                upper[t] = middle[t];
            }
        }
    }
    Ok(Bounds { lower, upper })
}

/// Largest crossing of two profiles that is rounding, as a share of the size of the profiles.
const CROSSING: f64 = 1e-9;

/// By how much the lower profile is above the upper one anywhere, as a share of their size.
fn crossing(lower: &Array1<f64>, upper: &Array1<f64>) -> Option<f64> {
    let most = (lower - upper).into_iter().fold(0.0, f64::max);
    let scale = lower
        .iter()
        .chain(upper)
        .fold(1.0, |scale, power| f64::max(scale, power.abs()));
    (most > 0.0).then_some(most / scale)
}

impl AggregateSet for BoxInner<'_> {
    fn steps(&self) -> usize {
        self.lower.len()
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
        check_profile("direction", direction, self.steps())?;
        let profile_kw = self.corner(direction);
        Ok(SupportPoint {
            value: direction.dot(&profile_kw),
            profile_kw,
        })
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        _solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        check_profile("profile", profile, self.steps())?;
        let mut worst = Membership::Inside;
        let mut most = tolerance_kw;
        for t in 0..self.steps() {
            for (sign, excess_kw) in [
                (1.0, profile[t] - self.upper[t]),
                (-1.0, self.lower[t] - profile[t]),
            ] {
                if excess_kw > most {
                    most = excess_kw;
                    let mut direction = Array1::zeros(self.steps());
                    direction[t] = sign;
                    worst = Membership::Separated {
                        direction,
                        excess_kw,
                    };
                }
            }
        }
        Ok(worst)
    }

    fn minimise(
        &self,
        objective: &Objective,
        _solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        objective.check(self.steps())?;
        let started = Instant::now();
        let (profile_kw, slope) = self.best(objective);
        Ok(bounded_decision(
            objective,
            self.step_hours(),
            profile_kw,
            slope,
            |slope| slope.dot(&self.corner((-slope).view())),
            options,
            started,
        ))
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        if let Membership::Separated { excess_kw, .. } =
            self.contains(profile, DEFAULT_TOLERANCE_KW, solver)?
        {
            return Err(Error::Separated { excess_kw });
        }
        let Some(shares) = &self.shares else {
            return self
                .fleet
                .schedule(&self.fleet.decompose(profile, DEFAULT_TOLERANCE_KW)?);
        };
        let width = self.widths_kw();
        let place: Array1<f64> = (0..self.steps())
            .map(|t| {
                if width[t] > 0.0 {
                    ((profile[t] - self.lower[t]) / width[t]).clamp(0.0, 1.0)
                } else {
                    0.0
                }
            })
            .collect();
        let mut by_class = Array2::zeros((shares.len(), self.steps()));
        for (mut row, share) in by_class.outer_iter_mut().zip(shares) {
            row.assign(&(&share.lower + &((&share.upper - &share.lower) * &place)));
        }
        self.fleet.schedule_of_classes(&by_class)
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
    use ndarray::array;

    use super::*;

    /// A vehicle whose final energy has a narrow band, and one that only has power limits.
    fn shifting_and_free() -> FleetPolymatroid {
        let shifting = Vehicle::new(
            "shifting",
            vec![-1.0; 2],
            vec![1.0; 2],
            vec![-9.0, -0.5],
            vec![9.0, 0.5],
        );
        let free = Vehicle::new(
            "free",
            vec![0.0; 2],
            vec![1.0, 2.0],
            vec![0.0; 2],
            vec![9.0; 2],
        );
        let grid = TimeGrid::new(2, Hours(1.0)).expect("a grid");
        let fleet = Fleet::new(grid, vec![shifting.expect("valid"), free.expect("valid")]);
        FleetPolymatroid::exact(&fleet.expect("feasible")).expect("lossless")
    }

    #[test]
    fn the_fleet_has_a_larger_box_than_its_vehicles() {
        // b − p is 3, 4 and 4 for {0}, {1} and both, so the largest product of widths is 2 · 2; the
        // vehicles alone have 0.5 · 0.5 and 1 · 2.
        let fleet = shifting_and_free();
        let largest = BoxInner::largest(&fleet, &Options::default()).expect("a box");
        for width in largest.widths_kw() {
            assert_abs_diff_eq!(width, 2.0, epsilon = 1e-12);
        }
        let own = BoxInner::of_vehicles(&fleet, &Options::default()).expect("a box");
        assert_abs_diff_eq!(own.widths_kw()[0], 1.5, epsilon = 1e-12);
        assert_abs_diff_eq!(own.widths_kw()[1], 2.5, epsilon = 1e-12);
        assert_eq!((largest.claim(), own.claim()), (Claim::Inner, Claim::Inner));
    }

    #[test]
    fn weights_share_the_width() {
        let fleet = shifting_and_free();
        let set = BoxInner::weighted(&fleet, array![1.0, 3.0].view(), &Options::default());
        let widths = set.expect("a box").widths_kw();
        assert_abs_diff_eq!(widths[0], 1.0, epsilon = 1e-9);
        assert_abs_diff_eq!(widths[1], 3.0, epsilon = 1e-9);
    }

    #[test]
    fn verification_sees_a_change_of_a_milliwatt() {
        let fleet = shifting_and_free();
        let mut set = BoxInner::largest(&fleet, &Options::default()).expect("a box");
        assert!(set.verify(1e-9).expect("decided").is_inside());
        set.upper[0] += 1e-6;
        assert!(!set.verify(1e-9).expect("decided").is_inside());
    }

    #[test]
    fn boxes_between_profiles_are_judged() {
        let fleet = shifting_and_free();
        let low = array![0.0, 0.0];
        assert!(BoxInner::between(&fleet, low.view(), array![1.0, 1.0].view(), 1e-9).is_ok());
        let error = BoxInner::between(&fleet, low.view(), array![2.0, 2.0].view(), 1e-9)
            .expect_err("more energy than the fleet can take");
        assert!(
            error.to_string().contains("over the steps [0, 1]"),
            "{error}"
        );
        let error = BoxInner::between(&fleet, array![1.0, 0.0].view(), low.view(), 1e-9)
            .expect_err("crossed");
        assert!(error.to_string().contains("-1"), "{error}");
        let error = BoxInner::weighted(&fleet, array![1.0, 0.0].view(), &Options::default())
            .expect_err("no weight");
        assert!(error.to_string().contains("must be positive"), "{error}");
    }
}
