//! The linear program behind a certificate, in two forms with the same optimum.

use evflex_solver::{ProblemBuilder, Solution, VariableId};
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
    /// out. Fewer rows, more entries where a coordinate occurs in many rows of `H_i`; best for outer sets in coordinates in
    /// which their rows are sparse.
    UnitRows,
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

type Terms = Vec<(VariableId, f64)>;

/// Solves for the largest scale, at most `cap`. `None` means that no scale has affine rules.
pub(super) fn solve(
    task: &Task<'_>,
    cap: Option<f64>,
    certifier: &Certifier<'_>,
) -> Result<Option<Answer>, Error> {
    let program = Program::new(task, cap, certifier.formulation);
    let problem = program.builder.clone().build()?;
    tracing::debug!(problem = %problem, "containment");
    match support::solve(&problem, certifier.solver, &certifier.options)? {
        Verdict::Optimal(solution) => Ok(Some(program.read(&solution))),
        Verdict::Infeasible => Ok(None),
        Verdict::Unbounded(_) => Err(Error::UnboundedScaling),
    }
}

impl<'t, 'a> Program<'t, 'a> {
    fn new(task: &'t Task<'a>, cap: Option<f64>, formulation: Formulation) -> Self {
        let mut builder = ProblemBuilder::new("containment by affine rules");
        builder.maximise();
        let mut variables = vec![builder.variable("scale", 0.0, cap.unwrap_or(f64::INFINITY), 1.0)];
        let base = task.inner.base();
        let (r, p) = (base.rows(), base.dimension());
        let mut blocks = Vec::with_capacity(task.outers.len());
        let mut add = |count: usize, lower: f64| {
            let first = variables.len();
            variables.extend((0..count).map(|_| builder.variable("", lower, f64::INFINITY, 0.0)));
            first
        };
        for outer in task.outers {
            let h = outer.base().normals();
            let (s, q) = (h.nrows(), h.ncols());
            let unit = match formulation {
                Formulation::AsWritten => vec![None; q],
                Formulation::UnitRows => unit_rows(h),
            };
            blocks.push(Block {
                lambda: add(s * r, 0.0),
                beta: add(q, f64::NEG_INFINITY),
                maps: unit
                    .into_iter()
                    .map(|found| match found {
                        Some((row, entry)) => MapRow::Unit { row, entry },
                        None => MapRow::Variables(add(p, f64::NEG_INFINITY)),
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
        for i in 0..task.outers.len() {
            program.add_rules_and_bounds(i);
        }
        program.add_sums();
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

    fn add_rules_and_bounds(&mut self, i: usize) {
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
        for (k, (normal, &offset)) in base
            .normals()
            .rows()
            .into_iter()
            .zip(base.offsets())
            .enumerate()
        {
            let mut terms: Terms = entries(inner.offsets())
                .map(|(r, value)| (self.lambda(i, k, r), value))
                .collect();
            terms.extend(entries(normal).map(|(q, value)| (self.variables[beta + q], -value)));
            self.builder.row("", f64::NEG_INFINITY, terms, offset);
        }
    }

    fn add_sums(&mut self) {
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
            let lambda =
                Array2::from_shape_fn((s, r), |(k, at)| x[block.lambda + k * r + at].max(0.0));
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
