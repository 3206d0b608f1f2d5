//! Learned aggregate flexibility sets: input-convex networks (ICNNs) trained end to end on the cost of decisions, with
//! certificates that the fleet can follow every point.
//!
//! ```
//! use evflex_fleet::{Hours, TimeGrid, synthetic::{EnergyPrices, Population}};
//! use evflex_flexibility::{AggregateSet, Claim, FleetPolymatroid, Objective};
//! use evflex_icnn::{Candidate, Split, Trainer, TrainingDays, TrainingSettings};
//! use evflex_solver::Options;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let grid = TimeGrid::new(6, Hours(1.0))?;
//! let fleet = FleetPolymatroid::exact(&Population::new(grid.clone(), 4).generate(1)?)?;
//! let prices = EnergyPrices.tariffs(&grid, 20, 1)?;
//! let days = prices.iter().map(|tariff| Objective::Energy {
//!     price_eur_per_mwh: tariff.eur_per_mwh().to_vec().into(),
//! });
//! let options = Options::default();
//! let days = TrainingDays::new(&fleet, days.collect(), Split::shuffled(20, 1), &options)?;
//!
//! // Start from the sums over all intervals of steps, around a centre near the decisions.
//! let centre = days.centre(&fleet, 0.8)?;
//! let start = Candidate::interval_rows(&fleet, Some(centre.view()), 1)?;
//! let settings = TrainingSettings { epochs: 10, batch: 4, ..TrainingSettings::default() };
//! let mut gaps = Vec::new();
//! let learned = Trainer::new(&fleet, &days, settings)?
//!     .train(&start, &options, |epoch| gaps.push(epoch.validation_gap))?;
//!
//! assert!(gaps.iter().any(|gap| *gap < 0.7 * gaps[0])); // EUR a day above the exact set
//! assert_eq!(learned.claim(), Claim::Inner); // proven by arithmetic, see `certificate`
//! let export = learned.linear_inequalities(); // for programs that know nothing of networks
//! assert_eq!((export.steps, export.auxiliary), (6, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! [`Weights`] are plain arrays; [`Icnn`] are checked ones: evaluation, scaling, the linear form of Appendix A of
//! `thanvantri2025`, and the H-polytope where hidden units can be eliminated. [`Candidate`] is a network with a
//! centre, made from any polytope (Appendix B), the general affine set or interval rows. [`TrainingDays`] are decisions
//! with their best costs, [`Trainer`] and [`TrainingRun`] train, [`Checkpoint`] goes on later, [`LearnedSet`] is the
//! result with its proof, [`affine_scaling`] the γ by affine rules with theirs, [`LinearInequalities`] what other programs read. [`decision_loss`] is the loss with its gradient,
//! and [`Layout`] says which entry is which parameter.
//!
//! # How gradients come about
//! γ and the cost of a decision are optimal values of linear programs, so their derivatives are multipliers times
//! derivatives of the rows (envelope theorem); no solver is differentiated, and no automatic differentiation is
//! involved. A dense simplex of this crate solves the programs, warm-started from day to day; the tensor framework
//! inside carries the optimiser.
//!
//! # Conventions
//! Powers in kW, one per step, positive when the fleet draws power. A network lives in powers relative to its
//! centre Δ, and its set contains the origin. Gaps are costs above those of the exact set, in the unit of the cost.
//!
//! # Limits
//! Training and certificates need the complete sweep over subsets, so at most
//! [`evflex_flexibility::MAX_TABLE_STEPS`] steps. A network whose last bias is 0 (the form of Appendix B) is an H-polytope
//! whatever its output weights; give it a last bias below 0 before training output weights or deeper layers.

mod affine_rules;
mod decision;
mod error;
mod form;
mod layout;
mod learned_set;
mod loss;
mod nearest;
mod network;
mod optimiser;
mod pool;
mod settings;
mod simplex;
mod start;
mod stored;
mod trainer;

pub use affine_rules::{AffineScaling, affine_scaling, vehicle_polytopes};
pub use error::Error;
pub use form::SublevelMatrices;
pub use layout::{Layout, Parameter};
pub use learned_set::{DEFAULT_TOLERANCE, LearnedSet, LinearInequalities};
pub use loss::{Loss, decision_loss};
pub use network::{Icnn, Layer, OutputLayer, UnitBounds, Weights};
pub use settings::{
    GradientRule, Optimiser, ScalingRule, Split, Trained, TrainingDays, TrainingSettings, Unit,
};
pub use start::{Candidate, middle};
pub use trainer::{Checkpoint, EpochReport, Trainer, TrainingRun};
