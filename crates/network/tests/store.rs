//! Cases and results can be stored and read again.

#![cfg(feature = "serde")]

use evflex_network::{Case, Network, cases};

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
