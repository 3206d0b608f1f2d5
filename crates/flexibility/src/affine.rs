//! Inner sets of Al Taha, Vincent and Bitar (arXiv 2207.07067): affine images of a common base set.
//!
//! The base set `U_0` is a vehicle whose bounds are the means of the fleet's. Every vehicle gets an
//! affine map with `P_i U_0 + p_i ⊆ U_i`, and the sum of the images, `P U_0 + p` with `P = Σ P_i` and
//! `p = Σ p_i`, is inside the aggregate set: every point of it has one preimage `x` in `U_0`, and
//! vehicle `i` follows `P_i x + p_i`.
//!
//! - structure preserving: `P_i = σ_i I`, the largest `σ_i ≥ 0`;
//! - general affine: `P_i` free, the largest trace.
//!
//! Containment is certified without multipliers: `U_0` is a generalised polymatroid, so the support
//! value of `P_i U_0` along each of the 4 T facet normals of `U_i` is one greedy walk
//! ([`AffineInner::verify`]).

use evflex_fleet::{Fleet, Schedule};
use evflex_solver::{Options, ProblemBuilder, Solver, VariableId};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::{
    aggregate_set::{AggregateSet, Claim, Decision, Membership, SupportPoint},
    error::{Error, check_profile},
    flat::{FLAT_KW, flattened},
    general_affine,
    image::{self, Image, ImageVariables},
    objective::Objective,
    vehicle_set::VehicleSet,
};

/// `x ↦ P x + p`, from the base set into a vehicle's set.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineMap {
    /// `P`, T × T.
    pub matrix: Array2<f64>,
    /// `p`, kW per step.
    pub translation: Array1<f64>,
}

impl AffineMap {
    /// `P x + p`.
    #[must_use]
    pub fn apply(&self, x: ArrayView1<'_, f64>) -> Array1<f64> {
        self.matrix.dot(&x) + &self.translation
    }
}

/// The inner set `P U_0 + p`, with the map of every vehicle.
///
/// ```
/// use evflex_flexibility::{AffineInner, AggregateSet};
/// use evflex_solver::{Clarabel, Options};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let grid = evflex_fleet::TimeGrid::new(18, evflex_fleet::Hours(1.0))?;
/// let fleet = evflex_fleet::synthetic::Population::new(grid, 3).generate(1)?;
/// let set = AffineInner::structure_preserving(&fleet, &Clarabel::default(), &Options::default())?;
/// assert!(set.verify(1e-7)?.is_none()); // no facet of any vehicle is exceeded
/// let best = set.support(ndarray::Array1::ones(18).view(), &Clarabel::default())?;
/// let schedule = set.disaggregate(best.profile_kw.view(), &Clarabel::default())?;
/// assert!(schedule.check(&fleet, 1e-6)?.is_feasible());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AffineInner {
    fleet: Fleet,
    base: VehicleSet,
    maps: Vec<AffineMap>,
    total: AffineMap,
    claim: Claim,
}

enum Preimage {
    Found(Array1<f64>),
    Separated {
        direction: Array1<f64>,
        excess_kw: f64,
    },
}

/// Which right-hand sides `h_0` describe the base set of a structure-preserving approximation.
///
/// The method asks for `σ_i h_0 + H p_i ≤ h_i` with `h_0` the mean of the vehicles' right-hand sides.
/// Some of those are attained by no profile (a battery may be too large to fill in the first hour),
/// and then `σ_i` depends on how the same set is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BaseBounds {
    /// The support values of the mean set along the rows of `H`: the largest `σ_i`.
    #[default]
    Tightened,
    /// The means of the vehicles' bounds as they are given.
    AsGiven,
    /// The means of the vehicles' support values: another base set, never larger than the mean set.
    TightenedEach,
}

/// Which translations `p_i` a structure-preserving approximation takes: the largest `σ_i` is unique, the
/// `p_i` that go with it are not, and they decide how much energy the set holds at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Translation {
    /// Those that the solver finds.
    #[default]
    Any,
    /// Those with the least energy at the end, which lets the set draw as little as it can.
    LeastEnergy,
    /// Those with the most energy at the end.
    MostEnergy,
}

/// Largest entry of a map, far out of reach unless the base set is all but flat; it bounds the programs.
pub(crate) const LARGEST_FACTOR: f64 = 100.0;

/// Share of the largest σ that is given up so that the program for the translation has a feasible point.
const SIGMA_ROOM: f64 = 1e-6;

/// Accepted excess over a facet of a vehicle, kW: rounding of the arithmetic, not of a solver.
const CLAIM_TOLERANCE_KW: f64 = 1e-9;

/// The facet of a vehicle that an affine image exceeds.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetViolation {
    /// The vehicle.
    pub vehicle: String,
    /// Largest value of the image along the facet normal, kW.
    pub value: f64,
    /// The facet's bound, kW.
    pub bound: f64,
}

/// The facets of a vehicle's set, as rows over the steps: running sums from above and below, then
/// powers from above and below.
fn facets(steps: usize) -> impl Iterator<Item = Array1<f64>> {
    let prefix = move |t: usize, sign: f64| {
        Array1::from_shape_fn(steps, |s| if s <= t { sign } else { 0.0 })
    };
    let single = move |t: usize, sign: f64| {
        Array1::from_shape_fn(steps, |s| if s == t { sign } else { 0.0 })
    };
    (0..steps)
        .map(move |t| prefix(t, 1.0))
        .chain((0..steps).map(move |t| prefix(t, -1.0)))
        .chain((0..steps).map(move |t| single(t, 1.0)))
        .chain((0..steps).map(move |t| single(t, -1.0)))
}

/// The right-hand sides in the order of [`facets`].
pub(crate) fn right_hand_sides(set: &VehicleSet) -> Vec<f64> {
    let minus = |bounds: &[f64]| bounds.iter().map(|bound| -bound).collect::<Vec<_>>();
    [
        set.sum_max().to_vec(),
        minus(set.sum_min()),
        set.power_max().to_vec(),
        minus(set.power_min()),
    ]
    .concat()
}

impl AffineInner {
    /// The largest homothet of the base set in every vehicle: maximises `σ_i` with
    /// `σ_i h_0 + H p_i ≤ h_i`, where `h_0` are the support values of the base set along the rows of
    /// `H` (which raises σ beyond the mean right-hand sides).
    ///
    /// # Errors
    /// [`Error::Lossy`]; [`Error::Solver`].
    pub fn structure_preserving(
        fleet: &Fleet,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let (bounds, translation) = (BaseBounds::default(), Translation::default());
        Self::structure_preserving_with(fleet, bounds, translation, solver, options)
    }

    /// As [`AffineInner::structure_preserving`], with a choice of the right-hand sides `h_0` and, by a
    /// second linear program for each vehicle, of the translations.
    ///
    /// # Errors
    /// [`Error::Lossy`]; [`Error::Solver`].
    pub fn structure_preserving_with(
        fleet: &Fleet,
        bounds: BaseBounds,
        translation: Translation,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let (sets, mean) = base_set(fleet)?;
        let base = match bounds {
            BaseBounds::Tightened => mean.tightened(),
            BaseBounds::AsGiven => mean,
            BaseBounds::TightenedEach => {
                let tightened: Vec<VehicleSet> = sets.iter().map(VehicleSet::tightened).collect();
                VehicleSet::mean(&tightened)
            }
        };
        Self::assemble(fleet, base, &sets, |base, set| {
            homothet(base, set, translation, solver, options)
        })
    }

    /// The affine image of largest trace in every vehicle: maximises `trace P_i` with
    /// `Λ_i ≥ 0`, `Λ_i H = H P_i`, `Λ_i h_0 ≤ h_i − H p_i` (written in energies, where `H` is sparse).
    ///
    /// `P_i` is not unique, its trace is: that of `L P_i L⁻¹` over the energies which the base set leaves
    /// free (all of them, and then it is `trace P_i`, unless some step has no vehicle). One linear program with `T² + T + 16 T²` variables for each
    /// vehicle, in parallel, solved by its structure ([`largest_affine_image`](evflex_polytope::largest_affine_image)); `solver`
    /// is asked where that does not end.
    ///
    /// # Errors
    /// [`Error::Lossy`]; [`Error::Solver`].
    pub fn general_affine(
        fleet: &Fleet,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Self, Error> {
        let (sets, base) = base_set(fleet)?;
        let base = base.tightened();
        Self::assemble(fleet, base, &sets, |base, set| {
            general_affine::largest_trace(base, set, solver, options)
        })
    }

    fn assemble(
        fleet: &Fleet,
        base: VehicleSet,
        sets: &[VehicleSet],
        map: impl Fn(&VehicleSet, &VehicleSet) -> Result<AffineMap, Error> + Sync,
    ) -> Result<Self, Error> {
        let maps: Vec<AffineMap> = sets
            .par_iter()
            .map(|set| {
                map(&base, set).map(|found| pulled_inside(&base, set, flattened(&base, set, found)))
            })
            .collect::<Result<_, _>>()?;
        let steps = base.steps();
        let mut total = AffineMap {
            matrix: Array2::zeros((steps, steps)),
            translation: Array1::zeros(steps),
        };
        for map in &maps {
            total.matrix += &map.matrix;
            total.translation += &map.translation;
        }
        let mut set = Self {
            fleet: fleet.clone(),
            base,
            maps,
            total,
            claim: Claim::Unproven,
        };
        match set.verify(CLAIM_TOLERANCE_KW)? {
            None => set.claim = Claim::Inner,
            Some(violation) => tracing::warn!(?violation, "an affine image leaves a vehicle's set"),
        }
        Ok(set)
    }

    /// The base set `U_0`.
    #[must_use]
    pub fn base(&self) -> &VehicleSet {
        &self.base
    }

    /// The map of every vehicle.
    #[must_use]
    pub fn maps(&self) -> &[AffineMap] {
        &self.maps
    }

    /// The map of the aggregate, `P` and `p`.
    #[must_use]
    pub fn total(&self) -> &AffineMap {
        &self.total
    }

    /// Whether every image is inside its vehicle's set, by one greedy walk per facet: the worst
    /// facet that is exceeded by more than `tolerance_kw`, or `None`.
    ///
    /// # Errors
    /// [`Error::Lossy`] if the fleet is not the one the set was made for.
    pub fn verify(&self, tolerance_kw: f64) -> Result<Option<FacetViolation>, Error> {
        let mut worst: Option<FacetViolation> = None;
        for (vehicle, map) in self.fleet.vehicles().iter().zip(&self.maps) {
            let set = VehicleSet::exact(vehicle, self.fleet.step_hours())?;
            for (value, bound) in image_supports(&self.base, map)
                .into_iter()
                .zip(right_hand_sides(&set))
            {
                let exceeded = value - bound;
                if exceeded > tolerance_kw
                    && worst
                        .as_ref()
                        .is_none_or(|worst| exceeded > worst.value - worst.bound)
                {
                    worst = Some(FacetViolation {
                        vehicle: vehicle.id().to_owned(),
                        value,
                        bound,
                    });
                }
            }
        }
        Ok(worst)
    }

    /// The variables of a point of the base set and of its image.
    fn image_variables(
        &self,
        builder: &mut ProblemBuilder,
    ) -> (Vec<VariableId>, Vec<VariableId>, Vec<evflex_solver::RowId>) {
        let steps = self.base.steps();
        let x: Vec<VariableId> = (0..steps)
            .map(|t| {
                builder.variable(
                    format!("x_{t}"),
                    self.base.power_min()[t],
                    self.base.power_max()[t],
                    0.0,
                )
            })
            .collect();
        let mut before: Option<VariableId> = None;
        for t in 0..steps {
            let sum = builder.variable(
                format!("sum_{t}"),
                self.base.sum_min()[t],
                self.base.sum_max()[t],
                0.0,
            );
            let terms = [(sum, 1.0), (x[t], -1.0)]
                .into_iter()
                .chain(before.map(|before| (before, -1.0)));
            builder.row(format!("sum_{t}"), 0.0, terms, 0.0);
            before = Some(sum);
        }
        let u: Vec<VariableId> = (0..steps)
            .map(|t| builder.variable(format!("u_{t}"), f64::NEG_INFINITY, f64::INFINITY, 0.0))
            .collect();
        let rows = (0..steps)
            .map(|t| {
                let image = x
                    .iter()
                    .enumerate()
                    .map(|(s, &x)| (x, -self.total.matrix[[t, s]]));
                let offset = self.total.translation[t];
                builder.row(
                    format!("image_{t}"),
                    offset,
                    image.filter(|term| term.1 != 0.0).chain([(u[t], 1.0)]),
                    offset,
                )
            })
            .collect();
        (x, u, rows)
    }

    /// The point of the base set whose image is the profile, or a half-space that separates them.
    ///
    /// Minimises `‖P x + p − profile‖₁`; the multipliers `d` of the difference, in −1..1, separate a
    /// profile outside: `d · profile` exceeds the support value along `d`.
    fn preimage(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Preimage, Error> {
        check_profile("profile", profile, self.base.steps())?;
        let mut builder = ProblemBuilder::new("preimage under an affine map");
        let (x, u, _) = self.image_variables(&mut builder);
        let rows: Vec<_> = u
            .iter()
            .enumerate()
            .map(|(t, &u)| {
                let above = builder.variable(format!("above_{t}"), 0.0, f64::INFINITY, 1.0);
                let below = builder.variable(format!("below_{t}"), 0.0, f64::INFINITY, 1.0);
                let terms = [(u, 1.0), (above, 1.0), (below, -1.0)];
                builder.row(format!("profile_{t}"), profile[t], terms, profile[t])
            })
            .collect();
        let solution = solver
            .solve(&builder.build()?, &Options::default())?
            .into_optimal()?;
        let duals = solution
            .duals()
            .ok_or_else(|| evflex_solver::Error::Unsupported {
                solver: solver.name(),
                class: "duals",
            })?;
        let direction: Array1<f64> = rows
            .iter()
            .map(|row| duals.rows[row.index()].clamp(-1.0, 1.0))
            .collect();
        let excess_kw = direction.dot(&profile) + self.least(&-&direction);
        Ok(if excess_kw > tolerance_kw {
            Preimage::Separated {
                direction,
                excess_kw,
            }
        } else {
            Preimage::Found(x.iter().map(|&x| solution.value(x)).collect())
        })
    }

    /// The smallest value of `slope · u` over the set.
    fn least(&self, slope: &Array1<f64>) -> f64 {
        let pulled = self.total.matrix.t().dot(slope);
        slope.dot(&self.total.translation) - self.base.support((-&pulled).view()).0
    }
}

fn base_set(fleet: &Fleet) -> Result<(Vec<VehicleSet>, VehicleSet), Error> {
    let sets: Vec<VehicleSet> = fleet
        .vehicles()
        .iter()
        .map(|vehicle| VehicleSet::exact(vehicle, fleet.step_hours()))
        .collect::<Result<_, _>>()?;
    let base = VehicleSet::mean(&sets);
    Ok((sets, base))
}

/// Support values of `P U_0 + p` along the facets, each by one greedy walk.
fn image_supports(base: &VehicleSet, map: &AffineMap) -> Vec<f64> {
    facets(base.steps())
        .map(|normal| {
            base.support(map.matrix.t().dot(&normal).view()).0 + normal.dot(&map.translation)
        })
        .collect()
}

/// Shrinks a map whose image exceeds a facet by the rounding of a solver towards a point well inside
/// the vehicle's set, as far as needed.
fn pulled_inside(base: &VehicleSet, set: &VehicleSet, map: AffineMap) -> AffineMap {
    let middle = set.middle();
    let mut share = 0.0_f64;
    for ((value, bound), normal) in image_supports(base, &map)
        .into_iter()
        .zip(right_hand_sides(set))
        .zip(facets(base.steps()))
    {
        let room = bound - normal.dot(&middle);
        if value > bound && room > FLAT_KW {
            share = share.max((value - bound) / (value - bound + room));
        }
    }
    let keep = 1.0 - share;
    AffineMap {
        matrix: map.matrix * keep,
        translation: map.translation * keep + middle * share,
    }
}

/// The largest homothet, then among those of its size the one that `translation` asks for.
fn homothet(
    base: &VehicleSet,
    set: &VehicleSet,
    translation: Translation,
    solver: &dyn Solver,
    options: &Options,
) -> Result<AffineMap, Error> {
    let (map, sigma) = homothet_of(base, set, (0.0, -1.0), 0.0, solver, options)?;
    let final_energy = match translation {
        Translation::Any => return Ok(map),
        Translation::LeastEnergy => 1.0,
        Translation::MostEnergy => -1.0,
    };
    // Room for the tolerance at which σ was found.
    let least = sigma * (1.0 - SIGMA_ROOM);
    Ok(homothet_of(base, set, (least, 0.0), final_energy, solver, options)?.0)
}

/// The homothet that minimises `cost · σ + final_energy · Σ_t p_t` with `σ` not below a least value.
fn homothet_of(
    base: &VehicleSet,
    set: &VehicleSet,
    (least, cost): (f64, f64),
    final_energy: f64,
    solver: &dyn Solver,
    options: &Options,
) -> Result<(AffineMap, f64), Error> {
    let steps = base.steps();
    let mut builder = ProblemBuilder::new("homothet");
    let sigma = builder.variable("sigma", least, LARGEST_FACTOR, cost);
    // The running sums of p are variables of their own, which keeps the rows short.
    let p: Vec<_> = (0..steps)
        .map(|t| builder.variable(format!("p_{t}"), f64::NEG_INFINITY, f64::INFINITY, 0.0))
        .collect();
    let sums: Vec<_> = (0..steps)
        .map(|t| {
            let cost = if t + 1 == steps { final_energy } else { 0.0 };
            builder.variable(format!("sum_{t}"), f64::NEG_INFINITY, f64::INFINITY, cost)
        })
        .collect();
    for t in 0..steps {
        let before = t.checked_sub(1).map(|before| (sums[before], -1.0));
        builder.row(
            format!("running_{t}"),
            0.0,
            [(sums[t], 1.0), (p[t], -1.0)].into_iter().chain(before),
            0.0,
        );
        for (name, variable, low, high, base_low, base_high) in [
            (
                "sum",
                sums[t],
                set.sum_min()[t],
                set.sum_max()[t],
                base.sum_min()[t],
                base.sum_max()[t],
            ),
            (
                "power",
                p[t],
                set.power_min()[t],
                set.power_max()[t],
                base.power_min()[t],
                base.power_max()[t],
            ),
        ] {
            builder.row(
                format!("{name}_max_{t}"),
                f64::NEG_INFINITY,
                [(variable, 1.0), (sigma, base_high)],
                high,
            );
            builder.row(
                format!("{name}_min_{t}"),
                low,
                [(variable, 1.0), (sigma, base_low)],
                f64::INFINITY,
            );
        }
    }
    let solution = solver.solve(&builder.build()?, options)?.into_optimal()?;
    let sigma = solution.value(sigma).max(0.0);
    let map = AffineMap {
        matrix: Array2::eye(steps) * sigma,
        translation: p.iter().map(|&p| solution.value(p)).collect(),
    };
    Ok((map, sigma))
}

impl Image for AffineInner {
    fn image_steps(&self) -> usize {
        self.base.steps()
    }

    fn write_image(&self, builder: &mut ProblemBuilder) -> ImageVariables {
        let (inner, u, rows) = self.image_variables(builder);
        ImageVariables { inner, u, rows }
    }

    fn image(&self, inner: ArrayView1<'_, f64>) -> Array1<f64> {
        self.total.apply(inner)
    }

    fn furthest(&self, direction: ArrayView1<'_, f64>) -> Array1<f64> {
        let pulled = self.total.matrix.t().dot(&direction);
        self.base.support(pulled.view()).1
    }
}

impl AggregateSet for AffineInner {
    fn steps(&self) -> usize {
        self.base.steps()
    }

    fn step_hours(&self) -> f64 {
        self.fleet.step_hours()
    }

    /// [`Claim::Inner`] if [`AffineInner::verify`] confirmed every image to 1e-9 kW when the set was made,
    /// otherwise [`Claim::Unproven`].
    fn claim(&self) -> Claim {
        self.claim
    }

    fn support(
        &self,
        direction: ArrayView1<'_, f64>,
        _solver: &dyn Solver,
    ) -> Result<SupportPoint, Error> {
        check_profile("direction", direction, self.base.steps())?;
        let (_, x) = self
            .base
            .support(self.total.matrix.t().dot(&direction).view());
        let profile_kw = self.total.apply(x.view());
        Ok(SupportPoint {
            value: direction.dot(&profile_kw),
            profile_kw,
        })
    }

    fn contains(
        &self,
        profile: ArrayView1<'_, f64>,
        tolerance_kw: f64,
        solver: &dyn Solver,
    ) -> Result<Membership, Error> {
        Ok(match self.preimage(profile, tolerance_kw, solver)? {
            Preimage::Found(_) => Membership::Inside,
            Preimage::Separated {
                direction,
                excess_kw,
            } => Membership::Separated {
                direction,
                excess_kw,
            },
        })
    }

    fn minimise(
        &self,
        objective: &Objective,
        solver: &dyn Solver,
        options: &Options,
    ) -> Result<Decision, Error> {
        image::minimise(self, self.step_hours(), objective, solver, options)
    }

    fn disaggregate(
        &self,
        profile: ArrayView1<'_, f64>,
        solver: &dyn Solver,
    ) -> Result<Schedule, Error> {
        let x = match self.preimage(profile, crate::DEFAULT_TOLERANCE_KW, solver)? {
            Preimage::Found(x) => x,
            Preimage::Separated { excess_kw, .. } => return Err(Error::Separated { excess_kw }),
        };
        let mut power_kw = Array2::zeros((self.maps.len(), self.steps()));
        for (mut row, map) in power_kw.outer_iter_mut().zip(&self.maps) {
            row.assign(&map.apply(x.view()));
        }
        let ids = self
            .fleet
            .vehicles()
            .iter()
            .map(|vehicle| vehicle.id().to_owned())
            .collect();
        Ok(Schedule::new(self.fleet.grid().clone(), ids, power_kw)?)
    }
}

#[cfg(test)]
mod tests {
    use evflex_fleet::{Hours, TimeGrid, synthetic::Population};
    use evflex_solver::Clarabel;

    use super::*;

    /// A map moved along any facet normal that is tight leaves its vehicle by as much, and that is found.
    #[test]
    fn small_changes_of_a_map_are_refused() {
        let grid = TimeGrid::new(17, Hours(1.0)).unwrap();
        let fleet = Population::new(grid, 3).generate(4).unwrap();
        let options = Options::default();
        for set in [
            AffineInner::structure_preserving(&fleet, &Clarabel::default(), &options).unwrap(),
            AffineInner::general_affine(&fleet, &Clarabel::default(), &options).unwrap(),
        ] {
            assert_eq!(set.claim(), Claim::Inner);
            let mut refused = 0;
            for vehicle in 0..fleet.len() {
                let own = VehicleSet::exact(&fleet.vehicles()[vehicle], 1.0).unwrap();
                let supports = image_supports(&set.base, &set.maps[vehicle]);
                for ((normal, value), bound) in facets(17).zip(supports).zip(right_hand_sides(&own))
                {
                    if bound - value > 1e-8 {
                        continue;
                    }
                    let mut moved = set.clone();
                    moved.maps[vehicle].translation.scaled_add(1e-6, &normal);
                    assert!(moved.verify(1e-9).unwrap().is_some());
                    // The same by a larger image: more of what reaches the facet.
                    let mut larger = set.clone();
                    let pulled = set.maps[vehicle].matrix.t().dot(&normal);
                    let (reach, _) = set.base.support(pulled.view());
                    if reach > 0.1 {
                        larger.maps[vehicle].matrix *= 1.0 + 1e-6 / reach;
                        assert!(larger.verify(1e-9).unwrap().is_some());
                    }
                    refused += 1;
                }
            }
            assert!(refused > 20, "{refused} tight facets");
        }
    }
}
