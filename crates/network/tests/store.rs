//! Cases and results can be stored and read again.

#![cfg(feature = "serde")]

use std::path::PathBuf;

use evflex_network::{BatchFlow, Case, Feeder, FlowOptions, Network, cases};
use ndarray::Array2;
use serde_json::Value;

#[test]
fn a_case_survives_json() {
    let network = cases::case18().unwrap();
    let text = serde_json::to_string(network.case()).unwrap();
    let again: Case = serde_json::from_str(&text).unwrap();
    assert_eq!(&again, network.case());
    let flow = Network::new(again).unwrap().power_flow().unwrap();
    assert_eq!(flow.buses, network.power_flow().unwrap().buses);
    assert!(
        serde_json::to_string(&flow.drawing(0.9, 1.1).unwrap())
            .unwrap()
            .contains("\"outside_limits\":false")
    );
}

/// JSON has no infinity: open limits are null.
#[test]
fn open_limits_survive_json() {
    let mut case = cases::case69().unwrap().case().clone();
    case.generators[0].p_max_mw = f64::INFINITY;
    case.generators[0].q_min_mvar = f64::NEG_INFINITY;
    let text = serde_json::to_string(&case).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
}

/// Numbers of a JSON array of arrays.
fn rows(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap_or_default();
    Array2::from_shape_fn(
        (rows.len(), rows.first().map_or(0, Vec::len)),
        |(row, column)| rows[row][column],
    )
}

/// Instance files, where they are at hand: what the day costs without vehicles, one power flow per step.
#[test]
fn instances_cost_what_they_say_without_vehicles() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let mut checked = 0;
    for name in [
        "grid_c18_tiny",
        "grid_c18_day",
        "grid_c69_day",
        "grid_c33_vbind",
    ] {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.json"))) else {
            println!("skipped: {name} is not beside the repository");
            continue;
        };
        let instance: Value = serde_json::from_str(&text).unwrap();
        let feeder: Feeder = serde_json::from_value(instance["network"].clone()).unwrap();
        let network = Network::new(feeder.into_case(name).unwrap()).unwrap();
        let (p, q) = (rows(&instance["load_mw"]), rows(&instance["load_mvar"]));
        let day = BatchFlow::solve(&network, p.view(), q.view(), &FlowOptions::default()).unwrap();
        let cost = day.cost_per_hour().unwrap().sum() * instance["step_hours"].as_f64().unwrap();
        if let Some(expected) = instance["expected"]["cost_without_ev_eur"].as_f64() {
            let off = (cost - expected).abs() / expected;
            assert!(off < 1e-9, "{name}: {cost} for {expected}, off by {off:e}");
            checked += 1;
        }
    }
    println!("{checked} instances checked");
}

#[test]
fn unknown_keys_of_a_feeder_are_refused_by_name() {
    let text = r#"{"base_mva": 10, "root_bus": 1, "root_voltage_pu": 1, "colour": "red"}"#;
    let message = serde_json::from_str::<Feeder>(text)
        .unwrap_err()
        .to_string();
    assert!(message.contains("colour"), "{message}");
}
