//! Steps of equal length, with an optional start on the clock.

use crate::error::Error;
use crate::units::Hours;
use jiff::{SignedDuration, Zoned};
use serde::{Deserialize, Serialize};

/// The steps in which a horizon is cut: `steps` of equal length, optionally starting at a clock
/// time.
///
/// Step `t` (from 0) lasts from `start + t δ` to `start + (t + 1) δ`, where δ is elapsed time. So
/// the steps stay equally long when the clocks change: an hourly grid over a day with 23 local
/// hours that has 24 steps ends an hour later on the local clock.
///
/// ```
/// use evflex_fleet::{Hours, TimeGrid};
/// let start: jiff::Zoned = "2024-03-31T00:00[Europe/Berlin]".parse()?;
/// let grid = TimeGrid::new(24, Hours(1.0))?.starting_at(start);
/// // Clocks jump from 02:00 to 03:00 on this day.
/// assert_eq!(grid.start_of(1).unwrap().to_string(), "2024-03-31T01:00:00+01:00[Europe/Berlin]");
/// assert_eq!(grid.start_of(2).unwrap().to_string(), "2024-03-31T03:00:00+02:00[Europe/Berlin]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawTimeGrid", into = "RawTimeGrid")]
pub struct TimeGrid {
    steps: usize,
    step_hours: f64,
    start: Option<Zoned>,
}

/// What a grid looks like in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeGrid {
    step_hours: f64,
    steps: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Zoned>,
}

impl TryFrom<RawTimeGrid> for TimeGrid {
    type Error = Error;
    fn try_from(raw: RawTimeGrid) -> Result<Self, Error> {
        let mut grid = Self::new(raw.steps, Hours(raw.step_hours))?;
        grid.start = raw.start;
        Ok(grid)
    }
}

impl From<TimeGrid> for RawTimeGrid {
    fn from(grid: TimeGrid) -> Self {
        Self {
            step_hours: grid.step_hours,
            steps: grid.steps,
            start: grid.start,
        }
    }
}

impl TimeGrid {
    /// How far, as a fraction, two step lengths may differ and still be the same: rounding only.
    pub const STEP_TOLERANCE: f64 = 1e-12;

    /// A grid of `steps` steps of length `step`, without a clock time.
    ///
    /// # Errors
    /// [`Error::NoSteps`] for zero steps; [`Error::StepLength`] if `step` is not finite and
    /// positive.
    pub fn new(steps: usize, step: Hours) -> Result<Self, Error> {
        if steps == 0 {
            return Err(Error::NoSteps);
        }
        if !step.0.is_finite() || step.0 <= 0.0 {
            return Err(Error::StepLength { hours: step.0 });
        }
        Ok(Self {
            steps,
            step_hours: step.0,
            start: None,
        })
    }

    /// A grid of at least one hour in hourly steps, for constants of this crate.
    pub(crate) fn of_hours(steps: usize) -> Self {
        Self {
            steps: steps.max(1),
            step_hours: 1.0,
            start: None,
        }
    }

    /// The same grid with its first step starting at `start`.
    #[must_use]
    pub fn starting_at(mut self, start: Zoned) -> Self {
        self.start = Some(start);
        self
    }

    /// Number of steps T, at least 1.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Length δ of a step in hours, finite and positive.
    #[must_use]
    pub fn step_hours(&self) -> f64 {
        self.step_hours
    }

    /// Length of the horizon in hours, `T δ`.
    #[must_use]
    pub fn hours(&self) -> f64 {
        self.steps as f64 * self.step_hours
    }

    /// Clock time at which the first step starts, if the grid has one.
    #[must_use]
    pub fn start(&self) -> Option<&Zoned> {
        self.start.as_ref()
    }

    /// Clock time at which `step` starts; `start_of(steps())` is the end of the horizon.
    ///
    /// Instants are a constant elapsed time apart, also across a change of the clocks. `None`
    /// without a start, or beyond the years that clock times can express.
    #[must_use]
    pub fn start_of(&self, step: usize) -> Option<Zoned> {
        let start = self.start.as_ref()?;
        // One multiplication per step, so that rounding does not add up over the horizon.
        let seconds = step as f64 * self.step_hours * 3600.0;
        start
            .checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?)
            .ok()
    }

    /// Clock time at which the horizon ends.
    #[must_use]
    pub fn end(&self) -> Option<Zoned> {
        self.start_of(self.steps)
    }

    /// Fails unless `self` and `other` have the same steps, and the same start if both have one.
    pub(crate) fn agrees_with(
        &self,
        other: &Self,
        what: &'static str,
        other_what: &'static str,
    ) -> Result<(), Error> {
        let detail = if self.steps != other.steps {
            format!("{} and {} steps", self.steps, other.steps)
        } else if (self.step_hours - other.step_hours).abs()
            > Self::STEP_TOLERANCE * self.step_hours
        {
            format!("steps of {} and {} h", self.step_hours, other.step_hours)
        } else if let (Some(a), Some(b)) = (&self.start, &other.start)
            && a != b
        {
            format!("starting {a} and {b}")
        } else {
            return Ok(());
        };
        Err(Error::GridMismatch {
            what,
            other: other_what,
            detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        text.parse().expect("a valid clock time")
    }

    #[test]
    fn refuses_what_is_not_a_grid() {
        assert!(matches!(TimeGrid::new(0, Hours(1.0)), Err(Error::NoSteps)));
        for hours in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                TimeGrid::new(3, Hours(hours)),
                Err(Error::StepLength { .. })
            ));
        }
    }

    #[test]
    fn steps_are_equally_long_when_the_clocks_go_back() {
        // 2024-10-27 has 25 hours in Berlin.
        let grid = TimeGrid::new(100, Hours(0.25))
            .expect("a grid")
            .starting_at(zoned("2024-10-27T00:00[Europe/Berlin]"));
        assert_eq!(grid.end(), Some(zoned("2024-10-28T00:00[Europe/Berlin]")));
        let twice = [grid.start_of(8), grid.start_of(12)];
        assert_eq!(
            twice[0],
            Some(zoned("2024-10-27T02:00+02:00[Europe/Berlin]"))
        );
        assert_eq!(
            twice[1],
            Some(zoned("2024-10-27T02:00+01:00[Europe/Berlin]"))
        );
    }

    #[test]
    fn long_horizons_do_not_drift() {
        let grid = TimeGrid::new(3 * 24 * 365, Hours(1.0 / 3.0))
            .expect("a grid")
            .starting_at(zoned("2023-01-01T00:00[UTC]"));
        assert_eq!(grid.end(), Some(zoned("2024-01-01T00:00[UTC]")));
    }

    #[test]
    fn no_clock_time_beyond_the_calendar() {
        let grid = TimeGrid::new(2, Hours(1e300)).expect("a grid");
        assert_eq!(grid.start_of(0), None);
        let grid = grid.starting_at(zoned("2024-01-01T00:00[UTC]"));
        assert!(grid.start_of(0).is_some());
        assert_eq!(grid.start_of(1), None);
    }

    #[test]
    fn json_round_trip_and_checks() {
        let grid = TimeGrid::new(4, Hours(0.25))
            .expect("a grid")
            .starting_at(zoned("2024-01-01T15:00[Europe/Oslo]"));
        let text = serde_json::to_string(&grid).expect("serialises");
        assert_eq!(
            text,
            r#"{"step_hours":0.25,"steps":4,"start":"2024-01-01T15:00:00+01:00[Europe/Oslo]"}"#
        );
        assert_eq!(
            serde_json::from_str::<TimeGrid>(&text).expect("parses"),
            grid
        );
        let error = serde_json::from_str::<TimeGrid>(r#"{"step_hours":0.0,"steps":4}"#);
        assert!(error.is_err_and(|e| e.to_string().contains("step length")));
    }
}
