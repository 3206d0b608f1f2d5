//! The three tasks on one population: starts, training, gaps on test days, times.
//!
//! `cargo run --release -p evflex-icnn --example three_tasks -- [population seed] [tasks] [starts] [key=value ...]`

#![expect(clippy::print_stdout, reason = "a program prints")]

use std::{error::Error, time::Instant};

use evflex_fleet::synthetic::{EnergyPrices, HouseholdLoads, Population};
use evflex_fleet::{Direction, Fleet};
use evflex_flexibility::{AffineInner, ExactScaler, FleetPolymatroid, Objective};
use evflex_icnn::{
    Candidate, EpochReport, GradientRule, LearnedSet, Optimiser, ScalingRule, Split, Trained,
    Trainer, TrainingDays, TrainingSettings, Unit,
};
use evflex_solver::{Clarabel, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments {
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
        let mut population = Population::paper();
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
            let epochs = last.map_or(0, |report| report.epoch);
            let seconds = began.elapsed().as_secs_f64();
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
    rounds: usize,
    words: Vec<String>,
    settings: TrainingSettings,
    depth: usize,
    verbose: bool,
}

fn arguments() -> Arguments {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut settings = TrainingSettings::default();
    let (mut depth, mut rounds) = (1, 0);
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
                "verbose" => verbose = true,
                _ => println!("unknown setting {key}"),
            }
            false
        }
        None => true,
    });
    Arguments {
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
        HouseholdLoads::new(25.0)
            .loads(vehicles.grid(), 184, seed)?
            .into_iter()
            .map(|load| Objective::Peak {
                load_kw: load.power_kw().to_vec().into(),
            })
            .collect()
    };
    Ok(objectives)
}
