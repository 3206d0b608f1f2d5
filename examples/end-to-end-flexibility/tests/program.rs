//! The built program: exit statuses, messages, and files that are there or not.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{FLEET, SESSIONS, check_tables, folder, rising};

fn program(folder: &Path, arguments: &[&str]) -> Output {
    with_input(folder, arguments, "")
}

fn with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_end-to-end-flexibility"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads nothing may have closed its end already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_schedule_from_files() {
    let (_folder, path) = folder(&[("sessions.csv", SESSIONS), ("prices.csv", &rising())]);
    let arguments = [
        "schedule",
        "--sessions",
        "sessions.csv",
        "--zone",
        "Europe/Oslo",
        "--days",
        "2",
        "--prices",
        "prices.csv",
        "--objective",
        "demand-charge",
        "--out-dir",
        "new/out",
        "--output",
        "answer.json",
    ];
    let output = program(&path, &arguments);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    assert!(text(&output.stdout).contains("bound"));
    let read = |name: &str| std::fs::read(path.join("new/out").join(name)).unwrap();
    let energy = check_tables(&read("schedule.csv"), &read("aggregate.csv"), 1.0);
    assert!((energy["b"] - 30.0).abs() < 1e-6);
    let summary: serde_json::Value = serde_json::from_slice(&read("summary.json")).unwrap();
    assert_eq!(
        std::fs::read(path.join("answer.json")).unwrap(),
        read("summary.json")
    );
    for key in [
        "name",
        "version",
        "method",
        "seconds",
        "status",
        "cost",
        "bound",
        "gap",
        "uncontrolled_cost",
    ] {
        assert!(!summary[key].is_null(), "{key}");
    }
    assert_eq!(
        (&summary["status"], &summary["claim"]),
        (&"optimal".into(), &"exact".into())
    );
    assert_eq!(summary["sessions"]["scheduled"], 4);
    let mut names: Vec<_> = std::fs::read_dir(path.join("new/out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "aggregate.csv",
            "day.svg",
            "schedule.csv",
            "summary.json",
            "vehicles.svg"
        ]
    );
}

#[test]
fn standard_input_and_output() {
    let (_folder, path) = folder(&[]);
    let output = with_input(&path, &["schedule", "--input", "-", "--output", "-"], FLEET);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["vehicles"], &summary["steps"]),
        (&2.into(), &4.into())
    );
    assert!(
        path.join("target/end-to-end-flexibility/schedule.csv")
            .exists()
    );
}

#[test]
fn the_default_run_on_a_small_config() {
    let (_folder, path) = folder(&[]);
    let small = [
        "--populations",
        "2",
        "--vehicles",
        "2",
        "--days",
        "1",
        "--out-dir",
        "out",
    ];
    let output = program(&path, &small);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    let table = text(&output.stdout);
    assert!(table.contains("peak, charging only: exact cost"), "{table}");
    assert!(path.join("out/gaps.svg").exists());
    let quiet = program(&path, &[&["compare"], &small[..], &["--quiet"]].concat());
    assert_eq!(
        (quiet.status.code(), quiet.stdout.len(), quiet.stderr.len()),
        (Some(0), 0, 0)
    );
}

#[test]
fn populations_on_a_small_config() {
    let (_folder, path) = folder(&[]);
    let small = [
        "populations",
        "--populations",
        "2",
        "--vehicles",
        "3",
        "--days",
        "1",
        "--out-dir",
        "out",
    ];
    let output = program(&path, &small);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    assert!(
        text(&output.stdout).contains("8 schedules checked"),
        "{}",
        text(&output.stdout)
    );
    assert!(path.join("out/reductions.svg").exists());
}

#[test]
fn help_names_every_heading() {
    let (_folder, path) = folder(&[]);
    let output = program(&path, &["schedule", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    for heading in ["Fleet:", "Window:", "Prices and loads:", "Decision:"] {
        assert!(text(&output.stdout).contains(heading), "{heading}");
    }
}

/// Every kind of bad input: status 2, one line that names the place, no files.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn bad_input_is_named_and_nothing_is_written() {
    let ragged = SESSIONS.replace(",30,11,x", ",30,11");
    let negative = SESSIONS.replace(",8,3.6,y", ",-8,3.6,y");
    let unit = SESSIONS.replace(",8,3.6,y", ",8000,3.6,y");
    let unknown = FLEET.replace("\"charge_max_kw\"", "\"charge_max\": 1, \"charge_max_kw\"");
    let impossible = FLEET.replace("\"required_kwh\": 16", "\"required_kwh\": 36");
    let gap = rising().replacen("2021-05-03T00:00:00Z,2\n", "", 1);
    let short: String = rising()
        .lines()
        .take(30)
        .map(|line| line.to_owned() + "\n")
        .collect();
    let (_folder, path) = folder(&[
        ("fleet.json", FLEET),
        ("unknown.json", &unknown),
        ("impossible.json", &impossible),
        ("broken.json", &FLEET[..FLEET.len() - 3]),
        ("empty.json", ""),
        ("sessions.csv", SESSIONS),
        ("ragged.csv", &ragged),
        ("negative.csv", &negative),
        ("unit.csv", &unit),
        ("prices.csv", &rising()),
        ("gap.csv", &gap),
        ("short.csv", &short),
        ("loads.csv", "date,h15,h17\n2018-05-01,1,2\n"),
        ("night.csv", "date,h15,h16\n2018-05-01,1,2\n"),
        ("target.csv", "step,power_kw\n0,1\n1,one\n"),
        ("rows.csv", "step,power_kw\n0,1\n1,2\n"),
    ]);
    let oslo = ["--zone", "Europe/Oslo"];
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--input", "unknown.json"],
            &["--input: unknown.json", "fleet.vehicles[1]", "charge_max"],
        ),
        (
            &["--input", "impossible.json"],
            &["--input: ", "`b`", "26 to 30 kWh"],
        ),
        (
            &["--input", "broken.json"],
            &["--input: broken.json", "JSON"],
        ),
        (
            &["--input", "empty.json"],
            &["--input: empty.json", "empty"],
        ),
        (
            &["--input", "missing.json"],
            &["--input: cannot read `missing.json`"],
        ),
        (
            &["--input", "fleet.json", "--prices", "prices.csv"],
            &["--start: ", "no clock times"],
        ),
        (
            &["--input", "fleet.json", "--sessions", "sessions.csv"],
            &["--input", "--sessions"],
        ),
        (
            &["--input", "fleet.json", "--objective", "cost"],
            &["'cost'", "--objective", "peak, energy"],
        ),
        (
            &["--sessions", "sessions.csv"],
            &["--sessions: sessions.csv: line 2", "no offset"],
        ),
        (
            &["--sessions", "sessions.csv", "--zone", "Oslo"],
            &["--zone: `Oslo` is no time zone"],
        ),
        (
            &["--sessions", "ragged.csv", "--zone", "UTC"],
            &["--sessions: ragged.csv: line 4", "fields"],
        ),
        (
            &["--sessions", "negative.csv", "--zone", "UTC"],
            &["negative.csv: line 5", "energy_kwh", "-8"],
        ),
        (
            &["--sessions", "unit.csv", "--zone", "UTC"],
            &["unit.csv: line 5", "8000 kWh", "check the units"],
        ),
        (
            &["--sessions", "fleet.json", oslo[0], oslo[1]],
            &["--sessions: fleet.json", "session_id"],
        ),
        (
            &["--prices", "gap.csv"],
            &["--prices: gap.csv: line", "a gap of 1 rows"],
        ),
        (
            &["--prices", "prices.csv", "--price-column", "spot"],
            &["--prices: prices.csv", "`spot`"],
        ),
        (
            &["--prices", "prices.csv", "--price-start", "2031-01-01"],
            &["--prices: ", "2031-01-0"],
        ),
        (
            &["--prices", "prices.csv", "--price-start", "tomorrow"],
            &["'tomorrow'", "--price-start"],
        ),
        (
            &["--prices", "short.csv", "--start", "2021-05-04T15:00"],
            &["--prices: ", "is needed"],
        ),
        (&["--loads", "loads.csv"], &["--loads: loads.csv", "`h17`"]),
        (
            &["--loads", "night.csv"],
            &["--loads: ", "2018-05-01T17:00"],
        ),
        (
            &["--objective", "tracking", "--target", "target.csv"],
            &["--target: target.csv: line 3", "`one`"],
        ),
        (
            &["--objective", "tracking", "--target", "rows.csv"],
            &["--target: rows.csv", "18", "2"],
        ),
        (
            &["--objective", "demand-charge", "--demand-rate", "-1"],
            &["--demand-rate: -1"],
        ),
        (&["--vehicles", "0"], &["--vehicles"]),
        (&["--steps", "1000000000"], &["--steps: 1000000000"]),
        (&["--step-minutes", "0"], &["--step-minutes: 0"]),
        (&["--v2g"], &["--sessions"]),
        (&["--gap", "NaN"], &["--gap: NaN"]),
        (&["--time-limit", "-3"], &["--time-limit: -3"]),
        (&["--seed", "x"], &["'x'", "--seed"]),
        (&["--nonsense"], &["--nonsense"]),
    ];
    for (arguments, words) in cases {
        let all = [&["schedule", "--out-dir", "out"], *arguments].concat();
        let output = program(&path, &all);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.starts_with("error: "), "{message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
        for word in *words {
            assert!(
                message.contains(word),
                "{arguments:?}: `{word}` is not in: {message}"
            );
        }
        assert!(
            output.stdout.is_empty() && !path.join("out").exists(),
            "{arguments:?}"
        );
    }
    // What can be read is scheduled on request, and the rest is counted and named.
    let arguments = [
        "schedule",
        "--sessions",
        "negative.csv",
        "--zone",
        "UTC",
        "--skip-bad-rows",
        "--output",
        "-",
    ];
    let output = program(&path, &arguments);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["sessions"]["refused"], 1);
    assert!(
        summary["sessions"]["refused_reasons"][0]
            .as_str()
            .unwrap()
            .contains("line 5")
    );
}

#[test]
fn a_failure_has_status_one_and_leaves_nothing_half_written() {
    let (_folder, path) = folder(&[("out", "a file where a folder should be")]);
    let output = program(&path, &["schedule", "--out-dir", "out"]);
    let message = text(&output.stderr);
    assert_eq!(
        (output.status.code(), message.lines().count()),
        (Some(1), 1),
        "{message}"
    );
    assert!(message.starts_with("error: writing out"), "{message}");
    let output = program(
        &path,
        &[
            "schedule",
            "--out-dir",
            "new",
            "--output",
            "no/such/folder/x.json",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_dir(path.join("new")).unwrap().count(), 0);
}
