//! MPS files in and out: the exchange format that every solver and every public test set speaks.
//!
//! [`read_mps`] accepts free format, and fixed format as the Netlib and MIPLIB files use it (names without
//! spaces); the two are told apart by nothing but white space, so no format has to be named.
//! [`write_mps`] writes free format.
//!
//! ```
//! use evflex_solver::mps::{read_mps, write_mps};
//! let text = "\
//! NAME        charger
//! ROWS
//!  N  cost
//!  G  energy
//! COLUMNS
//!     p0  cost  0.30  energy  1
//!     p1  cost  0.10  energy  1
//! RHS
//!     RHS  energy  10
//! BOUNDS
//!  UP BND  p0  7
//!  UP BND  p1  7
//! ENDATA
//! ";
//! let problem = read_mps(text.as_bytes())?;
//! let mut again = Vec::new();
//! write_mps(&problem, &mut again)?;
//! assert_eq!(read_mps(again.as_slice())?.by_row(), problem.by_row());
//! # Ok::<(), evflex_solver::Error>(())
//! ```
//!
//! # Conventions where the dialects differ
//! | matter | here |
//! |---|---|
//! | objective | the first `N` row; later `N` rows and all that is said of them are dropped; a file without one is a feasibility problem |
//! | objective offset | minus the right-hand side of the objective row |
//! | sense | `OBJSENSE` with `MIN`/`MAX` on the same or on the next line; default minimise |
//! | integer column without any bound | `[0, 1]`, a binary (as MPSX, HiGHS and CPLEX have it); with any bound stated, the other side keeps its default of 0 or +∞ |
//! | `UP` below zero, no lower bound stated | the lower bound becomes −∞, with a warning in the log: the alternative, a crossed pair of bounds, is never meant |
//! | `MI` | only the lower bound; the upper one stays |
//! | a bound or right-hand side of magnitude ≥ [`MPS_INFINITY`] | infinite |
//! | `RANGES` on an `E` row | `[rhs, rhs + r]` for r > 0, `[rhs + r, rhs]` for r < 0, as before for r = 0 |
//! | an entry, or one side of a bound, stated twice | refused: some readers add, some keep the first, some the last |
//! | several right-hand sides, ranges or bound sets | the first is used, the others are skipped with a warning; lines without a set name belong to the first |
//! | `QUADOBJ`, `QSECTION` | one triangle of `Q`, the objective has ½ xᵀQx; `QMATRIX`: both triangles, which must agree |
//! | numbers | `1.5`, `-2E+3`, and Fortran's `1.0D+02`; NaN and, outside bounds, infinities are refused |
//!
//! Semi-continuous bounds (`SC`, `SI`), special ordered sets, indicators, second-order cones and quadratic rows
//! have no place in a [`Problem`](crate::Problem) or in plain MPS, and are refused by name.

mod reader;
mod writer;

pub use reader::read_mps;
pub use writer::write_mps;

/// Magnitude from which a bound or a right-hand side in an MPS file means infinity, by the custom of all solvers.
pub const MPS_INFINITY: f64 = 1e20;

/// Words that open a section. A column or row of that name would make some readers start a new section.
const SECTIONS: [&str; 12] = [
    "NAME", "OBJSENSE", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "QUADOBJ", "QSECTION",
    "QMATRIX", "SOS", "ENDATA",
];

/// What is wrong at the named place of an MPS file; see [`Error::Mps`](crate::Error::Mps).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MpsFault {
    /// The bytes of the line are not text.
    #[error("the line is not UTF-8 text")]
    NotText,
    /// A line that starts in the first column opens a section, and this is none.
    #[error("no section has this name; data lines start with a blank")]
    UnknownSection,
    /// A section of the dialects that a problem has no room for.
    #[error(
        "this section is not supported: a problem has linear rows, bounds, integrality and a convex quadratic objective"
    )]
    UnsupportedSection,
    /// The section was there before.
    #[error("this section is there already")]
    RepeatedSection,
    /// A section header is followed by words that do not belong there.
    #[error("nothing may follow this section's name on its line")]
    HeaderNotAlone,
    /// A data line outside a section that has data.
    #[error("a data line outside any section")]
    Misplaced,
    /// Too few or too many words on the line.
    #[error("the line has {found} words; expected {expected}")]
    WordCount {
        /// Words found.
        found: usize,
        /// The counts that would do.
        expected: &'static str,
    },
    /// A word in the place of a number is none.
    #[error("not a number")]
    NotANumber,
    /// NaN, or an infinity where none may stand.
    #[error("not a finite number")]
    NotFinite,
    /// The row type is none of N, E, L, G.
    #[error("unknown row type; expected N, E, L or G")]
    UnknownRowType,
    /// The bound type is unknown.
    #[error("unknown bound type; expected UP, LO, FX, FR, MI, PL, BV, LI or UI")]
    UnknownBoundType,
    /// Semi-continuous and semi-integer variables.
    #[error("semi-continuous variables are not supported; model them with a binary variable")]
    SemiContinuous,
    /// The sense is neither minimise nor maximise.
    #[error("unknown objective sense; expected MIN or MAX")]
    UnknownSense,
    /// A row is used that ROWS does not declare.
    #[error("no row has this name")]
    UnknownRow,
    /// A column is used that COLUMNS does not declare.
    #[error("no column has this name")]
    UnknownColumn,
    /// A row is declared twice.
    #[error("a row has this name already")]
    RepeatedRow,
    /// A column comes back after another one.
    #[error("this column was there before: the lines of a column must follow each other")]
    ScatteredColumn,
    /// A coefficient, right-hand side, range, quadratic entry or side of a bound is stated twice.
    #[error("stated twice; readers disagree on which counts")]
    RepeatedEntry,
    /// A range on the objective row.
    #[error("the objective row cannot have a range")]
    RangeOnObjective,
    /// An integer marker that does not open or close a block of integer columns.
    #[error("a marker must be 'INTORG' outside and 'INTEND' inside a block of integer columns")]
    Marker,
    /// The two triangles of QMATRIX differ.
    #[error("the quadratic matrix is not symmetric: entry and mirrored entry differ")]
    Asymmetric,
    /// The file ends without ENDATA.
    #[error("the file ends without ENDATA: it may be cut off")]
    Truncated,
    /// A section that must be there is not.
    #[error("the file has no {0} section")]
    MissingSection(&'static str),
}
