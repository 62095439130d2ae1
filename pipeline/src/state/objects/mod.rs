//! Where checkpoints are kept: named byte strings, each whole or absent, in a folder or in a bucket.
//!
//! ```text
//! "data/checkpoints"   file:///var/lib/tidemark   ─▶ Disk      written aside, synced, renamed
//! s3://bucket/prefix                              ─▶ Remote    any `object_store`
//! ```
//! Names are relative, with `/` between their parts. Calls block; none is made by the threads that
//! fold, publish or serve people.

mod disk;
mod fenced;
mod remote;
mod within;

use std::fmt;
use std::sync::Arc;

pub use disk::Disk;
pub use fenced::Fenced;
pub use remote::{Remote, s3_store};
pub use within::Within;

/// What an object was like when it was read, to write over it only if it still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub(super) String);

/// A place for named byte strings.
pub trait Objects: fmt::Debug + Send + Sync {
    /// The place in words, for messages.
    fn place(&self) -> String;

    /// The names below `folder` and its folders, in full and in order; `""` lists everything. What was
    /// being written at a crash is not among them.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn list(&self, folder: &str) -> Result<Vec<String>, ObjectError>;

    /// An object with its tag; `None` when there is none of that name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_tagged(&self, name: &str) -> Result<Option<(Vec<u8>, Tag)>, ObjectError>;

    /// Bytes `from..to` of an object, or as many of them as there are; `None` when there is none of that
    /// name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_range(&self, name: &str, from: u64, to: u64) -> Result<Option<Vec<u8>>, ObjectError>;

    /// Writes an object whole, over the one there may be. When this returns it survives a power cut; at a
    /// crash before that there is the old one or the new one, never a part.
    ///
    /// # Errors
    /// When the place refuses; the old one is then untouched.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ObjectError>;

    /// Writes as [`Objects::write`], but only while the object still has that tag, or, for `None`, while
    /// there is none. Answers the new tag; `None` when someone else was first and nothing was written.
    /// Among all who write this name in this way, one wins.
    ///
    /// # Errors
    /// When the place refuses, or cannot say who was first.
    fn write_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Tag>,
    ) -> Result<Option<Tag>, ObjectError>;

    /// Puts `bytes` at `at` of an object, which then ends behind them; it is made if it is missing. `false`,
    /// and nothing is done, where objects cannot grow. When this returns the bytes survive a power cut; a
    /// crash before that may leave any part of them.
    ///
    /// # Errors
    /// When the place refuses; what is before `at` is untouched.
    fn grow(&self, name: &str, at: u64, bytes: &[u8]) -> Result<bool, ObjectError>;

    /// Removes an object; one that is gone already is no mistake.
    ///
    /// # Errors
    /// When the place refuses.
    fn delete(&self, name: &str) -> Result<(), ObjectError>;

    /// The bytes of an object; `None` when there is none of that name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        Ok(self.read_tagged(name)?.map(|(bytes, _)| bytes))
    }
}

/// A place refused, or is described wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} {place}: {detail}")]
pub struct ObjectError {
    /// What was being done: `write`, `sync`, `rename`, `read`, `list`, `delete`, …
    pub step: &'static str,
    /// The object in full.
    pub place: String,
    /// The place's own words.
    pub detail: String,
}

/// How an S3 store is reached; what is `None` is taken from the environment (`AWS_ENDPOINT_URL`,
/// `AWS_REGION`), as the credentials always are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// Address of a store that is not Amazon's, as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// Region.
    pub region: Option<String>,
}

/// Whether a place is another machine's, where every write costs a request.
#[must_use]
pub fn is_remote(url: &str) -> bool {
    url.contains("://") && !url.starts_with("file://")
}

/// Opens a place: a folder, `file:///folder` or `s3://bucket/prefix`.
///
/// # Errors
/// When the folder cannot be made, or the URL is of no kind that is known.
pub fn open(url: &str, s3: &S3Options) -> Result<Arc<dyn Objects>, ObjectError> {
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(Arc::new(Disk::open(path.as_ref())?));
    }
    if let Some(bucket) = url.strip_prefix("s3://") {
        return Ok(Arc::new(Remote::s3(bucket, s3)?));
    }
    if let Some((scheme, _)) = url.split_once("://") {
        let detail =
            format!("'{scheme}' is no store; write a folder, file:///folder or s3://bucket/prefix");
        return Err(ObjectError { step: "open", place: url.to_owned(), detail });
    }
    Ok(Arc::new(Disk::open(url.as_ref())?))
}

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
mod tests;
