//! `evaluate` on instances with known answers: by hand, and stored ones where they are.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::folder;
use serde_json::Value;

fn evaluate(folder: &Path, input: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_end-to-end-flexibility"))
        .args([
            "evaluate",
            "--input",
            input,
            "--out-dir",
            "out",
            "--output",
            "-",
            "--quiet",
        ])
        .current_dir(folder)
        .output()
        .unwrap()
}

fn answer(folder: &Path, input: &str) -> Value {
    let output = evaluate(folder, input);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The largest difference between the expected numbers and ours, over whatever is expected.
fn difference(ours: &Value, expected: &Value) -> f64 {
    match expected {
        Value::Object(entries) => entries
            .iter()
            .filter(|(key, _)| *key != "kink")
            .map(|(key, expected)| difference(&ours[key], expected))
            .fold(0.0, f64::max),
        Value::Array(entries) => {
            assert_eq!(ours.as_array().map(Vec::len), Some(entries.len()));
            entries
                .iter()
                .enumerate()
                .map(|(index, entry)| difference(&ours[index], entry))
                .fold(0.0, f64::max)
        }
        _ => (ours.as_f64().unwrap() - expected.as_f64().unwrap()).abs(),
    }
}

/// One vehicle, two hours of up to 4 kW each, at most 6 kWh in all; F is the square [−1, 1]².
const BY_HAND: &str = r#"{"name": "by hand", "fleet": {"step_hours": 1.0, "steps": 2, "vehicles": [
  {"id": "a", "power_min_kw": 0, "power_max_kw": 4, "energy_min_kwh": 0, "energy_max_kwh": [4, 6]}]},
  "loads_kw": [[3, 0]], "center_kw": [2, 2],
  "set": {"normals": [[1, 1]], "offsets": [2], "power_min_kw": -1, "power_max_kw": 1}}"#;

#[test]
fn a_square_by_hand() {
    let (_folder, path) = folder(&[("square.json", BY_HAND)]);
    let answer = answer(&path, "square.json");
    assert_eq!(
        answer["support_max_kw"],
        serde_json::json!([0.0, 4.0, 4.0, 6.0])
    );
    assert_eq!(
        answer["support_min_kw"],
        serde_json::json!([0.0, 0.0, 0.0, 0.0])
    );
    let number = |key: &str| answer[key].as_f64().unwrap();
    // The corner (2 + γ, 2 + γ) reaches the 6 kWh at γ = 1.
    assert!((number("gamma_exact") - 1.0).abs() < 1e-12);
    assert!((number("gamma_certificate") - 1.0).abs() < 1e-6);
    // Without charging the peak is 3; within the square the least first power is 1, hence 4.
    assert!((answer["exact_cost_kw"][0].as_f64().unwrap() - 3.0).abs() < 1e-9);
    assert!((answer["set_cost_exact_kw"][0].as_f64().unwrap() - 4.0).abs() < 1e-6);
    assert!(path.join("out/evaluation.json").exists());
}

#[test]
fn stored_instances_are_met() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let Ok(files) = std::fs::read_dir(&cases) else {
        assert!(!cases.exists());
        return;
    };
    let (_folder, path) = folder(&[]);
    for file in files {
        let file = file.unwrap().path();
        if !file
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("sets_")
        {
            continue;
        }
        let stored: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let ours = answer(&path, file.to_str().unwrap());
        for (key, expected) in stored["expected"].as_object().unwrap() {
            let allowed = match key.as_str() {
                "support_max_kw" | "support_min_kw" => 1e-9,
                "gamma_exact" => 1e-7,
                "exact_cost_kw" | "set_cost_exact_kw" => 1e-6,
                "gradient" => 1e-4,
                _ => 1e-5,
            };
            let off = difference(&ours[key], expected);
            assert!(off <= allowed, "{}: {key} is off by {off}", file.display());
        }
        let gamma = |key: &str| ours[key].as_f64().unwrap();
        assert!(gamma("gamma_certificate") <= gamma("gamma_exact") * (1.0 + 1e-9));
    }
}

#[test]
fn bad_instances_are_named_and_nothing_is_written() {
    let outside = BY_HAND.replace("[2, 2]", "[5, 2]");
    let no_centre = BY_HAND.replace("\"center_kw\": [2, 2],", "");
    let short = BY_HAND.replace("\"offsets\": [2]", "\"offsets\": [2, 3]");
    let without_origin = BY_HAND.replace("\"offsets\": [2]", "\"offsets\": [-1]");
    let unknown = BY_HAND.replace("\"loads_kw\"", "\"load_kw\"");
    for (text, message) in [
        (outside.as_str(), "the centre is outside the aggregate set"),
        (&no_centre, "a `set` needs its `center_kw`"),
        (&short, "offsets"),
        (&without_origin, "an offset is -1"),
        (&unknown, "unknown key `load_kw`"),
    ] {
        let (_folder, path) = folder(&[("bad.json", text)]);
        let output = evaluate(&path, "bad.json");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(message), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(!path.join("out").exists());
    }
}
