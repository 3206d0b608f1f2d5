//! Sharpens certificates: what should vanish is brought to zero by least squares.
//!
//! An engine leaves multipliers with a relative error around its tolerance. A nearby vector whose combination vanishes
//! to rounding exists exactly when the certificate means something, so the attempt costs nothing but time and
//! separates proofs from look-alikes.

use crate::adapters::engine::Multipliers;
use crate::verify::subtract_columns;
use crate::{CompressedMatrix, Problem};

/// Iterations of the least-squares method; certificates have few entries that depend on each other.
const ITERATIONS: usize = 200;

/// Rounds of choosing what has to vanish: a correction may push another entry across zero.
const ROUNDS: usize = 3;

/// Brings the combination `Aᵀy + Σ G_kᵀ z_k` to zero where it would lean on an open bound, by changing `y`.
pub(crate) fn farkas(problem: &Problem, multipliers: &mut Multipliers) {
    let count = problem.variable_count();
    for _ in 0..ROUNDS {
        let combine = |rows: &[f64], cones: &[Vec<f64>]| {
            let (mut values, mut scales) = (vec![0.0; count], vec![0.0; count]);
            subtract_columns(problem, rows, cones, &mut values, &mut scales);
            values.iter().map(|value| -value).collect::<Vec<f64>>()
        };
        let all = combine(&multipliers.rows, &multipliers.cones);
        let chosen: Vec<usize> = (0..count)
            .filter(|&index| {
                let (lower, upper) = (problem.lower[index], problem.upper[index]);
                let free = lower == f64::NEG_INFINITY && upper == f64::INFINITY;
                free || (all[index] > 0.0 && upper == f64::INFINITY)
                    || (all[index] < 0.0 && lower == f64::NEG_INFINITY)
            })
            .collect();
        let none = vec![0.0; problem.row_count()];
        let cones = combine(&none, &multipliers.cones);
        let offset: Vec<f64> = chosen.iter().map(|&index| cones[index]).collect();
        null_out(&problem.by_column, &chosen, &offset, &mut multipliers.rows);
    }
}

/// Brings the steps across rows to zero, by changing the direction.
pub(crate) fn ray(problem: &Problem, direction: &mut [f64]) {
    for _ in 0..ROUNDS {
        let steps = problem.by_row.times(direction);
        let chosen: Vec<usize> = (0..problem.row_count())
            .filter(|&row| {
                let lower = problem.row_lower[row].is_finite();
                let upper = problem.row_upper[row].is_finite();
                (lower && (upper || steps[row] < 0.0)) || (upper && steps[row] > 0.0)
            })
            .collect();
        let offset = vec![0.0; chosen.len()];
        null_out(&problem.by_row, &chosen, &offset, direction);
    }
}

/// Changes `vector` so that its products with the chosen lines, plus `offset`, become as small as they can.
///
/// Conjugate gradients on the normal equations (Hestenes and Stiefel, 1952), started from zero, for
/// `δ = |vector| · u`: the correction is the smallest relative one, so zeros stay zero and signs are kept.
pub(crate) fn null_out(
    lines: &CompressedMatrix,
    chosen: &[usize],
    offset: &[f64],
    vector: &mut [f64],
) {
    let weight: Vec<f64> = vector.iter().map(|value| value.abs()).collect();
    let times = |v: &[f64]| -> Vec<f64> {
        chosen
            .iter()
            .map(|&line| {
                lines
                    .line(line)
                    .map(|(index, value)| value * v[index])
                    .sum()
            })
            .collect()
    };
    let back = |r: &[f64]| -> Vec<f64> {
        let mut sum = vec![0.0; weight.len()];
        for (&line, residual) in chosen.iter().zip(r) {
            for (index, value) in lines.line(line) {
                sum[index] += value * residual;
            }
        }
        sum.iter_mut().zip(&weight).for_each(|(s, w)| *s *= w);
        sum
    };
    let square = |v: &[f64]| -> f64 { v.iter().map(|value| value * value).sum() };
    let mut residual: Vec<f64> = times(vector)
        .iter()
        .zip(offset)
        .map(|(product, constant)| -product - constant)
        .collect();
    let mut correction = vec![0.0; vector.len()];
    let mut gradient = back(&residual);
    let mut direction = gradient.clone();
    let mut size = square(&gradient);
    let start = size;
    for _ in 0..ITERATIONS {
        if size == 0.0 || size <= start * 1e-30 {
            break;
        }
        let step: Vec<f64> = direction.iter().zip(&weight).map(|(p, w)| p * w).collect();
        let product = times(&step);
        let length = size / square(&product);
        if !length.is_finite() {
            break;
        }
        for (c, s) in correction.iter_mut().zip(&step) {
            *c += length * s;
        }
        for (r, p) in residual.iter_mut().zip(&product) {
            *r -= length * p;
        }
        gradient = back(&residual);
        let next = square(&gradient);
        for (p, g) in direction.iter_mut().zip(&gradient) {
            *p = g + next / size * *p;
        }
        size = next;
    }
    if correction.iter().all(|c| c.is_finite()) {
        for (value, c) in vector.iter_mut().zip(&correction) {
            *value += c;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_removed_and_zeros_stay() {
        // Two lines of a vector close to (1, 2, −1, 0).
        let mut lines = CompressedMatrix::new(4);
        lines.push_line(&mut [(0, 1.0), (2, 1.0), (3, 5.0)]);
        lines.push_line(&mut [(0, 2.0), (1, -1.0)]);
        lines.push_line(&mut [(1, 1.0)]);
        let mut vector = vec![1.0 + 1e-7, 2.0 - 3e-7, -1.0 + 2e-7, 0.0];
        null_out(&lines, &[0, 1], &[0.0, 0.0], &mut vector);
        assert!((vector[0] + vector[2]).abs() < 1e-15);
        assert!((2.0 * vector[0] - vector[1]).abs() < 1e-15);
        assert!((vector[1] - 2.0).abs() < 1e-6);
        assert_eq!(vector[3], 0.0);
    }
}
