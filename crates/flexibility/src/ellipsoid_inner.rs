//! Inner sets that are one ellipsoid, the sum of one in every vehicle.

use evflex_fleet::Schedule;
use evflex_solver::{AffineTerm, Options, ProblemBuilder, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1};

use crate::{
    affine::FacetViolation,
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    error::Error,
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    image::{self, Image, ImageVariables, image_rows},
    objective::Objective,
    per_vehicle::{CLAIM_TOLERANCE_KW, Facets, for_each_class, worst_violation},
};

/// The ellipsoid `{c + E ξ : ‖ξ‖ ≤ 1}`, the sum of one ellipsoid in every vehicle.
///
/// With the facets `a_k · u ≤ h_ik` of vehicle `i`, its ellipsoid is the second-order cone program
///
/// ```text
/// max  trace E_i    s.t.   ‖E_iᵀ a_k‖ + a_k · c_i ≤ h_ik   for every facet k,
/// ```
///
/// and `c = Σ c_i`, `E = Σ E_i`: a point of the sum with coordinates `ξ` is followed by
/// `u_i = c_i + E_i ξ`. Facets come in pairs `±a_k` that share one cone, so there are 2 T cones. `E_i` is
/// symmetric without loss: the rows see `E_i E_iᵀ` alone, and of all its square roots the symmetric
/// positive semidefinite one has the largest trace, which also lines the vehicles up for the sum. Where
/// a vehicle has no extent (it is away, or its final energy is fixed), `E_i` is written over the directions
/// that are left.
///
/// The support function is closed, `d · c + ‖Eᵀ d‖`, and energy costs need no solver; the other questions
/// need one that takes second-order cones.
///
/// ```
/// use evflex_flexibility::{AggregateSet, EllipsoidInner, FleetPolymatroid};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let grid = evflex_fleet::TimeGrid::new(6, evflex_fleet::Hours(3.0))?;
/// let fleet = evflex_fleet::synthetic::Population::new(grid, 3).generate(1)?;
/// let exact = FleetPolymatroid::exact(&fleet)?;
/// let set = EllipsoidInner::new(&exact, &Clarabel::default(), &Options::default())?;
/// assert!(set.verify(1e-9).is_none()); // no facet of any vehicle is exceeded
/// let best = set.support(ndarray::Array1::ones(6).view(), &Clarabel::default())?;
/// let schedule = set.disaggregate(best.profile_kw.view(), &Clarabel::default())?;
/// assert!(schedule.check(&fleet, 1e-6)?.is_feasible());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EllipsoidInner<'a> {
    fleet: &'a FleetPolymatroid,
    total: Part,
    /// The ellipsoid of each class of vehicles.
    parts: Vec<Part>,
    claim: Claim,
}

/// What makes the ellipsoid of a vehicle large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EllipsoidMeasure {
    /// `trace E_i`, the sum of the semi-axes.
    Trace,
    /// `det E_i`, over the directions in which the vehicle has an extent: the ellipsoid of Löwner and John.
    ///
    /// The rows see `E_i E_iᵀ` alone, whose triangular root has the determinant `Π_a M_aa`, so the geometric
    /// mean of its diagonal, a tower of second-order cones, is all that it takes.
    Volume,
}

/// `c` and `E`.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    centre: Array1<f64>,
    shape: Array2<f64>,
}

impl Part {
    fn point(&self, inner: ArrayView1<'_, f64>) -> Array1<f64> {
        &self.centre + &self.shape.dot(&inner)
    }

    fn extent(&self, normal: &Array1<f64>) -> f64 {
        norm(&self.shape.t().dot(normal))
    }
}

fn norm(vector: &Array1<f64>) -> f64 {
    vector.dot(vector).sqrt()
}

impl<'a> EllipsoidInner<'a> {
    /// The ellipsoids of largest trace.
    ///
    /// # Errors
    /// [`Error::Solver`], also for a solver without second-order cones and when the time is over or the
    /// computation was cancelled; [`Error::Threads`].
    pub fn new(
        fleet: &'a FleetPolymatroid,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        Self::with_measure(fleet, EllipsoidMeasure::Trace, solver, options)
    }

    /// The ellipsoids that are largest by a given measure.
    ///
    /// # Errors
    /// As [`EllipsoidInner::new`].
    pub fn with_measure(
        fleet: &'a FleetPolymatroid,
        measure: EllipsoidMeasure,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let parts = for_each_class(fleet, "ellipsoids", options, |facets, options| {
            largest(facets, measure, solver, options)
        })?;
        let steps = fleet.steps();
        let mut total = Part {
            centre: Array1::zeros(steps),
            shape: Array2::zeros((steps, steps)),
        };
        for &class in &fleet.packed().class_of_vehicle {
            total.centre += &parts[class].centre;
            total.shape += &parts[class].shape;
        }
        let mut set = Self {
            fleet,
            total,
            parts,
            claim: Claim::Unproven,
        };
        if set.verify(CLAIM_TOLERANCE_KW).is_none() {
            set.claim = fleet.claim().of_subset();
        }
        Ok(set)
    }

    /// `c`, kW.
    #[must_use]
    pub fn centre_kw(&self) -> &Array1<f64> {
        &self.total.centre
    }

    /// `E`, symmetric, T × T, kW.
    #[must_use]
    pub fn shape_kw(&self) -> &Array2<f64> {
        &self.total.shape
    }

    /// Whether the ellipsoid of every vehicle is inside its set, `‖E_iᵀ a‖ + a · c_i ≤ h_i` by arithmetic:
    /// the facet that is exceeded most, if one is by more than `tolerance_kw`.
    #[must_use]
    pub fn verify(&self, tolerance_kw: f64) -> Option<FacetViolation> {
        worst_violation(self.fleet, tolerance_kw, |class, normal| {
            let part = &self.parts[class];
            (normal.dot(&part.centre), part.extent(normal))
        })
    }
}

/// The cone program of one vehicle, and its answer pulled inside as far as rounding asks for.
///
/// With `Q` an orthonormal basis of the directions in which the vehicle has an extent and `m` a point
/// inside, `E = Q M Qᵀ` with `M` symmetric and `c = m + Q y`.
fn largest(
    facets: &Facets,
    measure: EllipsoidMeasure,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Part, Error> {
    let steps = facets.steps();
    let basis = facets.free_directions();
    let rank = basis.ncols();
    if rank == 0 {
        return Ok(Part {
            centre: facets.middle.clone(),
            shape: Array2::zeros((steps, steps)),
        });
    }
    let free = f64::INFINITY;
    let mut builder = ProblemBuilder::new("ellipsoid in a vehicle");
    // Rows of Mᵀ.
    let mut entries: Vec<Vec<Option<VariableId>>> = vec![vec![None; rank]; rank];
    for a in 0..rank {
        for b in a..rank {
            let entry = builder.variable(format!("shape_{a}_{b}"), -free, free, 0.0);
            entries[a][b] = Some(entry);
            if measure == EllipsoidMeasure::Trace {
                entries[b][a] = Some(entry);
            }
        }
    }
    let diagonal: Vec<VariableId> = (0..rank).filter_map(|a| entries[a][a]).collect();
    match measure {
        EllipsoidMeasure::Trace => diagonal
            .iter()
            .for_each(|&entry| builder.set_cost(entry, -1.0)),
        EllipsoidMeasure::Volume => {
            let mean = geometric_mean(&mut builder, &diagonal);
            builder.set_cost(mean, -1.0);
        }
    }
    let shift: Vec<Option<VariableId>> = (0..rank)
        .map(|a| Some(builder.variable(format!("shift_{a}"), -free, free, 0.0)))
        .collect();
    for (k, slab) in facets.slabs().iter().enumerate() {
        if slab.is_flat() {
            continue;
        }
        let normal = basis.t().dot(&slab.normal);
        let along = |variables: &[Option<VariableId>]| -> Vec<(VariableId, f64)> {
            let terms = variables.iter().zip(normal.iter().copied());
            terms
                .filter_map(|(variable, weight)| Some(((*variable)?, weight)))
                .filter(|term| term.1.abs() > f64::EPSILON)
                .collect()
        };
        let extent = builder.variable(format!("extent_{k}"), 0.0, free, 0.0);
        let parts = (0..rank)
            .map(|a| AffineTerm::new(along(&entries[a]), 0.0))
            .collect();
        builder.second_order_cone(format!("extent_{k}"), extent.into(), parts);
        let middle = slab.normal.dot(&facets.middle);
        let terms = |sign: f64| [along(&shift), vec![(extent, sign)]].concat();
        builder.row(format!("high_{k}"), -free, terms(1.0), slab.high - middle);
        builder.row(format!("low_{k}"), slab.low - middle, terms(-1.0), free);
    }
    let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
    let value = |variable: &Option<VariableId>| variable.map_or(0.0, |id| solution.value(id));
    let shift: Array1<f64> = shift.iter().map(value).collect();
    let mut inner = Array2::from_shape_fn((rank, rank), |(a, b)| value(&entries[b][a]));
    if measure == EllipsoidMeasure::Volume {
        inner = symmetric_root(&inner.dot(&inner.t()));
    }
    let found = Part {
        centre: &facets.middle + &basis.dot(&shift),
        shape: basis.dot(&inner).dot(&basis.t()),
    };
    let share = facets.pull(found.centre.view(), |normal| found.extent(normal));
    Ok(Part {
        centre: found.centre * (1.0 - share) + &facets.middle * share,
        shape: found.shape * (1.0 - share),
    })
}

/// A variable of at most the geometric mean of others, which it makes non-negative: pairs `z² ≤ x y`, halved
/// until one is left; where the number is no power of two, the mean itself fills the places.
fn geometric_mean(builder: &mut ProblemBuilder, variables: &[VariableId]) -> VariableId {
    let mean = builder.variable("mean", 0.0, f64::INFINITY, 0.0);
    let mut level = variables.to_vec();
    level.resize(variables.len().next_power_of_two(), mean);
    while level.len() > 1 {
        let last = level.len() == 2;
        level = level
            .chunks_exact(2)
            .map(|pair| {
                let (x, y) = (pair[0], pair[1]);
                if x == mean && y == mean {
                    return mean;
                }
                let z = if last {
                    mean
                } else {
                    builder.variable("mean", 0.0, f64::INFINITY, 0.0)
                };
                builder.second_order_cone(
                    "mean",
                    AffineTerm::new([(x, 1.0), (y, 1.0)], 0.0),
                    vec![
                        AffineTerm::new([(z, 2.0)], 0.0),
                        AffineTerm::new([(x, 1.0), (y, -1.0)], 0.0),
                    ],
                );
                z
            })
            .collect();
    }
    if let [only] = variables {
        builder.row("mean", 0.0, [(*only, 1.0), (mean, -1.0)], f64::INFINITY);
    }
    mean
}

/// The symmetric positive semidefinite square root, by rotations that make the matrix diagonal (Jacobi).
fn symmetric_root(matrix: &Array2<f64>) -> Array2<f64> {
    let n = matrix.nrows();
    let (mut values, mut vectors) = (matrix.clone(), Array2::<f64>::eye(n));
    for _ in 0..SWEEPS {
        let off: f64 = values
            .indexed_iter()
            .filter(|((a, b), _)| a != b)
            .map(|(_, value)| value.abs())
            .fold(0.0, f64::max);
        if off <= f64::EPSILON * values.diag().sum() {
            break;
        }
        for a in 0..n {
            for b in a + 1..n {
                if values[[a, b]] == 0.0 {
                    continue;
                }
                let theta = (values[[b, b]] - values[[a, a]]) / (2.0 * values[[a, b]]);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for k in 0..n {
                    let (x, y) = (values[[k, a]], values[[k, b]]);
                    values[[k, a]] = cosine * x - sine * y;
                    values[[k, b]] = sine * x + cosine * y;
                    let (x, y) = (vectors[[k, a]], vectors[[k, b]]);
                    vectors[[k, a]] = cosine * x - sine * y;
                    vectors[[k, b]] = sine * x + cosine * y;
                }
                for k in 0..n {
                    let (x, y) = (values[[a, k]], values[[b, k]]);
                    values[[a, k]] = cosine * x - sine * y;
                    values[[b, k]] = sine * x + cosine * y;
                }
            }
        }
    }
    let roots = values.diag().mapv(|value| value.max(0.0).sqrt());
    (&vectors * &roots).dot(&vectors.t())
}

/// Sweeps of rotations; convergence is quadratic, and ten are rare.
const SWEEPS: usize = 40;

impl Image for EllipsoidInner<'_> {
    fn image_steps(&self) -> usize {
        self.total.centre.len()
    }

    /// The coordinates `ξ`.
    fn write_image(&self, builder: &mut ProblemBuilder) -> ImageVariables {
        let coordinates: Vec<VariableId> = (0..self.total.centre.len())
            .map(|t| builder.variable(format!("coordinate_{t}"), -1.0, 1.0, 0.0))
            .collect();
        let parts = coordinates.iter().map(|&coordinate| coordinate.into());
        builder.second_order_cone("ball", AffineTerm::constant(1.0), parts.collect());
        image_rows(builder, coordinates, self.total.centre.view(), |t, s| {
            self.total.shape[[t, s]]
        })
    }

    fn clean(&self, inner: Array1<f64>) -> Array1<f64> {
        let length = norm(&inner).max(1.0);
        inner / length
    }

    fn image(&self, inner: ArrayView1<'_, f64>) -> Array1<f64> {
        self.total.point(inner)
    }

    fn furthest(&self, direction: ArrayView1<'_, f64>) -> Array1<f64> {
        let pulled = self.total.shape.t().dot(&direction);
        let length = norm(&pulled);
        if length > 0.0 {
            pulled / length
        } else {
            pulled
        }
    }
}

impl AggregateSet for EllipsoidInner<'_> {
    fn steps(&self) -> usize {
        self.total.centre.len()
    }

    fn step_hours(&self) -> f64 {
        self.fleet.step_hours()
    }

    fn claim(&self) -> Claim {
        self.claim
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        image::support(self, direction)
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        Ok(image::preimage(self, profile, tolerance_kw, solver)?.into_membership())
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        image::minimise(self, self.step_hours(), objective, solver, options)
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        let inner = image::preimage(self, profile, DEFAULT_TOLERANCE_KW, solver)?.found()?;
        let mut by_class = Array2::zeros((self.parts.len(), self.steps()));
        for (mut row, part) in by_class.outer_iter_mut().zip(&self.parts) {
            row.assign(&part.point(inner.view()));
        }
        self.fleet.schedule_of_classes(&by_class)
    }
}

#[cfg(test)]
mod tests {
    use evflex_solver::Clarabel;

    use super::*;

    #[test]
    fn verification_sees_a_change_of_a_milliwatt() {
        let grid = evflex_fleet::TimeGrid::new(6, evflex_fleet::Hours(3.0)).expect("a grid");
        let population = evflex_fleet::synthetic::Population::new(grid, 3);
        let fleet = population.generate(1).expect("a fleet");
        let exact = FleetPolymatroid::exact(&fleet).expect("lossless");
        for measure in [EllipsoidMeasure::Trace, EllipsoidMeasure::Volume] {
            let options = Options::default();
            let set = EllipsoidInner::with_measure(&exact, measure, &Clarabel::default(), &options);
            let mut set = set.expect("ellipsoids");
            assert_eq!((set.claim(), set.verify(1e-9)), (Claim::Inner, None));
            set.parts[1].shape *= 1.0 + 1e-6;
            assert!(set.verify(1e-9).is_some(), "{measure:?}");
        }
    }

    #[test]
    fn roots_square_to_their_matrix() {
        let factor = Array2::from_shape_fn((5, 5), |(a, b)| ((3 * a + 7 * b) as f64).sin());
        let matrix = factor.dot(&factor.t());
        let root = symmetric_root(&matrix);
        assert!((&root.dot(&root) - &matrix).iter().all(|d| d.abs() < 1e-12));
        assert!((&root - &root.t()).iter().all(|d| d.abs() < 1e-12));
    }
}
