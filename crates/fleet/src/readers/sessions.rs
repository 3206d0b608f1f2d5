//! CSV files of charging sessions.

use super::table::{self, Table};
use super::{read_bytes, stamp};
use crate::clock_session::{ClockSession, clock};
use crate::error::Error;
use csv::StringRecord;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// What becomes of rows that cannot be read as a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRows {
    /// The first of them is an error: right for data of one's own.
    #[default]
    Refuse,
    /// They are left out and listed in [`SessionFile::refused`].
    List,
}

/// What becomes of sessions whose energy the plug could not have delivered in their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undeliverable {
    /// They are bad rows: most often a unit is wrong.
    #[default]
    Refuse,
    /// Their energy is lowered to what can be delivered, and they are listed in
    /// [`SessionFile::adjusted`].
    LowerEnergy,
}

/// How to read a file of sessions. The default is strict and knows no zone.
#[derive(Clone, Debug, Default)]
pub struct SessionPolicy {
    zone: Option<TimeZone>,
    bad_rows: BadRows,
    undeliverable: Undeliverable,
}

impl SessionPolicy {
    /// The zone of stamps without an offset, and the clock on which all times are shown.
    ///
    /// Without it, stamps need an offset, and local clock and weekday are those of that offset.
    #[must_use]
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// What becomes of rows that cannot be read. Default: [`BadRows::Refuse`].
    #[must_use]
    pub fn bad_rows(mut self, rule: BadRows) -> Self {
        self.bad_rows = rule;
        self
    }

    /// What becomes of energies that cannot be delivered. Default: [`Undeliverable::Refuse`].
    #[must_use]
    pub fn undeliverable(mut self, rule: Undeliverable) -> Self {
        self.undeliverable = rule;
        self
    }
}

/// A row that was left out.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedRow {
    /// Line in the file; the header is line 1.
    pub line: u64,
    /// Id of the session, if the row has one.
    pub id: Option<String>,
    /// Why.
    pub reason: Error,
}

impl fmt::Display for RefusedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Something in a row that was decided by a rule, not by the data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Adjustment {
    /// A clock time that does not exist, or exists twice, because the clocks change. A skipped
    /// time is moved forward, and of two the first is taken.
    AmbiguousStamp {
        /// Line in the file.
        line: u64,
        /// `arrival` or `departure`.
        column: String,
        /// The text of the cell.
        text: String,
        /// The instant that was taken, on its clock.
        taken: String,
    },
    /// An energy that was lowered to what the plug can deliver.
    LoweredEnergy {
        /// Line in the file.
        line: u64,
        /// Id of the session.
        id: String,
        /// Energy in the file, kWh.
        from_kwh: f64,
        /// Energy that was taken, kWh.
        to_kwh: f64,
    },
}

impl fmt::Display for Adjustment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmbiguousStamp {
                line,
                column,
                text,
                taken,
            } => write!(
                f,
                "line {line}: the clocks change at {column} `{text}`; taken as {taken}"
            ),
            Self::LoweredEnergy {
                line,
                id,
                from_kwh,
                to_kwh,
            } => write!(
                f,
                "line {line}: session `{id}`: energy lowered from {from_kwh} to {to_kwh} kWh, \
                 which is all that its plug can deliver"
            ),
        }
    }
}

/// The sessions of a CSV file, and what was left out or decided by a rule.
///
/// Required columns: `session_id`, `arrival`, `departure`, `energy_kwh`, `max_power_kw`. Others are
/// not read and listed in [`SessionFile::unused_columns`].
///
/// ```
/// use evflex_fleet::readers::sessions::{BadRows, SessionFile, SessionPolicy};
/// use jiff::tz::TimeZone;
/// let text = b"session_id,arrival,departure,energy_kwh,max_power_kw,user
/// 1,2018-12-21T10:24,2018-12-21T12:24,9.5,7.2,A
/// 2,2018-12-21T18:00,2018-12-21T17:00,3.0,7.2,B";
/// let policy = SessionPolicy::default().zone(TimeZone::get("Europe/Oslo")?);
///
/// let error = SessionFile::parse(text, &policy).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "line 3: session `2`: departure 2018-12-21T17:00:00+01:00 is not after arrival 2018-12-21T18:00:00+01:00"
/// );
///
/// let file = SessionFile::parse(text, &policy.bad_rows(BadRows::List))?;
/// assert_eq!((file.sessions.len(), file.refused.len()), (1, 1));
/// assert_eq!(file.unused_columns, ["user"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionFile {
    /// The sessions, in the order of the file.
    pub sessions: Vec<ClockSession>,
    /// Rows that were left out, with the reason ([`BadRows::List`]).
    pub refused: Vec<RefusedRow>,
    /// What was decided by a rule.
    pub adjusted: Vec<Adjustment>,
    /// Columns of the file that were not read.
    pub unused_columns: Vec<String>,
}

/// The columns that a session needs.
const COLUMNS: [&str; 5] = [
    "session_id",
    "arrival",
    "departure",
    "energy_kwh",
    "max_power_kw",
];

impl SessionFile {
    /// Parses CSV text.
    ///
    /// # Errors
    /// [`Error::EmptyFile`], [`Error::NoRows`], [`Error::MissingColumn`],
    /// [`Error::DuplicateColumn`]; with [`BadRows::Refuse`], for the first bad row and with its
    /// line: [`Error::Ragged`], [`Error::EmptyCell`], [`Error::NotANumber`],
    /// [`Error::NotFinite`], [`Error::Stamp`], [`Error::NoZone`], [`Error::DuplicateSession`] and
    /// what [`ClockSession::check`] says.
    pub fn parse(text: &[u8], policy: &SessionPolicy) -> Result<Self, Error> {
        let table = Table::parse(text)?;
        let mut positions = [0; COLUMNS.len()];
        for (position, name) in positions.iter_mut().zip(COLUMNS) {
            *position = table.column(name)?;
        }
        let unused_columns = table
            .columns()
            .iter()
            .filter(|column| !COLUMNS.contains(&column.as_str()))
            .cloned()
            .collect();
        let mut file = Self {
            sessions: Vec::new(),
            refused: Vec::new(),
            adjusted: Vec::new(),
            unused_columns,
        };
        let mut first_lines: HashMap<String, u64> = HashMap::new();
        for row in table.rows() {
            let mut notes = Vec::new();
            let parsed = match &row.fields {
                Ok(fields) => session(fields, &positions, row.line, policy, &mut notes)
                    .and_then(|session| match first_lines.get(&session.id) {
                        Some(&first_line) => Err(Error::DuplicateSession {
                            id: session.id,
                            first_line,
                        }),
                        None => Ok(session),
                    })
                    .map_err(|error| error.at(row.place())),
                Err(_) => row.fields().and(Err(Error::NoRows)),
            };
            match parsed {
                Ok(session) => {
                    first_lines.insert(session.id.clone(), row.line);
                    file.sessions.push(session);
                    file.adjusted.append(&mut notes);
                }
                Err(error) if policy.bad_rows == BadRows::Refuse => return Err(error),
                Err(error) => {
                    let id = row.fields.as_ref().ok().and_then(|f| f.get(positions[0]));
                    file.refused.push(RefusedRow {
                        line: row.line,
                        id: id.filter(|id| !id.is_empty()).map(str::to_owned),
                        reason: match error {
                            Error::At { reason, .. } => *reason,
                            other => other,
                        },
                    });
                }
            }
        }
        if !file.refused.is_empty() || !file.adjusted.is_empty() {
            tracing::warn!(
                sessions = file.sessions.len(),
                refused = file.refused.len(),
                adjusted = file.adjusted.len(),
                "some sessions were left out or adjusted"
            );
        }
        Ok(file)
    }

    /// Parses a file.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`SessionFile::parse`], with the path in front.
    pub fn read(path: &Path, policy: &SessionPolicy) -> Result<Self, Error> {
        Self::parse(&read_bytes(path)?, policy).map_err(|e| e.at(path.display().to_string()))
    }
}

/// Reads one row.
fn session(
    fields: &StringRecord,
    positions: &[usize; COLUMNS.len()],
    line: u64,
    policy: &SessionPolicy,
    notes: &mut Vec<Adjustment>,
) -> Result<ClockSession, Error> {
    let [id, arrival, departure, energy, power] = *positions;
    let id = table::text(fields, id, COLUMNS[0])?.to_owned();
    let mut time = |position: usize, column: &str| -> Result<jiff::Zoned, Error> {
        let text = table::text(fields, position, column)?;
        let found = stamp::zoned(text, column, policy.zone.as_ref())?;
        if found.ambiguous {
            notes.push(Adjustment::AmbiguousStamp {
                line,
                column: column.to_owned(),
                text: text.to_owned(),
                taken: clock(&found.time),
            });
        }
        Ok(found.time)
    };
    let mut session = ClockSession {
        id,
        arrival: time(arrival, COLUMNS[1])?,
        departure: time(departure, COLUMNS[2])?,
        energy_kwh: table::number(fields, energy, COLUMNS[3])?,
        max_power_kw: table::number(fields, power, COLUMNS[4])?,
    };
    match session.check() {
        Err(Error::Undeliverable {
            energy_kwh,
            deliverable_kwh,
            ..
        }) if policy.undeliverable == Undeliverable::LowerEnergy => {
            session.energy_kwh = deliverable_kwh;
            notes.push(Adjustment::LoweredEnergy {
                line,
                id: session.id.clone(),
                from_kwh: energy_kwh,
                to_kwh: deliverable_kwh,
            });
        }
        other => other?,
    }
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "session_id,arrival,departure,energy_kwh,max_power_kw";
    const GOOD: &str = "a,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,10.5,6.656";

    fn error(row: &str) -> String {
        let text = format!("{HEADER}\n{GOOD}\n{row}\n");
        SessionFile::parse(text.as_bytes(), &SessionPolicy::default())
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn columns_may_be_in_any_order() {
        let text = b"\xef\xbb\xbfmax_power_kw,extra,departure,arrival,session_id,energy_kwh\r\n6,\"a \"\"b\"\"\",2019-05-01T12:00Z,2019-05-01T08:00Z,\"x,1\",3\r\n";
        let file = SessionFile::parse(text, &SessionPolicy::default()).expect("a file");
        let [session] = file.sessions.as_slice() else {
            panic!("one session")
        };
        assert_eq!(
            (session.id.as_str(), session.hours(), session.energy_kwh),
            ("x,1", 4.0, 3.0)
        );
    }

    #[test]
    fn every_bad_row_is_named_with_its_line() {
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,10.5"),
            @"line 3: the row has 4 fields, the header 5"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T08:00:00-0700,1,6"),
            @"line 3: session `b`: departure 2019-05-01T08:00:00-07:00 is not after arrival 2019-05-01T08:00:00-07:00"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,10500,6.656"),
            @"line 3: session `b`: 10500 kWh cannot be delivered at 6.656 kW within 4 h (at most 26.624 kWh); check the units (kWh, not Wh)"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,10.5,6656"),
            @"line 3: max_power_kw of session `b` must be above 0 and at most 5000 (kW, not W), found 6656"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,-1,6"),
            @"line 3: energy_kwh of session `b` must be finite and at least 0, found -1"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,nan,6"),
            @"line 3: energy_kwh must be a finite number, found NaN"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,2019-05-01T12:00:00-0700,ten,6"),
            @"line 3: energy_kwh must be a number with a decimal point, found `ten`"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00:00-0700,,1,6"),
            @"line 3: departure is empty"
        );
        insta::assert_snapshot!(
            error("b,2019-05-01T08:00,2019-05-01T12:00,1,6"),
            @"line 3: arrival `2019-05-01T08:00` has no offset from UTC; name the time zone that it is in"
        );
        insta::assert_snapshot!(
            error(",2019-05-01T08:00Z,2019-05-01T12:00Z,1,6"),
            @"line 3: session_id is empty"
        );
        insta::assert_snapshot!(error(GOOD), @"line 3: the session id `a` was already used in line 2");
    }

    #[test]
    fn missing_columns_are_named() {
        let text = "session_id,arrival,departure,energy_kwh\na,b,c,d\n";
        insta::assert_snapshot!(
            SessionFile::parse(text.as_bytes(), &SessionPolicy::default()).expect_err("refused"),
            @"the column `max_power_kw` is missing; found: session_id, arrival, departure, energy_kwh"
        );
    }

    #[test]
    fn bad_rows_are_listed_on_request() {
        let text =
            format!("{HEADER}\nx,y\n{GOOD}\n{GOOD}\nb,2019-05-01T08:00Z,2019-05-01T09:00Z,7,6\n");
        let policy = SessionPolicy::default().bad_rows(BadRows::List);
        let file = SessionFile::parse(text.as_bytes(), &policy).expect("a file");
        assert_eq!(file.sessions.len(), 1);
        let listed: Vec<String> = file.refused.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(listed.join("\n"), @r"
        line 2: the row has 2 fields, the header 5
        line 4: the session id `a` was already used in line 3
        line 5: session `b`: 7 kWh cannot be delivered at 6 kW within 1 h (at most 6 kWh); check the units (kWh, not Wh)
        ");
        let ids: Vec<_> = file.refused.iter().map(|row| row.id.as_deref()).collect();
        assert_eq!(ids, [None, Some("a"), Some("b")]);

        let policy = policy.undeliverable(Undeliverable::LowerEnergy);
        let file = SessionFile::parse(text.as_bytes(), &policy).expect("a file");
        assert_eq!((file.sessions.len(), file.refused.len()), (2, 2));
        insta::assert_snapshot!(
            file.adjusted[0],
            @"line 5: session `b`: energy lowered from 7 to 6 kWh, which is all that its plug can deliver"
        );
        assert_eq!(file.sessions[1].energy_kwh, 6.0);
    }

    #[test]
    fn changes_of_the_clocks_are_listed() {
        let text = format!("{HEADER}\na,2019-03-31T02:30,2019-03-31T05:30,3,7\n");
        let zone = TimeZone::get("Europe/Oslo").expect("a bundled zone");
        let file = SessionFile::parse(text.as_bytes(), &SessionPolicy::default().zone(zone))
            .expect("a file");
        assert_eq!(file.sessions[0].hours(), 2.0);
        insta::assert_snapshot!(
            file.adjusted[0],
            @"line 2: the clocks change at arrival `2019-03-31T02:30`; taken as 2019-03-31T03:30:00+02:00"
        );
    }
}
