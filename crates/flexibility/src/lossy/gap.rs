//! How far inner and outer sets of a lossy fleet are apart.

use evflex_fleet::{Fleet, Schedule};
use evflex_solver::{Options, Solver};

use super::{inner::LossyInner, outer::LossyOuter};
use crate::{
    aggregate_set::{Decision, relative_gap},
    error::Error,
    objective::Objective,
};

/// The best schedule found for a lossy fleet, and the bound that no schedule can beat.
#[derive(Clone, Debug)]
pub struct LossyGap {
    /// The schedule.
    pub schedule: Schedule,
    /// Its cost.
    pub cost: f64,
    /// The decision over the outer set; its bound holds for every schedule of the fleet.
    pub outer: Decision,
    /// The inner set that the schedule is from.
    pub inner: LossyInner,
    /// The decision over that inner set.
    pub inner_decision: Decision,
    /// Number of decisions over inner sets.
    pub rounds: usize,
}

impl LossyGap {
    /// No schedule of the fleet costs less.
    #[must_use]
    pub fn lower_bound(&self) -> f64 {
        self.outer.lower_bound.min(self.cost)
    }

    /// `(cost − lower bound) / max(|cost|, 1e-9)`, a fraction.
    #[must_use]
    pub fn gap(&self) -> f64 {
        relative_gap(self.cost, self.lower_bound())
    }
}

/// Decides for a fleet whose batteries may be lossy, from both sides.
///
/// 1. The outer set gives the bound, and a schedule with the same energies ([`LossyOuter::decide`]).
/// 2. The inner set around that schedule is refined ([`LossyInner::refined`]).
/// 3. If a gap above [`Options::gap`] is left, the inner set that counts charging exactly is refined too.
///
/// The cheapest schedule is the answer. With costs that never rise when less power is drawn the first step closes the gap.
///
/// ```
/// use evflex_flexibility::{Objective, lossy_gap};
/// use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let car = Vehicle::new("car", vec![-4.0; 3], vec![4.0; 3], vec![-2.0, -2.0, 2.0], vec![6.0; 3])?;
/// let fleet = Fleet::new(TimeGrid::new(3, Hours(1.0))?, vec![car.with_efficiency(0.9)?])?;
/// let objective = Objective::Energy { price_eur_per_mwh: ndarray::array![80.0, 240.0, 60.0] };
/// let answer = lossy_gap(&fleet, &objective, &Clarabel::default(), &Options::default())?;
/// assert!(answer.gap() <= 1e-6); // proven: prices are positive
/// assert!(answer.schedule.check(&fleet, 1e-6)?.is_feasible());
/// assert!(answer.schedule.power_kw()[[0, 1]] < 0.0); // it pays to sell at 240
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The checks of [`Objective::check`]; [`Error::Solver`].
pub fn lossy_gap(
    fleet: &Fleet,
    objective: &Objective,
    solver: &dyn Solver,
    options: &Options,
) -> Result<LossyGap, Error> {
    let started = std::time::Instant::now();
    let outer = LossyOuter::new(fleet).decide(objective, solver, options)?;
    let bound = outer.decision.lower_bound;
    let (mut inner, mut best, mut rounds) = LossyInner::around(fleet, &outer.schedule)?.refined(
        objective,
        solver,
        &options.remaining(started),
    )?;
    if relative_gap(best.decision.cost.min(outer.schedule_cost), bound) > options.gap {
        let (other, decided, more) =
            LossyInner::new(fleet)?.refined(objective, solver, &options.remaining(started))?;
        rounds += more;
        if decided.decision.cost < best.decision.cost {
            (inner, best) = (other, decided);
        }
    }
    // The schedule of the first step is in the inner set around it; rounding may still make it the cheaper one.
    let (schedule, cost) = if outer.schedule_cost < best.decision.cost {
        (outer.schedule, outer.schedule_cost)
    } else {
        (best.schedule, best.decision.cost)
    };
    tracing::debug!(cost, bound, rounds, "decided between inner and outer sets");
    Ok(LossyGap {
        schedule,
        cost,
        outer: outer.decision,
        inner,
        inner_decision: best.decision,
        rounds,
    })
}
