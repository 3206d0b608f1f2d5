//! Newton's method on the branch flow equations of a forest, and its adjoint, for `L` snapshots side by side.
//!
//! With squared voltages `v`, sending powers `P, Q` and squared currents `l`, everything in p.u. (`v2gopf2024`,
//! (1)-(4)), branch `i → j` and bus `j` have
//!
//! ```text
//! w = tap_up · v_i,   l = (P² + Q²) / w
//! F1 = P − r l − Σ_children P − g v_j − p_j
//! F2 = Q − x l − Σ_children Q + b v_j − q_j
//! F3 = v_j / tap_down − w + 2 (r P + x Q) − (r² + x²) l
//! ```
//!
//! The Jacobian couples a bus with its parent and its children only. Eliminating from the leaves writes the change of
//! `(P, Q)` as an affine function `α + β dv_i` of the change of the parent's voltage, by one 2 × 2 system per branch;
//! walking back down gives the changes. Both walks are linear in the number of buses, nothing fills in, and branches
//! without impedance need no special care. The adjoint uses the transposed 2 × 2 systems in the same two walks.
//!
//! A bus that holds its voltage has `dv_j = 0`; its `F2` defines the reactive power of its generator and drops out.

use crate::network::Tree;

/// One number per snapshot.
pub(crate) type Lane<const L: usize> = [f64; L];

/// The least voltage squared that a damped step may leave, as a share of the voltage before it.
const KEPT_SHARE: f64 = 0.1;

/// An operating point: squared voltage of every bus, sending power of the branch above it. In walking order.
#[derive(Clone, Debug)]
pub(crate) struct State<const L: usize> {
    pub(crate) v: Vec<Lane<L>>,
    pub(crate) p: Vec<Lane<L>>,
    pub(crate) q: Vec<Lane<L>>,
}

/// What the elimination leaves at a bus.
#[derive(Clone, Copy, Debug)]
struct Row<const L: usize> {
    /// Inverse of the 2 × 2 system.
    inverse: [Lane<L>; 4],
    alpha: [Lane<L>; 2],
    beta: [Lane<L>; 2],
    /// Derivatives of the receiving voltage by `P`, `Q` and `v_i`.
    by_p: Lane<L>,
    by_q: Lane<L>,
    by_v: Lane<L>,
    f3: Lane<L>,
    /// Sums over the children: flows, `α`, `β`.
    flow: [Lane<L>; 2],
    sum_alpha: [Lane<L>; 2],
    sum_beta: [Lane<L>; 2],
    /// The Newton step.
    step: [Lane<L>; 3],
}

impl<const L: usize> Row<L> {
    const ZERO: Self = Self {
        inverse: [[0.0; L]; 4],
        alpha: [[0.0; L]; 2],
        beta: [[0.0; L]; 2],
        by_p: [0.0; L],
        by_q: [0.0; L],
        by_v: [0.0; L],
        f3: [0.0; L],
        flow: [[0.0; L]; 2],
        sum_alpha: [[0.0; L]; 2],
        sum_beta: [[0.0; L]; 2],
        step: [[0.0; L]; 3],
    };
}

/// How one walk up found the equations.
#[derive(Clone, Copy, Debug)]
struct Check<const L: usize> {
    /// Largest mismatch of a power balance, p.u.
    power: Lane<L>,
    /// Largest mismatch of a voltage, p.u. squared.
    voltage: Lane<L>,
    /// Least determinant of a bus that does not hold its voltage; negative beyond the nose of the curve.
    determinant: Lane<L>,
}

/// How a snapshot ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    Converged,
    /// No operating point within the iterations.
    Lost,
    /// A point of low voltage.
    Collapsed,
}

/// The end of Newton's method.
#[derive(Clone, Debug)]
pub(crate) struct Solved<const L: usize> {
    pub(crate) state: State<L>,
    pub(crate) iterations: [usize; L],
    /// Largest mismatch relative to the demand (powers) or in p.u. squared (voltages).
    pub(crate) mismatch: Lane<L>,
    pub(crate) ending: [Ending; L],
}

/// Scratch space for one block of snapshots, used again from block to block.
#[derive(Debug)]
pub(crate) struct Kernel<'a, const L: usize> {
    tree: &'a Tree,
    rows: Vec<Row<L>>,
}

/// What the adjoint starts from: weights on source powers, series losses and squared voltages.
#[derive(Clone, Debug)]
pub(crate) struct Seed<const L: usize> {
    /// Per source, on its active and reactive power.
    pub(crate) source: Vec<[Lane<L>; 2]>,
    pub(crate) loss: Lane<L>,
    /// Per position, on the squared voltage; empty for none.
    pub(crate) voltage: Vec<Lane<L>>,
}

impl<'a, const L: usize> Kernel<'a, L> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            rows: vec![Row::ZERO; tree.len()],
        }
    }

    /// Voltages without any drop, and powers without losses.
    fn start(&self, p: &[Lane<L>], q: &[Lane<L>]) -> State<L> {
        let tree = self.tree;
        let mut v: Vec<Lane<L>> = Vec::with_capacity(tree.len());
        for k in 0..tree.len() {
            v.push(if tree.holds(k) {
                [tree.held[k]; L]
            } else {
                v[tree.parent[k]].map(|above| tree.tap_down[k] * tree.tap_up[k] * above)
            });
        }
        let (mut down_p, mut down_q) = (p.to_vec(), q.to_vec());
        for k in (0..tree.len()).rev() {
            for lane in 0..L {
                down_p[k][lane] += tree.g[k] * v[k][lane];
                down_q[k][lane] -= tree.b[k] * v[k][lane];
                if k >= tree.sources {
                    let (own_p, own_q) = (down_p[k][lane], down_q[k][lane]);
                    down_p[tree.parent[k]][lane] += own_p;
                    down_q[tree.parent[k]][lane] += own_q;
                }
            }
        }
        State {
            v,
            p: down_p,
            q: down_q,
        }
    }

    /// Residuals and elimination at `state`.
    fn walk_up(&mut self, state: &State<L>, p: &[Lane<L>], q: &[Lane<L>]) -> Check<L> {
        let tree = self.tree;
        for row in &mut self.rows {
            row.flow = [[0.0; L]; 2];
            row.sum_alpha = [[0.0; L]; 2];
            row.sum_beta = [[0.0; L]; 2];
        }
        let mut check = Check {
            power: [0.0; L],
            voltage: [0.0; L],
            determinant: [f64::INFINITY; L],
        };
        for k in (tree.sources..tree.len()).rev() {
            let parent = tree.parent[k];
            let (before, rest) = self.rows.split_at_mut(k);
            let (above, row) = (&mut before[parent], &mut rest[0]);
            let (r, x, z_sq) = (tree.r[k], tree.x[k], tree.z_sq[k]);
            let (up, down) = (tree.tap_up[k], tree.tap_down[k]);
            let (g, b) = (tree.g[k], tree.b[k]);
            let holds = tree.holds(k);
            let (v, vi, flow_p, flow_q) = (&state.v[k], &state.v[parent], &state.p[k], &state.q[k]);
            for lane in 0..L {
                let sending = up * vi[lane];
                let inverse = 1.0 / sending;
                let (big_p, big_q) = (flow_p[lane], flow_q[lane]);
                let current = (big_p * big_p + big_q * big_q) * inverse;
                let (l_p, l_q) = (2.0 * big_p * inverse, 2.0 * big_q * inverse);
                let l_v = -current * up * inverse;
                let f1 = big_p - r * current - row.flow[0][lane] - g * v[lane] - p[k][lane];
                let f2 = big_q - x * current - row.flow[1][lane] + b * v[lane] - q[k][lane];
                let f3 = v[lane] / down - sending + 2.0 * (r * big_p + x * big_q) - z_sq * current;
                let (c_p, c_q) = (z_sq * l_p - 2.0 * r, z_sq * l_q - 2.0 * x);
                let c_v = up + z_sq * l_v;
                let (a_p, a_q) = (row.sum_alpha[0][lane], row.sum_alpha[1][lane]);
                let (b_p, b_q) = (row.sum_beta[0][lane] + g, row.sum_beta[1][lane] - b);
                let (m11, m12, m21, m22, right, by_v);
                if holds {
                    (m11, m12) = (1.0 - r * l_p, -r * l_q);
                    (m21, m22) = (-c_p, -c_q);
                    right = [a_p - f1, -f3];
                    by_v = [r * l_v, c_v];
                } else {
                    (m11, m12) = (
                        1.0 - r * l_p - b_p * down * c_p,
                        -r * l_q - b_p * down * c_q,
                    );
                    (m21, m22) = (
                        -x * l_p - b_q * down * c_p,
                        1.0 - x * l_q - b_q * down * c_q,
                    );
                    right = [a_p - f1 - b_p * down * f3, a_q - f2 - b_q * down * f3];
                    by_v = [r * l_v + b_p * down * c_v, x * l_v + b_q * down * c_v];
                }
                let determinant = m11 * m22 - m12 * m21;
                let scale = 1.0 / determinant;
                let inv = [m22 * scale, -m12 * scale, -m21 * scale, m11 * scale];
                let alpha = [
                    inv[0] * right[0] + inv[1] * right[1],
                    inv[2] * right[0] + inv[3] * right[1],
                ];
                let beta = [
                    inv[0] * by_v[0] + inv[1] * by_v[1],
                    inv[2] * by_v[0] + inv[3] * by_v[1],
                ];
                for (entry, value) in row.inverse.iter_mut().zip(inv) {
                    entry[lane] = value;
                }
                for axis in 0..2 {
                    row.alpha[axis][lane] = alpha[axis];
                    row.beta[axis][lane] = beta[axis];
                    above.sum_alpha[axis][lane] += alpha[axis];
                    above.sum_beta[axis][lane] += beta[axis];
                }
                above.flow[0][lane] += big_p;
                above.flow[1][lane] += big_q;
                row.by_p[lane] = c_p;
                row.by_q[lane] = c_q;
                row.by_v[lane] = c_v;
                row.f3[lane] = f3;
                let power = if holds {
                    f1.abs()
                } else {
                    larger(f1.abs(), f2.abs())
                };
                check.power[lane] = larger(check.power[lane], power);
                check.voltage[lane] = larger(check.voltage[lane], f3.abs());
                if !holds {
                    check.determinant[lane] = check.determinant[lane].min(determinant);
                }
            }
        }
        check
    }

    /// The Newton step, and the largest share of it that keeps every voltage above [`KEPT_SHARE`] of itself.
    fn walk_down(&mut self, state: &State<L>) -> Lane<L> {
        let tree = self.tree;
        let mut share = [1.0_f64; L];
        for k in tree.sources..tree.len() {
            let parent = tree.parent[k];
            let (before, rest) = self.rows.split_at_mut(k);
            let (above, row) = (&before[parent], &mut rest[0]);
            let down = if tree.holds(k) { 0.0 } else { tree.tap_down[k] };
            for lane in 0..L {
                let dvi = if parent < tree.sources {
                    0.0
                } else {
                    above.step[2][lane]
                };
                let dp = row.alpha[0][lane] + row.beta[0][lane] * dvi;
                let dq = row.alpha[1][lane] + row.beta[1][lane] * dvi;
                let dv = down
                    * (row.by_v[lane] * dvi + row.by_p[lane] * dp + row.by_q[lane] * dq
                        - row.f3[lane]);
                row.step[0][lane] = dp;
                row.step[1][lane] = dq;
                row.step[2][lane] = dv;
                let room = (1.0 - KEPT_SHARE) * state.v[k][lane];
                if -dv > room {
                    share[lane] = share[lane].min(-room / dv);
                }
            }
        }
        share
    }

    /// The demand that mismatches are measured against, p.u.
    fn scale(&self, p: &[Lane<L>], q: &[Lane<L>]) -> Lane<L> {
        let mut scale = [0.0; L];
        for k in 0..self.tree.len() {
            let shunt = self.tree.g[k].abs() + self.tree.b[k].abs();
            for lane in 0..L {
                scale[lane] += p[k][lane].abs() + q[k][lane].abs() + shunt;
            }
        }
        scale.map(|sum: f64| if sum > 0.0 { sum } else { 1.0 })
    }

    /// Solves the power flow for demands `p`, `q` (p.u., walking order). Snapshots that have converged are left
    /// alone, so that an answer does not depend on its neighbours in the block.
    pub(crate) fn solve(
        &mut self,
        p: &[Lane<L>],
        q: &[Lane<L>],
        tolerance: f64,
        max_iterations: usize,
    ) -> Solved<L> {
        let scale = self.scale(p, q);
        let mut state = self.start(p, q);
        let mut ending = [None; L];
        let mut iterations = [0; L];
        let mut mismatch = [f64::INFINITY; L];
        for iteration in 0..=max_iterations {
            let check = self.walk_up(&state, p, q);
            for lane in 0..L {
                if ending[lane].is_some() {
                    continue;
                }
                mismatch[lane] = larger(check.power[lane] / scale[lane], check.voltage[lane]);
                iterations[lane] = iteration;
                if mismatch[lane] <= tolerance {
                    ending[lane] = Some(if check.determinant[lane] > 0.0 {
                        Ending::Converged
                    } else {
                        Ending::Collapsed
                    });
                } else if !mismatch[lane].is_finite() {
                    ending[lane] = Some(Ending::Lost);
                }
            }
            if ending.iter().all(Option::is_some) || iteration == max_iterations {
                break;
            }
            let share = self.walk_down(&state);
            for k in self.tree.sources..self.tree.len() {
                let step = &self.rows[k].step;
                for lane in 0..L {
                    if ending[lane].is_none() {
                        state.p[k][lane] += share[lane] * step[0][lane];
                        state.q[k][lane] += share[lane] * step[1][lane];
                        state.v[k][lane] += share[lane] * step[2][lane];
                    }
                }
            }
        }
        // What the sources give: their children's flows, their own shunt and demand.
        for k in 0..self.tree.sources {
            for lane in 0..L {
                let v = state.v[k][lane];
                state.p[k][lane] = p[k][lane] + self.tree.g[k] * v;
                state.q[k][lane] = q[k][lane] - self.tree.b[k] * v;
            }
        }
        for k in self.tree.sources..self.tree.len() {
            let parent = self.tree.parent[k];
            if parent < self.tree.sources {
                for lane in 0..L {
                    let (flow_p, flow_q) = (state.p[k][lane], state.q[k][lane]);
                    state.p[parent][lane] += flow_p;
                    state.q[parent][lane] += flow_q;
                }
            }
        }
        Solved {
            state,
            iterations,
            mismatch,
            ending: ending.map(|ending| ending.unwrap_or(Ending::Lost)),
        }
    }

    /// The bus position with the largest mismatch of one snapshot at `state`.
    pub(crate) fn worst(
        &self,
        state: &State<L>,
        p: &[Lane<L>],
        q: &[Lane<L>],
        lane: usize,
    ) -> usize {
        let tree = self.tree;
        let mut flow = vec![(0.0, 0.0); tree.len()];
        let (mut worst, mut at) = (-1.0, 0);
        for k in (tree.sources..tree.len()).rev() {
            let sending = tree.tap_up[k] * state.v[tree.parent[k]][lane];
            let (big_p, big_q) = (state.p[k][lane], state.q[k][lane]);
            let current = (big_p * big_p + big_q * big_q) / sending;
            let v = state.v[k][lane];
            let f1 = big_p - tree.r[k] * current - flow[k].0 - tree.g[k] * v - p[k][lane];
            let f2 = big_q - tree.x[k] * current - flow[k].1 + tree.b[k] * v - q[k][lane];
            let f2 = if tree.holds(k) { 0.0 } else { f2 };
            let size = larger(f1.abs(), f2.abs());
            if size.is_nan() || size > worst {
                (worst, at) = (size, k);
            }
            let above: &mut (f64, f64) = &mut flow[tree.parent[k]];
            above.0 += big_p;
            above.1 += big_q;
        }
        at
    }

    /// Derivatives of `Σ source weights · source power + loss weight · Σ r l + Σ voltage weights · v` by the active
    /// and reactive demand of every bus, in walking order, at the solved `state`.
    pub(crate) fn adjoint(&mut self, state: &State<L>, seed: &Seed<L>) -> [Vec<Lane<L>>; 2] {
        // The derivatives do not contain the demand, only residuals do, and those are not used here.
        let none = vec![[0.0; L]; self.tree.len()];
        self.walk_up(state, &none, &none);
        let tree = self.tree;
        // Weights on voltages, from the seed, from losses, and what branches below pass up.
        let mut weight = if seed.voltage.is_empty() {
            vec![[0.0; L]; tree.len()]
        } else {
            seed.voltage.clone()
        };
        let mut right = vec![[[0.0; L]; 2]; tree.len()];
        for k in (tree.sources..tree.len()).rev() {
            let parent = tree.parent[k];
            let row = &self.rows[k];
            let down = if tree.holds(k) { 0.0 } else { tree.tap_down[k] };
            for lane in 0..L {
                let inverse = 1.0 / (tree.tap_up[k] * state.v[parent][lane]);
                let (big_p, big_q) = (state.p[k][lane], state.q[k][lane]);
                let current = (big_p * big_p + big_q * big_q) * inverse;
                let loss = seed.loss[lane] * tree.r[k];
                let h = down * weight[k][lane];
                let u_p = loss * 2.0 * big_p * inverse + row.by_p[lane] * h;
                let u_q = loss * 2.0 * big_q * inverse + row.by_q[lane] * h;
                right[k] = set(right[k], lane, [u_p, u_q]);
                weight[parent][lane] +=
                    row.beta[0][lane] * u_p + row.beta[1][lane] * u_q + row.by_v[lane] * h
                        - loss * current * tree.tap_up[k] * inverse;
            }
        }
        let mut gradient = [vec![[0.0; L]; tree.len()], vec![[0.0; L]; tree.len()]];
        for (k, source) in seed.source.iter().enumerate() {
            gradient[0][k] = source[0];
            gradient[1][k] = source[1];
        }
        for k in tree.sources..tree.len() {
            let parent = tree.parent[k];
            let inverse = &self.rows[k].inverse;
            for lane in 0..L {
                let first = right[k][0][lane] + gradient[0][parent][lane];
                let second = right[k][1][lane] + gradient[1][parent][lane];
                gradient[0][k][lane] = inverse[0][lane] * first + inverse[2][lane] * second;
                // Where the voltage is held, the generator there answers any reactive demand.
                gradient[1][k][lane] = if tree.holds(k) {
                    0.0
                } else {
                    inverse[1][lane] * first + inverse[3][lane] * second
                };
            }
        }
        gradient
    }
}

fn set<const L: usize>(mut pair: [Lane<L>; 2], lane: usize, values: [f64; 2]) -> [Lane<L>; 2] {
    pair[0][lane] = values[0];
    pair[1][lane] = values[1];
    pair
}

/// The larger one; NaN wins.
fn larger(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}
