//! CSV files of loads.

use super::series::{Series, by_local_clock, hole_error};
use super::table::{self, Table};
use super::{read_bytes, stamp};
use crate::error::Error;
use crate::load::LoadProfile;
use crate::time_grid::TimeGrid;
use crate::units::Hours;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// Hourly loads of many days, one row per day, that may start in the afternoon and run over
/// midnight.
///
/// The file has the column `date` (local day on which the row starts) followed by columns named by
/// the local hour at which they start, `h15, h16, .., h23, h00, .., h08`, each one hour after the
/// one before; values are the mean kW of the hour. Days must follow in order, but may be missing.
///
/// ```
/// use evflex_fleet::readers::loads::NightLoads;
/// let text = b"date,h22,h23,h00\n2018-01-01,3.5,2.5,1.5\n2018-01-02,4,3,2";
/// let loads = NightLoads::parse(text)?;
/// assert_eq!((loads.days(), loads.hours(), loads.first_hour()), (2, 3, 22));
/// assert_eq!(loads.profile(1, None)?.power_kw(), [4.0, 3.0, 2.0]);
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NightLoads {
    dates: Vec<Date>,
    first_hour: i8,
    power_kw: Array2<f64>,
}

impl NightLoads {
    /// Longest series in hours that [`NightLoads::to_series`] makes, about 228 years: two dates with
    /// a typing error must not ask for all memory.
    pub const MAX_HOURS: usize = 2_000_000;

    /// Loads of the given days, `power_kw` days × hours, from `first_hour` (0 to 23) on.
    ///
    /// # Errors
    /// [`Error::Length`] if the number of dates is not the number of rows; [`Error::NoRows`]
    /// without rows or columns; [`Error::OutOfRange`] for an hour outside 0 to 23;
    /// [`Error::NotFinite`]; [`Error::SeriesStep`] if the dates are not in order.
    pub fn new(dates: Vec<Date>, first_hour: i8, power_kw: Array2<f64>) -> Result<Self, Error> {
        if dates.len() != power_kw.nrows() {
            let what = "dates of the loads".to_owned();
            return Err(Error::Length {
                what,
                expected: power_kw.nrows(),
                found: dates.len(),
            });
        }
        if power_kw.is_empty() {
            return Err(Error::NoRows);
        }
        crate::error::within(
            || "first hour of the loads".to_owned(),
            f64::from(first_hour),
            |hour| (0.0..24.0).contains(&hour),
            "from 0 to 23",
        )?;
        for ((row, hour), &value) in power_kw.indexed_iter() {
            crate::error::finite(
                || format!("load of {}, hour {hour} of the row", dates[row]),
                value,
            )?;
        }
        for pair in dates.windows(2) {
            check_order(pair[0], pair[1])?;
        }
        Ok(Self {
            dates,
            first_hour,
            power_kw,
        })
    }

    /// Parses CSV text.
    ///
    /// # Errors
    /// [`Error::EmptyFile`], [`Error::NoRows`], [`Error::MissingColumn`], [`Error::HourColumn`];
    /// with the line, [`Error::Ragged`], [`Error::Stamp`], [`Error::SeriesStep`],
    /// [`Error::EmptyCell`], [`Error::NotANumber`] and [`Error::NotFinite`].
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let table = Table::parse(text)?;
        let date_column = table.column("date")?;
        let hours: Vec<(usize, &String)> = table
            .columns()
            .iter()
            .enumerate()
            .filter(|&(index, _)| index != date_column)
            .collect();
        let Some(first_hour) = hours.first().and_then(|(_, name)| hour_of(name)) else {
            return Err(table.missing("h15 (or another first hour, h00 to h23)"));
        };
        let mut hour = first_hour;
        for (_, name) in &hours {
            let expected = format!("h{hour:02}");
            if **name != expected {
                return Err(Error::HourColumn {
                    column: (*name).clone(),
                    expected,
                });
            }
            hour = (hour + 1) % 24;
        }
        let mut dates: Vec<Date> = Vec::with_capacity(table.rows().len());
        let mut flat = Vec::with_capacity(table.rows().len() * hours.len());
        for row in table.rows() {
            let fields = row.fields()?;
            let mut read = || {
                let text = table::text(fields, date_column, "date")?;
                let date: Date = text.parse().map_err(|error: jiff::Error| Error::Stamp {
                    column: "date".to_owned(),
                    text: text.to_owned(),
                    reason: error.to_string(),
                })?;
                if let Some(&before) = dates.last() {
                    check_order(before, date)?;
                }
                dates.push(date);
                for &(column, name) in &hours {
                    flat.push(table::number(fields, column, name)?);
                }
                Ok(())
            };
            read().map_err(|error: Error| error.at(row.place()))?;
        }
        let shape = (dates.len(), hours.len());
        let power_kw = Array2::from_shape_vec(shape, flat).map_err(|_| Error::NoRows)?;
        Self::new(dates, first_hour, power_kw)
    }

    /// Parses a file.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`NightLoads::parse`], with the path in front.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&read_bytes(path)?).map_err(|e| e.at(path.display().to_string()))
    }

    /// Number of days.
    #[must_use]
    pub fn days(&self) -> usize {
        self.power_kw.nrows()
    }

    /// Number of hours of each day's row.
    #[must_use]
    pub fn hours(&self) -> usize {
        self.power_kw.ncols()
    }

    /// Local hour at which every row starts, 0 to 23.
    #[must_use]
    pub fn first_hour(&self) -> i8 {
        self.first_hour
    }

    /// Local days on which the rows start.
    #[must_use]
    pub fn dates(&self) -> &[Date] {
        &self.dates
    }

    /// Mean power per hour in kW, days × hours.
    #[must_use]
    pub fn power_kw(&self) -> ArrayView2<'_, f64> {
        self.power_kw.view()
    }

    /// One day's row as a load on an hourly grid, which starts on the clock of `zone` if one is
    /// given.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there is no such row; [`Error::Calendar`] if its start is no time
    /// in the zone.
    pub fn profile(&self, day: usize, zone: Option<&TimeZone>) -> Result<LoadProfile, Error> {
        if day >= self.days() {
            return Err(Error::OutOfRange {
                what: "day of the loads".to_owned(),
                rule: format!("below {}", self.days()),
                value: day as f64,
            });
        }
        let mut grid = TimeGrid::new(self.hours(), Hours(1.0))?;
        if let Some(zone) = zone {
            let start = self.dates[day]
                .at(self.first_hour, 0, 0, 0)
                .to_zoned(zone.clone());
            grid = grid.starting_at(start.map_err(|_| Error::Calendar { step: 0 })?);
        }
        LoadProfile::new(grid, self.power_kw.row(day).to_vec())
    }

    /// All rows as one series on the local clock, with holes where no row has a value; where rows
    /// overlap, the later row counts. It can be joined to any grid whose hours are covered.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if first and last day are more than [`NightLoads::MAX_HOURS`] apart.
    pub fn to_series(&self) -> Result<LoadSeries, Error> {
        let hours_of = |date: Date| civil_second(date.at(self.first_hour, 0, 0, 0)) / 3600;
        let first = self.dates.first().map_or(0, |&date| hours_of(date));
        let offsets = self
            .dates
            .iter()
            .map(|&date| usize::try_from(hours_of(date) - first).unwrap_or(0));
        let offsets: Vec<usize> = offsets.collect();
        let len = offsets.last().map_or(0, |last| last + self.hours());
        if len > Self::MAX_HOURS {
            let what = "hours between the first and the last day of the loads".to_owned();
            return Err(Error::TooLarge {
                what,
                found: len,
                limit: Self::MAX_HOURS,
            });
        }
        let mut values = vec![None; len];
        for (offset, row) in offsets.into_iter().zip(self.power_kw.rows()) {
            for (value, &power) in values[offset..].iter_mut().zip(row) {
                *value = Some(power);
            }
        }
        Ok(LoadSeries {
            clock: Clock::Local,
            series: Series::regular(first * 3600, 3600, values),
        })
    }
}

/// `h07` means 7.
fn hour_of(name: &str) -> Option<i8> {
    let digits = name.strip_prefix('h').filter(|digits| digits.len() == 2)?;
    digits.parse().ok().filter(|hour| (0..24).contains(hour))
}

/// Fails unless `date` is after `before`.
fn check_order(before: Date, date: Date) -> Result<(), Error> {
    if date > before {
        return Ok(());
    }
    let problem = if date == before {
        "a duplicate"
    } else {
        "out of order"
    };
    Err(Error::SeriesStep {
        stamp: date.to_string(),
        previous: before.to_string(),
        problem: problem.to_owned(),
        step_minutes: 1440.0,
    })
}

/// Which columns of a load file to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadColumns {
    /// The sum of all columns but the stamp.
    #[default]
    Sum,
    /// One column, for instance a single household.
    One(String),
}

/// The clock of a series' stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// Local clock times that know no change of the clocks.
    Local,
    /// Instants.
    Utc,
}

/// Loads of consecutive intervals of equal length, in kW, from a CSV file.
///
/// The file has the column `timestamp_local` (start of the interval on the local clock, without
/// offset) or `timestamp_utc` (an instant), and one column in kW per household. Rows must be a
/// constant time apart; on a local clock this means that the file knows no change of the clocks
/// (a skipped or doubled hour is refused with its line; use `timestamp_utc` there). A cell may be
/// empty, which matters only if that value is asked for.
///
/// ```
/// use evflex_fleet::readers::loads::{LoadColumns, LoadSeries};
/// use evflex_fleet::{Hours, TimeGrid};
/// let text = b"timestamp_local,b01,b02
/// 2016-08-01T00:00,0.5,1.0
/// 2016-08-01T01:00,0.25,2.0";
/// let loads = LoadSeries::parse(text, &LoadColumns::Sum)?;
/// let grid = TimeGrid::new(4, Hours(0.5))?.starting_at("2016-08-01T00:00[America/Los_Angeles]".parse()?);
/// assert_eq!(loads.load(&grid)?.power_kw(), [1.5, 1.5, 2.25, 2.25]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSeries {
    clock: Clock,
    series: Series,
}

impl LoadSeries {
    /// Parses CSV text.
    ///
    /// # Errors
    /// [`Error::EmptyFile`], [`Error::NoRows`], [`Error::MissingColumn`]; with the line,
    /// [`Error::Ragged`], [`Error::Stamp`], [`Error::NotANumber`], [`Error::NotFinite`] and
    /// [`Error::SeriesStep`]; [`Error::ShortSeries`].
    pub fn parse(text: &[u8], columns: &LoadColumns) -> Result<Self, Error> {
        let table = Table::parse(text)?;
        let (clock, stamp_name) = if table.column("timestamp_utc").is_ok() {
            (Clock::Utc, "timestamp_utc")
        } else {
            (Clock::Local, "timestamp_local")
        };
        let stamps = table.column(stamp_name)?;
        let used: Vec<(usize, &str)> = match columns {
            LoadColumns::One(name) => vec![(table.column(name)?, name)],
            LoadColumns::Sum => {
                let all = table.columns().iter().enumerate();
                all.filter(|&(i, _)| i != stamps)
                    .map(|(i, name)| (i, name.as_str()))
                    .collect()
            }
        };
        if used.is_empty() {
            return Err(table.missing("one per load, in kW"));
        }
        let mut rows = Vec::with_capacity(table.rows().len());
        for row in table.rows() {
            let fields = row.fields()?;
            let read = || {
                let text = table::text(fields, stamps, stamp_name)?;
                let second = match clock {
                    Clock::Utc => stamp::second(text, stamp_name)?,
                    Clock::Local => stamp::civil_second(text, stamp_name)?,
                };
                let mut sum = Some(0.0);
                for &(column, name) in &used {
                    let value = table::optional_number(fields, column, name)?;
                    // The sum of households is unknown where one of them is.
                    sum = sum.zip(value).map(|(sum, value)| sum + value);
                }
                Ok((row.line, second, sum))
            };
            rows.push(read().map_err(|error: Error| error.at(row.place()))?);
        }
        Ok(Self {
            clock,
            series: Series::new(&rows, |second| show(clock, second))?,
        })
    }

    /// Parses a file.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`LoadSeries::parse`], with the path in front.
    pub fn read(path: &Path, columns: &LoadColumns) -> Result<Self, Error> {
        Self::parse(&read_bytes(path)?, columns).map_err(|e| e.at(path.display().to_string()))
    }

    /// Mean power per interval in kW; `None` where a cell is empty.
    #[must_use]
    pub fn power_kw(&self) -> &[Option<f64>] {
        self.series.values()
    }

    /// Length of an interval in hours.
    #[must_use]
    pub fn step_hours(&self) -> f64 {
        self.series.step() as f64 / 3600.0
    }

    /// The loads at the grid's own dates: by the grid's local clock if the file has local stamps,
    /// by instants otherwise. Shorter and longer steps are treated as prices are
    /// ([`PriceSeries::tariff`](super::prices::PriceSeries::tariff)).
    ///
    /// # Errors
    /// [`Error::NoStart`]; [`Error::NotCovered`]; [`Error::EmptyValue`]; [`Error::Calendar`].
    pub fn load(&self, grid: &TimeGrid) -> Result<LoadProfile, Error> {
        let start = grid.start().ok_or(Error::NoStart)?;
        match self.clock {
            Clock::Local => self.load_by_local_clock(grid, start.date(), &TimeZone::UTC),
            Clock::Utc => {
                let start = start.timestamp();
                let start = start.as_second() as f64 + f64::from(start.subsec_nanosecond()) * 1e-9;
                let seconds = grid.step_hours() * 3600.0;
                let starts = (0..grid.steps()).map(|step| start + step as f64 * seconds);
                self.loaded(grid, &starts.collect::<Vec<_>>())
            }
        }
    }

    /// The loads of the same local clock time and weekday in another year, from the first day from
    /// `from` on that has the weekday of the grid's first day; rules as for prices
    /// ([`PriceSeries::tariff_by_local_clock`](super::prices::PriceSeries::tariff_by_local_clock)).
    /// `zone` is the clock of the loads; a file with local stamps does not need it.
    ///
    /// # Errors
    /// As [`LoadSeries::load`].
    pub fn load_by_local_clock(
        &self,
        grid: &TimeGrid,
        from: Date,
        zone: &TimeZone,
    ) -> Result<LoadProfile, Error> {
        let starts = by_local_clock(grid, from, |civil| match self.clock {
            Clock::Local => {
                let nanosecond = f64::from(civil.subsec_nanosecond());
                Some(civil_second(civil) as f64 + nanosecond * 1e-9)
            }
            Clock::Utc => {
                let instant = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
                Some(instant.as_second() as f64 + f64::from(instant.subsec_nanosecond()) * 1e-9)
            }
        })?;
        self.loaded(grid, &starts)
    }

    fn loaded(&self, grid: &TimeGrid, starts: &[f64]) -> Result<LoadProfile, Error> {
        let means = self.series.means(starts, grid.step_hours() * 3600.0);
        let clock = self.clock;
        let named = |hole| {
            hole_error(hole, &self.series, "loads", "the load", |second| {
                show(clock, second)
            })
        };
        LoadProfile::new(grid.clone(), means.map_err(named)?)
    }
}

/// Seconds of a local clock time, counted as if the clock were UTC.
fn civil_second(civil: DateTime) -> i64 {
    TimeZone::UTC
        .to_timestamp(civil)
        .map_or(i64::MIN / 4, Timestamp::as_second)
}

/// A second as a stamp.
fn show(clock: Clock, second: i64) -> String {
    let Ok(time) = Timestamp::from_second(second) else {
        return second.to_string();
    };
    match clock {
        Clock::Utc => time.to_string(),
        Clock::Local => time.to_zoned(TimeZone::UTC).datetime().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(start: &str, steps: usize, hours: f64) -> TimeGrid {
        let start = start.parse().expect("a clock time");
        TimeGrid::new(steps, Hours(hours))
            .expect("a grid")
            .starting_at(start)
    }

    const NIGHTS: &str = "date,h22,h23,h00\n2018-01-01,1,2,3\n2018-01-02,4,5,6\n2018-01-04,7,8,9\n";

    #[test]
    fn nights_are_read_and_joined() {
        let loads = NightLoads::parse(NIGHTS.as_bytes()).expect("loads");
        assert_eq!(loads.dates()[2].to_string(), "2018-01-04");
        assert_eq!(loads.power_kw().row(1).to_vec(), [4.0, 5.0, 6.0]);
        let zone = TimeZone::get("America/Chicago").expect("a bundled zone");
        let profile = loads.profile(0, Some(&zone)).expect("a load");
        let start = profile.grid().start().expect("a start").to_string();
        assert_eq!(start, "2018-01-01T22:00:00-06:00[America/Chicago]");
        assert!(matches!(
            loads.profile(3, None),
            Err(Error::OutOfRange { .. })
        ));

        let series = loads.to_series().expect("a series");
        let night = series
            .load(&grid("2018-01-02T22:30[UTC]", 5, 0.5))
            .expect("a load");
        assert_eq!(night.power_kw(), [4.0, 5.0, 5.0, 6.0, 6.0]);
        insta::assert_snapshot!(
            series.load(&grid("2018-01-02T22:00[UTC]", 4, 1.0)).expect_err("a hole"),
            @"the load at 2018-01-03T01:00:00 is empty in the file, and it is needed"
        );
        // Monday 2019-05-06 gets the night of Monday 2018-01-01.
        let later = series.load_by_local_clock(
            &grid("2019-05-06T22:00[Europe/Berlin]", 2, 1.0),
            jiff::civil::date(2018, 1, 1),
            &TimeZone::UTC,
        );
        assert_eq!(later.expect("a load").power_kw(), [1.0, 2.0]);
    }

    #[test]
    fn two_dates_cannot_ask_for_all_memory() {
        let far = NightLoads::parse(b"date,h00\n0018-01-01,1\n2018-01-01,1\n").expect("loads");
        insta::assert_snapshot!(
            far.to_series().expect_err("refused"),
            @"hours between the first and the last day of the loads is 17531641, more than the 2000000 that are accepted"
        );
    }

    #[test]
    fn nights_are_checked() {
        let text = |text: &str| {
            NightLoads::parse(text.as_bytes())
                .expect_err("refused")
                .to_string()
        };
        insta::assert_snapshot!(text(&NIGHTS.replace("h00", "h01")), @"the column `h01` should be `h00`: hours must follow each other");
        insta::assert_snapshot!(text(&NIGHTS.replace("h22", "x")), @"the column `h15 (or another first hour, h00 to h23)` is missing; found: date, x, h23, h00");
        insta::assert_snapshot!(text(&NIGHTS.replace("date", "day")), @"the column `date` is missing; found: day, h22, h23, h00");
        insta::assert_snapshot!(text(&NIGHTS.replace("01-02", "01-01")), @"line 3: 2018-01-01 does not follow 2018-01-01: a duplicate; rows must be 1440 minutes apart");
        let bad = text(&NIGHTS.replace("01-04", "13-04"));
        let start = "line 4: date must be a time such as 2024-05-06T18:30, found `2018-13-04` (";
        assert!(bad.starts_with(start), "{bad}");
        insta::assert_snapshot!(text(&NIGHTS.replace("5,6", ",6")), @"line 3: h23 is empty");
        insta::assert_snapshot!(text(&NIGHTS.replace("5,6", "5")), @"line 3: the row has 3 fields, the header 4");
        insta::assert_snapshot!(text("date\n2018-01-01\n"), @"the column `h15 (or another first hour, h00 to h23)` is missing; found: date");
    }

    #[test]
    fn series_by_local_clock_and_by_instants() {
        let local = "timestamp_local,a,b\n2016-07-31T23:00,1,10\n2016-08-01T00:00,2,20\n2016-08-01T01:00,3,\n";
        let one = LoadSeries::parse(local.as_bytes(), &LoadColumns::One("a".to_owned()));
        let one = one.expect("loads");
        let night = one
            .load(&grid("2016-07-31T23:00[Europe/Berlin]", 3, 1.0))
            .expect("a load");
        assert_eq!(night.power_kw(), [1.0, 2.0, 3.0]);
        let sum = LoadSeries::parse(local.as_bytes(), &LoadColumns::Sum).expect("loads");
        assert_eq!(sum.power_kw(), [Some(11.0), Some(22.0), None]);
        insta::assert_snapshot!(
            sum.load(&grid("2016-08-01T00:00[Europe/Berlin]", 2, 1.0)).expect_err("a hole"),
            @"the load at 2016-08-01T01:00:00 is empty in the file, and it is needed"
        );
        insta::assert_snapshot!(
            sum.load(&grid("2016-08-02T00:00[Europe/Berlin]", 2, 1.0)).expect_err("outside"),
            @"loads cover 2016-07-31T23:00:00 to 2016-08-01T02:00:00, but 2016-08-02T00:00:00 to 2016-08-02T02:00:00 is needed"
        );
        let utc = local.replace("_local", "_utc");
        let utc = LoadSeries::parse(utc.as_bytes(), &LoadColumns::One("a".to_owned()));
        let utc = utc.expect("loads");
        let grid = grid("2016-08-01T01:00[Europe/Berlin]", 2, 1.0);
        assert_eq!(utc.load(&grid).expect("a load").power_kw(), [1.0, 2.0]);
        let berlin = TimeZone::get("Europe/Berlin").expect("a bundled zone");
        let joined = utc.load_by_local_clock(&grid, jiff::civil::date(2016, 8, 1), &berlin);
        assert_eq!(joined.expect("a load").power_kw(), [1.0, 2.0]);
    }

    #[test]
    fn series_are_checked() {
        let text = |text: &str| {
            let parsed = LoadSeries::parse(text.as_bytes(), &LoadColumns::Sum);
            parsed.expect_err("refused").to_string()
        };
        insta::assert_snapshot!(text("time,a\n1,2\n"), @"the column `timestamp_local` is missing; found: time, a");
        insta::assert_snapshot!(text("timestamp_local\n2016-08-01T00:00\n"), @"the column `one per load, in kW` is missing; found: timestamp_local");
        insta::assert_snapshot!(
            text("timestamp_local,a\n2016-03-27T00:00,2\n2016-03-27T01:00,2\n2016-03-27T03:00,2\n"),
            @"line 4: 2016-03-27T03:00:00 does not follow 2016-03-27T01:00:00: a gap of 1 rows; rows must be 60 minutes apart"
        );
        insta::assert_snapshot!(
            text("timestamp_local,a\n2016-03-27T00:00,inf\n2016-03-27T01:00,2\n"),
            @"line 2: a must be a finite number, found inf"
        );
    }
}
