//! The same decisions as one linear or quadratic program over all vehicles.
//!
//! Nothing here knows about set functions: every vehicle is written out with its power and energy
//! in every step. It is the independent check of the fast methods and the baseline they are
//! measured against, and it accepts what they do not need: any solver of `evflex-solver`.

use evflex_fleet::{Fleet, Schedule};
use evflex_solver::{Options, Outcome, Problem, ProblemBuilder, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1};

use crate::{
    error::{Error, check_profile},
    objective::Objective,
};

/// A problem over all vehicles, and where their powers are.
#[derive(Clone, Debug)]
pub struct DirectProblem {
    /// The program.
    pub problem: Problem,
    /// Power of each vehicle (row) in each step (column), kW.
    pub power: Array2<VariableId>,
}

/// A builder that holds every vehicle's constraints, to which an objective is added.
struct DirectBuilder {
    builder: ProblemBuilder,
    power: Array2<VariableId>,
}

impl DirectBuilder {
    fn new(fleet: &Fleet, name: &str) -> Result<Self, Error> {
        let mut builder = ProblemBuilder::new(name);
        let step_hours = fleet.step_hours();
        let mut power = Vec::with_capacity(fleet.len() * fleet.steps());
        for (i, vehicle) in fleet.vehicles().iter().enumerate() {
            if !vehicle.is_lossless() && !vehicle.charges_only() {
                return Err(Error::Lossy {
                    vehicle: vehicle.id().to_owned(),
                    efficiency: vehicle.efficiency(),
                });
            }
            let mut energy_before = None;
            for t in 0..fleet.steps() {
                let u = builder.variable(
                    format!("u_{i}_{t}"),
                    vehicle.power_min_kw()[t],
                    vehicle.power_max_kw()[t],
                    0.0,
                );
                let x = builder.variable(
                    format!("x_{i}_{t}"),
                    vehicle.energy_min_kwh()[t],
                    vehicle.energy_max_kwh()[t],
                    0.0,
                );
                let balance = [(x, 1.0), (u, -step_hours * vehicle.efficiency())]
                    .into_iter()
                    .chain(energy_before.map(|before| (before, -1.0)));
                builder.row(format!("energy_{i}_{t}"), 0.0, balance, 0.0);
                energy_before = Some(x);
                power.push(u);
            }
        }
        let shape = (fleet.len(), fleet.steps());
        let power = Array2::from_shape_vec(shape, power).map_err(|_| Error::Length {
            what: "powers",
            expected: shape.0 * shape.1,
            found: 0,
        })?;
        Ok(Self { builder, power })
    }

    /// The aggregate of step `t`, as terms.
    fn aggregate(&self, t: usize) -> impl Iterator<Item = (VariableId, f64)> + '_ {
        self.power.column(t).into_iter().map(|&u| (u, 1.0))
    }

    fn finish(self) -> Result<DirectProblem, Error> {
        Ok(DirectProblem {
            problem: self.builder.build()?,
            power: self.power,
        })
    }
}

/// Writes a decision over the whole fleet as one program.
///
/// # Errors
/// [`Error::Lossy`] for vehicles that discharge with losses; the checks of [`Objective::check`].
pub fn decision_problem(fleet: &Fleet, objective: &Objective) -> Result<DirectProblem, Error> {
    objective.check(fleet.steps())?;
    let mut direct = DirectBuilder::new(fleet, &objective.kind().to_string())?;
    let aggregate: Vec<VariableId> = (0..fleet.steps())
        .map(|t| {
            let u = direct.builder.variable(
                format!("aggregate_{t}"),
                f64::NEG_INFINITY,
                f64::INFINITY,
                0.0,
            );
            let terms: Vec<_> = direct.aggregate(t).chain([(u, -1.0)]).collect();
            direct
                .builder
                .row(format!("aggregate_{t}"), 0.0, terms, 0.0);
            u
        })
        .collect();
    objective.write(&mut direct.builder, &aggregate, fleet.step_hours());
    direct.finish()
}

fn add_prices(direct: &mut DirectBuilder, price: &Array1<f64>) {
    for ((_, t), &u) in direct.power.indexed_iter() {
        direct.builder.set_cost(u, price[t]);
    }
}

/// Solves a decision as one program; the schedule and its cost.
///
/// # Errors
/// As [`decision_problem`]; [`Error::Solver`] if the solver fails or stops early.
pub fn decide(
    fleet: &Fleet,
    objective: &Objective,
    solver: &dyn Solver,
    options: &Options,
) -> Result<(Schedule, f64), Error> {
    let direct = decision_problem(fleet, objective)?;
    let solution = solver.solve(&direct.problem, options)?.into_optimal()?;
    let schedule = schedule(fleet, &direct, solution.primal())?;
    let cost = objective.cost(schedule.aggregate_kw().view(), fleet.step_hours());
    Ok((schedule, cost))
}

/// The largest value of `direction · u` over the aggregate set, by one linear program.
///
/// # Errors
/// As [`decide`].
pub fn support(
    fleet: &Fleet,
    direction: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<f64, Error> {
    check_profile("direction", direction, fleet.steps())?;
    let mut direct = DirectBuilder::new(fleet, "support")?;
    add_prices(&mut direct, &-&direction);
    let direct = direct.finish()?;
    Ok(-solver
        .solve(&direct.problem, options)?
        .into_optimal()?
        .objective())
}

/// Whether some schedule sums to `profile`, by one linear program.
///
/// # Errors
/// As [`decide`].
pub fn contains(
    fleet: &Fleet,
    profile: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<bool, Error> {
    check_profile("profile", profile, fleet.steps())?;
    let mut direct = DirectBuilder::new(fleet, "membership")?;
    for t in 0..fleet.steps() {
        let terms: Vec<_> = direct.aggregate(t).collect();
        direct
            .builder
            .row(format!("profile_{t}"), profile[t], terms, profile[t]);
    }
    match solver.solve(&direct.finish()?.problem, options)? {
        Outcome::Optimal(_) => Ok(true),
        Outcome::Infeasible(_) => Ok(false),
        other => Err(other.into_optimal().err().map_or(
            Error::Undecided {
                distance_kw: 0.0,
                tolerance_kw: 0.0,
            },
            Error::Solver,
        )),
    }
}

/// Reads the powers out of a solution.
pub(crate) fn schedule(
    fleet: &Fleet,
    direct: &DirectProblem,
    primal: &[f64],
) -> Result<Schedule, Error> {
    let power_kw = direct.power.mapv(|u| primal[u.index()]);
    let ids = fleet
        .vehicles()
        .iter()
        .map(|vehicle| vehicle.id().to_owned())
        .collect();
    Ok(Schedule::new(fleet.grid().clone(), ids, power_kw)?)
}

/// Disaggregates `profile` fairly: every vehicle follows its share as closely as it can.
///
/// ```text
/// min  Σ_i Σ_t (u_it − s_i v_t)² / s_i    s.t.  u_i ∈ U_i,   Σ_i u_it = v_t,
/// ```
///
/// with `v` the profile and `s_i` the share of vehicle `i` in the fleet's power range
/// `Σ_t (u_hi − u_lo)`. The answer is unique, vehicles with equal sets get equal schedules, and a
/// vehicle that cannot move has no share in the objective. One quadratic program with N·T powers:
/// made for fleets of hundreds, not of ten thousands, for which
/// [`FleetPolymatroid::decompose`](crate::FleetPolymatroid::decompose) is there.
///
/// # Errors
/// [`Error::Solver`] if the profile is outside the set, or the solver fails.
pub fn disaggregate_fairly(
    fleet: &Fleet,
    profile: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Schedule, Error> {
    check_profile("profile", profile, fleet.steps())?;
    let mut direct = DirectBuilder::new(fleet, "fair disaggregation")?;
    for t in 0..fleet.steps() {
        let terms: Vec<_> = direct.aggregate(t).collect();
        direct
            .builder
            .row(format!("profile_{t}"), profile[t], terms, profile[t]);
    }
    let ranges: Vec<f64> = fleet
        .vehicles()
        .iter()
        .map(|vehicle| {
            vehicle
                .power_max_kw()
                .iter()
                .zip(vehicle.power_min_kw())
                .map(|(high, low)| high - low)
                .sum()
        })
        .collect();
    let total: f64 = ranges.iter().sum();
    for ((i, t), &u) in direct.power.indexed_iter() {
        if ranges[i] > 0.0 {
            // (u − s v)² / s = u² / s − 2 u v + constant
            direct.builder.quadratic(u, u, total / ranges[i]);
            direct.builder.set_cost(u, -2.0 * profile[t]);
        }
    }
    let direct = direct.finish()?;
    let solution = solver.solve(&direct.problem, options)?.into_optimal()?;
    schedule(fleet, &direct, solution.primal())
}
