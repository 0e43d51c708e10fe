//! Means of groups of rows: the update of k-means, and prototype back translation.

use rayon::prelude::*;

/// Mean row and number of rows of each group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupMeans {
    /// `[count, dim]`, row-major; zero for a group without rows.
    pub(crate) means: Vec<f32>,
    /// `[count]`.
    pub(crate) counts: Vec<u32>,
}

/// Means of `rows` `[n, dim]` by `groups` `[n]`, each below `count`. Every group is summed in f64 in
/// the order of its rows, so the result does not depend on the number of threads.
pub(crate) fn group_means(rows: &[f32], dim: usize, groups: &[u32], count: usize) -> GroupMeans {
    let mut means = vec![0.0; count * dim];
    let counts = refresh_group_means(rows, dim, groups, &mut means, &vec![true; count]);
    GroupMeans { means, counts }
}

/// Computes the means of the `stale` groups `[count]` again, to the same bits as [`group_means`],
/// and leaves the others as they are; the sizes of all groups. A stale group without rows keeps its
/// mean.
pub(crate) fn refresh_group_means(
    rows: &[f32],
    dim: usize,
    groups: &[u32],
    means: &mut [f32],
    stale: &[bool],
) -> Vec<u32> {
    let counts = group_sizes(groups, stale.len());
    let (starts, members) = members_by_group(groups, &counts);
    let all = means.par_chunks_mut(dim).zip(stale).enumerate();
    all.filter(|(_, (_, stale))| **stale).for_each_init(
        || vec![0.0f64; dim],
        |sum, (group, (mean, _))| {
            let members = &members[starts[group]..starts[group + 1]];
            mean_of(rows, members, sum, mean);
        },
    );
    counts
}

/// Number of members of each group.
pub(crate) fn group_sizes(groups: &[u32], count: usize) -> Vec<u32> {
    let mut sizes = vec![0; count];
    for &group in groups {
        sizes[group as usize] += 1;
    }
    sizes
}

/// Row numbers sorted by group, ascending within one, and where each group starts.
fn members_by_group(groups: &[u32], counts: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = Vec::with_capacity(counts.len() + 1);
    let mut total = 0;
    starts.push(0);
    for &count in counts {
        total += count as usize;
        starts.push(total);
    }
    let mut next = starts.clone();
    let mut members = vec![0; groups.len()];
    for (row, &group) in groups.iter().enumerate() {
        let slot = &mut next[group as usize];
        members[*slot] = row as u32;
        *slot += 1;
    }
    (starts, members)
}

fn mean_of(rows: &[f32], members: &[u32], sum: &mut [f64], mean: &mut [f32]) {
    if members.is_empty() {
        return;
    }
    sum.fill(0.0);
    for &member in members {
        let row = &rows[member as usize * sum.len()..][..sum.len()];
        for (total, &value) in sum.iter_mut().zip(row) {
            *total += f64::from(value);
        }
    }
    let weight = 1.0 / members.len() as f64;
    for (value, &total) in mean.iter_mut().zip(sum.iter()) {
        *value = (total * weight) as f32;
    }
}
