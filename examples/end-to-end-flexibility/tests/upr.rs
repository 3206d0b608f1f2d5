//! `upr` on a small config.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod common;

use std::num::NonZeroUsize;

use common::{columns, file, numbers};
use end_to_end_flexibility::upr::{DEFAULT_METHODS, PUBLISHED};
use end_to_end_flexibility::{Control, Error, Report, RunConfig, UprConfig, upr};

fn config() -> UprConfig {
    let count = |n| NonZeroUsize::new(n).unwrap();
    UprConfig {
        populations: count(2),
        households: count(3),
        steps: count(6),
        days: count(2),
        samples: count(12),
        run: RunConfig {
            seed: 5,
            ..RunConfig::default()
        },
        ..UprConfig::default()
    }
}

fn run(config: &UprConfig) -> Report {
    upr(config, &Control::default()).unwrap()
}

#[test]
fn every_set_is_measured_between_best_and_idle() {
    let report = run(&config());
    let summary: serde_json::Value = serde_json::from_str(&report.json).unwrap();
    let methods = summary["methods"].as_array().unwrap();
    assert_eq!(methods.len(), DEFAULT_METHODS.len());
    assert!(summary.get("left_out").is_none());
    let rows = columns(file(&report, "unused.csv"));
    let ratio = numbers(&rows, "unused_potential_percent");
    let (approximate, best, worst) = (
        numbers(&rows, "approximate"),
        numbers(&rows, "best"),
        numbers(&rows, "worst"),
    );
    assert_eq!(ratio.len(), methods.len() * 2 * 2 * 2);
    for row in 0..ratio.len() {
        // The definition, from the columns; idle batteries cost nothing and do not change the peak.
        let expected = 100.0 * (approximate[row] - best[row]) / (worst[row] - best[row]);
        assert!((ratio[row] - expected).abs() < 1e-6);
        if rows["objective"][row] == "energy" {
            assert!(worst[row].abs() < 1e-12);
        }
        let outer = rows["method"][row].starts_with("outer");
        assert!(if outer {
            ratio[row] <= 1e-3
        } else {
            ratio[row] >= -1e-3
        });
    }
    for method in methods {
        let name = method["method"].as_str().unwrap();
        let of_method: Vec<f64> = (0..ratio.len())
            .filter(|&row| rows["method"][row] == name && rows["objective"][row] == "energy")
            .map(|row| ratio[row])
            .collect();
        let mean = of_method.iter().sum::<f64>() / of_method.len() as f64;
        assert!((method["cost_percent"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
        let published = PUBLISHED.iter().find(|(id, _)| *id == name);
        assert_eq!(
            method
                .get("published_peak_percent")
                .and_then(serde_json::Value::as_f64),
            published.map(|(_, figures)| figures[1])
        );
        let checked = method["schedules_checked"].as_u64().unwrap();
        assert_eq!(checked, if name.starts_with("outer") { 0 } else { 4 });
    }
    assert!(report.table.contains("largest box") && report.table.contains("167.0"));
}

#[test]
fn a_seed_gives_the_same_numbers_on_any_number_of_threads() {
    let one = UprConfig {
        run: RunConfig {
            threads: NonZeroUsize::new(1),
            ..config().run
        },
        ..config()
    };
    let (first, second) = (run(&one), run(&config()));
    assert_eq!(file(&first, "unused.csv"), file(&second, "unused.csv"));
}

#[test]
fn unknown_sets_are_named() {
    let error = upr(
        &UprConfig {
            methods: vec!["exact".to_owned()],
            ..config()
        },
        &Control::default(),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Option {
                option: "--methods",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("homothets"), "{error}");
}
