//! Laws of the sets of lossy fleets: what can be followed is inside the outer set, what is inside the inner set can be
//! followed, and decisions are enclosed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod common;

use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle, uncontrolled};
use evflex_flexibility::{
    AggregateSet, Claim, Error, FleetPolymatroid, LossyInner, LossyOuter, Membership, Objective,
    lossy_gap,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2, ArrayView1, array};
use proptest::{collection::vec, prelude::*};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Interior-point answers: relative to one plus the size of the numbers.
const SOLVER: f64 = 1e-6;

/// A battery whose bounds are drawn around a profile that it can follow.
fn lossy_vehicle(id: usize, steps: usize, step_hours: f64, rng: &mut ChaCha8Rng) -> Vehicle {
    let efficiency = match rng.random_range(0..4) {
        0 => 1.0,
        1 => rng.random_range(0.4..0.8),
        _ => rng.random_range(0.8..0.99),
    };
    let arrival = rng.random_range(0..steps);
    let arrival = if rng.random_bool(0.6) { 0 } else { arrival };
    let (mut power_min, mut power_max) = (vec![0.0; steps], vec![0.0; steps]);
    let (mut energy_min, mut energy_max) = (vec![0.0; steps], vec![0.0; steps]);
    let charges_only = rng.random_bool(0.2);
    let mut energy = 0.0;
    for t in 0..steps {
        if t >= arrival {
            power_max[t] = rng.random_range(-1.0..8.0);
            power_min[t] = rng.random_range(-8.0..f64::min(1.0, power_max[t]));
            if charges_only {
                power_max[t] = power_max[t].abs();
                power_min[t] = 0.0;
            }
        }
        let power = power_min[t] + rng.random::<f64>() * (power_max[t] - power_min[t]);
        energy += step_hours
            * if power > 0.0 {
                power * efficiency
            } else {
                power / efficiency
            };
        let slack = if rng.random_bool(0.2) { 0.0 } else { 6.0 };
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

fn lossy_fleet(
    vehicles: usize,
    steps: usize,
    count: usize,
) -> impl Strategy<Value = (Fleet, Vec<Array1<f64>>)> {
    (any::<u64>(), 1..=vehicles, 1..=steps)
        .prop_map(|(seed, vehicles, steps)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let step_hours = [0.25, 1.0][rng.random_range(0..2)];
            let mut list: Vec<Vehicle> = (0..vehicles)
                .map(|id| lossy_vehicle(id, steps, step_hours, &mut rng))
                .collect();
            if vehicles > 1 && rng.random_bool(0.3) {
                let copy = list[0].clone();
                list[1] = Vehicle::new(
                    "twin",
                    copy.power_min_kw().to_vec(),
                    copy.power_max_kw().to_vec(),
                    copy.energy_min_kwh().to_vec(),
                    copy.energy_max_kwh().to_vec(),
                )
                .and_then(|twin| twin.with_efficiency(copy.efficiency()))
                .unwrap();
            }
            Fleet::new(TimeGrid::new(steps, Hours(step_hours)).unwrap(), list).unwrap()
        })
        .prop_flat_map(move |fleet| {
            let entries = vec(-1.0..1.0_f64, fleet.steps());
            (Just(fleet), vec(entries.prop_map(Array1::from_vec), count))
        })
}

fn objectives(vectors: &[Array1<f64>]) -> [Objective; 5] {
    let load_kw = 10.0 * &vectors[0];
    let price_eur_per_mwh = 100.0 * &vectors[1];
    [
        Objective::Peak {
            load_kw: load_kw.clone(),
        },
        Objective::Energy {
            price_eur_per_mwh: price_eur_per_mwh.clone(),
        },
        Objective::Energy {
            price_eur_per_mwh: price_eur_per_mwh.mapv(f64::abs),
        },
        Objective::DemandCharge {
            price_eur_per_mwh: price_eur_per_mwh.mapv(f64::abs),
            load_kw,
            rate_eur_per_kw: 0.3,
        },
        Objective::Tracking {
            target_kw: 10.0 * &vectors[2],
            weight: vectors[3].mapv(|w| (w * 2.0).max(0.0)),
        },
    ]
}

/// Whether one vehicle can follow a profile, from the definition; `room` is subtracted from every bound.
fn follows(vehicle: &Vehicle, step_hours: f64, profile: ArrayView1<'_, f64>, room: f64) -> bool {
    let mut energy = 0.0;
    (0..vehicle.steps()).all(|t| {
        let power = profile[t];
        let eta = vehicle.efficiency();
        energy += step_hours
            * if power > 0.0 {
                power * eta
            } else {
                power / eta
            };
        power >= vehicle.power_min_kw()[t] + room
            && power <= vehicle.power_max_kw()[t] - room
            && energy >= vehicle.energy_min_kwh()[t] + room
            && energy <= vehicle.energy_max_kwh()[t] - room
    })
}

/// All profiles of a grid over the power bounds, with the values where losses change.
fn grid_profiles(vehicle: &Vehicle, per_step: usize) -> Vec<Array1<f64>> {
    let mut profiles = vec![Vec::new()];
    for t in 0..vehicle.steps() {
        let (low, high) = (vehicle.power_min_kw()[t], vehicle.power_max_kw()[t]);
        let mut values: Vec<f64> = (0..per_step)
            .map(|k| low + (high - low) * k as f64 / (per_step - 1) as f64)
            .collect();
        if low < 0.0 && high > 0.0 {
            values.push(0.0);
        }
        profiles = profiles
            .into_iter()
            .flat_map(|begin: Vec<f64>| {
                values
                    .iter()
                    .map(move |&value| [begin.clone(), vec![value]].concat())
            })
            .collect();
    }
    profiles.into_iter().map(Array1::from_vec).collect()
}

/// Inner sets of three kinds.
fn inner_sets(fleet: &Fleet, vector: &Array1<f64>) -> [LossyInner; 3] {
    let load_kw = 10.0 * vector;
    let repaired = LossyOuter::new(fleet)
        .decide(
            &Objective::Peak { load_kw },
            &Clarabel::default(),
            &Options::default(),
        )
        .unwrap()
        .schedule;
    let around = LossyInner::around(fleet, &repaired).unwrap();
    let mixed = Array2::from_shape_fn(around.factors().dim(), |at| {
        0.5 * (1.0 + around.factors()[at])
    });
    [
        LossyInner::new(fleet).unwrap(),
        around,
        LossyInner::with_factors(fleet, mixed).unwrap(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One vehicle, every profile of a grid: what it can follow is in the outer set, what is in an inner set it can follow.
    #[test]
    fn grids_of_profiles_agree((fleet, vectors) in lossy_fleet(1, 3, 3)) {
        let vehicle = &fleet.vehicles()[0];
        let solver = Clarabel::default();
        let outer = LossyOuter::new(&fleet);
        let inner = inner_sets(&fleet, &vectors[0]);
        let mut followed = 0;
        let mut profiles = grid_profiles(vehicle, 6);
        for vector in &vectors {
            let price_eur_per_mwh = 100.0 * vector;
            let relaxed = outer.decide(&Objective::Energy { price_eur_per_mwh }, &solver, &Options::default()).unwrap();
            profiles.push(relaxed.schedule.power_kw().row(0).to_owned());
        }
        for profile in profiles {
            if follows(vehicle, fleet.step_hours(), profile.view(), -1e-6) {
                followed += 1;
                prop_assert!(outer.contains(profile.view(), 1e-5, &solver).unwrap().is_inside(), "{profile} can be followed");
            }
            for set in &inner[..2] {
                if set.contains(profile.view(), 1e-7, &solver).unwrap().is_inside() {
                    prop_assert!(follows(vehicle, fleet.step_hours(), profile.view(), -1e-5), "{profile} cannot be followed, {:?}", set.factors());
                }
            }
        }
        prop_assert!(followed >= vectors.len());
    }

    /// Support values: inner below outer, both attained; inner points disaggregate into schedules that pass the check.
    #[test]
    fn supports_are_nested((fleet, vectors) in lossy_fleet(4, 7, 4)) {
        let solver = Clarabel::default();
        let outer = LossyOuter::new(&fleet);
        let inner = inner_sets(&fleet, &vectors[0]);
        for direction in &vectors {
            let most = outer.support(direction.view(), &solver).unwrap();
            let scale = 1.0 + most.profile_kw.iter().map(|p| p.abs()).sum::<f64>();
            prop_assert!(outer.contains(most.profile_kw.view(), SOLVER * scale, &solver).unwrap().is_inside());
            for set in &inner[..2] {
                let point = set.support(direction.view(), &solver).unwrap();
                prop_assert!(point.value <= most.value + SOLVER * scale, "{} above {}", point.value, most.value);
                let schedule = set.disaggregate(point.profile_kw.view(), &solver).unwrap();
                prop_assert!(schedule.check(&fleet, 1e-5).unwrap().is_feasible());
                prop_assert!((schedule.aggregate_kw() - &point.profile_kw).iter().all(|d| d.abs() <= 1e-5));
                // Beyond the outer support value there is nothing.
                let norm = direction.dot(direction);
                if norm > 1e-3 {
                    let beyond = &point.profile_kw + &(direction * ((most.value - point.value + 0.1) / norm));
                    for verdict in [set.contains(beyond.view(), 1e-6, &solver).unwrap(), outer.contains(beyond.view(), 1e-6, &solver).unwrap()] {
                        prop_assert!(matches!(verdict, Membership::Separated { .. }), "{verdict:?}");
                    }
                }
            }
        }
    }

    /// The greedy support of the outer set is the optimum of its linear program.
    #[test]
    fn greedy_supports_equal_programs((fleet, vectors) in lossy_fleet(4, 8, 4)) {
        let outer = LossyOuter::new(&fleet);
        for vector in &vectors {
            let price_eur_per_mwh = 1000.0 / fleet.step_hours() * vector;
            let answer = outer.minimise(&Objective::Energy { price_eur_per_mwh }, &Clarabel::default(), &Options::default()).unwrap();
            let greedy = -outer.support((-vector).view(), &Clarabel::default()).unwrap().value;
            let scale = 1.0 + answer.profile_kw.iter().map(|p| p.abs()).sum::<f64>();
            prop_assert!((answer.cost - greedy).abs() <= SOLVER * scale, "{} and {greedy}", answer.cost);
        }
    }

    /// Decisions: the bound is below every schedule, the schedule can be followed, refining never loses, and the answer is
    /// not above that of never discharging.
    #[test]
    fn decisions_are_enclosed((fleet, vectors) in lossy_fleet(3, 6, 4)) {
        let (solver, options) = (Clarabel::default(), Options::default());
        for objective in objectives(&vectors) {
            let answer = lossy_gap(&fleet, &objective, &solver, &options).unwrap();
            let scale = 1.0 + answer.cost.abs() + answer.outer.minorant.constant.abs();
            prop_assert!(answer.lower_bound() <= answer.cost);
            prop_assert!(answer.schedule.check(&fleet, 1e-5).unwrap().is_feasible());
            let cost = objective.cost(answer.schedule.aggregate_kw().view(), fleet.step_hours());
            prop_assert!((cost - answer.cost).abs() <= 1e-9 * scale);
            prop_assert!(answer.inner_decision.lower_bound >= answer.outer.lower_bound - 1e-5 * scale);
            prop_assert!(answer.inner_decision.cost - answer.inner_decision.lower_bound <= 1e-4 * scale,
                "{} {:?}", objective.kind(), answer.inner_decision);
            let waiting = objective.cost(uncontrolled(&fleet).unwrap().aggregate_kw().view(), fleet.step_hours());
            prop_assert!(answer.outer.lower_bound <= waiting + 1e-9 * scale);

            let start = LossyInner::new(&fleet).unwrap();
            let first = start.decide(&objective, &solver, &options).unwrap().decision.cost;
            let (_, refined, _) = start.refined(&objective, &solver, &options).unwrap();
            prop_assert!(refined.decision.cost <= first + 1e-9 * scale);
            prop_assert!(refined.schedule.check(&fleet, 1e-5).unwrap().is_feasible());
            if let Ok(set) = FleetPolymatroid::inner(&fleet) {
                let never = set.decide(&objective, &options).unwrap().decision.cost;
                prop_assert!(first <= never + 1e-5 * scale, "{}: {first} above {never}", objective.kind());
            }
        }
    }

    /// With prices that are not negative, and for a charge on the power drawn, nothing is lost between the sets.
    #[test]
    fn monotone_costs_leave_no_gap((fleet, vectors) in lossy_fleet(4, 8, 3)) {
        let price_eur_per_mwh = vectors[0].mapv(|p| 100.0 * p.abs());
        for objective in [
            Objective::Energy { price_eur_per_mwh: price_eur_per_mwh.clone() },
            Objective::DemandCharge { price_eur_per_mwh, load_kw: 10.0 * &vectors[1], rate_eur_per_kw: 0.2 },
        ] {
            let relaxed = LossyOuter::new(&fleet).decide(&objective, &Clarabel::default(), &Options::default()).unwrap();
            let scale = 1.0 + relaxed.schedule_cost.abs();
            prop_assert!(relaxed.schedule_cost - relaxed.decision.lower_bound <= 1e-5 * scale, "{} and {}", relaxed.schedule_cost, relaxed.decision.lower_bound);
            prop_assert!(relaxed.schedule.check(&fleet, 1e-5).unwrap().is_feasible());
        }
    }

    /// Without losses both sets are the exact one, and say so.
    #[test]
    fn without_losses_both_are_exact((fleet, vectors) in common::fleet_and_vectors(5, 8, 4)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let (outer, inner) = (LossyOuter::new(&fleet), LossyInner::new(&fleet).unwrap());
        prop_assert_eq!((outer.claim(), inner.claim()), (Claim::Exact, Claim::Exact));
        for direction in &vectors {
            let value = exact.support(direction.view()).unwrap().value;
            for set in [&outer as &dyn AggregateSet, &inner] {
                let found = set.support(direction.view(), &Clarabel::default()).unwrap().value;
                prop_assert!((found - value).abs() <= 1e-9 * (1.0 + value.abs()), "{found} and {value}");
            }
        }
        let objective = Objective::Tracking { target_kw: 20.0 * &vectors[0], weight: Array1::ones(fleet.steps()) };
        let best = exact.decide(&objective, &Options::default()).unwrap().decision.cost;
        let answer = lossy_gap(&fleet, &objective, &Clarabel::default(), &Options::default()).unwrap();
        prop_assert!((answer.cost - best).abs() <= 1e-5 * (1.0 + best), "{} and {best}", answer.cost);
    }
}

fn one(power: f64, energy_max: &[f64], efficiency: f64) -> Fleet {
    let steps = energy_max.len();
    let car = Vehicle::new(
        "car",
        vec![-power; steps],
        vec![power; steps],
        vec![-2.0; steps],
        energy_max.to_vec(),
    )
    .and_then(|car| car.with_efficiency(efficiency))
    .unwrap();
    Fleet::new(TimeGrid::new(steps, Hours(1.0)).unwrap(), vec![car]).unwrap()
}

/// At negative prices energy may be burnt in the relaxation, which no battery does: the gap is real and reported.
#[test]
fn negative_prices_leave_a_gap() {
    // Full after 1.6 kWh (2 kW for 0.8): a real battery earns once, then has to sell at a loss to earn again.
    let fleet = one(2.0, &[1.6, 1.6, 1.6], 0.8);
    let objective = Objective::Energy {
        price_eur_per_mwh: array![-100.0, -100.0, -100.0],
    };
    let answer = lossy_gap(
        &fleet,
        &objective,
        &Clarabel::default(),
        &Options::default(),
    )
    .unwrap();
    let best = grid_profiles(&fleet.vehicles()[0], 41)
        .iter()
        .filter(|profile| follows(&fleet.vehicles()[0], 1.0, profile.view(), -1e-9))
        .map(|profile| objective.cost(profile.view(), 1.0))
        .fold(f64::INFINITY, f64::min);
    assert!(answer.lower_bound() < best + 1e-9);
    assert!(answer.cost <= best + 1e-6, "{} above {best}", answer.cost);
    assert!(answer.gap() > 0.01, "{}", answer.gap());
}

/// The outer set's answer to a profile that wastes energy: inside the relaxation, and not known to be followed.
#[test]
fn burning_energy_cannot_be_disaggregated() {
    let fleet = one(2.0, &[0.0, 0.0], 0.5);
    let outer = LossyOuter::new(&fleet);
    let solver = Clarabel::default();
    let burning = array![-0.125, 1.0];
    assert!(!follows(&fleet.vehicles()[0], 1.0, burning.view(), 0.0));
    assert!(
        outer
            .contains(burning.view(), 1e-6, &solver)
            .unwrap()
            .is_inside()
    );
    assert!(matches!(
        outer.disaggregate(burning.view(), &solver),
        Err(Error::BetweenSets { .. })
    ));
    assert!(matches!(
        outer.disaggregate(array![2.0, 2.0].view(), &solver),
        Err(Error::Separated { .. })
    ));
    let fine = array![-0.5, 1.0];
    let schedule = outer.disaggregate(fine.view(), &solver).unwrap();
    assert!(schedule.check(&fleet, 1e-6).unwrap().is_feasible());
}

#[test]
fn bad_input_is_named() {
    let fleet = one(2.0, &[1.0, 1.0], 0.8);
    let message = |result: Result<LossyInner, Error>| result.unwrap_err().to_string();
    assert_eq!(
        message(LossyInner::with_factors(&fleet, Array2::ones((1, 3)))),
        "a row of factors: expected 2 entries, one per step, found 3"
    );
    assert!(
        message(LossyInner::with_factors(&fleet, array![[1.0, 0.5]]))
            .starts_with("a majorant factor is 0.5")
    );
    assert!(
        message(LossyInner::with_factors(&fleet, array![[1.0, f64::NAN]]))
            .starts_with("a majorant factor is NaN")
    );
    let other = one(3.0, &[9.0, 9.0], 0.8);
    let too_much = LossyOuter::new(&other)
        .decide(
            &Objective::Energy {
                price_eur_per_mwh: array![-1.0, -1.0],
            },
            &Clarabel::default(),
            &Options::default(),
        )
        .unwrap()
        .schedule;
    assert!(message(LossyInner::around(&fleet, &too_much)).contains("reference schedule"));
    let hole = array![0.0, f64::NAN];
    assert!(matches!(
        LossyOuter::new(&fleet).support(hole.view(), &Clarabel::default()),
        Err(Error::NotFinite { index: 1, .. })
    ));
}
