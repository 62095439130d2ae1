//! Cursors: `DECLARE c CURSOR FOR SELECT …`, then `FETCH 1000 FROM c` until there is no more.
//!
//! ```text
//! DECLARE ─▶ runs within the query's limits, its rows are kept ─▶ FETCH takes the next ─▶ CLOSE, COMMIT or ROLLBACK
//! ```
//! A cursor is complete when it is declared, so all that is fetched from it is of one cut. FETCH is a question over a table that
//! moves on when it is read: it is described, prepared and encoded like any other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::exec_err;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::ident;
use datafusion::sql::sqlparser::ast::{Declare, FetchDirection, Value};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use parking_lot::Mutex;

use super::gathering::{Batches, Held};
use super::words::name_of;

/// Cursors of one connection.
const CURSORS_MAX: usize = 100;

/// The cursors of one connection, by name.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: Mutex<BTreeMap<String, Arc<Cursor>>>,
}

#[derive(Debug)]
struct Cursor {
    /// Columns by their names, which may be alike.
    named: SchemaRef,
    /// The same by names that are not.
    numbered: SchemaRef,
    /// Whether it outlives its transaction.
    is_with_hold: bool,
    rest: Mutex<Rest>,
}

#[derive(Debug)]
struct Rest {
    batches: VecDeque<RecordBatch>,
    _held: Held,
}

/// The name of a cursor and whether it outlives its transaction, of a statement that declares one.
///
/// # Errors
/// For what a cursor cannot do here.
pub(super) fn declared(declare: &Declare) -> PgWireResult<(String, bool)> {
    let Some(name) = declare.names.first() else {
        return Err(error("42601", "a cursor needs a name: DECLARE c CURSOR FOR SELECT …"));
    };
    if declare.binary == Some(true) {
        let told = "a BINARY cursor is not supported; ask for binary rows when they are fetched";
        return Err(error("0A000", told));
    }
    Ok((name_of(name), declare.hold == Some(true)))
}

fn error(code: &str, told: &str) -> PgWireError {
    let info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), told.to_owned());
    PgWireError::UserError(Box::new(info))
}

/// What is said of a cursor there is not.
fn missing(name: &str) -> PgWireError {
    error("34000", &format!("cursor \"{name}\" does not exist; it ends with its transaction"))
}

impl Cursors {
    /// Refuses a cursor that could not be opened, before its query runs.
    ///
    /// # Errors
    /// When there is one of this name, or there are too many.
    pub(super) fn check(&self, name: &str) -> PgWireResult<()> {
        let open = self.open.lock();
        if open.contains_key(name) {
            return Err(error(
                "42P03",
                &format!("cursor \"{name}\" exists already; CLOSE it first"),
            ));
        }
        if open.len() >= CURSORS_MAX {
            let told = format!("{CURSORS_MAX} cursors are open, and no more may; CLOSE some");
            return Err(error("53000", &told));
        }
        Ok(())
    }

    /// Keeps an answer under a name.
    ///
    /// # Errors
    /// As [`Self::check`], and when the engine cannot take its rows.
    pub(super) fn open(
        &self,
        (name, is_with_hold): (String, bool),
        answer: Batches,
    ) -> PgWireResult<()> {
        self.check(&name)?;
        let Batches { schema: named, batches, held } = answer;
        let fields = (1..).zip(named.fields()).map(|(nth, field)| {
            let field: &Field = field;
            Arc::new(field.clone().with_name(format!("{nth}")).with_nullable(true))
        });
        let numbered = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let renamed = batches
            .into_iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(&numbered), batch.columns().to_vec()));
        let batches = renamed
            .collect::<std::result::Result<VecDeque<_>, _>>()
            .map_err(|error| PgWireError::ApiError(Box::new(DataFusionError::from(error))))?;
        let rest = Mutex::new(Rest { batches, _held: held });
        let cursor = Cursor { named, numbered, is_with_hold, rest };
        self.open.lock().insert(name, Arc::new(cursor));
        Ok(())
    }

    /// Closes one, or all.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(super) fn close(&self, name: Option<&str>) -> PgWireResult<()> {
        let mut open = self.open.lock();
        match name {
            None => open.clear(),
            Some(name) => drop(open.remove(name).ok_or_else(|| missing(name))?),
        }
        Ok(())
    }

    /// Closes those that do not outlive their transaction.
    pub(super) fn end_of_transaction(&self) {
        self.open.lock().retain(|_, cursor| cursor.is_with_hold);
    }

    /// The plan of a FETCH; it takes its rows when it is carried out.
    ///
    /// # Errors
    /// When there is no such cursor, or it would have to go back.
    pub(super) fn plan(
        self: &Arc<Self>,
        name: &str,
        direction: &FetchDirection,
    ) -> PgWireResult<LogicalPlan> {
        let rows_max = rows_max(direction)?;
        let cursor = self.open.lock().get(name).map(Arc::clone).ok_or_else(|| missing(name))?;
        let schema = Arc::clone(&cursor.numbered);
        let next = Next { cursors: Arc::clone(self), name: name.to_owned(), rows_max, schema };
        let columns = (1..).zip(cursor.named.fields()).map(|(nth, field)| {
            // Two columns of one name are two columns of two tables to the engine.
            let column: Expr = ident(format!("{nth}"));
            column.alias_qualified(Some(format!("column{nth}")), field.name())
        });
        LogicalPlanBuilder::scan("cursor", provider_as_source(Arc::new(next)), None)
            .and_then(|scan| scan.project(columns.collect::<Vec<_>>())?.build())
            .map_err(|error| PgWireError::ApiError(Box::new(error)))
    }

    /// Passes over the next rows; how many there were.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub(super) fn pass_over(&self, name: &str, direction: &FetchDirection) -> PgWireResult<usize> {
        let rows_max = rows_max(direction)?;
        let cursor = self.open.lock().get(name).map(Arc::clone).ok_or_else(|| missing(name))?;
        let passed = self.take(name, rows_max, &cursor.numbered);
        let passed = passed.map_err(|error| PgWireError::ApiError(Box::new(error)))?;
        Ok(passed.iter().map(RecordBatch::num_rows).sum())
    }

    fn take(&self, name: &str, rows_max: usize, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        let Some(cursor) = self.open.lock().get(name).map(Arc::clone) else {
            return exec_err!("cursor \"{name}\" does not exist; it ends with its transaction");
        };
        if cursor.numbered != *schema {
            return exec_err!("cursor \"{name}\" has other columns than when FETCH was prepared");
        }
        let mut rest = cursor.rest.lock();
        let (mut taken, mut room) = (Vec::new(), rows_max);
        while room > 0 {
            let Some(batch) = rest.batches.pop_front() else { break };
            let rows = batch.num_rows().min(room);
            taken.push(batch.slice(0, rows));
            if rows < batch.num_rows() {
                rest.batches.push_front(batch.slice(rows, batch.num_rows() - rows));
            }
            room -= rows;
        }
        Ok(taken)
    }
}

/// How many rows a FETCH takes.
fn rows_max(direction: &FetchDirection) -> PgWireResult<usize> {
    let count = match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => return Ok(1),
        FetchDirection::All | FetchDirection::ForwardAll => return Ok(usize::MAX),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => limit,
        _ => return Err(error("55000", "a cursor can only scan forward here")),
    };
    match &count.value {
        Value::Number(number, _) => number
            .parse()
            .map_err(|_| error("22023", &format!("{number} is no number of rows to FETCH"))),
        other => Err(error("22023", &format!("{other} is no number of rows to FETCH"))),
    }
}

/// The next rows of a cursor, as a table.
#[derive(Debug)]
struct Next {
    cursors: Arc<Cursors>,
    name: String,
    rows_max: usize,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Next {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = self.cursors.take(&self.name, self.rows_max, &self.schema)?;
        let schema = Arc::clone(&self.schema);
        let exec = MemorySourceConfig::try_new_exec(&[batches], schema, projection.cloned())?;
        Ok(exec)
    }
}
