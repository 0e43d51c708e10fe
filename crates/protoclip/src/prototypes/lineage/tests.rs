//! Events by hand, and what holds for any two snapshots.

use proptest::prelude::*;

use super::*;

/// Samples 0, 1, … in the given groups.
fn compare(before: &[u32], after: &[u32]) -> Lineage {
    let samples: Vec<SampleId> = (0..before.len().max(after.len()) as u32).collect();
    let grouping = |groups| Grouping {
        samples: &samples[..before.len()],
        groups,
        count: groups.iter().max().map_or(0, |&most| most as usize + 1),
    };
    Lineage::between(grouping(before), grouping(after))
}

#[test]
fn renumbered_groups_continue_without_churn() {
    let lineage = compare(&[0, 0, 1, 1, 2, 2], &[2, 2, 0, 0, 1, 1]);
    assert_eq!(lineage.predecessors, [Some(1), Some(2), Some(0)]);
    assert_eq!(lineage.fates, [Fate::Continued; 3]);
    assert_eq!((lineage.splits, lineage.merges, lineage.moved), (0, 0, 0));
    assert_eq!(lineage.churn(), Some(0.0));
}

#[test]
fn a_split_goes_on_as_its_largest_part() {
    let lineage = compare(&[0; 10], &[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(lineage.fates, [Fate::Continued]);
    assert_eq!(lineage.origins, [Origin::Continued, Origin::Split]);
    assert_eq!((lineage.splits, lineage.births()), (1, 0));
    assert_eq!(lineage.churn(), Some(0.4));
}

#[test]
fn equal_parts_of_four_continue_nothing() {
    let lineage = compare(&[0; 8], &[0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(lineage.fates, [Fate::Split]);
    assert_eq!(lineage.origins, [Origin::Split; 4]);
    assert_eq!((lineage.splits, lineage.continued()), (1, 0));
}

#[test]
fn a_merge_is_no_death_of_its_sources() {
    let lineage = compare(&[0, 0, 1, 1, 2, 2, 3, 3], &[0; 8]);
    assert_eq!(lineage.fates, [Fate::Merged; 4]);
    assert_eq!(lineage.origins, [Origin::Merged]);
    assert_eq!((lineage.merges, lineage.deaths()), (1, 0));
}

#[test]
fn a_group_of_scattered_samples_is_born_and_one_that_scatters_dies() {
    // The last one gets one sample of each of five groups.
    let before: Vec<u32> = (0..50).map(|i| i / 10).collect();
    let mut after = before.clone();
    (0..5).for_each(|group| after[group * 10] = 5);
    let lineage = compare(&before, &after);
    assert_eq!(lineage.origins[5], Origin::Born);
    assert_eq!((lineage.births(), lineage.deaths()), (1, 0));
    let back = compare(&after, &before);
    assert_eq!(back.fates[5], Fate::Died);
    assert_eq!((back.births(), back.deaths()), (0, 1));
}

#[test]
fn only_common_samples_count() {
    let before = Grouping {
        samples: &[1, 2, 3, 4, 5, 6],
        groups: &[0, 0, 1, 1, 2, 2],
        count: 4,
    };
    let after = Grouping {
        samples: &[9, 2, 1, 8, 4, 3],
        groups: &[3, 1, 1, 3, 0, 0],
        count: 4,
    };
    let lineage = Lineage::between(before, after);
    assert_eq!((lineage.common, lineage.samples), (4, (6, 6)));
    assert_eq!(lineage.predecessors, [Some(1), Some(0), None, None]);
    assert_eq!(lineage.fates[2..], [Fate::Unknown; 2]);
    assert_eq!(lineage.origins[2..], [Origin::Unknown; 2]);
    assert_eq!((lineage.births(), lineage.deaths()), (0, 0));
    assert_eq!(lineage.links_from(1).len(), 1);
    assert!(lineage.links_from(2).is_empty());
}

#[test]
fn nothing_in_common_tells_nothing() {
    let before = Grouping {
        samples: &[1, 2],
        groups: &[0, 1],
        count: 2,
    };
    let after = Grouping {
        samples: &[3, 4],
        ..before
    };
    let lineage = Lineage::between(before, after);
    assert_eq!((lineage.churn(), lineage.common_share()), (None, 0.0));
    assert_eq!(lineage.fates, [Fate::Unknown; 2]);
}

fn groupings() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    (1_usize..80).prop_flat_map(|n| {
        let groups = || prop::collection::vec(0_u32..7, n);
        (groups(), groups())
    })
}

proptest! {
    #[test]
    fn samples_are_conserved_and_the_match_is_one_to_one((before, after) in groupings()) {
        let lineage = compare(&before, &after);
        let shared: usize = lineage.links.iter().map(|link| link.shared as usize).sum();
        prop_assert_eq!(shared, before.len());
        let matched: Vec<_> = lineage.links.iter().filter(|link| link.matched).collect();
        for (at, link) in matched.iter().enumerate() {
            for other in &matched[..at] {
                prop_assert!(link.before != other.before && link.after != other.after);
            }
        }
        let kept: usize = matched.iter().map(|link| link.shared as usize).sum();
        prop_assert_eq!(lineage.moved, before.len() - kept);
        for (after, before) in lineage.predecessors.iter().enumerate() {
            let Some(before) = before else { continue };
            let link = lineage.links.iter().find(|l| (l.before, l.after) == (*before, after as u32));
            prop_assert!(link.is_some_and(|link| link.matched && link.jaccard() >= CONTINUES));
        }
    }

    /// Backwards in time, splits are merges.
    #[test]
    fn time_reversed_splits_are_merges((before, after) in groupings()) {
        let (there, back) = (compare(&before, &after), compare(&after, &before));
        prop_assert_eq!((there.splits, there.merges), (back.merges, back.splits));
    }

    /// New names for the later groups rename the origins and change nothing else.
    #[test]
    fn groups_have_no_names(groups in prop::collection::vec(0_u32..7, 2..80)) {
        let renamed: Vec<u32> = groups.iter().map(|group| 6 - group).collect();
        let lineage = compare(&groups, &renamed);
        prop_assert_eq!(lineage.churn(), Some(0.0));
        let there = lineage.links.iter().all(|link| link.matched && link.jaccard() == 1.0);
        prop_assert!(there && lineage.births() == 0 && lineage.deaths() == 0);
    }
}
