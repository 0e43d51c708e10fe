//! What became of prototypes from one snapshot to the next, told by the samples that both have.
//!
//! Called by the studio, from any thread; a pure function of two groupings. Numbers mean nothing: an
//! episode clusters anew, and its prototype 7 has nothing to do with 7 before. An episode may draw
//! other samples, so only samples of both snapshots count, and a group without any takes no part. All
//! sizes below are numbers of such common samples.
//!
//! - **Match**: groups are paired one to one, the pair with the largest Jaccard overlap first (ties:
//!   more shared samples, then lower numbers).
//! - **Continued**: matched with a Jaccard overlap of at least [`CONTINUES`], which is the same as
//!   sharing at least half of the mean of the two sizes.
//! - **Split**: at least two groups each take [`SUBSTANTIAL`] of its samples or more, and two or more
//!   samples. **Merge**: at least two groups each bring that share of its samples. A group that
//!   splits may continue as its largest part, a merged one may continue its largest source.
//! - **Birth**: neither continued, nor part of a split, nor merged. **Death**: neither continues, nor
//!   splits, nor contributes to a merge.
//! - **Churn**: the share of common samples that are not in the match of their group.
//!
//! The events are those of MONIC (Spiliopoulou et al. 2006), with both shares and a one-to-one match.

use rustc_hash::FxHashMap;

use crate::data::SampleId;

/// Least Jaccard overlap of a prototype and its continuation.
pub const CONTINUES: f64 = 1.0 / 3.0;
/// Least share of a group's samples that makes another one a part or a source of it.
pub const SUBSTANTIAL: f64 = 0.25;
/// Fewest samples of a part or a source; one sample alone tells nothing.
const FEWEST: u32 = 2;

/// One snapshot's groups of one space.
#[derive(Debug, Clone, Copy)]
pub struct Grouping<'a> {
    /// `[n]`; of a sample that is there twice, the last counts.
    pub samples: &'a [SampleId],
    /// `[n]`: group of each sample, below `count`.
    pub groups: &'a [u32],
    /// Number of groups.
    pub count: usize,
}

/// How the groups of two snapshots hang together.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineage {
    /// Samples of both snapshots.
    pub common: usize,
    /// Different samples of the earlier and of the later snapshot.
    pub samples: (usize, usize),
    /// Pairs of groups with a common sample, by earlier, then by later group.
    pub links: Vec<LineageLink>,
    /// `[groups before]`
    pub fates: Vec<Fate>,
    /// `[groups after]`
    pub origins: Vec<Origin>,
    /// `[groups after]`: the group before that it continues.
    pub predecessors: Vec<Option<u32>>,
    /// Earlier groups that split, later groups that are merged.
    pub splits: usize,
    pub merges: usize,
    /// Common samples that are not in the match of their group.
    pub moved: usize,
}

/// Two groups that share samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineageLink {
    pub before: u32,
    pub after: u32,
    /// Samples in both, at least 1.
    pub shared: u32,
    /// Common samples of the earlier and of the later group.
    pub sizes: (u32, u32),
    /// Whether the one-to-one match pairs these groups.
    pub matched: bool,
}

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Continued,
    /// Ended, its parts live on.
    Split,
    /// Ended in a merge.
    Merged,
    Died,
    /// No sample of it is in the later snapshot.
    Unknown,
}

/// Where a group comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Continued,
    /// A part of a group that split.
    Split,
    /// Merged of several groups, none of which it continues.
    Merged,
    Born,
    /// No sample of it is in the earlier snapshot.
    Unknown,
}

impl LineageLink {
    /// Samples in both over samples in either, in (0, 1].
    pub fn jaccard(&self) -> f64 {
        f64::from(self.shared) / f64::from(self.sizes.0 + self.sizes.1 - self.shared)
    }

    /// Share of the earlier group's samples that went this way, in (0, 1].
    pub fn given(&self) -> f64 {
        f64::from(self.shared) / f64::from(self.sizes.0)
    }

    /// Share of the later group's samples that came this way, in (0, 1].
    pub fn received(&self) -> f64 {
        f64::from(self.shared) / f64::from(self.sizes.1)
    }

    fn is_part(&self) -> bool {
        self.shared >= FEWEST && self.given() >= SUBSTANTIAL
    }

    fn is_source(&self) -> bool {
        self.shared >= FEWEST && self.received() >= SUBSTANTIAL
    }
}

impl Lineage {
    /// Compares two snapshots of one space.
    pub fn between(before: Grouping<'_>, after: Grouping<'_>) -> Self {
        let (earlier, later) = (by_sample(before), by_sample(after));
        let mut links = links(&earlier, &later, (before.count, after.count));
        let predecessors = match_groups(&mut links, (before.count, after.count));
        let common: usize = links.iter().map(|link| link.shared as usize).sum();
        let kept = links.iter().filter(|link| link.matched);
        let kept: usize = kept.map(|link| link.shared as usize).sum();
        let parts = counted(before.count, &links, LineageLink::is_part, |link| {
            link.before
        });
        let sources = counted(after.count, &links, LineageLink::is_source, |link| {
            link.after
        });
        let several = |counts: &[u32]| counts.iter().filter(|&&count| count > 1).count();
        Self {
            common,
            samples: (earlier.len(), later.len()),
            fates: fates(before.count, &links, &predecessors, (&parts, &sources)),
            origins: origins(&links, &predecessors, (&parts, &sources)),
            splits: several(&parts),
            merges: several(&sources),
            moved: common - kept,
            predecessors,
            links,
        }
    }

    /// Later groups that continue an earlier one.
    pub fn continued(&self) -> usize {
        self.predecessors.iter().flatten().count()
    }

    pub fn births(&self) -> usize {
        let born = |origin: &&Origin| **origin == Origin::Born;
        self.origins.iter().filter(born).count()
    }

    pub fn deaths(&self) -> usize {
        let died = |fate: &&Fate| **fate == Fate::Died;
        self.fates.iter().filter(died).count()
    }

    /// Share of the common samples that changed group, in [0, 1); none without common samples.
    pub fn churn(&self) -> Option<f64> {
        (self.common > 0).then(|| self.moved as f64 / self.common as f64)
    }

    /// Share of the later snapshot's samples that the earlier one has too, in [0, 1].
    pub fn common_share(&self) -> f64 {
        self.common as f64 / self.samples.1.max(1) as f64
    }

    /// Links out of an earlier group, by later group.
    pub fn links_from(&self, before: u32) -> &[LineageLink] {
        let start = self.links.partition_point(|link| link.before < before);
        let end = self.links.partition_point(|link| link.before <= before);
        &self.links[start..end]
    }
}

fn by_sample(grouping: Grouping<'_>) -> FxHashMap<SampleId, u32> {
    let pairs = grouping.samples.iter().zip(grouping.groups);
    pairs.map(|(&sample, &group)| (sample, group)).collect()
}

/// Every pair of groups with a common sample, sorted.
fn links(
    earlier: &FxHashMap<SampleId, u32>,
    later: &FxHashMap<SampleId, u32>,
    (before, after): (usize, usize),
) -> Vec<LineageLink> {
    let both = later.iter();
    let both = both.filter_map(|(sample, &group)| Some((*earlier.get(sample)?, group)));
    let mut pairs: Vec<(u32, u32)> = both.collect();
    pairs.sort_unstable();
    let mut sizes = (vec![0_u32; before], vec![0_u32; after]);
    for &(from, to) in &pairs {
        sizes.0[from as usize] += 1;
        sizes.1[to as usize] += 1;
    }
    let same = pairs.chunk_by(|a, b| a == b);
    same.map(|same| LineageLink {
        before: same[0].0,
        after: same[0].1,
        shared: same.len() as u32,
        sizes: (sizes.0[same[0].0 as usize], sizes.1[same[0].1 as usize]),
        matched: false,
    })
    .collect()
}

/// Marks the one-to-one match; for each later group, the earlier one that it continues.
fn match_groups(links: &mut [LineageLink], (before, after): (usize, usize)) -> Vec<Option<u32>> {
    let mut order: Vec<usize> = (0..links.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&links[a], &links[b]);
        let overlap = b.jaccard().total_cmp(&a.jaccard());
        let shared = overlap.then(b.shared.cmp(&a.shared));
        shared.then((a.before, a.after).cmp(&(b.before, b.after)))
    });
    let mut taken = (vec![false; before], vec![false; after]);
    let mut predecessors = vec![None; after];
    for at in order {
        let link = &mut links[at];
        let (from, to) = (link.before as usize, link.after as usize);
        if taken.0[from] || taken.1[to] {
            continue;
        }
        (taken.0[from], taken.1[to]) = (true, true);
        link.matched = true;
        if link.jaccard() >= CONTINUES {
            predecessors[to] = Some(link.before);
        }
    }
    predecessors
}

/// For each group, its links of a kind.
fn counted(
    count: usize,
    links: &[LineageLink],
    kind: impl Fn(&LineageLink) -> bool,
    group: impl Fn(&LineageLink) -> u32,
) -> Vec<u32> {
    let mut counts = vec![0; count];
    for link in links.iter().filter(|link| kind(link)) {
        counts[group(link) as usize] += 1;
    }
    counts
}

fn fates(
    count: usize,
    links: &[LineageLink],
    predecessors: &[Option<u32>],
    (parts, sources): (&[u32], &[u32]),
) -> Vec<Fate> {
    let mut fates = vec![Fate::Unknown; count];
    for link in links {
        let merges = link.is_source() && sources[link.after as usize] > 1;
        let fate = &mut fates[link.before as usize];
        *fate = match *fate {
            _ if parts[link.before as usize] > 1 => Fate::Split,
            _ if merges => Fate::Merged,
            Fate::Unknown => Fate::Died,
            found => found,
        };
    }
    for &before in predecessors.iter().flatten() {
        fates[before as usize] = Fate::Continued;
    }
    fates
}

fn origins(
    links: &[LineageLink],
    predecessors: &[Option<u32>],
    (parts, sources): (&[u32], &[u32]),
) -> Vec<Origin> {
    let mut origins = vec![Origin::Unknown; predecessors.len()];
    for link in links {
        let split = link.is_part() && parts[link.before as usize] > 1;
        let origin = &mut origins[link.after as usize];
        *origin = match *origin {
            _ if sources[link.after as usize] > 1 => Origin::Merged,
            _ if split => Origin::Split,
            Origin::Unknown => Origin::Born,
            found => found,
        };
    }
    for (after, _) in predecessors.iter().enumerate().filter(|(_, p)| p.is_some()) {
        origins[after] = Origin::Continued;
    }
    origins
}

#[cfg(test)]
mod tests;
