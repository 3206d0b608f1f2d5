//! Linear programs over a learned set, thousands of them: a dense bounded simplex that keeps its dictionary.
//!
//! `min c · v` subject to `C v ≤ d`, `lower ≤ v ≤ upper`, all lower bounds finite. The dictionary writes the basic
//! variables in terms of `n` nonbasic ones. A start from the slacks is dual feasible (variables with a
//! negative cost sit at their upper bound), so no first phase is needed; after a new right-hand side the dual
//! simplex goes on where it was, after a new cost the primal one. Multipliers are those of a basis, sharp
//! enough to be differentiated with.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::error::Error;

/// Rows and bounds, which many programs share; rows are scaled to largest entry 1.
#[derive(Debug)]
pub(crate) struct Program {
    matrix: Array2<f64>,
    /// What the rows were divided by.
    row_scale: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Program {
    pub fn new(matrix: ArrayView2<'_, f64>, lower: Vec<f64>, upper: Vec<f64>) -> Self {
        let mut matrix = matrix.to_owned();
        let row_scale = matrix
            .rows_mut()
            .into_iter()
            .map(|mut row| {
                let largest = row
                    .iter()
                    .fold(0.0, |most, entry| f64::max(most, entry.abs()));
                let scale = if largest > 0.0 { largest } else { 1.0 };
                row /= scale;
                scale
            })
            .collect();
        Self {
            matrix,
            row_scale,
            lower,
            upper,
        }
    }
}

/// A program with its dictionary.
#[derive(Clone)]
pub(crate) struct Simplex {
    program: Arc<Program>,
    rows: usize,
    columns: usize,
    rhs: Vec<f64>,
    cost: Vec<f64>,
    /// `∂ basic_i / ∂ nonbasic_j`, row by row.
    alpha: Vec<f64>,
    /// Variables `0..columns`, then the slacks of the rows.
    basic: Vec<usize>,
    nonbasic: Vec<usize>,
    at_upper: Vec<bool>,
    value: Vec<f64>,
    reduced: Vec<f64>,
    pivots: usize,
    since_refresh: usize,
}

/// The optimum of a program.
#[derive(Clone, Debug)]
pub(crate) struct Optimum {
    /// `v`.
    pub point: Vec<f64>,
    /// `λ ≥ 0` with `∂ optimum / ∂ rhs = −λ`, one per row.
    pub multipliers: Vec<f64>,
    /// `∂ optimum / ∂ lower` (not negative) and `∂ optimum / ∂ upper` (not positive), one pair per variable.
    pub bound_multipliers: Vec<(f64, f64)>,
    /// Whether another optimum exists, of the point or of the multipliers.
    pub degenerate: bool,
}

/// Bounds may be off by this, relative to the size of the numbers.
const FEASIBLE: f64 = 1e-10;
/// A reduced cost of this size, relative to the largest cost, is zero.
const OPTIMAL: f64 = 1e-11;
/// A coefficient below this cannot be pivoted on.
const PIVOT: f64 = 1e-9;
/// Values this close to a bound, relative, make an optimum degenerate.
const DEGENERATE: f64 = 1e-9;
/// Pivots after which the dictionary is computed afresh.
const REFRESH: usize = 400;
/// Largest relative residual of an answer.
pub(crate) const RESIDUAL: f64 = 1e-8;

impl Simplex {
    /// A start from the slacks; rows and bounds may be shared.
    pub fn new(program: Arc<Program>, cost: &[f64], rhs: &[f64]) -> Self {
        let (rows, columns) = program.matrix.dim();
        let rhs: Vec<f64> = rhs
            .iter()
            .zip(&program.row_scale)
            .map(|(d, s)| d / s)
            .collect();
        let mut simplex = Self {
            rows,
            columns,
            rhs,
            cost: cost.to_vec(),
            alpha: Vec::new(),
            basic: Vec::new(),
            nonbasic: Vec::new(),
            at_upper: Vec::new(),
            value: Vec::new(),
            reduced: Vec::new(),
            pivots: 0,
            since_refresh: 0,
            program,
        };
        simplex.start_from_slacks();
        simplex
    }

    fn start_from_slacks(&mut self) {
        self.alpha = self.program.matrix.iter().map(|entry| -entry).collect();
        self.basic = (self.columns..self.columns + self.rows).collect();
        self.nonbasic = (0..self.columns).collect();
        self.at_upper = (0..self.columns)
            .map(|j| self.cost[j] < 0.0 && self.program.upper[j].is_finite())
            .collect();
        self.since_refresh = 0;
        self.price();
        self.evaluate();
    }

    fn lower(&self, variable: usize) -> f64 {
        self.program.lower.get(variable).copied().unwrap_or(0.0)
    }

    fn upper(&self, variable: usize) -> f64 {
        self.program
            .upper
            .get(variable)
            .copied()
            .unwrap_or(f64::INFINITY)
    }

    /// Whether the bounds leave no choice.
    fn is_fixed(&self, variable: usize) -> bool {
        self.upper(variable) <= self.lower(variable)
    }

    fn cost_of(&self, variable: usize) -> f64 {
        self.cost.get(variable).copied().unwrap_or(0.0)
    }

    fn resting(&self, column: usize) -> f64 {
        let variable = self.nonbasic[column];
        if self.at_upper[column] {
            self.upper(variable)
        } else {
            self.lower(variable)
        }
    }

    /// Reduced costs from the dictionary.
    fn price(&mut self) {
        let mut reduced: Vec<f64> = self.nonbasic.iter().map(|&v| self.cost_of(v)).collect();
        for (i, &variable) in self.basic.iter().enumerate() {
            let cost = self.cost_of(variable);
            if cost != 0.0 {
                let row = &self.alpha[i * self.columns..(i + 1) * self.columns];
                for (entry, coefficient) in reduced.iter_mut().zip(row) {
                    *entry += cost * coefficient;
                }
            }
        }
        self.reduced = reduced;
    }

    /// Values of the basic variables from the original rows: the structural ones through the dictionary rows of the
    /// nonbasic slacks, the slacks by insertion.
    fn evaluate(&mut self) {
        // Structural basics: their rows say v_B = const + Σ α · nonbasic, where the constant is −Σ over
        // nonbasic slacks of α · rhs (s = rhs − C v), because C v = 0 at v = 0.
        let mut point = vec![0.0; self.columns];
        let mut shifted = vec![0.0; self.columns];
        for column in 0..self.columns {
            let variable = self.nonbasic[column];
            let resting = self.resting(column);
            if variable < self.columns {
                point[variable] = resting;
                shifted[column] = resting;
            } else {
                shifted[column] = resting - self.rhs[variable - self.columns];
            }
        }
        self.value = vec![0.0; self.rows];
        for i in 0..self.rows {
            if self.basic[i] < self.columns {
                let row = &self.alpha[i * self.columns..(i + 1) * self.columns];
                let value = row.iter().zip(&shifted).map(|(a, s)| a * s).sum();
                self.value[i] = value;
                point[self.basic[i]] = value;
            }
        }
        for i in 0..self.rows {
            if let Some(row) = self.basic[i].checked_sub(self.columns) {
                let used: f64 = self
                    .program
                    .matrix
                    .row(row)
                    .iter()
                    .zip(&point)
                    .map(|(c, v)| c * v)
                    .sum();
                self.value[i] = self.rhs[row] - used;
            }
        }
    }

    /// Computes the dictionary of the present basis from the rows.
    fn refresh(&mut self) {
        let mut wanted = vec![false; self.columns + self.rows];
        for &variable in &self.basic {
            wanted[variable] = true;
        }
        let upper: Vec<usize> = self
            .nonbasic
            .iter()
            .zip(&self.at_upper)
            .filter_map(|(&variable, &up)| up.then_some(variable))
            .collect();
        self.alpha = self.program.matrix.iter().map(|entry| -entry).collect();
        self.basic = (self.columns..self.columns + self.rows).collect();
        self.nonbasic = (0..self.columns).collect();
        self.at_upper = vec![false; self.columns];
        self.reduced = vec![0.0; self.columns];
        for column in 0..self.columns {
            if !wanted[self.nonbasic[column]] {
                continue;
            }
            let best = (0..self.rows)
                .filter(|&i| !wanted[self.basic[i]])
                .max_by(|&a, &b| {
                    let entry = |i: usize| self.alpha[i * self.columns + column].abs();
                    entry(a).total_cmp(&entry(b))
                });
            if let Some(row) =
                best.filter(|row| self.alpha[row * self.columns + column].abs() > PIVOT)
            {
                self.exchange(row, column);
            }
        }
        for column in 0..self.columns {
            self.at_upper[column] = upper.contains(&self.nonbasic[column]);
        }
        self.since_refresh = 0;
        self.price();
        self.evaluate();
    }

    /// Replaces all right-hand sides, in the caller's scale.
    pub fn set_rhs(&mut self, rhs: &[f64]) {
        self.rhs = rhs
            .iter()
            .zip(&self.program.row_scale)
            .map(|(d, s)| d / s)
            .collect();
        self.evaluate();
    }

    /// Replaces the cost.
    pub fn set_cost(&mut self, cost: &[f64]) {
        self.cost.clear();
        self.cost.extend_from_slice(cost);
        self.price();
    }

    /// Solves the program from where the dictionary is; from the slacks if that goes wrong.
    pub fn solve(&mut self) -> Result<Optimum, Error> {
        let before = self.pivots;
        if self.since_refresh > REFRESH {
            self.refresh();
        }
        let mut last = f64::INFINITY;
        for attempt in 0..3 {
            if attempt > 0 {
                self.start_from_slacks();
            }
            match self.run() {
                Ok(()) => {}
                Err(error) if attempt == 2 => return Err(error),
                Err(_) => continue,
            }
            let mut residual = self.residual();
            if residual > 1e-3 * RESIDUAL {
                self.refresh();
                if self.run().is_err() {
                    continue;
                }
                residual = self.residual();
            }
            if residual <= RESIDUAL {
                return Ok(self.optimum());
            }
            last = residual;
        }
        Err(Error::Program {
            pivots: self.pivots - before,
            residual: last,
            tolerance: RESIDUAL,
        })
    }

    /// Dual steps until all bounds hold, primal steps until all costs do.
    fn run(&mut self) -> Result<(), Error> {
        let limit = 40 * (self.rows + self.columns) + 1000;
        let mut steps = 0;
        loop {
            let moved = if self.is_dual_feasible() {
                self.dual(limit, &mut steps)?
            } else if self.is_primal_feasible() {
                self.primal(limit, &mut steps)
            } else {
                // Neither: let boxed variables change sides, or start over.
                self.flip_to_dual_feasible();
                if !self.is_dual_feasible() {
                    self.start_from_slacks();
                }
                self.dual(limit, &mut steps)?
            };
            if self.is_dual_feasible() && self.is_primal_feasible() {
                return Ok(());
            }
            if steps >= limit || !moved {
                return Err(Error::Program {
                    pivots: steps,
                    residual: self.residual(),
                    tolerance: RESIDUAL,
                });
            }
        }
    }

    fn cost_scale(&self) -> f64 {
        self.cost
            .iter()
            .fold(0.0, |most: f64, c| most.max(c.abs()))
            .max(1e-300)
    }

    fn value_scale(&self) -> f64 {
        let rhs = self.rhs.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
        1.0 + rhs
    }

    fn wrong_cost(&self, column: usize, tolerance: f64) -> bool {
        let d = self.reduced[column];
        !self.is_fixed(self.nonbasic[column])
            && if self.at_upper[column] {
                d > tolerance
            } else {
                d < -tolerance
            }
    }

    fn is_dual_feasible(&self) -> bool {
        let tolerance = OPTIMAL * self.cost_scale();
        !(0..self.columns).any(|column| self.wrong_cost(column, tolerance))
    }

    fn is_primal_feasible(&self) -> bool {
        let tolerance = FEASIBLE * self.value_scale();
        (0..self.rows).all(|i| self.violation(i) <= tolerance)
    }

    fn violation(&self, row: usize) -> f64 {
        let variable = self.basic[row];
        (self.lower(variable) - self.value[row]).max(self.value[row] - self.upper(variable))
    }

    fn flip_to_dual_feasible(&mut self) {
        let tolerance = OPTIMAL * self.cost_scale();
        for column in 0..self.columns {
            if self.wrong_cost(column, tolerance) && self.upper(self.nonbasic[column]).is_finite() {
                self.at_upper[column] = !self.at_upper[column];
            }
        }
        self.evaluate();
    }

    /// Dual simplex; whether anything moved.
    fn dual(&mut self, limit: usize, steps: &mut usize) -> Result<bool, Error> {
        let tolerance = FEASIBLE * self.value_scale();
        let (mut moved, mut stalled) = (false, 0);
        while *steps < limit {
            let violated = (0..self.rows).filter(|&i| self.violation(i) > tolerance);
            let bland = stalled > 2 * (self.columns + 20);
            let leaving = if bland {
                violated.min_by_key(|&i| self.basic[i])
            } else {
                violated.max_by(|&a, &b| self.violation(a).total_cmp(&self.violation(b)))
            };
            let Some(row) = leaving else { break };
            let variable = self.basic[row];
            let below = self.value[row] < self.lower(variable);
            let Some(column) = self.dual_entering(row, below, bland) else {
                return Err(Error::Infeasible {
                    violation: self.violation(row),
                });
            };
            let target = if below {
                self.lower(variable)
            } else {
                self.upper(variable)
            };
            let coefficient = self.alpha[row * self.columns + column];
            let step = (target - self.value[row]) / coefficient;
            if self.reduced[column].abs() <= OPTIMAL * self.cost_scale() {
                stalled += 1;
            } else {
                stalled = 0;
            }
            self.advance(row, column, step, !below);
            *steps += 1;
            moved = true;
        }
        Ok(moved)
    }

    /// The column that enters when the row's variable goes to its violated bound: the smallest ratio, and
    /// among nearly equal ones the largest coefficient.
    fn dual_entering(&self, row: usize, below: bool, bland: bool) -> Option<usize> {
        let sign = if below { 1.0 } else { -1.0 };
        let slack = OPTIMAL * self.cost_scale();
        let coefficients = &self.alpha[row * self.columns..(row + 1) * self.columns];
        let eligible = |column: usize| {
            let helps = sign * coefficients[column];
            !self.is_fixed(self.nonbasic[column])
                && if self.at_upper[column] {
                    helps < -PIVOT
                } else {
                    helps > PIVOT
                }
        };
        let mut least = f64::INFINITY;
        for column in (0..self.columns).filter(|&column| eligible(column)) {
            least = least.min((self.reduced[column].abs() + slack) / coefficients[column].abs());
        }
        let among = (0..self.columns).filter(|&column| {
            eligible(column) && self.reduced[column].abs() / coefficients[column].abs() <= least
        });
        if bland {
            among.min_by_key(|&column| self.nonbasic[column])
        } else {
            among.max_by(|&a, &b| coefficients[a].abs().total_cmp(&coefficients[b].abs()))
        }
    }

    /// Primal simplex; whether anything moved.
    fn primal(&mut self, limit: usize, steps: &mut usize) -> bool {
        let tolerance = OPTIMAL * self.cost_scale();
        let (mut moved, mut stalled) = (false, 0);
        while *steps < limit {
            let wrong = (0..self.columns).filter(|&column| self.wrong_cost(column, tolerance));
            let bland = stalled > 2 * (self.columns + 20);
            let entering = if bland {
                wrong.min_by_key(|&column| self.nonbasic[column])
            } else {
                wrong.max_by(|&a, &b| self.reduced[a].abs().total_cmp(&self.reduced[b].abs()))
            };
            let Some(column) = entering else { break };
            let variable = self.nonbasic[column];
            let sign = if self.at_upper[column] { -1.0 } else { 1.0 };
            let range = self.upper(variable) - self.lower(variable);
            let mut best: Option<(usize, f64, bool)> = None;
            for i in 0..self.rows {
                let rate = sign * self.alpha[i * self.columns + column];
                let basic = self.basic[i];
                let (room, to_upper) = if rate < -PIVOT {
                    (self.value[i] - self.lower(basic), false)
                } else if rate > PIVOT && self.upper(basic).is_finite() {
                    (self.upper(basic) - self.value[i], true)
                } else {
                    continue;
                };
                let length = room.max(0.0) / rate.abs();
                let better = best.is_none_or(|(other, least, _)| {
                    length < least || (length <= least && bland && basic < self.basic[other])
                });
                if better {
                    best = Some((i, length, to_upper));
                }
            }
            *steps += 1;
            moved = true;
            let length = best.map_or(f64::INFINITY, |(_, length, _)| length);
            if range <= length {
                if !range.is_finite() {
                    return moved; // unbounded: cannot be in a box; the residual will tell
                }
                for i in 0..self.rows {
                    self.value[i] += self.alpha[i * self.columns + column] * sign * range;
                }
                self.at_upper[column] = !self.at_upper[column];
                stalled = 0;
                continue;
            }
            if let Some((row, length, to_upper)) = best {
                stalled = if length > 0.0 { 0 } else { stalled + 1 };
                self.advance(row, column, sign * length, to_upper);
            }
        }
        moved
    }

    /// Moves the column's variable by `step` and exchanges it with the row's, which then rests at a bound.
    fn advance(&mut self, row: usize, column: usize, step: f64, to_upper: bool) {
        let entering = self.resting(column) + step;
        for i in 0..self.rows {
            self.value[i] += self.alpha[i * self.columns + column] * step;
        }
        self.exchange(row, column);
        self.value[row] = entering;
        self.at_upper[column] = to_upper;
    }

    /// Exchanges a basic and a nonbasic variable in the dictionary.
    fn exchange(&mut self, row: usize, column: usize) {
        let columns = self.columns;
        let (before, rest) = self.alpha.split_at_mut(row * columns);
        let (pivot_row, after) = rest.split_at_mut(columns);
        let inverse = 1.0 / pivot_row[column];
        for entry in pivot_row.iter_mut() {
            *entry *= -inverse;
        }
        pivot_row[column] = inverse;
        let eliminate = |other: &mut [f64]| {
            let factor = other[column];
            if factor != 0.0 {
                other[column] = 0.0;
                for (entry, coefficient) in other.iter_mut().zip(&*pivot_row) {
                    *entry += factor * coefficient;
                }
            }
        };
        before.chunks_exact_mut(columns).for_each(eliminate);
        after.chunks_exact_mut(columns).for_each(eliminate);
        eliminate(&mut self.reduced);
        std::mem::swap(&mut self.basic[row], &mut self.nonbasic[column]);
        self.pivots += 1;
        self.since_refresh += 1;
    }

    fn point(&self) -> Vec<f64> {
        let mut point = vec![0.0; self.columns];
        for (column, &variable) in self.nonbasic.iter().enumerate() {
            if variable < self.columns {
                point[variable] = self.resting(column);
            }
        }
        for (&variable, &value) in self.basic.iter().zip(&self.value) {
            if variable < self.columns {
                point[variable] = value;
            }
        }
        point
    }

    /// The largest violation of rows, bounds, signs and stationarity, from the original numbers, relative.
    fn residual(&self) -> f64 {
        let point = self.point();
        let mut worst: f64 = 0.0;
        for (i, row) in self.program.matrix.rows().into_iter().enumerate() {
            let (mut used, mut size) = (0.0, 1.0 + self.rhs[i].abs());
            for (c, v) in row.iter().zip(&point) {
                used += c * v;
                size += (c * v).abs();
            }
            worst = worst.max((used - self.rhs[i]) / size);
        }
        for (j, &v) in point.iter().enumerate() {
            let size = 1.0 + v.abs();
            worst = worst
                .max((self.lower(j) - v) / size)
                .max((v - self.upper(j)) / size);
        }
        let scale = self.cost_scale();
        let mut stationary: Vec<f64> = self.cost.clone();
        for (column, &variable) in self.nonbasic.iter().enumerate() {
            let d = self.reduced[column];
            if let Some(row) = variable.checked_sub(self.columns) {
                worst = worst.max(-d / scale);
                for (entry, c) in stationary.iter_mut().zip(self.program.matrix.row(row)) {
                    *entry += d * c;
                }
            } else {
                stationary[variable] -= d;
            }
        }
        stationary
            .iter()
            .fold(worst, |worst, s| worst.max(s.abs() / scale))
    }

    fn optimum(&self) -> Optimum {
        let mut multipliers = vec![0.0; self.rows];
        let mut bound_multipliers = vec![(0.0, 0.0); self.columns];
        let cost_scale = self.cost_scale();
        let mut degenerate = false;
        for (column, &variable) in self.nonbasic.iter().enumerate() {
            let d = self.reduced[column];
            degenerate |= d.abs() <= DEGENERATE * cost_scale;
            if let Some(row) = variable.checked_sub(self.columns) {
                multipliers[row] = d.max(0.0) / self.program.row_scale[row];
            } else if self.at_upper[column] {
                bound_multipliers[variable].1 = d.min(0.0);
            } else {
                bound_multipliers[variable].0 = d.max(0.0);
            }
        }
        let close = DEGENERATE * self.value_scale();
        degenerate |= (0..self.rows).any(|i| self.violation(i).abs() <= close);
        Optimum {
            point: self.point(),
            multipliers,
            bound_multipliers,
            degenerate,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// The square [−1, 2] × [−1, 3] cut by x + y ≤ 4.
    fn cut_square() -> Arc<Program> {
        Arc::new(Program::new(
            array![[2.0, 2.0]].view(),
            vec![-1.0, -1.0],
            vec![2.0, 3.0],
        ))
    }

    #[test]
    fn optima_agree_with_the_vertices_and_with_their_multipliers() {
        let vertices = [
            [-1.0, -1.0],
            [2.0, -1.0],
            [2.0, 2.0],
            [1.0, 3.0],
            [-1.0, 3.0],
        ];
        let mut warm = Simplex::new(cut_square(), &[0.0, 0.0], &[8.0]);
        for k in 0..200 {
            let angle = 0.731 * f64::from(k);
            let cost = [angle.cos(), angle.sin()];
            warm.set_cost(&cost);
            let least = vertices
                .iter()
                .map(|v| cost[0] * v[0] + cost[1] * v[1])
                .fold(f64::MAX, f64::min);
            let cold = Simplex::new(cut_square(), &cost, &[8.0]).solve().unwrap();
            for answer in [warm.solve().unwrap(), cold] {
                let primal = cost[0] * answer.point[0] + cost[1] * answer.point[1];
                let [(l0, u0), (l1, u1)] =
                    [answer.bound_multipliers[0], answer.bound_multipliers[1]];
                let dual = -8.0 * answer.multipliers[0] - l0 - l1 + 2.0 * u0 + 3.0 * u1;
                assert!((primal - least).abs() < 1e-12 && (dual - least).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn new_right_hand_sides_go_on_from_the_last_basis() {
        let mut warm = Simplex::new(cut_square(), &[-1.0, -2.0], &[8.0]);
        for k in 0..50 {
            let rhs = 2.0 * f64::from(k % 11) - 3.0;
            warm.set_rhs(&[rhs]);
            let answer = warm.solve().unwrap();
            let cold = Simplex::new(cut_square(), &[-1.0, -2.0], &[rhs])
                .solve()
                .unwrap();
            assert!((answer.point[0] - cold.point[0]).abs() < 1e-12);
            assert!((answer.multipliers[0] - cold.multipliers[0]).abs() < 1e-12);
        }
    }

    #[test]
    fn contradictions_are_named() {
        let answer = Simplex::new(cut_square(), &[1.0, 1.0], &[-5.0]).solve();
        assert!(matches!(answer, Err(Error::Infeasible { violation }) if violation > 0.4));
    }
}
