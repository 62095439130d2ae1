//! The days of a history, told by the folders of its files: its first and last day cost no reading.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Date32Type};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use deltalake_core::kernel::LogicalFileView;

use super::layout::DATE;
use super::table::HistoryTable;

/// The first and the last day of a history, and how many rows it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    first: i32,
    last: i32,
    rows: usize,
}

impl Days {
    /// Those of a table and the rows beside it; `None` where there is no row, or a file does not tell.
    pub(super) fn of(table: &HistoryTable, tail: &[RecordBatch]) -> Option<Self> {
        let files = table.delta().snapshot().ok()?.log_data().into_iter();
        let mut days = files.filter_map(of_file).collect::<Option<Vec<Self>>>()?;
        days.extend(tail.iter().filter_map(of_rows));
        days.into_iter().reduce(|one, other| Self {
            first: one.first.min(other.first),
            last: one.last.max(other.last),
            rows: one.rows + other.rows,
        })
    }

    fn statistics(self) -> Statistics {
        let day = |day: i32| Precision::Exact(ScalarValue::Date32(Some(day)));
        let column = ColumnStatistics {
            null_count: Precision::Exact(0),
            min_value: day(self.first),
            max_value: day(self.last),
            ..ColumnStatistics::new_unknown()
        };
        Statistics {
            num_rows: Precision::Exact(self.rows),
            total_byte_size: Precision::Absent,
            column_statistics: vec![column],
        }
    }
}

/// `None` for a file without a row, `Some(None)` where it is not known of which day it is or how many rows count.
fn of_file(file: LogicalFileView) -> Option<Option<Days>> {
    let rows = file.num_records().filter(|_| file.deletion_vector_descriptor().is_none());
    if rows == Some(0) {
        return None;
    }
    let day = || {
        let day = file.partition_values_map().remove(DATE)??;
        match ScalarValue::try_from_string(day, &DataType::Date32).ok()? {
            ScalarValue::Date32(day) => day,
            _ => None,
        }
    };
    Some(rows.zip(day()).map(|(rows, day)| Days { first: day, last: day, rows }))
}

/// `None` where there is no row.
fn of_rows(rows: &RecordBatch) -> Option<Days> {
    let days = rows.column_by_name(DATE)?.as_primitive_opt::<Date32Type>()?;
    let (first, last) = (arrow::compute::min(days)?, arrow::compute::max(days)?);
    Some(Days { first, last, rows: rows.num_rows() })
}

/// The days of all rows and nothing else of them, with what is known of them before they are read.
#[derive(Debug)]
pub(super) struct DaysExec {
    rows: Arc<dyn ExecutionPlan>,
    days: Days,
}

impl DaysExec {
    /// `rows` have one column, the day.
    pub(super) fn new(rows: Arc<dyn ExecutionPlan>, days: Days) -> Self {
        Self { rows, days }
    }
}

impl DisplayAs for DaysExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DaysExec")
    }
}

impl ExecutionPlan for DaysExec {
    fn name(&self) -> &'static str {
        "DaysExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.rows.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.rows]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) {
            Ok([rows]) => Ok(Arc::new(Self { rows, days: self.days })),
            Err(_) => Err(DataFusionError::Internal("days are of one input".to_owned())),
        }
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(match args.partition() {
            None => self.days.statistics(),
            Some(_) => Statistics::new_unknown(&self.schema()),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.rows.execute(partition, task)
    }
}
