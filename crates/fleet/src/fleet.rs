//! Vehicles on one time grid.

use crate::error::Error;
use crate::time_grid::TimeGrid;
use crate::units::Hours;
use crate::vehicle::Vehicle;
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// N vehicles on one time grid, each of them possible on its own.
///
/// ```
/// use evflex_fleet::{Fleet, Hours, TimeGrid, Vehicle};
/// let grid = TimeGrid::new(2, Hours(1.0))?;
/// let car = |id: &str, need: f64| {
///     Vehicle::new(id, vec![0.0; 2], vec![7.0; 2], vec![0.0, need], vec![need; 2])
/// };
/// let fleet = Fleet::new(grid, vec![car("ev-0", 10.0)?, car("ev-1", 4.0)?])?;
/// assert_eq!(fleet.len(), 2);
/// assert_eq!(fleet.vehicle("ev-1").unwrap().energy_max_kwh(), [4.0, 4.0]);
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
///
/// Its JSON form is the `fleet` object of the instance files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawFleet", into = "RawFleet")]
pub struct Fleet {
    grid: TimeGrid,
    vehicles: Vec<Vehicle>,
    /// Position of every id, so that [`Fleet::vehicle`] does not search 100,000 names.
    index: HashMap<String, usize>,
}

/// What a fleet looks like in JSON: the grid's keys beside the vehicles.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFleet {
    step_hours: f64,
    steps: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Zoned>,
    vehicles: Vec<Vehicle>,
}

impl TryFrom<RawFleet> for Fleet {
    type Error = Error;
    fn try_from(raw: RawFleet) -> Result<Self, Error> {
        let mut grid = TimeGrid::new(raw.steps, Hours(raw.step_hours))?;
        if let Some(start) = raw.start {
            grid = grid.starting_at(start);
        }
        Self::new(grid, raw.vehicles)
    }
}

impl From<Fleet> for RawFleet {
    fn from(fleet: Fleet) -> Self {
        Self {
            step_hours: fleet.grid.step_hours(),
            steps: fleet.grid.steps(),
            start: fleet.grid.start().cloned(),
            vehicles: fleet.vehicles,
        }
    }
}

impl Fleet {
    /// A fleet of these vehicles, in this order.
    ///
    /// # Errors
    /// [`Error::EmptyFleet`]; [`Error::EmptyId`] and [`Error::DuplicateId`] for names;
    /// [`Error::Length`] if a vehicle's bounds do not have one entry per step of the grid;
    /// [`Error::ImpossibleVehicle`] for a vehicle that no power profile satisfies.
    pub fn new(grid: TimeGrid, vehicles: Vec<Vehicle>) -> Result<Self, Error> {
        if vehicles.is_empty() {
            return Err(Error::EmptyFleet);
        }
        let mut index = HashMap::with_capacity(vehicles.len());
        for (position, vehicle) in vehicles.iter().enumerate() {
            if vehicle.id().is_empty() {
                return Err(Error::EmptyId { index: position });
            }
            if let Some(first) = index.insert(vehicle.id().to_owned(), position) {
                let id = vehicle.id().to_owned();
                return Err(Error::DuplicateId {
                    id,
                    first,
                    second: position,
                });
            }
            vehicle.check(&grid)?;
        }
        Ok(Self {
            grid,
            vehicles,
            index,
        })
    }

    /// The time grid of all vehicles.
    #[must_use]
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// The vehicles, in the order in which they were given.
    #[must_use]
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.vehicles
    }

    /// Number of vehicles N, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a fleet is never empty")]
    pub fn len(&self) -> usize {
        self.vehicles.len()
    }

    /// Number of steps T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.grid.steps()
    }

    /// Length of a step δ in hours.
    #[must_use]
    pub fn step_hours(&self) -> f64 {
        self.grid.step_hours()
    }

    /// The vehicle of this name.
    #[must_use]
    pub fn vehicle(&self, id: &str) -> Option<&Vehicle> {
        self.index.get(id).map(|&position| &self.vehicles[position])
    }

    /// Whether every vehicle is lossless: only then is the exact aggregate set available.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.vehicles.iter().all(Vehicle::is_lossless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> TimeGrid {
        TimeGrid::new(2, Hours(1.0)).expect("a grid")
    }

    fn car(id: &str, need: f64) -> Vehicle {
        Vehicle::new(
            id,
            vec![0.0; 2],
            vec![7.0; 2],
            vec![0.0, need],
            vec![20.0; 2],
        )
        .expect("a vehicle")
    }

    #[test]
    fn bad_fleets_are_named() {
        let text = |vehicles| {
            Fleet::new(grid(), vehicles)
                .expect_err("refused")
                .to_string()
        };
        insta::assert_snapshot!(text(vec![]), @"a fleet needs at least one vehicle");
        insta::assert_snapshot!(
            text(vec![car("a", 1.0), car("b", 1.0), car("a", 2.0)]),
            @"vehicles number 0 and 2 have the same id `a`; ids must be unique"
        );
        insta::assert_snapshot!(
            text(vec![car("", 1.0)]),
            @"vehicle number 0 has an empty id; every vehicle needs a name of its own"
        );
        insta::assert_snapshot!(
            text(vec![car("a", 15.0)]),
            @"vehicle `a` is impossible at step 1: its net energy can reach 0 to 14 kWh there, but 15 to 20 kWh is asked for"
        );
        let short = Vehicle::new("s", vec![0.0], vec![1.0], vec![0.0], vec![1.0]).expect("ok");
        insta::assert_snapshot!(
            text(vec![car("a", 1.0), short]),
            @"bounds of vehicle `s` must have 2 entries, found 1"
        );
    }

    #[test]
    fn vehicles_are_found_by_name() {
        let fleet = Fleet::new(grid(), vec![car("a", 1.0), car("b", 2.0)]).expect("a fleet");
        assert_eq!(fleet.vehicle("b").map(|v| v.energy_min_kwh()[1]), Some(2.0));
        assert!(fleet.vehicle("c").is_none());
        assert_eq!(
            (fleet.len(), fleet.steps(), fleet.step_hours()),
            (2, 2, 1.0)
        );
        assert!(fleet.is_lossless());
    }

    #[test]
    fn json_round_trip() {
        let fleet = Fleet::new(grid(), vec![car("a", 1.0), car("b", 2.0)]).expect("a fleet");
        let text = serde_json::to_string(&fleet).expect("serialises");
        assert!(text.starts_with(r#"{"step_hours":1.0,"steps":2,"vehicles":[{"id":"a""#));
        assert_eq!(serde_json::from_str::<Fleet>(&text).expect("parses"), fleet);
    }
}
