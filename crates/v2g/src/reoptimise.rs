//! Re-optimisation: what is left of a running schedule, with the past fixed.

use crate::answer::Answer;
use crate::decomposition::WarmStart;
use crate::error::Error;
use crate::problem::SchedulingProblem;
use crate::rule::Activity;
use evflex_fleet::{Hours, Schedule, TimeGrid};
use ndarray::{Array2, s};
use std::collections::HashMap;

/// Levels may be outside the battery by this much after a schedule that passed its check, kWh.
const ROUNDING_KWH: f64 = 1e-5;
/// Powers within this of zero are idle, kW, as in the check of schedules.
const IDLE_KW: f64 = crate::check::DEFAULT_TOLERANCE;

/// What is left of `problem` after the first `now` steps of a running schedule: levels as they are then, switching as the past
/// left it, prices, volumes and vehicles as `problem` has them, which may be newer than the schedule.
///
/// Vehicles of the problem that the schedule does not know were idle until now; vehicles of the schedule that the problem
/// does not know have left.
///
/// ```
/// use evflex_solver::Options;
/// use evflex_v2g::{Decomposition, ScheduleMethod, WarmStart, remaining};
/// use evflex_v2g::instances::{Night, moderate};
/// let options = Options::default().gap(5e-3);
/// let problem = moderate(&Night::new(20), 1)?;
/// let running = Decomposition::default().solve(&problem, &options)?;
/// // After two hours one price has changed.
/// let mut price = problem.price_eur_per_kwh().to_vec();
/// price[20] += 0.02;
/// let changed = problem.to_builder().price_eur_per_kwh(price).build()?;
/// let rest = remaining(&changed, running.schedule()?, 8)?;
/// let warm = WarmStart::from_answer(&running).after(8);
/// let answer = Decomposition::starting_at(warm).solve(&rest, &options)?;
/// assert_eq!(answer.schedule()?.power_kw().ncols(), 40);
/// # Ok::<(), evflex_v2g::Error>(())
/// ```
///
/// # Errors
/// [`Error::ForeignSchedule`] if the schedule has other steps or leaves a vehicle outside its battery;
/// [`Error::OutOfRange`] unless `now` is before the last step; the errors of
/// [`build`](crate::SchedulingProblemBuilder::build), for instance for a vehicle whose final level is out of reach now.
pub fn remaining(
    problem: &SchedulingProblem,
    running: &Schedule,
    now: usize,
) -> Result<SchedulingProblem, Error> {
    let steps = problem.steps();
    if now >= steps {
        return Err(Error::OutOfRange {
            what: "the step from which a schedule is optimised again".to_owned(),
            rule: "before the end of the horizon",
            value: now as f64,
        });
    }
    if running.grid().steps() != steps {
        return Err(Error::ForeignSchedule {
            reason: format!(
                "it has {} steps, the problem {steps}",
                running.grid().steps()
            ),
        });
    }
    let old = problem.grid();
    let mut grid = TimeGrid::new(steps - now, Hours(old.step_hours()))?;
    if let Some(start) = old.start_of(now) {
        grid = grid.starting_at(start);
    }
    let rows: HashMap<&str, usize> = running
        .ids()
        .iter()
        .enumerate()
        .map(|(row, id)| (id.as_str(), row))
        .collect();
    let mut vehicles = problem.vehicles().to_vec();
    for vehicle in &mut vehicles {
        let row = rows.get(vehicle.id.as_str()).copied();
        for step in 0..now {
            let power = row.map_or(0.0, |row| running.power_kw()[[row, step]]);
            vehicle.initial_kwh += vehicle.stored_kwh(power * old.step_hours());
            vehicle.past.push(Activity::of_power(power, IDLE_KW));
        }
        let inside = vehicle
            .initial_kwh
            .clamp(vehicle.minimum_kwh, vehicle.capacity_kwh);
        if (inside - vehicle.initial_kwh).abs() > ROUNDING_KWH {
            return Err(Error::ForeignSchedule {
                reason: format!(
                    "it leaves vehicle `{}` at {} kWh after step {}",
                    vehicle.id,
                    vehicle.initial_kwh,
                    now.saturating_sub(1)
                ),
            });
        }
        vehicle.initial_kwh = inside;
        if let Some(connected) = &mut vehicle.connected {
            connected.drain(..now);
        }
        lower_final_by_rounding(vehicle, &grid);
    }
    let mut builder = SchedulingProblem::builder(grid)
        .level(problem.level())
        .price_eur_per_kwh(problem.price_eur_per_kwh()[now..].to_vec())
        .surplus_cost_eur_per_kwh(problem.surplus_cost_eur_per_kwh()[now..].to_vec())
        .volume_kwh(problem.volume_kwh()[now..].to_vec())
        .vehicles(vehicles)
        .groups(problem.all_groups().to_vec())
        .first_step(problem.first_step() + now)
        .allow_concave(problem.allows_concave());
    if let Some(switching) = problem.switching_as_given() {
        builder = builder.switching(switching);
    }
    builder.build()
}

/// A vehicle that has to charge in every remaining step may miss its final level by rounding alone.
fn lower_final_by_rounding(vehicle: &mut crate::problem::SchedulingVehicle, grid: &TimeGrid) {
    let hours: f64 = (0..grid.steps()).map(|k| vehicle.share(k)).sum::<f64>() * grid.step_hours();
    let reachable = (vehicle.initial_kwh + vehicle.efficiency * vehicle.charge_max_kw * hours)
        .min(vehicle.capacity_kwh);
    if vehicle.final_min_kwh > reachable && vehicle.final_min_kwh <= reachable + ROUNDING_KWH {
        vehicle.final_min_kwh = reachable;
    }
}

/// The past of a running schedule and the answer for the rest, as one schedule for `problem`.
///
/// # Errors
/// [`Error::ForeignSchedule`] if the two do not have the steps of the problem together, or the rest has other vehicles.
pub fn joined(
    problem: &SchedulingProblem,
    running: &Schedule,
    rest: &Schedule,
) -> Result<Schedule, Error> {
    let steps = problem.steps();
    let later = rest.power_kw().ncols();
    if running.grid().steps() != steps || later > steps {
        return Err(Error::ForeignSchedule {
            reason: format!(
                "{} steps and {later} remaining ones, where the problem has {steps}",
                running.grid().steps()
            ),
        });
    }
    let ids: Vec<String> = problem.vehicles().iter().map(|v| v.id.clone()).collect();
    if rest.ids() != ids {
        return Err(Error::ForeignSchedule {
            reason: "the vehicles of the rest are not those of the problem".to_owned(),
        });
    }
    let rows: HashMap<&str, usize> = running
        .ids()
        .iter()
        .enumerate()
        .map(|(row, id)| (id.as_str(), row))
        .collect();
    let now = steps - later;
    let mut power = Array2::zeros((ids.len(), steps));
    power.slice_mut(s![.., now..]).assign(&rest.power_kw());
    for (vehicle, id) in ids.iter().enumerate() {
        if let Some(&row) = rows.get(id.as_str()) {
            power
                .slice_mut(s![vehicle, ..now])
                .assign(&running.power_kw().slice(s![row, ..now]));
        }
    }
    Ok(Schedule::new(problem.grid().clone(), ids, power)?)
}

impl WarmStart {
    /// The same start for what is left after `now` steps.
    #[must_use]
    pub fn after(mut self, now: usize) -> Self {
        let cut = |values: &mut Vec<f64>| {
            values.drain(..now.min(values.len()));
        };
        self.prices_eur_per_kwh.iter_mut().for_each(cut);
        self.power_kw.iter_mut().for_each(|(_, power)| cut(power));
        self
    }
}

/// The closed form of level 0: a fleet of vehicles that are all alike is N times one vehicle with volumes v/N.
///
/// # Errors
/// [`Error::Unsupported`] above level 0, and what the decomposition of one vehicle answers.
pub fn level_zero(
    problem: &SchedulingProblem,
    options: &evflex_solver::Options,
) -> Result<Answer, Error> {
    use crate::answer::{Record, ScheduleMethod, Status};
    if problem.level() != crate::rule::Level::Zero {
        return Err(Error::Unsupported {
            method: "the closed form",
            what: format!("level {}", usize::from(problem.level())),
            way_out: "ask for level 0 with `at_level`, or use the decomposition",
        });
    }
    let count = problem.vehicles().len();
    let mut record = Record::new(problem);
    let volume = problem.volume_kwh().iter().map(|v| v / count as f64);
    let one = problem
        .to_builder()
        .vehicles(vec![problem.vehicles()[0].clone()])
        .groups(Vec::new())
        .volume_kwh(volume.collect())
        .build()?;
    let answer = crate::Decomposition::default().solve(&one, options)?;
    record.bound(count as f64 * answer.lower_bound_eur);
    if let Some(best) = &answer.best {
        let row = best.schedule.power_kw().row(0).to_owned();
        let power = Array2::from_shape_fn((count, problem.steps()), |(_, k)| row[k]);
        record.offer(power)?;
    }
    let status = if record.best.is_some() {
        answer.status
    } else {
        Status::Stopped
    };
    Ok(record.finish(status, answer.prices_eur_per_kwh))
}
