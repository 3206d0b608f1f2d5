//! A problem that stays loaded: changes between solves, and every solve starts where the last one ended.

use std::time::Instant;

use super::{EngineError, Highs, Lines, failed, ffi, load, run};
use crate::adapters::engine::{Engine, answer, conclude, out_of_time};
use crate::builder::{check_sides, finite};
use crate::problem::{describe_named, handle_index};
use crate::{Error, Options, Outcome, Problem, RowId, StopReason, VariableId, VariableKind};

/// A problem inside HiGHS that can be changed and solved again, each time from the last basis (feature `highs`).
///
/// Made for cutting planes ([`add_row`](Self::add_row)), column generation ([`add_column`](Self::add_column)) and
/// rolling horizons ([`set_bounds`](Self::set_bounds), [`set_row_sides`](Self::set_row_sides),
/// [`set_cost`](Self::set_cost)). Every answer is checked against the problem as it is at that time
/// ([`problem`](Self::problem)), as for [`Highs`]; where an answer from the last basis does not stand up, the problem
/// is solved from nothing.
///
/// Linear programs start from the basis. Problems with integer variables start from the last solution; problems
/// with a quadratic objective start from nothing.
///
/// ```
/// use evflex_solver::{HighsModel, Options, ProblemBuilder};
/// let mut builder = ProblemBuilder::new("two chargers");
/// let a = builder.variable("a", 0.0, 7.0, 0.30);
/// let b = builder.variable("b", 0.0, 7.0, 0.25);
/// builder.row("energy", 9.0, [(a, 1.0), (b, 1.0)], f64::INFINITY);
/// let mut model = HighsModel::new(&builder.build()?, &Options::default())?;
/// assert_eq!(model.solve()?.into_optimal()?.primal(), [2.0, 7.0]);
/// model.add_row("balance", 0.0, [(a, 1.0), (b, -1.0)], 0.0)?;
/// assert_eq!(model.solve()?.into_optimal()?.primal(), [4.5, 4.5]);
/// # Ok::<(), evflex_solver::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    engine: ffi::Engine,
    problem: Problem,
    options: Options,
    /// Rows and columns that the engine has; later ones wait for the next solve.
    loaded: (usize, usize),
    /// Which of the two orders of the matrix has to be made from the other.
    stale: Stale,
    last: Option<Vec<f64>>,
    iterations: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stale {
    Nothing,
    ByRow,
    ByColumn,
}

impl Model {
    /// Loads a copy of `problem`; `options` hold for every solve until [`set_options`](Self::set_options).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for second-order cones, and for a quadratic objective together with integer
    /// variables; the errors of [`Options::validate`]; [`Error::Backend`] if HiGHS refuses the problem.
    pub fn new(problem: &Problem, options: &Options) -> Result<Self, Error> {
        let highs = Highs::default();
        options.validate(problem.variable_count())?;
        Engine::capabilities(&highs).require(problem, &Engine::name(&highs))?;
        let mut engine = ffi::Engine::new().map_err(failed)?;
        load(&mut engine, problem).map_err(failed)?;
        Ok(Self {
            engine,
            loaded: (problem.row_count(), problem.variable_count()),
            last: options.start.clone(),
            problem: problem.clone(),
            options: options.clone(),
            stale: Stale::Nothing,
            iterations: 0,
        })
    }

    /// The problem as it is now. Its handles are those of the problem that the model was made from, and those
    /// that [`add_row`](Self::add_row) and [`add_column`](Self::add_column) returned.
    pub fn problem(&mut self) -> &Problem {
        self.refresh();
        &self.problem
    }

    /// Replaces the options. A start point among them is used by the next solve.
    ///
    /// # Errors
    /// Those of [`Options::validate`].
    pub fn set_options(&mut self, options: &Options) -> Result<(), Error> {
        options.validate(self.problem.variable_count())?;
        self.options = options.clone();
        if options.start.is_some() {
            self.last.clone_from(&options.start);
        }
        Ok(())
    }

    /// Simplex iterations of the last solve.
    #[must_use]
    pub fn simplex_iterations(&self) -> u64 {
        self.iterations
    }

    /// Appends the row `lower ≤ Σ coefficient · variable ≤ upper`, as
    /// [`ProblemBuilder::row`](crate::ProblemBuilder::row) does.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::NotFinite`], [`Error::Bound`] or [`Error::CrossedBounds`], and then nothing has
    /// changed; [`Error::Backend`] if HiGHS refuses columns that were added before.
    pub fn add_row(
        &mut self,
        name: impl Into<String>,
        lower: f64,
        terms: impl IntoIterator<Item = (VariableId, f64)>,
        upper: f64,
    ) -> Result<RowId, Error> {
        let name = name.into();
        let index = self.problem.row_count();
        let of = || describe_named("row", &name, index);
        check_sides(of, lower, upper)?;
        let mut entries = Vec::new();
        for (variable, coefficient) in terms {
            finite("coefficient", of, coefficient)?;
            entries.push((self.column(variable, of)?, coefficient));
        }
        sums_are_finite(&entries, of)?;
        self.push_columns()?;
        if self.stale == Stale::ByRow {
            self.refresh();
        }
        self.problem.by_row.push_line(&mut entries);
        self.stale = Stale::ByColumn;
        self.problem.row_names.push(name);
        self.problem.row_lower.push(lower);
        self.problem.row_upper.push(upper);
        Ok(RowId {
            owner: self.problem.owner,
            index: handle_index(index),
        })
    }

    /// Appends a continuous variable with its coefficients in rows that exist, as in column generation. `cost` is
    /// meant in the sense of the problem.
    ///
    /// # Errors
    /// As for [`add_row`](Self::add_row).
    pub fn add_column(
        &mut self,
        name: impl Into<String>,
        lower: f64,
        upper: f64,
        cost: f64,
        terms: impl IntoIterator<Item = (RowId, f64)>,
    ) -> Result<VariableId, Error> {
        let name = name.into();
        let index = self.problem.variable_count();
        let of = || describe_named("variable", &name, index);
        check_sides(of, lower, upper)?;
        finite("cost", of, cost)?;
        let mut entries = Vec::new();
        for (row, coefficient) in terms {
            finite("coefficient", of, coefficient)?;
            entries.push((self.row(row, of)?, coefficient));
        }
        sums_are_finite(&entries, of)?;
        self.push_rows()?;
        if self.stale == Stale::ByColumn {
            self.refresh();
        }
        self.problem.by_column.push_line(&mut entries);
        self.stale = Stale::ByRow;
        self.problem.variable_names.push(name);
        self.problem.kinds.push(VariableKind::Continuous);
        self.problem.lower.push(lower);
        self.problem.upper.push(upper);
        self.problem.costs.push(self.problem.sense.sign() * cost);
        self.problem.quadratic.push_square();
        Ok(VariableId {
            owner: self.problem.owner,
            index: handle_index(index),
        })
    }

    /// Replaces the bounds of a variable.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Bound`], [`Error::CrossedBounds`] or [`Error::BinaryBounds`], and then nothing has
    /// changed; [`Error::Backend`] if HiGHS refuses the change.
    pub fn set_bounds(
        &mut self,
        variable: VariableId,
        lower: f64,
        upper: f64,
    ) -> Result<(), Error> {
        let index = self.column(variable, || "a change of bounds".to_owned())?;
        check_sides(|| self.problem.describe_variable(index), lower, upper)?;
        if self.problem.kinds[index] == VariableKind::Binary && !(lower >= 0.0 && upper <= 1.0) {
            return Err(Error::BinaryBounds {
                of: self.problem.describe_variable(index),
                lower,
                upper,
            });
        }
        if index < self.loaded.1 {
            self.engine
                .set_bounds(index, lower, upper)
                .map_err(failed)?;
        }
        self.problem.lower[index] = lower;
        self.problem.upper[index] = upper;
        Ok(())
    }

    /// Replaces the sides of a row.
    ///
    /// # Errors
    /// As for [`set_bounds`](Self::set_bounds).
    pub fn set_row_sides(&mut self, row: RowId, lower: f64, upper: f64) -> Result<(), Error> {
        let index = self.row(row, || "a change of row sides".to_owned())?;
        check_sides(|| self.problem.describe_row(index), lower, upper)?;
        if index < self.loaded.0 {
            self.engine
                .set_row_bounds(index, lower, upper)
                .map_err(failed)?;
        }
        self.problem.row_lower[index] = lower;
        self.problem.row_upper[index] = upper;
        Ok(())
    }

    /// Replaces the linear cost of a variable, in the sense of the problem.
    ///
    /// # Errors
    /// [`Error::Foreign`] or [`Error::NotFinite`], and then nothing has changed; [`Error::Backend`] if HiGHS refuses
    /// the change.
    pub fn set_cost(&mut self, variable: VariableId, cost: f64) -> Result<(), Error> {
        let index = self.column(variable, || "a change of costs".to_owned())?;
        finite("cost", || self.problem.describe_variable(index), cost)?;
        let minimised = self.problem.sense.sign() * cost;
        if index < self.loaded.1 {
            self.engine.set_cost(index, minimised).map_err(failed)?;
        }
        self.problem.costs[index] = minimised;
        Ok(())
    }

    /// Solves the problem as it is now, from where the last solve ended.
    ///
    /// # Errors
    /// Those of [`Solver::solve`](crate::Solver::solve).
    pub fn solve(&mut self) -> Result<Outcome, Error> {
        let started = Instant::now();
        self.iterations = 0;
        self.push_rows()?;
        self.push_columns()?;
        self.refresh();
        let mut options = self.options.clone();
        options.start = self.start();
        if self.problem.variable_count() == 0
            || self.problem.has_quadratic()
            || out_of_time(&options).is_some()
        {
            return answer(&Highs::default(), &self.problem, &options);
        }
        let outcome = self.warm(&options, started);
        let doubtful = match &outcome {
            Ok(Outcome::Stopped { reason, .. }) => *reason == StopReason::NumericalTrouble,
            Ok(_) => false,
            Err(error) => matches!(error, Error::WrongAnswer { .. } | Error::Backend { .. }),
        };
        let outcome = if doubtful {
            tracing::debug!(
                ?outcome,
                "the answer from the last basis does not stand up; solving from nothing"
            );
            self.engine.forget().map_err(failed)?;
            answer(
                &Highs::default(),
                &self.problem,
                &options.remaining(started),
            )?
        } else {
            outcome?
        };
        if let Some(solution) = outcome.best() {
            self.last = Some(solution.primal().to_vec());
        }
        Ok(outcome)
    }

    fn warm(&mut self, options: &Options, started: Instant) -> Result<Outcome, Error> {
        if let Some(start) = options
            .start
            .as_ref()
            .filter(|_| self.problem.has_integers())
        {
            self.engine.set_start(start).map_err(failed)?;
        }
        let answer = run(&mut self.engine, &self.problem, options, 0).map_err(failed)?;
        self.iterations = self
            .engine
            .count(c"simplex_iteration_count")
            .map_err(failed)?;
        conclude(
            &Highs::default(),
            &self.problem,
            &options.remaining(started),
            answer,
        )
    }

    /// The last point, moved into the bounds of today, with new variables at their bound nearest to zero.
    fn start(&self) -> Option<Vec<f64>> {
        let last = self.last.as_ref()?;
        let values = last.iter().copied().chain(std::iter::repeat(0.0));
        let bounds = self.problem.lower.iter().zip(&self.problem.upper);
        Some(
            values
                .zip(bounds)
                .map(|(value, (lower, upper))| value.clamp(*lower, *upper))
                .collect(),
        )
    }

    fn column(&self, variable: VariableId, used_in: impl Fn() -> String) -> Result<usize, Error> {
        if self.problem.owns(variable) {
            Ok(variable.index())
        } else {
            Err(Error::Foreign {
                what: "variable",
                used_in: used_in(),
            })
        }
    }

    fn row(&self, row: RowId, used_in: impl Fn() -> String) -> Result<usize, Error> {
        if row.owner == self.problem.owner && row.index() < self.problem.row_count() {
            Ok(row.index())
        } else {
            Err(Error::Foreign {
                what: "row",
                used_in: used_in(),
            })
        }
    }

    /// Makes both orders of the matrix agree.
    fn refresh(&mut self) {
        match self.stale {
            Stale::Nothing => {}
            Stale::ByRow => self.problem.by_row = self.problem.by_column.transposed(),
            Stale::ByColumn => self.problem.by_column = self.problem.by_row.transposed(),
        }
        self.stale = Stale::Nothing;
    }

    /// Hands new rows to the engine, all at once.
    fn push_rows(&mut self) -> Result<(), Error> {
        let first = self.loaded.0;
        if first < self.problem.row_count() {
            let (lower, upper) = (
                &self.problem.row_lower[first..],
                &self.problem.row_upper[first..],
            );
            push(&self.problem.by_row, first, |lines| {
                self.engine.add_rows(lower, upper, lines)
            })
            .map_err(failed)?;
            self.loaded.0 = self.problem.row_count();
        }
        Ok(())
    }

    /// Hands new columns to the engine, all at once.
    fn push_columns(&mut self) -> Result<(), Error> {
        let first = self.loaded.1;
        if first < self.problem.variable_count() {
            let problem = &self.problem;
            let (costs, lower, upper) = (
                &problem.costs[first..],
                &problem.lower[first..],
                &problem.upper[first..],
            );
            push(&problem.by_column, first, |lines| {
                self.engine.add_columns(costs, lower, upper, lines)
            })
            .map_err(failed)?;
            self.loaded.1 = self.problem.variable_count();
        }
        Ok(())
    }
}

/// The lines of `matrix` from `first` on, counted from zero.
fn push(
    matrix: &crate::CompressedMatrix,
    first: usize,
    add: impl FnOnce(Lines<'_>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let offset = matrix.starts()[first];
    let starts: Vec<usize> = matrix.starts()[first..]
        .iter()
        .map(|start| start - offset)
        .collect();
    add(Lines {
        starts: &starts,
        indices: &matrix.indices()[offset..],
        values: &matrix.values()[offset..],
    })
}

/// A coefficient given in parts may overflow although every part is finite.
fn sums_are_finite(entries: &[(usize, f64)], of: impl Fn() -> String) -> Result<(), Error> {
    let total: f64 = entries.iter().map(|(_, value)| value.abs()).sum();
    finite("sum of coefficients", of, total)
}
