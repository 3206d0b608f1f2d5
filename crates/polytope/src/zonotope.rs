//! Sums of line segments.

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};

use crate::error::{check_count, check_matrix, check_point, check_vector};
use crate::h_polytope::check_factor;
use crate::{AhPolytope, Error, HPolytope, Membership, SupportPoint};

/// A zonotope, `{c + G ξ : −1 ≤ ξ ≤ 1}`: the sum of the segments `[−g_j, g_j]` around a centre.
///
/// Support values need no solver, and sums, images and scalings stay zonotopes.
///
/// ```
/// use evflex_polytope::Zonotope;
/// use ndarray::array;
/// // Two segments make a parallelogram, three a hexagon.
/// let set = Zonotope::new(array![1.0, 0.0], array![[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])?;
/// let far = set.support(array![1.0, 1.0].view())?;
/// assert_eq!((far.value, far.point), (5.0, array![3.0, 2.0]));
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Data", into = "Data"))]
pub struct Zonotope {
    centre: Array1<f64>,
    generators: Array2<f64>,
}

/// The stored form, checked again when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Data {
    centre: Array1<f64>,
    generators: Array2<f64>,
}

#[cfg(feature = "serde")]
impl TryFrom<Data> for Zonotope {
    type Error = Error;
    fn try_from(data: Data) -> Result<Self, Error> {
        Self::new(data.centre, data.generators)
    }
}

#[cfg(feature = "serde")]
impl From<Zonotope> for Data {
    fn from(set: Zonotope) -> Self {
        Self {
            centre: set.centre,
            generators: set.generators,
        }
    }
}

impl TryFrom<&Zonotope> for AhPolytope {
    type Error = Error;

    /// The zonotope as the image of the unit box.
    fn try_from(set: &Zonotope) -> Result<Self, Error> {
        let p = set.generators.ncols();
        Self::new(
            set.centre.clone(),
            set.generators.clone(),
            HPolytope::hyperbox(&vec![-1.0; p], &vec![1.0; p])?,
        )
    }
}

impl Zonotope {
    /// The set around `centre` with one segment per column of `generators`.
    ///
    /// # Errors
    /// [`Error::Nothing`] without dimensions or columns, [`Error::Shape`], [`Error::NotFinite`].
    pub fn new(centre: Array1<f64>, generators: Array2<f64>) -> Result<Self, Error> {
        if centre.is_empty() {
            return Err(Error::Nothing {
                what: "the centre",
                unit: "entry",
            });
        }
        if generators.ncols() == 0 {
            return Err(Error::Nothing {
                what: "the matrix of generators",
                unit: "column (of zeros, for a single point)",
            });
        }
        check_count("rows of the generators", centre.len(), generators.nrows())?;
        check_vector("the centre", centre.view())?;
        check_matrix("the generators", generators.view())?;
        Ok(Self { centre, generators })
    }

    /// The number of coordinates.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.centre.len()
    }

    /// `c`.
    #[must_use]
    pub fn centre(&self) -> ArrayView1<'_, f64> {
        self.centre.view()
    }

    /// `G`, one segment per column.
    #[must_use]
    pub fn generators(&self) -> ArrayView2<'_, f64> {
        self.generators.view()
    }

    /// The support function in closed form: `h(d) = d·c + Σ_j |d·g_j|`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn support(&self, direction: ArrayView1<'_, f64>) -> Result<SupportPoint, Error> {
        check_point("the direction", self.dimension(), direction)?;
        let along = self.generators.t().dot(&direction);
        let coordinates = along.mapv(|value| if value < 0.0 { -1.0 } else { 1.0 });
        let p = along.len();
        let mut multipliers = Array1::zeros(2 * p);
        for (j, &value) in along.iter().enumerate() {
            multipliers[if value < 0.0 { p + j } else { j }] = value.abs();
        }
        Ok(SupportPoint {
            value: direction.dot(&self.centre) + along.mapv(f64::abs).sum(),
            point: &self.centre + &self.generators.dot(&coordinates),
            coordinates,
            multipliers: Some(multipliers),
        })
    }

    /// Whether the point is in the set, by one linear program: see [`AhPolytope::contains`].
    ///
    /// # Errors
    /// As there.
    pub fn contains(
        &self,
        point: ArrayView1<'_, f64>,
        tolerance: f64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Membership, Error> {
        AhPolytope::try_from(self)?.contains(point, tolerance, solver, options)
    }

    /// The smallest box that holds the set: `c ∓ Σ_j |g_j|`.
    #[must_use]
    pub fn bounding_box(&self) -> (Array1<f64>, Array1<f64>) {
        let half = self.generators.mapv(f64::abs).sum_axis(Axis(1));
        (&self.centre - &half, &self.centre + &half)
    }

    /// `{M x + shift : x ∈ set}`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn affine_image(
        &self,
        map: ArrayView2<'_, f64>,
        shift: ArrayView1<'_, f64>,
    ) -> Result<Self, Error> {
        check_count("columns of the map", self.dimension(), map.ncols())?;
        check_matrix("the map", map)?;
        check_point("the shift", map.nrows(), shift)?;
        Self::new(map.dot(&self.centre) + shift, map.dot(&self.generators))
    }

    /// The set moved by `shift`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn translate(&self, shift: ArrayView1<'_, f64>) -> Result<Self, Error> {
        check_point("the shift", self.dimension(), shift)?;
        Self::new(&self.centre + &shift, self.generators.clone())
    }

    /// `{factor · x : x ∈ set}`, about the origin.
    ///
    /// # Errors
    /// [`Error::Domain`] if the factor is not finite, [`Error::NotFinite`] if a number overflows.
    pub fn scale(&self, factor: f64) -> Result<Self, Error> {
        check_factor(factor)?;
        Self::new(&self.centre * factor, &self.generators * factor)
    }

    /// The Minkowski sum with another zonotope: centres add, generators stand side by side.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::NotFinite`] if a sum overflows.
    pub fn minkowski_sum(&self, other: &Self) -> Result<Self, Error> {
        let mismatch = Error::Shape {
            what: "dimension of the other set",
            expected: self.dimension(),
            found: other.dimension(),
        };
        if self.dimension() != other.dimension() {
            return Err(mismatch);
        }
        let generators = concatenate(Axis(1), &[self.generators.view(), other.generators.view()])
            .map_err(|_| mismatch)?;
        Self::new(&self.centre + &other.centre, generators)
    }
}
