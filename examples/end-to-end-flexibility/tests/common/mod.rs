//! What the tests share: small inputs, and results read back without the program.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::print_stdout,
    reason = "every test file uses a part; tests stop at the first surprise and compare exact numbers"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Two vehicles over four hours: `a` can feed, `b` only charges.
pub const FLEET: &str = r#"{"name": "two", "fleet": {"step_hours": 1.0, "steps": 4, "vehicles": [
  {"id": "a", "power_min_kw": -5, "power_max_kw": 5, "energy_min_kwh": [-4, -4, -4, 6], "energy_max_kwh": 8},
  {"id": "b", "arrival_step": 1, "departure_step": 3, "capacity_kwh": 40, "initial_kwh": 10, "required_kwh": 16,
   "charge_max_kw": 7, "discharge_max_kw": 0}]}}"#;

/// A Monday and a Tuesday in Oslo; `e` was there before the first, `d` leaves after the second.
pub const SESSIONS: &str = "\
session_id,arrival,departure,energy_kwh,max_power_kw,garage
e,2024-05-05T20:00,2024-05-06T02:00,5,7,x
a,2024-05-06T08:30,2024-05-06T16:00,20,7,x
b,2024-05-06T17:00,2024-05-07T07:00,30,11,x
c,2024-05-07T09:00,2024-05-07T12:00,8,3.6,y
d,2024-05-07T22:00,2024-05-08T06:00,12,3.6,y
";

/// Hourly prices in UTC for the two weeks from Monday 2021-05-03, Berlin, on, from the hour of the day and
/// the day of the week there, Monday 0.
pub fn prices(price: impl Fn(i8, i8) -> i32) -> String {
    let mut text = String::from("timestamp_utc,price_eur_mwh\n");
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let start = jiff::civil::date(2021, 5, 3)
        .at(0, 0, 0, 0)
        .to_zoned(zone)
        .unwrap();
    for hour in 0..24 * 15 {
        let time = start
            .checked_add(jiff::SignedDuration::from_hours(hour))
            .unwrap();
        let price = price(time.hour(), time.weekday().to_monday_zero_offset());
        writeln!(text, "{},{price}", time.timestamp()).unwrap();
    }
    text
}

/// A price that rises all week.
pub fn rising() -> String {
    prices(|hour, day| i32::from(hour) + 100 * i32::from(day))
}

/// A folder with these files in it, and its path.
pub fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

/// The columns of a CSV file by name.
pub fn columns(text: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut reader = csv::Reader::from_reader(text);
    let names: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let mut columns: BTreeMap<String, Vec<String>> = names
        .iter()
        .map(|name| (name.clone(), Vec::new()))
        .collect();
    for record in reader.records() {
        for (name, cell) in names.iter().zip(&record.unwrap()) {
            columns.get_mut(name).unwrap().push(cell.to_owned());
        }
    }
    columns
}

/// One column of numbers.
pub fn numbers(columns: &BTreeMap<String, Vec<String>>, name: &str) -> Vec<f64> {
    columns[name]
        .iter()
        .map(|cell| cell.parse().unwrap())
        .collect()
}

/// Reads `schedule.csv` and `aggregate.csv` back: columns as documented, powers that sum to the aggregate
/// within its band, energies that are the running sums of lossless vehicles. Answers with the final energy
/// of each vehicle.
pub fn check_tables(schedule: &[u8], aggregate: &[u8], step_hours: f64) -> BTreeMap<String, f64> {
    assert!(schedule.starts_with(b"vehicle,step,start,power_kw,energy_kwh\n"));
    assert!(
        aggregate.starts_with(
            b"step,start,load_kw,power_kw,power_min_kw,power_max_kw,price_eur_per_mwh\n"
        )
    );
    let (schedule, aggregate) = (columns(schedule), columns(aggregate));
    let total = numbers(&aggregate, "power_kw");
    let steps = total.len();
    let mut sum = vec![0.0; steps];
    let mut energy: BTreeMap<String, f64> = BTreeMap::new();
    let (power, stored) = (
        numbers(&schedule, "power_kw"),
        numbers(&schedule, "energy_kwh"),
    );
    for (row, id) in schedule["vehicle"].iter().enumerate() {
        let step: usize = schedule["step"][row].parse().unwrap();
        assert_eq!(step, row % steps);
        assert_eq!(schedule["start"][row], aggregate["start"][step]);
        sum[step] += power[row];
        let so_far = energy.entry(id.clone()).or_insert(0.0);
        *so_far += step_hours * power[row];
        assert!((*so_far - stored[row]).abs() < 1e-9, "{id}, step {step}");
    }
    let (low, high) = (
        numbers(&aggregate, "power_min_kw"),
        numbers(&aggregate, "power_max_kw"),
    );
    for step in 0..steps {
        assert!((sum[step] - total[step]).abs() < 1e-6, "step {step}");
        assert!(low[step] - 1e-6 <= total[step] && total[step] <= high[step] + 1e-6);
    }
    energy
}

/// Shared data, or `None` with a line that says so.
pub fn shared(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(file);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: shared data `{file}` is not here");
    None
}

/// The bytes of a file of a report.
pub fn file<'a>(report: &'a end_to_end_flexibility::Report, name: &str) -> &'a [u8] {
    let found = report.files.iter().find(|file| file.name == name);
    &found
        .unwrap_or_else(|| panic!("{name} is not there"))
        .content
}
