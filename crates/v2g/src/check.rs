//! The judge of schedules. Everything is restated here from the text of the rules; nothing of the optimisers is used,
//! so that a mistake of theirs is not repeated.

use crate::error::Error;
use crate::problem::SchedulingProblem;
use crate::rule::{Activity, SwitchRule, Switching};
use ndarray::ArrayView2;
use serde::Serialize;
use std::fmt;

/// Default tolerance of [`check_schedule`], in kW for powers and in kWh for levels.
pub const DEFAULT_TOLERANCE: f64 = 1e-6;

/// A rule that a schedule breaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Violation {
    /// A power beyond what the vehicle can.
    Power {
        /// The vehicle.
        vehicle: String,
        /// The step.
        step: usize,
        /// The power, kW.
        power_kw: f64,
        /// By how much it is too large, kW.
        excess_kw: f64,
    },
    /// A level outside the battery.
    Level {
        /// The vehicle.
        vehicle: String,
        /// The step after which the level is wrong.
        step: usize,
        /// The level, kWh.
        level_kwh: f64,
        /// By how much it is outside, kWh.
        excess_kwh: f64,
    },
    /// A final level that is too low.
    Final {
        /// The vehicle.
        vehicle: String,
        /// The level after the last step, kWh.
        level_kwh: f64,
        /// What is missing, kWh.
        missing_kwh: f64,
    },
    /// A group beyond its limit.
    Group {
        /// Position of the group.
        group: usize,
        /// The step.
        step: usize,
        /// Net power of the group, kW.
        power_kw: f64,
        /// By how much it is too large, kW.
        excess_kw: f64,
    },
    /// A vehicle that switches too often.
    Switching {
        /// The vehicle.
        vehicle: String,
        /// The rule.
        rule: SwitchRule,
        /// The step by which it has switched too often.
        step: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Power {
                vehicle,
                step,
                power_kw,
                excess_kw,
            } => write!(
                f,
                "vehicle `{vehicle}`, step {step}: {power_kw} kW is {excess_kw} kW more than it can"
            ),
            Self::Level {
                vehicle,
                step,
                level_kwh,
                excess_kwh,
            } => write!(
                f,
                "vehicle `{vehicle}`, step {step}: level {level_kwh} kWh is outside by {excess_kwh} kWh"
            ),
            Self::Final {
                vehicle,
                level_kwh,
                missing_kwh,
            } => write!(
                f,
                "vehicle `{vehicle}`: final level {level_kwh} kWh is {missing_kwh} kWh too low"
            ),
            Self::Group {
                group,
                step,
                power_kw,
                excess_kw,
            } => write!(
                f,
                "group {group}, step {step}: {power_kw} kW is {excess_kw} kW beyond its limit"
            ),
            Self::Switching {
                vehicle,
                rule,
                step,
            } => write!(
                f,
                "vehicle `{vehicle}`, step {step}: switches too often for rule {}",
                rule.letter()
            ),
        }
    }
}

/// What [`check_schedule`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleReport {
    /// Cost of the schedule, EUR, by the definition.
    pub cost_eur: f64,
    /// Energy bought per step, kWh; negative where it is left over.
    pub energy_bought_kwh: Vec<f64>,
    /// Every rule that is broken by more than the tolerance.
    pub violations: Vec<Violation>,
}

impl ScheduleReport {
    /// Whether no rule is broken.
    #[must_use]
    pub fn is_feasible(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Judges powers (vehicles × steps, kW) by the rules of the problem, at its level: powers, levels of the batteries,
/// final levels, limits of groups, switching. `tolerance` is in kW for powers and in kWh for levels; a vehicle whose
/// power is within it of zero is idle.
///
/// ```
/// use evflex_fleet::{Hours, TimeGrid};
/// use evflex_v2g::{SchedulingProblem, SchedulingVehicle, check_schedule};
/// use ndarray::array;
/// let problem = SchedulingProblem::builder(TimeGrid::new(2, Hours(0.25))?)
///     .vehicle(SchedulingVehicle::paper("ev-0", 40.0, 44.0))
///     .build()?;
/// assert!(check_schedule(&problem, array![[10.0, 6.0]].view(), 1e-6)?.is_feasible());
/// let report = check_schedule(&problem, array![[10.0, 4.0]].view(), 1e-6)?;
/// assert_eq!(report.violations[0].to_string(), "vehicle `ev-0`: final level 43.5 kWh is 0.5 kWh too low");
/// # Ok::<(), evflex_v2g::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] unless `power_kw` is vehicles × steps; [`Error::OutOfRange`] for a tolerance or a power that is
/// no finite number, or a negative tolerance.
pub fn check_schedule(
    problem: &SchedulingProblem,
    power_kw: ArrayView2<'_, f64>,
    tolerance: f64,
) -> Result<ScheduleReport, Error> {
    if !(tolerance.is_finite() && tolerance >= 0.0) {
        return Err(Error::OutOfRange {
            what: "the tolerance of the check".to_owned(),
            rule: "a finite number, at least 0",
            value: tolerance,
        });
    }
    let energy_bought_kwh = problem.energy_bought_kwh(power_kw)?;
    if let Some(((vehicle, step), &value)) = power_kw.indexed_iter().find(|(_, p)| !p.is_finite()) {
        return Err(Error::OutOfRange {
            what: format!(
                "power of vehicle `{}` in step {step}",
                problem.vehicles()[vehicle].id
            ),
            rule: "a finite number",
            value,
        });
    }
    let mut violations = Vec::new();
    for row in 0..power_kw.nrows() {
        check_vehicle(problem, row, power_kw, tolerance, &mut violations);
    }
    for (index, group) in problem.groups().iter().enumerate() {
        for step in 0..problem.steps() {
            let net: f64 = group.vehicles.iter().map(|&i| power_kw[[i, step]]).sum();
            let excess = (net - group.charge_limit_kw).max(-net - group.discharge_limit_kw);
            if excess > tolerance {
                violations.push(Violation::Group {
                    group: index,
                    step,
                    power_kw: net,
                    excess_kw: excess,
                });
            }
        }
    }
    let price = problem.price_eur_per_kwh();
    let surplus_cost = problem.surplus_cost_eur_per_kwh();
    let cost_eur = energy_bought_kwh
        .iter()
        .enumerate()
        .map(|(k, energy)| price[k] * energy.max(0.0) - surplus_cost[k] * energy.min(0.0))
        .sum();
    Ok(ScheduleReport {
        cost_eur,
        energy_bought_kwh,
        violations,
    })
}

fn check_vehicle(
    problem: &SchedulingProblem,
    row: usize,
    power_kw: ArrayView2<'_, f64>,
    tolerance: f64,
    violations: &mut Vec<Violation>,
) {
    let vehicle = &problem.vehicles()[row];
    let hours = problem.grid().step_hours();
    let mut level = vehicle.initial_kwh;
    let mut activities = vehicle.past.clone();
    for step in 0..problem.steps() {
        let power = power_kw[[row, step]];
        let share = vehicle
            .connected
            .as_ref()
            .map_or(1.0, |shares| shares[step]);
        let excess =
            (power - share * vehicle.charge_max_kw).max(-power - share * vehicle.discharge_max_kw);
        if excess > tolerance {
            violations.push(Violation::Power {
                vehicle: vehicle.id.clone(),
                step,
                power_kw: power,
                excess_kw: excess,
            });
        }
        level += if power > 0.0 {
            power * hours * vehicle.efficiency
        } else {
            power * hours / vehicle.efficiency
        };
        let excess = (level - vehicle.capacity_kwh).max(vehicle.minimum_kwh - level);
        if excess > tolerance {
            violations.push(Violation::Level {
                vehicle: vehicle.id.clone(),
                step,
                level_kwh: level,
                excess_kwh: excess,
            });
        }
        activities.push(Activity::of_power(power, tolerance));
    }
    let missing = vehicle.final_min_kwh - level;
    if missing > tolerance {
        violations.push(Violation::Final {
            vehicle: vehicle.id.clone(),
            level_kwh: level,
            missing_kwh: missing,
        });
    }
    if let Some(switching) = problem.switching() {
        let past = vehicle.past.len();
        // Blocks of rule D are counted from the start of the horizon; the past of a vehicle reaches back from the
        // first step.
        if let Err(at) = judge(switching, &activities, problem.first_step(), past) {
            violations.push(Violation::Switching {
                vehicle: vehicle.id.clone(),
                rule: switching.rule,
                step: at.saturating_sub(past),
            });
        }
    }
}

/// Whether a sequence of activities obeys a switching rule, from the start of a horizon.
///
/// ```
/// use evflex_v2g::{Activity, SwitchRule, Switching, switching_allows};
/// let rule = |rule| Switching { rule, gap_steps: 4 };
/// let sequence = Activity::sequence("CIIIDC").unwrap();
/// assert!(switching_allows(rule(SwitchRule::TwoMode), &sequence)); // the mode changed while idle
/// assert!(!switching_allows(rule(SwitchRule::FirstActivity), &sequence));
/// assert!(!switching_allows(rule(SwitchRule::CoolingOff), &sequence));
/// ```
#[must_use]
pub fn switching_allows(switching: Switching, sequence: &[Activity]) -> bool {
    judge(switching, sequence, 0, 0).is_ok()
}

/// Judges a sequence whose entry `past` is step `first_step` of the horizon; the error is the position that breaks
/// the rule.
///
/// Between two active steps j < k of opposite directions, with nothing but idle steps between them, there is one
/// switch, at some step of j+1..=k for a vehicle that may change its mode while idle. Earliest is best, because the
/// next switch only has to be late enough.
fn judge(
    switching: Switching,
    sequence: &[Activity],
    first_step: usize,
    past: usize,
) -> Result<(), usize> {
    let gap = switching.gap_steps;
    if gap <= 1 {
        return Ok(());
    }
    // Positions counted so that blocks of rule D start at multiples of the gap. What lies before the horizon is
    // shifted by whole blocks.
    let shift = (first_step + past.div_ceil(gap) * gap) - past;
    let mut active: Option<(usize, Activity)> = None;
    let mut last_switch: Option<usize> = None;
    for (position, &activity) in sequence.iter().enumerate() {
        if activity == Activity::Idle {
            continue;
        }
        if let Some((before, direction)) = active
            && direction != activity
        {
            let date = match switching.rule {
                SwitchRule::TwoMode => {
                    last_switch.map_or(before + 1, |last| (before + 1).max(last + gap))
                }
                SwitchRule::FirstActivity => {
                    if last_switch.is_some_and(|last| position < last + gap) {
                        return Err(position);
                    }
                    position
                }
                SwitchRule::CoolingOff => before + gap, // the first step that may be active again
                SwitchRule::ClockHour => last_switch.map_or(before + 1, |last| {
                    let next_block = ((last + shift) / gap + 1) * gap - shift;
                    (before + 1).max(next_block)
                }),
            };
            if date > position {
                return Err(position);
            }
            last_switch = Some(date);
        }
        active = Some((position, activity));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rule: SwitchRule, gap_steps: usize, text: &str) -> bool {
        let sequence = Activity::sequence(text).expect("letters");
        switching_allows(Switching { rule, gap_steps }, &sequence)
    }

    #[test]
    fn blocks_of_the_clock() {
        // A switch in the last step of a block and one in the first of the next are two blocks.
        assert!(allowed(SwitchRule::ClockHour, 4, "CCCDCC"));
        assert!(!allowed(SwitchRule::ClockHour, 4, "CDC"));
        assert!(!allowed(SwitchRule::ClockHour, 4, "CCCCDCII"));
        assert!(allowed(SwitchRule::ClockHour, 4, "CIIIDCII")); // the first while idle, in block 0
        assert!(allowed(SwitchRule::ClockHour, 1, "CDCDCD"));
    }

    #[test]
    fn the_past_counts() {
        let rule = |rule| Switching { rule, gap_steps: 4 };
        let sequence = Activity::sequence("CDC").expect("letters");
        assert_eq!(judge(rule(SwitchRule::TwoMode), &sequence, 7, 2), Err(2));
        // Steps 5, 6 and 7 are one block; steps 6, 7 and 8 are two.
        assert_eq!(judge(rule(SwitchRule::ClockHour), &sequence, 7, 2), Err(2));
        assert_eq!(judge(rule(SwitchRule::ClockHour), &sequence, 8, 2), Ok(()));
    }
}
