//! The one trait that all engines answer through.

use std::fmt;

use crate::{Error, Options, Outcome, Problem};

/// Answers problems. Callers take it as `&dyn Solver`, so that the engine is an argument.
///
/// An implementation checks the options ([`Options::validate`]) and its own capabilities
/// ([`Capabilities::require`]) first, and checks every answer of its engine by arithmetic
/// ([`verify`](crate::verify)) before it returns it. [`testkit::run`](crate::testkit::run) holds it to this.
pub trait Solver: Send + Sync {
    /// Name and version as printed in reports, for instance `Clarabel 0.11.1`.
    fn name(&self) -> String;

    /// What this solver accepts and delivers; asked before `solve`, never discovered by a panic.
    fn capabilities(&self) -> Capabilities;

    /// Answers `problem`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the problem is outside [`capabilities`](Self::capabilities), the errors of
    /// [`Options::validate`], [`Error::Backend`] when the engine fails, and [`Error::WrongAnswer`] when its
    /// answer does not stand up to arithmetic. An infeasible or unbounded problem is not an error.
    fn solve(&self, problem: &Problem, options: &Options) -> Result<Outcome, Error>;
}

/// What a solver accepts and what it delivers. Every solver takes linear rows, bounds and a linear objective.
///
/// ```
/// use evflex_solver::Capabilities;
/// let simplex = Capabilities::linear().duals().rays();
/// assert!(simplex.duals && !simplex.integer);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a list of yes-or-no answers is what it is"
)]
pub struct Capabilities {
    /// Convex quadratic objectives.
    pub quadratic: bool,
    /// Second-order cones.
    pub second_order_cone: bool,
    /// Integer and binary variables.
    pub integer: bool,
    /// Integer variables together with a quadratic objective.
    pub integer_quadratic: bool,
    /// Duals of continuous problems.
    pub duals: bool,
    /// A certificate for every infeasible or unbounded continuous problem.
    pub rays: bool,
    /// [`Options::time_limit`] is obeyed during a solve; a limit of zero stops every solver.
    pub time_limit: bool,
    /// [`Options::cancel`] is obeyed during a solve; one cancelled before the start stops every solver.
    pub cancel: bool,
    /// [`Options::start`] is used.
    pub start: bool,
    /// [`Options::progress`] is called.
    pub progress: bool,
}

impl Capabilities {
    /// Linear problems only, nothing else delivered.
    #[must_use]
    pub const fn linear() -> Self {
        Self {
            quadratic: false,
            second_order_cone: false,
            integer: false,
            integer_quadratic: false,
            duals: false,
            rays: false,
            time_limit: false,
            cancel: false,
            start: false,
            progress: false,
        }
    }

    /// Adds convex quadratic objectives.
    #[must_use]
    pub const fn quadratic(mut self) -> Self {
        self.quadratic = true;
        self
    }

    /// Adds second-order cones.
    #[must_use]
    pub const fn second_order_cone(mut self) -> Self {
        self.second_order_cone = true;
        self
    }

    /// Adds integer variables (with linear objectives).
    #[must_use]
    pub const fn integer(mut self) -> Self {
        self.integer = true;
        self
    }

    /// Adds integer variables together with quadratic objectives.
    #[must_use]
    pub const fn integer_quadratic(mut self) -> Self {
        self.integer_quadratic = true;
        self
    }

    /// Adds duals.
    #[must_use]
    pub const fn duals(mut self) -> Self {
        self.duals = true;
        self
    }

    /// Adds certificates of infeasibility and unboundedness.
    #[must_use]
    pub const fn rays(mut self) -> Self {
        self.rays = true;
        self
    }

    /// Adds obedience to the time limit during a solve.
    #[must_use]
    pub const fn time_limit(mut self) -> Self {
        self.time_limit = true;
        self
    }

    /// Adds obedience to cancellation during a solve.
    #[must_use]
    pub const fn cancel(mut self) -> Self {
        self.cancel = true;
        self
    }

    /// Adds warm starts.
    #[must_use]
    pub const fn start(mut self) -> Self {
        self.start = true;
        self
    }

    /// Adds progress reports.
    #[must_use]
    pub const fn progress(mut self) -> Self {
        self.progress = true;
        self
    }

    /// Refuses a problem outside these capabilities, by name of the first class that is lacking.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn require(&self, problem: &Problem, solver: &str) -> Result<(), Error> {
        let lacking = if problem.has_cones() && !self.second_order_cone {
            Some("second-order cones")
        } else if problem.has_integers() && !self.integer {
            Some("integer variables")
        } else if problem.has_quadratic() && !self.quadratic {
            Some("quadratic objectives")
        } else if problem.has_integers() && problem.has_quadratic() && !self.integer_quadratic {
            Some("integer variables together with a quadratic objective")
        } else if problem.has_integers() && problem.has_cones() {
            Some("integer variables together with second-order cones")
        } else {
            None
        };
        match lacking {
            Some(class) => Err(Error::Unsupported {
                solver: solver.to_owned(),
                class,
            }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("linear")?;
        for (has, word) in [
            (self.quadratic, "quadratic"),
            (self.second_order_cone, "second-order cone"),
            (self.integer, "integer"),
            (self.integer_quadratic, "integer quadratic"),
            (self.duals, "duals"),
            (self.rays, "rays"),
            (self.time_limit, "time limit"),
            (self.cancel, "cancel"),
            (self.start, "start"),
            (self.progress, "progress"),
        ] {
            if has {
                write!(f, ", {word}")?;
            }
        }
        Ok(())
    }
}
