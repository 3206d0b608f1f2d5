//! What is handed to HiGHS, checked before any pointer is made of it, and what it can fail at.

use highs_sys::HighsInt;

/// What HiGHS itself can fail at; boxed as the source of [`Error::Backend`](crate::Error::Backend).
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// A function of the C interface returned its error status.
    #[error("{0} returned an error")]
    Call(&'static str),
    /// The engine counts in 32 bits.
    #[error("{0} entries are more than the engine can count")]
    TooLarge(usize),
    /// An array does not fit the model.
    #[error("{what}: {found} entries for {expected}")]
    Shape {
        what: &'static str,
        expected: usize,
        found: usize,
    },
    /// The run ended with a status that says neither yes nor no.
    #[error("the run ended with status {0}")]
    Status(&'static str),
}

/// A model in the engine's form: minimise `offset + costs·x + ½ xᵀQx`, columns compressed.
#[derive(Debug, Default)]
pub(super) struct ModelData<'a> {
    pub offset: f64,
    pub costs: &'a [f64],
    pub lower: &'a [f64],
    pub upper: &'a [f64],
    pub row_lower: &'a [f64],
    pub row_upper: &'a [f64],
    /// The matrix by columns.
    pub matrix: Lines<'a>,
    /// The lower triangle of Q by columns; no lines for a linear model.
    pub hessian: Lines<'a>,
    /// Which columns are integer; empty for none.
    pub integer: &'a [bool],
}

/// A compressed matrix by lines: line `i` has the entries `starts[i]..starts[i + 1]`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines<'a> {
    pub starts: &'a [usize],
    pub indices: &'a [usize],
    pub values: &'a [f64],
}

impl Lines<'_> {
    pub(super) fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The engine's form, once it is known that every entry lies inside `lines` × `width`.
    pub(super) fn checked(
        &self,
        what: &'static str,
        lines: usize,
        width: usize,
    ) -> Result<IntLines, EngineError> {
        same(what, lines, self.count())?;
        same(what, self.values.len(), self.indices.len())?;
        same(
            what,
            self.values.len(),
            self.starts.last().copied().unwrap_or(0),
        )?;
        if let Some(pair) = self.starts.windows(2).find(|pair| pair[0] > pair[1]) {
            return Err(EngineError::Shape {
                what,
                expected: pair[0],
                found: pair[1],
            });
        }
        if let Some(&outside) = self.indices.iter().find(|&&index| index >= width) {
            return Err(EngineError::Shape {
                what,
                expected: width,
                found: outside,
            });
        }
        Ok(IntLines {
            starts: self
                .starts
                .iter()
                .map(|&start| int(start))
                .collect::<Result<_, _>>()?,
            indices: self
                .indices
                .iter()
                .map(|&index| int(index))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A compressed matrix as the engine counts.
pub(super) struct IntLines {
    pub starts: Vec<HighsInt>,
    pub indices: Vec<HighsInt>,
}

pub(super) fn int(count: usize) -> Result<HighsInt, EngineError> {
    HighsInt::try_from(count).map_err(|_| EngineError::TooLarge(count))
}

pub(super) fn same(what: &'static str, expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found {
        Ok(())
    } else {
        Err(EngineError::Shape {
            what,
            expected,
            found,
        })
    }
}
