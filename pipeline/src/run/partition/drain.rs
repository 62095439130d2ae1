//! What a partition tells the publisher, all at one offset.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::admit::sequence::FreshNumbers;
use crate::admit::{CountsByValue, DedupDrain, RecordCounts};
use crate::lifecycle::Notice;
use crate::lifecycle::operator::OperatorDrain;
use crate::model::{DeadLetter, Offset, PartitionId};
use crate::state::{SavedFold, SavedPartition};
use crate::windows::{Drained, LateRow};

/// A record that missed a window, with everything its ledger row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRecord {
    /// Key of the view.
    pub view: Arc<str>,
    /// Where the record stands.
    pub offset: Offset,
    /// Event time of its row, epoch milliseconds.
    pub event_time: i64,
    /// The partition's watermark before it.
    pub watermark: i64,
    /// The windows it missed.
    pub missed: LateRow,
    /// The log's timestamp of the record, epoch milliseconds.
    pub log_time: Option<i64>,
    /// The raw record, cut to a bound.
    pub raw: Vec<u8>,
    /// Bytes of the whole raw record.
    pub raw_bytes: usize,
}

/// What a partition has done since its last drain, all at one offset.
#[derive(Debug)]
pub struct Drains {
    /// In the ordinary space.
    pub live: PartitionDrain,
    /// In the shadow space; `None` before the first shadow record.
    pub shadow: Option<PartitionDrain>,
    /// Numbers of the sources' own sequences, of both spaces: a load test takes its numbers from the same sequence.
    pub numbers: FreshNumbers,
}

/// What one result space of a partition has done since its last drain, all at one offset.
#[derive(Debug)]
pub struct PartitionDrain {
    /// The partition.
    pub partition: PartitionId,
    /// Offset after the last record read; `None` before the first.
    pub next_offset: Option<Offset>,
    /// Its watermark, epoch milliseconds.
    pub watermark: i64,
    /// Its accounting since the first record.
    pub counts: RecordCounts,
    /// The same by the value of the declared column.
    pub by_value: CountsByValue,
    /// The stream itself and the streams derived from it.
    pub branches: Vec<BranchDrain>,
    /// Its life cycles, by the table that declares each.
    pub operators: Vec<(Arc<str>, OperatorDrain)>,
    /// Dead letters since the last drain.
    pub dead_letters: Vec<DeadLetter>,
    /// Its dedup keys.
    pub dedup: DedupDrain,
    /// Accepted rows for the history since the last drain; none where the stream has none.
    pub history: Vec<RecordBatch>,
}

/// What one branch has done since its last drain.
#[derive(Debug)]
pub struct BranchDrain {
    /// The stream it is of.
    pub stream: Arc<str>,
    /// Largest event time of its rows.
    pub as_of: Option<i64>,
    /// Its views.
    pub views: Vec<ViewDrain>,
    /// Late rows since the last drain.
    pub late: Vec<LateRecord>,
}

/// What was folded for one view since the last drain.
#[derive(Debug)]
pub struct ViewDrain {
    /// Key of the view.
    pub view: Arc<str>,
    /// What was folded.
    pub drained: Drained,
    /// What a checkpoint holds of its fold.
    pub fold: SavedFold,
    /// Why it was stopped, if it was.
    pub failed: Option<String>,
}

impl PartitionDrain {
    /// Where the partition is, as a checkpoint holds it, and what was folded by view.
    #[must_use]
    pub fn split(self) -> (SavedPartition, Told) {
        let mut at = SavedPartition {
            next_offset: self.next_offset,
            watermark: self.watermark,
            counts: self.counts,
            shadow_before: 0,
            added_at: None,
            by_value: self.by_value,
            as_of: BTreeMap::new(),
            views: BTreeMap::new(),
            operators: BTreeMap::new(),
        };
        let mut told = Told {
            partition: self.partition,
            views: Vec::new(),
            late: Vec::new(),
            dead_letters: self.dead_letters,
            dedup: self.dedup,
            notices: Vec::new(),
        };
        for (name, drain) in self.operators {
            at.operators.insert(name.to_string(), drain.counts);
            told.notices
                .extend(drain.notices.into_iter().map(|notice| (Arc::clone(&name), notice)));
        }
        for branch in self.branches {
            if let Some(as_of) = branch.as_of {
                at.as_of.insert(branch.stream.to_string(), as_of);
            }
            told.late.extend(branch.late);
            for view in branch.views {
                at.views.insert(view.view.to_string(), view.fold);
                told.views.push((view.view, view.drained, view.failed));
            }
        }
        (at, told)
    }
}

/// What is new since the last drain.
#[derive(Debug)]
pub struct Told {
    /// The partition.
    pub partition: PartitionId,
    /// What was folded by key of the view, and why it was stopped, if it was.
    pub views: Vec<(Arc<str>, Drained, Option<String>)>,
    /// Late rows.
    pub late: Vec<LateRecord>,
    /// Dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Dedup keys.
    pub dedup: DedupDrain,
    /// Events of orders that stand otherwise than before, with their life cycle.
    pub notices: Vec<(Arc<str>, Notice)>,
}
