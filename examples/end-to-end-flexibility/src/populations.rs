//! `populations`: populations of Appendix C, days of embedded loads and prices, all four decisions.

use std::fmt::Write as _;

use evflex::fleet::synthetic::{EnergyPrices, HouseholdLoads, Population};
use evflex::fleet::{Fleet, Hours, TimeGrid, uncontrolled};
use evflex::flexibility::{FleetPolymatroid, Objective, ObjectiveKind, direct};
use evflex::solver::{Clarabel, Options, ProgressReport};
use ndarray::Array1;
use rayon::prelude::*;
use serde::Serialize;

use crate::certify::{self, Status};
use crate::config::{Control, Disaggregation, PopulationsConfig};
use crate::error::Error;
use crate::figures::{ReductionFigure, Reductions, mean_and_error};
use crate::inputs::{FleetInput, SeriesInput, SeriesSource};
use crate::instance::{Instance, check_rate, flat_target_kw};
use crate::report::{self, OutputFile, Report, aligned, figure, plain, reduction_percent};
use crate::schedule::{self, cost_unit};

/// Days of the embedded loads, 1 May to 31 October.
pub const SEASON_DAYS: usize = 184;
/// Steps of a night: 15:00 to 09:00, hourly.
const NIGHT_STEPS: usize = 18;
/// The decisions of the run, in the order of the table.
pub const DECISIONS: [ObjectiveKind; 4] = [
    ObjectiveKind::Peak,
    ObjectiveKind::Energy,
    ObjectiveKind::DemandCharge,
    ObjectiveKind::Tracking,
];
/// The decision whose first day is drawn and written out vehicle by vehicle.
const PICTURED: ObjectiveKind = ObjectiveKind::Peak;
/// Power per vehicle by which the tracked target follows the price, kW per standard deviation.
const TARGET_KW: f64 = 4.0;

/// One decision of one population on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// Seed of the population.
    pub seed: u64,
    /// Day of the season, from 0.
    pub day: usize,
    /// The decision.
    pub decision: ObjectiveKind,
    /// Cost of uncontrolled charging.
    pub uncontrolled_cost: f64,
    /// Cost of the schedule.
    pub cost: f64,
    /// No profile of the exact set costs less.
    pub bound: f64,
    /// `(cost − bound) / max(|cost|, 1e-9)`.
    pub gap: f64,
    /// How far the decision got.
    pub status: Status,
    /// Seconds of decision and disaggregation.
    pub seconds: f64,
}

/// All days of one population for one decision.
#[derive(Clone, Debug, Serialize)]
pub struct PopulationResult {
    /// Seed of the population.
    pub seed: u64,
    /// The decision.
    pub decision: ObjectiveKind,
    /// Number of days.
    pub days: usize,
    /// Mean cost of uncontrolled charging.
    pub uncontrolled_cost: f64,
    /// Mean cost of the schedules.
    pub cost: f64,
    /// Mean of the bounds.
    pub bound: f64,
    /// Reduction of the mean cost, percent.
    pub reduction_percent: f64,
    /// Largest gap of a day.
    pub largest_gap: f64,
}

/// One decision over all populations and days.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionResult {
    /// The decision.
    pub decision: ObjectiveKind,
    /// Unit of the costs.
    pub cost_unit: &'static str,
    /// Mean cost of uncontrolled charging.
    pub uncontrolled_cost: f64,
    /// Mean cost of the schedules.
    pub cost: f64,
    /// Reduction of the cost, percent, mean over populations.
    pub reduction_percent: f64,
    /// Standard error of that mean.
    pub reduction_standard_error: f64,
    /// Largest certified gap of all decisions.
    pub largest_gap: f64,
    /// Decisions that are optimal to the gap asked for.
    pub optimal: usize,
    /// Schedules, all of which passed the check of every vehicle.
    pub schedules_checked: usize,
    /// Largest relative difference to the cost that a program over all vehicles finds, one day per population.
    pub direct_largest_difference: f64,
    /// Mean milliseconds of decision and disaggregation.
    pub milliseconds: f64,
}

/// What `summary.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct PopulationsSummary {
    /// What was run.
    pub name: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// How the decisions were found.
    pub method: &'static str,
    /// Optimal if every decision is.
    pub status: Status,
    /// Largest certified gap of all decisions.
    pub gap: f64,
    /// First seed; the others follow.
    pub seed: u64,
    /// Number of populations.
    pub populations: usize,
    /// Vehicles of each.
    pub vehicles: usize,
    /// Steps of each day.
    pub steps: usize,
    /// First day of the season that was used, from 0, and the number of days from it.
    pub first_day: usize,
    /// Number of days.
    pub days: usize,
    /// Charge on the largest power of a day, EUR/kW.
    pub demand_rate_eur_per_kw: f64,
    /// One entry per decision.
    pub decisions: Vec<DecisionResult>,
    /// One entry per population and decision.
    pub by_population: Vec<PopulationResult>,
    /// Seconds in all.
    pub seconds: f64,
}

/// The data that all populations share.
struct Days {
    first: usize,
    loads_kw: Vec<Array1<f64>>,
    prices_eur_per_mwh: Vec<Array1<f64>>,
}

/// What one population comes to.
struct PopulationRun {
    rows: Vec<DecisionRow>,
    /// Largest relative difference to the direct program, per decision.
    direct: [f64; DECISIONS.len()],
}

/// Runs all decisions and draws up the report. Writes nothing.
///
/// The loads are the last `days` of the 184 embedded days, the prices those of the same days; both
/// have the seed of the run, and population k has that seed plus k.
///
/// # Errors
/// Every [`Error`].
pub fn populations(config: &PopulationsConfig, control: &Control) -> Result<Report, Error> {
    config.run.on_threads(|| run(config, control))
}

fn run(config: &PopulationsConfig, control: &Control) -> Result<Report, Error> {
    let started = std::time::Instant::now();
    let options = config.run.options(control)?;
    check_rate(config.demand_rate)?;
    let grid = night(0)?;
    let days = days(config, &grid)?;
    let done = std::sync::atomic::AtomicU64::new(0);
    let total = (config.populations.get() * days.loads_kw.len() * DECISIONS.len()) as u64;
    let tick = || {
        if let Some(progress) = &control.progress {
            let done = 1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut report = ProgressReport::new("decisions", done);
            report.total = Some(total);
            progress.report(&report);
        }
    };
    let runs: Vec<PopulationRun> = (0..config.populations.get() as u64)
        .into_par_iter()
        .map(|k| {
            population(
                config,
                &grid,
                &days,
                config.run.seed.wrapping_add(k),
                &options,
                &tick,
            )
        })
        .collect::<Result<_, _>>()?;
    let summary = summarise(config, &days, &runs, started);
    report(config, &days, &runs, summary, &options)
}

/// 15:00 to 09:00 in hours, on a day of the season.
pub(crate) fn night(day: usize) -> Result<TimeGrid, Error> {
    let failed = Error::computing("the time grid");
    let zone = crate::inputs::zone("--zone", crate::config::DEFAULT_ZONE)?;
    let first = jiff::civil::date(2018, 5, 1).at(15, 0, 0, 0);
    // At most 184 days: the calendar does not end there.
    let days = jiff::Span::new().try_days(i64::try_from(day).unwrap_or(0));
    let start = days
        .and_then(|days| first.checked_add(days))
        .unwrap_or(first);
    let grid = TimeGrid::new(NIGHT_STEPS, Hours(1.0)).map_err(failed)?;
    Ok(grid.starting_at(crate::inputs::local("--start", start, &zone)?))
}

fn days(config: &PopulationsConfig, grid: &TimeGrid) -> Result<Days, Error> {
    let count = config.days.get();
    if count > SEASON_DAYS {
        return Err(Error::option(
            "--days",
            format!("{count} are more than the {SEASON_DAYS} embedded days"),
        ));
    }
    let failed = Error::computing("the embedded loads and prices");
    let first = SEASON_DAYS - count;
    let loads = HouseholdLoads::default()
        .loads(grid, SEASON_DAYS, config.run.seed)
        .map_err(&failed)?;
    let tariffs = EnergyPrices
        .tariffs(grid, SEASON_DAYS, config.run.seed)
        .map_err(&failed)?;
    Ok(Days {
        first,
        loads_kw: loads[first..]
            .iter()
            .map(|load| load.power_kw().to_vec().into())
            .collect(),
        prices_eur_per_mwh: tariffs[first..]
            .iter()
            .map(|tariff| tariff.eur_per_mwh().to_vec().into())
            .collect(),
    })
}

/// The decision `kind` on day `day` of `days`.
fn objective(
    kind: ObjectiveKind,
    (days, day): (&Days, usize),
    rate: f64,
    (flat_kw, swing_kw): (f64, f64),
) -> Objective {
    let load_kw = days.loads_kw[day].clone();
    let price_eur_per_mwh = days.prices_eur_per_mwh[day].clone();
    match kind {
        ObjectiveKind::Energy => Objective::Energy { price_eur_per_mwh },
        ObjectiveKind::DemandCharge => Objective::DemandCharge {
            price_eur_per_mwh,
            load_kw,
            rate_eur_per_kw: rate,
        },
        ObjectiveKind::Tracking => Objective::Tracking {
            target_kw: follow_price(&price_eur_per_mwh, flat_kw, swing_kw),
            weight: Array1::ones(load_kw.len()),
        },
        _ => Objective::Peak { load_kw },
    }
}

/// A target that draws the energy of `flat_kw` and moves against the price,
/// `flat + swing (mean − π_t) / deviation`: more than the vehicles can follow.
fn follow_price(price: &Array1<f64>, flat_kw: f64, swing_kw: f64) -> Array1<f64> {
    let (mean, deviation) = (price.mean().unwrap_or(0.0), price.std(0.0));
    price.mapv(|p| flat_kw + swing_kw * (mean - p) / deviation.max(1e-9))
}

/// All decisions of one population.
fn population(
    config: &PopulationsConfig,
    grid: &TimeGrid,
    days: &Days,
    seed: u64,
    options: &Options,
    tick: &(dyn Fn() + Sync),
) -> Result<PopulationRun, Error> {
    let fleet = Population::new(grid.clone(), config.vehicles.get())
        .generate(seed)
        .map_err(Error::computing("the population"))?;
    let set = FleetPolymatroid::exact(&fleet).map_err(Error::computing("the exact set"))?;
    let target = (flat_target_kw(&set)?, TARGET_KW * fleet.len() as f64);
    let uncontrolled_kw = uncontrolled(&fleet)
        .map_err(Error::computing("uncontrolled charging"))?
        .aggregate_kw();
    let mut rows = Vec::with_capacity(days.loads_kw.len() * DECISIONS.len());
    let mut direct = [0.0; DECISIONS.len()];
    for day in 0..days.loads_kw.len() {
        for (index, decision) in DECISIONS.into_iter().enumerate() {
            let objective = objective(decision, (days, day), config.demand_rate, target);
            // The mixture is the vehicles' own rule; the fair one is another program to solve.
            let rule = Disaggregation::Mixture;
            let answer = certify::decide(&fleet, &set, &objective, rule, options)?;
            if day == 0 {
                direct[index] = difference_to_direct(&fleet, &objective, answer.cost)?;
            }
            rows.push(DecisionRow {
                seed,
                day: days.first + day,
                decision,
                uncontrolled_cost: objective.cost(uncontrolled_kw.view(), fleet.step_hours()),
                cost: answer.cost,
                bound: answer.bound,
                gap: answer.gap,
                status: answer.status,
                seconds: answer.seconds,
            });
            tick();
        }
    }
    Ok(PopulationRun { rows, direct })
}

/// Relative difference between `cost` and what one program over all vehicles finds.
fn difference_to_direct(fleet: &Fleet, objective: &Objective, cost: f64) -> Result<f64, Error> {
    let (_, direct) = direct::decide(fleet, objective, &Clarabel::default(), &Options::default())
        .map_err(Error::computing("the direct program"))?;
    Ok((direct - cost).abs() / cost.abs().max(1.0))
}

fn summarise(
    config: &PopulationsConfig,
    days: &Days,
    runs: &[PopulationRun],
    started: std::time::Instant,
) -> PopulationsSummary {
    let mut by_population = Vec::new();
    let mut decisions = Vec::new();
    for (index, decision) in DECISIONS.into_iter().enumerate() {
        let mut all: Vec<&DecisionRow> = Vec::new();
        let mut reductions = Vec::new();
        for run in runs {
            let rows: Vec<&DecisionRow> = run
                .rows
                .iter()
                .filter(|row| row.decision == decision)
                .collect();
            let (before, after) = (
                mean(&rows, |r| r.uncontrolled_cost),
                mean(&rows, |r| r.cost),
            );
            reductions.push(reduction_percent(before, after));
            by_population.push(PopulationResult {
                seed: rows.first().map_or(0, |row| row.seed),
                decision,
                days: rows.len(),
                uncontrolled_cost: before,
                cost: after,
                bound: mean(&rows, |r| r.bound),
                reduction_percent: reduction_percent(before, after),
                largest_gap: largest_gap(&rows),
            });
            all.extend(rows);
        }
        let (reduction_percent, reduction_standard_error) = mean_and_error(&reductions);
        decisions.push(DecisionResult {
            decision,
            cost_unit: cost_unit(decision),
            uncontrolled_cost: mean(&all, |r| r.uncontrolled_cost),
            cost: mean(&all, |r| r.cost),
            reduction_percent,
            reduction_standard_error,
            largest_gap: largest_gap(&all),
            optimal: all
                .iter()
                .filter(|row| row.status == Status::Optimal)
                .count(),
            schedules_checked: all.len(),
            direct_largest_difference: runs.iter().fold(0.0, |a, run| a.max(run.direct[index])),
            milliseconds: 1000.0 * mean(&all, |r| r.seconds),
        });
    }
    let rows = || runs.iter().flat_map(|run| &run.rows);
    PopulationsSummary {
        name: "populations of Appendix C",
        version: env!("CARGO_PKG_VERSION"),
        method: "exact aggregate set",
        status: if rows().all(|row| row.status == Status::Optimal) {
            Status::Optimal
        } else if rows().any(|row| row.status == Status::Stopped) {
            Status::Stopped
        } else {
            Status::Feasible
        },
        gap: rows().fold(0.0, |gap, row| gap.max(row.gap)),
        seed: config.run.seed,
        populations: runs.len(),
        vehicles: config.vehicles.get(),
        steps: NIGHT_STEPS,
        first_day: days.first,
        days: days.loads_kw.len(),
        demand_rate_eur_per_kw: config.demand_rate,
        decisions,
        by_population,
        seconds: started.elapsed().as_secs_f64(),
    }
}

fn mean(rows: &[&DecisionRow], value: impl Fn(&DecisionRow) -> f64) -> f64 {
    rows.iter().map(|row| value(row)).sum::<f64>() / rows.len().max(1) as f64
}

fn largest_gap(rows: &[&DecisionRow]) -> f64 {
    rows.iter().fold(0.0, |gap, row| gap.max(row.gap))
}

/// The first day of the first population, with the decision that is drawn.
fn pictured(config: &PopulationsConfig, days: &Days) -> Result<Instance, Error> {
    let seed = config.run.seed;
    let grid = night(days.first)?;
    let source = |what: &str| SeriesSource {
        source: format!(
            "embedded {what}, day {} of {SEASON_DAYS}, seed {seed}",
            days.first + 1
        ),
        from: None,
    };
    let prices = SeriesInput {
        values: days.prices_eur_per_mwh[0].clone(),
        source: source("prices"),
    };
    let loads = SeriesInput {
        values: days.loads_kw[0].clone(),
        source: source("loads of 25 homes"),
    };
    Ok(Instance {
        input: FleetInput {
            fleet: Population::new(grid, config.vehicles.get())
                .generate(seed)
                .map_err(Error::computing("the population"))?,
            sessions: None,
            name: format!("population of Appendix C, seed {seed}"),
        },
        objective: objective(PICTURED, (days, 0), config.demand_rate, (0.0, 0.0)),
        prices: Some(prices),
        loads,
        target_source: None,
    })
}

fn report(
    config: &PopulationsConfig,
    days: &Days,
    runs: &[PopulationRun],
    summary: PopulationsSummary,
    options: &Options,
) -> Result<Report, Error> {
    let pictured = pictured(config, days)?;
    let mut files = schedule::decide(pictured, Disaggregation::Auto, options)?.files()?;
    let reductions = ReductionFigure {
        title: "What a schedule saves against uncontrolled charging".to_owned(),
        subtitle: format!(
            "{} populations of {} vehicles, {} days each; every decision proven optimal to {:.0e}",
            summary.populations, summary.vehicles, summary.days, config.run.gap
        ),
        rows: DECISIONS
            .into_iter()
            .map(|decision| Reductions {
                decision: decision.to_string(),
                percent: summary
                    .by_population
                    .iter()
                    .filter(|result| result.decision == decision)
                    .map(|result| result.reduction_percent)
                    .collect(),
            })
            .collect(),
    };
    let json = report::json(&summary)?;
    let mut add = |name, content: String| {
        files.push(OutputFile {
            name,
            content: content.into_bytes(),
        });
    };
    add("reductions.svg", reductions.svg()?);
    add("decisions.csv", decisions_csv(runs));
    add("populations.csv", populations_csv(&summary.by_population));
    add("summary.json", json.clone());
    Ok(Report {
        files,
        json,
        table: table(&summary),
    })
}

/// One row per population, day and decision. Without times, so that a seed gives the same bytes.
fn decisions_csv(runs: &[PopulationRun]) -> String {
    let mut text = String::from("seed,day,decision,uncontrolled_cost,cost,bound,gap\n");
    for row in runs.iter().flat_map(|run| &run.rows) {
        let numbers = [row.uncontrolled_cost, row.cost, row.bound, row.gap].map(plain);
        let _ = writeln!(
            text,
            "{},{},{},{}",
            row.seed,
            row.day,
            row.decision,
            numbers.join(",")
        );
    }
    text
}

/// One row per decision and population.
fn populations_csv(results: &[PopulationResult]) -> String {
    let mut text = String::from(
        "seed,decision,days,uncontrolled_cost,cost,bound,reduction_percent,largest_gap\n",
    );
    for r in results {
        let numbers = [
            r.uncontrolled_cost,
            r.cost,
            r.bound,
            r.reduction_percent,
            r.largest_gap,
        ];
        let numbers = numbers.map(plain).join(",");
        let _ = writeln!(text, "{},{},{},{numbers}", r.seed, r.decision, r.days);
    }
    text
}

fn table(summary: &PopulationsSummary) -> String {
    let heads = [
        "decision",
        "uncontrolled",
        "optimal",
        "unit",
        "reduction %",
        "largest gap",
        "vs direct",
        "ms",
        "checked",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for d in &summary.decisions {
        rows.push(vec![
            d.decision.to_string(),
            figure(d.uncontrolled_cost),
            figure(d.cost),
            d.cost_unit.to_owned(),
            format!(
                "{:.1} ± {:.1}",
                d.reduction_percent, d.reduction_standard_error
            ),
            format!("{:.1e}", d.largest_gap),
            format!("{:.1e}", d.direct_largest_difference),
            format!("{:.2}", d.milliseconds),
            d.schedules_checked.to_string(),
        ]);
    }
    let schedules: usize = summary.decisions.iter().map(|d| d.schedules_checked).sum();
    format!(
        "{} populations of {} vehicles (seeds {} to {}), days {} to {} of {SEASON_DAYS}, {} steps of 1 h\n\n{}\n\
         demand charge {} EUR/kW a day; tracked is the mean power with {TARGET_KW} kW per vehicle against each standard deviation of the price\n\
         {schedules} schedules checked vehicle by vehicle, bounds recomputed; largest gap {:.1e}; {:.1} s\n",
        summary.populations,
        summary.vehicles,
        summary.seed,
        summary.seed.wrapping_add(summary.populations as u64 - 1),
        summary.first_day + 1,
        summary.first_day + summary.days,
        summary.steps,
        aligned(&rows),
        summary.demand_rate_eur_per_kw,
        summary.gap,
        summary.seconds,
    )
}
