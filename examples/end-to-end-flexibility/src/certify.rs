//! A decision, its schedule, and the two checks without which nothing leaves this program.

use evflex::fleet::{Fleet, Schedule};
use evflex::flexibility::{Decision, DecisionStatus, FleetPolymatroid, Objective, direct};
use evflex::solver::{Clarabel, Options};
use ndarray::Array1;
use serde::Serialize;

use crate::config::Disaggregation;
use crate::error::Error;

/// Largest violation of a vehicle's bounds that a schedule may have, kW and kWh: a milliwatt.
pub const SCHEDULE_TOLERANCE: f64 = 1e-6;

/// Largest relative difference between a number and its recomputation.
pub const RECOMPUTATION_TOLERANCE: f64 = 1e-9;

/// How far a run got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The gap asked for is proven.
    Optimal,
    /// Feasible with a proven bound, but not to the gap asked for.
    Feasible,
    /// A limit ended the run; feasible with a proven bound.
    Stopped,
}

/// Largest number of vehicles × steps that [`Disaggregation::Auto`] hands out fairly.
///
/// At this size the quadratic program takes about a second.
pub const FAIR_LIMIT: usize = 100_000;

/// What the checks found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checks {
    /// Every vehicle can follow its powers; always true in a result, because it is written otherwise not.
    pub schedule_feasible: bool,
    /// Tolerance of that check, kW and kWh.
    pub tolerance: f64,
    /// Largest violation of a power bound, kW.
    pub largest_power_violation_kw: f64,
    /// Largest violation of an energy bound, kWh.
    pub largest_energy_violation_kwh: f64,
    /// Largest difference between the sum of the schedule and the decided profile, kW.
    pub largest_sum_difference_kw: f64,
    /// The bound was recomputed from its affine minorant and the support of the set.
    pub bound_confirmed: bool,
}

/// A schedule with its cost, a bound that no schedule beats, and the checks that it passed.
#[derive(Clone, Debug)]
pub struct CertifiedSchedule {
    /// One power per vehicle and step.
    pub schedule: Schedule,
    /// Their sum, kW per step.
    pub power_kw: Array1<f64>,
    /// How the profile was handed to the vehicles.
    pub disaggregation: &'static str,
    /// Cost of that sum.
    pub cost: f64,
    /// No profile of the set costs less; recomputed.
    pub bound: f64,
    /// `(cost − bound) / max(|cost|, 1e-9)`.
    pub gap: f64,
    /// How far the run got.
    pub status: Status,
    /// Passes over the fleet.
    pub iterations: usize,
    /// Seconds that decision and disaggregation took, without the checks.
    pub seconds: f64,
    /// What the checks found.
    pub checks: Checks,
}

/// Decides, disaggregates and checks.
///
/// Cost and bound are not taken from the optimiser: the cost is that of the sum of the vehicles'
/// powers, the bound is `constant + min {slope · u : u ∈ U}` with the constant from the conjugate of
/// the cost and the minimum from the greedy rule.
///
/// # Errors
/// [`Error::Computation`] if the decision fails, [`Error::Check`] if a check does.
pub fn decide(
    fleet: &Fleet,
    set: &FleetPolymatroid,
    objective: &Objective,
    disaggregation: Disaggregation,
    options: &Options,
) -> Result<CertifiedSchedule, Error> {
    let started = std::time::Instant::now();
    let answer = set
        .decide(objective, options)
        .map_err(Error::computing("the decision"))?;
    let fair = match disaggregation {
        Disaggregation::Mixture => None,
        Disaggregation::Fair => Some(fair(fleet, &answer.decision)?),
        Disaggregation::Auto if fleet.len() * fleet.steps() > FAIR_LIMIT => None,
        // The program is solved to a tolerance; what does not pass the check is not used.
        Disaggregation::Auto => fair(fleet, &answer.decision)
            .inspect_err(|reason| tracing::info!(%reason, "no fair disaggregation"))
            .ok(),
    };
    let disaggregation = if fair.is_some() { "fair" } else { "mixture" };
    let (schedule, checks) = if let Some(checked) = fair {
        checked
    } else {
        let schedule = set
            .schedule(&answer.mixture)
            .map_err(Error::computing("the disaggregation"))?;
        let checks = check_schedule(fleet, &schedule, &answer.decision)?;
        (schedule, checks)
    };
    let seconds = started.elapsed().as_secs_f64();

    let power_kw = schedule.aggregate_kw();
    let cost = objective.cost(power_kw.view(), fleet.step_hours());
    let bound = recomputed_bound(set, objective, &answer.decision)?;
    // The bound is one-sided: a recomputed one that is higher is as good.
    agree("bound", answer.decision.lower_bound.max(bound), bound, cost)?;
    agree(
        "bound, which is above the cost,",
        bound.max(cost),
        cost,
        cost,
    )?;
    let bound = bound.min(cost);
    let gap = (cost - bound) / cost.abs().max(1e-9);
    Ok(CertifiedSchedule {
        power_kw,
        disaggregation,
        cost,
        bound,
        gap,
        status: match answer.decision.status {
            DecisionStatus::TimeLimit | DecisionStatus::Cancelled => Status::Stopped,
            // The schedule's own gap counts, up to the rounding of its sum.
            _ if gap <= options.gap.max(RECOMPUTATION_TOLERANCE) => Status::Optimal,
            // Near a cost of zero every relative gap is rounding, which the decision knows.
            DecisionStatus::Optimal if cost <= answer.decision.cost => Status::Optimal,
            _ => Status::Feasible,
        },
        iterations: answer.decision.iterations,
        seconds,
        schedule,
        checks,
    })
}

/// The fair schedule of the decided profile, checked.
fn fair(fleet: &Fleet, decision: &Decision) -> Result<(Schedule, Checks), Error> {
    let profile = decision.profile_kw.view();
    let schedule =
        direct::disaggregate_fairly(fleet, profile, &Clarabel::default(), &Options::default())
            .map_err(Error::computing("the fair disaggregation"))?;
    let checks = check_schedule(fleet, &schedule, decision)?;
    Ok((schedule, checks))
}

/// Every vehicle can follow its row, and the rows sum to the decided profile.
pub(crate) fn check_schedule(
    fleet: &Fleet,
    schedule: &Schedule,
    decision: &Decision,
) -> Result<Checks, Error> {
    let check = schedule
        .check(fleet, SCHEDULE_TOLERANCE)
        .map_err(Error::computing("the check of the schedule"))?;
    if let Some(violation) = check.violations().first() {
        return Err(Error::Check {
            what: "schedule",
            reason: format!(
                "{violation} ({} violations in all)",
                check.violations().len()
            ),
        });
    }
    let sum = schedule.aggregate_kw();
    let difference = (&sum - &decision.profile_kw)
        .iter()
        .fold(0.0_f64, |largest, d| largest.max(d.abs()));
    // Each of N powers may be off by the tolerance of one.
    if difference.is_nan() || difference > SCHEDULE_TOLERANCE * fleet.len() as f64 {
        return Err(Error::Check {
            what: "schedule",
            reason: format!(
                "its powers sum to a profile {difference} kW away from the decided one"
            ),
        });
    }
    Ok(Checks {
        schedule_feasible: true,
        tolerance: check.tolerance(),
        largest_power_violation_kw: check.largest_power_violation_kw(),
        largest_energy_violation_kwh: check.largest_energy_violation_kwh(),
        largest_sum_difference_kw: difference,
        bound_confirmed: true,
    })
}

/// The bound that the decision's minorant proves, from the support function of the set.
fn recomputed_bound(
    set: &FleetPolymatroid,
    objective: &Objective,
    decision: &Decision,
) -> Result<f64, Error> {
    let slope = &decision.minorant.slope;
    let constant = objective
        .minorant_constant(slope.view(), set.step_hours(), RECOMPUTATION_TOLERANCE)
        .ok_or_else(|| Error::Check {
            what: "bound",
            reason: "its slope is not one of an affine function below the cost".to_owned(),
        })?;
    let support = set
        .support((-slope).view())
        .map_err(Error::computing("the check of the bound"))?;
    Ok(constant - support.value)
}

/// Fails unless two computations of one number agree, relative to the size of the cost.
pub(crate) fn agree(
    what: &'static str,
    claimed: f64,
    recomputed: f64,
    cost: f64,
) -> Result<(), Error> {
    let scale = 1.0 + cost.abs().max(recomputed.abs());
    if (claimed - recomputed).abs() <= RECOMPUTATION_TOLERANCE * scale {
        return Ok(());
    }
    Err(Error::Check {
        what,
        reason: format!("{claimed} was claimed, {recomputed} is what it comes to"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use evflex::fleet::{Hours, TimeGrid, Vehicle};
    use ndarray::array;

    fn fleet() -> Fleet {
        let car = |id: &str, need: f64| {
            Vehicle::new(
                id,
                vec![-3.0; 3],
                vec![4.0; 3],
                vec![-5.0, -5.0, need],
                vec![9.0; 3],
            )
            .unwrap()
        };
        let grid = TimeGrid::new(3, Hours(1.0)).unwrap();
        Fleet::new(grid, vec![car("a", 6.0), car("b", 2.0)]).unwrap()
    }

    fn objective() -> Objective {
        Objective::Peak {
            load_kw: array![5.0, 9.0, 1.0],
        }
    }

    #[test]
    fn a_peak_by_hand() {
        // 8 kWh on top of 15 kWh over 3 h, all reachable: a flat 23/3 kW.
        let fleet = fleet();
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let answer = decide(
            &fleet,
            &set,
            &objective(),
            Disaggregation::Auto,
            &Options::default(),
        )
        .unwrap();
        assert_eq!(answer.disaggregation, "fair");
        assert!((answer.cost - 23.0 / 3.0).abs() < 1e-6, "{}", answer.cost);
        assert!((answer.bound - 23.0 / 3.0).abs() < 1e-6);
        assert_eq!(answer.status, Status::Optimal);
        assert!(answer.checks.schedule_feasible);
    }

    #[test]
    fn wrong_answers_are_found() {
        let fleet = fleet();
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let good = set.decide(&objective(), &Options::default()).unwrap();
        let schedule = set.schedule(&good.mixture).unwrap();
        assert!(check_schedule(&fleet, &schedule, &good.decision).is_ok());

        let mut shifted = good.decision.clone();
        shifted.profile_kw[0] += 1e-4;
        let error = check_schedule(&fleet, &schedule, &shifted).unwrap_err();
        assert!(error.to_string().contains("sum to a profile"), "{error}");
        assert_eq!(error.exit_status(), 1);

        let mut power = schedule.power_kw().to_owned();
        power[(1, 2)] = 4.5;
        let ids = schedule.ids().to_vec();
        let broken = Schedule::new(fleet.grid().clone(), ids, power).unwrap();
        let error = check_schedule(&fleet, &broken, &good.decision).unwrap_err();
        assert!(error.to_string().contains("vehicle `b`, step 2"), "{error}");

        let mut steep = good.decision.clone();
        steep.minorant.slope *= 2.0;
        let error = recomputed_bound(&set, &objective(), &steep).unwrap_err();
        assert!(error.to_string().contains("slope"), "{error}");
        assert!(agree("bound", 1.0, 1.0 - 1e-6, 1.0).is_err());
        assert!(agree("bound", f64::NAN, 1.0, 1.0).is_err());
    }
}
