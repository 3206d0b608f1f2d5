//! Laws of the affine inner sets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::fleet_and_vectors;
use evflex_flexibility::{
    AffineInner, AggregateSet, BaseBounds, Claim, FleetPolymatroid, Membership, Objective,
    Translation,
};
use evflex_solver::{Clarabel, Options};
use ndarray::Array1;
use proptest::prelude::*;

fn both(fleet: &evflex_fleet::Fleet) -> [AffineInner; 2] {
    let (solver, options) = (Clarabel::default(), Options::default());
    [
        AffineInner::structure_preserving(fleet, &solver, &options).unwrap(),
        AffineInner::general_affine(fleet, &solver, &options).unwrap(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every map stays within its vehicle; the set within the exact one; its points reach the vehicles.
    #[test]
    fn affine_sets_are_inside((fleet, vectors) in fleet_and_vectors(5, 5, 4)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        for set in both(&fleet) {
            prop_assert_eq!(set.claim(), Claim::Inner);
            prop_assert!(set.verify(1e-9).unwrap().is_none(), "{:?}", set.verify(1e-9));
            for direction in &vectors {
                let inner = set.support(direction.view(), &Clarabel::default()).unwrap();
                let outer = exact.support(direction.view()).unwrap().value;
                prop_assert!(inner.value <= outer + 1e-9 * (1.0 + outer.abs()), "{} beyond {outer}", inner.value);
                prop_assert!(exact.contains(inner.profile_kw.view(), 1e-7).unwrap().is_inside());
                let schedule = set.disaggregate(inner.profile_kw.view(), &Clarabel::default()).unwrap();
                prop_assert!(schedule.check(&fleet, 1e-6).unwrap().is_feasible());
                prop_assert!((&schedule.aggregate_kw() - &inner.profile_kw).iter().all(|d| d.abs() < 1e-6));
            }
        }
    }

    /// The trace of the general map is not below that of the homothet, which is one of its candidates.
    #[test]
    fn general_maps_have_the_larger_trace(fleet in common::fleet(4, 5)) {
        let [homothets, general] = both(&fleet);
        for (homothet, general) in homothets.maps().iter().zip(general.maps()) {
            prop_assert!(general.matrix.diag().sum() >= homothet.matrix.diag().sum() - 1e-5);
        }
    }

    /// However the base set is written down, the homothets are inside; tightening never lowers σ.
    #[test]
    fn homothets_depend_on_how_the_base_is_written((fleet, vectors) in fleet_and_vectors(5, 5, 2)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let sets = [BaseBounds::Tightened, BaseBounds::AsGiven, BaseBounds::TightenedEach].map(|bounds| {
            let solver = Clarabel::default();
            AffineInner::structure_preserving_with(&fleet, bounds, Translation::Any, &solver, &Options::default()).unwrap()
        });
        for set in &sets {
            prop_assert!(set.verify(1e-5).unwrap().is_none());
            for direction in &vectors {
                let inner = set.support(direction.view(), &Clarabel::default()).unwrap();
                let outer = exact.support(direction.view()).unwrap().value;
                prop_assert!(inner.value <= outer + 1e-5 * (1.0 + outer.abs()));
            }
        }
        for (tightened, given) in sets[0].maps().iter().zip(sets[1].maps()) {
            let (tightened, given) = (tightened.matrix[[0, 0]], given.matrix[[0, 0]]);
            prop_assert!(tightened >= given - 1e-5 * (1.0 + given), "{tightened} below {given}");
        }
    }

    /// Homothets of one size lie where the translation says: the least energy of the set is ordered.
    #[test]
    fn translations_choose_the_energy((fleet, vectors) in fleet_and_vectors(5, 5, 2)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let (solver, options) = (Clarabel::default(), Options::default());
        let sets = [Translation::LeastEnergy, Translation::Any, Translation::MostEnergy].map(|translation| {
            AffineInner::structure_preserving_with(&fleet, BaseBounds::Tightened, translation, &solver, &options).unwrap()
        });
        let least = |set: &AffineInner| -set.support(Array1::from_elem(fleet.steps(), -1.0).view(), &solver).unwrap().value;
        let energy = sets.each_ref().map(least);
        let slack = 1e-4 * (1.0 + energy[1].abs());
        prop_assert!(energy[0] <= energy[1] + slack && energy[1] <= energy[2] + slack, "{energy:?}");
        for set in &sets {
            prop_assert!(set.verify(1e-5).unwrap().is_none());
            for (map, any) in set.maps().iter().zip(sets[1].maps()) {
                let (sigma, largest) = (map.matrix[[0, 0]], any.matrix[[0, 0]]);
                prop_assert!((sigma - largest).abs() <= 1e-4 * (1.0 + largest), "{sigma} {largest}");
            }
            for direction in &vectors {
                let inner = set.support(direction.view(), &solver).unwrap();
                let outer = exact.support(direction.view()).unwrap().value;
                prop_assert!(inner.value <= outer + 1e-5 * (1.0 + outer.abs()));
            }
        }
    }

    /// Decisions carry a valid bound over the set, and never beat the exact set.
    #[test]
    fn decisions_are_bounded((fleet, vectors) in fleet_and_vectors(5, 6, 3)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let load_kw = 20.0 * &vectors[0];
        let price_eur_per_mwh = 100.0 * &vectors[1];
        for objective in [
            Objective::Peak { load_kw: load_kw.clone() },
            Objective::Energy { price_eur_per_mwh: price_eur_per_mwh.clone() },
            Objective::DemandCharge { price_eur_per_mwh, load_kw, rate_eur_per_kw: 0.3 },
            Objective::Tracking { target_kw: 30.0 * &vectors[2], weight: Array1::ones(fleet.steps()) },
        ] {
            let best = exact.decide(&objective, &Options::default()).unwrap().decision;
            for set in both(&fleet) {
                let decision = set.minimise(&objective, &Clarabel::default(), &Options::default()).unwrap();
                let scale = 1.0 + decision.cost.abs();
                prop_assert!(decision.cost >= best.lower_bound - 1e-6 * scale);
                prop_assert!(decision.cost - decision.lower_bound <= 1e-4 * scale, "{}: {decision:?}", objective.kind());
                for direction in &vectors {
                    let other = set.support(direction.view(), &Clarabel::default()).unwrap().profile_kw;
                    prop_assert!(decision.lower_bound <= objective.cost(other.view(), fleet.step_hours()) + 1e-9 * scale);
                }
            }
        }
    }
}

#[test]
fn profiles_outside_are_separated() {
    let fleet = common::fleet_of(7, 4, 5);
    let (_, high) = FleetPolymatroid::exact(&fleet).unwrap().band_kw();
    let profile = &high + 1.0;
    for set in both(&fleet) {
        match set
            .contains(profile.view(), 1e-6, &Clarabel::default())
            .unwrap()
        {
            Membership::Separated {
                direction,
                excess_kw,
            } => {
                let support = set
                    .support(direction.view(), &Clarabel::default())
                    .unwrap()
                    .value;
                assert!((direction.dot(&profile) - support - excess_kw).abs() < 1e-6);
                assert!(excess_kw > 0.9);
            }
            other => panic!("{other:?}"),
        }
        let error = set
            .disaggregate(profile.view(), &Clarabel::default())
            .unwrap_err();
        assert!(error.to_string().contains("beyond a half-space"), "{error}");
    }
}
