//! The small dense linear algebra that the crate needs.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// Part of the largest diagonal entry below which a pivot counts as zero.
const PIVOT: f64 = 1e-13;

/// A Cholesky factorisation of a symmetric positive semidefinite matrix. Directions whose pivot is rounding are
/// left out: [`solve`](Self::solve) then answers in the span of the others.
pub(crate) struct Cholesky {
    factor: Array2<f64>,
    kept: Vec<bool>,
}

impl Cholesky {
    pub(crate) fn of(matrix: &Array2<f64>) -> Self {
        let n = matrix.nrows();
        let mut factor = Array2::zeros((n, n));
        let mut kept = vec![false; n];
        for j in 0..n {
            let mut pivot = matrix[[j, j]];
            for k in 0..j {
                pivot -= factor[[j, k]] * factor[[j, k]];
            }
            if pivot <= PIVOT * matrix[[j, j]] || pivot <= 0.0 || !pivot.is_finite() {
                continue;
            }
            let root = pivot.sqrt();
            kept[j] = true;
            factor[[j, j]] = root;
            for i in j + 1..n {
                let mut sum = matrix[[i, j]];
                for k in 0..j {
                    sum -= factor[[i, k]] * factor[[j, k]];
                }
                factor[[i, j]] = sum / root;
            }
        }
        Self { factor, kept }
    }

    /// Solves with one right-hand side; entries of left-out directions are 0.
    pub(crate) fn solve(&self, side: ArrayView1<'_, f64>) -> Array1<f64> {
        let n = self.kept.len();
        let mut x = Array1::zeros(n);
        for i in 0..n {
            if self.kept[i] {
                let mut sum = side[i];
                for k in 0..i {
                    sum -= self.factor[[i, k]] * x[k];
                }
                x[i] = sum / self.factor[[i, i]];
            }
        }
        for i in (0..n).rev() {
            if self.kept[i] {
                let mut sum = x[i];
                for k in i + 1..n {
                    if self.kept[k] {
                        sum -= self.factor[[k, i]] * x[k];
                    }
                }
                x[i] = sum / self.factor[[i, i]];
            }
        }
        x
    }

    /// Solves column by column.
    pub(crate) fn solve_columns(&self, sides: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros(sides.raw_dim());
        for (mut to, from) in out.columns_mut().into_iter().zip(sides.columns()) {
            to.assign(&self.solve(from));
        }
        out
    }
}

/// Rows of `vectors` made orthonormal; rows that depend on earlier ones are dropped. Twice is enough against
/// cancellation.
pub(crate) fn orthonormal(vectors: &[Array1<f64>], tolerance: f64) -> Vec<Array1<f64>> {
    let mut basis: Vec<Array1<f64>> = Vec::new();
    for vector in vectors {
        let length = norm(vector.view());
        let mut rest = vector.clone();
        for _ in 0..2 {
            for direction in &basis {
                let along = direction.dot(&rest);
                rest.scaled_add(-along, direction);
            }
        }
        let left = norm(rest.view());
        if left > tolerance * length && left > 0.0 {
            basis.push(rest / left);
        }
    }
    basis
}

/// A unit vector `x` with `A x = 0`, when the columns of `A` are dependent.
pub(crate) fn null_vector(a: ArrayView2<'_, f64>) -> Option<Array1<f64>> {
    const RANK: f64 = 1e-11;
    let n = a.ncols();
    let mut work = a.to_owned();
    for mut row in work.rows_mut() {
        let length = norm(row.view());
        if length > 0.0 {
            row /= length;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    let mut rank = 0;
    while rank < n.min(work.nrows()) {
        // Complete pivoting: the rank decides, not the speed.
        let mut best = (rank, rank, 0.0);
        for i in rank..work.nrows() {
            for j in rank..n {
                let size = work[[i, order[j]]].abs();
                if size > best.2 {
                    best = (i, j, size);
                }
            }
        }
        if best.2 <= RANK {
            break;
        }
        order.swap(rank, best.1);
        for j in 0..n {
            work.swap([rank, j], [best.0, j]);
        }
        let pivot = order[rank];
        for i in rank + 1..work.nrows() {
            let factor = work[[i, pivot]] / work[[rank, pivot]];
            if factor != 0.0 {
                for j in 0..n {
                    work[[i, j]] -= factor * work[[rank, j]];
                }
            }
        }
        rank += 1;
    }
    if rank == n {
        return None;
    }
    let mut x = Array1::zeros(n);
    x[order[rank]] = 1.0;
    for i in (0..rank).rev() {
        let mut sum = 0.0;
        for j in i + 1..=rank {
            sum += work[[i, order[j]]] * x[order[j]];
        }
        x[order[i]] = -sum / work[[i, order[i]]];
    }
    let length = norm(x.view());
    Some(x / length)
}

/// The absolute value of the determinant, by elimination with partial pivoting.
pub(crate) fn absolute_determinant(mut matrix: Array2<f64>) -> f64 {
    let n = matrix.nrows();
    let mut determinant = 1.0;
    for k in 0..n {
        let mut pivot = k;
        for i in k + 1..n {
            if matrix[[i, k]].abs() > matrix[[pivot, k]].abs() {
                pivot = i;
            }
        }
        if matrix[[pivot, k]] == 0.0 {
            return 0.0;
        }
        for j in 0..n {
            matrix.swap([k, j], [pivot, j]);
        }
        determinant *= matrix[[k, k]];
        for i in k + 1..n {
            let factor = matrix[[i, k]] / matrix[[k, k]];
            for j in k + 1..n {
                matrix[[i, j]] -= factor * matrix[[k, j]];
            }
        }
    }
    determinant.abs()
}

pub(crate) fn norm(x: ArrayView1<'_, f64>) -> f64 {
    x.dot(&x).sqrt()
}

/// The largest absolute entry; 0 for nothing.
pub(crate) fn largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values
        .into_iter()
        .fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

/// The nonzero entries of a row.
pub(crate) fn entries(row: ArrayView1<'_, f64>) -> impl Iterator<Item = (usize, f64)> + '_ {
    row.into_iter()
        .copied()
        .enumerate()
        .filter(|(_, value)| *value != 0.0)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn cholesky_solves() {
        let a = array![[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 2.0]];
        let x = array![1.0, -2.0, 0.5];
        let solved = Cholesky::of(&a).solve(a.dot(&x).view());
        assert!(largest(&(solved - x)) < 1e-14);
    }

    #[test]
    fn cholesky_leaves_out_what_has_no_pivot() {
        let a = array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]];
        let side = array![3.0, 3.0, 4.0];
        let solved = Cholesky::of(&a).solve(side.view());
        assert!(largest(&(a.dot(&solved) - side)) < 1e-14);
    }

    #[test]
    fn null_vectors_are_found_and_only_where_there_are_any() {
        assert!(null_vector(Array2::eye(3).view()).is_none());
        let a = array![[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, -1.0]];
        let x = null_vector(a.view()).unwrap();
        assert!(largest(&a.dot(&x)) < 1e-14 && (norm(x.view()) - 1.0).abs() < 1e-14);
        assert!(null_vector(array![[1.0, 0.0]].view()).is_some());
    }

    #[test]
    fn determinants() {
        assert!((absolute_determinant(array![[0.0, 2.0], [3.0, 1.0]]) - 6.0).abs() < 1e-15);
        assert!(absolute_determinant(array![[1.0, 2.0], [2.0, 4.0]]) < 1e-15);
    }

    #[test]
    fn orthonormal_drops_dependent_vectors() {
        let basis = orthonormal(
            &[array![2.0, 0.0], array![4.0, 0.0], array![1.0, 1.0]],
            1e-9,
        );
        assert_eq!(basis.len(), 2);
        assert!(basis[0].dot(&basis[1]).abs() < 1e-15);
    }
}
