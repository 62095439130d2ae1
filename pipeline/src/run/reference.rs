//! Reference tables: small files that are read once at start, for views and for analysts' queries.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use super::build::decoder;
use super::job::open_source;
use crate::config::StreamOverrides;
use crate::decode::Columns;
use crate::sql::{Catalog, SqlError, StateBounds, StreamPlan};

/// A table by name.
pub type NamedTable = (String, Arc<dyn TableProvider>);

/// Records read at a time.
const BATCH_RECORDS: usize = 8_192;

/// The folder `sql/`, planned, with the rows of its reference tables.
///
/// # Errors
/// Every mistake in it, in the order of the files.
pub fn catalog(
    dir: &Path,
    overrides: &StreamOverrides,
    bounds: StateBounds,
) -> Result<Catalog, Vec<SqlError>> {
    Catalog::load_with(dir, overrides, bounds, &read)
}

/// The reference tables of a catalogue, for queries.
///
/// # Errors
/// Never, unless a table's rows and its schema disagree.
pub fn load(catalog: &Catalog) -> Result<Vec<NamedTable>, Vec<SqlError>> {
    let table = |(name, rows): (&String, &RecordBatch)| -> Result<NamedTable, Vec<SqlError>> {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]);
        let table = table
            .map_err(|error| vec![SqlError::of_file(Path::new(name), error.strip_backtrace())])?;
        Ok((name.clone(), Arc::new(table)))
    };
    catalog.reference.iter().map(table).collect()
}

/// All rows of one table, computed columns included.
///
/// # Errors
/// When it cannot be read, and every line that is not of its columns.
pub fn read(plan: &StreamPlan) -> Result<RecordBatch, Vec<SqlError>> {
    let statement = &plan.definition.statement;
    let wrong = |message: String| vec![SqlError::at(&statement.file, statement.place, message)];
    let (mut source, header) =
        open_source(&plan.definition).map_err(|error| wrong(error.to_string()))?;
    let mut reader = source.open(0, None).map_err(|error| wrong(error.to_string()))?;
    let mut decoder = decoder(plan, header);
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
        let told = bad
            .iter()
            .map(|(offset, reason)| wrong(format!("{}: {reason}", reader.position(*offset))));
        return Err(told.flatten().collect());
    }
    let rows = columns.take().map_err(|error| wrong(error.to_string()))?;
    let mut failing = BTreeMap::new();
    let rows =
        plan.complete(&rows, &mut failing).map_err(|error| wrong(error.strip_backtrace()))?;
    if !failing.is_empty() {
        let told =
            failing.into_iter().map(|(row, reason)| wrong(format!("row {}: {reason}", row + 1)));
        return Err(told.flatten().collect());
    }
    // The row number at the end is for streams.
    let own: Vec<usize> = (0..rows.num_columns() - 1).collect();
    rows.project(&own).map_err(|error| wrong(error.to_string()))
}
