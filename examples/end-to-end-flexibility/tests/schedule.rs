//! `schedule` as a library call, against computations of its own.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests stop at the first surprise and compare exact numbers"
)]

mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use common::{FLEET, SESSIONS, check_tables, columns, file, folder, numbers, prices, rising};
use end_to_end_flexibility::certify::Status;
use end_to_end_flexibility::schedule::{Outcome, solve};
use end_to_end_flexibility::{Control, Disaggregation, Error, ScheduleConfig, WindowEnd, schedule};
use evflex::flexibility::{Claim, FleetPolymatroid, ObjectiveKind, direct};
use evflex::solver::{Clarabel, Options};

fn run(config: &ScheduleConfig) -> Result<Outcome, Error> {
    solve(config, &Control::default())
}

/// The cost that one program over all vehicles finds.
fn direct_cost(outcome: &Outcome) -> f64 {
    let fleet = &outcome.instance.input.fleet;
    let objective = &outcome.instance.objective;
    direct::decide(fleet, objective, &Clarabel::default(), &Options::default())
        .unwrap()
        .1
}

fn assert_close(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance * (1.0 + b.abs()),
        "{a} is not {b}"
    );
}

const KINDS: [ObjectiveKind; 4] = [
    ObjectiveKind::Peak,
    ObjectiveKind::Energy,
    ObjectiveKind::DemandCharge,
    ObjectiveKind::Tracking,
];

#[test]
fn every_decision_of_a_generated_fleet_is_the_direct_optimum() {
    for kind in KINDS {
        for (charging_only, disaggregation) in [
            (false, Disaggregation::Fair),
            (true, Disaggregation::Mixture),
        ] {
            let config = ScheduleConfig {
                population: Some(5),
                vehicles: NonZeroUsize::new(6),
                objective: Some(kind),
                charging_only,
                disaggregation,
                ..ScheduleConfig::default()
            };
            let outcome = run(&config).unwrap();
            let summary = &outcome.summary;
            assert_eq!(summary.status, Status::Optimal, "{kind}");
            assert_eq!(summary.claim, Claim::Exact);
            assert!(
                summary.bound <= summary.cost && summary.gap <= 1e-6,
                "{kind}"
            );
            assert!(summary.cost <= summary.uncontrolled_cost + 1e-9, "{kind}");
            assert_close(summary.cost, direct_cost(&outcome), 1e-6);
            let report = outcome.report().unwrap();
            check_tables(
                file(&report, "schedule.csv"),
                file(&report, "aggregate.csv"),
                1.0,
            );
        }
    }
}

#[test]
fn a_fleet_from_json_by_hand() {
    let (_folder, path) = folder(&[("fleet.json", FLEET)]);
    let outcome = run(&ScheduleConfig {
        input: Some(path.join("fleet.json")),
        ..ScheduleConfig::default()
    })
    .unwrap();
    // Without prices and loads the peak of the fleet alone: 12 kWh in 4 h, and b has only two of
    // them, in which a stands back.
    assert_eq!(outcome.summary.objective, ObjectiveKind::Peak);
    assert_close(outcome.summary.cost, 3.0, 1e-9);
    assert_eq!(outcome.summary.loads.source, "none");
    assert_eq!(
        (outcome.summary.name.as_str(), outcome.summary.vehicles),
        ("fleet.json", 2)
    );
    let report = outcome.report().unwrap();
    let energy = check_tables(
        file(&report, "schedule.csv"),
        file(&report, "aggregate.csv"),
        1.0,
    );
    assert_close(energy["a"], 6.0, 1e-6);
    assert_close(energy["b"], 6.0, 1e-6);
    let aggregate = columns(file(&report, "aggregate.csv"));
    assert!(
        aggregate["start"]
            .iter()
            .chain(&aggregate["price_eur_per_mwh"])
            .all(String::is_empty)
    );
}

fn sessions(path: &std::path::Path) -> ScheduleConfig {
    ScheduleConfig {
        sessions: Some(path.join("sessions.csv")),
        zone: Some("Europe/Oslo".to_owned()),
        days: NonZeroUsize::new(2),
        ..ScheduleConfig::default()
    }
}

#[test]
fn sessions_are_taken_whole_left_out_or_cut() {
    let (_folder, path) = folder(&[("sessions.csv", SESSIONS)]);
    let run = |window_end| {
        let report = run(&ScheduleConfig {
            window_end,
            ..sessions(&path)
        })
        .unwrap();
        let counts = report.summary.sessions.clone().unwrap();
        assert_eq!(
            (counts.in_file, counts.arrived_before, counts.left_after),
            (5, 1, 1)
        );
        assert_eq!((counts.refused, counts.adjusted), (0, 0));
        let steps = report.summary.steps;
        let report = report.report().unwrap();
        let energy = check_tables(
            file(&report, "schedule.csv"),
            file(&report, "aggregate.csv"),
            1.0,
        );
        (steps, counts, energy)
    };
    let (steps, counts, energy) = run(WindowEnd::Extend);
    // Two days, and to 06:00 of the third.
    assert_eq!(
        (steps, counts.extended_hours, counts.scheduled),
        (54, 6.0, 4)
    );
    for (id, kwh) in [("a", 20.0), ("b", 30.0), ("c", 8.0), ("d", 12.0)] {
        assert_close(energy[id], kwh, 1e-6);
    }
    let (steps, counts, energy) = run(WindowEnd::LeaveOut);
    assert_eq!(
        (steps, counts.scheduled, energy.contains_key("d")),
        (48, 3, false)
    );
    let (steps, counts, energy) = run(WindowEnd::Cut);
    assert_eq!((steps, counts.scheduled), (48, 4));
    assert_close(energy["d"], 12.0 * 2.0 / 8.0, 1e-6);
}

#[test]
fn prices_are_joined_by_local_clock_and_weekday() {
    let (_folder, path) = folder(&[("sessions.csv", SESSIONS), ("prices.csv", &rising())]);
    let config = ScheduleConfig {
        prices: Some(path.join("prices.csv")),
        ..sessions(&path)
    };
    let outcome = run(&config).unwrap();
    assert_eq!(outcome.summary.objective, ObjectiveKind::Energy);
    let taken = outcome.summary.prices.clone().unwrap();
    // 6 May 2021 is a Thursday; the next Monday is the 10th.
    assert_eq!(taken.from.unwrap().to_string(), "2021-05-10");
    let values = &outcome.instance.prices.as_ref().unwrap().values;
    let expected: Vec<f64> = (0..54)
        .map(|hour| f64::from(hour % 24 + 100 * (hour / 24)))
        .collect();
    assert_eq!(values.to_vec(), expected);
    // The price rises with the clock on each day, so the first hours are the cheapest: a takes 3.5
    // kWh in its half hour from 08:30, 7 at 9 and 10 and 2.5 at 11. b: 11 kWh at 17 and 18, 8 at 19
    // (the night is dearer by the weekday). c: 3.6 at 9 and 10, 0.8 at 11. d: 3.6 at 22 and 23,
    // and Wednesday's 0 and 1 o'clock: 3.6 and 1.2.
    let a = 3.5 * 8.0 + 7.0 * (9.0 + 10.0) + 2.5 * 11.0;
    let b = 11.0 * (17.0 + 18.0) + 8.0 * 19.0;
    let c = 3.6 * (109.0 + 110.0) + 0.8 * 111.0;
    let d = 3.6 * (122.0 + 123.0 + 200.0) + 1.2 * 201.0;
    assert_close(outcome.summary.cost, (a + b + c + d) / 1000.0, 1e-12);
    assert_close(outcome.summary.cost, direct_cost(&outcome), 1e-6);

    let start = ScheduleConfig {
        price_start: Some("2021-05-03".parse().unwrap()),
        objective: Some(ObjectiveKind::DemandCharge),
        demand_rate: Some(0.2),
        ..config
    };
    let outcome = run(&start).unwrap();
    assert_eq!(
        outcome
            .summary
            .prices
            .clone()
            .unwrap()
            .from
            .unwrap()
            .to_string(),
        "2021-05-03"
    );
    assert_close(outcome.summary.cost, direct_cost(&outcome), 1e-6);
}

#[test]
fn quarter_hours_and_vehicles_that_feed_back() {
    let (_folder, path) = folder(&[
        ("sessions.csv", SESSIONS),
        (
            "prices.csv",
            &prices(|hour, _| 50 + 100 * i32::from(hour % 2)),
        ),
    ]);
    let charging = ScheduleConfig {
        prices: Some(path.join("prices.csv")),
        step_minutes: Some(15.0),
        ..sessions(&path)
    };
    let feeding = ScheduleConfig {
        v2g: true,
        ..charging.clone()
    };
    let (charging, feeding) = (run(&charging).unwrap(), run(&feeding).unwrap());
    assert_eq!(charging.summary.steps, 4 * 54);
    assert_close(feeding.summary.cost, direct_cost(&feeding), 1e-6);
    assert!(feeding.summary.cost < charging.summary.cost - 1e-3);
    let report = feeding.report().unwrap();
    let energy = check_tables(
        file(&report, "schedule.csv"),
        file(&report, "aggregate.csv"),
        0.25,
    );
    assert_close(energy["b"], 30.0, 1e-6);
}

#[test]
fn loads_of_a_night_and_over_time() {
    let nights = "date,h15,h16,h17,h18\n2018-05-01,40,60,50,30\n2018-05-02,10,20,90,20\n";
    let series = "timestamp_local,b1,b2\n2018-05-02T15:00,4,6\n2018-05-02T16:00,10,10\n\
                  2018-05-02T17:00,45,45\n2018-05-02T18:00,15,5\n";
    let (_folder, path) = folder(&[("nights.csv", nights), ("series.csv", series)]);
    let config = |name: &str| ScheduleConfig {
        loads: Some(path.join(name)),
        load_date: Some("2018-05-02".parse().unwrap()),
        steps: NonZeroUsize::new(4),
        vehicles: NonZeroUsize::new(3),
        ..ScheduleConfig::default()
    };
    let (night, over_time) = (
        run(&config("nights.csv")).unwrap(),
        run(&config("series.csv")).unwrap(),
    );
    assert_eq!(
        night.instance.loads.values.to_vec(),
        [10.0, 20.0, 90.0, 20.0]
    );
    assert_eq!(night.instance.loads.values, over_time.instance.loads.values);
    assert_eq!(night.summary.objective, ObjectiveKind::Peak);
    assert_close(night.summary.cost, direct_cost(&night), 1e-6);
    let one = run(&ScheduleConfig {
        load_column: Some("b2".to_owned()),
        ..config("series.csv")
    });
    assert_eq!(
        one.unwrap().instance.loads.values.to_vec(),
        [6.0, 10.0, 45.0, 5.0]
    );
    // Without a date the first night of the file.
    let first = run(&ScheduleConfig {
        load_date: None,
        ..config("nights.csv")
    })
    .unwrap();
    assert_eq!(first.instance.loads.values[0], 40.0);
}

#[test]
fn lossy_vehicles_get_an_inner_set_that_says_so() {
    let lossy = FLEET.replace(
        r#""discharge_max_kw": 0"#,
        r#""discharge_max_kw": 7, "efficiency": 0.9"#,
    );
    let (_folder, path) = folder(&[("fleet.json", &lossy)]);
    let outcome = run(&ScheduleConfig {
        input: Some(path.join("fleet.json")),
        ..ScheduleConfig::default()
    })
    .unwrap();
    let summary = &outcome.summary;
    assert_eq!(
        (summary.claim, summary.bound_claim, summary.status),
        (Claim::Inner, Claim::Outer, Status::Optimal)
    );
    assert!(summary.gap <= 1e-6, "{}", summary.gap);
    // Never discharging, which b can do without: 6/0.9 kWh for it. Discharging may lower the peak, never raise it.
    let fleet = &outcome.instance.input.fleet;
    let never = FleetPolymatroid::inner(fleet)
        .and_then(|set| set.decide(&outcome.instance.objective, &Options::default()))
        .unwrap()
        .decision;
    assert!(
        summary.cost <= never.cost + 1e-6,
        "{} {}",
        summary.cost,
        never.cost
    );
    assert!(summary.energy_kwh >= 6.0 + 6.0 / 0.9 - 1e-6);
    assert!(outcome.report().unwrap().table.contains("inner"));
    assert!(summary.checks.schedule_feasible);

    // Has to discharge: −2 kWh in the battery after two hours of at most 5 kW.
    let must = r#"{"step_hours": 1, "steps": 2, "vehicles": [{"id": "x", "power_min_kw": -5, "power_max_kw": 5,
        "energy_min_kwh": [0, -4], "energy_max_kwh": [9, -2], "efficiency": 0.9}]}"#;
    let (_folder, path) = folder(&[("fleet.json", must)]);
    let outcome = run(&ScheduleConfig {
        input: Some(path.join("fleet.json")),
        ..ScheduleConfig::default()
    })
    .unwrap();
    assert_eq!(outcome.summary.status, Status::Optimal);
    assert!(outcome.certified.power_kw[1] <= -1.8 + 1e-6);
}

#[test]
fn a_schedule_can_be_tracked_again() {
    let first = ScheduleConfig {
        vehicles: NonZeroUsize::new(4),
        objective: Some(ObjectiveKind::Energy),
        ..ScheduleConfig::default()
    };
    let report = schedule(&first, &Control::default()).unwrap();
    let aggregate = String::from_utf8(file(&report, "aggregate.csv").to_vec()).unwrap();
    let (_folder, path) = folder(&[("aggregate.csv", &aggregate)]);
    let second = ScheduleConfig {
        objective: Some(ObjectiveKind::Tracking),
        target: Some(path.join("aggregate.csv")),
        ..first
    };
    let outcome = run(&second).unwrap();
    assert!(outcome.summary.cost < 1e-9, "{}", outcome.summary.cost);
    let wanted = numbers(&columns(aggregate.as_bytes()), "power_kw");
    for (power, wanted) in outcome.certified.power_kw.iter().zip(wanted) {
        assert!((power - wanted).abs() < 1e-5);
    }
}

#[test]
fn a_cancelled_run_keeps_what_it_has_proven() {
    let control = Control::default();
    control.cancel.cancel();
    let config = ScheduleConfig {
        objective: Some(ObjectiveKind::DemandCharge),
        ..ScheduleConfig::default()
    };
    let stopped = solve(&config, &control).unwrap();
    assert_eq!(stopped.summary.status, Status::Stopped);
    assert!(stopped.summary.checks.schedule_feasible);
    let optimal = run(&config).unwrap();
    assert!(stopped.summary.bound <= optimal.summary.cost + 1e-9);
    assert!(stopped.summary.cost >= optimal.summary.bound - 1e-9);
    assert!(stopped.summary.gap > optimal.summary.gap);
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let config = ScheduleConfig {
        vehicles: NonZeroUsize::new(5),
        objective: Some(ObjectiveKind::DemandCharge),
        ..ScheduleConfig::default()
    };
    let files = |config: &ScheduleConfig| {
        let report = schedule(config, &Control::default()).unwrap();
        let without_times = |content: &[u8]| {
            let text = String::from_utf8(content.to_vec()).unwrap();
            text.lines()
                .filter(|line| !line.contains("\"seconds\""))
                .collect::<Vec<_>>()
                .join("\n")
        };
        report
            .files
            .iter()
            .map(|file| (file.name, without_times(&file.content)))
            .collect::<Vec<_>>()
    };
    let once = files(&config);
    assert_eq!(once, files(&config));
    let names: Vec<_> = once.iter().map(|file| file.0).collect();
    assert_eq!(
        names,
        [
            "schedule.csv",
            "aggregate.csv",
            "day.svg",
            "vehicles.svg",
            "summary.json"
        ]
    );
    let other = ScheduleConfig {
        population: Some(2),
        ..config
    };
    assert_ne!(once, files(&other));
}

#[test]
fn options_that_do_not_go_together_are_named() {
    let (_folder, path) = folder(&[("fleet.json", FLEET), ("sessions.csv", SESSIONS)]);
    let input = || ScheduleConfig {
        input: Some(path.join("fleet.json")),
        ..ScheduleConfig::default()
    };
    let text = |config: &ScheduleConfig| {
        let error = run(config).unwrap_err();
        assert_eq!(error.exit_status(), 2, "{error}");
        error.to_string()
    };
    let energy = Some(ObjectiveKind::Energy);
    assert_eq!(
        text(&ScheduleConfig {
            objective: energy,
            ..input()
        }),
        "--prices: the objective energy needs prices; give a file, or `embedded` for generated ones"
    );
    assert!(
        run(&ScheduleConfig {
            objective: energy,
            prices: Some("embedded".into()),
            ..input()
        })
        .is_ok()
    );
    assert_eq!(
        text(&ScheduleConfig {
            demand_rate: Some(1.0),
            ..input()
        }),
        "--demand-rate: it goes with --objective demand-charge, not with peak"
    );
    assert_eq!(
        text(&ScheduleConfig {
            start: Some("2031-01-01".parse().unwrap()),
            ..sessions(&path)
        }),
        "--start: no session of the file is in the window from 2031-01-01T00:00:00+01:00[Europe/Oslo] to \
         2031-01-03T00:00:00+01:00[Europe/Oslo]; the file has arrivals from \
         2024-05-05T20:00:00+02:00[Europe/Oslo] to 2024-05-07T22:00:00+02:00[Europe/Oslo]"
    );
    let none = PathBuf::from("nowhere.json");
    assert!(
        text(&ScheduleConfig {
            input: Some(none),
            ..input()
        })
        .starts_with("--input: cannot read")
    );
}
