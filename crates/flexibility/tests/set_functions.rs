//! Laws of the set functions and of the greedy algorithm, against linear programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{fleet, fleet_and_vectors};
use evflex_flexibility::{FleetPolymatroid, Permutation, VehicleSet, direct};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, s};
use proptest::prelude::*;

const CLOSE: f64 = 1e-6;

fn indicator(subset: usize, steps: usize) -> Array1<f64> {
    (0..steps)
        .map(|t| if subset >> t & 1 == 1 { 1.0 } else { 0.0 })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// b(S) and p(S) are the optimal values of the linear programs that define them.
    #[test]
    fn set_functions_equal_linear_programs(fleet in fleet(3, 5), subset in any::<prop::sample::Index>()) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let subset = subset.index(1 << fleet.steps());
        let direction = indicator(subset, fleet.steps());
        let steps: Vec<usize> = (0..fleet.steps()).filter(|t| subset >> t & 1 == 1).collect();
        let (p, b) = set.subset_bounds(&steps).unwrap();
        let solve = |direction: &Array1<f64>| direct::support(&fleet, direction.view(), &Clarabel::default(), &Options::default()).unwrap();
        prop_assert!((b - solve(&direction)).abs() < CLOSE, "b: {b} against {}", solve(&direction));
        prop_assert!((p + solve(&-&direction)).abs() < CLOSE, "p: {p} against {}", -solve(&-&direction));
    }

    /// The table, single subsets, and the recursion of one vehicle at a time agree.
    #[test]
    fn table_equals_sum_over_vehicles(fleet in fleet(20, 7)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let table = set.table().unwrap();
        let vehicles: Vec<VehicleSet> = fleet.vehicles().iter().map(|v| VehicleSet::exact(v, fleet.step_hours()).unwrap()).collect();
        for subset in 0..1_usize << fleet.steps() {
            let chosen: Vec<bool> = (0..fleet.steps()).map(|t| subset >> t & 1 == 1).collect();
            let (b, p_of_rest) = vehicles.iter().map(|v| v.set_functions(&chosen)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            let rest = ((1 << fleet.steps()) - 1) ^ subset;
            prop_assert!((table.upper()[subset] - b).abs() < 1e-10);
            prop_assert!((table.lower()[rest] - p_of_rest).abs() < 1e-10);
            let steps: Vec<usize> = (0..fleet.steps()).filter(|t| chosen[*t]).collect();
            let (p, b) = set.subset_bounds(&steps).unwrap();
            prop_assert!((table.upper()[subset] - b).abs() < 1e-10);
            prop_assert!((table.lower()[subset] - p).abs() < 1e-10);
        }
    }

    /// b is submodular, p is supermodular, and b(A) − p(B) ≥ b(A∖B) − p(B∖A): a generalised polymatroid.
    #[test]
    fn set_functions_are_paramodular(fleet in fleet(6, 5)) {
        let table = FleetPolymatroid::exact(&fleet).unwrap().table().unwrap();
        let (b, p) = (table.upper(), table.lower());
        for x in 0..b.len() {
            for y in 0..b.len() {
                prop_assert!(b[x] + b[y] >= b[x | y] + b[x & y] - 1e-9);
                prop_assert!(p[x] + p[y] <= p[x | y] + p[x & y] + 1e-9);
                prop_assert!(b[x] - p[y] >= b[x & !y] - p[y & !x] - 1e-9);
            }
        }
    }

    /// The greedy algorithm solves the linear program over all vehicles.
    #[test]
    fn greedy_equals_linear_program((fleet, directions) in fleet_and_vectors(4, 8, 2)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        for direction in &directions {
            let greedy = set.support(direction.view()).unwrap();
            let program = direct::support(&fleet, direction.view(), &Clarabel::default(), &Options::default()).unwrap();
            prop_assert!((greedy.value - program).abs() < CLOSE * (1.0 + program.abs()), "{} against {program}", greedy.value);
        }
    }

    /// Support functions add: the support of a fleet is the sum of the supports of its halves.
    #[test]
    fn support_functions_add((fleet, directions) in fleet_and_vectors(30, 12, 2), cut in any::<prop::sample::Index>()) {
        prop_assume!(fleet.len() > 1);
        let cut = 1 + cut.index(fleet.len());
        let part = |range: std::ops::Range<usize>| {
            let part = evflex_fleet::Fleet::new(fleet.grid().clone(), fleet.vehicles()[range].to_vec()).unwrap();
            FleetPolymatroid::exact(&part).unwrap()
        };
        let whole = FleetPolymatroid::exact(&fleet).unwrap();
        for direction in &directions {
            let value = |set: &FleetPolymatroid| set.support(direction.view()).unwrap().value;
            let sum = if cut == fleet.len() { value(&part(0..cut)) } else { value(&part(0..cut)) + value(&part(cut..fleet.len())) };
            prop_assert!((value(&whole) - sum).abs() < 1e-9 * (1.0 + sum.abs()));
        }
    }

    /// The vertex of any permutation attains the bounds along both of its chains.
    #[test]
    fn vertices_attain_their_chains(fleet in fleet(10, 8), seed in any::<u64>()) {
        use rand::{SeedableRng, seq::SliceRandom, RngExt};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let mut steps: Vec<usize> = (0..fleet.steps()).collect();
        steps.shuffle(&mut rng);
        let lower = steps.split_off(rng.random_range(0..=steps.len()));
        let permutation = Permutation { upper: steps, lower };
        let vertex = set.vertex(&permutation).unwrap();
        for count in 0..=permutation.upper.len() {
            let sum: f64 = permutation.upper[..count].iter().map(|&t| vertex[t]).sum();
            prop_assert!((sum - set.subset_bounds(&permutation.upper[..count]).unwrap().1).abs() < 1e-9);
        }
        for count in 0..=permutation.lower.len() {
            let sum: f64 = permutation.lower[..count].iter().map(|&t| vertex[t]).sum();
            prop_assert!((sum - set.subset_bounds(&permutation.lower[..count]).unwrap().0).abs() < 1e-9);
        }
    }

    /// The band is what single steps can do, and every vertex stays within it.
    #[test]
    fn band_holds_every_vertex((fleet, directions) in fleet_and_vectors(12, 9, 3)) {
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let (low, high) = set.band_kw();
        for direction in &directions {
            let vertex = set.support(direction.view()).unwrap().profile_kw;
            for t in 0..fleet.steps() {
                prop_assert!(low[t] - 1e-9 <= vertex[t] && vertex[t] <= high[t] + 1e-9);
            }
        }
        for t in 0..fleet.steps() {
            let mut direction = Array1::zeros(fleet.steps());
            direction.slice_mut(s![t..=t]).fill(1.0);
            prop_assert!((set.support(direction.view()).unwrap().value - high[t]).abs() < 1e-9);
        }
    }
}
