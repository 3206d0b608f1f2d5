//! One lossy battery, with its bounds drawn in to what can be reached.

use std::collections::HashMap;

use evflex_fleet::{Fleet, Vehicle};
use ndarray::{Array1, ArrayView1};

use crate::vehicle_set::VehicleSet;

/// Powers below this share of the largest one are zero up to rounding, which decides whether a sign is fixed.
const ROUNDING: f64 = 1e-12;

/// Bounds in kW: on the power of every step, and on the sum of the stored rates `g(u)` (net energy over step length).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LossyBattery {
    pub efficiency: f64,
    /// Powers that some profile of the vehicle has.
    pub power_min: Vec<f64>,
    pub power_max: Vec<f64>,
    /// Bounds on the running sum as given.
    pub sum_min: Vec<f64>,
    pub sum_max: Vec<f64>,
    /// Running sums that some profile of the vehicle has.
    pub reach_min: Vec<f64>,
    pub reach_max: Vec<f64>,
    /// Whether the upper bound on the running sum can be exceeded from what is allowed in the step before.
    pub can_overflow: Vec<bool>,
}

/// How a step turns power into stored rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Law {
    /// `q = factor · u`: the sign of the power is fixed, or there are no losses.
    Linear(f64),
    /// `q ≤ min(η u, u / η)` and `q ≥ offset + slope · u`, the chord.
    Hull { slope: f64, offset: f64 },
}

impl LossyBattery {
    pub fn new(vehicle: &Vehicle, step_hours: f64) -> Self {
        let steps = vehicle.steps();
        let efficiency = vehicle.efficiency();
        let per_hour = |energy: &[f64]| -> Vec<f64> {
            energy.iter().map(|energy| energy / step_hours).collect()
        };
        let mut battery = Self {
            efficiency,
            power_min: vehicle.power_min_kw().to_vec(),
            power_max: vehicle.power_max_kw().to_vec(),
            sum_min: per_hour(vehicle.energy_min_kwh()),
            sum_max: per_hour(vehicle.energy_max_kwh()),
            reach_min: vec![0.0; steps],
            reach_max: vec![0.0; steps],
            can_overflow: vec![false; steps],
        };
        battery.draw_in();
        battery
    }

    pub fn steps(&self) -> usize {
        self.power_min.len()
    }

    /// `g(u) = min(η u, u / η)`.
    pub fn stored(&self, power: f64) -> f64 {
        (self.efficiency * power).min(power / self.efficiency)
    }

    /// `g⁻¹(q) = max(q / η, η q)`.
    pub fn power_of(&self, rate: f64) -> f64 {
        (rate / self.efficiency).max(rate * self.efficiency)
    }

    /// Forward and backward passes over what the running sum can be; then the powers between two steps.
    fn draw_in(&mut self) {
        let steps = self.steps();
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for t in 0..steps {
            low += self.stored(self.power_min[t]);
            high += self.stored(self.power_max[t]);
            self.can_overflow[t] = high > self.sum_max[t];
            // Bounds that are missed by rounding collapse onto the bound.
            low = low.max(self.sum_min[t]).min(self.sum_max[t]);
            high = high.min(self.sum_max[t]).max(self.sum_min[t]);
            (self.reach_min[t], self.reach_max[t]) = (low, high);
        }
        for t in (0..steps.saturating_sub(1)).rev() {
            let low = self.reach_min[t + 1] - self.stored(self.power_max[t + 1]);
            let high = self.reach_max[t + 1] - self.stored(self.power_min[t + 1]);
            let (before_low, before_high) = (self.reach_min[t], self.reach_max[t]);
            self.reach_min[t] = low.max(before_low).min(before_high);
            self.reach_max[t] = high.min(before_high).max(self.reach_min[t]);
        }
        let largest = self
            .power_min
            .iter()
            .chain(&self.power_max)
            .fold(0.0, |most, power| f64::max(most, power.abs()));
        let snapped = |power: f64| {
            if power.abs() <= ROUNDING * largest {
                0.0
            } else {
                power
            }
        };
        let (mut before_low, mut before_high) = (0.0, 0.0);
        for t in 0..steps {
            let (given_low, given_high) = (self.power_min[t], self.power_max[t]);
            let low = self.power_of(self.reach_min[t] - before_high);
            let high = self.power_of(self.reach_max[t] - before_low);
            self.power_min[t] = snapped(low.max(given_low).min(given_high));
            self.power_max[t] = snapped(high.min(given_high).max(self.power_min[t]));
            (before_low, before_high) = (self.reach_min[t], self.reach_max[t]);
        }
    }

    pub fn law(&self, t: usize) -> Law {
        let (low, high) = (self.power_min[t], self.power_max[t]);
        if low >= 0.0 {
            Law::Linear(self.efficiency)
        } else if high <= 0.0 {
            Law::Linear(1.0 / self.efficiency)
        } else if self.efficiency >= 1.0 {
            Law::Linear(1.0)
        } else {
            let slope = (self.stored(high) - self.stored(low)) / (high - low);
            Law::Hull {
                slope,
                offset: self.stored(low) - slope * low,
            }
        }
    }

    /// Whether the set is convex as it stands.
    pub fn is_linear(&self) -> bool {
        (0..self.steps()).all(|t| matches!(self.law(t), Law::Linear(_)))
    }

    /// The largest value of `direction · u` over the outer set of this battery, with a maximiser.
    ///
    /// For a fixed direction the best power for a stored rate `q` is concave and piecewise linear in `q`, with one or two pieces a
    /// step; bounds on running sums over pieces are a laminar family, so the greedy algorithm of lossless
    /// vehicles answers with pieces for steps.
    pub fn outer_support(&self, direction: ArrayView1<'_, f64>) -> (f64, Array1<f64>) {
        let steps = self.steps();
        let capacity = 2 * steps;
        let mut weights = Vec::with_capacity(capacity);
        let (mut low, mut high) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let (mut sum_min, mut sum_max) =
            (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        for t in 0..steps {
            let (rate_min, rate_max) = (
                self.stored(self.power_min[t]),
                self.stored(self.power_max[t]),
            );
            let mut piece = |weight: f64, from: f64, to: f64| {
                weights.push(weight);
                low.push(from);
                high.push(to);
                sum_min.push(f64::NEG_INFINITY);
                sum_max.push(f64::INFINITY);
            };
            match self.law(t) {
                Law::Linear(factor) => piece(direction[t] / factor, rate_min, rate_max),
                Law::Hull { slope, .. } if direction[t] > 0.0 => {
                    piece(direction[t] / slope, rate_min, rate_max);
                }
                Law::Hull { .. } => {
                    piece(direction[t] * self.efficiency, rate_min, 0.0);
                    piece(direction[t] / self.efficiency, 0.0, rate_max);
                }
            }
            if let (Some(min), Some(max)) = (sum_min.last_mut(), sum_max.last_mut()) {
                (*min, *max) = (self.reach_min[t], self.reach_max[t]);
            }
        }
        let rates = VehicleSet::from_bounds(low, high, sum_min, sum_max)
            .support(ArrayView1::from(&weights))
            .1;
        let mut next = rates.iter();
        let mut take = || next.next().copied().unwrap_or(0.0);
        let profile: Array1<f64> = (0..steps)
            .map(|t| match self.law(t) {
                Law::Linear(factor) => take() / factor,
                Law::Hull { slope, offset } if direction[t] > 0.0 => (take() - offset) / slope,
                Law::Hull { .. } => take() * self.efficiency + take() / self.efficiency,
            })
            .collect();
        (direction.dot(&profile), profile)
    }

    /// Equal batteries with equal factors have equal keys.
    fn key(&self, factors: &[f64]) -> Vec<u64> {
        [self.efficiency]
            .iter()
            .chain(&self.power_min)
            .chain(&self.power_max)
            .chain(&self.sum_min)
            .chain(&self.sum_max)
            .chain(factors)
            .map(|value| (value + 0.0).to_bits())
            .collect()
    }
}

/// A fleet's batteries, equal ones once.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    pub batteries: Vec<LossyBattery>,
    /// One row of majorant factors per class; empty for outer sets, which need none.
    pub factors: Vec<Vec<f64>>,
    pub multiplicity: Vec<f64>,
    pub class_of_vehicle: Vec<usize>,
}

impl Classes {
    /// Batteries of `fleet` with `factors` for each, one row per vehicle.
    pub fn new(fleet: &Fleet, factors: impl Fn(usize, &LossyBattery) -> Vec<f64>) -> Self {
        let mut known: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut classes = Self {
            batteries: Vec::new(),
            factors: Vec::new(),
            multiplicity: Vec::new(),
            class_of_vehicle: Vec::with_capacity(fleet.len()),
        };
        for (index, vehicle) in fleet.vehicles().iter().enumerate() {
            let battery = LossyBattery::new(vehicle, fleet.step_hours());
            let factors = factors(index, &battery);
            let class = *known.entry(battery.key(&factors)).or_insert_with(|| {
                classes.batteries.push(battery);
                classes.factors.push(factors);
                classes.multiplicity.push(0.0);
                classes.batteries.len() - 1
            });
            classes.multiplicity[class] += 1.0;
            classes.class_of_vehicle.push(class);
        }
        classes
    }

    pub fn is_exact(&self) -> bool {
        self.batteries.iter().all(LossyBattery::is_linear)
    }
}
