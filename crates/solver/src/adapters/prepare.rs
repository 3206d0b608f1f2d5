//! Simplifies a problem before an engine sees it, and translates answers back.
//!
//! Removed: variables with equal bounds, rows without variables or without sides, cones without variables.
//! Integer bounds are rounded inwards, and rows and the objective are scaled by powers of two (which is exact) so that
//! their largest coefficient lies in [1, 2). Engines differ in how they take such things; after this they need not.

use std::borrow::Cow;

use crate::adapters::engine::Multipliers;
use crate::verify::{largest, norm};
use crate::{AffineTerm, Certificate, CompressedMatrix, Cone, Problem, VariableId};

/// The simplified problem, or the verdict that needed no engine.
pub(crate) enum Preparation<'a> {
    Ready(Box<Prepared<'a>>),
    Infeasible(Option<Certificate>),
}

/// A simplified problem with the way back.
pub(crate) struct Prepared<'a> {
    pub original: &'a Problem,
    pub reduced: Cow<'a, Problem>,
    /// Original position of each kept variable.
    columns: Vec<usize>,
    /// Values of the removed variables; those of kept ones are overwritten.
    values: Vec<f64>,
    /// Original position and scale of each kept row.
    rows: Vec<(usize, f64)>,
    /// Original position of each kept cone.
    cones: Vec<usize>,
    /// What the objective was multiplied with.
    objective: f64,
}

#[cfg(feature = "highs")]
impl<'a> Prepared<'a> {
    /// The problem as it is, for an engine that holds it already.
    pub(crate) fn identity(problem: &'a Problem) -> Self {
        Self {
            original: problem,
            reduced: Cow::Borrowed(problem),
            columns: (0..problem.variable_count()).collect(),
            values: vec![0.0; problem.variable_count()],
            rows: (0..problem.row_count()).map(|row| (row, 1.0)).collect(),
            cones: (0..problem.cones.len()).collect(),
            objective: 1.0,
        }
    }
}

impl Prepared<'_> {
    pub(crate) fn restore_point(&self, reduced: &[f64]) -> Vec<f64> {
        let mut point = self.values.clone();
        for (&column, &value) in self.columns.iter().zip(reduced) {
            point[column] = value;
        }
        point
    }

    pub(crate) fn restore_direction(&self, reduced: &[f64]) -> Vec<f64> {
        let mut direction = vec![0.0; self.values.len()];
        for (&column, &value) in self.columns.iter().zip(reduced) {
            direction[column] = value;
        }
        direction
    }

    pub(crate) fn restore_multipliers(&self, reduced: &Multipliers) -> Multipliers {
        let mut rows = vec![0.0; self.original.row_count()];
        for (&(row, scale), &value) in self.rows.iter().zip(&reduced.rows) {
            rows[row] = value * scale / self.objective;
        }
        let mut cones: Vec<Vec<f64>> = self
            .original
            .cones()
            .iter()
            .map(|cone| vec![0.0; cone.parts().len() + 1])
            .collect();
        for (&cone, values) in self.cones.iter().zip(&reduced.cones) {
            cones[cone] = values.iter().map(|value| value / self.objective).collect();
        }
        Multipliers { rows, cones }
    }

    /// A value of the reduced objective in the unit of the original one.
    pub(crate) fn restore_objective(&self, value: f64) -> f64 {
        value / self.objective
    }

    /// The start point without the removed variables.
    pub(crate) fn reduce_point(&self, point: &[f64]) -> Vec<f64> {
        self.columns.iter().map(|&column| point[column]).collect()
    }
}

/// The largest power of two that is at most `value`, which is positive and normal or close to it.
fn power_of_two(value: f64) -> f64 {
    let exponent = value.log2().floor().clamp(-1000.0, 1000.0);
    exponent.exp2()
}

/// `tolerance` is the one that an empty row or cone may be violated by, and an integer bound exceeded.
pub(crate) fn prepare(problem: &Problem, tolerance: f64) -> Preparation<'_> {
    let Some(columns) = Columns::of(problem, tolerance) else {
        return Preparation::Infeasible(None);
    };
    let kept: Vec<usize> = (0..problem.variable_count())
        .filter(|&column| columns.position[column].is_some())
        .collect();
    let rows = match Rows::of(problem, &columns, kept.len(), tolerance) {
        Ok(rows) => rows,
        Err(certificate) => return Preparation::Infeasible(Some(certificate)),
    };
    let cones = match reduce_cones(problem, &columns, tolerance) {
        Ok(cones) => cones,
        Err(certificate) => return Preparation::Infeasible(Some(certificate)),
    };
    let (mut offset, mut costs, mut quadratic) = reduce_objective(problem, &columns, &kept);
    let steepest = largest(costs.iter().chain(quadratic.values()).copied());
    let objective = if steepest > 0.0 {
        1.0 / power_of_two(steepest)
    } else {
        1.0
    };
    offset *= objective;
    for cost in &mut costs {
        *cost *= objective;
    }
    quadratic.scale(objective);
    let pick = |values: &[f64]| kept.iter().map(|&column| values[column]).collect();
    let reduced = Problem {
        owner: problem.owner,
        name: problem.name.clone(),
        sense: problem.sense,
        offset,
        variable_names: vec![String::new(); kept.len()],
        kinds: kept.iter().map(|&column| problem.kinds[column]).collect(),
        lower: pick(&columns.lower),
        upper: pick(&columns.upper),
        costs,
        quadratic,
        row_names: vec![String::new(); rows.kept.len()],
        by_column: rows.matrix.transposed(),
        by_row: rows.matrix,
        row_lower: rows.lower,
        row_upper: rows.upper,
        cones: cones.reduced,
    };
    tracing::debug!(before = %problem, after = %reduced, "prepared");
    Preparation::Ready(Box::new(Prepared {
        original: problem,
        reduced: Cow::Owned(reduced),
        columns: kept,
        values: columns.value,
        rows: rows.kept,
        cones: cones.kept,
        objective,
    }))
}

/// What becomes of each variable.
struct Columns {
    /// Position in the reduced problem; none when fixed.
    position: Vec<Option<usize>>,
    /// The value when fixed, 0 otherwise.
    value: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Columns {
    /// None when an integer variable has no whole number within its bounds.
    fn of(problem: &Problem, tolerance: f64) -> Option<Self> {
        let count = problem.variable_count();
        let mut columns = Self {
            position: vec![None; count],
            value: vec![0.0; count],
            lower: problem.lower.clone(),
            upper: problem.upper.clone(),
        };
        let mut next = 0;
        for column in 0..count {
            let (lower, upper) = (&mut columns.lower[column], &mut columns.upper[column]);
            if problem.kinds[column].is_integral() {
                *lower = (*lower - tolerance).ceil();
                *upper = (*upper + tolerance).floor();
                if *lower > *upper {
                    return None;
                }
            }
            if *lower < *upper {
                columns.position[column] = Some(next);
                next += 1;
            } else {
                columns.value[column] = *lower;
            }
        }
        Some(columns)
    }

    /// Splits an affine function into entries of the reduced problem and a constant.
    fn reduce(&self, owner: u32, term: &AffineTerm) -> AffineTerm {
        let mut reduced = AffineTerm::constant(term.constant);
        for &(variable, coefficient) in &term.terms {
            match self.position[variable.index()] {
                Some(position) => reduced.terms.push((
                    VariableId {
                        owner,
                        index: crate::problem::handle_index(position),
                    },
                    coefficient,
                )),
                None => reduced.constant += coefficient * self.value[variable.index()],
            }
        }
        reduced
    }
}

struct Rows {
    matrix: CompressedMatrix,
    lower: Vec<f64>,
    upper: Vec<f64>,
    kept: Vec<(usize, f64)>,
}

impl Rows {
    /// The certificate when a row without variables cannot hold.
    fn of(
        problem: &Problem,
        columns: &Columns,
        width: usize,
        tolerance: f64,
    ) -> Result<Self, Certificate> {
        let mut rows = Self {
            matrix: CompressedMatrix::new(width),
            lower: Vec::new(),
            upper: Vec::new(),
            kept: Vec::new(),
        };
        let mut entries = Vec::new();
        for row in 0..problem.row_count() {
            let (lower, upper) = (problem.row_lower[row], problem.row_upper[row]);
            if lower == f64::NEG_INFINITY && upper == f64::INFINITY {
                continue;
            }
            entries.clear();
            let (mut constant, mut scale) = (0.0, 0.0_f64);
            for (column, value) in problem.by_row.line(row) {
                if let Some(position) = columns.position[column] {
                    entries.push((position, value));
                } else {
                    let term = value * columns.value[column];
                    constant += term;
                    scale = scale.max(term.abs()).max(value.abs());
                }
            }
            if entries.is_empty() {
                let scale = if scale == 0.0 { 1.0 } else { scale };
                let side = if lower - constant > tolerance * scale.max(lower.abs()) {
                    1.0
                } else if constant - upper > tolerance * scale.max(upper.abs()) {
                    -1.0
                } else {
                    continue;
                };
                let mut multipliers = vec![0.0; problem.row_count()];
                multipliers[row] = side;
                return Err(Certificate::Farkas {
                    rows: multipliers,
                    cones: zero_cones(problem),
                });
            }
            let scale = 1.0 / power_of_two(largest(entries.iter().map(|entry| entry.1)));
            for entry in &mut entries {
                entry.1 *= scale;
            }
            rows.matrix.push_line(&mut entries);
            rows.lower.push((lower - constant) * scale);
            rows.upper.push((upper - constant) * scale);
            rows.kept.push((row, scale));
        }
        Ok(rows)
    }
}

fn zero_cones(problem: &Problem) -> Vec<Vec<f64>> {
    problem
        .cones
        .iter()
        .map(|cone| vec![0.0; cone.parts.len() + 1])
        .collect()
}

struct Cones {
    reduced: Vec<Cone>,
    kept: Vec<usize>,
}

fn reduce_cones(
    problem: &Problem,
    columns: &Columns,
    tolerance: f64,
) -> Result<Cones, Certificate> {
    let mut cones = Cones {
        reduced: Vec::new(),
        kept: Vec::new(),
    };
    for (index, cone) in problem.cones.iter().enumerate() {
        let bound = columns.reduce(problem.owner, &cone.bound);
        let parts: Vec<AffineTerm> = cone
            .parts
            .iter()
            .map(|part| columns.reduce(problem.owner, part))
            .collect();
        if bound.terms.is_empty() && parts.iter().all(|part| part.terms.is_empty()) {
            let length = norm(parts.iter().map(|part| part.constant));
            let scale = length.max(bound.constant.abs()).max(1.0);
            if length - bound.constant <= tolerance * scale {
                continue;
            }
            // (1, −parts/‖parts‖) is in the cone, and its product with the constant is negative.
            let mut multipliers = zero_cones(problem);
            for (weight, part) in multipliers[index].iter_mut().skip(1).zip(&parts) {
                *weight = if length > 0.0 {
                    -part.constant / length
                } else {
                    0.0
                };
            }
            multipliers[index][0] = norm(multipliers[index].iter().skip(1).copied()).max(1.0);
            return Err(Certificate::Farkas {
                rows: vec![0.0; problem.row_count()],
                cones: multipliers,
            });
        }
        cones.reduced.push(Cone {
            name: String::new(),
            bound,
            parts,
        });
        cones.kept.push(index);
    }
    Ok(cones)
}

/// Offset, costs and quadratic form over the kept variables.
fn reduce_objective(
    problem: &Problem,
    columns: &Columns,
    kept: &[usize],
) -> (f64, Vec<f64>, CompressedMatrix) {
    let mut offset = problem.offset;
    let mut costs = problem.costs.clone();
    let mut quadratic = CompressedMatrix::new(kept.len());
    let mut entries = Vec::new();
    for column in 0..problem.variable_count() {
        entries.clear();
        for (row, value) in problem.quadratic.line(column) {
            match (columns.position[row], columns.position[column]) {
                (Some(row), Some(_)) => entries.push((row, value)),
                (Some(_), None) => costs[row] += value * columns.value[column],
                (None, Some(_)) => costs[column] += value * columns.value[row],
                (None, None) => {
                    let weight = if row == column { 0.5 } else { 1.0 };
                    offset += weight * value * columns.value[row] * columns.value[column];
                }
            }
        }
        if columns.position[column].is_some() {
            quadratic.push_line(&mut entries);
        }
    }
    for (column, position) in columns.position.iter().enumerate() {
        if position.is_none() {
            offset += problem.costs[column] * columns.value[column];
        }
    }
    let costs = kept.iter().map(|&column| costs[column]).collect();
    (offset, costs, quadratic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProblemBuilder, verify};

    const INF: f64 = f64::INFINITY;

    #[test]
    fn objective_and_rows_agree_with_the_original() {
        let mut builder = ProblemBuilder::new("p");
        let a = builder.variable("a", 2.0, 2.0, 1.0);
        let b = builder.variable("b", 0.0, 9.0, -1.0);
        let c = builder.variable("c", -INF, INF, 3.0);
        let d = builder.variable("d", -1.0, -1.0, 0.0);
        for (x, y, q) in [
            (a, a, 1.0),
            (a, b, 0.5),
            (b, b, 1.0),
            (c, c, 2.0),
            (b, c, 1.0),
            (a, d, 0.5),
            (d, d, 1.0),
        ] {
            builder.quadratic(x, y, q);
        }
        builder.row("r", 1.0, [(a, 100.0), (b, 40.0), (c, -7.0)], 900.0);
        builder.row("fixed", -INF, [(a, 1.0), (d, 1.0)], 1.0);
        builder.row("open", -INF, [(b, 1.0)], INF);
        builder.objective_offset(5.0);
        builder.second_order_cone("k", b.into(), vec![a.into(), c.into()]);
        let problem = builder.build().unwrap();
        let Preparation::Ready(prepared) = prepare(&problem, 1e-9) else {
            panic!("feasible");
        };
        let reduced = &prepared.reduced;
        assert_eq!((reduced.variable_count(), reduced.row_count()), (2, 1));
        let y = [3.0, -2.0];
        let x = prepared.restore_point(&y);
        assert_eq!(x, [2.0, 3.0, -2.0, -1.0]);
        let value = prepared.restore_objective(reduced.objective(&y).unwrap());
        assert_eq!(value, problem.objective(&x).unwrap());
        let activity = reduced.row_activity(&y).unwrap()[0];
        assert_eq!((activity - reduced.row_lower()[0]) * 32.0, 334.0 - 1.0);
        assert!((1.0..2.0).contains(&largest(reduced.by_row().values().iter().copied())));
        assert_eq!(reduced.cones()[0].parts()[0].constant, 2.0);
        assert_eq!(prepared.reduce_point(&x), y);
        let full = prepared.restore_multipliers(&Multipliers {
            rows: vec![32.0],
            cones: vec![vec![1.0, 0.0, 0.0]],
        });
        assert_eq!(full.rows, [1.0 / prepared.objective, 0.0, 0.0]);
    }

    #[test]
    fn impossible_rows_and_cones_come_with_a_proof() {
        let build = |row: (f64, f64), radius: f64| {
            let mut builder = ProblemBuilder::new("p");
            let a = builder.variable("a", 2.0, 2.0, 0.0);
            builder.variable("b", 0.0, 1.0, 0.0);
            builder.row("r", row.0, [(a, 3.0)], row.1);
            builder.second_order_cone(
                "k",
                AffineTerm::constant(radius),
                vec![a.into(), AffineTerm::constant(1.5)],
            );
            builder.build().unwrap()
        };
        for problem in [
            build((7.0, INF), 9.0),
            build((-INF, 5.0), 9.0),
            build((6.0, 6.0), 2.4),
        ] {
            let Preparation::Infeasible(Some(certificate)) = prepare(&problem, 1e-9) else {
                panic!("not recognised");
            };
            verify::certificate(&problem, &certificate, "prepare", 1e-9).unwrap();
        }
        assert!(matches!(
            prepare(&build((6.0, 6.0), 2.5), 1e-9),
            Preparation::Ready(_)
        ));
    }

    #[test]
    fn integer_bounds_are_rounded_inwards() {
        let mut builder = ProblemBuilder::new("p");
        builder.integer("i", 0.5, 2.7, 0.0);
        builder.integer("j", -INF, 3.999_999_999_99, 0.0);
        let problem = builder.build().unwrap();
        let Preparation::Ready(prepared) = prepare(&problem, 1e-9) else {
            panic!("feasible");
        };
        assert_eq!(prepared.reduced.lower(), [1.0, -INF]);
        assert_eq!(prepared.reduced.upper(), [2.0, 4.0]);
        let mut builder = ProblemBuilder::new("q");
        builder.integer("i", 0.2, 0.8, 0.0);
        let problem = builder.build().unwrap();
        assert!(matches!(
            prepare(&problem, 1e-9),
            Preparation::Infeasible(None)
        ));
    }
}
