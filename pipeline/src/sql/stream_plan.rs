//! A stream, ready to run: fields to decode, computed columns, watermark and checks as expressions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
    new_null_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMillisecondType,
};
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::sql::sqlparser::ast;

use super::column_type::timestamp_type;
use super::cut::ROW_COLUMN;
use super::error::SqlError;
use super::exact::{checked, unchecked};
use super::pure;
use super::refusal::located_in;
use super::session::{analyzed_plan, message_of};
use super::slot::SlotNode;
use super::stream::StreamDefinition;
use crate::model::Zone;

/// A stream, ready to run.
#[derive(Debug)]
pub struct StreamPlan {
    /// What the stream declares, the types of computed columns included.
    pub definition: StreamDefinition,
    /// The columns that are decoded: fields of the record, and what the log knows of it.
    pub decoded: SchemaRef,
    /// All columns and, last, [`ROW_COLUMN`].
    pub schema: SchemaRef,
    /// For every column, the decoded field or the expression it comes from.
    columns: Vec<ColumnSource>,
    watermark: Option<Arc<dyn PhysicalExpr>>,
    /// The watermark, where it is a column less a time of fixed length.
    watermark_delay: Option<Delay>,
    /// `CHECK` conditions with their text.
    checks: Vec<(Arc<dyn PhysicalExpr>, String)>,
}

#[derive(Debug)]
enum ColumnSource {
    Decoded(usize),
    Computed(Arc<dyn PhysicalExpr>, DataType),
}

impl StreamPlan {
    /// Plans the expressions of a stream.
    ///
    /// # Errors
    /// Every expression that cannot be planned, with its place.
    pub fn new(
        state: &SessionState,
        mut definition: StreamDefinition,
    ) -> Result<Self, Vec<SqlError>> {
        let mut errors = Vec::new();
        let file = definition.statement.file.clone();
        let fields: Vec<Field> = definition
            .columns
            .iter()
            .filter(|column| column.computed.is_none())
            .map(|column| column.field.clone())
            .collect();
        let decoded = Arc::new(Schema::new(fields));
        let mut columns = Vec::new();
        let mut next = 0;
        for at in 0..definition.columns.len() {
            let column = &mut definition.columns[at];
            let Some(expression) = &column.computed else {
                columns.push(ColumnSource::Decoded(next));
                next += 1;
                continue;
            };
            match computed(state, expression, &decoded) {
                Ok((expr, data_type)) => {
                    let is_event_time = definition.event_time == Some(at);
                    let data_type = if is_event_time {
                        event_time_type(data_type, definition.zone)
                    } else {
                        data_type
                    };
                    column.field = Field::new(column.field.name(), data_type.clone(), true);
                    columns.push(ColumnSource::Computed(expr, data_type));
                }
                Err(error) => errors.push(located_in(&file, column.place, &error)),
            }
        }
        let schema = definition.schema();
        let mut watermark = None;
        if let Some((expression, place)) = &definition.watermark {
            match computed(state, expression, &schema) {
                Ok((expr, DataType::Timestamp(..))) => watermark = Some(expr),
                Ok((_, other)) => {
                    let message = format!("the watermark is {other}; it must be a timestamp");
                    errors.push(SqlError::at(&file, *place, message));
                }
                Err(error) => errors.push(located_in(&file, *place, &error)),
            }
        }
        let mut checks = Vec::new();
        for (expression, text) in &definition.checks {
            match computed(state, expression, &schema) {
                Ok((expr, DataType::Boolean)) => checks.push((expr, text.clone())),
                Ok((_, other)) => errors.push(SqlError::at(
                    &file,
                    definition.statement.place,
                    format!("CHECK ({expression}) is {other}, not a condition"),
                )),
                Err(error) => errors.push(located_in(&file, definition.statement.place, &error)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut all: Vec<Field> =
            schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        all.push(Field::new(ROW_COLUMN, DataType::UInt32, false));
        let schema = Arc::new(Schema::new(all));
        let watermark_delay = watermark.as_ref().and_then(Delay::read);
        Ok(Self { definition, decoded, schema, columns, watermark, watermark_delay, checks })
    }

    /// The columns that a record has as fields: neither computed nor what the log knows of it.
    #[must_use]
    pub fn fields(&self) -> SchemaRef {
        let fields = self.definition.columns.iter().filter(|column| column.is_field());
        Arc::new(Schema::new(fields.map(|column| column.field.clone()).collect::<Vec<_>>()))
    }

    /// Adds the computed columns and the row number to decoded rows. A row on which an expression
    /// fails goes into `refused` and has NULL there.
    ///
    /// # Errors
    /// When the columns do not make up a batch, which is a fault of this module.
    pub fn complete(
        &self,
        decoded: &RecordBatch,
        refused: &mut RefusedRows,
    ) -> Result<RecordBatch> {
        let count = decoded.num_rows();
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        for (source, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(match source {
                ColumnSource::Decoded(at) => Arc::clone(decoded.column(*at)),
                ColumnSource::Computed(expr, data_type) => {
                    evaluated((expr, data_type), decoded, &format!("`{}`", field.name()), refused)?
                }
            });
        }
        columns.push(Arc::new(UInt32Array::from_iter_values((0..).take(count))));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The decoded columns behind these columns of the stream; `None` where a computed one may need any.
    #[must_use]
    pub fn decoded_behind(&self, columns: &BTreeSet<usize>) -> Option<BTreeSet<usize>> {
        let decoded = |(at, source): (usize, &ColumnSource)| match source {
            ColumnSource::Decoded(decoded) if columns.contains(&at) => Some(Some(*decoded)),
            ColumnSource::Decoded(_) => None,
            ColumnSource::Computed(..) => Some(None),
        };
        self.columns.iter().enumerate().filter_map(decoded).collect()
    }

    /// Event time of every row in epoch milliseconds, `None` where it is NULL; nothing without a watermark.
    ///
    /// # Errors
    /// When the column cannot be read as milliseconds.
    pub fn event_times(&self, rows: &RecordBatch) -> Result<Option<Vec<Option<i64>>>> {
        let Some(at) = self.definition.event_time else { return Ok(None) };
        milliseconds(rows.column(at)).map(Some)
    }

    /// The watermark each row asks for, in epoch milliseconds; rows on which the expression fails go
    /// into `refused`.
    ///
    /// # Errors
    /// When it cannot be read as milliseconds.
    pub fn watermarks(
        &self,
        rows: &RecordBatch,
        refused: &mut RefusedRows,
    ) -> Result<Option<Vec<Option<i64>>>> {
        let Some(watermark) = &self.watermark else { return Ok(None) };
        if let Some(asked) = self.watermark_delay.and_then(|delay| delay.of(rows)) {
            return Ok(Some(asked));
        }
        let data_type = watermark.data_type(&self.schema)?;
        let column = evaluated((watermark, &data_type), rows, "the watermark", refused)?;
        milliseconds(&column).map(Some)
    }

    /// Whether each row passes each `CHECK`, with the text of the condition; rows on which one fails
    /// go into `refused`.
    ///
    /// # Errors
    /// When a condition is not of the type it was planned with, which is a fault of this module.
    pub fn checked(
        &self,
        rows: &RecordBatch,
        refused: &mut RefusedRows,
    ) -> Result<Vec<(BooleanArray, &str)>> {
        let one = |(expr, text): &'_ (Arc<dyn PhysicalExpr>, String), refused: &mut RefusedRows| {
            evaluated((expr, &DataType::Boolean), rows, &format!("CHECK ({text})"), refused)
        };
        self.checks
            .iter()
            .map(|check| Ok((one(check, refused)?.as_boolean().clone(), check.1.as_str())))
            .collect()
    }
}

/// `column - INTERVAL`, as nearly every watermark is written: DataFusion would go through the calendar of
/// the column's zone for every row.
#[derive(Debug, Clone, Copy)]
struct Delay {
    column: usize,
    milliseconds: i64,
}

impl Delay {
    fn read(watermark: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        let difference = unchecked(watermark)
            .downcast_ref::<BinaryExpr>()
            .filter(|expr| *expr.op() == Operator::Minus)?;
        let column = difference.left().downcast_ref::<Column>()?.index();
        let interval = difference.right().downcast_ref::<Literal>()?.value();
        let ScalarValue::IntervalMonthDayNano(Some(interval)) = interval else { return None };
        let has_fixed_length =
            interval.months == 0 && interval.days == 0 && interval.nanoseconds % 1_000_000 == 0;
        has_fixed_length.then_some(Self { column, milliseconds: interval.nanoseconds / 1_000_000 })
    }

    /// The difference in every row; nothing where the column holds no milliseconds or one overflows.
    fn of(self, rows: &RecordBatch) -> Option<Vec<Option<i64>>> {
        let times = rows.column(self.column).as_primitive_opt::<TimestampMillisecondType>()?;
        times
            .iter()
            .map(|time| {
                time.map_or(Some(None), |time| time.checked_sub(self.milliseconds).map(Some))
            })
            .collect()
    }
}

/// Rows on which an expression of the stream fails, by their number in the batch, with what failed.
pub type RefusedRows = BTreeMap<usize, String>;

/// The column an expression gives. When it fails it is asked row by row, so that a row with, say, a
/// division by zero costs that row and no other.
fn evaluated(
    (expr, data_type): (&Arc<dyn PhysicalExpr>, &DataType),
    rows: &RecordBatch,
    what: &str,
    refused: &mut RefusedRows,
) -> Result<ArrayRef> {
    let of = |rows: &RecordBatch| -> Result<ArrayRef> {
        let column = expr.evaluate(rows)?.into_array(rows.num_rows())?;
        let column =
            if column.data_type() == data_type { column } else { cast(&column, data_type)? };
        Ok(one_zero(column))
    };
    if let Ok(column) = of(rows) {
        return Ok(column);
    }
    let mut parts = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        parts.push(match of(&rows.slice(row, 1)) {
            Ok(value) => value,
            Err(error) => {
                refused
                    .entry(row)
                    .or_insert_with(|| format!("{what} fails: {}", message_of(&error)));
                new_null_array(data_type, 1)
            }
        });
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    if parts.is_empty() { Ok(new_null_array(data_type, 0)) } else { Ok(concat(&parts)?) }
}

/// A column without -0.0, which would be a group of its own beside 0.0.
fn one_zero(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(|x| x + 0.0))
        }
        DataType::Float32 => {
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(|x| x + 0.0))
        }
        _ => column,
    }
}

fn milliseconds(column: &arrow::array::ArrayRef) -> Result<Vec<Option<i64>>> {
    let zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let times = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone))?;
    let numbers = cast(&times, &DataType::Int64)?;
    Ok(numbers.as_primitive::<Int64Type>().iter().collect())
}

/// A computed event time without a zone is a wall-clock time of the stream's zone.
fn event_time_type(data_type: DataType, zone: Zone) -> DataType {
    match data_type {
        DataType::Timestamp(_, None) if zone != Zone::UTC => timestamp_type(zone),
        other => other,
    }
}

fn computed(
    state: &SessionState,
    expression: &ast::Expr,
    schema: &SchemaRef,
) -> Result<(Arc<dyn PhysicalExpr>, DataType)> {
    pure::check_text(state, expression)?;
    let schema_for_names = DFSchema::try_from(schema.as_ref().clone())?;
    let expr = state.create_logical_expr(&expression.to_string(), &schema_for_names)?;
    pure::check_expr(&expr)?;
    let expr = as_in_a_view(state, expr, schema)?;
    let expr = checked(state.create_physical_expr(expr, &schema_for_names)?)?;
    let data_type = expr.data_type(schema)?;
    Ok((expr, data_type))
}

/// An expression over a stream's columns as a view over them would compute it: literals, types and times as they are meant,
/// and functions that are others in short written out.
fn as_in_a_view(state: &SessionState, expr: Expr, schema: &SchemaRef) -> Result<Expr> {
    let is_over_rows =
        |part: &Expr| matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_));
    if expr.exists(|part| Ok(is_over_rows(part)))? {
        return plan_err!("'{expr}' is computed of one record, and has a function over several");
    }
    let columns = Arc::new(DFSchema::try_from(schema.as_ref().clone())?);
    let over = LogicalPlanBuilder::from(SlotNode::plan(columns, 0));
    let plan = analyzed_plan(state, over.project([expr.alias("computed")])?.build()?)?;
    let LogicalPlan::Projection(projection) = &plan else {
        return internal_err!("a projection is no projection any more");
    };
    let [expr] = projection.expr.as_slice() else {
        return internal_err!("an expression is not one expression any more");
    };
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(projection.input.schema()))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    ExprSimplifier::new(context).simplify(expr.clone().unalias())
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn a_watermark_a_fixed_time_behind_a_column_goes_through_no_calendar() {
        let time = Field::new("event_time", timestamp_type(Zone::UTC), true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![time]));
        let state = SessionContext::new().state();
        let delay = |text: &str| {
            let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
            let expression = parser.and_then(|mut parser| parser.parse_expr()).expect(text);
            let (expr, _) = computed(&state, &expression, &schema).expect(text);
            Delay::read(&expr).map(|delay| delay.milliseconds)
        };
        assert_eq!(delay("event_time - INTERVAL '5' SECOND"), Some(5_000));
        assert_eq!(delay("event_time - INTERVAL '1' HOUR"), Some(3_600_000));
        // A day has not always as many hours.
        assert_eq!(delay("event_time - INTERVAL '1' DAY"), None);
        assert_eq!(delay("event_time + INTERVAL '5' SECOND"), None);
    }
}
