//! Checks of the numbers that prove that there is no optimum.

use super::{
    ACCEPTANCE, PrimalWorst, Worst, check_dual_lengths, cone_violation_of, dual_cone_violation,
    gradient_terms, largest, subtract_columns,
};
use crate::{Certificate, Error, Problem};

/// How many times the tolerance the residual of a ray may reach, and by how many times it the ray's own claim
/// has to stand out. It is below [`ACCEPTANCE`], because a ray is followed for any distance.
pub const RAY_ACCEPTANCE: f64 = 10.0;

/// Part of a row's or column's largest possible term that sums are measured against where their terms are
/// smaller: multipliers that are zero by rounding alone must not look like violations.
const TERM_FLOOR: f64 = 1e-3;

/// Whether a certificate proves what it claims.
///
/// - [`Certificate::Farkas`]: the signs select finite sides, the cone multipliers are in their cones, the
///   combination `g` vanishes where a variable has no bound to lean on, and the left side of the contradiction
///   exceeds its right side by more than [`RAY_ACCEPTANCE`]` · tolerance` of the largest term.
/// - [`Certificate::Ray`]: the point is feasible, and the direction satisfies every homogeneous constraint,
///   has no curvature and improves the objective, in the same sense.
///
/// # Errors
/// [`Error::Length`] if a vector does not fit the problem, [`Error::WrongAnswer`] if it proves nothing; its
/// `solver` is the name given here.
pub fn certificate(
    problem: &Problem,
    certificate: &Certificate,
    solver: &str,
    tolerance: f64,
) -> Result<(), Error> {
    match certificate {
        Certificate::Farkas { rows, cones } => farkas(problem, rows, cones, solver, tolerance),
        Certificate::Ray { point, direction } => ray(problem, point, direction, solver, tolerance),
    }
}

fn farkas(
    problem: &Problem,
    y: &[f64],
    z: &[Vec<f64>],
    solver: &str,
    tolerance: f64,
) -> Result<(), Error> {
    check_dual_lengths(problem, y, z)?;
    let allowed = RAY_ACCEPTANCE * tolerance;
    let wrong = |violation, amount, place| {
        Err(Error::WrongAnswer {
            solver: solver.to_owned(),
            claim: "a Farkas ray",
            violation,
            amount,
            allowed,
            place,
        })
    };
    let whole = || "the whole problem".to_owned();
    let size = largest(y.iter().chain(z.iter().flatten()).copied());
    if !size.is_finite() || size == 0.0 {
        return wrong("the size of the multipliers", size, whole());
    }
    // left = Σ y side − Σ z·h, and scale = its largest term.
    let (mut left, mut scale) = (0.0, 0.0_f64);
    for (row, &multiplier) in y.iter().enumerate() {
        if multiplier == 0.0 {
            continue;
        }
        let side = if multiplier > 0.0 {
            problem.row_lower[row]
        } else {
            problem.row_upper[row]
        };
        if !side.is_finite() {
            return wrong(
                "a multiplier on an open side",
                multiplier.abs() / size,
                problem.describe_row(row),
            );
        }
        left += multiplier * side;
        scale = scale.max((multiplier * side).abs());
    }
    for (index, (cone, multiplier)) in problem.cones.iter().zip(z).enumerate() {
        // Multipliers have to be in their cone exactly; adapters project before they ask.
        let violation = dual_cone_violation(multiplier);
        if violation > 4.0 * f64::EPSILON {
            return wrong(
                "the distance of a multiplier from its cone",
                violation,
                problem.describe_cone(index),
            );
        }
        for (term, weight) in cone.terms().zip(multiplier) {
            left -= weight * term.constant;
            scale = scale.max((weight * term.constant).abs());
        }
    }
    let count = problem.variable_count();
    let mut combination = vec![0.0; count];
    let mut scales = vec![0.0; count];
    subtract_columns(problem, y, z, &mut combination, &mut scales);
    // The largest term that each column could have: noise in the multipliers scales with it.
    let possible = column_sizes(problem);
    let mut open = Worst::default();
    let mut right = 0.0;
    for (index, negated) in combination.into_iter().enumerate() {
        let g = -negated;
        if g == 0.0 {
            continue;
        }
        let bound = if g > 0.0 {
            problem.upper[index]
        } else {
            problem.lower[index]
        };
        if bound.is_finite() {
            right += g * bound;
            scale = scale.max((g * bound).abs());
        } else {
            let reference = scales[index].max(TERM_FLOOR * possible[index] * size);
            open.take(g.abs() / reference, index);
        }
    }
    if open.amount > allowed {
        return wrong(
            "the combination at a variable without a bound",
            open.amount,
            problem.describe_variable(open.index),
        );
    }
    let margin = (left - right) / scale;
    if margin.is_nan() || margin <= allowed {
        return wrong("the missing margin of the contradiction", -margin, whole());
    }
    Ok(())
}

/// Largest coefficient of each variable in rows and cones.
fn column_sizes(problem: &Problem) -> Vec<f64> {
    let mut sizes: Vec<f64> = (0..problem.variable_count())
        .map(|column| largest(problem.by_column.line(column).map(|(_, value)| value)))
        .collect();
    for cone in &problem.cones {
        for term in cone.terms() {
            for &(variable, coefficient) in &term.terms {
                let size = &mut sizes[variable.index()];
                *size = size.max(coefficient.abs());
            }
        }
    }
    sizes
}

fn ray(
    problem: &Problem,
    point: &[f64],
    direction: &[f64],
    solver: &str,
    tolerance: f64,
) -> Result<(), Error> {
    problem.check_length(point)?;
    problem.check_length(direction)?;
    PrimalWorst::of(problem, point).check(problem, solver, ACCEPTANCE * tolerance)?;
    let allowed = RAY_ACCEPTANCE * tolerance;
    let wrong = |violation, amount, place| {
        Err(Error::WrongAnswer {
            solver: solver.to_owned(),
            claim: "a ray",
            violation,
            amount,
            allowed,
            place,
        })
    };
    let size = largest(direction.iter().copied());
    if !size.is_finite() || size == 0.0 {
        return wrong(
            "the size of the direction",
            size,
            "the whole problem".to_owned(),
        );
    }
    let mut bounds = Worst::default();
    for (index, &step) in direction.iter().enumerate() {
        if (step < 0.0 && problem.lower[index].is_finite())
            || (step > 0.0 && problem.upper[index].is_finite())
        {
            bounds.take(step.abs() / size, index);
        }
    }
    // Bounds have to hold exactly; adapters clip before they ask.
    if bounds.amount > 0.0 {
        return wrong(
            "the step across a bound",
            bounds.amount,
            problem.describe_variable(bounds.index),
        );
    }
    let mut rows = Worst::default();
    for row in 0..problem.row_count() {
        let (mut sum, mut term, mut coefficient) = (0.0, 0.0_f64, 0.0_f64);
        for (index, value) in problem.by_row.line(row) {
            sum += value * direction[index];
            term = term.max((value * direction[index]).abs());
            coefficient = coefficient.max(value.abs());
        }
        let scale = term.max(TERM_FLOOR * coefficient * size);
        if (sum < 0.0 && problem.row_lower[row].is_finite())
            || (sum > 0.0 && problem.row_upper[row].is_finite())
        {
            rows.take(sum.abs() / scale, row);
        }
    }
    if rows.amount > allowed {
        return wrong(
            "the step across a row",
            rows.amount,
            problem.describe_row(rows.index),
        );
    }
    for (index, cone) in problem.cones.iter().enumerate() {
        let violation = cone_violation_of(cone, direction, size);
        if violation > allowed {
            return wrong(
                "the step across a cone",
                violation,
                problem.describe_cone(index),
            );
        }
    }
    let curvature = gradient_terms(problem, direction);
    let steepest = largest(problem.quadratic.values().iter().copied());
    for (index, (value, scale)) in curvature.into_iter().enumerate() {
        if value.abs() > allowed * scale.max(TERM_FLOOR * steepest * size) {
            return wrong(
                "the curvature along the direction",
                value.abs(),
                problem.describe_variable(index),
            );
        }
    }
    let (mut slope, mut scale) = (0.0, 0.0_f64);
    for (cost, step) in problem.costs.iter().zip(direction) {
        slope += cost * step;
        scale = scale.max((cost * step).abs());
    }
    let gain = -slope / scale;
    if gain.is_nan() || gain <= allowed {
        return wrong(
            "the missing improvement of the objective",
            -gain,
            "the objective".to_owned(),
        );
    }
    Ok(())
}
