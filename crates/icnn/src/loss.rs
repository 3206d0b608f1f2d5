//! The loss of a set and its gradient, by the envelope theorem.

use evflex_flexibility::{ExactScaler, FleetPolymatroid, Objective};
use ndarray::ArrayView1;
use rayon::prelude::*;

use crate::{
    decision::{DecisionProgram, SetDecision},
    error::{Error, check_count},
    form::LinearForm,
    layout::{Envelope, Layout, Parameter},
    network::Weights,
    pool::Pool,
    settings::{GradientRule, Trained},
    start::Candidate,
};

/// Days solved one after the other by one dictionary, so that results do not depend on the number of threads.
const DAYS_TOGETHER: usize = 4;

/// The mean cost of decisions over `Δ + γF`, and how it changes with every parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The mean cost, in the unit of the objectives.
    pub cost: f64,
    /// No set of decisions in `Δ + γF` has a smaller mean cost: proven by multipliers.
    pub lower_bound: f64,
    /// γ.
    pub gamma: f64,
    /// Derivatives with respect to all parameters, in the order of [`Layout`]; the centre moves with the set in place
    /// ([`Parameter::Centre`]).
    pub gradient: Vec<f64>,
    /// Derivatives of γ alone, in the same order.
    pub gamma_gradient: Vec<f64>,
    /// Whether a program along the way has several optima, so that the gradient is one of several.
    pub kink: bool,
}

/// The mean cost of the decisions over `Δ + γ_exact F`, with γ from the complete sweep, and its gradient.
///
/// With `λ` the multipliers of the rows of a decision and `y` those of the support value `h_F` of the subset that
/// limits γ, `∂c/∂θ = λ · ∂(rows)/∂θ` at fixed γ, and `∂γ/∂θ = (γ/h_F) y · ∂(rows)/∂θ`; nothing is
/// differentiated through a solver. [`GradientRule::Pgd`] leaves out the part through γ.
///
/// Training does the same with a pool of subsets in place of most sweeps; this function is for checks and reports.
///
/// # Errors
/// [`Error::Flexibility`] if the centre is not in the fleet's set, the horizon is too long for a sweep, or an objective is
/// bad; [`Error::Training`] without objectives or for objectives of different kinds.
pub fn decision_loss(
    fleet: &FleetPolymatroid,
    scaler: &ExactScaler,
    candidate: &Candidate,
    objectives: &[Objective],
    rule: GradientRule,
) -> Result<Loss, Error> {
    check_count(
        || "steps of the network".into(),
        fleet.steps(),
        candidate.network.steps(),
    )?;
    let layout = Layout::of(&candidate.network);
    let form = LinearForm::shortest(&candidate.network);
    let inner = form.inner_polytope(&candidate.network)?;
    let scaling = scaler.scale(&inner, candidate.centre.view())?;
    let mut pool = Pool::new(fleet, &scaling.pool)?;
    let limit = pool.limit(&form, candidate.centre.view(), 0.0)?;
    let days: Vec<&Objective> = objectives.iter().collect();
    let decisions = decide_all(
        &form,
        &days,
        candidate.centre.view(),
        limit.gamma,
        fleet.step_hours(),
    )?;
    let mut gradient = vec![0.0; layout.len()];
    let of_gamma = add_decisions(&layout, &form, &decisions, &mut gradient);
    let mut gamma_gradient = vec![0.0; layout.len()];
    limit.add_gradient(&layout, &form, 1.0, &mut gamma_gradient);
    if rule == GradientRule::Exact {
        for (total, part) in gradient.iter_mut().zip(&gamma_gradient) {
            *total += of_gamma * part;
        }
    }
    for total in [&mut gradient, &mut gamma_gradient] {
        move_centre_in_place(&layout, candidate.network.weights(), total);
    }
    let mean = |value: fn(&SetDecision) -> f64| {
        decisions.iter().map(value).sum::<f64>() / decisions.len() as f64
    };
    Ok(Loss {
        cost: mean(|decision| decision.cost),
        lower_bound: mean(|decision| decision.lower_bound),
        gamma: limit.gamma,
        kink: limit.kink || decisions.iter().any(|decision| decision.degenerate),
        gradient,
        gamma_gradient,
    })
}

/// The form that a gradient with respect to `trained` needs: without hidden units where nothing behind them is trained.
pub(crate) fn form_for(trained: &Trained, candidate: &Candidate) -> LinearForm {
    let last = candidate.network.depth() - 1;
    let needs_units = Layout::of(&candidate.network)
        .blocks()
        .iter()
        .any(|(block, _)| {
            trained.contains(*block)
                && match block {
                    Parameter::InputWeights(layer) => *layer != last,
                    Parameter::HiddenWeights(layer) => *layer > 0,
                    Parameter::OutputInputWeights
                    | Parameter::OutputHiddenWeights
                    | Parameter::OutputBias => true,
                    _ => false,
                }
        });
    if needs_units {
        LinearForm::lifted(&candidate.network)
    } else {
        LinearForm::shortest(&candidate.network)
    }
}

/// Every decision over `Δ + γF`, in parallel; the result does not depend on the number of threads.
pub(crate) fn decide_all(
    form: &LinearForm,
    days: &[&Objective],
    centre: ArrayView1<'_, f64>,
    gamma: f64,
    step_hours: f64,
) -> Result<Vec<SetDecision>, Error> {
    let Some(first) = days.first() else {
        return Err(Error::Training {
            what: "days",
            problem: "there are none".into(),
        });
    };
    let kind = first.kind();
    for day in days {
        day.check(form.steps())?;
        if day.kind() != kind {
            return Err(Error::Training {
                what: "days",
                problem: format!("{} and {kind} among them", day.kind()),
            });
        }
    }
    let program = DecisionProgram::new(form, kind, step_hours);
    let chunks = days
        .par_chunks(DAYS_TOGETHER)
        .map(|days| {
            let mut warm = program.start();
            days.iter()
                .map(|day| warm.decide(day, centre, gamma))
                .collect::<Result<Vec<_>, Error>>()
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(chunks.into_iter().flatten().collect())
}

/// Adds the derivatives of the mean cost at fixed γ, the centre's without its chain; returns that by γ.
pub(crate) fn add_decisions(
    layout: &Layout,
    form: &LinearForm,
    decisions: &[SetDecision],
    total: &mut [f64],
) -> f64 {
    let share = 1.0 / decisions.len() as f64;
    let mut of_gamma = 0.0;
    for decision in decisions {
        let envelope = Envelope {
            factor: share,
            rows: &decision.rows,
            point: &decision.point,
            lower: &decision.lower,
            upper: &decision.upper,
        };
        layout.add_envelope(total, form, &envelope);
        for (slot, slope) in layout
            .range(Parameter::Centre)
            .zip(&decision.minorant.slope)
        {
            total[slot] += share * slope;
        }
        of_gamma += share * decision.gamma;
    }
    of_gamma
}

/// Turns the derivative by the centre at fixed weights into that with the set in place, where biases and box move along:
/// `b_i ← b_i + W_i^(x) dΔ`, `p ← p − dΔ`.
pub(crate) fn move_centre_in_place(layout: &Layout, weights: &Weights, total: &mut [f64]) {
    let centre = layout.range(Parameter::Centre);
    let mut along = vec![0.0; centre.len()];
    for (i, layer) in weights.layers.iter().enumerate() {
        let biases = layout.range(Parameter::Bias(i));
        for (row, of_bias) in layer.input.rows().into_iter().zip(&total[biases]) {
            if *of_bias != 0.0 {
                for (entry, weight) in along.iter_mut().zip(row) {
                    *entry += of_bias * weight;
                }
            }
        }
    }
    let of_output = total[layout.range(Parameter::OutputBias).start];
    let (lower, upper) = (
        layout.range(Parameter::Lower),
        layout.range(Parameter::Upper),
    );
    for (t, entry) in along.iter_mut().enumerate() {
        *entry += of_output * weights.output.input[t];
        *entry -= total[lower.start + t] + total[upper.start + t];
    }
    for (slot, entry) in centre.zip(along) {
        total[slot] += entry;
    }
}
