//! Instances with known answers: support values of every subset and exact peaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::too_many_lines,
    reason = "a test stops at the first surprise, and reads from top to bottom"
)]

use std::{fs, path::PathBuf};

use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
use evflex_flexibility::{
    AffineInner, FleetPolymatroid, InnerPolytope, Objective, ScaledPolytope, SetGradient,
    Verification, direct,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("an array, not {value}"))
        .iter()
        .map(|entry| entry.as_f64().unwrap())
        .collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    let columns = rows[0].len();
    Array2::from_shape_vec((rows.len(), columns), rows.concat()).unwrap()
}

fn read_fleet(fleet: &Value) -> Fleet {
    let steps = usize::try_from(fleet["steps"].as_u64().unwrap()).unwrap();
    let grid = TimeGrid::new(steps, Hours(fleet["step_hours"].as_f64().unwrap())).unwrap();
    let vehicles = fleet["vehicles"].as_array().unwrap().iter().map(|vehicle| {
        let bound = |key: &str| numbers(&vehicle[key]);
        Vehicle::new(
            vehicle["id"].as_str().unwrap(),
            bound("power_min_kw"),
            bound("power_max_kw"),
            bound("energy_min_kwh"),
            bound("energy_max_kwh"),
        )
        .unwrap()
    });
    Fleet::new(grid, vehicles.collect()).unwrap()
}

#[test]
fn support_values_and_exact_costs_are_met() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("skipped: no instances in {}", folder.display());
        return;
    };
    let mut instances = 0;
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("sets_") {
            continue;
        }
        instances += 1;
        let instance: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let fleet = read_fleet(&instance["fleet"]);
        let expected = &instance["expected"];
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let table = set.table().unwrap();
        for (ours, key) in [
            (table.upper(), "support_max_kw"),
            (table.lower(), "support_min_kw"),
        ] {
            let theirs = numbers(&expected[key]);
            assert_eq!(ours.len(), theirs.len(), "{name} {key}");
            for (subset, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                assert!(
                    (ours - theirs).abs() < 1e-9,
                    "{name} {key}[{subset}]: {ours} against {theirs}"
                );
            }
        }
        let inner = InnerPolytope::new(
            matrix(&instance["set"]["normals"]),
            Array1::from_vec(numbers(&instance["set"]["offsets"])),
            Array1::from_vec(numbers(&instance["set"]["power_min_kw"])),
            Array1::from_vec(numbers(&instance["set"]["power_max_kw"])),
        )
        .unwrap();
        let centre = Array1::from_vec(numbers(&instance["center_kw"]));
        let scaling = set.exact_scaling(&inner, centre.view()).unwrap();
        let gamma = expected["gamma_exact"].as_f64().unwrap();
        assert!(
            (scaling.gamma - gamma).abs() < 1e-7,
            "{name}: gamma {} against {gamma}",
            scaling.gamma
        );
        let verified = scaling
            .certificate
            .verify(&set, &inner, centre.view(), 1e-9)
            .unwrap();
        assert_eq!(verified, Verification::Confirmed, "{name}");
        if let Some(gradient) = expected.get("gradient") {
            let gradient = &gradient["gamma_exact"];
            for (ours, key) in [
                (&scaling.gradient.offsets, "offsets"),
                (&scaling.gradient.upper, "power_max_kw"),
                (&scaling.gradient.lower, "power_min_kw"),
            ] {
                for (ours, theirs) in ours.iter().zip(numbers(&gradient[key])) {
                    assert!(
                        (ours - theirs).abs() < 1e-4,
                        "{name}: gradient of {key}: {ours} against {theirs}"
                    );
                }
            }
        }
        if let Some(costs) = expected.get("set_cost_exact_kw") {
            let (scaled, _) = ScaledPolytope::certified(&set, &inner, centre.view()).unwrap();
            let loads: Vec<Array1<f64>> = instance["loads_kw"]
                .as_array()
                .unwrap()
                .iter()
                .map(|load| Array1::from_vec(numbers(load)))
                .collect();
            let mut mean = SetGradient::zeros(&inner);
            for (load_kw, theirs) in loads.iter().zip(numbers(costs)) {
                let objective = Objective::Peak {
                    load_kw: load_kw.clone(),
                };
                let (decision, gradient) = scaled
                    .minimise_with_gradient(&objective, &Clarabel::default(), &Options::default())
                    .unwrap();
                assert!(
                    (decision.cost - theirs).abs() < 1e-6,
                    "{name}: {} against {theirs}",
                    decision.cost
                );
                assert!(
                    decision.lower_bound > theirs - 1e-6,
                    "{name}: bound {}",
                    decision.lower_bound
                );
                mean.scaled_add(
                    1.0 / loads.len() as f64,
                    &gradient.with_scaling(&scaling.gradient),
                );
            }
            let theirs = &expected["gradient"]["loss_exact"];
            for (ours, key) in [
                (&mean.offsets, "offsets"),
                (&mean.upper, "power_max_kw"),
                (&mean.lower, "power_min_kw"),
            ] {
                for (ours, theirs) in ours.iter().zip(numbers(&theirs[key])) {
                    assert!(
                        (ours - theirs).abs() < 1e-4,
                        "{name}: loss gradient of {key}: {ours} against {theirs}"
                    );
                }
            }
        }
        if let Some(sigma) = expected.get("structure_preserving") {
            let homothets = AffineInner::structure_preserving(
                &fleet,
                &Clarabel::default(),
                &Options::default(),
            )
            .unwrap();
            for (map, theirs) in homothets.maps().iter().zip(numbers(&sigma["sigma"])) {
                assert!(
                    (map.matrix[[0, 0]] - theirs).abs() < 1e-5,
                    "{name}: sigma {} against {theirs}",
                    map.matrix[[0, 0]]
                );
            }
            let affine =
                AffineInner::general_affine(&fleet, &Clarabel::default(), &Options::default())
                    .unwrap();
            for (map, theirs) in affine
                .maps()
                .iter()
                .zip(numbers(&expected["general_affine"]["trace"]))
            {
                let trace: f64 = map.matrix.diag().sum();
                assert!(
                    (trace - theirs).abs() < 1e-5,
                    "{name}: trace {trace} against {theirs}"
                );
            }
            assert_eq!(homothets.verify(1e-9).unwrap(), None, "{name}");
            assert_eq!(affine.verify(1e-9).unwrap(), None, "{name}");
        }
        if let Some(costs) = expected.get("exact_cost_kw") {
            for (load, theirs) in instance["loads_kw"]
                .as_array()
                .unwrap()
                .iter()
                .zip(numbers(costs))
            {
                let objective = Objective::Peak {
                    load_kw: Array1::from_vec(numbers(load)),
                };
                let answer = set
                    .decide(&objective, &Options::default().gap(1e-9))
                    .unwrap()
                    .decision;
                assert!(
                    (answer.cost - theirs).abs() < 1e-6,
                    "{name}: peak {} against {theirs}",
                    answer.cost
                );
                assert!(
                    (answer.lower_bound - theirs).abs() < 1e-6,
                    "{name}: bound {} against {theirs}",
                    answer.lower_bound
                );
                let (_, program) = direct::decide(
                    &fleet,
                    &objective,
                    &Clarabel::default(),
                    &Options::default(),
                )
                .unwrap();
                assert!(
                    (program - theirs).abs() < 1e-5,
                    "{name}: program {program} against {theirs}"
                );
            }
        }
    }
    assert!(
        instances > 0,
        "{} holds no instances of sets",
        folder.display()
    );
}
