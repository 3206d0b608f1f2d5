//! Electric vehicle fleets as aggregate flexibility: what a fleet can do together, the best of it, and what every
//! vehicle then does, each with a proof that does not depend on the code that found it.
//!
//! ```
//! use evflex::fleet::{Fleet, Hours, Session, TimeGrid, uncontrolled};
//! use evflex::flexibility::{FleetPolymatroid, Objective};
//! use evflex::solver::Options;
//! use ndarray::array;
//!
//! // Two cars that are plugged in for some of four hours, and what the house draws meanwhile.
//! let grid = TimeGrid::new(4, Hours(1.0))?;
//! let car = |id: &str, arrival_step, departure_step, required_kwh| Session {
//!     id: id.to_owned(),
//!     arrival_step,
//!     departure_step,
//!     capacity_kwh: 40.0,
//!     initial_kwh: 10.0,
//!     required_kwh,
//!     minimum_kwh: 10.0,
//!     charge_max_kw: 7.0,
//!     discharge_max_kw: 7.0,
//!     efficiency: 1.0,
//! };
//! let cars = [car("red", 0, 4, 22.0), car("blue", 1, 3, 16.0)];
//! let vehicles = cars.iter().map(|car| car.to_vehicle(&grid)).collect::<Result<_, _>>()?;
//! let fleet = Fleet::new(grid, vehicles)?;
//! let load_kw = array![3.0, 6.0, 2.0, 1.0];
//!
//! // Everything that they can do together. Summed over the two hours in the middle, for example,
//! // at least 4 kW (blue needs 6, red can give 2 of the 7 from its first hour) and at most 28.
//! let set = FleetPolymatroid::exact(&fleet)?;
//! assert_eq!(set.subset_bounds(&[1, 2])?, (4.0, 28.0));
//!
//! // The profile with the lowest peak, and the proof that none is lower.
//! let objective = Objective::Peak { load_kw: load_kw.clone() };
//! let best = set.decide(&objective, &Options::default())?;
//! assert!((best.decision.cost - 7.5).abs() < 1e-6); // (18 kWh + 12 kWh) / 4 h
//! assert!(best.decision.gap() <= 1e-6);
//!
//! // What each car does, checked against its own limits, beside what happens without control.
//! let schedule = set.schedule(&best.mixture)?;
//! assert!(schedule.check(&fleet, 1e-6)?.is_feasible());
//! let without = uncontrolled(&fleet)?.aggregate_kw() + &load_kw;
//! assert_eq!(without.into_iter().fold(0.0, f64::max), 17.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
//! | `icnn` | `evflex-icnn` | learned sets: input-convex networks trained on the cost of decisions, with certificates (feature `icnn`) |
//! | [`polytope`] | `evflex-polytope` | polytopes, Minkowski sums, containment certificates that verify by arithmetic |
//! | [`network`] | `evflex-network` | radial feeders: power flow with gradients, relaxation with a verdict |
//! | [`v2g`] | `evflex-v2g` | schedules with limits on groups and on switching, each with a certified gap |
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
//! The exact aggregate set needs lossless batteries; lossy ones are enclosed between inner and outer sets. Tables of all
//! subset values end at 24 steps; everything else works at any number of steps.
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
//!
//! `serde` adds reading and writing of the polytopes and their certificates, and of networks. Off by default.
//! `icnn` adds learned sets. Off by default, because it brings the tensor framework that they are trained with.

pub use evflex_fleet as fleet;
pub use evflex_flexibility as flexibility;
#[cfg(feature = "icnn")]
pub use evflex_icnn as icnn;
pub use evflex_network as network;
pub use evflex_polytope as polytope;
pub use evflex_solver as solver;
pub use evflex_v2g as v2g;

/// The example of the README, run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
