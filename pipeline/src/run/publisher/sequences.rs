//! The numbers of the sources' own sequences as a table, one row a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;

use crate::admit::by_value::Value;
use crate::admit::sequence::{FreshNumbers, SequenceCounts, Sequences};
use crate::run::accounting::table;
use crate::sql::Catalog;

/// Name of the table.
pub(super) const SEQUENCES_TABLE: &str = "sequences_accounted";

/// The sequences of all streams that declare one.
#[derive(Debug)]
pub struct SequencesByStream {
    streams: BTreeMap<String, SourceNumbers>,
}

/// The numbers of the sources of one stream.
#[derive(Debug, Default)]
struct SourceNumbers {
    ranges_max: usize,
    sequences: Sequences,
    /// Numbers that came since the last cut, of all partitions: what one of them lacks of a run another may have.
    fresh: BTreeMap<Value, Vec<i64>>,
}

impl SequencesByStream {
    /// No numbers yet, of the streams of a catalogue.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let declared = catalog.logs().filter(|plan| plan.definition.sequence.is_some());
        let bounds = declared.map(|plan| {
            let definition = &plan.definition;
            let ranges_max = definition.sequence_ranges_max;
            (definition.name.clone(), SourceNumbers { ranges_max, ..SourceNumbers::default() })
        });
        Self { streams: bounds.collect() }
    }

    /// Adds the numbers of a stream's records of one partition; they are taken in with those of the others.
    pub fn add(&mut self, stream: &str, numbers: FreshNumbers) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        for (value, mut numbers) in numbers {
            stream.fresh.entry(value).or_default().append(&mut numbers);
        }
    }

    /// Takes in what has been added since the last call; before a cut is made.
    pub fn take_in(&mut self) {
        for SourceNumbers { ranges_max, sequences, fresh } in self.streams.values_mut() {
            for (value, numbers) in std::mem::take(fresh) {
                sequences.entry(value).or_default().add(numbers, *ranges_max);
            }
        }
    }

    /// The sequences of a stream as of the last cut, for its checkpoint.
    #[must_use]
    pub fn stream(&self, stream: &str) -> Option<&Sequences> {
        self.streams.get(stream).map(|stream| &stream.sequences)
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, stream: &str, saved: Sequences) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.sequences = saved;
        }
    }

    /// The table; NULL stands for what is not known, or is no BIGINT.
    ///
    /// # Errors
    /// Never, unless its schema and its columns disagree.
    pub fn table(&self) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<(&str, Option<&str>, Option<SequenceCounts>)> = self
            .streams
            .iter()
            .flat_map(|(stream, SourceNumbers { sequences, .. })| {
                sequences.iter().map(move |(value, sequence)| {
                    (stream.as_str(), value.as_deref(), sequence.counts())
                })
            })
            .collect();
        let counts: [fn(SequenceCounts) -> Option<i64>; 5] = [
            |counts| Some(counts.first),
            |counts| Some(counts.last),
            |counts| i64::try_from(counts.received).ok(),
            |counts| i64::try_from(counts.missing).ok(),
            |counts| i64::try_from(counts.repeated).ok(),
        ];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>()),
        ];
        columns.extend(counts.map(|count| -> ArrayRef {
            Arc::new(rows.iter().map(|row| row.2.and_then(count)).collect::<Int64Array>())
        }));
        table(SEQUENCES_TABLE, columns)
    }
}
