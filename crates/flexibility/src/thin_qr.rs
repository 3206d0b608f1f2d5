//! A thin QR factorisation that follows columns as they come and go.

/// `A = Q R` with orthonormal columns in `Q` and `R` upper triangular, for a tall `A`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThinQr {
    q: Vec<Vec<f64>>,
    /// Column `k` holds entries `0..=k`.
    r: Vec<Vec<f64>>,
}

/// A column whose part outside the span of the others is smaller than this share of its length
/// counts as dependent.
const DEPENDENT: f64 = 1e-9;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

impl ThinQr {
    pub fn len(&self) -> usize {
        self.q.len()
    }

    /// Appends a column; `false` (and nothing changes) if it depends on the others.
    pub fn push(&mut self, mut column: Vec<f64>) -> bool {
        let length = norm(&column);
        let mut coefficients = vec![0.0; self.len() + 1];
        // Gram-Schmidt twice is orthogonal to working precision (Giraud et al. 2005).
        for _ in 0..2 {
            for (coefficient, q) in coefficients.iter_mut().zip(&self.q) {
                let projection = dot(q, &column);
                *coefficient += projection;
                for (entry, direction) in column.iter_mut().zip(q) {
                    *entry -= projection * direction;
                }
            }
        }
        let rest = norm(&column);
        if rest <= DEPENDENT * length || rest == 0.0 {
            return false;
        }
        for entry in &mut column {
            *entry /= rest;
        }
        coefficients[self.q.len()] = rest;
        self.q.push(column);
        self.r.push(coefficients);
        true
    }

    /// Removes column `k` by Givens rotations.
    pub fn remove(&mut self, k: usize) {
        self.r.remove(k);
        for j in k..self.r.len() {
            // Column j now has one entry too many, at row j + 1.
            let (a, b) = (self.r[j][j], self.r[j][j + 1]);
            let h = a.hypot(b);
            let (c, s) = if h == 0.0 { (1.0, 0.0) } else { (a / h, b / h) };
            for column in &mut self.r[j..] {
                let (x, y) = (column[j], column[j + 1]);
                column[j] = c * x + s * y;
                column[j + 1] = c * y - s * x;
            }
            self.r[j].truncate(j + 1);
            let (head, tail) = self.q.split_at_mut(j + 1);
            for (x, y) in head[j].iter_mut().zip(&mut tail[0]) {
                (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
            }
        }
        self.q.pop();
    }

    /// The `z` that minimises `tilt · z + ½ ‖A z + offset‖²`.
    pub fn least_squares(&self, offset: &[f64], tilt: Option<&[f64]>) -> Vec<f64> {
        let mut z: Vec<f64> = self.q.iter().map(|q| -dot(q, offset)).collect();
        if let Some(tilt) = tilt {
            let mut lifted: Vec<f64> = Vec::with_capacity(tilt.len());
            for (k, &slope) in tilt.iter().enumerate() {
                let known = dot(&self.r[k][..k], &lifted);
                lifted.push((slope - known) / self.r[k][k]);
                z[k] -= lifted[k];
            }
        }
        for k in (0..z.len()).rev() {
            z[k] /= self.r[k][k];
            let (head, tail) = z.split_at_mut(k);
            for (entry, coefficient) in head.iter_mut().zip(&self.r[k]) {
                *entry -= coefficient * tail[0];
            }
        }
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(seed: u64) -> Vec<f64> {
        (0..7)
            .map(|i| ((seed * 31 + i * 17 + seed * i * 5) % 23) as f64 - 11.0)
            .collect()
    }

    #[test]
    fn least_squares_gradient_vanishes_after_removals() {
        let mut qr = ThinQr::default();
        let mut columns: Vec<Vec<f64>> = (1..6).map(column).collect();
        for c in &columns {
            assert!(qr.push(c.clone()));
        }
        for k in [1, 3, 0] {
            qr.remove(k);
            columns.remove(k);
            let offset = column(9);
            let tilt: Vec<f64> = (0..columns.len()).map(|k| k as f64 - 1.5).collect();
            let z = qr.least_squares(&offset, Some(&tilt));
            let mut residual = offset;
            for (c, weight) in columns.iter().zip(&z) {
                residual
                    .iter_mut()
                    .zip(c)
                    .for_each(|(r, x)| *r += weight * x);
            }
            for (c, slope) in columns.iter().zip(&tilt) {
                assert!(
                    (dot(&residual, c) + slope).abs() < 1e-9,
                    "{residual:?} against {c:?}"
                );
            }
        }
    }

    #[test]
    fn dependent_columns_are_refused() {
        let mut qr = ThinQr::default();
        assert!(qr.push(vec![1.0, 2.0, 3.0]));
        assert!(qr.push(vec![0.0, 1.0, 0.0]));
        assert!(!qr.push(vec![2.0, 5.0, 6.0]));
        assert!(!qr.push(vec![0.0; 3]));
        assert_eq!(qr.len(), 2);
    }
}
