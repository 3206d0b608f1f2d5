//! From a solver's numbers to numbers that are consistent: what arithmetic can set right is set right, and what
//! remains is paid for with scale.

use std::cell::OnceCell;

use evflex_solver::ProblemBuilder;
use ndarray::{Array1, Array2, ArrayView1};

use super::verify::Sizes;
use super::{Certificate, Certifier, Task, formulation};
use crate::Error;
use crate::linear::{Cholesky, entries, largest, norm, orthonormal};
use crate::support::{Verdict, solve};

/// Corrections of a rule stop when its residual is this part of its terms.
const ROUNDING: f64 = 1e-15;

/// How often a candidate is corrected.
const ROUNDS: usize = 3;

/// Two rows are opposite, and two offsets equal, up to this relative difference.
const SAME: f64 = 1e-14;

/// The slack, as a part of the size of the set, that a row is asked for when not every row has some.
const LITTLE: f64 = 1e-3;

/// The numbers of a certificate before they are one.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) gamma: f64,
    pub(super) lambda: Vec<Array2<f64>>,
    pub(super) maps: Vec<Array2<f64>>,
    pub(super) beta: Vec<Array1<f64>>,
}

impl Candidate {
    pub(super) fn into_certificate(self, centre: Array1<f64>) -> Certificate {
        Certificate {
            gamma: self.gamma,
            centre,
            lambda: self.lambda,
            gamma_maps: self.maps,
            beta: self.beta,
        }
    }

    /// Negative multipliers become 0.
    pub(super) fn drop_negative(&mut self) {
        for lambda in &mut self.lambda {
            lambda.mapv_inplace(|value| value.max(0.0));
        }
    }

    /// Mixes with the certificate of scale 0 that the rules themselves give at the point `xi` of the inner base, whose
    /// image is the origin, so that the scale becomes `gamma`.
    pub(super) fn shrink_towards(&mut self, gamma: f64, xi: ArrayView1<'_, f64>) {
        let part = gamma / self.gamma;
        if part >= 1.0 {
            return;
        }
        for ((lambda, map), beta) in self
            .lambda
            .iter_mut()
            .zip(&mut self.maps)
            .zip(&mut self.beta)
        {
            beta.scaled_add(-(1.0 - part), &map.dot(&xi));
            *lambda *= part;
            *map *= part;
        }
        self.gamma = gamma;
    }

    /// Mixes with a certificate of scale 0 given by its `β`.
    fn mix(&mut self, part: f64, still: &[Array1<f64>]) {
        let kept = 1.0 - part;
        self.gamma *= kept;
        for ((lambda, map), (beta, still)) in self
            .lambda
            .iter_mut()
            .zip(&mut self.maps)
            .zip(self.beta.iter_mut().zip(still))
        {
            *lambda *= kept;
            *map *= kept;
            *beta *= kept;
            beta.scaled_add(part, still);
        }
    }
}

/// Makes the candidate consistent, and buys the bounds that are still missed with scale.
pub(super) fn finish(
    task: &Task<'_>,
    mut candidate: Candidate,
    certifier: &Certifier<'_>,
) -> Result<Candidate, Error> {
    candidate.gamma = candidate.gamma.max(0.0);
    candidate.drop_negative();
    let hulls = make_consistent(task, &mut candidate, certifier)?;
    let missed = slacks(task, &candidate);
    if missed.iter().flatten().all(|slack| *slack >= 0.0) {
        return Ok(candidate);
    }
    let Some(still) = still_certificate(task, &hulls, certifier)? else {
        return Ok(candidate);
    };
    let room = still_slacks(task, &still);
    let mut part: f64 = 0.0;
    for (missed, room) in missed.iter().flatten().zip(room.iter().flatten()) {
        if *missed < 0.0 && *room > 0.0 {
            part = part.max(-missed / (room - missed));
        }
    }
    tracing::debug!(part, "scale given up for bounds missed by residuals");
    candidate.mix(part, &still);
    Ok(candidate)
}

/// Corrects a candidate whose bounds are missed and that cannot pay with scale, by linear programs around it.
pub(super) fn refine(
    task: &Task<'_>,
    candidate: &Candidate,
    certifier: &Certifier<'_>,
) -> Result<Candidate, Error> {
    let mut best = candidate.clone();
    for round in 0..ROUNDS {
        let slacks = slacks(task, &best);
        let missed = worst_miss(task, &best);
        tracing::debug!(round, missed, "bounds missed");
        if missed == 0.0 {
            break;
        }
        let Some(mut next) = formulation::correct(task, &best, &slacks, missed, certifier)? else {
            break;
        };
        make_consistent(task, &mut next, certifier)?;
        let left = worst_miss(task, &next);
        if left >= missed {
            break;
        }
        best = next;
    }
    Ok(best)
}

fn worst_miss(task: &Task<'_>, candidate: &Candidate) -> f64 {
    slacks(task, candidate)
        .iter()
        .flatten()
        .fold(0.0_f64, |missed, slack| missed.max(-slack))
}

/// Restores, in this order: directions in which an outer base has no width, the sums, and the rules.
pub(super) fn make_consistent(
    task: &Task<'_>,
    candidate: &mut Candidate,
    certifier: &Certifier<'_>,
) -> Result<Vec<Hull>, Error> {
    let hulls: Vec<Hull> = task
        .outers
        .iter()
        .map(|outer| Hull::of(outer.base()))
        .collect();
    for (i, hull) in hulls.iter().enumerate() {
        hull.settle(&mut candidate.beta[i]);
        for mut column in candidate.maps[i].columns_mut() {
            let straight = hull.project(column.to_owned());
            column.assign(&straight);
        }
        for &row in &hull.rows {
            candidate.lambda[i].row_mut(row).fill(0.0);
        }
    }
    restore_sums(task, candidate, &hulls);
    let spread = Spread::default();
    for i in 0..task.outers.len() {
        restore_rules(task, candidate, i, &hulls[i], &spread, certifier)?;
    }
    Ok(hulls)
}

/// Directions in which an outer base has no width, as far as pairs of opposite rows say so: a vehicle that is away.
pub(super) struct Hull {
    /// Orthonormal directions, with the value that every point of the base has along them.
    fixed: Vec<(Array1<f64>, f64)>,
    /// The rows that say so.
    rows: Vec<usize>,
}

impl Hull {
    fn of(base: &crate::HPolytope) -> Self {
        let (h, offsets) = (base.normals(), base.offsets());
        let lengths: Vec<f64> = h.rows().into_iter().map(norm).collect();
        let mut rows = Vec::new();
        for k in 0..h.nrows() {
            let at = offsets[k] / lengths[k];
            let opposite = (0..h.nrows()).any(|other| {
                let there = -offsets[other] / lengths[other];
                other != k
                    && lengths[k] > 0.0
                    && lengths[other] > 0.0
                    && (at - there).abs() <= SAME * at.abs()
                    && h.row(k)
                        .iter()
                        .zip(h.row(other))
                        .all(|(a, b)| (a / lengths[k] + b / lengths[other]).abs() <= SAME)
            });
            if opposite {
                rows.push(k);
            }
        }
        // The value along a combination of rows is the same combination of offsets.
        let extended: Vec<Array1<f64>> = rows.iter().map(|&k| h.row(k).to_owned()).collect();
        let basis = orthonormal(&extended, 1e-10);
        let fixed = basis
            .into_iter()
            .map(|direction| (direction, 0.0))
            .collect::<Vec<_>>();
        let mut hull = Self { fixed, rows };
        hull.find_values(&extended, offsets);
        hull
    }

    /// The values along the basis, from the rows by least squares.
    fn find_values(&mut self, normals: &[Array1<f64>], offsets: ArrayView1<'_, f64>) {
        let m = self.fixed.len();
        let mut gram = Array2::zeros((m, m));
        let mut side = Array1::zeros(m);
        for (normal, &row) in normals.iter().zip(&self.rows) {
            let along: Array1<f64> = self.fixed.iter().map(|(b, _)| b.dot(normal)).collect();
            for a in 0..m {
                side[a] += along[a] * offsets[row];
                for b in 0..m {
                    gram[[a, b]] += along[a] * along[b];
                }
            }
        }
        let values = Cholesky::of(&gram).solve(side.view());
        for ((_, value), found) in self.fixed.iter_mut().zip(values) {
            *value = found;
        }
    }

    /// The part of a direction along which the base has width.
    fn project(&self, mut vector: Array1<f64>) -> Array1<f64> {
        for (direction, _) in &self.fixed {
            let along = direction.dot(&vector);
            vector.scaled_add(-along, direction);
        }
        vector
    }

    /// Moves `−β` to where the base is.
    fn settle(&self, beta: &mut Array1<f64>) {
        for (direction, value) in &self.fixed {
            let off = direction.dot(beta) + value;
            beta.scaled_add(-off, direction);
        }
    }
}

/// Distributes what the sums are off among the outer sets, each where its base has width, by least squares.
fn restore_sums(task: &Task<'_>, candidate: &mut Candidate, hulls: &[Hull]) {
    let inner = task.inner;
    let n = inner.dimension();
    // Y P, and its Gram matrix summed over the sets.
    let wide: Vec<Array2<f64>> = task
        .outers
        .iter()
        .zip(hulls)
        .map(|(outer, hull)| {
            let mut wide = outer.generators().to_owned();
            for mut row in wide.rows_mut() {
                let straight = hull.project(row.to_owned());
                row.assign(&straight);
            }
            wide
        })
        .collect();
    let mut gram = Array2::zeros((n, n));
    for wide in &wide {
        gram += &wide.dot(&wide.t());
    }
    let factor = Cholesky::of(&gram);
    // Twice: the second time removes the rounding of the first.
    for _ in 0..2 {
        let mut off = &inner.generators() * candidate.gamma;
        let mut off_centre = &inner.centre() * candidate.gamma + task.centre;
        for ((outer, map), beta) in task.outers.iter().zip(&candidate.maps).zip(&candidate.beta) {
            off -= &outer.generators().dot(map);
            off_centre -= &outer.centre();
            off_centre += &outer.generators().dot(beta);
        }
        let share = factor.solve_columns(&off);
        let share_centre = factor.solve(off_centre.view());
        for ((wide, map), beta) in wide
            .iter()
            .zip(&mut candidate.maps)
            .zip(&mut candidate.beta)
        {
            *map += &wide.t().dot(&share);
            *beta -= &wide.t().dot(&share_centre);
        }
    }
}

/// A positive combination of all inner rows that is zero, made when it is first needed: adding it makes multipliers positive and
/// changes no rule.
#[derive(Default)]
struct Spread(OnceCell<Option<Array1<f64>>>);

impl Spread {
    fn get(
        &self,
        task: &Task<'_>,
        certifier: &Certifier<'_>,
    ) -> Result<Option<&Array1<f64>>, Error> {
        if self.0.get().is_none() {
            let _ = self.0.set(positive_combination(task, certifier)?);
        }
        Ok(self.0.get().and_then(Option::as_ref))
    }
}

fn positive_combination(
    task: &Task<'_>,
    certifier: &Certifier<'_>,
) -> Result<Option<Array1<f64>>, Error> {
    let c = task.inner.base().normals();
    let mut builder = ProblemBuilder::new("positive combination of rows");
    builder.maximise();
    let least = builder.variable("least", 0.0, 1.0, 1.0);
    let weights: Vec<_> = (0..c.nrows())
        .map(|_| builder.variable("", 0.0, 1.0, 0.0))
        .collect();
    let lengths: Vec<f64> = c
        .rows()
        .into_iter()
        .map(|row| if norm(row) > 0.0 { norm(row) } else { 1.0 })
        .collect();
    for column in c.columns() {
        let terms = entries(column).map(|(r, value)| (weights[r], value / lengths[r]));
        builder.row("", 0.0, terms, 0.0);
    }
    for &weight in &weights {
        builder.row("", 0.0, [(weight, 1.0), (least, -1.0)], f64::INFINITY);
    }
    let Verdict::Optimal(solution) =
        solve(&builder.build()?, certifier.solver, &certifier.options)?
    else {
        return Ok(None);
    };
    let mut combination: Array1<f64> = weights
        .iter()
        .zip(&lengths)
        .map(|(&weight, length)| solution.value(weight) / length)
        .collect();
    let gram = Cholesky::of(&c.t().dot(&c));
    for _ in 0..2 {
        let off = c.t().dot(&combination);
        combination -= &c.dot(&gram.solve(off.view()));
    }
    Ok(combination
        .iter()
        .all(|weight| *weight > 0.0)
        .then_some(combination))
}

/// Corrects `Λ_i` so that `Λ_i C = H_i Γ_i`: by the change that is least relative to the multipliers themselves, so
/// that zeros stay zeros; where that does not reach, by any change, made positive again with a combination that is zero.
fn restore_rules(
    task: &Task<'_>,
    candidate: &mut Candidate,
    i: usize,
    hull: &Hull,
    spread: &Spread,
    certifier: &Certifier<'_>,
) -> Result<(), Error> {
    let c = task.inner.base().normals();
    let wanted = task.outers[i].base().normals().dot(&candidate.maps[i]);
    let scale = c.map(|value| value.abs());
    let mut plain: Option<Cholesky> = None;
    for (k, mut lambda) in candidate.lambda[i].rows_mut().into_iter().enumerate() {
        if hull.rows.contains(&k) {
            continue;
        }
        let off = |lambda: &Array1<f64>| &wanted.row(k) - &c.t().dot(lambda);
        let allowed = |lambda: &Array1<f64>| {
            ROUNDING * largest(&scale.t().dot(lambda)).max(largest(wanted.row(k)))
        };
        let mut current = lambda.to_owned();
        for _ in 0..3 {
            let residual = off(&current);
            if largest(&residual) <= allowed(&current) {
                break;
            }
            let weights = current.mapv(|value| value * value);
            let mut weighted = c.to_owned();
            for (mut row, weight) in weighted.rows_mut().into_iter().zip(&weights) {
                row *= *weight;
            }
            let step = Cholesky::of(&c.t().dot(&weighted)).solve(residual.view());
            let next = (&current + &weighted.dot(&step)).mapv(|value| value.max(0.0));
            if largest(&off(&next)) >= largest(&residual) || !next.iter().all(|v| v.is_finite()) {
                break;
            }
            current = next;
        }
        let residual = off(&current);
        if largest(&residual) > 10.0 * allowed(&current)
            && let Some(combination) = spread.get(task, certifier)?
        {
            let gram = plain.get_or_insert_with(|| Cholesky::of(&c.t().dot(&c)));
            let mut next = &current + &c.dot(&gram.solve(residual.view()));
            let lift = next
                .iter()
                .zip(combination)
                .fold(0.0_f64, |lift, (value, weight)| lift.max(-value / weight));
            next.scaled_add(lift, combination);
            current = next.mapv(|value| value.max(0.0));
        }
        lambda.assign(&current);
    }
    Ok(())
}

/// `h_i + H_i β_i − Λ_i d`, with what is only rounding counted as zero.
fn slacks(task: &Task<'_>, candidate: &Candidate) -> Vec<Array1<f64>> {
    let d = task.inner.base().offsets();
    let inner_sizes = d.mapv(f64::abs);
    still_slacks(task, &candidate.beta)
        .into_iter()
        .zip(&candidate.lambda)
        .zip(task.outers)
        .map(|((still, lambda), outer)| {
            let needed = lambda.dot(&d);
            let terms = lambda.dot(&inner_sizes);
            let mut slack = still - needed;
            for ((slack, terms), offset) in slack.iter_mut().zip(terms).zip(outer.base().offsets())
            {
                if slack.abs() <= ROUNDING * terms.max(offset.abs()) {
                    *slack = 0.0;
                }
            }
            slack
        })
        .collect()
}

/// `h_i + H_i β_i`.
fn still_slacks(task: &Task<'_>, beta: &[Array1<f64>]) -> Vec<Array1<f64>> {
    task.outers
        .iter()
        .zip(beta)
        .map(|(outer, beta)| &outer.base().offsets() + &outer.base().normals().dot(beta))
        .collect()
}

/// Points `−β_i` of the outer bases whose images add up to the centre, and their common slack.
struct Still {
    slack: f64,
    beta: Vec<Array1<f64>>,
}

/// A certificate of scale 0 with as much slack as possible. First the same slack in every row, relative to the size of the
/// set; where some row has none to give, as many rows as possible with a little. `None` when the centre is not in
/// the sum.
fn still_certificate(
    task: &Task<'_>,
    hulls: &[Hull],
    certifier: &Certifier<'_>,
) -> Result<Option<Vec<Array1<f64>>>, Error> {
    let mut found = still_point(task, hulls, true, certifier)?;
    if found
        .as_ref()
        .is_some_and(|still| still.slack < LITTLE * LITTLE)
    {
        found = still_point(task, hulls, false, certifier)?;
    }
    let Some(Still { mut beta, .. }) = found else {
        return Ok(None);
    };
    for (beta, hull) in beta.iter_mut().zip(hulls) {
        hull.settle(beta);
    }
    // The centre is met exactly, like any other sum.
    let columns = task.inner.base().dimension();
    let mut still = Candidate {
        gamma: 0.0,
        lambda: Vec::new(),
        maps: task
            .outers
            .iter()
            .map(|outer| Array2::zeros((outer.base().dimension(), columns)))
            .collect(),
        beta,
    };
    restore_sums(task, &mut still, hulls);
    Ok(Some(still.beta))
}

fn still_point(
    task: &Task<'_>,
    hulls: &[Hull],
    common: bool,
    certifier: &Certifier<'_>,
) -> Result<Option<Still>, Error> {
    let sizes = Sizes::of(task.inner, task.outers, task.centre);
    let mut builder = ProblemBuilder::new("point in the middle of the sum");
    builder.maximise();
    let slack = builder.variable("slack", 0.0, 1.0, if common { 1.0 } else { 0.0 });
    let mut points = Vec::new();
    for ((outer, hull), size) in task.outers.iter().zip(hulls).zip(&sizes.outer) {
        let base = outer.base();
        let point: Vec<_> = (0..base.dimension())
            .map(|_| builder.variable("", f64::NEG_INFINITY, f64::INFINITY, 0.0))
            .collect();
        let (h, offsets) = (base.normals(), base.offsets());
        for (k, (normal, &offset)) in h.rows().into_iter().zip(offsets).enumerate() {
            let mut terms: Vec<_> = entries(normal).map(|(q, v)| (point[q], v)).collect();
            if hull.rows.contains(&k) {
                builder.row("", offset, terms, offset);
                continue;
            }
            let width = norm(normal) * if *size > 0.0 { *size } else { 1.0 };
            if common {
                terms.push((slack, width));
            } else {
                terms.push((builder.variable("", 0.0, LITTLE, 1.0), width));
            }
            builder.row("", f64::NEG_INFINITY, terms, offset);
        }
        points.push(point);
    }
    for (n, &at) in task.centre.iter().enumerate() {
        let mut side = at;
        let mut terms = Vec::new();
        for (outer, point) in task.outers.iter().zip(&points) {
            side -= outer.centre()[n];
            terms.extend(entries(outer.generators().row(n)).map(|(q, v)| (point[q], v)));
        }
        builder.row("", side, terms, side);
    }
    match solve(&builder.build()?, certifier.solver, &certifier.options)? {
        Verdict::Optimal(solution) => Ok(Some(Still {
            slack: solution.value(slack),
            beta: points
                .iter()
                .map(|point| point.iter().map(|&id| -solution.value(id)).collect())
                .collect(),
        })),
        Verdict::Infeasible | Verdict::Unbounded(_) => Ok(None),
    }
}
