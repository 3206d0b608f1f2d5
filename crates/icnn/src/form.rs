//! Sets of networks written with linear inequalities: Appendix A, and without hidden units where that is exact.

use evflex_flexibility::InnerPolytope;
use evflex_polytope::{AhPolytope, HPolytope};
use ndarray::{Array1, Array2, s};

use crate::{error::Error, network::Icnn};

/// `(A, C, d)` of `thanvantri2025`, Appendix A: `F = {A v : C v ≤ d}`, `v = (x, z_1, …, z_k)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SublevelMatrices {
    /// `A = (I 0 … 0)`, steps × (steps + units).
    pub selection: Array2<f64>,
    /// `C`, (2·units + 2·steps + 1) × (steps + units).
    pub matrix: Array2<f64>,
    /// `d`.
    pub offsets: Array1<f64>,
}

/// Where the rows of a [`LinearForm`] come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowSource {
    /// Row r is unit `units[r]` of the last hidden layer, without the units below it.
    LastLayer {
        /// The units that the output sees.
        units: Vec<usize>,
    },
    /// All units of all layers in order, then the output.
    AllLayers,
}

/// `F = {x : ∃ z, M (x, z) ≤ rhs, lower ≤ x ≤ upper, 0 ≤ z ≤ hidden_upper}`, without the rows that are bounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearForm {
    pub matrix: Array2<f64>,
    pub rhs: Array1<f64>,
    pub lower: Array1<f64>,
    pub upper: Array1<f64>,
    /// Values that hidden units do not exceed over the box.
    pub hidden_upper: Array1<f64>,
    pub source: RowSource,
}

impl LinearForm {
    pub fn steps(&self) -> usize {
        self.lower.len()
    }

    /// All units written out.
    pub fn lifted(network: &Icnn) -> Self {
        let weights = network.weights();
        let (steps, units) = (network.steps(), network.units());
        let mut matrix = Array2::zeros((units + 1, steps + units));
        let mut rhs = Array1::zeros(units + 1);
        let mut hidden_upper = Vec::with_capacity(units);
        for bounds in network.unit_bounds() {
            hidden_upper.extend(bounds.upper.iter().map(|high| high.max(0.0)));
        }
        let (mut row, mut before) = (0, 0);
        for layer in &weights.layers {
            let count = layer.bias.len();
            let rows = row..row + count;
            matrix
                .slice_mut(s![rows.clone(), ..steps])
                .assign(&layer.input);
            matrix
                .slice_mut(s![rows.clone(), steps + row - before..steps + row])
                .assign(&layer.hidden);
            for unit in rows.clone() {
                matrix[(unit, steps + unit)] = -1.0;
            }
            rhs.slice_mut(s![rows]).assign(&-&layer.bias);
            row += count;
            before = count;
        }
        matrix
            .slice_mut(s![units, ..steps])
            .assign(&weights.output.input);
        matrix
            .slice_mut(s![units, steps + units - before..])
            .assign(&weights.output.hidden);
        rhs[units] = -weights.output.bias;
        Self {
            matrix,
            rhs,
            lower: weights.lower.clone(),
            upper: weights.upper.clone(),
            hidden_upper: hidden_upper.into(),
            source: RowSource::AllLayers,
        }
    }

    /// Without hidden units, when the network is an H-polytope in its weights: see [`Icnn::h_polytope`].
    pub fn eliminated(network: &Icnn) -> Option<Self> {
        let weights = network.weights();
        let output = &weights.output;
        if output.bias != 0.0 || output.input.iter().any(|&weight| weight != 0.0) {
            return None;
        }
        let bounds = network.unit_bounds();
        let last = weights.layers.last()?;
        let units: Vec<usize> = (0..last.bias.len())
            .filter(|&unit| output.hidden[unit] > 0.0)
            .collect();
        if let [.., below, _] = bounds.as_slice() {
            let sees_live_units = units.iter().any(|&unit| {
                last.hidden
                    .row(unit)
                    .iter()
                    .zip(&below.upper)
                    .any(|(&weight, &high)| weight > 0.0 && high > 0.0)
            });
            if sees_live_units {
                return None;
            }
        }
        Some(Self {
            matrix: last.input.select(ndarray::Axis(0), &units),
            rhs: -last.bias.select(ndarray::Axis(0), &units),
            lower: weights.lower.clone(),
            upper: weights.upper.clone(),
            hidden_upper: Array1::zeros(0),
            source: RowSource::LastLayer { units },
        })
    }

    /// Without hidden units where that is exact, otherwise with them.
    pub fn shortest(network: &Icnn) -> Self {
        Self::eliminated(network).unwrap_or_else(|| Self::lifted(network))
    }

    /// The set as the exact sweep takes it: hidden units counted from their values at the origin, so that the origin
    /// satisfies every row.
    pub fn inner_polytope(&self, network: &Icnn) -> Result<InnerPolytope, Error> {
        let steps = self.steps();
        if self.source != RowSource::AllLayers {
            let (normals, offsets) = (self.matrix.clone(), self.rhs.clone());
            return Ok(InnerPolytope::new(
                normals,
                offsets,
                self.lower.clone(),
                self.upper.clone(),
            )?);
        }
        let at_origin: Array1<f64> = network
            .activations(Array1::zeros(steps).view())?
            .into_iter()
            .flatten()
            .collect();
        let used = self.matrix.slice(s![.., steps..]).dot(&at_origin);
        // 0 or more up to rounding, by the definition of the activations and `f(0) ≤ 0`.
        let offsets = (&self.rhs - &used).mapv(|offset| offset.max(0.0));
        let lower = self
            .lower
            .iter()
            .copied()
            .chain(at_origin.iter().map(|z| -z));
        let above = &self.hidden_upper - &at_origin;
        let upper = self
            .upper
            .iter()
            .copied()
            .chain(above.iter().map(|room| room.max(0.0)));
        Ok(InnerPolytope::lifted(
            steps,
            self.matrix.clone(),
            offsets,
            lower.collect(),
            upper.collect(),
        )?)
    }
}

impl Icnn {
    /// `(A, C, d)` with `F = {A v : C v ≤ d}`, `v = (x, z_1, …, z_k)`, for any depth and width
    /// (`thanvantri2025`, Appendix A): first the rows of the hidden layers, then `−z ≤ 0`, the output, the box from above and
    /// from below.
    #[must_use]
    pub fn sublevel_matrices(&self) -> SublevelMatrices {
        let form = LinearForm::lifted(self);
        let (steps, units) = (self.steps(), self.units());
        let columns = steps + units;
        let mut matrix = Array2::zeros((2 * units + 1 + 2 * steps, columns));
        let mut offsets = Array1::zeros(2 * units + 1 + 2 * steps);
        matrix
            .slice_mut(s![..units, ..])
            .assign(&form.matrix.slice(s![..units, ..]));
        offsets
            .slice_mut(s![..units])
            .assign(&form.rhs.slice(s![..units]));
        for unit in 0..units {
            matrix[(units + unit, steps + unit)] = -1.0;
        }
        matrix.row_mut(2 * units).assign(&form.matrix.row(units));
        offsets[2 * units] = form.rhs[units];
        for t in 0..steps {
            let (above, below) = (2 * units + 1 + t, 2 * units + 1 + steps + t);
            matrix[(above, t)] = 1.0;
            offsets[above] = form.upper[t];
            matrix[(below, t)] = -1.0;
            offsets[below] = -form.lower[t];
        }
        let mut selection = Array2::zeros((steps, columns));
        selection.diag_mut().fill(1.0);
        SublevelMatrices {
            selection,
            matrix,
            offsets,
        }
    }

    /// The set as the exact sweep of the flexibility crate takes it: without hidden units where [`Icnn::h_polytope`] is
    /// the same set, otherwise lifted, with the hidden units counted from their values at the origin.
    ///
    /// # Errors
    /// [`Error::Flexibility`], which checked weights do not cause.
    pub fn inner_polytope(&self) -> Result<InnerPolytope, Error> {
        LinearForm::shortest(self).inner_polytope(self)
    }

    /// The set `F` as a polytope with auxiliary coordinates, from [`Icnn::sublevel_matrices`].
    ///
    /// # Errors
    /// [`Error::Polytope`], which checked weights do not cause.
    pub fn ah_polytope(&self) -> Result<AhPolytope, Error> {
        let SublevelMatrices {
            selection,
            matrix,
            offsets,
        } = self.sublevel_matrices();
        let centre = Array1::zeros(self.steps());
        Ok(AhPolytope::new(
            centre,
            selection,
            HPolytope::new(matrix, offsets)?,
        )?)
    }

    /// The set `F` without auxiliary coordinates: `{x : W_{k−1}^(x) x ≤ −b_{k−1}, p_lower ≤ x ≤ p_upper}`, where that is
    /// the same set, or `None`.
    ///
    /// It is the same set when the output is `W_k^(z) z_k` alone (no input weights, bias 0), so that `f ≤ 0` says that
    /// every unit with a positive output weight is off, and when none of these units sees a unit of the layer
    /// below that can be on inside the box (always so for k = 1). Units with output weight 0 give no row. That is the form
    /// of Appendix B of `thanvantri2025`, for any depth. The rows of the box come last, upper before lower.
    ///
    /// # Errors
    /// [`Error::Polytope`], which checked weights do not cause.
    pub fn h_polytope(&self) -> Result<Option<HPolytope>, Error> {
        let Some(form) = LinearForm::eliminated(self) else {
            return Ok(None);
        };
        let (rows, steps) = form.matrix.dim();
        let mut normals = Array2::zeros((rows + 2 * steps, steps));
        let mut offsets = Array1::zeros(rows + 2 * steps);
        normals.slice_mut(s![..rows, ..]).assign(&form.matrix);
        offsets.slice_mut(s![..rows]).assign(&form.rhs);
        for t in 0..steps {
            normals[(rows + t, t)] = 1.0;
            offsets[rows + t] = form.upper[t];
            normals[(rows + steps + t, t)] = -1.0;
            offsets[rows + steps + t] = -form.lower[t];
        }
        Ok(Some(HPolytope::new(normals, offsets)?))
    }
}
