//! The scale by affine rules against stored instances: fleets, a learned set, and the scale that another implementation found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;

use evflex_polytope::{
    AhPolytope, Certifier, Containment, Formulation, HPolytope, Shortfall, certify_sum_containment,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2, s};
use serde_json::Value;

fn numbers(value: &Value) -> Array1<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

/// `(L; −L; I; −I)` with the bounds of one vehicle: energies in kWh over powers in kW.
fn vehicle(data: &Value, hours: f64) -> AhPolytope {
    let bounds = [
        "energy_max_kwh",
        "energy_min_kwh",
        "power_max_kw",
        "power_min_kw",
    ]
    .map(|key| numbers(&data[key]));
    let steps = bounds[0].len();
    let identity = Array2::<f64>::eye(steps);
    let sums = Array2::from_shape_fn(
        (steps, steps),
        |(t, tau)| if tau <= t { hours } else { 0.0 },
    );
    let mut normals = Array2::zeros((4 * steps, steps));
    let mut offsets = Array1::zeros(4 * steps);
    for (block, (matrix, sign)) in [
        (&sums, 1.0),
        (&sums, -1.0),
        (&identity, 1.0),
        (&identity, -1.0),
    ]
    .into_iter()
    .enumerate()
    {
        let rows = block * steps..(block + 1) * steps;
        normals
            .slice_mut(s![rows.clone(), ..])
            .assign(&(matrix * sign));
        offsets.slice_mut(s![rows]).assign(&(&bounds[block] * sign));
    }
    HPolytope::new(normals, offsets).unwrap().into()
}

fn inner(set: &Value) -> AhPolytope {
    let (lower, upper) = (numbers(&set["power_min_kw"]), numbers(&set["power_max_kw"]));
    let rows: Vec<Array1<f64>> = set["normals"]
        .as_array()
        .unwrap()
        .iter()
        .map(numbers)
        .collect();
    let normals = Array2::from_shape_fn((rows.len(), lower.len()), |(k, t)| rows[k][t]);
    let facets = HPolytope::new(normals, numbers(&set["offsets"])).unwrap();
    let bounds = HPolytope::hyperbox(&lower.to_vec(), &upper.to_vec()).unwrap();
    facets.intersection(&bounds).unwrap().into()
}

/// Between the scale of affine rules and the exact one the set is contained but not certified; beyond the exact one it
/// is never certified. The two answers are not the same.
fn beyond_affine_rules(
    inner: &AhPolytope,
    outers: &[AhPolytope],
    centre: &Array1<f64>,
    rules: f64,
    exact: f64,
) {
    let (solver, options) = (Clarabel::default(), Options::default());
    let at = |gamma: f64| {
        let set = inner.scale(gamma).unwrap().translate(centre.view());
        certify_sum_containment(&set.unwrap(), outers, &solver, &options).unwrap()
    };
    assert!(at(0.999 * rules).is_certified());
    assert!(!at(1.001 * exact).is_certified());
    if exact > 1.01 * rules {
        let answer = at(f64::midpoint(rules, exact));
        assert!(
            matches!(answer, Containment::NotCertified(Shortfall::Scale { gamma }) if gamma < 1.0),
            "{answer:?}"
        );
    } else {
        let found = at(1.001 * exact);
        assert!(
            found
                .counterexample()
                .is_some_and(|point| point.excess > 0.0),
            "{found:?}"
        );
    }
}

#[test]
fn scale_of_stored_sets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    if !folder.exists() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    let mut instances = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("sets_") {
            continue;
        }
        let data: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let expected = &data["expected"];
        let Some(theirs) = expected["gamma_certificate"].as_f64() else {
            continue;
        };
        let exact = expected["gamma_exact"].as_f64().unwrap();
        let hours = data["fleet"]["step_hours"].as_f64().unwrap();
        let outers: Vec<AhPolytope> = data["fleet"]["vehicles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| vehicle(v, hours))
            .collect();
        let inner = inner(&data["set"]);
        let centre = numbers(&data["center_kw"]);
        for formulation in [Formulation::AsWritten, Formulation::UnitRows] {
            let solver = Clarabel::default();
            let answer = Certifier::new(&solver, &Options::default())
                .formulation(formulation)
                .scaling(&inner, &outers, centre.view())
                .unwrap();
            let certificate = answer
                .containment
                .certificate()
                .unwrap_or_else(|| panic!("{name}: {:?}", answer.containment));
            assert!((certificate.gamma - theirs).abs() <= 1e-5);
            assert!(certificate.gamma <= exact * (1.0 + 1e-9));
            assert!(certificate.verify(&inner, &outers, 1e-9).is_ok());
        }
        beyond_affine_rules(&inner, &outers, &centre, theirs, exact);
        instances += 1;
    }
    assert!(
        instances > 0,
        "{} holds no instances of sets",
        folder.display()
    );
}
