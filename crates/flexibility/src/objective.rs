//! Decisions over an aggregate power profile, and the affine minorants that bound them from below.

use std::fmt;

use evflex_solver::{ProblemBuilder, VariableId};
use ndarray::{Array1, ArrayView1};

use crate::error::{Error, check_profile};

/// A decision: which aggregate profile `u` (kW per step) is best?
///
/// | variant | cost | unit |
/// |---|---|---|
/// | `Peak` | `max_t abs(u_t + l_t)` | kW |
/// | `Energy` | `Σ_t π_t u_t δ / 1000` | EUR |
/// | `DemandCharge` | `Σ_t π_t u_t δ / 1000 + r max_t (u_t + l_t)` | EUR |
/// | `Tracking` | `Σ_t w_t (u_t − r_t)²` | kW² times the unit of the weight |
///
/// with `l` the other load at the same connection (kW), `π` the price (EUR/MWh), `δ` the step (h).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Objective {
    /// The largest power at the connection, in either direction (`thanvantri2025`, section 5).
    Peak {
        /// Other load, kW.
        load_kw: Array1<f64>,
    },
    /// The cost of energy at given prices.
    Energy {
        /// Price, EUR/MWh.
        price_eur_per_mwh: Array1<f64>,
    },
    /// Energy plus a charge on the largest power drawn.
    DemandCharge {
        /// Price, EUR/MWh.
        price_eur_per_mwh: Array1<f64>,
        /// Other load, kW.
        load_kw: Array1<f64>,
        /// Charge on the largest power, EUR/kW, not negative.
        rate_eur_per_kw: f64,
    },
    /// The weighted squared distance to a target profile.
    Tracking {
        /// Target of the aggregate, kW.
        target_kw: Array1<f64>,
        /// Weight of each step, not negative.
        weight: Array1<f64>,
    },
}

/// The kind of an [`Objective`], for messages and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ObjectiveKind {
    /// [`Objective::Peak`].
    Peak,
    /// [`Objective::Energy`].
    Energy,
    /// [`Objective::DemandCharge`].
    DemandCharge,
    /// [`Objective::Tracking`].
    Tracking,
}

impl fmt::Display for ObjectiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peak => "peak",
            Self::Energy => "energy",
            Self::DemandCharge => "demand-charge",
            Self::Tracking => "tracking",
        })
    }
}

impl ObjectiveKind {
    /// The unit of the cost.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Peak => "kW",
            Self::Energy | Self::DemandCharge => "EUR",
            Self::Tracking => "kW²",
        }
    }
}

impl Objective {
    /// Which decision this is.
    #[must_use]
    pub fn kind(&self) -> ObjectiveKind {
        match self {
            Self::Peak { .. } => ObjectiveKind::Peak,
            Self::Energy { .. } => ObjectiveKind::Energy,
            Self::DemandCharge { .. } => ObjectiveKind::DemandCharge,
            Self::Tracking { .. } => ObjectiveKind::Tracking,
        }
    }

    /// Checks the data against a number of steps.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`] or [`Error::Domain`] (negative weight or rate).
    pub fn check(&self, steps: usize) -> Result<(), Error> {
        match self {
            Self::Peak { load_kw } => check_profile("load_kw", load_kw.view(), steps),
            Self::Energy { price_eur_per_mwh } => {
                check_profile("price_eur_per_mwh", price_eur_per_mwh.view(), steps)
            }
            Self::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                check_profile("price_eur_per_mwh", price_eur_per_mwh.view(), steps)?;
                check_profile("load_kw", load_kw.view(), steps)?;
                not_negative("rate_eur_per_kw", *rate_eur_per_kw)
            }
            Self::Tracking { target_kw, weight } => {
                check_profile("target_kw", target_kw.view(), steps)?;
                check_profile("weight", weight.view(), steps)?;
                weight
                    .iter()
                    .try_for_each(|&weight| not_negative("a tracking weight", weight))
            }
        }
    }

    /// The cost of the aggregate profile `u` in kW, with steps of `step_hours`.
    ///
    /// # Panics
    /// If a length differs from that of `profile`; [`Objective::check`] finds that first.
    #[must_use]
    pub fn cost(&self, profile: ArrayView1<'_, f64>, step_hours: f64) -> f64 {
        match self {
            Self::Peak { load_kw } => (&profile + load_kw)
                .iter()
                .fold(0.0, |peak, power| f64::max(peak, power.abs())),
            Self::Energy { price_eur_per_mwh } => {
                profile.dot(&cost_per_kw(price_eur_per_mwh, step_hours))
            }
            Self::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                let highest = (&profile + load_kw)
                    .iter()
                    .copied()
                    .fold(f64::NEG_INFINITY, f64::max);
                profile.dot(&cost_per_kw(price_eur_per_mwh, step_hours)) + rate_eur_per_kw * highest
            }
            Self::Tracking { target_kw, weight } => (0..profile.len())
                .map(|t| weight[t] * (profile[t] - target_kw[t]).powi(2))
                .sum(),
        }
    }

    /// Adds the cost of the aggregate powers `u` to a problem: costs on `u`, and what it takes of
    /// further variables and rows.
    pub(crate) fn write(&self, builder: &mut ProblemBuilder, u: &[VariableId], step_hours: f64) {
        match self {
            Self::Energy { price_eur_per_mwh } => {
                add_prices(builder, u, price_eur_per_mwh, step_hours);
            }
            Self::Peak { load_kw } => {
                let peak = builder.variable("peak", 0.0, f64::INFINITY, 1.0);
                for (t, (&u, &load)) in u.iter().zip(load_kw).enumerate() {
                    builder.row(
                        format!("above_{t}"),
                        f64::NEG_INFINITY,
                        [(u, 1.0), (peak, -1.0)],
                        -load,
                    );
                    builder.row(
                        format!("below_{t}"),
                        -load,
                        [(u, 1.0), (peak, 1.0)],
                        f64::INFINITY,
                    );
                }
            }
            Self::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                add_prices(builder, u, price_eur_per_mwh, step_hours);
                let peak =
                    builder.variable("peak", f64::NEG_INFINITY, f64::INFINITY, *rate_eur_per_kw);
                for (t, (&u, &load)) in u.iter().zip(load_kw).enumerate() {
                    builder.row(
                        format!("above_{t}"),
                        f64::NEG_INFINITY,
                        [(u, 1.0), (peak, -1.0)],
                        -load,
                    );
                }
            }
            Self::Tracking { target_kw, weight } => {
                for (t, &u) in u.iter().enumerate() {
                    let difference = builder.variable(
                        format!("difference_{t}"),
                        f64::NEG_INFINITY,
                        f64::INFINITY,
                        0.0,
                    );
                    let target = target_kw[t];
                    builder.row(
                        format!("difference_{t}"),
                        target,
                        [(u, 1.0), (difference, -1.0)],
                        target,
                    );
                    builder.quadratic(difference, difference, weight[t]);
                }
            }
        }
    }

    /// The slope of a minorant nearest to `raw`, the multipliers of a solver at `profile`, which
    /// are right up to its tolerances only.
    pub(crate) fn nearest_slope(
        &self,
        raw: &Array1<f64>,
        profile: ArrayView1<'_, f64>,
        step_hours: f64,
    ) -> Array1<f64> {
        match self {
            Self::Energy { price_eur_per_mwh } => cost_per_kw(price_eur_per_mwh, step_hours),
            Self::Peak { .. } => raw / raw.iter().map(|s| s.abs()).sum::<f64>().max(1.0),
            Self::DemandCharge {
                price_eur_per_mwh,
                rate_eur_per_kw,
                ..
            } => {
                let price = cost_per_kw(price_eur_per_mwh, step_hours);
                let y = (raw - &price).mapv(|y| y.max(0.0));
                let total = y.sum();
                if total > 0.0 {
                    price + y * (*rate_eur_per_kw / total)
                } else {
                    price + *rate_eur_per_kw / profile.len() as f64
                }
            }
            Self::Tracking { target_kw, weight } => 2.0 * weight * (&profile - target_kw),
        }
    }

    /// The size of the terms that costs are computed from when powers are as large as `power_kw`;
    /// differences of costs far below it are rounding.
    pub(crate) fn magnitude(&self, power_kw: f64, step_hours: f64) -> f64 {
        let with = |other: &Array1<f64>| {
            other
                .iter()
                .fold(power_kw, |most, b| f64::max(most, power_kw + b.abs()))
        };
        let energy = |price: &Array1<f64>| -> f64 {
            cost_per_kw(price, step_hours)
                .iter()
                .map(|c| (power_kw * c).abs())
                .sum()
        };
        match self {
            Self::Peak { load_kw } => with(load_kw),
            Self::Energy { price_eur_per_mwh } => energy(price_eur_per_mwh),
            Self::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => energy(price_eur_per_mwh) + rate_eur_per_kw * with(load_kw),
            Self::Tracking { target_kw, weight } => with(target_kw).powi(2) * weight.sum(),
        }
    }

    /// The largest constant `a` with `cost(u) ≥ a + slope · u` for every `u`, or `None` if the
    /// slope bounds nothing (it is outside the domain of the conjugate function).
    ///
    /// `tolerance` is the relative error of `slope` that is accepted as rounding:
    ///
    /// - peak: `‖slope‖₁ ≤ 1`, `a = slope · l`;
    /// - energy: `slope = π δ / 1000`, `a = 0`;
    /// - demand charge: `y = slope − π δ / 1000 ≥ 0`, `Σ y = r`, `a = y · l`;
    /// - tracking: `slope_t = 0` where `w_t = 0`, `a = −Σ (slope_t² / (4 w_t) + slope_t r_t)`.
    #[must_use]
    pub fn minorant_constant(
        &self,
        slope: ArrayView1<'_, f64>,
        step_hours: f64,
        tolerance: f64,
    ) -> Option<f64> {
        let close = |a: f64, b: f64| (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()));
        match self {
            Self::Peak { load_kw } => {
                let norm: f64 = slope.iter().map(|s| s.abs()).sum();
                (norm <= 1.0 + tolerance).then(|| slope.dot(load_kw))
            }
            Self::Energy { price_eur_per_mwh } => {
                let price = cost_per_kw(price_eur_per_mwh, step_hours);
                slope
                    .iter()
                    .zip(&price)
                    .all(|(&s, &c)| close(s, c))
                    .then_some(0.0)
            }
            Self::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                let y = &slope - &cost_per_kw(price_eur_per_mwh, step_hours);
                let valid = y.iter().all(|&y| y >= -tolerance * (1.0 + rate_eur_per_kw))
                    && close(y.sum(), *rate_eur_per_kw);
                valid.then(|| y.dot(load_kw))
            }
            Self::Tracking { target_kw, weight } => {
                let mut constant = 0.0;
                for t in 0..slope.len() {
                    if weight[t] > 0.0 {
                        constant -=
                            slope[t] * slope[t] / (4.0 * weight[t]) + slope[t] * target_kw[t];
                    } else if slope[t].abs() > tolerance {
                        return None;
                    }
                }
                Some(constant)
            }
        }
    }
}

fn add_prices(
    builder: &mut ProblemBuilder,
    u: &[VariableId],
    price_eur_per_mwh: &Array1<f64>,
    step_hours: f64,
) {
    for (&u, price) in u.iter().zip(cost_per_kw(price_eur_per_mwh, step_hours)) {
        builder.set_cost(u, price);
    }
}

/// EUR per kW held for one step.
pub(crate) fn cost_per_kw(price_eur_per_mwh: &Array1<f64>, step_hours: f64) -> Array1<f64> {
    price_eur_per_mwh.mapv(|price| price * step_hours / 1000.0)
}

fn not_negative(what: &'static str, value: f64) -> Result<(), Error> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(Error::Domain {
            what,
            value,
            domain: "a finite number that is not negative",
        })
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of small whole numbers are exact")]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn costs_by_hand() {
        let profile = array![2.0, -3.0];
        let load = array![1.0, -1.0];
        let price = array![100.0, 50.0];
        assert_eq!(
            Objective::Peak {
                load_kw: load.clone()
            }
            .cost(profile.view(), 0.5),
            4.0
        );
        assert!(
            (Objective::Energy {
                price_eur_per_mwh: price.clone()
            }
            .cost(profile.view(), 0.5)
                - 0.025)
                .abs()
                < 1e-15
        );
        let demand = Objective::DemandCharge {
            price_eur_per_mwh: price,
            load_kw: load,
            rate_eur_per_kw: 2.0,
        };
        assert!((demand.cost(profile.view(), 0.5) - 6.025).abs() < 1e-12);
        let tracking = Objective::Tracking {
            target_kw: array![0.0, 0.0],
            weight: array![1.0, 2.0],
        };
        assert_eq!(tracking.cost(profile.view(), 0.5), 22.0);
    }

    #[test]
    fn minorants_touch_and_stay_below() {
        let objective = Objective::Tracking {
            target_kw: array![1.0, -2.0],
            weight: array![0.5, 3.0],
        };
        let at = array![4.0, 1.0];
        let slope = array![2.0 * 0.5 * 3.0, 2.0 * 3.0 * 3.0];
        let constant = objective
            .minorant_constant(slope.view(), 1.0, 1e-9)
            .unwrap();
        assert!((constant + slope.dot(&at) - objective.cost(at.view(), 1.0)).abs() < 1e-12);
        for point in [array![0.0, 0.0], array![-5.0, 9.0], array![1.0, -2.0]] {
            assert!(constant + slope.dot(&point) <= objective.cost(point.view(), 1.0) + 1e-12);
        }
    }

    #[test]
    fn bad_data_is_named() {
        let message = Objective::Peak {
            load_kw: array![0.0, f64::NAN],
        }
        .check(2)
        .unwrap_err()
        .to_string();
        assert_eq!(
            message,
            "load_kw[1] is NaN; every entry must be a finite number"
        );
        let message = Objective::Energy {
            price_eur_per_mwh: array![1.0],
        }
        .check(2)
        .unwrap_err()
        .to_string();
        assert_eq!(
            message,
            "price_eur_per_mwh: expected 2 entries, one per step, found 1"
        );
        let tracking = Objective::Tracking {
            target_kw: array![0.0],
            weight: array![-1.0],
        };
        assert!(
            tracking
                .check(1)
                .unwrap_err()
                .to_string()
                .contains("a tracking weight is -1")
        );
    }
}
