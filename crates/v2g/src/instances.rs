//! Seeded nights for experiments, and nights from market data.
//!
//! The paper gives neither volumes nor the cost of surplus, so these are ours. With `F` the energy that the fleet moves in
//! one step at full power, `h` one standard normal draw per hour, `a` an autoregressive noise per step (factor 0.7,
//! standard deviation 0.5) and `w` a ramp from 1.5 to −1.5 within the hour with a random sign per hour,
//!
//! | night | volume per step |
//! |---|---|
//! | [`moderate`] | `F (0.1 + 0.45 h + 0.3 a + 0.15 w)` |
//! | [`calibrated`] | `F (1.2 + 1.6 h + 0.6 a + 0.4 w)`, near the cost level of `agliardi2024` |
//! | [`alternating`] | `0.95 F (−1)^k U(0.8, 1)`, which no switching rule likes |
//! | [`real`] | forecast errors of wind and sun, and what the market paid |

use crate::error::Error;
use crate::problem::{SchedulingProblem, SchedulingVehicle};
use crate::rule::{Level, SwitchRule, Switching};
use evflex_fleet::readers::prices::PriceSeries;
use evflex_fleet::{Hours, TimeGrid};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What all nights have: fleet size, horizon and level. The fleet is that of `agliardi2024`: 10 to 100 kWh, 10 kW, initial
/// levels U(10, 50), final levels U(70, 100); at level 0 all start at 30 and end at 80 kWh. The group limit is 90 % of the
/// fleet's power, and vehicles switch at most once an hour (rule A).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Night {
    vehicles: usize,
    steps: usize,
    level: Level,
}

/// Steps per hour of all nights.
const PER_HOUR: usize = 4;
/// Largest power of a vehicle, kW.
const POWER_KW: f64 = 10.0;
/// Group limit as a share of the fleet's power.
const LIMIT: f64 = 0.9;

/// Streams of random numbers: the vehicles for a seed do not change with the kind of night.
#[derive(Clone, Copy)]
enum Stream {
    Vehicles = 1,
    Prices = 2,
    Volumes = 3,
}

impl Night {
    /// A night of 48 quarter-hours at level 3.
    #[must_use]
    pub fn new(vehicles: usize) -> Self {
        Self {
            vehicles,
            steps: 48,
            level: Level::Three,
        }
    }

    /// Another number of quarter-hours. Final levels are those of 48 steps as far as they can be reached.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Another level.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn step_hours() -> f64 {
        1.0 / PER_HOUR as f64
    }

    /// Energy of the fleet per step at full power, kWh.
    fn fleet_kwh(&self) -> f64 {
        self.vehicles as f64 * POWER_KW * Self::step_hours()
    }

    /// The vehicles for a seed; the first ones do not change when there are more.
    #[must_use]
    pub fn fleet(&self, seed: u64) -> Vec<SchedulingVehicle> {
        let mut rng = random(seed, Stream::Vehicles);
        // What the group limit lets through in the horizon, with some room.
        let reach = 0.8 * LIMIT * POWER_KW * self.steps as f64 * Self::step_hours();
        (0..self.vehicles)
            .map(|index| {
                let (initial, final_level) = (rng.random::<f64>(), rng.random::<f64>());
                let (initial, wanted) = if self.level == Level::Zero {
                    (30.0, 80.0)
                } else {
                    (10.0 + 40.0 * initial, 70.0 + 30.0 * final_level)
                };
                SchedulingVehicle::paper(
                    format!("ev-{index}"),
                    initial,
                    wanted.min(initial + reach),
                )
            })
            .collect()
    }

    fn problem(
        &self,
        grid: TimeGrid,
        price: Vec<f64>,
        surplus_cost: Vec<f64>,
        volume: Vec<f64>,
        seed: u64,
    ) -> Result<SchedulingProblem, Error> {
        SchedulingProblem::builder(grid)
            .level(self.level)
            .price_eur_per_kwh(price)
            .surplus_cost_eur_per_kwh(surplus_cost)
            .volume_kwh(volume)
            .vehicles(self.fleet(seed))
            .group_limit_kw(LIMIT * POWER_KW * self.vehicles as f64)
            .switching(Switching {
                rule: SwitchRule::TwoMode,
                gap_steps: PER_HOUR,
            })
            .build()
    }

    fn with_volume(
        &self,
        seed: u64,
        volume: impl FnOnce(&mut ChaCha8Rng) -> Vec<f64>,
    ) -> Result<SchedulingProblem, Error> {
        let grid = TimeGrid::new(self.steps, Hours(Self::step_hours()))?;
        let price = self.prices(seed);
        let mean = price.iter().sum::<f64>() / price.len() as f64;
        let surplus_cost = vec![0.5 * mean; self.steps];
        let volume = volume(&mut random(seed, Stream::Volumes));
        self.problem(grid, price, surplus_cost, volume, seed)
    }

    /// Prices that fall from about 55 to about 30 EUR/MWh over the night, with a ramp within each hour and noise.
    fn prices(&self, seed: u64) -> Vec<f64> {
        let mut rng = random(seed, Stream::Prices);
        let ramps = self.ramps(&mut rng);
        (0..self.steps)
            .map(|k| {
                let share = k as f64 / self.steps as f64;
                let noise: f64 = rng.sample(rand_distr::StandardNormal);
                let price = 55.0 - 25.0 * share.sqrt() + 5.0 * ramps[k] + 4.0 * noise;
                price.max(5.0) / 1000.0
            })
            .collect()
    }

    /// The ramp within each hour, with a random sign.
    fn ramps(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut sign = 1.0;
        (0..self.steps)
            .map(|k| {
                if k % PER_HOUR == 0 {
                    sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
                }
                sign * (1.5 - (k % PER_HOUR) as f64)
            })
            .collect()
    }

    /// `F (mean + hourly h + noise a + ramp w)`.
    fn volumes(&self, rng: &mut ChaCha8Rng, [mean, hourly, noise, ramp]: [f64; 4]) -> Vec<f64> {
        let ramps = self.ramps(rng);
        let mut level = 0.0;
        let mut drift: f64 = 0.5 * rng.sample::<f64, _>(rand_distr::StandardNormal);
        (0..self.steps)
            .map(|k| {
                if k % PER_HOUR == 0 {
                    level = rng.sample(rand_distr::StandardNormal);
                }
                let volume = mean + hourly * level + noise * drift + ramp * ramps[k];
                // The standard deviation stays 0.5.
                let fresh: f64 = rng.sample(rand_distr::StandardNormal);
                drift = 0.7 * drift + 0.5 * (1.0 - 0.7 * 0.7_f64).sqrt() * fresh;
                self.fleet_kwh() * volume
            })
            .collect()
    }
}

fn random(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

/// A night whose volumes the fleet can mostly shift.
///
/// # Errors
/// Those of [`build`](crate::SchedulingProblemBuilder::build), for fleets of no vehicle or horizons of no step.
pub fn moderate(night: &Night, seed: u64) -> Result<SchedulingProblem, Error> {
    night.with_volume(seed, |rng| night.volumes(rng, [0.1, 0.45, 0.3, 0.15]))
}

/// A night whose volumes are larger than the fleet.
///
/// # Errors
/// As [`moderate`].
pub fn calibrated(night: &Night, seed: u64) -> Result<SchedulingProblem, Error> {
    night.with_volume(seed, |rng| night.volumes(rng, [1.2, 1.6, 0.6, 0.4]))
}

/// A night of shortage and surplus in turn, against the switching rule.
///
/// # Errors
/// As [`moderate`].
pub fn alternating(night: &Night, seed: u64) -> Result<SchedulingProblem, Error> {
    night.with_volume(seed, |rng| {
        (0..night.steps)
            .map(|k| {
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                0.95 * night.fleet_kwh() * sign * (0.8 + 0.2 * rng.random::<f64>())
            })
            .collect()
    })
}

/// The standard deviation of the German shortfall of 2019 per quarter-hour in `MWh`, to which volumes are scaled.
const SHORTFALL_MWH: f64 = 459.0;

/// A night of market data: prices of the steps in EUR/MWh, and a national shortfall in `MWh` per step that is scaled to
/// the fleet, `v = shortfall · 0.6 F / 459`; `σ = max(20, 1 − ρ)` EUR/MWh. `start` is a clock time such as
/// `2019-03-01T17:00[UTC]`. Both series are read from CSV with the column `timestamp_utc`.
///
/// # Errors
/// [`Error::Input`] where the series do not cover the night or have no value; otherwise as [`moderate`].
pub fn real(
    night: &Night,
    start: jiff::Zoned,
    price: &PriceSeries,
    shortfall: &PriceSeries,
    seed: u64,
) -> Result<SchedulingProblem, Error> {
    let grid = TimeGrid::new(night.steps, Hours(Night::step_hours()))?.starting_at(start);
    let price = price.tariff(&grid)?;
    let shortfall = shortfall.tariff(&grid)?; // a mean per step, whatever its unit
    let price = price.eur_per_mwh();
    let surplus_cost = price.iter().map(|p| (1.0 - p).max(20.0) / 1000.0).collect();
    let scale = 0.6 * night.fleet_kwh() / SHORTFALL_MWH;
    let volume = shortfall.eur_per_mwh().iter().map(|s| s * scale).collect();
    let price = price.iter().map(|p| p / 1000.0).collect();
    night.problem(grid, price, surplus_cost, volume, seed)
}
