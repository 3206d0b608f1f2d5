//! Decisions over a [`FleetPolymatroid`], each with the affine minorant that proves its bound.

use std::time::Instant;

use evflex_solver::{Options, ProgressReport};
use ndarray::{Array1, ArrayView1};

use crate::{
    aggregate_set::{Decision, DecisionStatus, Minorant, relative_gap},
    demand_charge,
    error::Error,
    fleet_polymatroid::{FleetPolymatroid, PolymatroidDecision},
    generalized_polymatroid::Permutation,
    mixture::VertexMixture,
    objective::{Objective, cost_per_kw},
    quadratic::SeparableQuadratic,
};

/// Dispatches on the objective, on the number of threads that the options ask for.
pub(crate) fn decide(
    set: &FleetPolymatroid,
    objective: &Objective,
    options: &Options,
) -> Result<PolymatroidDecision, Error> {
    objective.check(set.steps())?;
    let run = || {
        let mut run = Run::new(objective, set, options);
        match objective {
            Objective::Energy { price_eur_per_mwh } => energy(set, price_eur_per_mwh, run),
            Objective::Peak { load_kw } => peak(set, load_kw, run),
            Objective::Tracking { target_kw, weight } => tracking(set, target_kw, weight, run),
            Objective::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                let price = cost_per_kw(price_eur_per_mwh, set.step_hours());
                let (status, mixture) =
                    demand_charge::minimise(set, &price, load_kw, *rate_eur_per_kw, &mut run);
                run.finish(status, mixture)
            }
        }
    };
    on_threads(options.threads, run)
}

/// Runs on a pool of as many threads as asked for, or on the one that is there.
pub(crate) fn on_threads<R: Send>(
    threads: Option<usize>,
    run: impl FnOnce() -> R + Send,
) -> Result<R, Error> {
    match threads {
        None => Ok(run()),
        Some(threads) => Ok(rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Error::Threads {
                threads,
                reason: error.to_string(),
            })?
            .install(run)),
    }
}

/// Cost and bound that agree to this share of the terms they are sums of are equal.
const WORKING_PRECISION: f64 = 1e-13;

/// Book-keeping of a run: the best profile and the best bound so far, and when to end.
pub(crate) struct Run<'a> {
    pub objective: &'a Objective,
    pub step_hours: f64,
    magnitude: f64,
    pub options: &'a Options,
    started: Instant,
    iterations: usize,
    best_profile: Array1<f64>,
    best_cost: f64,
    best_bound: f64,
    best_minorant: Minorant,
}

impl<'a> Run<'a> {
    fn new(objective: &'a Objective, set: &FleetPolymatroid, options: &'a Options) -> Self {
        Self {
            objective,
            step_hours: set.step_hours(),
            magnitude: objective.magnitude(set.packed().power_scale(), set.step_hours()),
            options,
            started: Instant::now(),
            iterations: 0,
            best_profile: Array1::zeros(0),
            best_cost: f64::INFINITY,
            best_bound: f64::NEG_INFINITY,
            best_minorant: Minorant {
                slope: Array1::zeros(0),
                constant: f64::NEG_INFINITY,
            },
        }
    }

    /// Takes note of a feasible profile; `true` if it is the best so far.
    pub fn offer_profile(&mut self, profile: ArrayView1<'_, f64>) -> bool {
        let cost = self.objective.cost(profile, self.step_hours);
        let better = cost < self.best_cost;
        if better {
            self.best_cost = cost;
            self.best_profile = profile.to_owned();
        }
        better
    }

    /// Takes note of a minorant whose smallest value over the set is `bound`; `true` if it is the best so far.
    pub fn offer_bound(&mut self, bound: f64, minorant: impl FnOnce() -> Minorant) -> bool {
        let better = bound > self.best_bound;
        if better {
            self.best_bound = bound;
            self.best_minorant = minorant();
        }
        better
    }

    /// Counts a pass over the fleet, reports it, and says whether the run is over.
    pub fn end_of_pass(&mut self) -> Option<DecisionStatus> {
        self.iterations += 1;
        tracing::trace!(
            pass = self.iterations,
            cost = self.best_cost,
            bound = self.best_bound,
            "decision"
        );
        if let Some(progress) = &self.options.progress {
            progress.report(&ProgressReport {
                stage: "decision".into(),
                done: self.iterations as u64,
                total: None,
                objective: Some(self.best_cost),
                bound: Some(self.best_bound),
            });
        }
        let rounding = WORKING_PRECISION * self.magnitude;
        if relative_gap(self.best_cost, self.best_bound) <= self.options.gap
            || self.best_cost - self.best_bound <= rounding
        {
            Some(DecisionStatus::Optimal)
        } else if self.options.cancel.is_cancelled() {
            Some(DecisionStatus::Cancelled)
        } else if self
            .options
            .time_limit
            .is_some_and(|limit| self.started.elapsed() >= limit)
        {
            Some(DecisionStatus::TimeLimit)
        } else {
            None
        }
    }

    fn finish(self, status: DecisionStatus, mixture: VertexMixture) -> PolymatroidDecision {
        let decision = Decision {
            // Rounding can lift a bound that is met exactly above the cost by a few ulp.
            lower_bound: self.best_bound.min(self.best_cost),
            profile_kw: self.best_profile,
            cost: self.best_cost,
            minorant: self.best_minorant,
            status,
            iterations: self.iterations,
            elapsed: self.started.elapsed(),
        };
        tracing::debug!(
            objective = %self.objective.kind(), cost = decision.cost, bound = decision.lower_bound,
            passes = decision.iterations, seconds = decision.elapsed.as_secs_f64(), ?status, "decided"
        );
        PolymatroidDecision { decision, mixture }
    }
}

fn energy(
    set: &FleetPolymatroid,
    price_eur_per_mwh: &Array1<f64>,
    mut run: Run<'_>,
) -> PolymatroidDecision {
    let price = cost_per_kw(price_eur_per_mwh, run.step_hours);
    let order = Permutation::maximising((-&price).view());
    let profile = set
        .packed()
        .group_vertices(&order)
        .sum_axis(ndarray::Axis(0));
    run.offer_profile(profile.view());
    run.offer_bound(price.dot(&profile), || Minorant {
        slope: price.clone(),
        constant: 0.0,
    });
    run.end_of_pass();
    run.finish(
        DecisionStatus::Optimal,
        VertexMixture::vertex(order, set.packed().groups),
    )
}

fn peak(set: &FleetPolymatroid, load_kw: &Array1<f64>, mut run: Run<'_>) -> PolymatroidDecision {
    let mut projection =
        SeparableQuadratic::projection(set.packed(), -load_kw, Array1::ones(set.steps()));
    let mut best_mixture = None;
    let status = loop {
        if run.offer_profile(projection.point().view()) {
            best_mixture = Some(projection.mixture());
        }
        let pass = projection.pass();
        // Along the chains of the pass: |u + l|∞ ≥ ±(u(S) + l(S)) / |S| for every u and S.
        for (steps, sign) in [(&pass.order.lower, 1.0), (&pass.order.upper, -1.0)] {
            let mut sum = 0.0;
            for (count, &t) in steps.iter().enumerate() {
                sum += pass.vertex[t] + load_kw[t];
                let share = sign / (count + 1) as f64;
                run.offer_bound(share * sum, || {
                    let mut slope = Array1::zeros(load_kw.len());
                    for &t in &steps[..=count] {
                        slope[t] = share;
                    }
                    let constant = slope.dot(load_kw);
                    Minorant { slope, constant }
                });
            }
        }
        run.offer_bound(0.0, || Minorant {
            slope: Array1::zeros(load_kw.len()),
            constant: 0.0,
        });
        if let Some(status) = run.end_of_pass() {
            break status;
        }
        if !projection.sweep() {
            break DecisionStatus::Stalled;
        }
    };
    let mixture = best_mixture.unwrap_or_else(|| projection.mixture());
    run.finish(status, mixture)
}

fn tracking(
    set: &FleetPolymatroid,
    target_kw: &Array1<f64>,
    weight: &Array1<f64>,
    mut run: Run<'_>,
) -> PolymatroidDecision {
    let mut projection =
        SeparableQuadratic::projection(set.packed(), target_kw.clone(), weight.clone());
    let mut best_mixture = None;
    let status = loop {
        if run.offer_profile(projection.point().view()) {
            best_mixture = Some(projection.mixture());
        }
        let pass = projection.pass();
        let slope = projection.gradient();
        let constant = projection.value() - slope.dot(projection.point());
        run.offer_bound(constant + slope.dot(&pass.vertex), || Minorant {
            slope,
            constant,
        });
        run.offer_bound(0.0, || Minorant {
            slope: Array1::zeros(target_kw.len()),
            constant: 0.0,
        });
        if let Some(status) = run.end_of_pass() {
            break status;
        }
        if !projection.sweep() {
            break DecisionStatus::Stalled;
        }
    };
    let mixture = best_mixture.unwrap_or_else(|| projection.mixture());
    run.finish(status, mixture)
}
