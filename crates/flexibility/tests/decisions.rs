//! Laws of the decisions: certified, feasible, and equal to one program over all vehicles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{fleet_and_vectors, fleet_of};
use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
use evflex_flexibility::{
    Claim, DecisionStatus, Error, FleetPolymatroid, Objective, PolymatroidDecision, direct,
};
use evflex_solver::{Cancel, Clarabel, Options};
use ndarray::{Array1, array};
use proptest::prelude::*;

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

/// The proof: the minorant is below the cost everywhere, and its least value over the set is the bound.
fn check_proof(
    set: &FleetPolymatroid,
    objective: &Objective,
    answer: &PolymatroidDecision,
) -> Result<(), TestCaseError> {
    let decision = &answer.decision;
    let minorant = &decision.minorant;
    let constant = objective.minorant_constant(minorant.slope.view(), set.step_hours(), 1e-9);
    let constant = constant.ok_or_else(|| {
        TestCaseError::fail(format!(
            "{objective:?}: no minorant has slope {}",
            minorant.slope
        ))
    })?;
    let scale = 1.0 + decision.cost.abs() + constant.abs();
    prop_assert!(
        minorant.constant <= constant + 1e-9 * scale,
        "constant {} above {constant}",
        minorant.constant
    );
    let least = minorant.constant - set.support((-&minorant.slope).view()).unwrap().value;
    prop_assert!(
        (least - decision.lower_bound).abs() <= 1e-9 * scale,
        "bound {} but least value {least}",
        decision.lower_bound
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every decision is certified to the gap, proves its bound, and hands every vehicle a feasible schedule.
    #[test]
    fn decisions_are_certified((fleet, vectors) in fleet_and_vectors(60, 16, 4)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        for objective in objectives(&vectors) {
            let answer = set.decide(&objective, &Options::default()).unwrap();
            let decision = &answer.decision;
            prop_assert_eq!(decision.status, DecisionStatus::Optimal, "{} ended with gap {}, {:?}", objective.kind(), decision.gap(), decision);
            prop_assert!(decision.gap() <= 1e-6 || decision.cost - decision.lower_bound <= 1e-10);
            check_proof(&set, &objective, &answer)?;
            let schedule = set.schedule(&answer.mixture).unwrap();
            let check = schedule.check(&fleet, 1e-8).unwrap();
            prop_assert!(check.is_feasible(), "{:?}", check.violations());
            let cost = objective.cost(schedule.aggregate_kw().view(), fleet.step_hours());
            prop_assert!((cost - decision.cost).abs() <= 1e-9 * (1.0 + cost.abs()), "schedule costs {cost}, decision {}", decision.cost);
        }
    }

    /// One linear or quadratic program over all vehicles finds the same cost.
    #[test]
    fn decisions_equal_direct_programs((fleet, vectors) in fleet_and_vectors(6, 8, 4)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        for objective in objectives(&vectors) {
            let answer = set.decide(&objective, &Options::default()).unwrap();
            let (_, cost) = direct::decide(&fleet, &objective, &Clarabel::default(), &Options::default()).unwrap();
            let scale = 1.0 + cost.abs();
            prop_assert!((answer.decision.cost - cost).abs() <= 1e-5 * scale, "{}: {} against {cost}", objective.kind(), answer.decision.cost);
            prop_assert!(answer.decision.lower_bound <= cost + 1e-5 * scale);
        }
    }

    /// Among all even strictly convex costs, the nearest point to −load is best for the largest absolute power too.
    #[test]
    fn peak_is_not_above_any_vertex_mixture((fleet, vectors) in fleet_and_vectors(10, 10, 6)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let objective = Objective::Peak { load_kw: 15.0 * &vectors[0] };
        let best = set.decide(&objective, &Options::default()).unwrap().decision;
        let mut mean = Array1::zeros(fleet.steps());
        for direction in &vectors[1..] {
            let vertex = set.support(direction.view()).unwrap().profile_kw;
            prop_assert!(best.lower_bound <= objective.cost(vertex.view(), 1.0) + 1e-9);
            mean += &(vertex / 5.0);
        }
        prop_assert!(best.lower_bound <= objective.cost(mean.view(), 1.0) + 1e-9);
    }
}

#[test]
fn peak_by_hand() {
    // One vehicle must draw 6 kWh in three hours at up to 4 kW. With 5, 1, 0 kW of load the first
    // hour alone decides: 5 kW. With 3, 1, 0 kW the mean of load and charging does: 10 / 3 kW.
    let vehicle = Vehicle::new(
        "car",
        vec![0.0; 3],
        vec![4.0; 3],
        vec![0.0, 0.0, 6.0],
        vec![6.0; 3],
    )
    .unwrap();
    let fleet = Fleet::new(TimeGrid::new(3, Hours(1.0)).unwrap(), vec![vehicle]).unwrap();
    let set = FleetPolymatroid::exact(&fleet).unwrap();
    for (load_kw, peak) in [
        (array![5.0, 1.0, 0.0], 5.0),
        (array![3.0, 1.0, 0.0], 10.0 / 3.0),
    ] {
        let answer = set
            .decide(&Objective::Peak { load_kw }, &Options::default())
            .unwrap();
        assert!(
            (answer.decision.cost - peak).abs() < 1e-9,
            "{} kW",
            answer.decision.cost
        );
        assert!(
            (answer.decision.lower_bound - peak).abs() < 1e-9,
            "{} kW",
            answer.decision.lower_bound
        );
    }
}

#[test]
fn both_signs_of_the_peak_count() {
    // Forced feeding of 9 kWh in two hours against a load of 1 kW: the best is −3.5 in both steps.
    let vehicle = Vehicle::new(
        "car",
        vec![-9.0; 2],
        vec![9.0; 2],
        vec![-20.0, -9.0],
        vec![20.0, -9.0],
    )
    .unwrap();
    let fleet = Fleet::new(TimeGrid::new(2, Hours(1.0)).unwrap(), vec![vehicle]).unwrap();
    let set = FleetPolymatroid::exact(&fleet).unwrap();
    let answer = set
        .decide(
            &Objective::Peak {
                load_kw: array![1.0, 1.0],
            },
            &Options::default(),
        )
        .unwrap();
    assert!((answer.decision.cost - 3.5).abs() < 1e-12 && answer.decision.gap() <= 1e-12);
}

#[test]
fn results_do_not_depend_on_threads() {
    let fleet = fleet_of(11, 3000, 24);
    let set = FleetPolymatroid::exact(&fleet).unwrap();
    let load_kw = Array1::linspace(9000.0, 3000.0, 24);
    let solve = |threads| {
        set.decide(
            &Objective::Peak {
                load_kw: load_kw.clone(),
            },
            &Options::default().threads(threads),
        )
        .unwrap()
    };
    let (one, two) = (solve(1), solve(2));
    assert_eq!(one.decision.profile_kw, two.decision.profile_kw);
    assert_eq!(one.mixture, two.mixture);
}

#[test]
fn a_cancelled_run_keeps_what_it_has() {
    let cancel = Cancel::new();
    cancel.cancel();
    let fleet = fleet_of(5, 50, 24);
    let set = FleetPolymatroid::exact(&fleet).unwrap();
    let objective = Objective::Tracking {
        target_kw: Array1::linspace(-50.0, 90.0, 24),
        weight: Array1::ones(24),
    };
    let answer = set
        .decide(&objective, &Options::default().cancel(cancel))
        .unwrap();
    assert_eq!(answer.decision.status, DecisionStatus::Cancelled);
    assert!(answer.decision.lower_bound <= answer.decision.cost);
    assert!(
        set.schedule(&answer.mixture)
            .unwrap()
            .check(&fleet, 1e-8)
            .unwrap()
            .is_feasible()
    );
}

#[test]
fn lossy_vehicles_get_an_inner_set_that_is_named_so() {
    let battery = |efficiency| {
        Vehicle::new(
            "battery",
            vec![-5.0; 4],
            vec![5.0; 4],
            vec![-8.0, -8.0, -8.0, 2.0],
            vec![8.0; 4],
        )
        .unwrap()
        .with_efficiency(efficiency)
        .unwrap()
    };
    let fleet = Fleet::new(TimeGrid::new(4, Hours(1.0)).unwrap(), vec![battery(0.9)]).unwrap();
    let error = FleetPolymatroid::exact(&fleet).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"battery\" discharges with one-way efficiency 0.9"),
        "{error}"
    );
    let inner = FleetPolymatroid::inner(&fleet).unwrap();
    assert_eq!(inner.claim(), Claim::Inner);
    let price_eur_per_mwh = array![10.0, 90.0, 20.0, 80.0];
    let answer = inner
        .decide(
            &Objective::Energy { price_eur_per_mwh },
            &Options::default(),
        )
        .unwrap();
    let schedule = inner.schedule(&answer.mixture).unwrap();
    assert!(schedule.check(&fleet, 1e-9).unwrap().is_feasible());
    // 2 kWh in the battery need 2 / 0.9 kWh of charging in the cheapest hour.
    assert!((answer.decision.cost - 2.0 / 0.9 * 10.0 / 1000.0).abs() < 1e-12);
}

#[test]
fn a_lossy_vehicle_that_must_discharge_is_named() {
    let vehicle = Vehicle::new(
        "full",
        vec![-5.0; 2],
        vec![5.0; 2],
        vec![-8.0; 2],
        vec![0.0, -4.0],
    )
    .unwrap()
    .with_efficiency(0.9)
    .unwrap();
    let fleet = Fleet::new(TimeGrid::new(2, Hours(1.0)).unwrap(), vec![vehicle]).unwrap();
    let error = FleetPolymatroid::inner(&fleet).unwrap_err();
    assert!(matches!(error, Error::MustDischarge { .. }), "{error}");
    assert!(
        error.to_string().contains("cannot be met in step 1"),
        "{error}"
    );
}

#[test]
fn bad_questions_are_refused() {
    let set = FleetPolymatroid::exact(&fleet_of(1, 3, 5)).unwrap();
    assert_eq!(
        set.support(array![1.0].view()).unwrap_err().to_string(),
        "direction: expected 5 entries, one per step, found 1"
    );
    assert!(matches!(
        set.subset_bounds(&[7]),
        Err(Error::Subset { step: 7, steps: 5 })
    ));
    assert!(matches!(
        set.contains(Array1::zeros(5).view(), f64::NAN),
        Err(Error::Domain { .. })
    ));
    let wide = FleetPolymatroid::exact(&fleet_of(1, 1, 30)).unwrap();
    assert!(matches!(
        wide.table(),
        Err(Error::TableTooLarge {
            steps: 30,
            limit: 24
        })
    ));
}
