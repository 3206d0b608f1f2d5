//! Instances and baselines shared by the benches and the comparison program.

use std::time::Instant;

use evflex::{
    fleet::{Fleet, Hours, TimeGrid, Vehicle, synthetic::Population},
    flexibility::{FleetPolymatroid, InnerPolytope, Objective},
};
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A fleet of V2G vehicles with the ranges of `thanvantri2025`, Appendix C, over 18 hours cut into
/// `steps` steps.
///
/// # Panics
/// Never for positive sizes: 18 hours are enough for every vehicle of these ranges.
#[must_use]
#[expect(clippy::expect_used, reason = "the ranges make every vehicle possible")]
pub fn night_fleet(vehicles: usize, steps: usize, seed: u64) -> Fleet {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let grid =
        TimeGrid::new(steps, Hours(18.0 / steps as f64)).expect("a positive number of steps");
    let list = (0..vehicles).map(|id| {
        let capacity = rng.random_range(25.0..50.0);
        let charge = rng.random_range(3.0..10.0);
        let discharge = rng.random_range(-10.0..-3.0);
        let initial = rng.random_range(0.0..0.4) * capacity;
        let last = rng.random_range(0.6..1.0) * capacity;
        let mut energy_min = vec![-initial; steps];
        energy_min[steps - 1] = last - initial;
        Vehicle::new(
            format!("ev-{id}"),
            vec![discharge; steps],
            vec![charge; steps],
            energy_min,
            vec![capacity - initial; steps],
        )
        .expect("bounds in order")
    });
    Fleet::new(grid, list.collect()).expect("possible vehicles")
}

/// A load with an evening peak for `vehicles` homes, and prices with two peaks, both seeded.
#[must_use]
pub fn night_load_and_price(
    vehicles: usize,
    steps: usize,
    seed: u64,
) -> (Array1<f64>, Array1<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let hour = |t: usize| 18.0 * t as f64 / steps as f64;
    let load = (0..steps)
        .map(|t| {
            vehicles as f64
                * (0.9
                    + 1.7 * (-((hour(t) - 3.5) / 3.0).powi(2)).exp()
                    + 0.05 * rng.random_range(-1.0..1.0))
        })
        .collect();
    let price = (0..steps)
        .map(|t| 180.0 + 90.0 * (hour(t) * 0.6).cos() + 15.0 * rng.random_range(-1.0..1.0))
        .collect();
    (load, price)
}

/// The four decisions on one night.
#[must_use]
pub fn night_objectives(vehicles: usize, steps: usize, seed: u64) -> [Objective; 4] {
    let (load_kw, price_eur_per_mwh) = night_load_and_price(vehicles, steps, seed);
    let mean = load_kw.sum() / steps as f64;
    [
        Objective::Energy {
            price_eur_per_mwh: price_eur_per_mwh.clone(),
        },
        Objective::Peak {
            load_kw: load_kw.clone(),
        },
        Objective::Tracking {
            target_kw: 1.3 * mean - &load_kw,
            weight: Array1::ones(steps),
        },
        Objective::DemandCharge {
            price_eur_per_mwh,
            load_kw,
            rate_eur_per_kw: 0.3,
        },
    ]
}

/// Median of the seconds of `runs` runs, and the last answer.
pub fn median_seconds<T>(runs: usize, mut run: impl FnMut() -> T) -> (f64, Option<T>) {
    let mut seconds = Vec::with_capacity(runs);
    let mut answer = None;
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        answer = Some(run());
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2], answer)
}

/// A fleet of hourly steps as in `thanvantri2025`, Appendix C (capacities scaled down below 18 hours).
///
/// # Panics
/// Never for positive sizes.
#[must_use]
#[expect(clippy::expect_used, reason = "the ranges make every vehicle possible")]
pub fn paper_fleet(vehicles: usize, steps: usize, seed: u64) -> Fleet {
    Population::new(
        TimeGrid::new(steps, Hours(1.0)).expect("a positive number of steps"),
        vehicles,
    )
    .generate(seed)
    .expect("possible vehicles")
}

/// An inner set like a trained one: 4 T dense rows (the vehicles' own with seeded noise) with the offsets of as many vehicles that are
/// all the mean vehicle, a box, and a centre well inside.
///
/// # Panics
/// Never for fleets with an exact set that has an interior.
#[must_use]
#[expect(clippy::expect_used, reason = "the numbers are made to fit")]
pub fn inner_set(fleet: &Fleet, seed: u64) -> (FleetPolymatroid, InnerPolytope, Array1<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let exact = FleetPolymatroid::exact(fleet).expect("lossless vehicles");
    let (steps, count) = (fleet.steps(), fleet.len() as f64);
    let mean = |bounds: fn(&Vehicle) -> &[f64]| -> Vec<f64> {
        let all = fleet.vehicles().iter();
        (0..steps)
            .map(|t| all.clone().map(|vehicle| bounds(vehicle)[t]).sum::<f64>() / count)
            .collect()
    };
    let typical = Vehicle::new(
        "mean",
        mean(Vehicle::power_min_kw),
        mean(Vehicle::power_max_kw),
        mean(Vehicle::energy_min_kwh),
        mean(Vehicle::energy_max_kwh),
    )
    .and_then(|vehicle| Fleet::new(fleet.grid().clone(), vec![vehicle]))
    .map(|fleet| FleetPolymatroid::exact(&fleet))
    .expect("bounds in order")
    .expect("a lossless vehicle");
    let normals = Array2::from_shape_fn((4 * steps, steps), |(row, s)| {
        let (block, t) = (row / steps, row % steps);
        let inside = if block < 2 { s <= t } else { s == t };
        let sign = if block % 2 == 0 { 1.0 } else { -1.0 };
        sign * f64::from(u8::from(inside)) + 0.05 * rng.random_range(-1.0..1.0)
    });
    let mut centre = Array1::zeros(steps);
    for normal in normals.rows() {
        let far = exact.support(normal).expect("finite rows").profile_kw;
        centre.scaled_add(1.0 / (4 * steps) as f64, &far);
    }
    let room = |normal: ndarray::ArrayView1<'_, f64>| {
        let far = typical.support(normal).expect("finite rows").value;
        (count * far - normal.dot(&centre)).max(0.0)
    };
    let offsets = normals.rows().into_iter().map(room).collect();
    let (low, high) = exact.band_kw();
    let inner = InnerPolytope::new(normals, offsets, low - &centre, high - &centre)
        .expect("a set around its centre");
    (exact, inner, centre)
}

/// A set of many rows that nearly fills the aggregate: all sums over runs of two and more steps, offsets a seeded share of
/// 85 to 100 % of what the exact set allows, around the mean of its vertices along these rows.
///
/// # Panics
/// Never for fleets with an exact set that has an interior.
#[must_use]
#[expect(clippy::expect_used, reason = "the numbers are made to fit")]
pub fn interval_set(fleet: &Fleet, seed: u64) -> (FleetPolymatroid, InnerPolytope, Array1<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let exact = FleetPolymatroid::exact(fleet).expect("lossless vehicles");
    let steps = fleet.steps();
    let rows: Vec<Array1<f64>> = (0..steps)
        .flat_map(|first| (first + 1..steps).map(move |last| first..=last))
        .flat_map(|run| {
            [1.0, -1.0].map(|sign| {
                Array1::from_shape_fn(steps, |t| if run.contains(&t) { sign } else { 0.0 })
            })
        })
        .collect();
    let supports: Vec<_> = rows
        .iter()
        .map(|row| exact.support(row.view()).expect("finite rows"))
        .collect();
    let mut centre = Array1::zeros(steps);
    for support in &supports {
        centre.scaled_add(1.0 / rows.len() as f64, &support.profile_kw);
    }
    let mut normals = Array2::zeros((rows.len(), steps));
    let mut offsets = Array1::zeros(rows.len());
    for (k, (row, support)) in rows.iter().zip(&supports).enumerate() {
        normals.row_mut(k).assign(row);
        let share = rng.random_range(0.85..1.0);
        offsets[k] = share * (support.value - row.dot(&centre)).max(0.0);
    }
    let (low, high) = exact.band_kw();
    let inner = InnerPolytope::new(normals, offsets, low - &centre, high - &centre)
        .expect("a set around its centre");
    (exact, inner, centre)
}

/// Seconds as a person reads them.
#[must_use]
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.3} ms", s * 1e3),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Median of a computation, with as many runs as its length allows.
///
/// # Panics
/// Never.
pub fn measure<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let started = Instant::now();
    let first = run();
    let once = started.elapsed().as_secs_f64();
    let runs = match once {
        s if s < 0.1 => 21,
        s if s < 2.0 => 5,
        _ => 1,
    };
    if runs == 1 {
        return (once, first);
    }
    let (seconds, answer) = median_seconds(runs, run);
    (seconds, answer.unwrap_or(first))
}

/// Leaves parallel code one thread.
///
/// # Errors
/// When threads have been started already.
pub fn one_thread() -> Result<(), String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .map_err(|error| error.to_string())
}

/// The largest memory of the process so far, where the system says.
#[must_use]
pub fn largest_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
