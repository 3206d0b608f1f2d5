//! HiGHS: what it answers, what it refuses, how it stops, and its duals against differences of optimal values.
#![cfg(feature = "highs")]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop at the first surprise"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evflex_solver::{
    Cancel, Certificate, Error, Highs, Options, Outcome, Problem, ProblemBuilder, Progress, Sense,
    Solution, Solver, StopReason, VariableId, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;

const INF: f64 = f64::INFINITY;

fn solve(problem: &Problem) -> Outcome {
    Highs::default()
        .solve(problem, &Options::default())
        .unwrap_or_else(|error| panic!("{problem}: {error}"))
}

fn optimum(problem: &Problem) -> Solution {
    solve(problem).into_optimal().unwrap()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn the_name_has_the_version() {
    assert!(
        Highs::default().name().starts_with("HiGHS 1."),
        "{}",
        Highs::default().name()
    );
}

/// minimise 2x + 3y, x + y ≥ 4 (active), x ≤ 3 by a row (active), y ≤ 10: x = 3, y = 1.
fn planning(sense: Sense) -> (Problem, VariableId, VariableId) {
    let sign = sense.sign();
    let mut builder = ProblemBuilder::new("planning");
    let x = builder.variable("x", 0.0, INF, 2.0 * sign);
    let y = builder.variable("y", 0.0, 10.0, 3.0 * sign);
    builder.row("demand", 4.0, [(x, 1.0), (y, 1.0)], INF);
    builder.row("limit", -INF, [(x, 1.0)], 3.0);
    builder.objective_offset(100.0);
    if sense == Sense::Maximise {
        builder.maximise();
    }
    (builder.build().unwrap(), x, y)
}

#[test]
fn duals_of_a_small_problem_are_derivatives() {
    for sense in [Sense::Minimise, Sense::Maximise] {
        let (problem, x, y) = planning(sense);
        let solution = optimum(&problem);
        assert!(close(solution.value(x), 3.0, 1e-9) && close(solution.value(y), 1.0, 1e-9));
        assert!(close(
            solution.objective(),
            100.0 + sense.sign() * 9.0,
            1e-12
        ));
        assert!(close(solution.bound(), solution.objective(), 1e-9));
        // One more unit of demand costs 3; one more of the limit saves 1. Always of the minimisation form.
        let duals = solution.duals().unwrap();
        assert!(
            close(duals.rows[0], 3.0, 1e-9) && close(duals.rows[1], -1.0, 1e-9),
            "{duals:?}"
        );
        assert!(
            duals.reduced_costs.iter().all(|d| d.abs() < 1e-9),
            "{duals:?}"
        );
    }
}

#[test]
fn a_quadratic_problem_has_its_closed_form_and_duals() {
    // The point of x + y + z = 6, z ≤ 1 nearest to the origin, weighted 1, 2, 1: x = 10/3, y = 5/3, z = 1.
    let mut builder = ProblemBuilder::new("nearest");
    let v: Vec<_> = [INF, INF, 1.0]
        .iter()
        .map(|upper| builder.variable("v", -INF, *upper, 0.0))
        .collect();
    for (variable, weight) in v.iter().zip([1.0, 2.0, 1.0]) {
        builder.quadratic(*variable, *variable, 0.5 * weight);
    }
    builder.row("plane", 6.0, v.iter().map(|&v| (v, 1.0)), 6.0);
    let solution = optimum(&builder.build().unwrap());
    for (variable, expected) in v.iter().zip([10.0 / 3.0, 5.0 / 3.0, 1.0]) {
        assert!(
            close(solution.value(*variable), expected, 1e-9),
            "{:?}",
            solution.primal()
        );
    }
    let duals = solution.duals().unwrap();
    assert!(close(duals.rows[0], 10.0 / 3.0, 1e-9));
    assert!(close(duals.reduced_costs[2], 1.0 - 10.0 / 3.0, 1e-9));
}

#[test]
fn a_coupled_concave_maximisation_has_its_closed_form() {
    // maximise 10x + 6y − x² − xy − y²: 2x + y = 10, x + 2y = 6.
    let mut builder = ProblemBuilder::new("hill");
    let x = builder.variable("x", -INF, INF, 10.0);
    let y = builder.variable("y", -INF, INF, 6.0);
    for (a, b) in [(x, x), (x, y), (y, y)] {
        builder.quadratic(a, b, -1.0);
    }
    builder.row("far", -INF, [(x, 1.0)], 1e3);
    builder.maximise();
    let solution = optimum(&builder.build().unwrap());
    assert!(
        close(solution.value(x), 14.0 / 3.0, 1e-9) && close(solution.value(y), 2.0 / 3.0, 1e-9)
    );
    assert!(close(solution.objective(), 76.0 / 3.0, 1e-9));
}

#[test]
fn classes_beyond_it_are_refused_by_name() {
    let mut builder = ProblemBuilder::new("miqp");
    let x = builder.integer("x", 0.0, 9.0, -3.0);
    builder.quadratic(x, x, 1.0);
    let error = Highs::default()
        .solve(&builder.build().unwrap(), &Options::default())
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let mut builder = ProblemBuilder::new("cone");
    let x = builder.variable("x", 0.0, 9.0, -3.0);
    builder.second_order_cone(
        "c",
        evflex_solver::AffineTerm::constant(2.0),
        vec![x.into()],
    );
    let error = Highs::default()
        .solve(&builder.build().unwrap(), &Options::default())
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

fn certified(outcome: Outcome, problem: &Problem) -> Certificate {
    let certificate = match outcome {
        Outcome::Infeasible(Some(certificate @ Certificate::Farkas { .. }))
        | Outcome::Unbounded(Some(certificate @ Certificate::Ray { .. })) => certificate,
        other => panic!("{problem}: {other:?}"),
    };
    verify::certificate(problem, &certificate, "HiGHS", 1e-8).unwrap();
    certificate
}

#[test]
fn infeasible_problems_come_with_a_ray_of_the_right_sign() {
    let build = |quadratic: bool, flip: f64| {
        let mut builder = ProblemBuilder::new("infeasible");
        let x = builder.variable("x", 0.0, INF, 1.0);
        let y = builder.variable("y", 0.0, INF, -1.0);
        let sum = [(x, flip), (y, flip)];
        let side = |value: f64| {
            if flip > 0.0 {
                (value, INF)
            } else {
                (-INF, -value)
            }
        };
        builder.row("at least 3", side(3.0).0, sum, side(3.0).1);
        builder.row("at most 2", -INF, [(x, 1.0), (y, 1.0)], 2.0);
        builder.row("idle", -INF, [(x, 1.0), (y, -1.0)], 9.0);
        if quadratic {
            builder.quadratic(x, x, 1.0);
        }
        builder.build().unwrap()
    };
    for (quadratic, flip) in [(false, 1.0), (false, -1.0), (true, 1.0)] {
        let problem = build(quadratic, flip);
        let Certificate::Farkas { rows, .. } = certified(solve(&problem), &problem) else {
            unreachable!()
        };
        assert!(
            rows[0] * flip > 0.0 && rows[1] < 0.0 && rows[2].abs() < 1e-9,
            "{rows:?}"
        );
    }
}

#[test]
fn unbounded_problems_come_with_a_point_and_a_direction() {
    // minimise −x, x − y ≤ 1: along (1, 1) for ever.
    let build = |with_row: bool, quadratic: bool, integer: bool| {
        let mut builder = ProblemBuilder::new("unbounded");
        let x = if integer {
            builder.integer("x", 0.0, INF, -1.0)
        } else {
            builder.variable("x", 0.0, INF, -1.0)
        };
        let y = builder.variable("y", 0.0, INF, 0.25);
        let z = builder.variable("z", -INF, INF, 1.0);
        if with_row {
            builder.row("r", -INF, [(x, 1.0), (y, -1.0)], 1.5);
        }
        if quadratic || integer || with_row {
            builder.row("z", 2.0, [(z, 1.0)], INF);
        }
        if quadratic {
            builder.quadratic(z, z, 1.0);
        }
        builder.build().unwrap()
    };
    for (with_row, quadratic, integer) in [
        (true, false, false),
        (false, false, false),
        (true, true, false),
        (true, false, true),
        (false, false, true),
    ] {
        let problem = build(with_row, quadratic, integer);
        let Certificate::Ray { point, direction } = certified(solve(&problem), &problem) else {
            unreachable!()
        };
        assert!(
            direction[0] > 0.0 || !with_row && direction[2] < 0.0,
            "{point:?} {direction:?}"
        );
        assert!(!integer || point[0].fract() == 0.0, "{point:?}");
    }
}

#[test]
fn infeasible_and_unbounded_are_told_apart() {
    // The dual is infeasible in both; only the first has a feasible point.
    for (side, unbounded) in [(1.0, true), (-1.0, false)] {
        for integer in [false, true] {
            let mut builder = ProblemBuilder::new("either");
            let x = if integer {
                builder.integer("x", 0.0, INF, -1.0)
            } else {
                builder.variable("x", 0.0, INF, -1.0)
            };
            let y = builder.variable("y", 0.0, INF, 0.0);
            builder.row("r", -INF, [(y, 1.0)], side);
            builder.row("s", -INF, [(x, 1.0), (y, -1e3)], INF);
            let problem = builder.build().unwrap();
            let certificate = certified(solve(&problem), &problem);
            assert_eq!(matches!(certificate, Certificate::Ray { .. }), unbounded);
        }
    }
}

#[test]
fn an_infeasible_integer_problem_with_a_feasible_relaxation_has_no_ray() {
    let mut builder = ProblemBuilder::new("parity");
    let x = builder.integer("x", 0.0, 9.0, 1.0);
    let y = builder.integer("y", 0.0, 9.0, 1.0);
    builder.row("odd", 7.0, [(x, 2.0), (y, 4.0)], 7.0);
    let outcome = solve(&builder.build().unwrap());
    assert!(matches!(outcome, Outcome::Infeasible(None)), "{outcome:?}");
}

#[test]
fn integer_variables_that_are_all_fixed_leave_a_linear_program() {
    let mut builder = ProblemBuilder::new("fixed");
    let x = builder.variable("x", -INF, INF, 4.0);
    let n = builder.integer("n", 2.0, 2.0, 4.0);
    builder.row("r", 0.0, [(x, 2.0), (n, 4.0)], INF);
    let solution = optimum(&builder.build().unwrap());
    assert!(close(solution.objective(), -8.0, 1e-9) && close(solution.bound(), -8.0, 1e-9));
}

/// A multidimensional knapsack whose proof takes branch and bound a while.
fn knapsack(items: usize, rows: usize) -> Problem {
    let mut builder = ProblemBuilder::new("knapsack");
    let mut state = 17_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 1000 + 1
    };
    let weights: Vec<Vec<f64>> = (0..rows)
        .map(|_| (0..items).map(|_| next() as f64).collect())
        .collect();
    let variables: Vec<_> = (0..items)
        .map(|item| {
            let mean = weights.iter().map(|row| row[item]).sum::<f64>() / rows as f64;
            builder.binary(
                format!("take {item}"),
                (mean + 500.0 * next() as f64 / 1000.0).round(),
            )
        })
        .collect();
    for (row, weights) in weights.iter().enumerate() {
        let limit = 0.5 * weights.iter().sum::<f64>();
        builder.row(
            format!("limit {row}"),
            -INF,
            variables.iter().copied().zip(weights.iter().copied()),
            limit.floor(),
        );
    }
    builder.maximise();
    builder.build().unwrap()
}

/// The best value of a small problem with binary variables, by trying all.
fn by_enumeration(problem: &Problem) -> f64 {
    let count = problem.variable_count();
    (0..1_u32 << count)
        .filter_map(|set| {
            let x: Vec<f64> = (0..count).map(|i| f64::from(set >> i & 1)).collect();
            let feasible = verify::feasibility(problem, &x).unwrap().primal() <= 1e-9;
            feasible.then(|| problem.objective(&x).unwrap())
        })
        .fold(-INF, f64::max)
}

#[test]
fn a_small_knapsack_agrees_with_enumeration() {
    let problem = knapsack(14, 3);
    let solution = optimum(&problem);
    assert!(close(solution.objective(), by_enumeration(&problem), 1e-9));
    assert!(solution.bound() >= solution.objective() - 1e-6 && solution.gap() <= 1e-6);
    assert!(solution.duals().is_none());
}

#[test]
fn a_wide_gap_is_respected_and_reported() {
    let problem = knapsack(40, 5);
    let exact = optimum(&problem).objective();
    let loose = Highs::default()
        .solve(&problem, &Options::default().gap(0.05))
        .unwrap()
        .into_optimal()
        .unwrap();
    assert!(
        loose.gap() <= 0.05
            && loose.bound() >= exact - 1e-6 * exact
            && loose.objective() <= exact + 1e-6 * exact
    );
}

#[test]
fn a_start_is_at_least_as_good_as_what_comes_out() {
    // Proving this one takes far longer than the test; the start is the optimum of a shorter look.
    let problem = knapsack(120, 20);
    let found = |options: &Options| match Highs::default().solve(&problem, options).unwrap() {
        Outcome::Stopped {
            incumbent: Some(incumbent),
            ..
        }
        | Outcome::Optimal(incumbent) => incumbent,
        other => panic!("{other:?}"),
    };
    let first = found(&Options::default().gap(0.02));
    let second = found(&Options::default().gap(0.02).start(first.primal().to_vec()));
    assert!(second.objective() >= first.objective() - 1e-9);
}

#[test]
fn a_cancelled_search_gives_its_incumbent_and_bound() {
    let problem = knapsack(120, 20);
    let cancel = Cancel::new();
    let reports = Arc::new(AtomicUsize::new(0));
    let (seen, stop) = (Arc::clone(&reports), cancel.clone());
    let progress = Progress::new(move |report| {
        if report.objective.is_some() && report.bound.is_some() {
            seen.fetch_add(1, Ordering::Relaxed);
            stop.cancel();
        }
    });
    let options = Options::default()
        .gap(0.0)
        .cancel(cancel)
        .progress(progress);
    match Highs::default().solve(&problem, &options).unwrap() {
        Outcome::Stopped {
            reason: StopReason::Cancelled,
            incumbent: Some(incumbent),
            bound: Some(bound),
        } => {
            assert!(bound >= incumbent.objective());
        }
        other => panic!("{other:?}"),
    }
    assert!(reports.load(Ordering::Relaxed) >= 1);
}

#[test]
fn nothing_starts_when_cancelled_or_out_of_time() {
    let (problem, ..) = planning(Sense::Minimise);
    let cancel = Cancel::new();
    cancel.cancel();
    let reason = |options: &Options| match Highs::default().solve(&problem, options).unwrap() {
        Outcome::Stopped {
            reason,
            incumbent: None,
            ..
        } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason(&Options::default().cancel(cancel)),
        StopReason::Cancelled
    );
    assert_eq!(
        reason(&Options::default().time_limit(Duration::ZERO)),
        StopReason::TimeLimit
    );
}

#[test]
fn the_number_of_threads_may_change_between_solves() {
    let problem = knapsack(14, 3);
    let expected = optimum(&problem).objective();
    for threads in [1, 2, 1, 3] {
        let options = Options::default().threads(threads).seed(u64::MAX);
        let solution = Highs::default()
            .solve(&problem, &options)
            .unwrap()
            .into_optimal()
            .unwrap();
        assert!(close(solution.objective(), expected, 1e-12));
    }
}

#[test]
fn solves_run_side_by_side() {
    let problems: Vec<Problem> = (10..14).map(|items| knapsack(items, 3)).collect();
    let found: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = problems
            .iter()
            .map(|problem| scope.spawn(move || optimum(problem).objective()))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    for (problem, found) in problems.iter().zip(found) {
        assert!(close(found, by_enumeration(problem), 1e-9));
    }
}

#[test]
fn extreme_but_finite_data_are_meant_as_written() {
    // A bound beyond the engine's own infinity, and a tiny coefficient that counts.
    let mut builder = ProblemBuilder::new("extreme");
    let x = builder.variable("x", 0.0, 1e25, -1.0);
    builder.row("r", -INF, [(x, 1e-11)], 1.0);
    let solution = optimum(&builder.build().unwrap());
    assert!(close(solution.value(x), 1e11, 1e-9));
    let mut builder = ProblemBuilder::new("bound");
    let x = builder.variable("x", 0.0, 1e25, -1.0);
    let y = builder.variable("y", 0.0, 1.0, 1.0);
    builder.row("r", 0.5, [(x, 1.0), (y, 1.0)], INF);
    let solution = optimum(&builder.build().unwrap());
    assert!(close(solution.value(x), 1e25, 1e-9));
}

/// Random linear or quadratic problems that are feasible, at a point inside, and bounded by their bounds.
#[derive(Clone, Debug)]
struct Random {
    costs: Vec<f64>,
    rows: Vec<(Vec<f64>, f64, bool)>,
    curvature: Vec<f64>,
}

fn random() -> impl Strategy<Value = Random> {
    let small = || (-4i32..=4).prop_map(f64::from);
    (2usize..6, 1usize..5).prop_flat_map(move |(n, m)| {
        let rows = vec((vec(small(), n), 0.0..3.0_f64, any::<bool>()), m);
        (
            vec(-5.0..5.0_f64, n),
            rows,
            prop_oneof![Just(Vec::new()), vec(0.1..3.0_f64, n)],
        )
            .prop_map(|(costs, rows, curvature)| Random {
                costs,
                rows,
                curvature,
            })
    })
}

impl Random {
    /// The problem with the active side of row `moved` moved by `step`.
    fn build(&self, moved: usize, step: f64) -> Problem {
        let mut builder = ProblemBuilder::new("random");
        let variables: Vec<_> = self
            .costs
            .iter()
            .map(|cost| builder.variable("", -1.0, 2.0, *cost))
            .collect();
        for (index, (terms, slack, lower)) in self.rows.iter().enumerate() {
            let step = if index == moved { step } else { 0.0 };
            let terms = variables.iter().copied().zip(terms.iter().copied());
            if *lower {
                builder.row("", -slack + step, terms, INF);
            } else {
                builder.row("", -INF, terms, slack + step);
            }
        }
        for (variable, curvature) in variables.iter().zip(&self.curvature) {
            builder.quadratic(*variable, *variable, *curvature);
        }
        builder.build().unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The optimal value is convex in a side, so a dual lies between the slopes to the left and to the right.
    #[test]
    fn duals_lie_between_one_sided_differences(random in random(), pick: prop::sample::Index) {
        let row = pick.index(random.rows.len());
        let step = 1e-4;
        let value = |step: f64| solve(&random.build(row, step)).into_optimal().map(|s| s.objective());
        let middle = optimum(&random.build(row, 0.0));
        let dual = middle.duals().unwrap().rows[row];
        let slack = 1e-4 * (1.0 + dual.abs());
        // With no room to move, a neighbour may be infeasible: then there is no slope on that side.
        if let Ok(right) = value(step) {
            prop_assert!(dual <= (right - middle.objective()) / step + slack, "{dual}");
        }
        if let Ok(left) = value(-step) {
            prop_assert!(dual >= (middle.objective() - left) / step - slack, "{dual}");
        }
    }
}
