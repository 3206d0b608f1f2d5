//! The exact dynamic program of any vehicle: value functions of the level, piecewise linear, per state of the switching
//! rule. For losses, unequal powers and shares of steps, where no lattice of levels closes.

#![expect(
    clippy::float_cmp,
    reason = "single points have equal ends, which are copied"
)]

use crate::automaton::Automaton;
use crate::problem::SchedulingVehicle;

/// Pieces narrower than this are no pieces, kWh.
const NARROW_KWH: f64 = 1e-10;
/// Levels may be missed by this much in walking back, kWh.
const MISSED_KWH: f64 = 1e-8;
/// What rounding may have added to the value of a program, in price scales per step; it is taken off the bound.
const ROUNDING_KWH: f64 = 1e-7;

/// A linear piece from `(from, left)` to `(to, right)`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    from: f64,
    to: f64,
    left: f64,
    right: f64,
}

impl Piece {
    fn slope(self) -> f64 {
        if self.to > self.from {
            (self.right - self.left) / (self.to - self.from)
        } else {
            0.0
        }
    }

    fn at(self, x: f64) -> f64 {
        if self.to > self.from {
            let share = (x - self.from) / (self.to - self.from);
            self.left + share * (self.right - self.left)
        } else {
            self.left.min(self.right)
        }
    }

    /// The part over `[from, to]`, which is inside.
    fn cut(self, from: f64, to: f64) -> Self {
        Self {
            from,
            to,
            left: self.at(from),
            right: self.at(to),
        }
    }
}

/// A function on some intervals, infinite elsewhere; pieces from left to right, without overlap.
type Function = Vec<Piece>;

/// The program of one vehicle.
#[derive(Clone, Debug)]
pub(crate) struct Piecewise {
    initial_kwh: f64,
    final_kwh: f64,
    minimum_kwh: f64,
    capacity_kwh: f64,
    efficiency: f64,
    /// Largest energies at the grid per step, drawn and fed in, kWh.
    steps: Vec<(f64, f64)>,
    start_states: Vec<bool>,
}

/// A move between two steps, in energy stored.
#[derive(Clone, Copy, Debug)]
struct Move {
    /// Smallest change, kWh stored, of the sign of `most`: not zero where a switch has to be active.
    least: f64,
    /// Largest change, kWh stored; positive when charging.
    most: f64,
    /// Cost per kWh of change.
    cost: f64,
}

impl Piecewise {
    pub fn new(
        vehicle: &SchedulingVehicle,
        grid_steps: usize,
        hours: f64,
        rule: &Automaton,
    ) -> Self {
        let steps = (0..grid_steps)
            .map(|k| {
                let share = vehicle.share(k) * hours;
                (
                    vehicle.charge_max_kw * share,
                    vehicle.discharge_max_kw * share,
                )
            })
            .collect();
        Self {
            initial_kwh: vehicle.initial_kwh,
            final_kwh: vehicle.final_min_kwh.max(vehicle.minimum_kwh),
            minimum_kwh: vehicle.minimum_kwh,
            capacity_kwh: vehicle.capacity_kwh,
            efficiency: vehicle.efficiency,
            steps,
            start_states: rule.start(&vehicle.past),
        }
    }

    /// Least and largest energy of a step, kWh at the grid.
    pub fn range(&self, step: usize) -> (f64, f64) {
        let (charge, discharge) = self.steps[step];
        (-discharge, charge)
    }

    /// The same vehicle with less power: energies of step k stay within `limits(k)` as far as these have room around zero.
    pub fn within(&self, limits: impl Fn(usize) -> (f64, f64)) -> Self {
        let steps = self.steps.iter().enumerate();
        let narrowed = steps.map(|(step, &(charge, discharge))| {
            let (low, high) = limits(step);
            (charge.min(high.max(0.0)), discharge.min((-low).max(0.0)))
        });
        Self {
            steps: narrowed.collect(),
            ..self.clone()
        }
    }

    /// Energies of a cheapest schedule under prices, kWh at the grid, and a lower bound on its cost; `None` if the vehicle has
    /// no schedule.
    pub fn solve(&self, rule: &Automaton, prices: &[f64]) -> Option<(Vec<f64>, f64)> {
        let states = rule.states();
        let start = vec![Piece {
            from: self.initial_kwh,
            to: self.initial_kwh,
            left: 0.0,
            right: 0.0,
        }];
        let mut values: Vec<Vec<Function>> = Vec::with_capacity(prices.len() + 1);
        values.push(
            self.start_states
                .iter()
                .map(|&open| if open { start.clone() } else { Vec::new() })
                .collect(),
        );
        for (step, &price) in prices.iter().enumerate() {
            let before = &values[step];
            let mut after = vec![Vec::new(); states];
            for transition in rule.transitions(step) {
                let mut source: Function = Vec::new();
                for &state in &transition.sources {
                    source = lower_envelope(&source, &before[state]);
                }
                if source.is_empty() {
                    continue;
                }
                let mut target = if transition.direction.holds() {
                    source.clone()
                } else {
                    Vec::new()
                };
                for change in self.moves(step, price, transition.direction) {
                    target = lower_envelope(&target, &slide(&source, change));
                }
                clip(&mut target, self.minimum_kwh, self.capacity_kwh);
                after[transition.to] = lower_envelope(&after[transition.to], &target);
            }
            values.push(after);
        }
        let (mut state, mut level, value) = self.best_end(&values[prices.len()])?;
        let mut energies = vec![0.0; prices.len()];
        for step in (0..prices.len()).rev() {
            let (from, source) =
                self.step_back(rule, &values[step], step, prices[step], state, level)?;
            let change = level - from;
            if change.abs() <= 2.0 * MISSED_KWH {
                state = source; // idle, up to rounding of levels
                continue;
            }
            energies[step] = if change > 0.0 {
                change / self.efficiency
            } else {
                change * self.efficiency
            };
            (level, state) = (from, source);
        }
        let scale = prices
            .iter()
            .fold(0.0_f64, |scale, price| scale.max(price.abs()));
        let rounding = ROUNDING_KWH * scale * prices.len() as f64;
        Some((energies, value - rounding))
    }

    fn moves(
        &self,
        step: usize,
        price: f64,
        direction: crate::automaton::Direction,
    ) -> impl Iterator<Item = Move> {
        let (charge, discharge) = self.steps[step];
        let least = if direction.holds() {
            0.0
        } else {
            crate::rule::SwitchRule::LEAST_SHARE
        };
        let up = Move {
            least: least * charge * self.efficiency,
            most: charge * self.efficiency,
            cost: price / self.efficiency,
        };
        let down = Move {
            least: -least * discharge / self.efficiency,
            most: -discharge / self.efficiency,
            cost: price * self.efficiency,
        };
        let up = (direction.up() && charge > 0.0).then_some(up);
        let down = (direction.down() && discharge > 0.0).then_some(down);
        up.into_iter().chain(down)
    }

    fn best_end(&self, functions: &[Function]) -> Option<(usize, f64, f64)> {
        let mut best: Option<(usize, f64, f64)> = None;
        for (state, function) in functions.iter().enumerate() {
            for piece in function {
                if piece.to < self.final_kwh - MISSED_KWH {
                    continue;
                }
                let from = piece.from.max(self.final_kwh).min(piece.to);
                for (x, y) in [(from, piece.at(from)), (piece.to, piece.right)] {
                    if y < best.map_or(f64::INFINITY, |best| best.2) {
                        best = Some((state, x, y));
                    }
                }
            }
        }
        best
    }

    /// The cheapest level and state before a step from which `state` is reached at `level`.
    fn step_back(
        &self,
        rule: &Automaton,
        before: &[Function],
        step: usize,
        price: f64,
        state: usize,
        level: f64,
    ) -> Option<(f64, usize)> {
        let mut best: Option<(f64, f64, usize)> = None;
        for transition in rule.transitions(step).iter().filter(|t| t.to == state) {
            for &source in &transition.sources {
                let mut consider = |x: f64, value: f64| {
                    if value < best.map_or(f64::INFINITY, |best| best.0) {
                        best = Some((value, x, source));
                    }
                };
                let idle = transition.direction.holds().then_some(Move {
                    least: 0.0,
                    most: 0.0,
                    cost: 0.0,
                });
                let moves = self.moves(step, price, transition.direction);
                for change in idle.into_iter().chain(moves) {
                    let (low, high) = window(level, change);
                    for piece in &before[source] {
                        let (from, to) = (piece.from.max(low), piece.to.min(high));
                        if from > to + MISSED_KWH {
                            continue;
                        }
                        // Ends of the window that miss a piece by rounding are put on it.
                        for x in [from, to] {
                            let x = x.clamp(piece.from, piece.to);
                            consider(x, piece.at(x) + change.cost * (level - x));
                        }
                    }
                }
            }
        }
        best.map(|(_, x, source)| (x, source))
    }
}

/// Levels from which a change leads to `level`.
fn window(level: f64, Move { least, most, .. }: Move) -> (f64, f64) {
    if most >= 0.0 {
        (level - most, level - least)
    } else {
        (level - least, level - most)
    }
}

/// `G(s) = min { F(x) + cost · (s − x) : s − x between least and most }`.
fn slide(function: &[Piece], change: Move) -> Function {
    if change.most < 0.0 {
        // Mirrored, discharging is charging.
        let mirror = |piece: &Piece| Piece {
            from: -piece.to,
            to: -piece.from,
            left: piece.right,
            right: piece.left,
        };
        let mirrored: Function = function.iter().rev().map(mirror).collect();
        let back = Move {
            least: -change.least,
            most: -change.most,
            cost: -change.cost,
        };
        return slide(&mirrored, back).iter().rev().map(mirror).collect();
    }
    let Move { least, most, cost } = change;
    if least > 0.0 {
        let moved = |piece: &Piece| Piece {
            from: piece.from + least,
            to: piece.to + least,
            left: piece.left + cost * least,
            right: piece.right + cost * least,
        };
        let rest = Move {
            least: 0.0,
            most: most - least,
            cost,
        };
        return slide(&function.iter().map(moved).collect::<Function>(), rest);
    }
    // H(x) = F(x) − cost x, so that G(s) = cost s + min of H over the last `most` before s. That minimum is at s itself (where H
    // falls), at s − most (where H rises), or at the end of a piece in between.
    let (mut falling, mut rising, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for piece in function {
        let tilted = Piece {
            left: piece.left - cost * piece.from,
            right: piece.right - cost * piece.to,
            ..*piece
        };
        if tilted.slope() < 0.0 {
            falling.push(tilted);
            ends.push((tilted.to, tilted.right));
        } else {
            if tilted.to > tilted.from {
                rising.push(Piece {
                    from: tilted.from + most,
                    to: tilted.to + most,
                    ..tilted
                });
            }
            ends.push((
                tilted.from,
                tilted.left.min(if tilted.to > tilted.from {
                    tilted.left
                } else {
                    tilted.right
                }),
            ));
        }
    }
    let flat = window_minimum(&mut ends, most);
    let mut result = lower_envelope(&lower_envelope(&falling, &rising), &flat);
    for piece in &mut result {
        piece.left += cost * piece.from;
        piece.right += cost * piece.to;
    }
    result
}

/// The lower envelope of the constants `y` on `[x, x + width]`.
fn window_minimum(points: &mut [(f64, f64)], width: f64) -> Function {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut result: Function = Vec::new();
    // Points that may still be the least, from the oldest on; their values rise.
    let mut queue: std::collections::VecDeque<(f64, f64)> = std::collections::VecDeque::new();
    let mut at = f64::NEG_INFINITY;
    let mut emit = |from: f64, to: f64, value: f64| {
        if to > from {
            result.push(Piece {
                from,
                to,
                left: value,
                right: value,
            });
        }
    };
    for &(x, y) in points.iter() {
        // Until x, the front rules as long as it lasts.
        while let Some(&(start, value)) = queue.front() {
            let end = (start + width).min(x);
            emit(at.max(start), end, value);
            at = at.max(end);
            if start + width <= x {
                queue.pop_front();
            } else {
                break;
            }
        }
        at = at.max(x);
        while queue.back().is_some_and(|back| back.1 >= y) {
            queue.pop_back();
        }
        queue.push_back((x, y));
    }
    while let Some((start, value)) = queue.pop_front() {
        emit(at.max(start), start + width, value);
        at = at.max(start + width);
    }
    result
}

/// The smaller of two functions, wherever one of them is.
fn lower_envelope(a: &[Piece], b: &[Piece]) -> Function {
    if a.is_empty() {
        return b.to_vec();
    }
    if b.is_empty() {
        return a.to_vec();
    }
    let mut result: Function = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    let mut at = f64::NEG_INFINITY;
    loop {
        // Pieces that end before `at` are done; single points are kept where the other function is not lower.
        while i < a.len() && a[i].to <= at {
            keep_point(&mut result, a[i], at);
            i += 1;
        }
        while j < b.len() && b[j].to <= at {
            keep_point(&mut result, b[j], at);
            j += 1;
        }
        match (a.get(i), b.get(j)) {
            (None, None) => break,
            (Some(&piece), None) | (None, Some(&piece)) => {
                push(&mut result, piece.cut(piece.from.max(at), piece.to));
                at = piece.to;
                if piece.from == piece.to {
                    at = piece.to.next_up();
                }
            }
            (Some(&p), Some(&q)) => {
                let (from_p, from_q) = (p.from.max(at), q.from.max(at));
                if from_p < from_q {
                    let to = p.to.min(from_q);
                    push(&mut result, p.cut(from_p, to));
                    at = if to > from_p { to } else { to.next_up() };
                } else if from_q < from_p {
                    let to = q.to.min(from_p);
                    push(&mut result, q.cut(from_q, to));
                    at = if to > from_q { to } else { to.next_up() };
                } else {
                    let to = p.to.min(q.to);
                    smaller(&mut result, p.cut(from_p, to), q.cut(from_p, to));
                    at = if to > from_p { to } else { to.next_up() };
                }
            }
        }
    }
    result
}

/// A single point at the end of what is done counts where it is lower.
fn keep_point(result: &mut Function, piece: Piece, at: f64) {
    let point = piece.from == piece.to && piece.to >= at.next_down();
    if point && result.last().is_some_and(|last| last.right > piece.left) {
        result.push(piece);
    }
}

/// The smaller of two pieces over the same interval.
fn smaller(result: &mut Function, p: Piece, q: Piece) {
    let (left, right) = (p.left - q.left, p.right - q.right);
    if left <= 0.0 && right <= 0.0 {
        push(result, p);
    } else if left >= 0.0 && right >= 0.0 {
        push(result, q);
    } else {
        let x = p.from + (p.to - p.from) * left / (left - right);
        let (first, second) = if left < 0.0 { (p, q) } else { (q, p) };
        let x = x.clamp(p.from, p.to);
        push(result, first.cut(p.from, x));
        push(result, second.cut(x, p.to));
    }
}

/// Adds a piece, joined to the one before it if the two are one line.
fn push(result: &mut Function, piece: Piece) {
    if let Some(last) = result.last_mut() {
        if piece.to - last.from <= NARROW_KWH {
            // Two pieces narrower than anything: the smaller values of both.
            last.to = piece.to;
            last.left = last.left.min(piece.left).min(piece.right).min(last.right);
            last.right = last.left;
            return;
        }
        let touches = (piece.from - last.to).abs() <= NARROW_KWH;
        if touches && (piece.left - last.right).abs() <= NARROW_KWH {
            let joined = Piece {
                from: last.from,
                to: piece.to,
                left: last.left,
                right: piece.right,
            };
            let middle = joined.at(last.to);
            if (middle - last.right).abs() <= 1e-13 * (1.0 + last.right.abs()) {
                *last = joined;
                return;
            }
        }
    }
    result.push(piece);
}

fn clip(function: &mut Function, low: f64, high: f64) {
    function.retain(|piece| piece.to >= low - NARROW_KWH && piece.from <= high + NARROW_KWH);
    for piece in function.iter_mut() {
        let (from, to) = (piece.from.max(low).min(high), piece.to.min(high).max(low));
        *piece = piece.cut(from.min(to), to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::lattice::{Lattice, Scratch};
    use crate::rule::{SwitchRule, Switching};
    use rand::{RngExt, SeedableRng};

    /// Both programs of the same vehicle have the same value, for every rule, and the schedules cost what they say.
    #[test]
    fn the_lattice_and_the_pieces_agree() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for round in 0..60 {
            let rules = [
                SwitchRule::TwoMode,
                SwitchRule::CoolingOff,
                SwitchRule::ClockHour,
            ];
            let switching = Switching {
                rule: rules[round % 3],
                gap_steps: round % 5,
            };
            let rule = Automaton::new(Some(switching), 0);
            let initial = 10.0 + 20.0 * rng.random::<f64>();
            let mut vehicle = SchedulingVehicle::paper("ev", initial, 0.0);
            vehicle.capacity_kwh = 31.0 + 10.0 * rng.random::<f64>();
            vehicle.final_min_kwh = 10.0 + 20.0 * rng.random::<f64>();
            let prices: Vec<f64> = (0..16)
                .map(|_| f64::from(rng.random_range(-40_000..80_000_i32)))
                .collect();
            let lattice = Lattice::new(&vehicle, 0.25, &rule).expect("a lattice");
            let mut scratch = Scratch::default();
            lattice.linear_costs(&prices, &mut scratch.costs);
            let mut energies = Vec::new();
            let value = lattice
                .solve(&rule, &mut scratch, &mut energies)
                .expect("a schedule");
            let pieces = Piecewise::new(&vehicle, 16, 0.25, &rule);
            let (found, bound) = pieces.solve(&rule, &prices).expect("a schedule");
            let cost = |energies: &[f64]| -> f64 {
                energies.iter().zip(&prices).map(|(x, p)| x * p).sum()
            };
            // A unit of the lattice is a price times 2.5 kWh; partial steps are rounded down by up to one unit.
            let exact = cost(&energies);
            assert!(2.5 * value <= exact + 1e-6 && 2.5 * value >= exact - 10.0);
            assert!(
                (cost(&found) - exact).abs() < 10.0,
                "{round}: {} {exact}",
                cost(&found)
            );
            assert!(bound <= exact + 1e-6 && bound >= exact - 10.0);
        }
    }
}
