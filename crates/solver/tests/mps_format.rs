//! What the MPS reader accepts, what it refuses and where, case by case.
#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::too_many_lines,
    reason = "helpers of tests stop at the first surprise; numbers of few digits come back exactly; a table is long"
)]

use evflex_solver::mps::{MpsFault, read_mps, write_mps};
use evflex_solver::{AffineTerm, Error, Problem, ProblemBuilder, Sense, VariableKind};

const INF: f64 = f64::INFINITY;

fn read(text: &str) -> Problem {
    read_mps(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Line, section, token and fault of the refusal.
fn refusal(text: &str) -> (usize, &'static str, String, MpsFault) {
    match read_mps(text.as_bytes()) {
        Err(Error::Mps {
            line,
            section,
            token,
            fault,
        }) => (line, section, token, fault),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn written(problem: &Problem) -> String {
    let mut text = Vec::new();
    write_mps(problem, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// A file with `rows` (types and names) and `columns` lines, and whatever follows.
fn file(rows: &str, columns: &str, rest: &str) -> String {
    format!("NAME t\nROWS\n{rows}\nCOLUMNS\n{columns}\n{rest}\nENDATA\n")
}

const ROWS: &str = " N obj\n L r";
const COLUMNS: &str = " x obj 1 r 1\n y r 1";

fn bounds(rest: &str) -> Vec<(f64, f64)> {
    let problem = read(&file(ROWS, COLUMNS, &format!("BOUNDS\n{rest}")));
    problem
        .lower()
        .iter()
        .copied()
        .zip(problem.upper().iter().copied())
        .collect()
}

fn sides(kind: char, rest: &str) -> (f64, f64) {
    let problem = read(&file(&format!(" N obj\n {kind} r"), " x r 1", rest));
    (problem.row_lower()[0], problem.row_upper()[0])
}

#[test]
fn a_small_file_means_what_it_says() {
    let problem = read(
        "* a comment\n\
         NAME  demo and a remark\n\
         OBJSENSE\n\
         \x20   MAX\n\
         \n\
         ROWS\n\
         \x20N  profit\n\
         \x20L  first\n\
         \x20G  second\n\
         \x20E  third\n\
         \x20N  dropped\n\
         COLUMNS\n\
         \x20   x  profit  3.5  first  1\n\
         \x20   x  dropped  9\n\
         \x20   MARK  'MARKER'  'INTORG'\n\
         \x20   n  first  -2  third  1.0D+01\n\
         \x20   MARK  'MARKER'  'INTEND'\n\
         \x20   y  second  .5\n\
         RHS\n\
         \x20   RHS  first  4.  profit  -7\n\
         \x20   second  1\n\
         RANGES\n\
         \x20   RNG  first  2.5\n\
         BOUNDS\n\
         \x20UP BND  n  9\n\
         ENDATA\n\
         anything after the end\n",
    );
    assert_eq!(problem.name(), "demo");
    assert_eq!(problem.sense(), Sense::Maximise);
    assert_eq!(problem.variable_names(), ["x", "n", "y"]);
    assert_eq!(problem.row_names(), ["first", "second", "third"]);
    assert_eq!(
        problem.kinds(),
        [
            VariableKind::Continuous,
            VariableKind::Integer,
            VariableKind::Continuous
        ]
    );
    assert_eq!(problem.row_lower(), [1.5, 1.0, 0.0]);
    assert_eq!(problem.row_upper(), [4.0, INF, 0.0]);
    assert_eq!(problem.upper(), [INF, 9.0, INF]);
    // 3.5 · 2 + 7: the offset is minus the right-hand side of the objective.
    assert_eq!(problem.objective(&[2.0, 0.0, 0.0]).unwrap(), 14.0);
    assert_eq!(
        problem.row_activity(&[1.0, 1.0, 1.0]).unwrap(),
        [-1.0, 0.5, 10.0]
    );
}

#[test]
fn ranges_follow_the_sign_rules() {
    let with = |kind, range: &str| sides(kind, &format!("RHS\n RHS r 10\nRANGES\n RNG r {range}"));
    assert_eq!(with('E', "3"), (10.0, 13.0));
    assert_eq!(with('E', "-3"), (7.0, 10.0));
    assert_eq!(with('E', "0"), (10.0, 10.0));
    assert_eq!(with('L', "3"), (7.0, 10.0));
    assert_eq!(with('L', "-3"), (7.0, 10.0));
    assert_eq!(with('G', "3"), (10.0, 13.0));
    assert_eq!(with('G', "-3"), (10.0, 13.0));
}

#[test]
fn every_type_of_bound_is_understood() {
    let all = (0.0, INF);
    assert_eq!(bounds(" UP BND x 4"), [(0.0, 4.0), all]);
    assert_eq!(bounds(" LO BND x -4\n UP BND x 4"), [(-4.0, 4.0), all]);
    assert_eq!(bounds(" FX BND x 4"), [(4.0, 4.0), all]);
    assert_eq!(bounds(" FR BND x"), [(-INF, INF), all]);
    assert_eq!(bounds(" MI BND x"), [(-INF, INF), all]);
    assert_eq!(bounds(" MI BND x\n UP BND x 4"), [(-INF, 4.0), all]);
    assert_eq!(bounds(" PL BND x"), [all, all]);
    assert_eq!(
        bounds(" UP BND x 1e30\n LO BND y -1e20"),
        [all, (-INF, INF)]
    );
    assert_eq!(
        bounds(" UP BND x Inf\n LO BND y -infinity"),
        [all, (-INF, INF)]
    );
    // Zero is no negative bound.
    assert_eq!(bounds(" UP BND x 0"), [(0.0, 0.0), all]);
}

#[test]
fn a_negative_upper_bound_opens_the_lower_one_unless_that_is_stated() {
    assert_eq!(bounds(" UP BND x -1")[0], (-INF, -1.0));
    assert_eq!(bounds(" UP BND x -1\n LO BND x -3")[0], (-3.0, -1.0));
    let crossed = file(ROWS, COLUMNS, "BOUNDS\n LO BND x 0\n UP BND x -1");
    assert!(matches!(
        read_mps(crossed.as_bytes()),
        Err(Error::CrossedBounds { .. })
    ));
}

#[test]
fn names_of_sets_may_be_missing() {
    assert_eq!(bounds(" UP x 4\n FR y"), [(0.0, 4.0), (-INF, INF)]);
    assert_eq!(bounds(" MI x 0\n PL BND y 0"), [(-INF, INF), (0.0, INF)]);
    assert_eq!(sides('L', "RHS\n r 3\nRANGES\n r 1"), (2.0, 3.0));
    let two = read(&file(" N obj\n L r\n G s", " x r 1 s 1", "RHS\n r 3 s 1"));
    assert_eq!((two.row_upper()[0], two.row_lower()[1]), (3.0, 1.0));
}

#[test]
fn of_several_sets_the_first_counts() {
    assert_eq!(sides('L', "RHS\n A r 3\n B r 5"), (-INF, 3.0));
    assert_eq!(
        bounds(" UP A x 3\n UP B x 5\n UP B y 5"),
        [(0.0, 3.0), (0.0, INF)]
    );
}

#[test]
fn integer_columns_without_bounds_are_binary() {
    let columns = " M 'MARKER' 'INTORG'\n a r 1\n b r 1\n c r 1\n d r 1\n M 'MARKER' 'INTEND'\n e r 1\n f r 1\n g r 1";
    let rest = "BOUNDS\n LO BND b 0\n UP BND c 1\n PL BND d\n BV BND e\n LI BND f -2\n UI BND g 7";
    let problem = read(&file(ROWS, columns, rest));
    let (integer, binary) = (VariableKind::Integer, VariableKind::Binary);
    assert_eq!(
        problem.kinds(),
        [binary, integer, integer, integer, binary, integer, integer]
    );
    assert_eq!(problem.lower(), [0.0, 0.0, 0.0, 0.0, 0.0, -2.0, 0.0]);
    assert_eq!(problem.upper(), [1.0, INF, 1.0, INF, 1.0, INF, 7.0]);
}

#[test]
fn both_styles_of_sense_and_no_objective() {
    for (header, sense) in [
        ("OBJSENSE MAX\n", Sense::Maximise),
        ("OBJSENSE\n MAXIMIZE\n", Sense::Maximise),
        ("objsense\n  min\n", Sense::Minimise),
        ("", Sense::Minimise),
    ] {
        let text = format!("NAME\n{header}ROWS\n N o\nCOLUMNS\n x o 1\nENDATA");
        assert_eq!(read(&text).sense(), sense, "{header}");
    }
    let feasibility = read(&file(" L r", " x r 1", ""));
    assert_eq!(feasibility.costs(), [0.0]);
}

#[test]
fn quadratic_objectives_of_both_styles_agree() {
    let triangle = read(&file(ROWS, COLUMNS, "QUADOBJ\n x x 4\n y x 1\n y y 2"));
    let full = read(&file(
        ROWS,
        COLUMNS,
        "QMATRIX\n x x 4\n x y 1\n y x 1\n y y 2",
    ));
    // 1 · 2 + ½ (4·2² + 2·1·2·3 + 2·3²)
    for problem in [triangle, full] {
        assert_eq!(
            problem.objective(&[2.0, 3.0]).unwrap(),
            2.0 + 0.5 * (16.0 + 12.0 + 18.0)
        );
    }
    let (line, section, _, fault) =
        refusal(&file(ROWS, COLUMNS, "QMATRIX\n x x 4\n x y 1\n y y 2"));
    assert_eq!(
        (line, section, fault),
        (10, "QMATRIX", MpsFault::Asymmetric)
    );
    let twice = refusal(&file(ROWS, COLUMNS, "QUADOBJ\n x x 4\n x y 1\n y x 1"));
    assert_eq!((twice.0, twice.3), (11, MpsFault::RepeatedEntry));
    let hyperbola = file(ROWS, COLUMNS, "QUADOBJ\n x y 1");
    assert!(matches!(
        read_mps(hyperbola.as_bytes()),
        Err(Error::NonConvex { .. })
    ));
}

#[test]
fn refusals_name_line_section_and_word() {
    let number = |found, expected| MpsFault::WordCount { found, expected };
    let columns = "3 or 5: column, then one or two pairs of row and value";
    let cases: Vec<(String, usize, &str, &str, MpsFault)> = vec![
        (
            "x y z\n".into(),
            1,
            "(start)",
            "x",
            MpsFault::UnknownSection,
        ),
        (" x y z\n".into(), 1, "(start)", "x", MpsFault::Misplaced),
        (
            "NAME\nROWS\n N o\n".into(),
            3,
            "ROWS",
            "",
            MpsFault::Truncated,
        ),
        (String::new(), 0, "(start)", "", MpsFault::Truncated),
        (
            "ENDATA".into(),
            1,
            "ENDATA",
            "",
            MpsFault::MissingSection("ROWS"),
        ),
        (
            "ROWS\n N o\nENDATA".into(),
            3,
            "ENDATA",
            "",
            MpsFault::MissingSection("COLUMNS"),
        ),
        (
            "NAME\nSOS\n S1 s\n".into(),
            2,
            "NAME",
            "SOS",
            MpsFault::UnsupportedSection,
        ),
        (
            "ROWS\n N o\nROWS\n".into(),
            3,
            "ROWS",
            "ROWS",
            MpsFault::RepeatedSection,
        ),
        (
            "ROWS extra\n".into(),
            1,
            "ROWS",
            "extra",
            MpsFault::HeaderNotAlone,
        ),
        (
            "OBJSENSE\n  up\n".into(),
            2,
            "OBJSENSE",
            "up",
            MpsFault::UnknownSense,
        ),
        (
            "ROWS\n X r\n".into(),
            2,
            "ROWS",
            "X",
            MpsFault::UnknownRowType,
        ),
        (
            "ROWS\n L r\n G r\n".into(),
            3,
            "ROWS",
            "r",
            MpsFault::RepeatedRow,
        ),
        (
            "ROWS\n L\n".into(),
            2,
            "ROWS",
            "L",
            number(1, "2: type and name"),
        ),
        (
            file(ROWS, " x q 1", ""),
            6,
            "COLUMNS",
            "q",
            MpsFault::UnknownRow,
        ),
        (
            file(ROWS, " x r one", ""),
            6,
            "COLUMNS",
            "one",
            MpsFault::NotANumber,
        ),
        (
            file(ROWS, " x r nan", ""),
            6,
            "COLUMNS",
            "nan",
            MpsFault::NotFinite,
        ),
        (
            file(ROWS, " x r 1e999", ""),
            6,
            "COLUMNS",
            "1e999",
            MpsFault::NotFinite,
        ),
        (
            file(ROWS, " x r", ""),
            6,
            "COLUMNS",
            "r",
            number(2, columns),
        ),
        (
            file(ROWS, " x r 1 r 2", ""),
            6,
            "COLUMNS",
            "r",
            MpsFault::RepeatedEntry,
        ),
        (
            file(ROWS, " x obj 1\n x obj 2", ""),
            7,
            "COLUMNS",
            "obj",
            MpsFault::RepeatedEntry,
        ),
        (
            file(ROWS, " x r 1\n y r 1\n x obj 1", ""),
            8,
            "COLUMNS",
            "x",
            MpsFault::ScatteredColumn,
        ),
        (
            file(ROWS, " M 'MARKER' 'INTEND'", ""),
            6,
            "COLUMNS",
            "'INTEND'",
            MpsFault::Marker,
        ),
        (
            file(ROWS, " M 'MARKER' 'SOSORG'", ""),
            6,
            "COLUMNS",
            "'SOSORG'",
            MpsFault::Marker,
        ),
        (
            file(ROWS, COLUMNS, "RHS\n RHS q 1"),
            9,
            "RHS",
            "q",
            MpsFault::UnknownRow,
        ),
        (
            file(ROWS, COLUMNS, "RHS\n RHS r inf"),
            9,
            "RHS",
            "inf",
            MpsFault::NotFinite,
        ),
        (
            file(ROWS, COLUMNS, "RHS\n RHS r 1\n RHS r 1"),
            10,
            "RHS",
            "r",
            MpsFault::RepeatedEntry,
        ),
        (
            file(ROWS, COLUMNS, "RANGES\n RNG obj 1"),
            9,
            "RANGES",
            "obj",
            MpsFault::RangeOnObjective,
        ),
        (
            file(ROWS, COLUMNS, "BOUNDS\n UP BND z 1"),
            9,
            "BOUNDS",
            "z",
            MpsFault::UnknownColumn,
        ),
        (
            file(ROWS, COLUMNS, "BOUNDS\n UP BND x nan"),
            9,
            "BOUNDS",
            "nan",
            MpsFault::NotFinite,
        ),
        (
            file(ROWS, COLUMNS, "BOUNDS\n UQ BND x 1"),
            9,
            "BOUNDS",
            "UQ",
            MpsFault::UnknownBoundType,
        ),
        (
            file(ROWS, COLUMNS, "BOUNDS\n SC BND x 1"),
            9,
            "BOUNDS",
            "SC",
            MpsFault::SemiContinuous,
        ),
        (
            file(ROWS, COLUMNS, "BOUNDS\n UP BND x 1\n UP BND x 2"),
            10,
            "BOUNDS",
            "x",
            MpsFault::RepeatedEntry,
        ),
        (
            file(ROWS, COLUMNS, "QUADOBJ\n x z 1"),
            9,
            "QUADOBJ",
            "z",
            MpsFault::UnknownColumn,
        ),
    ];
    for (text, line, section, token, fault) in cases {
        assert_eq!(
            refusal(&text),
            (line, section, token.to_owned(), fault),
            "{text}"
        );
    }
}

#[test]
fn a_refusal_reads_as_one_clear_line() {
    let error = read_mps(file(ROWS, " x r nan", "").as_bytes()).unwrap_err();
    insta::assert_snapshot!(error, @"MPS line 6, section COLUMNS, at `nan`: not a finite number");
    let long = format!("ROWS\n N {}\u{7} x\n", "q".repeat(80));
    let error = read_mps(long.as_bytes()).unwrap_err();
    insta::assert_snapshot!(error, @"MPS line 2, section ROWS, at `x`: the line has 3 words; expected 2: type and name");
    let error = read_mps(&b"ROWS\n N \xff\n"[..]).unwrap_err();
    insta::assert_snapshot!(error, @"MPS line 2, section ROWS, at ` N �`: the line is not UTF-8 text");
}

#[test]
fn carriage_returns_tabs_and_a_byte_order_mark_do_not_matter() {
    let text = "\u{feff}NAME\tt\r\nROWS\r\n N\tobj\r\n L\tr\r\nCOLUMNS\r\n\tx\tr\t2\r\nENDATA\r\n";
    assert_eq!(read(text).by_row().values(), [2.0]);
}

#[test]
fn names_that_the_format_cannot_hold_are_replaced() {
    let mut builder = ProblemBuilder::new("two words");
    let names = ["", "a b", "*", "RHS", "C0", "same", "same", "ok"];
    let variables: Vec<_> = names
        .iter()
        .map(|name| builder.variable(*name, 0.0, 1.0, 1.0))
        .collect();
    builder.row("OBJ", 0.0, [(variables[0], 1.0)], 1.0);
    builder.row("", 0.0, [(variables[1], 1.0)], 1.0);
    let back = read(&written(&builder.build().unwrap()));
    assert_eq!(back.name(), "two");
    assert_eq!(
        back.variable_names(),
        ["C0_", "C1", "C2", "C3", "C0", "same", "C6", "ok"]
    );
    assert_eq!(back.row_names(), ["OBJ", "R1"]);
    assert_eq!(back.costs(), [1.0; 8]);
}

#[test]
fn what_the_format_cannot_say_is_refused_in_writing() {
    let mut builder = ProblemBuilder::new("cone");
    let x = builder.variable("x", 0.0, 1.0, 1.0);
    builder.second_order_cone("k", AffineTerm::constant(1.0), vec![x.into()]);
    let error = write_mps(&builder.build().unwrap(), Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");

    let mut builder = ProblemBuilder::new("large");
    builder.variable("x", 0.0, 1e25, 1.0);
    let error = write_mps(&builder.build().unwrap(), Vec::new()).unwrap_err();
    assert!(
        matches!(error, Error::MpsInfinite { value: 1e25, .. }),
        "{error}"
    );
}

/// Fails after a number of bytes, on either side.
struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("cable cut"))
    }
}

impl std::io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("disk full"))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn failures_of_the_file_are_passed_on() {
    let error = read_mps(std::io::BufReader::new(Broken)).unwrap_err();
    assert!(error.to_string().contains("cable cut"), "{error}");
    let error = write_mps(&read(&file(ROWS, COLUMNS, "")), Broken).unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
}

#[test]
fn a_row_that_nothing_limits_survives() {
    let mut builder = ProblemBuilder::new("free");
    let x = builder.variable("x", 0.0, 1.0, 1.0);
    builder.row("free", -INF, [(x, 2.0)], INF);
    let back = read(&written(&builder.build().unwrap()));
    assert_eq!(
        (back.row_lower(), back.row_upper()),
        (&[-INF][..], &[INF][..])
    );
    assert_eq!(back.by_row().values(), [2.0]);
}
