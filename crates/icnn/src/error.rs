//! What can go wrong when learned sets are made, read, scaled and trained.

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two shapes disagree.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was counted, and where.
        what: String,
        /// The count that the rest of the network, or the fleet, asks for.
        expected: usize,
        /// The count found.
        found: usize,
    },
    /// Something that needs at least one entry has none.
    #[error("{what} is empty; at least one is needed")]
    Nothing {
        /// What is missing.
        what: String,
    },
    /// A number is NaN or infinite.
    #[error("{what} is {value}; every entry must be a finite number")]
    NotFinite {
        /// The entry, with its place.
        what: String,
        /// The number.
        value: f64,
    },
    /// A weight on a hidden layer is negative, so the network is not convex in its input.
    #[error(
        "{what} is {value}; weights on hidden layers must not be negative, or the network is not convex: project them on 0"
    )]
    NegativeWeight {
        /// The weight, with its place.
        what: String,
        /// The number.
        value: f64,
    },
    /// The origin is outside the set.
    #[error(
        "the network is {value} at the origin; it must be 0 or less, so that the set contains its centre: move the centre inside or lower the last bias"
    )]
    OriginOutside {
        /// `f(0)`.
        value: f64,
    },
    /// A bound on the powers leaves out the origin.
    #[error("{what} is {value}; it must be {domain}")]
    Domain {
        /// The quantity, with its place.
        what: String,
        /// The number.
        value: f64,
        /// What is accepted.
        domain: &'static str,
    },
    /// An affine map has no inverse, so its image has no rows of its own.
    #[error(
        "the map of the affine set is singular (pivot {pivot:e} in column {column}): start from interval rows instead"
    )]
    SingularMap {
        /// The column without a pivot.
        column: usize,
        /// The largest pivot found there.
        pivot: f64,
    },
    /// A linear program of this crate did not end with residuals as small as asked for.
    #[error(
        "a linear program over the set ended after {pivots} pivots with a residual of {residual:e} relative (allowed {tolerance:e}): the weights differ too much in size"
    )]
    Program {
        /// Pivots made.
        pivots: usize,
        /// The largest relative residual.
        residual: f64,
        /// What was allowed.
        tolerance: f64,
    },
    /// A linear program over the set has no feasible point, which cannot happen while the origin is inside.
    #[error("a linear program over the set has no feasible point (row off by {violation:e})")]
    Infeasible {
        /// How far the worst row is from feasible.
        violation: f64,
    },
    /// The linear program of the containment condition has no answer that verifies.
    #[error("no scale of the set could be certified by affine rules: {reason}")]
    NotCertified {
        /// What the certifier said.
        reason: String,
    },
    /// Training data do not fit together.
    #[error("{what}: {problem}")]
    Training {
        /// The setting or data at fault.
        what: &'static str,
        /// What is wrong with it, and the way out.
        problem: String,
    },
    /// A checkpoint belongs to another run.
    #[error(
        "the checkpoint does not belong to this run: {what} is {found}, this run has {expected}"
    )]
    ForeignCheckpoint {
        /// What differs.
        what: &'static str,
        /// In this run.
        expected: String,
        /// In the checkpoint.
        found: String,
    },
    /// The optimiser could not be set up in double precision.
    #[error("the tensor device does not compute in double precision: {reason}")]
    Device {
        /// What the device said.
        reason: String,
    },
    /// The flexibility crate refused or failed.
    #[error(transparent)]
    Flexibility(#[from] evflex_flexibility::Error),
    /// The polytope crate refused or failed.
    #[error(transparent)]
    Polytope(#[from] evflex_polytope::Error),
    /// The solver crate refused or failed.
    #[error(transparent)]
    Solver(#[from] evflex_solver::Error),
}

/// Checks a count.
pub(crate) fn check_count(
    what: impl FnOnce() -> String,
    expected: usize,
    found: usize,
) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Shape {
            what: what(),
            expected,
            found,
        })
    }
}

/// Checks that every number is finite; `what` names the quantity, the place is added.
pub(crate) fn check_finite<'a>(
    what: impl Fn() -> String,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<(), Error> {
    for (index, &value) in values.into_iter().enumerate() {
        if !value.is_finite() {
            return Err(Error::NotFinite {
                what: format!("{}[{index}]", what()),
                value,
            });
        }
    }
    Ok(())
}

/// Checks one finite entry per step.
pub(crate) fn check_profile(
    what: &str,
    values: ndarray::ArrayView1<'_, f64>,
    steps: usize,
) -> Result<(), Error> {
    check_count(
        || format!("entries of {what}, one per step"),
        steps,
        values.len(),
    )?;
    check_finite(|| what.to_owned(), values)
}
