//! The exact aggregate set beside its baselines: a linear program per direction, and one program
//! over all vehicles per decision. Answers are compared before anything is timed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::semicolon_if_nothing_returned,
    reason = "a bench stops at the first surprise; criterion's macros make undocumented items"
)]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use evflex::{
    flexibility::{FleetPolymatroid, direct},
    solver::{Clarabel, Options},
};
use evflex_benches::{night_fleet, night_load_and_price, night_objectives};
use ndarray::Array1;

fn close(ours: f64, theirs: f64) {
    assert!(
        (ours - theirs).abs() <= 1e-5 * (1.0 + theirs.abs()),
        "{ours} against {theirs}"
    );
}

/// All 2·2^T values of the set functions; the baseline answers one of the 2^T directions.
fn set_function_table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("set_function_table");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for steps in [10, 14, 18] {
        let fleet = night_fleet(25, steps, 1);
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let direction: Array1<f64> = (0..steps)
            .map(|t| f64::from(u8::from(t % 3 != 0)))
            .collect();
        let subset = (0..steps)
            .filter(|t| t % 3 != 0)
            .fold(0, |subset, t| subset | 1 << t);
        let program = || {
            direct::support(
                &fleet,
                direction.view(),
                &Clarabel::default(),
                &Options::default(),
            )
            .unwrap()
        };
        close(set.table().unwrap().upper()[subset], program());
        group.bench_function(BenchmarkId::new("table", format!("N=25,T={steps}")), |b| {
            b.iter(|| set.table().unwrap())
        });
        group.bench_function(
            BenchmarkId::new("one direction by linear program", format!("N=25,T={steps}")),
            |b| b.iter(program),
        );
    }
    group.finish();
}

/// Linear optimisation: greedy against a linear program over all vehicles.
fn linear_optimisation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linear_optimisation");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for (vehicles, steps) in [
        (25, 18),
        (25, 96),
        (1_000, 96),
        (10_000, 96),
        (1_000, 288),
        (100_000, 96),
    ] {
        let fleet = night_fleet(vehicles, steps, 1);
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        let (_, price) = night_load_and_price(vehicles, steps, 1);
        let id = format!("N={vehicles},T={steps}");
        if vehicles * steps <= 2_400 {
            let program = || {
                direct::support(
                    &fleet,
                    price.view(),
                    &Clarabel::default(),
                    &Options::default(),
                )
                .unwrap()
            };
            close(set.support(price.view()).unwrap().value, program());
            group.bench_function(BenchmarkId::new("linear program", &id), |b| b.iter(program));
        }
        group.bench_function(BenchmarkId::new("greedy", &id), |b| {
            b.iter(|| set.support(black_box(price.view())).unwrap())
        });
    }
    group.finish();
}

/// The four decisions, certified to 1e-6, against one program over all vehicles.
fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decisions");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for (vehicles, steps) in [(25, 18), (25, 96), (1_000, 96), (10_000, 96)] {
        let fleet = night_fleet(vehicles, steps, 1);
        let set = FleetPolymatroid::exact(&fleet).unwrap();
        for objective in night_objectives(vehicles, steps, 1) {
            let id = format!("{},N={vehicles},T={steps}", objective.kind());
            let decide = || set.decide(&objective, &Options::default()).unwrap();
            let decision = decide().decision;
            assert!(decision.gap() <= 1e-6, "{id}: gap {}", decision.gap());
            if vehicles * steps <= 450 {
                let program = || {
                    direct::decide(
                        &fleet,
                        &objective,
                        &Clarabel::default(),
                        &Options::default(),
                    )
                    .unwrap()
                };
                close(decision.cost, program().1);
                group.bench_function(BenchmarkId::new("one program", &id), |b| b.iter(program));
            }
            group.bench_function(BenchmarkId::new("exact set", &id), |b| b.iter(decide));
        }
    }
    group.finish();
}

criterion_group!(benches, set_function_table, linear_optimisation, decisions);
criterion_main!(benches);
