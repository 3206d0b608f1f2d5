//! What a fleet does when nobody controls it.

use crate::error::Error;
use crate::fleet::Fleet;
use crate::schedule::Schedule;
use crate::vehicle::Vehicle;
use ndarray::{Array2, ArrayViewMut1};

/// Every vehicle charges as early and as fast as it can until it holds what it needs.
///
/// For each vehicle on its own, the net energy that it aims at after step t is the least from which
/// doing nothing more keeps every later requirement,
///
/// ```text
/// r[t] = max(energy_min[t], r[t+1] − δ g(idle[t+1])),      r[T−1] = energy_min[T−1],
/// ```
///
/// where idle is the allowed power nearest to 0 and g the stored rate; where 0 kW is allowed this is
/// the largest requirement still to come. The vehicle charges with full power until `r[t]` is
/// reached, and then waits. It never discharges, unless its own bounds leave no other way (a
/// largest power below 0, or an energy cap that falls).
///
/// In each step the aim is cut to the net energies from which the remaining steps can be completed,
/// so the schedule is feasible for every vehicle that
/// [`Vehicle::check`] calls possible, up to [`Vehicle::REACH_TOLERANCE`].
///
/// ```
/// use evflex_fleet::{uncontrolled, Fleet, Hours, TimeGrid, Vehicle};
/// let grid = TimeGrid::new(3, Hours(1.0))?;
/// let car = Vehicle::new("a", vec![-7.0; 3], vec![7.0; 3], vec![-5.0, -5.0, 10.0], vec![20.0; 3])?;
/// let schedule = uncontrolled(&Fleet::new(grid, vec![car])?)?;
/// assert_eq!(schedule.power_kw().row(0).to_vec(), [7.0, 3.0, 0.0]);
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
///
/// # Errors
/// None for a fleet that was built by [`Fleet::new`], unless its powers are so large that sums
/// overflow ([`Error::NotFinite`]).
pub fn uncontrolled(fleet: &Fleet) -> Result<Schedule, Error> {
    let mut power_kw = Array2::zeros((fleet.len(), fleet.steps()));
    for (vehicle, row) in fleet.vehicles().iter().zip(power_kw.rows_mut()) {
        charge_early(vehicle, fleet.step_hours(), row);
    }
    let ids = fleet
        .vehicles()
        .iter()
        .map(|vehicle| vehicle.id().to_owned())
        .collect();
    Schedule::new(fleet.grid().clone(), ids, power_kw)
}

/// Fills `power_kw` with the earliest charging of one vehicle.
fn charge_early(vehicle: &Vehicle, delta: f64, mut power_kw: ArrayViewMut1<'_, f64>) {
    let steps = vehicle.steps();
    let gain = |power: f64| delta * vehicle.stored_rate_kw(power);

    // The aim, and the largest net energy from which all later steps can be completed, from the end.
    // The least one needs no vector of its own: doing the most later asks for less than the aim.
    let mut high = vehicle.energy_max_kwh().to_vec();
    let mut aim = vehicle.energy_min_kwh().to_vec();
    for step in (0..steps.saturating_sub(1)).rev() {
        high[step] = high[step].min(high[step + 1] - gain(vehicle.power_min_kw()[step + 1]));
        let idle = 0.0_f64
            .max(vehicle.power_min_kw()[step + 1])
            .min(vehicle.power_max_kw()[step + 1]);
        aim[step] = aim[step].max(aim[step + 1] - gain(idle));
    }

    let mut stored = 0.0_f64;
    for step in 0..steps {
        // `max` then `min` instead of `clamp`: bounds that cross by rounding must not panic.
        let target = stored.max(aim[step]).min(high[step]);
        let wanted = (target - stored) / delta;
        let eta = vehicle.efficiency();
        let power = if wanted >= 0.0 {
            wanted / eta
        } else {
            wanted * eta
        };
        let power = power
            .max(vehicle.power_min_kw()[step])
            .min(vehicle.power_max_kw()[step]);
        stored += gain(power);
        power_kw[step] = power;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_close;
    use crate::time_grid::TimeGrid;
    use crate::units::Hours;

    fn run(vehicle: Vehicle, hours: f64) -> Vec<f64> {
        let grid = TimeGrid::new(vehicle.steps(), Hours(hours)).expect("a grid");
        let fleet = Fleet::new(grid, vec![vehicle]).expect("a fleet");
        let schedule = uncontrolled(&fleet).expect("a schedule");
        assert!(schedule.check(&fleet, 1e-9).expect("checked").is_feasible());
        schedule.power_kw().row(0).to_vec()
    }

    #[test]
    fn charges_at_once_and_then_waits() {
        let car = Vehicle::new(
            "a",
            vec![0.0; 4],
            vec![6.0; 4],
            vec![0.0, 0.0, 0.0, 8.0],
            vec![9.0; 4],
        );
        assert_eq!(run(car.expect("ok"), 0.5), [6.0, 6.0, 4.0, 0.0]);
    }

    #[test]
    fn an_energy_cap_and_losses_are_respected() {
        let car = Vehicle::new(
            "a",
            vec![0.0; 3],
            vec![5.0; 3],
            vec![0.0, 0.0, 6.0],
            vec![2.0, 4.0, 9.0],
        )
        .and_then(|v| v.with_efficiency(0.8));
        assert_close(run(car.expect("ok"), 1.0), [2.5; 3], 1e-12);
    }

    #[test]
    fn waits_for_nothing_but_discharges_when_forced() {
        // Drives in step 1: -3 kW are forced, the cap of step 1 asks for room.
        let car = Vehicle::new(
            "a",
            vec![0.0, -3.0, 0.0],
            vec![4.0, -3.0, 4.0],
            vec![0.0, 0.0, 2.0],
            vec![5.0, 0.5, 5.0],
        );
        assert_eq!(run(car.expect("ok"), 1.0), [3.5, -3.0, 1.5]);
    }

    #[test]
    fn nothing_is_done_when_nothing_is_needed() {
        let car = Vehicle::new(
            "a",
            vec![-4.0; 2],
            vec![4.0; 2],
            vec![-5.0; 2],
            vec![5.0; 2],
        );
        assert_eq!(run(car.expect("ok"), 1.0), [0.0, 0.0]);
    }
}
