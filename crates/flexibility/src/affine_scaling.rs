//! How far a set can be scaled inside the aggregate set by affine rules: one for every vehicle.
//!
//! The linear program (10) of `thanvantri2025` (Sadraddini and Tedrake 2019, Theorem 1) seeks the largest γ for which rules
//! `u_i = P_i x + p_i` with `Σ P_i = γ I`, `Σ p_i = Δ` keep every vehicle within its bounds for every `x` of `F`. Then
//! `γF + Δ ⊆ U`, and the rules disaggregate every profile of `γF + Δ` by one product per vehicle. Rules that are affine do
//! not reach all of `U`: γ is a lower bound on the exact scale ([`FleetPolymatroid::exact_scaling`](crate::FleetPolymatroid::exact_scaling)).

use std::collections::HashMap;

use evflex_fleet::{Fleet, Schedule};
use evflex_polytope::{AhPolytope, Certificate, Certifier, Formulation, HPolytope, Sensitivity};
use evflex_solver::{Options, Solver};
use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate, s};

use crate::{
    affine::AffineMap,
    energy_form::EnergyForm,
    error::{Error, check_profile},
    scaling::{InnerPolytope, SetGradient},
    support_simplex::SupportSimplex,
    vehicle_set::VehicleSet,
};

/// How the linear program is written and solved. All forms have the same optimum.
///
/// With T steps, N distinct vehicles and m rows of the inner set, the program has this many rows:
///
/// | form | rows |
/// |---|---|
/// | [`AsWritten`](Self::AsWritten) | `4TN (T + m + 1) + T (T + m + 1)` |
/// | [`Eliminated`](Self::Eliminated) | `4TN (T + 1) + T (T + 1)` |
/// | [`Energies`](Self::Energies) | fewer, with two entries per row of a vehicle at most |
/// | [`Blocks`](Self::Blocks) | as `Energies`, but never written down |
///
/// Vehicles that are away for a while, or whose energy at departure is given, have sets without an interior. The first two forms
/// leave these as they are, and then a solver's answer often cannot be made consistent ([`Error::NotCertified`]);
/// the last two leave out what cannot move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffineForm {
    /// As the paper writes it: F lifted with one auxiliary variable per row, as the sublevel set of a network, the vehicles with
    /// `H = (L; −L; I; −I)` over powers.
    AsWritten,
    /// The auxiliary variables eliminated: F as the H-polytope that it is.
    Eliminated,
    /// The vehicles over energies, where their rows have one or two entries, without the rows and the directions that they do not
    /// need.
    Energies,
    /// [`Energies`](Self::Energies), solved vehicle by vehicle by the method of [`Formulation::Blocks`]: the solver is only
    /// asked where that method does not end.
    #[default]
    Blocks,
}

/// `γF + Δ ⊆ U` by affine rules, with the certificate that proves it.
///
/// ```
/// use evflex_flexibility::{AffineForm, AffineScaling, FleetPolymatroid, InnerPolytope};
/// use evflex_solver::{Clarabel, Options};
/// use ndarray::{Array1, Array2};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fleet = evflex_fleet::synthetic::Population::new(evflex_fleet::TimeGrid::new(4, evflex_fleet::Hours(1.0))?, 3).generate(1)?;
/// let exact = FleetPolymatroid::exact(&fleet)?;
/// let (low, high) = exact.band_kw();
/// let centre = exact.support(Array1::ones(4).view())?.profile_kw * 0.5
///     + exact.support(Array1::from_elem(4, -1.0).view())?.profile_kw * 0.5;
/// // Every profile within a quarter of the band around the centre, as far as the fleet can follow.
/// let set = InnerPolytope::new(Array2::eye(4), (&high - &low) / 4.0, (&low - &high) / 4.0, (&high - &low) / 4.0)?;
/// let answer = AffineScaling::seek(&fleet, &set, centre.view(), AffineForm::Blocks, &Clarabel::default(), &Options::default())?;
/// assert!(answer.verify(&fleet, &set, 1e-9).is_ok());
/// assert!(answer.gamma() <= exact.exact_scaling(&set, centre.view())?.gamma * (1.0 + 1e-9));
/// let schedule = answer.disaggregate(centre.view(), 1e-6)?; // one power per vehicle and step
/// assert!(schedule.check(&fleet, 1e-6)?.is_feasible());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AffineScaling {
    fleet: Fleet,
    set: InnerPolytope,
    centre: Array1<f64>,
    form: AffineForm,
    certificate: Certificate,
    optimum: Option<f64>,
    gradient: Option<SetGradient>,
    class_of_vehicle: Vec<usize>,
    /// One rule per class.
    rules: Vec<AffineMap>,
}

impl AffineScaling {
    /// The largest γ by affine rules. Vehicles with equal sets are one outer set, `n` times as large: the rules that are best for their
    /// sum are the same for all of them (the mean of different rules would be as good), so γ is the same.
    ///
    /// `solver` answers the program, and in the form [`AffineForm::Blocks`] the small ones that make the numbers consistent.
    ///
    /// # Errors
    /// [`Error::Lossy`]; [`Error::Length`], [`Error::NotFinite`] for the centre; [`Error::CentreOutside`];
    /// [`Error::UnboundedScaling`] if `F` is the origin alone; [`Error::NotCertified`] if no verified certificate came out;
    /// [`Error::Polytope`] and [`Error::Solver`].
    pub fn seek(
        fleet: &Fleet,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
        form: AffineForm,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let task = Task::new(fleet, set, centre, form)?;
        let formulation = match form {
            AffineForm::Blocks => Formulation::Blocks,
            _ => Formulation::AsWritten,
        };
        let scaling = Certifier::new(solver, options)
            .formulation(formulation)
            .scaling(&task.inner, &task.outers, task.centre.view())
            .map_err(|error| match error {
                evflex_polytope::Error::UnboundedScaling => Error::UnboundedScaling,
                error => Error::Polytope(error),
            })?;
        let Some(certificate) = scaling.containment.certificate() else {
            Task::centre_inside(fleet, centre)?;
            return Err(Error::NotCertified {
                reason: format!("{:?}", scaling.containment),
            });
        };
        let rules = task.rules(certificate);
        Ok(Self {
            fleet: fleet.clone(),
            set: set.clone(),
            centre: centre.to_owned(),
            form,
            optimum: scaling.optimum,
            gradient: scaling
                .sensitivity
                .as_ref()
                .map(|sensitivity| task.gradient(sensitivity)),
            certificate: certificate.clone(),
            rules,
            class_of_vehicle: task.class_of_vehicle,
        })
    }

    /// γ, as certified.
    #[must_use]
    pub fn gamma(&self) -> f64 {
        self.certificate.gamma
    }

    /// The optimum of the linear program, before anything was shrunk; `None` when it was not proven. Claim only
    /// [`gamma`](Self::gamma).
    #[must_use]
    pub fn optimum(&self) -> Option<f64> {
        self.optimum
    }

    /// The multipliers and maps that prove γ. They belong to the sets in the form of [`form`](Self::form), one outer set per
    /// distinct vehicle that can move; [`verify`](Self::verify) makes these sets again.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The form that the program was written in.
    #[must_use]
    pub fn form(&self) -> AffineForm {
        self.form
    }

    /// How γ moves with the inner set and the centre, by the envelope theorem, when the solver reported multipliers.
    ///
    /// The derivatives exist where the multipliers of the program are unique; elsewhere these are one choice of many.
    #[must_use]
    pub fn gradient(&self) -> Option<&SetGradient> {
        self.gradient.as_ref()
    }

    /// The rule of a vehicle: it follows `P x + p` at the profile `γ x + Δ`, for every `x` of `F`; for a lifted `F` over the steps and
    /// auxiliary variables `(x, z)`. Vehicles in the order of the fleet.
    #[must_use]
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &AffineMap> {
        self.class_of_vehicle
            .iter()
            .map(|&class| &self.rules[class])
    }

    /// Makes the sets again from the fleet and checks every condition of the certificate, by arithmetic alone
    /// ([`Certificate::verify`]). `Ok` means that `γF + Δ ⊆ U` is proven, up to `tolerance` (relative).
    ///
    /// # Errors
    /// [`Error::Polytope`] with the first condition that fails and its place.
    pub fn verify(
        &self,
        fleet: &Fleet,
        set: &InnerPolytope,
        tolerance: f64,
    ) -> Result<evflex_polytope::VerificationReport, Error> {
        let task = Task::new(fleet, set, self.centre.view(), self.form)?;
        if task.centre != self.certificate.centre {
            return Err(Error::NotCertified {
                reason: "the certificate is about another centre".to_owned(),
            });
        }
        Ok(self
            .certificate
            .verify(&task.inner, &task.outers, tolerance)?)
    }

    /// One power per vehicle and step for a profile of `γF + Δ`: every vehicle follows its rule, no solver is asked.
    ///
    /// # Errors
    /// [`Error::Separated`] if the profile is more than `tolerance_kw` beyond a row or bound of `γF + Δ` (for a lifted `F`:
    /// short of the profile on the way from the centre);
    /// [`Error::Length`], [`Error::NotFinite`]; [`Error::Domain`] if γ is 0.
    pub fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
    ) -> Result<Schedule, Error> {
        check_profile("profile", profile, self.centre.len())?;
        let gamma = self.gamma();
        if gamma <= 0.0 {
            return Err(Error::Domain {
                what: "the scale of the certificate",
                value: gamma,
                domain: "positive, for rules to have something to follow",
            });
        }
        let x = (&profile - &self.centre) / gamma;
        let point = self.point_of(&x, tolerance_kw)?;
        let by_class: Vec<Array1<f64>> = self
            .rules
            .iter()
            .map(|rule| rule.apply(point.view()))
            .collect();
        let mut power_kw = Array2::zeros((self.class_of_vehicle.len(), x.len()));
        for (mut row, &class) in power_kw.outer_iter_mut().zip(&self.class_of_vehicle) {
            row.assign(&by_class[class]);
        }
        let ids = self
            .fleet
            .vehicles()
            .iter()
            .map(|vehicle| vehicle.id().to_owned());
        Ok(Schedule::new(
            self.fleet.grid().clone(),
            ids.collect(),
            power_kw,
        )?)
    }
}

impl AffineScaling {
    /// `x` with auxiliary variables that make it a point of F.
    fn point_of(&self, x: &Array1<f64>, tolerance_kw: f64) -> Result<Array1<f64>, Error> {
        let (set, gamma) = (&self.set, self.gamma());
        let (steps, variables) = (set.steps(), set.variables());
        let separated = |excess: f64| Error::Separated {
            excess_kw: excess * gamma,
        };
        if !set.is_lifted() {
            let rows = set.normals().dot(x) - set.offsets();
            let excess = rows
                .iter()
                .chain(&(x - set.upper()))
                .chain(&(set.lower() - x))
                .copied()
                .fold(0.0, f64::max);
            return if excess * gamma > tolerance_kw {
                Err(separated(excess))
            } else {
                Ok(x.clone())
            };
        }
        let mut point = Array1::zeros(variables);
        if x.iter().all(|&x| x == 0.0) {
            return Ok(point);
        }
        // The largest share of the way to x with auxiliary variables; beyond 1, everything shrinks with it.
        let inequalities = set.inequalities(1.0);
        let columns = variables - steps + 1;
        let rows: Vec<f64> = inequalities
            .iter()
            .flat_map(|row| {
                let rate: f64 = row.iter().zip(x).map(|(entry, x)| entry * x).sum();
                let (auxiliary, bound) = (&row[steps..variables], row[variables]);
                auxiliary.iter().copied().chain([rate, bound])
            })
            .collect();
        let mut along = vec![0.0; columns];
        along[columns - 1] = 1.0;
        let solution = SupportSimplex::new(rows, columns)
            .maximise(&along)
            .map_err(|_| Error::UnboundedScaling)?;
        let share = solution.point[columns - 1];
        let size = x.iter().fold(0.0, |size: f64, x| size.max(x.abs()));
        // What is missing of the way, along the entry that moves most.
        let missing = (1.0 - share).max(0.0) * size;
        if missing * gamma > tolerance_kw {
            return Err(separated(missing));
        }
        for (at, value) in solution.point[..columns - 1].iter().enumerate() {
            point[steps + at] = value / share;
        }
        point.slice_mut(s![..steps]).assign(x);
        Ok(point)
    }
}

/// Directions of a vehicle's set narrower than this are fixed, kW: rounding.
const FLAT_KW: f64 = 1e-10;

/// The sets of one question.
struct Task {
    inner: AhPolytope,
    outers: Vec<AhPolytope>,
    /// Δ less the profiles of vehicles that cannot move.
    centre: Array1<f64>,
    /// The variables (steps, then auxiliary ones) in which the inner set has width.
    moving: Vec<usize>,
    /// Rows and variables of the inner set.
    shape: (usize, usize),
    /// Whether the program lifts the set by variables of its own.
    lifted: bool,
    class_of_vehicle: Vec<usize>,
    /// Per class: how many vehicles, and its outer set or the only profile that it has.
    classes: Vec<(f64, Member)>,
}

enum Member {
    Outer(usize),
    Fixed(Array1<f64>),
}

impl Task {
    fn new(
        fleet: &Fleet,
        set: &InnerPolytope,
        centre: ArrayView1<'_, f64>,
        form: AffineForm,
    ) -> Result<Self, Error> {
        let steps = fleet.steps();
        check_profile("the centre", centre, steps)?;
        if set.steps() != steps {
            return Err(Error::Length {
                what: "a normal",
                expected: steps,
                found: set.steps(),
            });
        }
        let mut distinct: Vec<(VehicleSet, f64)> = Vec::new();
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut class_of_vehicle = Vec::with_capacity(fleet.len());
        for vehicle in fleet.vehicles() {
            let own = VehicleSet::exact(vehicle, fleet.step_hours())?;
            let candidates = known.entry(own.fingerprint()).or_default();
            let found = candidates.iter().copied().find(|&at| distinct[at].0 == own);
            let class = found.unwrap_or_else(|| {
                candidates.push(distinct.len());
                distinct.push((own, 0.0));
                distinct.len() - 1
            });
            distinct[class].1 += 1.0;
            class_of_vehicle.push(class);
        }
        let mut task = Self {
            inner: inner_set(set, form)?,
            outers: Vec::new(),
            centre: centre.to_owned(),
            moving: moving_variables(set),
            shape: (set.offsets().len(), set.variables()),
            lifted: is_lifted_here(set, form),
            class_of_vehicle,
            classes: Vec::new(),
        };
        for (own, count) in distinct {
            let outer = match form {
                AffineForm::AsWritten | AffineForm::Eliminated => {
                    Ok(AhPolytope::from(power_polytope(&own)?))
                }
                AffineForm::Energies | AffineForm::Blocks => EnergyForm::new(&own, FLAT_KW)?.set,
            };
            let member = match outer {
                Ok(outer) => {
                    task.outers.push(outer.scale(count)?);
                    Member::Outer(task.outers.len() - 1)
                }
                Err(profile) => {
                    task.centre.scaled_add(-count, &profile);
                    Member::Fixed(profile)
                }
            };
            task.classes.push((count, member));
        }
        Ok(task)
    }

    /// Says so when the centre is not in the aggregate set.
    fn centre_inside(fleet: &Fleet, centre: ArrayView1<'_, f64>) -> Result<(), Error> {
        let exact = crate::FleetPolymatroid::exact(fleet)?;
        match exact.contains(centre, crate::DEFAULT_TOLERANCE_KW)? {
            crate::Membership::Outside(witness) => Err(Error::CentreOutside {
                steps: witness.steps.clone(),
                violation_kw: witness.violation_kw(),
            }),
            _ => Ok(()),
        }
    }

    /// The certificate's rules over base coordinates, as rules over profiles for one vehicle of each class.
    fn rules(&self, certificate: &Certificate) -> Vec<AffineMap> {
        let shape = (self.centre.len(), self.shape.1);
        self.classes
            .iter()
            .map(|(count, member)| match member {
                Member::Fixed(profile) => AffineMap {
                    matrix: Array2::zeros(shape),
                    translation: profile.clone(),
                },
                Member::Outer(at) => {
                    let outer = &self.outers[*at];
                    let map = outer.generators().dot(&certificate.gamma_maps[*at]) / *count;
                    let mut matrix = Array2::zeros(shape);
                    // Auxiliary variables that the program added are 0 on all of F.
                    for (from, &t) in self.moving.iter().enumerate() {
                        matrix.column_mut(t).assign(&map.column(from));
                    }
                    AffineMap {
                        matrix,
                        translation: (&outer.centre()
                            - &outer.generators().dot(&certificate.beta[*at]))
                            / *count,
                    }
                }
            })
            .collect()
    }

    fn gradient(&self, sensitivity: &Sensitivity) -> SetGradient {
        let ((m, variables), moving) = (self.shape, self.moving.len());
        let bounds = if self.lifted { 2 * m + 1 } else { m };
        let spread = |from: usize, sign: f64| {
            let mut out = Array1::zeros(variables);
            for (at, &t) in self.moving.iter().enumerate() {
                out[t] = sign * sensitivity.offsets[from + at];
            }
            out
        };
        let mut normals = Array2::zeros(self.shape);
        for (at, &t) in self.moving.iter().enumerate() {
            normals
                .column_mut(t)
                .assign(&sensitivity.normals.slice(s![..m, at]));
        }
        SetGradient {
            offsets: sensitivity.offsets.slice(s![..m]).to_owned(),
            upper: spread(bounds, 1.0),
            lower: spread(bounds + moving, -1.0),
            normals,
            centre: sensitivity.centre.clone(),
        }
    }
}

/// The variables in which the set has width: the others are left out of the rules.
fn moving_variables(set: &InnerPolytope) -> Vec<usize> {
    (0..set.variables())
        .filter(|&t| set.upper()[t] > set.lower()[t])
        .collect()
}

/// Whether the program adds auxiliary variables: as the paper writes it, unless the set has its own.
fn is_lifted_here(set: &InnerPolytope, form: AffineForm) -> bool {
    form == AffineForm::AsWritten && !set.is_lifted()
}

/// F as an affine image of its base: rows, upper, lower bounds over the steps in which it has width.
fn inner_set(set: &InnerPolytope, form: AffineForm) -> Result<AhPolytope, Error> {
    let (steps, m) = (set.steps(), set.offsets().len());
    let moving = moving_variables(set);
    let p = moving.len();
    if p == 0 {
        return Err(Error::UnboundedScaling);
    }
    let own = set.normals().select(Axis(1), &moving);
    let at = |values: &Array1<f64>| values.select(Axis(0), &moving);
    let mut generators = Array2::zeros((steps, p));
    for (column, &t) in moving.iter().enumerate().filter(|(_, t)| **t < steps) {
        generators[[t, column]] = 1.0;
    }
    let identity = Array2::<f64>::eye(p);
    let (normals, offsets) = if is_lifted_here(set, form) {
        // {x : z ≥ 0, z ≥ W x − d, Σ z ≤ 0}, the sublevel set of Σ max(W x − d, 0).
        let mut normals = Array2::zeros((2 * m + 1 + 2 * p, p + m));
        let mut offsets = Array1::zeros(2 * m + 1 + 2 * p);
        normals.slice_mut(s![..m, ..p]).assign(&own);
        offsets.slice_mut(s![..m]).assign(set.offsets());
        for k in 0..m {
            normals[[k, p + k]] = -1.0;
            normals[[m + k, p + k]] = -1.0;
            normals[[2 * m, p + k]] = 1.0;
        }
        let first = 2 * m + 1;
        normals
            .slice_mut(s![first..first + p, ..p])
            .assign(&identity);
        normals.slice_mut(s![first + p.., ..p]).assign(&-&identity);
        offsets
            .slice_mut(s![first..first + p])
            .assign(&at(set.upper()));
        offsets.slice_mut(s![first + p..]).assign(&-at(set.lower()));
        let mut lifted = Array2::zeros((steps, p + m));
        lifted.slice_mut(s![.., ..p]).assign(&generators);
        generators = lifted;
        (normals, offsets)
    } else {
        let stacked = concatenate![Axis(0), own, identity, -&identity];
        let sides = concatenate![Axis(0), *set.offsets(), at(set.upper()), -at(set.lower())];
        (stacked, sides)
    };
    let base = HPolytope::new(normals, offsets)?;
    Ok(AhPolytope::new(Array1::zeros(steps), generators, base)?)
}

/// `{u : H u ≤ h}` with `H = (L; −L; I; −I)`, sums of power in kW.
fn power_polytope(set: &VehicleSet) -> Result<HPolytope, Error> {
    let steps = set.steps();
    let normals = Array2::from_shape_fn((4 * steps, steps), |(row, s)| {
        let (block, t) = (row / steps, row % steps);
        let inside = if block < 2 { s <= t } else { s == t };
        match (inside, block % 2) {
            (false, _) => 0.0,
            (true, 0) => 1.0,
            (true, _) => -1.0,
        }
    });
    let minus = |bounds: &[f64]| bounds.iter().map(|bound| -bound).collect::<Vec<_>>();
    let offsets = [
        set.sum_max().to_vec(),
        minus(set.sum_min()),
        set.power_max().to_vec(),
        minus(set.power_min()),
    ]
    .concat();
    Ok(HPolytope::new(normals, Array1::from_vec(offsets))?)
}
