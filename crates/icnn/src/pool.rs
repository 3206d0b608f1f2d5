//! The γ that a pool of subsets allows, and its derivatives: what training asks for between complete sweeps.

use std::{collections::HashSet, sync::Arc};

use evflex_flexibility::{FleetPolymatroid, Side, SubsetDirection};
use ndarray::{Array1, ArrayView1};

use crate::{
    decision::support_bound,
    error::Error,
    form::LinearForm,
    layout::{Envelope, Layout, Parameter},
    simplex::{Optimum, Program, Simplex},
};

/// Subsets that a pool holds at most, besides all intervals.
const LARGEST_POOL: usize = 1000;
/// Subsets that one sweep brings in at most.
const MOST_NEW: usize = 500;
/// Weights of the mean gradient below this are left out.
const NEGLIGIBLE_WEIGHT: f64 = 1e-3;
/// Ratios closer than this share bind together.
const BINDING: f64 = 1e-9;

/// One direction `±1_S`.
#[derive(Clone, Debug)]
struct Member {
    direction: SubsetDirection,
    /// `±1_S` over the steps.
    indicator: Array1<f64>,
    /// `b(S)` or `−p(S)`: what `±u(S)` cannot exceed.
    most: f64,
    /// Multipliers of the rows when it was last solved; empty before.
    multipliers: Vec<f64>,
}

/// Directions with what is known of them.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
}

/// A direction solved.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    /// Weight in the mean gradient; weights add up to 1.
    pub weight: f64,
    pub ratio: f64,
    /// `h_F`.
    pub support: f64,
    pub room: f64,
    indicator: Array1<f64>,
    optimum: Optimum,
}

/// The γ of a pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolLimit {
    pub gamma: f64,
    pub terms: Vec<Term>,
    pub programs: usize,
    pub kink: bool,
}

impl Term {
    /// Adds `factor · dh_F/dθ`.
    pub fn add_support_gradient(
        &self,
        layout: &Layout,
        form: &LinearForm,
        factor: f64,
        total: &mut [f64],
    ) {
        // The program minimises −c · x, so h = −optimum; the rows' arguments rise with the biases, which lowers h.
        let bounds = &self.optimum.bound_multipliers[..form.steps()];
        let lower: Vec<f64> = bounds.iter().map(|(low, _)| *low).collect();
        let upper: Vec<f64> = bounds.iter().map(|(_, high)| *high).collect();
        let envelope = Envelope {
            factor: -factor,
            rows: &self.optimum.multipliers,
            point: &self.optimum.point,
            lower: &lower,
            upper: &upper,
        };
        layout.add_envelope(total, form, &envelope);
    }

    /// Adds `factor · d(room)/dΔ`, `−1_S` from above and `1_S` from below.
    pub fn add_room_gradient(&self, layout: &Layout, factor: f64, total: &mut [f64]) {
        for (slot, c) in layout.range(Parameter::Centre).zip(&self.indicator) {
            total[slot] -= factor * c;
        }
    }
}

impl PoolLimit {
    /// Adds `factor · dγ/dθ`: for one direction `γ = room / h`, so `dγ = −(γ/h) dh − (c · dΔ)/h`.
    pub fn add_gradient(&self, layout: &Layout, form: &LinearForm, factor: f64, total: &mut [f64]) {
        for term in &self.terms {
            let share = factor * term.weight / term.support;
            term.add_support_gradient(layout, form, -share * term.ratio, total);
            term.add_room_gradient(layout, share, total);
        }
    }
}

impl Pool {
    pub fn new(fleet: &FleetPolymatroid, directions: &[SubsetDirection]) -> Result<Self, Error> {
        let steps = fleet.steps();
        let members = directions
            .iter()
            .map(|&direction| {
                let subset = direction.subset(steps);
                let (a, b) = fleet.subset_bounds(&subset)?;
                let (sign, most) = match direction.side {
                    Side::Upper => (1.0, a.max(b)),
                    Side::Lower => (-1.0, -a.min(b)),
                };
                let mut indicator = Array1::zeros(steps);
                for t in subset {
                    indicator[t] = sign;
                }
                Ok(Member {
                    direction,
                    indicator,
                    most,
                    multipliers: Vec::new(),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { members })
    }

    /// All intervals, from above and below.
    pub fn intervals(steps: usize) -> Vec<SubsetDirection> {
        let mut directions = Vec::new();
        for from in 0..steps.min(32) {
            let mut position = 0_u32;
            for to in from..steps.min(32) {
                position |= 1 << (steps - 1 - to);
                for side in [Side::Upper, Side::Lower] {
                    directions.push(SubsetDirection { side, position });
                }
            }
        }
        directions
    }

    /// All intervals, the most limiting of the new directions, and as many of those known before as there is room for,
    /// each once.
    pub fn merged(
        steps: usize,
        new: &[SubsetDirection],
        before: &[SubsetDirection],
    ) -> Vec<SubsetDirection> {
        let mut seen = HashSet::new();
        let intervals = Self::intervals(steps);
        let largest = intervals.len() + LARGEST_POOL;
        intervals
            .iter()
            .chain(new.iter().take(MOST_NEW))
            .chain(before)
            .filter(|direction| seen.insert((direction.side == Side::Upper, direction.position)))
            .take(largest)
            .copied()
            .collect()
    }

    /// The smallest centre room `most − c · Δ` over the pool, kW.
    pub fn least_room(&self, centre: ArrayView1<'_, f64>) -> f64 {
        self.members
            .iter()
            .map(|member| member.most - member.indicator.dot(&centre))
            .fold(f64::INFINITY, f64::min)
    }

    /// γ over the pool, its gradient averaged over directions within about `smoothing` of it.
    ///
    /// Directions are solved from the most to the least limiting as far as earlier multipliers tell, until no
    /// other can come near.
    pub fn limit(
        &mut self,
        form: &LinearForm,
        centre: ArrayView1<'_, f64>,
        smoothing: f64,
    ) -> Result<PoolLimit, Error> {
        let window = if smoothing > 0.0 {
            smoothing * -f64::ln(NEGLIGIBLE_WEIGHT)
        } else {
            BINDING
        };
        let mut terms: Vec<Term> = Vec::new();
        let mut gamma = f64::INFINITY;
        let programs = self.solve_open(
            form,
            centre,
            |ratio| {
                gamma = f64::min(gamma, ratio);
                gamma * (1.0 + window)
            },
            &mut terms,
        )?;
        let reach = gamma * (1.0 + window);
        terms.retain(|term| term.ratio <= reach);
        if !gamma.is_finite() {
            return Err(evflex_flexibility::Error::UnboundedScaling.into());
        }
        let mut kink = terms.len() > 1;
        for term in &mut terms {
            kink |= term.optimum.degenerate;
            term.weight = if smoothing > 0.0 {
                f64::exp((1.0 - term.ratio / gamma) / smoothing)
            } else {
                f64::from(u8::from(term.ratio <= gamma))
            };
        }
        let total: f64 = terms.iter().map(|term| term.weight).sum();
        for term in &mut terms {
            term.weight /= total;
        }
        terms.retain(|term| term.weight > 0.0);
        Ok(PoolLimit {
            gamma,
            terms,
            programs,
            kink,
        })
    }

    /// Directions whose support value exceeds the room at scale 1.
    pub fn exceeded(
        &mut self,
        form: &LinearForm,
        centre: ArrayView1<'_, f64>,
    ) -> Result<(Vec<Term>, usize), Error> {
        let mut terms = Vec::new();
        let programs = self.solve_open(form, centre, |_| 1.0, &mut terms)?;
        terms.retain(|term| term.support > term.room);
        Ok((terms, programs))
    }

    /// Solves directions in the order of their bounds until the bound is beyond what `note` returns for the last ratio.
    fn solve_open(
        &mut self,
        form: &LinearForm,
        centre: ArrayView1<'_, f64>,
        mut note: impl FnMut(f64) -> f64,
        terms: &mut Vec<Term>,
    ) -> Result<usize, Error> {
        let (columns, steps) = (form.matrix.ncols(), form.steps());
        let mut order = Vec::with_capacity(self.members.len());
        for (index, member) in self.members.iter().enumerate() {
            let sum = member.indicator.dot(&centre);
            let room = member.most - sum;
            if room < -ROUNDING * (1.0 + member.most.abs() + sum.abs()) {
                return Err(evflex_flexibility::Error::CentreOutside {
                    steps: member.direction.subset(steps),
                    violation_kw: -room,
                }
                .into());
            }
            let bound = support_bound(form, member.indicator.view(), &member.multipliers);
            order.push((ratio(room.max(0.0), bound), index, room.max(0.0)));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let hidden = columns - steps;
        let program = Arc::new(Program::new(
            form.matrix.view(),
            form.lower
                .iter()
                .copied()
                .chain(vec![0.0; hidden])
                .collect(),
            form.upper
                .iter()
                .copied()
                .chain(vec![f64::INFINITY; hidden])
                .collect(),
        ));
        let mut simplex: Option<Simplex> = None;
        let (mut programs, mut reach) = (0, f64::INFINITY);
        for (least, index, room) in order {
            if least > reach {
                break;
            }
            let member = &mut self.members[index];
            let mut cost: Vec<f64> = member.indicator.iter().map(|c| -c).collect();
            cost.resize(columns, 0.0);
            let simplex = match &mut simplex {
                Some(simplex) => {
                    simplex.set_cost(&cost);
                    simplex
                }
                empty => empty.insert(Simplex::new(program.clone(), &cost, &form.rhs.to_vec())),
            };
            let optimum = simplex.solve()?;
            programs += 1;
            let support = member
                .indicator
                .dot(&ArrayView1::from(&optimum.point[..steps]));
            member.multipliers.clone_from(&optimum.multipliers);
            let ratio = ratio(room, support);
            reach = note(ratio);
            terms.push(Term {
                weight: 0.0,
                ratio,
                support,
                room,
                indicator: member.indicator.clone(),
                optimum,
            });
        }
        Ok(programs)
    }
}

/// Share of the size of a room below which a negative room is rounding.
const ROUNDING: f64 = 1e-12;

fn ratio(room: f64, support: f64) -> f64 {
    if support > 0.0 {
        room / support
    } else {
        f64::INFINITY
    }
}
