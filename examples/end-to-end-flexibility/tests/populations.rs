//! The default run on a small config.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod common;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{check_tables, columns, file, numbers};
use end_to_end_flexibility::populations::DECISIONS;
use end_to_end_flexibility::{Control, PopulationsConfig, Report, RunConfig, populations};
use evflex::solver::Progress;

fn config() -> PopulationsConfig {
    PopulationsConfig {
        populations: NonZeroUsize::new(3).unwrap(),
        vehicles: NonZeroUsize::new(4).unwrap(),
        days: NonZeroUsize::new(2).unwrap(),
        run: RunConfig {
            seed: 11,
            ..RunConfig::default()
        },
        ..PopulationsConfig::default()
    }
}

fn run(config: &PopulationsConfig) -> Report {
    populations(config, &Control::default()).unwrap()
}

#[test]
fn every_decision_is_certified_and_confirmed() {
    let report = run(&config());
    let summary: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    assert_eq!(summary["status"], "optimal");
    assert_eq!(
        (&summary["first_day"], &summary["days"]),
        (&182.into(), &2.into())
    );
    let decisions = summary["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 4);
    for decision in decisions {
        let number = |key: &str| decision[key].as_f64().unwrap();
        assert!(number("cost") < number("uncontrolled_cost"), "{decision}");
        assert!(number("largest_gap") <= 1e-6, "{decision}");
        // One program over all vehicles finds the same cost.
        assert!(number("direct_largest_difference") <= 1e-6, "{decision}");
        assert_eq!(decision["schedules_checked"], 6);
        assert_eq!(decision["optimal"], 6);
    }

    let rows = columns(file(&report, "decisions.csv"));
    assert_eq!(rows["seed"].len(), 3 * 2 * 4);
    let (cost, bound) = (numbers(&rows, "cost"), numbers(&rows, "bound"));
    assert!(cost.iter().zip(&bound).all(|(cost, bound)| bound <= cost));
    // The means by population are those of the rows.
    let means = columns(file(&report, "populations.csv"));
    for (row, mean) in numbers(&means, "cost").into_iter().enumerate() {
        let same = |k: &usize| {
            rows["seed"][*k] == means["seed"][row] && rows["decision"][*k] == means["decision"][row]
        };
        let found: Vec<f64> = (0..cost.len()).filter(same).map(|k| cost[k]).collect();
        assert_eq!(found.len(), 2);
        assert!((found.iter().sum::<f64>() / 2.0 - mean).abs() < 1e-9 * (1.0 + mean.abs()));
    }
    check_tables(
        file(&report, "schedule.csv"),
        file(&report, "aggregate.csv"),
        1.0,
    );
    for name in ["day.svg", "vehicles.svg", "reductions.svg"] {
        assert!(file(&report, name).starts_with(b"<svg"));
    }
    assert!(
        DECISIONS
            .iter()
            .all(|decision| report.table.contains(&decision.to_string()))
    );
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
    other.run.seed = 12;
    let other = run(&other);
    assert_ne!(file(&once, "decisions.csv"), file(&other, "decisions.csv"));
}

#[test]
fn progress_counts_every_decision() {
    let seen = Arc::new(AtomicU64::new(0));
    let count = seen.clone();
    let control = Control {
        progress: Some(Progress::new(move |report| {
            assert_eq!(report.total, Some(24));
            count.fetch_add(1, Ordering::Relaxed);
        })),
        ..Control::default()
    };
    populations(&config(), &control).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 24);
}

#[test]
fn bad_options_are_named() {
    let text = |change: &dyn Fn(&mut PopulationsConfig)| {
        let mut config = config();
        change(&mut config);
        let error = populations(&config, &Control::default()).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        error.to_string()
    };
    assert_eq!(
        text(&|c| c.days = NonZeroUsize::new(185).unwrap()),
        "--days: 185 are more than the 184 embedded days"
    );
    assert!(text(&|c| c.demand_rate = f64::NAN).starts_with("--demand-rate: NaN"));
    assert!(text(&|c| c.run.gap = -1.0).starts_with("--gap: -1"));
    assert!(text(&|c| c.run.time_limit = Some(0.0)).starts_with("--time-limit: 0"));
}
