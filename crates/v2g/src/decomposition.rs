//! Bounds from prices, schedules from dynamic programs, until both meet.

use crate::answer::{Answer, Record, ScheduleMethod, Status};
use crate::battery::battery_prices;
use crate::bundle::{Bundle, Column};
use crate::descent::{Fleet, pick, random};
use crate::error::Error;
use crate::market::Market;
use crate::pricing::{Pricer, Prices};
use crate::problem::SchedulingProblem;
use crate::rule::SwitchRule;
use crate::transfer::Flow;
use evflex_solver::{Options, ProgressReport};
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Solves scheduling problems of any size by decomposition: the vehicles only meet in the prices of energy.
///
/// - *Bound*: for any prices, the cheapest schedules of all vehicles, found exactly by one dynamic program each, bound the cost
///   from below; a proximal bundle method with one model per vehicle raises that bound to that of column generation. No
///   linear program is solved.
/// - *Schedule*: from the columns of the bound, one per vehicle is picked, every vehicle answers in turn to what the others do,
///   and with the modes fixed the powers are made optimal as a minimum-cost flow. Every schedule passes
///   [`check_schedule`](crate::check_schedule) before it counts.
///
/// It stops at [`Options::gap`] (relative to the cost), at [`Options::time_limit`], when it is cancelled, or when it has
/// nothing more to try. The same seed gives the same answer, on any number of threads, unless a time limit strikes.
///
/// ```
/// use evflex_solver::Options;
/// use evflex_v2g::{Decomposition, ScheduleMethod, instances::{Night, moderate}};
/// let problem = moderate(&Night::new(20), 1)?;
/// let answer = Decomposition::default().solve(&problem, &Options::default().gap(5e-3))?;
/// assert!(answer.gap() <= 5e-3);
/// # Ok::<(), evflex_v2g::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Decomposition {
    warm: Option<WarmStart>,
}

/// Where to start from: what an earlier answer found, perhaps for slightly different data.
#[derive(Clone, Debug, Default)]
pub struct WarmStart {
    /// Prices of energy, as in [`Answer::prices_eur_per_kwh`]; ignored if their shape does not fit.
    pub prices_eur_per_kwh: Vec<Vec<f64>>,
    /// Powers per vehicle id, kW; vehicles without an entry, or with one that they cannot follow any more, are
    /// scheduled anew.
    pub power_kw: Vec<(String, Vec<f64>)>,
}

impl WarmStart {
    /// Prices and schedule of an answer.
    #[must_use]
    pub fn from_answer(answer: &Answer) -> Self {
        let power_kw = answer.best.as_ref().map_or_else(Vec::new, |best| {
            let rows = best.schedule.power_kw();
            let ids = best.schedule.ids().iter();
            ids.zip(rows.rows())
                .map(|(id, row)| (id.clone(), row.to_vec()))
                .collect()
        });
        Self {
            prices_eur_per_kwh: answer.prices_eur_per_kwh.clone(),
            power_kw,
        }
    }
}

/// Iterations of the bundle method before it has to have converged.
const MOST_ITERATIONS: u64 = 2000;
/// Sweeps over the weights of the master per iteration.
const MASTER_SWEEPS: usize = 30;
/// Widths of rounded kinks, as shares of the energy scale, of the first schedule.
const FIRST_WIDTHS: [f64; 6] = [0.3, 0.15, 0.07, 0.03, 0.015, 0.006];
/// The same for later schedules, which start near the optimum.
const LATER_WIDTHS: [f64; 3] = [0.03, 0.01, 0.003];
/// Attempts at a schedule that are made together.
const BATCH: u64 = 4;
/// Batches without a better schedule after the bound has converged, before there is nothing more to try.
const PATIENCE: u32 = 30;
/// Shares of the vehicles that answer anew when the best schedule is disturbed, and widths of kinks then.
const DISTURBED: (f64, f64) = (0.1, 0.6);
const DISTURBED_WIDTHS: (f64, f64) = (0.001, 0.03);

impl Decomposition {
    /// Starts where an earlier answer ended.
    #[must_use]
    pub fn starting_at(warm: WarmStart) -> Self {
        Self { warm: Some(warm) }
    }
}

impl ScheduleMethod for Decomposition {
    fn name(&self) -> String {
        "decomposition".to_owned()
    }

    fn solve(&self, problem: &SchedulingProblem, options: &Options) -> Result<Answer, Error> {
        options.validate(options.start.as_ref().map_or(0, Vec::len))?;
        let run = || Run::new(problem, options, self.warm.as_ref()).work();
        match options.threads {
            None => run(),
            Some(threads) => rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|error| Error::Unsupported {
                    method: "the decomposition",
                    what: format!("{threads} threads ({error})"),
                    way_out: "ask for fewer",
                })?
                .install(run),
        }
    }
}

struct Run<'a> {
    problem: &'a SchedulingProblem,
    options: &'a Options,
    market: Market,
    pricer: Pricer,
    /// Programs whose schedules obey the rule, where those for bounds need not: rule B.
    strict: Option<Pricer>,
    record: Record<'a>,
    warm: Option<&'a WarmStart>,
    attempts: u64,
    /// The best schedule as energies, kWh at the grid.
    incumbent: Option<Vec<Vec<f64>>>,
}

impl<'a> Run<'a> {
    fn new(
        problem: &'a SchedulingProblem,
        options: &'a Options,
        warm: Option<&'a WarmStart>,
    ) -> Self {
        let record = Record::new(problem);
        Self {
            problem,
            options,
            market: Market::new(problem),
            pricer: Pricer::for_bounds(problem),
            strict: problem
                .switching()
                .is_some_and(|switching| switching.rule == SwitchRule::FirstActivity)
                .then(|| Pricer::for_schedules(problem)),
            record,
            warm,
            attempts: 0,
            incumbent: None,
        }
    }

    /// The programs for schedules.
    fn scheduler(&self) -> &Pricer {
        self.strict.as_ref().unwrap_or(&self.pricer)
    }

    fn stop(&self) -> bool {
        self.options.cancel.is_cancelled()
            || self
                .options
                .time_limit
                .is_some_and(|limit| self.record.started().elapsed() >= limit)
    }

    fn done(&self) -> bool {
        self.record.gap() <= self.options.gap
    }

    fn tell(&self, stage: &'static str, done: u64) {
        let mut report = ProgressReport::new(stage, done);
        report.objective = self.record.best.as_ref().map(|best| best.cost_eur);
        report.bound = self.record.bound.is_finite().then_some(self.record.bound);
        self.options.report(&report);
    }

    fn no_schedule(&self, vehicle: usize) -> Error {
        Error::NoVehicleSchedule {
            id: self.problem.vehicles()[vehicle].id.clone(),
            way_out: "lower its final_min_kwh, or shorten the switching gap",
        }
    }

    fn work(mut self) -> Result<Answer, Error> {
        if self.stop() {
            return Ok(self.record.finish(Status::Stopped, Vec::new()));
        }
        let prices = self.start_prices();
        let first = Prices::nearest(&prices);
        let answers = self
            .pricer
            .price_all(&first, &self.market.list_of)
            .map_err(|vehicle| self.no_schedule(vehicle))?;
        let bound = answers.iter().map(|a| a.least_cost).sum::<f64>()
            + self.market.conjugate(&first.values);
        self.record.bound(bound);
        let cheapest: Vec<Vec<f64>> = answers.into_iter().map(|a| a.energies).collect();
        let (found, flow_prices) = self.first_schedule(&cheapest)?;
        self.tell("first schedule", 1);
        let start = self.better_start(prices, flow_prices, bound)?;
        let market = self.market.clone();
        let mut bundle = Bundle::new(&market, start, found);
        for (vehicle, energies) in cheapest.iter().enumerate() {
            bundle.offer(vehicle, energies);
        }
        let status = self.iterate(&mut bundle)?;
        Ok(self.record.finish(status, bundle.best_prices))
    }

    /// Prices of the warm start, or of the fleet as one battery.
    fn start_prices(&self) -> Vec<Vec<f64>> {
        if let Some(warm) = self.warm {
            let prices = &warm.prices_eur_per_kwh;
            let fits = prices.len() == self.market.lists
                && prices.iter().all(|list| {
                    list.len() == self.market.steps && list.iter().all(|p| p.is_finite())
                });
            if fits {
                return prices.clone();
            }
        }
        vec![battery_prices(self.problem, &self.market); self.market.lists]
    }

    /// The warm start's schedule where vehicles can still follow it, answers in turn elsewhere. Answers with schedules for
    /// the bundle and the prices of the flow.
    #[expect(clippy::type_complexity, reason = "schedules and prices")]
    fn first_schedule(
        &mut self,
        cheapest: &[Vec<f64>],
    ) -> Result<(Vec<Vec<f64>>, Option<Vec<Vec<f64>>>), Error> {
        let scale = self.market.energy_scale().max(1e-9);
        let mut rng = random(self.options.seed, 0);
        let mut start = cheapest.to_vec();
        let mut warm = false;
        if let Some(given) = self.warm.filter(|warm| !warm.power_kw.is_empty()) {
            let followed = self.follow(given, &mut start);
            warm = 10 * followed >= 9 * start.len();
        }
        let widths: &[f64] = if warm {
            &LATER_WIDTHS[2..]
        } else {
            &FIRST_WIDTHS
        };
        // As it runs, before anything is changed.
        if warm && let Some((schedules, _)) = self.polished(start.clone()) {
            self.offer(&schedules)?;
        }
        let mut fleet = Fleet::new(&self.market, start);
        for width in widths {
            fleet.respond(
                self.scheduler(),
                width * scale,
                &mut rng,
                self.strict.is_some(),
            );
            if self.stop() && self.record.best.is_some() {
                break;
            }
        }
        let answered = fleet.schedules;
        let Some((schedules, prices)) = self.polished(answered.clone()) else {
            return Ok((answered, None));
        };
        self.offer(&schedules)?;
        Ok((schedules, Some(prices)))
    }

    /// Replaces schedules by those of the warm start that their vehicles can follow; answers with how many.
    fn follow(&self, warm: &WarmStart, schedules: &mut [Vec<f64>]) -> usize {
        let step_hours = self.problem.grid().step_hours();
        let given: std::collections::HashMap<&str, &Vec<f64>> = warm
            .power_kw
            .iter()
            .map(|(id, power)| (id.as_str(), power))
            .collect();
        let mut followed = 0;
        for (vehicle, schedule) in schedules.iter_mut().enumerate() {
            let id = self.problem.vehicles()[vehicle].id.as_str();
            let Some(power) = given.get(id).filter(|p| p.len() == self.market.steps) else {
                continue;
            };
            let energies: Vec<f64> = power.iter().map(|p| p * step_hours).collect();
            if self.can_follow(vehicle, &energies) {
                *schedule = energies;
                followed += 1;
            }
        }
        followed
    }

    fn can_follow(&self, vehicle: usize, energies: &[f64]) -> bool {
        let v = &self.problem.vehicles()[vehicle];
        let mut level = v.initial_kwh;
        let mut word = Vec::with_capacity(energies.len());
        for (step, &energy) in energies.iter().enumerate() {
            let (charge, discharge) = self.problem.step_energy(vehicle, step);
            level += v.stored_kwh(energy);
            let possible = energy <= charge + 1e-9
                && energy >= -discharge - 1e-9
                && level >= v.minimum_kwh - 1e-7
                && level <= v.capacity_kwh + 1e-7;
            if !possible {
                return false;
            }
            word.push(crate::rule::Activity::of_power(energy, 1e-9));
        }
        level >= v.final_min_kwh - 1e-7
            && self
                .scheduler()
                .automaton()
                .directions(&v.past, &word)
                .is_some()
    }

    /// Optimal powers for the modes of schedules, with prices; `None` if they break the rule.
    #[expect(clippy::type_complexity, reason = "schedules and prices")]
    fn polished(&self, schedules: Vec<Vec<f64>>) -> Option<(Vec<Vec<f64>>, Vec<Vec<f64>>)> {
        let flow = Flow::new(
            self.problem,
            &self.market,
            self.scheduler().automaton(),
            schedules,
        )?;
        let (prices, schedules) = flow.solve();
        Some((schedules, prices))
    }

    fn offer(&mut self, schedules: &[Vec<f64>]) -> Result<Option<f64>, Error> {
        let step_hours = self.problem.grid().step_hours();
        let power = Array2::from_shape_fn((schedules.len(), self.market.steps), |(i, k)| {
            let energy = schedules[i][k];
            if energy.abs() < 1e-10 {
                0.0
            } else {
                energy / step_hours
            }
        });
        let before = self.record.cost();
        let cost = self.record.offer(power)?;
        if self.record.cost() < before {
            self.incumbent = Some(schedules.to_vec());
        }
        Ok(cost)
    }

    /// The prices of the flow if they bound better than those that were started with.
    fn better_start(
        &mut self,
        prices: Vec<Vec<f64>>,
        flow_prices: Option<Vec<Vec<f64>>>,
        bound: f64,
    ) -> Result<Vec<Vec<f64>>, Error> {
        let Some(flow_prices) = flow_prices else {
            return Ok(prices);
        };
        let candidate = Prices::nearest(&flow_prices);
        let answers = self
            .pricer
            .price_all(&candidate, &self.market.list_of)
            .map_err(|vehicle| self.no_schedule(vehicle))?;
        let value = answers.iter().map(|a| a.least_cost).sum::<f64>()
            + self.market.conjugate(&candidate.values);
        self.record.bound(value);
        Ok(if value > bound {
            candidate.values
        } else {
            prices
        })
    }

    fn iterate(&mut self, bundle: &mut Bundle<'_>) -> Result<Status, Error> {
        let mut iteration = 0;
        let mut next_attempt = 4;
        let mut converged = false;
        let mut failures = 0;
        loop {
            if self.done() {
                return Ok(Status::Optimal);
            }
            if self.stop() {
                return Ok(Status::Stopped);
            }
            if !converged {
                let ascent = bundle
                    .iterate(&self.pricer, MASTER_SWEEPS)
                    .map_err(|vehicle| self.no_schedule(vehicle))?;
                iteration += 1;
                self.record.bound(bundle.bound);
                let missing = self.record.cost() - bundle.bound;
                let aim = self.options.gap * self.record.cost().abs().max(1e-9);
                let enough = (0.02 * missing.max(0.0)).max(0.1 * aim.min(missing.max(0.0)));
                converged = (ascent.predicted.is_finite() && ascent.predicted <= enough)
                    || iteration >= MOST_ITERATIONS;
                self.tell("bound", iteration);
                tracing::debug!(
                    iteration,
                    value = ascent.value,
                    predicted = ascent.predicted,
                    bound = bundle.bound,
                    cost = self.record.cost(),
                    "iteration"
                );
            }
            if converged || iteration >= next_attempt {
                let before = self.record.cost();
                self.attempt(bundle)?;
                next_attempt = iteration + 4 + iteration / 4;
                self.tell("schedules", self.attempts);
                if converged {
                    let gained = before - self.record.cost();
                    let missing = before - self.record.bound;
                    failures = if gained > 0.01 * missing {
                        0
                    } else {
                        failures + 1
                    };
                    if failures >= PATIENCE {
                        let enough = self.record.gap() <= self.options.gap;
                        return Ok(if enough {
                            Status::Optimal
                        } else {
                            Status::Feasible
                        });
                    }
                    // The bound may have converged only for the cost known then.
                    converged = iteration >= MOST_ITERATIONS || failures > 0;
                }
            }
        }
    }

    /// The best schedule after some vehicles, drawn at random, have answered anew to a cost whose kink is rounded off.
    fn disturbed(
        &self,
        best: &[Vec<f64>],
        columns: &[Vec<Column>],
        rng: &mut ChaCha8Rng,
    ) -> Option<Vec<Vec<f64>>> {
        let scale = self.market.energy_scale().max(1e-9);
        let share = DISTURBED.0 + (DISTURBED.1 - DISTURBED.0) * rng.random::<f64>();
        let wide = DISTURBED_WIDTHS.1 / DISTURBED_WIDTHS.0;
        let width = DISTURBED_WIDTHS.0 * wide.powf(rng.random());
        let mut fleet = Fleet::new(&self.market, best.to_vec());
        if self.strict.is_none() {
            fleet.choose(columns, width * scale, rng);
        }
        fleet.respond_some(self.scheduler(), width * scale, rng, share);
        fleet.respond_some(self.scheduler(), 0.3 * width * scale, rng, share);
        self.polished(fleet.schedules)
            .map(|(schedules, _)| schedules)
    }

    /// A batch of attempts at better schedules, in parallel; the order of the attempts decides, not that of the threads.
    fn attempt(&mut self, bundle: &mut Bundle<'_>) -> Result<(), Error> {
        let scale = self.market.energy_scale().max(1e-9);
        let first = self.attempts;
        self.attempts += BATCH;
        let columns = &bundle.columns;
        let this = &*self;
        let found: Vec<_> = (first..first + BATCH)
            .into_par_iter()
            .map(|attempt| {
                let mut rng = random(this.options.seed, attempt + 1);
                // Two of four start anew from the columns, two from the best schedule, disturbed.
                if let Some(best) = this.incumbent.as_ref().filter(|_| attempt % BATCH >= 2) {
                    return this.disturbed(best, columns, &mut rng);
                }
                let heaviest = attempt % BATCH == 0;
                let start = pick(columns, (!heaviest).then_some(&mut rng));
                let mut fleet = Fleet::new(&this.market, start);
                for width in LATER_WIDTHS {
                    fleet.choose(columns, width * scale, &mut rng);
                    fleet.choose(columns, width * scale, &mut rng);
                }
                let always = this.strict.is_some();
                if attempt % 2 == 1 || always {
                    let width = LATER_WIDTHS[2] * scale;
                    fleet.respond(this.scheduler(), width, &mut rng, always);
                }
                this.polished(fleet.schedules)
                    .map(|(schedules, _)| schedules)
            })
            .collect();
        for schedules in found.into_iter().flatten() {
            let before = self.record.cost();
            if let Some(cost) = self.offer(&schedules)?
                && cost < before
            {
                for (vehicle, energies) in schedules.iter().enumerate() {
                    bundle.offer(vehicle, energies);
                }
            }
        }
        Ok(())
    }
}
