//! What methods answer.

use crate::check::{DEFAULT_TOLERANCE, check_schedule};
use crate::error::Error;
use crate::problem::SchedulingProblem;
use evflex_fleet::Schedule;
use evflex_solver::Options;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A method that solves scheduling problems.
pub trait ScheduleMethod {
    /// Name in reports, with versions.
    fn name(&self) -> String;

    /// Solves a problem within the gap and the limits of `options`. A limit that strikes is no error: the answer then has
    /// what was found by then.
    ///
    /// # Errors
    /// [`Error::Infeasible`] when it is proven that no schedule exists; otherwise what keeps the method from starting or
    /// going on.
    fn solve(&self, problem: &SchedulingProblem, options: &Options) -> Result<Answer, Error>;
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The gap asked for is proven.
    Optimal,
    /// There is a schedule, and the method has no more to try.
    Feasible,
    /// A limit or a cancellation came first, with or without a schedule.
    Stopped,
}

/// Cost and bound at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Seconds since the start.
    pub seconds: f64,
    /// Cost of the best schedule, EUR; `None` before there is one.
    pub cost_eur: Option<f64>,
    /// Best lower bound, EUR; `None` before there is one.
    pub lower_bound_eur: Option<f64>,
}

/// A schedule that passed [`check_schedule`], and its cost by the definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Incumbent {
    /// Powers, vehicles × steps, kW.
    pub schedule: Schedule,
    /// Its cost, EUR.
    pub cost_eur: f64,
}

/// What a method found, with the proof of how good it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The best schedule; `None` if a limit came before the first one.
    pub best: Option<Incumbent>,
    /// No schedule costs less, EUR; minus infinity if nothing is proven.
    pub lower_bound_eur: f64,
    /// How it ended.
    pub status: Status,
    /// Costs and bounds over time, whenever one of the two improved.
    pub history: Vec<HistoryEntry>,
    /// Time spent.
    pub elapsed: Duration,
    /// Prices of energy at the vehicles, EUR/kWh, one list per group of the problem (and one for the vehicles in none, last),
    /// one entry per step: the dual solution behind the bound. Empty where a method has none.
    pub prices_eur_per_kwh: Vec<Vec<f64>>,
}

impl Answer {
    /// `(cost − lower bound) / max(|cost|, 1e-9)`, infinite without a schedule or a bound.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.best.as_ref().map_or(f64::INFINITY, |best| {
            relative_gap(best.cost_eur, self.lower_bound_eur)
        })
    }

    /// The best schedule, or an error that says that there is none yet.
    ///
    /// # Errors
    /// [`Error::Solver`] with the reason why the method stopped.
    pub fn schedule(&self) -> Result<&Schedule, Error> {
        self.best
            .as_ref()
            .map(|best| &best.schedule)
            .ok_or_else(|| {
                Error::Solver(evflex_solver::Error::Stopped {
                    problem: "the schedule".to_owned(),
                    reason: evflex_solver::StopReason::TimeLimit,
                })
            })
    }
}

/// `(cost − bound) / max(|cost|, 1e-9)`, not below zero.
pub(crate) fn relative_gap(cost: f64, bound: f64) -> f64 {
    ((cost - bound) / cost.abs().max(1e-9)).max(0.0)
}

/// Collects schedules and bounds over time.
pub(crate) struct Record<'a> {
    problem: &'a SchedulingProblem,
    started: Instant,
    pub best: Option<Incumbent>,
    pub bound: f64,
    pub history: Vec<HistoryEntry>,
}

impl<'a> Record<'a> {
    pub fn new(problem: &'a SchedulingProblem) -> Self {
        Self {
            problem,
            started: Instant::now(),
            best: None,
            bound: f64::NEG_INFINITY,
            history: Vec::new(),
        }
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn cost(&self) -> f64 {
        self.best
            .as_ref()
            .map_or(f64::INFINITY, |best| best.cost_eur)
    }

    pub fn gap(&self) -> f64 {
        if self.best.is_some() {
            relative_gap(self.cost(), self.bound)
        } else {
            f64::INFINITY
        }
    }

    /// Takes a bound in if it is better. A bound above a cost by rounding is the cost.
    pub fn bound(&mut self, bound: f64) {
        let bound = bound.min(self.cost());
        if bound > self.bound {
            self.bound = bound;
            self.note();
        }
    }

    /// Takes powers in if they are better and pass the check; answers with their cost, `None` if they do not pass.
    pub fn offer(&mut self, power_kw: Array2<f64>) -> Result<Option<f64>, Error> {
        let cost = self.problem.cost_eur(power_kw.view())?;
        if cost >= self.cost() {
            return Ok(Some(cost));
        }
        let report = check_schedule(self.problem, power_kw.view(), DEFAULT_TOLERANCE)?;
        if let Some(violation) = report.violations.first() {
            tracing::debug!(%violation, count = report.violations.len(), "schedule dropped");
            return Ok(None);
        }
        let ids = self
            .problem
            .vehicles()
            .iter()
            .map(|v| v.id.clone())
            .collect();
        let schedule = Schedule::new(self.problem.grid().clone(), ids, power_kw)?;
        self.best = Some(Incumbent {
            schedule,
            cost_eur: report.cost_eur,
        });
        self.bound = self.bound.min(report.cost_eur);
        self.note();
        Ok(Some(report.cost_eur))
    }

    /// An entry of the history as it stands at some time since the start.
    pub fn note(&mut self) {
        self.history.push(HistoryEntry {
            seconds: self.started.elapsed().as_secs_f64(),
            cost_eur: self.best.as_ref().map(|best| best.cost_eur),
            lower_bound_eur: self.bound.is_finite().then_some(self.bound),
        });
    }

    pub fn finish(self, status: Status, prices_eur_per_kwh: Vec<Vec<f64>>) -> Answer {
        Answer {
            best: self.best,
            lower_bound_eur: self.bound,
            status,
            history: self.history,
            elapsed: self.started.elapsed(),
            prices_eur_per_kwh,
        }
    }
}
