//! The part of a problem that vehicles share: what energy costs, and the limits of groups.
//!
//! Every vehicle belongs to one *price list*: that of its group, or that of the vehicles in no group. `X_gk` is the energy
//! that the vehicles of list g draw in step k, kWh.

use crate::problem::SchedulingProblem;

/// Costs and limits of a problem, per step, in kWh at the grid.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub steps: usize,
    /// Number of price lists.
    pub lists: usize,
    /// Price list of every vehicle.
    pub list_of: Vec<usize>,
    /// Least and largest `X_gk`, list by list: limits of the group, and what its vehicles can.
    pub lower: Vec<Vec<f64>>,
    pub upper: Vec<Vec<f64>>,
    pub volume: Vec<f64>,
    /// `f_k(E) = offset + max(low E, high E)`, convex; the cost itself or, where that is concave, its envelope.
    low: Vec<f64>,
    high: Vec<f64>,
    offset: Vec<f64>,
}

impl Market {
    pub fn new(problem: &SchedulingProblem) -> Self {
        let steps = problem.steps();
        let step_hours = problem.grid().step_hours();
        let groups = problem.groups();
        let count = problem.vehicles().len();
        let mut list_of = vec![groups.len(); count];
        for (index, group) in groups.iter().enumerate() {
            for &vehicle in &group.vehicles {
                list_of[vehicle] = index;
            }
        }
        let ungrouped = list_of.contains(&groups.len());
        let lists = groups.len() + usize::from(ungrouped);
        let mut lower = vec![vec![0.0; steps]; lists];
        let mut upper = vec![vec![0.0; steps]; lists];
        for (vehicle, &list) in list_of.iter().enumerate() {
            for k in 0..steps {
                let (charge, discharge) = problem.step_energy(vehicle, k);
                upper[list][k] += charge;
                lower[list][k] -= discharge;
            }
        }
        for (list, group) in groups.iter().enumerate() {
            for k in 0..steps {
                upper[list][k] = upper[list][k].min(group.charge_limit_kw * step_hours);
                lower[list][k] = lower[list][k].max(-group.discharge_limit_kw * step_hours);
            }
        }
        let volume = problem.volume_kwh().to_vec();
        let mut low: Vec<f64> = problem
            .surplus_cost_eur_per_kwh()
            .iter()
            .map(|s| -s)
            .collect();
        let mut high = problem.price_eur_per_kwh().to_vec();
        let mut offset = vec![0.0; steps];
        for k in 0..steps {
            if low[k] > high[k] {
                let reach =
                    |bound: &[Vec<f64>]| volume[k] + bound.iter().map(|list| list[k]).sum::<f64>();
                let (from, to) = (reach(&lower), reach(&upper));
                let (cost_from, cost_to) =
                    (problem.step_cost_eur(k, from), problem.step_cost_eur(k, to));
                let slope = if to > from {
                    (cost_to - cost_from) / (to - from)
                } else {
                    high[k]
                };
                offset[k] = cost_from - slope * from;
                (low[k], high[k]) = (slope, slope);
            }
        }
        Self {
            steps,
            lists,
            list_of,
            lower,
            upper,
            volume,
            low,
            high,
            offset,
        }
    }

    /// Marginal costs of a little less and a little more energy in step k, EUR/kWh, where E is bought.
    pub fn slopes(&self, step: usize, bought: f64) -> (f64, f64) {
        let at_kink = bought.abs() <= KINK_KWH;
        let left = if bought > 0.0 && !at_kink {
            self.high[step]
        } else {
            self.low[step]
        };
        let right = if bought < 0.0 && !at_kink {
            self.low[step]
        } else {
            self.high[step]
        };
        (left, right)
    }

    /// The slopes of the cost of a step, EUR/kWh.
    pub fn slope_range(&self, step: usize) -> (f64, f64) {
        (self.low[step], self.high[step])
    }

    /// The largest size of a price.
    pub fn price_scale(&self) -> f64 {
        self.low
            .iter()
            .chain(&self.high)
            .fold(0.0_f64, |scale, slope| scale.max(slope.abs()))
    }

    /// What the vehicles can draw together in a step, kWh, over all steps the most.
    pub fn energy_scale(&self) -> f64 {
        (0..self.steps)
            .map(|k| {
                let most = self.upper.iter().map(|list| list[k]).sum::<f64>();
                let least = self.lower.iter().map(|list| -list[k]).sum::<f64>();
                most.max(least)
            })
            .fold(0.0, f64::max)
    }

    /// `Σ_k min_Q { f_k(v_k + Σ_g Q_g) − Σ_g π_gk Q_g : lower ≤ Q ≤ upper }`: what the market side adds to the dual bound.
    ///
    /// By duality it is, per step, the largest over y between the slopes of `y v + Σ_g min_Q (y − π_g) Q`, which is
    /// concave and piecewise linear in y, so that y is a slope or one of the prices.
    pub fn conjugate(&self, prices: &[Vec<f64>]) -> f64 {
        let mut sum = 0.0;
        for k in 0..self.steps {
            let value = |y: f64| {
                let lists = 0..self.lists;
                let margin: f64 = lists
                    .map(|g| {
                        let price = y - prices[g][k];
                        (price * self.lower[g][k]).min(price * self.upper[g][k])
                    })
                    .sum();
                self.offset[k] + y * self.volume[k] + margin
            };
            let (low, high) = (self.low[k], self.high[k]);
            let mut best = value(low).max(value(high));
            for list in prices {
                if list[k] > low && list[k] < high {
                    best = best.max(value(list[k]));
                }
            }
            sum += best;
        }
        sum
    }

    /// The gradient of `min_Q f_k(v + ΣQ) + Σ_g [π̂_g (X_g − Q_g) + t/2 (X_g − Q_g)²]` in X, over Q within its limits:
    /// prices that answer to what the vehicles draw. Written into `prices[g]`.
    pub fn proximal_prices(
        &self,
        step: usize,
        drawn: impl Fn(usize) -> f64,
        center: impl Fn(usize) -> f64,
        weight: f64,
        prices: &mut [f64],
    ) {
        let quantity = |g: usize, y: f64| {
            (drawn(g) + (center(g) - y) / weight).clamp(self.lower[g][step], self.upper[g][step])
        };
        let bought =
            |y: f64| self.volume[step] + (0..self.lists).map(|g| quantity(g, y)).sum::<f64>();
        let (mut low, mut high) = (self.low[step], self.high[step]);
        let y = if bought(high) >= 0.0 {
            high
        } else if bought(low) <= 0.0 {
            low
        } else if self.lists == 1 {
            // The kink: Q = −v, inside the limits because the ends are on both sides of it.
            center(0) + weight * (drawn(0) + self.volume[step])
        } else {
            for _ in 0..BISECTIONS {
                let middle = 0.5 * (low + high);
                if bought(middle) > 0.0 {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            0.5 * (low + high)
        };
        for (g, price) in prices.iter_mut().enumerate() {
            *price = center(g) + weight * (drawn(g) - quantity(g, y));
        }
    }
}

/// Energies closer to zero than this are at the kink of the cost, kWh.
pub(crate) const KINK_KWH: f64 = 1e-9;
/// Halvings of an interval of prices; the rest is 10⁻¹² of it.
const BISECTIONS: usize = 40;
