//! Published feeders, ready to use: the facts of their papers in our own form.
//!
//! | function | buses | base | held voltage | source of the data |
//! |---|---|---|---|---|
//! | [`case18`] | 18, with capacitors and a transformer | 10 MVA, 12.5 kV | 1.05 p.u. at bus 51 | Grady, Samotyj and Noyola 1992 |
//! | [`case33bw`] | 33, with five open tie lines | 10 MVA, 12.66 kV | 1.0 p.u. at bus 1 | Baran and Wu 1989 (reconfiguration) |
//! | [`case69`] | 69 | 10 MVA, 12.66 kV | 1.0 p.u. at bus 1 | Baran and Wu 1989 (capacitors) |
//!
//! The price of 20 per `MWh`, the voltage limits of 0.9 and 1.1 p.u. and the generator limits are those under which these
//! feeders are commonly compared.

mod case18;
mod case33bw;
mod case69;

use crate::{Branch, Bus, Case, Error, Generator, Network};

/// A line as (from, to, resistance in ohm, reactance in ohm).
type Line = (u32, u32, f64, f64);

/// Power base of all three, MVA.
const BASE_MVA: f64 = 10.0;

/// Price of the grid per `MWh`.
const PRICE: f64 = 20.0;

/// The grid connection of a feeder, with symmetric reactive limits.
fn grid(bus: u32, voltage_pu: f64, limit: f64) -> Generator {
    Generator {
        p_min_mw: 0.0,
        p_max_mw: limit,
        q_min_mvar: -limit,
        q_max_mvar: limit,
        ..Generator::grid(bus, voltage_pu, PRICE)
    }
}

/// The 18-bus feeder with 10.05 `MVAr` of capacitors; its source absorbs reactive power.
///
/// # Errors
/// None for the data as they stand; the signature is that of [`Network::new`].
pub fn case18() -> Result<Network, Error> {
    let buses = case18::BUSES.iter().map(|&(id, mw, mvar, capacitor)| Bus {
        shunt_mvar: capacitor,
        base_kv: if id >= 50 { 138.0 } else { 12.5 },
        ..if id == 51 {
            Bus::source(id, 1.05)
        } else {
            Bus::load(id, mw, mvar)
        }
    });
    let branches = case18::BRANCHES.iter().map(|&(from, to, r, x, b)| Branch {
        b_pu: b,
        ..Branch::line(from, to, r, x)
    });
    Network::new(Case {
        name: "case18".to_owned(),
        base_mva: BASE_MVA,
        buses: buses.collect(),
        branches: branches.collect(),
        generators: vec![grid(51, 1.05, 100.0)],
    })
}

/// The 33-bus feeder; its five tie lines are open.
///
/// # Errors
/// None for the data as they stand; the signature is that of [`Network::new`].
pub fn case33bw() -> Result<Network, Error> {
    let lines = case33bw::LINES.iter().map(|&line| (line, true));
    let ties = case33bw::TIES.iter().map(|&line| (line, false));
    from_ohms("case33bw", 33, &case33bw::LOADS, lines.chain(ties))
}

/// The 69-bus feeder.
///
/// # Errors
/// None for the data as they stand; the signature is that of [`Network::new`].
pub fn case69() -> Result<Network, Error> {
    from_ohms(
        "case69",
        69,
        &case69::LOADS,
        case69::LINES.iter().map(|&line| (line, true)),
    )
}

/// A feeder of 12.66 kV that is published in kW and ohm, with buses `1..=count` and its source at bus 1.
fn from_ohms(
    name: &str,
    count: u32,
    loads: &[(u32, f64, f64)],
    lines: impl Iterator<Item = (Line, bool)>,
) -> Result<Network, Error> {
    const BASE_KV: f64 = 12.66;
    let ohm = BASE_KV * BASE_KV / BASE_MVA; // 1 p.u. of impedance
    let mut buses: Vec<Bus> = (1..=count)
        .map(|id| Bus {
            base_kv: BASE_KV,
            ..if id == 1 {
                Bus::source(id, 1.0)
            } else {
                Bus::load(id, 0.0, 0.0)
            }
        })
        .collect();
    for &(id, kw, kvar) in loads {
        let bus = &mut buses[id as usize - 1];
        (bus.load_mw, bus.load_mvar) = (kw / 1e3, kvar / 1e3);
    }
    let branches = lines.map(|((from, to, r, x), in_service)| Branch {
        in_service,
        ..Branch::line(from, to, r / ohm, x / ohm)
    });
    Network::new(Case {
        name: name.to_owned(),
        base_mva: BASE_MVA,
        buses,
        branches: branches.collect(),
        generators: vec![grid(1, 1.0, 10.0)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals() {
        let total = |network: Network| {
            let (mw, mvar) = network.loads();
            (mw.sum(), mvar.sum())
        };
        let close = |(mw, mvar): (f64, f64), (p, q): (f64, f64)| {
            assert!(
                (mw - p).abs() < 1e-9 && (mvar - q).abs() < 1e-9,
                "{mw} {mvar}"
            );
        };
        close(total(case33bw().unwrap()), (3.715, 2.3));
        close(total(case69().unwrap()), (3.8021, 2.6947));
        close(total(case18().unwrap()), (11.6, 7.59));
        let capacitors: f64 = case18()
            .unwrap()
            .buses()
            .iter()
            .map(|bus| bus.shunt_mvar)
            .sum();
        assert!((capacitors - 10.05).abs() < 1e-9);
    }

    /// Independent programs (spec of the cases): cost per hour, MW, `MVAr`, kW of losses, lowest voltage and its bus.
    #[test]
    fn anchors() {
        let anchors = [
            (
                case18().unwrap(),
                237.203_759_056_964_37,
                11.860_187_952_848_218,
                -2.082_103_891_025_642_6,
                260.187_952_848_246_4,
                1.026_770_964_276_427_6,
                8,
            ),
            (
                case33bw().unwrap(),
                78.353_542_529_118_81,
                3.917_677_126_455_940_2,
                2.435_140_970_973_423,
                202.677_126_445_947_25,
                0.913_090_479_361_058_6,
                18,
            ),
            (
                case69().unwrap(),
                80.541_833_883_041_26,
                4.027_091_694_152_063,
                2.796_858_049_844_996_4,
                224.991_694_152_067_57,
                0.909_187_713_707_101_5,
                65,
            ),
        ];
        for (network, cost, p, q, loss, lowest, bus) in anchors {
            let flow = network.power_flow().unwrap();
            let (mw, mvar) = flow.generation();
            let found = [
                flow.cost_per_hour().unwrap(),
                mw,
                mvar,
                flow.loss_kw,
                flow.lowest_voltage().v_pu,
            ];
            for (found, anchor) in found.into_iter().zip([cost, p, q, loss, lowest]) {
                let off = (found - anchor).abs() / f64::abs(anchor);
                assert!(
                    off <= 1e-9,
                    "{}: {found} for {anchor}, off by {off:e}",
                    network.name()
                );
            }
            assert_eq!(flow.lowest_voltage().id, bus);
        }
    }
}
