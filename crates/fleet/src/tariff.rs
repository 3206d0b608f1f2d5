//! Prices over the grid.

use crate::error::{Error, finite};
use crate::time_grid::TimeGrid;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// An energy price per step, in EUR/MWh, on a time grid.
///
/// ```
/// use evflex_fleet::{Hours, Tariff, TimeGrid};
/// use ndarray::array;
/// let tariff = Tariff::new(TimeGrid::new(2, Hours(0.5))?, vec![100.0, -20.0])?;
/// // 10 kW for half an hour at 100 EUR/MWh, then 4 kW for half an hour at -20 EUR/MWh.
/// let cost = tariff.cost_eur(array![10.0, 4.0].view())?;
/// assert!((cost - 0.46).abs() < 1e-12);
/// # Ok::<(), evflex_fleet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawTariff")]
pub struct Tariff {
    grid: TimeGrid,
    eur_per_mwh: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTariff {
    grid: TimeGrid,
    eur_per_mwh: Vec<f64>,
}

impl TryFrom<RawTariff> for Tariff {
    type Error = Error;
    fn try_from(raw: RawTariff) -> Result<Self, Error> {
        Self::new(raw.grid, raw.eur_per_mwh)
    }
}

impl Tariff {
    /// A tariff with one price per step. Negative prices are allowed.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one price per step; [`Error::NotFinite`].
    pub fn new(grid: TimeGrid, eur_per_mwh: Vec<f64>) -> Result<Self, Error> {
        check_profile("eur_per_mwh of a tariff", &grid, &eur_per_mwh)?;
        Ok(Self { grid, eur_per_mwh })
    }

    /// The time grid of the prices.
    #[must_use]
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// Price per step, EUR/MWh.
    #[must_use]
    pub fn eur_per_mwh(&self) -> &[f64] {
        &self.eur_per_mwh
    }

    /// Cost in EUR of a power profile, `Σ_t π_t p_t δ / 1000`.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one power per step.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view is passed by value, as in ndarray"
    )]
    pub fn cost_eur(&self, power_kw: ArrayView1<'_, f64>) -> Result<f64, Error> {
        if power_kw.len() != self.grid.steps() {
            return Err(Error::Length {
                what: "the power profile".to_owned(),
                expected: self.grid.steps(),
                found: power_kw.len(),
            });
        }
        let sum: f64 = self
            .eur_per_mwh
            .iter()
            .zip(power_kw)
            .map(|(price, p)| price * p)
            .sum();
        Ok(sum * self.grid.step_hours() / 1000.0)
    }
}

/// Checks that `values` has one finite entry per step.
pub(crate) fn check_profile(what: &str, grid: &TimeGrid, values: &[f64]) -> Result<(), Error> {
    if values.len() != grid.steps() {
        return Err(Error::Length {
            what: what.to_owned(),
            expected: grid.steps(),
            found: values.len(),
        });
    }
    for (step, &value) in values.iter().enumerate() {
        finite(|| format!("{what}, step {step}"), value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Hours;

    #[test]
    fn lengths_and_numbers_are_checked() {
        let grid = TimeGrid::new(2, Hours(1.0)).expect("a grid");
        insta::assert_snapshot!(
            Tariff::new(grid.clone(), vec![1.0]).expect_err("refused"),
            @"eur_per_mwh of a tariff must have 2 entries, found 1"
        );
        insta::assert_snapshot!(
            Tariff::new(grid.clone(), vec![1.0, f64::INFINITY]).expect_err("refused"),
            @"eur_per_mwh of a tariff, step 1 must be a finite number, found inf"
        );
        let tariff = Tariff::new(grid, vec![1.0, -2.0]).expect("a tariff");
        assert!(tariff.cost_eur(ndarray::array![1.0].view()).is_err());
        let text = serde_json::to_string(&tariff).expect("serialises");
        assert_eq!(
            serde_json::from_str::<Tariff>(&text).expect("parses"),
            tariff
        );
        assert!(serde_json::from_str::<Tariff>(&text.replace("-2.0", "-2.0,3.0")).is_err());
    }
}
