//! The `fleet` object of the instance files, read and written.

use super::json::{Document, Node, check_size};
use super::read_bytes;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::session::Session;
use crate::time_grid::TimeGrid;
use crate::units::Hours;
use crate::vehicle::Vehicle;
use std::path::Path;

/// Largest number of steps that a file may ask for.
pub const MAX_STEPS: usize = 1_000_000;

/// Reads a `fleet` object: `step_hours`, `steps`, optionally `start`, and `vehicles`.
///
/// A vehicle has `id` and either bounds (`power_min_kw`, `power_max_kw`, `energy_min_kwh`,
/// `energy_max_kwh`; each an array of `steps` numbers or one number; `efficiency`, default 1) or a
/// session (the keys of [`Session`], of which `efficiency` and `minimum_kwh` may be left out: 1
/// and 0). `start` is a clock time with its zone, `2024-05-06T15:00[Europe/Berlin]`.
///
/// # Errors
/// The errors of [`Fleet::new`], [`Vehicle::new`] and [`Session::to_vehicle`], wrong types, missing
/// and unknown keys, each with its key path; [`Error::TooLarge`] beyond [`MAX_ENTRIES`](super::json::MAX_ENTRIES).
pub fn fleet_from_node(node: &Node<'_>) -> Result<Fleet, Error> {
    let mut object = node.object()?;
    let step_hours = object.required("step_hours")?.number()?;
    let steps = object.required("steps")?.count(MAX_STEPS)?;
    let mut grid = TimeGrid::new(steps, Hours(step_hours)).map_err(|error| node.error(error))?;
    if let Some(start) = object.optional("start") {
        let text = start.text()?;
        let zoned = text.parse::<jiff::Zoned>().map_err(|error| {
            start.error(Error::Stamp {
                column: "start".to_owned(),
                text: text.to_owned(),
                reason: format!("{error}; the zone belongs to it, as in [Europe/Berlin]"),
            })
        })?;
        grid = grid.starting_at(zoned);
    }
    let list = object.required("vehicles")?;
    object.finish()?;
    let nodes = list.list()?;
    check_size(steps, nodes.len()).map_err(|error| list.error(error))?;
    let vehicles = nodes
        .iter()
        .map(|node| vehicle_from_node(node, &grid))
        .collect::<Result<Vec<_>, _>>()?;
    Fleet::new(grid, vehicles).map_err(|error| list.error(error))
}

/// Reads one vehicle, given by bounds or as a session.
fn vehicle_from_node(node: &Node<'_>, grid: &TimeGrid) -> Result<Vehicle, Error> {
    let mut object = node.object()?;
    let id = object.required("id")?.text()?.to_owned();
    let number =
        |value: Option<Node<'_>>, default: f64| value.map_or(Ok(default), |value| value.number());
    if node.has_key("arrival_step") || node.has_key("departure_step") {
        let session = Session {
            id,
            arrival_step: object.required("arrival_step")?.count(MAX_STEPS)?,
            departure_step: object.required("departure_step")?.count(MAX_STEPS)?,
            capacity_kwh: object.required("capacity_kwh")?.number()?,
            initial_kwh: object.required("initial_kwh")?.number()?,
            required_kwh: object.required("required_kwh")?.number()?,
            minimum_kwh: number(object.optional("minimum_kwh"), 0.0)?,
            charge_max_kw: object.required("charge_max_kw")?.number()?,
            discharge_max_kw: object.required("discharge_max_kw")?.number()?,
            efficiency: number(object.optional("efficiency"), 1.0)?,
        };
        object.finish()?;
        return session.to_vehicle(grid).map_err(|error| node.error(error));
    }
    let steps = grid.steps();
    let power_min = object.required("power_min_kw")?.profile(steps)?;
    let power_max = object.required("power_max_kw")?.profile(steps)?;
    let energy_min = object.required("energy_min_kwh")?.profile(steps)?;
    let energy_max = object.required("energy_max_kwh")?.profile(steps)?;
    let efficiency = number(object.optional("efficiency"), 1.0)?;
    object.finish()?;
    Vehicle::new(id, power_min, power_max, energy_min, energy_max)
        .and_then(|vehicle| vehicle.with_efficiency(efficiency))
        .map_err(|error| node.error(error))
}

/// Reads a fleet file: a fleet object alone, or an object whose only key is `fleet`.
///
/// # Errors
/// As [`Document::parse`] and [`fleet_from_node`].
pub fn fleet_from_json(text: &[u8]) -> Result<Fleet, Error> {
    let document = Document::parse(text)?;
    let root = document.root();
    if !root.has_key("fleet") {
        return fleet_from_node(&root);
    }
    let mut object = root.object()?;
    let node = object.required("fleet")?;
    object.finish()?;
    fleet_from_node(&node)
}

/// Reads a fleet file from a path, as [`fleet_from_json`].
///
/// # Errors
/// [`Error::Io`], and as [`fleet_from_json`], with the path in front.
pub fn read_fleet(path: &Path) -> Result<Fleet, Error> {
    fleet_from_json(&read_bytes(path)?).map_err(|error| error.at(path.display().to_string()))
}

/// Writes a fleet as the `fleet` object of the instance files, one vehicle per line.
///
/// Numbers are written so that reading them back gives the same bits.
///
/// # Errors
/// [`Error::Json`] if a number cannot be written, which a valid fleet does not have.
pub fn fleet_to_json(fleet: &Fleet) -> Result<String, Error> {
    let json = |error: serde_json::Error| Error::Json {
        reason: error.to_string(),
    };
    let grid = serde_json::to_string(fleet.grid()).map_err(json)?;
    // The grid's own object, left open for the vehicles.
    let mut text = grid.trim_end_matches('}').to_owned();
    text.push_str(",\"vehicles\":[");
    for (index, vehicle) in fleet.vehicles().iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(vehicle).map_err(json)?);
    }
    text.push_str("\n]}\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &str = r#"{"id":"a","power_min_kw":-3,"power_max_kw":[7,7],"energy_min_kwh":[0,5],"energy_max_kwh":9}"#;
    const SESSION: &str = r#"{"id":"s","arrival_step":0,"departure_step":1,"capacity_kwh":40,"initial_kwh":10,"required_kwh":15,"minimum_kwh":0,"charge_max_kw":7,"discharge_max_kw":0,"efficiency":0.9}"#;

    fn fleet(vehicles: &str) -> String {
        format!(r#"{{"step_hours":1.0,"steps":2,"vehicles":[{vehicles}]}}"#)
    }

    fn text(json: &str) -> String {
        fleet_from_json(json.as_bytes())
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn bounds_scalars_and_sessions_are_read() {
        let fleet =
            fleet_from_json(fleet(&format!("{BOUNDS},{SESSION}")).as_bytes()).expect("a fleet");
        let [a, s] = fleet.vehicles() else {
            panic!("two vehicles")
        };
        assert_eq!(
            (a.power_min_kw(), a.energy_max_kwh()),
            (&[-3.0; 2][..], &[9.0; 2][..])
        );
        assert_eq!(
            (s.power_max_kw(), s.energy_min_kwh()),
            (&[7.0, 0.0][..], &[5.0, 5.0][..])
        );
        assert_eq!((a.efficiency(), s.efficiency()), (1.0, 0.9));
    }

    #[test]
    fn wrapped_and_with_a_byte_order_mark() {
        let wrapped = format!(
            "\u{feff}{{\"name\":\"x\",\"note\":[1],\"expected\":{{}},\r\n\"fleet\":{}}}",
            fleet(BOUNDS)
        );
        assert_eq!(
            fleet_from_json(wrapped.as_bytes()).expect("a fleet").len(),
            1
        );
    }

    #[test]
    fn writing_and_reading_gives_the_same_fleet() {
        let first = fleet_from_json(
            fleet(&format!("{BOUNDS},{SESSION}"))
                .replace(
                    "\"steps\"",
                    "\"start\":\"2024-05-06T15:00[Europe/Berlin]\",\"steps\"",
                )
                .as_bytes(),
        )
        .expect("a fleet");
        let text = fleet_to_json(&first).expect("text");
        assert_eq!(fleet_from_json(text.as_bytes()).expect("a fleet"), first);
        assert_eq!(
            serde_json::from_str::<Fleet>(&text).expect("a fleet"),
            first
        );
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn broken_files() {
        insta::assert_snapshot!(text(""), @"the file is empty");
        insta::assert_snapshot!(text("  \n"), @"the file is empty");
        insta::assert_snapshot!(text("{\"steps\": 2,\n \"vehicles\": [1, }"), @"not valid JSON: expected value at line 2 column 18");
        insta::assert_snapshot!(text("[NaN]"), @"not valid JSON: expected value at line 1 column 2");
        insta::assert_snapshot!(text("[1e999]"), @"not valid JSON: number out of range at line 1 column 6");
        insta::assert_snapshot!(text("{} x"), @"not valid JSON: trailing characters at line 1 column 4");
        insta::assert_snapshot!(text(&"[".repeat(10_000)), @"not valid JSON: recursion limit exceeded at line 1 column 128");
        insta::assert_snapshot!(text("3"), @"the top level: expected an object, found a number");
    }

    #[test]
    fn missing_unknown_and_doubled_keys() {
        insta::assert_snapshot!(text("{}"), @"the top level: the key `step_hours` is missing");
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("\"power_max_kw\":[7,7],", ""))),
            @"vehicles[0]: the key `power_max_kw` is missing"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("power_max_kw", "power_max_kW"))),
            @"vehicles[0]: the key `power_max_kw` is missing"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace('{', "{\"soc\":1,"))),
            @"vehicles[0]: unknown key `soc`; known here: id, power_min_kw, power_max_kw, energy_min_kwh, energy_max_kwh, efficiency"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace('{', "{\"id\":\"b\","))),
            @"vehicles[0]: the key `id` occurs twice"
        );
        insta::assert_snapshot!(
            text(&format!("{{\"fleet\":{},\"loads\":[]}}", fleet(BOUNDS))),
            @"the top level: unknown key `loads`; known here: fleet"
        );
        insta::assert_snapshot!(
            text(&fleet(&SESSION.replace('}', ",\"power_max_kw\":3}"))),
            @"vehicles[0]: unknown key `power_max_kw`; known here: id, arrival_step, departure_step, capacity_kwh, initial_kwh, required_kwh, minimum_kwh, charge_max_kw, discharge_max_kw, efficiency"
        );
    }

    #[test]
    fn wrong_types_and_lengths() {
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("[7,7]", "[7,null]"))),
            @"vehicles[0].power_max_kw[1]: expected a number, found null"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("[7,7]", "\"7\""))),
            @"vehicles[0].power_max_kw: expected a number or an array of numbers, found a string"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("[7,7]", "[7,7,7]"))),
            @"vehicles[0].power_max_kw must have 2 entries, found 3"
        );
        insta::assert_snapshot!(text(&fleet("1,2")), @"vehicles: expected an array of objects, found an array of numbers");
        insta::assert_snapshot!(text(&fleet("")), @"vehicles: a fleet needs at least one vehicle");
        insta::assert_snapshot!(
            text(&fleet(BOUNDS).replace("\"steps\":2", "\"steps\":2.5")),
            @"steps must be a whole number from 0 to 1000000, found 2.5"
        );
        insta::assert_snapshot!(
            text(&fleet(BOUNDS).replace("\"steps\":2", "\"steps\":1e15")),
            @"steps must be a whole number from 0 to 1000000, found 1000000000000000"
        );
        insta::assert_snapshot!(
            text(&fleet(BOUNDS).replace("\"steps\":2", "\"steps\":0")),
            @"the top level: a time grid needs at least one step"
        );
        insta::assert_snapshot!(
            text(&fleet(BOUNDS).replace("\"step_hours\":1.0", "\"step_hours\":-1.0")),
            @"the top level: the step length must be a finite, positive number of hours, found -1"
        );
        let bad =
            text(&fleet(BOUNDS).replace("\"steps\"", "\"start\":\"2024-05-06T15:00\",\"steps\""));
        let begin =
            "start: start must be a time such as 2024-05-06T18:30, found `2024-05-06T15:00` (";
        assert!(bad.starts_with(begin), "{bad}");
        assert!(
            bad.ends_with("; the zone belongs to it, as in [Europe/Berlin])"),
            "{bad}"
        );
    }

    #[test]
    fn small_files_cannot_ask_for_all_memory() {
        let cars = vec![BOUNDS.replace("[7,7]", "7").replace("[0,5]", "0"); 200].join(",");
        insta::assert_snapshot!(
            text(&fleet(&cars).replace("\"steps\":2", "\"steps\":1000000")),
            @"vehicles: vehicles × steps is 200000000, more than the 100000000 that are accepted"
        );
    }

    #[test]
    fn bad_vehicles_are_named_with_their_place() {
        insta::assert_snapshot!(
            text(&fleet(&format!("{BOUNDS},{BOUNDS}"))),
            @"vehicles: vehicles number 0 and 1 have the same id `a`; ids must be unique"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("[7,7]", "-4"))),
            @"vehicles[0]: vehicle `a`, step 0: the smallest power -3 kW exceeds the largest -4 kW"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace("[7,7]", "2"))),
            @"vehicles: vehicle `a` is impossible at step 1: its net energy can reach -3 to 4 kWh there, but 5 to 9 kWh is asked for"
        );
        insta::assert_snapshot!(
            text(&fleet(&SESSION.replace("\"departure_step\":1", "\"departure_step\":3"))),
            @"vehicles[0]: session `s`: steps 0 to 3 are not a window of the grid; 0 <= arrival_step < departure_step <= 2 is needed"
        );
        insta::assert_snapshot!(
            text(&fleet(&SESSION.replace("\"required_kwh\":15", "\"required_kwh\":25"))),
            @"vehicles[0]: vehicle `s` is impossible at step 0: its net energy can reach 0 to 6.3 kWh there, but 15 to 30 kWh is asked for"
        );
        insta::assert_snapshot!(
            text(&fleet(&BOUNDS.replace('}', ",\"efficiency\":1.2}"))),
            @"vehicles[0]: efficiency of vehicle `a` must be above 0 and at most 1 (a fraction), found 1.2"
        );
    }
}
