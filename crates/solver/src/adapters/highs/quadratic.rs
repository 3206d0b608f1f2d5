//! Convex quadratic programs on the active-set method of HiGHS, which needs some guidance.

use std::borrow::Cow;
use std::time::Instant;

use super::{EngineError, Highs, failed, ffi, load, run, stopped};
use crate::adapters::engine::{Answer, Claim, out_of_time};
use crate::adapters::recover;
use crate::verify::{self, largest};
use crate::{Error, Options, Problem, StopReason};

/// One attempt at a quadratic program: first as it is, then as sequences of strictly convex ones.
pub(super) fn solve(problem: &Problem, options: &Options, attempt: usize) -> Result<Answer, Error> {
    let started = Instant::now();
    if let Some(answer) = falls_for_ever(problem, options, attempt)? {
        return Ok(answer);
    }
    let options = &options.remaining(started);
    let with_row = with_some_row(problem);
    let mut engine = ffi::Engine::new().map_err(failed)?;
    guide(&mut engine, &with_row, attempt).map_err(failed)?;
    let mut answer = if attempt == 0 {
        load(&mut engine, &with_row)
            .and_then(|()| run(&mut engine, &with_row, options, attempt))
            .map_err(failed)?
    } else {
        let weight = PROXIMAL_WEIGHTS[(attempt - 1).min(PROXIMAL_WEIGHTS.len() - 1)];
        proximal(&mut engine, &with_row, options, attempt, weight).map_err(failed)?
    };
    if let Some(multipliers) = &mut answer.multipliers {
        multipliers.rows.truncate(problem.row_count());
    }
    Ok(answer)
}

/// The active-set method needs a few iterations per variable and row; with more than this it goes round in circles.
const ITERATIONS_PER_LINE: usize = 100;

/// Iterations that even the smallest problem may take.
const ITERATIONS_FLOOR: usize = 1000;

/// Sets what only this method looks at.
fn guide(engine: &mut ffi::Engine, problem: &Problem, attempt: usize) -> Result<(), EngineError> {
    // HiGHS would add this to the diagonal of Q, and with it move the answer.
    engine.set_number(c"qp_regularization_value", 0.0)?;
    let size = problem.variable_count() + problem.row_count();
    engine.set_int(
        c"qp_iteration_limit",
        ITERATIONS_FLOOR + ITERATIONS_PER_LINE * size,
    )?;
    // Another rule for the next constraint may find the way out of a circle: 0 is Dantzig's, 1 Devex, 2 steepest edge.
    let rule = [1, 1, 2, 0][attempt.min(3)];
    engine.set_int(c"simplex_primal_edge_weight_strategy", rule)
}

/// A problem without rows gets one that limits nothing: without any row HiGHS 1.15 takes another way, which may end
/// outside the bounds.
fn with_some_row(problem: &Problem) -> Cow<'_, Problem> {
    if problem.row_count() > 0 {
        return Cow::Borrowed(problem);
    }
    let mut with_row = problem.clone();
    with_row.row_names.push(String::new());
    with_row.row_lower.push(f64::NEG_INFINITY);
    with_row.row_upper.push(f64::INFINITY);
    with_row.by_row.push_line(&mut [(0, 1.0)]);
    with_row.by_column = with_row.by_row.transposed();
    Cow::Owned(with_row)
}

/// Whether the objective falls without limit in some direction that the constraints leave open.
///
/// A feasible convex quadratic program is unbounded exactly when there is such a direction (Frank and Wolfe 1956),
/// which is a linear program. The active-set method is not to be trusted with the question: it wanders off
/// until rounding makes the objective look level.
fn falls_for_ever(
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Result<Option<Answer>, Error> {
    let mut bounds = problem.lower().iter().chain(problem.upper());
    if bounds.all(|bound| bound.is_finite()) {
        return Ok(None);
    }
    let Ok(direction) = recover::ray(&Highs::default(), problem, options, attempt)? else {
        return Ok(None);
    };
    let (mut slope, mut scale) = (0.0, 0.0_f64);
    for (cost, step) in problem.costs().iter().zip(&direction) {
        slope += cost * step;
        scale = scale.max((cost * step).abs());
    }
    let falls = slope < -verify::ACCEPTANCE * options.tolerance * scale;
    Ok(falls.then(|| Answer {
        ray: Some(direction),
        ..Answer::of(Claim::Unbounded)
    }))
}

/// Weights of the proximal term relative to the largest entry of Q, one per attempt: light ones need fewer steps,
/// heavy ones make each easier.
const PROXIMAL_WEIGHTS: [f64; 3] = [1e-4, 1e-2, 1.0];

/// Proximal steps that are tried before the attempt is given up.
const PROXIMAL_STEPS: usize = 200;

/// Solves a quadratic program that is not strictly convex, where the active-set method may go round in circles, as
/// a sequence of strictly convex ones,
///
/// ```text
/// x_{k+1} = argmin f(x) + ½ ρ ‖x − x_k‖²,
/// ```
///
/// whose fixed points are the minimisers of `f` (the proximal point method, Rockafellar 1976). The duals of a step
/// are those of `f` up to `ρ (x_{k+1} − x_k)`, which ends below the tolerance.
fn proximal(
    engine: &mut ffi::Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
    weight: f64,
) -> Result<Answer, EngineError> {
    let started = Instant::now();
    let steepest = largest(problem.quadratic().values().iter().copied());
    let rho = weight * steepest;
    let scale = largest(problem.costs().iter().copied()).max(steepest);
    let mut raised = problem.clone();
    raised.quadratic = problem.quadratic().with_diagonal(rho);
    load(engine, &raised)?;
    let bounds = problem.lower().iter().zip(problem.upper());
    let mut point: Vec<f64> = bounds
        .map(|(lower, upper)| 0.0_f64.clamp(*lower, *upper))
        .collect();
    for _ in 0..PROXIMAL_STEPS {
        let rest = options.remaining(started);
        if let Some(reason) = out_of_time(&rest) {
            return stopped(engine, problem, reason);
        }
        for (column, (cost, value)) in problem.costs().iter().zip(&point).enumerate() {
            engine.set_cost(column, cost - rho * value)?;
        }
        let answer = run(engine, problem, &rest, attempt)?;
        let (Claim::Optimal, Some(next)) = (answer.claim, &answer.primal) else {
            return Ok(answer);
        };
        let steps = next.iter().zip(&point).map(|(new, old)| new - old);
        if rho * largest(steps) <= options.tolerance * scale {
            return Ok(answer);
        }
        point.clone_from(next);
    }
    stopped(engine, problem, StopReason::NumericalTrouble)
}
