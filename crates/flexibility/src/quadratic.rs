//! Convex quadratics over the aggregate set, by columns.
//!
//! Minimises, over `u` in `U = Σ_g U_g` (the groups `g` partition the fleet) and ray weights `z`,
//!
//! ```text
//! f(u, z) = c · u + e · z + (κ/2) Σ_t w_t (u_t + (R z)_t − r_t)²,     z_j ≥ 0, or free.
//! ```
//!
//! Without rays and linear costs this is the projection of `r` onto `U`: Wolfe's minimum-norm point
//! algorithm, extended in two ways. The point is a convex combination of vertices for every group by
//! itself, and the groups take turns: each asks the greedy algorithm for the vertex that the gradient
//! wants at that moment, and the weights of all known vertices become optimal again before the next
//! group asks. The answer needs about `T + groups` columns in all, hence few sweeps over the fleet.

use ndarray::{Array1, Array2};

use crate::{
    generalized_polymatroid::{PackedFleet, Permutation},
    mixture::VertexMixture,
    thin_qr::ThinQr,
};

/// A direction besides the fleet in which the point may move.
#[derive(Clone, Debug)]
pub(crate) struct Ray {
    pub direction: Array1<f64>,
    pub cost: f64,
    /// Whether its weight may be negative; such a ray is always in use.
    pub free: bool,
}

/// What a column of the current combination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A vertex of a group, for the permutation of that index.
    Vertex { group: usize, order: usize },
    /// The ray of that index.
    Ray(usize),
}

#[derive(Clone, Debug)]
struct Column {
    kind: Kind,
    vector: Array1<f64>,
    cost: f64,
    weight: f64,
}

/// One pass over the fleet: the vertex that a gradient asks for.
pub(crate) struct Pass {
    pub order: Permutation,
    /// Vertex of the fleet.
    pub vertex: Array1<f64>,
}

/// The problem, and the convex combination that is its best answer so far.
pub(crate) struct SeparableQuadratic<'a> {
    packed: &'a PackedFleet,
    price: Array1<f64>,
    curvature: f64,
    target: Array1<f64>,
    weight: Array1<f64>,
    root_weight: Array1<f64>,
    rays: Vec<Ray>,
    orders: Vec<Permutation>,
    columns: Vec<Column>,
    /// Column that the differences of each group are taken from.
    pivots: Vec<usize>,
    /// Columns of the factorisation, in its order.
    free: Vec<usize>,
    qr: ThinQr,
    point: Array1<f64>,
    /// `u + R z − r`
    residual: Array1<f64>,
    lowest_value: f64,
    /// Sweeps since the value last fell.
    idle_sweeps: usize,
}

impl<'a> SeparableQuadratic<'a> {
    /// `min Σ w (u − r)²`: no rays, no linear cost.
    pub fn projection(packed: &'a PackedFleet, target: Array1<f64>, weight: Array1<f64>) -> Self {
        let price = Array1::zeros(packed.steps);
        Self::new(packed, price, 2.0, target, weight, Vec::new())
    }

    /// Starts at the vertex that the gradient at `u = 0` asks for.
    pub fn new(
        packed: &'a PackedFleet,
        price: Array1<f64>,
        curvature: f64,
        target: Array1<f64>,
        weight: Array1<f64>,
        rays: Vec<Ray>,
    ) -> Self {
        let order = Permutation::maximising((curvature * &weight * &target - &price).view());
        let columns: Vec<Column> = packed
            .group_vertices(&order)
            .outer_iter()
            .enumerate()
            .map(|(group, vertex)| Column {
                kind: Kind::Vertex { group, order: 0 },
                vector: vertex.to_owned(),
                cost: price.dot(&vertex),
                weight: 1.0,
            })
            .collect();
        let mut quadratic = Self {
            packed,
            price,
            curvature,
            root_weight: weight.mapv(f64::sqrt),
            residual: -&target,
            target,
            weight,
            rays,
            orders: vec![order],
            pivots: (0..columns.len()).collect(),
            columns,
            free: Vec::new(),
            qr: ThinQr::default(),
            point: Array1::zeros(packed.steps),
            lowest_value: f64::INFINITY,
            idle_sweeps: 0,
        };
        quadratic.update_point();
        for ray in 0..quadratic.rays.len() {
            if quadratic.rays[ray].free {
                quadratic.enter(Kind::Ray(ray), quadratic.rays[ray].direction.clone());
            }
        }
        quadratic.admit_rays();
        quadratic
    }

    /// The current point of `U`.
    pub fn point(&self) -> &Array1<f64> {
        &self.point
    }

    /// `κ w (u + R z − r)`: the gradient of the quadratic part with respect to `u`.
    pub fn pull(&self) -> Array1<f64> {
        self.curvature * &self.weight * &self.residual
    }

    /// The gradient of `f` with respect to `u`.
    pub fn gradient(&self) -> Array1<f64> {
        &self.price + &self.pull()
    }

    /// `f` at the current point.
    pub fn value(&self) -> f64 {
        let linear: f64 = self
            .columns
            .iter()
            .map(|column| column.weight * column.cost)
            .sum();
        let square: f64 = (0..self.residual.len())
            .map(|t| self.weight[t] * self.residual[t].powi(2))
            .sum();
        linear + 0.5 * self.curvature * square
    }

    /// Asks the fleet for the vertex that the gradient wants.
    pub fn pass(&self) -> Pass {
        let order = Permutation::maximising((-self.gradient()).view());
        let vertex = self
            .packed
            .group_vertices(&order)
            .sum_axis(ndarray::Axis(0));
        Pass { order, vertex }
    }

    /// The vertex of the fleet that minimises `slope · u`.
    pub fn vertex_minimising(&self, slope: &Array1<f64>) -> Array1<f64> {
        self.packed
            .group_vertices(&Permutation::maximising((-slope).view()))
            .sum_axis(ndarray::Axis(0))
    }

    /// Moves the target and makes the weights of the known columns optimal again.
    pub fn set_target(&mut self, target: Array1<f64>, curvature: f64) {
        self.target = target;
        self.curvature = curvature;
        self.restore_optimality();
        self.admit_rays();
        self.lowest_value = f64::INFINITY;
        self.idle_sweeps = 0;
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
            for column in self
                .columns
                .iter()
                .filter(|column| column.group() == Some(group))
            {
                let value = gradient.dot(&column.vector);
                here += column.weight * value;
                magnitude = magnitude.max(value.abs());
            }
            let gain = here - gradient.dot(&vertex);
            let order = self.orders.len();
            if gain > ROUNDING * (1.0 + magnitude)
                && self.enter(Kind::Vertex { group, order }, vertex)
            {
                self.orders.push(permutation);
                self.admit_rays();
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
            if let Kind::Vertex { group, order } = column.kind {
                weights[[order, group]] += column.weight;
            }
        }
        VertexMixture::new(self.orders.clone(), weights)
    }

    /// Takes in the rays whose use lowers the value, until none does.
    fn admit_rays(&mut self) {
        for _ in 0..=2 * self.rays.len() {
            let pull = self.pull();
            let mut in_use = vec![false; self.rays.len()];
            for column in &self.columns {
                if let Kind::Ray(ray) = column.kind {
                    in_use[ray] = true;
                }
            }
            let reduced_cost = |ray: &Ray| ray.cost + pull.dot(&ray.direction);
            let best = (0..self.rays.len())
                .filter(|&ray| !in_use[ray])
                .map(|ray| (ray, reduced_cost(&self.rays[ray])))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let scale = pull
                .iter()
                .fold(0.0, |most, entry| f64::max(most, entry.abs()));
            match best {
                Some((ray, reduced_cost)) if reduced_cost < -1e-12 * scale => {
                    if !self.enter(Kind::Ray(ray), self.rays[ray].direction.clone()) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// What a unit of the column's weight adds to the scaled residual.
    fn scaled(&self, column: &Column) -> Vec<f64> {
        match column.group() {
            Some(group) => {
                let pivot = &self.columns[self.pivots[group]].vector;
                (0..self.point.len())
                    .map(|t| self.root_weight[t] * (column.vector[t] - pivot[t]))
                    .collect()
            }
            None => (0..self.point.len())
                .map(|t| self.root_weight[t] * column.vector[t])
                .collect(),
        }
    }

    /// What a unit of the column's weight adds to the linear cost.
    fn tilt(&self, column: &Column) -> f64 {
        column.cost
            - column
                .group()
                .map_or(0.0, |group| self.columns[self.pivots[group]].cost)
    }

    /// Adds a column and restores optimality over the known ones; `false` if it cannot help.
    fn enter(&mut self, kind: Kind, vector: Array1<f64>) -> bool {
        let cost = match kind {
            Kind::Vertex { .. } => self.price.dot(&vector),
            Kind::Ray(ray) => self.rays[ray].cost,
        };
        let column = Column {
            kind,
            vector,
            cost,
            weight: 0.0,
        };
        let scaled = self.scaled(&column);
        if self.qr.push(scaled.clone()) {
            self.columns.push(column);
            self.free.push(self.columns.len() - 1);
        } else if !self.slide(column, &scaled) {
            return false;
        }
        self.restore_optimality();
        true
    }

    /// A column that depends on the others can still help through the linear cost: moves along the
    /// direction that leaves the residual alone until a weight is used up, whose place it takes.
    fn slide(&mut self, column: Column, scaled: &[f64]) -> bool {
        let mut slope = self.tilt(&column);
        let mut direction = vec![0.0; self.columns.len()];
        if let Some(group) = column.group() {
            direction[self.pivots[group]] -= 1.0;
        }
        for (&index, z) in self.free.iter().zip(self.qr.least_squares(scaled, None)) {
            direction[index] += z;
            slope += z * self.tilt(&self.columns[index]);
            if let Some(group) = self.columns[index].group() {
                direction[self.pivots[group]] -= z;
            }
        }
        let linear: f64 = self
            .columns
            .iter()
            .zip(&direction)
            .map(|(column, step)| (column.cost * step).abs())
            .sum();
        if slope >= -1e-11 * (linear + column.cost.abs()) {
            return false;
        }
        let blocking = (0..self.columns.len())
            .filter(|&index| direction[index] < -1e-9 && !self.is_free(index))
            .map(|index| (index, self.columns[index].weight / -direction[index]))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((blocking, step)) = blocking else {
            return false;
        };
        for (column, change) in self.columns.iter_mut().zip(&direction) {
            column.weight += step * change;
        }
        for index in 0..self.columns.len() {
            if !self.is_free(index) {
                self.columns[index].weight = self.columns[index].weight.max(0.0);
            }
        }
        self.columns.push(Column {
            weight: step,
            ..column
        });
        self.release(blocking, Some(self.columns.len() - 1));
        true
    }

    fn is_free(&self, index: usize) -> bool {
        matches!(self.columns[index].kind, Kind::Ray(ray) if self.rays[ray].free)
    }

    /// Moves to the best combination of the known columns.
    fn restore_optimality(&mut self) {
        loop {
            let wanted = self.affine_minimiser();
            // Move towards the affine minimiser until the first weight reaches zero.
            let mut step = 1.0;
            let mut blocking = None;
            for (index, &weight) in wanted.iter().enumerate() {
                if weight < 0.0 && !self.is_free(index) {
                    let limit = self.columns[index].weight / (self.columns[index].weight - weight);
                    if limit < step {
                        (step, blocking) = (limit, Some(index));
                    }
                }
            }
            for (index, &weight) in wanted.iter().enumerate() {
                let moved =
                    self.columns[index].weight + step * (weight - self.columns[index].weight);
                self.columns[index].weight = if self.is_free(index) {
                    moved
                } else {
                    moved.max(0.0)
                };
            }
            match blocking {
                Some(index) => self.release(index, None),
                None => break,
            }
        }
        self.update_point();
    }

    /// Weights of the best affine combination, per column.
    fn affine_minimiser(&self) -> Vec<f64> {
        let mut offset: Vec<f64> = self.target.iter().map(|target| -target).collect();
        for &pivot in &self.pivots {
            for (entry, value) in offset.iter_mut().zip(&self.columns[pivot].vector) {
                *entry += value;
            }
        }
        for (entry, root_weight) in offset.iter_mut().zip(&self.root_weight) {
            *entry *= root_weight;
        }
        let tilt: Vec<f64> = self
            .free
            .iter()
            .map(|&index| self.tilt(&self.columns[index]) / self.curvature)
            .collect();
        let mut weights = vec![0.0; self.columns.len()];
        for &pivot in &self.pivots {
            weights[pivot] = 1.0;
        }
        for (&column, z) in self
            .free
            .iter()
            .zip(self.qr.least_squares(&offset, Some(&tilt)))
        {
            weights[column] = z;
            if let Some(group) = self.columns[column].group() {
                weights[self.pivots[group]] -= z;
            }
        }
        weights
    }

    /// Removes a column whose weight is zero; a column that waits for its place gets in.
    fn release(&mut self, index: usize, mut waiting: Option<usize>) {
        if let Some(position) = self.free.iter().position(|&column| column == index) {
            self.qr.remove(position);
            self.free.remove(position);
        } else if let Some(group) = self.columns[index].group() {
            // A pivot goes: its group takes differences from its heaviest column from now on.
            let mut members = Vec::new();
            while let Some(position) = self
                .free
                .iter()
                .position(|&column| self.columns[column].group() == Some(group))
            {
                self.qr.remove(position);
                members.push(self.free.remove(position));
            }
            members
                .extend(waiting.take_if(|waiting| self.columns[*waiting].group() == Some(group)));
            let heaviest = members
                .iter()
                .copied()
                .max_by(|&a, &b| self.columns[a].weight.total_cmp(&self.columns[b].weight));
            // Weights of a group sum to one, so its only column cannot have weight zero.
            if let Some(heaviest) = heaviest {
                self.pivots[group] = heaviest;
                for member in members.into_iter().filter(|&member| member != heaviest) {
                    self.readmit(member);
                }
            }
        }
        if let Some(waiting) = waiting {
            self.readmit(waiting);
        }
        self.compact();
    }

    /// Puts a column back into the factorisation. If rounding makes it depend on the others now,
    /// its weight moves to the pivot of its group (a ray's is lost), which only moves the point.
    fn readmit(&mut self, index: usize) {
        if self.qr.push(self.scaled(&self.columns[index])) {
            self.free.push(index);
        } else {
            let weight = std::mem::take(&mut self.columns[index].weight);
            if let Some(group) = self.columns[index].group() {
                self.columns[self.pivots[group]].weight += weight;
            }
        }
    }

    /// Removes the columns that nothing refers to any more.
    fn compact(&mut self) {
        let mut new_index = vec![usize::MAX; self.columns.len()];
        for &column in self.pivots.iter().chain(&self.free) {
            new_index[column] = 0;
        }
        let mut kept = 0;
        for index in &mut new_index {
            if *index == 0 {
                *index = kept;
                kept += 1;
            }
        }
        let mut index = 0;
        self.columns.retain(|_| {
            index += 1;
            new_index[index - 1] != usize::MAX
        });
        for column in self.pivots.iter_mut().chain(&mut self.free) {
            *column = new_index[*column];
        }
    }

    fn forget_unused_orders(&mut self) {
        let mut new_index = vec![usize::MAX; self.orders.len()];
        let mut kept = Vec::new();
        for column in &mut self.columns {
            if let Kind::Vertex { order, .. } = &mut column.kind {
                if new_index[*order] == usize::MAX {
                    new_index[*order] = kept.len();
                    kept.push(self.orders[*order].clone());
                }
                *order = new_index[*order];
            }
        }
        self.orders = kept;
    }

    fn update_point(&mut self) {
        // The weights of a group sum to one up to rounding; make it exact before they are used.
        let mut sums = vec![0.0; self.pivots.len()];
        for column in &self.columns {
            if let Some(group) = column.group() {
                sums[group] += column.weight;
            }
        }
        self.point.fill(0.0);
        self.residual.assign(&-&self.target);
        for column in &mut self.columns {
            if let Some(group) = column.group() {
                column.weight /= sums[group];
                self.point.scaled_add(column.weight, &column.vector);
            } else {
                self.residual.scaled_add(column.weight, &column.vector);
            }
        }
        self.residual += &self.point;
    }
}

impl Column {
    fn group(&self) -> Option<usize> {
        match self.kind {
            Kind::Vertex { group, .. } => Some(group),
            Kind::Ray(_) => None,
        }
    }
}

/// A gain below this share of the numbers it is computed from is rounding.
const ROUNDING: f64 = 1e-13;

/// The value is a square, so it stops falling while the point still gets better by up to the square
/// root of the rounding error; sweeps go on that long.
const MAX_IDLE_SWEEPS: usize = 30;
