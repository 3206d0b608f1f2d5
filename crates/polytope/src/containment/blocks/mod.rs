//! The linear programs of affine rules solved by their own structure, without a general solver.

mod chain;
mod interior;

use evflex_solver::Options;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};

use super::Task;
use super::formulation::{Answer, Sensitivity};
use super::repair::Candidate;
use crate::linear::entries;
use crate::{Error, HPolytope};
use interior::{Coupling, ENDLESS, Outer, Program, row_lengths};

/// The accuracy from which on a value is called the optimum.
const PROVEN: f64 = 1e-6;

/// The accuracy below which an interior point is not worth correcting.
const USABLE: f64 = 1e-2;

/// Units in which the numbers of the method are around 1.
struct Scales {
    /// Of points and offsets.
    unit: f64,
    /// Lengths of the rows of the inner base.
    inner: Array1<f64>,
    /// Lengths of the rows of every outer base.
    outer: Vec<Array1<f64>>,
}

fn sparse_rows(matrix: ArrayView2<'_, f64>) -> Vec<Vec<(usize, f64)>> {
    matrix
        .rows()
        .into_iter()
        .map(|row| entries(row).collect())
        .collect()
}

/// A length that is typical for the inner base: numbers are divided by it.
fn unit_of(base: &HPolytope) -> f64 {
    match base.typical_distance() {
        distance if distance > 0.0 && distance.is_finite() => distance,
        _ => 1.0,
    }
}

/// `Ĉ`: rows of length 1 with their offsets, and the row of the slack.
fn extended_rows(base: &HPolytope, unit: f64, lengths: &Array1<f64>) -> Array2<f64> {
    let (r, p) = (base.rows(), base.dimension());
    let mut rows = Array2::zeros((r + 1, p + 1));
    for (k, (normal, &offset)) in base
        .normals()
        .rows()
        .into_iter()
        .zip(base.offsets())
        .enumerate()
    {
        rows.slice_mut(s![k, ..p]).assign(&(&normal / lengths[k]));
        rows[[k, p]] = offset / (lengths[k] * unit);
    }
    rows[[r, p]] = 1.0;
    rows
}

fn outer_of(
    base: &HPolytope,
    image: ArrayView2<'_, f64>,
    unit: f64,
    lengths: &Array1<f64>,
    reward: Option<Array2<f64>>,
) -> Outer {
    let mut rows = sparse_rows(base.normals());
    for (row, length) in rows.iter_mut().zip(lengths) {
        for (_, value) in row {
            *value /= length;
        }
    }
    Outer {
        rows,
        offsets: base
            .offsets()
            .iter()
            .zip(lengths)
            .map(|(offset, length)| offset / (length * unit))
            .collect(),
        image: sparse_rows(image),
        reward,
        coordinates: base.dimension(),
    }
}

/// `Λ`, `Γ` and `β` of one outer set in their own units.
fn read_part(
    part: &interior::Part,
    unit: f64,
    inner: &Array1<f64>,
    outer: &Array1<f64>,
) -> (Array2<f64>, Array2<f64>, Array1<f64>) {
    let p = part.theta.ncols() - 1;
    let lambda = Array2::from_shape_fn((outer.len(), inner.len()), |(k, r)| {
        part.lambda[[k, r]] * outer[k] / inner[r]
    });
    let map = part.theta.slice(s![.., ..p]).to_owned();
    let beta = &part.theta.column(p) * unit;
    (lambda, map, beta)
}

/// The largest scale by affine rules. `None` when the method did not get anywhere: no scale may exist, or the numbers may
/// be too bad for it.
pub(super) fn solve(task: &Task<'_>, options: &Options) -> Result<Option<Answer>, Error> {
    let base = task.inner.base();
    let (n, p) = (task.inner.dimension(), base.dimension());
    let scales = Scales {
        unit: unit_of(base),
        inner: row_lengths(base.normals()),
        outer: task
            .outers
            .iter()
            .map(|outer| row_lengths(outer.base().normals()))
            .collect(),
    };
    let mut scaled = Array2::zeros((n, p + 1));
    scaled
        .slice_mut(s![.., ..p])
        .assign(&task.inner.generators());
    scaled
        .column_mut(p)
        .assign(&(&task.inner.centre() / -scales.unit));
    let mut constant = Array2::zeros((n, p + 1));
    let mut side = -&task.centre;
    for outer in task.outers {
        side += &outer.centre();
    }
    constant.column_mut(p).assign(&(side / scales.unit));
    let program = Program {
        rows: extended_rows(base, scales.unit, &scales.inner),
        outers: task
            .outers
            .iter()
            .zip(&scales.outer)
            .map(|(outer, lengths)| {
                outer_of(outer.base(), outer.generators(), scales.unit, lengths, None)
            })
            .collect(),
        coupling: Some(Coupling { scaled, constant }),
        bound: f64::INFINITY,
    };
    tracing::debug!(
        rows = program.row_count(),
        columns = p + 1,
        "containment by blocks"
    );
    let (point, end) = interior::solve(&program, options);
    tracing::debug!(accuracy = point.accuracy, ?end, "containment by blocks");
    if point.gamma >= ENDLESS {
        return Err(Error::UnboundedScaling);
    }
    if point.accuracy > USABLE {
        return Ok(None);
    }
    let mut candidate = Candidate {
        gamma: point.gamma,
        lambda: Vec::new(),
        maps: Vec::new(),
        beta: Vec::new(),
    };
    for (part, lengths) in point.parts.iter().zip(&scales.outer) {
        let (lambda, map, beta) = read_part(part, scales.unit, &scales.inner, lengths);
        candidate.lambda.push(lambda);
        candidate.maps.push(map);
        candidate.beta.push(beta);
    }
    let proven = point.accuracy <= PROVEN;
    Ok(Some(Answer {
        optimum: proven.then_some(candidate.gamma),
        sensitivity: proven.then(|| sensitivity(&candidate, &point, &scales)),
        direction: proven.then(|| &point.w.column(p) / -scales.unit),
        candidate,
    }))
}

fn sensitivity(candidate: &Candidate, point: &interior::Point, scales: &Scales) -> Sensitivity {
    let p = point.w.ncols() - 1;
    let r = scales.inner.len();
    let mut offsets = Array1::zeros(r);
    let mut normals = Array2::zeros((r, p));
    let mut outer_offsets = Vec::new();
    for ((part, lambda), lengths) in point.parts.iter().zip(&candidate.lambda).zip(&scales.outer) {
        // Derivatives with respect to the right-hand sides are −y.
        let v = (&part.y.column(p) / &(lengths * -scales.unit)).mapv(|v| v.max(0.0));
        let rules =
            Array2::from_shape_fn((lengths.len(), p), |(k, j)| -part.y[[k, j]] / lengths[k]);
        offsets -= &lambda.t().dot(&v);
        normals -= &lambda.t().dot(&rules);
        outer_offsets.push(v);
    }
    Sensitivity {
        offsets,
        normals,
        // γ changes by −⟨W, dΘ⟩, and Δ enters the last column of Θ with a minus.
        centre: &point.w.column(p) / scales.unit,
        outer_offsets,
    }
}

/// What [`largest_image`] found, in the units of the sets.
pub(super) struct Image {
    pub(super) map: Array2<f64>,
    pub(super) beta: Array1<f64>,
    pub(super) lambda: Array2<f64>,
    pub(super) accuracy: f64,
    pub(super) limit: f64,
}

/// The map of largest `⟨reward, Γ⟩` with `Γ·inner − β ⊆ outer`.
pub(super) fn largest_image(
    inner: &HPolytope,
    outer: &HPolytope,
    reward: ArrayView2<'_, f64>,
    bound: f64,
    options: &Options,
) -> Image {
    let unit = unit_of(inner);
    let (rows, lengths) = (row_lengths(inner.normals()), row_lengths(outer.normals()));
    let p = inner.dimension();
    let mut extended = Array2::zeros((outer.dimension(), p + 1));
    extended.slice_mut(s![.., ..p]).assign(&reward);
    let program = Program {
        rows: extended_rows(inner, unit, &rows),
        outers: vec![outer_of(
            outer,
            Array2::zeros((0, outer.dimension())).view(),
            unit,
            &lengths,
            Some(extended),
        )],
        coupling: None,
        bound,
    };
    let (point, end) = interior::solve(&program, options);
    tracing::debug!(accuracy = point.accuracy, ?end, "affine image");
    let (_, limit) = program.values(&point);
    let accuracy = point.accuracy;
    // One outer set was given.
    let (lambda, map, beta) = read_part(&point.parts[0], unit, &rows, &lengths);
    Image {
        map,
        beta,
        lambda,
        accuracy,
        limit,
    }
}

/// `⟨a, b⟩`.
pub(super) fn product(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> f64 {
    a.rows()
        .into_iter()
        .zip(b.rows())
        .map(|(a, b): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| a.dot(&b))
        .sum()
}
