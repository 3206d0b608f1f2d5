//! Cases with an answer in closed form, and networks that have none.

use ndarray::{Array2, array};

use super::*;
use crate::{Branch, Bus, BusKind, Case, Generator, cases};

/// A source, one branch, one load of `p + jq` p.u. on 1 MVA.
fn two_buses(branch: Branch, p: f64, q: f64) -> Network {
    Network::new(Case {
        name: "two buses".to_owned(),
        base_mva: 1.0,
        buses: vec![Bus::source(1, 1.02), Bus::load(2, p, q)],
        branches: vec![branch],
        generators: vec![Generator::grid(1, 1.02, 50.0)],
    })
    .unwrap()
}

/// The upper root of `v² + (2 (r p + x q) − w) v + (r² + x²)(p² + q²) = 0`, where `w` is the sending voltage squared.
fn closed_form(w: f64, r: f64, x: f64, p: f64, q: f64) -> Option<f64> {
    let half = 0.5 * w - (r * p + x * q);
    let inside = half * half - (r * r + x * x) * (p * p + q * q);
    (inside >= 0.0).then(|| half + inside.sqrt())
}

#[test]
fn two_buses_agree_with_the_closed_form_up_to_the_nose() {
    let (r, x) = (0.08, 0.05);
    let mut carried = 0;
    for step in 1..400 {
        let p = f64::from(step) * 0.01;
        let answer = two_buses(Branch::line(1, 2, r, x), p, 0.4 * p).power_flow();
        if let Some(v_sq) = closed_form(1.02 * 1.02, r, x, p, 0.4 * p) {
            let (found, expected) = (answer.unwrap().buses[1].v_pu, v_sq.sqrt());
            assert!(
                (found - expected).abs() < 1e-9,
                "p = {p}: {found} for {expected}"
            );
            carried += 1;
        } else {
            let error = answer.unwrap_err();
            let expected = matches!(error, Error::NoConvergence { .. } | Error::Collapsed { .. });
            assert!(expected && error.to_string().contains("carry"), "{error}");
        }
    }
    assert!((100..390).contains(&carried), "{carried}");
}

#[test]
fn ratios_work_in_both_directions() {
    let (r, x, p, q) = (0.02, 0.06, 0.5, 0.2);
    let w = 1.02 * 1.02;
    let with = |from, to| Branch {
        ratio: 0.95,
        shift_deg: 30.0,
        ..Branch::line(from, to, r, x)
    };
    // The transformer at the source lifts the sending voltage.
    let near = two_buses(with(1, 2), p, q).power_flow().unwrap();
    let expected = closed_form(w / (0.95 * 0.95), r, x, p, q).unwrap().sqrt();
    assert!((near.buses[1].v_pu - expected).abs() < 1e-12);
    // The transformer at the load lowers what arrives.
    let far = two_buses(with(2, 1), p, q).power_flow().unwrap();
    let expected = closed_form(w, r, x, p, q).unwrap().sqrt() * 0.95;
    assert!((far.buses[1].v_pu - expected).abs() < 1e-12);
    // The phase shift moves the angle by 30 degrees, forth or back.
    let plain = two_buses(Branch::line(1, 2, r, x), p, q)
        .power_flow()
        .unwrap()
        .buses[1]
        .angle_deg;
    assert!((far.buses[1].angle_deg - plain - 30.0).abs() < 1e-9);
    assert!((near.buses[1].angle_deg + 30.0).abs() < 3.0);
}

#[test]
fn branches_without_impedance_are_wires() {
    let flow = two_buses(Branch::line(1, 2, 0.0, 0.0), 0.7, 0.1)
        .power_flow()
        .unwrap();
    assert_eq!(flow.buses[1].v_pu, 1.02);
    assert_eq!(flow.loss_kw, 0.0);
    let tiny = two_buses(Branch::line(1, 2, 6e-13, 6e-13), 0.7, 0.1)
        .power_flow()
        .unwrap();
    assert!((tiny.loss_kw - 1e3 * 6e-13 * 0.5 / 1.0404).abs() < 1e-18);
}

#[test]
fn isolated_buses_and_open_branches_are_left_out() {
    let mut case = cases::case69().unwrap().case().clone();
    let losses = cases::case69().unwrap().power_flow().unwrap().loss_kw;
    case.buses.insert(
        3,
        Bus {
            kind: BusKind::Isolated,
            ..Bus::load(500, 9.0, 9.0)
        },
    );
    case.branches.push(Branch::line(500, 65, 0.1, 0.1));
    case.branches.push(Branch {
        in_service: false,
        ..Branch::line(65, 27, 0.1, 0.1)
    });
    let network = Network::new(case).unwrap();
    let flow = network.power_flow().unwrap();
    assert_eq!(flow.loss_kw, losses);
    assert_eq!(
        (
            flow.buses[3].v_pu,
            flow.branches[68].i_pu,
            flow.branches[69].i_pu
        ),
        (0.0, 0.0, 0.0)
    );
    assert_eq!(flow.lowest_voltage().id, 65);
    assert!(!network.is_connected(3) && network.parent(3).is_none());
    assert!(matches!(flow.voltage_gradient(3), Err(Error::Shape { .. })));
    assert_eq!(flow.loss_gradient().by_mw[3], 0.0);
}

/// What two generators give at one bus, and at a source besides the first, counts as given.
#[test]
fn given_generators_feed_in() {
    let plain = two_buses(Branch::line(1, 2, 0.05, 0.02), 0.3, 0.1);
    let mut case = plain.case().clone();
    case.buses[1].load_mw = 0.8;
    case.buses[1].load_mvar = 0.2;
    for (bus, p, q) in [(2, 0.3, 0.05), (2, 0.2, 0.05), (1, 0.25, 0.01)] {
        case.generators.push(Generator {
            p_mw: p,
            q_mvar: q,
            ..Generator::grid(bus, 1.0, 10.0)
        });
    }
    let network = Network::new(case).unwrap();
    let (before, after) = (plain.power_flow().unwrap(), network.power_flow().unwrap());
    assert!((before.loss_kw - after.loss_kw).abs() < 1e-12);
    assert!((before.generation().0 + 0.5 - after.generation().0).abs() < 1e-12);
    assert!((before.generators[0].p_mw - 0.25 - after.generators[0].p_mw).abs() < 1e-12);
    let cost = 50.0 * after.generators[0].p_mw + 10.0 * 0.75;
    assert!((after.cost_per_hour().unwrap() - cost).abs() < 1e-12);
}

#[test]
fn faults_of_loads_are_named() {
    let network = cases::case33bw().unwrap();
    let (load_mw, load_mvar) = network.loads();
    let solve = |p: &ndarray::Array1<f64>, q: &ndarray::Array1<f64>| {
        PowerFlow::solve(&network, p.view(), q.view(), &FlowOptions::default()).unwrap_err()
    };
    assert!(matches!(
        solve(&array![1.0], &load_mvar),
        Error::Shape {
            expected: 33,
            found: 1,
            ..
        }
    ));
    let mut broken = load_mw.clone();
    broken[7] = f64::NAN;
    assert!(matches!(
        solve(&broken, &load_mvar),
        Error::NotFinite { column: 7, .. }
    ));
    let heavy = solve(&(&load_mw * 5.0), &(&load_mvar * 5.0));
    assert!(
        matches!(
            heavy,
            Error::NoConvergence { row: 0, .. } | Error::Collapsed { row: 0, .. }
        ),
        "{heavy}"
    );
    let options = FlowOptions::default().tolerance(f64::NAN);
    assert!(PowerFlow::solve(&network, load_mw.view(), load_mvar.view(), &options).is_err());

    // In a batch, the row.
    let rows = |load: &ndarray::Array1<f64>| {
        Array2::from_shape_fn((11, 33), |(row, bus)| {
            load[bus] * if row == 9 { 5.0 } else { 1.0 }
        })
    };
    let options = FlowOptions::default();
    let error = BatchFlow::solve(
        &network,
        rows(&load_mw).view(),
        rows(&load_mvar).view(),
        &options,
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NoConvergence { row: 9, .. } | Error::Collapsed { row: 9, .. }
        ),
        "{error}"
    );
    let none = Array2::zeros((0, 33));
    assert!(BatchFlow::solve(&network, none.view(), none.view(), &options).is_err());
    let (ten, eleven) = (Array2::zeros((10, 33)), Array2::zeros((11, 33)));
    assert!(BatchFlow::solve(&network, ten.view(), eleven.view(), &options).is_err());
}

#[test]
fn costs_are_asked_for_where_there_are_none() {
    let mut case = cases::case33bw().unwrap().case().clone();
    case.generators[0].cost = None;
    let flow = Network::new(case.clone()).unwrap().power_flow().unwrap();
    assert!(matches!(
        flow.cost_per_hour(),
        Err(Error::NoCost { bus: 1 })
    ));
    assert!(matches!(
        flow.cost_gradient(),
        Err(Error::NoCost { bus: 1 })
    ));
    case.generators.clear();
    let flow = Network::new(case).unwrap().power_flow().unwrap();
    assert!(flow.generators.is_empty() && (flow.loss_kw - 202.677_126_445_947_25).abs() < 1e-7);
}

/// Enough rows that threads share them; the answers are those of few rows.
#[test]
fn large_batches_agree_with_small_ones() {
    let network = cases::case69().unwrap();
    let (load_mw, load_mvar) = network.loads();
    let rows = |load: &ndarray::Array1<f64>, count| {
        Array2::from_shape_fn((count, 69), |(row, bus)| {
            load[bus] * (0.5 + 0.001 * row as f64)
        })
    };
    let solve = |count| {
        BatchFlow::solve(
            &network,
            rows(&load_mw, count).view(),
            rows(&load_mvar, count).view(),
            &FlowOptions::default(),
        )
        .unwrap()
    };
    let (many, few) = (solve(700), solve(5));
    assert_eq!(many.v_pu().slice(ndarray::s![..5, ..]), few.v_pu());
    assert_eq!(
        many.cost_gradient()
            .unwrap()
            .by_mw
            .slice(ndarray::s![..5, ..]),
        few.cost_gradient().unwrap().by_mw
    );
    assert!(many.max_iterations() <= 6);
}

/// Loads grow until the feeder collapses: up to there every power flow is found, beyond it none, and voltages only fall.
#[test]
fn power_flows_are_found_up_to_collapse() {
    for network in [cases::case33bw().unwrap(), cases::case69().unwrap()] {
        let (load_mw, load_mvar) = network.loads();
        let mut lowest = 1.0;
        let mut collapsed = None;
        for step in 1..600 {
            let factor = f64::from(step) * 0.01;
            let (p, q) = (&load_mw * factor, &load_mvar * factor);
            match PowerFlow::solve(&network, p.view(), q.view(), &FlowOptions::default()) {
                Ok(flow) => {
                    assert!(collapsed.is_none(), "{factor} after {collapsed:?}");
                    assert!(flow.lowest_voltage().v_pu < lowest);
                    lowest = flow.lowest_voltage().v_pu;
                }
                Err(_) => collapsed = collapsed.or(Some(factor)),
            }
        }
        let collapsed = collapsed.unwrap();
        assert!(
            (3.0..4.0).contains(&collapsed) && lowest < 0.5,
            "{collapsed} {lowest}"
        );
    }
}
