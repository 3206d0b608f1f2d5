//! Support values of one polytope in many directions: a dense simplex that never starts over.
//!
//! `max c · ξ` subject to `A ξ ≤ d` with the origin inside (`d ≥ 0`). The dictionary writes basic
//! slacks and `ξ` in terms of `n` nonbasic slacks, so a new direction changes one row, and a
//! neighbouring direction usually needs a few pivots of `rows × n` operations each.

use std::cmp::Ordering;

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
    /// One row per inequality: the entries of `A`, then the right-hand side.
    inequalities: Vec<f64>,
    variables: usize,
    slacks: usize,
    /// One row per inequality: coefficients of the nonbasic variables, then the constant.
    dictionary: Vec<f64>,
    /// Basic variable of each row of the dictionary: slack `i` is `i`, variable `j` is `slacks + j`.
    basic: Vec<usize>,
    /// Nonbasic variable of each column.
    nonbasic: Vec<usize>,
    pivots: usize,
    pivot_row: Vec<f64>,
}

/// Pivots after which the dictionary is computed afresh, against the growth of rounding errors.
const REFRESH: usize = 500;
/// A reduced cost below this is zero; directions have entries of order one.
const OPTIMAL: f64 = 1e-10;
/// A coefficient below this cannot be pivoted on.
const PIVOT: f64 = 1e-9;

impl SupportSimplex {
    /// Each inequality is a row of `A` followed by its right-hand side, which must be 0 or more.
    pub fn new(inequalities: Vec<f64>, variables: usize) -> Self {
        let slacks = inequalities.len() / (variables + 1);
        let mut simplex = Self {
            dictionary: vec![0.0; inequalities.len()],
            inequalities,
            variables,
            slacks,
            basic: Vec::new(),
            nonbasic: Vec::new(),
            pivots: 0,
            pivot_row: Vec::new(),
        };
        simplex.refresh();
        simplex
    }

    fn width(&self) -> usize {
        self.variables + 1
    }

    fn refresh(&mut self) {
        let width = self.width();
        for (entry, value) in self.dictionary.iter_mut().zip(&self.inequalities) {
            *entry = -value;
        }
        for constant in self
            .dictionary
            .iter_mut()
            .skip(self.variables)
            .step_by(width)
        {
            *constant = -*constant;
        }
        self.basic = (0..self.slacks).collect();
        self.nonbasic = (0..self.variables).map(|j| self.slacks + j).collect();
        self.pivots = 0;
    }

    /// Maximises `direction · ξ`; entries of `direction` beyond its length are zero.
    pub fn maximise(&mut self, direction: &[f64]) -> Result<SupportSolution, Unbounded> {
        if self.pivots > REFRESH {
            self.refresh();
        }
        let cost = |variable: usize| {
            variable
                .checked_sub(self.slacks)
                .and_then(|j| direction.get(j))
                .copied()
                .unwrap_or(0.0)
        };
        let mut reduced = vec![0.0; self.variables];
        for (row, &basic) in self.dictionary.chunks_exact(self.width()).zip(&self.basic) {
            let weight = cost(basic);
            if weight != 0.0 {
                for (entry, coefficient) in reduced.iter_mut().zip(row) {
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
            for (entry, coefficient) in reduced.iter_mut().zip(&self.pivot_row) {
                *entry += factor * coefficient;
            }
        }
        let mut multipliers = vec![0.0; self.slacks];
        let mut degenerate = false;
        for (&variable, &entry) in self.nonbasic.iter().zip(&reduced) {
            if variable < self.slacks {
                multipliers[variable] = f64::max(-entry, 0.0);
                degenerate |= entry.abs() < 1e-9;
            }
        }
        let mut point = vec![0.0; self.variables];
        for (row, &basic) in self.dictionary.chunks_exact(self.width()).zip(&self.basic) {
            match basic.checked_sub(self.slacks) {
                Some(j) => point[j] = row[self.variables],
                None => degenerate |= row[self.variables].abs() < 1e-9,
            }
        }
        Ok(SupportSolution {
            point,
            multipliers,
            degenerate,
        })
    }

    /// The column that improves most, or under Bland's rule the first that improves.
    fn entering(&self, reduced: &[f64], first: bool) -> Option<(usize, f64)> {
        // A nonbasic variable of ξ is free, so it may move in either direction.
        let gain = |column: usize| {
            if self.nonbasic[column] >= self.slacks {
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
        let mut best: Option<(usize, f64)> = None;
        for (index, (row, &basic)) in self
            .dictionary
            .chunks_exact(self.width())
            .zip(&self.basic)
            .enumerate()
        {
            let rate = sign * row[column];
            if basic < self.slacks && rate < -PIVOT {
                let step = row[self.variables].max(0.0) / -rate;
                // Ties go to the row of the smallest number, as Bland's rule asks.
                let better = best.is_none_or(|(other, least)| match step.total_cmp(&least) {
                    Ordering::Less => true,
                    Ordering::Equal => basic < self.basic[other],
                    Ordering::Greater => false,
                });
                if better {
                    best = Some((index, step));
                }
            }
        }
        best.ok_or(Unbounded)
    }

    /// Exchanges the basic variable of `row` with the nonbasic one of `column`; leaves the new row in
    /// `pivot_row`.
    fn pivot(&mut self, row: usize, column: usize) {
        let width = self.width();
        self.pivots += 1;
        std::mem::swap(&mut self.nonbasic[column], &mut self.basic[row]);
        let new_row = &mut self.dictionary[row * width..(row + 1) * width];
        let inverse = 1.0 / new_row[column];
        new_row[column] = -1.0;
        for coefficient in new_row.iter_mut() {
            *coefficient *= -inverse;
        }
        self.pivot_row.clear();
        self.pivot_row.extend_from_slice(new_row);
        for (index, other) in self.dictionary.chunks_exact_mut(width).enumerate() {
            let factor = other[column];
            if index == row || factor == 0.0 {
                continue;
            }
            other[column] = 0.0;
            for (entry, coefficient) in other.iter_mut().zip(&self.pivot_row) {
                *entry += factor * coefficient;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The square [−1, 2] × [−1, 3] cut by x + y ≤ 4.
    const CUT_SQUARE: [[f64; 3]; 5] = [
        [1.0, 0.0, 2.0],
        [-1.0, 0.0, 1.0],
        [0.0, 1.0, 3.0],
        [0.0, -1.0, 1.0],
        [1.0, 1.0, 4.0],
    ];

    #[test]
    fn values_multipliers_and_points_agree_with_the_vertices() {
        let vertices = [
            [-1.0, -1.0],
            [2.0, -1.0],
            [2.0, 2.0],
            [1.0, 3.0],
            [-1.0, 3.0],
        ];
        let mut simplex = SupportSimplex::new(CUT_SQUARE.concat(), 2);
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
                .zip(CUT_SQUARE)
                .map(|(y, row)| y * row[2])
                .sum();
            assert!(
                (primal - best).abs() < 1e-12 && (dual - best).abs() < 1e-12,
                "{primal} {dual} {best}"
            );
        }
    }

    #[test]
    fn unbounded_directions_are_named() {
        let mut simplex = SupportSimplex::new(vec![1.0, 0.0, 1.0, -1.0, 0.0, 1.0], 2);
        assert!(simplex.maximise(&[0.0, 1.0]).is_err());
    }
}
