//! What can go wrong when sets of flexibility are built, asked and disaggregated.

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two lengths disagree.
    #[error("{what}: expected {expected} entries, one per step, found {found}")]
    Length {
        /// The quantity whose length is wrong.
        what: &'static str,
        /// The number of steps.
        expected: usize,
        /// The number of entries given.
        found: usize,
    },
    /// Two numbers of rows disagree.
    #[error("{what}: expected {expected} entries, one per row of the normals, found {found}")]
    Rows {
        /// The quantity whose length is wrong.
        what: &'static str,
        /// The number of rows.
        expected: usize,
        /// The number of entries given.
        found: usize,
    },
    /// The centre of an inner set is not a profile of the fleet.
    #[error(
        "the centre is outside the aggregate set: its sum over the steps {steps:?} is out of bounds by {violation_kw} kW"
    )]
    CentreOutside {
        /// The subset that proves it.
        steps: Vec<usize>,
        /// By how much.
        violation_kw: f64,
    },
    /// Nothing limits the scaling.
    #[error(
        "every scaling of the set is inside the aggregate set: it has no extent in any direction"
    )]
    UnboundedScaling,
    /// A number is NaN or infinite.
    #[error("{what}[{index}] is {value}; every entry must be a finite number")]
    NotFinite {
        /// The quantity that holds the number.
        what: &'static str,
        /// Its position.
        index: usize,
        /// The number.
        value: f64,
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
    /// A lossy vehicle that can discharge has no exact set of the kind asked for.
    #[error(
        "vehicle {vehicle:?} discharges with one-way efficiency {efficiency}: its set is not a generalised \
         polymatroid, so there is no exact aggregate; use LossyInner and LossyOuter, or FleetPolymatroid::inner without discharging"
    )]
    Lossy {
        /// The vehicle.
        vehicle: String,
        /// Its one-way efficiency.
        efficiency: f64,
    },
    /// A lossy vehicle cannot be restricted to charging, because it has to discharge.
    #[error(
        "vehicle {vehicle:?} with one-way efficiency {efficiency} must discharge ({reason}); no inner set without discharging exists"
    )]
    MustDischarge {
        /// The vehicle.
        vehicle: String,
        /// Its one-way efficiency.
        efficiency: f64,
        /// Where.
        reason: String,
    },
    /// The set functions have 2^T values; T is too large to list them.
    #[error(
        "a full table over {steps} steps has 2 x 2^{steps} values; at most {limit} steps are tabulated (support and membership work at any number of steps)"
    )]
    TableTooLarge {
        /// T.
        steps: usize,
        /// The largest T tabulated.
        limit: usize,
    },
    /// A subset names a step that does not exist.
    #[error("the subset names step {step}, but there are only {steps} steps")]
    Subset {
        /// The step named.
        step: usize,
        /// The number of steps.
        steps: usize,
    },
    /// The profile is not in the set; the violated subset is the proof.
    #[error("the profile is outside the set: {witness}")]
    Outside {
        /// The violated inequality.
        witness: crate::aggregate_set::Witness,
    },
    /// The profile is not in an approximating set; a half-space separates them.
    #[error(
        "the profile is outside the set, {excess_kw} kW beyond a half-space that holds it; ask `contains` for the half-space"
    )]
    Separated {
        /// By how much.
        excess_kw: f64,
    },
    /// A hull of no points.
    #[error("a hull needs at least one point, and none was given")]
    NoPoints,
    /// The profile is in the outer set of a lossy fleet, but not in the inner set that was tried.
    #[error(
        "the profile is in the outer set, but {excess_kw} kW beyond the inner set around the nearest schedule: whether the \
         fleet can follow it is not known; try LossyInner::with_factors with other factors"
    )]
    BetweenSets {
        /// By how much it is beyond the inner set.
        excess_kw: f64,
    },
    /// Rounding kept a membership question from being answered at the tolerance asked for.
    #[error(
        "the profile is {distance_kw} kW from the set by projection, but no subset proves a violation above {tolerance_kw} kW; ask with a larger tolerance"
    )]
    Undecided {
        /// Distance found.
        distance_kw: f64,
        /// Tolerance asked for.
        tolerance_kw: f64,
    },
    /// A vertex mixture belongs to another fleet.
    #[error(
        "the mixture has weights for {found} groups, this fleet has {expected}: it was made for another fleet"
    )]
    ForeignMixture {
        /// Groups of this fleet.
        expected: usize,
        /// Groups of the mixture.
        found: usize,
    },
    /// The worker threads could not be started.
    #[error("could not start {threads} worker threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// No certificate could be verified, or it belongs to another question.
    #[error("no certificate by affine rules: {reason}")]
    NotCertified {
        /// What is wrong.
        reason: String,
    },
    /// The polytope crate refused or failed.
    #[error(transparent)]
    Polytope(#[from] evflex_polytope::Error),
    /// The fleet crate refused something.
    #[error(transparent)]
    Fleet(#[from] evflex_fleet::Error),
    /// The solver crate refused or failed.
    #[error(transparent)]
    Solver(#[from] evflex_solver::Error),
}

/// Checks that `values` has one finite entry per step.
pub(crate) fn check_profile(
    what: &'static str,
    values: ndarray::ArrayView1<'_, f64>,
    steps: usize,
) -> Result<(), Error> {
    if values.len() != steps {
        return Err(Error::Length {
            what,
            expected: steps,
            found: values.len(),
        });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite {
            what,
            index,
            value: values[index],
        }),
        None => Ok(()),
    }
}
