//! Gaps over time and costs over sizes.

use plotters::prelude::*;

use super::{
    Drawn, GRID, HEADER, LEFT, MUTED, PALETTE, RIGHT, WIDTH, axis_number, header, legend, sheet,
    style,
};
use crate::error::Error;

/// A named line.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Whether it is dashed.
    pub dashed: bool,
}

/// Relative gap in percent over seconds, both logarithmic.
#[derive(Clone, Debug)]
pub struct GapFigure {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// One line per method and level.
    pub curves: Vec<Curve>,
}

/// Cost in EUR over the number of vehicles, both logarithmic.
#[derive(Clone, Debug)]
pub struct SizeFigure {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// One line per method.
    pub curves: Vec<Curve>,
}

/// The least gap that is drawn, percent; smaller ones are on this line.
const LEAST_GAP: f64 = 1e-4;

impl GapFigure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let curves: Vec<Curve> = self
            .curves
            .iter()
            .map(|curve| Curve {
                points: curve
                    .points
                    .iter()
                    .map(|&(x, y)| (x, y.max(LEAST_GAP)))
                    .collect(),
                ..curve.clone()
            })
            .collect();
        let axes = ("seconds", "gap (%), at least 0.0001");
        logarithmic(
            "gap_over_time.svg",
            &self.title,
            &self.subtitle,
            axes,
            &curves,
            false,
        )
    }
}

impl SizeFigure {
    /// The figure as SVG text. Costs that are not positive are left out.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let curves: Vec<Curve> = self
            .curves
            .iter()
            .map(|curve| Curve {
                points: curve
                    .points
                    .iter()
                    .copied()
                    .filter(|point| point.1 > 0.0)
                    .collect(),
                ..curve.clone()
            })
            .collect();
        let axes = ("vehicles", "cost (EUR)");
        logarithmic(
            "cost_over_size.svg",
            &self.title,
            &self.subtitle,
            axes,
            &curves,
            true,
        )
    }
}

fn logarithmic(
    figure: &'static str,
    title: &str,
    subtitle: &str,
    (across, up): (&str, &str),
    curves: &[Curve],
    dots: bool,
) -> Result<String, Error> {
    let per_row = 4;
    let rows = u32::try_from(curves.len().div_ceil(per_row)).unwrap_or(1);
    let top = HEADER + 24 * rows;
    sheet(figure, top + 420, |area| {
        header(area, title, subtitle)?;
        let colour = |index: usize| PALETTE[index % PALETTE.len()];
        for (row, part) in curves.chunks(per_row).enumerate() {
            let entries: Vec<_> = part
                .iter()
                .enumerate()
                .map(|(k, curve)| (curve.name.as_str(), colour(row * per_row + k), curve.dashed))
                .collect();
            let y = i32::try_from(HEADER)? + 24 * i32::try_from(row)?;
            legend(area, (20, y + 6), &entries)?;
        }
        let x = decades(curves.iter().flat_map(|c| c.points.iter().map(|p| p.0)));
        let y = decades(curves.iter().flat_map(|c| c.points.iter().map(|p| p.1)));
        let panel = area.clone().shrink((14, top), (WIDTH - RIGHT - 14, 410));
        let mut chart = ChartBuilder::on(&panel)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, 48)
            .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(MUTED)
            .x_label_formatter(&|value| axis_number(*value))
            .y_label_formatter(&|value| axis_number(*value))
            .x_desc(across)
            .y_desc(up)
            .axis_desc_style(style(13, MUTED))
            .label_style(style(13, MUTED))
            .draw()?;
        for (index, curve) in curves.iter().enumerate() {
            let colour = colour(index);
            let points = curve.points.iter().copied();
            if curve.dashed {
                let line = DashedLineSeries::new(points.clone(), 7, 4, colour.stroke_width(2));
                chart.draw_series(line)?;
            } else {
                chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            }
            if dots {
                chart.draw_series(points.map(|at| Circle::new(at, 4, colour.filled())))?;
            }
        }
        Drawn::Ok(())
    })
}

/// A range of whole decades around positive values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if high <= 0.0 {
        return (0.1, 10.0);
    }
    let low = 10.0_f64.powf(low.log10().floor());
    let high = 10.0_f64.powf(high.log10().ceil());
    (low, if high > low { high } else { 10.0 * low })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_hold_all_values() {
        assert_eq!(decades([0.02, 3.0].into_iter()), (0.01, 10.0));
        assert_eq!(decades([1.0].into_iter()), (1.0, 10.0));
        assert_eq!(decades(std::iter::empty()), (0.1, 10.0));
    }
}
