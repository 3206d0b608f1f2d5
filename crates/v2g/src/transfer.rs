//! The best powers for fixed modes: a minimum-cost flow, improved from any schedule until no transfer pays.
//!
//! A *transfer* draws more in one step and less in another with the same vehicle. Chains of transfers by different vehicles
//! link two steps whose marginal costs differ; when no chain with a gain is left, the powers are optimal for their modes
//! (the residual network of the flow has no negative cycle: all costs sit at the market, so that every cycle is a chain
//! between two market steps). For lossy vehicles only transfers between steps of the same direction are used.

#![expect(
    clippy::float_cmp,
    reason = "efficiencies are copied, not computed: the same or not"
)]

use crate::automaton::{Automaton, Direction};
use crate::market::{KINK_KWH, Market};
use crate::problem::SchedulingProblem;
use crate::rule::{Activity, SwitchRule};

/// Energies below this are no energy, kWh.
const NOTHING_KWH: f64 = 1e-9;
/// Rounding of levels that is let pass, kWh.
const MISSED_KWH: f64 = 1e-7;
/// Sizes of transfers that are looked for, one after the other, as shares of the largest step of a vehicle.
const SIZES: [f64; 4] = [0.2, 0.02, 1e-4, 1e-8];
/// Beyond a limit, energy costs this many times the price scale.
const OVERLOAD: f64 = 1e3;
/// Chains after which a schedule is as good as it gets, per vehicle and in all.
const MOST_CHAINS: (usize, usize) = (40, 4000);

/// One vehicle's part of the flow.
struct Battery {
    energies: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    /// Room below and above the level after each step, kWh stored; the last entry below counts the final level.
    below: Vec<f64>,
    above: Vec<f64>,
    efficiency: f64,
}

impl Battery {
    fn add(&mut self, step: usize, energy: f64) {
        let stored = |x: f64| {
            if x > 0.0 {
                x * self.efficiency
            } else {
                x / self.efficiency
            }
        };
        let change = stored(self.energies[step] + energy) - stored(self.energies[step]);
        self.energies[step] += energy;
        for k in step..self.energies.len() {
            self.below[k] += change;
            self.above[k] -= change;
        }
    }

    /// How much more can be drawn at the grid in a step, and the factor from there to the battery; for lossy vehicles
    /// within the direction.
    fn more(&self, step: usize) -> (f64, f64) {
        let x = self.energies[step];
        let room = self.high[step] - x;
        if self.efficiency == 1.0 {
            (room, 1.0)
        } else if x >= 0.0 {
            (room, self.efficiency)
        } else {
            (room.min(-x), 1.0 / self.efficiency)
        }
    }

    fn less(&self, step: usize) -> (f64, f64) {
        let x = self.energies[step];
        let room = x - self.low[step];
        if self.efficiency == 1.0 {
            (room, 1.0)
        } else if x > 0.0 {
            (room.min(x), self.efficiency)
        } else {
            (room, 1.0 / self.efficiency)
        }
    }

    /// Calls `visit(more, less, energy)` for every transfer: `energy` kWh more in step `more`, less in step `less`. The step
    /// after the last stands for the level that is left at the end.
    fn transfers(&self, mut visit: impl FnMut(usize, usize, f64)) {
        let steps = self.energies.len();
        for from in 0..steps {
            // Energy moves through the battery from step `from` on: what is drawn in `from` and not later, or later and not
            // in `from`.
            let (more, more_factor) = self.more(from);
            let (less, less_factor) = self.less(from);
            let (mut above, mut below) = (f64::INFINITY, f64::INFINITY);
            for to in from + 1..=steps {
                above = above.min(self.above[to - 1]);
                below = below.min(self.below[to - 1]);
                if above <= NOTHING_KWH && below <= NOTHING_KWH {
                    break;
                }
                if to == steps {
                    visit(from, to, more.min(above / more_factor));
                    visit(to, from, less.min(below / less_factor));
                    continue;
                }
                let (later_less, factor) = self.less(to);
                if factor == more_factor {
                    visit(from, to, more.min(later_less).min(above / factor));
                }
                let (later_more, factor) = self.more(to);
                if factor == less_factor {
                    visit(to, from, less.min(later_more).min(below / factor));
                }
            }
        }
    }
}

/// Arcs of one price list: the vehicle that can transfer most, for every pair of steps.
struct Arcs {
    nodes: usize,
    /// Row: the step that draws more; column: the step that draws less. The last of both is the end.
    best: Vec<Arc>,
    members: Vec<u32>,
}

/// What a vehicle can transfer now.
#[derive(Clone, Copy, Debug, Default)]
struct Arc {
    energy: f64,
    vehicle: u32,
    /// Another vehicle may be able to transfer more.
    stale: bool,
}

impl Arcs {
    /// The vehicle of an arc of at least `least`. A stale arc that is too small is looked up again.
    fn over(&mut self, batteries: &[Battery], more: usize, less: usize, least: f64) -> Option<u32> {
        let index = more * self.nodes + less;
        let arc = &mut self.best[index];
        if arc.energy < least && arc.stale {
            let mut best = Arc::default();
            for (count, &vehicle) in self.members.iter().enumerate() {
                let energy = batteries[vehicle as usize].transfer(more, less);
                if energy > best.energy {
                    best = Arc {
                        energy,
                        vehicle,
                        stale: false,
                    };
                    // Not all of a large fleet is asked when one is good enough.
                    if count > ENOUGH && energy >= 10.0 * least {
                        best.stale = true;
                        break;
                    }
                }
            }
            *arc = best;
        }
        (arc.energy >= least).then_some(arc.vehicle)
    }
}

/// Vehicles that are asked before the first good one is taken.
const ENOUGH: usize = 100;

/// Powers that are improved in place.
pub(crate) struct Flow<'a> {
    market: &'a Market,
    batteries: Vec<Battery>,
    arcs: Vec<Arcs>,
    drawn: Vec<Vec<f64>>,
    bought: Vec<f64>,
    largest_step: f64,
}

/// A chain of transfers: source node, vehicles and nodes on the way.
struct Chain {
    gain: f64,
    /// (price list, step) from the node that draws more to the node that draws less; `None` is the end of the horizon.
    nodes: Vec<Option<(usize, usize)>>,
    /// The vehicle of each link; `None` changes the list within a step.
    links: Vec<Option<u32>>,
}

impl<'a> Flow<'a> {
    /// Fixes the modes of schedules (energies at the grid, vehicle by vehicle) as late as the rule allows. `None` if a
    /// schedule breaks the rule.
    pub fn new(
        problem: &SchedulingProblem,
        market: &'a Market,
        automaton: &Automaton,
        schedules: Vec<Vec<f64>>,
    ) -> Option<Self> {
        let steps = market.steps;
        let mut largest_step: f64 = 0.0;
        let mut drawn = vec![vec![0.0; steps]; market.lists];
        let mut batteries = Vec::with_capacity(schedules.len());
        for (index, energies) in schedules.into_iter().enumerate() {
            let vehicle = &problem.vehicles()[index];
            let (low, high) = bounds(problem, automaton, index, &energies)?;
            let mut level = vehicle.initial_kwh;
            let mut below = Vec::with_capacity(steps);
            let mut above = Vec::with_capacity(steps);
            for (k, &energy) in energies.iter().enumerate() {
                level += vehicle.stored_kwh(energy);
                let least = if k + 1 == steps {
                    vehicle.minimum_kwh.max(vehicle.final_min_kwh)
                } else {
                    vehicle.minimum_kwh
                };
                below.push(level - least);
                above.push(vehicle.capacity_kwh - level);
                largest_step = largest_step.max(high[k].max(-low[k]));
                drawn[market.list_of[index]][k] += energy;
            }
            batteries.push(Battery {
                energies,
                low,
                high,
                below,
                above,
                efficiency: vehicle.efficiency,
            });
        }
        let nodes = steps + 1;
        let mut arcs: Vec<Arcs> = (0..market.lists)
            .map(|_| Arcs {
                nodes,
                best: vec![Arc::default(); nodes * nodes],
                members: Vec::new(),
            })
            .collect();
        for (index, (battery, &list)) in batteries.iter().zip(&market.list_of).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "fewer vehicles than 2^32")]
            let index = index as u32;
            let arcs = &mut arcs[list];
            arcs.members.push(index);
            battery.transfers(|more, less, energy| {
                let best = &mut arcs.best[more * nodes + less];
                if energy > best.energy {
                    (best.energy, best.vehicle) = (energy, index);
                }
            });
        }
        let bought = (0..steps)
            .map(|k| market.volume[k] + drawn.iter().map(|list| list[k]).sum::<f64>())
            .collect();
        Some(Self {
            market,
            batteries,
            arcs,
            drawn,
            bought,
            largest_step,
        })
    }

    /// Improves until no chain pays; answers with prices that prove it, list by list, and the schedules.
    pub fn solve(mut self) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let most = (MOST_CHAINS.0 * self.batteries.len()).max(MOST_CHAINS.1);
        let mut chains = 0;
        'sizes: for size in SIZES {
            let least = (size * self.largest_step).max(NOTHING_KWH);
            while let Some(chain) = self.best_chain(least) {
                self.follow(&chain);
                chains += 1;
                if chains >= most {
                    tracing::debug!(chains, "transfers stopped before they were optimal");
                    break 'sizes;
                }
            }
        }
        let prices = self.prices();
        let schedules = self
            .batteries
            .into_iter()
            .map(|battery| battery.energies)
            .collect();
        (prices, schedules)
    }

    fn node_count(&self) -> usize {
        self.market.lists * self.market.steps
    }

    fn node(&self, index: usize) -> (usize, usize) {
        (index / self.market.steps, index % self.market.steps)
    }

    /// Marginal cost of drawing more at a node; infinite at a limit.
    fn cost_of_more(&self, list: usize, step: usize, least: f64) -> f64 {
        let (drawn, market) = (self.drawn[list][step], self.market);
        if drawn > market.upper[list][step] - least {
            return f64::INFINITY;
        }
        let relief = if drawn < market.lower[list][step] - KINK_KWH {
            OVERLOAD * market.price_scale()
        } else {
            0.0
        };
        market.slopes(step, self.bought[step]).1 - relief
    }

    /// What drawing less at a node saves; minus infinity at a limit.
    fn worth_of_less(&self, list: usize, step: usize, least: f64) -> f64 {
        let (drawn, market) = (self.drawn[list][step], self.market);
        if drawn < market.lower[list][step] + least {
            return f64::NEG_INFINITY;
        }
        let relief = if drawn > market.upper[list][step] + KINK_KWH {
            OVERLOAD * market.price_scale()
        } else {
            0.0
        };
        market.slopes(step, self.bought[step]).0 + relief
    }

    /// Labels every node with the cheapest source that reaches it over links of at least `least`, the end last. Answers
    /// with (source cost, previous node, vehicle) per node.
    fn labels(&mut self, least: f64) -> Vec<Option<Label>> {
        let count = self.node_count();
        let end = count;
        let mut sources: Vec<(f64, usize)> = (0..count)
            .map(|node| {
                let (list, step) = self.node(node);
                (self.cost_of_more(list, step, least.min(KINK_KWH)), node)
            })
            .filter(|source| source.0 < f64::INFINITY)
            .collect();
        sources.push((0.0, end));
        sources.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut labels: Vec<Option<Label>> = vec![None; count + 1];
        let mut queue = Vec::with_capacity(count + 1);
        let steps = self.market.steps;
        for (cost, source) in sources {
            if labels[source].is_some() {
                continue;
            }
            labels[source] = Some(Label {
                cost,
                previous: source,
                vehicle: None,
            });
            queue.clear();
            queue.push(source);
            let mut head = 0;
            while head < queue.len() {
                let node = queue[head];
                head += 1;
                let mut reach = |labels: &mut Vec<Option<Label>>, next: usize, vehicle| {
                    labels[next] = Some(Label {
                        cost,
                        previous: node,
                        vehicle,
                    });
                    queue.push(next);
                };
                if node == end {
                    for (list, arcs) in self.arcs.iter_mut().enumerate() {
                        for step in 0..steps {
                            let next = list * steps + step;
                            if labels[next].is_none()
                                && let Some(vehicle) =
                                    arcs.over(&self.batteries, steps, step, least)
                            {
                                reach(&mut labels, next, Some(vehicle));
                            }
                        }
                    }
                    continue;
                }
                let (list, step) = (node / steps, node % steps);
                for other in 0..=steps {
                    let next = if other == steps {
                        end
                    } else {
                        list * steps + other
                    };
                    if labels[next].is_none()
                        && other != step
                        && let Some(vehicle) =
                            self.arcs[list].over(&self.batteries, step, other, least)
                    {
                        reach(&mut labels, next, Some(vehicle));
                    }
                }
                if self.drawn[list][step] >= self.market.lower[list][step] + least {
                    for other in 0..self.market.lists {
                        let next = other * steps + step;
                        let room = self.market.upper[other][step] - self.drawn[other][step];
                        if labels[next].is_none() && room >= least {
                            reach(&mut labels, next, None);
                        }
                    }
                }
            }
        }
        labels
    }

    fn best_chain(&mut self, least: f64) -> Option<Chain> {
        let labels = self.labels(least);
        let end = self.node_count();
        let mut best: Option<(f64, usize)> = None;
        for (node, label) in labels.iter().enumerate() {
            let Some(label) = label else { continue };
            let worth = if node == end {
                0.0
            } else {
                let (list, step) = self.node(node);
                self.worth_of_less(list, step, KINK_KWH)
            };
            let gain = worth - label.cost;
            if gain > best.map_or(1e-9 * self.market.price_scale(), |best| best.0) {
                best = Some((gain, node));
            }
        }
        let (gain, mut node) = best?;
        let place = |node: usize| (node != end).then(|| self.node(node));
        let mut nodes = vec![place(node)];
        let mut links = Vec::new();
        while let Some(label) = &labels[node] {
            if label.previous == node {
                break;
            }
            links.push(label.vehicle);
            node = label.previous;
            nodes.push(place(node));
        }
        nodes.reverse();
        links.reverse();
        (nodes.len() > 1).then_some(Chain { gain, nodes, links })
    }

    /// Moves as much along a chain as its links, its ends and the kinks of the cost allow.
    fn follow(&mut self, chain: &Chain) {
        let steps = self.market.steps;
        let mut amount = f64::INFINITY;
        let ends = (
            chain.nodes.first().copied().flatten(),
            chain.nodes.last().copied().flatten(),
        );
        if let Some((list, step)) = ends.0 {
            let (drawn, bought) = (self.drawn[list][step], self.bought[step]);
            let (lower, upper) = (self.market.lower[list][step], self.market.upper[list][step]);
            amount = amount.min(
                if drawn < lower - KINK_KWH {
                    lower
                } else {
                    upper
                } - drawn,
            );
            if bought < -KINK_KWH {
                amount = amount.min(-bought);
            }
        }
        if let Some((list, step)) = ends.1 {
            let (drawn, bought) = (self.drawn[list][step], self.bought[step]);
            let (lower, upper) = (self.market.lower[list][step], self.market.upper[list][step]);
            amount = amount.min(
                drawn
                    - if drawn > upper + KINK_KWH {
                        upper
                    } else {
                        lower
                    },
            );
            if bought > KINK_KWH {
                amount = amount.min(bought);
            }
        }
        for (link, pair) in chain.links.iter().zip(chain.nodes.windows(2)) {
            match (link, pair[0], pair[1]) {
                (Some(_), a, b) => {
                    let list = a.or(b).map_or(0, |node| node.0);
                    let index = |node: Option<(usize, usize)>| node.map_or(steps, |node| node.1);
                    let arcs = &self.arcs[list];
                    amount = amount.min(arcs.best[index(a) * arcs.nodes + index(b)].energy);
                }
                (None, Some((from, step)), Some((to, _))) => {
                    amount = amount
                        .min(self.drawn[from][step] - self.market.lower[from][step])
                        .min(self.market.upper[to][step] - self.drawn[to][step]);
                }
                _ => return,
            }
        }
        // Two links may use the same vehicle: its own limits are asked again, one link after the other, when they are moved.
        let mut touched: Vec<(usize, u32)> = Vec::with_capacity(chain.links.len());
        for (link, pair) in chain.links.iter().zip(chain.nodes.windows(2)) {
            if let Some(vehicle) = *link {
                let battery = &mut self.batteries[vehicle as usize];
                if let Some((_, step)) = pair[0] {
                    battery.add(step, amount);
                }
                if let Some((_, step)) = pair[1] {
                    battery.add(step, -amount);
                }
                let list = self.market.list_of[vehicle as usize];
                if !touched.contains(&(list, vehicle)) {
                    touched.push((list, vehicle));
                }
            }
        }
        if touched
            .iter()
            .any(|&(_, vehicle)| !self.batteries[vehicle as usize].is_possible())
        {
            // Together the links were too much for a vehicle: take them back and go half as far, as often as needed.
            self.undo(chain, amount);
            return self.follow_carefully(chain, amount, &touched);
        }
        self.settle(chain, amount, &touched);
    }

    fn undo(&mut self, chain: &Chain, amount: f64) {
        for (link, pair) in chain.links.iter().zip(chain.nodes.windows(2)) {
            if let Some(vehicle) = *link {
                let battery = &mut self.batteries[vehicle as usize];
                if let Some((_, step)) = pair[0] {
                    battery.add(step, -amount);
                }
                if let Some((_, step)) = pair[1] {
                    battery.add(step, amount);
                }
            }
        }
    }

    fn follow_carefully(&mut self, chain: &Chain, mut amount: f64, touched: &[(usize, u32)]) {
        for _ in 0..HALVINGS {
            amount *= 0.5;
            self.undo(chain, -amount);
            if touched
                .iter()
                .all(|&(_, vehicle)| self.batteries[vehicle as usize].is_possible())
            {
                return self.settle(chain, amount, touched);
            }
            self.undo(chain, amount);
        }
        // Nothing can be moved: the links of this chain are closed to each other.
        for (link, pair) in chain.links.iter().zip(chain.nodes.windows(2)) {
            if link.is_some() {
                let list = pair[0].or(pair[1]).map_or(0, |node| node.0);
                let index =
                    |node: Option<(usize, usize)>| node.map_or(self.market.steps, |node| node.1);
                let nodes = self.arcs[list].nodes;
                self.arcs[list].best[index(pair[0]) * nodes + index(pair[1])] = Arc::default();
            }
        }
    }

    /// Brings sums and arcs up to date after `amount` went along a chain.
    fn settle(&mut self, chain: &Chain, amount: f64, touched: &[(usize, u32)]) {
        tracing::trace!(gain = chain.gain, amount, "transfer");
        let mut change = |node: Option<(usize, usize)>, amount: f64| {
            if let Some((list, step)) = node {
                self.drawn[list][step] += amount;
                self.bought[step] += amount;
            }
        };
        change(chain.nodes.first().copied().flatten(), amount);
        change(chain.nodes.last().copied().flatten(), -amount);
        for (link, pair) in chain.links.iter().zip(chain.nodes.windows(2)) {
            if link.is_none() {
                change(pair[0], -amount);
                change(pair[1], amount);
            }
        }
        for &(list, vehicle) in touched {
            self.refresh(list, vehicle);
        }
    }

    /// Recomputes the arcs of one vehicle.
    fn refresh(&mut self, list: usize, vehicle: u32) {
        let arcs = &mut self.arcs[list];
        let nodes = arcs.nodes;
        let mut now = vec![0.0; nodes * nodes];
        self.batteries[vehicle as usize].transfers(|more, less, energy| {
            now[more * nodes + less] = energy;
        });
        for (arc, &energy) in arcs.best.iter_mut().zip(&now) {
            if energy > arc.energy {
                (arc.energy, arc.vehicle) = (energy, vehicle);
            } else if arc.vehicle == vehicle && energy < arc.energy {
                arc.energy = energy.max(0.0);
                arc.stale = true;
            }
        }
    }

    /// Prices under which no transfer pays.
    fn prices(&mut self) -> Vec<Vec<f64>> {
        let labels = self.labels(SIZES[SIZES.len() - 1].max(1e-7) * self.largest_step.max(1e-3));
        let steps = self.market.steps;
        (0..self.market.lists)
            .map(|list| {
                (0..steps)
                    .map(|step| {
                        let (low, high) = self.market.slope_range(step);
                        match &labels[list * steps + step] {
                            Some(label) if label.cost.abs() < 10.0 * self.market.price_scale() => {
                                label.cost
                            }
                            _ => 0.5 * (low + high),
                        }
                    })
                    .collect()
            })
            .collect()
    }
}

/// Halvings of an amount that was too much.
const HALVINGS: usize = 20;

#[derive(Clone, Debug)]
struct Label {
    cost: f64,
    previous: usize,
    vehicle: Option<u32>,
}

impl Battery {
    fn is_possible(&self) -> bool {
        let within = |k: usize| {
            self.energies[k] <= self.high[k] + MISSED_KWH
                && self.energies[k] >= self.low[k] - MISSED_KWH
                && self.below[k] >= -MISSED_KWH
                && self.above[k] >= -MISSED_KWH
        };
        (0..self.energies.len()).all(within)
    }

    /// One entry of [`Battery::transfers`].
    fn transfer(&self, more: usize, less: usize) -> f64 {
        let steps = self.energies.len();
        if more == steps {
            let (room, factor) = self.less(less);
            let below = self.below[less..]
                .iter()
                .copied()
                .fold(f64::INFINITY, f64::min);
            return room.min(below / factor);
        }
        let (room, factor) = self.more(more);
        if less == steps {
            let above = self.above[more..]
                .iter()
                .copied()
                .fold(f64::INFINITY, f64::min);
            return room.min(above / factor);
        }
        let (other, other_factor) = self.less(less);
        let room = room.min(other);
        if factor != other_factor || room <= 0.0 || more == less {
            return 0.0;
        }
        let headroom = if more < less {
            &self.above[more..less]
        } else {
            &self.below[less..more]
        };
        headroom
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min)
            .min(room * factor)
            / factor
    }
}

/// Least and largest energy per step, kWh at the grid, under modes that allow a schedule.
fn bounds(
    problem: &SchedulingProblem,
    automaton: &Automaton,
    vehicle: usize,
    energies: &[f64],
) -> Option<(Vec<f64>, Vec<f64>)> {
    let past = &problem.vehicles()[vehicle].past;
    let word: Vec<Activity> = energies
        .iter()
        .map(|&energy| Activity::of_power(energy, NOTHING_KWH))
        .collect();
    let directions = automaton.directions(past, &word)?;
    let mut low = Vec::with_capacity(energies.len());
    let mut high = Vec::with_capacity(energies.len());
    for (step, direction) in directions.into_iter().enumerate() {
        let (charge, discharge) = problem.step_energy(vehicle, step);
        let share = SwitchRule::LEAST_SHARE;
        let (least, most) = match direction {
            Direction::Up => (0.0, charge),
            Direction::Down => (-discharge, 0.0),
            Direction::Hold => (0.0, 0.0),
            Direction::Both => (-discharge, charge),
            // A switch is dated by its first activity, so that step stays active.
            Direction::UpOnly => (share * charge, charge),
            Direction::DownOnly => (-discharge, -share * discharge),
        };
        low.push(least);
        high.push(most);
    }
    Some((low, high))
}
