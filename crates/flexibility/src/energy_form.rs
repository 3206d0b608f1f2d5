//! A vehicle's set over running sums of power: rows of one or two entries, and only what can move.

use evflex_polytope::{AhPolytope, HPolytope};
use ndarray::{Array1, Array2};

use crate::{
    error::Error,
    vehicle_set::{Bound, VehicleSet},
};

/// The running sum after a step: a number, or a coordinate and a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RunningSum {
    pub(crate) coordinate: Option<usize>,
    pub(crate) constant: f64,
}

/// A vehicle's set over running sums of power, without the coordinates that are fixed (the vehicle is away, or its energy is given)
/// and without rows that follow from others.
#[derive(Clone, Debug)]
pub(crate) struct EnergyForm {
    /// The running sum after every step.
    pub(crate) sums: Vec<RunningSum>,
    /// The step that every coordinate is the running sum of.
    pub(crate) steps: Vec<usize>,
    /// The set over powers, or its only point.
    pub(crate) set: Result<AhPolytope, Array1<f64>>,
}

impl EnergyForm {
    /// Directions that are at most `flat_kw` wide are fixed.
    pub(crate) fn new(set: &VehicleSet, flat_kw: f64) -> Result<Self, Error> {
        let steps = set.steps();
        let tight = set.tightened();
        let fixed = |low: f64, high: f64| high - low <= flat_kw;
        let mut sums = Vec::with_capacity(steps);
        let mut before = RunningSum {
            coordinate: None,
            constant: 0.0,
        };
        let mut steps_of = Vec::new();
        for t in 0..steps {
            let (low, high) = (tight.sum_min()[t], tight.sum_max()[t]);
            let (least, most) = (tight.power_min()[t], tight.power_max()[t]);
            before = if fixed(low, high) {
                RunningSum {
                    coordinate: None,
                    constant: f64::midpoint(low, high),
                }
            } else if fixed(least, most) {
                RunningSum {
                    coordinate: before.coordinate,
                    constant: before.constant + f64::midpoint(least, most),
                }
            } else {
                steps_of.push(t);
                RunningSum {
                    coordinate: Some(steps_of.len() - 1),
                    constant: 0.0,
                }
            };
            sums.push(before);
        }
        let coordinates = steps_of.len();
        // u = x̄ + X η.
        let mut centre = Array1::zeros(steps);
        let mut generators = Array2::zeros((steps, coordinates));
        let mut last = RunningSum {
            coordinate: None,
            constant: 0.0,
        };
        let needed = needed_rows(set);
        let mut rows: Vec<(Vec<(usize, f64)>, f64)> = Vec::new();
        let mut add = |terms: Vec<(usize, f64)>, offset: f64| {
            if terms.is_empty() {
                return;
            }
            match rows.iter_mut().find(|(known, _)| *known == terms) {
                Some((_, known)) => *known = known.min(offset),
                None => rows.push((terms, offset)),
            }
        };
        for (t, &sum) in sums.iter().enumerate() {
            let mut power: Vec<(usize, f64)> = Vec::new();
            if sum.coordinate != last.coordinate {
                power.extend(last.coordinate.map(|at| (at, -1.0)));
                power.extend(sum.coordinate.map(|at| (at, 1.0)));
            }
            let constant = sum.constant - last.constant;
            centre[t] = constant;
            for &(at, value) in &power {
                generators[[t, at]] = value;
            }
            let energy: Vec<(usize, f64)> =
                sum.coordinate.map(|at| (at, 1.0)).into_iter().collect();
            let minus = |terms: &[(usize, f64)]| terms.iter().map(|&(at, v)| (at, -v)).collect();
            if needed.sum_max[t] {
                add(energy.clone(), set.sum_max()[t] - sum.constant);
            }
            if needed.sum_min[t] {
                add(minus(&energy), sum.constant - set.sum_min()[t]);
            }
            if needed.power_max[t] {
                add(power.clone(), set.power_max()[t] - constant);
            }
            if needed.power_min[t] {
                add(minus(&power), constant - set.power_min()[t]);
            }
            last = sum;
        }
        let set = if coordinates == 0 {
            Err(centre)
        } else {
            let mut normals = Array2::zeros((rows.len(), coordinates));
            let mut offsets = Array1::zeros(rows.len());
            for (k, (terms, offset)) in rows.into_iter().enumerate() {
                for (at, value) in terms {
                    normals[[k, at]] = value;
                }
                offsets[k] = offset;
            }
            let base = HPolytope::new(normals, offsets)?;
            Ok(AhPolytope::new(centre, generators, base)?)
        };
        Ok(Self {
            sums,
            steps: steps_of,
            set,
        })
    }

    /// `{η : H η ≤ h}`; `None` when nothing can move.
    pub(crate) fn base(&self) -> Option<&HPolytope> {
        self.set.as_ref().ok().map(AhPolytope::base)
    }
}

/// Which bounds do not follow from the others, by step.
struct Needed {
    sum_max: Vec<bool>,
    sum_min: Vec<bool>,
    power_max: Vec<bool>,
    power_min: Vec<bool>,
}

/// Bounds are let go one after the other; one that the remaining ones keep is not needed.
fn needed_rows(set: &VehicleSet) -> Needed {
    let steps = set.steps();
    let mut rest = set.clone();
    let mut is_needed = |bound: Bound, t: usize| {
        let inside: Vec<bool> = (0..steps)
            .map(|s| match bound {
                Bound::SumMax | Bound::SumMin => s <= t,
                Bound::PowerMax | Bound::PowerMin => s == t,
            })
            .collect();
        let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
        let trial = rest.without(bound, t);
        let follows = match bound {
            Bound::SumMax => trial.set_functions(&inside).0 <= set.sum_max()[t],
            Bound::PowerMax => trial.set_functions(&inside).0 <= set.power_max()[t],
            Bound::SumMin => trial.set_functions(&outside).1 >= set.sum_min()[t],
            Bound::PowerMin => trial.set_functions(&outside).1 >= set.power_min()[t],
        };
        if follows {
            rest = trial;
        }
        !follows
    };
    let mut all = |bound: Bound| (0..steps).map(|t| is_needed(bound, t)).collect();
    Needed {
        sum_max: all(Bound::SumMax),
        sum_min: all(Bound::SumMin),
        power_max: all(Bound::PowerMax),
        power_min: all(Bound::PowerMin),
    }
}
