//! Append-only logs beside the checkpoints, where a checkpoint names how much of each belongs to it.
//!
//! ```text
//! on a disk         orders/dedup-0-445841.keys                 one file that grows
//! in a bucket       orders/dedup-0-445841.keys.0-18eb…-1       segments that never change; a new one
//!                   orders/dedup-0-445841.keys.4096-18eb…-2    takes smaller ones before it in
//! ```
//! What a checkpoint does not name is not believed: it was written after it. It is removed only when as
//! many checkpoints as are kept have been written without it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::objects::{ObjectError, Objects};
use super::store::CheckpointError;

/// A segment is not merged beyond this, so that one append never moves more. 64 MiB.
const SEGMENT_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// A run of bytes of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Name of its object.
    pub name: String,
    /// Bytes of it that belong to the log.
    pub length: u64,
}

/// A log as a checkpoint names it: its segments one after another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogAt(pub Vec<Segment>);

impl LogAt {
    /// A log in one object.
    #[must_use]
    pub fn whole(name: String, length: u64) -> Self {
        Self(vec![Segment { name, length }])
    }

    /// Bytes of it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.iter().map(|segment| segment.length).sum()
    }
}

/// The logs of one kind in one folder.
#[derive(Debug)]
pub struct LogFiles {
    objects: Arc<dyn Objects>,
    folder: String,
    /// Checkpoints after which what none names is removed.
    kept: usize,
    /// Objects that the newest checkpoint does not name, with the checkpoints until they are removed.
    retired: Vec<(String, usize)>,
    /// A name for this life of the process: what another one writes has other names.
    life: String,
    written: u64,
}

impl LogFiles {
    /// The logs below `folder` whose names hold `kind`, as of a checkpoint that names `named`.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub fn open<'a>(
        objects: Arc<dyn Objects>,
        (folder, kind): (&str, &str),
        kept: usize,
        named: impl Iterator<Item = &'a LogAt>,
    ) -> Result<Self, CheckpointError> {
        let named: std::collections::BTreeSet<&str> =
            named.flat_map(|log| &log.0).map(|segment| segment.name.as_str()).collect();
        let found = objects.list(folder)?;
        let others =
            found.into_iter().filter(|name| name.contains(kind) && !named.contains(name.as_str()));
        let retired = others.map(|name| (name, kept)).collect();
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let life = format!("{nanos:x}");
        Ok(Self { objects, folder: folder.to_owned(), kept, retired, life, written: 0 })
    }

    /// The log with `bytes` behind it; the one that was given stays as it is. `name` is that of a log
    /// that has no segment yet. When this returns the bytes survive a power cut.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn append(
        &mut self,
        log: &LogAt,
        name: &str,
        bytes: &[u8],
    ) -> Result<LogAt, CheckpointError> {
        let mut grown = log.clone();
        if bytes.is_empty() {
            return Ok(grown);
        }
        let whole = format!("{}/{name}", self.folder);
        let (last, at) = match grown.0.last() {
            Some(last) => (last.name.clone(), last.length),
            None => (whole.clone(), 0),
        };
        if self.objects.grow(&last, at, bytes)? {
            self.retired.retain(|(retired, _)| *retired != last);
            grown.0.pop();
            grown.0.push(Segment { name: last, length: at + wide(bytes.len()) });
            return Ok(grown);
        }
        let (mut body, mut merged) = (bytes.to_vec(), Vec::new());
        while let Some(last) = grown.0.last()
            && last.length < 2 * wide(body.len())
            && last.length + wide(body.len()) <= SEGMENT_BYTES_MAX
        {
            let mut front = self.read_segment(last, 0)?;
            front.append(&mut body);
            body = front;
            merged.extend(grown.0.pop());
        }
        self.written += 1;
        let name = format!("{whole}.{}-{}-{}", grown.length(), self.life, self.written);
        self.objects.write(&name, &body)?;
        grown.0.push(Segment { name, length: wide(body.len()) });
        self.retired.extend(merged.into_iter().map(|segment| (segment.name, self.kept)));
        Ok(grown)
    }

    /// Lets go of a log: it is removed when no kept checkpoint names it any more.
    pub fn retire(&mut self, log: LogAt) {
        self.retired.extend(log.0.into_iter().map(|segment| (segment.name, self.kept)));
    }

    /// Removes a log that no kept checkpoint needs although some may name it.
    pub fn remove(&mut self, log: LogAt) {
        self.retired.extend(log.0.into_iter().map(|segment| (segment.name, 1)));
    }

    /// The bytes of a log from `from` on.
    ///
    /// # Errors
    /// When an object is missing, shorter than the checkpoint says, or cannot be read.
    pub fn read(&self, log: &LogAt, from: u64) -> Result<Vec<u8>, CheckpointError> {
        if from > log.length() {
            let place =
                log.0.first().map_or_else(|| self.folder.clone(), |segment| segment.name.clone());
            return Err(self
                .damaged(&place, &format!("it has {} bytes and begins at {from}", log.length())));
        }
        let (mut bytes, mut begin) = (Vec::new(), 0);
        for segment in &log.0 {
            let skipped = from.saturating_sub(begin).min(segment.length);
            bytes.append(&mut self.read_segment(segment, skipped)?);
            begin += segment.length;
        }
        Ok(bytes)
    }

    fn read_segment(&self, segment: &Segment, from: u64) -> Result<Vec<u8>, CheckpointError> {
        if from >= segment.length {
            return Ok(Vec::new());
        }
        let Some(bytes) = self.objects.read_range(&segment.name, from, segment.length)? else {
            return Err(self.damaged(&segment.name, "it is missing"));
        };
        match wide(bytes.len()) == segment.length - from {
            true => Ok(bytes),
            false => {
                let found = from + wide(bytes.len());
                let detail = format!("{found} bytes where the checkpoint says {}", segment.length);
                Err(self.damaged(&segment.name, &detail))
            }
        }
    }

    fn damaged(&self, name: &str, detail: &str) -> CheckpointError {
        CheckpointError::Damaged {
            place: format!("{}/{name}", self.objects.place()),
            detail: detail.to_owned(),
        }
    }

    /// Removes what no kept checkpoint names any more; to be said after each checkpoint. What cannot be
    /// removed is tried again after the next one.
    pub fn checkpoint_written(&mut self) {
        for (_, left) in &mut self.retired {
            *left = left.saturating_sub(1);
        }
        let objects = &self.objects;
        self.retired.retain(|(name, left)| {
            *left > 0
                || objects
                    .delete(name)
                    .inspect_err(|error| tracing::warn!(%error, "an old file of checkpoints is left: {error}"))
                    .is_err()
        });
    }
}

impl From<ObjectError> for CheckpointError {
    fn from(error: ObjectError) -> Self {
        Self::Store(error)
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::state::objects::{Disk, Remote};

    fn bucket() -> Arc<dyn Objects> {
        Arc::new(Remote::new(Arc::new(InMemory::new()), "memory://", "").expect("opens"))
    }

    fn files<'a>(objects: &Arc<dyn Objects>, named: impl Iterator<Item = &'a LogAt>) -> LogFiles {
        LogFiles::open(Arc::clone(objects), ("orders", ".keys"), 2, named).expect("opens")
    }

    #[test]
    fn in_a_bucket_every_earlier_length_stays_readable_and_segments_stay_few() {
        let objects = bucket();
        let mut files = files(&objects, std::iter::empty());
        let (mut log, mut earlier, mut whole) = (LogAt::default(), Vec::new(), Vec::new());
        for number in 0..200_u8 {
            let bytes = vec![number; 10];
            log = files.append(&log, "a.keys", &bytes).expect("written");
            whole.extend(bytes);
            earlier.push((log.clone(), whole.len()));
            assert!(log.0.len() <= 9, "{} segments after {number}", log.0.len());
        }
        for (at, length) in &earlier {
            assert_eq!(files.read(at, 0).expect("read"), whole[..*length]);
        }
        assert_eq!(files.read(&log, 1_234).expect("read"), whole[1_234..]);
    }

    #[test]
    fn what_was_merged_is_removed_when_no_kept_checkpoint_names_it() {
        let objects = bucket();
        let mut files = files(&objects, std::iter::empty());
        let first = files.append(&LogAt::default(), "a.keys", b"one").expect("written");
        let second = files.append(&first, "a.keys", b"two").expect("written");
        assert_eq!(second.0.len(), 1, "merged");
        files.checkpoint_written();
        assert_eq!(files.read(&first, 0).expect("is kept"), b"one");
        files.checkpoint_written();
        assert!(files.read(&first, 0).expect_err("is gone").to_string().contains("missing"));
        assert_eq!(files.read(&second, 0).expect("read"), b"onetwo");
    }

    #[test]
    fn what_a_crash_left_is_removed_after_as_many_checkpoints_as_are_kept() {
        let objects = bucket();
        let mut before = files(&objects, std::iter::empty());
        let named = before.append(&LogAt::default(), "a.keys", b"one").expect("written");
        before.append(&named, "b.keys", b"after the checkpoint").expect("written");
        let mut again = files(&objects, std::iter::once(&named));
        again.checkpoint_written();
        assert_eq!(objects.list("orders").expect("listed").len(), 2);
        again.checkpoint_written();
        assert_eq!(objects.list("orders").expect("listed").len(), 1);
        assert_eq!(again.read(&named, 0).expect("read"), b"one");
    }

    #[test]
    fn on_a_disk_a_log_is_one_file_and_what_was_written_after_the_checkpoint_is_written_over() {
        let dir = tempfile::tempdir().expect("folder");
        let objects: Arc<dyn Objects> = Arc::new(Disk::open(dir.path()).expect("opens"));
        let mut before = files(&objects, std::iter::empty());
        let named = before.append(&LogAt::default(), "a.keys", b"one").expect("written");
        before.append(&named, "a.keys", b"two").expect("written");
        let mut again = files(&objects, std::iter::once(&named));
        assert_eq!(again.read(&named, 0).expect("read"), b"one");
        let grown = again.append(&named, "a.keys", b"2").expect("written");
        assert_eq!((grown.0.len(), again.read(&grown, 0).expect("read")), (1, b"one2".to_vec()));
    }
}
