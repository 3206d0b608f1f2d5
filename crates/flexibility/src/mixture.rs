//! Convex combinations of vertices: the disaggregation rule behind a point of the aggregate set.

use ndarray::{Array2, ArrayView1};

use crate::generalized_polymatroid::Permutation;

/// A point of the aggregate set as a convex combination of vertices, with weights for each group of
/// vehicles.
///
/// It is a rule that every vehicle can follow by itself: vehicle `i` of group `g` follows
/// `u_i = Σ_j weight(j, g) · vertex_i(permutation_j)`, a point of its own set because that is
/// convex, and the vehicles together give the aggregate profile.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexMixture {
    permutations: Vec<Permutation>,
    /// permutations × groups
    weights: Array2<f64>,
}

impl VertexMixture {
    pub(crate) fn new(permutations: Vec<Permutation>, weights: Array2<f64>) -> Self {
        Self {
            permutations,
            weights,
        }
    }

    /// The vertex of one permutation, for every group.
    pub(crate) fn vertex(permutation: Permutation, groups: usize) -> Self {
        Self {
            permutations: vec![permutation],
            weights: Array2::ones((1, groups)),
        }
    }

    /// The combination of combinations, with weights that sum to one; all for the same fleet.
    pub(crate) fn combined<'a>(parts: impl IntoIterator<Item = (f64, &'a Self)>) -> Self {
        let (mut permutations, mut weights) = (Vec::new(), Vec::new());
        let mut groups = 0;
        for (share, part) in parts {
            groups = part.groups();
            for (index, permutation) in part.permutations.iter().enumerate() {
                permutations.push(permutation.clone());
                weights.extend(part.weights(index).iter().map(|weight| share * weight));
            }
        }
        let rows = permutations.len();
        Self {
            permutations,
            weights: Array2::from_shape_vec((rows, groups), weights).unwrap_or_default(),
        }
    }

    /// Whether these are weights of convex combinations, up to `tolerance` in their sums.
    pub(crate) fn is_convex(&self, tolerance: f64) -> bool {
        self.weights.iter().all(|&weight| weight >= 0.0)
            && self
                .weights
                .columns()
                .into_iter()
                .all(|column| (column.sum() - 1.0).abs() <= tolerance)
    }

    /// Number of permutations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.permutations.len()
    }

    /// Whether there is no permutation at all; never true for a mixture made by this crate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permutations.is_empty()
    }

    /// Number of groups of vehicles.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.weights.ncols()
    }

    /// The permutations.
    #[must_use]
    pub fn permutations(&self) -> &[Permutation] {
        &self.permutations
    }

    /// Weights of permutation `index`, one per group; over the permutations they sum to one in each group.
    #[must_use]
    pub fn weights(&self, index: usize) -> ArrayView1<'_, f64> {
        self.weights.row(index)
    }
}
