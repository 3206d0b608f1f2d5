//! Derivatives of γ and of the loss against central finite differences, for every parameter and depth.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and prints what it compared"
)]

use evflex_fleet::synthetic::Population;
use evflex_fleet::{Hours, TimeGrid};
use evflex_flexibility::{ExactScaler, FleetPolymatroid, Objective, VehicleSet};
use evflex_icnn::{
    Candidate, GradientRule, Icnn, Layout, Loss, Parameter, affine_scaling, decision_loss, middle,
    vehicle_polytopes,
};
use evflex_solver::{Clarabel, Options};
use ndarray::Array1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod common;
use common::random_network;

const STEP: f64 = 1e-4;

struct Case {
    fleet: FleetPolymatroid,
    scaler: ExactScaler,
    candidate: Candidate,
    days: Vec<Objective>,
}

impl Case {
    fn new(seed: u64, depth: usize, kind: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let steps = 5;
        let vehicles = Population::new(TimeGrid::new(steps, Hours(1.0)).unwrap(), 3)
            .generate(seed)
            .unwrap();
        let fleet = FleetPolymatroid::exact(&vehicles).unwrap();
        let scaler = ExactScaler::new(&fleet).unwrap();
        let network = random_network(&mut rng, steps, depth, 6);
        let centre = Candidate::interval_rows(&fleet, None, 1).unwrap().centre;
        let mut vector =
            |low: f64, high: f64| Array1::from_shape_fn(steps, |_| rng.random_range(low..high));
        let days = (0..3)
            .map(|_| match kind {
                0 => Objective::Peak {
                    load_kw: vector(5.0, 60.0),
                },
                1 => Objective::Energy {
                    price_eur_per_mwh: vector(-20.0, 400.0),
                },
                2 => Objective::DemandCharge {
                    price_eur_per_mwh: vector(10.0, 400.0),
                    load_kw: vector(5.0, 60.0),
                    rate_eur_per_kw: 0.7,
                },
                _ => Objective::Tracking {
                    target_kw: vector(-20.0, 30.0),
                    weight: vector(0.2, 1.0),
                },
            })
            .collect();
        Self {
            candidate: Candidate::new(network, centre).unwrap(),
            fleet,
            scaler,
            days,
        }
    }

    fn loss(&self, candidate: &Candidate) -> Loss {
        decision_loss(
            &self.fleet,
            &self.scaler,
            candidate,
            &self.days,
            GradientRule::Exact,
        )
        .unwrap()
    }
}

/// The set with one parameter changed; the centre moves with the set in place.
fn changed(candidate: &Candidate, layout: &Layout, index: usize, by: f64) -> Option<Candidate> {
    let (network, centre) = (&candidate.network, &candidate.centre);
    let moved = layout.range(Parameter::Centre);
    if moved.contains(&index) {
        let mut shift = Array1::zeros(centre.len());
        shift[index - moved.start] = by;
        let network = network.seen_from(shift.view()).ok()?;
        return Candidate::new(network, centre + &shift).ok();
    }
    let mut all = layout.flatten(network, centre.view()).unwrap();
    all[index] += by;
    let (weights, centre) = layout.restore(&all).unwrap();
    Candidate::new(Icnn::new(weights).ok()?, centre).ok()
}

/// Compares all parameters; returns how many were compared.
fn compare(case: &Case) -> (usize, f64) {
    let here = case.loss(&case.candidate);
    assert!((here.cost - here.lower_bound).abs() <= 1e-9 * (1.0 + here.cost.abs()));
    let layout = Layout::of(&case.candidate.network);
    let size = |values: &[f64]| values.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
    let (scale, gamma_scale) = (size(&here.gradient), size(&here.gamma_gradient));
    let (mut compared, mut worst) = (0, 0.0_f64);
    for index in 0..layout.len() {
        let (Some(more), Some(less)) = (
            changed(&case.candidate, &layout, index, STEP),
            changed(&case.candidate, &layout, index, -STEP),
        ) else {
            continue;
        };
        let (more, less) = (case.loss(&more), case.loss(&less));
        // Away from kinks: the one-sided slopes agree up to curvature.
        let one_sided = |a: f64, b: f64, c: f64| ((c - b) - (b - a)).abs() / STEP;
        if one_sided(less.cost, here.cost, more.cost) > 1e-3 * scale
            || one_sided(less.gamma, here.gamma, more.gamma) > 1e-3 * gamma_scale
        {
            continue;
        }
        let slope = (more.cost - less.cost) / (2.0 * STEP);
        let gamma_slope = (more.gamma - less.gamma) / (2.0 * STEP);
        let off = ((slope - here.gradient[index]) / scale)
            .abs()
            .max(((gamma_slope - here.gamma_gradient[index]) / gamma_scale).abs());
        worst = worst.max(off);
        assert!(
            off <= 1e-6,
            "parameter {index} of {:?}: {slope} and {}, γ {gamma_slope} and {}",
            layout
                .blocks()
                .iter()
                .find(|(_, range)| range.contains(&index)),
            here.gradient[index],
            here.gamma_gradient[index]
        );
        compared += 1;
    }
    (compared, worst)
}

fn all_kinds(depth: usize) {
    for kind in 0..4 {
        let (mut compared, mut worst) = (0, 0.0_f64);
        for seed in 0..6 {
            let (count, off) = compare(&Case::new(seed, depth, kind));
            compared += count;
            worst = worst.max(off);
        }
        println!("depth {depth}, kind {kind}: {compared} derivatives, worst {worst:e}");
        let parameters = Layout::of(&Case::new(0, depth, kind).candidate.network).len();
        assert!(
            compared >= 2 * parameters,
            "only {compared} away from kinks"
        );
    }
}

#[test]
fn one_layer() {
    all_kinds(1);
}

#[test]
fn two_layers() {
    all_kinds(2);
}

#[test]
fn three_layers() {
    all_kinds(3);
}

/// Derivatives of γ by affine rules. The program is solved by an interior point and the certificate gives up a little of γ, so
/// the differences are good for a thousandth only.
#[test]
fn affine_rules() {
    let (solver, options) = (Clarabel::default(), Options::default());
    for (seed, depth) in [(1, 1), (2, 2)] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let steps = 3;
        let vehicles = Population::new(TimeGrid::new(steps, Hours(1.0)).unwrap(), 2)
            .generate(seed)
            .unwrap();
        let fleet = FleetPolymatroid::exact(&vehicles).unwrap();
        let sets: Vec<VehicleSet> = vehicles
            .vehicles()
            .iter()
            .map(|vehicle| VehicleSet::exact(vehicle, 1.0).unwrap())
            .collect();
        let outers = vehicle_polytopes(&sets).unwrap();
        let network = random_network(&mut rng, steps, depth, 3);
        let candidate = Candidate::new(network, middle(&fleet).unwrap()).unwrap();
        let exact = ExactScaler::new(&fleet)
            .unwrap()
            .scale(
                &candidate.network.inner_polytope().unwrap(),
                candidate.centre.view(),
            )
            .unwrap();
        let gamma =
            |candidate: &Candidate| affine_scaling(candidate, &outers, &solver, &options).unwrap();
        let here = gamma(&candidate);
        here.certificate.verify(&here.inner, &outers, 1e-9).unwrap();
        assert!(here.gamma <= exact.gamma * (1.0 + 1e-9) && here.gamma > 0.2 * exact.gamma);
        let layout = Layout::of(&candidate.network);
        let scale = here
            .gradient
            .iter()
            .fold(0.0, |most: f64, g| most.max(g.abs()));
        let mut compared = 0;
        for index in 0..layout.len() {
            let step = 1e-3;
            let (Some(more), Some(less)) = (
                changed(&candidate, &layout, index, step),
                changed(&candidate, &layout, index, -step),
            ) else {
                continue;
            };
            let (more, less) = (gamma(&more).gamma, gamma(&less).gamma);
            if ((more - here.gamma) - (here.gamma - less)).abs() > 1e-3 * scale * step + 2e-7 {
                continue;
            }
            let slope = (more - less) / (2.0 * step);
            assert!(
                (slope - here.gradient[index]).abs() <= 2e-3 * scale,
                "parameter {index}: {slope} and {}",
                here.gradient[index]
            );
            compared += 1;
        }
        println!(
            "affine rules, depth {depth}: {compared} of {} derivatives",
            layout.len()
        );
        assert!(2 * compared > layout.len());
    }
}
