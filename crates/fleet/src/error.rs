//! What can be wrong with a fleet, its schedule or the files they come from.

/// The one error type of this crate.
///
/// Every variant carries the numbers that offend and says what would be accepted. Readers wrap an
/// error in [`Error::At`], which names the key, row or file. The text of an error is complete and
/// fits on one line: the texts of errors from below are part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error with the place where it occurred: a JSON key path, a CSV row, a file.
    #[error("{place}: {reason}")]
    At {
        /// The place, for instance `fleet.vehicles[3]` or `sessions.csv, row 17`.
        place: String,
        /// What is wrong there.
        reason: Box<Error>,
    },

    /// A time grid without steps.
    #[error("a time grid needs at least one step")]
    NoSteps,
    /// The length of a time step is not usable.
    #[error("the step length must be a finite, positive number of hours, found {hours}")]
    StepLength {
        /// The length that was given, in hours.
        hours: f64,
    },
    /// A computation with clock times was asked of a grid without a start.
    #[error("the time grid has no start; give it one with `TimeGrid::starting_at`")]
    NoStart,
    /// The grid ends outside the range of years that clock times can express.
    #[error("step {step} of the time grid is outside the calendar (years -9999 to 9999)")]
    Calendar {
        /// The step whose start has no clock time.
        step: usize,
    },

    /// Two lengths disagree.
    #[error("{what} must have {expected} entries, found {found}")]
    Length {
        /// What has the wrong length.
        what: String,
        /// The length that was expected.
        expected: usize,
        /// The length that was found.
        found: usize,
    },
    /// A number is NaN or infinite.
    #[error("{what} must be a finite number, found {value}")]
    NotFinite {
        /// Which number, for instance ``power_max_kw[3] of vehicle `ev-0` ``.
        what: String,
        /// The value that was found.
        value: f64,
    },
    /// A number lies outside the range that it must lie in.
    #[error("{what} must be {rule}, found {value}")]
    OutOfRange {
        /// Which number.
        what: String,
        /// The rule, as words that follow "must be".
        rule: String,
        /// The value that was found.
        value: f64,
    },

    /// A vehicle without a name.
    #[error("vehicle number {index} has an empty id; every vehicle needs a name of its own")]
    EmptyId {
        /// Position in the fleet, from 0.
        index: usize,
    },
    /// A lower bound lies above its upper bound.
    #[error(
        "vehicle `{vehicle}`, step {step}: the smallest {quantity} {min} {unit} exceeds the \
         largest {max} {unit}"
    )]
    CrossedBounds {
        /// Id of the vehicle.
        vehicle: String,
        /// `power` or `energy`.
        quantity: &'static str,
        /// `kW` or `kWh`.
        unit: &'static str,
        /// The step, from 0.
        step: usize,
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
    },
    /// No power profile satisfies the bounds of this vehicle.
    #[error(
        "vehicle `{vehicle}` is impossible at step {step}: its net energy can reach \
         {reach_min} to {reach_max} kWh there, but {energy_min} to {energy_max} kWh is asked for"
    )]
    ImpossibleVehicle {
        /// Id of the vehicle.
        vehicle: String,
        /// First step, from 0, after which no net energy is both reachable and allowed.
        step: usize,
        /// Least net energy that can be reached, kWh.
        reach_min: f64,
        /// Largest net energy that can be reached, kWh.
        reach_max: f64,
        /// Least net energy that is allowed, kWh.
        energy_min: f64,
        /// Largest net energy that is allowed, kWh.
        energy_max: f64,
    },

    /// A fleet without vehicles.
    #[error("a fleet needs at least one vehicle")]
    EmptyFleet,
    /// Two vehicles share a name.
    #[error("vehicles number {first} and {second} have the same id `{id}`; ids must be unique")]
    DuplicateId {
        /// The shared id.
        id: String,
        /// Position of the first, from 0.
        first: usize,
        /// Position of the second, from 0.
        second: usize,
    },

    /// A session's window is empty or leaves the grid.
    #[error(
        "session `{id}`: steps {arrival} to {departure} are not a window of the grid; \
         0 <= arrival_step < departure_step <= {steps} is needed"
    )]
    SessionWindow {
        /// Id of the session.
        id: String,
        /// First step with power.
        arrival: usize,
        /// First step without power again.
        departure: usize,
        /// Number of steps of the grid.
        steps: usize,
    },
    /// A session departs before or when it arrives.
    #[error("session `{id}`: departure {departure} is not after arrival {arrival}")]
    DepartureBeforeArrival {
        /// Id of the session.
        id: String,
        /// Clock time of arrival.
        arrival: String,
        /// Clock time of departure.
        departure: String,
    },
    /// A session is not inside the horizon of the grid.
    #[error("session `{id}` from {arrival} to {departure} is not inside the grid {grid}")]
    OutsideGrid {
        /// Id of the session.
        id: String,
        /// Clock time of arrival.
        arrival: String,
        /// Clock time of departure.
        departure: String,
        /// Clock times of the grid, `from .. to ..`.
        grid: String,
    },
    /// The plug cannot deliver the energy while the vehicle is there.
    #[error(
        "session `{id}`: {energy_kwh} kWh cannot be delivered at {max_power_kw} kW within \
         {hours} h (at most {deliverable_kwh} kWh); check the units (kWh, not Wh)"
    )]
    Undeliverable {
        /// Id of the session.
        id: String,
        /// Energy that is asked for, kWh.
        energy_kwh: f64,
        /// Largest power, kW.
        max_power_kw: f64,
        /// Time at the plug, h.
        hours: f64,
        /// Largest energy that can be stored in that time, kWh.
        deliverable_kwh: f64,
    },

    /// A file could not be read or written.
    #[error("cannot {action} `{path}`: {reason}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// A file holds nothing.
    #[error("the file is empty")]
    EmptyFile,
    /// Something is too large to be meant.
    #[error("{what} is {found}, more than the {limit} that are accepted")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The value found.
        found: usize,
        /// The largest that is accepted.
        limit: usize,
    },

    /// The text is not JSON.
    #[error("not valid JSON: {reason}")]
    Json {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A key that is needed is not there.
    #[error("the key `{key}` is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A key that nobody reads.
    #[error("unknown key `{key}`; known here: {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that are read at this place.
        known: String,
    },
    /// A key occurs twice in one object.
    #[error("the key `{key}` occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A JSON value has the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What would be accepted.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },

    /// A CSV file has a header and no rows.
    #[error("the file has a header but no rows")]
    NoRows,
    /// Text that is not UTF-8, or that the CSV parser refuses.
    #[error("not readable as CSV: {reason}")]
    Csv {
        /// What is wrong.
        reason: String,
    },
    /// A CSV column that is needed is not there.
    #[error("the column `{column}` is missing; found: {found}")]
    MissingColumn {
        /// The column, or a description of it.
        column: String,
        /// The columns of the file.
        found: String,
    },
    /// A CSV column occurs twice.
    #[error("the column `{column}` occurs twice")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// More than one column could be meant.
    #[error("several columns could be meant, name one of: {candidates}")]
    ChooseColumn {
        /// The columns.
        candidates: String,
    },
    /// A CSV row has more or fewer fields than the header.
    #[error("the row has {found} fields, the header {expected}")]
    Ragged {
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// A cell that is needed is empty.
    #[error("{column} is empty")]
    EmptyCell {
        /// The column.
        column: String,
    },
    /// A cell is not a number.
    #[error("{column} must be a number with a decimal point, found `{text}`")]
    NotANumber {
        /// The column.
        column: String,
        /// The text of the cell.
        text: String,
    },
    /// A cell is not a clock time or a date.
    #[error("{column} must be a time such as 2024-05-06T18:30, found `{text}` ({reason})")]
    Stamp {
        /// The column.
        column: String,
        /// The text of the cell.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A clock time without an offset, and no zone to read it in.
    #[error("{column} `{text}` has no offset from UTC; name the time zone that it is in")]
    NoZone {
        /// The column.
        column: String,
        /// The text of the cell.
        text: String,
    },
    /// Two rows have the same session id.
    #[error("the session id `{id}` was already used in line {first_line}")]
    DuplicateSession {
        /// The id.
        id: String,
        /// Line of its first use.
        first_line: u64,
    },
    /// A time series does not go on by a constant step.
    #[error(
        "{stamp} does not follow {previous}: {problem}; rows must be {step_minutes} minutes apart"
    )]
    SeriesStep {
        /// The stamp of this row.
        stamp: String,
        /// The stamp of the row before.
        previous: String,
        /// `a duplicate`, `out of order`, `a gap of .. rows` or `not a whole number of steps`.
        problem: String,
        /// The step of the series, the smallest distance between two rows.
        step_minutes: f64,
    },
    /// A time series with fewer than two rows has no step.
    #[error("a time series needs at least two rows")]
    ShortSeries,
    /// A time series does not cover what is asked of it.
    #[error("{what} cover {covered}, but {wanted} is needed")]
    NotCovered {
        /// What the series holds, in the plural.
        what: &'static str,
        /// First and last instant of the series, `.. to ..`.
        covered: String,
        /// First and last instant that are needed, `.. to ..`.
        wanted: String,
    },
    /// A cell of a time series that is needed is empty.
    #[error("{what} at {stamp} is empty in the file, and it is needed")]
    EmptyValue {
        /// What is missing.
        what: String,
        /// The stamp of the row.
        stamp: String,
    },
    /// The columns of a load file are not consecutive hours.
    #[error("the column `{column}` should be `{expected}`: hours must follow each other")]
    HourColumn {
        /// The column found.
        column: String,
        /// The column expected there.
        expected: String,
    },
    /// A generator cannot fill this grid.
    #[error("a grid of {hours} h is too short for {what}; at least {needed_hours} h are needed")]
    ShortGrid {
        /// What was to be generated.
        what: &'static str,
        /// Length of the grid, h.
        hours: f64,
        /// Length that is needed, h.
        needed_hours: f64,
    },

    /// A schedule's rows are not the fleet's vehicles.
    #[error(
        "row {index} of the schedule is vehicle `{found}`, but vehicle {index} of the fleet is \
         `{expected}`"
    )]
    WrongVehicle {
        /// Row of the schedule, from 0.
        index: usize,
        /// Id in the fleet.
        expected: String,
        /// Id in the schedule.
        found: String,
    },
    /// Two objects live on different time grids.
    #[error("{what} and {other} are on different time grids ({detail})")]
    GridMismatch {
        /// The first object.
        what: &'static str,
        /// The second object.
        other: &'static str,
        /// In what they differ.
        detail: String,
    },
}

impl Error {
    /// The same error, with the place where it occurred in front.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At {
            place: place.into(),
            reason: Box::new(self),
        }
    }

    /// The error without the places that readers put in front of it.
    ///
    /// ```
    /// use evflex_fleet::Error;
    /// let error = Error::EmptyFleet.at("fleet.vehicles");
    /// assert_eq!(error.to_string(), "fleet.vehicles: a fleet needs at least one vehicle");
    /// assert!(matches!(error.reason(), Error::EmptyFleet));
    /// ```
    #[must_use]
    pub fn reason(&self) -> &Self {
        match self {
            Self::At { reason, .. } => reason.reason(),
            other => other,
        }
    }
}

/// Checks that a single number is finite.
pub(crate) fn finite(what: impl FnOnce() -> String, value: f64) -> Result<f64, Error> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::NotFinite {
            what: what(),
            value,
        })
    }
}

/// Checks that a single number is finite and satisfies `rule`, which is put in words.
pub(crate) fn within(
    what: impl FnOnce() -> String,
    value: f64,
    holds: impl FnOnce(f64) -> bool,
    rule: &str,
) -> Result<f64, Error> {
    if value.is_finite() && holds(value) {
        Ok(value)
    } else {
        Err(Error::OutOfRange {
            what: what(),
            rule: rule.to_owned(),
            value,
        })
    }
}
