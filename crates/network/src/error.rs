//! What can go wrong between a case file and an operating point.

use std::path::PathBuf;

/// The error of this crate.
///
/// A relaxation that is not exact is an answer ([`Relaxation`](crate::Relaxation)), not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A case file breaks off or is garbled.
    #[error("line {line}: expected {expected}, found {found}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What would have fitted.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A case file contains a statement that is not evaluated.
    #[error(
        "line {line}: {what} is not evaluated here, so the units of this file are not known; {way_out}"
    )]
    Unsupported {
        /// The line, counted from 1.
        line: usize,
        /// The statement, function or field.
        what: String,
        /// What to do instead.
        way_out: &'static str,
    },
    /// An expression of a case file has no value.
    #[error("line {line}: {what}")]
    Value {
        /// The line, counted from 1.
        line: usize,
        /// What does not fit.
        what: String,
    },
    /// A case file lacks a field.
    #[error(
        "the file ends at line {line} without `{field}`; a case needs baseMVA, bus, gen and branch"
    )]
    MissingField {
        /// The field.
        field: &'static str,
        /// The last line of the file.
        line: usize,
    },
    /// A number in a table of a case file is outside its domain.
    #[error("line {line}: {column} in row {row} of {table} is {value}; it must be {domain}")]
    Entry {
        /// The line, counted from 1.
        line: usize,
        /// The table.
        table: &'static str,
        /// The row, counted from 1.
        row: usize,
        /// The column.
        column: &'static str,
        /// The number.
        value: f64,
        /// What is accepted.
        domain: &'static str,
    },
    /// A quantity of the network is outside its domain.
    #[error("{what} of {of} is {value}; it must be {domain}")]
    Domain {
        /// The quantity.
        what: &'static str,
        /// The bus, branch or generator.
        of: String,
        /// The number given.
        value: f64,
        /// What is accepted.
        domain: &'static str,
    },
    /// A lower bound exceeds its upper bound.
    #[error("{what} of {of}: the lower bound {lower} is above the upper bound {upper}")]
    CrossedBounds {
        /// The quantity.
        what: &'static str,
        /// The bus or generator.
        of: String,
        /// The lower bound.
        lower: f64,
        /// The upper bound.
        upper: f64,
    },
    /// Two buses have the same number.
    #[error("bus {id} is listed twice, at positions {first} and {second}")]
    DuplicateBus {
        /// The number.
        id: u32,
        /// Where it is first, counted from 0.
        first: usize,
        /// Where it is again.
        second: usize,
    },
    /// A bus number that no bus has.
    #[error("{what} names bus {id}, which the network does not have")]
    UnknownBus {
        /// Who names it.
        what: String,
        /// The number.
        id: u32,
    },
    /// No bus is a source.
    #[error(
        "no bus is a source; give one bus the type of a reference bus (3), with the voltage that it holds"
    )]
    NoSource,
    /// The branches in service close a loop.
    #[error(
        "the network is not radial: buses {} form a loop; open one of its branches",
        joined(buses)
    )]
    Loop {
        /// The buses of the loop in order; the first is joined to the last.
        buses: Vec<u32>,
    },
    /// Branches in service join two sources.
    #[error(
        "the network is not radial: buses {} join two sources; open one of these branches",
        joined(buses)
    )]
    JoinedSources {
        /// The buses from one source to the other.
        buses: Vec<u32>,
    },
    /// Buses that no source reaches.
    #[error(
        "no source reaches buses {}; close a branch, or mark them as isolated (type 4)",
        joined(buses)
    )]
    Island {
        /// The buses.
        buses: Vec<u32>,
    },
    /// Two shapes disagree.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// The quantity whose shape is wrong, and what was counted.
        what: &'static str,
        /// The number that would fit.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A number is NaN or infinite.
    #[error("{what}[{row}, {column}] is {value}; every entry must be a finite number")]
    NotFinite {
        /// The quantity that holds the number.
        what: &'static str,
        /// Its row; 0 in a vector.
        row: usize,
        /// Its column; the position in a vector.
        column: usize,
        /// The number.
        value: f64,
    },
    /// The power flow found no operating point.
    #[error(
        "power flow {row}: no operating point found in {iterations} iterations (mismatch {mismatch:.1e}, worst at bus {bus}); the demand of {demand_mva:.4} MVA may be more than the feeder can carry, or its units wrong"
    )]
    NoConvergence {
        /// The row of a batch; 0 for a single power flow.
        row: usize,
        /// Newton iterations made.
        iterations: usize,
        /// The largest mismatch, relative to the demand.
        mismatch: f64,
        /// Where it is.
        bus: u32,
        /// Sum of the absolute demand.
        demand_mva: f64,
    },
    /// The power flow ended on the branch of solutions with low voltage, which no feeder holds.
    #[error(
        "power flow {row}: only a point with collapsed voltage was found ({v_pu:.4} p.u. at bus {bus}); the demand is at or beyond what the feeder can carry"
    )]
    Collapsed {
        /// The row of a batch; 0 for a single power flow.
        row: usize,
        /// The bus with the lowest voltage.
        bus: u32,
        /// Its voltage.
        v_pu: f64,
    },
    /// A voltage bus that its branch cannot hold.
    #[error(
        "bus {bus} cannot hold its voltage: the branch to bus {parent} has no impedance; make it a load bus"
    )]
    StiffVoltage {
        /// The voltage bus.
        bus: u32,
        /// The bus on the side of the source.
        parent: u32,
    },
    /// A cost was asked for, but a generator has none.
    #[error(
        "the generator at bus {bus} has no cost that is a polynomial of its active power up to degree 2; give it one ([c2, c1, c0]), or ask for losses instead"
    )]
    NoCost {
        /// The bus of the generator.
        bus: u32,
    },
    /// The optimisation needs something that the network does not have.
    #[error("{what} of {of} is {value}; the relaxation needs {need}")]
    NotRelaxable {
        /// The quantity.
        what: &'static str,
        /// The branch or generator.
        of: String,
        /// The number.
        value: f64,
        /// What would do.
        need: &'static str,
    },
    /// The solver crate refused or failed.
    #[error(transparent)]
    Solver(#[from] evflex_solver::Error),
}

/// `1-2-3`, shortened in the middle when long.
fn joined(buses: &[u32]) -> String {
    const SHOWN: usize = 40;
    let text = |part: &[u32]| {
        part.iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join("-")
    };
    if buses.len() <= SHOWN {
        text(buses)
    } else {
        let (head, tail) = (&buses[..SHOWN - 5], &buses[buses.len() - 5..]);
        format!("{}-...-{} ({} in all)", text(head), text(tail), buses.len())
    }
}

/// Checks that a number is finite.
pub(crate) fn check_finite(
    what: &'static str,
    of: impl Fn() -> String,
    value: f64,
) -> Result<(), Error> {
    check(value.is_finite(), what, of, value, "a finite number")
}

/// Checks a condition on a number.
pub(crate) fn check(
    holds: bool,
    what: &'static str,
    of: impl Fn() -> String,
    value: f64,
    domain: &'static str,
) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Domain {
            what,
            of: of(),
            value,
            domain,
        })
    }
}
