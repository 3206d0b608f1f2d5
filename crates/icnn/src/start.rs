//! Where training starts: any polytope as a network of any depth, the general affine set, interval rows.

use evflex_flexibility::{AffineInner, FleetPolymatroid, Side, SubsetDirection, VehicleSet};
use evflex_polytope::HPolytope;
use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

use crate::{
    error::{Error, check_count, check_profile},
    form::LinearForm,
    network::{Icnn, Layer, OutputLayer, Weights},
};

/// A network with its centre: the set `Δ + F`, of which nothing has been proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The network of `F`.
    pub network: Icnn,
    /// The centre Δ, kW per step.
    pub centre: Array1<f64>,
}

/// A pivot below this share of the largest entry makes a map singular.
const SINGULAR: f64 = 1e-9;

impl Icnn {
    /// The set `{x : normals x ≤ offsets, lower ≤ x ≤ upper}` as a network of `depth` hidden layers with `width` units
    /// each (`thanvantri2025`, Appendix B): the last hidden layer is `ReLU(normals x − offsets)`, the output its
    /// sum with bias 0, everything before is 0. Units beyond the rows are off and unseen.
    ///
    /// ```
    /// use evflex_icnn::Icnn;
    /// use ndarray::array;
    ///
    /// let (rows, offsets) = (array![[1.0, 1.0], [-1.0, -1.0]], array![3.0, 2.0]);
    /// let (lower, upper) = (array![-4.0, -4.0], array![4.0, 4.0]);
    /// let network = Icnn::from_rows(rows.view(), offsets.view(), lower.view(), upper.view(), 3, 5)?;
    /// assert!(network.contains(array![4.0, -1.0].view(), 0.0)?);
    /// assert!(!network.contains(array![4.0, -0.5].view(), 0.0)?);
    /// assert_eq!(network.h_polytope()?.unwrap().rows(), 2 + 4); // the rows and the box
    /// # Ok::<(), evflex_icnn::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Nothing`] for depth 0; [`Error::Shape`] if `width` is less than the number of rows, or lengths differ;
    /// those of [`Icnn::new`] (a negative offset means that the origin is outside).
    pub fn from_rows(
        normals: ArrayView2<'_, f64>,
        offsets: ArrayView1<'_, f64>,
        lower: ArrayView1<'_, f64>,
        upper: ArrayView1<'_, f64>,
        depth: usize,
        width: usize,
    ) -> Result<Self, Error> {
        let (rows, steps) = normals.dim();
        if depth == 0 {
            return Err(Error::Nothing {
                what: "the list of hidden layers".into(),
            });
        }
        check_count(|| "offsets, one per row".into(), rows, offsets.len())?;
        if width < rows {
            return Err(Error::Shape {
                what: "units per layer, at least one per row".into(),
                expected: rows,
                found: width,
            });
        }
        let mut layers: Vec<Layer> = (0..depth)
            .map(|i| Layer {
                input: Array2::zeros((width, steps)),
                hidden: Array2::zeros((width, if i == 0 { 0 } else { width })),
                bias: Array1::zeros(width),
            })
            .collect();
        if let Some(last) = layers.last_mut() {
            last.input.slice_mut(s![..rows, ..]).assign(&normals);
            last.bias.slice_mut(s![..rows]).assign(&-&offsets);
            last.bias.slice_mut(s![rows..]).fill(-1.0);
        }
        let mut seen = Array1::zeros(width);
        seen.slice_mut(s![..rows]).fill(1.0);
        Self::new(Weights {
            layers,
            output: OutputLayer {
                input: Array1::zeros(steps),
                hidden: seen,
                bias: 0.0,
            },
            lower: lower.to_owned(),
            upper: upper.to_owned(),
        })
    }

    /// Any H-polytope that contains the origin, as [`Icnn::from_rows`] with its bounding box; `width` is the number of
    /// rows.
    ///
    /// # Errors
    /// [`Error::Polytope`] if it is empty or unbounded; those of [`Icnn::from_rows`].
    pub fn from_h_polytope(
        set: &HPolytope,
        depth: usize,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let n = set.dimension();
        let extent = |t: usize, sign: f64| -> Result<f64, Error> {
            let direction = Array1::from_shape_fn(n, |s| if s == t { sign } else { 0.0 });
            Ok(sign * set.support(direction.view(), solver, options)?.value)
        };
        let lower: Array1<f64> = (0..n).map(|t| extent(t, -1.0)).collect::<Result<_, _>>()?;
        let upper: Array1<f64> = (0..n).map(|t| extent(t, 1.0)).collect::<Result<_, _>>()?;
        Self::from_rows(
            set.normals(),
            set.offsets(),
            lower.view(),
            upper.view(),
            depth,
            set.rows(),
        )
    }
}

impl Candidate {
    /// Checks that network and centre fit together.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn new(network: Icnn, centre: Array1<f64>) -> Result<Self, Error> {
        check_profile("the centre", centre.view(), network.steps())?;
        Ok(Self { network, centre })
    }

    /// The general affine set `{P w + p : H w ≤ h_0}` of a fleet, seen from the image of the Chebyshev centre `c` of its base
    /// set (`thanvantri2025`, Appendix B): `Δ = P c + p`, rows `H P⁻¹` (4T of them), offsets `h_0 − H c`, box the
    /// bounding box of the set.
    ///
    /// # Errors
    /// [`Error::SingularMap`] if `P` has no inverse: start from [`Candidate::interval_rows`] then.
    /// [`Error::Polytope`] for an empty base set; [`Error::OriginOutside`] for a flat one.
    pub fn general_affine(
        affine: &AffineInner,
        depth: usize,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let base = affine.base();
        let (normals, offsets) = rows_of(base);
        let polytope = HPolytope::new(normals.clone(), offsets.clone())?;
        let middle = polytope.chebyshev(solver, options)?.centre;
        let map = affine.total();
        let image = map.matrix.dot(&middle);
        let rows = normals.dot(&inverse(&map.matrix)?);
        let offsets = (offsets - normals.dot(&middle)).mapv(|offset| offset.max(0.0));
        // Extents of P (w − c) over the base set: greedy, without a program.
        let extent = |t: usize, sign: f64| {
            let direction = &map.matrix.row(t) * sign;
            sign * (base.support(direction.view()).0 - sign * image[t]).max(0.0)
        };
        let steps = base.steps();
        let lower: Array1<f64> = (0..steps).map(|t| extent(t, -1.0)).collect();
        let upper: Array1<f64> = (0..steps).map(|t| extent(t, 1.0)).collect();
        let width = rows.nrows();
        let network = Icnn::from_rows(
            rows.view(),
            offsets.view(),
            lower.view(),
            upper.view(),
            depth,
            width,
        )?;
        Self::new(network, image + &map.translation)
    }

    /// All sums over intervals of two and more consecutive steps as rows, from above and below, with what the fleet itself
    /// reaches there as offsets, `h_U(a) − a · Δ`; single steps are the box.
    ///
    /// The set contains the fleet's own, seen from Δ; γ brings it inside. `centre` is by default the [`middle`] of the
    /// fleet's set; [`crate::TrainingDays::centre`] gives one near the decisions.
    ///
    /// # Errors
    /// [`Error::Shape`] for a centre of the wrong length; [`Error::OriginOutside`] or [`Error::Domain`] for one that breaks a
    /// bound; [`Error::Nothing`] for fewer than two steps.
    pub fn interval_rows(
        fleet: &FleetPolymatroid,
        centre: Option<ArrayView1<'_, f64>>,
        depth: usize,
    ) -> Result<Self, Error> {
        let steps = fleet.steps();
        if steps < 2 {
            return Err(Error::Nothing {
                what: "the list of intervals of two and more steps".into(),
            });
        }
        let intervals = || (0..steps).flat_map(move |from| (from..steps).map(move |to| (from, to)));
        let row = |from, to, sign| interval(steps, from, to, sign);
        let centre = if let Some(centre) = centre {
            check_profile("the centre", centre, steps)?;
            centre.to_owned()
        } else {
            middle(fleet)?
        };
        let (mut lower, mut upper) = (Array1::zeros(steps), Array1::zeros(steps));
        let (mut rows, mut offsets) = (Vec::new(), Vec::new());
        for (from, to) in intervals() {
            let subset: Vec<usize> = (from..=to).collect();
            let (most, least) = fleet_bounds(fleet, &subset)?;
            let at_centre = centre.slice(s![from..=to]).sum();
            if from == to {
                upper[from] = most - at_centre;
                lower[from] = least - at_centre;
            } else {
                rows.push(row(from, to, 1.0));
                offsets.push(most - at_centre);
                rows.push(row(from, to, -1.0));
                offsets.push(at_centre - least);
            }
        }
        let normals = ndarray::stack(
            Axis(0),
            &rows.iter().map(|row| row.view()).collect::<Vec<_>>(),
        )
        .map_err(|_| Error::Nothing {
            what: "the list of rows".into(),
        })?;
        let network = Icnn::from_rows(
            normals.view(),
            ArrayView1::from(&offsets),
            lower.view(),
            upper.view(),
            depth,
            rows.len(),
        )?;
        Self::new(network, centre)
    }

    /// The same set cut by what the fleet can do over some subsets of steps: rows `±1_S` with offsets `b(S) − Δ(S)` or
    /// `Δ(S) − p(S)`.
    ///
    /// No profile of the fleet is cut off, so γ can only rise, and training gets rows where it is limited: the subsets that
    /// limit γ of a trained set ([`crate::LearnedSet::limiting_subsets`]) are the ones to add before training goes on.
    /// Single steps, and subsets that are rows already, are left out.
    ///
    /// # Errors
    /// [`Error::Training`] if the network is not an H-polytope in its last layer ([`Icnn::h_polytope`]);
    /// [`Error::OriginOutside`] if the centre breaks a bound; [`Error::Flexibility`] for a subset of other steps.
    pub fn with_subset_rows(
        &self,
        fleet: &FleetPolymatroid,
        directions: &[SubsetDirection],
    ) -> Result<Self, Error> {
        let steps = self.network.steps();
        check_count(|| "steps of the fleet".into(), steps, fleet.steps())?;
        let Some(form) = LinearForm::eliminated(&self.network) else {
            return Err(Error::Training {
                what: "rows",
                problem: "the network has hidden units that cannot be eliminated, so rows cannot be added to it".into(),
            });
        };
        let (mut normals, mut offsets) = (form.matrix, form.rhs.to_vec());
        for direction in directions {
            let subset = direction.subset(steps);
            let (most, least) = fleet_bounds(fleet, &subset)?;
            let mut row = Array1::zeros(steps);
            let at_centre: f64 = subset.iter().map(|&t| self.centre[t]).sum();
            let (sign, offset) = match direction.side {
                Side::Upper => (1.0, most - at_centre),
                Side::Lower => (-1.0, at_centre - least),
            };
            for &t in &subset {
                row[t] = sign;
            }
            if subset.len() > 1 && !normals.rows().into_iter().any(|known| known == row) {
                normals.push_row(row.view()).map_err(|_| Error::Shape {
                    what: "columns of a row".into(),
                    expected: steps,
                    found: row.len(),
                })?;
                offsets.push(offset);
            }
        }
        let width = normals.nrows();
        let weights = self.network.weights();
        let network = Icnn::from_rows(
            normals.view(),
            ArrayView1::from(&offsets),
            weights.lower.view(),
            weights.upper.view(),
            self.network.depth(),
            width,
        )?;
        Self::new(network, self.centre.clone())
    }
}

/// A profile well inside the fleet's set: the mean of the vertices that attain the largest and the smallest sums over all
/// intervals of steps.
///
/// # Errors
/// [`Error::Flexibility`], which checked fleets do not cause.
pub fn middle(fleet: &FleetPolymatroid) -> Result<Array1<f64>, Error> {
    let steps = fleet.steps();
    let mut sum = Array1::zeros(steps);
    let mut count = 0.0;
    for from in 0..steps {
        for to in from..steps {
            for sign in [1.0, -1.0] {
                let direction = interval(steps, from, to, sign);
                sum += &fleet.support(direction.view())?.profile_kw;
                count += 1.0;
            }
        }
    }
    Ok(sum / count)
}

/// `±1` over the steps from `from` to `to`.
fn interval(steps: usize, from: usize, to: usize, sign: f64) -> Array1<f64> {
    Array1::from_shape_fn(steps, |t| if (from..=to).contains(&t) { sign } else { 0.0 })
}

/// The largest and the smallest sum of the fleet over a subset of steps.
fn fleet_bounds(fleet: &FleetPolymatroid, subset: &[usize]) -> Result<(f64, f64), Error> {
    let (a, b) = fleet.subset_bounds(subset)?;
    Ok((a.max(b), a.min(b)))
}

/// `H = (L, −L, I, −I)` with running sums of powers, and its right-hand sides (`thanvantri2025`, eq. 3).
pub(crate) fn rows_of(set: &VehicleSet) -> (Array2<f64>, Array1<f64>) {
    let steps = set.steps();
    let sums = Array2::from_shape_fn((steps, steps), |(t, s)| f64::from(u8::from(s <= t)));
    let powers = Array2::<f64>::eye(steps);
    let mut normals = Array2::zeros((0, steps));
    for block in [
        sums.view(),
        (-&sums).view(),
        powers.view(),
        (-&powers).view(),
    ] {
        // Columns agree by construction.
        if let Ok(stacked) = concatenate(Axis(0), &[normals.view(), block]) {
            normals = stacked;
        }
    }
    let offsets = set
        .sum_max()
        .iter()
        .copied()
        .chain(set.sum_min().iter().map(|bound| -bound))
        .chain(set.power_max().iter().copied())
        .chain(set.power_min().iter().map(|bound| -bound))
        .collect();
    (normals, offsets)
}

/// The inverse by Gauss-Jordan elimination with row pivoting.
fn inverse(matrix: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let n = matrix.nrows();
    let mut left = matrix.clone();
    let mut right = Array2::eye(n);
    let size = matrix
        .iter()
        .fold(0.0, |most, entry| f64::max(most, entry.abs()));
    for column in 0..n {
        let pivot_row = (column..n)
            .max_by(|&a, &b| left[(a, column)].abs().total_cmp(&left[(b, column)].abs()))
            .unwrap_or(column);
        let pivot = left[(pivot_row, column)];
        if pivot.abs() <= SINGULAR * size || !pivot.is_finite() {
            return Err(Error::SingularMap { column, pivot });
        }
        for part in [&mut left, &mut right] {
            for j in 0..n {
                part.swap((column, j), (pivot_row, j));
                part[(column, j)] /= pivot;
            }
        }
        for row in (0..n).filter(|&row| row != column) {
            let factor = left[(row, column)];
            if factor != 0.0 {
                for j in 0..n {
                    let (l, r) = (left[(column, j)], right[(column, j)]);
                    left[(row, j)] -= factor * l;
                    right[(row, j)] -= factor * r;
                }
            }
        }
    }
    Ok(right)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn inverses_and_their_absence() {
        let matrix = array![[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [3.0, 0.0, -1.0]];
        let product = matrix.dot(&inverse(&matrix).unwrap());
        assert!(
            (product - Array2::<f64>::eye(3))
                .iter()
                .all(|off| off.abs() < 1e-14)
        );
        let singular = array![[1.0, 2.0], [2.0, 4.0]];
        assert!(matches!(
            inverse(&singular),
            Err(Error::SingularMap { column: 1, .. })
        ));
    }
}
