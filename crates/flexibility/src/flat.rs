//! Directions in which a set has no extent, and maps that respect them exactly.

use ndarray::{Array1, Array2};

use crate::{affine::AffineMap, vehicle_set::VehicleSet};

/// Extent of a set along a facet normal below which it is flat there, kW: pulling inwards could mend a
/// solver's rounding beyond such a facet only by shrinking the map to nothing.
pub(crate) const FLAT_KW: f64 = 1e-6;

/// The value of every running sum that a set fixes, or fixes relative to the one before it: rows of
/// `L P` that have to be zero, or equal to the row before. `None` where the sum is free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Energy {
    Free,
    Fixed(f64),
    AfterPrevious(f64),
}

pub(crate) fn energies(set: &VehicleSet) -> Vec<Energy> {
    let flat = |low: f64, high: f64| high - low <= FLAT_KW;
    (0..set.steps())
        .map(|t| {
            let sums = (set.sum_min()[t], set.sum_max()[t]);
            let powers = (set.power_min()[t], set.power_max()[t]);
            if flat(sums.0, sums.1) {
                Energy::Fixed(f64::midpoint(sums.0, sums.1))
            } else if flat(powers.0, powers.1) {
                Energy::AfterPrevious(f64::midpoint(powers.0, powers.1))
            } else {
                Energy::Free
            }
        })
        .collect()
}

/// Gives a map exactly the rows that the vehicle's flat facets ask for, which a solver meets only up
/// to its tolerances: no multiple of that could be pulled inside. Columns in which the base set has
/// no extent add a constant only; it moves to the translation.
pub(crate) fn flattened(base: &VehicleSet, set: &VehicleSet, map: AffineMap) -> AffineMap {
    let (base_energies, set_energies) = (energies(&base.tightened()), energies(&set.tightened()));
    let free = |energy: &Energy| *energy == Energy::Free;
    if base_energies.iter().chain(&set_energies).all(free) {
        return map;
    }
    let steps = base.steps();
    // In energies: P' = L P L⁻¹, p' = L p. Rows are summed from the top, columns lose their right
    // neighbour.
    let mut matrix = Array2::zeros((steps, steps));
    let mut translation = map.translation;
    for t in 0..steps {
        for s in 0..steps {
            let next = if s + 1 < steps {
                map.matrix[[t, s + 1]]
            } else {
                0.0
            };
            let above = if t > 0 { matrix[[t - 1, s]] } else { 0.0 };
            matrix[[t, s]] = above + map.matrix[[t, s]] - next;
        }
        if t > 0 {
            translation[t] += translation[t - 1];
        }
    }
    // Columns: e_s of the base set is a constant, or the one before it and a constant.
    for s in (0..steps).rev() {
        let (constant, to_previous) = match base_energies[s] {
            Energy::Free => continue,
            Energy::Fixed(value) => (value, false),
            Energy::AfterPrevious(value) => (value, true),
        };
        let column = matrix.column(s).to_owned();
        translation.scaled_add(constant, &column);
        if to_previous && s > 0 {
            let mut previous = matrix.column_mut(s - 1);
            previous += &column;
        }
        matrix.column_mut(s).fill(0.0);
    }
    // Rows: from the last to the first, because a sum that is fixed also fixes those it follows from.
    for t in 0..steps {
        match set_energies[t] {
            Energy::Free => {}
            Energy::Fixed(value) => {
                matrix.row_mut(t).fill(0.0);
                translation[t] = value;
            }
            Energy::AfterPrevious(value) => {
                let (before, offset) = if t > 0 {
                    (matrix.row(t - 1).to_owned(), translation[t - 1])
                } else {
                    (Array1::zeros(steps), 0.0)
                };
                matrix.row_mut(t).assign(&before);
                translation[t] = offset + value;
            }
        }
    }
    // Back to powers: P = L⁻¹ P' L.
    for t in (1..steps).rev() {
        let above = matrix.row(t - 1).to_owned();
        let mut row = matrix.row_mut(t);
        row -= &above;
        translation[t] -= translation[t - 1];
    }
    for s in (0..steps.saturating_sub(1)).rev() {
        let right = matrix.column(s + 1).to_owned();
        let mut column = matrix.column_mut(s);
        column += &right;
    }
    AffineMap {
        matrix,
        translation,
    }
}
