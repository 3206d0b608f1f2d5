//! From charging sessions to one power per vehicle and step, with the bound that proves how good it is.
//!
//! The program behind this library is described in the book; its runs are functions on plain
//! structs here:
//!
//! ```
//! use end_to_end_flexibility::{Control, ScheduleConfig, schedule};
//! # fn main() -> Result<(), end_to_end_flexibility::Error> {
//! let config = ScheduleConfig::default(); // 25 generated vehicles, least peak with 25 homes
//! let report = schedule(&config, &Control::default())?;
//! assert!(report.files.iter().any(|file| file.name == "schedule.csv"));
//! print!("{}", report.table);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! [`config`] holds what can be chosen, [`inputs`] joins sessions, prices and loads on one grid,
//! [`instance`] is what comes of it, [`certify`] decides and checks, [`compare()`], [`schedule()`], [`populations()`] and [`evaluate()`] are the runs, [`report`] and
//! [`figures`] what they write.

#![cfg_attr(
    test,
    allow(clippy::float_cmp, reason = "tests compare numbers that are exact")
)]

pub mod certify;
pub mod compare;
pub mod config;
mod error;
pub mod evaluate;
pub mod figures;
pub mod inputs;
pub mod instance;
pub mod lossy;
pub mod populations;
pub mod report;
pub mod schedule;
pub mod upr;

pub use compare::{CompareConfig, compare};
pub use config::{
    Control, Disaggregation, PopulationsConfig, RunConfig, ScheduleConfig, WindowEnd,
};
pub use error::Error;
pub use evaluate::{EvaluateConfig, evaluate};
pub use populations::populations;
pub use report::Report;
pub use schedule::schedule;
pub use upr::{UprConfig, upr};
