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
    /// The data are bad: a file, its keys, or a problem that is impossible.
    #[error("{place}: {source}")]
    Input {
        /// The option whose data are bad.
        place: &'static str,
        /// What is wrong.
        source: Box<evflex::v2g::Error>,
    },
    /// A computation failed.
    #[error("{what}: {source}")]
    Computation {
        /// What was computed.
        what: &'static str,
        /// Why it failed.
        source: Box<evflex::v2g::Error>,
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
    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Option { option, reason }
    }

    pub(crate) fn input<E: Into<evflex::v2g::Error>>(place: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Input {
            place,
            source: Box::new(source.into()),
        }
    }

    pub(crate) fn computing<E: Into<evflex::v2g::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Computation {
            what,
            source: Box::new(source.into()),
        }
    }

    /// Exit status of a program that ends with this error: 2 for bad input, 1 for anything else.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Option { .. } | Self::Input { .. } => 2,
            _ => 1,
        }
    }
}
