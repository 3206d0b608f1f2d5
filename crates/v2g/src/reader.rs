//! Instance files of scheduling problems.

use crate::error::Error;
use crate::problem::{Group, SchedulingProblem, SchedulingVehicle};
use crate::rule::{Level, SwitchRule, Switching};
use evflex_fleet::readers::fleet::MAX_STEPS;
use evflex_fleet::readers::json::{Document, MAX_ENTRIES, Node};
use evflex_fleet::{Hours, TimeGrid};
use std::collections::HashMap;
use std::path::Path;

/// Reads an instance: `step_hours`, `steps`, `level`, `price_eur_per_kwh`, `surplus_cost_eur_per_kwh`, `volume_kwh`,
/// `vehicles`, and optionally `start` (a clock time with its zone), `group_limit_kw` or `groups`, `switch_gap_steps`
/// (default: one hour), `switch_rule` (default A) and `allow_concave`. Unknown keys are refused, except `name`, `note`
/// and `expected`.
///
/// `level` replaces the level of the file.
///
/// ```
/// let text = br#"{"step_hours": 0.25, "steps": 2, "level": 1, "price_eur_per_kwh": 0.05,
///   "surplus_cost_eur_per_kwh": 0.02, "volume_kwh": [1, -1], "vehicles": [{"id": "ev-0", "initial_kwh": 30,
///   "final_min_kwh": 30, "minimum_kwh": 10, "capacity_kwh": 100, "charge_max_kw": 10, "discharge_max_kw": 10}]}"#;
/// let problem = evflex_v2g::problem_from_json(text, None)?;
/// assert_eq!(problem.price_eur_per_kwh(), [0.05, 0.05]);
/// # Ok::<(), evflex_v2g::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] with the path of what cannot be read, and the errors of
/// [`build`](crate::SchedulingProblemBuilder::build).
pub fn problem_from_json(text: &[u8], level: Option<Level>) -> Result<SchedulingProblem, Error> {
    problem_from_node(&Document::parse(text)?.root(), level)
}

/// Reads a file, as [`problem_from_json`].
///
/// # Errors
/// As there, with the path of the file where it cannot be read.
pub fn read_problem(path: &Path, level: Option<Level>) -> Result<SchedulingProblem, Error> {
    let document = Document::read(path)?;
    problem_from_node(&document.root(), level).map_err(|error| match error {
        Error::Input(error) => Error::Input(error.at(path.display().to_string())),
        other => other,
    })
}

fn problem_from_node(root: &Node<'_>, level: Option<Level>) -> Result<SchedulingProblem, Error> {
    let mut object = root.object()?;
    let step_hours = object.required("step_hours")?.number()?;
    let steps = object.required("steps")?.count(MAX_STEPS)?;
    let mut grid = TimeGrid::new(steps, Hours(step_hours))?;
    if let Some(start) = object.optional("start") {
        let text = start.text()?;
        let zoned = text.parse().map_err(|error: jiff::Error| {
            start.error(evflex_fleet::Error::Stamp {
                column: "start".to_owned(),
                text: text.to_owned(),
                reason: format!("{error}; the zone belongs to it, as in [Europe/Berlin]"),
            })
        })?;
        grid = grid.starting_at(zoned);
    }
    let file_level = match object.optional("level") {
        Some(node) => Level::try_from(node.count(usize::from(u8::MAX))?)?,
        None => Level::default(),
    };
    let price = object.required("price_eur_per_kwh")?.profile(steps)?;
    let surplus = object
        .required("surplus_cost_eur_per_kwh")?
        .profile(steps)?;
    let volume = object.required("volume_kwh")?.profile(steps)?;
    let limit = object.optional("group_limit_kw");
    let groups = object.optional("groups");
    let gap_steps = match object.optional("switch_gap_steps") {
        Some(node) => node.count(MAX_STEPS)?,
        None => steps_per_hour(step_hours, steps),
    };
    let rule = match object.optional("switch_rule") {
        Some(node) => node.text()?.parse()?,
        None => SwitchRule::default(),
    };
    let concave = match object.optional("allow_concave") {
        Some(node) => node.boolean()?,
        None => false,
    };
    let list = object.required("vehicles")?;
    object.finish()?;
    let nodes = list.list()?;
    if nodes.len().saturating_mul(steps) > MAX_ENTRIES {
        return Err(Error::Input(list.error(evflex_fleet::Error::TooLarge {
            what: "vehicles times steps".to_owned(),
            found: nodes.len().saturating_mul(steps),
            limit: MAX_ENTRIES,
        })));
    }
    let vehicles = nodes
        .iter()
        .map(|node| vehicle_from_node(node, steps))
        .collect::<Result<Vec<_>, _>>()?;
    let mut builder = SchedulingProblem::builder(grid)
        .level(level.unwrap_or(file_level))
        .price_eur_per_kwh(price)
        .surplus_cost_eur_per_kwh(surplus)
        .volume_kwh(volume)
        .switching(Switching { rule, gap_steps })
        .allow_concave(concave);
    match (limit, groups) {
        (Some(_), Some(node)) => {
            return Err(Error::Input(node.error(evflex_fleet::Error::UnknownKey {
                key: "groups".to_owned(),
                known: "group_limit_kw (give one of the two)".to_owned(),
            })));
        }
        (Some(limit), None) => builder = builder.group_limit_kw(limit.number()?),
        (None, Some(node)) => builder = builder.groups(groups_from_node(&node, &vehicles)?),
        (None, None) => {}
    }
    builder.vehicles(vehicles).build()
}

/// One hour in steps, at least one.
fn steps_per_hour(step_hours: f64, steps: usize) -> usize {
    let per_hour = (1.0 / step_hours).round().clamp(1.0, steps.max(1) as f64);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the number of steps"
    )]
    let per_hour = per_hour as usize;
    per_hour
}

fn vehicle_from_node(node: &Node<'_>, steps: usize) -> Result<SchedulingVehicle, Error> {
    let mut object = node.object()?;
    let vehicle = SchedulingVehicle {
        id: object.required("id")?.text()?.to_owned(),
        initial_kwh: object.required("initial_kwh")?.number()?,
        final_min_kwh: object.required("final_min_kwh")?.number()?,
        minimum_kwh: object.required("minimum_kwh")?.number()?,
        capacity_kwh: object.required("capacity_kwh")?.number()?,
        charge_max_kw: object.required("charge_max_kw")?.number()?,
        discharge_max_kw: object.required("discharge_max_kw")?.number()?,
        efficiency: object
            .optional("efficiency")
            .map_or(Ok(1.0), |node| node.number())?,
        connected: object
            .optional("connected")
            .map(|node| node.profile(steps))
            .transpose()?,
        past: Vec::new(),
    };
    object.finish()?;
    Ok(vehicle)
}

fn groups_from_node(node: &Node<'_>, vehicles: &[SchedulingVehicle]) -> Result<Vec<Group>, Error> {
    let positions: HashMap<&str, usize> = vehicles
        .iter()
        .enumerate()
        .map(|(position, vehicle)| (vehicle.id.as_str(), position))
        .collect();
    let nodes = node.list()?;
    let count = nodes.len();
    let group = |(index, node): (usize, &Node<'_>)| {
        let mut object = node.object()?;
        let list = object.required("vehicles")?;
        let charge_limit_kw = object.required("charge_limit_kw")?.number()?;
        let discharge_limit_kw = object.required("discharge_limit_kw")?.number()?;
        object.finish()?;
        let find = |node: &Node<'_>| {
            let id = node.text()?;
            positions
                .get(id)
                .copied()
                .ok_or_else(|| Error::UnknownVehicle {
                    group: SchedulingProblem::group_name(index, count),
                    id: id.to_owned(),
                })
        };
        let vehicles = list
            .list()?
            .iter()
            .map(find)
            .collect::<Result<Vec<_>, _>>()?;
        if vehicles.is_empty() {
            let what = list.path().to_owned();
            return Err(Error::Input(evflex_fleet::Error::Length {
                what,
                expected: 1,
                found: 0,
            }));
        }
        Ok(Group {
            vehicles,
            charge_limit_kw,
            discharge_limit_kw,
        })
    };
    nodes.iter().enumerate().map(group).collect()
}
