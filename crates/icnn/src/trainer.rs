//! Training: epochs of steps on batches of days, complete sweeps between them, checkpoints.

use evflex_flexibility::{
    ExactScaler, ExactScaling, FleetPolymatroid, Objective, SubsetDirection, VehicleSet,
};
use evflex_polytope::{AhPolytope, Sensitivity};
use evflex_solver::{Cancel, Options, ProgressReport, Solver};
use ndarray::Array1;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::{
    affine_rules::{self, vehicle_polytopes},
    error::{Error, check_count},
    form::LinearForm,
    layout::{Layout, Parameter},
    learned_set::LearnedSet,
    loss::{add_decisions, decide_all, form_for, move_centre_in_place},
    network::Icnn,
    optimiser::{self, Moments},
    pool::{Pool, PoolLimit, Term},
    settings::{GradientRule, ScalingRule, TrainingDays, TrainingSettings, Unit},
    start::Candidate,
};

/// What one epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epochs done; 0 is the start.
    pub epoch: usize,
    /// Mean gap of the training days at the steps of this epoch, with the γ of the pool and with noise, if any; none for
    /// the start.
    pub training_gap: Option<f64>,
    /// Mean gap of the validation days over the certified set `Δ + γ_exact F`.
    pub validation_gap: f64,
    /// `γ_exact`, by the complete sweep.
    pub gamma: f64,
    /// Whether this is the best validation gap so far.
    pub best: bool,
    /// Subsets in the pool.
    pub pool: usize,
    /// Linear programs solved for γ, those of the sweep included.
    pub scaling_programs: usize,
}

/// Where a run is, to go on from: plain numbers that survive a text file bit by bit.
///
/// A run that goes on from a checkpoint gives the same numbers as one that was never interrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    settings: TrainingSettings,
    days_fingerprint: u64,
    candidate: Candidate,
    units: Vec<f64>,
    moments: Option<Moments>,
    /// What the sweep of this epoch was given.
    known: Vec<SubsetDirection>,
    best: Option<Best>,
    history: Vec<EpochReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    epoch: usize,
    validation_gap: f64,
    candidate: Candidate,
}

/// A fleet, its days and how to train on them.
pub struct Trainer<'a> {
    fleet: &'a FleetPolymatroid,
    scaler: ExactScaler,
    days: &'a TrainingDays,
    settings: TrainingSettings,
    rules: Option<AffineRules<'a>>,
}

/// What γ by affine rules takes.
struct AffineRules<'a> {
    vehicles: Vec<AhPolytope>,
    solver: &'a dyn Solver,
    options: Options,
}

impl<'a> Trainer<'a> {
    /// Checks the settings and tabulates the fleet's set functions.
    ///
    /// # Errors
    /// [`Error::Training`]; [`Error::Flexibility`] beyond [`evflex_flexibility::MAX_TABLE_STEPS`] steps.
    pub fn new(
        fleet: &'a FleetPolymatroid,
        days: &'a TrainingDays,
        settings: TrainingSettings,
    ) -> Result<Self, Error> {
        settings.check()?;
        for day in days.objectives() {
            day.check(fleet.steps())?;
        }
        Ok(Self {
            fleet,
            scaler: ExactScaler::new(fleet)?,
            days,
            settings,
            rules: None,
        })
    }

    /// The vehicles' own sets and a solver, for [`ScalingRule::AffineRules`].
    ///
    /// # Errors
    /// [`Error::Polytope`], which checked sets do not cause.
    pub fn with_affine_rules(
        mut self,
        vehicles: &[VehicleSet],
        solver: &'a dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        self.rules = Some(AffineRules {
            vehicles: vehicle_polytopes(vehicles)?,
            solver,
            options: options.clone(),
        });
        Ok(self)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &TrainingSettings {
        &self.settings
    }

    /// A run from a start, which is first scaled by its exact γ.
    ///
    /// # Errors
    /// [`Error::Shape`] if the start has another number of steps; [`Error::Training`] if nothing of it can be trained or it
    /// cannot be scaled inside the fleet's set at all; [`Error::Flexibility`] if its centre is not in the fleet's set.
    pub fn start(&self, start: &Candidate) -> Result<TrainingRun<'_, 'a>, Error> {
        check_count(
            || "steps of the network".into(),
            self.fleet.steps(),
            start.network.steps(),
        )?;
        let mut weights = start.network.weights().clone();
        weights.project(self.settings.margin);
        let network = Icnn::new(weights)?;
        let form = LinearForm::shortest(&network);
        let scaling = self
            .scaler
            .scale(&form.inner_polytope(&network)?, start.centre.view())?;
        if scaling.gamma <= 0.0 {
            return Err(Error::Training {
                what: "start",
                problem: format!(
                    "its centre is on the boundary of the fleet's set (steps {:?}), so no scale of the set fits: choose a centre inside",
                    scaling.binding_steps
                ),
            });
        }
        let candidate = Candidate::new(network.scaled(scaling.gamma)?, start.centre.clone())?;
        let units = units(&self.settings, &candidate)?;
        let state = Checkpoint {
            settings: self.settings.clone(),
            days_fingerprint: self.days.fingerprint(),
            candidate,
            units,
            moments: None,
            known: Pool::intervals(self.fleet.steps()),
            best: None,
            history: Vec::new(),
        };
        TrainingRun::from_state(self, state, true)
    }

    /// A run that goes on from a checkpoint of the same settings and days.
    ///
    /// # Errors
    /// [`Error::ForeignCheckpoint`] if settings or days differ; those of [`Trainer::start`].
    pub fn resume(&self, checkpoint: Checkpoint) -> Result<TrainingRun<'_, 'a>, Error> {
        let same = |what, expected: String, found: String| {
            if expected == found {
                Ok(())
            } else {
                Err(Error::ForeignCheckpoint {
                    what,
                    expected,
                    found,
                })
            }
        };
        same(
            "settings",
            format!("{:?}", self.settings),
            format!("{:?}", checkpoint.settings),
        )?;
        same(
            "fingerprint of the days",
            self.days.fingerprint().to_string(),
            checkpoint.days_fingerprint.to_string(),
        )?;
        let steps = checkpoint.candidate.network.steps();
        check_count(|| "steps of the network".into(), self.fleet.steps(), steps)?;
        let parameters = Layout::of(&checkpoint.candidate.network).len();
        check_count(|| "units".into(), parameters, checkpoint.units.len())?;
        TrainingRun::from_state(self, checkpoint, false)
    }

    /// Runs to the end: all epochs, the target gap, or patience; `on_epoch` sees every epoch as it ends.
    ///
    /// `options` give progress, cancelling and the time limit; a run that is cancelled or out of time ends with the
    /// best set so far, which is certified as any other.
    ///
    /// # Errors
    /// Those of [`Trainer::start`] and [`TrainingRun::epoch`].
    pub fn train(
        &self,
        start: &Candidate,
        options: &Options,
        mut on_epoch: impl FnMut(&EpochReport),
    ) -> Result<LearnedSet<'a>, Error> {
        let started = std::time::Instant::now();
        let mut run = self.start(start)?;
        if let Some(report) = run.history().last() {
            on_epoch(report);
        }
        while !run.is_finished() {
            let over = options
                .time_limit
                .is_some_and(|limit| started.elapsed() >= limit);
            if over || options.cancel.is_cancelled() {
                break;
            }
            let report = run.epoch(&options.cancel)?;
            options.report(&ProgressReport {
                objective: Some(report.validation_gap),
                total: Some(self.settings.epochs as u64),
                ..ProgressReport::new("training", report.epoch as u64)
            });
            on_epoch(report);
        }
        run.finish()
    }
}

/// A run under way.
pub struct TrainingRun<'t, 'a> {
    trainer: &'t Trainer<'a>,
    state: Checkpoint,
    layout: Layout,
    trained: Vec<usize>,
    pool: Pool,
    pool_directions: Vec<SubsetDirection>,
}

/// How often a step of the centre is halved until it stays inside the fleet's set.
const HALVINGS: usize = 40;

impl<'t, 'a> TrainingRun<'t, 'a> {
    /// Sweeps the set of the state; for a new run the result is its first report.
    fn from_state(trainer: &'t Trainer<'a>, state: Checkpoint, new: bool) -> Result<Self, Error> {
        if trainer.settings.scaling == ScalingRule::AffineRules && trainer.rules.is_none() {
            return Err(Error::Training {
                what: "scaling",
                problem: "affine rules need the vehicles and a solver: call with_affine_rules"
                    .into(),
            });
        }
        let layout = Layout::of(&state.candidate.network);
        let trained: Vec<usize> = layout
            .blocks()
            .iter()
            .filter(|(block, _)| trainer.settings.trained.contains(*block))
            .flat_map(|(_, range)| range.clone())
            .collect();
        if trained.is_empty() {
            return Err(Error::Training {
                what: "trained",
                problem: "none of the blocks named is in the network".into(),
            });
        }
        let mut run = Self {
            trainer,
            state,
            layout,
            trained,
            pool: Pool::new(trainer.fleet, &[])?,
            pool_directions: Vec::new(),
        };
        let scaling = run.sweep()?;
        if new {
            run.note_epoch(None, &scaling, 0)?;
        }
        Ok(run)
    }

    /// The complete sweep of the present set; the pool is made afresh, so that what follows depends on the state alone.
    fn sweep(&mut self) -> Result<ExactScaling, Error> {
        let candidate = &self.state.candidate;
        let inner = LinearForm::shortest(&candidate.network).inner_polytope(&candidate.network)?;
        let scaling = self.trainer.scaler.scale(&inner, candidate.centre.view())?;
        self.pool_directions =
            Pool::merged(candidate.network.steps(), &scaling.pool, &self.state.known);
        self.pool = Pool::new(self.trainer.fleet, &self.pool_directions)?;
        Ok(scaling)
    }

    /// Everything that happened so far.
    #[must_use]
    pub fn history(&self) -> &[EpochReport] {
        &self.state.history
    }

    /// The present set, as training sees it; [`TrainingRun::finish`] gives the best one with its proof.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.state.candidate
    }

    /// What it takes to go on from here.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.state.clone()
    }

    /// Whether all epochs are done, the target gap is reached, or patience is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let settings = &self.trainer.settings;
        let done = self.state.history.len().saturating_sub(1);
        let best = self.state.best.as_ref();
        done >= settings.epochs
            || best.is_some_and(|best| {
                best.validation_gap <= settings.target_gap
                    || settings
                        .patience
                        .is_some_and(|patience| done - best.epoch >= patience)
            })
    }

    /// One epoch: a step for each batch of training days in an order drawn by seed and epoch, then a complete sweep and
    /// the validation days.
    ///
    /// When `cancel` is set, the epoch ends after the step under way and counts as it is.
    ///
    /// # Errors
    /// [`Error::Program`] if weights have grown too different in size for a linear program; [`Error::Flexibility`].
    pub fn epoch(&mut self, cancel: &Cancel) -> Result<&EpochReport, Error> {
        let trainer = self.trainer;
        let settings = &trainer.settings;
        let epoch = self.state.history.len();
        let exponent = i32::try_from(epoch).unwrap_or(i32::MAX) - 1;
        let learning_rate = settings.learning_rate * settings.decay.powi(exponent);
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        rng.set_stream(epoch as u64);
        let mut order = trainer.days.split().training.clone();
        order.shuffle(&mut rng);
        let (mut gaps, mut count, mut programs) = (0.0, 0, 0);
        for batch in order.chunks(settings.batch) {
            if cancel.is_cancelled() {
                break;
            }
            let noisy: Vec<Objective> = batch
                .iter()
                .map(|&day| with_noise(&trainer.days.objectives()[day], settings.noise, &mut rng))
                .collect();
            let best: f64 = batch
                .iter()
                .map(|&day| trainer.days.best_costs()[day])
                .sum();
            let (cost, solved) = self.step(&noisy, learning_rate)?;
            gaps += cost * batch.len() as f64 - best;
            count += batch.len();
            programs += solved;
        }
        self.state.known.clone_from(&self.pool_directions);
        let scaling = self.sweep()?;
        let gap = (count > 0).then(|| gaps / count as f64);
        self.note_epoch(gap, &scaling, programs)?;
        // There is one: it was just noted.
        self.state.history.last().ok_or(Error::Training {
            what: "epoch",
            problem: "no report was made".into(),
        })
    }

    fn note_epoch(
        &mut self,
        training_gap: Option<f64>,
        scaling: &ExactScaling,
        programs: usize,
    ) -> Result<(), Error> {
        let days = self.trainer.days;
        let validation_gap = self.mean_gap(&days.split().validation, scaling.gamma)?;
        let best = self
            .state
            .best
            .as_ref()
            .is_none_or(|best| validation_gap < best.validation_gap);
        let epoch = self.state.history.len();
        if best {
            self.state.best = Some(Best {
                epoch,
                validation_gap,
                candidate: self.state.candidate.clone(),
            });
        }
        tracing::debug!(
            epoch,
            ?training_gap,
            validation_gap,
            gamma = scaling.gamma,
            "epoch"
        );
        self.state.history.push(EpochReport {
            epoch,
            training_gap,
            validation_gap,
            gamma: scaling.gamma,
            best,
            pool: self.pool_directions.len(),
            scaling_programs: programs + scaling.programs,
        });
        Ok(())
    }

    /// The mean gap of some days over `Δ + γF`.
    fn mean_gap(&self, which: &[usize], gamma: f64) -> Result<f64, Error> {
        let (days, candidate) = (self.trainer.days, &self.state.candidate);
        let form = LinearForm::shortest(&candidate.network);
        let objectives: Vec<&Objective> =
            which.iter().map(|&day| &days.objectives()[day]).collect();
        let step_hours = self.trainer.fleet.step_hours();
        let decisions = decide_all(
            &form,
            &objectives,
            candidate.centre.view(),
            gamma,
            step_hours,
        )?;
        let total: f64 = decisions
            .iter()
            .zip(which)
            .map(|(decision, &day)| decision.cost - days.best_costs()[day])
            .sum();
        Ok(total / which.len() as f64)
    }

    /// One step of the optimiser; the mean cost before it, and the programs that γ took.
    fn step(&mut self, days: &[Objective], learning_rate: f64) -> Result<(f64, usize), Error> {
        let trainer = self.trainer;
        let settings = &trainer.settings;
        let centre = self.state.candidate.centre.clone();
        let mut form = form_for(&settings.trained, &self.state.candidate);
        let (mut scaling, programs) = self.scaling(&form, learning_rate)?;
        if settings.gradient == GradientRule::Pgd {
            // The network itself is brought to scale, and γ is 1 from here on.
            let network = self.state.candidate.network.scaled(scaling.gamma())?;
            self.state.candidate.network = network;
            form = form_for(&settings.trained, &self.state.candidate);
            scaling = StepScaling::Fixed(1.0);
        }
        let gamma = scaling.gamma();
        let days: Vec<&Objective> = days.iter().collect();
        let decisions = decide_all(
            &form,
            &days,
            centre.view(),
            gamma,
            trainer.fleet.step_hours(),
        )?;
        let mut gradient = vec![0.0; self.layout.len()];
        let of_gamma = add_decisions(&self.layout, &form, &decisions, &mut gradient);
        scaling.add_gradient(&self.layout, &form, of_gamma, &mut gradient);
        move_centre_in_place(
            &self.layout,
            self.state.candidate.network.weights(),
            &mut gradient,
        );
        self.advance(&gradient, learning_rate)?;
        let cost =
            decisions.iter().map(|decision| decision.cost).sum::<f64>() / decisions.len() as f64;
        Ok((cost, programs))
    }

    /// γ for one step, and the programs it took.
    fn scaling(
        &mut self,
        form: &LinearForm,
        learning_rate: f64,
    ) -> Result<(StepScaling, usize), Error> {
        let settings = &self.trainer.settings;
        let Candidate { network, centre } = &self.state.candidate;
        match settings.scaling.at(learning_rate / settings.learning_rate) {
            ScalingRule::Sweep { smoothing } => {
                let limit = self.pool.limit(form, centre.view(), smoothing)?;
                let programs = limit.programs;
                Ok((StepScaling::Limit(limit), programs))
            }
            ScalingRule::Penalty { weight } => {
                let (exceeded, programs) = self.pool.exceeded(form, centre.view())?;
                Ok((StepScaling::Penalty { weight, exceeded }, programs))
            }
            ScalingRule::AffineRules => {
                let rules = self.trainer.rules.as_ref().ok_or(Error::Nothing {
                    what: "the list of vehicles for affine rules".into(),
                })?;
                let (found, sensitivity) = affine_rules::scale(
                    network,
                    form,
                    centre.view(),
                    &rules.vehicles,
                    rules.solver,
                    &rules.options,
                )?;
                let gamma = found.gamma;
                Ok((
                    StepScaling::Affine {
                        gamma,
                        sensitivity: Box::new(sensitivity),
                    },
                    1,
                ))
            }
        }
    }

    /// Moves the trained parameters against the gradient, and back into the set of convex networks around their
    /// centre.
    fn advance(&mut self, gradient: &[f64], learning_rate: f64) -> Result<(), Error> {
        let settings = &self.trainer.settings;
        let before = &self.state.candidate;
        let mut all = self.layout.flatten(&before.network, before.centre.view())?;
        let units = &self.state.units;
        let now: Vec<f64> = self.trained.iter().map(|&i| all[i] / units[i]).collect();
        let slope: Vec<f64> = self
            .trained
            .iter()
            .map(|&i| gradient[i] * units[i])
            .collect();
        let after = optimiser::step(
            settings.optimiser,
            learning_rate,
            &now,
            &slope,
            &mut self.state.moments,
        )?;
        for (&i, value) in self.trained.iter().zip(after) {
            all[i] = value * units[i];
        }
        let (mut weights, wanted) = self.layout.restore(&all)?;
        let mut move_by = &wanted - &before.centre;
        // The centre stays inside the fleet's set, and of its distance to the subsets of the pool at least half.
        let room = self.pool.least_room(before.centre.view());
        for _ in 0..HALVINGS {
            let centre = &before.centre + &move_by;
            if self.pool.least_room(centre.view()) >= 0.5 * room
                && self.trainer.fleet.contains(centre.view(), 0.0)?.is_inside()
            {
                break;
            }
            move_by *= 0.5;
        }
        let centre = &before.centre + &move_by;
        weights.shift(move_by.view());
        weights.project(settings.margin);
        self.state.candidate = Candidate::new(Icnn::new(weights)?, centre)?;
        Ok(())
    }

    /// The best set so far by validation gap, scaled by the γ of a complete sweep, with the proof.
    ///
    /// # Errors
    /// Those of [`LearnedSet::certify`].
    pub fn finish(self) -> Result<LearnedSet<'a>, Error> {
        let best = self
            .state
            .best
            .map_or(self.state.candidate, |best| best.candidate);
        LearnedSet::certify(self.trainer.fleet, &self.trainer.scaler, &best)
    }
}

/// What one step needs of γ.
enum StepScaling {
    /// γ with its derivatives.
    Limit(PoolLimit),
    /// γ = 1 with a penalty on subsets that are exceeded.
    Penalty { weight: f64, exceeded: Vec<Term> },
    /// γ by affine rules, with its derivatives.
    Affine {
        gamma: f64,
        sensitivity: Box<Sensitivity>,
    },
    /// γ without derivatives.
    Fixed(f64),
}

impl StepScaling {
    fn gamma(&self) -> f64 {
        match self {
            Self::Limit(limit) => limit.gamma,
            Self::Penalty { .. } => 1.0,
            Self::Fixed(gamma) | Self::Affine { gamma, .. } => *gamma,
        }
    }

    /// Adds what the loss owes to γ, or the penalty.
    fn add_gradient(&self, layout: &Layout, form: &LinearForm, of_gamma: f64, total: &mut [f64]) {
        match self {
            Self::Limit(limit) => limit.add_gradient(layout, form, of_gamma, total),
            Self::Penalty { weight, exceeded } => {
                for term in exceeded {
                    let factor = 2.0 * weight * (term.support - term.room);
                    term.add_support_gradient(layout, form, factor, total);
                    term.add_room_gradient(layout, -factor, total);
                }
            }
            Self::Affine { sensitivity, .. } => {
                affine_rules::add_sensitivity(layout, form, sensitivity, of_gamma, total);
            }
            Self::Fixed(_) => {}
        }
    }
}

/// The unit of every parameter.
fn units(settings: &TrainingSettings, candidate: &Candidate) -> Result<Vec<f64>, Error> {
    let layout = Layout::of(&candidate.network);
    let mut units = layout.flatten(&candidate.network, candidate.centre.view())?;
    if settings.unit == Unit::Absolute {
        units.fill(1.0);
        return Ok(units);
    }
    let weights = candidate.network.weights();
    for (block, range) in layout.blocks() {
        let values = &mut units[range.clone()];
        if *block == Parameter::Centre {
            for (unit, (low, high)) in values
                .iter_mut()
                .zip(weights.lower.iter().zip(&weights.upper))
            {
                *unit = CENTRE_UNIT * (high - low) / 2.0;
            }
        }
        let largest = values
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.abs()));
        // Entries far smaller than their block still move, and a block of zeros has unit 1.
        let least = if largest > 0.0 {
            SMALLEST_UNIT * largest
        } else {
            1.0
        };
        for value in values {
            *value = value.abs().max(least);
        }
    }
    Ok(units)
}

/// The unit of the centre as a share of half the box: it moves the whole set at once.
const CENTRE_UNIT: f64 = 0.03;

/// The smallest unit of a parameter as a share of the largest in its block.
const SMALLEST_UNIT: f64 = 0.01;

/// The data of a day with every number multiplied by `1 + noise · n`, n standard normal.
fn with_noise(objective: &Objective, noise: f64, rng: &mut ChaCha8Rng) -> Objective {
    let mut objective = objective.clone();
    if noise == 0.0 {
        return objective;
    }
    let mut shake = |values: &mut Array1<f64>| {
        for value in values {
            let n: f64 = rng.sample(StandardNormal);
            *value *= 1.0 + noise * n;
        }
    };
    match &mut objective {
        Objective::Peak { load_kw } => shake(load_kw),
        Objective::Energy { price_eur_per_mwh } => shake(price_eur_per_mwh),
        Objective::DemandCharge {
            price_eur_per_mwh,
            load_kw,
            ..
        } => {
            shake(price_eur_per_mwh);
            shake(load_kw);
        }
        Objective::Tracking { target_kw, .. } => shake(target_kw),
        _ => {}
    }
    objective
}
