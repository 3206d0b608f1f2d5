//! Seeded generators of fleets, loads, prices and sessions.
//!
//! Every generator takes its seed from the caller and draws from the stream cipher `ChaCha8`, each
//! kind of data from a stream of its own: the same seed gives the same numbers on every machine, and the
//! loads for a seed are not the fleet's draws in disguise. The draws of the first vehicles and days
//! do not change when more are asked for.
//!
//! | generator | gives | source |
//! |---|---|---|
//! | [`Population`] | vehicles plugged in over the whole horizon | `thanvantri2025`, Appendix C |
//! | [`HomeBatteries`] | batteries of homes | ours |
//! | [`HouseholdLoads`] | loads of homes with evening peaks | ours |
//! | [`EnergyPrices`] | prices with an evening peak | ours |
//! | [`SyntheticSessions`] | stays with arrival and departure, at home or at work | ours |
//!
//! Hours of the day are meant on the local clock of the grid's start. They are counted in elapsed
//! time from there, so a change of the clocks within the grid shifts them by an hour.

mod batteries;
mod population;
mod profiles;
mod sessions;

pub use batteries::HomeBatteries;
pub use population::Population;
pub use profiles::{EnergyPrices, HouseholdLoads};
pub use sessions::{Site, SyntheticSessions};

use crate::error::Error;
use crate::fleet::Fleet;
use crate::time_grid::TimeGrid;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The fleet of `thanvantri2025`, Appendix C, for `seed`: 25 vehicles, 18 hours, charging and
/// discharging. Short for [`Population::paper`] and [`Population::generate`].
///
/// # Errors
/// None for this size; the type is that of [`Population::generate`].
pub fn appendix_c(seed: u64) -> Result<Fleet, Error> {
    Population::paper().generate(seed)
}

/// The stream of each kind of data.
#[derive(Clone, Copy)]
enum Stream {
    Population = 1,
    Loads = 2,
    Prices = 3,
    Sessions = 4,
    Batteries = 5,
}

/// The random numbers of one kind of data.
fn random(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

/// A uniform draw from `[low, high)`.
fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// A standard normal draw.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(rand_distr::StandardNormal)
}

/// The local hour of the day, 0 to 24, at which a grid starts; `default` without a clock.
fn hour_of_day(grid: &TimeGrid, default: f64) -> f64 {
    grid.start().map_or(default, |start| {
        f64::from(start.hour())
            + f64::from(start.minute()) / 60.0
            + (f64::from(start.second()) + f64::from(start.subsec_nanosecond()) * 1e-9) / 3600.0
    })
}
