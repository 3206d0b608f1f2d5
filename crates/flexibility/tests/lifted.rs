//! Laws of lifted sets: against the same set with the auxiliary variables eliminated, and against differences.
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
    AggregateSet, ExactScaler, FleetPolymatroid, InnerPolytope, Membership, Objective,
    ScaledPolytope, SetGradient, Verification,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2, ArrayView1, s};
use proptest::prelude::*;

const WIDTH: usize = 4;
const ROOM: f64 = 3.0;

/// `{x : Σ_i v_i max(0, w_i · x − o_i) ≤ ROOM}` within a box, lifted and as one row per subset of the terms.
struct Instance {
    fleet: FleetPolymatroid,
    centre: Array1<f64>,
    lifted: InnerPolytope,
    eliminated: InnerPolytope,
}

fn instance(fleet: &Fleet, vectors: &[Array1<f64>]) -> Instance {
    let set = FleetPolymatroid::exact(fleet).unwrap();
    let steps = fleet.steps();
    let mut centre = Array1::zeros(steps);
    for direction in vectors {
        centre = centre + set.support(direction.view()).unwrap().profile_kw / vectors.len() as f64;
    }
    let weights = &vectors[..WIDTH];
    let outputs: Vec<f64> = weights.iter().map(|w| 0.5 + w[0].abs()).collect();
    let thresholds: Vec<f64> = weights.iter().map(|w| w[steps - 1].abs()).collect();
    let upper = vectors[WIDTH].mapv(|v| 1.0 + 4.0 * v.abs());
    let lower = vectors[WIDTH + 1].mapv(|v| -1.0 - 4.0 * v.abs());
    // w · x − z ≤ threshold, v · z ≤ ROOM, 0 ≤ z; z is at most what the box makes of its term.
    let mut normals = Array2::zeros((WIDTH + 1, steps + WIDTH));
    for (i, w) in weights.iter().enumerate() {
        normals.slice_mut(s![i, ..steps]).assign(w);
        normals[[i, steps + i]] = -1.0;
        normals[[WIDTH, steps + i]] = outputs[i];
    }
    let mut offsets = thresholds.clone();
    offsets.push(ROOM);
    let most = |w: &Array1<f64>| -> f64 {
        (0..steps)
            .map(|t| f64::max(w[t] * upper[t], w[t] * lower[t]))
            .sum()
    };
    let all_lower = lower.iter().copied().chain([0.0; WIDTH]).collect();
    let all_upper = upper
        .iter()
        .copied()
        .chain(weights.iter().map(most))
        .collect();
    let lifted =
        InnerPolytope::lifted(steps, normals, offsets.into(), all_lower, all_upper).unwrap();

    let mut rows = Array2::zeros(((1 << WIDTH) - 1, steps));
    let mut sides = Vec::new();
    for terms in 1..1_usize << WIDTH {
        let mut side = ROOM;
        for i in (0..WIDTH).filter(|i| terms >> i & 1 == 1) {
            rows.row_mut(terms - 1).scaled_add(outputs[i], &weights[i]);
            side += outputs[i] * thresholds[i];
        }
        sides.push(side);
    }
    let eliminated = InnerPolytope::new(rows, sides.into(), lower, upper).unwrap();
    Instance {
        fleet: set,
        centre,
        lifted,
        eliminated,
    }
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
            weight: Array1::ones(vectors[0].len()),
        },
    ]
}

/// A lifted set with one number changed: which array, which entry.
fn changed(set: &InnerPolytope, array: usize, entry: usize, change: f64) -> Option<InnerPolytope> {
    let mut normals = set.normals().clone();
    let (mut offsets, mut lower, mut upper) = (
        set.offsets().clone(),
        set.lower().clone(),
        set.upper().clone(),
    );
    match array {
        0 => {
            let (rows, columns) = normals.dim();
            normals[[entry / columns % rows, entry % columns]] += change;
        }
        1 => offsets[entry % set.offsets().len()] += change,
        2 => lower[entry % set.steps()] += change,
        _ => upper[entry % set.steps()] += change,
    }
    InnerPolytope::lifted(set.steps(), normals, offsets, lower, upper).ok()
}

fn entry_of(gradient: &SetGradient, set: &InnerPolytope, array: usize, entry: usize) -> f64 {
    match array {
        0 => {
            let columns = gradient.normals.ncols();
            gradient.normals[[entry / columns % gradient.normals.nrows(), entry % columns]]
        }
        1 => gradient.offsets[entry % gradient.offsets.len()],
        2 => gradient.lower[entry % set.steps()],
        _ => gradient.upper[entry % set.steps()],
    }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Supports, scalings and costs do not depend on the representation, and the certificate verifies.
    #[test]
    fn lifting_changes_nothing((fleet, vectors) in fleet_and_vectors(5, 6, 7)) {
        let Instance { fleet, centre, lifted, eliminated } = instance(&fleet, &vectors);
        for direction in &vectors {
            let (ours, point) = lifted.support(direction.view()).unwrap();
            let (theirs, _) = eliminated.support(direction.view()).unwrap();
            prop_assert!(close(ours, theirs, 1e-9), "{ours} {theirs}");
            prop_assert!(eliminated.normals().rows().into_iter().zip(eliminated.offsets()).all(|(row, d)| row.dot(&point) <= d + 1e-9));
        }
        let ours = fleet.exact_scaling(&lifted, centre.view()).unwrap();
        let theirs = fleet.exact_scaling(&eliminated, centre.view()).unwrap();
        prop_assert!(close(ours.gamma, theirs.gamma, 1e-9), "{} {}", ours.gamma, theirs.gamma);
        prop_assert_eq!(ours.certificate.verify(&fleet, &lifted, centre.view(), 1e-9).unwrap(), Verification::Confirmed);
        if ours.gamma < 1e-3 { return Ok(()); }
        let mut broken = ours.certificate.clone();
        broken.gamma *= 1.0 + 1e-6;
        // A change of 1e-6 breaks the binding inequality by 1e-6 of its room.
        let refused = broken.verify(&fleet, &lifted, centre.view(), 1e-12).unwrap();
        prop_assert_ne!(refused, Verification::Confirmed);

        let (ours, theirs) = (
            ScaledPolytope::new(&fleet, &lifted, centre.view(), ours.gamma).unwrap(),
            ScaledPolytope::new(&fleet, &eliminated, centre.view(), theirs.gamma).unwrap(),
        );
        let (solver, options) = (Clarabel::default(), Options::default());
        for objective in objectives(&vectors) {
            let (a, _) = ours.minimise_with_gradient(&objective, &solver, &options).unwrap();
            let (b, _) = theirs.minimise_with_gradient(&objective, &solver, &options).unwrap();
            let size = 1.0 + a.cost.abs();
            prop_assert!((a.cost - b.cost).abs() <= 1e-6 * size, "{}: {} {}", objective.kind(), a.cost, b.cost);
            prop_assert!(a.cost - a.lower_bound <= 1e-6 * size, "{}: {a:?}", objective.kind());
        }
    }

    /// The simplex of this crate finds what a solver of the whole program finds.
    #[test]
    fn decisions_agree_with_a_solver((fleet, vectors) in fleet_and_vectors(5, 6, 7)) {
        let Instance { fleet, centre, lifted, .. } = instance(&fleet, &vectors);
        let set = ScaledPolytope::new(&fleet, &lifted, centre.view(), 0.7).unwrap();
        for objective in objectives(&vectors) {
            let (ours, _) = set.minimise_with_gradient(&objective, &Clarabel::default(), &Options::default()).unwrap();
            let theirs = by_program(&set, &lifted, centre.view(), &objective, fleet.step_hours());
            prop_assert!(close(ours.cost, theirs, 1e-6), "{}: {} {theirs}", objective.kind(), ours.cost);
        }
    }

    /// Points of the set are inside, points beyond it are separated by a half-space that holds the set.
    #[test]
    fn membership_agrees_with_support((fleet, vectors) in fleet_and_vectors(4, 6, 7)) {
        let Instance { fleet, centre, lifted, .. } = instance(&fleet, &vectors);
        let set = ScaledPolytope::new(&fleet, &lifted, centre.view(), 0.5).unwrap();
        let solver = Clarabel::default();
        for direction in &vectors {
            let end = set.support(direction.view(), &solver).unwrap();
            prop_assert!(set.contains(end.profile_kw.view(), 1e-9, &solver).unwrap().is_inside());
            let beyond = &centre + &(1.01 * (&end.profile_kw - &centre));
            if (end.value - direction.dot(&centre)) > 1e-3 {
                match set.contains(beyond.view(), 1e-9, &solver).unwrap() {
                    Membership::Separated { direction, excess_kw } => {
                        let support = set.support(direction.view(), &solver).unwrap().value;
                        prop_assert!(direction.dot(&beyond) >= support + excess_kw - 1e-9);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }

    /// γ and costs change with every number of the set, and with the centre, as their gradients say.
    #[test]
    fn gradients_agree_with_differences((fleet, vectors) in fleet_and_vectors(5, 6, 7), array in 0..5_usize, entry in any::<u16>(), which in 0..4_usize) {
        let Instance { fleet, centre, lifted, .. } = instance(&fleet, &vectors);
        let scaler = ExactScaler::new(&fleet).unwrap();
        let scaling = scaler.scale(&lifted, centre.view()).unwrap();
        if scaling.kink || scaling.gamma < 1e-2 { return Ok(()); }
        let objective = &objectives(&vectors)[which];
        let (solver, options) = (Clarabel::default(), Options::default());
        let entry = usize::from(entry);
        let step = 1e-4;
        let moved = |change: f64| -> Option<(f64, SetGradient, f64, SetGradient)> {
            let (set, centre) = if array == 4 {
                let mut centre = centre.clone();
                let t = entry % centre.len();
                centre[t] += change;
                (lifted.clone(), centre)
            } else {
                (changed(&lifted, array, entry, change)?, centre.clone())
            };
            let scaling = scaler.scale(&set, centre.view()).ok()?;
            if scaling.kink { return None; }
            let scaled = ScaledPolytope::new(&fleet, &set, centre.view(), scaling.gamma).unwrap();
            let (decision, gradient) = scaled.minimise_with_gradient(objective, &solver, &options).unwrap();
            let total = gradient.with_scaling(&scaling.gradient);
            Some((scaling.gamma, scaling.gradient, decision.cost, total))
        };
        let (Some(more), Some(here), Some(less)) = (moved(step), moved(0.0), moved(-step)) else { return Ok(()) };
        let of = |gradient: &SetGradient| if array == 4 {
            gradient.centre[entry % centre.len()]
        } else {
            entry_of(gradient, &lifted, array, entry)
        };
        // Between two points of one smooth piece the derivative moves little; kinks in between are left out.
        let smooth = |a: f64, b: f64, c: f64| close(a, b, 1e-3) && close(b, c, 1e-3);
        if smooth(of(&more.1), of(&here.1), of(&less.1)) {
            let difference = (more.0 - less.0) / (2.0 * step);
            prop_assert!(close(difference, of(&here.1), 1e-6), "gamma: {difference} against {}", of(&here.1));
        }
        if which < 3 && smooth(of(&more.3), of(&here.3), of(&less.3)) {
            let difference = (more.2 - less.2) / (2.0 * step);
            prop_assert!(close(difference, of(&here.3), 1e-5), "cost: {difference} against {}", of(&here.3));
        }
    }

    /// A pool of directions never allows less than all of them, and the pool of a sweep allows the same.
    #[test]
    fn pools_bound_the_scaling((fleet, vectors) in fleet_and_vectors(5, 7, 7)) {
        let Instance { fleet, centre, lifted, .. } = instance(&fleet, &vectors);
        let scaler = ExactScaler::new(&fleet).unwrap();
        let scaling = scaler.scale(&lifted, centre.view()).unwrap();
        let limit = scaler.limit_over(&lifted, centre.view(), &scaling.pool).unwrap();
        prop_assert!(close(limit.gamma, scaling.gamma, 1e-12));
        let other = changed(&lifted, 1, 2, 0.1).unwrap();
        let limit = scaler.limit_over(&other, centre.view(), &scaling.pool).unwrap();
        prop_assert!(limit.gamma >= scaler.scale(&other, centre.view()).unwrap().gamma - 1e-9);
    }
}

/// The decision as one program over powers and auxiliary variables, written here once more.
fn by_program(
    set: &ScaledPolytope<'_>,
    lifted: &InnerPolytope,
    centre: ArrayView1<'_, f64>,
    objective: &Objective,
    step_hours: f64,
) -> f64 {
    use evflex_solver::{ProblemBuilder, Solver};
    let (steps, variables, gamma) = (lifted.steps(), lifted.variables(), set.gamma());
    let mut builder = ProblemBuilder::new("decision");
    let w: Vec<_> = (0..variables)
        .map(|j| {
            let (low, high) = (gamma * lifted.lower()[j], gamma * lifted.upper()[j]);
            builder.variable(format!("w_{j}"), low, high, 0.0)
        })
        .collect();
    for (k, row) in lifted.normals().rows().into_iter().enumerate() {
        let terms: Vec<_> = w.iter().copied().zip(row.iter().copied()).collect();
        builder.row(
            format!("row_{k}"),
            f64::NEG_INFINITY,
            terms,
            gamma * lifted.offsets()[k],
        );
    }
    let mut constant = 0.0;
    let epigraph = |builder: &mut ProblemBuilder, load: &Array1<f64>, weight, both| {
        let top = builder.variable("top", f64::NEG_INFINITY, f64::INFINITY, weight);
        for t in 0..steps {
            let at = centre[t] + load[t];
            builder.row(
                format!("above_{t}"),
                f64::NEG_INFINITY,
                [(w[t], 1.0), (top, -1.0)],
                -at,
            );
            if both {
                builder.row(
                    format!("below_{t}"),
                    -at,
                    [(w[t], 1.0), (top, 1.0)],
                    f64::INFINITY,
                );
            }
        }
    };
    match objective {
        Objective::Peak { load_kw } => epigraph(&mut builder, load_kw, 1.0, true),
        Objective::DemandCharge {
            load_kw,
            rate_eur_per_kw,
            ..
        } => epigraph(&mut builder, load_kw, *rate_eur_per_kw, false),
        Objective::Tracking { target_kw, .. } => {
            // (w + Δ − r)² = w² + 2 w (Δ − r) + (Δ − r)²
            for t in 0..steps {
                let off = centre[t] - target_kw[t];
                builder.quadratic(w[t], w[t], 1.0);
                builder.set_cost(w[t], 2.0 * off);
                constant += off * off;
            }
        }
        _ => {}
    }
    if let Objective::Energy { price_eur_per_mwh }
    | Objective::DemandCharge {
        price_eur_per_mwh, ..
    } = objective
    {
        for t in 0..steps {
            let price = price_eur_per_mwh[t] * step_hours / 1000.0;
            builder.set_cost(w[t], price);
            constant += price * centre[t];
        }
    }
    let problem = builder.build().unwrap();
    Clarabel::default()
        .solve(&problem, &Options::default())
        .unwrap()
        .into_optimal()
        .unwrap()
        .objective()
        + constant
}
