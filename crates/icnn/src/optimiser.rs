//! The optimisers, in double precision: burn's Adam and `AdamW` over one row of parameters.
//!
//! Gradients come from multipliers of linear programs, so nothing is differentiated automatically here; the
//! tensors live for one step, and what an optimiser remembers is kept as plain numbers.

use burn::optim::{
    AdamConfig, AdamState, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer,
};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{error::Error, settings::Optimiser};

/// What Adam and `AdamW` remember.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Moments {
    /// Steps taken.
    pub steps: usize,
    /// Moving mean of the gradient.
    pub first: Vec<f64>,
    /// Moving mean of its square.
    pub second: Vec<f64>,
}

fn tensor(values: &[f64], device: &Device) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, (device, DType::F64))
}

fn numbers(tensor: Tensor<1>) -> Result<Vec<f64>, Error> {
    if tensor.dtype() != DType::F64 {
        return Err(Error::Device {
            reason: format!("a tensor came back as {:?}", tensor.dtype()),
        });
    }
    tensor
        .into_data()
        .try_to_vec()
        .map_err(|error| Error::Device {
            reason: format!("{error:?}"),
        })
}

/// One step: the new parameters, and `moments` brought up to date.
pub(crate) fn step(
    optimiser: Optimiser,
    learning_rate: f64,
    parameters: &[f64],
    gradient: &[f64],
    moments: &mut Option<Moments>,
) -> Result<Vec<f64>, Error> {
    let device = Device::flex();
    let (now, slope) = (tensor(parameters, &device), tensor(gradient, &device));
    let before = moments.take().map(|moments| AdaptiveMomentumState {
        time: moments.steps,
        moment_1: tensor(&moments.first, &device),
        moment_2: tensor(&moments.second, &device),
        max_moment_2: None,
    });
    let (after, momentum) = match optimiser {
        Optimiser::Adam => {
            let adam = AdamConfig::new().with_epsilon(EPSILON).build();
            let state = before.map(|momentum| AdamState { momentum });
            let (after, state) = adam.step(learning_rate, now, slope, state);
            (after, state.map(|state| state.momentum))
        }
        Optimiser::AdamW { weight_decay } => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the optimiser takes single precision here"
            )]
            let decay = weight_decay as f32;
            let adam = AdamWConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(decay)
                .build();
            let state = before.map(|momentum| AdamWState { momentum });
            let (after, state) = adam.step(learning_rate, now, slope, state);
            (after, state.map(|state| state.momentum))
        }
    };
    if let Some(momentum) = momentum {
        *moments = Some(Moments {
            steps: momentum.time,
            first: numbers(momentum.moment_1)?,
            second: numbers(momentum.moment_2)?,
        });
    }
    numbers(after)
}

/// What keeps Adam from dividing by zero; gradients here are of order 1e-3 to 1.
const EPSILON: f32 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the recursion of Adam written out.
    #[test]
    fn steps_are_those_of_adam() {
        let (b1, b2) = (f64::from(0.9_f32), f64::from(0.999_f32));
        let (mut x, mut m, mut v) = ([1.0, -2.0], [0.0; 2], [0.0; 2]);
        let mut ours = vec![1.0, -2.0];
        let mut moments = None;
        for k in 1..=20_i32 {
            let slope = [2.0 * x[0], x[1] - 0.1 * f64::from(k)];
            let of_ours = [2.0 * ours[0], ours[1] - 0.1 * f64::from(k)];
            ours = step(Optimiser::Adam, 0.05, &ours, &of_ours, &mut moments).unwrap();
            for i in 0..2 {
                m[i] = b1 * m[i] + (1.0 - b1) * slope[i];
                v[i] = b2 * v[i] + (1.0 - b2) * slope[i] * slope[i];
                let corrected = (m[i] / (1.0 - b1.powi(k)), v[i] / (1.0 - b2.powi(k)));
                x[i] -= 0.05 * corrected.0 / (f64::sqrt(corrected.1) + 1e-8);
            }
            // The optimiser computes 1 − β and 1 − βᵏ in single precision.
            assert!((x[0] - ours[0]).abs() < 1e-5 && (x[1] - ours[1]).abs() < 1e-5);
        }
        assert_eq!(moments.unwrap().steps, 20);
    }

    /// Values that single precision cannot hold survive.
    #[test]
    fn numbers_stay_double() {
        let exact = 1.0 + 2.0_f64.powi(-40);
        let after = step(Optimiser::Adam, 0.0, &[exact], &[1e-30], &mut None).unwrap();
        assert!((after[0] - exact).abs() == 0.0);
    }
}
