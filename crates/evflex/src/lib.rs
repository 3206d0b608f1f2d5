//! Electric vehicle fleets as aggregate flexibility: what a fleet can do together, the best of it, and what every
//! vehicle then does, each with a proof that does not depend on the code that found it.
//!
//! This crate re-exports the others under short names, so that one dependency is enough.
//!
//! # Map
//!
//! ```text
//! sessions, prices, loads      CSV, JSON, seeded generators                    fleet
//!   -> one set per vehicle     bounds on power and energy over time            flexibility
//!   -> the aggregate set       support, membership, decisions                  flexibility
//!   -> a decision              profile, cost, lower bound and its proof        flexibility
//!   -> a schedule              one power per vehicle and step, checked         fleet
//! ```
//!
//! | module | crate | what it holds |
//! |---|---|---|
//! | [`fleet`] | `evflex-fleet` | vehicles, sessions, prices, loads, schedules and their independent check |
//! | [`flexibility`] | `evflex-flexibility` | aggregate sets, decisions over them, disaggregation |
//! | [`solver`] | `evflex-solver` | optimisation problems as data, engines behind one trait, verification |
//!
//! # Conventions
//!
//! Power in kW is positive when drawn from the grid (charging) and negative when fed into it (V2G). Energy in kWh is net
//! energy since the first step. Steps are counted from 0; power holds during a step, energy after it. Prices are in
//! EUR/MWh. All numbers are `f64`; dense data are `ndarray` arrays and views.
//!
//! # Limits
//!
//! The exact aggregate set needs lossless batteries. Tables of all subset values end at 24 steps; everything else works at any
//! number of steps.
//!
//! # Features
//!
//! They decide which solver adapters exist, never which one is used: a solver is an argument.
//!
//! | feature | adapter | default | needs |
//! |---|---|---|---|
//! | `clarabel` | linear, convex quadratic, second-order cone | yes | |
//! | `microlp` | linear, mixed-integer | yes | |
//! | `minilp` | linear | no | |
//! | `highs` | linear, convex quadratic, mixed-integer, warm starts | no | cmake, a C++ compiler, libclang |

pub use evflex_fleet as fleet;
pub use evflex_flexibility as flexibility;
pub use evflex_solver as solver;

/// The example of the README, run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
