//! A join with rows that never change, as exchange rates pinned by a scope: looked up, not executed.
//!
//! DataFusion would build a hash table of the rates for every batch of every view. Where the rows are constant and
//! each key is there once, the join gives each row one partner or none, and a table that is made once finds it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, FieldRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use hashbrown::HashMap;

/// The constant side of a join by its key.
#[derive(Debug)]
pub(super) struct Lookup {
    converter: RowConverter,
    /// Number of the row of `table` by its encoded key.
    found: HashMap<Box<[u8]>, u32>,
    /// The same by the key itself, where keys are texts.
    of_text: Option<HashMap<Box<str>, u32>>,
    table: RecordBatch,
    /// The key of each row of `table`.
    keys: ArrayRef,
    /// Whether a row without a partner is kept, with NULLs in its place.
    is_outer: bool,
    /// Number of columns of the rows that look for their partners.
    width: usize,
}

/// Two are equal when they find the same for every row.
impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        (self.is_outer, self.width) == (other.is_outer, other.width)
            && self.keys.as_ref() == other.keys.as_ref()
            && self.table == other.table
    }
}

/// Where a column of a join's result comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Row(usize),
    Table(usize),
}

impl Lookup {
    /// The key that a join's rows are looked up by, and the columns of its result; `None` where it has to be
    /// executed: several keys, or a condition of its own. `is_left` says which side is fed.
    pub(super) fn key_and_columns(
        join: &HashJoinExec,
        is_left: bool,
    ) -> Option<(&Arc<dyn PhysicalExpr>, Vec<From>)> {
        let plain = join.filter().is_none()
            && join.fetch().is_none()
            && join.null_equality() == NullEquality::NullEqualsNothing;
        let [(left, right)] = join.on() else { return None };
        if !plain {
            return None;
        }
        let columns = |plan: &Arc<dyn ExecutionPlan>| plan.schema().fields().len();
        let (left_columns, all) =
            (columns(join.left()), columns(join.left()) + columns(join.right()));
        let place = |at: usize| match (is_left, at < left_columns) {
            (true, true) => From::Row(at),
            (true, false) => From::Table(at - left_columns),
            (false, true) => From::Table(at),
            (false, false) => From::Row(at - left_columns),
        };
        let columns = match &join.projection {
            Some(keep) => keep.iter().map(|at| place(*at)).collect(),
            None => (0..all).map(place).collect(),
        };
        Some((if is_left { left } else { right }, columns))
    }

    /// The lookup that a join is, for rows of `width` columns; `None` where it has to be executed: keys that are there
    /// twice, or a side that cannot be read now.
    pub(super) fn of(join: &HashJoinExec, is_left: bool, width: usize) -> Option<Self> {
        let is_outer = match (join.join_type(), is_left) {
            (JoinType::Inner, _) => false,
            (JoinType::Left, true) | (JoinType::Right, false) => true,
            _ => return None,
        };
        let [(left, right)] = join.on() else { return None };
        let (key, fed, own, constant) = match is_left {
            true => (left, join.left(), right, join.right()),
            false => (right, join.right(), left, join.left()),
        };
        let table = constant_rows(constant)?;
        let keys = own.evaluate(&table).and_then(|keys| keys.into_array(table.num_rows())).ok()?;
        if key.data_type(&fed.schema()).ok()? != *keys.data_type() {
            return None;
        }
        let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())]).ok()?;
        let mut found = HashMap::new();
        let encoded = converter.convert_columns(&[Arc::clone(&keys)]).ok()?;
        for (at, row) in (0_u32..).zip(encoded.iter()) {
            let is_null = keys.is_null(usize::try_from(at).ok()?);
            if !is_null && found.insert(row.data().into(), at).is_some() {
                return None;
            }
        }
        let of_text = keys.as_string_opt::<i32>().map(|keys| {
            let known = (0_u32..).zip(keys).filter_map(|(at, key)| Some((key?.into(), at)));
            known.collect()
        });
        Some(Self { converter, found, of_text, table, keys, is_outer, width })
    }

    /// Number of columns of the rows that look for their partners.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether a row without a partner is kept, with NULLs in its place.
    pub(super) fn is_outer(&self) -> bool {
        self.is_outer
    }

    /// The columns of the table as they are in a result.
    pub(super) fn fields(&self) -> impl Iterator<Item = FieldRef> + '_ {
        self.table.schema_ref().fields().iter().map(|field| match self.is_outer {
            true => Arc::new(Field::clone(field).with_nullable(true)),
            false => Arc::clone(field),
        })
    }

    /// A column of the table by its number in a result.
    pub(super) fn column(&self, at: usize) -> &ArrayRef {
        self.table.column(at - self.width)
    }

    /// The number of each row's partner; NULL where it has none.
    ///
    /// # Errors
    /// Arrow's own, for keys of another type.
    pub(super) fn partners(&self, keys: &ArrayRef) -> Result<UInt32Array> {
        if let (Some(found), Some(keys)) = (&self.of_text, keys.as_string_opt::<i32>()) {
            return Ok(partners_of_texts(found, keys));
        }
        let encoded = self.converter.convert_columns(&[Arc::clone(keys)])?;
        let one = |(at, row): (usize, arrow::row::Row<'_>)| match keys.is_null(at) {
            true => None,
            false => self.found.get(row.data()).copied(),
        };
        Ok(encoded.iter().enumerate().map(one).collect())
    }
}

/// Neighbours mostly have one key, as nearly all orders are in one currency: it is looked for once.
fn partners_of_texts(found: &HashMap<Box<str>, u32>, keys: &StringArray) -> UInt32Array {
    let mut last: Option<(&str, Option<u32>)> = None;
    let mut partners = Vec::with_capacity(keys.len());
    for key in keys {
        let partner = match (key, last) {
            (None, _) => None,
            (Some(key), Some((known, partner))) if known == key => partner,
            (Some(key), _) => {
                let partner = found.get(key).copied();
                last = Some((key, partner));
                partner
            }
        };
        partners.push(partner);
    }
    partners.into()
}

/// The rows of a plan that no slot feeds.
fn constant_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<RecordBatch> {
    let plan = reset_plan_states(Arc::clone(plan)).ok()?;
    let schema = plan.schema();
    let batches = futures::executor::block_on(collect(plan, Arc::default())).ok()?;
    concat_batches(&schema, &batches).ok()
}
