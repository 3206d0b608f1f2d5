//! Loads that are there besides the vehicles.

use crate::error::Error;
use crate::tariff::check_profile;
use crate::time_grid::TimeGrid;
use serde::{Deserialize, Serialize};

/// A load per step, in kW (mean over the step), on a time grid.
///
/// Positive draws from the grid, as for vehicles; a site that generates more than it uses has
/// negative entries.
///
/// ```
/// use evflex_fleet::{Hours, LoadProfile, TimeGrid};
/// let load = LoadProfile::new(TimeGrid::new(3, Hours(1.0))?, vec![30.0, 45.0, 25.0])?;
/// assert_eq!(load.peak_kw(), 45.0);
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawLoadProfile")]
pub struct LoadProfile {
    grid: TimeGrid,
    power_kw: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLoadProfile {
    grid: TimeGrid,
    power_kw: Vec<f64>,
}

impl TryFrom<RawLoadProfile> for LoadProfile {
    type Error = Error;
    fn try_from(raw: RawLoadProfile) -> Result<Self, Error> {
        Self::new(raw.grid, raw.power_kw)
    }
}

impl LoadProfile {
    /// A load with one power per step.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one power per step; [`Error::NotFinite`].
    pub fn new(grid: TimeGrid, power_kw: Vec<f64>) -> Result<Self, Error> {
        check_profile("power_kw of a load", &grid, &power_kw)?;
        Ok(Self { grid, power_kw })
    }

    /// The time grid of the load.
    #[must_use]
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// Power per step, kW.
    #[must_use]
    pub fn power_kw(&self) -> &[f64] {
        &self.power_kw
    }

    /// Largest power of a step, kW.
    #[must_use]
    pub fn peak_kw(&self) -> f64 {
        self.power_kw
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max)
    }

    /// Energy of the whole horizon, kWh.
    #[must_use]
    pub fn energy_kwh(&self) -> f64 {
        self.power_kw.iter().sum::<f64>() * self.grid.step_hours()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    #[test]
    fn lengths_and_numbers_are_checked() {
        let grid = TimeGrid::new(2, Hours(0.25)).expect("a grid");
        insta::assert_snapshot!(
            LoadProfile::new(grid.clone(), vec![1.0; 3]).expect_err("refused"),
            @"power_kw of a load must have 2 entries, found 3"
        );
        insta::assert_snapshot!(
            LoadProfile::new(grid.clone(), vec![f64::NAN, 0.0]).expect_err("refused"),
            @"power_kw of a load, step 0 must be a finite number, found NaN"
        );
        let load = LoadProfile::new(grid, vec![4.0, -1.0]).expect("a load");
        assert_eq!(load.energy_kwh(), 0.75);
        let text = serde_json::to_string(&load).expect("serialises");
        assert_eq!(
            serde_json::from_str::<LoadProfile>(&text).expect("parses"),
            load
        );
    }
}
