//! What a commit stands for: a written checkpoint, and the cut that it is of. The commit says so in the table's log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Offset, PartitionId};
use crate::results::Cut;

/// The name in a commit's information under which it says so.
pub(super) const KEY: &str = "tidemark";

/// The cut of which a version of a history is: every record accepted up to its offsets, and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfCut {
    /// Life of the publisher in which `cut` counts.
    pub epoch: String,
    /// Its number.
    pub cut: u64,
    /// When it was published, epoch milliseconds.
    pub published_at: i64,
    /// Largest accepted event time of the stream, epoch milliseconds; `None` before the first record.
    pub as_of: Option<i64>,
    /// Offset after the last record read of the stream, by partition.
    pub offsets: BTreeMap<PartitionId, Offset>,
}

/// A written checkpoint, as histories go on from it.
#[derive(Debug, Clone, Default)]
pub struct Stand {
    streams: BTreeMap<String, OfCut>,
}

impl Stand {
    /// The checkpoint of a cut; `offsets` by stream and partition are those that were written.
    #[must_use]
    pub fn of(
        epoch: &str,
        cut: &Cut,
        offsets: &BTreeMap<String, BTreeMap<PartitionId, Offset>>,
    ) -> Self {
        let of = |(stream, offsets): (&String, &BTreeMap<PartitionId, Offset>)| {
            let of = OfCut {
                epoch: epoch.to_owned(),
                cut: cut.cut,
                published_at: cut.published_at,
                as_of: cut.streams.get(stream).and_then(|stream| stream.as_of),
                offsets: offsets.clone(),
            };
            (stream.clone(), of)
        };
        Self { streams: offsets.iter().map(of).collect() }
    }

    /// What it says of a stream; `None` where it has none of it.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<&OfCut> {
        self.streams.get(name)
    }
}

/// What the text of a commit says of its cut; `None` where it says nothing.
pub(super) fn of_commit(text: &[u8]) -> Option<OfCut> {
    let actions = text.split(|byte| *byte == b'\n');
    let mut told = actions.filter_map(|line| {
        let action: serde_json::Value = serde_json::from_slice(line).ok()?;
        let told = action.get("commitInfo")?.get(KEY)?;
        serde_json::from_value(told.clone()).ok()
    });
    told.next()
}
