//! minilp: a small pure-Rust simplex method for linear programs.

use minilp::{ComparisonOp, OptimizationDirection, Problem as Program, Variable};

use crate::adapters::engine::{Answer, Claim, Engine, answer};
use crate::{Capabilities, Error, Options, Outcome, Problem, Solver};

/// The simplex method minilp (feature `minilp`): linear programs, answered at a vertex.
///
/// It is no longer maintained and fine below about 10,000 rows. It cannot be interrupted: time limit and
/// cancellation are looked at between its runs only. Duals and certificates come from a second linear
/// program that it solves as well.
///
/// ```
/// use evflex_solver::{Minilp, Options, ProblemBuilder, Solver};
/// let mut builder = ProblemBuilder::new("mix");
/// let x = builder.variable("x", 0.0, 3.0, 2.0);
/// let y = builder.variable("y", 0.0, 3.0, 1.0);
/// builder.row("together", f64::NEG_INFINITY, [(x, 1.0), (y, 1.0)], 4.0);
/// builder.maximise();
/// let solution = Minilp::default()
///     .solve(&builder.build()?, &Options::default())?
///     .into_optimal()?;
/// assert!((solution.objective() - 7.0).abs() < 1e-9);
/// # Ok::<(), evflex_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Minilp {}

impl Solver for Minilp {
    fn name(&self) -> String {
        Engine::name(self)
    }

    fn capabilities(&self) -> Capabilities {
        Engine::capabilities(self)
    }

    fn solve(&self, problem: &Problem, options: &Options) -> Result<Outcome, Error> {
        answer(self, problem, options)
    }
}

impl Engine for Minilp {
    fn name(&self) -> String {
        "minilp 0.2.2".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::linear().duals().rays()
    }

    fn attempts(&self) -> usize {
        2
    }

    fn run(&self, problem: &Problem, _options: &Options, attempt: usize) -> Result<Answer, Error> {
        // The engine loses itself in NaN on some free variables and some orders; the second set-up splits
        // the former into two parts and reverses the latter.
        let second = attempt > 0;
        let order = |count: usize| -> Vec<usize> {
            if second {
                (0..count).rev().collect()
            } else {
                (0..count).collect()
            }
        };
        let mut program = Program::new(OptimizationDirection::Minimize);
        let mut parts: Vec<Vec<(Variable, f64)>> = vec![Vec::new(); problem.variable_count()];
        for index in order(problem.variable_count()) {
            let (lower, upper) = (problem.lower[index], problem.upper[index]);
            let cost = problem.costs[index];
            if second && lower == f64::NEG_INFINITY && upper == f64::INFINITY {
                let up = program.add_var(cost, (0.0, f64::INFINITY));
                let down = program.add_var(-cost, (0.0, f64::INFINITY));
                parts[index] = vec![(up, 1.0), (down, -1.0)];
            } else {
                parts[index] = vec![(program.add_var(cost, (lower, upper)), 1.0)];
            }
        }
        for row in order(problem.row_count()) {
            let mut terms: Vec<(Variable, f64)> = Vec::new();
            for (index, value) in problem.by_row.line(row) {
                terms.extend(
                    parts[index]
                        .iter()
                        .map(|&(part, sign)| (part, sign * value)),
                );
            }
            terms.sort_by_key(|term| term.0.idx());
            let (lower, upper) = (problem.row_lower[row], problem.row_upper[row]);
            if lower >= upper {
                program.add_constraint(terms.as_slice(), ComparisonOp::Eq, upper);
                continue;
            }
            if lower.is_finite() {
                program.add_constraint(terms.as_slice(), ComparisonOp::Ge, lower);
            }
            if upper.is_finite() {
                program.add_constraint(terms.as_slice(), ComparisonOp::Le, upper);
            }
        }
        Ok(match program.solve() {
            Ok(solution) => Answer {
                primal: Some(
                    parts
                        .iter()
                        .map(|parts| {
                            parts
                                .iter()
                                .map(|&(part, sign)| sign * solution[part])
                                .sum()
                        })
                        .collect(),
                ),
                ..Answer::of(Claim::Optimal)
            },
            Err(minilp::Error::Infeasible) => Answer::of(Claim::Infeasible),
            Err(minilp::Error::Unbounded) => Answer::of(Claim::Unbounded),
        })
    }
}
