//! One decision for any fleet: over its exact set where there is one, otherwise between an inner and an outer set.

use evflex::fleet::Fleet;
use evflex::flexibility::{
    AggregateSet, Claim, Error as FlexibilityError, FleetPolymatroid, LossyGap, LossyOuter,
    Objective, lossy_gap,
};
use evflex::solver::{Clarabel, Error as SolverError, Options};
use ndarray::Array1;

use crate::certify::{self, CertifiedSchedule, RECOMPUTATION_TOLERANCE, Status};
use crate::config::Disaggregation;
use crate::error::Error;
use crate::instance::set_of;

/// Largest number of different vehicles × steps that is decided between inner and outer sets; the program takes some
/// seconds at this size. Larger lossy fleets are scheduled without discharging.
pub const LOSSY_LIMIT: usize = 10_000;

/// A checked schedule, and what was known of the fleet when it was made.
pub(crate) struct Decided {
    pub certified: CertifiedSchedule,
    /// The set that the schedule is from.
    pub claim: Claim,
    /// The set that the bound is over: exact and outer bounds hold for every schedule of the fleet.
    pub bound_claim: Claim,
    pub band_kw: (Array1<f64>, Array1<f64>),
    pub distinct_vehicles: usize,
    /// How it was found, if not by the methods of the exact set.
    pub method: Option<&'static str>,
}

/// Decides, disaggregates and checks.
///
/// # Errors
/// As [`certify::decide`]; [`Error::Vehicles`] for a lossy vehicle that has to discharge in a fleet above [`LOSSY_LIMIT`].
pub(crate) fn decide(
    fleet: &Fleet,
    objective: &Objective,
    disaggregation: Disaggregation,
    options: &Options,
) -> Result<Decided, Error> {
    let exact = FleetPolymatroid::exact(fleet);
    if matches!(exact, Err(FlexibilityError::Lossy { .. })) {
        let outer = LossyOuter::new(fleet);
        if outer.distinct_vehicles() * fleet.steps() <= LOSSY_LIMIT {
            match lossy_gap(fleet, objective, &Clarabel::default(), options) {
                Ok(answer) => return enclosed(fleet, objective, &outer, answer, options),
                Err(FlexibilityError::Solver(reason @ SolverError::Stopped { .. })) => {
                    tracing::info!(%reason, "scheduling without discharging instead");
                }
                Err(source) => return Err(Error::computing("the decision")(source)),
            }
        }
    }
    let set = exact.or_else(|_| set_of(fleet))?;
    Ok(Decided {
        certified: certify::decide(fleet, &set, objective, disaggregation, options)?,
        claim: set.claim(),
        bound_claim: set.claim(),
        band_kw: set.band_kw(),
        distinct_vehicles: set.distinct_vehicles(),
        method: None,
    })
}

/// Checks a schedule between the sets: every vehicle by itself, the cost from the sum, the bound from its minorant and the
/// greedy support of the outer set, which takes no solver.
fn enclosed(
    fleet: &Fleet,
    objective: &Objective,
    outer: &LossyOuter,
    answer: LossyGap,
    options: &Options,
) -> Result<Decided, Error> {
    let power_kw = answer.schedule.aggregate_kw();
    let mut decision = answer.inner_decision.clone();
    decision.profile_kw.clone_from(&power_kw);
    let checks = certify::check_schedule(fleet, &answer.schedule, &decision)?;
    let cost = objective.cost(power_kw.view(), fleet.step_hours());
    let minorant = &answer.outer.minorant;
    let least = outer
        .support((-&minorant.slope).view(), &Clarabel::default())
        .map_err(Error::computing("the check of the bound"))?;
    let constant = objective
        .minorant_constant(
            minorant.slope.view(),
            fleet.step_hours(),
            RECOMPUTATION_TOLERANCE,
        )
        .ok_or_else(|| Error::Check {
            what: "bound",
            reason: "its slope is not one of an affine function below the cost".to_owned(),
        })?;
    let bound = (constant - least.value).min(cost);
    certify::agree("bound", answer.lower_bound().max(bound), bound, cost)?;
    let gap = (cost - bound) / cost.abs().max(1e-9);
    let certified = CertifiedSchedule {
        power_kw,
        disaggregation: "the program's",
        cost,
        bound,
        gap,
        status: if gap <= options.gap.max(RECOMPUTATION_TOLERANCE) {
            Status::Optimal
        } else {
            Status::Feasible
        },
        iterations: answer.rounds + 1,
        seconds: (answer.outer.elapsed + answer.inner_decision.elapsed).as_secs_f64(),
        schedule: answer.schedule,
        checks,
    };
    Ok(Decided {
        certified,
        claim: Claim::Inner,
        bound_claim: Claim::Outer,
        band_kw: outer.band_kw(),
        distinct_vehicles: outer.distinct_vehicles(),
        method: Some("inner and outer sets"),
    })
}
