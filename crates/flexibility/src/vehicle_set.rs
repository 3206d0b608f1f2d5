//! The flexibility set of one vehicle.
//!
//! `U = {u : u_lo ≤ u ≤ u_hi, X_lo ≤ L u ≤ X_hi}` with `L` the lower triangle of ones
//! (`thanvantri2025`, eqs. 2 and 3, divided by the step length: sums of powers in kW instead of
//! energies in kWh). Single steps and prefixes form a laminar family, which makes `U` a generalised
//! polymatroid (Mukhi, Loho, Abate 2025, arXiv 2503.23458):
//!
//! ```text
//! U = {u : p(S) ≤ u(S) ≤ b(S) for every set S of steps},   u(S) = Σ_{t ∈ S} u_t.
//! ```

use evflex_fleet::Vehicle;

use ndarray::{Array1, ArrayView1};

use crate::{error::Error, generalized_polymatroid::Permutation};

/// Rounding allowed when a restricted vehicle is checked, kW.
const FEASIBILITY_KW: f64 = 1e-9;

/// Bounds of one lossless vehicle on its power and on the running sum of its power, all in kW.
///
/// Built from a [`Vehicle`], whose energies are divided by the step length. A vehicle that only
/// charges may be lossy: charging `u` stores `η u`, so dividing its energies by `η` as well makes
/// it lossless without any loss of exactness.
#[derive(Clone, Debug, PartialEq)]
pub struct VehicleSet {
    power_min: Vec<f64>,
    power_max: Vec<f64>,
    sum_min: Vec<f64>,
    sum_max: Vec<f64>,
}

/// One of the four bounds of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// On the running sum, from above.
    SumMax,
    /// On the running sum, from below.
    SumMin,
    /// On the power, from above.
    PowerMax,
    /// On the power, from below.
    PowerMin,
}

impl VehicleSet {
    /// The exact set of `vehicle` with steps of `step_hours`.
    ///
    /// # Errors
    /// [`Error::Lossy`] if the vehicle discharges with losses.
    pub fn exact(vehicle: &Vehicle, step_hours: f64) -> Result<Self, Error> {
        if !vehicle.is_lossless() && !vehicle.charges_only() {
            return Err(Error::Lossy {
                vehicle: vehicle.id().to_owned(),
                efficiency: vehicle.efficiency(),
            });
        }
        Ok(Self::lossless(vehicle, step_hours))
    }

    /// An inner set of `vehicle`: the exact one where it exists, otherwise the exact set of the
    /// vehicle that never discharges.
    ///
    /// # Errors
    /// [`Error::MustDischarge`] if a lossy vehicle has no feasible profile without discharging.
    pub fn inner(vehicle: &Vehicle, step_hours: f64) -> Result<Self, Error> {
        if vehicle.is_lossless() || vehicle.charges_only() {
            return Ok(Self::lossless(vehicle, step_hours));
        }
        let must_discharge = |reason: String| Error::MustDischarge {
            vehicle: vehicle.id().to_owned(),
            efficiency: vehicle.efficiency(),
            reason,
        };
        if let Some(t) = vehicle.power_max_kw().iter().position(|&power| power < 0.0) {
            return Err(must_discharge(format!(
                "its largest power in step {t} is {} kW",
                vehicle.power_max_kw()[t]
            )));
        }
        let mut set = Self::lossless(vehicle, step_hours);
        for power in &mut set.power_min {
            *power = power.max(0.0);
        }
        match set.first_impossible_step() {
            Some(t) => Err(must_discharge(format!(
                "its energy bounds cannot be met in step {t} otherwise"
            ))),
            None => Ok(set),
        }
    }

    fn lossless(vehicle: &Vehicle, step_hours: f64) -> Self {
        let per_kw = step_hours * vehicle.efficiency();
        Self {
            power_min: vehicle.power_min_kw().to_vec(),
            power_max: vehicle.power_max_kw().to_vec(),
            sum_min: vehicle
                .energy_min_kwh()
                .iter()
                .map(|energy| energy / per_kw)
                .collect(),
            sum_max: vehicle
                .energy_max_kwh()
                .iter()
                .map(|energy| energy / per_kw)
                .collect(),
        }
    }

    /// The set with these bounds, kW; they are those of a set that was checked.
    pub(crate) fn of_bounds(
        power_min: Vec<f64>,
        power_max: Vec<f64>,
        sum_min: Vec<f64>,
        sum_max: Vec<f64>,
    ) -> Self {
        Self {
            power_min,
            power_max,
            sum_min,
            sum_max,
        }
    }

    /// The first step at which no running sum is possible any more, if there is one.
    fn first_impossible_step(&self) -> Option<usize> {
        let (mut low, mut high) = (0.0, 0.0);
        (0..self.steps()).find(|&t| {
            low = f64::max(low + self.power_min[t], self.sum_min[t]);
            high = f64::min(high + self.power_max[t], self.sum_max[t]);
            low > high + FEASIBILITY_KW
        })
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.power_min.len()
    }

    /// Smallest power in each step, kW.
    #[must_use]
    pub fn power_min(&self) -> &[f64] {
        &self.power_min
    }

    /// Largest power in each step, kW.
    #[must_use]
    pub fn power_max(&self) -> &[f64] {
        &self.power_max
    }

    /// Smallest running sum of power after each step, kW.
    #[must_use]
    pub fn sum_min(&self) -> &[f64] {
        &self.sum_min
    }

    /// Largest running sum of power after each step, kW.
    #[must_use]
    pub fn sum_max(&self) -> &[f64] {
        &self.sum_max
    }

    /// `b(S)` and `p([T] ∖ S)` for the set `S` of the steps with `chosen[t]`, kW, in O(T).
    ///
    /// Walks the prefixes and keeps the largest sum over the chosen steps and the smallest sum over
    /// the others. Each bounds the other through the running sum: what the chosen steps may add is
    /// limited by the upper bound less the least that the others must add, and the other way round.
    ///
    /// # Panics
    /// If `chosen` is shorter than the number of steps.
    #[must_use]
    pub fn set_functions(&self, chosen: &[bool]) -> (f64, f64) {
        let (mut b, mut p) = (0.0, 0.0);
        for t in 0..self.steps() {
            if t > 0 {
                (b, p) = (
                    f64::min(b, self.sum_max[t - 1] - p),
                    f64::max(p, self.sum_min[t - 1] - b),
                );
            }
            if chosen[t] {
                b += self.power_max[t];
            } else {
                p += self.power_min[t];
            }
        }
        let last = self.steps() - 1;
        (
            f64::min(b, self.sum_max[last] - p),
            f64::max(p, self.sum_min[last] - b),
        )
    }

    /// The set without one of its bounds.
    pub(crate) fn without(&self, bound: Bound, t: usize) -> Self {
        let mut set = self.clone();
        match bound {
            Bound::SumMax => set.sum_max[t] = f64::INFINITY,
            Bound::SumMin => set.sum_min[t] = f64::NEG_INFINITY,
            Bound::PowerMax => set.power_max[t] = f64::INFINITY,
            Bound::PowerMin => set.power_min[t] = f64::NEG_INFINITY,
        }
        set
    }

    /// The set whose bounds are the means of the bounds of `sets`; they must have equal lengths.
    pub(crate) fn mean(sets: &[Self]) -> Self {
        let count = sets.len() as f64;
        let mut mean = Self::sum(sets);
        for bounds in [
            &mut mean.power_min,
            &mut mean.power_max,
            &mut mean.sum_min,
            &mut mean.sum_max,
        ] {
            for bound in bounds {
                *bound /= count;
            }
        }
        mean
    }

    /// The set whose bounds are the sums of the bounds of `sets`; they must have equal lengths.
    pub(crate) fn sum(sets: &[Self]) -> Self {
        let steps = sets.first().map_or(0, Self::steps);
        let sum = |bounds: fn(&Self) -> &[f64]| -> Vec<f64> {
            (0..steps)
                .map(|t| sets.iter().map(|set| bounds(set)[t]).sum::<f64>())
                .collect()
        };
        Self {
            power_min: sum(Self::power_min),
            power_max: sum(Self::power_max),
            sum_min: sum(Self::sum_min),
            sum_max: sum(Self::sum_max),
        }
    }

    /// The set with these bounds, which must not exclude each other.
    pub(crate) fn from_bounds(
        power_min: Vec<f64>,
        power_max: Vec<f64>,
        sum_min: Vec<f64>,
        sum_max: Vec<f64>,
    ) -> Self {
        Self {
            power_min,
            power_max,
            sum_min,
            sum_max,
        }
    }

    /// The same set with every bound attained: its support values along single steps and prefixes.
    #[must_use]
    pub fn tightened(&self) -> Self {
        let steps = self.steps();
        let bounds = |chosen: &dyn Fn(usize, usize) -> bool| -> (Vec<f64>, Vec<f64>) {
            (0..steps)
                .map(|t| {
                    let inside: Vec<bool> = (0..steps).map(|s| chosen(s, t)).collect();
                    let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
                    let low = self.set_functions(&outside).1;
                    // Where the sum is fixed, rounding must not put the sides in the wrong order.
                    (low, f64::max(low, self.set_functions(&inside).0))
                })
                .unzip()
        };
        let (power_min, power_max) = bounds(&|s, t| s == t);
        let (sum_min, sum_max) = bounds(&|s, t| s <= t);
        Self {
            power_min,
            power_max,
            sum_min,
            sum_max,
        }
    }

    /// The largest value of `direction · u` over the set, with a maximiser: the greedy algorithm, in
    /// O(T²).
    #[must_use]
    pub fn support(&self, direction: ArrayView1<'_, f64>) -> (f64, Array1<f64>) {
        let permutation = Permutation::maximising(direction);
        let mut vertex = Array1::zeros(self.steps());
        for (steps, take_upper) in [(&permutation.upper, true), (&permutation.lower, false)] {
            let mut chosen = vec![!take_upper; self.steps()];
            let mut before = 0.0;
            for &t in steps {
                chosen[t] = take_upper;
                let (b, p) = self.set_functions(&chosen);
                let value = if take_upper { b } else { p };
                vertex[t] = value - before;
                before = value;
            }
        }
        (direction.dot(&vertex), vertex)
    }

    /// A point well inside: the mean of vertices that reach every bound of single steps and prefixes.
    pub(crate) fn middle(&self) -> Array1<f64> {
        let steps = self.steps();
        let mut middle = Array1::zeros(steps);
        for t in 0..steps {
            for sign in [1.0, -1.0] {
                let single = Array1::from_shape_fn(steps, |s| if s == t { sign } else { 0.0 });
                let prefix = Array1::from_shape_fn(steps, |s| if s <= t { sign } else { 0.0 });
                middle += &self.support(single.view()).1;
                middle += &self.support(prefix.view()).1;
            }
        }
        middle / (4 * steps) as f64
    }

    /// Steps outside which the power is zero: `first..end`, empty if the power is always zero.
    pub(crate) fn window(&self) -> std::ops::Range<usize> {
        let active = |t: &usize| self.power_min[*t] != 0.0 || self.power_max[*t] != 0.0;
        match (0..self.steps()).find(active) {
            Some(first) => {
                first
                    ..(0..self.steps())
                        .rev()
                        .find(active)
                        .map_or(first, |last| last + 1)
            }
            None => 0..0,
        }
    }

    /// Equal sets have equal fingerprints; used to find equal sets quickly, never to decide.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = 0_u64;
        for bounds in [
            &self.power_min,
            &self.power_max,
            &self.sum_min,
            &self.sum_max,
        ] {
            for bound in bounds {
                // + 0.0 makes -0.0 and 0.0, which are equal, the same bits.
                hash = (hash.rotate_left(5) ^ (bound + 0.0).to_bits())
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        hash
    }
}
