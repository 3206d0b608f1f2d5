//! What a schedule is made from: a fleet, its prices and loads, and what is minimised.

use std::path::Path;

use evflex::fleet::synthetic::{EnergyPrices, HouseholdLoads, Population};
use evflex::fleet::{Direction, Fleet, Hours, TimeGrid};
use evflex::flexibility::{
    AggregateSet, Error as FlexibilityError, FleetPolymatroid, LossyOuter, Objective, ObjectiveKind,
};
use evflex::solver::Clarabel;
use jiff::civil::{Date, date, time};
use ndarray::Array1;

use crate::config::{DEFAULT_DEMAND_RATE_PER_DAY, DEFAULT_ZONE, ScheduleConfig};
use crate::error::Error;
use crate::inputs::{self, FleetInput, SeriesInput, SeriesSource};
use crate::report::figure;

/// First day of a generated fleet without any other: the first of the embedded loads.
const FIRST_DAY: Date = date(2018, 5, 1);
/// Value of --prices and --loads for the embedded data.
const EMBEDDED: &str = "embedded";
/// Vehicles of a generated population, and steps of its night from 15:00 on (`thanvantri2025`).
const POPULATION_VEHICLES: usize = 25;
const POPULATION_HOURS: f64 = 18.0;

/// Everything that a schedule is made from, on one grid.
#[derive(Debug)]
pub struct Instance {
    /// The vehicles and where they come from.
    pub input: FleetInput,
    /// Prices, EUR/MWh.
    pub prices: Option<SeriesInput>,
    /// Other load at the connection, kW.
    pub loads: SeriesInput,
    /// What is minimised.
    pub objective: Objective,
    /// Where a tracked target comes from.
    pub target_source: Option<String>,
}

/// The exact aggregate set, or for lossy vehicles that discharge the inner one in which they do not.
pub(crate) fn set_of(fleet: &Fleet) -> Result<FleetPolymatroid, Error> {
    FleetPolymatroid::inner(fleet).map_err(|source| match source {
        FlexibilityError::MustDischarge { .. } => Error::Vehicles {
            place: "--input",
            source: Box::new(source),
        },
        source => Error::computing("the aggregate set")(source),
    })
}

impl Instance {
    /// Reads or generates everything, and joins it on one grid.
    ///
    /// # Errors
    /// [`Error::Option`] and [`Error::Input`].
    pub fn read(config: &ScheduleConfig) -> Result<Self, Error> {
        let price_file = match &config.prices {
            Some(path) if path != Path::new(EMBEDDED) => inputs::price_file(config, path)?,
            _ => None,
        };
        let load_file = match &config.loads {
            Some(path) if path != Path::new(EMBEDDED) => inputs::load_file(config, path)?,
            _ => None,
        };
        let generated = config.input.is_none() && config.sessions.is_none();
        let input = match (&config.input, &config.sessions) {
            (Some(path), _) => FleetInput::from_json(path, config)?,
            (_, Some(path)) => FleetInput::from_sessions(path, config)?,
            _ => {
                let loads = load_file.as_ref().and_then(|file| file.first_day);
                let prices = price_file.as_ref().and_then(|(file, _)| file.first_day);
                let days = [config.load_date, loads, config.price_start, prices];
                generate(config, days.into_iter().flatten().next())?
            }
        };
        let grid = input.fleet.grid();
        let embedded = |path: &Option<std::path::PathBuf>| {
            path.as_deref()
                .map_or(generated, |path| path == Path::new(EMBEDDED))
        };
        let prices = match &price_file {
            Some((file, zone)) => Some(inputs::prices(file, zone, grid, config.price_start)?),
            None if embedded(&config.prices) => Some(embedded_prices(grid, config.run.seed)?),
            None => None,
        };
        let loads = match &load_file {
            Some(file) => inputs::loads(file, grid, config.load_date)?,
            None if embedded(&config.loads) => embedded_loads(grid, config.run.seed)?,
            None => SeriesInput {
                values: Array1::zeros(grid.steps()),
                source: SeriesSource {
                    source: "none".to_owned(),
                    from: None,
                },
            },
        };
        let kind = config.objective.unwrap_or({
            if config.prices.is_some() && config.loads.is_none() {
                ObjectiveKind::Energy
            } else {
                ObjectiveKind::Peak
            }
        });
        let (objective, target_source) =
            objective(kind, config, &input.fleet, prices.as_ref(), &loads)?;
        Ok(Self {
            input,
            prices,
            loads,
            objective,
            target_source,
        })
    }
}

/// The population of Appendix C, from 15:00 on unless something else is asked for.
fn generate(config: &ScheduleConfig, day: Option<Date>) -> Result<FleetInput, Error> {
    let zone = inputs::zone("--zone", config.zone.as_deref().unwrap_or(DEFAULT_ZONE))?;
    let start = config
        .start
        .unwrap_or_else(|| day.unwrap_or(FIRST_DAY).to_datetime(time(15, 0, 0, 0)));
    let step_hours = inputs::step_hours(config)?;
    let steps = match config.steps {
        Some(steps) => steps.get(),
        None => inputs::whole_steps(POPULATION_HOURS / step_hours),
    };
    inputs::check_steps(steps)?;
    let grid = TimeGrid::new(steps, Hours(step_hours))
        .map_err(Error::input("--step-minutes"))?
        .starting_at(inputs::local("--start", start, &zone)?);
    let seed = config.population.unwrap_or(config.run.seed);
    let vehicles = config
        .vehicles
        .map_or(POPULATION_VEHICLES, std::num::NonZero::get);
    let direction = if config.charging_only {
        Direction::ChargeOnly
    } else {
        Direction::VehicleToGrid
    };
    let fleet = Population::new(grid, vehicles)
        .direction(direction)
        .generate(seed)
        .map_err(Error::input("--population"))?;
    Ok(FleetInput {
        fleet,
        sessions: None,
        name: format!("population of Appendix C, seed {seed}"),
    })
}

fn embedded_prices(grid: &TimeGrid, seed: u64) -> Result<SeriesInput, Error> {
    let tariffs = EnergyPrices
        .tariffs(grid, 1, seed)
        .map_err(Error::input("--prices"))?;
    Ok(SeriesInput {
        values: tariffs
            .iter()
            .flat_map(|tariff| tariff.eur_per_mwh().to_vec())
            .collect(),
        source: SeriesSource {
            source: format!("embedded, seed {seed}"),
            from: None,
        },
    })
}

fn embedded_loads(grid: &TimeGrid, seed: u64) -> Result<SeriesInput, Error> {
    let loads = HouseholdLoads::default()
        .loads(grid, 1, seed)
        .map_err(Error::input("--loads"))?;
    Ok(SeriesInput {
        values: loads
            .iter()
            .flat_map(|load| load.power_kw().to_vec())
            .collect(),
        source: SeriesSource {
            source: format!("embedded, 25 homes, seed {seed}"),
            from: None,
        },
    })
}

/// The objective asked for, and where a target comes from.
fn objective(
    kind: ObjectiveKind,
    config: &ScheduleConfig,
    fleet: &Fleet,
    prices: Option<&SeriesInput>,
    loads: &SeriesInput,
) -> Result<(Objective, Option<String>), Error> {
    if config.demand_rate.is_some() && kind != ObjectiveKind::DemandCharge {
        return Err(Error::option(
            "--demand-rate",
            format!("it goes with --objective demand-charge, not with {kind}"),
        ));
    }
    if config.target.is_some() && kind != ObjectiveKind::Tracking {
        return Err(Error::option(
            "--target",
            format!("it goes with --objective tracking, not with {kind}"),
        ));
    }
    let load_kw = loads.values.clone();
    let price_eur_per_mwh = || {
        prices.map(|prices| prices.values.clone()).ok_or_else(|| {
            Error::option(
                "--prices",
                format!("the objective {kind} needs prices; give a file, or `{EMBEDDED}` for generated ones"),
            )
        })
    };
    let objective = match kind {
        ObjectiveKind::Energy => Objective::Energy {
            price_eur_per_mwh: price_eur_per_mwh()?,
        },
        ObjectiveKind::DemandCharge => {
            let default = DEFAULT_DEMAND_RATE_PER_DAY * (fleet.grid().hours() / 24.0).max(1.0);
            let rate_eur_per_kw = config.demand_rate.unwrap_or(default);
            check_rate(rate_eur_per_kw)?;
            Objective::DemandCharge {
                price_eur_per_mwh: price_eur_per_mwh()?,
                load_kw,
                rate_eur_per_kw,
            }
        }
        ObjectiveKind::Tracking => {
            let (target_kw, source) = target(config, fleet)?;
            let weight = Array1::ones(fleet.steps());
            return Ok((Objective::Tracking { target_kw, weight }, Some(source)));
        }
        _ => Objective::Peak { load_kw },
    };
    Ok((objective, None))
}

/// A demand charge has to be a price.
pub(crate) fn check_rate(rate: f64) -> Result<(), Error> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(());
    }
    Err(Error::option(
        "--demand-rate",
        format!("{rate} is no charge; it must be 0 or more, in EUR/kW"),
    ))
}

/// The profile to track, and where it comes from.
fn target(config: &ScheduleConfig, fleet: &Fleet) -> Result<(Array1<f64>, String), Error> {
    if let Some(path) = &config.target {
        return Ok((
            inputs::target(path, fleet.steps())?,
            inputs::file_name(path),
        ));
    }
    let flat = if let Ok(set) = FleetPolymatroid::exact(fleet) {
        flat_target_kw(&set)?
    } else {
        let all = Array1::from_elem(fleet.steps(), -1.0);
        let least = LossyOuter::new(fleet).support(all.view(), &Clarabel::default());
        -least
            .map_err(Error::computing("the least energy of the fleet"))?
            .value
            / fleet.steps() as f64
    };
    let source = format!("flat, {} kW: the least energy of the fleet", figure(flat));
    Ok((Array1::from_elem(fleet.steps(), flat), source))
}

/// The constant power, kW, that draws the least energy with which the fleet can do.
pub(crate) fn flat_target_kw(set: &FleetPolymatroid) -> Result<f64, Error> {
    let all: Vec<usize> = (0..set.steps()).collect();
    let (least, _) = set
        .subset_bounds(&all)
        .map_err(Error::computing("the least energy of the fleet"))?;
    Ok(least / set.steps() as f64)
}
