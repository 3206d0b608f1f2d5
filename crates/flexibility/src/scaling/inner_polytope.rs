//! The polytopes that are scaled, trained and certified: inequalities around a centre, possibly lifted.

use ndarray::{Array1, Array2, ArrayView1};

use crate::{
    error::{Error, check_profile},
    support_simplex::SupportSimplex,
};

/// `F = {x : A (x, z) ≤ d, lower ≤ (x, z) ≤ upper for some z}`, relative to a centre.
///
/// The columns of `A` are the T steps, then the auxiliary variables `z` of a lifted set, if any: the
/// layers of an input-convex network, say. The origin `(0, 0)` satisfies every inequality.
#[derive(Clone, Debug, PartialEq)]
pub struct InnerPolytope {
    steps: usize,
    normals: Array2<f64>,
    offsets: Array1<f64>,
    lower: Array1<f64>,
    upper: Array1<f64>,
}

impl InnerPolytope {
    /// A set without auxiliary variables; checks lengths, numbers, and that the origin is inside.
    ///
    /// # Errors
    /// [`Error::Rows`], [`Error::Length`], [`Error::NotFinite`], and [`Error::Domain`] for an offset
    /// below 0, a lower bound above 0 or an upper bound below 0.
    pub fn new(
        normals: Array2<f64>,
        offsets: Array1<f64>,
        lower: Array1<f64>,
        upper: Array1<f64>,
    ) -> Result<Self, Error> {
        Self::lifted(normals.ncols(), normals, offsets, lower, upper)
    }

    /// A set with auxiliary variables: `normals` has `steps` columns for the powers, then one for each
    /// auxiliary variable; `lower` and `upper` bound all of them.
    ///
    /// ```
    /// use evflex_flexibility::InnerPolytope;
    /// use ndarray::array;
    /// // |x₁| + |x₂| ≤ 1, with z ≥ |x₁| as auxiliary variable.
    /// let diamond = InnerPolytope::lifted(
    ///     2,
    ///     array![[1.0, 0.0, -1.0], [-1.0, 0.0, -1.0], [0.0, 1.0, 1.0], [0.0, -1.0, 1.0]],
    ///     array![0.0, 0.0, 1.0, 1.0],
    ///     array![-1.0, -1.0, 0.0],
    ///     array![1.0, 1.0, 1.0],
    /// )?;
    /// let (value, _) = diamond.support(array![1.0, 1.0].view())?;
    /// assert!((value - 1.0).abs() < 1e-12);
    /// # Ok::<(), evflex_flexibility::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`InnerPolytope::new`]; [`Error::Length`] if there are fewer columns than steps.
    pub fn lifted(
        steps: usize,
        normals: Array2<f64>,
        offsets: Array1<f64>,
        lower: Array1<f64>,
        upper: Array1<f64>,
    ) -> Result<Self, Error> {
        let variables = normals.ncols();
        if variables < steps {
            return Err(Error::Length {
                what: "a normal",
                expected: steps,
                found: variables,
            });
        }
        if offsets.len() != normals.nrows() {
            return Err(Error::Rows {
                what: "offsets",
                expected: normals.nrows(),
                found: offsets.len(),
            });
        }
        for row in normals.rows() {
            check_profile("a normal", row, variables)?;
        }
        check_profile("offsets", offsets.view(), offsets.len())?;
        check_profile("the lower bounds", lower.view(), variables)?;
        check_profile("the upper bounds", upper.view(), variables)?;
        for (what, values, sign, domain) in [
            (
                "an offset",
                &offsets,
                1.0,
                "0 or more, so that the set contains its centre",
            ),
            (
                "an upper bound",
                &upper,
                1.0,
                "0 or more, so that the set contains its centre",
            ),
            (
                "a lower bound",
                &lower,
                -1.0,
                "0 or less, so that the set contains its centre",
            ),
        ] {
            if let Some(&value) = values.iter().find(|&&value| sign * value < 0.0) {
                return Err(Error::Domain {
                    what,
                    value,
                    domain,
                });
            }
        }
        Ok(Self {
            steps,
            normals,
            offsets,
            lower,
            upper,
        })
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Number of columns: steps and auxiliary variables.
    #[must_use]
    pub fn variables(&self) -> usize {
        self.normals.ncols()
    }

    /// Whether there are auxiliary variables.
    #[must_use]
    pub fn is_lifted(&self) -> bool {
        self.variables() > self.steps
    }

    /// `A`, one inequality per row.
    #[must_use]
    pub fn normals(&self) -> &Array2<f64> {
        &self.normals
    }

    /// `d`, kW times the unit of the row.
    #[must_use]
    pub fn offsets(&self) -> &Array1<f64> {
        &self.offsets
    }

    /// Lower bounds of the steps (kW), then of the auxiliary variables.
    #[must_use]
    pub fn lower(&self) -> &Array1<f64> {
        &self.lower
    }

    /// Upper bounds of the steps (kW), then of the auxiliary variables.
    #[must_use]
    pub fn upper(&self) -> &Array1<f64> {
        &self.upper
    }

    /// The largest value of `direction · x` over the set, with a maximiser.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::NotFinite`] for a bad direction.
    pub fn support(&self, direction: ArrayView1<'_, f64>) -> Result<(f64, Array1<f64>), Error> {
        check_profile("direction", direction, self.steps)?;
        let scale = direction
            .iter()
            .fold(0.0, |most, d| f64::max(most, d.abs()));
        if scale == 0.0 {
            return Ok((0.0, Array1::zeros(self.steps)));
        }
        let scaled: Vec<f64> = direction.iter().map(|d| d / scale).collect();
        // Bounds on every variable rule out that a direction is unbounded.
        let solution = self
            .simplex(1.0)
            .maximise(&scaled)
            .map_err(|_| Error::UnboundedScaling)?;
        let point = Array1::from_vec(solution.point[..self.steps].to_vec());
        Ok((direction.dot(&point), point))
    }

    /// The inequalities of `scale · F`, with the right-hand side as last entry of each row: the rows of
    /// `A`, the upper, then the lower bounds. Right-hand sides are 0 or more.
    pub(crate) fn inequalities(&self, scale: f64) -> Vec<Vec<f64>> {
        let variables = self.variables();
        let with = |mut row: Vec<f64>, bound: f64| {
            row.push(scale * bound);
            row
        };
        let unit = |j: usize, sign: f64| {
            (0..variables)
                .map(|k| if k == j { sign } else { 0.0 })
                .collect()
        };
        let rows = self.normals.rows().into_iter().zip(&self.offsets);
        rows.map(|(row, &offset)| with(row.to_vec(), offset))
            .chain((0..variables).map(|j| with(unit(j, 1.0), self.upper[j])))
            .chain((0..variables).map(|j| with(unit(j, -1.0), -self.lower[j])))
            .collect()
    }

    pub(crate) fn simplex(&self, scale: f64) -> SupportSimplex {
        SupportSimplex::new(self.inequalities(scale).concat(), self.variables())
    }

    /// `y · d + Σ_j max(r_j upper_j, r_j lower_j)` with `r = (c, 0) − Aᵀ y`: no less than the support
    /// value along `c`, whatever `y ≥ 0` is.
    pub(crate) fn support_bound(&self, direction: ArrayView1<'_, f64>, multipliers: &[f64]) -> f64 {
        let mut rest = Array1::zeros(self.variables());
        for (entry, value) in rest.iter_mut().zip(direction) {
            *entry = *value;
        }
        let mut bound = 0.0;
        for ((row, &y), &offset) in self
            .normals
            .rows()
            .into_iter()
            .zip(multipliers)
            .zip(&self.offsets)
        {
            if y > 0.0 {
                bound += y * offset;
                rest.scaled_add(-y, &row);
            }
        }
        bound
            + rest
                .iter()
                .zip(self.upper.iter().zip(&self.lower))
                .map(|(r, (upper, lower))| f64::max(r * upper, r * lower))
                .sum::<f64>()
    }
}
