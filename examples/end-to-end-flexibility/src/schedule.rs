//! `schedule`: one fleet, one decision, one power per vehicle and step.

use evflex::fleet::{Schedule, uncontrolled};
use evflex::flexibility::{Claim, Objective, ObjectiveKind};
use evflex::solver::Options;
use ndarray::Array1;
use serde::Serialize;

use crate::certify::{CertifiedSchedule, Checks, Status};
use crate::config::{Control, Disaggregation, ScheduleConfig};
use crate::error::Error;
use crate::figures::{DayFigure, VehicleFigure};
use crate::inputs::{SeriesSource, SessionCounts};
use crate::instance::Instance;
use crate::lossy;
use crate::report::{self, Aggregate, OutputFile, Report, aligned, figure, reduction_percent};

/// What `summary.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the instance: a file or a population.
    pub name: String,
    /// Version of the program.
    pub version: &'static str,
    /// How the decision was found.
    pub method: &'static str,
    /// What is minimised.
    pub objective: ObjectiveKind,
    /// How far the run got.
    pub status: Status,
    /// Relation of the set that the schedule is from to what the fleet can really do: exact, or inner for lossy vehicles.
    pub claim: Claim,
    /// The same of the set that the bound is over: exact and outer bounds hold for every schedule of the fleet.
    pub bound_claim: Claim,
    /// Cost of the schedule.
    pub cost: f64,
    /// Unit of the costs.
    pub cost_unit: &'static str,
    /// No profile of the set of `bound_claim` costs less.
    pub bound: f64,
    /// `(cost − bound) / max(|cost|, 1e-9)`.
    pub gap: f64,
    /// Cost of charging as early and as fast as possible.
    pub uncontrolled_cost: f64,
    /// Reduction against that, percent.
    pub reduction_percent: f64,
    /// Number of vehicles.
    pub vehicles: usize,
    /// Number of different vehicles.
    pub distinct_vehicles: usize,
    /// Number of steps.
    pub steps: usize,
    /// Length of a step, h.
    pub step_hours: f64,
    /// Clock time of the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Energy drawn by the schedule, kWh.
    pub energy_kwh: f64,
    /// Energy drawn by uncontrolled charging, kWh.
    pub uncontrolled_energy_kwh: f64,
    /// Largest power of fleet and load under the schedule, kW.
    pub peak_kw: f64,
    /// Largest power of fleet and load under uncontrolled charging, kW.
    pub uncontrolled_peak_kw: f64,
    /// Charge on the largest power, EUR/kW.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand_rate_eur_per_kw: Option<f64>,
    /// Where the tracked target comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where the prices come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<SeriesSource>,
    /// Where the loads come from.
    pub loads: SeriesSource,
    /// What became of the rows of a sessions file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionCounts>,
    /// How the profile was handed to the vehicles: fair, or the mixture of vertices.
    pub disaggregation: &'static str,
    /// What the checks found.
    pub checks: Checks,
    /// Passes of the algorithm over the fleet.
    pub iterations: usize,
    /// Seconds from reading to the checked schedule.
    pub seconds: f64,
}

/// A schedule with all that it was made from.
#[derive(Debug)]
pub struct Outcome {
    /// The instance.
    pub instance: Instance,
    /// The schedule, its cost and its bound.
    pub certified: CertifiedSchedule,
    /// Charging as early and as fast as possible.
    pub uncontrolled: Schedule,
    /// Least and largest power of the fleet in each step by itself, kW.
    pub band_kw: (Array1<f64>, Array1<f64>),
    /// The numbers.
    pub summary: Summary,
}

/// Reads, decides, disaggregates, checks, and draws up the report. Writes nothing.
///
/// # Errors
/// Every [`Error`]; its [`exit_status`](Error::exit_status) tells bad input from a failure.
pub fn schedule(config: &ScheduleConfig, control: &Control) -> Result<Report, Error> {
    config.run.on_threads(|| solve(config, control)?.report())
}

/// As [`schedule`], without the report.
///
/// # Errors
/// As [`schedule`].
pub fn solve(config: &ScheduleConfig, control: &Control) -> Result<Outcome, Error> {
    let started = std::time::Instant::now();
    let mut options = config.run.options(control)?;
    options.progress.clone_from(&control.progress);
    let instance = Instance::read(config)?;
    let mut outcome = decide(instance, config.disaggregation, &options)?;
    outcome.summary.seconds = started.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Decides one instance.
pub(crate) fn decide(
    instance: Instance,
    disaggregation: Disaggregation,
    options: &Options,
) -> Result<Outcome, Error> {
    let fleet = &instance.input.fleet;
    let objective = &instance.objective;
    let decided = lossy::decide(fleet, objective, disaggregation, options)?;
    let certified = decided.certified;
    let uncontrolled = uncontrolled(fleet).map_err(Error::computing("uncontrolled charging"))?;
    let uncontrolled_kw = uncontrolled.aggregate_kw();
    let uncontrolled_cost = objective.cost(uncontrolled_kw.view(), fleet.step_hours());
    let load_kw = &instance.loads.values;
    let summary = Summary {
        name: instance.input.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        method: decided.method.unwrap_or(method(objective.kind())),
        objective: objective.kind(),
        status: match (decided.bound_claim, certified.status) {
            // Optimal over a part of what the fleet can do is not optimal.
            (Claim::Inner, Status::Optimal) => Status::Feasible,
            (_, status) => status,
        },
        claim: decided.claim,
        bound_claim: decided.bound_claim,
        cost: certified.cost,
        cost_unit: cost_unit(objective.kind()),
        bound: certified.bound,
        gap: certified.gap,
        uncontrolled_cost,
        reduction_percent: reduction_percent(uncontrolled_cost, certified.cost),
        vehicles: fleet.len(),
        distinct_vehicles: decided.distinct_vehicles,
        steps: fleet.steps(),
        step_hours: fleet.step_hours(),
        start: fleet.grid().start().map(ToString::to_string),
        energy_kwh: certified.power_kw.sum() * fleet.step_hours(),
        uncontrolled_energy_kwh: uncontrolled_kw.sum() * fleet.step_hours(),
        peak_kw: peak(load_kw, &certified.power_kw),
        uncontrolled_peak_kw: peak(load_kw, &uncontrolled_kw),
        demand_rate_eur_per_kw: match objective {
            Objective::DemandCharge {
                rate_eur_per_kw, ..
            } => Some(*rate_eur_per_kw),
            _ => None,
        },
        target: instance.target_source.clone(),
        prices: instance.prices.as_ref().map(|prices| prices.source.clone()),
        loads: instance.loads.source.clone(),
        sessions: instance.input.sessions.clone(),
        disaggregation: certified.disaggregation,
        checks: certified.checks.clone(),
        iterations: certified.iterations,
        seconds: certified.seconds,
    };
    tracing::info!(cost = summary.cost, bound = summary.bound, status = ?summary.status, "scheduled");
    Ok(Outcome {
        certified,
        uncontrolled,
        band_kw: decided.band_kw,
        summary,
        instance,
    })
}

/// Largest power of load and fleet in either direction, kW.
fn peak(load_kw: &Array1<f64>, power_kw: &Array1<f64>) -> f64 {
    (load_kw + power_kw)
        .iter()
        .fold(0.0, |peak, p| f64::max(peak, p.abs()))
}

/// Unit of a cost.
pub(crate) fn cost_unit(kind: ObjectiveKind) -> &'static str {
    match kind {
        ObjectiveKind::Peak => "kW",
        ObjectiveKind::Tracking => "kW²",
        _ => "EUR",
    }
}

fn method(kind: ObjectiveKind) -> &'static str {
    match kind {
        ObjectiveKind::Energy => "greedy",
        ObjectiveKind::DemandCharge => "method of multipliers",
        _ => "nearest point",
    }
}

impl Outcome {
    /// Files, JSON and table.
    ///
    /// # Errors
    /// [`Error::Figure`], [`Error::Output`].
    pub fn report(&self) -> Result<Report, Error> {
        let json = report::json(&self.summary)?;
        let mut files = self.files()?;
        files.push(OutputFile {
            name: "summary.json",
            content: json.clone().into_bytes(),
        });
        Ok(Report {
            files,
            json,
            table: self.table(),
        })
    }

    /// `schedule.csv`, `aggregate.csv`, `day.svg` and `vehicles.svg`.
    pub(crate) fn files(&self) -> Result<Vec<OutputFile>, Error> {
        let fleet = &self.instance.input.fleet;
        let schedule = &self.certified.schedule;
        let prices = self.instance.prices.as_ref();
        let (low, high) = (self.band_kw.0.to_vec(), self.band_kw.1.to_vec());
        let aggregate = Aggregate {
            grid: fleet.grid(),
            load_kw: &self.instance.loads.values.to_vec(),
            power_kw: &self.certified.power_kw.to_vec(),
            power_min_kw: &low,
            power_max_kw: &high,
            price_eur_per_mwh: prices.and_then(|prices| prices.values.as_slice()),
        };
        let uncontrolled_kw = self.uncontrolled.aggregate_kw().to_vec();
        let target = match &self.instance.objective {
            Objective::Tracking { target_kw, .. } => target_kw.as_slice(),
            _ => None,
        };
        let day = DayFigure {
            title: self.title(),
            subtitle: self.subtitle(),
            grid: fleet.grid(),
            load_kw: aggregate.load_kw,
            power_kw: aggregate.power_kw,
            uncontrolled_kw: &uncontrolled_kw,
            power_min_kw: &low,
            power_max_kw: &high,
            target_kw: target,
            price_eur_per_mwh: match self.summary.objective {
                ObjectiveKind::Energy | ObjectiveKind::DemandCharge => aggregate.price_eur_per_mwh,
                _ => None, // it plays no part
            },
        };
        let vehicles = VehicleFigure {
            title: format!("What each of {} vehicles does", fleet.len()),
            subtitle: self.subtitle(),
            fleet,
            schedule,
        };
        Ok(vec![
            report::schedule_csv(fleet, schedule)?,
            report::aggregate_csv(&aggregate),
            OutputFile {
                name: "day.svg",
                content: day.svg()?.into_bytes(),
            },
            OutputFile {
                name: "vehicles.svg",
                content: vehicles.svg()?.into_bytes(),
            },
        ])
    }

    fn title(&self) -> String {
        let what = match self.summary.objective {
            ObjectiveKind::Energy => "Least cost of energy",
            ObjectiveKind::DemandCharge => "Least cost of energy and peak",
            ObjectiveKind::Tracking => "Closest to the target",
            _ => "Least peak",
        };
        format!("{what}: {} vehicles", self.summary.vehicles)
    }

    fn subtitle(&self) -> String {
        let s = &self.summary;
        format!(
            "{} {unit} instead of {} {unit} uncontrolled; proven: no schedule {}does better than {} {unit}",
            figure(s.cost),
            figure(s.uncontrolled_cost),
            if s.bound_claim == Claim::Inner {
                "of the inner set "
            } else {
                ""
            },
            figure(s.bound),
            unit = s.cost_unit,
        )
    }

    fn table(&self) -> String {
        let s = &self.summary;
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![format!("{name:<14}{value}")]);
        row(
            "fleet",
            format!(
                "{}, {} vehicles ({} different)",
                s.name, s.vehicles, s.distinct_vehicles
            ),
        );
        let start = s
            .start
            .as_deref()
            .map_or_else(String::new, |start| format!(" from {start}"));
        row(
            "horizon",
            format!(
                "{} steps of {} min{start}",
                s.steps,
                figure_minutes(s.step_hours)
            ),
        );
        if let Some(sessions) = &s.sessions {
            row("sessions", sessions.to_string());
            for reason in &sessions.refused_reasons {
                row("  refused", reason.clone());
            }
        }
        if let Some(prices) = &s.prices {
            row("prices", prices.to_string());
        }
        row("loads", s.loads.to_string());
        if let Some(target) = &s.target {
            row("target", target.clone());
        }
        if let Some(rate) = s.demand_rate_eur_per_kw {
            row("demand rate", format!("{} EUR/kW", figure(rate)));
        }
        if s.claim != Claim::Exact {
            let text = if s.bound_claim == Claim::Inner {
                "inner: lossy vehicles never discharge here, so the bound holds for such schedules only"
            } else {
                "inner, for lossy vehicles; the bound is that of an outer set and holds for every schedule"
            };
            row("set", text.to_owned());
        }
        row("objective", format!("{}, by {}", s.objective, s.method));
        row("vehicles", format!("{} disaggregation", s.disaggregation));
        let unit = s.cost_unit;
        row(
            "uncontrolled",
            format!("{} {unit}", figure(s.uncontrolled_cost)),
        );
        row(
            "schedule",
            format!("{} {unit} ({:+.1} %)", figure(s.cost), -s.reduction_percent),
        );
        row(
            "bound",
            format!("{} {unit}, gap {:.1e}", figure(s.bound), s.gap),
        );
        row(
            "peak",
            format!(
                "{} kW, uncontrolled {} kW",
                figure(s.peak_kw),
                figure(s.uncontrolled_peak_kw)
            ),
        );
        row(
            "checked",
            format!(
                "every vehicle keeps its bounds up to {} kW and {} kWh; bound recomputed",
                figure(s.checks.largest_power_violation_kw),
                figure(s.checks.largest_energy_violation_kwh)
            ),
        );
        row(
            "status",
            format!("{:?} in {:.2} s", s.status, s.seconds).to_lowercase(),
        );
        aligned(&rows)
    }
}

fn figure_minutes(hours: f64) -> String {
    let minutes = (hours * 60.0 * 1e6).round() / 1e6;
    minutes.to_string()
}

impl std::fmt::Display for SeriesSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)?;
        self.from
            .map_or(Ok(()), |from| write!(f, ", from {from} on"))
    }
}

impl std::fmt::Display for SessionCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} in the file", self.scheduled, self.in_file)?;
        if self.refused > 0 {
            write!(f, "; {} rows refused", self.refused)?;
        }
        if self.adjusted > 0 {
            write!(
                f,
                "; {} clock times in a change of the clocks",
                self.adjusted
            )?;
        }
        if self.arrived_before > 0 {
            write!(
                f,
                "; {} there before the window, not scheduled",
                self.arrived_before
            )?;
        }
        if self.left_after > 0 {
            write!(
                f,
                "; {} leave after it, {}",
                self.left_after, self.left_after_rule
            )?;
            if self.extended_hours > 0.0 {
                write!(f, " by {} h", self.extended_hours)?;
            }
        }
        Ok(())
    }
}
