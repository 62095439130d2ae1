//! The catalogues with what the library leaves out: comments, the digits of decimals, names of types as PostgreSQL has them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::{CatalogProvider, SchemaProvider, Session, TableProvider};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::super::functions::SETTINGS;
use super::batches::{in_columns, numbers, pg_type, read, texts, with_column, with_lists};
use super::nothing::is_empty;
use crate::sql::session::CATALOG;
use crate::sql::tables::Pin;

/// The schema of PostgreSQL's own catalogue.
const PG_CATALOG: &str = "pg_catalog";
/// The number of `pg_class` in PostgreSQL, for where the library has none: it is what a comment on a table is on.
const PG_CLASS: i32 = 1_259;

/// Puts our tables before the library's.
///
/// # Errors
/// When the catalogue cannot be changed.
pub(in crate::sql::postgres) fn describe(session: &SessionContext, pin: &Arc<Pin>) -> Result<()> {
    let missing = |what: &str| DataFusionError::Configuration(format!("there is no {what}"));
    let catalog = session.catalog(CATALOG).ok_or_else(|| missing("catalogue"))?;
    let library = catalog.schema(PG_CATALOG).ok_or_else(|| missing(PG_CATALOG))?;
    let tables = tables(catalog.as_ref());
    let own = |own: &[(&'static str, Of)], library: &Arc<dyn SchemaProvider>| Described {
        own: own.iter().copied().collect(),
        library: Arc::clone(library),
        tables: tables.clone(),
        pin: Arc::clone(pin),
    };
    let all = [
        ("pg_description", Of::Comments),
        ("pg_attribute", Of::Attributes),
        ("pg_settings", Of::Settings),
    ];
    catalog.register_schema(PG_CATALOG, Arc::new(own(&all, &library)))?;
    let list = Arc::clone(session.state().catalog_list());
    let library: Arc<dyn SchemaProvider> = Arc::new(InformationSchemaProvider::new(list));
    let columns = own(&[("columns", Of::Columns)], &library);
    catalog.register_schema(INFORMATION_SCHEMA, Arc::new(columns))?;
    // The engine's own comes before any other.
    let state = session.state_ref();
    state.write().config_mut().options_mut().catalog.information_schema = false;
    Ok(())
}

/// Lets the catalogues go. They hold the list that holds them, so nothing else would.
pub(in crate::sql::postgres) fn forget(session: &SessionContext) {
    let Some(catalog) = session.catalog(CATALOG) else { return };
    for schema in [PG_CATALOG, INFORMATION_SCHEMA] {
        if let Err(error) = catalog.deregister_schema(schema, true) {
            tracing::warn!(%error, "a session's {schema} is not let go: {error}");
        }
    }
}

type Tables = HashMap<String, Arc<dyn SchemaProvider>>;

/// The schemas with the tables of people.
fn tables(catalog: &dyn CatalogProvider) -> Tables {
    let names = catalog.schema_names().into_iter().filter(|name| name != PG_CATALOG);
    names.filter_map(|name| Some((name.clone(), catalog.schema(&name)?))).collect()
}

/// A schema of the library with some tables of our own.
#[derive(Debug)]
struct Described {
    own: HashMap<&'static str, Of>,
    library: Arc<dyn SchemaProvider>,
    tables: Tables,
    pin: Arc<Pin>,
}

#[async_trait]
impl SchemaProvider for Described {
    fn table_names(&self) -> Vec<String> {
        self.library.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(library) = self.library.table(name).await? else { return Ok(None) };
        if is_empty(name) {
            // The library has rows of PostgreSQL's own there, and none is of a table of ours.
            let schema = with_lists(name, &library.schema());
            return Ok(Some(Arc::new(EmptyTable::new(schema))));
        }
        let of = self.own.get(name).copied().unwrap_or(Of::Library);
        let schema = of.schema(name, library.schema());
        if of == Of::Library && schema == library.schema() {
            return Ok(Some(library));
        }
        let pg_class = self.library.table("pg_class").await?;
        let pg_namespace = self.library.table("pg_namespace").await?;
        Ok(Some(Arc::new(Own {
            of,
            schema,
            library,
            names: pg_class.zip(pg_namespace),
            tables: self.tables.clone(),
            pin: Arc::clone(&self.pin),
        })))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.library.table_exist(name)
    }
}

/// What a table of our own is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// What the library has, in columns of our own.
    Library,
    Comments,
    Attributes,
    Settings,
    Columns,
}

impl Of {
    fn schema(self, table: &str, library: SchemaRef) -> SchemaRef {
        if self != Self::Columns {
            return with_lists(table, &library);
        }
        let names = ["udt_catalog", "udt_schema", "udt_name"];
        let more = names.map(|name| Arc::new(Field::new(name, DataType::Utf8, false)));
        let fields = library.fields().iter().map(Arc::clone).chain(more);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// A table of the library, changed where it is read.
#[derive(Debug)]
struct Own {
    of: Of,
    schema: SchemaRef,
    library: Arc<dyn TableProvider>,
    /// `pg_class` and `pg_namespace`.
    names: Option<(Arc<dyn TableProvider>, Arc<dyn TableProvider>)>,
    tables: Tables,
    pin: Arc<Pin>,
}

#[async_trait]
impl TableProvider for Own {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = match self.of {
            Of::Library => read(self.library.as_ref(), state).await?,
            Of::Comments => self.comments(state).await?,
            Of::Attributes => self.attributes(state).await?,
            Of::Settings => self.settings(state).await?,
            Of::Columns => self.columns(state).await?,
        };
        let batch = in_columns(&batch, &self.schema)?;
        let schema = Arc::clone(&self.schema);
        let exec = MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?;
        Ok(exec)
    }
}

impl Own {
    /// Schema and name of each table by its number.
    async fn relations(&self, state: &dyn Session) -> Result<HashMap<i32, (String, String)>> {
        let Some((classes, namespaces)) = &self.names else { return Ok(HashMap::new()) };
        let namespaces = read(namespaces.as_ref(), state).await?;
        let schemas: HashMap<i32, String> =
            numbers(&namespaces, "oid")?.into_iter().zip(texts(&namespaces, "nspname")?).collect();
        let classes = read(classes.as_ref(), state).await?;
        let of = numbers(&classes, "oid")?.into_iter();
        let named = of.zip(numbers(&classes, "relnamespace")?).zip(texts(&classes, "relname")?);
        Ok(named
            .filter_map(|((oid, schema), name)| Some((oid, (schemas.get(&schema)?.clone(), name))))
            .collect())
    }

    async fn columns_of(&self, schema: &str, table: &str) -> Result<Option<SchemaRef>> {
        let Some(schema) = self.tables.get(schema) else { return Ok(None) };
        Ok(schema.table(table).await?.map(|table| table.schema()))
    }

    /// A comment on every view and table of ours, and on the columns that all views have.
    async fn comments(&self, state: &dyn Session) -> Result<RecordBatch> {
        let mut told: Vec<(i32, i32, String)> = Vec::new();
        let relations = self.relations(state).await?;
        let is_class = |(_, (schema, table)): &(&i32, &(String, String))| {
            schema == PG_CATALOG && table == "pg_class"
        };
        let class = relations.iter().find(is_class).map_or(PG_CLASS, |(oid, _)| *oid);
        for (oid, (schema, table)) in relations {
            let Some(columns) = self.columns_of(&schema, &table).await? else { continue };
            let Some(comment) = self.pin.comment(&table) else { continue };
            told.push((oid, 0, comment));
            for (nth, field) in (1..).zip(columns.fields()) {
                let about = self.pin.column_comment(&table, field.name());
                told.extend(about.map(|about| (oid, nth, about)));
            }
        }
        told.sort();
        let of: Int32Array = told.iter().map(|row| row.0).collect();
        let class: Int32Array = told.iter().map(|_| class).collect();
        let part: Int32Array = told.iter().map(|row| row.1).collect();
        let text: StringArray = told.iter().map(|row| Some(row.2.as_str())).collect();
        let all: [(&str, ArrayRef); 4] = [
            ("objoid", Arc::new(of)),
            ("classoid", Arc::new(class)),
            ("objsubid", Arc::new(part)),
            ("description", Arc::new(text)),
        ];
        let column = |field: &Arc<Field>| {
            let found = all.iter().find(|(name, _)| name == field.name()).ok_or_else(|| {
                DataFusionError::Internal(format!("pg_description has a column {}", field.name()))
            })?;
            Ok(cast(&found.1, field.data_type())?)
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// `atttypmod` of a decimal, as PostgreSQL packs its digits.
    async fn attributes(&self, state: &dyn Session) -> Result<RecordBatch> {
        let batch = read(self.library.as_ref(), state).await?;
        let relations = self.relations(state).await?;
        let of = numbers(&batch, "attrelid")?;
        let (names, before) = (texts(&batch, "attname")?, numbers(&batch, "atttypmod")?);
        let mut known: HashMap<i32, Option<SchemaRef>> = HashMap::new();
        let mut told = Vec::with_capacity(of.len());
        for ((of, name), before) in of.into_iter().zip(names).zip(before) {
            if let std::collections::hash_map::Entry::Vacant(place) = known.entry(of) {
                place.insert(match relations.get(&of) {
                    Some((schema, table)) => self.columns_of(schema, table).await?,
                    None => None,
                });
            }
            let columns = known.get(&of).and_then(Option::as_ref);
            let column = columns.and_then(|columns| columns.field_with_name(&name).ok());
            told.push(match column.map(Field::data_type) {
                Some(DataType::Decimal128(precision, scale)) => {
                    ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
                }
                _ => before,
            });
        }
        with_column(&batch, "atttypmod", Arc::new(Int32Array::from(told)))
    }

    async fn settings(&self, state: &dyn Session) -> Result<RecordBatch> {
        let batch = read(self.library.as_ref(), state).await?;
        let mut all: Vec<(String, String)> =
            texts(&batch, "name")?.into_iter().zip(texts(&batch, "setting")?).collect();
        let known = |name: &str, all: &[(String, String)]| all.iter().any(|(one, _)| one == name);
        for (name, value) in SETTINGS {
            if !known(name, &all) {
                all.push((name.to_owned(), value.to_owned()));
            }
        }
        let columns = self.schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "name" => {
                    Arc::new(all.iter().map(|row| Some(row.0.as_str())).collect::<StringArray>())
                }
                "setting" => {
                    Arc::new(all.iter().map(|row| Some(row.1.as_str())).collect::<StringArray>())
                }
                _ => arrow::array::new_null_array(field.data_type(), all.len()),
            }
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())?)
    }

    /// Types by the names that PostgreSQL has for them, and places from 1.
    async fn columns(&self, state: &dyn Session) -> Result<RecordBatch> {
        let batch = read(self.library.as_ref(), state).await?;
        let types: Vec<(&str, &str)> =
            texts(&batch, "data_type")?.iter().map(|of| pg_type(of)).collect();
        let place = batch.schema().index_of("ordinal_position")?;
        let places =
            batch.column(place).as_primitive::<UInt64Type>().unary::<_, UInt64Type>(|at| at + 1);
        let long: StringArray = types.iter().map(|of| Some(of.0)).collect();
        let batch = with_column(&batch, "data_type", Arc::new(long))?;
        let batch = with_column(&batch, "ordinal_position", Arc::new(places))?;
        let same = |text: &'static str| -> ArrayRef {
            Arc::new(StringArray::from(vec![text; batch.num_rows()]))
        };
        let short: StringArray = types.iter().map(|of| Some(of.1)).collect();
        let mut columns = batch.columns().to_vec();
        columns.extend([same(CATALOG), same(PG_CATALOG), Arc::new(short)]);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
