//! Radial distribution feeders: AC power flow for one snapshot and for batches, with gradients by the adjoint.
//!
//! ```
//! use evflex_network::cases;
//!
//! let network = cases::case69()?;
//! let flow = network.power_flow()?;
//! assert!((flow.loss_kw - 224.991_694_152_067_57).abs() < 1e-7);
//! assert_eq!(flow.lowest_voltage().id, 65);
//!
//! // Where one more kW hurts most: what it adds to the losses, in kW.
//! let gradient = flow.loss_gradient();
//! let worst = (0..69).max_by(|&a, &b| gradient.by_mw[a].total_cmp(&gradient.by_mw[b]));
//! assert_eq!(worst.map(|bus| network.buses()[bus].id), Some(65));
//! # Ok::<(), evflex_network::Error>(())
//! ```

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
mod flow;
pub mod matpower;
mod network;
mod relaxation;
mod topology;

pub use case::{Branch, Bus, BusKind, Case, Generator};
pub use distflow::DistFlow;
pub use drawing::{Drawing, DrawnBranch, DrawnBus};
pub use error::Error;
pub use flow::{
    BatchFlow, BranchFlow, BusState, FlowOptions, GeneratorOutput, Gradient, PowerFlow,
    PowerFlowGradient,
};
pub use network::Network;
pub use relaxation::{ExactnessOptions, Inexact, OptimalFlow, Relaxation, RelaxedBound};
