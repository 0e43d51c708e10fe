//! What the samples of a prototype ask their students to predict.

use protoclip::config::TargetKind;
use protoclip::prototypes::{SoftTarget, Space, SpaceClusters};
use serde::Serialize;

use super::super::{RunId, Studio, StudioError, Supervision};
use super::page::image_url;
use super::snapshot_view::SnapshotView;
use super::student_side::in_the_softmax;

/// The target of one prototype, most probable prototypes first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetView {
    pub step: u64,
    pub space: Space,
    pub prototype: usize,
    pub supervision: Supervision,
    /// `−Σ p ln p` in nats; 0 for a hard target.
    pub entropy: f64,
    /// Entropy of a target that is the same for all that take part, `ln k`.
    pub most_entropy: f64,
    /// Probability of the prototype itself.
    pub own: f64,
    /// Prototypes of the softmax.
    pub count: usize,
    /// Every prototype that takes part; words and pictures for the first few only.
    pub shares: Vec<TargetShare>,
}

/// One entry of a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetShare {
    pub prototype: usize,
    pub probability: f64,
    /// Inner product of the two centroids, what the softmax divides by the temperature.
    pub similarity: f64,
    pub size: usize,
    pub words: Vec<String>,
    pub image_url: Option<String>,
}

/// Entries that are described.
pub const DESCRIBED_SHARES: usize = 12;

impl Studio {
    /// The target that samples of a prototype give their students, as the run computed it at this
    /// step (method, loss 2). `None` for a prototype without a sample, which is nobody's target.
    ///
    /// # Errors
    /// As [`Studio::prototype`].
    pub fn prototype_target(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
        prototype: usize,
    ) -> Result<Option<TargetView>, StudioError> {
        let (view, _) = self.snapshot(id, step)?;
        let clusters = view.clusters(space)?;
        if prototype >= clusters.count {
            return Err(view.no_such(space, prototype));
        }
        let supervision = self.supervision(id, (view.episode(), view.step()))?;
        if view.groups(space)?.members[prototype].is_empty() {
            return Ok(None);
        }
        target(&view, space, prototype, supervision)
    }
}

fn target(
    view: &SnapshotView,
    space: Space,
    prototype: usize,
    supervision: Supervision,
) -> Result<Option<TargetView>, StudioError> {
    let clusters = view.clusters(space)?;
    let sizes = clusters.sizes();
    let takes_part = in_the_softmax(&supervision, &sizes);
    let soft = match supervision.target_of(space) {
        TargetKind::Hard => one_hot(clusters.count, prototype),
        TargetKind::Soft => {
            let (centroids, temperature) = (&clusters.centroids, supervision.target_temperature);
            let soft = SoftTarget::of(centroids, clusters.dim, prototype, temperature, &takes_part);
            let Some(soft) = soft else {
                return Ok(None);
            };
            soft
        }
    };
    let mut order: Vec<usize> = (0..clusters.count).filter(|&id| takes_part[id]).collect();
    order.sort_by(|&a, &b| {
        let by_share = soft.probabilities[b].total_cmp(&soft.probabilities[a]);
        by_share
            .then(similarity(clusters, prototype, b).total_cmp(&similarity(clusters, prototype, a)))
    });
    let groups = view.groups(space)?;
    let shares = order.iter().enumerate().map(|(rank, &id)| {
        let described = rank < DESCRIBED_SHARES;
        let nearest = groups.members[id].first().filter(|_| described);
        TargetShare {
            prototype: id,
            probability: f64::from(soft.probabilities[id]),
            similarity: similarity(clusters, prototype, id),
            size: groups.members[id].len(),
            words: if described {
                view.words(&groups.members[id])
            } else {
                Vec::new()
            },
            image_url: nearest.map(|&p| image_url(view, view.samples()[p as usize])),
        }
    });
    Ok(Some(TargetView {
        step: view.step(),
        space,
        prototype,
        entropy: soft.entropy,
        most_entropy: (order.len().max(1) as f64).ln(),
        own: f64::from(soft.probabilities[prototype]),
        count: order.len(),
        shares: shares.collect(),
        supervision,
    }))
}

fn one_hot(count: usize, own: usize) -> SoftTarget {
    let mut probabilities = vec![0.0; count];
    probabilities[own] = 1.0;
    SoftTarget {
        probabilities,
        entropy: 0.0,
    }
}

fn similarity(clusters: &SpaceClusters, a: usize, b: usize) -> f64 {
    let row = |id: usize| &clusters.centroids[id * clusters.dim..(id + 1) * clusters.dim];
    let products = row(a).iter().zip(row(b));
    products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
