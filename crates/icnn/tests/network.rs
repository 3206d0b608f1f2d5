//! Networks as sets: linear forms against evaluation, starts against the polytopes they come from, refusals.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and prints what it compared"
)]

use evflex_fleet::synthetic::{Population, appendix_c};
use evflex_fleet::{Hours, TimeGrid};
use evflex_flexibility::{AffineInner, FleetPolymatroid};
use evflex_icnn::{Candidate, Error, Icnn, Layer, Layout, OutputLayer, Weights};
use evflex_polytope::HPolytope;
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod common;
use common::random_network;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// f((x + y)/2) ≤ (f(x) + f(y))/2.
    #[test]
    fn networks_are_convex(seed in 0_u64..1000, depth in 1_usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let network = random_network(&mut rng, 3, depth, 5);
        let point = |rng: &mut ChaCha8Rng| Array1::from_shape_fn(3, |_| rng.random_range(-4.0..4.0));
        let (x, y) = (point(&mut rng), point(&mut rng));
        let middle = (&x + &y) / 2.0;
        let (fx, fy) = (network.evaluate(x.view()).unwrap(), network.evaluate(y.view()).unwrap());
        prop_assert!(network.evaluate(middle.view()).unwrap() <= f64::midpoint(fx, fy) + 1e-12);
    }

    /// The activations of a point satisfy `C v ≤ d` exactly when the point is in the set, and no other activations do
    /// when it is not: for points outside, the least value of the output row over all allowed activations is f(x) > 0.
    #[test]
    fn the_linear_form_is_the_set(seed in 0_u64..1000, depth in 1_usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let network = random_network(&mut rng, 3, depth, 5);
        let form = network.sublevel_matrices();
        let polytope = network.ah_polytope().unwrap();
        let mut seen = [0, 0];
        for _ in 0..12 {
            let x = Array1::from_shape_fn(3, |_| rng.random_range(-3.0..3.0));
            let inside = network.contains(x.view(), 0.0).unwrap();
            let mut v = x.to_vec();
            for z in network.activations(x.view()).unwrap() {
                v.extend(z);
            }
            let v = Array1::from(v);
            let worst = (form.matrix.dot(&v) - &form.offsets).fold(f64::MIN, |most, off| most.max(*off));
            prop_assert_eq!(form.selection.dot(&v), x.clone());
            prop_assert_eq!(inside, worst <= 1e-12, "{}", worst);
            let value = network.evaluate(x.view()).unwrap();
            if value.abs() > 1e-4 {
                // An independent linear program over the auxiliary coordinates.
                let answer = polytope.contains(x.view(), 1e-7, &Clarabel::default(), &Options::default()).unwrap();
                prop_assert_eq!(answer.is_inside(), inside);
            }
            seen[usize::from(inside)] += 1;
        }
        prop_assert_eq!(seen[0] + seen[1], 12);
    }

    /// γF and F − s, through the weights.
    #[test]
    fn scaling_and_moving_act_on_the_set(seed in 0_u64..1000, depth in 1_usize..4, gamma in 0.1..3.0_f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let network = random_network(&mut rng, 3, depth, 5);
        let scaled = network.scaled(gamma).unwrap();
        let shift = Array1::from_shape_fn(3, |_| rng.random_range(-0.02..0.02));
        let moved = network.seen_from(shift.view()).unwrap();
        for _ in 0..10 {
            let x = Array1::from_shape_fn(3, |_| rng.random_range(-3.0..3.0));
            let value = network.evaluate(x.view()).unwrap();
            let of_scaled = scaled.evaluate((gamma * &x).view()).unwrap();
            prop_assert!((of_scaled - gamma * value).abs() < 1e-10);
            let of_moved = moved.evaluate((&x - &shift).view()).unwrap();
            prop_assert!((of_moved - value).abs() < 1e-10);
        }
    }

    /// Rows in, rows out, at every depth; the hidden units of the linear form change nothing.
    #[test]
    fn starts_reproduce_their_polytope(seed in 0_u64..1000, depth in 1_usize..4, spare in 0_usize..3) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows = Array2::from_shape_fn((6, 3), |_| rng.random_range(-1.0..1.0));
        let offsets = Array1::from_shape_fn(6, |_| rng.random_range(0.0..1.5));
        let bound = Array1::from_elem(3, 1.5);
        let lower = -&bound;
        let network = Icnn::from_rows(rows.view(), offsets.view(), lower.view(), bound.view(), depth, 6 + spare).unwrap();
        let back = network.h_polytope().unwrap().unwrap();
        prop_assert_eq!(back.normals().slice(ndarray::s![..6, ..]).to_owned(), rows.clone());
        prop_assert_eq!(back.offsets().slice(ndarray::s![..6]).to_owned(), offsets.clone());
        let polytope = HPolytope::new(rows, offsets).unwrap();
        for _ in 0..20 {
            let x = Array1::from_shape_fn(3, |_| rng.random_range(-2.0..2.0));
            let in_box = x.iter().all(|x: &f64| x.abs() <= 1.5);
            let expected = in_box && polytope.contains(x.view(), 0.0).unwrap().is_inside();
            prop_assert_eq!(network.contains(x.view(), 0.0).unwrap(), expected);
            prop_assert_eq!(back.contains(x.view(), 0.0).unwrap().is_inside(), expected);
        }
    }

    /// Projection gives a set with the origin inside, and changes nothing that is in order.
    #[test]
    fn projection_repairs_and_then_rests(seed in 0_u64..1000, depth in 1_usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = random_network(&mut rng, 3, depth, 5).into_weights();
        for layer in &mut weights.layers {
            layer.hidden.mapv_inplace(|w| w - rng.random_range(0.0..0.5));
            layer.bias.mapv_inplace(|b| b + rng.random_range(0.0..2.0));
        }
        weights.lower += 3.0;
        weights.project(1e-3);
        let network = Icnn::new(weights.clone()).unwrap();
        prop_assert!(network.evaluate(Array1::zeros(3).view()).unwrap() <= -1e-3 + 1e-12);
        let mut again = weights.clone();
        again.project(1e-3);
        for (a, b) in again.layers.iter().zip(&weights.layers) {
            prop_assert_eq!(a, b);
        }
        prop_assert!((again.output.bias - weights.output.bias).abs() < 1e-12);
    }

    /// Everything survives a text file bit by bit, and a row of parameters.
    #[test]
    fn stored_networks_come_back(seed in 0_u64..1000, depth in 1_usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let network = random_network(&mut rng, 3, depth, 4);
        let candidate = Candidate::new(network, array![0.1, 0.2, 0.3]).unwrap();
        let text = serde_json::to_string(&candidate).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Candidate>(&text).unwrap(), &candidate);
        let layout = Layout::of(&candidate.network);
        let all = layout.flatten(&candidate.network, candidate.centre.view()).unwrap();
        let (weights, centre) = layout.restore(&all).unwrap();
        prop_assert_eq!(&weights, candidate.network.weights());
        prop_assert_eq!(&centre, &candidate.centre);
    }
}

/// The set without hidden units is refused where it would be another set.
#[test]
fn elimination_only_where_it_is_exact() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    assert!(
        random_network(&mut rng, 3, 1, 5)
            .h_polytope()
            .unwrap()
            .is_none()
    );
    let rows = array![[1.0, 1.0], [-1.0, 0.5]];
    let bound = array![2.0, 2.0];
    let (offsets, lower) = (array![1.0, 1.0], -&bound);
    let plain = |depth| {
        Icnn::from_rows(
            rows.view(),
            offsets.view(),
            lower.view(),
            bound.view(),
            depth,
            2,
        )
        .unwrap()
    };
    let changed = |depth, change: &dyn Fn(&mut Weights)| {
        let mut weights = plain(depth).into_weights();
        change(&mut weights);
        Icnn::new(weights).unwrap().h_polytope().unwrap()
    };
    // A last bias below 0 lets units be on together.
    assert!(changed(1, &|w| w.output.bias = -0.1).is_none());
    assert!(changed(1, &|w| w.output.input[0] = 0.1).is_none());
    // Output weights may have any positive size; one that is 0 takes its row away.
    assert_eq!(
        changed(1, &|w| w.output.hidden[0] = 7.0).unwrap().rows(),
        2 + 4
    );
    assert_eq!(
        changed(1, &|w| w.output.hidden[0] = 0.0).unwrap().rows(),
        1 + 4
    );
    // A layer below matters only if it can be on inside the box.
    assert!(changed(2, &|w| w.layers[1].hidden[(0, 0)] = 1.0).is_some());
    assert!(
        changed(2, &|w| {
            w.layers[1].hidden[(0, 0)] = 1.0;
            w.layers[0].input[(0, 0)] = 1.0;
        })
        .is_none()
    );
    assert!(
        changed(2, &|w| {
            w.layers[1].hidden[(0, 0)] = 1.0;
            w.layers[0].input[(0, 0)] = 1.0;
            w.layers[0].bias[0] = -2.5;
        })
        .is_some()
    );
}

/// `HPolytope` with its own bounding box.
#[test]
fn any_h_polytope_starts_a_network() {
    let diamond = HPolytope::new(
        array![[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]],
        array![1.0, 1.0, 1.0, 2.0],
    )
    .unwrap();
    for depth in 1..=3 {
        let network =
            Icnn::from_h_polytope(&diamond, depth, &Clarabel::default(), &Options::default())
                .unwrap();
        assert_eq!((network.depth(), network.units()), (depth, 4 * depth));
        assert!((network.weights().lower[0] + 1.5).abs() < 1e-7);
        for x in [
            [0.4, 0.5],
            [-1.4, -0.5],
            [0.6, 0.5],
            [-1.4, -0.7],
            [0.0, 1.1],
        ] {
            let x = array![x[0], x[1]];
            assert_eq!(
                network.contains(x.view(), 0.0).unwrap(),
                diamond.contains(x.view(), 0.0).unwrap().is_inside()
            );
        }
    }
}

/// Points of the general affine set are in the network's set and the other way round.
#[test]
fn the_general_affine_start_is_the_general_affine_set() {
    let (solver, options) = (Clarabel::default(), Options::default());
    let fleet = Population::new(TimeGrid::new(6, Hours(1.0)).unwrap(), 4)
        .generate(5)
        .unwrap();
    let affine = AffineInner::general_affine(&fleet, &solver, &options).unwrap();
    for depth in 1..=2 {
        let start = Candidate::general_affine(&affine, depth, &solver, &options).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            // Extreme points of the base set, mapped: on the boundary of the affine set.
            let direction = Array1::from_shape_fn(6, |_| rng.random_range(-1.0..1.0));
            let (_, w) = affine.base().support(direction.view());
            let boundary = affine.total().apply(w.view()) - &start.centre;
            assert!(start.network.contains(boundary.view(), 1e-7).unwrap());
            assert!(
                !start
                    .network
                    .contains((1.001 * &boundary).view(), 1e-7)
                    .unwrap()
            );
            assert!(
                start
                    .network
                    .contains((0.999 * &boundary).view(), 0.0)
                    .unwrap()
            );
        }
    }
}

/// Interval rows hold the fleet's own vertices, and touch them.
#[test]
fn the_interval_start_holds_the_fleet() {
    let exact = FleetPolymatroid::exact(&appendix_c(3).unwrap()).unwrap();
    let start = Candidate::interval_rows(&exact, None, 1).unwrap();
    assert_eq!(start.network.units(), 2 * 153);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..50 {
        let direction = Array1::from_shape_fn(18, |_| rng.random_range(-1.0..1.0));
        let vertex = exact.support(direction.view()).unwrap().profile_kw - &start.centre;
        assert!(start.network.contains(vertex.view(), 1e-8).unwrap());
        assert!(
            !start
                .network
                .contains((1.001 * &vertex).view(), 1e-8)
                .unwrap()
        );
    }
    assert!(
        exact
            .contains(start.centre.view(), 1e-9)
            .unwrap()
            .is_inside()
    );
}

/// Broken weights are refused, and the message names the place.
#[test]
fn broken_weights_are_refused_by_name() {
    let good = || Weights {
        layers: vec![
            Layer {
                input: array![[1.0, 0.5], [0.0, -1.0]],
                hidden: Array2::zeros((2, 0)),
                bias: array![-1.0, -1.0],
            },
            Layer {
                input: array![[0.0, 1.0]],
                hidden: array![[0.5, 1.0]],
                bias: array![-0.5],
            },
        ],
        output: OutputLayer {
            input: array![0.0, 0.0],
            hidden: array![1.0],
            bias: -0.5,
        },
        lower: array![-1.0, -1.0],
        upper: array![1.0, 1.0],
    };
    assert!(Icnn::new(good()).is_ok());
    let message = |change: &dyn Fn(&mut Weights)| {
        let mut weights = good();
        change(&mut weights);
        Icnn::new(weights).unwrap_err().to_string()
    };
    for (change, expected) in [
        (
            &(|w: &mut Weights| w.layers[1].hidden[(0, 1)] = -0.1) as &dyn Fn(&mut Weights),
            "hidden weights of layer 1[1] is -0.1",
        ),
        (
            &|w| w.output.hidden[0] = -2.0,
            "hidden weights of the output[0] is -2",
        ),
        (
            &|w| w.layers[0].input[(1, 0)] = f64::NAN,
            "input weights of layer 0[2] is NaN",
        ),
        (
            &|w| w.layers[1].bias[0] = f64::INFINITY,
            "bias of layer 1[0] is inf",
        ),
        (
            &|w| w.output.bias = f64::NAN,
            "the bias of the output[0] is NaN",
        ),
        (
            &|w| w.layers[1].hidden = Array2::zeros((1, 3)),
            "columns of hidden weights of layer 1: expected 2, found 3",
        ),
        (
            &|w| w.layers[0].input = Array2::zeros((2, 3)),
            "columns of input weights of layer 0: expected 2, found 3",
        ),
        (
            &|w| w.output.hidden = array![1.0, 1.0],
            "hidden weights of the output: expected 1, found 2",
        ),
        (&|w| w.output.bias = 0.25, "0.25 at the origin"),
        (&|w| w.lower[1] = 0.5, "the lower bounds[1] is 0.5"),
        (&|w| w.upper[0] = -0.5, "the upper bounds[0] is -0.5"),
        (
            &|w| w.upper = array![1.0],
            "the upper bounds, one per step: expected 2, found 1",
        ),
        (&|w| w.layers.clear(), "the list of hidden layers is empty"),
    ] {
        let found = message(change);
        assert!(
            found.contains(expected),
            "{found:?} does not say {expected:?}"
        );
    }
}

/// The same when they come from a file.
#[test]
fn broken_files_are_refused_by_name() {
    let text = |hidden: &str, more: &str| {
        format!(
            r#"{{"layers": [{{"input_weights": [[1.0, 0.0], [0.0, 1.0]], "bias": [-1.0, -1.0]}},
                {{"input_weights": [[0.0, 1.0]], "hidden_weights": {hidden}, "bias": [-0.5]}}],
                "output": {{"input_weights": [0.0, 0.0], "hidden_weights": [1.0], "bias": 0.0}},
                "power_min_kw": [-1.0, -1.0], "power_max_kw": [1.0, 1.0]{more}}}"#
        )
    };
    assert!(serde_json::from_str::<Icnn>(&text("[[0.5, 0.5]]", "")).is_ok());
    for (hidden, more, expected) in [
        ("[[0.5, -0.5]]", "", "hidden weights of layer 1[1] is -0.5"),
        (
            "[[0.5]]",
            "",
            "columns of hidden weights of layer 1: expected 2, found 1",
        ),
        (
            "[[0.5, 0.5], [0.1]]",
            "",
            "row 1 of hidden weights of layer 1",
        ),
        ("[[0.5, null]]", "", "null"),
        ("[[0.5, 0.5]]", r#", "colour": 3"#, "colour"),
    ] {
        let error = serde_json::from_str::<Icnn>(&text(hidden, more))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected),
            "{error:?} does not say {expected:?}"
        );
    }
}

/// A singular map has no rows; the error says what to start from instead.
#[test]
fn centres_must_fit() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let network = random_network(&mut rng, 3, 1, 5);
    assert!(matches!(
        Candidate::new(network, array![0.0, 1.0]),
        Err(Error::Shape {
            expected: 3,
            found: 2,
            ..
        })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The form that the exact sweep takes has the support values of the linear form, by another solver.
    #[test]
    fn the_sweep_sees_the_same_set(seed in 0_u64..1000, depth in 1_usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let network = random_network(&mut rng, 3, depth, 5);
        let inner = network.inner_polytope().unwrap();
        let polytope = network.ah_polytope().unwrap();
        for _ in 0..4 {
            let direction = Array1::from_shape_fn(3, |_| rng.random_range(-1.0..1.0));
            let (value, x) = inner.support(direction.view()).unwrap();
            let other = polytope.support(direction.view(), &Clarabel::default(), &Options::default()).unwrap();
            prop_assert!((value - other.value).abs() < 1e-6, "{} {}", value, other.value);
            let x = x.slice(ndarray::s![..3]).to_owned();
            prop_assert!(network.contains(x.view(), 1e-9).unwrap());
        }
    }
}
