//! The sum of inner or outer sets of batteries as the rows of one program.

use std::time::{Duration, Instant};

use evflex_fleet::{Fleet, Schedule};
use evflex_solver::{Options, Problem, ProblemBuilder, RowId, Solution, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1};

use super::battery::{Classes, Law, LossyBattery};
use crate::{
    aggregate_set::{Decision, DecisionStatus, Membership, Minorant},
    error::Error,
    objective::Objective,
};

/// Relative gap that the programs of decisions reach at their default tolerances.
const PROGRAM_GAP: f64 = 1e-6;

/// Which set of a battery is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inner,
    Outer,
}

/// A program over classes of equal batteries; a class of `m` is `m` times one battery, which is the sum of `m` equal
/// convex sets. The rows and variables of the sets come first, then the aggregate, then the objective's.
pub(super) struct FleetProgram<'a> {
    classes: &'a Classes,
    builder: ProblemBuilder,
    /// classes × steps
    power: Array2<VariableId>,
    /// Running sum of stored rates (the outer set's, or the majorant of the inner set), classes × steps.
    sum: Array2<VariableId>,
    aggregate: Vec<VariableId>,
    links: Vec<RowId>,
    set_rows: usize,
    set_variables: usize,
}

/// A solved program.
pub(super) struct Solved {
    problem: Problem,
    solution: Solution,
    power: Array2<VariableId>,
    sum: Array2<VariableId>,
    links: Vec<RowId>,
    set_rows: usize,
    set_variables: usize,
}

impl<'a> FleetProgram<'a> {
    pub fn new(name: &str, classes: &'a Classes, side: Side) -> Result<Self, Error> {
        let mut builder = ProblemBuilder::new(name);
        let (mut power, mut sum) = (Vec::new(), Vec::new());
        for (class, battery) in classes.batteries.iter().enumerate() {
            let multiplicity = classes.multiplicity[class];
            let (u, x) = if side == Side::Outer || battery.is_linear() {
                write_outer(&mut builder, class, battery, multiplicity)
            } else {
                let factors = &classes.factors[class];
                write_inner(&mut builder, class, battery, factors, multiplicity)
            };
            power.extend(u);
            sum.extend(x);
        }
        let steps = classes.batteries.first().map_or(0, LossyBattery::steps);
        let shape = (classes.batteries.len(), steps);
        let shaped = |ids: Vec<VariableId>| {
            let found = ids.len();
            Array2::from_shape_vec(shape, ids).map_err(|_| Error::Length {
                what: "powers",
                expected: shape.0 * shape.1,
                found,
            })
        };
        let (power, sum) = (shaped(power)?, shaped(sum)?);
        let (set_rows, set_variables) = (builder.row_count(), builder.variable_count());
        let free = |builder: &mut ProblemBuilder, t: usize| {
            builder.variable(
                format!("aggregate_{t}"),
                f64::NEG_INFINITY,
                f64::INFINITY,
                0.0,
            )
        };
        let aggregate: Vec<VariableId> = (0..steps).map(|t| free(&mut builder, t)).collect();
        let links = (0..steps)
            .map(|t| {
                let fleet = power.column(t).into_iter().map(|&u| (u, 1.0));
                let terms: Vec<_> = fleet.chain([(aggregate[t], -1.0)]).collect();
                builder.row(format!("aggregate_{t}"), 0.0, terms, 0.0)
            })
            .collect();
        Ok(Self {
            classes,
            builder,
            power,
            sum,
            aggregate,
            links,
            set_rows,
            set_variables,
        })
    }

    pub fn objective(&mut self, objective: &Objective, step_hours: f64) {
        objective.write(&mut self.builder, &self.aggregate, step_hours);
    }

    /// Minimises the sum of absolute differences to a profile.
    pub fn nearest_to(&mut self, profile: ArrayView1<'_, f64>) {
        for (t, &u) in self.aggregate.iter().enumerate() {
            let above = self
                .builder
                .variable(format!("above_{t}"), 0.0, f64::INFINITY, 1.0);
            let below = self
                .builder
                .variable(format!("below_{t}"), 0.0, f64::INFINITY, 1.0);
            let terms = [(u, 1.0), (above, 1.0), (below, -1.0)];
            self.builder
                .row(format!("profile_{t}"), profile[t], terms, profile[t]);
        }
    }

    /// Maximises `direction · u`.
    pub fn towards(&mut self, direction: ArrayView1<'_, f64>) {
        for (&u, &weight) in self.aggregate.iter().zip(direction) {
            self.builder.set_cost(u, -weight);
        }
    }

    pub fn solve(self, solver: &dyn Solver, options: &Options) -> Result<Solved, Error> {
        let name = "decision over lossy batteries";
        let problem = self.builder.build()?;
        tracing::debug!(
            classes = self.classes.batteries.len(),
            variables = problem.variable_count(),
            rows = problem.row_count(),
            "program over lossy batteries"
        );
        let solution = solver.solve(&problem, options)?.into_optimal_of(name)?;
        Ok(Solved {
            problem,
            solution,
            power: self.power,
            sum: self.sum,
            links: self.links,
            set_rows: self.set_rows,
            set_variables: self.set_variables,
        })
    }
}

impl Solved {
    /// The value of what was minimised.
    pub fn value(&self) -> f64 {
        self.solution.objective()
    }

    /// Power of one battery of each class, kW.
    pub fn power(&self, classes: &Classes) -> Array2<f64> {
        self.per_battery(&self.power, classes)
    }

    /// Running sum of one battery of each class, kW.
    pub fn sum(&self, classes: &Classes) -> Array2<f64> {
        self.per_battery(&self.sum, classes)
    }

    fn per_battery(&self, ids: &Array2<VariableId>, classes: &Classes) -> Array2<f64> {
        Array2::from_shape_fn(ids.dim(), |(class, t)| {
            self.solution.value(ids[[class, t]]) / classes.multiplicity[class]
        })
    }

    /// How the minimum changes with the aggregate power of each step: the slope that the rest of the program puts on it.
    pub fn slope(&self, solver: &dyn Solver) -> Result<Array1<f64>, Error> {
        let rows = self.row_duals(solver)?;
        Ok(self.links.iter().map(|link| -rows[link.index()]).collect())
    }

    fn row_duals(&self, solver: &dyn Solver) -> Result<&[f64], Error> {
        Ok(&self
            .solution
            .duals()
            .ok_or_else(|| evflex_solver::Error::Unsupported {
                solver: solver.name(),
                class: "duals",
            })?
            .rows)
    }

    /// A lower bound on `slope · u` over the sum of the sets, by weak duality from the multipliers of the sets' rows.
    ///
    /// All variables of the sets are bounded, so whatever the solver got wrong costs tightness, not validity.
    pub fn least(&self, slope: &Array1<f64>, solver: &dyn Solver) -> Result<f64, Error> {
        let duals = self.row_duals(solver)?;
        let mut rest = vec![0.0; self.set_variables];
        for ((_, t), u) in self.power.indexed_iter() {
            rest[u.index()] = slope[t];
        }
        let mut bound = 0.0;
        for row in 0..self.set_rows {
            let y = duals[row];
            let side = if y > 0.0 {
                self.problem.row_lower()[row]
            } else {
                self.problem.row_upper()[row]
            };
            // A multiplier of a side that is not there is rounding.
            if y == 0.0 || side.is_infinite() {
                continue;
            }
            bound += y * side;
            for (variable, coefficient) in self.problem.by_row().line(row) {
                rest[variable] -= y * coefficient;
            }
        }
        for (variable, &rest) in rest.iter().enumerate() {
            let side = if rest > 0.0 {
                self.problem.lower()[variable]
            } else {
                self.problem.upper()[variable]
            };
            if rest != 0.0 {
                bound += rest * side;
            }
        }
        Ok(bound)
    }
}

/// `u` and the running sum `x` of stored rates, between `g` and its chord.
fn write_outer(
    builder: &mut ProblemBuilder,
    class: usize,
    battery: &LossyBattery,
    multiplicity: f64,
) -> (Vec<VariableId>, Vec<VariableId>) {
    let (mut powers, mut sums) = (Vec::new(), Vec::<VariableId>::new());
    for t in 0..battery.steps() {
        let u = power_variable(builder, class, battery, multiplicity, t);
        let x = builder.variable(
            format!("x_{class}_{t}"),
            multiplicity * battery.reach_min[t],
            multiplicity * battery.reach_max[t],
            0.0,
        );
        let rate = |factor: f64| {
            let before = sums.last().map(|&before| (before, -1.0));
            [(x, 1.0), (u, -factor)].into_iter().chain(before)
        };
        match battery.law(t) {
            Law::Linear(factor) => {
                builder.row(format!("energy_{class}_{t}"), 0.0, rate(factor), 0.0);
            }
            Law::Hull { slope, offset } => {
                for factor in [battery.efficiency, 1.0 / battery.efficiency] {
                    builder.row(
                        format!("loss_{class}_{t}"),
                        f64::NEG_INFINITY,
                        rate(factor),
                        0.0,
                    );
                }
                builder.row(
                    format!("chord_{class}_{t}"),
                    multiplicity * offset,
                    rate(slope),
                    f64::INFINITY,
                );
            }
        }
        powers.push(u);
        sums.push(x);
    }
    (powers, sums)
}

/// `u`, the majorant `z` below the upper bounds and the minorant `y` above the lower bounds, where `y ≤ x ≤ z` for the true
/// running sum `x`; the other side of each is what `x` can reach and follows from the rest.
fn write_inner(
    builder: &mut ProblemBuilder,
    class: usize,
    battery: &LossyBattery,
    factors: &[f64],
    multiplicity: f64,
) -> (Vec<VariableId>, Vec<VariableId>) {
    let (mut powers, mut majorants) = (Vec::new(), Vec::<VariableId>::new());
    let mut minorant: Option<VariableId> = None;
    let mut most = 0.0;
    for t in 0..battery.steps() {
        let u = power_variable(builder, class, battery, multiplicity, t);
        let law = battery.law(t);
        let factor = match law {
            Law::Linear(factor) => factor,
            Law::Hull { .. } => factors[t],
        };
        most += factor * battery.power_max[t];
        let z = builder.variable(
            format!("z_{class}_{t}"),
            multiplicity * battery.reach_min[t],
            multiplicity
                * if battery.can_overflow[t] {
                    battery.sum_max[t]
                } else {
                    most.max(battery.sum_max[t])
                },
            0.0,
        );
        let before = majorants.last().map(|&before| (before, -1.0));
        let terms = [(z, 1.0), (u, -factor)].into_iter().chain(before);
        builder.row(format!("majorant_{class}_{t}"), 0.0, terms, 0.0);

        let y = builder.variable(
            format!("y_{class}_{t}"),
            multiplicity * battery.sum_min[t],
            multiplicity * battery.reach_max[t],
            0.0,
        );
        let mut rate = |factor: f64, lower: f64| {
            let before = minorant.map(|before| (before, -1.0));
            let terms = [(y, 1.0), (u, -factor)].into_iter().chain(before);
            builder.row(format!("minorant_{class}_{t}"), lower, terms, 0.0);
        };
        match law {
            Law::Linear(factor) => rate(factor, 0.0),
            Law::Hull { .. } => {
                rate(battery.efficiency, f64::NEG_INFINITY);
                rate(1.0 / battery.efficiency, f64::NEG_INFINITY);
            }
        }
        powers.push(u);
        majorants.push(z);
        minorant = Some(y);
    }
    (powers, majorants)
}

fn power_variable(
    builder: &mut ProblemBuilder,
    class: usize,
    battery: &LossyBattery,
    multiplicity: f64,
    t: usize,
) -> VariableId {
    builder.variable(
        format!("u_{class}_{t}"),
        multiplicity * battery.power_min[t],
        multiplicity * battery.power_max[t],
        0.0,
    )
}

/// What is known about a profile: what stands behind it in the program, or the half-space between it and the set.
pub(super) enum Nearest {
    Inside(Array2<f64>),
    Separated {
        direction: Array1<f64>,
        excess_kw: f64,
    },
}

impl Nearest {
    pub fn membership(self) -> Membership {
        match self {
            Self::Inside(_) => Membership::Inside,
            Self::Separated {
                direction,
                excess_kw,
            } => Membership::Separated {
                direction,
                excess_kw,
            },
        }
    }

    pub fn inside(self) -> Result<Array2<f64>, Error> {
        match self {
            Self::Inside(values) => Ok(values),
            Self::Separated { excess_kw, .. } => Err(Error::Separated { excess_kw }),
        }
    }
}

/// A schedule that gives every vehicle the row of its class.
pub(super) fn schedule(
    fleet: &Fleet,
    classes: &Classes,
    power: &Array2<f64>,
) -> Result<Schedule, Error> {
    let mut power_kw = Array2::zeros((fleet.len(), fleet.steps()));
    for (mut row, &class) in power_kw.outer_iter_mut().zip(&classes.class_of_vehicle) {
        row.assign(&power.row(class));
    }
    let ids = fleet.vehicles().iter();
    let ids = ids.map(|vehicle| vehicle.id().to_owned()).collect();
    Ok(Schedule::new(fleet.grid().clone(), ids, power_kw)?)
}

/// Puts a decision together; `least` is a lower bound on `slope · u` over the set.
pub(super) fn decision(
    objective: &Objective,
    step_hours: f64,
    profile_kw: Array1<f64>,
    raw_slope: &Array1<f64>,
    least: impl FnOnce(&Array1<f64>) -> Result<f64, Error>,
    options: &Options,
    started: Instant,
) -> Result<Decision, Error> {
    let cost = objective.cost(profile_kw.view(), step_hours);
    let slope = objective.nearest_slope(raw_slope, profile_kw.view(), step_hours);
    let constant = objective
        .minorant_constant(slope.view(), step_hours, 1e-9)
        .unwrap_or(f64::NEG_INFINITY);
    let mut decision = Decision {
        lower_bound: (constant + least(&slope)?).min(cost),
        profile_kw,
        cost,
        minorant: Minorant { slope, constant },
        status: DecisionStatus::Stalled,
        iterations: 1,
        elapsed: Duration::ZERO,
    };
    if decision.gap() <= options.gap.max(PROGRAM_GAP) {
        decision.status = DecisionStatus::Optimal;
    }
    decision.elapsed = started.elapsed();
    Ok(decision)
}
