//! Laws of the MPS reader and writer: nothing is lost on the way out and back, and nothing makes the reader panic.
#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "helpers of tests stop at the first surprise; what is written must come back exactly"
)]

use evflex_solver::mps::{read_mps, write_mps};
use evflex_solver::{Problem, ProblemBuilder, VariableKind};
use proptest::collection::vec;
use proptest::prelude::*;

const INF: f64 = f64::INFINITY;

/// Any finite number that a reader keeps finite, of all magnitudes and signs.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => (-1000i32..=1000).prop_map(|n| f64::from(n) / 8.0),
        2 => -1e3..1e3_f64,
        1 => (-1.0..1.0_f64, -280i32..20).prop_map(|(mantissa, exponent)| mantissa * 10f64.powi(exponent)),
    ]
}

/// A lower and an upper end in order, each possibly open.
fn interval() -> impl Strategy<Value = (f64, f64)> {
    prop_oneof![
        1 => Just((-INF, INF)),
        1 => Just((0.0, INF)),
        1 => number().prop_map(|v| (v, v)),
        1 => number().prop_map(|v| (-INF, v)),
        1 => number().prop_map(|v| (v, INF)),
        3 => (number(), number()).prop_map(|(a, b)| (a.min(b), a.max(b))),
    ]
}

#[derive(Clone, Debug)]
struct Column {
    kind: VariableKind,
    bounds: (f64, f64),
    cost: f64,
}

fn column() -> impl Strategy<Value = Column> {
    let kind = prop_oneof![
        2 => Just(VariableKind::Continuous),
        1 => Just(VariableKind::Integer),
        1 => Just(VariableKind::Binary)
    ];
    (kind, interval(), prop_oneof![Just(0.0), number()]).prop_map(|(kind, bounds, cost)| Column {
        kind,
        bounds,
        cost,
    })
}

prop_compose! {
    fn problem()(
        columns in vec(column(), 1..8),
        rows in vec((interval(), vec((0usize..8, number()), 0..6)), 0..6),
        squares in vec((0usize..8, 0usize..8, -3.0..3.0_f64), 0..4),
        offset in number(),
        maximise: bool,
        quadratic: bool,
    ) -> Problem {
        let mut builder = ProblemBuilder::new("random");
        let ids: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let name = format!("x{i}");
                match column.kind {
                    VariableKind::Continuous => builder.variable(name, column.bounds.0, column.bounds.1, column.cost),
                    VariableKind::Integer => builder.integer(name, column.bounds.0, column.bounds.1, column.cost),
                    VariableKind::Binary => builder.binary(name, column.cost),
                }
            })
            .collect();
        for (i, (sides, terms)) in rows.iter().enumerate() {
            let terms = terms.iter().map(|&(column, value)| (ids[column % ids.len()], value));
            builder.row(format!("r{i}"), sides.0, terms, sides.1);
        }
        if maximise {
            builder.maximise();
        }
        if quadratic {
            // (x_i + v x_j)² is convex, and so is any sum of them.
            let sign = if maximise { -1.0 } else { 1.0 };
            for &(i, j, v) in &squares {
                let (a, b) = (ids[i % ids.len()], ids[j % ids.len()]);
                builder.quadratic(a, a, sign);
                builder.quadratic(a, b, sign * 2.0 * v);
                builder.quadratic(b, b, sign * v * v);
            }
        }
        builder.objective_offset(offset);
        builder.build().unwrap()
    }
}

fn written(problem: &Problem) -> Vec<u8> {
    let mut text = Vec::new();
    write_mps(problem, &mut text).unwrap();
    text
}

/// Steps between two doubles of one sign.
fn steps(a: f64, b: f64) -> i64 {
    let place = |v: f64| {
        let bits = v.to_bits().cast_signed();
        if bits < 0 { i64::MIN - bits } else { bits }
    };
    (place(a) - place(b)).abs()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// read(write(p)) = p.
    #[test]
    fn writing_and_reading_gives_the_problem_back(problem in problem()) {
        let text = written(&problem);
        let back = read_mps(text.as_slice()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(back.name(), problem.name());
        prop_assert_eq!(back.sense(), problem.sense());
        prop_assert_eq!(back.offset(), problem.offset());
        prop_assert_eq!(back.variable_names(), problem.variable_names());
        prop_assert_eq!(back.kinds(), problem.kinds());
        prop_assert_eq!(back.lower(), problem.lower());
        prop_assert_eq!(back.upper(), problem.upper());
        prop_assert_eq!(back.costs(), problem.costs());
        prop_assert_eq!(back.quadratic(), problem.quadratic());
        prop_assert_eq!(back.row_names(), problem.row_names());
        prop_assert_eq!(back.by_row(), problem.by_row());
        prop_assert_eq!(back.by_column(), problem.by_column());
        for row in 0..problem.row_count() {
            let (lower, upper) = (problem.row_lower()[row], problem.row_upper()[row]);
            let (read_lower, read_upper) = (back.row_lower()[row], back.row_upper()[row]);
            let short = |v: f64| (v * 8.0).fract() == 0.0 && v.abs() <= 1000.0;
            if lower.is_finite() && upper.is_finite() && !(short(lower) && short(upper)) {
                // A distance between the sides may lack a bit, which goes to the side of larger magnitude, outwards.
                prop_assert!(read_lower <= lower && read_upper >= upper);
                prop_assert!(steps(read_lower, lower) <= 2 && steps(read_upper, upper) <= 2);
                let kept = if lower.abs() > upper.abs() { read_upper - upper } else { read_lower - lower };
                prop_assert_eq!(kept, 0.0);
            } else {
                prop_assert_eq!((read_lower, read_upper), (lower, upper));
            }
        }
    }

    /// A second way out and back changes nothing any more.
    #[test]
    fn writing_is_stable(problem in problem()) {
        let once = read_mps(written(&problem).as_slice()).unwrap();
        let twice = read_mps(written(&once).as_slice()).unwrap();
        prop_assert_eq!(once.row_lower(), twice.row_lower());
        prop_assert_eq!(once.row_upper(), twice.row_upper());
    }

    /// Whatever the bytes, the answer is a problem or an error that names a line of the file.
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        if let Err(evflex_solver::Error::Mps { line, .. }) = read_mps(bytes.as_slice()) {
            prop_assert!(line <= bytes.split(|&b| b == b'\n').count());
        }
    }

    /// Words of the format in random order reach further into the reader than random bytes do.
    #[test]
    fn random_words_never_panic(words in vec(0usize..WORDS.len(), 0..120)) {
        let text: String = words.iter().map(|&word| WORDS[word]).collect();
        let _ = read_mps(text.as_bytes());
    }

    /// A valid file with some bytes changed, cut or doubled.
    #[test]
    fn mutated_files_never_panic(
        problem in problem(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..8),
    ) {
        let mut text = written(&problem);
        for (place, byte, kind) in changes {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 => { text.remove(at); }
                _ => text.truncate(at),
            }
        }
        let _ = read_mps(text.as_slice());
    }
}

const WORDS: [&str; 34] = [
    "NAME t\n",
    "ROWS\n",
    "COLUMNS\n",
    "RHS\n",
    "RANGES\n",
    "BOUNDS\n",
    "QUADOBJ\n",
    "QMATRIX\n",
    "ENDATA\n",
    "OBJSENSE MAX\n",
    " N o\n",
    " L r\n",
    " G s\n",
    " E t\n",
    " x r 1\n",
    " y s -2 o 3\n",
    " z t 1e3\n",
    " M 'MARKER' 'INTORG'\n",
    " M 'MARKER' 'INTEND'\n",
    " R r 5\n",
    " R s -5 o 1\n",
    " r 3\n",
    " UP B x 3\n",
    " UP y -1\n",
    " FR B y\n",
    " MI x\n",
    " BV z\n",
    " FX B x 2\n",
    " LI B y 1e30\n",
    " x x 1\n",
    " x y 2\n",
    "\n",
    "* note\n",
    " nan\n",
];
