//! What can go wrong in a run, and the exit status that it has.

use std::path::PathBuf;

/// The error of the program. Its text is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option has a value that makes no sense, or does not go with the others.
    #[error("{option}: {reason}")]
    Option {
        /// The option as it is written on the command line.
        option: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The data are bad: a file, its rows, its keys, or a vehicle that is impossible.
    #[error("{place}: {source}")]
    Input {
        /// The option whose data are bad, as it is written on the command line.
        place: &'static str,
        /// What is wrong, with file, line or key.
        source: evflex::fleet::Error,
    },
    /// The vehicles do not allow what was asked for.
    #[error("{place}: {source}")]
    Vehicles {
        /// The option that the vehicles come from.
        place: &'static str,
        /// What is wrong with which vehicle.
        source: Box<evflex::flexibility::Error>,
    },
    /// A computation failed.
    #[error("{what}: {source}")]
    Computation {
        /// What was computed.
        what: &'static str,
        /// Why it failed.
        source: Box<evflex::flexibility::Error>,
    },
    /// A set of a comparison failed.
    #[error("{method}, seed {seed}: {source}")]
    Method {
        /// The method as `--methods` names it.
        method: &'static str,
        /// Seed of the population.
        seed: u64,
        /// What happened.
        source: Box<Error>,
    },
    /// The run was cancelled.
    #[error("cancelled; nothing was written")]
    Cancelled,
    /// A result did not pass its check; it is not written.
    #[error("the check of the {what} failed: {reason}; nothing was written")]
    Check {
        /// What was checked.
        what: &'static str,
        /// The numbers.
        reason: String,
    },
    /// The worker threads could not be started.
    #[error("--threads: could not start {threads} worker threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// A figure could not be drawn.
    #[error("drawing {figure}: {reason}")]
    Figure {
        /// File name of the figure.
        figure: &'static str,
        /// What the drawing library said.
        reason: String,
    },
    /// A result could not be written.
    #[error("writing {path}: {reason}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Bad value of an option.
    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Option { option, reason }
    }

    /// Bad data behind an option.
    pub(crate) fn input(place: &'static str) -> impl Fn(evflex::fleet::Error) -> Self {
        move |source| Self::Input { place, source }
    }

    /// A failed computation.
    pub(crate) fn computing<E: Into<evflex::flexibility::Error>>(
        what: &'static str,
    ) -> impl Fn(E) -> Self {
        move |source| Self::Computation {
            what,
            source: Box::new(source.into()),
        }
    }

    /// Exit status of a program that ends with this error: 2 for bad input, 1 for anything else.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Option { .. } | Self::Input { .. } | Self::Vehicles { .. } => 2,
            Self::Method { source, .. } => source.exit_status(),
            _ => 1,
        }
    }
}
