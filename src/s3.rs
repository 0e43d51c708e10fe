//! Objects on S3-compatible storage for the data sets of the learning library.
//!
//! [`read_objects`] names this reader once, at the start of the program; only the feature `s3` brings it.
//! It asks nothing of the network until a data set names an `s3://` URL, and then only what the usual
//! AWS variables say: the endpoint, or AWS where there is none. Requests run on a small runtime of its
//! own, so that callers can block on any thread. Secrets are in no message and no log.

mod failure;
mod settings;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use protoclip::data::{
    Depth, ListedObject, ObjectError, ObjectReader, ObjectStamp, Patience, Wanted, split_url,
};
use tokio::runtime::{Builder, Runtime};

use self::failure::Failure;
pub use self::settings::S3Settings;

/// Threads of the runtime; they wait and decrypt.
const THREADS: usize = 2;
/// Requests of one call that are under way at a time.
const AT_ONCE: usize = 32;
/// How long a page waits for an answer, and how long work does for one of its requests with all tries.
const SHORT: Duration = Duration::from_secs(4);
const LONG: Duration = Duration::from_secs(300);
/// Objects of one listing.
const MOST_OBJECTS: usize = 5_000_000;

/// Reads the objects of data sets with the settings of the environment from now on.
pub fn read_objects() {
    protoclip::data::read_objects_with(Arc::new(S3Reader::new(S3Settings::from_env())));
}

/// The reader. Its clients are made when a bucket is first asked for.
pub struct S3Reader {
    settings: S3Settings,
    /// By bucket, and whether they are patient.
    clients: Mutex<HashMap<(String, bool), Arc<AmazonS3>>>,
    runtime: OnceLock<Result<Runtime, String>>,
}

impl fmt::Debug for S3Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Reader")
    }
}

impl Drop for S3Reader {
    fn drop(&mut self) {
        if let Some(Ok(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3Reader {
    pub fn new(settings: S3Settings) -> Self {
        Self {
            settings,
            clients: Mutex::default(),
            runtime: OnceLock::new(),
        }
    }

    /// The client of the URL's bucket, and the name of the object in it.
    fn client(&self, url: &str, patience: Patience) -> Result<(Arc<AmazonS3>, Path), ObjectError> {
        let (bucket, key) = split_url(url).ok_or_else(ObjectError::unnamed)?;
        let path = Path::parse(key).map_err(|e| ObjectError::Absent(e.to_string()))?;
        Ok((self.bucket(bucket, patience)?, path))
    }

    fn bucket(&self, bucket: &str, patience: Patience) -> Result<Arc<AmazonS3>, ObjectError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (bucket.to_owned(), patience == Patience::Long);
        if let Some(client) = clients.get(&key) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.settings.client(bucket, patience)?);
        clients.insert(key, Arc::clone(&client));
        Ok(client)
    }

    /// Runs `work` on the runtime and waits for it, on a thread of any kind.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let runtime = self.runtime.get_or_init(|| {
            let mut builder = Builder::new_multi_thread();
            let builder = builder.worker_threads(THREADS).thread_name("s3");
            builder.enable_all().build().map_err(|e| e.to_string())
        });
        let failed =
            |message: &str| ObjectError::Unreachable(format!("no thread for it: {message}"));
        let runtime = runtime.as_ref().map_err(|message| failed(message))?;
        let (sender, receiver) = sync_channel(1);
        runtime.spawn(async move {
            let _waiting = sender.send(work.await);
        });
        receiver.recv().map_err(|_| failed("it ended early"))
    }

    fn failure(&self) -> Failure {
        Failure {
            has_credentials: self.settings.has_credentials(),
        }
    }
}

impl ObjectReader for S3Reader {
    fn list(
        &self,
        prefix: &str,
        depth: Depth,
        patience: Patience,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        let unnamed = || ObjectError::Absent("names no bucket; write s3://BUCKET/KEY".into());
        let (bucket, key) = split_url(prefix).ok_or_else(unnamed)?;
        let (client, failure) = (self.bucket(bucket, patience)?, self.failure());
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.wait(within(patience, async move {
            list(&client, &bucket, &key, depth)
                .await
                .map_err(|error| failure.of(&error))
        }))?
    }

    fn stamp(&self, url: &str, patience: Patience) -> Result<ObjectStamp, ObjectError> {
        let (client, path) = self.client(url, patience)?;
        let failure = self.failure();
        self.wait(within(patience, async move {
            let meta = client.head(&path).await;
            meta.map(stamp_of).map_err(|error| failure.of(&error))
        }))?
    }

    fn read(&self, wanted: &Wanted<'_>) -> Result<Vec<u8>, ObjectError> {
        let mut all = self.read_many(std::slice::from_ref(wanted));
        all.pop()
            .unwrap_or_else(|| Err(ObjectError::Unreachable("no answer".into())))
    }

    fn read_many(&self, wanted: &[Wanted<'_>]) -> Vec<Result<Vec<u8>, ObjectError>> {
        let failure = self.failure();
        let reads = wanted.iter().map(|wanted| {
            let client = self.client(wanted.url, Patience::Long);
            let (stamp, range) = (wanted.stamp.cloned(), wanted.range.clone());
            async move {
                let (client, path) = client?;
                let read = read(client, path, stamp, range, failure);
                within(Patience::Long, read).await
            }
        });
        let reads: Vec<_> = reads.collect();
        let read = self.wait(stream::iter(reads).buffered(AT_ONCE).collect::<Vec<_>>());
        read.unwrap_or_else(|error| vec![Err(error); wanted.len()])
    }
}

/// `work`, or an error when it takes too long.
async fn within<T>(
    patience: Patience,
    work: impl Future<Output = Result<T, ObjectError>>,
) -> Result<T, ObjectError> {
    let limit = match patience {
        Patience::Short => SHORT,
        Patience::Long => LONG,
    };
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        Err(failure::unreachable(&format!(
            "no answer within {seconds} seconds"
        )))
    })
}

async fn list(
    client: &AmazonS3,
    bucket: &str,
    key: &str,
    depth: Depth,
) -> Result<Vec<ListedObject>, object_store::Error> {
    let mut found = Vec::new();
    let mut page_token = None;
    loop {
        let options = PaginatedListOptions {
            delimiter: (depth == Depth::Here).then(|| "/".into()),
            page_token,
            ..PaginatedListOptions::default()
        };
        let prefix = (!key.is_empty()).then_some(key);
        let page = client.list_paginated(prefix, options).await?;
        found.extend(page.result.objects.into_iter().map(|meta| ListedObject {
            url: format!("s3://{bucket}/{}", meta.location),
            stamp: stamp_of(meta),
        }));
        page_token = page.page_token;
        if page_token.is_none() || found.len() > MOST_OBJECTS {
            return Ok(found);
        }
    }
}

/// The bytes of a range, as far as the object has them, in the state that `stamp` says.
async fn read(
    client: Arc<AmazonS3>,
    path: Path,
    stamp: Option<ObjectStamp>,
    range: std::ops::Range<u64>,
    failure: Failure,
) -> Result<Vec<u8>, ObjectError> {
    let tag = stamp.as_ref().and_then(|stamp| stamp.tag.as_deref());
    let options = GetOptions {
        range: Some(range.into()),
        // A weak tag never matches.
        if_match: tag
            .filter(|t| !t.starts_with("W/"))
            .map(|t| format!("\"{t}\"")),
        ..GetOptions::default()
    };
    let got = match client.get_opts(&path, options).await {
        Ok(got) => got,
        Err(error) => return failure.of_read(&error, stamp.is_some()),
    };
    // Not every storage heeds the condition.
    let now = stamp_of(got.meta.clone());
    if stamp.is_some_and(|then| then.bytes != now.bytes || then.tag != now.tag) {
        return Err(ObjectError::Changed);
    }
    let bytes = got.bytes().await;
    bytes.map(Vec::from).map_err(|error| failure.of(&error))
}

fn stamp_of(meta: ObjectMeta) -> ObjectStamp {
    let modified = meta.last_modified.timestamp_nanos_opt().unwrap_or(0);
    ObjectStamp {
        bytes: meta.size,
        tag: meta.e_tag.map(|tag| tag.trim_matches('"').to_owned()),
        modified: u128::try_from(modified).unwrap_or(0),
    }
}
