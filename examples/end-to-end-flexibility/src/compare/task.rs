//! The three decisions of the comparison, and the days that they are made on.

use std::fmt;
use std::path::Path;

use evflex::fleet::readers::loads::NightLoads;
use evflex::fleet::synthetic::{EnergyPrices, HouseholdLoads};
use evflex::fleet::{Direction, TimeGrid};
use evflex::flexibility::Objective;
use ndarray::Array1;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;

use super::{CompareConfig, Split};
use crate::error::Error;
use crate::populations::SEASON_DAYS;

/// Test days of a season of [`SEASON_DAYS`] days, and as many for validation; the others train.
pub const TEST_DAYS: usize = 37;

/// A decision with the vehicles that it is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Least peak of load and fleet; the vehicles may feed back (`thanvantri2025`, section 5).
    PeakV2g,
    /// Least cost of energy; the vehicles may feed back.
    EnergyCost,
    /// Least peak of load and fleet; the vehicles only charge, with half the power.
    PeakChargingOnly,
}

impl Task {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::PeakV2g, Self::EnergyCost, Self::PeakChargingOnly];

    /// Unit of its cost.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::EnergyCost => "EUR/day",
            _ => "kW",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PeakV2g => "peak, V2G",
            Self::EnergyCost => "energy cost, V2G",
            Self::PeakChargingOnly => "peak, charging only",
        }
    }

    /// What the vehicles of a generated population may do.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::PeakChargingOnly => Direction::ChargeOnly,
            _ => Direction::VehicleToGrid,
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeakV2g => "peak-v2g",
            Self::EnergyCost => "energy-cost",
            Self::PeakChargingOnly => "peak-charging-only",
        })
    }
}

/// Loads and prices of a season, and which days train and which test.
#[derive(Clone, Debug)]
pub struct Days {
    /// One load per day, kW.
    pub loads_kw: Vec<Array1<f64>>,
    /// One price profile per day, EUR/MWh.
    pub prices_eur_per_mwh: Vec<Array1<f64>>,
    /// Where the loads come from.
    pub source: String,
    /// Days that sets may learn from.
    pub train: Vec<usize>,
    /// Days kept for choosing between trained sets; no method here uses them.
    pub validation: Vec<usize>,
    /// Days that costs are reported for.
    pub test: Vec<usize>,
}

impl Days {
    /// The season of the run on `grid`: embedded loads, or those of `--loads` from 1 May to 31 October.
    ///
    /// # Errors
    /// [`Error::Input`] and [`Error::Option`] for loads that cannot be used.
    pub fn new(config: &CompareConfig, grid: &TimeGrid) -> Result<Self, Error> {
        let seed = config.run.seed;
        let (loads_kw, source): (Vec<Array1<f64>>, String) = if let Some(path) = &config.loads {
            (season(path, grid)?, file_name(path))
        } else {
            let loads = HouseholdLoads::default()
                .loads(grid, SEASON_DAYS, seed)
                .map_err(Error::computing("the embedded loads"))?;
            let loads = loads.iter().map(|load| load.power_kw().to_vec().into());
            (loads.collect(), "embedded loads of 25 homes".to_owned())
        };
        let count = loads_kw.len();
        let prices = EnergyPrices
            .tariffs(grid, count, seed)
            .map_err(Error::computing("the embedded prices"))?;
        let (train, validation, test) = split(count, config.split, seed);
        let test_days = config.days.map_or(test.len(), std::num::NonZeroUsize::get);
        if test_days > test.len() {
            return Err(Error::option(
                "--days",
                format!(
                    "{test_days} are more than the {} test days of {count}",
                    test.len()
                ),
            ));
        }
        let train_days = config
            .train_days
            .map_or(train.len(), std::num::NonZeroUsize::get);
        if train_days > train.len() {
            return Err(Error::option(
                "--train-days",
                format!(
                    "{train_days} are more than the {} training days of {count}",
                    train.len()
                ),
            ));
        }
        Ok(Self {
            loads_kw,
            prices_eur_per_mwh: prices
                .iter()
                .map(|tariff| tariff.eur_per_mwh().to_vec().into())
                .collect(),
            source,
            train: train[..train_days].to_vec(),
            validation,
            test: test[..test_days].to_vec(),
        })
    }

    /// The decision of `task` on day `day`.
    #[must_use]
    pub fn objective(&self, task: Task, day: usize) -> Objective {
        match task {
            Task::EnergyCost => Objective::Energy {
                price_eur_per_mwh: self.prices_eur_per_mwh[day].clone(),
            },
            _ => Objective::Peak {
                load_kw: self.loads_kw[day].clone(),
            },
        }
    }

    /// The decisions of `task` on the training days.
    #[must_use]
    pub fn training(&self, task: Task) -> Vec<Objective> {
        self.train
            .iter()
            .map(|&day| self.objective(task, day))
            .collect()
    }
}

/// Days that train, validate and test: 110, 37 and 37 of 184, and in these proportions otherwise.
fn split(count: usize, rule: Split, seed: u64) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let mut days: Vec<usize> = (0..count).collect();
    if rule == Split::Shuffled {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(SPLIT_STREAM);
        days.shuffle(&mut rng);
    }
    let held = (count * TEST_DAYS).div_ceil(SEASON_DAYS).min(count / 3);
    let test = days.split_off(count - held);
    let validation = days.split_off(count - 2 * held);
    // The order of days means nothing; that of time is easier to read.
    let sorted = |mut days: Vec<usize>| {
        days.sort_unstable();
        days
    };
    (sorted(days), sorted(validation), sorted(test))
}

/// Streams of the random numbers of this program, apart from those of the generators of `evflex-fleet`.
const SPLIT_STREAM: u64 = 1001;
const DIRECTION_STREAM: u64 = 1002;

/// Price profiles without any shape: independent standard normal entries, `count` of them.
pub(super) fn random_directions(steps: usize, count: usize, seed: u64) -> Vec<Array1<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(DIRECTION_STREAM);
    (0..count)
        .map(|_| Array1::from_shape_fn(steps, |_| rng.sample(StandardNormal)))
        .collect()
}

/// The nights of a file from 1 May to 31 October.
fn season(path: &Path, grid: &TimeGrid) -> Result<Vec<Array1<f64>>, Error> {
    let nights = NightLoads::read(path).map_err(Error::input("--loads"))?;
    #[expect(clippy::float_cmp, reason = "an hour is an hour")]
    let hourly = grid.step_hours() == 1.0;
    if nights.hours() != grid.steps() || !hourly {
        return Err(Error::option(
            "--loads",
            format!(
                "{} has rows of {} hours, the vehicles have {} steps of {} h; they have to agree",
                path.display(),
                nights.hours(),
                grid.steps(),
                grid.step_hours()
            ),
        ));
    }
    let loads: Vec<Array1<f64>> = nights
        .dates()
        .iter()
        .zip(nights.power_kw().rows())
        .filter(|(date, _)| (5..=10).contains(&date.month()))
        .map(|(_, row)| row.to_owned())
        .collect();
    if loads.len() < 3 {
        return Err(Error::option(
            "--loads",
            format!(
                "{} has {} nights from 1 May to 31 October; at least 3 are needed",
                path.display(),
                loads.len()
            ),
        ));
    }
    Ok(loads)
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_disjoint_complete_and_of_the_stated_sizes() {
        for rule in [Split::Shuffled, Split::Chronological] {
            for (count, held) in [(184, 37), (3, 1), (10, 3), (364, 74)] {
                let (train, validation, test) = split(count, rule, 5);
                assert_eq!((validation.len(), test.len()), (held, held), "{count}");
                let mut all = [train, validation, test].concat();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
        assert_eq!(split(184, Split::Chronological, 1).2[0], 147);
        assert_ne!(
            split(184, Split::Shuffled, 1),
            split(184, Split::Shuffled, 2)
        );
    }
}
