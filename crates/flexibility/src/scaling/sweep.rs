//! The complete sweep over the subsets, one side at a time.

use std::collections::{HashMap, VecDeque};

use super::{
    Binding, InnerPolytope, SubsetDirection,
    modular_bound::{DualVector, HalfTables, ModularBound, sign_of},
};
use crate::{aggregate_set::Side, support_simplex::SupportSimplex};

/// Ratios closer than this share of γ bind together.
pub(super) const BINDING: f64 = 1e-9;

/// Dual vectors that the walk remembers; neighbours in the walk are mostly proven by one of them.
const REMEMBERED: usize = 48;

/// Intervals from which γ is lowered step by step before the sweep.
const DESCENTS: usize = 4;

/// Rounds of the best-first phase over which its yield is judged.
const JUDGED_ROUNDS: usize = 8;

/// One linear program costs as much as holding one dual vector against about this many directions.
const DIRECTIONS_PER_PROGRAM: usize = 4000;

/// A direction that may still limit γ.
#[derive(Clone, Copy)]
struct Open {
    position: u32,
    /// `b(S) − Δ(S)` or `Δ(S) − p(S)`.
    room: f64,
    /// The best upper bound on `h_F` known.
    bound: f64,
}

/// The state of the sweep of one side.
pub(super) struct SideSweep<'a> {
    set: &'a InnerPolytope,
    side: Side,
    /// In the order of the walk.
    rooms: Vec<f64>,
    simplex: SupportSimplex,
    /// The smallest ratio known, of this side or handed in from the other.
    gamma: f64,
    /// Directions solved with a ratio within [`BINDING`] of the smallest.
    pub binding: Vec<Binding>,
    /// Every direction solved, with its ratio.
    pub solved: Vec<(f64, SubsetDirection)>,
    probed: Vec<(u32, DualVector)>,
    pub duals: Vec<DualVector>,
}

impl<'a> SideSweep<'a> {
    pub fn new(
        set: &'a InnerPolytope,
        side: Side,
        rooms: Vec<f64>,
        simplex: SupportSimplex,
    ) -> Self {
        Self {
            set,
            side,
            rooms,
            simplex,
            gamma: f64::INFINITY,
            binding: Vec::new(),
            solved: Vec::new(),
            probed: Vec::new(),
            duals: Vec::new(),
        }
    }

    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// Solves the program of one direction; its dual vector and the bound that this is.
    fn solve(&mut self, position: u32) -> (DualVector, ModularBound) {
        let direction = SubsetDirection {
            side: self.side,
            position,
        };
        let found = Binding::solve(
            self.set,
            &mut self.simplex,
            direction,
            self.rooms[position as usize],
        );
        let dual = DualVector::from_dense(&found.multipliers[..self.set.offsets().len()]);
        let bound = ModularBound::new(self.set, &dual, self.side);
        self.solved.push((found.ratio, direction));
        self.take(found);
        (dual, bound)
    }

    fn take(&mut self, found: Binding) {
        self.gamma = self.gamma.min(found.ratio);
        let limit = self.gamma * (1.0 + BINDING);
        self.binding.retain(|binding| binding.ratio <= limit);
        if found.ratio <= limit && found.ratio.is_finite() {
            self.binding.push(found);
        }
    }

    /// A good γ first: most directions then close at once. The intervals, and from those that limit most
    /// the subsets that differ in one step, for as long as that lowers γ.
    pub fn probe(&mut self) {
        let steps = self.set.steps();
        let mut ratios = HashMap::new();
        for from in 0..steps {
            let mut position = 0_u32;
            for to in from..steps {
                position |= 1 << (steps - 1 - to);
                self.probe_at(position, &mut ratios);
            }
        }
        let mut starts: Vec<(f64, u32)> = ratios.iter().map(|(&at, &ratio)| (ratio, at)).collect();
        starts.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (mut ratio, mut position) in starts.into_iter().take(DESCENTS) {
            loop {
                let neighbours = (0..steps)
                    .map(|t| position ^ (1 << t))
                    .filter(|&at| at != 0);
                let best = neighbours
                    .map(|at| (self.probe_at(at, &mut ratios), at))
                    .min_by(|a, b| a.0.total_cmp(&b.0));
                match best {
                    Some((lower, at)) if lower < ratio => (ratio, position) = (lower, at),
                    _ => break,
                }
            }
        }
    }

    /// The ratio of a direction, solved once.
    fn probe_at(&mut self, position: u32, ratios: &mut HashMap<u32, f64>) -> f64 {
        if let Some(&ratio) = ratios.get(&position) {
            return ratio;
        }
        let (dual, _) = self.solve(position);
        let ratio = self.solved.last().map_or(f64::INFINITY, |last| last.0);
        ratios.insert(position, ratio);
        self.probed.push((position, dual));
        ratio
    }

    /// Closes every direction, given the smallest ratio that either side knows so far.
    pub fn close_all(&mut self, gamma: f64) {
        self.gamma = self.gamma.min(gamma);
        let mut open = self.open_after_probes();
        self.best_first(&mut open);
        self.walk(open);
        let limit = self.gamma * (1.0 + BINDING);
        self.binding.retain(|binding| binding.ratio <= limit);
    }

    /// Whether the direction may still limit γ, or bind together with the one that does.
    fn is_open(&self, bound: f64, room: f64) -> bool {
        (1.0 + BINDING) * self.gamma * bound > room
    }

    /// Lowers the bounds of the open directions, and keeps those that stay open.
    fn tighten(&self, open: &mut Vec<Open>, tables: &HalfTables) {
        open.retain_mut(|direction| {
            direction.bound = direction.bound.min(tables.at(direction.position));
            self.is_open(direction.bound, direction.room)
        });
    }

    /// The directions that neither the box nor a dual vector of a probe closes. Keeps the vectors
    /// that close something, or may when γ is smaller.
    fn open_after_probes(&mut self) -> Vec<Open> {
        let probed = std::mem::take(&mut self.probed);
        let bounds: Vec<HalfTables> = std::iter::once(&DualVector::default())
            .chain(probed.iter().map(|(_, dual)| dual))
            .map(|dual| ModularBound::new(self.set, dual, self.side).tables())
            .collect();
        let mut closing = vec![false; bounds.len()];
        // Neighbours differ in one step, so what closed the last direction closes most of the next; the
        // vectors that closed most recently are tried first.
        let mut order: Vec<usize> = (0..bounds.len()).collect();
        let mut open = Vec::new();
        for rank in 1..1_u32 << self.set.steps() {
            let position = gray_position(rank);
            let room = self.rooms[position as usize];
            let (mut bound, mut tightest) = (f64::INFINITY, 0);
            let found = order.iter().position(|&index| {
                let value = bounds[index].at(position);
                if value < bound {
                    (bound, tightest) = (value, index);
                }
                !self.is_open(bound, room)
            });
            if let Some(place) = found {
                closing[order[place]] = true;
                order[..=place].rotate_right(1);
            } else {
                // A smaller γ found later may close it with this bound, which then is a part of the proof.
                closing[tightest] = true;
                open.push(Open {
                    position,
                    room,
                    bound,
                });
            }
        }
        // A probe that binds stays open, but is solved: its own vector is a part of the proof.
        for ((position, dual), closing) in probed.into_iter().zip(closing.into_iter().skip(1)) {
            let own = open
                .iter()
                .position(|direction| direction.position == position);
            if let Some(index) = own {
                open.swap_remove(index);
            }
            if closing || own.is_some() {
                self.duals.push(dual);
            }
        }
        open
    }

    /// Solves the direction that limits γ most as far as is known, and holds its dual vector against
    /// all that are open, for as long as that closes more than it costs.
    fn best_first(&mut self, open: &mut Vec<Open>) {
        let mut counts = VecDeque::from([open.len()]);
        while let Some(worst) = open
            .iter()
            .copied()
            .min_by(|a, b| (a.room * b.bound).total_cmp(&(b.room * a.bound)))
        {
            let (dual, bound) = self.solve(worst.position);
            open.retain(|direction| direction.position != worst.position);
            self.tighten(open, &bound.tables());
            self.duals.push(dual);
            counts.push_back(open.len());
            if counts.len() > JUDGED_ROUNDS {
                let closed = counts.pop_front().unwrap_or(0) - open.len();
                if closed * DIRECTIONS_PER_PROGRAM < open.len() * JUDGED_ROUNDS {
                    break;
                }
            }
        }
    }

    /// Closes what is left in Gray-code order, in which neighbours differ in few steps: their programs
    /// need few pivots, and a few recent dual vectors close most of them.
    fn walk(&mut self, mut open: Vec<Open>) {
        open.sort_unstable_by_key(|direction| gray_rank(direction.position));
        let mut recent: VecDeque<ModularBound> = VecDeque::with_capacity(REMEMBERED + 1);
        for direction in open {
            let closed =
                |bound: &ModularBound| !self.is_open(bound.at(direction.position), direction.room);
            if !self.is_open(direction.bound, direction.room) || recent.iter().any(closed) {
                continue;
            }
            let (dual, bound) = self.solve(direction.position);
            self.duals.push(dual);
            recent.push_front(bound);
            recent.truncate(REMEMBERED);
        }
    }
}

/// The place of a position in the Gray code.
pub(super) fn gray_rank(position: u32) -> u32 {
    let mut rank = position;
    for shift in [1, 2, 4, 8, 16] {
        rank ^= rank >> shift;
    }
    rank
}

/// The position at a place of the Gray code.
pub(super) fn gray_position(rank: u32) -> u32 {
    rank ^ (rank >> 1)
}

/// The direction `±1_S` as numbers.
pub(super) fn indicator(direction: SubsetDirection, steps: usize) -> Vec<f64> {
    (0..steps)
        .map(|t| {
            if direction.position >> (steps - 1 - t) & 1 == 1 {
                sign_of(direction.side)
            } else {
                0.0
            }
        })
        .collect()
}
