//! Quadratic objectives that look level because the point has run far off.
//!
//! Along a direction without curvature an unbounded objective falls for ever, but a point far out on it makes every
//! entry of `Q x` so large that the slope disappears in it. The residual of each variable is then small relative to
//! its terms, although the objective still falls.

use super::subtract_columns;
use crate::Problem;

/// By how much the Lagrangian falls when the point is stretched: a lower bound on the true gap between `x`
/// and the duals that left these reduced costs.
///
/// With `d` the reduced costs and `v` a direction in which no bound ends, the Lagrangian along `x + t v` is
/// `f + t d·v + ½ t² vᵀQv`. Two directions are tried, over `0 ≤ t ≤ 1`: `±x`, which finds points that have run off along
/// a ray, and `−sign(d) |x|`. Reduced costs that are zero within `tolerance`, measured without `Q x`, do not count.
pub(super) fn remaining_fall(
    problem: &Problem,
    x: &[f64],
    y: &[f64],
    z: &[Vec<f64>],
    reduced_costs: &[f64],
    floor: f64,
    tolerance: f64,
) -> f64 {
    if !problem.has_quadratic() {
        return 0.0;
    }
    let mut scales: Vec<f64> = problem.costs.iter().map(|cost| cost.abs()).collect();
    let mut unused = vec![0.0; x.len()];
    subtract_columns(problem, y, z, &mut unused, &mut scales);
    let slopes: Vec<f64> = reduced_costs
        .iter()
        .zip(&scales)
        .map(|(&d, scale)| {
            if d.abs() > tolerance * scale.max(floor) {
                d
            } else {
                0.0
            }
        })
        .collect();
    let open = |index: usize, step: f64| {
        let ends = if step > 0.0 {
            problem.upper[index]
        } else {
            problem.lower[index]
        };
        if ends.is_finite() { 0.0 } else { step }
    };
    let along = |step: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..x.len()).map(|index| open(index, step(index))).collect()
    };
    [
        along(&|index| x[index]),
        along(&|index| -x[index]),
        along(&|index| -slopes[index].signum() * x[index].abs()),
    ]
    .iter()
    .map(|direction| fall(problem, &slopes, direction))
    .fold(0.0, f64::max)
}

/// The largest fall of `t d·v + ½ t² vᵀQv` over `0 ≤ t ≤ 1`.
fn fall(problem: &Problem, slopes: &[f64], direction: &[f64]) -> f64 {
    let slope: f64 = slopes.iter().zip(direction).map(|(d, v)| d * v).sum();
    if slope >= 0.0 {
        return 0.0;
    }
    let mut curvature = 0.0;
    for column in 0..problem.quadratic.lines() {
        for (row, value) in problem.quadratic.line(column) {
            let weight = if row == column { 1.0 } else { 2.0 };
            curvature += weight * value * direction[row] * direction[column];
        }
    }
    let step = if curvature > -slope {
        -slope / curvature
    } else {
        1.0
    };
    -step * (slope + 0.5 * step * curvature.max(0.0))
}

#[cfg(test)]
mod tests {
    use crate::{Duals, Error, ProblemBuilder, Solution};

    const INF: f64 = f64::INFINITY;

    fn accepted(cost: (f64, f64), point: [f64; 2]) -> Result<Solution, Error> {
        // minimise (x − y)² + cost · (x, y)
        let mut builder = ProblemBuilder::new("valley");
        let x = builder.variable("x", -INF, INF, cost.0);
        let y = builder.variable("y", -INF, INF, cost.1);
        builder.quadratic(x, x, 1.0);
        builder.quadratic(x, y, -2.0);
        builder.quadratic(y, y, 1.0);
        let problem = builder.build().unwrap();
        Solution::verified(
            &problem,
            "by hand",
            point.to_vec(),
            Some(Duals::default()),
            None,
            1e-8,
        )
    }

    #[test]
    fn a_point_far_out_does_not_hide_that_the_objective_falls() {
        // Unbounded along (−1, −1); half of the slope is left at each variable.
        for far in [1e3, 5e6, 4e9] {
            let answer = accepted((1.0, 0.0), [-far, -far + 0.25]);
            assert!(
                matches!(answer, Err(Error::WrongAnswer { .. })),
                "{far}: {answer:?}"
            );
        }
    }

    #[test]
    fn a_point_far_out_that_is_optimal_is_accepted() {
        // The valley is level: any point along it is optimal, and rounding of its terms may remain.
        for far in [1.0, 1e3, 1e6] {
            accepted((0.0, 0.0), [far, far * (1.0 + 1e-15)]).unwrap();
            accepted((2.0, -2.0), [far, far + 1.0]).unwrap();
        }
    }
}
