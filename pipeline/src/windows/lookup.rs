//! A join with rows that never change, as exchange rates pinned by a scope: looked up, not executed.
//!
//! DataFusion would build a hash table of the rates for every batch of every view. Where the rows are constant and
//! each key is there once, the join gives each row one partner or none, and a table that is made once finds it.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, FieldRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::HashJoinExec;
use hashbrown::HashMap;

use super::collected::collected;

/// The constant side of a join by its key.
#[derive(Debug)]
pub(super) struct Lookup {
    found: Found,
    table: RecordBatch,
    /// The key of each row of `table`.
    keys: ArrayRef,
    /// Whether a row without a partner is kept, with NULLs in its place.
    is_outer: bool,
}

/// The number of the row of a table by its key.
#[derive(Debug)]
enum Found {
    /// Texts as they are.
    Text(HashMap<Box<str>, u32>),
    /// Keys of another type, encoded.
    Encoded(RowConverter, HashMap<Box<[u8]>, u32>),
}

/// Two are equal when they find the same for every row.
impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.is_outer == other.is_outer
            && self.keys.as_ref() == other.keys.as_ref()
            && self.table == other.table
    }
}

/// A join that is a look-up.
pub(super) struct LookupJoin<'a> {
    pub(super) lookup: Lookup,
    /// What a row is looked up by, over the columns of the fed side.
    pub(super) key: &'a Arc<dyn PhysicalExpr>,
    /// The columns of the result.
    pub(super) columns: Vec<From>,
}

/// Where a column of a join's result comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Row(usize),
    Table(usize),
}

impl<'a> LookupJoin<'a> {
    /// The look-up that a join is; `None` where it has to be executed: several keys, a condition of its own, keys that
    /// are there twice, or a side that cannot be read now. `is_left` says which side is fed.
    pub(super) fn of(join: &'a HashJoinExec, is_left: bool) -> Option<Self> {
        let is_outer = match (join.join_type(), is_left) {
            (JoinType::Inner, _) => false,
            (JoinType::Left, true) | (JoinType::Right, false) => true,
            _ => return None,
        };
        let plain = join.filter().is_none()
            && join.fetch().is_none()
            && join.null_equality() == NullEquality::NullEqualsNothing;
        let [(left, right)] = join.on() else { return None };
        if !plain {
            return None;
        }
        let (key, fed, own, constant) = match is_left {
            true => (left, join.left(), right, join.right()),
            false => (right, join.right(), left, join.left()),
        };
        let table = constant_rows(constant)?;
        let keys = own.evaluate(&table).and_then(|keys| keys.into_array(table.num_rows())).ok()?;
        if key.data_type(&fed.schema()).ok()? != *keys.data_type() {
            return None;
        }
        let (fed_columns, table_columns) = (fed.schema().fields().len(), table.num_columns());
        let place = |at: usize| match is_left {
            true if at < fed_columns => From::Row(at),
            true => From::Table(at - fed_columns),
            false if at < table_columns => From::Table(at),
            false => From::Row(at - table_columns),
        };
        let columns = match &join.projection {
            Some(keep) => keep.iter().map(|at| place(*at)).collect(),
            None => (0..fed_columns + table_columns).map(place).collect(),
        };
        let lookup = Lookup { found: Found::of(&keys)?, table, keys, is_outer };
        Some(Self { lookup, key, columns })
    }
}

impl Lookup {
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

    /// A column of the table by its number there.
    pub(super) fn column(&self, at: usize) -> &ArrayRef {
        self.table.column(at)
    }

    /// The number of each row's partner; NULL where it has none.
    ///
    /// # Errors
    /// Arrow's own, for keys of another type.
    pub(super) fn partners(&self, keys: &ArrayRef) -> Result<UInt32Array> {
        match &self.found {
            Found::Text(rows) => {
                let keys = keys.as_string_opt::<i32>().into_iter().flatten();
                Ok(partners(keys, |key: &str| rows.get(key).copied()))
            }
            Found::Encoded(converter, rows) => {
                let encoded = converter.convert_columns(&[Arc::clone(keys)])?;
                let known = encoded.iter().enumerate();
                let keys = known.map(|(at, row)| keys.is_valid(at).then(|| row.data()));
                Ok(partners(keys, |key: &[u8]| rows.get(key).copied()))
            }
        }
    }
}

impl Found {
    /// By these keys; `None` where one is there twice.
    fn of(keys: &ArrayRef) -> Option<Self> {
        if let Some(keys) = keys.as_string_opt::<i32>() {
            return Some(Self::Text(numbered(keys.iter())?));
        }
        let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())]).ok()?;
        let encoded = converter.convert_columns(&[Arc::clone(keys)]).ok()?;
        let known = encoded.iter().enumerate();
        let rows = numbered(known.map(|(at, row)| keys.is_valid(at).then(|| row.data())))?;
        Some(Self::Encoded(converter, rows))
    }
}

/// The number of each key; `None` where one is there twice.
fn numbered<'a, K: ?Sized + 'a>(
    keys: impl Iterator<Item = Option<&'a K>>,
) -> Option<HashMap<Box<K>, u32>>
where
    Box<K>: std::convert::From<&'a K> + Eq + Hash,
{
    let mut numbers = HashMap::new();
    for (at, key) in (0_u32..).zip(keys) {
        if let Some(key) = key
            && numbers.insert(key.into(), at).is_some()
        {
            return None;
        }
    }
    Some(numbers)
}

/// Neighbours mostly have one key, as nearly all orders are in one currency: it is looked for once.
fn partners<K: Copy + PartialEq>(
    keys: impl Iterator<Item = Option<K>>,
    find: impl Fn(K) -> Option<u32>,
) -> UInt32Array {
    let mut last = None;
    let mut partner_of = |key: K| match last {
        Some((known, partner)) if known == key => partner,
        _ => {
            let partner = find(key);
            last = Some((key, partner));
            partner
        }
    };
    keys.map(|key| key.and_then(&mut partner_of)).collect()
}

/// The rows of a plan that no slot feeds.
fn constant_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<RecordBatch> {
    let plan = reset_plan_states(Arc::clone(plan)).ok()?;
    let schema = plan.schema();
    let batches = collected(plan, Arc::default()).ok()?;
    concat_batches(&schema, &batches).ok()
}
