//! Optimisation problems as data, and solvers whose answers are checked: linear, convex quadratic, second-order
//! cone and mixed-integer problems.

#![cfg_attr(
    test,
    allow(clippy::float_cmp, reason = "tests compare numbers that are exact")
)]
mod adapters;
mod builder;
mod convexity;
mod error;
pub mod mps;
mod options;
mod outcome;
mod problem;
mod solver;
mod sparse;
pub mod testkit;
pub mod verify;

#[cfg(feature = "clarabel")]
pub use adapters::Clarabel;
#[cfg(feature = "microlp")]
pub use adapters::Microlp;
#[cfg(feature = "minilp")]
pub use adapters::Minilp;
#[cfg(feature = "highs")]
pub use adapters::{Highs, HighsModel};
pub use builder::ProblemBuilder;
pub use convexity::CONVEXITY_TOLERANCE;
pub use error::Error;
pub use options::{Cancel, Options, Progress, ProgressReport};
pub use outcome::{Certificate, Duals, Outcome, Solution, StopReason};
pub use problem::{AffineTerm, Cone, ConeId, Problem, RowId, Sense, VariableId, VariableKind};
pub use solver::{Capabilities, Solver};
pub use sparse::CompressedMatrix;
pub use verify::Residuals;
