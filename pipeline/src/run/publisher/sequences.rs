//! The numbers of the sources' own sequences as a table, one row a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;

use crate::admit::sequence::{FreshNumbers, SequenceCounts, Sequences};
use crate::run::accounting::table;
use crate::sql::Catalog;

/// Name of the table.
pub(super) const SEQUENCES_TABLE: &str = "sequences_accounted";

/// The sequences of all streams that declare one.
#[derive(Debug)]
pub struct SequencesByStream {
    streams: BTreeMap<String, (usize, Sequences)>,
}

impl SequencesByStream {
    /// No numbers yet, of the streams of a catalogue.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let declared = catalog.logs().filter(|plan| plan.definition.sequence.is_some());
        let bounds = declared.map(|plan| {
            let definition = &plan.definition;
            (definition.name.clone(), (definition.sequence_ranges_max, Sequences::new()))
        });
        Self { streams: bounds.collect() }
    }

    /// Adds the numbers of a stream's records.
    pub fn add(&mut self, stream: &str, numbers: FreshNumbers) {
        let Some((ranges_max, sequences)) = self.streams.get_mut(stream) else { return };
        for (value, numbers) in numbers {
            sequences.entry(value).or_default().add(&numbers, *ranges_max);
        }
    }

    /// The sequences of a stream, for a checkpoint.
    #[must_use]
    pub fn stream(&self, stream: &str) -> Option<&Sequences> {
        self.streams.get(stream).map(|(_, sequences)| sequences)
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, stream: &str, saved: Sequences) {
        if let Some((_, sequences)) = self.streams.get_mut(stream) {
            *sequences = saved;
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
            .flat_map(|(stream, (_, all))| {
                all.iter().map(move |(value, sequence)| {
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
