//! What the comparison comes to: tables, files and figures.

use std::fmt::Write as _;
use std::time::Instant;

use evflex::flexibility::Claim;
use evflex::solver::Solver;
use serde::Serialize;

use super::method::{Kind, Method, solver};
use super::run::{Results, SOUNDNESS, SetRun, WIDTH_DIRECTIONS};
use super::task::Task;
use super::{CompareConfig, Split};
use crate::certify::{SCHEDULE_TOLERANCE, Status};
use crate::error::Error;
use crate::figures::{
    GapCell, GapFigure, GapPanel, Outline, ProjectionCell, ProjectionFigure, mean_and_error,
};
use crate::report::{self, OutputFile, Report, aligned, plain};

/// A mean over populations, with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 for one population.
    pub standard_error: f64,
}

impl Estimate {
    pub(crate) fn of(values: &[f64]) -> Self {
        let (mean, standard_error) = mean_and_error(values);
        Self {
            mean,
            standard_error,
        }
    }
}

/// One method on one task, over all populations.
#[derive(Clone, Debug, Serialize)]
pub struct MethodResult {
    /// The task.
    pub task: Task,
    /// The method as `--methods` names it.
    pub method: &'static str,
    /// Its name in tables and figures.
    pub label: &'static str,
    /// What the method promises.
    pub kind: Kind,
    /// What every one of its sets says of itself; unproven if they differ.
    pub claim: Claim,
    /// Unit of the costs.
    pub unit: &'static str,
    /// Mean cost over the test days.
    pub cost: Estimate,
    /// Mean cost over the set minus mean cost over the exact set; for an outer set, whose cost no schedule need
    /// attain, bound over the set minus cost over the exact set, not positive.
    pub gap: Estimate,
    /// Gap as a share of what the exact set saves against uncontrolled charging, percent; none where it
    /// saves nothing.
    pub lost_percent: Option<Estimate>,
    /// Mean width of the set as a share of that of the exact set, percent: `h(d) + h(−d)` over random directions,
    /// whatever is decided.
    pub width_percent: Estimate,
    /// Least energy of a profile of the set above that of the exact set, kWh.
    pub excess_energy_kwh: Estimate,
    /// Largest scale γ at which the set is inside, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<Estimate>,
    /// Median seconds to make the set.
    pub set_up_seconds: f64,
    /// Median milliseconds of a decision.
    pub decision_milliseconds: f64,
    /// Number of decisions.
    pub decisions: usize,
    /// Of those, proven optimal over the set to the gap asked for.
    pub optimal: usize,
    /// Profiles that were handed to the vehicles, all of which passed the check of every vehicle.
    pub schedules_checked: usize,
}

/// A method that was left out, and why.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// The method.
    pub method: &'static str,
    /// The reason.
    pub reason: String,
}

/// What `summary.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct CompareSummary {
    /// What was run.
    pub name: String,
    /// Version of the program.
    pub version: &'static str,
    /// How the decisions were found.
    pub method: &'static str,
    /// The solver of the programs over approximating sets, with its version.
    pub solver: String,
    /// Optimal if every decision is.
    pub status: Status,
    /// Largest relative gap of a decision to the bound over its own set.
    pub gap: f64,
    /// First seed; the others follow.
    pub seed: u64,
    /// Number of populations.
    pub populations: usize,
    /// Vehicles of each.
    pub vehicles: usize,
    /// Steps of each day.
    pub steps: usize,
    /// Where the loads come from; prices are embedded ones.
    pub loads: String,
    /// How the days were split.
    pub split: Split,
    /// Days that trained sets saw.
    pub train_days: usize,
    /// Days kept for choosing between trained sets, used by no method.
    pub validation_days: usize,
    /// Days whose costs are reported, from 0.
    pub test_days: Vec<usize>,
    /// Price profiles of the hull of price vertices.
    pub samples: usize,
    /// One entry per task and method.
    pub results: Vec<MethodResult>,
    /// Methods that were left out for the size of the fleet or horizon.
    pub left_out: Vec<LeftOut>,
    /// How far, relative to 1 + cost, an inner set may seem to beat the exact one before the run fails.
    pub soundness_tolerance: f64,
    /// Tolerance of the check of every vehicle, kW and kWh.
    pub schedule_tolerance: f64,
    /// Seconds in all.
    pub seconds: f64,
}

pub(super) fn report(
    config: &CompareConfig,
    methods: &[&'static Method],
    results: &Results,
    started: Instant,
) -> Result<Report, Error> {
    let summary = summarise(config, methods, results, started);
    let json = report::json(&summary)?;
    let mut files = Vec::new();
    let mut add = |name, content: String| {
        files.push(OutputFile {
            name,
            content: content.into_bytes(),
        });
    };
    add("gaps.csv", gaps_csv(&summary));
    add("costs.csv", costs_csv(&results.sets));
    add("projections.csv", projections_csv(&results.sets));
    add(
        "gaps.svg",
        gap_figure(config, methods, results, &summary).svg()?,
    );
    add("projections.svg", projection_figure(config, results).svg()?);
    add("summary.json", json.clone());
    Ok(Report {
        files,
        json,
        table: table(&summary),
    })
}

/// The runs of one method on one task, one per population.
fn runs<'a>(
    results: &'a Results,
    task: Task,
    method: &'a Method,
) -> impl Iterator<Item = &'a SetRun> {
    results
        .sets
        .iter()
        .filter(move |set| set.task == task && set.method.id == method.id)
}

fn mean_cost(set: &SetRun) -> f64 {
    set.rows.iter().map(|row| row.cost).sum::<f64>() / set.rows.len().max(1) as f64
}

fn mean_exact_cost(set: &SetRun) -> f64 {
    set.rows.iter().map(|row| row.exact_cost).sum::<f64>() / set.rows.len().max(1) as f64
}

/// What the exact set saves against uncontrolled charging, mean over the days.
fn saving(set: &SetRun) -> f64 {
    set.uncontrolled_cost - mean_exact_cost(set)
}

/// Savings below this share of 1 + cost are tolerances of programs.
const NO_SAVING: f64 = 1e-4;

fn mean_gap(set: &SetRun) -> f64 {
    set.rows.iter().map(|row| row.gap).sum::<f64>() / set.rows.len().max(1) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn result(results: &Results, task: Task, method: &'static Method) -> Option<MethodResult> {
    let sets: Vec<&SetRun> = runs(results, task, method).collect();
    let first = sets.first()?;
    let over = |value: &dyn Fn(&SetRun) -> f64| {
        Estimate::of(&sets.iter().map(|set| value(set)).collect::<Vec<_>>())
    };
    let gammas: Vec<f64> = sets.iter().filter_map(|set| set.gamma).collect();
    let rows = || sets.iter().flat_map(|set| &set.rows);
    Some(MethodResult {
        task,
        method: method.id,
        label: method.label,
        kind: method.kind,
        claim: if sets.iter().all(|set| set.claim == first.claim) {
            first.claim
        } else {
            Claim::Unproven
        },
        unit: task.unit(),
        cost: over(&mean_cost),
        gap: over(&mean_gap),
        lost_percent: sets
            .iter()
            .all(|set| saving(set) > NO_SAVING * (1.0 + set.uncontrolled_cost.abs()))
            .then(|| over(&|set| 100.0 * mean_gap(set) / saving(set))),
        width_percent: over(&|set| 100.0 * set.width),
        excess_energy_kwh: over(&|set| set.excess_energy_kwh),
        gamma: (gammas.len() == sets.len()).then(|| Estimate::of(&gammas)),
        set_up_seconds: median(sets.iter().map(|set| set.set_up_seconds).collect()),
        decision_milliseconds: 1000.0 * median(rows().map(|row| row.seconds).collect()),
        decisions: rows().count(),
        optimal: rows().filter(|row| row.optimal).count(),
        schedules_checked: sets.iter().map(|set| set.checked).sum(),
    })
}

fn summarise(
    config: &CompareConfig,
    methods: &[&'static Method],
    results: &Results,
    started: Instant,
) -> CompareSummary {
    let all: Vec<MethodResult> = results
        .tasks
        .iter()
        .flat_map(|&task| methods.iter().map(move |method| (task, *method)))
        .filter_map(|(task, method)| result(results, task, method))
        .collect();
    let rows = || results.sets.iter().flat_map(|set| &set.rows);
    let name = config.input.as_deref().map_or_else(
        || "aggregate sets, populations of Appendix C".to_owned(),
        |path| format!("aggregate sets, {}", super::task::file_name(path)),
    );
    CompareSummary {
        name,
        version: env!("CARGO_PKG_VERSION"),
        method: "cost over each set against cost over the exact set",
        solver: solver().name(),
        status: if rows().all(|row| row.optimal) {
            Status::Optimal
        } else {
            Status::Feasible
        },
        gap: rows().fold(0.0, |gap, row| {
            f64::max(gap, (row.cost - row.bound) / row.cost.abs().max(1e-9))
        }),
        seed: config.run.seed,
        populations: results.fleets,
        vehicles: results.vehicles,
        steps: results.steps,
        loads: results.days.source.clone(),
        split: config.split,
        train_days: results.days.train.len(),
        validation_days: results.days.validation.len(),
        test_days: results.days.test.clone(),
        samples: config.samples.get(),
        results: all,
        left_out: results
            .left_out
            .iter()
            .map(|(method, reason)| LeftOut {
                method: method.id,
                reason: reason.clone(),
            })
            .collect(),
        soundness_tolerance: SOUNDNESS,
        schedule_tolerance: SCHEDULE_TOLERANCE,
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// One row per task and method. Without times, so that a seed gives the same bytes.
fn gaps_csv(summary: &CompareSummary) -> String {
    let mut text = String::from(
        "task,method,kind,claim,unit,cost,cost_standard_error,gap,gap_standard_error,lost_percent,lost_percent_standard_error,width_percent,width_percent_standard_error,excess_energy_kwh,excess_energy_kwh_standard_error,gamma,gamma_standard_error,decisions,optimal,schedules_checked\n",
    );
    for r in &summary.results {
        let cells = |estimate: Option<Estimate>| {
            estimate.map_or_else(
                || ",".to_owned(),
                |e| format!("{},{}", plain(e.mean), plain(e.standard_error)),
            )
        };
        let estimates = [
            Some(r.cost),
            Some(r.gap),
            r.lost_percent,
            Some(r.width_percent),
            Some(r.excess_energy_kwh),
            r.gamma,
        ]
        .map(cells)
        .join(",");
        let kind = kind(r.kind);
        let _ = writeln!(
            text,
            "{},{},{kind},{},{},{estimates},{},{},{}",
            r.task, r.method, r.claim, r.unit, r.decisions, r.optimal, r.schedules_checked
        );
    }
    text
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Exact => "exact",
        Kind::Inner => "inner",
        Kind::Outer => "outer",
    }
}

/// One row per task, method, population and day.
fn costs_csv(sets: &[SetRun]) -> String {
    let mut text = String::from("task,method,seed,day,cost,bound,exact_cost,gap\n");
    for set in sets {
        for row in &set.rows {
            let numbers = [row.cost, row.bound, row.exact_cost, row.gap].map(plain);
            let _ = writeln!(
                text,
                "{},{},{},{},{}",
                set.task,
                set.method.id,
                set.seed,
                row.day,
                numbers.join(",")
            );
        }
    }
    text
}

/// One row per task, method and corner of the first fleet's outlines.
fn projections_csv(sets: &[SetRun]) -> String {
    let mut text = String::from("task,method,corner,early_kw,late_kw\n");
    for set in sets {
        for (corner, (early, late)) in set.outline.iter().flat_map(Outline::corners).enumerate() {
            let _ = writeln!(
                text,
                "{},{},{corner},{},{}",
                set.task,
                set.method.id,
                plain(early),
                plain(late)
            );
        }
    }
    text
}

/// Whether a method is drawn: variants only by request.
fn drawn(config: &CompareConfig, method: &Method) -> bool {
    method.kind != Kind::Exact && (!method.variant || !config.methods.is_empty())
}

fn gap_figure(
    config: &CompareConfig,
    methods: &[&'static Method],
    results: &Results,
    summary: &CompareSummary,
) -> GapFigure {
    let shown: Vec<&&'static Method> = methods
        .iter()
        .filter(|method| drawn(config, method))
        .filter(|method| results.sets.iter().any(|set| set.method.id == method.id))
        .collect();
    GapFigure {
        title: "What it costs to decide over an approximation".to_owned(),
        subtitle: format!(
            "cost over the set against cost over the exact set; {} of {}, {} test days, {}",
            fleets(summary.populations),
            vehicles(summary.vehicles),
            summary.test_days.len(),
            summary.loads
        ),
        methods: shown
            .iter()
            .map(|method| (method.label.to_owned(), method.kind == Kind::Outer))
            .collect(),
        panels: results
            .tasks
            .iter()
            .map(|&task| GapPanel {
                name: task.label().to_owned(),
                axis: format!("gap ({})", task.unit()),
                cells: shown
                    .iter()
                    .map(|method| GapCell {
                        by_population: runs(results, task, method).map(mean_gap).collect(),
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn projection_figure(config: &CompareConfig, results: &Results) -> ProjectionFigure {
    let tasks: Vec<Task> = results
        .tasks
        .iter()
        .copied()
        .filter(|&task| {
            results
                .sets
                .iter()
                .any(|set| set.task == task && set.outline.is_some())
        })
        .collect();
    let cells = |task: Task| {
        let of = move |set: &&SetRun| set.task == task;
        let exact = results
            .sets
            .iter()
            .filter(of)
            .find(|set| set.method.kind == Kind::Exact)
            .and_then(|set| set.outline.clone());
        results
            .sets
            .iter()
            .filter(of)
            .filter(|set| drawn(config, set.method))
            .filter_map(|set| {
                Some(ProjectionCell {
                    name: set.method.label.to_owned(),
                    outer: set.method.kind == Kind::Outer,
                    exact: exact.clone()?,
                    set: set.outline.clone()?,
                })
            })
            .collect::<Vec<_>>()
    };
    let steps = Outline::windows(results.steps);
    ProjectionFigure {
        title: "The sets, projected on two mean powers".to_owned(),
        subtitle: format!(
            "steps {} to {} across, steps {} to {} upwards, kW; grey: exact; {}",
            steps[0].start + 1,
            steps[0].end,
            steps[1].start + 1,
            steps[1].end,
            match &config.input {
                Some(path) => super::task::file_name(path),
                None => format!("population of seed {}", config.run.seed),
            }
        ),
        groups: tasks
            .iter()
            .map(|&task| {
                let name = match task {
                    Task::PeakChargingOnly => "charging only (hulls trained on peak)",
                    _ => "V2G (hulls trained on energy cost)",
                };
                (name.to_owned(), cells(task))
            })
            .collect(),
    }
}

/// A gap or its error for people: three significant digits, and no noise below a millionth.
fn short(value: f64) -> String {
    let size = value.abs();
    if size < 5e-7 {
        "0".to_owned()
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else if size >= 1e-3 {
        format!("{value:.4}")
    } else {
        format!("{value:.1e}")
    }
}

/// One decimal, and no zero with a sign.
fn tenths(value: f64) -> String {
    format!("{:.1}", (10.0 * value).round() / 10.0 + 0.0)
}

fn vehicles(count: usize) -> String {
    match count {
        1 => "1 vehicle".to_owned(),
        count => format!("{count} vehicles"),
    }
}

fn fleets(count: usize) -> String {
    match count {
        1 => "1 fleet".to_owned(),
        count => format!("{count} fleets"),
    }
}

fn table(summary: &CompareSummary) -> String {
    let mut text = format!(
        "{} of {}, {} steps, seed {}; {} training and {} test days ({}), {}\n",
        fleets(summary.populations),
        vehicles(summary.vehicles),
        summary.steps,
        summary.seed,
        summary.train_days,
        summary.test_days.len(),
        match summary.split {
            Split::Shuffled => "shuffled",
            Split::Chronological => "chronological",
        },
        summary.loads
    );
    for task in Task::ALL {
        let results: Vec<&MethodResult> =
            summary.results.iter().filter(|r| r.task == task).collect();
        let Some(exact) = results.iter().find(|r| r.kind == Kind::Exact) else {
            continue;
        };
        let _ = writeln!(
            text,
            "\n{}: exact cost {} {} a day",
            task.label(),
            short(exact.cost.mean),
            task.unit().trim_end_matches("/day")
        );
        let heads = [
            "set",
            "claim",
            "gap",
            "± s.e.",
            "lost %",
            "γ",
            "set-up s",
            "decide ms",
            "checked",
        ];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for r in results {
            rows.push(vec![
                r.label.to_owned(),
                r.claim.to_string(),
                short(r.gap.mean),
                short(r.gap.standard_error),
                r.lost_percent
                    .map_or_else(|| "–".to_owned(), |e| tenths(e.mean)),
                tenths(r.width_percent.mean),
                tenths(r.excess_energy_kwh.mean),
                r.gamma
                    .map_or_else(|| "–".to_owned(), |g| format!("{:.3}", g.mean)),
                format!("{:.3}", r.set_up_seconds),
                format!("{:.3}", r.decision_milliseconds),
                match r.kind {
                    Kind::Outer => "–".to_owned(),
                    _ => format!("{}/{}", r.schedules_checked, r.decisions),
                },
            ]);
        }
        text.push_str(&aligned(&rows));
    }
    for left in &summary.left_out {
        let _ = writeln!(text, "\nleft out: {}: {}", left.method, left.reason);
    }
    let decisions: usize = summary.results.iter().map(|r| r.decisions).sum();
    let optimal: usize = summary.results.iter().map(|r| r.optimal).sum();
    let checked: usize = summary.results.iter().map(|r| r.schedules_checked).sum();
    let _ = writeln!(
        text,
        "\ngap: cost over the set minus cost over the exact set, mean over fleets; for outer sets their bound minus that cost\n\
         lost: gap as a share of what the exact set saves against uncontrolled charging\n\
         width: of the set against the exact one, mean over {WIDTH_DIRECTIONS} random directions, whatever is decided\n\
         kWh: least energy of a profile of the set above that of the exact set\n\
         {optimal} of {decisions} decisions proven optimal over their set; {checked} profiles handed to the vehicles and checked; times are medians; {:.1} s",
        summary.seconds
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_short_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(short(-12.345), "-12.3");
        assert_eq!(short(0.012_34), "0.0123");
        assert_eq!(short(1e-9), "0");
        assert_eq!(tenths(-0.04), "0.0");
        assert_eq!(tenths(-0.06), "-0.1");
    }
}
