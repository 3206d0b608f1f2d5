//! Support values of one polytope in many directions: a dense simplex that never starts over.
//!
//! `max c · ξ` subject to `A ξ ≤ d` with the origin inside (`d ≥ 0`). The dictionary writes basic
//! slacks and `ξ` in terms of `n` nonbasic slacks, so a new direction changes one row, and a
//! neighbouring direction usually needs a few pivots of `rows × n` operations each.

use std::cmp::Ordering;

/// A row of coefficients of the nonbasic variables, with its constant.
#[derive(Clone, Debug)]
struct Row {
    /// Slack `i` is `i`, variable `j` is `rows + j`.
    basic: usize,
    constant: f64,
    coefficients: Vec<f64>,
}

/// The optimum of one direction.
#[derive(Clone, Debug)]
pub(crate) struct SupportSolution {
    /// A maximiser.
    pub point: Vec<f64>,
    /// Multipliers of the rows, not negative: `c = Aᵀ y` and `max c · ξ = y · d` up to rounding.
    pub multipliers: Vec<f64>,
    /// Whether another optimum exists, of the point or of the multipliers.
    pub degenerate: bool,
}

/// The polytope is unbounded in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unbounded;

#[derive(Clone, Debug)]
pub(crate) struct SupportSimplex {
    matrix: Vec<Vec<f64>>,
    rhs: Vec<f64>,
    variables: usize,
    rows: Vec<Row>,
    /// Nonbasic variable of each column.
    nonbasic: Vec<usize>,
    pivots: usize,
}

/// Pivots after which the dictionary is computed afresh, against the growth of rounding errors.
const REFRESH: usize = 500;
/// A reduced cost below this is zero; directions have entries of order one.
const OPTIMAL: f64 = 1e-10;
/// A coefficient below this cannot be pivoted on.
const PIVOT: f64 = 1e-9;

impl SupportSimplex {
    /// `matrix` has one row per inequality; every entry of `rhs` must be 0 or more.
    pub fn new(matrix: Vec<Vec<f64>>, rhs: Vec<f64>, variables: usize) -> Self {
        let mut simplex = Self {
            matrix,
            rhs,
            variables,
            rows: Vec::new(),
            nonbasic: Vec::new(),
            pivots: 0,
        };
        simplex.refresh();
        simplex
    }

    fn refresh(&mut self) {
        self.rows = self
            .matrix
            .iter()
            .zip(&self.rhs)
            .enumerate()
            .map(|(index, (row, &constant))| Row {
                basic: index,
                constant,
                coefficients: row.iter().map(|entry| -entry).collect(),
            })
            .collect();
        self.nonbasic = (0..self.variables).map(|j| self.matrix.len() + j).collect();
        self.pivots = 0;
    }

    /// Maximises `direction · ξ`; entries of `direction` beyond its length are zero.
    pub fn maximise(&mut self, direction: &[f64]) -> Result<SupportSolution, Unbounded> {
        if self.pivots > REFRESH {
            self.refresh();
        }
        let slacks = self.matrix.len();
        let cost = |variable: usize| {
            variable
                .checked_sub(slacks)
                .and_then(|j| direction.get(j))
                .copied()
                .unwrap_or(0.0)
        };
        let mut reduced = vec![0.0; self.variables];
        for row in &self.rows {
            let weight = cost(row.basic);
            if weight != 0.0 {
                for (entry, coefficient) in reduced.iter_mut().zip(&row.coefficients) {
                    *entry += weight * coefficient;
                }
            }
        }
        for (entry, &variable) in reduced.iter_mut().zip(&self.nonbasic) {
            *entry += cost(variable);
        }
        let mut stalled = 0;
        while let Some((column, sign)) = self.entering(&reduced, stalled > 2 * self.variables) {
            let (row, step) = self.leaving(column, sign)?;
            stalled = if step > 0.0 { 0 } else { stalled + 1 };
            self.pivot(row, column);
            // The objective row is eliminated like any other.
            let factor = reduced[column];
            reduced[column] = 0.0;
            for (entry, coefficient) in reduced.iter_mut().zip(&self.rows[row].coefficients) {
                *entry += factor * coefficient;
            }
        }
        let mut multipliers = vec![0.0; slacks];
        let mut degenerate = false;
        for (&variable, &entry) in self.nonbasic.iter().zip(&reduced) {
            if variable < slacks {
                multipliers[variable] = f64::max(-entry, 0.0);
                degenerate |= entry.abs() < 1e-9;
            }
        }
        degenerate |= self
            .rows
            .iter()
            .any(|row| row.basic < slacks && row.constant.abs() < 1e-9);
        Ok(SupportSolution {
            point: self.point(),
            multipliers,
            degenerate,
        })
    }

    /// The vertex of the dictionary.
    fn point(&self) -> Vec<f64> {
        let mut point = vec![0.0; self.variables];
        for row in &self.rows {
            if let Some(j) = row.basic.checked_sub(self.matrix.len()) {
                point[j] = row.constant;
            }
        }
        point
    }

    /// The column that improves most, or under Bland's rule the first that improves.
    fn entering(&self, reduced: &[f64], first: bool) -> Option<(usize, f64)> {
        let slacks = self.matrix.len();
        // A nonbasic variable of ξ is free, so it may move in either direction.
        let gain = |column: usize| {
            if self.nonbasic[column] >= slacks {
                reduced[column].abs()
            } else {
                reduced[column]
            }
        };
        let improving = (0..self.variables).filter(|&column| gain(column) > OPTIMAL);
        let column = if first {
            improving.min_by_key(|&column| self.nonbasic[column])
        } else {
            improving.max_by(|&a, &b| gain(a).total_cmp(&gain(b)))
        };
        column.map(|column| (column, reduced[column].signum()))
    }

    /// The basic slack that reaches zero first as the column's variable moves.
    fn leaving(&self, column: usize, sign: f64) -> Result<(usize, f64), Unbounded> {
        let slacks = self.matrix.len();
        let mut best: Option<(usize, f64)> = None;
        for (index, row) in self.rows.iter().enumerate() {
            let rate = sign * row.coefficients[column];
            if row.basic < slacks && rate < -PIVOT {
                let step = row.constant.max(0.0) / -rate;
                // Ties go to the row of the smallest number, as Bland's rule asks.
                let better = best.is_none_or(|(other, least)| match step.total_cmp(&least) {
                    Ordering::Less => true,
                    Ordering::Equal => row.basic < self.rows[other].basic,
                    Ordering::Greater => false,
                });
                if better {
                    best = Some((index, step));
                }
            }
        }
        best.ok_or(Unbounded)
    }

    fn pivot(&mut self, row: usize, column: usize) {
        self.pivots += 1;
        let entering = self.nonbasic[column];
        self.nonbasic[column] = self.rows[row].basic;
        let pivot_row = &mut self.rows[row];
        let inverse = 1.0 / pivot_row.coefficients[column];
        pivot_row.basic = entering;
        pivot_row.coefficients[column] = -1.0;
        pivot_row.constant *= -inverse;
        for coefficient in &mut pivot_row.coefficients {
            *coefficient *= -inverse;
        }
        let pivot_row = self.rows[row].clone();
        for (index, other) in self.rows.iter_mut().enumerate() {
            if index == row {
                continue;
            }
            let factor = other.coefficients[column];
            if factor != 0.0 {
                other.coefficients[column] = 0.0;
                other.constant += factor * pivot_row.constant;
                for (entry, coefficient) in
                    other.coefficients.iter_mut().zip(&pivot_row.coefficients)
                {
                    *entry += factor * coefficient;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The square [−1, 2] × [−1, 3] cut by x + y ≤ 4.
    fn cut_square() -> SupportSimplex {
        let matrix = vec![
            vec![1.0, 0.0],
            vec![-1.0, 0.0],
            vec![0.0, 1.0],
            vec![0.0, -1.0],
            vec![1.0, 1.0],
        ];
        SupportSimplex::new(matrix, vec![2.0, 1.0, 3.0, 1.0, 4.0], 2)
    }

    #[test]
    fn values_multipliers_and_points_agree_with_the_vertices() {
        let vertices = [
            [-1.0, -1.0],
            [2.0, -1.0],
            [2.0, 2.0],
            [1.0, 3.0],
            [-1.0, 3.0],
        ];
        let mut simplex = cut_square();
        for k in 0..200 {
            let angle = 0.731 * f64::from(k);
            let direction = [angle.cos(), angle.sin()];
            let solution = simplex.maximise(&direction).unwrap();
            let best = vertices
                .iter()
                .map(|v| direction[0] * v[0] + direction[1] * v[1])
                .fold(f64::MIN, f64::max);
            let primal = direction[0] * solution.point[0] + direction[1] * solution.point[1];
            let dual: f64 = solution
                .multipliers
                .iter()
                .zip(&simplex.rhs)
                .map(|(y, d)| y * d)
                .sum();
            assert!(
                (primal - best).abs() < 1e-12 && (dual - best).abs() < 1e-12,
                "{primal} {dual} {best}"
            );
        }
    }

    #[test]
    fn unbounded_directions_are_named() {
        let mut simplex =
            SupportSimplex::new(vec![vec![1.0, 0.0], vec![-1.0, 0.0]], vec![1.0, 1.0], 2);
        assert!(simplex.maximise(&[0.0, 1.0]).is_err());
    }
}
