//! Radial distribution feeders: MATPOWER case files, AC power flow for one snapshot and for thousands, with gradients by
//! the adjoint, and optimal power flow by a second-order cone relaxation that says when its answer means nothing.
//!
//! ```
//! use evflex_network::{ExactnessOptions, Relaxation, cases};
//! use evflex_solver::{Clarabel, Options};
//!
//! let network = cases::case69()?; // or matpower::read("case69.m")?
//! let flow = network.power_flow()?;
//! assert!((flow.loss_kw - 224.991_694_152_067_57).abs() < 1e-7);
//! assert_eq!(flow.lowest_voltage().id, 65);
//!
//! // Where one more kW hurts most: what it adds to the losses, in kW.
//! let gradient = flow.loss_gradient();
//! let worst = (0..69).max_by(|&a, &b| gradient.by_mw[a].total_cmp(&gradient.by_mw[b]));
//! assert_eq!(worst.map(|bus| network.buses()[bus].id), Some(65));
//!
//! // Optimal power flow. Numbers of an operating point exist only in the variant that proves them.
//! let (load_mw, load_mvar) = network.loads();
//! let (solver, options) = (Clarabel::default(), Options::default());
//! let exactness = ExactnessOptions::default();
//! match network.relax(load_mw.view(), load_mvar.view(), &solver, &options, &exactness)? {
//!     Relaxation::Exact(optimum) => assert!(optimum.gap() < 1e-7),
//!     Relaxation::NotExact(bound) => panic!("only a bound: {} ({})", bound.lower_bound, bound.reason),
//!     _ => panic!("no operating point keeps the limits"),
//! }
//! # Ok::<(), evflex_network::Error>(())
//! ```
//!
//! # Map
//! | data | |
//! |---|---|
//! | [`Case`], [`Bus`], [`Branch`], [`Generator`] | a network as it is written down |
//! | [`Feeder`] | the short form of instance files, with one source |
//! | [`matpower`] | case files, with the code at their end that converts units |
//! | [`cases`] | published feeders of 18, 33 and 69 buses |
//! | [`Network`] | checked once: every number, and exactly one way from every bus to a source; faults name the loop |
//!
//! | answers | |
//! |---|---|
//! | [`PowerFlow`] | one snapshot: buses, branches, generators, losses, cost, gradients |
//! | [`BatchFlow`] | many snapshots of one network, a row each |
//! | [`DistFlow`] | one snapshot as variables, rows and cones of a larger problem |
//! | [`Relaxation`] | optimal power flow: exact with its proof, or a bound and the reason, or infeasible |
//! | [`Drawing`] | places, colours and widths of a feeder, and an SVG of them |
//!
//! # Conventions
//! Loads in MW and `MVAr`, positive when drawn; impedances and voltages in per unit; a branch has its ratio at the from
//! bus and half of its charging at each end. Results are in the order of the buses, branches and generators of the case;
//! arguments that name a bus are positions in that order ([`Network::bus_index`] finds them). A power flow is the upper
//! solution, the one that starts at no load. Cone slack is in per unit on 10 MVA, whatever the base.
//!
//! # Limits
//! Networks have to be radial: balanced, one phase, loads of constant power. Several sources are fine as long as no branch
//! joins them. A generator in the feeder may hold its voltage in a power flow; its reactive limits are not enforced there.
//! Two branches in parallel are a loop: merge them first.
//!
//! # Features
//! `serde`: cases, feeders and results can be stored; cases are checked again by [`Network::new`]. Off by default.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::float_cmp,
        reason = "tests stop at the first surprise"
    )
)]

mod case;
pub mod cases;
mod distflow;
mod drawing;
mod error;
mod feeder;
mod flow;
pub mod matpower;
mod network;
mod relaxation;
mod topology;

pub use case::{Branch, Bus, BusKind, Case, Generator};
pub use distflow::DistFlow;
pub use drawing::{Drawing, DrawnBranch, DrawnBus};
pub use error::Error;
pub use feeder::{Feeder, FeederBranch, FeederBus, FeederGenerator};
pub use flow::{
    BatchFlow, BranchFlow, BusState, FlowOptions, GeneratorOutput, Gradient, PowerFlow,
    PowerFlowGradient,
};
pub use network::Network;
pub use relaxation::{ExactnessOptions, Inexact, OptimalFlow, Relaxation, RelaxedBound};
