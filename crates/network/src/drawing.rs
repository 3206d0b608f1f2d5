//! A feeder as a picture: places, colours and widths as data, and a plain SVG of them.

use std::fmt::Write as _;

use crate::topology::NONE;
use crate::{BusKind, Error, Network, PowerFlow};

/// Colours of low, middle and high voltages; dark to light, so that they also differ in print and for readers who do not
/// tell red from green.
const COLOURS: [[f64; 3]; 3] = [
    [68.0, 1.0, 84.0],
    [33.0, 145.0, 140.0],
    [253.0, 231.0, 37.0],
];

/// A bus in the picture.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DrawnBus {
    /// Number of the bus.
    pub id: u32,
    /// Place from left (0, the sources) to right (1).
    pub x: f64,
    /// Place from top (0) to bottom (1).
    pub y: f64,
    /// Voltage magnitude in p.u.
    pub v_pu: f64,
    /// Red, green and blue of the voltage.
    pub colour: [u8; 3],
    /// Whether the voltage is outside the limits of the bus; never for sources, whose voltage is given.
    pub outside_limits: bool,
    /// Whether it is a source.
    pub is_source: bool,
}

/// A branch in the picture.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DrawnBranch {
    /// Position of the from bus among [`Drawing::buses`].
    pub from: usize,
    /// Position of the to bus among [`Drawing::buses`].
    pub to: usize,
    /// Current over the largest current of the network, 0 to 1; 0 for all when nothing flows.
    pub share: f64,
    /// `false` for an open branch, drawn dashed and bent.
    pub in_service: bool,
    /// Whether the current exceeds its limit.
    pub outside_limits: bool,
}

/// A feeder with its voltages and currents, ready to draw.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Drawing {
    /// Name of the network.
    pub title: String,
    /// Voltage of the first colour, p.u.
    pub low_pu: f64,
    /// Voltage of the last colour, p.u.
    pub high_pu: f64,
    /// All connected buses.
    pub buses: Vec<DrawnBus>,
    /// All branches between them.
    pub branches: Vec<DrawnBranch>,
    /// How many buses stand below one another at most; a picture needs height in proportion.
    pub lanes: usize,
    /// The most branches between a bus and its source; a picture needs width in proportion.
    pub depth: usize,
}

impl PowerFlow {
    /// The feeder with voltages as colours between `low_pu` and `high_pu`, and currents as widths of branches.
    ///
    /// A bus stands as far to the right as branches lie between it and its source. From every bus the way to the
    /// farthest bus goes on straight, other ways leave downwards; no two buses share a place.
    ///
    /// ```
    /// use evflex_network::cases;
    /// let flow = cases::case33bw()?.power_flow()?;
    /// let drawing = flow.drawing(0.9, 1.0)?;
    /// assert_eq!((drawing.buses.len(), drawing.branches.len()), (33, 37)); // with five dashed tie lines
    /// let svg = drawing.to_svg(900, 300);
    /// assert!(svg.starts_with("<svg") && svg.contains("bus 18: 0.9131 p.u."));
    /// # Ok::<(), evflex_network::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] when `low_pu` is not below `high_pu`.
    pub fn drawing(&self, low_pu: f64, high_pu: f64) -> Result<Drawing, Error> {
        let fits = low_pu < high_pu && low_pu.is_finite() && high_pu.is_finite();
        crate::error::check(
            fits,
            "the lowest voltage",
            || "a drawing".to_owned(),
            low_pu,
            "below the highest one, both finite",
        )?;
        let network = self.network();
        let places = Places::of(network);
        let mut drawn = vec![NONE; network.buses().len()];
        let mut buses = Vec::with_capacity(network.buses().len());
        for (bus, (data, state)) in network.buses().iter().zip(&self.buses).enumerate() {
            let Some((depth, lane)) = places.of_bus[bus] else {
                continue;
            };
            drawn[bus] = buses.len();
            let is_source = data.kind == BusKind::Source;
            let within = (data.v_min_pu..=data.v_max_pu).contains(&state.v_pu);
            buses.push(DrawnBus {
                id: data.id,
                x: share(depth, places.depth),
                y: share(lane, places.lanes - 1),
                v_pu: state.v_pu,
                colour: colour((state.v_pu - low_pu) / (high_pu - low_pu)),
                outside_limits: !is_source && !within,
                is_source,
            });
        }
        let largest = self
            .branches
            .iter()
            .map(|branch| branch.i_pu)
            .fold(0.0, f64::max);
        let mut branches = Vec::with_capacity(network.branches().len());
        for (data, state) in network.branches().iter().zip(&self.branches) {
            let end = |id| network.bus_index(id).map_or(NONE, |bus| drawn[bus]);
            let (from, to) = (end(data.from), end(data.to));
            if from != NONE && to != NONE {
                branches.push(DrawnBranch {
                    from,
                    to,
                    share: if largest > 0.0 {
                        state.i_pu / largest
                    } else {
                        0.0
                    },
                    in_service: data.in_service,
                    outside_limits: state.loading.is_some_and(|loading| loading > 1.0),
                });
            }
        }
        Ok(Drawing {
            title: network.name().to_owned(),
            low_pu,
            high_pu,
            buses,
            branches,
            lanes: places.lanes,
            depth: places.depth,
        })
    }
}

/// Depth and lane of every connected bus.
struct Places {
    of_bus: Vec<Option<(usize, usize)>>,
    depth: usize,
    lanes: usize,
}

impl Places {
    fn of(network: &Network) -> Self {
        let tree = &network.0.tree;
        let count = tree.len();
        // How far the farthest bus below lies, and how many lanes everything below takes.
        let (mut height, mut width) = (vec![0_usize; count], vec![0_usize; count]);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
        for k in (0..count).rev() {
            width[k] = width[k].max(1);
            if k >= tree.sources {
                let parent = tree.parent[k];
                height[parent] = height[parent].max(height[k] + 1);
                width[parent] += width[k];
                children[parent].push(k);
            }
        }
        let (mut depth, mut lane) = (vec![0; count], vec![0; count]);
        let mut next = 0;
        for k in 0..tree.sources {
            lane[k] = next;
            next += width[k];
        }
        for k in 0..count {
            let below = &mut children[k];
            below.sort_by_key(|&child| (std::cmp::Reverse(height[child]), child));
            let mut next = lane[k];
            for &child in below.iter() {
                depth[child] = depth[k] + 1;
                lane[child] = next;
                next += width[child];
            }
        }
        let mut of_bus = vec![None; network.buses().len()];
        for k in 0..count {
            of_bus[tree.bus[k]] = Some((depth[k], lane[k]));
        }
        Self {
            of_bus,
            depth: depth.into_iter().max().unwrap_or(0),
            lanes: next.max(1),
        }
    }
}

/// `part / whole`, in the middle when there is only one place.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.5
    } else {
        part as f64 / whole as f64
    }
}

/// The colour at `position` between low (0) and high (1); the ends go on outside.
fn colour(position: f64) -> [u8; 3] {
    let position = 2.0
        * if position.is_nan() {
            0.0
        } else {
            position.clamp(0.0, 1.0)
        };
    let (from, to, t) = if position <= 1.0 {
        (COLOURS[0], COLOURS[1], position)
    } else {
        (COLOURS[1], COLOURS[2], position - 1.0)
    };
    std::array::from_fn(|channel| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 255"
        )]
        let value = (from[channel] + t * (to[channel] - from[channel])).round() as u8;
        value
    })
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text without the characters that mean something in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

impl Drawing {
    /// The picture as an SVG file of the given size in pixels, with a scale of colours, and numbers that appear under
    /// the pointer. Voltages and currents outside their limits are red.
    #[must_use]
    pub fn to_svg(&self, width: u32, height: u32) -> String {
        const MARGIN: f64 = 30.0;
        const SCALE_HEIGHT: f64 = 34.0;
        const ALARM: &str = "#d00000";
        let (w, h) = (f64::from(width.max(200)), f64::from(height.max(120)));
        let place = |bus: &DrawnBus| {
            (
                MARGIN + bus.x * (w - 2.0 * MARGIN),
                MARGIN + bus.y * (h - 2.0 * MARGIN - SCALE_HEIGHT),
            )
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" font-family=\"sans-serif\" font-size=\"11\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            escaped(&self.title)
        );
        // Open branches first, so that they lie below.
        for in_service in [false, true] {
            for branch in self
                .branches
                .iter()
                .filter(|branch| branch.in_service == in_service)
            {
                let ((x1, y1), (x2, y2)) = (
                    place(&self.buses[branch.from]),
                    place(&self.buses[branch.to]),
                );
                let stroke = match (branch.outside_limits, in_service) {
                    (true, _) => ALARM,
                    (false, true) => "#606060",
                    (false, false) => "#b0b0b0",
                };
                // Writing to a string cannot fail.
                let _ = if in_service {
                    let thick = 1.0 + 5.0 * branch.share;
                    writeln!(
                        svg,
                        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" stroke-width=\"{thick:.1}\" stroke-linecap=\"round\"/>"
                    )
                } else {
                    // Bent, so that a tie along a straight way does not hide behind it.
                    let (x, y) = (0.5 * (x1 + x2), 0.5 * (y1 + y2) + 36.0);
                    writeln!(
                        svg,
                        "<path d=\"M {x1:.1} {y1:.1} Q {x:.1} {y:.1} {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"{stroke}\" stroke-dasharray=\"4 4\"/>"
                    )
                };
            }
        }
        for bus in &self.buses {
            let (x, y) = place(bus);
            let ring = if bus.outside_limits { ALARM } else { "#202020" };
            let thick = if bus.outside_limits { 2.5 } else { 0.8 };
            let fill = hex(bus.colour);
            let shape = if bus.is_source {
                format!(
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"14\"",
                    x - 7.0,
                    y - 7.0
                )
            } else {
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5.5\"")
            };
            let _ = writeln!(
                svg,
                "{shape} fill=\"{fill}\" stroke=\"{ring}\" stroke-width=\"{thick}\"><title>bus {}: {:.4} p.u.</title></{}>",
                bus.id,
                bus.v_pu,
                if bus.is_source { "rect" } else { "circle" }
            );
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#404040\" stroke=\"white\" stroke-width=\"3\" paint-order=\"stroke\">{}</text>",
                y - 9.0,
                bus.id
            );
        }
        self.write_scale(&mut svg, w, h, MARGIN);
        svg.push_str("</svg>\n");
        svg
    }

    /// Patches of colour with the voltages of both ends.
    fn write_scale(&self, svg: &mut String, w: f64, h: f64, margin: f64) {
        const PATCHES: u32 = 40;
        let (left, top, length) = (
            margin + 60.0,
            h - 24.0,
            (w - 2.0 * margin - 120.0).min(320.0),
        );
        let patch = length / f64::from(PATCHES);
        for position in 0..PATCHES {
            let fill = hex(colour((f64::from(position) + 0.5) / f64::from(PATCHES)));
            let _ = writeln!(
                svg,
                "<rect x=\"{:.2}\" y=\"{top:.1}\" width=\"{:.2}\" height=\"10\" fill=\"{fill}\"/>",
                left + f64::from(position) * patch,
                patch + 0.3
            );
        }
        for (x, anchor, voltage) in [
            (left - 6.0, "end", self.low_pu),
            (left + length + 6.0, "start", self.high_pu),
        ] {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#404040\">{voltage:.3} p.u.</text>",
                top + 9.0
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::cases;

    #[test]
    fn no_two_buses_share_a_place() {
        for network in [cases::case18(), cases::case33bw(), cases::case69()] {
            let network = network.unwrap();
            let places = Places::of(&network);
            let distinct: HashSet<_> = places.of_bus.iter().flatten().collect();
            assert_eq!(distinct.len(), network.buses().len());
            for bus in 0..network.buses().len() {
                let (depth, lane) = places.of_bus[bus].unwrap();
                assert!(depth <= places.depth && lane < places.lanes);
                if let Some((parent, _)) = network.parent(bus) {
                    assert_eq!(places.of_bus[parent].unwrap().0 + 1, depth);
                }
            }
        }
        // 33 buses: the trunk of 17 branches, and three ways that leave it.
        let places = Places::of(&cases::case33bw().unwrap());
        assert_eq!((places.depth, places.lanes), (17, 4));
    }

    #[test]
    fn colours_run_from_end_to_end() {
        assert_eq!(colour(-3.0), [68, 1, 84]);
        assert_eq!(colour(0.5), [33, 145, 140]);
        assert_eq!(colour(7.0), [253, 231, 37]);
        assert_eq!(colour(0.25), [51, 73, 112]);
    }

    #[test]
    fn limits_are_marked() {
        let mut case = cases::case69().unwrap().case().clone();
        case.name = "a < b & \"c\"".to_owned();
        case.buses[64].v_min_pu = 0.95;
        case.branches[0].i_max_pu = Some(0.1);
        case.buses.push(crate::Bus {
            kind: BusKind::Isolated,
            ..crate::Bus::load(99, 1.0, 0.0)
        });
        let drawing = Network::new(case)
            .unwrap()
            .power_flow()
            .unwrap()
            .drawing(0.9, 1.0)
            .unwrap();
        let marked: Vec<u32> = drawing
            .buses
            .iter()
            .filter(|bus| bus.outside_limits)
            .map(|bus| bus.id)
            .collect();
        assert_eq!(marked, [65]);
        assert!(drawing.branches[0].outside_limits && !drawing.branches[1].outside_limits);
        assert_eq!(drawing.buses.len(), 69);
        let svg = drawing.to_svg(1000, 400);
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;"));
        assert_eq!(svg.matches("<circle").count(), 68);
        assert_eq!(svg.matches("<line").count(), 68);
        assert!(
            drawing
                .buses
                .iter()
                .all(|bus| (0.0..=1.0).contains(&bus.x) && (0.0..=1.0).contains(&bus.y))
        );
        let flow = cases::case69().unwrap().power_flow().unwrap();
        assert!(matches!(flow.drawing(1.0, 0.9), Err(Error::Domain { .. })));
        assert!(flow.drawing(f64::NAN, 1.0).is_err());
    }
}
