//! A feeder from the command line: its power flow, how long one and many take, and its picture.
//!
//! `cargo run --release -p evflex-network --example feeder -- case33bw picture.svg`
//!
//! The first argument is `case18`, `case33bw`, `case69` or a MATPOWER file. Times are the least of several runs on this machine.

#![expect(clippy::print_stdout, reason = "a program")]

use std::time::{Duration, Instant};

use evflex_network::{
    BatchFlow, Error, ExactnessOptions, FlowOptions, Network, Relaxation, cases, matpower,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2};

/// The least time of `repeats` runs.
fn least<T>(repeats: usize, mut run: impl FnMut() -> Result<T, Error>) -> Result<Duration, Error> {
    let mut best = Duration::MAX;
    for _ in 0..repeats {
        let started = Instant::now();
        std::hint::black_box(run()?);
        best = best.min(started.elapsed());
    }
    Ok(best)
}

fn report(network: &Network) -> Result<(), Error> {
    let flow = network.power_flow()?;
    let (mw, mvar) = flow.generation();
    let lowest = flow.lowest_voltage();
    println!("{network:?}");
    println!("generation       {mw:.12} MW, {mvar:.12} MVAr");
    println!("losses           {:.9} kW", flow.loss_kw);
    println!(
        "lowest voltage   {:.12} p.u. at bus {}",
        lowest.v_pu, lowest.id
    );
    match flow.cost_per_hour() {
        Ok(cost) => println!("cost             {cost:.12} per hour"),
        Err(why) => println!("cost             none: {why}"),
    }
    println!(
        "iterations       {}, mismatch {:.1e}",
        flow.iterations, flow.mismatch
    );
    Ok(())
}

fn times(network: &Network) -> Result<(), Error> {
    let (load_mw, load_mvar) = network.loads();
    let options = FlowOptions::default();
    let rows = |load: &Array1<f64>, count: usize| {
        Array2::from_shape_fn((count, load.len()), |(row, bus)| {
            load[bus] * (0.5 + 0.5 * row as f64 / count as f64)
        })
    };
    println!(
        "one power flow   {:?}",
        least(200, || network.power_flow())?
    );
    for count in [24, 96, 8760] {
        let (p, q) = (rows(&load_mw, count), rows(&load_mvar, count));
        let batch = BatchFlow::solve(network, p.view(), q.view(), &options)?;
        let repeats = if count > 1000 { 5 } else { 100 };
        let solve = least(repeats, || {
            BatchFlow::solve(network, p.view(), q.view(), &options)
        })?;
        let gradient = least(repeats, || Ok(batch.loss_gradient()))?;
        println!("{count:5} of them    {solve:?}, their gradients {gradient:?}");
    }
    Ok(())
}

/// What the relaxation says, with the limits of the case.
fn relaxation(network: &Network) -> Result<(), Error> {
    let (load_mw, load_mvar) = network.loads();
    let (solver, options) = (Clarabel::default(), Options::default());
    let exactness = ExactnessOptions::default();
    let relax = || {
        network.relax(
            load_mw.view(),
            load_mvar.view(),
            &solver,
            &options,
            &exactness,
        )
    };
    match relax()? {
        Relaxation::Exact(optimum) => println!(
            "relaxation       exact: bound {:.12}, gap {:.1e}, cone slack {:.1e}, {:?}",
            optimum.lower_bound,
            optimum.gap(),
            optimum.largest_cone_slack,
            least(10, relax)?
        ),
        Relaxation::NotExact(bound) => {
            println!(
                "relaxation       only a bound, {:.12}: {}",
                bound.lower_bound, bound.reason
            );
        }
        _ => println!("relaxation       no operating point keeps the limits of the case"),
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let network = match arguments.next().as_deref() {
        Some("case18") => cases::case18()?,
        Some("case33bw") => cases::case33bw()?,
        Some("case69") | None => cases::case69()?,
        Some(path) => matpower::read(path)?,
    };
    report(&network)?;
    times(&network)?;
    if let Err(why) = relaxation(&network) {
        println!("relaxation       none: {why}");
    }
    if let Some(picture) = arguments.next() {
        let flow = network.power_flow()?;
        let drawing = flow.drawing(
            flow.lowest_voltage().v_pu - 1e-6,
            flow.highest_voltage().v_pu,
        )?;
        let width = u32::try_from(60 + 55 * drawing.depth)?;
        let height = u32::try_from(100 + 34 * drawing.lanes)?;
        std::fs::write(picture, drawing.to_svg(width, height))?;
    }
    Ok(())
}
