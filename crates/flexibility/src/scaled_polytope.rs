//! `γF + Δ`: an inner polytope at the scale at which it is certified, with decisions and their gradients.

use std::time::Instant;

use evflex_fleet::Schedule;
use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::{Array1, Array2, ArrayView1, s};

use crate::{
    aggregate_set::{
        AggregateSet, Claim, Decision, DecisionStatus, Membership, Minorant, SupportPoint,
    },
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    objective::{Objective, cost_per_kw},
    scaling::{ExactScaling, InnerPolytope, SetGradient},
    support_simplex::SupportSimplex,
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
    /// With respect to the set and its centre, at fixed γ.
    pub set: SetGradient,
}

impl DecisionGradient {
    /// The total derivative when γ follows the set: adds `∂c/∂γ` times the gradient of γ.
    #[must_use]
    pub fn with_scaling(&self, scaling: &SetGradient) -> SetGradient {
        let mut total = self.set.clone();
        total.scaled_add(self.gamma, scaling);
        total
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

    /// `F`.
    #[must_use]
    pub fn inner(&self) -> &InnerPolytope {
        self.inner
    }

    /// γ.
    #[must_use]
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// The best profile, and how its cost changes with the set.
    ///
    /// Peaks, energy costs and demand charges are decided by a dense simplex of this crate, whose
    /// multipliers belong to a basis and are as exact as the arithmetic; tracking, and whatever
    /// rounding keeps from being proven, goes to `solver`. The gradient is that of one optimal
    /// multiplier; where several exist it is one of many.
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
        let started = Instant::now();
        if let Some(optimum) = self.by_simplex(objective) {
            let (decision, gradient) = self.judge(objective, &optimum, started);
            if decision.gap() <= SIMPLEX_GAP || decision.status == DecisionStatus::Optimal {
                return Ok((decision, gradient));
            }
        }
        let optimum = self.by_solver(objective, solver, options)?;
        Ok(self.judge(objective, &optimum, started))
    }

    /// Peaks and energy costs are linear programs: with the powers relative to the centre and, for a
    /// peak, its distance to that of the centre as variables, the origin is feasible.
    fn by_simplex(&self, objective: &Objective) -> Option<Optimum> {
        let (steps, variables) = (self.steps(), self.inner.variables());
        let price = match objective {
            Objective::Energy { price_eur_per_mwh }
            | Objective::DemandCharge {
                price_eur_per_mwh, ..
            } => cost_per_kw(price_eur_per_mwh, self.step_hours()),
            _ => Array1::zeros(steps),
        };
        // The weight of the highest power, the load it adds to, and whether the lowest counts too.
        let highest = match objective {
            Objective::Peak { load_kw } => Some((1.0, load_kw, true)),
            Objective::DemandCharge {
                load_kw,
                rate_eur_per_kw,
                ..
            } => Some((*rate_eur_per_kw, load_kw, false)),
            Objective::Energy { .. } => None,
            Objective::Tracking { .. } => return None,
        };
        let mut rows = self.inner.inequalities(self.gamma);
        let own_rows = rows.len();
        let mut direction: Vec<f64> = price.iter().map(|price| -price).collect();
        direction.resize(variables, 0.0);
        if let Some((weight, load_kw, both)) = highest {
            for row in &mut rows {
                row.insert(variables, 0.0);
            }
            let at_centre = &self.centre + load_kw;
            let most = at_centre.iter().fold(f64::NEG_INFINITY, |most, &power| {
                most.max(if both { power.abs() } else { power })
            });
            let sides: &[f64] = if both { &[1.0, -1.0] } else { &[1.0] };
            for sign in sides {
                for t in 0..steps {
                    let mut row = vec![0.0; variables + 2];
                    row[t] = *sign;
                    row[variables] = 1.0;
                    row[variables + 1] = most - sign * at_centre[t];
                    rows.push(row);
                }
            }
            direction.push(weight);
        }
        let scale = direction
            .iter()
            .fold(0.0, |most, d: &f64| f64::max(most, d.abs()));
        let scaled: Vec<f64> = direction
            .iter()
            .map(|d| if scale > 0.0 { d / scale } else { 0.0 })
            .collect();
        let columns = scaled.len();
        let solution = SupportSimplex::new(rows.concat(), columns)
            .maximise(&scaled)
            .ok()?;
        let multipliers: Array1<f64> = solution.multipliers.iter().map(|y| scale * y).collect();
        let of_peak = multipliers.slice(s![own_rows..]);
        let mut slope = price;
        for (k, y) in of_peak.iter().enumerate() {
            slope[k % steps] += if k < steps { *y } else { -y };
        }
        Some(Optimum {
            point: Array1::from_vec(solution.point[..variables].to_vec()),
            multipliers: multipliers.slice_move(s![..own_rows]),
            slope,
            exact: true,
        })
    }

    /// How far the ray from the centre through `x` stays in a lifted set; the multipliers of that
    /// program are a half-space that holds the set.
    fn contains_by_ray(&self, x: &Array1<f64>, tolerance_kw: f64) -> Membership {
        let (steps, variables) = (self.steps(), self.inner.variables());
        if x.iter().all(|&x| x == 0.0) {
            return Membership::Inside;
        }
        // Auxiliary variables first, then the share of the way.
        let inequalities = self.inner.inequalities(self.gamma);
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
        let Ok(solution) = SupportSimplex::new(rows, columns).maximise(&along) else {
            return Membership::Inside;
        };
        let mut direction = Array1::zeros(steps);
        for (y, row) in solution.multipliers.iter().zip(&inequalities) {
            direction.scaled_add(*y, &ArrayView1::from(&row[..steps]));
        }
        let size = direction
            .iter()
            .fold(0.0, |most, d: &f64| f64::max(most, d.abs()));
        if size == 0.0 {
            return Membership::Inside;
        }
        direction /= size;
        let rows = self.inner.offsets().len();
        let multipliers: Vec<f64> = solution.multipliers[..rows]
            .iter()
            .map(|y| y / size)
            .collect();
        let support = self.gamma * self.inner.support_bound(direction.view(), &multipliers);
        let excess_kw = direction.dot(x) - support;
        if excess_kw > tolerance_kw {
            Membership::Separated {
                direction,
                excess_kw,
            }
        } else {
            Membership::Inside
        }
    }

    fn by_solver(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Optimum, Error> {
        let (steps, variables) = (self.steps(), self.inner.variables());
        let (lower, upper) = (self.inner.lower(), self.inner.upper());
        let mut builder = ProblemBuilder::new("decision over a scaled polytope");
        let columns: Vec<_> = (0..variables)
            .map(|j| {
                let centre = self.centre.get(j).copied().unwrap_or(0.0);
                let name = if j < steps {
                    format!("u_{j}")
                } else {
                    format!("z_{}", j - steps)
                };
                let (low, high) = (
                    centre + self.gamma * lower[j],
                    centre + self.gamma * upper[j],
                );
                builder.variable(name, low, high, 0.0)
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
                let terms = columns
                    .iter()
                    .copied()
                    .zip(normal.iter().copied())
                    .filter(|term| term.1 != 0.0);
                builder.row(
                    format!("row_{k}"),
                    f64::NEG_INFINITY,
                    terms.collect::<Vec<_>>(),
                    normal.slice(s![..steps]).dot(&self.centre) + self.gamma * offset,
                )
            })
            .collect();
        objective.write(&mut builder, &columns[..steps], self.step_hours());
        let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
        let duals = solution
            .duals()
            .ok_or_else(|| evflex_solver::Error::Unsupported {
                solver: solver.name(),
                class: "duals",
            })?;
        // Duals are derivatives of the cost with respect to the right-hand sides, so signs are those
        // of the sides: an upper side never raises the cost.
        let of_rows = rows.iter().map(|row| (-duals.rows[row.index()]).max(0.0));
        let reduced: Vec<f64> = columns
            .iter()
            .map(|column| duals.reduced_costs[column.index()])
            .collect();
        let of_upper = reduced.iter().map(|d| (-d).max(0.0));
        let of_lower = reduced.iter().map(|d| d.max(0.0));
        let multipliers: Array1<f64> = of_rows.chain(of_upper).chain(of_lower).collect();
        let point: Array1<f64> = (0..variables)
            .map(|j| solution.value(columns[j]) - self.centre.get(j).copied().unwrap_or(0.0))
            .collect();
        // Stationarity makes the multipliers a slope of the cost.
        let mut raw = Array1::from_vec(reduced[..steps].to_vec());
        for (y, normal) in multipliers.iter().zip(self.inner.normals().rows()) {
            raw.scaled_add(-y, &normal.slice(s![..steps]));
        }
        let profile = &self.centre + &point.slice(s![..steps]);
        Ok(Optimum {
            slope: objective.nearest_slope(&raw, profile.view(), self.step_hours()),
            point,
            multipliers,
            exact: false,
        })
    }

    /// Costs, bound and derivatives of what an engine found.
    fn judge(
        &self,
        objective: &Objective,
        optimum: &Optimum,
        started: Instant,
    ) -> (Decision, DecisionGradient) {
        let (rows, variables) = (self.inner.offsets().len(), self.inner.variables());
        let steps = self.steps();
        let profile_kw = &self.centre + &optimum.point.slice(s![..steps]);
        let cost = objective.cost(profile_kw.view(), self.step_hours());
        let tolerance = if optimum.exact { 1e-12 } else { 1e-9 };
        let constant = objective
            .minorant_constant(optimum.slope.view(), self.step_hours(), tolerance)
            .unwrap_or(f64::NEG_INFINITY);
        let of_rows = optimum.multipliers.slice(s![..rows]);
        let of_upper = optimum.multipliers.slice(s![rows..rows + variables]);
        let of_lower = optimum.multipliers.slice(s![rows + variables..]);
        let most = self
            .inner
            .support_bound((-&optimum.slope).view(), &of_rows.to_vec());
        let least = optimum.slope.dot(&self.centre) - self.gamma * most;
        let lower_bound = (constant + least).min(cost);
        let size = objective.magnitude(
            profile_kw
                .iter()
                .fold(0.0, |most, u| f64::max(most, u.abs())),
            self.step_hours(),
        );
        let proven = cost - lower_bound <= (SIMPLEX_GAP * size).max(SOLVER_GAP * cost.abs());
        let decision = Decision {
            cost,
            lower_bound,
            minorant: Minorant {
                slope: optimum.slope.clone(),
                constant,
            },
            status: if proven {
                DecisionStatus::Optimal
            } else {
                DecisionStatus::Stalled
            },
            iterations: 1,
            elapsed: started.elapsed(),
            profile_kw,
        };
        let mut normals = Array2::zeros((rows, variables));
        for (mut row, &y) in normals.rows_mut().into_iter().zip(&of_rows) {
            if y > 0.0 {
                row.assign(&optimum.point);
                row *= y;
            }
        }
        let (lower, upper) = (self.inner.lower(), self.inner.upper());
        let gradient = DecisionGradient {
            gamma: of_lower.dot(lower) - of_rows.dot(self.inner.offsets()) - of_upper.dot(upper),
            set: SetGradient {
                normals,
                offsets: -self.gamma * &of_rows,
                upper: -self.gamma * &of_upper,
                lower: self.gamma * &of_lower,
                centre: optimum.slope.clone(),
            },
        };
        (decision, gradient)
    }
}

/// What an engine found, relative to the centre.
struct Optimum {
    /// Powers less the centre, then auxiliary variables, at the scale γ.
    point: Array1<f64>,
    /// Of the rows, the upper, and the lower bounds; none is negative.
    multipliers: Array1<f64>,
    /// Of a minorant of the cost.
    slope: Array1<f64>,
    /// Whether the multipliers belong to a basis.
    exact: bool,
}

/// Relative gap below which the simplex has proven its answer.
const SIMPLEX_GAP: f64 = 1e-9;

/// Relative gap that the programs of a solver reach at its default tolerances.
const SOLVER_GAP: f64 = 1e-6;

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
        if self.inner.is_lifted() {
            return Ok(self.contains_by_ray(&x, tolerance_kw));
        }
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
