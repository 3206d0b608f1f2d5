//! Schedules of whole fleets, one vehicle at a time: every vehicle in turn takes the schedule that suits the others best.

use crate::bundle::Column;
use crate::market::Market;
use crate::pricing::Pricer;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Costs of energy beyond the limits of groups, in price scales.
const OVERLOAD: f64 = 20.0;

/// The cost of a step with its kink rounded off within `±width`, so that one vehicle alone can see where the others should
/// go.
#[derive(Clone, Copy, Debug)]
struct Smoothed {
    low: f64,
    high: f64,
    width: f64,
}

impl Smoothed {
    fn cost(self, bought: f64) -> f64 {
        let Self { low, high, width } = self;
        if bought >= width {
            high * bought
        } else if bought <= -width {
            low * bought
        } else {
            0.5 * (high + low) * bought + 0.25 * (high - low) * (bought * bought / width + width)
        }
    }
}

/// Schedules under improvement.
#[derive(Clone, Debug)]
pub(crate) struct Fleet<'a> {
    market: &'a Market,
    pub schedules: Vec<Vec<f64>>,
    drawn: Vec<Vec<f64>>,
    bought: Vec<f64>,
}

impl<'a> Fleet<'a> {
    pub fn new(market: &'a Market, schedules: Vec<Vec<f64>>) -> Self {
        let mut fleet = Self {
            market,
            drawn: vec![vec![0.0; market.steps]; market.lists],
            bought: market.volume.clone(),
            schedules: Vec::new(),
        };
        for (vehicle, energies) in schedules.iter().enumerate() {
            fleet.add(vehicle, energies, 1.0);
        }
        fleet.schedules = schedules;
        fleet
    }

    fn add(&mut self, vehicle: usize, energies: &[f64], sign: f64) {
        let drawn = &mut self.drawn[self.market.list_of[vehicle]];
        for ((drawn, bought), energy) in drawn.iter_mut().zip(&mut self.bought).zip(energies) {
            *drawn += sign * energy;
            *bought += sign * energy;
        }
    }

    /// Cost of a step if `energy` is added to what the others draw.
    fn step_cost(&self, list: usize, step: usize, energy: f64, width: f64) -> f64 {
        let market = self.market;
        let (low, high) = market.slope_range(step);
        let cost = Smoothed { low, high, width }.cost(self.bought[step] + energy);
        let drawn = self.drawn[list][step] + energy;
        let over = (drawn - market.upper[list][step]).max(market.lower[list][step] - drawn);
        if over > 1e-9 {
            cost + OVERLOAD * market.price_scale() * over * (1.0 + over / width)
        } else {
            cost
        }
    }

    /// Lets a random share of the vehicles, in random order, take the best schedule of its own dynamic program.
    pub fn respond_some(&mut self, pricer: &Pricer, width: f64, rng: &mut ChaCha8Rng, share: f64) {
        let mut order: Vec<usize> = (0..self.schedules.len()).collect();
        order.shuffle(rng);
        let count = (share * order.len() as f64).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of vehicles"
        )]
        order.truncate(count.max(1.0) as usize);
        self.respond_in(&order, pricer, width, false);
    }

    /// Lets every vehicle, in random order, take the best schedule of its own dynamic program; with `always` even where that
    /// is worse than what it has, which then may break the rule.
    pub fn respond(&mut self, pricer: &Pricer, width: f64, rng: &mut ChaCha8Rng, always: bool) {
        let mut order: Vec<usize> = (0..self.schedules.len()).collect();
        order.shuffle(rng);
        self.respond_in(&order, pricer, width, always);
    }

    fn respond_in(&mut self, order: &[usize], pricer: &Pricer, width: f64, always: bool) {
        let mut energies = Vec::new();
        for &vehicle in order {
            let current = std::mem::take(&mut self.schedules[vehicle]);
            self.add(vehicle, &current, -1.0);
            let list = self.market.list_of[vehicle];
            let cost = |step: usize, energy: f64| {
                self.step_cost(list, step, energy, width) - self.step_cost(list, step, 0.0, width)
            };
            let whole = |energies: &[f64]| -> f64 {
                let steps = energies.iter().enumerate();
                steps.map(|(step, &energy)| cost(step, energy)).sum()
            };
            let limits = |step: usize| {
                let others = self.drawn[list][step];
                let market = self.market;
                (
                    market.lower[list][step] - others,
                    market.upper[list][step] - others,
                )
            };
            let found = pricer
                .respond(vehicle, &mut energies, cost, limits)
                .is_some();
            let schedule = if found && (always || whole(&energies) <= whole(&current)) {
                energies.clone()
            } else {
                current
            };
            self.add(vehicle, &schedule, 1.0);
            self.schedules[vehicle] = schedule;
        }
    }

    /// Lets every vehicle, in random order, take the best of its columns.
    pub fn choose(&mut self, columns: &[Vec<Column>], width: f64, rng: &mut ChaCha8Rng) {
        let mut order: Vec<usize> = (0..self.schedules.len()).collect();
        order.shuffle(rng);
        for vehicle in order {
            if columns[vehicle].len() < 2 {
                continue;
            }
            let current = std::mem::take(&mut self.schedules[vehicle]);
            self.add(vehicle, &current, -1.0);
            let list = self.market.list_of[vehicle];
            let cost = |energies: &[f64]| -> f64 {
                energies
                    .iter()
                    .enumerate()
                    .map(|(step, &energy)| self.step_cost(list, step, energy, width))
                    .sum()
            };
            let mut best = (cost(&current), None);
            for column in &columns[vehicle] {
                let cost = cost(&column.energies);
                if cost < best.0 - 1e-12 {
                    best = (cost, Some(&column.energies));
                }
            }
            let schedule = best.1.cloned().unwrap_or(current);
            self.add(vehicle, &schedule, 1.0);
            self.schedules[vehicle] = schedule;
        }
    }
}

/// One column per vehicle: the heaviest, or drawn by weight.
pub(crate) fn pick(columns: &[Vec<Column>], random: Option<&mut ChaCha8Rng>) -> Vec<Vec<f64>> {
    let mut random = random;
    columns
        .iter()
        .map(|columns| {
            let chosen = match random.as_deref_mut() {
                None => columns.iter().max_by(|a, b| a.weight.total_cmp(&b.weight)),
                Some(rng) => {
                    let mut left: f64 = rng.random();
                    columns.iter().find(|column| {
                        left -= column.weight;
                        left < 0.0
                    })
                }
            };
            chosen
                .or(columns.first())
                .map_or_else(Vec::new, |column| column.energies.clone())
        })
        .collect()
}

/// A generator for attempt number `attempt` under `seed`.
pub(crate) fn random(seed: u64, attempt: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(attempt);
    rng
}
