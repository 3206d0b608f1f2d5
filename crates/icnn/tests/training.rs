//! Training runs: they lower the gap, repeat themselves, go on where they were, and end in sets that the fleet can follow.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and prints what it compared"
)]

use evflex_fleet::synthetic::{EnergyPrices, HouseholdLoads, Population};
use evflex_fleet::{Fleet, Hours, TimeGrid};
use evflex_flexibility::{
    AggregateSet, Claim, FleetPolymatroid, Objective, ObjectiveKind, VehicleSet, Verification,
};
use evflex_icnn::{
    Candidate, Checkpoint, EpochReport, Error, GradientRule, LearnedSet, Optimiser, ScalingRule,
    Split, Trained, Trainer, TrainingDays, TrainingSettings, Unit,
};
use evflex_solver::{Clarabel, Options};
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const STEPS: usize = 8;

struct Setting {
    vehicles: Fleet,
    exact: FleetPolymatroid,
    days: TrainingDays,
}

fn setting(kind: ObjectiveKind) -> Setting {
    let grid = TimeGrid::new(STEPS, Hours(1.0)).unwrap();
    let vehicles = Population::new(grid.clone(), 4).generate(3).unwrap();
    let exact = FleetPolymatroid::exact(&vehicles).unwrap();
    let loads = HouseholdLoads::new(4.0).loads(&grid, 20, 3).unwrap();
    let tariffs = EnergyPrices.tariffs(&grid, 20, 3).unwrap();
    let objectives = loads
        .iter()
        .zip(&tariffs)
        .map(|(load, tariff)| {
            let load_kw = Array1::from(load.power_kw().to_vec());
            let price_eur_per_mwh = Array1::from(tariff.eur_per_mwh().to_vec());
            match kind {
                ObjectiveKind::Peak => Objective::Peak { load_kw },
                ObjectiveKind::Energy => Objective::Energy { price_eur_per_mwh },
                ObjectiveKind::DemandCharge => Objective::DemandCharge {
                    price_eur_per_mwh,
                    load_kw,
                    rate_eur_per_kw: 0.2,
                },
                _ => Objective::Tracking {
                    target_kw: 10.0 - load_kw,
                    weight: Array1::ones(STEPS),
                },
            }
        })
        .collect();
    let days = TrainingDays::new(
        &exact,
        objectives,
        Split::shuffled(20, 5),
        &Options::default(),
    )
    .unwrap();
    Setting {
        vehicles,
        exact,
        days,
    }
}

fn short() -> TrainingSettings {
    TrainingSettings {
        epochs: 6,
        batch: 4,
        patience: None,
        target_gap: 0.0,
        ..TrainingSettings::default()
    }
}

fn history(
    setting: &Setting,
    settings: &TrainingSettings,
    start: &Candidate,
) -> (Vec<EpochReport>, Candidate, f64) {
    let trainer = Trainer::new(&setting.exact, &setting.days, settings.clone()).unwrap();
    let mut reports = Vec::new();
    let set = trainer
        .train(start, &Options::default(), |report| {
            reports.push(report.clone());
        })
        .unwrap();
    (reports, set.candidate().clone(), set.gamma())
}

/// Every kind of decision, every rule: the best validation gap is below that of the start.
#[test]
fn training_lowers_the_gap() {
    for kind in [
        ObjectiveKind::Energy,
        ObjectiveKind::DemandCharge,
        ObjectiveKind::Tracking,
    ] {
        let setting = setting(kind);
        let start = Candidate::interval_rows(&setting.exact, None, 1).unwrap();
        let pgd = TrainingSettings {
            gradient: GradientRule::Pgd,
            trained: Trained::BiasesAndBox,
            optimiser: Optimiser::AdamW { weight_decay: 1e-4 },
            ..short()
        };
        let penalty = TrainingSettings {
            scaling: ScalingRule::Penalty { weight: 1.0 },
            ..short()
        };
        let paper = TrainingSettings {
            unit: Unit::Absolute,
            learning_rate: 0.2,
            noise: 0.05,
            ..short()
        };
        for (settings, most) in [(short(), 0.8), (pgd, 1.0), (penalty, 1.0), (paper, 0.9)] {
            let (reports, _, gamma) = history(&setting, &settings, &start);
            let first = reports[0].validation_gap;
            let best = reports
                .iter()
                .map(|report| report.validation_gap)
                .fold(f64::MAX, f64::min);
            println!(
                "{kind} {:?} {:?}: {first} to {best}",
                settings.gradient, settings.scaling
            );
            assert!(reports.len() == 7 || best <= 0.0);
            assert!(first > 0.0 && gamma > 0.0);
            assert!(
                best < most * first,
                "{kind} {settings:?}: {first} to {best}"
            );
        }
    }
}

/// Deeper networks with all parameters trained, hidden units written out.
#[test]
fn all_parameters_of_deeper_networks_are_trained() {
    let setting = setting(ObjectiveKind::Energy);
    let plain = Candidate::interval_rows(&setting.exact, None, 2).unwrap();
    let mut weights = plain.network.into_weights();
    // A last bias below 0 and links between the layers, for the hidden units to matter.
    weights.output.bias = -0.5;
    weights.layers[0].input.mapv_inplace(|_| 0.01);
    weights.layers[1].hidden.diag_mut().fill(0.01);
    let start = Candidate::new(evflex_icnn::Icnn::new(weights).unwrap(), plain.centre).unwrap();
    let settings = TrainingSettings {
        trained: Trained::All,
        learning_rate: 0.003,
        epochs: 10,
        ..short()
    };
    let (reports, after, _) = history(&setting, &settings, &start);
    let last = reports
        .iter()
        .map(|report| report.validation_gap)
        .fold(f64::MAX, f64::min);
    println!("{} to {last}", reports[0].validation_gap);
    assert!(last < 0.95 * reports[0].validation_gap);
    assert_ne!(
        after.network.weights().layers[1].input,
        start.network.weights().layers[1].input
    );
    assert!(after.network.h_polytope().unwrap().is_none());
}

/// The same seed gives the same bits, with any number of threads; another seed gives others.
#[test]
fn training_repeats_itself() {
    let setting = setting(ObjectiveKind::Energy);
    let start = Candidate::interval_rows(&setting.exact, None, 1).unwrap();
    let settings = TrainingSettings {
        noise: 0.1,
        ..short()
    };
    let first = history(&setting, &settings, &start);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let second = pool.install(|| history(&setting, &settings, &start));
    assert_eq!(first, second);
    let other = history(
        &setting,
        &TrainingSettings {
            seed: 1,
            ..settings
        },
        &start,
    );
    assert_ne!(first.0, other.0);
}

/// A run stored as text after three epochs and read back ends with the bits of an uninterrupted one.
#[test]
fn resumed_runs_are_the_uninterrupted_run() {
    let setting = setting(ObjectiveKind::Peak);
    let start = Candidate::interval_rows(&setting.exact, None, 1).unwrap();
    for gradient in [GradientRule::Exact, GradientRule::Pgd] {
        let settings = TrainingSettings {
            gradient,
            noise: 0.2,
            ..short()
        };
        let trainer = Trainer::new(&setting.exact, &setting.days, settings).unwrap();
        let cancel = Options::default().cancel;
        let mut whole = trainer.start(&start).unwrap();
        while !whole.is_finished() {
            whole.epoch(&cancel).unwrap();
        }
        let mut part = trainer.start(&start).unwrap();
        for _ in 0..3 {
            part.epoch(&cancel).unwrap();
        }
        let text = serde_json::to_string(&part.checkpoint()).unwrap();
        drop(part);
        let checkpoint: Checkpoint = serde_json::from_str(&text).unwrap();
        let mut part = trainer.resume(checkpoint).unwrap();
        while !part.is_finished() {
            part.epoch(&cancel).unwrap();
        }
        assert_eq!(part.checkpoint(), whole.checkpoint());
        let (part, whole) = (part.finish().unwrap(), whole.finish().unwrap());
        assert_eq!(part.candidate(), whole.candidate());
        assert_eq!(part.gamma().to_bits(), whole.gamma().to_bits());
        assert_eq!(part.certificate(), whole.certificate());
    }
}

/// Checkpoints of other settings or days are refused, with what differs.
#[test]
fn foreign_checkpoints_are_refused() {
    let (peak, energy) = (setting(ObjectiveKind::Peak), setting(ObjectiveKind::Energy));
    let start = Candidate::interval_rows(&peak.exact, None, 1).unwrap();
    let trainer = Trainer::new(&peak.exact, &peak.days, short()).unwrap();
    let checkpoint = trainer.start(&start).unwrap().checkpoint();
    let other = TrainingSettings {
        learning_rate: 0.1,
        ..short()
    };
    for (days, settings, what) in [
        (&peak.days, other, "settings"),
        (&energy.days, short(), "fingerprint of the days"),
    ] {
        let foreign = Trainer::new(&peak.exact, days, settings).unwrap();
        let Err(Error::ForeignCheckpoint { what: found, .. }) = foreign.resume(checkpoint.clone())
        else {
            panic!("accepted");
        };
        assert_eq!(found, what);
    }
}

/// What training ends with: certified, sound at 1,000 points and more, the same by every description.
#[test]
fn trained_sets_are_sound() {
    let setting = setting(ObjectiveKind::Energy);
    let (solver, options) = (Clarabel::default(), Options::default());
    let mut shallow = None;
    for depth in [1, 2] {
        let start = Candidate::interval_rows(&setting.exact, None, depth).unwrap();
        let trainer = Trainer::new(&setting.exact, &setting.days, short()).unwrap();
        let set: LearnedSet<'_> = trainer.train(&start, &options, |_| ()).unwrap();
        assert_eq!(set.claim(), Claim::Inner);
        let centre = set.candidate().centre.view();
        let verdict = set
            .certificate()
            .verify(&setting.exact, set.inner(), centre, 1e-9)
            .unwrap();
        assert_eq!(verdict, Verification::Confirmed);
        // Rows of the last layer are all there is, so depth changes nothing.
        match shallow {
            None => shallow = Some(set.gamma()),
            Some(gamma) => assert!((gamma - set.gamma()).abs() < 1e-12),
        }
        let export = set.linear_inequalities();
        let text = serde_json::to_string(&export).unwrap();
        assert_eq!(
            serde_json::from_str::<evflex_icnn::LinearInequalities>(&text).unwrap(),
            export
        );
        assert_eq!(export.auxiliary, 0);
        let matrix =
            Array2::from_shape_vec((export.rhs.len(), STEPS), export.matrix.concat()).unwrap();
        let rhs = Array1::from(export.rhs.clone());
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for k in 0..500 {
            let direction = Array1::from_shape_fn(STEPS, |_| rng.random_range(-1.0..1.0));
            let vertex = set.support(direction.view(), &solver).unwrap().profile_kw;
            let schedule = set.disaggregate(vertex.view(), &solver).unwrap();
            assert!(
                schedule
                    .check(&setting.vehicles, 1e-6)
                    .unwrap()
                    .is_feasible()
            );
            let sum = schedule.aggregate_kw();
            assert!(
                (&Array1::from(sum.to_vec()) - &vertex)
                    .iter()
                    .all(|off| off.abs() < 1e-6)
            );
            if k % 10 == 0 {
                for share in [0.3, 0.999, 1.001, 1.5] {
                    let point = &centre + &(share * (&vertex - &centre));
                    let inside = set
                        .contains(point.view(), 0.0, &solver)
                        .unwrap()
                        .is_inside();
                    assert_eq!(inside, share < 1.0);
                    assert_eq!(inside, set.contains_by_network(point.view(), 0.0).unwrap());
                    assert_eq!(
                        inside,
                        (matrix.dot(&point) - &rhs).iter().all(|off| *off <= 1e-9)
                    );
                }
            }
        }
        // The scaled network is the set without γ.
        let network = set.scaled_network().unwrap();
        let direction = Array1::ones(STEPS);
        let edge = set.support(direction.view(), &solver).unwrap().profile_kw - centre;
        assert!(network.contains((0.9999 * &edge).view(), 0.0).unwrap());
        assert!(!network.contains((1.0001 * &edge).view(), 0.0).unwrap());
    }
}

/// Decisions over a learned set with hidden units, against the flexibility crate and its solver.
#[test]
fn decisions_agree_with_another_engine() {
    for kind in [
        ObjectiveKind::Peak,
        ObjectiveKind::Energy,
        ObjectiveKind::DemandCharge,
        ObjectiveKind::Tracking,
    ] {
        let setting = setting(kind);
        let mut weights = Candidate::interval_rows(&setting.exact, None, 1)
            .unwrap()
            .network
            .into_weights();
        weights.output.bias = -3.0;
        let centre = Candidate::interval_rows(&setting.exact, None, 1)
            .unwrap()
            .centre;
        let candidate = Candidate::new(evflex_icnn::Icnn::new(weights).unwrap(), centre).unwrap();
        let scaler = evflex_flexibility::ExactScaler::new(&setting.exact).unwrap();
        let set = LearnedSet::certify(&setting.exact, &scaler, &candidate).unwrap();
        assert!(set.inner().is_lifted());
        for (day, best) in setting
            .days
            .objectives()
            .iter()
            .zip(setting.days.best_costs())
        {
            let other = set
                .minimise(day, &Clarabel::default(), &Options::default())
                .unwrap();
            let gap = set.mean_gap(&[day], &[*best]).unwrap();
            assert!(
                (gap + best - other.cost).abs() <= 1e-6 * (1.0 + best.abs()),
                "{kind}: {gap} {best} {}",
                other.cost
            );
            assert!(gap >= -1e-6 * (1.0 + best.abs()));
        }
    }
}

/// A run that is cancelled, or that has no time, ends with a certified set.
#[test]
fn runs_end_early_when_asked() {
    let setting = setting(ObjectiveKind::Peak);
    let start = Candidate::interval_rows(&setting.exact, None, 1).unwrap();
    let trainer = Trainer::new(&setting.exact, &setting.days, short()).unwrap();
    let options = Options::default();
    let mut seen = 0;
    let cancel = options.cancel.clone();
    trainer
        .train(&start, &options, |_| {
            seen += 1;
            if seen == 2 {
                cancel.cancel();
            }
        })
        .unwrap();
    assert_eq!(seen, 2);
    let options = Options::default().time_limit(std::time::Duration::ZERO);
    let mut reports = 0;
    let set = trainer.train(&start, &options, |_| reports += 1).unwrap();
    assert!(set.gamma() > 0.0 && reports == 1);
}

/// Settings and days that make no sense are refused by name.
#[test]
fn broken_settings_are_refused_by_name() {
    let setting = setting(ObjectiveKind::Peak);
    let message = |change: &dyn Fn(&mut TrainingSettings)| {
        let mut settings = short();
        change(&mut settings);
        Trainer::new(&setting.exact, &setting.days, settings)
            .err()
            .unwrap()
            .to_string()
    };
    assert!(message(&|s| s.learning_rate = f64::NAN).starts_with("learning_rate: NaN"));
    assert!(message(&|s| s.batch = 0).starts_with("batch"));
    assert!(message(&|s| s.margin = 0.0).starts_with("margin"));
    assert!(message(&|s| s.noise = -1.0).starts_with("noise"));
    assert!(
        message(&|s| s.scaling = ScalingRule::Sweep {
            smoothing: f64::INFINITY
        })
        .starts_with("smoothing")
    );
    let options = Options::default();
    let days = |objectives: Vec<Objective>, split| {
        TrainingDays::new(&setting.exact, objectives, split, &options)
            .unwrap_err()
            .to_string()
    };
    let all = setting.days.objectives().to_vec();
    assert!(days(Vec::new(), Split::shuffled(0, 0)).starts_with("days"));
    assert!(days(all[..1].to_vec(), Split::shuffled(1, 0)).starts_with("validation days"));
    assert!(days(all[..5].to_vec(), Split::shuffled(20, 0)).starts_with("split: it names day"));
    let mut mixed = all;
    mixed[3] = Objective::Energy {
        price_eur_per_mwh: Array1::ones(STEPS),
    };
    assert!(days(mixed, Split::shuffled(20, 0)).starts_with("days: day 3 asks for energy"));
}

/// 184 days are split as the paper's.
#[test]
fn splits_are_what_they_say() {
    let split = Split::shuffled(184, 9);
    assert_eq!(
        (
            split.training.len(),
            split.validation.len(),
            split.test.len()
        ),
        (110, 37, 37)
    );
    let mut all = [split.training, split.validation, split.test].concat();
    all.sort_unstable();
    assert_eq!(all, (0..184).collect::<Vec<_>>());
}

/// γ by affine rules at every step: it needs the vehicles, and lowers the gap.
#[test]
fn affine_rules_train_small_fleets() {
    let grid = TimeGrid::new(4, Hours(1.0)).unwrap();
    let vehicles = Population::new(grid.clone(), 2).generate(3).unwrap();
    let exact = FleetPolymatroid::exact(&vehicles).unwrap();
    let tariffs = EnergyPrices.tariffs(&grid, 10, 3).unwrap();
    let objectives = tariffs
        .iter()
        .map(|tariff| Objective::Energy {
            price_eur_per_mwh: tariff.eur_per_mwh().to_vec().into(),
        })
        .collect();
    let options = Options::default();
    let days = TrainingDays::new(&exact, objectives, Split::shuffled(10, 5), &options).unwrap();
    // A coarse start: the box and the total alone.
    let intervals = Candidate::interval_rows(&exact, None, 1).unwrap();
    let total = intervals.centre.sum();
    let (most, least) = exact
        .support(Array1::ones(4).view())
        .map(|point| point.value)
        .and_then(|most| {
            Ok((
                most,
                -exact.support((-Array1::<f64>::ones(4)).view())?.value,
            ))
        })
        .unwrap();
    let weights = intervals.network.weights();
    let rows = ndarray::array![[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]];
    let offsets = ndarray::array![most - total, total - least];
    let network = evflex_icnn::Icnn::from_rows(
        rows.view(),
        offsets.view(),
        weights.lower.view(),
        weights.upper.view(),
        1,
        2,
    )
    .unwrap();
    let start = Candidate::new(network, intervals.centre).unwrap();
    let settings = TrainingSettings {
        scaling: ScalingRule::AffineRules,
        epochs: 4,
        ..short()
    };
    let trainer = Trainer::new(&exact, &days, settings).unwrap();
    assert!(
        trainer
            .start(&start)
            .err()
            .unwrap()
            .to_string()
            .contains("with_affine_rules")
    );
    let sets: Vec<VehicleSet> = vehicles
        .vehicles()
        .iter()
        .map(|vehicle| VehicleSet::exact(vehicle, 1.0).unwrap())
        .collect();
    let solver = Clarabel::default();
    let trainer = trainer.with_affine_rules(&sets, &solver, &options).unwrap();
    let mut gaps = Vec::new();
    trainer
        .train(&start, &options, |report| gaps.push(report.validation_gap))
        .unwrap();
    println!("{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 0.9 * gaps[0]), "{gaps:?}");
}
