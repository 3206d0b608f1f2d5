//! The convex relaxation of a fleet of lossy batteries.

use std::time::Instant;

use evflex_fleet::{Fleet, Schedule};
use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use super::{
    battery::Classes,
    inner::LossyInner,
    program::{self, FleetProgram, Nearest, Side},
};
use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    error::{Error, check_profile},
    fleet_polymatroid::DEFAULT_TOLERANCE_KW,
    objective::Objective,
};

/// An outer set of a fleet whose batteries may be lossy: the sum of the convex relaxations
///
/// ```text
/// {u : u_lo ≤ u ≤ u_hi,  x_lo ≤ x ≤ x_hi,  chord(u_t) ≤ (x_t − x_{t−1}) / δ ≤ min(η u_t, u_t / η)}.
/// ```
///
/// Outer by construction: a vehicle's own energies satisfy it, because `g` is above its chord. The bounds are first
/// drawn in to the energies and powers that some profile of the vehicle has, which excludes no profile and shortens the
/// chords. Support values are exact for this set, by the greedy algorithm, without a solver. The claim is
/// [`Claim::Exact`] if the sign of every power is fixed or nothing is lossy.
///
/// ```
/// use evflex_flexibility::{AggregateSet, LossyInner, LossyOuter};
/// use evflex_solver::Clarabel;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
/// // 90 % each way: 1 kWh bought is 0.9 kWh stored, and 0.81 kWh sold.
/// let car = Vehicle::new("car", vec![-4.0; 2], vec![4.0; 2], vec![0.0; 2], vec![9.0; 2])?.with_efficiency(0.9)?;
/// let fleet = Fleet::new(TimeGrid::new(2, Hours(1.0))?, vec![car])?;
/// let buy_low_sell_high = ndarray::array![-1.0, -2.0];
/// let outer = LossyOuter::new(&fleet).support(buy_low_sell_high.view(), &Clarabel::default())?;
/// assert!((outer.value - (2.0 * 0.81 - 1.0) * 4.0).abs() < 1e-9);
/// let inner = LossyInner::new(&fleet)?.support(buy_low_sell_high.view(), &Clarabel::default())?;
/// assert!(inner.value <= outer.value + 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LossyOuter {
    fleet: Fleet,
    classes: Classes,
}

/// A [`Decision`] over a [`LossyOuter`], and the schedule that comes of it.
#[derive(Clone, Debug)]
pub struct RelaxedDecision {
    /// Profile, cost and bound over the outer set. The bound holds for every schedule of the fleet.
    pub decision: Decision,
    /// The energies of the decision with the powers that they really take, `g⁻¹` of the stored rates: a schedule that
    /// every vehicle can follow, which draws at most the decision's power in every step.
    pub schedule: Schedule,
    /// What that schedule costs.
    pub schedule_cost: f64,
}

impl LossyOuter {
    /// The relaxation of every battery, summed.
    #[must_use]
    pub fn new(fleet: &Fleet) -> Self {
        Self {
            fleet: fleet.clone(),
            classes: Classes::new(fleet, |_, _| Vec::new()),
        }
    }

    /// Number of different batteries; the size of every program is proportional to it.
    #[must_use]
    pub fn distinct_vehicles(&self) -> usize {
        self.classes.batteries.len()
    }

    /// The smallest and the largest aggregate power of each step by itself, kW: those of the fleet, because the powers
    /// that one battery can have in one step are an interval, which is known exactly.
    #[must_use]
    pub fn band_kw(&self) -> (Array1<f64>, Array1<f64>) {
        let total = |bound: fn(&super::battery::LossyBattery) -> &[f64]| {
            let mut total = Array1::zeros(self.fleet.steps());
            for (battery, &multiplicity) in self
                .classes
                .batteries
                .iter()
                .zip(&self.classes.multiplicity)
            {
                total.scaled_add(multiplicity, &ArrayView1::from(bound(battery)));
            }
            total
        };
        (
            total(|battery| &battery.power_min),
            total(|battery| &battery.power_max),
        )
    }

    /// The best profile of the outer set, which bounds what any schedule can cost, and the schedule with the same energies.
    ///
    /// If the cost never rises when less power is drawn (energy at prices that are not negative, a charge on the largest power
    /// drawn), that schedule costs no more than the bound: then it is optimal.
    ///
    /// # Errors
    /// The checks of [`Objective::check`]; [`Error::Solver`].
    pub fn decide(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<RelaxedDecision, Error> {
        objective.check(self.fleet.steps())?;
        let started = Instant::now();
        let step_hours = self.fleet.step_hours();
        let mut program = FleetProgram::new("decision", &self.classes, Side::Outer)?;
        program.objective(objective, step_hours);
        let solved = program.solve(solver, options)?;
        let power = solved.power(&self.classes);
        let profile_kw = self.total(&power);
        let least = |slope: &Array1<f64>| Ok(-self.support_point((-slope).view()).value);
        let raw = solved.slope(solver)?;
        let decision = program::decision(
            objective, step_hours, profile_kw, &raw, least, options, started,
        )?;
        let schedule = self.recovered(&solved.sum(&self.classes))?;
        let schedule_cost = objective.cost(schedule.aggregate_kw().view(), step_hours);
        Ok(RelaxedDecision {
            decision,
            schedule,
            schedule_cost,
        })
    }

    /// The powers that running sums of stored rates really take.
    fn recovered(&self, sum: &Array2<f64>) -> Result<Schedule, Error> {
        let power = Array2::from_shape_fn(sum.dim(), |(class, t)| {
            let battery = &self.classes.batteries[class];
            let before = if t > 0 { sum[[class, t - 1]] } else { 0.0 };
            battery
                .power_of(sum[[class, t]] - before)
                .max(battery.power_min[t])
                .min(battery.power_max[t])
        });
        program::schedule(&self.fleet, &self.classes, &power)
    }

    fn total(&self, power: &Array2<f64>) -> Array1<f64> {
        let mut total = Array1::zeros(power.ncols());
        for (row, &multiplicity) in power.rows().into_iter().zip(&self.classes.multiplicity) {
            total.scaled_add(multiplicity, &row);
        }
        total
    }

    fn support_point(&self, direction: ArrayView1<'_, f64>) -> SupportPoint {
        let points: Vec<(f64, Array1<f64>)> = self
            .classes
            .batteries
            .par_iter()
            .map(|battery| battery.outer_support(direction))
            .collect();
        let mut profile_kw = Array1::zeros(direction.len());
        for ((_, point), &multiplicity) in points.iter().zip(&self.classes.multiplicity) {
            profile_kw.scaled_add(multiplicity, point);
        }
        SupportPoint {
            value: direction.dot(&profile_kw),
            profile_kw,
        }
    }

    /// The point nearest to a profile: powers and running sums, or the half-space between them.
    fn nearest(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Nearest, Error> {
        check_profile("profile", profile, self.fleet.steps())?;
        let mut program = FleetProgram::new("membership", &self.classes, Side::Outer)?;
        program.nearest_to(profile);
        let solved = program.solve(solver, &Options::default())?;
        // The multipliers of the distance, in −1..1, separate a profile outside.
        let direction = -solved.slope(solver)?.mapv(|slope| slope.clamp(-1.0, 1.0));
        let excess_kw = direction.dot(&profile) - self.support_point(direction.view()).value;
        Ok(if excess_kw > tolerance_kw {
            Nearest::Separated {
                direction,
                excess_kw,
            }
        } else {
            Nearest::Inside(solved.sum(&self.classes))
        })
    }
}

impl AggregateSet for LossyOuter {
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
            Claim::Outer
        }
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        check_profile("direction", direction, self.fleet.steps())?;
        Ok(self.support_point(direction))
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

    /// A schedule of the fleet, if one is found: [`Error::Separated`] proves that there is none, [`Error::BetweenSets`] says that
    /// the inner set around the nearest schedule does not hold the profile, which proves nothing.
    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        let sum = self
            .nearest(profile, DEFAULT_TOLERANCE_KW, solver)?
            .inside()?;
        let schedule = self.recovered(&sum)?;
        let missing: f64 = (schedule.aggregate_kw() - profile)
            .iter()
            .map(|power| power.abs())
            .sum();
        if missing <= DEFAULT_TOLERANCE_KW {
            return Ok(schedule);
        }
        let inner = LossyInner::around(&self.fleet, &schedule)?;
        match inner.disaggregate(profile, solver) {
            Err(Error::Separated { excess_kw }) => Err(Error::BetweenSets { excess_kw }),
            answer => answer,
        }
    }
}
