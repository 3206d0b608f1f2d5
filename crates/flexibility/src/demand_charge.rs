//! The demand charge over the aggregate set: column generation (Dantzig-Wolfe), with weights for
//! each group of vehicles.
//!
//! For any `y ≥ 0` with `Σ y = r`, `c · u + r max_t (u_t + l_t) ≥ (c + y) · u + y · l`, so one greedy
//! vertex for the prices `c + y` gives a lower bound, and a new column for the master problem
//!
//! ```text
//! min  Σ_gj (c · v_gj) λ_gj + r m    s.t.  Σ_gj v_gjt λ_gj − m ≤ −l_t,   Σ_j λ_gj = 1,   λ ≥ 0,
//! ```
//!
//! whose row duals are the next `y`. Pure Dantzig-Wolfe prices swing from one extreme to another, so
//! the prices asked are pulled towards the best ones so far (Wentges 1997; Pessoa et al. 2018).

use std::time::Instant;

use evflex_solver::{Options, ProblemBuilder, Solver};
use ndarray::{Array1, Array2, ArrayView1};

use crate::{
    aggregate_set::{DecisionStatus, Minorant},
    decision::Run,
    error::Error,
    fleet_polymatroid::FleetPolymatroid,
    generalized_polymatroid::Permutation,
    mixture::VertexMixture,
    projection::Projection,
};

/// Weight of the best prices in the prices asked.
const SMOOTHING: f64 = 0.6;

/// Passes of the projection that provides the first columns.
const WARM_PASSES: usize = 6;

/// Columns kept without use, as a multiple of the number of rows of the master problem.
const SPARE_COLUMNS: usize = 3;

struct Column {
    group: usize,
    order: usize,
    vertex: Array1<f64>,
    cost: f64,
    weight: f64,
    reduced_cost: f64,
}

struct Master<'a> {
    set: &'a FleetPolymatroid,
    price: &'a Array1<f64>,
    load_kw: &'a Array1<f64>,
    rate: f64,
    solver: &'a dyn Solver,
    options: Options,
    orders: Vec<Permutation>,
    columns: Vec<Column>,
}

pub(crate) fn minimise(
    set: &FleetPolymatroid,
    price: &Array1<f64>,
    load_kw: &Array1<f64>,
    rate: f64,
    solver: &dyn Solver,
    run: &mut Run<'_>,
) -> Result<(DecisionStatus, VertexMixture), Error> {
    let started = Instant::now();
    let mut master = Master {
        set,
        price,
        load_kw,
        rate,
        solver,
        options: run.options.clone(),
        orders: Vec::new(),
        columns: Vec::new(),
    };

    // First columns: the cheapest energy, and a profile with a low peak.
    let cheapest = Permutation::maximising((-price).view());
    let vertices = set.packed().group_vertices(&cheapest);
    master.add(cheapest, &vertices, None);
    let shift = lowest_load(set, load_kw);
    let mut projection =
        Projection::new(set.packed(), -(load_kw + shift), Array1::ones(set.steps()));
    for _ in 0..WARM_PASSES {
        let pass = projection.pass();
        master.add(pass.order.clone(), &pass.vertices, None);
        if !projection.sweep() {
            break;
        }
    }

    let mut best_y: Option<Array1<f64>> = None;
    let mut best_mixture = None;
    loop {
        master.options = run.options.remaining(started);
        let y = master.solve()?;
        let profile = master.profile();
        if run.offer_profile(profile.view()) {
            best_mixture = Some(master.mixture());
        }
        let mut asked = match &best_y {
            Some(best) => SMOOTHING * best + (1.0 - SMOOTHING) * &y,
            None => y.clone(),
        };
        let status = loop {
            let direction = -(price + &asked);
            let order = Permutation::maximising(direction.view());
            let vertices = set.packed().group_vertices(&order);
            let vertex = vertices.sum_axis(ndarray::Axis(0));
            let bound = asked.dot(load_kw) - direction.dot(&vertex);
            let minorant = || Minorant {
                slope: -&direction,
                constant: asked.dot(load_kw),
            };
            if run.offer_bound(bound, minorant) {
                best_y = Some(asked.clone());
            }
            let added = master.add(order, &vertices, Some(&y));
            let status = run.end_of_pass();
            if status.is_some() || added > 0 {
                break status;
            }
            if asked == y {
                break Some(DecisionStatus::Stalled);
            }
            // The smoothed prices brought nothing new: ask at the master's own prices.
            asked.clone_from(&y);
        };
        if let Some(status) = status {
            return Ok((status, best_mixture.unwrap_or_else(|| master.mixture())));
        }
    }
}

/// A constant that makes every reachable `u + load` positive, so that the peak in absolute value is
/// the highest power.
fn lowest_load(set: &FleetPolymatroid, load_kw: &Array1<f64>) -> f64 {
    let (lowest, _) = set.band_kw();
    (&lowest + load_kw)
        .iter()
        .fold(0.0, |shift, &power| f64::max(shift, -power))
}

impl Master<'_> {
    /// Adds the vertices of all groups, or with prices only those that improve on them; returns how many.
    fn add(
        &mut self,
        order: Permutation,
        vertices: &Array2<f64>,
        prices: Option<&Array1<f64>>,
    ) -> usize {
        let index = self.orders.len();
        let mut added = 0;
        for (group, vertex) in vertices.outer_iter().enumerate() {
            if let Some(y) = prices {
                let value = |vertex: ArrayView1<'_, f64>| vertex.dot(self.price) + vertex.dot(y);
                let new = value(vertex);
                let known = self
                    .columns
                    .iter()
                    .filter(|column| column.group == group)
                    .map(|column| value(column.vertex.view()))
                    .fold(f64::INFINITY, f64::min);
                if new >= known - 1e-12 * (1.0 + known.abs()) {
                    continue;
                }
            }
            self.columns.push(Column {
                group,
                order: index,
                vertex: vertex.to_owned(),
                cost: vertex.dot(self.price),
                weight: 0.0,
                reduced_cost: 0.0,
            });
            added += 1;
        }
        if added > 0 {
            self.orders.push(order);
        }
        added
    }

    /// Solves the master problem, sets the weights, and returns `y`.
    fn solve(&mut self) -> Result<Array1<f64>, Error> {
        let steps = self.set.steps();
        let groups = self.set.packed().groups;
        self.forget(SPARE_COLUMNS * (steps + groups));
        // Powers of the size of the fleet's would dwarf the convexity rows; scale to order one.
        let scale = self
            .columns
            .iter()
            .flat_map(|column| &column.vertex)
            .fold(1.0, |most, power| f64::max(most, power.abs()));
        let mut builder = ProblemBuilder::new("demand charge master");
        let peak = builder.variable("peak", f64::NEG_INFINITY, f64::INFINITY, self.rate * scale);
        let weights: Vec<_> = (0..self.columns.len())
            .map(|index| {
                builder.variable(
                    format!("weight_{index}"),
                    0.0,
                    f64::INFINITY,
                    self.columns[index].cost,
                )
            })
            .collect();
        let mut peak_rows = Vec::with_capacity(steps);
        for t in 0..steps {
            let terms = weights
                .iter()
                .zip(&self.columns)
                .map(|(&weight, column)| (weight, column.vertex[t] / scale));
            let row = builder.row(
                format!("peak_{t}"),
                f64::NEG_INFINITY,
                terms.filter(|term| term.1 != 0.0).chain([(peak, -1.0)]),
                -self.load_kw[t] / scale,
            );
            peak_rows.push(row);
        }
        for group in 0..groups {
            let terms = weights
                .iter()
                .zip(&self.columns)
                .filter(|(_, column)| column.group == group)
                .map(|(&weight, _)| (weight, 1.0));
            builder.row(format!("convexity_{group}"), 1.0, terms, 1.0);
        }
        let problem = builder.build()?;
        let solution = self.solver.solve(&problem, &self.options)?.into_optimal()?;
        let duals = solution
            .duals()
            .ok_or_else(|| evflex_solver::Error::Unsupported {
                solver: self.solver.name(),
                class: "duals of linear programs",
            })?;
        let mut sums = vec![0.0; groups];
        for (column, &weight) in self.columns.iter_mut().zip(&weights) {
            column.weight = solution.value(weight).max(0.0);
            column.reduced_cost = duals.reduced_costs[weight.index()];
            sums[column.group] += column.weight;
        }
        for column in &mut self.columns {
            column.weight /= sums[column.group];
        }
        let y: Array1<f64> = peak_rows
            .iter()
            .map(|row| (-duals.rows[row.index()] / scale).max(0.0))
            .collect();
        let total = y.sum();
        Ok(if total > 0.0 {
            y * (self.rate / total)
        } else {
            Array1::from_elem(steps, self.rate / steps as f64)
        })
    }

    /// Drops the least promising of the columns that carry no weight, until `spare` are left.
    fn forget(&mut self, spare: usize) {
        const NO_WEIGHT: f64 = 1e-7;
        let mut idle: Vec<usize> = (0..self.columns.len())
            .filter(|&index| {
                self.columns[index].weight < NO_WEIGHT && self.columns[index].reduced_cost > 0.0
            })
            .collect();
        if idle.len() <= spare {
            return;
        }
        idle.sort_by(|&a, &b| {
            self.columns[a]
                .reduced_cost
                .total_cmp(&self.columns[b].reduced_cost)
        });
        let mut dropped = vec![false; self.columns.len()];
        for &index in &idle[spare..] {
            dropped[index] = true;
        }
        let mut index = 0;
        self.columns.retain(|_| {
            index += 1;
            !dropped[index - 1]
        });
    }

    fn profile(&self) -> Array1<f64> {
        let mut profile = Array1::zeros(self.set.steps());
        for column in &self.columns {
            profile.scaled_add(column.weight, &column.vertex);
        }
        profile
    }

    fn mixture(&self) -> VertexMixture {
        let mut new_index = vec![usize::MAX; self.orders.len()];
        let mut used = Vec::new();
        for column in self.columns.iter().filter(|column| column.weight > 0.0) {
            if new_index[column.order] == usize::MAX {
                new_index[column.order] = used.len();
                used.push(self.orders[column.order].clone());
            }
        }
        let mut weights = Array2::zeros((used.len(), self.set.packed().groups));
        for column in self.columns.iter().filter(|column| column.weight > 0.0) {
            weights[[new_index[column.order], column.group]] += column.weight;
        }
        VertexMixture::new(used, weights)
    }
}
