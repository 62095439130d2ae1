//! Why a query cannot be a continuous one, with the place it stands at.
//!
//! DataFusion's plan knows where columns stand, the parsed query where functions do; together they name
//! the line and column of what is refused.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{AggregateFunction, Cast};
use datafusion::sql::sqlparser::ast::{self, Query, visit_expressions};

use super::error::{Place, SqlError};
use super::script::Statement;
use super::session::{message_of, place_of};

/// A refused part of a query.
#[derive(Debug, Clone)]
struct Refusal {
    /// Names of the refused function; none where the part is no call.
    functions: Vec<String>,
    /// Where its first column stands.
    column: Option<Place>,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Refuses an expression.
///
/// # Errors
/// Always: the refusal.
pub fn refuse<T>(expr: &Expr, message: impl Into<String>) -> Result<T> {
    refused(Vec::new(), place_in(expr), message.into())
}

/// Refuses an aggregate function.
///
/// # Errors
/// Always: the refusal.
pub fn refuse_call<T>(call: &AggregateFunction, message: impl Into<String>) -> Result<T> {
    let mut functions = vec![call.func.name().to_owned()];
    functions.extend_from_slice(call.func.aliases());
    refused(functions, call.params.args.iter().find_map(place_in), message.into())
}

/// Refuses what stands at a place.
///
/// # Errors
/// Always: the refusal.
pub fn refuse_at<T>(place: Place, message: impl Into<String>) -> Result<T> {
    refused(Vec::new(), Some(place), message.into())
}

/// Refuses a function by its name, at its first call.
///
/// # Errors
/// Always: the refusal.
pub fn refuse_function<T>(name: &str, message: impl Into<String>) -> Result<T> {
    refused(vec![name.to_owned()], None, message.into())
}

fn refused<T>(functions: Vec<String>, column: Option<Place>, message: String) -> Result<T> {
    Err(DataFusionError::External(Box::new(Refusal { functions, column, message })))
}

/// The place of the first column in an expression that has one.
fn place_in(expr: &Expr) -> Option<Place> {
    let spans = expr.column_refs().into_iter().filter_map(|column| column.spans.first());
    spans
        .map(|span| Place { line: span.start.line, column: span.start.column })
        .min_by_key(|place| (place.line, place.column))
}

/// An expression as its author may have written it: times and intervals with their words.
pub(super) fn in_words(expr: &Expr) -> String {
    let told = expr.clone().transform_up(|part| {
        Ok(match &part {
            Expr::Literal(value, _) => match time_in_words(value) {
                Some(words) => Transformed::yes(part.alias(words)),
                None => Transformed::no(part),
            },
            Expr::Cast(Cast { expr: text, field }) => match as_written(text, field.data_type()) {
                Some(words) => Transformed::yes(part.alias(words)),
                None => Transformed::no(part),
            },
            _ => Transformed::no(part),
        })
    });
    told.map_or_else(|_| expr.to_string(), |told| told.data.human_display().to_string())
}

/// A time written as `TIMESTAMP '…'`, which is a text until it is analysed.
fn as_written(text: &Expr, as_type: &DataType) -> Option<String> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = text else { return None };
    Some(format!("{} '{text}'", word_of_time(as_type)?))
}

fn time_in_words(value: &ScalarValue) -> Option<String> {
    let kind = word_of_time(&value.data_type())?;
    let array = value.to_array().ok().filter(|_| !value.is_null())?;
    let text = array_value_to_string(&array, 0).ok()?;
    Some(format!("{kind} '{}'", text.replace('T', " ")))
}

fn word_of_time(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ",
        DataType::Interval(_) => "INTERVAL",
        _ => return None,
    })
}

/// What a refusal says, and where its first column stands, where it has one; `None` for other errors.
#[must_use]
pub fn refusal_in(error: &DataFusionError) -> Option<(&str, Option<Place>)> {
    let refusal = find(error)?;
    Some((&refusal.message, refusal.column))
}

fn find(error: &DataFusionError) -> Option<&Refusal> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref(),
        _ => None,
    }
}

/// A planning error of an expression of a declaration: at the place it names, or else at the expression's own.
#[must_use]
pub fn located_in(file: &Path, place: Place, error: &DataFusionError) -> SqlError {
    if let Some(refusal) = find(error) {
        return SqlError::at(file, refusal.column.unwrap_or(place), refusal.message.clone());
    }
    // The expression was planned from its own text, so only the declared place is the user's.
    SqlError::at(file, place, message_of(error))
}

/// A planning error of a query at its place; the statement's where nothing nearer is known.
#[must_use]
pub fn located(statement: &Statement, query: &Query, error: &DataFusionError) -> SqlError {
    if let Some(refusal) = find(error) {
        let place = refusal.place(query).unwrap_or(statement.place);
        return SqlError::at(&statement.file, place, refusal.message.clone());
    }
    let place = place_of(error);
    let place = if place.line == 0 { statement.place } else { place };
    SqlError::at(&statement.file, place, message_of(error))
}

impl Refusal {
    /// The call that holds the refused column: the last of its name that begins before it.
    fn place(&self, query: &Query) -> Option<Place> {
        let calls = self.calls(query);
        let Some(column) = self.column else { return calls.first().copied() };
        let before = |call: &&Place| (call.line, call.column) <= (column.line, column.column);
        calls.iter().rfind(before).or(calls.first()).copied().or(Some(column))
    }

    fn calls(&self, query: &Query) -> Vec<Place> {
        let mut found = Vec::new();
        let _all: ControlFlow<()> = visit_expressions(query, |expr| {
            if let ast::Expr::Function(function) = expr
                && let Some(ident) = function.name.0.last().and_then(|part| part.as_ident())
                && self.functions.iter().any(|name| ident.value.eq_ignore_ascii_case(name))
            {
                found.push(Place { line: ident.span.start.line, column: ident.span.start.column });
            }
            ControlFlow::Continue(())
        });
        found.sort_by_key(|place| (place.line, place.column));
        found
    }
}
