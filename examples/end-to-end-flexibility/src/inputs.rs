//! Sessions, prices and loads joined on one time grid.

use std::io::Read;
use std::path::Path;

use evflex::fleet::readers::fleet::{fleet_from_json, read_fleet};
use evflex::fleet::readers::loads::{LoadColumns, LoadSeries, NightLoads};
use evflex::fleet::readers::prices::PriceSeries;
use evflex::fleet::readers::sessions::{BadRows, SessionFile, SessionPolicy};
use evflex::fleet::{ClockSession, Direction, Edges, Fleet, Hours, SessionFleet, TimeGrid};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan, Zoned};
use ndarray::Array1;
use serde::Serialize;

use crate::config::{DEFAULT_ZONE, ScheduleConfig, WindowEnd};
use crate::error::Error;

/// A fleet, and where it comes from.
#[derive(Debug)]
pub struct FleetInput {
    /// The fleet.
    pub fleet: Fleet,
    /// For a sessions file, what became of its rows.
    pub sessions: Option<SessionCounts>,
    /// Name of the instance in results.
    pub name: String,
}

/// What became of the rows of a sessions file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SessionCounts {
    /// Rows that are sessions.
    pub in_file: usize,
    /// Sessions that became vehicles.
    pub scheduled: usize,
    /// Rows that could not be read (`--skip-bad-rows`).
    pub refused: usize,
    /// The first reasons for that, with their lines.
    pub refused_reasons: Vec<String>,
    /// Clock times that a change of the clocks skips or doubles, for which a rule decided.
    pub adjusted: usize,
    /// Sessions that arrived before the window and were still there when it began; not scheduled.
    pub arrived_before: usize,
    /// Sessions that arrived in the window and left after it.
    pub left_after: usize,
    /// What became of those.
    pub left_after_rule: &'static str,
    /// Hours by which the horizon was extended for them.
    pub extended_hours: f64,
}

/// A series on the grid, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesInput {
    /// One value per step.
    pub values: Array1<f64>,
    /// Where it comes from.
    pub source: SeriesSource,
}

/// Where a series comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesSource {
    /// Name of the file, or what else it is.
    pub source: String,
    /// First local day that was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
}

/// How many reasons for refused rows a summary repeats.
const REASONS: usize = 10;

/// Years of a file in which the day of a grid is looked for.
const YEARS: i16 = 5;

/// Longest window that is scheduled, steps.
const MAX_STEPS: usize = 100_000;

/// The fleet of `--input`: a file, or `-` for standard input.
pub(crate) fn fleet_from(path: &Path) -> Result<Fleet, Error> {
    let failed = Error::input("--input");
    if path != Path::new("-") {
        return read_fleet(path).map_err(failed);
    }
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(|reason| {
        failed(evflex::fleet::Error::Io {
            action: "read",
            path: "standard input".to_owned(),
            reason,
        })
    })?;
    fleet_from_json(&text).map_err(failed)
}

impl FleetInput {
    /// The fleet of `--input`, with the start of `--start` if it has none of its own.
    pub(crate) fn from_json(path: &Path, config: &ScheduleConfig) -> Result<Self, Error> {
        let failed = Error::input("--input");
        let fleet = fleet_from(path)?;
        let fleet = match (config.start, fleet.grid().start()) {
            (None, _) => fleet,
            (Some(_), Some(own)) => {
                return Err(Error::option(
                    "--start",
                    format!("the fleet has a start of its own, {own}; leave this out"),
                ));
            }
            (Some(start), None) => {
                let zone = zone("--zone", config.zone.as_deref().unwrap_or(DEFAULT_ZONE))?;
                let start = local("--start", start, &zone)?;
                let grid = fleet.grid().clone().starting_at(start);
                Fleet::new(grid, fleet.vehicles().to_vec()).map_err(&failed)?
            }
        };
        Ok(Self {
            fleet,
            sessions: None,
            name: file_name(path),
        })
    }

    /// The sessions of a file that arrive in the window.
    pub(crate) fn from_sessions(path: &Path, config: &ScheduleConfig) -> Result<Self, Error> {
        let failed = Error::input("--sessions");
        let mut policy = SessionPolicy::default();
        if let Some(name) = &config.zone {
            policy = policy.zone(zone("--zone", name)?);
        }
        if config.skip_bad_rows {
            policy = policy.bad_rows(BadRows::List);
        }
        let file = SessionFile::read(path, &policy).map_err(&failed)?;
        let window = Window::new(&file.sessions, config)?;
        let (sessions, mut counts) = window.select(&file);
        let direction = if config.v2g {
            Direction::VehicleToGrid
        } else {
            Direction::ChargeOnly
        };
        let (grid, edges) = match config.window_end {
            WindowEnd::Extend => {
                let steps = window.steps_to(&sessions)?;
                counts.left_after_rule = "horizon extended";
                counts.extended_hours =
                    (steps - window.grid.steps()) as f64 * window.grid.step_hours();
                (window.grid(steps)?, Edges::Refuse)
            }
            WindowEnd::LeaveOut => {
                counts.left_after_rule = "left out";
                (window.grid.clone(), Edges::LeaveOut)
            }
            WindowEnd::Cut => {
                counts.left_after_rule = "cut";
                (window.grid.clone(), Edges::Cut)
            }
        };
        let made = SessionFleet::new(&sessions, &grid, direction, edges).map_err(|error| {
            match error.reason() {
                evflex::fleet::Error::EmptyFleet => Error::option(
                    "--start",
                    format!(
                        "no session of the file is in the window from {} to {}; the file has arrivals from {} to {}",
                        window.start, window.end, window.first, window.last
                    ),
                ),
                _ => failed(error),
            }
        })?;
        counts.scheduled = made.fleet.len();
        Ok(Self {
            fleet: made.fleet,
            sessions: Some(counts),
            name: file_name(path),
        })
    }
}

/// The window in which sessions arrive.
struct Window {
    grid: TimeGrid,
    start: Zoned,
    end: Zoned,
    /// First and last arrival of the file.
    first: Zoned,
    last: Zoned,
}

impl Window {
    fn new(sessions: &[ClockSession], config: &ScheduleConfig) -> Result<Self, Error> {
        let first = sessions.iter().map(|session| &session.arrival).min();
        let last = sessions.iter().map(|session| &session.arrival).max();
        let (Some(first), Some(last)) = (first.cloned(), last.cloned()) else {
            return Err(Error::input("--sessions")(evflex::fleet::Error::EmptyFleet));
        };
        let zone = first.time_zone();
        let start = match config.start {
            Some(start) => local("--start", start, zone)?,
            None => first_monday(&first, &last)?,
        };
        let step_hours = step_hours(config)?;
        let steps = if let Some(steps) = config.steps {
            steps.get()
        } else {
            let days = config
                .days
                .map_or(7, |days| i64::try_from(days.get()).unwrap_or(i64::MAX));
            let end = Span::new()
                .try_days(days)
                .and_then(|span| start.checked_add(span))
                .map_err(|_| Error::option("--days", "the window ends beyond the calendar"))?;
            whole_steps(hours_between(&start, &end) / step_hours)
        };
        check_steps(steps)?;
        let grid = TimeGrid::new(steps, Hours(step_hours))
            .map_err(Error::input("--step-minutes"))?
            .starting_at(start.clone());
        let beyond = || Error::option("--start", "the window ends beyond the calendar");
        let end = grid.end().ok_or_else(beyond)?;
        Ok(Self {
            grid,
            start,
            end,
            first,
            last,
        })
    }

    /// The sessions that arrive in the window, and the counts of all others.
    fn select(&self, file: &SessionFile) -> (Vec<ClockSession>, SessionCounts) {
        let mut counts = SessionCounts {
            in_file: file.sessions.len(),
            refused: file.refused.len(),
            refused_reasons: file
                .refused
                .iter()
                .take(REASONS)
                .map(ToString::to_string)
                .collect(),
            adjusted: file.adjusted.len(),
            ..SessionCounts::default()
        };
        let mut selected = Vec::new();
        for session in &file.sessions {
            if session.arrival < self.start {
                counts.arrived_before += usize::from(session.departure > self.start);
            } else if session.arrival < self.end {
                counts.left_after += usize::from(session.departure > self.end);
                selected.push(session.clone());
            }
        }
        (selected, counts)
    }

    /// Steps of the window, or to the last departure if that is later.
    fn steps_to(&self, sessions: &[ClockSession]) -> Result<usize, Error> {
        let last = sessions.iter().map(|session| &session.departure).max();
        let hours = last.map_or(0.0, |last| hours_between(&self.start, last));
        let steps = whole_steps(hours / self.grid.step_hours()).max(self.grid.steps());
        if steps > MAX_STEPS {
            return Err(Error::option(
                "--window-end",
                format!(
                    "extending the horizon to the last departure takes {steps} steps, more than {MAX_STEPS}; choose leave-out or cut"
                ),
            ));
        }
        Ok(steps)
    }

    fn grid(&self, steps: usize) -> Result<TimeGrid, Error> {
        let grid = TimeGrid::new(steps, Hours(self.grid.step_hours()));
        Ok(grid
            .map_err(Error::input("--step-minutes"))?
            .starting_at(self.start.clone()))
    }
}

/// The first Monday, midnight, from the first arrival on; if the file ends before, the day of the first
/// arrival.
fn first_monday(first: &Zoned, last: &Zoned) -> Result<Zoned, Error> {
    let calendar = |_| Error::option("--start", "the window is beyond the calendar");
    let day = first.start_of_day().map_err(calendar)?;
    // Sessions before the first midnight of a Monday are not in a week that the file covers.
    let mut ahead = i64::from(day.weekday().until(Weekday::Monday));
    if ahead == 0 && &day < first && hours_between(&day, first) > 12.0 {
        ahead = 7;
    }
    let monday = day.checked_add(ahead.days()).map_err(calendar)?;
    Ok(if &monday <= last { monday } else { day })
}

/// Length of a step in hours.
pub(crate) fn step_hours(config: &ScheduleConfig) -> Result<f64, Error> {
    let minutes = config.step_minutes.unwrap_or(60.0);
    if minutes.is_finite() && (1.0..=1440.0).contains(&minutes) {
        return Ok(minutes / 60.0);
    }
    Err(Error::option(
        "--step-minutes",
        format!("{minutes} is no length of a step; it must be between 1 and 1440"),
    ))
}

/// Refuses windows that nobody means.
pub(crate) fn check_steps(steps: usize) -> Result<(), Error> {
    if steps <= MAX_STEPS {
        return Ok(());
    }
    Err(Error::option(
        "--steps",
        format!(
            "{steps} steps are more than the {MAX_STEPS} that are accepted; choose a shorter window or longer steps"
        ),
    ))
}

/// The time zone of this name.
pub(crate) fn zone(option: &'static str, name: &str) -> Result<TimeZone, Error> {
    TimeZone::get(name).map_err(|_| {
        Error::option(
            option,
            format!("`{name}` is no time zone; give a name such as Europe/Oslo"),
        )
    })
}

/// The instant of a local clock time.
pub(crate) fn local(
    option: &'static str,
    time: jiff::civil::DateTime,
    zone: &TimeZone,
) -> Result<Zoned, Error> {
    time.to_zoned(zone.clone())
        .map_err(|error| Error::option(option, format!("{time}: {error}")))
}

fn hours_between(from: &Zoned, to: &Zoned) -> f64 {
    to.duration_since(from).as_secs_f64() / 3600.0
}

/// Number of whole steps that hold `steps`; a billionth more is rounding.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, not negative"
)]
pub(crate) fn whole_steps(steps: f64) -> usize {
    ((steps - 1e-9).ceil().max(1.0)) as usize
}

/// Name of a file without its folder, so that results do not depend on where it lies.
pub(crate) fn file_name(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// A price or load file, read.
#[derive(Debug)]
pub(crate) struct SeriesFile<S> {
    series: S,
    name: String,
    option: &'static str,
    /// First whole local day of the file, where it is known.
    pub(crate) first_day: Option<Date>,
}

/// The file of `--prices`.
pub(crate) fn price_file(
    config: &ScheduleConfig,
    path: &Path,
) -> Result<Option<(SeriesFile<PriceSeries>, TimeZone)>, Error> {
    let name = config.price_zone.as_deref().unwrap_or(DEFAULT_ZONE);
    let zone = zone("--price-zone", name)?;
    let series = PriceSeries::read(path, config.price_column.as_deref())
        .map_err(Error::input("--prices"))?;
    let first = series.start().to_zoned(zone.clone());
    let first_day = whole_day(first.datetime());
    let name = format!("{}, column {}", file_name(path), series.column());
    let file = SeriesFile {
        series,
        name,
        option: "--prices",
        first_day: Some(first_day),
    };
    Ok(Some((file, zone)))
}

/// The file of `--loads`, one row per night or one per instant.
pub(crate) fn load_file(
    config: &ScheduleConfig,
    path: &Path,
) -> Result<Option<SeriesFile<LoadSeries>>, Error> {
    let failed = Error::input("--loads");
    let (series, first_day) = if header(path)?.split(',').any(|name| name.trim() == "date") {
        if let Some(column) = &config.load_column {
            return Err(Error::option(
                "--load-column",
                format!("`{column}`: a file with one row per night has one load only"),
            ));
        }
        let nights = NightLoads::read(path).map_err(&failed)?;
        let series = nights
            .to_series()
            .map_err(|e| failed(e.at(path.display().to_string())))?;
        (series, nights.dates().first().copied())
    } else {
        let columns = match &config.load_column {
            Some(name) => LoadColumns::One(name.clone()),
            None => LoadColumns::Sum,
        };
        (LoadSeries::read(path, &columns).map_err(&failed)?, None)
    };
    Ok(Some(SeriesFile {
        series,
        name: file_name(path),
        option: "--loads",
        first_day,
    }))
}

/// The first line of a file.
fn header(path: &Path) -> Result<String, Error> {
    use std::io::BufRead;
    let mut line = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            // No header is longer; a file without line ends is not read whole.
            std::io::BufReader::new(file.take(1 << 20)).read_until(b'\n', &mut line)
        })
        .map_err(|reason| {
            Error::input("--loads")(evflex::fleet::Error::Io {
                action: "read",
                path: path.display().to_string(),
                reason,
            })
        })?;
    Ok(String::from_utf8_lossy(&line)
        .trim_start_matches('\u{feff}')
        .trim()
        .to_owned())
}

/// The day of a time, or the next if it is not midnight.
fn whole_day(time: jiff::civil::DateTime) -> Date {
    if time.time() == jiff::civil::Time::midnight() {
        time.date()
    } else {
        time.date().tomorrow().unwrap_or(Date::MAX)
    }
}

/// Puts a series on the grid: from `from` if that is given, otherwise from the grid's own first
/// day, and where the file does not have that, from the same day of another year, and where it
/// has none, from its own first whole day.
fn join<S>(
    file: &SeriesFile<S>,
    grid: &TimeGrid,
    from: Option<Date>,
    values: impl Fn(&S, Date) -> Result<Vec<f64>, evflex::fleet::Error>,
) -> Result<SeriesInput, Error> {
    use evflex::fleet::Error as FleetError;
    let Some(start) = grid.start() else {
        return Err(Error::option(
            "--start",
            format!(
                "the fleet has no clock times, so {} cannot be joined to it; give it a start",
                file.option
            ),
        ));
    };
    let mut candidates = vec![from.unwrap_or_else(|| start.date())];
    if let (None, Some(first)) = (from, file.first_day) {
        let years = (0..YEARS).filter_map(|ahead| first.year().checked_add(ahead));
        candidates.extend(years.filter_map(|y| Date::new(y, start.month(), start.day()).ok()));
        candidates.push(first);
    }
    let mut found = values(&file.series, candidates[0]);
    let mut taken = candidates[0];
    for &candidate in &candidates[1..] {
        if !matches!(found, Err(FleetError::NotCovered { .. })) {
            break;
        }
        found = values(&file.series, candidate);
        taken = candidate;
    }
    // The readers go on to the weekday of the grid's first day.
    let ahead = i64::from(taken.weekday().until(start.weekday()));
    Ok(SeriesInput {
        values: found.map_err(Error::input(file.option))?.into(),
        source: SeriesSource {
            source: file.name.clone(),
            from: taken.checked_add(ahead.days()).ok(),
        },
    })
}

/// Prices on the grid, EUR/MWh, by local clock and weekday.
pub(crate) fn prices(
    file: &SeriesFile<PriceSeries>,
    zone: &TimeZone,
    grid: &TimeGrid,
    from: Option<Date>,
) -> Result<SeriesInput, Error> {
    join(file, grid, from, |series, from| {
        let tariff = series.tariff_by_local_clock(grid, from, zone)?;
        Ok(tariff.eur_per_mwh().to_vec())
    })
}

/// Loads on the grid, kW, by local clock and weekday.
pub(crate) fn loads(
    file: &SeriesFile<LoadSeries>,
    grid: &TimeGrid,
    from: Option<Date>,
) -> Result<SeriesInput, Error> {
    let zone = grid
        .start()
        .map_or(TimeZone::UTC, |start| start.time_zone().clone());
    join(file, grid, from, |series, from| {
        let load = series.load_by_local_clock(grid, from, &zone)?;
        Ok(load.power_kw().to_vec())
    })
}

/// The column `power_kw` of a CSV file with one row per step.
pub(crate) fn target(path: &Path, steps: usize) -> Result<Array1<f64>, Error> {
    use evflex::fleet::Error as FleetError;
    const COLUMN: &str = "power_kw";
    let failed = |error: FleetError| Error::input("--target")(error.at(path.display().to_string()));
    let csv = |error: csv::Error| {
        failed(FleetError::Csv {
            reason: error.to_string(),
        })
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(csv)?;
    let header = reader.headers().map_err(csv)?.clone();
    let column = header
        .iter()
        .position(|name| name.trim_start_matches('\u{feff}') == COLUMN)
        .ok_or_else(|| {
            failed(FleetError::MissingColumn {
                column: COLUMN.to_owned(),
                found: header.iter().collect::<Vec<_>>().join(", "),
            })
        })?;
    let mut target = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv)?;
        let text = record.get(column).unwrap_or_default();
        let value: f64 = text
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .ok_or_else(|| {
                let line = record.position().map_or(0, csv::Position::line);
                failed(
                    FleetError::NotANumber {
                        column: COLUMN.to_owned(),
                        text: text.to_owned(),
                    }
                    .at(format!("line {line}")),
                )
            })?;
        target.push(value);
    }
    if target.len() != steps {
        return Err(failed(FleetError::Length {
            what: format!("rows, one {COLUMN} per step of the fleet,"),
            expected: steps,
            found: target.len(),
        }));
    }
    Ok(target.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        format!("{text}[Europe/Oslo]").parse().unwrap()
    }

    #[test]
    fn the_first_week_starts_on_the_first_monday_that_the_file_covers() {
        let monday = |first: &str, last: &str| {
            first_monday(&zoned(first), &zoned(last))
                .unwrap()
                .date()
                .to_string()
        };
        // 2024-05-06 is a Monday.
        assert_eq!(monday("2024-05-01T10:00", "2024-06-01T10:00"), "2024-05-06");
        assert_eq!(monday("2024-05-06T07:30", "2024-06-01T10:00"), "2024-05-06");
        assert_eq!(monday("2024-05-06T16:30", "2024-06-01T10:00"), "2024-05-13");
        // A file that ends before: from its own first day on.
        assert_eq!(monday("2024-05-07T10:00", "2024-05-09T10:00"), "2024-05-07");
    }

    #[test]
    fn steps_are_rounded_up_but_not_by_rounding() {
        assert_eq!(whole_steps(17.999_999_999_9), 18);
        assert_eq!(whole_steps(18.000_000_000_1), 18);
        assert_eq!(whole_steps(18.01), 19);
        assert_eq!(whole_steps(-3.0), 1);
    }

    #[test]
    fn bad_windows_are_named() {
        let minutes = |minutes| {
            let config = ScheduleConfig {
                step_minutes: Some(minutes),
                ..ScheduleConfig::default()
            };
            step_hours(&config).map_err(|error| error.to_string())
        };
        assert_eq!(minutes(15.0), Ok(0.25));
        for bad in [0.0, -15.0, f64::NAN, 1e9] {
            assert!(minutes(bad).unwrap_err().starts_with("--step-minutes: "));
        }
        assert!(check_steps(1_000_000).is_err());
        let error = zone("--zone", "Middle/Earth").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--zone: `Middle/Earth` is no time zone; give a name such as Europe/Oslo"
        );
    }
}
