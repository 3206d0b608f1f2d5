//! Random problems whose answers are known: by construction from an optimal pair or a certificate, or by
//! enumeration.

use super::Expected::{Infeasible, Optimal, Unbounded};
use super::{Expected, Report, Verdict, close, describe, outcome, pose};
use crate::{
    AffineTerm, Error, Options, Outcome, Problem, ProblemBuilder, RowId, Solver, VariableId,
};

const INF: f64 = f64::INFINITY;

/// Splitmix64 (Steele, Lea, Flood, 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }
}

type Made = Result<(Problem, Expected), Error>;

type Maker = (&'static str, fn(&mut Random) -> Made);

/// The makers of problems, by name.
const MAKERS: [Maker; 7] = [
    ("linear", |random| optimal_pair(random, false)),
    ("quadratic", |random| optimal_pair(random, true)),
    ("conic", conic),
    ("infeasible", infeasible),
    ("unbounded", unbounded),
    ("integer", integer),
    ("mixed integer", mixed_integer),
];

pub(super) fn run(solver: &dyn Solver, count: usize, seed: u64, report: &mut Report) {
    for (name, make) in MAKERS {
        for index in 0..count {
            let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(index as u64));
            let result = make(&mut random)
                .map_err(|error| error.to_string())
                .and_then(|(problem, expected)| pose(solver, Ok(problem), expected));
            report.add(format!("random {name} {index}"), result);
        }
    }
    for index in 0..count.min(5) {
        let mut random = Random(seed.wrapping_mul(7_000_003).wrapping_add(index as u64));
        report.add(
            format!("duals of a linear problem against differences {index}"),
            differences(solver, optimal_pair(&mut random, false)),
        );
        report.add(
            format!("duals of a quadratic problem against differences {index}"),
            differences(solver, optimal_pair(&mut random, true)),
        );
    }
    report.add(
        "duals of a cone against differences",
        cone_differences(solver),
    );
}

pub(super) fn agreement(solvers: &[&dyn Solver], count: usize, seed: u64, report: &mut Report) {
    for (name, make) in MAKERS {
        for index in 0..count {
            let mut random = Random(seed.wrapping_mul(3_000_017).wrapping_add(index as u64));
            report.add(
                format!("random {name} {index}"),
                agree(solvers, make(&mut random)),
            );
        }
    }
}

fn agree(solvers: &[&dyn Solver], made: Made) -> Result<Verdict, String> {
    let (problem, _) = made.map_err(|error| error.to_string())?;
    let mut first: Option<(String, Outcome)> = None;
    let mut compared = false;
    for solver in solvers {
        let name = solver.name();
        if solver.capabilities().require(&problem, &name).is_err() {
            continue;
        }
        let found = outcome(*solver, &problem, &Options::default())?;
        let Some((other, known)) = &first else {
            first = Some((name, found));
            continue;
        };
        compared = true;
        match (known, &found) {
            (Outcome::Optimal(a), Outcome::Optimal(b)) => {
                close(
                    &format!("{name} against {other}"),
                    b.objective(),
                    a.objective(),
                )?;
            }
            (a, b) if a.status() == b.status() => {}
            (a, b) => {
                return Err(format!(
                    "{other} says {}, {name} says {}",
                    a.status(),
                    b.status()
                ));
            }
        }
    }
    Ok(if compared {
        Verdict::Passed
    } else {
        Verdict::Refused
    })
}

/// Chooses a point, multipliers and what is active, and derives costs and sides that make them optimal:
/// `c = Aᵀy + d − Qx`.
fn optimal_pair(random: &mut Random, quadratic: bool) -> Made {
    let (columns, rows) = (2 + random.below(9), 1 + random.below(8));
    let mut builder = ProblemBuilder::new("optimal pair");
    let point: Vec<f64> = (0..columns).map(|_| random.between(-5.0, 5.0)).collect();
    let mut costs = vec![0.0; columns];
    let mut bounds = Vec::new();
    for (value, cost) in point.iter().zip(&mut costs) {
        let room = random.between(0.5, 4.0);
        let multiplier = random.between(0.2, 3.0);
        bounds.push(match random.below(5) {
            0 => (-INF, INF),
            1 => (value - room, INF),
            2 => {
                *cost += multiplier;
                (*value, value + room)
            }
            3 => {
                *cost -= multiplier;
                (-INF, *value)
            }
            _ => (value - room, value + room),
        });
    }
    let variables: Vec<VariableId> = bounds
        .iter()
        .enumerate()
        .map(|(index, &(lower, upper))| builder.variable(format!("x{index}"), lower, upper, 0.0))
        .collect();
    for row in 0..rows {
        let mut terms = Vec::new();
        for &variable in &variables {
            if random.unit() < 0.6 {
                terms.push((variable, random.between(-2.0, 2.0)));
            }
        }
        let activity: f64 = terms.iter().map(|&(v, a)| a * point[v.index()]).sum();
        let room = random.between(0.5, 4.0);
        let multiplier = random.between(0.2, 3.0);
        let (lower, upper, multiplier) = match random.below(5) {
            0 => (activity, INF, multiplier),
            1 => (activity - room, activity, -multiplier),
            2 => (activity, activity, multiplier - 1.6),
            3 => (activity - room, activity + room, 0.0),
            _ => (-INF, activity + room, 0.0),
        };
        for &(variable, coefficient) in &terms {
            costs[variable.index()] += multiplier * coefficient;
        }
        builder.row(format!("r{row}"), lower, terms, upper);
    }
    if quadratic {
        // Q = Σ g gᵀ over a few sparse directions: semidefinite, seldom definite. ½ xᵀQx = ½ Σ (gᵀx)².
        for _ in 0..=random.below(columns) {
            let mut direction = Vec::new();
            for &variable in &variables {
                if random.unit() < 0.4 {
                    direction.push((variable, random.between(-1.5, 1.5)));
                }
            }
            let value: f64 = direction.iter().map(|&(v, g)| g * point[v.index()]).sum();
            for &(a, ga) in &direction {
                costs[a.index()] -= ga * value;
                for &(b, gb) in &direction {
                    builder.quadratic(a, b, 0.5 * ga * gb);
                }
            }
        }
    }
    for (&variable, &cost) in variables.iter().zip(&costs) {
        builder.set_cost(variable, cost);
    }
    builder.objective_offset(random.between(-3.0, 3.0));
    let problem = builder.build()?;
    let value = problem.objective(&point)?;
    Ok((problem, Optimal(value)))
}

/// A ball around a centre, and the linear function with gradient g: the optimum is centre − radius · g/‖g‖; rows are
/// added that this point satisfies with room.
fn conic(random: &mut Random) -> Made {
    let size = 2 + random.below(5);
    let mut builder = ProblemBuilder::new("ball");
    let centre: Vec<f64> = (0..size).map(|_| random.between(-3.0, 3.0)).collect();
    let gradient: Vec<f64> = (0..size).map(|_| random.between(-2.0, 2.0)).collect();
    let radius = random.between(0.5, 4.0);
    let length = crate::verify::norm(gradient.iter().copied());
    let variables: Vec<VariableId> = gradient
        .iter()
        .map(|&cost| builder.variable("x", -INF, INF, cost))
        .collect();
    let parts = variables
        .iter()
        .zip(&centre)
        .map(|(&variable, &c)| AffineTerm::new([(variable, 1.0)], -c))
        .collect();
    builder.second_order_cone("ball", AffineTerm::constant(radius), parts);
    let point: Vec<f64> = centre
        .iter()
        .zip(&gradient)
        .map(|(c, g)| c - radius * g / length)
        .collect();
    for row in 0..random.below(4) {
        let terms: Vec<_> = variables
            .iter()
            .map(|&variable| (variable, random.between(-1.0, 1.0)))
            .collect();
        let activity: f64 = terms.iter().map(|&(v, a)| a * point[v.index()]).sum();
        builder.row(
            format!("r{row}"),
            -INF,
            terms,
            activity + random.between(0.1, 1.0),
        );
    }
    let problem = builder.build()?;
    let value = problem.objective(&point)?;
    Ok((problem, Optimal(value)))
}

/// Rows over free variables, and a positive combination of them with a side that it cannot have. Weights and
/// coefficients are whole: a combination with rounding errors would be feasible, far away.
fn infeasible(random: &mut Random) -> Made {
    let (columns, rows) = (2 + random.below(6), 1 + random.below(5));
    let mut builder = ProblemBuilder::new("infeasible");
    let variables: Vec<VariableId> = (0..columns)
        .map(|_| builder.variable("x", -INF, INF, random.between(-1.0, 1.0)))
        .collect();
    let mut sum = vec![0.0; columns];
    let mut least = 0.0;
    for row in 0..rows {
        let weight = 1.0 + random.below(3) as f64;
        let side = random.between(-3.0, 3.0);
        let terms: Vec<_> = variables
            .iter()
            .map(|&variable| (variable, random.below(9) as f64 - 4.0))
            .collect();
        for &(variable, coefficient) in &terms {
            sum[variable.index()] += weight * coefficient;
        }
        least += weight * side;
        builder.row(format!("r{row}"), side, terms, INF);
    }
    let terms: Vec<_> = variables.iter().copied().zip(sum).collect();
    builder.row(
        "contradiction",
        -INF,
        terms,
        least - random.between(0.1, 2.0),
    );
    Ok((builder.build()?, Infeasible))
}

/// A feasible point, and a direction along which every row has room and the costs fall. Directions and coefficients
/// are whole, so that equalities keep the direction exactly.
fn unbounded(random: &mut Random) -> Made {
    let (columns, rows) = (2 + random.below(6), 1 + random.below(5));
    let mut builder = ProblemBuilder::new("unbounded");
    let point: Vec<f64> = (0..columns).map(|_| random.between(0.0, 5.0)).collect();
    let mut direction: Vec<f64> = (0..columns).map(|_| 1.0 + random.below(4) as f64).collect();
    direction[0] = 1.0;
    let mut costs: Vec<f64> = (0..columns).map(|_| random.between(-1.0, 1.0)).collect();
    let slope: f64 = costs.iter().zip(&direction).map(|(c, d)| c * d).sum();
    costs[0] -= slope + random.between(0.5, 2.0);
    let variables: Vec<VariableId> = costs
        .iter()
        .map(|&cost| builder.variable("x", 0.0, INF, cost))
        .collect();
    for row in 0..rows {
        let mut terms: Vec<_> = variables
            .iter()
            .map(|&variable| (variable, random.below(9) as f64 - 4.0))
            .collect();
        let along: f64 = terms.iter().zip(&direction).map(|((_, a), d)| a * d).sum();
        let activity = |terms: &[(VariableId, f64)]| -> f64 {
            terms.iter().map(|&(v, a)| a * point[v.index()]).sum()
        };
        if random.unit() < 0.3 {
            // An equality that the direction keeps.
            terms[0].1 -= along;
            let side = activity(&terms);
            builder.row(format!("r{row}"), side, terms, side);
        } else if along > 0.0 {
            let side = activity(&terms) - random.between(0.0, 1.0);
            builder.row(format!("r{row}"), side, terms, INF);
        } else {
            let side = activity(&terms) + random.between(0.0, 1.0);
            builder.row(format!("r{row}"), -INF, terms, side);
        }
    }
    Ok((builder.build()?, Unbounded))
}

/// All points of a small grid, the smallest objective among those that satisfy the rows; `None` without any.
fn enumerate(problem: &Problem) -> Result<Option<f64>, Error> {
    let mut best: Option<f64> = None;
    let mut point = problem.lower().to_vec();
    loop {
        let activity = problem.row_activity(&point)?;
        let feasible = activity
            .iter()
            .zip(problem.row_lower().iter().zip(problem.row_upper()))
            .all(|(a, (lower, upper))| lower <= a && a <= upper);
        if feasible {
            let value = problem.objective(&point)?;
            best = Some(best.map_or(value, |known| known.min(value)));
        }
        let Some(next) = (0..point.len()).find(|&index| point[index] < problem.upper()[index])
        else {
            return Ok(best);
        };
        point[next] += 1.0;
        point[..next].copy_from_slice(&problem.lower()[..next]);
    }
}

/// Whole coefficients, so that enumeration is exact; answers by enumeration.
fn integer(random: &mut Random) -> Made {
    let columns = 2 + random.below(4);
    let mut builder = ProblemBuilder::new("integer");
    let whole = |random: &mut Random, span: usize| random.below(2 * span + 1) as f64 - span as f64;
    let variables: Vec<VariableId> = (0..columns)
        .map(|_| {
            let cost = whole(random, 9);
            if random.unit() < 0.4 {
                builder.binary("b", cost)
            } else {
                let lower = whole(random, 2);
                builder.integer("i", lower, lower + random.below(5) as f64, cost)
            }
        })
        .collect();
    for row in 0..=random.below(3) {
        let terms: Vec<_> = variables
            .iter()
            .map(|&variable| (variable, whole(random, 5)))
            .collect();
        let side = whole(random, 8);
        match random.below(4) {
            0 => builder.row(format!("r{row}"), side, terms, side),
            1 => builder.row(format!("r{row}"), side, terms, side + 3.0),
            2 => builder.row(format!("r{row}"), -INF, terms, side),
            _ => builder.row(format!("r{row}"), side, terms, INF),
        };
    }
    let problem = builder.build()?;
    let expected = enumerate(&problem)?.map_or(Infeasible, Optimal);
    Ok((problem, expected))
}

/// Switches with quantities behind them: enumerated over the switches, where the cheapest filling is by price.
fn mixed_integer(random: &mut Random) -> Made {
    let count = 2 + random.below(4);
    let mut builder = ProblemBuilder::new("mixed integer");
    let units: Vec<(f64, f64, f64)> = (0..count)
        .map(|_| {
            (
                random.between(1.0, 5.0),
                random.between(0.5, 4.0),
                random.between(0.1, 2.0),
            )
        })
        .collect();
    let capacity: f64 = units.iter().map(|unit| unit.0).sum();
    let need = random.between(0.3, 0.95) * capacity;
    let mut total = Vec::new();
    for &(capacity, fee, price) in &units {
        let on = builder.binary("on", fee);
        let amount = builder.variable("amount", 0.0, INF, price);
        builder.row("capacity", -INF, [(amount, 1.0), (on, -capacity)], 0.0);
        total.push((amount, 1.0));
    }
    builder.row("need", need, total, INF);
    let problem = builder.build()?;
    let mut best = INF;
    for choice in 0..1_usize << count {
        let mut chosen: Vec<(f64, f64, f64)> = (0..count)
            .filter(|index| choice >> index & 1 == 1)
            .map(|index| units[index])
            .collect();
        chosen.sort_by(|a, b| a.2.total_cmp(&b.2));
        let (mut cost, mut left) = (0.0, need);
        for (capacity, fee, price) in chosen {
            let amount = left.min(capacity);
            cost += fee + price * amount;
            left -= amount;
        }
        if left <= 1e-9 {
            best = best.min(cost);
        }
    }
    Ok((problem, Optimal(best)))
}

/// Step of the differences, and how far they may be from the duals: the optimal value is piecewise linear or
/// quadratic, and its error of a relative `1e-8` is divided by the step.
const STEP: f64 = 1e-3;
const DIFFERENCE: f64 = 1e-3;

/// Moves every side and bound that is active up and down, and compares the slope with the multiplier. Where the slopes
/// to both sides differ the multiplier may be any number between them.
fn differences(solver: &dyn Solver, made: Made) -> Result<Verdict, String> {
    let (problem, _) = made.map_err(|error| error.to_string())?;
    let capabilities = solver.capabilities();
    if !capabilities.duals || capabilities.require(&problem, &solver.name()).is_err() {
        return Ok(Verdict::Refused);
    }
    let value = |problem: Result<Problem, Error>| -> Result<Option<f64>, String> {
        let problem = problem.map_err(|error| error.to_string())?;
        match solver.solve(&problem, &Options::default()) {
            Ok(Outcome::Optimal(solution)) => Ok(Some(solution.objective())),
            Ok(Outcome::Infeasible(_)) => Ok(None),
            other => Err(format!("optimal expected, found {}", describe(&other))),
        }
    };
    let solution = outcome(solver, &problem, &Options::default())?
        .into_optimal()
        .map_err(|error| error.to_string())?;
    let duals = solution.duals().ok_or("duals are claimed but missing")?;
    let moved_row = |row: RowId, step: f64| {
        let mut builder = problem.to_builder();
        let (lower, upper) = (
            problem.row_lower()[row.index()],
            problem.row_upper()[row.index()],
        );
        builder.set_row_sides(row, lower + step, upper + step);
        builder.build()
    };
    let moved_bounds = |variable: VariableId, step: f64| {
        let mut builder = problem.to_builder();
        let (lower, upper) = (
            problem.lower()[variable.index()],
            problem.upper()[variable.index()],
        );
        builder.set_bounds(variable, lower + step, upper + step);
        builder.build()
    };
    let base = solution.objective();
    let compare = |what: String, dual: f64, up: Option<f64>, down: Option<f64>| {
        let right = up.map_or(INF, |value| (value - base) / STEP);
        let left = down.map_or(-INF, |value| (base - value) / STEP);
        let allowed = DIFFERENCE * dual.abs().max(1.0);
        if left.min(right) - allowed <= dual && dual <= left.max(right) + allowed {
            Ok(())
        } else {
            Err(format!(
                "{what}: dual {dual}, differences {left} and {right}"
            ))
        }
    };
    for row in problem.rows() {
        let up = value(moved_row(row, STEP))?;
        let down = value(moved_row(row, -STEP))?;
        compare(format!("{row:?}"), duals.rows[row.index()], up, down)?;
    }
    for variable in problem.variables() {
        let up = value(moved_bounds(variable, STEP))?;
        let down = value(moved_bounds(variable, -STEP))?;
        let dual = duals.reduced_costs[variable.index()];
        compare(format!("{variable:?}"), dual, up, down)?;
    }
    Ok(Verdict::Passed)
}

/// min 2x + y over ‖(x − 1, 2y)‖ ≤ 3 with shifted constants; the derivative by the constants is minus the multiplier.
fn cone_differences(solver: &dyn Solver) -> Result<Verdict, String> {
    let build = |shift: [f64; 3]| -> Result<Problem, String> {
        let mut builder = ProblemBuilder::new("cone");
        let x = builder.variable("x", -INF, INF, 2.0);
        let y = builder.variable("y", -INF, INF, 1.0);
        builder.second_order_cone(
            "ellipse",
            AffineTerm::constant(3.0 + shift[0]),
            vec![
                AffineTerm::new([(x, 1.0)], -1.0 + shift[1]),
                AffineTerm::new([(y, 2.0)], shift[2]),
            ],
        );
        builder.build().map_err(|error| error.to_string())
    };
    let capabilities = solver.capabilities();
    if !(capabilities.duals && capabilities.second_order_cone) {
        return Ok(Verdict::Refused);
    }
    let solve = |shift: [f64; 3]| {
        outcome(solver, &build(shift)?, &Options::default())?
            .into_optimal()
            .map_err(|error| error.to_string())
    };
    let base = solve([0.0; 3])?;
    let duals = base.duals().ok_or("duals are claimed but missing")?;
    for entry in 0..3 {
        let mut shift = [0.0; 3];
        shift[entry] = STEP;
        let up = solve(shift)?.objective();
        shift[entry] = -STEP;
        let down = solve(shift)?.objective();
        let slope = (up - down) / (2.0 * STEP);
        let dual = duals.cones[0][entry];
        if (slope + dual).abs() > DIFFERENCE * dual.abs().max(1.0) {
            return Err(format!("entry {entry}: multiplier {dual}, slope {slope}"));
        }
    }
    Ok(Verdict::Passed)
}
