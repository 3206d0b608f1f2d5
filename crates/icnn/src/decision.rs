//! Decisions over `Δ + γF`: one small linear program each, with multipliers that training and pricing use.

use std::sync::Arc;

use evflex_flexibility::{Minorant, Objective, ObjectiveKind};
use ndarray::{Array1, Array2, ArrayView1, s};

use crate::{
    error::Error,
    form::LinearForm,
    nearest::Corral,
    simplex::{Optimum, Program, Simplex},
};

/// The best profile of `Δ + γF` for one objective, with what the envelope theorem needs.
#[derive(Clone, Debug)]
pub(crate) struct SetDecision {
    pub cost: f64,
    /// `(x, z)` in the coordinates of `F`.
    pub point: Vec<f64>,
    /// `∂c/∂u`, a slope of a minorant.
    pub minorant: Minorant,
    /// No profile of the set costs less.
    pub lower_bound: f64,
    /// `λ ≥ 0` with `∂c/∂rhs = −λ`.
    pub rows: Vec<f64>,
    /// `∂c/∂p_lower`.
    pub lower: Vec<f64>,
    /// `∂c/∂p_upper`.
    pub upper: Vec<f64>,
    /// `∂c/∂γ`.
    pub gamma: f64,
    pub degenerate: bool,
}

/// The programs of all decisions of one kind over one form; rows do not depend on γ, Δ or the day.
pub(crate) struct DecisionProgram<'a> {
    form: &'a LinearForm,
    kind: ObjectiveKind,
    program: Arc<Program>,
    steps: usize,
    step_hours: f64,
}

/// A program with the dictionary of the decision before it.
pub(crate) struct WarmDecision<'p, 'a> {
    shared: &'p DecisionProgram<'a>,
    simplex: Option<Simplex>,
    last_cost: Vec<f64>,
}

/// Relative error accepted in a slope, see [`Objective::minorant_constant`].
const SLOPE: f64 = 1e-9;

impl<'a> DecisionProgram<'a> {
    pub fn new(form: &'a LinearForm, kind: ObjectiveKind, step_hours: f64) -> Self {
        let steps = form.steps();
        let (rows, columns) = form.matrix.dim();
        // A peak p takes one more variable, at the scale of F: cost γ p.
        let (more_rows, more_columns) = match kind {
            ObjectiveKind::Peak => (2 * steps, 1),
            ObjectiveKind::DemandCharge => (steps, 1),
            _ => (0, 0),
        };
        let mut matrix = Array2::zeros((rows + more_rows, columns + more_columns));
        matrix.slice_mut(s![..rows, ..columns]).assign(&form.matrix);
        for k in 0..more_rows {
            let (t, sign) = (k % steps, if k < steps { 1.0 } else { -1.0 });
            matrix[(rows + k, t)] = sign;
            matrix[(rows + k, columns)] = -1.0;
        }
        let hidden = columns - steps + more_columns;
        let lower = form
            .lower
            .iter()
            .copied()
            .chain(vec![0.0; hidden])
            .collect();
        let upper = form
            .upper
            .iter()
            .copied()
            .chain(vec![f64::INFINITY; hidden])
            .collect();
        Self {
            form,
            kind,
            program: Arc::new(Program::new(matrix.view(), lower, upper)),
            steps,
            step_hours,
        }
    }

    pub fn start(&self) -> WarmDecision<'_, 'a> {
        WarmDecision {
            shared: self,
            simplex: None,
            last_cost: Vec::new(),
        }
    }

    /// `c · x` at most over `F` is at most this, for multipliers `y ≥ 0` of the rows: weak duality.
    pub fn support_bound(&self, direction: ArrayView1<'_, f64>, y: &[f64]) -> f64 {
        support_bound(self.form, direction, y)
    }
}

/// `h_F(c) ≤ y · rhs + Σ_t max(r_t lower_t, r_t upper_t) + Σ_j max(r_j, 0) hidden_upper_j`, `r = c − Mᵀ y`.
pub(crate) fn support_bound(form: &LinearForm, direction: ArrayView1<'_, f64>, y: &[f64]) -> f64 {
    let steps = form.steps();
    let mut rest = Array1::zeros(form.matrix.ncols());
    rest.slice_mut(s![..steps]).assign(&direction);
    let mut bound = 0.0;
    for ((&y, row), &rhs) in y.iter().zip(form.matrix.rows()).zip(&form.rhs) {
        if y > 0.0 {
            bound += y * rhs;
            rest.scaled_add(-y, &row);
        }
    }
    for t in 0..steps {
        bound += f64::max(rest[t] * form.lower[t], rest[t] * form.upper[t]);
    }
    for (j, &high) in form.hidden_upper.iter().enumerate() {
        bound += rest[steps + j].max(0.0) * high;
    }
    bound
}

impl WarmDecision<'_, '_> {
    /// Solves `min cost · v` at the right-hand sides, from the last dictionary if there is one.
    fn solve(&mut self, cost: &[f64], rhs: &[f64]) -> Result<Optimum, Error> {
        let simplex = match &mut self.simplex {
            Some(simplex) => {
                simplex.set_rhs(rhs);
                if self.last_cost != cost {
                    simplex.set_cost(cost);
                }
                simplex
            }
            empty => empty.insert(Simplex::new(self.shared.program.clone(), cost, rhs)),
        };
        self.last_cost = cost.to_vec();
        simplex.solve()
    }

    /// The best profile of `Δ + γF`, `γ > 0`.
    pub fn decide(
        &mut self,
        objective: &Objective,
        centre: ArrayView1<'_, f64>,
        gamma: f64,
    ) -> Result<SetDecision, Error> {
        let form = self.shared.form;
        let steps = self.shared.steps;
        let mut cost = vec![0.0; self.shared.program_columns()];
        let mut rhs = form.rhs.to_vec();
        let prices =
            |price: &Array1<f64>| price.mapv(|price| price * self.shared.step_hours / 1000.0);
        // `slope` is filled with what does not come from multipliers.
        let (slope, peak_rows) = match objective {
            Objective::Energy { price_eur_per_mwh } => (prices(price_eur_per_mwh), 0),
            Objective::Peak { load_kw } => {
                for sign in [-1.0, 1.0] {
                    rhs.extend((0..steps).map(|t| sign * (load_kw[t] + centre[t]) / gamma));
                }
                cost[form.matrix.ncols()] = 1.0;
                (Array1::zeros(steps), 2 * steps)
            }
            Objective::DemandCharge {
                price_eur_per_mwh,
                load_kw,
                rate_eur_per_kw,
            } => {
                // The peak variable counts from below any peak of the set, so that its own bound never binds.
                let base = |t: usize| (load_kw[t] + centre[t]) / gamma;
                let least = (0..steps)
                    .map(|t| base(t) + form.lower[t])
                    .fold(f64::NEG_INFINITY, f64::max);
                let least = least - 1.0 - least.abs();
                rhs.extend((0..steps).map(|t| least - base(t)));
                cost[form.matrix.ncols()] = *rate_eur_per_kw;
                (prices(price_eur_per_mwh), steps)
            }
            Objective::Tracking { target_kw, weight } => {
                return self.track(target_kw, weight, centre, gamma, &rhs);
            }
            _ => {
                return Err(Error::Training {
                    what: "objective",
                    problem: format!(
                        "{} is not a decision that learned sets answer",
                        objective.kind()
                    ),
                });
            }
        };
        for t in 0..steps {
            cost[t] += slope[t];
        }
        let optimum = self.solve(&cost, &rhs)?;
        let rows = form.matrix.nrows();
        let mut slope = slope;
        for k in 0..peak_rows {
            let sign = if k < steps { 1.0 } else { -1.0 };
            slope[k % steps] += sign * optimum.multipliers[rows + k];
        }
        Ok(self.finish(objective, optimum, slope, centre, gamma))
    }

    fn finish(
        &self,
        objective: &Objective,
        optimum: Optimum,
        slope: Array1<f64>,
        centre: ArrayView1<'_, f64>,
        gamma: f64,
    ) -> SetDecision {
        let form = self.shared.form;
        let (rows, columns, steps) = (form.matrix.nrows(), form.matrix.ncols(), self.shared.steps);
        let mut point = optimum.point;
        point.truncate(columns);
        let x = ArrayView1::from(&point[..steps]);
        let profile = &centre + &(&x * gamma);
        let cost = objective.cost(profile.view(), self.shared.step_hours);
        let multipliers = &optimum.multipliers[..rows];
        let constant = objective
            .minorant_constant(slope.view(), self.shared.step_hours, SLOPE)
            .unwrap_or(f64::NEG_INFINITY);
        // min slope · (Δ + γ x) ≥ slope · Δ − γ h_F(−slope), bounded with the same multipliers.
        let least =
            slope.dot(&centre) - gamma * self.shared.support_bound((-&slope).view(), multipliers);
        let bounds = &optimum.bound_multipliers[..steps];
        SetDecision {
            cost,
            lower_bound: (constant + least).min(cost),
            rows: multipliers.iter().map(|y| gamma * y).collect(),
            lower: bounds.iter().map(|(low, _)| gamma * low).collect(),
            upper: bounds.iter().map(|(_, high)| gamma * high).collect(),
            gamma: slope.dot(&x),
            degenerate: optimum.degenerate,
            minorant: Minorant { slope, constant },
            point,
        }
    }

    /// The weighted nearest point to a target: linear programs at the gradient, and the best mixture of their vertices.
    fn track(
        &mut self,
        target: &Array1<f64>,
        weight: &Array1<f64>,
        centre: ArrayView1<'_, f64>,
        gamma: f64,
        rhs: &[f64],
    ) -> Result<SetDecision, Error> {
        let steps = self.shared.steps;
        let root = weight.mapv(f64::sqrt);
        // In these coordinates the cost is the squared norm.
        let image = |point: &[f64]| -> Array1<f64> {
            (0..steps)
                .map(|t| root[t] * (centre[t] + gamma * point[t] - target[t]))
                .collect()
        };
        let mut corral = Corral::default();
        let mut gradient: Array1<f64> = (0..steps)
            .map(|t| 2.0 * weight[t] * (centre[t] - target[t]))
            .collect();
        let mut rounds = 0;
        loop {
            let mut cost = vec![0.0; self.shared.program_columns()];
            cost[..steps].copy_from_slice(&gradient.to_vec());
            let optimum = self.solve(&cost, rhs)?;
            rounds += 1;
            let vertex = image(&optimum.point);
            let done = !corral.add(vertex, optimum.point.clone()) || rounds > TRACKING_ROUNDS;
            if done {
                let mut best = optimum;
                best.point = corral.point();
                let slope = gradient;
                let objective = Objective::Tracking {
                    target_kw: target.clone(),
                    weight: weight.clone(),
                };
                return Ok(self.finish(&objective, best, slope, centre, gamma));
            }
            let point = corral.point();
            gradient = (0..steps)
                .map(|t| 2.0 * weight[t] * (centre[t] + gamma * point[t] - target[t]))
                .collect();
        }
    }
}

/// Linear programs of a tracking decision before the best mixture so far is taken with its bound.
const TRACKING_ROUNDS: usize = 500;

impl DecisionProgram<'_> {
    fn program_columns(&self) -> usize {
        self.form.matrix.ncols()
            + usize::from(matches!(
                self.kind,
                ObjectiveKind::Peak | ObjectiveKind::DemandCharge
            ))
    }
}
