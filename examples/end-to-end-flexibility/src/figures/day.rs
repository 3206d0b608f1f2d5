//! The day figure: the connection, the fleet within its band, the price.

use evflex::fleet::TimeGrid;
use plotters::prelude::*;

use super::{
    Area, BAND, BOTTOM, Drawn, GRID, HEADER, INK, LEFT, LOAD, MUTED, PRICE, RIGHT, SCHEDULE,
    Swatch, TimeAxis, UNCONTROLLED, WIDTH, axis_number, caption, header, pixels, range, sheet,
    steps, style,
};
use crate::error::Error;

/// What `day.svg` shows. All powers in kW, one entry per step.
#[derive(Clone, Debug)]
pub struct DayFigure<'a> {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// Time axis.
    pub grid: &'a TimeGrid,
    /// Other load at the connection; all zeros leave its panel out.
    pub load_kw: &'a [f64],
    /// Scheduled power of the fleet.
    pub power_kw: &'a [f64],
    /// Uncontrolled power of the fleet.
    pub uncontrolled_kw: &'a [f64],
    /// Least power of the fleet in each step by itself.
    pub power_min_kw: &'a [f64],
    /// Largest power of the fleet in each step by itself.
    pub power_max_kw: &'a [f64],
    /// Target that was tracked, if any.
    pub target_kw: Option<&'a [f64]>,
    /// Price, EUR/MWh, if any.
    pub price_eur_per_mwh: Option<&'a [f64]>,
}

/// Height of a caption above its panel.
const CAPTION: u32 = 26;

/// One curve of a panel.
struct Curve<'a> {
    values: Vec<f64>,
    label: &'a str,
    swatch: Swatch,
}

impl DayFigure<'_> {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let with_load = self.load_kw.iter().any(|&load| load != 0.0);
        let (connection, fleet, price) = (240, 250, 110);
        let mut height = HEADER + CAPTION + fleet + BOTTOM;
        if with_load {
            height += CAPTION + connection + 12;
        }
        if self.price_eur_per_mwh.is_some() {
            height += CAPTION + price + 12;
        }
        sheet("day.svg", height, |area| {
            header(area, &self.title, &self.subtitle)?;
            let axis = TimeAxis::new(self.grid);
            let mut y = HEADER;
            if with_load {
                self.connection(area, y, connection, &axis)?;
                y += CAPTION + connection + 12;
            }
            let last = self.price_eur_per_mwh.is_none();
            self.fleet(area, y, fleet, &axis, last)?;
            y += CAPTION + fleet + 12;
            if let Some(values) = self.price_eur_per_mwh {
                let curves = [Curve {
                    values: values.to_vec(),
                    label: "price",
                    swatch: Swatch::Line(PRICE),
                }];
                let name = "Price (EUR/MWh)";
                self.panel(area, (y, price), name, &axis, true, &[], &curves)?;
            }
            Ok(())
        })
    }

    /// Load and fleet together.
    fn connection(&self, area: &Area<'_>, y: u32, height: u32, axis: &TimeAxis) -> Drawn {
        let with = |fleet: &[f64]| self.load_kw.iter().zip(fleet).map(|(l, u)| l + u).collect();
        let base = vec![0.0; self.load_kw.len()];
        let filled = [(base.as_slice(), self.load_kw, LOAD, "other load")];
        let curves = [
            Curve {
                values: with(self.uncontrolled_kw),
                label: "with uncontrolled charging",
                swatch: Swatch::Dashed(UNCONTROLLED),
            },
            Curve {
                values: with(self.power_kw),
                label: "with the schedule",
                swatch: Swatch::Line(SCHEDULE),
            },
        ];
        let name = "Connection (kW)";
        self.panel(area, (y, height), name, axis, false, &filled, &curves)
    }

    /// The fleet alone, within what it could do in each step.
    fn fleet(&self, area: &Area<'_>, y: u32, height: u32, axis: &TimeAxis, last: bool) -> Drawn {
        let filled = [(
            self.power_min_kw,
            self.power_max_kw,
            BAND,
            "possible in the step",
        )];
        let mut curves = vec![
            Curve {
                values: self.uncontrolled_kw.to_vec(),
                label: "uncontrolled",
                swatch: Swatch::Dashed(UNCONTROLLED),
            },
            Curve {
                values: self.power_kw.to_vec(),
                label: "schedule",
                swatch: Swatch::Line(SCHEDULE),
            },
        ];
        if let Some(target) = self.target_kw {
            curves.push(Curve {
                values: target.to_vec(),
                label: "target",
                swatch: Swatch::Dashed(INK),
            });
        }
        self.panel(
            area,
            (y, height),
            "Fleet (kW)",
            axis,
            last,
            &filled,
            &curves,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "a drawing is many things")]
    fn panel(
        &self,
        area: &Area<'_>,
        (y, height): (u32, u32),
        name: &str,
        axis: &TimeAxis,
        with_times: bool,
        filled: &[(&[f64], &[f64], RGBColor, &str)],
        curves: &[Curve<'_>],
    ) -> Drawn {
        let legend: Vec<_> = filled
            .iter()
            .map(|&(_, _, colour, label)| (label, Swatch::Filled(colour)))
            .chain(curves.iter().map(|curve| (curve.label, curve.swatch)))
            .collect();
        caption(
            area,
            pixels(y),
            name,
            if legend.len() > 1 { &legend } else { &[] },
        )?;

        let all = filled
            .iter()
            .flat_map(|(low, high, _, _)| low.iter().chain(*high).copied())
            .chain(curves.iter().flat_map(|curve| curve.values.iter().copied()));
        let (low, high) = range(all, true);
        let bottom = if with_times { BOTTOM } else { 4 };
        let panel = area
            .clone()
            .shrink((0, y + CAPTION), (WIDTH - RIGHT, height + bottom));
        let mut chart = ChartBuilder::on(&panel)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, bottom)
            .build_cartesian_2d(axis.clone(), low..high)?;
        let mut mesh = chart.configure_mesh();
        if !with_times {
            mesh.x_label_formatter(&|_| String::new());
        }
        mesh.bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(MUTED)
            .y_labels(if height > 150 { 7 } else { 4 })
            .y_label_formatter(&|value| axis_number(*value))
            .label_style(style(13, MUTED))
            .draw()?;

        let delta = self.grid.step_hours();
        for (low, high, colour, _) in filled {
            let mut outline = steps(low, delta);
            outline.extend(steps(high, delta).into_iter().rev());
            chart.draw_series([Polygon::new(outline, colour.mix(0.9).filled())])?;
        }
        chart.draw_series([PathElement::new(
            vec![(0.0, 0.0), (axis.hours, 0.0)],
            MUTED.stroke_width(1),
        )])?;
        for curve in curves {
            let corners = steps(&curve.values, delta);
            match curve.swatch {
                Swatch::Dashed(colour) => {
                    chart.draw_series(DashedLineSeries::new(
                        corners,
                        7,
                        4,
                        colour.stroke_width(2),
                    ))?;
                }
                Swatch::Line(colour) | Swatch::Filled(colour) => {
                    let width = if curve.values.len() > 100 { 2 } else { 3 };
                    chart.draw_series(LineSeries::new(corners, colour.stroke_width(width)))?;
                }
            }
        }
        Ok(())
    }
}
