//! Laws of the inner sets: hulls and boxes.
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
    AggregateSet, BoxInner, Claim, EllipsoidInner, EllipsoidMeasure, FleetPolymatroid, Membership,
    Objective, VertexHull, ZonotopeInner,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

/// Rounding and solver tolerances, kW.
const CLOSE_KW: f64 = 1e-6;

fn objectives(vectors: &[Array1<f64>]) -> Vec<Objective> {
    let load_kw = 20.0 * &vectors[0];
    let price_eur_per_mwh = 100.0 * &vectors[1];
    vec![
        Objective::Peak {
            load_kw: load_kw.clone(),
        },
        Objective::Energy {
            price_eur_per_mwh: price_eur_per_mwh.clone(),
        },
        Objective::DemandCharge {
            price_eur_per_mwh,
            load_kw,
            rate_eur_per_kw: 0.03,
        },
        Objective::Tracking {
            target_kw: 30.0 * &vectors[2],
            weight: vectors[0].mapv(|v| v.abs().max(0.1)),
        },
    ]
}

/// Every set, by name. Hulls: of prices, of optima, of inside profiles.
fn sets<'a>(
    exact: &'a FleetPolymatroid,
    vectors: &[Array1<f64>],
) -> Vec<(&'static str, Box<dyn AggregateSet + 'a>)> {
    let options = Options::default();
    let directions = vectors.iter().map(|v| v.view());
    let inside: Vec<Array1<f64>> = vectors
        .windows(2)
        .map(|pair| {
            let ends = pair
                .iter()
                .map(|d| exact.support(d.view()).unwrap().profile_kw);
            0.5 * ends.fold(Array1::zeros(exact.steps()), |sum, end| sum + end)
        })
        .collect();
    vec![
        (
            "hull of directions",
            Box::new(VertexHull::of_directions(exact, directions).unwrap()),
        ),
        (
            "hull of samples",
            Box::new(VertexHull::sampled(exact, 150, 3).unwrap()),
        ),
        (
            "hull of optima",
            Box::new(VertexHull::of_objectives(exact, &objectives(vectors), &options).unwrap()),
        ),
        (
            "hull of profiles",
            Box::new(
                VertexHull::of_profiles(exact, inside.iter().map(|v| v.view()), 1e-7).unwrap(),
            ),
        ),
        ("box", Box::new(BoxInner::largest(exact, &options).unwrap())),
        (
            "box of vehicles",
            Box::new(BoxInner::of_vehicles(exact, &options).unwrap()),
        ),
        (
            "zonotope",
            Box::new(ZonotopeInner::new(exact, &Clarabel::default(), &options).unwrap()),
        ),
        (
            "zonotope of all shifts",
            Box::new(ZonotopeInner::of_all_shifts(exact, &Clarabel::default(), &options).unwrap()),
        ),
        (
            "ellipsoid",
            Box::new(EllipsoidInner::new(exact, &Clarabel::default(), &options).unwrap()),
        ),
        (
            "ellipsoid of largest volume",
            Box::new(
                EllipsoidInner::with_measure(
                    exact,
                    EllipsoidMeasure::Volume,
                    &Clarabel::default(),
                    &options,
                )
                .unwrap(),
            ),
        ),
    ]
}

/// What every inner set has to keep to.
fn check_set(
    name: &str,
    set: &dyn AggregateSet,
    fleet: &Fleet,
    exact: &FleetPolymatroid,
    vectors: &[Array1<f64>],
) -> Result<(), TestCaseError> {
    let solver = Clarabel::default();
    prop_assert_eq!(set.claim(), Claim::Inner, "{}", name);
    prop_assert_eq!(
        (set.steps(), set.step_hours()),
        (fleet.steps(), fleet.step_hours())
    );
    let mut corners: Vec<Array1<f64>> = Vec::new();
    for direction in vectors {
        let inner = set.support(direction.view(), &solver).unwrap();
        let outer = exact.support(direction.view()).unwrap().value;
        prop_assert!(
            inner.value <= outer + 1e-7 * (1.0 + outer.abs()),
            "{name}: {} beyond {outer}",
            inner.value
        );
        prop_assert!(
            (direction.dot(&inner.profile_kw) - inner.value).abs() <= 1e-9 * (1.0 + outer.abs())
        );
        corners.push(inner.profile_kw);
    }
    let middle = corners
        .iter()
        .fold(Array1::zeros(fleet.steps()), |sum, u| sum + u)
        / corners.len() as f64;
    for (direction, corner) in vectors.iter().zip(&corners) {
        prop_assert!(
            exact.contains(corner.view(), CLOSE_KW).unwrap().is_inside(),
            "{name}"
        );
        for profile in [corner, &middle] {
            prop_assert!(
                set.contains(profile.view(), CLOSE_KW, &solver)
                    .unwrap()
                    .is_inside(),
                "{name}"
            );
            let schedule = set.disaggregate(profile.view(), &solver).unwrap();
            let check = schedule.check(fleet, CLOSE_KW).unwrap();
            prop_assert!(check.is_feasible(), "{name}: {check:?}");
            let distance = (&schedule.aggregate_kw() - profile)
                .iter()
                .map(|d| d.abs())
                .fold(0.0, f64::max);
            prop_assert!(
                distance <= 1e-5,
                "{name}: the schedule is {distance} kW away"
            );
        }
        // Beyond the boundary along the direction: a half-space has to separate.
        let beyond = corner + &(0.1 * direction);
        let excess = 0.1 * direction.dot(direction);
        if excess > 1e-3 {
            match set.contains(beyond.view(), CLOSE_KW, &solver).unwrap() {
                Membership::Separated {
                    direction,
                    excess_kw,
                } => {
                    let most = set.support(direction.view(), &solver).unwrap().value;
                    prop_assert!(excess_kw > CLOSE_KW);
                    prop_assert!(
                        direction.dot(&beyond) - most >= excess_kw - 1e-9 * (1.0 + most.abs()),
                        "{name}"
                    );
                }
                other => prop_assert!(false, "{name}: {other:?}"),
            }
            prop_assert!(set.disaggregate(beyond.view(), &solver).is_err());
        }
    }
    check_decisions(name, set, fleet, exact, vectors)
}

/// Decisions: in the set, not better than exact ones, with a valid bound.
fn check_decisions(
    name: &str,
    set: &dyn AggregateSet,
    fleet: &Fleet,
    exact: &FleetPolymatroid,
    vectors: &[Array1<f64>],
) -> Result<(), TestCaseError> {
    let solver = Clarabel::default();
    let corners = vectors
        .iter()
        .map(|direction| set.support(direction.view(), &solver).unwrap().profile_kw);
    let mut others: Vec<Array1<f64>> = corners.collect();
    others.push(
        others
            .iter()
            .fold(Array1::zeros(fleet.steps()), |sum, u| sum + u)
            / others.len() as f64,
    );
    for objective in objectives(vectors) {
        let kind = objective.kind();
        let best = exact
            .decide(&objective, &Options::default())
            .unwrap()
            .decision;
        let decision = set
            .minimise(&objective, &solver, &Options::default())
            .unwrap();
        let scale = 1.0 + decision.cost.abs();
        prop_assert!(
            decision.cost >= best.lower_bound - 1e-6 * scale,
            "{name}, {kind}"
        );
        prop_assert!(decision.lower_bound <= decision.cost);
        prop_assert!(
            decision.cost - decision.lower_bound <= 1e-6 * scale,
            "{name}, {kind}: {decision:?}"
        );
        prop_assert!(
            set.contains(decision.profile_kw.view(), CLOSE_KW, &solver)
                .unwrap()
                .is_inside(),
            "{name}, {kind}"
        );
        prop_assert!(
            (objective.cost(decision.profile_kw.view(), fleet.step_hours()) - decision.cost).abs()
                <= 1e-9 * scale
        );
        // The bound is below every other point, and the minorant below the cost.
        for other in &others {
            let cost = objective.cost(other.view(), fleet.step_hours());
            prop_assert!(
                decision.lower_bound <= cost + 1e-9 * (scale + cost.abs()),
                "{name}, {kind}"
            );
            let minorant = decision.minorant.constant + decision.minorant.slope.dot(other);
            prop_assert!(
                minorant <= cost + 1e-7 * (scale + cost.abs()),
                "{name}, {kind}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Inside the exact set; points reach the vehicles; decisions are bounded; outside is separated.
    #[test]
    fn inner_sets_are_inside((fleet, vectors) in fleet_and_vectors(6, 8, 4)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        for (name, set) in sets(&exact, &vectors) {
            check_set(name, set.as_ref(), &fleet, &exact, &vectors)?;
        }
    }

    /// The widths are the lexicographically optimal base of `b − p`: the steps whose width is at most a
    /// given one form a tight set, which bounds every other box from above.
    #[test]
    fn the_largest_box_is_proven_by_its_level_sets(fleet in common::fleet(6, 8)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let set = BoxInner::largest(&exact, &Options::default()).unwrap();
        let widths = set.widths_kw();
        let scale = 1.0 + widths.iter().fold(0.0, |most: f64, w| most.max(*w));
        prop_assert!(widths.iter().all(|&width| width >= 0.0));
        for &level in &widths {
            let below: Vec<usize> = (0..fleet.steps()).filter(|&t| widths[t] <= level + 1e-7 * scale).collect();
            let (least, most) = exact.subset_bounds(&below).unwrap();
            let sum: f64 = below.iter().map(|&t| widths[t]).sum();
            prop_assert!((sum - (most - least)).abs() <= 1e-6 * scale, "{below:?}: {sum} of {}", most - least);
        }
        let own = BoxInner::of_vehicles(&exact, &Options::default()).unwrap();
        let product = |set: &BoxInner<'_>| set.widths_kw().iter().product::<f64>();
        prop_assert!(product(&own) <= product(&set) * (1.0 + 1e-6) + 1e-9);
    }

    /// Over a box, the closed formulas are the optima: no point of a grid is better.
    #[test]
    fn box_decisions_beat_every_grid_point((fleet, vectors) in fleet_and_vectors(3, 3, 3)) {
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let set = BoxInner::largest(&exact, &Options::default()).unwrap();
        let (steps, widths) = (fleet.steps(), set.widths_kw());
        for objective in objectives(&vectors) {
            let best = set.minimise(&objective, &Clarabel::default(), &Options::default()).unwrap();
            prop_assert!(best.cost - best.lower_bound <= 1e-9 * (1.0 + best.cost.abs()), "{}: {best:?}", objective.kind());
            for index in 0..11_usize.pow(u32::try_from(steps).unwrap()) {
                let u: Array1<f64> = (0..steps)
                    .map(|t| {
                        let place = index / 11_usize.pow(u32::try_from(t).unwrap()) % 11;
                        set.lower_kw()[t] + widths[t] * place as f64 / 10.0
                    })
                    .collect();
                let cost = objective.cost(u.view(), fleet.step_hours());
                prop_assert!(best.cost <= cost + 1e-9 * (1.0 + cost.abs()), "{}", objective.kind());
            }
        }
    }
}

#[test]
fn the_hull_of_all_vertices_is_the_set() {
    for (seed, steps) in [(11, 3), (12, 4), (13, 4)] {
        let fleet = common::fleet_of(seed, 4, steps);
        let exact = FleetPolymatroid::exact(&fleet).unwrap();
        let solver = Clarabel::default();
        let hull = VertexHull::sampled(&exact, 5000, 1).unwrap();
        assert!(hull.len() < 500, "{} vertices at {steps} steps", hull.len());
        for number in 0..20_u16 {
            let other = VertexHull::sampled(&exact, steps + 1, 5000 + u64::from(number)).unwrap();
            let vertex = other.points_kw().row(0);
            assert!(hull.contains(vertex, 1e-6, &solver).unwrap().is_inside());
            let middle = other.points_kw().mean_axis(ndarray::Axis(0)).unwrap();
            let schedule = hull.disaggregate(middle.view(), &solver).unwrap();
            assert!(schedule.check(&fleet, 1e-6).unwrap().is_feasible());
            assert!(
                (&schedule.aggregate_kw() - &middle)
                    .iter()
                    .all(|d| d.abs() < 1e-5)
            );
            // More points than a program is written over: the optimum is that of the exact set.
            let vectors: Vec<Array1<f64>> = (0..3)
                .map(|shift| {
                    Array1::from_shape_fn(steps, |t| {
                        (f64::from(number) + (shift + 3 * t) as f64).sin()
                    })
                })
                .collect();
            for objective in objectives(&vectors) {
                let best = exact
                    .decide(&objective, &Options::default())
                    .unwrap()
                    .decision;
                let found = hull
                    .minimise(&objective, &solver, &Options::default())
                    .unwrap();
                let scale = 1.0 + best.cost.abs();
                assert!(
                    (found.cost - best.cost).abs() <= 1e-6 * scale,
                    "{}: {found:?}",
                    objective.kind()
                );
                assert!(found.lower_bound <= best.cost + 1e-9 * scale);
            }
        }
    }
}

#[test]
fn equal_profiles_are_kept_once_and_bad_input_is_named() {
    let fleet = common::fleet_of(5, 3, 4);
    let exact = FleetPolymatroid::exact(&fleet).unwrap();
    let twice = Array2::from_shape_fn((2, 4), |(_, t)| [1.0, -0.5, 0.3, 0.1][t]);
    let hull = VertexHull::of_directions(&exact, twice.rows()).unwrap();
    assert_eq!((hull.len(), hull.is_empty()), (1, false));
    let none = VertexHull::sampled(&exact, 0, 1).unwrap_err();
    assert!(none.to_string().contains("at least one point"), "{none}");
    let short = Array2::<f64>::zeros((1, 3));
    let error = VertexHull::of_directions(&exact, short.rows()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "direction: expected 4 entries, one per step, found 3"
    );
    let far = Array2::from_elem((1, 4), 1e3);
    let error = VertexHull::of_profiles(&exact, far.rows(), 1e-6).unwrap_err();
    assert!(error.to_string().contains("outside the set"), "{error}");
    let error = hull.mixture(ndarray::array![-1.0].view()).unwrap_err();
    assert!(
        error.to_string().contains("the weight of a point is -1"),
        "{error}"
    );
    let cancelled = Options::default();
    cancelled.cancel.cancel();
    let objective = Objective::Peak {
        load_kw: Array1::zeros(4),
    };
    let error = VertexHull::of_objectives(&exact, &[objective], &cancelled).unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
}

/// One vehicle over two hours.
fn car(power: [f64; 2], sum_min: f64, sum_max: f64) -> FleetPolymatroid {
    let bounds = |value: f64| vec![value; 2];
    let vehicle = evflex_fleet::Vehicle::new(
        "car",
        bounds(power[0]),
        bounds(power[1]),
        vec![-99.0, sum_min],
        vec![99.0, sum_max],
    );
    let grid = evflex_fleet::TimeGrid::new(2, evflex_fleet::Hours(1.0)).unwrap();
    FleetPolymatroid::exact(&Fleet::new(grid, vec![vehicle.unwrap()]).unwrap()).unwrap()
}

#[test]
fn a_hexagon_is_a_zonotope_of_steps_and_shifts() {
    // |u_0|, |u_1|, |u_0 + u_1| ≤ 1 is the sum of segments along (1, 0), (0, 1) and (1, −1).
    let exact = car([-1.0, 1.0], -1.0, 1.0);
    let set = ZonotopeInner::new(&exact, &Clarabel::default(), &Options::default()).unwrap();
    for direction in 0..36 {
        let angle = f64::from(direction) * std::f64::consts::TAU / 36.0;
        let direction = ndarray::array![angle.cos(), angle.sin()];
        let inner = set.support(direction.view(), &Clarabel::default()).unwrap();
        let outer = exact.support(direction.view()).unwrap();
        assert!(
            (inner.value - outer.value).abs() < 1e-6,
            "{inner:?} of {outer:?}"
        );
    }
    for (extent, wanted) in set.extents_kw().iter().zip([0.5, 0.5, 0.5_f64.sqrt()]) {
        assert!((extent - wanted).abs() < 1e-6, "{}", set.extents_kw());
    }
}

#[test]
fn ellipsoids_of_largest_trace_by_hand() {
    let (solver, options) = (Clarabel::default(), Options::default());
    // A square: the circle that touches its sides.
    let exact = car([0.0, 4.0], -9.0, 9.0);
    let set = EllipsoidInner::new(&exact, &solver, &options).unwrap();
    assert!((set.centre_kw() - 2.0).iter().all(|d| d.abs() < 1e-6));
    assert!((set.shape_kw().diag().sum() - 4.0).abs() < 1e-6);
    // The trace is flat in the other entries: an error of ε in it leaves √ε there.
    assert!(
        (set.shape_kw() - &(2.0 * Array2::<f64>::eye(2)))
            .iter()
            .all(|d| d.abs() < 1e-2)
    );
    // The hexagon: E = (a b; b a) with a² + b² = 1 and √2 (a + b) = 1, so a = cos 15°.
    let exact = car([-1.0, 1.0], -1.0, 1.0);
    let set = EllipsoidInner::new(&exact, &solver, &options).unwrap();
    let wanted = 15.0_f64.to_radians().cos();
    assert!((set.shape_kw().diag().sum() - 2.0 * wanted).abs() < 1e-6);
    // The ellipse of largest area in it: x² + y² + x y = 3 / 4, the affine image of a circle in the regular
    // hexagon; it touches every facet, and its area is π · √(det) with det(E Eᵀ) = 3 / 4.
    let measure = EllipsoidMeasure::Volume;
    let set = EllipsoidInner::with_measure(&exact, measure, &solver, &options).unwrap();
    let (a, b) = (set.shape_kw()[[0, 0]], set.shape_kw()[[0, 1]]);
    assert!(
        (a * a - b * b - 0.75_f64.sqrt()).abs() < 1e-6,
        "{}",
        set.shape_kw()
    );
    assert!((a * a + b * b - 1.0).abs() < 1e-4);
    // A fixed sum leaves a segment, of which the set is all.
    let exact = car([-1.0, 1.0], 0.5, 0.5);
    let set = EllipsoidInner::new(&exact, &solver, &options).unwrap();
    let best = set
        .support(ndarray::array![1.0, -1.0].view(), &solver)
        .unwrap();
    assert!((best.value - 1.5).abs() < 1e-6, "{best:?}");
    assert!((best.profile_kw.sum() - 0.5).abs() < 1e-12);
}

#[test]
fn one_step_is_an_interval_for_all() {
    let fleet = common::fleet_of(3, 3, 1);
    let exact = FleetPolymatroid::exact(&fleet).unwrap();
    let (solver, options) = (Clarabel::default(), Options::default());
    let sets: [Box<dyn AggregateSet + '_>; 5] = [
        Box::new(BoxInner::largest(&exact, &options).unwrap()),
        Box::new(BoxInner::of_vehicles(&exact, &options).unwrap()),
        Box::new(VertexHull::sampled(&exact, 9, 1).unwrap()),
        Box::new(ZonotopeInner::new(&exact, &solver, &options).unwrap()),
        Box::new(EllipsoidInner::new(&exact, &solver, &options).unwrap()),
    ];
    for (set, sign) in sets.iter().flat_map(|set| [(set, 1.0), (set, -1.0)]) {
        let direction = ndarray::array![sign];
        let outer = exact.support(direction.view()).unwrap().value;
        let inner = set.support(direction.view(), &solver).unwrap().value;
        assert!((inner - outer).abs() < 1e-6, "{inner} of {outer}");
    }
}

#[test]
fn programs_of_vehicles_obey_their_options() {
    let exact = car([-1.0, 1.0], -1.0, 1.0);
    let solver = Clarabel::default();
    let cancelled = Options::default();
    cancelled.cancel.cancel();
    let error = ZonotopeInner::new(&exact, &solver, &cancelled).unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    let error = BoxInner::largest(&exact, &cancelled).unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    let late = Options::default().time_limit(std::time::Duration::ZERO);
    let error = EllipsoidInner::new(&exact, &solver, &late).unwrap_err();
    assert!(error.to_string().contains("time limit"), "{error}");
    let error = BoxInner::of_vehicles(&exact, &late).unwrap_err();
    assert!(error.to_string().contains("time limit"), "{error}");
    let reports = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = reports.clone();
    let listening = Options::default()
        .threads(1)
        .progress(evflex_solver::Progress::new(move |report| {
            assert_eq!(report.total, Some(1));
            seen.fetch_add(report.done, std::sync::atomic::Ordering::Relaxed);
        }));
    ZonotopeInner::new(&exact, &solver, &listening).unwrap();
    assert_eq!(reports.load(std::sync::atomic::Ordering::Relaxed), 1);
    let generators = ZonotopeInner::steps_and_shifts(2, 1);
    let weights = ndarray::array![1.0, 1.0];
    let error =
        ZonotopeInner::with_generators(&exact, generators, weights.view(), &solver, &listening)
            .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("weights of the generators: expected 3"),
        "{error}"
    );
}
