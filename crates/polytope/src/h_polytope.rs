//! Polytopes by inequalities.

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

use crate::error::{check_count, check_matrix, check_point, check_tolerance, check_vector};
use crate::linear::{entries, norm};
use crate::support::{Maximum, maximise};
use crate::{Error, Membership, Separation, SupportPoint};

/// A polytope by its inequalities, `{x : A x ≤ b}`.
///
/// | symbol | accessor | shape |
/// |---|---|---|
/// | `A` | [`normals`](Self::normals) | rows × dimension |
/// | `b` | [`offsets`](Self::offsets) | rows |
///
/// [`new`](Self::new) checks the data (shapes, finite entries, at least one dimension). Whether the set is bounded and
/// has points takes linear programs: [`checked`](Self::checked) and [`check`](Self::check) ask for both at once, and every question that
/// meets an empty or unbounded set says so with [`Error::Empty`] or [`Error::Unbounded`].
///
/// ```
/// use evflex_polytope::HPolytope;
/// use evflex_solver::{Clarabel, Options};
/// use ndarray::array;
///
/// // A triangle.
/// let set = HPolytope::new(array![[-1.0, 0.0], [0.0, -1.0], [1.0, 2.0]], array![0.0, 0.0, 4.0])?;
/// let (solver, options) = (Clarabel::default(), Options::default());
/// let farthest = set.support(array![1.0, 1.0].view(), &solver, &options)?;
/// assert!((farthest.value - 4.0).abs() < 1e-7); // attained at (4, 0)
/// assert!(set.contains(array![1.0, 1.5].view(), 1e-9)?.is_inside());
/// let outside = set.contains(array![2.0, 2.0].view(), 1e-9)?;
/// assert_eq!(outside.separation().map(|plane| plane.excess() > 0.0), Some(true));
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Data", into = "Data"))]
pub struct HPolytope {
    normals: Array2<f64>,
    offsets: Array1<f64>,
}

/// The stored form, checked again when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Data {
    normals: Array2<f64>,
    offsets: Array1<f64>,
}

#[cfg(feature = "serde")]
impl TryFrom<Data> for HPolytope {
    type Error = Error;
    fn try_from(data: Data) -> Result<Self, Error> {
        Self::new(data.normals, data.offsets)
    }
}

#[cfg(feature = "serde")]
impl From<HPolytope> for Data {
    fn from(set: HPolytope) -> Self {
        Self {
            normals: set.normals,
            offsets: set.offsets,
        }
    }
}

/// The sides of a box, and which rows they come from.
struct Sides {
    upper: Vec<(f64, Option<usize>)>,
    lower: Vec<(f64, Option<usize>)>,
}

impl HPolytope {
    /// The set `{x : normals x ≤ offsets}`. Rows of zeros are allowed and mean `0 ≤ offset`.
    ///
    /// # Errors
    /// [`Error::Nothing`] without dimensions or rows, [`Error::Shape`] if there is not one offset per row,
    /// [`Error::NotFinite`] with the place of a NaN or an infinity.
    pub fn new(normals: Array2<f64>, offsets: Array1<f64>) -> Result<Self, Error> {
        if normals.ncols() == 0 {
            return Err(Error::Nothing {
                what: "the matrix of normals",
                unit: "column",
            });
        }
        if normals.nrows() == 0 {
            return Err(Error::Nothing {
                what: "the matrix of normals",
                unit: "row",
            });
        }
        check_count("offsets, one per normal", normals.nrows(), offsets.len())?;
        check_matrix("normals", normals.view())?;
        check_vector("offsets", offsets.view())?;
        Ok(Self { normals, offsets })
    }

    /// [`new`](Self::new) followed by [`check`](Self::check).
    ///
    /// # Errors
    /// Those of both.
    pub fn checked(
        normals: Array2<f64>,
        offsets: Array1<f64>,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let set = Self::new(normals, offsets)?;
        set.check(solver, options)?;
        Ok(set)
    }

    /// The box `lower ≤ x ≤ upper`: first the rows of the upper sides, then those of the lower sides.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Nothing`], [`Error::NotFinite`], [`Error::CrossedBounds`].
    pub fn hyperbox(lower: &[f64], upper: &[f64]) -> Result<Self, Error> {
        check_count(
            "upper bounds, one per lower bound",
            lower.len(),
            upper.len(),
        )?;
        let n = lower.len();
        check_vector("lower bounds", ArrayView1::from(lower))?;
        check_vector("upper bounds", ArrayView1::from(upper))?;
        if let Some(coordinate) = (0..n).find(|&k| lower[k] > upper[k]) {
            return Err(Error::CrossedBounds {
                coordinate,
                lower: lower[coordinate],
                upper: upper[coordinate],
            });
        }
        let mut normals = Array2::zeros((2 * n, n));
        let mut offsets = Array1::zeros(2 * n);
        for k in 0..n {
            normals[[k, k]] = 1.0;
            normals[[n + k, k]] = -1.0;
            offsets[k] = upper[k];
            offsets[n + k] = -lower[k];
        }
        Self::new(normals, offsets)
    }

    /// The number of coordinates.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.normals.ncols()
    }

    /// The number of inequalities, redundant ones included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.normals.nrows()
    }

    /// `A`, one row per inequality.
    #[must_use]
    pub fn normals(&self) -> ArrayView2<'_, f64> {
        self.normals.view()
    }

    /// `b`, one entry per inequality.
    #[must_use]
    pub fn offsets(&self) -> ArrayView1<'_, f64> {
        self.offsets.view()
    }

    /// Inequalities and offsets, given away.
    #[must_use]
    pub fn into_parts(self) -> (Array2<f64>, Array1<f64>) {
        (self.normals, self.offsets)
    }

    /// The support function `h(c) = max { c·x : A x ≤ b }` with a maximiser and the multipliers that prove it: by one
    /// linear program, or in closed form when every row has a single entry (a box).
    ///
    /// The value is as accurate as the solver's answer; for boxes it is exact.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NotFinite`] for a bad direction, [`Error::Empty`], [`Error::Unbounded`],
    /// [`Error::Solver`].
    pub fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<SupportPoint, Error> {
        check_point("the direction", self.dimension(), direction)?;
        if let Some(sides) = self.sides() {
            return self.support_of_box(&sides, direction);
        }
        match maximise(
            self.normals.view(),
            self.offsets.view(),
            direction,
            solver,
            options,
        )? {
            Maximum::Attained { point, multipliers } => Ok(SupportPoint {
                value: direction.dot(&point),
                coordinates: point.clone(),
                point,
                multipliers,
            }),
            Maximum::Infeasible => Err(Error::Empty {
                what: "the polytope",
            }),
            Maximum::Unbounded(direction) => Err(Error::Unbounded {
                what: "the polytope",
                direction,
            }),
        }
    }

    /// The sides when every row has at most one entry.
    fn sides(&self) -> Option<Sides> {
        let n = self.dimension();
        let mut sides = Sides {
            upper: vec![(f64::INFINITY, None); n],
            lower: vec![(f64::NEG_INFINITY, None); n],
        };
        for (row, (normal, &offset)) in self
            .normals
            .rows()
            .into_iter()
            .zip(&self.offsets)
            .enumerate()
        {
            let mut found = entries(normal);
            let Some((coordinate, value)) = found.next() else {
                if offset < 0.0 {
                    return None; // the contradiction is the solver's to find
                }
                continue;
            };
            if found.next().is_some() {
                return None;
            }
            let side = offset / value;
            if value > 0.0 && side < sides.upper[coordinate].0 {
                sides.upper[coordinate] = (side, Some(row));
            } else if value < 0.0 && side > sides.lower[coordinate].0 {
                sides.lower[coordinate] = (side, Some(row));
            }
        }
        Some(sides)
    }

    fn support_of_box(
        &self,
        sides: &Sides,
        direction: ArrayView1<'_, f64>,
    ) -> Result<SupportPoint, Error> {
        let mut point = Array1::zeros(self.dimension());
        let mut multipliers = Array1::zeros(self.rows());
        for (k, &c) in direction.iter().enumerate() {
            let (upper, lower) = (sides.upper[k], sides.lower[k]);
            if lower.0 > upper.0 {
                return Err(Error::Empty {
                    what: "the polytope",
                });
            }
            let (side, row) = if c > 0.0 { upper } else { lower };
            if c == 0.0 {
                point[k] = 0.0_f64.clamp(lower.0, upper.0);
            } else if let Some(row) = row {
                point[k] = side;
                multipliers[row] = c / self.normals[[row, k]];
            } else {
                let mut ray = vec![0.0; self.dimension()];
                ray[k] = c.signum();
                return Err(Error::Unbounded {
                    what: "the polytope",
                    direction: ray,
                });
            }
        }
        Ok(SupportPoint {
            value: direction.dot(&point),
            coordinates: point.clone(),
            point,
            multipliers: Some(multipliers),
        })
    }

    /// Whether `A x ≤ b` holds, by arithmetic. `tolerance` is the distance (in the unit of the set, 0 is allowed) by
    /// which the point may lie beyond a row; outside, the row that is violated most is the separation.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Domain`] for the tolerance.
    pub fn contains(
        &self,
        point: ArrayView1<'_, f64>,
        tolerance: f64,
    ) -> Result<Membership, Error> {
        check_point("the point", self.dimension(), point)?;
        check_tolerance(tolerance)?;
        let mut worst: Option<Separation> = None;
        for (normal, &offset) in self.normals.rows().into_iter().zip(&self.offsets) {
            let length = norm(normal);
            let length = if length > 0.0 { length } else { 1.0 };
            let (value, bound) = (normal.dot(&point) / length, offset / length);
            if value - bound > worst.as_ref().map_or(tolerance, Separation::excess) {
                worst = Some(Separation {
                    direction: &normal / length,
                    bound,
                    value,
                });
            }
        }
        Ok(worst.map_or_else(
            || Membership::Inside {
                coordinates: point.to_owned(),
            },
            Membership::Outside,
        ))
    }

    /// The set moved by `shift`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn translate(&self, shift: ArrayView1<'_, f64>) -> Result<Self, Error> {
        check_point("the shift", self.dimension(), shift)?;
        Self::new(
            self.normals.clone(),
            &self.offsets + &self.normals.dot(&shift),
        )
    }

    /// `{factor · x : x ∈ set}`, about the origin. A negative factor reflects; 0 leaves the origin (of a bounded set).
    ///
    /// # Errors
    /// [`Error::Domain`] if the factor is not finite, [`Error::NotFinite`] if an offset overflows.
    pub fn scale(&self, factor: f64) -> Result<Self, Error> {
        check_factor(factor)?;
        let sign = if factor < 0.0 { -1.0 } else { 1.0 };
        Self::new(&self.normals * sign, &self.offsets * factor.abs())
    }

    /// `{ξ : M ξ + shift ∈ set}`: the set in other coordinates. It is bounded when `M` has full column rank.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn preimage(
        &self,
        map: ArrayView2<'_, f64>,
        shift: ArrayView1<'_, f64>,
    ) -> Result<Self, Error> {
        check_count("rows of the map", self.dimension(), map.nrows())?;
        check_matrix("the map", map)?;
        check_point("the shift", self.dimension(), shift)?;
        Self::new(
            self.normals.dot(&map),
            &self.offsets - &self.normals.dot(&shift),
        )
    }

    /// The points of both sets: the rows of both. The result may be empty.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ.
    pub fn intersection(&self, other: &Self) -> Result<Self, Error> {
        check_count(
            "dimension of the other set",
            self.dimension(),
            other.dimension(),
        )?;
        Self::new(
            stack(self.normals.view(), other.normals.view()),
            join(self.offsets.view(), other.offsets.view()),
        )
    }

    /// The Cartesian product `{(x, y) : x ∈ self, y ∈ other}`.
    #[must_use]
    pub fn product(&self, other: &Self) -> Self {
        Self {
            normals: block_diagonal(&[self.normals.view(), other.normals.view()]),
            offsets: join(self.offsets.view(), other.offsets.view()),
        }
    }

    /// Only the given rows, in that order; the caller knows that they are valid and not none.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self {
            normals: self.normals.select(Axis(0), rows),
            offsets: self.offsets.select(Axis(0), rows),
        }
    }
}

pub(crate) fn check_factor(factor: f64) -> Result<(), Error> {
    if factor.is_finite() {
        Ok(())
    } else {
        Err(Error::Domain {
            what: "the factor",
            value: factor,
            domain: "a finite number",
        })
    }
}

/// `a` above `b`, which have equally many columns.
fn stack(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows() + b.nrows(), a.ncols()));
    out.slice_mut(s![..a.nrows(), ..]).assign(&a);
    out.slice_mut(s![a.nrows().., ..]).assign(&b);
    out
}

/// `a` followed by `b`.
pub(crate) fn join(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> Array1<f64> {
    a.iter().chain(b).copied().collect()
}

/// The matrices along the diagonal of one that is zero elsewhere.
pub(crate) fn block_diagonal(blocks: &[ArrayView2<'_, f64>]) -> Array2<f64> {
    let rows = blocks.iter().map(ArrayView2::nrows).sum();
    let columns = blocks.iter().map(ArrayView2::ncols).sum();
    let mut out = Array2::zeros((rows, columns));
    let (mut row, mut column) = (0, 0);
    for block in blocks {
        out.slice_mut(s![row..row + block.nrows(), column..column + block.ncols()])
            .assign(block);
        row += block.nrows();
        column += block.ncols();
    }
    out
}
