//! Reductions of cost by decision over populations.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Drawn, GRID, HEADER, INK, MUTED, RIGHT, SCHEDULE, UNCONTROLLED, WIDTH, anchored, axis_number,
    header, pixels, range, sheet, style, write,
};
use crate::error::Error;

/// One row of the figure: a decision and the reduction of each population.
#[derive(Clone, Debug)]
pub struct Reductions {
    /// Name of the decision.
    pub decision: String,
    /// Reduction against uncontrolled charging, percent, one entry per population.
    pub percent: Vec<f64>,
}

/// What `reductions.svg` shows.
#[derive(Clone, Debug)]
pub struct ReductionFigure {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// One row per decision.
    pub rows: Vec<Reductions>,
}

const ROW: u32 = 64;
const NAMES: u32 = 150;

impl ReductionFigure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let below = 56;
        let height = HEADER + rows * ROW + below;
        sheet("reductions.svg", height, |area| {
            header(area, &self.title, &self.subtitle)?;
            let (low, high) = range(self.rows.iter().flat_map(|row| row.percent.clone()), true);
            let panel = area
                .clone()
                .shrink((0, HEADER), (WIDTH - RIGHT, rows * ROW + below));
            let mut chart = ChartBuilder::on(&panel)
                .set_label_area_size(LabelAreaPosition::Left, NAMES)
                .set_label_area_size(LabelAreaPosition::Bottom, below)
                .build_cartesian_2d(low..high, f64::from(rows)..0.0)?;
            chart
                .configure_mesh()
                .disable_y_mesh()
                .disable_y_axis()
                .bold_line_style(GRID)
                .light_line_style(TRANSPARENT)
                .axis_style(MUTED)
                .x_labels(9)
                .x_label_formatter(&|value| axis_number(*value))
                .x_desc("reduction against uncontrolled charging (%)")
                .axis_desc_style(style(13, MUTED))
                .label_style(style(13, MUTED))
                .draw()?;
            for (index, row) in self.rows.iter().enumerate() {
                let middle = index as f64 + 0.5;
                let (mean, error) = mean_and_error(&row.percent);
                chart.draw_series(
                    row.percent
                        .iter()
                        .enumerate()
                        // Spread over the row, so that equal values are seen.
                        .map(|(k, &x)| (x, middle - 0.13 + 0.06 * (k % 5) as f64))
                        .map(|at| Circle::new(at, 4, SCHEDULE.mix(0.45).filled())),
                )?;
                chart.draw_series([PathElement::new(
                    vec![(mean, middle - 0.3), (mean, middle + 0.3)],
                    UNCONTROLLED.stroke_width(3),
                )])?;
                chart.draw_series([PathElement::new(
                    vec![(mean - error, middle), (mean + error, middle)],
                    UNCONTROLLED.stroke_width(3),
                )])?;
                let y = pixels(HEADER) + pixels(ROW) / 2 + pixels(ROW) * i32::try_from(index)?;
                let right = anchored(&style(14, INK), HPos::Right, VPos::Center);
                write(area, &row.decision, &right, (pixels(NAMES) - 14, y - 9))?;
                let right = anchored(&style(13, MUTED), HPos::Right, VPos::Center);
                let text = format!("{mean:.1} ± {error:.1} %");
                write(area, &text, &right, (pixels(NAMES) - 14, y + 10))?;
            }
            legend(area)
        })
    }
}

fn legend(area: &super::Area<'_>) -> Drawn {
    let label = anchored(&style(13, MUTED), HPos::Left, VPos::Center);
    let (x, y) = (pixels(WIDTH) - 330, 46);
    area.draw(&Circle::new((x, y), 4, SCHEDULE.mix(0.45).filled()))?;
    write(area, "one population", &label, (x + 12, y))?;
    let x = x + 132;
    area.draw(&PathElement::new(
        vec![(x, y), (x + 20, y)],
        UNCONTROLLED.stroke_width(3),
    ))?;
    area.draw(&PathElement::new(
        vec![(x + 10, y - 8), (x + 10, y + 8)],
        UNCONTROLLED.stroke_width(3),
    ))?;
    write(area, "mean ± standard error", &label, (x + 30, y))
}

/// Mean and standard error of the mean; the error is 0 for one value.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_standard_error_by_hand() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0]);
        assert!((mean - 2.5).abs() < 1e-15);
        assert!((error - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
        assert_eq!(mean_and_error(&[7.0]), (7.0, 0.0));
    }
}
