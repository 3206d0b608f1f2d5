//! The command line of the program: arguments in, tables out.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use end_to_end_flexibility::{
    CompareConfig, Control, Error, EvaluateConfig, PopulationsConfig, Report, RunConfig,
    ScheduleConfig, UprConfig, compare, evaluate, populations, schedule, upr,
};
use evflex::solver::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::level_filters::LevelFilter;

/// Schedules electric vehicle fleets, with proof
///
/// Without a subcommand: compare, every aggregate set on three decisions over generated populations, against
/// the exact set.
///
/// Exit status: 0, 2 for bad input, 1 for a failed computation. Nothing is written on an error.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    compare: CompareConfig,
    #[command(flatten)]
    talk: Talk,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Compares aggregate sets on three decisions with the exact set; the default
    ///
    /// Writes gaps.csv, costs.csv, projections.csv, summary.json, gaps.svg and projections.svg.
    #[command(allow_negative_numbers = true)]
    Compare {
        #[command(flatten)]
        config: Box<CompareConfig>,
        #[command(flatten)]
        talk: Talk,
    },
    /// Ten generated populations, 37 days, four decisions: what a schedule saves against uncontrolled charging
    ///
    /// Every decision is proven optimal and every schedule checked. Writes decisions.csv, populations.csv,
    /// summary.json, reductions.svg, and the files of `schedule` for one night.
    #[command(allow_negative_numbers = true)]
    Populations {
        #[command(flatten)]
        config: Box<PopulationsConfig>,
        #[command(flatten)]
        talk: Talk,
    },
    /// Schedules one fleet: sessions or vehicles, prices or loads in; one power per vehicle and step out
    ///
    /// Writes schedule.csv, aggregate.csv, summary.json, day.svg and vehicles.svg.
    #[command(allow_negative_numbers = true)]
    Schedule {
        #[command(flatten)]
        config: Box<ScheduleConfig>,
        #[command(flatten)]
        talk: Talk,
    },
    /// Judges an inner set: exact support values and scaling, affine certificate, costs, gradients
    ///
    /// Reads an instance with fleet, loads, centre and set; writes evaluation.json.
    #[command(allow_negative_numbers = true)]
    Evaluate {
        #[command(flatten)]
        config: Box<EvaluateConfig>,
        #[command(flatten)]
        talk: Talk,
    },
    /// Households with batteries: the share of the potential that approximating sets leave unused
    ///
    /// Published figures of the same kind stand beside. Writes unused.csv, methods.csv and summary.json.
    #[command(allow_negative_numbers = true)]
    Upr {
        #[command(flatten)]
        config: Box<UprConfig>,
        #[command(flatten)]
        talk: Talk,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Talk {
    /// No table and no progress bar
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
        Some(Command::Compare { config, talk }) => (talk.clone(), config.run.clone()),
        Some(Command::Populations { config, talk }) => (talk.clone(), config.run.clone()),
        Some(Command::Schedule { config, talk }) => (talk.clone(), config.run.clone()),
        Some(Command::Evaluate { config, talk }) => (talk.clone(), config.run.clone()),
        Some(Command::Upr { config, talk }) => (talk.clone(), config.run.clone()),
        None => (cli.talk.clone(), cli.compare.run.clone()),
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
    let bar = ProgressBar::with_draw_target(
        None,
        if talk.quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr() // hidden by itself where that is no terminal
        },
    );
    let control = Control {
        progress: Some(show_on(&bar)),
        ..Control::default()
    };
    let report = match &cli.command {
        Some(Command::Schedule { config, .. }) => schedule(config, &control),
        Some(Command::Evaluate { config, .. }) => evaluate(config, &control),
        Some(Command::Upr { config, .. }) => upr(config, &control),
        Some(Command::Populations { config, .. }) => populations(config, &control),
        Some(Command::Compare { config, .. }) => compare(config, &control),
        None => compare(&cli.compare, &control),
    };
    bar.finish_and_clear();
    let report = report?;
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
        writeln!(out, "\nwritten to {}:", run.out_dir.display())?;
        for file in &report.files {
            writeln!(out, "  {}", file.name)?;
        }
    }
    out.flush()
}

/// Progress on a bar; decisions of one fleet show cost and bound instead of a share.
fn show_on(bar: &ProgressBar) -> Progress {
    let bar = bar.clone();
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    Progress::new(move |report| {
        if let Some(total) = report.total {
            if bar.length() != Some(total) {
                bar.set_length(total);
                if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {eta}")
                {
                    bar.set_style(style);
                }
            }
        } else if let (Some(cost), Some(bound)) = (report.objective, report.bound) {
            bar.set_message(format!(
                "pass {}: cost {cost:.6}, bound {bound:.6}",
                report.done
            ));
        }
        bar.set_position(report.done);
    })
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
