//! MATPOWER case files (format 2).
//!
//! Many distribution cases store kW and ohm and convert them by code at the end of the file. That code is evaluated here:
//! assignments to fields and variables, arithmetic, element-wise operators, indices, the named columns (`idx_bus`, ..)
//! and functions such as `sqrt` and `acos`. A statement beyond that is refused with its name and line, and nothing is
//! read: a file whose conversion is not understood has unknown units.
//!
//! ```
//! use evflex_network::matpower;
//!
//! let text = "
//! function mpc = street
//! mpc.version = '2';
//! mpc.baseMVA = 1;
//! mpc.bus = [ % kW here
//!     1  3  0    0   0 0 1 1 0 0.4 1 1.1 0.9;
//!     20 1  12.5 4   0 0 1 1 0 0.4 1 1.1 0.9
//! ];
//! mpc.gen = [1 0 0 1 -1 1.02 1 1 1 0];
//! mpc.branch = [1 20 0.05 0.02 0 0 0 0 0 0 1 -360 360]; % ohm
//! mpc.bus(:, [3 4]) = mpc.bus(:, [3 4]) / 1e3;
//! mpc.branch(:, 3:4) = mpc.branch(:, 3:4) / ((mpc.bus(1, 10) * 1e3)^2 / (mpc.baseMVA * 1e6));
//! ";
//! let network = matpower::parse(text)?;
//! assert_eq!(network.buses()[1].load_mw, 0.0125);
//! assert!((network.branches()[0].r_pu - 0.05 / 0.16).abs() < 1e-12);
//! assert!(network.power_flow()?.lowest_voltage().v_pu < 1.02);
//!
//! let broken = matpower::parse(&text.replace("mpc.bus(:, [3 4]) =", "if true,")).unwrap_err();
//! assert!(broken.to_string().starts_with("line 11: `if` is not evaluated here"), "{broken}");
//! # Ok::<(), evflex_network::Error>(())
//! ```
//!
//! # Conventions
//! A ratio of 0 is 1, a rating of 0 is no limit (others become a current limit, the rating at 1 p.u.), a branch without
//! a positive status is open. Costs are polynomials of active power up to degree 2; generators with another cost, and those
//! of a file without `gencost`, have none. Names of buses and kinds of generators are skipped; other fields, direct-current lines among them, are refused by name.

mod interpreter;
mod lexer;
mod names;
mod value;

use std::path::Path;

use crate::{Branch, Bus, BusKind, Case, Error, Generator, Network};
use interpreter::Workspace;
use value::{Matrix, Value};

/// Reads a case file and checks its network.
///
/// # Errors
/// [`Error::File`], and those of [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<Network, Error> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let mut case = parse_case(&String::from_utf8_lossy(&bytes))?;
    if let Some(stem) = path.file_stem() {
        case.name = stem.to_string_lossy().into_owned();
    }
    Network::new(case)
}

/// Parses the text of a case file and checks its network.
///
/// # Errors
/// Those of [`parse_case`] and [`Network::new`].
pub fn parse(text: &str) -> Result<Network, Error> {
    Network::new(parse_case(text)?)
}

/// Parses the text of a case file; the network is not checked yet, so that it may be changed before.
///
/// # Errors
/// [`Error::Syntax`], [`Error::Unsupported`], [`Error::Value`] and [`Error::Entry`] name the line,
/// [`Error::MissingField`] the field.
pub fn parse_case(text: &str) -> Result<Case, Error> {
    let workspace = interpreter::run(text)?;
    if let Some(Value::Text(version)) = workspace.fields.get("version")
        && version != "2"
    {
        return Err(Error::Unsupported {
            line: 1,
            what: format!("a case of format {version}"),
            way_out: "convert it to format 2",
        });
    }
    let base = Table::of(&workspace, "baseMVA", 1)?;
    let base_mva = base.get(
        0,
        0,
        "baseMVA",
        |v| v > 0.0 && v.is_finite(),
        "a positive number",
    )?;
    let buses = read_buses(&Table::of(&workspace, "bus", 13)?)?;
    let branches = read_branches(&Table::of(&workspace, "branch", 11)?, base_mva)?;
    let generators = Table::of(&workspace, "gen", 10)?;
    let costs = if workspace.fields.contains_key("gencost") {
        read_costs(
            &Table::of(&workspace, "gencost", 4)?,
            generators.matrix.rows,
        )?
    } else {
        vec![None; generators.matrix.rows]
    };
    let generators = read_generators(&generators, &costs)?;
    let load_mw: f64 = buses.iter().map(|bus| bus.load_mw.abs()).sum();
    if load_mw > IMPLAUSIBLE_LOAD * base_mva {
        tracing::warn!(
            load_mw,
            base_mva,
            "these loads are large for their base; are they in kW?"
        );
    }
    tracing::debug!(
        buses = buses.len(),
        branches = branches.len(),
        "case file parsed"
    );
    Ok(Case {
        name: name_of(text),
        base_mva,
        buses,
        branches,
        generators,
    })
}

/// Loads above this many times the base are worth a warning: a conversion from kW may be missing.
const IMPLAUSIBLE_LOAD: f64 = 50.0;

/// The name in the header, `case` when there is none.
fn name_of(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find_map(|line| line.strip_prefix("function "))
        .and_then(|header| header.split('=').next_back())
        .and_then(|name| {
            name.trim()
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next()
        })
        .filter(|name| !name.is_empty())
        .unwrap_or("case")
        .to_owned()
}

/// A field of numbers.
struct Table<'a> {
    name: &'static str,
    matrix: &'a Matrix,
    last_line: usize,
}

impl<'a> Table<'a> {
    fn of(workspace: &'a Workspace, name: &'static str, columns: usize) -> Result<Self, Error> {
        let last_line = workspace.last_line;
        let missing = Error::MissingField {
            field: name,
            line: last_line,
        };
        let matrix = match workspace.fields.get(name) {
            Some(Value::Matrix(matrix)) if matrix.rows > 0 => matrix,
            Some(Value::Text(_) | Value::Cell) => {
                return Err(Error::Value {
                    line: last_line,
                    what: format!("`{name}` is not a matrix"),
                });
            }
            _ => return Err(missing),
        };
        if matrix.columns < columns {
            return Err(Error::Value {
                line: matrix.lines.first().copied().unwrap_or(last_line),
                what: format!(
                    "`{name}` has {} columns, it needs {columns}",
                    matrix.columns
                ),
            });
        }
        Ok(Self {
            name,
            matrix,
            last_line,
        })
    }

    fn line(&self, row: usize) -> usize {
        self.matrix
            .lines
            .get(row)
            .copied()
            .unwrap_or(self.last_line)
    }

    fn get(
        &self,
        row: usize,
        column: usize,
        what: &'static str,
        holds: impl Fn(f64) -> bool,
        domain: &'static str,
    ) -> Result<f64, Error> {
        let value = self.matrix.at(row, column);
        if holds(value) {
            return Ok(value);
        }
        Err(Error::Entry {
            line: self.line(row),
            table: self.name,
            row: row + 1,
            column: what,
            value,
            domain,
        })
    }

    fn finite(&self, row: usize, column: usize, what: &'static str) -> Result<f64, Error> {
        self.get(row, column, what, f64::is_finite, "a finite number")
    }

    fn bound(&self, row: usize, column: usize, what: &'static str) -> Result<f64, Error> {
        self.get(row, column, what, |value| !value.is_nan(), "a number")
    }

    fn id(&self, row: usize, column: usize, what: &'static str) -> Result<u32, Error> {
        self.code(
            row,
            column,
            what,
            u32::MAX,
            "the number of a bus: 1, 2, 3, ...",
        )
    }

    /// A whole number from 1 to `largest`.
    fn code(
        &self,
        row: usize,
        column: usize,
        what: &'static str,
        largest: u32,
        domain: &'static str,
    ) -> Result<u32, Error> {
        let holds =
            |value: f64| value >= 1.0 && value.fract() == 0.0 && value <= f64::from(largest);
        let value = self.get(row, column, what, holds, domain)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let code = value as u32;
        Ok(code)
    }
}

fn read_buses(table: &Table<'_>) -> Result<Vec<Bus>, Error> {
    let mut buses = Vec::with_capacity(table.matrix.rows);
    for row in 0..table.matrix.rows {
        let domain = "1 (PQ), 2 (PV), 3 (reference) or 4 (isolated)";
        let kind = match table.code(row, 1, "type", 4, domain)? {
            1 => BusKind::Load,
            2 => BusKind::Voltage,
            3 => BusKind::Source,
            _ => BusKind::Isolated,
        };
        buses.push(Bus {
            id: table.id(row, 0, "bus_i")?,
            kind,
            load_mw: table.finite(row, 2, "Pd")?,
            load_mvar: table.finite(row, 3, "Qd")?,
            shunt_mw: table.finite(row, 4, "Gs")?,
            shunt_mvar: table.finite(row, 5, "Bs")?,
            voltage_pu: table.finite(row, 7, "Vm")?,
            base_kv: table.finite(row, 9, "baseKV")?,
            v_max_pu: table.bound(row, 11, "Vmax")?,
            v_min_pu: table.bound(row, 12, "Vmin")?,
        });
    }
    Ok(buses)
}

fn read_branches(table: &Table<'_>, base_mva: f64) -> Result<Vec<Branch>, Error> {
    let mut branches = Vec::with_capacity(table.matrix.rows);
    for row in 0..table.matrix.rows {
        let rating = table.get(row, 5, "rateA", |v| v >= 0.0, "a rating in MVA, 0 for none")?;
        let ratio = table.get(
            row,
            8,
            "ratio",
            |v| v >= 0.0 && v.is_finite(),
            "a ratio, 0 for a line",
        )?;
        branches.push(Branch {
            from: table.id(row, 0, "fbus")?,
            to: table.id(row, 1, "tbus")?,
            r_pu: table.finite(row, 2, "r")?,
            x_pu: table.finite(row, 3, "x")?,
            b_pu: table.finite(row, 4, "b")?,
            i_max_pu: (rating > 0.0 && rating.is_finite()).then(|| rating / base_mva),
            ratio: if ratio == 0.0 { 1.0 } else { ratio },
            shift_deg: table.finite(row, 9, "angle")?,
            in_service: table.finite(row, 10, "status")? > 0.0,
        });
    }
    Ok(branches)
}

fn read_generators(table: &Table<'_>, costs: &[Option<[f64; 3]>]) -> Result<Vec<Generator>, Error> {
    let mut generators = Vec::with_capacity(table.matrix.rows);
    for (row, &cost) in costs.iter().enumerate().take(table.matrix.rows) {
        generators.push(Generator {
            bus: table.id(row, 0, "bus")?,
            p_mw: table.finite(row, 1, "Pg")?,
            q_mvar: table.finite(row, 2, "Qg")?,
            q_max_mvar: table.bound(row, 3, "Qmax")?,
            q_min_mvar: table.bound(row, 4, "Qmin")?,
            voltage_pu: table.finite(row, 5, "Vg")?,
            in_service: table.finite(row, 7, "status")? > 0.0,
            p_max_mw: table.bound(row, 8, "Pmax")?,
            p_min_mw: table.bound(row, 9, "Pmin")?,
            cost,
        });
    }
    Ok(generators)
}

/// Costs of active power, one per generator: polynomials up to degree 2. A generator whose cost has another form, or that
/// pays for reactive power as well (in the second half of the rows), counts as one without a cost: a power flow does not
/// need it, and a wrong cost would be worse than none.
fn read_costs(table: &Table<'_>, generators: usize) -> Result<Vec<Option<[f64; 3]>>, Error> {
    let rows = table.matrix.rows;
    if rows != generators && rows != 2 * generators {
        return Err(Error::Value {
            line: table.line(rows - 1),
            what: format!("`gencost` has {rows} rows for {generators} generators"),
        });
    }
    let mut costs = vec![None; generators];
    for row in 0..rows {
        let cost = read_cost(table, row)?;
        let reactive = row >= generators;
        let usable = match cost {
            Some(cost) => !reactive || cost.iter().all(|&coefficient| coefficient == 0.0),
            None => false,
        };
        if !usable {
            let line = table.line(row);
            tracing::warn!(
                line,
                reactive,
                "this cost is not used, its generator has none"
            );
            costs[row % generators] = None;
        } else if !reactive {
            costs[row] = cost;
        }
    }
    Ok(costs)
}

/// A polynomial up to degree 2 as `[c2, c1, c0]`; `None` for another form.
fn read_cost(table: &Table<'_>, row: usize) -> Result<Option<[f64; 3]>, Error> {
    let domain = "1 (piecewise linear) or 2 (polynomial)";
    if table.code(row, 0, "model", 2, domain)? == 1 {
        return Ok(None);
    }
    let room = table.matrix.columns - 4;
    let holds = |value: f64| value >= 0.0 && value.fract() == 0.0 && value <= room as f64;
    let count = table.get(row, 3, "n", holds, "the number of coefficients that follow")?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    let count = count as usize;
    let mut cost = [0.0; 3];
    for position in 0..count {
        let value = table.finite(row, 4 + position, "c")?;
        match count - 1 - position {
            degree @ 0..=2 => cost[2 - degree] = value,
            _ if value == 0.0 => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(cost))
}

#[cfg(test)]
mod tests;
