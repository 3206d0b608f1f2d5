//! Symmetric positive definite systems: dense ones, and chains of blocks that couple only with their neighbours.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};

/// The part of its diagonal entry that a pivot keeps at least: below it, the direction is taken as fixed.
const PIVOT: f64 = 1e-15;

/// Stands for an infinite pivot.
const FIXED: f64 = 1e100;

/// Columns of a dense factorisation that are eliminated together.
const PANEL: usize = 64;

/// The lower Cholesky factor of a dense matrix; directions without curvature are fixed (their solution is 0).
#[derive(Clone, Debug)]
pub(super) struct Dense {
    factor: Array2<f64>,
}

impl Dense {
    /// Factorises the lower triangle of `matrix`.
    pub(super) fn of(mut matrix: Array2<f64>) -> Self {
        let n = matrix.nrows();
        let diagonal = matrix.diag().to_owned();
        let mut first = 0;
        while first < n {
            let end = (first + PANEL).min(n);
            // The panel, by rows of the factor found so far within it.
            for j in first..end {
                let row: Vec<f64> = matrix.slice(s![j, first..j]).to_vec();
                let pivot = matrix[[j, j]] - dot(&row, &row);
                let kept = pivot > PIVOT * diagonal[j] && pivot.is_finite();
                let root = if kept { pivot.sqrt() } else { FIXED };
                matrix[[j, j]] = root;
                for i in j + 1..n {
                    let own = matrix.slice(s![i, first..j]);
                    let sum = matrix[[i, j]] - dot_view(own, &row);
                    matrix[[i, j]] = if kept { sum / root } else { 0.0 };
                }
            }
            if end < n {
                let panel = matrix.slice(s![end.., first..end]).to_owned();
                // Only blocks on and below the diagonal are used.
                let mut at = end;
                while at < n {
                    let to = (at + PANEL).min(n);
                    let own = panel.slice(s![at - end..to - end, ..]);
                    let upper = panel.slice(s![..to - end, ..]);
                    let mut target = matrix.slice_mut(s![at..to, end..to]);
                    general_mat_mul(-1.0, &own, &upper.t(), 1.0, &mut target);
                    at = to;
                }
            }
            first = end;
        }
        Self { factor: matrix }
    }

    /// `x` with `A x = side`.
    pub(super) fn solve(&self, side: ArrayView1<'_, f64>) -> Array1<f64> {
        let mut x = side.to_owned();
        let n = x.len();
        for i in 0..n {
            let done = self.factor.slice(s![i, ..i]).dot(&x.slice(s![..i]));
            x[i] = (x[i] - done) / self.factor[[i, i]];
        }
        for i in (0..n).rev() {
            x[i] /= self.factor[[i, i]];
            let value = x[i];
            if value != 0.0 {
                let row = self.factor.slice(s![i, ..i]);
                x.slice_mut(s![..i]).scaled_add(-value, &row);
            }
        }
        x
    }
}

/// With eight sums side by side, which the compiler can vectorise.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left
        .remainder()
        .iter()
        .zip(right.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    rest + sums.iter().sum::<f64>()
}

fn dot_view(a: ArrayView1<'_, f64>, b: &[f64]) -> f64 {
    match a.as_slice() {
        Some(a) => dot(a, b),
        None => a.iter().zip(b).map(|(a, b)| a * b).sum(),
    }
}

/// An upper triangular `R` of pivoted columns, with `Rᵀ R = Jᵀ J` for the rows `J` that it was made from.
#[derive(Clone, Debug)]
pub(super) struct Triangle {
    triangle: Array2<f64>,
    /// The column of `J` that each column of the triangle is.
    pivots: Vec<usize>,
}

impl Triangle {
    /// `x` with `R x = side`, in the order of the columns of `J`.
    fn solve(&self, side: &mut [f64]) -> Array1<f64> {
        let n = self.pivots.len();
        let mut x = Array1::zeros(n);
        for i in (0..n).rev() {
            let row = self.triangle.row(i);
            let row = row.as_slice().unwrap_or(&[]);
            let pivot = row[i];
            // Nothing is known in a direction without pivot: it is fixed.
            let value = if pivot == 0.0 {
                0.0
            } else {
                (side[i] - dot(&row[i + 1..], &side[i + 1..])) / pivot
            };
            side[i] = value;
            x[self.pivots[i]] = value;
        }
        x
    }

    /// `v` with `Rᵀ v = side`, the side in the order of the columns of `J`.
    fn solve_transposed(&self, side: ArrayView1<'_, f64>) -> Vec<f64> {
        let n = self.pivots.len();
        let mut v: Vec<f64> = self.pivots.iter().map(|&column| side[column]).collect();
        for i in 0..n {
            let row = self.triangle.row(i);
            let row = row.as_slice().unwrap_or(&[]);
            v[i] = if row[i] == 0.0 { 0.0 } else { v[i] / row[i] };
            let value = v[i];
            if value != 0.0 {
                for (to, factor) in v[i + 1..].iter_mut().zip(&row[i + 1..]) {
                    *to -= factor * value;
                }
            }
        }
        v
    }

    /// `(Jᵀ J)⁻¹ side`.
    pub(super) fn solve_normal(&self, side: ArrayView1<'_, f64>) -> Array1<f64> {
        self.solve(&mut self.solve_transposed(side))
    }

    /// `U = R⁻¹` with its rows in the order of the columns of `J`: `U Uᵀ = (Jᵀ J)⁻¹`.
    pub(super) fn inverse_root(&self) -> Array2<f64> {
        let m = self.pivots.len();
        let mut inverse = Array2::<f64>::zeros((m, m));
        for i in (0..m).rev() {
            let pivot = self.triangle[[i, i]];
            if pivot == 0.0 {
                continue;
            }
            let mut row = vec![0.0; m];
            row[i] = 1.0;
            for k in i + 1..m {
                let factor = self.triangle[[i, k]];
                if factor != 0.0 {
                    for (to, from) in row[k..].iter_mut().zip(inverse.row(k).iter().skip(k)) {
                        *to -= factor * from;
                    }
                }
            }
            for (j, value) in row.iter().enumerate().skip(i) {
                inverse[[i, j]] = value / pivot;
            }
        }
        let mut root = Array2::zeros((m, m));
        for (i, &to) in self.pivots.iter().enumerate() {
            root.row_mut(to).assign(&inverse.row(i));
        }
        root
    }
}

/// Rows to be triangularised, column by column in memory; kept to be used again.
#[derive(Default)]
pub(super) struct Stack {
    /// Rows as they come in.
    rows: Vec<f64>,
    width: usize,
    sizes: Vec<f64>,
    order: Vec<usize>,
    columns: Vec<f64>,
}

impl Stack {
    pub(super) fn clear(&mut self, width: usize) {
        self.rows.clear();
        self.width = width;
    }

    /// Appends a row of zeros and hands it out to be filled.
    pub(super) fn push(&mut self) -> &mut [f64] {
        let from = self.rows.len();
        self.rows.resize(from + self.width, 0.0);
        &mut self.rows[from..]
    }

    /// Eliminates the first `count` columns by Householder reflections, longest rows first and with column pivoting among them
    /// (so that short rows keep their digits beside rows that are many orders longer). Returns their triangle, the part of its rows in the
    /// other columns, and leaves the rows that remain, in the other columns, in the stack.
    pub(super) fn eliminate(&mut self, count: usize) -> (Triangle, Array2<f64>) {
        let (width, r) = (self.width, self.rows.len() / self.width.max(1));
        self.sizes.clear();
        self.sizes
            .extend(self.rows.chunks_exact(width.max(1)).map(|row| {
                row.iter()
                    .fold(0.0_f64, |size, value| size.max(value.abs()))
            }));
        self.order.clear();
        self.order.extend(0..r);
        self.order
            .sort_by(|a, b| self.sizes[*b].total_cmp(&self.sizes[*a]));
        self.columns.clear();
        self.columns.resize(r * width, 0.0);
        for (to, &from) in self.order.iter().enumerate() {
            for (j, value) in self.rows[from * width..(from + 1) * width]
                .iter()
                .enumerate()
            {
                self.columns[j * r + to] = *value;
            }
        }
        let mut pivots: Vec<usize> = (0..count).collect();
        let mut triangle = Array2::<f64>::zeros((count, count));
        let mut beside = Array2::<f64>::zeros((count, width - count));
        let columns = &mut self.columns;
        let steps = count.min(r);
        for step in 0..steps {
            let (best, norm) = (step..count)
                .map(|j| {
                    let rest = &columns[j * r + step..(j + 1) * r];
                    (j, dot(rest, rest))
                })
                .fold(
                    (step, -1.0),
                    |best, next| if next.1 > best.1 { next } else { best },
                );
            if best != step {
                pivots.swap(step, best);
                for k in 0..r {
                    columns.swap(step * r + k, best * r + k);
                }
                for k in 0..step {
                    triangle.swap([k, step], [k, best]);
                }
            }
            let length = norm.max(0.0).sqrt();
            let (done, rest) = columns.split_at_mut((step + 1) * r);
            let own = &mut done[step * r + step..];
            if length == 0.0 {
                continue;
            }
            // The reflection that maps the column to a multiple of the first unit vector.
            let diagonal = if own[0] > 0.0 { -length } else { length };
            own[0] -= diagonal;
            let scale = -1.0 / (diagonal * own[0]);
            triangle[[step, step]] = diagonal;
            for (j, column) in rest.chunks_exact_mut(r).enumerate() {
                let column = &mut column[step..];
                let factor = scale * dot(own, column);
                for (to, from) in column.iter_mut().zip(own.iter()) {
                    *to -= factor * from;
                }
                let at = step + 1 + j;
                if at < count {
                    triangle[[step, at]] = column[0];
                } else {
                    beside[[step, at - count]] = column[0];
                }
            }
        }
        // What remains, back into rows.
        let left = width - count;
        self.rows.clear();
        self.width = left;
        for k in steps..r {
            for j in count..width {
                self.rows.push(columns[j * r + k]);
            }
        }
        (Triangle { triangle, pivots }, beside)
    }

    /// Replaces the rows by at most `width` rows with the same Gram matrix.
    fn compress(&mut self) {
        let width = self.width;
        if width == 0 || self.rows.len() <= width * width {
            return;
        }
        let (triangle, _) = self.eliminate(width);
        self.clear(width);
        for row in triangle.triangle.rows() {
            let to = self.push();
            for (value, &column) in row.iter().zip(&triangle.pivots) {
                to[column] = *value;
            }
        }
    }
}

/// `R` with `Rᵀ R = Σ_r weight_r row_r row_rᵀ`, from the weighted rows themselves: weights that differ by sixteen orders of magnitude
/// would cost the matrix all its small eigenvalues, and cost `R` only half of them.
pub(super) fn weighted_triangle(
    rows: ArrayView2<'_, f64>,
    weights: ArrayView1<'_, f64>,
    stack: &mut Stack,
) -> Triangle {
    let m = rows.ncols();
    stack.clear(m);
    for (row, weight) in rows.rows().into_iter().zip(weights) {
        let root = weight.sqrt();
        for (to, value) in stack.push().iter_mut().zip(row) {
            *to = root * value;
        }
    }
    stack.eliminate(m).0
}

/// A symmetric positive definite matrix of blocks in which only neighbours couple, as the product `Rᵀ R` of a bidiagonal one.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    triangles: Vec<Triangle>,
    /// The block of `R` to the right of each triangle.
    beside: Vec<Array2<f64>>,
    /// Where each block begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Chain {
    /// `Jᵀ J` for rows `J` that `fill` pushes block by block: for block j those whose first block it is, over the columns
    /// of blocks j and j + 1.
    pub(super) fn of(
        sizes: &[usize],
        stack: &mut Stack,
        mut fill: impl FnMut(usize, &mut Stack),
    ) -> Self {
        let mut starts = vec![0];
        let mut triangles = Vec::with_capacity(sizes.len());
        let mut beside = Vec::with_capacity(sizes.len());
        let mut carried: Vec<f64> = Vec::new();
        for (j, &size) in sizes.iter().enumerate() {
            starts.push(starts[j] + size);
            let next = sizes.get(j + 1).copied().unwrap_or(0);
            stack.clear(size + next);
            for row in carried.chunks_exact(size.max(1)) {
                stack.push()[..size].copy_from_slice(row);
            }
            fill(j, stack);
            let (triangle, right) = stack.eliminate(size);
            triangles.push(triangle);
            beside.push(right);
            stack.compress();
            carried.clone_from(&stack.rows);
        }
        Self {
            triangles,
            beside,
            starts,
        }
    }

    /// `x` with `A x = side`.
    pub(super) fn solve(&self, side: ArrayView1<'_, f64>) -> Array1<f64> {
        let count = self.triangles.len();
        let mut x = side.to_owned();
        let mut halves: Vec<Vec<f64>> = Vec::with_capacity(count);
        for j in 0..count {
            let at = s![self.starts[j]..self.starts[j + 1]];
            if j > 0 {
                let step = self.beside[j - 1]
                    .t()
                    .dot(&ArrayView1::from(&halves[j - 1]));
                let mut here = x.slice_mut(at);
                here -= &step;
            }
            halves.push(self.triangles[j].solve_transposed(x.slice(at)));
        }
        for j in (0..count).rev() {
            let mut half = std::mem::take(&mut halves[j]);
            if j + 1 < count {
                let next = x.slice(s![self.starts[j + 1]..self.starts[j + 2]]);
                let step = self.beside[j].dot(&next);
                for (to, step) in half.iter_mut().zip(step) {
                    *to -= step;
                }
            }
            let value = self.triangles[j].solve(&mut half);
            x.slice_mut(s![self.starts[j]..self.starts[j + 1]])
                .assign(&value);
        }
        x
    }

    /// The inverse, dense: one product of two blocks for each of its blocks.
    pub(super) fn inverse(&self) -> Array2<f64> {
        let count = self.triangles.len();
        let size = self.starts[count];
        let mut inverse = Array2::zeros((size, size));
        let at = |j: usize| self.starts[j]..self.starts[j + 1];
        for j in (0..count).rev() {
            let root = self.triangles[j].inverse_root();
            let mut own = root.dot(&root.t());
            if j + 1 < count {
                // Row j to the right of the diagonal: −R_j⁻¹ T_j times row j + 1.
                let map = root.dot(&self.beside[j]);
                let after = self.starts[j + 1];
                let next = inverse.slice(s![at(j + 1), after..]).to_owned();
                let row = -map.dot(&next);
                let neighbour = row.slice(s![.., ..self.starts[j + 2] - after]);
                own -= &neighbour.dot(&map.t());
                inverse.slice_mut(s![at(j), after..]).assign(&row);
                inverse.slice_mut(s![after.., at(j)]).assign(&row.t());
            }
            inverse.slice_mut(s![at(j), at(j)]).assign(&own);
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]
    use super::*;

    fn sample(n: usize, seed: u64) -> Array2<f64> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let root = Array2::from_shape_fn((n, n), |_| next());
        root.dot(&root.t()) + Array2::<f64>::eye(n)
    }

    /// The inverse, column by column.
    fn inverse(factor: &Dense) -> Array2<f64> {
        let n = factor.factor.nrows();
        let mut inverse = Array2::zeros((n, n));
        for (mut column, unit) in inverse.columns_mut().into_iter().zip(Array2::eye(n).rows()) {
            column.assign(&factor.solve(unit));
        }
        inverse
    }

    fn far(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        (a - b)
            .iter()
            .fold(0.0, |most: f64, off| most.max(off.abs()))
    }

    #[test]
    fn dense_systems_of_every_size_are_solved() {
        for n in [1, 2, 19, 64, 65, 150] {
            let matrix = sample(n, n as u64);
            let factor = Dense::of(matrix.clone());
            assert!(
                far(&matrix.dot(&inverse(&factor)), &Array2::eye(n)) < 1e-10,
                "{n}"
            );
            let side = Array1::linspace(-1.0, 2.0, n);
            let off = matrix.dot(&factor.solve(side.view())) - &side;
            assert!(off.iter().all(|off| off.abs() < 1e-10), "{n}");
        }
    }

    #[test]
    fn a_direction_without_curvature_is_fixed() {
        let matrix = ndarray::array![[1.0, 0.0], [0.0, 0.0]];
        let x = Dense::of(matrix).solve(ndarray::array![2.0, 3.0].view());
        assert!((x[0] - 2.0).abs() < 1e-15 && x[1].abs() < 1e-90, "{x}");
    }

    /// `U Uᵀ` is the inverse of the weighted Gram matrix, however different the weights are.
    #[test]
    fn roots_invert_weighted_grams() {
        let rows = Array2::from_shape_fn((9, 4), |(i, j)| ((3 * i + 5 * j) % 7) as f64 - 2.5);
        for spread in [0.0, 2.0, 8.0] {
            let weights =
                Array1::from_shape_fn(9, |i| 10.0_f64.powf(spread * (i % 3) as f64 - spread));
            let triangle = weighted_triangle(rows.view(), weights.view(), &mut Stack::default());
            let root = triangle.inverse_root();
            // Σ w rowᵀ U (rowᵀ U)ᵀ = I, checked with the rows so that no digits are lost on the way.
            let mut image = rows.dot(&root);
            for (mut row, weight) in image.rows_mut().into_iter().zip(&weights) {
                row *= weight.sqrt();
            }
            assert!(
                far(&image.t().dot(&image), &Array2::eye(4)) < 1e-7,
                "spread {spread}"
            );
        }
    }

    /// A chain is the dense matrix `Jᵀ J`.
    #[test]
    fn chains_agree_with_dense_systems() {
        let sizes = [3, 5, 2, 4];
        let starts = [0, 3, 8, 10, 14];
        let rows: Vec<(usize, Vec<f64>)> = (0..4)
            .flat_map(|j| (0..7).map(move |k| (j, k)))
            .map(|(j, k)| {
                let end = starts[(j + 2).min(4)];
                let row = (starts[j]..end).map(|c| ((7 * k + 3 * c + c * c * k) % 11) as f64 - 4.8);
                (j, row.collect())
            })
            .collect();
        let mut dense = Array2::<f64>::zeros((14, 14));
        for (j, row) in &rows {
            for (a, x) in row.iter().enumerate() {
                for (b, y) in row.iter().enumerate() {
                    dense[[starts[*j] + a, starts[*j] + b]] += x * y;
                }
            }
        }
        let chain = Chain::of(&sizes, &mut Stack::default(), |j, stack| {
            for (_, row) in rows.iter().filter(|(at, _)| *at == j) {
                stack.push().copy_from_slice(row);
            }
        });
        let inverse = inverse(&Dense::of(dense));
        assert!(far(&chain.inverse(), &inverse) < 1e-10);
        let side = Array1::linspace(-1.0, 2.0, 14);
        let off = chain.solve(side.view()) - inverse.dot(&side);
        assert!(off.iter().all(|off| off.abs() < 1e-10), "{off}");
    }
}
