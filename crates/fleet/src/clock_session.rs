//! A vehicle's stay at a plug, in clock times, as charging stations record it.

use crate::error::{Error, within};
use crate::fleet::Fleet;
use crate::time_grid::TimeGrid;
use crate::vehicle::Vehicle;
use jiff::Zoned;
use serde::{Deserialize, Serialize};

/// Whether a vehicle may feed the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Direction {
    /// Charging only (V1G).
    #[default]
    ChargeOnly,
    /// Charging and discharging with the same largest power (V2G).
    VehicleToGrid,
}

/// What becomes of sessions that are not wholly inside the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Edges {
    /// A session that is not wholly inside is an error: right for data of one's own.
    #[default]
    Refuse,
    /// It is left out; those that reach into the grid are listed.
    LeaveOut,
    /// It is cut to its part inside, with the share of the energy that the part has of its time.
    /// That share can be delivered whenever the whole could. Listed.
    Cut,
}

/// One stay at a plug in clock times.
///
/// The battery's levels are not known. By convention the session starts with 0 kWh and must have
/// received exactly `energy_kwh` at departure; with [`Direction::VehicleToGrid`] it may give back,
/// before departure, what it has received.
///
/// ```
/// use evflex_fleet::{ClockSession, Direction, Hours, TimeGrid};
/// let grid = TimeGrid::new(4, Hours(1.0))?
///     .starting_at("2019-05-06T08:00[America/Los_Angeles]".parse()?);
/// let session = ClockSession {
///     id: "s-1".into(),
///     arrival: "2019-05-06T08:15[America/Los_Angeles]".parse()?,
///     departure: "2019-05-06T10:30[America/Los_Angeles]".parse()?,
///     energy_kwh: 9.0,
///     max_power_kw: 6.0,
/// };
/// let vehicle = session.to_vehicle(&grid, Direction::ChargeOnly)?;
/// // The limit of a step is the power times the share of the step at the plug.
/// assert_eq!(vehicle.power_max_kw(), [4.5, 6.0, 3.0, 0.0]);
/// assert_eq!(vehicle.energy_min_kwh(), [0.0, 0.0, 9.0, 9.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSession {
    /// Name of the session.
    pub id: String,
    /// When the vehicle is plugged in.
    pub arrival: Zoned,
    /// When it is unplugged.
    pub departure: Zoned,
    /// Energy that it takes between arrival and departure, kWh.
    pub energy_kwh: f64,
    /// Largest power of plug and vehicle, kW.
    pub max_power_kw: f64,
}

impl ClockSession {
    /// How far, as a fraction, the energy may exceed what the plug can deliver before the session
    /// is refused: room for rounding. The excess is dropped.
    pub const ENERGY_TOLERANCE: f64 = 1e-9;

    /// Largest power that is believed, kW; more is a number in watts.
    pub const LARGEST_POWER_KW: f64 = 5000.0;

    /// How near to the start of a step, as a fraction of a step, a clock time counts as equal to it.
    pub const BOUNDARY_TOLERANCE: f64 = 1e-9;

    /// Elapsed time at the plug, h; the clocks may change in between.
    #[must_use]
    pub fn hours(&self) -> f64 {
        self.departure.duration_since(&self.arrival).as_secs_f64() / 3600.0
    }

    /// Checks the session on its own.
    ///
    /// # Errors
    /// [`Error::DepartureBeforeArrival`]; [`Error::OutOfRange`] for a negative energy, a power that
    /// is not positive or above [`ClockSession::LARGEST_POWER_KW`], NaN;
    /// [`Error::Undeliverable`] if `energy_kwh` exceeds power times time.
    pub fn check(&self) -> Result<(), Error> {
        if self.departure <= self.arrival {
            return Err(Error::DepartureBeforeArrival {
                id: self.id.clone(),
                arrival: clock(&self.arrival),
                departure: clock(&self.departure),
            });
        }
        let name = |key: &str| format!("{key} of session `{}`", self.id);
        within(
            || name("energy_kwh"),
            self.energy_kwh,
            |v| v >= 0.0,
            "finite and at least 0",
        )?;
        within(
            || name("max_power_kw"),
            self.max_power_kw,
            |v| v > 0.0 && v <= Self::LARGEST_POWER_KW,
            "above 0 and at most 5000 (kW, not W)",
        )?;
        let deliverable = self.max_power_kw * self.hours();
        if self.energy_kwh > deliverable * (1.0 + Self::ENERGY_TOLERANCE) {
            return Err(Error::Undeliverable {
                id: self.id.clone(),
                energy_kwh: self.energy_kwh,
                max_power_kw: self.max_power_kw,
                hours: self.hours(),
                deliverable_kwh: deliverable,
            });
        }
        Ok(())
    }

    /// The bounds of this session over `grid`, by the share of each step at the plug.
    ///
    /// With `w[t]` the share of step t between arrival and departure, P = `max_power_kw` and
    /// E = `energy_kwh`:
    ///
    /// | bound | value |
    /// |---|---|
    /// | `power_max_kw[t]` | `P w[t]` |
    /// | `power_min_kw[t]` | 0, or `−P w[t]` with [`Direction::VehicleToGrid`] |
    /// | `energy_min_kwh[t]` | 0; from the step in which it departs on, E |
    /// | `energy_max_kwh[t]` | E |
    ///
    /// Since `Σ δ P w[t]` is P × time, no session that could be served in continuous time becomes
    /// impossible.
    ///
    /// # Errors
    /// [`Error::NoStart`] for a grid without clock times; [`Error::OutsideGrid`] if the session is
    /// not wholly inside (see [`ClockSession::cut_to`]); what [`ClockSession::check`] says.
    pub fn to_vehicle(&self, grid: &TimeGrid, direction: Direction) -> Result<Vehicle, Error> {
        self.check()?;
        let (start, end) = ends(grid)?;
        if self.arrival < start || self.departure > end {
            return Err(Error::OutsideGrid {
                id: self.id.clone(),
                arrival: clock(&self.arrival),
                departure: clock(&self.departure),
                grid: format!("from {} to {}", clock(&start), clock(&end)),
            });
        }
        let (steps, delta) = (grid.steps(), grid.step_hours());
        // Arrival and departure in steps since the start of the grid.
        let in_steps = |t: &Zoned| {
            let exact = t.duration_since(&start).as_secs_f64() / 3600.0 / delta;
            let nearest = exact.round();
            // A departure at the start of a step must not leave a sliver of power in it.
            let near = (exact - nearest).abs() < Self::BOUNDARY_TOLERANCE;
            (if near { nearest } else { exact }).min(steps as f64)
        };
        let (arrival, departure) = (in_steps(&self.arrival), in_steps(&self.departure));
        let power_max: Vec<f64> = (0..steps)
            .map(|step| {
                let (from, to) = (step as f64, step as f64 + 1.0);
                let share = (departure.min(to) - arrival.max(from)).clamp(0.0, 1.0);
                self.max_power_kw * share
            })
            .collect();
        let power_min = match direction {
            Direction::ChargeOnly => vec![0.0; steps],
            // `0 - x` instead of `-x`: an absent vehicle has the bound 0, not -0.
            Direction::VehicleToGrid => power_max.iter().map(|power| 0.0 - power).collect(),
        };
        // Rounding in the shares must not make a session impossible that charges all the time.
        let deliverable: f64 = power_max.iter().fold(0.0, |sum, power| sum + delta * power);
        let energy = self.energy_kwh.min(deliverable);
        // Last step with time at the plug; a session that ends where a step starts ends before it.
        let last = power_max
            .iter()
            .rposition(|&power| power > 0.0)
            .unwrap_or(steps - 1);
        let mut energy_min = vec![0.0; steps];
        energy_min[last..].fill(energy);
        let vehicle = Vehicle::new(
            self.id.clone(),
            power_min,
            power_max,
            energy_min,
            vec![energy; steps],
        )?;
        vehicle.check(grid)?;
        Ok(vehicle)
    }

    /// The part of this session inside `grid`, with the share of the energy that it has of the
    /// time; `None` if no part is inside.
    ///
    /// # Errors
    /// [`Error::NoStart`] for a grid without clock times; what [`ClockSession::check`] says.
    pub fn cut_to(&self, grid: &TimeGrid) -> Result<Option<Self>, Error> {
        self.check()?;
        let (start, end) = ends(grid)?;
        let arrival = if self.arrival < start {
            &start
        } else {
            &self.arrival
        };
        let departure = if self.departure > end {
            &end
        } else {
            &self.departure
        };
        if departure <= arrival {
            return Ok(None);
        }
        let mut part = Self {
            arrival: arrival.clone(),
            departure: departure.clone(),
            ..self.clone()
        };
        if part.arrival != self.arrival || part.departure != self.departure {
            part.energy_kwh *= part.hours() / self.hours();
        }
        Ok(Some(part))
    }
}

/// A fleet made of clock sessions, and what became of those that did not fit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionFleet {
    /// The fleet, one vehicle per session that is inside the grid.
    pub fleet: Fleet,
    /// Ids of sessions that reach into the grid and were left out ([`Edges::LeaveOut`]).
    pub left_out: Vec<String>,
    /// Ids of sessions that were cut ([`Edges::Cut`]).
    pub cut: Vec<String>,
    /// Number of sessions with no part inside the grid.
    pub outside: usize,
}

impl SessionFleet {
    /// Makes one vehicle of every session inside `grid`.
    ///
    /// # Errors
    /// [`Error::NoStart`]; [`Error::OutsideGrid`] with [`Edges::Refuse`]; [`Error::EmptyFleet`] if
    /// no session is inside; what [`ClockSession::to_vehicle`] and [`Fleet::new`] say.
    ///
    /// ```
    /// use evflex_fleet::{ClockSession, Direction, Edges, Hours, SessionFleet, TimeGrid};
    /// let grid = TimeGrid::new(24, Hours(1.0))?.starting_at("2024-05-06T12:00[Europe/Oslo]".parse()?);
    /// let stay = |id: &str, from: &str, to: &str| -> Result<ClockSession, jiff::Error> {
    ///     let (arrival, departure) = (from.parse()?, to.parse()?);
    ///     Ok(ClockSession { id: id.into(), arrival, departure, energy_kwh: 8.0, max_power_kw: 7.0 })
    /// };
    /// let sessions = [
    ///     stay("a", "2024-05-06T17:05[Europe/Oslo]", "2024-05-07T07:30[Europe/Oslo]")?,
    ///     stay("b", "2024-05-07T10:00[Europe/Oslo]", "2024-05-07T14:00[Europe/Oslo]")?,
    /// ];
    /// let made = SessionFleet::new(&sessions, &grid, Direction::ChargeOnly, Edges::Cut)?;
    /// assert_eq!((made.fleet.len(), made.cut), (2, vec!["b".to_owned()]));
    /// assert_eq!(made.fleet.vehicle("b").unwrap().energy_max_kwh()[23], 4.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        sessions: &[ClockSession],
        grid: &TimeGrid,
        direction: Direction,
        edges: Edges,
    ) -> Result<Self, Error> {
        let (start, end) = ends(grid)?;
        let mut vehicles = Vec::new();
        let (mut left_out, mut cut, mut outside) = (Vec::new(), Vec::new(), 0);
        for session in sessions {
            let inside = session.arrival >= start && session.departure <= end;
            if inside || edges == Edges::Refuse {
                vehicles.push(session.to_vehicle(grid, direction)?);
                continue;
            }
            match session.cut_to(grid)? {
                None => outside += 1,
                Some(part) if edges == Edges::Cut => {
                    vehicles.push(part.to_vehicle(grid, direction)?);
                    cut.push(part.id);
                }
                Some(_) => left_out.push(session.id.clone()),
            }
        }
        tracing::debug!(
            vehicles = vehicles.len(),
            left_out = left_out.len(),
            cut = cut.len(),
            outside,
            "sessions put on the grid"
        );
        Ok(Self {
            fleet: Fleet::new(grid.clone(), vehicles)?,
            left_out,
            cut,
            outside,
        })
    }
}

/// Start and end of a grid on the clock.
fn ends(grid: &TimeGrid) -> Result<(Zoned, Zoned), Error> {
    let start = grid.start().cloned().ok_or(Error::NoStart)?;
    let end = grid.end().ok_or(Error::Calendar { step: grid.steps() })?;
    Ok((start, end))
}

/// A clock time as it is shown to people: RFC 3339 with the offset, without the zone's name.
pub(crate) fn clock(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_close;
    use crate::units::Hours;

    fn grid() -> TimeGrid {
        let start = "2024-10-26T18:00[Europe/Berlin]"
            .parse()
            .expect("a clock time");
        TimeGrid::new(16, Hours(1.0))
            .expect("a grid")
            .starting_at(start)
    }

    fn session(arrival: &str, departure: &str, energy_kwh: f64) -> ClockSession {
        let parse = |text: &str| {
            format!("{text}[Europe/Berlin]")
                .parse()
                .expect("a clock time")
        };
        ClockSession {
            id: "s".to_owned(),
            arrival: parse(arrival),
            departure: parse(departure),
            energy_kwh,
            max_power_kw: 4.0,
        }
    }

    #[test]
    fn a_night_with_a_doubled_hour_has_an_hour_more() {
        let night = session("2024-10-27T01:30", "2024-10-27T04:15", 15.0);
        assert_close([night.hours()], [3.75], 1e-12);
        let vehicle = night
            .to_vehicle(&grid(), Direction::VehicleToGrid)
            .expect("a vehicle");
        assert_close(
            vehicle.power_max_kw()[7..12].to_vec(),
            [2.0, 4.0, 4.0, 4.0, 1.0],
            1e-12,
        );
        assert_close(
            vehicle.power_min_kw()[7..12].to_vec(),
            [-2.0, -4.0, -4.0, -4.0, -1.0],
            1e-12,
        );
        assert_eq!(vehicle.energy_min_kwh()[10..12], [0.0, 15.0]);
    }

    #[test]
    fn a_departure_on_a_step_boundary_ends_the_step_before() {
        let vehicle = session("2024-10-26T19:00", "2024-10-26T21:00", 8.0)
            .to_vehicle(&grid(), Direction::ChargeOnly)
            .expect("a vehicle");
        assert_eq!(vehicle.power_max_kw()[..4], [0.0, 4.0, 4.0, 0.0]);
        assert_eq!(vehicle.energy_min_kwh()[..4], [0.0, 0.0, 8.0, 8.0]);
        assert!(vehicle.charges_only());
    }

    #[test]
    fn a_session_that_charges_all_the_time_stays_possible() {
        // 7 minutes and 3 steps of 20 minutes: shares that do not add up exactly.
        let grid = TimeGrid::new(48, Hours(1.0 / 3.0))
            .expect("a grid")
            .starting_at(
                "2024-10-26T18:00[Europe/Berlin]"
                    .parse()
                    .expect("a clock time"),
            );
        for minutes in 1..600 {
            let arrival = "2024-10-26T18:07[Europe/Berlin]"
                .parse::<Zoned>()
                .expect("a clock time");
            let departure = arrival
                .checked_add(jiff::SignedDuration::from_mins(minutes))
                .expect("in range");
            let mut full = session("2024-10-26T18:07", "2024-10-26T19:07", 0.0);
            full.departure = departure;
            full.max_power_kw = 7.2;
            full.energy_kwh = full.max_power_kw * full.hours();
            let vehicle = full
                .to_vehicle(&grid, Direction::ChargeOnly)
                .expect("a vehicle");
            assert_close([vehicle.energy_max_kwh()[0]], [full.energy_kwh], 1e-9);
            // Possible to the last bit, not only within a tolerance.
            let limits = vehicle.power_max_kw().iter();
            let reach = limits.fold(0.0, |sum, power| sum + grid.step_hours() * power);
            assert!(vehicle.energy_min_kwh()[47] <= reach);
        }
    }

    #[test]
    fn a_departure_on_a_step_boundary_leaves_no_sliver() {
        // 0.7 h is no whole number of milliseconds in binary: 3 × 0.7 ≠ 2.1.
        let start: Zoned = "2024-05-06T00:00[Europe/Berlin]"
            .parse()
            .expect("a clock time");
        let grid = TimeGrid::new(100, Hours(0.7))
            .expect("a grid")
            .starting_at(start.clone());
        for step in 1..100 {
            let minutes = i64::try_from(step * 42).expect("small");
            let mut stay = session("2024-05-06T00:00", "2024-05-06T01:00", 1.0);
            stay.departure = start
                .checked_add(jiff::SignedDuration::from_mins(minutes))
                .expect("in range");
            let vehicle = stay
                .to_vehicle(&grid, Direction::ChargeOnly)
                .expect("a vehicle");
            assert_eq!(
                vehicle.power_max_kw()[step - 1..=step],
                [4.0, 0.0],
                "step {step}"
            );
            assert_eq!(vehicle.energy_min_kwh()[step - 1], 1.0);
        }
    }

    #[test]
    fn cutting_keeps_the_share_of_the_time() {
        let early = session("2024-10-26T16:00", "2024-10-26T20:00", 10.0);
        let part = early.cut_to(&grid()).expect("checked").expect("a part");
        assert_close([part.hours(), part.energy_kwh], [2.0, 5.0], 1e-12);
        let inside = session("2024-10-26T19:00", "2024-10-26T20:00", 3.0);
        assert_eq!(
            inside.cut_to(&grid()).expect("checked"),
            Some(inside.clone())
        );
        let before = session("2024-10-26T16:00", "2024-10-26T18:00", 3.0);
        assert_eq!(before.cut_to(&grid()).expect("checked"), None);

        let mut sessions = [early, inside, before];
        for (session, id) in sessions.iter_mut().zip(["early", "inside", "before"]) {
            id.clone_into(&mut session.id);
        }
        let made = SessionFleet::new(&sessions, &grid(), Direction::ChargeOnly, Edges::LeaveOut)
            .expect("a fleet");
        assert_eq!(
            (made.left_out, made.outside, made.fleet.len()),
            (vec!["early".to_owned()], 1, 1)
        );
    }

    #[test]
    fn bad_sessions_are_named() {
        let text = |session: ClockSession| {
            session
                .to_vehicle(&grid(), Direction::ChargeOnly)
                .expect_err("refused")
                .to_string()
        };
        insta::assert_snapshot!(
            text(session("2024-10-26T20:00", "2024-10-26T19:00", 3.0)),
            @"session `s`: departure 2024-10-26T19:00:00+02:00 is not after arrival 2024-10-26T20:00:00+02:00"
        );
        insta::assert_snapshot!(
            text(session("2024-10-26T19:00", "2024-10-26T21:00", 3000.0)),
            @"session `s`: 3000 kWh cannot be delivered at 4 kW within 2 h (at most 8 kWh); check the units (kWh, not Wh)"
        );
        insta::assert_snapshot!(
            text(session("2024-10-26T19:00", "2024-10-26T21:00", -1.0)),
            @"energy_kwh of session `s` must be finite and at least 0, found -1"
        );
        insta::assert_snapshot!(
            text(ClockSession {
                max_power_kw: 11000.0,
                ..session("2024-10-26T19:00", "2024-10-26T21:00", 1.0)
            }),
            @"max_power_kw of session `s` must be above 0 and at most 5000 (kW, not W), found 11000"
        );
        insta::assert_snapshot!(
            text(session("2024-10-26T17:00", "2024-10-26T21:00", 1.0)),
            @"session `s` from 2024-10-26T17:00:00+02:00 to 2024-10-26T21:00:00+02:00 is not inside the grid from 2024-10-26T18:00:00+02:00 to 2024-10-27T09:00:00+01:00"
        );
        let no_clock = TimeGrid::new(2, Hours(1.0)).expect("a grid");
        insta::assert_snapshot!(
            session("2024-10-26T19:00", "2024-10-26T21:00", 1.0)
                .to_vehicle(&no_clock, Direction::ChargeOnly)
                .expect_err("refused"),
            @"the time grid has no start; give it one with `TimeGrid::starting_at`"
        );
    }
}
