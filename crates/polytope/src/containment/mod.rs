//! Whether one set lies in another, or in a sum of others, with a certificate that a reader's own arithmetic checks.
//!
//! With `inner = {x̄ + X ξ : C ξ ≤ d}` and `outer_i = {ȳ_i + Y_i η : H_i η ≤ h_i}`, a [`Certificate`] holds a scale
//! `γ ≥ 0`, a centre `Δ` and matrices `Λ_i ≥ 0`, `Γ_i`, vectors `β_i` with (Sadraddini and Tedrake 2019, Theorem 1;
//! `thanvantri2025`, eq. 9 and 10)
//!
//! ```text
//! Λ_i C = H_i Γ_i                   the rule η_i(ξ) = Γ_i ξ − β_i ...                            (9a, 10b)
//! Λ_i d ≤ h_i + H_i β_i             ... keeps the bounds of outer set i                          (9b, 10c)
//! Σ_i (ȳ_i − Y_i β_i) = Δ + γ x̄     the rules add up to Δ + γ x ...                              (9c, 10d)
//! Σ_i Y_i Γ_i = γ X                 ... for every ξ                                              (9d, 10e)
//! ```
//!
//! Then `Δ + γ·inner ⊆ outer_1 ⊕ … ⊕ outer_N`: a point `x = x̄ + X ξ` of the inner set gives `H_i η_i(ξ) = Λ_i C ξ − H_i β_i
//! ≤ Λ_i d − H_i β_i ≤ h_i`, and the points `ȳ_i + Y_i η_i(ξ)` add up to `Δ + γ x`. So a certificate is a set of affine
//! disaggregation rules as well ([`Certificate::disaggregate`]).
//!
//! The condition is sufficient. It is also necessary for a single outer set whose `Y` has independent columns (and an inner
//! base that is full-dimensional); an outer H-polytope is decided by one support value per row ([`certify_in_h`],
//! [`scale_in_h`]). For sums it is only sufficient: "not
//! certified" is not "not contained", and [`Containment`] keeps the two apart.
//!
//! # From a solver's answer to a certificate
//! A linear program is solved to a tolerance; what is called certified has been made consistent by arithmetic
//! afterwards: negative multipliers become 0, the sums are restored, `Λ_i` is corrected so that the rules hold,
//! and where a bound is still missed by a residual, the whole certificate is mixed with one of scale 0 that has slack,
//! which costs a little of `γ`. Where there is no scale to give (sets that touch), linear programs around the numbers,
//! enlarged until the residual has size 1, correct them. Then [`Certificate::verify`] decides, and nothing else does.

mod blocks;
mod exact;
mod formulation;
mod image;
mod repair;
mod verify;

use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

pub use exact::{certify_in_h, scale_in_h};
pub use formulation::{Formulation, Sensitivity};
pub use image::{AffineImage, largest_affine_image};
pub use verify::{Condition, VerificationReport};

use crate::error::{check_count, check_point};
use crate::linear::largest;
use crate::{AhPolytope, Error, Membership};
use formulation::Answer;
use repair::Candidate;

/// The relative tolerance at which certificates are verified before they are handed out.
pub const DEFAULT_TOLERANCE: f64 = 1e-9;

/// The largest scale that a plain containment question asks for: beyond 1, more scale only means more slack.
const ENOUGH: f64 = 2.0;

/// The part of the scale that may be given up for a bound before anything else is tried.
const CHEAP: f64 = 1e-4;

/// How far below 1 a scale may end for the certificate of scale 1 to be tried all the same.
const NEARLY: f64 = 1e-6;

/// Numbers that prove `Δ + γ·inner ⊆ outer_1 ⊕ … ⊕ outer_N`; see the [module](self) for the conditions.
///
/// They are public to be stored, inspected and sent; [`verify`](Self::verify) is what makes them a proof.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Certificate {
    /// The scale `γ` of the inner set.
    pub gamma: f64,
    /// `Δ`, where the origin of the inner set comes to lie: one entry per dimension.
    pub centre: Array1<f64>,
    /// `Λ_i`, one row per inequality of outer base i, one column per inequality of the inner base.
    pub lambda: Vec<Array2<f64>>,
    /// `Γ_i`, one row per coordinate of outer base i, one column per coordinate of the inner base.
    pub gamma_maps: Vec<Array2<f64>>,
    /// `β_i`, one entry per coordinate of outer base i.
    pub beta: Vec<Array1<f64>>,
}

impl Certificate {
    /// The rules `η_i(ξ) = Γ_i ξ − β_i` at one point: base coordinates `ξ` of the inner set in (`(x, z)` for a lifted
    /// set, `x` itself for an H-polytope), base coordinates of every outer set out (for outer H-polytopes: the points, which add up
    /// to `Δ + γ x`).
    ///
    /// By arithmetic; that the results are in their sets is what [`verify`](Self::verify) established.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NotFinite`] for a bad point.
    pub fn disaggregate(&self, point: ArrayView1<'_, f64>) -> Result<Vec<Array1<f64>>, Error> {
        let columns = self.gamma_maps.first().map_or(0, Array2::ncols);
        check_point("the base coordinates", columns, point)?;
        self.gamma_maps
            .iter()
            .zip(&self.beta)
            .map(|(map, beta)| {
                check_count("rows of a rule", beta.len(), map.nrows())?;
                check_count("columns of a rule", columns, map.ncols())?;
                Ok(map.dot(&point) - beta)
            })
            .collect()
    }

    /// Splits a point of `Δ + γ·inner` into points of the outer sets, `ȳ_i + Y_i η_i(ξ)`, which add up to it.
    ///
    /// The base coordinates `ξ` are found first: directly when the inner set is an H-polytope, otherwise by the linear
    /// program of [`AhPolytope::contains`], and then the sum is as accurate as its answer.
    ///
    /// # Errors
    /// [`Error::Outside`] when the point is farther than `tolerance` (in the unit of the set) from `Δ + γ·inner`;
    /// [`Error::Shape`] when the certificate belongs to other sets; [`Error::Domain`] for a scale of 0;
    /// [`Error::Solver`].
    pub fn split(
        &self,
        inner: &AhPolytope,
        outers: &[AhPolytope],
        point: ArrayView1<'_, f64>,
        tolerance: f64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Vec<Array1<f64>>, Error> {
        check_count("outer sets", self.beta.len(), outers.len())?;
        check_count(
            "dimension of the inner set",
            self.centre.len(),
            inner.dimension(),
        )?;
        check_point("the point", inner.dimension(), point)?;
        if self.gamma <= 0.0 || !self.gamma.is_finite() {
            return Err(Error::Domain {
                what: "the scale of the certificate",
                value: self.gamma,
                domain: "positive, for points to have coordinates in the inner set",
            });
        }
        let relative = (&point - &self.centre) / self.gamma;
        let tolerance = tolerance / self.gamma;
        let answer = if is_identity(inner.generators()) {
            inner
                .base()
                .contains((relative - inner.centre()).view(), tolerance)?
        } else {
            inner.contains(relative.view(), tolerance, solver, options)?
        };
        match answer {
            Membership::Outside(separation) => Err(Error::Outside {
                what: "the point to be split",
                excess: separation.excess() * self.gamma,
            }),
            Membership::Inside { coordinates } => self
                .disaggregate(coordinates.view())?
                .iter()
                .zip(outers)
                .map(|(eta, outer)| outer.image_of(eta.view()))
                .collect(),
        }
    }
}

fn is_identity(matrix: ArrayView2<'_, f64>) -> bool {
    matrix.is_square()
        && matrix.indexed_iter().all(|((row, column), &value)| {
            value.to_bits() == f64::from(u8::from(row == column)).to_bits()
        })
}

/// A point of the inner set that is not in the outer one, and what separates it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counterexample {
    /// The point, of `inner` (or of `Δ + γ·inner`).
    pub witness: Array1<f64>,
    /// `direction·witness` exceeds ...
    pub direction: Array1<f64>,
    /// ... the outer set's support value in that direction by this much.
    pub excess: f64,
}

/// Why there is no certificate. The set may be contained nevertheless.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Shortfall {
    /// Affine rules reach only this scale about a point of the inner set, less than 1.
    Scale {
        /// The largest scale found.
        gamma: f64,
    },
    /// No scale at all has affine rules.
    NoScale,
    /// The solver's numbers could not be made consistent within the tolerance.
    Residual {
        /// The condition that failed.
        condition: Condition,
        /// Its violation, relative to the magnitudes that enter it.
        amount: f64,
        /// What was allowed.
        tolerance: f64,
    },
}

/// The answer to "is this set inside that one?".
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Containment {
    /// Contained, and this certificate has just been verified.
    Certified(Certificate),
    /// No certificate was found; nothing is proven either way.
    NotCertified(Shortfall),
    /// Not contained, and this point shows it (to the accuracy of the solver).
    NotContained(Counterexample),
}

impl Containment {
    /// Whether a certificate was found.
    #[must_use]
    pub fn is_certified(&self) -> bool {
        matches!(self, Self::Certified(_))
    }

    /// The certificate, when there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certified(certificate) => Some(certificate),
            _ => None,
        }
    }

    /// The point that is not contained, when there is one.
    #[must_use]
    pub fn counterexample(&self) -> Option<&Counterexample> {
        match self {
            Self::NotContained(counterexample) => Some(counterexample),
            _ => None,
        }
    }
}

/// The answer to "how far can this set be scaled inside that one?".
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The certificate with its `γ`, or why there is none.
    pub containment: Containment,
    /// The optimal value of the linear program, before anything was shrunk: compare it with the certificate's `γ`, and
    /// claim only the latter. `None` when the solver stopped before it had proven an optimum.
    pub optimum: Option<f64>,
    /// How the optimum moves with the data, when the solver reported duals.
    pub sensitivity: Option<Sensitivity>,
}

/// How certificates are sought: the solver, its options, the tolerance and the form of the linear program.
///
/// [`certify_containment`], [`certify_sum_containment`] and [`certify_scaling`] use the defaults.
#[derive(Clone)]
pub struct Certifier<'a> {
    solver: &'a dyn Solver,
    options: Options,
    tolerance: f64,
    formulation: Formulation,
}

impl<'a> Certifier<'a> {
    /// With [`DEFAULT_TOLERANCE`] and [`Formulation::AsWritten`].
    #[must_use]
    pub fn new(solver: &'a dyn Solver, options: &Options) -> Self {
        Self {
            solver,
            options: options.clone(),
            tolerance: DEFAULT_TOLERANCE,
            formulation: Formulation::default(),
        }
    }

    /// The relative tolerance of [`Certificate::verify`].
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The form of the linear program; both have the same optimum.
    #[must_use]
    pub fn formulation(mut self, formulation: Formulation) -> Self {
        self.formulation = formulation;
        self
    }

    /// Seeks a certificate that `inner ⊆ outers[0] ⊕ … ⊕ outers[N−1]` (`γ = 1`, `Δ = 0`).
    ///
    /// The question is put as a scaling about a point of the inner set: the scale reached says by how much the
    /// containment holds or fails, and a scale beyond 1 leaves slack for rounding.
    ///
    /// # Errors
    /// [`Error::Nothing`] without outer sets, [`Error::Shape`] if dimensions differ, [`Error::Empty`] and
    /// [`Error::Unbounded`] for the inner set, [`Error::Domain`] for the tolerance, [`Error::Solver`].
    pub fn containment(
        &self,
        inner: &AhPolytope,
        outers: &[AhPolytope],
    ) -> Result<Containment, Error> {
        check_task(inner, outers, self.tolerance)?;
        // A point of the inner set, in the middle of its base.
        let xi = inner.base().chebyshev(self.solver, &self.options)?.centre;
        let middle = inner.image_of(xi.view())?;
        let recentred = inner.translate((-&middle).view())?;
        let task = Task {
            inner: &recentred,
            outers,
            centre: middle.view(),
        };
        let answer = formulation::solve(&task, Some(ENOUGH), self)?;
        let Some(Answer {
            candidate,
            direction,
            ..
        }) = answer
        else {
            // Scale 0 asks only that the middle is in the sum.
            return self.point_outside(middle, outers);
        };
        let optimum = candidate.gamma;
        let mut best = repair::finish(&task, candidate.clone(), CHEAP, self)?;
        if best.gamma >= 1.0 {
            best.shrink_towards(1.0, xi.view());
        } else if optimum >= 1.0 - NEARLY {
            best = candidate;
            best.gamma = 1.0;
            best.drop_negative();
        } else {
            if let Some(counterexample) = self.counterexample(inner, outers, direction)? {
                return Ok(Containment::NotContained(counterexample));
            }
            return Ok(Containment::NotCertified(Shortfall::Scale {
                gamma: optimum,
            }));
        }
        // About the origin again: the conditions are the same, their rounding is not.
        let origin = Array1::zeros(inner.dimension());
        let task = Task {
            inner,
            outers,
            centre: origin.view(),
        };
        repair::make_consistent(&task, &mut best, self)?;
        self.judge(&task, best)
    }

    /// Seeks the largest `γ` with `centre + γ·inner ⊆ outers[0] ⊕ … ⊕ outers[N−1]`, in the sense of affine rules
    /// (`thanvantri2025`, eq. 10): a lower bound on the largest scale there is.
    ///
    /// When the inner set contains the origin, every smaller scale is contained as well.
    ///
    /// # Errors
    /// [`Error::Nothing`] without outer sets, [`Error::Shape`] if dimensions differ, [`Error::UnboundedScaling`] when
    /// every scale fits, [`Error::Domain`] for the tolerance, [`Error::Solver`].
    pub fn scaling(
        &self,
        inner: &AhPolytope,
        outers: &[AhPolytope],
        centre: ArrayView1<'_, f64>,
    ) -> Result<Scaling, Error> {
        check_task(inner, outers, self.tolerance)?;
        check_point("the centre", inner.dimension(), centre)?;
        let task = Task {
            inner,
            outers,
            centre,
        };
        let mut found = None;
        if self.formulation == Formulation::Blocks {
            found = blocks::solve(&task, &self.options)?;
        }
        if found.is_none() {
            found = formulation::solve(&task, None, self)?;
        }
        let Some(answer) = found else {
            let origin = Array1::zeros(inner.dimension());
            let tolerance = self.options.tolerance * (1.0 + largest(centre));
            let containment = if inner
                .contains(origin.view(), tolerance, self.solver, &self.options)?
                .is_inside()
            {
                self.point_outside(centre.to_owned(), outers)?
            } else {
                Containment::NotCertified(Shortfall::NoScale)
            };
            return Ok(Scaling {
                containment,
                optimum: None,
                sensitivity: None,
            });
        };
        Ok(Scaling {
            containment: self.sell(&task, answer.candidate)?,
            optimum: answer.optimum,
            sensitivity: answer.sensitivity,
        })
    }

    /// A certificate for as little scale as possible: bounds that are missed are bought where that is cheap and corrected
    /// elsewhere, and only if that does not verify, bought at any price.
    fn sell(&self, task: &Task<'_>, candidate: Candidate) -> Result<Containment, Error> {
        let optimum = candidate.gamma;
        let mut answer = Containment::NotCertified(Shortfall::NoScale);
        for most in [CHEAP, 1.0] {
            let best = repair::finish(task, candidate.clone(), most, self)?;
            tracing::debug!(optimum, kept = best.gamma, most, "scale by affine rules");
            answer = self.judge(task, best)?;
            if answer.is_certified() {
                break;
            }
        }
        Ok(answer)
    }

    /// The certificate if it verifies, as it is or after corrections, and otherwise what is wrong with it.
    fn judge(&self, task: &Task<'_>, candidate: Candidate) -> Result<Containment, Error> {
        let verdict = |candidate: Candidate| {
            let certificate = candidate.into_certificate(task.centre.to_owned());
            match certificate.verify(task.inner, task.outers, self.tolerance) {
                Ok(_) => Ok(Containment::Certified(certificate)),
                Err(Error::NotVerified {
                    condition,
                    amount,
                    tolerance,
                    ..
                }) => Ok(Containment::NotCertified(Shortfall::Residual {
                    condition,
                    amount,
                    tolerance,
                })),
                Err(error) => Err(error),
            }
        };
        let answer = verdict(candidate.clone())?;
        if answer.is_certified() {
            return Ok(answer);
        }
        verdict(repair::refine(task, &candidate, self)?)
    }

    /// The proof that a point is not in the sum, or the admission that the solver could not decide.
    fn point_outside(
        &self,
        point: Array1<f64>,
        outers: &[AhPolytope],
    ) -> Result<Containment, Error> {
        let sum = AhPolytope::minkowski_sum(outers)?;
        let membership = sum.contains(point.view(), 0.0, self.solver, &self.options)?;
        Ok(match membership.separation() {
            Some(separation) if separation.excess() > self.trusted(&point, outers) => {
                Containment::NotContained(Counterexample {
                    direction: separation.direction.clone(),
                    excess: separation.excess(),
                    witness: point,
                })
            }
            _ => Containment::NotCertified(Shortfall::NoScale),
        })
    }

    /// The excess from which on a solver's numbers prove something, against the size of the sets.
    fn trusted(&self, point: &Array1<f64>, outers: &[AhPolytope]) -> f64 {
        let ambient = outers.iter().fold(largest(point), |size, outer| {
            size.max(largest(outer.centre()))
                .max(largest(outer.generators()) * outer.base().typical_distance())
        });
        100.0 * self.options.tolerance * ambient
    }

    /// Looks for a point of the inner set beyond the sum, in the direction that limits the scale.
    fn counterexample(
        &self,
        inner: &AhPolytope,
        outers: &[AhPolytope],
        direction: Option<Array1<f64>>,
    ) -> Result<Option<Counterexample>, Error> {
        let Some(direction) = direction else {
            return Ok(None);
        };
        let size = largest(&direction);
        if size == 0.0 {
            return Ok(None);
        }
        for sign in [1.0, -1.0] {
            let direction = &direction * (sign / size);
            let far = inner.support(direction.view(), self.solver, &self.options)?;
            let mut bound = 0.0;
            for outer in outers {
                bound += outer
                    .support(direction.view(), self.solver, &self.options)?
                    .value;
            }
            let excess = far.value - bound;
            if excess > self.trusted(&far.point, outers) {
                return Ok(Some(Counterexample {
                    witness: far.point,
                    direction,
                    excess,
                }));
            }
        }
        Ok(None)
    }
}

/// Seeks a certificate that `inner ⊆ outer`, by one linear program.
///
/// ```
/// use evflex_polytope::{HPolytope, certify_containment};
/// use evflex_solver::{Clarabel, Options};
/// let inner = HPolytope::hyperbox(&[0.0, 0.0], &[1.0, 1.0])?.into();
/// let outer = HPolytope::hyperbox(&[-1.0, -1.0], &[2.0, 1.0])?.into(); // they touch
/// let answer = certify_containment(&inner, &outer, &Clarabel::default(), &Options::default())?;
/// let certificate = answer.certificate().expect("it is inside");
/// assert!(certificate.verify(&inner, &[outer], 1e-9).is_ok());
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
///
/// # Errors
/// As [`Certifier::containment`].
pub fn certify_containment(
    inner: &AhPolytope,
    outer: &AhPolytope,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Containment, Error> {
    certify_sum_containment(inner, std::slice::from_ref(outer), solver, options)
}

/// Seeks a certificate that `inner ⊆ outers[0] ⊕ … ⊕ outers[N−1]`, without computing the sum.
///
/// # Errors
/// As [`Certifier::containment`].
pub fn certify_sum_containment(
    inner: &AhPolytope,
    outers: &[AhPolytope],
    solver: &dyn Solver,
    options: &Options,
) -> Result<Containment, Error> {
    Certifier::new(solver, options).containment(inner, outers)
}

/// Seeks the largest `γ` with `centre + γ·inner ⊆ outers[0] ⊕ … ⊕ outers[N−1]`, by affine rules.
///
/// ```
/// use evflex_polytope::{HPolytope, certify_scaling};
/// use evflex_solver::{Clarabel, Options};
/// use ndarray::array;
/// // How large a square fits into the sum of a flat and a tall box?
/// let square = HPolytope::hyperbox(&[-1.0, -1.0], &[1.0, 1.0])?.into();
/// let boxes = [
///     HPolytope::hyperbox(&[0.0, 0.0], &[4.0, 1.0])?.into(),
///     HPolytope::hyperbox(&[0.0, 0.0], &[1.0, 5.0])?.into(),
/// ];
/// let centre = array![2.5, 3.0]; // of the sum [0, 5] × [0, 6]
/// let answer = certify_scaling(&square, &boxes, centre.view(), &Clarabel::default(), &Options::default())?;
/// let certificate = answer.containment.certificate().expect("it has a scale");
/// assert!((certificate.gamma - 2.5).abs() < 1e-6);
/// // The corner of the scaled square, split among the boxes.
/// let parts = certificate.disaggregate(array![1.0, 1.0].view())?;
/// assert!((&parts[0] + &parts[1] - array![5.0, 5.5]).iter().all(|off| off.abs() < 1e-5));
/// # Ok::<(), evflex_polytope::Error>(())
/// ```
///
/// # Errors
/// As [`Certifier::scaling`].
pub fn certify_scaling(
    inner: &AhPolytope,
    outers: &[AhPolytope],
    centre: ArrayView1<'_, f64>,
    solver: &dyn Solver,
    options: &Options,
) -> Result<Scaling, Error> {
    Certifier::new(solver, options).scaling(inner, outers, centre)
}

/// The problem `Δ + γ·inner ⊆ Σ outers`.
pub(crate) struct Task<'a> {
    pub(crate) inner: &'a AhPolytope,
    pub(crate) outers: &'a [AhPolytope],
    pub(crate) centre: ArrayView1<'a, f64>,
}

fn check_task(inner: &AhPolytope, outers: &[AhPolytope], tolerance: f64) -> Result<(), Error> {
    crate::error::check_tolerance(tolerance)?;
    if outers.is_empty() {
        return Err(Error::Nothing {
            what: "the list of outer sets",
            unit: "set",
        });
    }
    for outer in outers {
        check_count(
            "dimension of an outer set",
            inner.dimension(),
            outer.dimension(),
        )?;
    }
    Ok(())
}
