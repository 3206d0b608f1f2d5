//! The reader on files that are cut off or garbled: an error with a line inside the file, or a network; never a panic.

use evflex_network::matpower;
use proptest::prelude::*;

/// A small case with everything that the reader evaluates.
const WHOLE: &str = "function mpc = small
%SMALL  three buses
mpc.version = '2';
mpc.baseMVA = 50/3;
mpc.bus = [ %% kW here
\t1\t3\t0\t0\t0\t0\t1\t1\t0\t12.66/sqrt(3)\t1\t1\t1;
\t20\t1\t100\t60\t0\t0.1\t1\t1\t0\t12.66\t1\t1.1\t0.9;
\t3\t1\t90\t-40\t0\t0\t1\t1\t0\t12.66\t1\t1.1\t0.9;
];
mpc.gen = [
\t1\t0\t0\t10\t-10\t1\t100\t1\t10\t0;
];
mpc.branch = [ %% ohm
\t1\t20\t0.0922\t0.0470\t0\t0\t0\t0\t0\t0\t1\t-360\t360;
\t3\t20\t0.4930\t0.2511\t1e-5\t0\t0\t0\t1.02\t0\t1\t-360\t360;
];
mpc.gencost = [
\t2\t0\t0\t3\t0\t20\t0;
];
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X] = idx_brch;
Vbase = mpc.bus(2, BASE_KV) * 1e3;
Sbase = mpc.baseMVA * 1e6;
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
pf = 0.85;
mpc.bus(:, QD) = mpc.bus(:, PD) * sin(acos(pf));
";

/// The line that a message names, where it has one.
fn named_line(message: &str) -> Option<usize> {
    let rest = &message[message.find("line ")? + "line ".len()..];
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Faults of the text have a line in it.
fn line_is_inside(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = matpower::parse_case(text) {
        let message = error.to_string();
        if message.contains("baseMVA in row") {
            return Ok(()); // the last line stands for values that were computed
        }
        let line = named_line(&message);
        let lines = text.lines().count().max(1);
        prop_assert!(
            line.is_some_and(|line| (1..=lines).contains(&line)),
            "{lines} lines: {message}"
        );
    }
    Ok(())
}

#[test]
fn the_whole_file_is_read() {
    let network = matpower::parse(WHOLE).expect("a whole case");
    assert_eq!(network.buses().len(), 3);
    assert!((network.base_mva() - 50.0 / 3.0).abs() < 1e-15);
    assert!((network.buses()[1].load_mvar - 0.1 * (1.0_f64 - 0.85 * 0.85).sqrt()).abs() < 1e-15);
    assert!(network.power_flow().is_ok());
}

/// Every place at which the file can be cut.
#[test]
fn cut_files_name_a_line() {
    let statements = ["];", ";"];
    let mut refused = 0;
    for cut in 0..WHOLE.len() {
        let text = &WHOLE[..cut];
        line_is_inside(text).expect("a line inside the file");
        if matpower::parse_case(text).is_err() {
            refused += 1;
        } else {
            // What still passes ends behind a statement, or inside a comment or a number.
            let end = text.trim_end();
            let ended = statements.iter().any(|ending| end.ends_with(ending))
                || end.ends_with(|last: char| {
                    last.is_ascii_alphanumeric() || last == ']' || last == '.' || last == ')'
                });
            assert!(
                ended,
                "accepted: ...{:?}",
                &end[end.len().saturating_sub(30)..]
            );
        }
    }
    // Nothing passes before the branches are complete.
    assert!(refused >= WHOLE.find("mpc.gencost").expect("costs") - 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// One character replaced, doubled or removed.
    #[test]
    fn garbled_files_name_a_line(
        at in any::<prop::sample::Index>(),
        with in prop::sample::select("[](){};,'\"%=+-*/^.:~@#\n\t 0179eEdnNaI_\u{e9}\u{1F600}".chars().collect::<Vec<_>>()),
        what in 0..3_u8,
    ) {
        let mut characters: Vec<char> = WHOLE.chars().collect();
        let at = at.index(characters.len());
        match what {
            0 => characters[at] = with,
            1 => characters.insert(at, with),
            _ => { characters.remove(at); }
        }
        let text: String = characters.into_iter().collect();
        line_is_inside(&text)?;
        if let Ok(network) = matpower::parse(&text) {
            let _ = network.power_flow();
        }
    }

    /// Lines shuffled: statements out of order are errors or harmless, never a panic.
    #[test]
    fn shuffled_lines_do_not_panic(order in Just(WHOLE.lines().collect::<Vec<_>>()).prop_shuffle()) {
        line_is_inside(&order.join("\n"))?;
    }

    /// Anything at all.
    #[test]
    fn noise_does_not_panic(text in "\\PC{0,200}") {
        line_is_inside(&text)?;
    }

    /// Noise made of what the reader knows.
    #[test]
    fn familiar_noise_does_not_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "mpc", ".", "bus", "baseMVA", "branch", "(", ")", "[", "]", "{", "}", ":", ",", ";", "=", "1", "2.5", "-", "+", "*",
            ".*", "/", "^", "'", "end", "sqrt", "\n", " ", "...", "%", "idx_bus", "define_constants", "function ", "'a'", "NaN",
        ]), 0..60),
    ) {
        line_is_inside(&words.concat())?;
    }
}
