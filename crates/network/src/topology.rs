//! Whether a network is radial, and if not, which buses say so.

use std::collections::VecDeque;

use crate::Error;

/// A rooted forest over buses: every bus knows the way to its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forest {
    /// Bus indices, sources first, every parent before its children.
    pub(crate) order: Vec<usize>,
    /// Parent bus of every bus; `usize::MAX` for sources and buses left out.
    pub(crate) parent: Vec<usize>,
    /// Branch to the parent; `usize::MAX` for sources and buses left out.
    pub(crate) branch: Vec<usize>,
}

/// No parent, no branch.
pub(crate) const NONE: usize = usize::MAX;

impl Forest {
    /// Grows the forest from `sources` over `edges` (branch index, from, to), which connect bus indices. Buses with
    /// `left_out` need not be reached. Breadth first, children in the order of the branches.
    pub(crate) fn grow(
        ids: &[u32],
        left_out: &[bool],
        sources: &[usize],
        edges: &[(usize, usize, usize)],
    ) -> Result<Self, Error> {
        let count = ids.len();
        let mut neighbours: Vec<Vec<(usize, usize)>> = vec![Vec::new(); count];
        for &(branch, from, to) in edges {
            if from == to {
                return Err(Error::Loop {
                    buses: vec![ids[from]],
                });
            }
            neighbours[from].push((branch, to));
            neighbours[to].push((branch, from));
        }
        let mut parent = vec![NONE; count];
        let mut above = vec![NONE; count];
        let mut seen = vec![false; count];
        let mut order = Vec::with_capacity(count);
        let mut queue: VecDeque<usize> = sources.iter().copied().collect();
        for &source in sources {
            seen[source] = true;
        }
        while let Some(bus) = queue.pop_front() {
            order.push(bus);
            for &(branch, next) in &neighbours[bus] {
                if branch == above[bus] {
                    continue;
                }
                if seen[next] {
                    return Err(not_radial(ids, &parent, bus, next));
                }
                seen[next] = true;
                parent[next] = bus;
                above[next] = branch;
                queue.push_back(next);
            }
        }
        let island: Vec<u32> = (0..count)
            .filter(|&bus| !seen[bus] && !left_out[bus])
            .map(|bus| ids[bus])
            .collect();
        if island.is_empty() {
            Ok(Self {
                order,
                parent,
                branch: above,
            })
        } else {
            Err(Error::Island { buses: island })
        }
    }
}

/// The way from a bus up to its source, both included.
fn way_up(parent: &[usize], mut bus: usize) -> Vec<usize> {
    let mut way = vec![bus];
    while parent[bus] != NONE {
        bus = parent[bus];
        way.push(bus);
    }
    way
}

/// The fault that a branch between two reached buses makes: a loop, or a bridge between two sources.
fn not_radial(ids: &[u32], parent: &[usize], a: usize, b: usize) -> Error {
    let (mut up_a, mut up_b) = (way_up(parent, a), way_up(parent, b));
    if up_a.last() != up_b.last() {
        up_a.reverse();
        up_a.append(&mut up_b);
        return Error::JoinedSources {
            buses: up_a.into_iter().map(|bus| ids[bus]).collect(),
        };
    }
    // Cut what both ways share, but keep the last bus that they share.
    while up_a.len() > 1 && up_b.len() > 1 && up_a[up_a.len() - 2] == up_b[up_b.len() - 2] {
        up_a.pop();
        up_b.pop();
    }
    up_a.pop(); // the shared bus stays at the end of the other way
    up_a.reverse();
    up_a.append(&mut up_b);
    Error::Loop {
        buses: up_a.into_iter().map(|bus| ids[bus]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(sources: &[usize], edges: &[(usize, usize)]) -> Result<Forest, Error> {
        let ids: Vec<u32> = (0..8).map(|index| 10 + index).collect();
        let edges: Vec<_> = edges
            .iter()
            .enumerate()
            .map(|(branch, &(from, to))| (branch, from, to))
            .collect();
        Forest::grow(&ids, &[false; 8], sources, &edges)
    }

    #[test]
    fn parents_come_before_children() {
        let forest = grow(
            &[3],
            &[(0, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 4), (7, 6)],
        )
        .unwrap();
        assert_eq!(forest.order, [3, 2, 4, 1, 5, 6, 0, 7]);
        assert_eq!(forest.parent[0], 1);
        assert_eq!(forest.branch[1], 1);
        assert_eq!(forest.parent[3], NONE);
    }

    #[test]
    fn a_loop_is_named_bus_by_bus() {
        let edges = [
            (0, 1),
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 1),
            (4, 5),
            (5, 6),
            (6, 7),
        ];
        let Err(Error::Loop { mut buses }) = grow(&[0], &edges) else {
            panic!("a loop")
        };
        // Neighbours in the list are neighbours in the network, around the loop 1-2-3-4.
        let around = |a: u32, b: u32| {
            let (a, b) = (a as usize, b as usize);
            edges
                .iter()
                .any(|&(f, t)| (f + 10, t + 10) == (a, b) || (t + 10, f + 10) == (a, b))
        };
        for position in 0..buses.len() {
            assert!(
                around(buses[position], buses[(position + 1) % buses.len()]),
                "{buses:?}"
            );
        }
        buses.sort_unstable();
        assert_eq!(buses, [11, 12, 13, 14]);
    }

    #[test]
    fn parallel_branches_and_branches_to_themselves_are_loops() {
        let Err(Error::Loop { buses }) = grow(&[0], &[(0, 1), (1, 2), (2, 1)]) else {
            panic!("a loop")
        };
        assert_eq!(buses.len(), 2);
        let Err(Error::Loop { buses }) = grow(&[0], &[(0, 1), (1, 1)]) else {
            panic!("a loop")
        };
        assert_eq!(buses, [11]);
    }

    #[test]
    fn two_sources_may_not_meet() {
        let Err(Error::JoinedSources { buses }) = grow(&[0, 3], &[(0, 1), (1, 2), (2, 3)]) else {
            panic!("joined sources")
        };
        assert!(
            buses == [10, 11, 12, 13] || buses == [13, 12, 11, 10],
            "{buses:?}"
        );
    }

    #[test]
    fn what_no_source_reaches_is_named() {
        let Err(Error::Island { buses }) = grow(&[0, 5], &[(0, 1), (1, 2), (5, 6), (3, 4)]) else {
            panic!("an island")
        };
        assert_eq!(buses, [13, 14, 17]);
    }
}
