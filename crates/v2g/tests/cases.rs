//! The reference instances: optima of all levels, verdicts on switching.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]
#![allow(clippy::print_stdout, reason = "says what it skips")]

use evflex_fleet::readers::json::Document;
use evflex_solver::Options;
use evflex_v2g::{
    Activity, Decomposition, Level, ScheduleMethod, SwitchRule, Switching, check_schedule,
    read_problem, switching_allows,
};
use std::path::PathBuf;
use std::time::Duration;

fn case(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/cases")
        .join(name);
    if path.exists() {
        Some(path)
    } else {
        println!("skipped: {} does not exist", path.display());
        None
    }
}

#[test]
fn verdicts_on_sixteen_sequences() {
    let Some(path) = case("v2g_switch_rule.json") else {
        return;
    };
    let document = Document::read(&path).unwrap();
    let mut root = document.root().object().unwrap();
    let gap_steps = root.required("W").unwrap().count(100).unwrap();
    let tests = root.required("tests").unwrap().list().unwrap();
    assert_eq!(tests.len(), 16);
    for test in tests {
        let mut test = test.object().unwrap();
        let text = test.required("seq").unwrap().text().unwrap();
        let sequence = Activity::sequence(text).unwrap();
        for (key, rule) in [
            ("two_mode_free_idle", SwitchRule::TwoMode),
            ("first_activity", SwitchRule::FirstActivity),
            ("cooling_off_strict", SwitchRule::CoolingOff),
        ] {
            let expected = test.required(key).unwrap().boolean().unwrap();
            let found = switching_allows(Switching { rule, gap_steps }, &sequence);
            assert_eq!(found, expected, "{text} under {key}");
        }
    }
}

/// Solves a case by decomposition and compares with the known cost and bound; answers with the gap.
fn decompose(name: &str, level: Level, gap: f64, known: (f64, f64), within: f64) {
    let Some(path) = case(name) else { return };
    let problem = read_problem(&path, Some(level)).unwrap();
    // The limit only keeps a slow machine from running for ever: gaps are reached long before.
    let options = Options::default()
        .gap(gap)
        .time_limit(Duration::from_secs(300));
    let answer = Decomposition::default().solve(&problem, &options).unwrap();
    let best = answer.best.as_ref().unwrap();
    let report = check_schedule(&problem, best.schedule.power_kw(), 1e-6).unwrap();
    assert!(report.is_feasible(), "{:?}", report.violations);
    assert!((report.cost_eur - best.cost_eur).abs() < 1e-9);
    let (cost, bound) = known;
    assert!(
        best.cost_eur >= bound - 1e-6,
        "{} below a bound {bound}",
        best.cost_eur
    );
    assert!(
        best.cost_eur <= cost * (1.0 + within),
        "{} for {cost}",
        best.cost_eur
    );
    assert!(
        answer.lower_bound_eur <= cost + 1e-6,
        "{} above {cost}",
        answer.lower_bound_eur
    );
}

#[test]
fn ten_vehicles_at_all_levels() {
    let name = "v2g_n10_mod.json";
    let exact = |cost: f64| (cost, cost);
    decompose(name, Level::One, 1e-6, exact(18.224_038_44), 1e-6);
    decompose(name, Level::Two, 1e-6, exact(18.761_721_25), 1e-6);
    decompose(name, Level::Three, 1e-4, exact(18.770_534_65), 5e-4);
}

#[test]
fn five_vehicles_against_the_rule() {
    let name = "v2g_n5_alt.json";
    let exact = |cost: f64| (cost, cost);
    decompose(name, Level::One, 1e-6, exact(6.918_846_94), 1e-6);
    decompose(name, Level::Two, 1e-6, exact(7.156_992_92), 1e-6);
    // Five vehicles are too few for a tight dual bound.
    decompose(name, Level::Three, 1e-4, exact(8.530_245_35), 0.02);
}

#[test]
fn two_hundred_vehicles() {
    let name = "v2g_mod200.json";
    decompose(
        name,
        Level::Two,
        1e-6,
        (362.773_755_41, 362.773_755_41),
        1e-6,
    );
    decompose(
        name,
        Level::Three,
        2e-4,
        (363.022_833_21, 363.022_415_43),
        2e-4,
    );
}

#[cfg(feature = "highs")]
mod with_highs {
    use super::*;
    use evflex_solver::Highs;
    use evflex_v2g::Milp;

    #[test]
    fn optima_by_mixed_integer_programming() {
        for (name, costs) in [
            (
                "v2g_n10_mod.json",
                [18.224_038_44, 18.761_721_25, 18.770_534_65],
            ),
            (
                "v2g_n5_alt.json",
                [6.918_846_94, 7.156_992_92, 8.530_245_35],
            ),
        ] {
            let Some(path) = case(name) else { return };
            for (level, cost) in [Level::One, Level::Two, Level::Three]
                .into_iter()
                .zip(costs)
            {
                let problem = read_problem(&path, Some(level)).unwrap();
                let options = Options::default().gap(1e-9);
                let solver = Highs::default();
                let answer = Milp::new(&solver).solve(&problem, &options).unwrap();
                let found = answer.best.as_ref().unwrap().cost_eur;
                assert!(
                    (found - cost).abs() <= 1e-6 * cost,
                    "{name} {level:?}: {found} for {cost}"
                );
                assert!(answer.lower_bound_eur <= cost * (1.0 + 1e-6));
            }
        }
    }

    #[test]
    fn two_hundred_vehicles_at_level_two() {
        let Some(path) = case("v2g_mod200.json") else {
            return;
        };
        let problem = read_problem(&path, Some(Level::Two)).unwrap();
        let solver = Highs::default();
        let answer = Milp::new(&solver)
            .solve(&problem, &Options::default())
            .unwrap();
        let found = answer.best.as_ref().unwrap().cost_eur;
        assert!((found - 362.773_755_41).abs() <= 1e-6 * found, "{found}");
    }
}
