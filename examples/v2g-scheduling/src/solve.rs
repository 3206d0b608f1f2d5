//! One instance, solved.

use std::fmt::Write as _;
use std::path::PathBuf;

use evflex::solver::Cancel;
use evflex::v2g::{
    Answer, Decomposition, HistoryEntry, Level, Milp, ScheduleMethod, SchedulingProblem, Status,
    read_problem,
};
use serde::Serialize;

use crate::config::{Method, Rows, RunConfig, solver};
use crate::error::Error;
use crate::figures::{EnergyFigure, FleetFigure};
use crate::report::{OutputFile, Report, aligned, json, plain};

/// Which instance is solved, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct SolveConfig {
    /// The instance
    #[arg(long, value_name = "FILE.json")]
    pub input: PathBuf,
    /// Method
    #[arg(long, value_enum, default_value_t)]
    pub method: Method,
    /// Formulation of the switching rule, for milp
    #[arg(long, value_enum, default_value_t)]
    pub formulation: Rows,
    /// Level, 0 to 3; default: that of the file
    #[arg(long)]
    pub level: Option<usize>,
    /// Seconds after which the method ends with what it has; default: none
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<f64>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the help text")]
    pub run: RunConfig,
}

/// The summary of a run.
#[derive(Serialize)]
struct Summary<'a> {
    name: String,
    version: &'static str,
    method: String,
    seconds: f64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    level: usize,
    vehicles: usize,
    steps: usize,
    cost_eur: Option<f64>,
    lower_bound_eur: Option<f64>,
    gap: Option<f64>,
    uncontrolled_cost_eur: f64,
    power_kw: Option<Vec<Vec<f64>>>,
    history: &'a [HistoryEntry],
}

/// Solves an instance.
///
/// # Errors
/// [`Error::Input`] and [`Error::Option`] for what cannot be put to a method, [`Error::Computation`] where one fails.
pub fn solve(config: &SolveConfig, cancel: &Cancel) -> Result<Report, Error> {
    let level = match config.level {
        None => None,
        Some(level) => {
            Some(Level::try_from(level).map_err(Error::input::<evflex::v2g::Error>("--level"))?)
        }
    };
    let problem = read_problem(&config.input, level).map_err(Error::input("--input"))?;
    let options = config
        .run
        .options(config.method, config.time_limit, cancel)?;
    let solver = solver();
    let milp = Milp::new(solver.as_ref()).formulation(config.formulation.into());
    let decomposition = Decomposition::default();
    let method: &dyn ScheduleMethod = match config.method {
        Method::Decomposition => &decomposition,
        Method::Milp => &milp,
    };
    let name = config.input.file_stem().map_or_else(
        || "instance".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    let started = std::time::Instant::now();
    let mut summary = Summary {
        name,
        version: env!("CARGO_PKG_VERSION"),
        method: method.name(),
        seconds: 0.0,
        status: "infeasible",
        reason: None,
        level: problem.level().into(),
        vehicles: problem.vehicles().len(),
        steps: problem.steps(),
        cost_eur: None,
        lower_bound_eur: None,
        gap: None,
        uncontrolled_cost_eur: uncontrolled_cost(&problem),
        power_kw: None,
        history: &[],
    };
    let answer = match method.solve(&problem, &options) {
        Ok(answer) => answer,
        Err(
            error @ (evflex::v2g::Error::Infeasible { .. }
            | evflex::v2g::Error::NoVehicleSchedule { .. }),
        ) => {
            summary.seconds = started.elapsed().as_secs_f64();
            summary.reason = Some(error.to_string());
            return Ok(Report {
                files: Vec::new(),
                json: json(&summary)?,
                table: format!("infeasible: {error}\n"),
            });
        }
        Err(error @ evflex::v2g::Error::Unsupported { .. }) => {
            return Err(Error::Input {
                place: "--method",
                source: Box::new(error),
            });
        }
        Err(error) => return Err(Error::computing("the schedule")(error)),
    };
    summary.seconds = answer.elapsed.as_secs_f64();
    summary.status = status(answer.status);
    summary.lower_bound_eur = answer
        .lower_bound_eur
        .is_finite()
        .then_some(answer.lower_bound_eur);
    summary.history = &answer.history;
    let mut files = Vec::new();
    if let Some(best) = &answer.best {
        summary.cost_eur = Some(best.cost_eur);
        summary.gap = answer.gap().is_finite().then(|| answer.gap());
        let power = best.schedule.power_kw();
        summary.power_kw = Some(power.rows().into_iter().map(|row| row.to_vec()).collect());
        files.extend(schedule_files(&problem, &answer)?);
    }
    let json = json(&summary)?;
    files.push(OutputFile::new("summary.json", json.clone()));
    let percent = |gap: f64| format!("{:.4} %", 100.0 * gap);
    let euro = |cost: f64| format!("{cost:.4}");
    let cell = |value: Option<f64>, write: &dyn Fn(f64) -> String| {
        value.map_or_else(|| "none".to_owned(), write)
    };
    let rows = [
        ("method", summary.method.clone()),
        ("status", summary.status.to_owned()),
        ("cost (EUR)", cell(summary.cost_eur, &euro)),
        ("lower bound (EUR)", cell(summary.lower_bound_eur, &euro)),
        ("gap", cell(summary.gap, &percent)),
        (
            "charging at once (EUR)",
            euro(summary.uncontrolled_cost_eur),
        ),
        ("seconds", format!("{:.3}", summary.seconds)),
    ];
    Ok(Report {
        files,
        json,
        table: aligned(&rows.map(|(name, value)| vec![name.to_owned(), value])),
    })
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Optimal => "optimal",
        Status::Feasible => "feasible",
        Status::Stopped => "stopped",
    }
}

/// Cost if every vehicle charged at once what it needs, whatever the limits of groups.
pub(crate) fn uncontrolled_cost(problem: &SchedulingProblem) -> f64 {
    let hours = problem.grid().step_hours();
    let mut bought = problem.volume_kwh().to_vec();
    for vehicle in problem.vehicles() {
        let mut missing = (vehicle.final_min_kwh - vehicle.initial_kwh).max(0.0);
        for (step, bought) in bought.iter_mut().enumerate() {
            let most = vehicle.share(step) * vehicle.charge_max_kw * hours;
            let energy = most.min(missing / vehicle.efficiency);
            missing -= energy * vehicle.efficiency;
            *bought += energy;
        }
    }
    let costs = bought.iter().enumerate();
    costs
        .map(|(step, &energy)| problem.step_cost_eur(step, energy))
        .sum()
}

/// `schedule.csv`, `steps.csv` and the figures.
fn schedule_files(problem: &SchedulingProblem, answer: &Answer) -> Result<Vec<OutputFile>, Error> {
    let Some(best) = &answer.best else {
        return Ok(Vec::new());
    };
    let power = best.schedule.power_kw();
    let hours = problem.grid().step_hours();
    let start = |step: usize| {
        problem
            .grid()
            .start_of(step)
            .map_or_else(String::new, |time| {
                time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
            })
    };
    let mut schedule = String::from("vehicle,step,start,power_kw,level_kwh\n");
    let mut stored = vec![0.0; problem.steps()];
    for (row, vehicle) in power.rows().into_iter().zip(problem.vehicles()) {
        let mut level = vehicle.initial_kwh;
        let id = quoted(&vehicle.id);
        for (step, &power) in row.iter().enumerate() {
            level += vehicle.stored_kwh(power * hours);
            stored[step] += level;
            let (power, level) = (plain(Some(power)), plain(Some(level)));
            let _ = writeln!(schedule, "{id},{step},{},{power},{level}", start(step));
        }
    }
    let bought = problem
        .energy_bought_kwh(power)
        .map_err(Error::computing("steps.csv"))?;
    let mut steps = String::from(
        "step,start,price_eur_per_kwh,surplus_cost_eur_per_kwh,volume_kwh,fleet_kw,bought_kwh,stored_kwh,cost_eur\n",
    );
    for step in 0..problem.steps() {
        let cells = [
            problem.price_eur_per_kwh()[step],
            problem.surplus_cost_eur_per_kwh()[step],
            problem.volume_kwh()[step],
            power.column(step).sum(),
            bought[step],
            stored[step],
            problem.step_cost_eur(step, bought[step]),
        ]
        .map(|value| plain(Some(value)));
        let _ = writeln!(steps, "{step},{},{}", start(step), cells.join(","));
    }
    let gap = format!(
        "cost {:.2} EUR, gap {:.4} %",
        best.cost_eur,
        100.0 * answer.gap()
    );
    let energy = EnergyFigure {
        problem,
        bought_kwh: &bought,
        stored_kwh: &stored,
        subtitle: &gap,
    };
    let fleet = FleetFigure {
        problem,
        power_kw: power.to_owned(),
        subtitle: &gap,
    };
    Ok(vec![
        OutputFile::new("schedule.csv", schedule),
        OutputFile::new("steps.csv", steps),
        OutputFile::new("energy.svg", energy.svg()?),
        OutputFile::new("fleet.svg", fleet.svg()?),
    ])
}

/// A name as a CSV field.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
