//! Random networks whose set has the origin inside and every layer at work.

use evflex_icnn::{Icnn, Layer, OutputLayer, Weights};
use ndarray::{Array1, Array2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// `depth` layers of `width` units over `steps` steps, box between 1 and 3 kW away, `f(0) = −1`.
pub fn random_network(rng: &mut ChaCha8Rng, steps: usize, depth: usize, width: usize) -> Icnn {
    let mut between = |low: f64, high: f64| rng.random_range(low..high);
    let layers: Vec<Layer> = (0..depth)
        .map(|i| Layer {
            input: Array2::from_shape_fn((width, steps), |_| between(-1.0, 1.0)),
            hidden: Array2::from_shape_fn((width, if i == 0 { 0 } else { width }), |_| {
                between(0.0, 0.5)
            }),
            bias: Array1::from_shape_fn(width, |_| between(-1.0, 0.3)),
        })
        .collect();
    let mut weights = Weights {
        layers,
        output: OutputLayer {
            input: Array1::from_shape_fn(steps, |_| between(-0.3, 0.3)),
            hidden: Array1::from_shape_fn(width, |_| between(0.1, 1.0)),
            bias: -1000.0,
        },
        lower: Array1::from_shape_fn(steps, |_| between(-3.0, -1.0)),
        upper: Array1::from_shape_fn(steps, |_| between(1.0, 3.0)),
    };
    let network = Icnn::new(weights.clone()).unwrap();
    let at_origin = network.evaluate(Array1::zeros(steps).view()).unwrap();
    weights.output.bias -= at_origin + 1.0;
    Icnn::new(weights).unwrap()
}
