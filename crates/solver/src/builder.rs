//! Building a problem: anything may be written down, `build` checks all of it at once.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::problem::{describe_named, handle_index};
use crate::{
    AffineTerm, CompressedMatrix, Cone, ConeId, Error, Problem, RowId, Sense, VariableId,
    VariableKind, convexity,
};

/// Tells the handles of different builders apart.
static NEXT_OWNER: AtomicU32 = AtomicU32::new(1);

/// Writes a [`Problem`] down, variable by variable and row by row.
///
/// Nothing is checked before [`build`](Self::build), which checks everything and names what is wrong.
///
/// ```
/// use evflex_solver::ProblemBuilder;
/// let mut builder = ProblemBuilder::new("two chargers");
/// let a = builder.variable("a", 0.0, 7.0, 0.30); // kW, at most 7
/// let b = builder.variable("b", 0.0, 11.0, 0.25);
/// builder.row("demand", 9.0, [(a, 1.0), (b, 1.0)], f64::INFINITY);
/// let problem = builder.build()?;
/// assert_eq!(problem.objective(&[0.0, 9.0])?, 2.25);
/// # Ok::<(), evflex_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProblemBuilder {
    owner: u32,
    name: String,
    sense: Sense,
    offset: f64,
    variable_names: Vec<String>,
    kinds: Vec<VariableKind>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    costs: Vec<f64>,
    quadratic: Vec<(VariableId, VariableId, f64)>,
    row_names: Vec<String>,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    row_starts: Vec<usize>,
    terms: Vec<(VariableId, f64)>,
    cones: Vec<Cone>,
    /// Uses of handles that could not be stored with what they refer to.
    foreign: Option<(&'static str, &'static str)>,
}

impl ProblemBuilder {
    /// An empty problem, to be minimised.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            owner: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            sense: Sense::Minimise,
            offset: 0.0,
            variable_names: Vec::new(),
            kinds: Vec::new(),
            lower: Vec::new(),
            upper: Vec::new(),
            costs: Vec::new(),
            quadratic: Vec::new(),
            row_names: Vec::new(),
            row_lower: Vec::new(),
            row_upper: Vec::new(),
            row_starts: vec![0],
            terms: Vec::new(),
            cones: Vec::new(),
            foreign: None,
        }
    }

    pub(crate) fn from_problem(problem: &Problem) -> Self {
        let owner = problem.owner;
        let sign = problem.sense.sign();
        let id = |index: usize| VariableId {
            owner,
            index: handle_index(index),
        };
        let mut quadratic = Vec::with_capacity(problem.quadratic.nonzeros());
        for column in 0..problem.quadratic.lines() {
            for (row, value) in problem.quadratic.line(column) {
                let weight = if row == column { 0.5 } else { 1.0 };
                quadratic.push((id(row), id(column), sign * weight * value));
            }
        }
        let by_row = &problem.by_row;
        Self {
            owner,
            name: problem.name.clone(),
            sense: problem.sense,
            offset: sign * problem.offset,
            variable_names: problem.variable_names.clone(),
            kinds: problem.kinds.clone(),
            lower: problem.lower.clone(),
            upper: problem.upper.clone(),
            costs: problem.costs.iter().map(|cost| sign * cost).collect(),
            quadratic,
            row_names: problem.row_names.clone(),
            row_lower: problem.row_lower.clone(),
            row_upper: problem.row_upper.clone(),
            row_starts: by_row.starts().to_vec(),
            terms: by_row
                .indices()
                .iter()
                .zip(by_row.values())
                .map(|(&index, &value)| (id(index), value))
                .collect(),
            cones: problem.cones.clone(),
            foreign: None,
        }
    }

    /// Adds a continuous variable. Infinite bounds leave a side open; equal bounds fix it.
    pub fn variable(
        &mut self,
        name: impl Into<String>,
        lower: f64,
        upper: f64,
        cost: f64,
    ) -> VariableId {
        self.add(name.into(), VariableKind::Continuous, lower, upper, cost)
    }

    /// Adds an integer variable.
    pub fn integer(
        &mut self,
        name: impl Into<String>,
        lower: f64,
        upper: f64,
        cost: f64,
    ) -> VariableId {
        self.add(name.into(), VariableKind::Integer, lower, upper, cost)
    }

    /// Adds a variable that is 0 or 1.
    pub fn binary(&mut self, name: impl Into<String>, cost: f64) -> VariableId {
        self.add(name.into(), VariableKind::Binary, 0.0, 1.0, cost)
    }

    fn add(
        &mut self,
        name: String,
        kind: VariableKind,
        lower: f64,
        upper: f64,
        cost: f64,
    ) -> VariableId {
        let index = handle_index(self.lower.len());
        self.variable_names.push(name);
        self.kinds.push(kind);
        self.lower.push(lower);
        self.upper.push(upper);
        self.costs.push(cost);
        VariableId {
            owner: self.owner,
            index,
        }
    }

    /// Adds the row `lower ≤ Σ coefficient · variable ≤ upper`; an equality when both sides agree.
    /// A variable that appears twice counts with the sum of its coefficients.
    pub fn row(
        &mut self,
        name: impl Into<String>,
        lower: f64,
        terms: impl IntoIterator<Item = (VariableId, f64)>,
        upper: f64,
    ) -> RowId {
        let index = handle_index(self.row_lower.len());
        self.row_names.push(name.into());
        self.row_lower.push(lower);
        self.row_upper.push(upper);
        self.terms.extend(terms);
        self.row_starts.push(self.terms.len());
        RowId {
            owner: self.owner,
            index,
        }
    }

    /// Adds `coefficient · a · b` to the objective; `a` and `b` may be the same variable.
    pub fn quadratic(&mut self, a: VariableId, b: VariableId, coefficient: f64) {
        self.quadratic.push((a, b, coefficient));
    }

    /// Adds the cone `‖parts‖₂ ≤ bound`.
    pub fn second_order_cone(
        &mut self,
        name: impl Into<String>,
        bound: AffineTerm,
        parts: Vec<AffineTerm>,
    ) -> ConeId {
        let index = handle_index(self.cones.len());
        self.cones.push(Cone {
            name: name.into(),
            bound,
            parts,
        });
        ConeId {
            owner: self.owner,
            index,
        }
    }

    /// Adds a constant to the objective.
    pub fn objective_offset(&mut self, offset: f64) {
        self.offset += offset;
    }

    /// Makes the problem a maximisation of the costs, quadratic terms and offset as given.
    pub fn maximise(&mut self) {
        self.sense = Sense::Maximise;
    }

    /// Replaces the bounds of a variable.
    pub fn set_bounds(&mut self, variable: VariableId, lower: f64, upper: f64) {
        if self.owns(variable) {
            self.lower[variable.index()] = lower;
            self.upper[variable.index()] = upper;
        } else {
            self.foreign = Some(("variable", "a change of bounds"));
        }
    }

    /// Replaces the linear cost of a variable.
    pub fn set_cost(&mut self, variable: VariableId, cost: f64) {
        if self.owns(variable) {
            self.costs[variable.index()] = cost;
        } else {
            self.foreign = Some(("variable", "a change of costs"));
        }
    }

    /// Replaces the sides of a row.
    pub fn set_row_sides(&mut self, row: RowId, lower: f64, upper: f64) {
        if row.owner == self.owner && row.index() < self.row_lower.len() {
            self.row_lower[row.index()] = lower;
            self.row_upper[row.index()] = upper;
        } else {
            self.foreign = Some(("row", "a change of row sides"));
        }
    }

    /// Number of variables so far.
    #[must_use]
    pub fn variable_count(&self) -> usize {
        self.lower.len()
    }

    /// Number of rows so far.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.row_lower.len()
    }

    /// Checks everything and returns the problem; nothing is checked later.
    ///
    /// Convexity is decided by a Cholesky factorisation of `Q`, scaled to unit diagonal and raised by
    /// [`CONVEXITY_TOLERANCE`](crate::CONVEXITY_TOLERANCE): semidefinite matrices pass, and so do
    /// eigenvalues that are negative by rounding.
    ///
    /// # Errors
    /// The first of: [`Error::TooMany`], [`Error::Foreign`], [`Error::Bound`], [`Error::CrossedBounds`],
    /// [`Error::BinaryBounds`], [`Error::NotFinite`], [`Error::NonConvex`]. Each names its variable, row
    /// or cone.
    pub fn build(self) -> Result<Problem, Error> {
        self.check_counts()?;
        if let Some((what, used_in)) = self.foreign {
            return Err(Error::Foreign {
                what,
                used_in: used_in.to_owned(),
            });
        }
        finite("offset", || "the objective".to_owned(), self.offset)?;
        self.check_variables()?;
        let by_row = self.compress_rows()?;
        self.check_cones()?;
        let quadratic = self.compress_quadratic()?;
        let sign = self.sense.sign();
        let mut problem = Problem {
            owner: self.owner,
            name: self.name,
            sense: self.sense,
            offset: sign * self.offset,
            variable_names: self.variable_names,
            kinds: self.kinds,
            lower: self.lower,
            upper: self.upper,
            costs: self.costs,
            quadratic,
            row_names: self.row_names,
            row_lower: self.row_lower,
            row_upper: self.row_upper,
            by_column: by_row.transposed(),
            by_row,
            cones: self.cones,
        };
        if problem.sense == Sense::Maximise {
            for cost in &mut problem.costs {
                *cost = -*cost;
            }
        }
        convexity::check(&problem)?;
        tracing::trace!(problem = %problem, "built");
        Ok(problem)
    }

    fn owns(&self, variable: VariableId) -> bool {
        variable.owner == self.owner && variable.index() < self.lower.len()
    }

    fn check_counts(&self) -> Result<(), Error> {
        let limit = u32::MAX as usize;
        for (what, count) in [
            ("variables", self.lower.len()),
            ("rows", self.row_lower.len()),
            ("cones", self.cones.len()),
        ] {
            if count > limit {
                return Err(Error::TooMany { what, count, limit });
            }
        }
        Ok(())
    }

    fn check_variables(&self) -> Result<(), Error> {
        for (index, name) in self.variable_names.iter().enumerate() {
            let of = || describe_named("variable", name, index);
            let (lower, upper) = (self.lower[index], self.upper[index]);
            check_sides(of, lower, upper)?;
            if self.kinds[index] == VariableKind::Binary && !(lower >= 0.0 && upper <= 1.0) {
                return Err(Error::BinaryBounds {
                    of: of(),
                    lower,
                    upper,
                });
            }
            finite("cost", of, self.costs[index])?;
        }
        Ok(())
    }

    fn compress_rows(&self) -> Result<CompressedMatrix, Error> {
        let mut matrix = CompressedMatrix::new(self.lower.len());
        let mut entries = Vec::new();
        for (row, name) in self.row_names.iter().enumerate() {
            let of = || describe_named("row", name, row);
            check_sides(of, self.row_lower[row], self.row_upper[row])?;
            entries.clear();
            for &(variable, coefficient) in
                &self.terms[self.row_starts[row]..self.row_starts[row + 1]]
            {
                entries.push(self.entry(of, variable, coefficient)?);
            }
            matrix.push_line(&mut entries);
        }
        // Sums of duplicates may overflow although every term is finite.
        for row in 0..matrix.lines() {
            if let Some((column, value)) = matrix.line(row).find(|(_, value)| !value.is_finite()) {
                let name = &self.variable_names[column];
                return Err(Error::NotFinite {
                    what: "sum of coefficients",
                    of: format!(
                        "{} in {}",
                        describe_named("variable", name, column),
                        describe_named("row", &self.row_names[row], row)
                    ),
                    value,
                });
            }
        }
        Ok(matrix)
    }

    fn entry(
        &self,
        of: impl Fn() -> String,
        variable: VariableId,
        coefficient: f64,
    ) -> Result<(usize, f64), Error> {
        if !self.owns(variable) {
            return Err(Error::Foreign {
                what: "variable",
                used_in: of(),
            });
        }
        let index = variable.index();
        finite(
            "coefficient",
            || {
                let name = &self.variable_names[index];
                format!("{} in {}", describe_named("variable", name, index), of())
            },
            coefficient,
        )?;
        Ok((index, coefficient))
    }

    fn check_cones(&self) -> Result<(), Error> {
        for (index, cone) in self.cones.iter().enumerate() {
            let of = || describe_named("cone", &cone.name, index);
            for term in cone.terms() {
                finite("constant", of, term.constant)?;
                for &(variable, coefficient) in &term.terms {
                    self.entry(of, variable, coefficient)?;
                }
            }
        }
        Ok(())
    }

    /// Upper triangle of the symmetric matrix of the minimisation form.
    fn compress_quadratic(&self) -> Result<CompressedMatrix, Error> {
        let count = self.lower.len();
        if self.quadratic.is_empty() {
            let mut matrix = CompressedMatrix::new(count);
            (0..count).for_each(|_| matrix.push_line(&mut []));
            return Ok(matrix);
        }
        let sign = self.sense.sign();
        let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
        for &(a, b, coefficient) in &self.quadratic {
            let of = || "the quadratic objective".to_owned();
            let (i, value) = self.entry(of, a, coefficient)?;
            let (j, _) = self.entry(of, b, coefficient)?;
            // x_a x_b has the symmetric matrix with ½ at (a, b) and (b, a), and ½ xᵀQx doubles it.
            let value = sign * if i == j { 2.0 * value } else { value };
            columns[i.max(j)].push((i.min(j), value));
        }
        let mut matrix = CompressedMatrix::new(count);
        for column in &mut columns {
            matrix.push_line(column);
        }
        if let Some(value) = matrix.values().iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what: "sum of coefficients",
                of: "the quadratic objective".to_owned(),
                value: *value,
            });
        }
        Ok(matrix)
    }
}

pub(crate) fn finite(what: &'static str, of: impl Fn() -> String, value: f64) -> Result<(), Error> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(Error::NotFinite {
            what,
            of: of(),
            value,
        })
    }
}

pub(crate) fn check_sides(of: impl Fn() -> String, lower: f64, upper: f64) -> Result<(), Error> {
    if lower.is_nan() || lower == f64::INFINITY {
        return Err(Error::Bound {
            what: "lower bound",
            of: of(),
            value: lower,
        });
    }
    if upper.is_nan() || upper == f64::NEG_INFINITY {
        return Err(Error::Bound {
            what: "upper bound",
            of: of(),
            value: upper,
        });
    }
    if lower > upper {
        return Err(Error::CrossedBounds {
            of: of(),
            lower,
            upper,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    fn message(builder: ProblemBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn rows_and_columns_hold_the_same_entries() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.variable("x", 0.0, 1.0, 1.0);
        let y = builder.variable("y", -INF, INF, 0.0);
        builder.row("r", 1.0, [(y, 2.0), (x, 1.0), (y, 3.0)], 1.0);
        builder.row("empty", -INF, [], 0.0);
        let problem = builder.build().unwrap();
        assert_eq!(
            problem.by_row().line(0).collect::<Vec<_>>(),
            [(0, 1.0), (1, 5.0)]
        );
        assert_eq!(problem.by_column().line(1).collect::<Vec<_>>(), [(0, 5.0)]);
        assert_eq!(problem.row_activity(&[1.0, 2.0]).unwrap(), [11.0, 0.0]);
        assert!(problem.row_activity(&[1.0]).is_err());
    }

    #[test]
    fn quadratic_terms_follow_the_half_convention() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.variable("x", -INF, INF, 1.0);
        let y = builder.variable("y", -INF, INF, 0.0);
        builder.quadratic(x, x, 3.0);
        builder.quadratic(y, x, 2.0);
        builder.quadratic(y, y, 1.0);
        builder.objective_offset(10.0);
        let problem = builder.build().unwrap();
        assert_eq!(problem.quadratic().line(0).collect::<Vec<_>>(), [(0, 6.0)]);
        assert_eq!(
            problem.quadratic().line(1).collect::<Vec<_>>(),
            [(0, 2.0), (1, 2.0)]
        );
        // 3x² + 2xy + y² + x + 10 at (2, −1)
        assert_eq!(problem.objective(&[2.0, -1.0]).unwrap(), 21.0);
    }

    #[test]
    fn maximisation_is_stored_negated_and_reported_as_given() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.variable("x", 0.0, 1.0, 3.0);
        builder.quadratic(x, x, -1.0);
        builder.objective_offset(2.0);
        builder.maximise();
        let problem = builder.build().unwrap();
        assert_eq!(problem.costs(), [-3.0]);
        assert_eq!(problem.offset(), -2.0);
        assert_eq!(problem.objective(&[1.0]).unwrap(), 4.0);
        let again = problem.to_builder().build().unwrap();
        assert_eq!(again.costs(), problem.costs());
        assert_eq!(again.quadratic(), problem.quadratic());
        assert_eq!(again.objective(&[1.0]).unwrap(), 4.0);
    }

    #[test]
    fn handles_survive_a_round_trip() {
        let mut builder = ProblemBuilder::new("p");
        let x = builder.integer("x", 0.0, 5.0, 1.0);
        let row = builder.row("r", 0.0, [(x, 1.0)], 3.0);
        let problem = builder.build().unwrap();
        let mut more = problem.to_builder();
        more.set_bounds(x, 1.0, 2.0);
        more.set_cost(x, -1.0);
        more.set_row_sides(row, -INF, 9.0);
        more.row("s", 0.0, [(x, 1.0)], INF);
        let changed = more.build().unwrap();
        assert_eq!(changed.lower(), [1.0]);
        assert_eq!(changed.costs(), [-1.0]);
        assert_eq!(changed.row_upper(), [9.0, INF]);
        assert!(changed.owns(x) && changed.has_integers());
    }

    #[test]
    fn messages_name_what_is_wrong() {
        let base = || {
            let mut builder = ProblemBuilder::new("p");
            let x = builder.variable("x", 0.0, 1.0, 0.0);
            (builder, x)
        };

        let (mut b, _) = base();
        b.variable("speed", 2.0, 1.0, 0.0);
        insta::assert_snapshot!(message(b), @"variable `speed` (1) has lower bound 2 above its upper bound 1");

        let (mut b, _) = base();
        b.variable("speed", f64::NAN, 1.0, 0.0);
        insta::assert_snapshot!(message(b), @"lower bound of variable `speed` (1) is NaN; leave a side open with -inf (lower) or +inf (upper), and give a number otherwise");

        let (mut b, _) = base();
        b.variable("", INF, INF, 0.0);
        insta::assert_snapshot!(message(b), @"lower bound of variable 1 is inf; leave a side open with -inf (lower) or +inf (upper), and give a number otherwise");

        let (mut b, _) = base();
        b.variable("speed", 0.0, 1.0, INF);
        insta::assert_snapshot!(message(b), @"cost of variable `speed` (1) is inf; it must be a finite number");

        let (mut b, x) = base();
        b.row("limit", 0.0, [(x, f64::NAN)], 1.0);
        insta::assert_snapshot!(message(b), @"coefficient of variable `x` (0) in row `limit` (0) is NaN; it must be a finite number");

        let (mut b, x) = base();
        b.row("limit", 0.0, [(x, f64::MAX), (x, f64::MAX)], 1.0);
        insta::assert_snapshot!(message(b), @"sum of coefficients of variable `x` (0) in row `limit` (0) is inf; it must be a finite number");

        let (mut b, x) = base();
        b.row("limit", 3.0, [(x, 1.0)], 1.0);
        insta::assert_snapshot!(message(b), @"row `limit` (0) has lower bound 3 above its upper bound 1");

        let (mut b, _) = base();
        let (mut other, _) = base();
        let far = other.variable("far", 0.0, 1.0, 0.0);
        b.row("limit", 0.0, [(far, 1.0)], 1.0);
        insta::assert_snapshot!(message(b), @"row `limit` (0) refers to a variable of another problem; use the handles that this problem's builder returned");

        let (mut b, _) = base();
        b.set_cost(far, 1.0);
        insta::assert_snapshot!(message(b), @"a change of costs refers to a variable of another problem; use the handles that this problem's builder returned");

        let (mut b, _) = base();
        let switch = b.binary("on", 1.0);
        b.set_bounds(switch, 0.0, 2.0);
        insta::assert_snapshot!(message(b), @"variable `on` (1) is binary but has bounds 0 and 2; keep them within 0 and 1, or make it an integer variable");

        let (mut b, x) = base();
        b.second_order_cone("line", AffineTerm::constant(INF), vec![x.into()]);
        insta::assert_snapshot!(message(b), @"constant of cone `line` (0) is inf; it must be a finite number");

        let (mut b, x) = base();
        b.quadratic(x, far, 1.0);
        insta::assert_snapshot!(message(b), @"the quadratic objective refers to a variable of another problem; use the handles that this problem's builder returned");

        let (mut b, x) = base();
        b.quadratic(x, x, -1.0);
        insta::assert_snapshot!(message(b), @"the quadratic objective is not convex: eliminating variable `x` (0) leaves curvature -1.000e0 relative to its diagonal, below -1e-9; only convex minimisation (concave maximisation) can be proven optimal");
    }
}
