//! Plain newtypes for quantities at the border of the crate.
//!
//! Inside vectors and matrices the crate holds `f64` and names the unit in the identifier
//! (`power_kw`, `energy_kwh`); these types are for single values that are passed by hand, where a
//! power is easily mistaken for an energy.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(
            /// The number, in the unit of the type.
            pub f64,
        );

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)?;
                f.write_str(concat!(" ", $unit))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
    };
}

quantity! {
    /// Active power in kW, the mean over a step.
    ///
    /// **Sign convention of all crates:** positive draws from the grid (charging), negative feeds
    /// the grid (vehicle to grid). It is the power at the meter.
    ///
    /// ```
    /// use evflex_fleet::{Hours, KilowattHours, Kilowatts};
    /// assert_eq!(Kilowatts(11.0) * Hours(0.25), KilowattHours(2.75));
    /// ```
    Kilowatts, "kW"
}

quantity! {
    /// Energy in kWh. Positive when it was drawn from the grid or is stored in a battery.
    KilowattHours, "kWh"
}

quantity! {
    /// A duration in hours, for instance the length of a time step.
    Hours, "h"
}

quantity! {
    /// A price in EUR/MWh, as energy markets quote it. `100 EUR/MWh` is `0.1 EUR/kWh`.
    EurPerMegawattHour, "EUR/MWh"
}

impl Mul<Hours> for Kilowatts {
    type Output = KilowattHours;
    fn mul(self, duration: Hours) -> KilowattHours {
        KilowattHours(self.0 * duration.0)
    }
}

impl Div<Hours> for KilowattHours {
    type Output = Kilowatts;
    fn div(self, duration: Hours) -> Kilowatts {
        Kilowatts(self.0 / duration.0)
    }
}

impl EurPerMegawattHour {
    /// The cost in EUR of `energy` at this price, `π E / 1000`.
    #[must_use]
    pub fn cost_eur(self, energy: KilowattHours) -> f64 {
        self.0 * energy.0 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_times_time_is_energy_and_back() {
        let energy = Kilowatts(-7.0) * Hours(0.5);
        assert_eq!(energy, KilowattHours(-3.5));
        assert_eq!(energy / Hours(0.5), Kilowatts(-7.0));
        assert_eq!(energy - KilowattHours(0.5), KilowattHours(-4.0));
        assert_eq!(-energy + energy * 2.0, KilowattHours(-3.5));
    }

    #[test]
    fn a_price_is_per_megawatt_hour() {
        let cost = EurPerMegawattHour(80.0).cost_eur(KilowattHours(25.0));
        assert!((cost - 2.0).abs() < 1e-15);
    }

    #[test]
    fn quantities_print_their_unit() {
        assert_eq!(format!("{:.1}", Kilowatts(3.25)), "3.2 kW");
        assert_eq!(EurPerMegawattHour(-1.0).to_string(), "-1 EUR/MWh");
    }
}
