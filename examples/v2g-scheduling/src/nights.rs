//! Many nights: the gap over time at all levels, and the cost of fleets of all sizes.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;
use evflex::fleet::readers::prices::PriceSeries;
use evflex::solver::Cancel;
use evflex::v2g::instances::{Night, alternating, calibrated, moderate, real};
use evflex::v2g::{
    Answer, Decomposition, Formulation, Level, Milp, ScheduleMethod, SchedulingProblem, WarmStart,
    remaining,
};
use jiff::tz::TimeZone;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::config::{LARGE_PROGRAMS, Method, RunConfig, solver};
use crate::error::Error;
use crate::figures::{Curve, GapFigure, SizeFigure};
use crate::report::{OutputFile, Report, aligned, json, plain};
use crate::solve::uncontrolled_cost;

/// Kinds of generated nights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Volumes that the fleet can mostly shift.
    Moderate,
    /// Volumes larger than the fleet, near the paper's cost level.
    #[default]
    Calibrated,
    /// Shortage and surplus in turn.
    Alternating,
}

impl Kind {
    /// Name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moderate => "moderate",
            Self::Calibrated => "calibrated",
            Self::Alternating => "alternating",
        }
    }

    pub(crate) fn night(
        self,
        night: &Night,
        seed: u64,
    ) -> Result<SchedulingProblem, evflex::v2g::Error> {
        match self {
            Self::Moderate => moderate(night, seed),
            Self::Calibrated => calibrated(night, seed),
            Self::Alternating => alternating(night, seed),
        }
    }
}

/// The default run.
#[derive(Clone, Debug, clap::Args)]
pub struct NightsConfig {
    /// Vehicles of the nights whose gap is followed over time
    #[arg(long, default_value_t = 200)]
    pub vehicles: usize,
    /// Number of nights
    #[arg(long, default_value_t = 5)]
    pub nights: u64,
    /// Sizes of fleets whose cost is compared
    #[arg(long, value_delimiter = ',', default_values_t = [10, 25, 50, 100, 200, 300, 1000])]
    pub sizes: Vec<usize>,
    /// Kind of generated nights
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
    /// Prices of real nights, CSV: `timestamp_utc` and a column in EUR/MWh
    #[arg(long, value_name = "FILE.csv", requires = "imbalance")]
    pub prices: Option<PathBuf>,
    /// Column of the prices
    #[arg(long, value_name = "NAME", default_value = "idc_avg_eur_mwh")]
    pub price_column: String,
    /// National shortfall of real nights, CSV: `timestamp_utc` and a column of energies per quarter-hour
    #[arg(long, value_name = "FILE.csv", requires = "prices")]
    pub imbalance: Option<PathBuf>,
    /// Column of the shortfall
    #[arg(
        long,
        value_name = "NAME",
        default_value = "shortfall_level_corrected_mwh"
    )]
    pub imbalance_column: String,
    /// Seconds per decomposition
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub time_limit: f64,
    /// Seconds per mixed-integer program, where the program was built with an engine for them
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub milp_time_limit: f64,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the help text")]
    pub run: RunConfig,
}

impl Default for NightsConfig {
    fn default() -> Self {
        Self {
            vehicles: 200,
            nights: 5,
            sizes: vec![10, 25, 50, 100, 200, 300, 1000],
            kind: Kind::default(),
            prices: None,
            price_column: "idc_avg_eur_mwh".to_owned(),
            imbalance: None,
            imbalance_column: "shortfall_level_corrected_mwh".to_owned(),
            time_limit: 10.0,
            milp_time_limit: 60.0,
            run: RunConfig::default(),
        }
    }
}

/// One solve.
struct Solved {
    method: String,
    level: Level,
    vehicles: usize,
    night: u64,
    answer: Answer,
    uncontrolled: f64,
}

#[derive(Serialize)]
struct Row {
    method: String,
    level: usize,
    vehicles: usize,
    nights: usize,
    cost_eur: Option<f64>,
    lower_bound_eur: Option<f64>,
    gap: Option<f64>,
    seconds: f64,
    /// Mean seconds to gaps of 1 %, 0.2 % and 0.02 %; none unless all nights got there.
    seconds_to_1_percent: Option<f64>,
    seconds_to_0_2_percent: Option<f64>,
    seconds_to_0_02_percent: Option<f64>,
    charging_at_once_eur: f64,
}

#[derive(Serialize)]
struct Summary {
    name: &'static str,
    version: &'static str,
    method: String,
    seconds: f64,
    status: &'static str,
    nights: String,
    rows: Vec<Row>,
}

/// Where nights come from.
enum Source {
    Generated(Kind),
    Real {
        price: PriceSeries,
        shortfall: PriceSeries,
    },
}

/// Draws of a real night before the data are called too full of holes.
const DRAWS: usize = 100;

impl Source {
    fn new(config: &NightsConfig) -> Result<Self, Error> {
        let (Some(prices), Some(imbalance)) = (&config.prices, &config.imbalance) else {
            return Ok(Self::Generated(config.kind));
        };
        let read = |path, column: &str, place| {
            PriceSeries::read(path, Some(column)).map_err(|error| Error::input(place)(error))
        };
        Ok(Self::Real {
            price: read(prices, &config.price_column, "--prices")?,
            shortfall: read(imbalance, &config.imbalance_column, "--imbalance")?,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Generated(kind) => kind.name(),
            Self::Real { .. } => "real",
        }
    }

    /// Night number `number`: the same data for every size and level.
    fn night(&self, night: &Night, seed: u64, number: u64) -> Result<SchedulingProblem, Error> {
        let seed = seed.wrapping_add(number);
        match self {
            Self::Generated(kind) => kind.night(night, seed).map_err(Error::input("--vehicles")),
            Self::Real { price, shortfall } => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut last = None;
                for _ in 0..DRAWS {
                    // 17:00 to 05:00 of any day that both series cover.
                    let from = price.start().max(shortfall.start()).as_second();
                    let to = price.end().min(shortfall.end()).as_second();
                    let days = ((to - from) / 86_400 - 1).max(1);
                    let day = from / 86_400 + rng.random_range(0..days);
                    let start = jiff::Timestamp::from_second(day * 86_400 + 17 * 3600)
                        .map_err(|error| Error::option("--prices", error.to_string()))?
                        .to_zoned(TimeZone::UTC);
                    match real(night, start, price, shortfall, seed) {
                        Ok(problem) => return Ok(problem),
                        // A hole in the data: another day.
                        Err(error @ evflex::v2g::Error::Input(_)) => last = Some(error),
                        Err(error) => return Err(Error::input("--prices")(error)),
                    }
                }
                let reason = last.map_or_else(String::new, |error| error.to_string());
                Err(Error::option(
                    "--prices",
                    format!("no night of {DRAWS} drawn has all its values; the last: {reason}"),
                ))
            }
        }
    }
}

/// Solves nights at all levels and fleets of all sizes.
///
/// # Errors
/// [`Error::Option`], [`Error::Input`] and [`Error::Computation`].
pub fn nights(config: &NightsConfig, cancel: &Cancel) -> Result<Report, Error> {
    if config.nights == 0 {
        return Err(Error::option("--nights", "at least 1 is needed"));
    }
    let source = Source::new(config)?;
    let started = std::time::Instant::now();
    let mut solved = Vec::new();
    for level in [Level::Zero, Level::One, Level::Two, Level::Three] {
        for night in 0..config.nights {
            let night_of = Night::new(config.vehicles).level(level);
            let problem = source.night(&night_of, config.run.seed, night)?;
            for method in methods(level) {
                solved.push(run(config, cancel, &problem, method, night)?);
            }
            if level == Level::Three {
                let running = solved.iter().rfind(|one| {
                    one.method == "decomposition" && one.night == night && one.level == level
                });
                if let Some(running) = running {
                    let again = reoptimised(config, cancel, &problem, running)?;
                    solved.extend(again);
                }
            }
        }
    }
    for &size in config.sizes.iter().filter(|&&size| size != config.vehicles) {
        for night in 0..config.nights {
            let problem = source.night(&Night::new(size), config.run.seed, night)?;
            solved.push(run(config, cancel, &problem, None, night)?);
            if LARGE_PROGRAMS && size <= 300 {
                let method = Some(Formulation::RajanTakriti);
                solved.push(run(config, cancel, &problem, method, night)?);
            }
        }
    }
    report(config, &source, &solved, started.elapsed().as_secs_f64())
}

/// The decomposition (`None`) and the formulations that are run at a level.
fn methods(level: Level) -> Vec<Option<Formulation>> {
    let mut methods = vec![None];
    if LARGE_PROGRAMS {
        methods.push(Some(Formulation::RajanTakriti));
        if level == Level::Three {
            methods.push(Some(Formulation::Pairwise));
        }
    }
    methods
}

fn run(
    config: &NightsConfig,
    cancel: &Cancel,
    problem: &SchedulingProblem,
    method: Option<Formulation>,
    night: u64,
) -> Result<Solved, Error> {
    let solver = solver();
    let decomposition = Decomposition::default();
    let milp = Milp::new(solver.as_ref()).formulation(method.unwrap_or_default());
    let (method, options): (&dyn ScheduleMethod, _) = if method.is_some() {
        let limit = Some(config.milp_time_limit);
        (&milp, config.run.options(Method::Milp, limit, cancel)?)
    } else {
        let limit = Some(config.time_limit);
        (
            &decomposition,
            config.run.options(Method::Decomposition, limit, cancel)?,
        )
    };
    let answer = method
        .solve(problem, &options)
        .map_err(Error::computing("a night"))?;
    Ok(Solved {
        method: method.name(),
        level: problem.level(),
        vehicles: problem.vehicles().len(),
        night,
        answer,
        uncontrolled: uncontrolled_cost(problem),
    })
}

/// The rest of a night after two hours, with another price in the middle of it: from scratch and from the running
/// schedule.
fn reoptimised(
    config: &NightsConfig,
    cancel: &Cancel,
    problem: &SchedulingProblem,
    running: &Solved,
) -> Result<Vec<Solved>, Error> {
    let Some(best) = &running.answer.best else {
        return Ok(Vec::new());
    };
    let failed = Error::computing("the rest of a night");
    let now = NOW.min(problem.steps() - 1);
    let mut price = problem.price_eur_per_kwh().to_vec();
    price[usize::midpoint(now, problem.steps())] += PRICE_CHANGE;
    let changed = problem.to_builder().price_eur_per_kwh(price).build();
    let rest = changed
        .and_then(|changed| remaining(&changed, &best.schedule, now))
        .map_err(&failed)?;
    let limit = Some(config.time_limit);
    let options = config.run.options(Method::Decomposition, limit, cancel)?;
    let warm = WarmStart::from_answer(&running.answer).after(now);
    [
        (FROM_SCRATCH, Decomposition::default()),
        (FROM_RUNNING, Decomposition::starting_at(warm)),
    ]
    .into_iter()
    .map(|(name, method)| {
        Ok(Solved {
            method: name.to_owned(),
            level: rest.level(),
            vehicles: running.vehicles,
            night: running.night,
            answer: method.solve(&rest, &options).map_err(&failed)?,
            uncontrolled: uncontrolled_cost(&rest),
        })
    })
    .collect()
}

/// Steps after which a night is optimised again.
const NOW: usize = 8;
/// Change of one price, EUR/kWh.
const PRICE_CHANGE: f64 = 0.02;
const FROM_SCRATCH: &str = "rest, from scratch";
const FROM_RUNNING: &str = "rest, from the running schedule";

fn report(
    config: &NightsConfig,
    source: &Source,
    solved: &[Solved],
    seconds: f64,
) -> Result<Report, Error> {
    let (over_time, over_size) = tables(solved);
    let rows = rows(solved);
    let nights = if config.nights == 1 {
        format!("1 {} night", source.name())
    } else {
        format!("{} {} nights", config.nights, source.name())
    };
    let gap_figure = GapFigure {
        title: format!("Gap over time, {} vehicles", config.vehicles),
        subtitle: format!("mean of {nights}; quarter-hours from dusk to dawn"),
        curves: gap_curves(config, solved),
    };
    let size_figure = SizeFigure {
        title: "Cost over the size of the fleet, level 3".to_owned(),
        subtitle: format!("mean of {nights}"),
        curves: size_curves(solved),
    };
    let summary = Summary {
        name: "nights",
        version: env!("CARGO_PKG_VERSION"),
        method: if LARGE_PROGRAMS {
            "decomposition, milp"
        } else {
            "decomposition"
        }
        .to_owned(),
        seconds,
        status: "feasible",
        nights: nights.clone(),
        rows,
    };
    let mut table = vec![
        [
            "method",
            "level",
            "vehicles",
            "cost (EUR)",
            "gap (%)",
            "seconds",
            "to 1 %",
            "to 0.2 %",
            "to 0.02 %",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for row in &summary.rows {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "none".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.push(vec![
            row.method.clone(),
            row.level.to_string(),
            row.vehicles.to_string(),
            number(row.cost_eur, 2),
            number(row.gap.map(|gap| 100.0 * gap), 4),
            number(Some(row.seconds), 2),
            number(row.seconds_to_1_percent, 2),
            number(row.seconds_to_0_2_percent, 2),
            number(row.seconds_to_0_02_percent, 2),
        ]);
    }
    let mut text = format!("{nights}, means\n{}", aligned(&table));
    if !LARGE_PROGRAMS {
        text.push_str("mixed-integer programs of this size need the feature `highs`: left out\n");
    }
    let json = json(&summary)?;
    Ok(Report {
        files: vec![
            OutputFile::new("gap_over_time.csv", over_time),
            OutputFile::new("cost_over_size.csv", over_size),
            OutputFile::new("gap_over_time.svg", gap_figure.svg()?),
            OutputFile::new("cost_over_size.svg", size_figure.svg()?),
            OutputFile::new("summary.json", json.clone()),
        ],
        json,
        table: text,
    })
}

/// `gap_over_time.csv` and `cost_over_size.csv`.
fn tables(solved: &[Solved]) -> (String, String) {
    let mut over_time =
        String::from("method,level,vehicles,night,seconds,cost_eur,lower_bound_eur,gap\n");
    let mut over_size = String::from(
        "vehicles,level,night,method,cost_eur,lower_bound_eur,gap,seconds,charging_at_once_eur\n",
    );
    for one in solved {
        let Solved {
            method,
            vehicles,
            night,
            answer,
            ..
        } = one;
        let level = usize::from(one.level);
        for entry in &answer.history {
            let cells = [
                Some(entry.seconds),
                entry.cost_eur,
                entry.lower_bound_eur,
                gap(entry),
            ];
            let cells = cells.map(plain).join(",");
            let _ = writeln!(over_time, "{method},{level},{vehicles},{night},{cells}");
        }
        let cells = [
            answer.best.as_ref().map(|best| best.cost_eur),
            finite(answer.lower_bound_eur),
            finite(answer.gap()),
            Some(answer.elapsed.as_secs_f64()),
            Some(one.uncontrolled),
        ];
        let cells = cells.map(plain).join(",");
        let _ = writeln!(over_size, "{vehicles},{level},{night},{method},{cells}");
    }
    (over_time, over_size)
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn gap(entry: &evflex::v2g::HistoryEntry) -> Option<f64> {
    let (cost, bound) = (entry.cost_eur?, entry.lower_bound_eur?);
    Some(((cost - bound) / cost.abs().max(1e-9)).max(0.0))
}

/// Means over nights, in the order in which methods, levels and sizes were first run.
fn rows(solved: &[Solved]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for first in solved {
        let same = |row: &Row| {
            row.method == first.method
                && row.level == usize::from(first.level)
                && row.vehicles == first.vehicles
        };
        if rows.iter().any(same) {
            continue;
        }
        let group: Vec<&Solved> = solved
            .iter()
            .filter(|one| {
                one.method == first.method
                    && one.level == first.level
                    && one.vehicles == first.vehicles
            })
            .collect();
        let mean = |value: &dyn Fn(&Solved) -> Option<f64>| {
            let values: Option<Vec<f64>> = group.iter().map(|one| value(one)).collect();
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
        };
        rows.push(Row {
            method: first.method.clone(),
            level: first.level.into(),
            vehicles: first.vehicles,
            nights: group.len(),
            cost_eur: mean(&|one| one.answer.best.as_ref().map(|best| best.cost_eur)),
            lower_bound_eur: mean(&|one| finite(one.answer.lower_bound_eur)),
            gap: mean(&|one| finite(one.answer.gap())),
            seconds: mean(&|one| Some(one.answer.elapsed.as_secs_f64())).unwrap_or(0.0),
            seconds_to_1_percent: mean(&|one| seconds_to(&one.answer, 1e-2)),
            seconds_to_0_2_percent: mean(&|one| seconds_to(&one.answer, 2e-3)),
            seconds_to_0_02_percent: mean(&|one| seconds_to(&one.answer, 2e-4)),
            charging_at_once_eur: mean(&|one| Some(one.uncontrolled)).unwrap_or(0.0),
        });
    }
    rows
}

/// When the gap was first as small as `gap`.
fn seconds_to(answer: &Answer, gap: f64) -> Option<f64> {
    let (mut cost, mut bound) = (None, None);
    answer.history.iter().find_map(|entry| {
        cost = entry.cost_eur.or(cost);
        bound = entry.lower_bound_eur.or(bound);
        let known = evflex::v2g::HistoryEntry {
            seconds: entry.seconds,
            cost_eur: cost,
            lower_bound_eur: bound,
        };
        self::gap(&known)
            .filter(|now| *now <= gap)
            .map(|_| entry.seconds)
    })
}

/// The gap of a history at a time, `None` before both a cost and a bound are known.
fn gap_at(answer: &Answer, seconds: f64) -> Option<f64> {
    let (mut cost, mut bound) = (None, None);
    for entry in answer
        .history
        .iter()
        .filter(|entry| entry.seconds <= seconds)
    {
        cost = entry.cost_eur.or(cost);
        bound = entry.lower_bound_eur.or(bound);
    }
    gap(&evflex::v2g::HistoryEntry {
        seconds,
        cost_eur: cost,
        lower_bound_eur: bound,
    })
}

/// Times per decade of the curves of gaps.
const PER_DECADE: f64 = 24.0;

/// One curve per method and level: the mean gap over the nights, from when all have one.
fn gap_curves(config: &NightsConfig, solved: &[Solved]) -> Vec<Curve> {
    let mut curves = Vec::new();
    let rows = rows(solved);
    for row in rows
        .iter()
        .filter(|row| row.vehicles == config.vehicles && !is_rest(&row.method))
    {
        let group: Vec<&Solved> = solved
            .iter()
            .filter(|one| {
                one.vehicles == row.vehicles
                    && one.method == row.method
                    && usize::from(one.level) == row.level
            })
            .collect();
        // A finished run keeps its gap.
        let end = solved
            .iter()
            .filter(|one| one.vehicles == config.vehicles)
            .map(|one| one.answer.elapsed.as_secs_f64())
            .fold(0.0, f64::max);
        let mut points = Vec::new();
        let mut seconds: f64 = 1e-3;
        while seconds < end * 10.0_f64.powf(1.0 / PER_DECADE) {
            let at = seconds.min(end);
            let gaps: Option<Vec<f64>> = group.iter().map(|one| gap_at(&one.answer, at)).collect();
            if let Some(gaps) = gaps {
                points.push((at, 100.0 * gaps.iter().sum::<f64>() / gaps.len() as f64));
            }
            seconds *= 10.0_f64.powf(1.0 / PER_DECADE);
        }
        curves.push(Curve {
            name: format!("level {}, {}", row.level, short(&row.method)),
            points,
            dashed: row.method != "decomposition",
        });
    }
    curves
}

/// Whether a row is about the rest of a night.
fn is_rest(method: &str) -> bool {
    method == FROM_SCRATCH || method == FROM_RUNNING
}

fn short(method: &str) -> &str {
    method.split(" by ").next().unwrap_or(method)
}

/// Mean cost over the size of the fleet, per method, with the bound of the decomposition.
fn size_curves(solved: &[Solved]) -> Vec<Curve> {
    let mut rows: Vec<Row> = rows(solved)
        .into_iter()
        .filter(|row| row.level == 3 && !is_rest(&row.method))
        .collect();
    rows.sort_by_key(|row| row.vehicles);
    let mut names: Vec<String> = Vec::new();
    for row in &rows {
        if !names.contains(&row.method) {
            names.push(row.method.clone());
        }
    }
    let curve = |name: &String| Curve {
        points: rows
            .iter()
            .filter(|row| row.method == *name)
            .filter_map(|row| Some((row.vehicles as f64, row.cost_eur?)))
            .collect(),
        dashed: name != "decomposition",
        name: short(name).to_owned(),
    };
    let mut curves: Vec<Curve> = names.iter().map(curve).collect();
    curves.push(Curve {
        name: "charging at once".to_owned(),
        points: rows
            .iter()
            .filter(|row| row.method == "decomposition")
            .map(|row| (row.vehicles as f64, row.charging_at_once_eur))
            .collect(),
        dashed: true,
    });
    curves
}
