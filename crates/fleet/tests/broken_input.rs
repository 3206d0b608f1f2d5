//! No reader panics, whatever the bytes.

use evflex_fleet::Schedule;
use evflex_fleet::readers::fleet::fleet_from_json;
use evflex_fleet::readers::json::Document;
use evflex_fleet::readers::loads::{LoadColumns, LoadSeries, NightLoads};
use evflex_fleet::readers::prices::PriceSeries;
use evflex_fleet::readers::sessions::{BadRows, SessionFile, SessionPolicy, Undeliverable};
use evflex_fleet::{Direction, Edges, Fleet, Hours, SessionFleet, TimeGrid, Vehicle};
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::prelude::*;

const FLEET: &str = r#"{"fleet":{"step_hours":1.0,"steps":3,"start":"2024-05-06T15:00[Europe/Berlin]","vehicles":[
{"id":"a","power_min_kw":-3,"power_max_kw":[7,7,7],"energy_min_kwh":[0,0,5.5],"energy_max_kwh":9e0,"efficiency":0.9},
{"id":"s","arrival_step":0,"departure_step":2,"capacity_kwh":40,"initial_kwh":10,"required_kwh":15,"minimum_kwh":0,"charge_max_kw":7,"discharge_max_kw":0}]}}"#;
const SESSIONS: &str = "session_id,arrival,departure,energy_kwh,max_power_kw\n1,2019-05-01T01:18:45-0700,2019-05-01T15:52:36-0700,44.069,6.656\n\"2\",2019-05-02T10:24,2019-05-02T10:52,0.87,7.2\r\n";
const PRICES: &str = "timestamp_utc,price_eur_mwh\n2024-03-31T00:00:00Z,0.01\n2024-03-31T01:00:00Z,\n2024-03-31T02:00:00Z,-5.5\n";
const NIGHTS: &str = "date,h22,h23,h00\n2018-01-01,1.5,2,3\n2018-01-03,4,5,6e-1\n";
const LOADS: &str = "timestamp_local,b01,b02\n2016-07-31T23:00,2.276,\n2016-08-01T00:00,0.851,1.371\n2016-08-01T01:00,0.8,1.1\n";

/// Gives the bytes to every reader, and what they accept to the joins.
fn read_all(bytes: &[u8]) {
    let zone = TimeZone::get("Europe/Berlin").ok();
    let Ok(start) = "2024-03-30T23:00[Europe/Berlin]".parse::<jiff::Zoned>() else {
        return;
    };
    let grids = [(4, 0.25), (3, 1.0), (2, 24.0)].map(|(steps, hours)| {
        TimeGrid::new(steps, Hours(hours)).map(|grid| grid.starting_at(start.clone()))
    });

    let _ = fleet_from_json(bytes);
    let _ = Document::parse(bytes).map(|document| document.root().matrix(None).is_ok());
    let _ = serde_json::from_slice::<Fleet>(bytes);
    let _ = serde_json::from_slice::<Vehicle>(bytes);
    let _ = serde_json::from_slice::<Schedule>(bytes);
    for grid in grids.iter().flatten() {
        for rule in [BadRows::Refuse, BadRows::List] {
            let mut policy = SessionPolicy::default()
                .bad_rows(rule)
                .undeliverable(Undeliverable::LowerEnergy);
            if let Some(zone) = &zone {
                policy = policy.zone(zone.clone());
            }
            if let Ok(file) = SessionFile::parse(bytes, &policy) {
                let _ = file
                    .refused
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>();
                let _ =
                    SessionFleet::new(&file.sessions, grid, Direction::VehicleToGrid, Edges::Cut);
            }
        }
        if let Ok(prices) = PriceSeries::parse(bytes, None) {
            let _ = (prices.start(), prices.end(), prices.tariff(grid));
            let _ = prices.tariff_by_local_clock(grid, date(2024, 3, 31), &TimeZone::UTC);
            let _ = prices.tariff_by_local_clock(grid, date(9999, 12, 31), &TimeZone::UTC);
        }
        if let Ok(nights) = NightLoads::parse(bytes) {
            let _ = nights.profile(0, zone.as_ref());
            let _ = nights.to_series().and_then(|series| series.load(grid));
        }
        if let Ok(loads) = LoadSeries::parse(bytes, &LoadColumns::Sum) {
            let _ = (
                loads.load(grid),
                loads.load_by_local_clock(grid, date(2016, 8, 1), &TimeZone::UTC),
            );
        }
    }
}

/// One change to valid text.
#[derive(Clone, Debug)]
enum Change {
    Cut(prop::sample::Index),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Replace(prop::sample::Index, u8),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let pieces: Vec<&[u8]> = vec![
        b"9",
        b"-",
        b"e",
        b".",
        b",",
        b"\"",
        b"\n",
        b"\r\n",
        b"null",
        b"NaN",
        b"1e999",
        b"[",
        b"{",
        b"}",
        b"]",
        b":",
        b"\xff",
        b"\xef\xbb\xbf",
        b"999999999999999999999",
        b"0000",
        b"-0700",
        b"Z",
        b"-9999-01-01",
        b"9999-12-31T23:59",
        b"\0",
    ];
    prop_oneof![
        at().prop_map(Change::Cut),
        at().prop_map(Change::Remove),
        (at(), prop::sample::select(pieces)).prop_map(|(i, p)| Change::Insert(i, p.to_vec())),
        (at(), any::<u8>()).prop_map(|(i, b)| Change::Replace(i, b)),
        (at(), at()).prop_map(|(i, j)| Change::Repeat(i, j)),
    ]
}

fn apply(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match change {
            Change::Cut(i) => bytes.truncate(i.index(len)),
            Change::Remove(i) => drop(bytes.remove(i.index(len))),
            Change::Insert(i, piece) => {
                let at = i.index(len);
                bytes.splice(at..at, piece.iter().copied());
            }
            Change::Replace(i, byte) => bytes[i.index(len)] = *byte,
            Change::Repeat(i, j) => {
                let (from, to) = (
                    i.index(len).min(j.index(len)),
                    i.index(len).max(j.index(len)),
                );
                let piece = bytes[from..to].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// The unchanged texts are read, so that the changed ones get deep into the readers.
#[test]
fn the_seeds_are_valid() {
    assert!(fleet_from_json(FLEET.as_bytes()).is_ok());
    let policy = SessionPolicy::default().zone(TimeZone::UTC);
    assert!(SessionFile::parse(SESSIONS.as_bytes(), &policy).is_ok());
    assert!(PriceSeries::parse(PRICES.as_bytes(), None).is_ok());
    assert!(NightLoads::parse(NIGHTS.as_bytes()).is_ok());
    assert!(LoadSeries::parse(LOADS.as_bytes(), &LoadColumns::Sum).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn random_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn changed_text_does_not_panic(
        text in prop::sample::select(vec![FLEET, SESSIONS, PRICES, NIGHTS, LOADS]),
        changes in vec(change(), 1..6),
    ) {
        read_all(&apply(text, &changes));
    }

    /// Extreme dates and numbers in otherwise well-formed rows.
    #[test]
    fn extreme_cells_do_not_panic(
        stamps in vec(prop_oneof![
            Just("-9999-01-02T00:00Z".to_owned()),
            Just("9999-12-30T22:00:00Z".to_owned()),
            Just("2024-03-31T02:30".to_owned()),
            "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9](Z|-0700|\\[Europe/Oslo\\])?",
        ], 4),
        numbers in vec(prop_oneof![
            any::<f64>().prop_map(|v| v.to_string()),
            Just("1e308".to_owned()),
            Just("-1e308".to_owned()),
            (0.0..50.0_f64).prop_map(|v| v.to_string()),
        ], 4),
    ) {
        let [a, b, c, d] = &stamps[..] else { unreachable!() };
        let [p, q, r, s] = &numbers[..] else { unreachable!() };
        read_all(format!("session_id,arrival,departure,energy_kwh,max_power_kw\n1,{a},{b},{p},{q}\n2,{c},{d},{r},{s}\n").as_bytes());
        read_all(format!("timestamp_utc,price\n{a},{p}\n{b},{q}\n").as_bytes());
        read_all(format!("timestamp_local,x,y\n{a},{p},{r}\n{b},{q},{s}\n").as_bytes());
        read_all(format!("date,h23,h00\n{},{p},{q}\n{},{r},{s}\n", &a[..a.len().min(10)], &b[..b.len().min(10)]).as_bytes());
        read_all(FLEET.replace("7,7,7", &format!("{p},{q},{r}")).replace("9e0", s).as_bytes());
        read_all(FLEET.replace("\"step_hours\":1.0", &format!("\"step_hours\":{p}")).replace("\"required_kwh\":15", &format!("\"required_kwh\":{q}")).as_bytes());
    }
}
