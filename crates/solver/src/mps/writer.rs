//! From a problem to text.
#![expect(
    clippy::float_cmp,
    reason = "what is written must come back exactly, so equal means equal"
)]

use std::collections::HashSet;
use std::io::Write;

use super::{MPS_INFINITY, SECTIONS};
use crate::{Error, Problem, Sense, VariableKind};

/// Writes a problem as free-format MPS, in the conventions of [the module](super).
///
/// What [`read_mps`](super::read_mps) reads back is the same problem: sense, offset, kinds, bounds, sides and
/// every coefficient, digit for digit.
/// There are three exceptions, all forced by the format:
///
/// - A name that MPS cannot hold is replaced by a generated one (`C7` for the eighth variable, `R3` for the
///   fourth row): an empty name, one with white space or control characters, one that starts with `*`, `$` or
///   `'`, one that is the name of a section, and the second of two equal names. A problem's name is cut at its
///   first white space.
/// - A row with two finite sides is stored as one side and the distance to the other. Where some double gives
///   the other side exactly when it is added back, as it does for all numbers of few digits, that one is
///   written; where none does, the side of larger magnitude moves outwards by at most two units in its last
///   place, and the log says so.
/// - A binary variable whose bounds were narrowed to one value comes back as an integer one.
///
/// # Errors
/// [`Error::Unsupported`] for second-order cones; [`Error::MpsInfinite`] for a finite bound or side of
/// magnitude [`MPS_INFINITY`] or more, which a reader would take for infinite; [`Error::Io`] if `output` cannot be
/// written.
pub fn write_mps(problem: &Problem, mut output: impl Write) -> Result<(), Error> {
    if problem.has_cones() {
        return Err(Error::Unsupported {
            solver: "the MPS format".to_owned(),
            class: "second-order cones",
        });
    }
    check_magnitudes(problem)?;
    Writer::new(problem)
        .write(&mut output)
        .and_then(|()| output.flush())
        .map_err(Error::Io)
}

/// A finite number that a reader would take for infinity cannot be written.
fn check_magnitudes(problem: &Problem) -> Result<(), Error> {
    let too_large = |value: &f64| value.is_finite() && value.abs() >= MPS_INFINITY;
    for (what, values) in [
        ("lower bound", problem.lower()),
        ("upper bound", problem.upper()),
    ] {
        if let Some(index) = values.iter().position(too_large) {
            return Err(Error::MpsInfinite {
                what,
                of: problem.describe_variable(index),
                value: values[index],
            });
        }
    }
    for (what, values) in [
        ("lower side", problem.row_lower()),
        ("upper side", problem.row_upper()),
    ] {
        if let Some(index) = values.iter().position(too_large) {
            return Err(Error::MpsInfinite {
                what,
                of: problem.describe_row(index),
                value: values[index],
            });
        }
    }
    Ok(())
}

/// A row as the format has it.
struct RowForm {
    kind: char,
    rhs: f64,
    range: Option<f64>,
}

struct Writer<'a> {
    problem: &'a Problem,
    sign: f64,
    objective: String,
    rows: Vec<String>,
    columns: Vec<String>,
}

impl<'a> Writer<'a> {
    fn new(problem: &'a Problem) -> Self {
        let rows = names(problem.row_names(), 'R');
        // The objective is a row too, so its name must be none of theirs.
        let taken: HashSet<&str> = rows.iter().map(String::as_str).collect();
        let objective = fresh("OBJ", &taken);
        Self {
            problem,
            sign: problem.sense().sign(),
            objective,
            rows,
            columns: names(problem.variable_names(), 'C'),
        }
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let problem = self.problem;
        writeln!(out, "NAME {}", name_word(problem.name()))?;
        if problem.sense() == Sense::Maximise {
            writeln!(out, "OBJSENSE\n    MAX")?;
        }
        writeln!(out, "ROWS\n N  {}", self.objective)?;
        let forms: Vec<RowForm> = (0..problem.row_count())
            .map(|row| self.row_form(row))
            .collect();
        for (name, form) in self.rows.iter().zip(&forms) {
            writeln!(out, " {}  {name}", form.kind)?;
        }
        self.write_columns(out)?;
        writeln!(out, "RHS")?;
        if problem.offset() != 0.0 {
            writeln!(
                out,
                "    RHS  {}  {:?}",
                self.objective,
                -self.sign * problem.offset()
            )?;
        }
        for (name, form) in self.rows.iter().zip(&forms) {
            if form.rhs != 0.0 {
                writeln!(out, "    RHS  {name}  {:?}", form.rhs)?;
            }
        }
        if forms.iter().any(|form| form.range.is_some()) {
            writeln!(out, "RANGES")?;
            for (name, form) in self.rows.iter().zip(&forms) {
                if let Some(range) = form.range {
                    writeln!(out, "    RNG  {name}  {range:?}")?;
                }
            }
        }
        self.write_bounds(out)?;
        if problem.has_quadratic() {
            writeln!(out, "QUADOBJ")?;
            for column in 0..problem.quadratic().lines() {
                for (row, value) in problem.quadratic().line(column) {
                    writeln!(
                        out,
                        "    {}  {}  {:?}",
                        self.columns[row],
                        self.columns[column],
                        self.sign * value
                    )?;
                }
            }
        }
        writeln!(out, "ENDATA")
    }

    fn write_columns(&self, out: &mut impl Write) -> std::io::Result<()> {
        let problem = self.problem;
        writeln!(out, "COLUMNS")?;
        let mut integer_block = false;
        let mut markers = 0;
        for (column, name) in self.columns.iter().enumerate() {
            let integral = problem.kinds()[column].is_integral();
            if integral != integer_block {
                integer_block = integral;
                self.write_marker(out, &mut markers, integral)?;
            }
            let cost = self.sign * problem.costs()[column];
            // A column exists through its entries, so one without any needs an explicit zero.
            if cost != 0.0 || problem.by_column().line(column).len() == 0 {
                writeln!(out, "    {name}  {}  {cost:?}", self.objective)?;
            }
            for (row, value) in problem.by_column().line(column) {
                writeln!(out, "    {name}  {}  {value:?}", self.rows[row])?;
            }
        }
        if integer_block {
            self.write_marker(out, &mut markers, false)?;
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "a method beside the one that calls it")]
    fn write_marker(
        &self,
        out: &mut impl Write,
        markers: &mut usize,
        opens: bool,
    ) -> std::io::Result<()> {
        *markers += 1;
        let kind = if opens { "'INTORG'" } else { "'INTEND'" };
        writeln!(out, "    MARKER{markers}  'MARKER'  {kind}")
    }

    /// Every bound that is not the default `[0, ∞)` of a continuous column; for integer columns always both,
    /// because readers disagree on their default.
    fn write_bounds(&self, out: &mut impl Write) -> std::io::Result<()> {
        let problem = self.problem;
        let mut header = "BOUNDS\n";
        for (column, name) in self.columns.iter().enumerate() {
            let (lower, upper) = (problem.lower()[column], problem.upper()[column]);
            let kind = problem.kinds()[column];
            let mut line = |bound: &str, value: Option<f64>| {
                let value = value.map_or(String::new(), |value| format!("  {value:?}"));
                writeln!(
                    out,
                    "{} {bound} BND  {name}{value}",
                    std::mem::take(&mut header)
                )
            };
            if kind == VariableKind::Binary && lower == 0.0 && upper == 1.0 {
                line("BV", None)?;
                continue;
            }
            if lower == upper {
                line("FX", Some(lower))?;
                continue;
            }
            if lower == f64::NEG_INFINITY && upper == f64::INFINITY {
                line("FR", None)?;
                continue;
            }
            if lower == f64::NEG_INFINITY {
                line("MI", None)?;
            } else if lower != 0.0 || kind.is_integral() {
                line("LO", Some(lower))?;
            }
            if upper != f64::INFINITY {
                line("UP", Some(upper))?;
            } else if kind.is_integral() {
                line("PL", None)?;
            }
        }
        Ok(())
    }

    fn row_form(&self, row: usize) -> RowForm {
        let (lower, upper) = (self.problem.row_lower()[row], self.problem.row_upper()[row]);
        match (lower.is_finite(), upper.is_finite()) {
            // As an N row it would be dropped by readers; a side that everything meets keeps it.
            (false, false) => RowForm {
                kind: 'L',
                rhs: 1e30,
                range: None,
            },
            (false, true) => RowForm {
                kind: 'L',
                rhs: upper,
                range: None,
            },
            (true, false) => RowForm {
                kind: 'G',
                rhs: lower,
                range: None,
            },
            (true, true) if lower == upper => RowForm {
                kind: 'E',
                rhs: lower,
                range: None,
            },
            (true, true) => self.ranged(row, lower, upper),
        }
    }

    /// A distance that, added back, gives the other side exactly, wherever there is one.
    fn ranged(&self, row: usize, lower: f64, upper: f64) -> RowForm {
        let width = upper - lower;
        for range in [width, width.next_down(), width.next_up()] {
            if lower + range == upper {
                return RowForm {
                    kind: 'G',
                    rhs: lower,
                    range: Some(range),
                };
            }
            if upper - range == lower {
                return RowForm {
                    kind: 'L',
                    rhs: upper,
                    range: Some(range),
                };
            }
        }
        tracing::warn!(
            row = %self.problem.describe_row(row), lower, upper,
            "no range gives both sides exactly; the one of larger magnitude is written a little wider"
        );
        // The side of smaller magnitude has the finer grid, so it is the one to keep.
        let mut range = width;
        if lower.abs() <= upper.abs() {
            while lower + range < upper {
                range = range.next_up();
            }
            RowForm {
                kind: 'G',
                rhs: lower,
                range: Some(range),
            }
        } else {
            while upper - range > lower {
                range = range.next_up();
            }
            RowForm {
                kind: 'L',
                rhs: upper,
                range: Some(range),
            }
        }
    }
}

/// The first word of a problem's name; the rest of the line would be a remark.
fn name_word(name: &str) -> String {
    let word = name.split_whitespace().next().unwrap_or_default();
    word.chars()
        .filter(|character| !character.is_control())
        .collect()
}

/// Names that a reader can tell apart, made where needed from `letter` and the position.
fn names(given: &[String], letter: char) -> Vec<String> {
    let mut taken: HashSet<&str> = HashSet::with_capacity(given.len());
    // Good names are all reserved first, so that a generated one does not push a given one out.
    let good: Vec<bool> = given
        .iter()
        .map(|name| can_hold(name) && taken.insert(name))
        .collect();
    let mut generated: HashSet<String> = HashSet::new();
    given
        .iter()
        .zip(good)
        .enumerate()
        .map(|(index, (name, good))| {
            if good {
                return name.clone();
            }
            let mut candidate = format!("{letter}{index}");
            while taken.contains(candidate.as_str()) || generated.contains(&candidate) {
                candidate.push('_');
            }
            tracing::debug!(name, replacement = %candidate, "MPS cannot hold this name");
            generated.insert(candidate.clone());
            candidate
        })
        .collect()
}

fn fresh(wanted: &str, taken: &HashSet<&str>) -> String {
    let mut candidate = wanted.to_owned();
    while taken.contains(candidate.as_str()) {
        candidate.push('_');
    }
    candidate
}

/// Whether any reader takes `name` for one word and for nothing but a name.
fn can_hold(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['*', '$', '\''])
        && !name
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        && !SECTIONS.contains(&name.to_ascii_uppercase().as_str())
}
