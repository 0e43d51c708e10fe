//! What is known about one sample between two assignments.

use std::cmp::Ordering;

/// Most centroids that are remembered per sample.
pub(super) const MOST_NEAR: usize = 16;

/// A centroid and a distance that it is certain not to be below.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Near {
    pub(super) id: u32,
    pub(super) least: f32,
}

impl Near {
    pub(super) fn by_distance(a: &Self, b: &Self) -> Ordering {
        a.least.total_cmp(&b.least).then(a.id.cmp(&b.id))
    }
}

/// A sample's nearest centroid and its neighbourhood: every centroid that is not listed in `near` is
/// at least `floor` away.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Neighbourhood {
    pub(super) nearest: u32,
    /// Squared distance to the nearest.
    pub(super) square: f32,
    pub(super) floor: f32,
    count: u8,
    near: [Near; MOST_NEAR],
}

impl Neighbourhood {
    /// Nothing is known yet.
    pub(super) fn unknown() -> Self {
        Self {
            nearest: u32::MAX,
            square: f32::INFINITY,
            floor: 0.0,
            count: 0,
            near: [Near::default(); MOST_NEAR],
        }
    }

    /// Forgets all but the nearest centroid.
    pub(super) fn forget(&mut self) {
        self.floor = f32::INFINITY;
        self.count = 0;
    }

    pub(super) fn best(&self) -> (u32, f32) {
        (self.nearest, self.square)
    }

    pub(super) fn set_best(&mut self, (nearest, square): (u32, f32)) {
        self.nearest = nearest;
        self.square = square;
    }

    pub(super) fn near(&self) -> &[Near] {
        &self.near[..usize::from(self.count)]
    }

    pub(super) fn near_mut(&mut self) -> &mut [Near] {
        &mut self.near[..usize::from(self.count)]
    }

    /// After centroids moved by `moved` `[k]`: forgets those that moved farther than `allowance`,
    /// which must be looked for again, and trusts the others by as much less as they moved.
    pub(super) fn age(&mut self, moved: &[f32], allowance: f32) {
        let mut kept = 0;
        for place in 0..usize::from(self.count) {
            let Near { id, least } = self.near[place];
            let step = moved[id as usize];
            if step <= allowance {
                let least = (least * (1.0 - 2.0 * f32::EPSILON) - step).max(0.0);
                self.near[kept] = Near { id, least };
                kept += 1;
            }
        }
        self.count = kept as u8;
        self.floor = (self.floor * (1.0 - 2.0 * f32::EPSILON) - allowance).max(0.0);
    }

    /// Lists `found` as well; all others that were looked at are at least `floor` away. The farthest
    /// are dropped where the list is full.
    pub(super) fn learn(&mut self, found: &mut Vec<Near>, floor: f32) {
        self.floor = self.floor.min(floor);
        if usize::from(self.count) + found.len() > MOST_NEAR {
            found.extend_from_slice(self.near());
            let (_, dropped, _) = found.select_nth_unstable_by(MOST_NEAR, Near::by_distance);
            self.floor = self.floor.min(dropped.least);
            found.truncate(MOST_NEAR);
            self.count = 0;
        }
        let start = usize::from(self.count);
        self.near[start..start + found.len()].copy_from_slice(found);
        self.count += found.len() as u8;
    }
}
