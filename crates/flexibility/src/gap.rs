//! How much of a fleet's potential an approximating set leaves unused.

use evflex_solver::{Options, Solver};
use ndarray::ArrayView1;

use crate::{
    aggregate_set::{AggregateSet, Claim, Decision},
    error::{Error, check_profile},
    fleet_polymatroid::FleetPolymatroid,
    objective::Objective,
};

/// Potentials below this share of the costs are rounding.
const NO_POTENTIAL: f64 = 1e-9;

/// The costs of one decision over an approximating set, over the exact set, and without flexibility.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct UnusedPotential {
    /// Cost over the approximating set; over an outer set, the bound.
    pub approximate: f64,
    /// Cost over the exact set: the best that can be reached.
    pub best: f64,
    /// Cost if the flexibility is not used.
    pub worst: f64,
}

impl UnusedPotential {
    /// The unused-potential ratio, percent:
    ///
    /// ```text
    /// UPR = 100 (approximate − best) / (worst − best)
    /// ```
    ///
    /// 0: nothing is lost. 100: no better than not using the flexibility. Above 100: worse than that, which happens when an
    /// inner set does not contain the profile without flexibility. Negative for an outer set, which promises more than there is.
    /// `None` if there is no potential: `worst` is not above `best` beyond rounding, or a cost is not finite.
    ///
    /// After Öztürk et al., Energies 15 (2022) 2501, who compare sums of costs, and of peaks, in this way.
    #[must_use]
    pub fn ratio_percent(&self) -> Option<f64> {
        let potential = self.worst - self.best;
        let size = self.worst.abs().max(self.best.abs());
        (potential > NO_POTENTIAL * size && (self.approximate + potential).is_finite())
            .then(|| 100.0 * (self.approximate - self.best) / potential)
    }
}

/// Decides over `set` and over the exact set of the same fleet, and compares with `unused_kw`, the profile without
/// flexibility: that of idle batteries (0), or of uncontrolled charging
/// ([`evflex_fleet::uncontrolled`], which is 0 for batteries that owe nothing).
///
/// The decision over `set` comes along.
///
/// ```
/// use evflex_flexibility::{BoxInner, FleetPolymatroid, Objective, unused_potential};
/// use evflex_fleet::{Hours, TimeGrid, synthetic::HomeBatteries};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fleet = HomeBatteries::new(TimeGrid::new(6, Hours(1.0))?, 20).generate(1)?;
/// let exact = FleetPolymatroid::exact(&fleet)?;
/// let (solver, options) = (Clarabel::default(), Options::default());
/// let objective = Objective::Energy { price_eur_per_mwh: ndarray::array![90.0, 60.0, 80.0, 200.0, 240.0, 110.0] };
/// let set = BoxInner::largest(&exact, &options)?;
/// let idle = ndarray::Array1::zeros(6);
/// let (potential, _) = unused_potential(&set, &exact, &objective, idle.view(), &solver, &options)?;
/// assert!(potential.ratio_percent().is_some_and(|ratio| ratio > 0.0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Length`] or [`Error::NotFinite`] for a bad profile; those of [`AggregateSet::minimise`].
pub fn unused_potential(
    set: &dyn AggregateSet,
    exact: &FleetPolymatroid,
    objective: &Objective,
    unused_kw: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<(UnusedPotential, Decision), Error> {
    check_profile("unused_kw", unused_kw, exact.steps())?;
    let decision = set.minimise(objective, solver, options)?;
    let best = exact.decide(objective, options)?.decision;
    let potential = UnusedPotential {
        approximate: if set.claim() == Claim::Outer {
            decision.lower_bound
        } else {
            decision.cost
        },
        best: best.cost,
        worst: objective.cost(unused_kw, exact.step_hours()),
    };
    Ok((potential, decision))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(approximate: f64, best: f64, worst: f64) -> Option<f64> {
        UnusedPotential {
            approximate,
            best,
            worst,
        }
        .ratio_percent()
    }

    #[test]
    fn ratios_by_hand() {
        assert_eq!(ratio(10.0, 10.0, 30.0), Some(0.0));
        assert_eq!(ratio(15.0, 10.0, 30.0), Some(25.0));
        assert_eq!(ratio(40.0, 10.0, 30.0), Some(150.0));
        assert_eq!(ratio(8.0, 10.0, 30.0), Some(-10.0));
        // Costs may be negative: what is earned.
        assert_eq!(ratio(-15.0, -20.0, 0.0), Some(25.0));
    }

    #[test]
    fn without_potential_there_is_no_ratio() {
        assert_eq!(ratio(10.0, 10.0, 10.0), None);
        assert_eq!(ratio(10.0, 10.0, 9.0), None);
        assert_eq!(ratio(f64::NAN, 10.0, 30.0), None);
        assert_eq!(ratio(f64::INFINITY, 10.0, 30.0), None);
        assert_eq!(ratio(10.0, f64::NAN, 30.0), None);
    }
}
