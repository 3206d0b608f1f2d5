//! Integers in 32 bits: bounds that the rows imply, and proofs that nothing lies beyond the range.

use crate::adapters::engine::{Answer, Claim};
use crate::{Error, Problem};

/// Integers up to here are searched; one less than the engine's own limit, so that its arithmetic on bounds has room.
const LIMIT: f64 = 2_147_483_646.0;

/// Passes over the rows that look for implied bounds.
const PASSES: usize = 4;

/// A bound within the limit, as the engine takes it.
pub(super) fn to_i32(bound: f64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the value is whole and clamped to the range"
    )]
    {
        bound.clamp(-LIMIT, LIMIT) as i32
    }
}

/// A problem whose integers fit the engine, and where it cuts something off.
pub(super) struct IntegerRange {
    /// The problem with implied bounds, and with the limit where there are none.
    pub problem: Problem,
    /// Variables cut off above, and below.
    above: Vec<usize>,
    below: Vec<usize>,
}

impl IntegerRange {
    pub(super) fn of(problem: &Problem) -> Self {
        let mut bounded = problem.clone();
        let wide = |bounded: &Problem, index: usize| {
            bounded.kinds[index].is_integral()
                && (bounded.lower[index] < -LIMIT || bounded.upper[index] > LIMIT)
        };
        for _ in 0..PASSES {
            if !(0..problem.variable_count()).any(|index| wide(&bounded, index)) {
                break;
            }
            for row in 0..problem.row_count() {
                tighten(&mut bounded, row);
            }
        }
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for index in 0..problem.variable_count() {
            if !bounded.kinds[index].is_integral() {
                // Implied bounds of continuous variables have served; the engine gets those that were given.
                bounded.lower[index] = problem.lower[index];
                bounded.upper[index] = problem.upper[index];
                continue;
            }
            if bounded.upper[index] > LIMIT {
                bounded.upper[index] = LIMIT;
                above.push(index);
            }
            if bounded.lower[index] < -LIMIT {
                bounded.lower[index] = -LIMIT;
                below.push(index);
            }
            // A variable that lives beyond the limit has no place in the range at all.
            bounded.lower[index] = bounded.lower[index].min(LIMIT);
            bounded.upper[index] = bounded.upper[index].max(-LIMIT);
        }
        Self {
            problem: bounded,
            above,
            below,
        }
    }

    /// Whether nothing was cut off.
    pub(super) fn is_whole(&self) -> bool {
        self.above.is_empty() && self.below.is_empty()
    }

    /// Linear programs whose optima, when they stay within the limit, prove that no point that is as good as
    /// `cutoff` lies beyond it. Variables bounded on the other side are added up: the sum of their distances from
    /// that bound is at least each of them.
    pub(super) fn beyond(
        &self,
        problem: &Problem,
        cutoff: Option<f64>,
    ) -> Result<Vec<Problem>, Error> {
        let mut base = problem.relaxed();
        if let Some(cutoff) = cutoff {
            let mut builder = base.to_builder();
            let sign = problem.sense.sign();
            let costs: Vec<_> = problem
                .variables()
                .zip(&problem.costs)
                .map(|(variable, cost)| (variable, sign * cost))
                .collect();
            let room = 1e-6 * cutoff.abs().max(1.0);
            let (lower, upper) = if sign > 0.0 {
                (f64::NEG_INFINITY, cutoff + room)
            } else {
                (-cutoff - room, f64::INFINITY)
            };
            builder.row("cutoff", lower, costs, upper);
            base = builder.build()?;
        }
        base.costs.fill(0.0);
        base.offset = 0.0;
        let mut programs = Vec::new();
        let mut shared = base.clone();
        let mut any = false;
        for (indices, sign) in [(&self.above, 1.0), (&self.below, -1.0)] {
            for &index in indices {
                let other = if sign > 0.0 {
                    base.lower[index]
                } else {
                    -base.upper[index]
                };
                if other.is_finite() {
                    shared.costs[index] -= sign;
                    shared.offset += other;
                    any = true;
                } else {
                    let mut single = base.clone();
                    single.costs[index] = -sign;
                    programs.push(single);
                }
            }
        }
        if any {
            programs.push(shared);
        }
        Ok(programs)
    }

    /// Whether the answer to one of those programs says that nothing lies beyond the limit.
    pub(super) fn excludes(&self, program: &Problem, answer: &Answer) -> bool {
        match (answer.claim, &answer.primal) {
            // The sum of distances from the other bounds, less than the limit by that bound's own size.
            (Claim::Optimal, Some(point)) => {
                let reach = -program.minimised(point);
                let offset = self
                    .above
                    .iter()
                    .map(|&index| program.lower[index])
                    .chain(self.below.iter().map(|&index| program.upper[index]))
                    .filter(|bound| bound.is_finite())
                    .fold(0.0_f64, |a, bound| a.max(bound.abs()));
                reach + offset < LIMIT
            }
            (Claim::Infeasible, _) => true,
            _ => false,
        }
    }
}

/// Bounds of the integer and continuous variables of one row, implied by the bounds of the others.
fn tighten(problem: &mut Problem, row: usize) {
    let (row_lower, row_upper) = (problem.row_lower[row], problem.row_upper[row]);
    let entries: Vec<(usize, f64)> = problem.by_row.line(row).collect();
    // Smallest and largest activity: a finite part, and how many terms are infinite.
    let (mut low, mut low_open, mut high, mut high_open) = (0.0, 0, 0.0, 0);
    let ends = |problem: &Problem, index: usize, value: f64| {
        let (a, b) = (value * problem.lower[index], value * problem.upper[index]);
        (a.min(b), a.max(b))
    };
    for &(index, value) in &entries {
        let (a, b) = ends(problem, index, value);
        if a.is_finite() {
            low += a;
        } else {
            low_open += 1;
        }
        if b.is_finite() {
            high += b;
        } else {
            high_open += 1;
        }
    }
    for &(index, value) in &entries {
        let (a, b) = ends(problem, index, value);
        // The term is at most row_upper − (smallest of the others), and at least row_lower − (largest).
        let others_low = match (low_open, a.is_finite()) {
            (0, _) => low - a,
            (1, false) => low,
            _ => f64::NEG_INFINITY,
        };
        let others_high = match (high_open, b.is_finite()) {
            (0, _) => high - b,
            (1, false) => high,
            _ => f64::INFINITY,
        };
        let (most, least) = (row_upper - others_low, row_lower - others_high);
        let (mut lower, mut upper) = if value > 0.0 {
            (least / value, most / value)
        } else {
            (most / value, least / value)
        };
        // Room for the rounding of the sums above: an implied bound may be loose, never wrong.
        let room = 1e-6 * (low.abs().max(high.abs()) / value.abs()).max(1.0);
        lower -= room;
        upper += room;
        if problem.kinds[index].is_integral() {
            (lower, upper) = (lower.ceil(), upper.floor());
        }
        // Only bounds that the engine cannot hold are replaced; the others are the user's own.
        if problem.lower[index] < -LIMIT && lower > problem.lower[index] {
            problem.lower[index] = lower.min(problem.upper[index]);
        }
        if problem.upper[index] > LIMIT && upper < problem.upper[index] {
            problem.upper[index] = upper.max(problem.lower[index]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Microlp, Options, Outcome, ProblemBuilder, Solver, StopReason};

    const INF: f64 = f64::INFINITY;

    fn solve(builder: ProblemBuilder) -> Outcome {
        let options = Options::default();
        Microlp::default()
            .solve(&builder.build().unwrap(), &options)
            .unwrap()
    }

    #[test]
    fn rows_imply_bounds() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.integer("x", 0.0, INF, 1.0);
        let y = builder.integer("y", -INF, INF, 1.0);
        builder.row("r", -INF, [(x, 2.0), (y, 1.0)], 9.0);
        builder.row("s", -3.0, [(y, 1.0)], INF);
        let range = IntegerRange::of(&builder.build().unwrap());
        assert!(range.is_whole());
        assert_eq!(range.problem.lower, [0.0, -3.0]);
        assert_eq!(range.problem.upper, [6.0, 9.0]);
    }

    #[test]
    fn open_integers_are_answered() {
        // minimise x + y, 3x + 5y ≥ 13.5, both open above: the costs keep them small.
        let mut builder = ProblemBuilder::new("p");
        let x = builder.integer("x", 0.0, INF, 2.0);
        let y = builder.integer("y", 0.0, INF, 3.0);
        builder.row("r", 13.5, [(x, 3.0), (y, 5.0)], INF);
        let solution = solve(builder).into_optimal().unwrap();
        assert_eq!(solution.objective(), 9.0); // (0, 3) costs 9; (3, 1) gives 14 at 9; (5, 0) at 10
    }

    #[test]
    fn unbounded_integers_are_recognised() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.integer("x", 0.0, INF, 1.0);
        let y = builder.variable("y", 0.0, 5.0, 0.0);
        builder.row("r", 0.5, [(x, 1.0), (y, 1.0)], INF);
        builder.maximise();
        let outcome = solve(builder);
        assert!(
            matches!(outcome, Outcome::Unbounded(Some(_))),
            "{outcome:?}"
        );
    }

    #[test]
    fn what_lies_beyond_the_range_is_not_decided() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.integer("x", 0.0, INF, 1.0);
        let y = builder.integer("y", 0.0, INF, 0.0);
        builder.row("r", 1e12, [(x, 1.0), (y, 1e-3)], INF);
        let outcome = solve(builder);
        let Outcome::Stopped { reason, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(reason, StopReason::EngineRange);
    }
}
