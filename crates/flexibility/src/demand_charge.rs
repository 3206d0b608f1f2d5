//! The demand charge over the aggregate set, by the method of multipliers.
//!
//! `min c · u + r m` over `u` in `U`, subject to `u_t + l_t ≤ m`. With multipliers `y ≥ 0` of the
//! limits and slacks `s ≥ 0`, each round minimises
//!
//! ```text
//! c · u + r m + (κ/2) ‖u + l − m + s + y/κ‖²
//! ```
//!
//! over `U`, `m` and `s`, a [`SeparableQuadratic`] whose rays are `m` and `s`, and then takes
//! `y = κ (u + l − m + s + y/κ)`. These `y` are not negative and sum to `r` whenever `m` and `s` are
//! optimal, so every round proves a bound: `c · u + r max(u + l) ≥ (c + y) · u + y · l`, whose least
//! value over `U` the greedy algorithm knows. For a linear program the method ends after finitely
//! many rounds (Bertsekas 1975), and the columns of one round serve in the next.

use ndarray::Array1;

use crate::{
    aggregate_set::{DecisionStatus, Minorant},
    decision::Run,
    fleet_polymatroid::FleetPolymatroid,
    mixture::VertexMixture,
    quadratic::{Ray, SeparableQuadratic},
};

/// First curvature, as a multiple of the charge per power of the fleet. Small ones take many rounds,
/// large ones many sweeps until a round is solved; growth finds its way between.
const FIRST_CURVATURE: f64 = 0.3;

/// Growth of the curvature from round to round, up to `LARGEST_CURVATURE`.
const GROWTH: f64 = 1.05;
const LARGEST_CURVATURE: f64 = 30.0;

/// Rounds without a better profile or bound after which the run ends.
const MAX_IDLE_ROUNDS: usize = 40;

pub(crate) fn minimise(
    set: &FleetPolymatroid,
    price: &Array1<f64>,
    load_kw: &Array1<f64>,
    rate: f64,
    run: &mut Run<'_>,
) -> (DecisionStatus, VertexMixture) {
    let steps = set.steps();
    let mut y = Array1::from_elem(steps, rate / steps as f64);
    let unit = rate.max(f64::MIN_POSITIVE) / set.packed().power_scale().max(1.0);
    let mut curvature = FIRST_CURVATURE * unit;
    let slack = |t: usize| {
        let mut direction = Array1::zeros(steps);
        direction[t] = 1.0;
        Ray {
            direction,
            cost: 0.0,
            free: false,
        }
    };
    let peak = Ray {
        direction: Array1::from_elem(steps, -1.0),
        cost: rate,
        free: true,
    };
    let rays = std::iter::once(peak).chain((0..steps).map(slack)).collect();
    let target = |y: &Array1<f64>, curvature: f64| -load_kw - &(y / curvature);
    let mut quadratic = SeparableQuadratic::new(
        set.packed(),
        price.clone(),
        curvature,
        target(&y, curvature),
        Array1::ones(steps),
        rays,
    );
    let mut best_mixture = quadratic.mixture();
    let mut idle_rounds = 0;
    loop {
        let mut better = false;
        // One sweep: solving a round to the end is not worth its sweeps.
        quadratic.sweep();
        if run.offer_profile(quadratic.point().view()) {
            best_mixture = quadratic.mixture();
            better = true;
        }
        // Rounding apart, the pull is a multiplier already; make it one exactly.
        y = quadratic.pull().mapv(|pull| pull.max(0.0));
        let total = y.sum();
        if total > 0.0 {
            y *= rate / total;
        } else {
            y.fill(rate / steps as f64);
        }
        let slope = price + &y;
        let vertex = quadratic.vertex_minimising(&slope);
        let constant = y.dot(load_kw);
        better |= run.offer_bound(constant + slope.dot(&vertex), || Minorant {
            slope,
            constant,
        });
        if let Some(status) = run.end_of_pass() {
            return (status, best_mixture);
        }
        idle_rounds = if better { 0 } else { idle_rounds + 1 };
        if idle_rounds >= MAX_IDLE_ROUNDS {
            return (DecisionStatus::Stalled, best_mixture);
        }
        curvature = (GROWTH * curvature).min(LARGEST_CURVATURE * unit);
        quadratic.set_target(target(&y, curvature), curvature);
    }
}
