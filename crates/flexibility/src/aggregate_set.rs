//! What every aggregate flexibility set answers, whatever it is made of.

use std::{fmt, time::Duration};

use evflex_fleet::Schedule;
use evflex_solver::{Options, Solver};
use ndarray::{Array1, ArrayView1};

use crate::{error::Error, objective::Objective};

/// What a set claims about its relation to the true aggregate set of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// Exactly the profiles that the fleet can follow.
    Exact,
    /// Only profiles that the fleet can follow, perhaps not all of them.
    Inner,
    /// All profiles that the fleet can follow, perhaps others too.
    Outer,
    /// Nothing was proven.
    Unproven,
}

impl Claim {
    /// What is claimed of a set that was proven to be inside a set with this claim.
    pub(crate) fn of_subset(self) -> Self {
        match self {
            Self::Exact | Self::Inner => Self::Inner,
            Self::Outer | Self::Unproven => Self::Unproven,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Inner => "inner",
            Self::Outer => "outer",
            Self::Unproven => "unproven",
        })
    }
}

/// The largest value of a linear function over a set, and where it is attained.
#[derive(Clone, Debug, PartialEq)]
pub struct SupportPoint {
    /// `max {d · u : u ∈ U}`, in the unit of the direction times kW.
    pub value: f64,
    /// A maximiser, kW per step.
    pub profile_kw: Array1<f64>,
}

/// A subset of steps whose power sum is out of the bounds of the set: a proof of being outside.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Witness {
    /// The steps of the subset, rising.
    pub steps: Vec<usize>,
    /// The sum of the profile over the subset, kW.
    pub sum_kw: f64,
    /// The bound that it breaks, kW.
    pub bound_kw: f64,
    /// Whether the bound is the largest possible sum (`b`) or the smallest (`p`).
    pub side: Side,
}

/// Which of the two set functions a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// `b`, the largest sum over a subset.
    Upper,
    /// `p`, the smallest sum over a subset.
    Lower,
}

impl Witness {
    /// By how much the bound is broken, kW.
    #[must_use]
    pub fn violation_kw(&self) -> f64 {
        match self.side {
            Side::Upper => self.sum_kw - self.bound_kw,
            Side::Lower => self.bound_kw - self.sum_kw,
        }
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (relation, word) = match self.side {
            Side::Upper => ("more", "most"),
            Side::Lower => ("less", "least"),
        };
        write!(
            f,
            "over the steps {:?} it sums to {} kW, {relation} than the {word} that the fleet can do there, {} kW",
            self.steps, self.sum_kw, self.bound_kw
        )
    }
}

/// Whether a profile is in a set.
#[derive(Clone, Debug, PartialEq)]
pub enum Membership {
    /// Inside, up to the tolerance asked for.
    Inside,
    /// Outside, with a subset of steps that proves it.
    Outside(Witness),
    /// Outside, with a half-space that proves it: `direction · u` is less than `direction · profile`
    /// by at least `excess_kw` for every profile `u` of the set.
    Separated {
        /// Normal of the half-space.
        direction: Array1<f64>,
        /// By how much the profile is beyond it, in the unit of the direction times kW.
        excess_kw: f64,
    },
}

impl Membership {
    /// Whether the profile is inside.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self, Self::Inside)
    }
}

/// An affine function below the cost: `cost(u) ≥ constant + slope · u` for every profile `u`.
///
/// Its smallest value over a set bounds the decision from below, so it proves optimality; the slope
/// is also the marginal value of the aggregate power in each step, which pricing and training use.
#[derive(Clone, Debug, PartialEq)]
pub struct Minorant {
    /// Change of the cost per kW, per step.
    pub slope: Array1<f64>,
    /// Constant, in the unit of the cost.
    pub constant: f64,
}

/// Why a decision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DecisionStatus {
    /// The gap asked for is certified, or cost and bound agree to working precision (a cost of
    /// zero, say, where every relative gap is rounding).
    Optimal,
    /// The time was over first; profile and bound are valid.
    TimeLimit,
    /// Cancelled by the caller; profile and bound are valid.
    Cancelled,
    /// Rounding stopped all progress above the gap asked for; profile and bound are valid.
    Stalled,
}

/// The answer to a decision: a feasible profile, its cost, and a bound that no profile can beat.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The aggregate profile, kW per step; a point of the set.
    pub profile_kw: Array1<f64>,
    /// Its cost.
    pub cost: f64,
    /// No profile of the set costs less.
    pub lower_bound: f64,
    /// The proof of the bound: its smallest value over the set is `lower_bound`.
    pub minorant: Minorant,
    /// Why the run ended.
    pub status: DecisionStatus,
    /// Rounds of the algorithm, each with one pass over the fleet.
    pub iterations: usize,
    /// Time spent.
    pub elapsed: Duration,
}

impl Decision {
    /// `(cost − lower bound) / max(|cost|, 1e-9)`, a fraction.
    #[must_use]
    pub fn gap(&self) -> f64 {
        relative_gap(self.cost, self.lower_bound)
    }
}

/// `(cost − bound) / max(|cost|, 1e-9)`.
pub(crate) fn relative_gap(cost: f64, bound: f64) -> f64 {
    (cost - bound) / cost.abs().max(1e-9)
}

/// An aggregate flexibility set of a fleet: exact, approximated, learned or calibrated.
///
/// Profiles are aggregate powers in kW, one per step, positive when the fleet draws power.
/// Sets that need an optimiser use the `solver` they are handed; sets that do not ignore it.
pub trait AggregateSet {
    /// Number of steps, T.
    fn steps(&self) -> usize;

    /// Length of a step, h.
    fn step_hours(&self) -> f64;

    /// What is claimed about this set and the true aggregate set.
    fn claim(&self) -> Claim;

    /// The largest value of `direction · u` over the set, with a maximiser.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::NotFinite`] for a bad direction; [`Error::Solver`].
    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<SupportPoint, Error>;

    /// Whether `profile` is in the set, up to `tolerance_kw` in every inequality.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::NotFinite`] for a bad profile; [`Error::Solver`].
    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, Error>;

    /// The best profile of the set, with a bound that proves how good it is.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Domain`] for a bad objective; [`Error::Solver`].
    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error>;

    /// A schedule for every vehicle that sums to `profile`.
    ///
    /// # Errors
    /// [`Error::Outside`] with a witness if the profile is not in the set.
    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error>;
}
