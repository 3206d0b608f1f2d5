//! A primal-dual interior-point method for affine rules.
//!
//! With `Ĉ = [C d; 0 1]` (R × m, m = p + 1), whose last row carries the slack of a bound, and `θ_i = [Γ_i, β_i]` (`q_i` × m), both
//! conditions on row k of outer set i are one equation, and both sums are one:
//!
//! ```text
//! max γ + Σ_i ⟨B_i, θ_i⟩   Ĉᵀ λ_ik − θ_iᵀ H_ik = h_ik e_m    (multiplier y_ik)        λ_ik ≥ 0
//!                          Σ_i Y_i θ_i − γ X̂ = Θ             (multiplier W)           |Γ_i| ≤ bound
//! ```
//!
//! In every step of the method `λ` and `y` are eliminated row by row (matrices `G_ik = Ĉᵀ D_ik Ĉ` of size m), then `θ_i` set by set
//! (`K_i = Σ_k H_ik H_ikᵀ ⊗ G_ik⁻¹`, which couples neighbouring coordinates only when the rows of `H_i` do), and what is left
//! is one dense system for `W`, `S = Σ_i (Y_i ⊗ I) K_i⁻¹ (Y_i ⊗ I)ᵀ`, of size n m whatever the number of sets.
//! Predictor, corrector and step lengths are Mehrotra's (1992).

use evflex_solver::{Options, ProgressReport};
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;
use std::time::Instant;

use super::chain::{Chain, Dense, Stack, Triangle, weighted_triangle};

/// Rows, scaled so that numbers are around 1.
pub(super) struct Outer {
    /// Entries of each row of `H_i`.
    pub(super) rows: Vec<Vec<(usize, f64)>>,
    /// `h_i`.
    pub(super) offsets: Vec<f64>,
    /// Entries of each row of `Y_i`.
    pub(super) image: Vec<Vec<(usize, f64)>>,
    /// `B_i`, q × m.
    pub(super) reward: Option<Array2<f64>>,
    /// Number of coordinates, q.
    pub(super) coordinates: usize,
}

/// The sums: `Σ_i Y_i θ_i = γ X̂ + Θ`, both n × m.
pub(super) struct Coupling {
    pub(super) scaled: Array2<f64>,
    pub(super) constant: Array2<f64>,
}

pub(super) struct Program {
    /// `Ĉ`.
    pub(super) rows: Array2<f64>,
    pub(super) outers: Vec<Outer>,
    pub(super) coupling: Option<Coupling>,
    /// On the entries of `Γ_i`; infinite for none.
    pub(super) bound: f64,
}

/// Slacks and multipliers of `|Γ_i| ≤ bound`.
#[derive(Clone)]
struct Sides {
    slack: [Array2<f64>; 2],
    multiplier: [Array2<f64>; 2],
}

#[derive(Clone)]
pub(super) struct Part {
    /// `λ_ik`, one row per k.
    pub(super) lambda: Array2<f64>,
    /// `z_ik = −Ĉ y_ik ≥ 0`.
    z: Array2<f64>,
    /// `y_ik`.
    pub(super) y: Array2<f64>,
    pub(super) theta: Array2<f64>,
    sides: Option<Sides>,
}

#[derive(Clone)]
pub(super) struct Point {
    pub(super) gamma: f64,
    pub(super) w: Array2<f64>,
    pub(super) parts: Vec<Part>,
    /// The largest of relative residuals and relative gap.
    pub(super) accuracy: f64,
}

/// Why the method ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the accuracy asked for.
    Converged,
    /// The last steps brought nothing; the accuracy says how far it got.
    Stalled,
    /// Time or cancellation.
    Stopped,
}

/// The relative accuracy that is aimed at.
const ACCURACY: f64 = 1e-10;

/// Steps after which the method gives up.
const STEPS: u64 = 200;

/// The share of the way to the boundary that a step goes.
const SHARE: f64 = 0.995;

/// Steps without progress before the method ends.
const PATIENCE: usize = 8;

/// A scale beyond this is taken for unbounded.
pub(super) const ENDLESS: f64 = 1e12;

/// Added to the diagonal of `K`: steps are kept short where nothing else limits them (a proximal term, which vanishes with the
/// step and leaves the limit as it is).
const CURVATURE: f64 = 1e-10;

struct Direction {
    gamma: f64,
    w: Array2<f64>,
    parts: Vec<Step>,
}

struct Step {
    lambda: Array2<f64>,
    z: Array2<f64>,
    y: Array2<f64>,
    theta: Array2<f64>,
    sides: Option<Sides>,
}

/// What the equations of one outer set are off.
struct Residual {
    primal: Array2<f64>,
    dual: Array2<f64>,
    stationary: Array2<f64>,
}

struct Residuals {
    parts: Vec<Residual>,
    sums: Array2<f64>,
    scale: f64,
}

/// The matrices of one outer set at one point.
struct Factor {
    /// `D = λ / z`.
    ratio: Array2<f64>,
    /// `R_ik` with `R_ikᵀ R_ik = G_ik`.
    triangles: Vec<Triangle>,
    /// Curvature of the sides.
    curvature: Option<Array2<f64>>,
    chain: Chain,
}

struct Factors {
    parts: Vec<Factor>,
    /// `S`, and `S⁻¹ X̂` with `⟨X̂, S⁻¹ X̂⟩`.
    coupling: Option<(Dense, Array1<f64>, f64)>,
}

/// The right-hand sides that remain after λ and z are eliminated.
struct Reduced {
    g: Vec<Array2<f64>>,
    stationary: Vec<Array2<f64>>,
    sums: Array2<f64>,
    scale: f64,
}

struct ReducedStep {
    y: Vec<Array2<f64>>,
    theta: Vec<Array2<f64>>,
    w: Array2<f64>,
    gamma: f64,
}

fn flat(matrix: &Array2<f64>) -> Array1<f64> {
    matrix.iter().copied().collect()
}

fn unflat(vector: Array1<f64>, columns: usize) -> Array2<f64> {
    let rows = vector.len() / columns.max(1);
    Array2::from_shape_fn((rows, columns), |(i, j)| vector[i * columns + j])
}

fn inner(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn most(matrix: &Array2<f64>) -> f64 {
    matrix.iter().fold(0.0, |most: f64, v| {
        if v.is_nan() {
            f64::NAN
        } else {
            most.max(v.abs())
        }
    })
}

impl Outer {
    /// Coordinates in one block of the chain: then no row reaches beyond the next block.
    fn width(&self) -> usize {
        self.rows
            .iter()
            .filter_map(|row| {
                let first = row.iter().map(|(q, _)| *q).min()?;
                let last = row.iter().map(|(q, _)| *q).max()?;
                Some(last - first)
            })
            .max()
            .unwrap_or(0)
            .max(1)
    }

    /// `θᵀ H_k` for every row.
    fn pulled(&self, theta: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((self.rows.len(), theta.ncols()));
        for (mut to, row) in out.rows_mut().into_iter().zip(&self.rows) {
            for &(q, value) in row {
                to.scaled_add(value, &theta.row(q));
            }
        }
        out
    }

    /// `Σ_k H_k y_kᵀ`.
    fn pushed(&self, y: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((self.coordinates, y.ncols()));
        for (from, row) in y.rows().into_iter().zip(&self.rows) {
            for &(q, value) in row {
                out.row_mut(q).scaled_add(value, &from);
            }
        }
        out
    }

    /// `Y θ`, added.
    fn add_image(&self, theta: &Array2<f64>, sign: f64, sums: &mut Array2<f64>) {
        for (mut to, row) in sums.rows_mut().into_iter().zip(&self.image) {
            for &(q, value) in row {
                to.scaled_add(sign * value, &theta.row(q));
            }
        }
    }

    /// `Yᵀ W`.
    fn image_transposed(&self, w: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((self.coordinates, w.ncols()));
        for (from, row) in w.rows().into_iter().zip(&self.image) {
            for &(q, value) in row {
                out.row_mut(q).scaled_add(value, &from);
            }
        }
        out
    }
}

impl Program {
    /// m.
    fn columns(&self) -> usize {
        self.rows.ncols()
    }

    fn dimension(&self) -> usize {
        self.coupling.as_ref().map_or(0, |sums| sums.scaled.nrows())
    }

    fn start(&self) -> Point {
        let m = self.columns();
        let bounded = self.bound.is_finite();
        let parts = self
            .outers
            .iter()
            .map(|outer| {
                let shape = (outer.rows.len(), self.rows.nrows());
                let maps = (outer.coordinates, m - 1);
                Part {
                    lambda: Array2::ones(shape),
                    z: Array2::ones(shape),
                    y: Array2::zeros((outer.rows.len(), m)),
                    theta: Array2::zeros((outer.coordinates, m)),
                    sides: bounded.then(|| Sides {
                        slack: [
                            Array2::from_elem(maps, self.bound),
                            Array2::from_elem(maps, self.bound),
                        ],
                        multiplier: [
                            Array2::from_elem(maps, 1.0 / self.bound),
                            Array2::from_elem(maps, 1.0 / self.bound),
                        ],
                    }),
                }
            })
            .collect();
        Point {
            gamma: 0.0,
            w: Array2::zeros((self.dimension(), m)),
            parts,
            accuracy: f64::INFINITY,
        }
    }

    fn residuals(&self, point: &Point) -> Residuals {
        let m = self.columns();
        let parts = self
            .outers
            .par_iter()
            .zip(&point.parts)
            .map(|(outer, part)| {
                let mut primal = outer.pulled(&part.theta) - part.lambda.dot(&self.rows);
                for (mut row, offset) in primal.rows_mut().into_iter().zip(&outer.offsets) {
                    row[m - 1] += offset;
                }
                let dual = -(part.y.dot(&self.rows.t()) + &part.z);
                let mut stationary = outer.image_transposed(&point.w) - outer.pushed(&part.y);
                if let Some(reward) = &outer.reward {
                    stationary += reward;
                }
                if let Some(sides) = &part.sides {
                    let mut maps = stationary.slice_mut(s![.., ..m - 1]);
                    maps -= &sides.multiplier[0];
                    maps += &sides.multiplier[1];
                }
                Residual {
                    primal,
                    dual,
                    stationary,
                }
            })
            .collect();
        let (sums, scale) = match &self.coupling {
            None => (Array2::zeros((0, m)), 0.0),
            Some(coupling) => {
                let mut sums = &coupling.constant + &(&coupling.scaled * point.gamma);
                for (outer, part) in self.outers.iter().zip(&point.parts) {
                    outer.add_image(&part.theta, -1.0, &mut sums);
                }
                (sums, 1.0 - inner(&point.w, &coupling.scaled))
            }
        };
        Residuals { parts, sums, scale }
    }

    /// The objective, and its bound by the multipliers, were they feasible.
    pub(super) fn values(&self, point: &Point) -> (f64, f64) {
        let mut reached = if self.coupling.is_some() {
            point.gamma
        } else {
            0.0
        };
        let mut limit = 0.0;
        for (outer, part) in self.outers.iter().zip(&point.parts) {
            if let Some(reward) = &outer.reward {
                reached += inner(reward, &part.theta);
            }
            let last = part.y.column(self.columns() - 1);
            limit -= outer
                .offsets
                .iter()
                .zip(last)
                .map(|(h, y)| h * y)
                .sum::<f64>();
            if let Some(sides) = &part.sides {
                limit += self.bound * (sides.multiplier[0].sum() + sides.multiplier[1].sum());
            }
        }
        if let Some(coupling) = &self.coupling {
            limit -= inner(&point.w, &coupling.constant);
        }
        (reached, limit)
    }

    fn factorise(&self, point: &Point) -> Factors {
        let parts: Vec<Factor> = self
            .outers
            .par_iter()
            .zip(&point.parts)
            .map(|(outer, part)| self.factor_of(outer, part))
            .collect();
        let coupling = self.coupling.as_ref().map(|coupling| {
            let size = coupling.scaled.len();
            let total = self
                .outers
                .par_iter()
                .zip(&parts)
                .fold(
                    || Array2::zeros((size, size)),
                    |mut total, (outer, factor)| {
                        self.add_schur(outer, &factor.chain.inverse(), &mut total);
                        total
                    },
                )
                .reduce(
                    || Array2::zeros((0, 0)),
                    |a, b| {
                        if a.is_empty() {
                            b
                        } else if b.is_empty() {
                            a
                        } else {
                            a + b
                        }
                    },
                );
            let dense = Dense::of(total);
            let scaled = flat(&coupling.scaled);
            let along = dense.solve(scaled.view());
            let curvature = scaled.dot(&along);
            (dense, along, curvature)
        });
        Factors { parts, coupling }
    }

    fn factor_of(&self, outer: &Outer, part: &Part) -> Factor {
        let m = self.columns();
        let ratio = &part.lambda / &part.z;
        let mut stack = Stack::default();
        let triangles: Vec<Triangle> = ratio
            .rows()
            .into_iter()
            .map(|weights| weighted_triangle(self.rows.view(), weights, &mut stack))
            .collect();
        let curvature = part.sides.as_ref().map(|sides| {
            let mut curvature = Array2::zeros(part.theta.raw_dim());
            curvature.slice_mut(s![.., ..m - 1]).assign(
                &(&sides.multiplier[0] / &sides.slack[0] + &sides.multiplier[1] / &sides.slack[1]),
            );
            curvature
        });
        let width = outer.width();
        let count = outer.coordinates.div_ceil(width);
        let sizes: Vec<usize> = (0..count)
            .map(|j| (((j + 1) * width).min(outer.coordinates) - j * width) * m)
            .collect();
        // K = Jᵀ J: a row of H contributes Hᵀ ⊗ Uᵀ, with U Uᵀ = G⁻¹.
        let chain = Chain::of(&sizes, &mut stack, |j, stack| {
            let first = j * width;
            for (row, triangle) in outer.rows.iter().zip(&triangles) {
                let begins = row.iter().map(|(q, _)| q / width).min();
                if begins != Some(j) {
                    continue;
                }
                let root = triangle.inverse_root();
                for column in root.columns() {
                    let to = stack.push();
                    for &(q, value) in row {
                        let own = &mut to[(q - first) * m..(q - first + 1) * m];
                        for (to, from) in own.iter_mut().zip(column) {
                            *to += value * from;
                        }
                    }
                }
            }
            for at in 0..sizes[j] {
                let own = curvature
                    .as_ref()
                    .map_or(0.0, |curvature| curvature[[first + at / m, at % m]]);
                stack.push()[at] = (own + CURVATURE).sqrt();
            }
        });
        Factor {
            ratio,
            triangles,
            curvature,
            chain,
        }
    }

    fn add_schur(&self, outer: &Outer, inverse: &Array2<f64>, total: &mut Array2<f64>) {
        let m = self.columns();
        for (row, left) in outer.image.iter().enumerate() {
            for (column, right) in outer.image.iter().enumerate().take(row + 1) {
                let mut target =
                    total.slice_mut(s![row * m..(row + 1) * m, column * m..(column + 1) * m]);
                for &(a, x) in left {
                    for &(b, y) in right {
                        let block = inverse.slice(s![a * m..(a + 1) * m, b * m..(b + 1) * m]);
                        target.scaled_add(x * y, &block);
                    }
                }
            }
        }
    }

    fn solve_reduced(&self, factors: &Factors, side: &Reduced) -> ReducedStep {
        let m = self.columns();
        let first: Vec<Array2<f64>> = self
            .outers
            .par_iter()
            .zip(&factors.parts)
            .zip(side.g.par_iter().zip(&side.stationary))
            .map(|((outer, factor), (g, stationary))| {
                let right = stationary - &outer.pushed(&factor.apply(g));
                unflat(factor.chain.solve(flat(&right).view()), m)
            })
            .collect();
        let (w, gamma, theta) = match (&factors.coupling, &self.coupling) {
            (Some((dense, along, curvature)), Some(coupling)) => {
                let mut left = side.sums.clone();
                for (outer, theta) in self.outers.iter().zip(&first) {
                    outer.add_image(theta, -1.0, &mut left);
                }
                let base = dense.solve(flat(&left).view());
                let gamma = (side.scale - flat(&coupling.scaled).dot(&base)) / curvature;
                let w = unflat(base + along * gamma, m);
                let theta = self
                    .outers
                    .par_iter()
                    .zip(&factors.parts)
                    .zip(first)
                    .map(|((outer, factor), first)| {
                        let right = flat(&outer.image_transposed(&w));
                        first + unflat(factor.chain.solve(right.view()), m)
                    })
                    .collect();
                (w, gamma, theta)
            }
            _ => (Array2::zeros((0, m)), 0.0, first),
        };
        let y = self
            .outers
            .par_iter()
            .zip(&factors.parts)
            .zip(theta.par_iter().zip(&side.g))
            .map(|((outer, factor), (theta, g))| factor.apply(&(outer.pulled(theta) + g)))
            .collect();
        ReducedStep { y, theta, w, gamma }
    }

    /// What a step leaves of the reduced right-hand sides.
    fn reduced_residual(&self, factors: &Factors, side: &Reduced, step: &ReducedStep) -> Reduced {
        let (g, stationary) = self
            .outers
            .par_iter()
            .zip(&factors.parts)
            .enumerate()
            .map(|(i, (outer, factor))| {
                let slack = step.y[i].dot(&self.rows.t()) * &factor.ratio;
                let g = &side.g[i] + &outer.pulled(&step.theta[i]) - slack.dot(&self.rows);
                let mut stationary = &side.stationary[i] - &outer.pushed(&step.y[i])
                    + outer.image_transposed(&step.w);
                if let Some(curvature) = &factor.curvature {
                    stationary -= &(curvature * &step.theta[i]);
                }
                (g, stationary)
            })
            .unzip();
        let mut sums = side.sums.clone();
        let mut scale = 0.0;
        if let Some(coupling) = &self.coupling {
            sums.scaled_add(step.gamma, &coupling.scaled);
            for (outer, theta) in self.outers.iter().zip(&step.theta) {
                outer.add_image(theta, -1.0, &mut sums);
            }
            scale = side.scale - inner(&step.w, &coupling.scaled);
        }
        Reduced {
            g,
            stationary,
            sums,
            scale,
        }
    }

    /// The Newton direction towards the complementarity `target` (per part: λ z, and both sides).
    fn direction(
        &self,
        point: &Point,
        factors: &Factors,
        residuals: &Residuals,
        target: &[Complementarity],
    ) -> Direction {
        let m = self.columns();
        let (g, stationary) = self
            .outers
            .par_iter()
            .enumerate()
            .map(|(i, _)| {
                let (part, residual) = (&point.parts[i], &residuals.parts[i]);
                let moved = &target[i].rows / &part.z - &factors.parts[i].ratio * &residual.dual;
                let g = &residual.primal - &moved.dot(&self.rows);
                let mut stationary = residual.stationary.clone();
                if let (Some(sides), Some([above, below])) = (&part.sides, &target[i].sides) {
                    let mut maps = stationary.slice_mut(s![.., ..m - 1]);
                    maps -= &(above / &sides.slack[0]);
                    maps += &(below / &sides.slack[1]);
                }
                (g, stationary)
            })
            .unzip();
        let side = Reduced {
            g,
            stationary,
            sums: residuals.sums.clone(),
            scale: residuals.scale,
        };
        let mut step = self.solve_reduced(factors, &side);
        let mut left = self.reduced_residual(factors, &side, &step);
        // Iterative refinement, as long as it helps.
        for _ in 0..3 {
            let before = left.size();
            if before <= 1e-14 * side.size() {
                break;
            }
            let correction = self.solve_reduced(factors, &left);
            let next = step.plus(&correction);
            let after = self.reduced_residual(factors, &side, &next);
            if after.size() >= before {
                break;
            }
            (step, left) = (next, after);
            if left.size() > 0.5 * before {
                break;
            }
        }
        let ReducedStep { y, theta, w, gamma } = step;
        let parts = y
            .into_par_iter()
            .zip(theta)
            .enumerate()
            .map(|(i, (y, theta))| {
                let (part, residual) = (&point.parts[i], &residuals.parts[i]);
                let z = &residual.dual - &y.dot(&self.rows.t());
                let lambda = &target[i].rows / &part.z - &factors.parts[i].ratio * &z;
                let sides =
                    part.sides
                        .as_ref()
                        .zip(target[i].sides.as_ref())
                        .map(|(sides, wanted)| {
                            let maps = theta.slice(s![.., ..m - 1]);
                            let slack = [-&maps, maps.to_owned()];
                            let multiplier = [0, 1].map(|side| {
                                (&wanted[side] - &sides.multiplier[side] * &slack[side])
                                    / &sides.slack[side]
                            });
                            Sides { slack, multiplier }
                        });
                Step {
                    lambda,
                    z,
                    y,
                    theta,
                    sides,
                }
            })
            .collect();
        Direction { gamma, w, parts }
    }
}

/// Right-hand sides of the complementarity equations.
struct Complementarity {
    rows: Array2<f64>,
    sides: Option<[Array2<f64>; 2]>,
}

impl Reduced {
    fn size(&self) -> f64 {
        let parts = self.g.iter().chain(&self.stationary).map(most);
        parts
            .chain([most(&self.sums), self.scale.abs()])
            .fold(0.0, |size: f64, v| {
                if v.is_nan() {
                    f64::INFINITY
                } else {
                    size.max(v)
                }
            })
    }
}

impl ReducedStep {
    fn plus(&self, other: &Self) -> Self {
        let sum = |a: &[Array2<f64>], b: &[Array2<f64>]| {
            a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>()
        };
        Self {
            y: sum(&self.y, &other.y),
            theta: sum(&self.theta, &other.theta),
            w: &self.w + &other.w,
            gamma: self.gamma + other.gamma,
        }
    }
}

impl Factor {
    /// `G_k⁻¹ v_k` for every row.
    fn apply(&self, vectors: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros(vectors.raw_dim());
        for ((mut to, from), triangle) in out
            .rows_mut()
            .into_iter()
            .zip(vectors.rows())
            .zip(&self.triangles)
        {
            to.assign(&triangle.solve_normal(from));
        }
        out
    }
}

/// All pairs whose product is to vanish, as `(slack, multiplier, their steps)`.
fn pairs<'a>(
    point: &'a Point,
    direction: &'a Direction,
) -> impl Iterator<Item = [ArrayView2<'a, f64>; 4]> {
    point
        .parts
        .iter()
        .zip(&direction.parts)
        .flat_map(|(part, step)| {
            let rows = [
                part.lambda.view(),
                part.z.view(),
                step.lambda.view(),
                step.z.view(),
            ];
            let sides = part.sides.as_ref().zip(step.sides.as_ref());
            let sides = sides.into_iter().flat_map(|(sides, step)| {
                [0, 1].map(|at| {
                    [
                        sides.slack[at].view(),
                        sides.multiplier[at].view(),
                        step.slack[at].view(),
                        step.multiplier[at].view(),
                    ]
                })
            });
            std::iter::once(rows).chain(sides)
        })
}

/// The longest steps, primal and dual, that keep everything positive, at most 1.
fn lengths(point: &Point, direction: &Direction) -> (f64, f64) {
    let (mut primal, mut dual) = (1.0_f64, 1.0_f64);
    for [x, z, dx, dz] in pairs(point, direction) {
        Zip::from(x).and(dx).for_each(|x, dx| {
            if *dx < 0.0 {
                primal = primal.min(-x / dx);
            }
        });
        Zip::from(z).and(dz).for_each(|z, dz| {
            if *dz < 0.0 {
                dual = dual.min(-z / dz);
            }
        });
    }
    (primal, dual)
}

/// Mean product of the pairs after steps of these lengths.
fn mean_product(point: &Point, direction: &Direction, primal: f64, dual: f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for [x, z, dx, dz] in pairs(point, direction) {
        count += x.len();
        Zip::from(x)
            .and(z)
            .and(dx)
            .and(dz)
            .for_each(|x, z, dx, dz| sum += (x + primal * dx) * (z + dual * dz));
    }
    sum / count.max(1) as f64
}

fn current_mean(point: &Point) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for part in &point.parts {
        sum += inner(&part.lambda, &part.z);
        count += part.lambda.len();
        if let Some(sides) = &part.sides {
            for at in [0, 1] {
                sum += inner(&sides.slack[at], &sides.multiplier[at]);
                count += sides.slack[at].len();
            }
        }
    }
    sum / count.max(1) as f64
}

/// `μ − x z − (second-order term)`; without a direction, the predictor's `−x z`.
fn targets(point: &Point, corrector: Option<(&Direction, f64)>) -> Vec<Complementarity> {
    let target =
        |x: &Array2<f64>, z: &Array2<f64>, step: Option<(&Array2<f64>, &Array2<f64>, f64)>| {
            let product = x * z;
            match step {
                None => -product,
                Some((dx, dz, mean)) => -product - dx * dz + mean,
            }
        };
    point
        .parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            let step = corrector.map(|(direction, mean)| (&direction.parts[i], mean));
            Complementarity {
                rows: target(
                    &part.lambda,
                    &part.z,
                    step.map(|(step, mean)| (&step.lambda, &step.z, mean)),
                ),
                sides: part.sides.as_ref().map(|sides| {
                    [0, 1].map(|at| {
                        let step = step.and_then(|(step, mean)| {
                            let own = step.sides.as_ref()?;
                            Some((&own.slack[at], &own.multiplier[at], mean))
                        });
                        target(&sides.slack[at], &sides.multiplier[at], step)
                    })
                }),
            }
        })
        .collect()
}

fn advance(point: &mut Point, direction: &Direction, primal: f64, dual: f64) {
    point.gamma += primal * direction.gamma;
    point.w.scaled_add(dual, &direction.w);
    for (part, step) in point.parts.iter_mut().zip(&direction.parts) {
        part.lambda.scaled_add(primal, &step.lambda);
        part.theta.scaled_add(primal, &step.theta);
        part.z.scaled_add(dual, &step.z);
        part.y.scaled_add(dual, &step.y);
        if let (Some(sides), Some(step)) = (&mut part.sides, &step.sides) {
            for at in [0, 1] {
                sides.slack[at].scaled_add(primal, &step.slack[at]);
                sides.multiplier[at].scaled_add(dual, &step.multiplier[at]);
            }
        }
    }
}

fn is_finite(direction: &Direction) -> bool {
    direction.gamma.is_finite()
        && direction.parts.iter().all(|step| {
            step.lambda.iter().all(|v| v.is_finite()) && step.z.iter().all(|v| v.is_finite())
        })
}

/// The most accurate point found, and why the method ended there.
pub(super) fn solve(program: &Program, options: &Options) -> (Point, End) {
    let started = Instant::now();
    let mut point = program.start();
    let mut best = point.clone();
    let mut idle = 0;
    for round in 0..STEPS {
        if options.cancel.is_cancelled()
            || options
                .time_limit
                .is_some_and(|limit| started.elapsed() >= limit)
        {
            return (best, End::Stopped);
        }
        let residuals = program.residuals(&point);
        point.accuracy = program.accuracy(&point, &residuals);
        let mean = current_mean(&point);
        let (value, limit) = program.values(&point);
        tracing::debug!(
            round,
            value,
            limit,
            mean,
            accuracy = point.accuracy,
            "affine rules"
        );
        options.report(&ProgressReport::new("affine rules", round));
        if point.accuracy < best.accuracy {
            idle = if point.accuracy < 0.5 * best.accuracy {
                0
            } else {
                idle + 1
            };
            best = point.clone();
        } else {
            idle += 1;
        }
        if best.accuracy <= ACCURACY {
            return (best, End::Converged);
        }
        if idle > PATIENCE || point.gamma > ENDLESS {
            break;
        }
        let factors = program.factorise(&point);
        let predictor = program.direction(&point, &factors, &residuals, &targets(&point, None));
        if !is_finite(&predictor) {
            break;
        }
        let (primal, dual) = lengths(&point, &predictor);
        let reached = mean_product(&point, &predictor, primal, dual);
        let centring = (reached / mean).clamp(0.0, 1.0).powi(3);
        let wanted = targets(&point, Some((&predictor, centring * mean)));
        let direction = program.direction(&point, &factors, &residuals, &wanted);
        if !is_finite(&direction) {
            break;
        }
        let (primal, dual) = lengths(&point, &direction);
        let share = SHARE.max(1.0 - mean);
        advance(
            &mut point,
            &direction,
            (share * primal).min(1.0),
            (share * dual).min(1.0),
        );
    }
    (best, End::Stalled)
}

impl Program {
    fn accuracy(&self, point: &Point, residuals: &Residuals) -> f64 {
        let (value, limit) = self.values(point);
        let gap = (value - limit).abs() / (1.0 + value.abs());
        let mut worst = gap.max(most(&residuals.sums)).max(residuals.scale.abs());
        for (residual, part) in residuals.parts.iter().zip(&point.parts) {
            worst = worst
                .max(most(&residual.primal) / (1.0 + most(&part.theta)))
                .max(most(&residual.dual) / (1.0 + most(&part.y)))
                .max(most(&residual.stationary) / (1.0 + most(&part.y)));
        }
        if worst.is_nan() { f64::INFINITY } else { worst }
    }

    /// Number of rows of all outer sets together.
    pub(super) fn row_count(&self) -> usize {
        self.outers.iter().map(|outer| outer.rows.len()).sum()
    }
}

/// The largest entry of each row, 1 for rows of zeros.
pub(super) fn row_lengths(matrix: ArrayView2<'_, f64>) -> Array1<f64> {
    matrix
        .map_axis(Axis(1), |row| row.dot(&row).sqrt())
        .mapv(|length| if length > 0.0 { length } else { 1.0 })
}
