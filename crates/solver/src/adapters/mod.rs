//! Engines behind the [`Solver`](crate::Solver) trait, one module and one feature each.
//!
//! An adapter translates in both directions and judges nothing: what its engine claims goes through one shared
//! path that simplifies the problem first, recovers duals and certificates the engine does not report,
//! and checks the claim by arithmetic ([`verify`](crate::verify)) before it becomes an
//! [`Outcome`](crate::Outcome).

#[cfg(any(
    feature = "clarabel",
    feature = "highs",
    feature = "microlp",
    feature = "minilp"
))]
mod case;
#[cfg(any(
    feature = "clarabel",
    feature = "highs",
    feature = "microlp",
    feature = "minilp"
))]
mod engine;
#[cfg(any(
    feature = "clarabel",
    feature = "highs",
    feature = "microlp",
    feature = "minilp"
))]
mod polish;
#[cfg(any(
    feature = "clarabel",
    feature = "highs",
    feature = "microlp",
    feature = "minilp"
))]
mod prepare;
#[cfg(any(
    feature = "clarabel",
    feature = "highs",
    feature = "microlp",
    feature = "minilp"
))]
mod recover;

#[cfg(feature = "clarabel")]
mod clarabel;
#[cfg(feature = "highs")]
mod highs;
#[cfg(feature = "microlp")]
mod microlp;
#[cfg(feature = "minilp")]
mod minilp;

#[cfg(feature = "clarabel")]
pub use clarabel::Clarabel;
#[cfg(feature = "highs")]
pub use highs::{Highs, Model as HighsModel};
#[cfg(feature = "microlp")]
pub use microlp::Microlp;
#[cfg(feature = "minilp")]
pub use minilp::Minilp;
