//! Files that are written whole or not at all, and schedules as CSV.

use crate::clock_session::clock;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::schedule::Schedule;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file so that it is never half written.
///
/// `content` writes into a temporary file in the same folder, which takes the name `path` only
/// after everything has been written and flushed to the disk. If anything fails, the temporary file
/// is removed and what was at `path` stays as it was.
///
/// ```
/// use evflex_fleet::output::write_atomically;
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("summary.json");
/// write_atomically(&path, |file| file.write_all(b"{}\n"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "{}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] if the folder does not exist or cannot be written, and for every error of
/// `content`.
pub fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |reason: io::Error| Error::Io {
        action: "write",
        path: path.display().to_string(),
        reason,
    };
    // A bare file name has the empty path as its parent: the working folder.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".evflex-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file: the umask of the user decides.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    let mut writer = BufWriter::new(file);
    content(&mut writer).map_err(failed)?;
    let file = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    tracing::debug!(path = %path.display(), "file written");
    Ok(())
}

/// Writes a schedule as CSV with the columns `vehicle,step,start,power_kw,energy_kwh`.
///
/// One row per vehicle and step, vehicle by vehicle. `start` is the clock time of the step with its
/// offset, empty if the grid has none; `energy_kwh` is the net energy since the first step at the
/// end of the step. Numbers are written so that reading them back gives the same bits.
///
/// # Errors
/// As [`Schedule::energy_kwh`] if the schedule is not one of this fleet; [`Error::Csv`] if `writer`
/// fails.
///
/// ```
/// use evflex_fleet::{output::write_schedule_csv, uncontrolled, Fleet, Hours, TimeGrid, Vehicle};
/// let grid = TimeGrid::new(2, Hours(1.0))?.starting_at("2024-05-06T18:00[Europe/Oslo]".parse()?);
/// let car = Vehicle::new("a", vec![0.0; 2], vec![7.0; 2], vec![0.0, 9.5], vec![9.5; 2])?;
/// let fleet = Fleet::new(grid, vec![car])?;
/// let mut text = Vec::new();
/// write_schedule_csv(&mut text, &uncontrolled(&fleet)?, &fleet)?;
/// assert_eq!(String::from_utf8(text)?, "\
/// vehicle,step,start,power_kw,energy_kwh
/// a,0,2024-05-06T18:00:00+02:00,7,7
/// a,1,2024-05-06T19:00:00+02:00,2.5,9.5
/// ");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_schedule_csv(
    writer: impl Write,
    schedule: &Schedule,
    fleet: &Fleet,
) -> Result<(), Error> {
    let energy = schedule.energy_kwh(fleet)?;
    let failed = |error: csv::Error| Error::Csv {
        reason: error.to_string(),
    };
    let grid = schedule.grid();
    // Written once per step, not once per vehicle and step.
    let starts: Vec<String> = (0..grid.steps())
        .map(|step| grid.start_of(step).as_ref().map(clock).unwrap_or_default())
        .collect();
    let steps: Vec<String> = (0..grid.steps()).map(|step| step.to_string()).collect();
    let mut csv = csv::Writer::from_writer(writer);
    csv.write_record(["vehicle", "step", "start", "power_kw", "energy_kwh"])
        .map_err(failed)?;
    for ((id, power), energy) in schedule
        .ids()
        .iter()
        .zip(schedule.power_kw().rows())
        .zip(energy.rows())
    {
        for (step, (&power, &energy)) in power.iter().zip(energy).enumerate() {
            let record = [
                id,
                &steps[step],
                &starts[step],
                &plain(power),
                &plain(energy),
            ];
            csv.write_record(record).map_err(failed)?;
        }
    }
    csv.flush().map_err(|error| failed(error.into()))
}

/// A number as short as it can be read back; -0 is 0.
fn plain(value: f64) -> String {
    (value + 0.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_grid::TimeGrid;
    use crate::units::Hours;
    use crate::vehicle::Vehicle;
    use ndarray::array;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        write_atomically(&path, |file| file.write_all(b"old")).expect("written");
        let result = write_atomically(&path, |file| {
            file.write_all(&vec![b'x'; 100_000])?;
            Err(io::Error::other("the computation stopped"))
        });
        let text = result.expect_err("refused").to_string();
        assert!(text.starts_with("cannot write `") && text.ends_with("the computation stopped"));
        assert_eq!(std::fs::read(&path).expect("the file"), b"old");
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            1
        );
        write_atomically(&path, |file| file.write_all(b"new")).expect("written");
        assert_eq!(std::fs::read(&path).expect("the file"), b"new");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("missing").join("a.csv");
        let error = write_atomically(&path, |_| Ok(())).expect_err("refused");
        assert!(
            matches!(&error, Error::Io { action: "write", path: named, .. } if named.ends_with("a.csv")),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, plain) = (folder.path().join("a"), folder.path().join("b"));
        write_atomically(&ours, |_| Ok(())).expect("written");
        std::fs::write(&plain, b"").expect("written");
        let mode = |path| {
            std::fs::metadata(path)
                .expect("a file")
                .permissions()
                .mode()
        };
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn ids_are_quoted_and_numbers_read_back() {
        let grid = TimeGrid::new(2, Hours(1.0)).expect("a grid");
        let car = Vehicle::new(
            "a,\"b\"",
            vec![-9.0; 2],
            vec![9.0; 2],
            vec![-9.0; 2],
            vec![9.0; 2],
        );
        let fleet = Fleet::new(grid.clone(), vec![car.expect("ok")]).expect("a fleet");
        let powers = array![[-0.0, 0.1 + 0.2]];
        let schedule = Schedule::new(grid, vec!["a,\"b\"".to_owned()], powers).expect("ok");
        let mut text = Vec::new();
        write_schedule_csv(&mut text, &schedule, &fleet).expect("written");
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
        assert_eq!(&rows[0], &["a,\"b\"", "0", "", "0", "0"][..]);
        assert_eq!(
            rows[1][3].parse::<f64>().expect("a number").to_bits(),
            (0.1 + 0.2_f64).to_bits()
        );
    }
}
