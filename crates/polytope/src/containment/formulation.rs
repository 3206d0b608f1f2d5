//! The linear program behind a certificate, in forms with the same optimum.

use evflex_solver::{Outcome, ProblemBuilder, Solution, VariableId};
use ndarray::{Array1, Array2, ArrayView2};

use super::repair::Candidate;
use super::{Certifier, Task};
use crate::Error;
use crate::linear::entries;
use crate::support::{self, Verdict};

/// The form of the linear program that seeks a certificate.
///
/// With `s_i × q_i` the shape of `H_i`, `r × p` that of `C` and n the dimension, the program has `Σ_i s_i (p + 1) + n (p + 1)` rows
/// and `Σ_i (s_i r + q_i p + q_i) + 1` variables as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Formulation {
    /// `thanvantri2025`, eq. 10, as it stands.
    #[default]
    AsWritten,
    /// A row `α e_q` of `H_i` makes row q of `Γ_i` a function of `Λ_i`, `Γ_i[q] = Λ_i[k] C / α`: those rows and variables are left
    /// out. A quarter of the rows and a few variables fewer, but more entries where a coordinate occurs in many rows of `H_i`: with
    /// an interior-point engine it was slower than [`AsWritten`](Self::AsWritten) in every case measured.
    UnitRows,
    /// No general solver for the scale: an interior-point method of our own that eliminates every row of every outer set by itself,
    /// then every outer set by itself, and leaves one dense system of size n (p + 1), whatever the number of
    /// sets. A step takes about `Σ_i (s_i r p² + q_i² p³) + (n p)³ / 3` multiplications when rows of `H_i` couple only neighbouring
    /// coordinates (battery sets written in energies), and `q_i³ p³` where every row couples all. By far the fastest
    /// for sums of many sets, without a build of a C++ solver.
    ///
    /// For [`Certifier::scaling`]; plain questions of containment use [`AsWritten`](Self::AsWritten), and so does a scaling where the
    /// method does not get anywhere (outer sets without an interior, no scale at all).
    Blocks,
}

/// How the optimal `γ` of the linear program moves with its data, by the envelope theorem.
///
/// The derivatives exist where the optimal multipliers are unique; at kinks these are one choice of many. A simplex
/// engine gives sharper numbers than an interior point.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// `∂γ/∂d = −Σ_i Λ_iᵀ v_i`, one entry per inequality of the inner base, with `v_i` the multipliers of the bounds.
    pub offsets: Array1<f64>,
    /// `∂γ/∂C = −Σ_i Λ_iᵀ M_i`, the shape of `C`, with `M_i` the multipliers of the rules.
    pub normals: Array2<f64>,
    /// `∂γ/∂Δ`, one entry per dimension.
    pub centre: Array1<f64>,
    /// `∂γ/∂h_i = v_i ≥ 0`, one vector per outer set.
    pub outer_offsets: Vec<Array1<f64>>,
}

pub(super) struct Answer {
    pub(super) candidate: Candidate,
    /// The optimal value, when it was proven.
    pub(super) optimum: Option<f64>,
    pub(super) sensitivity: Option<Sensitivity>,
    /// The multipliers of the sum of centres: the direction in which the sum limits the scale.
    pub(super) direction: Option<Array1<f64>>,
}

/// One outer set in the program.
struct Block {
    /// First variable of `Λ_i` (rows × inner rows).
    lambda: usize,
    /// First variable of `β_i`.
    beta: usize,
    /// First variable of each row of `Γ_i`, or the unit row that replaces it, with its entry.
    maps: Vec<MapRow>,
    /// First row of the rules of each row of `H_i`; `None` where the rule is a definition.
    rules: Vec<Option<usize>>,
    /// First row of the bounds.
    bounds: usize,
}

#[derive(Clone, Copy)]
enum MapRow {
    Variables(usize),
    Unit { row: usize, entry: f64 },
}

struct Program<'t, 'a> {
    task: &'t Task<'a>,
    builder: ProblemBuilder,
    variables: Vec<VariableId>,
    /// The entries of each column of `C`.
    columns: Vec<Vec<(usize, f64)>>,
    blocks: Vec<Block>,
    centre_rows: usize,
    generator_rows: usize,
}

/// Corrections larger than this many residuals are not looked for: they would not be corrections.
const REACH: f64 = 1e5;

type Terms = Vec<(VariableId, f64)>;

/// Solves for the largest scale, at most `cap`. `None` means that no scale has affine rules. A point that the solver
/// had when it stopped is as good as an optimum: verification judges it all the same.
pub(super) fn solve(
    task: &Task<'_>,
    cap: Option<f64>,
    certifier: &Certifier<'_>,
) -> Result<Option<Answer>, Error> {
    let program = Program::new(task, &Start::Scale { cap }, certifier.formulation);
    let problem = program.builder.clone().build()?;
    tracing::debug!(problem = %problem, "containment");
    match certifier.solver.solve(&problem, &certifier.options)? {
        Outcome::Optimal(solution) => Ok(Some(program.read(&solution))),
        Outcome::Infeasible(_) => Ok(None),
        Outcome::Unbounded(_) => Err(Error::UnboundedScaling),
        Outcome::Stopped {
            incumbent: Some(solution),
            reason,
            ..
        } => {
            tracing::warn!(%reason, "the scale is not the largest");
            Ok(Some(Answer {
                optimum: None,
                sensitivity: None,
                direction: None,
                ..program.read(&solution)
            }))
        }
        other => match other.into_optimal_of(problem.name()) {
            Ok(solution) => Ok(Some(program.read(&solution))),
            Err(error) => Err(error.into()),
        },
    }
}

/// What the program asks for.
enum Start<'c> {
    /// The largest scale, at most `cap`.
    Scale { cap: Option<f64> },
    /// A correction of a candidate, `zoom` times enlarged, that keeps the scale.
    Correction {
        candidate: &'c Candidate,
        slacks: &'c [Array1<f64>],
        zoom: f64,
    },
}

/// Seeks the correction of a candidate whose sums and rules hold but whose bounds are missed by up to `missed`: the same
/// program in the neighbourhood of the candidate, enlarged so that the residual has size 1. The engine's
/// tolerance then counts against the residual instead of the numbers themselves (iterative refinement of linear
/// programs; Gleixner, Steffy and Wolter 2016). `None` when there is no correction.
pub(super) fn correct(
    task: &Task<'_>,
    candidate: &Candidate,
    slacks: &[Array1<f64>],
    missed: f64,
    certifier: &Certifier<'_>,
) -> Result<Option<Candidate>, Error> {
    let zoom = 1.0 / missed;
    let start = Start::Correction {
        candidate,
        slacks,
        zoom,
    };
    let program = Program::new(task, &start, certifier.formulation);
    let options = certifier.options.clone().duals(false);
    let problem = program.builder.clone().build()?;
    let solution = match support::solve(&problem, certifier.solver, &options) {
        Ok(Verdict::Optimal(solution)) => solution,
        // The candidate stays as it is, and verification has the last word.
        Ok(_)
        | Err(Error::Solver(
            evflex_solver::Error::Stopped { .. } | evflex_solver::Error::WrongAnswer { .. },
        )) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut next = candidate.clone();
    let change = program.read(&solution).candidate;
    for i in 0..task.outers.len() {
        next.lambda[i].scaled_add(missed, &change.lambda[i]);
        next.lambda[i].mapv_inplace(|value| value.max(0.0));
        next.maps[i].scaled_add(missed, &change.maps[i]);
        next.beta[i].scaled_add(missed, &change.beta[i]);
    }
    Ok(Some(next))
}

impl<'t, 'a> Program<'t, 'a> {
    fn new(task: &'t Task<'a>, start: &Start<'_>, formulation: Formulation) -> Self {
        let mut builder = ProblemBuilder::new("containment by affine rules");
        builder.maximise();
        let mut variables = vec![match start {
            Start::Scale { cap } => {
                builder.variable("scale", 0.0, cap.unwrap_or(f64::INFINITY), 1.0)
            }
            Start::Correction { .. } => builder.variable("scale", 0.0, 0.0, 0.0),
        }];
        let miss = match start {
            Start::Scale { .. } => None,
            Start::Correction { .. } => Some(builder.variable("miss", 0.0, f64::INFINITY, -1.0)),
        };
        // Positions here are positions in the solution.
        variables.extend(miss);
        let base = task.inner.base();
        let (r, p) = (base.rows(), base.dimension());
        let mut blocks = Vec::with_capacity(task.outers.len());
        let mut add = |count: usize, lower: &mut dyn FnMut(usize) -> f64| {
            let first = variables.len();
            variables
                .extend((0..count).map(|at| builder.variable("", lower(at), f64::INFINITY, 0.0)));
            first
        };
        let free = &mut |_| f64::NEG_INFINITY;
        for (i, outer) in task.outers.iter().enumerate() {
            let h = outer.base().normals();
            let (s, q) = (h.nrows(), h.ncols());
            let unit = match formulation {
                Formulation::AsWritten | Formulation::Blocks => vec![None; q],
                Formulation::UnitRows => unit_rows(h),
            };
            blocks.push(Block {
                lambda: match start {
                    Start::Scale { .. } => add(s * r, &mut |_| 0.0),
                    Start::Correction {
                        candidate, zoom, ..
                    } => add(s * r, &mut |at| {
                        -(candidate.lambda[i][[at / r, at % r]] * zoom).min(REACH)
                    }),
                },
                beta: add(q, free),
                maps: unit
                    .into_iter()
                    .map(|found| match found {
                        Some((row, entry)) => MapRow::Unit { row, entry },
                        None => MapRow::Variables(add(p, free)),
                    })
                    .collect(),
                rules: vec![None; s],
                bounds: 0,
            });
        }
        let columns = (0..p)
            .map(|j| entries(base.normals().column(j)).collect())
            .collect();
        let mut program = Self {
            task,
            builder,
            variables,
            columns,
            blocks,
            centre_rows: 0,
            generator_rows: 0,
        };
        for (i, outer) in task.outers.iter().enumerate() {
            let room = match start {
                Start::Scale { .. } => outer.base().offsets().to_owned(),
                Start::Correction { slacks, zoom, .. } => {
                    slacks[i].mapv(|slack| (slack * zoom).min(REACH))
                }
            };
            program.add_rules_and_bounds(i, &room, miss);
        }
        program.add_sums(matches!(start, Start::Scale { .. }));
        program
    }

    fn lambda(&self, i: usize, k: usize, r: usize) -> VariableId {
        self.variables[self.blocks[i].lambda + k * self.task.inner.base().rows() + r]
    }

    /// `factor · Γ_i[q, j]`.
    fn add_map(&self, terms: &mut Terms, i: usize, q: usize, j: usize, factor: f64) {
        match self.blocks[i].maps[q] {
            MapRow::Variables(first) => terms.push((self.variables[first + j], factor)),
            MapRow::Unit { row, entry } => self.add_rule(terms, i, row, j, factor / entry),
        }
    }

    /// `factor · (Λ_i C)[k, j]`.
    fn add_rule(&self, terms: &mut Terms, i: usize, k: usize, j: usize, factor: f64) {
        terms.extend(
            self.columns[j]
                .iter()
                .map(|&(r, value)| (self.lambda(i, k, r), factor * value)),
        );
    }

    fn add_rules_and_bounds(&mut self, i: usize, room: &Array1<f64>, miss: Option<VariableId>) {
        let base = self.task.outers[i].base();
        let inner = self.task.inner.base();
        for (k, normal) in base.normals().rows().into_iter().enumerate() {
            let defines = self.blocks[i]
                .maps
                .iter()
                .any(|map| matches!(map, MapRow::Unit { row, .. } if *row == k));
            if defines {
                continue;
            }
            self.blocks[i].rules[k] = Some(self.builder.row_count());
            for j in 0..inner.dimension() {
                let mut terms = Terms::new();
                self.add_rule(&mut terms, i, k, j, 1.0);
                for (q, value) in entries(normal) {
                    self.add_map(&mut terms, i, q, j, -value);
                }
                self.builder.row("", 0.0, terms, 0.0);
            }
        }
        self.blocks[i].bounds = self.builder.row_count();
        let beta = self.blocks[i].beta;
        for (k, normal) in base.normals().rows().into_iter().enumerate() {
            let mut terms: Terms = entries(inner.offsets())
                .map(|(r, value)| (self.lambda(i, k, r), value))
                .collect();
            terms.extend(entries(normal).map(|(q, value)| (self.variables[beta + q], -value)));
            terms.extend(miss.map(|miss| (miss, -1.0)));
            self.builder.row("", f64::NEG_INFINITY, terms, room[k]);
        }
    }

    fn add_sums(&mut self, with_centre: bool) {
        let inner = self.task.inner;
        self.centre_rows = self.builder.row_count();
        for n in 0..inner.dimension() {
            let mut terms = vec![(self.variables[0], inner.centre()[n])];
            let mut side = -self.task.centre[n];
            for (outer, block) in self.task.outers.iter().zip(&self.blocks) {
                side += outer.centre()[n];
                terms.extend(
                    entries(outer.generators().row(n))
                        .map(|(q, value)| (self.variables[block.beta + q], value)),
                );
            }
            let side = if with_centre { side } else { 0.0 };
            self.builder.row("", side, terms, side);
        }
        self.generator_rows = self.builder.row_count();
        for n in 0..inner.dimension() {
            for j in 0..inner.base().dimension() {
                let mut terms = vec![(self.variables[0], -inner.generators()[[n, j]])];
                for (i, outer) in self.task.outers.iter().enumerate() {
                    for (q, value) in entries(outer.generators().row(n)) {
                        self.add_map(&mut terms, i, q, j, value);
                    }
                }
                self.builder.row("", 0.0, terms, 0.0);
            }
        }
    }

    fn read(&self, solution: &Solution) -> Answer {
        let x = solution.primal();
        let inner = self.task.inner.base();
        let (r, p) = (inner.rows(), inner.dimension());
        let c = inner.normals();
        let mut candidate = Candidate {
            gamma: x[0],
            lambda: Vec::new(),
            maps: Vec::new(),
            beta: Vec::new(),
        };
        for (block, outer) in self.blocks.iter().zip(self.task.outers) {
            let (s, q) = (outer.base().rows(), outer.base().dimension());
            let lambda = Array2::from_shape_fn((s, r), |(k, at)| x[block.lambda + k * r + at]);
            let mut map = Array2::zeros((q, p));
            for (row, source) in block.maps.iter().enumerate() {
                for j in 0..p {
                    map[[row, j]] = match *source {
                        MapRow::Variables(first) => x[first + j],
                        MapRow::Unit { row, entry } => lambda.row(row).dot(&c.column(j)) / entry,
                    };
                }
            }
            candidate
                .beta
                .push((0..q).map(|at| x[block.beta + at]).collect());
            candidate.lambda.push(lambda);
            candidate.maps.push(map);
        }
        // The program is maximised: derivatives of its optimum are the negatives of the stored duals.
        let multipliers: Option<Vec<f64>> = solution
            .duals()
            .map(|duals| duals.rows.iter().map(|dual| -dual).collect());
        Answer {
            optimum: Some(candidate.gamma),
            direction: multipliers.as_ref().map(|m| {
                (0..self.task.inner.dimension())
                    .map(|n| m[self.centre_rows + n])
                    .collect()
            }),
            sensitivity: multipliers.map(|m| self.sensitivity(&candidate, &m)),
            candidate,
        }
    }

    fn sensitivity(&self, candidate: &Candidate, m: &[f64]) -> Sensitivity {
        let (n, p) = (
            self.task.inner.dimension(),
            self.task.inner.base().dimension(),
        );
        let mut offsets = Array1::zeros(self.task.inner.base().rows());
        let mut normals = Array2::zeros((offsets.len(), p));
        let mut outer_offsets = Vec::new();
        let sums = Array2::from_shape_fn((n, p), |(row, j)| m[self.generator_rows + row * p + j]);
        for ((block, outer), lambda) in self
            .blocks
            .iter()
            .zip(self.task.outers)
            .zip(&candidate.lambda)
        {
            let h = outer.base().normals();
            let v: Array1<f64> = (0..h.nrows())
                .map(|k| m[block.bounds + k].max(0.0))
                .collect();
            let mut rules = Array2::zeros((h.nrows(), p));
            for (k, first) in block.rules.iter().enumerate() {
                if let Some(first) = first {
                    for j in 0..p {
                        rules[[k, j]] = m[first + j];
                    }
                }
            }
            // Γ_i is free, so H_iᵀ M_i = Y_iᵀ V: what remains of it belongs to the rule that was left out.
            let mut missing = outer.generators().t().dot(&sums) - h.t().dot(&rules);
            for (q, source) in block.maps.iter().enumerate() {
                if let MapRow::Unit { row, entry } = *source {
                    missing.row_mut(q).mapv_inplace(|value| value / entry);
                    rules.row_mut(row).assign(&missing.row(q));
                }
            }
            offsets -= &lambda.t().dot(&v);
            normals -= &lambda.t().dot(&rules);
            outer_offsets.push(v);
        }
        Sensitivity {
            offsets,
            normals,
            centre: (0..n).map(|row| -m[self.centre_rows + row]).collect(),
            outer_offsets,
        }
    }
}

/// For each column, a row of `h` whose only entry is there.
fn unit_rows(h: ArrayView2<'_, f64>) -> Vec<Option<(usize, f64)>> {
    let mut found = vec![None; h.ncols()];
    for (row, normal) in h.rows().into_iter().enumerate() {
        let mut nonzero = entries(normal);
        if let (Some((column, entry)), None) = (nonzero.next(), nonzero.next()) {
            // A tiny entry would blow up the rounding of what it defines.
            if found[column].is_none() && entry.abs() >= 1e-3 {
                found[column] = Some((row, entry));
            }
        }
    }
    found
}
