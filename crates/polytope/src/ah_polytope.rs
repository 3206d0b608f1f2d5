//! Affine images of H-polytopes, and the operations that stay inside that class.

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};

use crate::error::{check_count, check_matrix, check_point, check_tolerance, check_vector};
use crate::h_polytope::{block_diagonal, check_factor};
use crate::membership::nearest;
use crate::{Error, HPolytope, Membership, SupportPoint};

/// An affine image of an H-polytope, `{x̄ + X ξ : A ξ ≤ a}`.
///
/// Every polytope of this crate converts into it. Affine images, products and Minkowski sums stay in this class and
/// cost nothing but memory, which is why sums of vehicles are written so.
///
/// | symbol | accessor | shape |
/// |---|---|---|
/// | `x̄` | [`centre`](Self::centre) | dimension |
/// | `X` | [`generators`](Self::generators) | dimension × base dimension |
/// | `A`, `a` | [`base`](Self::base) | rows × base dimension, rows |
///
/// ```
/// use evflex_polytope::{AhPolytope, HPolytope};
/// use evflex_solver::{Clarabel, Options};
/// use ndarray::array;
///
/// let square: AhPolytope = HPolytope::hyperbox(&[-1.0, -1.0], &[1.0, 1.0])?.into();
/// let diamond = square.affine_image(array![[0.5, 0.5], [-0.5, 0.5]].view(), array![0.0, 0.0].view())?;
/// let sum = AhPolytope::minkowski_sum(&[square, diamond])?;
/// let far = sum.support(array![1.0, 1.0].view(), &Clarabel::default(), &Options::default())?;
/// assert!((far.value - 3.0).abs() < 1e-7); // 2 from the square, 1 from the diamond
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Data", into = "Data"))]
pub struct AhPolytope {
    centre: Array1<f64>,
    generators: Array2<f64>,
    base: HPolytope,
}

/// The stored form, checked again when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Data {
    centre: Array1<f64>,
    generators: Array2<f64>,
    base: HPolytope,
}

#[cfg(feature = "serde")]
impl TryFrom<Data> for AhPolytope {
    type Error = Error;
    fn try_from(data: Data) -> Result<Self, Error> {
        Self::new(data.centre, data.generators, data.base)
    }
}

#[cfg(feature = "serde")]
impl From<AhPolytope> for Data {
    fn from(set: AhPolytope) -> Self {
        Self {
            centre: set.centre,
            generators: set.generators,
            base: set.base,
        }
    }
}

impl From<HPolytope> for AhPolytope {
    /// The polytope as the image of itself: `x̄ = 0`, `X = I`.
    fn from(base: HPolytope) -> Self {
        let n = base.dimension();
        Self {
            centre: Array1::zeros(n),
            generators: Array2::eye(n),
            base,
        }
    }
}

impl From<&HPolytope> for AhPolytope {
    fn from(base: &HPolytope) -> Self {
        base.clone().into()
    }
}

impl AhPolytope {
    /// The set `{centre + generators ξ : ξ ∈ base}`.
    ///
    /// # Errors
    /// [`Error::Nothing`] without dimensions, [`Error::Shape`], [`Error::NotFinite`].
    pub fn new(
        centre: Array1<f64>,
        generators: Array2<f64>,
        base: HPolytope,
    ) -> Result<Self, Error> {
        if centre.is_empty() {
            return Err(Error::Nothing {
                what: "the centre",
                unit: "entry",
            });
        }
        check_count("rows of the generators", centre.len(), generators.nrows())?;
        check_count(
            "columns of the generators, one per coordinate of the base",
            base.dimension(),
            generators.ncols(),
        )?;
        check_vector("the centre", centre.view())?;
        check_matrix("the generators", generators.view())?;
        Ok(Self {
            centre,
            generators,
            base,
        })
    }

    /// The number of coordinates of the set.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.centre.len()
    }

    /// `x̄`, the image of the base's origin.
    #[must_use]
    pub fn centre(&self) -> ArrayView1<'_, f64> {
        self.centre.view()
    }

    /// `X`, one column per coordinate of the base.
    #[must_use]
    pub fn generators(&self) -> ArrayView2<'_, f64> {
        self.generators.view()
    }

    /// The polytope that is mapped.
    #[must_use]
    pub fn base(&self) -> &HPolytope {
        &self.base
    }

    /// `x̄ + X ξ`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn image_of(&self, coordinates: ArrayView1<'_, f64>) -> Result<Array1<f64>, Error> {
        check_point("the coordinates", self.base.dimension(), coordinates)?;
        Ok(&self.centre + &self.generators.dot(&coordinates))
    }

    /// The support function `h(c) = c·x̄ + max { (Xᵀc)·ξ : ξ ∈ base }`, by one linear program or in closed form for a box
    /// as base.
    ///
    /// # Errors
    /// As [`HPolytope::support`].
    pub fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<SupportPoint, Error> {
        check_point("the direction", self.dimension(), direction)?;
        let pulled = self.generators.t().dot(&direction);
        let base = self.base.support(pulled.view(), solver, options)?;
        let point = &self.centre + &self.generators.dot(&base.coordinates);
        Ok(SupportPoint {
            value: direction.dot(&point),
            point,
            ..base
        })
    }

    /// Whether the point is in the set, by one linear program: the coordinates `ξ` of the nearest point of the set (in
    /// the largest-entry norm), or a separating direction when that point is farther than `tolerance` (in the
    /// unit of the set; the solver's own accuracy is about 1e-8 of the numbers' size).
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Domain`] for the tolerance, [`Error::Empty`],
    /// [`Error::Solver`].
    pub fn contains(
        &self,
        point: ArrayView1<'_, f64>,
        tolerance: f64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Membership, Error> {
        check_point("the point", self.dimension(), point)?;
        check_tolerance(tolerance)?;
        nearest(
            (self.centre.view(), self.generators.view()),
            (self.base.normals(), self.base.offsets()),
            point,
            tolerance,
            solver,
            options,
        )
    }

    /// `{M x + shift : x ∈ set}`; `M` may have any shape and rank.
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
        Self::new(
            map.dot(&self.centre) + shift,
            map.dot(&self.generators),
            self.base.clone(),
        )
    }

    /// The same set in other base coordinates, `ξ = M ζ` with `M` square and invertible: `X M` and `A M` in place of `X` and
    /// `A`. Coordinates in which the rows are sparse make linear programs smaller: for a battery with bounds on powers and
    /// energies, energies (`M` the differences of neighbours) instead of powers.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Singular`] when `M` has no inverse.
    pub fn substitute(&self, map: ArrayView2<'_, f64>) -> Result<Self, Error> {
        let p = self.base.dimension();
        check_count("columns of the map", p, map.ncols())?;
        let base = self.base.preimage(map, Array1::zeros(p).view())?;
        if crate::linear::null_vector(map).is_some() {
            return Err(Error::Singular);
        }
        Self::new(self.centre.clone(), self.generators.dot(&map), base)
    }

    /// The set moved by `shift`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn translate(&self, shift: ArrayView1<'_, f64>) -> Result<Self, Error> {
        check_point("the shift", self.dimension(), shift)?;
        Self::new(
            &self.centre + &shift,
            self.generators.clone(),
            self.base.clone(),
        )
    }

    /// `{factor · x : x ∈ set}`, about the origin.
    ///
    /// # Errors
    /// [`Error::Domain`] if the factor is not finite, [`Error::NotFinite`] if a number overflows.
    pub fn scale(&self, factor: f64) -> Result<Self, Error> {
        check_factor(factor)?;
        Self::new(
            &self.centre * factor,
            &self.generators * factor,
            self.base.clone(),
        )
    }

    /// The Minkowski sum `{x_1 + … + x_N : x_i ∈ sets[i]}`: centres add, generators stand side by side, bases form a
    /// product. Support functions add: `h = Σ h_i`.
    ///
    /// # Errors
    /// [`Error::Nothing`] for no sets, [`Error::Shape`] if dimensions differ, [`Error::NotFinite`] if a sum overflows.
    pub fn minkowski_sum(sets: &[Self]) -> Result<Self, Error> {
        let Some(first) = sets.first() else {
            return Err(Error::Nothing {
                what: "the list of sets",
                unit: "set",
            });
        };
        let mut centre = Array1::zeros(first.dimension());
        for set in sets {
            check_count("dimension of a summand", first.dimension(), set.dimension())?;
            centre += &set.centre;
        }
        let views: Vec<_> = sets.iter().map(|set| set.generators.view()).collect();
        let generators = concatenate(Axis(1), &views).map_err(|_| Error::Shape {
            what: "dimension of a summand",
            expected: first.dimension(),
            found: 0,
        })?;
        Self::new(centre, generators, product_of_bases(sets)?)
    }

    /// The Cartesian product `{(x, y) : x ∈ self, y ∈ other}`.
    #[must_use]
    pub fn product(&self, other: &Self) -> Self {
        Self {
            centre: crate::h_polytope::join(self.centre.view(), other.centre.view()),
            generators: block_diagonal(&[self.generators.view(), other.generators.view()]),
            base: self.base.product(&other.base),
        }
    }

    /// Whether the set has no points, by one linear program.
    ///
    /// # Errors
    /// [`Error::Solver`].
    pub fn is_empty(&self, solver: &dyn Solver, options: &Options) -> Result<bool, Error> {
        self.base.is_empty(solver, options)
    }
}

fn product_of_bases(sets: &[AhPolytope]) -> Result<HPolytope, Error> {
    let normals: Vec<_> = sets.iter().map(|set| set.base.normals()).collect();
    let offsets = sets
        .iter()
        .flat_map(|set| set.base.offsets().to_vec())
        .collect();
    HPolytope::new(block_diagonal(&normals), offsets)
}
