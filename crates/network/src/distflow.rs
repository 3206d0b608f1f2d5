//! The branch flow equations as rows of an optimisation problem, with the quadratic one relaxed to a cone.

use evflex_solver::{AffineTerm, ProblemBuilder, VariableId};
use ndarray::{ArrayView1, Axis};

use crate::flow::{FlowOptions, check_loads};
use crate::network::{describe_branch, describe_generator};
use crate::topology::NONE;
use crate::{Error, Network, PowerFlow};

/// The least scale of a branch, relative to the largest.
const LEAST_SCALE: f64 = 1e-3;

/// The cone slack of a network is measured in p.u. on this base.
const SLACK_BASE_MVA: f64 = 10.0;

/// One snapshot of a radial network as part of an optimisation problem: `DistFlow` with relaxed currents.
///
/// With `v = |V|²`, `l = |I|²`, ratio and shunts as in [`Branch`](crate::Branch) and [`Bus`](crate::Bus), in p.u.
/// (`v2gopf2024`, (1)-(9)):
///
/// ```text
/// Σ_g P_g + P_ij − r l_ij − Σ_m P_jm − gs_j v_j = p_j + extra_j        Σ_g Q_g + Q_ij − x l_ij − Σ_m Q_jm + bs_j v_j = q_j
/// v_j = w_ij − 2 (r P_ij + x Q_ij) + (r² + x²) l_ij                    ‖(2 P_ij, 2 Q_ij, l_ij − w_ij)‖ ≤ l_ij + w_ij
/// v_min² ≤ v ≤ v_max²,  0 ≤ l ≤ i_max²,  generators within their limits;  w_ij = v_i / ratio²; v of sources is fixed
/// ```
///
/// Generators other than that of a source are free within their limits, and buses that hold a voltage in a power flow
/// are free within theirs. Flows are scaled by a power flow at the given loads, so that the cones have entries near 1.
///
/// ```
/// use evflex_network::{DistFlow, cases};
/// use evflex_solver::{AffineTerm, Clarabel, Options, ProblemBuilder, Solver};
///
/// // Where to put 0.5 MW of load in the feeder: at bus 18, at bus 2, or some of it at each?
/// let network = cases::case33bw()?;
/// let (load_mw, load_mvar) = network.loads();
/// let mut builder = ProblemBuilder::new("placement");
/// let far = builder.variable("bus 18", 0.0, 0.5, 0.0);
/// let near = builder.variable("bus 2", 0.0, 0.5, 0.0);
/// builder.row("all of it", 0.5, [(far, 1.0), (near, 1.0)], 0.5);
/// let extra = [
///     (network.require_bus(18, "far")?, AffineTerm::from(far)),
///     (network.require_bus(2, "near")?, AffineTerm::from(near)),
/// ];
/// let flow = DistFlow::add(&mut builder, &network, "now", load_mw.view(), load_mvar.view(), &extra, 1.0)?;
/// let solution = Clarabel::default().solve(&builder.build()?, &Options::default())?.into_optimal()?;
/// assert!(solution.value(near) > 0.499);
/// assert!(flow.largest_cone_slack(solution.primal()).0 < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DistFlow {
    network: Network,
    /// Per position in the walk; `None` for sources.
    voltage: Vec<Option<VariableId>>,
    branch: Vec<Option<BranchVariables>>,
    /// Per generator, `None` when it does not run.
    generator: Vec<Option<(VariableId, VariableId)>>,
}

#[derive(Clone, Copy, Debug)]
struct BranchVariables {
    p: VariableId,
    q: VariableId,
    l: VariableId,
    /// Flows are `scale` times their variables, the squared current `scale²` times.
    scale: f64,
}

impl DistFlow {
    /// Adds variables, rows and cones for one snapshot, and `weight` times the cost per hour to the objective.
    ///
    /// `load_mw` and `load_mvar` have one entry per bus. `extra` adds affine terms (MW, positive when drawn) to the
    /// active load of buses, by position; several terms at one bus add up. `name` starts the names of all variables.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NotFinite`] for the loads, [`Error::NoCost`] for a generator without a cost,
    /// [`Error::NotRelaxable`] for a cost that is not convex or an absent generator at a source.
    pub fn add(
        builder: &mut ProblemBuilder,
        network: &Network,
        name: &str,
        load_mw: ArrayView1<'_, f64>,
        load_mvar: ArrayView1<'_, f64>,
        extra: &[(usize, AffineTerm)],
        weight: f64,
    ) -> Result<Self, Error> {
        check_loads(
            network,
            ["the loads", "the reactive loads"],
            load_mw.insert_axis(Axis(0)),
            load_mvar.insert_axis(Axis(0)),
        )?;
        let scale = scales(network, load_mw, load_mvar);
        Self::add_scaled(
            builder, network, name, load_mw, load_mvar, extra, weight, scale,
        )
    }

    /// [`add`](Self::add) with given sizes of the flows, by position in the walk.
    #[expect(clippy::too_many_arguments, reason = "those of `add` and one more")]
    pub(crate) fn add_scaled(
        builder: &mut ProblemBuilder,
        network: &Network,
        name: &str,
        load_mw: ArrayView1<'_, f64>,
        load_mvar: ArrayView1<'_, f64>,
        extra: &[(usize, AffineTerm)],
        weight: f64,
        scale: Vec<f64>,
    ) -> Result<Self, Error> {
        for &(bus, _) in extra {
            crate::flow::connected_position(network, bus)?;
        }
        let generator = add_generators(builder, network, name, weight)?;
        let count = network.0.tree.len();
        let mut block = Self {
            network: network.clone(),
            voltage: Vec::with_capacity(count),
            branch: Vec::with_capacity(count),
            generator,
        };
        block.add_variables(builder, name, &scale);
        block.add_drops(builder, name);
        block.add_balances(builder, name, load_mw, load_mvar, extra);
        Ok(block)
    }

    fn add_variables(&mut self, builder: &mut ProblemBuilder, name: &str, scale: &[f64]) {
        let data = &self.network.0;
        let tree = &data.tree;
        let free = (f64::NEG_INFINITY, f64::INFINITY);
        for k in 0..tree.len() {
            let bus = &data.case.buses[tree.bus[k]];
            if k < tree.sources {
                self.voltage.push(None);
                self.branch.push(None);
                continue;
            }
            let least = bus.v_min_pu.max(0.0);
            let (low, high) = (least * least, bus.v_max_pu * bus.v_max_pu);
            self.voltage.push(Some(builder.variable(
                format!("{name} v {}", bus.id),
                low,
                high,
                0.0,
            )));
            let branch = &data.case.branches[tree.branch[k]];
            let ends = format!("{}-{}", branch.from, branch.to);
            let s = scale[k];
            let limit = branch
                .i_max_pu
                .map_or(f64::INFINITY, |limit| (limit / s) * (limit / s));
            self.branch.push(Some(BranchVariables {
                p: builder.variable(format!("{name} P {ends}"), free.0, free.1, 0.0),
                q: builder.variable(format!("{name} Q {ends}"), free.0, free.1, 0.0),
                l: builder.variable(format!("{name} l {ends}"), 0.0, limit, 0.0),
                scale: s,
            }));
        }
    }

    /// `tap_up · v` at the parent of position `k`, as a function of the variables.
    fn sending(&self, k: usize) -> AffineTerm {
        let tree = &self.network.0.tree;
        let parent = tree.parent[k];
        match self.voltage[parent] {
            Some(v) => AffineTerm::new([(v, tree.tap_up[k])], 0.0),
            None => AffineTerm::constant(tree.tap_up[k] * tree.held[parent]),
        }
    }

    /// Voltage drops and cones.
    fn add_drops(&self, builder: &mut ProblemBuilder, name: &str) {
        let tree = &self.network.0.tree;
        for k in tree.sources..tree.len() {
            let (Some(v), Some(branch)) = (self.voltage[k], self.branch[k]) else {
                continue;
            };
            let s = branch.scale;
            let sending = self.sending(k);
            let mut terms = vec![
                (v, 1.0 / tree.tap_down[k]),
                (branch.p, 2.0 * s * tree.r[k]),
                (branch.q, 2.0 * s * tree.x[k]),
                (branch.l, -s * s * tree.z_sq[k]),
            ];
            terms.extend(sending.terms.iter().map(|&(v, value)| (v, -value)));
            let id = self.network.0.case.buses[tree.bus[k]].id;
            builder.row(
                format!("{name} drop to {id}"),
                sending.constant,
                terms,
                sending.constant,
            );
            let with = |sign: f64| {
                let mut terms = sending.terms.clone();
                for term in &mut terms {
                    term.1 *= sign;
                }
                terms.push((branch.l, 1.0));
                AffineTerm::new(terms, sign * sending.constant)
            };
            builder.second_order_cone(
                format!("{name} current to {id}"),
                with(1.0),
                vec![
                    AffineTerm::new([(branch.p, 2.0)], 0.0),
                    AffineTerm::new([(branch.q, 2.0)], 0.0),
                    with(-1.0),
                ],
            );
        }
    }

    fn add_balances(
        &self,
        builder: &mut ProblemBuilder,
        name: &str,
        load_mw: ArrayView1<'_, f64>,
        load_mvar: ArrayView1<'_, f64>,
        extra: &[(usize, AffineTerm)],
    ) {
        let data = &self.network.0;
        let tree = &data.tree;
        let base = data.case.base_mva;
        let mut active: Vec<Vec<(VariableId, f64)>> = vec![Vec::new(); tree.len()];
        let mut reactive = active.clone();
        let mut demand: Vec<(f64, f64)> = tree
            .bus
            .iter()
            .map(|&bus| (load_mw[bus] / base, load_mvar[bus] / base))
            .collect();
        for k in 0..tree.len() {
            if let Some(v) = self.voltage[k] {
                if tree.g[k] != 0.0 {
                    active[k].push((v, -tree.g[k]));
                }
                if tree.b[k] != 0.0 {
                    reactive[k].push((v, tree.b[k]));
                }
            } else {
                demand[k].0 += tree.g[k] * tree.held[k];
                demand[k].1 -= tree.b[k] * tree.held[k];
            }
            if let Some(branch) = self.branch[k] {
                let (s, parent) = (branch.scale, tree.parent[k]);
                active[k].extend([(branch.p, s), (branch.l, -s * s * tree.r[k])]);
                reactive[k].extend([(branch.q, s), (branch.l, -s * s * tree.x[k])]);
                active[parent].push((branch.p, -s));
                reactive[parent].push((branch.q, -s));
            }
        }
        for (g, variables) in self.generator.iter().enumerate() {
            if let Some((p, q)) = *variables {
                let k = data.position[data.generator_bus[g]];
                active[k].push((p, 1.0));
                reactive[k].push((q, 1.0));
            }
        }
        for (bus, term) in extra {
            let k = data.position[*bus];
            active[k].extend(
                term.terms
                    .iter()
                    .map(|&(variable, value)| (variable, -value / base)),
            );
            demand[k].0 += term.constant / base;
        }
        for k in 0..tree.len() {
            let id = data.case.buses[tree.bus[k]].id;
            // Rows in units of what flows there.
            let unit = self.branch[k].map_or(1.0, |branch| 1.0 / branch.scale);
            let rows = [
                ("P", &active[k], demand[k].0),
                ("Q", &reactive[k], demand[k].1),
            ];
            for (which, terms, side) in rows {
                let terms = terms
                    .iter()
                    .map(|&(variable, value)| (variable, unit * value));
                builder.row(
                    format!("{name} {which} at {id}"),
                    unit * side,
                    terms,
                    unit * side,
                );
            }
        }
    }

    /// Active and reactive power of every generator at a point, (MW, `MVAr`); zeros when it does not run.
    ///
    /// `primal` has one value per variable of the problem that the block was added to, such as
    /// [`Solution::primal`](evflex_solver::Solution::primal). Values beyond it count as NaN.
    #[must_use]
    pub fn generation(&self, primal: &[f64]) -> Vec<(f64, f64)> {
        let base = self.network.base_mva();
        self.generator
            .iter()
            .map(|variables| {
                variables.map_or((0.0, 0.0), |(p, q)| {
                    (base * value(primal, p), base * value(primal, q))
                })
            })
            .collect()
    }

    /// Squared voltage of every bus at a point, p.u.; 0 at isolated buses. `primal` as in
    /// [`generation`](Self::generation).
    #[must_use]
    pub fn v_sq(&self, primal: &[f64]) -> Vec<f64> {
        let data = &self.network.0;
        data.position
            .iter()
            .map(|&k| match k {
                NONE => 0.0,
                k => self.voltage[k].map_or(data.tree.held[k], |v| value(primal, v)),
            })
            .collect()
    }

    /// The largest `l w − P² − Q²` of a branch at a point, in p.u. on 10 MVA, and its position among the branches
    /// (0 when no branch has slack). It is 0 where the relaxed equation (4) of `v2gopf2024` holds. `primal` as in
    /// [`generation`](Self::generation).
    #[must_use]
    pub fn largest_cone_slack(&self, primal: &[f64]) -> (f64, usize) {
        let data = &self.network.0;
        let unit = data.case.base_mva / SLACK_BASE_MVA;
        let (mut largest, mut at) = (0.0, 0);
        for k in data.tree.sources..data.tree.len() {
            let Some(branch) = self.branch[k] else {
                continue;
            };
            let sending = self.sending(k);
            let w = sending.constant
                + sending
                    .terms
                    .iter()
                    .map(|&(v, factor)| factor * value(primal, v))
                    .sum::<f64>();
            let (p, q) = (value(primal, branch.p), value(primal, branch.q));
            let s = branch.scale * unit;
            let slack = s * s * (value(primal, branch.l) * w - p * p - q * q);
            if slack.is_nan() || slack > largest {
                (largest, at) = (slack, data.tree.branch[k]);
            }
        }
        (largest, at)
    }
}

fn value(primal: &[f64], variable: VariableId) -> f64 {
    primal.get(variable.index()).copied().unwrap_or(f64::NAN)
}

/// Variables of all generators that run, with their costs.
fn add_generators(
    builder: &mut ProblemBuilder,
    network: &Network,
    name: &str,
    weight: f64,
) -> Result<Vec<Option<(VariableId, VariableId)>>, Error> {
    let data = &network.0;
    let base = data.case.base_mva;
    for (k, slack) in data.slack.iter().enumerate() {
        if slack.is_none() {
            return Err(Error::NoCost {
                bus: data.case.buses[data.tree.bus[k]].id,
            });
        }
    }
    let mut variables = Vec::with_capacity(data.case.generators.len());
    for (position, generator) in data.case.generators.iter().enumerate() {
        if !generator.in_service || data.position[data.generator_bus[position]] == NONE {
            variables.push(None);
            continue;
        }
        let [c2, c1, c0] = generator.cost.ok_or(Error::NoCost { bus: generator.bus })?;
        if c2 < 0.0 {
            return Err(Error::NotRelaxable {
                what: "the quadratic cost",
                of: describe_generator(position, generator),
                value: c2,
                need: "a convex cost, at least 0",
            });
        }
        let p = builder.variable(
            format!("{name} Pg {position}"),
            generator.p_min_mw / base,
            generator.p_max_mw / base,
            weight * c1 * base,
        );
        let q = builder.variable(
            format!("{name} Qg {position}"),
            generator.q_min_mvar / base,
            generator.q_max_mvar / base,
            0.0,
        );
        if c2 > 0.0 {
            builder.quadratic(p, p, weight * c2 * base * base);
        }
        builder.objective_offset(weight * c0);
        variables.push(Some((p, q)));
    }
    Ok(variables)
}

/// The size of the flow in every branch (by position in the walk), from a power flow where there is one.
pub(crate) fn scales(
    network: &Network,
    load_mw: ArrayView1<'_, f64>,
    load_mvar: ArrayView1<'_, f64>,
) -> Vec<f64> {
    let data = &network.0;
    let (tree, base) = (&data.tree, data.case.base_mva);
    let flow = PowerFlow::solve(network, load_mw, load_mvar, &FlowOptions::default()).ok();
    let mut size: Vec<f64> = if let Some(flow) = &flow {
        let of = |k: usize| {
            let branch = &flow.branches[tree.branch[k]];
            branch.p_from_mw.hypot(branch.q_from_mvar) / base
        };
        (0..tree.len())
            .map(|k| if k < tree.sources { 0.0 } else { of(k) })
            .collect()
    } else {
        let mut sum: Vec<f64> = tree
            .bus
            .iter()
            .map(|&bus| load_mw[bus].hypot(load_mvar[bus]) / base)
            .collect();
        for k in (tree.sources..tree.len()).rev() {
            let own = sum[k];
            sum[tree.parent[k]] += own;
        }
        sum
    };
    let largest = size.iter().copied().fold(0.0, f64::max);
    for entry in &mut size {
        *entry = if largest > 0.0 {
            entry.max(LEAST_SCALE * largest)
        } else {
            1.0
        };
    }
    tracing::trace!(largest, from_power_flow = flow.is_some(), "scales of flows");
    size
}

/// A branch as errors and answers print it.
pub(crate) fn branch_name(network: &Network, branch: usize) -> String {
    network
        .branches()
        .get(branch)
        .map_or_else(String::new, |data| describe_branch(branch, data))
}
