//! The operator of one partition: accepted records in, signed measures out, both as Arrow batches.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Decimal128Array, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Decimal128Type, SchemaRef};
use arrow::error::ArrowError;

use super::attributes::{Reader, Writer, text_of};
use super::order::Event;
use super::orders::{Arrival, Counts, Notice, Orders};
use super::rules::Rules;
use super::saved;
use super::settle::{Effect, Measures};
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
    /// Bytes handed to the checkpoint since the last time that all orders were.
    handed: u64,
}

/// How many times longer than the orders themselves their journal may become, and what it may have anyway:
/// so a drain hands on four bytes for one in the long run, and small ones are not written anew all the time.
const JOURNAL_TIMES_MAX: u64 = 4;
const JOURNAL_BYTES_MIN: u64 = 1 << 20;

/// Rows on their way out.
#[derive(Default)]
struct Rows {
    effect_times: Vec<i64>,
    order_times: Vec<i64>,
    paid_times: Vec<i64>,
    kinds: Vec<u16>,
    signs: Vec<i8>,
    measures: Vec<Measures>,
    /// Where the carried columns of each row stand: in `own` (true), or in its row of the batch.
    is_own: Vec<bool>,
    /// Attributes that are not those of the event that brought the row about.
    own: Vec<Vec<u8>>,
    due_to: Vec<u32>,
}

impl Rows {
    /// Adds an effect due to an event with these attributes.
    fn push(&mut self, sign: i8, effect: &Effect<'_>, (due_to, attributes): (u32, &[u8])) {
        self.effect_times.push(effect.time);
        self.order_times.push(effect.order_time);
        self.paid_times.push(effect.paid_time);
        self.kinds.push(effect.kind);
        self.signs.push(sign);
        self.measures.push(effect.measures);
        let is_own = *effect.attributes != *attributes;
        if is_own {
            self.own.push(effect.attributes.to_vec());
        }
        self.is_own.push(is_own);
        self.due_to.push(due_to);
    }
}

impl Operator {
    /// An operator that has taken nothing in.
    #[must_use]
    pub fn new(columns: Arc<Columns>, rules: Arc<Rules>) -> Self {
        Self { columns, orders: Orders::new(Arc::clone(&rules)), rules, handed: 0 }
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
        let mut rows = Rows::default();
        let (mut key, mut attributes) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            let kind = if kinds.is_null(row) { None } else { self.rules.kind(kinds.value(row)) };
            let Some(kind) = kind else {
                self.orders.ignore();
                continue;
            };
            key.clear();
            keys.write(row, &mut key);
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
            let arrival = Arrival { key: &key, event, attributes: &attributes, raw };
            self.orders.take(arrival, watermark, &mut |sign, effect| {
                rows.push(sign, effect, (due_to, &attributes));
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
        let mut each =
            |key: &[u8], order: Option<&super::order::Order>| saved::write(&mut out, key, order);
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
        let into = &mut self.orders;
        saved::read(orders, &mut |key, order| into.restore(key.into(), order))
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
        &self,
        rows: Rows,
        keys: &ArrayRef,
        carried: &[ArrayRef],
    ) -> Result<Taken, ArrowError> {
        let carried = self.carried(&rows, carried)?;
        let key = take(keys, &UInt32Array::from(rows.due_to.clone()), None)?;
        let schema = &self.columns.schema;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (output, field) in self.columns.outputs.iter().zip(schema.fields()) {
            columns.push(match output {
                Output::Key => Arc::clone(&key),
                Output::Carried(nth) => {
                    Arc::clone(carried.get(*nth).ok_or_else(|| no("column", "there"))?)
                }
                other => self.column(*other, field.data_type(), &rows)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.due_to.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
        let Rows { effect_times, order_times, paid_times, due_to, .. } = rows;
        Ok(Taken { batch, effect_times, order_times, paid_times, due_to })
    }

    /// The carried columns of the rows: mostly those of the events they are due to, which are at hand.
    fn carried(&self, rows: &Rows, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        if rows.own.is_empty() {
            let at = UInt32Array::from(rows.due_to.clone());
            return columns.iter().map(|column| take(column, &at, None)).collect();
        }
        let own = columns_of(&self.columns.carried_types, &rows.own)?;
        let mut next_own = 0..;
        let place = |(is_own, due_to): (&bool, &u32)| match is_own {
            true => (1, next_own.next().unwrap_or(usize::MAX)),
            false => (0, usize::try_from(*due_to).unwrap_or(usize::MAX)),
        };
        let places: Vec<(usize, usize)> = rows.is_own.iter().zip(&rows.due_to).map(place).collect();
        columns
            .iter()
            .zip(&own)
            .map(|(column, own)| interleave(&[column.as_ref(), own.as_ref()], &places))
            .collect()
    }

    fn column(
        &self,
        output: Output,
        data_type: &DataType,
        rows: &Rows,
    ) -> Result<ArrayRef, ArrowError> {
        let times = |values: &[i64]| -> ArrayRef {
            let zone = match data_type {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            Arc::new(TimestampMillisecondArray::from(values.to_vec()).with_timezone_opt(zone))
        };
        Ok(match output {
            Output::EffectTime => times(&rows.effect_times),
            Output::OrderTime => times(&rows.order_times),
            Output::PaidTime => times(&rows.paid_times),
            Output::Sign => Arc::new(
                rows.signs.iter().map(|sign| Some(i32::from(*sign))).collect::<Int32Array>(),
            ),
            Output::Measure(measure) => return column_of(measure, data_type, rows),
            Output::Kind | Output::Key | Output::Carried(_) => {
                let name = |kind: &u16| {
                    self.rules.kinds.get(usize::from(*kind)).map(|kind| kind.name.as_str())
                };
                Arc::new(rows.kinds.iter().map(name).collect::<StringArray>())
            }
        })
    }
}

fn column_of(measure: Measure, data_type: &DataType, rows: &Rows) -> Result<ArrayRef, ArrowError> {
    let signed = || rows.signs.iter().zip(&rows.measures);
    let orders = |of: fn(&Measures) -> i64| -> ArrayRef {
        Arc::new(
            signed().map(|(sign, all)| Some(i64::from(*sign) * of(all))).collect::<Int64Array>(),
        )
    };
    let of: fn(&Measures) -> i128 = match measure {
        Measure::PlacedOrders => return Ok(orders(|all| all.placed_orders)),
        Measure::CancelledOrders => return Ok(orders(|all| all.cancelled_orders)),
        Measure::PaidOrders => return Ok(orders(|all| all.paid_orders)),
        Measure::RefundedOrders => return Ok(orders(|all| all.refunded_orders)),
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
    let values =
        signed().map(|(sign, all)| Some(i128::from(*sign) * of(all))).collect::<Decimal128Array>();
    Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
}

fn columns_of(types: &[DataType], rows: &[Vec<u8>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut reader = Reader::new(types)?;
    rows.iter().for_each(|row| reader.append(row));
    reader.finish()
}

fn no(what: &str, expected: &str) -> ArrowError {
    ArrowError::SchemaError(format!("the life cycle's {what} column is not {expected}"))
}
