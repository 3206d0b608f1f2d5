//! What vehicles can have stored by when: the reachable envelope of each, and sums of them.

use crate::error::Error;
use crate::problem::SchedulingProblem;

/// Bounds on the level of a battery above its initial level after every step, kWh stored, that every schedule of the
/// vehicle satisfies whatever the switching rule.
pub(crate) struct Envelope {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
}

/// The envelope of one vehicle. Every level inside can be had at its step, and the final level after it.
pub(crate) fn vehicle_envelope(problem: &SchedulingProblem, vehicle: usize) -> Envelope {
    let v = &problem.vehicles()[vehicle];
    let steps = problem.steps();
    let mut lower = vec![0.0; steps];
    let mut upper = vec![0.0; steps];
    let (mut low, mut high) = (v.initial_kwh, v.initial_kwh);
    for k in 0..steps {
        let (charge, discharge) = problem.step_energy(vehicle, k);
        low = (low - discharge / v.efficiency).max(v.minimum_kwh);
        high = (high + charge * v.efficiency).min(v.capacity_kwh);
        (lower[k], upper[k]) = (low, high);
    }
    let mut need = v.final_min_kwh;
    for k in (0..steps).rev() {
        lower[k] = lower[k].max(need.min(upper[k]));
        need -= problem.step_energy(vehicle, k).0 * v.efficiency;
    }
    for k in 0..steps {
        lower[k] -= v.initial_kwh;
        upper[k] -= v.initial_kwh;
    }
    Envelope { lower, upper }
}

/// Refuses limits of groups under which the vehicles cannot have what they need, whatever the switching rule.
pub(crate) fn check_limits(problem: &SchedulingProblem) -> Result<(), Error> {
    let step_hours = problem.grid().step_hours();
    for (index, group) in problem.groups().iter().enumerate() {
        if group.charge_limit_kw.is_infinite() {
            continue;
        }
        let steps = problem.steps();
        let mut need = vec![0.0; steps];
        let mut room = vec![0.0; steps];
        let mut charge = vec![0.0; steps];
        let mut efficiency: f64 = 0.0;
        let mut size = 0.0;
        for &vehicle in &group.vehicles {
            let envelope = vehicle_envelope(problem, vehicle);
            efficiency = efficiency.max(problem.vehicles()[vehicle].efficiency);
            size += problem.vehicles()[vehicle].capacity_kwh;
            for k in 0..steps {
                need[k] += envelope.lower[k];
                room[k] += envelope.upper[k];
                charge[k] += problem.step_energy(vehicle, k).0;
            }
        }
        let mut available = 0.0;
        for k in 0..steps {
            let step = charge[k].min(group.charge_limit_kw * step_hours);
            available = room[k].min(available + efficiency * step);
            if need[k] > available + 1e-9 * (1.0 + size) {
                return Err(Error::LimitTooSmall {
                    group: SchedulingProblem::group_name(index, problem.groups().len()),
                    step: k,
                    needed_kwh: need[k] / efficiency,
                    available_kwh: available / efficiency,
                });
            }
        }
    }
    Ok(())
}
