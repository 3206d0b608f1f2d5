//! Optimisation problems as data, and solvers whose answers are checked: linear, convex quadratic, second-order
//! cone and mixed-integer problems.
//!
//! ```
//! # #[cfg(feature = "clarabel")] {
//! use evflex_solver::{Clarabel, Options, ProblemBuilder, Solver};
//!
//! // Two chargers share 9 kW; the second one pays more for its energy.
//! let mut builder = ProblemBuilder::new("two chargers");
//! let first = builder.variable("first", 0.0, 7.0, 0.25);
//! let second = builder.variable("second", 0.0, 11.0, 0.30);
//! let site = builder.row("site", f64::NEG_INFINITY, [(first, 1.0), (second, 1.0)], 9.0);
//! builder.maximise();
//! let problem = builder.build()?;
//!
//! let solution = Clarabel::default()
//!     .solve(&problem, &Options::default())?
//!     .into_optimal()?;
//! assert!((solution.value(second) - 9.0).abs() < 1e-6);
//! assert!((solution.objective() - 2.7).abs() < 1e-6);
//!
//! // One more kW for the site is worth 0.30; duals belong to the minimisation of the negative.
//! let worth = solution.duals().map(|duals| -duals.rows[site.index()]);
//! assert!(worth.is_some_and(|worth| (worth - 0.30).abs() < 1e-6));
//! # }
//! # Ok::<(), evflex_solver::Error>(())
//! ```
//!
//! # Map
//! - [`ProblemBuilder`] writes a [`Problem`] down and checks all of it in [`build`](ProblemBuilder::build);
//!   [`Problem::to_builder`] changes one and keeps its handles.
//! - [`Solver`] answers it, under [`Options`] with limits, [`Cancel`] and [`Progress`]. Its [`Capabilities`] say
//!   what it takes and delivers.
//! - [`Outcome`] says what was established: a [`Solution`] that is optimal, a [`Certificate`] that there is none,
//!   or why the solver stopped.
//! - [`verify`] checks points, duals and certificates by arithmetic alone.
//! - [`testkit`] is what every solver passes, yours too.
//! - [`mps`] reads and writes the file format that other solvers speak.
//!
//! # Conventions
//! ```text
//! minimise  ½ xᵀ Q x + cᵀ x + offset   subject to  row_lower ≤ A x ≤ row_upper,  lower ≤ x ≤ upper,
//!                                                   ‖parts_k(x)‖₂ ≤ bound_k(x),   some x_j integer
//! ```
//! - Infinite sides are open; `f64::INFINITY` writes them.
//! - A row dual is the derivative of the optimal value with respect to the active side: at least 0 at an active lower
//!   side, at most 0 at an active upper side. Reduced costs are the same for bounds ([`Duals`]).
//! - A problem that is maximised keeps its sense as data. Its objective and bound are reported as posed, its duals
//!   are those of the minimisation of the negative.
//! - Tolerances are relative to the magnitudes that enter each row ([`verify`]), so the unit of a row does not matter.
//! - A claim of an engine becomes an outcome only after its numbers passed [`verify`]. Without a proof the
//!   outcome is [`Outcome::Stopped`]; a grossly wrong answer is [`Error::WrongAnswer`].
//!
//! # Limits
//! Quadratic objectives have to be convex and rows linear. No solver here takes integer variables together with
//! second-order cones. Optima of integer problems and infeasibility of integer problems whose relaxation is feasible
//! rest on the search of the engine; only the point itself is checked.
//!
//! # Features
//! | feature | solver | takes | know this |
//! |---|---|---|---|
//! | `clarabel` (default) | `Clarabel` | linear, quadratic, second-order cone | interior point: accurate, not at a vertex |
//! | `microlp` (default) | `Microlp` | linear, integer | pure-Rust simplex with branch and bound |
//! | `minilp` | `Minilp` | linear | no longer maintained, cannot be interrupted |
//! | `highs` | `Highs` | linear, quadratic, integer | the engine for large problems; builds HiGHS with cmake, a C++ compiler and libclang |

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
