//! CSV with a header, checked once for all CSV readers.

use super::without_bom;
use crate::error::{Error, finite};
use csv::StringRecord;

/// A CSV file with a header row.
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// One row, with the line at which it starts (the header is line 1).
pub(super) struct Row {
    pub(super) line: u64,
    /// What is wrong with the row as a whole, or its fields.
    pub(super) fields: Result<StringRecord, Error>,
}

impl Table {
    /// Parses CSV: commas, optional quotes, either line ending, an optional byte order mark.
    /// White space around fields is dropped. Rows with the wrong number of fields or broken text
    /// carry their error, so that a reader may list them.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = without_bom(text);
        if text.trim_ascii().is_empty() {
            return Err(Error::EmptyFile);
        }
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .trim(csv::Trim::All)
            .from_reader(text);
        let mut columns: Vec<String> = Vec::new();
        let mut rows = Vec::new();
        let mut record = csv::ByteRecord::new();
        let mut lines = LineCounter {
            text,
            position: 0,
            line: 1,
        };
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    return Err(Error::Csv {
                        reason: error.to_string(),
                    });
                }
            }
            let line = lines.line_at(record.position().map_or(0, csv::Position::byte));
            let fields = StringRecord::from_byte_record(record.clone()).map_err(|_| Error::Csv {
                reason: "the text is not UTF-8".to_owned(),
            });
            if columns.is_empty() {
                columns = fields
                    .map_err(|error| error.at("the header"))?
                    .iter()
                    .map(str::to_owned)
                    .collect();
                continue;
            }
            let fields = fields.and_then(|fields| {
                let (expected, found) = (columns.len(), fields.len());
                if expected == found {
                    Ok(fields)
                } else {
                    Err(Error::Ragged { expected, found })
                }
            });
            rows.push(Row { line, fields });
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                return Err(Error::DuplicateColumn {
                    column: column.clone(),
                });
            }
        }
        if rows.is_empty() {
            return Err(Error::NoRows);
        }
        Ok(Self { columns, rows })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Position of a column.
    pub(super) fn column(&self, name: &str) -> Result<usize, Error> {
        self.columns
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| self.missing(name))
    }

    /// The error that says which columns there are.
    pub(super) fn missing(&self, wanted: &str) -> Error {
        Error::MissingColumn {
            column: wanted.to_owned(),
            found: self.columns.join(", "),
        }
    }
}

/// Finds the line of a record. The parser's own count is that of the end of the record before,
/// which is off after blank lines and after `\r\n`.
struct LineCounter<'a> {
    text: &'a [u8],
    position: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line of the first text at or after `byte`; bytes must not decrease from call to call.
    fn line_at(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte)
            .unwrap_or(usize::MAX)
            .clamp(self.position, self.text.len());
        let blank = self.text[from..]
            .iter()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        let passed = &self.text[self.position..from + blank];
        self.line += passed.iter().map(|&b| u64::from(b == b'\n')).sum::<u64>();
        self.position = from + blank;
        self.line
    }
}

impl Row {
    /// The fields, or what is wrong with the row, with its line.
    pub(super) fn fields(&self) -> Result<&StringRecord, Error> {
        match &self.fields {
            Ok(fields) => Ok(fields),
            Err(Error::Ragged { expected, found }) => Err(Error::Ragged {
                expected: *expected,
                found: *found,
            }
            .at(self.place())),
            Err(_) => Err(Error::Csv {
                reason: "the text is not UTF-8".to_owned(),
            }
            .at(self.place())),
        }
    }

    /// `line 17`.
    pub(super) fn place(&self) -> String {
        format!("line {}", self.line)
    }
}

/// A cell that must not be empty.
pub(super) fn text<'a>(
    fields: &'a StringRecord,
    column: usize,
    name: &str,
) -> Result<&'a str, Error> {
    match fields.get(column) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(Error::EmptyCell {
            column: name.to_owned(),
        }),
    }
}

/// A finite number in a cell.
pub(super) fn number(fields: &StringRecord, column: usize, name: &str) -> Result<f64, Error> {
    let text = text(fields, column, name)?;
    let value = text.parse().map_err(|_| Error::NotANumber {
        column: name.to_owned(),
        text: text.to_owned(),
    })?;
    finite(|| name.to_owned(), value)
}

/// A finite number in a cell, or nothing in an empty one.
pub(super) fn optional_number(
    fields: &StringRecord,
    column: usize,
    name: &str,
) -> Result<Option<f64>, Error> {
    match fields.get(column) {
        None | Some("") => Ok(None),
        Some(_) => number(fields, column, name).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Table {
        Table::parse(text.as_bytes()).expect("a table")
    }

    #[test]
    fn quotes_line_endings_marks_and_spaces() {
        for text in [
            "\u{feff}a,b\r\n1,\"x, y\"\r\n",
            "a,b\n1,\"x, y\"",
            " a , b \n 1 ,\"x, y\" \n\n",
        ] {
            let table = parse(text);
            assert_eq!(table.columns(), ["a", "b"]);
            let fields = table.rows()[0].fields().expect("fields");
            assert_eq!(fields.iter().collect::<Vec<_>>(), ["1", "x, y"]);
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let table = parse("a,b\n1,\"two\nlines\"\n\n3,4\r\n5\n");
        let lines: Vec<u64> = table.rows().iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 5, 6]);
        insta::assert_snapshot!(
            table.rows()[2].fields().expect_err("ragged"),
            @"line 6: the row has 1 fields, the header 2"
        );
    }

    #[test]
    fn broken_tables() {
        let text = |bytes: &[u8]| {
            Table::parse(bytes)
                .map(|_| ())
                .expect_err("refused")
                .to_string()
        };
        insta::assert_snapshot!(text(b""), @"the file is empty");
        insta::assert_snapshot!(text(b"\xef\xbb\xbf\r\n"), @"the file is empty");
        insta::assert_snapshot!(text(b"a,b\n"), @"the file has a header but no rows");
        insta::assert_snapshot!(text(b"a,b,a\n1,2,3\n"), @"the column `a` occurs twice");
        insta::assert_snapshot!(text(b"a,\xff\n1,2\n"), @"the header: not readable as CSV: the text is not UTF-8");
        insta::assert_snapshot!(
            parse("a;b\n1;2\n").column("b").expect_err("refused"),
            @"the column `b` is missing; found: a;b"
        );
        let table = Table::parse(b"a,b\n1,2\n1,\xff\n").expect("a table");
        insta::assert_snapshot!(
            table.rows()[1].fields().expect_err("refused"),
            @"line 3: not readable as CSV: the text is not UTF-8"
        );
    }

    #[test]
    fn cells() {
        let fields = StringRecord::from(vec!["1.5", "", "1,5", "NaN", "1e999", "-2e3"]);
        assert_eq!(number(&fields, 0, "x").expect("a number"), 1.5);
        assert_eq!(number(&fields, 5, "x").expect("a number"), -2000.0);
        assert_eq!(optional_number(&fields, 1, "x").expect("none"), None);
        let text = |column| {
            number(&fields, column, "x")
                .expect_err("refused")
                .to_string()
        };
        insta::assert_snapshot!(text(1), @"x is empty");
        insta::assert_snapshot!(text(2), @"x must be a number with a decimal point, found `1,5`");
        insta::assert_snapshot!(text(3), @"x must be a finite number, found NaN");
        insta::assert_snapshot!(text(4), @"x must be a finite number, found inf");
    }
}
