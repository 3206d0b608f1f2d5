//! Schedules for fleets that charge and discharge, and how good they are.
//!
//! The runs of the program are functions on plain structs here:
//!
//! ```
//! use v2g_scheduling::{NightsConfig, nights};
//! # fn main() -> Result<(), v2g_scheduling::Error> {
//! let config = NightsConfig { vehicles: 10, nights: 1, sizes: vec![5], ..NightsConfig::default() };
//! let report = nights(&config, &Default::default())?;
//! assert!(report.files.iter().any(|file| file.name == "gap_over_time.csv"));
//! print!("{}", report.table);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! [`config`] holds what can be chosen, [`nights()`], [`solve()`], [`check_switches`] and [`generate`] are the runs, [`report`] and
//! [`figures`] what they write.

#![cfg_attr(
    test,
    allow(clippy::float_cmp, reason = "tests compare numbers that are exact")
)]

pub mod config;
mod error;
pub mod figures;
mod generate;
mod nights;
pub mod report;
mod solve;
mod switches;

pub use config::{Method, Rows, RunConfig};
pub use error::Error;
pub use generate::{GenerateConfig, generate};
pub use nights::{Kind, NightsConfig, nights};
pub use report::Report;
pub use solve::{SolveConfig, solve};
pub use switches::{SwitchesConfig, check_switches};
