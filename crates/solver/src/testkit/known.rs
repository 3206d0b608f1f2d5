//! Problems whose answers are known by hand.

use super::Expected::{Infeasible, Optimal, Unbounded};
use super::{Expected, Report, pose};
use crate::{AffineTerm, Error, Problem, ProblemBuilder, Solver};

const INF: f64 = f64::INFINITY;

type Case = (&'static str, fn(&mut ProblemBuilder), Expected);

pub(super) fn run(solver: &dyn Solver, report: &mut Report) {
    for (name, write, expected) in CASES {
        report.add(*name, pose(solver, build(name, *write), *expected));
    }
}

fn build(name: &str, write: fn(&mut ProblemBuilder)) -> Result<Problem, Error> {
    let mut builder = ProblemBuilder::new(name);
    write(&mut builder);
    builder.build()
}

const CASES: &[Case] = &[
    (
        "no variables, no rows",
        |b| b.objective_offset(3.0),
        Optimal(3.0),
    ),
    ("no rows", no_rows, Optimal(-7.0)),
    (
        "empty rows that hold",
        |b| empty_row(b, -1.0, 0.0),
        Optimal(2.0),
    ),
    (
        "empty row that cannot hold",
        |b| empty_row(b, 1.0, 2.0),
        Infeasible,
    ),
    ("two rows", two_rows, Optimal(7.0)),
    ("ranged row", |b| ranged(b, 1.0), Optimal(3.0)),
    ("ranged row from above", |b| ranged(b, -1.0), Optimal(-5.0)),
    (
        "equalities and free variables",
        free_variables,
        Optimal(4.0),
    ),
    ("fixed variables", fixed_variables, Optimal(13.0)),
    ("all variables fixed", all_fixed, Optimal(5.0)),
    (
        "all variables fixed, against a row",
        all_fixed_wrong,
        Infeasible,
    ),
    ("negative upper bound", negative_upper, Optimal(-8.0)),
    ("repeated variable in a row", repeated, Optimal(2.0)),
    ("dependent equalities", dependent, Optimal(2.0)),
    ("contradicting equalities", contradicting, Infeasible),
    ("degenerate vertex", degenerate, Optimal(-0.05)),
    ("assignment", assignment, Optimal(5.0)),
    ("large and small coefficients", scales, Optimal(3e6)),
    (
        "objective of zero",
        |b| zero_objective(b, 1.0),
        Optimal(0.0),
    ),
    (
        "infeasible with an objective of zero",
        |b| zero_objective(b, 5.0),
        Infeasible,
    ),
    ("rows against bounds", rows_against_bounds, Infeasible),
    ("infeasible and unbounded at once", both, Infeasible),
    ("unbounded without rows", unbounded_box, Unbounded),
    ("unbounded along an edge", unbounded_edge, Unbounded),
    (
        "unbounded maximum from a distant point",
        unbounded_distant,
        Unbounded,
    ),
    ("free row", free_row, Optimal(1.0)),
    ("closest point", closest_point, Optimal(0.5)),
    ("quadratic without rows", quadratic_alone, Optimal(-5.5)),
    ("semidefinite quadratic", semidefinite, Optimal(-1.0)),
    ("concave maximum", concave, Optimal(6.25)),
    (
        "quadratic with fixed variables",
        quadratic_fixed,
        Optimal(9.5),
    ),
    ("infeasible quadratic", infeasible_quadratic, Infeasible),
    (
        "quadratic without curvature along a ray",
        flat_quadratic,
        Unbounded,
    ),
    (
        "largest sum in a disc",
        disc,
        Optimal(std::f64::consts::SQRT_2),
    ),
    ("distance to a line", distance, Optimal(1.0)),
    ("cone without parts", |b| half_space(b, 4.0), Optimal(-4.0)),
    (
        "constant cone that holds",
        |b| constant_cone(b, 5.0),
        Optimal(0.0),
    ),
    (
        "constant cone that cannot hold",
        |b| constant_cone(b, 4.9),
        Infeasible,
    ),
    ("disc and half-space apart", apart, Infeasible),
    ("ice-cream cone without end", endless_cone, Unbounded),
    ("knapsack", knapsack, Optimal(23.0)),
    (
        "integers with ranges and negative bounds",
        integers,
        Optimal(-11.0),
    ),
    (
        "integer bounds between whole numbers",
        |b| between(b, 2.7),
        Optimal(2.0),
    ),
    (
        "integer bounds without a whole number",
        |b| between(b, 1.8),
        Infeasible,
    ),
    ("integers between two rows", parity, Infeasible),
    ("switch and quantity", switches, Optimal(36.0)),
    (
        "integers without end",
        |b| endless_integers(b, -1.0),
        Unbounded,
    ),
    (
        "open integers that costs hold back",
        |b| endless_integers(b, 1.0),
        Optimal(3.0),
    ),
];

fn no_rows(b: &mut ProblemBuilder) {
    b.variable("up", 1.0, 4.0, -2.0);
    b.variable("down", -1.0, INF, 1.0);
    b.variable("idle", -INF, INF, 0.0);
    b.objective_offset(2.0);
}

fn empty_row(b: &mut ProblemBuilder, lower: f64, upper: f64) {
    let x = b.variable("x", 2.0, 3.0, 1.0);
    b.row("empty", lower, [], upper);
    b.row("x", 0.0, [(x, 1.0)], 9.0);
    b.row("cancels", 0.0, [(x, 1.0), (x, -1.0)], 0.0);
}

/// max x + 2y, x + y ≤ 4, 2x + y ≥ 2, y ≤ 3.
fn two_rows(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, 1.0);
    let y = b.variable("y", 0.0, 3.0, 2.0);
    b.row("together", -INF, [(x, 1.0), (y, 1.0)], 4.0);
    b.row("least", 2.0, [(x, 2.0), (y, 1.0)], INF);
    b.maximise();
}

fn ranged(b: &mut ProblemBuilder, sign: f64) {
    let x = b.variable("x", 0.0, 10.0, sign);
    let y = b.variable("y", 0.0, 10.0, sign);
    b.row("between", 3.0, [(x, 1.0), (y, 1.0)], 5.0);
}

/// min x + y + z, x + y = 3, y − z = 1, x ≥ −1 as a row, z ≥ ½ as a row: x = 1.5, y = 1.5, z = 0.5 costs 3.5;
/// raising x is free against y, so z decides: 3 + z with z ≥ 1.
fn free_variables(b: &mut ProblemBuilder) {
    let [x, y, z] = ["x", "y", "z"].map(|name| b.variable(name, -INF, INF, 1.0));
    b.row("sum", 3.0, [(x, 1.0), (y, 1.0)], 3.0);
    b.row("step", 1.0, [(y, 1.0), (z, -1.0)], 1.0);
    b.row("x", -1.0, [(x, 1.0)], INF);
    b.row("z", 1.0, [(z, 1.0)], INF);
}

fn fixed_variables(b: &mut ProblemBuilder) {
    let f = b.variable("f", 3.0, 3.0, 2.0);
    let g = b.variable("g", -1.0, -1.0, 0.0);
    let x = b.variable("x", 0.0, INF, 1.0);
    b.row("r", 10.0, [(f, 1.0), (g, 0.0), (x, 1.0)], INF);
    b.row("fixed", -INF, [(f, 1.0), (g, 1.0)], 2.0);
}

fn all_fixed(b: &mut ProblemBuilder) {
    let x = b.variable("x", 2.0, 2.0, 1.0);
    let y = b.variable("y", 1.0, 1.0, 3.0);
    b.row("r", 3.0, [(x, 1.0), (y, 1.0)], 3.0);
}

fn all_fixed_wrong(b: &mut ProblemBuilder) {
    let x = b.variable("x", 2.0, 2.0, 1.0);
    let y = b.variable("y", 1.0, 1.0, 3.0);
    b.row("r", 4.0, [(x, 1.0), (y, 1.0)], INF);
}

fn negative_upper(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, -2.0, 1.0);
    b.row("r", -16.0, [(x, 2.0)], INF);
}

fn repeated(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, 1.0);
    b.row("r", 6.0, [(x, 1.0), (x, 2.0)], INF);
}

fn dependent(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, 1.0);
    let y = b.variable("y", 0.0, INF, 2.0);
    b.row("r", 2.0, [(x, 1.0), (y, 1.0)], 2.0);
    b.row("twice", 4.0, [(x, 2.0), (y, 2.0)], 4.0);
}

fn contradicting(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 1.0);
    let y = b.variable("y", -INF, INF, 2.0);
    b.row("r", 2.0, [(x, 1.0), (y, 1.0)], 2.0);
    b.row("twice", 5.0, [(x, 2.0), (y, 2.0)], 5.0);
}

/// The program of Beale (1955) on which the simplex method with the largest-coefficient rule cycles.
fn degenerate(b: &mut ProblemBuilder) {
    let costs = [-0.75, 150.0, -0.02, 6.0];
    let x = costs.map(|cost| b.variable("x", 0.0, INF, cost));
    let row = |a: [f64; 4]| x.into_iter().zip(a);
    b.row("1", -INF, row([0.25, -60.0, -0.04, 9.0]), 0.0);
    b.row("2", -INF, row([0.5, -90.0, -0.02, 3.0]), 0.0);
    b.row("3", -INF, row([0.0, 0.0, 1.0, 0.0]), 1.0);
}

/// Three by three: the cheapest permutation of [[4, 1, 3], [2, 0, 5], [3, 2, 2]] costs 1 + 2 + 2.
fn assignment(b: &mut ProblemBuilder) {
    let costs = [[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]];
    let x = costs.map(|row| row.map(|cost| b.variable("x", 0.0, INF, cost)));
    for i in 0..3 {
        b.row("row", 1.0, (0..3).map(|j| (x[i][j], 1.0)), 1.0);
        b.row("column", 1.0, (0..3).map(|j| (x[j][i], 1.0)), 1.0);
    }
}

/// Watts in one row, gigawatts in the other: 1e6 x ≥ 3e9, 1e-6 y ≥ 1e-6 x.
fn scales(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, 0.0);
    let y = b.variable("y", 0.0, INF, 1e3);
    b.row("large", 3e9, [(x, 1e6)], INF);
    b.row("small", 0.0, [(y, 1e-6), (x, -1e-6)], INF);
}

fn zero_objective(b: &mut ProblemBuilder, least: f64) {
    let x = b.variable("x", 0.0, 2.0, 0.0);
    let y = b.variable("y", 0.0, 2.0, 0.0);
    b.row("r", least, [(x, 1.0), (y, 1.0)], INF);
}

fn rows_against_bounds(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, 1.0, -1.0);
    let y = b.variable("y", 0.0, 3.0, 0.0);
    let z = b.variable("z", -INF, INF, 0.0);
    b.row("chain", 0.0, [(x, 1.0), (z, -1.0)], INF);
    b.row("end", 4.5, [(z, 1.0), (y, 1.0)], INF);
}

fn both(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, -1.0);
    let y = b.variable("y", 0.0, INF, 0.0);
    let z = b.variable("z", 0.0, INF, -1.0);
    b.row("r", 1.0, [(x, 1.0), (y, -1.0)], 1.0);
    b.row("s", 2.0, [(x, 1.0), (y, -1.0)], INF);
    b.row("t", -INF, [(z, 1.0), (y, -1.0)], 5.0);
}

fn unbounded_box(b: &mut ProblemBuilder) {
    b.variable("x", 0.0, 1.0, 1.0);
    b.variable("y", -INF, 0.0, 1.0);
}

fn unbounded_edge(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, -1.0);
    let y = b.variable("y", 0.0, INF, 0.5);
    b.row("r", -INF, [(x, 1.0), (y, -1.0)], 1.0);
    b.row("s", -2.0, [(x, 3.0), (y, -1.0)], INF);
}

/// Feasible points begin at x = 1000.
fn unbounded_distant(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 1.0);
    let y = b.variable("y", -INF, INF, -1.0);
    b.row("r", 1000.0, [(x, 1.0)], INF);
    b.row("s", 0.0, [(x, 1.0), (y, -2.0)], 0.0);
    b.maximise();
}

fn free_row(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, 1.0);
    b.row("free", -INF, [(x, 3.0)], INF);
    b.row("r", 1.0, [(x, 1.0)], INF);
}

/// min x² + y², x + y ≥ 1.
fn closest_point(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 0.0);
    let y = b.variable("y", -INF, INF, 0.0);
    b.quadratic(x, x, 1.0);
    b.quadratic(y, y, 1.0);
    b.row("r", 1.0, [(x, 1.0), (y, 1.0)], INF);
}

/// min x² + xy + 2y² − 3x − y + z² + z, stationary at x = 11/7, y = −1/7, z = −1/2; with the offset −2.92857...
fn quadratic_alone(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, -3.0);
    let y = b.variable("y", -INF, INF, -1.0);
    let z = b.variable("z", -INF, INF, 1.0);
    for (i, j, q) in [(x, x, 1.0), (x, y, 1.0), (y, y, 2.0), (z, z, 1.0)] {
        b.quadratic(i, j, q);
    }
    // ½ cᵀx at the stationary point: ½(−33/7 + 1/7) = −16/7, and −1/4 from z.
    b.objective_offset(-5.5 + 16.0 / 7.0 + 0.25);
}

/// min (x + y)² − 2(x + y), whose optima are a whole line.
fn semidefinite(b: &mut ProblemBuilder) {
    let x = b.variable("x", -5.0, 5.0, -2.0);
    let y = b.variable("y", -5.0, 5.0, -2.0);
    for (i, j, q) in [(x, x, 1.0), (x, y, 2.0), (y, y, 1.0)] {
        b.quadratic(i, j, q);
    }
    b.row("r", -INF, [(x, 1.0), (y, -1.0)], 3.0);
}

/// max 5x − x².
fn concave(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, 9.0, 5.0);
    b.quadratic(x, x, -1.0);
    b.row("r", -INF, [(x, 2.0)], 17.0);
    b.maximise();
}

/// min f² + fx + x² with f = 3 and x ≥ −1.5, offset 2.75: 9 − 2.25 + 2.75.
fn quadratic_fixed(b: &mut ProblemBuilder) {
    let f = b.variable("f", 3.0, 3.0, 0.0);
    let x = b.variable("x", -INF, INF, 0.0);
    for (i, j, q) in [(f, f, 1.0), (f, x, 1.0), (x, x, 1.0)] {
        b.quadratic(i, j, q);
    }
    b.row("r", -INF, [(x, 1.0), (f, 1.0)], 20.0);
    b.objective_offset(2.75);
}

fn infeasible_quadratic(b: &mut ProblemBuilder) {
    closest_point(b);
    let x = b.variable("w", -INF, 0.0, 0.0);
    b.row("s", 1.0, [(x, 1.0)], INF);
}

/// min (x − y)² − x: along x = y nothing holds it.
fn flat_quadratic(b: &mut ProblemBuilder) {
    let x = b.variable("x", 0.0, INF, -1.0);
    let y = b.variable("y", 0.0, INF, 0.0);
    for (i, j, q) in [(x, x, 1.0), (x, y, -2.0), (y, y, 1.0)] {
        b.quadratic(i, j, q);
    }
    b.row("r", 1.0, [(x, 1.0), (y, 1.0)], INF);
}

/// max x + y, ‖(x, y)‖ ≤ 1.
fn disc(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 1.0);
    let y = b.variable("y", -INF, INF, 1.0);
    b.second_order_cone("disc", AffineTerm::constant(1.0), vec![x.into(), y.into()]);
    b.maximise();
}

/// min t, ‖(x − 3, y + 1)‖ ≤ t, 3x + 4y = 10: |9 − 4 − 10| / 5.
fn distance(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 0.0);
    let y = b.variable("y", -INF, INF, 0.0);
    let t = b.variable("t", -INF, INF, 1.0);
    b.row("line", 10.0, [(x, 3.0), (y, 4.0)], 10.0);
    b.second_order_cone(
        "distance",
        t.into(),
        vec![
            AffineTerm::new([(x, 1.0)], -3.0),
            AffineTerm::new([(y, 2.0), (y, -1.0)], 1.0),
        ],
    );
}

/// The cone x + room ≥ 0.
fn half_space(b: &mut ProblemBuilder, room: f64) {
    let x = b.variable("x", -INF, INF, 1.0);
    b.second_order_cone("half", AffineTerm::new([(x, 1.0)], room), vec![]);
}

fn constant_cone(b: &mut ProblemBuilder, radius: f64) {
    let x = b.variable("x", 3.0, 3.0, 0.0);
    b.variable("y", 0.0, 1.0, 1.0);
    b.second_order_cone(
        "constant",
        AffineTerm::constant(radius),
        vec![x.into(), AffineTerm::constant(4.0)],
    );
}

fn apart(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 0.0);
    let y = b.variable("y", -INF, INF, 1.0);
    b.second_order_cone("disc", AffineTerm::constant(1.0), vec![x.into(), y.into()]);
    b.row("r", 1.5, [(x, 1.0), (y, 1.0)], INF);
}

fn endless_cone(b: &mut ProblemBuilder) {
    let x = b.variable("x", -INF, INF, 0.0);
    let t = b.variable("t", -INF, INF, -1.0);
    b.second_order_cone("cone", t.into(), vec![x.into()]);
    b.row("r", 1.0, [(x, 1.0)], INF);
}

/// Weights 5, 4, 3, 2 and values 12, 10, 7, 4 in a sack of 9 would be 22 as 5 + 4; 4 + 3 + 2 gives 21; with two
/// of the third allowed (7 + 7 + 10 needs 10) nothing beats 12 + 7 + ... = 23 at 5 + 2 + 2.
fn knapsack(b: &mut ProblemBuilder) {
    let large = b.binary("large", 12.0);
    let middle = b.binary("middle", 10.0);
    let small = b.integer("small", 0.0, 2.0, 5.5);
    b.row(
        "sack",
        -INF,
        [(large, 5.0), (middle, 4.0), (small, 2.0)],
        9.0,
    );
    b.maximise();
}

/// min 2i + j, −7 ≤ 2i + 2j ≤ 7 means |i + j| ≤ 3: i = −5 and j = 2 cost −8, i = −4, j = 1 −7, i = −5, j = −1 needs
/// −6 < −3; so j ≥ −3 − i, j = 2 at i = −5; j is bounded by −1 ≤ j ≤ 2, i by −5: −8. The offset −3 makes it −11.
fn integers(b: &mut ProblemBuilder) {
    let i = b.integer("i", -5.0, 5.0, 2.0);
    let j = b.integer("j", -1.0, 2.0, 1.0);
    b.row("r", -7.0, [(i, 2.0), (j, 2.0)], 7.0);
    b.objective_offset(-3.0);
}

fn between(b: &mut ProblemBuilder, upper: f64) {
    let i = b.integer("i", 1.2, upper, 1.0);
    let x = b.variable("x", 0.0, 1.0, 1.0);
    b.row("r", 0.0, [(i, 1.0), (x, 1.0)], 9.0);
}

/// 2i + 4j = 7 has no whole solution, although the relaxation has many.
fn parity(b: &mut ProblemBuilder) {
    let i = b.integer("i", 0.0, 9.0, 1.0);
    let j = b.integer("j", 0.0, 9.0, 1.0);
    b.row("odd", 7.0, [(i, 2.0), (j, 4.0)], 7.0);
}

/// Two generators with a fee when on: 6 units of need, capacities 5 and 8, fees 10 and 24, prices 3 and 2. Both on
/// cost 34 + 12 + ...; the second alone 24 + 12.
fn switches(b: &mut ProblemBuilder) {
    let mut total = Vec::new();
    for (capacity, fee, price) in [(5.0, 10.0, 3.0), (8.0, 24.0, 2.0)] {
        let on = b.binary("on", fee);
        let power = b.variable("power", 0.0, INF, price);
        b.row("capacity", -INF, [(power, 1.0), (on, -capacity)], 0.0);
        total.push((power, 1.0));
    }
    b.row("need", 6.0, total, INF);
}

/// min cost · (i + j), i − j ≥ 0.5 (so at least 1), i + j ≥ 2.5 (so at least 3).
fn endless_integers(b: &mut ProblemBuilder, cost: f64) {
    let i = b.integer("i", 0.0, INF, cost);
    let j = b.integer("j", 0.0, INF, cost);
    b.row("r", 0.5, [(i, 1.0), (j, -1.0)], INF);
    b.row("s", 2.5, [(i, 1.0), (j, 1.0)], INF);
}
