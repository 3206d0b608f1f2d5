//! The exact dynamic program of one vehicle on its lattice of energies.
//!
//! With the modes fixed, one vehicle is a network flow over time, and a cheapest flow exists in which, between two steps
//! after which the battery is at its initial level (before the first), at its minimum, its capacity or (after the
//! last) its final level, at most one step has a power strictly inside its bounds (`agliardi2024`, level 3; a basic
//! solution of a path). So when charging and discharging move the same energy `D` per step, without losses, every level of
//! such a flow is in one of the cosets `initial + D ℤ`, `minimum + D ℤ`, `capacity + D ℤ`, `final + D ℤ`, and the program over
//! coset × level × state of the switching rule is exact for costs that are linear in the energy of a step.

#![expect(
    clippy::float_cmp,
    reason = "a lattice closes only for the same numbers"
)]

use crate::automaton::{Automaton, Direction};
use crate::problem::SchedulingVehicle;

/// Levels closer than this share of `D` are the same.
const SAME_LEVEL: f64 = 1e-9;
/// Levels per coset beyond which the lattice is refused.
const MAX_LEVELS: f64 = 4000.0;

/// Levels `first + j D`, j = 0..levels, at positions `base + j` of a row. One position on each side is never reached.
#[derive(Clone, Debug)]
struct Coset {
    first_kwh: f64,
    levels: usize,
    base: usize,
    /// Nothing comes back here once it was left: it is the initial level's and no other's.
    no_entry: bool,
    /// Nothing leaves it but by full steps: it is the final level's and no other's.
    no_exit: bool,
}

/// A step from one coset to another that moves `energy_kwh`, less than `D`.
#[derive(Clone, Debug)]
struct Partial {
    to: usize,
    /// Position in the row of `from` minus position in the row of `to`.
    offset: isize,
    energy_kwh: f64,
}

/// The lattice of one vehicle.
#[derive(Clone, Debug)]
pub(crate) struct Lattice {
    full_kwh: f64,
    can_charge: bool,
    can_discharge: bool,
    cosets: Vec<Coset>,
    partials: Vec<Partial>,
    row: usize,
    start: usize,
    final_kwh: f64,
    connected: Option<Vec<bool>>,
    start_states: Vec<bool>,
}

/// Costs of all moves of all steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct MoveCosts {
    charge: Vec<f32>,
    discharge: Vec<f32>,
    partial: Vec<f32>,
}

/// Memory for one run of the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    values: Vec<f32>,
    merged: Vec<f32>,
    pub(super) costs: MoveCosts,
}

impl Lattice {
    /// The lattice of a vehicle with this step length, or `None` if its levels do not close under steps.
    pub fn new(
        vehicle: &SchedulingVehicle,
        step_hours: f64,
        automaton: &Automaton,
    ) -> Option<Self> {
        let (charge, discharge) = (vehicle.charge_max_kw, vehicle.discharge_max_kw);
        let connected = match &vehicle.connected {
            None => None,
            Some(shares) if shares.iter().all(|&share| share == 0.0 || share == 1.0) => {
                Some(shares.iter().map(|&share| share > 0.0).collect())
            }
            Some(_) => return None,
        };
        let (can_charge, can_discharge) = (charge > 0.0, discharge > 0.0);
        if (can_charge && can_discharge && charge != discharge) || vehicle.efficiency != 1.0 {
            return None;
        }
        let moves = can_charge || can_discharge;
        let full_kwh = if moves {
            charge.max(discharge) * step_hours
        } else {
            1.0
        };
        let (low, high) = (vehicle.minimum_kwh, vehicle.capacity_kwh);
        if (high - low) / full_kwh > MAX_LEVELS {
            return None;
        }
        let mut cosets: Vec<Coset> = Vec::with_capacity(4);
        let mut row = 1;
        let mut start = 0;
        for (which, anchor) in [vehicle.initial_kwh, low, high, vehicle.final_min_kwh]
            .into_iter()
            .enumerate()
        {
            if which == 3 && anchor <= low {
                continue;
            }
            // Lowest level of the coset that is not below the minimum.
            let below = ((anchor - low) / full_kwh + SAME_LEVEL).floor();
            let first_kwh = anchor - below * full_kwh;
            let same = |coset: &Coset| {
                let distance = (coset.first_kwh - first_kwh).abs() / full_kwh;
                distance < SAME_LEVEL || (1.0 - distance).abs() < SAME_LEVEL
            };
            if let Some(coset) = cosets.iter_mut().find(|coset| same(coset)) {
                coset.no_entry = false;
                continue;
            }
            let levels = ((high - first_kwh) / full_kwh + SAME_LEVEL).floor() + 1.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and a few thousand"
            )]
            let (levels, below) = (levels.max(1.0) as usize, below.max(0.0) as usize);
            if which == 0 {
                start = row + below;
            }
            cosets.push(Coset {
                first_kwh,
                levels,
                base: row,
                no_entry: which == 0,
                no_exit: which == 3,
            });
            row += levels + 1; // neighbours share the position that is never reached
        }
        let partials = partial_moves(&cosets, full_kwh, can_charge, can_discharge);
        Some(Self {
            full_kwh,
            can_charge,
            can_discharge,
            cosets,
            partials,
            row,
            start,
            final_kwh: vehicle.final_min_kwh,
            connected,
            start_states: automaton.start(&vehicle.past),
        })
    }

    /// Energy moved by a full step, kWh.
    pub fn full_kwh(&self) -> f64 {
        self.full_kwh
    }

    /// Costs of whole units `units[k]` per full step: exact in `f32` while their sum stays below 2²⁴. A partial step costs its
    /// share rounded down, so that the value of the program is a lower bound.
    pub fn linear_costs(&self, units: &[f64], costs: &mut MoveCosts) {
        self.fill(units.len(), costs, |step, energy, full| {
            let cost = units[step] * energy / self.full_kwh;
            if full { cost.round() } else { cost.floor() }
        });
    }

    /// Costs of any function of step and energy; rounded to `f32`.
    pub fn costs_of(&self, steps: usize, costs: &mut MoveCosts, cost: impl Fn(usize, f64) -> f64) {
        self.fill(steps, costs, |step, energy, _| cost(step, energy));
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding is documented")]
    fn fill(&self, steps: usize, costs: &mut MoveCosts, cost: impl Fn(usize, f64, bool) -> f64) {
        let MoveCosts {
            charge,
            discharge,
            partial,
        } = costs;
        charge.clear();
        discharge.clear();
        partial.clear();
        for step in 0..steps {
            charge.push(cost(step, self.full_kwh, true) as f32);
            discharge.push(cost(step, -self.full_kwh, true) as f32);
            partial.extend(
                self.partials
                    .iter()
                    .map(|partial| cost(step, partial.energy_kwh, false) as f32),
            );
        }
    }

    /// Runs the program on `scratch.costs`. Answers with its value and writes the energies of a cheapest schedule, kWh at the
    /// grid; `None` if the vehicle has no schedule.
    pub fn solve(
        &self,
        automaton: &Automaton,
        scratch: &mut Scratch,
        energies: &mut Vec<f64>,
    ) -> Option<f64> {
        let steps = scratch.costs.charge.len();
        let states = automaton.states();
        let row = self.row;
        let layer = states * row;
        scratch.values.resize((steps + 1) * layer, f32::INFINITY);
        scratch.merged.resize(row, f32::INFINITY);
        let Scratch {
            values,
            merged,
            costs,
        } = scratch;
        for (state, line) in values[..layer].chunks_exact_mut(row).enumerate() {
            line.fill(f32::INFINITY);
            if self.start_states[state] {
                line[self.start] = 0.0;
            }
        }
        for step in 0..steps {
            let (before, after) = values.split_at_mut((step + 1) * layer);
            let before = &before[step * layer..];
            let line = |state: usize| &before[state * row..(state + 1) * row];
            for transition in automaton.transitions(step) {
                let source = match transition.sources.as_slice() {
                    [only] => line(*only),
                    [first, rest @ ..] => {
                        merged[..row].copy_from_slice(line(*first));
                        for &other in rest {
                            lower(&mut merged[..row], line(other), 0.0);
                        }
                        &merged[..row]
                    }
                    [] => continue,
                };
                let to = transition.to * row;
                let target = &mut after[to..to + row];
                self.advance(step, transition.direction, costs, source, target);
            }
        }
        let (value, state, position) = self.best_end(&values[steps * layer..])?;
        self.trace(automaton, scratch, (state, position), energies);
        Some(f64::from(value))
    }

    fn moves_in(&self, step: usize) -> bool {
        self.connected
            .as_ref()
            .is_none_or(|connected| connected[step])
    }

    fn advance(
        &self,
        step: usize,
        direction: Direction,
        costs: &MoveCosts,
        source: &[f32],
        target: &mut [f32],
    ) {
        if direction.holds() {
            target.copy_from_slice(source);
        } else {
            target.fill(f32::INFINITY);
        }
        if !self.moves_in(step) {
            return;
        }
        let up = direction.up() && self.can_charge;
        let down = direction.down() && self.can_discharge;
        for coset in &self.cosets {
            let (from, to) = (coset.base, coset.base + coset.levels);
            if up {
                lower(
                    &mut target[from..to],
                    &source[from - 1..to - 1],
                    costs.charge[step],
                );
            }
            if down {
                lower(
                    &mut target[from..to],
                    &source[from + 1..=to.min(self.row - 1)],
                    costs.discharge[step],
                );
            }
        }
        let partial_costs = &costs.partial[step * self.partials.len()..];
        for (partial, &cost) in self.partials.iter().zip(partial_costs) {
            let charges = partial.energy_kwh > 0.0;
            if (charges && up) || (!charges && down) {
                let to = &self.cosets[partial.to];
                let from = to.base.wrapping_add_signed(partial.offset);
                lower(
                    &mut target[to.base..to.base + to.levels],
                    &source[from..from + to.levels],
                    cost,
                );
            }
        }
    }

    fn best_end(&self, line: &[f32]) -> Option<(f32, usize, usize)> {
        let mut best: Option<(f32, usize, usize)> = None;
        for (state, line) in line.chunks_exact(self.row).enumerate() {
            for coset in &self.cosets {
                for level in 0..coset.levels {
                    let energy = coset.first_kwh + level as f64 * self.full_kwh;
                    let value = line[coset.base + level];
                    if energy >= self.final_kwh - SAME_LEVEL * self.full_kwh
                        && value < best.map_or(f32::INFINITY, |best| best.0)
                    {
                        best = Some((value, state, coset.base + level));
                    }
                }
            }
        }
        best
    }

    fn trace(
        &self,
        automaton: &Automaton,
        scratch: &Scratch,
        end: (usize, usize),
        energies: &mut Vec<f64>,
    ) {
        let Scratch { values, costs, .. } = scratch;
        let steps = costs.charge.len();
        let (row, states) = (self.row, automaton.states());
        let value = |step: usize, state: usize, position: usize| {
            values[(step * states + state) * row + position]
        };
        energies.clear();
        energies.resize(steps, 0.0);
        let (mut state, mut position) = end;
        'steps: for step in (0..steps).rev() {
            let here = value(step + 1, state, position);
            let coset = self.coset_of(position);
            let partial_costs = &costs.partial[step * self.partials.len()..];
            for transition in automaton.transitions(step).iter().filter(|t| t.to == state) {
                let up = transition.direction.up() && self.can_charge && self.moves_in(step);
                let down = transition.direction.down() && self.can_discharge && self.moves_in(step);
                let partials = self
                    .partials
                    .iter()
                    .zip(partial_costs)
                    .filter_map(|(p, &cost)| {
                        let charges = p.energy_kwh > 0.0;
                        let open = p.to == coset && ((charges && up) || (!charges && down));
                        open.then_some((p.offset, cost, p.energy_kwh))
                    });
                let moves = transition
                    .direction
                    .holds()
                    .then_some((0, 0.0, 0.0))
                    .into_iter()
                    .chain(up.then_some((-1, costs.charge[step], self.full_kwh)))
                    .chain(down.then_some((1, costs.discharge[step], -self.full_kwh)))
                    .chain(partials);
                for (offset, cost, energy) in moves {
                    let from = position.wrapping_add_signed(offset);
                    let source = transition
                        .sources
                        .iter()
                        .find(|&&source| value(step, source, from) + cost == here);
                    if let Some(&source) = source {
                        energies[step] = energy;
                        (state, position) = (source, from);
                        continue 'steps;
                    }
                }
            }
            debug_assert!(false, "a reached level has a way back");
            return;
        }
    }

    fn coset_of(&self, position: usize) -> usize {
        self.cosets
            .iter()
            .rposition(|coset| coset.base <= position)
            .unwrap_or(0)
    }
}

/// `target = min(target, source + cost)`, position by position.
#[inline]
fn lower(target: &mut [f32], source: &[f32], cost: f32) {
    for (target, &source) in target.iter_mut().zip(source) {
        let candidate = source + cost;
        *target = if candidate < *target {
            candidate
        } else {
            *target
        };
    }
}

/// All moves between cosets that a cheapest flow may need: out of the initial coset into the others, between minimum and
/// capacity, and from all into the final one. Cosets are in that order.
fn partial_moves(
    cosets: &[Coset],
    full_kwh: f64,
    can_charge: bool,
    can_discharge: bool,
) -> Vec<Partial> {
    let mut partials = Vec::new();
    for (from, a) in cosets.iter().enumerate() {
        for (to, b) in cosets.iter().enumerate() {
            if from == to || a.no_exit || b.no_entry {
                continue;
            }
            // Energy from level j of `a` to level j of `b`, between −D and D.
            let rise = b.first_kwh - a.first_kwh;
            for shift in [-1_i8, 0, 1] {
                let energy_kwh = rise - f64::from(shift) * full_kwh;
                let inside = energy_kwh.abs() < full_kwh * (1.0 - SAME_LEVEL);
                if inside
                    && ((energy_kwh > 0.0 && can_charge) || (energy_kwh < 0.0 && can_discharge))
                {
                    // To level j of `b` from level j + shift of `a`.
                    let distance = a.base.wrapping_sub(b.base).cast_signed();
                    partials.push(Partial {
                        to,
                        offset: distance + isize::from(shift),
                        energy_kwh,
                    });
                }
            }
        }
    }
    partials
}
