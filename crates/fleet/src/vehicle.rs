//! One vehicle as bounds on power and energy over the grid.

use crate::error::{Error, finite, within};
use crate::time_grid::TimeGrid;
use serde::{Deserialize, Serialize};

/// One vehicle: what its power and its net energy may be in every step.
///
/// With p the power in kW (positive = charging), δ the step in h, η the one-way efficiency and
///
/// ```text
/// x[t] = Σ_{s ≤ t} δ (η p⁺[s] − p⁻[s] / η),      p⁺ = max(p, 0), p⁻ = max(−p, 0),
/// ```
///
/// the net energy stored since the first step, a profile is allowed if for every step t
///
/// ```text
/// power_min_kw[t] ≤ p[t] ≤ power_max_kw[t],      energy_min_kwh[t] ≤ x[t] ≤ energy_max_kwh[t].
/// ```
///
/// η = 1 is the model of `thanvantri2025`, eq. (1) and (2). Because x is net energy since the
/// first step, a battery that holds 12 of 40 kWh at the start has bounds −12 and 28 kWh.
///
/// | field | length | unit |
/// |---|---|---|
/// | `power_min_kw`, `power_max_kw` | T | kW, mean over the step |
/// | `energy_min_kwh`, `energy_max_kwh` | T | kWh, at the end of the step |
///
/// ```
/// use evflex_fleet::{Hours, TimeGrid, Vehicle};
/// // Plugged in for two of three hours, 10 kWh needed at departure.
/// let vehicle = Vehicle::new(
///     "ev-0",
///     vec![0.0; 3],
///     vec![7.0, 7.0, 0.0],
///     vec![0.0, 10.0, 10.0],
///     vec![10.0; 3],
/// )?;
/// vehicle.check(&TimeGrid::new(3, Hours(1.0))?)?;
/// assert!(vehicle.charges_only());
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawVehicle", into = "RawVehicle")]
pub struct Vehicle {
    id: String,
    power_min_kw: Vec<f64>,
    power_max_kw: Vec<f64>,
    energy_min_kwh: Vec<f64>,
    energy_max_kwh: Vec<f64>,
    efficiency: f64,
}

/// What a vehicle looks like in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVehicle {
    id: String,
    power_min_kw: Vec<f64>,
    power_max_kw: Vec<f64>,
    energy_min_kwh: Vec<f64>,
    energy_max_kwh: Vec<f64>,
    #[serde(default = "lossless", skip_serializing_if = "is_one")]
    efficiency: f64,
}

fn lossless() -> f64 {
    1.0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_one(efficiency: &f64) -> bool {
    (*efficiency - 1.0).abs() == 0.0
}

impl TryFrom<RawVehicle> for Vehicle {
    type Error = Error;
    fn try_from(raw: RawVehicle) -> Result<Self, Error> {
        Self::new(
            raw.id,
            raw.power_min_kw,
            raw.power_max_kw,
            raw.energy_min_kwh,
            raw.energy_max_kwh,
        )?
        .with_efficiency(raw.efficiency)
    }
}

impl From<Vehicle> for RawVehicle {
    fn from(vehicle: Vehicle) -> Self {
        Self {
            id: vehicle.id,
            power_min_kw: vehicle.power_min_kw,
            power_max_kw: vehicle.power_max_kw,
            energy_min_kwh: vehicle.energy_min_kwh,
            energy_max_kwh: vehicle.energy_max_kwh,
            efficiency: vehicle.efficiency,
        }
    }
}

impl Vehicle {
    /// How far, relative to `1 + |bound|` and in kWh, a net energy may miss a bound in
    /// [`Vehicle::check`] before the vehicle is called impossible: room for rounding only.
    pub const REACH_TOLERANCE: f64 = 1e-9;

    /// A lossless vehicle with these bounds, one entry per step.
    ///
    /// # Errors
    /// [`Error::Length`] if the vectors are empty or differ in length; [`Error::NotFinite`] for a
    /// NaN or an infinite bound (a missing bound is a large one: give the capacity or the plug's
    /// power); [`Error::CrossedBounds`] if a lower bound exceeds its upper bound.
    pub fn new(
        id: impl Into<String>,
        power_min_kw: Vec<f64>,
        power_max_kw: Vec<f64>,
        energy_min_kwh: Vec<f64>,
        energy_max_kwh: Vec<f64>,
    ) -> Result<Self, Error> {
        let id = id.into();
        let steps = power_min_kw.len();
        let fields = [
            ("power_min_kw", &power_min_kw),
            ("power_max_kw", &power_max_kw),
            ("energy_min_kwh", &energy_min_kwh),
            ("energy_max_kwh", &energy_max_kwh),
        ];
        for (name, values) in fields {
            if values.is_empty() || values.len() != steps {
                return Err(Error::Length {
                    what: format!("{name} of vehicle `{id}`"),
                    expected: steps.max(1),
                    found: values.len(),
                });
            }
            for (step, &value) in values.iter().enumerate() {
                finite(|| format!("{name}[{step}] of vehicle `{id}`"), value)?;
            }
        }
        for step in 0..steps {
            let pairs = [
                ("power", "kW", power_min_kw[step], power_max_kw[step]),
                ("energy", "kWh", energy_min_kwh[step], energy_max_kwh[step]),
            ];
            for (quantity, unit, min, max) in pairs {
                if min > max {
                    return Err(Error::CrossedBounds {
                        vehicle: id,
                        quantity,
                        unit,
                        step,
                        min,
                        max,
                    });
                }
            }
        }
        Ok(Self {
            id,
            power_min_kw,
            power_max_kw,
            energy_min_kwh,
            energy_max_kwh,
            efficiency: 1.0,
        })
    }

    /// The same vehicle with one-way efficiency η, applied to charging and discharging alike:
    /// a round trip keeps η².
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `0 < one_way ≤ 1`.
    pub fn with_efficiency(mut self, one_way: f64) -> Result<Self, Error> {
        self.efficiency = within(
            || format!("efficiency of vehicle `{}`", self.id),
            one_way,
            |eta| eta > 0.0 && eta <= 1.0,
            "above 0 and at most 1 (a fraction)",
        )?;
        Ok(self)
    }

    /// The vehicle's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of steps T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.power_min_kw.len()
    }

    /// Least power per step, kW; negative where the vehicle may feed the grid.
    #[must_use]
    pub fn power_min_kw(&self) -> &[f64] {
        &self.power_min_kw
    }

    /// Largest power per step, kW.
    #[must_use]
    pub fn power_max_kw(&self) -> &[f64] {
        &self.power_max_kw
    }

    /// Least net energy at the end of each step, kWh.
    #[must_use]
    pub fn energy_min_kwh(&self) -> &[f64] {
        &self.energy_min_kwh
    }

    /// Largest net energy at the end of each step, kWh.
    #[must_use]
    pub fn energy_max_kwh(&self) -> &[f64] {
        &self.energy_max_kwh
    }

    /// One-way efficiency η in (0, 1].
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        self.efficiency
    }

    /// Whether η = 1: only then is the exact aggregate set a generalised polymatroid.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        is_one(&self.efficiency)
    }

    /// Whether the vehicle never feeds the grid: `power_min_kw ≥ 0` in every step.
    #[must_use]
    pub fn charges_only(&self) -> bool {
        self.power_min_kw.iter().all(|&power| power >= 0.0)
    }

    /// The rate in kW at which the battery gains energy at a power at the meter:
    /// `η p⁺ − p⁻ / η`.
    #[must_use]
    pub fn stored_rate_kw(&self, power_kw: f64) -> f64 {
        if power_kw >= 0.0 {
            self.efficiency * power_kw
        } else {
            power_kw / self.efficiency
        }
    }

    /// Whether some power profile on `grid` satisfies all bounds.
    ///
    /// The net energies that can be reached at the end of step t form an interval,
    /// `R[t] = (R[t−1] + δ [g(power_min), g(power_max)]) ∩ [energy_min, energy_max]` with
    /// `R[−1] = {0}` and g the stored rate. The vehicle is possible if and only if no `R[t]` is
    /// empty, which one pass decides. A miss of at most [`Vehicle::REACH_TOLERANCE`] counts as
    /// rounding.
    ///
    /// # Errors
    /// [`Error::ImpossibleVehicle`] names the vehicle, the first step at which `R[t]` is empty,
    /// what can be reached and what is asked; [`Error::Length`] if the vehicle and the grid have
    /// different numbers of steps.
    pub fn check(&self, grid: &TimeGrid) -> Result<(), Error> {
        if self.steps() != grid.steps() {
            return Err(Error::Length {
                what: format!("bounds of vehicle `{}`", self.id),
                expected: grid.steps(),
                found: self.steps(),
            });
        }
        let delta = grid.step_hours();
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for step in 0..self.steps() {
            low += delta * self.stored_rate_kw(self.power_min_kw[step]);
            high += delta * self.stored_rate_kw(self.power_max_kw[step]);
            let (energy_min, energy_max) = (self.energy_min_kwh[step], self.energy_max_kwh[step]);
            let slack = |bound: f64| Self::REACH_TOLERANCE * (1.0 + bound.abs());
            if high < energy_min - slack(energy_min) || low > energy_max + slack(energy_max) {
                return Err(Error::ImpossibleVehicle {
                    vehicle: self.id.clone(),
                    step,
                    reach_min: low,
                    reach_max: high,
                    energy_min,
                    energy_max,
                });
            }
            // Within the tolerance the interval collapses onto the bound that was missed.
            low = low.clamp(energy_min, energy_max);
            high = high.clamp(energy_min, energy_max);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    fn grid(steps: usize) -> TimeGrid {
        TimeGrid::new(steps, Hours(1.0)).expect("a grid")
    }

    fn vehicle(power: [f64; 2], energy_min: &[f64], energy_max: &[f64]) -> Vehicle {
        let steps = energy_min.len();
        Vehicle::new(
            "a",
            vec![power[0]; steps],
            vec![power[1]; steps],
            energy_min.to_vec(),
            energy_max.to_vec(),
        )
        .expect("a vehicle")
    }

    #[test]
    fn bad_bounds_are_named() {
        let text = |result: Result<Vehicle, Error>| result.expect_err("refused").to_string();
        insta::assert_snapshot!(
            text(Vehicle::new("a", vec![], vec![], vec![], vec![])),
            @"power_min_kw of vehicle `a` must have 1 entries, found 0"
        );
        insta::assert_snapshot!(
            text(Vehicle::new("a", vec![0.0; 2], vec![1.0; 3], vec![0.0; 2], vec![1.0; 2])),
            @"power_max_kw of vehicle `a` must have 2 entries, found 3"
        );
        insta::assert_snapshot!(
            text(Vehicle::new("a", vec![0.0], vec![1.0], vec![f64::NAN], vec![1.0])),
            @"energy_min_kwh[0] of vehicle `a` must be a finite number, found NaN"
        );
        insta::assert_snapshot!(
            text(Vehicle::new("a", vec![0.0, 2.0], vec![1.0; 2], vec![0.0; 2], vec![1.0; 2])),
            @"vehicle `a`, step 1: the smallest power 2 kW exceeds the largest 1 kW"
        );
        insta::assert_snapshot!(
            text(vehicle([0.0, 1.0], &[0.0], &[1.0]).with_efficiency(0.0)),
            @"efficiency of vehicle `a` must be above 0 and at most 1 (a fraction), found 0"
        );
    }

    #[test]
    fn an_impossible_vehicle_says_where_and_why() {
        let late = vehicle([0.0, 3.0], &[0.0, 0.0, 10.0], &[10.0; 3]);
        insta::assert_snapshot!(
            late.check(&grid(3)).expect_err("impossible"),
            @"vehicle `a` is impossible at step 2: its net energy can reach 0 to 9 kWh there, but 10 to 10 kWh is asked for"
        );
        // Possible up to step 1; the cap of step 1 makes step 2 impossible.
        let capped = vehicle([0.0, 3.0], &[0.0, 0.0, 7.0], &[10.0, 3.5, 10.0]);
        assert!(matches!(
            capped.check(&grid(3)),
            Err(Error::ImpossibleVehicle { step: 2, reach_max, .. }) if (reach_max - 6.5).abs() < 1e-12
        ));
        let forced = vehicle([2.0, 3.0], &[-1.0, -1.0], &[3.0, 3.0]);
        assert!(matches!(
            forced.check(&grid(2)),
            Err(Error::ImpossibleVehicle { step: 1, .. })
        ));
        assert!(matches!(
            late.check(&grid(4)),
            Err(Error::Length {
                expected: 4,
                found: 3,
                ..
            })
        ));
    }

    #[test]
    fn losses_count_in_what_can_be_reached() {
        let exact = vehicle([0.0, 4.0], &[0.0, 8.0], &[8.0, 8.0]);
        assert!(exact.check(&grid(2)).is_ok());
        let lossy = exact.with_efficiency(0.9).expect("an efficiency");
        assert!(matches!(
            lossy.check(&grid(2)),
            Err(Error::ImpossibleVehicle { reach_max, .. }) if (reach_max - 7.2).abs() < 1e-12
        ));
        assert!((lossy.stored_rate_kw(-9.0) + 10.0).abs() < 1e-12);
    }

    #[test]
    fn json_checks_what_the_constructor_checks() {
        let text = r#"{"id":"a","power_min_kw":[2],"power_max_kw":[1],"energy_min_kwh":[0],"energy_max_kwh":[1]}"#;
        assert!(serde_json::from_str::<Vehicle>(text).is_err());
        let text = text.replace("[2]", "[-1]");
        let vehicle: Vehicle = serde_json::from_str(&text).expect("a vehicle");
        assert!(!vehicle.charges_only());
        assert!(vehicle.is_lossless());
        let back = serde_json::to_string(&vehicle).expect("serialises");
        assert!(!back.contains("efficiency"));
    }
}
