//! The memory layout: equal vehicles merged, similar windows side by side.

use std::{collections::HashMap, ops::Range};

use rayon::prelude::*;

use super::LANES;
use crate::vehicle_set::VehicleSet;

/// One number for each of the vehicles of a block.
pub(crate) type Lanes = [f64; LANES];

/// Bounds of up to [`LANES`] vehicle classes over the window in which any of them can move.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// First step of the window.
    pub first: usize,
    /// Smallest power per step of the window.
    pub power_min: Vec<Lanes>,
    /// Largest power per step of the window.
    pub power_max: Vec<Lanes>,
    /// Smallest running sum per step of the window; the last entry also holds all later bounds.
    pub sum_min: Vec<Lanes>,
    /// Largest running sum per step of the window; the last entry also holds all later bounds.
    pub sum_max: Vec<Lanes>,
    /// How many vehicles each lane stands for; 0 in unused lanes.
    pub multiplicity: Lanes,
    /// Group of each lane.
    pub group: [usize; LANES],
    /// Number of lanes in use.
    pub used: usize,
}

impl Block {
    /// Number of steps in the window.
    pub fn len(&self) -> usize {
        self.power_min.len()
    }
}

/// A fleet in the layout of the kernels.
#[derive(Clone, Debug)]
pub(crate) struct PackedFleet {
    pub steps: usize,
    pub blocks: Vec<Block>,
    /// Vehicle to class; class `c` is lane `c % LANES` of block `c / LANES`.
    pub class_of_vehicle: Vec<usize>,
    /// Number of distinct vehicle sets.
    pub classes: usize,
    /// Number of groups; classes of one group are neighbours.
    pub groups: usize,
    /// Blocks that hold vehicles of each group; a block may hold vehicles of two groups.
    pub blocks_of_group: Vec<Range<usize>>,
}

/// Classes of equal vehicle sets.
struct Classes {
    /// A vehicle of each class.
    representative: Vec<usize>,
    /// Number of vehicles in each class.
    multiplicity: Vec<f64>,
    class_of_vehicle: Vec<usize>,
}

impl Classes {
    fn of(vehicles: &[VehicleSet]) -> Self {
        let fingerprints: Vec<u64> = vehicles.par_iter().map(VehicleSet::fingerprint).collect();
        let mut by_fingerprint: HashMap<u64, Vec<usize>> = HashMap::with_capacity(vehicles.len());
        let mut classes = Self {
            representative: Vec::new(),
            multiplicity: Vec::new(),
            class_of_vehicle: Vec::with_capacity(vehicles.len()),
        };
        for (vehicle, set) in vehicles.iter().enumerate() {
            let candidates = by_fingerprint.entry(fingerprints[vehicle]).or_default();
            let known = candidates
                .iter()
                .copied()
                .find(|&class| vehicles[classes.representative[class]] == *set);
            let class = known.unwrap_or_else(|| {
                classes.representative.push(vehicle);
                classes.multiplicity.push(0.0);
                candidates.push(classes.representative.len() - 1);
                classes.representative.len() - 1
            });
            classes.multiplicity[class] += 1.0;
            classes.class_of_vehicle.push(class);
        }
        classes
    }

    /// Renumbers the classes so that class `order[k]` becomes class `k`.
    fn reorder(&mut self, order: &[usize]) {
        let mut place = vec![0; order.len()];
        for (position, &class) in order.iter().enumerate() {
            place[class] = position;
        }
        self.representative = order
            .iter()
            .map(|&class| self.representative[class])
            .collect();
        self.multiplicity = order
            .iter()
            .map(|&class| self.multiplicity[class])
            .collect();
        for class in &mut self.class_of_vehicle {
            *class = place[*class];
        }
    }
}

impl Block {
    /// Puts up to [`LANES`] sets side by side, over the union of their windows.
    fn new(sets: &[&VehicleSet], multiplicities: &[f64], groups: &[usize]) -> Self {
        let windows = || sets.iter().map(|set| set.window());
        let first = windows().map(|window| window.start).min().unwrap_or(0);
        let end = windows().map(|window| window.end).max().unwrap_or(first);
        let side_by_side = |value: &dyn Fn(&VehicleSet, usize) -> f64| -> Vec<Lanes> {
            (first..end)
                .map(|t| {
                    let mut lanes = [0.0; LANES];
                    for (lane, set) in lanes.iter_mut().zip(sets) {
                        *lane = value(set, t);
                    }
                    lanes
                })
                .collect()
        };
        let mut multiplicity = [0.0; LANES];
        multiplicity[..sets.len()].copy_from_slice(multiplicities);
        // Unused lanes belong to the last group in use; their multiplicity is zero.
        let mut group = [groups[groups.len() - 1]; LANES];
        group[..sets.len()].copy_from_slice(groups);
        // Nothing moves after the window, so its last bound holds all later ones.
        let until = |set: &VehicleSet, t: usize| if t + 1 == end { set.steps() } else { t + 1 };
        Self {
            first,
            power_min: side_by_side(&|set, t| set.power_min()[t]),
            power_max: side_by_side(&|set, t| set.power_max()[t]),
            sum_min: side_by_side(&|set, t| {
                set.sum_min()[t..until(set, t)]
                    .iter()
                    .copied()
                    .fold(f64::NEG_INFINITY, f64::max)
            }),
            sum_max: side_by_side(&|set, t| {
                set.sum_max()[t..until(set, t)]
                    .iter()
                    .copied()
                    .fold(f64::INFINITY, f64::min)
            }),
            multiplicity,
            group,
            used: sets.len(),
        }
    }
}

impl PackedFleet {
    /// Packs `vehicles` (all with `steps` steps) into blocks, and classes into at most `groups` groups.
    pub fn new(vehicles: &[VehicleSet], steps: usize, groups: usize) -> Self {
        let mut classes = Classes::of(vehicles);
        // Vehicles with similar windows share a block, whose window is their union.
        let windows: Vec<Range<usize>> = classes
            .representative
            .par_iter()
            .map(|&vehicle| vehicles[vehicle].window())
            .collect();
        let mut by_window: Vec<usize> = (0..windows.len()).collect();
        by_window.sort_by_key(|&class| (windows[class].start, windows[class].end, class));
        classes.reorder(&by_window);

        let count = by_window.len();
        let groups = groups.clamp(1, count.max(1));
        let group_of: Vec<usize> = (0..count).map(|class| class * groups / count).collect();
        let blocks: Vec<Block> = (0..count.div_ceil(LANES))
            .into_par_iter()
            .map(|block| {
                let members = block * LANES..((block + 1) * LANES).min(count);
                let sets: Vec<&VehicleSet> = classes.representative[members.clone()]
                    .iter()
                    .map(|&vehicle| &vehicles[vehicle])
                    .collect();
                Block::new(
                    &sets,
                    &classes.multiplicity[members.clone()],
                    &group_of[members],
                )
            })
            .collect();
        let blocks_of_group = (0..groups)
            .map(|group| {
                let first = blocks.partition_point(|block| block.group[LANES - 1] < group);
                let end = blocks.partition_point(|block| block.group[0] <= group);
                first..end
            })
            .collect();
        Self {
            steps,
            blocks,
            class_of_vehicle: classes.class_of_vehicle,
            classes: count,
            groups,
            blocks_of_group,
        }
    }

    /// The set of the vehicles of a class.
    pub fn vehicle_set(&self, class: usize) -> VehicleSet {
        let (block, lane) = (&self.blocks[class / LANES], class % LANES);
        // Before the window nothing has moved, after it nothing moves; its last bounds hold all later ones.
        let over_steps = |values: &[Lanes], after: fn(f64) -> f64| -> Vec<f64> {
            let end = block.first + block.len();
            let last = values.last().map_or(0.0, |lanes| after(lanes[lane]));
            (0..self.steps)
                .map(|t| match t {
                    t if t < block.first => 0.0,
                    t if t < end => values[t - block.first][lane],
                    _ => last,
                })
                .collect()
        };
        VehicleSet::of_bounds(
            over_steps(&block.power_min, |_| 0.0),
            over_steps(&block.power_max, |_| 0.0),
            over_steps(&block.sum_min, |bound| bound),
            over_steps(&block.sum_max, |bound| bound),
        )
    }

    /// `U − U`: the vehicles, and after them their mirror images. Groups keep their order, those of
    /// the mirror images follow.
    pub fn difference(&self) -> Self {
        let minus = |values: &[Lanes]| -> Vec<Lanes> {
            values
                .iter()
                .map(|lanes| lanes.map(|value| -value))
                .collect()
        };
        let mirrored = self.blocks.iter().map(|block| Block {
            first: block.first,
            power_min: minus(&block.power_max),
            power_max: minus(&block.power_min),
            sum_min: minus(&block.sum_max),
            sum_max: minus(&block.sum_min),
            multiplicity: block.multiplicity,
            group: block.group.map(|group| group + self.groups),
            used: block.used,
        });
        let count = self.blocks.len();
        Self {
            steps: self.steps,
            blocks: self.blocks.iter().cloned().chain(mirrored).collect(),
            class_of_vehicle: self
                .class_of_vehicle
                .iter()
                .copied()
                .chain(
                    self.class_of_vehicle
                        .iter()
                        .map(|class| class + count * LANES),
                )
                .collect(),
            classes: 2 * self.classes,
            groups: 2 * self.groups,
            blocks_of_group: self
                .blocks_of_group
                .iter()
                .cloned()
                .chain(
                    self.blocks_of_group
                        .iter()
                        .map(|blocks| blocks.start + count..blocks.end + count),
                )
                .collect(),
        }
    }

    /// The largest power that the vehicles could add up to in any step, in either direction, kW.
    pub fn power_scale(&self) -> f64 {
        let of_lane = |block: &Block, lane: usize| {
            let bounds = block.power_min.iter().chain(&block.power_max);
            bounds.fold(0.0, |most, power| f64::max(most, power[lane].abs()))
                * block.multiplicity[lane]
        };
        self.blocks
            .iter()
            .map(|block| {
                (0..block.used)
                    .map(|lane| of_lane(block, lane))
                    .sum::<f64>()
            })
            .sum()
    }
}
