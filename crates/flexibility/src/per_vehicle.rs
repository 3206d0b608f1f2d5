//! One program for each distinct vehicle, in parallel, and what their answers have in common: a set in
//! every vehicle around a centre, told by its extent along the vehicle's facet normals.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use evflex_solver::{Options, ProgressReport, StopReason};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::{
    affine::FacetViolation, decision::on_threads, error::Error,
    fleet_polymatroid::FleetPolymatroid, vehicle_set::VehicleSet,
};

/// Extent along a facet normal below which a vehicle's set counts as flat there, kW. Inner sets have no
/// extent along it at all: a solver's rounding could not be mended by pulling inwards.
const FLAT_KW: f64 = 1e-4;

/// Largest violation of a vehicle's bound at which a set counts as inside, kW: rounding.
pub(crate) const CLAIM_TOLERANCE_KW: f64 = 1e-9;

/// An error if the time is over or the computation was cancelled.
pub(crate) fn stop_if_over(what: &str, options: &Options, started: Instant) -> Result<(), Error> {
    let reason = if options.cancel.is_cancelled() {
        StopReason::Cancelled
    } else if options
        .time_limit
        .is_some_and(|limit| started.elapsed() >= limit)
    {
        StopReason::TimeLimit
    } else {
        return Ok(());
    };
    Err(evflex_solver::Error::Stopped {
        problem: what.to_owned(),
        reason,
    }
    .into())
}

/// Answers `ask` for every distinct vehicle set, within the options: threads, cancellation, the time that
/// is left, progress.
pub(crate) fn for_each_class<R: Send>(
    fleet: &FleetPolymatroid,
    what: &'static str,
    options: &Options,
    ask: impl Fn(&Facets, &Options) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let started = Instant::now();
    let total = fleet.packed().classes;
    let done = AtomicU64::new(0);
    on_threads(options.threads, || {
        (0..total)
            .into_par_iter()
            .map(|class| {
                stop_if_over(what, options, started)?;
                let mut own = options.remaining(started).threads(1);
                own.progress = None;
                own.start = None;
                let answer = ask(&Facets::new(&fleet.packed().vehicle_set(class)), &own)?;
                let mut report =
                    ProgressReport::new(what, 1 + done.fetch_add(1, Ordering::Relaxed));
                report.total = Some(total as u64);
                options.report(&report);
                Ok(answer)
            })
            .collect()
    })?
}

/// Two parallel facets: `low ≤ normal · u ≤ high`.
pub(crate) struct Slab {
    pub normal: Array1<f64>,
    pub low: f64,
    pub high: f64,
}

impl Slab {
    /// Whether the set has no extent along the normal.
    pub fn is_flat(&self) -> bool {
        self.high - self.low <= FLAT_KW
    }
}

/// The facets of a vehicle's set: running sums, then powers, every bound attained; and a point inside.
pub(crate) struct Facets {
    slabs: Vec<Slab>,
    pub middle: Array1<f64>,
}

impl Facets {
    pub fn new(set: &VehicleSet) -> Self {
        let (steps, tight) = (set.steps(), set.tightened());
        let slab = |chosen: &dyn Fn(usize) -> bool, low: f64, high: f64| Slab {
            normal: Array1::from_shape_fn(steps, |s| if chosen(s) { 1.0 } else { 0.0 }),
            low,
            high,
        };
        let sums = (0..steps).map(|t| slab(&|s| s <= t, tight.sum_min()[t], tight.sum_max()[t]));
        let powers =
            (0..steps).map(|t| slab(&|s| s == t, tight.power_min()[t], tight.power_max()[t]));
        Self {
            slabs: sums.chain(powers).collect(),
            middle: set.middle(),
        }
    }

    pub fn steps(&self) -> usize {
        self.middle.len()
    }

    /// One for each running sum, then one for each power.
    pub fn slabs(&self) -> &[Slab] {
        &self.slabs
    }

    /// Those along which it has none.
    pub fn flat(&self) -> impl Iterator<Item = &Slab> {
        self.slabs.iter().filter(|slab| slab.is_flat())
    }

    /// An orthonormal basis of the directions that cross no flat slab, one per column.
    pub fn free_directions(&self) -> Array2<f64> {
        let steps = self.steps();
        let mut fixed: Vec<Array1<f64>> = Vec::new();
        for slab in self.flat() {
            fixed.extend(orthogonal_rest(slab.normal.clone(), &fixed));
        }
        let mut known = fixed.clone();
        for t in 0..steps {
            let unit = Array1::from_shape_fn(steps, |s| if s == t { 1.0 } else { 0.0 });
            known.extend(orthogonal_rest(unit, &known));
        }
        let free = &known[fixed.len()..];
        Array2::from_shape_fn((steps, free.len()), |(t, k)| free[k][t])
    }

    /// How far a set with this centre and these extents to either side (`radius` of a normal) has to be
    /// pulled towards the middle to be inside: `s` makes centre `(1 − s) c + s m` and extents `(1 − s) r`.
    pub fn pull(&self, centre: ArrayView1<'_, f64>, radius: impl Fn(&Array1<f64>) -> f64) -> f64 {
        let mut share = 0.0_f64;
        for slab in &self.slabs {
            let (at, radius) = (slab.normal.dot(&centre), radius(&slab.normal));
            let middle = slab.normal.dot(&self.middle);
            for (excess, room) in [
                (at + radius - slab.high, slab.high - middle),
                (slab.low - at + radius, middle - slab.low),
            ] {
                if excess > 0.0 && !slab.is_flat() {
                    share = share.max(excess / (excess + room.max(0.0)));
                }
            }
        }
        share
    }
}

/// The part of a vector that is orthogonal to an orthonormal family, at unit length; `None` if there is none.
fn orthogonal_rest(mut vector: Array1<f64>, family: &[Array1<f64>]) -> Option<Array1<f64>> {
    let before = vector.dot(&vector).sqrt();
    for _ in 0..2 {
        for known in family {
            let along = vector.dot(known);
            vector.scaled_add(-along, known);
        }
    }
    let norm = vector.dot(&vector).sqrt();
    (norm > 1e-8 * before).then(|| vector / norm)
}

/// The facet of a vehicle that the set of its class exceeds most, by more than the tolerance: arithmetic
/// from centres and extents.
pub(crate) fn worst_violation(
    fleet: &FleetPolymatroid,
    tolerance_kw: f64,
    along: impl Fn(usize, &Array1<f64>) -> (f64, f64),
) -> Option<FacetViolation> {
    let packed = fleet.packed();
    let mut worst: Option<(f64, FacetViolation)> = None;
    for class in 0..packed.classes {
        for slab in Facets::new(&packed.vehicle_set(class)).slabs {
            let (at, radius) = along(class, &slab.normal);
            for (value, bound) in [(at + radius, slab.high), (radius - at, -slab.low)] {
                let excess = value - bound;
                if excess > worst.as_ref().map_or(tolerance_kw, |worst| worst.0) {
                    let vehicle = fleet.vehicle_of_class(class).to_owned();
                    worst = Some((
                        excess,
                        FacetViolation {
                            vehicle,
                            value,
                            bound,
                        },
                    ));
                }
            }
        }
    }
    worst.map(|worst| worst.1)
}
