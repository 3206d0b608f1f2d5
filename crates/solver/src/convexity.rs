//! Whether a quadratic objective is convex.
//!
//! With `D` the diagonal of `Q`, the matrix `D^{-1/2} Q D^{-1/2} + τ I` has a Cholesky factorisation in
//! floating point when the smallest eigenvalue of the scaled `Q` is at least 0, and has none when it is clearly
//! below `−τ`. No pivoting is needed for this, so the elimination order is free to keep the factor sparse.

use crate::{Error, Problem};

/// How negative an eigenvalue of `Q`, scaled to unit diagonal, may be and count as rounding.
pub const CONVEXITY_TOLERANCE: f64 = 1e-9;

/// Refuses a problem whose minimised quadratic form has negative curvature.
pub(crate) fn check(problem: &Problem) -> Result<(), Error> {
    if !problem.has_quadratic() {
        return Ok(());
    }
    let fail = |index: usize, curvature: f64| {
        Err(Error::NonConvex {
            variable: problem.describe_variable(index),
            curvature,
            tolerance: CONVEXITY_TOLERANCE,
        })
    };
    let count = problem.variable_count();
    let mut diagonal = vec![0.0; count];
    let mut neighbours: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
    for column in 0..count {
        for (row, value) in problem.quadratic.line(column) {
            if row == column {
                diagonal[row] = value;
            } else {
                neighbours[row].push((column, value));
                neighbours[column].push((row, value));
            }
        }
    }
    for index in 0..count {
        if diagonal[index] < 0.0 {
            return fail(index, -1.0);
        }
        // A zero diagonal with a coupling is an indefinite 2 × 2 block.
        if diagonal[index] == 0.0 && !neighbours[index].is_empty() {
            return fail(index, f64::NEG_INFINITY);
        }
    }
    let root: Vec<f64> = diagonal.iter().map(|d| d.sqrt()).collect();
    let mut dominant = true;
    for (index, line) in neighbours.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (other, value) in line {
            *value = *value / root[index] / root[*other];
            sum += value.abs();
        }
        dominant &= sum <= 1.0;
    }
    if dominant {
        return Ok(()); // every Gershgorin disc lies right of zero
    }
    let order = bandwidth_order(&neighbours);
    match factorise(&neighbours, &order) {
        Ok(()) => Ok(()),
        Err((index, pivot)) => fail(index, pivot - CONVEXITY_TOLERANCE),
    }
}

/// Coupled variables in reverse Cuthill-McKee order, component by component: small bandwidth for chains in
/// time, and no fill for a hub with many leaves.
fn bandwidth_order(neighbours: &[Vec<(usize, f64)>]) -> Vec<usize> {
    let mut starts: Vec<usize> = (0..neighbours.len())
        .filter(|&index| !neighbours[index].is_empty())
        .collect();
    starts.sort_by_key(|&index| neighbours[index].len());
    let mut seen = vec![false; neighbours.len()];
    let mut order = Vec::with_capacity(starts.len());
    for start in starts {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut head = order.len();
        order.push(start);
        while head < order.len() {
            let mut next: Vec<usize> = neighbours[order[head]]
                .iter()
                .map(|entry| entry.0)
                .filter(|&other| !seen[other])
                .collect();
            next.sort_by_key(|&other| (neighbours[other].len(), other));
            for other in next {
                if !seen[other] {
                    seen[other] = true;
                    order.push(other);
                }
            }
            head += 1;
        }
    }
    order.reverse();
    order
}

/// Row-by-row factorisation `L D Lᵀ` of the scaled and raised matrix along the elimination tree
/// (Davis, Direct Methods for Sparse Linear Systems, 2006, section 4.7). Returns the variable and pivot at which
/// positivity is lost.
fn factorise(neighbours: &[Vec<(usize, f64)>], order: &[usize]) -> Result<(), (usize, f64)> {
    const NONE: usize = usize::MAX;
    let size = order.len();
    let mut position = vec![NONE; neighbours.len()];
    for (place, &index) in order.iter().enumerate() {
        position[index] = place;
    }
    let mut parent = vec![NONE; size];
    let mut mark = vec![NONE; size];
    let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); size];
    let mut pivots = vec![0.0; size];
    let mut work = vec![0.0; size];
    let mut pattern: Vec<usize> = Vec::new();
    for place in 0..size {
        mark[place] = place;
        pattern.clear();
        for &(other, value) in &neighbours[order[place]] {
            let mut node = position[other];
            if node >= place {
                continue;
            }
            work[node] += value;
            while mark[node] != place {
                if parent[node] == NONE {
                    parent[node] = place;
                }
                mark[node] = place;
                pattern.push(node);
                node = parent[node];
            }
        }
        // Elimination needs increasing order: a column updates only later ones.
        pattern.sort_unstable();
        let mut pivot = 1.0 + CONVEXITY_TOLERANCE;
        for &node in &pattern {
            let value = std::mem::take(&mut work[node]);
            for &(row, factor) in &columns[node] {
                work[row] -= factor * value;
            }
            let factor = value / pivots[node];
            pivot -= factor * value;
            columns[node].push((place, factor));
        }
        if pivot <= 0.0 {
            return Err((order[place], pivot));
        }
        pivots[place] = pivot;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{Error, ProblemBuilder};

    /// Builds `½ xᵀQx` from a dense symmetric matrix.
    fn verdict(q: &[Vec<f64>]) -> Result<(), Error> {
        let mut builder = ProblemBuilder::new("q");
        let x: Vec<_> = (0..q.len())
            .map(|i| builder.variable(format!("x{i}"), 0.0, 1.0, 0.0))
            .collect();
        for i in 0..q.len() {
            builder.quadratic(x[i], x[i], q[i][i] / 2.0);
            for j in 0..i {
                builder.quadratic(x[i], x[j], q[i][j]);
            }
        }
        builder.build().map(|_| ())
    }

    fn gram(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let n = rows[0].len();
        (0..n)
            .map(|i| {
                (0..n)
                    .map(|j| rows.iter().map(|r| r[i] * r[j]).sum())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn rank_one_passes_and_its_perturbation_fails() {
        let q = gram(&[vec![1.0, 2.0, -3.0, 0.5, 1e-3]]);
        assert!(verdict(&q).is_ok());
        let mut bad = q.clone();
        bad[1][1] -= 1e-6;
        assert!(matches!(verdict(&bad), Err(Error::NonConvex { .. })));
    }

    #[test]
    fn badly_scaled_semidefinite_passes() {
        let rows = vec![
            vec![1e6, 1.0, 0.0, 0.0],
            vec![0.0, 1e-3, 2e3, 0.0],
            vec![0.0, 0.0, 1.0, 1e-4],
        ];
        assert!(verdict(&gram(&rows)).is_ok());
    }

    #[test]
    fn indefinite_matrices_are_refused() {
        assert!(verdict(&[vec![0.0, 1.0], vec![1.0, 0.0]]).is_err());
        assert!(verdict(&[vec![1.0, 2.0], vec![2.0, 1.0]]).is_err());
        assert!(verdict(&[vec![-1.0]]).is_err());
        assert!(verdict(&[vec![0.0]]).is_ok());
    }

    #[test]
    fn long_chain_is_quick_and_right() {
        // Sums of squared first and second differences vanish on constant vectors, so that any negative
        // number on the diagonal is one too many.
        for (extra, convex) in [(0.0, true), (-0.5, false)] {
            let mut builder = ProblemBuilder::new("chain");
            let x: Vec<_> = (0..20_000)
                .map(|i| builder.variable(format!("x{i}"), 0.0, 1.0, 0.0))
                .collect();
            for pair in x.windows(2) {
                builder.quadratic(pair[0], pair[0], 1.0);
                builder.quadratic(pair[1], pair[1], 1.0);
                builder.quadratic(pair[0], pair[1], -2.0);
            }
            for triple in x.windows(3) {
                builder.quadratic(triple[0], triple[0], 0.25);
                builder.quadratic(triple[1], triple[1], 1.0);
                builder.quadratic(triple[2], triple[2], 0.25);
                builder.quadratic(triple[0], triple[1], -1.0);
                builder.quadratic(triple[1], triple[2], -1.0);
                builder.quadratic(triple[0], triple[2], 0.5);
            }
            builder.quadratic(x[7], x[7], extra);
            assert_eq!(builder.build().is_ok(), convex, "extra {extra}");
        }
    }
}
