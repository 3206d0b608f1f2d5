//! Verdicts of the switching rules on sequences.

use std::path::PathBuf;

use evflex::fleet::readers::json::Document;
use evflex::v2g::{Activity, SwitchRule, Switching, switching_allows};
use serde::Serialize;

use crate::error::Error;
use crate::report::{Report, aligned, json};

/// What is judged.
#[derive(Clone, Debug, clap::Args)]
pub struct SwitchesConfig {
    /// Sequences of `C`, `I` and `D`: {"W": 4, "tests": [{"seq": "CCDD"}, ..]}
    #[arg(long, value_name = "FILE.json")]
    pub input: PathBuf,
    /// Write the verdicts here; `-` is standard output
    #[arg(long, value_name = "FILE.json")]
    pub output: Option<PathBuf>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a list of verdicts")]
struct Verdict {
    seq: String,
    two_mode_free_idle: bool,
    first_activity: bool,
    cooling_off_strict: bool,
    clock_hour: bool,
}

#[derive(Serialize)]
struct Summary {
    name: &'static str,
    version: &'static str,
    #[serde(rename = "W")]
    gap_steps: usize,
    tests: Vec<Verdict>,
}

/// Judges every sequence by rules A (`two_mode_free_idle`), B (`first_activity`), C (`cooling_off_strict`) and D
/// (`clock_hour`). Verdicts in the file are not looked at.
///
/// # Errors
/// [`Error::Input`].
pub fn check_switches(config: &SwitchesConfig) -> Result<Report, Error> {
    let bad = Error::input::<evflex::fleet::Error>("--input");
    let document = Document::read(&config.input).map_err(&bad)?;
    let read = || -> Result<(usize, Vec<Verdict>), evflex::fleet::Error> {
        let mut root = document.root().object()?;
        let gap_steps = root.required("W")?.count(1_000_000)?;
        let tests = root.required("tests")?;
        root.finish()?;
        let mut verdicts = Vec::new();
        for test in tests.list()? {
            let mut object = test.object()?;
            let node = object.required("seq")?;
            for key in [
                "two_mode_free_idle",
                "first_activity",
                "cooling_off_strict",
                "clock_hour",
            ] {
                object.optional(key);
            }
            object.finish()?;
            let text = node.text()?;
            let sequence = Activity::sequence(text).ok_or_else(|| {
                node.error(evflex::fleet::Error::WrongType {
                    expected: "letters C, I and D",
                    found: "another letter",
                })
            })?;
            let allows = |rule| switching_allows(Switching { rule, gap_steps }, &sequence);
            verdicts.push(Verdict {
                seq: text.to_owned(),
                two_mode_free_idle: allows(SwitchRule::TwoMode),
                first_activity: allows(SwitchRule::FirstActivity),
                cooling_off_strict: allows(SwitchRule::CoolingOff),
                clock_hour: allows(SwitchRule::ClockHour),
            });
        }
        Ok((gap_steps, verdicts))
    };
    let (gap_steps, tests) = read().map_err(bad)?;
    let mut rows = vec![["sequence", "A", "B", "C", "D"].map(str::to_owned).to_vec()];
    for test in &tests {
        let word = |verdict: bool| if verdict { "yes" } else { "no" }.to_owned();
        rows.push(vec![
            test.seq.clone(),
            word(test.two_mode_free_idle),
            word(test.first_activity),
            word(test.cooling_off_strict),
            word(test.clock_hour),
        ]);
    }
    let summary = Summary {
        name: "check-switches",
        version: env!("CARGO_PKG_VERSION"),
        gap_steps,
        tests,
    };
    Ok(Report {
        files: Vec::new(),
        json: json(&summary)?,
        table: aligned(&rows),
    })
}
