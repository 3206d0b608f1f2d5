//! Laws of membership and disaggregation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::fleet_and_vectors;
use evflex_flexibility::{Error, FleetPolymatroid, Membership, Side, direct};
use evflex_solver::{Clarabel, Options};
use ndarray::Array1;
use proptest::prelude::*;

/// A point of the set: the middle of the vertices of some directions.
fn inside(set: &FleetPolymatroid, directions: &[Array1<f64>]) -> Array1<f64> {
    let mut point = Array1::zeros(set.steps());
    for direction in directions {
        point = point + set.support(direction.view()).unwrap().profile_kw / directions.len() as f64;
    }
    point
}

/// The largest violation over all subsets, by the full table.
fn worst_violation(set: &FleetPolymatroid, point: &Array1<f64>) -> f64 {
    let table = set.table().unwrap();
    (0..1_usize << point.len())
        .map(|subset| {
            let sum: f64 = (0..point.len())
                .filter(|t| subset >> t & 1 == 1)
                .map(|t| point[t])
                .sum();
            (sum - table.upper()[subset]).max(table.lower()[subset] - sum)
        })
        .fold(f64::NEG_INFINITY, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Membership agrees with all 2·2^T inequalities, near the boundary too, and witnesses are true.
    #[test]
    fn membership_agrees_with_every_subset((fleet, vectors) in fleet_and_vectors(8, 7, 5), push in -3.0..3.0_f64) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let mut point = inside(&set, &vectors[..4]);
        point.scaled_add(push, &vectors[4]);
        let worst = worst_violation(&set, &point);
        prop_assume!((worst - 1e-6).abs() > 1e-8);
        match set.contains(point.view(), 1e-6).unwrap() {
            Membership::Separated { .. } => prop_assert!(false, "a subset proves it here"),
            Membership::Inside => prop_assert!(worst < 1e-6, "called inside, but a subset is broken by {worst}"),
            Membership::Outside(witness) => {
                prop_assert!(worst > 1e-6);
                let (p, b) = set.subset_bounds(&witness.steps).unwrap();
                let sum: f64 = witness.steps.iter().map(|&t| point[t]).sum();
                prop_assert!((witness.sum_kw - sum).abs() < 1e-9);
                let bound = if witness.side == Side::Upper { b } else { p };
                prop_assert!((witness.bound_kw - bound).abs() < 1e-9);
                prop_assert!(witness.violation_kw() > 1e-6);
            }
        }
    }

    /// Membership agrees with the feasibility of the linear program over all vehicles.
    #[test]
    fn membership_agrees_with_linear_program((fleet, vectors) in fleet_and_vectors(4, 6, 4), push in -2.0..2.0_f64) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let mut point = inside(&set, &vectors[..3]);
        point.scaled_add(push, &vectors[3]);
        let worst = worst_violation(&set, &point);
        prop_assume!(worst.abs() > 1e-3);
        let feasible = direct::contains(&fleet, point.view(), &Clarabel::default(), &Options::default()).unwrap();
        prop_assert_eq!(set.contains(point.view(), 1e-6).unwrap().is_inside(), feasible);
    }

    /// A disaggregated profile is feasible for every vehicle and sums to the profile.
    #[test]
    fn disaggregation_sums_and_is_feasible((fleet, vectors) in fleet_and_vectors(40, 14, 6)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let point = inside(&set, &vectors);
        let mixture = set.decompose(point.view(), 1e-7).unwrap();
        for group in 0..mixture.groups() {
            let sum: f64 = (0..mixture.len()).map(|index| mixture.weights(index)[group]).sum();
            prop_assert!((sum - 1.0).abs() < 1e-12);
        }
        let schedule = set.schedule(&mixture).unwrap();
        let check = schedule.check(&fleet, 1e-8).unwrap();
        prop_assert!(check.is_feasible(), "{:?}", check.violations());
        let difference = (&schedule.aggregate_kw() - &point).iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        prop_assert!(difference < 1e-7, "off by {difference} kW");
    }

    /// The fair disaggregation does the same, and twins get the same schedule.
    #[test]
    fn fair_disaggregation_treats_equals_equally((fleet, vectors) in fleet_and_vectors(6, 6, 3)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let point = inside(&set, &vectors);
        let schedule = direct::disaggregate_fairly(&fleet, point.view(), &Clarabel::default(), &Options::default()).unwrap();
        prop_assert!(schedule.check(&fleet, 1e-5).unwrap().is_feasible());
        prop_assert!((&schedule.aggregate_kw() - &point).iter().all(|d| d.abs() < 1e-5));
        if let Some(twin) = fleet.vehicles().iter().position(|v| v.id() == "twin") {
            let difference = &schedule.power_kw().row(0) - &schedule.power_kw().row(twin);
            prop_assert!(difference.iter().all(|d| d.abs() < 1e-3), "{difference}");
        }
    }
}

#[test]
fn a_profile_outside_is_refused_with_its_proof() {
    let fleet = common::fleet_of(3, 5, 6);
    let set = FleetPolymatroid::exact(&fleet).unwrap();
    let (_, high) = set.band_kw();
    let error = set.decompose((&high + 1.0).view(), 1e-6).unwrap_err();
    assert!(
        matches!(&error, Error::Outside { witness } if witness.violation_kw() >= 1.0 - 1e-9),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("more than the most that the fleet can do there"),
        "{error}"
    );
}

#[test]
fn mixtures_of_other_fleets_are_refused() {
    let set = FleetPolymatroid::exact(&common::fleet_of(3, 5, 6)).unwrap();
    let other = FleetPolymatroid::exact(&common::fleet_of(4, 9, 6)).unwrap();
    let mixture = other
        .decompose(
            other
                .support(ndarray::Array1::ones(6).view())
                .unwrap()
                .profile_kw
                .view(),
            1e-6,
        )
        .unwrap();
    assert!(matches!(
        set.schedule(&mixture),
        Err(Error::ForeignMixture { .. })
    ));
}
