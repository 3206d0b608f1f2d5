//! Figures as SVG text, drawn from plain numbers.

mod day;
mod gaps;
mod projections;
mod reductions;
mod vehicles;

use evflex::fleet::TimeGrid;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use day::DayFigure;
pub use gaps::{GapCell, GapFigure, GapPanel};
pub use projections::{Outline, ProjectionCell, ProjectionFigure, outline};
pub(crate) use reductions::mean_and_error;
pub use reductions::{ReductionFigure, Reductions};
pub use vehicles::VehicleFigure;

use crate::error::Error;

/// Width of every figure in pixels; a README shows it at about this width.
const WIDTH: u32 = 960;
/// Room left of the panels for the labels of the vertical axis.
const LEFT: u32 = 64;
/// Room right of the panels.
const RIGHT: u32 = 24;
/// Room for the labels of the horizontal axis.
const BOTTOM: u32 = 34;
/// Room for the title and the line below it.
const HEADER: u32 = 62;

// Colours that are told apart with every common form of colour blindness (Okabe and Ito).
const INK: RGBColor = RGBColor(34, 34, 34);
const MUTED: RGBColor = RGBColor(95, 95, 95);
const GRID: RGBColor = RGBColor(226, 226, 226);
const LOAD: RGBColor = RGBColor(198, 198, 198);
const SCHEDULE: RGBColor = RGBColor(0, 92, 155);
const UNCONTROLLED: RGBColor = RGBColor(213, 94, 0);
const BAND: RGBColor = RGBColor(205, 228, 243);
const PRICE: RGBColor = RGBColor(0, 122, 90);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Runs `draw` on an empty white sheet and answers with the SVG text.
fn sheet(
    figure: &'static str,
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, Error> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| draw(&area))
            .and_then(|()| area.present().map_err(Into::into))
            .map_err(|error: Box<dyn std::error::Error>| Error::Figure {
                figure,
                reason: error.to_string(),
            })?;
    }
    Ok(text)
}

fn style(pixels: u32, colour: RGBColor) -> TextStyle<'static> {
    // The SVG backend divides sizes by 1.24.
    ("sans-serif", f64::from(pixels) * 1.24)
        .into_font()
        .color(&colour)
}

fn anchored(style: &TextStyle<'static>, across: HPos, down: VPos) -> TextStyle<'static> {
    style.pos(Pos::new(across, down))
}

fn write(area: &Area<'_>, text: &str, style: &TextStyle<'static>, at: (i32, i32)) -> Drawn {
    Ok(area.draw(&Text::new(text.to_owned(), at, style.clone()))?)
}

/// Title and the line below it.
fn header(area: &Area<'_>, title: &str, subtitle: &str) -> Drawn {
    write(area, title, &style(20, INK), (16, 12))?;
    write(area, subtitle, &style(13, MUTED), (16, 38))
}

/// How an entry of a legend looks.
#[derive(Clone, Copy)]
enum Swatch {
    Filled(RGBColor),
    Line(RGBColor),
    Dashed(RGBColor),
}

/// Name of a panel at the left, its legend at the right, on one line `y` pixels down.
fn caption(area: &Area<'_>, y: i32, name: &str, legend: &[(&str, Swatch)]) -> Drawn {
    write(area, name, &style(14, INK), (16, y))?;
    let mut x = pixels(WIDTH - RIGHT);
    for (label, swatch) in legend.iter().rev() {
        x -= text_width(label, 13);
        write(area, label, &style(13, MUTED), (x, y))?;
        let (left, right, middle) = (x - 30, x - 7, y + 8);
        match *swatch {
            Swatch::Filled(colour) => area.draw(&Rectangle::new(
                [(left, middle - 6), (right, middle + 6)],
                colour.filled(),
            ))?,
            Swatch::Line(colour) => area.draw(&PathElement::new(
                vec![(left, middle), (right, middle)],
                colour.stroke_width(3),
            ))?,
            Swatch::Dashed(colour) => {
                for start in [left, left + 9, left + 18] {
                    area.draw(&PathElement::new(
                        vec![(start, middle), (start + 5, middle)],
                        colour.stroke_width(3),
                    ))?;
                }
            }
        }
        x = left - 20;
    }
    Ok(())
}

/// Width of a text in pixels, estimated: there is no font to measure.
fn text_width(text: &str, size: u32) -> i32 {
    pixels(u32::try_from(text.chars().count()).unwrap_or(0) * size * 58 / 100)
}

fn pixels(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Ticks of a time axis in hours since the start, with their labels.
#[derive(Clone, Debug)]
struct TimeAxis {
    hours: f64,
    ticks: Vec<(f64, String)>,
}

impl TimeAxis {
    /// At most about a dozen ticks at full hours of the local clock, or at midnights with the date.
    fn new(grid: &TimeGrid) -> Self {
        let hours = grid.hours();
        let spacing = [1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 168.0, 336.0]
            .into_iter()
            .find(|spacing| hours / spacing <= 12.0)
            .unwrap_or(hours);
        let ticks = match grid.start() {
            None => (0_u32..13)
                .map(|k| f64::from(k) * spacing)
                .take_while(|&hour| hour <= hours)
                .map(|hour| (hour, format!("{hour} h")))
                .collect(),
            Some(start) => Self::on_the_clock(start, hours, spacing),
        };
        Self { hours, ticks }
    }

    fn on_the_clock(start: &jiff::Zoned, hours: f64, spacing: f64) -> Vec<(f64, String)> {
        // Days and hours are counted on the local clock, positions in elapsed time.
        let seconds_into_hour = i64::from(start.minute()) * 60 + i64::from(start.second());
        let to_full_hour = (3600 - seconds_into_hour) % 3600;
        let mut ticks = Vec::new();
        let mut midnights = 0.0;
        let mut elapsed = to_full_hour;
        while elapsed as f64 <= hours * 3600.0 {
            let Ok(now) = start.checked_add(jiff::SignedDuration::from_secs(elapsed)) else {
                break;
            };
            let hour = f64::from(now.hour());
            let position = elapsed as f64 / 3600.0;
            if spacing < 24.0 {
                if hour % spacing == 0.0 {
                    let format = if now.hour() == 0 && hours > 24.0 {
                        "%a %-d %b"
                    } else {
                        "%H:%M"
                    };
                    ticks.push((position, now.strftime(format).to_string()));
                }
            } else if now.hour() == 0 {
                if midnights % (spacing / 24.0) == 0.0 {
                    ticks.push((position, now.strftime("%a %-d %b").to_string()));
                }
                midnights += 1.0;
            }
            elapsed += 3600;
        }
        ticks
    }
}

impl Ranged for TimeAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "a pixel")]
    fn map(&self, value: &f64, (left, right): (i32, i32)) -> i32 {
        left + (f64::from(right - left) * value / self.hours).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        0.0..self.hours
    }
}

impl ValueFormatter<f64> for TimeAxis {
    fn format(hours: &f64) -> String {
        axis_number(*hours)
    }

    fn format_ext(&self, hours: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| (tick.0 - hours).abs() < 1e-9);
        tick.map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

/// The corners of a step function: each value holds for one step of `step_hours`.
fn steps(values: &[f64], step_hours: f64) -> Vec<(f64, f64)> {
    values
        .iter()
        .enumerate()
        .flat_map(|(t, &value)| {
            let from = t as f64 * step_hours;
            [(from, value), (from + step_hours, value)]
        })
        .collect()
}

/// A range that holds all `values`, with some air, never empty.
fn range(values: impl IntoIterator<Item = f64>, with_zero: bool) -> (f64, f64) {
    let start = if with_zero {
        (0.0, 0.0)
    } else {
        (f64::INFINITY, f64::NEG_INFINITY)
    };
    let (low, high) = values
        .into_iter()
        .fold(start, |(low, high), v| (low.min(v), high.max(v)));
    let air = ((high - low) * 0.06).max(1e-3);
    (
        if with_zero && low == 0.0 {
            0.0
        } else {
            low - air
        },
        high + air,
    )
}

/// A number on an axis: as short as it can be.
fn axis_number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    // `+ 0.0` turns -0 into 0.
    format!("{}", rounded + 0.0).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;
    use evflex::fleet::Hours;

    fn axis(start: Option<&str>, steps: usize, hours: f64) -> TimeAxis {
        let mut grid = TimeGrid::new(steps, Hours(hours)).unwrap();
        if let Some(start) = start {
            grid = grid.starting_at(start.parse().unwrap());
        }
        TimeAxis::new(&grid)
    }

    fn labels(axis: &TimeAxis) -> String {
        let labels: Vec<_> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        labels.join("|")
    }

    #[test]
    fn ticks_are_on_full_hours_of_the_local_clock() {
        let night = axis(Some("2024-05-06T15:00[Europe/Berlin]"), 18, 1.0);
        assert_eq!(
            labels(&night),
            "16:00|18:00|20:00|22:00|00:00|02:00|04:00|06:00|08:00"
        );
        assert_eq!(night.ticks[0].0, 1.0);
        let quarter = axis(Some("2024-05-06T15:45[Europe/Berlin]"), 16, 0.25);
        assert_eq!(labels(&quarter), "16:00|17:00|18:00|19:00");
        assert_eq!(quarter.ticks[0].0, 0.25);
        assert_eq!(labels(&axis(None, 4, 1.0)), "0 h|1 h|2 h|3 h|4 h");
    }

    #[test]
    fn a_week_with_a_clock_change_has_its_midnights() {
        let week = axis(Some("2024-10-21T00:00[Europe/Berlin]"), 169, 1.0);
        assert_eq!(
            labels(&week),
            "Mon 21 Oct|Tue 22 Oct|Wed 23 Oct|Thu 24 Oct|Fri 25 Oct|Sat 26 Oct|Sun 27 Oct|Mon 28 Oct"
        );
        assert_eq!(week.ticks[7].0, 169.0); // the Sunday has 25 hours
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(axis_number(20.000_000_000_1), "20");
        assert_eq!(axis_number(-0.5), "−0.5");
        assert_eq!(axis_number(-1e-12), "0");
    }
}
