//! Results as text and bytes: JSON, CSV, Arrow, Parquet, piece by piece.

mod binary;
mod csv;
mod encoder;
mod json;

pub use encoder::{Encoder, Format};

use std::collections::HashMap;

use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;

use super::limits::Limit;
use super::past::PastPaper;

/// The result of a query, and the cut it is true at.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Vec<RecordBatch>,
    /// The cut every table of the query was at.
    pub cut: u64,
    /// The life of the publisher in which `cut` counts.
    pub epoch: String,
    /// Whether rows beyond the limit were cut off.
    pub truncated: bool,
    /// The limit that cut them off.
    pub limit: Option<Limit>,
    /// Largest accepted event time at the cut, epoch milliseconds; `None` before the first record.
    pub as_of: Option<i64>,
    /// Event time every partition has passed at the cut, epoch milliseconds; `None` until all have begun.
    pub watermark: Option<i64>,
    /// What the tables of the past that it reads are true of.
    pub past: Vec<PastPaper>,
    /// The query's name.
    pub query: String,
}

impl Answer {
    /// Its papers by name, for a file that has a place for them.
    pub(super) fn papers(&self) -> HashMap<String, String> {
        let time = |name: &str, ms: Option<i64>| ms.map(|ms| (name.to_owned(), ms.to_string()));
        let always = [
            ("cut".to_owned(), self.cut.to_string()),
            ("epoch".to_owned(), self.epoch.clone()),
            ("truncated".to_owned(), self.truncated.to_string()),
            ("query".to_owned(), self.query.clone()),
        ];
        let times = [time("as_of", self.as_of), time("watermark", self.watermark)];
        let past = past_told(&self.past).map(|told| ("past".to_owned(), told));
        always.into_iter().chain(times.into_iter().flatten()).chain(past).collect()
    }
}

/// What tables of the past are true of, as JSON; `None` where there is none.
#[must_use]
pub fn past_told(past: &[PastPaper]) -> Option<String> {
    (!past.is_empty()).then(|| serde_json::to_string(past).unwrap_or_default())
}

/// How a row is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowShape {
    /// `["Zhejiang","1.50"]`, in the order of the columns; two columns may have one name.
    #[default]
    Arrays,
    /// `{"province":"Zhejiang","gmv":"1.50"}`.
    Objects,
}

/// The name of a column's type in SQL, as analysts write it.
#[must_use]
pub fn sql_type(of: &DataType) -> String {
    match of {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INTEGER UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => {
            format!("TIMESTAMP({}) WITH TIME ZONE", digits(*unit))
        }
        DataType::List(inner) => format!("{}[]", sql_type(inner.data_type())),
        other => other.to_string(),
    }
}

fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// A column of nothing but NULL has no marks for it.
fn is_null(column: &ArrayRef, row: usize) -> bool {
    column.is_null(row) || *column.data_type() == DataType::Null
}
