//! MPS models with known answers, on every solver that is enabled and takes their class: small ones of our own, and
//! public ones where their folder is there.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests stop at the first surprise, and say what they skip"
)]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use evflex_solver::mps::{MpsFault, read_mps, write_mps};
use evflex_solver::{Certificate, Error, Options, Outcome, Problem, Solver, verify};

/// Every solver that the features of this build enable.
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

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Optimal(f64),
    Infeasible,
    Unbounded,
}

/// Relative difference of objective values that counts as agreement.
const AGREEMENT: f64 = 1e-6;

fn check(name: &str, problem: &Problem, verdict: Verdict) {
    let options = Options::default();
    for solver in solvers() {
        let capabilities = solver.capabilities();
        if capabilities.require(problem, &solver.name()).is_err() {
            continue;
        }
        let outcome = solver
            .solve(problem, &options)
            .unwrap_or_else(|error| panic!("{name} on {}: {error}", solver.name()));
        let proof = match (&outcome, verdict) {
            (Outcome::Optimal(solution), Verdict::Optimal(value)) => {
                let found = solution.objective();
                let error = (found - value).abs() / value.abs().max(1.0);
                assert!(
                    error <= AGREEMENT,
                    "{name} on {}: {found} for {value}",
                    solver.name()
                );
                continue;
            }
            (Outcome::Infeasible(proof), Verdict::Infeasible)
            | (Outcome::Unbounded(proof), Verdict::Unbounded) => proof,
            _ => panic!(
                "{name} on {}: {verdict:?} expected, found {}",
                solver.name(),
                outcome.status()
            ),
        };
        if capabilities.rays && !problem.has_integers() {
            assert!(
                proof.is_some(),
                "{name} on {}: no certificate",
                solver.name()
            );
        }
        if let Some(proof) = proof {
            assert_eq!(
                matches!(proof, Certificate::Farkas { .. }),
                matches!(verdict, Verdict::Infeasible)
            );
            verify::certificate(problem, proof, &solver.name(), options.tolerance).unwrap();
        }
    }
}

/// As it is, and after a way out to a file and back.
fn check_twice(name: &str, problem: &Problem, verdict: Verdict) {
    check(name, problem, verdict);
    let mut text = Vec::new();
    write_mps(problem, &mut text).unwrap();
    check(name, &read_mps(text.as_slice()).unwrap(), verdict);
}

/// 30 kWh over two hours at prices 0.4 and 0.1, between 5 and 14 in the first, at most 20 in the second, and a fee of 1:
/// 10 and 20, which costs 4 + 2 + 1.
const CHARGERS: &str = "\
NAME chargers
ROWS
 N cost
 G energy
 L first
 L second
COLUMNS
 p0 cost 0.4 energy 1
 p0 first 1
 p1 cost 0.1 energy 1
 p1 second 1
RHS
 RHS energy 30 first 14
 RHS second 20 cost -1
RANGES
 RNG first 9
BOUNDS
 UP BND p0 25
ENDATA
";

/// Lots of 3 and 5 with profits 4 and 7 in a room of 19, at most two of the small ones: 3 + 3 · 5 = 18, 4 + 21 = 25.
const LOTS: &str = "\
NAME lots
OBJSENSE MAX
ROWS
 N profit
 L room
COLUMNS
 M1 'MARKER' 'INTORG'
 three profit 4 room 3
 five profit 7 room 5
 M2 'MARKER' 'INTEND'
RHS
 room 19
BOUNDS
 UP three 2
 PL five
ENDATA
";

/// Minimise x² + xy + y² − 3x with y ≤ −1: x = 2, y = −1.
const BOWL: &str = "\
NAME bowl
ROWS
 N f
 G sum
COLUMNS
 x f -3 sum 1
 y sum 1
RHS
 sum -9
BOUNDS
 FR x
 UP y -1
QUADOBJ
 x x 2
 x y 1
 y y 2
ENDATA
";

#[test]
fn small_models_have_their_known_answers() {
    let read = |text: &str| read_mps(text.as_bytes()).unwrap();
    check_twice("chargers", &read(CHARGERS), Verdict::Optimal(7.0));
    check_twice("lots", &read(LOTS), Verdict::Optimal(25.0));
    check_twice("bowl", &read(BOWL), Verdict::Optimal(-3.0));
    let impossible = CHARGERS.replace("RHS second 20", "RHS second 9");
    check_twice(
        "chargers without room",
        &read(&impossible),
        Verdict::Infeasible,
    );
    let endless = CHARGERS
        .replace("p1 cost 0.1", "p1 cost -0.1")
        .replace(" p1 second 1\n", "");
    check_twice(
        "chargers that are paid",
        &read(&endless),
        Verdict::Unbounded,
    );
}

/// The public models, or nothing where they are not.
fn public(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/mps");
    if !folder.is_dir() {
        println!("skipped: no folder {}", folder.display());
        return None;
    }
    Some(folder.join(name))
}

fn read_public(path: &Path) -> Result<Problem, Error> {
    read_mps(BufReader::new(File::open(path).unwrap()))
}

fn check_public(name: &str, verdict: Verdict) {
    if let Some(path) = public(name) {
        check_twice(name, &read_public(&path).unwrap(), verdict);
    }
}

#[test]
fn public_linear_programs_have_their_known_values() {
    check_public("afiro.mps", Verdict::Optimal(-464.753_142_857_142_85));
    check_public("adlittle.mps", Verdict::Optimal(225_494.963_162_380_3));
    check_public("israel.mps", Verdict::Optimal(-896_644.821_863_045_9));
}

#[test]
fn public_integer_programs_have_their_known_values() {
    check_public("small_mip.mps", Verdict::Optimal(3.236_842_105_263_158));
    check_public("flugpl.mps", Verdict::Optimal(1_201_500.0));
    check_public("egout.mps", Verdict::Optimal(568.1007));
}

#[test]
fn public_infeasible_programs_are_proven_so() {
    for name in ["box1.mps", "galenet.mps", "klein1.mps", "woodinfe.mps"] {
        check_public(name, Verdict::Infeasible);
    }
}

#[test]
fn a_public_unbounded_program_is_proven_so() {
    check_public("gas11.mps", Verdict::Unbounded);
}

#[test]
fn public_files_that_are_no_problems_are_refused() {
    let refusal = |name: &str| {
        public(name).map(|path| match read_public(&path) {
            Err(Error::Mps {
                line, token, fault, ..
            }) => (line, token, fault),
            other => panic!("{name}: {other:?}"),
        })
    };
    if let Some(found) = refusal("nan0.mps") {
        assert_eq!(found, (8, "nan".to_owned(), MpsFault::NotFinite));
    }
    if let Some((line, _, fault)) = refusal("garbage.mps") {
        assert_eq!((line, fault), (2, MpsFault::UnknownSection));
    }
}
