//! From vehicles to the aggregate flexibility set of a fleet, to decisions over it, and back.
//!
//! ```
//! use evflex_flexibility::{FleetPolymatroid, Objective};
//! use evflex_solver::Options;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let fleet = evflex_fleet::synthetic::appendix_c(1)?;
//! let set = FleetPolymatroid::exact(&fleet)?;
//! # let load_kw = ndarray::Array1::linspace(40.0, 25.0, set.steps());
//! let answer = set.decide(&Objective::Peak { load_kw }, &Options::default())?;
//! assert!(answer.decision.gap() <= 1e-6); // certified: no profile of the fleet has a lower peak
//! let schedule = set.schedule(&answer.mixture)?; // one power per vehicle and step
//! assert!(schedule.check(&fleet, 1e-9)?.is_feasible());
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! [`VehicleSet`] is one vehicle; [`FleetPolymatroid`] is the exact set of a fleet, with support,
//! membership, decisions and disaggregation; [`AggregateSet`] is what every aggregate set answers.
//! Inside it are [`AffineInner`], [`VertexHull`], [`BoxInner`], [`ZonotopeInner`],
//! [`EllipsoidInner`] and [`ScaledPolytope`];
//! [`TemplateOuter`] are sets around it, which bound decisions from below;
//! [`LossyInner`] and [`LossyOuter`] are for batteries that lose energy both ways;
//! [`unused_potential`] is what an approximation loses;
//! [`Objective`] holds the decisions; [`direct`] writes the same questions as one program for any
//! solver.
//!
//! # Conventions
//! Powers in kW, positive when the fleet draws from the grid; one entry per step. A subset sum
//! `u(S)` is a sum of powers over steps, in kW. Costs in the unit of their [`Objective`].
//!
//! # Limits
//! Exactness needs lossless batteries, or lossy ones that only charge; [`LossyInner`] and [`LossyOuter`] enclose the
//! rest, and [`lossy_gap`] measures what is between them. Full tables of the set
//! functions end at [`MAX_TABLE_STEPS`] steps; everything else works at any number of steps.

mod affine;
mod affine_scaling;
mod aggregate_set;
mod box_inner;
mod decision;
mod demand_charge;
pub mod direct;
mod ellipsoid_inner;
mod energy_form;
mod error;
mod flat;
mod fleet_polymatroid;
mod gap;
mod general_affine;
mod generalized_polymatroid;
mod image;
mod lossy;
mod mixture;
mod objective;
mod outer;
mod per_vehicle;
mod quadratic;
mod scaled_polytope;
mod scaling;
mod support_simplex;
mod thin_qr;
mod vehicle_set;
mod vertex_hull;
mod zonotope_inner;

pub use affine::{AffineInner, AffineMap, BaseBounds, FacetViolation, Translation};
pub use affine_scaling::{AffineForm, AffineScaling};
pub use aggregate_set::{
    AggregateSet, Claim, Decision, DecisionStatus, Membership, Minorant, Side, SupportPoint,
    Witness,
};
pub use box_inner::BoxInner;
pub use ellipsoid_inner::{EllipsoidInner, EllipsoidMeasure};
pub use error::Error;
pub use fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid, PolymatroidDecision};
pub use gap::{UnusedPotential, unused_potential};
pub use generalized_polymatroid::{MAX_TABLE_STEPS, Permutation, SetFunctionTable};
pub use lossy::{LossyDecision, LossyGap, LossyInner, LossyOuter, RelaxedDecision, lossy_gap};
pub use mixture::VertexMixture;
pub use objective::{Objective, ObjectiveKind};
pub use outer::TemplateOuter;
pub use scaled_polytope::{DecisionGradient, ScaledPolytope};
pub use scaling::{
    DualVector, ExactScaler, ExactScaling, InnerPolytope, ScalingLimit, SetGradient,
    SubsetDirection, SweepCertificate, Verification,
};
pub use vehicle_set::VehicleSet;
pub use vertex_hull::VertexHull;
pub use zonotope_inner::ZonotopeInner;
