//! The scheduling problem as data, checked once.

use crate::error::Error;
use crate::rule::{Activity, Level, Switching};
use evflex_fleet::TimeGrid;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One vehicle as a battery. Energies are levels of the battery in kWh at the end of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulingVehicle {
    /// Its name, unique within a problem.
    pub id: String,
    /// Level before the first step, kWh.
    pub initial_kwh: f64,
    /// Least level after the last step, kWh.
    pub final_min_kwh: f64,
    /// Least level after every step, kWh.
    pub minimum_kwh: f64,
    /// Largest level after every step, kWh.
    pub capacity_kwh: f64,
    /// Largest power drawn from the grid, kW.
    pub charge_max_kw: f64,
    /// Largest power fed into the grid, kW, not negative.
    pub discharge_max_kw: f64,
    /// One-way efficiency η: a kWh drawn stores η kWh, a kWh fed in takes 1/η kWh.
    #[serde(default = "one")]
    pub efficiency: f64,
    /// Share of each step that the vehicle is plugged in, between 0 and 1, which scales its powers; all of every step if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<Vec<f64>>,
    /// What the vehicle did in the steps before the first, oldest first: the switching rule remembers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Activity>,
}

fn one() -> f64 {
    1.0
}

impl SchedulingVehicle {
    /// A vehicle as in `agliardi2024`: 10 to 100 kWh, 10 kW both ways, no losses, always connected.
    #[must_use]
    pub fn paper(id: impl Into<String>, initial_kwh: f64, final_min_kwh: f64) -> Self {
        Self {
            id: id.into(),
            initial_kwh,
            final_min_kwh,
            minimum_kwh: 10.0,
            capacity_kwh: 100.0,
            charge_max_kw: 10.0,
            discharge_max_kw: 10.0,
            efficiency: 1.0,
            connected: None,
            past: Vec::new(),
        }
    }

    /// Share of a step that the vehicle is plugged in.
    #[must_use]
    pub fn share(&self, step: usize) -> f64 {
        self.connected
            .as_ref()
            .map_or(1.0, |shares| shares.get(step).copied().unwrap_or(0.0))
    }

    /// Change of the level in kWh when `energy_kwh` are drawn from the grid (negative: fed in).
    #[must_use]
    pub fn stored_kwh(&self, energy_kwh: f64) -> f64 {
        if energy_kwh >= 0.0 {
            energy_kwh * self.efficiency
        } else {
            energy_kwh / self.efficiency
        }
    }

    fn check(&self, index: usize, grid: &TimeGrid) -> Result<(), Error> {
        let name = || {
            if self.id.is_empty() {
                format!("vehicle number {index}")
            } else {
                format!("vehicle `{}`", self.id)
            }
        };
        let within = |what: &str, value: f64, rule: &'static str, holds: bool| {
            if value.is_finite() && holds {
                Ok(())
            } else {
                let what = format!("{what} of {}", name());
                Err(Error::OutOfRange { what, rule, value })
            }
        };
        let Self {
            initial_kwh,
            final_min_kwh,
            minimum_kwh,
            capacity_kwh,
            charge_max_kw,
            discharge_max_kw,
            efficiency,
            ..
        } = *self;
        within("minimum_kwh", minimum_kwh, "at least 0", minimum_kwh >= 0.0)?;
        within(
            "capacity_kwh",
            capacity_kwh,
            "at least minimum_kwh",
            capacity_kwh >= minimum_kwh,
        )?;
        let inside = "between minimum_kwh and capacity_kwh";
        within(
            "initial_kwh",
            initial_kwh,
            inside,
            (minimum_kwh..=capacity_kwh).contains(&initial_kwh),
        )?;
        let rule = "at most capacity_kwh, and not negative";
        within(
            "final_min_kwh",
            final_min_kwh,
            rule,
            (0.0..=capacity_kwh).contains(&final_min_kwh),
        )?;
        within(
            "charge_max_kw",
            charge_max_kw,
            "at least 0",
            charge_max_kw >= 0.0,
        )?;
        let rule = "at least 0 (it is the size of the power fed in)";
        within(
            "discharge_max_kw",
            discharge_max_kw,
            rule,
            discharge_max_kw >= 0.0,
        )?;
        let rule = "above 0 and at most 1";
        within(
            "efficiency",
            efficiency,
            rule,
            efficiency > 0.0 && efficiency <= 1.0,
        )?;
        if let Some(shares) = &self.connected {
            if shares.len() != grid.steps() {
                return Err(Error::Length {
                    what: format!("connected of {}", name()),
                    expected: grid.steps(),
                    found: shares.len(),
                });
            }
            for (step, &share) in shares.iter().enumerate() {
                let what = format!("connected[{step}]");
                within(
                    &what,
                    share,
                    "between 0 and 1",
                    (0.0..=1.0).contains(&share),
                )?;
            }
        }
        let hours: f64 = (0..grid.steps()).map(|k| self.share(k)).sum::<f64>() * grid.step_hours();
        let reachable_kwh = (initial_kwh + efficiency * charge_max_kw * hours).min(capacity_kwh);
        if final_min_kwh > reachable_kwh + SLACK_KWH {
            return Err(Error::ImpossibleVehicle {
                id: self.id.clone(),
                final_min_kwh,
                reachable_kwh,
            });
        }
        Ok(())
    }
}

/// Rounding of sums of a few hundred energies, kWh.
pub(crate) const SLACK_KWH: f64 = 1e-9;

/// A limit on the net power of some vehicles: `−discharge_limit ≤ Σ p ≤ charge_limit` in every step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Positions of its vehicles.
    pub vehicles: Vec<usize>,
    /// Largest net power drawn, kW; infinite for none.
    pub charge_limit_kw: f64,
    /// Largest net power fed in, kW, not negative; infinite for none.
    pub discharge_limit_kw: f64,
}

/// A V2G scheduling problem (`agliardi2024`, section II): what a fleet draws and feeds in, step by step, so that a
/// committed volume is delivered at the least cost.
///
/// With powers `p` (vehicles × steps, kW), `E_k = v_k + δ Σ_i p_ik` and the levels `s` of the batteries,
///
/// ```text
/// minimise   Σ_k  ρ_k max(0, E_k) − σ_k min(0, E_k)
/// subject to minimum_i ≤ s_ik ≤ capacity_i,  s_i,T−1 ≥ final_i,  −discharge_i ≤ p_ik ≤ charge_i,
///            limits on the net power of groups (from level 2), the switching rule (level 3).
/// ```
///
/// ```
/// use evflex_fleet::{Hours, TimeGrid};
/// use evflex_v2g::{SchedulingProblem, SchedulingVehicle};
/// use ndarray::array;
/// // Surplus first, shortage later: one vehicle carries 2.5 kWh over.
/// let problem = SchedulingProblem::builder(TimeGrid::new(2, Hours(0.25))?)
///     .price_eur_per_kwh(vec![0.05, 0.06])
///     .surplus_cost_eur_per_kwh(vec![0.02; 2])
///     .volume_kwh(vec![-3.0, 4.0])
///     .vehicle(SchedulingVehicle::paper("ev-0", 40.0, 40.0))
///     .build()?;
/// let cost = problem.cost_eur(array![[10.0, -10.0]].view())?;
/// assert!((cost - (0.5 * 0.02 + 1.5 * 0.06)).abs() < 1e-12);
/// # Ok::<(), evflex_v2g::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulingProblem {
    grid: TimeGrid,
    first_step: usize,
    vehicles: Vec<SchedulingVehicle>,
    price: Vec<f64>,
    surplus_cost: Vec<f64>,
    volume: Vec<f64>,
    groups: Vec<Group>,
    switching: Option<Switching>,
    level: Level,
    allow_concave: bool,
}

/// Collects a [`SchedulingProblem`]; [`build`](Self::build) checks it.
#[derive(Clone, Debug)]
pub struct SchedulingProblemBuilder {
    problem: SchedulingProblem,
}

impl SchedulingProblem {
    /// Starts a problem on `grid`. Without further calls: no vehicles, all prices, costs and volumes zero, no groups,
    /// no switching rule, level 3.
    #[must_use]
    pub fn builder(grid: TimeGrid) -> SchedulingProblemBuilder {
        let steps = grid.steps();
        SchedulingProblemBuilder {
            problem: Self {
                grid,
                first_step: 0,
                vehicles: Vec::new(),
                price: vec![0.0; steps],
                surplus_cost: vec![0.0; steps],
                volume: vec![0.0; steps],
                groups: Vec::new(),
                switching: None,
                level: Level::Three,
                allow_concave: false,
            },
        }
    }

    /// The same data as a builder, to change some of them.
    #[must_use]
    pub fn to_builder(&self) -> SchedulingProblemBuilder {
        SchedulingProblemBuilder {
            problem: self.clone(),
        }
    }

    /// The same data at another level.
    ///
    /// # Errors
    /// [`Error::NotAlike`] for level 0; [`Error::LimitTooSmall`] when limits begin to count.
    pub fn at_level(&self, level: Level) -> Result<Self, Error> {
        self.to_builder().level(level).build()
    }

    /// The time grid.
    #[must_use]
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// Number of steps T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.grid.steps()
    }

    /// Steps of the horizon that have passed before the first step; only rule D, which counts blocks, asks for it.
    #[must_use]
    pub fn first_step(&self) -> usize {
        self.first_step
    }

    /// The vehicles.
    #[must_use]
    pub fn vehicles(&self) -> &[SchedulingVehicle] {
        &self.vehicles
    }

    /// Price ρ per step, EUR/kWh.
    #[must_use]
    pub fn price_eur_per_kwh(&self) -> &[f64] {
        &self.price
    }

    /// Cost σ of energy that is left over, per step, EUR/kWh.
    #[must_use]
    pub fn surplus_cost_eur_per_kwh(&self) -> &[f64] {
        &self.surplus_cost
    }

    /// Volume v per step, kWh: positive is still to be delivered, negative is surplus.
    #[must_use]
    pub fn volume_kwh(&self) -> &[f64] {
        &self.volume
    }

    /// The groups as given, whether or not the level counts them.
    #[must_use]
    pub fn all_groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups whose limits count: none below level 2.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        if self.level >= Level::Two {
            &self.groups
        } else {
            &[]
        }
    }

    /// The switching rule as given, whether or not the level counts it.
    #[must_use]
    pub fn switching_as_given(&self) -> Option<Switching> {
        self.switching
    }

    /// The switching rule if it counts: `None` below level 3, and for a gap that forbids nothing.
    #[must_use]
    pub fn switching(&self) -> Option<Switching> {
        self.switching
            .filter(|rule| self.level == Level::Three && rule.is_active())
    }

    /// The level.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether `ρ_k + σ_k` may be negative, which makes the cost of that step concave.
    #[must_use]
    pub fn allows_concave(&self) -> bool {
        self.allow_concave
    }

    /// Whether some step has a concave cost, `ρ_k + σ_k < 0`.
    #[must_use]
    pub fn is_concave(&self) -> bool {
        (0..self.steps()).any(|k| self.price[k] + self.surplus_cost[k] < 0.0)
    }

    /// Cost of step `step` at the energy `E_k` bought (positive) or left over (negative), EUR.
    #[must_use]
    pub fn step_cost_eur(&self, step: usize, energy_kwh: f64) -> f64 {
        if energy_kwh >= 0.0 {
            self.price[step] * energy_kwh
        } else {
            -self.surplus_cost[step] * energy_kwh
        }
    }

    /// Energy `E_k = v_k + δ Σ_i p_ik` bought in every step, kWh; negative where energy is left over.
    ///
    /// # Errors
    /// [`Error::Length`] unless `power_kw` is vehicles × steps.
    pub fn energy_bought_kwh(&self, power_kw: ArrayView2<'_, f64>) -> Result<Vec<f64>, Error> {
        let shape = [
            ("rows of power_kw", self.vehicles.len(), power_kw.nrows()),
            ("columns of power_kw", self.steps(), power_kw.ncols()),
        ];
        for (what, expected, found) in shape {
            if expected != found {
                return Err(Error::Length {
                    what: what.to_owned(),
                    expected,
                    found,
                });
            }
        }
        let step_hours = self.grid.step_hours();
        Ok((0..self.steps())
            .map(|k| self.volume[k] + step_hours * power_kw.column(k).sum())
            .collect())
    }

    /// Cost of powers (vehicles × steps, kW), EUR, whether or not they are allowed.
    ///
    /// # Errors
    /// [`Error::Length`] unless `power_kw` is vehicles × steps.
    pub fn cost_eur(&self, power_kw: ArrayView2<'_, f64>) -> Result<f64, Error> {
        let energy = self.energy_bought_kwh(power_kw)?;
        Ok(energy
            .iter()
            .enumerate()
            .map(|(k, &energy)| self.step_cost_eur(k, energy))
            .sum())
    }

    /// The largest energy that vehicle `i` can draw (first) and feed in (second) in a step, kWh at the grid.
    pub(crate) fn step_energy(&self, vehicle: usize, step: usize) -> (f64, f64) {
        let v = &self.vehicles[vehicle];
        let hours = v.share(step) * self.grid.step_hours();
        (v.charge_max_kw * hours, v.discharge_max_kw * hours)
    }

    pub(crate) fn group_name(index: usize, count: usize) -> String {
        if count == 1 {
            "the group".to_owned()
        } else {
            format!("group {index}")
        }
    }
}

impl SchedulingProblemBuilder {
    /// Price ρ per step, EUR/kWh.
    #[must_use]
    pub fn price_eur_per_kwh(mut self, price: Vec<f64>) -> Self {
        self.problem.price = price;
        self
    }

    /// Cost σ of energy left over, per step, EUR/kWh.
    #[must_use]
    pub fn surplus_cost_eur_per_kwh(mut self, cost: Vec<f64>) -> Self {
        self.problem.surplus_cost = cost;
        self
    }

    /// Volume v per step, kWh.
    #[must_use]
    pub fn volume_kwh(mut self, volume: Vec<f64>) -> Self {
        self.problem.volume = volume;
        self
    }

    /// Adds a vehicle.
    #[must_use]
    pub fn vehicle(mut self, vehicle: SchedulingVehicle) -> Self {
        self.problem.vehicles.push(vehicle);
        self
    }

    /// Replaces all vehicles.
    #[must_use]
    pub fn vehicles(mut self, vehicles: Vec<SchedulingVehicle>) -> Self {
        self.problem.vehicles = vehicles;
        self
    }

    /// One limit on the net power of all vehicles, both ways.
    #[must_use]
    pub fn group_limit_kw(mut self, limit: f64) -> Self {
        self.problem.groups = vec![Group {
            vehicles: Vec::new(), // filled in by `build`: vehicles may be added later
            charge_limit_kw: limit,
            discharge_limit_kw: limit,
        }];
        self
    }

    /// Adds a group. One without vehicles has all of them.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.problem.groups.push(group);
        self
    }

    /// Replaces all groups.
    #[must_use]
    pub fn groups(mut self, groups: Vec<Group>) -> Self {
        self.problem.groups = groups;
        self
    }

    /// Sets the switching rule.
    #[must_use]
    pub fn switching(mut self, switching: Switching) -> Self {
        self.problem.switching = Some(switching);
        self
    }

    /// Sets how much of the problem counts.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.problem.level = level;
        self
    }

    /// Says how many steps of the horizon have passed before the first step.
    #[must_use]
    pub fn first_step(mut self, first_step: usize) -> Self {
        self.problem.first_step = first_step;
        self
    }

    /// Accepts steps with `ρ_k + σ_k < 0`. The mixed-integer program then has a binary for each of them, and bounds of
    /// the decomposition use the convex envelope of the cost.
    #[must_use]
    pub fn allow_concave(mut self, allow: bool) -> Self {
        self.problem.allow_concave = allow;
        self
    }

    /// Checks everything and returns the problem; nothing is checked later.
    ///
    /// # Errors
    /// The first of [`Error::Length`], [`Error::OutOfRange`], [`Error::Concave`], [`Error::NoVehicles`],
    /// [`Error::DuplicateId`], [`Error::ImpossibleVehicle`], [`Error::NotAlike`], [`Error::Overlap`],
    /// [`Error::LimitTooSmall`].
    pub fn build(self) -> Result<SchedulingProblem, Error> {
        let mut problem = self.problem;
        let steps = problem.grid.steps();
        for (what, values) in [
            ("price_eur_per_kwh", &problem.price),
            ("surplus_cost_eur_per_kwh", &problem.surplus_cost),
            ("volume_kwh", &problem.volume),
        ] {
            if values.len() != steps {
                return Err(Error::Length {
                    what: format!("{what} (one per step)"),
                    expected: steps,
                    found: values.len(),
                });
            }
            if let Some(step) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::OutOfRange {
                    what: format!("{what}[{step}]"),
                    rule: "a finite number",
                    value: values[step],
                });
            }
        }
        if !problem.allow_concave {
            for (step, (&price, &surplus_cost)) in
                problem.price.iter().zip(&problem.surplus_cost).enumerate()
            {
                if price + surplus_cost < 0.0 {
                    return Err(Error::Concave {
                        step,
                        price,
                        surplus_cost,
                        least: -price,
                    });
                }
            }
        }
        check_vehicles(&problem)?;
        for group in &mut problem.groups {
            if group.vehicles.is_empty() {
                group.vehicles = (0..problem.vehicles.len()).collect();
            }
        }
        check_groups(&problem)?;
        crate::envelope::check_limits(&problem)?;
        Ok(problem)
    }
}

fn check_vehicles(problem: &SchedulingProblem) -> Result<(), Error> {
    if problem.vehicles.is_empty() {
        return Err(Error::NoVehicles);
    }
    let mut seen = HashMap::with_capacity(problem.vehicles.len());
    for (index, vehicle) in problem.vehicles.iter().enumerate() {
        vehicle.check(index, &problem.grid)?;
        if let Some(first) = seen.insert(vehicle.id.as_str(), index) {
            return Err(Error::DuplicateId {
                id: vehicle.id.clone(),
                first,
                second: index,
            });
        }
    }
    if problem.level == Level::Zero {
        let first = &problem.vehicles[0];
        for other in &problem.vehicles[1..] {
            if let Some(what) = difference(first, other) {
                return Err(Error::NotAlike {
                    first: first.id.clone(),
                    second: other.id.clone(),
                    what,
                });
            }
        }
    }
    Ok(())
}

/// In what two vehicles differ, their names aside.
#[expect(clippy::float_cmp, reason = "alike means the same numbers")]
fn difference(a: &SchedulingVehicle, b: &SchedulingVehicle) -> Option<&'static str> {
    [
        ("initial_kwh", a.initial_kwh == b.initial_kwh),
        ("final_min_kwh", a.final_min_kwh == b.final_min_kwh),
        ("minimum_kwh", a.minimum_kwh == b.minimum_kwh),
        ("capacity_kwh", a.capacity_kwh == b.capacity_kwh),
        ("charge_max_kw", a.charge_max_kw == b.charge_max_kw),
        ("discharge_max_kw", a.discharge_max_kw == b.discharge_max_kw),
        ("efficiency", a.efficiency == b.efficiency),
        ("connected", a.connected == b.connected),
    ]
    .into_iter()
    .find(|(_, same)| !same)
    .map(|(what, _)| what)
}

fn check_groups(problem: &SchedulingProblem) -> Result<(), Error> {
    let count = problem.groups.len();
    let mut group_of: Vec<Option<usize>> = vec![None; problem.vehicles.len()];
    for (index, group) in problem.groups.iter().enumerate() {
        let name = SchedulingProblem::group_name(index, count);
        for (what, value) in [
            ("charge_limit_kw", group.charge_limit_kw),
            ("discharge_limit_kw", group.discharge_limit_kw),
        ] {
            if value.is_nan() || value < 0.0 {
                return Err(Error::OutOfRange {
                    what: format!("{what} of {name}"),
                    rule: "at least 0",
                    value,
                });
            }
        }
        for &vehicle in &group.vehicles {
            let Some(slot) = group_of.get_mut(vehicle) else {
                return Err(Error::UnknownVehicle {
                    group: name,
                    id: format!("number {vehicle}"),
                });
            };
            if let Some(first) = slot.replace(index) {
                return Err(Error::Overlap {
                    id: problem.vehicles[vehicle].id.clone(),
                    first: SchedulingProblem::group_name(first, count),
                    second: name,
                });
            }
        }
    }
    Ok(())
}
