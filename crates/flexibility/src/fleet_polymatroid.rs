//! The aggregate flexibility set of a fleet as a generalised polymatroid.

use evflex_fleet::{Fleet, Schedule, TimeGrid};
use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, Membership, Side, SupportPoint, Witness},
    decision,
    error::{Error, check_profile},
    generalized_polymatroid::{LANES, PackedFleet, Permutation, Scratch, SetFunctionTable},
    mixture::VertexMixture,
    objective::Objective,
    quadratic::SeparableQuadratic,
    vehicle_set::VehicleSet,
};

/// Groups of vehicles with weights of their own in convex combinations of vertices.
///
/// Measured at T = 96 and 10,000 vehicles: one group needs 33 rounds to a gap of 1e-6, 8 groups 8
/// rounds, 32 groups 5 rounds (each round costs about the same); beyond that little is gained.
const GROUPS: usize = 32;

/// Default tolerance on every subset sum when a profile is tested or disaggregated, kW.
pub const DEFAULT_TOLERANCE_KW: f64 = 1e-6;

/// The set of all aggregate profiles that a fleet can follow, exactly.
///
/// ```text
/// U = Σ_i U_i = {u : p(S) ≤ u(S) ≤ b(S) for every set S of steps},   b = Σ_i b_i,   p = Σ_i p_i
/// ```
///
/// (Mukhi, Loho, Abate 2025, arXiv 2503.23458.) Every question is answered by walking chains of
/// subsets, vehicle by vehicle: O(T²) per vehicle for a linear function, no solver, any number of
/// vehicles and steps. Vehicles with equal sets are stored once.
///
/// ```
/// use evflex_flexibility::FleetPolymatroid;
/// use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Two hours, 4 kW, between 2 and 6 kWh in the end.
/// let vehicle = Vehicle::new("car", vec![0.0; 2], vec![4.0; 2], vec![0.0, 2.0], vec![6.0, 6.0])?;
/// let fleet = Fleet::new(TimeGrid::new(2, Hours(1.0))?, vec![vehicle])?;
/// let set = FleetPolymatroid::exact(&fleet)?;
/// assert_eq!(set.subset_bounds(&[0])?, (0.0, 4.0));
/// assert_eq!(set.subset_bounds(&[0, 1])?, (2.0, 6.0));
/// assert!(!set.contains(ndarray::aview1(&[4.0, 3.0]), 1e-9)?.is_inside());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FleetPolymatroid {
    grid: TimeGrid,
    ids: Vec<String>,
    packed: PackedFleet,
    claim: Claim,
}

/// A [`Decision`] over a [`FleetPolymatroid`], with the rule that disaggregates it.
#[derive(Clone, Debug)]
pub struct PolymatroidDecision {
    /// Profile, cost and bound.
    pub decision: Decision,
    /// The profile as a convex combination of vertices; see [`FleetPolymatroid::schedule`].
    pub mixture: VertexMixture,
}

impl FleetPolymatroid {
    /// The exact aggregate set.
    ///
    /// # Errors
    /// [`Error::Lossy`] names a vehicle that discharges with losses: then no exact set of this kind
    /// exists. Lossy vehicles that only charge are exact.
    pub fn exact(fleet: &Fleet) -> Result<Self, Error> {
        let sets: Vec<VehicleSet> = fleet
            .vehicles()
            .par_iter()
            .map(|vehicle| VehicleSet::exact(vehicle, fleet.step_hours()))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(fleet, &sets, Claim::Exact))
    }

    /// The exact aggregate set where it exists, otherwise the exact set of the fleet in which lossy
    /// vehicles never discharge; [`FleetPolymatroid::claim`] says which it is.
    ///
    /// # Errors
    /// [`Error::MustDischarge`] names a lossy vehicle that is feasible only by discharging.
    pub fn inner(fleet: &Fleet) -> Result<Self, Error> {
        let restricted = fleet
            .vehicles()
            .iter()
            .any(|vehicle| !vehicle.is_lossless() && !vehicle.charges_only());
        let sets: Vec<VehicleSet> = fleet
            .vehicles()
            .par_iter()
            .map(|vehicle| VehicleSet::inner(vehicle, fleet.step_hours()))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(
            fleet,
            &sets,
            if restricted {
                Claim::Inner
            } else {
                Claim::Exact
            },
        ))
    }

    fn new(fleet: &Fleet, sets: &[VehicleSet], claim: Claim) -> Self {
        let ids = fleet
            .vehicles()
            .iter()
            .map(|vehicle| vehicle.id().to_owned());
        Self::of_sets(fleet.grid().clone(), ids.collect(), sets, claim)
    }

    /// The sum of `sets`, one per name, with a claim that the caller can prove.
    pub(crate) fn of_sets(
        grid: TimeGrid,
        ids: Vec<String>,
        sets: &[VehicleSet],
        claim: Claim,
    ) -> Self {
        let packed = PackedFleet::new(sets, grid.steps(), GROUPS);
        tracing::debug!(
            vehicles = sets.len(),
            classes = packed.classes,
            steps = grid.steps(),
            "packed fleet"
        );
        Self {
            grid,
            ids,
            packed,
            claim,
        }
    }

    /// The grid of the profiles.
    pub(crate) fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.packed.steps
    }

    /// Length of a step, h.
    #[must_use]
    pub fn step_hours(&self) -> f64 {
        self.grid.step_hours()
    }

    /// What is claimed: [`Claim::Exact`], or [`Claim::Inner`] when lossy vehicles were restricted.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Number of distinct vehicle sets; the work of every question is proportional to it.
    #[must_use]
    pub fn distinct_vehicles(&self) -> usize {
        self.packed.classes
    }

    /// `p(S)` and `b(S)`: the smallest and the largest sum of the aggregate power over a subset of
    /// steps, kW.
    ///
    /// # Errors
    /// [`Error::Subset`] if a step does not exist.
    pub fn subset_bounds(&self, subset: &[usize]) -> Result<(f64, f64), Error> {
        let steps = self.steps();
        let mut chosen = vec![false; steps];
        for &step in subset {
            *chosen.get_mut(step).ok_or(Error::Subset { step, steps })? = true;
        }
        let (b, _) = self.packed.set_functions(&chosen);
        for side in &mut chosen {
            *side = !*side;
        }
        let (_, p) = self.packed.set_functions(&chosen);
        Ok((p, b))
    }

    /// Every value of both set functions.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`] beyond [`crate::MAX_TABLE_STEPS`] steps.
    pub fn table(&self) -> Result<SetFunctionTable, Error> {
        self.packed.table()
    }

    /// The smallest and the largest aggregate power of each step by itself, kW.
    #[must_use]
    pub fn band_kw(&self) -> (Array1<f64>, Array1<f64>) {
        let mut lowest = Array1::zeros(self.steps());
        let mut highest = Array1::zeros(self.steps());
        let mut chosen = vec![false; self.steps()];
        for t in 0..self.steps() {
            chosen[t] = true;
            highest[t] = self.packed.set_functions(&chosen).0;
            for side in &mut chosen {
                *side = !*side;
            }
            lowest[t] = self.packed.set_functions(&chosen).1;
            for side in &mut chosen {
                *side = !*side;
            }
            chosen[t] = false;
        }
        (lowest, highest)
    }

    /// The vertex of one permutation, kW per step.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Subset`] if it is not a permutation of the steps.
    pub fn vertex(&self, permutation: &Permutation) -> Result<Array1<f64>, Error> {
        let steps = self.steps();
        let mut seen = vec![false; steps];
        for &step in permutation.upper.iter().chain(&permutation.lower) {
            *seen.get_mut(step).ok_or(Error::Subset { step, steps })? = true;
        }
        let found = permutation.upper.len() + permutation.lower.len();
        if found != steps || seen.contains(&false) {
            return Err(Error::Length {
                what: "the permutation",
                expected: steps,
                found,
            });
        }
        Ok(self
            .packed
            .group_vertices(permutation)
            .sum_axis(ndarray::Axis(0)))
    }

    /// The largest value of `direction · u`, with a maximiser: the greedy algorithm.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::NotFinite`] for a bad direction.
    pub fn support(&self, direction: ArrayView1<'_, f64>) -> Result<SupportPoint, Error> {
        check_profile("direction", direction, self.steps())?;
        let permutation = Permutation::maximising(direction);
        let profile_kw = self
            .packed
            .group_vertices(&permutation)
            .sum_axis(ndarray::Axis(0));
        Ok(SupportPoint {
            value: direction.dot(&profile_kw),
            profile_kw,
        })
    }

    /// Whether the fleet can follow `profile`, up to `tolerance_kw` in every subset sum; if not,
    /// with a subset that proves it.
    ///
    /// Projects the profile onto the set. While the projection `u` differs, the level sets of
    /// `u − profile` are candidates for violated subsets; at the projection the largest violation
    /// is among them.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::NotFinite`] for a bad profile.
    pub fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
    ) -> Result<Membership, Error> {
        check_profile("profile", profile, self.steps())?;
        Ok(match self.project(profile, tolerance_kw)?.1 {
            None => Membership::Inside,
            Some(witness) => Membership::Outside(witness),
        })
    }

    /// The profile as a convex combination of vertices: permutations and weights.
    ///
    /// # Errors
    /// [`Error::Outside`] with a witness if the profile breaks an inequality by more than
    /// `tolerance_kw`.
    pub fn decompose(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
    ) -> Result<VertexMixture, Error> {
        check_profile("profile", profile, self.steps())?;
        match self.project(profile, tolerance_kw)? {
            (mixture, None) => Ok(mixture),
            (_, Some(witness)) => Err(Error::Outside { witness }),
        }
    }

    /// A schedule for every vehicle from a convex combination of vertices: vehicle `i` follows the
    /// same combination of its own vertices.
    ///
    /// # Errors
    /// [`Error::ForeignMixture`] if the mixture was made for another fleet.
    pub fn schedule(&self, mixture: &VertexMixture) -> Result<Schedule, Error> {
        let groups = self.packed.groups;
        if mixture.groups() != groups {
            return Err(Error::ForeignMixture {
                expected: groups,
                found: mixture.groups(),
            });
        }
        let steps = self.steps();
        let by_class: Vec<Vec<f64>> = self
            .packed
            .blocks
            .par_iter()
            .map_init(Scratch::default, |scratch, block| {
                let mut lanes = vec![0.0; LANES * steps];
                for (index, permutation) in mixture.permutations().iter().enumerate() {
                    let weights = mixture.weights(index);
                    if (0..LANES).all(|lane| weights[block.group[lane]] == 0.0) {
                        continue;
                    }
                    scratch.walk(block, permutation);
                    for (offset, vertex) in scratch.vertex.iter().enumerate() {
                        for lane in 0..block.used {
                            lanes[lane * steps + block.first + offset] +=
                                weights[block.group[lane]] * vertex[lane];
                        }
                    }
                }
                lanes
            })
            .collect();
        let mut power_kw = Array2::zeros((self.ids.len(), steps));
        for (mut row, &class) in power_kw.outer_iter_mut().zip(&self.packed.class_of_vehicle) {
            let lane = class % LANES;
            row.assign(&ArrayView1::from(
                &by_class[class / LANES][lane * steps..(lane + 1) * steps],
            ));
        }
        Ok(Schedule::new(
            self.grid.clone(),
            self.ids.clone(),
            power_kw,
        )?)
    }

    /// The aggregate profile of a convex combination of vertices, kW per step.
    ///
    /// # Errors
    /// [`Error::ForeignMixture`] if the mixture was made for another fleet.
    pub fn profile(&self, mixture: &VertexMixture) -> Result<Array1<f64>, Error> {
        let groups = self.packed.groups;
        if mixture.groups() != groups {
            return Err(Error::ForeignMixture {
                expected: groups,
                found: mixture.groups(),
            });
        }
        let mut profile = Array1::zeros(self.steps());
        for (index, permutation) in mixture.permutations().iter().enumerate() {
            profile += &mixture
                .weights(index)
                .dot(&self.packed.group_vertices(permutation));
        }
        Ok(profile)
    }

    /// A vehicle of a class.
    pub(crate) fn vehicle_of_class(&self, class: usize) -> &str {
        let of_class = |&known: &usize| known == class;
        self.packed
            .class_of_vehicle
            .iter()
            .position(of_class)
            .map_or("", |vehicle| &self.ids[vehicle])
    }

    /// The schedule in which every vehicle follows the profile of its class (classes × T, kW).
    pub(crate) fn schedule_of_classes(&self, by_class: &Array2<f64>) -> Result<Schedule, Error> {
        let power_kw = by_class.select(ndarray::Axis(0), &self.packed.class_of_vehicle);
        Ok(Schedule::new(
            self.grid.clone(),
            self.ids.clone(),
            power_kw,
        )?)
    }

    /// The best profile, with a bound that proves how good it is and the rule that disaggregates it.
    ///
    /// - energy: the greedy vertex, exact;
    /// - peak: the point of the set nearest to `−load` minimises `‖u + load‖∞` as well, because for
    ///   generalised polymatroids one point minimises every even strictly convex separable function;
    ///   the level sets of `u + load` give the bound `(p(S) + load(S)) / |S|`;
    /// - tracking: the same algorithm, bounded by the linearisation at its point;
    /// - demand charge: the method of multipliers over the same algorithm, which ends exactly.
    ///
    /// No solver is involved.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Domain`] for a bad objective;
    /// [`Error::Threads`].
    pub fn decide(
        &self,
        objective: &Objective,
        options: &Options,
    ) -> Result<PolymatroidDecision, Error> {
        decision::decide(self, objective, options)
    }

    pub(crate) fn packed(&self) -> &PackedFleet {
        &self.packed
    }

    /// Projects `profile`, and finds a witness if it is outside by more than the tolerance.
    fn project(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
    ) -> Result<(VertexMixture, Option<Witness>), Error> {
        if !(tolerance_kw >= 0.0 && tolerance_kw.is_finite()) {
            return Err(Error::Domain {
                what: "tolerance_kw",
                value: tolerance_kw,
                domain: "a finite number that is not negative",
            });
        }
        let scale = 1.0 + profile.iter().map(|power| power.abs()).sum::<f64>();
        let mut projection = SeparableQuadratic::projection(
            &self.packed,
            profile.to_owned(),
            Array1::ones(self.steps()),
        );
        loop {
            let distance: f64 = (projection.point() - &profile)
                .iter()
                .map(|power| power.abs())
                .sum();
            if distance <= NEGLIGIBLE * scale {
                return Ok((projection.mixture(), None));
            }
            let pass = projection.pass();
            let witness = worst_witness(profile, &pass.order, pass.vertex.view());
            if let Some(witness) =
                witness.filter(|witness| witness.violation_kw() > tolerance_kw + NEGLIGIBLE * scale)
            {
                return Ok((projection.mixture(), Some(witness)));
            }
            if !projection.sweep() {
                // Nothing improves any more: this is the projection. Then the steps where it is
                // above the profile, and those where it is below, are the most violated subsets.
                let difference = projection.point() - &profile;
                let above: f64 = difference.iter().map(|power| power.max(0.0)).sum();
                let below: f64 = difference.iter().map(|power| -power.min(0.0)).sum();
                if above.max(below) <= tolerance_kw + UNDECIDED * scale {
                    return Ok((projection.mixture(), None));
                }
                return Err(Error::Undecided {
                    distance_kw: above.max(below),
                    tolerance_kw,
                });
            }
        }
    }
}

/// Distances below this share of the size of a profile are rounding.
const NEGLIGIBLE: f64 = 1e-12;

/// Largest share of the size of a profile that rounding may leave between a projection and its proof.
const UNDECIDED: f64 = 1e-9;

/// The most violated subset along the two chains of a permutation, whose vertex attains the bounds.
fn worst_witness(
    profile: ArrayView1<'_, f64>,
    order: &Permutation,
    vertex: ArrayView1<'_, f64>,
) -> Option<Witness> {
    let mut worst: Option<Witness> = None;
    for (steps, side) in [(&order.upper, Side::Upper), (&order.lower, Side::Lower)] {
        let (mut sum_kw, mut bound_kw) = (0.0, 0.0);
        for (count, &t) in steps.iter().enumerate() {
            sum_kw += profile[t];
            bound_kw += vertex[t];
            let violation = if side == Side::Upper {
                sum_kw - bound_kw
            } else {
                bound_kw - sum_kw
            };
            if violation > worst.as_ref().map_or(0.0, Witness::violation_kw) {
                let mut steps = steps[..=count].to_vec();
                steps.sort_unstable();
                worst = Some(Witness {
                    steps,
                    sum_kw,
                    bound_kw,
                    side,
                });
            }
        }
    }
    worst
}

impl AggregateSet for FleetPolymatroid {
    fn steps(&self) -> usize {
        self.steps()
    }

    fn step_hours(&self) -> f64 {
        self.step_hours()
    }

    fn claim(&self) -> Claim {
        self.claim()
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        self.support(direction)
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        _solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        self.contains(profile, tolerance_kw)
    }

    fn minimise(
        &self,
        objective: &Objective,
        _solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        Ok(self.decide(objective, options)?.decision)
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        self.schedule(&self.decompose(profile, DEFAULT_TOLERANCE_KW)?)
    }
}
