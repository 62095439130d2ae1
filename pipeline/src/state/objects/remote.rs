//! Objects in a bucket: any `object_store`.
//!
//! The client is asynchronous and has threads of its own here; callers wait for the answer. A request
//! that fails is tried a few times within seconds; then the checkpoint is late and the next one tries.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, RetryConfig, UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use super::{ObjectError, Objects, S3Options, Tag};
use crate::fail_points;

/// How long one request may take: half a gibibyte over a line of 100 Mbit/s.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// How long a request is tried again.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often a request is tried again.
const RETRIES_MAX: usize = 4;

/// Objects in a bucket.
#[derive(Debug)]
pub struct Remote {
    store: Arc<dyn ObjectStore>,
    place: String,
    prefix: Path,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Remote {
    /// The objects below `prefix` of a store; `place` names both in messages.
    ///
    /// # Errors
    /// When the prefix is no path or the system gives no threads.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        place: &str,
        prefix: &str,
    ) -> Result<Self, ObjectError> {
        let failed = |detail: String| ObjectError { step: "open", place: place.to_owned(), detail };
        let prefix = Path::parse(prefix).map_err(|error| failed(error.to_string()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidemark-store")
            .enable_all()
            .build();
        let runtime = Some(runtime.map_err(|error| failed(error.to_string()))?);
        Ok(Self { store, place: place.to_owned(), prefix, runtime })
    }

    /// `bucket/prefix` of an S3 store.
    ///
    /// # Errors
    /// When what the environment says of it makes no sense.
    pub fn s3(bucket_and_prefix: &str, options: &S3Options) -> Result<Self, ObjectError> {
        let (bucket, prefix) = bucket_and_prefix.split_once('/').unwrap_or((bucket_and_prefix, ""));
        let place = format!("s3://{bucket_and_prefix}");
        let failed =
            |error: Error| ObjectError { step: "open", place: place.clone(), detail: told(&error) };
        let store = s3_client(bucket, options).map_err(failed)?;
        Self::new(store, &place, prefix.trim_matches('/'))
    }

    fn path(&self, name: &str) -> Path {
        name.split('/')
            .filter(|part| !part.is_empty())
            .fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn failed(&self, step: &'static str, name: &str, error: &Error) -> ObjectError {
        ObjectError { step, place: format!("{}/{name}", self.place), detail: told(error) }
    }

    /// Waits for an answer, also on a thread that belongs to another runtime.
    fn wait<T: Send + 'static>(
        &self,
        (step, name): (&'static str, &str),
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<Result<T, Error>, ObjectError> {
        let (reply, answer) = mpsc::channel();
        let lost = || ObjectError {
            step,
            place: format!("{}/{name}", self.place),
            detail: "the store's client has ended".to_owned(),
        };
        let runtime = self.runtime.as_ref().ok_or_else(lost)?;
        runtime.spawn(async move {
            // Whoever asked waits below.
            let _told = reply.send(work.await);
        });
        answer.recv().map_err(|_| lost())
    }

    fn put(
        &self,
        name: &str,
        bytes: &[u8],
        mode: PutMode,
    ) -> Result<Result<Option<String>, Error>, ObjectError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        let payload = PutPayload::from(bytes.to_vec());
        let options = PutOptions { mode, ..PutOptions::default() };
        fail_points::hit("checkpoint-write");
        let put =
            async move { store.put_opts(&path, payload, options).await.map(|result| result.e_tag) };
        let answer = self.wait(("write", name), put);
        fail_points::hit("checkpoint-renamed");
        answer
    }

    fn get(
        &self,
        name: &str,
        range: Option<GetRange>,
    ) -> Result<Option<(Vec<u8>, Option<String>)>, ObjectError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        let options = GetOptions { range, ..GetOptions::default() };
        let get = async move {
            let found = store.get_opts(&path, options).await?;
            let tag = found.meta.e_tag.clone();
            Ok((found.bytes().await?.to_vec(), tag))
        };
        match self.wait(("read", name), get)? {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", name, &error)),
        }
    }
}

/// The client of a bucket.
///
/// # Errors
/// When what the environment says of it makes no sense.
pub fn s3_store(bucket: &str, options: &S3Options) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let place = format!("s3://{bucket}");
    s3_client(bucket, options).map_err(|error| ObjectError {
        step: "open",
        place,
        detail: told(&error),
    })
}

fn s3_client(bucket: &str, options: &S3Options) -> Result<Arc<dyn ObjectStore>, Error> {
    let retry = RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_MAX,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retry)
        .with_client_options(ClientOptions::new().with_timeout(REQUEST_MAX).with_allow_http(true));
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    Ok(Arc::new(builder.build()?))
}

impl Objects for Remote {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ObjectError> {
        let (store, path) = (Arc::clone(&self.store), self.path(folder));
        let within = self.prefix.clone();
        let list = async move {
            let found: Vec<_> = store.list(Some(&path)).try_collect().await?;
            let relative = |at: &Path| {
                at.prefix_match(&within).map(|parts| {
                    parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/")
                })
            };
            Ok(found.iter().filter_map(|meta| relative(&meta.location)).collect::<Vec<_>>())
        };
        let mut names = self
            .wait(("list", folder), list)?
            .map_err(|error| self.failed("list", folder, &error))?;
        names.sort_unstable();
        Ok(names)
    }

    fn read_tagged(&self, name: &str) -> Result<Option<(Vec<u8>, Tag)>, ObjectError> {
        Ok(self.get(name, None)?.map(|(bytes, tag)| (bytes, Tag(tag.unwrap_or_default()))))
    }

    fn read_range(&self, name: &str, from: u64, to: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        if to <= from {
            return Ok(Some(Vec::new()));
        }
        Ok(self.get(name, Some(GetRange::Bounded(from..to)))?.map(|(bytes, _)| bytes))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        self.put(name, bytes, PutMode::Overwrite)?
            .map_err(|error| self.failed("write", name, &error))?;
        Ok(())
    }

    fn write_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Tag>,
    ) -> Result<Option<Tag>, ObjectError> {
        let mode = match was {
            None => PutMode::Create,
            Some(Tag(tag)) => {
                PutMode::Update(UpdateVersion { e_tag: Some(tag.clone()), version: None })
            }
        };
        match self.put(name, bytes, mode)? {
            Ok(Some(tag)) => Ok(Some(Tag(tag))),
            // Without tags nobody could be told from anybody else.
            Ok(None) => Err(ObjectError {
                step: "write",
                place: format!("{}/{name}", self.place),
                detail: "the store gives no ETag, so writers cannot be told apart".to_owned(),
            }),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(self.failed("write", name, &error)),
        }
    }

    fn grow(&self, _name: &str, _at: u64, _bytes: &[u8]) -> Result<bool, ObjectError> {
        Ok(false)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        match self.wait(("delete", name), async move { store.delete(&path).await })? {
            Err(error) if !matches!(error, Error::NotFound { .. }) => {
                Err(self.failed("delete", name, &error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A runtime must not wait for its threads where it may be dropped by another's.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An error with its causes, in one line.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
