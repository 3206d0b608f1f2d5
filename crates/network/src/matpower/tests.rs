//! Cases of the reader, small and by hand.

use super::*;

/// A case with two buses, and `extra` statements at its end.
fn two_buses(extra: &str) -> String {
    format!(
        "function mpc = two\nmpc.version = '2';\nmpc.baseMVA = 10;\nmpc.bus = [\n 1 3 0 0 0 0 1 1 0 12.5 1 1.1 0.9;\n 7 1 40 30 0 0 1 1 0 12.5 1 1.1 0.9;\n];\nmpc.gen = [1 0 0 10 -10 1 100 1 10 0];\nmpc.branch = [7 1 0.5 0.25 0 0 0 0 0 0 1];\n{extra}\n"
    )
}

fn load(extra: &str) -> (f64, f64) {
    let case = parse_case(&two_buses(extra)).unwrap();
    (case.buses[1].load_mw, case.buses[1].load_mvar)
}

#[test]
fn arithmetic_is_that_of_the_language() {
    for (expression, value) in [
        ("1 + 2 * 3", 7.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("2^3^2", 64.0),
        ("(1 + 2) / 4 - .5", 0.25),
        ("1e3 / 2.5E+2", 4.0),
        (
            "sqrt(3)^2 - 3 + cos(0)",
            (3.0_f64).sqrt().powf(2.0) - 3.0 + 1.0,
        ),
        ("sin(acos(0.6))", 0.8),
        ("50/3", 50.0 / 3.0),
        ("pi", std::f64::consts::PI),
        ("mpc.bus(2, 3) + mpc.baseMVA", 50.0),
        ("mpc.bus(end, 4)", 30.0),
        ("[5 -2](2)", -2.0),
        ("[5 - 2](1)", 3.0),
        ("[5, -2\n7, 1](2, 1)", 7.0),
        ("[1 2 3](end)", 3.0),
        ("[1 2 3]'(3, 1)", 3.0),
        ("2.*3", 6.0),
    ] {
        let (mw, _) = load(&format!("x = {expression}; mpc.bus(2, 3) = x;"));
        assert!(
            (mw - value).abs() <= 1e-14 * value.abs(),
            "{expression}: {mw}"
        );
    }
}

#[test]
fn conversions_are_evaluated() {
    let convert = "[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...\n  VA, BASE_KV] = idx_bus;\n[F_BUS, T_BUS, BR_R, BR_X] = idx_brch;\nVbase = mpc.bus(1, BASE_KV) * 1e3; % V\nSbase = mpc.baseMVA * 1e6;\nmpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);\nmpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;\n";
    let case = parse_case(&two_buses(convert)).unwrap();
    assert_eq!(
        (case.buses[1].load_mw, case.buses[1].load_mvar),
        (0.04, 0.03)
    );
    assert!((case.branches[0].r_pu - 0.5 / 15.625).abs() < 1e-15);
    // A power factor on top, element by element, with all names at once.
    let factor = "define_constants;\npf = 0.8;\nmpc.bus(:, QD) = mpc.bus(:, PD) * sin(acos(pf));\nmpc.bus(:, PD) = mpc.bus(:, PD) .* pf;";
    let (mw, mvar) = load(factor);
    assert!((mw - 32.0).abs() < 1e-12 && (mvar - 24.0).abs() < 1e-12);
}

#[test]
fn what_is_not_evaluated_is_named_with_its_line() {
    for (statement, name) in [
        ("if mpc.baseMVA, x = 1; end", "`if`"),
        ("mpc = loadcase('other');", "whole of `mpc`"),
        ("mpc.dcline = [1 2];", "`mpc.dcline`"),
        ("mpc.bus(:, 3) = scale_load(2, mpc);", "`scale_load`"),
        ("mpc.bus(mpc.bus(:, 2) == 1, 3) = 0;", "`==`"),
        ("[A, B] = idx_ct;", "`idx_ct`"),
        (
            "mpc.bus(:, 3) = mpc.bus(:, 3) * mpc.bus(:, 3);",
            "`*` between matrices",
        ),
        ("disp hello", "`disp`"),
        ("mpc.bus(5) = 1;", "a single index into a matrix"),
    ] {
        let error = parse_case(&two_buses(statement)).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Unsupported { line: 10, .. }),
            "{statement}: {text}"
        );
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn broken_files_name_their_line() {
    for (statement, line, words) in [
        ("x = [1 2; 3];", 10, "row 2 of a matrix has 1 numbers"),
        ("x = 1 +;", 10, "expected a value, found `;`"),
        ("x = 'abc;", 10, "closing quote"),
        ("x = 12abc;", 10, "expected a number"),
        ("x = 1.2.3;", 10, "expected a number"),
        ("x = (1 + 2;", 10, "expected `)`"),
        ("x = [1 2\n3 4", 11, "opened on line 10 is not closed"),
        ("x = mpc.nothing;", 10, "used before it is assigned"),
        (
            "mpc.bus(3, 3) = 1;",
            10,
            "position 3 is asked for, there are 2 rows",
        ),
        ("mpc.bus(0, 3) = 1;", 10, "0 is not a position"),
        (
            "mpc.bus(:, 3) = [1; 2; 3];",
            10,
            "3 × 1 numbers are assigned to 2 × 1",
        ),
        ("mpc.bus(1, 3) = sqrt(-1);", 10, "no real value"),
        ("mpc.bus(2, 3) = NaN;", 6, "Pd in row 2 of bus is NaN"),
        ("mpc.bus(2, 1) = 7.5;", 6, "bus_i in row 2 of bus is 7.5"),
        ("mpc.bus(2, 2) = 9;", 6, "type in row 2 of bus is 9"),
        ("\u{1F600}", 10, "character"),
    ] {
        let text = parse_case(&two_buses(statement)).unwrap_err().to_string();
        assert!(
            text.starts_with(&format!("line {line}: ")),
            "{statement}: {text}"
        );
        assert!(text.contains(words), "{text}");
    }
    let nested = format!("x = {}1{};", "(".repeat(5000), ")".repeat(5000));
    let text = parse_case(&two_buses(&nested)).unwrap_err().to_string();
    assert!(
        text.starts_with("line 10: brackets are nested too deeply"),
        "{text}"
    );
    let doubled = "x = [1 2 3 4];\n".to_owned() + &"x = [x x];\n".repeat(60);
    let text = parse_case(&two_buses(&doubled)).unwrap_err().to_string();
    assert!(text.contains("more than a case needs"), "{text}");
}

#[test]
fn missing_fields_are_named() {
    for field in ["baseMVA", "bus", "gen", "branch"] {
        let without: String = two_buses("").replace(&format!("mpc.{field} "), "other ");
        let text = parse_case(&without).unwrap_err().to_string();
        assert!(text.contains(&format!("without `{field}`")), "{text}");
    }
    assert!(parse_case("").unwrap_err().to_string().contains("baseMVA"));
    let short = two_buses("").replace("[7 1 0.5 0.25 0 0 0 0 0 0 1]", "[7 1 0.5 0.25]");
    assert!(
        parse_case(&short)
            .unwrap_err()
            .to_string()
            .contains("`branch` has 4 columns, it needs 11")
    );
}

#[test]
fn comments_continuations_and_texts_are_skipped() {
    let extra = "%{\nmpc.bus = [];\n%}\n# octave\nmpc.bus_name = {'a % b'; 'it''s'};\nmpc.bus(2, 3) = 1 + ... one\n  2;\nend";
    assert_eq!(load(extra).0, 3.0);
    let other = two_buses("").replace("mpc", "ppc");
    assert_eq!(parse_case(&other).unwrap().buses.len(), 2);
    assert_eq!(parse_case(&other).unwrap().name, "two");
}

#[test]
fn ratings_ratios_and_costs_are_read() {
    let extra = "mpc.branch = [7 1 0.5 0.25 0.01 20 0 0 1.025 30 0];\nmpc.gencost = [2 0 0 3 0.1 20 5 0 0];";
    let case = parse_case(&two_buses(extra)).unwrap();
    let branch = &case.branches[0];
    assert_eq!(
        (branch.i_max_pu, branch.ratio, branch.shift_deg),
        (Some(2.0), 1.025, 30.0)
    );
    assert!(!branch.in_service);
    assert_eq!(case.generators[0].cost, Some([0.1, 20.0, 5.0]));
    assert_eq!(parse_case(&two_buses("")).unwrap().generators[0].cost, None);
    let linear = parse_case(&two_buses("mpc.gencost = [2 0 0 2 20 5];")).unwrap();
    assert_eq!(linear.generators[0].cost, Some([0.0, 20.0, 5.0]));
    // Forms that are not used leave the generator without a cost, and the network as it is.
    for other in [
        "[1 0 0 2 0 0 1 20]",
        "[2 0 0 4 1 0 20 0]",
        "[2 0 0 2 20 5; 2 0 0 2 20 0]",
    ] {
        let case = parse_case(&two_buses(&format!("mpc.gencost = {other};"))).unwrap();
        assert_eq!(case.generators[0].cost, None, "{other}");
    }
    let zero = "mpc.gencost = [2 0 0 4 0 0 20 5; 2 0 0 2 0 0 0 0];";
    assert_eq!(
        parse_case(&two_buses(zero)).unwrap().generators[0].cost,
        Some([0.0, 20.0, 5.0])
    );
}
