//! Real sessions, prices and loads, where they are at hand.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod common;

use common::{check_tables, file, shared};
use end_to_end_flexibility::certify::Status;
use end_to_end_flexibility::schedule::{Outcome, solve};
use end_to_end_flexibility::{Control, ScheduleConfig};
use evflex::flexibility::{Claim, ObjectiveKind, direct};
use evflex::solver::{Clarabel, Options};

const DE: &str = "prices/day_ahead_de.csv";

fn certified(config: &ScheduleConfig) -> Outcome {
    let outcome = solve(config, &Control::default()).unwrap();
    let summary = &outcome.summary;
    assert_eq!(
        (summary.status, summary.claim),
        (Status::Optimal, Claim::Exact)
    );
    assert!(summary.bound <= summary.cost && summary.gap <= 1e-6);
    assert!(summary.cost < summary.uncontrolled_cost);
    assert!(summary.checks.schedule_feasible && summary.checks.bound_confirmed);
    let report = outcome.report().unwrap();
    let energy = check_tables(
        file(&report, "schedule.csv"),
        file(&report, "aggregate.csv"),
        summary.step_hours,
    );
    let total: f64 = energy.values().sum();
    assert!((total - summary.energy_kwh).abs() < 1e-6 * total);
    outcome
}

#[test]
fn a_week_at_a_workplace_with_german_prices() {
    let (Some(sessions), Some(prices)) =
        (shared("sessions/ev_sessions_acn_caltech.csv"), shared(DE))
    else {
        return;
    };
    let week = ScheduleConfig {
        sessions: Some(sessions),
        prices: Some(prices),
        ..ScheduleConfig::default()
    };
    let outcome = certified(&week);
    let counts = outcome.summary.sessions.clone().unwrap();
    assert_eq!((counts.in_file, counts.refused), (9790, 0));
    assert!(
        outcome
            .summary
            .start
            .as_ref()
            .unwrap()
            .starts_with("2019-05-06T00:00:00-07:00")
    );
    let taken = outcome.summary.prices.clone().unwrap().from.unwrap();
    assert_eq!(taken.to_string(), "2024-05-06"); // the same day five years later is a Monday too
    // Charged is what the stations delivered.
    assert!((outcome.summary.energy_kwh - outcome.summary.uncontrolled_energy_kwh).abs() < 1e-6);

    // Three days, so that one program over all vehicles is quickly solved.
    let days = ScheduleConfig {
        days: std::num::NonZeroUsize::new(3),
        objective: Some(ObjectiveKind::DemandCharge),
        ..week
    };
    let outcome = certified(&days);
    let (fleet, objective) = (&outcome.instance.input.fleet, &outcome.instance.objective);
    let (_, cost) =
        direct::decide(fleet, objective, &Clarabel::default(), &Options::default()).unwrap();
    assert!((cost - outcome.summary.cost).abs() <= 1e-6 * cost, "{cost}");
}

#[test]
fn weeks_in_garages_of_trondheim() {
    let (Some(sessions), Some(prices)) = (shared("sessions/ev_sessions_trondheim.csv"), shared(DE))
    else {
        return;
    };
    let week = ScheduleConfig {
        sessions: Some(sessions),
        prices: Some(prices),
        zone: Some("Europe/Oslo".to_owned()),
        ..ScheduleConfig::default()
    };
    let counts = certified(&week).summary.sessions.unwrap();
    assert_eq!((counts.in_file, counts.refused), (6728, 0));
    // A week with the end of summer time, in quarter-hours.
    let autumn = ScheduleConfig {
        start: Some("2019-10-21".parse().unwrap()),
        step_minutes: Some(15.0),
        v2g: true,
        ..week
    };
    let outcome = certified(&autumn);
    assert!(outcome.summary.vehicles > 50);
    assert!(outcome.summary.steps >= 4 * 169);
}

#[test]
fn a_night_of_measured_homes() {
    let Some(loads) = shared("loads/daily_load_profiles.csv") else {
        return;
    };
    let night = ScheduleConfig {
        loads: Some(loads),
        load_date: Some("2018-07-17".parse().unwrap()),
        ..ScheduleConfig::default()
    };
    let outcome = certified(&night);
    assert_eq!(outcome.summary.objective, ObjectiveKind::Peak);
    let (fleet, objective) = (&outcome.instance.input.fleet, &outcome.instance.objective);
    let (_, cost) =
        direct::decide(fleet, objective, &Clarabel::default(), &Options::default()).unwrap();
    assert!((cost - outcome.summary.cost).abs() <= 1e-6 * cost, "{cost}");
}
