//! Vehicles that are plugged in over the whole horizon.

use super::{Stream, random, uniform};
use crate::clock_session::Direction;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::time_grid::TimeGrid;
use crate::vehicle::Vehicle;

/// The population of `thanvantri2025`, Appendix C: N vehicles that are plugged in over the whole
/// horizon, 15:00 to 09:00 in the paper, with T = 18, N = 25 and δ = 1 h.
///
/// Per vehicle, in this order, all uniform: capacity c from 25 to 50 kWh, largest power from 3 to
/// 10 kW, least power from −10 to −3 kW, initial energy e from 0 to 0.4 c, final energy f from 0.6 c
/// to c. Net energies lie between −e and c − e, and after the last step between f − e and c − e.
///
/// The powers suffice for every draw only if the horizon H = T δ is at least 50/3 h. So for
/// H < 18 h the capacity is multiplied by H/18 ([`Population::capacity_scale`]), which makes every
/// draw possible: the largest need, 50 H/18 kWh, is below what 3 kW deliver in H hours. The
/// powers are as in the paper for every δ. Every vehicle is checked in any case.
///
/// With [`Direction::ChargeOnly`] (a variant of ours) the least power is 0, the largest power is
/// halved, and the energy needed after the last step is `min(f − e, 0.9 H power_max)` with the
/// halved power; the draws are the same.
///
/// ```
/// use evflex_fleet::synthetic::Population;
/// let fleet = Population::paper().generate(7)?;
/// assert_eq!((fleet.len(), fleet.steps(), fleet.step_hours()), (25, 18, 1.0));
/// assert_eq!(fleet, Population::paper().generate(7)?);
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    grid: TimeGrid,
    vehicles: usize,
    direction: Direction,
}

impl Population {
    /// Horizon of the paper in hours, below which capacities are scaled.
    pub const PAPER_HOURS: f64 = 18.0;

    /// `vehicles` vehicles on `grid`, charging and discharging.
    #[must_use]
    pub fn new(grid: TimeGrid, vehicles: usize) -> Self {
        Self {
            grid,
            vehicles,
            direction: Direction::VehicleToGrid,
        }
    }

    /// The paper's own size: T = 18, N = 25, δ = 1 h, charging and discharging.
    #[must_use]
    pub fn paper() -> Self {
        Self::new(TimeGrid::of_hours(18), 25)
    }

    /// Whether the vehicles may discharge. Default: they may.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// The grid of the fleets.
    #[must_use]
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// The factor on the drawn capacities: `min(1, T δ / 18 h)`.
    #[must_use]
    pub fn capacity_scale(&self) -> f64 {
        (self.grid.hours() / Self::PAPER_HOURS).min(1.0)
    }

    /// The fleet for `seed`, with vehicles `ev-0`, `ev-1`, ...
    ///
    /// # Errors
    /// [`Error::EmptyFleet`] for zero vehicles. [`Error::ImpossibleVehicle`] is checked and
    /// cannot occur.
    pub fn generate(&self, seed: u64) -> Result<Fleet, Error> {
        let mut rng = random(seed, Stream::Population);
        let scale = self.capacity_scale();
        if scale < 1.0 {
            let hours = self.grid.hours();
            tracing::info!(
                hours,
                scale,
                "capacities scaled to a horizon shorter than 18 h"
            );
        }
        let steps = self.grid.steps();
        let vehicles = (0..self.vehicles)
            .map(|index| {
                let capacity = scale * uniform(&mut rng, 25.0, 50.0);
                let mut power_max = uniform(&mut rng, 3.0, 10.0);
                let mut power_min = uniform(&mut rng, -10.0, -3.0);
                let initial = uniform(&mut rng, 0.0, 0.4) * capacity;
                let mut needed = uniform(&mut rng, 0.6, 1.0) * capacity - initial;
                if self.direction == Direction::ChargeOnly {
                    power_min = 0.0;
                    power_max /= 2.0;
                    needed = needed.min(0.9 * self.grid.hours() * power_max);
                }
                let mut energy_min = vec![-initial; steps];
                energy_min[steps - 1] = needed;
                Vehicle::new(
                    format!("ev-{index}"),
                    vec![power_min; steps],
                    vec![power_max; steps],
                    energy_min,
                    vec![capacity - initial; steps],
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        Fleet::new(self.grid.clone(), vehicles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    fn grid(steps: usize, hours: f64) -> TimeGrid {
        TimeGrid::new(steps, Hours(hours)).expect("a grid")
    }

    #[test]
    fn draws_lie_where_the_paper_says() {
        let fleet = Population::new(grid(18, 1.0), 2000)
            .generate(1)
            .expect("ok");
        let (mut capacities, mut needs) = (Vec::new(), Vec::new());
        for vehicle in fleet.vehicles() {
            let initial = -vehicle.energy_min_kwh()[0];
            let capacity = vehicle.energy_max_kwh()[0] + initial;
            let end = vehicle.energy_min_kwh()[17] + initial;
            assert!((25.0..50.0).contains(&capacity));
            assert!((0.0..=0.4).contains(&(initial / capacity)));
            assert!((0.6..=1.0).contains(&(end / capacity)));
            assert!((3.0..10.0).contains(&vehicle.power_max_kw()[3]));
            assert!((-10.0..-3.0).contains(&vehicle.power_min_kw()[3]));
            capacities.push(capacity);
            needs.push(end / capacity);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // Five standard errors of the mean.
        assert!((mean(&capacities) - 37.5).abs() < 5.0 * 25.0 / 12_f64.sqrt() / 2000_f64.sqrt());
        assert!((mean(&needs) - 0.8).abs() < 5.0 * 0.4 / 12_f64.sqrt() / 2000_f64.sqrt());
    }

    #[test]
    fn charging_only_shares_the_draws() {
        let both = Population::new(grid(18, 1.0), 200).generate(3).expect("ok");
        let only = Population::new(grid(18, 1.0), 200)
            .direction(Direction::ChargeOnly)
            .generate(3);
        let only = only.expect("ok");
        let mut capped = 0;
        for (a, b) in both.vehicles().iter().zip(only.vehicles()) {
            assert_eq!(b.power_max_kw()[0], a.power_max_kw()[0] / 2.0);
            assert!(b.charges_only());
            let cap = 0.9 * 18.0 * b.power_max_kw()[0];
            assert_eq!(b.energy_min_kwh()[17], a.energy_min_kwh()[17].min(cap));
            capped += usize::from(b.energy_min_kwh()[17] < a.energy_min_kwh()[17]);
        }
        assert!(capped > 0);
    }

    #[test]
    fn seeds_and_sizes() {
        let fleet = |n, seed| {
            Population::new(grid(18, 1.0), n)
                .generate(seed)
                .expect("a fleet")
        };
        assert_ne!(fleet(3, 1), fleet(3, 2));
        assert_eq!(fleet(3, 1).vehicles(), &fleet(9, 1).vehicles()[..3]);
        assert!(matches!(
            Population::new(grid(18, 1.0), 0).generate(1),
            Err(Error::EmptyFleet)
        ));
    }

    #[test]
    fn short_horizons_are_scaled_and_always_possible() {
        for (steps, hours) in [
            (1, 1.0),
            (3, 1.0),
            (8, 0.25),
            (17, 1.0),
            (96, 0.25),
            (7, 2.0),
        ] {
            for direction in [Direction::VehicleToGrid, Direction::ChargeOnly] {
                let population = Population::new(grid(steps, hours), 300).direction(direction);
                let expected = (steps as f64 * hours / 18.0).min(1.0);
                assert_eq!(population.capacity_scale(), expected);
                for seed in 0..5 {
                    assert!(population.generate(seed).is_ok());
                }
            }
        }
    }

    /// The numbers of a seed, so that a change of the generator does not pass unseen.
    #[test]
    fn the_numbers_of_a_seed() {
        let fleet = Population::paper().generate(0).expect("a fleet");
        let v = &fleet.vehicles()[24];
        let found = [
            v.power_min_kw()[0],
            v.power_max_kw()[0],
            v.energy_min_kwh()[0],
            v.energy_min_kwh()[17],
            v.energy_max_kwh()[0],
        ];
        insta::assert_snapshot!(format!("{found:.6?}"), @"[-9.975317, 4.035513, -8.899267, 19.634948, 22.145327]");
    }
}
