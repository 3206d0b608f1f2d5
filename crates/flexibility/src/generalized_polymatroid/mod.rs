//! Generalised polymatroids of many vehicles at once: set functions and greedy vertices.
//!
//! Sums of generalised polymatroids are generalised polymatroids whose set functions add, so every
//! question about the fleet is a loop over vehicles. The loop is written over [`LANES`] vehicles at
//! a time, stored side by side, so that the compiler can use vector instructions; vehicles with the
//! same set are stored once with a multiplicity.

mod chain;
mod pack;
mod table;

pub use chain::Permutation;
pub use table::{MAX_TABLE_STEPS, SetFunctionTable};

pub(crate) use chain::Scratch;
pub(crate) use pack::{Block, Lanes, PackedFleet};
pub(crate) use table::WalkOrderTable;

/// Vehicles processed side by side.
pub(crate) const LANES: usize = 8;
