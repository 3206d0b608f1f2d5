//! Polytopes: support, membership, Minkowski sums, volumes and samples, and containment answers that carry a
//! certificate which a few lines of arithmetic check.
mod ah_polytope;
pub mod containment;
mod error;
mod h_polytope;
mod linear;
mod membership;
mod redundancy;
mod shape;
mod support;
mod v_polytope;
mod zonotope;

pub use ah_polytope::AhPolytope;
pub use containment::{
    Certificate, Certifier, Condition, Containment, Counterexample, Formulation, Scaling,
    Sensitivity, Shortfall, VerificationReport, certify_containment, certify_in_h, certify_scaling,
    certify_sum_containment, scale_in_h,
};
pub use error::Error;
pub use h_polytope::HPolytope;
pub use membership::{Membership, Separation};
pub use shape::Ball;
pub use support::SupportPoint;
pub use v_polytope::VPolytope;
pub use zonotope::Zonotope;
