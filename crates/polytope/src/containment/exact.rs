//! Containment in an H-polytope: exact, by one support value per row.

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1};

use super::repair::{Candidate, make_consistent};
use super::{
    Certifier, Containment, Counterexample, DEFAULT_TOLERANCE, Scaling, Shortfall, Task, check_task,
};
use crate::error::check_point;
use crate::linear::{largest, norm};
use crate::{AhPolytope, Error, HPolytope};

/// Decides whether `inner ⊆ outer` for an H-polytope `outer = {x : H x ≤ h}`: `h_inner(H_k) ≤ h_k` for every row, by one linear
/// program per row. The multipliers of these programs are the certificate's `Λ`; a row that is exceeded gives a
/// point of the inner set that is outside.
///
/// Unlike affine rules for sums, this misses nothing: up to `tolerance` (relative, for verification; the distance beyond a row that counts
/// as outside is a hundred times the solver's tolerance, relative to the size of the sets), the answer is certified or not contained.
///
/// ```
/// use evflex_polytope::{Containment, HPolytope, certify_in_h};
/// use evflex_solver::{Clarabel, Options};
/// let outer = HPolytope::hyperbox(&[0.0], &[1.0])?;
/// let inner = HPolytope::hyperbox(&[0.5], &[1.001])?.into();
/// match certify_in_h(&inner, &outer, 1e-9, &Clarabel::default(), &Options::default())? {
///     Containment::NotContained(found) => assert_eq!(found.witness[0], 1.001),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if dimensions differ, [`Error::Empty`] and [`Error::Unbounded`] for the inner set,
/// [`Error::Domain`] for the tolerance, [`Error::Solver`].
pub fn certify_in_h(
    inner: &AhPolytope,
    outer: &HPolytope,
    tolerance: f64,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Containment, Error> {
    let outers = [AhPolytope::from(outer)];
    check_task(inner, &outers, tolerance)?;
    let rows = rows_of(inner, outer, solver, options)?;
    let mut worst: Option<Counterexample> = None;
    for (k, row) in rows.iter().enumerate() {
        let normal = outer.normals().row(k).to_owned();
        let length = norm(normal.view());
        let excess = row.value - outer.offsets()[k];
        // What counts as outside is measured by the size of the sets: a row through the origin has no size of its own.
        let size = largest(&row.point).max(outer.typical_distance());
        if excess > 100.0 * options.tolerance * length.max(f64::MIN_POSITIVE) * size
            && worst
                .as_ref()
                .is_none_or(|worst| excess / length > worst.excess)
        {
            // A row of zeros with a negative offset: the outer set is empty, and any point is outside.
            let length = if length > 0.0 { length } else { 1.0 };
            worst = Some(Counterexample {
                witness: row.point.clone(),
                direction: normal / length,
                excess: excess / length,
            });
        }
    }
    if let Some(counterexample) = worst {
        return Ok(Containment::NotContained(counterexample));
    }
    let mut candidate = Candidate {
        gamma: 1.0,
        lambda: vec![stack(&rows, inner.base().rows())],
        maps: vec![inner.generators().to_owned()],
        beta: vec![-&inner.centre()],
    };
    let centre = Array1::zeros(inner.dimension());
    let certifier = Certifier::new(solver, options).tolerance(tolerance);
    let task = Task {
        inner,
        outers: &outers,
        centre: centre.view(),
    };
    make_consistent(&task, &mut candidate, &certifier)?;
    certifier.judge(&task, candidate)
}

/// The largest `γ` with `centre + γ·inner ⊆ outer` for an H-polytope `outer`, exactly:
/// `γ = min_k (h_k − H_k·centre) / h_inner(H_k)` over the rows with `h_inner(H_k) > 0`.
///
/// # Errors
/// As [`certify_in_h`]; [`Error::UnboundedScaling`] when no row limits the scale.
pub fn scale_in_h(
    inner: &AhPolytope,
    outer: &HPolytope,
    centre: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Scaling, Error> {
    let outers = [AhPolytope::from(outer)];
    check_task(inner, &outers, DEFAULT_TOLERANCE)?;
    check_point("the centre", inner.dimension(), centre)?;
    let answer = |containment, optimum| Scaling {
        containment,
        optimum,
        sensitivity: None,
    };
    let mut rows = rows_of(inner, outer, solver, options)?;
    let (mut gamma, mut least) = (f64::INFINITY, 0.0_f64);
    for (k, row) in rows.iter().enumerate() {
        let room = outer.offsets()[k] - outer.normals().row(k).dot(&centre);
        // A solver's zero.
        let noise = options.tolerance * norm(outer.normals().row(k)) * largest(&row.point);
        if row.value > noise {
            gamma = gamma.min(room / row.value);
        } else if row.value < -noise {
            least = least.max(room / row.value); // an inner set without the origin: a row may ask for more scale
        } else if room < 0.0 {
            gamma = f64::NEG_INFINITY;
        }
    }
    if gamma < least {
        return Ok(answer(Containment::NotCertified(Shortfall::NoScale), None));
    }
    if gamma.is_infinite() {
        return Err(Error::UnboundedScaling);
    }
    for row in &mut rows {
        row.multipliers *= gamma;
    }
    let candidate = Candidate {
        gamma,
        lambda: vec![stack(&rows, inner.base().rows())],
        maps: vec![&inner.generators() * gamma],
        beta: vec![-&centre - &inner.centre() * gamma],
    };
    let certifier = Certifier::new(solver, options);
    let task = Task {
        inner,
        outers: &outers,
        centre,
    };
    let containment = certifier.sell(&task, candidate)?;
    Ok(answer(containment, Some(gamma)))
}

/// The farthest point of the inner set along one row of the outer one.
struct Row {
    value: f64,
    point: Array1<f64>,
    multipliers: Array1<f64>,
}

fn rows_of(
    inner: &AhPolytope,
    outer: &HPolytope,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let options = options.clone().duals(true);
    outer
        .normals()
        .rows()
        .into_iter()
        .map(|normal| {
            let far = inner.support(normal, solver, &options)?;
            Ok(Row {
                value: far.value,
                point: far.point,
                multipliers: far
                    .multipliers
                    .ok_or_else(|| evflex_solver::Error::Unsupported {
                        solver: solver.name(),
                        class: "duals, which the certificate is made of",
                    })?,
            })
        })
        .collect()
}

fn stack(rows: &[Row], columns: usize) -> Array2<f64> {
    let mut out = Array2::zeros((rows.len(), columns));
    for (mut to, from) in out.rows_mut().into_iter().zip(rows) {
        to.assign(&from.multipliers);
    }
    out
}
