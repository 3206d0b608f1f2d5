//! Side by side, in one run: certificates of inner sets, against the plain programs in general solvers.
//!
//! `cargo run --release -p evflex-benches --features highs --bin compare_certificates`
//!
//! Prints Markdown: seconds, the baselines' seconds with their ratio and the difference of the answers, versions. Everything
//! on one thread. `--small` leaves out sizes and baselines that take more than a few seconds, `--plain-limit SECONDS` (default 60)
//! ends the plain programs.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::{Duration, Instant};

use evflex::{
    fleet::Fleet,
    flexibility::{
        AffineForm, AffineInner, AffineScaling, FleetPolymatroid, InnerPolytope, VehicleSet,
        Verification,
    },
    solver::{Clarabel, Options, ProblemBuilder, Solver},
};
use evflex_benches::{inner_set, interval_set, measure, paper_fleet, time};
use ndarray::Array1;

/// Directions of which the plain sweep is timed; the whole is extrapolated.
const SAMPLE: usize = 1_000;

/// Makes an exact set, a set to scale into it, and its centre.
type Instance = fn(&Fleet, u64) -> (FleetPolymatroid, InnerPolytope, Array1<f64>);

struct Run {
    small: bool,
    options: Options,
    baselines: Vec<Box<dyn Solver>>,
}

fn cell(ours: (f64, f64), seconds: f64, answer: Result<f64, String>) -> String {
    match answer {
        Ok(value) => {
            let difference = (value - ours.1).abs() / ours.1.abs().max(1e-9);
            format!(
                "{} ({:.1}×, {difference:.0e})",
                time(seconds),
                seconds / ours.0
            )
        }
        Err(reason) => {
            let reason: String = reason.chars().take(60).collect();
            format!("{} ({reason})", time(seconds))
        }
    }
}

fn row(question: &str, size: &str, ours: f64, detail: &str, theirs: &[String]) {
    println!(
        "| {question} | {size} | {} | {detail} | {} |",
        time(ours),
        theirs.join(" | ")
    );
}

/// The exact scale with its complete sweep; baseline: one linear program for each of the 2·2^T directions, timed on a sample.
fn exact(run: &Run, steps: usize, vehicles: usize, make: Instance) {
    let fleet = paper_fleet(vehicles, steps, 1);
    let (set, inner, centre) = make(&fleet, 1);
    let (ours, answer) = measure(|| set.exact_scaling(&inner, centre.view()));
    let Ok(answer) = answer else { return };
    let cells: Vec<String> = run
        .baselines
        .iter()
        .map(|solver| {
            if run.small {
                return "not run".to_owned();
            }
            let all = 2.0 * (1_u64 << steps) as f64;
            let stride = ((1_usize << steps) / SAMPLE).max(1);
            let started = Instant::now();
            let mut solved = 0_usize;
            for at in 0..SAMPLE.min(1 << steps) {
                let subset = at * stride + 1;
                let direction: Array1<f64> = (0..steps)
                    .map(|t| f64::from(u8::from(subset >> t & 1 == 1)))
                    .collect();
                if plain_support(&inner, &direction, solver.as_ref(), &run.options).is_ok() {
                    solved += 1;
                }
            }
            let seconds = started.elapsed().as_secs_f64() / SAMPLE.min(1 << steps) as f64 * all;
            format!(
                "{} ({:.0}×), extrapolated from {solved} directions",
                time(seconds),
                seconds / ours
            )
        })
        .collect();
    let (checking, verified) = measure(|| {
        answer
            .certificate
            .verify(&set, &inner, centre.view(), 1e-9)
            .is_ok_and(|verdict| verdict == Verification::Confirmed)
    });
    let detail = format!(
        "γ {:.4}, {} rows, {} programs, verified {verified} in {}",
        answer.gamma,
        inner.offsets().len(),
        answer.programs,
        time(checking)
    );
    row(
        "γ exact, complete sweep",
        &format!("T={steps}, N={vehicles}"),
        ours,
        &detail,
        &cells,
    );
}

fn plain_support(
    inner: &InnerPolytope,
    direction: &Array1<f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<f64, evflex::solver::Error> {
    let mut builder = ProblemBuilder::new("support");
    builder.maximise();
    let x: Vec<_> = (0..inner.steps())
        .map(|t| builder.variable("", inner.lower()[t], inner.upper()[t], direction[t]))
        .collect();
    for (normal, &offset) in inner.normals().rows().into_iter().zip(inner.offsets()) {
        let terms: Vec<_> = x.iter().copied().zip(normal.iter().copied()).collect();
        builder.row("", f64::NEG_INFINITY, terms, offset);
    }
    let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
    Ok(solution.objective())
}

/// γ of linear program (10) by blocks; baselines: the same program in general solvers, in three forms.
fn affine(run: &Run, steps: usize, vehicles: usize, largest: [usize; 3]) {
    let fleet = paper_fleet(vehicles, steps, 1);
    let (_, inner, centre) = inner_set(&fleet, 1);
    let seek = |form, solver: &dyn Solver| {
        AffineScaling::seek(&fleet, &inner, centre.view(), form, solver, &run.options)
            .map_err(|error| error.to_string())
    };
    let (ours, answer) = measure(|| seek(AffineForm::Blocks, &Clarabel::default()));
    let answer = match answer {
        Ok(answer) => answer,
        Err(reason) => {
            println!(
                "| γ of (10) | T={steps}, N={vehicles} | {} | {reason} |",
                time(ours)
            );
            return;
        }
    };
    let (checking, verified) = measure(|| answer.verify(&fleet, &inner, 1e-9).is_ok());
    let detail = format!(
        "γ {:.4}, verified {verified} in {}",
        answer.gamma(),
        time(checking)
    );
    for (form, most) in [
        AffineForm::Energies,
        AffineForm::Eliminated,
        AffineForm::AsWritten,
    ]
    .into_iter()
    .zip(largest)
    {
        let cells: Vec<String> = run
            .baselines
            .iter()
            .map(|solver| {
                if run.small || steps * vehicles > most {
                    return "not run".to_owned();
                }
                let started = Instant::now();
                let theirs = seek(form, solver.as_ref()).map(|theirs| theirs.gamma());
                cell(
                    (ours, answer.gamma()),
                    started.elapsed().as_secs_f64(),
                    theirs,
                )
            })
            .collect();
        let question = format!("γ of (10); baselines {form:?}");
        row(
            &question,
            &format!("T={steps}, N={vehicles}"),
            ours,
            &detail,
            &cells,
        );
    }
}

/// General affine maps of all vehicles; baseline: the program as written, over powers.
fn general_affine(run: &Run, steps: usize, vehicles: usize) {
    let fleet = paper_fleet(vehicles, steps, 1);
    let options = &run.options;
    let (ours, answer) =
        measure(|| AffineInner::general_affine(&fleet, &Clarabel::default(), options));
    let Ok(answer) = answer else { return };
    let trace: f64 = answer
        .maps()
        .iter()
        .map(|map| map.matrix.diag().sum())
        .sum();
    let cells: Vec<String> = run
        .baselines
        .iter()
        .map(|solver| {
            // Vehicles are equal in size: two are timed.
            let sample = if run.small { 0 } else { vehicles.min(2) };
            if sample == 0 {
                return "not run".to_owned();
            }
            let started = Instant::now();
            let theirs = plain_traces(&fleet, sample, solver.as_ref(), options);
            let seconds = started.elapsed().as_secs_f64() / sample as f64 * vehicles as f64;
            let own: f64 = answer.maps()[..sample]
                .iter()
                .map(|map| map.matrix.diag().sum())
                .sum();
            let found = cell(
                (ours, own),
                seconds,
                theirs.map_err(|error| error.to_string()),
            );
            format!("{found}, extrapolated from {sample} vehicles")
        })
        .collect();
    let detail = format!("sum of traces {trace:.4}");
    row(
        "general affine maps",
        &format!("T={steps}, N={vehicles}"),
        ours,
        &detail,
        &cells,
    );
}

/// `max trace P` with `Λ H = H P`, `Λ h_0 ≤ h − H p`, `H = (L; −L; I; −I)`: the sum over the first vehicles.
fn plain_traces(
    fleet: &Fleet,
    count: usize,
    solver: &dyn Solver,
    options: &Options,
) -> Result<f64, Box<dyn std::error::Error>> {
    let steps = fleet.steps();
    let sets: Vec<VehicleSet> = fleet
        .vehicles()
        .iter()
        .map(|vehicle| VehicleSet::exact(vehicle, fleet.step_hours()))
        .collect::<Result<_, _>>()?;
    let sides = |set: &VehicleSet| -> Vec<f64> {
        let minus = |bounds: &[f64]| bounds.iter().map(|bound| -bound).collect::<Vec<_>>();
        [
            set.sum_max().to_vec(),
            minus(set.sum_min()),
            set.power_max().to_vec(),
            minus(set.power_min()),
        ]
        .concat()
    };
    let mut mean = vec![0.0; 4 * steps];
    for set in &sets {
        for (mean, side) in mean.iter_mut().zip(sides(set)) {
            *mean += side / sets.len() as f64;
        }
    }
    let entry = |row: usize, s: usize| {
        let (block, t) = (row / steps, row % steps);
        let inside = if block < 2 { s <= t } else { s == t };
        let sign = if block % 2 == 0 { 1.0 } else { -1.0 };
        sign * f64::from(u8::from(inside))
    };
    let mut total = 0.0;
    for set in sets.iter().take(count) {
        let mut builder = ProblemBuilder::new("general affine");
        builder.maximise();
        let infinite = f64::INFINITY;
        let map: Vec<Vec<_>> = (0..steps)
            .map(|t| {
                (0..steps)
                    .map(|s| builder.variable("", -100.0, 100.0, f64::from(u8::from(s == t))))
                    .collect()
            })
            .collect();
        let shift: Vec<_> = (0..steps)
            .map(|_| builder.variable("", -infinite, infinite, 0.0))
            .collect();
        for (k, side) in sides(set).into_iter().enumerate() {
            let lambda: Vec<_> = (0..4 * steps)
                .map(|_| builder.variable("", 0.0, infinite, 0.0))
                .collect();
            let used: Vec<usize> = (0..steps).filter(|&q| entry(k, q) != 0.0).collect();
            for s in 0..steps {
                let mut terms: Vec<_> = (0..4 * steps)
                    .filter(|&r| entry(r, s) != 0.0)
                    .map(|r| (lambda[r], entry(r, s)))
                    .collect();
                terms.extend(used.iter().map(|&q| (map[q][s], -entry(k, q))));
                builder.row("", 0.0, terms, 0.0);
            }
            let mut terms: Vec<_> = lambda.iter().copied().zip(mean.iter().copied()).collect();
            terms.extend(used.iter().map(|&q| (shift[q], entry(k, q))));
            builder.row("", -infinite, terms, side);
        }
        total += solver
            .solve(&builder.build()?, options)?
            .into_optimal()?
            .objective();
    }
    Ok(total)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let small = arguments.iter().any(|argument| argument == "--small");
    let limit = arguments
        .iter()
        .position(|argument| argument == "--plain-limit")
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(60);
    let baselines: Vec<Box<dyn Solver>> = vec![
        Box::new(Clarabel::default()),
        #[cfg(feature = "highs")]
        Box::new(evflex::solver::Highs::default()),
    ];
    let run = Run {
        small,
        options: Options::default()
            .threads(1)
            .time_limit(Duration::from_secs(limit)),
        baselines,
    };
    if let Err(error) = evflex_benches::one_thread() {
        println!("several threads: {error}");
    }
    println!("evflex {}, one thread\n", env!("CARGO_PKG_VERSION"));
    let names: Vec<String> = run.baselines.iter().map(|solver| solver.name()).collect();
    println!("| question | size | evflex | | {} |", names.join(" | "));
    println!("|---|---|---|---|{}", "---|".repeat(names.len()));
    exact(&run, 18, 25, inner_set);
    exact(&run, 22, 8, inner_set);
    exact(&run, 18, 25, interval_set);
    general_affine(&run, 18, 25);
    affine(&run, 4, 4, [16, 16, 16]);
    affine(&run, 8, 8, [64, 64, 0]);
    affine(&run, 12, 12, [144, 0, 0]);
    affine(&run, 14, 14, [0; 3]);
    affine(&run, 18, 10, [0; 3]);
    affine(&run, 18, 25, [0; 3]);
    if !small {
        affine(&run, 24, 25, [0; 3]);
        affine(&run, 18, 200, [0; 3]);
        affine(&run, 36, 25, [0; 3]);
    }
    if let Some(memory) = evflex_benches::largest_memory() {
        println!("\nLargest memory of the run: {memory}");
    }
}
