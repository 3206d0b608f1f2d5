//! Side by side, in one run: the exact aggregate set against one program over all vehicles.
//!
//! `cargo run --release -p evflex-benches --features highs --bin compare_aggregate_set`
//!
//! Prints Markdown: medians, ratios, the difference of the answers, versions. Baselines are run at
//! the sizes where they end within about a minute.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Duration;

use evflex::{
    fleet::Fleet,
    flexibility::{FleetPolymatroid, Objective, direct},
    solver::{Clarabel, Options, Solver},
};
use evflex_benches::{median_seconds, night_fleet, night_load_and_price, night_objectives};
use ndarray::Array1;

/// A baseline is tried up to this number of vehicle-steps.
struct Baseline {
    solver: Box<dyn Solver>,
    largest: usize,
}

fn baselines() -> Vec<Baseline> {
    let mut list = vec![Baseline {
        solver: Box::new(Clarabel::default()),
        largest: 9_600,
    }];
    #[cfg(feature = "highs")]
    list.push(Baseline {
        solver: Box::new(evflex::solver::Highs::default()),
        largest: 96_000,
    });
    list.retain(|baseline| baseline.largest > 0);
    list
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.3} ms", s * 1e3),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

fn runs(seconds: f64) -> usize {
    if seconds < 0.1 {
        21
    } else if seconds < 2.0 {
        5
    } else {
        1
    }
}

/// Median of a computation, with as many runs as its length allows.
fn measure<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let (once, first) = median_seconds(1, &mut run);
    let (seconds, answer) = if runs(once) > 1 {
        median_seconds(runs(once), run)
    } else {
        (once, first)
    };
    match answer {
        Some(answer) => (seconds, answer),
        None => unreachable!("at least one run"),
    }
}

fn row(question: &str, size: &str, ours: f64, detail: &str, theirs: &[String]) {
    println!(
        "| {question} | {size} | {} | {detail} | {} |",
        time(ours),
        theirs.join(" | ")
    );
}

/// One cell per baseline: its time, the ratio, and the relative difference of the answers.
fn against(
    baselines: &[Baseline],
    size: usize,
    ours: (f64, f64),
    run: impl Fn(&dyn Solver) -> Result<f64, String>,
) -> Vec<String> {
    let cell = |baseline: &Baseline| {
        if size > baseline.largest {
            return "not run".to_owned();
        }
        let (seconds, answer) = measure(|| run(baseline.solver.as_ref()));
        match answer {
            Ok(value) => {
                let difference = (value - ours.1).abs() / ours.1.abs().max(1e-9);
                format!(
                    "{} ({:.0}×, {difference:.0e})",
                    time(seconds),
                    seconds / ours.0
                )
            }
            Err(reason) => format!("{} ({reason})", time(seconds)),
        }
    };
    baselines.iter().map(cell).collect()
}

fn table(baselines: &[Baseline]) {
    for steps in [10, 14, 18] {
        let fleet = night_fleet(25, steps, 1);
        let Ok(set) = FleetPolymatroid::exact(&fleet) else {
            continue;
        };
        let (ours, answer) = measure(|| set.table());
        let Ok(answer) = answer else { continue };
        let direction: Array1<f64> = (0..steps)
            .map(|t| f64::from(u8::from(t % 3 != 0)))
            .collect();
        let subset = (0..steps)
            .filter(|t| t % 3 != 0)
            .fold(0, |subset, t| subset | 1 << t);
        let count = 2.0 * (1_u64 << steps) as f64;
        let cells = against(
            baselines,
            25 * steps,
            (ours / count, answer.upper()[subset]),
            |solver| {
                direct::support(&fleet, direction.view(), solver, &Options::default())
                    .map_err(|e| e.to_string())
            },
        );
        row(
            "all 2·2^T set-function values",
            &format!("N=25, T={steps}"),
            ours,
            "baselines: one value",
            &cells,
        );
    }
}

fn linear_optimisation(baselines: &[Baseline]) {
    for (vehicles, steps) in [
        (25, 18),
        (25, 96),
        (100, 96),
        (1_000, 96),
        (10_000, 96),
        (100_000, 96),
        (1_000, 288),
        (1_000, 672),
    ] {
        let fleet = night_fleet(vehicles, steps, 1);
        let Ok(set) = FleetPolymatroid::exact(&fleet) else {
            continue;
        };
        let (_, price) = night_load_and_price(vehicles, steps, 1);
        let (ours, answer) = measure(|| set.support(price.view()));
        let Ok(answer) = answer else { continue };
        let cells = against(
            baselines,
            vehicles * steps,
            (ours, answer.value),
            |solver| {
                direct::support(&fleet, price.view(), solver, &Options::default())
                    .map_err(|e| e.to_string())
            },
        );
        row(
            "linear optimisation",
            &format!("N={vehicles}, T={steps}"),
            ours,
            "exact",
            &cells,
        );
    }
}

fn decision(baselines: &[Baseline], fleet: &Fleet, set: &FleetPolymatroid, objective: &Objective) {
    let (ours, answer) = measure(|| set.decide(objective, &Options::default()));
    let Ok(answer) = answer else { return };
    let size = fleet.len() * fleet.steps();
    let options = Options::default().time_limit(Duration::from_secs(120));
    let cells = against(baselines, size, (ours, answer.decision.cost), |solver| {
        direct::decide(fleet, objective, solver, &options)
            .map(|(_, cost)| cost)
            .map_err(|e| e.to_string())
    });
    let detail = format!(
        "gap {:.0e}, {} rounds",
        answer.decision.gap(),
        answer.decision.iterations
    );
    row(
        &objective.kind().to_string(),
        &format!("N={}, T={}", fleet.len(), fleet.steps()),
        ours,
        &detail,
        &cells,
    );
}

fn main() {
    let baselines = baselines();
    println!(
        "evflex {}, {} threads available\n",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    let names: Vec<String> = baselines
        .iter()
        .map(|baseline| baseline.solver.name())
        .collect();
    println!("| question | size | evflex | | {} |", names.join(" | "));
    println!("|---|---|---|---|{}", "---|".repeat(names.len()));
    table(&baselines);
    linear_optimisation(&baselines);
    for (vehicles, steps) in [
        (25, 18),
        (25, 96),
        (100, 96),
        (1_000, 96),
        (10_000, 96),
        (1_000, 288),
    ] {
        let fleet = night_fleet(vehicles, steps, 1);
        let Ok(set) = FleetPolymatroid::exact(&fleet) else {
            continue;
        };
        for objective in &night_objectives(vehicles, steps, 1)[1..] {
            decision(&baselines, &fleet, &set, objective);
        }
    }
    if let Some(peak) = std::fs::read_to_string("/proc/self/status")
        .ok()
        .as_deref()
        .and_then(|status| status.lines().find(|line| line.starts_with("VmHWM")))
    {
        println!(
            "\nLargest memory of the run, baselines and N = 100,000 included: {}",
            peak.trim_start_matches("VmHWM:").trim()
        );
    }
}
