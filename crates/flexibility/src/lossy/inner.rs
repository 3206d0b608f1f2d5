//! Inner sets of lossy batteries: the energy that is stored, replaced by a linear majorant where too much would overflow.

use std::time::Instant;

use evflex_fleet::{Fleet, Schedule, uncontrolled};
use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use super::{
    battery::{Classes, LossyBattery},
    program::{self, FleetProgram, Nearest, Side},
};
use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    error::{Error, check_profile},
    fleet_polymatroid::DEFAULT_TOLERANCE_KW,
    objective::Objective,
    vehicle_set::VehicleSet,
};

/// Powers below this share of a battery's largest power have no sign when factors are chosen from a profile.
const NO_SIGN: f64 = 1e-6;

/// Violation up to which a schedule counts as one of the fleet, kW and kWh.
const REFERENCE_TOLERANCE: f64 = 1e-6;

/// Relative gain below which refining ends.
const LEAST_GAIN: f64 = 1e-9;

/// Most decisions of one refinement; it ends by itself, usually after two or three.
const MAX_ROUNDS: usize = 50;

/// An inner set of a fleet whose batteries may be lossy: the sum of
///
/// ```text
/// {u : u_lo ≤ u ≤ u_hi,   Σ_{s ≤ t} δ θ_s u_s ≤ x_hi,t,
///      y_t ≥ x_lo,t for some y with y_t − y_{t−1} ≤ δ η u_t and ≤ δ u_t / η},       η ≤ θ_s ≤ 1/η.
/// ```
///
/// Inner by construction: with `g(u) = min(η u, u / η)` the true energy is `y_t ≤ x_t = Σ δ g(u_s) ≤ Σ δ θ_s u_s`, so it keeps
/// both bounds. `θ = η` counts charging exactly and discharging as if it made less room than it does; `θ = 1/η` counts
/// discharging exactly and charging as if it took more room. Every vehicle and step has a factor of its own.
///
/// | constructor | factors | contains |
/// |---|---|---|
/// | [`new`](Self::new) | `η`; for a vehicle that has to discharge, the signs of uncontrolled charging | everything that the fleet can do without discharging (where it can), and more |
/// | [`around`](Self::around) | the signs of a schedule | the aggregate of that schedule |
/// | [`refined`](Self::refined) | the signs of the best profile, again and again | a profile at least as good as before |
/// | [`with_factors`](Self::with_factors) | given | |
///
/// Upper bounds that cannot be reached from the step before are left out. Numbers of a solver are right up to its tolerance, and
/// so is membership: schedules are feasible up to about 1e-6 kW and kWh.
#[derive(Clone, Debug)]
pub struct LossyInner {
    fleet: Fleet,
    factors: Array2<f64>,
    classes: Classes,
}

/// A [`Decision`] over a [`LossyInner`], with its schedule.
#[derive(Clone, Debug)]
pub struct LossyDecision {
    /// Profile, cost, and a bound that holds for the inner set only; [`LossyOuter`](crate::LossyOuter) bounds what the fleet can do.
    pub decision: Decision,
    /// A schedule for every vehicle that sums to the profile.
    pub schedule: Schedule,
}

impl LossyInner {
    /// The set that counts charging exactly (`θ = η`).
    ///
    /// It contains all that the fleet can do without discharging. A vehicle that cannot do without gets
    /// `θ = 1/η` where uncontrolled charging ([`evflex_fleet::uncontrolled`]) discharges it; so the set is never empty.
    ///
    /// # Errors
    /// [`Error::Fleet`] if powers are so large that sums overflow.
    pub fn new(fleet: &Fleet) -> Result<Self, Error> {
        let reference = uncontrolled(fleet)?;
        let mut factors = Array2::zeros((fleet.len(), fleet.steps()));
        for (i, (vehicle, mut row)) in fleet
            .vehicles()
            .iter()
            .zip(factors.outer_iter_mut())
            .enumerate()
        {
            row.fill(vehicle.efficiency());
            if VehicleSet::inner(vehicle, fleet.step_hours()).is_err() {
                fit_to_signs(
                    row,
                    reference.power_kw().row(i),
                    vehicle.efficiency(),
                    largest_power(vehicle),
                );
            }
        }
        Ok(Self::of(fleet, factors))
    }

    /// The set whose majorants are exact at a schedule of the fleet: `θ = η` where a vehicle charges, `1/η` where it discharges, and
    /// 1 between them where it does neither.
    ///
    /// # Errors
    /// [`Error::Fleet`] if the schedule is another fleet's; [`Error::Domain`] if it violates a bound by more than 1e-6 kW or kWh.
    pub fn around(fleet: &Fleet, schedule: &Schedule) -> Result<Self, Error> {
        let check = schedule.check(fleet, REFERENCE_TOLERANCE)?;
        if !check.is_feasible() {
            return Err(Error::Domain {
                what: "the largest violation of the reference schedule",
                value: check
                    .largest_power_violation_kw()
                    .max(check.largest_energy_violation_kwh()),
                domain: "at most 1e-6 kW and kWh",
            });
        }
        let mut factors = Array2::ones((fleet.len(), fleet.steps()));
        for ((vehicle, row), power) in fleet
            .vehicles()
            .iter()
            .zip(factors.outer_iter_mut())
            .zip(schedule.power_kw().outer_iter())
        {
            fit_to_signs(row, power, vehicle.efficiency(), largest_power(vehicle));
        }
        Ok(Self::of(fleet, factors))
    }

    /// The set with these majorants, vehicles × steps.
    ///
    /// It may be empty; questions then end with the solver's verdict.
    ///
    /// # Errors
    /// [`Error::Length`] for a wrong shape; [`Error::Domain`] for a factor outside `η ..= 1/η` of its vehicle.
    pub fn with_factors(fleet: &Fleet, factors: Array2<f64>) -> Result<Self, Error> {
        for (what, expected, found) in [
            ("a row of factors", fleet.steps(), factors.ncols()),
            ("the rows of factors", fleet.len(), factors.nrows()),
        ] {
            if expected != found {
                return Err(Error::Length {
                    what,
                    expected,
                    found,
                });
            }
        }
        for (vehicle, row) in fleet.vehicles().iter().zip(factors.outer_iter()) {
            let eta = vehicle.efficiency();
            if let Some(&value) = row
                .iter()
                .find(|factor| !(eta..=1.0 / eta).contains(*factor))
            {
                return Err(Error::Domain {
                    what: "a majorant factor",
                    value,
                    domain: "between the one-way efficiency of its vehicle and the inverse of that",
                });
            }
        }
        Ok(Self::of(fleet, factors))
    }

    fn of(fleet: &Fleet, factors: Array2<f64>) -> Self {
        let classes = Classes::new(fleet, |i, battery| {
            if battery.is_linear() {
                Vec::new()
            } else {
                factors.row(i).to_vec()
            }
        });
        Self {
            fleet: fleet.clone(),
            factors,
            classes,
        }
    }

    /// The majorants `θ`, vehicles × steps. They play no part where the sign of the power is fixed.
    #[must_use]
    pub fn factors(&self) -> &Array2<f64> {
        &self.factors
    }

    /// The best profile of the set and its schedule, by one program over the fleet.
    ///
    /// # Errors
    /// The checks of [`Objective::check`]; [`Error::Solver`].
    pub fn decide(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<LossyDecision, Error> {
        objective.check(self.fleet.steps())?;
        let started = Instant::now();
        let step_hours = self.fleet.step_hours();
        let mut program = FleetProgram::new("decision", &self.classes, Side::Inner)?;
        program.objective(objective, step_hours);
        let solved = program.solve(solver, options)?;
        let schedule = program::schedule(&self.fleet, &self.classes, &solved.power(&self.classes))?;
        let raw = solved.slope(solver)?;
        let least = |slope: &Array1<f64>| solved.least(slope, solver);
        let profile_kw = schedule.aggregate_kw();
        let decision = program::decision(
            objective, step_hours, profile_kw, &raw, least, options, started,
        )?;
        Ok(LossyDecision { decision, schedule })
    }

    /// Decides, makes the majorants exact at the best profile, and decides again while that gains something: the set that
    /// was best, its decision, and the number of decisions.
    ///
    /// The best profile so far stays in the set, because its majorants are exact: the cost never rises. The result depends on
    /// where it starts, and is not the best of all schedules in general; [`lossy_gap`](crate::lossy_gap) bounds what is missing.
    ///
    /// # Errors
    /// As [`LossyInner::decide`].
    pub fn refined(
        self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<(Self, LossyDecision, usize), Error> {
        let started = Instant::now();
        let mut set = self;
        let mut best = set.decide(objective, solver, options)?;
        for round in 1..MAX_ROUNDS {
            let mut factors = set.factors.clone();
            for ((vehicle, row), power) in set
                .fleet
                .vehicles()
                .iter()
                .zip(factors.outer_iter_mut())
                .zip(best.schedule.power_kw().outer_iter())
            {
                fit_to_signs(row, power, vehicle.efficiency(), largest_power(vehicle));
            }
            if factors == set.factors {
                return Ok((set, best, round));
            }
            let next_set = Self::of(&set.fleet, factors);
            let next = next_set.decide(objective, solver, &options.remaining(started))?;
            tracing::debug!(round, cost = next.decision.cost, "majorants refined");
            let gain = best.decision.cost - next.decision.cost;
            if gain > 0.0 {
                (set, best) = (next_set, next);
            }
            if gain <= LEAST_GAIN * (1.0 + best.decision.cost.abs()) {
                return Ok((set, best, round + 1));
            }
        }
        Ok((set, best, MAX_ROUNDS))
    }

    fn nearest(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Nearest, Error> {
        check_profile("profile", profile, self.fleet.steps())?;
        let mut program = FleetProgram::new("membership", &self.classes, Side::Inner)?;
        program.nearest_to(profile);
        let solved = program.solve(solver, &Options::default())?;
        // The multipliers of the distance, in −1..1, separate a profile outside.
        let direction = -solved.slope(solver)?.mapv(|slope| slope.clamp(-1.0, 1.0));
        let excess_kw = direction.dot(&profile) + solved.least(&-&direction, solver)?;
        Ok(if solved.value() > tolerance_kw && excess_kw > 0.0 {
            Nearest::Separated {
                direction,
                excess_kw,
            }
        } else {
            Nearest::Inside(solved.power(&self.classes))
        })
    }
}

/// `η` where the power is positive, `1/η` where it is negative, unchanged where it is neither.
fn fit_to_signs(
    mut factors: ndarray::ArrayViewMut1<'_, f64>,
    power: ArrayView1<'_, f64>,
    efficiency: f64,
    largest: f64,
) {
    for (factor, &power) in factors.iter_mut().zip(power) {
        if power > NO_SIGN * largest {
            *factor = efficiency;
        } else if power < -NO_SIGN * largest {
            *factor = 1.0 / efficiency;
        }
    }
}

fn largest_power(vehicle: &evflex_fleet::Vehicle) -> f64 {
    let powers = vehicle.power_min_kw().iter().chain(vehicle.power_max_kw());
    powers.fold(0.0, |most, power| f64::max(most, power.abs()))
}

impl AggregateSet for LossyInner {
    fn steps(&self) -> usize {
        self.fleet.steps()
    }

    fn step_hours(&self) -> f64 {
        self.fleet.step_hours()
    }

    fn claim(&self) -> Claim {
        if self.classes.is_exact() {
            Claim::Exact
        } else {
            Claim::Inner
        }
    }

    /// One linear program for each distinct battery whose sign is free, in parallel; the others are greedy.
    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        check_profile("direction", direction, self.fleet.steps())?;
        let classes = &self.classes;
        let of_class = |class: usize| -> Result<Array1<f64>, Error> {
            let battery: &LossyBattery = &classes.batteries[class];
            if battery.is_linear() {
                return Ok(battery.outer_support(direction).1);
            }
            let one = Classes {
                batteries: vec![battery.clone()],
                factors: vec![classes.factors[class].clone()],
                multiplicity: vec![1.0],
                class_of_vehicle: vec![0],
            };
            let mut program = FleetProgram::new("support", &one, Side::Inner)?;
            program.towards(direction);
            let solved = program.solve(solver, &Options::default().duals(false))?;
            Ok(solved.power(&one).row(0).to_owned())
        };
        let points: Vec<Array1<f64>> = (0..classes.batteries.len())
            .into_par_iter()
            .map(of_class)
            .collect::<Result<_, _>>()?;
        let mut profile_kw = Array1::zeros(direction.len());
        for (point, &multiplicity) in points.iter().zip(&classes.multiplicity) {
            profile_kw.scaled_add(multiplicity, point);
        }
        Ok(SupportPoint {
            value: direction.dot(&profile_kw),
            profile_kw,
        })
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        Ok(self.nearest(profile, tolerance_kw, solver)?.membership())
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        Ok(self.decide(objective, solver, options)?.decision)
    }

    /// A schedule that sums to the profile; the difference is below 1e-6 kW in total.
    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        let power = self
            .nearest(profile, DEFAULT_TOLERANCE_KW, solver)?
            .inside()?;
        program::schedule(&self.fleet, &self.classes, &power)
    }
}
