//! What can go wrong between a problem and its answer.

use crate::StopReason;
use crate::mps::MpsFault;

/// Everything that can go wrong, with the numbers that show why.
///
/// An infeasible or unbounded problem is not an error of [`Solver::solve`](crate::Solver::solve): it is
/// an [`Outcome`](crate::Outcome). It becomes one only where a caller asks for an optimum and nothing else
/// ([`Outcome::into_optimal`](crate::Outcome::into_optimal)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number that has to be finite is not.
    #[error("{what} of {of} is {value}; it must be a finite number")]
    NotFinite {
        /// Which quantity: `cost`, `coefficient`, ...
        what: &'static str,
        /// The variable, row or cone it belongs to, with its position.
        of: String,
        /// The number as given.
        value: f64,
    },
    /// A bound is NaN, or infinite on the side where it leaves no value.
    #[error(
        "{what} of {of} is {value}; leave a side open with -inf (lower) or +inf (upper), and give a number otherwise"
    )]
    Bound {
        /// `lower bound` or `upper bound`.
        what: &'static str,
        /// The variable or row it belongs to.
        of: String,
        /// The number as given.
        value: f64,
    },
    /// A lower bound exceeds its upper bound.
    #[error("{of} has lower bound {lower} above its upper bound {upper}")]
    CrossedBounds {
        /// The variable or row.
        of: String,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A binary variable was given bounds outside 0 and 1.
    #[error(
        "{of} is binary but has bounds {lower} and {upper}; keep them within 0 and 1, or make it an integer variable"
    )]
    BinaryBounds {
        /// The variable.
        of: String,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A variable or row handle comes from another builder.
    #[error(
        "{used_in} refers to a {what} of another problem; use the handles that this problem's builder returned"
    )]
    Foreign {
        /// `variable` or `row`.
        what: &'static str,
        /// Where the handle was used.
        used_in: String,
    },
    /// The quadratic objective is not convex, so that no adapter could prove an optimum.
    #[error(
        "the quadratic objective is not convex: eliminating {variable} leaves curvature {curvature:.3e} relative to its diagonal, below -{tolerance:.0e}; only convex minimisation (concave maximisation) can be proven optimal"
    )]
    NonConvex {
        /// The variable at which the factorisation stopped.
        variable: String,
        /// The negative pivot, relative to the variable's own diagonal entry.
        curvature: f64,
        /// The relative tolerance that was allowed for rounding.
        tolerance: f64,
    },
    /// More variables, rows or cones than handles can count.
    #[error("{count} {what} are more than the {limit} a problem can hold")]
    TooMany {
        /// `variables`, `rows` or `cones`.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many can be held.
        limit: usize,
    },
    /// A vector has the wrong length.
    #[error("length of {what} is {found}, but the problem needs {expected}")]
    Length {
        /// Which vector.
        what: &'static str,
        /// The length that the problem needs.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// An option is outside its range.
    #[error("option `{option}` is {value}; {allowed}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// The value as given.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The solver lacks a class of constraints, variables or objectives.
    #[error("{solver} cannot handle {class}; choose a solver whose capabilities list it")]
    Unsupported {
        /// Name of the solver.
        solver: String,
        /// The class that is lacking.
        class: &'static str,
    },
    /// An optimum was asked for, but the problem has no feasible point.
    #[error("the problem `{problem}` is infeasible")]
    Infeasible {
        /// Name of the problem.
        problem: String,
    },
    /// An optimum was asked for, but the objective improves without limit.
    #[error("the problem `{problem}` is unbounded")]
    Unbounded {
        /// Name of the problem.
        problem: String,
    },
    /// An optimum was asked for, but the solver stopped before it proved one.
    #[error("the solver stopped on `{problem}` without a proof of optimality: {reason}")]
    Stopped {
        /// Name of the problem.
        problem: String,
        /// Why it stopped.
        reason: StopReason,
    },
    /// An engine's answer fails its arithmetic check.
    #[error(
        "wrong answer from {solver}: claimed {claim}, but {violation} is {amount:.3e} relative (allowed {allowed:.1e}) at {place}"
    )]
    WrongAnswer {
        /// Name of the solver.
        solver: String,
        /// What it claimed: `an optimal point`, `a Farkas ray`, ...
        claim: &'static str,
        /// The quantity that fails.
        violation: &'static str,
        /// Its size, relative to the magnitudes that enter it.
        amount: f64,
        /// The largest size that would have been accepted.
        allowed: f64,
        /// The row, variable or cone where it is largest.
        place: String,
    },
    /// The engine itself failed; its error is boxed so that its crate stays out of our interface.
    #[error("{solver} failed: {source}")]
    Backend {
        /// Name of the solver.
        solver: String,
        /// What the engine reported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An MPS file that cannot be understood.
    #[error("MPS line {line}, section {section}, at `{token}`: {fault}")]
    Mps {
        /// Line, counted from 1.
        line: usize,
        /// The section that the line belongs to.
        section: &'static str,
        /// The word that cannot be understood, shortened.
        token: String,
        /// What is wrong with it.
        fault: MpsFault,
    },
    /// A number that an MPS file would turn into an infinity.
    #[error("{what} of {of} is {value}; in an MPS file, magnitudes from 1e20 mean infinity")]
    MpsInfinite {
        /// `lower bound`, `upper side`, ...
        what: &'static str,
        /// The variable or row.
        of: String,
        /// The number.
        value: f64,
    },
    /// A file could not be read or written.
    #[error("reading or writing failed: {0}")]
    Io(#[source] std::io::Error),
}
