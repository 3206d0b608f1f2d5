//! Numbers first: tables for people, CSV and JSON for programs, files that are whole or not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use evflex::fleet::output::write_atomically;
use evflex::fleet::{Fleet, Schedule, TimeGrid};
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

/// What a run has to say: files, the summary as JSON, and a table for people.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files for the output folder.
    pub files: Vec<OutputFile>,
    /// The summary, as it is in `summary.json`.
    pub json: String,
    /// The table.
    pub table: String,
}

impl Report {
    /// Writes all files, and the summary to `output` if that is a file. Nothing is written before
    /// everything has been computed, and every file appears whole.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn write(&self, out_dir: &Path, output: Option<&Path>) -> Result<(), Error> {
        std::fs::create_dir_all(out_dir).map_err(|reason| Error::Output {
            path: out_dir.to_owned(),
            reason: reason.to_string(),
        })?;
        // First the file whose name may be wrong.
        if let Some(path) = output.filter(|path| *path != Path::new("-")) {
            write(path.to_owned(), self.json.as_bytes())?;
        }
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
    let mut text = serde_json::to_string_pretty(summary).map_err(|error| Error::Output {
        path: "summary.json".into(),
        reason: error.to_string(),
    })?;
    text.push('\n');
    Ok(text)
}

/// `schedule.csv`: `vehicle,step,start,power_kw,energy_kwh`.
pub(crate) fn schedule_csv(fleet: &Fleet, schedule: &Schedule) -> Result<OutputFile, Error> {
    let mut content = Vec::new();
    evflex::fleet::output::write_schedule_csv(&mut content, schedule, fleet)
        .map_err(Error::computing("schedule.csv"))?;
    Ok(OutputFile {
        name: "schedule.csv",
        content,
    })
}

/// What `aggregate.csv` holds, one entry per step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggregate<'a> {
    pub grid: &'a TimeGrid,
    pub load_kw: &'a [f64],
    pub power_kw: &'a [f64],
    pub power_min_kw: &'a [f64],
    pub power_max_kw: &'a [f64],
    pub price_eur_per_mwh: Option<&'a [f64]>,
}

/// `aggregate.csv`: `step,start,load_kw,power_kw,power_min_kw,power_max_kw,price_eur_per_mwh`.
pub(crate) fn aggregate_csv(aggregate: &Aggregate<'_>) -> OutputFile {
    let mut text =
        String::from("step,start,load_kw,power_kw,power_min_kw,power_max_kw,price_eur_per_mwh\n");
    for step in 0..aggregate.grid.steps() {
        let start = aggregate
            .grid
            .start_of(step)
            .map_or_else(String::new, |time| {
                time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
            });
        let price = aggregate
            .price_eur_per_mwh
            .map_or_else(String::new, |price| plain(price[step]));
        let _ = writeln!(
            text,
            "{step},{start},{},{},{},{},{price}",
            plain(aggregate.load_kw[step]),
            plain(aggregate.power_kw[step]),
            plain(aggregate.power_min_kw[step]),
            plain(aggregate.power_max_kw[step]),
        );
    }
    OutputFile {
        name: "aggregate.csv",
        content: text.into_bytes(),
    }
}

/// A number as short as it can be read back; -0 is 0.
pub(crate) fn plain(value: f64) -> String {
    (value + 0.0).to_string()
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

/// A cost for people: six significant digits are enough.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 1000.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.2}")
    } else if size >= 0.01 {
        format!("{value:.4}")
    } else {
        format!("{value:.1e}")
    }
}

/// Reduction of a cost, percent of the size of what it was before.
pub(crate) fn reduction_percent(before: f64, after: f64) -> f64 {
    100.0 * (before - after) / before.abs().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use evflex::fleet::Hours;

    #[test]
    fn aggregate_rows_have_their_columns() {
        let grid = TimeGrid::new(2, Hours(1.0)).unwrap();
        let mut aggregate = Aggregate {
            grid: &grid,
            load_kw: &[1.5, 2.0],
            power_kw: &[-0.0, 0.1],
            power_min_kw: &[-3.0, 0.0],
            power_max_kw: &[3.0, 4.0],
            price_eur_per_mwh: None,
        };
        let text = |aggregate: &Aggregate<'_>| {
            String::from_utf8(aggregate_csv(aggregate).content).unwrap()
        };
        assert_eq!(
            text(&aggregate),
            "step,start,load_kw,power_kw,power_min_kw,power_max_kw,price_eur_per_mwh\n\
             0,,1.5,0,-3,3,\n1,,2,0.1,0,4,\n"
        );
        let with_start = grid
            .clone()
            .starting_at("2024-05-06T15:00[Europe/Berlin]".parse().unwrap());
        aggregate.grid = &with_start;
        aggregate.price_eur_per_mwh = Some(&[80.0, -1.0]);
        assert!(text(&aggregate).ends_with("1,2024-05-06T16:00:00+02:00,2,0.1,0,4,-1\n"));
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [["a", "10"], ["bcd", "7"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "a    10\nbcd   7\n");
        assert_eq!(figure(12.345), "12.35");
        assert_eq!(figure(-98_765.4), "-98765");
        assert_eq!(reduction_percent(-10.0, -15.0), 50.0);
    }
}
