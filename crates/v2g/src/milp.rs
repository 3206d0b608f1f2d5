//! The mixed-integer program, in several formulations.

use crate::answer::{Answer, HistoryEntry, Record, ScheduleMethod, Status};
use crate::error::Error;
use crate::problem::SchedulingProblem;
use crate::rule::{Activity, SwitchRule, Switching};
use evflex_solver::{
    Options, Outcome, Problem, ProblemBuilder, Progress, Solution, Solver, VariableId,
};
use ndarray::Array2;
use std::sync::{Arc, Mutex, PoisonError};

/// How rule A becomes rows, from the weakest relaxation to the tightest. With modes `m_k ∈ {0, 1}` and the gap W,
///
/// | formulation | rows |
/// |---|---|
/// | `Pairwise` | `z_k ≥ ±(m_k − m_{k−1})`, `z_j + z_k ≤ 1` for `0 < k − j < W` |
/// | `Window` | the same with `z_{k−W+1} + … + z_k ≤ 1` |
/// | `Precedence` | `m_k − m_{k−1} ≤ m_j` and `m_{k−1} − m_k ≤ 1 − m_j` for `0 < j − k < W` |
/// | `RajanTakriti` | `u_k − d_k = m_k − m_{k−1}`, `Σ_{j>k−W} u_j ≤ m_k`, `Σ_{j>k−W} d_j ≤ 1 − m_k` |
///
/// The last one describes the convex hull of the modes of one vehicle. Rules B and D always use it (with a row per block
/// for D), rule C has binaries of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Formulation {
    /// Pairs of switches.
    Pairwise,
    /// Windows (cliques) of switches.
    Window,
    /// A switch fixes the modes after it.
    Precedence,
    /// Starts and stops.
    #[default]
    RajanTakriti,
}

impl Formulation {
    /// All of them, from weak to tight.
    pub const ALL: [Self; 4] = [
        Self::Pairwise,
        Self::Window,
        Self::Precedence,
        Self::RajanTakriti,
    ];

    /// Name on command lines and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairwise => "pairwise",
            Self::Window => "window",
            Self::Precedence => "precedence",
            Self::RajanTakriti => "rajan-takriti",
        }
    }
}

/// A scheduling problem as a mixed-integer program, with the handles that bring its solution back.
#[derive(Debug)]
pub struct MilpModel {
    problem: Problem,
    /// Per vehicle and step: drawn, and fed in where that is a variable of its own.
    powers: Vec<Vec<(VariableId, Option<VariableId>)>>,
    binaries: Vec<VariableId>,
}

impl MilpModel {
    /// Writes a problem down. Powers are variables between their bounds (two per step for lossy vehicles, with a binary
    /// that keeps one of them at zero), levels are variables between theirs, and the energy bought or left over is
    /// `E⁺ − E⁻`. Steps with a concave cost have a binary that keeps one of the two at zero.
    ///
    /// # Errors
    /// Those of [`ProblemBuilder::build`], for numbers beyond what solvers take.
    pub fn new(problem: &SchedulingProblem, formulation: Formulation) -> Result<Self, Error> {
        Writer {
            problem,
            formulation,
            builder: ProblemBuilder::new("V2G scheduling"),
            binaries: Vec::new(),
        }
        .write()
    }

    /// The program as data.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Powers, vehicles × steps, kW, of a solution of the program.
    #[must_use]
    pub fn powers_kw(&self, solution: &Solution) -> Array2<f64> {
        let steps = self.powers.first().map_or(0, Vec::len);
        Array2::from_shape_fn((self.powers.len(), steps), |(i, k)| {
            let (drawn, fed) = self.powers[i][k];
            let power = solution.value(drawn) - fed.map_or(0.0, |fed| solution.value(fed));
            if power.abs() < 1e-9 { 0.0 } else { power }
        })
    }

    /// The program with the binaries fixed at a solution.
    fn fixed_at(&self, solution: &Solution) -> Result<Problem, Error> {
        let mut builder = self.problem.to_builder();
        for &binary in &self.binaries {
            let value = solution.value(binary).round().clamp(0.0, 1.0);
            builder.set_bounds(binary, value, value);
        }
        Ok(builder.build()?)
    }
}

struct Writer<'a> {
    problem: &'a SchedulingProblem,
    formulation: Formulation,
    builder: ProblemBuilder,
    binaries: Vec<VariableId>,
}

impl Writer<'_> {
    fn write(mut self) -> Result<MilpModel, Error> {
        let problem = self.problem;
        let steps = problem.steps();
        let hours = problem.grid().step_hours();
        let mut powers = Vec::with_capacity(problem.vehicles().len());
        for vehicle in 0..problem.vehicles().len() {
            powers.push(self.vehicle(vehicle));
        }
        let terms = |vehicles: &mut dyn Iterator<Item = usize>, step: usize, factor: f64| {
            let mut terms = Vec::new();
            for vehicle in vehicles {
                let (drawn, fed): (VariableId, Option<VariableId>) = powers[vehicle][step];
                terms.push((drawn, factor));
                terms.extend(fed.map(|fed| (fed, -factor)));
            }
            terms
        };
        for step in 0..steps {
            let (price, surplus) = (
                problem.price_eur_per_kwh()[step],
                problem.surplus_cost_eur_per_kwh()[step],
            );
            let volume = problem.volume_kwh()[step];
            let (mut most, mut least) = (volume, volume);
            for vehicle in 0..problem.vehicles().len() {
                let (charge, discharge) = problem.step_energy(vehicle, step);
                most += charge;
                least -= discharge;
            }
            let (most, least) = (most.max(0.0), (-least).max(0.0));
            let bought = self
                .builder
                .variable(format!("bought {step}"), 0.0, most, price);
            let left = self
                .builder
                .variable(format!("left {step}"), 0.0, least, surplus);
            let mut row = terms(&mut (0..powers.len()), step, -hours);
            row.extend([(bought, 1.0), (left, -1.0)]);
            self.builder
                .row(format!("energy {step}"), volume, row, volume);
            if price + surplus < 0.0 {
                let buys = self.binary(format!("buys {step}"));
                let free = f64::NEG_INFINITY;
                let name = format!("bought or left {step}");
                self.builder
                    .row(name.as_str(), free, [(bought, 1.0), (buys, -most)], 0.0);
                self.builder
                    .row(name, free, [(left, 1.0), (buys, least)], least);
            }
            for (index, group) in problem.groups().iter().enumerate() {
                let row = terms(&mut group.vehicles.iter().copied(), step, 1.0);
                self.builder.row(
                    format!("group {index} step {step}"),
                    -group.discharge_limit_kw,
                    row,
                    group.charge_limit_kw,
                );
            }
        }
        Ok(MilpModel {
            problem: self.builder.build()?,
            powers,
            binaries: self.binaries,
        })
    }

    fn binary(&mut self, name: String) -> VariableId {
        let binary = self.builder.binary(name, 0.0);
        self.binaries.push(binary);
        binary
    }

    fn vehicle(&mut self, index: usize) -> Vec<(VariableId, Option<VariableId>)> {
        let problem = self.problem;
        let vehicle = &problem.vehicles()[index];
        let (steps, hours) = (problem.steps(), problem.grid().step_hours());
        let lossy = vehicle.efficiency < 1.0;
        let mut powers = Vec::with_capacity(steps);
        let mut before: Option<VariableId> = None;
        for step in 0..steps {
            let share = vehicle.share(step);
            let (charge, discharge) = (
                share * vehicle.charge_max_kw,
                share * vehicle.discharge_max_kw,
            );
            let name = format!("{index},{step}");
            let (drawn, fed) = if lossy {
                let drawn = self
                    .builder
                    .variable(format!("charge {name}"), 0.0, charge, 0.0);
                let fed = self
                    .builder
                    .variable(format!("discharge {name}"), 0.0, discharge, 0.0);
                (drawn, Some(fed))
            } else {
                (
                    self.builder
                        .variable(format!("power {name}"), -discharge, charge, 0.0),
                    None,
                )
            };
            let least = if step + 1 == steps {
                vehicle.final_min_kwh.max(vehicle.minimum_kwh)
            } else {
                vehicle.minimum_kwh
            };
            let level =
                self.builder
                    .variable(format!("level {name}"), least, vehicle.capacity_kwh, 0.0);
            let mut row = vec![(level, 1.0), (drawn, -hours * vehicle.efficiency)];
            row.extend(fed.map(|fed| (fed, hours / vehicle.efficiency)));
            row.extend(before.map(|before| (before, -1.0)));
            let side = if before.is_none() {
                vehicle.initial_kwh
            } else {
                0.0
            };
            self.builder.row(format!("level {name}"), side, row, side);
            before = Some(level);
            powers.push((drawn, fed));
        }
        match problem.switching() {
            Some(switching) if switching.rule == SwitchRule::CoolingOff => {
                self.cooling_off(index, &powers, switching.gap_steps);
            }
            Some(switching) => self.modes(index, &powers, Some(switching)),
            None if lossy => self.modes(index, &powers, None),
            None => {}
        }
        powers
    }

    /// Binaries `m` with `p ≤ charge · m` and `p ≥ −discharge (1 − m)`, and the rows of the rule between them. The past has
    /// modes of its own, fixed where it was active.
    fn modes(
        &mut self,
        index: usize,
        powers: &[(VariableId, Option<VariableId>)],
        switching: Option<Switching>,
    ) {
        let past = if switching.is_some() {
            self.problem.vehicles()[index].past.clone()
        } else {
            Vec::new()
        };
        let mut modes = Vec::with_capacity(past.len() + powers.len());
        for (k, activity) in past.iter().enumerate() {
            let mode = self.binary(format!("past mode {index},{k}"));
            match activity {
                Activity::Charge => self.builder.set_bounds(mode, 1.0, 1.0),
                Activity::Discharge => self.builder.set_bounds(mode, 0.0, 0.0),
                Activity::Idle => {}
            }
            modes.push(mode);
        }
        for (step, &power) in powers.iter().enumerate() {
            let mode = self.binary(format!("mode {index},{step}"));
            self.bind(index, step, power, (mode, 1.0, 0.0), (mode, -1.0, 1.0));
            modes.push(mode);
        }
        let Some(Switching { rule, gap_steps }) = switching else {
            return;
        };
        let name = |k: usize| format!("switch {index},{k}");
        let open = f64::NEG_INFINITY;
        if rule == SwitchRule::TwoMode && self.formulation != Formulation::RajanTakriti {
            return self.weak_rows(index, &modes, gap_steps);
        }
        let mut starts: Vec<(VariableId, VariableId)> = Vec::with_capacity(modes.len());
        for k in 1..modes.len() {
            // Integral whenever the modes are.
            let start = self
                .builder
                .variable(format!("start {index},{k}"), 0.0, 1.0, 0.0);
            let stop = self
                .builder
                .variable(format!("stop {index},{k}"), 0.0, 1.0, 0.0);
            let row = [
                (start, 1.0),
                (stop, -1.0),
                (modes[k], -1.0),
                (modes[k - 1], 1.0),
            ];
            self.builder.row(name(k), 0.0, row, 0.0);
            starts.push((start, stop));
            if rule != SwitchRule::ClockHour {
                let window = &starts[starts.len().saturating_sub(gap_steps)..];
                let up = window.iter().map(|pair| (pair.0, 1.0));
                self.builder
                    .row(name(k), open, up.chain([(modes[k], -1.0)]), 0.0);
                let down = window.iter().map(|pair| (pair.1, 1.0));
                self.builder
                    .row(name(k), open, down.chain([(modes[k], 1.0)]), 1.0);
            }
        }
        if rule == SwitchRule::ClockHour {
            // Position k of `modes` is step first_step + k − past.
            let shift =
                self.problem.first_step() + past.len().div_ceil(gap_steps) * gap_steps - past.len();
            let mut block = Vec::new();
            for k in 1..modes.len() {
                if (k + shift).is_multiple_of(gap_steps) && !block.is_empty() {
                    self.builder
                        .row(name(k), open, std::mem::take(&mut block), 1.0);
                }
                let (start, stop) = starts[k - 1];
                block.extend([(start, 1.0), (stop, 1.0)]);
            }
            self.builder.row(name(modes.len()), open, block, 1.0);
        }
        if rule == SwitchRule::FirstActivity {
            self.dates(index, powers, &modes, &starts, past.len());
        }
    }

    /// The power of a step is within `charge · (a x + b)` above and `−discharge · (c y + d)` below, for binaries x and y.
    fn bind(
        &mut self,
        index: usize,
        step: usize,
        (drawn, fed): (VariableId, Option<VariableId>),
        (x, a, b): (VariableId, f64, f64),
        (y, c, d): (VariableId, f64, f64),
    ) {
        let vehicle = &self.problem.vehicles()[index];
        let share = vehicle.share(step);
        let (charge, discharge) = (
            share * vehicle.charge_max_kw,
            share * vehicle.discharge_max_kw,
        );
        let name = format!("mode {index},{step}");
        let open = f64::INFINITY;
        self.builder.row(
            name.as_str(),
            -open,
            [(drawn, 1.0), (x, -charge * a)],
            charge * b,
        );
        if let Some(fed) = fed {
            self.builder.row(
                name,
                -open,
                [(fed, 1.0), (y, -discharge * c)],
                discharge * d,
            );
        } else {
            self.builder.row(
                name,
                -discharge * d,
                [(drawn, 1.0), (y, discharge * c)],
                open,
            );
        }
    }

    /// Rule B: in the step of a switch the vehicle is active.
    fn dates(
        &mut self,
        index: usize,
        powers: &[(VariableId, Option<VariableId>)],
        modes: &[VariableId],
        starts: &[(VariableId, VariableId)],
        past: usize,
    ) {
        let vehicle = &self.problem.vehicles()[index];
        for (step, &(drawn, fed)) in powers.iter().enumerate() {
            let position = past + step;
            if position == 0 {
                continue;
            }
            let share = vehicle.share(step);
            let (charge, discharge) = (
                share * vehicle.charge_max_kw,
                share * vehicle.discharge_max_kw,
            );
            let (start, stop) = starts[position - 1];
            // Where there is no power there is no first activity.
            if charge <= 0.0 {
                self.builder.set_bounds(start, 0.0, 0.0);
            }
            if discharge <= 0.0 {
                self.builder.set_bounds(stop, 0.0, 0.0);
            }
            let mode = modes[position];
            let name = format!("date {index},{step}");
            let least = SwitchRule::LEAST_SHARE;
            let mut power = vec![(drawn, 1.0)];
            power.extend(fed.map(|fed| (fed, -1.0)));
            // p ≥ least · charge · u − discharge (1 − m), and p ≤ −least · discharge · d + charge · m.
            let mut above = power.clone();
            above.extend([(start, -least * charge), (mode, -discharge)]);
            self.builder
                .row(name.as_str(), -discharge, above, f64::INFINITY);
            let mut below = power;
            below.extend([(stop, least * discharge), (mode, -charge)]);
            self.builder.row(name, f64::NEG_INFINITY, below, 0.0);
        }
    }

    fn weak_rows(&mut self, index: usize, modes: &[VariableId], gap: usize) {
        let open = f64::NEG_INFINITY;
        let name = |k: usize| format!("switch {index},{k}");
        if self.formulation == Formulation::Precedence {
            for k in 1..modes.len() {
                for &after in &modes[k + 1..(k + gap).min(modes.len())] {
                    let (now, before) = (modes[k], modes[k - 1]);
                    let row = [(now, 1.0), (before, -1.0), (after, -1.0)];
                    self.builder.row(name(k), open, row, 0.0);
                    let row = [(before, 1.0), (now, -1.0), (after, 1.0)];
                    self.builder.row(name(k), open, row, 1.0);
                }
            }
            return;
        }
        let mut switches: Vec<VariableId> = Vec::with_capacity(modes.len());
        for k in 1..modes.len() {
            let switch = self
                .builder
                .variable(format!("switch {index},{k}"), 0.0, 1.0, 0.0);
            let (now, before) = (modes[k], modes[k - 1]);
            let row = [(now, 1.0), (before, -1.0), (switch, -1.0)];
            self.builder.row(name(k), open, row, 0.0);
            let row = [(before, 1.0), (now, -1.0), (switch, -1.0)];
            self.builder.row(name(k), open, row, 0.0);
            let window = &switches[switches.len().saturating_sub(gap - 1)..];
            if self.formulation == Formulation::Pairwise {
                for &earlier in window {
                    self.builder
                        .row(name(k), open, [(earlier, 1.0), (switch, 1.0)], 1.0);
                }
            } else {
                let row = window.iter().map(|&earlier| (earlier, 1.0));
                self.builder
                    .row(name(k), open, row.chain([(switch, 1.0)]), 1.0);
            }
            switches.push(switch);
        }
    }

    /// Rule C: binaries for charging and discharging, of which two closer than the gap exclude each other.
    fn cooling_off(
        &mut self,
        index: usize,
        powers: &[(VariableId, Option<VariableId>)],
        gap: usize,
    ) {
        let past = self.problem.vehicles()[index].past.clone();
        let mut active = Vec::with_capacity(powers.len());
        for (step, &power) in powers.iter().enumerate() {
            let charges = self.binary(format!("charges {index},{step}"));
            let feeds = self.binary(format!("feeds {index},{step}"));
            self.bind(index, step, power, (charges, 1.0, 0.0), (feeds, 1.0, 0.0));
            for back in 1..gap {
                let Some(position) = (past.len() + step).checked_sub(back) else {
                    break;
                };
                if position < past.len() {
                    match past[position] {
                        Activity::Charge => self.builder.set_bounds(feeds, 0.0, 0.0),
                        Activity::Discharge => self.builder.set_bounds(charges, 0.0, 0.0),
                        Activity::Idle => {}
                    }
                }
            }
            active.push((charges, feeds));
        }
        let open = f64::NEG_INFINITY;
        for (k, &(charges, _)) in active.iter().enumerate() {
            let from = k.saturating_sub(gap - 1);
            for &(_, feeds) in &active[from..(k + gap).min(active.len())] {
                let row = [(charges, 1.0), (feeds, 1.0)];
                self.builder
                    .row(format!("apart {index},{k}"), open, row, 1.0);
            }
        }
    }
}

/// Solves scheduling problems as mixed-integer programs, with any solver that takes them.
///
/// ```
/// use evflex_solver::{Microlp, Options};
/// use evflex_v2g::{Milp, ScheduleMethod, instances::{Night, moderate}};
/// let problem = moderate(&Night::new(2).steps(8), 1)?;
/// let answer = Milp::new(&Microlp::default()).solve(&problem, &Options::default())?;
/// assert!(answer.gap() <= 1e-6);
/// # Ok::<(), evflex_v2g::Error>(())
/// ```
pub struct Milp<'a> {
    solver: &'a dyn Solver,
    formulation: Formulation,
}

impl<'a> Milp<'a> {
    /// With Rajan and Takriti's formulation.
    #[must_use]
    pub fn new(solver: &'a dyn Solver) -> Self {
        Self {
            solver,
            formulation: Formulation::default(),
        }
    }

    /// With another formulation.
    #[must_use]
    pub fn formulation(mut self, formulation: Formulation) -> Self {
        self.formulation = formulation;
        self
    }
}

impl ScheduleMethod for Milp<'_> {
    fn name(&self) -> String {
        format!("{} by {}", self.formulation.name(), self.solver.name())
    }

    fn solve(&self, problem: &SchedulingProblem, options: &Options) -> Result<Answer, Error> {
        let mut record = Record::new(problem);
        let model = MilpModel::new(problem, self.formulation)?;
        let heard = Heard::default();
        let mut inner = options.remaining(record.started()).duals(false);
        inner.progress = Some(heard.listener(options, record.started()));
        let outcome = self.solver.solve(&model.problem, &inner)?;
        record.history = heard.entries();
        let (solution, bound, status) = match &outcome {
            Outcome::Optimal(solution) => (Some(solution), solution.bound(), Status::Optimal),
            Outcome::Stopped {
                incumbent, bound, ..
            } => (
                incumbent.as_ref(),
                bound.unwrap_or(f64::NEG_INFINITY),
                Status::Stopped,
            ),
            Outcome::Infeasible(_) => {
                return Err(Error::Infeasible {
                    reason: format!("{} proved it", self.name()),
                });
            }
            // Costs and powers are bounded, so nothing else is left but an engine's mistake.
            _ => {
                return Err(Error::Infeasible {
                    reason: format!(
                        "{} found no solution and no proof that there is none",
                        self.name()
                    ),
                });
            }
        };
        if let Some(solution) = solution
            && record.offer(model.powers_kw(solution))?.is_none()
        {
            // Binaries are integral only up to a tolerance, powers beside them as well: solve once more with the binaries
            // fixed.
            let mut rest = options.clone().duals(false);
            rest.time_limit = None;
            rest.progress = None;
            let again = self.solver.solve(&model.fixed_at(solution)?, &rest)?;
            let offered = match again.best() {
                Some(solution) => record.offer(model.powers_kw(solution))?,
                None => None,
            };
            if offered.is_none() {
                return Err(Error::CheckFailed {
                    method: "mixed-integer program",
                    violation: format!("objective {}", solution.objective()),
                });
            }
        }
        record.bound(bound);
        if record.bound.is_finite() {
            record.note();
        }
        Ok(record.finish(status, Vec::new()))
    }
}

/// Costs and bounds that a solver reports on the way.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<HistoryEntry>>>);

impl Heard {
    fn listener(&self, options: &Options, started: std::time::Instant) -> Progress {
        let heard = self.0.clone();
        let outer = options.progress.clone();
        Progress::new(move |report| {
            if let Some(outer) = &outer {
                outer.report(report);
            }
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = HistoryEntry {
                seconds: started.elapsed().as_secs_f64(),
                cost_eur: report.objective,
                lower_bound_eur: report.bound,
            };
            let known = heard.last().is_some_and(|last| {
                last.cost_eur == entry.cost_eur && last.lower_bound_eur == entry.lower_bound_eur
            });
            if !known {
                heard.push(entry);
            }
        })
    }

    fn entries(&self) -> Vec<HistoryEntry> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
