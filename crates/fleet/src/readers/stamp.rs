//! Clock times in cells.

use crate::error::Error;
use jiff::Zoned;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Disambiguation, TimeZone};

/// A clock time read from a cell, and whether the zone's rules had to choose an instant for it.
pub(super) struct Stamp {
    pub(super) time: Zoned,
    /// The clock time does not exist, or exists twice, in its zone.
    pub(super) ambiguous: bool,
}

/// Reads `2024-05-06T18:30`, with or without seconds, an offset (`Z`, `-0700`, `+01:00`) or a zone
/// (`[Europe/Oslo]`). Without either, `zone` says where the clock hangs; with an offset, `zone`
/// says on which clock the time is shown.
///
/// A clock time that a change of the clocks skips is moved forward by the length of the gap, and
/// one that occurs twice is the first of the two.
pub(super) fn zoned(text: &str, column: &str, zone: Option<&TimeZone>) -> Result<Stamp, Error> {
    let bad = |reason: String| bad_stamp(text, column, &reason);
    let pieces = Pieces::parse(text).map_err(|error| bad(error.to_string()))?;
    if pieces.time_zone_annotation().is_some() {
        let time = text
            .parse::<Zoned>()
            .map_err(|error| bad(error.to_string()))?;
        return Ok(Stamp {
            time,
            ambiguous: false,
        });
    }
    let Some(time) = pieces.time() else {
        return Err(bad("the time of day is missing".to_owned()));
    };
    let civil = pieces.date().to_datetime(time);
    if let Some(offset) = pieces.to_numeric_offset() {
        let instant = offset
            .to_timestamp(civil)
            .map_err(|error| bad(error.to_string()))?;
        let zone = zone.cloned().unwrap_or_else(|| TimeZone::fixed(offset));
        return Ok(Stamp {
            time: instant.to_zoned(zone),
            ambiguous: false,
        });
    }
    let Some(zone) = zone else {
        return Err(Error::NoZone {
            column: column.to_owned(),
            text: text.to_owned(),
        });
    };
    let found = zone.to_ambiguous_zoned(civil);
    let ambiguous = found.is_ambiguous();
    let time = found
        .disambiguate(Disambiguation::Compatible)
        .map_err(|error| bad(error.to_string()))?;
    Ok(Stamp { time, ambiguous })
}

/// Reads an instant as whole seconds since 1970: a clock time with `Z` or an offset; without
/// either it is in UTC.
pub(super) fn second(text: &str, column: &str) -> Result<i64, Error> {
    let instant = zoned(text, column, Some(&TimeZone::UTC))?.time.timestamp();
    if instant.subsec_nanosecond() != 0 {
        return Err(bad_stamp(text, column, "it must be a whole second"));
    }
    Ok(instant.as_second())
}

/// Reads a clock time without offset or zone as whole seconds, counted as if it were in UTC.
pub(super) fn civil_second(text: &str, column: &str) -> Result<i64, Error> {
    let pieces =
        Pieces::parse(text).map_err(|error| bad_stamp(text, column, &error.to_string()))?;
    if pieces.offset().is_some() || pieces.time_zone_annotation().is_some() {
        return Err(bad_stamp(
            text,
            column,
            "it has an offset; local stamps have none",
        ));
    }
    second(text, column)
}

fn bad_stamp(text: &str, column: &str, reason: &str) -> Error {
    let (column, text, reason) = (column.to_owned(), text.to_owned(), reason.to_owned());
    Error::Stamp {
        column,
        text,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oslo() -> TimeZone {
        TimeZone::get("Europe/Oslo").expect("a bundled zone")
    }

    #[test]
    fn offsets_zones_and_neither() {
        let time = |text: &str, zone: Option<&TimeZone>| {
            zoned(text, "arrival", zone)
                .expect("a time")
                .time
                .to_string()
        };
        assert_eq!(
            time("2019-05-01T01:18:45-0700", None),
            "2019-05-01T01:18:45-07:00[-07:00]"
        );
        assert_eq!(
            time("2019-05-01T01:18:45-0700", Some(&oslo())),
            "2019-05-01T10:18:45+02:00[Europe/Oslo]"
        );
        assert_eq!(
            time("2018-12-21 10:24", Some(&oslo())),
            "2018-12-21T10:24:00+01:00[Europe/Oslo]"
        );
        assert_eq!(
            time("2018-12-21T10:24Z", Some(&oslo())),
            "2018-12-21T11:24:00+01:00[Europe/Oslo]"
        );
        assert_eq!(
            time("2018-12-21T10:24[Europe/London]", Some(&oslo())),
            "2018-12-21T10:24:00+00:00[Europe/London]"
        );
    }

    #[test]
    fn changes_of_the_clocks_are_resolved_and_reported() {
        let stamp = zoned("2019-03-31T02:30", "arrival", Some(&oslo())).expect("a time");
        assert_eq!(
            stamp.time.to_string(),
            "2019-03-31T03:30:00+02:00[Europe/Oslo]"
        );
        assert!(stamp.ambiguous);
        let stamp = zoned("2019-10-27T02:30", "arrival", Some(&oslo())).expect("a time");
        assert_eq!(
            stamp.time.to_string(),
            "2019-10-27T02:30:00+02:00[Europe/Oslo]"
        );
        assert!(stamp.ambiguous);
    }

    #[test]
    fn what_is_no_clock_time() {
        let text = |text: &str| match zoned(text, "arrival", None) {
            Ok(stamp) => stamp.time.to_string(),
            Err(error) => error.to_string(),
        };
        insta::assert_snapshot!(text("2019-05-01T01:18"), @"arrival `2019-05-01T01:18` has no offset from UTC; name the time zone that it is in");
        insta::assert_snapshot!(text("2019-05-01"), @"arrival must be a time such as 2024-05-06T18:30, found `2019-05-01` (the time of day is missing)");
        // The end of these texts is the date library's.
        for bad in ["2019-02-30T10:00Z", "yesterday", "2019-05-01T25:00Z"] {
            let start = "arrival must be a time such as 2024-05-06T18:30, found";
            let found = text(bad);
            assert!(found.starts_with(&format!("{start} `{bad}` (")), "{found}");
        }
        insta::assert_snapshot!(
            civil_second("2019-05-01T01:18Z", "timestamp_local").expect_err("refused"),
            @"timestamp_local must be a time such as 2024-05-06T18:30, found `2019-05-01T01:18Z` (it has an offset; local stamps have none)"
        );
    }
}
