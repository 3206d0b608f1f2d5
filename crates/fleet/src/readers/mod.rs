//! Readers of fleets, sessions, prices and loads, from text or from files.
//!
//! | file | reader | answers with |
//! |---|---|---|
//! | instance JSON with a `fleet`, or a fleet alone | [`fleet::fleet_from_json`], [`json::Document`] | [`Fleet`](crate::Fleet) |
//! | CSV of charging sessions | [`sessions::SessionFile`] | [`ClockSession`](crate::ClockSession)s |
//! | CSV of prices in UTC | [`prices::PriceSeries`] | [`Tariff`](crate::Tariff) on a grid |
//! | CSV of loads, one row per night | [`loads::NightLoads`] | [`LoadProfile`](crate::LoadProfile)s |
//! | CSV of loads over time | [`loads::LoadSeries`] | [`LoadProfile`](crate::LoadProfile) on a grid |
//!
//! Every reader has `parse`, which takes bytes, and `read`, which takes a path and puts the path in
//! front of its errors. All of them accept a byte order mark, both line endings and quoted fields.
//! Nothing is guessed in silence: what is wrong is an error that names the line or the key, and what
//! was left out or changed on request is listed in the result.

pub mod fleet;
pub mod json;
pub mod loads;
pub mod prices;
pub(crate) mod series;
pub mod sessions;
mod stamp;
mod table;

use crate::error::Error;
use std::path::Path;

/// Reads a whole file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|reason| Error::Io {
        action: "read",
        path: path.display().to_string(),
        reason,
    })
}

/// Text without its byte order mark.
pub(crate) fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
