//! Numbers first: tables for people, CSV and JSON for programs, files that are whole or not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use evflex::fleet::output::write_atomically;
use serde::Serialize;

use crate::error::Error;

/// A file that a run writes, complete in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputFile {
    /// Name within the output folder.
    pub name: &'static str,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl OutputFile {
    pub(crate) fn new(name: &'static str, text: String) -> Self {
        Self {
            name,
            content: text.into_bytes(),
        }
    }
}

/// What a run has to say: files, the summary as JSON, and a table for people.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files for the output folder.
    pub files: Vec<OutputFile>,
    /// The summary.
    pub json: String,
    /// The table.
    pub table: String,
}

impl Report {
    /// Writes all files, and the summary to `output` if that is a file. Nothing is written before everything has been
    /// computed, and every file appears whole.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn write(&self, out_dir: &Path, output: Option<&Path>) -> Result<(), Error> {
        if let Some(path) = output.filter(|path| *path != Path::new("-")) {
            write(path.to_owned(), self.json.as_bytes())?;
        }
        if self.files.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(out_dir).map_err(|reason| Error::Output {
            path: out_dir.to_owned(),
            reason: reason.to_string(),
        })?;
        for file in &self.files {
            write(out_dir.join(file.name), &file.content)?;
        }
        Ok(())
    }
}

fn write(path: PathBuf, content: &[u8]) -> Result<(), Error> {
    write_atomically(&path, |file| file.write_all(content)).map_err(|error| Error::Output {
        path,
        reason: error.to_string(),
    })
}

/// JSON text with a line end.
pub(crate) fn json(summary: &impl Serialize) -> Result<String, Error> {
    let mut text = serde_json::to_string(summary).map_err(|error| Error::Output {
        path: "summary.json".into(),
        reason: error.to_string(),
    })?;
    text.push('\n');
    Ok(text)
}

/// Rows of cells as text, the first column to the left and the others to the right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 {
                write!(line, "{cell:<width$}")
            } else {
                write!(line, "  {cell:>width$}")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number as short as it can be read back; -0 is 0, nothing is empty.
pub(crate) fn plain(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| (value + 0.0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [["a", "10"], ["bcd", "7"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "a    10\nbcd   7\n");
        assert_eq!(plain(Some(-0.0)), "0");
        assert_eq!(plain(None), "");
    }
}
