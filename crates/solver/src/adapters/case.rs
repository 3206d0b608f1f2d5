//! From an engine's claim to what can be shown of it.

use std::time::Instant;

use crate::adapters::engine::{
    Answer, Claim, Engine, Multipliers, optimal_point, out_of_time, run,
};
use crate::adapters::prepare::Prepared;
use crate::adapters::{polish, recover};
use crate::verify::{dual_cone_violation, largest, norm};
use crate::{
    Certificate, Duals, Error, Options, Outcome, Problem, Progress, ProgressReport, Solution,
    StopReason, verify,
};

/// One attempt at one prepared problem.
pub(crate) struct Case<'a> {
    pub engine: &'a dyn Engine,
    pub name: &'a str,
    pub prepared: &'a Prepared<'a>,
    pub options: &'a Options,
    pub started: Instant,
    pub attempt: usize,
}

impl Case<'_> {
    pub fn solve(&self) -> Result<Outcome, Error> {
        let mut options = self.options.clone();
        options.start = options
            .start
            .map(|point| self.prepared.reduce_point(&point));
        if let Some(listener) = options.progress.take() {
            let unit = self.prepared.restore_objective(1.0);
            options.progress = Some(Progress::new(move |report| {
                listener.report(&ProgressReport {
                    objective: report.objective.map(|value| value * unit),
                    bound: report.bound.map(|value| value * unit),
                    ..report.clone()
                });
            }));
        }
        self.conclude(run(
            self.engine,
            &self.prepared.reduced,
            &options,
            self.attempt,
        )?)
    }

    /// What can be shown of the engine's claim.
    pub fn conclude(&self, answer: Answer) -> Result<Outcome, Error> {
        tracing::debug!(solver = self.name, claim = ?answer.claim, problem = %self.prepared.original, "engine answered");
        let outcome = match answer.claim {
            Claim::Optimal => self.optimal(answer),
            Claim::Infeasible => self.infeasible(answer.farkas),
            Claim::Unbounded => self.unbounded(answer),
            Claim::Stopped(reason) => Ok(self.stopped(reason, answer)),
        }?;
        if let Some(solution) = outcome.best() {
            self.options.report(&ProgressReport {
                objective: Some(solution.objective()),
                bound: Some(solution.bound()),
                ..ProgressReport::new("done", 1)
            });
        }
        Ok(outcome)
    }

    fn rest(&self) -> Options {
        let mut rest = self.options.remaining(self.started);
        rest.start = None;
        rest
    }

    /// Feasibility, and for a continuous problem duals without gap.
    fn optimal(&self, answer: Answer) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        let Some(point) = answer.primal else {
            return Ok(self.trouble(None));
        };
        let sign = problem.sense.sign();
        let bound = answer
            .bound
            .map(|bound| sign * self.prepared.restore_objective(bound));
        if problem.has_integers() {
            // Where preparation has fixed all integers, the engine's optimum of the rest is the bound.
            let fixed = !self.prepared.reduced.has_integers();
            let optimum = || problem.objective(&self.clipped(&point)).ok();
            let bound = bound.or_else(|| if fixed { optimum() } else { None });
            return self.optimal_integer(&point, bound);
        }
        let point = self.clipped(&point);
        let no_cost = !problem.has_quadratic() && problem.costs.iter().all(|cost| *cost == 0.0);
        let multipliers = if no_cost {
            Some(zero_multipliers(problem))
        } else {
            answer
                .multipliers
                .map(|multipliers| self.clean(self.prepared.restore_multipliers(&multipliers)))
        };
        let multipliers = match multipliers {
            None if self.options.duals && problem.is_linear_program() => {
                let found = recover::duals(
                    self.engine,
                    &self.prepared.reduced,
                    &self.rest(),
                    self.attempt,
                )?;
                match found {
                    Ok(found) => Some(self.clean(self.prepared.restore_multipliers(&found))),
                    Err(claim) => return self.unproven(point, claim),
                }
            }
            other => other,
        };
        let bound = match &multipliers {
            None => bound.or_else(|| problem.objective(&point).ok()),
            Some(_) => None,
        };
        self.solution(point, multipliers, bound)
            .map(Outcome::Optimal)
    }

    /// A feasible point whose optimality the second solve could not confirm.
    fn unproven(&self, point: Vec<f64>, claim: Claim) -> Result<Outcome, Error> {
        let reason = match claim {
            Claim::Stopped(reason) => reason,
            _ => StopReason::NumericalTrouble,
        };
        Ok(Outcome::Stopped {
            reason,
            incumbent: Some(self.solution(point, None, None)?),
            bound: None,
        })
    }

    fn solution(
        &self,
        point: Vec<f64>,
        multipliers: Option<Multipliers>,
        bound: Option<f64>,
    ) -> Result<Solution, Error> {
        let duals = multipliers.map(|multipliers| Duals {
            rows: multipliers.rows,
            reduced_costs: Vec::new(),
            cones: multipliers.cones,
        });
        let mut solution = Solution::verified(
            self.prepared.original,
            self.name,
            point,
            duals,
            bound,
            self.options.tolerance,
        )?;
        if !self.options.duals {
            solution.duals = None;
        }
        Ok(solution)
    }

    /// Integer values are rounded; when the rounded point fails, the rest is optimised around them.
    fn optimal_integer(&self, point: &[f64], bound: Option<f64>) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        let Some(solution) = self.integer_solution(point, bound)? else {
            return Ok(self.trouble(None));
        };
        let bound = solution.bound();
        let sign = problem.sense.sign();
        // The claim of the engine was about its own point; ours may be worse after rounding.
        let gap = sign * (solution.objective() - bound) / solution.objective().abs().max(1.0);
        if gap <= self.options.gap + verify::ACCEPTANCE * self.options.tolerance {
            return Ok(Outcome::Optimal(solution));
        }
        Ok(Outcome::Stopped {
            reason: StopReason::NumericalTrouble,
            bound: bound.is_finite().then_some(bound),
            incumbent: Some(solution),
        })
    }

    fn integer_solution(
        &self,
        point: &[f64],
        bound: Option<f64>,
    ) -> Result<Option<Solution>, Error> {
        let problem = self.prepared.original;
        let mut rounded = self.clipped(point);
        for (value, kind) in rounded.iter_mut().zip(&problem.kinds) {
            if kind.is_integral() {
                if (*value - value.round()).abs() > verify::ACCEPTANCE * self.options.tolerance {
                    // Not a rounding matter: let the check refuse it by name.
                    return self.solution(rounded, None, bound).map(Some);
                }
                *value = value.round();
            }
        }
        let allowed = verify::ACCEPTANCE * self.options.tolerance;
        if verify::feasibility(problem, &rounded)?.primal() <= allowed {
            return self.solution(rounded, None, bound).map(Some);
        }
        let mut fixed = problem.clone();
        for (index, kind) in problem.kinds.iter().enumerate() {
            if kind.is_integral() {
                fixed.lower[index] = rounded[index];
                fixed.upper[index] = rounded[index];
                fixed.kinds[index] = crate::VariableKind::Continuous;
            }
        }
        match optimal_point(self.engine, &fixed, &self.rest(), self.attempt)? {
            Ok(point) => self.solution(point, None, bound).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A continuous problem is infeasible only with a ray to show; with integers the engine's search is the proof.
    fn infeasible(&self, farkas: Option<Multipliers>) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        if let Some(certificate) = farkas.and_then(|ray| self.farkas(&ray)) {
            return Ok(Outcome::Infeasible(Some(certificate)));
        }
        let linear = !problem.has_cones();
        let relaxed;
        let reduced = if problem.has_integers() {
            relaxed = self.prepared.reduced.relaxed();
            &relaxed
        } else {
            &self.prepared.reduced
        };
        let recovered = if linear {
            recover::farkas(self.engine, reduced, &self.rest(), self.attempt)
        } else {
            Ok(Err(Claim::Stopped(StopReason::NumericalTrouble)))
        };
        match recovered {
            Ok(Ok(ray)) => {
                if let Some(certificate) = self.farkas(&ray) {
                    return Ok(Outcome::Infeasible(Some(certificate)));
                }
            }
            Ok(Err(Claim::Stopped(reason))) if !problem.has_integers() => {
                return Ok(Outcome::Stopped {
                    reason,
                    incumbent: None,
                    bound: None,
                });
            }
            Ok(Err(_)) => {}
            Err(error) if problem.has_integers() => {
                tracing::debug!(%error, "the relaxation has no certificate");
            }
            Err(error) => return Err(error),
        }
        if problem.has_integers() {
            return Ok(Outcome::Infeasible(None));
        }
        Ok(self.trouble(None))
    }

    /// Needs a feasible point and a direction; without a feasible point the problem is infeasible.
    fn unbounded(&self, answer: Answer) -> Result<Outcome, Error> {
        let problem = self.prepared.original;
        let reduced = &self.prepared.reduced;
        let point = if let Some(point) = answer.primal {
            Some(point)
        } else {
            let feasibility = reduced.without_objective();
            let found = run_or_zero(self.engine, &feasibility, &self.rest(), self.attempt)?;
            match (found.claim, found.primal) {
                (Claim::Optimal, Some(point)) => Some(point),
                (Claim::Infeasible, _) => return self.infeasible(found.farkas),
                (Claim::Stopped(reason), _) => {
                    return Ok(Outcome::Stopped {
                        reason,
                        incumbent: None,
                        bound: None,
                    });
                }
                _ => None,
            }
        };
        let Some(point) = point else {
            return Ok(self.trouble(None));
        };
        let mut point = self.clipped(&point);
        if problem.has_integers() {
            match self.integer_solution(&self.prepared.reduce_point(&point), None)? {
                Some(solution) => point = solution.into_primal(),
                None => return Ok(self.trouble(None)),
            }
        }
        if let Some(certificate) = answer.ray.and_then(|ray| self.ray(&point, &ray)) {
            return Ok(Outcome::Unbounded(Some(certificate)));
        }
        if !problem.has_cones() {
            let relaxed = reduced.relaxed();
            let found = recover::ray(self.engine, &relaxed, &self.rest(), self.attempt)?;
            if let Ok(ray) = found
                && let Some(certificate) = self.ray(&point, &ray)
            {
                return Ok(Outcome::Unbounded(Some(certificate)));
            }
        }
        Ok(self.trouble(self.solution(point, None, None).ok()))
    }

    /// Whatever the engine says, duals without gap prove an optimum.
    fn stopped(&self, reason: StopReason, answer: Answer) -> Outcome {
        let problem = self.prepared.original;
        let sign = problem.sense.sign();
        let bound = answer
            .bound
            .map(|bound| sign * self.prepared.restore_objective(bound));
        let Some(point) = answer.primal else {
            return Outcome::Stopped {
                reason,
                incumbent: None,
                bound,
            };
        };
        if let Some(multipliers) = answer.multipliers
            && !problem.has_integers()
        {
            let multipliers = self.clean(self.prepared.restore_multipliers(&multipliers));
            if let Ok(solution) = self.solution(self.clipped(&point), Some(multipliers), None) {
                return Outcome::Optimal(solution);
            }
        }
        let incumbent = if problem.has_integers() {
            self.integer_solution(&point, bound).ok().flatten()
        } else {
            self.solution(self.clipped(&point), None, bound).ok()
        };
        Outcome::Stopped {
            reason,
            incumbent,
            bound,
        }
    }

    /// When an engine has no claim to make about a linear or quadratic program, the two linear programs that look
    /// for certificates may still be easy for it: both are feasible and bounded.
    pub fn last_resort(&self) -> Option<Outcome> {
        let problem = self.prepared.original;
        if problem.has_cones() || problem.has_integers() {
            return None;
        }
        let unbounded = self.unbounded(Answer::of(Claim::Unbounded));
        if let Ok(outcome @ (Outcome::Unbounded(_) | Outcome::Infeasible(_))) = unbounded {
            return Some(outcome);
        }
        match self.infeasible(None) {
            Ok(outcome @ Outcome::Infeasible(_)) => Some(outcome),
            _ => None,
        }
    }

    fn trouble(&self, incumbent: Option<Solution>) -> Outcome {
        tracing::debug!(solver = self.name, "a claim could not be proven");
        Outcome::Stopped {
            reason: StopReason::NumericalTrouble,
            incumbent,
            bound: None,
        }
    }

    /// The full point, moved onto bounds that it oversteps: a step back by rounding costs nothing, and a
    /// larger one shows in the rows.
    fn clipped(&self, reduced: &[f64]) -> Vec<f64> {
        let problem = self.prepared.original;
        let mut point = self.prepared.restore_point(reduced);
        for (index, value) in point.iter_mut().enumerate() {
            if *value < problem.lower[index] {
                *value = problem.lower[index];
            } else if *value > problem.upper[index] {
                *value = problem.upper[index];
            }
        }
        point
    }

    /// Multipliers with the signs that their sides allow, in their cones. What this changes shows in the reduced
    /// costs, which are recomputed.
    fn clean(&self, mut multipliers: Multipliers) -> Multipliers {
        let problem = self.prepared.original;
        for (row, value) in multipliers.rows.iter_mut().enumerate() {
            let open = (*value > 0.0 && problem.row_lower[row] == f64::NEG_INFINITY)
                || (*value < 0.0 && problem.row_upper[row] == f64::INFINITY);
            if open {
                *value = 0.0;
            }
        }
        for multiplier in &mut multipliers.cones {
            if dual_cone_violation(multiplier) > 0.0 {
                multiplier[0] = norm(multiplier.iter().skip(1).copied());
            }
        }
        multipliers
    }

    /// A certificate from multipliers of the reduced problem: the first that passes its check among versions
    /// with more and more small entries dropped as noise, each as it is and polished.
    fn farkas(&self, ray: &Multipliers) -> Option<Certificate> {
        let size = largest(ray.rows.iter().chain(ray.cones.iter().flatten()).copied());
        if !(size.is_finite() && size > 0.0) {
            return None;
        }
        NOISE.iter().find_map(|noise| {
            let keep = |value: &f64| {
                if value.abs() > noise * size {
                    *value
                } else {
                    0.0
                }
            };
            let mut kept = Multipliers {
                rows: ray.rows.iter().map(keep).collect(),
                cones: ray
                    .cones
                    .iter()
                    .map(|cone| cone.iter().map(keep).collect())
                    .collect(),
            };
            self.farkas_certificate(&kept).or_else(|| {
                polish::farkas(&self.prepared.reduced, &mut kept);
                self.farkas_certificate(&kept)
            })
        })
    }

    fn farkas_certificate(&self, kept: &Multipliers) -> Option<Certificate> {
        let full = self.clean(self.prepared.restore_multipliers(kept));
        let size = largest(full.rows.iter().chain(full.cones.iter().flatten()).copied());
        let full = self.clean(Multipliers {
            rows: full.rows.iter().map(|value| value / size).collect(),
            cones: full
                .cones
                .iter()
                .map(|cone| cone.iter().map(|value| value / size).collect())
                .collect(),
        });
        let certificate = Certificate::Farkas {
            rows: full.rows,
            cones: full.cones,
        };
        self.passes(&certificate).then_some(certificate)
    }

    /// The same for a direction of the reduced problem.
    fn ray(&self, point: &[f64], ray: &[f64]) -> Option<Certificate> {
        let size = largest(ray.iter().copied());
        if !(size.is_finite() && size > 0.0) {
            return None;
        }
        let reduced = &self.prepared.reduced;
        NOISE.iter().find_map(|noise| {
            let mut kept: Vec<f64> = ray
                .iter()
                .enumerate()
                .map(|(index, &value)| {
                    let blocked = (value < 0.0 && reduced.lower[index].is_finite())
                        || (value > 0.0 && reduced.upper[index].is_finite());
                    if blocked || value.abs() <= noise * size {
                        0.0
                    } else {
                        value
                    }
                })
                .collect();
            self.ray_certificate(point, &kept).or_else(|| {
                polish::ray(reduced, &mut kept);
                self.ray_certificate(point, &kept)
            })
        })
    }

    fn ray_certificate(&self, point: &[f64], kept: &[f64]) -> Option<Certificate> {
        let size = largest(kept.iter().copied());
        let mut direction = self.prepared.restore_direction(kept);
        for value in &mut direction {
            *value /= size;
        }
        let certificate = Certificate::Ray {
            point: point.to_vec(),
            direction,
        };
        self.passes(&certificate).then_some(certificate)
    }

    fn passes(&self, certificate: &Certificate) -> bool {
        let checked = verify::certificate(
            self.prepared.original,
            certificate,
            self.name,
            self.options.tolerance,
        );
        if let Err(error) = &checked {
            tracing::trace!(%error, "certificate refused");
        }
        checked.is_ok()
    }
}

/// Entries of a ray below these parts of its largest are dropped as noise, one after the other.
const NOISE: [f64; 4] = [0.0, 1e-10, 1e-8, 1e-6];

/// A feasibility problem, which needs no engine when it has bounds alone.
fn run_or_zero(
    engine: &dyn Engine,
    problem: &Problem,
    options: &Options,
    attempt: usize,
) -> Result<Answer, Error> {
    if let Some(reason) = out_of_time(options) {
        return Ok(Answer::of(Claim::Stopped(reason)));
    }
    run(engine, problem, options, attempt)
}

fn zero_multipliers(problem: &Problem) -> Multipliers {
    Multipliers {
        rows: vec![0.0; problem.row_count()],
        cones: problem
            .cones
            .iter()
            .map(|cone| vec![0.0; cone.parts.len() + 1])
            .collect(),
    }
}
