//! Checkpoints in their place: each whole or absent; the newest few are kept.
//!
//! ```text
//! TIDEMARK │ version u32 │ length u64 │ xxh3 of the body u64 │ body
//! ```
//!
//! | format | what it holds |
//! |---|---|
//! | 1 | one stream, in a folder of its own below this one |
//! | 2 | all streams |
//! | 3 | and their life cycles |
//! | 4 | and since when partitions and views count |
//! | 5 | logs in segments, behind the state; which store has the dedup keys that are not in memory |
//! | 6 | the shadow space: its streams, under names of their own (`orders@shadow`), and its views |
//! | 7 | which numbers of the sources' own sequences have come |
//! | 8 | the orders of life cycles packed; what is appended to an older journal stands behind its entries |
//! | 9 | why views were stopped, with what they show; why windows have no row |
//!
//! Formats 4 to 8 are read, 1 to 3 were never released and are refused. All are of Arrow's row format as of
//! Arrow 59. A file of each format that is read is kept in `tests/data/checkpoints`.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::checkpoint::{Checkpoint, VERSION, decode_with_rest};
use super::objects::{ObjectError, Objects};
use crate::fail_points;

const MAGIC: &[u8; 8] = b"TIDEMARK";
/// The oldest format that is read.
const OLDEST: u32 = 4;
const HEADER_BYTES: usize = 28;
const EXTENSION: &str = ".checkpoint";
/// Folder of a place below which workers keep the partitions.
pub const OF_WORKERS: &str = "partitions/";

/// What is wrong with a checkpoint or its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The place refused.
    #[error("checkpoints: {0}")]
    Store(ObjectError),
    /// Another version of the program has written it.
    #[error(
        "checkpoint {place} has format version {version}, this program reads {OLDEST} to {VERSION}; start the version that wrote it, or move the file away to compute everything again from the log"
    )]
    UnknownVersion {
        /// The object.
        place: String,
        /// Its version.
        version: u32,
    },
    /// The bytes are not what was written.
    #[error("checkpoint {place} is damaged: {detail}")]
    Damaged {
        /// The object.
        place: String,
        /// What does not fit.
        detail: String,
    },
    /// Workers keep their partitions there.
    #[error(
        "{place} is a checkpoint of a worker (`tidemark pipeline`): this place is shared by workers and the server that \
         merges them (`tidemark server`); give this process a checkpoint-store of its own"
    )]
    OfWorkers {
        /// The object.
        place: String,
    },
    /// Someone else writes checkpoints here.
    #[error(
        "checkpoint {place} has been written by another process; one process a place may write"
    )]
    Taken {
        /// The object.
        place: String,
    },
}

/// The checkpoints of a place.
#[derive(Debug)]
pub struct CheckpointStore {
    objects: Arc<dyn Objects>,
    kept: usize,
    next: u64,
    /// The numbers there are, ascending, so that no checkpoint lists the place.
    known: Vec<u64>,
    /// Checkpoints after this number stay, however many there are.
    wanted_after: Option<u64>,
}

impl CheckpointStore {
    /// Opens the place; `kept` is at least 1.
    ///
    /// # Errors
    /// When it cannot be read, or holds checkpoints of version 1.
    pub fn open(objects: Arc<dyn Objects>, kept: usize) -> Result<Self, CheckpointError> {
        let names = objects.list("")?;
        refuse_first_version(objects.as_ref(), &names)?;
        let known = numbers(&names);
        let next = known.last().map_or(1, |last| last + 1);
        Ok(Self { objects, kept, next, known, wanted_after: None })
    }

    /// The place.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }

    /// Writes a body as the newest checkpoint; when this returns it survives a power cut.
    ///
    /// # Errors
    /// When the place refuses; the checkpoints before it are untouched.
    pub fn save(&mut self, body: &[u8]) -> Result<(), CheckpointError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(&xxh3_64(body).to_le_bytes());
        bytes.extend_from_slice(body);
        let (number, name) = (self.next, name(self.next));
        // Also when it fails: what is left of it, if anything is, keeps its number.
        self.next += 1;
        if self.objects.write_if(&name, &bytes, None)?.is_none() {
            return Err(CheckpointError::Taken { place: self.place(&name) });
        }
        self.known.push(number);
        fail_points::hit("checkpoint-forget");
        self.forget_old();
        Ok(())
    }

    /// The numbers of the checkpoints there are, ascending.
    #[must_use]
    pub fn numbers(&self) -> &[u64] {
        &self.known
    }

    /// Keeps all checkpoints after this number from now on, however many: someone has not read them yet.
    pub fn want_after(&mut self, number: u64) {
        self.wanted_after = Some(number);
    }

    /// How many there are after the number that is wanted.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let after = self.wanted_after.unwrap_or(u64::MAX);
        self.known.iter().filter(|number| **number > after).count()
    }

    /// Reads one checkpoint.
    ///
    /// # Errors
    /// When it is damaged, of an unknown version, or cannot be read.
    pub fn read(&self, number: u64) -> Result<Checkpoint, CheckpointError> {
        let (version, checkpoint, _) = self.load(number)?;
        tracing::info!(number, version, "goes on from checkpoint {number} of format {version}");
        Ok(checkpoint)
    }

    /// Reads one checkpoint with what stands behind it.
    ///
    /// # Errors
    /// As [`CheckpointStore::read`].
    pub fn read_with_rest(&self, number: u64) -> Result<(Checkpoint, Vec<u8>), CheckpointError> {
        let (_, checkpoint, rest) = self.load(number)?;
        Ok((checkpoint, rest))
    }

    /// One checkpoint with the version of its format and what stands behind it.
    fn load(&self, number: u64) -> Result<(u32, Checkpoint, Vec<u8>), CheckpointError> {
        let place = self.place(&name(number));
        let damaged = |detail: String| CheckpointError::Damaged { place: place.clone(), detail };
        let Some(bytes) = self.objects.read(&name(number))? else {
            return Err(damaged("it is gone".to_owned()));
        };
        let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(damaged("it is shorter than its header".to_owned()));
        };
        let word = |from: usize| {
            let mut raw = [0; 8];
            header.iter().skip(from).zip(&mut raw).for_each(|(byte, to)| *to = *byte);
            u64::from_le_bytes(raw)
        };
        if header.get(..8) != Some(MAGIC.as_slice()) {
            return Err(damaged("it is no checkpoint".to_owned()));
        }
        let version = u32::try_from(word(8) & 0xFFFF_FFFF).unwrap_or(u32::MAX);
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(CheckpointError::UnknownVersion { place: place.clone(), version });
        }
        if word(12) != u64::try_from(body.len()).unwrap_or(u64::MAX) || word(20) != xxh3_64(body) {
            return Err(damaged("its length or checksum is wrong".to_owned()));
        }
        let (checkpoint, rest) = decode_with_rest(version, body).map_err(damaged)?;
        Ok((version, checkpoint, rest.to_vec()))
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.objects.place())
    }

    /// What cannot be removed is tried again after the next one.
    fn forget_old(&mut self) {
        while self.known.len() > self.kept
            && let Some(number) = self.known.first().copied()
            && self.wanted_after.is_none_or(|after| number <= after)
        {
            if let Err(error) = self.objects.delete(&name(number)) {
                tracing::warn!(%error, number, "an old checkpoint could not be removed: {error}");
                return;
            }
            self.known.remove(0);
        }
    }
}

fn name(number: u64) -> String {
    format!("{number:012}{EXTENSION}")
}

/// The numbers of the checkpoints among these objects, ascending.
#[must_use]
pub fn numbers(names: &[String]) -> Vec<u64> {
    let mut all: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(EXTENSION)?.parse().ok()).collect();
    all.sort_unstable();
    all
}

/// Version 1 kept the checkpoints of each stream in a folder of its own. To pass over them would count
/// the log again without a word.
fn refuse_first_version(objects: &dyn Objects, names: &[String]) -> Result<(), CheckpointError> {
    match names.iter().find(|name| name.contains('/') && name.ends_with(EXTENSION)) {
        Some(name) => {
            let place = format!("{}/{name}", objects.place());
            if name.starts_with(OF_WORKERS) {
                return Err(CheckpointError::OfWorkers { place });
            }
            Err(CheckpointError::UnknownVersion { place, version: 1 })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::checkpoint::{StreamToSave, encode, encode_logs};
    use crate::state::objects::Disk;

    fn body(name: &str) -> Vec<u8> {
        let streams =
            [StreamToSave { name, hash: "h", partitions: &Default::default(), sequences: None }];
        encode_logs(encode(&streams, &[]).expect("encodes"), "keys", &[])
    }

    fn open(dir: &tempfile::TempDir, kept: usize) -> Result<CheckpointStore, CheckpointError> {
        CheckpointStore::open(Arc::new(Disk::open(dir.path()).expect("opens")), kept)
    }

    #[test]
    fn a_checkpoint_with_a_wrong_bit_or_a_missing_end_is_named_as_damaged() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = open(&dir, 3).expect("opens");
        store.save(&body("first")).expect("saves");
        assert!(store.read(1).expect("reads").streams.contains_key("first"));
        let path = dir.path().join(name(1));
        let whole = std::fs::read(&path).expect("read");
        let mut wrong = whole.clone();
        *wrong.last_mut().expect("bytes") ^= 1;
        for bytes in [wrong.as_slice(), &whole[..whole.len() - 1], &whole[..20], &[]] {
            std::fs::write(&path, bytes).expect("written");
            let error = store.read(1).expect_err("damaged").to_string();
            assert!(error.contains("000000000001.checkpoint is damaged"), "{error}");
        }
    }

    #[test]
    fn an_unknown_version_is_refused_with_its_number() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = open(&dir, 3).expect("opens");
        store.save(&body("a")).expect("saves");
        let path = dir.path().join(name(1));
        let mut bytes = std::fs::read(&path).expect("read");
        for version in [3, 10] {
            bytes[8] = version;
            std::fs::write(&path, &bytes).expect("written");
            let error = store.read(1).expect_err("unknown").to_string();
            assert!(error.contains(&format!("version {version}")), "{error}");
        }
    }

    #[test]
    fn checkpoints_of_the_first_version_in_their_own_folders_are_refused_with_its_number() {
        let dir = tempfile::tempdir().expect("folder");
        std::fs::create_dir(dir.path().join("orders")).expect("folder");
        std::fs::write(dir.path().join("orders/000000000007.checkpoint"), b"TIDEMARK")
            .expect("written");
        let error = open(&dir, 3).expect_err("old").to_string();
        assert!(error.contains("version 1") && error.contains("orders/000000000007"), "{error}");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = open(&dir, 2).expect("opens");
        for name in ["a", "b", "c"] {
            store.save(&body(name)).expect("saves");
        }
        assert_eq!(store.numbers(), [2, 3]);
        assert_eq!(open(&dir, 2).expect("opens").numbers(), [2, 3]);
    }

    #[test]
    fn those_that_someone_has_not_read_stay_however_many_and_go_once_they_are_read() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = open(&dir, 2).expect("opens");
        store.want_after(0);
        for name in ["a", "b", "c", "d"] {
            store.save(&body(name)).expect("saves");
        }
        assert_eq!((store.numbers(), store.wanted()), (&[1, 2, 3, 4][..], 4));
        store.want_after(2);
        store.save(&body("e")).expect("saves");
        assert_eq!((store.numbers(), store.wanted()), (&[3, 4, 5][..], 3));
        store.want_after(5);
        store.save(&body("f")).expect("saves");
        assert_eq!((store.numbers(), store.wanted()), (&[5, 6][..], 1));
    }

    #[test]
    fn what_stands_behind_a_checkpoint_comes_back_with_it_and_is_no_part_of_it() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = open(&dir, 2).expect("opens");
        store.save(&[body("a"), b"told".to_vec()].concat()).expect("saves");
        store.save(&body("b")).expect("saves");
        let (checkpoint, behind) = store.read_with_rest(1).expect("whole");
        assert!(checkpoint.streams.contains_key("a"));
        assert_eq!(behind, b"told");
        assert!(store.read(1).expect("whole").streams.contains_key("a"));
        assert_eq!(store.read_with_rest(2).expect("whole").1, b"");
    }

    #[test]
    fn of_two_processes_that_write_here_one_is_told() {
        let dir = tempfile::tempdir().expect("folder");
        let (mut one, mut other) = (open(&dir, 3).expect("opens"), open(&dir, 3).expect("opens"));
        one.save(&body("one")).expect("saves");
        let error = other.save(&body("other")).expect_err("is taken").to_string();
        assert!(error.contains("another process"), "{error}");
        assert!(one.read(1).expect("whole").streams.contains_key("one"));
    }
}
