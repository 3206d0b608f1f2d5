//! All parameters of a set in one row of numbers, as optimisers and checkpoints hold them.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1};

use crate::{
    error::{Error, check_count},
    form::{LinearForm, RowSource},
    network::{Icnn, Layer, OutputLayer, Weights},
};

/// A block of parameters of a learned set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Parameter {
    /// `W_i^(x)` of hidden layer i, row by row.
    InputWeights(usize),
    /// `W_i^(z)` of hidden layer i ≥ 1, row by row.
    HiddenWeights(usize),
    /// `b_i` of hidden layer i.
    Bias(usize),
    /// `W_k^(x)`.
    OutputInputWeights,
    /// `W_k^(z)`.
    OutputHiddenWeights,
    /// `b_k`.
    OutputBias,
    /// `p_lower`.
    Lower,
    /// `p_upper`.
    Upper,
    /// The centre Δ, moved with the set in place: the network is then seen from the new centre
    /// ([`Icnn::seen_from`]), so that only the point about which γ scales has changed.
    Centre,
}

/// Where each block of parameters lies in the row of all parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    blocks: Vec<(Parameter, Range<usize>)>,
    steps: usize,
    widths: Vec<usize>,
}

impl Layout {
    /// The layout of a network: layer by layer input weights, hidden weights, bias; then the output, the box, and the
    /// centre.
    #[must_use]
    pub fn of(network: &Icnn) -> Self {
        let steps = network.steps();
        let widths: Vec<usize> = network
            .weights()
            .layers
            .iter()
            .map(|layer| layer.bias.len())
            .collect();
        let mut blocks = Vec::new();
        let mut end = 0;
        let mut add = |parameter, count: usize| {
            blocks.push((parameter, end..end + count));
            end += count;
        };
        let mut before = 0;
        for (i, &width) in widths.iter().enumerate() {
            add(Parameter::InputWeights(i), width * steps);
            add(Parameter::HiddenWeights(i), width * before);
            add(Parameter::Bias(i), width);
            before = width;
        }
        add(Parameter::OutputInputWeights, steps);
        add(Parameter::OutputHiddenWeights, before);
        add(Parameter::OutputBias, 1);
        add(Parameter::Lower, steps);
        add(Parameter::Upper, steps);
        add(Parameter::Centre, steps);
        Self {
            blocks,
            steps,
            widths,
        }
    }

    /// The number of parameters, the centre included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |(_, range)| range.end)
    }

    /// Whether there are none, which checked networks do not have.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The blocks in order.
    #[must_use]
    pub fn blocks(&self) -> &[(Parameter, Range<usize>)] {
        &self.blocks
    }

    /// Where a block lies; empty if the network has no such block.
    #[must_use]
    pub fn range(&self, parameter: Parameter) -> Range<usize> {
        self.blocks
            .iter()
            .find(|(block, _)| *block == parameter)
            .map_or(0..0, |(_, range)| range.clone())
    }

    /// All parameters in a row.
    ///
    /// # Errors
    /// [`Error::Shape`] if network or centre have other shapes than this layout.
    pub fn flatten(&self, network: &Icnn, centre: ArrayView1<'_, f64>) -> Result<Vec<f64>, Error> {
        let weights = network.weights();
        check_count(
            || "hidden layers".into(),
            self.widths.len(),
            network.depth(),
        )?;
        let mut all = Vec::with_capacity(self.len());
        for layer in &weights.layers {
            all.extend(&layer.input);
            all.extend(&layer.hidden);
            all.extend(&layer.bias);
        }
        all.extend(&weights.output.input);
        all.extend(&weights.output.hidden);
        all.push(weights.output.bias);
        all.extend(&weights.lower);
        all.extend(&weights.upper);
        all.extend(&centre);
        check_count(|| "parameters".into(), self.len(), all.len())?;
        Ok(all)
    }

    /// The inverse of [`Layout::flatten`], unchecked weights and centre.
    ///
    /// # Errors
    /// [`Error::Shape`] for a wrong number of parameters.
    pub fn restore(&self, all: &[f64]) -> Result<(Weights, Array1<f64>), Error> {
        check_count(|| "parameters".into(), self.len(), all.len())?;
        let vector = |parameter| Array1::from(all[self.range(parameter)].to_vec());
        let matrix = |parameter, rows: usize| {
            let entries = all[self.range(parameter)].to_vec();
            let columns = entries.len() / rows.max(1);
            let found = entries.len();
            Array2::from_shape_vec((rows, columns), entries).map_err(|_| Error::Shape {
                what: format!("entries of {parameter:?}"),
                expected: rows * columns,
                found,
            })
        };
        let layers = self
            .widths
            .iter()
            .enumerate()
            .map(|(i, &width)| {
                Ok(Layer {
                    input: matrix(Parameter::InputWeights(i), width)?,
                    hidden: matrix(Parameter::HiddenWeights(i), width)?,
                    bias: vector(Parameter::Bias(i)),
                })
            })
            .collect::<Result<_, Error>>()?;
        let weights = Weights {
            layers,
            output: OutputLayer {
                input: vector(Parameter::OutputInputWeights),
                hidden: vector(Parameter::OutputHiddenWeights),
                bias: all[self.range(Parameter::OutputBias)].iter().sum(),
            },
            lower: vector(Parameter::Lower),
            upper: vector(Parameter::Upper),
        };
        Ok((weights, vector(Parameter::Centre)))
    }

    /// Adds `Σ_r λ_r ∂(row r of the form at v) / ∂ parameter` and the derivatives with respect to the box.
    ///
    /// Every row of a form reads `argument ≤ 0`, with the argument linear in its parameters: this is what the envelope
    /// theorem asks for, the multipliers of the rows and the optimal point.
    pub(crate) fn add_envelope(
        &self,
        total: &mut [f64],
        form: &LinearForm,
        envelope: &Envelope<'_>,
    ) {
        let steps = self.steps;
        for (slot, value) in self.range(Parameter::Lower).zip(envelope.lower) {
            total[slot] += envelope.factor * value;
        }
        for (slot, value) in self.range(Parameter::Upper).zip(envelope.upper) {
            total[slot] += envelope.factor * value;
        }
        let x = &envelope.point[..steps];
        let mut add_unit = |layer: usize, unit: usize, multiplier: f64, below: &[f64]| {
            total[self.range(Parameter::Bias(layer)).start + unit] += multiplier;
            let inputs = self.range(Parameter::InputWeights(layer)).start + unit * steps;
            for (entry, x) in total[inputs..inputs + steps].iter_mut().zip(x) {
                *entry += multiplier * x;
            }
            let hidden = self.range(Parameter::HiddenWeights(layer)).start + unit * below.len();
            for (entry, z) in total[hidden..].iter_mut().zip(below) {
                *entry += multiplier * z;
            }
        };
        match &form.source {
            RowSource::LastLayer { units } => {
                let layer = self.widths.len() - 1;
                for (&unit, &multiplier) in units.iter().zip(envelope.rows) {
                    if multiplier != 0.0 {
                        add_unit(layer, unit, envelope.factor * multiplier, &[]);
                    }
                }
            }
            RowSource::AllLayers => {
                let z = &envelope.point[steps..];
                let (mut row, mut before) = (0, 0);
                for (layer, &width) in self.widths.iter().enumerate() {
                    let below = &z[row - before..row];
                    for unit in 0..width {
                        let multiplier = envelope.rows[row + unit];
                        if multiplier != 0.0 {
                            add_unit(layer, unit, envelope.factor * multiplier, below);
                        }
                    }
                    row += width;
                    before = width;
                }
                let multiplier = envelope.factor * envelope.rows[row];
                let below = &z[row - before..row];
                for (slot, x) in self.range(Parameter::OutputInputWeights).zip(x) {
                    total[slot] += multiplier * x;
                }
                for (slot, z) in self.range(Parameter::OutputHiddenWeights).zip(below) {
                    total[slot] += multiplier * z;
                }
                total[self.range(Parameter::OutputBias).start] += multiplier;
            }
        }
    }
}

impl Layout {
    /// Adds derivatives with respect to the entries of a form: `of(row, Some(column))` by an entry of the matrix,
    /// `of(row, None)` by the bias of the row, which is minus its right-hand side.
    pub(crate) fn add_rows(
        &self,
        total: &mut [f64],
        form: &LinearForm,
        of: impl Fn(usize, Option<usize>) -> f64,
    ) {
        let steps = self.steps;
        let mut add_unit =
            |row: usize, bias: usize, inputs: usize, hidden: usize, below: Range<usize>| {
                total[bias] += of(row, None);
                for t in 0..steps {
                    total[inputs + t] += of(row, Some(t));
                }
                for (entry, column) in below.enumerate() {
                    total[hidden + entry] += of(row, Some(steps + column));
                }
            };
        match &form.source {
            RowSource::LastLayer { units } => {
                let layer = self.widths.len() - 1;
                let bias = self.range(Parameter::Bias(layer)).start;
                let inputs = self.range(Parameter::InputWeights(layer)).start;
                for (row, &unit) in units.iter().enumerate() {
                    add_unit(row, bias + unit, inputs + unit * steps, 0, 0..0);
                }
            }
            RowSource::AllLayers => {
                let (mut row, mut before) = (0, 0);
                for (layer, &width) in self.widths.iter().enumerate() {
                    let bias = self.range(Parameter::Bias(layer)).start;
                    let inputs = self.range(Parameter::InputWeights(layer)).start;
                    let hidden = self.range(Parameter::HiddenWeights(layer)).start;
                    for unit in 0..width {
                        let below = row - before..row;
                        add_unit(
                            row + unit,
                            bias + unit,
                            inputs + unit * steps,
                            hidden + unit * before,
                            below,
                        );
                    }
                    row += width;
                    before = width;
                }
                let bias = self.range(Parameter::OutputBias).start;
                let inputs = self.range(Parameter::OutputInputWeights).start;
                let hidden = self.range(Parameter::OutputHiddenWeights).start;
                add_unit(row, bias, inputs, hidden, row - before..row);
            }
        }
    }
}

/// What the envelope theorem needs of one optimum.
pub(crate) struct Envelope<'a> {
    /// A factor on everything.
    pub factor: f64,
    /// Multipliers of the rows, not negative.
    pub rows: &'a [f64],
    /// The optimal `(x, z)`.
    pub point: &'a [f64],
    /// Derivatives with respect to `p_lower`.
    pub lower: &'a [f64],
    /// Derivatives with respect to `p_upper`.
    pub upper: &'a [f64],
}
