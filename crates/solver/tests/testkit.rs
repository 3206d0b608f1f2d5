//! Every solver that the features of this build enable passes the testkit, and they agree with each other.

use evflex_solver::{
    Capabilities, Error, Options, Outcome, Problem, ProblemBuilder, Solver, testkit,
};

fn solvers() -> Vec<Box<dyn Solver>> {
    vec![
        #[cfg(feature = "clarabel")]
        Box::new(evflex_solver::Clarabel::default()),
        #[cfg(feature = "highs")]
        Box::new(evflex_solver::Highs::default()),
        #[cfg(feature = "microlp")]
        Box::new(evflex_solver::Microlp::default()),
        #[cfg(feature = "minilp")]
        Box::new(evflex_solver::Minilp::default()),
    ]
}

#[test]
fn every_solver_passes() {
    for solver in solvers() {
        let report = testkit::run(solver.as_ref());
        assert!(report.passed(), "{report}");
    }
}

#[test]
fn solvers_agree() {
    let solvers = solvers();
    let solvers: Vec<&dyn Solver> = solvers.iter().map(AsRef::as_ref).collect();
    let report = testkit::agreement(&solvers, 60, 42);
    assert!(report.passed(), "{report}");
}

/// Says that every problem is solved, and gives the lower bounds as the answer.
struct Impostor;

impl Solver for Impostor {
    fn name(&self) -> String {
        "Impostor 1".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::linear().integer().duals().rays()
    }

    fn solve(&self, problem: &Problem, _options: &Options) -> Result<Outcome, Error> {
        let point = problem
            .lower()
            .iter()
            .map(|bound| if bound.is_finite() { *bound } else { 0.0 })
            .collect();
        evflex_solver::Solution::verified(problem, "Impostor 1", point, None, None, 1e-8)
            .map(Outcome::Optimal)
    }
}

#[test]
fn an_impostor_fails() {
    let report = testkit::run(&Impostor);
    let failed: Vec<&str> = report.failures().map(|(name, _)| name).collect();
    for name in [
        "two rows",
        "contradicting equalities",
        "unbounded along an edge",
        "closest point",
        "integers between two rows",
        "time limit of zero",
        "cancelled before the start",
        "gap that is not a number",
    ] {
        let found = failed.contains(&name);
        assert!(found, "{name} is not among the failures:\n{report}");
    }
}

#[test]
fn capabilities_are_printed_in_words() {
    for solver in solvers() {
        assert!(solver.capabilities().to_string().starts_with("linear"));
        assert!(solver.name().contains(' '));
    }
    let mut builder = ProblemBuilder::new("cone");
    let x = builder.variable("x", 0.0, 1.0, 0.0);
    builder.second_order_cone("c", x.into(), vec![]);
    let problem = builder.build().unwrap();
    let refusal = Capabilities::linear().require(&problem, "Some solver 1");
    insta::assert_snapshot!(refusal.unwrap_err(), @"Some solver 1 cannot handle second-order cones; choose a solver whose capabilities list it");
}
