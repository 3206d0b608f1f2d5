//! Polytopes by their points.

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::error::{check_count, check_matrix, check_point};
use crate::h_polytope::check_factor;
use crate::{AhPolytope, Error, HPolytope, Membership, SupportPoint};

/// The convex hull of finitely many points, one per row.
///
/// ```
/// use evflex_polytope::VPolytope;
/// use evflex_solver::{Clarabel, Options};
/// use ndarray::array;
/// let triangle = VPolytope::new(array![[0.0, 0.0], [4.0, 0.0], [0.0, 2.0]])?;
/// assert_eq!(triangle.support(array![1.0, 1.0].view())?.value, 4.0);
/// let answer = triangle.contains(array![1.0, 1.0].view(), 1e-7, &Clarabel::default(), &Options::default())?;
/// assert!(answer.is_inside());
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Data", into = "Data"))]
pub struct VPolytope {
    points: Array2<f64>,
}

/// The stored form, checked again when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Data {
    points: Array2<f64>,
}

#[cfg(feature = "serde")]
impl TryFrom<Data> for VPolytope {
    type Error = Error;
    fn try_from(data: Data) -> Result<Self, Error> {
        Self::new(data.points)
    }
}

#[cfg(feature = "serde")]
impl From<VPolytope> for Data {
    fn from(set: VPolytope) -> Self {
        Self { points: set.points }
    }
}

impl TryFrom<&VPolytope> for AhPolytope {
    type Error = Error;

    /// The hull as the image of the simplex of weights: `v_last + Σ_j ξ_j (v_j − v_last)` with `ξ ≥ 0`, `Σ ξ_j ≤ 1`.
    fn try_from(set: &VPolytope) -> Result<Self, Error> {
        let (last, n) = (set.points.nrows() - 1, set.dimension());
        let centre = set.points.row(last).to_owned();
        if last == 0 {
            // A base needs a coordinate; this one cannot move.
            return Self::new(
                centre,
                Array2::zeros((n, 1)),
                HPolytope::hyperbox(&[0.0], &[0.0])?,
            );
        }
        let generators = Array2::from_shape_fn((n, last), |(k, j)| set.points[[j, k]] - centre[k]);
        let normals = Array2::from_shape_fn((last + 1, last), |(row, j)| {
            if row == last {
                1.0
            } else {
                -f64::from(u8::from(row == j))
            }
        });
        let mut offsets = Array1::zeros(last + 1);
        offsets[last] = 1.0;
        Self::new(centre, generators, HPolytope::new(normals, offsets)?)
    }
}

impl VPolytope {
    /// The hull of the rows of `points`; points inside the hull of others are allowed.
    ///
    /// # Errors
    /// [`Error::Nothing`] without points or dimensions, [`Error::NotFinite`].
    pub fn new(points: Array2<f64>) -> Result<Self, Error> {
        for (count, unit) in [(points.nrows(), "row"), (points.ncols(), "column")] {
            if count == 0 {
                return Err(Error::Nothing {
                    what: "the matrix of points",
                    unit,
                });
            }
        }
        check_matrix("points", points.view())?;
        Ok(Self { points })
    }

    /// The number of coordinates.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.points.ncols()
    }

    /// The points, one per row.
    #[must_use]
    pub fn points(&self) -> ArrayView2<'_, f64> {
        self.points.view()
    }

    /// The points, given away.
    #[must_use]
    pub fn into_points(self) -> Array2<f64> {
        self.points
    }

    /// The support function: the largest `direction·v` over the points; ties go to the first.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn support(&self, direction: ArrayView1<'_, f64>) -> Result<SupportPoint, Error> {
        check_point("the direction", self.dimension(), direction)?;
        let values = self.points.dot(&direction);
        let mut best = 0;
        for (at, value) in values.iter().enumerate() {
            if *value > values[best] {
                best = at;
            }
        }
        let mut coordinates = Array1::zeros(values.len());
        coordinates[best] = 1.0;
        Ok(SupportPoint {
            value: values[best],
            point: self.points.row(best).to_owned(),
            coordinates,
            multipliers: None,
        })
    }

    /// Whether the point is a convex combination of the points, by one linear program: the weights of the nearest
    /// combination (one per point, adding up to 1), or a separating direction when that is farther than `tolerance` in
    /// some coordinate.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Domain`] for the tolerance, [`Error::Solver`].
    pub fn contains(
        &self,
        point: ArrayView1<'_, f64>,
        tolerance: f64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Membership, Error> {
        let answer = AhPolytope::try_from(self)?.contains(point, tolerance, solver, options)?;
        let Membership::Inside { coordinates } = answer else {
            return Ok(answer);
        };
        let last = self.points.nrows() - 1;
        let mut weights = Array1::zeros(last + 1);
        for j in 0..last {
            weights[j] = coordinates[j].max(0.0);
        }
        weights[last] = (1.0 - weights.sum()).max(0.0);
        let sum = weights.sum();
        Ok(Membership::Inside {
            coordinates: weights / sum,
        })
    }

    /// The smallest box that holds the set.
    #[must_use]
    pub fn bounding_box(&self) -> (Array1<f64>, Array1<f64>) {
        let fold = |pick: fn(f64, f64) -> f64, start: f64| -> Array1<f64> {
            self.points
                .columns()
                .into_iter()
                .map(|column| column.iter().copied().fold(start, pick))
                .collect()
        };
        (
            fold(f64::min, f64::INFINITY),
            fold(f64::max, f64::NEG_INFINITY),
        )
    }

    /// `{M x + shift : x ∈ set}`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Nothing`] for a map without rows.
    pub fn affine_image(
        &self,
        map: ArrayView2<'_, f64>,
        shift: ArrayView1<'_, f64>,
    ) -> Result<Self, Error> {
        check_count("columns of the map", self.dimension(), map.ncols())?;
        check_matrix("the map", map)?;
        check_point("the shift", map.nrows(), shift)?;
        Self::new(self.points.dot(&map.t()) + shift)
    }

    /// The set moved by `shift`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn translate(&self, shift: ArrayView1<'_, f64>) -> Result<Self, Error> {
        check_point("the shift", self.dimension(), shift)?;
        Self::new(&self.points + &shift)
    }

    /// `{factor · x : x ∈ set}`, about the origin.
    ///
    /// # Errors
    /// [`Error::Domain`] if the factor is not finite, [`Error::NotFinite`] if a number overflows.
    pub fn scale(&self, factor: f64) -> Result<Self, Error> {
        check_factor(factor)?;
        Self::new(&self.points * factor)
    }
}
