//! Which rows of a batch count, judged one by one in offset order, and what that does to the watermark.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, RecordBatch, StringArray,
    UInt32Array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DataFusionError, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::Place;
use super::branch::AcceptedRows;
use super::intake::Batch;
use crate::admit::duplicate::{Sighting, SpillError};
use crate::admit::{Bounds, ByValue, DedupDrain, Duplicates, Overflow, RecordCounts, Seen};
use crate::model::{DeadLetter, Offset, Position, RejectReason, Space};
use crate::source::partitioner::partition_for_key;
use crate::sql::StreamPlan;
use crate::sql::stream_plan::RefusedRows;
use crate::state::dedup_files::SavedKeys;

/// Raw bytes of a dead letter or late record that are kept: three hundred times an order. A longer
/// record is found in the log by its place.
const RAW_BYTES_MAX: usize = 65_536;

/// The judge of one partition in one result space: its watermark, its dedup keys, its accounting.
#[derive(Debug)]
pub struct Admission {
    space: Space,
    plan: Arc<StreamPlan>,
    place: Place,
    bounds: Bounds,
    duplicates: Duplicates,
    dedup_converter: Option<RowConverter>,
    /// The running maximum of what rows and control records asked for, epoch milliseconds.
    pub watermark: i64,
    /// What became of the records so far.
    pub counts: RecordCounts,
    /// The same by the value of the declared column.
    pub by_value: ByValue,
    dead_letters: Vec<DeadLetter>,
}

/// Rows whose keys are looked up at one time: as many as the nearest memory holds.
const AHEAD_ROWS: usize = 128;

enum Judged {
    Accepted,
    Duplicate,
    Rejected(RejectReason),
}

/// What the stream says of the rows of a batch, before any of them is judged.
struct Said<'a> {
    /// Rows on which an expression of the stream fails.
    refused: RefusedRows,
    /// Event times; `None` for a stream without a watermark.
    times: Option<Vec<Option<i64>>>,
    watermarks: Option<Vec<Option<i64>>>,
    checks: Vec<(BooleanArray, &'a str)>,
    /// Values of the column by which records are accounted for, as text.
    values: Option<StringArray>,
    /// Numbers of the source's own sequence.
    numbers: Option<Int64Array>,
    /// Dedup keys; `None` for a row without one.
    keys: Vec<Option<u128>>,
}

impl Said<'_> {
    /// A corrected resend without a dedup key of its own is known by the place of the record it stands
    /// for, so that sending it twice is safe in every stream.
    fn know_resends(&mut self, resends: &[(usize, u128)]) {
        for (row, origin) in resends {
            if let Some(key) = self.keys.get_mut(*row) {
                key.get_or_insert(*origin);
            }
        }
    }
}

impl Admission {
    /// A judge before the first record.
    ///
    /// # Errors
    /// When the stream's dedup key cannot be encoded.
    pub fn new(space: Space, plan: Arc<StreamPlan>, place: Place) -> Result<Self> {
        let definition = &plan.definition;
        let bounds = Bounds {
            minimum_ms: definition.event_time_min_ms,
            max_future_skew_ms: definition.max_future_skew_ms,
        };
        let dedup_converter = match definition.dedup_key.as_slice() {
            [] => None,
            key => Some(RowConverter::new(
                key.iter()
                    .filter_map(|at| definition.columns.get(*at))
                    .map(|column| SortField::new(column.field.data_type().clone()))
                    .collect(),
            )?),
        };
        let duplicates = Duplicates::new(definition.dedup_horizon_ms);
        Ok(Self {
            space,
            bounds,
            duplicates,
            dedup_converter,
            watermark: i64::MIN,
            counts: RecordCounts::default(),
            by_value: ByValue::new(plan.definition.accounted_values_max),
            dead_letters: Vec::new(),
            place,
            plan,
        })
    }

    /// A judge of the same partition in another space, before its first record.
    ///
    /// # Errors
    /// As [`Admission::new`].
    pub fn alike(&self, space: Space) -> Result<Self> {
        Self::new(space, Arc::clone(&self.plan), self.place.clone())
    }

    /// The log has another number of partitions now; records before the next batch were judged by the old one.
    pub fn set_partitions(&mut self, partitions: u32) {
        self.place.partitions = Some(partitions);
    }

    /// Lets dedup keys go to disk; before the first record.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn overflow_to(&mut self, overflow: Overflow) -> Result<(), SpillError> {
        self.duplicates.overflow_to(overflow)
    }

    /// Takes up dedup keys from a checkpoint.
    pub fn restore_keys(&mut self, keys: SavedKeys) {
        self.duplicates.restore(&keys.in_memory, keys.spilled);
    }

    /// Dedup keys since the last call.
    pub fn take_keys(&mut self) -> DedupDrain {
        self.duplicates.drain()
    }

    /// Dead letters since the last call.
    pub fn take_dead_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead_letters)
    }

    /// Dead letters that wait for the next call of [`Admission::take_dead_letters`].
    #[must_use]
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// The column the stream is accounted by.
    #[must_use]
    pub fn accounted_by(&self) -> Option<&str> {
        let column = self.plan.definition.columns.get(self.plan.definition.accounted_by?)?;
        Some(column.field.name())
    }

    /// Counts a record as rejected that is no row of the stream; `value` is what it says in the column the
    /// stream is accounted by, as far as that could be read.
    pub fn reject_undecoded(
        &mut self,
        at: (Offset, Option<i64>),
        raw: &[u8],
        reason: RejectReason,
        value: Option<&str>,
    ) {
        if self.plan.definition.accounted_by.is_some() {
            let counts = self.by_value.of(value);
            counts.read += 1;
            counts.rejected += 1;
        }
        self.reject(at, raw, reason);
    }

    /// Counts a record as rejected and writes its dead letter.
    fn reject(
        &mut self,
        (offset, log_time): (Offset, Option<i64>),
        raw: &[u8],
        reason: RejectReason,
    ) {
        self.counts.rejected += 1;
        let position = Position {
            origin: self.place.origin.clone(),
            partition: self.place.partition,
            offset,
            is_file: self.place.is_file,
        };
        self.dead_letters.push(DeadLetter {
            stream: self.plan.definition.name.clone(),
            position,
            reason,
            log_time,
            raw_bytes: raw.len(),
            raw: cut(raw),
        });
    }

    /// Judges every row of its space in offset order; the accepted ones come back.
    ///
    /// # Errors
    /// When an expression of the stream fails on a row.
    pub fn admit(&mut self, batch: &Batch) -> Result<AcceptedRows> {
        let plan = Arc::clone(&self.plan);
        let mut said = self.said(&plan, batch)?;
        said.know_resends(&batch.read.resends);
        self.counts.misplaced += self.misplaced(batch)?;
        let controls = batch.read.controls.of(self.space);
        let mut next_control = 0;
        let mut mask = Vec::with_capacity(batch.rows.num_rows());
        let mut accepted = AcceptedRows::with_capacity(batch.rows.num_rows());
        for row in 0..batch.rows.num_rows() {
            if row % AHEAD_ROWS == 0 {
                let next = said.keys.get(row..).unwrap_or(&[]).iter().take(AHEAD_ROWS);
                self.duplicates.look_ahead(next.copied().flatten());
            }
            while let Some((_, watermark)) =
                controls.get(next_control).filter(|(before, _)| *before <= row)
            {
                self.watermark = self.watermark.max(*watermark);
                next_control += 1;
            }
            if batch.read.space(row) != self.space {
                mask.push(false);
                continue;
            }
            let time = said.times.as_ref().map(|times| times.get(row).copied().flatten());
            let judged = self.judge(row, time, &said, batch).map_err(external)?;
            mask.push(matches!(judged, Judged::Accepted));
            if let Some(values) = &said.values {
                let place = self.by_value.place(value_at(values, row));
                let counts = self.by_value.at(place);
                counts.read += 1;
                match judged {
                    Judged::Accepted => {
                        counts.accepted += 1;
                        let is_late = time.flatten().is_some_and(|time| time <= self.watermark);
                        counts.late += u64::from(is_late);
                        let numbers = said.numbers.as_ref().filter(|numbers| !numbers.is_null(row));
                        if let Some(numbers) = numbers {
                            self.by_value.note_number(place, numbers.value(row));
                        }
                    }
                    Judged::Duplicate => counts.duplicate += 1,
                    Judged::Rejected(_) => counts.rejected += 1,
                }
            }
            match judged {
                Judged::Accepted => {
                    let arrival = batch.read.arrival(self.place.partition, row);
                    accepted.note(time.flatten(), self.watermark, arrival, row);
                    let asked = said
                        .watermarks
                        .as_ref()
                        .and_then(|asked| asked.get(row).copied().flatten());
                    accepted.before = accepted.before.max(before(time.flatten(), asked));
                    self.watermark = self.watermark.max(asked.unwrap_or(i64::MIN));
                }
                Judged::Duplicate => self.counts.duplicate += 1,
                Judged::Rejected(reason) => {
                    let at =
                        (batch.read.offset(row), batch.read.log_times.get(row).copied().flatten());
                    self.reject(at, batch.read.raw(row), reason);
                }
            }
        }
        for (_, watermark) in controls.get(next_control..).unwrap_or(&[]) {
            self.watermark = self.watermark.max(*watermark);
        }
        self.counts.accepted += u64::try_from(accepted.len()).unwrap_or(u64::MAX);
        self.duplicates.forget(self.watermark);
        self.duplicates.spill().map_err(external)?;
        accepted.batch = match accepted.len() == batch.rows.num_rows() {
            true => batch.rows.clone(),
            false => renumbered(&filter_record_batch(&batch.rows, &BooleanArray::from(mask))?)?,
        };
        Ok(accepted)
    }

    fn said<'a>(&self, plan: &'a StreamPlan, batch: &Batch) -> Result<Said<'a>> {
        let rows = &batch.rows;
        let mut refused = batch.refused.clone();
        Ok(Said {
            times: plan.event_times(rows)?,
            watermarks: plan.watermarks(rows, &mut refused)?,
            checks: plan.checked(rows, &mut refused)?,
            refused,
            values: match self.plan.definition.accounted_by {
                Some(at) => Some(text_of(rows.column(at))?),
                None => None,
            },
            numbers: match self.plan.definition.sequence {
                Some(at) => {
                    let numbers = cast(rows.column(at), &DataType::Int64)?;
                    Some(numbers.as_primitive::<Int64Type>().clone())
                }
                None => None,
            },
            keys: self.dedup_keys(rows)?,
        })
    }

    fn judge(
        &mut self,
        row: usize,
        time: Option<Option<i64>>,
        said: &Said<'_>,
        batch: &Batch,
    ) -> Result<Judged, SpillError> {
        if let Some(detail) = said.refused.get(&row) {
            return Ok(Judged::Rejected(RejectReason::Refused { detail: detail.clone() }));
        }
        for (holds, text) in &said.checks {
            if !holds.is_null(row) && !holds.value(row) {
                let detail = format!("CHECK ({text}) does not hold");
                return Ok(Judged::Rejected(RejectReason::Refused { detail }));
            }
        }
        let event_time = match time {
            None => 0,
            Some(None) => {
                return Ok(Judged::Rejected(RejectReason::MissingField {
                    field: self.event_time_name(),
                }));
            }
            Some(Some(time)) => {
                let log_time = batch.read.log_times.get(row).copied().flatten();
                if let Err(reason) = self.bounds.check(time, log_time) {
                    return Ok(Judged::Rejected(reason));
                }
                time
            }
        };
        let Some(key) = said.keys.get(row).copied().flatten() else { return Ok(Judged::Accepted) };
        let at = Sighting { event_time, offset: batch.read.offset(row) };
        Ok(match self.duplicates.see(key, at, self.watermark)? {
            Seen::First => Judged::Accepted,
            Seen::Duplicate => Judged::Duplicate,
            Seen::BeyondHorizon => Judged::Rejected(RejectReason::OlderThanDedupHorizon),
        })
    }

    /// How many rows have a key that producers would have placed in another partition.
    fn misplaced(&self, batch: &Batch) -> Result<u64> {
        let (Some(at), Some(partitions)) =
            (self.plan.definition.partition_key, self.place.partitions)
        else {
            return Ok(0);
        };
        let keys = text_of(batch.rows.column(at))?;
        let is_elsewhere = |row: &usize| {
            let key = value_at(&keys, *row);
            batch.read.space(*row) == self.space
                && key.is_some_and(|key| {
                    partition_for_key(key.as_bytes(), partitions) != self.place.partition
                })
        };
        Ok(u64::try_from((0..batch.rows.num_rows()).filter(is_elsewhere).count())
            .unwrap_or(u64::MAX))
    }

    fn event_time_name(&self) -> String {
        let definition = &self.plan.definition;
        let column = definition.event_time.and_then(|at| definition.columns.get(at));
        column.map(|column| column.field.name().clone()).unwrap_or_default()
    }

    fn dedup_keys(&self, rows: &RecordBatch) -> Result<Vec<Option<u128>>> {
        let Some(converter) = &self.dedup_converter else { return Ok(vec![None; rows.num_rows()]) };
        let columns: Vec<ArrayRef> =
            self.plan.definition.dedup_key.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        let encoded = converter.convert_columns(&columns)?;
        let known = |row: usize| columns.iter().any(|column| !column.is_null(row));
        let keys = (0..rows.num_rows())
            .map(|row| known(row).then(|| xxh3_128(encoded.row(row).as_ref())))
            .collect();
        Ok(keys)
    }
}

/// See [`AcceptedRows::before`]: records before a row that is not late are at most as much newer than it as its
/// watermark is behind it.
fn before(time: Option<i64>, asked: Option<i64>) -> Option<i64> {
    let time = time?;
    let delay = time.saturating_sub(asked.unwrap_or(time)).max(0);
    Some(time.saturating_add(delay).saturating_sub(1))
}

/// A column as text, as it would stand in a message key.
fn text_of(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn value_at(values: &StringArray, row: usize) -> Option<&str> {
    (!values.is_null(row)).then(|| values.value(row))
}

fn external(error: SpillError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The rows with their last column, the row number, counted anew.
fn renumbered(rows: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    columns.pop();
    let count = u32::try_from(rows.num_rows()).unwrap_or(u32::MAX);
    columns.push(Arc::new(UInt32Array::from_iter_values(0..count)));
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

/// What a ledger keeps of a raw record.
pub(super) fn cut(raw: &[u8]) -> Vec<u8> {
    raw.get(..RAW_BYTES_MAX).unwrap_or(raw).to_vec()
}
