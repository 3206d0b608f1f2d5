//! Checks of answers by arithmetic alone, without a solver.

/// Recomputed residuals of a solution, each relative to the magnitudes that enter it. Zero is perfect.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Residuals {
    /// Largest violation of a row.
    pub rows: f64,
    /// Largest violation of a bound of a variable.
    pub bounds: f64,
    /// Largest violation of a second-order cone.
    pub cones: f64,
    /// Largest distance of an integer variable from a whole number.
    pub integrality: f64,
    /// Largest violation of dual feasibility, when there are duals.
    pub dual: Option<f64>,
    /// Gap between primal and dual objective, when there are duals.
    pub gap: Option<f64>,
}
