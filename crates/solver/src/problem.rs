//! A problem as data: immutable once built, checked, and open to every adapter.

use std::fmt;

use crate::{CompressedMatrix, Error, ProblemBuilder};

/// Handle of a variable, returned by the builder. It knows which problem it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableId {
    pub(crate) owner: u32,
    pub(crate) index: u32,
}

/// Handle of a row, returned by the builder. It knows which problem it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    pub(crate) owner: u32,
    pub(crate) index: u32,
}

/// Handle of a second-order cone, returned by the builder. It knows which problem it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConeId {
    pub(crate) owner: u32,
    pub(crate) index: u32,
}

macro_rules! handle {
    ($name:ident, $what:literal) => {
        impl $name {
            #[doc = concat!("Position of the ", $what, " in its problem, in the order of addition.")]
            #[must_use]
            pub fn index(self) -> usize {
                self.index as usize
            }
        }

        impl fmt::Debug for $name {
            // The owner is a running number of the process; printing it would make logs irreproducible.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.index)
            }
        }
    };
}
handle!(VariableId, "variable");
handle!(RowId, "row");
handle!(ConeId, "cone");

/// Which values a variable may take within its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VariableKind {
    /// Any real number.
    #[default]
    Continuous,
    /// Whole numbers.
    Integer,
    /// 0 or 1.
    Binary,
}

impl VariableKind {
    /// Whether only whole numbers are allowed.
    #[must_use]
    pub fn is_integral(self) -> bool {
        !matches!(self, Self::Continuous)
    }
}

/// Whether the objective is to be made small or large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sense {
    /// Minimise the objective.
    #[default]
    Minimise,
    /// Maximise the objective.
    Maximise,
}

impl Sense {
    /// `1` when minimising, `-1` when maximising: the factor between the user's objective and the
    /// minimised one.
    #[must_use]
    pub fn sign(self) -> f64 {
        match self {
            Self::Minimise => 1.0,
            Self::Maximise => -1.0,
        }
    }
}

/// A linear function with a constant: `Σ coefficient · variable + constant`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AffineTerm {
    /// Variables with their coefficients. A variable that appears twice counts with the sum.
    pub terms: Vec<(VariableId, f64)>,
    /// The constant.
    pub constant: f64,
}

impl AffineTerm {
    /// `Σ terms + constant`.
    pub fn new(terms: impl IntoIterator<Item = (VariableId, f64)>, constant: f64) -> Self {
        Self {
            terms: terms.into_iter().collect(),
            constant,
        }
    }

    /// A constant alone.
    #[must_use]
    pub fn constant(constant: f64) -> Self {
        Self {
            terms: Vec::new(),
            constant,
        }
    }

    /// The value at `x`; the caller has checked its length.
    pub(crate) fn value(&self, x: &[f64]) -> f64 {
        self.constant
            + self
                .terms
                .iter()
                .map(|&(variable, coefficient)| coefficient * x[variable.index()])
                .sum::<f64>()
    }
}

impl From<VariableId> for AffineTerm {
    fn from(variable: VariableId) -> Self {
        Self::new([(variable, 1.0)], 0.0)
    }
}

/// A second-order cone `‖parts‖₂ ≤ bound`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cone {
    pub(crate) name: String,
    pub(crate) bound: AffineTerm,
    pub(crate) parts: Vec<AffineTerm>,
}

impl Cone {
    /// Name as given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The side that has to be at least the norm.
    #[must_use]
    pub fn bound(&self) -> &AffineTerm {
        &self.bound
    }

    /// The vector whose Euclidean norm is bounded.
    #[must_use]
    pub fn parts(&self) -> &[AffineTerm] {
        &self.parts
    }

    /// Bound and parts in the order in which cone duals are stored.
    pub fn terms(&self) -> impl Iterator<Item = &AffineTerm> {
        std::iter::once(&self.bound).chain(&self.parts)
    }
}

/// An optimisation problem, immutable and checked.
///
/// ```text
/// minimise    ½ xᵀ Q x + cᵀ x + offset            (or maximise; then Q, c and offset are stored negated)
/// subject to  row_lower ≤ A x ≤ row_upper         ranged rows, equality when both sides agree
///             lower ≤ x ≤ upper                   infinite sides are open
///             ‖parts_k(x)‖₂ ≤ bound_k(x)          second-order cones
///             x_j integer for some j
/// ```
///
/// | symbol | accessor | shape |
/// |---|---|---|
/// | `A` | [`by_row`](Self::by_row), [`by_column`](Self::by_column) | rows × variables |
/// | `c`, `Q` | [`costs`](Self::costs), [`quadratic`](Self::quadratic) | variables, variables × variables |
/// | bounds | [`lower`](Self::lower), [`upper`](Self::upper) | variables |
/// | sides | [`row_lower`](Self::row_lower), [`row_upper`](Self::row_upper) | rows |
///
/// It is made by [`ProblemBuilder`] and changed by [`to_builder`](Self::to_builder), which keeps all handles valid.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(crate) owner: u32,
    pub(crate) name: String,
    pub(crate) sense: Sense,
    pub(crate) offset: f64,
    pub(crate) variable_names: Vec<String>,
    pub(crate) kinds: Vec<VariableKind>,
    pub(crate) lower: Vec<f64>,
    pub(crate) upper: Vec<f64>,
    pub(crate) costs: Vec<f64>,
    pub(crate) quadratic: CompressedMatrix,
    pub(crate) row_names: Vec<String>,
    pub(crate) row_lower: Vec<f64>,
    pub(crate) row_upper: Vec<f64>,
    pub(crate) by_row: CompressedMatrix,
    pub(crate) by_column: CompressedMatrix,
    pub(crate) cones: Vec<Cone>,
}

impl Problem {
    /// Name as given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the problem was posed as a minimisation or a maximisation.
    #[must_use]
    pub fn sense(&self) -> Sense {
        self.sense
    }

    /// Number of variables.
    #[must_use]
    pub fn variable_count(&self) -> usize {
        self.lower.len()
    }

    /// Number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.row_lower.len()
    }

    /// Handles of all variables, in order.
    #[must_use]
    pub fn variables(&self) -> impl ExactSizeIterator<Item = VariableId> + '_ {
        let owner = self.owner;
        (0..self.lower.len()).map(move |index| VariableId {
            owner,
            index: handle_index(index),
        })
    }

    /// Handles of all rows, in order.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowId> + '_ {
        let owner = self.owner;
        (0..self.row_lower.len()).map(move |index| RowId {
            owner,
            index: handle_index(index),
        })
    }

    /// Whether a variable handle belongs to this problem.
    #[must_use]
    pub fn owns(&self, variable: VariableId) -> bool {
        variable.owner == self.owner && variable.index() < self.variable_count()
    }

    /// Names of the variables.
    #[must_use]
    pub fn variable_names(&self) -> &[String] {
        &self.variable_names
    }

    /// Names of the rows.
    #[must_use]
    pub fn row_names(&self) -> &[String] {
        &self.row_names
    }

    /// Kinds of the variables.
    #[must_use]
    pub fn kinds(&self) -> &[VariableKind] {
        &self.kinds
    }

    /// Lower bounds of the variables, `-inf` when open.
    #[must_use]
    pub fn lower(&self) -> &[f64] {
        &self.lower
    }

    /// Upper bounds of the variables, `+inf` when open.
    #[must_use]
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// Lower sides of the rows, `-inf` when open.
    #[must_use]
    pub fn row_lower(&self) -> &[f64] {
        &self.row_lower
    }

    /// Upper sides of the rows, `+inf` when open.
    #[must_use]
    pub fn row_upper(&self) -> &[f64] {
        &self.row_upper
    }

    /// Linear costs of the minimisation form: negated against what was given when maximising.
    #[must_use]
    pub fn costs(&self) -> &[f64] {
        &self.costs
    }

    /// Constant of the minimisation form: negated against what was given when maximising.
    #[must_use]
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// Upper triangle of the symmetric `Q` of the minimisation form, one line per column: line `j` holds
    /// the entries `(i, Q_ij)` with `i ≤ j`. The objective has `½ Q_jj x_j²` and `Q_ij x_i x_j` for `i < j`.
    #[must_use]
    pub fn quadratic(&self) -> &CompressedMatrix {
        &self.quadratic
    }

    /// The rows of `A`.
    #[must_use]
    pub fn by_row(&self) -> &CompressedMatrix {
        &self.by_row
    }

    /// The columns of `A`.
    #[must_use]
    pub fn by_column(&self) -> &CompressedMatrix {
        &self.by_column
    }

    /// The second-order cones.
    #[must_use]
    pub fn cones(&self) -> &[Cone] {
        &self.cones
    }

    /// Whether the objective has a quadratic part.
    #[must_use]
    pub fn has_quadratic(&self) -> bool {
        self.quadratic.nonzeros() > 0
    }

    /// Whether there are second-order cones.
    #[must_use]
    pub fn has_cones(&self) -> bool {
        !self.cones.is_empty()
    }

    /// Whether some variable is integer or binary.
    #[must_use]
    pub fn has_integers(&self) -> bool {
        self.kinds.iter().any(|kind| kind.is_integral())
    }

    /// Whether the problem is a linear program: continuous, without quadratic part or cones.
    #[must_use]
    pub fn is_linear_program(&self) -> bool {
        !self.has_quadratic() && !self.has_cones() && !self.has_integers()
    }

    /// The objective at `x`, in the sense of the problem.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` does not have one entry per variable.
    pub fn objective(&self, x: &[f64]) -> Result<f64, Error> {
        self.check_length(x)?;
        Ok(self.sense.sign() * self.minimised(x))
    }

    /// The value of every row at `x`: `A x`.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` does not have one entry per variable.
    pub fn row_activity(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        self.check_length(x)?;
        Ok(self.by_row.times(x))
    }

    /// A builder that holds this problem, for adding to it or changing its bounds and costs.
    ///
    /// Handles of this problem stay valid for the builder and for what it builds.
    #[must_use]
    pub fn to_builder(&self) -> ProblemBuilder {
        ProblemBuilder::from_problem(self)
    }

    pub(crate) fn check_length(&self, x: &[f64]) -> Result<(), Error> {
        if x.len() == self.variable_count() {
            Ok(())
        } else {
            Err(Error::Length {
                what: "the point",
                expected: self.variable_count(),
                found: x.len(),
            })
        }
    }

    /// The minimised objective at `x`, whose length the caller has checked.
    pub(crate) fn minimised(&self, x: &[f64]) -> f64 {
        let linear: f64 = self.costs.iter().zip(x).map(|(c, v)| c * v).sum();
        let mut quadratic = 0.0;
        for column in 0..self.quadratic.lines() {
            for (row, value) in self.quadratic.line(column) {
                let weight = if row == column { 0.5 } else { 1.0 };
                quadratic += weight * value * x[row] * x[column];
            }
        }
        linear + quadratic + self.offset
    }

    /// Variable with name and position, for messages.
    pub(crate) fn describe_variable(&self, index: usize) -> String {
        describe("variable", &self.variable_names, index)
    }

    /// Row with name and position, for messages.
    pub(crate) fn describe_row(&self, index: usize) -> String {
        describe("row", &self.row_names, index)
    }

    /// Cone with name and position, for messages.
    pub(crate) fn describe_cone(&self, index: usize) -> String {
        let name = self.cones.get(index).map_or("", |cone| cone.name.as_str());
        describe_named("cone", name, index)
    }
}

/// Position as stored in a handle; the builder refuses problems that exceed it.
pub(crate) fn handle_index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

pub(crate) fn describe(what: &str, names: &[String], index: usize) -> String {
    describe_named(what, names.get(index).map_or("", String::as_str), index)
}

pub(crate) fn describe_named(what: &str, name: &str, index: usize) -> String {
    if name.is_empty() {
        format!("{what} {index}")
    } else {
        format!("{what} `{name}` ({index})")
    }
}

/// Size and classes in one line, for logs and reports.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let integers = self.kinds.iter().filter(|kind| kind.is_integral()).count();
        write!(
            f,
            "`{}`: {} variables ({integers} integer), {} rows, {} entries, {} quadratic entries, {} cones",
            self.name,
            self.variable_count(),
            self.row_count(),
            self.by_row.nonzeros(),
            self.quadratic.nonzeros(),
            self.cones.len(),
        )
    }
}
