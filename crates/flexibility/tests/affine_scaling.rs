//! Laws of scalings by affine rules: against other forms of the program, the exact scale, and every vehicle's own bounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{fleet_and_vectors, fleet_of};
use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle, synthetic::Population};
use evflex_flexibility::{
    AffineForm, AffineScaling, Error, FleetPolymatroid, InnerPolytope, VehicleSet,
};
use evflex_polytope::{AhPolytope, Certifier, HPolytope};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate};
use proptest::prelude::*;

fn seek(
    fleet: &Fleet,
    set: &InnerPolytope,
    centre: ArrayView1<'_, f64>,
    form: AffineForm,
) -> Result<AffineScaling, Error> {
    AffineScaling::seek(
        fleet,
        set,
        centre,
        form,
        &Clarabel::default(),
        &Options::default(),
    )
}

/// A centre inside U, and an inner set with some general rows and a box around it.
fn instance(fleet: &Fleet, vectors: &[Array1<f64>]) -> (InnerPolytope, Array1<f64>) {
    let exact = FleetPolymatroid::exact(fleet).unwrap();
    let steps = fleet.steps();
    let mut centre = Array1::zeros(steps);
    for direction in vectors {
        let far = exact.support(direction.view()).unwrap().profile_kw;
        centre += &(far / vectors.len() as f64);
    }
    let normals = Array2::from_shape_fn((vectors.len(), steps), |(row, t)| vectors[row][t]);
    let offsets = vectors.iter().map(|v| 1.0 + 3.0 * v[0].abs()).collect();
    // No width where the fleet has none, so that there is a scale.
    let (low, high) = exact.band_kw();
    let wide = |t: usize| f64::from(u8::from(high[t] - low[t] > 1e-9));
    let upper = (0..steps).map(|t| wide(t) * (0.5 + 2.0 * vectors[0][t].abs()));
    let lower = (0..steps).map(|t| wide(t) * (-0.5 - 2.0 * vectors[1][t].abs()));
    let inner = InnerPolytope::new(normals, offsets, lower.collect(), upper.collect()).unwrap();
    (inner, centre)
}

/// The paper's population with fewer steps, an inner set of noisy rows, and a centre.
fn paper(steps: usize, vehicles: usize, seed: u64) -> (Fleet, InnerPolytope, Array1<f64>) {
    let grid = TimeGrid::new(steps, Hours(1.0)).unwrap();
    let fleet = Population::new(grid, vehicles).generate(seed).unwrap();
    let exact = FleetPolymatroid::exact(&fleet).unwrap();
    let wave = |k: usize, t: usize| ((1 + k) as f64 * (t as f64 + 0.7) + seed as f64).sin();
    let normals = Array2::from_shape_fn((2 * steps, steps), |(k, t)| wave(k, t));
    let mut centre = Array1::zeros(steps);
    for normal in normals.rows() {
        let far = exact.support(normal).unwrap().profile_kw;
        centre += &(far / (2 * steps) as f64);
    }
    let offsets = normals
        .rows()
        .into_iter()
        .enumerate()
        .map(|(k, normal)| {
            let far = exact.support(normal).unwrap().value;
            (0.6 + 0.4 * wave(k, 99).abs()) * (far - normal.dot(&centre))
        })
        .collect();
    let (low, high) = exact.band_kw();
    let set = InnerPolytope::new(
        normals,
        offsets,
        0.8 * (low - &centre),
        0.8 * (high - &centre),
    )
    .unwrap();
    (fleet, set, centre)
}

/// Every vehicle's facets as rows over the powers with their bounds.
fn facets(set: &VehicleSet) -> Vec<(Array1<f64>, f64)> {
    let steps = set.steps();
    let mut out = Vec::new();
    for t in 0..steps {
        let prefix: Array1<f64> = (0..steps).map(|s| f64::from(u8::from(s <= t))).collect();
        let single: Array1<f64> = (0..steps).map(|s| f64::from(u8::from(s == t))).collect();
        out.push((-&prefix, -set.sum_min()[t]));
        out.push((prefix, set.sum_max()[t]));
        out.push((-&single, -set.power_min()[t]));
        out.push((single, set.power_max()[t]));
    }
    out
}

/// By how much the rules leave a vehicle's bounds on F, kW: one linear program per facet, no certificate.
fn largest_excess(fleet: &Fleet, set: &InnerPolytope, answer: &AffineScaling) -> f64 {
    let mut excess = f64::NEG_INFINITY;
    for (vehicle, rule) in fleet.vehicles().iter().zip(answer.rules()) {
        let own = VehicleSet::exact(vehicle, fleet.step_hours()).unwrap();
        for (normal, bound) in facets(&own) {
            let pulled = rule.matrix.t().dot(&normal);
            let reach = set.support(pulled.view()).unwrap().0;
            excess = f64::max(excess, reach + normal.dot(&rule.translation) - bound);
        }
    }
    excess
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Rules add up to γx + Δ, keep every vehicle within its bounds, and reach no further than the exact scale; other
    /// forms of the program find the same.
    #[test]
    fn rules_are_sound_and_forms_agree((fleet, vectors) in fleet_and_vectors(6, 5, 6)) {
        let (set, centre) = instance(&fleet, &vectors);
        let exact = match FleetPolymatroid::exact(&fleet).unwrap().exact_scaling(&set, centre.view()) {
            Ok(exact) => exact.gamma,
            Err(Error::UnboundedScaling) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        // On the border of the aggregate set there is nothing to scale.
        prop_assume!(exact > 1e-3);
        let answer = seek(&fleet, &set, centre.view(), AffineForm::Blocks).unwrap();
        prop_assert!(answer.gamma() <= exact * (1.0 + 1e-9), "{} beyond {exact}", answer.gamma());
        prop_assert!(answer.verify(&fleet, &set, 1e-9).is_ok());
        let steps = fleet.steps();
        let mut matrix = Array2::zeros((steps, steps));
        let mut translation = Array1::zeros(steps);
        for rule in answer.rules() {
            matrix += &rule.matrix;
            translation += &rule.translation;
        }
        for t in (0..steps).filter(|&t| set.upper()[t] > set.lower()[t]) {
            for s in (0..steps).filter(|&s| set.upper()[s] > set.lower()[s]) {
                let wanted = if s == t { answer.gamma() } else { 0.0 };
                prop_assert!((matrix[[t, s]] - wanted).abs() < 1e-9 * (1.0 + exact));
            }
        }
        prop_assert!((translation - &centre).iter().all(|off| off.abs() < 1e-9));
        let excess = largest_excess(&fleet, &set, &answer);
        prop_assert!(excess < 1e-7, "a vehicle is {excess} kW beyond its bounds");
        let other = seek(&fleet, &set, centre.view(), AffineForm::Energies).unwrap();
        prop_assert!(other.verify(&fleet, &set, 1e-9).is_ok());
        prop_assert!((other.gamma() - answer.gamma()).abs() <= 1e-5 * (1.0 + exact), "{} and {}", other.gamma(), answer.gamma());
    }

    /// Points of the scaled set become schedules that their vehicles can follow; points beyond it are refused.
    #[test]
    fn points_disaggregate((fleet, vectors) in fleet_and_vectors(8, 6, 6)) {
        let (set, centre) = instance(&fleet, &vectors);
        let Ok(answer) = seek(&fleet, &set, centre.view(), AffineForm::Blocks) else { return Ok(()) };
        prop_assume!(answer.gamma() > 1e-3);
        for direction in &vectors {
            let (_, x) = set.support(direction.view()).unwrap();
            let profile = &centre + &(answer.gamma() * &x);
            let schedule = answer.disaggregate(profile.view(), 1e-6).unwrap();
            prop_assert!(schedule.check(&fleet, 1e-6).unwrap().is_feasible());
            prop_assert!((schedule.aggregate_kw() - &profile).iter().all(|off| off.abs() < 1e-6));
            if x.iter().any(|v| v.abs() > 0.1) {
                let beyond = &centre + &(1.1 * answer.gamma() * &x);
                if let Err(error) = answer.disaggregate(beyond.view(), 1e-9) {
                    prop_assert!(matches!(error, Error::Separated { .. }), "{error}");
                } else {
                    // A maximiser that is no corner stays inside when it is stretched.
                    prop_assert!((set.normals().dot(&x) * 1.1 - set.offsets()).iter().all(|off| *off <= 1e-6));
                }
            }
        }
    }
}

/// As the paper writes it, with auxiliary variables that follow the rows of the inner set, and without them, over powers.
#[test]
fn the_programs_over_powers_have_the_same_optimum() {
    for (steps, seed) in [(3, 1), (3, 2), (5, 3), (6, 4)] {
        let (fleet, set, centre) = paper(steps, 3, seed);
        let ours = seek(&fleet, &set, centre.view(), AffineForm::Blocks)
            .unwrap()
            .gamma();
        for form in [AffineForm::AsWritten, AffineForm::Eliminated] {
            if form == AffineForm::AsWritten && steps > 3 {
                continue; // minutes
            }
            let other = seek(&fleet, &set, centre.view(), form).unwrap();
            let theirs = other.gamma();
            assert!(
                (theirs - ours).abs() < 1e-5,
                "{form:?}: {theirs} and {ours}"
            );
            assert!(other.verify(&fleet, &set, 1e-9).is_ok());
            assert!(largest_excess(&fleet, &set, &other) < 1e-7);
        }
    }
}

/// Vehicles that are equal count as one set that is as many times as large: γ is that of the program with a set for each, written
/// here from the vehicles' bounds.
#[test]
fn equal_vehicles_are_one_set() {
    for seed in [3, 4] {
        let (single, set, centre) = paper(4, 2, seed);
        let copies: Vec<Vehicle> = (0..3)
            .flat_map(|copy| single.vehicles().iter().map(move |vehicle| (copy, vehicle)))
            .map(|(copy, v)| {
                let vectors = [
                    v.power_min_kw(),
                    v.power_max_kw(),
                    v.energy_min_kwh(),
                    v.energy_max_kwh(),
                ];
                let [a, b, c, d] = vectors.map(<[f64]>::to_vec);
                Vehicle::new(format!("{}-{copy}", v.id()), a, b, c, d).unwrap()
            })
            .collect();
        let fleet = Fleet::new(single.grid().clone(), copies).unwrap();
        let centre = 3.0 * centre;
        let answer = seek(&fleet, &set, centre.view(), AffineForm::Blocks).unwrap();
        assert_eq!(answer.certificate().beta.len(), 2);
        assert!(largest_excess(&fleet, &set, &answer) < 1e-7);

        let identity = Array2::<f64>::eye(4);
        let rows = concatenate![Axis(0), set.normals().view(), identity, -&identity];
        let sides = concatenate![
            Axis(0),
            set.offsets().view(),
            set.upper().view(),
            -set.lower()
        ];
        let inner = AhPolytope::from(HPolytope::new(rows, sides).unwrap());
        let outers: Vec<AhPolytope> = fleet
            .vehicles()
            .iter()
            .map(|vehicle| {
                let own = facets(&VehicleSet::exact(vehicle, 1.0).unwrap());
                let normals = Array2::from_shape_fn((own.len(), 4), |(k, t)| own[k].0[t]);
                let offsets = own.iter().map(|(_, bound)| *bound).collect();
                HPolytope::new(normals, offsets).unwrap().into()
            })
            .collect();
        let theirs = Certifier::new(&Clarabel::default(), &Options::default())
            .scaling(&inner, &outers, centre.view())
            .unwrap();
        let theirs = theirs.containment.certificate().unwrap().gamma;
        assert!(
            (answer.gamma() - theirs).abs() < 1e-6,
            "{} and {theirs}",
            answer.gamma()
        );
    }
}

/// The derivatives of γ are those of central differences, with respect to everything that describes the inner set.
#[test]
fn gradients_are_central_differences() {
    const STEP: f64 = 1e-4;
    let mut compared = 0;
    for seed in 1..4 {
        let (fleet, set, centre) = paper(4, 3, seed);
        let gamma = |set: &InnerPolytope, centre: &Array1<f64>| {
            let answer = seek(&fleet, set, centre.view(), AffineForm::Blocks).unwrap();
            answer.optimum().unwrap()
        };
        let answer = seek(&fleet, &set, centre.view(), AffineForm::Blocks).unwrap();
        let gradient = answer.gradient().unwrap();
        let parts = || {
            (
                set.normals().clone(),
                set.offsets().clone(),
                set.lower().clone(),
                set.upper().clone(),
            )
        };
        let mut check = |name: &str, claimed: f64, at: &dyn Fn(f64) -> f64| {
            let (here, up, down) = (at(0.0), at(STEP), at(-STEP));
            let (right, left) = ((up - here) / STEP, (here - down) / STEP);
            // At a kink the sides differ, and any slope between them is right.
            if (right - left).abs() < 1e-4 {
                compared += 1;
                assert!(
                    (claimed - (up - down) / (2.0 * STEP)).abs() < 1e-4,
                    "{name}: {claimed}, {left} to {right}"
                );
            }
        };
        for k in 0..set.offsets().len() {
            check("offset", gradient.offsets[k], &|step| {
                let (normals, mut offsets, lower, upper) = parts();
                offsets[k] += step;
                gamma(
                    &InnerPolytope::new(normals, offsets, lower, upper).unwrap(),
                    &centre,
                )
            });
            check("normal", gradient.normals[[k, k % 4]], &|step| {
                let (mut normals, offsets, lower, upper) = parts();
                normals[[k, k % 4]] += step;
                gamma(
                    &InnerPolytope::new(normals, offsets, lower, upper).unwrap(),
                    &centre,
                )
            });
        }
        for t in 0..4 {
            check("upper bound", gradient.upper[t], &|step| {
                let (normals, offsets, lower, mut upper) = parts();
                upper[t] += step;
                gamma(
                    &InnerPolytope::new(normals, offsets, lower, upper).unwrap(),
                    &centre,
                )
            });
            check("lower bound", gradient.lower[t], &|step| {
                let (normals, offsets, mut lower, upper) = parts();
                lower[t] += step;
                gamma(
                    &InnerPolytope::new(normals, offsets, lower, upper).unwrap(),
                    &centre,
                )
            });
            check("centre", gradient.centre[t], &|step| {
                let mut centre = centre.clone();
                centre[t] += step;
                gamma(&set, &centre)
            });
        }
    }
    assert!(compared > 40, "only {compared} derivatives away from kinks");
}

/// A change of 1e-6 in the scale, a rule or an offset is refused, and 0.1 % beyond the exact scale as well.
#[test]
fn changes_are_refused() {
    let (fleet, set, centre) = paper(5, 4, 2);
    let answer = seek(&fleet, &set, centre.view(), AffineForm::Blocks).unwrap();
    let report = answer.verify(&fleet, &set, 1e-9).unwrap();
    assert!(report.worst() <= 1e-9);
    // The same certificate about smaller vehicles, a larger inner set.
    let larger = InnerPolytope::new(
        set.normals().clone(),
        set.offsets() * (1.0 + 1e-6),
        set.lower() * (1.0 + 1e-6),
        set.upper() * (1.0 + 1e-6),
    )
    .unwrap();
    assert!(matches!(
        answer.verify(&fleet, &larger, 1e-9),
        Err(Error::Polytope(_))
    ));
}

/// What cannot be answered says why.
#[test]
fn bad_questions_are_named() {
    let (fleet, set, centre) = paper(4, 2, 1);
    let far = &centre + 100.0;
    assert!(matches!(
        seek(&fleet, &set, far.view(), AffineForm::Blocks),
        Err(Error::CentreOutside { .. })
    ));
    let short = Array1::zeros(3);
    assert!(matches!(
        seek(&fleet, &set, short.view(), AffineForm::Blocks),
        Err(Error::Length { .. })
    ));
    let mut nan = centre.clone();
    nan[1] = f64::NAN;
    assert!(matches!(
        seek(&fleet, &set, nan.view(), AffineForm::Energies),
        Err(Error::NotFinite { .. })
    ));
    let point = InnerPolytope::new(
        Array2::zeros((0, 4)),
        Array1::zeros(0),
        Array1::zeros(4),
        Array1::zeros(4),
    )
    .unwrap();
    assert!(matches!(
        seek(&fleet, &point, centre.view(), AffineForm::Blocks),
        Err(Error::UnboundedScaling)
    ));
    let answer = seek(&fleet, &set, centre.view(), AffineForm::Blocks).unwrap();
    assert!(matches!(
        answer.disaggregate(far.view(), 1e-6),
        Err(Error::Separated { .. })
    ));
    let other = fleet_of(7, 3, 4);
    assert!(answer.verify(&other, &set, 1e-9).is_err());
}

/// A diamond with auxiliary variables `z ≥ |x|` has the scale of the same diamond by its 2^T facets, and its points disaggregate.
#[test]
fn lifted_sets_have_the_scale_of_their_shadow() {
    let (fleet, _, centre) = paper(3, 4, 5);
    let weight = [1.0, 1.7, 0.6];
    let facets = Array2::from_shape_fn((8, 3), |(k, t)| {
        if k >> t & 1 == 1 {
            weight[t]
        } else {
            -weight[t]
        }
    });
    let wide = Array1::from_elem(3, 20.0);
    let shadow = InnerPolytope::new(facets, Array1::from_elem(8, 4.0), -&wide, wide).unwrap();
    // w x − z ≤ 0, −w x − z ≤ 0, Σ z ≤ 4.
    let mut normals = Array2::zeros((7, 6));
    for t in 0..3 {
        normals[[t, t]] = weight[t];
        normals[[3 + t, t]] = -weight[t];
        normals[[t, 3 + t]] = -1.0;
        normals[[3 + t, 3 + t]] = -1.0;
        normals[[6, 3 + t]] = 1.0;
    }
    let mut offsets = Array1::zeros(7);
    offsets[6] = 4.0;
    let bounds = Array1::from_elem(6, 20.0);
    let lifted = InnerPolytope::lifted(3, normals, offsets, -&bounds, bounds).unwrap();
    let flat = seek(&fleet, &shadow, centre.view(), AffineForm::Blocks).unwrap();
    for form in [
        AffineForm::Blocks,
        AffineForm::Energies,
        AffineForm::AsWritten,
    ] {
        let answer = seek(&fleet, &lifted, centre.view(), form).unwrap();
        assert!(answer.verify(&fleet, &lifted, 1e-9).is_ok());
        // Rules of (x, z) reach at least as far as rules of x.
        assert!(
            answer.gamma() >= flat.gamma() * (1.0 - 1e-6),
            "{} and {}",
            answer.gamma(),
            flat.gamma()
        );
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let exact = exact.exact_scaling(&shadow, centre.view()).unwrap().gamma;
        assert!(answer.gamma() <= exact * (1.0 + 1e-9));
        for direction in [[1.0, 0.2, -0.5], [0.0, -1.0, 0.3], [-1.0, 1.0, 1.0]] {
            let (_, x) = lifted.support(ArrayView1::from(&direction)).unwrap();
            let profile = &centre + &(answer.gamma() * &x);
            let schedule = answer.disaggregate(profile.view(), 1e-6).unwrap();
            assert!(schedule.check(&fleet, 1e-6).unwrap().is_feasible());
            assert!(
                (schedule.aggregate_kw() - &profile)
                    .iter()
                    .all(|off| off.abs() < 1e-6)
            );
            let beyond = &centre + &(1.01 * answer.gamma() * &x);
            assert!(answer.disaggregate(beyond.view(), 1e-6).is_err());
        }
    }
}
