//! A network as it is written down: buses, branches and generators, in the units of case files. Nothing is checked
//! here; [`Network::new`](crate::Network::new) checks all of it.

/// What a bus holds while the power flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum BusKind {
    /// Active and reactive power are given (PQ).
    #[default]
    Load,
    /// Active power and voltage magnitude are given; the reactive power follows (PV). Without a generator in service
    /// it is a load bus.
    Voltage,
    /// The voltage is given, and the power balance of its feeder is closed here (reference bus, substation).
    Source,
    /// Not connected; left out together with its branches, generators and load.
    Isolated,
}

/// A bus.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bus {
    /// Its number in the case; numbers need not be consecutive.
    pub id: u32,
    /// What it holds.
    pub kind: BusKind,
    /// Active load in MW, positive when drawn.
    pub load_mw: f64,
    /// Reactive load in `MVAr`, positive when drawn.
    pub load_mvar: f64,
    /// Power drawn by the shunt conductance at 1 p.u., in MW (`Gs`).
    pub shunt_mw: f64,
    /// Reactive power injected by the shunt susceptance at 1 p.u., in `MVAr` (`Bs`); positive for a capacitor.
    pub shunt_mvar: f64,
    /// Voltage magnitude in p.u. held by a source without a generator (`Vm`); a start value elsewhere.
    pub voltage_pu: f64,
    /// Nominal voltage in kV; 0 when unknown. It only labels results, everything is in p.u.
    pub base_kv: f64,
    /// Lowest allowed voltage magnitude in p.u.
    #[cfg_attr(feature = "serde", serde(with = "open_lower"))]
    pub v_min_pu: f64,
    /// Highest allowed voltage magnitude in p.u.
    #[cfg_attr(feature = "serde", serde(with = "open_upper"))]
    pub v_max_pu: f64,
}

impl Bus {
    /// A load bus between 0.9 and 1.1 p.u., without a shunt.
    #[must_use]
    pub fn load(id: u32, load_mw: f64, load_mvar: f64) -> Self {
        Self {
            id,
            kind: BusKind::Load,
            load_mw,
            load_mvar,
            shunt_mw: 0.0,
            shunt_mvar: 0.0,
            voltage_pu: 1.0,
            base_kv: 0.0,
            v_min_pu: 0.9,
            v_max_pu: 1.1,
        }
    }

    /// A source without load that holds `voltage_pu`.
    #[must_use]
    pub fn source(id: u32, voltage_pu: f64) -> Self {
        Self {
            kind: BusKind::Source,
            voltage_pu,
            v_min_pu: voltage_pu,
            v_max_pu: voltage_pu,
            ..Self::load(id, 0.0, 0.0)
        }
    }
}

/// A branch: a line, or a transformer at its from bus followed by a line.
///
/// ```text
///   from ──( ratio : 1 )──┬── r + j x ──┬── to          |V_from| / ratio is the sending voltage
///                       b/2           b/2
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Branch {
    /// Number of the from bus.
    pub from: u32,
    /// Number of the to bus.
    pub to: u32,
    /// Series resistance in p.u.
    pub r_pu: f64,
    /// Series reactance in p.u.
    pub x_pu: f64,
    /// Total charging susceptance in p.u., half at each end.
    pub b_pu: f64,
    /// Turns ratio of the transformer at the from bus; 1 for a line.
    pub ratio: f64,
    /// Phase shift of that transformer in degrees; in a radial network it moves angles and nothing else.
    pub shift_deg: f64,
    /// Largest current in p.u. (a rating in MVA divided by the base, which is the current at 1 p.u.); `None`: no limit.
    pub i_max_pu: Option<f64>,
    /// `false` for an open switch or tie line.
    pub in_service: bool,
}

impl Branch {
    /// A line in service, without charging and without a limit.
    #[must_use]
    pub fn line(from: u32, to: u32, r_pu: f64, x_pu: f64) -> Self {
        Self {
            from,
            to,
            r_pu,
            x_pu,
            b_pu: 0.0,
            ratio: 1.0,
            shift_deg: 0.0,
            i_max_pu: None,
            in_service: true,
        }
    }
}

/// A generator, or the grid behind a source.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Generator {
    /// Number of its bus.
    pub bus: u32,
    /// Active power in MW. The first generator of a source closes the balance instead.
    pub p_mw: f64,
    /// Reactive power in `MVAr`; counts at load buses and for the second and later generators of a source.
    pub q_mvar: f64,
    /// Least active power in MW; for optimisation only.
    #[cfg_attr(feature = "serde", serde(with = "open_lower"))]
    pub p_min_mw: f64,
    /// Most active power in MW; for optimisation only.
    #[cfg_attr(feature = "serde", serde(with = "open_upper"))]
    pub p_max_mw: f64,
    /// Least reactive power in `MVAr`; for optimisation only, power flow does not enforce it.
    #[cfg_attr(feature = "serde", serde(with = "open_lower"))]
    pub q_min_mvar: f64,
    /// Most reactive power in `MVAr`; for optimisation only, power flow does not enforce it.
    #[cfg_attr(feature = "serde", serde(with = "open_upper"))]
    pub q_max_mvar: f64,
    /// Voltage magnitude in p.u. that it holds at a voltage bus or source.
    pub voltage_pu: f64,
    /// Cost per hour `c2 P² + c1 P + c0`, `P` in MW, as `[c2, c1, c0]`; `None` when the case has none.
    pub cost: Option<[f64; 3]>,
    /// Whether it runs.
    pub in_service: bool,
}

impl Generator {
    /// A grid connection that holds `voltage_pu`, with a cost of `price` per `MWh` and no limits that bind.
    #[must_use]
    pub fn grid(bus: u32, voltage_pu: f64, price: f64) -> Self {
        Self {
            bus,
            p_mw: 0.0,
            q_mvar: 0.0,
            p_min_mw: f64::NEG_INFINITY,
            p_max_mw: f64::INFINITY,
            q_min_mvar: f64::NEG_INFINITY,
            q_max_mvar: f64::INFINITY,
            voltage_pu,
            cost: Some([0.0, price, 0.0]),
            in_service: true,
        }
    }

    /// `c2 P² + c1 P + c0` at `p_mw`; `None` without a cost.
    #[must_use]
    pub fn cost_per_hour(&self, p_mw: f64) -> Option<f64> {
        self.cost.map(|[c2, c1, c0]| (c2 * p_mw + c1) * p_mw + c0)
    }
}

/// A whole network as data.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Case {
    /// Name for reports.
    pub name: String,
    /// Power base in MVA: 1 p.u. of power.
    pub base_mva: f64,
    /// Buses, in the order of all results.
    pub buses: Vec<Bus>,
    /// Branches, in the order of all results.
    pub branches: Vec<Branch>,
    /// Generators, in the order of all results.
    pub generators: Vec<Generator>,
}

/// Limits that are open stand as nothing in a file, because JSON has no infinity.
#[cfg(feature = "serde")]
macro_rules! open_side {
    ($module:ident, $open:expr) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
                value.is_finite().then_some(*value).serialize(to)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
                Ok(Option::deserialize(from)?.unwrap_or($open))
            }
        }
    };
}
#[cfg(feature = "serde")]
open_side!(open_lower, f64::NEG_INFINITY);
#[cfg(feature = "serde")]
open_side!(open_upper, f64::INFINITY);
