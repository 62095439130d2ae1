//! The accounting as tables, and the check that nothing has disappeared.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use crate::admit::{RecordCounts, ValueCounts};
use crate::lifecycle::Counts;
use crate::model::PartitionId;
use crate::sql::catalog::system_tables;
use crate::state::SavedPartition;
use crate::windows::ViewCounts;

/// One row of `records_accounted`.
type RecordRow<'a> = (&'a str, PartitionId, RecordCounts);
/// One row of `views_accounted`: view, stream, partition and counts.
type ViewRow<'a> = (&'a str, &'a str, PartitionId, ViewCounts);
/// One row of `sources_accounted`.
type ValueRow<'a> = (&'a str, PartitionId, Option<&'a str>, ValueCounts);

/// One row of `lifecycle_accounted`.
type OrdersRow<'a> = (&'a str, PartitionId, Counts);

/// A view as the accounting knows it.
#[derive(Debug, Clone)]
pub struct ViewRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// What partitions know it by.
    pub key: &'a str,
    /// The streams it reads.
    pub streams: Vec<&'a str>,
    /// Whether it goes on; one that was stopped has its last counts.
    pub is_running: bool,
}

/// Everything that is counted, at one cut.
#[derive(Debug)]
pub struct Accounts<'a> {
    /// The streams of the log by name, with their partitions.
    pub streams: Vec<(&'a str, &'a BTreeMap<PartitionId, SavedPartition>)>,
    /// The views that are shown.
    pub views: Vec<ViewRef<'a>>,
}

impl<'a> Accounts<'a> {
    /// The accounting by the names of its tables.
    ///
    /// # Errors
    /// Never, unless a schema and its columns disagree.
    pub fn tables(&self) -> Result<BTreeMap<String, RecordBatch>, ArrowError> {
        let (mut records, mut views, mut values, mut orders) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (stream, partition, at) in self.partitions() {
            records.push((stream, partition, at.counts));
            values.extend(
                at.by_value
                    .iter()
                    .map(|(value, counts)| (stream, partition, value.as_deref(), *counts)),
            );
            orders.extend(
                at.operators.iter().map(|(table, counts)| (table.as_str(), partition, *counts)),
            );
            for view in &self.views {
                let fold = at.views.get(view.key);
                views.extend(fold.map(|fold| (view.name, stream, partition, fold.counts)));
            }
        }
        views.sort_by_key(|(view, stream, partition, _)| (*view, *stream, *partition));
        Ok(BTreeMap::from([
            ("records_accounted".to_owned(), records_accounted(&records)?),
            ("views_accounted".to_owned(), views_accounted(&views)?),
            ("sources_accounted".to_owned(), sources_accounted(&values)?),
            ("lifecycle_accounted".to_owned(), lifecycle_accounted(&orders)?),
        ]))
    }

    /// Where the accounting does not add up: a sentence for each place, none when nothing has disappeared.
    #[must_use]
    pub fn discrepancies(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (stream, partition, at) in self.partitions() {
            let place = format!("stream {stream} partition {partition}");
            found.extend(of_records(&at.counts).map(|what| format!("{place}: {what}")));
            found.extend(of_values(at).map(|what| format!("{place}: {what}")));
            for view in &self.views {
                let Some(fold) = at.views.get(view.key) else { continue };
                let of_view = of_view(&fold.counts);
                // A view of a derived stream has other rows, and one that began later has fewer.
                let is_whole =
                    view.is_running && view.streams.contains(&stream) && fold.since.is_none();
                let of_stream = of_both(&fold.counts, &at.counts).filter(|_| is_whole);
                found.extend(
                    of_view
                        .or(of_stream)
                        .map(|what| format!("{place}, view {}: {what}", view.name)),
                );
            }
        }
        found
    }

    fn partitions(&self) -> impl Iterator<Item = (&'a str, PartitionId, &'a SavedPartition)> {
        self.streams.iter().copied().flat_map(|(stream, partitions)| {
            partitions.iter().map(move |(partition, at)| (stream, *partition, at))
        })
    }
}

fn records_accounted(rows: &[RecordRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let counts: [fn(&RecordCounts) -> u64; 7] = [
        |c| c.read,
        |c| c.accepted,
        |c| c.duplicate,
        |c| c.rejected,
        |c| c.shadow,
        |c| c.control,
        |c| c.misplaced,
    ];
    let mut columns =
        vec![texts(rows.iter().map(|row| Some(row.0))), partitions(rows.iter().map(|row| row.1))];
    columns.extend(counts.map(|count| numbers(rows.iter().map(|row| count(&row.2)))));
    table("records_accounted", columns)
}

fn views_accounted(rows: &[ViewRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let counts: [fn(&ViewCounts) -> u64; 4] =
        [|c| c.accepted, |c| c.counted, |c| c.filtered, |c| c.late];
    let mut columns = vec![
        texts(rows.iter().map(|row| Some(row.0))),
        texts(rows.iter().map(|row| Some(row.1))),
        partitions(rows.iter().map(|row| row.2)),
    ];
    columns.extend(counts.map(|count| numbers(rows.iter().map(|row| count(&row.3)))));
    table("views_accounted", columns)
}

fn sources_accounted(rows: &[ValueRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let counts: [fn(&ValueCounts) -> u64; 5] =
        [|c| c.read, |c| c.accepted, |c| c.duplicate, |c| c.rejected, |c| c.late];
    let mut columns = vec![
        texts(rows.iter().map(|row| Some(row.0))),
        partitions(rows.iter().map(|row| row.1)),
        texts(rows.iter().map(|row| row.2)),
    ];
    columns.extend(counts.map(|count| numbers(rows.iter().map(|row| count(&row.3)))));
    table("sources_accounted", columns)
}

fn lifecycle_accounted(rows: &[OrdersRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let mut columns =
        vec![texts(rows.iter().map(|row| Some(row.0))), partitions(rows.iter().map(|row| row.1))];
    for nth in 0..Counts::NAMES.len() {
        columns.push(numbers(rows.iter().map(|(.., counts)| counts.to_numbers()[nth])));
    }
    table("lifecycle_accounted", columns)
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn partitions(values: impl Iterator<Item = PartitionId>) -> ArrayRef {
    Arc::new(values.map(|partition| i32::try_from(partition).ok()).collect::<Int32Array>())
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.map(|value| i64::try_from(value).ok()).collect::<Int64Array>())
}

/// The columns as a table of the engine's own.
///
/// # Errors
/// When they are not of its schema.
pub(super) fn table(name: &str, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    let schema =
        system_tables().into_iter().find(|(found, _)| *found == name).map(|(_, schema)| schema);
    RecordBatch::try_new(schema.unwrap_or_else(|| Arc::new(Schema::empty())), columns)
}

fn of_records(counts: &RecordCounts) -> Option<String> {
    let RecordCounts { read, accepted, duplicate, rejected, shadow, control, .. } = counts;
    (!counts.balances()).then(|| {
        format!(
            "{read} records were read, but {accepted} accepted + {duplicate} duplicate + {rejected} rejected + \
             {shadow} shadow + {control} control are another number"
        )
    })
}

fn of_values(at: &SavedPartition) -> Option<String> {
    if at.by_value.is_empty() {
        return None;
    }
    let balances =
        |c: &ValueCounts| c.read == c.accepted + c.duplicate + c.rejected && c.late <= c.accepted;
    if let Some((value, _)) = at.by_value.iter().find(|(_, counts)| !balances(counts)) {
        return Some(format!(
            "the records of {} do not add up",
            value.as_deref().unwrap_or("NULL")
        ));
    }
    let (by_value, read) =
        (at.by_value.values().map(|counts| counts.accepted).sum::<u64>(), at.counts.accepted);
    (by_value != read).then(|| format!("{read} records were accepted, but {by_value} by value"))
}

fn of_both(view: &ViewCounts, stream: &RecordCounts) -> Option<String> {
    (view.accepted != stream.accepted).then(|| {
        format!("{} records were accepted, but {} came to the view", stream.accepted, view.accepted)
    })
}

fn of_view(counts: &ViewCounts) -> Option<String> {
    let ViewCounts { accepted, counted, filtered, late } = *counts;
    (accepted != counted + filtered + late).then(|| {
        format!("{accepted} records were accepted, but {counted} counted + {filtered} filtered + {late} late are another number")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{SavedFold, Since};

    fn partition() -> SavedPartition {
        let mut at = SavedPartition::default();
        at.counts = RecordCounts {
            read: 10,
            accepted: 6,
            duplicate: 1,
            rejected: 1,
            shadow: 1,
            control: 1,
            misplaced: 3,
        };
        at.by_value.insert(None, ValueCounts { read: 1, rejected: 1, ..ValueCounts::default() });
        let till = ValueCounts { read: 7, accepted: 6, duplicate: 1, rejected: 0, late: 2 };
        at.by_value.insert(Some("till".into()), till);
        let counts = ViewCounts { accepted: 6, counted: 3, filtered: 1, late: 2 };
        at.views.insert("gmv_day-1f".to_owned(), SavedFold { counts, ..SavedFold::default() });
        at
    }

    fn accounts(partitions: &BTreeMap<PartitionId, SavedPartition>) -> Accounts<'_> {
        let view = ViewRef {
            name: "gmv_day",
            key: "gmv_day-1f",
            streams: vec!["orders"],
            is_running: true,
        };
        Accounts { streams: vec![("orders", partitions)], views: vec![view] }
    }

    fn found(at: SavedPartition) -> Vec<String> {
        accounts(&BTreeMap::from([(2, at)])).discrepancies()
    }

    #[test]
    fn accounting_that_adds_up_raises_no_alarm() {
        assert_eq!(found(partition()), Vec::<String>::new());
    }

    #[test]
    fn a_record_that_disappeared_is_told_with_its_place() {
        let mut lost = partition();
        lost.counts.read += 1;
        let told = found(lost).concat();
        assert!(told.contains("stream orders partition 2: 11 records were read"), "{told}");
    }

    #[test]
    fn a_row_that_a_view_lost_is_told_with_the_view() {
        let mut lost = partition();
        lost.views.get_mut("gmv_day-1f").expect("a view").counts.counted -= 1;
        let told = found(lost).concat();
        assert!(told.contains("view gmv_day: 6 records were accepted"), "{told}");
    }

    #[test]
    fn records_that_never_came_to_a_view_are_told_unless_it_began_later() {
        let mut lost = partition();
        let fold = lost.views.get_mut("gmv_day-1f").expect("a view");
        fold.counts = ViewCounts { accepted: 5, counted: 3, filtered: 0, late: 2 };
        assert!(
            found(lost.clone())
                .concat()
                .contains("6 records were accepted, but 5 came to the view")
        );
        lost.views.get_mut("gmv_day-1f").expect("a view").since =
            Some(Since { offset: 4, time: None });
        assert_eq!(found(lost), Vec::<String>::new());
    }

    #[test]
    fn records_that_one_value_lost_or_the_stream_does_not_know_are_told() {
        let mut lost = partition();
        lost.by_value.get_mut(&None).expect("NULL").rejected = 0;
        assert!(found(lost).concat().contains("the records of NULL do not add up"));
        let mut more = partition();
        more.by_value.insert(
            Some("ghost".into()),
            ValueCounts { read: 1, accepted: 1, ..ValueCounts::default() },
        );
        assert!(found(more).concat().contains("6 records were accepted, but 7 by value"));
    }

    #[test]
    fn the_tables_hold_every_partition_view_and_value() {
        let partitions = BTreeMap::from([(0, partition()), (2, partition())]);
        let tables = accounts(&partitions).tables().expect("fits the schemas");
        let rows = |name: &str| tables.get(name).map_or(0, RecordBatch::num_rows);
        assert_eq!(
            ["records_accounted", "views_accounted", "sources_accounted"].map(rows),
            [2, 2, 4]
        );
    }
}
