//! Batteries of homes: storage that is always there and owes nobody energy.

use super::{Stream, random, uniform};
use crate::error::Error;
use crate::fleet::Fleet;
use crate::time_grid::TimeGrid;
use crate::vehicle::Vehicle;

/// Home batteries, one per household, over a whole horizon: a population of the kind that comparisons of
/// aggregation methods use (Öztürk et al., Energies 15 (2022) 2501: 20 households, a day of 24 periods), with numbers of our
/// own.
///
/// Per battery, in this order, all uniform:
///
/// | draw | range | why |
/// |---|---|---|
/// | capacity c | 5 to 15 kWh | home storage on sale |
/// | hours to fill it | 1.5 to 4 h | power c / hours, 1.25 to 10 kW, the same both ways |
/// | level at the start e | 0.2 c to 0.8 c | both directions are possible at once |
///
/// The net energy stays between −e and c − e and is at least 0 after the last step, so nothing is sold that was not bought. Doing
/// nothing is possible for every battery: that is what "no flexibility used" means for them, and what
/// [`uncontrolled`](crate::uncontrolled) answers.
///
/// ```
/// use evflex_fleet::{TimeGrid, Hours, synthetic::HomeBatteries, uncontrolled};
/// let fleet = HomeBatteries::new(TimeGrid::new(24, Hours(1.0))?, 20).generate(7)?;
/// assert_eq!((fleet.len(), fleet.steps()), (20, 24));
/// assert!(uncontrolled(&fleet)?.power_kw().iter().all(|&power| power == 0.0));
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HomeBatteries {
    grid: TimeGrid,
    households: usize,
    efficiency: f64,
}

impl HomeBatteries {
    /// One lossless battery for each of `households`.
    #[must_use]
    pub fn new(grid: TimeGrid, households: usize) -> Self {
        Self {
            grid,
            households,
            efficiency: 1.0,
        }
    }

    /// One-way efficiency of every battery, in (0, 1]. Default: 1.
    #[must_use]
    pub fn efficiency(mut self, one_way: f64) -> Self {
        self.efficiency = one_way;
        self
    }

    /// The batteries for `seed`, named `home-0`, `home-1`, ...
    ///
    /// # Errors
    /// [`Error::EmptyFleet`] for zero households; [`Error::OutOfRange`] for an efficiency outside (0, 1].
    pub fn generate(&self, seed: u64) -> Result<Fleet, Error> {
        let mut rng = random(seed, Stream::Batteries);
        let steps = self.grid.steps();
        let vehicles = (0..self.households)
            .map(|index| {
                let capacity = uniform(&mut rng, 5.0, 15.0);
                let power = capacity / uniform(&mut rng, 1.5, 4.0);
                let initial = uniform(&mut rng, 0.2, 0.8) * capacity;
                let mut energy_min = vec![-initial; steps];
                energy_min[steps - 1] = 0.0;
                Vehicle::new(
                    format!("home-{index}"),
                    vec![-power; steps],
                    vec![power; steps],
                    energy_min,
                    vec![capacity - initial; steps],
                )?
                .with_efficiency(self.efficiency)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Fleet::new(self.grid.clone(), vehicles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{uncontrolled, units::Hours};

    fn grid(steps: usize) -> TimeGrid {
        TimeGrid::new(steps, Hours(1.0)).expect("a grid")
    }

    #[test]
    fn draws_lie_in_their_ranges_and_rest_is_possible() {
        let fleet = HomeBatteries::new(grid(24), 500).generate(1).expect("ok");
        for battery in fleet.vehicles() {
            let initial = -battery.energy_min_kwh()[0];
            let capacity = battery.energy_max_kwh()[0] + initial;
            assert!((5.0..15.0).contains(&capacity));
            assert!((0.2..0.8).contains(&(initial / capacity)));
            assert!((1.5..4.0).contains(&(capacity / battery.power_max_kw()[0])));
            assert_eq!(battery.power_min_kw()[3], -battery.power_max_kw()[3]);
            assert_eq!(battery.energy_min_kwh()[23], 0.0);
        }
        let rest = uncontrolled(&fleet).expect("a schedule");
        assert!(rest.power_kw().iter().all(|&power| power == 0.0));
    }

    #[test]
    fn seeds_sizes_and_losses() {
        let fleet = |n, seed| HomeBatteries::new(grid(4), n).generate(seed).expect("ok");
        assert_ne!(fleet(3, 1), fleet(3, 2));
        assert_eq!(fleet(3, 1).vehicles(), &fleet(9, 1).vehicles()[..3]);
        let lossy = HomeBatteries::new(grid(4), 3).efficiency(0.9).generate(1);
        assert_eq!(lossy.expect("ok").vehicles()[2].efficiency(), 0.9);
        assert!(matches!(
            HomeBatteries::new(grid(4), 0).generate(1),
            Err(Error::EmptyFleet)
        ));
        assert!(matches!(
            HomeBatteries::new(grid(4), 1).efficiency(1.5).generate(1),
            Err(Error::OutOfRange { .. })
        ));
    }

    /// The numbers of a seed, so that a change of the generator does not pass unseen.
    #[test]
    fn the_numbers_of_a_seed() {
        let fleet = HomeBatteries::new(grid(24), 20).generate(0).expect("ok");
        let v = &fleet.vehicles()[19];
        let found = [
            v.power_max_kw()[0],
            v.energy_min_kwh()[0],
            v.energy_max_kwh()[0],
        ];
        insta::assert_snapshot!(format!("{found:.6?}"), @"[1.626040, -1.760736, 4.428734]");
    }
}
