//! How long to look, how close is close enough, and how to be told or stopped on the way.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Error;

/// Settings that every long computation takes.
///
/// ```
/// use std::time::Duration;
/// use evflex_solver::Options;
///
/// let options = Options::default().time_limit(Duration::from_secs(30)).gap(1e-4);
/// assert_eq!(options.gap, 1e-4);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Wall-clock limit. Default: none.
    pub time_limit: Option<Duration>,
    /// Relative gap at which a mixed-integer answer counts as optimal:
    /// `|objective − bound| ≤ gap · max(1, |objective|)`. Default: `1e-6`.
    pub gap: f64,
    /// Feasibility and optimality tolerance, relative to the magnitudes that enter each row
    /// ([`verify`](crate::verify)). Default: `1e-8`.
    pub tolerance: f64,
    /// Number of threads an engine may use. Default: the engine's own choice.
    pub threads: Option<usize>,
    /// Seed for engines that make random choices. Default: 0.
    pub seed: u64,
    /// A point to start from, one value per variable. Engines without warm starts ignore it. Default: none.
    pub start: Option<Vec<f64>>,
    /// Whether duals of a continuous problem are wanted. Engines that do not report them need a second
    /// solve, which also proves the optimum; `false` saves it and takes the engine's word. Default: true.
    pub duals: bool,
    /// Who is told about progress. Default: nobody.
    pub progress: Option<Progress>,
    /// The handle that stops the computation. Default: never cancelled.
    pub cancel: Cancel,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_limit: None,
            gap: 1e-6,
            tolerance: 1e-8,
            threads: None,
            seed: 0,
            start: None,
            duals: true,
            progress: None,
            cancel: Cancel::default(),
        }
    }
}

impl Options {
    /// Stops after `limit` of wall-clock time.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Accepts a mixed-integer answer within this relative gap.
    #[must_use]
    pub fn gap(mut self, gap: f64) -> Self {
        self.gap = gap;
        self
    }

    /// Asks for this relative feasibility and optimality tolerance.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Lets an engine use up to `threads` threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Seeds the random choices of an engine.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Offers a point to start from, one value per variable.
    #[must_use]
    pub fn start(mut self, start: Vec<f64>) -> Self {
        self.start = Some(start);
        self
    }

    /// Says whether duals are wanted.
    #[must_use]
    pub fn duals(mut self, duals: bool) -> Self {
        self.duals = duals;
        self
    }

    /// Reports progress to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops when `cancel` is cancelled.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Checks the ranges of all options; every adapter asks before it starts.
    ///
    /// `variables` is the number of variables of the problem, which the start point must match.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the option; [`Error::Length`] and [`Error::NotFinite`] concern the
    /// start point.
    pub fn validate(&self, variables: usize) -> Result<(), Error> {
        if !(self.gap >= 0.0 && self.gap.is_finite()) {
            return Err(Error::InvalidOption {
                option: "gap",
                value: self.gap,
                allowed: "it is a relative gap, 0 or more",
            });
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(Error::InvalidOption {
                option: "tolerance",
                value: self.tolerance,
                allowed: "it is relative and lies between 0 and 1, both excluded",
            });
        }
        if self.threads == Some(0) {
            return Err(Error::InvalidOption {
                option: "threads",
                value: 0.0,
                allowed: "give 1 or more, or leave it out",
            });
        }
        if let Some(start) = &self.start {
            if start.len() != variables {
                return Err(Error::Length {
                    what: "the start point",
                    expected: variables,
                    found: start.len(),
                });
            }
            if let Some((index, value)) = start.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return Err(Error::NotFinite {
                    what: "value",
                    of: format!("entry {index} of the start point"),
                    value: *value,
                });
            }
        }
        Ok(())
    }

    /// The same options with what is left of the time limit since `started`; zero when it has run out.
    ///
    /// A computation that solves several problems hands each the rest of its own time.
    #[must_use]
    pub fn remaining(&self, started: Instant) -> Self {
        let mut rest = self.clone();
        rest.time_limit = self
            .time_limit
            .map(|limit| limit.saturating_sub(started.elapsed()));
        rest
    }

    /// Tells the listener, if there is one.
    pub fn report(&self, report: &ProgressReport) {
        if let Some(progress) = &self.progress {
            progress.report(report);
        }
    }
}

/// A handle that stops a computation from another thread. Clones share one state.
///
/// ```
/// use evflex_solver::Cancel;
/// let cancel = Cancel::new();
/// let elsewhere = cancel.clone();
/// elsewhere.cancel();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A handle that is not cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every computation that holds this handle to stop soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) has been called on this handle or a clone of it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A listener for progress; called from the computing thread, so it should return quickly.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&ProgressReport) + Send + Sync>);

impl Progress {
    /// Wraps a closure.
    pub fn new(listener: impl Fn(&ProgressReport) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Calls the listener.
    pub fn report(&self, report: &ProgressReport) {
        (self.0)(report);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress(..)")
    }
}

/// One progress message.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressReport {
    /// What is being done, for instance `interior point` or `branch and bound`.
    pub stage: Cow<'static, str>,
    /// Steps done: iterations, nodes, vehicles.
    pub done: u64,
    /// Steps in all, when known.
    pub total: Option<u64>,
    /// Best objective so far, in the sense of the problem.
    pub objective: Option<f64>,
    /// Best proven bound so far, in the sense of the problem.
    pub bound: Option<f64>,
}

impl ProgressReport {
    /// A report of `done` steps of `stage`, without totals or values.
    pub fn new(stage: impl Into<Cow<'static, str>>, done: u64) -> Self {
        Self {
            stage: stage.into(),
            done,
            total: None,
            objective: None,
            bound: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_options_are_valid() {
        assert!(Options::default().validate(3).is_ok());
    }

    #[test]
    fn bad_options_are_named() {
        let cases = [
            (Options::default().gap(f64::NAN), "gap"),
            (Options::default().gap(-1.0), "gap"),
            (Options::default().tolerance(0.0), "tolerance"),
            (Options::default().tolerance(f64::NAN), "tolerance"),
            (Options::default().threads(0), "threads"),
            (Options::default().start(vec![0.0]), "start point"),
            (Options::default().start(vec![0.0, f64::NAN]), "entry 1"),
        ];
        for (options, word) in cases {
            let message = options.validate(2).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn remaining_time_never_grows() {
        let options = Options::default().time_limit(Duration::from_secs(5));
        let rest = options.remaining(Instant::now());
        assert!(rest.time_limit <= options.time_limit);
        assert!(
            Options::default()
                .remaining(Instant::now())
                .time_limit
                .is_none()
        );
    }

    #[test]
    fn progress_reaches_its_listener() {
        let seen = Arc::new(AtomicBool::new(false));
        let flag = seen.clone();
        let options = Options::default().progress(Progress::new(move |report| {
            flag.store(report.done == 7, Ordering::Relaxed);
        }));
        options.report(&ProgressReport::new("nodes", 7));
        assert!(seen.load(Ordering::Relaxed));
    }
}
