//! The heat map of vehicles and steps.

use evflex::fleet::{Fleet, Schedule};
use ndarray::{Array1, Array2};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, BOTTOM, Drawn, HEADER, INK, LEFT, MUTED, RIGHT, TimeAxis, WIDTH, anchored, axis_number,
    header, pixels, sheet, style, write,
};
use crate::error::Error;

/// What `vehicles.svg` shows: power of each vehicle in each step.
#[derive(Clone, Debug)]
pub struct VehicleFigure<'a> {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// The fleet, for who is plugged in.
    pub fleet: &'a Fleet,
    /// Its schedule.
    pub schedule: &'a Schedule,
}

/// More rows than this are averaged in neighbouring pairs, triples and so on.
const MAX_ROWS: usize = 260;
/// More columns than this are averaged likewise.
const MAX_COLUMNS: usize = 336;
/// Shades of either sign; neighbouring cells of one shade become one rectangle.
const SHADES: f64 = 24.0;
/// Room at the right for the scale of colours.
const SCALE: u32 = 96;

const ABSENT: RGBColor = RGBColor(232, 232, 232);
const CHARGE: [(f64, RGBColor); 3] = [
    (0.0, RGBColor(255, 255, 255)),
    (0.5, RGBColor(98, 168, 211)),
    (1.0, RGBColor(3, 58, 112)),
];
const DISCHARGE: [(f64, RGBColor); 3] = [
    (0.0, RGBColor(255, 255, 255)),
    (0.5, RGBColor(240, 158, 86)),
    (1.0, RGBColor(140, 45, 4)),
];

/// What a cell shows: a shade from −24 (feeding) to 24 (charging), or nobody plugged in.
type Cell = Option<i32>;

impl VehicleFigure<'_> {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let (power, present) = self.cells();
        let largest = power.iter().fold(0.0_f64, |a, p| a.max(p.abs())).max(1e-9);
        let charges_only = power.iter().all(|&p| p >= 0.0);
        let rows = u32::try_from(power.nrows()).unwrap_or(u32::MAX);
        let map_height = (rows * 14).clamp(120, 520);
        let height = HEADER + 26 + map_height + BOTTOM;
        sheet("vehicles.svg", height, |area| {
            header(area, &self.title, &self.subtitle)?;
            let per_row = self.schedule.ids().len().div_ceil(power.nrows());
            let name = if per_row > 1 {
                format!("Vehicles, sorted by arrival; each row is the mean of {per_row}")
            } else {
                "Vehicles, sorted by arrival".to_owned()
            };
            write(area, &name, &style(14, INK), (16, pixels(HEADER)))?;
            let top = HEADER + 26;
            let what = if charges_only {
                "Charging"
            } else {
                "Charging and feeding"
            };
            let right = anchored(&style(13, MUTED), HPos::Right, VPos::Top);
            write(
                area,
                &format!("{what}, mean kW of the step"),
                &right,
                (pixels(WIDTH - RIGHT), pixels(HEADER)),
            )?;
            self.map(area, (top, map_height), &power, &present, largest)?;
            scale(area, (top, map_height), largest, charges_only)
        })
    }

    /// Power and presence by row, vehicles sorted by first and last step at the plug, averaged
    /// down to what a figure can show.
    fn cells(&self) -> (Array2<f64>, Array2<bool>) {
        let power = self.schedule.power_kw();
        let (vehicles, steps) = power.dim();
        let plugged = |v: usize, t: usize| {
            let vehicle = &self.fleet.vehicles()[v];
            vehicle.power_min_kw()[t] != 0.0 || vehicle.power_max_kw()[t] != 0.0
        };
        let mut order: Vec<usize> = (0..vehicles).collect();
        order.sort_by_key(|&v| {
            let first = (0..steps).find(|&t| plugged(v, t));
            let last = (0..steps).rev().find(|&t| plugged(v, t));
            (first, last)
        });
        let (per_row, per_column) = (vehicles.div_ceil(MAX_ROWS), steps.div_ceil(MAX_COLUMNS));
        let shape = (vehicles.div_ceil(per_row), steps.div_ceil(per_column));
        let mut sum = Array2::zeros(shape);
        let mut count = Array2::<f64>::zeros(shape);
        let mut present = Array2::from_elem(shape, false);
        for (row, &v) in order.iter().enumerate() {
            for t in 0..steps {
                let cell = (row / per_row, t / per_column);
                sum[cell] += power[(v, t)];
                count[cell] += 1.0;
                present[cell] |= plugged(v, t);
            }
        }
        (sum / count, present)
    }

    fn map(
        &self,
        area: &Area<'_>,
        (top, height): (u32, u32),
        power: &Array2<f64>,
        present: &Array2<bool>,
        largest: f64,
    ) -> Drawn {
        let axis = TimeAxis::new(self.schedule.grid());
        let rows = power.nrows() as f64;
        let column_hours = self.schedule.grid().step_hours()
            * self.schedule.grid().steps().div_ceil(power.ncols()) as f64;
        let panel = area
            .clone()
            .shrink((0, top), (WIDTH - RIGHT - SCALE, height + BOTTOM));
        let mut chart = ChartBuilder::on(&panel)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, BOTTOM)
            .build_cartesian_2d(axis.clone(), rows..0.0)?;
        let total = self.schedule.ids().len();
        let per_row = total.div_ceil(power.nrows());
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(MUTED)
            .y_labels(6)
            .y_label_formatter(&|row| axis_number(row * per_row as f64))
            .label_style(style(13, MUTED))
            .draw()?;
        for (row, (powers, there)) in power.outer_iter().zip(present.outer_iter()).enumerate() {
            let cells: Vec<Cell> = powers
                .iter()
                .zip(there)
                .map(|(&p, &there)| there.then(|| shade(p / largest)))
                .collect();
            let mut from = 0;
            while from < cells.len() {
                let run = cells[from..]
                    .iter()
                    .take_while(|&&c| c == cells[from])
                    .count();
                let (left, right) = (
                    from as f64 * column_hours,
                    (from + run) as f64 * column_hours,
                );
                chart.draw_series([Rectangle::new(
                    [
                        (left, row as f64),
                        (right.min(axis.hours), row as f64 + 1.0),
                    ],
                    colour(cells[from]).filled(),
                )])?;
                from += run;
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "between -SHADES and SHADES"
)]
fn shade(share: f64) -> i32 {
    (share.clamp(-1.0, 1.0) * SHADES).round() as i32
}

fn colour(cell: Cell) -> RGBColor {
    let Some(shade) = cell else { return ABSENT };
    let share = f64::from(shade) / SHADES;
    let stops = if share < 0.0 { DISCHARGE } else { CHARGE };
    let share = share.abs();
    let (low, high) = if share <= 0.5 {
        (stops[0], stops[1])
    } else {
        (stops[1], stops[2])
    };
    let weight = (share - low.0) / (high.0 - low.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 255"
    )]
    let mix = |a: u8, b: u8| (f64::from(a) + weight * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (low.1, high.1);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// The colours and what they mean, beside the map.
fn scale(area: &Area<'_>, (top, height): (u32, u32), largest: f64, charges_only: bool) -> Drawn {
    let left = pixels(WIDTH - RIGHT - SCALE + 24);
    let (top, height) = (pixels(top), pixels(height.min(300)));
    let first: i32 = if charges_only { 0 } else { -24 };
    let bar = Array1::from_iter(first..=24);
    let count = i32::try_from(bar.len()).unwrap_or(1);
    let bar_height = height - 46;
    for (index, &shade) in (0..).zip(bar.iter().rev()) {
        let from = top + bar_height * index / count;
        let to = top + bar_height * (index + 1) / count;
        area.draw(&Rectangle::new(
            [(left, from), (left + 16, to)],
            colour(Some(shade)).filled(),
        ))?;
    }
    area.draw(&Rectangle::new(
        [(left, top), (left + 16, top + bar_height)],
        MUTED.stroke_width(1),
    ))?;
    let label = anchored(&style(13, MUTED), HPos::Left, VPos::Center);
    let lowest = if charges_only { 0.0 } else { -largest };
    for (share, value) in [
        (0.0, largest),
        (0.5, f64::midpoint(largest, lowest)),
        (1.0, lowest),
    ] {
        #[expect(clippy::cast_possible_truncation, reason = "a pixel")]
        let y = top + (f64::from(bar_height) * share) as i32;
        let number = axis_number((value * 10.0).round() / 10.0);
        let text = if share == 0.0 {
            format!("{number} kW")
        } else {
            number
        };
        write(area, &text, &label, (left + 22, y.max(top + 6)))?;
    }
    let y = top + height - 12;
    area.draw(&Rectangle::new(
        [(left, y - 7), (left + 16, y + 7)],
        ABSENT.filled(),
    ))?;
    write(area, "not there", &label, (left + 22, y))
}
