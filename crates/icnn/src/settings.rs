//! How a set is trained, and on which days.

use evflex_flexibility::{FleetPolymatroid, Objective};
use evflex_solver::Options;
use ndarray::Array1;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, check_finite},
    layout::Parameter,
    start::middle,
};

/// How the loss is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientRule {
    /// `thanvantri2025`, section 4: biases and box are multiplied by γ before each step, and γ is held fixed in the
    /// gradient.
    Pgd,
    /// All of it, by the envelope theorem on γ and on the decisions.
    Exact,
}

/// Where γ comes from between complete sweeps and when training has ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingRule {
    /// The exact γ: a complete sweep over all subsets per epoch, and at every step the subsets that came near to
    /// limiting γ in one of the sweeps. At most [`evflex_flexibility::MAX_TABLE_STEPS`] steps.
    Sweep {
        /// The gradient of γ is a mean over subsets whose ratios are within about this share of γ, weighted by
        /// `exp(−(ratio/γ − 1) / smoothing)`; 0 takes the limiting subset alone. It goes down with the learning rate. γ itself
        /// is not smoothed.
        smoothing: f64,
    },
    /// γ by affine rules at every step, the linear program (10) of `thanvantri2025`
    /// ([`crate::Trainer::with_affine_rules`]); complete sweeps per epoch as above, and the result has its exact γ. For small
    /// fleets and horizons.
    AffineRules,
    /// γ is 1, and the loss has a penalty on subsets that the set exceeds, `weight · Σ (h_F − room)²` over the pool of
    /// subsets; complete sweeps per epoch as above, and the result is scaled by its exact γ.
    Penalty {
        /// Weight of the penalty, cost per kW².
        weight: f64,
    },
}

impl ScalingRule {
    /// The rule when the learning rate has come down to this share: smoothing goes down with it.
    pub(crate) fn at(self, share: f64) -> Self {
        match self {
            Self::Sweep { smoothing } => Self::Sweep {
                smoothing: smoothing * share,
            },
            Self::Penalty { .. } | Self::AffineRules => self,
        }
    }
}

/// Which parameters are trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// The biases of hidden layers and the box, as in `thanvantri2025`, section 5.
    BiasesAndBox,
    /// These and the centre.
    BiasesBoxAndCentre,
    /// Everything, the centre included.
    All,
    /// The blocks named.
    Blocks(Vec<Parameter>),
}

impl Trained {
    pub(crate) fn contains(&self, parameter: Parameter) -> bool {
        let biases_and_box = matches!(
            parameter,
            Parameter::Bias(_) | Parameter::Lower | Parameter::Upper
        );
        match self {
            Self::BiasesAndBox => biases_and_box,
            Self::BiasesBoxAndCentre => biases_and_box || parameter == Parameter::Centre,
            Self::All => true,
            Self::Blocks(blocks) => blocks.contains(&parameter),
        }
    }
}

/// The optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimiser {
    /// Adam (Kingma and Ba).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter).
    AdamW {
        /// Decay per step, times the learning rate.
        weight_decay: f64,
    },
}

/// The unit in which a learning rate acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Every parameter as it is: kW for biases, box and centre.
    Absolute,
    /// Shares of each parameter's size at the start, and of the size of the box for the centre.
    Relative,
}

/// How a set is trained.
///
/// The default is what worked best here (relative steps on biases, box and centre with the exact gradient);
/// [`TrainingSettings::paper`] is what `thanvantri2025` describes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// How the loss is differentiated.
    pub gradient: GradientRule,
    /// Where γ comes from.
    pub scaling: ScalingRule,
    /// What is trained.
    pub trained: Trained,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// Learning rate of the first epoch.
    pub learning_rate: f64,
    /// Factor on the learning rate per epoch.
    pub decay: f64,
    /// The unit of the learning rate.
    pub unit: Unit,
    /// Epochs at most.
    pub epochs: usize,
    /// Days per step.
    pub batch: usize,
    /// Epochs without a better validation gap after which training ends.
    pub patience: Option<usize>,
    /// Validation gap, in the unit of the cost, at which training ends.
    pub target_gap: f64,
    /// Standard deviation of the factors on the data of training days, drawn anew for each step.
    pub noise: f64,
    /// Offsets and box stay at least this far from 0, kW.
    pub margin: f64,
    /// Seed of the order of days and of the noise.
    pub seed: u64,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            gradient: GradientRule::Exact,
            scaling: ScalingRule::Sweep { smoothing: 0.003 },
            trained: Trained::BiasesBoxAndCentre,
            optimiser: Optimiser::Adam,
            learning_rate: 0.02,
            decay: 0.97,
            unit: Unit::Relative,
            epochs: 100,
            batch: 28,
            patience: Some(30),
            target_gap: 1e-7,
            noise: 0.0,
            margin: 1e-3,
            seed: 0,
        }
    }
}

impl TrainingSettings {
    /// The settings of `thanvantri2025`, section 5: 500 epochs, learning rate 1e-3 on the biases of the hidden layer and
    /// the box, γ held fixed in the gradient.
    ///
    /// The paper names neither optimiser nor batch size, and its γ comes from a linear program; here it is the exact one.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            gradient: GradientRule::Pgd,
            scaling: ScalingRule::Sweep { smoothing: 0.0 },
            trained: Trained::BiasesAndBox,
            learning_rate: 1e-3,
            decay: 1.0,
            unit: Unit::Absolute,
            epochs: 500,
            patience: None,
            ..Self::default()
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Training`] with the name of the setting.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what, problem: String| Err(Error::Training { what, problem });
        let positive = |what, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                refuse(what, format!("{value} is not a finite positive number"))
            }
        };
        let not_negative = |what, value: f64| {
            if value >= 0.0 && value.is_finite() {
                Ok(())
            } else {
                refuse(what, format!("{value} is not a finite number of 0 or more"))
            }
        };
        positive("learning_rate", self.learning_rate)?;
        positive("decay", self.decay)?;
        positive("margin", self.margin)?;
        not_negative("noise", self.noise)?;
        not_negative("target_gap", self.target_gap)?;
        if self.batch == 0 {
            return refuse("batch", "0 days per step; at least one is needed".into());
        }
        if let Optimiser::AdamW { weight_decay } = self.optimiser {
            not_negative("weight_decay", weight_decay)?;
        }
        match self.scaling {
            ScalingRule::Sweep { smoothing } => not_negative("smoothing", smoothing),
            ScalingRule::Penalty { weight } => not_negative("penalty weight", weight),
            ScalingRule::AffineRules => Ok(()),
        }
    }
}

/// Which days are for training, for choosing, and for reporting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Days that gradients come from.
    pub training: Vec<usize>,
    /// Days that decide which epoch is kept and when training ends.
    pub validation: Vec<usize>,
    /// Days that nothing is chosen by.
    pub test: Vec<usize>,
}

impl Split {
    /// 60 % training, 20 % validation and 20 % test days (each rounded, the rest to test), shuffled by the seed: 184 days
    /// give 110, 37 and 37.
    #[must_use]
    pub fn shuffled(days: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..days).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let (training, validation) = ((6 * days + 5) / 10, (2 * days + 5) / 10);
        let rest = order.split_off(training.min(days));
        let (middle, end) = rest.split_at(validation.min(rest.len()));
        Self {
            training: order,
            validation: middle.to_vec(),
            test: end.to_vec(),
        }
    }
}

/// The decisions of many days with their best costs over the exact set of the fleet.
#[derive(Clone, Debug)]
pub struct TrainingDays {
    objectives: Vec<Objective>,
    best_costs: Vec<f64>,
    split: Split,
}

impl TrainingDays {
    /// Solves every day over the exact set (`c_opt` of `thanvantri2025`, section 4), in parallel.
    ///
    /// # Errors
    /// [`Error::Training`] for days of different kinds, an empty training or validation split, or a split that names a day
    /// that does not exist; [`Error::Flexibility`] for bad objectives.
    pub fn new(
        fleet: &FleetPolymatroid,
        objectives: Vec<Objective>,
        split: Split,
        options: &Options,
    ) -> Result<Self, Error> {
        let refuse = |what, problem: String| Err(Error::Training { what, problem });
        let Some(first) = objectives.first() else {
            return refuse("days", "there are none".into());
        };
        let kind = first.kind();
        if let Some(day) = objectives.iter().position(|day| day.kind() != kind) {
            return refuse(
                "days",
                format!(
                    "day {day} asks for {}, day 0 for {kind}",
                    objectives[day].kind()
                ),
            );
        }
        for (what, days) in [
            ("training days", &split.training),
            ("validation days", &split.validation),
        ] {
            if days.is_empty() {
                return refuse(
                    what,
                    "there are none; give at least 5 days to a 60/20/20 split".into(),
                );
            }
        }
        let named = split
            .training
            .iter()
            .chain(&split.validation)
            .chain(&split.test);
        if let Some(&day) = named.clone().find(|&&day| day >= objectives.len()) {
            return refuse(
                "split",
                format!("it names day {day} of {}", objectives.len()),
            );
        }
        let best_costs: Vec<f64> = objectives
            .par_iter()
            .map(|day| Ok(fleet.decide(day, options)?.decision.cost))
            .collect::<Result<_, Error>>()?;
        check_finite(|| "best costs".into(), &best_costs)?;
        Ok(Self {
            objectives,
            best_costs,
            split,
        })
    }

    /// The decisions.
    #[must_use]
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// The best cost of each day over the exact set.
    #[must_use]
    pub fn best_costs(&self) -> &[f64] {
        &self.best_costs
    }

    /// Which days are for what.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// A centre for starts: `share` of the way from the middle of the fleet's set ([`middle`]) to the mean of the best profiles
    /// of the training days.
    ///
    /// A set trained around it needs to reach less far. With a share of 1 the centre may be on the boundary of
    /// the fleet's set, and no scale of any set fits around it then.
    ///
    /// # Errors
    /// [`Error::Training`] for a share outside 0 to 1; [`Error::Flexibility`].
    pub fn centre(&self, fleet: &FleetPolymatroid, share: f64) -> Result<Array1<f64>, Error> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::Training {
                what: "share",
                problem: format!("{share} is not between 0 and 1"),
            });
        }
        let profiles = self
            .split
            .training
            .par_iter()
            .map(|&day| {
                let best = fleet.decide(&self.objectives[day], &Options::default())?;
                Ok(best.decision.profile_kw)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let mut centre = (1.0 - share) * middle(fleet)?;
        for profile in &profiles {
            centre.scaled_add(share / profiles.len() as f64, profile);
        }
        Ok(centre)
    }

    /// A number that changes when any datum of any day changes: the data a checkpoint belongs to.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
        let mut eat = |bits: u64| {
            for byte in bits.to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (objective, best) in self.objectives.iter().zip(&self.best_costs) {
            let (rows, rate) = match objective {
                Objective::Peak { load_kw } => (vec![load_kw], 0.0),
                Objective::Energy { price_eur_per_mwh } => (vec![price_eur_per_mwh], 1.0),
                Objective::DemandCharge {
                    price_eur_per_mwh,
                    load_kw,
                    rate_eur_per_kw,
                } => (vec![price_eur_per_mwh, load_kw], *rate_eur_per_kw),
                Objective::Tracking { target_kw, weight } => (vec![target_kw, weight], 2.0),
                _ => (Vec::new(), 3.0),
            };
            rows.into_iter()
                .flatten()
                .for_each(|value| eat(value.to_bits()));
            eat(f64::to_bits(rate));
            eat(best.to_bits());
        }
        for days in [
            &self.split.training,
            &self.split.validation,
            &self.split.test,
        ] {
            eat(days.len() as u64);
            for &day in days {
                eat(day as u64);
            }
        }
        hash
    }
}
