//! Values at constant distances in time, with holes, and their means over intervals.

use crate::error::Error;
use crate::time_grid::TimeGrid;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

/// A series of interval means. Times are whole seconds on whatever clock the caller uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    start: i64,
    step: i64,
    values: Vec<Option<f64>>,
}

impl Series {
    /// A series from rows of line, second and value, which must be a constant distance apart.
    ///
    /// The distance is the smallest between two neighbours, so that a gap after the first row is
    /// a gap and not the step. `show` prints a second as a stamp.
    pub(crate) fn new(
        rows: &[(u64, i64, Option<f64>)],
        show: impl Fn(i64) -> String,
    ) -> Result<Self, Error> {
        let distances = rows.windows(2).map(|pair| pair[1].1 - pair[0].1);
        let Some(step) = distances
            .clone()
            .filter(|&d| d > 0)
            .min()
            .or(distances.min())
        else {
            return Err(Error::ShortSeries);
        };
        for pair in rows.windows(2) {
            let ((_, before, _), (line, now, _)) = (pair[0], pair[1]);
            let distance = now - before;
            if distance == step && step > 0 {
                continue;
            }
            let problem = if distance == 0 {
                "a duplicate".to_owned()
            } else if distance < 0 {
                "out of order".to_owned()
            } else if distance % step == 0 {
                format!("a gap of {} rows", distance / step - 1)
            } else {
                "not a whole number of steps".to_owned()
            };
            return Err(Error::SeriesStep {
                stamp: show(now),
                previous: show(before),
                problem,
                step_minutes: step.max(0) as f64 / 60.0,
            }
            .at(format!("line {line}")));
        }
        let start = rows.first().map_or(0, |row| row.1);
        Ok(Self {
            start,
            step,
            values: rows.iter().map(|row| row.2).collect(),
        })
    }

    /// A series of values that are known to be regular.
    pub(crate) fn regular(start: i64, step: i64, values: Vec<Option<f64>>) -> Self {
        Self {
            start,
            step,
            values,
        }
    }

    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn step(&self) -> i64 {
        self.step
    }

    pub(crate) fn values(&self) -> &[Option<f64>] {
        &self.values
    }

    /// End of the last interval.
    pub(crate) fn end(&self) -> i64 {
        self.start + self.step * i64::try_from(self.values.len()).unwrap_or(i64::MAX / 2)
    }

    /// Mean over `seconds` from `from`, each interval weighted by its overlap: a shorter interval
    /// gets the value that it lies in, a longer one the mean of those that it covers.
    pub(crate) fn mean(&self, from: f64, seconds: f64) -> Result<f64, Hole> {
        // Instants closer than this to the edge of an interval are on it: rounding of clock times.
        const EDGE_SECONDS: f64 = 1e-6;
        let (start, step) = (self.start as f64, self.step as f64);
        let to = from + seconds;
        if from < start - EDGE_SECONDS || to > self.end() as f64 + EDGE_SECONDS {
            return Err(Hole::Outside);
        }
        let first = ((from - start + EDGE_SECONDS) / step).floor().max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range"
        )]
        let mut index = first as usize;
        let mut sum = 0.0;
        while index < self.values.len() {
            let left = start + index as f64 * step;
            let overlap = to.min(left + step) - from.max(left);
            if left >= to - EDGE_SECONDS {
                break;
            }
            let value = self.values[index].ok_or(Hole::Empty(index))?;
            if overlap >= seconds - EDGE_SECONDS {
                // Wholly inside one interval: its value, without the rounding of a mean.
                return Ok(value);
            }
            sum += value * overlap;
            index += 1;
        }
        Ok(sum / seconds)
    }

    /// Means over the intervals of `seconds` that start at `starts`; where one is missing, why, and
    /// the first and last second of all that were asked for.
    pub(crate) fn means(
        &self,
        starts: &[f64],
        seconds: f64,
    ) -> Result<Vec<f64>, (Hole, (i64, i64))> {
        let mean = |&start: &f64| self.mean(start, seconds);
        starts
            .iter()
            .map(mean)
            .collect::<Result<_, _>>()
            .map_err(|hole| {
                let first = starts.iter().copied().fold(f64::INFINITY, f64::min);
                let last = starts.iter().copied().fold(f64::NEG_INFINITY, f64::max) + seconds;
                #[expect(clippy::cast_possible_truncation, reason = "seconds in the calendar")]
                (hole, (first.floor() as i64, last.ceil() as i64))
            })
    }

    /// Start of an interval, s.
    pub(crate) fn time_of(&self, index: usize) -> i64 {
        self.start + self.step * i64::try_from(index).unwrap_or(i64::MAX / 2)
    }
}

/// The second at which every step of `grid` is looked up when years differ: the grid's first day
/// becomes the first day from `from` on with the same weekday, later days follow, and the clock
/// time stays. `second_of` puts a clock time on the series' clock.
pub(crate) fn by_local_clock(
    grid: &TimeGrid,
    from: Date,
    second_of: impl Fn(DateTime) -> Option<f64>,
) -> Result<Vec<f64>, Error> {
    let start = grid.start().ok_or(Error::NoStart)?.date();
    let ahead = from.weekday().until(start.weekday());
    let calendar = |step: usize| Error::Calendar { step };
    let first = from
        .checked_add(i64::from(ahead).days())
        .map_err(|_| calendar(0))?;
    (0..grid.steps())
        .map(|step| {
            let local = grid
                .start_of(step)
                .ok_or_else(|| calendar(step))?
                .datetime();
            let days = (local.date() - start).get_days();
            let day = first.checked_add(days.days()).map_err(|_| calendar(step))?;
            second_of(day.to_datetime(local.time())).ok_or_else(|| calendar(step))
        })
        .collect()
}

/// The error for a step without a value. `what` is the series in the plural, `value` one of its
/// values, `show` prints a second as a stamp.
pub(crate) fn hole_error(
    (hole, range): (Hole, (i64, i64)),
    series: &Series,
    what: &'static str,
    value: &str,
    show: impl Fn(i64) -> String,
) -> Error {
    match hole {
        Hole::Empty(index) => Error::EmptyValue {
            what: value.to_owned(),
            stamp: show(series.time_of(index)),
        },
        Hole::Outside => Error::NotCovered {
            what,
            covered: format!("{} to {}", show(series.start()), show(series.end())),
            wanted: format!("{} to {}", show(range.0), show(range.1)),
        },
    }
}

/// Why there is no mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hole {
    /// The interval is not covered.
    Outside,
    /// This entry is empty.
    Empty(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seconds: &[i64]) -> Result<Series, Error> {
        let rows: Vec<_> = (2..)
            .zip(seconds)
            .map(|(line, &s)| (line, s, Some(s as f64)))
            .collect();
        Series::new(&rows, |s| format!("s{s}"))
    }

    #[test]
    fn irregular_rows_are_named() {
        let text = |seconds: &[i64]| series(seconds).expect_err("refused").to_string();
        insta::assert_snapshot!(text(&[0, 900, 900]), @"line 4: s900 does not follow s900: a duplicate; rows must be 15 minutes apart");
        insta::assert_snapshot!(text(&[0, 1800, 2700]), @"line 3: s1800 does not follow s0: a gap of 1 rows; rows must be 15 minutes apart");
        insta::assert_snapshot!(text(&[0, 900, 0]), @"line 4: s0 does not follow s900: out of order; rows must be 15 minutes apart");
        insta::assert_snapshot!(text(&[0, 900, 1900]), @"line 4: s1900 does not follow s900: not a whole number of steps; rows must be 15 minutes apart");
        insta::assert_snapshot!(text(&[900, 900]), @"line 3: s900 does not follow s900: a duplicate; rows must be 0 minutes apart");
        insta::assert_snapshot!(text(&[0]), @"a time series needs at least two rows");
        assert!(series(&[]).is_err());
    }

    #[test]
    fn means_over_shorter_equal_and_longer_intervals() {
        let values = [Some(1.0), Some(3.0), None, Some(5.0)];
        let rows: Vec<_> = (0..).zip(values).map(|(i, v)| (0, 900 * i, v)).collect();
        let series = Series::new(&rows, |s| s.to_string()).expect("a series");
        assert_eq!(series.mean(900.0, 300.0), Ok(3.0));
        assert_eq!(series.mean(0.0, 900.0), Ok(1.0));
        assert_eq!(series.mean(0.0, 1800.0), Ok(2.0));
        assert_eq!(series.mean(450.0, 900.0), Ok(2.0));
        assert_eq!(series.mean(900.0, 1800.0), Err(Hole::Empty(2)));
        assert_eq!(series.mean(2700.0, 900.0), Ok(5.0));
        assert_eq!(series.mean(2700.0, 901.0), Err(Hole::Outside));
        assert_eq!(series.mean(-1.0, 10.0), Err(Hole::Outside));
    }
}
