//! Where a prototype comes from and what becomes of it.

use super::super::figures::grouped;
use super::super::prototypes::{prototype_href, share, words};
use crate::studio::{Kin, PrototypeLineage, Relative};

/// Relatives in the snapshots before and after.
#[derive(Debug)]
pub(super) struct LineagePanel {
    pub(super) kin: Vec<KinList>,
}

#[derive(Debug)]
pub(super) struct KinList {
    pub(super) title: String,
    pub(super) relatives: Vec<RelativeLink>,
}

#[derive(Debug)]
pub(super) struct RelativeLink {
    pub(super) href: String,
    pub(super) words: String,
    pub(super) share: String,
    pub(super) title: String,
}

impl LineagePanel {
    pub(super) fn new(run: &str, lineage: &PrototypeLineage) -> Self {
        let before = lineage.before.as_ref();
        let before = before.map(|kin| KinList::ancestors(run, kin));
        let after = lineage.after.as_ref();
        let after = after.map(|kin| KinList::descendants(run, kin));
        Self {
            kin: before.into_iter().chain(after).collect(),
        }
    }
}

impl KinList {
    pub(super) fn ancestors(run: &str, kin: &Kin) -> Self {
        Self::new(run, kin, origin(kin.event), "comes from it")
    }

    pub(super) fn descendants(run: &str, kin: &Kin) -> Self {
        Self::new(run, kin, fate(kin.event), "goes there")
    }

    fn new(run: &str, kin: &Kin, event: &str, way: &str) -> Self {
        let link = |relative: &Relative| {
            let node = &relative.prototype;
            let id = node.prototype as usize;
            RelativeLink {
                href: prototype_href(run, id, node.space.name(), kin.step),
                words: words(&node.words, id),
                share: share(relative.share),
                title: format!(
                    "{} of the samples that both snapshots hold {way}: {} samples{}",
                    share(relative.share),
                    grouped(u64::from(relative.shared)),
                    if relative.continues {
                        ", its continuation"
                    } else {
                        ""
                    }
                ),
            }
        };
        Self {
            title: format!("{event} step {}", grouped(kin.step)),
            relatives: kin.relatives.iter().map(link).collect(),
        }
    }
}

fn origin(event: &str) -> &'static str {
    match event {
        "continued" => "Continues one of",
        "split" => "Part of a split since",
        "merged" => "Merged since",
        "born" => "Born since",
        _ => "None of its samples is in",
    }
}

fn fate(event: &str) -> &'static str {
    match event {
        "continued" => "Continued at",
        "split" => "Split by",
        "merged" => "Merged into another by",
        "died" => "Died before",
        _ => "None of its samples is in",
    }
}
