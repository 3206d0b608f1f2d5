//! Gaps of methods by task, on logarithmic axes.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, Drawn, GRID, HEADER, INK, MUTED, RIGHT, SCHEDULE, UNCONTROLLED, WIDTH, anchored, header,
    mean_and_error, pixels, sheet, style, write,
};
use crate::error::Error;

/// One method on one task.
#[derive(Clone, Debug)]
pub struct GapCell {
    /// Gap of each population; negative for outer sets.
    pub by_population: Vec<f64>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct GapPanel {
    /// Name of the task.
    pub name: String,
    /// Label of the axis, with the unit.
    pub axis: String,
    /// One cell per method.
    pub cells: Vec<GapCell>,
}

/// What `gaps.svg` shows.
#[derive(Clone, Debug)]
pub struct GapFigure {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// Names of the methods, and whether their sets are outer ones.
    pub methods: Vec<(String, bool)>,
    /// One panel per task.
    pub panels: Vec<GapPanel>,
}

const ROW: u32 = 34;
const NAMES: u32 = 236;
const BELOW: u32 = 78;
const CAPTION: u32 = 26;
/// Smallest gap with a place of its own; smaller ones stand at the left edge.
const FLOOR: f64 = 1e-3;

impl GapFigure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let rows = u32::try_from(self.methods.len()).unwrap_or(0);
        let height = HEADER + CAPTION + rows * ROW + BELOW;
        sheet("gaps.svg", height, |area| {
            header(area, &self.title, &self.subtitle)?;
            for (index, (name, _)) in self.methods.iter().enumerate() {
                let right = anchored(&style(13, INK), HPos::Right, VPos::Center);
                let y = pixels(HEADER + CAPTION) + pixels(ROW) * i32::try_from(index)?;
                write(
                    area,
                    name,
                    &right,
                    (pixels(NAMES) - 10, y + pixels(ROW) / 2),
                )?;
            }
            let panels = u32::try_from(self.panels.len())?.max(1);
            let width = (WIDTH - NAMES - RIGHT) / panels;
            for (index, panel) in self.panels.iter().enumerate() {
                let left = NAMES + width * u32::try_from(index)?;
                self.panel(area, panel, (left, width - 14), rows)?;
            }
            legend(area, pixels(height) - 16)
        })
    }

    fn panel(
        &self,
        area: &Area<'_>,
        panel: &GapPanel,
        (left, width): (u32, u32),
        rows: u32,
    ) -> Drawn {
        write(
            area,
            &panel.name,
            &style(14, INK),
            (pixels(left), pixels(HEADER)),
        )?;
        let largest = panel.cells.iter().flat_map(|cell| &cell.by_population);
        let largest = largest.fold(1.0, |most, gap| f64::max(most, gap.abs()));
        let range = (FLOOR / 1.6..largest * 2.0).log_scale();
        let inner = area
            .clone()
            .shrink((left, HEADER + CAPTION), (width, rows * ROW + BELOW - 30));
        let mut chart = ChartBuilder::on(&inner)
            .set_label_area_size(LabelAreaPosition::Bottom, BELOW - 30)
            .build_cartesian_2d(range, f64::from(rows)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(MUTED)
            .x_labels(4)
            .x_label_formatter(&|value| power_of_ten(*value))
            .x_desc(panel.axis.clone())
            .axis_desc_style(style(13, MUTED))
            .label_style(style(12, MUTED))
            .draw()?;
        for (index, (cell, (_, outer))) in panel.cells.iter().zip(&self.methods).enumerate() {
            let middle = index as f64 + 0.5;
            if cell.by_population.is_empty() {
                continue;
            }
            let colour = if *outer { UNCONTROLLED } else { SCHEDULE };
            let at = |gap: f64| gap.abs().max(FLOOR);
            let places = cell.by_population.iter().enumerate();
            chart.draw_series(places.map(|(k, &gap)| {
                let y = middle - 0.14 + 0.07 * (k % 5) as f64;
                Circle::new((at(gap), y), 3, colour.mix(0.35).filled())
            }))?;
            let (mean, error) = mean_and_error(&cell.by_population);
            chart.draw_series([PathElement::new(
                vec![(at(mean), middle - 0.36), (at(mean), middle + 0.36)],
                colour.stroke_width(3),
            )])?;
            if mean.abs() > FLOOR {
                let low = at((mean.abs() - error).max(FLOOR));
                chart.draw_series([PathElement::new(
                    vec![(low, middle), (at(mean.abs() + error), middle)],
                    colour.stroke_width(2),
                )])?;
            }
            let text = if mean.abs() < FLOOR {
                format!("< {FLOOR}")
            } else {
                label(mean)
            };
            // Beside the dots, on the side with room.
            let low = cell
                .by_population
                .iter()
                .fold(f64::INFINITY, |a, g| a.min(at(*g)));
            let high = cell
                .by_population
                .iter()
                .fold(0.0, |a: f64, g| a.max(at(*g)));
            let spread = (largest * 2.0 / (FLOOR / 1.6)).ln();
            let share = |value: f64| (value / (FLOOR / 1.6)).ln() / spread;
            let x = |value: f64| {
                #[expect(clippy::cast_possible_truncation, reason = "a pixel")]
                let offset = (share(value) * f64::from(width)) as i32;
                pixels(left) + offset
            };
            let y =
                pixels(HEADER + CAPTION) + pixels(ROW) * i32::try_from(index)? + pixels(ROW) / 2;
            let (place, side) = if share(high) < 0.7 {
                (x(high.max(mean.abs() + error)) + 9, HPos::Left)
            } else {
                (x(low.min((mean.abs() - error).max(FLOOR))) - 9, HPos::Right)
            };
            write(
                area,
                &text,
                &anchored(&style(12, MUTED), side, VPos::Center),
                (place, y),
            )?;
        }
        Ok(())
    }
}

fn legend(area: &Area<'_>, y: i32) -> Drawn {
    let text = anchored(&style(12, MUTED), HPos::Left, VPos::Center);
    let mut x = pixels(NAMES);
    for (colour, name) in [
        (SCHEDULE, "inner set: extra cost"),
        (UNCONTROLLED, "outer set: its bound is that much too low"),
    ] {
        area.draw(&PathElement::new(
            vec![(x, y - 7), (x, y + 7)],
            colour.stroke_width(3),
        ))?;
        area.draw(&Circle::new((x + 10, y), 3, colour.mix(0.35).filled()))?;
        write(area, name, &text, (x + 20, y))?;
        x += super::text_width(name, 12) + 34;
    }
    write(area, "bar: mean, dot: a fleet", &text, (x, y))
}

/// A decade as a plain number.
fn power_of_ten(value: f64) -> String {
    if value >= 0.999 {
        format!("{value:.0}")
    } else {
        super::axis_number(value)
    }
}

fn label(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 10.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    };
    text.replace('-', "−")
}
