//! The greedy algorithm: vertices of the aggregate from chains of subsets.
//!
//! A linear function `c · u` is largest over `{p(S) ≤ u(S) ≤ b(S)}` at the vertex that gives the
//! steps with positive `c`, in falling order, the increments of `b` along the chain of their
//! prefixes, and the steps with negative `c`, most negative first, the increments of `p` (Frank and
//! Tardos 1988). The chains depend on `c` alone, so all vehicles walk the same chains together.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use super::{Block, LANES, Lanes, PackedFleet};

/// Blocks handled by one task; fixed, so that sums do not depend on the number of threads.
const BLOCKS_PER_TASK: usize = 16;

/// One permutation of the steps, split into two chains: it defines a vertex of every vehicle, and
/// their sum is a vertex of the aggregate set.
///
/// The steps of `upper` take, one after the other, all that is still possible; the steps of `lower`
/// as little as possible.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Permutation {
    /// Steps that take all they can, the first one first.
    pub upper: Vec<usize>,
    /// Steps that take as little as they can, the first one first.
    pub lower: Vec<usize>,
}

impl Permutation {
    /// The permutation whose vertex maximises `direction · u`; equal entries keep the order of time.
    #[must_use]
    pub fn maximising(direction: ArrayView1<'_, f64>) -> Self {
        let mut upper: Vec<usize> = (0..direction.len())
            .filter(|&t| direction[t] > 0.0)
            .collect();
        let mut lower: Vec<usize> = (0..direction.len())
            .filter(|&t| direction[t] <= 0.0)
            .collect();
        upper.sort_by(|&a, &b| direction[b].total_cmp(&direction[a]));
        lower.sort_by(|&a, &b| direction[a].total_cmp(&direction[b]));
        Self { upper, lower }
    }
}

/// States of one block along the prefixes, and the vertex that a chain walk leaves behind.
#[derive(Default)]
pub(crate) struct Scratch {
    b: Vec<Lanes>,
    p: Vec<Lanes>,
    in_upper: Vec<bool>,
    /// Vertex of each lane, one entry per step of the window.
    pub vertex: Vec<Lanes>,
}

impl Scratch {
    /// Recomputes the prefix states from step `from` of the window to its end.
    #[inline]
    fn advance(&mut self, block: &Block, from: usize) {
        let end = block.len();
        let (states_b, states_p) = (&mut self.b[from..=end], &mut self.p[from..=end]);
        let in_upper = &self.in_upper[from..end];
        let (mut b, mut p) = (states_b[0], states_p[0]);
        for (offset, &upper) in in_upper.iter().enumerate() {
            let t = from + offset;
            if t > 0 {
                (b, p) = bounded(b, p, &block.sum_min[t - 1], &block.sum_max[t - 1]);
            }
            if upper {
                for lane in 0..LANES {
                    b[lane] += block.power_max[t][lane];
                }
            } else {
                for lane in 0..LANES {
                    p[lane] += block.power_min[t][lane];
                }
            }
            states_b[offset + 1] = b;
            states_p[offset + 1] = p;
        }
    }

    /// Values of the set functions at the current subset: `b` of the upper steps, `p` of the others.
    #[inline]
    fn values(&self, block: &Block) -> (Lanes, Lanes) {
        let end = block.len();
        bounded(
            self.b[end],
            self.p[end],
            &block.sum_min[end - 1],
            &block.sum_max[end - 1],
        )
    }

    /// Starts over with every step of the window on one side.
    fn reset(&mut self, block: &Block, in_upper: bool) {
        let length = block.len();
        self.b.clear();
        self.b.resize(length + 1, [0.0; LANES]);
        self.p.clear();
        self.p.resize(length + 1, [0.0; LANES]);
        self.in_upper.clear();
        self.in_upper.resize(length, in_upper);
        self.advance(block, 0);
    }

    /// Leaves the vertex of every lane for `order` in `self.vertex`.
    pub fn walk(&mut self, block: &Block, order: &Permutation) {
        self.vertex.clear();
        self.vertex.resize(block.len(), [0.0; LANES]);
        if block.len() == 0 {
            return;
        }
        let window = block.first..block.first + block.len();
        for (steps, take_upper) in [(&order.upper, true), (&order.lower, false)] {
            let mut inside = steps
                .iter()
                .filter(|t| window.contains(t))
                .map(|t| t - block.first)
                .peekable();
            if inside.peek().is_none() {
                continue;
            }
            self.reset(block, !take_upper);
            let mut before = [0.0; LANES];
            for t in inside {
                self.in_upper[t] = take_upper;
                self.advance(block, t);
                let (b, p) = self.values(block);
                let value = if take_upper { b } else { p };
                for lane in 0..LANES {
                    self.vertex[t][lane] = value[lane] - before[lane];
                }
                before = value;
            }
        }
    }
}

/// The running sum after a step bounds what either side can have reached.
#[expect(
    clippy::inline_always,
    reason = "the innermost loop; a call per step would cost more than its work"
)]
#[inline(always)]
fn bounded(b: Lanes, p: Lanes, sum_min: &Lanes, sum_max: &Lanes) -> (Lanes, Lanes) {
    let (mut new_b, mut new_p) = (b, p);
    for lane in 0..LANES {
        let most = sum_max[lane] - p[lane];
        let least = sum_min[lane] - b[lane];
        new_b[lane] = if b[lane] < most { b[lane] } else { most };
        new_p[lane] = if p[lane] > least { p[lane] } else { least };
    }
    (new_b, new_p)
}

impl PackedFleet {
    /// The vertex for `permutation`, summed over the vehicles of each group: groups × T, kW.
    pub fn group_vertices(&self, permutation: &Permutation) -> Array2<f64> {
        self.vertices_of(permutation, 0..self.groups)
    }

    /// The vertex for `permutation`, summed over the vehicles of one group, kW.
    pub fn group_vertex(&self, permutation: &Permutation, group: usize) -> Array1<f64> {
        self.vertices_of(permutation, group..group + 1)
            .row(0)
            .to_owned()
    }

    fn vertices_of(&self, permutation: &Permutation, groups: Range<usize>) -> Array2<f64> {
        let blocks =
            self.blocks_of_group[groups.start].start..self.blocks_of_group[groups.end - 1].end;
        let partial: Vec<(usize, Array2<f64>)> = self.blocks[blocks]
            .par_chunks(BLOCKS_PER_TASK)
            .map_init(Scratch::default, |scratch, blocks| {
                let first = blocks[0].group[0].max(groups.start);
                let last = blocks[blocks.len() - 1].group[LANES - 1].min(groups.end - 1);
                let mut sums = Array2::zeros((last - first + 1, self.steps));
                for block in blocks {
                    scratch.walk(block, permutation);
                    let one_group = block.group[0] == block.group[LANES - 1];
                    for (offset, lanes) in scratch.vertex.iter().enumerate() {
                        let t = block.first + offset;
                        if one_group {
                            let sum: f64 = (0..LANES)
                                .map(|lane| lanes[lane] * block.multiplicity[lane])
                                .sum();
                            sums[[block.group[0] - first, t]] += sum;
                        } else {
                            for lane in
                                (0..block.used).filter(|&lane| groups.contains(&block.group[lane]))
                            {
                                sums[[block.group[lane] - first, t]] +=
                                    lanes[lane] * block.multiplicity[lane];
                            }
                        }
                    }
                }
                (first, sums)
            })
            .collect();
        let mut vertices = Array2::zeros((groups.len(), self.steps));
        for (first, sums) in partial {
            for (offset, row) in sums.outer_iter().enumerate() {
                let mut target = vertices.row_mut(first - groups.start + offset);
                target += &row;
            }
        }
        vertices
    }

    /// `b(S)` and `p([T] ∖ S)` of the whole fleet for `S = {t : chosen[t]}`, kW.
    pub fn set_functions(&self, chosen: &[bool]) -> (f64, f64) {
        let partial: Vec<(f64, f64)> = self
            .blocks
            .par_chunks(BLOCKS_PER_TASK)
            .map_init(Scratch::default, |scratch, blocks| {
                let mut sums = (0.0, 0.0);
                for block in blocks.iter().filter(|block| block.len() > 0) {
                    scratch.reset(block, false);
                    scratch
                        .in_upper
                        .copy_from_slice(&chosen[block.first..block.first + block.len()]);
                    scratch.advance(block, 0);
                    let (b, p) = scratch.values(block);
                    for lane in 0..LANES {
                        sums.0 += b[lane] * block.multiplicity[lane];
                        sums.1 += p[lane] * block.multiplicity[lane];
                    }
                }
                sums
            })
            .collect();
        partial
            .iter()
            .fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
}
