//! One snapshot, with results for every bus, branch and generator.

use ndarray::{Array1, ArrayView1, Axis};

use crate::flow::kernel::{Kernel, Lane, Seed, State};
use crate::flow::{FlowOptions, check_loads, demand, failure, given_cost, no_weights, slack_cost};
use crate::topology::NONE;
use crate::{BusKind, Error, Network};

/// What a power flow says about a bus.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BusState {
    /// Number of the bus.
    pub id: u32,
    /// Voltage magnitude in p.u.; 0 when isolated.
    pub v_pu: f64,
    /// Voltage angle in degrees, 0 at the source; 0 when isolated.
    pub angle_deg: f64,
}

/// What a power flow says about a branch. Zeros when it is open.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BranchFlow {
    /// Number of the from bus.
    pub from: u32,
    /// Number of the to bus.
    pub to: u32,
    /// Active power that enters at the from bus, MW.
    pub p_from_mw: f64,
    /// Reactive power that enters at the from bus, `MVAr`, line charging included.
    pub q_from_mvar: f64,
    /// Active power that enters at the to bus, MW.
    pub p_to_mw: f64,
    /// Reactive power that enters at the to bus, `MVAr`, line charging included.
    pub q_to_mvar: f64,
    /// Current through the series impedance, p.u.
    pub i_pu: f64,
    /// `r i²` in kW.
    pub loss_kw: f64,
    /// Current over its limit; `None` without a limit.
    pub loading: Option<f64>,
}

/// What a generator gives. Zeros when it does not run.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GeneratorOutput {
    /// Number of its bus.
    pub bus: u32,
    /// Active power, MW.
    pub p_mw: f64,
    /// Reactive power, `MVAr`; several generators that hold the voltage of one bus share it equally.
    pub q_mvar: f64,
}

/// The operating point of a network at given loads: solved AC power flow.
///
/// Reactive limits of generators are not enforced; compare [`generators`](Self::generators) with them.
#[derive(Clone, Debug)]
pub struct PowerFlow {
    /// One per bus, in the order of the network.
    pub buses: Vec<BusState>,
    /// One per branch, in the order of the network.
    pub branches: Vec<BranchFlow>,
    /// One per generator, in the order of the network.
    pub generators: Vec<GeneratorOutput>,
    /// `Σ r i²` over all branches, kW.
    pub loss_kw: f64,
    /// Newton iterations.
    pub iterations: usize,
    /// Largest mismatch: of powers relative to the sum of all demand, of voltages in p.u. squared.
    pub mismatch: f64,
    network: Network,
    state: State<1>,
}

/// Derivatives of one quantity by the loads of one snapshot.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PowerFlowGradient {
    /// By the active load of every bus, per MW.
    pub by_mw: Array1<f64>,
    /// By the reactive load of every bus, per `MVAr`. 0 where a generator holds the voltage.
    pub by_mvar: Array1<f64>,
}

impl Network {
    /// Solves the power flow at the loads of the case, with default options.
    ///
    /// ```
    /// use evflex_network::cases;
    /// let flow = cases::case33bw()?.power_flow()?;
    /// assert!((flow.loss_kw - 202.677_126_445_947_25).abs() < 1e-7);
    /// let lowest = flow.lowest_voltage();
    /// assert_eq!(lowest.id, 18);
    /// assert!((lowest.v_pu - 0.913_090_479_361_058_6).abs() < 1e-9);
    /// # Ok::<(), evflex_network::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`PowerFlow::solve`].
    pub fn power_flow(&self) -> Result<PowerFlow, Error> {
        let (load_mw, load_mvar) = self.loads();
        PowerFlow::solve(
            self,
            load_mw.view(),
            load_mvar.view(),
            &FlowOptions::default(),
        )
    }
}

impl PowerFlow {
    /// Solves the power flow at given loads (MW and `MVAr`, one per bus in the order of the network, positive when
    /// drawn). Generators with given power feed in what their case says.
    ///
    /// The equations are (1)-(4) of `v2gopf2024` with generators, ratios and shunts; the method is Newton's, with an
    /// elimination that is linear in the number of buses. The point that it returns lies on the branch of solutions
    /// that starts at no load: all pivots of the elimination are positive.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NotFinite`] for the loads, [`Error::NoConvergence`] and [`Error::Collapsed`] when
    /// the network cannot carry them, [`Error::Domain`] for the tolerance.
    pub fn solve(
        network: &Network,
        load_mw: ArrayView1<'_, f64>,
        load_mvar: ArrayView1<'_, f64>,
        options: &FlowOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        let (rows_mw, rows_mvar) = (load_mw.insert_axis(Axis(0)), load_mvar.insert_axis(Axis(0)));
        check_loads(
            network,
            ["the loads", "the reactive loads"],
            rows_mw,
            rows_mvar,
        )?;
        let data = &network.0;
        let [p, q] = demand::<1>(data, rows_mw, rows_mvar, 0);
        let mut kernel = Kernel::<1>::new(&data.tree);
        let solved = kernel.solve(&p, &q, options.tolerance, options.max_iterations);
        if let Some(error) = failure(data, &solved, &p, &q, 0, 0) {
            return Err(error);
        }
        let (iterations, mismatch) = (solved.iterations[0], solved.mismatch[0]);
        tracing::trace!(iterations, mismatch, case = %network.name(), "power flow");
        Ok(Self::of(
            network.clone(),
            solved.state,
            &[p, q],
            iterations,
            mismatch,
        ))
    }

    /// Results in the order and units of the network.
    fn of(
        network: Network,
        state: State<1>,
        demand: &[Vec<Lane<1>>; 2],
        iterations: usize,
        mismatch: f64,
    ) -> Self {
        let data = &network.0;
        let (case, tree, base) = (&data.case, &data.tree, data.case.base_mva);
        let mut buses: Vec<BusState> = case
            .buses
            .iter()
            .map(|bus| BusState {
                id: bus.id,
                v_pu: 0.0,
                angle_deg: 0.0,
            })
            .collect();
        let mut branches: Vec<BranchFlow> = case
            .branches
            .iter()
            .map(|branch| BranchFlow {
                from: branch.from,
                to: branch.to,
                p_from_mw: 0.0,
                q_from_mvar: 0.0,
                p_to_mw: 0.0,
                q_to_mvar: 0.0,
                i_pu: 0.0,
                loss_kw: 0.0,
                loading: branch.i_max_pu.map(|_| 0.0),
            })
            .collect();
        let mut loss = 0.0;
        // Reactive power that the generators of every bus give: the balance that is left open.
        let mut open: Vec<f64> = (0..tree.len())
            .map(|k| demand[1][k][0] - tree.b[k] * state.v[k][0])
            .collect();
        for k in 0..tree.len() {
            let bus = tree.bus[k];
            buses[bus].v_pu = state.v[k][0].sqrt();
            if k < tree.sources {
                continue;
            }
            let parent = tree.parent[k];
            let (big_p, big_q) = (state.p[k][0], state.q[k][0]);
            let (r, x) = (tree.r[k], tree.x[k]);
            let sending = tree.tap_up[k] * state.v[parent][0];
            let current = (big_p * big_p + big_q * big_q) / sending;
            let branch = &case.branches[tree.branch[k]];
            let downwards =
                tree.bus[parent] == data.index.get(&branch.from).copied().unwrap_or(NONE);
            let turn = (-(x * big_p - r * big_q) / sending)
                .atan2(1.0 - (r * big_p + x * big_q) / sending)
                .to_degrees();
            let shift = if downwards {
                -branch.shift_deg
            } else {
                branch.shift_deg
            };
            buses[bus].angle_deg = buses[tree.bus[parent]].angle_deg + turn + shift;
            let receiving = state.v[k][0] / tree.tap_down[k];
            let half = 0.5 * branch.b_pu;
            let above = [big_p, big_q - half * sending];
            let here = [r * current - big_p, x * current - big_q - half * receiving];
            let (from, to) = if downwards {
                (above, here)
            } else {
                (here, above)
            };
            open[parent] += big_q;
            open[k] += x * current - big_q;
            loss += r * current;
            branches[tree.branch[k]] = BranchFlow {
                from: branch.from,
                to: branch.to,
                p_from_mw: from[0] * base,
                q_from_mvar: from[1] * base,
                p_to_mw: to[0] * base,
                q_to_mvar: to[1] * base,
                i_pu: current.sqrt(),
                loss_kw: 1e3 * base * r * current,
                loading: branch.i_max_pu.map(|limit| current.sqrt() / limit),
            };
        }
        let generators = generator_outputs(&network, &state, &open);
        Self {
            buses,
            branches,
            generators,
            loss_kw: 1e3 * base * loss,
            iterations,
            mismatch,
            network,
            state,
        }
    }

    /// The network that was solved.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Active and reactive power that all generators give together, (MW, `MVAr`).
    #[must_use]
    pub fn generation(&self) -> (f64, f64) {
        self.generators.iter().fold((0.0, 0.0), |(p, q), output| {
            (p + output.p_mw, q + output.q_mvar)
        })
    }

    /// Cost of all generators per hour.
    ///
    /// # Errors
    /// [`Error::NoCost`] when one of them has none.
    pub fn cost_per_hour(&self) -> Result<f64, Error> {
        let data = &self.network.0;
        let mut sum = given_cost(data)?;
        for k in 0..data.tree.sources {
            sum += slack_cost(data, k, self.state.p[k][0])?.0;
        }
        Ok(sum)
    }

    /// The connected bus with the lowest voltage; the first one of several.
    #[must_use]
    pub fn lowest_voltage(&self) -> &BusState {
        self.extreme(|candidate, best| candidate < best)
    }

    /// The connected bus with the highest voltage; the first one of several.
    #[must_use]
    pub fn highest_voltage(&self) -> &BusState {
        self.extreme(|candidate, best| candidate > best)
    }

    fn extreme(&self, better: impl Fn(f64, f64) -> bool) -> &BusState {
        let mut best = None;
        for bus in 0..self.buses.len() {
            let candidate = self.buses[bus].v_pu;
            let wins = best.is_none_or(|best: usize| better(candidate, self.buses[best].v_pu));
            if self.network.is_connected(bus) && wins {
                best = Some(bus);
            }
        }
        let best = best.unwrap_or(self.network.sources()[0]);
        &self.buses[best]
    }

    /// Derivatives of the losses `Σ r i²` (MW) by every load.
    #[must_use]
    pub fn loss_gradient(&self) -> PowerFlowGradient {
        self.gradient(
            &Seed {
                loss: [1.0],
                ..no_weights(&self.network.0)
            },
            1.0,
        )
    }

    /// Derivatives of the cost per hour by every load, per MW and `MVAr`.
    ///
    /// # Errors
    /// [`Error::NoCost`] when a source has none.
    pub fn cost_gradient(&self) -> Result<PowerFlowGradient, Error> {
        let data = &self.network.0;
        let mut seed = no_weights::<1>(data);
        for k in 0..data.tree.sources {
            seed.source[k][0] = [slack_cost(data, k, self.state.p[k][0])?.1];
        }
        Ok(self.gradient(&seed, 1.0 / data.case.base_mva))
    }

    /// Derivatives of the voltage magnitude (p.u.) at the bus at position `bus` by every load, per MW and `MVAr`.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such position or the bus is isolated.
    pub fn voltage_gradient(&self, bus: usize) -> Result<PowerFlowGradient, Error> {
        let data = &self.network.0;
        let position = connected_position(&self.network, bus)?;
        let mut seed = no_weights::<1>(data);
        seed.voltage = vec![[0.0]; data.tree.len()];
        seed.voltage[position] = [0.5 / self.state.v[position][0].sqrt()];
        Ok(self.gradient(&seed, 1.0 / data.case.base_mva))
    }

    fn gradient(&self, seed: &Seed<1>, unit: f64) -> PowerFlowGradient {
        let data = &self.network.0;
        let mut kernel = Kernel::<1>::new(&data.tree);
        let [p, q] = kernel.adjoint(&self.state, seed);
        let in_order = |values: &[Lane<1>]| {
            data.position
                .iter()
                .map(|&position| {
                    if position == NONE {
                        0.0
                    } else {
                        unit * values[position][0]
                    }
                })
                .collect()
        };
        PowerFlowGradient {
            by_mw: in_order(&p),
            by_mvar: in_order(&q),
        }
    }
}

/// Position in the walk of a connected bus.
pub(crate) fn connected_position(network: &Network, bus: usize) -> Result<usize, Error> {
    match network.0.position.get(bus) {
        Some(&position) if position != NONE => Ok(position),
        _ => Err(Error::Shape {
            what: "the position of a connected bus, below the number of buses",
            expected: network.buses().len(),
            found: bus,
        }),
    }
}

/// What every generator gives: sources close the balance, voltage buses share what is `open` there.
fn generator_outputs(network: &Network, state: &State<1>, open: &[f64]) -> Vec<GeneratorOutput> {
    let data = &network.0;
    let (case, tree, base) = (&data.case, &data.tree, data.case.base_mva);
    let runs =
        |g: usize| case.generators[g].in_service && data.position[data.generator_bus[g]] != NONE;
    let mut outputs = Vec::with_capacity(case.generators.len());
    for (g, generator) in case.generators.iter().enumerate() {
        let bus = data.generator_bus[g];
        let (p_mw, q_mvar) = if !runs(g) {
            (0.0, 0.0)
        } else if let Some(k) = data.slack.iter().position(|&slack| slack == Some(g)) {
            (base * state.p[k][0], base * state.q[k][0])
        } else if case.buses[bus].kind == BusKind::Voltage && tree.holds(data.position[bus]) {
            let sharing = (0..case.generators.len())
                .filter(|&other| data.generator_bus[other] == bus && runs(other))
                .count();
            (
                generator.p_mw,
                base * open[data.position[bus]] / sharing.max(1) as f64,
            )
        } else {
            (generator.p_mw, generator.q_mvar)
        };
        outputs.push(GeneratorOutput {
            bus: generator.bus,
            p_mw,
            q_mvar,
        });
    }
    outputs
}
