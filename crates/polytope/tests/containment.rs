//! Laws of containment certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{ah, ah_polytope, h_polytope, matrix, options, solver, vector};
use evflex_polytope::{
    AhPolytope, Certificate, Certifier, Containment, Error, Formulation, HPolytope,
    certify_containment, certify_in_h, certify_scaling, certify_sum_containment, scale_in_h,
};
use evflex_solver::Microlp;
use ndarray::{Array1, Array2, array, s};
use proptest::prelude::*;

/// The exact scale of `centre + γ inner ⊆ outer`, by support values along the rows.
fn exact_scale(inner: &AhPolytope, outer: &HPolytope, centre: &Array1<f64>) -> f64 {
    let mut gamma = f64::INFINITY;
    for (normal, offset) in outer.normals().rows().into_iter().zip(outer.offsets()) {
        let reach = inner.support(normal, &solver(), &options()).unwrap().value;
        if reach > 0.0 {
            gamma = gamma.min((offset - normal.dot(centre)) / reach);
        }
    }
    gamma
}

/// A random certified scaling: the inner set, the outer sets, and the certificate.
fn certified(
    inner: AhPolytope,
    outers: Vec<AhPolytope>,
) -> (AhPolytope, Vec<AhPolytope>, Certificate) {
    // The middles of the bases add up to a centre that is inside.
    let mut centre = Array1::zeros(inner.dimension());
    for outer in &outers {
        let ball = outer.base().chebyshev(&solver(), &options()).unwrap();
        centre = centre + outer.image_of(ball.centre.view()).unwrap();
    }
    let answer = certify_scaling(&inner, &outers, centre.view(), &solver(), &options()).unwrap();
    let certificate = answer.containment.certificate();
    let certificate = certificate.unwrap_or_else(|| panic!("{:?}", answer.containment));
    (inner, outers, certificate.clone())
}

/// A set around the origin.
fn inner_h(n: usize, cuts: usize) -> impl Strategy<Value = AhPolytope> {
    h_polytope(n, cuts).prop_map(|set| {
        let middle = set.chebyshev(&solver(), &options()).unwrap().centre;
        ah(&set.translate((-middle).view()).unwrap())
    })
}

fn task() -> impl Strategy<Value = (AhPolytope, Vec<AhPolytope>)> {
    let outers = (h_polytope(3, 4), h_polytope(3, 2), ah_polytope(3, 3))
        .prop_map(|(a, b, c)| vec![ah(&a), ah(&b), c]);
    (inner_h(3, 4), outers)
}

/// Whether verification fails, and with a condition rather than a shape.
fn breaks(certificate: &Certificate, inner: &AhPolytope, outers: &[AhPolytope]) -> bool {
    match certificate.verify(inner, outers, 1e-9) {
        Ok(_) => false,
        Err(Error::NotVerified { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A set is certified inside itself, although they touch everywhere.
    #[test]
    fn a_set_is_inside_itself(set in h_polytope(3, 5)) {
        let outer = ah(&set);
        let answer = certify_containment(&outer, &outer, &solver(), &options()).unwrap();
        prop_assert!(answer.is_certified(), "{answer:?}");
        let answer = certify_in_h(&outer, &set, 1e-9, &solver(), &options()).unwrap();
        prop_assert!(answer.is_certified(), "{answer:?}");
    }

    #[test]
    fn an_image_is_inside_itself(set in ah_polytope(2, 5)) {
        let answer = certify_containment(&set, &set, &solver(), &options()).unwrap();
        prop_assert!(answer.is_certified(), "{answer:?}");
    }

    #[test]
    fn a_sum_is_inside_its_summands(a in h_polytope(2, 4), b in h_polytope(2, 4)) {
        let parts = [ah(&a), ah(&b)];
        let sum = AhPolytope::minkowski_sum(&parts).unwrap();
        let answer = certify_sum_containment(&sum, &parts, &solver(), &options()).unwrap();
        prop_assert!(answer.is_certified(), "{answer:?}");
    }

    /// One H-polytope outside: the linear program reaches the exact scale, and so does the row-wise answer. A thousandth
    /// more is refused with a point that is outside.
    #[test]
    fn scale_in_one_polytope_is_exact(inner in inner_h(3, 4), outer in h_polytope(3, 6)) {
        let centre = outer.chebyshev(&solver(), &options()).unwrap().centre;
        let exact = exact_scale(&inner, &outer, &centre);
        let by_rows = scale_in_h(&inner, &outer, centre.view(), &solver(), &options()).unwrap();
        let by_rules = certify_scaling(&inner, &[ah(&outer)], centre.view(), &solver(), &options()).unwrap();
        for answer in [by_rows, by_rules] {
            let certificate = answer.containment.certificate().unwrap();
            prop_assert!(certificate.gamma <= exact * (1.0 + 1e-9));
            prop_assert!(certificate.gamma >= exact * (1.0 - 1e-6), "{} of {exact}", certificate.gamma);
            prop_assert!(certificate.verify(&inner, &[ah(&outer)], 1e-9).is_ok());
        }
        let moved = |gamma: f64| inner.scale(gamma).unwrap().translate(centre.view()).unwrap();
        let beyond = moved(1.001 * exact);
        for answer in [
            certify_in_h(&beyond, &outer, 1e-9, &solver(), &options()).unwrap(),
            certify_containment(&beyond, &ah(&outer), &solver(), &options()).unwrap(),
        ] {
            let found = answer.counterexample().expect("a point outside");
            prop_assert!(!outer.contains(found.witness.view(), 0.0).unwrap().is_inside());
            prop_assert!(beyond.contains(found.witness.view(), 1e-6, &solver(), &options()).unwrap().is_inside());
        }
        let within = moved(0.999 * exact);
        prop_assert!(certify_in_h(&within, &outer, 1e-9, &solver(), &options()).unwrap().is_certified());
        prop_assert!(certify_containment(&within, &ah(&outer), &solver(), &options()).unwrap().is_certified());
    }

    /// In a sum of boxes affine rules lose nothing: the sum is a box.
    #[test]
    fn scale_in_a_sum_of_boxes_is_exact(inner in inner_h(3, 4), a in h_polytope(3, 0), b in h_polytope(3, 0)) {
        let (low, high): (Vec<f64>, Vec<f64>) = {
            let sides = |set: &HPolytope| set.bounding_box(&solver(), &options()).unwrap();
            let ((la, ua), (lb, ub)) = (sides(&a), sides(&b));
            ((la + lb).to_vec(), (ua + ub).to_vec())
        };
        let sum = HPolytope::hyperbox(&low, &high).unwrap();
        let centre = (Array1::from(low) + Array1::from(high)) / 2.0;
        let exact = exact_scale(&inner, &sum, &centre);
        let answer = certify_scaling(&inner, &[ah(&a), ah(&b)], centre.view(), &solver(), &options()).unwrap();
        let gamma = answer.containment.certificate().unwrap().gamma;
        prop_assert!(gamma <= exact * (1.0 + 1e-9) && gamma >= exact * (1.0 - 1e-6), "{gamma} of {exact}");
        let beyond = inner.scale(1.001 * exact).unwrap().translate(centre.view()).unwrap();
        let answer = certify_sum_containment(&beyond, &[ah(&a), ah(&b)], &solver(), &options()).unwrap();
        let found = answer.counterexample().expect("a point outside");
        prop_assert!(!sum.contains(found.witness.view(), 0.0).unwrap().is_inside());
    }

    /// Every point of a certified set is split into points of the outer sets that add up to it.
    #[test]
    fn certified_points_disaggregate((inner, outers) in task(), directions in matrix(4, 3, 1.0)) {
        let (inner, outers, certificate) = certified(inner, outers);
        for direction in directions.rows() {
            let far = inner.support(direction, &solver(), &options()).unwrap();
            let point = &far.point * certificate.gamma + &certificate.centre;
            let parts = certificate.split(&inner, &outers, point.view(), 1e-6, &solver(), &options()).unwrap();
            let mut sum = Array1::zeros(3);
            for ((part, outer), eta) in parts.iter().zip(&outers).zip(certificate.disaggregate(far.coordinates.view()).unwrap()) {
                sum += part;
                prop_assert!(outer.base().contains(eta.view(), 1e-6).unwrap().is_inside());
            }
            prop_assert!((sum - point).iter().all(|off| off.abs() < 1e-9), "parts do not add up");
        }
    }

    /// The scale of affine rules is sound: no support value of the scaled set exceeds the sum of the outer ones.
    #[test]
    fn certified_sets_stay_below_the_support_of_the_sum((inner, outers) in task(), directions in matrix(6, 3, 1.0)) {
        let (inner, outers, certificate) = certified(inner, outers);
        for direction in directions.rows() {
            let reach = |set: &AhPolytope| set.support(direction, &solver(), &options()).unwrap().value;
            let inside = direction.dot(&certificate.centre) + certificate.gamma * reach(&inner);
            let sum: f64 = outers.iter().map(reach).sum();
            prop_assert!(inside <= sum + 1e-6, "{inside} beyond {sum}");
        }
    }

    /// A change of 1e-6 in the scale, a rule, an offset or the centre is noticed; in `Λ` where it breaks something.
    #[test]
    fn verification_notices_changes((inner, outers) in task(), at in any::<prop::sample::Index>(), sign in prop::bool::ANY) {
        let (inner, outers, certificate) = certified(inner, outers);
        prop_assert!(!breaks(&certificate, &inner, &outers));
        let change = if sign { 1e-6 } else { -1e-6 };
        let i = at.index(outers.len());
        let mut changed = certificate.clone();
        changed.gamma += change;
        prop_assert!(breaks(&changed, &inner, &outers), "scale");
        let mut changed = certificate.clone();
        let k = at.index(changed.beta[i].len());
        changed.beta[i][k] += change;
        prop_assert!(breaks(&changed, &inner, &outers), "offset of a rule");
        let mut changed = certificate.clone();
        let k = (at.index(changed.gamma_maps[i].nrows()), at.index(3));
        changed.gamma_maps[i][k] += change;
        prop_assert!(breaks(&changed, &inner, &outers), "rule");
        let mut changed = certificate.clone();
        changed.centre[at.index(3)] += change;
        prop_assert!(breaks(&changed, &inner, &outers), "centre");
        // A multiplier alone breaks its rule, since no row of the inner set is zero.
        let mut changed = certificate.clone();
        let k = (at.index(changed.lambda[i].nrows()), at.index(changed.lambda[i].ncols()));
        changed.lambda[i][k] += change;
        prop_assert!(breaks(&changed, &inner, &outers), "multiplier");
        let mut changed = certificate.clone();
        changed.lambda[i][k] = -1e-12;
        prop_assert!(breaks(&changed, &inner, &outers), "negative multiplier");
        // Data that changed under the certificate are noticed as well: a bound that was tight.
        let (normals, offsets) = outers[i].base().clone().into_parts();
        let slack = |k: usize| offsets[k] + normals.row(k).dot(&certificate.beta[i])
            - certificate.lambda[i].row(k).dot(&inner.base().offsets());
        let tight = (0..offsets.len()).min_by(|a, b| slack(*a).total_cmp(&slack(*b))).unwrap();
        if slack(tight) < 1e-8 {
            let mut less = offsets.clone();
            less[tight] -= 1e-6;
            let base = HPolytope::new(normals.clone(), less).unwrap();
            let mut others = outers.clone();
            others[i] = AhPolytope::new(outers[i].centre().to_owned(), outers[i].generators().to_owned(), base).unwrap();
            prop_assert!(breaks(&certificate, &inner, &others), "bound");
        }
    }

    /// Both forms of the linear program have the same optimum and the same derivatives of it.
    #[test]
    fn formulations_agree((inner, outers) in task()) {
        let (_, _, certificate) = certified(inner.clone(), outers.clone());
        let solver = solver();
        let other = Certifier::new(&solver, &options())
            .formulation(Formulation::UnitRows)
            .scaling(&inner, &outers, certificate.centre.view())
            .unwrap();
        let gamma = other.containment.certificate().unwrap().gamma;
        prop_assert!((gamma - certificate.gamma).abs() <= 1e-6 * gamma);
    }

    /// Derivatives of the scale against finite differences on both sides.
    #[test]
    fn sensitivity_is_the_derivative(inner in inner_h(2, 3), a in h_polytope(2, 3), b in h_polytope(2, 3), change in vector(7, 1.0), turn in matrix(7, 2, 1.0), shift in vector(2, 1.0)) {
        const STEP: f64 = 1e-4;
        let outers = [ah(&a), ah(&b)];
        let centre: Array1<f64> = outers.iter().map(|outer| outer.base().chebyshev(&solver(), &options()).unwrap().centre)
            .fold(Array1::zeros(2), |sum, part| sum + part);
        let scale = |step: f64, formulation| {
            let (normals, offsets) = inner.base().clone().into_parts();
            let moved = HPolytope::new(normals + &turn * step, offsets + &change * step).unwrap();
            let solver = Microlp::default();
            Certifier::new(&solver, &options().tolerance(1e-9)).formulation(formulation)
                .scaling(&ah(&moved), &outers, (&centre + &(&shift * step)).view()).unwrap()
        };
        for formulation in [Formulation::AsWritten, Formulation::UnitRows] {
            let optimum = |step| scale(step, formulation).optimum.unwrap();
            let (below, here, above) = (optimum(-STEP), optimum(0.0), optimum(STEP));
            let (left, right) = ((here - below) / STEP, (above - here) / STEP);
            let found = scale(0.0, formulation).sensitivity.unwrap();
            let derivative = found.offsets.dot(&change) + (&found.normals * &turn).sum() + found.centre.dot(&shift);
            // Between the two slopes: next to a kink one of them mixes two pieces.
            let allowed = 2e-3 * (1.0 + derivative.abs());
            prop_assert!(
                derivative >= left.min(right) - allowed && derivative <= left.max(right) + allowed,
                "{derivative} against {left} and {right}"
            );
        }
    }
}

#[test]
fn a_set_far_outside_has_a_witness() {
    let inner: AhPolytope = HPolytope::hyperbox(&[5.0, 5.0], &[6.0, 6.0])
        .unwrap()
        .into();
    let outer: AhPolytope = HPolytope::hyperbox(&[0.0, 0.0], &[1.0, 1.0])
        .unwrap()
        .into();
    let answer = certify_containment(&inner, &outer, &solver(), &options()).unwrap();
    let found = answer.counterexample().expect("it is outside");
    assert!(found.excess > 3.9 && found.witness[0] >= 5.0);
}

/// Rows through the origin have no size of their own; rounding at them is not an excess.
#[test]
fn sets_that_touch_the_origin_are_inside_themselves() {
    let triangle = HPolytope::new(
        array![[-1.0, -1.0], [-3.0, 1.0], [2.0, 0.7]],
        array![0.0, 0.0, 5.0],
    )
    .unwrap();
    let answer = certify_in_h(&ah(&triangle), &triangle, 1e-9, &solver(), &options()).unwrap();
    assert!(answer.is_certified(), "{answer:?}");
    let set = ah(&triangle);
    let answer = certify_containment(&set, &set, &solver(), &options()).unwrap();
    assert!(answer.is_certified(), "{answer:?}");
    let small = set.scale(1e-6).unwrap();
    let answer = certify_containment(&small, &set, &solver(), &options()).unwrap();
    assert!(answer.is_certified(), "{answer:?}");
    let answer = certify_containment(&small, &small, &solver(), &options()).unwrap();
    assert!(answer.is_certified(), "{answer:?}");
}

/// Rows that are as good as infinite do not make the check lax.
#[test]
fn far_rows_do_not_hide_violations() {
    const FAR: f64 = 1e9;
    let rows = array![
        [1.0, 0.0],
        [0.0, 1.0],
        [-1.0, 0.0],
        [0.0, -1.0],
        [1.0, 0.0],
        [1.0, 1.0],
        [-1.0, 0.0],
        [-1.0, -1.0],
    ];
    let near = HPolytope::hyperbox(&[-1.0, -1.0], &[1.0, 1.0]).unwrap();
    let outer = HPolytope::new(rows, array![1.0, 1.0, 1.0, 1.0, FAR, FAR, FAR, FAR]).unwrap();
    let (inner, outers) = (ah(&near), [ah(&outer)]);
    let answer = certify_scaling(
        &inner,
        &outers,
        array![0.0, 0.0].view(),
        &solver(),
        &options(),
    )
    .unwrap();
    let certificate = answer.containment.certificate().expect("it has a scale");
    assert!(
        (certificate.gamma - 1.0).abs() < 1e-6,
        "{}",
        certificate.gamma
    );
    let mut larger = certificate.clone();
    let part = 1.0 + 1e-6;
    larger.gamma *= part;
    larger.lambda[0] *= part;
    larger.gamma_maps[0] *= part;
    assert!(
        breaks(&larger, &inner, &outers),
        "a set that is too large by a millionth"
    );
    let beyond = ah(&near.scale(1.001).unwrap());
    let answer = certify_in_h(&beyond, &outer, 1e-9, &solver(), &options()).unwrap();
    assert!(answer.counterexample().is_some(), "{answer:?}");
    let apart = outer
        .intersection(&near.translate(array![2.1, 0.0].view()).unwrap())
        .unwrap();
    assert!(matches!(
        apart.check(&solver(), &options()),
        Err(Error::Empty { .. })
    ));
    assert_eq!(outer.vertices(100).unwrap().points().nrows(), 4);
}

#[test]
fn bad_tasks_are_refused_by_name() {
    let line: AhPolytope = HPolytope::hyperbox(&[0.0], &[1.0]).unwrap().into();
    let plane: AhPolytope = HPolytope::hyperbox(&[0.0, 0.0], &[1.0, 1.0])
        .unwrap()
        .into();
    let error = certify_sum_containment(&line, &[], &solver(), &options()).unwrap_err();
    assert!(matches!(error, Error::Nothing { .. }), "{error}");
    let error = certify_containment(&line, &plane, &solver(), &options()).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    let empty: AhPolytope = HPolytope::new(array![[1.0], [-1.0]], array![0.0, -1.0])
        .unwrap()
        .into();
    let error = certify_containment(&empty, &line, &solver(), &options()).unwrap_err();
    assert!(matches!(error, Error::Empty { .. }), "{error}");
    let ray: AhPolytope = HPolytope::new(array![[-1.0]], array![0.0]).unwrap().into();
    let error = certify_containment(&ray, &line, &solver(), &options()).unwrap_err();
    assert!(matches!(error, Error::Unbounded { .. }), "{error}");
    let point: AhPolytope = HPolytope::hyperbox(&[0.0], &[0.0]).unwrap().into();
    let centre = array![0.5];
    let error = certify_scaling(
        &point,
        std::slice::from_ref(&line),
        centre.view(),
        &solver(),
        &options(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::UnboundedScaling), "{error}");
    let nan = array![f64::NAN];
    let error = certify_scaling(
        &line,
        std::slice::from_ref(&line),
        nan.view(),
        &solver(),
        &options(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    let answer = certify_scaling(
        &line,
        std::slice::from_ref(&line),
        array![2.0].view(),
        &solver(),
        &options(),
    )
    .unwrap();
    assert!(
        matches!(answer.containment, Containment::NotContained(_)),
        "{answer:?}"
    );
}

/// A certificate that belongs to other sets is refused by its shape.
#[test]
fn certificates_of_other_sets_are_refused() {
    let line: AhPolytope = HPolytope::hyperbox(&[0.0], &[1.0]).unwrap().into();
    let plane: AhPolytope = HPolytope::hyperbox(&[0.0, 0.0], &[1.0, 1.0])
        .unwrap()
        .into();
    let answer = certify_containment(&line, &line, &solver(), &options()).unwrap();
    let mut certificate = answer.certificate().unwrap().clone();
    assert!(matches!(
        certificate.verify(&plane, std::slice::from_ref(&plane), 1e-9),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        certificate.verify(&line, &[], 1e-9),
        Err(Error::Nothing { .. })
    ));
    assert!(matches!(
        certificate.verify(&line, std::slice::from_ref(&line), -1.0),
        Err(Error::Domain { .. })
    ));
    certificate.beta[0][0] = f64::NAN;
    assert!(matches!(
        certificate.verify(&line, std::slice::from_ref(&line), 1e-9),
        Err(Error::NotFinite { .. })
    ));
}

/// A vehicle that is away (no width at all, or only in some steps) is no obstacle.
#[test]
fn sets_without_width_take_part() {
    let inner: AhPolytope = HPolytope::hyperbox(&[-1.0, -1.0], &[1.0, 1.0])
        .unwrap()
        .into();
    let outers: Vec<AhPolytope> = [
        HPolytope::hyperbox(&[0.0, 0.0], &[0.0, 0.0]),
        HPolytope::hyperbox(&[-3.0, 1.0], &[3.0, 1.0]),
        HPolytope::hyperbox(&[0.0, -2.0], &[1.0, 2.0]),
    ]
    .map(|set| set.unwrap().into())
    .into();
    let centre = array![0.5, 1.0];
    let answer = certify_scaling(&inner, &outers, centre.view(), &solver(), &options()).unwrap();
    let certificate = answer.containment.certificate().expect("it has a scale");
    assert!(
        (certificate.gamma - 2.0).abs() < 1e-6,
        "{}",
        certificate.gamma
    );
    let parts = certificate.disaggregate(array![1.0, -1.0].view()).unwrap();
    assert!(parts[0].iter().all(|part| part.abs() < 1e-12));
    assert!((parts[1][1] - 1.0).abs() < 1e-12);
}

/// A battery over four steps: bounds on powers and on their running sums.
fn battery(power: [f64; 4], energy: (f64, f64)) -> AhPolytope {
    let mut normals = Array2::zeros((16, 4));
    let mut offsets = Array1::zeros(16);
    for t in 0..4 {
        for (block, sign) in [(0, 1.0), (4, -1.0)] {
            normals[[block + t, t]] = sign;
            offsets[block + t] = power[t];
            for tau in 0..=t {
                normals[[8 + block + t, tau]] = sign;
            }
        }
        offsets[8 + t] = energy.1;
        offsets[12 + t] = -energy.0;
    }
    HPolytope::new(normals, offsets).unwrap().into()
}

/// The scale does not depend on how the sets are written: an inner set with and without auxiliary variables (of which one
/// value only is left, so that its base is flat), batteries in powers and in energies, also when they are away in some steps.
#[test]
fn scale_does_not_depend_on_the_writing() {
    let rows = array![
        [1.0, 0.9, 0.1, 0.0],
        [-0.2, 1.0, 1.1, 0.9],
        [-1.0, -1.0, 0.2, 0.0],
        [0.3, 0.0, -1.0, -1.0]
    ];
    let bounds = HPolytope::hyperbox(&[-1.0, -0.8, -1.2, -1.0], &[0.9, 1.0, 0.7, 1.1]).unwrap();
    let offsets = array![1.0, 1.2, 0.9, 1.1];
    let plain = ah(&HPolytope::new(rows.clone(), offsets.clone())
        .unwrap()
        .intersection(&bounds)
        .unwrap());
    // (x, z) with z ≥ rows x − offsets, z ≥ 0, Σ z ≤ 0.
    let mut normals = Array2::zeros((17, 8));
    let mut sides = Array1::zeros(17);
    for k in 0..4 {
        normals.slice_mut(s![k, ..4]).assign(&rows.row(k));
        normals[[k, 4 + k]] = -1.0;
        sides[k] = offsets[k];
        normals[[4 + k, 4 + k]] = -1.0;
        normals[[8, 4 + k]] = 1.0;
    }
    normals.slice_mut(s![9.., ..4]).assign(&bounds.normals());
    sides.slice_mut(s![9..]).assign(&bounds.offsets());
    let generators = Array2::from_shape_fn((4, 8), |(n, j)| f64::from(u8::from(n == j)));
    let lifted = AhPolytope::new(
        Array1::zeros(4),
        generators,
        HPolytope::new(normals, sides).unwrap(),
    )
    .unwrap();
    let powers = [
        battery([3.0, 3.0, 3.0, 3.0], (-4.0, 5.0)),
        battery([2.0, 2.0, 0.0, 0.0], (-1.0, 2.0)),
        battery([0.0, 0.0, 0.0, 0.0], (-1.0, 1.0)),
        battery([4.0, 4.0, 4.0, 4.0], (-0.01, 0.01)),
    ];
    let differences = Array2::from_shape_fn((4, 4), |(t, tau)| match t.checked_sub(tau) {
        Some(0) => 1.0,
        Some(1) => -1.0,
        _ => 0.0,
    });
    let energies = powers
        .each_ref()
        .map(|set| set.substitute(differences.view()).unwrap());
    let centre = array![0.1, 0.2, -0.1, 0.0];
    let mut scales = Vec::new();
    for inner in [&plain, &lifted] {
        for outers in [&powers, &energies] {
            let solver = solver();
            for formulation in [Formulation::AsWritten, Formulation::UnitRows] {
                let answer = Certifier::new(&solver, &options())
                    .formulation(formulation)
                    .scaling(inner, outers, centre.view())
                    .unwrap();
                let certificate = answer.containment.certificate();
                let certificate = certificate.unwrap_or_else(|| panic!("{:?}", answer.containment));
                assert!(certificate.verify(inner, outers, 1e-9).is_ok());
                scales.push(certificate.gamma);
            }
        }
    }
    assert!(scales[0] > 0.5);
    for scale in &scales {
        assert!((scale / scales[0] - 1.0).abs() < 1e-6, "{scales:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The method that eliminates block by block finds the optimum of the linear program, and its certificate verifies.
    #[test]
    fn blocks_reach_the_same_scale((inner, outers) in task()) {
        let (inner, outers, certificate) = certified(inner, outers);
        let answer = Certifier::new(&solver(), &options())
            .formulation(Formulation::Blocks)
            .scaling(&inner, &outers, certificate.centre.view())
            .unwrap();
        let found = answer.containment.certificate().expect("a certificate");
        prop_assert!(found.verify(&inner, &outers, 1e-9).is_ok());
        prop_assert!((found.gamma - certificate.gamma).abs() <= 1e-6 * certificate.gamma, "{} and {}", found.gamma, certificate.gamma);
        let optimum = answer.optimum.expect("an optimum");
        prop_assert!((found.gamma - optimum).abs() <= 1e-6 * optimum, "{} of {optimum}", found.gamma);
    }
}
