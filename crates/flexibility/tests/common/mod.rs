//! Random fleets for the laws: every vehicle is feasible by construction, because its bounds are
//! drawn around a profile that it can follow.
#![allow(dead_code, reason = "each test file uses a part of this module")]

use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
use ndarray::Array1;
use proptest::{collection::vec, prelude::*};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A vehicle of one of several kinds: charging only, V2G, plugged in for a part of the time, tight
/// or loose energy bounds, lossy charging.
pub fn vehicle(id: usize, steps: usize, step_hours: f64, rng: &mut ChaCha8Rng) -> Vehicle {
    let arrival = if rng.random_bool(0.5) {
        0
    } else {
        rng.random_range(0..steps)
    };
    let departure = if rng.random_bool(0.5) {
        steps
    } else {
        rng.random_range(arrival..steps) + 1
    };
    let v2g = rng.random_bool(0.6);
    let constant = rng.random_bool(0.5);
    let efficiency = if !v2g && rng.random_bool(0.3) {
        rng.random_range(0.7..1.0)
    } else {
        1.0
    };
    let (base_low, base_high) = (rng.random_range(-10.0..0.0), rng.random_range(0.5..11.0));
    let (mut power_min, mut power_max) = (vec![0.0; steps], vec![0.0; steps]);
    let (mut energy_min, mut energy_max) = (vec![0.0; steps], vec![0.0; steps]);
    let mut energy = 0.0;
    for t in 0..steps {
        if (arrival..departure).contains(&t) {
            power_max[t] = if constant {
                base_high
            } else {
                rng.random_range(0.0..11.0)
            };
            power_min[t] = match (v2g, constant) {
                (false, _) => 0.0,
                (true, true) => base_low,
                (true, false) => rng.random_range(-9.0..f64::min(power_max[t], 2.0)),
            };
        }
        let share: f64 = rng.random();
        energy += step_hours * efficiency * (power_min[t] + share * (power_max[t] - power_min[t]));
        let slack = if rng.random_bool(0.2) { 0.0 } else { 8.0 };
        energy_min[t] = energy - rng.random::<f64>() * slack;
        energy_max[t] = energy + rng.random::<f64>() * slack;
    }
    Vehicle::new(
        format!("ev-{id}"),
        power_min,
        power_max,
        energy_min,
        energy_max,
    )
    .and_then(|vehicle| vehicle.with_efficiency(efficiency))
    .expect("the bounds are drawn in order")
}

pub fn fleet_of(seed: u64, vehicles: usize, steps: usize) -> Fleet {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let step_hours = [0.25, 0.5, 1.0][rng.random_range(0..3)];
    let grid = TimeGrid::new(steps, Hours(step_hours)).expect("a valid grid");
    let mut list: Vec<Vehicle> = (0..vehicles)
        .map(|id| vehicle(id, steps, step_hours, &mut rng))
        .collect();
    // Twins, so that grouping is exercised.
    if vehicles > 2 && rng.random_bool(0.5) {
        let twin = &list[0];
        list[1] = Vehicle::new(
            "twin",
            twin.power_min_kw().to_vec(),
            twin.power_max_kw().to_vec(),
            twin.energy_min_kwh().to_vec(),
            twin.energy_max_kwh().to_vec(),
        )
        .and_then(|copy| copy.with_efficiency(twin.efficiency()))
        .expect("a copy of a valid vehicle");
    }
    Fleet::new(grid, list).expect("feasible by construction")
}

/// Fleets of 1 to `vehicles` vehicles and 1 to `steps` steps.
pub fn fleet(vehicles: usize, steps: usize) -> impl Strategy<Value = Fleet> {
    (any::<u64>(), 1..=vehicles, 1..=steps)
        .prop_map(|(seed, vehicles, steps)| fleet_of(seed, vehicles, steps))
}

/// A fleet with `count` vectors over its steps, entries in −1..1.
pub fn fleet_and_vectors(
    vehicles: usize,
    steps: usize,
    count: usize,
) -> impl Strategy<Value = (Fleet, Vec<Array1<f64>>)> {
    fleet(vehicles, steps).prop_flat_map(move |fleet| {
        let entries = vec(-1.0..1.0_f64, fleet.steps());
        (Just(fleet), vec(entries.prop_map(Array1::from_vec), count))
    })
}
