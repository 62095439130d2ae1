//! How far the streams are: their partitions as of the last drain, merged.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event_time::{PartitionProgress, merged};
use crate::model::{Offset, PartitionId};
use crate::results::StreamProgress;
use crate::state::SavedPartition;
use crate::windows::fire::Progress;

/// How long each partition of each stream has been silent.
pub type Quiet = BTreeMap<String, BTreeMap<PartitionId, Duration>>;

/// The moment of a publish, by the wall clock.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Epoch milliseconds.
    pub now_ms: i64,
    /// How long each partition of each stream has been silent.
    pub quiet: Quiet,
    /// After how long a silent partition is idle.
    pub idle_after: Duration,
}

/// One stream of the log, with the streams derived from it.
#[derive(Debug, Default)]
pub struct StreamAt {
    /// Topic it is read from, for the ledgers.
    pub topic: String,
    /// Its partitions as of the last drain.
    pub partitions: BTreeMap<PartitionId, SavedPartition>,
}

impl StreamAt {
    /// Offset after the last record read, by partition.
    #[must_use]
    pub fn offsets(&self) -> BTreeMap<PartitionId, Offset> {
        self.partitions
            .iter()
            .filter_map(|(partition, at)| Some((*partition, at.next_offset?)))
            .collect()
    }

    /// How far `stream` is: this one, or one derived from it, which has event times of its own.
    #[must_use]
    pub fn progress(&self, base: &str, stream: &str, moment: &Moment) -> Progress {
        let quiet = moment.quiet.get(base);
        let quiet = |partition: &PartitionId| {
            quiet.and_then(|all| all.get(partition)).copied().unwrap_or_default()
        };
        let partitions: Vec<PartitionProgress> = self
            .partitions
            .iter()
            .map(|(partition, at)| PartitionProgress {
                watermark: at.watermark,
                quiet: quiet(partition),
            })
            .collect();
        let (watermark, settled) = merged(&partitions, moment.idle_after);
        let as_of = self.partitions.values().filter_map(|at| at.as_of.get(stream).copied()).max();
        Progress { watermark, settled, as_of, partitions: partitions.len(), ended: false }
    }

    /// The same for the papers of a figure, with the partitions that are not waited for.
    #[must_use]
    pub fn told(&self, progress: Progress) -> StreamProgress {
        let begun = |time: i64| (time != i64::MIN).then_some(time);
        let idle = self.partitions.iter().filter(|(_, at)| at.watermark < progress.settled);
        StreamProgress {
            as_of: progress.as_of,
            watermark: begun(progress.watermark),
            settled: begun(progress.settled),
            idle: idle.map(|(partition, _)| *partition).collect(),
            added: self
                .partitions
                .iter()
                .filter_map(|(number, at)| Some((*number, at.added_at?)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(watermark: i64, as_of: i64) -> SavedPartition {
        let as_of = BTreeMap::from([("orders".to_owned(), as_of)]);
        SavedPartition { watermark, as_of, ..SavedPartition::default() }
    }

    #[test]
    fn the_idle_partition_that_settled_does_not_wait_for_is_named() {
        let stream = StreamAt {
            topic: String::new(),
            partitions: BTreeMap::from([(0, at(100, 105)), (1, at(40, 45)), (2, at(120, 130))]),
        };
        let quiet = BTreeMap::from([(1, Duration::from_secs(60)), (2, Duration::from_secs(60))]);
        let moment = Moment {
            now_ms: 0,
            quiet: BTreeMap::from([("orders".to_owned(), quiet)]),
            idle_after: Duration::from_secs(5),
        };
        let told = stream.told(stream.progress("orders", "orders", &moment));
        assert_eq!((told.watermark, told.settled, told.as_of), (Some(40), Some(100), Some(130)));
        assert_eq!(told.idle, [1], "partition 2 is silent too, but nobody would wait for it");
    }

    #[test]
    fn a_derived_stream_has_its_own_event_times_and_its_base_streams_watermark() {
        let mut partition = at(100, 105);
        partition.as_of.insert("refunds".to_owned(), 70);
        let stream =
            StreamAt { topic: String::new(), partitions: BTreeMap::from([(0, partition)]) };
        let moment =
            Moment { now_ms: 0, quiet: BTreeMap::new(), idle_after: Duration::from_secs(5) };
        let progress = stream.progress("orders", "refunds", &moment);
        assert_eq!((progress.watermark, progress.as_of), (100, Some(70)));
    }
}
