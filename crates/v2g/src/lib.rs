//! Schedules for fleets of vehicles that charge and discharge (V2G).

#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::float_cmp,
        reason = "a test stops at the first surprise, and compares exact numbers where they are exact"
    )
)]

mod automaton;
mod check;
mod envelope;
mod error;
mod problem;
mod reader;
mod rule;

pub use check::{
    DEFAULT_TOLERANCE, ScheduleReport, Violation, check_schedule, switching_allows,
};
pub use error::Error;
pub use problem::{Group, SchedulingProblem, SchedulingProblemBuilder, SchedulingVehicle};
pub use reader::{problem_from_json, read_problem};
pub use rule::{Activity, Level, SwitchRule, Switching};
