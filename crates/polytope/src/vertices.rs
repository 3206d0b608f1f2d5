//! From inequalities to vertices and back, in low dimension.

use ndarray::{Array1, Array2, ArrayView1};

use crate::linear::{Cholesky, largest, norm, null_vector};
use crate::{Error, HPolytope, VPolytope};

/// The largest dimension in which vertices, facets and exact volumes are computed: their number grows exponentially.
pub const MAX_DIM: usize = 8;

/// A number of vertices that keeps an enumeration within seconds.
pub const DEFAULT_LIMIT: usize = 2_000;

/// Values of unit rows at unit rays count as zero up to this size.
const ZERO: f64 = 1e-10;

/// Points closer than this part of the set's size are one vertex; a vertex this close to a row lies on it.
const CLOSE: f64 = 1e-8;

impl HPolytope {
    /// The vertices, by the double description method (Motzkin et al. 1953; Fukuda and Prodon 1996): the rows are added one by one
    /// to a cone whose extreme rays are known.
    ///
    /// `limit` bounds the number of rays at any time ([`DEFAULT_LIMIT`] is a reasonable choice); time grows with
    /// the cube of that number. Vertices closer than 1e-8 of the set's size are merged.
    ///
    /// ```
    /// use evflex_polytope::{HPolytope, vertices};
    /// let cube = HPolytope::hyperbox(&[0.0; 3], &[1.0; 3])?;
    /// assert_eq!(cube.vertices(vertices::DEFAULT_LIMIT)?.points().nrows(), 8);
    /// # Ok::<(), evflex_polytope::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dimension`] beyond [`MAX_DIM`], [`Error::TooMany`] beyond the limit, [`Error::Empty`],
    /// [`Error::Unbounded`] with a direction.
    pub fn vertices(&self, limit: usize) -> Result<VPolytope, Error> {
        let n = self.dimension();
        check_dimension("vertices", n)?;
        // In units of the set's size, so that rows of the cone are about as long in t as in x.
        let unit = match self.typical_distance() {
            0.0 => 1.0,
            distance => distance,
        };
        let mut rows = vec![{
            let mut row = Array1::zeros(n + 1);
            row[0] = 1.0;
            row
        }];
        for (normal, &offset) in self.normals().rows().into_iter().zip(self.offsets()) {
            let length = norm(normal);
            if length == 0.0 {
                if offset < 0.0 {
                    return Err(Error::Empty {
                        what: "the polytope",
                    });
                }
                continue;
            }
            let mut row = Array1::zeros(n + 1);
            row[0] = offset / (length * unit);
            for k in 0..n {
                row[k + 1] = -normal[k] / length;
            }
            let length = norm(row.view());
            rows.push(row / length);
        }
        let rays = match extreme_rays(&rows, limit)? {
            Rays::Line(line) => {
                return Err(Error::Unbounded {
                    what: "the polytope",
                    direction: tail(&line).to_vec(),
                });
            }
            Rays::Extreme(rays) => rays,
        };
        let mut found: Vec<Array1<f64>> = Vec::new();
        let mut endless: Option<Array1<f64>> = None;
        for ray in &rays {
            let direction = tail(ray);
            if ray[0] <= ZERO {
                endless = Some(direction.to_owned());
                continue;
            }
            found.push(direction.mapv(|value| value / ray[0] * unit));
        }
        if found.is_empty() {
            return Err(Error::Empty {
                what: "the polytope",
            });
        }
        if let Some(direction) = endless {
            return Err(Error::Unbounded {
                what: "the polytope",
                direction: direction.to_vec(),
            });
        }
        let size = found.iter().map(largest).fold(0.0, f64::max);
        let mut points: Vec<Array1<f64>> = Vec::with_capacity(found.len());
        for point in found {
            if points
                .iter()
                .all(|other| largest(&(other - &point)) > CLOSE * size)
            {
                points.push(point);
            }
        }
        VPolytope::new(Array2::from_shape_fn((points.len(), n), |(k, j)| {
            points[k][j]
        }))
    }

    /// For every row, which of the points lie on it; bit `k` of word `k / 64` is point `k`.
    pub(crate) fn incidence(&self, points: &VPolytope) -> Vec<Bits> {
        let size = largest(points.points());
        self.normals()
            .rows()
            .into_iter()
            .zip(self.offsets())
            .map(|(normal, &offset)| {
                let length = norm(normal);
                let mut bits = Bits::none(points.points().nrows());
                for (k, point) in points.points().rows().into_iter().enumerate() {
                    if (offset - normal.dot(&point)).abs() <= CLOSE * length * size {
                        bits.insert(k);
                    }
                }
                bits
            })
            .collect()
    }
}

impl VPolytope {
    /// The facets of the hull, by the same method on the cone of valid inequalities.
    ///
    /// # Errors
    /// [`Error::Dimension`] beyond [`MAX_DIM`], [`Error::TooMany`] beyond the limit, [`Error::Flat`] when the points lie in a
    /// hyperplane: then the hull has no facets of its own.
    pub fn facets(&self, limit: usize) -> Result<HPolytope, Error> {
        let n = self.dimension();
        check_dimension("facets", n)?;
        let (lower, upper) = self.bounding_box();
        let middle = (&lower + &upper) / 2.0;
        let unit = largest(&(&upper - &lower)) / 2.0;
        if unit == 0.0 {
            return Err(Error::Flat { radius: 0.0 });
        }
        // Inequalities a·x ≤ b that hold for every point: b − a·v ≥ 0.
        let rows: Vec<Array1<f64>> = self
            .points()
            .rows()
            .into_iter()
            .map(|point| {
                let mut row = Array1::zeros(n + 1);
                row[0] = 1.0;
                for k in 0..n {
                    row[k + 1] = -(point[k] - middle[k]) / unit;
                }
                let length = norm(row.view());
                row / length
            })
            .collect();
        let Rays::Extreme(rays) = extreme_rays(&rows, limit)? else {
            return Err(Error::Flat { radius: 0.0 });
        };
        let mut normals = Array2::zeros((rays.len(), n));
        let mut offsets = Array1::zeros(rays.len());
        for (k, ray) in rays.iter().enumerate() {
            let direction = tail(ray);
            let length = norm(direction);
            if length <= ZERO {
                return Err(Error::Flat { radius: 0.0 }); // 0·x ≤ 1 is a facet of nothing
            }
            normals.row_mut(k).assign(&(&direction / length));
            offsets[k] = ray[0] / length * unit + normals.row(k).dot(&middle);
        }
        HPolytope::new(normals, offsets)
    }
}

/// A ray without its first coordinate.
fn tail(ray: &Array1<f64>) -> ArrayView1<'_, f64> {
    ray.slice(ndarray::s![1..])
}

pub(crate) fn check_dimension(what: &'static str, dimension: usize) -> Result<(), Error> {
    if dimension <= MAX_DIM {
        return Ok(());
    }
    Err(Error::Dimension {
        what,
        dimension,
        limit: MAX_DIM,
        way_out: "ask for support values, samples or an estimated volume instead",
    })
}

/// A set of small numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, k: usize) {
        self.0[k / 64] |= 1 << (k % 64);
    }

    pub(crate) fn has(&self, k: usize) -> bool {
        self.0[k / 64] >> (k % 64) & 1 == 1
    }

    pub(crate) fn intersect(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub(crate) fn is_inside(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn first(&self) -> Option<usize> {
        (0..self.0.len() * 64).find(|&k| self.has(k))
    }
}

enum Rays {
    /// The cone holds this line.
    Line(Array1<f64>),
    Extreme(Vec<Array1<f64>>),
}

/// An extreme ray and the rows that are zero at it.
struct Ray {
    direction: Array1<f64>,
    zeros: Bits,
}

/// The extreme rays of `{r : row·r ≥ 0 for all rows}`; the rows have length about 1.
fn extreme_rays(rows: &[Array1<f64>], limit: usize) -> Result<Rays, Error> {
    let n = rows[0].len();
    let stacked = Array2::from_shape_fn((rows.len(), n), |(k, j)| rows[k][j]);
    if let Some(line) = null_vector(stacked.view()) {
        return Ok(Rays::Line(line));
    }
    let start = independent_rows(rows, n);
    let mut rays = first_rays(rows, &start);
    for (at, row) in rows.iter().enumerate() {
        if start.contains(&at) {
            continue;
        }
        add_row(&mut rays, row.view(), at, n);
        if rays.len() > limit {
            return Err(Error::TooMany {
                what: "rays in the enumeration of vertices",
                limit,
            });
        }
    }
    Ok(Rays::Extreme(
        rays.into_iter().map(|ray| ray.direction).collect(),
    ))
}

/// Positions of `n` independent rows, chosen greedily: each is the one that sticks out most from those before.
fn independent_rows(rows: &[Array1<f64>], n: usize) -> Vec<usize> {
    let mut rest: Vec<Array1<f64>> = rows.to_vec();
    let mut chosen = Vec::with_capacity(n);
    for _ in 0..n {
        let mut best = (0, 0.0);
        for (at, row) in rest.iter().enumerate() {
            let length = norm(row.view());
            if length > best.1 && !chosen.contains(&at) {
                best = (at, length);
            }
        }
        let direction = &rest[best.0] / best.1.max(f64::MIN_POSITIVE);
        chosen.push(best.0);
        for row in &mut rest {
            // Twice, against cancellation.
            for _ in 0..2 {
                let along = direction.dot(row);
                row.scaled_add(-along, &direction);
            }
        }
    }
    chosen
}

/// The rays of the cone of the chosen rows alone: ray j is zero at all but row j.
fn first_rays(rows: &[Array1<f64>], chosen: &[usize]) -> Vec<Ray> {
    let n = chosen.len();
    let m = Array2::from_shape_fn((n, n), |(k, j)| rows[chosen[k]][j]);
    let gram = Cholesky::of(&m.dot(&m.t()));
    let mut rays = Vec::with_capacity(n);
    for j in 0..n {
        let mut unit = Array1::zeros(n);
        unit[j] = 1.0;
        // M Mᵀ y = e_j, ray = Mᵀ y; once more for what is left.
        let mut direction = m.t().dot(&gram.solve(unit.view()));
        let off = &unit - &m.dot(&direction);
        direction += &m.t().dot(&gram.solve(off.view()));
        let length = norm(direction.view());
        let mut zeros = Bits::none(rows.len());
        for (k, &row) in chosen.iter().enumerate() {
            if k != j {
                zeros.insert(row);
            }
        }
        rays.push(Ray {
            direction: direction / length,
            zeros,
        });
    }
    rays
}

/// Cuts the cone with one more row: rays on the wrong side go, and every adjacent pair across it leaves a new one.
fn add_row(rays: &mut Vec<Ray>, row: ArrayView1<'_, f64>, at: usize, n: usize) {
    let values: Vec<f64> = rays.iter().map(|ray| row.dot(&ray.direction)).collect();
    let mut made: Vec<Ray> = Vec::new();
    for p in (0..rays.len()).filter(|&p| values[p] > ZERO) {
        for q in (0..rays.len()).filter(|&q| values[q] < -ZERO) {
            let common = rays[p].zeros.intersect(&rays[q].zeros);
            if (common.count() as usize) + 2 < n {
                continue;
            }
            let adjacent = (0..rays.len())
                .all(|other| other == p || other == q || !common.is_inside(&rays[other].zeros));
            if !adjacent {
                continue;
            }
            let mut direction = &rays[q].direction * values[p];
            direction.scaled_add(-values[q], &rays[p].direction);
            let length = norm(direction.view());
            let mut zeros = common;
            zeros.insert(at);
            made.push(Ray {
                direction: direction / length,
                zeros,
            });
        }
    }
    let mut index = 0;
    rays.retain_mut(|ray| {
        let value = values[index];
        index += 1;
        if value.abs() <= ZERO {
            ray.zeros.insert(at);
        }
        value >= -ZERO
    });
    rays.append(&mut made);
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_pyramid_has_five_vertices() {
        // Four facets meet in the tip: the degenerate case.
        let pyramid = HPolytope::new(
            array![
                [1.0, 0.0, 1.0],
                [-1.0, 0.0, 1.0],
                [0.0, 1.0, 1.0],
                [0.0, -1.0, 1.0],
                [0.0, 0.0, -1.0]
            ],
            array![1.0, 1.0, 1.0, 1.0, 0.0],
        )
        .unwrap();
        let vertices = pyramid.vertices(100).unwrap();
        assert_eq!(vertices.points().nrows(), 5);
        let top = vertices.support(array![0.0, 0.0, 1.0].view()).unwrap();
        assert!((top.value - 1.0).abs() < 1e-12);
        assert_eq!(vertices.facets(100).unwrap().rows(), 5);
    }

    #[test]
    fn what_has_no_vertices_is_refused_by_name() {
        let strip = HPolytope::new(array![[1.0, 0.0], [-1.0, 0.0]], array![1.0, 0.0]).unwrap();
        assert!(matches!(strip.vertices(9), Err(Error::Unbounded { .. })));
        let quadrant = HPolytope::new(array![[-1.0, 0.0], [0.0, -1.0]], array![0.0, 0.0]).unwrap();
        assert!(matches!(quadrant.vertices(9), Err(Error::Unbounded { .. })));
        let nothing = HPolytope::new(
            array![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
            array![0.0, -1.0, 1.0, 1.0],
        )
        .unwrap();
        assert!(matches!(nothing.vertices(9), Err(Error::Empty { .. })));
        let cube = HPolytope::hyperbox(&[0.0; 4], &[1.0; 4]).unwrap();
        assert!(matches!(cube.vertices(10), Err(Error::TooMany { .. })));
        let large = HPolytope::hyperbox(&[0.0; 9], &[1.0; 9]).unwrap();
        assert!(matches!(large.vertices(10), Err(Error::Dimension { .. })));
        let line = VPolytope::new(array![[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]).unwrap();
        assert!(matches!(line.facets(10), Err(Error::Flat { .. })));
    }

    #[test]
    fn flat_sets_have_vertices() {
        let segment = HPolytope::hyperbox(&[0.0, 2.0], &[1.0, 2.0]).unwrap();
        let points = segment.vertices(9).unwrap();
        assert_eq!(points.points().nrows(), 2);
        assert_eq!(points.bounding_box(), (array![0.0, 2.0], array![1.0, 2.0]));
    }
}
