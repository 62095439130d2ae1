//! Reference tables: small files that are read once at start, for analysts' queries.

use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use super::build::decoder;
use super::job::open_source;
use crate::decode::Columns;
use crate::model::Zone;
use crate::sql::options::Options;
use crate::sql::script::{Statement, TableStatement};
use crate::sql::{Catalog, SqlError, StreamDefinition, StreamPlan};

/// A table by name.
pub type NamedTable = (String, Arc<dyn TableProvider>);

/// Records read at a time.
const BATCH_RECORDS: usize = 8_192;

/// Reads all reference tables of a catalogue.
///
/// # Errors
/// Every table that cannot be read, and every line that is not of its columns.
pub fn load(catalog: &Catalog) -> Result<Vec<NamedTable>, Vec<SqlError>> {
    let mut tables = Vec::new();
    let mut errors = Vec::new();
    for (statement, table) in &catalog.reference {
        match load_one(catalog, statement, table) {
            Ok(found) => tables.push((table.name.clone(), found)),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(tables) } else { Err(errors) }
}

fn load_one(
    catalog: &Catalog,
    statement: &Statement,
    table: &TableStatement,
) -> Result<Arc<dyn TableProvider>, Vec<SqlError>> {
    let wrong = |message: String| vec![SqlError::at(&statement.file, statement.place, message)];
    let definition = StreamDefinition::read(statement, table, Zone::UTC, &Options::new())?;
    let plan = StreamPlan::new(&catalog.context.state(), definition)?;
    let (mut source, header) = open_source(&plan.definition).map_err(|error| wrong(error.to_string()))?;
    let mut reader = source.open(0, None).map_err(|error| wrong(error.to_string()))?;
    let mut decoder = decoder(&plan, header);
    let mut columns =
        Columns::new(Arc::clone(&plan.decoded)).map_err(|error| wrong(error.to_string()))?;
    let mut bad = Vec::new();
    loop {
        let outcome = reader
            .read(BATCH_RECORDS, Duration::ZERO, &mut |record| {
                if let Err(reason) = decoder.decode(&record, &mut columns) {
                    bad.push((record.offset, reason));
                }
            })
            .map_err(|error| wrong(error.to_string()))?;
        if outcome.ended {
            break;
        }
    }
    if !bad.is_empty() {
        let told = bad.iter().map(|(offset, reason)| wrong(format!("{}: {reason}", reader.position(*offset))));
        return Err(told.flatten().collect());
    }
    let rows = columns.take().map_err(|error| wrong(error.to_string()))?;
    let rows = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(|error| wrong(error.strip_backtrace()))?;
    Ok(Arc::new(rows))
}
