//! Seeded instances as files.

use std::path::PathBuf;

use evflex::v2g::SchedulingProblem;
use evflex::v2g::instances::Night;
use serde::Serialize;

use crate::error::Error;
use crate::nights::Kind;
use crate::report::{Report, json};

/// Which instance is written.
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateConfig {
    /// Kind of night
    #[arg(long, value_enum, default_value_t)]
    pub kind: Kind,
    /// Number of vehicles
    #[arg(long, default_value_t = 200)]
    pub vehicles: usize,
    /// Number of quarter-hours
    #[arg(long, default_value_t = 48)]
    pub steps: usize,
    /// Level, 0 to 3
    #[arg(long, default_value_t = 3)]
    pub level: usize,
    /// Seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE.json")]
    pub output: PathBuf,
}

#[derive(Serialize)]
struct Instance<'a> {
    name: String,
    step_hours: f64,
    steps: usize,
    level: usize,
    price_eur_per_kwh: &'a [f64],
    surplus_cost_eur_per_kwh: &'a [f64],
    volume_kwh: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    group_limit_kw: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_gap_steps: Option<usize>,
    vehicles: &'a [evflex::v2g::SchedulingVehicle],
}

/// Writes a night as an instance file.
///
/// # Errors
/// [`Error::Option`] and [`Error::Input`] for sizes that make no night.
pub fn generate(config: &GenerateConfig) -> Result<Report, Error> {
    let level = config
        .level
        .try_into()
        .map_err(Error::input::<evflex::v2g::Error>("--level"))?;
    let night = Night::new(config.vehicles).steps(config.steps).level(level);
    let problem = config
        .kind
        .night(&night, config.seed)
        .map_err(Error::input("--vehicles, --steps"))?;
    let json = instance(&problem, format!("{}-{}", config.kind.name(), config.seed))?;
    Ok(Report {
        files: Vec::new(),
        table: format!("{} vehicles, {} steps\n", config.vehicles, config.steps),
        json,
    })
}

fn instance(problem: &SchedulingProblem, name: String) -> Result<String, Error> {
    json(&Instance {
        name,
        step_hours: problem.grid().step_hours(),
        steps: problem.steps(),
        level: problem.level().into(),
        price_eur_per_kwh: problem.price_eur_per_kwh(),
        surplus_cost_eur_per_kwh: problem.surplus_cost_eur_per_kwh(),
        volume_kwh: problem.volume_kwh(),
        group_limit_kw: problem
            .all_groups()
            .first()
            .map(|group| group.charge_limit_kw),
        switch_gap_steps: problem
            .switching_as_given()
            .map(|switching| switching.gap_steps),
        vehicles: problem.vehicles(),
    })
}
