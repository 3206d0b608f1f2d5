//! Stays with arrival and departure.

use super::{Stream, hour_of_day, normal, random, uniform};
use crate::clock_session::Direction;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::session::Session;
use crate::time_grid::TimeGrid;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Where the vehicles are plugged in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Site {
    /// At home over night.
    #[default]
    Home,
    /// At work during the day.
    Workplace,
}

/// One stay per vehicle, with the battery's levels.
///
/// The distributions are ours. They have the form that charging records show: arrivals at home
/// around 18:00 for the night, arrivals at work around 08:30 for a working day with a smaller group
/// around 12:45 for half of it, and needs of a day's driving.
///
/// | quantity | [`Site::Home`] | [`Site::Workplace`] |
/// |---|---|---|
/// | arrival, hour of the day | N(18, 2), 15 to 23 | 85 %: N(8.5, 0.9), 6 to 11; 15 %: N(12.75, 1), 10 to 15 |
/// | stay, h | N(13, 2), 8 to 18 | N(8, 1.5), 3 to 11; N(4, 1.2), 1.5 to 7 |
/// | largest power, kW | 3.7, 7.4 or 11, equally likely | 6.6, 7.4 or 11, equally likely |
/// | capacity, kWh | 40, 52, 60 or 77, equally likely | the same |
/// | initial level | uniform, 0.2 to 0.5 of the capacity | the same |
/// | need, kWh | 7 exp(0.6 N(0, 1)) | 10 exp(0.6 N(0, 1)) |
///
/// (N is cut at its limits.) The need is at most 0.45 of the capacity and 0.95 of what the plug
/// delivers during the stay, so every session is possible. The least level is 0.1 of the capacity.
///
/// Arrivals are rounded up and departures down to steps, at least one step apart. Each vehicle
/// stays once, on a day that is drawn among those on which its stay is inside the grid; if there is
/// none, the stay is cut to the grid on the day that keeps most of it. A grid without a clock
/// starts at 15:00 for [`Site::Home`] and at 06:00 for [`Site::Workplace`].
///
/// ```
/// use evflex_fleet::{synthetic::{Site, SyntheticSessions}, Direction, Hours, TimeGrid};
/// let grid = TimeGrid::new(96, Hours(0.25))?.starting_at("2024-05-06T12:00[Europe/Oslo]".parse()?);
/// let fleet = SyntheticSessions::new(Site::Home, 40)
///     .direction(Direction::VehicleToGrid)
///     .fleet(&grid, 7)?;
/// assert_eq!(fleet.len(), 40);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticSessions {
    site: Site,
    vehicles: usize,
    direction: Direction,
}

impl SyntheticSessions {
    /// Sessions of this many vehicles, charging only.
    #[must_use]
    pub fn new(site: Site, vehicles: usize) -> Self {
        Self {
            site,
            vehicles,
            direction: Direction::ChargeOnly,
        }
    }

    /// Whether the vehicles may discharge, with the power with which they charge. Default: no.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// The sessions for `seed`, named `ev-0`, `ev-1`, ..., lossless.
    ///
    /// # Errors
    /// [`Error::ShortGrid`] if a stay has not one whole step inside the grid.
    pub fn generate(&self, grid: &TimeGrid, seed: u64) -> Result<Vec<Session>, Error> {
        let mut rng = random(seed, Stream::Sessions);
        (0..self.vehicles)
            .map(|index| self.session(index, grid, &mut rng))
            .collect()
    }

    /// The fleet of [`SyntheticSessions::generate`].
    ///
    /// # Errors
    /// As there; [`Error::EmptyFleet`] for zero vehicles.
    pub fn fleet(&self, grid: &TimeGrid, seed: u64) -> Result<Fleet, Error> {
        let sessions = self.generate(grid, seed)?;
        let vehicles = sessions
            .iter()
            .map(|session| session.to_vehicle(grid))
            .collect::<Result<_, _>>()?;
        Fleet::new(grid.clone(), vehicles)
    }

    fn session(
        &self,
        index: usize,
        grid: &TimeGrid,
        rng: &mut ChaCha8Rng,
    ) -> Result<Session, Error> {
        // All draws first, and always the same number of them.
        let stay = Stay::draw(self.site, rng);
        let (powers, usual_need) = match self.site {
            Site::Home => ([3.7, 7.4, 11.0], 7.0),
            Site::Workplace => ([6.6, 7.4, 11.0], 10.0),
        };
        let power = pick(rng, powers);
        let capacity = pick(rng, [40.0, 52.0, 60.0, 77.0]);
        let initial = uniform(rng, 0.2, 0.5) * capacity;
        let need = usual_need * (0.6 * normal(rng)).exp();
        let day_draw = rng.random::<f64>();

        let (arrival_step, departure_step) = stay.on(grid, self.site, day_draw)?;
        let hours = (departure_step - arrival_step) as f64 * grid.step_hours();
        let need = need.min(0.45 * capacity).min(0.95 * power * hours);
        Ok(Session {
            id: format!("ev-{index}"),
            arrival_step,
            departure_step,
            capacity_kwh: capacity,
            initial_kwh: initial,
            required_kwh: initial + need,
            minimum_kwh: 0.1 * capacity,
            charge_max_kw: power,
            discharge_max_kw: match self.direction {
                Direction::ChargeOnly => 0.0,
                Direction::VehicleToGrid => power,
            },
            efficiency: 1.0,
        })
    }
}

/// One of a few values, equally likely.
fn pick<const N: usize>(rng: &mut ChaCha8Rng, values: [f64; N]) -> f64 {
    values[rng.random_range(0..N)]
}

/// Arrival as hour of the day, and length in hours.
struct Stay {
    arrival: f64,
    hours: f64,
}

impl Stay {
    fn draw(site: Site, rng: &mut ChaCha8Rng) -> Self {
        let group = rng.random::<f64>();
        let (arrival, hours) = (normal(rng), normal(rng));
        match site {
            Site::Home => Self {
                arrival: (18.0 + 2.0 * arrival).clamp(15.0, 23.0),
                hours: (13.0 + 2.0 * hours).clamp(8.0, 18.0),
            },
            Site::Workplace if group < 0.85 => Self {
                arrival: (8.5 + 0.9 * arrival).clamp(6.0, 11.0),
                hours: (8.0 + 1.5 * hours).clamp(3.0, 11.0),
            },
            Site::Workplace => Self {
                arrival: (12.75 + arrival).clamp(10.0, 15.0),
                hours: (4.0 + 1.2 * hours).clamp(1.5, 7.0),
            },
        }
    }

    /// First step with power and first step without, on a day that `draw` in [0, 1) chooses.
    fn on(&self, grid: &TimeGrid, site: Site, draw: f64) -> Result<(usize, usize), Error> {
        let default = match site {
            Site::Home => 15.0,
            Site::Workplace => 6.0,
        };
        let (delta, steps) = (grid.step_hours(), grid.steps() as f64);
        // Hours from the start of the grid to the first arrival at or after the day before.
        let first = self.arrival - hour_of_day(grid, default) - 24.0;
        // Whole steps at the plug, counted from the start of the grid; negative before it.
        let window = |day: f64| {
            let arrival = first + 24.0 * day;
            let from = (arrival / delta - Self::EDGE).ceil();
            let to = ((arrival + self.hours) / delta + Self::EDGE)
                .floor()
                .max(from + 1.0);
            (from, to)
        };
        // The days on which the stay is inside are consecutive.
        let is_inside = |day: f64| {
            let (from, to) = window(day);
            from >= 0.0 && to <= steps
        };
        // The first is at most two days after the day before the grid, the last is computed, so that
        // long grids need no search.
        let first_inside = (0..3).map(f64::from).find(|&day| is_inside(day));
        let day = if let Some(begin) = first_inside {
            let mut end = (((steps * delta) - first - self.hours) / 24.0)
                .floor()
                .max(begin);
            while end > begin && !is_inside(end) {
                end -= 1.0;
            }
            begin + (draw * (end - begin + 1.0)).floor().min(end - begin)
        } else {
            let kept = |day: f64| {
                let (from, to) = window(day);
                to.min(steps) - from.max(0.0)
            };
            [0.0, 1.0, 2.0, 3.0].into_iter().fold(0.0, |best, day| {
                if kept(day) > kept(best) { day } else { best }
            })
        };
        let (from, to) = window(day);
        let (from, to) = (from.max(0.0), to.min(steps));
        if to - from < 1.0 {
            return Err(Error::ShortGrid {
                what: "a stay with arrival and departure",
                hours: grid.hours(),
                needed_hours: 24.0,
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in the grid"
        )]
        Ok((from as usize, to as usize))
    }

    /// How near to the start of a step, in steps, a time counts as equal to it.
    const EDGE: f64 = 1e-9;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    fn grid(start: &str, steps: usize, hours: f64) -> TimeGrid {
        let start = start.parse().expect("a clock time");
        TimeGrid::new(steps, Hours(hours))
            .expect("a grid")
            .starting_at(start)
    }

    #[test]
    fn home_stays_are_nights() {
        let grid = grid("2024-05-06T12:00[Europe/Oslo]", 96, 0.25);
        let sessions = SyntheticSessions::new(Site::Home, 500)
            .generate(&grid, 1)
            .expect("ok");
        for session in &sessions {
            let arrival = 12.0 + session.arrival_step as f64 * 0.25;
            assert!((15.0..=23.0).contains(&arrival), "{arrival}");
            assert!(session.required_kwh > session.initial_kwh);
            assert_eq!(session.discharge_max_kw, 0.0);
        }
        let mean = sessions
            .iter()
            .map(|s| s.arrival_step as f64 * 0.25 + 12.0)
            .sum::<f64>()
            / 500.0;
        assert!((mean - 18.1).abs() < 0.5, "{mean}");
    }

    #[test]
    fn a_week_at_work_uses_all_days() {
        let grid = grid("2024-05-06T00:00[Europe/Oslo]", 168, 1.0);
        let sessions = SyntheticSessions::new(Site::Workplace, 700)
            .generate(&grid, 2)
            .expect("ok");
        let mut per_day = [0; 7];
        for session in &sessions {
            per_day[session.arrival_step / 24] += 1;
            assert!((6..=15).contains(&(session.arrival_step % 24)));
        }
        assert!(per_day.iter().all(|&count| count > 60), "{per_day:?}");
    }

    #[test]
    fn every_fleet_is_possible() {
        let grids = [
            TimeGrid::new(18, Hours(1.0)).expect("a grid"),
            TimeGrid::new(24, Hours(1.0)).expect("a grid"),
            grid("2024-03-30T15:00[Europe/Oslo]", 48, 0.5),
            grid("2024-05-06T00:00[Europe/Oslo]", 672, 0.25),
            grid("2024-05-06T00:00[Europe/Oslo]", 8, 3.0),
            grid("2024-05-06T00:00[Europe/Oslo]", 14, 12.0),
        ];
        for grid in &grids {
            for site in [Site::Home, Site::Workplace] {
                for direction in [Direction::ChargeOnly, Direction::VehicleToGrid] {
                    let model = SyntheticSessions::new(site, 100).direction(direction);
                    let fleet = model.fleet(grid, 5).expect("a fleet");
                    assert_eq!(fleet, model.fleet(grid, 5).expect("a fleet"));
                }
            }
        }
    }

    #[test]
    fn a_grid_that_misses_the_stays_is_refused() {
        let night = grid("2024-05-06T00:00[Europe/Oslo]", 4, 1.0);
        insta::assert_snapshot!(
            SyntheticSessions::new(Site::Workplace, 1).fleet(&night, 1).expect_err("refused"),
            @"a grid of 4 h is too short for a stay with arrival and departure; at least 24 h are needed"
        );
        assert!(matches!(
            SyntheticSessions::new(Site::Home, 0).fleet(&night, 1),
            Err(Error::EmptyFleet)
        ));
    }
}
