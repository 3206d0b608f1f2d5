//! The path that every engine's claim takes before it becomes an outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::adapters::prepare::{Preparation, Prepared, prepare};
use crate::adapters::recover;
use crate::verify::{dual_cone_violation, largest, norm};
use crate::{
    Capabilities, Certificate, CompressedMatrix, Duals, Error, Options, Outcome, Problem, Progress,
    ProgressReport, Solution, StopReason, verify,
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
            if let Some(certificate) = &certificate {
                verify::certificate(problem, certificate, &name, options.tolerance)?;
            }
            return Ok(Outcome::Infeasible(certificate));
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
        prepared: &Prepared::identity(problem),
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
fn run(
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

/// One attempt at one prepared problem.
struct Case<'a> {
    engine: &'a dyn Engine,
    name: &'a str,
    prepared: &'a Prepared<'a>,
    options: &'a Options,
    started: Instant,
    attempt: usize,
}

impl Case<'_> {
    fn solve(&self) -> Result<Outcome, Error> {
        let mut options = self.options.clone();
        options.start = options
            .start
            .map(|point| self.prepared.reduce_point(&point));
        if let Some(listener) = options.progress.take() {
            let unit = self.prepared.restore_objective(1.0);
            options.progress = Some(Progress::new(move |report| {
                listener.report(&ProgressReport {
                    objective: report.objective.map(|value| value * unit),
                    bound: report.bound.map(|value| value * unit),
                    ..report.clone()
                });
            }));
        }
        self.conclude(run(
            self.engine,
            &self.prepared.reduced,
            &options,
            self.attempt,
        )?)
    }

    /// What can be shown of the engine's claim.
    fn conclude(&self, answer: Answer) -> Result<Outcome, Error> {
        tracing::debug!(solver = self.name, claim = ?answer.claim, problem = %self.prepared.original, "engine answered");
        let outcome = match answer.claim {
            Claim::Optimal => self.optimal(answer),
            Claim::Infeasible => self.infeasible(answer.farkas),
            Claim::Unbounded => self.unbounded(answer),
            Claim::Stopped(reason) => Ok(self.stopped(reason, answer)),
        }?;
        if let Some(solution) = outcome.best() {
            self.options.report(&ProgressReport {
                objective: Some(solution.objective()),
                bound: Some(solution.bound()),
                ..ProgressReport::new("done", 1)
            });
        }
        Ok(outcome)
    }

    fn rest(&self) -> Options {
        let mut rest = self.options.remaining(self.started);
        rest.start = None;
        rest
    }

    /// Feasibility, and for a continuous problem duals without gap.
    fn optimal(&self, answer: Answer) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        let Some(point) = answer.primal else {
            return Ok(self.trouble(None));
        };
        let sign = problem.sense.sign();
        let bound = answer
            .bound
            .map(|bound| sign * self.prepared.restore_objective(bound));
        if problem.has_integers() {
            // Where preparation has fixed all integers, the engine's optimum of the rest is the bound.
            let fixed = !self.prepared.reduced.has_integers();
            let optimum = || problem.objective(&self.clipped(&point)).ok();
            let bound = bound.or_else(|| if fixed { optimum() } else { None });
            return self.optimal_integer(&point, bound);
        }
        let point = self.clipped(&point);
        let no_cost = !problem.has_quadratic() && problem.costs.iter().all(|cost| *cost == 0.0);
        let multipliers = if no_cost {
            Some(zero_multipliers(problem))
        } else {
            answer
                .multipliers
                .map(|multipliers| self.clean(self.prepared.restore_multipliers(&multipliers)))
        };
        let multipliers = match multipliers {
            None if self.options.duals && problem.is_linear_program() => {
                let found = recover::duals(
                    self.engine,
                    &self.prepared.reduced,
                    &self.rest(),
                    self.attempt,
                )?;
                match found {
                    Ok(found) => Some(self.clean(self.prepared.restore_multipliers(&found))),
                    Err(claim) => return self.unproven(point, claim),
                }
            }
            other => other,
        };
        let bound = match &multipliers {
            None => bound.or_else(|| problem.objective(&point).ok()),
            Some(_) => None,
        };
        self.solution(point, multipliers, bound)
            .map(Outcome::Optimal)
    }

    /// A feasible point whose optimality the second solve could not confirm.
    fn unproven(&self, point: Vec<f64>, claim: Claim) -> Result<Outcome, Error> {
        let reason = match claim {
            Claim::Stopped(reason) => reason,
            _ => StopReason::NumericalTrouble,
        };
        Ok(Outcome::Stopped {
            reason,
            incumbent: Some(self.solution(point, None, None)?),
            bound: None,
        })
    }

    fn solution(
        &self,
        point: Vec<f64>,
        multipliers: Option<Multipliers>,
        bound: Option<f64>,
    ) -> Result<Solution, Error> {
        let duals = multipliers.map(|multipliers| Duals {
            rows: multipliers.rows,
            reduced_costs: Vec::new(),
            cones: multipliers.cones,
        });
        let mut solution = Solution::verified(
            self.prepared.original,
            self.name,
            point,
            duals,
            bound,
            self.options.tolerance,
        )?;
        if !self.options.duals {
            solution.duals = None;
        }
        Ok(solution)
    }

    /// Integer values are rounded; when the rounded point fails, the rest is optimised around them.
    fn optimal_integer(&self, point: &[f64], bound: Option<f64>) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        let Some(solution) = self.integer_solution(point, bound)? else {
            return Ok(self.trouble(None));
        };
        let bound = solution.bound();
        let sign = problem.sense.sign();
        // The claim of the engine was about its own point; ours may be worse after rounding.
        let gap = sign * (solution.objective() - bound) / solution.objective().abs().max(1.0);
        if gap <= self.options.gap + verify::ACCEPTANCE * self.options.tolerance {
            return Ok(Outcome::Optimal(solution));
        }
        Ok(Outcome::Stopped {
            reason: StopReason::NumericalTrouble,
            bound: bound.is_finite().then_some(bound),
            incumbent: Some(solution),
        })
    }

    fn integer_solution(
        &self,
        point: &[f64],
        bound: Option<f64>,
    ) -> Result<Option<Solution>, Error> {
        let problem = self.prepared.original;
        let mut rounded = self.clipped(point);
        for (value, kind) in rounded.iter_mut().zip(&problem.kinds) {
            if kind.is_integral() {
                if (*value - value.round()).abs() > verify::ACCEPTANCE * self.options.tolerance {
                    // Not a rounding matter: let the check refuse it by name.
                    return self.solution(rounded, None, bound).map(Some);
                }
                *value = value.round();
            }
        }
        let allowed = verify::ACCEPTANCE * self.options.tolerance;
        if verify::feasibility(problem, &rounded)?.primal() <= allowed {
            return self.solution(rounded, None, bound).map(Some);
        }
        let mut fixed = problem.clone();
        for (index, kind) in problem.kinds.iter().enumerate() {
            if kind.is_integral() {
                fixed.lower[index] = rounded[index];
                fixed.upper[index] = rounded[index];
                fixed.kinds[index] = crate::VariableKind::Continuous;
            }
        }
        match optimal_point(self.engine, &fixed, &self.rest(), self.attempt)? {
            Ok(point) => self.solution(point, None, bound).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A continuous problem is infeasible only with a ray to show; with integers the engine's search is the proof.
    fn infeasible(&self, farkas: Option<Multipliers>) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        if let Some(certificate) = farkas.and_then(|ray| self.farkas(&ray)) {
            return Ok(Outcome::Infeasible(Some(certificate)));
        }
        let linear = !problem.has_cones();
        let relaxed;
        let reduced = if problem.has_integers() {
            relaxed = self.prepared.reduced.relaxed();
            &relaxed
        } else {
            &self.prepared.reduced
        };
        let recovered = if linear {
            recover::farkas(self.engine, reduced, &self.rest(), self.attempt)
        } else {
            Ok(Err(Claim::Stopped(StopReason::NumericalTrouble)))
        };
        match recovered {
            Ok(Ok(ray)) => {
                if let Some(certificate) = self.farkas(&ray) {
                    return Ok(Outcome::Infeasible(Some(certificate)));
                }
            }
            Ok(Err(Claim::Stopped(reason))) if !problem.has_integers() => {
                return Ok(Outcome::Stopped {
                    reason,
                    incumbent: None,
                    bound: None,
                });
            }
            Ok(Err(_)) => {}
            Err(error) if problem.has_integers() => {
                tracing::debug!(%error, "the relaxation has no certificate");
            }
            Err(error) => return Err(error),
        }
        if problem.has_integers() {
            return Ok(Outcome::Infeasible(None));
        }
        Ok(self.trouble(None))
    }

    /// Needs a feasible point and a direction; without a feasible point the problem is infeasible.
    fn unbounded(&self, answer: Answer) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        let reduced = &self.prepared.reduced;
        let point = if let Some(point) = answer.primal {
            Some(point)
        } else {
            let feasibility = reduced.without_objective();
            let found = run_or_zero(self.engine, &feasibility, &self.rest(), self.attempt)?;
            match (found.claim, found.primal) {
                (Claim::Optimal, Some(point)) => Some(point),
                (Claim::Infeasible, _) => return self.infeasible(found.farkas),
                (Claim::Stopped(reason), _) => {
                    return Ok(Outcome::Stopped {
                        reason,
                        incumbent: None,
                        bound: None,
                    });
                }
                _ => None,
            }
        };
        let Some(point) = point else {
            return Ok(self.trouble(None));
        };
        let mut point = self.clipped(&point);
        if problem.has_integers() {
            match self.integer_solution(&self.prepared.reduce_point(&point), None)? {
                Some(solution) => point = solution.into_primal(),
                None => return Ok(self.trouble(None)),
            }
        }
        if let Some(certificate) = answer.ray.and_then(|ray| self.ray(&point, &ray)) {
            return Ok(Outcome::Unbounded(Some(certificate)));
        }
        if !problem.has_cones() {
            let relaxed = reduced.relaxed();
            let found = recover::ray(self.engine, &relaxed, &self.rest(), self.attempt)?;
            if let Ok(ray) = found
                && let Some(certificate) = self.ray(&point, &ray)
            {
                return Ok(Outcome::Unbounded(Some(certificate)));
            }
        }
        Ok(self.trouble(self.solution(point, None, None).ok()))
    }

    /// Whatever the engine says, duals without gap prove an optimum.
    fn stopped(&self, reason: StopReason, answer: Answer) -> Outcome {
        let problem = self.prepared.original;
        let sign = problem.sense.sign();
        let bound = answer
            .bound
            .map(|bound| sign * self.prepared.restore_objective(bound));
        let Some(point) = answer.primal else {
            return Outcome::Stopped {
                reason,
                incumbent: None,
                bound,
            };
        };
        if let Some(multipliers) = answer.multipliers
            && !problem.has_integers()
        {
            let multipliers = self.clean(self.prepared.restore_multipliers(&multipliers));
            if let Ok(solution) = self.solution(self.clipped(&point), Some(multipliers), None) {
                return Outcome::Optimal(solution);
            }
        }
        let incumbent = if problem.has_integers() {
            self.integer_solution(&point, bound).ok().flatten()
        } else {
            self.solution(self.clipped(&point), None, bound).ok()
        };
        Outcome::Stopped {
            reason,
            incumbent,
            bound,
        }
    }

    /// When an engine has no claim to make about a linear or quadratic program, the two linear programs that look
    /// for certificates may still be easy for it: both are feasible and bounded.
    fn last_resort(&self) -> Option<Outcome> {
        let problem = self.prepared.original;
        if problem.has_cones() || problem.has_integers() {
            return None;
        }
        let unbounded = self.unbounded(Answer::of(Claim::Unbounded));
        if let Ok(outcome @ (Outcome::Unbounded(_) | Outcome::Infeasible(_))) = unbounded {
            return Some(outcome);
        }
        match self.infeasible(None) {
            Ok(outcome @ Outcome::Infeasible(_)) => Some(outcome),
            _ => None,
        }
    }

    fn trouble(&self, incumbent: Option<Solution>) -> Outcome {
        tracing::debug!(solver = self.name, "a claim could not be proven");
        Outcome::Stopped {
            reason: StopReason::NumericalTrouble,
            incumbent,
            bound: None,
        }
    }

    /// The full point, moved onto bounds that it oversteps: a step back by rounding costs nothing, and a
    /// larger one shows in the rows.
    fn clipped(&self, reduced: &[f64]) -> Vec<f64> {
        let problem = self.prepared.original;
        let mut point = self.prepared.restore_point(reduced);
        for (index, value) in point.iter_mut().enumerate() {
            if *value < problem.lower[index] {
                *value = problem.lower[index];
            } else if *value > problem.upper[index] {
                *value = problem.upper[index];
            }
        }
        point
    }

    /// Multipliers with the signs that their sides allow, in their cones. What this changes shows in the reduced
    /// costs, which are recomputed.
    fn clean(&self, mut multipliers: Multipliers) -> Multipliers {
        let problem = self.prepared.original;
        for (row, value) in multipliers.rows.iter_mut().enumerate() {
            let open = (*value > 0.0 && problem.row_lower[row] == f64::NEG_INFINITY)
                || (*value < 0.0 && problem.row_upper[row] == f64::INFINITY);
            if open {
                *value = 0.0;
            }
        }
        for multiplier in &mut multipliers.cones {
            if dual_cone_violation(multiplier) > 0.0 {
                multiplier[0] = norm(multiplier.iter().skip(1).copied());
            }
        }
        multipliers
    }

    /// A certificate from multipliers of the reduced problem: the first that passes its check among versions
    /// with more and more small entries dropped as noise.
    fn farkas(&self, ray: &Multipliers) -> Option<Certificate> {
        let size = largest(ray.rows.iter().chain(ray.cones.iter().flatten()).copied());
        if !(size.is_finite() && size > 0.0) {
            return None;
        }
        NOISE.iter().find_map(|noise| {
            let keep = |value: &f64| {
                if value.abs() > noise * size {
                    *value
                } else {
                    0.0
                }
            };
            let kept = Multipliers {
                rows: ray.rows.iter().map(keep).collect(),
                cones: ray
                    .cones
                    .iter()
                    .map(|cone| cone.iter().map(keep).collect())
                    .collect(),
            };
            let full = self.clean(self.prepared.restore_multipliers(&kept));
            let size = largest(full.rows.iter().chain(full.cones.iter().flatten()).copied());
            let full = self.clean(Multipliers {
                rows: full.rows.iter().map(|value| value / size).collect(),
                cones: full
                    .cones
                    .iter()
                    .map(|cone| cone.iter().map(|value| value / size).collect())
                    .collect(),
            });
            let certificate = Certificate::Farkas {
                rows: full.rows,
                cones: full.cones,
            };
            self.passes(&certificate).then_some(certificate)
        })
    }

    /// The same for a direction of the reduced problem.
    fn ray(&self, point: &[f64], ray: &[f64]) -> Option<Certificate> {
        let problem = self.prepared.original;
        let size = largest(ray.iter().copied());
        if !(size.is_finite() && size > 0.0) {
            return None;
        }
        NOISE.iter().find_map(|noise| {
            let mut direction = self.prepared.restore_direction(ray);
            for (index, value) in direction.iter_mut().enumerate() {
                let blocked = (*value < 0.0 && problem.lower[index].is_finite())
                    || (*value > 0.0 && problem.upper[index].is_finite());
                *value = if blocked || value.abs() <= noise * size {
                    0.0
                } else {
                    *value / size
                };
            }
            let certificate = Certificate::Ray {
                point: point.to_vec(),
                direction,
            };
            self.passes(&certificate).then_some(certificate)
        })
    }

    fn passes(&self, certificate: &Certificate) -> bool {
        let checked = verify::certificate(
            self.prepared.original,
            certificate,
            self.name,
            self.options.tolerance,
        );
        if let Err(error) = &checked {
            tracing::trace!(%error, "certificate refused");
        }
        checked.is_ok()
    }
}

/// Entries of a ray below these parts of its largest are dropped as noise, one after the other.
const NOISE: [f64; 4] = [0.0, 1e-10, 1e-8, 1e-6];

/// A feasibility problem, which needs no engine when it has bounds alone.
fn run_or_zero(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Result<Answer, Error> {
    if let Some(reason) = out_of_time(options) {
        return Ok(Answer::of(Claim::Stopped(reason)));
    }
    run(engine, problem, options, attempt)
}

fn zero_multipliers(problem: &Problem) -> Multipliers {
    Multipliers {
        rows: vec![0.0; problem.row_count()],
        cones: problem
            .cones
            .iter()
            .map(|cone| vec![0.0; cone.parts.len() + 1])
            .collect(),
    }
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
