//! The bytes of a result topic: rows with their papers, and the control record that ends a cut.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::model::{Offset, PartitionId};
use crate::results::{Cut, StreamProgress};

/// Key of the control record; no row has it, for a row's key has its view's own columns.
pub(super) const CONTROL_KEY: &str = "{\"_control\":\"cut\"}";
/// Header of every record: the number, within the topic, of the cut it belongs to.
pub(super) const SEQUENCE_HEADER: &str = "tidemark-sequence";
/// Where a row's own JSON ends and its papers begin. It cannot stand within a value, where the quote
/// would be escaped, and it is the last of its kind.
const PAPERS: &str = ",\"_cut\":";

/// What the control record says: the cut that the topic holds with the records before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Control {
    /// The view whose topic it is.
    pub(super) view: String,
    /// Number of the process among those that have written the topics; a later one shuts the earlier out.
    pub(super) generation: u64,
    /// Number of this cut in this topic, from 1, one more for every transaction, across restarts.
    pub(super) sequence: u64,
    /// The life of the publisher that `cut` belongs to.
    pub(super) epoch: String,
    /// Number of the cut in its epoch.
    pub(super) cut: u64,
    /// Rows written with this cut.
    pub(super) upserts: u64,
    /// Tombstones written with this cut.
    pub(super) deletes: u64,
    /// Largest accepted event time, epoch milliseconds.
    pub(super) as_of: Option<i64>,
    /// Event time every partition has passed, epoch milliseconds.
    pub(super) watermark: Option<i64>,
    /// By stream and partition, the offset after the last record that counts.
    pub(super) offsets: BTreeMap<String, BTreeMap<PartitionId, Offset>>,
}

impl Control {
    /// As bytes of a record.
    pub(super) fn encode(&self) -> String {
        // Strings, numbers and maps with text keys: nothing that JSON does not have.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// In what `cut` is behind this one; `None` when it is not.
    pub(super) fn ahead_of(&self, cut: &Cut) -> Option<String> {
        for (stream, partitions) in &self.offsets {
            // A stream that is read no longer says nothing.
            let Some(now) = cut.offsets.get(stream) else { continue };
            for (partition, written) in partitions {
                let reached = now.get(partition).copied().unwrap_or(0);
                if reached < *written {
                    return Some(format!(
                        "stream {stream} partition {partition} has been read to offset {reached}, and the topic of \
                         view {} holds a cut of offset {written}; it is written again once reading has come there \
                         (if the log was made anew, give the views new result topics)",
                        self.view
                    ));
                }
            }
        }
        None
    }
}

/// The papers of a row: what every row of a view has in common at a cut, and its window.
pub(super) struct Papers<'a> {
    pub(super) cut: u64,
    pub(super) epoch: &'a str,
    pub(super) progress: &'a StreamProgress,
}

impl Papers<'_> {
    /// Puts a row's value together: the view's columns with `_mark` and `_revision`, then the papers.
    pub(super) fn write(&self, out: &mut String, row: &str, window: (i64, i64)) {
        out.clear();
        out.push_str(row.strip_suffix('}').unwrap_or(row));
        let Self { cut, epoch, progress } = self;
        let (start, end) = match window {
            (i64::MIN, _) | (_, i64::MAX) => (None, None),
            (start, end) => (Some(start), Some(end)),
        };
        let _infallible = write!(
            out,
            "{PAPERS}{cut},\"_epoch\":\"{epoch}\",\"_as_of\":{},\"_watermark\":{},\"_window_start\":{},\"_window_end\":{}}}",
            or_null(progress.as_of),
            or_null(progress.watermark),
            or_null(start),
            or_null(end)
        );
    }
}

fn or_null(time: Option<i64>) -> String {
    time.map_or_else(|| "null".to_owned(), |ms| ms.to_string())
}

/// The row's own JSON in a value, without its last brace; `None` when it is no row of ours.
pub(super) fn row_of(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    text.rfind(PAPERS).and_then(|at| text.get(..at))
}

/// What two equal rows have in common.
pub(super) fn fingerprint(row: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(row.strip_suffix('}').unwrap_or(row).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_again_in_its_value_even_when_it_quotes_the_papers() {
        let progress = StreamProgress { as_of: Some(5), ..StreamProgress::default() };
        let papers = Papers { cut: 7, epoch: "e", progress: &progress };
        let row = r#"{"name":"a,\"_cut\":1","n":2}"#;
        let mut value = String::new();
        papers.write(&mut value, row, (1, 2));
        assert_eq!(row_of(value.as_bytes()).map(xx), Some(fingerprint(row)));
        let read: serde_json::Value = serde_json::from_str(&value).unwrap();
        assert_eq!(
            (&read["n"], &read["_as_of"], &read["_window_end"]),
            (&2.into(), &5.into(), &2.into())
        );
        papers.write(&mut value, row, (i64::MIN, i64::MAX));
        assert!(
            serde_json::from_str::<serde_json::Value>(&value).unwrap()["_window_start"].is_null()
        );
        assert_eq!(row_of(b"{\"n\":1}"), None);
    }

    fn xx(row: &str) -> u128 {
        fingerprint(row)
    }

    #[test]
    fn a_cut_is_behind_a_topic_that_holds_a_later_record_of_any_partition() {
        let at = |offsets: [(PartitionId, Offset); 2]| {
            BTreeMap::from([("orders".to_owned(), BTreeMap::from(offsets))])
        };
        let control = Control {
            view: "v".into(),
            generation: 1,
            sequence: 1,
            epoch: "e".into(),
            cut: 1,
            upserts: 0,
            deletes: 0,
            as_of: None,
            watermark: None,
            offsets: at([(0, 10), (1, 20)]),
        };
        let cut = |offsets| Cut { offsets, ..Cut::default() };
        assert_eq!(control.ahead_of(&cut(at([(0, 10), (1, 20)]))), None);
        let behind = control.ahead_of(&cut(at([(0, 99), (1, 19)]))).unwrap();
        assert!(
            behind.contains("partition 1") && behind.contains("19") && behind.contains("20"),
            "{behind}"
        );
        assert!(
            control
                .ahead_of(&cut(BTreeMap::from([("orders".to_owned(), BTreeMap::new())])))
                .is_some()
        );
    }
}
