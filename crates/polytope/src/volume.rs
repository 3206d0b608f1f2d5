//! Volumes: exact in low dimension, estimated with an error bar in any.

use std::collections::BTreeSet;

use evflex_solver::{Options, Solver};
use ndarray::Array2;

use crate::linear::{absolute_determinant, norm};
use crate::sample::Walk;
use crate::vertices::{Bits, check_dimension};
use crate::{Error, HPolytope, VPolytope};

/// Independent walks per phase, from whose scatter the error is estimated.
const WALKS: u64 = 16;

/// A volume with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolumeEstimate {
    /// The estimate, in the unit of the set to the power of its dimension.
    pub volume: f64,
    /// Its standard error, from the scatter of independent walks: about two thirds of estimates lie this close.
    pub standard_error: f64,
    /// Random points used.
    pub points: usize,
}

impl HPolytope {
    /// The volume, exactly up to rounding: the vertices, and a triangulation made of them (each face is a pyramid over
    /// those of its facets that do not hold its first vertex; Cohen and Hickey 1979). Flat sets have volume 0.
    ///
    /// ```
    /// use evflex_polytope::{HPolytope, vertices};
    /// use ndarray::array;
    /// // The simplex x, y, z ≥ 0, x + y + z ≤ 1.
    /// let corner = array![[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 1.0, 1.0]];
    /// let simplex = HPolytope::new(corner, array![0.0, 0.0, 0.0, 1.0])?;
    /// assert!((simplex.volume(vertices::DEFAULT_LIMIT)? - 1.0 / 6.0).abs() < 1e-12);
    /// # Ok::<(), evflex_polytope::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`vertices`](Self::vertices).
    pub fn volume(&self, limit: usize) -> Result<f64, Error> {
        check_dimension("the exact volume", self.dimension())?;
        let vertices = self.vertices(limit)?;
        let mut all = Bits::none(vertices.points().nrows());
        for k in 0..vertices.points().nrows() {
            all.insert(k);
        }
        let triangulation = Triangulation {
            vertices: &vertices,
            rows: self.incidence(&vertices),
        };
        let mut corners = Vec::with_capacity(self.dimension() + 1);
        let sum = triangulation.add(&all, self.dimension(), &mut corners);
        let factorial: f64 = (1..=self.dimension()).map(|k| k as f64).product();
        Ok(sum / factorial)
    }

    /// The volume by random points, with an error bar, in any dimension: the ball around the Chebyshev centre is
    /// blown up until it holds the set, each time doubling its volume, and the share of the smaller intersection in the
    /// larger one is estimated by hit and run (Dyer, Frieze and Kannan 1991; Lovász and Vempala 2006).
    ///
    /// `points` is the number of random points per doubling, split among 16 independent walks. The error bar
    /// is the scatter among walks; it does not see a walk that is too short for a very elongated set.
    ///
    /// # Errors
    /// [`Error::Flat`] when the set has no interior, [`Error::Empty`], [`Error::Unbounded`], [`Error::Solver`].
    pub fn estimate_volume(
        &self,
        points: usize,
        seed: u64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<VolumeEstimate, Error> {
        let ball = self.check(solver, options)?;
        let n = self.dimension();
        let (lower, upper) = self.bounding_box(solver, options)?;
        let corner = ndarray::Zip::from(&ball.centre)
            .and(&lower)
            .and(&upper)
            .map_collect(|c, l, u| (c - l).abs().max((u - c).abs()));
        let reach = norm(corner.view());
        if ball.radius <= options.tolerance * reach.max(f64::MIN_POSITIVE) {
            return Err(Error::Flat {
                radius: ball.radius,
            });
        }
        let growth = 2.0_f64.powf(1.0 / n as f64);
        let per_walk = (points as u64 / WALKS).max(2);
        let (mut log_volume, mut variance) = (log_ball_volume(n, ball.radius), 0.0);
        let (mut radius, mut used, mut phase) = (ball.radius, 0, 0_u64);
        while radius < reach {
            let larger = radius * growth;
            let mut shares = Vec::new();
            for walk in 0..WALKS {
                let mut walk = Walk::new(self, ball.centre.clone(), seed, phase * WALKS + walk)
                    .within(&ball.centre, larger);
                for _ in 0..per_walk / 4 + 2 * n as u64 {
                    walk.step();
                }
                let mut inside = 0_u64;
                for _ in 0..per_walk {
                    walk.step();
                    let off = walk.point() - &ball.centre;
                    inside += u64::from(norm(off.view()) <= radius);
                }
                shares.push(inside as f64 / per_walk as f64);
                used += usize::try_from(per_walk).unwrap_or(usize::MAX);
            }
            let count = WALKS as f64;
            let mean = shares.iter().sum::<f64>() / count;
            let scatter = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (count - 1.0);
            // The true share is at least a half: K is convex and holds the centre.
            let mean = mean.max(f64::MIN_POSITIVE);
            log_volume -= mean.ln();
            variance += scatter / count / (mean * mean);
            radius = larger;
            phase += 1;
        }
        let volume = log_volume.exp();
        Ok(VolumeEstimate {
            volume,
            standard_error: volume * variance.sqrt(),
            points: used,
        })
    }
}

/// `ln` of the volume of a ball: `V_n = V_{n−2} · 2π/n`.
fn log_ball_volume(n: usize, radius: f64) -> f64 {
    let (mut log, mut k) = if n.is_multiple_of(2) {
        (0.0, 0)
    } else {
        (2.0_f64.ln(), 1)
    };
    while k < n {
        k += 2;
        log += (2.0 * std::f64::consts::PI / k as f64).ln();
    }
    log + n as f64 * radius.ln()
}

struct Triangulation<'a> {
    vertices: &'a VPolytope,
    /// The vertices on each row.
    rows: Vec<Bits>,
}

impl Triangulation<'_> {
    /// Sum of `n! ·` volume over the simplices made of `corners` and a triangulation of `face`, of dimension `dimension`.
    fn add(&self, face: &Bits, dimension: usize, corners: &mut Vec<usize>) -> f64 {
        let Some(apex) = face.first() else { return 0.0 };
        corners.push(apex);
        let mut sum = 0.0;
        if dimension == 0 {
            sum = self.simplex(corners);
        } else {
            for facet in self.facets(face) {
                if !facet.has(apex) {
                    sum += self.add(&facet, dimension - 1, corners);
                }
            }
        }
        corners.pop();
        sum
    }

    /// The facets of a face: the largest proper parts that it shares with a row.
    fn facets(&self, face: &Bits) -> Vec<Bits> {
        let parts: BTreeSet<Bits> = self
            .rows
            .iter()
            .map(|row| row.intersect(face))
            .filter(|part| part != face && part.count() > 0)
            .collect();
        parts
            .iter()
            .filter(|part| {
                !parts
                    .iter()
                    .any(|other| other != *part && part.is_inside(other))
            })
            .cloned()
            .collect()
    }

    fn simplex(&self, corners: &[usize]) -> f64 {
        let points = self.vertices.points();
        let n = corners.len() - 1;
        absolute_determinant(Array2::from_shape_fn((n, n), |(k, j)| {
            points[[corners[k + 1], j]] - points[[corners[0], j]]
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balls() {
        let pi = std::f64::consts::PI;
        for (n, volume) in [(1, 2.0), (2, pi), (3, 4.0 / 3.0 * pi), (4, pi * pi / 2.0)] {
            assert!((log_ball_volume(n, 1.0).exp() - volume).abs() < 1e-12);
            assert!(
                (log_ball_volume(n, 2.0).exp() / volume - 2.0_f64.powi(i32::try_from(n).unwrap()))
                    .abs()
                    < 1e-10
            );
        }
    }

    #[test]
    fn flat_sets_have_no_volume() {
        let flat = HPolytope::hyperbox(&[0.0, 1.0, 0.0], &[1.0, 1.0, 2.0]).unwrap();
        assert!(flat.volume(100).unwrap().abs() < 1e-15);
    }
}
