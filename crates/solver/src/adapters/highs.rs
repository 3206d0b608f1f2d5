//! HiGHS: simplex, interior point, active-set and branch-and-cut methods in C++.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::adapters::engine::{Answer, Claim, Engine, Multipliers, answer, backend};
use crate::{Capabilities, Error, Options, Outcome, Problem, ProgressReport, Solver, StopReason};

mod data;
#[expect(
    unsafe_code,
    reason = "HiGHS has a C interface; the module makes it safe and holds nothing else"
)]
mod ffi;
mod model;
mod quadratic;

use data::{EngineError, Lines, ModelData};
use ffi::{Event, Status};
pub use model::Model;

/// The HiGHS solver (feature `highs`): linear, convex quadratic and mixed-integer linear problems, with duals
/// and certificates.
///
/// Linear programs are solved by the dual simplex method, so that optimal points are vertices. For a sequence of
/// similar problems use [`Model`], which starts every solve from the last basis.
///
/// [`Options::start`] is used for problems with integer variables. A quadratic problem that is being solved
/// notices [`Options::time_limit`] but neither [`Options::cancel`] nor progress: HiGHS does not ask there. Nor does
/// it ask inside a single linear relaxation of a branch-and-cut run.
///
/// ```
/// use evflex_solver::{Highs, Options, ProblemBuilder, Solver};
/// let mut builder = ProblemBuilder::new("two chargers, 3.7 kW or nothing");
/// let on: Vec<_> = [0.40, 0.25].iter().map(|price| builder.binary("on", 3.7 * price)).collect();
/// builder.row("energy", 3.0, on.iter().map(|&v| (v, 3.7)), f64::INFINITY);
/// let solution = Highs::default().solve(&builder.build()?, &Options::default())?.into_optimal()?;
/// assert_eq!(solution.primal(), [0.0, 1.0]);
/// # Ok::<(), evflex_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Highs {}

impl Solver for Highs {
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

impl Engine for Highs {
    fn name(&self) -> String {
        format!("HiGHS {}", ffi::Engine::version())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::linear()
            .quadratic()
            .integer()
            .duals()
            .rays()
            .time_limit()
            .cancel()
            .start()
            .progress()
    }

    fn attempts(&self) -> usize {
        4
    }

    fn run(&self, problem: &Problem, options: &Options, attempt: usize) -> Result<Answer, Error> {
        if problem.has_quadratic() {
            return quadratic::solve(problem, options, attempt);
        }
        let mut engine = ffi::Engine::new().map_err(failed)?;
        load(&mut engine, problem).map_err(failed)?;
        if let Some(start) = options.start.as_ref().filter(|_| problem.has_integers()) {
            engine.set_start(start).map_err(failed)?;
        }
        run(&mut engine, problem, options, attempt).map_err(failed)
    }
}

fn failed(error: EngineError) -> Error {
    backend(Engine::name(&Highs::default()), error)
}

/// Hands the problem over, in its minimisation form.
fn load(engine: &mut ffi::Engine, problem: &Problem) -> Result<(), EngineError> {
    let columns = problem.by_column();
    // Our upper triangle by columns is the lower triangle by rows; the engine wants the latter by columns.
    let triangle = problem.quadratic().transposed();
    let integer: Vec<bool> = problem
        .kinds()
        .iter()
        .map(|kind| kind.is_integral())
        .collect();
    // Everything that is finite is meant as written, however large or small.
    for option in [c"infinite_bound", c"infinite_cost", c"large_matrix_value"] {
        engine.set_number(option, f64::INFINITY)?;
    }
    engine.set_number(c"small_matrix_value", SMALLEST_COEFFICIENT)?;
    engine.pass(&ModelData {
        offset: problem.offset(),
        costs: problem.costs(),
        lower: problem.lower(),
        upper: problem.upper(),
        row_lower: problem.row_lower(),
        row_upper: problem.row_upper(),
        matrix: lines(columns),
        hessian: if problem.has_quadratic() {
            lines(&triangle)
        } else {
            Lines::default()
        },
        integer: if problem.has_integers() {
            &integer
        } else {
            &[]
        },
    })
}

fn lines(matrix: &crate::CompressedMatrix) -> Lines<'_> {
    Lines {
        starts: matrix.starts(),
        indices: matrix.indices(),
        values: matrix.values(),
    }
}

/// The least that HiGHS lets its threshold be; smaller entries are dropped, which the check of the answer sees.
const SMALLEST_COEFFICIENT: f64 = 1e-12;

/// The tightest tolerance that HiGHS accepts.
const TIGHTEST: f64 = 1e-10;

/// The loosest tolerance that we ask for; HiGHS's own default is ten times smaller.
const LOOSEST: f64 = 1e-6;

/// Sets the options of one run. Later attempts trade speed for care.
fn configure(
    engine: &mut ffi::Engine,
    options: &Options,
    attempt: usize,
) -> Result<(), EngineError> {
    let limit = options
        .time_limit
        .map_or(f64::INFINITY, |limit| limit.as_secs_f64());
    engine.set_number(c"time_limit", limit)?;
    let asked = options.tolerance.clamp(TIGHTEST, LOOSEST);
    let careful = attempt % 2 == 1;
    let tolerance = if careful { TIGHTEST } else { asked };
    for option in [
        c"primal_feasibility_tolerance",
        c"dual_feasibility_tolerance",
        c"primal_residual_tolerance",
        c"dual_residual_tolerance",
        c"optimality_tolerance",
        c"ipm_optimality_tolerance",
    ] {
        engine.set_number(option, tolerance)?;
    }
    // Integer values are rounded and checked again afterwards.
    engine.set_number(c"mip_feasibility_tolerance", (10.0 * asked).min(LOOSEST))?;
    // |objective − bound| ≤ gap · max(1, |objective|): whichever of the two is reached first.
    engine.set_number(c"mip_rel_gap", options.gap)?;
    engine.set_number(c"mip_abs_gap", options.gap)?;
    // The engine's seed has 31 bits; any fixed map will do.
    engine.set_int(
        c"random_seed",
        usize::try_from(options.seed % (1 << 31)).unwrap_or(0),
    )?;
    let presolve = if careful { c"off" } else { c"choose" };
    engine.set_text(c"presolve", presolve)?;
    engine.set_text(c"solver", if attempt == 2 { c"ipm" } else { c"choose" })?;
    // 1 is the dual simplex method, 4 the primal one.
    engine.set_int(c"simplex_strategy", if attempt == 3 { 4 } else { 1 })
}

/// Runs the engine on the model it holds, which is `problem`, and collects what it found.
fn run(
    engine: &mut ffi::Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Result<Answer, EngineError> {
    let started = Instant::now();
    configure(engine, options, attempt)?;
    let watch = Watch::new(problem, options);
    let threads = options.threads.unwrap_or(0);
    let status = engine.run(threads, &|event| watch.see(event))?;
    let linear = problem.is_linear_program();
    let answer = match status {
        Status::Optimal => {
            let point = engine.point()?;
            // Without integers (all of them may have been fixed) the optimum itself is the bound.
            let bound = if problem.has_integers() {
                proven_bound(engine, problem)?
            } else {
                Some(problem.minimised(&point.columns))
            };
            Answer {
                bound,
                multipliers: (!problem.has_integers()).then(|| Multipliers {
                    rows: point.row_duals,
                    cones: Vec::new(),
                }),
                primal: Some(point.columns),
                ..Answer::of(Claim::Optimal)
            }
        }
        Status::Infeasible => {
            let mut answer = Answer::of(Claim::Infeasible);
            if linear {
                answer.farkas =
                    farkas(engine, options, started, threads, &watch)?.map(|rows| Multipliers {
                        rows,
                        cones: Vec::new(),
                    });
            }
            answer
        }
        Status::Unbounded => {
            let primal = feasible_point(engine)?;
            let ray = if linear {
                engine.known_primal_ray()?
            } else {
                None
            };
            Answer {
                primal,
                ray,
                ..Answer::of(Claim::Unbounded)
            }
        }
        Status::UnboundedOrInfeasible => Answer::of(Claim::Unbounded),
        Status::TimeLimit => stopped(engine, problem, StopReason::TimeLimit)?,
        // The only limit on iterations is that of quadratic programs, which says that they go round in circles.
        Status::IterationLimit | Status::Failed(_) => {
            stopped(engine, problem, StopReason::NumericalTrouble)?
        }
        Status::Interrupted => stopped(engine, problem, StopReason::Cancelled)?,
        // No variables at all: the callers of an engine have answered that themselves.
        Status::Empty => return Err(EngineError::Status("model empty")),
    };
    tracing::debug!(
        ?status,
        simplex_iterations = engine.count(c"simplex_iteration_count")?,
        time = ?started.elapsed(),
        "HiGHS"
    );
    Ok(answer)
}

/// The bound that branch and bound proved so far.
fn proven_bound(engine: &ffi::Engine, problem: &Problem) -> Result<Option<f64>, EngineError> {
    if !problem.has_integers() {
        return Ok(None);
    }
    let bound = engine.number(c"mip_dual_bound")?;
    Ok(bound.is_finite().then_some(bound))
}

/// The engine's point if it calls it feasible.
fn feasible_point(engine: &ffi::Engine) -> Result<Option<Vec<f64>>, EngineError> {
    if engine.has_feasible_point()? {
        let point = engine.point()?.columns;
        return Ok(point.iter().all(|value| value.is_finite()).then_some(point));
    }
    Ok(None)
}

fn stopped(
    engine: &ffi::Engine,
    problem: &Problem,
    reason: StopReason,
) -> Result<Answer, EngineError> {
    let primal = feasible_point(engine)?;
    // Duals of a run that failed may still prove its point optimal.
    let multipliers = match (&primal, reason) {
        (Some(_), StopReason::NumericalTrouble) if !problem.has_integers() => Some(Multipliers {
            rows: engine.point()?.row_duals,
            cones: Vec::new(),
        }),
        _ => None,
    };
    Ok(Answer {
        primal,
        multipliers,
        bound: proven_bound(engine, problem)?,
        ..Answer::of(Claim::Stopped(reason))
    })
}

/// The ray of an infeasible linear program. Where presolve saw the infeasibility there is none, so that
/// the program is solved again without it.
fn farkas(
    engine: &mut ffi::Engine,
    options: &Options,
    started: Instant,
    threads: usize,
    watch: &Watch<'_>,
) -> Result<Option<Vec<f64>>, EngineError> {
    if let Some(ray) = engine.known_dual_ray()? {
        return Ok(Some(ray));
    }
    let rest = options.remaining(started);
    engine.set_number(
        c"time_limit",
        rest.time_limit
            .map_or(f64::INFINITY, |limit| limit.as_secs_f64()),
    )?;
    engine.set_text(c"presolve", c"off")?;
    let status = engine.run(threads, &|event| watch.see(event))?;
    engine.set_text(c"presolve", c"choose")?;
    if status == Status::Infeasible {
        engine.known_dual_ray()
    } else {
        Ok(None)
    }
}

/// Passes events of a run on to the caller's listener, not more often than it can read them, and asks for a stop when the
/// caller has cancelled.
struct Watch<'a> {
    options: &'a Options,
    sign: f64,
    last: Mutex<Option<Instant>>,
}

/// Least time between two progress reports of one run.
const REPORT_EVERY: Duration = Duration::from_millis(50);

impl<'a> Watch<'a> {
    fn new(problem: &Problem, options: &'a Options) -> Self {
        Self {
            options,
            sign: problem.sense().sign(),
            last: Mutex::new(None),
        }
    }

    /// Whether the run has to stop.
    fn see(&self, event: Event) -> bool {
        if self.options.progress.is_some() && self.is_due() {
            self.report(event);
        }
        self.options.cancel.is_cancelled()
    }

    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    fn report(&self, event: Event) {
        let known = |value: f64| value.is_finite().then_some(self.sign * value);
        let report = match event {
            Event::Simplex { iterations } => ProgressReport::new("simplex", iterations),
            Event::InteriorPoint { iterations } => {
                ProgressReport::new("interior point", iterations)
            }
            Event::Branch {
                nodes,
                objective,
                bound,
            } => ProgressReport {
                objective: known(objective),
                bound: known(bound),
                ..ProgressReport::new("branch and bound", nodes)
            },
        };
        self.options.report(&report);
    }
}
