//! Cheapest schedules of single vehicles under given prices, exactly: what the decomposition asks over and over.

mod lattice;
mod piecewise;

use crate::automaton::Automaton;
use crate::problem::SchedulingProblem;
use lattice::{Lattice, Scratch};
use piecewise::Piecewise;
use rayon::prelude::*;
use std::cell::RefCell;

/// A vehicle's program, by what it takes.
#[derive(Debug)]
enum Program {
    Lattice(Lattice),
    Piecewise(Piecewise),
}

/// The programs of all vehicles.
#[derive(Debug)]
pub(crate) struct Pricer {
    automaton: Automaton,
    programs: Vec<Program>,
    steps: usize,
}

/// A schedule of one vehicle under prices.
#[derive(Clone, Debug)]
pub(crate) struct Priced {
    /// Energy drawn from the grid per step, kWh.
    pub energies: Vec<f64>,
    /// No schedule of the vehicle costs less than this, EUR.
    pub least_cost: f64,
}

/// Prices that are whole multiples of a resolution, so that the programs add them without rounding.
#[derive(Clone, Debug)]
pub(crate) struct Prices {
    /// EUR/kWh, price list by price list, step by step.
    pub values: Vec<Vec<f64>>,
    units: Vec<Vec<f64>>,
    resolution: f64,
}

impl Prices {
    /// The prices next to `wanted` (one list per group) that can be added exactly.
    pub fn nearest(wanted: &[Vec<f64>]) -> Self {
        let steps = wanted.first().map_or(0, Vec::len);
        let largest = wanted
            .iter()
            .flatten()
            .fold(0.0_f64, |largest, price| largest.max(price.abs()));
        // Sums of up to `steps` of these units, and what roundings of partial steps add, stay below 2^24.
        let most = (16_777_216.0 / (steps as f64 + 8.0)).floor();
        let resolution = if largest > 0.0 { largest / most } else { 1.0 };
        let units: Vec<Vec<f64>> = wanted
            .iter()
            .map(|list| list.iter().map(|p| (p / resolution).round()).collect())
            .collect();
        let values = units
            .iter()
            .map(|list: &Vec<f64>| list.iter().map(|unit| unit * resolution).collect())
            .collect();
        Self {
            values,
            units,
            resolution,
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Pricer {
    /// The programs of all vehicles for bounds: over the closure of the switching rule.
    pub fn for_bounds(problem: &SchedulingProblem) -> Self {
        let automaton = Automaton::closure(problem.switching(), problem.first_step());
        Self::new(problem, automaton)
    }

    /// The programs of all vehicles for schedules.
    pub fn for_schedules(problem: &SchedulingProblem) -> Self {
        let automaton = Automaton::new(problem.switching(), problem.first_step());
        Self::new(problem, automaton)
    }

    fn new(problem: &SchedulingProblem, automaton: Automaton) -> Self {
        let step_hours = problem.grid().step_hours();
        let program = |vehicle| {
            Lattice::new(vehicle, step_hours, &automaton).map_or_else(
                || {
                    let steps = problem.steps();
                    Program::Piecewise(Piecewise::new(vehicle, steps, step_hours, &automaton))
                },
                Program::Lattice,
            )
        };
        Self {
            programs: problem.vehicles().iter().map(program).collect(),
            automaton,
            steps: problem.steps(),
        }
    }

    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// A cheapest schedule of one vehicle under the prices of list `list`.
    pub fn price(&self, vehicle: usize, prices: &Prices, list: usize) -> Option<Priced> {
        match &self.programs[vehicle] {
            Program::Lattice(lattice) => SCRATCH.with_borrow_mut(|scratch| {
                lattice.linear_costs(&prices.units[list], &mut scratch.costs);
                let mut energies = Vec::new();
                let units = lattice.solve(&self.automaton, scratch, &mut energies)?;
                Some(Priced {
                    energies,
                    least_cost: units * prices.resolution * lattice.full_kwh(),
                })
            }),
            Program::Piecewise(program) => {
                let (energies, least_cost) =
                    program.solve(&self.automaton, &prices.values[list])?;
                Some(Priced {
                    energies,
                    least_cost,
                })
            }
        }
    }

    /// Cheapest schedules of all vehicles, vehicle `i` under list `list_of[i]`, in parallel.
    ///
    /// The error is the first vehicle without a schedule.
    pub fn price_all(&self, prices: &Prices, list_of: &[usize]) -> Result<Vec<Priced>, usize> {
        (0..self.programs.len())
            .into_par_iter()
            .with_min_len(8)
            .map(|vehicle| self.price(vehicle, prices, list_of[vehicle]).ok_or(vehicle))
            .collect()
    }

    /// A good schedule of one vehicle for any convex cost of step and energy: the best on the lattice, or for costs that are
    /// made linear between its largest powers where there is none. `None` if there is no schedule.
    pub fn respond(
        &self,
        vehicle: usize,
        energies: &mut Vec<f64>,
        cost: impl Fn(usize, f64) -> f64,
        limits: impl Fn(usize) -> (f64, f64),
    ) -> Option<f64> {
        match &self.programs[vehicle] {
            Program::Lattice(lattice) => SCRATCH.with_borrow_mut(|scratch| {
                lattice.costs_of(self.steps, &mut scratch.costs, cost);
                lattice.solve(&self.automaton, scratch, energies)
            }),
            Program::Piecewise(program) => {
                let solve = |program: &Piecewise| {
                    let price = |step| {
                        let (least, most) = program.range(step);
                        if most > least {
                            (cost(step, most) - cost(step, least)) / (most - least)
                        } else {
                            0.0
                        }
                    };
                    let prices: Vec<f64> = (0..self.steps).map(price).collect();
                    program.solve(&self.automaton, &prices)
                };
                // Within the limits of its group if that is possible.
                let (found, value) = solve(&program.within(limits)).or_else(|| solve(program))?;
                *energies = found;
                Some(value)
            }
        }
    }
}
