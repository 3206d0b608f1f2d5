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
//! [`TimeGrid`] cuts a horizon into steps. [`Vehicle`] bounds power and net energy over them;
//! [`Session`] makes a vehicle from arrival, departure and battery levels. [`Fleet`] holds
//! vehicles that are possible one by one. [`Tariff`] and [`LoadProfile`] are prices and loads on a
//! grid. [`Schedule`] is an answer, and [`Schedule::check`] judges it from the definition alone;
//! [`uncontrolled`] is the answer that nobody computed.
//!
//! # Conventions
//! Power in kW is positive when a vehicle draws from the grid. Net energy in kWh counts from the
//! first step: `x[t]` is at the end of step t and starts from 0. Step lengths are in hours, prices
//! in EUR/MWh. Matrices are vehicles × steps.
//!
//! # Limits
//! A vehicle has one efficiency for both directions and no self-discharge. Bounds are finite.

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
