//! The default run: every aggregate set on three decisions over several populations, against the exact set.
//!
//! The tasks, the split of the days and the populations are those of `thanvantri2025`, section 5 and
//! Appendix C, and two harder ones of ours ([`Task`]); the sets are those of [`METHODS`].

mod method;
mod results;
mod run;
mod task;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::{Control, RunConfig};
use crate::error::Error;
use crate::report::Report;

pub use method::{Built, Case, Kind, METHODS, Method, Refusal};
pub use results::{CompareSummary, Estimate, MethodResult};
pub use run::{Row, SOUNDNESS};
pub use task::{Days, TEST_DAYS, Task};

/// Which days train and which test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Drawn from the whole season by the seed of the run.
    #[default]
    Shuffled,
    /// The first days train, the last ones test.
    Chronological,
}

/// A run of `compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareConfig {
    /// The full tables: ten populations, variants of methods, every profile handed to the vehicles and checked
    #[arg(long)]
    pub full: bool,
    /// One fleet from a file instead of populations; `-` is standard input
    #[arg(long, value_name = "FLEET.json", conflicts_with_all = ["populations", "vehicles"])]
    pub input: Option<PathBuf>,
    /// Number of populations, with the seeds --seed, --seed + 1 and so on; default: 5, with --full 10
    #[arg(long)]
    pub populations: Option<NonZeroUsize>,
    /// Vehicles of each population
    #[arg(long, default_value = "25")]
    pub vehicles: NonZeroUsize,
    /// Number of test days; default: all
    #[arg(long)]
    pub days: Option<NonZeroUsize>,
    /// Number of training days; default: all
    #[arg(long)]
    pub train_days: Option<NonZeroUsize>,
    /// Which days train and which test
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Loads in CSV, one row per night (`date`, `h15` ..), kW; nights from 1 May to 31 October are used
    #[arg(long, value_name = "FILE.csv")]
    pub loads: Option<PathBuf>,
    /// Price profiles whose optima are the points of a hull
    #[arg(long, default_value = "110")]
    pub samples: NonZeroUsize,
    /// Sets to compare, by name; default: all, without --full no variants of one method
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub methods: Vec<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the help text")]
    pub run: RunConfig,
}

impl Default for CompareConfig {
    fn default() -> Self {
        const fn count(n: usize) -> NonZeroUsize {
            match NonZeroUsize::new(n) {
                Some(n) => n,
                None => NonZeroUsize::MIN,
            }
        }
        Self {
            full: false,
            input: None,
            populations: None,
            vehicles: const { count(25) },
            days: None,
            train_days: None,
            split: Split::default(),
            loads: None,
            samples: const { count(110) },
            methods: Vec::new(),
            run: RunConfig::default(),
        }
    }
}

impl CompareConfig {
    /// The methods asked for, always with the exact set, in the order of [`METHODS`].
    fn methods(&self) -> Result<Vec<&'static Method>, Error> {
        if let Some(unknown) = self
            .methods
            .iter()
            .find(|name| METHODS.iter().all(|method| method.id != **name))
        {
            let known: Vec<&str> = METHODS.iter().map(|method| method.id).collect();
            return Err(Error::option(
                "--methods",
                format!("there is no `{unknown}`; known are {}", known.join(", ")),
            ));
        }
        let asked = |method: &&Method| {
            (self.methods.is_empty() && (self.full || !method.variant))
                || method.kind == Kind::Exact
                || self.methods.iter().any(|name| name == method.id)
        };
        Ok(METHODS.iter().filter(asked).collect())
    }
}

/// Compares the sets and draws up the report. Writes nothing.
///
/// # Errors
/// Every [`Error`]; [`Error::Check`] also if an inner set costs less than the exact one or an outer
/// set more.
pub fn compare(config: &CompareConfig, control: &Control) -> Result<Report, Error> {
    config.run.on_threads(|| {
        let started = std::time::Instant::now();
        let methods = config.methods()?;
        let results = run::run(config, control, &methods)?;
        results::report(config, &methods, &results, started)
    })
}
