//! Runs a `.slt` file against the engine: SQL declares streams, scopes and views, records are appended by
//! hand, and queries read the views and ledgers of the last cut.
//!
//! ```text
//! LOAD sql                                  the shipped folder, instead of CREATE statements
//! REFERENCE rates.csv                       a file beside the reference tables, then its lines; before LOAD, in place
//!                                           of the shipped one that the table of its name reads
//! CREATE TABLE … / CREATE VIEW … / CREATE MATERIALIZED VIEW …     later, of the same name: from the next RESTART on
//! PARTITIONS 2                              before the first record, 1 unless said; later, from the next RESTART on
//! APPEND orders PARTITION 0 OFFSET 0        then one record a line, at this offset and the next ones:
//! {"id":"a","amount":"1.00"}                  a record
//! [log-time 1605024000000] {"id":"a"}         with the log's own timestamp
//! [tidemark-shadow 1] {"id":"a"}              with a header
//! [tidemark-watermark 1605024000000]          a control record
//! SELECT … FROM shadow.gmv                  the shadow space is a schema of its own
//! IDLE orders PARTITION 1                   this partition has been silent for long
//! PUBLISH                                   a cut; every query before it sees the last one
//! CRASH                                     everything but the files is lost; goes on from the last SAVE
//! SAVE                                      a checkpoint of the last cut
//! RESTART                                   a checkpoint; the SQL and the reference tables are read anew
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use sqllogictest::{DB, DBOutput, DefaultColumnType};
use tempfile::TempDir;
use tidemark_pipeline::config::StreamOverrides;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::model::{Header, Record, Space};
use tidemark_pipeline::run::reference::catalog as catalog_of;
use tidemark_pipeline::sql::plain_numbers;
use tidemark_pipeline::sql::{Catalog, StateBounds};

use crate::system::System;

/// Why a statement failed, in the engine's own words.
#[derive(Debug)]
pub struct StatementError(anyhow::Error);

impl std::fmt::Display for StatementError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for StatementError {}

impl From<anyhow::Error> for StatementError {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

/// One engine for one file.
pub struct Engine {
    runtime: tokio::runtime::Runtime,
    folder: TempDir,
    /// Statements that declare something, by the folder they belong to.
    declared: Vec<(&'static str, String)>,
    shipped: Option<PathBuf>,
    partitions: u32,
    system: Option<System>,
}

impl Engine {
    /// An engine with nothing declared.
    ///
    /// # Errors
    /// When the system gives no folder or thread.
    pub fn new() -> Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
            folder: tempfile::tempdir()?,
            declared: Vec::new(),
            shipped: None,
            partitions: 1,
            system: None,
        })
    }

    fn statement(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>> {
        let words: Vec<&str> = sql.lines().next().unwrap_or("").split_whitespace().collect();
        match words.as_slice() {
            ["LOAD", folder] => {
                self.shipped = Some(root().join(folder));
                self.system()?;
            }
            ["PARTITIONS", count] => {
                self.partitions = count.parse()?;
                if let Some(system) = &mut self.system {
                    system.repartition(self.partitions);
                }
            }
            ["APPEND", stream, "PARTITION", partition, "OFFSET", offset] => {
                let lines: Vec<&str> = sql.lines().skip(1).collect();
                self.append(stream, partition.parse()?, offset.parse()?, &lines)?;
            }
            ["IDLE", stream, "PARTITION", partition] => {
                self.system()?.idle(stream, partition.parse()?)
            }
            ["PUBLISH"] => {
                self.system()?.publish()?;
                let failures = self.system()?.failures();
                ensure!(failures.is_empty(), "{}", failures.join("\n"));
            }
            ["SAVE"] => self.system()?.save()?,
            ["RESTART"] => self.restart()?,
            ["REFERENCE", file] => self.reference(file, sql)?,
            ["CRASH"] => self.system()?.crash()?,
            ["CREATE", "TABLE", ..] if sql.contains("'filesystem'") => {
                self.declare("reference", sql)?
            }
            ["CREATE", "TABLE", ..] => self.declare("streams", sql)?,
            ["CREATE", "VIEW", ..] => self.declare("scopes", sql)?,
            ["CREATE", "MATERIALIZED", "VIEW", ..] => self.declare("views", sql)?,
            ["PROBLEMS"] => {
                let problems = self.system()?.problems();
                let rows = problems.into_iter().map(|problem| vec![problem]).collect();
                return Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text], rows });
            }
            ["SELECT" | "WITH", ..] => return self.query(sql),
            _ => bail!("no such statement: {}", words.join(" ")),
        }
        Ok(DBOutput::StatementComplete(0))
    }

    /// Adds a statement if the catalogue with it can be planned.
    fn declare(&mut self, kind: &'static str, sql: &str) -> Result<()> {
        if self.system.is_some() {
            let same = |declared: &&mut (&str, String)| head(&declared.1) == head(sql);
            let before = self.declared.iter_mut().find(same);
            let (_, text) = before.context("declare everything before the first record")?;
            sql.clone_into(text);
            return Ok(());
        }
        self.declared.push((kind, sql.to_owned()));
        let planned = self.catalog();
        if planned.is_err() {
            self.declared.pop();
        }
        planned.map(|_| ())
    }

    /// Writes a file of a reference table.
    fn reference(&self, file: &str, sql: &str) -> Result<()> {
        ensure!(!file.contains('/'), "a file's name, without a folder");
        let folder = self.folder.path().join("reference");
        std::fs::create_dir_all(&folder)?;
        let lines: Vec<&str> = sql.lines().skip(1).collect();
        Ok(std::fs::write(folder.join(file), lines.join("\n") + "\n")?)
    }

    /// Stops in order and starts again with what the folder says now.
    fn restart(&mut self) -> Result<()> {
        let catalog = Arc::new(self.catalog()?);
        let system = self.system()?;
        system.save()?;
        system.restart(catalog)
    }

    fn catalog(&self) -> Result<Catalog> {
        let folder = match &self.shipped {
            Some(shipped) => shipped.clone(),
            None => {
                for (number, (kind, sql)) in self.declared.iter().enumerate() {
                    let folder = self.folder.path().join(kind);
                    std::fs::create_dir_all(&folder)?;
                    // The order of the files is the order of the statements.
                    std::fs::write(
                        folder.join(format!("{number:03}.sql")),
                        sql_file(kind, number, sql),
                    )?;
                }
                // What was taken back must not stay.
                for kind in ["streams", "reference", "scopes", "views"] {
                    let next = self
                        .folder
                        .path()
                        .join(kind)
                        .join(format!("{:03}.sql", self.declared.len()));
                    if next.exists() {
                        std::fs::remove_file(next)?;
                    }
                }
                self.folder.path().to_owned()
            }
        };
        let own = self.own_references()?;
        catalog_of(&folder, &own, StateBounds::default()).map_err(|errors| {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow!(all.join("\n"))
        })
    }

    /// The files that stand in the place of shipped ones, as the options of their tables.
    fn own_references(&self) -> Result<StreamOverrides> {
        let mut own = StreamOverrides::new();
        let folder = self.folder.path().join("reference");
        if self.shipped.is_none() || !folder.exists() {
            return Ok(own);
        }
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            let table = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("").to_owned();
            let option = BTreeMap::from([("path".to_owned(), path.display().to_string())]);
            own.insert(table, option);
        }
        Ok(own)
    }

    fn system(&mut self) -> Result<&mut System> {
        if self.system.is_none() {
            self.system = Some(System::open(Arc::new(self.catalog()?), self.partitions)?);
        }
        self.system.as_mut().context("it was just made")
    }

    fn append(&mut self, stream: &str, partition: u32, offset: i64, lines: &[&str]) -> Result<()> {
        let system = self.system()?;
        let next = system.next_offset(stream, partition);
        ensure!(next <= offset, "partition {partition} has been read up to offset {next}");
        for (at, line) in (offset..).zip(lines) {
            let (marks, payload) = marks(line)?;
            let log_time = marks.iter().find(|(name, _)| *name == "log-time");
            let headers: Vec<Header<'_>> = marks
                .iter()
                .filter(|(name, _)| *name != "log-time")
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect();
            let record = Record {
                partition,
                offset: at,
                timestamp_ms: log_time.map(|(_, time)| time.parse()).transpose()?,
                headers: &headers,
                key: None,
                payload: payload.as_bytes(),
            };
            system.read(stream, partition, [record])?;
        }
        Ok(())
    }

    /// A query over the views and tables of the last cut.
    fn query(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>> {
        let cut = Arc::clone(self.system()?.cut());
        // As at the doors: a day is one of the stream's zone, a span has days of 24 hours.
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_default_features()
            .with_analyzer_rules(plain_numbers::rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let shadow = Arc::new(MemorySchemaProvider::new());
        let catalog = context.catalog("datafusion").context("the default catalogue")?;
        catalog.register_schema(Space::Shadow.as_str(), shadow)?;
        for space in Space::ALL {
            let schema = match space {
                Space::Live => "public",
                Space::Shadow => space.as_str(),
            };
            let shown = cut.space(space);
            for (name, view) in &shown.views {
                let table = MemTable::try_new(Arc::clone(&view.info.schema), vec![view.batches()])?;
                context.register_table(
                    TableReference::partial(schema, name.as_str()),
                    Arc::new(table),
                )?;
            }
            let mut tables: Vec<(String, RecordBatch)> =
                shown.tables.iter().map(|(name, rows)| (name.clone(), rows.clone())).collect();
            for ledger in LedgerKind::ALL {
                tables.push((ledger.table().to_owned(), self.system()?.ledger_of(space, ledger)?));
            }
            for (name, rows) in tables {
                let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
                context.register_table(TableReference::partial(schema, name), Arc::new(table))?;
            }
        }
        let batches = self.runtime.block_on(async { context.sql(sql).await?.collect().await })?;
        let columns = batches.first().map_or(0, RecordBatch::num_columns);
        let mut rows = Vec::new();
        for batch in &batches {
            rows.append(&mut texts(batch)?);
        }
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text; columns], rows })
    }
}

impl DB for Engine {
    type Error = StatementError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, StatementError> {
        // The runner blocks on a future, and so does planning; a thread may only do one of them.
        let statement = std::thread::scope(|scope| scope.spawn(|| self.statement(sql)).join());
        statement.unwrap_or_else(|_| Err(anyhow!("the engine panicked"))).map_err(StatementError)
    }
}

/// The words that declare a statement, with its name.
fn head(sql: &str) -> Vec<&str> {
    let words = if sql.starts_with("CREATE MATERIALIZED") { 4 } else { 3 };
    sql.split_whitespace().take(words).collect()
}

/// Scopes have a head with their version; the tests' scopes need none of its words.
fn sql_file(kind: &str, number: usize, sql: &str) -> String {
    let sql = sql.trim_end().trim_end_matches(';');
    let head = if kind == "scopes" && !sql.contains("scope:") {
        scope_head(number, sql)
    } else {
        String::new()
    };
    format!("{head}{sql};\n")
}

fn scope_head(number: usize, sql: &str) -> String {
    let name =
        sql.split_whitespace().nth(2).map_or_else(|| format!("scope{number}"), str::to_owned);
    format!("-- scope: {name}@1\n-- zh: 测试\n-- en: test\n")
}

/// `[name value] [name value] payload`.
fn marks(line: &str) -> Result<(Vec<(&str, &str)>, &str)> {
    let mut rest = line;
    let mut marks = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let (mark, after) = inner.split_once(']').context("a mark ends with ]")?;
        marks.push(mark.split_once(' ').with_context(|| format!("[{mark}]: a name and a value"))?);
        rest = after.trim_start();
    }
    Ok((marks, rest))
}

fn texts(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let row = |row: usize| columns.iter().map(|column| column.value(row).to_string()).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The top folder of the project.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
