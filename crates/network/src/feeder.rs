//! A feeder with one source, in per unit: the short form that instance files use.

use crate::{Branch, Bus, Case, Error, Generator};

/// A feeder with one source and no loads of its own, all in per unit.
///
/// Line charging is part of the shunts. Branches may be given in either direction.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Feeder {
    /// Power base in MVA.
    pub base_mva: f64,
    /// Number of the source.
    pub root_bus: u32,
    /// Voltage magnitude that the source holds, p.u.
    pub root_voltage_pu: f64,
    /// Buses, in the order of all results.
    pub buses: Vec<FeederBus>,
    /// Branches, in the order of all results.
    pub branches: Vec<FeederBranch>,
    /// The grid behind the source.
    pub generator: FeederGenerator,
}

/// A bus of a [`Feeder`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FeederBus {
    /// Its number.
    pub id: u32,
    /// Lowest allowed voltage, p.u.
    pub v_min_pu: f64,
    /// Highest allowed voltage, p.u.
    pub v_max_pu: f64,
    /// Shunt conductance, p.u. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub shunt_g_pu: f64,
    /// Shunt susceptance, p.u., positive for a capacitor. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub shunt_b_pu: f64,
}

/// A branch of a [`Feeder`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FeederBranch {
    /// Number of one end; a transformer stands here.
    pub from: u32,
    /// Number of the other end.
    pub to: u32,
    /// Resistance, p.u.
    pub r_pu: f64,
    /// Reactance, p.u.
    pub x_pu: f64,
    /// Turns ratio at the from bus. Default: 1.
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    pub ratio: f64,
    /// Largest current, p.u. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub i_max_pu: Option<f64>,
}

/// The grid behind the source of a [`Feeder`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FeederGenerator {
    /// Least active power, MW.
    pub p_min_mw: f64,
    /// Most active power, MW.
    pub p_max_mw: f64,
    /// Least reactive power, `MVAr`.
    pub q_min_mvar: f64,
    /// Most reactive power, `MVAr`.
    pub q_max_mvar: f64,
    /// Cost per hour `[c2, c1, c0]` of power in MW.
    pub cost: [f64; 3],
}

#[cfg(feature = "serde")]
fn one() -> f64 {
    1.0
}

impl Feeder {
    /// The same as a case, without loads; give it to [`Network::new`](crate::Network::new).
    ///
    /// ```
    /// use evflex_network::{Feeder, FeederBranch, FeederBus, FeederGenerator, FlowOptions, Network, PowerFlow};
    /// use ndarray::array;
    ///
    /// let bus = |id| FeederBus { id, v_min_pu: 0.9, v_max_pu: 1.1, shunt_g_pu: 0.0, shunt_b_pu: 0.0 };
    /// let feeder = Feeder {
    ///     base_mva: 10.0,
    ///     root_bus: 1,
    ///     root_voltage_pu: 1.0,
    ///     buses: vec![bus(1), bus(6)],
    ///     branches: vec![FeederBranch { from: 6, to: 1, r_pu: 0.1, x_pu: 0.1, ratio: 1.0, i_max_pu: None }],
    ///     generator: FeederGenerator {
    ///         p_min_mw: 0.0, p_max_mw: 10.0, q_min_mvar: -10.0, q_max_mvar: 10.0, cost: [0.0, 20.0, 0.0],
    ///     },
    /// };
    /// let network = Network::new(feeder.into_case("station")?)?;
    /// let flow = PowerFlow::solve(&network, array![0.0, 1.0].view(), array![0.0, 0.0].view(), &FlowOptions::default())?;
    /// assert!(flow.cost_per_hour()? > 20.0);
    /// # Ok::<(), evflex_network::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownBus`] when no bus has the number of the source.
    pub fn into_case(self, name: &str) -> Result<Case, Error> {
        let (root, voltage, base) = (self.root_bus, self.root_voltage_pu, self.base_mva);
        if !self.buses.iter().any(|bus| bus.id == root) {
            return Err(Error::UnknownBus {
                what: "the root of the feeder".to_owned(),
                id: root,
            });
        }
        let buses = self.buses.into_iter().map(|bus| Bus {
            v_min_pu: bus.v_min_pu,
            v_max_pu: bus.v_max_pu,
            shunt_mw: bus.shunt_g_pu * base,
            shunt_mvar: bus.shunt_b_pu * base,
            ..if bus.id == root {
                Bus::source(root, voltage)
            } else {
                Bus::load(bus.id, 0.0, 0.0)
            }
        });
        let branches = self.branches.into_iter().map(|branch| Branch {
            ratio: branch.ratio,
            i_max_pu: branch.i_max_pu,
            ..Branch::line(branch.from, branch.to, branch.r_pu, branch.x_pu)
        });
        let grid = self.generator;
        Ok(Case {
            name: name.to_owned(),
            base_mva: base,
            buses: buses.collect(),
            branches: branches.collect(),
            generators: vec![Generator {
                p_min_mw: grid.p_min_mw,
                p_max_mw: grid.p_max_mw,
                q_min_mvar: grid.q_min_mvar,
                q_max_mvar: grid.q_max_mvar,
                cost: Some(grid.cost),
                ..Generator::grid(root, voltage, 0.0)
            }],
        })
    }
}
