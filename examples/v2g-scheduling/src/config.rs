//! Everything that can be chosen about a run, as plain structs that the command line fills.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use evflex::solver::{Cancel, Options, Solver};
use evflex::v2g::Formulation;

use crate::error::Error;

/// Gap at which a decomposition stops, a fraction.
pub const DECOMPOSITION_GAP: f64 = 1e-4;
/// Gap at which a mixed-integer program counts as solved.
pub const MILP_GAP: f64 = 1e-6;

/// What every run has.
#[derive(Clone, Debug, clap::Args)]
pub struct RunConfig {
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Relative gap at which a schedule counts as optimal; default: 1e-4 for decomposition, 1e-6 for milp
    #[arg(long)]
    pub gap: Option<f64>,
    /// Worker threads; default: one per core
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Folder for tables and figures; created if it is missing
    #[arg(long, value_name = "DIR", default_value = "target/v2g-scheduling")]
    pub out_dir: PathBuf,
    /// Also write the summary here; `-` is standard output
    #[arg(long, value_name = "FILE.json")]
    pub output: Option<PathBuf>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            gap: None,
            threads: None,
            out_dir: "target/v2g-scheduling".into(),
            output: None,
        }
    }
}

impl RunConfig {
    /// Options of one solve.
    ///
    /// # Errors
    /// [`Error::Option`] for a gap or time limit that makes no sense.
    pub(crate) fn options(
        &self,
        method: Method,
        time_limit: Option<f64>,
        cancel: &Cancel,
    ) -> Result<Options, Error> {
        let gap = self.gap.unwrap_or(match method {
            Method::Decomposition => DECOMPOSITION_GAP,
            Method::Milp => MILP_GAP,
        });
        if !(gap.is_finite() && gap >= 0.0) {
            let reason = format!("{gap} is no relative gap; it must be 0 or more");
            return Err(Error::option("--gap", reason));
        }
        let mut options = Options::default()
            .gap(gap)
            .seed(self.seed)
            .cancel(cancel.clone());
        if let Some(threads) = self.threads {
            options = options.threads(threads.get());
        }
        if let Some(seconds) = time_limit {
            let limit = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|limit| !limit.is_zero());
            options = options.time_limit(limit.ok_or_else(|| {
                let reason =
                    format!("{seconds} is no time; it must be a number of seconds above 0");
                Error::option("--time-limit", reason)
            })?);
        }
        Ok(options)
    }
}

/// How a problem is solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Bounds from prices, schedules from dynamic programs: any size of fleet.
    #[default]
    Decomposition,
    /// The mixed-integer program.
    Milp,
}

/// Formulation of the switching rule in the mixed-integer program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Rows {
    /// Pairs of switches.
    Pairwise,
    /// Windows of switches.
    Window,
    /// A switch fixes the modes after it.
    Precedence,
    /// Starts and stops.
    #[default]
    RajanTakriti,
}

impl From<Rows> for Formulation {
    fn from(rows: Rows) -> Self {
        match rows {
            Rows::Pairwise => Self::Pairwise,
            Rows::Window => Self::Window,
            Rows::Precedence => Self::Precedence,
            Rows::RajanTakriti => Self::RajanTakriti,
        }
    }
}

/// Whether the program was built with an engine for large mixed-integer programs.
pub const LARGE_PROGRAMS: bool = cfg!(feature = "highs");

/// The engine of mixed-integer programs.
#[must_use]
pub fn solver() -> Box<dyn Solver> {
    #[cfg(feature = "highs")]
    return Box::new(evflex::solver::Highs::default());
    #[cfg(not(feature = "highs"))]
    Box::new(evflex::solver::Microlp::default())
}
