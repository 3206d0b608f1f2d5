//! The HiGHS session: every re-solve answers for the problem as it is then, and starts where the last one ended.
#![cfg(feature = "highs")]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop at the first surprise"
)]

use evflex_solver::{
    Certificate, Error, Highs, HighsModel, Options, Outcome, Problem, ProblemBuilder, RowId,
    Solver, VariableId, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;

const INF: f64 = f64::INFINITY;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-7 * a.abs().max(b.abs()).max(1.0)
}

fn cold(problem: &Problem) -> f64 {
    Highs::default()
        .solve(problem, &Options::default())
        .unwrap()
        .into_optimal()
        .unwrap()
        .objective()
}

fn warm(model: &mut HighsModel) -> f64 {
    model.solve().unwrap().into_optimal().unwrap().objective()
}

/// Simplex iterations of a solve from nothing, after the presolve that a warm one does without.
fn cold_iterations(problem: &Problem) -> u64 {
    let mut model = HighsModel::new(problem, &Options::default()).unwrap();
    model.solve().unwrap().into_optimal().unwrap();
    model.simplex_iterations()
}

/// Charging of `vehicles` over `steps` at prices that differ by step, each vehicle with its own energy.
struct Charging {
    builder: ProblemBuilder,
    power: Vec<Vec<VariableId>>,
}

fn price(step: usize) -> f64 {
    30.0 + ((step * 7919 + 13) % 31) as f64
}

fn charging(vehicles: usize, steps: usize) -> Charging {
    let mut builder = ProblemBuilder::new("charging");
    let mut power = Vec::new();
    for vehicle in 0..vehicles {
        let of_vehicle: Vec<_> = (0..steps)
            .map(|step| {
                builder.variable(
                    format!("p {vehicle} {step}"),
                    0.0,
                    7.0 + (vehicle % 3) as f64,
                    price(step),
                )
            })
            .collect();
        let energy = 5.0 + ((vehicle * 31) % 17) as f64;
        builder.row(
            format!("energy {vehicle}"),
            energy,
            of_vehicle.iter().map(|&v| (v, 1.0)),
            energy,
        );
        power.push(of_vehicle);
    }
    Charging { builder, power }
}

impl Charging {
    fn at_step(&self, step: usize) -> Vec<(VariableId, f64)> {
        self.power
            .iter()
            .map(|vehicle| (vehicle[step], 1.0))
            .collect()
    }
}

#[test]
fn added_rows_agree_with_a_cold_solve_and_cost_fewer_iterations() {
    let charging = charging(20, 24);
    let loose = charging.builder.clone().build().unwrap();
    let mut model = HighsModel::new(&loose, &Options::default()).unwrap();
    let unlimited = warm(&mut model);
    let mut full = charging.builder.clone();
    for step in 0..24 {
        full.row("site", -INF, charging.at_step(step), 40.0);
        model
            .add_row("site", -INF, charging.at_step(step), 40.0)
            .unwrap();
    }
    let full = full.build().unwrap();
    let limited = warm(&mut model);
    assert!(
        close(limited, cold(&full)) && limited > unlimited + 1.0,
        "{limited} {unlimited}"
    );
    assert!(model.simplex_iterations() > 0);
    assert!(
        model.simplex_iterations() <= cold_iterations(&full),
        "{}",
        model.simplex_iterations()
    );
    assert_eq!(model.problem().by_row(), full.by_row());
    assert_eq!(model.problem().by_column(), full.by_column());
    // Nothing has changed, so there is nothing to do.
    assert!(close(warm(&mut model), limited));
    assert_eq!(model.simplex_iterations(), 0);
}

#[test]
fn column_generation_reaches_the_full_problem() {
    // Cut lengths 3, 5 and 7 out of rolls of 17, relaxed: patterns priced by the duals, one at a time.
    let lengths = [3_usize, 5, 7];
    let demands = [44.0, 31.0, 27.0];
    let mut patterns = vec![[5.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0]];
    let mut builder = ProblemBuilder::new("rolls");
    let rolls: Vec<_> = (0..3)
        .map(|i| builder.variable(format!("{i}"), 0.0, INF, 1.0))
        .collect();
    let rows: Vec<RowId> = (0..3)
        .map(|item| {
            let terms = rolls
                .iter()
                .zip(&patterns)
                .map(|(&roll, pattern)| (roll, pattern[item]));
            builder.row(format!("length {item}"), demands[item], terms, INF)
        })
        .collect();
    let mut model = HighsModel::new(&builder.build().unwrap(), &Options::default()).unwrap();
    let value = loop {
        let solution = model.solve().unwrap().into_optimal().unwrap();
        let y = &solution.duals().unwrap().rows;
        let best = all_patterns(lengths, 17)
            .into_iter()
            .max_by(|a, b| worth(a, y).total_cmp(&worth(b, y)))
            .unwrap();
        if worth(&best, y) <= 1.0 + 1e-9 {
            break solution.objective();
        }
        assert!(
            !patterns.contains(&best),
            "a pattern in the model is never worth more than 1"
        );
        let terms = rows.iter().copied().zip(best);
        model
            .add_column(format!("{best:?}"), 0.0, INF, 1.0, terms)
            .unwrap();
        patterns.push(best);
    };
    let mut builder = ProblemBuilder::new("all");
    let all = all_patterns(lengths, 17);
    let rolls: Vec<_> = all
        .iter()
        .map(|_| builder.variable("", 0.0, INF, 1.0))
        .collect();
    for item in 0..3 {
        builder.row(
            "",
            demands[item],
            rolls.iter().zip(&all).map(|(&r, p)| (r, p[item])),
            INF,
        );
    }
    assert!(close(value, cold(&builder.build().unwrap())));
    assert!(patterns.len() < all.len());
}

fn worth(pattern: &[f64; 3], y: &[f64]) -> f64 {
    pattern
        .iter()
        .zip(y)
        .map(|(count, dual)| count * dual)
        .sum()
}

fn all_patterns(lengths: [usize; 3], roll: usize) -> Vec<[f64; 3]> {
    let most = |item: usize| roll / lengths[item];
    let mut all = Vec::new();
    for a in 0..=most(0) {
        for b in 0..=most(1) {
            for c in 0..=most(2) {
                if a * lengths[0] + b * lengths[1] + c * lengths[2] <= roll {
                    all.push([a as f64, b as f64, c as f64]);
                }
            }
        }
    }
    all
}

#[test]
fn changes_may_lead_through_infeasible_and_unbounded_problems() {
    let mut builder = ProblemBuilder::new("walk");
    let x = builder.variable("x", 0.0, 5.0, 1.0);
    let y = builder.variable("y", 0.0, 5.0, 2.0);
    let sum = builder.row("sum", 4.0, [(x, 1.0), (y, 1.0)], INF);
    builder.maximise();
    let mut model = HighsModel::new(&builder.build().unwrap(), &Options::default()).unwrap();
    assert!(close(warm(&mut model), 15.0));

    model.set_row_sides(sum, 11.0, INF).unwrap();
    let Outcome::Infeasible(Some(ray @ Certificate::Farkas { .. })) = model.solve().unwrap() else {
        panic!("feasible")
    };
    verify::certificate(model.problem(), &ray, "HiGHS", 1e-8).unwrap();

    model.set_row_sides(sum, 4.0, INF).unwrap();
    model.set_bounds(x, 0.0, INF).unwrap();
    let Outcome::Unbounded(Some(ray @ Certificate::Ray { .. })) = model.solve().unwrap() else {
        panic!("bounded")
    };
    verify::certificate(model.problem(), &ray, "HiGHS", 1e-8).unwrap();

    model.set_cost(x, -1.0).unwrap();
    assert!(close(warm(&mut model), 10.0));
    model.set_bounds(y, 0.0, 3.0).unwrap();
    assert!(close(warm(&mut model), 5.0)); // x = 1, y = 3
    assert!(close(model.problem().objective(&[1.0, 3.0]).unwrap(), 5.0));
}

#[test]
fn integer_and_quadratic_models_can_be_changed_too() {
    let mut builder = ProblemBuilder::new("integer");
    let x = builder.integer("x", 0.0, 9.0, -5.0);
    let y = builder.integer("y", 0.0, 9.0, -4.0);
    builder.row("a", -INF, [(x, 6.0), (y, 4.0)], 24.0);
    builder.row("b", -INF, [(x, 1.0), (y, 2.0)], 6.0);
    let mut model = HighsModel::new(&builder.build().unwrap(), &Options::default()).unwrap();
    assert!(close(warm(&mut model), -20.0)); // (4, 0)
    model.add_row("cut", -INF, [(x, 1.0)], 2.5).unwrap();
    assert!(close(warm(&mut model), -18.0)); // (2, 2)
    model.add_column("z", 0.0, 1.0, -10.0, []).unwrap();
    assert!(close(warm(&mut model), -28.0));

    let mut builder = ProblemBuilder::new("quadratic");
    let x = builder.variable("x", -INF, INF, -6.0);
    builder.quadratic(x, x, 1.0);
    builder.row("r", -INF, [(x, 1.0)], 10.0);
    let mut model = HighsModel::new(&builder.build().unwrap(), &Options::default()).unwrap();
    assert!(close(warm(&mut model), -9.0)); // x = 3
    model.set_bounds(x, -INF, 2.0).unwrap();
    assert!(close(warm(&mut model), -8.0));
    let z = model.add_column("z", -1.0, 1.0, 1.0, []).unwrap();
    model
        .add_row("link", 0.0, [(x, 1.0), (z, 1.0)], 0.5)
        .unwrap();
    assert!(close(warm(&mut model), 1.5 * 1.5 - 9.0 - 1.0)); // x = 1.5, z = −1
}

#[test]
fn bad_changes_are_named_and_change_nothing() {
    let mut builder = ProblemBuilder::new("p");
    let x = builder.variable("x", 0.0, 5.0, 1.0);
    let r = builder.row("r", 1.0, [(x, 1.0)], INF);
    let mut other = ProblemBuilder::new("other");
    let foreign = other.variable("foreign", 0.0, 1.0, 1.0);
    let foreign_row = other.row("foreign", 0.0, [], 1.0);
    let mut model = HighsModel::new(&builder.build().unwrap(), &Options::default()).unwrap();
    let errors = [
        model.add_row("f", 0.0, [(foreign, 1.0)], 1.0).unwrap_err(),
        model
            .add_column("f", 0.0, 1.0, 1.0, [(foreign_row, 1.0)])
            .unwrap_err(),
        model.set_bounds(foreign, 0.0, 1.0).unwrap_err(),
        model.set_row_sides(foreign_row, 0.0, 1.0).unwrap_err(),
        model.set_cost(foreign, 1.0).unwrap_err(),
    ];
    assert!(
        errors
            .iter()
            .all(|error| matches!(error, Error::Foreign { .. })),
        "{errors:?}"
    );
    assert!(matches!(
        model.add_row("n", 0.0, [(x, f64::NAN)], 1.0),
        Err(Error::NotFinite { .. })
    ));
    assert!(matches!(
        model.add_row("n", 2.0, [(x, 1.0)], 1.0),
        Err(Error::CrossedBounds { .. })
    ));
    assert!(matches!(
        model.add_column("n", 0.0, f64::NAN, 1.0, []),
        Err(Error::Bound { .. })
    ));
    assert!(matches!(
        model.set_cost(x, INF),
        Err(Error::NotFinite { .. })
    ));
    assert!(matches!(
        model.set_row_sides(r, f64::NAN, 1.0),
        Err(Error::Bound { .. })
    ));
    assert!(matches!(
        model.set_bounds(x, 3.0, 2.0),
        Err(Error::CrossedBounds { .. })
    ));
    assert!(close(warm(&mut model), 1.0));
    assert_eq!(
        (
            model.problem().row_count(),
            model.problem().variable_count()
        ),
        (1, 1)
    );
}

#[test]
fn a_model_moves_between_threads() {
    let charging = charging(5, 12);
    let problem = charging.builder.build().unwrap();
    let mut model = HighsModel::new(&problem, &Options::default().threads(1)).unwrap();
    let here = warm(&mut model);
    let there = std::thread::spawn(move || {
        let value = warm(&mut model);
        (value, model)
    });
    let (there, mut model) = there.join().unwrap();
    assert!(close(here, there) && close(warm(&mut model), here));
}

/// One change of a model.
#[derive(Clone, Debug)]
enum Change {
    Row(Vec<f64>, f64, f64),
    Column(Vec<f64>, f64),
    Bounds(usize, f64, f64),
    Sides(usize, f64, f64),
    Cost(usize, f64),
}

fn change() -> impl Strategy<Value = Change> {
    let number = || (-4i32..=4).prop_map(f64::from);
    let ends = || (0..6i32, 0..6i32).prop_map(|(a, b)| (-f64::from(a), f64::from(b)));
    prop_oneof![
        (vec(number(), 0..6), ends()).prop_map(|(terms, (a, b))| Change::Row(terms, a, b)),
        (vec(number(), 0..6), number()).prop_map(|(terms, cost)| Change::Column(terms, cost)),
        (0usize..9, ends()).prop_map(|(i, (a, b))| Change::Bounds(i, a, b)),
        (0usize..9, ends()).prop_map(|(i, (a, b))| Change::Sides(i, a, b)),
        (0usize..9, number()).prop_map(|(i, cost)| Change::Cost(i, cost)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After any changes, the warm answer is that of a cold solve of the changed problem. Zero stays feasible.
    #[test]
    fn warm_and_cold_answers_agree(batches in vec(vec(change(), 1..5), 1..6), maximise: bool) {
        let mut builder = ProblemBuilder::new("random");
        let mut variables: Vec<_> = (0..3).map(|i| builder.variable("", -1.0, 2.0, f64::from(i) - 1.0)).collect();
        let mut rows = vec![builder.row("", -1.0, [(variables[0], 1.0), (variables[2], -1.0)], 2.0)];
        if maximise {
            builder.maximise();
        }
        let mut model = HighsModel::new(&builder.build().unwrap(), &Options::default()).unwrap();
        for batch in batches {
            for change in batch {
                match change {
                    Change::Row(terms, lower, upper) => {
                        let terms: Vec<_> = variables.iter().copied().zip(terms).collect();
                        rows.push(model.add_row("", lower, terms, upper).unwrap());
                    }
                    Change::Column(terms, cost) => {
                        let terms: Vec<_> = rows.iter().copied().zip(terms).collect();
                        variables.push(model.add_column("", -1.0, 3.0, cost, terms).unwrap());
                    }
                    Change::Bounds(i, lower, upper) => {
                        model.set_bounds(variables[i % variables.len()], lower, upper).unwrap();
                    }
                    Change::Sides(i, lower, upper) => {
                        model.set_row_sides(rows[i % rows.len()], lower, upper).unwrap();
                    }
                    Change::Cost(i, cost) => model.set_cost(variables[i % variables.len()], cost).unwrap(),
                }
            }
            let value = warm(&mut model);
            let expected = cold(&model.problem().to_builder().build().unwrap());
            prop_assert!(close(value, expected), "{value} {expected}");
        }
    }
}
