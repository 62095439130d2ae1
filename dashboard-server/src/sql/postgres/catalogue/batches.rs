//! Reading and changing what the library's tables hold.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::collect;

/// Columns that the library leaves out and tools ask for: table, name, and whether it is a list of texts. All are NULL.
const MORE: [(&str, &str, bool); 3] = [
    ("pg_class", "relacl", true),
    ("pg_class", "reloptions", true),
    ("pg_collation", "colliculocale", false),
];

/// A table's columns as tools expect them: privileges, options and settings are lists of texts there and texts in the library,
/// which has none of them.
pub(super) fn with_lists(table: &str, library: &SchemaRef) -> SchemaRef {
    let list = || DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let fields = library.fields().iter().map(|field| {
        let is_list = ["acl", "options", "config"].iter().any(|end| field.name().ends_with(end));
        match is_list && field.is_nullable() && *field.data_type() == DataType::Utf8 {
            true => Arc::new(field.as_ref().clone().with_data_type(list())),
            false => Arc::clone(field),
        }
    });
    let more =
        MORE.iter().filter(|(of, name, _)| *of == table && library.field_with_name(name).is_err());
    let more = more.map(|(_, name, is_list)| {
        Arc::new(Field::new(*name, if *is_list { list() } else { DataType::Utf8 }, true))
    });
    Arc::new(Schema::new(fields.chain(more).collect::<Vec<_>>()))
}

/// What a table of the library holds, in these columns; NULL where it has none of the kind.
pub(super) fn in_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
        _ => new_null_array(field.data_type(), batch.num_rows()),
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
}

/// A type's names in SQL and in PostgreSQL's catalogue, by the engine's.
pub(super) fn pg_type(of: &str) -> (&'static str, &'static str) {
    let kind = of.split('(').next().unwrap_or(of);
    match kind {
        "Boolean" => ("boolean", "bool"),
        "Int8" | "Int16" | "UInt8" => ("smallint", "int2"),
        "Int32" | "UInt16" => ("integer", "int4"),
        "Int64" | "UInt32" | "UInt64" => ("bigint", "int8"),
        "Float16" | "Float32" => ("real", "float4"),
        "Float64" => ("double precision", "float8"),
        "Decimal128" | "Decimal256" | "Decimal32" | "Decimal64" => ("numeric", "numeric"),
        "Date32" | "Date64" => ("date", "date"),
        "Time32" | "Time64" => ("time without time zone", "time"),
        "Timestamp" if of.contains(',') && !of.contains("None") => {
            ("timestamp with time zone", "timestamptz")
        }
        "Timestamp" => ("timestamp without time zone", "timestamp"),
        "Interval" => ("interval", "interval"),
        "Binary" | "LargeBinary" | "BinaryView" => ("bytea", "bytea"),
        "List" | "LargeList" | "FixedSizeList" => ("ARRAY", "_text"),
        _ => ("text", "text"),
    }
}

/// All of a table of the library.
pub(super) async fn read(table: &dyn TableProvider, state: &dyn Session) -> Result<RecordBatch> {
    let plan = table.scan(state, None, &[], None).await?;
    let batches = collect(plan, state.task_ctx()).await?;
    Ok(concat_batches(&table.schema(), &batches)?)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let found = batch.column_by_name(name);
    found.ok_or_else(|| DataFusionError::Internal(format!("there is no column {name}")))
}

/// The texts of a column.
pub(super) fn texts(batch: &RecordBatch, name: &str) -> Result<Vec<String>> {
    let texts = cast(column(batch, name)?, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    Ok(texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// The numbers of a column.
pub(super) fn numbers(batch: &RecordBatch, name: &str) -> Result<Vec<i32>> {
    let numbers = cast(column(batch, name)?, &DataType::Int32)?;
    Ok(numbers.as_primitive::<Int32Type>().values().to_vec())
}

/// The rows with another column in the place of one.
pub(super) fn with_column(
    batch: &RecordBatch,
    name: &str,
    column: ArrayRef,
) -> Result<RecordBatch> {
    let at = batch.schema().index_of(name)?;
    let mut columns = batch.columns().to_vec();
    if let Some(place) = columns.get_mut(at) {
        *place = column;
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
