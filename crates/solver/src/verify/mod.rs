//! Checks of answers by arithmetic alone, without a solver.
//!
//! Residuals are relative to the magnitudes that enter them, so that the same numbers judge a problem in watts
//! and one in megawatts. With `t` the largest term that is added up and `a` the largest coefficient,
//!
//! | quantity | scale |
//! |---|---|
//! | row `r` | `max(a_r, 1e-3 t_r, ·side·)`; 1 for an empty row |
//! | bound of `x_j` | `max(1, ·bound·)` |
//! | cone `k` | largest of its coefficients, its constants and `1e-3` of its terms |
//! | reduced cost `d_j` | `max(t_j, 0.1 · largest cost)` |
//! | duality gap | `max(·objective without offset·, largest term, largest cost)` |
//!
//! A point of a quadratic problem that has run off along a direction without curvature hides a slope in large terms;
//! what the Lagrangian still falls along it counts as gap.
//!
//! A residual is accepted up to [`ACCEPTANCE`] times the tolerance asked for: engines meet their tolerance in
//! scaled units and in norms over all rows, which is not the same as row by row.

use crate::problem::describe_named;
use crate::{AffineTerm, Cone, Duals, Error, Problem, Solution};

/// How many times the requested tolerance a residual of a solution may reach before it is refused.
pub const ACCEPTANCE: f64 = 100.0;

/// Part of the largest term that a row or cone is measured against. Terms that cancel must not excuse a
/// violation, but their rounding has to be allowed.
const TERM_WEIGHT: f64 = 1e-3;

/// Part of the largest cost that reduced costs are measured against where their own terms are smaller.
const COST_FLOOR: f64 = 0.1;

/// Recomputed residuals of a solution, each relative to the magnitudes that enter it. Zero is perfect.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Residuals {
    /// Largest violation of a row.
    pub rows: f64,
    /// Largest violation of a bound of a variable.
    pub bounds: f64,
    /// Largest violation of a second-order cone.
    pub cones: f64,
    /// Largest distance of an integer variable from a whole number.
    pub integrality: f64,
    /// Largest violation of dual feasibility, when there are duals.
    pub dual: Option<f64>,
    /// Gap between primal and dual objective, when there are duals.
    pub gap: Option<f64>,
}

impl Residuals {
    /// The largest violation of feasibility.
    #[must_use]
    pub fn primal(&self) -> f64 {
        self.rows
            .max(self.bounds)
            .max(self.cones)
            .max(self.integrality)
    }

    /// The largest of all.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.primal()
            .max(self.dual.unwrap_or(0.0))
            .max(self.gap.unwrap_or(0.0))
    }
}

/// The largest residual of a kind, and where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    pub amount: f64,
    pub index: usize,
}

impl Worst {
    pub(crate) fn take(&mut self, amount: f64, index: usize) {
        // A NaN is worse than any number and must not slip through a comparison.
        if amount > self.amount || amount.is_nan() {
            self.amount = if amount.is_nan() {
                f64::INFINITY
            } else {
                amount
            };
            self.index = index;
        }
    }
}

/// How far `x` is from satisfying every constraint.
///
/// # Errors
/// [`Error::Length`] if `x` does not have one entry per variable.
pub fn feasibility(problem: &Problem, x: &[f64]) -> Result<Residuals, Error> {
    problem.check_length(x)?;
    let worst = PrimalWorst::of(problem, x);
    Ok(worst.residuals())
}

/// How far `x` and `duals` are from satisfying the conditions of optimality: feasibility of both, and no gap
/// between their objectives.
///
/// The gap is `Σ_r y_r (A x − side)_r + Σ_j d_j (x − bound)_j + Σ_k z_k·s_k`, with the side that the sign of the
/// multiplier selects; it equals primal minus dual objective. Reduced costs that are zero within `tolerance` are
/// left out of it, because a bound far away would turn their rounding into a gap.
///
/// # Errors
/// [`Error::Length`] if a vector does not fit the problem.
pub fn optimality(
    problem: &Problem,
    x: &[f64],
    duals: &Duals,
    tolerance: f64,
) -> Result<Residuals, Error> {
    problem.check_length(x)?;
    check_dual_lengths(problem, &duals.rows, &duals.cones)?;
    let mut residuals = PrimalWorst::of(problem, x).residuals();
    let dual = DualCheck::of(problem, x, &duals.rows, &duals.cones, tolerance);
    residuals.dual = Some(dual.worst.amount);
    residuals.gap = Some(dual.relative_gap());
    Ok(residuals)
}

impl Solution {
    /// Makes a solution out of a point, after checking it.
    ///
    /// - The point has to be feasible: every residual at most [`ACCEPTANCE`]` · tolerance`.
    /// - `duals` (rows and cones; reduced costs are recomputed) have to be feasible and without gap in the same
    ///   sense. They prove the point optimal, and the bound is the dual objective.
    /// - Without duals, `bound` is what the solver proved by other means, in the sense of the problem.
    ///
    /// `solver` is the name that an error prints.
    ///
    /// # Errors
    /// [`Error::Length`] if a vector does not fit, [`Error::WrongAnswer`] if a residual is too large.
    pub fn verified(
        problem: &Problem,
        solver: &str,
        primal: Vec<f64>,
        duals: Option<Duals>,
        bound: Option<f64>,
        tolerance: f64,
    ) -> Result<Self, Error> {
        problem.check_length(&primal)?;
        let allowed = ACCEPTANCE * tolerance;
        let worst = PrimalWorst::of(problem, &primal);
        worst.check(problem, solver, allowed)?;
        let mut residuals = worst.residuals();
        let minimised = problem.minimised(&primal);
        let sign = problem.sense.sign();
        let mut bound = bound.unwrap_or(-sign * f64::INFINITY);
        let duals = match duals {
            None => None,
            Some(duals) => {
                check_dual_lengths(problem, &duals.rows, &duals.cones)?;
                let check = DualCheck::of(problem, &primal, &duals.rows, &duals.cones, tolerance);
                check.check(problem, solver, allowed)?;
                residuals.dual = Some(check.worst.amount);
                residuals.gap = Some(check.relative_gap());
                bound = sign * check.bound(minimised, allowed);
                Some(Duals {
                    reduced_costs: check.reduced_costs,
                    ..duals
                })
            }
        };
        Ok(Self {
            objective: sign * minimised,
            primal,
            bound,
            duals,
            residuals,
        })
    }
}

pub(crate) fn check_dual_lengths(
    problem: &Problem,
    rows: &[f64],
    cones: &[Vec<f64>],
) -> Result<(), Error> {
    if rows.len() != problem.row_count() {
        return Err(Error::Length {
            what: "the row multipliers",
            expected: problem.row_count(),
            found: rows.len(),
        });
    }
    if cones.len() != problem.cones.len() {
        return Err(Error::Length {
            what: "the list of cone multipliers",
            expected: problem.cones.len(),
            found: cones.len(),
        });
    }
    for (cone, multipliers) in problem.cones.iter().zip(cones) {
        if multipliers.len() != cone.parts.len() + 1 {
            return Err(Error::Length {
                what: "a cone's multiplier",
                expected: cone.parts.len() + 1,
                found: multipliers.len(),
            });
        }
    }
    Ok(())
}

/// Worst primal residuals with their places.
pub(crate) struct PrimalWorst {
    rows: Worst,
    bounds: Worst,
    cones: Worst,
    integrality: Worst,
}

impl PrimalWorst {
    pub(crate) fn of(problem: &Problem, x: &[f64]) -> Self {
        let mut rows = Worst::default();
        for row in 0..problem.row_count() {
            let (activity, scale) = sum_and_scale(problem.by_row.line(row), x);
            let (lower, upper) = (problem.row_lower[row], problem.row_upper[row]);
            rows.take(relative_excess(lower, activity, scale), row);
            rows.take(relative_excess(-upper, -activity, scale), row);
        }
        let mut bounds = Worst::default();
        let mut integrality = Worst::default();
        for (index, &value) in x.iter().enumerate() {
            bounds.take(relative_excess(problem.lower[index], value, 1.0), index);
            bounds.take(relative_excess(-problem.upper[index], -value, 1.0), index);
            if !value.is_finite() {
                bounds.take(f64::INFINITY, index);
            }
            if problem.kinds[index].is_integral() {
                integrality.take((value - value.round()).abs(), index);
            }
        }
        let mut cones = Worst::default();
        for (index, cone) in problem.cones.iter().enumerate() {
            cones.take(cone_violation(cone, x), index);
        }
        Self {
            rows,
            bounds,
            cones,
            integrality,
        }
    }

    pub(crate) fn residuals(&self) -> Residuals {
        Residuals {
            rows: self.rows.amount,
            bounds: self.bounds.amount,
            cones: self.cones.amount,
            integrality: self.integrality.amount,
            dual: None,
            gap: None,
        }
    }

    /// The first kind of residual that exceeds `allowed`, as an error.
    pub(crate) fn check(&self, problem: &Problem, solver: &str, allowed: f64) -> Result<(), Error> {
        let places = [
            (self.bounds, "the violation of a bound"),
            (self.rows, "the violation of a row"),
            (self.cones, "the violation of a cone"),
            (self.integrality, "the distance from a whole number"),
        ];
        for (position, (worst, violation)) in places.into_iter().enumerate() {
            if worst.amount > allowed {
                return Err(Error::WrongAnswer {
                    solver: solver.to_owned(),
                    claim: "a feasible point",
                    violation,
                    amount: worst.amount,
                    allowed,
                    place: match position {
                        1 => problem.describe_row(worst.index),
                        2 => problem.describe_cone(worst.index),
                        _ => problem.describe_variable(worst.index),
                    },
                });
            }
        }
        Ok(())
    }
}

/// How far `value` lies below `side`, relative to the scale and the side; 0 when it does not.
fn relative_excess(side: f64, value: f64, scale: f64) -> f64 {
    if side <= value || side == f64::NEG_INFINITY {
        return 0.0; // also when both are equal and the scale is zero
    }
    (side - value) / scale.max(side.abs())
}

/// `Σ value · x[index]` and the scale of the sum: its largest coefficient or term, 1 when there are none.
fn sum_and_scale(line: impl Iterator<Item = (usize, f64)>, x: &[f64]) -> (f64, f64) {
    let (mut sum, mut scale) = (0.0, 0.0_f64);
    for (index, value) in line {
        let term = value * x[index];
        sum += term;
        scale = scale.max(value.abs()).max(TERM_WEIGHT * term.abs());
    }
    (sum, if scale == 0.0 { 1.0 } else { scale })
}

/// `(‖parts‖ − bound)₊` relative to the cone's largest coefficient, term or constant.
fn cone_violation(cone: &Cone, x: &[f64]) -> f64 {
    let mut scale = 0.0_f64;
    for term in cone.terms() {
        scale = scale.max(term.constant.abs());
        for &(variable, coefficient) in &term.terms {
            scale = scale
                .max(coefficient.abs())
                .max(TERM_WEIGHT * (coefficient * x[variable.index()]).abs());
        }
    }
    let norm = norm(cone.parts.iter().map(|part| part.value(x)));
    let excess = norm - cone.bound.value(x);
    if excess <= 0.0 { 0.0 } else { excess / scale }
}

/// `‖parts‖ − bound` of a direction, for which constants do not count, and the cone's largest coefficient.
fn cone_step(cone: &Cone, direction: &[f64]) -> (f64, f64) {
    let change = |term: &AffineTerm| term.value(direction) - term.constant;
    let coefficient = largest(
        cone.terms()
            .flat_map(|term| &term.terms)
            .map(|entry| entry.1),
    );
    let step = norm(cone.parts.iter().map(change)) - change(&cone.bound);
    (step, coefficient)
}

/// Euclidean norm without overflow.
pub(crate) fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::hypot)
}

/// Dual feasibility and gap at a primal point, with everything recomputed from the multipliers.
struct DualCheck {
    /// `c + Q x − Aᵀy − Σ G_kᵀ z_k`.
    reduced_costs: Vec<f64>,
    /// Worst violation of a sign or of a cone; indices count variables, then rows, then cones.
    worst: Worst,
    /// Primal minus dual objective without the reduced costs that are zero within the tolerance.
    gap: f64,
    /// The same with all of them; infinite when one has no bound to lean on.
    full_gap: f64,
    /// Scale of the gap.
    scale: f64,
}

impl DualCheck {
    fn of(problem: &Problem, x: &[f64], y: &[f64], z: &[Vec<f64>], tolerance: f64) -> Self {
        let gradient = gradient(problem, x);
        let mut scales = gradient.scales;
        let mut reduced_costs = gradient.values;
        subtract_columns(problem, y, z, &mut reduced_costs, &mut scales);
        let base = problem
            .costs
            .iter()
            .chain(problem.quadratic.values())
            .fold(0.0_f64, |a, v| a.max(v.abs()));
        let base = if base == 0.0 { 1.0 } else { base };

        let mut check = Self {
            reduced_costs,
            worst: Worst::default(),
            gap: 0.0,
            full_gap: 0.0,
            scale: base,
        };
        let objective = problem.minimised(x) - problem.offset;
        check.scale = check.scale.max(objective.abs());
        for (cost, value) in problem.costs.iter().zip(x) {
            check.scale = check.scale.max((cost * value).abs());
        }
        for (index, &d) in check.reduced_costs.iter().enumerate() {
            // Terms so large that their rounding hides the largest cost prove nothing about the sum.
            let rounding = f64::EPSILON * scales[index] / base;
            if rounding > ACCEPTANCE * tolerance {
                check.worst.take(rounding, index);
            }
            let scale = scales[index].max(COST_FLOOR * base);
            let bound = if d > 0.0 {
                problem.lower[index]
            } else {
                problem.upper[index]
            };
            if d == 0.0 {
                continue;
            }
            if bound.is_finite() {
                let term = d * (x[index] - bound);
                check.full_gap += term;
                if d.abs() > tolerance * scale {
                    check.gap += term;
                }
            } else {
                check.full_gap = f64::INFINITY;
                check.worst.take(d.abs() / scale, index);
            }
        }
        let count = problem.variable_count();
        for (row, &multiplier) in y.iter().enumerate() {
            if multiplier == 0.0 {
                continue;
            }
            let side = if multiplier > 0.0 {
                problem.row_lower[row]
            } else {
                problem.row_upper[row]
            };
            let (activity, _) = sum_and_scale(problem.by_row.line(row), x);
            if side.is_finite() {
                check.gap += multiplier * (activity - side);
                check.full_gap += multiplier * (activity - side);
            } else {
                let largest = largest(problem.by_row.line(row).map(|(_, value)| value));
                check.full_gap = f64::INFINITY;
                check.worst.take(
                    multiplier.abs() * largest.max(f64::MIN_POSITIVE) / base,
                    count + row,
                );
            }
        }
        for (index, (cone, multiplier)) in problem.cones.iter().zip(z).enumerate() {
            let violation = dual_cone_violation(multiplier);
            check.worst.take(violation, count + y.len() + index);
            let product: f64 = cone
                .terms()
                .zip(multiplier)
                .map(|(term, weight)| weight * term.value(x))
                .sum();
            check.gap += product;
            check.full_gap += product;
        }
        let floor = COST_FLOOR * base;
        check.gap += flat::remaining_fall(problem, x, y, z, &check.reduced_costs, floor, tolerance);
        check
    }

    fn relative_gap(&self) -> f64 {
        let gap = self.gap.abs() / self.scale;
        if gap.is_nan() { f64::INFINITY } else { gap }
    }

    /// Dual objective of the minimisation: with all reduced costs where that is within the allowance,
    /// which is then a bound for any feasible point, and otherwise without those that are zero by rounding.
    fn bound(&self, minimised: f64, allowed: f64) -> f64 {
        if self.full_gap.abs() <= allowed * self.scale {
            minimised - self.full_gap
        } else {
            minimised - self.gap
        }
    }

    fn check(&self, problem: &Problem, solver: &str, allowed: f64) -> Result<(), Error> {
        let wrong = |violation, amount, place| {
            Err(Error::WrongAnswer {
                solver: solver.to_owned(),
                claim: "an optimal point",
                violation,
                amount,
                allowed,
                place,
            })
        };
        if self.worst.amount > allowed {
            let (variables, rows) = (problem.variable_count(), problem.row_count());
            let index = self.worst.index;
            let place = if index < variables {
                problem.describe_variable(index)
            } else if index < variables + rows {
                problem.describe_row(index - variables)
            } else {
                problem.describe_cone(index - variables - rows)
            };
            return wrong(
                "the violation of dual feasibility",
                self.worst.amount,
                place,
            );
        }
        let gap = self.relative_gap();
        if gap > allowed {
            return wrong(
                "the duality gap",
                gap,
                describe_named("problem", &problem.name, 0),
            );
        }
        Ok(())
    }
}

/// `c + Q x` with the largest term of each entry.
struct Gradient {
    values: Vec<f64>,
    scales: Vec<f64>,
}

/// `Q d`.
fn quadratic_times(problem: &Problem, direction: &[f64]) -> Vec<f64> {
    let mut product = Gradient {
        values: vec![0.0; direction.len()],
        scales: vec![0.0; direction.len()],
    };
    product.add_quadratic(problem, direction);
    product.values
}

impl Gradient {
    fn add_quadratic(&mut self, problem: &Problem, x: &[f64]) {
        let mut add = |index: usize, term: f64| {
            self.values[index] += term;
            self.scales[index] = self.scales[index].max(term.abs());
        };
        for column in 0..problem.quadratic.lines() {
            for (row, value) in problem.quadratic.line(column) {
                add(row, value * x[column]);
                if row != column {
                    add(column, value * x[row]);
                }
            }
        }
    }
}

fn gradient(problem: &Problem, x: &[f64]) -> Gradient {
    let values = problem.costs.clone();
    let scales = values.iter().map(|v| v.abs()).collect();
    let mut gradient = Gradient { values, scales };
    gradient.add_quadratic(problem, x);
    gradient
}

/// Subtracts `Aᵀy + Σ_k G_kᵀ z_k` from `values` and raises `scales` to the largest term of each entry.
pub(crate) fn subtract_columns(
    problem: &Problem,
    y: &[f64],
    z: &[Vec<f64>],
    values: &mut [f64],
    scales: &mut [f64],
) {
    let mut add = |index: usize, term: f64| {
        values[index] -= term;
        scales[index] = scales[index].max(term.abs());
    };
    for (row, &multiplier) in y.iter().enumerate() {
        if multiplier != 0.0 {
            for (index, value) in problem.by_row.line(row) {
                add(index, multiplier * value);
            }
        }
    }
    for (cone, multiplier) in problem.cones.iter().zip(z) {
        for (term, weight) in cone.terms().zip(multiplier) {
            for &(variable, coefficient) in &term.terms {
                add(variable.index(), weight * coefficient);
            }
        }
    }
}

/// How far a multiplier is outside the second-order cone, relative to its largest entry.
pub(crate) fn dual_cone_violation(multiplier: &[f64]) -> f64 {
    let largest = largest(multiplier.iter().copied());
    let Some((first, rest)) = multiplier.split_first() else {
        return 0.0;
    };
    let excess = norm(rest.iter().copied()) - first;
    if excess <= 0.0 { 0.0 } else { excess / largest }
}

/// Largest absolute value; 0 of nothing.
pub(crate) fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |a, v| a.max(v.abs()))
}

mod flat;
mod rays;
pub use rays::{REACH, certificate};

#[cfg(test)]
mod tests;
