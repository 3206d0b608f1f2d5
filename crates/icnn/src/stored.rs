//! The stored form of networks and their centres: plain nested arrays, checked again when they are read.

use ndarray::{Array1, Array2};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    error::Error,
    network::{Icnn, Layer, OutputLayer, Weights},
    start::Candidate,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLayer {
    input_weights: Vec<Vec<f64>>,
    /// Left out in the first layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hidden_weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredOutput {
    input_weights: Vec<f64>,
    hidden_weights: Vec<f64>,
    bias: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNetwork {
    layers: Vec<StoredLayer>,
    output: StoredOutput,
    power_min_kw: Vec<f64>,
    power_max_kw: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCandidate {
    center_kw: Vec<f64>,
    network: Icnn,
}

pub(crate) fn nested(matrix: &Array2<f64>) -> Vec<Vec<f64>> {
    matrix.rows().into_iter().map(|row| row.to_vec()).collect()
}

/// `rows` rows of equal length; an empty list stands for rows without columns.
fn matrix(what: &str, rows: usize, nested: Vec<Vec<f64>>) -> Result<Array2<f64>, Error> {
    if nested.is_empty() {
        return Ok(Array2::zeros((rows, 0)));
    }
    let columns = nested[0].len();
    if let Some((index, row)) = nested
        .iter()
        .enumerate()
        .find(|(_, row)| row.len() != columns)
    {
        return Err(Error::Shape {
            what: format!("entries of row {index} of {what}"),
            expected: columns,
            found: row.len(),
        });
    }
    let (count, found) = (nested.len(), nested.concat().len());
    Array2::from_shape_vec((count, columns), nested.concat()).map_err(|_| Error::Shape {
        what: format!("entries of {what}"),
        expected: count * columns,
        found,
    })
}

impl From<&Icnn> for StoredNetwork {
    fn from(network: &Icnn) -> Self {
        let weights = network.weights();
        Self {
            layers: weights
                .layers
                .iter()
                .enumerate()
                .map(|(i, layer)| StoredLayer {
                    input_weights: nested(&layer.input),
                    hidden_weights: if i == 0 {
                        Vec::new()
                    } else {
                        nested(&layer.hidden)
                    },
                    bias: layer.bias.to_vec(),
                })
                .collect(),
            output: StoredOutput {
                input_weights: weights.output.input.to_vec(),
                hidden_weights: weights.output.hidden.to_vec(),
                bias: weights.output.bias,
            },
            power_min_kw: weights.lower.to_vec(),
            power_max_kw: weights.upper.to_vec(),
        }
    }
}

impl TryFrom<StoredNetwork> for Icnn {
    type Error = Error;

    fn try_from(stored: StoredNetwork) -> Result<Self, Error> {
        let layers = stored
            .layers
            .into_iter()
            .enumerate()
            .map(|(i, layer)| {
                let units = layer.bias.len();
                Ok(Layer {
                    input: matrix(
                        &format!("input weights of layer {i}"),
                        units,
                        layer.input_weights,
                    )?,
                    hidden: matrix(
                        &format!("hidden weights of layer {i}"),
                        units,
                        layer.hidden_weights,
                    )?,
                    bias: layer.bias.into(),
                })
            })
            .collect::<Result<_, Error>>()?;
        Icnn::new(Weights {
            layers,
            output: OutputLayer {
                input: stored.output.input_weights.into(),
                hidden: stored.output.hidden_weights.into(),
                bias: stored.output.bias,
            },
            lower: stored.power_min_kw.into(),
            upper: stored.power_max_kw.into(),
        })
    }
}

impl Serialize for Icnn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StoredNetwork::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Icnn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(StoredNetwork::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Serialize for Candidate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StoredCandidate {
            center_kw: self.centre.to_vec(),
            network: self.network.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Candidate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredCandidate::deserialize(deserializer)?;
        Self::new(stored.network, Array1::from(stored.center_kw)).map_err(de::Error::custom)
    }
}
