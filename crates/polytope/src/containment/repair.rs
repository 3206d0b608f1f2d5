//! From a solver's numbers to numbers that are consistent: what arithmetic can set right is set right, and what
//! remains is paid for with scale.

use std::cell::OnceCell;

use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::{Array1, Array2, ArrayView1};

use super::{Certificate, Certifier, Task, formulation};
use crate::linear::{Cholesky, entries, largest, norm, orthonormal};
use crate::support::{Verdict, solve};
use crate::{Error, HPolytope};

/// Corrections of a rule stop when its residual is this part of its terms.
const ROUNDING: f64 = 1e-15;

/// Movement that is a solver's zero, relative to the rules.
const NOISE: f64 = 1e-6;

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

/// Makes the candidate consistent, and buys the bounds that are still missed with scale: those that cost at most the part `most`
/// of it. The others (rows that no point of the sum has room at) are left to corrections.
pub(super) fn finish(
    task: &Task<'_>,
    mut candidate: Candidate,
    most: f64,
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
            let price = -missed / (room - missed);
            if price <= most {
                part = part.max(price);
            }
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
    let mut hulls: Vec<Hull> = task
        .outers
        .iter()
        .map(|outer| Hull::of(outer.base()))
        .collect();
    let most = candidate
        .maps
        .iter()
        .zip(task.outers)
        .map(|(map, outer)| largest(map) * largest(outer.generators()))
        .fold(0.0_f64, f64::max);
    for (i, hull) in hulls.iter_mut().enumerate() {
        hull.settle(&mut candidate.beta[i]);
        // Rules may move along such directions in coordinates in which the inner base has no width either. That is no
        // noise, and stays.
        let stretch = largest(task.outers[i].generators());
        hull.quiet = hull.movement(&candidate.maps[i]) * stretch <= NOISE * most;
        if !hull.quiet {
            continue;
        }
        for mut column in candidate.maps[i].columns_mut() {
            let straight = hull.project(column.to_owned());
            column.assign(&straight);
        }
        for &row in &hull.rows {
            candidate.lambda[i].row_mut(row).fill(0.0);
        }
    }
    restore_sums(task, candidate, &hulls);
    let units = Units::new(task.inner.base(), certifier);
    for i in 0..task.outers.len() {
        restore_rules(task, candidate, i, &hulls[i], &units)?;
    }
    Ok(hulls)
}

/// Directions in which an outer base has no width, as far as pairs of opposite rows say so: a vehicle that is away.
pub(super) struct Hull {
    /// Orthonormal directions, with the value that every point of the base has along them.
    fixed: Vec<(Array1<f64>, f64)>,
    /// The rows that say so.
    rows: Vec<usize>,
    /// Whether the rules keep still along these directions.
    quiet: bool,
}

impl Hull {
    fn of(base: &HPolytope) -> Self {
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
        let mut hull = Self {
            fixed,
            rows,
            quiet: true,
        };
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

    /// How far rules move along the fixed directions.
    fn movement(&self, map: &Array2<f64>) -> f64 {
        self.fixed.iter().fold(0.0, |most: f64, (direction, _)| {
            most.max(largest(&map.t().dot(direction)))
        })
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

/// What proves the support values of the inner base along `±e_j`: multipliers `y ≥ 0` with `Cᵀ y = ±e_j`, found when they are
/// first needed. Adding `t y` to a row of `Λ` moves its rule by `±t e_j` and costs `t h(±e_j)`, the least that it can.
struct Units<'a> {
    base: &'a HPolytope,
    solver: &'a dyn Solver,
    options: Options,
    found: Vec<OnceCell<Option<Array1<f64>>>>,
}

impl<'a> Units<'a> {
    fn new(base: &'a HPolytope, certifier: &Certifier<'a>) -> Self {
        Self {
            base,
            solver: certifier.solver,
            options: certifier.options.clone().duals(true),
            found: vec![OnceCell::new(); 2 * base.dimension()],
        }
    }

    fn get(&self, j: usize, sign: f64) -> Result<Option<&Array1<f64>>, Error> {
        let cell = &self.found[2 * j + usize::from(sign < 0.0)];
        if cell.get().is_none() {
            let mut direction = Array1::zeros(self.base.dimension());
            direction[j] = sign;
            let far = self
                .base
                .support(direction.view(), self.solver, &self.options);
            let multipliers = match far {
                Ok(far) => far.multipliers,
                // A base without end has no such proof; verification will say what is missing.
                Err(Error::Unbounded { .. } | Error::Empty { .. }) => None,
                Err(error) => return Err(error),
            };
            let _ = cell.set(multipliers);
        }
        Ok(cell.get().and_then(Option::as_ref))
    }
}

/// Corrects `Λ_i` so that `Λ_i C = H_i Γ_i`: by the change that is least relative to the multipliers themselves, so
/// that zeros stay zeros; where that does not reach, by proofs of the inner base's own extent.
fn restore_rules(
    task: &Task<'_>,
    candidate: &mut Candidate,
    i: usize,
    hull: &Hull,
    units: &Units<'_>,
) -> Result<(), Error> {
    let c = task.inner.base().normals();
    let wanted = task.outers[i].base().normals().dot(&candidate.maps[i]);
    let scale = c.map(|value| value.abs());
    for (k, mut lambda) in candidate.lambda[i].rows_mut().into_iter().enumerate() {
        if hull.quiet && hull.rows.contains(&k) {
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
        for _ in 0..3 {
            let residual = off(&current);
            if largest(&residual) <= 10.0 * allowed(&current) {
                break;
            }
            for (j, &missing) in residual.iter().enumerate() {
                if missing != 0.0
                    && let Some(unit) = units.get(j, missing.signum())?
                {
                    current.scaled_add(missing.abs(), unit);
                }
            }
        }
        lambda.assign(&current);
    }
    Ok(())
}

/// `h_i + H_i β_i − Λ_i d`, with what is only rounding counted as zero.
fn slacks(task: &Task<'_>, candidate: &Candidate) -> Vec<Array1<f64>> {
    let d = task.inner.base().offsets();
    let inner_sizes = d.mapv(f64::abs);
    let outer_sizes = candidate.beta.iter().zip(task.outers).map(|(beta, outer)| {
        outer
            .base()
            .normals()
            .mapv(f64::abs)
            .dot(&beta.mapv(f64::abs))
    });
    still_slacks(task, &candidate.beta)
        .into_iter()
        .zip(&candidate.lambda)
        .zip(task.outers.iter().zip(outer_sizes))
        .map(|((still, lambda), (outer, outer_sizes))| {
            let needed = lambda.dot(&d);
            let terms = lambda.dot(&inner_sizes) + outer_sizes;
            let mut slack = still - needed;
            for ((slack, terms), offset) in slack.iter_mut().zip(terms).zip(outer.base().offsets())
            {
                if slack.abs() <= ROUNDING * (terms + offset.abs()) {
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
    let mut builder = ProblemBuilder::new("point in the middle of the sum");
    builder.maximise();
    let slack = builder.variable("slack", 0.0, 1.0, if common { 1.0 } else { 0.0 });
    let mut points = Vec::new();
    for (outer, hull) in task.outers.iter().zip(hulls) {
        let base = outer.base();
        let size = match base.typical_distance() {
            0.0 => 1.0,
            distance => distance,
        };
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
            let width = norm(normal) * size;
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
