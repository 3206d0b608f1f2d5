//! Support functions `h(c) = max { c·x : x ∈ set }` and what proves them.

use evflex_solver::{Options, Outcome, Problem, ProblemBuilder, Solution, Solver, VariableId};
use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::Error;
use crate::linear::entries;

/// The farthest point of a set in a direction.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SupportPoint {
    /// `h(c) = c·point`.
    pub value: f64,
    /// A point of the set that attains the value.
    pub point: Array1<f64>,
    /// Coordinates of the point in the base of an [`AhPolytope`](crate::AhPolytope) (`point = x̄ + X ξ`) or a
    /// [`Zonotope`](crate::Zonotope), weights of the points of a [`VPolytope`](crate::VPolytope); the point
    /// itself for an [`HPolytope`](crate::HPolytope).
    pub coordinates: Array1<f64>,
    /// One multiplier `y ≥ 0` per inequality of the (base) polytope `A ξ ≤ a`: with `Aᵀ y = Xᵀ c` they prove
    /// `h(c) ≤ c·x̄ + y·a` without a solver. `None` where there are no inequalities or the solver gave no duals.
    pub multipliers: Option<Array1<f64>>,
}

/// The answer to `maximise c·x subject to A x ≤ b`.
pub(crate) enum Maximum {
    Attained {
        point: Array1<f64>,
        multipliers: Option<Array1<f64>>,
    },
    Infeasible,
    Unbounded(Vec<f64>),
}

/// Adds free variables and the rows `A x ≤ b`; returns the variables.
pub(crate) fn add_rows(
    builder: &mut ProblemBuilder,
    a: ArrayView2<'_, f64>,
    b: ArrayView1<'_, f64>,
) -> Vec<VariableId> {
    let variables: Vec<VariableId> = (0..a.ncols())
        .map(|_| builder.variable("", f64::NEG_INFINITY, f64::INFINITY, 0.0))
        .collect();
    for (row, &side) in a.rows().into_iter().zip(b) {
        builder.row(
            "",
            f64::NEG_INFINITY,
            entries(row).map(|(index, value)| (variables[index], value)),
            side,
        );
    }
    variables
}

/// Solves the problem and refuses every outcome but the three that say something.
pub(crate) fn solve(
    problem: &Problem,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Verdict, Error> {
    match solver.solve(problem, options)? {
        Outcome::Optimal(solution) => Ok(Verdict::Optimal(solution)),
        Outcome::Infeasible(_) => Ok(Verdict::Infeasible),
        Outcome::Unbounded(certificate) => Ok(Verdict::Unbounded(match certificate {
            Some(evflex_solver::Certificate::Ray { direction, .. }) => direction,
            _ => Vec::new(),
        })),
        other => Err(other
            .into_optimal_of(problem.name())
            .map_or_else(Error::Solver, |_| {
                Error::Solver(evflex_solver::Error::Stopped {
                    problem: problem.name().to_owned(),
                    reason: evflex_solver::StopReason::NumericalTrouble,
                })
            })),
    }
}

/// What a linear program answered.
pub(crate) enum Verdict {
    Optimal(Solution),
    Infeasible,
    Unbounded(Vec<f64>),
}

/// Multipliers of the rows `range` that are bounded above, of a problem in minimisation form, made at least 0.
pub(crate) fn upper_multipliers(
    solution: &Solution,
    range: std::ops::Range<usize>,
) -> Option<Array1<f64>> {
    solution.duals().map(|duals| {
        duals.rows[range]
            .iter()
            .map(|dual| (-dual).max(0.0))
            .collect()
    })
}

pub(crate) fn maximise(
    a: ArrayView2<'_, f64>,
    b: ArrayView1<'_, f64>,
    c: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Maximum, Error> {
    let mut builder = ProblemBuilder::new("support function");
    let x = add_rows(&mut builder, a, b);
    for (&variable, &cost) in x.iter().zip(c) {
        builder.set_cost(variable, cost);
    }
    builder.maximise();
    Ok(match solve(&builder.build()?, solver, options)? {
        Verdict::Optimal(solution) => Maximum::Attained {
            multipliers: upper_multipliers(&solution, 0..a.nrows()),
            point: Array1::from_vec(solution.into_primal()),
        },
        Verdict::Infeasible => Maximum::Infeasible,
        Verdict::Unbounded(direction) => Maximum::Unbounded(direction),
    })
}
