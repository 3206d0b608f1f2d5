//! Input-convex networks as sets: weights, checks, evaluation, and the operations that keep them sets.

use ndarray::{Array1, Array2, ArrayView1};

use crate::error::{Error, check_count, check_finite, check_profile};

/// One hidden layer: `z_{i+1} = ReLU(W_i^(z) z_i + W_i^(x) x + b_i)` (`thanvantri2025`, eq. 5b).
///
/// | field | symbol | shape | unit |
/// |---|---|---|---|
/// | `input` | `W_i^(x)` | units × steps | 1 |
/// | `hidden` | `W_i^(z) ≥ 0` | units × units of the layer before | 1 |
/// | `bias` | `b_i` | units | kW |
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Weights on the input, `W_i^(x)` (in every layer, not only the first).
    pub input: Array2<f64>,
    /// Weights on the layer before, `W_i^(z)`; no columns in the first layer, where `z_0 = 0`.
    pub hidden: Array2<f64>,
    /// Bias `b_i`.
    pub bias: Array1<f64>,
}

/// The last layer: `f(x) = W_k^(z) z_k + W_k^(x) x + b_k` (`thanvantri2025`, eq. 5a).
#[derive(Clone, Debug, PartialEq)]
pub struct OutputLayer {
    /// Weights on the input, `W_k^(x)`, one per step.
    pub input: Array1<f64>,
    /// Weights on the last hidden layer, `W_k^(z) ≥ 0`.
    pub hidden: Array1<f64>,
    /// Bias `b_k`.
    pub bias: f64,
}

/// All weights of an [`Icnn`] as plain arrays; nothing is checked until they become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The hidden layers, first to last; their number is the depth k.
    pub layers: Vec<Layer>,
    /// The output.
    pub output: OutputLayer,
    /// `p_lower`, kW per step.
    pub lower: Array1<f64>,
    /// `p_upper`, kW per step.
    pub upper: Array1<f64>,
}

/// An input-convex network `f` with a box, as the set `F = {x : f(x) ≤ 0, p_lower ≤ x ≤ p_upper}`
/// (`thanvantri2025`, section 2.2), which contains the origin.
///
/// `f` is convex in `x` because `ReLU` is convex and rising and weights on hidden layers are not
/// negative. The set is a polytope: [`Icnn::ah_polytope`] writes it with linear inequalities.
/// Hidden layers may differ in width. Powers `x` are in kW, relative to the centre of the set.
///
/// ```
/// use evflex_icnn::{Icnn, Layer, OutputLayer, Weights};
/// use ndarray::{array, Array2};
///
/// // |x_0| + |x_1| ≤ 3 in the box [-2, 2]²: four units, each 1 wide around the origin.
/// let network = Icnn::new(Weights {
///     layers: vec![Layer {
///         input: array![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
///         hidden: Array2::zeros((4, 0)),
///         bias: array![0.0, 0.0, 0.0, 0.0],
///     }],
///     output: OutputLayer { input: array![0.0, 0.0], hidden: array![1.0, 1.0, 1.0, 1.0], bias: -3.0 },
///     lower: array![-2.0, -2.0],
///     upper: array![2.0, 2.0],
/// })?;
/// assert_eq!(network.evaluate(array![1.0, -1.5].view())?, -0.5);
/// assert!(network.contains(array![1.0, -1.5].view(), 0.0)?);
/// assert!(!network.contains(array![2.0, 1.5].view(), 0.0)?);
/// # Ok::<(), evflex_icnn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Icnn {
    weights: Weights,
}

/// Bounds on the arguments of the units of one layer over the box of the set, by interval arithmetic.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitBounds {
    /// Lower bounds of `W^(z) z + W^(x) x + b`.
    pub lower: Array1<f64>,
    /// Upper bounds.
    pub upper: Array1<f64>,
}

impl Icnn {
    /// Checks the weights once; everything later trusts them.
    ///
    /// # Errors
    /// [`Error::Nothing`] without layers, units or steps; [`Error::Shape`]; [`Error::NotFinite`];
    /// [`Error::NegativeWeight`] for a weight on a hidden layer; [`Error::Domain`] for a lower bound above 0
    /// or an upper bound below; [`Error::OriginOutside`] if `f(0) > 0`.
    pub fn new(weights: Weights) -> Result<Self, Error> {
        let steps = weights.lower.len();
        let nothing = |what: String| Err(Error::Nothing { what });
        if steps == 0 {
            return nothing("the box of the set".into());
        }
        if weights.layers.is_empty() {
            return nothing("the list of hidden layers".into());
        }
        let mut before = 0;
        for (i, layer) in weights.layers.iter().enumerate() {
            let units = layer.bias.len();
            if units == 0 {
                return nothing(format!("hidden layer {i}"));
            }
            let shape = |part: &'static str, axis: &'static str| {
                move || format!("{axis} of {part} weights of layer {i}")
            };
            check_count(shape("input", "rows"), units, layer.input.nrows())?;
            check_count(shape("input", "columns"), steps, layer.input.ncols())?;
            check_count(shape("hidden", "rows"), units, layer.hidden.nrows())?;
            check_count(shape("hidden", "columns"), before, layer.hidden.ncols())?;
            check_finite(|| format!("input weights of layer {i}"), &layer.input)?;
            check_finite(|| format!("hidden weights of layer {i}"), &layer.hidden)?;
            check_finite(|| format!("bias of layer {i}"), &layer.bias)?;
            not_negative(|| format!("hidden weights of layer {i}"), &layer.hidden)?;
            before = units;
        }
        let output = &weights.output;
        check_count(
            || "hidden weights of the output".into(),
            before,
            output.hidden.len(),
        )?;
        check_profile(
            "the input weights of the output",
            output.input.view(),
            steps,
        )?;
        check_finite(|| "hidden weights of the output".into(), &output.hidden)?;
        check_finite(|| "the bias of the output".into(), [&output.bias])?;
        not_negative(|| "hidden weights of the output".into(), &output.hidden)?;
        check_profile("the lower bounds", weights.lower.view(), steps)?;
        check_profile("the upper bounds", weights.upper.view(), steps)?;
        for t in 0..steps {
            let domain = |what: &str, value, domain| Error::Domain {
                what: format!("{what}[{t}]"),
                value,
                domain,
            };
            if weights.lower[t] > 0.0 {
                return Err(domain(
                    "the lower bounds",
                    weights.lower[t],
                    "0 or less, so that the set contains its centre",
                ));
            }
            if weights.upper[t] < 0.0 {
                return Err(domain(
                    "the upper bounds",
                    weights.upper[t],
                    "0 or more, so that the set contains its centre",
                ));
            }
        }
        let network = Self { weights };
        let value = network.value(Array1::zeros(steps).view());
        if value > 0.0 {
            return Err(Error::OriginOutside { value });
        }
        Ok(network)
    }

    /// Number of steps, T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.weights.lower.len()
    }

    /// Number of hidden layers, k.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.weights.layers.len()
    }

    /// Units of all hidden layers together.
    #[must_use]
    pub fn units(&self) -> usize {
        self.weights
            .layers
            .iter()
            .map(|layer| layer.bias.len())
            .sum()
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Gives the weights back.
    #[must_use]
    pub fn into_weights(self) -> Weights {
        self.weights
    }

    /// `f(x)` (`thanvantri2025`, eq. 5), without the box.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for a bad `x`.
    pub fn evaluate(&self, x: ArrayView1<'_, f64>) -> Result<f64, Error> {
        check_profile("the point", x, self.steps())?;
        Ok(self.value(x))
    }

    /// Whether `x` is in `F`, with `tolerance` kW of room in the box and as much in `f(x) ≤ 0`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for a bad `x`; [`Error::Domain`] for a negative tolerance.
    pub fn contains(&self, x: ArrayView1<'_, f64>, tolerance: f64) -> Result<bool, Error> {
        check_profile("the point", x, self.steps())?;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(Error::Domain {
                what: "the tolerance".into(),
                value: tolerance,
                domain: "a finite number that is not negative",
            });
        }
        let in_box = (0..self.steps()).all(|t| {
            x[t] >= self.weights.lower[t] - tolerance && x[t] <= self.weights.upper[t] + tolerance
        });
        Ok(in_box && self.value(x) <= tolerance)
    }

    /// The hidden layers `z_1, …, z_k` at `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for a bad `x`.
    pub fn activations(&self, x: ArrayView1<'_, f64>) -> Result<Vec<Array1<f64>>, Error> {
        check_profile("the point", x, self.steps())?;
        Ok(self.hidden(x))
    }

    fn hidden(&self, x: ArrayView1<'_, f64>) -> Vec<Array1<f64>> {
        let mut layers: Vec<Array1<f64>> = Vec::with_capacity(self.depth());
        for layer in &self.weights.layers {
            let mut z = layer.input.dot(&x) + &layer.bias;
            if let Some(before) = layers.last() {
                z += &layer.hidden.dot(before);
            }
            z.mapv_inplace(|argument| argument.max(0.0));
            layers.push(z);
        }
        layers
    }

    fn value(&self, x: ArrayView1<'_, f64>) -> f64 {
        let output = &self.weights.output;
        let last = self.hidden(x).pop().unwrap_or_default();
        output.hidden.dot(&last) + output.input.dot(&x) + output.bias
    }

    /// Bounds on the arguments of all units over the box, layer by layer.
    #[must_use]
    pub fn unit_bounds(&self) -> Vec<UnitBounds> {
        let mut bounds: Vec<UnitBounds> = Vec::with_capacity(self.depth());
        for layer in &self.weights.layers {
            let (mut lower, mut upper) = (layer.bias.clone(), layer.bias.clone());
            for (unit, row) in layer.input.rows().into_iter().enumerate() {
                for (t, &weight) in row.iter().enumerate() {
                    let (low, high) = (
                        weight * self.weights.lower[t],
                        weight * self.weights.upper[t],
                    );
                    lower[unit] += low.min(high);
                    upper[unit] += low.max(high);
                }
            }
            if let Some(before) = bounds.last() {
                lower += &layer.hidden.dot(&before.lower.mapv(|low| low.max(0.0)));
                upper += &layer.hidden.dot(&before.upper.mapv(|high| high.max(0.0)));
            }
            bounds.push(UnitBounds { lower, upper });
        }
        bounds
    }

    /// The network whose set is `γF`: `b_i ← γ b_i`, `p ← γ p` (`thanvantri2025`, section 4).
    ///
    /// # Errors
    /// [`Error::Domain`] unless `γ` is finite and positive.
    pub fn scaled(&self, gamma: f64) -> Result<Self, Error> {
        if !(gamma > 0.0 && gamma.is_finite()) {
            return Err(Error::Domain {
                what: "the scale".into(),
                value: gamma,
                domain: "a finite positive number",
            });
        }
        let mut weights = self.weights.clone();
        for layer in &mut weights.layers {
            layer.bias *= gamma;
        }
        weights.output.bias *= gamma;
        weights.lower *= gamma;
        weights.upper *= gamma;
        Self::new(weights)
    }

    /// The network whose set is `F − shift`: the same set seen from the centre `shift`.
    ///
    /// `b_i ← b_i + W_i^(x) shift`, `p ← p − shift`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::NotFinite`] for a bad shift; [`Error::OriginOutside`] or [`Error::Domain`]
    /// if `shift` is not in `F`.
    pub fn seen_from(&self, shift: ArrayView1<'_, f64>) -> Result<Self, Error> {
        check_profile("the new centre", shift, self.steps())?;
        let mut weights = self.weights.clone();
        weights.shift(shift);
        Self::new(weights)
    }
}

impl Weights {
    /// Sees the set from another centre; see [`Icnn::seen_from`].
    pub(crate) fn shift(&mut self, shift: ArrayView1<'_, f64>) {
        for layer in &mut self.layers {
            let moved = layer.input.dot(&shift);
            layer.bias += &moved;
        }
        self.output.bias += self.output.input.dot(&shift);
        self.lower -= &shift;
        self.upper -= &shift;
    }

    /// The nearest weights that make a convex network whose set has the origin well inside, for use after a
    /// step of an optimiser.
    ///
    /// - weights on hidden layers: at least 0 (`thanvantri2025`, section 2.2);
    /// - box: at least `margin` away from 0;
    /// - biases: where `f(0) ≤ 0` comes from units that are off at the origin (`b_k = 0`, the form of Appendix B), the
    ///   units that the output sees have an offset of at least `margin`; otherwise the last bias is lowered
    ///   until `f(0) ≤ −margin`.
    pub fn project(&mut self, margin: f64) {
        for layer in &mut self.layers {
            layer.hidden.mapv_inplace(|weight| weight.max(0.0));
        }
        self.output.hidden.mapv_inplace(|weight| weight.max(0.0));
        self.lower.mapv_inplace(|bound| bound.min(-margin));
        self.upper.mapv_inplace(|bound| bound.max(margin));
        // The arguments of the units at the origin.
        let mut before: Option<Array1<f64>> = None;
        let depth = self.layers.len();
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let from_below = match &before {
                Some(z) => layer.hidden.dot(z),
                None => Array1::zeros(layer.bias.len()),
            };
            if i + 1 == depth && self.output.bias == 0.0 {
                for (unit, bias) in layer.bias.iter_mut().enumerate() {
                    if self.output.hidden[unit] > 0.0 {
                        *bias = bias.min(-margin - from_below[unit]);
                    }
                }
            }
            before = Some((from_below + &layer.bias).mapv(|argument| argument.max(0.0)));
        }
        if self.output.bias != 0.0 {
            let hidden = before.map_or(0.0, |z| self.output.hidden.dot(&z));
            self.output.bias = self.output.bias.min(-margin - hidden);
        }
    }
}

fn not_negative<'a>(
    what: impl Fn() -> String,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<(), Error> {
    for (index, &value) in values.into_iter().enumerate() {
        if value < 0.0 {
            return Err(Error::NegativeWeight {
                what: format!("{}[{index}]", what()),
                value,
            });
        }
    }
    Ok(())
}
