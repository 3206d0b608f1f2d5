//! A small compressed sparse matrix, without arithmetic beyond what the crate needs.

/// A sparse matrix stored line by line, where a line is a row or a column.
///
/// Line `i` holds the entries `starts[i]..starts[i + 1]` of `indices` and `values`; within a line the
/// indices increase strictly and no value is zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompressedMatrix {
    width: usize,
    starts: Vec<usize>,
    indices: Vec<usize>,
    values: Vec<f64>,
}

impl CompressedMatrix {
    /// An empty matrix with `width` positions per line and no lines.
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            starts: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Appends a line. Entries are sorted, duplicates are summed, zeros are dropped.
    pub(crate) fn push_line(&mut self, entries: &mut [(usize, f64)]) {
        entries.sort_by_key(|entry| entry.0);
        let mut cursor = 0;
        while cursor < entries.len() {
            let index = entries[cursor].0;
            let mut sum = 0.0;
            while cursor < entries.len() && entries[cursor].0 == index {
                sum += entries[cursor].1;
                cursor += 1;
            }
            if sum != 0.0 {
                self.indices.push(index);
                self.values.push(sum);
            }
        }
        self.starts.push(self.indices.len());
    }

    /// Appends an empty line and a position, so that a square matrix stays square.
    #[cfg(feature = "highs")]
    pub(crate) fn push_square(&mut self) {
        self.width += 1;
        self.push_line(&mut []);
    }

    /// The sum of a square matrix and `value` times the identity.
    #[cfg(feature = "highs")]
    pub(crate) fn with_diagonal(&self, value: f64) -> Self {
        let mut sum = Self::new(self.width);
        for line in 0..self.lines() {
            let mut entries: Vec<_> = self.line(line).chain([(line, value)]).collect();
            sum.push_line(&mut entries);
        }
        sum
    }

    /// The same matrix with rows and columns exchanged as lines.
    pub(crate) fn transposed(&self) -> Self {
        let mut starts = vec![0; self.width + 1];
        for &index in &self.indices {
            starts[index + 1] += 1;
        }
        for line in 0..self.width {
            starts[line + 1] += starts[line];
        }
        let mut next = starts.clone();
        let mut indices = vec![0; self.indices.len()];
        let mut values = vec![0.0; self.indices.len()];
        for line in 0..self.lines() {
            for (index, value) in self.line(line) {
                indices[next[index]] = line;
                values[next[index]] = value;
                next[index] += 1;
            }
        }
        Self {
            width: self.lines(),
            starts,
            indices,
            values,
        }
    }

    /// Number of lines.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of positions in a line.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of stored entries.
    #[must_use]
    pub fn nonzeros(&self) -> usize {
        self.values.len()
    }

    /// Where each line starts, one entry more than there are lines.
    #[must_use]
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Positions of the entries, line by line.
    #[must_use]
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Values of the entries, line by line.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The entries of one line as (position, value); nothing for a line beyond the end.
    #[must_use]
    pub fn line(&self, line: usize) -> impl ExactSizeIterator<Item = (usize, f64)> + Clone + '_ {
        let range = match (self.starts.get(line), self.starts.get(line + 1)) {
            (Some(&start), Some(&end)) => start..end,
            _ => 0..0,
        };
        self.indices[range.clone()]
            .iter()
            .copied()
            .zip(self.values[range].iter().copied())
    }

    /// Multiplies every value with a power of two.
    #[cfg(any(
        feature = "clarabel",
        feature = "highs",
        feature = "microlp",
        feature = "minilp"
    ))]
    pub(crate) fn scale(&mut self, factor: f64) {
        for value in &mut self.values {
            *value *= factor;
        }
    }

    /// The product with a vector along each line: entry `i` is `Σ value · x[position]` over line `i`.
    /// `x` has [`width`](Self::width) entries; the caller has checked it.
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.lines())
            .map(|line| self.line(line).map(|(index, value)| value * x[index]).sum())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_summed_and_zeros_dropped() {
        let mut matrix = CompressedMatrix::new(4);
        matrix.push_line(&mut [(3, 1.0), (0, 2.0), (3, 4.0), (1, 1.0), (1, -1.0)]);
        matrix.push_line(&mut []);
        assert_eq!(matrix.line(0).collect::<Vec<_>>(), [(0, 2.0), (3, 5.0)]);
        assert_eq!(matrix.line(1).len(), 0);
        assert_eq!(matrix.line(9).len(), 0);
        assert_eq!(matrix.times(&[1.0, 1.0, 1.0, 2.0]), [12.0, 0.0]);
    }

    #[test]
    fn transposing_twice_gives_the_matrix_back() {
        let mut matrix = CompressedMatrix::new(3);
        matrix.push_line(&mut [(2, 1.0), (0, 2.0)]);
        matrix.push_line(&mut [(1, -3.0)]);
        let transposed = matrix.transposed();
        assert_eq!(transposed.lines(), 3);
        assert_eq!(transposed.line(1).collect::<Vec<_>>(), [(1, -3.0)]);
        assert_eq!(transposed.transposed(), matrix);
    }
}
