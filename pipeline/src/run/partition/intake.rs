//! Records of one partition as they are read: decoded into columns, their raw bytes kept until their
//! fate is known.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use xxhash_rust::xxh3::xxh3_128;

use crate::admit::bounds::control_time;
use crate::decode::{Columns, Decoder};
use crate::model::record::{ORIGIN_HEADER, WATERMARK_HEADER};
use crate::model::{Offset, PartitionId, Record, RejectReason};
use crate::sql::StreamPlan;
use crate::sql::stream_plan::RefusedRows;

/// What a record turned out to be when it was taken in.
#[derive(Debug)]
pub enum Taken {
    /// A row of the next batch.
    Row,
    /// A control record; it moves the watermark and is nothing else.
    Control,
    /// A load-test record, marked by its header.
    Shadow,
    /// No row of the stream.
    Rejected(RejectReason),
}

/// The records taken in since the last batch.
#[derive(Debug)]
pub struct Intake {
    plan: Arc<StreamPlan>,
    decoder: Decoder,
    columns: Columns,
    read: Read,
}

/// Rows that are decoded and not judged yet, with everything known of each beside its columns.
#[derive(Debug)]
pub struct Batch {
    /// The stream's columns and, last, the row number.
    pub rows: RecordBatch,
    /// Rows on which a computed column fails; they are rejected.
    pub refused: RefusedRows,
    /// What is known of the rows and between them.
    pub read: Read,
}

/// What is known of rows beside their columns.
#[derive(Debug, Default)]
pub struct Read {
    /// Offset of each row.
    pub offsets: Vec<Offset>,
    /// The log's timestamp of each row.
    pub log_times: Vec<Option<i64>>,
    /// Watermarks asked for by control records, each before the row of this number.
    pub controls: Vec<(usize, i64)>,
    /// Offset of the last record taken in, whatever became of it.
    pub last_offset: Offset,
    /// Rows that are corrected resends, with a hash of the place of the rejected record.
    pub resends: Vec<(usize, u128)>,
    raw: RawRecords,
}

impl Read {
    fn clear(&mut self) {
        self.offsets.clear();
        self.log_times.clear();
        self.controls.clear();
        self.resends.clear();
        self.raw.bytes.clear();
        self.raw.ends.clear();
    }

    /// The raw record of a row; empty for a row there is not.
    #[must_use]
    pub fn raw(&self, row: usize) -> &[u8] {
        self.raw.get(row)
    }

    /// The offset of a row; -1 for a row there is not.
    #[must_use]
    pub fn offset(&self, row: usize) -> Offset {
        self.offsets.get(row).copied().unwrap_or(-1)
    }

    /// Partition and offset of a row in one number, for the order of kept rows.
    #[must_use]
    pub fn arrival(&self, partition: PartitionId, row: usize) -> u64 {
        let offset = self.offsets.get(row).copied().unwrap_or(0);
        u64::from(partition) << 48 | u64::try_from(offset).unwrap_or(0) & 0xFFFF_FFFF_FFFF
    }
}

/// Raw bytes, one after another.
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
}

impl Intake {
    /// An empty intake.
    ///
    /// # Errors
    /// When the stream's columns cannot be decoded.
    pub fn new(plan: Arc<StreamPlan>, decoder: Decoder) -> Result<Self> {
        let columns = Columns::new(Arc::clone(&plan.decoded))?;
        Ok(Self { plan, decoder, columns, read: Read::default() })
    }

    /// The text of a field in the record taken in last, as far as it could be read.
    #[must_use]
    pub fn last_text(&self, field: &str) -> Option<&str> {
        self.decoder.last_text(field)
    }

    /// Rows that wait for the next batch.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.read.offsets.len()
    }

    /// Takes one record in: control and shadow first, then decoding.
    pub fn take(&mut self, record: Record<'_>) -> Taken {
        self.read.last_offset = record.offset;
        if !record.headers.is_empty() {
            if let Some(watermark) = record.header(WATERMARK_HEADER) {
                return match control_time(watermark, record.timestamp_ms) {
                    Ok(time) => {
                        self.read.controls.push((self.read.offsets.len(), time));
                        Taken::Control
                    }
                    Err(reason) => {
                        self.decoder.forget_last();
                        Taken::Rejected(reason)
                    }
                };
            }
            if record.header(&self.plan.definition.shadow_header).is_some() {
                return Taken::Shadow;
            }
        }
        let maximum = self.plan.definition.record_bytes_max;
        let decoded = if record.payload.len() > maximum {
            self.decoder.forget_last();
            Err(RejectReason::TooLarge { bytes: record.payload.len(), maximum })
        } else {
            self.decoder.decode(&record, &mut self.columns)
        };
        match decoded {
            Ok(()) => {
                if let Some(origin) = record.header(ORIGIN_HEADER) {
                    self.read.resends.push((self.read.offsets.len(), xxh3_128(origin)));
                }
                self.read.offsets.push(record.offset);
                self.read.log_times.push(record.timestamp_ms);
                self.read.raw.push(record.payload);
                Taken::Row
            }
            Err(reason) => Taken::Rejected(reason),
        }
    }

    /// The rows taken in since the last call, with their computed columns; nothing when there is
    /// neither a row nor a control record.
    ///
    /// # Errors
    /// When the decoded columns do not make up a batch, which is a fault of the decoder.
    pub fn batch(&mut self) -> Result<Option<Batch>> {
        if self.read.offsets.is_empty() && self.read.controls.is_empty() {
            return Ok(None);
        }
        let read = std::mem::take(&mut self.read);
        let decoded = self.columns.take()?;
        let mut refused = RefusedRows::new();
        Ok(Some(Batch { rows: self.plan.complete(&decoded, &mut refused)?, refused, read }))
    }

    /// Takes the memory of a batch back that is done with.
    pub fn reuse(&mut self, mut read: Read) {
        if self.waiting() == 0 && self.read.controls.is_empty() {
            read.clear();
            self.read = read;
        }
    }
}
