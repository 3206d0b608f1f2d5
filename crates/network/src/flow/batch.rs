//! Many snapshots of one network: steps, scenarios, candidates.

use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;

use crate::flow::kernel::{Kernel, Lane, Seed, State};
use crate::flow::single::connected_position;
use crate::flow::{FlowOptions, check_loads, demand, failure, given_cost, no_weights, slack_cost};
use crate::topology::NONE;
use crate::{Error, Network};

/// Snapshots that are solved side by side.
const LANES: usize = 8;

/// Below this many bus snapshots, threads cost more than they save.
const PARALLEL_FROM: usize = 40_000;

/// Solved power flows of one network at many loads, one per row.
///
/// Rows are whatever the caller makes of them: steps, scenarios, or scenarios × steps reshaped to one axis. Every
/// row has exactly the answer that [`PowerFlow`](crate::PowerFlow) gives it alone.
///
/// ```
/// use evflex_network::{BatchFlow, FlowOptions, cases};
/// use ndarray::Array2;
///
/// let network = cases::case69()?;
/// let (load_mw, load_mvar) = network.loads();
/// let share = [0.6, 0.8, 1.0, 1.2]; // four hours of a day
/// let rows = |load: &ndarray::Array1<f64>| {
///     Array2::from_shape_fn((4, load.len()), |(hour, bus)| share[hour] * load[bus])
/// };
/// let day = BatchFlow::solve(&network, rows(&load_mw).view(), rows(&load_mvar).view(), &FlowOptions::default())?;
/// assert!((day.loss_kw()[2] - 224.991_694_152_067_57).abs() < 1e-7);
///
/// // One more MW at bus 61 in the last hour costs more than the price of 20 per MWh, because it has to be carried there.
/// let gradient = day.cost_gradient()?;
/// let bus = network.require_bus(61, "the example")?;
/// assert!(gradient.by_mw[[3, bus]] > 20.0 * 1.1);
/// # Ok::<(), evflex_network::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchFlow {
    network: Network,
    rows: usize,
    blocks: Vec<Block>,
    max_iterations: usize,
}

/// Eight rows; the last block repeats its last row.
#[derive(Clone, Debug)]
struct Block {
    state: State<LANES>,
    iterations: usize,
}

/// Derivatives of one quantity of every row by the loads of that row.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gradient {
    /// By active load, per MW: rows × buses.
    pub by_mw: Array2<f64>,
    /// By reactive load, per `MVAr`: rows × buses. 0 where a generator holds the voltage.
    pub by_mvar: Array2<f64>,
}

impl BatchFlow {
    /// Solves the power flow of every row of `load_mw` and `load_mvar` (rows × buses, MW and `MVAr`).
    ///
    /// # Errors
    /// As [`PowerFlow::solve`](crate::PowerFlow::solve), with the row. An empty batch is [`Error::Shape`].
    pub fn solve(
        network: &Network,
        load_mw: ArrayView2<'_, f64>,
        load_mvar: ArrayView2<'_, f64>,
        options: &FlowOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        check_loads(
            network,
            ["columns of the loads", "columns of the reactive loads"],
            load_mw,
            load_mvar,
        )?;
        let rows = load_mw.nrows();
        if rows == 0 {
            return Err(Error::Shape {
                what: "rows of the loads",
                expected: 1,
                found: 0,
            });
        }
        let data = &network.0;
        let solve_block = |kernel: &mut Kernel<'_, LANES>, block: usize| {
            let first = block * LANES;
            let [p, q] = demand::<LANES>(data, load_mw, load_mvar, first);
            let solved = kernel.solve(&p, &q, options.tolerance, options.max_iterations);
            for lane in 0..LANES.min(rows - first) {
                if let Some(error) = failure(data, &solved, &p, &q, lane, first + lane) {
                    return Err(error);
                }
            }
            let iterations = solved.iterations.into_iter().max().unwrap_or(0);
            Ok(Block {
                state: solved.state,
                iterations,
            })
        };
        let count = rows.div_ceil(LANES);
        let blocks: Vec<Block> = if rows * data.tree.len() < PARALLEL_FROM {
            let mut kernel = Kernel::new(&data.tree);
            (0..count)
                .map(|block| solve_block(&mut kernel, block))
                .collect::<Result<_, _>>()?
        } else {
            (0..count)
                .into_par_iter()
                .map_init(|| Kernel::new(&data.tree), solve_block)
                .collect::<Result<_, _>>()?
        };
        let max_iterations = blocks
            .iter()
            .map(|block| block.iterations)
            .max()
            .unwrap_or(0);
        tracing::trace!(rows, max_iterations, case = %network.name(), "batch of power flows");
        Ok(Self {
            network: network.clone(),
            rows,
            blocks,
            max_iterations,
        })
    }

    /// The network that was solved.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Never: a batch has at least one row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The most Newton iterations that a row took.
    #[must_use]
    pub fn max_iterations(&self) -> usize {
        self.max_iterations
    }

    /// Every row with its block and lane.
    fn each_row(&self) -> impl Iterator<Item = (usize, &Block, usize)> {
        (0..self.rows).map(|row| (row, &self.blocks[row / LANES], row % LANES))
    }

    /// Squared voltage magnitudes in p.u., rows × buses; 0 at isolated buses.
    #[must_use]
    pub fn v_sq(&self) -> Array2<f64> {
        let data = &self.network.0;
        let mut v_sq = Array2::zeros((self.rows, data.case.buses.len()));
        for (row, block, lane) in self.each_row() {
            for (k, &bus) in data.tree.bus.iter().enumerate() {
                v_sq[[row, bus]] = block.state.v[k][lane];
            }
        }
        v_sq
    }

    /// Voltage magnitudes in p.u., rows × buses; 0 at isolated buses.
    #[must_use]
    pub fn v_pu(&self) -> Array2<f64> {
        self.v_sq().mapv_into(f64::sqrt)
    }

    /// Squared currents in p.u., rows × branches; 0 in open branches.
    #[must_use]
    pub fn i_sq(&self) -> Array2<f64> {
        let data = &self.network.0;
        let mut i_sq = Array2::zeros((self.rows, data.case.branches.len()));
        for (row, block, lane) in self.each_row() {
            for k in data.tree.sources..data.tree.len() {
                i_sq[[row, data.tree.branch[k]]] = self.current(block, k, lane);
            }
        }
        i_sq
    }

    fn current(&self, block: &Block, k: usize, lane: usize) -> f64 {
        let tree = &self.network.0.tree;
        let (p, q) = (block.state.p[k][lane], block.state.q[k][lane]);
        (p * p + q * q) / (tree.tap_up[k] * block.state.v[tree.parent[k]][lane])
    }

    /// `Σ r i²` of every row, kW.
    #[must_use]
    pub fn loss_kw(&self) -> Array1<f64> {
        let tree = &self.network.0.tree;
        let unit = 1e3 * self.network.base_mva();
        self.each_row()
            .map(|(_, block, lane)| {
                let loss: f64 = (tree.sources..tree.len())
                    .map(|k| tree.r[k] * self.current(block, k, lane))
                    .sum();
                unit * loss
            })
            .collect()
    }

    /// Active power that the sources give, MW: rows × sources, in the order of [`Network::sources`].
    #[must_use]
    pub fn source_mw(&self) -> Array2<f64> {
        self.source_power(|state| &state.p)
    }

    /// Reactive power that the sources give, `MVAr`: rows × sources, in the order of [`Network::sources`].
    #[must_use]
    pub fn source_mvar(&self) -> Array2<f64> {
        self.source_power(|state| &state.q)
    }

    fn source_power(&self, of: impl Fn(&State<LANES>) -> &Vec<Lane<LANES>>) -> Array2<f64> {
        let base = self.network.base_mva();
        let mut power = Array2::zeros((self.rows, self.network.0.tree.sources));
        for (row, block, lane) in self.each_row() {
            for (k, value) in of(&block.state).iter().take(power.ncols()).enumerate() {
                power[[row, k]] = base * value[lane];
            }
        }
        power
    }

    /// Cost of all generators per hour, one per row.
    ///
    /// # Errors
    /// [`Error::NoCost`] when a generator has none.
    pub fn cost_per_hour(&self) -> Result<Array1<f64>, Error> {
        let data = &self.network.0;
        let given = given_cost(data)?;
        let mut costs = Array1::from_elem(self.rows, given);
        for (row, block, lane) in self.each_row() {
            for k in 0..data.tree.sources {
                costs[row] += slack_cost(data, k, block.state.p[k][lane])?.0;
            }
        }
        Ok(costs)
    }

    /// Derivatives of the cost per hour of every row by its loads.
    ///
    /// # Errors
    /// [`Error::NoCost`] when a source has none.
    pub fn cost_gradient(&self) -> Result<Gradient, Error> {
        let data = &self.network.0;
        for k in 0..data.tree.sources {
            slack_cost(data, k, 0.0)?; // an error, if there is one, before the work
        }
        Ok(self.gradient(1.0 / data.case.base_mva, |block| {
            let mut seed = no_weights(data);
            for k in 0..data.tree.sources {
                seed.source[k][0] = block.state.p[k]
                    .map(|p| slack_cost(data, k, p).map_or(f64::NAN, |cost| cost.1));
            }
            seed
        }))
    }

    /// Derivatives of the losses `Σ r i²` (MW) of every row by its loads.
    #[must_use]
    pub fn loss_gradient(&self) -> Gradient {
        let data = &self.network.0;
        self.gradient(1.0, |_| Seed {
            loss: [1.0; LANES],
            ..no_weights(data)
        })
    }

    /// Derivatives of the voltage magnitude (p.u.) at the bus at position `bus`, of every row by its loads.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such position or the bus is isolated.
    pub fn voltage_gradient(&self, bus: usize) -> Result<Gradient, Error> {
        let data = &self.network.0;
        let position = connected_position(&self.network, bus)?;
        Ok(self.gradient(1.0 / data.case.base_mva, |block| {
            let mut seed = no_weights(data);
            seed.voltage = vec![[0.0; LANES]; data.tree.len()];
            seed.voltage[position] = block.state.v[position].map(|v| 0.5 / v.sqrt());
            seed
        }))
    }

    fn gradient(&self, unit: f64, seed: impl Fn(&Block) -> Seed<LANES> + Sync) -> Gradient {
        let data = &self.network.0;
        let adjoint = |kernel: &mut Kernel<'_, LANES>, block: &Block| {
            kernel.adjoint(&block.state, &seed(block))
        };
        let answers: Vec<[Vec<Lane<LANES>>; 2]> = if self.rows * data.tree.len() < PARALLEL_FROM {
            let mut kernel = Kernel::new(&data.tree);
            self.blocks
                .iter()
                .map(|block| adjoint(&mut kernel, block))
                .collect()
        } else {
            self.blocks
                .par_iter()
                .map_init(|| Kernel::new(&data.tree), adjoint)
                .collect()
        };
        let in_order = |axis: usize| {
            Array2::from_shape_fn((self.rows, data.case.buses.len()), |(row, bus)| match data
                .position[bus]
            {
                NONE => 0.0,
                k => unit * answers[row / LANES][axis][k][row % LANES],
            })
        };
        Gradient {
            by_mw: in_order(0),
            by_mvar: in_order(1),
        }
    }
}
