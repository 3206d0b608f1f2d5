//! What a set is like: empty, bounded, its largest ball, its bounding box.

use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::{Array1, ArrayView1};

use crate::linear::{entries, largest, norm, null_vector};
use crate::support::{Maximum, Verdict, maximise, solve};
use crate::{AhPolytope, Error, HPolytope};

/// How many times the solver's tolerance a number must count to be believed.
const BELIEVED: f64 = 100.0;

/// The largest ball inside a polytope.
#[derive(Clone, Debug, PartialEq)]
pub struct Ball {
    /// Its centre, the Chebyshev centre.
    pub centre: Array1<f64>,
    /// Its Euclidean radius, in the unit of the set; 0 when the set is flat.
    pub radius: f64,
}

impl HPolytope {
    /// A typical distance of a row from the origin: the lower quartile of those that do not pass through it, so that many
    /// rows may be far away, as good as infinite. 0 when all pass through the origin.
    pub(crate) fn typical_distance(&self) -> f64 {
        let distances = self.distances();
        distances.get(distances.len() / 4).copied().unwrap_or(0.0)
    }

    /// The smallest distance of a row from the origin, of those that do not pass through it; 0 when all do.
    pub(crate) fn nearest_distance(&self) -> f64 {
        self.distances().first().copied().unwrap_or(0.0)
    }

    /// The positive distances of the rows from the origin, in order.
    fn distances(&self) -> Vec<f64> {
        let mut distances: Vec<f64> = self
            .normals()
            .rows()
            .into_iter()
            .zip(self.offsets())
            .filter_map(|(normal, offset)| {
                let length = norm(normal);
                (length > 0.0 && *offset != 0.0).then(|| offset.abs() / length)
            })
            .collect();
        distances.sort_by(f64::total_cmp);
        distances
    }

    /// The largest Euclidean ball inside: `max r` with `a_k·x + ‖a_k‖ r ≤ b_k` for every row.
    ///
    /// # Errors
    /// [`Error::Empty`] when every ball would have a negative radius (beyond a hundred times the solver's tolerance, relative to
    /// the coordinates of the centre or the nearest row that misses the origin), [`Error::Unbounded`] when the balls grow without limit,
    /// [`Error::Solver`].
    pub fn chebyshev(&self, solver: &dyn Solver, options: &Options) -> Result<Ball, Error> {
        let n = self.dimension();
        let mut builder = ProblemBuilder::new("Chebyshev centre");
        let x: Vec<_> = (0..n)
            .map(|_| builder.variable("", f64::NEG_INFINITY, f64::INFINITY, 0.0))
            .collect();
        let radius = builder.variable("radius", f64::NEG_INFINITY, f64::INFINITY, 1.0);
        for (normal, &offset) in self.normals().rows().into_iter().zip(self.offsets()) {
            let length = norm(normal);
            if length > 0.0 {
                let terms = entries(normal)
                    .map(|(k, value)| (x[k], value / length))
                    .chain([(radius, 1.0)]);
                builder.row("", f64::NEG_INFINITY, terms, offset / length);
            } else if offset < 0.0 {
                return Err(Error::Empty {
                    what: "the polytope",
                });
            }
        }
        builder.maximise();
        let solution = match solve(&builder.build()?, solver, options)? {
            Verdict::Optimal(solution) => solution,
            Verdict::Infeasible => {
                return Err(Error::Empty {
                    what: "the polytope",
                });
            }
            Verdict::Unbounded(mut direction) => {
                direction.truncate(n);
                return Err(Error::Unbounded {
                    what: "the polytope",
                    direction,
                });
            }
        };
        let found = solution.value(radius);
        let centre: Array1<f64> = x.iter().map(|&id| solution.value(id)).collect();
        if found < -BELIEVED * options.tolerance * self.extent(&centre) {
            return Err(Error::Empty {
                what: "the polytope",
            });
        }
        Ok(Ball {
            centre,
            radius: found.max(0.0),
        })
    }

    /// What lengths count against: the coordinates of a point of the set, or the nearest row that misses the origin.
    pub(crate) fn extent(&self, point: &Array1<f64>) -> f64 {
        let size = self.nearest_distance().max(largest(point));
        if size > 0.0 { size } else { 1.0 }
    }

    /// Checks that the set has points and is bounded, and returns its largest ball.
    ///
    /// Bounded means that `A x ≤ 0` has no solution but 0: one linear program for directions that leave some row
    /// behind, and the rank of `A` for directions that run along all rows.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Unbounded`] with a direction, [`Error::Solver`].
    pub fn check(&self, solver: &dyn Solver, options: &Options) -> Result<Ball, Error> {
        if let Some(direction) = null_vector(self.normals()) {
            // The centre is still asked for, so that an empty set is called empty.
            if self.is_empty(solver, options)? {
                return Err(Error::Empty {
                    what: "the polytope",
                });
            }
            return Err(Error::Unbounded {
                what: "the polytope",
                direction: direction.to_vec(),
            });
        }
        let ball = self.chebyshev(solver, options)?;
        let mut builder = ProblemBuilder::new("recession cone");
        let x: Vec<_> = (0..self.dimension())
            .map(|_| builder.variable("", -1.0, 1.0, 0.0))
            .collect();
        let mut costs = Array1::<f64>::zeros(self.dimension());
        for normal in self.normals().rows() {
            let length = norm(normal);
            if length > 0.0 {
                costs.scaled_add(-1.0 / length, &normal);
                let terms = entries(normal).map(|(k, value)| (x[k], value / length));
                builder.row("", f64::NEG_INFINITY, terms, 0.0);
            }
        }
        for (&variable, &cost) in x.iter().zip(&costs) {
            builder.set_cost(variable, cost);
        }
        builder.maximise();
        match solve(&builder.build()?, solver, options)? {
            Verdict::Optimal(solution) if solution.objective() <= BELIEVED * options.tolerance => {
                Ok(ball)
            }
            Verdict::Optimal(solution) => Err(Error::Unbounded {
                what: "the polytope",
                direction: solution.into_primal(),
            }),
            // A bounded problem that holds 0 is neither; an engine that says so is at its wits' end.
            Verdict::Infeasible | Verdict::Unbounded(_) => {
                Err(Error::Solver(evflex_solver::Error::Stopped {
                    problem: "recession cone".to_owned(),
                    reason: evflex_solver::StopReason::NumericalTrouble,
                }))
            }
        }
    }

    /// Whether no point satisfies all rows, by one linear program.
    ///
    /// # Errors
    /// [`Error::Solver`].
    pub fn is_empty(&self, solver: &dyn Solver, options: &Options) -> Result<bool, Error> {
        let nothing = Array1::zeros(self.dimension());
        Ok(matches!(
            maximise(
                self.normals(),
                self.offsets(),
                nothing.view(),
                solver,
                options
            )?,
            Maximum::Infeasible
        ))
    }

    /// The smallest box that holds the set, as lower and upper bounds: two support values per coordinate.
    ///
    /// # Errors
    /// As [`support`](Self::support).
    pub fn bounding_box(
        &self,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<(Array1<f64>, Array1<f64>), Error> {
        bounding_box(self.dimension(), |direction| {
            Ok(self.support(direction, solver, options)?.value)
        })
    }
}

impl AhPolytope {
    /// The smallest box that holds the set, as lower and upper bounds: two support values per coordinate.
    ///
    /// # Errors
    /// As [`support`](Self::support).
    pub fn bounding_box(
        &self,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<(Array1<f64>, Array1<f64>), Error> {
        bounding_box(self.dimension(), |direction| {
            Ok(self.support(direction, solver, options)?.value)
        })
    }
}

fn bounding_box(
    dimension: usize,
    support: impl Fn(ArrayView1<'_, f64>) -> Result<f64, Error>,
) -> Result<(Array1<f64>, Array1<f64>), Error> {
    let mut lower = Array1::zeros(dimension);
    let mut upper = Array1::zeros(dimension);
    let mut direction = Array1::zeros(dimension);
    for k in 0..dimension {
        direction[k] = 1.0;
        upper[k] = support(direction.view())?;
        direction[k] = -1.0;
        lower[k] = -support(direction.view())?;
        direction[k] = 0.0;
    }
    Ok((lower, upper))
}
