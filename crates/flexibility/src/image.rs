//! Decisions and membership for sets that are images `u = A ξ + c` of something a program can hold.
//!
//! What the affine sets, hulls, zonotopes and ellipsoids have in common: a program over `ξ` and `u`,
//! whose multipliers of the rows `u = A ξ + c` are a slope in the space of profiles. The slope is made
//! exactly one of the cost's, and bounded by the set's own support function, so that no bound rests on
//! what a solver claims.

use std::time::Instant;

use evflex_solver::{Options, ProblemBuilder, RowId, Solution, Solver, VariableId};
use ndarray::{Array1, ArrayView1};

use crate::{
    aggregate_set::{Decision, DecisionStatus, Membership, Minorant, SupportPoint},
    error::{Error, check_profile},
    objective::{Objective, cost_per_kw},
};

/// Relative gap that the programs of decisions reach at their default tolerances.
const PROGRAM_GAP: f64 = 1e-6;

/// Where the parts of an image are in a problem.
pub(crate) struct ImageVariables {
    /// `ξ`.
    pub inner: Vec<VariableId>,
    /// `u`, one per step.
    pub u: Vec<VariableId>,
    /// `u − A ξ = c`, one per step.
    pub rows: Vec<RowId>,
}

/// A set `{A ξ + c : ξ ∈ Ξ}`.
pub(crate) trait Image {
    /// T.
    fn image_steps(&self) -> usize;

    /// Adds `ξ ∈ Ξ` and `u = A ξ + c` to a problem.
    fn write_image(&self, builder: &mut ProblemBuilder) -> ImageVariables;

    /// The member of `Ξ` that a solver's values, which are right up to its tolerances, stand for.
    fn clean(&self, inner: Array1<f64>) -> Array1<f64> {
        inner
    }

    /// `A ξ + c`.
    fn image(&self, inner: ArrayView1<'_, f64>) -> Array1<f64>;

    /// The `ξ` whose image is furthest along a direction.
    fn furthest(&self, direction: ArrayView1<'_, f64>) -> Array1<f64>;

    /// The smallest value of `slope · u` over the set.
    fn least(&self, slope: &Array1<f64>) -> f64 {
        slope.dot(&self.image(self.furthest((-slope).view()).view()))
    }
}

/// The support value of an image along a direction, with a maximiser.
pub(crate) fn support(
    set: &impl Image,
    direction: ArrayView1<'_, f64>,
) -> Result<SupportPoint, Error> {
    check_profile("direction", direction, set.image_steps())?;
    let profile_kw = set.image(set.furthest(direction).view());
    Ok(SupportPoint {
        value: direction.dot(&profile_kw),
        profile_kw,
    })
}

/// Adds `u` and the rows `u − A ξ = c`, from the columns of `A`.
pub(crate) fn image_rows(
    builder: &mut ProblemBuilder,
    inner: Vec<VariableId>,
    centre: ArrayView1<'_, f64>,
    entry: impl Fn(usize, usize) -> f64,
) -> ImageVariables {
    let u: Vec<VariableId> = (0..centre.len())
        .map(|t| builder.variable(format!("u_{t}"), f64::NEG_INFINITY, f64::INFINITY, 0.0))
        .collect();
    let rows = (0..centre.len())
        .map(|t| {
            let image = inner
                .iter()
                .enumerate()
                .map(|(k, &inner)| (inner, -entry(t, k)))
                .filter(|term| term.1 != 0.0);
            let terms: Vec<_> = image.chain([(u[t], 1.0)]).collect();
            builder.row(format!("image_{t}"), centre[t], terms, centre[t])
        })
        .collect();
    ImageVariables { inner, u, rows }
}

/// The best profile of an image: the support function for energy costs, else a program.
pub(crate) fn minimise(
    set: &impl Image,
    step_hours: f64,
    objective: &Objective,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Decision, Error> {
    objective.check(set.image_steps())?;
    let started = Instant::now();
    let bounded = |profile_kw, slope| {
        let least = |slope: &Array1<f64>| set.least(slope);
        bounded_decision(
            objective, step_hours, profile_kw, slope, least, options, started,
        )
    };
    if let Objective::Energy { price_eur_per_mwh } = objective {
        let slope = cost_per_kw(price_eur_per_mwh, step_hours);
        let profile_kw = set.image(set.furthest((-&slope).view()).view());
        return Ok(bounded(profile_kw, slope));
    }
    let mut builder = ProblemBuilder::new("decision over an inner set");
    let variables = set.write_image(&mut builder);
    objective.write(&mut builder, &variables.u, step_hours);
    let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
    let inner = set.clean(values(&solution, &variables.inner));
    let profile_kw = set.image(inner.view());
    // The dual of `u = A ξ + c` is the marginal cost of the aggregate; make it one exactly.
    let raw = multipliers(&solution, &variables.rows, solver)?;
    let slope = objective.nearest_slope(&raw, profile_kw.view(), step_hours);
    Ok(bounded(profile_kw, slope))
}

/// A decision from a profile and a slope of its cost: the bound is what `least` makes of the slope.
pub(crate) fn bounded_decision(
    objective: &Objective,
    step_hours: f64,
    profile_kw: Array1<f64>,
    slope: Array1<f64>,
    least: impl FnOnce(&Array1<f64>) -> f64,
    options: &Options,
    started: Instant,
) -> Decision {
    let cost = objective.cost(profile_kw.view(), step_hours);
    let constant = objective
        .minorant_constant(slope.view(), step_hours, 1e-9)
        .unwrap_or(f64::NEG_INFINITY);
    let lower_bound = (constant + least(&slope)).min(cost);
    // A cost of zero has no relative gap: what is rounding in its terms is none.
    let scale = profile_kw
        .iter()
        .fold(0.0, |most, u| f64::max(most, u.abs()));
    let rounding = 1e-9 * objective.magnitude(scale, step_hours);
    let decision = Decision {
        profile_kw,
        cost,
        lower_bound,
        minorant: Minorant { slope, constant },
        status: DecisionStatus::Optimal,
        iterations: 1,
        elapsed: started.elapsed(),
    };
    let optimal = decision.gap() <= options.gap.max(PROGRAM_GAP) || cost - lower_bound <= rounding;
    Decision {
        status: if optimal {
            DecisionStatus::Optimal
        } else {
            DecisionStatus::Stalled
        },
        ..decision
    }
}

/// The point that stands behind a profile, or a half-space that separates the two.
pub(crate) enum Preimage {
    /// The point, and the direction in which the profile is beyond its image, if it is at all.
    Found {
        inner: Array1<f64>,
        direction: Array1<f64>,
    },
    Separated {
        direction: Array1<f64>,
        excess_kw: f64,
    },
}

impl Preimage {
    pub fn into_membership(self) -> Membership {
        match self {
            Self::Found { .. } => Membership::Inside,
            Self::Separated {
                direction,
                excess_kw,
            } => Membership::Separated {
                direction,
                excess_kw,
            },
        }
    }

    pub fn found(self) -> Result<Array1<f64>, Error> {
        match self {
            Self::Found { inner, .. } => Ok(inner),
            Self::Separated { excess_kw, .. } => Err(Error::Separated { excess_kw }),
        }
    }
}

/// Minimises `‖A ξ + c − profile‖₁`. The multipliers `d` of the difference, in −1..1, separate a
/// profile outside: `d · profile` exceeds the support value along `d`.
pub(crate) fn preimage(
    set: &impl Image,
    profile: ArrayView1<'_, f64>,
    tolerance_kw: f64,
    solver: &dyn Solver,
) -> Result<Preimage, Error> {
    check_profile("profile", profile, set.image_steps())?;
    let mut builder = ProblemBuilder::new("membership in an inner set");
    let variables = set.write_image(&mut builder);
    let rows: Vec<_> = variables
        .u
        .iter()
        .enumerate()
        .map(|(t, &u)| {
            let above = builder.variable(format!("above_{t}"), 0.0, f64::INFINITY, 1.0);
            let below = builder.variable(format!("below_{t}"), 0.0, f64::INFINITY, 1.0);
            let terms = [(u, 1.0), (above, 1.0), (below, -1.0)];
            builder.row(format!("profile_{t}"), profile[t], terms, profile[t])
        })
        .collect();
    let solution = solver
        .solve(&builder.build()?, &Options::default())?
        .into_optimal()?;
    let direction = multipliers(&solution, &rows, solver)?.mapv(|d| d.clamp(-1.0, 1.0));
    let excess_kw = direction.dot(&profile) + set.least(&-&direction);
    Ok(if excess_kw > tolerance_kw {
        Preimage::Separated {
            direction,
            excess_kw,
        }
    } else {
        Preimage::Found {
            inner: set.clean(values(&solution, &variables.inner)),
            direction,
        }
    })
}

fn values(solution: &Solution, variables: &[VariableId]) -> Array1<f64> {
    variables
        .iter()
        .map(|&variable| solution.value(variable))
        .collect()
}

fn multipliers(
    solution: &Solution,
    rows: &[RowId],
    solver: &dyn Solver,
) -> Result<Array1<f64>, Error> {
    let duals = solution
        .duals()
        .ok_or_else(|| evflex_solver::Error::Unsupported {
            solver: solver.name(),
            class: "duals",
        })?;
    Ok(rows.iter().map(|row| duals.rows[row.index()]).collect())
}
