//! The point of least norm of a hull whose vertices arrive one by one (Wolfe's algorithm).

use ndarray::Array1;

/// Vertices with weights; the weighted mean is the point of least norm of their hull.
#[derive(Default)]
pub(crate) struct Corral {
    /// Positions whose norm counts.
    images: Vec<Array1<f64>>,
    /// What is mixed along with them.
    points: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

/// Improvements below this share of the squared size of the vertices are rounding.
const ROUNDING: f64 = 1e-14;

impl Corral {
    /// The mixture.
    pub fn point(&self) -> Vec<f64> {
        mean(&self.weights, self.points.iter().map(Vec::as_slice))
    }

    fn image(&self) -> Array1<f64> {
        mean(
            &self.weights,
            self.images
                .iter()
                .map(|image| image.as_slice().unwrap_or_default()),
        )
        .into()
    }

    /// Takes in a vertex, which minimises the linear function at the present mean; `false` if it does not improve
    /// on the mean, which then is the nearest point of all.
    pub fn add(&mut self, image: Array1<f64>, point: Vec<f64>) -> bool {
        if !self.images.is_empty() {
            let mean = self.image();
            let size = self
                .images
                .iter()
                .map(|image| image.dot(image))
                .fold(image.dot(&image), f64::max);
            if mean.dot(&mean) - mean.dot(&image) <= ROUNDING * size {
                return false;
            }
        }
        self.images.push(image);
        self.points.push(point);
        self.weights
            .push(if self.weights.is_empty() { 1.0 } else { 0.0 });
        // At most one vertex leaves per round.
        for _ in 0..=self.images.len() {
            let Some(target) = self.affine_minimiser() else {
                // The new vertex depends on the others: it brings nothing.
                let kept = self.weights.last().is_some_and(|&weight| weight > 0.0);
                if !kept {
                    self.remove(self.images.len() - 1);
                }
                return kept;
            };
            if target.iter().all(|&weight| weight > 0.0) {
                self.weights = target;
                return true;
            }
            // Go towards it until the first weight is 0, and drop that vertex.
            let mut share = 1.0;
            let mut leaving = 0;
            for (k, (&now, &then)) in self.weights.iter().zip(&target).enumerate() {
                if then <= 0.0 {
                    let reach = now / (now - then);
                    if reach < share || (reach.is_nan() && share > 0.0) {
                        share = if reach.is_nan() { 0.0 } else { reach };
                        leaving = k;
                    }
                }
            }
            for (now, then) in self.weights.iter_mut().zip(&target) {
                *now += share * (then - *now);
            }
            self.remove(leaving);
            let total: f64 = self.weights.iter().sum();
            self.weights.iter_mut().for_each(|weight| *weight /= total);
        }
        true
    }

    fn remove(&mut self, index: usize) {
        self.images.remove(index);
        self.points.remove(index);
        self.weights.remove(index);
    }

    /// Weights of the point of least norm of the affine hull: `(1 1ᵀ + G) v ∝ 1`, `G` the inner products.
    fn affine_minimiser(&self) -> Option<Vec<f64>> {
        let n = self.images.len();
        let size = self
            .images
            .iter()
            .map(|image| image.dot(image))
            .fold(f64::MIN_POSITIVE, f64::max);
        // Cholesky factor of 1 1ᵀ + G / size.
        let mut factor = vec![vec![0.0; n]; n];
        for i in 0..n {
            for j in 0..=i {
                let mut entry = 1.0 + self.images[i].dot(&self.images[j]) / size;
                for k in 0..j {
                    entry -= factor[i][k] * factor[j][k];
                }
                if i == j {
                    if entry <= 1e-13 {
                        return None;
                    }
                    factor[i][i] = f64::sqrt(entry);
                } else {
                    factor[i][j] = entry / factor[j][j];
                }
            }
        }
        let mut solution = vec![1.0; n];
        for i in 0..n {
            for k in 0..i {
                solution[i] -= factor[i][k] * solution[k];
            }
            solution[i] /= factor[i][i];
        }
        for i in (0..n).rev() {
            for k in i + 1..n {
                solution[i] -= factor[k][i] * solution[k];
            }
            solution[i] /= factor[i][i];
        }
        let total: f64 = solution.iter().sum();
        Some(solution.iter().map(|v| v / total).collect())
    }
}

fn mean<'a>(weights: &[f64], points: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut total: Vec<f64> = Vec::new();
    for (weight, point) in weights.iter().zip(points) {
        total.resize(point.len(), 0.0);
        for (sum, entry) in total.iter_mut().zip(point) {
            *sum += weight * entry;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn nearest_point_of_a_triangle() {
        let vertices = [array![1.0, 3.0], array![3.0, 1.0], array![4.0, 4.0]];
        let mut corral = Corral::default();
        let mut mean: Array1<f64> = array![0.0, 0.0];
        for _ in 0..10 {
            let best = vertices
                .iter()
                .min_by(|a, b| mean.dot(*a).total_cmp(&mean.dot(*b)))
                .unwrap();
            if !corral.add(best.clone(), best.to_vec()) {
                break;
            }
            mean = corral.point().into();
        }
        assert!(
            (&mean - &array![2.0, 2.0])
                .iter()
                .all(|off| off.abs() < 1e-12),
            "{mean}"
        );
    }
}
