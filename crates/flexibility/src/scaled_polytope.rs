//! `γF + Δ`: an inner polytope at the scale at which it is certified, with decisions and their gradients.

use evflex_fleet::Schedule;
use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::{Array1, ArrayView1};

use crate::{
    aggregate_set::{
        AggregateSet, Claim, Decision, DecisionStatus, Membership, Minorant, SupportPoint,
    },
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    objective::Objective,
    scaling::{ExactScaling, InnerPolytope},
};

/// The set `γF + Δ` of a fleet.
#[derive(Clone, Debug)]
pub struct ScaledPolytope<'a> {
    fleet: &'a FleetPolymatroid,
    inner: &'a InnerPolytope,
    centre: Array1<f64>,
    gamma: f64,
    claim: Claim,
}

/// How the cost of a decision over `γF + Δ` changes with the set, by the envelope theorem: the
/// multipliers of the rows, nothing is differentiated through a solver.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionGradient {
    /// `∂c/∂γ` at fixed `F`.
    pub gamma: f64,
    /// `∂c/∂ offsets` at fixed γ.
    pub offsets: Array1<f64>,
    /// `∂c/∂ upper` at fixed γ.
    pub upper: Array1<f64>,
    /// `∂c/∂ lower` at fixed γ.
    pub lower: Array1<f64>,
}

impl DecisionGradient {
    /// The total derivative when γ follows the set: adds `∂c/∂γ` times the gradient of γ.
    #[must_use]
    pub fn with_scaling(&self, scaling: &ExactScaling) -> Self {
        Self {
            gamma: self.gamma,
            offsets: &self.offsets + &(self.gamma * &scaling.offsets_gradient),
            upper: &self.upper + &(self.gamma * &scaling.upper_gradient),
            lower: &self.lower + &(self.gamma * &scaling.lower_gradient),
        }
    }
}

impl<'a> ScaledPolytope<'a> {
    /// `γF + Δ`, claimed to be inside the aggregate set only if it comes with an [`ExactScaling`] of
    /// the same fleet, set and centre ([`ScaledPolytope::certified`]); this one claims nothing.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`]; [`Error::Domain`] for a negative γ.
    pub fn new(
        fleet: &'a FleetPolymatroid,
        inner: &'a InnerPolytope,
        centre: ArrayView1<'_, f64>,
        gamma: f64,
    ) -> Result<Self, Error> {
        check_profile("the centre", centre, fleet.steps())?;
        if inner.steps() != fleet.steps() {
            return Err(Error::Length {
                what: "a normal",
                expected: fleet.steps(),
                found: inner.steps(),
            });
        }
        if !(gamma >= 0.0 && gamma.is_finite()) {
            return Err(Error::Domain {
                what: "gamma",
                value: gamma,
                domain: "a finite number that is not negative",
            });
        }
        Ok(Self {
            fleet,
            inner,
            centre: centre.to_owned(),
            gamma,
            claim: Claim::Unproven,
        })
    }

    /// `γ_exact F + Δ`, an inner set.
    ///
    /// # Errors
    /// Those of [`FleetPolymatroid::exact_scaling`].
    pub fn certified(
        fleet: &'a FleetPolymatroid,
        inner: &'a InnerPolytope,
        centre: ArrayView1<'_, f64>,
    ) -> Result<(Self, ExactScaling), Error> {
        let scaling = fleet.exact_scaling(inner, centre)?;
        let set = Self::new(fleet, inner, centre, scaling.gamma)?;
        Ok((
            Self {
                claim: Claim::Inner,
                ..set
            },
            scaling,
        ))
    }

    /// γ.
    #[must_use]
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// The best profile, and how its cost changes with the set.
    ///
    /// The gradient is that of one optimal multiplier; where several exist it is one of many.
    ///
    /// # Errors
    /// Those of [`Objective::check`]; [`Error::Solver`].
    pub fn minimise_with_gradient(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<(Decision, DecisionGradient), Error> {
        objective.check(self.steps())?;
        let started = std::time::Instant::now();
        let steps = self.steps();
        let (lower, upper) = (self.inner.lower(), self.inner.upper());
        let mut builder = ProblemBuilder::new("decision over a scaled polytope");
        let u: Vec<_> = (0..steps)
            .map(|t| {
                let (low, high) = (
                    self.centre[t] + self.gamma * lower[t],
                    self.centre[t] + self.gamma * upper[t],
                );
                builder.variable(format!("u_{t}"), low, high, 0.0)
            })
            .collect();
        let rows: Vec<_> = self
            .inner
            .normals()
            .rows()
            .into_iter()
            .zip(self.inner.offsets())
            .enumerate()
            .map(|(k, (normal, offset))| {
                let terms = u
                    .iter()
                    .copied()
                    .zip(normal.iter().copied())
                    .filter(|term| term.1 != 0.0);
                builder.row(
                    format!("row_{k}"),
                    f64::NEG_INFINITY,
                    terms.collect::<Vec<_>>(),
                    normal.dot(&self.centre) + self.gamma * offset,
                )
            })
            .collect();
        objective.write(&mut builder, &u, self.step_hours());
        let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
        let duals = solution
            .duals()
            .ok_or_else(|| evflex_solver::Error::Unsupported {
                solver: solver.name(),
                class: "duals",
            })?;
        // Duals are derivatives of the cost with respect to the right-hand sides, so signs are those
        // of the sides: an upper side never raises the cost.
        let of_rows: Array1<f64> = rows
            .iter()
            .map(|row| duals.rows[row.index()].min(0.0))
            .collect();
        let reduced: Array1<f64> = u.iter().map(|u| duals.reduced_costs[u.index()]).collect();
        let (of_upper, of_lower) = (reduced.mapv(|d| d.min(0.0)), reduced.mapv(|d| d.max(0.0)));
        let profile_kw: Array1<f64> = u.iter().map(|&u| solution.value(u)).collect();
        let cost = objective.cost(profile_kw.view(), self.step_hours());

        // u = Δ + γ x: stationarity makes the multipliers a slope of the cost.
        let mut raw = reduced;
        for (multiplier, normal) in of_rows.iter().zip(self.inner.normals().rows()) {
            raw.scaled_add(*multiplier, &normal);
        }
        let slope = objective.nearest_slope(&raw, profile_kw.view(), self.step_hours());
        let constant = objective
            .minorant_constant(slope.view(), self.step_hours(), 1e-9)
            .unwrap_or(f64::NEG_INFINITY);
        let least = -self.support_value((-&slope).view())?;
        let decision = Decision {
            lower_bound: (constant + least).min(cost),
            profile_kw,
            cost,
            minorant: Minorant { slope, constant },
            status: DecisionStatus::Optimal,
            iterations: 1,
            elapsed: started.elapsed(),
        };
        let gradient = DecisionGradient {
            gamma: of_rows.dot(self.inner.offsets()) + of_upper.dot(upper) + of_lower.dot(lower),
            offsets: self.gamma * of_rows,
            upper: self.gamma * of_upper,
            lower: self.gamma * of_lower,
        };
        Ok((decision, gradient))
    }

    fn support_value(&self, direction: ArrayView1<'_, f64>) -> Result<f64, Error> {
        Ok(direction.dot(&self.centre) + self.gamma * self.inner.support(direction)?.0)
    }
}

impl AggregateSet for ScaledPolytope<'_> {
    fn steps(&self) -> usize {
        self.fleet.steps()
    }

    fn step_hours(&self) -> f64 {
        self.fleet.step_hours()
    }

    fn claim(&self) -> Claim {
        self.claim
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        check_profile("direction", direction, self.steps())?;
        let (_, x) = self.inner.support(direction)?;
        let profile_kw = &self.centre + &(self.gamma * x);
        Ok(SupportPoint {
            value: direction.dot(&profile_kw),
            profile_kw,
        })
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        _solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        check_profile("profile", profile, self.steps())?;
        let x = &profile - &self.centre;
        let mut worst = Membership::Inside;
        let mut most = tolerance_kw;
        let mut test = |excess_kw: f64, direction: &dyn Fn() -> Array1<f64>| {
            if excess_kw > most {
                most = excess_kw;
                worst = Membership::Separated {
                    direction: direction(),
                    excess_kw,
                };
            }
        };
        for (normal, offset) in self
            .inner
            .normals()
            .rows()
            .into_iter()
            .zip(self.inner.offsets())
        {
            test(normal.dot(&x) - self.gamma * offset, &|| normal.to_owned());
        }
        let unit = |t: usize, sign: f64| {
            Array1::from_shape_fn(x.len(), |s| if s == t { sign } else { 0.0 })
        };
        for t in 0..x.len() {
            test(x[t] - self.gamma * self.inner.upper()[t], &|| unit(t, 1.0));
            test(self.gamma * self.inner.lower()[t] - x[t], &|| unit(t, -1.0));
        }
        Ok(worst)
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        Ok(self.minimise_with_gradient(objective, solver, options)?.0)
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        if let Membership::Separated { excess_kw, .. } =
            self.contains(profile, DEFAULT_TOLERANCE_KW, solver)?
        {
            return Err(Error::Separated { excess_kw });
        }
        self.fleet
            .schedule(&self.fleet.decompose(profile, DEFAULT_TOLERANCE_KW)?)
    }
}
