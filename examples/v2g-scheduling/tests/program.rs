//! The program as a user runs it: files in, files out, exit statuses.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

use evflex::v2g::{check_schedule, read_problem};
use serde_json::Value;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_v2g-scheduling"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn generate(folder: &Path, extra: &[&str]) {
    let mut arguments = vec!["generate", "--output", "night.json"];
    arguments.extend(extra);
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{output:?}");
}

/// Rows of powers of a summary.
fn powers(summary: &Value) -> ndarray::Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(summary["power_kw"].clone()).unwrap();
    let shape = (rows.len(), rows[0].len());
    ndarray::Array2::from_shape_vec(shape, rows.concat()).unwrap()
}

#[test]
fn a_night_is_solved_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    generate(folder, &["--vehicles", "12"]);
    let output = run(
        folder,
        &[
            "solve",
            "--input",
            "night.json",
            "--gap",
            "5e-3",
            "--out-dir",
            "out",
            "--output",
            "answer.json",
        ],
    );
    assert!(output.status.success(), "{output:?}");
    for file in [
        "schedule.csv",
        "steps.csv",
        "summary.json",
        "fleet.svg",
        "energy.svg",
    ] {
        assert!(
            folder.join("out").join(file).metadata().unwrap().len() > 100,
            "{file}"
        );
    }
    let summary = json(&folder.join("answer.json"));
    assert_eq!(summary, json(&folder.join("out/summary.json")));
    let (cost, bound) = (
        summary["cost_eur"].as_f64().unwrap(),
        summary["lower_bound_eur"].as_f64().unwrap(),
    );
    let gap = summary["gap"].as_f64().unwrap();
    assert!(bound <= cost && (gap - (cost - bound) / cost.abs()).abs() < 1e-12);
    let problem = read_problem(&folder.join("night.json"), None).unwrap();
    let report = check_schedule(&problem, powers(&summary).view(), 1e-6).unwrap();
    assert!(report.is_feasible(), "{:?}", report.violations);
    assert!((report.cost_eur - cost).abs() < 1e-9);
    let rows = std::fs::read_to_string(folder.join("out/schedule.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 12 * 48);
}

#[test]
fn both_methods_meet() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    generate(folder, &["--vehicles", "2", "--steps", "10"]);
    let solve = |method: &str| {
        let file = format!("{method}.json");
        let output = run(
            folder,
            &[
                "solve",
                "--input",
                "night.json",
                "--method",
                method,
                "--output",
                &file,
            ],
        );
        assert!(output.status.success(), "{output:?}");
        json(&folder.join(file))
    };
    let (decomposed, exact) = (solve("decomposition"), solve("milp"));
    assert_eq!(exact["status"], "optimal");
    let cost = |summary: &Value| summary["cost_eur"].as_f64().unwrap();
    assert!(cost(&decomposed) >= cost(&exact) - 1e-6);
    assert!(decomposed["lower_bound_eur"].as_f64().unwrap() <= cost(&exact) + 1e-6);
}

#[test]
fn sequences_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text =
        r#"{"W": 4, "tests": [{"seq": "CIIIDC"}, {"seq": "CDDDC", "two_mode_free_idle": true}]}"#;
    std::fs::write(folder.join("rule.json"), text).unwrap();
    let output = run(
        folder,
        &["check-switches", "--input", "rule.json", "--output", "-"],
    );
    let verdicts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts["tests"][0]["two_mode_free_idle"], true);
    assert_eq!(verdicts["tests"][0]["first_activity"], false);
    assert_eq!(verdicts["tests"][1]["two_mode_free_idle"], false);
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    generate(folder, &["--vehicles", "2", "--steps", "8"]);
    let good = std::fs::read_to_string(folder.join("night.json")).unwrap();
    let cases = [
        (
            good.replace("\"level\":3", "\"level\":7"),
            "levels are 0, 1, 2 and 3",
        ),
        (
            good.replace("\"steps\":8", "\"steps\":9"),
            "price_eur_per_kwh",
        ),
        (
            good.replace("\"capacity_kwh\":100.0", "\"capacity_kwh\":5.0"),
            "capacity_kwh",
        ),
        (
            good.replace("\"group_limit_kw\":18.0", "\"group_limit_kw\":0.1"),
            "too small",
        ),
        (
            good.replace("\"level\"", "\"colour\":1,\"level\""),
            "colour",
        ),
        (good.replace("\"ev-1\"", "\"ev-0\""), "same id"),
        ("{".to_owned(), "JSON"),
    ];
    for (text, word) in cases {
        assert_ne!(text, good, "{word}");
        std::fs::write(folder.join("bad.json"), text).unwrap();
        let output = run(
            folder,
            &[
                "solve",
                "--input",
                "bad.json",
                "--out-dir",
                "none",
                "--output",
                "none.json",
            ],
        );
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains(word) && message.lines().count() == 1,
            "{message}"
        );
        assert!(!folder.join("none").exists() && !folder.join("none.json").exists());
    }
    for arguments in [
        &["solve", "--input", "night.json", "--gap", "-1"][..],
        &["solve", "--input", "night.json", "--level", "4"],
        &["solve", "--input", "nowhere.json"],
        &["--nights", "0"],
        &["--prices", "x.csv"],
    ] {
        assert_eq!(
            run(folder, arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_default_run_in_small() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = run(
        folder,
        &[
            "--vehicles",
            "8",
            "--nights",
            "2",
            "--sizes",
            "4",
            "--milp-time-limit",
            "2",
            "--out-dir",
            "out",
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let table = std::fs::read_to_string(folder.join("out/cost_over_size.csv")).unwrap();
    assert!(
        table
            .lines()
            .filter(|line| line.contains(",decomposition,"))
            .count()
            == 2 * 4 + 2
    );
    let history = std::fs::read_to_string(folder.join("out/gap_over_time.csv")).unwrap();
    assert!(
        history.starts_with("method,level,vehicles,night,seconds,cost_eur,lower_bound_eur,gap\n")
    );
    let summary = json(&folder.join("out/summary.json"));
    for row in summary["rows"].as_array().unwrap() {
        if row["method"] == "decomposition" && row["level"] != 3 {
            assert!(row["gap"].as_f64().unwrap() < 1e-4, "{row}");
        }
    }
}
