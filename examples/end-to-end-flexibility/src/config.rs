//! Everything that can be chosen about a run, as plain structs that the command line fills.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use evflex::flexibility::ObjectiveKind;
use evflex::solver::{Cancel, Options, Progress};
use jiff::civil::{Date, DateTime};

use crate::error::Error;

/// Gap at which a decision counts as optimal, a fraction.
pub const DEFAULT_GAP: f64 = 1e-6;
/// Charge on the largest power, EUR/kW per day of the horizon: 15 EUR/kW per month.
pub const DEFAULT_DEMAND_RATE_PER_DAY: f64 = 0.5;
/// Zone of the German market, and of everything whose zone nobody named.
pub const DEFAULT_ZONE: &str = "Europe/Berlin";

/// What every run has.
#[derive(Clone, Debug, clap::Args)]
pub struct RunConfig {
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Relative gap at which a decision counts as optimal
    #[arg(long, default_value_t = DEFAULT_GAP)]
    pub gap: f64,
    /// Seconds after which a decision ends with what it has; default: none
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<f64>,
    /// Worker threads; default: one per core
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Folder for tables and figures; created if it is missing
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/end-to-end-flexibility"
    )]
    pub out_dir: PathBuf,
    /// Also write the summary here; `-` is standard output
    #[arg(long, value_name = "FILE.json")]
    pub output: Option<PathBuf>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            gap: DEFAULT_GAP,
            time_limit: None,
            threads: None,
            out_dir: "target/end-to-end-flexibility".into(),
            output: None,
        }
    }
}

impl RunConfig {
    /// Options of one decision.
    ///
    /// # Errors
    /// [`Error::Option`] for a gap or time limit that makes no sense.
    pub(crate) fn options(&self, control: &Control) -> Result<Options, Error> {
        if !(self.gap.is_finite() && self.gap >= 0.0) {
            return Err(Error::option(
                "--gap",
                format!("{} is no relative gap; it must be 0 or more", self.gap),
            ));
        }
        let mut options = Options::default()
            .gap(self.gap)
            .seed(self.seed)
            .cancel(control.cancel.clone());
        if let Some(seconds) = self.time_limit {
            let limit = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|limit| !limit.is_zero());
            options = options.time_limit(limit.ok_or_else(|| {
                Error::option(
                    "--time-limit",
                    format!("{seconds} is no time; it must be a number of seconds above 0"),
                )
            })?);
        }
        Ok(options)
    }

    /// Runs `work` on the number of threads asked for.
    pub(crate) fn on_threads<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let Some(threads) = self.threads else {
            return work();
        };
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .build()
            .map_err(|error| Error::Threads {
                threads: threads.get(),
                reason: error.to_string(),
            })?
            .install(work)
    }
}

/// How a run is watched and stopped.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Is told about progress.
    pub progress: Option<Progress>,
    /// Stops the run when it is cancelled.
    pub cancel: Cancel,
}

/// How the fleet's profile is handed to the vehicles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Disaggregation {
    /// Fair for fleets that are small enough for its quadratic program, otherwise the mixture.
    #[default]
    Auto,
    /// Every vehicle follows its share of the profile as closely as it can.
    Fair,
    /// Every vehicle follows the mixture of vertices that the decision is made of: any size of fleet.
    Mixture,
}

/// What becomes of sessions that reach over the end of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WindowEnd {
    /// The horizon is extended to the last departure of the sessions that arrive in the window.
    #[default]
    Extend,
    /// They are left out, and counted.
    LeaveOut,
    /// They are cut, with the share of the energy that the part inside has of the time, and counted.
    Cut,
}

/// A run of `schedule`: one fleet, one decision.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ScheduleConfig {
    /// Fleet in JSON; `-` is standard input
    #[arg(long, value_name = "FLEET.json", conflicts_with_all = ["sessions", "population"], help_heading = "Fleet")]
    pub input: Option<PathBuf>,
    /// Charging sessions in CSV
    #[arg(
        long,
        value_name = "FILE.csv",
        conflicts_with = "population",
        help_heading = "Fleet"
    )]
    pub sessions: Option<PathBuf>,
    /// Generate the population of `thanvantri2025`, Appendix C, from this seed; the default, with the seed of --seed
    #[arg(long, value_name = "SEED", help_heading = "Fleet")]
    pub population: Option<u64>,
    /// Size of a generated population; default: 25
    #[arg(long, value_name = "N", conflicts_with_all = ["input", "sessions"], help_heading = "Fleet")]
    pub vehicles: Option<NonZeroUsize>,
    /// A generated population only charges
    #[arg(long, conflicts_with_all = ["input", "sessions"], help_heading = "Fleet")]
    pub charging_only: bool,
    /// Sessions may feed back what they have received
    #[arg(long, requires = "sessions", help_heading = "Fleet")]
    pub v2g: bool,
    /// Leave out and count the rows of the sessions file that cannot be read, instead of refusing the file
    #[arg(long, requires = "sessions", help_heading = "Fleet")]
    pub skip_bad_rows: bool,

    /// First step, a date or a local clock time; default for sessions: the first Monday, midnight, that the file covers
    #[arg(long, value_name = "TIME", help_heading = "Window")]
    pub start: Option<DateTime>,
    /// Length of the window of sessions in days; default: 7, or what the file covers
    #[arg(
        long,
        requires = "sessions",
        conflicts_with = "steps",
        help_heading = "Window"
    )]
    pub days: Option<NonZeroUsize>,
    /// Length of the window in steps
    #[arg(long, conflicts_with = "input", help_heading = "Window")]
    pub steps: Option<NonZeroUsize>,
    /// Length of a step; default: 60
    #[arg(
        long,
        value_name = "MINUTES",
        conflicts_with = "input",
        help_heading = "Window"
    )]
    pub step_minutes: Option<f64>,
    /// Zone of clock times without one; default: Europe/Berlin for generated fleets, none for sessions
    #[arg(long, help_heading = "Window")]
    pub zone: Option<String>,
    /// Sessions that leave after the end of the window
    #[arg(
        long,
        value_enum,
        default_value_t,
        requires = "sessions",
        help_heading = "Window"
    )]
    pub window_end: WindowEnd,

    /// Prices in CSV: `timestamp_utc` and a column in EUR/MWh
    #[arg(long, value_name = "FILE.csv", help_heading = "Prices and loads")]
    pub prices: Option<PathBuf>,
    /// Column of the prices, if there are several
    #[arg(
        long,
        requires = "prices",
        value_name = "NAME",
        help_heading = "Prices and loads"
    )]
    pub price_column: Option<String>,
    /// Day from which prices are taken: the first with the weekday of the first step; default: the day of the first step, or the first day of the file
    #[arg(
        long,
        requires = "prices",
        value_name = "DATE",
        help_heading = "Prices and loads"
    )]
    pub price_start: Option<Date>,
    /// Zone on whose local clock prices are joined
    #[arg(long, value_name = "ZONE", default_value = DEFAULT_ZONE, help_heading = "Prices and loads")]
    pub price_zone: Option<String>,
    /// Loads in CSV: one row per night (`date`, `h15` ..) or per instant (`timestamp_local` ..), kW
    #[arg(long, value_name = "FILE.csv", help_heading = "Prices and loads")]
    pub loads: Option<PathBuf>,
    /// Column of the loads, instead of the sum of all
    #[arg(
        long,
        requires = "loads",
        value_name = "NAME",
        help_heading = "Prices and loads"
    )]
    pub load_column: Option<String>,
    /// Day from which loads are taken, as --price-start
    #[arg(
        long,
        requires = "loads",
        value_name = "DATE",
        help_heading = "Prices and loads"
    )]
    pub load_date: Option<Date>,

    /// What is minimised; default: energy with prices alone, peak otherwise
    #[arg(long, value_parser = objective_parser(), help_heading = "Decision")]
    pub objective: Option<ObjectiveKind>,
    /// Charge on the largest power over the horizon; default: 0.5 EUR/kW per day
    #[arg(long, value_name = "EUR/kW", help_heading = "Decision")]
    pub demand_rate: Option<f64>,
    /// Profile to track: a CSV with the column `power_kw`, one row per step; default: the flat profile with the least energy of the fleet
    #[arg(long, value_name = "FILE.csv", help_heading = "Decision")]
    pub target: Option<PathBuf>,
    /// How the profile is handed to the vehicles
    #[arg(long, value_enum, default_value_t, help_heading = "Decision")]
    pub disaggregation: Disaggregation,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the help text")]
    pub run: RunConfig,
}

/// A run of `populations`: several populations, days and all four decisions.
#[derive(Clone, Debug, clap::Args)]
pub struct PopulationsConfig {
    /// Number of populations, with the seeds --seed, --seed + 1 and so on
    #[arg(long, default_value = "10")]
    pub populations: NonZeroUsize,
    /// Vehicles of each population
    #[arg(long, default_value = "25")]
    pub vehicles: NonZeroUsize,
    /// Number of days, the last ones of the 184 embedded ones
    #[arg(long, default_value = "37")]
    pub days: NonZeroUsize,
    /// Charge on the largest power of a day, EUR/kW
    #[arg(long, value_name = "EUR/kW", default_value_t = DEFAULT_DEMAND_RATE_PER_DAY)]
    pub demand_rate: f64,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the help text")]
    pub run: RunConfig,
}

impl Default for PopulationsConfig {
    fn default() -> Self {
        const fn count(n: usize) -> NonZeroUsize {
            match NonZeroUsize::new(n) {
                Some(n) => n,
                None => NonZeroUsize::MIN,
            }
        }
        Self {
            populations: const { count(10) },
            vehicles: const { count(25) },
            days: const { count(37) },
            demand_rate: DEFAULT_DEMAND_RATE_PER_DAY,
            run: RunConfig::default(),
        }
    }
}

/// The names of decisions as [`ObjectiveKind`] prints them.
fn objective_parser() -> impl TypedValueParser<Value = ObjectiveKind> {
    PossibleValuesParser::new(["peak", "energy", "demand-charge", "tracking"]).map(
        |name| match name.as_str() {
            "energy" => ObjectiveKind::Energy,
            "demand-charge" => ObjectiveKind::DemandCharge,
            "tracking" => ObjectiveKind::Tracking,
            _ => ObjectiveKind::Peak,
        },
    )
}
