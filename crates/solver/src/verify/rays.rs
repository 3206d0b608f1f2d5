//! Checks of the numbers that prove that there is no optimum.

use super::{
    ACCEPTANCE, PrimalWorst, Worst, check_dual_lengths, cone_step, dual_cone_violation, largest,
    quadratic_times, subtract_columns,
};
use crate::{Certificate, Error, Problem};

/// How far a certificate has to reach, times the tolerance: at the default tolerance of `1e-8`, a hundred million
/// times beyond the numbers of the problem.
///
/// In floating point a combination that should vanish leaves a rest, so a certificate excludes answers up to
/// a size and not beyond. [`certificate`] says which size.
pub const REACH: f64 = 1.0;

/// Part of the largest term that a sum has to exceed to be more than rounding.
const ROUNDING: f64 = 1e-11;

/// Whether a certificate proves what it claims.
///
/// - [`Certificate::Farkas`]: signs select finite sides and cone multipliers are in their cones, exactly. The
///   contradiction has to stand out from the rounding of its own sum. Where a variable has no bound to lean on,
///   its entry of `g` should vanish, and what is left of it, `ρ = Σ_j |g_j|`, cannot mend the contradiction for
///   points with `|x_j| ≤ margin / ρ`. This size has to be at least [`REACH`]` / tolerance` times the largest
///   `|side| / (largest coefficient)` of the rows and bounds in use.
/// - [`Certificate::Ray`]: the point is feasible, and the direction stays within the bounds exactly. With
///   `ρ = Σ_r (violation of row r) / (its largest coefficient)`, cones and curvature included, a bounded problem would
///   need a dual multiplier, times that coefficient, of at least `gain / ρ`. This has to be at least
///   [`REACH`]` / tolerance` times the largest cost.
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
    let allowed = tolerance / REACH;
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
    let mut sums = Sums::default();
    if let Err((violation, amount, place)) = sums.add_sides(problem, y, z, size) {
        return wrong(violation, amount, place);
    }
    let (rest, open) = sums.add_bounds(problem, y, z, tolerance);
    let margin = sums.left - sums.right;
    if margin.is_nan() || margin <= ROUNDING * sums.scale {
        return wrong(
            "the missing margin of the contradiction",
            -margin / sums.scale,
            whole(),
        );
    }
    let amount = rest * sums.extent / margin;
    if amount.is_nan() || amount > allowed {
        return wrong(
            "the rest of the combination at variables without a bound",
            amount,
            problem.describe_variable(open.index),
        );
    }
    Ok(())
}

/// The two sides of the contradiction.
#[derive(Default)]
struct Sums {
    /// `Σ y side − Σ z·h`.
    left: f64,
    /// The largest value of `gᵀx` within the bounds.
    right: f64,
    /// The largest term of both.
    scale: f64,
    /// The largest point that the sides and bounds in use speak of.
    extent: f64,
}

impl Sums {
    fn add_sides(
        &mut self,
        problem: &Problem,
        y: &[f64],
        z: &[Vec<f64>],
        size: f64,
    ) -> Result<(), (&'static str, f64, String)> {
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
                return Err((
                    "a multiplier on an open side",
                    multiplier.abs() / size,
                    problem.describe_row(row),
                ));
            }
            let coefficient = largest(problem.by_row.line(row).map(|(_, value)| value));
            self.take(multiplier * side, side, coefficient);
        }
        for (index, (cone, multiplier)) in problem.cones.iter().zip(z).enumerate() {
            // Multipliers have to be in their cone exactly; adapters project before they ask.
            let violation = dual_cone_violation(multiplier);
            if violation > 4.0 * f64::EPSILON {
                return Err((
                    "the distance of a multiplier from its cone",
                    violation,
                    problem.describe_cone(index),
                ));
            }
            for (term, &weight) in cone.terms().zip(multiplier) {
                if weight != 0.0 {
                    let coefficient = largest(term.terms.iter().map(|entry| entry.1));
                    self.take(-weight * term.constant, term.constant, coefficient);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, term: f64, side: f64, coefficient: f64) {
        self.left += term;
        self.scale = self.scale.max(term.abs());
        if coefficient > 0.0 {
            self.extent = self.extent.max(side.abs() / coefficient);
        }
    }

    /// What is left of the combination at variables without a bound: the sum, and the largest with its place.
    fn add_bounds(
        &mut self,
        problem: &Problem,
        y: &[f64],
        z: &[Vec<f64>],
        tolerance: f64,
    ) -> (f64, Worst) {
        let count = problem.variable_count();
        let mut combination = vec![0.0; count];
        let mut scales = vec![0.0; count];
        subtract_columns(problem, y, z, &mut combination, &mut scales);
        let (mut rest, mut open) = (0.0, Worst::default());
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
                self.right += g * bound;
                self.scale = self.scale.max((g * bound).abs());
                // A bound in use counts; the rounding that leans on a far one does not make it used.
                if g.abs() > tolerance * scales[index] {
                    self.extent = self.extent.max(bound.abs());
                }
            } else {
                rest += g.abs();
                open.take(g.abs(), index);
            }
        }
        (rest, open)
    }
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
    let allowed = tolerance / REACH;
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
    let steepest = largest(
        problem
            .costs
            .iter()
            .chain(problem.quadratic.values())
            .copied(),
    );
    let (mut slope, mut scale) = (0.0, 0.0_f64);
    for (cost, step) in problem.costs.iter().zip(direction) {
        slope += cost * step;
        scale = scale.max((cost * step).abs());
    }
    let gain = -slope;
    if gain.is_nan() || gain <= ROUNDING * scale {
        return wrong(
            "the missing improvement of the objective",
            slope / scale,
            "the objective".to_owned(),
        );
    }
    // The sum of violations, each in the unit of the variables.
    let (mut sum, mut worst, mut place) = (0.0, 0.0, String::new());
    let mut add = |violation: f64, describe: &dyn Fn() -> String| {
        sum += violation;
        if violation > worst {
            (worst, place) = (violation, describe());
        }
    };
    for row in 0..problem.row_count() {
        let (mut step, mut coefficient) = (0.0, 0.0_f64);
        for (index, value) in problem.by_row.line(row) {
            step += value * direction[index];
            coefficient = coefficient.max(value.abs());
        }
        let crosses = (step < 0.0 && problem.row_lower[row].is_finite())
            || (step > 0.0 && problem.row_upper[row].is_finite());
        if crosses {
            add(step.abs() / coefficient, &|| problem.describe_row(row));
        }
    }
    for (index, cone) in problem.cones.iter().enumerate() {
        let (step, coefficient) = cone_step(cone, direction);
        if step > 0.0 {
            add(step / coefficient, &|| problem.describe_cone(index));
        }
    }
    for (index, value) in quadratic_times(problem, direction).into_iter().enumerate() {
        if value != 0.0 {
            add(value.abs() / steepest, &|| problem.describe_variable(index));
        }
    }
    let amount = sum * steepest / gain;
    if amount.is_nan() || amount > allowed {
        return wrong("the step across constraints", amount, place);
    }
    Ok(())
}
