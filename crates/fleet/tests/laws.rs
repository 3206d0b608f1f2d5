//! Laws of fleets, sessions, schedules and series on random data.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use evflex_fleet::readers::fleet::{fleet_from_json, fleet_to_json};
use evflex_fleet::readers::prices::PriceSeries;
use evflex_fleet::{
    ClockSession, Direction, Error, Fleet, Hours, Schedule, Session, TimeGrid, Vehicle,
    uncontrolled,
};
use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Write;

const STEPS: usize = 6;

/// A vehicle with random bounds, possible or not, with forced charging and discharging among them.
fn vehicle() -> impl Strategy<Value = Vehicle> {
    let pair = |low: f64, high: f64| {
        (vec(low..high, STEPS), vec(0.0..(high - low), STEPS)).prop_map(|(low, width)| {
            let high: Vec<f64> = low.iter().zip(&width).map(|(l, w)| l + w).collect();
            (low, high)
        })
    };
    (pair(-8.0, 4.0), pair(-10.0, 6.0), 0.5..=1.0_f64).prop_map(|(power, energy, eta)| {
        Vehicle::new("a", power.0, power.1, energy.0, energy.1)
            .and_then(|vehicle| vehicle.with_efficiency(eta))
            .expect("bounds that do not cross")
    })
}

/// A possible vehicle: its bounds lie around the energies of a random profile.
fn possible_vehicle() -> impl Strategy<Value = Vehicle> {
    let around = || vec((0.0..5.0_f64, 0.0..5.0_f64), STEPS);
    (vec(-7.0..7.0_f64, STEPS), around(), around(), 0.5..=1.0_f64).prop_map(
        |(power, power_room, energy_room, eta)| {
            let mut stored = 0.0;
            let mut bounds = [const { Vec::new() }; 4];
            for step in 0..STEPS {
                let p = power[step];
                stored += if p >= 0.0 {
                    0.5 * eta * p
                } else {
                    0.5 * p / eta
                };
                bounds[0].push(p - power_room[step].0);
                bounds[1].push(p + power_room[step].1);
                bounds[2].push(stored - energy_room[step].0);
                bounds[3].push(stored + energy_room[step].1);
            }
            let [power_min, power_max, energy_min, energy_max] = bounds;
            Vehicle::new("a", power_min, power_max, energy_min, energy_max)
                .and_then(|vehicle| vehicle.with_efficiency(eta))
                .expect("bounds that do not cross")
        },
    )
}

fn grid() -> TimeGrid {
    TimeGrid::new(STEPS, Hours(0.5)).expect("a grid")
}

/// Whether a vehicle is possible, by the backward recursion: the energies before step t from which
/// the rest can be done. Shares nothing with the forward pass of `check`.
fn possible_backwards(vehicle: &Vehicle) -> (bool, f64) {
    let gain = |p: f64| {
        0.5 * if p >= 0.0 {
            vehicle.efficiency() * p
        } else {
            p / vehicle.efficiency()
        }
    };
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut margin = f64::INFINITY;
    for step in (0..STEPS).rev() {
        low = low.max(vehicle.energy_min_kwh()[step]);
        high = high.min(vehicle.energy_max_kwh()[step]);
        margin = margin.min(high - low);
        low -= gain(vehicle.power_max_kw()[step]);
        high -= gain(vehicle.power_min_kw()[step]);
    }
    margin = margin.min(-low).min(high);
    (margin >= 0.0, margin)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Forward and backward recursion agree on what is possible.
    #[test]
    fn check_agrees_with_the_backward_recursion(vehicle in vehicle()) {
        let (possible, margin) = possible_backwards(&vehicle);
        prop_assume!(margin.abs() > 1e-6);
        prop_assert_eq!(vehicle.check(&grid()).is_ok(), possible);
    }

    /// Nothing feasible is refused, and the uncontrolled schedule is feasible.
    #[test]
    fn uncontrolled_charging_is_feasible(vehicle in possible_vehicle()) {
        let fleet = Fleet::new(grid(), vec![vehicle]).expect("a possible vehicle");
        let schedule = uncontrolled(&fleet).expect("a schedule");
        let check = schedule.check(&fleet, 1e-9).expect("checked");
        prop_assert!(check.is_feasible(), "{:?}", check.violations());
    }

    /// No feasible profile that never discharges where it need not has stored more than the
    /// uncontrolled one at the moment at which that one still charges with full power.
    #[test]
    fn uncontrolled_charging_is_earliest(
        need in 0.0..12.0_f64,
        power in 1.0..8.0_f64,
        shares in vec(0.0..=1.0_f64, STEPS),
    ) {
        let need = need.min(0.5 * power * STEPS as f64);
        let mut energy_min = vec![0.0; STEPS];
        energy_min[STEPS - 1] = need;
        let vehicle =
            Vehicle::new("a", vec![0.0; STEPS], vec![power; STEPS], energy_min, vec![need; STEPS]);
        let fleet = Fleet::new(grid(), vec![vehicle.expect("a vehicle")]).expect("a fleet");
        let early = uncontrolled(&fleet).expect("a schedule").energy_kwh(&fleet).expect("energies");
        let mut stored = 0.0_f64;
        for (step, share) in shares.iter().enumerate() {
            stored = (stored + 0.5 * share * power).min(need);
            prop_assert!(stored <= early[[0, step]] + 1e-9);
        }
        prop_assert!((early[[0, STEPS - 1]] - need).abs() < 1e-9);
    }

    /// The checker accepts a profile within bounds and finds every bound that is pushed past it.
    #[test]
    fn the_checker_finds_what_is_broken(
        vehicle in possible_vehicle(),
        step in 0..STEPS,
        excess in 0.01..3.0_f64,
    ) {
        let fleet = Fleet::new(grid(), vec![vehicle.clone()]).expect("a fleet");
        let good = uncontrolled(&fleet).expect("a schedule");
        let mut power = good.power_kw().to_owned();
        power[[0, step]] = vehicle.power_max_kw()[step] + excess;
        let bad = Schedule::new(grid(), vec!["a".to_owned()], power).expect("a schedule");
        let check = bad.check(&fleet, 1e-6).expect("checked");
        prop_assert!(!check.is_feasible());
        prop_assert!((check.largest_power_violation_kw() - excess).abs() < 1e-9);
        prop_assert!(check.violations().iter().any(|v| v.step() == step));
    }

    /// A fleet is written and read back bit by bit.
    #[test]
    fn json_keeps_every_bit(vehicles in vec(possible_vehicle(), 1..4)) {
        let vehicles: Vec<Vehicle> = vehicles
            .into_iter()
            .enumerate()
            .map(|(i, v)| {
                Vehicle::new(
                    format!("ev \"{i}\" ü"),
                    v.power_min_kw().to_vec(),
                    v.power_max_kw().to_vec(),
                    v.energy_min_kwh().to_vec(),
                    v.energy_max_kwh().to_vec(),
                )
                .and_then(|w| w.with_efficiency(v.efficiency()))
                .expect("the same bounds")
            })
            .collect();
        let fleet = Fleet::new(grid(), vehicles).expect("a fleet");
        let text = fleet_to_json(&fleet).expect("text");
        prop_assert_eq!(fleet_from_json(text.as_bytes()).expect("a fleet"), fleet);
    }

    /// Session bounds restate the session: any constant charging that meets it is accepted.
    #[test]
    fn a_session_served_evenly_is_feasible(
        arrival in 0..STEPS - 1,
        len in 1..STEPS,
        initial in 5.0..20.0_f64,
        share in 0.0..=1.0_f64,
        eta in 0.6..=1.0_f64,
    ) {
        let departure = (arrival + len).min(STEPS);
        let hours = 0.5 * (departure - arrival) as f64;
        let charge = 7.0;
        let required = initial + share * charge * eta * hours;
        let session = Session {
            id: "a".to_owned(), arrival_step: arrival, departure_step: departure,
            capacity_kwh: 60.0, initial_kwh: initial, required_kwh: required, minimum_kwh: 2.0,
            charge_max_kw: charge, discharge_max_kw: 5.0, efficiency: eta,
        };
        let fleet = Fleet::new(grid(), vec![session.to_vehicle(&grid()).expect("possible")]);
        let mut power = Array2::zeros((1, STEPS));
        for step in arrival..departure {
            power[[0, step]] = share * charge;
        }
        let schedule = Schedule::new(grid(), vec!["a".to_owned()], power).expect("a schedule");
        prop_assert!(schedule.check(&fleet.expect("a fleet"), 1e-9).expect("checked").is_feasible());
    }

    /// No clock session that fits in continuous time is impossible on the grid, whatever the step.
    #[test]
    fn no_feasible_clock_session_becomes_infeasible(
        minutes_in in 0..600_i64,
        stay in 1..2000_i64,
        power in 1.0..50.0_f64,
        share in 0.0..=1.0_f64,
        hours in prop::sample::select(vec![0.25, 0.5, 1.0, 1.0 / 3.0, 3.0, 24.0]),
    ) {
        let start: jiff::Zoned = "2024-10-26T12:00[Europe/Berlin]".parse().expect("a time");
        let after = |minutes: i64| {
            start.checked_add(jiff::SignedDuration::from_mins(minutes)).expect("in the calendar")
        };
        let session = ClockSession {
            id: "a".to_owned(),
            arrival: after(minutes_in),
            departure: after(minutes_in + stay),
            energy_kwh: share * power * stay as f64 / 60.0,
            max_power_kw: power,
        };
        let steps = (2600.0_f64 / 60.0 / hours).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let grid = TimeGrid::new(steps as usize, Hours(hours)).expect("a grid").starting_at(start.clone());
        let vehicle = session.to_vehicle(&grid, Direction::ChargeOnly).expect("possible");
        let fleet = Fleet::new(grid, vec![vehicle]).expect("a fleet");
        // The energy of all steps at the limit is power times time.
        let limit: f64 = fleet.vehicles()[0].power_max_kw().iter().sum::<f64>() * hours;
        prop_assert!((limit - power * stay as f64 / 60.0).abs() < 1e-6);
        let schedule = uncontrolled(&fleet).expect("a schedule");
        let delivered = schedule.aggregate_kw().sum() * hours;
        prop_assert!((delivered - session.energy_kwh).abs() < 1e-6);
    }

    /// Means over a grid conserve the integral of the prices.
    #[test]
    fn resampling_conserves_the_mean(
        prices in vec(-50.0..300.0_f64, 24),
        quarter in any::<bool>(),
        hours in prop::sample::select(vec![0.25, 0.5, 1.0, 2.0, 3.0]),
    ) {
        let step = if quarter { 15 } else { 60 };
        let mut text = "timestamp_utc,price\n".to_owned();
        for (i, price) in prices.iter().enumerate() {
            let minutes = i * step;
            writeln!(text, "2024-05-06T{:02}:{:02}:00Z,{price}", minutes / 60, minutes % 60)
                .expect("text");
        }
        let series = PriceSeries::parse(text.as_bytes(), None).expect("prices");
        let total = (24 * step) as f64 / 60.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let steps = (total / hours) as usize;
        let grid = TimeGrid::new(steps, Hours(hours))
            .expect("a grid")
            .starting_at("2024-05-06T02:00[Europe/Berlin]".parse().expect("a time"));
        let tariff = series.tariff(&grid).expect("a tariff");
        let mean = tariff.eur_per_mwh().iter().sum::<f64>() / steps as f64;
        prop_assert!((mean - prices.iter().sum::<f64>() / 24.0).abs() < 1e-9);
    }
}

/// A NaN anywhere is refused by every constructor, with the place.
#[test]
fn nothing_accepts_nan() {
    for field in 0..4 {
        for step in 0..STEPS {
            let mut fields = [
                vec![0.0; STEPS],
                vec![1.0; STEPS],
                vec![0.0; STEPS],
                vec![1.0; STEPS],
            ];
            fields[field][step] = f64::NAN;
            let [a, b, c, d] = fields;
            let error = Vehicle::new("x", a, b, c, d).expect_err("refused");
            assert!(
                matches!(&error, Error::NotFinite { what, .. } if what.contains(&format!("[{step}]")))
            );
        }
    }
}
