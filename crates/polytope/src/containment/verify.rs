//! Verification of certificates: matrix products and comparisons, no solver and no repair.

use std::fmt;

use ndarray::{ArrayView1, ArrayView2};

use super::Certificate;
use crate::error::{check_count, check_matrix, check_tolerance, check_vector};
use crate::linear::largest;
use crate::{AhPolytope, Error};

/// A condition that a certificate has to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Condition {
    /// `γ ≥ 0`.
    Scale,
    /// `Λ_i ≥ 0`.
    Multipliers,
    /// `Λ_i C = H_i Γ_i`.
    Rules,
    /// `Λ_i d ≤ h_i + H_i β_i`.
    Bounds,
    /// `Σ_i (ȳ_i − Y_i β_i) = Δ + γ x̄`.
    CentreSum,
    /// `Σ_i Y_i Γ_i = γ X`.
    GeneratorSum,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scale => "scale ≥ 0",
            Self::Multipliers => "multipliers Λ ≥ 0",
            Self::Rules => "rules Λ C = H Γ",
            Self::Bounds => "bounds Λ d ≤ h + H β",
            Self::CentreSum => "sum of centres Σ (ȳ − Y β) = Δ + γ x̄",
            Self::GeneratorSum => "sum of generators Σ Y Γ = γ X",
        })
    }
}

/// The largest violations that [`Certificate::verify`] met and accepted, each relative to the magnitudes that enter it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct VerificationReport {
    /// Of `Λ_i C = H_i Γ_i`.
    pub rules: f64,
    /// Of `Λ_i d ≤ h_i + H_i β_i`; 0 when every bound holds as it stands.
    pub bounds: f64,
    /// Of `Σ_i (ȳ_i − Y_i β_i) = Δ + γ x̄`.
    pub centre_sum: f64,
    /// Of `Σ_i Y_i Γ_i = γ X`.
    pub generator_sum: f64,
}

impl VerificationReport {
    /// The largest of all.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.rules
            .max(self.bounds)
            .max(self.centre_sum)
            .max(self.generator_sum)
    }
}

/// Sizes against which residuals of the outer bases count, in base coordinates of each.
pub(super) struct Sizes {
    pub(super) outer: Vec<f64>,
    pub(super) inner: f64,
    /// The size of the largest outer set, in coordinates of the sum.
    pub(super) ambient: f64,
}

impl Sizes {
    pub(super) fn of(
        inner: &AhPolytope,
        outers: &[AhPolytope],
        centre: ArrayView1<'_, f64>,
    ) -> Self {
        let mut ambient = largest(centre);
        let own: Vec<(f64, f64)> = outers
            .iter()
            .map(|outer| (outer.base().typical_distance(), largest(outer.generators())))
            .collect();
        for (outer, (base, stretch)) in outers.iter().zip(&own) {
            ambient = ambient.max(largest(outer.centre())).max(base * stretch);
        }
        let inner = inner.base().typical_distance();
        Self {
            outer: own
                .iter()
                .map(|&(base, stretch)| {
                    if stretch > 0.0 {
                        base.max(ambient / stretch)
                    } else {
                        base
                    }
                })
                .collect(),
            inner: if inner > 0.0 { inner } else { 1.0 },
            ambient,
        }
    }
}

/// A sum that remembers its largest term.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    largest: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        self.value += term;
        self.largest = self.largest.max(term.abs());
    }

    fn add_products<'a>(
        &mut self,
        sign: f64,
        a: impl IntoIterator<Item = &'a f64>,
        b: impl IntoIterator<Item = &'a f64>,
    ) {
        for (a, b) in a.into_iter().zip(b) {
            self.add(sign * a * b);
        }
    }

    /// The violation relative to the largest term or the floor.
    fn relative(self, violation: f64, floor: f64) -> f64 {
        if violation == 0.0 {
            0.0
        } else {
            violation / self.largest.max(floor)
        }
    }
}

/// Where a violation is.
#[derive(Clone, Copy)]
struct Place {
    condition: Condition,
    outer: usize,
    row: usize,
    column: usize,
}

impl Place {
    /// Records a violation, or refuses it. A NaN is refused.
    fn accept(self, amount: f64, tolerance: f64, worst: &mut f64) -> Result<(), Error> {
        if amount <= tolerance {
            *worst = worst.max(amount);
            Ok(())
        } else {
            Err(Error::NotVerified {
                condition: self.condition,
                amount,
                tolerance,
                outer: self.outer,
                row: self.row,
                column: self.column,
            })
        }
    }
}

impl Certificate {
    /// Checks every equation and inequality of the [module](super) against the sets, by arithmetic alone. `Ok` means that
    /// `Δ + γ·inner ⊆ outers[0] ⊕ … ⊕ outers[N−1]` is proven, up to `tolerance`.
    ///
    /// `γ` and `Λ` must not be negative at all. Everything else is relative to the largest term that is added up, or to the
    /// size of the sets where the terms are smaller: the median distance of a row of an outer set from the origin, the
    /// largest one of all outer sets (a vehicle that is away is measured like the others). A point of the inner set
    /// then leaves its outer sets by at most about that part of their size. Default tolerance: [`DEFAULT_TOLERANCE`](super::DEFAULT_TOLERANCE). Nothing is repaired.
    ///
    /// # Errors
    /// [`Error::NotVerified`] with the first condition that fails and its place; [`Error::Shape`] and
    /// [`Error::NotFinite`] when the certificate does not fit the sets; [`Error::Domain`] for the tolerance.
    pub fn verify(
        &self,
        inner: &AhPolytope,
        outers: &[AhPolytope],
        tolerance: f64,
    ) -> Result<VerificationReport, Error> {
        check_tolerance(tolerance)?;
        self.check_shapes(inner, outers)?;
        let mut report = VerificationReport::default();
        let place = |condition, outer, row, column| Place {
            condition,
            outer,
            row,
            column,
        };
        let mut none = 0.0;
        let negative = (-self.gamma).max(0.0);
        place(Condition::Scale, 0, 0, 0).accept(negative, 0.0, &mut none)?;
        let sizes = Sizes::of(inner, outers, self.centre.view());
        let (c, d) = (inner.base().normals(), inner.base().offsets());
        for (i, outer) in outers.iter().enumerate() {
            let (lambda, map, beta) = (&self.lambda[i], &self.gamma_maps[i], &self.beta[i]);
            if let Some(((row, column), value)) = lambda.indexed_iter().find(|(_, v)| **v < 0.0) {
                place(Condition::Multipliers, i, row, column).accept(-value, 0.0, &mut none)?;
            }
            let (h, offsets) = (outer.base().normals(), outer.base().offsets());
            for (k, normal) in h.rows().into_iter().enumerate() {
                let floor = largest(normal) * sizes.outer[i];
                for j in 0..c.ncols() {
                    let mut sum = Sum::default();
                    sum.add_products(1.0, lambda.row(k), c.column(j));
                    sum.add_products(-1.0, normal, map.column(j));
                    let amount = sum.relative(sum.value.abs(), floor / sizes.inner);
                    place(Condition::Rules, i, k, j).accept(
                        amount,
                        tolerance,
                        &mut report.rules,
                    )?;
                }
                let mut sum = Sum::default();
                sum.add_products(1.0, lambda.row(k), d);
                sum.add_products(-1.0, normal, beta);
                sum.add(-offsets[k]);
                let amount = sum.relative(at_least_zero(sum.value), floor);
                place(Condition::Bounds, i, k, 0).accept(amount, tolerance, &mut report.bounds)?;
            }
        }
        self.verify_sums(inner, outers, &sizes, tolerance, &mut report)?;
        Ok(report)
    }

    fn verify_sums(
        &self,
        inner: &AhPolytope,
        outers: &[AhPolytope],
        sizes: &Sizes,
        tolerance: f64,
        report: &mut VerificationReport,
    ) -> Result<(), Error> {
        for n in 0..inner.dimension() {
            let mut sum = Sum::default();
            sum.add(-self.centre[n]);
            sum.add(-self.gamma * inner.centre()[n]);
            for (outer, beta) in outers.iter().zip(&self.beta) {
                sum.add(outer.centre()[n]);
                sum.add_products(-1.0, outer.generators().row(n), beta);
            }
            Place {
                condition: Condition::CentreSum,
                outer: 0,
                row: n,
                column: 0,
            }
            .accept(
                sum.relative(sum.value.abs(), sizes.ambient),
                tolerance,
                &mut report.centre_sum,
            )?;
            for j in 0..inner.base().dimension() {
                let mut sum = Sum::default();
                sum.add(-self.gamma * inner.generators()[[n, j]]);
                for (outer, map) in outers.iter().zip(&self.gamma_maps) {
                    sum.add_products(1.0, outer.generators().row(n), map.column(j));
                }
                Place {
                    condition: Condition::GeneratorSum,
                    outer: 0,
                    row: n,
                    column: j,
                }
                .accept(
                    sum.relative(sum.value.abs(), sizes.ambient / sizes.inner),
                    tolerance,
                    &mut report.generator_sum,
                )?;
            }
        }
        Ok(())
    }

    fn check_shapes(&self, inner: &AhPolytope, outers: &[AhPolytope]) -> Result<(), Error> {
        if outers.is_empty() {
            return Err(Error::Nothing {
                what: "the list of outer sets",
                unit: "set",
            });
        }
        for (what, found) in [
            ("multipliers Λ, one per outer set", self.lambda.len()),
            ("maps Γ, one per outer set", self.gamma_maps.len()),
            ("offsets β, one per outer set", self.beta.len()),
        ] {
            check_count(what, outers.len(), found)?;
        }
        check_count(
            "entries of the centre",
            inner.dimension(),
            self.centre.len(),
        )?;
        check_vector("the centre", self.centre.view())?;
        check_vector("the scale", ArrayView1::from(&[self.gamma]))?;
        for ((outer, lambda), (map, beta)) in outers
            .iter()
            .zip(&self.lambda)
            .zip(self.gamma_maps.iter().zip(&self.beta))
        {
            check_count(
                "dimension of an outer set",
                inner.dimension(),
                outer.dimension(),
            )?;
            let (base, own) = (inner.base(), outer.base());
            matches("Λ", lambda.view(), own.rows(), base.rows())?;
            matches("Γ", map.view(), own.dimension(), base.dimension())?;
            check_count("entries of β", own.dimension(), beta.len())?;
            check_vector("β", beta.view())?;
        }
        Ok(())
    }
}

fn matches(
    what: &'static str,
    matrix: ArrayView2<'_, f64>,
    rows: usize,
    columns: usize,
) -> Result<(), Error> {
    check_count(what, rows, matrix.nrows())?;
    check_count(what, columns, matrix.ncols())?;
    check_matrix(what, matrix)
}

/// `max(value, 0)` that keeps a NaN.
fn at_least_zero(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}
