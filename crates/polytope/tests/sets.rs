//! Laws of the sets: support, membership, operations, vertices, volume, samples.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{ah, ah_polytope, h_polytope, matrix, options, solver, v_polytope, vector, zonotope};
use evflex_polytope::vertices::DEFAULT_LIMIT;
use evflex_polytope::{AhPolytope, Error, HPolytope, Membership, VPolytope, Zonotope};
use evflex_solver::Microlp;
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

/// All vertices by solving every square subsystem: slow, simple, and independent of the double description.
fn vertices_by_bases(set: &HPolytope) -> Vec<Array1<f64>> {
    let (m, n) = (set.rows(), set.dimension());
    let mut found: Vec<Array1<f64>> = Vec::new();
    let mut pick: Vec<usize> = (0..n).collect();
    loop {
        let system = Array2::from_shape_fn((n, n), |(k, j)| set.normals()[[pick[k], j]]);
        let side: Array1<f64> = pick.iter().map(|&k| set.offsets()[k]).collect();
        if let Some(x) = gauss(system, side)
            && set.contains(x.view(), 1e-9).unwrap().is_inside()
            && found
                .iter()
                .all(|other| (other - &x).iter().any(|off| off.abs() > 1e-7))
        {
            found.push(x);
        }
        let Some(at) = (0..n).rev().find(|&k| pick[k] < m - n + k) else {
            return found;
        };
        pick[at] += 1;
        for k in at + 1..n {
            pick[k] = pick[k - 1] + 1;
        }
    }
}

fn gauss(mut a: Array2<f64>, mut b: Array1<f64>) -> Option<Array1<f64>> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|i, j| a[[*i, k]].abs().total_cmp(&a[[*j, k]].abs()))?;
        if a[[pivot, k]].abs() < 1e-9 {
            return None;
        }
        for j in 0..n {
            a.swap([k, j], [pivot, j]);
        }
        b.swap(k, pivot);
        for i in 0..n {
            if i != k {
                let factor = a[[i, k]] / a[[k, k]];
                for j in k..n {
                    a[[i, j]] -= factor * a[[k, j]];
                }
                b[i] -= factor * b[k];
            }
        }
    }
    Some((0..n).map(|k| b[k] / a[[k, k]]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The support value is the largest over all vertices, is attained by a point of the set, and is proven by its
    /// multipliers. Both engines agree.
    #[test]
    fn support_is_the_largest_over_vertices(set in h_polytope(3, 5), c in vector(3, 1.0)) {
        let far = set.support(c.view(), &solver(), &options()).unwrap();
        let largest = vertices_by_bases(&set).iter().map(|v| v.dot(&c)).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(close(far.value, largest, 1e-7), "{} against {largest}", far.value);
        prop_assert!(set.contains(far.point.view(), 1e-7).unwrap().is_inside());
        let y = far.multipliers.unwrap();
        prop_assert!(y.iter().all(|y| *y >= 0.0));
        prop_assert!((set.normals().t().dot(&y) - &c).iter().all(|off| off.abs() < 1e-6));
        prop_assert!(close(y.dot(&set.offsets()), largest, 1e-6));
        let other = set.support(c.view(), &Microlp::default(), &options()).unwrap();
        prop_assert!(close(other.value, largest, 1e-7));
    }

    /// The closed form of a box is the linear program of the same box with a redundant row.
    #[test]
    fn boxes_need_no_program(set in h_polytope(4, 0), c in vector(4, 1.0)) {
        let far = set.support(c.view(), &solver(), &options()).unwrap();
        let row = HPolytope::new(array![[1.0, 1.0, 1.0, 1.0]], array![100.0]).unwrap();
        let program = set.intersection(&row).unwrap().support(c.view(), &solver(), &options()).unwrap();
        prop_assert!(close(far.value, program.value, 1e-7));
        let y = far.multipliers.unwrap();
        prop_assert!(close(y.dot(&set.offsets()), far.value, 1e-12));
        prop_assert!((set.normals().t().dot(&y) - &c).iter().all(|off| off.abs() < 1e-12));
    }

    /// Support functions add under the Minkowski sum.
    #[test]
    fn minkowski_sum_adds_support(a in h_polytope(3, 3), b in ah_polytope(3, 3), z in zonotope(3, 4), v in v_polytope(3, 5), c in vector(3, 1.0)) {
        let parts = [ah(&a), b, AhPolytope::try_from(&z).unwrap(), AhPolytope::try_from(&v).unwrap()];
        let sum = AhPolytope::minkowski_sum(&parts).unwrap().support(c.view(), &solver(), &options()).unwrap();
        let (zonotope, hull) = (z.support(c.view()).unwrap(), v.support(c.view()).unwrap());
        let value: f64 = parts[..2].iter().map(|part| part.support(c.view(), &solver(), &options()).unwrap().value).sum();
        prop_assert!(close(sum.value, value + zonotope.value + hull.value, 1e-6));
        prop_assert!(close(zonotope.value, c.dot(&zonotope.point), 1e-12));
        let twice = z.minkowski_sum(&z).unwrap().support(c.view()).unwrap().value;
        prop_assert!(close(twice, 2.0 * zonotope.value, 1e-12));
    }

    /// Images, shifts, scalings and products do to support values what they should.
    #[test]
    fn operations_move_support_values(set in h_polytope(3, 3), other in h_polytope(2, 2), map in matrix(2, 3, 1.0), shift in vector(2, 1.0), move_by in vector(3, 1.0), c in vector(2, 1.0), d in vector(3, 1.0), factor in -2.0..2.0_f64) {
        let h = |set: &HPolytope, c: &Array1<f64>| set.support(c.view(), &solver(), &options()).unwrap().value;
        let image = ah(&set).affine_image(map.view(), shift.view()).unwrap();
        let value = image.support(c.view(), &solver(), &options()).unwrap().value;
        prop_assert!(close(value, h(&set, &map.t().dot(&c)) + shift.dot(&c), 1e-6));
        let turned = ah(&set).substitute(array![[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 2.0]].view()).unwrap();
        prop_assert!(close(turned.support(d.view(), &solver(), &options()).unwrap().value, h(&set, &d), 1e-6));
        prop_assert!(matches!(ah(&set).substitute(Array2::zeros((3, 3)).view()), Err(Error::Singular)));
        let moved = set.translate(move_by.view()).unwrap();
        prop_assert!(close(h(&moved, &d), h(&set, &d) + move_by.dot(&d), 1e-6));
        let scaled = set.scale(factor).unwrap();
        prop_assert!(close(h(&scaled, &d), h(&set, &(&d * factor)), 1e-6));
        let scaled = ah(&set).scale(factor).unwrap().support(d.view(), &solver(), &options()).unwrap().value;
        prop_assert!(close(scaled, h(&set, &(&d * factor)), 1e-6));
        let both = Array1::from_iter(d.iter().chain(&c).copied());
        prop_assert!(close(h(&set.product(&other), &both), h(&set, &d) + h(&other, &c), 1e-6));
        let product = ah(&set).product(&ah(&other)).support(both.view(), &solver(), &options()).unwrap().value;
        prop_assert!(close(product, h(&set, &d) + h(&other, &c), 1e-6));
    }

    /// The preimage holds exactly the points whose images are in the set.
    #[test]
    fn preimage_asks_the_image(set in h_polytope(3, 4), map in matrix(3, 2, 1.0), shift in vector(3, 1.0), x in vector(2, 2.0)) {
        let image = map.dot(&x) + &shift;
        let inside = set.contains(image.view(), 0.0).unwrap().is_inside();
        let pulled = set.preimage(map.view(), shift.view()).unwrap();
        let worst = (set.normals().dot(&image) - set.offsets()).iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        prop_assume!(worst.abs() > 1e-9);
        prop_assert_eq!(pulled.contains(x.view(), 0.0).unwrap().is_inside(), inside);
    }

    /// An intersection holds exactly the points of both sets.
    #[test]
    fn intersection_is_both(a in h_polytope(3, 3), b in h_polytope(3, 3), x in vector(3, 3.0)) {
        let inside = |set: &HPolytope| set.contains(x.view(), 0.0).unwrap().is_inside();
        prop_assert_eq!(inside(&a.intersection(&b).unwrap()), inside(&a) && inside(&b));
    }

    /// Membership by linear program agrees with arithmetic, with coordinates or a separation that hold.
    #[test]
    fn membership_is_proven_either_way(set in h_polytope(3, 4), map in matrix(3, 3, 1.0), shift in vector(3, 1.0), x in vector(3, 4.0)) {
        let image = ah(&set).affine_image(map.view(), shift.view()).unwrap();
        let point = map.dot(&x) + &shift;
        let worst = (set.normals().dot(&x) - set.offsets()).iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        prop_assume!(worst.abs() > 1e-2);
        match image.contains(point.view(), 1e-6, &solver(), &options()).unwrap() {
            Membership::Inside { coordinates } => {
                let back = image.image_of(coordinates.view()).unwrap();
                prop_assert!((back - &point).iter().all(|off| off.abs() < 2e-6));
                prop_assert!(set.contains(coordinates.view(), 1e-6).unwrap().is_inside());
            }
            Membership::Outside(plane) => {
                prop_assert!(worst > 0.0, "called outside, but every row holds by {}", -worst);
                let reach = image.support(plane.direction.view(), &solver(), &options()).unwrap().value;
                prop_assert!(reach <= plane.bound + 1e-6);
                prop_assert!(close(plane.value, plane.direction.dot(&point), 1e-12));
                prop_assert!(plane.excess() > 0.0);
            }
        }
        if worst < 0.0 {
            prop_assert!(image.contains(point.view(), 1e-6, &solver(), &options()).unwrap().is_inside());
        }
    }

    /// A convex combination is inside with weights that show it; a point beyond the support value is outside.
    #[test]
    fn hulls_know_their_points(set in v_polytope(3, 6), weights in vector(6, 1.0), c in vector(3, 1.0)) {
        let weights = weights.mapv(f64::abs) + 0.01;
        let point = set.points().t().dot(&weights) / weights.sum();
        let Membership::Inside { coordinates } = set.contains(point.view(), 1e-6, &solver(), &options()).unwrap() else {
            panic!("a convex combination is outside");
        };
        prop_assert!(close(coordinates.sum(), 1.0, 1e-12) && coordinates.iter().all(|w| *w >= 0.0));
        prop_assert!((set.points().t().dot(&coordinates) - &point).iter().all(|off| off.abs() < 1e-5));
        prop_assume!(c.dot(&c) > 0.01);
        let beyond = set.support(c.view()).unwrap().point + &c * 0.1;
        prop_assert!(!set.contains(beyond.view(), 1e-6, &solver(), &options()).unwrap().is_inside());
    }

    /// The largest ball touches and does not cross; the bounding box holds all vertices and touches some.
    #[test]
    fn ball_and_box_touch(set in h_polytope(3, 5)) {
        let ball = set.check(&solver(), &options()).unwrap();
        let room = (0..set.rows()).map(|k| {
            let normal = set.normals().row(k).to_owned();
            (set.offsets()[k] - normal.dot(&ball.centre)) / normal.dot(&normal).sqrt()
        }).fold(f64::INFINITY, f64::min);
        prop_assert!(close(ball.radius, room, 1e-6) && room > 0.0);
        let (lower, upper) = set.bounding_box(&solver(), &options()).unwrap();
        let vertices = set.vertices(DEFAULT_LIMIT).unwrap();
        let (low, high) = vertices.bounding_box();
        prop_assert!((&lower - &low).iter().chain((&upper - &high).iter()).all(|off| off.abs() < 1e-6));
        let (low, high) = ah(&set).bounding_box(&solver(), &options()).unwrap();
        prop_assert!((lower - low).iter().chain((upper - high).iter()).all(|off| off.abs() < 1e-6));
    }

    /// The double description finds the vertices of all square subsystems, and facets lead back.
    #[test]
    fn vertices_are_those_of_all_bases(set in h_polytope(3, 6), flat in h_polytope(2, 5)) {
        for set in [&set, &flat] {
            let slow = vertices_by_bases(set);
            let fast = set.vertices(DEFAULT_LIMIT).unwrap();
            prop_assert_eq!(fast.points().nrows(), slow.len());
            for vertex in &slow {
                prop_assert!(fast.points().rows().into_iter().any(|v| (&v - vertex).iter().all(|off| off.abs() < 1e-7)));
            }
            let back = fast.facets(DEFAULT_LIMIT).unwrap();
            for vertex in &slow {
                prop_assert!(back.contains(vertex.view(), 1e-7).unwrap().is_inside());
            }
            let again = back.vertices(DEFAULT_LIMIT).unwrap();
            prop_assert_eq!(again.points().nrows(), slow.len());
        }
    }

    /// Removing redundant rows keeps the set, and what is left is needed.
    #[test]
    fn redundancy_removal_keeps_the_set(set in h_polytope(3, 8), c in vector(3, 1.0)) {
        let less = set.remove_redundant(1e-8, &solver(), &options()).unwrap();
        prop_assert!(less.rows() <= set.rows());
        let h = |set: &HPolytope| set.support(c.view(), &solver(), &options()).unwrap().value;
        prop_assert!(close(h(&less), h(&set), 1e-6));
        let facets = set.vertices(DEFAULT_LIMIT).unwrap().facets(DEFAULT_LIMIT).unwrap();
        prop_assert_eq!(less.rows(), facets.rows());
        let doubled = set.intersection(&set).unwrap().remove_redundant(1e-8, &solver(), &options()).unwrap();
        prop_assert_eq!(doubled.rows(), less.rows());
    }

    /// Sampled points are inside, repeat with their seed, and differ without.
    #[test]
    fn samples_are_inside(set in h_polytope(4, 4), image in ah_polytope(2, 3), seed in any::<u64>()) {
        let points = set.sample(20, 5, seed, &solver(), &options()).unwrap();
        for point in points.rows() {
            prop_assert!(set.contains(point, 1e-9).unwrap().is_inside());
        }
        prop_assert_eq!(&points, &set.sample(20, 5, seed, &solver(), &options()).unwrap());
        prop_assert_ne!(&points, &set.sample(20, 5, seed.wrapping_add(1), &solver(), &options()).unwrap());
        for point in image.sample(3, 5, seed, &solver(), &options()).unwrap().rows() {
            prop_assert!(image.contains(point, 1e-6, &solver(), &options()).unwrap().is_inside());
        }
    }

    /// Volumes of simplices and boxes under an affine map, against determinants.
    #[test]
    fn volume_of_images(map in matrix(3, 3, 1.0), shift in vector(3, 5.0), sides in vector(3, 2.0)) {
        let determinant = map[[0, 0]] * (map[[1, 1]] * map[[2, 2]] - map[[1, 2]] * map[[2, 1]])
            - map[[0, 1]] * (map[[1, 0]] * map[[2, 2]] - map[[1, 2]] * map[[2, 0]])
            + map[[0, 2]] * (map[[1, 0]] * map[[2, 1]] - map[[1, 1]] * map[[2, 0]]);
        let sides = sides.mapv(f64::abs) + 0.1;
        prop_assume!(determinant.abs() > 0.05);
        let simplex = VPolytope::new(array![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).unwrap();
        let image = simplex.affine_image(map.view(), shift.view()).unwrap().facets(DEFAULT_LIMIT).unwrap();
        prop_assert!(close(image.volume(DEFAULT_LIMIT).unwrap(), determinant.abs() / 6.0, 1e-8));
        let cuboid = HPolytope::hyperbox(&[0.0; 3], &sides.to_vec()).unwrap().vertices(DEFAULT_LIMIT).unwrap();
        let image = cuboid.affine_image(map.view(), shift.view()).unwrap().facets(DEFAULT_LIMIT).unwrap();
        prop_assert!(close(image.volume(DEFAULT_LIMIT).unwrap(), determinant.abs() * sides.product(), 1e-8));
    }

    /// Cutting a set in two keeps its volume.
    #[test]
    fn volume_adds_over_a_cut(set in h_polytope(4, 4), c in vector(4, 1.0)) {
        prop_assume!(c.dot(&c) > 0.05);
        let middle = set.chebyshev(&solver(), &options()).unwrap().centre;
        let half = |sign: f64| {
            let row = (&c * sign).insert_axis(ndarray::Axis(0));
            let side = HPolytope::new(row, array![sign * c.dot(&middle)]).unwrap();
            set.intersection(&side).unwrap().volume(DEFAULT_LIMIT).unwrap()
        };
        let whole = set.volume(DEFAULT_LIMIT).unwrap();
        prop_assert!(close(half(1.0) + half(-1.0), whole, 1e-8), "{} and {} of {whole}", half(1.0), half(-1.0));
    }
}

/// The cross-polytope in n dimensions has volume 2^n / n!, and 2n vertices.
#[test]
fn volume_of_cross_polytopes() {
    for n in 1..=5 {
        let normals = Array2::from_shape_fn(
            (1 << n, n),
            |(k, j)| if k >> j & 1 == 1 { 1.0 } else { -1.0 },
        );
        let set = HPolytope::new(normals, Array1::ones(1 << n)).unwrap();
        let factorial: f64 = (1..=n).map(|k| k as f64).product();
        assert_eq!(set.vertices(DEFAULT_LIMIT).unwrap().points().nrows(), 2 * n);
        let volume = set.volume(DEFAULT_LIMIT).unwrap();
        assert!(
            close(
                volume,
                2.0_f64.powi(i32::try_from(n).unwrap()) / factorial,
                1e-12
            ),
            "{n}: {volume}"
        );
    }
}

/// A zonotope's volume is 2^n Σ |det| over all n of its generators.
#[test]
fn volume_of_a_zonotope() {
    let generators = array![[1.0, 0.3, -0.5, 0.2], [0.1, 0.9, 0.4, -0.7]];
    let mut expected = 0.0;
    for a in 0..4 {
        for b in a + 1..4 {
            let minor: f64 =
                generators[[0, a]] * generators[[1, b]] - generators[[0, b]] * generators[[1, a]];
            expected += 4.0 * minor.abs();
        }
    }
    let set = Zonotope::new(array![3.0, -1.0], generators.clone()).unwrap();
    let corners = Array2::from_shape_fn((16, 2), |(k, j)| {
        set.centre()[j]
            + (0..4)
                .map(|g| {
                    if k >> g & 1 == 1 {
                        generators[[j, g]]
                    } else {
                        -generators[[j, g]]
                    }
                })
                .sum::<f64>()
    });
    let hull = VPolytope::new(corners).unwrap();
    let volume = hull
        .facets(DEFAULT_LIMIT)
        .unwrap()
        .volume(DEFAULT_LIMIT)
        .unwrap();
    assert!(
        close(volume, expected, 1e-10),
        "{volume} against {expected}"
    );
    assert!(
        set.contains(hull.points().row(3), 1e-6, &solver(), &options())
            .unwrap()
            .is_inside()
    );
    assert!(
        !set.contains(array![9.0, 9.0].view(), 1e-6, &solver(), &options())
            .unwrap()
            .is_inside()
    );
    let (lower, upper) = set.bounding_box();
    assert!(close(lower[0], 1.0, 1e-12) && close(upper[1], 1.1, 1e-12));
}

/// Estimated volumes are within four standard errors of the exact ones, with error bars that mean something.
#[test]
fn estimated_volumes_hold_their_error_bars() {
    let cube = HPolytope::hyperbox(&[0.0; 5], &[1.0, 1.0, 2.0, 1.0, 1.5]).unwrap();
    let mut corner = -Array2::<f64>::eye(4);
    corner.push_row(Array1::ones(4).view()).unwrap();
    let simplex = HPolytope::new(corner, array![0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
    for (set, exact) in [(cube, 3.0), (simplex, 1.0 / 24.0)] {
        for seed in 0..3 {
            let found = set
                .estimate_volume(8_000, seed, &solver(), &options())
                .unwrap();
            assert!(
                (found.volume - exact).abs() <= 4.0 * found.standard_error,
                "{found:?} of {exact}"
            );
            assert!(found.standard_error < 0.1 * exact, "{found:?}");
        }
    }
}

/// A uniform sample of the triangle has its centroid as mean.
#[test]
fn samples_are_uniform() {
    let triangle = HPolytope::new(
        array![[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]],
        array![0.0, 0.0, 1.0],
    )
    .unwrap();
    let points = triangle
        .sample(20_000, 4, 3, &solver(), &options())
        .unwrap();
    let mean = points.mean_axis(ndarray::Axis(0)).unwrap();
    assert!(mean.iter().all(|m| (m - 1.0 / 3.0).abs() < 0.01), "{mean}");
    // The quarter next to the origin.
    let share = points
        .rows()
        .into_iter()
        .filter(|p| p[0] + p[1] < 0.5)
        .count() as f64
        / 20_000.0;
    assert!((share - 0.25).abs() < 0.02, "{share}");
}

#[test]
fn bad_data_are_refused_by_name() {
    let new = |a: Array2<f64>, b: Array1<f64>| HPolytope::new(a, b).unwrap_err().to_string();
    assert_eq!(
        new(array![[1.0, f64::NAN]], array![1.0]),
        "normals[0, 1] is NaN; every entry must be a finite number"
    );
    assert_eq!(
        new(array![[1.0]], array![1.0, 2.0]),
        "offsets, one per normal: expected 1, found 2"
    );
    assert_eq!(
        new(Array2::zeros((2, 0)), array![1.0, 2.0]),
        "the matrix of normals is empty; give at least one column"
    );
    assert_eq!(
        HPolytope::hyperbox(&[0.0, 2.0], &[1.0, 1.0])
            .unwrap_err()
            .to_string(),
        "coordinate 1 has lower bound 2 above its upper bound 1"
    );
    assert!(matches!(
        HPolytope::hyperbox(&[], &[]),
        Err(Error::Nothing { .. })
    ));
    assert!(matches!(
        VPolytope::new(Array2::zeros((0, 2))),
        Err(Error::Nothing { .. })
    ));
    assert!(matches!(
        Zonotope::new(array![1.0], Array2::zeros((1, 0))),
        Err(Error::Nothing { .. })
    ));
    assert!(matches!(
        AhPolytope::minkowski_sum(&[]),
        Err(Error::Nothing { .. })
    ));
    let set = HPolytope::hyperbox(&[0.0], &[1.0]).unwrap();
    let bad = array![f64::INFINITY];
    assert!(matches!(
        set.contains(bad.view(), 0.0),
        Err(Error::NotFinite { .. })
    ));
    assert!(matches!(
        set.contains(array![0.0].view(), f64::NAN),
        Err(Error::Domain { .. })
    ));
    assert!(matches!(
        set.support(array![1.0, 1.0].view(), &solver(), &options()),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(set.scale(f64::NAN), Err(Error::Domain { .. })));
}

#[test]
fn empty_unbounded_and_flat_sets_are_told_apart() {
    let check = |a: Array2<f64>, b: Array1<f64>| HPolytope::checked(a, b, &solver(), &options());
    // Contradiction, half-plane, strip, cone, and a proper triangle.
    assert!(matches!(
        check(
            array![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
            array![0.0, -1.0, 1.0, 1.0]
        ),
        Err(Error::Empty { .. })
    ));
    assert!(matches!(
        check(array![[1.0, 0.0]], array![1.0]),
        Err(Error::Unbounded { .. })
    ));
    assert!(matches!(
        check(array![[1.0, 0.0], [-1.0, 0.0]], array![0.0, -1.0]),
        Err(Error::Empty { .. })
    ));
    let strip = check(array![[1.0, 1.0], [-1.0, -1.0]], array![1.0, 1.0]).unwrap_err();
    let Error::Unbounded { direction, .. } = strip else {
        panic!("{strip}")
    };
    assert!((direction[0] + direction[1]).abs() < 1e-9 && direction[0].abs() > 0.5);
    // The largest ball of this wedge is small, but it never ends.
    assert!(matches!(
        check(
            array![[-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
            array![0.0, 1.0, 1.0]
        ),
        Err(Error::Unbounded { .. })
    ));
    assert!(matches!(
        check(array![[0.0, 0.0], [1.0, 0.0]], array![-1.0, 1.0]),
        Err(Error::Empty { .. })
    ));
    let triangle = check(
        array![[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0], [0.0, 0.0]],
        array![0.0, 0.0, 1.0, 3.0],
    )
    .unwrap();
    assert!(!triangle.is_empty(&solver(), &options()).unwrap());
    let far = triangle
        .support(array![1.0, 0.0].view(), &solver(), &options())
        .unwrap();
    assert!(close(far.value, 1.0, 1e-7));
    let segment = HPolytope::hyperbox(&[0.0, 1.0], &[1.0, 1.0]).unwrap();
    assert!(segment.check(&solver(), &options()).unwrap().radius < 1e-7);
    assert!(matches!(
        segment.sample(3, 1, 0, &solver(), &options()),
        Err(Error::Flat { .. })
    ));
    // Support values say what is wrong as well, in closed form and by program.
    let ray = HPolytope::new(array![[-1.0]], array![0.0]).unwrap();
    assert!(matches!(
        ray.support(array![1.0].view(), &solver(), &options()),
        Err(Error::Unbounded { .. })
    ));
    assert!(close(
        ray.support(array![-1.0].view(), &solver(), &options())
            .unwrap()
            .value,
        0.0,
        1e-12
    ));
    let wedge = HPolytope::new(array![[-1.0, 1.0], [-1.0, -1.0]], array![0.0, 0.0]).unwrap();
    assert!(matches!(
        wedge.support(array![1.0, 0.0].view(), &solver(), &options()),
        Err(Error::Unbounded { .. })
    ));
    let nothing = HPolytope::new(array![[1.0], [-1.0]], array![0.0, -1.0]).unwrap();
    assert!(matches!(
        nothing.support(array![1.0].view(), &solver(), &options()),
        Err(Error::Empty { .. })
    ));
    assert!(ah(&nothing).is_empty(&solver(), &options()).unwrap());
}

/// A single point is a hull like any other.
#[test]
fn one_point_is_a_hull() {
    let point = VPolytope::new(array![[1.0, 2.0]]).unwrap();
    assert!(
        point
            .contains(array![1.0, 2.0].view(), 1e-9, &solver(), &options())
            .unwrap()
            .is_inside()
    );
    let answer = point
        .contains(array![1.5, 2.0].view(), 1e-9, &solver(), &options())
        .unwrap();
    assert!(close(answer.separation().unwrap().excess(), 0.5, 1e-6));
    assert_eq!(
        point
            .scale(2.0)
            .unwrap()
            .translate(array![1.0, 0.0].view())
            .unwrap()
            .points(),
        array![[3.0, 4.0]]
    );
}

/// A row that is far away does not spoil the sense of size.
#[test]
fn far_rows_change_nothing() {
    let cube = HPolytope::hyperbox(&[-1.0; 3], &[1.0; 3]).unwrap();
    let far = HPolytope::new(array![[1e-9, 1.0, 0.5], [1e-9, 0.0, 0.0]], array![1e8, 0.5]).unwrap();
    let set = cube.intersection(&far).unwrap();
    assert_eq!(set.vertices(DEFAULT_LIMIT).unwrap().points().nrows(), 8);
    assert!(close(set.volume(DEFAULT_LIMIT).unwrap(), 8.0, 1e-12));
    assert!(close(
        set.check(&solver(), &options()).unwrap().radius,
        1.0,
        1e-6
    ));
    let apart = HPolytope::new(array![[0.0, 0.0, 1.0]], array![-1.1]).unwrap();
    let error = set
        .intersection(&apart)
        .unwrap()
        .check(&solver(), &options())
        .unwrap_err();
    assert!(matches!(error, Error::Empty { .. }), "{error}");
}
