//! Separable quadratics over the aggregate set: the minimum-norm point by blocks.
//!
//! Minimises `Σ_t w_t (u_t − r_t)²` over `U = Σ_g U_g`, where the groups `g` partition the fleet.
//! Each round asks the greedy algorithm for the vertex that the gradient wants, of every group in
//! one pass over the fleet, and then moves to the best convex combination of the vertices known so
//! far (Wolfe's minimum-norm point algorithm, extended to a sum of hulls). Weights are separate for
//! each group, so a pass brings as many new columns as there are groups: the answer needs about
//! `T + groups` columns in all, hence far fewer passes than with one hull for the whole fleet.

use ndarray::{Array1, Array2};

use crate::{
    generalized_polymatroid::{PackedFleet, Permutation},
    mixture::VertexMixture,
    thin_qr::ThinQr,
};

/// A vertex of one group with its weight.
#[derive(Clone, Debug)]
struct Column {
    group: usize,
    order: usize,
    vertex: Array1<f64>,
    weight: f64,
}

/// One pass over the fleet: the vertices that a gradient asks for.
pub(crate) struct Pass {
    pub order: Permutation,
    /// Vertex per group, groups × T.
    pub vertices: Array2<f64>,
    /// Vertex of the fleet.
    pub vertex: Array1<f64>,
    /// `∇f · (u − vertex)`: no point of `U` has a value below `f(u)` minus this.
    pub frank_wolfe_gap: f64,
}

/// The state of the algorithm: a point of `U` as a convex combination of vertices, group by group.
pub(crate) struct Projection<'a> {
    packed: &'a PackedFleet,
    target: Array1<f64>,
    weight: Array1<f64>,
    root_weight: Array1<f64>,
    orders: Vec<Permutation>,
    columns: Vec<Column>,
    /// Column that the differences of its group are taken from.
    pivots: Vec<usize>,
    /// Columns of the factorisation, in its order.
    free: Vec<usize>,
    qr: ThinQr,
    point: Array1<f64>,
    lowest_value: f64,
    /// Sweeps since the value last fell.
    idle_sweeps: usize,
}

impl<'a> Projection<'a> {
    /// Starts at the vertex that the gradient at `u = 0` asks for.
    pub fn new(packed: &'a PackedFleet, target: Array1<f64>, weight: Array1<f64>) -> Self {
        let order = Permutation::maximising((&weight * &target).view());
        let vertices = packed.group_vertices(&order);
        let columns: Vec<Column> = vertices
            .outer_iter()
            .enumerate()
            .map(|(group, vertex)| Column {
                group,
                order: 0,
                vertex: vertex.to_owned(),
                weight: 1.0,
            })
            .collect();
        let root_weight = weight.mapv(f64::sqrt);
        let mut projection = Self {
            packed,
            target,
            weight,
            root_weight,
            orders: vec![order],
            pivots: (0..columns.len()).collect(),
            columns,
            free: Vec::new(),
            qr: ThinQr::default(),
            point: Array1::zeros(packed.steps),
            lowest_value: f64::INFINITY,
            idle_sweeps: 0,
        };
        projection.update_point();
        projection
    }

    /// The current point of `U`.
    pub fn point(&self) -> &Array1<f64> {
        &self.point
    }

    /// `f(u) = Σ w (u − r)²` at the current point.
    pub fn value(&self) -> f64 {
        (0..self.point.len())
            .map(|t| self.weight[t] * (self.point[t] - self.target[t]).powi(2))
            .sum()
    }

    /// `∇f = 2 w (u − r)` at the current point.
    pub fn gradient(&self) -> Array1<f64> {
        2.0 * &self.weight * (&self.point - &self.target)
    }

    /// Asks the fleet for the vertex that the gradient wants.
    pub fn pass(&self) -> Pass {
        let gradient = self.gradient();
        let order = Permutation::maximising((-&gradient).view());
        let vertices = self.packed.group_vertices(&order);
        let vertex = vertices.sum_axis(ndarray::Axis(0));
        let frank_wolfe_gap = gradient.dot(&(&self.point - &vertex));
        Pass {
            order,
            vertices,
            vertex,
            frank_wolfe_gap,
        }
    }

    /// Lets every group in turn bring the vertex that the gradient wants at that moment, and moves
    /// to the best point of the known vertices after each; `false` once nothing improves any more.
    ///
    /// Costs as much as a pass, and is worth more: later groups know what earlier ones did.
    pub fn sweep(&mut self) -> bool {
        let mut helped = 0;
        for group in 0..self.pivots.len() {
            let gradient = self.gradient();
            let permutation = Permutation::maximising((-&gradient).view());
            let vertex = self.packed.group_vertex(&permutation, group);
            let (mut here, mut magnitude) = (0.0, 0.0_f64);
            for column in self.columns.iter().filter(|column| column.group == group) {
                let value = gradient.dot(&column.vertex);
                here += column.weight * value;
                magnitude = magnitude.max(value.abs());
            }
            if here - gradient.dot(&vertex) > ROUNDING * (1.0 + magnitude)
                && self.add(group, self.orders.len(), vertex)
            {
                self.orders.push(permutation);
                helped += 1;
            }
        }
        self.forget_unused_orders();
        let value = self.value();
        if value < self.lowest_value {
            self.lowest_value = value;
            self.idle_sweeps = 0;
        } else {
            self.idle_sweeps += 1;
        }
        helped > 0 && self.idle_sweeps < MAX_IDLE_SWEEPS
    }

    /// The convex combination behind the current point.
    pub fn mixture(&self) -> VertexMixture {
        let mut weights = Array2::zeros((self.orders.len(), self.pivots.len()));
        for column in &self.columns {
            weights[[column.order, column.group]] += column.weight;
        }
        VertexMixture::new(self.orders.clone(), weights)
    }

    fn difference(&self, column: &Column) -> Vec<f64> {
        let pivot = &self.columns[self.pivots[column.group]].vertex;
        (0..self.point.len())
            .map(|t| self.root_weight[t] * (column.vertex[t] - pivot[t]))
            .collect()
    }

    /// Adds a vertex and restores optimality over the known vertices; `false` if it cannot help.
    fn add(&mut self, group: usize, order: usize, vertex: Array1<f64>) -> bool {
        let column = Column {
            group,
            order,
            vertex,
            weight: 0.0,
        };
        if !self.qr.push(self.difference(&column)) {
            return false;
        }
        self.columns.push(column);
        self.free.push(self.columns.len() - 1);
        loop {
            let wanted = self.affine_minimiser();
            // Move towards the affine minimiser until the first weight reaches zero.
            let mut step = 1.0;
            let mut blocking = None;
            for (index, (column, &weight)) in self.columns.iter().zip(&wanted).enumerate() {
                if weight < 0.0 {
                    let limit = column.weight / (column.weight - weight);
                    if limit < step {
                        (step, blocking) = (limit, Some(index));
                    }
                }
            }
            for (column, &weight) in self.columns.iter_mut().zip(&wanted) {
                column.weight = (column.weight + step * (weight - column.weight)).max(0.0);
            }
            match blocking {
                Some(index) => self.drop_column(index),
                None => break,
            }
        }
        self.update_point();
        true
    }

    /// Weights of the best affine combination, per column.
    fn affine_minimiser(&self) -> Vec<f64> {
        let mut offset: Vec<f64> = self.target.iter().map(|target| -target).collect();
        for &pivot in &self.pivots {
            for (entry, value) in offset.iter_mut().zip(&self.columns[pivot].vertex) {
                *entry += value;
            }
        }
        for (entry, root_weight) in offset.iter_mut().zip(&self.root_weight) {
            *entry *= root_weight;
        }
        let mut weights = vec![0.0; self.columns.len()];
        for &pivot in &self.pivots {
            weights[pivot] = 1.0;
        }
        for (&column, z) in self.free.iter().zip(self.qr.least_squares(&offset)) {
            weights[column] = z;
            weights[self.pivots[self.columns[column].group]] -= z;
        }
        weights
    }

    /// Removes a column whose weight is zero.
    fn drop_column(&mut self, index: usize) {
        if let Some(position) = self.free.iter().position(|&column| column == index) {
            self.qr.remove(position);
            self.free.remove(position);
        } else {
            // A pivot goes: its group takes differences from its heaviest column from now on.
            let group = self.columns[index].group;
            let mut members = Vec::new();
            while let Some(position) = self
                .free
                .iter()
                .position(|&column| self.columns[column].group == group)
            {
                self.qr.remove(position);
                members.push(self.free.remove(position));
            }
            let heaviest = members
                .iter()
                .copied()
                .max_by(|&a, &b| self.columns[a].weight.total_cmp(&self.columns[b].weight));
            if let Some(heaviest) = heaviest {
                self.pivots[group] = heaviest;
                for member in members.into_iter().filter(|&member| member != heaviest) {
                    if self.qr.push(self.difference(&self.columns[member])) {
                        self.free.push(member);
                    } else {
                        // Dependent after the change of pivot, by rounding alone: its weight moves to the pivot.
                        let weight = std::mem::take(&mut self.columns[member].weight);
                        self.columns[heaviest].weight += weight;
                    }
                }
            } else {
                return; // the only column of its group stays, whatever rounding says
            }
        }
        self.columns[index].weight = 0.0;
        self.compact();
    }

    /// Removes the columns that nothing refers to any more.
    fn compact(&mut self) {
        let mut keep = vec![false; self.columns.len()];
        for &column in self.pivots.iter().chain(&self.free) {
            keep[column] = true;
        }
        let mut new_index = vec![usize::MAX; self.columns.len()];
        let mut next = 0;
        for (index, &kept) in keep.iter().enumerate() {
            if kept {
                new_index[index] = next;
                next += 1;
            }
        }
        let mut index = 0;
        self.columns.retain(|_| {
            index += 1;
            keep[index - 1]
        });
        for column in self.pivots.iter_mut().chain(&mut self.free) {
            *column = new_index[*column];
        }
    }

    fn forget_unused_orders(&mut self) {
        let mut new_index = vec![usize::MAX; self.orders.len()];
        let mut kept = Vec::new();
        for column in &mut self.columns {
            if new_index[column.order] == usize::MAX {
                new_index[column.order] = kept.len();
                kept.push(self.orders[column.order].clone());
            }
            column.order = new_index[column.order];
        }
        self.orders = kept;
    }

    fn update_point(&mut self) {
        // The weights of a group sum to one up to rounding; make it exact before they are used.
        let mut sums = vec![0.0; self.pivots.len()];
        for column in &self.columns {
            sums[column.group] += column.weight;
        }
        self.point.fill(0.0);
        for column in &mut self.columns {
            column.weight /= sums[column.group];
            self.point.scaled_add(column.weight, &column.vertex);
        }
    }
}

/// A gain below this share of the numbers it is computed from is rounding.
const ROUNDING: f64 = 1e-13;

/// The value is a square, so it stops falling while the point still gets better by up to the square
/// root of the rounding error; sweeps go on that long.
const MAX_IDLE_SWEEPS: usize = 30;
