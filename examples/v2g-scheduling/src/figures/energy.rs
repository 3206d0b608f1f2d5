//! Energy to be delivered, bought and stored over the night.

use evflex::v2g::SchedulingProblem;
use plotters::prelude::*;

use super::{
    Area, BLUE, Drawn, GREEN, GREY, GRID, HEADER, LEFT, MUTED, ORANGE, RIGHT, WIDTH, axis_number,
    clock, header, legend, pixels, range, sheet, steps, style, write,
};
use crate::error::Error;

/// What `energy.svg` shows.
#[derive(Clone, Copy, Debug)]
pub struct EnergyFigure<'a> {
    /// The problem, with volumes and prices.
    pub problem: &'a SchedulingProblem,
    /// Energy bought per step, kWh; negative where it is left over.
    pub bought_kwh: &'a [f64],
    /// Energy in all batteries at the end of each step, kWh.
    pub stored_kwh: &'a [f64],
    /// The line below the title.
    pub subtitle: &'a str,
}

const CAPTION: u32 = 26;

struct Line<'a> {
    name: &'a str,
    values: &'a [f64],
    colour: RGBColor,
    filled: bool,
}

impl EnergyFigure<'_> {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let heights = [200, 130, 100];
        let height = HEADER + heights.iter().map(|h| h + CAPTION + 12).sum::<u32>() + 34;
        let price: Vec<f64> = self
            .problem
            .price_eur_per_kwh()
            .iter()
            .map(|p| 1e3 * p)
            .collect();
        sheet("energy.svg", height, |area| {
            header(area, "Energy over the night", self.subtitle)?;
            let energy = [
                Line {
                    name: "without the fleet",
                    values: self.problem.volume_kwh(),
                    colour: GREY,
                    filled: true,
                },
                Line {
                    name: "with the schedule",
                    values: self.bought_kwh,
                    colour: BLUE,
                    filled: false,
                },
            ];
            let stored = [Line {
                name: "stored",
                values: self.stored_kwh,
                colour: GREEN,
                filled: false,
            }];
            let price = [Line {
                name: "price",
                values: &price,
                colour: ORANGE,
                filled: false,
            }];
            let mut y = HEADER;
            let panels: [(&str, &[Line<'_>]); 3] = [
                ("Bought (+) or left over (−), kWh per step", &energy),
                ("Stored in all batteries, kWh", &stored),
                ("Price, EUR/MWh", &price),
            ];
            for (index, ((name, lines), height)) in panels.into_iter().zip(heights).enumerate() {
                self.panel(area, (y, height), name, lines, index == 2)?;
                y += CAPTION + height + 12;
            }
            Ok(())
        })
    }

    fn panel(
        &self,
        area: &Area<'_>,
        (y, height): (u32, u32),
        name: &str,
        lines: &[Line<'_>],
        last: bool,
    ) -> Drawn {
        write(area, name, &style(14, super::INK), (16, pixels(y)))?;
        if lines.len() > 1 {
            let entries: Vec<_> = lines.iter().map(|l| (l.name, l.colour, false)).collect();
            legend(area, (pixels(WIDTH) - 400, pixels(y) + 8), &entries)?;
        }
        let grid = self.problem.grid();
        let (low, high) = range(lines.iter().flat_map(|line| line.values.iter().copied()));
        let bottom = if last { 34 } else { 4 };
        let panel = area
            .clone()
            .shrink((0, y + CAPTION), (WIDTH - RIGHT, height + bottom));
        let mut chart = ChartBuilder::on(&panel)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, bottom)
            .build_cartesian_2d(0.0..grid.hours(), low..high)?;
        let times = |hours: &f64| clock(grid, *hours);
        let none = |_: &f64| String::new();
        let mut mesh = chart.configure_mesh();
        if last {
            mesh.x_label_formatter(&times);
        } else {
            mesh.x_label_formatter(&none);
        }
        mesh.bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(MUTED)
            .x_labels(13)
            .y_labels(if height > 150 { 7 } else { 4 })
            .y_label_formatter(&|value| axis_number(*value))
            .label_style(style(13, MUTED))
            .draw()?;
        for line in lines {
            let corners = steps(line.values, grid.step_hours());
            if line.filled {
                let area = AreaSeries::new(corners, 0.0, line.colour.mix(0.9));
                chart.draw_series(area)?;
            } else {
                chart.draw_series(LineSeries::new(corners, line.colour.stroke_width(2)))?;
            }
        }
        let zero = vec![(0.0, 0.0), (grid.hours(), 0.0)];
        chart.draw_series([PathElement::new(zero, MUTED.stroke_width(1))])?;
        Ok(())
    }
}
