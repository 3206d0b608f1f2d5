//! Laws of problems, checks and answers on random data.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop at the first surprise"
)]

use evflex_solver::{
    Certificate, Duals, Options, Outcome, Problem, ProblemBuilder, Solution, Solver, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn solvers() -> Vec<Box<dyn Solver>> {
    vec![
        #[cfg(feature = "clarabel")]
        Box::new(evflex_solver::Clarabel::default()),
        #[cfg(feature = "highs")]
        Box::new(evflex_solver::Highs::default()),
        #[cfg(feature = "microlp")]
        Box::new(evflex_solver::Microlp::default()),
        #[cfg(feature = "minilp")]
        Box::new(evflex_solver::Minilp::default()),
    ]
}

const COLUMNS: usize = 4;
const ROWS: usize = 3;

/// Numbers of a linear problem over a box.
#[derive(Clone, Debug)]
struct Data {
    costs: Vec<f64>,
    lower: Vec<f64>,
    span: Vec<f64>,
    rows: Vec<Vec<f64>>,
    sides: Vec<(f64, f64)>,
}

fn data() -> impl Strategy<Value = Data> {
    (
        vec(-3.0..3.0_f64, COLUMNS),
        vec(-2.0..2.0_f64, COLUMNS),
        vec(0.0..3.0_f64, COLUMNS),
        vec(vec(-2.0..2.0_f64, COLUMNS), ROWS),
        vec((-4.0..2.0_f64, 0.0..4.0_f64), ROWS),
    )
        .prop_map(|(costs, lower, span, rows, sides)| Data {
            costs,
            lower,
            span,
            rows,
            sides,
        })
}

impl Data {
    fn build(&self, maximise: bool) -> Problem {
        let sign = if maximise { -1.0 } else { 1.0 };
        let mut builder = ProblemBuilder::new("law");
        let x: Vec<_> = (0..COLUMNS)
            .map(|j| {
                let upper = self.lower[j] + self.span[j];
                builder.variable(format!("x{j}"), self.lower[j], upper, sign * self.costs[j])
            })
            .collect();
        for (row, &(lower, room)) in self.rows.iter().zip(&self.sides) {
            let terms = x.iter().copied().zip(row.iter().copied());
            builder.row("r", lower, terms, lower + room);
        }
        if maximise {
            builder.maximise();
        }
        builder.build().unwrap()
    }

    /// The point of the box at these fractions of its sides.
    fn point(&self, fractions: &[f64]) -> Vec<f64> {
        (0..COLUMNS)
            .map(|j| self.lower[j] + fractions[j] * self.span[j])
            .collect()
    }
}

fn solve(solver: &dyn Solver, problem: &Problem) -> Outcome {
    solver.solve(problem, &Options::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// No point of the box that satisfies the rows beats the optimum, and none exists when there is none.
    #[test]
    fn nothing_feasible_beats_an_optimum(data in data(), tries in vec(vec(0.0..=1.0_f64, COLUMNS), 200)) {
        let problem = data.build(false);
        for solver in solvers() {
            let outcome = solve(solver.as_ref(), &problem);
            for fractions in &tries {
                let point = data.point(fractions);
                if verify::feasibility(&problem, &point).unwrap().primal() > 0.0 {
                    continue;
                }
                match &outcome {
                    Outcome::Optimal(solution) => {
                        let value = problem.objective(&point).unwrap();
                        prop_assert!(solution.objective() <= value + 1e-6, "{} beaten", solver.name());
                    }
                    other => prop_assert!(false, "{} says {}", solver.name(), other.status()),
                }
            }
        }
    }

    /// A box is bounded: every solver decides, and all decide the same.
    #[test]
    fn solvers_decide_alike(data in data()) {
        let problem = data.build(false);
        let mut known: Option<Option<f64>> = None;
        for solver in solvers() {
            let value = match solve(solver.as_ref(), &problem) {
                Outcome::Optimal(solution) => Some(solution.objective()),
                Outcome::Infeasible(Some(Certificate::Farkas { .. })) => None,
                other => return Err(TestCaseError::fail(format!("{}: {other:?}", solver.name()))),
            };
            match (known, value) {
                (None, _) => known = Some(value),
                (Some(Some(a)), Some(b)) => prop_assert!((a - b).abs() < 1e-6, "{a} and {b}"),
                (Some(a), b) => prop_assert_eq!(a.is_some(), b.is_some()),
            }
        }
    }

    /// Maximising is minimising the negative, with the same duals and the opposite objective.
    #[test]
    fn maximising_is_minimising_the_negative(data in data()) {
        let (minimum, maximum) = (data.build(false), data.build(true));
        prop_assert_eq!(minimum.costs(), maximum.costs());
        for solver in solvers() {
            match (solve(solver.as_ref(), &minimum), solve(solver.as_ref(), &maximum)) {
                (Outcome::Optimal(a), Outcome::Optimal(b)) => {
                    prop_assert!((a.objective() + b.objective()).abs() < 1e-9);
                    prop_assert!((a.bound() + b.bound()).abs() < 1e-9);
                    prop_assert_eq!(a.duals(), b.duals());
                }
                (a, b) => prop_assert_eq!(a.status(), b.status()),
            }
        }
    }

    /// Weak duality: any multipliers whose signs fit bound the objective of any feasible point from below. Here the gap
    /// that `optimality` reports is never negative, because a box leaves no reduced cost without a bound.
    #[test]
    fn weak_duality(
        data in data(),
        fractions in vec(0.0..=1.0_f64, COLUMNS),
        y in vec(-2.0..2.0_f64, ROWS),
    ) {
        let mut data = data;
        let point = data.point(&fractions);
        for (row, side) in data.rows.iter().zip(&mut data.sides) {
            // The row takes the point in, with the drawn numbers as room on both sides.
            let activity: f64 = row.iter().zip(&point).map(|(a, x)| a * x).sum();
            let below = side.0.abs() + 1e-9;
            *side = (activity - below, below + side.1 + 1e-9);
        }
        let problem = data.build(false);
        let duals = Duals { rows: y.clone(), ..Duals::default() };
        let residuals = verify::optimality(&problem, &point, &duals, 1e-12).unwrap();
        prop_assert_eq!(residuals.dual, Some(0.0));
        // The dual objective by its own formula.
        let mut reduced = data.costs.clone();
        let mut value = 0.0;
        for (row, &multiplier) in data.rows.iter().zip(&y) {
            for (d, a) in reduced.iter_mut().zip(row) {
                *d -= multiplier * a;
            }
        }
        for (&multiplier, &(lower, room)) in y.iter().zip(&data.sides) {
            value += if multiplier > 0.0 { multiplier * lower } else { multiplier * (lower + room) };
        }
        for (j, d) in reduced.iter().enumerate() {
            value += if *d > 0.0 { d * data.lower[j] } else { d * (data.lower[j] + data.span[j]) };
        }
        let objective = problem.objective(&point).unwrap();
        prop_assert!(value <= objective + 1e-9, "dual {value} above {objective}");
        let scale = objective.abs().max(1.0).max(data.costs.iter().fold(0.0_f64, |a, c| a.max(c.abs())));
        prop_assert!(residuals.gap.unwrap() * scale.max(20.0) + 1e-9 >= objective - value);
    }

    /// Rows may be written in any unit: residuals and answers stay.
    #[test]
    fn the_unit_of_a_row_does_not_matter(data in data(), power in -20..20_i32) {
        let problem = data.build(false);
        let unit = f64::from(power).exp2();
        let mut scaled = data.clone();
        scaled.rows.iter_mut().flatten().for_each(|a| *a *= unit);
        for side in &mut scaled.sides {
            *side = (side.0 * unit, side.1 * unit);
        }
        let other = scaled.build(false);
        let point = data.point(&[0.3; COLUMNS]);
        let (a, b) = (
            verify::feasibility(&problem, &point).unwrap().rows,
            verify::feasibility(&other, &point).unwrap().rows,
        );
        prop_assert!((a - b).abs() <= 1e-12 * a.max(1.0), "{a} and {b}");
        for solver in solvers() {
            match (solve(solver.as_ref(), &problem), solve(solver.as_ref(), &other)) {
                (Outcome::Optimal(a), Outcome::Optimal(b)) => {
                    prop_assert!((a.objective() - b.objective()).abs() < 1e-6);
                }
                (a, b) => prop_assert_eq!(a.status(), b.status(), "{}", solver.name()),
            }
        }
    }

    /// A builder made from a problem builds the same problem.
    #[test]
    fn builders_round_trip(data in data(), maximise: bool) {
        let problem = data.build(maximise);
        let again = problem.to_builder().build().unwrap();
        prop_assert_eq!(problem.costs(), again.costs());
        prop_assert_eq!(problem.by_row(), again.by_row());
        prop_assert_eq!(problem.by_column(), again.by_column());
        prop_assert_eq!(problem.row_upper(), again.row_upper());
        prop_assert_eq!(problem.sense(), again.sense());
    }

    /// What builds is convex along any line; a sum of squares always builds.
    #[test]
    fn accepted_forms_are_convex(
        entries in vec(-1.0..1.0_f64, 10),
        direction in vec(-1.0..1.0_f64, COLUMNS),
        squares in vec(vec(-1.0..1.0_f64, COLUMNS), 1..4),
    ) {
        let build = |matrix: &dyn Fn(usize, usize) -> f64| {
            let mut builder = ProblemBuilder::new("form");
            let x: Vec<_> = (0..COLUMNS).map(|_| builder.variable("x", -1.0, 1.0, 0.0)).collect();
            for i in 0..COLUMNS {
                for j in 0..=i {
                    builder.quadratic(x[i], x[j], matrix(i, j));
                }
            }
            builder.build()
        };
        if let Ok(problem) = build(&|i, j| entries[i * (i + 1) / 2 + j]) {
            prop_assert!(problem.objective(&direction).unwrap() >= -1e-8);
        }
        let gram = build(&|i, j| {
            let sum: f64 = squares.iter().map(|s| s[i] * s[j]).sum();
            if i == j { sum } else { 2.0 * sum }
        });
        prop_assert!(gram.is_ok(), "{:?}", gram.err());
    }

    /// No point passes as a solution unless it is one.
    #[test]
    fn only_feasible_points_become_solutions(data in data(), fractions in vec(-0.5..1.5_f64, COLUMNS)) {
        let problem = data.build(false);
        let point = data.point(&fractions);
        let residual = verify::feasibility(&problem, &point).unwrap().primal();
        let solution = Solution::verified(&problem, "nobody", point, None, None, 1e-8);
        prop_assert_eq!(solution.is_ok(), residual <= verify::ACCEPTANCE * 1e-8);
    }
}

/// The names that adapters report are those of the engines in the lock file.
#[test]
fn names_state_the_locked_versions() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let Ok(lock) = std::fs::read_to_string(path) else {
        println!("no lock file beside this crate: versions not compared");
        return;
    };
    for solver in solvers() {
        let name = solver.name();
        let Some((engine, version)) = name.split_once(' ') else {
            panic!("{name} has no version");
        };
        let package = format!("name = \"{}\"\nversion = ", engine.to_lowercase());
        let Some((_, rest)) = lock.split_once(package.as_str()) else {
            continue; // HiGHS itself is not a crate
        };
        assert_eq!(rest.split('"').nth(1), Some(version), "{name}");
    }
}
