//! What is known of objects that pages ask for: asked again after some seconds, and never waited for long.
//!
//! A bucket that cannot be reached is not asked again for a while, so that a list of many data sets in
//! it waits once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{files, stamp_of};
use crate::config::DataSource;
use crate::data::DataError;
use crate::data::object_reader::{ObjectError, Patience, split_url};

/// How long an answer counts.
const FRESH: Duration = Duration::from_millis(if cfg!(test) { 30 } else { 10_000 });
/// The same, where something is wrong that a person may be about to put right.
const FRESH_PROBLEM: Duration = Duration::from_millis(if cfg!(test) { 30 } else { 2_000 });
/// How long a bucket is left alone that could not be reached.
const AWAY: Duration = Duration::from_secs(30);
/// Data sets that are remembered.
const MOST: usize = 1000;

type Question = (DataSource, String);

#[derive(Debug, Clone)]
struct Answer {
    asked: Instant,
    /// The stamp of the objects, or why there is none.
    now: Result<String, DataErrorText>,
    /// The newest stamp that was heard.
    last: Option<String>,
}

impl Answer {
    fn is_fresh(&self) -> bool {
        let counts = if self.now.is_ok() {
            FRESH
        } else {
            FRESH_PROBLEM
        };
        self.asked.elapsed() < counts
    }
}

/// An error as text, and whether it is that storage cannot be reached.
type DataErrorText = (String, bool);

#[derive(Debug, Default)]
struct Memory {
    answers: HashMap<Question, Answer>,
    /// When a bucket could not be reached, and what was said.
    away: HashMap<String, (Instant, String)>,
}

fn memory() -> MutexGuard<'static, Memory> {
    static MEMORY: OnceLock<Mutex<Memory>> = OnceLock::new();
    let memory = MEMORY.get_or_init(Mutex::default);
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the objects cannot be opened, if they cannot.
pub(super) fn absence(source: DataSource, url: &str) -> Option<String> {
    if let Some(message) = unsupported(source, url) {
        return Some(message);
    }
    ask(source, url).now.err().map(|(message, _)| message)
}

/// The stamp of the objects; the one of before while storage cannot be reached.
pub(super) fn stamp(source: DataSource, url: &str) -> Option<String> {
    let answer = ask(source, url);
    match answer.now {
        Ok(stamp) => Some(stamp),
        Err((_, true)) => answer.last,
        Err((_, false)) => None,
    }
}

/// Why no data set of this kind can lie on S3, if none can.
pub(super) fn unsupported(source: DataSource, url: &str) -> Option<String> {
    (source == DataSource::Folder).then(|| {
        format!(
            "{url}: a folder of classes is read from this machine alone; on S3 can be WebDataset shards, Parquet files, and tables and COCO files with their pictures"
        )
    })
}

fn ask(source: DataSource, url: &str) -> Answer {
    let question = (source, url.to_owned());
    let bucket = split_url(url).map_or(url, |(bucket, _)| bucket);
    let known = {
        let memory = memory();
        let known = memory.answers.get(&question).cloned();
        if let Some(answer) = &known
            && answer.is_fresh()
        {
            return answer.clone();
        }
        if let Some((since, message)) = memory.away.get(bucket)
            && since.elapsed() < AWAY
        {
            return Answer {
                asked: *since,
                now: Err((format!("{url}: {message}"), true)),
                last: known.and_then(|answer| answer.last),
            };
        }
        known
    };
    // Storage is asked without the lock: others are answered meanwhile.
    let found = files(source, Path::new(url), Patience::Short);
    let mut memory = memory();
    let now = found.map(|found| stamp_of(&found)).map_err(|error| {
        let away = match &error {
            DataError::Object {
                error: ObjectError::Unreachable(message),
                ..
            } => {
                let said = (Instant::now(), message.clone());
                memory.away.insert(bucket.to_owned(), said);
                true
            }
            _ => false,
        };
        (error.to_string(), away)
    });
    if now.is_ok() {
        memory.away.remove(bucket);
    }
    let last = now.as_ref().ok().cloned();
    let answer = Answer {
        asked: Instant::now(),
        last: last.or_else(|| known.and_then(|answer| answer.last)),
        now,
    };
    if memory.answers.len() >= MOST {
        memory.answers.clear();
    }
    memory.answers.insert(question, answer.clone());
    answer
}
