//! The operator of one partition: accepted records in, signed measures out, both as Arrow batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayData, ArrayRef, AsArray as _, Decimal128Array, Int32Array, Int64Array,
    RecordBatch, RecordBatchOptions, StringBuilder, TimestampMillisecondArray, UInt32Array,
    make_array,
};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Decimal128Type, SchemaRef};
use arrow::error::ArrowError;

use super::attributes::{Reader, Writer, text_of};
use super::counts::{Counts, Notice};
use super::order::{ByteRows, Event};
use super::orders::{Arrival, Orders};
use super::rules::Rules;
use super::saved;
use super::settle::{Effect, Measures};
use crate::model::Correction;
use crate::state::bytes::Encoder;

/// Something the operator knows of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Placed.
    Placed,
    /// Taken back of what was placed.
    Cancelled,
    /// Paid.
    Paid,
    /// Given back.
    Refunded,
    /// Paid less given back.
    Net,
    /// Asked back above what was paid.
    Excess,
    /// Orders begun.
    PlacedOrders,
    /// Orders cancelled.
    CancelledOrders,
    /// Orders with a first payment.
    PaidOrders,
    /// Orders with a first refund.
    RefundedOrders,
}

/// What a column of the derived table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The order's key.
    Key,
    /// The kind of the event.
    Kind,
    /// When the effect takes place.
    EffectTime,
    /// The order's own time.
    OrderTime,
    /// Its first payment's time.
    PaidTime,
    /// 1, or -1 where an effect is taken back.
    Sign,
    /// A measure.
    Measure(Measure),
    /// The n-th carried column.
    Carried(usize),
}

/// Which columns the operator reads and which it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The source's column with the order's key.
    pub key: usize,
    /// Its type.
    pub key_type: DataType,
    /// With the kind of the event; text.
    pub kind: usize,
    /// With the amount, a decimal; `None` where nothing is paid or placed.
    pub amount: Option<usize>,
    /// The source's columns that are carried.
    pub carried: Vec<usize>,
    /// Their types.
    pub carried_types: Vec<DataType>,
    /// The columns of the derived table in order.
    pub outputs: Vec<Output>,
    /// Their names and types.
    pub schema: SchemaRef,
}

/// What is known of the records of a batch beside their columns, each by row.
#[derive(Debug, Clone, Copy)]
pub struct Papers<'a> {
    /// Their event times, epoch milliseconds.
    pub times: &'a [i64],
    /// The partition's watermark before each.
    pub watermarks: &'a [i64],
    /// Their offsets.
    pub offsets: &'a [i64],
    /// The raw records.
    pub raw: &'a [&'a [u8]],
}

/// The rows of one batch, each with what the engine knows of it.
#[derive(Debug)]
pub struct Taken {
    /// The rows.
    pub batch: RecordBatch,
    /// When each takes effect, epoch milliseconds.
    pub effect_times: Vec<i64>,
    /// The own time of each one's order.
    pub order_times: Vec<i64>,
    /// The time of each one's first payment.
    pub paid_times: Vec<i64>,
    /// Row of the batch that came in to which each is due.
    pub due_to: Vec<u32>,
    /// Events that take back what earlier ones had brought about, in the order of their rows.
    pub corrections: Vec<Correction>,
}

/// What an operator did since its last drain, for the checkpoint and the ledgers.
#[derive(Debug, Default)]
pub struct OperatorDrain {
    /// What became of the events since the first.
    pub counts: Counts,
    /// Events that stand otherwise than before.
    pub notices: Vec<Notice>,
    /// The orders that changed, or all, as [`saved`] writes them.
    pub orders: Vec<u8>,
    /// Whether `orders` are all of them.
    pub is_whole: bool,
}

/// The life cycle of the orders of one partition.
#[derive(Debug)]
pub struct Operator {
    columns: Arc<Columns>,
    rules: Arc<Rules>,
    orders: Orders,
    /// Which columns of the derived table anyone reads; the others are left blank.
    wants: Vec<bool>,
    /// Of the others, by number, one as long as has been asked for: every batch has a part of it.
    blanks: Vec<Option<ArrayRef>>,
    /// Bytes handed to the checkpoint since the last time that all orders were.
    handed: u64,
}

/// How many times longer than the orders themselves their journal may become, and what it may have anyway:
/// so a drain hands on four bytes for one in the long run, and small ones are not written anew all the time.
const JOURNAL_TIMES_MAX: u64 = 4;
const JOURNAL_BYTES_MIN: u64 = 1 << 20;

/// Rows whose orders are looked up at one time: as many as fit into the nearest memory with all that is touched of them.
const AHEAD_ROWS: usize = 64;

/// Rows on their way out.
struct Rows {
    effect_times: Vec<i64>,
    order_times: Vec<i64>,
    paid_times: Vec<i64>,
    kinds: Vec<u16>,
    signs: Vec<i32>,
    /// What each changes, before its sign.
    measures: Vec<Measures>,
    /// Where the carried columns of each row stand: in `own` (true), or in its row of the batch.
    is_own: Vec<bool>,
    /// Attributes that are not those of the event that brought the row about.
    own: ByteRows,
    due_to: Vec<u32>,
}

/// A measure of all rows, with their signs.
fn measured(measure: Measure, rows: &Rows, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let orders = |of: fn(&Measures) -> i64| -> Result<ArrayRef, ArrowError> {
        let all = rows.measures.iter().zip(&rows.signs);
        let values = all.map(|(all, sign)| i64::from(*sign) * of(all));
        Ok(Arc::new(Int64Array::from_iter_values(values)))
    };
    let of: fn(&Measures) -> i128 = match measure {
        Measure::PlacedOrders => return orders(|all| all.placed_orders),
        Measure::CancelledOrders => return orders(|all| all.cancelled_orders),
        Measure::PaidOrders => return orders(|all| all.paid_orders),
        Measure::RefundedOrders => return orders(|all| all.refunded_orders),
        Measure::Placed => |all| all.placed,
        Measure::Cancelled => |all| all.cancelled,
        Measure::Paid => |all| all.paid,
        Measure::Refunded => |all| all.refunded,
        Measure::Net => |all| all.paid - all.refunded,
        Measure::Excess => |all| all.excess,
    };
    let DataType::Decimal128(precision, scale) = data_type else {
        return Err(no("measure", "a decimal"));
    };
    let all = rows.measures.iter().zip(&rows.signs);
    let values = all.map(|(all, sign)| i128::from(*sign) * of(all));
    let column = Decimal128Array::from_iter_values(values);
    Ok(Arc::new(column.with_precision_and_scale(*precision, *scale)?))
}

impl Rows {
    fn new(rows: usize) -> Self {
        Self {
            effect_times: Vec::with_capacity(rows),
            order_times: Vec::with_capacity(rows),
            paid_times: Vec::with_capacity(rows),
            kinds: Vec::with_capacity(rows),
            signs: Vec::with_capacity(rows),
            measures: Vec::with_capacity(rows),
            is_own: Vec::with_capacity(rows),
            own: ByteRows::default(),
            due_to: Vec::with_capacity(rows),
        }
    }

    /// Adds an effect with its attributes, due to an event with these attributes.
    fn push(&mut self, sign: i8, effect: &Effect, of: &[u8], (due_to, attributes): (u32, &[u8])) {
        self.effect_times.push(effect.time);
        self.order_times.push(effect.order_time);
        self.paid_times.push(effect.paid_time);
        self.kinds.push(effect.kind);
        self.signs.push(i32::from(sign));
        self.measures.push(effect.measures);
        let is_own = of != attributes;
        if is_own {
            self.own.push(of);
        }
        self.is_own.push(is_own);
        self.due_to.push(due_to);
    }

    /// The rows of the events that take something back.
    fn corrections(&self) -> Vec<Correction> {
        let mut corrections = Vec::new();
        // Nearly always there is none.
        if self.signs.iter().all(|sign| *sign > 0) {
            return corrections;
        }
        let mut rows = (0_u32..).zip(self.signs.iter().zip(&self.measures));
        for event in self.due_to.chunk_by(|before, after| before == after) {
            let own: Vec<_> = rows.by_ref().take(event.len()).collect();
            let (Some((first, _)), Some((last, _))) = (own.first(), own.last()) else { continue };
            if own.iter().any(|(_, (sign, _))| **sign < 0) {
                let amounts = own.iter().map(|(_, (sign, all))| {
                    let amounts = [all.placed, all.cancelled, all.paid, all.refunded, all.excess];
                    amounts.map(|amount| i128::from(**sign) * amount)
                });
                corrections
                    .push(Correction { rows: *first..*last + 1, amounts: amounts.collect() });
            }
        }
        corrections
    }

    /// Where in the batch and among `own` each row's carried columns are.
    fn places(&self) -> Vec<(usize, usize)> {
        let mut next_own = 0..;
        let place = |(is_own, due_to): (&bool, &u32)| match is_own {
            true => (1, next_own.next().unwrap_or(usize::MAX)),
            false => (0, usize::try_from(*due_to).unwrap_or(usize::MAX)),
        };
        self.is_own.iter().zip(&self.due_to).map(place).collect()
    }

    /// Whether every row of the batch brought about one row.
    fn is_one_each(&self, batch_rows: usize) -> bool {
        let count = u32::try_from(batch_rows).unwrap_or(u32::MAX);
        self.due_to.len() == batch_rows && self.due_to.iter().copied().eq(0..count)
    }
}

impl Operator {
    /// An operator that has taken nothing in.
    #[must_use]
    pub fn new(columns: Arc<Columns>, rules: Arc<Rules>) -> Self {
        let wants = vec![true; columns.outputs.len()];
        let blanks = vec![None; columns.outputs.len()];
        Self { columns, orders: Orders::new(Arc::clone(&rules)), rules, wants, blanks, handed: 0 }
    }

    /// Makes only these columns of the derived table from now on, by number; `None` for all of them. The
    /// others are there and hold nothing.
    pub fn make_only(&mut self, wanted: Option<&BTreeSet<usize>>) {
        let wants = |at: usize| wanted.is_none_or(|wanted| wanted.contains(&at));
        self.wants = (0..self.columns.outputs.len()).map(wants).collect();
    }

    /// An operator of the same rules that has taken nothing in.
    #[must_use]
    pub fn alike(&self) -> Self {
        Self::new(Arc::clone(&self.columns), Arc::clone(&self.rules))
    }

    /// Takes a batch of accepted records in.
    ///
    /// # Errors
    /// When a column is not of the declared type, which is a fault of the planner.
    pub fn take(&mut self, batch: &RecordBatch, papers: Papers<'_>) -> Result<Taken, ArrowError> {
        let Papers { times, watermarks, offsets, raw } = papers;
        let columns = Arc::clone(&self.columns);
        let keys = Writer::new(&[Arc::clone(batch.column(columns.key))])?;
        let carried_columns: Vec<ArrayRef> =
            columns.carried.iter().map(|at| Arc::clone(batch.column(*at))).collect();
        let carried = Writer::new(&carried_columns)?;
        let kinds =
            batch.column(columns.kind).as_string_opt::<i32>().ok_or_else(|| no("kind", "text"))?;
        let amounts = match columns.amount {
            Some(at) => {
                let column = batch.column(at).as_primitive_opt::<Decimal128Type>();
                Some(column.ok_or_else(|| no("amount", "a decimal"))?)
            }
            None => None,
        };
        let mut rows = Rows::new(batch.num_rows());
        let (mut ahead, mut key, mut attributes) = (ByteRows::default(), Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            if row % AHEAD_ROWS == 0 {
                ahead.clear();
                for row in row..batch.num_rows().min(row + AHEAD_ROWS) {
                    key.clear();
                    keys.write(row, &mut key);
                    ahead.push(&key);
                }
                self.orders.look_ahead(ahead.iter());
            }
            let kind = if kinds.is_null(row) { None } else { self.rules.kind(kinds.value(row)) };
            let Some(kind) = kind else {
                self.orders.ignore();
                continue;
            };
            let key = ahead.get(row % AHEAD_ROWS);
            attributes.clear();
            carried.write(row, &mut attributes);
            let event = Event {
                time: times.get(row).copied().unwrap_or(0),
                kind,
                attributes: 0,
                amount: amounts
                    .filter(|column| !column.is_null(row))
                    .map(|column| column.value(row)),
                offset: offsets.get(row).copied().unwrap_or(-1),
            };
            let watermark = watermarks.get(row).copied().unwrap_or(i64::MIN);
            let due_to = u32::try_from(row).unwrap_or(u32::MAX);
            let raw = raw.get(row).copied().unwrap_or(&[]);
            let arrival = Arrival { key, event, attributes: &attributes, raw };
            self.orders.take(arrival, watermark, &mut |sign, effect, of_effect| {
                rows.push(sign, effect, of_effect, (due_to, &attributes));
            });
        }
        self.hand_on(rows, batch.column(columns.key), &carried_columns)
    }

    /// Forgets the orders that the watermark has passed by the horizon; to be said after every batch, with
    /// the offset of the last record read.
    pub fn forget(&mut self, watermark: i64, due_to: i64) {
        self.orders.forget(watermark, due_to);
    }

    /// What became of the events.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.orders.counts()
    }

    /// What was done since the last drain; now and then with all orders, so that their journal can begin anew.
    pub fn drain(&mut self) -> OperatorDrain {
        let whole = self.handed > JOURNAL_TIMES_MAX * self.orders.bytes() + JOURNAL_BYTES_MIN;
        self.drain_as(whole)
    }

    /// What was done since the last drain; with all orders where `whole` is asked for.
    pub fn drain_as(&mut self, whole: bool) -> OperatorDrain {
        let mut out = Encoder::default();
        let mut each = |key: &[u8], packed: Option<&[u8]>| saved::write(&mut out, key, packed);
        match whole {
            true => self.orders.take_all(&mut each),
            false => self.orders.take_changed(&mut each),
        }
        let handed = u64::try_from(out.bytes.len()).unwrap_or(u64::MAX);
        self.handed = if whole { handed } else { self.handed + handed };
        OperatorDrain {
            counts: self.orders.counts(),
            notices: self
                .orders
                .take_notices()
                .into_iter()
                .map(|notice| self.named(notice))
                .collect(),
            orders: out.bytes,
            is_whole: whole,
        }
    }

    /// How many events stand otherwise than before the last drain.
    #[must_use]
    pub fn notices(&self) -> usize {
        self.orders.notices()
    }

    /// Goes on from a checkpoint: its counts, and the drains' orders one after another.
    ///
    /// # Errors
    /// When the bytes are not those of drains.
    pub fn restore(&mut self, counts: Counts, orders: &[u8]) -> Result<(), String> {
        self.orders.restore_counts(counts);
        self.handed = u64::try_from(orders.len()).unwrap_or(u64::MAX);
        saved::read(orders, &mut self.orders)
    }

    /// The notice with its order and its kind in words.
    fn named(&self, notice: Notice) -> Notice {
        let kind = self.rules.kinds.get(usize::from(notice.kind));
        Notice {
            order_key: text_of(&notice.key, &self.columns.key_type),
            event_type: kind.map_or(String::new(), |kind| kind.name.clone()),
            ..notice
        }
    }

    /// The rows as a batch; `keys` and `carried` are columns of the batch they are due to.
    fn hand_on(
        &mut self,
        rows: Rows,
        keys: &ArrayRef,
        carried: &[ArrayRef],
    ) -> Result<Taken, ArrowError> {
        let count = rows.due_to.len();
        let schema = &self.columns.schema;
        let carried = Carried::new(&rows, (keys, carried), &self.columns.carried_types)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        let outputs = self.columns.outputs.iter().zip(&self.wants).zip(&mut self.blanks);
        for (field, ((output, wants), blank)) in schema.fields().iter().zip(outputs) {
            let data_type = field.data_type();
            columns.push(match output {
                _ if !*wants => blank_of(blank, data_type, count)?,
                Output::EffectTime => times(&rows.effect_times, data_type),
                Output::OrderTime => times(&rows.order_times, data_type),
                Output::PaidTime => times(&rows.paid_times, data_type),
                Output::Sign => Arc::new(Int32Array::from(rows.signs.clone())),
                Output::Kind => kinds_of(&self.rules, &rows.kinds),
                Output::Key => carried.key()?,
                Output::Carried(nth) => carried.column(*nth)?,
                Output::Measure(measure) => measured(*measure, &rows, data_type)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
        let corrections = rows.corrections();
        let Rows { effect_times, order_times, paid_times, due_to, .. } = rows;
        Ok(Taken { batch, effect_times, order_times, paid_times, due_to, corrections })
    }
}

fn kinds_of(rules: &Rules, kinds: &[u16]) -> ArrayRef {
    let mut names = StringBuilder::with_capacity(kinds.len(), kinds.len() * 8);
    for kind in kinds {
        let kind = rules.kinds.get(usize::from(*kind));
        names.append_option(kind.map(|kind| kind.name.as_str()));
    }
    Arc::new(names.finish())
}

/// Columns of the batch, as the rows have them: mostly those of the events they are due to.
struct Carried<'a> {
    keys: &'a ArrayRef,
    columns: &'a [ArrayRef],
    /// The row of the batch that each row is due to; `None` where it is the same.
    due_to: Option<UInt32Array>,
    /// Columns of their own, and which rows have those.
    own: Option<(Vec<ArrayRef>, Vec<(usize, usize)>)>,
}

impl<'a> Carried<'a> {
    fn new(
        rows: &Rows,
        (keys, columns): (&'a ArrayRef, &'a [ArrayRef]),
        types: &[DataType],
    ) -> Result<Self, ArrowError> {
        let same = rows.is_one_each(keys.len());
        let own = match rows.own.is_empty() {
            true => None,
            false => Some((columns_of(types, &rows.own)?, rows.places())),
        };
        let due_to = (!same).then(|| UInt32Array::from(rows.due_to.clone()));
        Ok(Self { keys, columns, due_to, own })
    }

    fn key(&self) -> Result<ArrayRef, ArrowError> {
        match &self.due_to {
            None => Ok(Arc::clone(self.keys)),
            Some(due_to) => take(self.keys, due_to, None),
        }
    }

    fn column(&self, nth: usize) -> Result<ArrayRef, ArrowError> {
        let column = self.columns.get(nth).ok_or_else(|| no("carried", "there"))?;
        match (&self.own, &self.due_to) {
            (Some((own, places)), _) => {
                let own = own.get(nth).ok_or_else(|| no("carried", "there"))?;
                interleave(&[column.as_ref(), own.as_ref()], places)
            }
            (None, Some(due_to)) => take(column, due_to, None),
            (None, None) => Ok(Arc::clone(column)),
        }
    }
}

fn times(values: &[i64], data_type: &DataType) -> ArrayRef {
    let zone = match data_type {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    Arc::new(TimestampMillisecondArray::from(values.to_vec()).with_timezone_opt(zone))
}

/// A column that nobody reads; `kept` is one that there was, and is as long from then on.
fn blank_of(
    kept: &mut Option<ArrayRef>,
    data_type: &DataType,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let whole = match kept {
        Some(whole) if whole.len() >= rows => whole,
        _ => kept.insert(blank(data_type, rows)?),
    };
    Ok(whole.slice(0, rows))
}

/// A column that nobody reads: of its type and length, and without a NULL where none may be.
fn blank(data_type: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
    let data = ArrayData::builder(data_type.clone()).len(rows);
    let zeros = |bytes: usize| Buffer::from(MutableBuffer::from_len_zeroed(bytes));
    let data = match (data_type, data_type.primitive_width()) {
        (DataType::Utf8, _) => data.add_buffer(zeros((rows + 1) * 4)).add_buffer(zeros(0)),
        (DataType::Boolean, _) => data.add_buffer(zeros(rows.div_ceil(8))),
        (_, Some(width)) => data.add_buffer(zeros(rows * width)),
        _ => return Err(no("blank", "of a type a stream can declare")),
    };
    Ok(make_array(data.build()?))
}

fn columns_of(types: &[DataType], rows: &ByteRows) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut reader = Reader::new(types)?;
    rows.iter().for_each(|row| reader.append(row));
    reader.finish()
}

fn no(what: &str, expected: &str) -> ArrowError {
    ArrowError::SchemaError(format!("the life cycle's {what} column is not {expected}"))
}
