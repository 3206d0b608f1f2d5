//! One power per vehicle and step, and an independent check against the fleet.

use crate::error::{Error, within};
use crate::fleet::Fleet;
use crate::time_grid::TimeGrid;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// What a vehicle is to do: one mean power per vehicle and step, in kW.
///
/// A schedule may be wrong for its fleet; [`Schedule::check`] says whether and where. Its JSON form
/// is `{"step_hours", "steps", "start"?, "vehicles": [ids], "power_kw": [[..steps], ..vehicles]}`.
///
/// ```
/// use evflex_fleet::{Fleet, Hours, Schedule, TimeGrid, Vehicle};
/// use ndarray::array;
/// let grid = TimeGrid::new(2, Hours(1.0))?;
/// let car = Vehicle::new("a", vec![0.0; 2], vec![7.0; 2], vec![0.0, 10.0], vec![12.0; 2])?;
/// let fleet = Fleet::new(grid.clone(), vec![car])?;
///
/// let good = Schedule::new(grid.clone(), vec!["a".into()], array![[6.0, 4.0]])?;
/// assert!(good.check(&fleet, 1e-9)?.is_feasible());
///
/// let late = Schedule::new(grid, vec!["a".into()], array![[0.0, 8.0]])?;
/// let check = late.check(&fleet, 1e-9)?;
/// // 8 kW where 7 are allowed, and 8 kWh where 10 are needed.
/// assert_eq!(check.largest_power_violation_kw(), 1.0);
/// assert_eq!(check.largest_energy_violation_kwh(), 2.0);
/// assert_eq!((check.violations()[0].vehicle(), check.violations()[0].step()), ("a", 1));
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSchedule", into = "RawSchedule")]
pub struct Schedule {
    grid: TimeGrid,
    ids: Vec<String>,
    power_kw: Array2<f64>,
}

/// What a schedule looks like in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchedule {
    step_hours: f64,
    steps: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<jiff::Zoned>,
    vehicles: Vec<String>,
    power_kw: Vec<Vec<f64>>,
}

impl TryFrom<RawSchedule> for Schedule {
    type Error = Error;
    fn try_from(raw: RawSchedule) -> Result<Self, Error> {
        let mut grid = TimeGrid::new(raw.steps, crate::units::Hours(raw.step_hours))?;
        if let Some(start) = raw.start {
            grid = grid.starting_at(start);
        }
        let rows = raw.power_kw.len();
        let mut flat = Vec::new();
        for (row, values) in raw.power_kw.into_iter().enumerate() {
            if values.len() != grid.steps() {
                return Err(Error::Length {
                    what: format!("power_kw[{row}]"),
                    expected: grid.steps(),
                    found: values.len(),
                });
            }
            flat.extend(values);
        }
        let power_kw =
            Array2::from_shape_vec((rows, grid.steps()), flat).map_err(|_| Error::Length {
                what: "power_kw".to_owned(),
                expected: rows,
                found: rows,
            })?;
        Self::new(grid, raw.vehicles, power_kw)
    }
}

impl From<Schedule> for RawSchedule {
    fn from(schedule: Schedule) -> Self {
        Self {
            step_hours: schedule.grid.step_hours(),
            steps: schedule.grid.steps(),
            start: schedule.grid.start().cloned(),
            vehicles: schedule.ids,
            power_kw: schedule
                .power_kw
                .rows()
                .into_iter()
                .map(|row| row.to_vec())
                .collect(),
        }
    }
}

impl Schedule {
    /// A schedule for the vehicles `ids` with `power_kw` of shape vehicles × steps.
    ///
    /// # Errors
    /// [`Error::Length`] if the shape does not fit; [`Error::NotFinite`] for a power that is NaN or
    /// infinite.
    pub fn new(grid: TimeGrid, ids: Vec<String>, power_kw: Array2<f64>) -> Result<Self, Error> {
        if power_kw.nrows() != ids.len() {
            return Err(Error::Length {
                what: "power_kw of a schedule (rows, one per vehicle)".to_owned(),
                expected: ids.len(),
                found: power_kw.nrows(),
            });
        }
        if power_kw.ncols() != grid.steps() {
            return Err(Error::Length {
                what: "power_kw of a schedule (columns, one per step)".to_owned(),
                expected: grid.steps(),
                found: power_kw.ncols(),
            });
        }
        for ((row, step), &value) in power_kw.indexed_iter() {
            if !value.is_finite() {
                let what = format!("power_kw of vehicle `{}` in step {step}", ids[row]);
                return Err(Error::NotFinite { what, value });
            }
        }
        Ok(Self {
            grid,
            ids,
            power_kw,
        })
    }

    /// The time grid of the columns.
    #[must_use]
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// Names of the vehicles, one per row.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Power in kW, vehicles × steps.
    #[must_use]
    pub fn power_kw(&self) -> ArrayView2<'_, f64> {
        self.power_kw.view()
    }

    /// Power of all vehicles together in kW, one entry per step.
    #[must_use]
    pub fn aggregate_kw(&self) -> Array1<f64> {
        self.power_kw.sum_axis(Axis(0))
    }

    /// Net energy stored since the first step at the end of each step, kWh, vehicles × steps:
    /// `x[t] = Σ_{s ≤ t} δ (η p⁺ − p⁻/η)`.
    ///
    /// # Errors
    /// [`Error::WrongVehicle`], [`Error::Length`] or [`Error::GridMismatch`] if the schedule is not
    /// one of this fleet.
    pub fn energy_kwh(&self, fleet: &Fleet) -> Result<Array2<f64>, Error> {
        self.belongs_to(fleet)?;
        let delta = self.grid.step_hours();
        let mut energy = Array2::zeros(self.power_kw.raw_dim());
        for (row, vehicle) in fleet.vehicles().iter().enumerate() {
            let mut stored = 0.0;
            for (x, &power) in energy.row_mut(row).iter_mut().zip(self.power_kw.row(row)) {
                stored += delta * vehicle.stored_rate_kw(power);
                *x = stored;
            }
        }
        Ok(energy)
    }

    /// Checks every bound of every vehicle, from the definition alone.
    ///
    /// The check restates the model (power bounds, net energy as a running sum with the vehicle's
    /// efficiency, energy bounds) and shares no code with anything that makes schedules.
    /// `tolerance` is absolute, in kW for powers and in kWh for energies; a violation is what
    /// exceeds it. A schedule made in floating point needs a small one: `1e-6` is 1 mW and 1 mWh.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a negative or NaN tolerance; as [`Schedule::energy_kwh`] if the
    /// schedule is not one of this fleet. A schedule that violates bounds is no error: the answer
    /// says so.
    pub fn check(&self, fleet: &Fleet, tolerance: f64) -> Result<ScheduleCheck, Error> {
        within(
            || "tolerance of a schedule check".to_owned(),
            tolerance,
            |t| t >= 0.0,
            "finite and at least 0",
        )?;
        self.belongs_to(fleet)?;
        let delta = self.grid.step_hours();
        let mut violations = Vec::new();
        let (mut largest_power, mut largest_energy) = (0.0_f64, 0.0_f64);
        for (row, vehicle) in fleet.vehicles().iter().enumerate() {
            let eta = vehicle.efficiency();
            let mut stored = 0.0;
            for (step, &power) in self.power_kw.row(row).iter().enumerate() {
                let charged = if power > 0.0 { power } else { 0.0 };
                let discharged = if power < 0.0 { -power } else { 0.0 };
                stored += delta * (eta * charged - discharged / eta);
                let tests = [
                    (
                        Quantity::Power,
                        power,
                        vehicle.power_min_kw()[step],
                        vehicle.power_max_kw()[step],
                    ),
                    (
                        Quantity::Energy,
                        stored,
                        vehicle.energy_min_kwh()[step],
                        vehicle.energy_max_kwh()[step],
                    ),
                ];
                for (quantity, value, min, max) in tests {
                    let (bound, excess) = if value < min {
                        (min, min - value)
                    } else {
                        (max, value - max)
                    };
                    let largest = match quantity {
                        Quantity::Power => &mut largest_power,
                        Quantity::Energy => &mut largest_energy,
                    };
                    *largest = largest.max(excess);
                    if excess > tolerance {
                        let id = vehicle.id().to_owned();
                        violations.push(Violation {
                            vehicle: id,
                            step,
                            quantity,
                            value,
                            bound,
                        });
                    }
                }
            }
        }
        Ok(ScheduleCheck {
            tolerance,
            largest_power,
            largest_energy,
            violations,
        })
    }

    /// Fails unless the rows are the fleet's vehicles and the columns its steps.
    fn belongs_to(&self, fleet: &Fleet) -> Result<(), Error> {
        self.grid
            .agrees_with(fleet.grid(), "the schedule", "the fleet")?;
        if self.ids.len() != fleet.len() {
            return Err(Error::Length {
                what: "the schedule (one row per vehicle of the fleet)".to_owned(),
                expected: fleet.len(),
                found: self.ids.len(),
            });
        }
        for (index, (found, vehicle)) in self.ids.iter().zip(fleet.vehicles()).enumerate() {
            if found != vehicle.id() {
                return Err(Error::WrongVehicle {
                    index,
                    expected: vehicle.id().to_owned(),
                    found: found.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Which of a vehicle's bounds is violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Quantity {
    /// Power in a step, kW.
    Power,
    /// Net energy at the end of a step, kWh.
    Energy,
}

/// One bound that a schedule does not keep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    vehicle: String,
    step: usize,
    quantity: Quantity,
    value: f64,
    bound: f64,
}

impl Violation {
    /// Name of the vehicle.
    #[must_use]
    pub fn vehicle(&self) -> &str {
        &self.vehicle
    }

    /// The step, from 0; an energy is meant at its end.
    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    /// Whether power or energy is out of bounds.
    #[must_use]
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// The scheduled value, kW or kWh.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The bound that it does not keep, kW or kWh.
    #[must_use]
    pub fn bound(&self) -> f64 {
        self.bound
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            vehicle,
            step,
            value,
            bound,
            ..
        } = self;
        let (quantity, unit) = match self.quantity {
            Quantity::Power => ("power", "kW"),
            Quantity::Energy => ("net energy", "kWh"),
        };
        let (side, limit) = if value < bound {
            ("below", "least")
        } else {
            ("above", "largest")
        };
        write!(
            f,
            "vehicle `{vehicle}`, step {step}: {quantity} {value} {unit} is {side} the {limit} \
             {bound} {unit}"
        )
    }
}

/// What [`Schedule::check`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct ScheduleCheck {
    tolerance: f64,
    #[serde(rename = "largest_power_violation_kw")]
    largest_power: f64,
    #[serde(rename = "largest_energy_violation_kwh")]
    largest_energy: f64,
    violations: Vec<Violation>,
}

impl ScheduleCheck {
    /// Whether no bound is violated by more than the tolerance.
    #[must_use]
    pub fn is_feasible(&self) -> bool {
        self.violations.is_empty()
    }

    /// The tolerance of the check, kW and kWh.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// The largest violation of a power bound, kW; 0 if none is violated, and reported also where
    /// it is within the tolerance.
    #[must_use]
    pub fn largest_power_violation_kw(&self) -> f64 {
        self.largest_power
    }

    /// The largest violation of an energy bound, kWh; reported as
    /// [`ScheduleCheck::largest_power_violation_kw`].
    #[must_use]
    pub fn largest_energy_violation_kwh(&self) -> f64 {
        self.largest_energy
    }

    /// Every violation beyond the tolerance, by vehicle, then step, power before energy.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_close;
    use crate::units::Hours;
    use crate::vehicle::Vehicle;
    use ndarray::array;

    fn grid() -> TimeGrid {
        TimeGrid::new(2, Hours(0.5)).expect("a grid")
    }

    fn fleet() -> Fleet {
        let a = Vehicle::new(
            "a",
            vec![-4.0; 2],
            vec![8.0; 2],
            vec![-2.0, 1.0],
            vec![6.0; 2],
        )
        .and_then(|v| v.with_efficiency(0.8))
        .expect("a vehicle");
        let b = Vehicle::new("b", vec![0.0; 2], vec![2.0; 2], vec![0.0; 2], vec![1.0; 2])
            .expect("a vehicle");
        Fleet::new(grid(), vec![a, b]).expect("a fleet")
    }

    fn ids() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    #[test]
    fn energy_counts_losses_both_ways() {
        let schedule = Schedule::new(grid(), ids(), array![[5.0, -1.6], [1.0, 1.0]]).expect("ok");
        let energy = schedule.energy_kwh(&fleet()).expect("energies");
        // 5 kW for half an hour stores 2.0 kWh; 1.6 kW out of the battery costs 1.0 kWh.
        assert_close(energy.iter().copied(), [2.0, 1.0, 0.5, 1.0], 1e-12);
        assert!(
            schedule
                .check(&fleet(), 1e-9)
                .expect("checked")
                .is_feasible()
        );
        assert_close(schedule.aggregate_kw(), [6.0, -0.6], 1e-12);
    }

    #[test]
    fn every_violation_is_found_where_it_is() {
        let schedule = Schedule::new(grid(), ids(), array![[-5.0, 9.0], [2.0, 1.0]]).expect("ok");
        let check = schedule.check(&fleet(), 1e-9).expect("checked");
        assert!(!check.is_feasible());
        let found: Vec<String> = check.violations().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(found.join("\n"), @r"
        vehicle `a`, step 0: power -5 kW is below the least -4 kW
        vehicle `a`, step 0: net energy -3.125 kWh is below the least -2 kWh
        vehicle `a`, step 1: power 9 kW is above the largest 8 kW
        vehicle `a`, step 1: net energy 0.4750000000000001 kWh is below the least 1 kWh
        vehicle `b`, step 1: net energy 1.5 kWh is above the largest 1 kWh
        ");
        assert_close([check.largest_power_violation_kw()], [1.0], 1e-12);
        assert_close([check.largest_energy_violation_kwh()], [1.125], 1e-12);
        assert!(
            schedule
                .check(&fleet(), 1.2)
                .expect("checked")
                .is_feasible()
        );
    }

    #[test]
    fn a_schedule_of_another_fleet_is_refused() {
        let text = |error: Error| error.to_string();
        let swapped = vec!["b".to_owned(), "a".to_owned()];
        let schedule = Schedule::new(grid(), swapped, Array2::zeros((2, 2))).expect("ok");
        insta::assert_snapshot!(
            text(schedule.check(&fleet(), 1e-9).expect_err("refused")),
            @"row 0 of the schedule is vehicle `b`, but vehicle 0 of the fleet is `a`"
        );
        let other = TimeGrid::new(2, Hours(1.0)).expect("a grid");
        let schedule = Schedule::new(other, ids(), Array2::zeros((2, 2))).expect("ok");
        insta::assert_snapshot!(
            text(schedule.energy_kwh(&fleet()).expect_err("refused")),
            @"the schedule and the fleet are on different time grids (steps of 1 and 0.5 h)"
        );
        let schedule =
            Schedule::new(grid(), vec!["a".to_owned()], Array2::zeros((1, 2))).expect("ok");
        insta::assert_snapshot!(
            text(schedule.check(&fleet(), 1e-9).expect_err("refused")),
            @"the schedule (one row per vehicle of the fleet) must have 2 entries, found 1"
        );
        assert!(matches!(
            Schedule::new(grid(), ids(), Array2::zeros((2, 2)))
                .and_then(|s| s.check(&fleet(), f64::NAN)),
            Err(Error::OutOfRange { .. })
        ));
    }

    #[test]
    fn shapes_and_numbers_are_checked() {
        let text = |result: Result<Schedule, Error>| result.expect_err("refused").to_string();
        insta::assert_snapshot!(
            text(Schedule::new(grid(), ids(), Array2::zeros((1, 2)))),
            @"power_kw of a schedule (rows, one per vehicle) must have 2 entries, found 1"
        );
        insta::assert_snapshot!(
            text(Schedule::new(grid(), ids(), Array2::zeros((2, 3)))),
            @"power_kw of a schedule (columns, one per step) must have 2 entries, found 3"
        );
        insta::assert_snapshot!(
            text(Schedule::new(grid(), ids(), array![[0.0, 0.0], [0.0, f64::NAN]])),
            @"power_kw of vehicle `b` in step 1 must be a finite number, found NaN"
        );
    }

    #[test]
    fn json_round_trip() {
        let schedule = Schedule::new(grid(), ids(), array![[5.0, -1.6], [1.0, 1.0]]).expect("ok");
        let text = serde_json::to_string(&schedule).expect("serialises");
        assert_eq!(
            text,
            r#"{"step_hours":0.5,"steps":2,"vehicles":["a","b"],"power_kw":[[5.0,-1.6],[1.0,1.0]]}"#
        );
        assert_eq!(
            serde_json::from_str::<Schedule>(&text).expect("parses"),
            schedule
        );
        let ragged = text.replace("[1.0,1.0]", "[1.0]");
        assert!(serde_json::from_str::<Schedule>(&ragged).is_err());
    }
}
