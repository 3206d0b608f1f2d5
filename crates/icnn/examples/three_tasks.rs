//! The three tasks on one population: starts, training, gaps on test days, times.
//!
//! `cargo run --release -p evflex-icnn --example three_tasks -- [seed] [energy,charging,peak] [paper,intervals,mixed0.9] [key=value ...]`

#![expect(clippy::print_stdout, reason = "a program prints")]

use std::{error::Error, time::Instant};

use evflex_fleet::synthetic::{EnergyPrices, HouseholdLoads, Population};
use evflex_fleet::{Direction, Fleet, Hours, TimeGrid};
use evflex_flexibility::{AffineInner, AggregateSet, ExactScaler, FleetPolymatroid, Objective};
use evflex_icnn::{
    Candidate, EpochReport, GradientRule, LearnedSet, Optimiser, ScalingRule, Split, Trained,
    Trainer, TrainingDays, TrainingSettings, Unit,
};
use evflex_solver::{Clarabel, Options};
use ndarray::Array1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments {
        points,
        steps,
        size,
        rounds,
        words,
        settings,
        depth,
        verbose,
    } = arguments();
    let seed: u64 = words.first().map_or(Ok(1), |word| word.parse())?;
    let tasks = words.get(1).map_or("energy,charging,peak", String::as_str);
    let starts = words.get(2).map_or("paper,intervals", String::as_str);
    let (solver, options) = (Clarabel::default(), Options::default());
    for task in tasks.split(',') {
        let mut population = Population::new(TimeGrid::new(steps, Hours(1.0))?, size);
        if task == "charging" {
            population = population.direction(Direction::ChargeOnly);
        }
        let vehicles = population.generate(seed)?;
        let fleet = FleetPolymatroid::exact(&vehicles)?;
        let objectives = objectives(task, &vehicles, seed)?;
        let days = TrainingDays::new(&fleet, objectives, Split::shuffled(184, seed), &options)?;
        let test: Vec<&Objective> = days
            .split()
            .test
            .iter()
            .map(|&day| &days.objectives()[day])
            .collect();
        let best: Vec<f64> = days
            .split()
            .test
            .iter()
            .map(|&day| days.best_costs()[day])
            .collect();
        let scaler = ExactScaler::new(&fleet)?;
        for start in starts.split(',') {
            let candidate = if start == "paper" {
                let affine = AffineInner::general_affine(&vehicles, &solver, &options)?;
                Candidate::general_affine(&affine, depth, &solver, &options)?
            } else if let Some(share) = start.strip_prefix("mixed") {
                // The centre between the middle of the fleet's set and the mean of the training days' best profiles.
                let share: f64 = share.parse()?;
                let centre = days.centre(&fleet, share)?;
                Candidate::interval_rows(&fleet, Some(centre.view()), depth)?
            } else {
                Candidate::interval_rows(&fleet, None, depth)?
            };
            let before = LearnedSet::certify(&fleet, &scaler, &candidate)?;
            let began = Instant::now();
            let mut last: Option<EpochReport> = None;
            let trainer = Trainer::new(&fleet, &days, settings.clone())?;
            let learned = trainer.train(&candidate, &options, |report| {
                if verbose {
                    println!(
                        "  {:3} training {:9.5} validation {:9.5} γ {:.6} pool {} programs {}",
                        report.epoch,
                        report.training_gap.unwrap_or(f64::NAN),
                        report.validation_gap,
                        report.gamma,
                        report.pool,
                        report.scaling_programs
                    );
                }
                last = Some(report.clone());
            })?;
            let mut learned = learned;
            for round in 0..rounds {
                let most = learned.limiting_subsets().len().min(60);
                let scaled = Candidate::new(
                    learned.scaled_network()?,
                    learned.candidate().centre.clone(),
                )?;
                let more = scaled.with_subset_rows(&fleet, &learned.limiting_subsets()[..most])?;
                println!(
                    "  round {round}: trained {:9.4}, {} rows",
                    learned.mean_gap(&test, &best)?,
                    more.network.units() / depth
                );
                learned = trainer.train(&more, &options, |report| last = Some(report.clone()))?;
            }
            let seconds = began.elapsed().as_secs_f64();
            if points > 0 {
                let worst = largest_difference(&learned, &vehicles, points, seed)?;
                println!(
                    "  {points} points disaggregated; all feasible at 1e-6; sums off by at most {worst:.1e} kW"
                );
            }
            let epochs = last.map_or(0, |report| report.epoch);
            println!(
                "{task:8} from {start:9}: start {:9.4}, trained {:9.4}, {epochs} epochs in {seconds:.1} s ({:.3} s each)",
                before.mean_gap(&test, &best)?,
                learned.mean_gap(&test, &best)?,
                seconds / epochs.max(1) as f64
            );
        }
    }
    Ok(())
}

struct Arguments {
    points: usize,
    steps: usize,
    size: usize,
    rounds: usize,
    words: Vec<String>,
    settings: TrainingSettings,
    depth: usize,
    verbose: bool,
}

fn arguments() -> Arguments {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut settings = TrainingSettings::default();
    let (mut depth, mut rounds, mut points) = (1, 0, 0);
    let (mut steps, mut size) = (18, 25);
    let mut verbose = false;
    words.retain(|word| match word.split_once('=') {
        Some((key, value)) => {
            let number: f64 = value.parse().unwrap_or(0.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small numbers"
            )]
            let count = number as usize;
            match key {
                "lr" => settings.learning_rate = number,
                "decay" => settings.decay = number,
                "epochs" => settings.epochs = count,
                "patience" => settings.patience = Some(count),
                "batch" => settings.batch = count,
                "noise" => settings.noise = number,
                "smoothing" => settings.scaling = ScalingRule::Sweep { smoothing: number },
                "penalty" => settings.scaling = ScalingRule::Penalty { weight: number },
                "pgd" => settings.gradient = GradientRule::Pgd,
                "absolute" => settings.unit = Unit::Absolute,
                "nocentre" => settings.trained = Trained::BiasesAndBox,
                "all" => settings.trained = Trained::All,
                "adamw" => {
                    settings.optimiser = Optimiser::AdamW {
                        weight_decay: number,
                    }
                }
                "depth" => depth = count,
                "rounds" => rounds = count,
                "points" => points = count,
                "steps" => steps = count,
                "vehicles" => size = count,
                "verbose" => verbose = true,
                _ => println!("unknown setting {key}"),
            }
            false
        }
        None => true,
    });
    Arguments {
        points,
        steps,
        size,
        rounds,
        words,
        settings,
        depth,
        verbose,
    }
}

/// 184 days of prices or loads.
fn objectives(task: &str, vehicles: &Fleet, seed: u64) -> Result<Vec<Objective>, Box<dyn Error>> {
    let objectives = if task == "energy" {
        EnergyPrices
            .tariffs(vehicles.grid(), 184, seed)?
            .into_iter()
            .map(|tariff| Objective::Energy {
                price_eur_per_mwh: tariff.eur_per_mwh().to_vec().into(),
            })
            .collect()
    } else {
        HouseholdLoads::new(vehicles.vehicles().len() as f64)
            .loads(vehicles.grid(), 184, seed)?
            .into_iter()
            .map(|load| Objective::Peak {
                load_kw: load.power_kw().to_vec().into(),
            })
            .collect()
    };
    Ok(objectives)
}

/// Disaggregates vertices in random directions and points between them, each schedule checked by the fleet's own routine; how
/// far sums are from the points, kW, or an error if a schedule is refused at 1e-6.
fn largest_difference(
    set: &LearnedSet<'_>,
    vehicles: &Fleet,
    points: usize,
    seed: u64,
) -> Result<f64, Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut before = set.candidate().centre.clone();
    let mut worst: f64 = 0.0;
    for k in 0..points {
        let direction = Array1::from_shape_fn(set.steps(), |_| rng.random_range(-1.0..1.0));
        let vertex = set
            .support(direction.view(), &Clarabel::default())?
            .profile_kw;
        let share = if k % 2 == 0 {
            1.0
        } else {
            rng.random_range(0.0..1.0)
        };
        let point = share * &vertex + (1.0 - share) * &before;
        before = vertex;
        let schedule = set.disaggregate(point.view(), &Clarabel::default())?;
        if !schedule.check(vehicles, 1e-6)?.is_feasible() {
            return Err(format!("point {k} is not feasible").into());
        }
        let sum = schedule.aggregate_kw();
        for (wanted, found) in point.iter().zip(sum.iter()) {
            worst = worst.max((wanted - found).abs());
        }
    }
    Ok(worst)
}
