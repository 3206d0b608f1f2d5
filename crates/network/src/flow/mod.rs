//! AC power flow of radial networks, and what it says about small changes.

mod batch;
mod kernel;
mod single;

pub(crate) use single::connected_position;

pub use batch::{BatchFlow, Gradient};
pub use single::{BranchFlow, BusState, GeneratorOutput, PowerFlow, PowerFlowGradient};

use ndarray::{ArrayView2, Axis};

use crate::network::Checked;
use crate::{Error, Network};
use kernel::{Ending, Lane, Seed, Solved};

/// How closely and how long a power flow is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FlowOptions {
    /// Largest mismatch: of powers relative to the sum of all demand, of voltages in p.u. squared. Default: `1e-12`.
    pub tolerance: f64,
    /// Newton iterations, at most. Default: 50; feeders need 3 to 6 far from collapse.
    pub max_iterations: usize,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            tolerance: 1e-12,
            max_iterations: 50,
        }
    }
}

impl FlowOptions {
    /// Asks for this mismatch.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Allows this many iterations.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    fn validate(self) -> Result<(), Error> {
        crate::error::check(
            self.tolerance > 0.0 && self.tolerance.is_finite(),
            "the tolerance",
            || "a power flow".to_owned(),
            self.tolerance,
            "a positive number",
        )
    }
}

/// Checks loads given per row and bus.
pub(crate) fn check_loads(
    network: &Network,
    what: [&'static str; 2],
    load_mw: ArrayView2<'_, f64>,
    load_mvar: ArrayView2<'_, f64>,
) -> Result<(), Error> {
    let count = network.buses().len();
    for (what, load) in what.into_iter().zip([&load_mw, &load_mvar]) {
        if load.ncols() != count {
            return Err(Error::Shape {
                what,
                expected: count,
                found: load.ncols(),
            });
        }
        if let Some(((row, column), &value)) =
            load.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return Err(Error::NotFinite {
                what,
                row,
                column,
                value,
            });
        }
    }
    if load_mvar.nrows() != load_mw.nrows() {
        return Err(Error::Shape {
            what: "rows of the reactive loads",
            expected: load_mw.nrows(),
            found: load_mvar.nrows(),
        });
    }
    Ok(())
}

/// Demand of rows `first..first + L` in p.u. and walking order, net of generators with given power. Rows beyond the
/// end repeat the last one.
fn demand<const L: usize>(
    data: &Checked,
    load_mw: ArrayView2<'_, f64>,
    load_mvar: ArrayView2<'_, f64>,
    first: usize,
) -> [Vec<Lane<L>>; 2] {
    let count = data.tree.len();
    let mut p = vec![[0.0; L]; count];
    let mut q = vec![[0.0; L]; count];
    let per_unit = 1.0 / data.case.base_mva;
    let last = load_mw.nrows() - 1;
    for lane in 0..L {
        let row = (first + lane).min(last);
        let (mw, mvar) = (
            load_mw.index_axis(Axis(0), row),
            load_mvar.index_axis(Axis(0), row),
        );
        for (k, &bus) in data.tree.bus.iter().enumerate() {
            p[k][lane] = mw[bus] * per_unit - data.fed_in[bus].0;
            q[k][lane] = mvar[bus] * per_unit - data.fed_in[bus].1;
        }
    }
    [p, q]
}

/// The error of a snapshot that did not converge; `None` when it did.
fn failure<const L: usize>(
    data: &Checked,
    solved: &Solved<L>,
    p: &[Lane<L>],
    q: &[Lane<L>],
    lane: usize,
    row: usize,
) -> Option<Error> {
    let tree = &data.tree;
    let id = |position: usize| data.case.buses[tree.bus[position]].id;
    match solved.ending[lane] {
        Ending::Converged => None,
        Ending::Lost => {
            let worst = kernel::Kernel::new(tree).worst(&solved.state, p, q, lane);
            let demand: f64 = (0..tree.len())
                .map(|k| p[k][lane].hypot(q[k][lane]))
                .sum::<f64>()
                * data.case.base_mva;
            Some(Error::NoConvergence {
                row,
                iterations: solved.iterations[lane],
                mismatch: solved.mismatch[lane],
                bus: id(worst),
                demand_mva: demand,
            })
        }
        Ending::Collapsed => {
            let (mut lowest, mut at) = (f64::INFINITY, 0);
            for k in 0..tree.len() {
                if solved.state.v[k][lane] < lowest {
                    (lowest, at) = (solved.state.v[k][lane], k);
                }
            }
            Some(Error::Collapsed {
                row,
                bus: id(at),
                v_pu: lowest.max(0.0).sqrt(),
            })
        }
    }
}

/// What a generator closing the balance of source `position` costs at `p` (p.u.), and its derivative by p.u.
fn slack_cost(data: &Checked, position: usize, p: f64) -> Result<(f64, f64), Error> {
    let bus = data.case.buses[data.tree.bus[position]].id;
    let base = data.case.base_mva;
    let [c2, c1, c0] = data.slack[position]
        .and_then(|generator| data.case.generators[generator].cost)
        .ok_or(Error::NoCost { bus })?;
    let mw = p * base;
    Ok(((c2 * mw + c1) * mw + c0, (2.0 * c2 * mw + c1) * base))
}

/// What the generators with given power cost per hour.
fn given_cost(data: &Checked) -> Result<f64, Error> {
    let mut sum = 0.0;
    for (position, generator) in data.case.generators.iter().enumerate() {
        let closes = data.slack.contains(&Some(position));
        let connected = data.position[data.generator_bus[position]] != crate::topology::NONE;
        if generator.in_service && connected && !closes {
            sum += generator
                .cost_per_hour(generator.p_mw)
                .ok_or(Error::NoCost { bus: generator.bus })?;
        }
    }
    Ok(sum)
}

/// A seed without weights.
fn no_weights<const L: usize>(data: &Checked) -> Seed<L> {
    Seed {
        source: vec![[[0.0; L]; 2]; data.tree.sources],
        loss: [0.0; L],
        voltage: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
