//! `upr`: the unused-potential ratio of approximating sets for households with batteries.
//!
//! The comparison is of the kind of Öztürk et al. (Energies 15 (2022) 2501): 20 households with a battery each, 24 periods,
//! the cost of energy and the peak, each set measured by `100 (approximate − best) / (worst − best)`. Best is the exact
//! aggregate set, worst are idle batteries. The population, loads and prices are generated here, so the
//! published figures stand beside ours for orientation and are not reproduced.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use evflex::fleet::synthetic::{EnergyPrices, HomeBatteries, HouseholdLoads};
use evflex::fleet::{Fleet, Hours, TimeGrid, uncontrolled};
use evflex::flexibility::{
    Claim, FleetPolymatroid, Objective, ObjectiveKind, UnusedPotential, unused_potential,
};
use evflex::solver::{Clarabel, Options, ProgressReport, Solver};
use ndarray::Array1;
use rayon::prelude::*;
use serde::Serialize;

use crate::certify::{self, Status};
use crate::compare::{Case, Estimate, Kind, METHODS, Method, Refusal, SOUNDNESS};
use crate::config::{Control, RunConfig};
use crate::error::Error;
use crate::report::{self, OutputFile, Report, aligned, plain};

/// The decisions that are compared.
pub const OBJECTIVES: [ObjectiveKind; 2] = [ObjectiveKind::Energy, ObjectiveKind::Peak];

/// Sets of a default run: those of the published table, and others that need no training and little time at 24 steps.
pub const DEFAULT_METHODS: &[&str] = &[
    "homothets",
    "homothets-as-given",
    "box",
    "zonotope",
    "ellipsoid",
    "hull-prices",
    "outer-intervals",
    "outer-tightened",
    "outer-battery",
];

/// Unused-potential ratios of the cost and of the peak, percent, that Öztürk et al. report for sets of these kinds.
pub const PUBLISHED: [(&str, [f64; 2]); 4] = [
    ("homothets", [39.9, 23.8]),
    ("box", [26.3, 167.0]),
    ("zonotope", [20.9, 163.0]),
    ("ellipsoid", [47.1, 19.9]),
];

/// A run of `upr`.
#[derive(Clone, Debug, clap::Args)]
pub struct UprConfig {
    /// Number of populations, with the seeds --seed, --seed + 1 and so on
    #[arg(long, default_value = "5")]
    pub populations: NonZeroUsize,
    /// Households of each population, one battery each
    #[arg(long, default_value = "20")]
    pub households: NonZeroUsize,
    /// Steps of a day, one hour each from 15:00
    #[arg(long, default_value = "24")]
    pub steps: NonZeroUsize,
    /// Number of days with loads and prices of their own
    #[arg(long, default_value = "10")]
    pub days: NonZeroUsize,
    /// Price profiles whose optima are the points of a hull
    #[arg(long, default_value = "110")]
    pub samples: NonZeroUsize,
    /// Sets to compare, by the names of `compare`; default: those that are quick to make at 24 steps
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub methods: Vec<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the help text")]
    pub run: RunConfig,
}

impl Default for UprConfig {
    fn default() -> Self {
        let count = |n: usize| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Self {
            populations: count(5),
            households: count(20),
            steps: count(24),
            days: count(10),
            samples: count(110),
            methods: Vec::new(),
            run: RunConfig::default(),
        }
    }
}

impl UprConfig {
    /// The methods asked for, in the order of [`METHODS`].
    fn methods(&self) -> Result<Vec<&'static Method>, Error> {
        // Best is the exact set; and there are no training days here.
        let eligible = |method: &&Method| method.kind != Kind::Exact && !method.trained;
        let known: Vec<&'static Method> = METHODS.iter().filter(eligible).collect();
        if let Some(unknown) = self
            .methods
            .iter()
            .find(|name| known.iter().all(|method| method.id != **name))
        {
            let known: Vec<&str> = known.iter().map(|method| method.id).collect();
            return Err(Error::option(
                "--methods",
                format!(
                    "there is no `{unknown}` here; known are {}",
                    known.join(", ")
                ),
            ));
        }
        let wanted = |method: &&Method| {
            if self.methods.is_empty() {
                DEFAULT_METHODS.contains(&method.id)
            } else {
                self.methods.iter().any(|name| name == method.id)
            }
        };
        Ok(known.into_iter().filter(wanted).collect())
    }
}

/// One decision over one set.
#[derive(Clone, Debug, PartialEq)]
pub struct UprRow {
    /// The method as `--methods` names it.
    pub method: &'static str,
    /// Seed of the population.
    pub seed: u64,
    /// Day, from 0.
    pub day: usize,
    /// What is minimised.
    pub objective: ObjectiveKind,
    /// The three costs.
    pub potential: UnusedPotential,
    /// Seconds of the decision.
    pub seconds: f64,
}

/// What one set comes to over all populations and days.
#[derive(Clone, Debug, Serialize)]
pub struct UprResult {
    /// The method as `--methods` names it.
    pub method: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// What every one of its sets says of itself; unproven if they differ.
    pub claim: Claim,
    /// Unused-potential ratio of the cost of energy, percent: mean over days, then over populations, with its standard error.
    pub cost_percent: Estimate,
    /// The same of the peak.
    pub peak_percent: Estimate,
    /// What is published for a set of this kind, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_cost_percent: Option<f64>,
    /// The same of the peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_peak_percent: Option<f64>,
    /// Median seconds to make the set.
    pub set_up_seconds: f64,
    /// Median milliseconds of a decision.
    pub decision_milliseconds: f64,
    /// Number of decisions.
    pub decisions: usize,
    /// Decisions without a ratio, because idle batteries are already best.
    pub without_potential: usize,
    /// Profiles that were handed to the batteries, all of which passed the check of every battery.
    pub schedules_checked: usize,
}

/// A method that was left out, and why.
#[derive(Clone, Debug, Serialize)]
pub struct UprLeftOut {
    /// The method.
    pub method: &'static str,
    /// The reason.
    pub reason: String,
}

/// What `summary.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct UprSummary {
    /// What was run.
    pub name: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// What is measured.
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
    /// Households of each.
    pub households: usize,
    /// Steps of a day.
    pub steps: usize,
    /// Number of days.
    pub days: usize,
    /// One entry per method.
    pub methods: Vec<UprResult>,
    /// Methods that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<UprLeftOut>,
    /// Seconds in all.
    pub seconds: f64,
}

/// One set of one population.
struct SetRun {
    method: &'static Method,
    claim: Claim,
    set_up_seconds: f64,
    rows: Vec<UprRow>,
    checked: usize,
    optimal: bool,
    gap: f64,
}

/// One population: its sets, and what was left out.
type PopulationRun = (Vec<SetRun>, Vec<UprLeftOut>);

/// Makes all sets, decides, and draws up the report. Writes nothing.
///
/// # Errors
/// Every [`Error`].
pub fn upr(config: &UprConfig, control: &Control) -> Result<Report, Error> {
    config.run.on_threads(|| run(config, control))
}

fn run(config: &UprConfig, control: &Control) -> Result<Report, Error> {
    let started = Instant::now();
    let options = config.run.options(control)?;
    let methods = config.methods()?;
    let grid =
        TimeGrid::new(config.steps.get(), Hours(1.0)).map_err(Error::computing("the time grid"))?;
    let days = days(config, &grid)?;
    let count = config.populations.get();
    let total = (count * methods.len()) as u64;
    let done = AtomicU64::new(0);
    let tick = || {
        if let Some(progress) = &control.progress {
            let mut report = ProgressReport::new("upr", 1 + done.fetch_add(1, Ordering::Relaxed));
            report.total = Some(total);
            progress.report(&report);
        }
    };
    let runs: Vec<PopulationRun> = (0..count as u64)
        .into_par_iter()
        .map(|k| {
            let seed = config.run.seed.wrapping_add(k);
            let fleet = HomeBatteries::new(grid.clone(), config.households.get())
                .generate(seed)
                .map_err(Error::computing("the population"))?;
            population(
                config,
                control,
                &fleet,
                seed,
                (&methods, &days),
                &options,
                &tick,
            )
        })
        .collect::<Result<_, Error>>()?;
    let mut sets = Vec::new();
    let mut left_out: Vec<UprLeftOut> = Vec::new();
    for (of_population, without) in runs {
        sets.extend(of_population);
        for reason in without {
            if left_out.iter().all(|known| known.method != reason.method) {
                left_out.push(reason);
            }
        }
    }
    let summary = summarise(config, &methods, &sets, left_out, started);
    let json = report::json(&summary)?;
    Ok(Report {
        files: vec![
            rows_csv(&sets),
            methods_csv(&summary),
            OutputFile {
                name: "summary.json",
                content: json.clone().into_bytes(),
            },
        ],
        json,
        table: table(&summary),
    })
}

/// Both decisions of every day.
fn days(config: &UprConfig, grid: &TimeGrid) -> Result<Vec<[Objective; 2]>, Error> {
    let failed = Error::computing("the loads and prices");
    let (count, seed) = (config.days.get(), config.run.seed);
    let loads = HouseholdLoads::new(config.households.get() as f64)
        .loads(grid, count, seed)
        .map_err(&failed)?;
    let tariffs = EnergyPrices.tariffs(grid, count, seed).map_err(&failed)?;
    Ok(loads
        .iter()
        .zip(&tariffs)
        .map(|(load, tariff)| {
            [
                Objective::Energy {
                    price_eur_per_mwh: tariff.eur_per_mwh().to_vec().into(),
                },
                Objective::Peak {
                    load_kw: load.power_kw().to_vec().into(),
                },
            ]
        })
        .collect())
}

fn population(
    config: &UprConfig,
    control: &Control,
    fleet: &Fleet,
    seed: u64,
    (methods, days): (&[&'static Method], &[[Objective; 2]]),
    options: &Options,
    tick: &(dyn Fn() + Sync),
) -> Result<PopulationRun, Error> {
    let exact = FleetPolymatroid::exact(fleet).map_err(Error::computing("the exact set"))?;
    let idle_kw = uncontrolled(fleet)
        .map_err(Error::computing("idle batteries"))?
        .aggregate_kw();
    let (mut sets, mut left_out) = (Vec::new(), Vec::new());
    for &method in methods {
        if control.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let case = Case::new(fleet, &exact, &[], (config.samples.get(), seed), options);
        match measure(method, &case, &idle_kw, days) {
            Ok(set) => sets.push(set),
            Err(Refusal::TooLarge(reason)) => left_out.push(UprLeftOut {
                method: method.id,
                reason,
            }),
            Err(Refusal::Failed(source)) => {
                return Err(Error::Method {
                    method: method.id,
                    seed,
                    source: Box::new(source),
                });
            }
        }
        tick();
    }
    Ok((sets, left_out))
}

/// Makes one set, decides on all days, and hands the profiles of the first day to the batteries.
fn measure(
    method: &'static Method,
    case: &Case<'_>,
    idle_kw: &Array1<f64>,
    days: &[[Objective; 2]],
) -> Result<SetRun, Refusal> {
    let solver = Clarabel::default();
    let started = Instant::now();
    let set = (method.build)(case)?.set;
    let set_up_seconds = started.elapsed().as_secs_f64();
    let mut run = SetRun {
        method,
        claim: set.claim(),
        set_up_seconds,
        rows: Vec::with_capacity(2 * days.len()),
        checked: 0,
        optimal: true,
        gap: 0.0,
    };
    for (day, objectives) in days.iter().enumerate() {
        for objective in objectives {
            let (potential, decision) = unused_potential(
                set.as_ref(),
                case.exact,
                objective,
                idle_kw.view(),
                &solver,
                case.options,
            )
            .map_err(Error::computing("a decision"))?;
            let slack = SOUNDNESS * (1.0 + potential.best.abs());
            let above = potential.approximate - potential.best;
            let sound = match method.kind {
                Kind::Exact => above.abs() <= slack,
                Kind::Inner => above >= -slack,
                Kind::Outer => above <= slack,
            };
            if !sound {
                return Err(Refusal::Failed(Error::Check {
                    what: "set",
                    reason: format!(
                        "a cost of {} over it, {} over the exact set",
                        potential.approximate, potential.best
                    ),
                }));
            }
            if day == 0 && method.kind == Kind::Inner {
                let schedule = set
                    .disaggregate(decision.profile_kw.view(), &solver)
                    .map_err(Error::computing("the disaggregation"))?;
                certify::check_schedule(case.fleet, &schedule, &decision)?;
                run.checked += 1;
            }
            // Near a cost of zero every relative gap is rounding, which the status knows.
            run.optimal &= decision.status == evflex::flexibility::DecisionStatus::Optimal;
            run.gap = run.gap.max(decision.gap());
            run.rows.push(UprRow {
                method: method.id,
                seed: case.seed,
                day,
                objective: objective.kind(),
                potential,
                seconds: decision.elapsed.as_secs_f64(),
            });
        }
    }
    Ok(run)
}

fn summarise(
    config: &UprConfig,
    methods: &[&'static Method],
    sets: &[SetRun],
    left_out: Vec<UprLeftOut>,
    started: Instant,
) -> UprSummary {
    let results = methods
        .iter()
        .filter_map(|method| {
            let runs: Vec<&SetRun> = sets
                .iter()
                .filter(|set| set.method.id == method.id)
                .collect();
            let first = runs.first()?;
            let ratio = |objective: ObjectiveKind| {
                let means: Vec<f64> = runs
                    .iter()
                    .filter_map(|run| {
                        let of_days: Vec<f64> = run
                            .rows
                            .iter()
                            .filter(|row| row.objective == objective)
                            .filter_map(|row| row.potential.ratio_percent())
                            .collect();
                        (!of_days.is_empty())
                            .then(|| of_days.iter().sum::<f64>() / of_days.len() as f64)
                    })
                    .collect();
                Estimate::of(&means)
            };
            let rows = || runs.iter().flat_map(|run| &run.rows);
            let published = PUBLISHED
                .iter()
                .find(|(id, _)| *id == method.id)
                .map(|(_, published)| published);
            Some(UprResult {
                method: method.id,
                label: method.label,
                claim: if runs.iter().all(|run| run.claim == first.claim) {
                    first.claim
                } else {
                    Claim::Unproven
                },
                cost_percent: ratio(ObjectiveKind::Energy),
                peak_percent: ratio(ObjectiveKind::Peak),
                published_cost_percent: published.map(|published| published[0]),
                published_peak_percent: published.map(|published| published[1]),
                set_up_seconds: median(runs.iter().map(|run| run.set_up_seconds)),
                decision_milliseconds: 1e3 * median(rows().map(|row| row.seconds)),
                decisions: rows().count(),
                without_potential: rows()
                    .filter(|row| row.potential.ratio_percent().is_none())
                    .count(),
                schedules_checked: runs.iter().map(|run| run.checked).sum(),
            })
        })
        .collect();
    UprSummary {
        name: "unused potential of home batteries",
        version: env!("CARGO_PKG_VERSION"),
        method: "100 (approximate - best) / (worst - best); best: exact set, worst: idle batteries",
        solver: Clarabel::default().name(),
        status: if sets.iter().all(|set| set.optimal) {
            Status::Optimal
        } else {
            Status::Feasible
        },
        gap: sets.iter().map(|set| set.gap).fold(0.0, f64::max),
        seed: config.run.seed,
        populations: config.populations.get(),
        households: config.households.get(),
        steps: config.steps.get(),
        days: config.days.get(),
        methods: results,
        left_out,
        seconds: started.elapsed().as_secs_f64(),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// `unused.csv`: one row per decision.
fn rows_csv(sets: &[SetRun]) -> OutputFile {
    let mut text =
        String::from("method,seed,day,objective,approximate,best,worst,unused_potential_percent\n");
    for row in sets.iter().flat_map(|set| &set.rows) {
        let p = &row.potential;
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{}",
            row.method,
            row.seed,
            row.day,
            row.objective,
            plain(p.approximate),
            plain(p.best),
            plain(p.worst),
            p.ratio_percent().map_or_else(String::new, plain),
        );
    }
    OutputFile {
        name: "unused.csv",
        content: text.into_bytes(),
    }
}

/// `methods.csv`: one row per method, the published figures beside.
fn methods_csv(summary: &UprSummary) -> OutputFile {
    let mut text = String::from(
        "method,claim,cost_percent,cost_standard_error,peak_percent,peak_standard_error,published_cost_percent,published_peak_percent,set_up_seconds,decision_milliseconds,schedules_checked\n",
    );
    let or_empty = |value: Option<f64>| value.map_or_else(String::new, plain);
    for m in &summary.methods {
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{}",
            m.method,
            m.claim,
            plain(m.cost_percent.mean),
            plain(m.cost_percent.standard_error),
            plain(m.peak_percent.mean),
            plain(m.peak_percent.standard_error),
            or_empty(m.published_cost_percent),
            or_empty(m.published_peak_percent),
            plain(m.set_up_seconds),
            plain(m.decision_milliseconds),
            m.schedules_checked,
        );
    }
    OutputFile {
        name: "methods.csv",
        content: text.into_bytes(),
    }
}

fn table(summary: &UprSummary) -> String {
    let header = [
        "unused potential, %",
        "claim",
        "cost",
        "published",
        "peak",
        "published",
        "set-up s",
        "decision ms",
        "checked",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let estimate = |e: Estimate| format!("{:.1} ± {:.1}", e.mean, e.standard_error);
    let published = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.1}"));
    for m in &summary.methods {
        rows.push(vec![
            m.label.to_owned(),
            m.claim.to_string(),
            estimate(m.cost_percent),
            published(m.published_cost_percent),
            estimate(m.peak_percent),
            published(m.published_peak_percent),
            format!("{:.2}", m.set_up_seconds),
            format!("{:.1}", m.decision_milliseconds),
            m.schedules_checked.to_string(),
        ]);
    }
    let mut text = format!(
        "{} populations of {} home batteries, {} days of {} h; mean ± standard error over populations\n\
         0: as good as the exact set; 100: as idle batteries. Published: Öztürk et al. 2022, other batteries, loads and prices.\n\n{}",
        summary.populations,
        summary.households,
        summary.days,
        summary.steps,
        aligned(&rows)
    );
    for left in &summary.left_out {
        let _ = writeln!(text, "left out: {}: {}", left.method, left.reason);
    }
    let _ = writeln!(
        text,
        "\n{}; largest gap of a decision {:.1e}; {:.1} s",
        summary.solver, summary.gap, summary.seconds
    );
    text
}
