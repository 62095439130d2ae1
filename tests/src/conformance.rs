//! Flink's window cases as views of a served pipeline that is stopped, saved and restored after every row.
//!
//! `conformance.py` runs the same cases through `tidemark run`; here each query is a materialized view, and
//! after every row of its table the whole state goes through a checkpoint on files and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};
use tidemark_pipeline::model::record::WATERMARK_HEADER;
use tidemark_pipeline::model::{Header, Record};
use tidemark_pipeline::run::reference::catalog as catalog_of;
use tidemark_pipeline::sql::{Catalog, StateBounds};

use crate::system::System;

const COLUMNS: [&str; 7] = ["ts", "int", "double", "float", "bigdec", "string", "name"];
/// The cases' tables, and where their rows are in the book.
const TABLES: [(&str, &str); 2] =
    [("T1", "windowDataWithTimestamp"), ("T2", "windowData2WithTimestamp")];
/// The book says so of input this engine does not take.
const OTHER_TABLES: [&str; 2] = ["T1_CDC", "MyTable"];
/// 2030-01-01, later than every window of every case.
const END_MS: &str = "1893456000000";

/// What became of a case.
#[derive(Debug)]
pub enum Outcome {
    /// The rows are Flink's.
    Passed {
        /// Times it was stopped, saved and restored.
        restarts: usize,
    },
    /// It cannot be run like this.
    Skipped(String),
    /// The rows are others.
    Failed(String),
}

/// A row in a form in which both sides can be compared: numbers, instants, sets, text.
type Row = Vec<String>;

/// Runs one case of the book.
///
/// # Errors
/// When the engine fails where it should not.
pub fn run(case: &Value, data: &Value) -> Result<Outcome> {
    let sql: Vec<&str> =
        case["sql"].as_array().context("sql")?.iter().filter_map(Value::as_str).collect();
    let text = sql.join("\n");
    let Some(expected) = case["expected"].as_array() else {
        return Ok(Outcome::Skipped("no rows are expected".to_owned()));
    };
    if text.contains("${") || OTHER_TABLES.iter().any(|table| has_word(&text, table)) {
        return Ok(Outcome::Skipped("changelog input or a local time zone".to_owned()));
    }
    let [query] = sql.as_slice() else {
        return Ok(Outcome::Skipped("several queries print into one result".to_owned()));
    };
    let query = with_known_functions(query);
    let (catalog, added) = match catalog(&text, &query) {
        Ok(catalog) => (catalog, 0),
        // A view must say which window a row is of; the case's own columns follow.
        Err(error) if error.to_string().contains("must select window_start") => {
            (catalog(&text, &query.replacen("SELECT", "SELECT window_start, window_end,", 1))?, 2)
        }
        Err(error) => return Ok(Outcome::Skipped(error.to_string())),
    };
    let Rows { rows, restarts, all_final, late } = rows(catalog, &text, data, added)?;
    let mut want: Vec<Row> = expected
        .iter()
        .filter_map(Value::as_str)
        .map(|row| row.split(',').map(normal).collect())
        .collect();
    want.sort();
    Ok(match (rows == want, all_final) {
        (true, _) => Outcome::Passed { restarts },
        (false, false) => Outcome::Failed("some of its windows never closed".to_owned()),
        // In Flink rows of a plain window function are late for nothing; a view closes its windows.
        (false, true)
            if late > 0 && !text.to_uppercase().contains("GROUP BY") && rows.len() < want.len() =>
        {
            Outcome::Skipped(format!("a view leaves out the {late} records that came late"))
        }
        (false, true) => Outcome::Failed(difference(&rows, &want)),
    })
}

fn difference(got: &[Row], want: &[Row]) -> String {
    let missing: Vec<_> = want.iter().filter(|row| !got.contains(row)).take(2).collect();
    let extra: Vec<_> = got.iter().filter(|row| !want.contains(row)).take(2).collect();
    format!("{} rows for {}; missing {missing:?}; extra {extra:?}", got.len(), want.len())
}

/// Flink's test function joins distinct values in the order of their arrival.
fn with_known_functions(query: &str) -> String {
    let mut rest = query.trim_end().trim_end_matches(';');
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("concat_distinct_agg(") {
        let (argument, behind) = after.split_once(')').unwrap_or((after, ""));
        out += &format!("{before}STRING_AGG(DISTINCT {argument}, '|')");
        rest = behind;
    }
    out + rest
}

fn catalog(text: &str, query: &str) -> Result<Catalog> {
    let folder = tempfile::tempdir()?;
    let write = |path: String, sql: String| -> Result<()> {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(std::fs::write(path, sql)?)
    };
    for (table, _) in TABLES.iter().filter(|(table, _)| has_word(text, table)) {
        write(
            format!("streams/{table}.sql"),
            format!(
                "CREATE TABLE {table} (\n  `ts` STRING,\n  `int` INT,\n  `double` DOUBLE,\n  `float` FLOAT,\n  \
                 `bigdec` DECIMAL(10, 2),\n  `string` STRING,\n  `name` STRING,\n  `rowtime` AS TO_TIMESTAMP(`ts`),\n  \
                 WATERMARK FOR `rowtime` AS `rowtime` - INTERVAL '1' SECOND\n\
                 ) WITH ('connector' = 'embedded', 'format' = 'json', 'time-zone' = 'UTC');\n"
            ),
        )?;
    }
    let view = format!(
        "CREATE MATERIALIZED VIEW result WITH ('result.retention' = '40000 d') AS\n{query};\n"
    );
    write("views/result.sql".to_owned(), view)?;
    catalog_of(folder.path(), &BTreeMap::new(), StateBounds::default()).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!(all.join("; "))
    })
}

/// What a case's view shows at the end.
struct Rows {
    rows: Vec<Row>,
    restarts: usize,
    /// Whether every window had closed.
    all_final: bool,
    /// Records that missed a window.
    late: i64,
}

/// The rows at the end, and how often the system was stopped on the way.
fn rows(catalog: Catalog, text: &str, data: &Value, added: usize) -> Result<Rows> {
    let mut system = System::open(Arc::new(catalog), 1)?;
    let mut restarts = 0;
    for (table, source) in TABLES.iter().filter(|(table, _)| has_word(text, table)) {
        // SQL folds a name that is not quoted.
        let table = &table.to_lowercase();
        let all = data[source].as_array().context("rows")?;
        for (offset, row) in all.iter().enumerate() {
            let payload = payload(row)?;
            take(&mut system, table, offset, &[], payload.as_bytes())?;
            system.publish()?;
            ensure!(system.failures().is_empty(), "{:?}", system.failures());
            system.save()?;
            system.crash()?;
            ensure!(
                system.next_offset(table, 0) == i64::try_from(offset + 1)?,
                "the offset was not saved"
            );
            restarts += 1;
        }
        take(&mut system, table, all.len(), &[(WATERMARK_HEADER, END_MS.as_bytes())], b"")?;
    }
    let cut = system.publish()?;
    ensure!(system.failures().is_empty(), "{:?}", system.failures());
    let view = cut.views.get("result").context("the view")?;
    let mut rows = Vec::new();
    let mut all_final = true;
    for batch in view.batches() {
        let own: Vec<usize> = (added..batch.num_columns() - 2).collect();
        let mark = batch.column(batch.num_columns() - 2).as_string::<i32>();
        all_final &= mark.iter().flatten().all(|mark| mark == "final");
        rows.append(&mut texts(&batch.project(&own)?)?);
    }
    rows.sort();
    let accounted = cut.tables.get("views_accounted").context("the accounting")?;
    let late = accounted
        .column_by_name("late")
        .context("late")?
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .sum();
    Ok(Rows { rows, restarts, all_final, late })
}

fn take(
    system: &mut System,
    table: &str,
    offset: usize,
    headers: &[Header<'_>],
    payload: &[u8],
) -> Result<()> {
    let offset = i64::try_from(offset)?;
    system.read(
        table,
        0,
        [Record { partition: 0, offset, timestamp_ms: None, headers, key: None, payload }],
    )
}

fn payload(row: &Value) -> Result<String> {
    let cells = row.as_array().context("a row is a list")?;
    // A decimal keeps its digits as a string.
    let cell = |cell: &Value| cell.get("dec").unwrap_or(cell).clone();
    let fields: Map<String, Value> =
        COLUMNS.iter().zip(cells).map(|(name, value)| ((*name).to_owned(), cell(value))).collect();
    Ok(serde_json::to_string(&fields)?)
}

fn texts(batch: &RecordBatch) -> Result<Vec<Row>> {
    let options = FormatOptions::default();
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let row =
        |row: usize| columns.iter().map(|column| normal(&column.value(row).to_string())).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// A cell of either side in one comparable form.
fn normal(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("null") {
        return "∅".to_owned();
    }
    if let Ok(number) = text.parse::<f64>() {
        return number.to_string();
    }
    let stamp = text.replace('T', " ");
    let stamp = stamp.trim_end_matches('Z');
    for form in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = chrono::NaiveDateTime::parse_from_str(stamp, form) {
            return time.and_utc().to_rfc3339();
        }
    }
    let mut parts: Vec<&str> = text.split('|').collect();
    parts.sort_unstable();
    parts.join("|")
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}
