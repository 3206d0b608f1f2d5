//! Values of expressions: matrices, texts and lists of texts.

use crate::Error;

/// The most numbers that one matrix may hold.
const MOST_NUMBERS: usize = 20_000_000;

/// A matrix by rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) data: Vec<f64>,
    /// The line on which every row is written; empty when it was computed.
    pub(super) lines: Vec<usize>,
}

/// What an expression is worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Matrix(Matrix),
    Text(String),
    /// A cell array; only fields that do not matter hold one.
    Cell,
}

/// Which rows or columns.
#[derive(Clone, Debug)]
pub(super) enum Index {
    All,
    These(Vec<usize>),
}

fn fault(line: usize, what: impl Into<String>) -> Error {
    Error::Value {
        line,
        what: what.into(),
    }
}

impl Matrix {
    pub(super) fn scalar(value: f64) -> Self {
        Self {
            rows: 1,
            columns: 1,
            data: vec![value],
            lines: Vec::new(),
        }
    }

    pub(super) fn as_scalar(&self) -> Option<f64> {
        match self.data[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.columns + column]
    }

    /// `self` beside `other`.
    pub(super) fn beside(self, other: Self, line: usize) -> Result<Self, Error> {
        if self.data.is_empty() {
            return Ok(other);
        }
        if other.data.is_empty() {
            return Ok(self);
        }
        if self.rows != other.rows {
            return Err(fault(
                line,
                format!(
                    "parts of {} and {} rows cannot stand side by side",
                    self.rows, other.rows
                ),
            ));
        }
        let columns = self.columns + other.columns;
        check_size(self.rows, columns, line)?;
        let mut data = Vec::with_capacity(self.rows * columns);
        for row in 0..self.rows {
            data.extend_from_slice(&self.data[row * self.columns..(row + 1) * self.columns]);
            data.extend_from_slice(&other.data[row * other.columns..(row + 1) * other.columns]);
        }
        Ok(Self {
            rows: self.rows,
            columns,
            data,
            lines: self.lines,
        })
    }

    /// Adds rows below, all written on `line`.
    pub(super) fn stack(&mut self, below: Self, line: usize) -> Result<(), Error> {
        if below.data.is_empty() {
            return Ok(());
        }
        if self.data.is_empty() {
            self.columns = below.columns;
        }
        if self.columns != below.columns {
            return Err(fault(
                line,
                format!(
                    "row {} of a matrix has {} numbers, the rows before it have {}",
                    self.rows + 1,
                    below.columns,
                    self.columns
                ),
            ));
        }
        check_size(self.rows + below.rows, self.columns, line)?;
        self.rows += below.rows;
        self.data.extend(below.data);
        self.lines.resize(self.rows, line);
        Ok(())
    }

    pub(super) fn map(mut self, function: impl Fn(f64) -> f64) -> Self {
        for value in &mut self.data {
            *value = function(*value);
        }
        self
    }

    pub(super) fn transposed(&self) -> Self {
        let data = (0..self.columns)
            .flat_map(|column| (0..self.rows).map(move |row| self.at(row, column)))
            .collect();
        Self {
            rows: self.columns,
            columns: self.rows,
            data,
            lines: Vec::new(),
        }
    }

    /// Entry by entry; a scalar stands for a constant matrix.
    pub(super) fn combine(
        self,
        other: Self,
        line: usize,
        function: impl Fn(f64, f64) -> f64,
    ) -> Result<Self, Error> {
        if let Some(value) = other.as_scalar() {
            return Ok(self.map(|entry| function(entry, value)));
        }
        if let Some(value) = self.as_scalar() {
            return Ok(other.map(|entry| function(value, entry)));
        }
        if (self.rows, self.columns) != (other.rows, other.columns) {
            return Err(fault(
                line,
                format!(
                    "shapes {} × {} and {} × {} do not fit",
                    self.rows, self.columns, other.rows, other.columns
                ),
            ));
        }
        let data = self
            .data
            .iter()
            .zip(&other.data)
            .map(|(a, b)| function(*a, *b))
            .collect();
        Ok(Self { data, ..self })
    }

    /// The entries that `rows` and `columns` pick.
    pub(super) fn pick(&self, rows: &Index, columns: &Index, line: usize) -> Result<Self, Error> {
        let (rows, columns) = (
            positions(rows, self.rows, "rows", line)?,
            positions(columns, self.columns, "columns", line)?,
        );
        check_size(rows.len(), columns.len(), line)?;
        let data = rows
            .iter()
            .flat_map(|&row| columns.iter().map(move |&column| self.at(row, column)))
            .collect();
        let lines = rows
            .iter()
            .filter_map(|&row| self.lines.get(row).copied())
            .collect();
        Ok(Self {
            rows: rows.len(),
            columns: columns.len(),
            data,
            lines,
        })
    }

    /// Replaces the entries that `rows` and `columns` pick.
    pub(super) fn put(
        &mut self,
        rows: &Index,
        columns: &Index,
        value: &Self,
        line: usize,
    ) -> Result<(), Error> {
        let (rows, columns) = (
            positions(rows, self.rows, "rows", line)?,
            positions(columns, self.columns, "columns", line)?,
        );
        let constant = value.as_scalar();
        if constant.is_none() && (value.rows, value.columns) != (rows.len(), columns.len()) {
            return Err(fault(
                line,
                format!(
                    "{} × {} numbers are assigned to {} × {} entries",
                    value.rows,
                    value.columns,
                    rows.len(),
                    columns.len()
                ),
            ));
        }
        for (i, &row) in rows.iter().enumerate() {
            for (j, &column) in columns.iter().enumerate() {
                self.data[row * self.columns + column] = constant.unwrap_or_else(|| value.at(i, j));
            }
        }
        Ok(())
    }
}

fn check_size(rows: usize, columns: usize, line: usize) -> Result<(), Error> {
    if rows.saturating_mul(columns) > MOST_NUMBERS {
        return Err(fault(
            line,
            format!("a matrix of {rows} × {columns} is more than a case needs"),
        ));
    }
    Ok(())
}

fn positions(index: &Index, count: usize, what: &str, line: usize) -> Result<Vec<usize>, Error> {
    match index {
        Index::All => Ok((0..count).collect()),
        Index::These(list) => {
            if let Some(beyond) = list.iter().find(|&&position| position >= count) {
                return Err(fault(
                    line,
                    format!(
                        "position {} is asked for, there are {count} {what}",
                        beyond + 1
                    ),
                ));
            }
            Ok(list.clone())
        }
    }
}

/// The numbers of a value.
pub(super) fn numbers(value: Value, line: usize) -> Result<Matrix, Error> {
    match value {
        Value::Matrix(matrix) => Ok(matrix),
        Value::Text(_) | Value::Cell => Err(Error::Value {
            line,
            what: "a text stands where a number is needed".to_owned(),
        }),
    }
}

/// An index counted from 1 as a position counted from 0.
pub(super) fn whole(value: f64, line: usize) -> Result<usize, Error> {
    if value >= 1.0 && value.fract() == 0.0 && value < 1e15 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let position = value as usize - 1;
        Ok(position)
    } else {
        Err(Error::Value {
            line,
            what: format!("{value} is not a position; positions are 1, 2, 3, ..."),
        })
    }
}
