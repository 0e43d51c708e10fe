//! Signs of what may be wrong with prototypes: the filter above the grid and the marks on cards.

use super::super::figures::grouped;
use super::GridQuery;
use crate::studio::{Health, HealthCount, OVERFULL, PrototypePage};

/// A link that shows only the prototypes with a sign, or all.
#[derive(Debug)]
pub(super) struct HealthLink {
    pub(super) href: String,
    pub(super) name: &'static str,
    pub(super) count: String,
    pub(super) definition: String,
    pub(super) current: bool,
}

/// A sign on a card.
#[derive(Debug)]
pub(in super::super) struct HealthMark {
    pub(in super::super) name: String,
    pub(in super::super) definition: String,
}

/// A sign by its word in the address.
pub(super) fn health_named(name: &str) -> Option<Health> {
    Health::ALL.into_iter().find(|health| health.name() == name)
}

/// All, then each sign.
pub(super) fn health_links(run: &str, query: &GridQuery, found: &PrototypePage) -> Vec<HealthLink> {
    let chosen = health_named(&query.health);
    let all = HealthLink {
        href: query.with(run, &[("health", "")]),
        name: "all",
        count: grouped(found.count as u64),
        definition: "Every prototype".into(),
        current: chosen.is_none(),
    };
    let signs = found
        .health
        .iter()
        .map(|&HealthCount { health, prototypes }| {
            let name = health.name();
            HealthLink {
                href: query.with(run, &[("health", name)]),
                name: word(health),
                count: grouped(prototypes as u64),
                definition: definition(health),
                current: chosen == Some(health),
            }
        });
    std::iter::once(all).chain(signs).collect()
}

/// Said while pictures are still being compared.
pub(super) fn pictures_note(found: &PrototypePage) -> Option<String> {
    let pictures = found.pictures;
    (pictures.done < pictures.total).then(|| {
        format!(
            "{} of {} pictures compared; duplicates among the others are not counted yet.",
            grouped(pictures.done as u64),
            grouped(pictures.total as u64)
        )
    })
}

/// The marks of a prototype.
pub(in super::super) fn health_marks(signs: &[Health], duplicates: usize) -> Vec<HealthMark> {
    let marks = signs.iter().map(|&health| HealthMark {
        name: match (health, duplicates) {
            (Health::DuplicateImages, 1) => "1 duplicate image".into(),
            (Health::DuplicateImages, n) => format!("{} duplicate images", grouped(n as u64)),
            _ => word(health).into(),
        },
        definition: definition(health),
    });
    marks.collect()
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Dead => "dead",
        Health::Overfull => "overfull",
        Health::SingleCaption => "single caption",
        Health::DuplicateImages => "duplicate images",
    }
}

fn definition(health: Health) -> String {
    match health {
        Health::Dead => "No sample of this episode is assigned to it".into(),
        Health::Overfull => format!("More than {OVERFULL} times the mean number of samples, N/K"),
        Health::SingleCaption => {
            "At least two samples, and all have the same caption but for case".into()
        }
        Health::DuplicateImages => {
            "Two of its samples show the same picture, pixel for pixel after decoding".into()
        }
    }
}
