//! Hulls of points of the aggregate set: no certificate needed but the points' own schedules.

use std::time::Instant;

use evflex_fleet::Schedule;
use evflex_solver::{Options, ProblemBuilder, ProgressReport, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    decision::on_threads,
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    generalized_polymatroid::Permutation,
    image::{self, Image, ImageVariables, image_rows},
    mixture::VertexMixture,
    objective::Objective,
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
/// with one variable per point. Hulls of the optima of past days are what a learned set has to beat.
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

impl Image for VertexHull<'_> {
    fn image_steps(&self) -> usize {
        self.points.ncols()
    }

    /// The weights of the points.
    fn write_image(&self, builder: &mut ProblemBuilder) -> ImageVariables {
        let weights: Vec<VariableId> = (0..self.len())
            .map(|k| builder.variable(format!("weight_{k}"), 0.0, f64::INFINITY, 0.0))
            .collect();
        builder.row(
            "weights",
            1.0,
            weights.iter().map(|&weight| (weight, 1.0)),
            1.0,
        );
        let centre = Array1::zeros(self.points.ncols());
        image_rows(builder, weights, centre.view(), |t, k| self.points[[k, t]])
    }

    fn clean(&self, inner: Array1<f64>) -> Array1<f64> {
        let weights = inner.mapv(|weight| weight.max(0.0));
        let total = weights.sum();
        weights / total
    }

    fn image(&self, inner: ArrayView1<'_, f64>) -> Array1<f64> {
        inner.dot(&self.points)
    }

    fn furthest(&self, direction: ArrayView1<'_, f64>) -> Array1<f64> {
        let values = self.points.dot(&direction);
        let best = (0..self.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
        let mut weights = Array1::zeros(self.len());
        if let Some(best) = best {
            weights[best] = 1.0;
        }
        weights
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
        let weights = image::preimage(self, profile, DEFAULT_TOLERANCE_KW, solver)?.found()?;
        self.fleet.schedule(&self.mixture(weights.view())?)
    }
}
