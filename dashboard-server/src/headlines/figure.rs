//! Choosing one value of a view, and the papers that go with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use serde_json::{Map, Value};
use tidemark_pipeline::results::snapshot::{MARK_COLUMN, REVISION_COLUMN, ROW_KEY};
use tidemark_pipeline::results::{Cut, Snapshot, ViewInfo};

/// Which value of a view.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Column; the first decimal one if not given, else the first number.
    pub column: Option<String>,
    /// Wanted values of key columns, as text.
    pub keys: BTreeMap<String, String>,
}

/// Why there is not exactly one value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The view has no such column.
    #[error("view {view} has no number column {column:?}; it has {known}")]
    UnknownColumn {
        /// View.
        view: String,
        /// As asked for.
        column: String,
        /// The columns there are.
        known: String,
    },
    /// The view has no such key.
    #[error("view {view} has no key {key:?}; it has {known}")]
    UnknownKey {
        /// View.
        view: String,
        /// As asked for.
        key: String,
        /// The keys there are.
        known: String,
    },
    /// Several rows fit.
    #[error("{rows} rows of view {view} fit; say which with {missing}")]
    SeveralRows {
        /// View.
        view: String,
        /// How many.
        rows: usize,
        /// The parameters that would tell them apart.
        missing: String,
    },
    /// No row fits, or there is none yet.
    #[error("view {view} has no such row at cut {cut}")]
    NoRow {
        /// View.
        view: String,
        /// Cut.
        cut: u64,
    },
}

/// One value, and all that is known about it.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The view it is of.
    pub info: Arc<ViewInfo>,
    /// Its column.
    pub column: String,
    /// All its digits; `None` where the value is null.
    pub value: Option<String>,
    /// The key columns of its row, without those of the window.
    pub key: BTreeMap<String, String>,
    /// Start and end of its window in epoch milliseconds; `None` for a running total.
    pub window: Option<(i64, i64)>,
    /// `provisional`, `settled` or `final`.
    pub mark: String,
    /// Records that changed it after its window had closed.
    pub revision: u64,
}

/// The one value that `choice` names, of the newest window that has it.
///
/// # Errors
/// When none or several fit.
pub fn choose(cut: &Cut, view: &Snapshot, choice: &Choice) -> Result<Figure, ChoiceError> {
    let info = &view.info;
    let column = column(info, choice.column.as_deref())?;
    check_keys(info, choice)?;
    for window in view.windows.iter().rev() {
        let fitting: Vec<&str> =
            window.rows.iter().filter(|row| fits(&row.key, choice)).map(|row| &*row.json).collect();
        match fitting.as_slice() {
            [] => {}
            [row] => return Ok(figure(info, column, window.window, row)),
            several => return Err(several_rows(info, choice, several.len())),
        }
    }
    Err(ChoiceError::NoRow { view: info.name.clone(), cut: cut.cut })
}

/// Only numbers, and none of the key: a headline is a measure.
fn column(info: &ViewInfo, wanted: Option<&str>) -> Result<String, ChoiceError> {
    let measures: Vec<(&str, &DataType)> = info
        .schema
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), field.data_type()))
        .filter(|(name, of)| {
            of.is_numeric()
                && ![MARK_COLUMN, REVISION_COLUMN].contains(name)
                && !info.keys.iter().any(|key| key == name)
        })
        .collect();
    let found = match wanted {
        Some(wanted) => measures.iter().find(|(name, _)| *name == wanted),
        None => measures
            .iter()
            .find(|(_, of)| matches!(of, DataType::Decimal128(..)))
            .or(measures.first()),
    };
    found.map(|(name, _)| (*name).to_owned()).ok_or_else(|| ChoiceError::UnknownColumn {
        view: info.name.clone(),
        column: wanted.unwrap_or("(any)").to_owned(),
        known: listed(measures.iter().map(|(name, _)| *name)),
    })
}

fn check_keys(info: &ViewInfo, choice: &Choice) -> Result<(), ChoiceError> {
    match choice.keys.keys().find(|key| !info.keys.contains(key)) {
        None => Ok(()),
        Some(key) => Err(ChoiceError::UnknownKey {
            view: info.name.clone(),
            key: key.clone(),
            known: listed(info.keys.iter().map(String::as_str)),
        }),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn fits(key: &str, choice: &Choice) -> bool {
    if choice.keys.is_empty() {
        return true;
    }
    let key = object(key);
    choice
        .keys
        .iter()
        .all(|(name, wanted)| key.get(name).and_then(text).is_some_and(|value| value == *wanted))
}

fn figure(info: &Arc<ViewInfo>, column: String, window: (i64, i64), row: &str) -> Figure {
    let row = object(row);
    let window = (window != (i64::MIN, i64::MAX)).then_some(window);
    let key =
        dimensions(info).filter_map(|name| Some((name.to_owned(), row.get(name).and_then(text)?)));
    Figure {
        info: Arc::clone(info),
        value: row.get(&column).and_then(text),
        key: key.collect(),
        window,
        mark: row.get(MARK_COLUMN).and_then(text).unwrap_or_else(|| "provisional".to_owned()),
        revision: row.get(REVISION_COLUMN).and_then(Value::as_u64).unwrap_or(0),
        column,
    }
}

/// Keys that are not the window's own columns.
fn dimensions(info: &ViewInfo) -> impl Iterator<Item = &str> {
    let name = |at: Option<usize>| {
        at.and_then(|at| info.schema.fields().get(at)).map(|field| field.name().as_str())
    };
    let window = [name(info.window_start), name(info.window_end)];
    let columns = info.keys.iter().map(String::as_str).filter(|key| *key != ROW_KEY);
    columns.filter(move |key| !window.contains(&Some(key)))
}

fn several_rows(info: &ViewInfo, choice: &Choice, rows: usize) -> ChoiceError {
    let missing = dimensions(info).filter(|name| !choice.keys.contains_key(*name));
    let missing: Vec<String> = missing.map(|name| format!("key.{name}=…")).collect();
    ChoiceError::SeveralRows { view: info.name.clone(), rows, missing: missing.join("&") }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}

/// A value as it is compared and shown; `None` for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
