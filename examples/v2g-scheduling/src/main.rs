//! The command line of the program: arguments in, tables out.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use evflex::solver::Cancel;
use tracing::level_filters::LevelFilter;
use v2g_scheduling::{
    Error, GenerateConfig, NightsConfig, Report, RunConfig, SolveConfig, SwitchesConfig,
    check_switches, generate, nights, solve,
};

/// Schedules fleets that charge and discharge, with a bound on what any schedule costs
///
/// Without a subcommand: nights of 200 vehicles at levels 0 to 3, the gap over time, and the cost of fleets of other
/// sizes.
///
/// Exit status: 0, 2 for bad input, 1 for a failed computation. Nothing is written on an error.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    nights: NightsConfig,
    #[command(flatten)]
    talk: Talk,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Solves an instance; writes schedule.csv, steps.csv, summary.json, fleet.svg and energy.svg
    Solve {
        #[command(flatten)]
        config: Box<SolveConfig>,
        #[command(flatten)]
        talk: Talk,
    },
    /// Writes a seeded instance
    Generate {
        #[command(flatten)]
        config: GenerateConfig,
        #[command(flatten)]
        talk: Talk,
    },
    /// Judges sequences of charging, idling and discharging by the switching rules
    CheckSwitches {
        #[command(flatten)]
        config: SwitchesConfig,
        #[command(flatten)]
        talk: Talk,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Talk {
    /// No table
    #[arg(long)]
    quiet: bool,
    /// Log to standard error: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log: LevelFilter,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return fail(&one_line(&error.to_string()), 2),
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let (talk, run) = match &cli.command {
        Some(Command::Solve { config, talk }) => (talk.clone(), config.run.clone()),
        Some(Command::Generate { config, talk }) => (
            talk.clone(),
            RunConfig {
                output: Some(config.output.clone()),
                ..RunConfig::default()
            },
        ),
        Some(Command::CheckSwitches { config, talk }) => (
            talk.clone(),
            RunConfig {
                output: config.output.clone(),
                ..RunConfig::default()
            },
        ),
        None => (cli.talk.clone(), cli.nights.run.clone()),
    };
    tracing_subscriber::fmt()
        .with_max_level(talk.log)
        .with_writer(std::io::stderr)
        .init();
    match work(&cli, &talk, &run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("error: {error}"), error.exit_status()),
    }
}

fn work(cli: &Cli, talk: &Talk, run: &RunConfig) -> Result<(), Error> {
    let cancel = Cancel::default();
    let report = match &cli.command {
        Some(Command::Solve { config, .. }) => solve(config, &cancel)?,
        Some(Command::Generate { config, .. }) => generate(config)?,
        Some(Command::CheckSwitches { config, .. }) => check_switches(config)?,
        None => nights(&cli.nights, &cancel)?,
    };
    report.write(&run.out_dir, run.output.as_deref())?;
    tell(&report, talk, run).map_err(|error| Error::Output {
        path: "standard output".into(),
        reason: error.to_string(),
    })
}

/// The table, or the summary where that is asked for on standard output.
fn tell(report: &Report, talk: &Talk, run: &RunConfig) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if run.output.as_deref() == Some(Path::new("-")) {
        out.write_all(report.json.as_bytes())?;
    } else if !talk.quiet {
        out.write_all(report.table.as_bytes())?;
        if !report.files.is_empty() {
            writeln!(out, "\nwritten to {}:", run.out_dir.display())?;
            for file in &report.files {
                writeln!(out, "  {}", file.name)?;
            }
        }
    }
    out.flush()
}

/// An error on standard error, and its exit status.
fn fail(message: &str, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(status)
}

/// The message of an argument error without its hints, on one line.
fn one_line(text: &str) -> String {
    let message = text.split("\n\nUsage:").next().unwrap_or(text);
    let message = message
        .split("\n\nFor more information")
        .next()
        .unwrap_or(message);
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
