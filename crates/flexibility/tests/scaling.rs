//! Laws of the exact scaling: against a linear program for every subset, and as a proof.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::fleet_and_vectors;
use evflex_fleet::Fleet;
use evflex_flexibility::{
    DualVector, Error, FleetPolymatroid, InnerPolytope, Side, SweepCertificate, Verification,
};
use evflex_solver::{Clarabel, Options, ProblemBuilder, Solver};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

/// A centre inside U, and an inner set with some general rows and a box around it.
fn instance(
    fleet: &Fleet,
    vectors: &[Array1<f64>],
) -> (FleetPolymatroid, InnerPolytope, Array1<f64>) {
    let set = FleetPolymatroid::exact(fleet).unwrap();
    let mut centre = Array1::zeros(fleet.steps());
    for direction in vectors {
        centre = centre + set.support(direction.view()).unwrap().profile_kw / vectors.len() as f64;
    }
    let steps = fleet.steps();
    let normals = Array2::from_shape_fn((vectors.len(), steps), |(row, t)| vectors[row][t]);
    let offsets = (0..vectors.len())
        .map(|row| 1.0 + 3.0 * vectors[row][0].abs())
        .collect();
    let upper = vectors[0].mapv(|v| 0.5 + 2.0 * v.abs());
    let lower = vectors[1].mapv(|v| -0.5 - 2.0 * v.abs());
    let inner = InnerPolytope::new(normals, offsets, lower, upper).unwrap();
    (set, inner, centre)
}

/// `h_F(direction)` by the solver crate.
fn support(inner: &InnerPolytope, direction: &Array1<f64>) -> f64 {
    let mut builder = ProblemBuilder::new("support");
    let x: Vec<_> = (0..inner.steps())
        .map(|t| {
            builder.variable(
                format!("x_{t}"),
                inner.lower()[t],
                inner.upper()[t],
                -direction[t],
            )
        })
        .collect();
    for (row, &offset) in inner.normals().rows().into_iter().zip(inner.offsets()) {
        let terms: Vec<_> = x.iter().copied().zip(row.iter().copied()).collect();
        builder.row(
            format!("row_{}", builder.row_count()),
            f64::NEG_INFINITY,
            terms,
            offset,
        );
    }
    let problem = builder.build().unwrap();
    -Clarabel::default()
        .solve(&problem, &Options::default())
        .unwrap()
        .into_optimal()
        .unwrap()
        .objective()
}

/// γ by one linear program per subset and side.
fn gamma_by_enumeration(
    set: &FleetPolymatroid,
    inner: &InnerPolytope,
    centre: &Array1<f64>,
) -> f64 {
    let table = set.table().unwrap();
    let mut gamma = f64::INFINITY;
    for subset in 1..1_usize << inner.steps() {
        let indicator: Array1<f64> = (0..inner.steps())
            .map(|t| f64::from(u8::from(subset >> t & 1 == 1)))
            .collect();
        let middle = indicator.dot(centre);
        gamma = gamma.min((table.upper()[subset] - middle) / support(inner, &indicator));
        gamma = gamma.min((middle - table.lower()[subset]) / support(inner, &-indicator));
    }
    gamma
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The sweep equals the enumeration of all directions.
    #[test]
    fn sweep_equals_enumeration((fleet, vectors) in fleet_and_vectors(6, 5, 7)) {
        let (set, inner, centre) = instance(&fleet, &vectors);
        let scaling = set.exact_scaling(&inner, centre.view()).unwrap();
        let expected = gamma_by_enumeration(&set, &inner, &centre);
        prop_assert!((scaling.gamma - expected).abs() <= 1e-6 * (1.0 + expected), "{} against {expected}", scaling.gamma);
    }

    /// The certificate verifies as it is, and not with a larger γ.
    #[test]
    fn certificates_prove_their_scaling_and_no_more((fleet, vectors) in fleet_and_vectors(30, 10, 8)) {
        let (set, inner, centre) = instance(&fleet, &vectors);
        let scaling = set.exact_scaling(&inner, centre.view()).unwrap();
        prop_assume!(scaling.gamma > 1e-3);
        let mut certificate = scaling.certificate.clone();
        prop_assert_eq!(certificate.verify(&set, &inner, centre.view(), 1e-9).unwrap(), Verification::Confirmed);
        certificate.gamma *= 1.0 + 1e-4;
        let refused = certificate.verify(&set, &inner, centre.view(), 1e-9).unwrap();
        prop_assert!(matches!(refused, Verification::Refused { .. }), "{refused:?}");
    }

    /// Points of γF + Δ are profiles of the fleet; the binding subset shows that 0.1 % more is too much.
    #[test]
    fn scaled_points_are_inside((fleet, vectors) in fleet_and_vectors(12, 8, 8)) {
        let (set, inner, centre) = instance(&fleet, &vectors);
        let scaling = set.exact_scaling(&inner, centre.view()).unwrap();
        for direction in &vectors {
            // A point of F along the direction, by ratio test.
            let mut reach = f64::INFINITY;
            for (row, offset) in inner.normals().rows().into_iter().zip(inner.offsets()) {
                let rate = row.dot(direction);
                if rate > 0.0 { reach = reach.min(offset / rate); }
            }
            for t in 0..inner.steps() {
                let bound = if direction[t] > 0.0 { inner.upper()[t] } else { inner.lower()[t] };
                if direction[t] != 0.0 { reach = reach.min(bound / direction[t]); }
            }
            let point = &centre + &(direction * (scaling.gamma * reach));
            prop_assert!(set.contains(point.view(), 1e-6).unwrap().is_inside());
        }
        let indicator: Array1<f64> = (0..inner.steps()).map(|t| f64::from(u8::from(scaling.binding_steps.contains(&t)))).collect();
        let (p, b) = set.subset_bounds(&scaling.binding_steps).unwrap();
        let larger = 1.001 * scaling.gamma;
        let middle = indicator.dot(&centre);
        let broken = match scaling.binding_side {
            Side::Upper => middle + larger * support(&inner, &indicator) - b,
            Side::Lower => p - (middle - larger * support(&inner, &-&indicator)),
        };
        prop_assert!(broken > 0.0 || scaling.gamma < 1e-3, "{broken}");
    }

    /// Away from kinks the gradient agrees with central differences.
    #[test]
    fn gradients_agree_with_differences((fleet, vectors) in fleet_and_vectors(6, 6, 6), row in 0..6_usize) {
        let (set, inner, centre) = instance(&fleet, &vectors);
        let scaling = set.exact_scaling(&inner, centre.view()).unwrap();
        prop_assume!(!scaling.kink && scaling.gamma > 1e-3);
        let step = 1e-5;
        let moved = |change: f64| {
            let mut offsets = inner.offsets().clone();
            offsets[row] += change;
            let inner = InnerPolytope::new(inner.normals().clone(), offsets, inner.lower().clone(), inner.upper().clone()).unwrap();
            set.exact_scaling(&inner, centre.view()).unwrap()
        };
        let (more, less) = (moved(step), moved(-step));
        prop_assume!(more.binding_steps == less.binding_steps && more.binding_side == less.binding_side);
        let difference = (more.gamma - less.gamma) / (2.0 * step);
        // The multipliers can change between the two points even though the direction does not.
        prop_assume!((more.gradient.offsets[row] - less.gradient.offsets[row]).abs() < 1e-4 * (1.0 + difference.abs()));
        prop_assert!((difference - scaling.gradient.offsets[row]).abs() < 1e-3 * (1.0 + difference.abs()), "{difference} against {}", scaling.gradient.offsets[row]);
    }
}

#[test]
fn centres_outside_are_refused_with_the_subset() {
    let fleet = common::fleet_of(4, 4, 5);
    let set = FleetPolymatroid::exact(&fleet).unwrap();
    let (_, high) = set.band_kw();
    let ones = Array1::ones(5);
    let inner = InnerPolytope::new(Array2::eye(5), ones.clone(), -&ones, ones).unwrap();
    let error = set.exact_scaling(&inner, (&high + 1.0).view()).unwrap_err();
    assert!(
        matches!(error, Error::CentreOutside { violation_kw, .. } if violation_kw > 0.9),
        "{error}"
    );
}

#[test]
fn sets_without_their_centre_are_refused() {
    let zeros = Array1::zeros(2);
    let error = InnerPolytope::new(
        Array2::eye(2),
        Array1::from_vec(vec![1.0, -0.5]),
        zeros.clone(),
        zeros,
    )
    .unwrap_err();
    assert!(error.to_string().contains("an offset is -0.5"), "{error}");
}

/// What a certificate states, recomputed here: the largest relative violation over all subsets and sides.
fn violation(
    certificate: &SweepCertificate,
    set: &FleetPolymatroid,
    inner: &InnerPolytope,
    centre: &Array1<f64>,
) -> f64 {
    let table = set.table().unwrap();
    let steps = inner.steps();
    let mut largest = f64::NEG_INFINITY;
    for subset in 1..1_usize << steps {
        let indicator: Array1<f64> = (0..steps)
            .map(|t| f64::from(u8::from(subset >> t & 1 == 1)))
            .collect();
        let middle = indicator.dot(centre);
        for (duals, direction, room) in [
            (
                &certificate.upper,
                indicator.clone(),
                table.upper()[subset] - middle,
            ),
            (
                &certificate.lower,
                -indicator.clone(),
                middle - table.lower()[subset],
            ),
        ] {
            let bound = |dual: &DualVector| {
                let mut rest = direction.clone();
                let mut value = 0.0;
                for (&row, &y) in dual.rows.iter().zip(&dual.values) {
                    rest.scaled_add(-y, &inner.normals().row(row as usize));
                    value += y * inner.offsets()[row as usize];
                }
                for t in 0..steps {
                    value += f64::max(rest[t] * inner.upper()[t], rest[t] * inner.lower()[t]);
                }
                value
            };
            let best = duals
                .iter()
                .map(bound)
                .fold(bound(&DualVector::default()), f64::min);
            largest = largest.max((certificate.gamma * best - room) / (1.0 + room.abs()));
        }
    }
    largest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Verification says of any changed certificate what its stated inequalities say, and repairs nothing.
    #[test]
    fn changed_certificates_are_judged_by_their_inequalities(
        (fleet, vectors) in fleet_and_vectors(8, 6, 7), pick in any::<u32>(), up in any::<bool>(),
    ) {
        let (set, inner, centre) = instance(&fleet, &vectors);
        let certificate = set.exact_scaling(&inner, centre.view()).unwrap().certificate;
        let pick = pick as usize;
        let change = if up { 1e-6 } else { -1e-6 };
        let mut changed = vec![certificate.clone(); 5];
        changed[0].gamma += change;
        for (which, side) in [(1, true), (2, false)] {
            let duals = if side { &mut changed[which].upper } else { &mut changed[which].lower };
            if let Some(dual) = (!duals.is_empty()).then(|| &mut duals[pick % certificate_len(&certificate, side)])
                && let Some(y) = dual.values.get_mut(pick % 3)
            {
                *y = f64::max(*y + change, 0.0);
            }
        }
        // A proof without one of its parts.
        if !changed[3].upper.is_empty() { changed[3].upper.remove(pick % certificate.upper.len()); }
        if !changed[4].lower.is_empty() { changed[4].lower.remove(pick % certificate.lower.len()); }
        for certificate in changed {
            if certificate.gamma < 0.0 { continue; }
            let expected = violation(&certificate, &set, &inner, &centre);
            // Rounding decides what is within 1e-12 of the tolerance.
            if (expected - 1e-9).abs() < 1e-12 { continue; }
            match certificate.verify(&set, &inner, centre.view(), 1e-9).unwrap() {
                Verification::Confirmed => prop_assert!(expected <= 1e-9, "confirmed at {expected}"),
                Verification::Refused { largest_violation } => {
                    prop_assert!((largest_violation - expected).abs() <= 1e-10, "{largest_violation} {expected}");
                }
            }
        }
    }
}

fn certificate_len(certificate: &SweepCertificate, upper: bool) -> usize {
    if upper {
        certificate.upper.len()
    } else {
        certificate.lower.len()
    }
}

/// A larger γ, a vector less, and a multiplier that is more than needed: each breaks the binding inequality.
#[test]
fn what_breaks_the_binding_inequality_is_refused() {
    let mut refusals = [0; 3];
    for seed in 0..20 {
        let fleet = common::fleet_of(seed, 6, 6);
        let vectors: Vec<Array1<f64>> = (0..7)
            .map(|k| Array1::from_shape_fn(6, |t| f64::sin(f64::from(k * 31) + 7.3 * t as f64)))
            .collect();
        let (set, _, centre) = instance(&fleet, &vectors);
        // Running sums limited to a share of what the box allows, so that the rows matter.
        let normals = Array2::from_shape_fn((12, 6), |(row, t)| {
            let sign = if row < 6 { 1.0 } else { -1.0 };
            if t <= row % 6 { sign } else { 0.0 }
        });
        let offsets = (0..12).map(|row| 0.4 * f64::from(row % 6 + 1)).collect();
        let ones: Array1<f64> = Array1::ones(6);
        let inner = InnerPolytope::new(normals, offsets, -&ones, ones).unwrap();
        let Ok(scaling) = set.exact_scaling(&inner, centre.view()) else {
            continue;
        };
        if scaling.gamma < 1e-3 {
            continue;
        }
        let certificate = scaling.certificate;
        let refused = |certificate: &SweepCertificate| {
            certificate
                .verify(&set, &inner, centre.view(), 1e-9)
                .unwrap()
                != Verification::Confirmed
        };
        assert!(!refused(&certificate));
        let mut larger = certificate.clone();
        larger.gamma += 1e-6;
        refusals[0] += usize::from(refused(&larger));
        for k in 0..certificate.upper.len() {
            let mut without = certificate.clone();
            without.upper.remove(k);
            refusals[1] += usize::from(refused(&without));
            for entry in 0..certificate.upper[k].values.len() {
                let mut more = certificate.clone();
                more.upper[k].values[entry] += 1e-6;
                refusals[2] += usize::from(refused(&more));
            }
        }
    }
    assert!(refusals.iter().all(|&count| count > 0), "{refusals:?}");
}

/// Sets with many rows, nearly filling the aggregate set, need all phases of the sweep: its γ is the smallest ratio and
/// its certificate is complete, also where γ falls late and closes directions by bounds found early.
#[test]
fn sweeps_of_many_rows_leave_complete_proofs() {
    let steps = 9;
    let (mut kept, mut many) = (0, 0);
    for seed in 0..60 {
        let fleet = common::fleet_of(seed as u64, 8, steps);
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let draw = |k: usize| ((seed * 7919 + k * 104_729) as f64 * 0.618_034).sin();
        let mut centre = Array1::zeros(steps);
        for k in 0..24 {
            let direction = Array1::from_shape_fn(steps, |t| draw(k * 31 + t));
            centre = centre + set.support(direction.view()).unwrap().profile_kw / 24.0;
        }
        let mut rows = Vec::new();
        let mut offsets = Vec::new();
        for first in 0..steps {
            for last in first + 1..steps {
                for sign in [1.0, -1.0] {
                    let row = Array1::from_shape_fn(steps, |t| {
                        if (first..=last).contains(&t) {
                            sign
                        } else {
                            0.0
                        }
                    });
                    let room = set.support(row.view()).unwrap().value - row.dot(&centre);
                    let share = 0.75 + 0.25 * draw(rows.len() + 977);
                    offsets.push(room.max(0.0) * share);
                    rows.extend(row);
                }
            }
        }
        let normals = Array2::from_shape_vec((offsets.len(), steps), rows).unwrap();
        let (low, high) = set.band_kw();
        let (lower, upper) = (&low - &centre, &high - &centre);
        let inner = InnerPolytope::new(
            normals,
            Array1::from_vec(offsets),
            lower.mapv(|l| l.min(0.0)),
            upper.mapv(|u| u.max(0.0)),
        )
        .unwrap();
        let Ok(scaling) = set.exact_scaling(&inner, centre.view()) else {
            continue;
        };
        kept += 1;
        many += usize::from(scaling.certificate.upper.len() + scaling.certificate.lower.len() > 20);
        let stated = violation(&scaling.certificate, &set, &inner, &centre);
        assert!(stated <= 1e-9, "seed {seed}: {stated}");
        assert_eq!(
            scaling
                .certificate
                .verify(&set, &inner, centre.view(), 1e-9)
                .unwrap(),
            Verification::Confirmed
        );
    }
    assert!(
        kept > 30 && many > 10,
        "{kept} sets, {many} with many vectors"
    );
}
