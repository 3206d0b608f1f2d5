//! Outer sets: template polyhedra whose right-hand sides are the fleet's own support values.

use evflex_fleet::{Fleet, Schedule};
use evflex_solver::{Options, ProblemBuilder, RowId, Solution, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::{
    aggregate_set::{
        AggregateSet, Claim, Decision, DecisionStatus, Membership, Minorant, Side, SupportPoint,
        Witness,
    },
    error::{Error, check_profile},
    fleet_polymatroid::{DEFAULT_TOLERANCE_KW, FleetPolymatroid},
    objective::Objective,
    vehicle_set::VehicleSet,
};

/// Relative gap that the linear programs of decisions reach at their default tolerances.
const LINEAR_PROGRAM_GAP: f64 = 1e-6;

/// An outer set `{u : A u ≤ h_U(A)}`, `h_U(a) = Σ_i h_{U_i}(a)`: the smallest polyhedron around the
/// aggregate set `U` with the normals `A`, which are its template.
///
/// Proof that it is outer: every profile of the fleet is `u = Σ_i u_i` with `u_i ∈ U_i`, so
/// `a · u = Σ_i a · u_i ≤ Σ_i h_{U_i}(a)` for every normal `a`. The right-hand sides are computed by
/// the greedy algorithm, not by a solver.
///
/// | constructor | rows | decided by |
/// |---|---|---|
/// | [`virtual_battery`](Self::virtual_battery) | powers and running sums, with the sums of the vehicles' bounds as given | greedy, no solver |
/// | [`tightened_battery`](Self::tightened_battery) | the same rows, with the sums of the support values | greedy, no solver |
/// | [`intervals`](Self::intervals) | sums over all intervals of steps, T (T + 1) / 2 of them with two sides | linear program |
/// | [`template`](Self::template) | any, and the power of each step | linear program |
///
/// Each is inside the one above it (for the last: if the intervals are among its rows). The first two are
/// the set of *one* battery, hence generalised polymatroids themselves, and all methods of
/// [`FleetPolymatroid`] apply to them: [`TemplateOuter::battery`]. The first claims a bound that no
/// vehicle may attain (its "support values" are those of the rows before tightening), so it is the
/// only one that is not the smallest of its template; it is what adding up data sheets gives.
///
/// A decision over an outer set bounds from below what any schedule of the fleet can cost; its own profile
/// may be out of reach. [`disaggregate`](AggregateSet::disaggregate) therefore answers for the *fleet*, not for the outer set: the
/// exact decomposition where the fleet can follow the profile, and [`Error::Outside`] with the
/// violated subset of steps where it cannot.
///
/// ```
/// use evflex_flexibility::{AggregateSet, FleetPolymatroid, Objective, TemplateOuter};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fleet = evflex_fleet::synthetic::appendix_c(1)?;
/// # let price_eur_per_mwh = ndarray::Array1::from_shape_fn(18, |t| 120.0 + 90.0 * (t as f64 * 0.7).sin());
/// let objective = Objective::Energy { price_eur_per_mwh };
/// let (solver, options) = (Clarabel::default(), Options::default());
/// let exact = FleetPolymatroid::exact(&fleet)?.minimise(&objective, &solver, &options)?;
/// let battery = TemplateOuter::virtual_battery(&fleet)?.minimise(&objective, &solver, &options)?;
/// let intervals = TemplateOuter::intervals(&fleet)?.minimise(&objective, &solver, &options)?;
/// assert!(battery.lower_bound <= intervals.lower_bound + 1e-6);
/// assert!(intervals.lower_bound <= exact.cost + 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TemplateOuter {
    exact: FleetPolymatroid,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// One vehicle with these bounds.
    Battery {
        bounds: VehicleSet,
        set: FleetPolymatroid,
    },
    /// `lower ≤ u ≤ upper` and rows with at least one finite side.
    Rows {
        lower: Array1<f64>,
        upper: Array1<f64>,
        rows: Vec<Row>,
    },
}

/// `lower ≤ normal · u ≤ upper`.
#[derive(Clone, Debug)]
struct Row {
    normal: Normal,
    lower: f64,
    upper: f64,
}

#[derive(Clone, Debug)]
enum Normal {
    /// Ones over `first..end`.
    Interval { first: usize, end: usize },
    /// Anything.
    General(Array1<f64>),
}

impl Normal {
    fn dot(&self, u: &ArrayView1<'_, f64>) -> f64 {
        match self {
            Self::Interval { first, end } => u.iter().take(*end).skip(*first).sum(),
            Self::General(normal) => normal.dot(u),
        }
    }

    fn add_to(&self, sum: &mut Array1<f64>, factor: f64) {
        match self {
            Self::Interval { first, end } => {
                for t in *first..*end {
                    sum[t] += factor;
                }
            }
            Self::General(normal) => sum.scaled_add(factor, normal),
        }
    }

    fn dense(&self, steps: usize) -> Array1<f64> {
        let mut normal = Array1::zeros(steps);
        self.add_to(&mut normal, 1.0);
        normal
    }

    /// The row over powers, or over running sums where that is shorter.
    fn terms(&self, powers: &[VariableId], sums: &[VariableId]) -> Vec<(VariableId, f64)> {
        match self {
            Self::Interval { first, end } => {
                let before = first.checked_sub(1).map(|t| (sums[t], -1.0));
                let last = end.checked_sub(1).map(|t| (sums[t], 1.0));
                last.into_iter().chain(before).collect()
            }
            Self::General(normal) => powers
                .iter()
                .copied()
                .zip(normal.iter().copied())
                .filter(|term| term.1 != 0.0)
                .collect(),
        }
    }
}

/// Where the parts of the set are in a program.
struct Written {
    powers: Vec<VariableId>,
    rows: Vec<RowId>,
}

impl TemplateOuter {
    /// One battery whose bounds are the sums of the vehicles' bounds, as they are given.
    ///
    /// ```text
    /// Σ u_lo,i ≤ u ≤ Σ u_hi,i,    Σ x_lo,i ≤ L u ≤ Σ x_hi,i      (bounds as in the vehicles' data)
    /// ```
    ///
    /// Energies are counted at the meter: those of a lossy vehicle that only charges are divided by
    /// its efficiency, as in [`VehicleSet`].
    ///
    /// # Errors
    /// [`Error::Lossy`] names a vehicle that discharges with losses.
    pub fn virtual_battery(fleet: &Fleet) -> Result<Self, Error> {
        let sets: Vec<VehicleSet> = fleet
            .vehicles()
            .par_iter()
            .map(|vehicle| VehicleSet::exact(vehicle, fleet.step_hours()))
            .collect::<Result<_, _>>()?;
        let exact = FleetPolymatroid::exact(fleet)?;
        Ok(Self::of_battery(exact, VehicleSet::sum(&sets)))
    }

    /// One battery whose bounds are the fleet's largest and smallest powers and running sums:
    /// `{u : p({t}) ≤ u_t ≤ b({t}),  p([t]) ≤ Σ_{s ≤ t} u_s ≤ b([t])}`.
    ///
    /// # Errors
    /// As [`TemplateOuter::virtual_battery`].
    pub fn tightened_battery(fleet: &Fleet) -> Result<Self, Error> {
        let exact = FleetPolymatroid::exact(fleet)?;
        let (power_min, power_max) = band(&exact);
        let steps: Vec<usize> = (0..exact.steps()).collect();
        let (sum_min, sum_max) = (1..=exact.steps())
            .map(|end| exact.subset_bounds(&steps[..end]).map(in_order))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .unzip();
        let bounds =
            VehicleSet::from_bounds(power_min.to_vec(), power_max.to_vec(), sum_min, sum_max);
        Ok(Self::of_battery(exact, bounds))
    }

    /// Bounds on the sum over every interval of steps: `p(I) ≤ u(I) ≤ b(I)`.
    ///
    /// # Errors
    /// As [`TemplateOuter::virtual_battery`].
    pub fn intervals(fleet: &Fleet) -> Result<Self, Error> {
        let exact = FleetPolymatroid::exact(fleet)?;
        let (lower, upper) = band(&exact);
        let steps: Vec<usize> = (0..exact.steps()).collect();
        let longer_than_one: Vec<(usize, usize)> = steps
            .iter()
            .flat_map(|&first| (first + 2..=exact.steps()).map(move |end| (first, end)))
            .collect();
        let rows = longer_than_one
            .into_par_iter()
            .map(|(first, end)| {
                let (lower, upper) = in_order(exact.subset_bounds(&steps[first..end])?);
                Ok(Row {
                    normal: Normal::Interval { first, end },
                    lower,
                    upper,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            exact,
            shape: Shape::Rows { lower, upper, rows },
        })
    }

    /// The rows `a · u ≤ h_U(a)` for the rows `a` of `normals` (rows × T), and the smallest and largest power of
    /// every step, which keep the set bounded whatever the rows are.
    ///
    /// # Errors
    /// As [`TemplateOuter::virtual_battery`]; [`Error::Length`] or [`Error::NotFinite`] for a bad row.
    pub fn template(fleet: &Fleet, normals: ArrayView2<'_, f64>) -> Result<Self, Error> {
        let exact = FleetPolymatroid::exact(fleet)?;
        let (lower, upper) = band(&exact);
        let rows = normals
            .outer_iter()
            .map(|normal| {
                check_profile("a normal", normal, exact.steps())?;
                Ok(Row {
                    upper: exact.support(normal)?.value,
                    lower: f64::NEG_INFINITY,
                    normal: Normal::General(normal.to_owned()),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            exact,
            shape: Shape::Rows { lower, upper, rows },
        })
    }

    fn of_battery(exact: FleetPolymatroid, bounds: VehicleSet) -> Self {
        let set = FleetPolymatroid::of_sets(
            exact.grid().clone(),
            vec!["virtual battery".to_owned()],
            std::slice::from_ref(&bounds),
            Claim::Outer,
        );
        Self {
            exact,
            shape: Shape::Battery { bounds, set },
        }
    }

    /// The one battery that this set is, as bounds and as a generalised polymatroid; `None` for other
    /// templates.
    #[must_use]
    pub fn battery(&self) -> Option<(&VehicleSet, &FleetPolymatroid)> {
        match &self.shape {
            Shape::Battery { bounds, set } => Some((bounds, set)),
            Shape::Rows { .. } => None,
        }
    }

    /// The exact set of the same fleet, which answers [`disaggregate`](AggregateSet::disaggregate).
    #[must_use]
    pub fn exact(&self) -> &FleetPolymatroid {
        &self.exact
    }

    /// The set as inequalities `normals u ≤ offsets` (kW): first the power of every step from above, then from below,
    /// then the other rows, those with two sides from above and from below.
    #[must_use]
    pub fn inequalities(&self) -> (Array2<f64>, Array1<f64>) {
        let steps = self.exact.steps();
        let (lower, upper, rows) = match &self.shape {
            Shape::Battery { bounds, .. } => (
                bounds.power_min().to_vec(),
                bounds.power_max().to_vec(),
                (0..steps)
                    .map(|t| Row {
                        normal: Normal::Interval {
                            first: 0,
                            end: t + 1,
                        },
                        lower: bounds.sum_min()[t],
                        upper: bounds.sum_max()[t],
                    })
                    .collect(),
            ),
            Shape::Rows { lower, upper, rows } => (lower.to_vec(), upper.to_vec(), rows.clone()),
        };
        let unit = |t| Normal::Interval {
            first: t,
            end: t + 1,
        };
        let powers = (0..steps)
            .map(|t| (unit(t).dense(steps), upper[t]))
            .chain((0..steps).map(|t| (-unit(t).dense(steps), -lower[t])));
        let others = rows.iter().flat_map(|row| {
            let normal = row.normal.dense(steps);
            [(normal.clone(), row.upper), (-normal, -row.lower)]
        });
        let all: Vec<_> = powers
            .chain(others)
            .filter(|row| row.1.is_finite())
            .collect();
        let mut normals = Array2::zeros((all.len(), steps));
        let mut offsets = Array1::zeros(all.len());
        for (k, (normal, offset)) in all.into_iter().enumerate() {
            normals.row_mut(k).assign(&normal);
            offsets[k] = offset;
        }
        (normals, offsets)
    }
}

/// Two bounds that are equal in theory may have crossed by rounding; the wider reading stays outer.
fn in_order((lower, upper): (f64, f64)) -> (f64, f64) {
    (lower.min(upper), upper.max(lower))
}

/// The smallest and largest power of every step.
fn band(exact: &FleetPolymatroid) -> (Array1<f64>, Array1<f64>) {
    let (mut lower, mut upper) = exact.band_kw();
    ndarray::Zip::from(&mut lower)
        .and(&mut upper)
        .for_each(|lower, upper| (*lower, *upper) = in_order((*lower, *upper)));
    (lower, upper)
}

/// The variables and rows of the set; running sums appear only if a row is shorter in them.
fn write(
    builder: &mut ProblemBuilder,
    lower: &Array1<f64>,
    upper: &Array1<f64>,
    rows: &[Row],
) -> Written {
    let powers: Vec<VariableId> = (0..lower.len())
        .map(|t| builder.variable(format!("u_{t}"), lower[t], upper[t], 0.0))
        .collect();
    let mut sums: Vec<VariableId> = Vec::new();
    if rows
        .iter()
        .any(|row| matches!(row.normal, Normal::Interval { .. }))
    {
        for (t, &power) in powers.iter().enumerate() {
            let sum = builder.variable(format!("sum_{t}"), f64::NEG_INFINITY, f64::INFINITY, 0.0);
            let before = sums.last().map(|&before| (before, -1.0));
            let terms = [(sum, 1.0), (power, -1.0)].into_iter().chain(before);
            builder.row(format!("sum_{t}"), 0.0, terms, 0.0);
            sums.push(sum);
        }
    }
    let rows = rows
        .iter()
        .enumerate()
        .map(|(k, row)| {
            let terms = row.normal.terms(&powers, &sums);
            builder.row(format!("row_{k}"), row.lower, terms, row.upper)
        })
        .collect();
    Written { powers, rows }
}

/// `Σ_k y_k a_k` of the set's rows, and what weak duality makes of it: for any `y`,
///
/// ```text
/// min_u slope · u  ≥  Σ_k (y_k lower_k if y_k > 0, else y_k upper_k) + Σ_t (r_t lower_t if r_t > 0, else r_t upper_t),
/// r = slope − Σ_k y_k a_k,
/// ```
///
/// so the bound needs no trust in the solver that found `y`.
struct Multipliers<'a> {
    lower: &'a Array1<f64>,
    upper: &'a Array1<f64>,
    rows: &'a [Row],
    of_rows: Vec<f64>,
    combination: Array1<f64>,
}

impl<'a> Multipliers<'a> {
    fn new(
        lower: &'a Array1<f64>,
        upper: &'a Array1<f64>,
        rows: &'a [Row],
        written: &Written,
        solution: &Solution,
        solver: &dyn Solver,
    ) -> Result<Self, Error> {
        let duals = solution
            .duals()
            .ok_or_else(|| evflex_solver::Error::Unsupported {
                solver: solver.name(),
                class: "duals",
            })?;
        let mut combination = Array1::zeros(lower.len());
        let of_rows = written
            .rows
            .iter()
            .zip(rows)
            .map(|(id, row)| {
                let mut y = duals.rows[id.index()];
                // A multiplier of a side that is not there is rounding.
                if y > 0.0 && row.lower.is_infinite() || y < 0.0 && row.upper.is_infinite() {
                    y = 0.0;
                }
                row.normal.add_to(&mut combination, y);
                y
            })
            .collect();
        Ok(Self {
            lower,
            upper,
            rows,
            of_rows,
            combination,
        })
    }

    /// A lower bound on `slope · u` over the set.
    fn least(&self, slope: &Array1<f64>) -> f64 {
        let of_rows = self.of_rows.iter().zip(self.rows).map(|(&y, row)| {
            if y > 0.0 {
                y * row.lower
            } else if y < 0.0 {
                y * row.upper
            } else {
                0.0
            }
        });
        let rest = slope - &self.combination;
        let of_powers = (0..rest.len()).map(|t| {
            let side = if rest[t] > 0.0 {
                self.lower
            } else {
                self.upper
            };
            rest[t] * side[t]
        });
        of_rows.chain(of_powers).sum()
    }
}

impl AggregateSet for TemplateOuter {
    fn steps(&self) -> usize {
        self.exact.steps()
    }

    fn step_hours(&self) -> f64 {
        self.exact.step_hours()
    }

    fn claim(&self) -> Claim {
        Claim::Outer
    }

    /// For rows decided by a linear program the value is the dual bound, proven by arithmetic: it is never below the
    /// true support value, and above what the profile attains by the solver's rounding only.
    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        let (lower, upper, rows) = match &self.shape {
            Shape::Battery { set, .. } => return set.support(direction),
            Shape::Rows { lower, upper, rows } => (lower, upper, rows),
        };
        check_profile("direction", direction, self.steps())?;
        let mut builder = ProblemBuilder::new("support of an outer set");
        let written = write(&mut builder, lower, upper, rows);
        for (&power, &weight) in written.powers.iter().zip(direction) {
            builder.set_cost(power, -weight);
        }
        let solution = solver
            .solve(&builder.build()?, &Options::default())?
            .into_optimal_of("support of an outer set")?;
        let multipliers = Multipliers::new(lower, upper, rows, &written, &solution, solver)?;
        let profile_kw: Array1<f64> = written.powers.iter().map(|&u| solution.value(u)).collect();
        Ok(SupportPoint {
            value: (-multipliers.least(&-&direction)).max(direction.dot(&profile_kw)),
            profile_kw,
        })
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        _solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        let (lower, upper, rows) = match &self.shape {
            Shape::Battery { set, .. } => return set.contains(profile, tolerance_kw),
            Shape::Rows { lower, upper, rows } => (lower, upper, rows),
        };
        check_profile("profile", profile, self.steps())?;
        let powers = (0..profile.len()).map(|t| Row {
            normal: Normal::Interval {
                first: t,
                end: t + 1,
            },
            lower: lower[t],
            upper: upper[t],
        });
        let mut worst = Membership::Inside;
        let mut most = tolerance_kw;
        for row in powers.chain(rows.iter().cloned()) {
            let value = row.normal.dot(&profile);
            let (excess_kw, side, bound_kw) = if value - row.upper > row.lower - value {
                (value - row.upper, Side::Upper, row.upper)
            } else {
                (row.lower - value, Side::Lower, row.lower)
            };
            if excess_kw > most {
                most = excess_kw;
                worst = match row.normal {
                    Normal::Interval { first, end } => Membership::Outside(Witness {
                        steps: (first..end).collect(),
                        sum_kw: value,
                        bound_kw,
                        side,
                    }),
                    Normal::General(direction) => Membership::Separated {
                        direction,
                        excess_kw,
                    },
                };
            }
        }
        Ok(worst)
    }

    /// The bound holds for every schedule of the fleet; the profile may be one that the fleet cannot follow.
    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        let (lower, upper, rows) = match &self.shape {
            Shape::Battery { set, .. } => return Ok(set.decide(objective, options)?.decision),
            Shape::Rows { lower, upper, rows } => (lower, upper, rows),
        };
        objective.check(self.steps())?;
        let started = std::time::Instant::now();
        let mut builder = ProblemBuilder::new("decision over an outer set");
        let written = write(&mut builder, lower, upper, rows);
        objective.write(&mut builder, &written.powers, self.step_hours());
        let solution = solver
            .solve(&builder.build()?, options)?
            .into_optimal_of("decision over an outer set")?;
        let multipliers = Multipliers::new(lower, upper, rows, &written, &solution, solver)?;
        let profile_kw: Array1<f64> = written.powers.iter().map(|&u| solution.value(u)).collect();
        let cost = objective.cost(profile_kw.view(), self.step_hours());
        // Stationarity: the slope of the cost is what the set's rows and the bounds of the powers sum up to.
        let mut raw = multipliers.combination.clone();
        if let Some(duals) = solution.duals() {
            for (t, u) in written.powers.iter().enumerate() {
                raw[t] += duals.reduced_costs[u.index()];
            }
        }
        let slope = objective.nearest_slope(&raw, profile_kw.view(), self.step_hours());
        let constant = objective
            .minorant_constant(slope.view(), self.step_hours(), 1e-9)
            .unwrap_or(f64::NEG_INFINITY);
        let decision = Decision {
            lower_bound: (constant + multipliers.least(&slope)).min(cost),
            profile_kw,
            cost,
            minorant: Minorant { slope, constant },
            status: DecisionStatus::Optimal,
            iterations: 1,
            elapsed: started.elapsed(),
        };
        let status = if decision.gap() <= options.gap.max(LINEAR_PROGRAM_GAP) {
            DecisionStatus::Optimal
        } else {
            DecisionStatus::Stalled
        };
        Ok(Decision { status, ..decision })
    }

    /// A schedule of the fleet, if the fleet can follow the profile: being in the outer set is not enough, and
    /// not asked for. [`Error::Outside`] names a subset of steps that the fleet cannot serve.
    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        self.exact
            .schedule(&self.exact.decompose(profile, DEFAULT_TOLERANCE_KW)?)
    }
}
