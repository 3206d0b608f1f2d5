//! What every solver has to pass: known problems of every class and verdict, limits, bad data, duals against
//! finite differences, and random problems whose answers are known by construction or by enumeration.
//!
//! A solver is held to what its [`Capabilities`](crate::Capabilities) claim, and has to refuse the rest with
//! [`Error::Unsupported`]. Nothing that it reports is taken on trust: points, duals and certificates are
//! checked again by [`verify`].
//!
//! ```
//! # #[cfg(feature = "microlp")] {
//! use evflex_solver::{Microlp, testkit};
//! let report = testkit::run(&Microlp::default());
//! assert!(report.passed(), "{report}");
//! # }
//! ```

mod known;
mod limits;
mod random;

use std::fmt;

use crate::{Certificate, Error, Options, Outcome, Problem, Solution, Solver, verify};

/// Relative difference between objectives that counts as agreement.
const AGREEMENT: f64 = 1e-6;

/// What came of one check.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The solver did what it has to do.
    Passed,
    /// The problem is outside the solver's capabilities, and it said so.
    Refused,
    /// The solver did something else; the text says what.
    Failed(String),
}

/// The checks that were made, in order.
#[derive(Clone, Debug)]
#[must_use = "a report that nobody reads proves nothing"]
pub struct Report {
    solver: String,
    checks: Vec<(String, Verdict)>,
}

impl Report {
    fn new(solver: String) -> Self {
        Self {
            solver,
            checks: Vec::new(),
        }
    }

    fn add(&mut self, name: impl Into<String>, result: Result<Verdict, String>) {
        let verdict = result.unwrap_or_else(Verdict::Failed);
        self.checks.push((name.into(), verdict));
    }

    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// All checks by name.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        self.checks
            .iter()
            .map(|(name, verdict)| (name.as_str(), verdict))
    }

    /// The checks that failed, with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks().filter_map(|(name, verdict)| match verdict {
            Verdict::Failed(reason) => Some((name, reason.as_str())),
            _ => None,
        })
    }
}

/// A line of counts, and one line per failure.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted: fn(&Verdict) -> bool| {
            self.checks
                .iter()
                .filter(|(_, verdict)| wanted(verdict))
                .count()
        };
        write!(
            f,
            "{}: {} passed, {} refused, {} failed",
            self.solver,
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Refused)),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
        )?;
        for (name, reason) in self.failures() {
            write!(f, "\n  {name}: {reason}")?;
        }
        Ok(())
    }
}

/// Holds a solver to what it claims.
pub fn run(solver: &dyn Solver) -> Report {
    let mut report = Report::new(solver.name());
    known::run(solver, &mut report);
    limits::run(solver, &mut report);
    random::run(solver, 20, 1, &mut report);
    report
}

/// Compares the verdicts and objectives of several solvers on `count` random problems made from `seed`: linear,
/// quadratic, conic and mixed-integer ones, feasible or not. A solver that does not take a class is left out
/// of it.
pub fn agreement(solvers: &[&dyn Solver], count: usize, seed: u64) -> Report {
    let names: Vec<String> = solvers.iter().map(|solver| solver.name()).collect();
    let mut report = Report::new(names.join(", "));
    random::agreement(solvers, count, seed, &mut report);
    report
}

/// What a problem's answer has to be.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Optimal(f64),
    Infeasible,
    Unbounded,
}

fn outcome(solver: &dyn Solver, problem: &Problem, options: &Options) -> Result<Outcome, String> {
    solver
        .solve(problem, options)
        .map_err(|error| format!("solve failed: {error}"))
}

/// Poses a problem, or expects its refusal when the solver does not claim its class.
fn pose(
    solver: &dyn Solver,
    problem: Result<Problem, Error>,
    expected: Expected,
) -> Result<Verdict, String> {
    let problem = problem.map_err(|error| format!("the problem cannot be built: {error}"))?;
    let capabilities = solver.capabilities();
    if capabilities.require(&problem, &solver.name()).is_err() {
        return match solver.solve(&problem, &Options::default()) {
            Err(Error::Unsupported { .. }) => Ok(Verdict::Refused),
            other => Err(format!(
                "Unsupported expected for {problem}, found {}",
                describe(&other)
            )),
        };
    }
    let found = outcome(solver, &problem, &Options::default())?;
    judge(solver, &problem, &found, expected)
}

fn judge(
    solver: &dyn Solver,
    problem: &Problem,
    found: &Outcome,
    expected: Expected,
) -> Result<Verdict, String> {
    match (found, expected) {
        (Outcome::Optimal(solution), Expected::Optimal(value)) => {
            check_solution(solver, problem, solution)?;
            close("objective", solution.objective(), value)?;
            close("bound", solution.bound(), value)?;
        }
        (Outcome::Infeasible(certificate), Expected::Infeasible)
        | (Outcome::Unbounded(certificate), Expected::Unbounded) => {
            check_certificate(solver, problem, certificate.as_ref(), expected)?;
        }
        _ => return Err(format!("{expected:?} expected, found {found:?}")),
    }
    Ok(Verdict::Passed)
}

/// Residuals, and duals where they are claimed.
fn check_solution(
    solver: &dyn Solver,
    problem: &Problem,
    solution: &Solution,
) -> Result<(), String> {
    let tolerance = Options::default().tolerance;
    let allowed = verify::ACCEPTANCE * tolerance;
    let residuals = verify::feasibility(problem, solution.primal()).map_err(|e| e.to_string())?;
    if residuals.primal() > allowed {
        return Err(format!("infeasible point: {residuals:?}"));
    }
    if problem.has_integers() || !solver.capabilities().duals {
        return Ok(());
    }
    let duals = solution.duals().ok_or("duals are claimed but missing")?;
    let residuals = verify::optimality(problem, solution.primal(), duals, tolerance)
        .map_err(|error| error.to_string())?;
    let worst = residuals
        .dual
        .unwrap_or(f64::INFINITY)
        .max(residuals.gap.unwrap_or(f64::INFINITY));
    if worst > allowed {
        return Err(format!("the duals prove nothing: {residuals:?}"));
    }
    Ok(())
}

/// The certificate of a continuous problem where it is claimed, and any that is given.
fn check_certificate(
    solver: &dyn Solver,
    problem: &Problem,
    certificate: Option<&Certificate>,
    expected: Expected,
) -> Result<(), String> {
    let Some(certificate) = certificate else {
        if solver.capabilities().rays && !problem.has_integers() {
            return Err("a certificate is claimed but missing".to_owned());
        }
        return Ok(());
    };
    let fits = match certificate {
        Certificate::Farkas { .. } => matches!(expected, Expected::Infeasible),
        Certificate::Ray { .. } => matches!(expected, Expected::Unbounded),
    };
    if !fits {
        return Err(format!("{certificate:?} does not prove {expected:?}"));
    }
    verify::certificate(
        problem,
        certificate,
        &solver.name(),
        Options::default().tolerance,
    )
    .map_err(|error| error.to_string())
}

fn close(what: &str, found: f64, expected: f64) -> Result<(), String> {
    let difference = (found - expected).abs() / expected.abs().max(1.0);
    if difference <= AGREEMENT {
        Ok(())
    } else {
        Err(format!("{what} is {found}, expected {expected}"))
    }
}

fn describe(result: &Result<Outcome, Error>) -> String {
    match result {
        Ok(outcome) => outcome.status().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The random part of [`run`] alone, with `count` problems of each kind made from `seed`.
pub fn run_random(solver: &dyn Solver, count: usize, seed: u64) -> Report {
    let mut report = Report::new(solver.name());
    random::run(solver, count, seed, &mut report);
    report
}
