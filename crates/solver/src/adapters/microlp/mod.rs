//! microlp: a pure-Rust simplex method with branch and bound, the maintained successor of minilp.

mod integers;

use std::time::{Duration, Instant};

use microlp::{
    ComparisonOp, OptimizationDirection, Problem as Program, ResumeOptions, Solution, SolveOptions,
    SolveOutcome, TerminationReason, Tolerances, Variable,
};

use self::integers::IntegerRange;
use crate::adapters::engine::{Answer, Claim, Engine, answer, out_of_time};
use crate::{
    Capabilities, Error, Options, Outcome, Problem, ProgressReport, Solver, StopReason,
    VariableKind,
};

/// The simplex and branch-and-bound solver microlp (feature `microlp`): linear and mixed-integer linear problems,
/// answered at a vertex.
///
/// Duals and certificates of linear programs come from a second linear program that it solves as well;
/// [`Options::duals`]`(false)` saves that where only the point counts. Its integers have 32 bits: an integer
/// variable without bounds is searched up to ±2³¹, and when it cannot be proven that nothing lies beyond, the
/// outcome is stopped with [`StopReason::EngineRange`].
///
/// ```
/// use evflex_solver::{Microlp, Options, ProblemBuilder, Solver};
/// let mut builder = ProblemBuilder::new("knapsack");
/// let items = [(60.0, 10.0), (100.0, 20.0), (120.0, 30.0)];
/// let take: Vec<_> = items.iter().map(|item| builder.binary("take", item.0)).collect();
/// builder.row(
///     "weight",
///     f64::NEG_INFINITY,
///     take.iter().zip(items).map(|(&variable, item)| (variable, item.1)),
///     50.0,
/// );
/// builder.maximise();
/// let solution = Microlp::default()
///     .solve(&builder.build()?, &Options::default())?
///     .into_optimal()?;
/// assert_eq!(solution.objective(), 220.0);
/// # Ok::<(), evflex_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Microlp {}

impl Solver for Microlp {
    fn name(&self) -> String {
        Engine::name(self)
    }

    fn capabilities(&self) -> Capabilities {
        Engine::capabilities(self)
    }

    fn solve(&self, problem: &Problem, options: &Options) -> Result<Outcome, Error> {
        answer(self, problem, options)
    }
}

impl Engine for Microlp {
    fn name(&self) -> String {
        "microlp 0.7.0".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::linear()
            .integer()
            .duals()
            .rays()
            .time_limit()
            .cancel()
            .start()
            .progress()
    }

    fn attempts(&self) -> usize {
        2
    }

    fn run(&self, problem: &Problem, options: &Options, attempt: usize) -> Result<Answer, Error> {
        if !problem.has_integers() {
            return Ok(search(problem, options, attempt));
        }
        let range = IntegerRange::of(problem);
        if range.is_whole() {
            return Ok(search(&range.problem, options, attempt));
        }
        // Some integers have no bounds the engine can hold. The relaxation tells whether there is anything
        // to search, and afterwards whether the search missed something.
        let started = Instant::now();
        let relaxed = search(&problem.relaxed(), options, attempt);
        if relaxed.claim != Claim::Optimal {
            return Ok(relaxed);
        }
        let mut answer = search(&range.problem, &options.remaining(started), attempt);
        let value = |answer: &Answer| answer.primal.as_ref().map(|point| problem.minimised(point));
        let cutoff = match answer.claim {
            Claim::Optimal => {
                // No better than the relaxation can be: nothing that lies beyond matters.
                if let (Some(found), Some(least)) = (value(&answer), value(&relaxed))
                    && found - least <= options.gap * found.abs()
                {
                    return Ok(answer);
                }
                value(&answer).map(|found| found - problem.offset)
            }
            Claim::Infeasible => None,
            _ => return Ok(answer),
        };
        let beyond = range.beyond(problem, cutoff)?;
        for program in beyond {
            let rest = options.remaining(started);
            if let Some(reason) = out_of_time(&rest) {
                answer.claim = Claim::Stopped(reason);
                return Ok(answer);
            }
            let found = search(&program, &rest, attempt);
            if !range.excludes(&program, &found) {
                answer.claim = Claim::Stopped(StopReason::EngineRange);
                return Ok(answer);
            }
        }
        Ok(answer)
    }
}

/// How long the engine runs before cancellation is looked at again.
const SLICE: Duration = Duration::from_millis(200);

/// Translates, runs in slices, translates back.
fn search(problem: &Problem, options: &Options, attempt: usize) -> Answer {
    let (program, variables) = translate(problem);
    let started = Instant::now();
    let slice = || match options.remaining(started).time_limit {
        Some(rest) => rest.min(SLICE),
        None => SLICE,
    };
    let mut setup = SolveOptions::default();
    setup.time_limit = Some(slice());
    setup.mip_gap = options.gap;
    setup.presolve = attempt == 0;
    setup.tolerances = Tolerances::default();
    // The engine's tolerance is absolute, on rows and costs whose largest coefficient lies between 1 and 2.
    setup.tolerances.feasibility = (0.1 * options.tolerance).clamp(1e-10, 1e-6);
    setup.warm_start = options
        .start
        .as_ref()
        .filter(|_| problem.has_integers())
        .map(|point| {
            variables
                .iter()
                .copied()
                .zip(point.iter().copied())
                .collect()
        });
    let mut result = program.solve_with(setup);
    let mut slices = 0;
    loop {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(microlp::Error::Infeasible) => return Answer::of(Claim::Infeasible),
            Err(microlp::Error::Unbounded) => return Answer::of(Claim::Unbounded),
            Err(error) => {
                tracing::debug!(%error, "microlp gave up");
                return Answer::of(Claim::Stopped(StopReason::NumericalTrouble));
            }
        };
        let done = match outcome.termination_reason() {
            TerminationReason::ProvenOptimal | TerminationReason::MipGap => Some(Claim::Optimal),
            TerminationReason::TimeLimit => {
                out_of_time(&options.remaining(started)).map(Claim::Stopped)
            }
            _ => Some(Claim::Stopped(StopReason::IterationLimit)),
        };
        if let Some(claim) = done {
            return translate_back(problem, &outcome, &variables, claim);
        }
        slices += 1;
        report(problem, options, &outcome, slices);
        let mut more = ResumeOptions::default();
        more.time_limit = Some(slice());
        more.mip_gap = Some(options.gap);
        result = outcome.resume_with(more);
    }
}

fn translate(problem: &Problem) -> (Program, Vec<Variable>) {
    let mut program = Program::new(OptimizationDirection::Minimize);
    let mut variables = Vec::with_capacity(problem.variable_count());
    for index in 0..problem.variable_count() {
        let cost = problem.costs[index];
        let (lower, upper) = (problem.lower[index], problem.upper[index]);
        variables.push(match problem.kinds[index] {
            VariableKind::Continuous => program.add_var(cost, (lower, upper)),
            // Preparation has made the bounds whole, and the range has brought them into 32 bits.
            _ => program.add_integer_var(cost, (integers::to_i32(lower), integers::to_i32(upper))),
        });
    }
    if problem.has_integers() && problem.offset != 0.0 {
        // The engine's gap is relative to its own objective, so that has to have the offset too.
        program.add_var(problem.offset, (1.0, 1.0));
    }
    for row in 0..problem.row_count() {
        let terms: Vec<_> = problem
            .by_row
            .line(row)
            .map(|(index, value)| (variables[index], value))
            .collect();
        let (lower, upper) = (problem.row_lower[row], problem.row_upper[row]);
        if lower >= upper {
            program.add_constraint(terms.as_slice(), ComparisonOp::Eq, upper);
            continue;
        }
        if lower.is_finite() {
            program.add_constraint(terms.as_slice(), ComparisonOp::Ge, lower);
        }
        if upper.is_finite() {
            program.add_constraint(terms.as_slice(), ComparisonOp::Le, upper);
        }
    }
    (program, variables)
}

fn translate_back(
    problem: &Problem,
    outcome: &SolveOutcome,
    variables: &[Variable],
    claim: Claim,
) -> Answer {
    let values = |solution: &Solution| variables.iter().map(|&v| solution.var_value(v)).collect();
    let mut answer = Answer::of(claim);
    answer.primal = outcome.solution().map(values);
    if problem.has_integers() {
        answer.bound = outcome.stats().best_bound;
        if outcome.termination_reason() == TerminationReason::ProvenOptimal {
            answer.bound = answer.primal.as_ref().map(|point| problem.minimised(point));
        }
    }
    answer
}

fn report(problem: &Problem, options: &Options, outcome: &SolveOutcome, slices: u64) {
    let sign = problem.sense.sign();
    let stats = outcome.stats();
    let (stage, done) = if problem.has_integers() {
        ("branch and bound", stats.nodes_solved)
    } else {
        ("simplex", stats.lp_iterations.max(slices))
    };
    options.report(&ProgressReport {
        objective: outcome.solution().map(|found| sign * found.objective()),
        bound: stats.best_bound.map(|bound| sign * bound),
        ..ProgressReport::new(stage, done)
    });
}
