//! Learned aggregate flexibility sets: input-convex networks (ICNNs) whose 0-sublevel set is a polytope.
//!
//! ```
//! use evflex_flexibility::FleetPolymatroid;
//! use evflex_icnn::Candidate;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fleet = evflex_fleet::synthetic::appendix_c(1)?;
//! let exact = FleetPolymatroid::exact(&fleet)?;
//! // A network of depth 2 that starts as the polytope of all interval sums of the fleet.
//! let start = Candidate::interval_rows(&exact, None, 2)?;
//! assert!(start.network.evaluate(ndarray::Array1::zeros(18).view())? <= 0.0);
//! assert_eq!(start.network.sublevel_matrices().selection.nrows(), 18);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! [`Weights`] are plain arrays; [`Icnn`] are checked ones: evaluation, scaling, the linear form of Appendix A of
//! `thanvantri2025`, and the H-polytope where hidden units can be eliminated. [`Candidate`] is a network with a
//! centre, made from any polytope (Appendix B), the general affine set or interval rows. [`Layout`] puts all parameters
//! in a row.
//!
//! # Conventions
//! Powers in kW, one per step, positive when the fleet draws power. A network lives in powers relative to its
//! centre Δ, and its set contains the origin.

mod decision;
mod error;
mod form;
mod layout;
mod learned_set;
mod loss;
mod nearest;
mod network;
mod optimiser;
mod pool;
mod settings;
mod simplex;
mod start;
mod stored;
mod trainer;

pub use error::Error;
pub use form::SublevelMatrices;
pub use layout::{Layout, Parameter};
pub use learned_set::{DEFAULT_TOLERANCE, LearnedSet, LinearInequalities};
pub use loss::{Loss, decision_loss};
pub use network::{Icnn, Layer, OutputLayer, UnitBounds, Weights};
pub use settings::{
    GradientRule, Optimiser, ScalingRule, Split, Trained, TrainingDays, TrainingSettings, Unit,
};
pub use start::Candidate;
pub use trainer::{Checkpoint, EpochReport, Trainer, TrainingRun};
