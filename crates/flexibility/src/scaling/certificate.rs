//! The proof of an exact scaling, and the arithmetic that checks it.

use ndarray::ArrayView1;

use super::{
    ExactScaler, InnerPolytope, check_belongs,
    modular_bound::{DualVector, ModularBound},
};
use crate::{aggregate_set::Side, error::Error, fleet_polymatroid::FleetPolymatroid};

/// `γF + Δ ⊆ U`, with what proves it.
///
/// Each dual vector bounds `h_F` over all subsets at once (module documentation of the scaling); the
/// vectors together keep `γ h_F` within the room of `U` in every direction.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SweepCertificate {
    /// The scaling γ that is certified.
    pub gamma: f64,
    /// Dual vectors for directions `1_S`.
    pub upper: Vec<DualVector>,
    /// Dual vectors for directions `−1_S`.
    pub lower: Vec<DualVector>,
}

/// What the arithmetic says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verification {
    /// Every stated inequality holds within the tolerance.
    Confirmed,
    /// Some inequality does not.
    Refused {
        /// The largest relative violation.
        largest_violation: f64,
    },
}

impl SweepCertificate {
    /// Recomputes the proof by arithmetic: for every subset and side some dual vector keeps `γ h_F`
    /// within the room that `U` leaves, up to `tolerance` relative to the size of the room.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`], [`Error::Length`] or [`Error::Rows`] if certificate, set and fleet do
    /// not belong together, [`Error::Domain`] for a multiplier that is negative or not a number.
    pub fn verify(
        &self,
        fleet: &FleetPolymatroid,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
        tolerance: f64,
    ) -> Result<Verification, Error> {
        ExactScaler::new(fleet)?.verify(self, set, centre, tolerance)
    }

    fn check(&self, set: &InnerPolytope) -> Result<(), Error> {
        for dual in self.upper.iter().chain(&self.lower) {
            let most = dual.rows.iter().max().map_or(0, |&row| row as usize + 1);
            if dual.rows.len() != dual.values.len() || most > set.offsets().len() {
                return Err(Error::Rows {
                    what: "multipliers",
                    expected: set.offsets().len(),
                    found: most.max(dual.values.len()),
                });
            }
            if let Some(&value) = dual.values.iter().find(|y| !(y.is_finite() && **y >= 0.0)) {
                return Err(Error::Domain {
                    what: "a multiplier",
                    value,
                    domain: "a finite number that is not negative",
                });
            }
        }
        if !(self.gamma.is_finite() && self.gamma >= 0.0) {
            return Err(Error::Domain {
                what: "gamma",
                value: self.gamma,
                domain: "a finite number that is not negative",
            });
        }
        Ok(())
    }
}

impl ExactScaler {
    /// [`SweepCertificate::verify`] with the set functions of this fleet.
    ///
    /// # Errors
    /// Those of [`SweepCertificate::verify`].
    pub fn verify(
        &self,
        certificate: &SweepCertificate,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
        tolerance: f64,
    ) -> Result<Verification, Error> {
        check_belongs(set, centre, self.steps())?;
        certificate.check(set)?;
        let gamma = certificate.gamma;
        let mut largest = f64::NEG_INFINITY;
        for (side, duals) in [
            (Side::Upper, &certificate.upper),
            (Side::Lower, &certificate.lower),
        ] {
            // The bounds of the box alone need no multipliers.
            let bounds: Vec<ModularBound> = std::iter::once(&DualVector::default())
                .chain(duals)
                .map(|dual| ModularBound::new(set, dual, side))
                .collect();
            let violation = |bound: f64, room: f64| (gamma * bound - room) / (1.0 + room.abs());
            // Neighbours in the order of the sweep are proven by the same or a near vector: go on from
            // the one that worked last.
            let mut at = 0;
            for (position, room) in self.rooms_in_gray_order(centre, side) {
                let mut least = f64::INFINITY;
                for _ in 0..bounds.len() {
                    least = least.min(violation(bounds[at].at(position), room));
                    if least <= tolerance {
                        break;
                    }
                    at = (at + 1) % bounds.len();
                }
                largest = largest.max(least);
            }
        }
        Ok(if largest <= tolerance {
            Verification::Confirmed
        } else {
            Verification::Refused {
                largest_violation: largest,
            }
        })
    }
}
