//! Engines behind the [`Solver`](crate::Solver) trait, one module and one feature each.

// #[cfg(feature = "highs")]
// mod highs;
