//! Members of shards on S3 that will be read soon: fetched many at a time, neighbours in one request.

use std::ops::Range;

use crate::data::DataError;
use crate::data::data_file::RemoteFile;
use crate::data::fetched::{FETCHED_AT_ONCE, Fetched};
use crate::data::object_reader::{ObjectError, Wanted, object_reader};
use crate::data::window::Span;

/// Fetching so much between two members for nothing takes no longer than another request.
const GAP: u64 = 64 << 10;
/// Bytes of one request for several members.
const LARGEST: u64 = 4 << 20;

/// Members by shard and place.
#[derive(Debug, Default)]
pub(super) struct Ahead(Fetched<(usize, u64)>);

impl Ahead {
    /// The bytes of a member, if they are here; they are not afterwards.
    pub(super) fn take(&self, shard: usize, member: Span) -> Option<Vec<u8>> {
        let bytes = self.0.take(&(shard, member.at))?;
        (bytes.len() as u64 == member.bytes).then_some(bytes)
    }

    /// Fetches members of shards that are objects, the first ones first where there is no room for all.
    ///
    /// # Errors
    /// When storage cannot be reached; what concerns one member is said when that is read.
    pub(super) fn fetch<'a>(
        &self,
        members: &[(usize, Span)],
        file: impl Fn(usize) -> Option<&'a RemoteFile>,
    ) -> Result<(), DataError> {
        let (mut wanted, mut asked) = (Vec::new(), Vec::new());
        for (shard, range, members) in requests(self.missing(members)) {
            if let Some(file) = file(shard) {
                asked.push((shard, range.start, members));
                wanted.push(Wanted {
                    url: file.url(),
                    stamp: Some(file.stamp()),
                    range,
                });
            }
        }
        let Some(first) = wanted.first() else {
            return Ok(());
        };
        let reader = object_reader().map_err(|e| DataError::object(first.url, e))?;
        let mut away = None;
        let answers = reader.read_many(&wanted).into_iter().zip(&wanted);
        for ((shard, start, members), (answer, wanted)) in asked.into_iter().zip(answers) {
            match answer {
                Ok(bytes) => self.keep(shard, start, &members, &bytes),
                Err(error @ ObjectError::Unreachable(_)) => {
                    away.get_or_insert_with(|| DataError::object(wanted.url, error));
                }
                Err(_) => {}
            }
        }
        away.map_or(Ok(()), Err)
    }

    /// Those that are not here yet, as far as there is room, by shard and place.
    fn missing(&self, members: &[(usize, Span)]) -> Vec<(usize, Span)> {
        let mut bytes = 0;
        let missing = members.iter();
        let missing = missing.filter(|(shard, span)| !self.0.has(&(*shard, span.at)));
        let missing = missing.take_while(|(_, span)| {
            bytes += span.bytes;
            bytes <= FETCHED_AT_ONCE
        });
        let mut missing: Vec<(usize, Span)> = missing.copied().collect();
        missing.sort_unstable_by_key(|(shard, span)| (*shard, span.at));
        missing.dedup();
        missing
    }

    /// Puts the members of a fetched stretch aside.
    fn keep(&self, shard: usize, start: u64, members: &[Span], bytes: &[u8]) {
        for member in members {
            let from = (member.at - start) as usize;
            if let Some(piece) = bytes.get(from..from + member.bytes as usize) {
                self.0.keep((shard, member.at), piece.to_vec());
            }
        }
    }
}

/// One request: the shard, the range, and the members in it.
type Request = (usize, Range<u64>, Vec<Span>);

/// Joins neighbours; `members` are in order.
fn requests(members: Vec<(usize, Span)>) -> Vec<Request> {
    let mut all: Vec<Request> = Vec::new();
    for (shard, span) in members {
        let end = span.at.saturating_add(span.bytes);
        match all.last_mut() {
            Some((of, range, members))
                if *of == shard
                    && span.at.saturating_sub(range.end) <= GAP
                    && end.saturating_sub(range.start) <= LARGEST =>
            {
                range.end = range.end.max(end);
                members.push(span);
            }
            _ => all.push((shard, span.at..end, vec![span])),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(at: u64, bytes: u64) -> Span {
        Span { at, bytes }
    }

    #[test]
    fn neighbours_share_a_request() {
        let members = vec![
            (0, span(0, 100)),
            (0, span(1000, 100)),
            (0, span(200_000, 5 << 20)),
            (1, span(0, 10)),
        ];
        let joined = requests(members);
        let ranges: Vec<(usize, Range<u64>, usize)> = joined
            .into_iter()
            .map(|(shard, range, members)| (shard, range, members.len()))
            .collect();
        let large = 200_000 + (5 << 20);
        assert_eq!(
            ranges,
            [(0, 0..1100, 2), (0, 200_000..large, 1), (1, 0..10, 1)]
        );
    }

    #[test]
    fn a_stretch_is_cut_into_its_members() {
        let ahead = Ahead::default();
        let members = [span(110, 4), span(120, 2)];
        ahead.keep(3, 110, &members, b"abcd______xy");
        assert_eq!(ahead.take(3, members[0]).as_deref(), Some(&b"abcd"[..]));
        assert_eq!(ahead.take(3, members[0]), None);
        assert_eq!(ahead.take(3, members[1]).as_deref(), Some(&b"xy"[..]));
    }
}
