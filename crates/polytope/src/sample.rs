//! Random points of a set.

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::linear::norm;
use crate::{AhPolytope, Error, HPolytope};

/// A walk through the inside of a polytope that forgets where it started: hit and run (Smith 1984). From a point,
/// a random direction; on the chord in that direction, a uniform point.
///
/// The points approach the uniform distribution. How many steps that takes grows with the dimension squared and with
/// how elongated the set is; points one step apart are correlated.
pub(crate) struct Walk<'a> {
    set: &'a HPolytope,
    point: Array1<f64>,
    random: ChaCha8Rng,
    /// Keeps the walk within this distance of a centre.
    ball: Option<(&'a Array1<f64>, f64)>,
}

impl<'a> Walk<'a> {
    /// A walk from `start`, a point strictly inside; `stream` tells walks of one seed apart.
    pub(crate) fn new(set: &'a HPolytope, start: Array1<f64>, seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self {
            set,
            point: start,
            random,
            ball: None,
        }
    }

    pub(crate) fn within(mut self, centre: &'a Array1<f64>, radius: f64) -> Self {
        self.ball = Some((centre, radius));
        self
    }

    pub(crate) fn point(&self) -> &Array1<f64> {
        &self.point
    }

    pub(crate) fn step(&mut self) {
        let random = &mut self.random;
        let mut direction: Array1<f64> = (0..self.point.len())
            .map(|_| random.sample::<f64, _>(StandardNormal))
            .collect();
        let length = norm(direction.view());
        if length == 0.0 {
            return;
        }
        direction /= length;
        let along = self.set.normals().dot(&direction);
        let slack = &self.set.offsets() - &self.set.normals().dot(&self.point);
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for (&along, &slack) in along.iter().zip(&slack) {
            let slack = slack.max(0.0);
            if along > 0.0 {
                high = high.min(slack / along);
            } else if along < 0.0 {
                low = low.max(slack / along);
            }
        }
        if let Some((centre, radius)) = self.ball {
            // |point + t direction − centre| ≤ radius
            let off = &self.point - centre;
            let half = off.dot(&direction);
            let root = (half * half - off.dot(&off) + radius * radius)
                .max(0.0)
                .sqrt();
            low = low.max(-half - root);
            high = high.min(-half + root);
        }
        if low < high && low.is_finite() && high.is_finite() {
            let at = low + (high - low) * random.random::<f64>();
            self.point.scaled_add(at, &direction);
        }
    }
}

impl HPolytope {
    /// Random points, one per row, by hit and run from the Chebyshev centre: `thinning` steps before every point, and
    /// ten times as many before the first. The same seed gives the same points.
    ///
    /// The distribution approaches the uniform one; `thinning` of a few times the squared dimension makes points of a
    /// well-rounded set nearly independent.
    ///
    /// # Errors
    /// [`Error::Flat`] when the set has no interior, [`Error::Empty`], [`Error::Unbounded`], [`Error::Solver`].
    pub fn sample(
        &self,
        count: usize,
        thinning: usize,
        seed: u64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Array2<f64>, Error> {
        let ball = self.check(solver, options)?;
        if ball.radius <= options.tolerance * self.extent(&ball.centre) {
            return Err(Error::Flat {
                radius: ball.radius,
            });
        }
        let mut walk = Walk::new(self, ball.centre, seed, 0);
        for _ in 0..10 * thinning {
            walk.step();
        }
        let mut points = Array2::zeros((count, self.dimension()));
        for mut row in points.rows_mut() {
            for _ in 0..thinning.max(1) {
                walk.step();
            }
            row.assign(walk.point());
        }
        Ok(points)
    }
}

impl AhPolytope {
    /// Random points, one per row: images of random points of the base. They cover the set, but not
    /// uniformly unless the generators are square.
    ///
    /// # Errors
    /// As [`HPolytope::sample`], about the base.
    pub fn sample(
        &self,
        count: usize,
        thinning: usize,
        seed: u64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Array2<f64>, Error> {
        let base = self.base().sample(count, thinning, seed, solver, options)?;
        Ok(base.dot(&self.generators().t()) + self.centre())
    }
}
