//! Limits, cancellation, start points and bad options.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Report, Verdict, check_solution, close, describe, outcome};
use crate::{
    Cancel, Error, Options, Outcome, Problem, ProblemBuilder, Progress, Solver, StopReason,
};

pub(super) fn run(solver: &dyn Solver, report: &mut Report) {
    report.add("time limit of zero", no_time(solver));
    report.add("cancelled before the start", cancelled(solver));
    report.add("cancelled on the way", cancelled_on_the_way(solver));
    report.add("short time limit", short_limit(solver));
    report.add("start point", start(solver));
    report.add("without duals", without_duals(solver));
    report.add("tighter tolerance", tighter(solver));
    for (name, options, wanted) in bad_options() {
        report.add(name, refuses(solver, &options, wanted));
    }
}

/// A transport problem with `size` sources and sinks, whole quantities and a unique price structure.
fn transport(size: usize) -> Result<Problem, String> {
    let mut builder = ProblemBuilder::new("transport");
    let mut terms = vec![Vec::new(); 2 * size];
    for i in 0..size {
        for j in 0..size {
            let price = 1.0 + ((7 * i + 5 * j + i * j) % 11) as f64;
            let flow = builder.variable(format!("f{i}_{j}"), 0.0, 30.0, price);
            terms[i].push((flow, 1.0));
            terms[size + j].push((flow, 1.0));
        }
    }
    for (index, terms) in terms.into_iter().enumerate() {
        let amount = 20.0;
        let (lower, upper) = if index < size {
            (f64::NEG_INFINITY, amount)
        } else {
            (amount - 3.0, f64::INFINITY)
        };
        builder.row(format!("r{index}"), lower, terms, upper);
    }
    builder.build().map_err(|error| error.to_string())
}

/// A system of subset sums (market split): no good bound, so branch and bound has much to do.
fn market_split() -> Result<Problem, String> {
    let mut builder = ProblemBuilder::new("market split");
    let count = 30;
    let x: Vec<_> = (0..count)
        .map(|i| builder.binary(format!("x{i}"), 0.0))
        .collect();
    for row in 0..4_usize {
        let weights: Vec<f64> = (0..count)
            .map(|i| ((i * i * 37 + row * 61 + i * (row + 3) * 17) % 100) as f64)
            .collect();
        let half = (weights.iter().sum::<f64>() / 2.0).floor();
        let over = builder.variable(format!("over{row}"), 0.0, f64::INFINITY, 1.0);
        let under = builder.variable(format!("under{row}"), 0.0, f64::INFINITY, 1.0);
        let terms = x.iter().copied().zip(weights);
        let slacks = [(over, -1.0), (under, 1.0)];
        builder.row(format!("r{row}"), half, terms.chain(slacks), half);
    }
    builder.build().map_err(|error| error.to_string())
}

fn stopped_by(found: &Outcome, wanted: StopReason) -> Result<Verdict, String> {
    match found {
        Outcome::Stopped { reason, .. } if *reason == wanted => Ok(Verdict::Passed),
        other => Err(format!("stopped by {wanted:?} expected, found {other:?}")),
    }
}

fn no_time(solver: &dyn Solver) -> Result<Verdict, String> {
    let options = Options::default().time_limit(Duration::ZERO);
    let found = outcome(solver, &transport(3)?, &options)?;
    stopped_by(&found, StopReason::TimeLimit)
}

fn cancelled(solver: &dyn Solver) -> Result<Verdict, String> {
    let cancel = Cancel::new();
    cancel.cancel();
    let options = Options::default().cancel(cancel);
    let found = outcome(solver, &transport(3)?, &options)?;
    stopped_by(&found, StopReason::Cancelled)
}

/// Cancels from the first progress report; an engine that is done before it reports has to be right.
fn cancelled_on_the_way(solver: &dyn Solver) -> Result<Verdict, String> {
    let capabilities = solver.capabilities();
    if !(capabilities.cancel && capabilities.progress) {
        return Ok(Verdict::Refused);
    }
    let problem = if capabilities.integer {
        market_split()?
    } else {
        transport(12)?
    };
    let cancel = Cancel::new();
    let (handle, reported) = (cancel.clone(), Arc::new(AtomicBool::new(false)));
    let flag = reported.clone();
    let options = Options::default()
        .cancel(cancel)
        .progress(Progress::new(move |_| {
            flag.store(true, Ordering::Relaxed);
            handle.cancel();
        }));
    let found = outcome(solver, &problem, &options)?;
    if !reported.load(Ordering::Relaxed) {
        return Err("progress is claimed but was never reported".to_owned());
    }
    match &found {
        Outcome::Optimal(solution) => check_solution(solver, &problem, solution)?,
        Outcome::Stopped {
            reason: StopReason::Cancelled,
            incumbent,
            ..
        } => {
            if let Some(solution) = incumbent {
                check_point(&problem, solution.primal())?;
            }
        }
        other => return Err(format!("cancelled or optimal expected, found {other:?}")),
    }
    Ok(Verdict::Passed)
}

/// Whatever is reached in a tenth of a second has to be true; how far that is does not matter.
fn short_limit(solver: &dyn Solver) -> Result<Verdict, String> {
    let capabilities = solver.capabilities();
    if !capabilities.time_limit {
        return Ok(Verdict::Refused);
    }
    let problem = if capabilities.integer {
        market_split()?
    } else {
        transport(12)?
    };
    let options = Options::default().time_limit(Duration::from_millis(100));
    match outcome(solver, &problem, &options)? {
        Outcome::Optimal(solution) => check_solution(solver, &problem, &solution)?,
        Outcome::Stopped {
            reason: StopReason::TimeLimit,
            incumbent,
            bound,
        } => {
            if let Some(solution) = incumbent {
                check_point(&problem, solution.primal())?;
                if bound.is_some_and(|bound| bound > solution.objective() + 1e-6) {
                    return Err(format!(
                        "bound {bound:?} above the incumbent {}",
                        solution.objective()
                    ));
                }
            }
        }
        other => return Err(format!("time limit or optimal expected, found {other:?}")),
    }
    Ok(Verdict::Passed)
}

fn check_point(problem: &Problem, point: &[f64]) -> Result<(), String> {
    let residuals =
        crate::verify::feasibility(problem, point).map_err(|error| error.to_string())?;
    if residuals.primal() <= crate::verify::ACCEPTANCE * Options::default().tolerance {
        Ok(())
    } else {
        Err(format!("infeasible incumbent: {residuals:?}"))
    }
}

/// A start point, good or bad, must not change the answer.
fn start(solver: &dyn Solver) -> Result<Verdict, String> {
    let problem = transport(4)?;
    let plain = optimum(solver, &problem, &Options::default())?;
    let count = problem.variable_count();
    let infeasible = vec![-5.0; count];
    for start in [vec![5.0; count], infeasible] {
        let options = Options::default().start(start);
        close("objective", optimum(solver, &problem, &options)?, plain)?;
    }
    Ok(Verdict::Passed)
}

fn optimum(solver: &dyn Solver, problem: &Problem, options: &Options) -> Result<f64, String> {
    outcome(solver, problem, options)?
        .into_optimal()
        .map(|solution| solution.objective())
        .map_err(|error| error.to_string())
}

fn without_duals(solver: &dyn Solver) -> Result<Verdict, String> {
    let problem = transport(4)?;
    let plain = optimum(solver, &problem, &Options::default())?;
    let found = outcome(solver, &problem, &Options::default().duals(false))?;
    let solution = found.into_optimal().map_err(|error| error.to_string())?;
    close("objective", solution.objective(), plain)?;
    if solution.duals().is_some() {
        return Err("duals were not wanted".to_owned());
    }
    Ok(Verdict::Passed)
}

/// At a tighter tolerance the answer is at least as good, or the solver says that it cannot.
fn tighter(solver: &dyn Solver) -> Result<Verdict, String> {
    let problem = transport(4)?;
    let plain = optimum(solver, &problem, &Options::default())?;
    match outcome(solver, &problem, &Options::default().tolerance(1e-10))? {
        Outcome::Optimal(solution) => close("objective", solution.objective(), plain)?,
        Outcome::Stopped {
            reason: StopReason::NumericalTrouble,
            ..
        } => {}
        other => return Err(format!("optimal expected, found {other:?}")),
    }
    Ok(Verdict::Passed)
}

fn bad_options() -> [(&'static str, Options, &'static str); 5] {
    let options = Options::default;
    [
        ("gap that is not a number", options().gap(f64::NAN), "gap"),
        ("tolerance of zero", options().tolerance(0.0), "tolerance"),
        ("no threads", options().threads(0), "threads"),
        ("start of the wrong length", options().start(vec![0.0]), ""),
        (
            "start that is not a number",
            options().start(vec![f64::NAN; 9]),
            "",
        ),
    ]
}

fn refuses(solver: &dyn Solver, options: &Options, wanted: &str) -> Result<Verdict, String> {
    match solver.solve(&transport(3)?, options) {
        Err(Error::InvalidOption { option, .. }) if option == wanted => Ok(Verdict::Passed),
        Err(Error::Length { .. } | Error::NotFinite { .. }) if wanted.is_empty() => {
            Ok(Verdict::Passed)
        }
        other => Err(format!("a refusal expected, found {}", describe(&other))),
    }
}
