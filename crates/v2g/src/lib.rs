//! Schedules for fleets of vehicles that charge and discharge (V2G), from one vehicle to ten thousand, each with a bound
//! that says how good it is.
//!
//! ```
//! use evflex_fleet::{Hours, TimeGrid};
//! use evflex_solver::Options;
//! use evflex_v2g::{
//!     Decomposition, ScheduleMethod, SchedulingProblem, SchedulingVehicle, SwitchRule, Switching, check_schedule,
//! };
//!
//! // Four hours in quarters: a surplus in the first hour, a shortage in the last; ten cars that need energy by then.
//! let mut volume = vec![0.0; 16];
//! volume[..4].fill(-20.0); // kWh that are left over
//! volume[12..].fill(15.0); // kWh still to be delivered
//! let problem = SchedulingProblem::builder(TimeGrid::new(16, Hours(0.25))?)
//!     .price_eur_per_kwh(vec![0.06; 16])
//!     .surplus_cost_eur_per_kwh(vec![0.02; 16])
//!     .volume_kwh(volume)
//!     .vehicles((0..10).map(|i| SchedulingVehicle::paper(format!("car {i}"), 20.0 + i as f64, 26.0)).collect())
//!     .group_limit_kw(90.0) // together, both ways
//!     .switching(Switching { rule: SwitchRule::TwoMode, gap_steps: 4 }) // at most one switch an hour
//!     .build()?;
//!
//! let answer = Decomposition::default().solve(&problem, &Options::default().gap(1e-3))?;
//! assert!(answer.gap() <= 1e-3); // no schedule is cheaper by more than a thousandth
//! let powers = answer.schedule()?.power_kw();
//! assert!(check_schedule(&problem, powers, 1e-6)?.is_feasible()); // by rules written down a second time
//! # Ok::<(), evflex_v2g::Error>(())
//! ```
//!
//! # Map
//! | what | where |
//! |---|---|
//! | the problem | [`SchedulingProblem`], [`SchedulingVehicle`], [`Group`], [`Switching`], [`Level`]; [`read_problem`] from a file, [`instances`] for a seed |
//! | methods | [`Decomposition`] for any size, [`Milp`] with any solver, [`level_zero`] for vehicles that are all alike |
//! | answers | [`Answer`]: schedule, cost, lower bound, history, prices |
//! | the judge | [`check_schedule`], [`switching_allows`] |
//! | later | [`remaining`], [`WarmStart`] and [`joined`]: the rest of a running schedule, when data have changed |
//!
//! # Conventions
//! Power in kW is positive when a vehicle charges. Energies of batteries are levels in kWh at the end of a step, volumes are
//! kWh per step (positive: still to be delivered), prices are EUR/kWh. Matrices are vehicles × steps. A gap is
//! `(cost − bound) / max(|cost|, 1e-9)`.
//!
//! # Limits
//! The decomposition's bound is that of column generation: for fleets of a few vehicles, and for volumes that alternate
//! against the switching rule, it may stay some percent below the optimum, where the mixed-integer program is the better
//! choice. It is fastest for vehicles without losses whose charging and discharging power are equal and that are plugged
//! in for whole steps, whose levels form a lattice; for others the powers for fixed modes are improved but not made
//! optimal. Groups may not overlap.
//!
//! # Features
//! `highs` lets the tests run with HiGHS. Nothing else: the solver is an argument.

#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::float_cmp,
        reason = "a test stops at the first surprise, and compares exact numbers where they are exact"
    )
)]

mod answer;
mod automaton;
mod battery;
mod bundle;
mod check;
mod decomposition;
mod descent;
mod envelope;
mod error;
pub mod instances;
mod market;
mod milp;
mod pricing;
mod problem;
mod reader;
mod reoptimise;
mod rule;
mod transfer;

pub use answer::{Answer, HistoryEntry, Incumbent, ScheduleMethod, Status};
pub use check::{DEFAULT_TOLERANCE, ScheduleReport, Violation, check_schedule, switching_allows};
pub use decomposition::{Decomposition, WarmStart};
pub use error::Error;
pub use milp::{Formulation, Milp, MilpModel};
pub use problem::{Group, SchedulingProblem, SchedulingProblemBuilder, SchedulingVehicle};
pub use reader::{problem_from_json, read_problem};
pub use reoptimise::{joined, level_zero, remaining};
pub use rule::{Activity, Level, SwitchRule, Switching};
