//! Electric vehicle fleets as data: what is known about vehicles, prices and loads, and what is
//! answered, a schedule that can be checked.
//!
//! ```
//! use evflex_fleet::{uncontrolled, Fleet, Hours, Session, TimeGrid};
//! let grid = TimeGrid::new(18, Hours(1.0))?;
//! let session = Session {
//!     id: "ev-0".into(),
//!     arrival_step: 2,
//!     departure_step: 15,
//!     capacity_kwh: 40.0,
//!     initial_kwh: 10.0,
//!     required_kwh: 32.0,
//!     minimum_kwh: 4.0,
//!     charge_max_kw: 7.0,
//!     discharge_max_kw: 7.0,
//!     efficiency: 1.0,
//! };
//! let fleet = Fleet::new(grid.clone(), vec![session.to_vehicle(&grid)?])?;
//! let schedule = uncontrolled(&fleet)?;
//! assert!(schedule.check(&fleet, 1e-9)?.is_feasible());
//! assert_eq!(schedule.aggregate_kw().to_vec()[2..6], [7.0, 7.0, 7.0, 1.0]);
//! # Ok::<(), evflex_fleet::Error>(())
//! ```
//!
//! # Map
//! What is known: [`TimeGrid`] cuts a horizon into steps. [`Vehicle`] bounds power and net energy
//! over them; [`Session`] makes a vehicle from arrival, departure and battery levels, and
//! [`ClockSession`] from clock times and an energy. [`Fleet`] holds vehicles that are possible one by
//! one. [`Tariff`] and [`LoadProfile`] are prices and loads on a grid.
//!
//! What is answered: [`Schedule`] holds one power per vehicle and step, and [`Schedule::check`]
//! judges it from the definition alone; [`uncontrolled`] is the schedule that nobody computed.
//!
//! Where it comes from and goes: [`readers`] of JSON instances and CSV files, [`synthetic`] data for
//! a seed, [`output`] of files that are never half written.
//!
//! # Conventions
//! Power in kW is positive when a vehicle draws from the grid. Net energy in kWh counts from the
//! first step: `x[t]` is at the end of step t and starts from 0. Step lengths are in hours, prices
//! in EUR/MWh. Matrices are vehicles × steps. Clock times are [`jiff::Zoned`], with the zone
//! database built in; steps are a constant elapsed time apart when the clocks change.
//!
//! # Limits
//! A vehicle has one efficiency for both directions and no self-discharge, and its bounds are
//! finite. A fleet's vehicles share one grid. Sessions read from CSV are lossless.
//!
//! # Features
//! None.

#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::float_cmp,
        reason = "a test stops at the first surprise, and compares exact numbers where they are exact"
    )
)]

mod clock_session;
mod error;
mod fleet;
mod load;
pub mod output;
pub mod readers;
mod schedule;
mod session;
pub mod synthetic;
mod tariff;
#[cfg(test)]
mod testing;
mod time_grid;
mod uncontrolled;
mod units;
mod vehicle;

pub use clock_session::{ClockSession, Direction, Edges, SessionFleet};
pub use error::Error;
pub use fleet::Fleet;
pub use load::LoadProfile;
pub use schedule::{Quantity, Schedule, ScheduleCheck, Violation};
pub use session::Session;
pub use tariff::Tariff;
pub use time_grid::TimeGrid;
pub use uncontrolled::uncontrolled;
pub use units::{EurPerMegawattHour, Hours, KilowattHours, Kilowatts};
pub use vehicle::Vehicle;
