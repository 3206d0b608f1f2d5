//! What can go wrong when schedules are asked for.

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A list has the wrong number of entries.
    #[error("{what} must have {expected} entries, found {found}")]
    Length {
        /// The list.
        what: String,
        /// How many entries it needs.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A number is outside its domain, NaN and infinities included.
    #[error("{what} must be {rule}, found {value}")]
    OutOfRange {
        /// The quantity, with vehicle and step.
        what: String,
        /// What is accepted.
        rule: &'static str,
        /// The number given.
        value: f64,
    },
    /// There is no vehicle.
    #[error("a scheduling problem needs at least one vehicle")]
    NoVehicles,
    /// Two vehicles share a name.
    #[error("vehicles number {first} and {second} have the same id `{id}`; ids must be unique")]
    DuplicateId {
        /// The name.
        id: String,
        /// The first vehicle.
        first: usize,
        /// The second vehicle.
        second: usize,
    },
    /// A vehicle cannot reach its final level, whatever it does.
    #[error(
        "vehicle `{id}` needs {final_min_kwh} kWh at the end, but reaches {reachable_kwh} kWh at most; \
         lower final_min_kwh or connect it longer"
    )]
    ImpossibleVehicle {
        /// The vehicle.
        id: String,
        /// What it needs.
        final_min_kwh: f64,
        /// What it reaches when it charges all the time.
        reachable_kwh: f64,
    },
    /// The last steps of a running schedule leave a vehicle no way to reach its final level under the switching rule.
    #[error("vehicle `{id}` has no schedule under the switching rule after its past; {way_out}")]
    NoVehicleSchedule {
        /// The vehicle.
        id: String,
        /// What can be done.
        way_out: &'static str,
    },
    /// A price and a surplus cost make energy cheaper to buy than to have left over.
    #[error(
        "step {step}: price {price} plus surplus cost {surplus_cost} EUR/kWh is negative, so the cost is not convex; \
         raise the surplus cost to at least {least}, or ask for binaries with `allow_concave`"
    )]
    Concave {
        /// The step.
        step: usize,
        /// Price, EUR/kWh.
        price: f64,
        /// Surplus cost, EUR/kWh.
        surplus_cost: f64,
        /// The least surplus cost that is accepted, EUR/kWh.
        least: f64,
    },
    /// The limit of a group is too small for what its vehicles need.
    #[error(
        "the limits of {group} are too small: by step {step} its vehicles need {needed_kwh} kWh from the grid, and at most \
         {available_kwh} kWh can be had"
    )]
    LimitTooSmall {
        /// The group.
        group: String,
        /// The last step by which the energy is needed.
        step: usize,
        /// Net energy from the grid that is needed by then, kWh.
        needed_kwh: f64,
        /// What the limits allow, kWh.
        available_kwh: f64,
    },
    /// A group names a vehicle that does not exist.
    #[error("{group} names vehicle `{id}`, which does not exist")]
    UnknownVehicle {
        /// The group.
        group: String,
        /// The name.
        id: String,
    },
    /// A vehicle is in two groups.
    #[error("vehicle `{id}` is in {first} and in {second}; groups may not overlap")]
    Overlap {
        /// The vehicle.
        id: String,
        /// The first group.
        first: String,
        /// The second group.
        second: String,
    },
    /// Level 0 is for vehicles that are all alike.
    #[error(
        "level 0 needs vehicles that are all alike, but `{first}` and `{second}` differ in {what}; use level 1"
    )]
    NotAlike {
        /// The first vehicle.
        first: String,
        /// A vehicle that differs from it.
        second: String,
        /// In what.
        what: &'static str,
    },
    /// A level that does not exist.
    #[error("there is no level {found}; levels are 0, 1, 2 and 3")]
    NoSuchLevel {
        /// What was asked for.
        found: usize,
    },
    /// A switching rule that does not exist.
    #[error("there is no switching rule {found:?}; rules are A, B, C and D")]
    NoSuchRule {
        /// What was asked for.
        found: String,
    },
    /// A method cannot take a problem.
    #[error("{method} cannot take {what}; {way_out}")]
    Unsupported {
        /// The method.
        method: &'static str,
        /// What it lacks.
        what: String,
        /// What to do instead.
        way_out: &'static str,
    },
    /// No schedule exists; what was solved proves it.
    #[error("no schedule exists: {reason}")]
    Infeasible {
        /// What proves it.
        reason: String,
    },
    /// A schedule that was given does not belong to the problem.
    #[error("the schedule does not belong to the problem: {reason}")]
    ForeignSchedule {
        /// In what they differ.
        reason: String,
    },
    /// A schedule of our own did not pass the independent check; this is a defect of this crate.
    #[error("the schedule of the {method} failed its check ({violation}); please report this")]
    CheckFailed {
        /// The method.
        method: &'static str,
        /// The largest violation.
        violation: String,
    },
    /// A file or a value in it is wrong.
    #[error(transparent)]
    Input(#[from] evflex_fleet::Error),
    /// The solver failed or refused.
    #[error(transparent)]
    Solver(#[from] evflex_solver::Error),
}
