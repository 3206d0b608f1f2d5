//! All values of both set functions, for moderate T.

use super::{Block, LANES, Lanes, PackedFleet};
use crate::error::Error;

/// The largest T for which the full table is made: 2 × 2²⁴ values are 268 MB.
pub const MAX_TABLE_STEPS: usize = 24;

/// Blocks whose states are walked together; bounds the working set of the walk to the cache.
const BLOCKS_TOGETHER: usize = 8;

/// `b(S)` and `p(S)` for every set `S` of steps; bit `t` of an index says whether step `t` is in `S`.
#[derive(Clone, Debug, PartialEq)]
pub struct SetFunctionTable {
    steps: usize,
    upper: Vec<f64>,
    lower: Vec<f64>,
}

impl SetFunctionTable {
    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// `b(S) = max {u(S) : u ∈ U}`, kW, indexed by bitmask.
    #[must_use]
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// `p(S) = min {u(S) : u ∈ U}`, kW, indexed by bitmask.
    #[must_use]
    pub fn lower(&self) -> &[f64] {
        &self.lower
    }
}

/// The values in the order of the walk, which runs through memory from end to end: bit
/// `T − 1 − t` of a position says whether step `t` is in the subset.
#[derive(Clone, Debug)]
pub(crate) struct WalkOrderTable {
    pub upper: Vec<f64>,
    pub lower: Vec<f64>,
}

/// A depth-first walk over the subsets of the steps, with the states of several blocks per depth.
struct Walk<'a> {
    blocks: &'a [Block],
    steps: usize,
    /// `(b, p)` per depth and block.
    states: Vec<Vec<(Lanes, Lanes)>>,
    table: WalkOrderTable,
}

impl Walk<'_> {
    fn descend(&mut self, t: usize, position: usize) {
        if t == self.steps {
            let (mut b_sum, mut p_sum) = (0.0, 0.0);
            for (block, (b, p)) in self.blocks.iter().zip(&self.states[t]) {
                for lane in 0..LANES {
                    b_sum += b[lane] * block.multiplicity[lane];
                    p_sum += p[lane] * block.multiplicity[lane];
                }
            }
            let complement = (1 << self.steps) - 1 - position;
            self.table.upper[position] += b_sum;
            self.table.lower[complement] += p_sum;
            return;
        }
        for in_upper in [false, true] {
            let (before, after) = self.states.split_at_mut(t + 1);
            for ((block, state), next) in self.blocks.iter().zip(&before[t]).zip(&mut after[0]) {
                let (mut b, mut p) = *state;
                if let Some(offset) = t
                    .checked_sub(block.first)
                    .filter(|&offset| offset < block.len())
                {
                    let power = if in_upper {
                        &block.power_max[offset]
                    } else {
                        &block.power_min[offset]
                    };
                    let side = if in_upper { &mut b } else { &mut p };
                    for lane in 0..LANES {
                        side[lane] += power[lane];
                    }
                    for lane in 0..LANES {
                        let most = block.sum_max[offset][lane] - p[lane];
                        let least = block.sum_min[offset][lane] - b[lane];
                        b[lane] = if b[lane] < most { b[lane] } else { most };
                        p[lane] = if p[lane] > least { p[lane] } else { least };
                    }
                }
                *next = (b, p);
            }
            self.descend(t + 1, 2 * position + usize::from(in_upper));
        }
    }
}

impl PackedFleet {
    /// Every value of both set functions, in O(2^T) per vehicle.
    pub fn table(&self) -> Result<SetFunctionTable, Error> {
        let WalkOrderTable { upper, lower } = self.walk_order_table()?;
        let in_order = |values: &[f64]| -> Vec<f64> {
            let unused = usize::BITS - u32::try_from(self.steps).unwrap_or(usize::BITS);
            (0..values.len())
                .map(|subset| values[subset.reverse_bits().checked_shr(unused).unwrap_or(0)])
                .collect()
        };
        Ok(SetFunctionTable {
            steps: self.steps,
            upper: in_order(&upper),
            lower: in_order(&lower),
        })
    }

    /// The same values, in the order of the walk.
    pub fn walk_order_table(&self) -> Result<WalkOrderTable, Error> {
        if self.steps > MAX_TABLE_STEPS {
            return Err(Error::TableTooLarge {
                steps: self.steps,
                limit: MAX_TABLE_STEPS,
            });
        }
        let size = 1 << self.steps;
        let mut table = WalkOrderTable {
            upper: vec![0.0; size],
            lower: vec![0.0; size],
        };
        for blocks in self.blocks.chunks(BLOCKS_TOGETHER) {
            let states = vec![vec![([0.0; LANES], [0.0; LANES]); blocks.len()]; self.steps + 1];
            let mut walk = Walk {
                blocks,
                steps: self.steps,
                states,
                table,
            };
            walk.descend(0, 0);
            table = walk.table;
        }
        Ok(table)
    }
}
