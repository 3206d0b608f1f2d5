//! The samples of the book are read by the readers that it describes.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use evflex::fleet::{
    Direction, Edges, Fleet, Hours, SessionFleet, TimeGrid, readers,
    readers::sessions::{SessionFile, SessionPolicy},
};

/// The code blocks of `language` on a page of the book.
fn samples(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/src")
        .join(page);
    let text = std::fs::read_to_string(path).expect("the page can be read");
    text.split(&format!("```{language}\n"))
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_fleet_of_the_formats_page_is_a_fleet() {
    let samples = samples("data-formats.md", "json");
    assert_eq!(samples.len(), 1);
    let fleet: Fleet =
        readers::fleet::fleet_from_json(samples[0].as_bytes()).expect("the sample is valid");
    assert_eq!((fleet.len(), fleet.steps()), (2, 4));
    let session = fleet.vehicle("ev-1").expect("the second vehicle");
    assert_eq!(session.power_max_kw(), [0.0, 11.0, 11.0, 11.0]);
    assert!((session.energy_min_kwh()[3] - 14.0).abs() < 1e-12);
}

#[test]
fn the_sessions_of_the_formats_page_make_a_fleet() {
    let samples = samples("data-formats.md", "csv");
    assert_eq!(samples.len(), 1);
    let file = SessionFile::parse(samples[0].as_bytes(), &SessionPolicy::default())
        .expect("the sample is valid");
    let start = "2024-04-09T15:00[Europe/Berlin]"
        .parse()
        .expect("a clock time");
    let grid = TimeGrid::new(18, Hours(1.0))
        .expect("a grid")
        .starting_at(start);
    let made = SessionFleet::new(&file.sessions, &grid, Direction::ChargeOnly, Edges::Refuse)
        .expect("both sessions lie inside");
    assert_eq!(made.fleet.len(), 2);
    // Plugged in at 17:40, so for a third of the third hour, at 11 kW.
    let limit = made
        .fleet
        .vehicle("blue-1")
        .expect("the first session")
        .power_max_kw()[2];
    assert!((limit - 11.0 / 3.0).abs() < 1e-9, "{limit}");
}
