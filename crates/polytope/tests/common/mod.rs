//! Random sets for the laws.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses its part; a test stops at the first surprise"
)]

use evflex_polytope::{AhPolytope, HPolytope, VPolytope, Zonotope};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn solver() -> Clarabel {
    Clarabel::default()
}

pub fn options() -> Options {
    Options::default()
}

pub fn vector(n: usize, size: f64) -> impl Strategy<Value = Array1<f64>> {
    vec(-size..size, n).prop_map(Array1::from_vec)
}

pub fn matrix(rows: usize, columns: usize, size: f64) -> impl Strategy<Value = Array2<f64>> {
    vec(-size..size, rows * columns)
        .prop_map(move |data| Array2::from_shape_vec((rows, columns), data).unwrap())
}

/// A box cut by random half-spaces, all at positive distance from its middle, moved somewhere.
pub fn h_polytope(n: usize, cuts: usize) -> impl Strategy<Value = HPolytope> {
    (
        vec(0.3..3.0_f64, 2 * n),
        matrix(cuts, n, 1.0),
        vec(0.2..1.5_f64, cuts),
        vector(n, 2.0),
    )
        .prop_map(move |(sides, normals, offsets, shift)| {
            let lower: Vec<f64> = sides[..n].iter().map(|side| -side).collect();
            let bounds = HPolytope::hyperbox(&lower, &sides[n..]).unwrap();
            let set = if offsets.is_empty() {
                bounds
            } else {
                let cuts = HPolytope::new(normals, offsets.into()).unwrap();
                bounds.intersection(&cuts).unwrap()
            };
            set.translate(shift.view()).unwrap()
        })
}

/// A random image of a random polytope of one more dimension.
pub fn ah_polytope(n: usize, cuts: usize) -> impl Strategy<Value = AhPolytope> {
    (
        h_polytope(n + 1, cuts),
        matrix(n, n + 1, 1.0),
        vector(n, 1.0),
    )
        .prop_map(|(base, generators, centre)| AhPolytope::new(centre, generators, base).unwrap())
}

pub fn zonotope(n: usize, generators: usize) -> impl Strategy<Value = Zonotope> {
    (vector(n, 2.0), matrix(n, generators, 1.0))
        .prop_map(|(centre, generators)| Zonotope::new(centre, generators).unwrap())
}

pub fn v_polytope(n: usize, points: usize) -> impl Strategy<Value = VPolytope> {
    matrix(points, n, 3.0).prop_map(|points| VPolytope::new(points).unwrap())
}

/// The identity image of an H-polytope.
pub fn ah(set: &HPolytope) -> AhPolytope {
    AhPolytope::from(set)
}
