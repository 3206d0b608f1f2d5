//! The affine image of one polytope inside another that is largest in a linear sense.

use evflex_solver::Options;
use ndarray::{Array1, Array2, ArrayView2};

use super::blocks;
use crate::error::{check_count, check_matrix};
use crate::{Error, HPolytope};

/// The accuracy that an image has to reach.
const ENOUGH: f64 = 1e-5;

/// `x ↦ P x + p` with `P·inner + p ⊆ outer`; see [`largest_affine_image`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AffineImage {
    /// `P`, outer dimension × inner dimension.
    pub matrix: Array2<f64>,
    /// `p`.
    pub translation: Array1<f64>,
    /// `Λ ≥ 0`, one row per row of the outer set, one column per row of the inner one: `Λ C = H P`, `Λ d ≤ h − H p`.
    pub multipliers: Array2<f64>,
    /// `⟨R, P⟩`.
    pub value: f64,
    /// No image has a larger value, up to `accuracy`.
    pub bound: f64,
    /// What equations, signs and values are off, relative to their size.
    pub accuracy: f64,
}

/// Maximises `⟨R, P⟩ = Σ R_jk P_jk` over all `P`, `p` with `P·inner + p ⊆ outer`, `|P_jk| ≤ largest`.
///
/// With `inner = {x : C x ≤ d}` and `outer = {y : H y ≤ h}` this is the linear program
///
/// ```text
/// max ⟨R, P⟩   Λ ≥ 0,   Λ C = H P,   Λ d ≤ h − H p
/// ```
///
/// (Farkas; exact when the inner set has points), with as many multipliers as the sets have pairs of rows. No general
/// solver is asked: the program falls apart into one small system per row of `H` and one for `P`, `p`, which is a
/// chain when rows of `H` couple only neighbouring coordinates. `R = I` gives the image of largest trace: the general affine
/// sets of Al Taha, Vincent and Bitar (arXiv 2207.07067).
///
/// The image satisfies its conditions up to `accuracy` (about 1e-9); shrink it towards an inner point of the outer set by as much where
/// that matters. The bound on the entries keeps the program finite where the inner set has no width.
///
/// ```
/// use evflex_polytope::{HPolytope, largest_affine_image};
/// use evflex_solver::Options;
/// use ndarray::Array2;
/// let square = HPolytope::hyperbox(&[-1.0, -1.0], &[1.0, 1.0])?;
/// let flat = HPolytope::hyperbox(&[0.0, 0.0], &[6.0, 1.0])?;
/// let image = largest_affine_image(&square, &flat, Array2::eye(2).view(), 100.0, &Options::default())?;
/// assert!((image.value - 3.5).abs() < 1e-6); // half of 6 and half of 1
/// assert!((image.translation[0] - 3.0).abs() < 1e-6);
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if `reward` does not have the shape of `P`, [`Error::NotFinite`] for its entries, [`Error::Domain`] unless
/// `largest` is positive and finite, [`Error::NotReached`] when the method ends without an answer: an empty outer or inner set, or a
/// time limit.
pub fn largest_affine_image(
    inner: &HPolytope,
    outer: &HPolytope,
    reward: ArrayView2<'_, f64>,
    largest: f64,
    options: &Options,
) -> Result<AffineImage, Error> {
    check_count("rows of the reward", outer.dimension(), reward.nrows())?;
    check_count("columns of the reward", inner.dimension(), reward.ncols())?;
    check_matrix("the reward", reward)?;
    if !(largest > 0.0 && largest.is_finite()) {
        return Err(Error::Domain {
            what: "the largest entry of a map",
            value: largest,
            domain: "positive and finite",
        });
    }
    let found = blocks::largest_image(inner, outer, reward, largest, options);
    if found.accuracy.is_nan() || found.accuracy > ENOUGH {
        return Err(Error::NotReached {
            what: "the largest affine image",
            accuracy: found.accuracy,
        });
    }
    Ok(AffineImage {
        value: blocks::product(reward, found.map.view()),
        bound: found.limit,
        translation: -found.beta,
        matrix: found.map,
        multipliers: found.lambda.mapv(|value| value.max(0.0)),
        accuracy: found.accuracy,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]
    use super::*;
    use evflex_solver::{Clarabel, ProblemBuilder, Solver};
    use ndarray::array;

    /// The same program by a general solver.
    fn by_solver(inner: &HPolytope, outer: &HPolytope, reward: &Array2<f64>, largest: f64) -> f64 {
        let mut builder = ProblemBuilder::new("image");
        builder.maximise();
        let map = reward.map(|&cost| builder.variable("", -largest, largest, cost));
        let free = f64::INFINITY;
        let shift: Vec<_> = (0..outer.dimension())
            .map(|_| builder.variable("", -free, free, 0.0))
            .collect();
        for (normal, &offset) in outer.normals().rows().into_iter().zip(outer.offsets()) {
            let y: Vec<_> = (0..inner.rows())
                .map(|_| builder.variable("", 0.0, free, 0.0))
                .collect();
            for (j, column) in inner.normals().columns().into_iter().enumerate() {
                let terms = y.iter().copied().zip(column.iter().copied());
                let rule = normal.iter().enumerate().map(|(q, v)| (map[[q, j]], -v));
                builder.row("", 0.0, terms.chain(rule).collect::<Vec<_>>(), 0.0);
            }
            let offsets = inner.offsets();
            let terms = y.iter().copied().zip(offsets.iter().copied());
            let moved = shift.iter().copied().zip(normal.iter().copied());
            builder.row("", -free, terms.chain(moved).collect::<Vec<_>>(), offset);
        }
        let solution = Clarabel::default()
            .solve(&builder.build().unwrap(), &Options::default())
            .unwrap()
            .into_optimal()
            .unwrap();
        solution.objective()
    }

    #[test]
    fn the_value_is_that_of_a_general_solver() {
        let inner = HPolytope::new(
            array![
                [1.0, 0.0],
                [-1.0, 0.0],
                [0.0, 1.0],
                [1.0, 1.0],
                [-1.0, -2.0]
            ],
            array![2.0, 1.0, 1.5, 2.2, 2.0],
        )
        .unwrap();
        // Three coordinates whose rows couple neighbours, and a row that couples all.
        let rows = array![
            [1.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0],
            [-1.0, 1.0, 0.0],
            [1.0, -1.0, 0.0],
            [0.0, -1.0, 1.0],
            [0.0, 1.0, -1.0],
            [1.0, 1.0, 1.0]
        ];
        let reward = array![[1.0, 0.2], [0.0, 1.0], [0.5, -0.3]];
        for count in [6, 7] {
            let outer = HPolytope::new(
                rows.slice(ndarray::s![..count, ..]).to_owned(),
                array![3.0, 1.0, 2.0, 0.5, 1.0, 1.0, 4.0]
                    .slice(ndarray::s![..count])
                    .to_owned(),
            )
            .unwrap();
            let image =
                largest_affine_image(&inner, &outer, reward.view(), 50.0, &Options::default())
                    .unwrap();
            let theirs = by_solver(&inner, &outer, &reward, 50.0);
            assert!(
                (image.value - theirs).abs() < 1e-6,
                "{} and {theirs}",
                image.value
            );
            assert!((image.bound - image.value).abs() < 1e-6);
            let off = image.multipliers.dot(&inner.normals()) - outer.normals().dot(&image.matrix);
            assert!(off.iter().all(|off| off.abs() < 1e-7), "{off}");
            let slack = &outer.offsets()
                - &outer.normals().dot(&image.translation)
                - image.multipliers.dot(&inner.offsets());
            assert!(slack.iter().all(|slack| *slack > -1e-7), "{slack}");
        }
    }

    #[test]
    fn questions_without_an_answer_are_refused() {
        let square = HPolytope::hyperbox(&[-1.0], &[1.0]).unwrap();
        let empty = HPolytope::new(array![[1.0], [-1.0]], array![-1.0, -1.0]).unwrap();
        let one = Array2::eye(1);
        let ask = |outer: &HPolytope, reward: &Array2<f64>, largest| {
            largest_affine_image(&square, outer, reward.view(), largest, &Options::default())
        };
        assert!(matches!(
            ask(&empty, &one, 1.0),
            Err(Error::NotReached { .. })
        ));
        assert!(matches!(
            ask(&square, &Array2::eye(2), 1.0),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(ask(&square, &one, 0.0), Err(Error::Domain { .. })));
        assert!(matches!(
            ask(&square, &(one * f64::NAN), 1.0),
            Err(Error::NotFinite { .. })
        ));
    }
}
