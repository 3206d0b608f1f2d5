//! The sets that are compared: one entry of [`METHODS`] each.

use std::sync::OnceLock;

use evflex::fleet::Fleet;
use evflex::fleet::synthetic::EnergyPrices;
use evflex::flexibility::BaseBounds::{AsGiven, Tightened, TightenedEach};
use evflex::flexibility::Translation::{Any, LeastEnergy, MostEnergy};
use evflex::flexibility::{
    AffineInner, AggregateSet, BaseBounds, BoxInner, EllipsoidInner, FleetPolymatroid,
    InnerPolytope, Objective, ScaledPolytope, TemplateOuter, Translation, VertexHull,
    ZonotopeInner,
};
use evflex::solver::{Clarabel, Options};
use ndarray::{Array1, Array2};
use serde::Serialize;

use crate::error::Error;

/// What a method promises about its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The aggregate set itself.
    Exact,
    /// Every profile can be followed: costs are never below the exact ones.
    Inner,
    /// Holds every profile that can be followed, and others: costs are never above the exact ones.
    Outer,
}

/// What a set is made from: a fleet, and for trained sets the training days of one task.
pub struct Case<'a> {
    /// The vehicles.
    pub fleet: &'a Fleet,
    /// Their exact aggregate set.
    pub exact: &'a FleetPolymatroid,
    /// The decisions of the training days, for trained sets.
    pub training: &'a [Objective],
    /// Number of price profiles that a hull of price vertices draws.
    pub samples: usize,
    /// Seed of what is drawn.
    pub seed: u64,
    /// Options of every computation.
    pub options: &'a Options,
    /// Filled by the method that needs it, so that its set can borrow it.
    polytope: OnceLock<InnerPolytope>,
}

impl<'a> Case<'a> {
    /// A case without a set yet.
    #[must_use]
    pub fn new(
        fleet: &'a Fleet,
        exact: &'a FleetPolymatroid,
        training: &'a [Objective],
        (samples, seed): (usize, u64),
        options: &'a Options,
    ) -> Self {
        Self {
            fleet,
            exact,
            training,
            samples,
            seed,
            options,
            polytope: OnceLock::new(),
        }
    }
}

/// A set, and its scale where that has a meaning.
pub struct Built<'a> {
    /// The set.
    pub set: Box<dyn AggregateSet + Sync + 'a>,
    /// γ of `γF + Δ`.
    pub gamma: Option<f64>,
}

impl<'a> Built<'a> {
    fn new(set: impl AggregateSet + Sync + 'a) -> Self {
        Self {
            set: Box::new(set),
            gamma: None,
        }
    }
}

/// Why there is no set.
pub enum Refusal {
    /// The method has no set for such a fleet (too many steps, or no extent); left out, with this reason.
    TooLarge(String),
    /// The run ends.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// How a set is made.
pub type Build = for<'c> fn(&'c Case<'c>) -> Result<Built<'c>, Refusal>;

/// One set of the comparison.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Name on the command line and in files.
    pub id: &'static str,
    /// Name in tables and figures.
    pub label: &'static str,
    /// What it promises.
    pub kind: Kind,
    /// Whether it learns from the training days of a task; others are made once for a fleet.
    pub trained: bool,
    /// Whether it differs from another one only in a choice that its authors leave open: left out
    /// of a short run.
    pub variant: bool,
    /// How it is made.
    pub build: Build,
}

impl Method {
    const fn new(id: &'static str, label: &'static str, kind: Kind, build: Build) -> Self {
        Self {
            id,
            label,
            kind,
            trained: false,
            variant: false,
            build,
        }
    }

    const fn inner(id: &'static str, label: &'static str, build: Build) -> Self {
        Self::new(id, label, Kind::Inner, build)
    }

    const fn outer(id: &'static str, label: &'static str, build: Build) -> Self {
        Self::new(id, label, Kind::Outer, build)
    }

    const fn trained(self) -> Self {
        Self {
            trained: true,
            ..self
        }
    }

    const fn variant(self) -> Self {
        Self {
            variant: true,
            ..self
        }
    }
}

/// All methods in the order of the tables. A new one is a line here.
#[rustfmt::skip]
pub const METHODS: &[Method] = &[
    Method::new("exact", "exact", Kind::Exact, exact),
    Method::inner("homothets", "structure preserving", |case| homothets(case, Tightened, Any)),
    Method::inner("homothets-as-given", "str. pres., h₀ as given", |case| homothets(case, AsGiven, Any)).variant(),
    Method::inner("homothets-each", "str. pres., h₀ tightened each", |case| homothets(case, TightenedEach, Any)).variant(),
    Method::inner("homothets-least-energy", "str. pres., least energy", |case| homothets(case, Tightened, LeastEnergy)).variant(),
    Method::inner("homothets-most-energy", "str. pres., most energy", |case| homothets(case, Tightened, MostEnergy)).variant(),
    Method::inner("homothets-each-least-energy", "str. pres., each, least energy", |case| homothets(case, TightenedEach, LeastEnergy)).variant(),
    Method::inner("general-affine", "general affine", general_affine),
    Method::inner("interval-rows", "interval rows, exact γ", interval_rows),
    Method::inner("hull-trained", "hull of training optima", hull_trained).trained(),
    Method::inner("hull-prices", "hull of price vertices", hull_prices),
    Method::inner("box", "largest box", largest_box),
    Method::inner("zonotope", "zonotope", zonotope),
    Method::inner("ellipsoid", "ellipsoid", ellipsoid),
    Method::outer("outer-intervals", "outer: intervals", |case| outer(TemplateOuter::intervals(case.fleet))),
    Method::outer("outer-tightened", "outer: tightened sums", |case| outer(TemplateOuter::tightened_battery(case.fleet))),
    Method::outer("outer-battery", "outer: sums as given", |case| outer(TemplateOuter::virtual_battery(case.fleet))),
];

/// The solver of all linear and quadratic programs here.
pub(crate) fn solver() -> Clarabel {
    Clarabel::default()
}

fn failed(error: evflex::flexibility::Error) -> Refusal {
    match error {
        evflex::flexibility::Error::TableTooLarge { .. }
        | evflex::flexibility::Error::UnboundedScaling => Refusal::TooLarge(error.to_string()),
        error => Refusal::Failed(Error::computing("a set")(error)),
    }
}

fn exact<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    let set = FleetPolymatroid::exact(case.fleet).map_err(failed)?;
    Ok(Built::new(set))
}

fn homothets<'c>(
    case: &'c Case<'c>,
    bounds: BaseBounds,
    translation: Translation,
) -> Result<Built<'c>, Refusal> {
    AffineInner::structure_preserving_with(case.fleet, bounds, translation, &solver(), case.options)
        .map(Built::new)
        .map_err(failed)
}

fn general_affine<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    AffineInner::general_affine(case.fleet, &solver(), case.options)
        .map(Built::new)
        .map_err(failed)
}

/// `γ_exact F + Δ` with all sums over consecutive steps as rows, `h_U(a) − a·Δ` as offsets, and Δ the
/// mean of the profiles that attain them: nothing is learned.
fn interval_rows<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    let rows = intervals(case.exact.steps());
    let mut centre = Array1::zeros(case.exact.steps());
    let mut supports = Vec::with_capacity(rows.len());
    for row in &rows {
        let support = case.exact.support(row.view()).map_err(failed)?;
        centre += &support.profile_kw;
        supports.push(support.value);
    }
    centre /= rows.len() as f64;
    let (low, high) = case.exact.band_kw();
    // Rounding must not push the centre out of a flat direction.
    let offset = |support: f64, at: f64| (support - at).max(0.0);
    let wide: Vec<(&Array1<f64>, f64)> = rows
        .iter()
        .zip(supports)
        .filter(|(row, _)| row.iter().filter(|entry| **entry != 0.0).count() > 1)
        .collect();
    let mut normals = Array2::zeros((wide.len(), case.exact.steps()));
    for (mut normal, (row, _)) in normals.outer_iter_mut().zip(&wide) {
        normal.assign(row);
    }
    let offsets = wide
        .iter()
        .map(|(row, support)| offset(*support, row.dot(&centre)));
    let polytope = InnerPolytope::new(
        normals,
        offsets.collect(),
        (&low - &centre).mapv(|bound| bound.min(0.0)),
        (&high - &centre).mapv(|bound| bound.max(0.0)),
    )
    .map_err(failed)?;
    let polytope = case.polytope.get_or_init(|| polytope);
    let (set, scaling) =
        ScaledPolytope::certified(case.exact, polytope, centre.view()).map_err(failed)?;
    Ok(Built {
        set: Box::new(set),
        gamma: Some(scaling.gamma),
    })
}

fn hull_trained<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    VertexHull::of_objectives(case.exact, case.training, case.options)
        .map(Built::new)
        .map_err(failed)
}

/// Optima of price profiles that are drawn as the embedded ones are, from a seed of their own.
fn hull_prices<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    let tariffs = EnergyPrices
        .tariffs(case.fleet.grid(), case.samples, !case.seed)
        .map_err(Error::computing("sampled prices"))?;
    let directions: Vec<Array1<f64>> = tariffs
        .iter()
        .map(|tariff| tariff.eur_per_mwh().iter().map(|price| -price).collect())
        .collect();
    VertexHull::of_directions(
        case.exact,
        directions.iter().map(|direction| direction.view()),
    )
    .map(Built::new)
    .map_err(failed)
}

fn largest_box<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    BoxInner::largest(case.exact, case.options)
        .map(Built::new)
        .map_err(failed)
}

fn zonotope<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    ZonotopeInner::new(case.exact, &solver(), case.options)
        .map(Built::new)
        .map_err(failed)
}

fn ellipsoid<'c>(case: &'c Case<'c>) -> Result<Built<'c>, Refusal> {
    EllipsoidInner::new(case.exact, &solver(), case.options)
        .map(Built::new)
        .map_err(failed)
}

fn outer<'c>(set: Result<TemplateOuter, evflex::flexibility::Error>) -> Result<Built<'c>, Refusal> {
    set.map(Built::new).map_err(failed)
}

/// Indicators of all runs of consecutive steps, with both signs.
fn intervals(steps: usize) -> Vec<Array1<f64>> {
    let mut rows = Vec::with_capacity(steps * (steps + 1));
    for first in 0..steps {
        for last in first..steps {
            for sign in [1.0, -1.0] {
                rows.push(Array1::from_shape_fn(steps, |t| {
                    if (first..=last).contains(&t) {
                        sign
                    } else {
                        0.0
                    }
                }));
            }
        }
    }
    rows
}
