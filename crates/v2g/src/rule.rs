//! Switching rules between charging and discharging.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// What a vehicle does in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Draws energy from the grid.
    Charge,
    /// Neither.
    Idle,
    /// Feeds energy into the grid.
    Discharge,
}

impl Activity {
    /// The activity of a power: idle within `tolerance_kw` of zero.
    ///
    /// ```
    /// use evflex_v2g::Activity;
    /// assert_eq!(Activity::of_power(-3.0, 1e-6), Activity::Discharge);
    /// assert_eq!(Activity::of_power(1e-9, 1e-6), Activity::Idle);
    /// ```
    #[must_use]
    pub fn of_power(power_kw: f64, tolerance_kw: f64) -> Self {
        if power_kw > tolerance_kw {
            Self::Charge
        } else if power_kw < -tolerance_kw {
            Self::Discharge
        } else {
            Self::Idle
        }
    }

    /// Reads a sequence of `C`, `I` and `D`; `None` for any other letter.
    #[must_use]
    pub fn sequence(text: &str) -> Option<Vec<Self>> {
        let letter = |letter| match letter {
            'C' => Some(Self::Charge),
            'I' => Some(Self::Idle),
            'D' => Some(Self::Discharge),
            _ => None,
        };
        text.chars().map(letter).collect()
    }
}

/// When a vehicle may change between charging and discharging ("at most once an hour", `agliardi2024`, level 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SwitchRule {
    /// A: a vehicle is in one of two modes and idle in both; switches of the mode are at least `gap_steps` apart, and
    /// the first mode is free.
    #[default]
    #[serde(rename = "A")]
    TwoMode,
    /// B: a switch is dated at the first active step of the new direction; dates are at least `gap_steps` apart.
    ///
    /// Its optimal value is that of A up to an arbitrarily small power: a vehicle that changes its mode while idle
    /// under A may be active by next to nothing under B. Methods here ask for [`SwitchRule::LEAST_SHARE`] of the
    /// largest power in the first step of a new direction, so that a date is a date.
    #[serde(rename = "B")]
    FirstActivity,
    /// C: any charging and any discharging step are at least `gap_steps` apart, `|k − j| ≥ gap_steps`.
    #[serde(rename = "C")]
    CoolingOff,
    /// D: as A, but at most one switch per block of `gap_steps` steps, counted from the start of the horizon.
    #[serde(rename = "D")]
    ClockHour,
}

impl SwitchRule {
    /// Under rule B, the share of its largest power that a vehicle uses at least in the first step of a new direction.
    pub const LEAST_SHARE: f64 = 1e-3;

    /// The letter in instance files.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::TwoMode => 'A',
            Self::FirstActivity => 'B',
            Self::CoolingOff => 'C',
            Self::ClockHour => 'D',
        }
    }
}

impl std::str::FromStr for SwitchRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "A" => Ok(Self::TwoMode),
            "B" => Ok(Self::FirstActivity),
            "C" => Ok(Self::CoolingOff),
            "D" => Ok(Self::ClockHour),
            _ => Err(Error::NoSuchRule {
                found: text.to_owned(),
            }),
        }
    }
}

/// A switching rule with its gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Switching {
    /// The rule.
    pub rule: SwitchRule,
    /// Steps between two switches (A, B), between charging and discharging (C), or per block (D). At 0 and 1 every
    /// sequence is allowed.
    pub gap_steps: usize,
}

impl Switching {
    /// Whether the rule forbids anything at all.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.gap_steps > 1
    }
}

/// How much of a scheduling problem counts (`agliardi2024`, section II-C).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "usize", into = "usize")]
pub enum Level {
    /// Vehicles that are all alike, no limits on groups, any switching.
    Zero,
    /// Vehicles with levels and capacities of their own.
    One,
    /// And limits on groups.
    Two,
    /// And the switching rule.
    #[default]
    Three,
}

impl TryFrom<usize> for Level {
    type Error = Error;

    fn try_from(level: usize) -> Result<Self, Error> {
        match level {
            0 => Ok(Self::Zero),
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            3 => Ok(Self::Three),
            found => Err(Error::NoSuchLevel { found }),
        }
    }
}

impl From<Level> for usize {
    fn from(level: Level) -> Self {
        match level {
            Level::Zero => 0,
            Level::One => 1,
            Level::Two => 2,
            Level::Three => 3,
        }
    }
}
