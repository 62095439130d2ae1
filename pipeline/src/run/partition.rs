//! One partition from bytes to slices: decode, admit, watermark, fold, in offset order.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use xxhash_rust::xxh3::xxh3_128;

use crate::admit::{Bounds, Duplicates, RecordCounts, Seen};
use crate::decode::{Columns, Decoder};
use crate::model::record::WATERMARK_HEADER;
use crate::model::{DeadLetter, Offset, PartitionId, Position, Record, RejectReason};
use crate::sql::StreamPlan;
use crate::windows::fold::Accepted;
use crate::windows::{Drained, LateRow, ViewCounts, ViewFold};

/// A record that missed a window, with everything its ledger row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRecord {
    /// Number of the view.
    pub view: usize,
    /// Where the record stands.
    pub offset: Offset,
    /// Its event time, epoch milliseconds.
    pub event_time: i64,
    /// The partition's watermark before it.
    pub watermark: i64,
    /// How many windows it missed, and the last of them.
    pub missed: LateRow,
    /// The raw record.
    pub raw: Vec<u8>,
}

/// What a partition has done since the last drain, all at one offset.
#[derive(Debug)]
pub struct PartitionDrain {
    /// The partition.
    pub partition: PartitionId,
    /// Offset after the last record read; `None` before the first.
    pub next_offset: Option<Offset>,
    /// Its watermark, epoch milliseconds.
    pub watermark: i64,
    /// Its largest accepted event time.
    pub as_of: Option<i64>,
    /// Its accounting since the first record.
    pub counts: RecordCounts,
    /// For every view, what was folded and the accounting since the first record.
    pub views: Vec<(Drained, ViewCounts)>,
    /// Views that failed on a record of this partition, with the reason.
    pub failed: Vec<(usize, String)>,
    /// Dead letters since the last drain.
    pub dead_letters: Vec<DeadLetter>,
    /// Late records since the last drain.
    pub late: Vec<LateRecord>,
    /// Dedup keys since the last drain.
    pub dedup_keys: Vec<(u128, i64)>,
    /// Open sessions, by view, for the checkpoint.
    pub sessions: Vec<Option<(crate::windows::session::SessionList, i64)>>,
}

/// What a partition goes on from after a restart.
#[derive(Debug, Clone, Default)]
pub struct PartitionStart {
    /// Offset of the next record; `None` for the first in the log.
    pub next_offset: Option<Offset>,
    /// See [`PartitionDrain::watermark`].
    pub watermark: Option<i64>,
    /// See [`PartitionDrain::as_of`].
    pub as_of: Option<i64>,
    /// See [`PartitionDrain::counts`].
    pub counts: RecordCounts,
    /// Accounting and sessions by view.
    pub views: Vec<(ViewCounts, Option<(crate::windows::session::SessionList, i64)>)>,
    /// Dedup keys.
    pub dedup_keys: Vec<(u128, i64)>,
}

/// The raw bytes of a batch's records, kept until their fate is known.
#[derive(Debug, Default)]
struct RawRecords {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RawRecords {
    fn push(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, row: usize) -> &[u8] {
        let from = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let to = self.ends.get(row).copied().unwrap_or(from);
        self.bytes.get(from..to).unwrap_or(&[])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Raw bytes of a dead letter or late record that are kept.
const RAW_BYTES_MAX: usize = 4_096;

/// One partition of one stream with the folds of all views over it.
#[derive(Debug)]
pub struct PartitionRun {
    plan: Arc<StreamPlan>,
    partition: PartitionId,
    origin: String,
    is_file: bool,
    decoder: Decoder,
    columns: Columns,
    bounds: Bounds,
    duplicates: Option<Duplicates>,
    dedup_converter: Option<RowConverter>,
    folds: Vec<Option<ViewFold>>,
    last_counts: Vec<ViewCounts>,
    failed: Vec<(usize, String)>,
    raw: RawRecords,
    offsets: Vec<Offset>,
    log_times: Vec<Option<i64>>,
    /// Watermarks asked for by control records, each before the row of this number.
    controls: Vec<(usize, i64)>,
    watermark: i64,
    as_of: Option<i64>,
    counts: RecordCounts,
    next_offset: Option<Offset>,
    dead_letters: Vec<DeadLetter>,
    late: Vec<LateRecord>,
}

/// Which partition of which log a run reads, for messages.
#[derive(Debug, Clone)]
pub struct Place {
    /// Topic or path.
    pub origin: String,
    /// Whether the origin is a file.
    pub is_file: bool,
    /// The partition.
    pub partition: PartitionId,
}

impl PartitionRun {
    /// A partition at its beginning.
    ///
    /// # Errors
    /// When the stream's columns cannot be decoded or its dedup key not be encoded.
    pub fn new(plan: Arc<StreamPlan>, place: Place, decoder: Decoder, folds: Vec<ViewFold>) -> Result<Self> {
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
        Ok(Self {
            columns: Columns::new(Arc::clone(&plan.decoded))?,
            duplicates: dedup_converter.as_ref().map(|_| Duplicates::new(definition.dedup_horizon_ms)),
            dedup_converter,
            bounds,
            partition: place.partition,
            origin: place.origin,
            is_file: place.is_file,
            decoder,
            last_counts: vec![ViewCounts::default(); folds.len()],
            folds: folds.into_iter().map(Some).collect(),
            failed: Vec::new(),
            raw: RawRecords::default(),
            offsets: Vec::new(),
            log_times: Vec::new(),
            controls: Vec::new(),
            watermark: i64::MIN,
            as_of: None,
            counts: RecordCounts::default(),
            next_offset: None,
            dead_letters: Vec::new(),
            late: Vec::new(),
            plan,
        })
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, start: PartitionStart) {
        self.next_offset = start.next_offset;
        self.watermark = start.watermark.unwrap_or(i64::MIN);
        self.as_of = start.as_of;
        self.counts = start.counts;
        for ((fold, last), (counts, sessions)) in
            self.folds.iter_mut().zip(&mut self.last_counts).zip(start.views)
        {
            *last = counts;
            if let Some(fold) = fold {
                fold.restore(counts, sessions);
            }
        }
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.restore(start.dedup_keys);
        }
    }

    /// The partition it runs.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Offset of the next record to read; `None` for the first in the log.
    #[must_use]
    pub fn next_offset(&self) -> Option<Offset> {
        self.next_offset
    }

    /// Records taken in since the last [`PartitionRun::process`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.offsets.len()
    }

    /// Takes one record in: shadow and control first, then decoding.
    pub fn take(&mut self, record: Record<'_>) {
        self.counts.read += 1;
        self.next_offset = Some(record.offset + 1);
        if !record.headers.is_empty() {
            if let Some(watermark) = record.header(WATERMARK_HEADER) {
                self.counts.control += 1;
                match std::str::from_utf8(watermark).ok().and_then(|text| text.parse().ok()) {
                    Some(watermark) => self.controls.push((self.offsets.len(), watermark)),
                    None => tracing::warn!(
                        partition = record.partition,
                        offset = record.offset,
                        "control record without a time in epoch milliseconds"
                    ),
                }
                return;
            }
            if record.header(&self.plan.definition.shadow_header).is_some() {
                self.counts.shadow += 1;
                return;
            }
        }
        let maximum = self.plan.definition.record_bytes_max;
        let decoded = if record.payload.len() > maximum {
            Err(RejectReason::TooLarge { bytes: record.payload.len(), maximum })
        } else {
            self.decoder.decode(&record, &mut self.columns)
        };
        match decoded {
            Ok(()) => {
                self.offsets.push(record.offset);
                self.log_times.push(record.timestamp_ms);
                self.raw.push(record.payload);
            }
            Err(reason) => self.reject(record.offset, record.payload, reason),
        }
    }

    fn reject(&mut self, offset: Offset, raw: &[u8], reason: RejectReason) {
        self.counts.rejected += 1;
        let position = Position {
            origin: self.origin.clone(),
            partition: self.partition,
            offset,
            is_file: self.is_file,
        };
        self.dead_letters.push(DeadLetter {
            stream: self.plan.definition.name.clone(),
            position,
            reason,
            raw: cut(raw),
        });
    }

    /// Admits and folds the records taken in.
    ///
    /// # Errors
    /// When a stream's own expression fails; a view's failure stops only that view.
    pub fn process(&mut self) -> Result<()> {
        let decoded = self.columns.take()?;
        let rows = self.plan.complete(&decoded)?;
        let admitted = self.admit(&rows)?;
        if admitted.accepted > 0 {
            let rows = match admitted.accepted == rows.num_rows() {
                true => rows,
                false => renumbered(&filter_record_batch(&rows, &BooleanArray::from(admitted.mask.clone()))?)?,
            };
            self.fold(&rows, &admitted);
        }
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.forget(self.watermark);
        }
        self.raw.clear();
        self.offsets.clear();
        self.log_times.clear();
        self.controls.clear();
        Ok(())
    }

    /// Judges every record in offset order.
    fn admit(&mut self, rows: &RecordBatch) -> Result<Admitted> {
        let times = self.plan.event_times(rows)?;
        let asked = self.plan.watermarks(rows)?;
        let checks = self.checks(rows)?;
        let shadows = self.shadow_rows(rows);
        let keys = self.dedup_keys(rows)?;
        let controls = std::mem::take(&mut self.controls);
        let mut next_control = 0;
        let mut admitted = Admitted::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            while let Some((_, watermark)) = controls.get(next_control).filter(|(before, _)| *before <= row) {
                self.watermark = self.watermark.max(*watermark);
                next_control += 1;
            }
            if shadows.as_ref().is_some_and(|shadow| !shadow.is_null_at(row) && shadow.value(row)) {
                self.counts.shadow += 1;
                admitted.mask.push(false);
                continue;
            }
            let time = times.as_ref().map(|times| times.get(row).copied().flatten());
            let judged = self.judge(row, time, &checks, keys.as_ref());
            admitted.mask.push(matches!(judged, Judged::Accepted));
            match judged {
                Judged::Accepted => {
                    let time = time.flatten().unwrap_or(0);
                    admitted.note(time, self.watermark, self.arrival(row), row);
                    if times.is_some() {
                        self.as_of = self.as_of.max(Some(time));
                    }
                    let asked = asked.as_ref().and_then(|asked| asked.get(row).copied().flatten());
                    self.watermark = self.watermark.max(asked.unwrap_or(i64::MIN));
                }
                Judged::Duplicate => self.counts.duplicate += 1,
                Judged::Rejected(reason) => {
                    let raw = cut(self.raw.get(row));
                    let offset = self.offsets.get(row).copied().unwrap_or(-1);
                    self.reject(offset, &raw, reason);
                }
            }
        }
        for (_, watermark) in controls.get(next_control..).unwrap_or(&[]) {
            self.watermark = self.watermark.max(*watermark);
        }
        self.counts.accepted += u64::try_from(admitted.accepted).unwrap_or(u64::MAX);
        Ok(admitted)
    }

    fn judge(
        &mut self,
        row: usize,
        time: Option<Option<i64>>,
        checks: &[(BooleanArray, String)],
        keys: Option<&Vec<Option<u128>>>,
    ) -> Judged {
        for (holds, text) in checks {
            use arrow::array::Array as _;
            if !holds.is_null(row) && !holds.value(row) {
                return Judged::Rejected(RejectReason::Refused { detail: format!("CHECK ({text}) does not hold") });
            }
        }
        let event_time = match time {
            None => 0,
            Some(None) => return Judged::Rejected(RejectReason::MissingField { field: self.event_time_name() }),
            Some(Some(time)) => {
                let log_time = self.log_times.get(row).copied().flatten();
                if let Err(reason) = self.bounds.check(time, log_time) {
                    return Judged::Rejected(reason);
                }
                time
            }
        };
        let key = keys.and_then(|keys| keys.get(row).copied().flatten());
        match (&mut self.duplicates, key) {
            (Some(duplicates), Some(key)) => match duplicates.see(key, event_time, self.watermark) {
                Seen::First => Judged::Accepted,
                Seen::Duplicate => Judged::Duplicate,
                Seen::BeyondHorizon => Judged::Rejected(RejectReason::OlderThanDedupHorizon),
            },
            _ => Judged::Accepted,
        }
    }

    fn event_time_name(&self) -> String {
        let definition = &self.plan.definition;
        let column = definition.event_time.and_then(|at| definition.columns.get(at));
        column.map(|column| column.field.name().clone()).unwrap_or_default()
    }

    /// Partition and offset in one number, for the order of kept rows.
    fn arrival(&self, row: usize) -> u64 {
        let offset = self.offsets.get(row).copied().unwrap_or(0);
        u64::from(self.partition) << 48 | u64::try_from(offset).unwrap_or(0) & 0xFFFF_FFFF_FFFF
    }

    fn checks(&self, rows: &RecordBatch) -> Result<Vec<(BooleanArray, String)>> {
        let one = |(expr, text): &(Arc<dyn datafusion::physical_expr::PhysicalExpr>, String)| {
            let holds = expr.evaluate(rows)?.into_array(rows.num_rows())?;
            Ok((holds.as_boolean().clone(), text.clone()))
        };
        self.plan.checks.iter().map(one).collect()
    }

    fn shadow_rows(&self, rows: &RecordBatch) -> Option<ShadowRows> {
        let column = rows.column(self.plan.definition.shadow_column?);
        (*column.data_type() == DataType::Boolean).then(|| ShadowRows(column.as_boolean().clone()))
    }

    fn dedup_keys(&self, rows: &RecordBatch) -> Result<Option<Vec<Option<u128>>>> {
        let Some(converter) = &self.dedup_converter else { return Ok(None) };
        let columns: Vec<ArrayRef> =
            self.plan.definition.dedup_key.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        let encoded = converter.convert_columns(&columns)?;
        let known = |row: usize| columns.iter().any(|column| !column.is_null(row));
        let keys = (0..rows.num_rows())
            .map(|row| known(row).then(|| xxh3_128(encoded.row(row).as_ref())))
            .collect();
        Ok(Some(keys))
    }

    fn fold(&mut self, rows: &RecordBatch, admitted: &Admitted) {
        let accepted = Accepted {
            batch: rows,
            times: &admitted.times,
            watermarks: &admitted.watermarks,
            arrivals: &admitted.arrivals,
        };
        for (view, slot) in self.folds.iter_mut().enumerate() {
            let Some(fold) = slot else { continue };
            let (raw, offsets, late) = (&self.raw, &self.offsets, &mut self.late);
            let outcome = fold.fold(accepted, &mut |missed: LateRow| {
                let at = usize::try_from(missed.row).unwrap_or(usize::MAX);
                let row = admitted.rows.get(at).copied().unwrap_or(usize::MAX);
                late.push(LateRecord {
                    view,
                    offset: offsets.get(row).copied().unwrap_or(-1),
                    event_time: admitted.times.get(at).copied().unwrap_or(0),
                    watermark: admitted.watermarks.get(at).copied().unwrap_or(i64::MIN),
                    missed,
                    raw: cut(raw.get(row)),
                });
            });
            if let Some(last) = self.last_counts.get_mut(view) {
                *last = fold.counts();
            }
            if let Err(error) = outcome {
                // A wrong figure must not be shown; the other views go on.
                self.failed.push((view, error.strip_backtrace()));
                *slot = None;
            }
        }
    }

    /// Everything since the last drain, all at one offset.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self) -> Result<PartitionDrain> {
        let mut views = Vec::with_capacity(self.folds.len());
        let mut sessions = Vec::with_capacity(self.folds.len());
        for (fold, counts) in self.folds.iter_mut().zip(&self.last_counts) {
            let drained = match fold {
                Some(fold) => fold.drain(self.watermark)?,
                None => Drained::default(),
            };
            sessions.push(fold.as_ref().and_then(ViewFold::saved_sessions));
            views.push((drained, *counts));
        }
        Ok(PartitionDrain {
            partition: self.partition,
            next_offset: self.next_offset,
            watermark: self.watermark,
            as_of: self.as_of,
            counts: self.counts,
            views,
            failed: std::mem::take(&mut self.failed),
            dead_letters: std::mem::take(&mut self.dead_letters),
            late: std::mem::take(&mut self.late),
            dedup_keys: self.duplicates.as_mut().map(Duplicates::take_fresh).unwrap_or_default(),
            sessions,
        })
    }
}

struct ShadowRows(BooleanArray);

impl ShadowRows {
    fn is_null_at(&self, row: usize) -> bool {
        use arrow::array::Array as _;
        self.0.is_null(row)
    }
    fn value(&self, row: usize) -> bool {
        self.0.value(row)
    }
}

enum Judged {
    Accepted,
    Duplicate,
    Rejected(RejectReason),
}

/// The accepted rows of a batch.
#[derive(Debug)]
struct Admitted {
    mask: Vec<bool>,
    accepted: usize,
    times: Vec<i64>,
    watermarks: Vec<i64>,
    arrivals: Vec<u64>,
    rows: Vec<usize>,
}

impl Admitted {
    fn with_capacity(rows: usize) -> Self {
        Self {
            mask: Vec::with_capacity(rows),
            accepted: 0,
            times: Vec::with_capacity(rows),
            watermarks: Vec::with_capacity(rows),
            arrivals: Vec::with_capacity(rows),
            rows: Vec::with_capacity(rows),
        }
    }

    fn note(&mut self, time: i64, watermark: i64, arrival: u64, row: usize) {
        self.accepted += 1;
        self.times.push(time);
        self.watermarks.push(watermark);
        self.arrivals.push(arrival);
        self.rows.push(row);
    }
}

/// The rows with their last column, the row number, counted anew.
fn renumbered(rows: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    columns.pop();
    let count = u32::try_from(rows.num_rows()).unwrap_or(u32::MAX);
    columns.push(Arc::new(arrow::array::UInt32Array::from_iter_values(0..count)));
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

fn cut(raw: &[u8]) -> Vec<u8> {
    raw.get(..RAW_BYTES_MAX).unwrap_or(raw).to_vec()
}
