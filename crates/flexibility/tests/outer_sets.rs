//! Laws of the outer sets: around the exact set, each inside the coarser one, bounds proven.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::fleet_and_vectors;
use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
use evflex_flexibility::{
    AggregateSet, Claim, Error, FleetPolymatroid, Membership, Objective, TemplateOuter,
};
use evflex_solver::{Clarabel, Options, ProblemBuilder, Solver};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

/// Interior-point answers: relative to one plus the size of the numbers.
const SOLVER: f64 = 1e-6;

/// From coarse to fine, and one with the given rows.
fn outer_sets(fleet: &Fleet, rows: &[Array1<f64>]) -> [TemplateOuter; 4] {
    let mut normals = Array2::zeros((rows.len(), fleet.steps()));
    for (k, row) in rows.iter().enumerate() {
        normals.row_mut(k).assign(row);
    }
    [
        TemplateOuter::virtual_battery(fleet).unwrap(),
        TemplateOuter::tightened_battery(fleet).unwrap(),
        TemplateOuter::intervals(fleet).unwrap(),
        TemplateOuter::template(fleet, normals.view()).unwrap(),
    ]
}

fn objectives(vectors: &[Array1<f64>]) -> [Objective; 4] {
    let load_kw = 20.0 * &vectors[0];
    let price_eur_per_mwh = 100.0 * &vectors[1];
    [
        Objective::Peak {
            load_kw: load_kw.clone(),
        },
        Objective::Energy {
            price_eur_per_mwh: price_eur_per_mwh.clone(),
        },
        Objective::DemandCharge {
            price_eur_per_mwh,
            load_kw,
            rate_eur_per_kw: 0.3,
        },
        Objective::Tracking {
            target_kw: 30.0 * &vectors[2],
            weight: vectors[3].mapv(|w| (w * 2.0).max(0.0)),
        },
    ]
}

/// The support value from the inequalities alone, by one linear program of its own.
fn support_of_inequalities(set: &TemplateOuter, direction: &Array1<f64>) -> f64 {
    let (normals, offsets) = set.inequalities();
    let mut builder = ProblemBuilder::new("inequalities");
    builder.maximise();
    let u: Vec<_> = direction
        .iter()
        .enumerate()
        .map(|(t, &d)| builder.variable(format!("u_{t}"), f64::NEG_INFINITY, f64::INFINITY, d))
        .collect();
    for (normal, &offset) in normals.rows().into_iter().zip(&offsets) {
        let terms: Vec<_> = u.iter().copied().zip(normal.iter().copied()).collect();
        builder.row("row", f64::NEG_INFINITY, terms, offset);
    }
    Clarabel::default()
        .solve(&builder.build().unwrap(), &Options::default())
        .unwrap()
        .into_optimal()
        .unwrap()
        .objective()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Support values never fall below the exact ones, fall from coarse to fine, and are those of the
    /// inequalities.
    #[test]
    fn supports_enclose_the_exact_set((fleet, vectors) in fleet_and_vectors(8, 10, 6)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let sets = outer_sets(&fleet, &vectors[..2]);
        for direction in &vectors {
            let inner = exact.support(direction.view()).unwrap().value;
            let scale = 1.0 + inner.abs();
            let values: Vec<f64> = sets.iter().map(|set| {
                assert_eq!(set.claim(), Claim::Outer);
                let answer = set.support(direction.view(), &Clarabel::default()).unwrap();
                assert!((answer.value - direction.dot(&answer.profile_kw)).abs() <= SOLVER * (1.0 + answer.value.abs()));
                assert!(set.contains(answer.profile_kw.view(), SOLVER * (1.0 + answer.value.abs()), &Clarabel::default()).unwrap().is_inside());
                answer.value
            }).collect();
            for (value, set) in values.iter().zip(&sets) {
                prop_assert!(*value >= inner - 1e-9 * scale, "{value} below {inner}");
                let again = support_of_inequalities(set, direction);
                prop_assert!((again - value).abs() <= SOLVER * (1.0 + value.abs()), "{value} but the inequalities give {again}");
            }
            prop_assert!(values[0] >= values[1] - 1e-9 * scale);
            prop_assert!(values[1] >= values[2] - SOLVER * scale);
        }
        // Along its own rows a template is as tight as the exact set.
        for row in &vectors[..2] {
            let inner = exact.support(row.view()).unwrap().value;
            let outer = sets[3].support(row.view(), &Clarabel::default()).unwrap().value;
            prop_assert!((outer - inner).abs() <= SOLVER * (1.0 + inner.abs()), "{outer} against {inner}");
        }
    }

    /// Profiles of the fleet are inside every outer set and disaggregate through it; what is outside of an outer
    /// set is outside of the exact one, and its proof holds for the fleet.
    #[test]
    fn members_and_strangers((fleet, vectors) in fleet_and_vectors(8, 9, 5)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let sets = outer_sets(&fleet, &vectors[..3]);
        let vertices: Vec<_> = vectors.iter().map(|d| exact.support(d.view()).unwrap().profile_kw).collect();
        let mean = vertices.iter().fold(Array1::zeros(fleet.steps()), |sum, v| sum + v) / vertices.len() as f64;
        let scale = 1.0 + vertices[0].iter().map(|p| p.abs()).sum::<f64>();
        for set in &sets {
            for point in vertices.iter().chain([&mean]) {
                prop_assert!(set.contains(point.view(), 1e-9 * scale, &Clarabel::default()).unwrap().is_inside());
            }
            let schedule = set.disaggregate(mean.view(), &Clarabel::default()).unwrap();
            prop_assert!(schedule.check(&fleet, 1e-6).unwrap().is_feasible());
            prop_assert!((schedule.aggregate_kw() - &mean).iter().all(|d| d.abs() <= 1e-6 * scale));

            let stranger = &mean + &(&vectors[4] * 5.0);
            match set.contains(stranger.view(), 1e-6 * scale, &Clarabel::default()).unwrap() {
                Membership::Inside => {}
                Membership::Outside(witness) => {
                    let (p, b) = exact.subset_bounds(&witness.steps).unwrap();
                    prop_assert!(witness.sum_kw > b || witness.sum_kw < p, "{witness} but the fleet can do {p} to {b}");
                    let refused = matches!(set.disaggregate(stranger.view(), &Clarabel::default()), Err(Error::Outside { .. }));
                    prop_assert!(refused);
                }
                Membership::Separated { direction, excess_kw } => {
                    let most = exact.support(direction.view()).unwrap().value;
                    prop_assert!(direction.dot(&stranger) - most >= excess_kw - 1e-9 * scale);
                    let refused = matches!(set.disaggregate(stranger.view(), &Clarabel::default()), Err(Error::Outside { .. }));
                    prop_assert!(refused);
                }
            }
        }
    }

    /// Decisions: bounds never exceed the exact cost, rise from coarse to fine, and are proven by their minorant.
    #[test]
    fn decisions_bound_the_exact_ones((fleet, vectors) in fleet_and_vectors(6, 8, 4)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let sets = outer_sets(&fleet, &vectors[..2]);
        for objective in objectives(&vectors) {
            let best = exact.decide(&objective, &Options::default()).unwrap().decision;
            let mut bounds = Vec::new();
            for set in &sets {
                let answer = set.minimise(&objective, &Clarabel::default(), &Options::default()).unwrap();
                let scale = 1.0 + answer.cost.abs() + answer.minorant.constant.abs();
                prop_assert!(answer.lower_bound <= answer.cost);
                prop_assert!(answer.lower_bound <= best.cost + 1e-9 * scale, "{}: {} above {}", objective.kind(), answer.lower_bound, best.cost);
                prop_assert!(answer.cost - answer.lower_bound <= 1e-5 * scale, "{}: {} to {}", objective.kind(), answer.lower_bound, answer.cost);
                // The minorant proves the bound: below the cost, and its least value over the set is not below the bound.
                let constant = objective.minorant_constant(answer.minorant.slope.view(), fleet.step_hours(), 1e-9).unwrap();
                prop_assert!(answer.minorant.constant <= constant + 1e-9 * scale);
                let least = answer.minorant.constant - support_of_inequalities(set, &-&answer.minorant.slope);
                prop_assert!(answer.lower_bound <= least + SOLVER * scale, "bound {} but least {least}", answer.lower_bound);
                bounds.push(answer.lower_bound);
            }
            let scale = 1.0 + best.cost.abs();
            prop_assert!(bounds[0] <= bounds[1] + 1e-5 * scale && bounds[1] <= bounds[2] + 1e-5 * scale, "{bounds:?}");
        }
    }

    /// With two steps every subset is an interval, so the interval set is the exact one.
    #[test]
    fn intervals_are_exact_for_two_steps((fleet, vectors) in fleet_and_vectors(5, 2, 6)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let set = TemplateOuter::intervals(&fleet).unwrap();
        for direction in &vectors {
            let inner = exact.support(direction.view()).unwrap().value;
            let outer = set.support(direction.view(), &Clarabel::default()).unwrap().value;
            prop_assert!((outer - inner).abs() <= SOLVER * (1.0 + inner.abs()), "{outer} against {inner}");
        }
    }
}

fn car(id: &str, power: [f64; 3], need: f64, most: f64) -> Vehicle {
    let energy_min = vec![0.0, 0.0, need];
    Vehicle::new(id, vec![0.0; 3], power.to_vec(), energy_min, vec![most; 3]).unwrap()
}

fn pair(first: Vehicle, second: Vehicle) -> Fleet {
    Fleet::new(TimeGrid::new(3, Hours(1.0)).unwrap(), vec![first, second]).unwrap()
}

/// Each step from coarse to fine removes something that no fleet can do.
#[test]
fn what_each_template_knows() {
    let solver = Clarabel::default();
    // One car leaves after two hours and needs 5 kWh by then, which the data sheets say only of the end.
    let leaves = pair(
        car("a", [5.0, 5.0, 0.0], 5.0, 5.0),
        car("b", [0.0, 0.0, 10.0], 5.0, 5.0),
    );
    // One car has the first hour, the other 5 kWh for the other two: powers and running sums leave 10 there.
    let shares = pair(
        car("a", [5.0, 0.0, 0.0], 0.0, 5.0),
        car("b", [0.0, 5.0, 5.0], 0.0, 5.0),
    );
    for (fleet, profile, inside) in [
        (&leaves, array![0.0, 0.0, 10.0], [true, false, false]),
        (&shares, array![0.0, 5.0, 5.0], [true, true, false]),
        (&shares, array![5.0, 2.0, 3.0], [true, true, true]),
    ] {
        let sets = outer_sets(fleet, &[]);
        for (set, inside) in sets.iter().zip(inside) {
            let verdict = set.contains(profile.view(), 1e-9, &solver).unwrap();
            assert_eq!(verdict.is_inside(), inside, "{profile}: {verdict:?}");
        }
        let followed = sets[0].disaggregate(profile.view(), &solver);
        assert_eq!(followed.is_ok(), inside[2], "{followed:?}");
    }
}

#[test]
fn bad_input_is_named() {
    let fleet = Fleet::new(
        TimeGrid::new(3, Hours(1.0)).unwrap(),
        vec![car("a", [4.0; 3], 6.0, 12.0)],
    )
    .unwrap();
    let short = Array2::<f64>::ones((1, 2));
    assert_eq!(
        TemplateOuter::template(&fleet, short.view())
            .unwrap_err()
            .to_string(),
        "a normal: expected 3 entries, one per step, found 2"
    );
    let set = TemplateOuter::intervals(&fleet).unwrap();
    let hole = array![0.0, f64::NAN, 0.0];
    assert!(matches!(
        set.support(hole.view(), &Clarabel::default()),
        Err(Error::NotFinite { index: 1, .. })
    ));
    assert!(matches!(
        set.contains(hole.view(), 1e-6, &Clarabel::default()),
        Err(Error::NotFinite { index: 1, .. })
    ));
    // No rows at all leave the powers of single steps.
    let none = TemplateOuter::template(&fleet, Array2::zeros((0, 3)).view()).unwrap();
    let most = none
        .support(array![1.0, 1.0, 1.0].view(), &Clarabel::default())
        .unwrap();
    assert!((most.value - 12.0).abs() < 1e-6);
}
