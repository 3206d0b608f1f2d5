//! Aggregate sets in the plane of two mean powers.

use std::ops::Range;

use evflex::flexibility::AggregateSet;
use evflex::solver::Solver;
use ndarray::Array1;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Area, Drawn, GRID, HEADER, INK, LOAD, MUTED, SCHEDULE, UNCONTROLLED, WIDTH, anchored,
    axis_number, header, pixels, range, sheet, style, write,
};
use crate::error::Error;

/// Directions in which the outline of a projection is touched.
const DIRECTIONS: usize = 72;

/// The outline of a set in the plane of its mean powers over two windows of steps.
///
/// Corners are images of maximisers of the support function, so the polygon is inside the projection and
/// touches it in every direction asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline(Vec<(f64, f64)>);

impl Outline {
    /// The windows of steps: a third from the middle of the first third on, and the last third.
    #[must_use]
    pub fn windows(steps: usize) -> [Range<usize>; 2] {
        let third = (steps / 3).max(1);
        let first = (third / 3).min(steps - third);
        let second = (2 * third).min(steps - third);
        [first..first + third, second..second + third]
    }

    /// Its corners in order, kW.
    pub fn corners(&self) -> impl Iterator<Item = (f64, f64)> {
        self.0.iter().copied()
    }
}

/// The outline of `set`, by its support function.
///
/// # Errors
/// Those of [`AggregateSet::support`].
pub fn outline(
    set: &(dyn AggregateSet + Sync),
    solver: &dyn Solver,
) -> Result<Outline, evflex::flexibility::Error> {
    let steps = set.steps();
    let means = Outline::windows(steps).map(|window| {
        let weight = 1.0 / window.len() as f64;
        Array1::from_shape_fn(steps, |t| if window.contains(&t) { weight } else { 0.0 })
    });
    let corners = (0..DIRECTIONS).map(|k| {
        let angle = std::f64::consts::TAU * k as f64 / DIRECTIONS as f64;
        let direction = angle.cos() * &means[0] + angle.sin() * &means[1];
        let profile = set.support(direction.view(), solver)?.profile_kw;
        Ok((profile.dot(&means[0]), profile.dot(&means[1])))
    });
    Ok(Outline(
        corners.collect::<Result<_, evflex::flexibility::Error>>()?,
    ))
}

/// One set beside the exact one.
#[derive(Clone, Debug)]
pub struct ProjectionCell {
    /// Name of the method.
    pub name: String,
    /// Whether the set is around the exact one.
    pub outer: bool,
    /// The exact set.
    pub exact: Outline,
    /// The set.
    pub set: Outline,
}

/// What `projections.svg` shows: groups of cells with one scale each.
#[derive(Clone, Debug)]
pub struct ProjectionFigure {
    /// Title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// Groups of cells with their names.
    pub groups: Vec<(String, Vec<ProjectionCell>)>,
}

const COLUMNS: u32 = 6;
const CELL: u32 = 168;
const CAPTION: u32 = 30;
/// Room for the labels of a vertical axis.
const LABELS: u32 = 30;

impl ProjectionFigure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error::Figure`].
    pub fn svg(&self) -> Result<String, Error> {
        let rows = |cells: usize| u32::try_from(cells).unwrap_or(0).div_ceil(COLUMNS);
        let group_height = |cells: usize| CAPTION + rows(cells) * CELL;
        let height = HEADER
            + self
                .groups
                .iter()
                .map(|(_, cells)| group_height(cells.len()))
                .sum::<u32>()
            + 12;
        sheet("projections.svg", height, |area| {
            header(area, &self.title, &self.subtitle)?;
            let mut top = HEADER;
            for (name, cells) in &self.groups {
                write(area, name, &style(14, INK), (16, pixels(top) + 6))?;
                let points = || {
                    let outlines = cells.iter().flat_map(|cell| [&cell.exact, &cell.set]);
                    outlines.flat_map(Outline::corners)
                };
                let x = range(points().map(|p| p.0), false);
                let y = range(points().map(|p| p.1), false);
                for (index, cell) in cells.iter().enumerate() {
                    let index = u32::try_from(index)?;
                    let corner = (
                        16 + (index % COLUMNS) * ((WIDTH - 32) / COLUMNS),
                        top + CAPTION + (index / COLUMNS) * CELL,
                    );
                    draw(area, cell, corner, x, y)?;
                }
                top += group_height(cells.len());
            }
            Ok(())
        })
    }
}

fn draw(
    area: &Area<'_>,
    cell: &ProjectionCell,
    corner: (u32, u32),
    x: (f64, f64),
    y: (f64, f64),
) -> Drawn {
    let panel = area
        .clone()
        .shrink((corner.0, corner.1), ((WIDTH - 32) / COLUMNS - 8, CELL - 8));
    let mut chart = ChartBuilder::on(&panel)
        .margin_top(20)
        .set_label_area_size(LabelAreaPosition::Left, LABELS)
        .set_label_area_size(LabelAreaPosition::Bottom, 22)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(MUTED)
        .x_labels(3)
        .y_labels(4)
        .x_label_formatter(&|value| axis_number(*value))
        .y_label_formatter(&|value| axis_number(*value))
        .label_style(style(10, MUTED))
        .draw()?;
    let exact: Vec<(f64, f64)> = cell.exact.corners().collect();
    chart.draw_series([Polygon::new(exact.clone(), LOAD.mix(0.7).filled())])?;
    let closed = |outline: &Outline| {
        let corners: Vec<(f64, f64)> = outline.corners().collect();
        let first = corners.first().copied();
        corners.into_iter().chain(first).collect::<Vec<_>>()
    };
    let colour = if cell.outer { UNCONTROLLED } else { SCHEDULE };
    let corners = closed(&cell.set);
    if !cell.outer {
        chart.draw_series([Polygon::new(corners.clone(), colour.mix(0.25).filled())])?;
    }
    chart.draw_series([PathElement::new(corners, colour.stroke_width(2))])?;
    chart.draw_series([PathElement::new(closed(&cell.exact), INK.stroke_width(1))])?;
    let name = anchored(&style(12, INK), HPos::Left, VPos::Top);
    write(
        area,
        &cell.name,
        &name,
        (pixels(corner.0 + LABELS), pixels(corner.1) + 2),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_inside_the_horizon() {
        for steps in 1..50 {
            for window in Outline::windows(steps) {
                assert!(!window.is_empty() && window.end <= steps, "{steps}");
            }
        }
        assert_eq!(Outline::windows(18), [2..8, 12..18]);
    }
}
