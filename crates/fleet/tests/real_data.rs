//! The readers on published data, where it is at hand.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::float_cmp, reason = "numbers of a file are read exactly")]

use evflex_fleet::readers::fleet::fleet_from_node;
use evflex_fleet::readers::json::Document;
use evflex_fleet::readers::loads::{LoadColumns, LoadSeries, NightLoads};
use evflex_fleet::readers::prices::PriceSeries;
use evflex_fleet::readers::sessions::{SessionFile, SessionPolicy};
use evflex_fleet::{Direction, Edges, Hours, SessionFleet, TimeGrid, uncontrolled};
use jiff::civil::date;
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// The path of a shared file, or `None` and one line of explanation.
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "says why the test does nothing")]
    {
        eprintln!("skipped: {name} is not here");
    }
    None
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a bundled zone")
}

fn grid(start: &str, steps: usize, hours: f64) -> TimeGrid {
    let start = start.parse().expect("a clock time");
    TimeGrid::new(steps, Hours(hours))
        .expect("a grid")
        .starting_at(start)
}

/// Reads all sessions strictly and makes fleets of a week with several step lengths.
fn sessions(name: &str, zone_name: &str, count: usize, monday: &str) {
    let Some(path) = shared(name) else { return };
    let policy = SessionPolicy::default().zone(zone(zone_name));
    let file = SessionFile::read(&path, &policy).expect("a strict reading");
    assert_eq!((file.sessions.len(), file.refused.len()), (count, 0));
    for (steps, hours) in [(168, 1.0), (672, 0.25), (56, 3.0)] {
        let grid = grid(&format!("{monday}[{zone_name}]"), steps, hours);
        for (direction, edges) in [
            (Direction::ChargeOnly, Edges::LeaveOut),
            (Direction::VehicleToGrid, Edges::Cut),
        ] {
            let made = SessionFleet::new(&file.sessions, &grid, direction, edges).expect("a fleet");
            let total = made.fleet.len() + made.left_out.len() + made.outside;
            assert_eq!(total, count);
            assert!(made.fleet.len() > 100, "{} sessions", made.fleet.len());
            let schedule = uncontrolled(&made.fleet).expect("a schedule");
            assert!(
                schedule
                    .check(&made.fleet, 1e-9)
                    .expect("checked")
                    .is_feasible()
            );
            // What the schedule delivers is what the sessions of the week took.
            if edges == Edges::LeaveOut {
                let (start, end) = (grid.start().expect("a start"), grid.end().expect("an end"));
                let taken: f64 = file
                    .sessions
                    .iter()
                    .filter(|s| &s.arrival >= start && s.departure <= end)
                    .map(|s| s.energy_kwh)
                    .sum();
                let delivered = schedule.aggregate_kw().sum() * hours;
                assert!(
                    (delivered - taken).abs() < 1e-6,
                    "{delivered} and {taken} kWh"
                );
            }
        }
    }
}

#[test]
fn all_caltech_sessions_and_a_week() {
    let name = "data/sessions/ev_sessions_acn_caltech.csv";
    sessions(name, "America/Los_Angeles", 9790, "2019-05-06T00:00");
}

#[test]
fn all_trondheim_sessions_and_a_week() {
    sessions(
        "data/sessions/ev_sessions_trondheim.csv",
        "Europe/Oslo",
        6728,
        "2019-10-21T00:00",
    );
}

#[test]
fn the_doubled_hour_in_trondheim() {
    let Some(path) = shared("data/sessions/ev_sessions_trondheim.csv") else {
        return;
    };
    let policy = SessionPolicy::default().zone(zone("Europe/Oslo"));
    let file = SessionFile::read(&path, &policy).expect("a strict reading");
    let naive = SessionPolicy::default().zone(TimeZone::UTC);
    let naive = SessionFile::read(&path, &naive).expect("a strict reading");
    // Stays over a change of the clocks are an hour longer or shorter than their stamps say.
    let (mut longer, mut shorter) = (0, 0);
    for (session, plain) in file.sessions.iter().zip(&naive.sessions) {
        let difference = session.hours() - plain.hours();
        if difference.abs() < 1e-9 {
            continue;
        }
        assert!((difference.abs() - 1.0).abs() < 1e-9, "{session:?}");
        if difference > 0.0 {
            longer += 1;
        } else {
            shorter += 1;
        }
    }
    assert!(
        longer > 0 && shorter > 0,
        "{longer} longer and {shorter} shorter stays"
    );
}

#[test]
fn load_files() {
    for (name, first, last, value) in [
        (
            "data/loads/daily_load_profiles.csv",
            date(2018, 1, 1),
            date(2018, 12, 30),
            36.201,
        ),
        (
            "data/loads/daily_load_profiles_citylearn15.csv",
            date(2016, 8, 1),
            date(2017, 7, 30),
            32.454,
        ),
    ] {
        let Some(path) = shared(name) else { return };
        let loads = NightLoads::read(&path).expect("loads");
        assert_eq!(
            (loads.days(), loads.hours(), loads.first_hour()),
            (364, 18, 15)
        );
        assert_eq!((loads.dates()[0], loads.dates()[363]), (first, last));
        assert!((loads.power_kw()[[0, 0]] - value).abs() < 1e-12);
    }
    let Some(path) = shared("data/loads/households_15_hourly_citylearn2022.csv") else {
        return;
    };
    let sum = LoadSeries::read(&path, &LoadColumns::Sum).expect("loads");
    assert_eq!((sum.power_kw().len(), sum.step_hours()), (8760, 1.0));
    // The second row, added by hand: .851 + 1.371 + 0 + 1.928 + .516 + 1.185 + .892 + 0 + .817 +
    // .551 + .691 + 1.406 + .333 + .896 + .836.
    let midnight = sum
        .load(&grid("2016-08-01T00:00[America/Los_Angeles]", 1, 1.0))
        .expect("a load");
    assert!((midnight.power_kw()[0] - 12.273).abs() < 1e-9);
    let one = LoadSeries::read(&path, &LoadColumns::One("b17".to_owned())).expect("loads");
    assert_eq!(one.power_kw()[0], Some(0.918));
    // The file with one row per night is the sum of the same homes, rounded home by home.
    let Some(path) = shared("data/loads/daily_load_profiles_citylearn15.csv") else {
        return;
    };
    let nights = NightLoads::read(&path)
        .and_then(|loads| loads.to_series())
        .expect("loads");
    let night = grid("2016-11-15T15:00[America/Los_Angeles]", 18, 1.0);
    let (a, b) = (
        sum.load(&night).expect("a load"),
        nights.load(&night).expect("a load"),
    );
    for (a, b) in a.power_kw().iter().zip(b.power_kw()) {
        assert!((a - b).abs() < 0.01, "{a} and {b} kW");
    }
}

#[test]
fn day_ahead_prices_and_their_join() {
    let Some(path) = shared("data/prices/day_ahead_de.csv") else {
        return;
    };
    let prices = PriceSeries::read(&path, None).expect("prices");
    assert_eq!(
        (prices.eur_per_mwh().len(), prices.step_hours()),
        (15334, 1.0)
    );
    assert_eq!(prices.start().to_string(), "2024-01-01T00:00:00Z");
    assert_eq!(prices.end().to_string(), "2025-09-30T22:00:00Z");

    // 2024-04-09 is in a file of its own: 00:00 to 23:00 in summer time, from 78.21 to 35.49.
    let day = prices
        .tariff(&grid("2024-04-09T00:00[Europe/Berlin]", 24, 1.0))
        .expect("a tariff");
    assert_eq!(
        (day.eur_per_mwh()[0], day.eur_per_mwh()[23]),
        (78.21, 35.49)
    );
    let Some(path) = shared("data/prices/day_ahead_de_2024-04-09.csv") else {
        return;
    };
    let own = PriceSeries::read(&path, None).expect("prices");
    let own: Vec<f64> = own
        .eur_per_mwh()
        .iter()
        .map(|price| price.expect("a price"))
        .collect();
    assert_eq!(day.eur_per_mwh(), own);

    // A Tuesday in California in 2019, priced with the first Tuesday from 2024-04-03 on.
    let california = grid("2019-05-07T00:00[America/Los_Angeles]", 96, 0.25);
    let joined = prices
        .tariff_by_local_clock(&california, date(2024, 4, 3), &zone("Europe/Berlin"))
        .expect("a tariff");
    for (step, price) in joined.eur_per_mwh().iter().enumerate() {
        assert_eq!(*price, own[step / 4], "quarter-hour {step}");
    }
}

/// Lines of the file for the changes of the clocks, found by instants alone.
#[test]
fn joins_over_changes_of_the_clocks() {
    let Some(path) = shared("data/prices/day_ahead_de.csv") else {
        return;
    };
    let prices = PriceSeries::read(&path, None).expect("prices");
    let text = std::fs::read_to_string(&path).expect("the file");
    let at = |stamp: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(stamp))
            .expect("a line");
        line.split(',')
            .nth(1)
            .expect("a price")
            .parse()
            .expect("a number")
    };
    let berlin = zone("Europe/Berlin");
    let sunday = grid("2019-05-05T00:00[America/Los_Angeles]", 5, 1.0);

    // 2024-03-31: 00:00 +01 is 23:00Z; 02:00 does not exist and is read at 03:00 +02 = 01:00Z.
    let spring = prices
        .tariff_by_local_clock(&sunday, date(2024, 3, 31), &berlin)
        .expect("ok");
    let hours = [
        "2024-03-30T23",
        "2024-03-31T00",
        "2024-03-31T01",
        "2024-03-31T01",
        "2024-03-31T02",
    ];
    assert_eq!(spring.eur_per_mwh(), hours.map(at));

    // 2024-10-27: 00:00 +02 is 22:00Z; 02:00 is the first, 00:00Z; 03:00 +01 is 02:00Z.
    let autumn = prices
        .tariff_by_local_clock(&sunday, date(2024, 10, 27), &berlin)
        .expect("ok");
    let hours = [
        "2024-10-26T22",
        "2024-10-26T23",
        "2024-10-27T00",
        "2024-10-27T02",
        "2024-10-27T03",
    ];
    assert_eq!(autumn.eur_per_mwh(), hours.map(at));
}

#[test]
fn intraday_prices() {
    for (year, rows) in [(2019, 35040), (2020, 35136)] {
        let Some(path) = shared(&format!("data/prices/intraday_de_15min_{year}.csv")) else {
            return;
        };
        let error = PriceSeries::read(&path, None)
            .expect_err("four columns")
            .to_string();
        assert!(
            error.ends_with("name one of: ida_eur_mwh, idc_avg_eur_mwh, id3_eur_mwh, id1_eur_mwh")
        );
        let prices = PriceSeries::read(&path, Some("ida_eur_mwh")).expect("prices");
        assert_eq!(
            (prices.eur_per_mwh().len(), prices.step_hours()),
            (rows, 0.25)
        );
        // The four values of the doubled October hour are empty.
        let empty = prices
            .eur_per_mwh()
            .iter()
            .filter(|price| price.is_none())
            .count();
        assert_eq!(empty, 4);
    }
    let Some(path) = shared("data/prices/intraday_de_15min_2019.csv") else {
        return;
    };
    let prices = PriceSeries::read(&path, Some("id3_eur_mwh")).expect("prices");
    // The last day of this column is empty.
    let last = grid("2019-12-31T00:00[Europe/Berlin]", 24, 1.0);
    let error = prices.tariff(&last).expect_err("empty").to_string();
    assert_eq!(
        error,
        "the price at 2019-12-30T23:00:00Z is empty in the file, and it is needed"
    );
    let first = prices
        .tariff(&grid("2019-01-01T00:00[Europe/Berlin]", 1, 0.75))
        .expect("a tariff");
    // The first three quarter-hours of the file.
    let mean = (40.06 + 40.88 + 29.64) / 3.0;
    assert!((first.eur_per_mwh()[0] - mean).abs() < 1e-12);
}

#[test]
fn the_set_instances_are_read_whole() {
    let cases = [
        "sets_case_T3_N2_v2g_s0",
        "sets_case_T5_N3_v2g_s4",
        "sets_conservative_T3_N3_s0",
    ];
    for name in cases {
        let Some(path) = shared(&format!("cases/{name}.json")) else {
            return;
        };
        let document = Document::read(&path).expect("JSON");
        let mut instance = document.root().object().expect("an object");
        let fleet =
            fleet_from_node(&instance.required("fleet").expect("a fleet")).expect("a fleet");
        let steps = fleet.steps();
        let loads = instance
            .required("loads_kw")
            .and_then(|n| n.matrix(Some(steps)));
        assert!(loads.expect("loads").nrows() > 0);
        let center = instance
            .required("center_kw")
            .and_then(|n| n.profile(steps));
        assert_eq!(center.expect("a centre").len(), steps);
        let mut set = instance
            .required("set")
            .and_then(|n| n.object())
            .expect("a set");
        let normals = set
            .required("normals")
            .and_then(|n| n.matrix(Some(steps)))
            .expect("rows");
        let offsets = set
            .required("offsets")
            .and_then(|n| n.profile(normals.nrows()));
        assert!(offsets.is_ok());
        for key in ["power_min_kw", "power_max_kw"] {
            assert!(set.required(key).and_then(|n| n.profile(steps)).is_ok());
        }
        set.finish().expect("no other keys");
        instance.finish().expect("no other keys");
        assert!(fleet.is_lossless());
    }
}
