//! Prototypes gathered into ever fewer groups, by Ward's method on their centroids.
//!
//! Called by the studio for its K-cut and for the few groups that colour a map, from any thread; runs
//! on the caller's. Joining groups A and B raises the sum of squared distances of all samples to the
//! mean of their group by `|A|·|B| / (|A| + |B|) · ‖mean A − mean B‖²`; the pair that raises it least
//! is joined first (Ward 1963). A prototype counts with its number of samples, so that the tree is
//! the one of the samples, given that those of one prototype stay together.
//!
//! Chains of nearest neighbours (Murtagh 1983) find all joins in O(k²·d) time and O(k·d) memory: a
//! join keeps no distance, only the mean. Above [`MOST_EXACT`] prototypes k-means first gathers the
//! centroids into that many bundles; joins inside bundles come before joins of bundles.

use super::kmeans::{KMeansConfig, KMeansError, kmeans};
use crate::kernels::distance::squared_distance;

/// Most prototypes whose tree is Ward's without bundles: about a second of one core at 128
/// dimensions.
pub const MOST_EXACT: usize = 4096;

/// Lloyd iterations that make bundles; more change little, as bundles hold few centroids.
const BUNDLE_ITERATIONS: usize = 8;

/// The order in which prototypes join.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    /// Prototypes, with and without samples.
    count: usize,
    /// Those with samples.
    occupied: usize,
    /// Joins by ascending cost, one less than there are prototypes with samples.
    joins: Vec<Join>,
    /// Prototypes without a sample, each with the nearest one that has some.
    adopted: Vec<(u32, u32)>,
}

/// Two prototypes whose groups become one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Join {
    first: u32,
    second: u32,
    /// What the join adds to the sum of squared distances.
    cost: f64,
}

/// Why prototypes have no hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HierarchyError {
    #[error("{values} centroid values do not form {count} rows of dimension {dim}")]
    Shape {
        values: usize,
        count: usize,
        dim: usize,
    },
    #[error("prototype {prototype}: its centroid is NaN or infinite")]
    NotFinite { prototype: usize },
    #[error("bundling the centroids: {0}")]
    Bundles(#[from] KMeansError),
}

/// The group of each prototype when all are gathered into `count` groups, as [`Hierarchy::cut`].
/// What 8 to 12 colours of a map stand for.
///
/// # Errors
/// As [`Hierarchy::of`].
pub fn super_groups(
    centroids: &[f32],
    dim: usize,
    sizes: &[u32],
    count: usize,
) -> Result<Vec<u32>, HierarchyError> {
    Ok(Hierarchy::of(centroids, dim, sizes)?.cut(count))
}

impl Hierarchy {
    /// The hierarchy of `centroids` `[k, dim]`, row-major, with `sizes` `[k]` samples each. A
    /// prototype without a sample has no part in it and follows the nearest one that has.
    ///
    /// # Errors
    /// When the shapes do not fit or a centroid is not finite.
    pub fn of(centroids: &[f32], dim: usize, sizes: &[u32]) -> Result<Self, HierarchyError> {
        let count = sizes.len();
        if dim == 0 || centroids.len() != count * dim {
            return Err(HierarchyError::Shape {
                values: centroids.len(),
                count,
                dim,
            });
        }
        if let Some(at) = centroids.iter().position(|value| !value.is_finite()) {
            let prototype = at / dim;
            return Err(HierarchyError::NotFinite { prototype });
        }
        let all = Rows {
            values: centroids,
            dim,
        };
        let (occupied, empty): (Vec<u32>, Vec<u32>) =
            (0..count as u32).partition(|&prototype| sizes[prototype as usize] > 0);
        let leaves = Leaves {
            weights: occupied
                .iter()
                .map(|&p| f64::from(sizes[p as usize]))
                .collect(),
            values: occupied.iter().flat_map(|&p| all.row(p)).copied().collect(),
            names: occupied,
            dim,
        };
        let joins = leaves.joins()?;
        let adopted = empty
            .into_iter()
            .filter_map(|prototype| Some((prototype, leaves.nearest(all.row(prototype))?)))
            .collect();
        Ok(Self {
            count,
            occupied: leaves.names.len(),
            joins,
            adopted,
        })
    }

    /// Most groups that a cut can have: prototypes with samples.
    pub fn most(&self) -> usize {
        self.occupied
    }

    /// Whether every join is Ward's; otherwise k-means made bundles first.
    pub fn is_exact(&self) -> bool {
        self.most() <= MOST_EXACT
    }

    /// `[k]`: the group of each prototype when `groups` groups remain, at least 1 and at most
    /// [`Hierarchy::most`]. Groups are numbered from 0 by their lowest prototype; a cut into more
    /// groups divides those of a cut into fewer.
    pub fn cut(&self, groups: usize) -> Vec<u32> {
        let mut parents: Vec<u32> = (0..self.count as u32).collect();
        let joined = (self.joins.len() + 1).saturating_sub(groups.max(1));
        let joins = self.joins.iter().take(joined);
        let pairs = joins.map(|join| (join.first, join.second));
        for (first, second) in pairs.chain(self.adopted.iter().copied()) {
            let (a, b) = (root(&mut parents, first), root(&mut parents, second));
            parents[a.max(b) as usize] = a.min(b);
        }
        number_groups(&mut parents)
    }
}

/// The root of a tree of parents; what lies on the way points to its grandparent after.
fn root(parents: &mut [u32], mut of: u32) -> u32 {
    while parents[of as usize] != of {
        let above = parents[parents[of as usize] as usize];
        parents[of as usize] = above;
        of = above;
    }
    of
}

/// Numbers of the groups in the order of their roots, which are their lowest members.
fn number_groups(parents: &mut [u32]) -> Vec<u32> {
    let mut numbers = vec![0; parents.len()];
    let mut next = 0;
    for member in 0..parents.len() as u32 {
        let top = root(parents, member);
        if top == member {
            numbers[member as usize] = next;
            next += 1;
        } else {
            numbers[member as usize] = numbers[top as usize];
        }
    }
    numbers
}

#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    fn row(self, index: u32) -> &'a [f32] {
        &self.values[index as usize * self.dim..][..self.dim]
    }
}

/// What is joined: rows with a weight and the number of the prototype that they stand for.
struct Leaves {
    names: Vec<u32>,
    weights: Vec<f64>,
    /// `[names, dim]`, row-major.
    values: Vec<f32>,
    dim: usize,
}

impl Leaves {
    fn rows(&self) -> Rows<'_> {
        Rows {
            values: &self.values,
            dim: self.dim,
        }
    }

    /// All joins by ascending cost.
    fn joins(&self) -> Result<Vec<Join>, HierarchyError> {
        if self.names.len() <= MOST_EXACT {
            let mut joins = NeighbourChain::over(self).joins();
            joins.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            return Ok(joins);
        }
        let bundles = self.bundles()?;
        let mut joins: Vec<Join> = bundles
            .iter()
            .flat_map(|bundle| NeighbourChain::over(bundle).joins())
            .collect();
        joins.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        joins.extend(Self::of_means(&bundles, self.dim).joins()?);
        Ok(joins)
    }

    /// The leaves in [`MOST_EXACT`] bundles or fewer.
    fn bundles(&self) -> Result<Vec<Self>, KMeansError> {
        let settings = KMeansConfig {
            count: MOST_EXACT,
            iterations: BUNDLE_ITERATIONS,
            restarts: 1,
            seed: 0,
        };
        let found = kmeans(&self.values, self.dim, &settings, None, &|_, _| true)?;
        let mut bundles: Vec<Self> = (0..MOST_EXACT).map(|_| Self::none(self.dim)).collect();
        for (leaf, &bundle) in found.assignments.iter().enumerate() {
            let bundle = &mut bundles[bundle as usize];
            bundle.names.push(self.names[leaf]);
            bundle.weights.push(self.weights[leaf]);
            bundle.values.extend(self.rows().row(leaf as u32));
        }
        bundles.retain(|bundle| !bundle.names.is_empty());
        Ok(bundles)
    }

    /// One leaf for each bundle: its weighted mean, named after its first member.
    fn of_means(bundles: &[Self], dim: usize) -> Self {
        let mut means = Self::none(dim);
        for bundle in bundles {
            let weight: f64 = bundle.weights.iter().sum();
            let mean = (0..dim).map(|column| {
                let values = bundle.values.iter().skip(column).step_by(dim);
                let weighted = values.zip(&bundle.weights).map(|(&v, w)| f64::from(v) * w);
                (weighted.sum::<f64>() / weight) as f32
            });
            means.names.push(bundle.names[0]);
            means.weights.push(weight);
            means.values.extend(mean);
        }
        means
    }

    const fn none(dim: usize) -> Self {
        Self {
            names: Vec::new(),
            weights: Vec::new(),
            values: Vec::new(),
            dim,
        }
    }

    /// Name of the leaf nearest to a point; the first at a tie.
    fn nearest(&self, point: &[f32]) -> Option<u32> {
        let distance = |leaf: u32| squared_distance(self.rows().row(leaf), point);
        let leaves = (0..self.names.len() as u32).map(|leaf| (distance(leaf), leaf));
        let (_, nearest) = leaves.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(self.names[nearest as usize])
    }
}

/// Groups on their way to one, and a chain of groups of which each is nearest to the one before.
/// When the last two are nearest to each other they join; with Ward's cost no later join changes
/// that, so the joins are those of the greedy order, found in another order.
struct NeighbourChain<'a> {
    names: &'a [u32],
    dim: usize,
    /// Means of the groups, each in the row of one of its leaves.
    means: Vec<f32>,
    weights: Vec<f64>,
    /// Cost of the join that made a group; a join with it costs no less.
    costs: Vec<f64>,
    /// Rows that are groups.
    active: Vec<u32>,
    chain: Vec<u32>,
}

impl<'a> NeighbourChain<'a> {
    fn over(leaves: &'a Leaves) -> Self {
        Self {
            names: &leaves.names,
            dim: leaves.dim,
            means: leaves.values.clone(),
            weights: leaves.weights.clone(),
            costs: vec![0.0; leaves.names.len()],
            active: (0..leaves.names.len() as u32).collect(),
            chain: Vec::new(),
        }
    }

    /// Every join; one comes after those that made its two groups and costs no less.
    fn joins(mut self) -> Vec<Join> {
        let mut joins = Vec::with_capacity(self.active.len().saturating_sub(1));
        while self.active.len() > 1 {
            let last = match self.chain.last() {
                Some(&last) => last,
                None => self.active[0],
            };
            if self.chain.is_empty() {
                self.chain.push(last);
            }
            let before = self.chain.iter().rev().nth(1).copied();
            let (cost, nearest) = self.nearest(last, before);
            if before == Some(nearest) {
                self.chain.truncate(self.chain.len() - 2);
                joins.push(self.join(last, nearest, cost));
            } else {
                self.chain.push(nearest);
            }
        }
        joins
    }

    /// The group whose join with `group` costs least: at a tie the one before it in the chain, so
    /// that the chain ends, otherwise the lowest.
    fn nearest(&self, group: u32, before: Option<u32>) -> (f64, u32) {
        let mut best = before.map_or((f64::INFINITY, group), |b| (self.cost(group, b), b));
        for &other in self.active.iter().filter(|&&other| other != group) {
            let cost = self.cost(group, other);
            if cost < best.0 || best.1 == group {
                best = (cost, other);
            }
        }
        best
    }

    fn cost(&self, a: u32, b: u32) -> f64 {
        let (left, right) = (self.weights[a as usize], self.weights[b as usize]);
        let means = Rows {
            values: &self.means,
            dim: self.dim,
        };
        let square = squared_distance(means.row(a), means.row(b));
        left * right / (left + right) * f64::from(square)
    }

    /// Joins two groups in the row of the first.
    fn join(&mut self, a: u32, b: u32, cost: f64) -> Join {
        let (kept, gone) = (a.min(b) as usize, a.max(b) as usize);
        let total = self.weights[kept] + self.weights[gone];
        let share = self.weights[gone] / total;
        let (head, tail) = self.means.split_at_mut(gone * self.dim);
        let mean = &mut head[kept * self.dim..][..self.dim];
        for (value, &other) in mean.iter_mut().zip(&tail[..self.dim]) {
            *value += ((f64::from(other) - f64::from(*value)) * share) as f32;
        }
        self.weights[kept] = total;
        self.costs[kept] = cost.max(self.costs[kept]).max(self.costs[gone]);
        self.active.retain(|&row| row as usize != gone);
        Join {
            first: self.names[kept],
            second: self.names[gone],
            cost: self.costs[kept],
        }
    }
}

#[cfg(test)]
mod tests;
