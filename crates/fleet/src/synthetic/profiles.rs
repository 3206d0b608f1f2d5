//! Loads of homes and energy prices, both with an evening peak.

use super::{Stream, hour_of_day, normal, random};
use crate::error::{Error, within};
use crate::load::LoadProfile;
use crate::readers::loads::NightLoads;
use crate::readers::series::{Hole, Series};
use crate::tariff::Tariff;
use crate::time_grid::TimeGrid;
use jiff::Span;
use jiff::civil::{Date, date};
use ndarray::Array2;

/// Hour of the day at which a generated day starts.
const DAY_START: f64 = 15.0;

/// Hours of a generated day that make a night's row, 15:00 to 09:00.
const NIGHT_HOURS: usize = 18;

/// kW of one home per hour from 15:00 on. The first 18 hours are the night of the benchmark; the
/// last six, 09:00 to 15:00, complete the day for grids that need it.
const HOME_KW: [f64; 24] = [
    1.5, 1.8, 2.2, 2.5, 2.6, 2.5, 2.3, 2.0, 1.6, 1.2, 0.95, 0.85, 0.8, 0.8, 0.85, 1.05, 1.3, 1.3,
    1.2, 1.1, 1.05, 1.1, 1.2, 1.35,
];

/// EUR/kWh per hour from 15:00 on; first 18 hours and last six as for [`HOME_KW`].
const PRICE_EUR_PER_KWH: [f64; 24] = [
    0.22, 0.26, 0.34, 0.42, 0.45, 0.42, 0.36, 0.30, 0.24, 0.18, 0.15, 0.13, 0.12, 0.12, 0.14, 0.18,
    0.22, 0.24, 0.22, 0.19, 0.16, 0.15, 0.16, 0.19,
];

/// First of the 184 days of a season, 1 May to 31 October.
const FIRST_DAY: Date = date(2018, 5, 1);

/// Loads of homes with evening peaks: the embedded data of the programs.
///
/// Day d = 0, 1, .. starts at 15:00; in its hour t the mean load is
///
/// ```text
/// homes · s[t] · exp(0.18 n_d) · (1 + 0.25 sin(2π (d − 20)/184)) · exp(e_t),
/// e_t = 0.6 e_{t−1} + 0.08 n_t,      e_{−1} = 0 at the start of every day,
/// ```
///
/// in kW, with s the shape of one home (2.6 kW at 19:00, 0.8 kW at 03:00), n standard normal.
///
/// ```
/// use evflex_fleet::synthetic::HouseholdLoads;
/// let nights = HouseholdLoads::new(25.0).nights(184, 7)?;
/// assert_eq!((nights.days(), nights.hours(), nights.first_hour()), (184, 18, 15));
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HouseholdLoads {
    homes: f64,
}

impl Default for HouseholdLoads {
    /// 25 homes.
    fn default() -> Self {
        Self { homes: 25.0 }
    }
}

impl HouseholdLoads {
    /// Loads of this many homes; a fraction scales the load.
    #[must_use]
    pub fn new(homes: f64) -> Self {
        Self { homes }
    }

    /// `days` nights of 18 hours from 15:00 on, dated from 1 May 2018 on (184 days are the season
    /// 1 May to 31 October).
    ///
    /// # Errors
    /// [`Error::NoRows`] for zero days; [`Error::OutOfRange`] unless the number of homes is finite
    /// and above 0; [`Error::Calendar`] for more days than the calendar has.
    pub fn nights(self, days: usize, seed: u64) -> Result<NightLoads, Error> {
        let hourly = self.hourly(days, seed)?;
        let rows = hourly
            .chunks_exact(24)
            .flat_map(|day| day[..NIGHT_HOURS].iter().copied());
        let power_kw = Array2::from_shape_vec((days, NIGHT_HOURS), rows.collect());
        let dates = (0..days)
            .map(|day| {
                let ahead = Span::new().try_days(i64::try_from(day).unwrap_or(i64::MAX));
                ahead.and_then(|span| FIRST_DAY.checked_add(span))
            })
            .collect::<Result<_, _>>()
            .map_err(|_| Error::Calendar { step: days })?;
        NightLoads::new(dates, 15, power_kw.map_err(|_| Error::NoRows)?)
    }

    /// The same loads on any grid: one load per day, `days` of them.
    ///
    /// The d-th load starts d days after the first, which starts on day 0 at the hour of the day
    /// of the grid's start (15:00 if the grid has no clock). Steps shorter than an hour get the load
    /// of their hour, others the mean. So on an hourly grid from 15:00 the loads are the rows of
    /// [`HouseholdLoads::nights`].
    ///
    /// # Errors
    /// As [`HouseholdLoads::nights`]; [`Error::TooLarge`] for a grid of more than ten million hours.
    pub fn loads(self, grid: &TimeGrid, days: usize, seed: u64) -> Result<Vec<LoadProfile>, Error> {
        windows(grid, days, |days| self.hourly(days, seed))?
            .into_iter()
            .map(|power_kw| LoadProfile::new(grid.clone(), power_kw))
            .collect()
    }

    /// Hourly loads of whole days, from 15:00 on, kW.
    fn hourly(self, days: usize, seed: u64) -> Result<Vec<f64>, Error> {
        within(
            || "the number of homes".to_owned(),
            self.homes,
            |homes| homes > 0.0,
            "finite and above 0",
        )?;
        let mut rng = random(seed, Stream::Loads);
        let mut hourly = Vec::with_capacity(days * 24);
        for day in 0..days {
            let season = 1.0 + 0.25 * (std::f64::consts::TAU * (day as f64 - 20.0) / 184.0).sin();
            let level = self.homes * season * (0.18 * normal(&mut rng)).exp();
            let mut e = 0.0;
            for shape in HOME_KW {
                e = 0.6 * e + 0.08 * normal(&mut rng);
                hourly.push(level * shape * f64::exp(e));
            }
        }
        Ok(hourly)
    }
}

/// Energy prices with an evening peak.
///
/// Day d = 0, 1, .. starts at 15:00; the price of its hour t is
///
/// ```text
/// s[t] · exp(0.25 n_t) · exp(0.15 n_d),
/// ```
///
/// with s a retail tariff from 0.12 EUR/kWh at 03:00 to 0.45 EUR/kWh at 19:00, n standard normal.
/// The tariffs are in EUR/MWh, 1000 times that.
///
/// ```
/// use evflex_fleet::synthetic::{EnergyPrices, Population};
/// let fleet = Population::paper().generate(7)?;
/// let tariffs = EnergyPrices.tariffs(fleet.grid(), 184, 7)?;
/// assert_eq!((tariffs.len(), tariffs[0].eur_per_mwh().len()), (184, 18));
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnergyPrices;

impl EnergyPrices {
    /// One tariff per day on `grid`, `days` of them; hours and days are laid on the grid as by
    /// [`HouseholdLoads::loads`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a grid of more than ten million hours.
    pub fn tariffs(self, grid: &TimeGrid, days: usize, seed: u64) -> Result<Vec<Tariff>, Error> {
        let hourly = |days: usize| {
            let mut rng = random(seed, Stream::Prices);
            let mut hourly = Vec::with_capacity(days * 24);
            for _ in 0..days {
                let level = 1000.0 * (0.15 * normal(&mut rng)).exp();
                hourly.extend(
                    PRICE_EUR_PER_KWH.map(|shape| level * shape * (0.25 * normal(&mut rng)).exp()),
                );
            }
            Ok(hourly)
        };
        windows(grid, days, hourly)?
            .into_iter()
            .map(|prices| Tariff::new(grid.clone(), prices))
            .collect()
    }
}

/// Cuts hourly days into one profile on `grid` per day.
fn windows(
    grid: &TimeGrid,
    days: usize,
    hourly: impl FnOnce(usize) -> Result<Vec<f64>, Error>,
) -> Result<Vec<Vec<f64>>, Error> {
    const LIMIT: usize = 10_000_000;
    let offset = (hour_of_day(grid, DAY_START) - DAY_START).rem_euclid(24.0);
    let extra = ((offset + grid.hours()) / 24.0).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    let total = days.saturating_add(extra as usize);
    if total.saturating_mul(24) > LIMIT {
        let what = "hours to generate".to_owned();
        return Err(Error::TooLarge {
            what,
            found: total.saturating_mul(24),
            limit: LIMIT,
        });
    }
    let values = hourly(total)?.into_iter().map(Some).collect();
    let series = Series::regular(0, 3600, values);
    let seconds = grid.step_hours() * 3600.0;
    (0..days)
        .map(|day| {
            let first = (day as f64 * 24.0 + offset) * 3600.0;
            let starts: Vec<f64> = (0..grid.steps())
                .map(|step| first + step as f64 * seconds)
                .collect();
            series
                .means(&starts, seconds)
                .map_err(|(hole, _)| match hole {
                    // Enough days were made for every grid; said for completeness.
                    Hole::Outside | Hole::Empty(_) => Error::NoRows,
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_close;
    use crate::units::Hours;

    fn grid(steps: usize, hours: f64) -> TimeGrid {
        TimeGrid::new(steps, Hours(hours)).expect("a grid")
    }

    #[test]
    fn loads_on_the_night_grid_are_the_rows() {
        let homes = HouseholdLoads::default();
        let nights = homes.nights(5, 3).expect("nights");
        assert_eq!(nights.dates()[4], date(2018, 5, 5));
        let loads = homes.loads(&grid(18, 1.0), 5, 3).expect("loads");
        for (row, load) in nights.power_kw().rows().into_iter().zip(&loads) {
            assert_eq!(row.to_vec(), load.power_kw());
        }
        // Quarter-hours repeat the hour, and double hours are means.
        let fine = homes.loads(&grid(72, 0.25), 5, 3).expect("loads");
        let coarse = homes.loads(&grid(9, 2.0), 5, 3).expect("loads");
        for day in 0..5 {
            let hours = loads[day].power_kw();
            let repeated = hours.iter().flat_map(|&load| [load; 4]);
            assert_close(fine[day].power_kw().to_vec(), repeated, 1e-9);
            let means = hours.chunks(2).map(|pair| pair.iter().sum::<f64>() / 2.0);
            assert_close(coarse[day].power_kw().to_vec(), means, 1e-9);
        }
        assert_eq!(
            homes.nights(2, 3).expect("nights").power_kw(),
            nights.power_kw().slice(ndarray::s![..2, ..])
        );
    }

    #[test]
    fn the_clock_of_the_grid_shifts_the_hours() {
        let homes = HouseholdLoads::default();
        let long = homes.loads(&grid(48, 1.0), 1, 9).expect("loads");
        let noon = grid(24, 1.0).starting_at("2024-06-01T12:00[UTC]".parse().expect("a time"));
        // 12:00 is 21 hours after 15:00 of day 0.
        let shifted = homes.loads(&noon, 1, 9).expect("loads");
        assert_close(
            shifted[0].power_kw().to_vec(),
            long[0].power_kw()[21..45].to_vec(),
            1e-9,
        );
    }

    #[test]
    fn the_formula_is_met_on_average() {
        // Medians of lognormal factors are 1: compare logarithms with the shape.
        let days = 184 * 20;
        let nights = HouseholdLoads::new(25.0).nights(days, 11).expect("nights");
        for (hour, shape) in HOME_KW[..18].iter().enumerate() {
            let mean = (0..days)
                .map(|day| {
                    let season =
                        1.0 + 0.25 * (std::f64::consts::TAU * (day as f64 - 20.0) / 184.0).sin();
                    (nights.power_kw()[[day, hour]] / (25.0 * shape * season)).ln()
                })
                .sum::<f64>()
                / days as f64;
            // Standard deviation sqrt(0.18² + 0.1²) = 0.206; five standard errors.
            assert!(
                mean.abs() < 5.0 * 0.206 / (days as f64).sqrt(),
                "hour {hour}: {mean}"
            );
        }
        let tariffs = EnergyPrices
            .tariffs(&grid(18, 1.0), days, 11)
            .expect("tariffs");
        for (hour, shape) in PRICE_EUR_PER_KWH[..18].iter().enumerate() {
            let logs = tariffs
                .iter()
                .map(|t| (t.eur_per_mwh()[hour] / (1000.0 * shape)).ln());
            let mean = logs.sum::<f64>() / days as f64;
            assert!(
                mean.abs() < 5.0 * 0.292 / (days as f64).sqrt(),
                "hour {hour}: {mean}"
            );
        }
    }

    #[test]
    fn what_cannot_be_generated_is_refused() {
        assert!(matches!(
            HouseholdLoads::default().nights(0, 1),
            Err(Error::NoRows)
        ));
        insta::assert_snapshot!(
            HouseholdLoads::new(f64::NAN).nights(1, 1).expect_err("refused"),
            @"the number of homes must be finite and above 0, found NaN"
        );
        assert!(matches!(
            EnergyPrices.tariffs(&grid(2, 1e12), 1, 1),
            Err(Error::TooLarge { .. })
        ));
    }

    /// The numbers of a seed, so that a change of the generator does not pass unseen.
    #[test]
    fn the_numbers_of_a_seed() {
        let night = HouseholdLoads::default().nights(1, 0).expect("nights");
        insta::assert_snapshot!(format!("{:.6?}", &night.power_kw().row(0).to_vec()[..3]), @"[30.063060, 37.319877, 40.899540]");
        let tariffs = EnergyPrices.tariffs(&grid(18, 1.0), 1, 0).expect("tariffs");
        insta::assert_snapshot!(format!("{:.6?}", &tariffs[0].eur_per_mwh()[..3]), @"[138.482383, 189.890604, 282.295309]");
    }
}
