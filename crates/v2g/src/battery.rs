//! The fleet as one big battery: prices to start from.

use crate::envelope::vehicle_envelope;
use crate::market::Market;
use crate::problem::SchedulingProblem;

/// A convex piecewise linear function: pieces (slope, length) in ascending order of slopes, from `start` on.
#[derive(Clone, Debug, Default)]
struct Convex {
    start: f64,
    pieces: Vec<(f64, f64)>,
}

impl Convex {
    fn end(&self) -> f64 {
        self.start + self.pieces.iter().map(|piece| piece.1).sum::<f64>()
    }

    /// Cuts the domain to `[low, high]`; a domain outside shrinks to the nearer end.
    fn cut(&mut self, low: f64, high: f64) {
        let mut excess = low - self.start;
        let mut gone = 0;
        while excess > 0.0 && gone < self.pieces.len() {
            let piece = &mut self.pieces[gone];
            let part = excess.min(piece.1);
            piece.1 -= part;
            self.start += part;
            excess -= part;
            if piece.1 <= 0.0 {
                gone += 1;
            }
        }
        self.pieces.drain(..gone);
        let mut excess = self.end() - high;
        while excess > 0.0 {
            let Some(piece) = self.pieces.last_mut() else {
                break;
            };
            let part = excess.min(piece.1);
            piece.1 -= part;
            excess -= part;
            if piece.1 <= 0.0 {
                self.pieces.pop();
            }
        }
    }

    /// How far the function is filled when all pieces cheaper than `price` are taken, and when those at it are as well.
    fn filled(&self, price: f64, rounding: f64) -> (f64, f64) {
        let until = |limit: f64| {
            let taken = self.pieces.iter().filter(|piece| piece.0 < limit);
            self.start + taken.map(|piece| piece.1).sum::<f64>()
        };
        (until(price - rounding), until(price + rounding))
    }

    /// The slopes on both sides of `x`, infinite beyond the ends.
    fn slopes(&self, x: f64, rounding: f64) -> (f64, f64) {
        let (mut left, mut right) = (f64::NEG_INFINITY, f64::INFINITY);
        let mut at = self.start;
        for &(slope, length) in &self.pieces {
            if x > at + rounding {
                left = slope;
            }
            at += length;
            if x < at - rounding {
                right = slope;
                break;
            }
        }
        (left, right.max(left))
    }
}

/// Marginal prices per step of the relaxation in which the fleet is one battery: the sums of the vehicles' powers within
/// the limits of all groups together, the sums of their reachable envelopes. A convex program in one dimension, solved
/// exactly by a dynamic program over slopes.
///
/// The prices are a start for the decomposition, and good ones without losses; they bound nothing by themselves.
pub(crate) fn battery_prices(problem: &SchedulingProblem, market: &Market) -> Vec<f64> {
    let steps = market.steps;
    let mut low = vec![0.0; steps];
    let mut high = vec![0.0; steps];
    for vehicle in 0..problem.vehicles().len() {
        let envelope = vehicle_envelope(problem, vehicle);
        for k in 0..steps {
            low[k] += envelope.lower[k];
            high[k] += envelope.upper[k];
        }
    }
    let rounding = 1e-9 * (1.0 + market.energy_scale());
    let price_rounding = 1e-12 * market.price_scale();
    // Value functions of the energy stored so far, before (`merged`, not yet cut) and after every step.
    let mut merged: Vec<Convex> = Vec::with_capacity(steps);
    let mut now = Convex::default();
    for k in 0..steps {
        let step = step_cost(market, k);
        let mut pieces = now.pieces.clone();
        pieces.extend(&step.pieces);
        pieces.sort_by(|a, b| a.0.total_cmp(&b.0));
        let whole = Convex {
            start: now.start + step.start,
            pieces,
        };
        now = whole.clone();
        now.cut(low[k], high[k]);
        merged.push(whole);
    }
    // Back from the cheapest end.
    let falling: f64 = now.pieces.iter().filter(|p| p.0 < 0.0).map(|p| p.1).sum();
    let mut stored = now.start + falling;
    let mut prices = vec![0.0; steps];
    // Energy left at the end is worth nothing; before, what it is worth one step later, unless a bound is in between.
    let mut price: f64 = 0.0;
    for k in (0..steps).rev() {
        let (left, right) = merged[k].slopes(stored, rounding);
        price = price.clamp(left, right);
        prices[k] = price;
        // Pieces cheaper than the margin are taken, dearer ones are not, and those at the margin by what is left.
        let step = step_cost(market, k);
        let mut before = Convex::default();
        if k > 0 {
            before = merged[k - 1].clone();
            before.cut(low[k - 1], high[k - 1]);
        }
        let (step_least, step_most) = step.filled(price, price_rounding);
        let (least, most) = before.filled(price, price_rounding);
        stored = (stored - step_most)
            .max(least)
            .min((stored - step_least).min(most));
    }
    prices
}

/// Cost of a step as a function of what the fleet draws.
fn step_cost(market: &Market, step: usize) -> Convex {
    let start: f64 = market.lower.iter().map(|list| list[step]).sum();
    let end: f64 = market.upper.iter().map(|list| list[step]).sum();
    let kink = (-market.volume[step]).clamp(start, end);
    let (low, high) = market.slope_range(step);
    let pieces = [(low, kink - start), (high, end - kink)];
    Convex {
        start,
        pieces: pieces.into_iter().filter(|piece| piece.1 > 0.0).collect(),
    }
}
