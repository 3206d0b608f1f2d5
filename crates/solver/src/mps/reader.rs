//! From text to a problem.
#![expect(
    clippy::float_cmp,
    reason = "a number that is stated twice must be the same number"
)]

use std::collections::HashMap;
use std::io::BufRead;

use super::{MPS_INFINITY, MpsFault};
use crate::{Error, Problem, ProblemBuilder};

/// Reads a problem from MPS text, free or fixed format; the conventions are those of [the module](super).
///
/// # Errors
/// [`Error::Mps`] names line, section and word of what cannot be understood; [`Error::Io`] if `input` cannot be
/// read; and the errors of [`ProblemBuilder::build`] for what can be understood but is no valid problem, such as
/// crossed bounds or a quadratic objective that is not convex.
pub fn read_mps(input: impl BufRead) -> Result<Problem, Error> {
    let mut reader = Reader::default();
    reader.read(input)?;
    reader.finish()
}

/// Sections in the order in which MPS wants them; we take any order in which names are known before they are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Start,
    Name,
    ObjSense,
    Rows,
    Columns,
    Rhs,
    Ranges,
    Bounds,
    QuadObj,
    QMatrix,
    End,
}

impl Section {
    /// Number of sections, for the flags of those seen.
    const COUNT: usize = 11;

    fn name(self) -> &'static str {
        match self {
            Self::Start => "(start)",
            Self::Name => "NAME",
            Self::ObjSense => "OBJSENSE",
            Self::Rows => "ROWS",
            Self::Columns => "COLUMNS",
            Self::Rhs => "RHS",
            Self::Ranges => "RANGES",
            Self::Bounds => "BOUNDS",
            Self::QuadObj => "QUADOBJ",
            Self::QMatrix => "QMATRIX",
            Self::End => "ENDATA",
        }
    }

    /// The section that a header opens.
    fn from_header(word: &str) -> Result<Self, MpsFault> {
        Ok(match word.to_ascii_uppercase().as_str() {
            "NAME" => Self::Name,
            "OBJSENSE" => Self::ObjSense,
            "ROWS" => Self::Rows,
            "COLUMNS" => Self::Columns,
            "RHS" => Self::Rhs,
            "RANGES" => Self::Ranges,
            "BOUNDS" => Self::Bounds,
            "QUADOBJ" | "QSECTION" => Self::QuadObj,
            "QMATRIX" => Self::QMatrix,
            "ENDATA" => Self::End,
            "SOS" | "SOS1" | "SOS2" | "SETS" | "CSECTION" | "QCMATRIX" | "INDICATORS"
            | "LAZYCONS" | "USERCUTS" | "OBJNAME" | "REFROW" | "MODEL" | "GENCONS" | "PWLOBJ"
            | "BRANCH" => return Err(MpsFault::UnsupportedSection),
            _ => return Err(MpsFault::UnknownSection),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowType {
    Equal,
    Less,
    Greater,
}

/// What a row's name stands for.
#[derive(Clone, Copy, Debug)]
enum RowRef {
    Objective,
    /// An `N` row after the first.
    Dropped,
    Constraint(usize),
}

#[derive(Debug)]
struct Row {
    name: String,
    kind: RowType,
    rhs: Option<f64>,
    range: Option<f64>,
    terms: Vec<(usize, f64)>,
}

#[derive(Debug)]
struct Column {
    name: String,
    integer: bool,
    /// `BV`, or an integer column for which nothing else is said.
    binary: bool,
    cost: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
}

#[derive(Debug, Default)]
struct Reader {
    line: usize,
    section: Section,
    seen: [bool; Section::COUNT],
    name: String,
    maximise: bool,
    in_integer_block: bool,
    row_names: HashMap<String, RowRef>,
    rows: Vec<Row>,
    has_objective: bool,
    column_names: HashMap<String, usize>,
    columns: Vec<Column>,
    objective_rhs: Option<f64>,
    /// The first set named in RHS, RANGES and BOUNDS.
    sets: [Option<String>; 3],
    /// Whether the skipping of another set has been logged.
    warned_sets: [bool; 3],
    /// Entries of Q as they stand in the file, with their lines.
    quadratic: HashMap<(usize, usize), (f64, usize)>,
}

impl Reader {
    fn read(&mut self, mut input: impl BufRead) -> Result<(), Error> {
        let mut bytes = Vec::new();
        while self.section != Section::End {
            bytes.clear();
            if input.read_until(b'\n', &mut bytes).map_err(Error::Io)? == 0 {
                break;
            }
            self.line += 1;
            let Ok(text) = std::str::from_utf8(&bytes) else {
                return Err(self.fault(&String::from_utf8_lossy(&bytes), MpsFault::NotText));
            };
            // Some editors open a file with a byte order mark.
            let text = if self.line == 1 {
                text.trim_start_matches('\u{feff}')
            } else {
                text
            };
            if text.starts_with('*') {
                continue;
            }
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [header, rest @ ..] if !text.starts_with([' ', '\t']) => {
                    self.header(header, rest)?;
                }
                words => self.data(words)?,
            }
        }
        if self.section != Section::End {
            return Err(self.fault("", MpsFault::Truncated));
        }
        for needed in [Section::Rows, Section::Columns] {
            if !self.seen[needed as usize] {
                return Err(self.fault("", MpsFault::MissingSection(needed.name())));
            }
        }
        Ok(())
    }

    /// The error for `token` on the current line.
    fn fault(&self, token: &str, fault: MpsFault) -> Error {
        fault_at(self.line, self.section, token, fault)
    }

    fn header(&mut self, header: &str, rest: &[&str]) -> Result<(), Error> {
        let section = Section::from_header(header).map_err(|fault| self.fault(header, fault))?;
        // QUADOBJ and QMATRIX are two ways to say the same.
        let mirrored = section == Section::QMatrix && self.seen[Section::QuadObj as usize]
            || section == Section::QuadObj && self.seen[Section::QMatrix as usize];
        if std::mem::replace(&mut self.seen[section as usize], true) || mirrored {
            return Err(self.fault(header, MpsFault::RepeatedSection));
        }
        self.section = section;
        match (section, rest) {
            // What follows the first word of NAME is a remark.
            (Section::Name, rest) => {
                rest.first()
                    .copied()
                    .unwrap_or_default()
                    .clone_into(&mut self.name);
            }
            (Section::ObjSense, [sense]) => self.sense(sense)?,
            // Maros and Mészáros repeat the problem's objective after QSECTION.
            (_, []) | (Section::QuadObj, [_]) => {}
            (_, [word, ..]) => return Err(self.fault(word, MpsFault::HeaderNotAlone)),
        }
        Ok(())
    }

    fn data(&mut self, words: &[&str]) -> Result<(), Error> {
        match self.section {
            Section::ObjSense => match words {
                [sense] => self.sense(sense),
                _ => Err(self.word_count(words, "1")),
            },
            Section::Rows => self.row(words),
            Section::Columns => self.column(words),
            Section::Rhs => self.row_values(words, false),
            Section::Ranges => self.row_values(words, true),
            Section::Bounds => self.bound(words),
            Section::QuadObj | Section::QMatrix => self.quadratic_entry(words),
            Section::Start | Section::Name | Section::End => {
                Err(self.fault(words[0], MpsFault::Misplaced))
            }
        }
    }

    fn word_count(&self, words: &[&str], expected: &'static str) -> Error {
        let fault = MpsFault::WordCount {
            found: words.len(),
            expected,
        };
        self.fault(words.last().copied().unwrap_or_default(), fault)
    }

    fn sense(&mut self, word: &str) -> Result<(), Error> {
        self.maximise = match word.to_ascii_uppercase().as_str() {
            "MAX" | "MAXIMIZE" | "MAXIMISE" => true,
            "MIN" | "MINIMIZE" | "MINIMISE" => false,
            _ => return Err(self.fault(word, MpsFault::UnknownSense)),
        };
        Ok(())
    }

    fn row(&mut self, words: &[&str]) -> Result<(), Error> {
        let &[kind, name] = words else {
            return Err(self.word_count(words, "2: type and name"));
        };
        let kind = match kind.to_ascii_uppercase().as_str() {
            "N" => None,
            "E" => Some(RowType::Equal),
            "L" => Some(RowType::Less),
            "G" => Some(RowType::Greater),
            _ => return Err(self.fault(kind, MpsFault::UnknownRowType)),
        };
        let reference = match kind {
            Some(_) => RowRef::Constraint(self.rows.len()),
            None if self.has_objective => RowRef::Dropped,
            None => RowRef::Objective,
        };
        if self.row_names.insert(name.to_owned(), reference).is_some() {
            return Err(self.fault(name, MpsFault::RepeatedRow));
        }
        match kind {
            Some(kind) => self.rows.push(Row {
                name: name.to_owned(),
                kind,
                rhs: None,
                range: None,
                terms: Vec::new(),
            }),
            None if self.has_objective => {
                tracing::warn!(
                    line = self.line,
                    row = name,
                    "a further objective row is dropped"
                );
            }
            None => self.has_objective = true,
        }
        Ok(())
    }

    fn column(&mut self, words: &[&str]) -> Result<(), Error> {
        if let [_, "'MARKER'", kind] = *words {
            let opens = match kind {
                "'INTORG'" => true,
                "'INTEND'" => false,
                _ => return Err(self.fault(kind, MpsFault::Marker)),
            };
            if opens == self.in_integer_block {
                return Err(self.fault(kind, MpsFault::Marker));
            }
            self.in_integer_block = opens;
            return Ok(());
        }
        if !matches!(words.len(), 3 | 5) {
            return Err(self.word_count(
                words,
                "3 or 5: column, then one or two pairs of row and value",
            ));
        }
        let name = words[0];
        if self.columns.last().is_none_or(|column| column.name != name) {
            if self
                .column_names
                .insert(name.to_owned(), self.columns.len())
                .is_some()
            {
                return Err(self.fault(name, MpsFault::ScatteredColumn));
            }
            self.columns.push(Column {
                name: name.to_owned(),
                integer: self.in_integer_block,
                binary: self.in_integer_block,
                cost: None,
                lower: None,
                upper: None,
            });
        }
        let index = self.columns.len() - 1;
        for pair in words[1..].chunks_exact(2) {
            let value = self.finite(pair[1])?;
            match self.row_reference(pair[0])? {
                RowRef::Dropped => {}
                RowRef::Objective => {
                    if self.columns[index].cost.replace(value).is_some() {
                        return Err(self.fault(pair[0], MpsFault::RepeatedEntry));
                    }
                }
                RowRef::Constraint(row) => {
                    // The lines of a column follow each other, so that a repetition is the last entry of its row.
                    if self.rows[row]
                        .terms
                        .last()
                        .is_some_and(|&(last, _)| last == index)
                    {
                        return Err(self.fault(pair[0], MpsFault::RepeatedEntry));
                    }
                    self.rows[row].terms.push((index, value));
                }
            }
        }
        Ok(())
    }

    fn row_reference(&self, name: &str) -> Result<RowRef, Error> {
        self.row_names
            .get(name)
            .copied()
            .ok_or_else(|| self.fault(name, MpsFault::UnknownRow))
    }

    fn column_index(&self, name: &str) -> Result<usize, Error> {
        self.column_names
            .get(name)
            .copied()
            .ok_or_else(|| self.fault(name, MpsFault::UnknownColumn))
    }

    /// A number that may be infinite but is not NaN.
    fn number(&self, word: &str) -> Result<f64, Error> {
        // Fortran writes the exponent of a double with a D.
        let value = match word.parse::<f64>() {
            Ok(value) => value,
            Err(_) => word
                .replace(['d', 'D'], "e")
                .parse::<f64>()
                .map_err(|_| self.fault(word, MpsFault::NotANumber))?,
        };
        if value.is_nan() {
            return Err(self.fault(word, MpsFault::NotFinite));
        }
        Ok(value)
    }

    fn finite(&self, word: &str) -> Result<f64, Error> {
        let value = self.number(word)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(self.fault(word, MpsFault::NotFinite))
        }
    }

    /// Whether a line of set `name` counts: the first set named in a section does, others do not.
    fn in_first_set(&mut self, slot: usize, name: Option<&str>) -> bool {
        let Some(name) = name else { return true };
        let first = self.sets[slot].get_or_insert_with(|| name.to_owned());
        let counts = first == name;
        if !counts && !std::mem::replace(&mut self.warned_sets[slot], true) {
            tracing::warn!(line = self.line, used = %first, skipped = name, section = self.section.name(), "only the first set is used");
        }
        counts
    }

    /// A line of RHS or RANGES: an optional set, then one or two pairs of row and value.
    fn row_values(&mut self, words: &[&str], ranges: bool) -> Result<(), Error> {
        let (set, pairs) = match words.len() {
            2 | 4 => (None, words),
            3 | 5 => (Some(words[0]), &words[1..]),
            _ => {
                return Err(self.word_count(
                    words,
                    "2 to 5: an optional set, then one or two pairs of row and value",
                ));
            }
        };
        let counts = self.in_first_set(usize::from(ranges), set);
        for pair in pairs.chunks_exact(2) {
            let value = self.finite(pair[1])?;
            let reference = self.row_reference(pair[0])?;
            if !counts {
                continue;
            }
            let slot = match reference {
                RowRef::Dropped => continue,
                RowRef::Objective if ranges => {
                    return Err(self.fault(pair[0], MpsFault::RangeOnObjective));
                }
                RowRef::Objective => &mut self.objective_rhs,
                RowRef::Constraint(row) if ranges => &mut self.rows[row].range,
                RowRef::Constraint(row) => &mut self.rows[row].rhs,
            };
            if slot.replace(value).is_some() {
                return Err(self.fault(pair[0], MpsFault::RepeatedEntry));
            }
        }
        Ok(())
    }

    fn bound(&mut self, words: &[&str]) -> Result<(), Error> {
        let kind = words[0].to_ascii_uppercase();
        let needs_value = match kind.as_str() {
            "UP" | "LO" | "FX" | "LI" | "UI" => true,
            "FR" | "MI" | "PL" | "BV" => false,
            "SC" | "SI" => return Err(self.fault(words[0], MpsFault::SemiContinuous)),
            _ => return Err(self.fault(words[0], MpsFault::UnknownBoundType)),
        };
        // The set's name may be missing. Types without a value may carry one, which says nothing.
        let (set, column, value) = match *words {
            [_, set, column, value] => (Some(set), column, Some(value)),
            [_, column, value] if needs_value => (None, column, Some(value)),
            [_, set, column] if self.column_names.contains_key(column) => (Some(set), column, None),
            [_, column, value] => (None, column, Some(value)),
            [_, column] if !needs_value => (None, column, None),
            _ if needs_value => {
                return Err(self.word_count(words, "3 or 4: type, an optional set, column, value"));
            }
            _ => return Err(self.word_count(words, "2 to 4: type, an optional set, column")),
        };
        let counts = self.in_first_set(2, set);
        let index = self.column_index(column)?;
        let value = match value {
            Some(word) => self.number(word)?,
            None => 0.0,
        };
        if !counts {
            return Ok(());
        }
        let infinite = |value: f64| {
            if value.abs() >= MPS_INFINITY {
                f64::INFINITY.copysign(value)
            } else {
                value
            }
        };
        let value = infinite(value);
        let (lower, upper) = match kind.as_str() {
            "LO" | "LI" => (Some(value), None),
            "UP" | "UI" => (None, Some(value)),
            "FX" => (Some(value), Some(value)),
            "FR" => (Some(f64::NEG_INFINITY), Some(f64::INFINITY)),
            "MI" => (Some(f64::NEG_INFINITY), None),
            "PL" => (None, Some(f64::INFINITY)),
            _ => (Some(0.0), Some(1.0)),
        };
        let entry = &mut self.columns[index];
        // An integer column is a binary by default only as long as nothing is said of its bounds.
        entry.binary = kind == "BV";
        entry.integer |= matches!(kind.as_str(), "BV" | "LI" | "UI");
        let repeated = differs(&mut entry.lower, lower) || differs(&mut entry.upper, upper);
        if repeated {
            return Err(self.fault(column, MpsFault::RepeatedEntry));
        }
        Ok(())
    }

    fn quadratic_entry(&mut self, words: &[&str]) -> Result<(), Error> {
        let &[first, second, value] = words else {
            return Err(self.word_count(words, "3: column, column, value"));
        };
        let (first_index, second_index) = (self.column_index(first)?, self.column_index(second)?);
        let value = self.finite(value)?;
        // One triangle: which of the two does not matter, but an entry in both would count twice.
        let key = match self.section {
            Section::QuadObj => (first_index.min(second_index), first_index.max(second_index)),
            _ => (first_index, second_index),
        };
        if self.quadratic.insert(key, (value, self.line)).is_some() {
            return Err(self.fault(second, MpsFault::RepeatedEntry));
        }
        Ok(())
    }

    fn finish(self) -> Result<Problem, Error> {
        if !self.has_objective {
            tracing::warn!("the MPS file has no objective row: any feasible point is optimal");
        }
        let mut builder = ProblemBuilder::new(&self.name);
        let mut variables = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let cost = column.cost.unwrap_or(0.0);
            let (lower, upper) = column.bounds();
            variables.push(if column.binary {
                builder.binary(column.name.as_str(), cost)
            } else if column.integer {
                builder.integer(column.name.as_str(), lower, upper, cost)
            } else {
                builder.variable(column.name.as_str(), lower, upper, cost)
            });
        }
        for row in &self.rows {
            let (lower, upper) = row.sides();
            let terms = row
                .terms
                .iter()
                .map(|&(column, value)| (variables[column], value));
            builder.row(row.name.as_str(), lower, terms, upper);
        }
        builder.objective_offset(-self.objective_rhs.unwrap_or(0.0));
        let both_triangles = self.seen[Section::QMatrix as usize];
        let mut entries: Vec<_> = self.quadratic.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| **key);
        for (&(first, second), &(value, line)) in entries {
            if first == second {
                builder.quadratic(variables[first], variables[first], 0.5 * value);
                continue;
            }
            if both_triangles {
                // Exactly equal: both halves are meant to be the same number.
                if self
                    .quadratic
                    .get(&(second, first))
                    .is_none_or(|&(mirrored, _)| mirrored != value)
                {
                    return Err(fault_at(
                        line,
                        Section::QMatrix,
                        &self.columns[second].name,
                        MpsFault::Asymmetric,
                    ));
                }
                if first > second {
                    continue;
                }
            }
            builder.quadratic(variables[first], variables[second], value);
        }
        if self.maximise {
            builder.maximise();
        }
        builder.build()
    }
}

impl Column {
    fn bounds(&self) -> (f64, f64) {
        let upper = self.upper.unwrap_or(f64::INFINITY);
        let lower = self.lower.unwrap_or_else(|| {
            if upper < 0.0 {
                tracing::warn!(column = %self.name, upper, "a negative upper bound without a lower bound: the lower bound is taken as minus infinity");
                f64::NEG_INFINITY
            } else {
                0.0
            }
        });
        (lower, upper)
    }
}

impl Row {
    fn sides(&self) -> (f64, f64) {
        let rhs = self.rhs.unwrap_or(0.0);
        let (lower, upper) = match (self.kind, self.range) {
            (RowType::Equal, None) => (rhs, rhs),
            (RowType::Equal, Some(range)) => (rhs + range.min(0.0), rhs + range.max(0.0)),
            (RowType::Less, None) => (f64::NEG_INFINITY, rhs),
            (RowType::Less, Some(range)) => (rhs - range.abs(), rhs),
            (RowType::Greater, None) => (rhs, f64::INFINITY),
            (RowType::Greater, Some(range)) => (rhs, rhs + range.abs()),
        };
        // A side that lets everything pass is none. The opposite, which nothing can meet, is left to the builder.
        let lower = if lower <= -MPS_INFINITY {
            f64::NEG_INFINITY
        } else {
            lower
        };
        let upper = if upper >= MPS_INFINITY {
            f64::INFINITY
        } else {
            upper
        };
        (lower, upper)
    }
}

/// Puts `new` into `slot` unless another value is there; says whether there was one.
fn differs(slot: &mut Option<f64>, new: Option<f64>) -> bool {
    match (*slot, new) {
        (_, None) => false,
        (Some(old), Some(new)) => old != new,
        (None, new) => {
            *slot = new;
            false
        }
    }
}

fn fault_at(line: usize, section: Section, token: &str, fault: MpsFault) -> Error {
    // A broken file may hold a word of megabytes, or control characters.
    let mut shown = String::new();
    for character in token.trim_end().chars().take(40) {
        if character.is_control() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if token.trim_end().chars().count() > 40 {
        shown.push('…');
    }
    Error::Mps {
        line,
        section: section.name(),
        token: shown,
        fault,
    }
}
