//! Polytopes for aggregate flexibility: support, membership, Minkowski sums, volumes and samples, and containment
//! answers that carry a certificate which a few lines of arithmetic check.
//!
//! ```
//! use evflex_polytope::{HPolytope, certify_scaling};
//! use evflex_solver::{Clarabel, Options};
//! use ndarray::array;
//!
//! // Two batteries over two steps: bounds on each power and on their sum.
//! let rows = array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 1.0], [-1.0, -1.0]];
//! let small = HPolytope::new(rows.clone(), array![2.0, 2.0, 2.0, 2.0, 3.0, 1.0])?;
//! let large = HPolytope::new(rows, array![5.0, 5.0, 5.0, 5.0, 4.0, 4.0])?;
//! let batteries = [small.into(), large.into()];
//!
//! // How far can this set grow around (1, 0) so that the two together can follow every point of it?
//! let wanted = HPolytope::hyperbox(&[-1.0, -1.0], &[1.0, 1.0])?.into();
//! let centre = array![1.0, 0.0];
//! let (solver, options) = (Clarabel::default(), Options::default());
//! let answer = certify_scaling(&wanted, &batteries, centre.view(), &solver, &options)?;
//! let certificate = answer.containment.certificate().expect("the centre is inside");
//! assert!((certificate.gamma - 3.0).abs() < 1e-6);
//!
//! // The proof is arithmetic, and it is a rule: what each battery does at the corner (1, 1) of the wanted set.
//! certificate.verify(&wanted, &batteries, 1e-9)?;
//! let parts = certificate.disaggregate(array![1.0, 1.0].view())?;
//! let sum = &parts[0] + &parts[1];
//! assert!((sum - array![4.0, 3.0]).iter().all(|off| off.abs() < 1e-5));
//! # Ok::<(), evflex_polytope::Error>(())
//! ```
//!
//! # Map
//! | sets | |
//! |---|---|
//! | [`HPolytope`] | `{x : A x ≤ b}`: support, membership, images, intersection, product, largest ball, redundancy, vertices, volume, samples |
//! | [`AhPolytope`] | `{x̄ + X ξ : A ξ ≤ a}`: every other set converts into it; Minkowski sums |
//! | [`Zonotope`] | `{c + G ξ : −1 ≤ ξ ≤ 1}`: support without a solver |
//! | [`VPolytope`] | hulls of points: support without a solver, facets |
//!
//! | answers | |
//! |---|---|
//! | [`SupportPoint`] | the value, a maximiser, and multipliers that prove the value |
//! | [`Membership`] | coordinates that show a point inside, or a separating half-space |
//! | [`containment`] | [`Certificate`]s for one set in another or in a sum, largest scales, largest affine images, counterexamples |
//!
//! # Conventions
//! `A x ≤ b`, one inequality per row. Vectors are columns; points in a matrix are rows. Everything is in the unit of the
//! set; a tolerance on points is a distance in that unit, one on certificates is relative. The solver is an argument;
//! data are checked when a set is made, and every question that meets an empty or unbounded set says so.
//!
//! # Limits
//! Vertices, facets and exact volumes grow exponentially and are refused beyond [`vertices::MAX_DIM`] dimensions. Matrices
//! are dense: sums of thousands of sets fit into certificates one by one, not into one [`AhPolytope`]. Affine
//! rules do not reach everything that a sum contains: "not certified" is not "not contained".
//!
//! # Features
//! `serde`: sets, answers and certificates can be stored; sets are checked again when they are read. Off by default.

mod ah_polytope;
pub mod containment;
mod error;
mod h_polytope;
mod linear;
mod membership;
mod redundancy;
mod sample;
mod shape;
mod support;
mod v_polytope;
pub mod vertices;
mod volume;
mod zonotope;

pub use ah_polytope::AhPolytope;
pub use containment::{
    AffineImage, Certificate, Certifier, Condition, Containment, Counterexample, Formulation,
    Scaling, Sensitivity, Shortfall, VerificationReport, certify_containment, certify_in_h,
    certify_scaling, certify_sum_containment, largest_affine_image, scale_in_h,
};
pub use error::Error;
pub use h_polytope::HPolytope;
pub use membership::{Membership, Separation};
pub use shape::Ball;
pub use support::SupportPoint;
pub use v_polytope::VPolytope;
pub use volume::VolumeEstimate;
pub use zonotope::Zonotope;
