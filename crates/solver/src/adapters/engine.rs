//! The path that every engine's claim takes before it becomes an outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::adapters::case::Case;
use crate::adapters::prepare::{Preparation, prepare};
use crate::{
    Capabilities, CompressedMatrix, Error, Options, Outcome, Problem, Solution, StopReason, verify,
};

/// What an engine says about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Optimal,
    Infeasible,
    /// Unbounded, or infeasible: engines that see a dual ray first cannot tell.
    Unbounded,
    Stopped(StopReason),
}

/// Multipliers of rows and cones in the crate's sign convention.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Multipliers {
    pub rows: Vec<f64>,
    pub cones: Vec<Vec<f64>>,
}

/// An engine's claim with what it brings along.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub claim: Claim,
    /// A point: optimal, or the best so far.
    pub primal: Option<Vec<f64>>,
    /// Duals of the point.
    pub multipliers: Option<Multipliers>,
    /// Multipliers that prove infeasibility.
    pub farkas: Option<Multipliers>,
    /// A direction that proves unboundedness.
    pub ray: Option<Vec<f64>>,
    /// Proven bound on the minimised objective.
    pub bound: Option<f64>,
}

impl Answer {
    pub(crate) fn of(claim: Claim) -> Self {
        Self {
            claim,
            primal: None,
            multipliers: None,
            farkas: None,
            ray: None,
            bound: None,
        }
    }

    /// Whether every number is one; engines lose themselves in NaN.
    fn is_finite(&self) -> bool {
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        let all = |multipliers: &Multipliers| {
            finite(&multipliers.rows) && multipliers.cones.iter().all(|cone| finite(cone))
        };
        self.primal.as_deref().is_none_or(finite)
            && self.ray.as_deref().is_none_or(finite)
            && self.multipliers.as_ref().is_none_or(all)
            && self.farkas.as_ref().is_none_or(all)
    }
}

/// What an adapter implements: translate, run, translate back.
pub(crate) trait Engine {
    fn name(&self) -> String;
    fn capabilities(&self) -> Capabilities;
    /// Number of ways the engine can be set up; later ones are tried when earlier ones end in trouble.
    fn attempts(&self) -> usize {
        1
    }
    /// Runs the engine on a prepared problem: no fixed variables, no empty rows, at least one variable.
    fn run(&self, problem: &Problem, options: &Options, attempt: usize) -> Result<Answer, Error>;
}

/// The engine's error, with its own type boxed away.
#[cfg(any(feature = "clarabel", feature = "highs"))]
pub(crate) fn backend(
    solver: String,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Backend {
        solver,
        source: source.into(),
    }
}

/// Answers a problem with an engine: the body of every adapter's `solve`.
pub(crate) fn answer(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
) -> Result<Outcome, Error> {
    options.validate(problem.variable_count())?;
    let name = engine.name();
    engine.capabilities().require(problem, &name)?;
    let started = Instant::now();
    let stopped = |reason| Outcome::Stopped {
        reason,
        incumbent: None,
        bound: None,
    };
    if let Some(reason) = out_of_time(options) {
        return Ok(stopped(reason));
    }
    let prepared = match prepare(problem, options.tolerance) {
        Preparation::Ready(prepared) => prepared,
        Preparation::Infeasible(certificate) => {
            // The reason may rest on integer bounds that were rounded, which a certificate does not know.
            let certificate = certificate.filter(|certificate| {
                verify::certificate(problem, certificate, &name, options.tolerance).is_ok()
            });
            return Ok(if certificate.is_some() || problem.has_integers() {
                Outcome::Infeasible(certificate)
            } else {
                stopped(StopReason::NumericalTrouble)
            });
        }
    };
    // The best so far: a solution that passes but is rough may be beaten by a later set-up.
    let mut rough: Option<Solution> = None;
    let mut attempt = 0;
    let result = loop {
        let rest = options.remaining(started);
        let case = Case {
            engine,
            name: &name,
            prepared: &prepared,
            options: &rest,
            started: Instant::now(),
            attempt,
        };
        let result = case.solve();
        attempt += 1;
        let last =
            attempt >= engine.attempts() || out_of_time(&options.remaining(started)).is_some();
        match result {
            Ok(Outcome::Optimal(solution)) => {
                let best = match rough {
                    Some(known) if known.residuals.worst() < solution.residuals.worst() => known,
                    _ => solution,
                };
                if last || best.residuals.worst() <= ROUGH * options.tolerance {
                    return Ok(Outcome::Optimal(best));
                }
                rough = Some(best);
            }
            result => {
                let retry = match &result {
                    Ok(Outcome::Stopped { reason, .. }) => {
                        *reason == StopReason::NumericalTrouble || rough.is_some()
                    }
                    Ok(_) => false,
                    Err(error) => {
                        matches!(error, Error::WrongAnswer { .. } | Error::Backend { .. })
                    }
                };
                if !retry {
                    return result;
                }
                if last {
                    if let Some(solution) = rough {
                        return Ok(Outcome::Optimal(solution));
                    }
                    break case.last_resort().map_or(result, Ok);
                }
                tracing::debug!(solver = %name, attempt, ?result, "trying another set-up");
            }
        }
    };
    match result {
        Err(Error::WrongAnswer { amount, .. }) if amount <= WRONG => {
            tracing::debug!(solver = %name, amount, "inaccurate, but not wrong");
            Ok(stopped(StopReason::NumericalTrouble))
        }
        result => result,
    }
}

/// A solution whose residuals exceed the tolerance by more than this passes, but other set-ups may do better.
const ROUGH: f64 = 10.0;

/// A residual up to here, relative as all of them, is numerical trouble; a larger one is a wrong answer.
const WRONG: f64 = 1e-3;

/// Turns the claim of an engine that was run on `problem` as it is into an outcome; `engine` solves what the proof
/// of the claim may need.
#[cfg(feature = "highs")]
pub(crate) fn conclude(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    answer: Answer,
) -> Result<Outcome, Error> {
    let case = Case {
        engine,
        name: &engine.name(),
        prepared: &crate::adapters::prepare::Prepared::identity(problem),
        options,
        started: Instant::now(),
        attempt: 0,
    };
    case.conclude(answer)
}

/// Whether a run with these options may not even start.
pub(crate) fn out_of_time(options: &Options) -> Option<StopReason> {
    if options.cancel.is_cancelled() {
        Some(StopReason::Cancelled)
    } else if options.time_limit.is_some_and(|limit| limit.is_zero()) {
        Some(StopReason::TimeLimit)
    } else {
        None
    }
}

/// Runs an engine on a problem of any form and gives the optimal point back, or the reason why there is none.
/// This is how the second problems of a recovery are solved; their answers are checked by their users.
pub(crate) fn optimal_point(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Result<Result<Vec<f64>, Claim>, Error> {
    if let Some(reason) = out_of_time(options) {
        return Ok(Err(Claim::Stopped(reason)));
    }
    let Preparation::Ready(prepared) = prepare(problem, options.tolerance) else {
        return Ok(Err(Claim::Infeasible));
    };
    let answer = run(engine, &prepared.reduced, options, attempt)?;
    Ok(match (answer.claim, answer.primal) {
        (Claim::Optimal, Some(point)) => Ok(prepared.restore_point(&point)),
        (claim, _) => Err(claim),
    })
}

/// Runs the engine, or answers what needs none. A panic of the engine becomes an error.
pub(crate) fn run(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Result<Answer, Error> {
    if problem.row_count() == 0 && !problem.has_cones() && !problem.has_quadratic() {
        return Ok(by_inspection(problem));
    }
    // The engine is not used again after a panic, so a broken state inside it cannot be seen.
    let ran = catch_unwind(AssertUnwindSafe(|| engine.run(problem, options, attempt)));
    let trouble = Answer::of(Claim::Stopped(StopReason::NumericalTrouble));
    match ran {
        Ok(Ok(answer)) if answer.is_finite() => Ok(answer),
        Ok(Ok(_)) => {
            tracing::debug!(solver = %engine.name(), "the engine returned numbers that are none");
            Ok(trouble)
        }
        Ok(error) => error,
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or_default();
            tracing::warn!(solver = %engine.name(), message, "the engine panicked");
            Ok(trouble)
        }
    }
}

/// A linear objective over bounds alone: every variable goes to the bound that its cost prefers.
fn by_inspection(problem: &Problem) -> Answer {
    let count = problem.variable_count();
    let mut point = vec![0.0; count];
    let mut ray = None;
    for (index, value) in point.iter_mut().enumerate() {
        let (lower, upper) = (problem.lower[index], problem.upper[index]);
        let near = 0.0_f64.clamp(lower, upper);
        let cost = problem.costs[index];
        let wanted = if cost > 0.0 {
            lower
        } else if cost < 0.0 {
            upper
        } else {
            near
        };
        *value = if wanted.is_finite() { wanted } else { near };
        if !wanted.is_finite() {
            let mut direction = vec![0.0; count];
            direction[index] = -cost.signum();
            ray = Some(direction);
        }
    }
    let mut answer = Answer::of(if ray.is_some() {
        Claim::Unbounded
    } else {
        Claim::Optimal
    });
    answer.bound = ray.is_none().then(|| problem.minimised(&point));
    answer.primal = Some(point);
    answer.ray = ray;
    answer.multipliers = Some(Multipliers::default());
    answer
}

impl Problem {
    /// The same constraints with nothing to minimise.
    pub(crate) fn without_objective(&self) -> Self {
        let mut problem = self.clone();
        problem.offset = 0.0;
        problem.costs.fill(0.0);
        problem.quadratic = CompressedMatrix::new(self.variable_count());
        (0..self.variable_count()).for_each(|_| problem.quadratic.push_line(&mut []));
        problem
    }

    /// The same problem with every variable continuous.
    pub(crate) fn relaxed(&self) -> Self {
        let mut problem = self.clone();
        problem.kinds.fill(crate::VariableKind::Continuous);
        problem
    }
}
