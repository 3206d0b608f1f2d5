//! Figures as SVG text, drawn from plain numbers.

mod curves;
mod energy;
mod fleet;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use curves::{Curve, GapFigure, SizeFigure};
pub use energy::EnergyFigure;
pub use fleet::FleetFigure;

use crate::error::Error;

/// Width of every figure in pixels.
const WIDTH: u32 = 960;
/// Room left of the panels for the labels of the vertical axis.
const LEFT: u32 = 74;
/// Room right of the panels.
const RIGHT: u32 = 24;
/// Room for the title and the line below it.
const HEADER: u32 = 66;

// Colours that are told apart with every common form of colour blindness (Okabe and Ito).
const INK: RGBColor = RGBColor(34, 34, 34);
const MUTED: RGBColor = RGBColor(95, 95, 95);
const GRID: RGBColor = RGBColor(226, 226, 226);
const BLUE: RGBColor = RGBColor(0, 92, 155);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 122, 90);
const PINK: RGBColor = RGBColor(188, 92, 150);
const GREY: RGBColor = RGBColor(198, 198, 198);
const PALETTE: [RGBColor; 10] = [
    GREEN,
    RGBColor(86, 160, 211),
    PINK,
    BLUE,
    ORANGE,
    RGBColor(150, 120, 0),
    INK,
    RGBColor(120, 90, 200),
    RGBColor(140, 70, 40),
    RGBColor(120, 120, 120),
];

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

fn write(area: &Area<'_>, text: &str, style: &TextStyle<'static>, at: (i32, i32)) -> Drawn {
    Ok(area.draw(&Text::new(text.to_owned(), at, style.clone()))?)
}

/// Title and the line below it.
fn header(area: &Area<'_>, title: &str, subtitle: &str) -> Drawn {
    write(area, title, &style(20, INK), (16, 12))?;
    write(area, subtitle, &style(13, MUTED), (16, 40))
}

fn centred(style: &TextStyle<'static>) -> TextStyle<'static> {
    style.pos(Pos::new(HPos::Left, VPos::Center))
}

/// Entries of a legend, one after the other from `(x, y)` on.
fn legend(area: &Area<'_>, (mut x, y): (i32, i32), entries: &[(&str, RGBColor, bool)]) -> Drawn {
    let label = centred(&style(13, MUTED));
    for &(name, colour, dashed) in entries {
        if dashed {
            for start in [x, x + 9, x + 18] {
                let line = vec![(start, y), (start + 5, y)];
                area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
            }
        } else {
            let line = vec![(x, y), (x + 23, y)];
            area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
        }
        write(area, name, &label, (x + 30, y))?;
        x += 50 + text_width(name);
    }
    Ok(())
}

/// Width of a text of 13 pixels, estimated: there is no font to measure.
fn text_width(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(0) * 13 * 56 / 100
}

fn pixels(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// A number on an axis: as short as it can be.
fn axis_number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    // `+ 0.0` turns -0 into 0.
    format!("{}", rounded + 0.0).replace('-', "−")
}

/// A range that holds all values and zero, with some air.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .fold((0.0_f64, 0.0_f64), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    let air = ((high - low) * 0.06).max(1e-3);
    (if low < 0.0 { low - air } else { 0.0 }, high + air)
}

/// The corners of a step function.
fn steps(values: &[f64], step_hours: f64) -> Vec<(f64, f64)> {
    let corners = |(t, &value): (usize, &f64)| {
        let from = t as f64 * step_hours;
        [(from, value), (from + step_hours, value)]
    };
    values.iter().enumerate().flat_map(corners).collect()
}

/// Clock time after some hours of the grid, or the hours themselves.
fn clock(grid: &evflex::fleet::TimeGrid, hours: f64) -> String {
    let elapsed = jiff::SignedDuration::try_from_secs_f64(hours * 3600.0).ok();
    let time = grid
        .start()
        .zip(elapsed)
        .and_then(|(start, elapsed)| start.checked_add(elapsed).ok());
    time.map_or_else(
        || format!("{} h", axis_number(hours)),
        |time| time.strftime("%H:%M").to_string(),
    )
}
