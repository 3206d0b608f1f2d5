//! How far inner and outer sets of lossy fleets are apart: costs, bounds and widths, averaged over seeds.
//!
//! `cargo run --release -p evflex-benches --bin lossy_gap`
//!
//! 25 vehicles at home over 24 hours from 15:00, charging and discharging, with the same one-way efficiency; loads and
//! prices of the generators. Prints Markdown.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Instant;

use evflex::{
    fleet::{
        Direction, Fleet, Hours, TimeGrid,
        synthetic::{EnergyPrices, HouseholdLoads, Site, SyntheticSessions},
        uncontrolled,
    },
    flexibility::{AggregateSet, FleetPolymatroid, LossyInner, LossyOuter, Objective, lossy_gap},
    solver::{Clarabel, Options},
};
use ndarray::Array1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const VEHICLES: usize = 25;
const STEPS: usize = 24;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;
const DIRECTIONS: usize = 100;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Home sessions with losses; what is needed is cut to what a lossy charger delivers in the stay.
fn fleet(efficiency: f64, seed: u64) -> Result<Fleet> {
    fleet_of(VEHICLES, STEPS, efficiency, seed)
}

fn fleet_of(vehicles: usize, steps: usize, efficiency: f64, seed: u64) -> Result<Fleet> {
    let grid = TimeGrid::new(steps, Hours(24.0 / steps as f64))?;
    let vehicles = SyntheticSessions::new(Site::Home, vehicles)
        .direction(Direction::VehicleToGrid)
        .generate(&grid, seed)?
        .into_iter()
        .map(|mut session| {
            session.efficiency = efficiency;
            let stay = session.departure_step - session.arrival_step;
            let hours = stay as f64 * grid.step_hours();
            let most = session.initial_kwh + 0.95 * efficiency * session.charge_max_kw * hours;
            session.required_kwh = session.required_kwh.min(most);
            session.to_vehicle(&grid)
        })
        .collect::<std::result::Result<_, _>>()?;
    Ok(Fleet::new(grid, vehicles)?)
}

fn objectives(fleet: &Fleet, seed: u64) -> Result<Vec<(&'static str, Objective)>> {
    let load = HouseholdLoads::new(fleet.len() as f64).loads(fleet.grid(), 1, seed)?;
    let load_kw = Array1::from(load[0].power_kw().to_vec());
    let tariff = EnergyPrices.tariffs(fleet.grid(), 1, seed)?;
    let price = Array1::from(tariff[0].eur_per_mwh().to_vec());
    let energy = |shift: f64| Objective::Energy {
        price_eur_per_mwh: &price - shift,
    };
    Ok(vec![
        ("energy, EUR", energy(0.0)),
        ("energy, price - 250 EUR/MWh, EUR", energy(250.0)),
        (
            "peak, kW",
            Objective::Peak {
                load_kw: load_kw.clone(),
            },
        ),
        (
            "demand charge 0.5 EUR/kW, EUR",
            Objective::DemandCharge {
                price_eur_per_mwh: price.clone(),
                load_kw: load_kw.clone(),
                rate_eur_per_kw: 0.5,
            },
        ),
        (
            "tracking load + fleet = 50 kW, kW2",
            Objective::Tracking {
                target_kw: 50.0 - &load_kw,
                weight: Array1::ones(fleet.steps()),
            },
        ),
    ])
}

/// Sums over the seeds.
#[derive(Default)]
struct Row {
    uncontrolled: f64,
    never: f64,
    charging_exact: f64,
    best: f64,
    bound: f64,
    largest_gap: f64,
    rounds: usize,
    seconds: f64,
    infeasible: usize,
}

fn main() -> Result<()> {
    let (solver, options) = (Clarabel::default(), Options::default());
    let count = SEEDS.count() as f64;
    println!(
        "{VEHICLES} vehicles, {STEPS} steps of 1 h, means over the seeds {SEEDS:?}, Clarabel\n"
    );
    println!(
        "| one-way efficiency | decision | uncontrolled | never discharging | charging exact | refined | bound | largest gap | decisions | seconds | schedules that fail the check |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for efficiency in [0.95, 0.9, 0.8] {
        let kinds = objectives(&fleet(efficiency, 1)?, 1)?.len();
        for kind in 0..kinds {
            let mut row = Row::default();
            let mut name = "";
            for seed in SEEDS {
                let fleet = fleet(efficiency, seed)?;
                let objective;
                (name, objective) = objectives(&fleet, seed)?.swap_remove(kind);
                row.uncontrolled +=
                    objective.cost(uncontrolled(&fleet)?.aggregate_kw().view(), 1.0) / count;
                row.never += FleetPolymatroid::inner(&fleet)?
                    .decide(&objective, &options)?
                    .decision
                    .cost
                    / count;
                row.charging_exact += LossyInner::new(&fleet)?
                    .decide(&objective, &solver, &options)?
                    .decision
                    .cost
                    / count;
                let started = Instant::now();
                let answer = lossy_gap(&fleet, &objective, &solver, &options)?;
                row.seconds += started.elapsed().as_secs_f64() / count;
                row.best += answer.cost / count;
                row.bound += answer.lower_bound() / count;
                row.largest_gap = row.largest_gap.max(answer.gap());
                row.rounds += answer.rounds;
                row.infeasible += usize::from(!answer.schedule.check(&fleet, 1e-6)?.is_feasible());
            }
            println!(
                "| {efficiency} | {name} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1e} | {:.1} | {:.2} | {} |",
                row.uncontrolled,
                row.never,
                row.charging_exact,
                row.best,
                row.bound,
                row.largest_gap,
                row.rounds as f64 / count,
                row.seconds,
                row.infeasible
            );
        }
    }
    println!(
        "\nWidths h(d) + h(-d) in {DIRECTIONS} random directions, as a share of the outer set's\n"
    );
    println!("| one-way efficiency | never discharging | charging exact |");
    println!("|---|---|---|");
    for efficiency in [0.95, 0.9, 0.8] {
        let fleet = fleet(efficiency, 1)?;
        let never = FleetPolymatroid::inner(&fleet)?;
        let (inner, outer) = (LossyInner::new(&fleet)?, LossyOuter::new(&fleet));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut of_never, mut of_inner) = (0.0, 0.0);
        for _ in 0..DIRECTIONS {
            let direction = Array1::from_shape_simple_fn(STEPS, || rng.random_range(-1.0..1.0_f64));
            let width = |set: &dyn AggregateSet| -> Result<f64> {
                let forth = set.support(direction.view(), &solver)?.value;
                Ok(forth + set.support((-&direction).view(), &solver)?.value)
            };
            let most = width(&outer)?;
            of_never += width(&never)? / most / DIRECTIONS as f64;
            of_inner += width(&inner)? / most / DIRECTIONS as f64;
        }
        println!("| {efficiency} | {of_never:.3} | {of_inner:.3} |");
    }
    println!("\nTime of one decision between the sets, efficiency 0.9, all vehicles different\n");
    println!("| vehicles | steps | energy, s | gap | price - 250, s | gap |");
    println!("|---|---|---|---|---|---|");
    for (vehicles, steps) in [(100, 24), (400, 24), (100, 96)] {
        let fleet = fleet_of(vehicles, steps, 0.9, 1)?;
        print!("| {vehicles} | {steps} |");
        for (_, objective) in objectives(&fleet, 1)?.drain(..2) {
            let started = Instant::now();
            let answer = lossy_gap(&fleet, &objective, &solver, &options)?;
            print!(
                " {:.2} | {:.1e} |",
                started.elapsed().as_secs_f64(),
                answer.gap()
            );
        }
        println!();
    }
    Ok(())
}
