//! The table and what is not in it yet, as one table of SQL.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType, binary_expr,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column as PlanColumn, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::SessionConfig;

use super::days::{Days, DaysExec};
use super::layout::{DATE, HistoryLayout};
use super::table::HistoryTable;

/// A session that says how files are read: texts as views, which are not copied, and rows filtered behind the reader. On a
/// table of orders a filter within it cost as much as it saved.
static AS_VIEWS: LazyLock<Arc<SessionState>> = LazyLock::new(|| {
    let mut config = SessionConfig::new();
    config.options_mut().execution.parquet.schema_force_view_types = true;
    config.options_mut().execution.parquet.pushdown_filters = false;
    Arc::new(SessionStateBuilder::new().with_config(config).build())
});

/// A history at one cut: a version of its table, and the rows after it.
#[derive(Debug, Clone)]
pub struct HistoryAt {
    layout: Arc<HistoryLayout>,
    table: HistoryTable,
    tail: Vec<RecordBatch>,
}

impl HistoryAt {
    /// A table with the rows that it does not hold yet.
    #[must_use]
    pub fn new(layout: &Arc<HistoryLayout>, table: HistoryTable, tail: Vec<RecordBatch>) -> Self {
        Self { layout: Arc::clone(layout), table, tail }
    }

    /// The table at its version.
    pub(super) fn table(&self) -> &HistoryTable {
        &self.table
    }

    /// The same history with another version of its table, and no row beside it.
    pub(super) fn with_table(&self, table: HistoryTable) -> Self {
        Self { layout: Arc::clone(&self.layout), table, tail: Vec::new() }
    }

    /// The version of the table.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.table.version()
    }

    /// Rows that the table does not hold yet.
    #[must_use]
    pub fn tail_rows(&self) -> usize {
        self.tail.iter().map(RecordBatch::num_rows).sum()
    }

    async fn stored(
        &self,
        state: &dyn Session,
        wanted: &Schema,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table =
            self.table.delta().table_provider().with_session(Arc::clone(&AS_VIEWS)).build().await?;
        let held = table.schema();
        let projection: Vec<usize> =
            wanted.fields().iter().filter_map(|field| held.index_of(field.name()).ok()).collect();
        let told: Vec<Expr> =
            filters.iter().filter_map(|filter| as_held(filter, &self.layout)).collect();
        let asked: Vec<&Expr> = told.iter().collect();
        let pushed: Vec<Expr> = table
            .supports_filters_pushdown(&asked)?
            .into_iter()
            .zip(&told)
            .filter(|(answer, _)| !matches!(answer, TableProviderFilterPushDown::Unsupported))
            .map(|(_, filter)| filter.clone())
            .collect();
        let rows = table.scan(state, Some(&projection), &pushed, limit).await?;
        as_wanted(rows, wanted)
    }
}

/// A filter over the columns as they are shown as one over those that are held; `None` where it is left to be asked of
/// the rows.
fn as_held(filter: &Expr, layout: &HistoryLayout) -> Option<Expr> {
    let is_held = |column: &Column| {
        let (held, shown) = (
            layout.schema.field_with_name(&column.name).ok(),
            layout.shown.field_with_name(&column.name).ok(),
        );
        held.zip(shown).is_some_and(|(held, shown)| {
            held.data_type() == shown.data_type() || *shown.data_type() == DataType::Utf8View
        })
    };
    if filter.column_refs().into_iter().all(is_held) {
        return Some(filter.clone());
    }
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (left, right) = match (left.as_ref(), right.as_ref()) {
        _ if matches!(op, Operator::And | Operator::Or) => {
            (as_held(left, layout)?, as_held(right, layout)?)
        }
        (Expr::Column(column), Expr::Literal(value, _)) if op.supports_propagation() => {
            (Expr::Column(column.clone()), value_held(column, value, layout)?)
        }
        (Expr::Literal(value, _), Expr::Column(column)) if op.supports_propagation() => {
            (value_held(column, value, layout)?, Expr::Column(column.clone()))
        }
        _ => return None,
    };
    Some(binary_expr(left, *op, right))
}

/// A time beside a column of times, in the column's own unit: the instant stays what it is.
fn value_held(column: &Column, value: &ScalarValue, layout: &HistoryLayout) -> Option<Expr> {
    let shown = layout.shown.field_with_name(&column.name).ok()?.data_type();
    let held = layout.schema.field_with_name(&column.name).ok()?.data_type();
    let is_time = matches!(shown, DataType::Timestamp(_, _)) && value.data_type() == *shown;
    is_time.then(|| value.cast_to(held).ok().map(|value| Expr::Literal(value, None))).flatten()
}

/// The rows with the columns that are wanted; one that the files do not have yet is NULL.
fn as_wanted(rows: Arc<dyn ExecutionPlan>, wanted: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let held = rows.schema();
    let same = held.fields().len() == wanted.fields().len()
        && held.fields().iter().zip(wanted.fields()).all(|(held, wanted)| {
            held.name() == wanted.name() && held.data_type() == wanted.data_type()
        });
    if same {
        return Ok(rows);
    }
    let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> =
        Vec::with_capacity(wanted.fields().len());
    for field in wanted.fields() {
        let column: Arc<dyn PhysicalExpr> = match held.index_of(field.name()) {
            Ok(at) if held.field(at).data_type() == field.data_type() => {
                Arc::new(PlanColumn::new(field.name(), at))
            }
            Ok(at) => {
                let column = Arc::new(PlanColumn::new(field.name(), at));
                Arc::new(CastExpr::new(column, field.data_type().clone(), None))
            }
            Err(_) => Arc::new(Literal::new(ScalarValue::try_from(field.data_type())?)),
        };
        columns.push((column, field.name().clone()));
    }
    Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
}

#[async_trait]
impl TableProvider for HistoryAt {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.shown)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Files are passed over by their statistics; what is left is filtered again.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let shown = &self.layout.shown;
        let wanted = match projection {
            Some(columns) => shown.project(columns)?,
            None => shown.as_ref().clone(),
        };
        let mut rows = self.stored(state, &wanted, filters, limit).await?;
        if !self.tail.is_empty() {
            let tail = MemorySourceConfig::try_new_exec(
                std::slice::from_ref(&self.tail),
                Arc::clone(&self.layout.schema),
                projection.cloned(),
            )?;
            rows = UnionExec::try_new(vec![rows, as_wanted(tail, &wanted)?])?;
        }
        let asks_days = matches!(wanted.fields().as_ref(), [only] if only.name() == DATE);
        let is_whole = filters.is_empty() && limit.is_none();
        let days = (asks_days && is_whole).then(|| Days::of(&self.table, &self.tail));
        Ok(match days.flatten() {
            Some(days) => Arc::new(DaysExec::new(rows, days)),
            None => rows,
        })
    }
}
