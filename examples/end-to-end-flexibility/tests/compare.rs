//! The comparison of aggregate sets on a small config.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod common;

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{columns, file, folder, numbers};
use end_to_end_flexibility::compare::{METHODS, Split, Task};
use end_to_end_flexibility::{CompareConfig, Control, Report, RunConfig, compare};
use evflex::solver::Progress;

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Two populations of three vehicles over 18 hours, two test days.
fn config() -> CompareConfig {
    CompareConfig {
        full: true,
        populations: Some(count(2)),
        vehicles: count(3),
        days: Some(count(2)),
        train_days: Some(count(6)),
        samples: count(6),
        run: RunConfig {
            seed: 5,
            ..RunConfig::default()
        },
        ..CompareConfig::default()
    }
}

fn run(config: &CompareConfig) -> Report {
    compare(config, &Control::default()).unwrap()
}

#[test]
fn every_method_is_compared_and_the_order_of_sets_is_the_order_of_costs() {
    let report = run(&config());
    let summary: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    assert_eq!(summary["left_out"], serde_json::json!([]));
    assert_eq!(
        (&summary["populations"], &summary["steps"]),
        (&2.into(), &18.into())
    );
    let results = summary["results"].as_array().unwrap();
    assert_eq!(results.len(), 3 * METHODS.len());
    for result in results {
        assert_eq!(result["decisions"], 4, "{result}");
        let kind = result["kind"].as_str().unwrap();
        // Sets claim what their methods promise, and every profile of an inner set was followed.
        assert_eq!(result["claim"], kind, "{result}");
        assert_eq!(
            result["schedules_checked"],
            if kind == "outer" { 0 } else { 4 }
        );
    }

    let costs = columns(file(&report, "costs.csv"));
    assert_eq!(costs["task"].len(), 3 * METHODS.len() * 2 * 2);
    let (cost, bound) = (numbers(&costs, "cost"), numbers(&costs, "bound"));
    let (exact, gap) = (numbers(&costs, "exact_cost"), numbers(&costs, "gap"));
    for row in 0..cost.len() {
        let kind = METHODS
            .iter()
            .find(|m| m.id == costs["method"][row])
            .unwrap()
            .kind;
        let slack = 1e-6 * (1.0 + exact[row].abs());
        match format!("{kind:?}").as_str() {
            "Outer" => assert!(cost[row] <= exact[row] + slack, "row {row}"),
            "Inner" => assert!(cost[row] >= exact[row] - slack, "row {row}"),
            _ => assert!((cost[row] - exact[row]).abs() <= slack, "row {row}"),
        }
        assert!(bound[row] <= cost[row]);
        let reported = if costs["method"][row].starts_with("outer") {
            bound[row]
        } else {
            cost[row]
        };
        assert!((gap[row] - (reported - exact[row])).abs() <= 1e-12 * (1.0 + cost[row].abs()));
    }

    // The means of gaps.csv are those of the rows of costs.csv.
    let gaps = columns(file(&report, "gaps.csv"));
    for (k, mean) in numbers(&gaps, "gap").into_iter().enumerate() {
        let same: Vec<f64> = (0..cost.len())
            .filter(|&row| {
                costs["task"][row] == gaps["task"][k] && costs["method"][row] == gaps["method"][k]
            })
            .map(|row| gap[row])
            .collect();
        assert_eq!(same.len(), 4);
        assert!((same.iter().sum::<f64>() / 4.0 - mean).abs() <= 1e-9 * (1.0 + mean.abs()));
    }
    // What holds of all sets of these kinds, whatever is decided.
    let width = numbers(&gaps, "width_percent");
    for (k, kind) in gaps["kind"].iter().enumerate() {
        match kind.as_str() {
            "inner" => assert!((0.0..=100.0 + 1e-6).contains(&width[k]), "{width:?}"),
            "outer" => assert!(width[k] >= 100.0 - 1e-6),
            _ => assert!((width[k] - 100.0).abs() <= 1e-9),
        }
    }
    let excess = numbers(&gaps, "excess_energy_kwh");
    for (k, kind) in gaps["kind"].iter().enumerate() {
        let sign = if kind == "outer" { -1.0 } else { 1.0 };
        assert!(
            sign * excess[k] >= -1e-5,
            "{}: {}",
            gaps["method"][k],
            excess[k]
        );
    }
    for name in ["gaps.svg", "projections.svg"] {
        let svg = String::from_utf8(file(&report, name).to_vec()).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("general affine"));
    }
    for method in METHODS {
        assert!(report.table.contains(method.label), "{}", method.label);
    }
}

#[test]
fn projections_of_inner_sets_are_inside() {
    let report = run(&config());
    let rows = columns(file(&report, "projections.csv"));
    let (x, y) = (numbers(&rows, "early_kw"), numbers(&rows, "late_kw"));
    let corners = |task: &str, method: &str| -> Vec<(f64, f64)> {
        (0..x.len())
            .filter(|&k| rows["task"][k] == task && rows["method"][k] == method)
            .map(|k| (x[k], y[k]))
            .collect()
    };
    for task in ["energy-cost", "peak-charging-only"] {
        let exact = corners(task, "exact");
        assert_eq!(exact.len(), 72);
        for method in METHODS {
            let set = corners(task, method.id);
            for k in 0..72 {
                let (sin, cos) = (std::f64::consts::TAU * f64::from(k) / 72.0).sin_cos();
                let reach = |corners: &[(f64, f64)]| {
                    corners
                        .iter()
                        .fold(f64::NEG_INFINITY, |most, p| most.max(cos * p.0 + sin * p.1))
                };
                let (of_set, of_exact) = (reach(&set), reach(&exact));
                match format!("{:?}", method.kind).as_str() {
                    "Outer" => assert!(of_set >= of_exact - 1e-5, "{} {task}", method.id),
                    _ => assert!(of_set <= of_exact + 1e-5, "{} {task}", method.id),
                }
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let once = run(&config());
    let mut alone = config();
    alone.run.threads = NonZeroUsize::new(1);
    let again = run(&alone);
    for file in once.files.iter().filter(|file| file.name != "summary.json") {
        assert!(
            common::file(&again, file.name) == file.content,
            "{} differs",
            file.name
        );
    }
    let mut other = config();
    other.run.seed = 6;
    assert_ne!(file(&once, "costs.csv"), file(&run(&other), "costs.csv"));
}

/// The last days in time, and only the methods asked for.
#[test]
fn a_choice_of_methods_and_days() {
    let config = CompareConfig {
        methods: vec!["homothets".to_owned()],
        split: Split::Chronological,
        ..config()
    };
    let report = run(&config);
    let costs = columns(file(&report, "costs.csv"));
    let mut methods = costs["method"].clone();
    methods.sort();
    methods.dedup();
    assert_eq!(methods, ["exact", "homothets"]);
    let mut days = costs["day"].clone();
    days.sort();
    days.dedup();
    assert_eq!(days, ["147", "148"]);
}

/// One fleet over four hours: two tasks, and nothing that needs populations.
#[test]
fn a_fleet_from_a_file() {
    let (_folder, path) = folder(&[("fleet.json", common::FLEET)]);
    let config = CompareConfig {
        input: Some(path.join("fleet.json")),
        populations: None,
        ..config()
    };
    let report = run(&config);
    let summary: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    assert_eq!(
        (&summary["vehicles"], &summary["steps"]),
        (&2.into(), &4.into())
    );
    let tasks: Vec<&str> = summary["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["task"].as_str().unwrap())
        .collect();
    assert_eq!(tasks.len(), 2 * METHODS.len());
    assert!(!tasks.contains(&"peak-charging-only"));
}

/// A vehicle that is never moved and one whose every step is fixed: nothing is saved, nothing fails.
#[test]
fn fleets_without_flexibility() {
    let still = r#"{"id": "still", "power_min_kw": 0, "power_max_kw": 0, "energy_min_kwh": 0, "energy_max_kwh": 1}"#;
    let full = r#"{"id": "full", "arrival_step": 1, "departure_step": 3, "capacity_kwh": 40, "initial_kwh": 10.1,
       "required_kwh": 16.7, "charge_max_kw": 3.3, "discharge_max_kw": 0}"#;
    for vehicles in [still.to_owned(), format!("{still}, {full}")] {
        let fleet =
            format!(r#"{{"fleet": {{"step_hours": 1.0, "steps": 4, "vehicles": [{vehicles}]}}}}"#);
        let (_folder, path) = folder(&[("fleet.json", &fleet)]);
        let config = CompareConfig {
            input: Some(path.join("fleet.json")),
            populations: None,
            ..config()
        };
        let report = run(&config);
        let summary: serde_json::Value = serde_json::from_str(&report.json).unwrap();
        for result in summary["results"].as_array().unwrap() {
            assert!(
                result["gap"]["mean"].as_f64().unwrap().abs() < 1e-5,
                "{result}"
            );
            assert!(result["lost_percent"].is_null(), "{result}");
        }
        // A set of one point has no scale; with the second vehicle rounding may leave it some extent.
        for left in summary["left_out"].as_array().unwrap() {
            assert_eq!(left["method"], "interval-rows");
        }
        assert!(vehicles != still || !summary["left_out"].as_array().unwrap().is_empty());
    }
}

#[test]
fn loads_from_a_file_are_those_of_the_summer() {
    let hours: Vec<String> = (0..18).map(|k| format!("h{:02}", (15 + k) % 24)).collect();
    let mut text = format!("date,{}\n", hours.join(","));
    for (date, load) in [
        ("2018-04-30", 1000.0),
        ("2018-05-01", 10.0),
        ("2018-05-02", 20.0),
        ("2018-05-03", 30.0),
        ("2018-10-31", 40.0),
        ("2018-11-01", 1000.0),
    ] {
        let row: Vec<String> = (0..18)
            .map(|hour| (load + f64::from(hour)).to_string())
            .collect();
        writeln!(text, "{date},{}", row.join(",")).unwrap();
    }
    let (_folder, path) = folder(&[("loads.csv", &text)]);
    let config = CompareConfig {
        loads: Some(path.join("loads.csv")),
        split: Split::Chronological,
        days: None,
        train_days: None,
        methods: vec!["homothets".to_owned()],
        ..config()
    };
    let report = run(&config);
    let summary: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    assert_eq!(summary["loads"], "loads.csv");
    assert_eq!(
        (&summary["train_days"], &summary["test_days"]),
        (&2.into(), &[3].into())
    );
    // The load of 31 October and the least energy of the fleet, spread evenly.
    let costs = columns(file(&report, "costs.csv"));
    let least: f64 = evflex::fleet::synthetic::Population::new(
        evflex::fleet::TimeGrid::new(18, evflex::fleet::Hours(1.0)).unwrap(),
        3,
    )
    .generate(5)
    .unwrap()
    .vehicles()
    .iter()
    .map(|vehicle| vehicle.energy_min_kwh()[17])
    .sum();
    let mean = (18.0 * 40.0 + 17.0 * 18.0 / 2.0 + least) / 18.0;
    assert_eq!(
        (costs["task"][0].as_str(), costs["seed"][0].as_str()),
        ("peak-v2g", "5")
    );
    assert!((numbers(&costs, "exact_cost")[0] - mean).abs() < 1e-6);
}

#[test]
fn progress_counts_every_decision_and_cancelling_ends_the_run() {
    let seen = Arc::new(AtomicU64::new(0));
    let most = seen.clone();
    let total = (3 * 2 * 2 * METHODS.len()) as u64;
    let control = Control {
        progress: Some(Progress::new(move |report| {
            assert_eq!(report.total, Some(total));
            most.fetch_max(report.done, Ordering::Relaxed);
        })),
        ..Control::default()
    };
    compare(&config(), &control).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), total);

    let control = Control::default();
    control.cancel.cancel();
    let error = compare(&config(), &control).unwrap_err();
    assert_eq!(error.to_string(), "cancelled; nothing was written");
    assert_eq!(error.exit_status(), 1);
}

#[test]
fn bad_options_are_named() {
    let text = |change: &dyn Fn(&mut CompareConfig)| {
        let mut config = config();
        change(&mut config);
        let error = compare(&config, &Control::default()).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        error.to_string()
    };
    assert_eq!(
        text(&|c| c.days = Some(count(38))),
        "--days: 38 are more than the 37 test days of 184"
    );
    assert_eq!(
        text(&|c| c.train_days = Some(count(111))),
        "--train-days: 111 are more than the 110 training days of 184"
    );
    assert!(
        text(&|c| c.methods = vec!["cube".to_owned()])
            .starts_with("--methods: there is no `cube`; known are exact, homothets")
    );
    assert!(text(&|c| c.loads = Some("nowhere.csv".into())).starts_with("--loads: "));
    assert!(text(&|c| c.run.gap = f64::NAN).starts_with("--gap: NaN"));
    assert_eq!(Task::ALL.map(Task::unit), ["kW", "EUR/day", "kW"]);
}
