//! Whether a point is in a set, and what separates it when it is not.

use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::Error;
use crate::support::{Verdict, add_rows, solve, upper_multipliers};

/// The answer to "is this point in the set?", with its proof.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Membership {
    /// The point is in the set, within the tolerance.
    Inside {
        /// The coordinates that show it: `ξ` with `x̄ + X ξ ≈ point` and `A ξ ≤ a` for an
        /// [`AhPolytope`](crate::AhPolytope), convex weights for a [`VPolytope`](crate::VPolytope), the point
        /// itself for an [`HPolytope`](crate::HPolytope).
        coordinates: Array1<f64>,
    },
    /// The point is outside, and this half-space shows it.
    Outside(Separation),
}

impl Membership {
    /// Whether the point is inside.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self, Self::Inside { .. })
    }

    /// The separating half-space of a point outside.
    #[must_use]
    pub fn separation(&self) -> Option<&Separation> {
        match self {
            Self::Inside { .. } => None,
            Self::Outside(separation) => Some(separation),
        }
    }
}

/// A half-space `direction·x ≤ bound` that holds the whole set but not the point.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Separation {
    /// Its normal.
    pub direction: Array1<f64>,
    /// `direction·x` is at most this for every `x` of the set.
    pub bound: f64,
    /// `direction·point`.
    pub value: f64,
}

impl Separation {
    /// `value − bound`, positive for a point outside. For an [`HPolytope`](crate::HPolytope) the direction has
    /// Euclidean length 1; otherwise its absolute entries sum to 1, and the excess is the distance of the
    /// point from the set in the largest-entry norm.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.value - self.bound
    }
}

/// The smallest `t` with `|x̄ + X ξ − point| ≤ t` (entry by entry) and `A ξ ≤ a`, as a membership answer.
///
/// Its dual is the separation: `t` is convex in the point, and its derivative there is a direction `c`
/// with `c·x ≤ c·point − t` for every `x` of the set.
pub(crate) fn nearest(
    (centre, generators): (ArrayView1<'_, f64>, ArrayView2<'_, f64>),
    (a, b): (ArrayView2<'_, f64>, ArrayView1<'_, f64>),
    point: ArrayView1<'_, f64>,
    tolerance: f64,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Membership, Error> {
    let mut builder = ProblemBuilder::new("membership");
    let xi = add_rows(&mut builder, a, b);
    let distance = builder.variable("", 0.0, f64::INFINITY, 1.0);
    let rows = a.nrows();
    for ((row, &from), &to) in generators.rows().into_iter().zip(centre).zip(point) {
        let terms: Vec<_> = crate::linear::entries(row)
            .map(|(index, value)| (xi[index], value))
            .collect();
        let side = to - from;
        let below = terms.iter().copied().chain([(distance, -1.0)]);
        builder.row("", f64::NEG_INFINITY, below, side);
        let above = terms.iter().copied().chain([(distance, 1.0)]);
        builder.row("", side, above, f64::INFINITY);
    }
    let options = options.clone().duals(true);
    let solution = match solve(&builder.build()?, solver, &options)? {
        Verdict::Optimal(solution) => solution,
        Verdict::Infeasible => return Err(Error::Empty { what: "the set" }),
        Verdict::Unbounded(direction) => {
            return Err(Error::Unbounded {
                what: "the distance",
                direction,
            });
        }
    };
    if solution.value(distance) <= tolerance {
        return Ok(Membership::Inside {
            coordinates: xi.iter().map(|&id| solution.value(id)).collect(),
        });
    }
    let (Some(y), Some(duals)) = (upper_multipliers(&solution, 0..rows), solution.duals()) else {
        return Err(evflex_solver::Error::Unsupported {
            solver: solver.name(),
            class: "duals, which a separating direction is made of",
        }
        .into());
    };
    let direction: Array1<f64> = (0..point.len())
        .map(|entry| duals.rows[rows + 2 * entry] + duals.rows[rows + 2 * entry + 1])
        .collect();
    Ok(Membership::Outside(Separation {
        bound: direction.dot(&centre) + y.dot(&b),
        value: direction.dot(&point),
        direction,
    }))
}
