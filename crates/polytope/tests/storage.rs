//! Sets and certificates in JSON (feature `serde`).
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::{options, solver};
use evflex_polytope::{
    AhPolytope, Certificate, HPolytope, VPolytope, Zonotope, certify_containment,
};
use ndarray::array;

/// What was stored is read back bit by bit, and a certificate still verifies.
#[test]
fn sets_and_certificates_survive() {
    let inner: AhPolytope = HPolytope::hyperbox(&[0.1, 0.2], &[0.3, 0.7])
        .unwrap()
        .into();
    let outer: AhPolytope = HPolytope::hyperbox(&[0.0, 0.0], &[1.0, 1.0])
        .unwrap()
        .into();
    let answer = certify_containment(&inner, &outer, &solver(), &options()).unwrap();
    let text = serde_json::to_string(&(answer.certificate(), &inner, &outer)).unwrap();
    let (certificate, a, b): (Certificate, AhPolytope, AhPolytope) =
        serde_json::from_str(&text).unwrap();
    assert_eq!(
        (Some(&certificate), &a, &b),
        (answer.certificate(), &inner, &outer)
    );
    assert!(certificate.verify(&a, &[b], 1e-9).is_ok());
    let zonotope = Zonotope::new(array![1.0], array![[0.1, 0.2]]).unwrap();
    let text = serde_json::to_string(&zonotope).unwrap();
    assert_eq!(serde_json::from_str::<Zonotope>(&text).unwrap(), zonotope);
    let hull = VPolytope::new(array![[1.0], [2.0]]).unwrap();
    let text = serde_json::to_string(&hull).unwrap();
    assert_eq!(serde_json::from_str::<VPolytope>(&text).unwrap(), hull);
}

/// What could not have been made cannot be read either.
#[test]
fn broken_sets_are_refused_when_read() {
    let set = HPolytope::hyperbox(&[0.0], &[1.0]).unwrap();
    let text = serde_json::to_string(&set).unwrap();
    let broken = text.replacen(
        "\"offsets\":{\"v\":1,\"dim\":[2],\"data\":[1.0,-0.0]}",
        "\"offsets\":{\"v\":1,\"dim\":[1],\"data\":[1.0]}",
        1,
    );
    assert_ne!(text, broken);
    let error = serde_json::from_str::<HPolytope>(&broken)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("offsets, one per normal: expected 2, found 1"),
        "{error}"
    );
}
