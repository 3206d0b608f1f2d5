//! The dual of a scheduling problem: the best lower bound that prices prove.
//!
//! For prices π (EUR/kWh, one list per group, one price per step) no schedule costs less than
//!
//! ```text
//! D(π) = Σ_i min { Σ_k π_g(i)k x_ik : x_i a schedule of vehicle i }  +  Σ_k min_Q { f_k(v_k + Σ_g Q_gk) − Σ_g π_gk Q_gk },
//! ```
//!
//! with x in kWh and Q within the limits of the groups. The largest D is the bound of column generation. It is found by a
//! proximal bundle method with one model per vehicle: the schedules seen so far are the columns of a master problem
//!
//! ```text
//! min over convex combinations x̄_i of columns, and Q:  Σ_k f_k(v_k + Σ_g Q_gk) + Σ_gk π̂_gk (X_gk − Q_gk) + t/2 (X_gk − Q_gk)²,
//! ```
//!
//! with `X_gk` the sum of `x̄_ik` over the vehicles of g, whose gradient in X is the next list of prices. Its terms in Q are solved in closed form, and the weights
//! of one vehicle after the other by moving weight from the dearest of its columns to the cheapest: no solver is needed, and the
//! work grows in proportion to the number of vehicles.

#![expect(clippy::float_cmp, reason = "two schedules differ in a step or not")]

use crate::market::Market;
use crate::pricing::{Priced, Pricer, Prices};

/// Iterations without weight after which a column is dropped.
const MEMORY: u32 = 12;
/// Share of the predicted ascent above which the centre moves.
const SERIOUS: f64 = 0.1;

/// A schedule of one vehicle and its share in the master's convex combination.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub energies: Vec<f64>,
    pub weight: f64,
    unused: u32,
}

/// The state of the bundle method.
#[derive(Debug)]
pub(crate) struct Bundle<'a> {
    market: &'a Market,
    /// Columns of every vehicle; their weights sum to one.
    pub columns: Vec<Vec<Column>>,
    /// `X_gk` of the convex combination.
    pub drawn: Vec<Vec<f64>>,
    /// Prices that the master answers with.
    pub prices: Vec<Vec<f64>>,
    center: Vec<Vec<f64>>,
    center_value: f64,
    weight: f64,
    /// Null steps since the centre moved.
    null_steps: u32,
    /// The largest `D(π)` so far.
    pub bound: f64,
    /// Where it was.
    pub best_prices: Vec<Vec<f64>>,
}

/// What one iteration found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ascent {
    /// `D` at the prices of this iteration.
    pub value: f64,
    /// What the model promised.
    pub predicted: f64,
}

impl<'a> Bundle<'a> {
    /// A bundle that starts at `prices`, with one schedule per vehicle.
    pub fn new(market: &'a Market, prices: Vec<Vec<f64>>, schedules: Vec<Vec<f64>>) -> Self {
        let mut drawn = vec![vec![0.0; market.steps]; market.lists];
        for (energies, &list) in schedules.iter().zip(&market.list_of) {
            for (total, energy) in drawn[list].iter_mut().zip(energies) {
                *total += energy;
            }
        }
        let columns = schedules
            .into_iter()
            .map(|energies| {
                vec![Column {
                    energies,
                    weight: 1.0,
                    unused: 0,
                }]
            })
            .collect();
        let scale = market.energy_scale().max(1e-9);
        Self {
            market,
            columns,
            drawn,
            center: prices.clone(),
            best_prices: prices.clone(),
            prices,
            center_value: f64::NEG_INFINITY,
            weight: market.price_scale().max(1e-9) / scale,
            null_steps: 0,
            bound: f64::NEG_INFINITY,
        }
    }

    /// Asks all vehicles at the prices of the master, takes their answers in, and solves the master again.
    ///
    /// The error is a vehicle without a schedule.
    pub fn iterate(&mut self, pricer: &Pricer, sweeps: usize) -> Result<Ascent, usize> {
        let prices = Prices::nearest(&self.prices);
        let answers = pricer.price_all(&prices, &self.market.list_of)?;
        let value = answers.iter().map(|a| a.least_cost).sum::<f64>()
            + self.market.conjugate(&prices.values);
        let model = self.model(&prices.values);
        if value > self.bound {
            self.bound = value;
            self.best_prices.clone_from(&prices.values);
        }
        let predicted = model - self.center_value;
        let gained = value - self.center_value;
        if !self.center_value.is_finite() || gained >= SERIOUS * predicted.max(0.0) {
            if self.center_value.is_finite() && gained >= 0.5 * predicted && self.null_steps == 0 {
                self.weight *= 2.0;
            }
            self.center.clone_from(&prices.values);
            self.center_value = value;
            self.null_steps = 0;
        } else {
            self.null_steps += 1;
            // The model was far too high: look closer to the centre.
            if self.null_steps >= 3 && model - value > 2.0 * predicted.max(0.0) {
                self.weight *= 0.7;
                self.null_steps = 1;
            }
        }
        self.take(answers, &prices.values);
        self.solve_master(sweeps);
        Ok(Ascent { value, predicted })
    }

    /// `D` with the columns instead of all schedules: at least D.
    fn model(&self, prices: &[Vec<f64>]) -> f64 {
        let vehicles: f64 = self
            .columns
            .iter()
            .zip(&self.market.list_of)
            .map(|(columns, &list)| {
                columns
                    .iter()
                    .map(|column| dot(&column.energies, &prices[list]))
                    .fold(f64::INFINITY, f64::min)
            })
            .sum();
        vehicles + self.market.conjugate(prices)
    }

    /// Adds schedules that are cheaper at `prices` than every column of their vehicle; drops columns that were of no use.
    fn take(&mut self, answers: Vec<Priced>, prices: &[Vec<f64>]) {
        for ((columns, answer), &list) in self
            .columns
            .iter_mut()
            .zip(answers)
            .zip(&self.market.list_of)
        {
            columns.retain(|column| column.weight > 0.0 || column.unused < MEMORY);
            let cost = dot(&answer.energies, &prices[list]);
            let best = columns
                .iter()
                .map(|column| dot(&column.energies, &prices[list]))
                .fold(f64::INFINITY, f64::min);
            if cost < best - 1e-12 * best.abs() {
                columns.push(Column {
                    energies: answer.energies,
                    weight: 0.0,
                    unused: 0,
                });
            }
        }
    }

    /// Offers a schedule of a vehicle as a column without weight.
    pub fn offer(&mut self, vehicle: usize, energies: &[f64]) {
        let columns = &mut self.columns[vehicle];
        let known = columns.iter().any(|column| {
            column
                .energies
                .iter()
                .zip(energies)
                .all(|(a, b)| (a - b).abs() < 1e-9)
        });
        if !known {
            columns.push(Column {
                energies: energies.to_vec(),
                weight: 0.0,
                unused: 0,
            });
        }
    }

    /// Improves the weights of all vehicles, one after the other, up to `sweeps` times.
    fn solve_master(&mut self, sweeps: usize) {
        self.refresh_prices();
        let mut first_gain = 0.0;
        for sweep in 0..sweeps {
            let mut gain = 0.0;
            for vehicle in 0..self.columns.len() {
                if self.columns[vehicle].len() > 1 {
                    gain += self.shift_weight(vehicle);
                }
            }
            if sweep == 0 {
                first_gain = gain;
            }
            if gain <= 1e-3 * first_gain {
                break;
            }
        }
        for columns in &mut self.columns {
            for column in columns {
                if column.weight > 0.0 {
                    column.unused = 0;
                } else {
                    column.unused += 1;
                }
            }
        }
    }

    fn refresh_prices(&mut self) {
        let mut next = vec![0.0; self.market.lists];
        for k in 0..self.market.steps {
            self.market.proximal_prices(
                k,
                |g| self.drawn[g][k],
                |g| self.center[g][k],
                self.weight,
                &mut next,
            );
            for (list, &price) in self.prices.iter_mut().zip(&next) {
                list[k] = price;
            }
        }
    }

    /// Moves weight from the dearest column of a vehicle to the cheapest, by an exact line search. Answers with the gain
    /// to first order.
    fn shift_weight(&mut self, vehicle: usize) -> f64 {
        let list = self.market.list_of[vehicle];
        let prices = &self.prices[list];
        let (mut cheapest, mut dearest) = ((f64::INFINITY, 0), (f64::NEG_INFINITY, 0));
        for (index, column) in self.columns[vehicle].iter().enumerate() {
            let cost = dot(&column.energies, prices);
            if cost < cheapest.0 {
                cheapest = (cost, index);
            }
            if column.weight > 0.0 && cost > dearest.0 {
                dearest = (cost, index);
            }
        }
        let slope = cheapest.0 - dearest.0;
        if slope > -1e-12 * self.market.price_scale() {
            return 0.0;
        }
        let most = self.columns[vehicle][dearest.1].weight;
        let direction: Vec<(usize, f64)> = {
            let columns = &self.columns[vehicle];
            let (to, from) = (&columns[cheapest.1].energies, &columns[dearest.1].energies);
            (0..self.market.steps)
                .filter(|&k| to[k] != from[k])
                .map(|k| (k, to[k] - from[k]))
                .collect()
        };
        let part = self.line_search(list, &direction, slope, most);
        let columns = &mut self.columns[vehicle];
        columns[cheapest.1].weight += part;
        columns[dearest.1].weight -= part;
        if columns[dearest.1].weight < 1e-12 {
            columns[cheapest.1].weight += columns[dearest.1].weight;
            columns[dearest.1].weight = 0.0;
        }
        let mut next = vec![0.0; self.market.lists];
        for &(k, change) in &direction {
            self.drawn[list][k] += part * change;
            self.market.proximal_prices(
                k,
                |g| self.drawn[g][k],
                |g| self.center[g][k],
                self.weight,
                &mut next,
            );
            for (prices, &price) in self.prices.iter_mut().zip(&next) {
                prices[k] = price;
            }
        }
        -slope * part
    }

    /// The step in `0..=most` at which the derivative of the master along `direction` is zero; it increases from `slope`.
    fn line_search(&self, list: usize, direction: &[(usize, f64)], slope: f64, most: f64) -> f64 {
        let mut next = vec![0.0; self.market.lists];
        let mut derivative = |part: f64| {
            let mut sum = 0.0;
            for &(k, change) in direction {
                let drawn =
                    |g: usize| self.drawn[g][k] + if g == list { part * change } else { 0.0 };
                self.market.proximal_prices(
                    k,
                    drawn,
                    |g| self.center[g][k],
                    self.weight,
                    &mut next,
                );
                sum += next[list] * change;
            }
            sum
        };
        let end = derivative(most);
        if end <= 0.0 {
            return most;
        }
        let (mut low, mut low_slope, mut high, mut high_slope) = (0.0, slope, most, end);
        let mut part = 0.0;
        for _ in 0..LINE_STEPS {
            part = low - low_slope * (high - low) / (high_slope - low_slope);
            let here = derivative(part);
            if here.abs() <= 0.01 * -slope {
                break;
            }
            if here < 0.0 {
                (low, low_slope) = (part, here);
            } else {
                (high, high_slope) = (part, here);
            }
        }
        part
    }
}

/// Steps of a line search; the derivative is piecewise linear with few pieces.
const LINE_STEPS: usize = 5;

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
