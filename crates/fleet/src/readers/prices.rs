//! CSV files of energy prices.

use super::series::{Series, by_local_clock, hole_error};
use super::table::{self, Table};
use super::{read_bytes, stamp};
use crate::error::Error;
use crate::tariff::Tariff;
use crate::time_grid::TimeGrid;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::path::Path;

/// The column with the start of each interval.
const STAMP: &str = "timestamp_utc";

/// Prices of consecutive intervals of equal length, in EUR/MWh, from a CSV file.
///
/// The file has the column `timestamp_utc` (start of the interval; `Z` or an offset, or neither) and
/// one or more columns of prices. Rows must be a constant time apart, for instance 15 or 60 minutes;
/// gaps, duplicates and disorder are errors. A price cell may be empty, which matters only if that
/// price is asked for.
///
/// ```
/// use evflex_fleet::readers::prices::PriceSeries;
/// use evflex_fleet::{Hours, TimeGrid};
/// let text = b"timestamp_utc,price_eur_mwh
/// 2024-05-05T22:00:00Z,80
/// 2024-05-05T23:00:00Z,60
/// 2024-05-06T00:00:00Z,-5";
/// let prices = PriceSeries::parse(text, None)?;
/// // A Monday in 2019 in California, priced by the same clock and weekday in Berlin in 2024.
/// let grid = TimeGrid::new(4, Hours(0.5))?.starting_at("2019-05-06T00:30[America/Los_Angeles]".parse()?);
/// let berlin = jiff::tz::TimeZone::get("Europe/Berlin")?;
/// let tariff = prices.tariff_by_local_clock(&grid, "2024-05-06".parse()?, &berlin)?;
/// assert_eq!(tariff.eur_per_mwh(), [80.0, 60.0, 60.0, -5.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PriceSeries {
    column: String,
    series: Series,
}

impl PriceSeries {
    /// Parses CSV text, with the prices of `column`.
    ///
    /// Without a name, the column is the only one whose name starts with `price` or ends in
    /// `eur_mwh`.
    ///
    /// # Errors
    /// [`Error::EmptyFile`], [`Error::NoRows`], [`Error::MissingColumn`]; [`Error::ChooseColumn`]
    /// if several could be meant; with the line, [`Error::Ragged`], [`Error::Stamp`],
    /// [`Error::NotANumber`], [`Error::NotFinite`] and [`Error::SeriesStep`];
    /// [`Error::ShortSeries`].
    pub fn parse(text: &[u8], column: Option<&str>) -> Result<Self, Error> {
        let table = Table::parse(text)?;
        let stamps = table.column(STAMP)?;
        let name = match column {
            Some(name) => name.to_owned(),
            None => price_column(&table)?,
        };
        let prices = table.column(&name)?;
        let mut rows = Vec::with_capacity(table.rows().len());
        for row in table.rows() {
            let fields = row.fields()?;
            let read = || {
                let second = stamp::second(table::text(fields, stamps, STAMP)?, STAMP)?;
                Ok((
                    row.line,
                    second,
                    table::optional_number(fields, prices, &name)?,
                ))
            };
            rows.push(read().map_err(|error: Error| error.at(row.place()))?);
        }
        Ok(Self {
            column: name,
            series: Series::new(&rows, show)?,
        })
    }

    /// Parses a file.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`PriceSeries::parse`], with the path in front.
    pub fn read(path: &Path, column: Option<&str>) -> Result<Self, Error> {
        Self::parse(&read_bytes(path)?, column).map_err(|e| e.at(path.display().to_string()))
    }

    /// Name of the column of prices.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Prices per interval, EUR/MWh; `None` where the cell is empty.
    #[must_use]
    pub fn eur_per_mwh(&self) -> &[Option<f64>] {
        self.series.values()
    }

    /// Length of an interval in hours.
    #[must_use]
    pub fn step_hours(&self) -> f64 {
        self.series.step() as f64 / 3600.0
    }

    /// Start of the first interval.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        Timestamp::from_second(self.series.start()).unwrap_or(Timestamp::MIN)
    }

    /// End of the last interval.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        Timestamp::from_second(self.series.end()).unwrap_or(Timestamp::MAX)
    }

    /// The prices at the grid's own instants.
    ///
    /// A step shorter than an interval gets the price of its interval (an hourly price is repeated
    /// for four quarter-hours); a longer one gets the mean over its time.
    ///
    /// # Errors
    /// [`Error::NoStart`]; [`Error::NotCovered`] if the file does not cover the grid;
    /// [`Error::EmptyValue`] if a cell that is needed is empty.
    pub fn tariff(&self, grid: &TimeGrid) -> Result<Tariff, Error> {
        let start = grid.start().ok_or(Error::NoStart)?.timestamp();
        let start = start.as_second() as f64 + f64::from(start.subsec_nanosecond()) * 1e-9;
        let seconds = grid.step_hours() * 3600.0;
        let starts = (0..grid.steps()).map(|step| start + step as f64 * seconds);
        self.priced(grid, &starts.collect::<Vec<_>>())
    }

    /// The prices of the same local clock time and weekday in another year or country.
    ///
    /// The first day of the grid is priced with the first day from `from` on that has the same
    /// weekday, the following days with the days that follow it. A step that starts at 18:15 on
    /// the grid's clock gets the price from 18:15 on the clock of `zone` (prices of the German
    /// market: `Europe/Berlin`), over the length of the step as in [`PriceSeries::tariff`].
    ///
    /// Where the clocks change, on the side of the prices, a local time that is skipped is read an
    /// hour later, and of a doubled one the first is taken. On the side of the grid, a doubled
    /// hour gets the same prices twice, and a skipped one leaves its price unused.
    ///
    /// # Errors
    /// As [`PriceSeries::tariff`], where the days that are needed from the file are those from
    /// `from` on; [`Error::Calendar`] at the end of the calendar.
    pub fn tariff_by_local_clock(
        &self,
        grid: &TimeGrid,
        from: Date,
        zone: &TimeZone,
    ) -> Result<Tariff, Error> {
        let starts = by_local_clock(grid, from, |civil| {
            let instant = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
            Some(instant.as_second() as f64 + f64::from(instant.subsec_nanosecond()) * 1e-9)
        })?;
        self.priced(grid, &starts)
    }

    fn priced(&self, grid: &TimeGrid, starts: &[f64]) -> Result<Tariff, Error> {
        let means = self.series.means(starts, grid.step_hours() * 3600.0);
        Tariff::new(
            grid.clone(),
            means.map_err(|hole| hole_error(hole, &self.series, "prices", "the price", show))?,
        )
    }
}

/// The only column that looks like prices.
fn price_column(table: &Table) -> Result<String, Error> {
    let mut candidates = table
        .columns()
        .iter()
        .filter(|name| name.starts_with("price") || name.ends_with("eur_mwh"));
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(table.missing("price_eur_mwh")),
        (Some(first), Some(second)) => {
            let names: Vec<&str> = [first, second]
                .into_iter()
                .chain(candidates)
                .map(String::as_str)
                .collect();
            Err(Error::ChooseColumn {
                candidates: names.join(", "),
            })
        }
    }
}

/// A second as a stamp in UTC.
fn show(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("a bundled zone")
    }

    /// Hourly prices equal to the hour number since `start`.
    fn hourly(start: &str, hours: i64) -> PriceSeries {
        use std::fmt::Write;
        let start: Timestamp = start.parse().expect("an instant");
        let mut text = "timestamp_utc,price\n".to_owned();
        for hour in 0..hours {
            let at = Timestamp::from_second(start.as_second() + 3600 * hour).expect("an instant");
            writeln!(text, "{at},{hour}").expect("text");
        }
        PriceSeries::parse(text.as_bytes(), None).expect("prices")
    }

    fn grid(start: &str, steps: usize, hours: f64) -> TimeGrid {
        let start = start.parse().expect("a clock time");
        TimeGrid::new(steps, Hours(hours))
            .expect("a grid")
            .starting_at(start)
    }

    #[test]
    fn own_instants_finer_and_coarser() {
        let prices = hourly("2024-03-30T23:00:00Z", 48);
        // 2024-03-31 in Berlin starts at 23:00 UTC and has 23 hours.
        let tariff = prices
            .tariff(&grid("2024-03-31T00:00[Europe/Berlin]", 5, 0.5))
            .expect("ok");
        assert_eq!(tariff.eur_per_mwh(), [0.0, 0.0, 1.0, 1.0, 2.0]);
        let tariff = prices
            .tariff(&grid("2024-03-31T00:00[Europe/Berlin]", 3, 2.0))
            .expect("ok");
        assert_eq!(tariff.eur_per_mwh(), [0.5, 2.5, 4.5]);
        let shifted = prices
            .tariff(&grid("2024-03-31T00:15[Europe/Berlin]", 1, 1.0))
            .expect("ok");
        assert_eq!(shifted.eur_per_mwh(), [0.25]);
    }

    #[test]
    fn a_skipped_hour_of_the_prices_is_read_an_hour_later() {
        // Midnight in Berlin on the Sunday is hour 0; 02:00 is skipped, 03:00 is hour 2.
        let prices = hourly("2024-03-30T23:00:00Z", 48);
        let tariff = prices
            .tariff_by_local_clock(
                &grid("2019-05-05T00:00[America/Los_Angeles]", 6, 1.0),
                jiff::civil::date(2024, 3, 25),
                &berlin(),
            )
            .expect("a tariff");
        assert_eq!(tariff.eur_per_mwh(), [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_doubled_hour_of_the_prices_is_read_once() {
        // Midnight in Berlin on 2024-10-27 is 22:00 UTC: hours 0, 1, 2 (first 02:00), 3 (second).
        let prices = hourly("2024-10-26T22:00:00Z", 48);
        let tariff = prices
            .tariff_by_local_clock(
                &grid("2019-05-05T00:00[America/Los_Angeles]", 5, 1.0),
                jiff::civil::date(2024, 10, 27),
                &berlin(),
            )
            .expect("a tariff");
        assert_eq!(tariff.eur_per_mwh(), [0.0, 1.0, 2.0, 4.0, 5.0]);
    }

    #[test]
    fn a_change_of_the_clocks_on_the_grid() {
        // Oslo, 2019-10-27: 02:00 occurs twice. Prices of a plain Sunday from local midnight.
        let prices = hourly("2024-05-04T22:00:00Z", 48);
        let sunday = jiff::civil::date(2024, 5, 5);
        let join = |start: &str, steps| {
            let tariff = prices.tariff_by_local_clock(&grid(start, steps, 1.0), sunday, &berlin());
            tariff.expect("a tariff").eur_per_mwh().to_vec()
        };
        assert_eq!(
            join("2019-10-27T00:00[Europe/Oslo]", 5),
            [0.0, 1.0, 2.0, 2.0, 3.0]
        );
        assert_eq!(
            join("2019-03-31T00:00[Europe/Oslo]", 4),
            [0.0, 1.0, 3.0, 4.0]
        );
    }

    #[test]
    fn the_week_starts_with_the_same_weekday() {
        // From Wednesday 2024-05-01 on, the first Monday is the 6th: 120 h after Wednesday.
        let prices = hourly("2024-04-30T22:00:00Z", 24 * 14);
        let tariff = prices
            .tariff_by_local_clock(
                &grid("2019-05-06T00:00[America/Los_Angeles]", 2, 24.0),
                jiff::civil::date(2024, 5, 1),
                &berlin(),
            )
            .expect("a tariff");
        assert_eq!(tariff.eur_per_mwh(), [120.0 + 11.5, 144.0 + 11.5]);
    }

    #[test]
    fn what_is_not_covered_or_empty_is_named() {
        let prices = hourly("2024-05-04T22:00:00Z", 24);
        insta::assert_snapshot!(
            prices.tariff(&grid("2024-05-05T12:00[Europe/Berlin]", 24, 1.0)).expect_err("refused"),
            @"prices cover 2024-05-04T22:00:00Z to 2024-05-05T22:00:00Z, but 2024-05-05T10:00:00Z to 2024-05-06T10:00:00Z is needed"
        );
        insta::assert_snapshot!(
            prices.tariff(&TimeGrid::new(2, Hours(1.0)).expect("a grid")).expect_err("refused"),
            @"the time grid has no start; give it one with `TimeGrid::starting_at`"
        );
        let text =
            "timestamp_utc,price\n2024-05-05T00:00Z,1\n2024-05-05T01:00Z,\n2024-05-05T02:00Z,3\n";
        let prices = PriceSeries::parse(text.as_bytes(), None).expect("prices");
        assert_eq!(prices.eur_per_mwh(), [Some(1.0), None, Some(3.0)]);
        assert!(
            prices
                .tariff(&grid("2024-05-05T02:00[UTC]", 1, 1.0))
                .is_ok()
        );
        insta::assert_snapshot!(
            prices.tariff(&grid("2024-05-05T00:00[UTC]", 2, 1.0)).expect_err("refused"),
            @"the price at 2024-05-05T01:00:00Z is empty in the file, and it is needed"
        );
    }

    #[test]
    fn columns_and_rows_are_checked() {
        let text = |text: &str, column| {
            PriceSeries::parse(text.as_bytes(), column)
                .expect_err("refused")
                .to_string()
        };
        let two =
            "timestamp_utc,ida_eur_mwh,id3_eur_mwh\n2024-05-05T00:00Z,1,2\n2024-05-05T01:00Z,1,2\n";
        insta::assert_snapshot!(text(two, None), @"several columns could be meant, name one of: ida_eur_mwh, id3_eur_mwh");
        insta::assert_snapshot!(text(two, Some("id1_eur_mwh")), @"the column `id1_eur_mwh` is missing; found: timestamp_utc, ida_eur_mwh, id3_eur_mwh");
        assert_eq!(
            PriceSeries::parse(two.as_bytes(), Some("id3_eur_mwh"))
                .expect("prices")
                .column(),
            "id3_eur_mwh"
        );
        insta::assert_snapshot!(text("timestamp_utc,load\n2024-05-05T00:00Z,1\n", None), @"the column `price_eur_mwh` is missing; found: timestamp_utc, load");
        insta::assert_snapshot!(text("time,price\n1,2\n", None), @"the column `timestamp_utc` is missing; found: time, price");
        let rows = |rows: &str| text(&format!("timestamp_utc,price\n{rows}"), None);
        insta::assert_snapshot!(rows("2024-05-05T00:00Z,1\n2024-05-05T01:00Z,1\n2024-05-05T03:00Z,1\n"), @"line 4: 2024-05-05T03:00:00Z does not follow 2024-05-05T01:00:00Z: a gap of 1 rows; rows must be 60 minutes apart");
        insta::assert_snapshot!(rows("2024-05-05T00:00Z,1\n2024-05-05T01:00Z,1\n2024-05-05T01:00Z,1\n"), @"line 4: 2024-05-05T01:00:00Z does not follow 2024-05-05T01:00:00Z: a duplicate; rows must be 60 minutes apart");
        insta::assert_snapshot!(rows("2024-05-05T00:00Z,1\n2024-05-05T01:00Z,x\n"), @"line 3: price must be a number with a decimal point, found `x`");
        insta::assert_snapshot!(rows("2024-05-05T00:00Z,1\n2024-05-05T01:00Z\n"), @"line 3: the row has 1 fields, the header 2");
        insta::assert_snapshot!(rows("2024-05-05T00:00:00.5Z,1\n"), @"line 2: timestamp_utc must be a time such as 2024-05-06T18:30, found `2024-05-05T00:00:00.5Z` (it must be a whole second)");
        insta::assert_snapshot!(rows("2024-05-05T00:00Z,1\n"), @"a time series needs at least two rows");
        insta::assert_snapshot!(rows(""), @"the file has a header but no rows");
    }
}
