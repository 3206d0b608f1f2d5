//! Laws over random problems: bounds below optima, schedules that pass their check, methods that agree.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use evflex_fleet::{Hours, TimeGrid};
use evflex_solver::{Microlp, Options};
use evflex_v2g::{
    Answer, Decomposition, Formulation, Group, Level, Milp, ScheduleMethod, SchedulingProblem,
    SchedulingVehicle, SwitchRule, Switching, WarmStart, check_schedule, joined, level_zero,
    remaining,
};
use proptest::collection::vec;
use proptest::prelude::*;

const STEPS: usize = 6;

fn vehicle(index: usize) -> impl Strategy<Value = SchedulingVehicle> {
    (
        (0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64),
        prop_oneof![Just(10.0), Just(7.0), Just(4.0)],
        vec(
            prop_oneof![6 => Just(1.0), 1 => Just(0.0), 1 => Just(0.4)],
            STEPS,
        ),
        // Discharging power as a share of the charging power, and the one-way efficiency.
        prop_oneof![4 => Just(1.0), 1 => Just(0.0), 1 => Just(0.6)],
        prop_oneof![4 => Just(1.0), 1 => Just(0.9)],
        prop::bool::weighted(0.5),
    )
        .prop_map(
            move |((initial, finish, capacity), power, shares, feeds, efficiency, plugged)| {
                let minimum_kwh = 2.0;
                let capacity_kwh = minimum_kwh + 4.0 + 10.0 * capacity;
                let initial_kwh = minimum_kwh + initial * (capacity_kwh - minimum_kwh);
                let connected = (!plugged).then_some(shares);
                let hours = 0.25
                    * connected
                        .as_ref()
                        .map_or(STEPS as f64, |shares| shares.iter().sum());
                // At most half of what can be charged, so that groups can be served too.
                let reach = (initial_kwh + 0.5 * efficiency * power * hours).min(capacity_kwh);
                SchedulingVehicle {
                    id: format!("ev-{index}"),
                    initial_kwh,
                    final_min_kwh: finish * reach,
                    minimum_kwh,
                    capacity_kwh,
                    charge_max_kw: power,
                    discharge_max_kw: feeds * power,
                    efficiency,
                    connected,
                    past: Vec::new(),
                }
            },
        )
}

/// Up to three vehicles, six steps, prices of both signs, groups or none, every rule and gaps from 0 to 4.
fn problem() -> impl Strategy<Value = SchedulingProblem> {
    let vehicles = (1..=3_usize).prop_flat_map(|count| (0..count).map(vehicle).collect::<Vec<_>>());
    (
        vehicles,
        vec(-0.02..0.08_f64, STEPS),
        vec(0.0..0.05_f64, STEPS),
        vec(-8.0..8.0_f64, STEPS),
        prop_oneof![
            Just(SwitchRule::TwoMode),
            Just(SwitchRule::FirstActivity),
            Just(SwitchRule::CoolingOff),
            Just(SwitchRule::ClockHour)
        ],
        0..5_usize,
        0..3_usize,
    )
        .prop_filter_map(
            "limits that serve",
            |(vehicles, price, surplus, volume, rule, gap_steps, groups)| {
                // σ ≥ −ρ, so that the cost is convex.
                let surplus = surplus.iter().zip(&price).map(|(s, p)| s.max(-p)).collect();
                let half = |half: usize| {
                    (0..vehicles.len())
                        .filter(|i| i % 2 == half)
                        .collect::<Vec<_>>()
                };
                let group = |vehicles: Vec<usize>| Group {
                    vehicles,
                    charge_limit_kw: 9.0,
                    discharge_limit_kw: 6.0,
                };
                let groups = match groups {
                    0 => Vec::new(),
                    1 => vec![group(Vec::new())],
                    _ => [half(0), half(1)]
                        .into_iter()
                        .filter(|g| !g.is_empty())
                        .map(group)
                        .collect(),
                };
                SchedulingProblem::builder(TimeGrid::new(STEPS, Hours(0.25)).ok()?)
                    .price_eur_per_kwh(price)
                    .surplus_cost_eur_per_kwh(surplus)
                    .volume_kwh(volume)
                    .vehicles(vehicles)
                    .groups(groups)
                    .switching(Switching { rule, gap_steps })
                    .build()
                    .ok()
            },
        )
}

fn options() -> Options {
    Options::default().gap(1e-6)
}

/// The answer is what it says: its schedule passes the check, its cost is the cost, its bound is not above it.
fn holds(problem: &SchedulingProblem, answer: &Answer) -> Result<(), TestCaseError> {
    if let Some(best) = &answer.best {
        let report = check_schedule(problem, best.schedule.power_kw(), 1e-6).unwrap();
        prop_assert!(report.is_feasible(), "{:?}", report.violations);
        prop_assert!((report.cost_eur - best.cost_eur).abs() <= 1e-9 * (1.0 + best.cost_eur.abs()));
        prop_assert!(answer.lower_bound_eur <= best.cost_eur + 1e-9 * (1.0 + best.cost_eur.abs()));
    }
    let bounds: Vec<f64> = answer
        .history
        .iter()
        .filter_map(|entry| entry.lower_bound_eur)
        .collect();
    prop_assert!(bounds.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The decomposition against the mixed-integer program: bound below the optimum, schedule not below it, and both equal
    /// to it where the problem is convex.
    #[test]
    fn bounds_and_schedules_enclose_the_optimum(problem in problem()) {
        let exact = Milp::new(&Microlp::default()).solve(&problem, &options()).unwrap();
        holds(&problem, &exact)?;
        let optimum = exact.best.as_ref().unwrap().cost_eur;
        let slack = 1e-5 * (1.0 + optimum.abs());
        let answer = Decomposition::default().solve(&problem, &options()).unwrap();
        holds(&problem, &answer)?;
        prop_assert!(answer.lower_bound_eur <= optimum + slack, "{} above {optimum}", answer.lower_bound_eur);
        // Under rule B the program asks for a least power where the rule asks for any.
        let dated = problem.switching().is_some_and(|switching| switching.rule == SwitchRule::FirstActivity);
        if let Some(best) = answer.best.as_ref().filter(|_| !dated) {
            prop_assert!(best.cost_eur >= optimum - slack, "{} below {optimum}", best.cost_eur);
        }
        let convex = problem.at_level(Level::Two).unwrap();
        let answer = Decomposition::default().solve(&convex, &options()).unwrap();
        holds(&convex, &answer)?;
        let exact = Milp::new(&Microlp::default()).solve(&convex, &options()).unwrap();
        let optimum = exact.best.as_ref().unwrap().cost_eur;
        let slack = 1e-5 * (1.0 + optimum.abs());
        prop_assert!(answer.lower_bound_eur <= optimum + slack, "{} above {optimum}", answer.lower_bound_eur);
        // With losses, even level 2 is not convex.
        if problem.vehicles().iter().any(|vehicle| vehicle.efficiency < 1.0) {
            return Ok(());
        }
        let cost = answer.best.as_ref().map(|best| best.cost_eur);
        prop_assert!(cost.is_some_and(|cost| (cost - optimum).abs() <= slack), "{cost:?} for {optimum}");
        prop_assert!(answer.lower_bound_eur >= optimum - slack, "{} for {optimum}", answer.lower_bound_eur);
    }

    /// All formulations of rule A have the same optimum.
    #[test]
    fn formulations_agree(problem in problem()) {
        let gap_steps = problem.switching_as_given().unwrap().gap_steps;
        let switching = Switching { rule: SwitchRule::TwoMode, gap_steps };
        let problem = problem.to_builder().switching(switching).build().unwrap();
        let mut costs = Vec::new();
        for formulation in Formulation::ALL {
            let answer = Milp::new(&Microlp::default()).formulation(formulation).solve(&problem, &options()).unwrap();
            holds(&problem, &answer)?;
            costs.push(answer.best.unwrap().cost_eur);
        }
        for cost in &costs {
            prop_assert!((cost - costs[0]).abs() <= 1e-5 * (1.0 + cost.abs()), "{costs:?}");
        }
    }

    /// One vehicle on whole steps of energy, against every sequence of charging, idling and discharging.
    #[test]
    fn one_vehicle_against_exhaustive_search(
        price in vec(-0.02..0.08_f64, STEPS),
        volume in vec(prop_oneof![Just(-5.0), Just(-2.5), Just(0.0), Just(2.5), Just(5.0)], STEPS),
        start in 0..4_u8,
        gap_steps in 0..5_usize,
        rule in prop_oneof![Just(SwitchRule::TwoMode), Just(SwitchRule::CoolingOff), Just(SwitchRule::ClockHour)],
    ) {
        // All kinks are at whole steps, so an optimum is as well.
        let surplus = price.iter().map(|p| (-p).max(0.01)).collect();
        let vehicle = SchedulingVehicle {
            capacity_kwh: 20.0,
            ..SchedulingVehicle::paper("ev-0", 10.0 + 2.5 * f64::from(start), 12.5)
        };
        let problem = SchedulingProblem::builder(TimeGrid::new(STEPS, Hours(0.25)).unwrap())
            .price_eur_per_kwh(price)
            .surplus_cost_eur_per_kwh(surplus)
            .volume_kwh(volume)
            .vehicle(vehicle)
            .switching(Switching { rule, gap_steps })
            .build()
            .unwrap();
        let mut optimum = f64::INFINITY;
        for code in 0..3_usize.pow(6) {
            let powers = ndarray::Array2::from_shape_fn((1, STEPS), |(_, k)| {
                [10.0, 0.0, -10.0][code / 3_usize.pow(u32::try_from(k).unwrap()) % 3]
            });
            let report = check_schedule(&problem, powers.view(), 1e-6).unwrap();
            if report.is_feasible() {
                optimum = optimum.min(report.cost_eur);
            }
        }
        let answer = Decomposition::default().solve(&problem, &options()).unwrap();
        holds(&problem, &answer)?;
        prop_assert!(answer.lower_bound_eur <= optimum + 1e-7);
        let cost = answer.best.as_ref().unwrap().cost_eur;
        prop_assert!((cost - optimum).abs() <= 1e-7, "{cost} for {optimum}");
    }

    /// With the past fixed, what is left joins to a schedule of the whole, and nothing changed costs nothing.
    #[test]
    fn the_rest_of_a_schedule(problem in problem(), now in 1..STEPS - 1, change in -0.01..0.01_f64) {
        let options = options().gap(1e-4);
        let running = Decomposition::default().solve(&problem, &options).unwrap();
        let Some(before) = running.best.clone() else { return Ok(()) };
        let warm = WarmStart::from_answer(&running).after(now);
        let rest = remaining(&problem, &before.schedule, now).unwrap();
        let answer = Decomposition::starting_at(warm.clone()).solve(&rest, &options).unwrap();
        holds(&rest, &answer)?;
        let whole = joined(&problem, &before.schedule, answer.schedule().unwrap()).unwrap();
        let report = check_schedule(&problem, whole.power_kw(), 1e-5).unwrap();
        prop_assert!(report.is_feasible(), "{:?}", report.violations);
        prop_assert!(report.cost_eur <= before.cost_eur + 1e-6 * (1.0 + before.cost_eur.abs()));
        // With another price, warm and cold meet within their gaps.
        let mut price = problem.price_eur_per_kwh().to_vec();
        price[STEPS - 1] += change.max(-price[STEPS - 1] - problem.surplus_cost_eur_per_kwh()[STEPS - 1]);
        let changed = problem.to_builder().price_eur_per_kwh(price).build().unwrap();
        let rest = remaining(&changed, &before.schedule, now).unwrap();
        let again = Decomposition::starting_at(warm).solve(&rest, &options).unwrap();
        let cold = Decomposition::default().solve(&rest, &options).unwrap();
        holds(&rest, &again)?;
        holds(&rest, &cold)?;
        let (again_cost, cold_cost) = (again.best.unwrap().cost_eur, cold.best.unwrap().cost_eur);
        prop_assert!(again.lower_bound_eur <= cold_cost + 1e-6);
        prop_assert!(cold.lower_bound_eur <= again_cost + 1e-6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Prices below minus the cost of surplus: refused, unless asked for; then the bound of the envelope holds and the
    /// mixed-integer program buys or leaves over, not both.
    #[test]
    fn concave_costs(problem in problem(), step in 0..STEPS, depth in 0.001..0.05_f64) {
        let mut price = problem.price_eur_per_kwh().to_vec();
        price[step] = -problem.surplus_cost_eur_per_kwh()[step] - depth;
        let builder = problem.to_builder().price_eur_per_kwh(price);
        let named = match builder.clone().build() {
            Err(evflex_v2g::Error::Concave { step, .. }) => Some(step),
            _ => None,
        };
        prop_assert_eq!(named, Some(step));
        let concave = builder.allow_concave(true).build().unwrap();
        let exact = Milp::new(&Microlp::default()).solve(&concave, &options()).unwrap();
        holds(&concave, &exact)?;
        let optimum = exact.best.as_ref().unwrap().cost_eur;
        let slack = 1e-5 * (1.0 + optimum.abs());
        prop_assert!(exact.gap() <= 1e-4);
        let answer = Decomposition::default().solve(&concave, &options()).unwrap();
        holds(&concave, &answer)?;
        prop_assert!(answer.lower_bound_eur <= optimum + slack, "{} above {optimum}", answer.lower_bound_eur);
    }
}

/// Level 0: the closed form, the decomposition and the mixed-integer program meet.
#[test]
fn vehicles_that_are_all_alike() {
    use evflex_v2g::instances::{Night, moderate};
    let problem = moderate(&Night::new(4).steps(24).level(Level::Zero), 3).unwrap();
    let closed = level_zero(&problem, &options()).unwrap();
    let decomposed = Decomposition::default()
        .solve(&problem, &options())
        .unwrap();
    let program = Milp::new(&Microlp::default())
        .solve(&problem, &options())
        .unwrap();
    let costs = [closed, decomposed, program].map(|answer| {
        assert!(answer.gap() <= 1e-5);
        answer.best.unwrap().cost_eur
    });
    assert!(
        (costs[0] - costs[1]).abs() < 1e-5 && (costs[0] - costs[2]).abs() < 1e-5,
        "{costs:?}"
    );
}

/// The same seed gives the same answer, on one thread and on two.
#[test]
fn answers_are_reproducible() {
    use evflex_v2g::instances::{Night, calibrated};
    let problem = calibrated(&Night::new(30), 5).unwrap();
    let solve = |threads| {
        let options = Options::default().gap(2e-4).threads(threads).seed(4);
        Decomposition::default().solve(&problem, &options).unwrap()
    };
    let (one, two) = (solve(1), solve(2));
    assert_eq!(one.best.unwrap().schedule, two.best.unwrap().schedule);
    assert_eq!(one.lower_bound_eur.to_bits(), two.lower_bound_eur.to_bits());
}

/// A cancelled or timed-out run says so and has what it found.
#[test]
fn limits_are_obeyed() {
    use evflex_v2g::Status;
    use evflex_v2g::instances::{Night, calibrated};
    let problem = calibrated(&Night::new(10), 5).unwrap();
    let options = Options::default().gap(0.0);
    options.cancel.cancel();
    let answer = Decomposition::default().solve(&problem, &options).unwrap();
    assert_eq!(answer.status, Status::Stopped);
    assert!(answer.best.is_none() && answer.schedule().is_err());
    assert!(answer.gap().is_infinite());
}
