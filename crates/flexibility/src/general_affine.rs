//! The affine image of largest trace of a base set inside a vehicle's set.

use evflex_polytope::largest_affine_image;
use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::Array2;

use crate::{
    affine::{AffineMap, LARGEST_FACTOR, right_hand_sides},
    energy_form::EnergyForm,
    error::Error,
    flat::{Energy, FLAT_KW, energies},
    vehicle_set::VehicleSet,
};

/// Maximises `trace P'` over `P' = L P L⁻¹` and `p`, `P` from the base set into the vehicle's set, by the structure of the program, and
/// by the solver where that does not end.
pub(crate) fn largest_trace(
    base: &VehicleSet,
    set: &VehicleSet,
    solver: &dyn Solver,
    options: &Options,
) -> Result<AffineMap, Error> {
    if let Some(map) = by_structure(base, set, options)? {
        return Ok(map);
    }
    by_solver(base, set, solver, options)
}

/// Over energies that can move, on both sides: `η = Γ ξ − β` between the coordinates of [`EnergyForm`]. Then `P' = S Γ S_0⁺` with 0-1
/// matrices: S repeats a coordinate where the vehicle is away, `S_0⁺` picks the step that a coordinate of the base set is the
/// running sum of. `None` when the method did not reach an answer.
fn by_structure(
    base: &VehicleSet,
    set: &VehicleSet,
    options: &Options,
) -> Result<Option<AffineMap>, Error> {
    let (from, to) = (
        EnergyForm::new(base, FLAT_KW)?,
        EnergyForm::new(set, FLAT_KW)?,
    );
    let steps = base.steps();
    let mut matrix = Array2::zeros((steps, steps));
    let mut shift: Vec<f64> = to.sums.iter().map(|sum| sum.constant).collect();
    if let (Some(inner), Some(outer)) = (from.base(), to.base()) {
        let mut reward = Array2::zeros((outer.dimension(), inner.dimension()));
        for (k, &t) in from.steps.iter().enumerate() {
            if let Some(j) = to.sums[t].coordinate {
                reward[[j, k]] = 1.0;
            }
        }
        let image = match largest_affine_image(inner, outer, reward.view(), LARGEST_FACTOR, options)
        {
            Ok(image) => image,
            Err(evflex_polytope::Error::NotReached { what, accuracy }) => {
                tracing::debug!(what, accuracy, "asking the solver");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        for (t, sum) in to.sums.iter().enumerate() {
            let Some(j) = sum.coordinate else { continue };
            shift[t] += image.translation[j];
            for (k, &s) in from.steps.iter().enumerate() {
                matrix[[t, s]] = image.matrix[[j, k]];
            }
        }
    }
    Ok(Some(over_powers(&matrix, &shift)))
}

/// `P = L⁻¹ P' L`: differences of rows, then sums of columns from s on; `p = L⁻¹ p'`.
fn over_powers(matrix: &Array2<f64>, shift: &[f64]) -> AffineMap {
    let steps = shift.len();
    let mut power = Array2::zeros((steps, steps));
    for t in 0..steps {
        let mut sum = 0.0;
        for s in (0..steps).rev() {
            let before = if t > 0 { matrix[[t - 1, s]] } else { 0.0 };
            sum += matrix[[t, s]] - before;
            power[[t, s]] = sum;
        }
    }
    let translation = (0..steps)
        .map(|t| shift[t] - if t > 0 { shift[t - 1] } else { 0.0 })
        .collect();
    AffineMap {
        matrix: power,
        translation,
    }
}

/// In energies `e = L x` the facets are `±e_t` and `±(e_t − e_{t−1})`, and `P' = L P L⁻¹` has the
/// trace of `P`.
fn by_solver(
    base: &VehicleSet,
    set: &VehicleSet,
    solver: &dyn Solver,
    options: &Options,
) -> Result<AffineMap, Error> {
    let steps = base.steps();
    let mut builder = ProblemBuilder::new("general affine");
    // An energy that the base set fixes carries nothing: without this its column would be a shift that
    // costs nothing and counts in the trace.
    let columns = energies(&base.tightened());
    let matrix = Array2::from_shape_fn((steps, steps), |(t, s)| {
        let cost = if t == s { -1.0 } else { 0.0 };
        let largest = if columns[s] == Energy::Free {
            LARGEST_FACTOR
        } else {
            0.0
        };
        builder.variable(format!("map_{t}_{s}"), -largest, largest, cost)
    });
    let translation: Vec<_> = (0..steps)
        .map(|t| {
            builder.variable(
                format!("translation_{t}"),
                f64::NEG_INFINITY,
                f64::INFINITY,
                0.0,
            )
        })
        .collect();
    let base_rhs = right_hand_sides(base);
    for (k, bound) in right_hand_sides(set).into_iter().enumerate() {
        let (block, t) = (k / steps, k % steps);
        let sign = if block % 2 == 0 { 1.0 } else { -1.0 };
        // The facet as a row over energies.
        let mut facet = vec![(t, sign)];
        if block >= 2 && t > 0 {
            facet.push((t - 1, -sign));
        }
        let multipliers: Vec<_> = (0..4 * steps)
            .map(|j| builder.variable(format!("multiplier_{k}_{j}"), 0.0, f64::INFINITY, 0.0))
            .collect();
        for s in 0..steps {
            let mut terms = vec![
                (multipliers[s], 1.0),
                (multipliers[steps + s], -1.0),
                (multipliers[2 * steps + s], 1.0),
                (multipliers[3 * steps + s], -1.0),
            ];
            if s + 1 < steps {
                terms.push((multipliers[2 * steps + s + 1], -1.0));
                terms.push((multipliers[3 * steps + s + 1], 1.0));
            }
            terms.extend(
                facet
                    .iter()
                    .map(|&(row, weight)| (matrix[[row, s]], -weight)),
            );
            builder.row(format!("normal_{k}_{s}"), 0.0, terms, 0.0);
        }
        let terms = multipliers
            .iter()
            .zip(&base_rhs)
            .map(|(&multiplier, &rhs)| (multiplier, rhs))
            .chain(
                facet
                    .iter()
                    .map(|&(row, weight)| (translation[row], weight)),
            );
        builder.row(
            format!("bound_{k}"),
            f64::NEG_INFINITY,
            terms.collect::<Vec<_>>(),
            bound,
        );
    }
    let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
    let map = matrix.map(|&id| solution.value(id));
    let shift: Vec<f64> = translation.iter().map(|&id| solution.value(id)).collect();
    Ok(over_powers(&map, &shift))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]
    use super::*;
    use evflex_fleet::{Hours, TimeGrid, synthetic::Population};
    use evflex_solver::Clarabel;

    /// Structure and solver find maps of the same trace.
    #[test]
    fn traces_are_those_of_the_solver() {
        for (steps, seed) in [(3, 1), (6, 2), (8, 3)] {
            let grid = TimeGrid::new(steps, Hours(1.0)).unwrap();
            let fleet = Population::new(grid, 4).generate(seed).unwrap();
            let sets: Vec<VehicleSet> = fleet
                .vehicles()
                .iter()
                .map(|vehicle| VehicleSet::exact(vehicle, 1.0).unwrap())
                .collect();
            let base = VehicleSet::mean(&sets).tightened();
            let options = Options::default();
            for set in &sets {
                let ours = by_structure(&base, set, &options).unwrap().unwrap();
                let theirs = by_solver(&base, set, &Clarabel::default(), &options).unwrap();
                let (ours, theirs) = (ours.matrix.diag().sum(), theirs.matrix.diag().sum());
                assert!((ours - theirs).abs() < 1e-6, "{ours} and {theirs}");
            }
        }
    }
}
