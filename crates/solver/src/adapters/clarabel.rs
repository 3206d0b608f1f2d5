//! Clarabel: a pure-Rust interior-point method for linear, quadratic and second-order cone problems.

use std::time::Duration;

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};

use crate::adapters::engine::{Answer, Claim, Engine, Multipliers, answer, backend};
use crate::{
    AffineTerm, Capabilities, Error, Options, Outcome, Problem, ProgressReport, Solver, StopReason,
};

/// The interior-point solver Clarabel (feature `clarabel`): linear, convex quadratic and second-order cone
/// problems, with duals and certificates.
///
/// Its answers are accurate to the tolerance but not vertices. Factorisations of large linear programs fill
/// in; a simplex engine is faster there.
///
/// ```
/// use evflex_solver::{Clarabel, Options, ProblemBuilder, Solver};
/// let mut builder = ProblemBuilder::new("closest point");
/// let x = builder.variable("x", f64::NEG_INFINITY, f64::INFINITY, 0.0);
/// let y = builder.variable("y", f64::NEG_INFINITY, f64::INFINITY, 0.0);
/// builder.quadratic(x, x, 1.0);
/// builder.quadratic(y, y, 1.0);
/// builder.row("line", 2.0, [(x, 1.0), (y, 1.0)], f64::INFINITY);
/// let solution = Clarabel::default()
///     .solve(&builder.build()?, &Options::default())?
///     .into_optimal()?;
/// assert!((solution.value(x) - 1.0).abs() < 1e-6);
/// # Ok::<(), evflex_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Clarabel {}

impl Solver for Clarabel {
    fn name(&self) -> String {
        Engine::name(self)
    }

    fn capabilities(&self) -> Capabilities {
        Engine::capabilities(self)
    }

    fn solve(&self, problem: &Problem, options: &Options) -> Result<Outcome, Error> {
        answer(self, problem, options)
    }
}

/// How a row of the engine's `A x + s = b` came about.
#[derive(Clone, Copy)]
enum Origin {
    /// A side of row `r`; the multiplier counts with this sign.
    Row(usize, f64),
    Bound,
    /// Entry of cone `k`.
    Cone(usize, usize),
}

/// The problem in the engine's standard form, `minimise ½ xᵀPx + qᵀx, A x + s = b, s ∈ K`.
struct StandardForm {
    p: CscMatrix<f64>,
    q: Vec<f64>,
    a: CscMatrix<f64>,
    b: Vec<f64>,
    cones: Vec<SupportedConeT<f64>>,
    origins: Vec<Origin>,
    /// What the objective is multiplied with.
    unit: f64,
}

impl StandardForm {
    /// `unit` is what the objective is multiplied with.
    fn of(problem: &Problem, unit: f64) -> Self {
        let mut form = Triplets::new(problem.variable_count());
        let ranged = |row: usize| (problem.row_lower[row], problem.row_upper[row]);
        let line = |row: usize| problem.by_row.line(row);
        for row in 0..problem.row_count() {
            let (lower, upper) = ranged(row);
            if lower >= upper {
                form.push(line(row), 1.0, upper, Origin::Row(row, -1.0));
            }
        }
        let equalities = form.b.len();
        for row in 0..problem.row_count() {
            let (lower, upper) = ranged(row);
            if lower < upper && upper.is_finite() {
                form.push(line(row), 1.0, upper, Origin::Row(row, -1.0));
            }
            if lower < upper && lower.is_finite() {
                form.push(line(row), -1.0, -lower, Origin::Row(row, 1.0));
            }
        }
        for index in 0..problem.variable_count() {
            let unit = std::iter::once((index, 1.0));
            if problem.upper[index].is_finite() {
                form.push(unit.clone(), 1.0, problem.upper[index], Origin::Bound);
            }
            if problem.lower[index].is_finite() {
                form.push(unit, -1.0, -problem.lower[index], Origin::Bound);
            }
        }
        let push_term = |form: &mut Triplets, term: &AffineTerm, origin| {
            let entries = term.terms.iter().map(|&(v, value)| (v.index(), value));
            form.push(entries, -1.0, term.constant, origin);
        };
        // A cone without parts is the half-space bound ≥ 0.
        for (index, cone) in problem.cones.iter().enumerate() {
            if cone.parts.is_empty() {
                push_term(&mut form, &cone.bound, Origin::Cone(index, 0));
            }
        }
        let inequalities = form.b.len() - equalities;
        let mut cones = Vec::new();
        if equalities > 0 {
            cones.push(SupportedConeT::ZeroConeT(equalities));
        }
        if inequalities > 0 {
            cones.push(SupportedConeT::NonnegativeConeT(inequalities));
        }
        for (index, cone) in problem.cones.iter().enumerate() {
            if !cone.parts.is_empty() {
                for (entry, term) in cone.terms().enumerate() {
                    push_term(&mut form, term, Origin::Cone(index, entry));
                }
                cones.push(SupportedConeT::SecondOrderConeT(cone.parts.len() + 1));
            }
        }
        let count = problem.variable_count();
        let quadratic = &problem.quadratic;
        let scaled = |values: &[f64]| values.iter().map(|value| unit * value).collect();
        Self {
            p: CscMatrix::new(
                count,
                count,
                quadratic.starts().to_vec(),
                quadratic.indices().to_vec(),
                scaled(quadratic.values()),
            ),
            q: scaled(&problem.costs),
            a: CscMatrix::new_from_triplets(
                form.b.len(),
                count,
                form.rows,
                form.columns,
                form.values,
            ),
            b: form.b,
            cones,
            origins: form.origins,
            unit,
        }
    }

    /// The engine's `z` in the crate's convention. A lower side enters as `−a x ≤ −l`, an upper side as `a x ≤ u`,
    /// and `∂ objective / ∂ b = −z`.
    fn multipliers(&self, problem: &Problem, z: &[f64]) -> Multipliers {
        let mut multipliers = Multipliers {
            rows: vec![0.0; problem.row_count()],
            cones: problem
                .cones
                .iter()
                .map(|cone| vec![0.0; cone.parts.len() + 1])
                .collect(),
        };
        for (&origin, value) in self.origins.iter().zip(z) {
            let value = value / self.unit;
            match origin {
                Origin::Row(row, sign) => multipliers.rows[row] += sign * value,
                Origin::Cone(cone, entry) => multipliers.cones[cone][entry] = value,
                Origin::Bound => {}
            }
        }
        multipliers
    }
}

/// Rows of `A x + s = b` under construction.
struct Triplets {
    rows: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<f64>,
    b: Vec<f64>,
    origins: Vec<Origin>,
}

impl Triplets {
    fn new(capacity: usize) -> Self {
        Self {
            rows: Vec::with_capacity(capacity),
            columns: Vec::with_capacity(capacity),
            values: Vec::with_capacity(capacity),
            b: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn push(
        &mut self,
        entries: impl Iterator<Item = (usize, f64)>,
        sign: f64,
        side: f64,
        origin: Origin,
    ) {
        for (column, value) in entries {
            self.rows.push(self.b.len());
            self.columns.push(column);
            self.values.push(sign * value);
        }
        self.b.push(side);
        self.origins.push(origin);
    }
}

/// Settings of one attempt. The engine meets its tolerance in norms over all rows, and the check is row by row:
/// asking for a hundredth leaves room between the two, and a run that cannot get that far is still
/// judged by what it reached.
fn settings(options: &Options, attempt: usize) -> DefaultSettings<f64> {
    let sharper = if attempt == 0 { 1e-2 } else { 1e-4 };
    let tolerance = (sharper * options.tolerance).max(1e-13);
    let mut settings = DefaultSettings {
        verbose: false,
        time_limit: options
            .time_limit
            .map_or(f64::INFINITY, |limit| limit.as_secs_f64()),
        tol_gap_abs: tolerance,
        tol_gap_rel: tolerance,
        tol_feas: tolerance,
        // Certificates are judged by how far they reach; sharper ones are asked for when that is not enough.
        tol_infeas_abs: (10.0 * tolerance).min(options.tolerance),
        tol_infeas_rel: (10.0 * tolerance).min(options.tolerance),
        max_threads: options
            .threads
            .map_or(0, |threads| u32::try_from(threads).unwrap_or(u32::MAX)),
        // It drops rows whose side exceeds 1e20; ours are meant as written.
        presolve_enable: false,
        max_iter: 300,
        ..DefaultSettings::default()
    };
    if attempt >= 1 {
        // Wider equilibration for badly scaled columns.
        settings.equilibrate_max_iter = 50;
        settings.equilibrate_min_scaling = 1e-8;
        settings.equilibrate_max_scaling = 1e8;
    }
    if attempt >= 3 {
        // Stronger regularisation and shorter steps for nearly dependent rows.
        settings.static_regularization_constant = 1e-7;
        settings.iterative_refinement_max_iter = 50;
        settings.max_step_fraction = 0.9;
    }
    settings
}

impl Engine for Clarabel {
    fn name(&self) -> String {
        "Clarabel 0.11.1".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::linear()
            .quadratic()
            .second_order_cone()
            .duals()
            .rays()
            .time_limit()
            .cancel()
            .progress()
    }

    fn attempts(&self) -> usize {
        4
    }

    fn run(&self, problem: &Problem, options: &Options, attempt: usize) -> Result<Answer, Error> {
        // The engine measures dual residuals against the size of the point, so costs of size one would be met
        // loosely: the first attempts make them larger.
        let unit = [1024.0, 32.0, 1.0, 1.0][attempt.min(3)];
        let form = StandardForm::of(problem, unit);
        let mut solver = DefaultSolver::new(
            &form.p,
            &form.q,
            &form.a,
            &form.b,
            &form.cones,
            settings(options, attempt),
        )
        .map_err(|error| backend(Engine::name(self), error))?;
        let (cancel, progress) = (options.cancel.clone(), options.progress.clone());
        let (sign, offset) = (problem.sense.sign(), problem.offset);
        solver.set_termination_callback(move |info| {
            if let Some(progress) = &progress {
                progress.report(&ProgressReport {
                    objective: Some(sign * (info.cost_primal / unit + offset)),
                    bound: Some(sign * (info.cost_dual / unit + offset)),
                    ..ProgressReport::new("interior point", u64::from(info.iterations))
                });
            }
            cancel.is_cancelled()
        });
        solver.solve();
        let found = &solver.solution;
        tracing::debug!(
            status = %found.status,
            iterations = found.iterations,
            time = ?Duration::from_secs_f64(found.solve_time.max(0.0)),
            r_prim = found.r_prim,
            r_dual = found.r_dual,
            "interior point"
        );
        let multipliers = || Some(form.multipliers(problem, &found.z));
        let point = || Some(found.x.clone());
        Ok(match found.status {
            SolverStatus::Solved => Answer {
                primal: point(),
                multipliers: multipliers(),
                ..Answer::of(Claim::Optimal)
            },
            SolverStatus::PrimalInfeasible | SolverStatus::AlmostPrimalInfeasible => Answer {
                farkas: multipliers(),
                ..Answer::of(Claim::Infeasible)
            },
            SolverStatus::DualInfeasible | SolverStatus::AlmostDualInfeasible => Answer {
                ray: point(),
                ..Answer::of(Claim::Unbounded)
            },
            status => Answer {
                primal: point(),
                multipliers: multipliers(),
                ..Answer::of(Claim::Stopped(match status {
                    SolverStatus::MaxTime => StopReason::TimeLimit,
                    SolverStatus::CallbackTerminated => StopReason::Cancelled,
                    // Among these the limit on iterations: ten times what a sound run takes.
                    _ => StopReason::NumericalTrouble,
                }))
            },
        })
    }
}
