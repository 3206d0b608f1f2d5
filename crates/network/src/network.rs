//! A radial network that has been checked, in per unit and in the order in which power flow walks it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ndarray::Array1;

use crate::error::{check, check_finite};
use crate::topology::{Forest, NONE};
use crate::{Branch, Bus, BusKind, Case, Error, Generator};

/// A radial network, checked once: every bus has exactly one way to a source.
///
/// Several sources are allowed as long as no branch in service joins them. Open branches stay in the results with zeros,
/// isolated buses are left out of the flow.
///
/// ```
/// use evflex_network::{Branch, Bus, Case, Error, Generator, Network};
///
/// let mut case = Case {
///     name: "street".to_owned(),
///     base_mva: 10.0,
///     buses: vec![Bus::source(7, 1.0), Bus::load(20, 0.4, 0.1), Bus::load(3, 0.2, 0.1)],
///     branches: vec![Branch::line(7, 20, 0.05, 0.04), Branch::line(3, 20, 0.08, 0.05)],
///     generators: vec![Generator::grid(7, 1.0, 80.0)],
/// };
/// let network = Network::new(case.clone())?;
/// assert_eq!(network.bus_index(3), Some(2));
///
/// // One more branch, and the fault is named.
/// case.branches.push(Branch::line(3, 7, 0.1, 0.1));
/// let fault = Network::new(case).unwrap_err();
/// assert!(fault.to_string().contains("buses 20-3-7 form a loop"));
/// # Ok::<(), Error>(())
/// ```
///
/// Clones are cheap: they share the data.
#[derive(Clone)]
pub struct Network(pub(crate) Arc<Checked>);

/// The data of a network and its forest in walking order.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) case: Case,
    pub(crate) index: HashMap<u32, usize>,
    pub(crate) tree: Tree,
    /// Position in the walk of every bus; [`NONE`] for isolated ones.
    pub(crate) position: Vec<usize>,
    /// Bus index of every generator.
    pub(crate) generator_bus: Vec<usize>,
    /// Per walked source, the generator that closes its balance, if it has one.
    pub(crate) slack: Vec<Option<usize>>,
    /// What generators with given power feed in at every bus, p.u. as (active, reactive).
    pub(crate) fed_in: Vec<(f64, f64)>,
}

/// The forest as arrays in walking order: sources first, every parent before its children. All in p.u.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// How many sources stand in front.
    pub(crate) sources: usize,
    /// Bus index at every position.
    pub(crate) bus: Vec<usize>,
    /// Position of the parent.
    pub(crate) parent: Vec<usize>,
    /// Branch index of the branch to the parent.
    pub(crate) branch: Vec<usize>,
    pub(crate) r: Vec<f64>,
    pub(crate) x: Vec<f64>,
    /// `r² + x²`.
    pub(crate) z_sq: Vec<f64>,
    /// Sending voltage (squared) = `tap_up · v_parent`.
    pub(crate) tap_up: Vec<f64>,
    /// `v = tap_down ·` receiving voltage (squared).
    pub(crate) tap_down: Vec<f64>,
    /// Shunt conductance and susceptance of the bus, line charging included.
    pub(crate) g: Vec<f64>,
    pub(crate) b: Vec<f64>,
    /// Squared voltage that the bus holds: sources and voltage buses; NaN elsewhere.
    pub(crate) held: Vec<f64>,
}

impl Tree {
    pub(crate) fn len(&self) -> usize {
        self.bus.len()
    }

    /// Whether a walked bus other than a source holds its voltage.
    pub(crate) fn holds(&self, position: usize) -> bool {
        !self.held[position].is_nan()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = self.case();
        write!(
            f,
            "Network({}: {} buses, {} branches, {} generators, {} MVA)",
            case.name,
            case.buses.len(),
            case.branches.len(),
            case.generators.len(),
            case.base_mva
        )
    }
}

impl Network {
    /// Checks a case and finds its forest.
    ///
    /// # Errors
    /// [`Error::Domain`], [`Error::CrossedBounds`], [`Error::DuplicateBus`] and [`Error::UnknownBus`] for its numbers;
    /// [`Error::NoSource`], [`Error::Loop`], [`Error::JoinedSources`] and [`Error::Island`] for its shape;
    /// [`Error::StiffVoltage`].
    pub fn new(case: Case) -> Result<Self, Error> {
        let index = check_case(&case)?;
        let bus_of = |id: u32, what: &dyn Fn() -> String| {
            index
                .get(&id)
                .copied()
                .ok_or_else(|| Error::UnknownBus { what: what(), id })
        };
        let mut edges = Vec::with_capacity(case.branches.len());
        for (position, branch) in case.branches.iter().enumerate() {
            let from = bus_of(branch.from, &|| describe_branch(position, branch))?;
            let to = bus_of(branch.to, &|| describe_branch(position, branch))?;
            let isolated = |bus: usize| case.buses[bus].kind == BusKind::Isolated;
            if branch.in_service && !isolated(from) && !isolated(to) {
                edges.push((position, from, to));
            }
        }
        let mut generator_bus = Vec::with_capacity(case.generators.len());
        for (position, generator) in case.generators.iter().enumerate() {
            generator_bus.push(bus_of(generator.bus, &|| {
                describe_generator(position, generator)
            })?);
        }
        let kinds: Vec<BusKind> = case.buses.iter().map(|bus| bus.kind).collect();
        let sources: Vec<usize> = (0..kinds.len())
            .filter(|&bus| kinds[bus] == BusKind::Source)
            .collect();
        if sources.is_empty() {
            return Err(Error::NoSource);
        }
        let ids: Vec<u32> = case.buses.iter().map(|bus| bus.id).collect();
        let left_out: Vec<bool> = kinds
            .iter()
            .map(|&kind| kind == BusKind::Isolated)
            .collect();
        let forest = Forest::grow(&ids, &left_out, &sources, &edges)?;
        let mut position = vec![NONE; case.buses.len()];
        for (place, &bus) in forest.order.iter().enumerate() {
            position[bus] = place;
        }
        let running = |bus: usize| {
            (0..case.generators.len())
                .filter(|&g| generator_bus[g] == bus && case.generators[g].in_service)
                .collect::<Vec<_>>()
        };
        let mut held = vec![f64::NAN; case.buses.len()];
        let mut slack = Vec::with_capacity(sources.len());
        let mut fed_in = vec![(0.0, 0.0); case.buses.len()];
        for (bus, data) in case.buses.iter().enumerate() {
            let generators = running(bus);
            let set_point = generators.first().map(|&g| case.generators[g].voltage_pu);
            match data.kind {
                BusKind::Source => {
                    let voltage = set_point.unwrap_or(data.voltage_pu);
                    check(
                        voltage > 0.0,
                        "the voltage",
                        || describe_bus(data),
                        voltage,
                        "above 0",
                    )?;
                    held[bus] = voltage * voltage;
                    slack.push(generators.first().copied());
                }
                BusKind::Voltage => {
                    if let Some(voltage) = set_point {
                        check(
                            voltage > 0.0,
                            "the voltage",
                            || describe_bus(data),
                            voltage,
                            "above 0",
                        )?;
                        held[bus] = voltage * voltage;
                    }
                }
                BusKind::Load | BusKind::Isolated => {}
            }
            let given = usize::from(data.kind == BusKind::Source).min(generators.len());
            for &generator in &generators[given..] {
                let generator = &case.generators[generator];
                fed_in[bus].0 += generator.p_mw / case.base_mva;
                if held[bus].is_nan() || data.kind == BusKind::Source {
                    fed_in[bus].1 += generator.q_mvar / case.base_mva;
                }
            }
        }
        let tree = walk(&case, &forest, &position, sources.len(), &held)?;
        tracing::debug!(case = %case.name, buses = tree.len(), sources = tree.sources, "network checked");
        Ok(Self(Arc::new(Checked {
            case,
            index,
            tree,
            position,
            generator_bus,
            slack,
            fed_in,
        })))
    }

    /// The data as given.
    #[must_use]
    pub fn case(&self) -> &Case {
        &self.0.case
    }

    /// Name of the case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.case.name
    }

    /// The buses, in the order of all results.
    #[must_use]
    pub fn buses(&self) -> &[Bus] {
        &self.0.case.buses
    }

    /// The branches, in the order of all results.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.0.case.branches
    }

    /// The generators, in the order of all results.
    #[must_use]
    pub fn generators(&self) -> &[Generator] {
        &self.0.case.generators
    }

    /// Power base in MVA.
    #[must_use]
    pub fn base_mva(&self) -> f64 {
        self.0.case.base_mva
    }

    /// Position of the bus with this number; `None` when there is none.
    #[must_use]
    pub fn bus_index(&self, id: u32) -> Option<usize> {
        self.0.index.get(&id).copied()
    }

    /// Position of the bus with this number.
    ///
    /// # Errors
    /// [`Error::UnknownBus`]; `what` says who names it.
    pub fn require_bus(&self, id: u32, what: &str) -> Result<usize, Error> {
        self.bus_index(id).ok_or_else(|| Error::UnknownBus {
            what: what.to_owned(),
            id,
        })
    }

    /// Positions of the sources.
    #[must_use]
    pub fn sources(&self) -> &[usize] {
        &self.0.tree.bus[..self.0.tree.sources]
    }

    /// Position of the next bus on the way to the source, and of the branch there; `None` for sources and isolated
    /// buses, and beyond the last bus.
    #[must_use]
    pub fn parent(&self, bus: usize) -> Option<(usize, usize)> {
        let tree = &self.0.tree;
        let position = *self.0.position.get(bus)?;
        if position == NONE || position < tree.sources {
            return None;
        }
        Some((tree.bus[tree.parent[position]], tree.branch[position]))
    }

    /// Whether power flows at this bus: it exists and is not isolated.
    #[must_use]
    pub fn is_connected(&self, bus: usize) -> bool {
        self.0
            .position
            .get(bus)
            .is_some_and(|&position| position != NONE)
    }

    /// The loads of the case, (MW, `MVAr`), one per bus.
    #[must_use]
    pub fn loads(&self) -> (Array1<f64>, Array1<f64>) {
        let active = self.buses().iter().map(|bus| bus.load_mw).collect();
        let reactive = self.buses().iter().map(|bus| bus.load_mvar).collect();
        (active, reactive)
    }
}

/// `branch 3 (7-20)`.
pub(crate) fn describe_branch(position: usize, branch: &Branch) -> String {
    format!("branch {position} ({}-{})", branch.from, branch.to)
}

/// `bus 7`.
pub(crate) fn describe_bus(bus: &Bus) -> String {
    format!("bus {}", bus.id)
}

/// `generator 0 (bus 7)`.
pub(crate) fn describe_generator(position: usize, generator: &Generator) -> String {
    format!("generator {position} (bus {})", generator.bus)
}

/// Checks every number, and returns where each bus number stands.
fn check_case(case: &Case) -> Result<HashMap<u32, usize>, Error> {
    let whole = || "the network".to_owned();
    let base = case.base_mva;
    check(
        base > 0.0 && base.is_finite(),
        "baseMVA",
        whole,
        base,
        "a positive number",
    )?;
    let mut index = HashMap::with_capacity(case.buses.len());
    for (position, bus) in case.buses.iter().enumerate() {
        if let Some(first) = index.insert(bus.id, position) {
            return Err(Error::DuplicateBus {
                id: bus.id,
                first,
                second: position,
            });
        }
        let of = || describe_bus(bus);
        for (what, value) in [
            ("the load", bus.load_mw),
            ("the reactive load", bus.load_mvar),
            ("the shunt conductance", bus.shunt_mw),
            ("the shunt susceptance", bus.shunt_mvar),
            ("the voltage", bus.voltage_pu),
        ] {
            check_finite(what, of, value)?;
        }
        check_bounds("the voltage", of, bus.v_min_pu, bus.v_max_pu)?;
        check(
            bus.v_max_pu > 0.0,
            "the highest voltage",
            of,
            bus.v_max_pu,
            "above 0",
        )?;
    }
    for (position, branch) in case.branches.iter().enumerate() {
        let of = || describe_branch(position, branch);
        for (what, value) in [
            ("the resistance", branch.r_pu),
            ("the reactance", branch.x_pu),
            ("the charging susceptance", branch.b_pu),
            ("the phase shift", branch.shift_deg),
        ] {
            check_finite(what, of, value)?;
        }
        check(
            branch.r_pu >= 0.0,
            "the resistance",
            of,
            branch.r_pu,
            "at least 0",
        )?;
        let ratio = branch.ratio;
        check(
            ratio > 0.0 && ratio.is_finite(),
            "the ratio",
            of,
            ratio,
            "a positive number; 1 for a line",
        )?;
        if let Some(limit) = branch.i_max_pu {
            check(
                limit > 0.0,
                "the current limit",
                of,
                limit,
                "above 0; None for no limit",
            )?;
        }
    }
    for (position, generator) in case.generators.iter().enumerate() {
        let of = || describe_generator(position, generator);
        for (what, value) in [
            ("the active power", generator.p_mw),
            ("the reactive power", generator.q_mvar),
            ("the voltage", generator.voltage_pu),
        ] {
            check_finite(what, of, value)?;
        }
        check_bounds(
            "the active power",
            of,
            generator.p_min_mw,
            generator.p_max_mw,
        )?;
        check_bounds(
            "the reactive power",
            of,
            generator.q_min_mvar,
            generator.q_max_mvar,
        )?;
        for &coefficient in generator.cost.iter().flatten() {
            check_finite("a cost coefficient", of, coefficient)?;
        }
    }
    Ok(index)
}

fn check_bounds(
    what: &'static str,
    of: impl Fn() -> String + Copy,
    lower: f64,
    upper: f64,
) -> Result<(), Error> {
    check(
        !lower.is_nan(),
        what,
        of,
        lower,
        "a number; give -inf for no lower bound",
    )?;
    check(
        !upper.is_nan(),
        what,
        of,
        upper,
        "a number; give +inf for no upper bound",
    )?;
    if lower <= upper {
        Ok(())
    } else {
        Err(Error::CrossedBounds {
            what,
            of: of(),
            lower,
            upper,
        })
    }
}

/// Writes the forest as arrays. Line charging becomes part of the shunts, seen through the ratio at the from bus.
fn walk(
    case: &Case,
    forest: &Forest,
    position: &[usize],
    sources: usize,
    held: &[f64],
) -> Result<Tree, Error> {
    let base = case.base_mva;
    let mut tree = Tree {
        sources,
        ..Tree::default()
    };
    for &bus in &forest.order {
        let data = &case.buses[bus];
        tree.bus.push(bus);
        tree.g.push(data.shunt_mw / base);
        tree.b.push(data.shunt_mvar / base);
        tree.held.push(held[bus]);
        let parent = forest.parent[bus];
        if parent == NONE {
            tree.parent.push(NONE);
            tree.branch.push(NONE);
            for column in [&mut tree.r, &mut tree.x, &mut tree.z_sq] {
                column.push(0.0);
            }
            tree.tap_up.push(1.0);
            tree.tap_down.push(1.0);
            continue;
        }
        let branch = &case.branches[forest.branch[bus]];
        let (r, x) = (branch.r_pu, branch.x_pu);
        let downwards = case.buses[parent].id == branch.from;
        let turns = branch.ratio * branch.ratio;
        if !held[bus].is_nan() && r == 0.0 && x == 0.0 {
            return Err(Error::StiffVoltage {
                bus: data.id,
                parent: case.buses[parent].id,
            });
        }
        tree.parent.push(position[parent]);
        tree.branch.push(forest.branch[bus]);
        tree.r.push(r);
        tree.x.push(x);
        tree.z_sq.push(r * r + x * x);
        tree.tap_up.push(if downwards { 1.0 / turns } else { 1.0 });
        tree.tap_down.push(if downwards { 1.0 } else { turns });
        let half = 0.5 * branch.b_pu;
        let (above, here) = if downwards {
            (half / turns, half)
        } else {
            (half, half / turns)
        };
        tree.b[position[parent]] += above;
        if let Some(own) = tree.b.last_mut() {
            *own += here;
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    /// The fault of the 33-bus feeder after a change.
    fn fault(change: impl FnOnce(&mut Case)) -> Error {
        let mut case = cases::case33bw().unwrap().case().clone();
        change(&mut case);
        Network::new(case).unwrap_err()
    }

    #[test]
    fn faults_of_a_case_are_named() {
        type Change = fn(&mut Case);
        let changes: [(Change, &str); 13] = [
            (|case| case.base_mva = 0.0, "baseMVA of the network is 0"),
            (
                |case| case.buses[4].load_mw = f64::NAN,
                "the load of bus 5 is NaN",
            ),
            (
                |case| case.buses[4].id = 9,
                "bus 9 is listed twice, at positions 4 and 8",
            ),
            (
                |case| case.buses[4].v_min_pu = 1.2,
                "the lower bound 1.2 is above the upper bound 1.1",
            ),
            (
                |case| case.branches[2].to = 77,
                "branch 2 (3-77) names bus 77",
            ),
            (
                |case| case.branches[2].r_pu = -1.0,
                "the resistance of branch 2 (3-4) is -1",
            ),
            (
                |case| case.branches[2].ratio = 0.0,
                "the ratio of branch 2 (3-4) is 0",
            ),
            (
                |case| case.branches[2].x_pu = f64::INFINITY,
                "the reactance of branch 2 (3-4) is inf",
            ),
            (
                |case| case.generators[0].bus = 40,
                "generator 0 (bus 40) names bus 40",
            ),
            (
                |case| case.generators[0].voltage_pu = 0.0,
                "the voltage of bus 1 is 0",
            ),
            (
                |case| case.generators[0].p_min_mw = 11.0,
                "the lower bound 11 is above the upper bound 10",
            ),
            (
                |case| case.buses[0].kind = BusKind::Load,
                "no bus is a source",
            ),
            (
                |case| case.branches[2].in_service = false,
                "no source reaches buses 4-5-6-7-8-",
            ),
        ];
        for (change, words) in changes {
            let message = fault(change).to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    /// Closing the tie line 8-21 makes the loop through both laterals.
    #[test]
    fn a_closed_tie_line_is_named() {
        let Error::Loop { mut buses } = fault(|case| case.branches[32].in_service = true) else {
            panic!("a loop")
        };
        buses.sort_unstable();
        assert_eq!(buses, [2, 3, 4, 5, 6, 7, 8, 19, 20, 21]);
        let joined = fault(|case| case.buses[24].kind = BusKind::Source).to_string();
        assert!(joined.contains("join two sources"), "{joined}");
    }

    #[test]
    fn a_voltage_needs_an_impedance() {
        let error = fault(|case| {
            case.buses[32].kind = BusKind::Voltage;
            case.generators.push(Generator::grid(33, 1.0, 0.0));
            (case.branches[31].r_pu, case.branches[31].x_pu) = (0.0, 0.0);
        });
        assert!(matches!(
            error,
            Error::StiffVoltage {
                bus: 33,
                parent: 32
            }
        ));
    }

    #[test]
    fn ways_to_the_source_are_answered() {
        let network = cases::case18().unwrap();
        let of = |id| network.bus_index(id).unwrap();
        assert_eq!(network.sources(), [of(51)]);
        assert_eq!(
            network
                .parent(of(1))
                .map(|(bus, branch)| (network.buses()[bus].id, branch)),
            Some((50, 15))
        );
        assert_eq!(network.parent(of(51)), None);
        assert_eq!(network.parent(999), None);
        assert!(matches!(
            network.require_bus(52, "station a"),
            Err(Error::UnknownBus { id: 52, .. })
        ));
        assert_eq!(
            format!("{network:?}"),
            "Network(case18: 18 buses, 17 branches, 1 generators, 10 MVA)"
        );
    }
}
