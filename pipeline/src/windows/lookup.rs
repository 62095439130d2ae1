//! A join with rows that never change, as exchange rates pinned by a scope: looked up, not executed.
//!
//! DataFusion would build a hash table of the rates for every batch of every view. Where the rows are constant and
//! each key is there once, the join gives each row one partner or none, and a table that is made once finds it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, is_not_null, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use hashbrown::HashMap;

use super::row_by_row;

/// The constant side of a join by its key.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The key of a row that looks for its partner.
    key: Arc<dyn PhysicalExpr>,
    converter: RowConverter,
    /// Number of the row of `table` by its encoded key.
    found: HashMap<Box<[u8]>, u32>,
    table: RecordBatch,
    /// Whether a row without a partner is kept, with NULLs in its place.
    is_outer: bool,
    columns: Vec<From>,
    schema: SchemaRef,
}

/// Where a column of the result comes from.
#[derive(Debug, Clone, Copy)]
enum From {
    Row(usize),
    Table(usize),
}

impl Lookup {
    /// The lookup that a join is; `None` where it has to be executed: several keys, a condition of its own, keys that
    /// are there twice, or a side that cannot be read now. `is_left` says which side is fed.
    pub(super) fn of(join: &HashJoinExec, is_left: bool) -> Option<Self> {
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
        let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())]).ok()?;
        let mut found = HashMap::new();
        let encoded = converter.convert_columns(&[Arc::clone(&keys)]).ok()?;
        for (at, row) in (0_u32..).zip(encoded.iter()) {
            let is_null = keys.is_null(usize::try_from(at).ok()?);
            if !is_null && found.insert(row.data().into(), at).is_some() {
                return None;
            }
        }
        let fed_columns = fed.schema().fields().len();
        let table_columns = table.num_columns();
        let place = |at: usize| match is_left {
            true if at < fed_columns => From::Row(at),
            true => From::Table(at - fed_columns),
            false if at < table_columns => From::Table(at),
            false => From::Row(at - table_columns),
        };
        let all = 0..fed_columns + table_columns;
        let columns = match &join.projection {
            Some(keep) => keep.iter().map(|at| place(*at)).collect(),
            None => all.map(place).collect(),
        };
        Some(Self {
            key: Arc::clone(key),
            converter,
            found,
            table,
            is_outer,
            columns,
            schema: join.schema(),
        })
    }

    /// The key that is looked up.
    pub(super) fn key(&self) -> &Arc<dyn PhysicalExpr> {
        &self.key
    }

    /// The columns of its rows that are in its result.
    pub(super) fn kept(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().filter_map(|from| match from {
            From::Row(at) => Some(*at),
            From::Table(_) => None,
        })
    }

    /// The rows with their partners.
    ///
    /// # Errors
    /// When the key cannot be computed.
    pub(super) fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = row_by_row::evaluate(self.key.as_ref(), rows)?;
        let partners = self.partners(&keys)?;
        if !self.is_outer && partners.null_count() > 0 {
            // The schema of an inner join knows no NULL, so its rows are chosen before the columns are put together.
            let has_partner: BooleanArray = is_not_null(&partners)?;
            return self.apply(&filter_record_batch(rows, &has_partner)?);
        }
        let count = rows.num_rows();
        let columns = self
            .columns
            .iter()
            .map(|from| {
                Ok(match from {
                    From::Row(at) => Arc::clone(rows.column(*at)),
                    From::Table(at) => take(self.table.column(*at), &partners, None)?,
                })
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn partners(&self, keys: &ArrayRef) -> Result<UInt32Array> {
        let encoded = self.converter.convert_columns(&[Arc::clone(keys)])?;
        let one = |(at, row): (usize, arrow::row::Row<'_>)| match keys.is_null(at) {
            true => None,
            false => self.found.get(row.data()).copied(),
        };
        Ok(encoded.iter().enumerate().map(one).collect())
    }
}

/// The rows of a plan that no slot feeds.
fn constant_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<RecordBatch> {
    let plan = reset_plan_states(Arc::clone(plan)).ok()?;
    let schema = plan.schema();
    let batches = futures::executor::block_on(collect(plan, Arc::default())).ok()?;
    concat_batches(&schema, &batches).ok()
}
