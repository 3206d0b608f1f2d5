use super::*;
use crate::{Certificate, ProblemBuilder};

const INF: f64 = f64::INFINITY;

/// minimise x + 2y, x + y ≥ 2, 0 ≤ x ≤ 1.5, y ≥ 0: optimum x = 1.5, y = 0.5, cost 2.5, row dual 2, reduced cost of x −1.
fn small() -> Problem {
    let mut builder = ProblemBuilder::new("small");
    let x = builder.variable("x", 0.0, 1.5, 1.0);
    let y = builder.variable("y", 0.0, INF, 2.0);
    builder.row("sum", 2.0, [(x, 1.0), (y, 1.0)], INF);
    builder.build().unwrap()
}

fn duals(rows: &[f64]) -> Duals {
    Duals {
        rows: rows.to_vec(),
        reduced_costs: Vec::new(),
        cones: Vec::new(),
    }
}

#[test]
fn right_answer_is_accepted_with_its_bound() {
    let solution = Solution::verified(
        &small(),
        "by hand",
        vec![1.5, 0.5],
        Some(duals(&[2.0])),
        None,
        1e-8,
    )
    .unwrap();
    assert_eq!(solution.objective(), 2.5);
    assert_eq!(solution.bound(), 2.5);
    assert_eq!(solution.gap(), 0.0);
    assert_eq!(solution.duals().unwrap().reduced_costs, [-1.0, 0.0]);
    assert_eq!(solution.residuals().primal(), 0.0);
}

#[test]
fn wrong_answers_are_refused_with_their_place() {
    let problem = small();
    let message = |primal: Vec<f64>, rows: Option<&[f64]>| {
        Solution::verified(&problem, "by hand", primal, rows.map(duals), None, 1e-8)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(message(vec![1.5, 0.4], None), @"wrong answer from by hand: claimed a feasible point, but the violation of a row is 5.000e-2 relative (allowed 1.0e-6) at row `sum` (0)");
    insta::assert_snapshot!(message(vec![1.6, 0.5], None), @"wrong answer from by hand: claimed a feasible point, but the violation of a bound is 6.667e-2 relative (allowed 1.0e-6) at variable `x` (0)");
    insta::assert_snapshot!(message(vec![1.0, 1.0], Some(&[2.0])), @"wrong answer from by hand: claimed an optimal point, but the duality gap is 1.667e-1 relative (allowed 1.0e-6) at problem `small` (0)");
    insta::assert_snapshot!(message(vec![1.5, 0.5], Some(&[2.5])), @"wrong answer from by hand: claimed an optimal point, but the violation of dual feasibility is 2.000e-1 relative (allowed 1.0e-6) at variable `y` (1)");
    insta::assert_snapshot!(message(vec![f64::NAN, 0.5], None), @"wrong answer from by hand: claimed a feasible point, but the violation of a bound is inf relative (allowed 1.0e-6) at variable `x` (0)");
    insta::assert_snapshot!(message(vec![1.5], None), @"length of the point is 1, but the problem needs 2");
    insta::assert_snapshot!(message(vec![1.5, 0.5], Some(&[])), @"length of the row multipliers is 0, but the problem needs 1");
}

#[test]
fn residuals_do_not_depend_on_the_unit_of_a_row() {
    for unit in [1e-9, 1.0, 1e9] {
        let mut builder = ProblemBuilder::new("unit");
        let x = builder.variable("x", -INF, INF, 0.0);
        builder.row("r", 3.0 * unit, [(x, unit)], INF);
        let problem = builder.build().unwrap();
        let residual = feasibility(&problem, &[2.0]).unwrap().rows;
        assert!((residual - 1.0 / 3.0).abs() < 1e-12, "{residual}");
    }
}

#[test]
fn empty_rows_are_measured_absolutely() {
    let mut builder = ProblemBuilder::new("empty");
    builder.variable("x", 0.0, 1.0, 0.0);
    builder.row("r", -1.0, [], 0.0);
    builder.row("s", 0.5, [], 1.0);
    let problem = builder.build().unwrap();
    assert_eq!(feasibility(&problem, &[0.0]).unwrap().rows, 0.5);
}

#[test]
fn integrality_and_cones_count() {
    let mut builder = ProblemBuilder::new("mixed");
    let x = builder.integer("x", 0.0, 9.0, 0.0);
    let y = builder.variable("y", 0.0, 9.0, 0.0);
    builder.second_order_cone("c", y.into(), vec![x.into(), AffineTerm::constant(4.0)]);
    let problem = builder.build().unwrap();
    let residuals = feasibility(&problem, &[3.0, 4.0]).unwrap();
    assert!((residuals.cones - 0.25).abs() < 1e-12);
    assert_eq!(feasibility(&problem, &[3.0, 5.0]).unwrap().primal(), 0.0);
    assert_eq!(
        feasibility(&problem, &[2.75, 5.0]).unwrap().integrality,
        0.25
    );
}

#[test]
fn bound_of_a_maximisation_lies_above() {
    let mut builder = ProblemBuilder::new("max");
    let x = builder.variable("x", 0.0, 2.0, 3.0);
    builder.row("r", -INF, [(x, 1.0)], 1.0);
    builder.objective_offset(10.0);
    builder.maximise();
    let problem = builder.build().unwrap();
    // In minimisation form the row's upper side is active with multiplier −3.
    let solution = Solution::verified(
        &problem,
        "by hand",
        vec![1.0 - 1e-8],
        Some(duals(&[-3.0])),
        None,
        1e-8,
    )
    .unwrap();
    assert!(solution.objective() < solution.bound());
    assert!((solution.bound() - 13.0).abs() < 1e-12);
    let unproven = Solution::verified(&problem, "by hand", vec![0.5], None, None, 1e-8).unwrap();
    assert_eq!(unproven.bound(), INF);
}

#[test]
fn farkas_rays_are_checked() {
    // x + y ≥ 5 with x ≤ 2, y ≤ 2.
    let mut builder = ProblemBuilder::new("infeasible");
    let x = builder.variable("x", -INF, 2.0, 0.0);
    let y = builder.variable("y", 0.0, 2.0, 0.0);
    builder.row("r", 5.0, [(x, 1.0), (y, 1.0)], INF);
    builder.row("s", -INF, [(x, 1.0)], INF);
    let problem = builder.build().unwrap();
    let check = |rows: &[f64]| {
        let ray = Certificate::Farkas {
            rows: rows.to_vec(),
            cones: vec![],
        };
        certificate(&problem, &ray, "by hand", 1e-8)
    };
    assert!(check(&[1.0, 0.0]).is_ok());
    for wrong in [
        [-1.0, 0.0],
        [0.0, 0.0],
        [1.0, 1.0],
        [1.0, -1.0],
        [f64::NAN, 0.0],
    ] {
        assert!(check(&wrong).is_err(), "{wrong:?}");
    }
    // With room in the bounds the same ray proves nothing.
    let mut builder = problem.to_builder();
    builder.set_bounds(x, -INF, 3.5);
    let feasible = builder.build().unwrap();
    let ray = Certificate::Farkas {
        rows: vec![1.0, 0.0],
        cones: vec![],
    };
    assert!(certificate(&feasible, &ray, "by hand", 1e-8).is_err());
}

#[test]
fn a_small_but_real_combination_is_not_noise() {
    // 1e-9 x ≥ 1 is feasible at x = 1e9.
    let mut builder = ProblemBuilder::new("far");
    let x = builder.variable("x", 0.0, INF, 0.0);
    builder.row("r", 1.0, [(x, 1e-9)], INF);
    let problem = builder.build().unwrap();
    let ray = Certificate::Farkas {
        rows: vec![1.0],
        cones: vec![],
    };
    assert!(certificate(&problem, &ray, "by hand", 1e-8).is_err());
}

#[test]
fn primal_rays_are_checked() {
    // minimise −x, x − y ≤ 1, x, y ≥ 0.
    let mut builder = ProblemBuilder::new("unbounded");
    let x = builder.variable("x", 0.0, INF, -1.0);
    let y = builder.variable("y", 0.0, INF, 0.0);
    builder.row("r", -INF, [(x, 1.0), (y, -1.0)], 1.0);
    let problem = builder.build().unwrap();
    let check = |problem: &Problem, point: [f64; 2], direction: [f64; 2]| {
        let ray = Certificate::Ray {
            point: point.to_vec(),
            direction: direction.to_vec(),
        };
        certificate(problem, &ray, "by hand", 1e-8)
    };
    assert!(check(&problem, [0.0, 0.0], [1.0, 1.0]).is_ok());
    assert!(
        check(&problem, [3.0, 0.0], [1.0, 1.0]).is_err(),
        "infeasible point"
    );
    assert!(
        check(&problem, [0.0, 0.0], [1.0, 0.5]).is_err(),
        "leaves the row"
    );
    assert!(
        check(&problem, [0.0, 0.0], [-1.0, 1.0]).is_err(),
        "leaves a bound"
    );
    assert!(
        check(&problem, [0.0, 0.0], [0.0, 1.0]).is_err(),
        "gains nothing"
    );
    assert!(
        check(&problem, [0.0, 0.0], [0.0, 0.0]).is_err(),
        "goes nowhere"
    );
    let mut builder = problem.to_builder();
    builder.quadratic(x, x, 1e-3);
    let curved = builder.build().unwrap();
    assert!(check(&curved, [0.0, 0.0], [1.0, 1.0]).is_err(), "curvature");
}
