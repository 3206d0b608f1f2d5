//! What can go wrong when sets are built, asked and compared.

use ndarray::{ArrayView1, ArrayView2};

use crate::containment::Condition;

/// The error of this crate.
///
/// A point outside a set and a containment that could not be certified are answers, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// A set without dimensions, points or parts.
    #[error("{what} is empty; give at least one {unit}")]
    Nothing {
        /// The quantity.
        what: &'static str,
        /// What it lacks.
        unit: &'static str,
    },
    /// A number is NaN or infinite.
    #[error("{what}[{row}, {column}] is {value}; every entry must be a finite number")]
    NotFinite {
        /// The quantity that holds the number.
        what: &'static str,
        /// Its row; the position in a vector.
        row: usize,
        /// Its column; 0 in a vector.
        column: usize,
        /// The number.
        value: f64,
    },
    /// A lower bound exceeds its upper bound.
    #[error("coordinate {coordinate} has lower bound {lower} above its upper bound {upper}")]
    CrossedBounds {
        /// The coordinate.
        coordinate: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A number is outside its domain.
    #[error("{what} is {value}; it must be {domain}")]
    Domain {
        /// The quantity.
        what: &'static str,
        /// The number given.
        value: f64,
        /// What is accepted.
        domain: &'static str,
    },
    /// The set has no points, so the question has no answer.
    #[error("{what} is empty: its inequalities contradict each other")]
    Empty {
        /// The set.
        what: &'static str,
    },
    /// The set is unbounded, so it is not a polytope.
    #[error(
        "{what} is unbounded, for instance in direction {direction:?}; add inequalities that bound it"
    )]
    Unbounded {
        /// The set.
        what: &'static str,
        /// A direction in which it never ends; empty when the solver names none.
        direction: Vec<f64>,
    },
    /// The set has no interior, so it has no uniform samples or vertices of a body.
    #[error(
        "the set is flat: the largest ball inside has radius {radius:e}; describe it in the coordinates of its affine hull"
    )]
    Flat {
        /// The radius of the largest ball.
        radius: f64,
    },
    /// The question grows exponentially and was refused.
    #[error("{what} in dimension {dimension}: at most {limit} dimensions are tried; {way_out}")]
    Dimension {
        /// The question.
        what: &'static str,
        /// The dimension asked for.
        dimension: usize,
        /// The largest one accepted.
        limit: usize,
        /// What to use instead.
        way_out: &'static str,
    },
    /// An enumeration outgrew its limit.
    #[error("more than {limit} {what}; raise the limit or simplify the set")]
    TooMany {
        /// What was being listed.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A point that had to be in a set is outside.
    #[error("{what} is outside the set by {excess:e}")]
    Outside {
        /// The point.
        what: &'static str,
        /// By how much.
        excess: f64,
    },
    /// A condition of a certificate does not hold.
    #[error(
        "the certificate does not hold: {condition} is off by {amount:.3e} relative (allowed {tolerance:.1e}) for outer set {outer}, entry ({row}, {column})"
    )]
    NotVerified {
        /// The condition.
        condition: Condition,
        /// Its violation, relative to the magnitudes that enter it.
        amount: f64,
        /// What was allowed.
        tolerance: f64,
        /// The outer set; 0 for conditions on the sum.
        outer: usize,
        /// Row of the condition.
        row: usize,
        /// Column of the condition; 0 for vectors.
        column: usize,
    },
    /// A change of coordinates cannot be undone.
    #[error("the map is singular; a change of coordinates needs independent columns")]
    Singular,
    /// Every scaling of the inner set fits, so there is no largest one.
    #[error(
        "the inner set is a single point in the directions that count, so its scaling has no upper limit"
    )]
    UnboundedScaling,
    /// A method of this crate ended before it had an answer.
    #[error(
        "{what} was not found: the method ended with equations off by {accuracy} of their size; an empty set has none, and a time limit may \
         have been too short"
    )]
    NotReached {
        /// What was sought.
        what: &'static str,
        /// What equations were off when it ended.
        accuracy: f64,
    },
    /// The solver crate refused or failed.
    #[error(transparent)]
    Solver(#[from] evflex_solver::Error),
}

pub(crate) fn check_count(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Shape {
            what,
            expected,
            found,
        })
    }
}

pub(crate) fn check_vector(what: &'static str, values: ArrayView1<'_, f64>) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(Error::NotFinite {
            what,
            row,
            column: 0,
            value: values[row],
        }),
        None => Ok(()),
    }
}

pub(crate) fn check_matrix(what: &'static str, values: ArrayView2<'_, f64>) -> Result<(), Error> {
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(Error::NotFinite {
            what,
            row,
            column,
            value,
        }),
        None => Ok(()),
    }
}

/// Checks a vector of the given length with finite entries.
pub(crate) fn check_point(
    what: &'static str,
    dimension: usize,
    values: ArrayView1<'_, f64>,
) -> Result<(), Error> {
    check_count(what, dimension, values.len())?;
    check_vector(what, values)
}

/// Checks a tolerance: finite and at least 0.
pub(crate) fn check_tolerance(tolerance: f64) -> Result<(), Error> {
    if tolerance >= 0.0 && tolerance.is_finite() {
        Ok(())
    } else {
        Err(Error::Domain {
            what: "the tolerance",
            value: tolerance,
            domain: "finite and at least 0",
        })
    }
}
