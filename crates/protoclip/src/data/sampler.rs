//! Which samples an episode trains on: a pure function of seed and episode number.
//!
//! The corrected mode draws without replacement and cycles: the data set is an endless stream of
//! passes, each in another order, and episode `e` takes the units `e·size .. (e+1)·size` of it. A
//! unit is a sample, or a balance group of which every pass takes the next member in rotation. As
//! long as an episode is no larger than a pass, no unit occurs twice in it, not even across the
//! boundary of two passes.
//!
//! The reference mode draws units with replacement, as the reference implementation does.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::SampleId;
use super::draw::{Purpose, generator};
use crate::config::Fidelity;

/// Draws the samples of episodes. Cheap to clone per run, safe to share.
#[derive(Debug, Clone)]
pub struct EpisodeSampler {
    /// `members[starts[u]..starts[u + 1]]` are the samples of unit `u`.
    starts: Vec<u32>,
    members: Vec<SampleId>,
    seed: u64,
    fidelity: Fidelity,
}

impl EpisodeSampler {
    /// A sampler over `len` samples; `groups[i]` is the balance group of sample `i`, when an
    /// episode should hold at most one member of each.
    pub fn new(len: usize, groups: Option<&[u32]>, seed: u64, fidelity: Fidelity) -> Self {
        let (starts, members) = match groups {
            Some(groups) => grouped(&groups[..len.min(groups.len())]),
            None => ((0..=len as u32).collect(), (0..len as u32).collect()),
        };
        Self {
            starts,
            members,
            seed,
            fidelity,
        }
    }

    /// Units of one pass: samples, or balance groups.
    pub fn units(&self) -> usize {
        self.starts.len() - 1
    }

    /// The samples of episode `episode` (from 0), `size` of them, in training order. Empty when the
    /// data set is.
    pub fn episode(&self, episode: u64, size: usize) -> Vec<SampleId> {
        if self.units() == 0 {
            return Vec::new();
        }
        match self.fidelity {
            Fidelity::Reference => self.with_replacement(episode, size),
            Fidelity::Corrected if size * 2 <= self.units() => self.window(episode, size),
            Fidelity::Corrected => self.large_window(episode, size),
        }
    }

    fn with_replacement(&self, episode: u64, size: usize) -> Vec<SampleId> {
        let mut draw = generator(self.seed, Purpose::Replacement, episode, 0);
        (0..size)
            .map(|_| {
                let unit = draw.random_range(0..self.units());
                let members = self.members_of(unit as u32);
                members[draw.random_range(0..members.len())]
            })
            .collect()
    }

    /// The window of an episode of at most half a pass; it touches at most two passes.
    fn window(&self, episode: u64, size: usize) -> Vec<SampleId> {
        let units = self.units() as u64;
        let start = episode * size as u64;
        let (pass, from) = (start / units, (start % units) as usize);
        let order = self.pass_order(pass, size);
        let mut samples: Vec<SampleId> = order
            .iter()
            .skip(from)
            .take(size)
            .map(|&unit| self.member(unit, pass))
            .collect();
        let missing = size - samples.len();
        if missing > 0 {
            let next = self.pass_order(pass + 1, size);
            samples.extend(next[..missing].iter().map(|&u| self.member(u, pass + 1)));
        }
        samples
    }

    /// Order of a pass. Units that the episode crossing into this pass has drawn already are
    /// exchanged for later ones of the same pass, outside of both crossing episodes.
    fn pass_order(&self, pass: u64, size: usize) -> Vec<u32> {
        let mut order = self.shuffled(pass);
        let units = order.len();
        let head = crossing(pass * units as u64, size);
        if pass == 0 || head == 0 {
            return order;
        }
        let previous = self.shuffled(pass - 1);
        let mut drawn = vec![false; units];
        for &unit in &previous[units - (size - head)..] {
            drawn[unit as usize] = true;
        }
        let mut spare = head;
        for position in 0..head {
            if drawn[order[position] as usize] {
                while drawn[order[spare] as usize] {
                    spare += 1;
                }
                order.swap(position, spare);
                spare += 1;
            }
        }
        order
    }

    /// Windows larger than half a pass hold most units anyway: they walk one fixed order again and
    /// again, which excludes repetition, and are shuffled inside.
    fn large_window(&self, episode: u64, size: usize) -> Vec<SampleId> {
        let order = self.shuffled(0);
        let units = order.len() as u64;
        let start = episode * size as u64;
        let mut samples: Vec<SampleId> = (start..start + size as u64)
            .map(|at| self.member(order[(at % units) as usize], at / units))
            .collect();
        samples.shuffle(&mut generator(self.seed, Purpose::Episode, episode, 0));
        samples
    }

    fn shuffled(&self, pass: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.units() as u32).collect();
        order.shuffle(&mut generator(self.seed, Purpose::Pass, pass, 0));
        order
    }

    /// The member that represents `unit` in `pass`; the rotation starts elsewhere in each unit.
    fn member(&self, unit: u32, pass: u64) -> SampleId {
        let members = self.members_of(unit);
        let turn = pass.wrapping_add(self.seed).wrapping_add(u64::from(unit));
        members[(turn % members.len() as u64) as usize]
    }

    fn members_of(&self, unit: u32) -> &[SampleId] {
        let unit = unit as usize;
        &self.members[self.starts[unit] as usize..self.starts[unit + 1] as usize]
    }
}

/// How many units after `boundary` belong to the episode that began before it.
fn crossing(boundary: u64, size: usize) -> usize {
    let size = size as u64;
    ((size - boundary % size) % size) as usize
}

/// Buckets samples by group, skipping group numbers that have none.
fn grouped(groups: &[u32]) -> (Vec<u32>, Vec<SampleId>) {
    let mut members: Vec<SampleId> = (0..groups.len() as u32).collect();
    members.sort_by_key(|&sample| groups[sample as usize]);
    let mut starts = Vec::new();
    let mut previous = None;
    for (position, &sample) in members.iter().enumerate() {
        let group = groups[sample as usize];
        if previous != Some(group) {
            starts.push(position as u32);
            previous = Some(group);
        }
    }
    starts.push(members.len() as u32);
    (starts, members)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn sampler(len: usize) -> EpisodeSampler {
        EpisodeSampler::new(len, None, 7, Fidelity::Corrected)
    }

    fn stream(sampler: &EpisodeSampler, size: usize, episodes: u64) -> Vec<SampleId> {
        (0..episodes)
            .flat_map(|e| sampler.episode(e, size))
            .collect()
    }

    #[test]
    fn a_pass_covers_everything_exactly_once_and_passes_differ() {
        for (len, size) in [(12, 12), (12, 6), (100, 20), (9, 3)] {
            let per_pass = (len / size) as u64;
            let sampler = sampler(len);
            let drawn = stream(&sampler, size, per_pass * 3);
            let passes: Vec<&[u32]> = drawn.chunks(len).collect();
            for pass in &passes {
                let distinct: HashSet<_> = pass.iter().collect();
                assert_eq!(distinct.len(), len, "len {len}, size {size}");
            }
            assert_ne!(passes[0], passes[1]);
        }
    }

    #[test]
    fn windows_that_do_not_divide_a_pass_still_cover_it_once() {
        for (len, size) in [(50, 7), (101, 50), (64, 10), (10, 7), (10, 9)] {
            let sampler = sampler(len);
            let drawn = stream(&sampler, size, 40);
            for (number, pass) in drawn.chunks_exact(len).enumerate().take(8) {
                let distinct: HashSet<_> = pass.iter().collect();
                // A large window is shuffled inside, so only whole windows stay within a pass.
                if size * 2 <= len {
                    assert_eq!(distinct.len(), len, "len {len}, size {size}, pass {number}");
                }
            }
        }
    }

    #[test]
    fn no_episode_up_to_a_whole_pass_repeats_a_sample() {
        for (len, size) in [(50, 7), (101, 50), (10, 7), (10, 9), (10, 10), (33, 16)] {
            let sampler = sampler(len);
            for episode in 0..200 {
                let drawn = sampler.episode(episode, size);
                let distinct: HashSet<_> = drawn.iter().collect();
                assert_eq!(distinct.len(), size, "len {len}, size {size}, {episode}");
            }
        }
    }

    #[test]
    fn over_many_episodes_every_sample_is_drawn_equally_often() {
        for (len, size) in [(30, 8), (10, 7)] {
            let mut counts = vec![0; len];
            let episodes = (len * 10) as u64;
            for sample in stream(&sampler(len), size, episodes) {
                counts[sample as usize] += 1;
            }
            assert!(counts.iter().all(|&c| c == size * 10), "{counts:?}");
        }
    }

    #[test]
    fn an_episode_depends_on_its_number_and_the_seed_alone() {
        let first = sampler(40);
        let all: Vec<_> = (0..9).map(|e| first.episode(e, 11)).collect();
        assert_eq!(sampler(40).episode(8, 11), all[8]);
        let other = EpisodeSampler::new(40, None, 8, Fidelity::Corrected);
        assert_ne!(other.episode(8, 11), all[8]);
    }

    #[test]
    fn groups_give_one_member_per_pass_and_rotate_through_all() {
        let groups = [0, 0, 0, 1, 2, 2, 5];
        let sampler = EpisodeSampler::new(groups.len(), Some(&groups), 3, Fidelity::Corrected);
        assert_eq!(sampler.units(), 4);
        let mut seen = HashSet::new();
        for episode in 0..3 {
            let drawn = sampler.episode(episode, 4);
            let drawn_groups: HashSet<_> = drawn.iter().map(|&s| groups[s as usize]).collect();
            assert_eq!(drawn_groups.len(), 4);
            seen.extend(drawn);
        }
        assert_eq!(seen.len(), groups.len(), "three passes show every member");
    }

    #[test]
    fn the_reference_draws_with_replacement() {
        let reference = EpisodeSampler::new(1000, None, 7, Fidelity::Reference);
        let drawn = reference.episode(0, 1000);
        let distinct = drawn.iter().collect::<HashSet<_>>().len();
        // 1 − 1/e of the samples are expected.
        assert!((580..690).contains(&distinct), "{distinct}");
        assert_eq!(drawn, reference.episode(0, 1000));
        assert_ne!(drawn, reference.episode(1, 1000));
    }

    #[test]
    fn an_empty_data_set_gives_an_empty_episode() {
        assert!(sampler(0).episode(0, 5).is_empty());
    }
}
