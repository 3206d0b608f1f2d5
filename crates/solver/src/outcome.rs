//! What a solver established. Numbers exist only inside the variants that prove them.

use std::fmt;

use crate::{Error, Residuals, VariableId};

/// The answer to a problem.
///
/// The everyday path is [`into_optimal`](Self::into_optimal); a caller for whom infeasibility is an answer
/// matches on the variants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Optimal within the requested tolerances (with integer variables: within the requested gap).
    Optimal(Solution),
    /// No feasible point exists; the certificate, when given, is [`Certificate::Farkas`].
    Infeasible(Option<Certificate>),
    /// The objective improves without limit; the certificate, when given, is [`Certificate::Ray`].
    Unbounded(Option<Certificate>),
    /// A limit, a cancellation or numerical trouble ended the run.
    Stopped {
        /// Why it ended.
        reason: StopReason,
        /// The best feasible point so far, when there is one. It may be used; it is not proven optimal.
        incumbent: Option<Solution>,
        /// The best proven bound on the objective so far, in the sense of the problem.
        bound: Option<f64>,
    },
}

impl Outcome {
    /// The optimal solution, or an error that says why there is none.
    ///
    /// # Errors
    /// [`Error::Infeasible`], [`Error::Unbounded`] or [`Error::Stopped`]; `problem` is the name they print.
    pub fn into_optimal_of(self, problem: &str) -> Result<Solution, Error> {
        let problem = problem.to_owned();
        match self {
            Self::Optimal(solution) => Ok(solution),
            Self::Infeasible(_) => Err(Error::Infeasible { problem }),
            Self::Unbounded(_) => Err(Error::Unbounded { problem }),
            Self::Stopped { reason, .. } => Err(Error::Stopped { problem, reason }),
        }
    }

    /// [`into_optimal_of`](Self::into_optimal_of) for a problem without a name.
    ///
    /// # Errors
    /// As there.
    pub fn into_optimal(self) -> Result<Solution, Error> {
        self.into_optimal_of("problem")
    }

    /// The optimal solution, when there is one.
    #[must_use]
    pub fn optimal(&self) -> Option<&Solution> {
        match self {
            Self::Optimal(solution) => Some(solution),
            _ => None,
        }
    }

    /// The best feasible point known: the optimum or the incumbent.
    #[must_use]
    pub fn best(&self) -> Option<&Solution> {
        match self {
            Self::Optimal(solution) => Some(solution),
            Self::Stopped { incumbent, .. } => incumbent.as_ref(),
            _ => None,
        }
    }

    /// One word for reports: `optimal`, `infeasible`, `unbounded` or `stopped`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Self::Optimal(_) => "optimal",
            Self::Infeasible(_) => "infeasible",
            Self::Unbounded(_) => "unbounded",
            Self::Stopped { .. } => "stopped",
        }
    }
}

/// Why a solver stopped before it had an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// [`Options::time_limit`](crate::Options::time_limit) ran out.
    TimeLimit,
    /// The engine's own limit on iterations or nodes was reached.
    IterationLimit,
    /// The answer may lie outside what the engine can represent, for instance integers of more than 32 bits.
    EngineRange,
    /// [`Options::cancel`](crate::Options::cancel) was used.
    Cancelled,
    /// The engine could not make progress, or what it claimed could not be proven.
    NumericalTrouble,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeLimit => "the time limit ran out",
            Self::IterationLimit => "the iteration limit was reached",
            Self::EngineRange => "the answer may lie outside the engine's range of numbers",
            Self::Cancelled => "it was cancelled",
            Self::NumericalTrouble => "numerical trouble",
        })
    }
}

/// A feasible point whose residuals were recomputed from the problem.
///
/// It is made by [`Solution::verified`] only, so holding one means that the check was passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    pub(crate) primal: Vec<f64>,
    pub(crate) objective: f64,
    pub(crate) bound: f64,
    pub(crate) duals: Option<Duals>,
    pub(crate) residuals: Residuals,
}

impl Solution {
    /// One value per variable, in the order they were added.
    #[must_use]
    pub fn primal(&self) -> &[f64] {
        &self.primal
    }

    /// The value of one variable; NaN for a handle beyond this problem's variables.
    #[must_use]
    pub fn value(&self, variable: VariableId) -> f64 {
        self.primal
            .get(variable.index())
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The objective at the point, recomputed from the problem, in the sense of the problem.
    #[must_use]
    pub fn objective(&self) -> f64 {
        self.objective
    }

    /// The best proven bound on the optimal objective: at most it when minimising, at least it when
    /// maximising. Infinite when nothing is proven.
    #[must_use]
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// `|objective − bound| / max(1, |objective|)`.
    #[must_use]
    pub fn gap(&self) -> f64 {
        (self.objective - self.bound).abs() / self.objective.abs().max(1.0)
    }

    /// Duals, when the problem is continuous and they were asked for.
    #[must_use]
    pub fn duals(&self) -> Option<&Duals> {
        self.duals.as_ref()
    }

    /// The recomputed residuals.
    #[must_use]
    pub fn residuals(&self) -> &Residuals {
        &self.residuals
    }

    /// Gives the values away.
    #[must_use]
    pub fn into_primal(self) -> Vec<f64> {
        self.primal
    }
}

/// Multipliers of a continuous problem, always in minimisation form.
///
/// With `q = c + Q x` the gradient of the minimised objective,
///
/// ```text
/// reduced_costs = q − Aᵀ rows − Σ_k G_kᵀ cones_k,
/// ```
///
/// - `rows[r]` is the derivative of the optimal value with respect to the active side of row `r`: at least 0
///   at an active lower side, at most 0 at an active upper side, 0 in between;
/// - `reduced_costs[j]` is the same for the bounds of variable `j`;
/// - `cones[k]` lies in the second-order cone: first the multiplier of the bound, then one per part, for
///   `(bound, parts) = G_k x + h_k`, and is perpendicular to it.
///
/// A problem that is maximised has the duals of `minimise −objective`: the derivative of its own optimal value
/// is the negative of these numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Duals {
    /// One per row.
    pub rows: Vec<f64>,
    /// One per variable.
    pub reduced_costs: Vec<f64>,
    /// One vector per cone, of length 1 + number of parts.
    pub cones: Vec<Vec<f64>>,
}

/// Numbers that prove that a problem has no optimum, checked by [`verify`](crate::verify).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Certificate {
    /// Proves infeasibility by the lemma of Farkas. With `g = Aᵀ rows + Σ_k G_kᵀ cones_k`, every feasible `x`
    /// would satisfy
    ///
    /// ```text
    /// Σ_{y_r>0} y_r lower_r + Σ_{y_r<0} y_r upper_r − Σ_k cones_k·h_k  ≤  gᵀx
    ///                                       ≤  Σ_{g_j>0} g_j upper_j + Σ_{g_j<0} g_j lower_j,
    /// ```
    ///
    /// but the left side is larger than the right side. Scaled so that the largest entry has size 1.
    Farkas {
        /// One multiplier per row (`y`).
        rows: Vec<f64>,
        /// One multiplier vector per cone, itself in the cone.
        cones: Vec<Vec<f64>>,
    },
    /// Proves unboundedness: `point + s · direction` is feasible for every `s ≥ 0` and its objective improves
    /// without limit. The direction is scaled so that its largest entry has size 1.
    ///
    /// With integer variables the point is integral; the ray is one of the continuous relaxation, which for
    /// rational data implies an integral one.
    Ray {
        /// A feasible point.
        point: Vec<f64>,
        /// A direction in which the objective improves and every constraint stays satisfied.
        direction: Vec<f64>,
    },
}
