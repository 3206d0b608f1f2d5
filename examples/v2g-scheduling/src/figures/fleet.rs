//! What every vehicle does, as a heat map.

use evflex::v2g::SchedulingProblem;
use ndarray::Array2;
use plotters::prelude::*;

use super::{
    BLUE, GRID, HEADER, LEFT, MUTED, ORANGE, RIGHT, WIDTH, clock, header, legend, pixels, sheet,
    style,
};
use crate::error::Error;

/// What `fleet.svg` shows.
#[derive(Clone, Debug)]
pub struct FleetFigure<'a> {
    /// The problem.
    pub problem: &'a SchedulingProblem,
    /// Powers, vehicles × steps, kW.
    pub power_kw: Array2<f64>,
    /// The line below the title.
    pub subtitle: &'a str,
}

/// Rows of the heat map; larger fleets are thinned out evenly.
const MOST_ROWS: usize = 250;
/// Height of the map in pixels.
const HEIGHT: u32 = 520;

impl FleetFigure<'_> {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let count = self.power_kw.nrows();
        let rows = count.min(MOST_ROWS);
        let grid = self.problem.grid();
        let largest = self
            .power_kw
            .iter()
            .fold(0.0_f64, |largest, power| largest.max(power.abs()))
            .max(1e-9);
        // Vehicles that need most at the bottom.
        let mut order: Vec<usize> = (0..count).collect();
        let need = |&vehicle: &usize| {
            let vehicle = &self.problem.vehicles()[vehicle];
            vehicle.final_min_kwh - vehicle.initial_kwh
        };
        order.sort_by(|a, b| need(b).total_cmp(&need(a)));
        let top = HEADER + 20;
        sheet("fleet.svg", top + HEIGHT + 46, |area| {
            let title = if rows < count {
                format!("Every vehicle ({rows} of {count} shown)")
            } else {
                "Every vehicle".to_owned()
            };
            header(area, &title, self.subtitle)?;
            let names = format!("charging, up to {largest:.0} kW");
            let entries = [
                (names.as_str(), BLUE, false),
                ("discharging", ORANGE, false),
                ("idle: white", WHITE, false),
            ];
            legend(area, (pixels(LEFT), pixels(HEADER) + 4), &entries)?;
            let panel = area
                .clone()
                .shrink((14, top), (WIDTH - RIGHT - 14, HEIGHT + 40));
            let mut chart = ChartBuilder::on(&panel)
                .set_label_area_size(LabelAreaPosition::Left, LEFT)
                .set_label_area_size(LabelAreaPosition::Bottom, 40)
                .build_cartesian_2d(0.0..grid.hours(), 0.0..rows as f64)?;
            chart
                .configure_mesh()
                .disable_mesh()
                .axis_style(GRID)
                .x_labels(13)
                .x_label_formatter(&|hours| clock(grid, *hours))
                .y_labels(1)
                .y_label_formatter(&|_| String::new())
                .y_desc("vehicles, those that need most at the bottom")
                .axis_desc_style(style(13, MUTED))
                .label_style(style(13, MUTED))
                .draw()?;
            for row in 0..rows {
                let vehicle = order[row * count / rows];
                let powers = self.power_kw.row(vehicle);
                let mut step = 0;
                while step < powers.len() {
                    let power = powers[step];
                    let mut end = step + 1;
                    while end < powers.len() && (powers[end] - power).abs() < 1e-9 {
                        end += 1;
                    }
                    if power.abs() > 1e-6 {
                        let colour = if power > 0.0 { BLUE } else { ORANGE };
                        let shade = colour.mix(0.15 + 0.85 * power.abs() / largest);
                        let hours = |step: usize| step as f64 * grid.step_hours();
                        let corners = [(hours(step), row as f64), (hours(end), row as f64 + 1.0)];
                        chart.draw_series([Rectangle::new(corners, shade.filled())])?;
                    }
                    step = end;
                }
            }
            Ok(())
        })
    }
}
