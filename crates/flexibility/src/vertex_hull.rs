//! Hulls of points of the aggregate set: no certificate needed but the points' own schedules.

use std::time::Instant;

use evflex_fleet::Schedule;
use evflex_solver::{Options, ProblemBuilder, ProgressReport, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, DecisionStatus, Membership, SupportPoint},
    decision::on_threads,
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    generalized_polymatroid::Permutation,
    image::{self, Image, ImageVariables, Preimage, bounded_decision, image_rows},
    mixture::VertexMixture,
    objective::{Objective, cost_per_kw},
    per_vehicle::stop_if_over,
};

/// The convex hull of profiles that the fleet can follow.
///
/// ```text
/// { Σ_k λ_k v_k : λ ≥ 0, Σ_k λ_k = 1 },   v_k ∈ U
/// ```
///
/// It is inside `U` because `U` is convex and every `v_k` is in it. What proves the latter is what
/// disaggregates: each `v_k` is kept with the combination of greedy vertices that it is, and a point of
/// the hull mixes the vehicles' own schedules with the weights `λ`.
///
/// The energy cost of a decision is the smallest of the points', without a solver; the others are programs
/// over few of the points, to which those that the multipliers ask for are added until none is left. Hulls of the optima of past days are what a learned set has to beat.
///
/// ```
/// use evflex_flexibility::{AggregateSet, FleetPolymatroid, Objective, VertexHull};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fleet = evflex_fleet::synthetic::appendix_c(1)?;
/// let set = FleetPolymatroid::exact(&fleet)?;
/// let hull = VertexHull::sampled(&set, 40, 7)?;
/// let load_kw = ndarray::Array1::linspace(40.0, 25.0, set.steps());
/// let best = hull.minimise(&Objective::Peak { load_kw }, &Clarabel::default(), &Options::default())?;
/// let schedule = hull.disaggregate(best.profile_kw.view(), &Clarabel::default())?;
/// assert!(schedule.check(&fleet, 1e-6)?.is_feasible());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VertexHull<'a> {
    fleet: &'a FleetPolymatroid,
    /// points × T
    points: Array2<f64>,
    rules: Vec<VertexMixture>,
    claim: Claim,
}

/// Largest error of the sum of a rule's weights, and of a point's distance from what its rule gives
/// per kW of the fleet's power: rounding.
const ROUNDING: f64 = 1e-11;

impl<'a> VertexHull<'a> {
    /// The hull of the vertices that maximise `direction · u`, one for each direction. The optimum of a
    /// price vector is that of the direction `−price`.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`] for a bad direction; [`Error::NoPoints`].
    pub fn of_directions<'d>(
        fleet: &'a FleetPolymatroid,
        directions: impl IntoIterator<Item = ArrayView1<'d, f64>>,
    ) -> Result<Self, Error> {
        let groups = fleet.packed().groups;
        let rules = directions
            .into_iter()
            .map(|direction| {
                check_profile("direction", direction, fleet.steps())?;
                let permutation = Permutation::maximising(direction);
                Ok(VertexMixture::vertex(permutation, groups))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Self::of_mixtures(fleet, rules)
    }

    /// The hull of the vertices of `count` random directions, with entries uniform in −1..1.
    ///
    /// # Errors
    /// [`Error::NoPoints`].
    pub fn sampled(fleet: &'a FleetPolymatroid, count: usize, seed: u64) -> Result<Self, Error> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let directions =
            Array2::from_shape_simple_fn((count, fleet.steps()), || rng.random_range(-1.0..1.0));
        Self::of_directions(fleet, directions.rows())
    }

    /// The hull of the best profiles of the exact set for given objectives, such as those of past days.
    ///
    /// # Errors
    /// Those of [`FleetPolymatroid::decide`]; [`Error::NoPoints`]; [`Error::Solver`] if the time is over or
    /// the computation cancelled before the last one.
    pub fn of_objectives(
        fleet: &'a FleetPolymatroid,
        objectives: &[Objective],
        options: &Options,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let total = objectives.len();
        let mut run = options.clone();
        run.threads = None; // the pool is made once
        let mut done = 0;
        let rules = on_threads(options.threads, || {
            objectives
                .iter()
                .map(|objective| {
                    stop_if_over("optima of objectives", options, started)?;
                    let rule = fleet.decide(objective, &run.remaining(started))?.mixture;
                    done += 1;
                    let mut report = ProgressReport::new("optima of objectives", done);
                    report.total = Some(total as u64);
                    options.report(&report);
                    Ok(rule)
                })
                .collect::<Result<Vec<_>, Error>>()
        })??;
        Self::of_mixtures(fleet, rules)
    }

    /// The hull of given profiles, one per row.
    ///
    /// # Errors
    /// [`Error::Outside`] with a witness if a profile is not in the aggregate set by more than
    /// `tolerance_kw`; [`Error::Length`], [`Error::NotFinite`], [`Error::Undecided`], [`Error::NoPoints`].
    pub fn of_profiles<'p>(
        fleet: &'a FleetPolymatroid,
        profiles: impl IntoIterator<Item = ArrayView1<'p, f64>>,
        tolerance_kw: f64,
    ) -> Result<Self, Error> {
        let rules = profiles
            .into_iter()
            .map(|profile| fleet.decompose(profile, tolerance_kw))
            .collect::<Result<Vec<_>, Error>>()?;
        Self::of_mixtures(fleet, rules)
    }

    /// The hull of the profiles of given rules, for instance of decisions that were made before.
    ///
    /// Equal profiles are kept once.
    ///
    /// # Errors
    /// [`Error::ForeignMixture`] if a mixture was made for another fleet; [`Error::NoPoints`].
    pub fn of_mixtures(
        fleet: &'a FleetPolymatroid,
        mixtures: impl IntoIterator<Item = VertexMixture>,
    ) -> Result<Self, Error> {
        let mut points = Array2::zeros((0, fleet.steps()));
        let mut rules = Vec::new();
        for rule in mixtures {
            let point = fleet.profile(&rule)?;
            if !points.rows().into_iter().any(|known| known == point) {
                points.push_row(point.view()).map_err(|_| Error::Length {
                    what: "a point",
                    expected: fleet.steps(),
                    found: point.len(),
                })?;
                rules.push(rule);
            }
        }
        if rules.is_empty() {
            return Err(Error::NoPoints);
        }
        let mut hull = Self {
            fleet,
            points,
            rules,
            claim: Claim::Unproven,
        };
        if hull.verify(ROUNDING * (1.0 + fleet.packed().power_scale()))? {
            hull.claim = fleet.claim().of_subset();
        }
        Ok(hull)
    }

    /// Whether every point is what its rule gives, up to `tolerance_kw` in each step, and the weights of
    /// its rule are not negative and sum to one for every vehicle. Then the hull is inside.
    ///
    /// # Errors
    /// None for a hull made by this crate; the type is that of [`FleetPolymatroid::profile`].
    pub fn verify(&self, tolerance_kw: f64) -> Result<bool, Error> {
        for (point, rule) in self.points.rows().into_iter().zip(&self.rules) {
            let followed = self.fleet.profile(rule)?;
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance_kw;
            if !rule.is_convex(ROUNDING) || !followed.iter().zip(&point).all(close) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no point at all; never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The points, one per row, kW.
    #[must_use]
    pub fn points_kw(&self) -> &Array2<f64> {
        &self.points
    }

    /// The rule of every point: the combination of greedy vertices that it is.
    #[must_use]
    pub fn rules(&self) -> &[VertexMixture] {
        &self.rules
    }

    fn furthest(&self, direction: ArrayView1<'_, f64>) -> SupportPoint {
        let values = self.points.dot(&direction);
        let best = (0..self.len())
            .max_by(|&a, &b| values[a].total_cmp(&values[b]))
            .unwrap_or(0);
        SupportPoint {
            value: values[best],
            profile_kw: self.points.row(best).to_owned(),
        }
    }

    /// The weights that give a profile, or a half-space that separates: a program over few points, to which
    /// those beyond its multipliers are added until none is.
    fn preimage(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Preimage, Error> {
        let mut active = Active::new(self);
        loop {
            let (inner, direction) = match image::preimage(&active, profile, tolerance_kw, solver)?
            {
                Preimage::Found { inner, direction } => (inner, direction),
                separated @ Preimage::Separated { .. } => return Ok(separated),
            };
            let missing = (&active.image(inner.view()) - &profile)
                .mapv(f64::abs)
                .sum();
            if missing <= tolerance_kw || !active.admit(direction.view(), self.points.ncols()) {
                let inner = active.expanded(&inner);
                return Ok(Preimage::Found { inner, direction });
            }
        }
    }

    /// The rule of the point with the given weights of the hull's points, which are made to sum to one.
    ///
    /// # Errors
    /// [`Error::Rows`] for a wrong number of weights; [`Error::NotFinite`]; [`Error::Domain`] for a negative
    /// weight, or if all are zero.
    pub fn mixture(&self, weights: ArrayView1<'_, f64>) -> Result<VertexMixture, Error> {
        if weights.len() != self.len() {
            return Err(Error::Rows {
                what: "the weights of the points",
                expected: self.len(),
                found: weights.len(),
            });
        }
        check_profile("the weights of the points", weights, self.len())?;
        let total = weights.sum();
        if let Some(&value) = weights.iter().find(|&&weight| weight < 0.0 || total <= 0.0) {
            return Err(Error::Domain {
                what: "the weight of a point",
                value,
                domain: "0 or more, and not zero for all points",
            });
        }
        Ok(VertexMixture::combined(
            weights
                .iter()
                .zip(&self.rules)
                .filter(|(weight, _)| **weight > 0.0)
                .map(|(weight, rule)| (weight / total, rule)),
        ))
    }
}

/// Points of a hull that a program is written over. Bounds are those of the whole hull, so they say what is
/// missing.
struct Active<'h, 'a> {
    hull: &'h VertexHull<'a>,
    indices: Vec<usize>,
    known: Vec<bool>,
}

/// A program over all points costs no more than rounds over few of them up to this number per step.
const POINTS_PER_STEP: usize = 8;

impl<'h, 'a> Active<'h, 'a> {
    /// All points of a small hull; of a large one the furthest in every step and over all, both ways.
    fn new(hull: &'h VertexHull<'a>) -> Self {
        let (count, steps) = (hull.len(), hull.points.ncols());
        let mut active = Self {
            hull,
            indices: Vec::new(),
            known: vec![false; count],
        };
        if count <= POINTS_PER_STEP * steps {
            active.indices = (0..count).collect();
            active.known = vec![true; count];
            return active;
        }
        for t in 0..=steps {
            for sign in [1.0, -1.0] {
                let inside = |s: usize| s == t || t == steps;
                let direction =
                    Array1::from_shape_fn(steps, |s| if inside(s) { sign } else { 0.0 });
                active.admit(direction.view(), 1);
            }
        }
        active
    }

    /// Takes in the points that are furthest along a direction, up to `count` that are beyond all known
    /// ones; `false` if there is none.
    fn admit(&mut self, direction: ArrayView1<'_, f64>, count: usize) -> bool {
        let values = self.hull.points.dot(&direction);
        let furthest_known = self.indices.iter().map(|&k| values[k]);
        let reached = furthest_known.max_by(f64::total_cmp);
        let is_beyond =
            |value: f64| reached.is_none_or(|reached| value > reached + ROUNDING * reached.abs());
        let mut beyond: Vec<usize> = (0..values.len())
            .filter(|&k| !self.known[k] && is_beyond(values[k]))
            .collect();
        beyond.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        beyond.truncate(count);
        for &k in &beyond {
            self.known[k] = true;
            self.indices.push(k);
        }
        !beyond.is_empty()
    }

    /// Weights of all points of the hull.
    fn expanded(&self, inner: &Array1<f64>) -> Array1<f64> {
        let mut weights = Array1::zeros(self.hull.len());
        for (&k, &weight) in self.indices.iter().zip(inner) {
            weights[k] = weight;
        }
        weights
    }
}

impl Image for Active<'_, '_> {
    fn image_steps(&self) -> usize {
        self.hull.points.ncols()
    }

    /// The weights of the points.
    fn write_image(&self, builder: &mut ProblemBuilder) -> ImageVariables {
        let weights: Vec<VariableId> = (0..self.indices.len())
            .map(|k| builder.variable(format!("weight_{k}"), 0.0, f64::INFINITY, 0.0))
            .collect();
        let terms = weights.iter().map(|&weight| (weight, 1.0));
        builder.row("weights", 1.0, terms, 1.0);
        let centre = Array1::zeros(self.image_steps());
        image_rows(builder, weights, centre.view(), |t, k| {
            self.hull.points[[self.indices[k], t]]
        })
    }

    fn clean(&self, inner: Array1<f64>) -> Array1<f64> {
        let weights = inner.mapv(|weight| weight.max(0.0));
        let total = weights.sum();
        weights / total
    }

    fn image(&self, inner: ArrayView1<'_, f64>) -> Array1<f64> {
        self.expanded(&inner.to_owned()).dot(&self.hull.points)
    }

    fn furthest(&self, direction: ArrayView1<'_, f64>) -> Array1<f64> {
        let values: Array1<f64> = self
            .indices
            .iter()
            .map(|&k| self.hull.points.row(k).dot(&direction))
            .collect();
        let best = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
        Array1::from_shape_fn(values.len(), |k| if Some(k) == best { 1.0 } else { 0.0 })
    }

    fn least(&self, slope: &Array1<f64>) -> f64 {
        -self.hull.furthest((-slope).view()).value
    }
}

impl AggregateSet for VertexHull<'_> {
    fn steps(&self) -> usize {
        self.points.ncols()
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
        Ok(self.furthest(direction))
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        Ok(self
            .preimage(profile, tolerance_kw, solver)?
            .into_membership())
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        objective.check(self.steps())?;
        let (started, hours) = (Instant::now(), self.step_hours());
        if let Objective::Energy { price_eur_per_mwh } = objective {
            let slope = cost_per_kw(price_eur_per_mwh, hours);
            let profile_kw = self.furthest((-&slope).view()).profile_kw;
            let least = |slope: &Array1<f64>| -self.furthest((-slope).view()).value;
            return Ok(bounded_decision(
                objective, hours, profile_kw, slope, least, options, started,
            ));
        }
        let mut active = Active::new(self);
        let mut best: Option<Decision> = None;
        loop {
            let mut rest = options.remaining(started);
            rest.start = None;
            let mut decision = image::minimise(&active, hours, objective, solver, &rest)?;
            let missing = decision.minorant.slope.clone();
            if let Some(best) = best {
                // More points only lower the cost; bounds hold whatever the round they are from.
                decision.iterations += best.iterations;
                if best.lower_bound > decision.lower_bound {
                    decision.lower_bound = best.lower_bound.min(decision.cost);
                    decision.minorant = best.minorant;
                }
            }
            decision.elapsed = started.elapsed();
            let ended = match decision.status {
                DecisionStatus::Optimal => true,
                _ => !active.admit((-missing).view(), self.steps()),
            };
            if ended {
                return Ok(decision);
            }
            if options.cancel.is_cancelled() {
                decision.status = DecisionStatus::Cancelled;
                return Ok(decision);
            }
            if options
                .time_limit
                .is_some_and(|limit| started.elapsed() >= limit)
            {
                decision.status = DecisionStatus::TimeLimit;
                return Ok(decision);
            }
            best = Some(decision);
        }
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        let weights = self
            .preimage(profile, DEFAULT_TOLERANCE_KW, solver)?
            .found()?;
        self.fleet.schedule(&self.mixture(weights.view())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_sees_a_change_of_a_milliwatt() {
        let fleet = evflex_fleet::synthetic::appendix_c(3).expect("a fleet");
        let exact = FleetPolymatroid::exact(&fleet).expect("lossless");
        let mut hull = VertexHull::sampled(&exact, 20, 1).expect("vertices");
        assert_eq!(hull.claim(), Claim::Inner);
        assert!(hull.verify(1e-9).expect("its own fleet"));
        hull.points[[7, 3]] += 1e-6;
        assert!(!hull.verify(1e-9).expect("its own fleet"));
    }
}
