//! Records of one partition as they are read: decoded into columns, their raw bytes kept until their
//! fate is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use xxhash_rust::xxh3::xxh3_128;

use crate::admit::bounds::control_time;
use crate::decode::{Columns, Decoder};
use crate::model::record::{ORIGIN_HEADER, WATERMARK_HEADER};
use crate::model::{BySpace, Offset, PartitionId, Record, RejectReason, Space};
use crate::sql::StreamPlan;
use crate::sql::stream_plan::RefusedRows;

/// What a record turned out to be when it was taken in.
#[derive(Debug)]
pub enum Taken {
    /// A row of the next batch.
    Row,
    /// A control record; it moves the watermark and is nothing else.
    Control,
    /// A load-test record where nobody wants those; it is not decoded.
    Left,
    /// No row of the stream. The reason stands apart, for every record makes one of these and hardly any has a reason.
    Rejected(Box<RejectReason>),
}

/// Letters of an undeclared field's name that are told.
const FIELD_LETTERS_MAX: usize = 100;

/// The records taken in since the last batch.
#[derive(Debug)]
pub struct Intake {
    plan: Arc<StreamPlan>,
    decoder: Decoder,
    columns: Columns,
    read: Read,
    /// Whether shadow records are decoded.
    takes_shadow: bool,
    /// How often each undeclared field has been told of.
    told: BTreeMap<String, u64>,
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
    /// Watermarks asked for by control records of each space, each before the row of this number.
    pub controls: BySpace<Vec<(usize, i64)>>,
    /// Offset of the last record of each space, whatever became of it.
    pub last_offset: BySpace<Offset>,
    /// Whether each row is of the shadow space; `None` when none is.
    shadow: Option<BooleanArray>,
    /// Rows that a header marks as shadow.
    marked: Vec<usize>,
    /// Rows that are corrected resends, with a hash of the place of the rejected record.
    pub resends: Vec<(usize, u128)>,
    raw: RawRecords,
}

impl Read {
    fn clear(&mut self) {
        self.offsets.clear();
        self.log_times.clear();
        self.controls.live.clear();
        self.controls.shadow.clear();
        self.shadow = None;
        self.marked.clear();
        self.resends.clear();
        self.raw.bytes.clear();
        self.raw.ends.clear();
    }

    /// The space a row belongs to.
    #[must_use]
    pub fn space(&self, row: usize) -> Space {
        match &self.shadow {
            Some(shadow) if row < shadow.len() && !shadow.is_null(row) && shadow.value(row) => {
                Space::Shadow
            }
            _ => Space::Live,
        }
    }

    /// Whether there is a row or a control record of a space.
    #[must_use]
    pub fn concerns(&self, space: Space) -> bool {
        let shadow = self.shadow.as_ref().map_or(0, BooleanArray::true_count);
        let rows = match space {
            Space::Live => self.offsets.len() - shadow,
            Space::Shadow => shadow,
        };
        rows > 0 || !self.controls.of(space).is_empty()
    }

    /// How many of these rows are not of `space`.
    #[must_use]
    pub fn foreign(&self, space: Space, rows: &[usize]) -> u64 {
        let foreign = match (&self.shadow, space) {
            (None, Space::Live) => 0,
            (None, Space::Shadow) => rows.len(),
            (Some(_), _) => rows.iter().filter(|row| self.space(**row) != space).count(),
        };
        u64::try_from(foreign).unwrap_or(u64::MAX)
    }

    /// Rows of the shadow space that only a column marks: they were read as live ones.
    #[must_use]
    pub fn marked_by_column(&self) -> u64 {
        let marked = self.shadow.as_ref().map_or(0, BooleanArray::true_count) - self.marked.len();
        u64::try_from(marked).unwrap_or(u64::MAX)
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
        let from =
            row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
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
        Ok(Self {
            plan,
            decoder,
            columns,
            read: Read::default(),
            takes_shadow: true,
            told: BTreeMap::new(),
        })
    }

    /// Decodes shadow records no longer: they are only counted.
    pub fn leave_shadow(&mut self) {
        self.takes_shadow = false;
    }

    /// Whether shadow records are decoded.
    #[must_use]
    pub fn takes_shadow(&self) -> bool {
        self.takes_shadow
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

    /// Takes one record in: its space first, then control records, then decoding. What the shadow header
    /// marks is of the shadow space, control records too. The column is known once rows are a batch, and of a record
    /// that is no row as far as it could be read.
    pub fn take(&mut self, record: Record<'_>) -> (Space, Taken) {
        let is_marked = !record.headers.is_empty()
            && record.header(&self.plan.definition.shadow_header).is_some();
        let space = if is_marked { Space::Shadow } else { Space::Live };
        if is_marked && !self.takes_shadow {
            return (space, Taken::Left);
        }
        *self.read.last_offset.of_mut(space) = record.offset;
        if !record.headers.is_empty()
            && let Some(watermark) = record.header(WATERMARK_HEADER)
        {
            let taken = match control_time(watermark, record.timestamp_ms) {
                Ok(time) => {
                    self.read.controls.of_mut(space).push((self.read.offsets.len(), time));
                    Taken::Control
                }
                Err(reason) => {
                    self.decoder.forget_last();
                    Taken::Rejected(Box::new(reason))
                }
            };
            return (space, taken);
        }
        match self.row(space, &record) {
            taken @ Taken::Rejected(_) if space == Space::Live && self.is_last_marked() => {
                if !self.takes_shadow {
                    return (Space::Shadow, Taken::Left);
                }
                self.read.last_offset.shadow = record.offset;
                (Space::Shadow, taken)
            }
            taken => (space, taken),
        }
    }

    /// Whether the record that was refused last says in the shadow column that it is of a load test.
    fn is_last_marked(&self) -> bool {
        let definition = &self.plan.definition;
        let column = definition.shadow_column.and_then(|at| definition.columns.get(at));
        column.and_then(|column| self.decoder.last_boolean(column.field.name())) == Some(true)
    }

    fn row(&mut self, space: Space, record: &Record<'_>) -> Taken {
        let maximum = self.plan.definition.record_bytes_max;
        let decoded = if record.payload.len() > maximum {
            self.decoder.forget_last();
            Err(RejectReason::TooLarge { bytes: record.payload.len(), maximum })
        } else {
            self.decoder.decode(record, &mut self.columns)
        };
        if let Err(reason) = decoded {
            return Taken::Rejected(Box::new(reason));
        }
        let row = self.read.offsets.len();
        if let Some(origin) = record.header(ORIGIN_HEADER) {
            self.read.resends.push((row, xxh3_128(origin)));
        }
        if space == Space::Shadow {
            self.read.marked.push(row);
        }
        self.read.offsets.push(record.offset);
        self.read.log_times.push(record.timestamp_ms);
        self.read.raw.push(record.payload);
        Taken::Row
    }

    /// The rows taken in since the last call, with their computed columns; nothing when there is
    /// neither a row nor a control record.
    ///
    /// # Errors
    /// When the decoded columns do not make up a batch, which is a fault of the decoder.
    pub fn batch(&mut self) -> Result<Option<Batch>> {
        self.tell_unknown_fields();
        if self.read.offsets.is_empty() && !self.has_controls() {
            return Ok(None);
        }
        let mut read = std::mem::take(&mut self.read);
        let decoded = self.columns.take()?;
        let mut refused = RefusedRows::new();
        let rows = self.plan.complete(&decoded, &mut refused)?;
        read.shadow = self.shadow_rows(&rows, &read.marked);
        if let Some(last) = (0..rows.num_rows()).rev().find(|row| read.space(*row) == Space::Shadow)
        {
            read.last_offset.shadow = read.last_offset.shadow.max(read.offset(last));
        }
        Ok(Some(Batch { rows, refused, read }))
    }

    /// Counts the fields that records had and the stream does not declare by name. The decoder bounds the names.
    fn tell_unknown_fields(&mut self) {
        let found = self.decoder.unknown_fields();
        // Mostly there is none, or none more.
        if found.values().sum::<u64>() == self.told.values().sum::<u64>() {
            return;
        }
        let stream = &self.plan.definition.name;
        for (field, count) in found {
            let told = self.told.get(field).copied();
            if told == Some(*count) {
                continue;
            }
            let name: String = field.chars().take(FIELD_LETTERS_MAX).collect();
            metrics::counter!("tidemark_unknown_fields_total", "stream" => stream.clone(), "field" => name)
                .increment(count - told.unwrap_or(0));
            self.told.insert(field.clone(), *count);
        }
    }

    fn has_controls(&self) -> bool {
        Space::ALL.into_iter().any(|space| !self.read.controls.of(space).is_empty())
    }

    /// Which rows a header or the declared column marks as shadow; `None` when none is.
    fn shadow_rows(&self, rows: &RecordBatch, marked: &[usize]) -> Option<BooleanArray> {
        let column = self.plan.definition.shadow_column.map(|at| rows.column(at));
        let column = column
            .filter(|column| *column.data_type() == DataType::Boolean)
            .map(|column| column.as_boolean());
        if marked.is_empty() && column.is_none_or(|column| column.true_count() == 0) {
            return None;
        }
        let says =
            |row: usize| column.is_some_and(|column| !column.is_null(row) && column.value(row));
        let mut marked = marked.iter().peekable();
        let is_shadow = |row: usize| marked.next_if_eq(&&row).is_some() | says(row);
        Some((0..rows.num_rows()).map(is_shadow).map(Some).collect())
    }

    /// Takes the memory of a batch back that is done with.
    pub fn reuse(&mut self, mut read: Read) {
        if self.waiting() == 0 && !self.has_controls() {
            read.clear();
            self.read = read;
        }
    }
}
