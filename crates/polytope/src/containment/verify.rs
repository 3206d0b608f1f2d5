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

/// What counts as a size where the terms of a bound or of the sum of centres are themselves near zero, in base coordinates of each
/// outer set and in coordinates of the sum. Made of what the rules do (`β`, `Γ` times the nearest row of the inner
/// base) and the nearest row of the outer base that misses the origin: rows far away, as good as infinite, cannot make the check lax.
struct Sizes {
    outer: Vec<f64>,
    ambient: f64,
}

impl Sizes {
    fn of(certificate: &Certificate, inner: &AhPolytope, outers: &[AhPolytope]) -> Self {
        let reach = inner.base().nearest_distance();
        let mut ambient = largest(&certificate.centre);
        let mut own = Vec::with_capacity(outers.len());
        for (i, outer) in outers.iter().enumerate() {
            let base = outer
                .base()
                .nearest_distance()
                .max(largest(&certificate.beta[i]))
                .max(largest(&certificate.gamma_maps[i]) * reach);
            let stretch = largest(outer.generators());
            ambient = ambient.max(largest(outer.centre())).max(base * stretch);
            own.push((base, stretch));
        }
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
    /// `γ` and `Λ` must not be negative at all. Everything else is relative:
    ///
    /// | condition | counts against the largest of |
    /// |---|---|
    /// | rules | the terms in the rules of the same outer set, per length of the row of `H` |
    /// | bounds | its own terms; the size of the sets, as below |
    /// | sum of centres | its own terms; the size of the sets |
    /// | sum of generators | the terms in the same coordinate |
    ///
    /// The size of an outer set is the largest of `|β|`, the nearest row that misses the origin, and `|Γ|` times the nearest such row of
    /// the inner base; the largest outer set lends its size to the others, so that a vehicle that is away is measured
    /// like the rest. A point of the inner set then leaves its outer sets by at most about `tolerance` times their size.
    /// Default tolerance: [`DEFAULT_TOLERANCE`](super::DEFAULT_TOLERANCE). Nothing is repaired.
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
        let sizes = Sizes::of(self, inner, outers);
        for (i, outer) in outers.iter().enumerate() {
            let lambda = &self.lambda[i];
            if let Some(((row, column), value)) = lambda.indexed_iter().find(|(_, v)| **v < 0.0) {
                place(Condition::Multipliers, i, row, column).accept(-value, 0.0, &mut none)?;
            }
            self.verify_rules(i, inner, outer, tolerance, &mut report.rules)?;
            let d = inner.base().offsets();
            let (h, offsets) = (outer.base().normals(), outer.base().offsets());
            for (k, normal) in h.rows().into_iter().enumerate() {
                let mut sum = Sum::default();
                sum.add_products(1.0, lambda.row(k), d);
                sum.add_products(-1.0, normal, &self.beta[i]);
                sum.add(-offsets[k]);
                let floor = largest(normal) * sizes.outer[i];
                let amount = sum.relative(at_least_zero(sum.value), floor);
                place(Condition::Bounds, i, k, 0).accept(amount, tolerance, &mut report.bounds)?;
            }
        }
        for n in 0..inner.dimension() {
            let mut sum = Sum::default();
            sum.add(-self.centre[n]);
            sum.add(-self.gamma * inner.centre()[n]);
            for (outer, beta) in outers.iter().zip(&self.beta) {
                sum.add(outer.centre()[n]);
                sum.add_products(-1.0, outer.generators().row(n), beta);
            }
            let amount = sum.relative(sum.value.abs(), sizes.ambient);
            place(Condition::CentreSum, 0, n, 0).accept(
                amount,
                tolerance,
                &mut report.centre_sum,
            )?;
            let sums: Vec<Sum> = (0..inner.base().dimension())
                .map(|j| {
                    let mut sum = Sum::default();
                    sum.add(-self.gamma * inner.generators()[[n, j]]);
                    for (outer, map) in outers.iter().zip(&self.gamma_maps) {
                        sum.add_products(1.0, outer.generators().row(n), map.column(j));
                    }
                    sum
                })
                .collect();
            let floor = sums
                .iter()
                .fold(0.0_f64, |floor, sum| floor.max(sum.largest));
            for (j, sum) in sums.iter().enumerate() {
                let amount = sum.relative(sum.value.abs(), floor);
                place(Condition::GeneratorSum, 0, n, j).accept(
                    amount,
                    tolerance,
                    &mut report.generator_sum,
                )?;
            }
        }
        Ok(report)
    }

    /// `Λ_i C = H_i Γ_i` for one outer set.
    fn verify_rules(
        &self,
        i: usize,
        inner: &AhPolytope,
        outer: &AhPolytope,
        tolerance: f64,
        worst: &mut f64,
    ) -> Result<(), Error> {
        let (c, h) = (inner.base().normals(), outer.base().normals());
        let mut sums = Vec::with_capacity(h.nrows() * c.ncols());
        let mut scale = 0.0_f64;
        for (k, normal) in h.rows().into_iter().enumerate() {
            let length = match largest(normal) {
                0.0 => 1.0,
                length => length,
            };
            for j in 0..c.ncols() {
                let mut sum = Sum::default();
                sum.add_products(1.0, self.lambda[i].row(k), c.column(j));
                sum.add_products(-1.0, normal, self.gamma_maps[i].column(j));
                scale = scale.max(sum.largest / length);
                sums.push((k, j, length, sum));
            }
        }
        for (row, column, length, sum) in sums {
            let place = Place {
                condition: Condition::Rules,
                outer: i,
                row,
                column,
            };
            let amount = sum.relative(sum.value.abs(), scale * length);
            place.accept(amount, tolerance, worst)?;
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
