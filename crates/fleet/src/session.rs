//! A vehicle's stay at a plug, in steps.

use crate::error::{Error, within};
use crate::time_grid::TimeGrid;
use crate::vehicle::Vehicle;
use serde::{Deserialize, Serialize};

/// One stay at a plug, with battery levels: the session form of the instance files.
///
/// Power is allowed in the steps `arrival_step ≤ t < departure_step`. The energies are levels of
/// the battery in kWh, not net energies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Name of the vehicle.
    pub id: String,
    /// First step with power, from 0.
    pub arrival_step: usize,
    /// First step without power again, at most the number of steps.
    pub departure_step: usize,
    /// Most that the battery holds, kWh.
    pub capacity_kwh: f64,
    /// Level at arrival, kWh.
    pub initial_kwh: f64,
    /// Least level at departure, kWh.
    pub required_kwh: f64,
    /// Least level at the end of every step of the stay, kWh.
    pub minimum_kwh: f64,
    /// Largest charging power at the meter, kW.
    pub charge_max_kw: f64,
    /// Largest discharging power at the meter, kW, as a positive number; 0 for charging only.
    pub discharge_max_kw: f64,
    /// One-way efficiency in (0, 1].
    pub efficiency: f64,
}

impl Session {
    /// The bounds of this session over `grid`.
    ///
    /// With a = `arrival_step`, d = `departure_step`, and net energies relative to `initial_kwh`:
    ///
    /// | steps | power, kW | net energy at the end, kWh |
    /// |---|---|---|
    /// | t < a | 0 | 0 is allowed, and within the row below |
    /// | a ≤ t < d − 1 | −`discharge_max` to `charge_max` | `minimum − initial` to `capacity − initial` |
    /// | t = d − 1 | the same | `required − initial` to `capacity − initial`, not below `minimum` |
    /// | t ≥ d | 0 | as at d − 1 |
    ///
    /// A battery may arrive below its minimum; it must then have reached it at the end of its
    /// first step.
    ///
    /// # Errors
    /// [`Error::SessionWindow`]; [`Error::OutOfRange`] for energies outside `[0, capacity]`,
    /// negative or infinite powers and efficiencies outside (0, 1]; [`Error::ImpossibleVehicle`]
    /// if the session asks for more than its plug can deliver.
    pub fn to_vehicle(&self, grid: &TimeGrid) -> Result<Vehicle, Error> {
        let (arrival, departure) = (self.arrival_step, self.departure_step);
        if arrival >= departure || departure > grid.steps() {
            return Err(Error::SessionWindow {
                id: self.id.clone(),
                arrival,
                departure,
                steps: grid.steps(),
            });
        }
        let name = |key: &str| format!("{key} of session `{}`", self.id);
        let positive = |key, value| within(|| name(key), value, |v| v > 0.0, "finite and above 0");
        let power = |key, value| within(|| name(key), value, |v| v >= 0.0, "finite and at least 0");
        let capacity = positive("capacity_kwh", self.capacity_kwh)?;
        let level = |key, value| {
            let rule = format!("between 0 and the capacity of {capacity} kWh");
            within(
                || name(key),
                value,
                |v| (0.0..=capacity).contains(&v),
                &rule,
            )
        };
        let initial = level("initial_kwh", self.initial_kwh)?;
        let required = level("required_kwh", self.required_kwh)?;
        let minimum = level("minimum_kwh", self.minimum_kwh)?;
        let charge = power("charge_max_kw", self.charge_max_kw)?;
        let discharge = power("discharge_max_kw", self.discharge_max_kw)?;

        let steps = grid.steps();
        let (mut power_min, mut power_max) = (vec![0.0; steps], vec![0.0; steps]);
        // `0 - x` instead of `-x`: a charging-only session has the bound 0, not -0.
        power_min[arrival..departure].fill(0.0 - discharge);
        power_max[arrival..departure].fill(charge);
        let mut energy_min = vec![minimum - initial; steps];
        energy_min[..arrival].fill((minimum - initial).min(0.0));
        energy_min[departure - 1..].fill(required.max(minimum) - initial);
        let energy_max = vec![capacity - initial; steps];

        let vehicle = Vehicle::new(
            self.id.clone(),
            power_min,
            power_max,
            energy_min,
            energy_max,
        )?
        .with_efficiency(self.efficiency)?;
        vehicle.check(grid)?;
        Ok(vehicle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    fn session() -> Session {
        Session {
            id: "s".to_owned(),
            arrival_step: 1,
            departure_step: 4,
            capacity_kwh: 40.0,
            initial_kwh: 10.0,
            required_kwh: 25.0,
            minimum_kwh: 4.0,
            charge_max_kw: 7.0,
            discharge_max_kw: 3.0,
            efficiency: 1.0,
        }
    }

    fn grid() -> TimeGrid {
        TimeGrid::new(5, Hours(1.0)).expect("a grid")
    }

    #[test]
    fn bounds_are_net_energies_within_the_window() {
        let vehicle = session().to_vehicle(&grid()).expect("a vehicle");
        assert_eq!(vehicle.power_min_kw(), [0.0, -3.0, -3.0, -3.0, 0.0]);
        assert_eq!(vehicle.power_max_kw(), [0.0, 7.0, 7.0, 7.0, 0.0]);
        assert_eq!(vehicle.energy_min_kwh(), [-6.0, -6.0, -6.0, 15.0, 15.0]);
        assert_eq!(vehicle.energy_max_kwh(), [30.0; 5]);
    }

    #[test]
    fn a_battery_may_arrive_below_its_minimum() {
        let mut low = session();
        low.initial_kwh = 2.0;
        low.required_kwh = 3.0;
        let vehicle = low.to_vehicle(&grid()).expect("a vehicle");
        assert_eq!(vehicle.energy_min_kwh(), [0.0, 2.0, 2.0, 2.0, 2.0]);
        low.charge_max_kw = 1.0;
        assert!(matches!(
            low.to_vehicle(&grid()),
            Err(Error::ImpossibleVehicle { step: 1, .. })
        ));
    }

    #[test]
    fn bad_sessions_are_named() {
        let text = |change: fn(&mut Session)| {
            let mut bad = session();
            change(&mut bad);
            bad.to_vehicle(&grid()).expect_err("refused").to_string()
        };
        insta::assert_snapshot!(
            text(|s| s.departure_step = 1),
            @"session `s`: steps 1 to 1 are not a window of the grid; 0 <= arrival_step < departure_step <= 5 is needed"
        );
        insta::assert_snapshot!(
            text(|s| s.departure_step = 6),
            @"session `s`: steps 1 to 6 are not a window of the grid; 0 <= arrival_step < departure_step <= 5 is needed"
        );
        insta::assert_snapshot!(
            text(|s| s.required_kwh = 41.0),
            @"required_kwh of session `s` must be between 0 and the capacity of 40 kWh, found 41"
        );
        insta::assert_snapshot!(
            text(|s| s.initial_kwh = f64::NAN),
            @"initial_kwh of session `s` must be between 0 and the capacity of 40 kWh, found NaN"
        );
        insta::assert_snapshot!(
            text(|s| s.capacity_kwh = 0.0),
            @"capacity_kwh of session `s` must be finite and above 0, found 0"
        );
        insta::assert_snapshot!(
            text(|s| s.discharge_max_kw = -3.0),
            @"discharge_max_kw of session `s` must be finite and at least 0, found -3"
        );
        insta::assert_snapshot!(
            text(|s| s.efficiency = 1.5),
            @"efficiency of vehicle `s` must be above 0 and at most 1 (a fraction), found 1.5"
        );
        insta::assert_snapshot!(
            text(|s| s.required_kwh = 40.0),
            @"vehicle `s` is impossible at step 3: its net energy can reach -9 to 21 kWh there, but 30 to 30 kWh is asked for"
        );
    }
}
