//! The same set with fewer rows.

use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::Array1;

use crate::error::check_tolerance;
use crate::linear::{entries, norm};
use crate::support::{Verdict, solve};
use crate::{Error, HPolytope};

/// Rows count as parallel up to this distance of their unit normals.
const PARALLEL: f64 = 1e-12;

/// How far beyond its offset a row is let go while it is tested, in units of its length: enough to see whether others stop it,
/// and the program stays bounded.
const RELEASE: f64 = 1.0;

impl HPolytope {
    /// The same set without rows that follow from the others: rows of zeros, all but the tightest of parallel rows, and
    /// then, from the last to the first, every row that the remaining ones keep within `tolerance` (a distance in the
    /// unit of the set, at least 0) of its offset. One linear program per row.
    ///
    /// The result contains the set and exceeds it by at most about `tolerance`; 0 keeps every row that the solver does not call
    /// redundant to the last digit, and 1e-7 is a reasonable choice for numbers around 1.
    ///
    /// # Errors
    /// [`Error::Domain`] for the tolerance, [`Error::Empty`] when the rows contradict each other, [`Error::Solver`].
    pub fn remove_redundant(
        &self,
        tolerance: f64,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        check_tolerance(tolerance)?;
        let empty = || Error::Empty {
            what: "the polytope",
        };
        let mut kept: Vec<usize> = Vec::new();
        let mut units: Vec<(Array1<f64>, f64)> = Vec::new();
        for (row, (normal, &offset)) in self
            .normals()
            .rows()
            .into_iter()
            .zip(self.offsets())
            .enumerate()
        {
            let length = norm(normal);
            if length == 0.0 {
                if offset < 0.0 {
                    return Err(empty());
                }
                continue;
            }
            let (unit, offset) = (&normal / length, offset / length);
            let parallel = units
                .iter()
                .position(|(other, _)| (&unit - other).iter().all(|off| off.abs() <= PARALLEL));
            match parallel {
                Some(at) if offset < units[at].1 => {
                    units[at] = (unit, offset);
                    kept[at] = row;
                }
                Some(_) => {}
                None => {
                    units.push((unit, offset));
                    kept.push(row);
                }
            }
        }
        if kept.is_empty() {
            return Ok(self.select(&[0]));
        }
        for at in (0..kept.len()).rev() {
            let mut builder = ProblemBuilder::new("redundant row");
            let x: Vec<_> = (0..self.dimension())
                .map(|k| builder.variable("", f64::NEG_INFINITY, f64::INFINITY, units[at].0[k]))
                .collect();
            for (other, (unit, offset)) in units.iter().enumerate() {
                let release = if other == at { RELEASE } else { 0.0 };
                let terms = entries(unit.view()).map(|(k, value)| (x[k], value));
                builder.row("", f64::NEG_INFINITY, terms, offset + release);
            }
            builder.maximise();
            match solve(&builder.build()?, solver, options)? {
                Verdict::Optimal(solution) => {
                    if solution.objective() <= units[at].1 + tolerance {
                        units.remove(at);
                        kept.remove(at);
                    }
                }
                Verdict::Infeasible => return Err(empty()),
                Verdict::Unbounded(direction) => {
                    return Err(Error::Unbounded {
                        what: "the polytope",
                        direction,
                    });
                }
            }
        }
        Ok(self.select(&kept))
    }
}
