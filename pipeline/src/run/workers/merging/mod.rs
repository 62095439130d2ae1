//! What workers have folded, for the publisher of the server that merges it: in the order of each partition, every
//! record once.
//!
//! ```text
//! partitions/orders/0   7: 10 to 20 │ 8: 20 to 35 │ 9: 35 to 40      ─▶ drains in this order ─▶ publisher
//!                       └ read-to: the server's own checkpoints hold what stands behind 7, and it may go
//! ```
//! Where the drain that comes next does not begin where the last one ended, records would be missing or count twice:
//! then the server stops and says so.

mod partition;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::partition::{Partition, Refused};
use super::WorkersError;
use super::agreement::partition_place;
use crate::model::{Offset, PartitionId};
use crate::run::checkpoints::Offsets;
use crate::run::live::OpenSource;
use crate::run::live::fold::Drained;
use crate::source::Source;
use crate::state::CheckpointError;
use crate::state::objects::{Fenced, ObjectError, Objects};

/// The object that says up to which checkpoint each partition has been merged.
const READ_TO: &str = "read-to.json";
/// Bytes that may wait for the publisher; then no more is read until it has taken them.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How often the ends of the logs are looked up.
const ENDS_EVERY: Duration = Duration::from_millis(500);

/// A partition of a stream.
type Name = (String, PartitionId);
/// The number of the last checkpoint of each partition that nobody needs any more.
pub type ReadTo = BTreeMap<Name, u64>;

/// How far the server has read, in the folder of its own.
///
/// # Errors
/// When the place cannot be read, or holds something else.
pub fn read_to(merged: &dyn Objects) -> Result<ReadTo, ObjectError> {
    let Some(bytes) = merged.read(READ_TO)? else { return Ok(ReadTo::new()) };
    let failed = |error: serde_json::Error| ObjectError {
        step: "read",
        place: format!("{}/{READ_TO}", merged.place()),
        detail: error.to_string(),
    };
    let all: Vec<(String, PartitionId, u64)> = serde_json::from_slice(&bytes).map_err(failed)?;
    Ok(all.into_iter().map(|(stream, partition, number)| ((stream, partition), number)).collect())
}

/// Reads what workers write, in a thread of its own.
pub(in crate::run) struct Merging {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    fed: Mutex<Fed>,
    /// Offsets of checkpoints of the server that have been written since they were last looked at.
    written: Mutex<Vec<Offsets>>,
}

/// What waits for the publisher.
#[derive(Default)]
struct Fed {
    drains: Vec<Drained>,
    bytes: usize,
    ends: BTreeMap<Name, Offset>,
    problem: Option<String>,
    broken: Option<String>,
    alarms: Vec<String>,
}

/// What merging begins with.
pub(in crate::run) struct ToMerge {
    /// The place that workers share.
    pub(in crate::run) place: Arc<dyn Objects>,
    /// The server's own folder of it.
    pub(in crate::run) own: Arc<Fenced>,
    /// Where each partition stands.
    pub(in crate::run) at: BTreeMap<Name, Option<Offset>>,
    /// Opens the logs, to see their ends.
    pub(in crate::run) logs: BTreeMap<String, OpenSource>,
    /// Checkpoints of the server that are kept.
    pub(in crate::run) kept: usize,
    /// How often workers write.
    pub(in crate::run) every: Duration,
}

impl Merging {
    /// Begins to read.
    ///
    /// # Errors
    /// When the place cannot be read, or the system gives no thread.
    pub(in crate::run) fn start(from: ToMerge) -> Result<Self, WorkersError> {
        let shared = Arc::new(Shared::default());
        let mut reading = Reading::open(from)?;
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tidemark-merge".to_owned())
            .spawn(move || reading.run(&of_thread))
            .map_err(|error| WorkersError::Start(crate::run::live::StartError::Threads(error)))?;
        Ok(Self { shared, thread })
    }

    /// What has come since the last time.
    ///
    /// # Errors
    /// Why the figures must not go on.
    pub(in crate::run) fn drain(&self) -> Result<Vec<Drained>, String> {
        let mut fed = self.shared.fed.lock();
        fed.bytes = 0;
        let drains = std::mem::take(&mut fed.drains);
        match &fed.broken {
            // What came before is right.
            Some(broken) if drains.is_empty() => Err(broken.clone()),
            _ => Ok(drains),
        }
    }

    /// The ends of the logs, as far as they have been looked up anew.
    pub(in crate::run) fn ends(&self) -> BTreeMap<Name, Offset> {
        std::mem::take(&mut self.shared.fed.lock().ends)
    }

    /// Why nothing can be read, while that is so, and what someone must look at.
    pub(in crate::run) fn problems(&self) -> (Option<String>, Vec<String>) {
        let fed = self.shared.fed.lock();
        (fed.problem.clone(), fed.alarms.clone())
    }

    /// Whether nothing waits for the publisher.
    pub(in crate::run) fn is_idle(&self) -> bool {
        self.shared.fed.lock().drains.is_empty()
    }

    /// Takes note of a checkpoint of the server that has been written.
    pub(in crate::run) fn checkpoint_written(&self, offsets: &Offsets) {
        self.shared.written.lock().push(offsets.clone());
    }

    /// Ends the thread.
    pub(in crate::run) fn stop(self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the thread that merges what workers folded panicked");
        }
    }
}

/// The thread's own.
struct Reading {
    own: Arc<Fenced>,
    partitions: BTreeMap<Name, Partition>,
    logs: BTreeMap<String, (OpenSource, Option<Box<dyn Source>>)>,
    /// How far each checkpoint of the server that is kept has read, oldest first.
    checkpoints: VecDeque<ReadTo>,
    kept: usize,
    every: Duration,
    looked_at_ends: Option<Instant>,
}

impl Reading {
    fn open(from: ToMerge) -> Result<Self, WorkersError> {
        let mut partitions = BTreeMap::new();
        for (name, at) in from.at {
            let place = partition_place(&from.place, &name.0, name.1);
            let partition = Partition::open(place, at)
                .map_err(|error| WorkersError::Broken(error.to_string()))?;
            partitions.insert(name, partition);
        }
        Ok(Self {
            own: from.own,
            partitions,
            logs: from.logs.into_iter().map(|(name, open)| (name, (open, None))).collect(),
            checkpoints: VecDeque::new(),
            kept: from.kept,
            every: (from.every / 4).clamp(Duration::from_millis(50), Duration::from_secs(2)),
            looked_at_ends: None,
        })
    }

    fn run(&mut self, shared: &Shared) {
        while !shared.is_over.load(Ordering::Relaxed) {
            let problem = self.look(shared).err();
            let ends = self.ends();
            let problem = problem.map(|error| error.to_string()).or_else(|| ends.clone().err());
            let alarms = self.alarms();
            let mut fed = shared.fed.lock();
            fed.problem = problem;
            fed.alarms = alarms;
            fed.ends.extend(ends.unwrap_or_default());
            let is_broken = fed.broken.is_some();
            drop(fed);
            if is_broken {
                return;
            }
            if let Err(error) = self.tell_read(std::mem::take(&mut *shared.written.lock())) {
                tracing::warn!(%error, "how far was read cannot be told to the workers: {error}");
            }
            std::thread::sleep(self.every);
        }
    }

    /// Reads what is new of every partition, as far as there is room for it.
    fn look(&mut self, shared: &Shared) -> Result<(), CheckpointError> {
        for (name, partition) in &mut self.partitions {
            for number in partition.fresh()? {
                if shared.fed.lock().bytes >= WAITING_BYTES_MAX {
                    return Ok(());
                }
                match partition.read_one(name, number) {
                    Ok((drains, bytes)) => {
                        let mut fed = shared.fed.lock();
                        fed.drains.extend(drains);
                        fed.bytes += bytes;
                    }
                    Err(Refused::ForNow(error)) => return Err(error),
                    Err(Refused::Broken(why)) => {
                        shared.fed.lock().broken = Some(why);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The ends of the logs, when it is time to look.
    fn ends(&mut self) -> Result<BTreeMap<Name, Offset>, String> {
        let mut ends = BTreeMap::new();
        if self.looked_at_ends.is_some_and(|at| at.elapsed() < ENDS_EVERY) {
            return Ok(ends);
        }
        self.looked_at_ends = Some(Instant::now());
        for (name, partition) in &mut self.partitions {
            let Some((open, source)) = self.logs.get_mut(&name.0) else { continue };
            let failed = |error| format!("stream {}: {error}", name.0);
            let source = match source {
                Some(source) => source,
                None => source.insert(open().map_err(failed)?),
            };
            if let Some(bounds) = source.bounds(name.1).map_err(failed)? {
                let end = partition.hear_of_end(source.as_mut(), name.1, bounds.end);
                ends.insert(name.clone(), end);
            }
        }
        Ok(ends)
    }

    fn alarms(&self) -> Vec<String> {
        self.partitions.iter().flat_map(|(name, of)| of.alarms(name)).collect()
    }

    /// Says up to where every checkpoint of the server that is kept has read, so that workers let go of the rest.
    fn tell_read(&mut self, written: Vec<Offsets>) -> Result<(), ObjectError> {
        if written.is_empty() {
            return Ok(());
        }
        for offsets in written {
            let held = |(name, of): (&Name, &Partition)| {
                let at = offsets.get(&name.0).and_then(|stream| stream.get(&name.1)).copied();
                let last = of.read.iter().take_while(|(_, behind)| *behind <= at).last();
                last.map(|(number, _)| (name.clone(), *number))
            };
            self.checkpoints.push_back(self.partitions.iter().filter_map(held).collect());
        }
        while self.checkpoints.len() > self.kept {
            self.checkpoints.pop_front();
        }
        let Some(oldest) = self.checkpoints.front().filter(|_| self.checkpoints.len() == self.kept)
        else {
            return Ok(());
        };
        let all: Vec<(&str, PartitionId, u64)> = oldest
            .iter()
            .map(|((stream, partition), number)| (stream.as_str(), *partition, *number))
            .collect();
        let bytes = serde_json::to_vec(&all).unwrap_or_default();
        self.own.write(READ_TO, &bytes)?;
        for (name, number) in oldest {
            if let Some(of) = self.partitions.get_mut(name) {
                of.read.retain(|(known, _)| known >= number);
            }
        }
        Ok(())
    }
}
