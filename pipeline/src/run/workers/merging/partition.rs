//! The checkpoints of one partition, as the server reads them: in their order, and what stands behind each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Name;
use crate::model::{Offset, PartitionId};
use crate::run::live::fold::Drained;
use crate::run::workers::wire::{decode, read_parts};
use crate::source::Source;
use crate::state::objects::Objects;
use crate::state::store::numbers;
use crate::state::{CheckpointError, CheckpointStore};

/// Offsets at the end of a log that may be looked into for whether there is a record among them.
const HOLLOW_MAX: Offset = 1_000;
/// How long nothing must have come before that is looked into, and how long before it is again.
const LOOK_INTO_EVERY: Duration = Duration::from_secs(3);
/// How long such a look takes at most.
const LOOK_INTO_MAX: Duration = Duration::from_millis(500);
/// How long nothing may come of a partition that has records before someone is told.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// The checkpoints of one partition.
pub(super) struct Partition {
    store: CheckpointStore,
    /// Number of the last one that was looked at.
    seen: u64,
    /// Offset behind what has been read of it.
    at: Option<Offset>,
    /// The numbers that may still be needed, each with the offset behind it.
    pub(super) read: VecDeque<(u64, Option<Offset>)>,
    moved_at: Instant,
    pub(super) end: Option<Offset>,
    damaged: Option<String>,
    /// Where it stood, and the end of its log, when there was no record between the two.
    hollow: Option<(Offset, Offset)>,
    looked_into: Option<Instant>,
}

/// Why a checkpoint gives nothing.
pub(super) enum Refused {
    /// The place is away.
    ForNow(CheckpointError),
    /// The figures must not go on.
    Broken(String),
}

impl Partition {
    /// The partition that stands at `at`, in its place.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub(super) fn open(
        place: Arc<dyn Objects>,
        at: Option<Offset>,
    ) -> Result<Self, CheckpointError> {
        Ok(Self {
            store: CheckpointStore::open(place, usize::MAX)?,
            seen: 0,
            at,
            read: VecDeque::new(),
            moved_at: Instant::now(),
            end: None,
            damaged: None,
            hollow: None,
            looked_into: None,
        })
    }

    /// Takes note of the end of its log; answers it, or where it stands if only marks of transactions, and what these
    /// took back, are between the two: those are no records that anyone waits for.
    pub(super) fn hear_of_end(
        &mut self,
        source: &mut dyn Source,
        number: PartitionId,
        end: Offset,
    ) -> Offset {
        let reached = self.at;
        let end = match reached {
            Some(at) if self.is_hollow(source, number, (at, end)) => at,
            _ => end,
        };
        self.end = Some(end);
        end
    }

    fn is_hollow(
        &mut self,
        source: &mut dyn Source,
        number: PartitionId,
        between: (Offset, Offset),
    ) -> bool {
        let (at, end) = between;
        if self.hollow == Some(between) {
            return true;
        }
        let is_too_early = |since: Instant| since.elapsed() < LOOK_INTO_EVERY;
        if !(1..=HOLLOW_MAX).contains(&(end - at))
            || is_too_early(self.moved_at)
            || self.looked_into.is_some_and(is_too_early)
        {
            return false;
        }
        self.looked_into = Some(Instant::now());
        // What cannot be looked into is taken for records.
        let Ok(mut reader) = source.open(number, Some(at)) else { return false };
        let until = Instant::now() + LOOK_INTO_MAX;
        while Instant::now() < until {
            match reader.read(1, LOOK_INTO_MAX / 5, &mut |_| ()) {
                Ok(outcome) if outcome.records == 0 => {}
                _ => return false,
            }
            if reader.end_offset() == Some(at) {
                self.hollow = Some(between);
                return true;
            }
        }
        false
    }

    /// What someone must look at.
    pub(super) fn alarms(&self, (stream, partition): &Name) -> Vec<String> {
        let mut alarms: Vec<String> = self.damaged.iter().cloned().collect();
        let unread = self.end.unwrap_or(0) - self.at.unwrap_or(0);
        let silent = self.moved_at.elapsed();
        if unread > 0 && silent > SILENT_AFTER {
            alarms.push(format!(
                "stream {stream} partition {partition}: no worker has told anything for {} s, and {unread} offsets wait in \
                 its log; is `tidemark pipeline` running?",
                silent.as_secs()
            ));
        }
        alarms
    }

    /// The numbers of checkpoints that have not been looked at, ascending.
    pub(super) fn fresh(&self) -> Result<Vec<u64>, CheckpointError> {
        let names = self.store.objects().list("")?;
        Ok(numbers(&names).into_iter().filter(|number| *number > self.seen).collect())
    }

    /// Whether there is no such checkpoint any more.
    fn is_gone(&self, number: u64) -> Result<bool, Refused> {
        Ok(!self.fresh().map_err(Refused::ForNow)?.contains(&number))
    }

    /// The drains behind a checkpoint that go on from what has been read, with their bytes.
    pub(super) fn read_one(
        &mut self,
        name: &Name,
        number: u64,
    ) -> Result<(Vec<Drained>, usize), Refused> {
        let (stream, partition) = name;
        let parts = match self.store.read_with_rest(number) {
            Ok((_, behind)) => read_parts(&behind).map_err(|detail| {
                let place = format!("{}, checkpoint {number}", self.store.objects().place());
                CheckpointError::Damaged { place, detail }
            }),
            Err(error) => Err(error),
        };
        let parts = match parts {
            Ok(parts) => parts,
            Err(CheckpointError::Damaged { .. }) if self.is_gone(number)? => {
                // Read before, by this server's last life, and let go of since.
                self.seen = number;
                return Ok((Vec::new(), 0));
            }
            Err(error @ CheckpointError::Damaged { .. }) => {
                // Its owner passes over it as well, and tells again what stood in it.
                tracing::error!(stream, partition, %error, "a worker's checkpoint is passed over: {error}");
                metrics::counter!("tidemark_checkpoints_passed_over_total").increment(1);
                self.damaged = Some(format!("passed over: {error}"));
                self.seen = number;
                return Ok((Vec::new(), 0));
            }
            Err(error @ CheckpointError::Store(_)) => return Err(Refused::ForNow(error)),
            Err(error) => return Err(Refused::Broken(error.to_string())),
        };
        let (mut drains, mut bytes, mut at) = (Vec::new(), 0, self.at);
        for part in parts.into_iter().filter(|part| part.to > self.at) {
            if part.from != at {
                let told = |offset: Option<Offset>| {
                    offset.map_or("the beginning".to_owned(), |offset| format!("offset {offset}"))
                };
                return Err(Refused::Broken(format!(
                    "stream {stream} partition {partition}: what its worker folded goes on from {}, and {} has been \
                     merged ({}, checkpoint {number}): records would be missing or count twice; move the folders \
                     partitions/ and merged/ and workers.json of the shared place away and give workers another \
                     pipeline.worker-group to compute everything again from the log",
                    told(part.from),
                    told(at),
                    self.store.objects().place(),
                )));
            }
            let drain = decode(&part.bytes).map_err(|error| {
                Refused::Broken(format!(
                    "stream {stream} partition {partition}: what its worker folded cannot be read (checkpoint {number}): \
                     {error}"
                ))
            })?;
            bytes += part.bytes.len();
            at = part.to;
            drains.push(Drained {
                stream: stream.clone(),
                partition: *partition,
                drain: Ok(drain),
                end_offset: None,
                problem: None,
                waits_for: None,
            });
        }
        if at != self.at {
            (self.at, self.moved_at, self.damaged) = (at, Instant::now(), None);
        }
        self.read.push_back((number, at));
        self.seen = number;
        Ok((drains, bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::admit::sequence::FreshNumbers;
    use crate::admit::{CountsByValue, DedupDrain, RecordCounts};
    use crate::run::partition::{BranchDrain, Drains, PartitionDrain};
    use crate::run::workers::wire::{Part, encode, write_parts};
    use crate::state::SavedPartition;
    use crate::state::checkpoint::{StreamToSave, encode as encode_state, encode_logs};
    use crate::state::objects::Disk;

    /// A partition's folder with a writer of its checkpoints.
    struct Folder {
        dir: tempfile::TempDir,
        store: CheckpointStore,
    }

    impl Folder {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("folder");
            let store = CheckpointStore::open(Self::place(&dir), 2).expect("opens");
            Self { dir, store }
        }

        fn place(dir: &tempfile::TempDir) -> Arc<dyn Objects> {
            Arc::new(Disk::open(dir.path()).expect("opens"))
        }

        /// Writes a checkpoint with drains between these offsets behind it.
        fn write(&mut self, parts: &[(i64, i64)]) {
            let parts: Vec<Part> = parts.iter().map(|(from, to)| part(*from, *to)).collect();
            let partitions = BTreeMap::from([(0, SavedPartition::default())]);
            let stream = StreamToSave {
                name: "orders",
                hash: "h",
                partitions: &partitions,
                sequences: None,
            };
            let state = encode_state(&[stream], &[]).expect("encodes");
            let mut body = encode_logs(state, "keys", &[]);
            body.extend(write_parts(&parts));
            self.store.save(&body).expect("saves");
        }

        fn read_from(&self, at: Option<i64>) -> Partition {
            Partition::open(Self::place(&self.dir), at).expect("opens")
        }
    }

    /// A drain from one offset, or the beginning for 0, to another.
    fn part(from: i64, to: i64) -> Part {
        let branch =
            BranchDrain { stream: "orders".into(), as_of: None, views: vec![], late: vec![] };
        let live = PartitionDrain {
            partition: 0,
            next_offset: Some(to),
            watermark: 0,
            counts: RecordCounts::default(),
            by_value: CountsByValue::new(),
            branches: vec![branch],
            operators: Vec::new(),
            dead_letters: Vec::new(),
            dedup: DedupDrain::default(),
            history: Vec::new(),
        };
        let drains = Drains { live, shadow: None, numbers: FreshNumbers::new() };
        let bytes = encode(&drains).expect("encodes");
        Part { from: (from > 0).then_some(from), to: Some(to), bytes }
    }

    /// The offsets behind the drains that are read, or why reading must stop.
    fn read(partition: &mut Partition) -> Result<Vec<i64>, String> {
        let name = ("orders".to_owned(), 0);
        let mut all = Vec::new();
        for number in partition.fresh().expect("lists") {
            let (drains, _) =
                partition.read_one(&name, number).map_err(|refused| match refused {
                    Refused::Broken(why) => why,
                    Refused::ForNow(error) => error.to_string(),
                })?;
            let to = |drained: Drained| drained.drain.ok()?.live.next_offset;
            all.extend(drains.into_iter().filter_map(to));
        }
        Ok(all)
    }

    #[test]
    fn drains_are_read_in_their_order_and_once_from_wherever_the_server_stands() {
        let mut folder = Folder::new();
        folder.store.want_after(0);
        folder.write(&[(0, 10)]);
        // The second could not be written at first, and goes with the third.
        folder.write(&[(10, 20), (20, 25)]);
        let mut partition = folder.read_from(None);
        assert_eq!(read(&mut partition), Ok(vec![10, 20, 25]));
        assert_eq!(read(&mut partition), Ok(vec![]));
        // One that was written and not known to be: its drain stands behind the next one as well.
        folder.write(&[(10, 20), (20, 25), (25, 40)]);
        assert_eq!(read(&mut partition), Ok(vec![40]));
        assert_eq!(read(&mut folder.read_from(Some(20))), Ok(vec![25, 40]));
        assert_eq!(partition.read, [(1, Some(10)), (2, Some(25)), (3, Some(40))]);
    }

    #[test]
    fn where_records_would_be_missing_or_count_twice_reading_stops_with_both_offsets() {
        let mut folder = Folder::new();
        folder.write(&[(0, 10)]);
        folder.write(&[(12, 20)]);
        let said = read(&mut folder.read_from(None)).expect_err("a gap");
        assert!(said.contains("offset 12") && said.contains("offset 10 has been merged"), "{said}");
        let mut folder = Folder::new();
        folder.write(&[(10, 30)]);
        let said = read(&mut folder.read_from(Some(20))).expect_err("an overlap");
        assert!(said.contains("offset 10") && said.contains("offset 20 has been merged"), "{said}");
    }

    #[test]
    fn a_damaged_checkpoint_is_passed_over_when_its_owner_did_so_too_and_is_told_until_then() {
        let mut folder = Folder::new();
        folder.store.want_after(0);
        folder.write(&[(0, 10)]);
        folder.write(&[(10, 20)]);
        let path = folder.dir.path().join("000000000002.checkpoint");
        let mut bytes = std::fs::read(&path).expect("read");
        *bytes.last_mut().expect("bytes") ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let mut partition = folder.read_from(None);
        assert_eq!(read(&mut partition), Ok(vec![10]));
        let name = ("orders".to_owned(), 0);
        assert!(partition.alarms(&name)[0].contains("000000000002.checkpoint is damaged"));
        folder.write(&[(10, 22)]);
        assert_eq!(read(&mut partition), Ok(vec![22]));
        assert_eq!(partition.alarms(&name), Vec::<String>::new());
    }
}
