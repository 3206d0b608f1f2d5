//! All sets of all fleets on all test days.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use evflex::fleet::synthetic::Population;
use evflex::fleet::{Fleet, uncontrolled};
use evflex::flexibility::{
    AggregateSet, Claim, Decision, DecisionStatus, FleetPolymatroid, Objective,
};
use evflex::solver::{Options, ProgressReport};
use ndarray::Array1;
use rayon::prelude::*;

use super::CompareConfig;
use super::method::{Built, Case, Kind, Method, Refusal, solver};
use super::task::{Days, Task, random_directions};
use crate::config::Control;
use crate::error::Error;
use crate::figures::{Outline, outline};

/// Populations of a full run, and of the short one.
const POPULATIONS: (usize, usize) = (10, 5);
/// Relative to 1 + cost: how far an inner set may cost less than the exact one before the run fails.
///
/// Programs are solved to tolerances: what they call feasible may be that far out.
pub const SOUNDNESS: f64 = 1e-6;
/// Days whose profiles are handed to the vehicles in a short run.
const CHECKED_DAYS: usize = 5;
/// Random directions in which the widths of sets are compared.
pub const WIDTH_DIRECTIONS: usize = 32;
/// The tasks for which the sets of the first fleet are drawn: one for each kind of fleet.
const DRAWN: [Task; 2] = [Task::EnergyCost, Task::PeakChargingOnly];

/// One decision over one set.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Day of the season, from 0.
    pub day: usize,
    /// Cost over the set.
    pub cost: f64,
    /// No profile of the set costs less.
    pub bound: f64,
    /// Cost over the exact set.
    pub exact_cost: f64,
    /// Cost over the set minus cost over the exact set; for an outer set, whose cost no schedule need
    /// attain, bound minus cost over the exact set.
    pub gap: f64,
    /// Whether the gap asked for was proven.
    pub optimal: bool,
    /// Seconds of the decision.
    pub seconds: f64,
}

/// One set of one fleet on all test days of one task.
#[derive(Clone, Debug)]
pub(super) struct SetRun {
    pub method: &'static Method,
    pub task: Task,
    pub seed: u64,
    /// What the set says of itself.
    pub claim: Claim,
    pub gamma: Option<f64>,
    /// Mean width as a share of that of the exact set.
    pub width: f64,
    /// Least energy of a profile of the set above that of the exact set, kWh.
    pub excess_energy_kwh: f64,
    pub set_up_seconds: f64,
    /// Mean cost of uncontrolled charging.
    pub uncontrolled_cost: f64,
    pub rows: Vec<Row>,
    /// Profiles that were handed to the vehicles and checked.
    pub checked: usize,
    pub outline: Option<Outline>,
}

/// Everything that was computed, in the order of populations, tasks and methods.
pub(super) struct Results {
    pub days: Days,
    pub fleets: usize,
    pub vehicles: usize,
    pub steps: usize,
    pub tasks: Vec<Task>,
    pub sets: Vec<SetRun>,
    /// Methods that were left out, with the reason.
    pub left_out: Vec<(&'static Method, String)>,
}

/// The vehicles of one population that a task is about.
struct Job {
    seed: u64,
    first: bool,
    fleet: Fleet,
    tasks: Vec<Task>,
}

pub(super) fn run(
    config: &CompareConfig,
    control: &Control,
    methods: &[&'static Method],
) -> Result<Results, Error> {
    let options = config.run.options(control)?;
    let jobs = jobs(config)?;
    let grid = jobs.first().map(|job| job.fleet.grid().clone());
    let Some(grid) = grid else {
        return Err(Error::option("--populations", "there is no fleet"));
    };
    let days = Days::new(config, &grid)?;
    let total: usize =
        jobs.iter().map(|job| job.tasks.len()).sum::<usize>() * days.test.len() * methods.len();
    let done = AtomicU64::new(0);
    let shared = Shared {
        config,
        control,
        methods,
        days: &days,
        directions: random_directions(grid.steps(), WIDTH_DIRECTIONS, config.run.seed),
        options: &options,
        tick: &|what: &str, count: usize| {
            if let Some(progress) = &control.progress {
                let before = done.fetch_add(count as u64, Ordering::Relaxed);
                let mut report = ProgressReport::new("compare", before + count as u64);
                report.total = Some(total as u64);
                tracing::debug!(what, "decided");
                progress.report(&report);
            }
        },
    };
    let done: Vec<Done> = jobs
        .par_iter()
        .with_max_len(1)
        .map(|job| shared.job(job))
        .collect::<Result<_, _>>()?;
    let mut left_out: Vec<(&'static Method, String)> = Vec::new();
    let mut sets = Vec::new();
    for done in done {
        sets.extend(done.sets);
        for (method, reason) in done.left_out {
            if left_out.iter().all(|(known, _)| known.id != method.id) {
                left_out.push((method, reason));
            }
        }
    }
    let mut tasks: Vec<Task> = Vec::new();
    for task in Task::ALL {
        if jobs.iter().any(|job| job.tasks.contains(&task)) {
            tasks.push(task);
        }
    }
    Ok(Results {
        fleets: jobs.iter().filter(|job| job.tasks[0] == tasks[0]).count(),
        vehicles: jobs[0].fleet.len(),
        steps: grid.steps(),
        days,
        tasks,
        sets,
        left_out,
    })
}

/// The fleets: a file's, or for each population one that may feed and one that only charges.
fn jobs(config: &CompareConfig) -> Result<Vec<Job>, Error> {
    let first = config.run.seed;
    if let Some(path) = &config.input {
        let fleet = crate::inputs::fleet_from(path)?;
        return Ok(vec![Job {
            seed: first,
            first: true,
            fleet,
            // Vehicles from a file do what they can.
            tasks: vec![Task::PeakV2g, Task::EnergyCost],
        }]);
    }
    let grid = crate::populations::night(0)?;
    let count = config.populations.map_or(
        if config.full {
            POPULATIONS.0
        } else {
            POPULATIONS.1
        },
        std::num::NonZeroUsize::get,
    );
    let mut jobs = Vec::new();
    for k in 0..count as u64 {
        let seed = first.wrapping_add(k);
        for direction in [Task::PeakV2g, Task::PeakChargingOnly].map(Task::direction) {
            let fleet = Population::new(grid.clone(), config.vehicles.get())
                .direction(direction)
                .generate(seed)
                .map_err(Error::computing("the population"))?;
            jobs.push(Job {
                seed,
                first: k == 0,
                fleet,
                tasks: Task::ALL
                    .into_iter()
                    .filter(|task| task.direction() == direction)
                    .collect(),
            });
        }
    }
    Ok(jobs)
}

struct Done {
    sets: Vec<SetRun>,
    left_out: Vec<(&'static Method, String)>,
}

struct Shared<'a> {
    config: &'a CompareConfig,
    control: &'a Control,
    methods: &'a [&'static Method],
    days: &'a Days,
    directions: Vec<Array1<f64>>,
    options: &'a Options,
    tick: &'a (dyn Fn(&str, usize) + Sync),
}

/// What the sets of one task are held against.
struct Reference {
    objectives: Vec<Objective>,
    exact: Vec<Decision>,
    uncontrolled_cost: f64,
    width: f64,
    least_energy_kwh: f64,
}

impl Shared<'_> {
    fn job(&self, job: &Job) -> Result<Done, Error> {
        let exact = FleetPolymatroid::exact(&job.fleet).map_err(|source| Error::Vehicles {
            place: "--input",
            source: Box::new(source),
        })?;
        let free = uncontrolled(&job.fleet)
            .map_err(Error::computing("uncontrolled charging"))?
            .aggregate_kw();
        let references: Vec<Reference> = job
            .tasks
            .iter()
            .map(|&task| self.reference(task, &exact, &free))
            .collect::<Result<_, _>>()?;
        let mut done = Done {
            sets: Vec::new(),
            left_out: Vec::new(),
        };
        for &method in self.methods {
            let mut attempt = || -> Result<(), Refusal> {
                if method.trained {
                    for (&task, reference) in job.tasks.iter().zip(&references) {
                        let training = self.days.training(task);
                        let case = self.case(job, &exact, &training);
                        let (built, seconds) = build(method, &case)?;
                        let set = self.measure(job, task, reference, method, &built, seconds)?;
                        done.sets.push(set);
                    }
                } else {
                    let case = self.case(job, &exact, &[]);
                    let (built, seconds) = build(method, &case)?;
                    for (&task, reference) in job.tasks.iter().zip(&references) {
                        let set = self.measure(job, task, reference, method, &built, seconds)?;
                        done.sets.push(set);
                    }
                }
                Ok(())
            };
            match attempt() {
                Ok(()) => {}
                Err(Refusal::TooLarge(reason)) => {
                    (self.tick)(method.id, job.tasks.len() * self.days.test.len());
                    done.left_out.push((method, reason));
                }
                Err(Refusal::Failed(error)) => {
                    return Err(Error::Method {
                        method: method.id,
                        seed: job.seed,
                        source: Box::new(error),
                    });
                }
            }
        }
        Ok(done)
    }

    fn case<'c>(
        &'c self,
        job: &'c Job,
        exact: &'c FleetPolymatroid,
        training: &'c [Objective],
    ) -> Case<'c> {
        let samples = (self.config.samples.get(), job.seed);
        Case::new(&job.fleet, exact, training, samples, self.options)
    }

    fn reference(
        &self,
        task: Task,
        exact: &FleetPolymatroid,
        free: &Array1<f64>,
    ) -> Result<Reference, Error> {
        let objectives: Vec<Objective> = self
            .days
            .test
            .iter()
            .map(|&day| self.days.objective(task, day))
            .collect();
        let decisions: Vec<Decision> = objectives
            .iter()
            .map(|objective| {
                self.not_cancelled()?;
                let answer = exact.decide(objective, self.options);
                Ok(answer
                    .map_err(Error::computing("the exact decision"))?
                    .decision)
            })
            .collect::<Result<_, Error>>()?;
        let costs = objectives
            .iter()
            .map(|objective| objective.cost(free.view(), exact.step_hours()));
        Ok(Reference {
            uncontrolled_cost: costs.sum::<f64>() / objectives.len() as f64,
            objectives,
            exact: decisions,
            width: width(exact, &self.directions).map_err(Error::computing("the width"))?,
            least_energy_kwh: least_energy_kwh(exact)
                .map_err(Error::computing("the least energy"))?,
        })
    }

    fn not_cancelled(&self) -> Result<(), Error> {
        if self.control.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    fn measure(
        &self,
        job: &Job,
        task: Task,
        reference: &Reference,
        method: &'static Method,
        built: &Built<'_>,
        set_up_seconds: f64,
    ) -> Result<SetRun, Error> {
        let failed = |what| move |source| Error::computing(what)(source);
        let checked_days = match method.kind {
            // A profile of an outer set need not be one that the vehicles can follow.
            Kind::Outer => 0,
            _ if self.config.full => self.days.test.len(),
            _ => CHECKED_DAYS.min(self.days.test.len()),
        };
        let mut rows = Vec::with_capacity(self.days.test.len());
        for (index, (objective, exact)) in reference
            .objectives
            .iter()
            .zip(&reference.exact)
            .enumerate()
        {
            self.not_cancelled()?;
            let started = Instant::now();
            let decision = built
                .set
                .minimise(objective, &solver(), self.options)
                .map_err(failed("a decision"))?;
            let seconds = started.elapsed().as_secs_f64();
            sound(method.kind, &decision, exact)?;
            if index < checked_days {
                check(&job.fleet, built.set.as_ref(), &decision)?;
            }
            rows.push(Row {
                day: self.days.test[index],
                cost: decision.cost,
                bound: decision.lower_bound,
                exact_cost: exact.cost,
                gap: match method.kind {
                    Kind::Outer => decision.lower_bound - exact.cost,
                    _ => decision.cost - exact.cost,
                },
                optimal: decision.status == DecisionStatus::Optimal,
                seconds,
            });
            (self.tick)(method.id, 1);
        }
        let width =
            width(built.set.as_ref(), &self.directions).map_err(failed("the width of a set"))?;
        let drawn = job.first && DRAWN.contains(&task);
        let outline = drawn
            .then(|| outline(built.set.as_ref(), &solver()))
            .transpose()
            .map_err(failed("a projection of a set"))?;
        Ok(SetRun {
            method,
            task,
            seed: job.seed,
            claim: built.set.claim(),
            gamma: built.gamma,
            width: width / reference.width.max(f64::MIN_POSITIVE),
            excess_energy_kwh: least_energy_kwh(built.set.as_ref())
                .map_err(failed("the least energy of a set"))?
                - reference.least_energy_kwh,
            set_up_seconds,
            uncontrolled_cost: reference.uncontrolled_cost,
            rows,
            checked: checked_days,
            outline,
        })
    }
}

fn build<'c>(method: &Method, case: &'c Case<'c>) -> Result<(Built<'c>, f64), Refusal> {
    let started = Instant::now();
    let built = (method.build)(case)?;
    Ok((built, started.elapsed().as_secs_f64()))
}

/// Sum over the directions of the width of the set, `h(d) + h(−d)`.
fn width(
    set: &(dyn AggregateSet + Sync),
    directions: &[Array1<f64>],
) -> Result<f64, evflex::flexibility::Error> {
    let mut sum = 0.0;
    for direction in directions {
        for direction in [direction.clone(), -direction] {
            sum += set.support(direction.view(), &solver())?.value;
        }
    }
    Ok(sum)
}

/// The least energy that a profile of the set draws, kWh.
fn least_energy_kwh(set: &(dyn AggregateSet + Sync)) -> Result<f64, evflex::flexibility::Error> {
    let direction = Array1::from_elem(set.steps(), -1.0);
    Ok(-set.support(direction.view(), &solver())?.value * set.step_hours())
}

/// An inner set never costs less than the exact one, an outer set never more.
fn sound(kind: Kind, decision: &Decision, exact: &Decision) -> Result<(), Error> {
    let slack = SOUNDNESS * (1.0 + exact.cost.abs());
    let (broken, relation) = match kind {
        Kind::Exact | Kind::Inner => (decision.cost < exact.lower_bound - slack, "less"),
        Kind::Outer => (decision.lower_bound > exact.cost + slack, "more"),
    };
    if broken || decision.cost.is_nan() {
        return Err(Error::Check {
            what: "cost",
            reason: format!(
                "{} over the set, {relation} than {} over the exact set",
                decision.cost, exact.cost
            ),
        });
    }
    Ok(())
}

/// The decided profile reaches the vehicles: each can follow its part, and the parts sum up.
fn check(fleet: &Fleet, set: &(dyn AggregateSet + Sync), decision: &Decision) -> Result<(), Error> {
    let schedule = set
        .disaggregate(decision.profile_kw.view(), &solver())
        .map_err(Error::computing("a disaggregation"))?;
    crate::certify::check_schedule(fleet, &schedule, decision)?;
    Ok(())
}
