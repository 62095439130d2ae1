//! The state of one view in one partition: for every slice its groups, each with its merged state.
//!
//! Keys and states are kept as bytes (Arrow's row format) in [`Slice`]s, so that a slice costs what its
//! groups cost, and a checkpoint writes them as they are.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{Result, internal_err};
use hashbrown::HashSet;

use super::aggregate::Accumulators;
use super::assign::SliceKey;
use super::fold::Drained;
use super::session::SessionList;
pub use super::slice::Slice;
use super::slice::{Origin, SliceBuilder, merge};
use crate::sql::plan::{AggregateCall, AggregatePlan};

/// Everything one partition has folded for one view and not yet closed.
#[derive(Debug, Default)]
pub struct PartitionTable {
    /// Groups by slice.
    pub slices: BTreeMap<SliceKey, Slice>,
    /// Closed steps of `CUMULATE`, merged, by the start of their longest window.
    pub prefixes: BTreeMap<i64, Slice>,
    /// Kept rows by slice.
    pub rows: BTreeMap<SliceKey, Vec<RecordBatch>>,
    /// Sessions by key.
    pub sessions: SessionList,
    /// Records by slice that came after windows' ends.
    pub revised: BTreeMap<SliceKey, u64>,
}

/// Bytes of a slice beyond its groups: its place in the tree and its allocation.
pub const SLICE_BYTES: u64 = 96;
/// Bytes of a session beyond its key: its bounds, its list of slices and its place.
const SESSION_BYTES: u64 = 96;

impl PartitionTable {
    /// Bytes it keeps on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> u64 {
        let slices = self.slices.values().chain(self.prefixes.values());
        let slices: u64 = slices.map(|slice| SLICE_BYTES + wide(slice.heap_bytes())).sum();
        let rows: u64 = self.rows.values().map(|rows| SLICE_BYTES + bytes_of(rows)).sum();
        let sessions: u64 =
            self.sessions.iter().map(|(key, _)| SESSION_BYTES + wide(key.len())).sum();
        slices + rows + sessions + SLICE_BYTES * wide(self.revised.len())
    }
}

impl Drained {
    /// What it adds to a table at most.
    pub(super) fn heap_bytes(&self) -> u64 {
        let groups: usize =
            self.keys.iter().chain(&self.states).map(|column| column.get_array_memory_size()).sum();
        let rows: u64 = self
            .rows
            .iter()
            .map(|(_, rows)| SLICE_BYTES + wide(rows.get_array_memory_size()))
            .sum();
        let sessions: u64 =
            self.sessions.iter().flatten().map(|(key, _)| SESSION_BYTES + wide(key.len())).sum();
        // Columns of the row format are wider than those of arrays: a byte for NULL, texts in blocks of 32.
        let padding = 34 * wide(self.slice_of.len()) * wide(self.keys.len() + self.states.len());
        wide(groups)
            + padding
            + rows
            + sessions
            + SLICE_BYTES * wide(self.slices.len() + self.revised.len())
    }
}

fn bytes_of(rows: &[RecordBatch]) -> u64 {
    rows.iter().map(|rows| wide(rows.get_array_memory_size())).sum()
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Turns keys and states of one view into bytes and back.
#[derive(Debug)]
pub struct Codec {
    keys: RowConverter,
    states: RowConverter,
    calls: Vec<AggregateCall>,
}

impl Codec {
    /// The codec of an aggregate.
    ///
    /// # Errors
    /// When a key or state has a type the row format does not know.
    pub fn new(plan: &AggregatePlan) -> Result<Self> {
        let mut keys: Vec<SortField> = plan.keys.iter().map(sort_field).collect();
        if plan.grouping_id_type.is_some() {
            keys.push(SortField::new(DataType::UInt64));
        }
        let states = Accumulators::state_fields(&plan.calls)?.iter().map(sort_field).collect();
        Ok(Self {
            keys: RowConverter::new(or_null(keys))?,
            states: RowConverter::new(or_null(states))?,
            calls: plan.calls.clone(),
        })
    }

    /// Adds what a drain took out; answers the slices that were touched, and tells `note` their groups.
    ///
    /// # Errors
    /// When states cannot be merged.
    pub fn absorb(
        &self,
        table: &mut PartitionTable,
        drained: Drained,
        note: &mut dyn FnMut(SliceKey, &[u8]),
    ) -> Result<Vec<SliceKey>> {
        let touched = drained.slices.clone();
        for (slice, count) in drained.revised {
            *table.revised.entry(slice).or_insert(0) += count;
        }
        if let Some(sessions) = drained.sessions {
            table.sessions = merged_sessions(&table.sessions, sessions);
        }
        for (slice, rows) in drained.rows {
            table.rows.entry(slice).or_default().push(rows);
        }
        if drained.slice_of.is_empty() {
            return Ok(touched);
        }
        let count = drained.slice_of.len();
        let keys = encode(&self.keys, &drained.keys, count)?;
        let states = encode(&self.states, &drained.states, count)?;
        for (slice, groups) in by_slice(&drained.slices, &drained.slice_of, &keys)? {
            groups.iter().for_each(|at| note(slice, keys.row(*at).data()));
            let fresh = groups.iter().map(|at| (keys.row(*at).data(), states.row(*at).data()));
            let old = table.slices.entry(slice).or_default();
            *old = self.merged_slice(old, fresh)?;
        }
        Ok(touched)
    }

    /// Merges whole slices into one.
    ///
    /// # Errors
    /// When states cannot be merged.
    pub fn merge_into(&self, target: &mut Slice, source: &Slice) -> Result<()> {
        *target = if target.is_empty() {
            source.clone()
        } else {
            self.merged_slice(target, source.iter())?
        };
        Ok(())
    }

    /// A slice with fresh groups in it, which come in the order of their keys; states of groups that are
    /// in both are merged, all in one go.
    fn merged_slice<'a>(
        &self,
        old: &'a Slice,
        fresh: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<Slice> {
        let mut grown = Vec::new();
        for (_, from) in merge(old.iter(), fresh.clone()) {
            if let Origin::Both(old, fresh) = from {
                grown.push(old);
                grown.push(fresh);
            }
        }
        let merged = if grown.is_empty() { None } else { Some(self.merged_pairs(&grown)?) };
        let mut next = 0;
        let mut builder = SliceBuilder::default();
        for (key, from) in merge(old.iter(), fresh) {
            match (from, &merged) {
                (Origin::Left(state) | Origin::Right(state), _) => builder.push(key, state),
                (Origin::Both(..), Some(merged)) => {
                    builder.push(key, merged.row(next).data());
                    next += 1;
                }
                (Origin::Both(..), None) => return internal_err!("a grown group was not merged"),
            }
        }
        Ok(builder.finish())
    }

    /// Every two states that follow one another as one.
    fn merged_pairs(&self, states: &[&[u8]]) -> Result<Rows> {
        let numbers: Vec<usize> = (0..states.len()).map(|at| at / 2).collect();
        let count = states.len() / 2;
        let mut accumulators = Accumulators::new(&self.calls)?;
        accumulators.merge(&self.decode_states(states)?, &numbers, count)?;
        encode(&self.states, &accumulators.state()?, count)
    }

    /// The groups of all `slices` together, in the order of their keys, with their values.
    ///
    /// # Errors
    /// When states cannot be merged or evaluated.
    pub fn evaluate<'a>(&self, slices: impl Iterator<Item = &'a Slice>) -> Result<Evaluated> {
        Ok(self.evaluate_with_keys(slices)?.0)
    }

    /// As [`Self::evaluate`], with the groups' keys.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate_with_keys<'a>(
        &self,
        slices: impl Iterator<Item = &'a Slice>,
    ) -> Result<(Evaluated, Vec<&'a [u8]>)> {
        self.evaluate_parts(slices.flatten().collect())
    }

    /// As [`Self::evaluate_with_keys`], of some groups alone.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate_groups<'a>(
        &self,
        slices: impl Iterator<Item = &'a Slice>,
        groups: &BTreeSet<Box<[u8]>>,
    ) -> Result<(Evaluated, Vec<&'a [u8]>)> {
        let mut parts: Vec<(&[u8], &[u8])> = Vec::new();
        for slice in slices {
            // Both are in the order of the keys.
            let mut wanted = groups.iter().peekable();
            for (key, state) in slice {
                while wanted.next_if(|next| next.as_ref() < key).is_some() {}
                match wanted.peek() {
                    None => break,
                    Some(next) if next.as_ref() == key => parts.push((key, state)),
                    Some(_) => {}
                }
            }
        }
        self.evaluate_parts(parts)
    }

    fn evaluate_parts<'a>(
        &self,
        mut parts: Vec<(&'a [u8], &'a [u8])>,
    ) -> Result<(Evaluated, Vec<&'a [u8]>)> {
        // A stable sort keeps the parts of one group in the order of partitions and slices.
        parts.sort_by_key(|(key, _)| *key);
        let mut keys: Vec<&[u8]> = Vec::new();
        let mut numbers = Vec::with_capacity(parts.len());
        for (key, _) in &parts {
            if keys.last() != Some(key) {
                keys.push(key);
            }
            numbers.push(keys.len() - 1);
        }
        let states: Vec<&[u8]> = parts.iter().map(|(_, state)| *state).collect();
        let mut accumulators = Accumulators::new(&self.calls)?;
        accumulators.merge(&self.decode_states(&states)?, &numbers, keys.len())?;
        let values = accumulators.evaluate()?;
        let parser = self.keys.parser();
        let rows: Vec<_> = keys.iter().map(|key| parser.parse(key)).collect();
        let count = rows.len();
        Ok((Evaluated { keys: self.keys.convert_rows(rows)?, values, count }, keys))
    }

    fn decode_states(&self, states: &[&[u8]]) -> Result<Vec<ArrayRef>> {
        let parser = self.states.parser();
        Ok(self.states.convert_rows(states.iter().map(|state| parser.parse(state)))?)
    }
}

/// The drained groups of each slice, in the order of their keys.
fn by_slice(
    slices: &[SliceKey],
    slice_of: &[u32],
    keys: &Rows,
) -> Result<BTreeMap<SliceKey, Vec<usize>>> {
    let mut all: BTreeMap<SliceKey, Vec<usize>> = BTreeMap::new();
    for (at, number) in slice_of.iter().enumerate() {
        let slice = usize::try_from(*number).ok().and_then(|number| slices.get(number));
        let Some(slice) = slice else { return internal_err!("a drained group without a slice") };
        all.entry(*slice).or_default().push(at);
    }
    for groups in all.values_mut() {
        groups.sort_by(|left, right| keys.row(*left).cmp(&keys.row(*right)));
    }
    Ok(all)
}

/// Groups with their values.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The key columns, the grouping id last where there are grouping sets.
    pub keys: Vec<ArrayRef>,
    /// One column a call.
    pub values: Vec<ArrayRef>,
    /// Number of groups.
    pub count: usize,
}

fn sort_field(field: &FieldRef) -> SortField {
    SortField::new(field.data_type().clone())
}

/// The row format needs at least one column.
fn or_null(fields: Vec<SortField>) -> Vec<SortField> {
    if fields.is_empty() { vec![SortField::new(DataType::Null)] } else { fields }
}

fn encode(converter: &RowConverter, columns: &[ArrayRef], count: usize) -> Result<Rows> {
    if columns.is_empty() {
        return Ok(
            converter.convert_columns(&[arrow::array::new_null_array(&DataType::Null, count)])?
        );
    }
    Ok(converter.convert_columns(columns)?)
}

/// The sessions a partition tells now, and those it told before and has since forgotten.
pub(super) fn merged_sessions(known: &SessionList, told: SessionList) -> SessionList {
    // A slice belongs to one session of its partition.
    let fresh: HashSet<i64> =
        told.iter().flat_map(|(_, session)| session.slices.iter().copied()).collect();
    let still = |(_, session): &&(Box<[u8]>, super::session::Session)| {
        !session.slices.iter().any(|slice| fresh.contains(slice))
    };
    let mut all: SessionList = known.iter().filter(still).cloned().collect();
    all.extend(told);
    all
}
