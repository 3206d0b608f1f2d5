//! What one dual vector says about the support values of all subsets at once.

use super::InnerPolytope;
use crate::aggregate_set::Side;

/// Multipliers `y ≥ 0` of the rows of a set: the rows that have one, rising, and their values.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DualVector {
    /// Rows with a positive multiplier.
    pub rows: Vec<u32>,
    /// The multipliers.
    pub values: Vec<f64>,
}

impl DualVector {
    pub(super) fn from_dense(multipliers: &[f64]) -> Self {
        let (rows, values) = (0..)
            .zip(multipliers)
            .filter(|(_, y)| **y > 0.0)
            .map(|(row, &y)| (row, y))
            .unzip();
        Self { rows, values }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.rows
            .iter()
            .zip(&self.values)
            .map(|(&row, &y)| (row as usize, y))
    }
}

/// `+1` for directions `1_S`, `−1` for `−1_S`.
pub(super) fn sign_of(side: Side) -> f64 {
    match side {
        Side::Upper => 1.0,
        Side::Lower => -1.0,
    }
}

/// The bound of one dual vector over all directions of one sign: `constant + Σ_{t ∈ S} share_t`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModularBound {
    pub constant: f64,
    pub share: Vec<f64>,
}

impl ModularBound {
    pub fn new(set: &InnerPolytope, dual: &DualVector, side: Side) -> Self {
        let (lower, upper) = (set.lower(), set.upper());
        let mut rest = vec![0.0; set.variables()]; // −Aᵀ y
        let mut constant = 0.0;
        for (row, y) in dual.entries() {
            constant += y * set.offsets()[row];
            for (entry, normal) in rest.iter_mut().zip(set.normals().row(row)) {
                *entry -= y * normal;
            }
        }
        let most = |j: usize, r: f64| f64::max(r * upper[j], r * lower[j]);
        constant += (set.steps()..set.variables())
            .map(|j| most(j, rest[j]))
            .sum::<f64>();
        let share = (0..set.steps())
            .map(|t| {
                let outside = most(t, rest[t]);
                constant += outside;
                most(t, rest[t] + sign_of(side)) - outside
            })
            .collect();
        Self { constant, share }
    }

    /// Its value at the subset of a position of the walk.
    pub fn at(&self, position: u32) -> f64 {
        let last = self.share.len() - 1;
        let mut value = self.constant;
        let mut bits = position;
        while bits != 0 {
            value += self.share[last - bits.trailing_zeros() as usize];
            bits &= bits - 1;
        }
        value
    }

    /// Its values over the subsets of some consecutive steps, in the order of the walk.
    fn half_table(&self, steps: std::ops::Range<usize>, constant: f64) -> Vec<f64> {
        let mut values = vec![constant];
        for t in steps {
            values = values
                .iter()
                .flat_map(|&value| [value, value + self.share[t]])
                .collect();
        }
        values
    }

    /// Tables that make one value an addition of two entries.
    pub fn tables(&self) -> HalfTables {
        let steps = self.share.len();
        let late = steps / 2;
        HalfTables {
            early: self.half_table(0..steps - late, self.constant),
            late: self.half_table(steps - late..steps, 0.0),
            shift: late,
        }
    }
}

/// The values of a [`ModularBound`] over the subsets of the early and of the late steps.
pub(super) struct HalfTables {
    early: Vec<f64>,
    late: Vec<f64>,
    shift: usize,
}

impl HalfTables {
    #[inline]
    pub fn at(&self, position: u32) -> f64 {
        let mask = (1_u32 << self.shift) - 1;
        self.early[(position >> self.shift) as usize] + self.late[(position & mask) as usize]
    }
}
