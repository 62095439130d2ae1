//! What there is: catalogues, schemas, tables with their columns, types, and what this server can do.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Command, CommandGetTables, Nullable, Searchable, SqlInfo, SqlNullOrdering,
    SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType, XdbcDatetimeSubcode,
};
use datafusion::catalog::CatalogProvider;
use tonic::Status;

use super::status::{of_flight, status};
use crate::auth::Principal;
use crate::sql::batches::owned_schema;
use crate::sql::error::SqlError;
use crate::sql::session::{CATALOG, SqlService};
use crate::sql::sql_type;

/// The one kind of table.
const TABLE: &str = "TABLE";

/// The answer to a question about the catalogue; `None` for a command of another kind.
///
/// # Errors
/// When the catalogue cannot be read.
pub(super) async fn answer(
    service: &SqlService,
    principal: &Principal,
    command: Command,
) -> Result<Option<RecordBatch>, Status> {
    let built = match command {
        Command::CommandGetCatalogs(asked) => {
            let mut all = asked.into_builder();
            all.append(CATALOG);
            all.build()
        }
        Command::CommandGetDbSchemas(asked) => {
            let mut all = asked.into_builder();
            for schema in catalog(service, principal)?.schema_names() {
                all.append(CATALOG, schema);
            }
            all.build()
        }
        Command::CommandGetTables(asked) => {
            return tables(service, principal, asked).await.map(Some);
        }
        Command::CommandGetTableTypes(asked) => {
            let mut all = asked.into_builder();
            all.append(TABLE);
            all.build()
        }
        Command::CommandGetSqlInfo(asked) => asked.into_builder(&abilities()?).build(),
        Command::CommandGetXdbcTypeInfo(asked) => asked.into_builder(&types()?).build(),
        // A view has no key that another refers to.
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(Arc::new(primary_keys()))),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => {
            Ok(RecordBatch::new_empty(Arc::new(foreign_keys())))
        }
        _ => return Ok(None),
    };
    built.map(Some).map_err(of_flight)
}

/// What someone sees, at the newest cut.
fn catalog(
    service: &SqlService,
    principal: &Principal,
) -> Result<Arc<dyn CatalogProvider>, Status> {
    let pin = service.pin();
    pin.show_to(principal);
    let session = service.session(&pin);
    let session = session.map_err(|error| status(&SqlError::of_planning(&error)))?;
    session.context.catalog(CATALOG).ok_or_else(|| Status::internal("there is no catalogue"))
}

async fn tables(
    service: &SqlService,
    principal: &Principal,
    asked: CommandGetTables,
) -> Result<RecordBatch, Status> {
    let catalog = catalog(service, principal)?;
    let mut all = asked.into_builder();
    for schema in catalog.schema_names() {
        let Some(provider) = catalog.schema(&schema) else { continue };
        for name in provider.table_names() {
            let table = provider.table(&name).await;
            let table = table.map_err(|error| status(&SqlError::of_planning(&error)))?;
            // A view can go while the list is made.
            let Some(table) = table else { continue };
            let columns = described(&owned_schema(&table.schema()), &schema, &name);
            all.append(CATALOG, &schema, &name, TABLE, &columns).map_err(of_flight)?;
        }
    }
    all.build().map_err(of_flight)
}

/// Columns with what the protocol has words for beside their types.
fn described(columns: &Schema, schema: &str, table: &str) -> Schema {
    let described = columns.fields().iter().map(|field| {
        let mut words = HashMap::from([
            ("CATALOG_NAME", CATALOG.to_owned()),
            ("SCHEMA_NAME", schema.to_owned()),
            ("TABLE_NAME", table.to_owned()),
            ("TYPE_NAME", sql_type(field.data_type())),
            ("IS_READ_ONLY", "1".to_owned()),
            ("IS_SEARCHABLE", "1".to_owned()),
        ]);
        if let DataType::Decimal128(precision, scale) = field.data_type() {
            words.extend([("PRECISION", precision.to_string()), ("SCALE", scale.to_string())]);
        }
        let words = words.into_iter();
        let words = words.map(|(word, value)| (format!("ARROW:FLIGHT:SQL:{word}"), value));
        field.as_ref().clone().with_metadata(words.collect())
    });
    Schema::new(described.collect::<Vec<_>>())
}

fn abilities() -> Result<SqlInfoData, Status> {
    let mut all = SqlInfoDataBuilder::new();
    all.append(SqlInfo::FlightSqlServerName, "Tidemark");
    all.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    all.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    all.append(SqlInfo::FlightSqlServerReadOnly, true);
    all.append(SqlInfo::FlightSqlServerSql, true);
    all.append(SqlInfo::FlightSqlServerSubstrait, false);
    let none = SqlSupportedTransaction::None as i32;
    all.append(SqlInfo::FlightSqlServerTransaction, none);
    all.append(SqlInfo::FlightSqlServerCancel, true);
    all.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    all.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    all.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    all.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    for cannot in [SqlInfo::SqlDdlCatalog, SqlInfo::SqlDdlSchema, SqlInfo::SqlDdlTable] {
        all.append(cannot, false);
    }
    let case = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i64;
    all.append(SqlInfo::SqlIdentifierCase, case);
    all.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let case = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i64;
    all.append(SqlInfo::SqlQuotedIdentifierCase, case);
    all.append(SqlInfo::SqlAllTablesAreSelectable, true);
    all.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i64);
    all.build().map_err(of_flight)
}

fn types() -> Result<XdbcTypeInfoData, Status> {
    type Row = (&'static str, XdbcDataType, i32, Option<&'static str>);
    const QUOTE: Option<&str> = Some("'");
    let all: [Row; 10] = [
        ("BOOLEAN", XdbcDataType::XdbcBit, 1, None),
        ("SMALLINT", XdbcDataType::XdbcSmallint, 5, None),
        ("INTEGER", XdbcDataType::XdbcInteger, 10, None),
        ("BIGINT", XdbcDataType::XdbcBigint, 19, None),
        ("REAL", XdbcDataType::XdbcReal, 7, None),
        ("DOUBLE", XdbcDataType::XdbcDouble, 15, None),
        ("DECIMAL", XdbcDataType::XdbcDecimal, 38, None),
        ("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, QUOTE),
        ("DATE", XdbcDataType::XdbcDate, 10, QUOTE),
        ("TIMESTAMP", XdbcDataType::XdbcTimestamp, 29, QUOTE),
    ];
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, of, size, quote) in all {
        let is_number = quote.is_none() && of != XdbcDataType::XdbcBit;
        let is_decimal = of == XdbcDataType::XdbcDecimal;
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: of,
            column_size: Some(size),
            literal_prefix: quote.map(str::to_owned),
            literal_suffix: quote.map(str::to_owned),
            create_params: is_decimal.then(|| vec!["precision".to_owned(), "scale".to_owned()]),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: of == XdbcDataType::XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            fixed_prec_scale: false,
            auto_increment: is_number.then_some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: is_number.then_some(0),
            maximum_scale: is_number.then_some(if is_decimal { 38 } else { 0 }),
            sql_data_type: of,
            datetime_subcode: (of == XdbcDataType::XdbcTimestamp)
                .then_some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
            num_prec_radix: is_number.then_some(10),
            interval_precision: None,
        });
    }
    types.build().map_err(of_flight)
}

fn primary_keys() -> Schema {
    Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ])
}

fn foreign_keys() -> Schema {
    let mut fields = Vec::new();
    for side in ["pk", "fk"] {
        fields.extend([
            Field::new(format!("{side}_catalog_name"), DataType::Utf8, true),
            Field::new(format!("{side}_db_schema_name"), DataType::Utf8, true),
            Field::new(format!("{side}_table_name"), DataType::Utf8, false),
            Field::new(format!("{side}_column_name"), DataType::Utf8, false),
        ]);
    }
    fields.extend([
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]);
    Schema::new(fields)
}
