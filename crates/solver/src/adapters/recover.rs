//! Duals, Farkas rays and primal rays from a second linear program, for engines that do not report them.
//!
//! Nothing here is trusted: what comes back is checked against the problem like any engine's own numbers.

use crate::adapters::engine::{Claim, Engine, Multipliers, optimal_point};
use crate::{Error, Options, Problem, ProblemBuilder, VariableId};

/// A number that is found, or the claim of the engine about the problem that should have delivered it.
type Found<T> = Result<Result<T, Claim>, Error>;

/// Duals of a linear program from its dual program
///
/// ```text
/// maximise  Σ_r lower_r y⁺_r − upper_r y⁻_r + Σ_j lower_j w⁺_j − upper_j w⁻_j
/// subject to  Aᵀ(y⁺ − y⁻) + w⁺ − w⁻ = c,   y⁺, y⁻, w⁺, w⁻ ≥ 0,
/// ```
///
/// where a multiplier of an open side does not exist.
pub(crate) fn duals(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Found<Multipliers> {
    let mut dual = DualProgram::new(problem, f64::INFINITY);
    dual.equate(problem, &problem.costs);
    dual.finish(engine, options, attempt)
}

/// A Farkas ray from the same program with costs 0 and multipliers at most 1: its optimum is positive exactly when
/// the problem is infeasible.
pub(crate) fn farkas(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Found<Multipliers> {
    let mut dual = DualProgram::new(problem, 1.0);
    dual.equate(problem, &vec![0.0; problem.variable_count()]);
    dual.finish(engine, options, attempt)
}

/// A direction of unboundedness: the steepest descent within the unit box along which every constraint stays
/// satisfied for ever.
pub(crate) fn ray(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Found<Vec<f64>> {
    let mut builder = ProblemBuilder::new("ray");
    let recede = |lower: f64, upper: f64, size: f64| {
        (
            if lower.is_finite() { 0.0 } else { -size },
            if upper.is_finite() { 0.0 } else { size },
        )
    };
    let directions: Vec<VariableId> = (0..problem.variable_count())
        .map(|index| {
            let (lower, upper) = recede(problem.lower[index], problem.upper[index], 1.0);
            builder.variable("", lower, upper, problem.costs[index])
        })
        .collect();
    for row in 0..problem.row_count() {
        let (lower, upper) = recede(
            problem.row_lower[row],
            problem.row_upper[row],
            f64::INFINITY,
        );
        let terms = problem.by_row.line(row);
        builder.row(
            "",
            lower,
            terms.map(|(index, value)| (directions[index], value)),
            upper,
        );
    }
    // Along the direction the objective has to stay linear: Q d = 0.
    let mut curvature = vec![Vec::new(); problem.variable_count()];
    for column in 0..problem.quadratic.lines() {
        for (row, value) in problem.quadratic.line(column) {
            curvature[row].push((directions[column], value));
            if row != column {
                curvature[column].push((directions[row], value));
            }
        }
    }
    for terms in curvature.into_iter().filter(|terms| !terms.is_empty()) {
        builder.row("", 0.0, terms, 0.0);
    }
    optimal_point(engine, &builder.build()?, options, attempt)
}

/// The dual program under construction.
struct DualProgram {
    builder: ProblemBuilder,
    /// Multipliers of each row: one signed variable for an equality, otherwise one per finite side.
    rows: Vec<Vec<(VariableId, f64)>>,
    columns: Vec<Vec<(VariableId, f64)>>,
}

impl DualProgram {
    fn new(problem: &Problem, limit: f64) -> Self {
        let mut builder = ProblemBuilder::new("dual");
        builder.maximise();
        let mut multipliers = |lower: f64, upper: f64| {
            let mut found = Vec::with_capacity(2);
            if lower >= upper {
                found.push((builder.variable("", -limit, limit, lower), 1.0));
                return found;
            }
            if lower.is_finite() {
                found.push((builder.variable("", 0.0, limit, lower), 1.0));
            }
            if upper.is_finite() {
                found.push((builder.variable("", 0.0, limit, -upper), -1.0));
            }
            found
        };
        let rows = (0..problem.row_count())
            .map(|row| multipliers(problem.row_lower[row], problem.row_upper[row]))
            .collect();
        let columns = (0..problem.variable_count())
            .map(|index| multipliers(problem.lower[index], problem.upper[index]))
            .collect();
        Self {
            builder,
            rows,
            columns,
        }
    }

    /// Adds `Aᵀ y + w = costs`.
    fn equate(&mut self, problem: &Problem, costs: &[f64]) {
        for (index, &cost) in costs.iter().enumerate() {
            let mut terms = self.columns[index].clone();
            for (row, value) in problem.by_column.line(index) {
                terms.extend(
                    self.rows[row]
                        .iter()
                        .map(|&(variable, sign)| (variable, sign * value)),
                );
            }
            self.builder.row("", cost, terms, cost);
        }
    }

    fn finish(self, engine: &dyn Engine, options: &Options, attempt: usize) -> Found<Multipliers> {
        let program = self.builder.build()?;
        let point = optimal_point(engine, &program, options, attempt)?;
        Ok(point.map(|point| Multipliers {
            rows: self
                .rows
                .iter()
                .map(|sides| {
                    sides
                        .iter()
                        .map(|&(variable, sign)| sign * point[variable.index()])
                        .sum()
                })
                .collect(),
            cones: Vec::new(),
        }))
    }
}
