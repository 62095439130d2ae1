//! Parameters of a query: JSON values for `$1`, `$2`, …, read as the types the query expects; a decimal has its own digits.

use std::collections::HashMap;

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use serde_json::Value;

use super::decimals::exact;
use super::dialect::stamp_in_full;
use super::error::SqlError;
use super::past::{Parameters, with_clauses};

/// The values as they are, for who asks them before there is a plan: numbers, texts and truth; NULL for what is none.
pub(super) fn plain(params: &[Value]) -> Vec<ScalarValue> {
    let value = |param: &Value| match param {
        Value::Bool(truth) => ScalarValue::from(*truth),
        Value::String(text) => ScalarValue::from(text.as_str()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => ScalarValue::from(whole),
            None => ScalarValue::from(number.to_string()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => ScalarValue::Null,
    };
    params.iter().map(value).collect()
}

/// The plan with `params` in place of its placeholders; some are of `clauses` and not in it.
///
/// # Errors
/// When their number or a type does not fit.
pub(super) fn bind(
    plan: LogicalPlan,
    params: &[Value],
    clauses: &Parameters,
) -> Result<LogicalPlan, SqlError> {
    let types = plan.get_parameter_types().map_err(|error| SqlError::of_planning(&error))?;
    let types = with_clauses(types, clauses);
    check_count(types.len(), params.len())?;
    if params.is_empty() {
        return Ok(plan);
    }
    let values = params.iter().enumerate().map(|(nth, value)| scalar(nth + 1, value, &types));
    replaced(plan, values.collect::<Result<Vec<_>, _>>()?)
}

fn replaced(plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<LogicalPlan, SqlError> {
    let bound = plan.replace_params_with_values(&ParamValues::from(values)).and_then(retyped);
    bound.map_err(|error| SqlError::of_planning(&error))
}

/// As [`bind`], for values that have a type already. `types` are those of the plan's placeholders.
///
/// # Errors
/// When their number or a type does not fit.
pub(super) fn bind_values(
    plan: LogicalPlan,
    types: &HashMap<String, Option<DataType>>,
    values: &[ScalarValue],
) -> Result<LogicalPlan, SqlError> {
    check_count(types.len(), values.len())?;
    if values.is_empty() {
        return Ok(plan);
    }
    let values = (1..).zip(values).map(|(nth, value)| {
        let wanted = types.get(&format!("${nth}"));
        let wanted = wanted.ok_or_else(|| SqlError::Params {
            message: format!("the query has no placeholder ${nth}"),
        })?;
        let fits = wanted.as_ref().map_or_else(|| Some(value.clone()), |of| fitted(value, of));
        fits.ok_or_else(|| SqlError::Params {
            message: format!("params[{nth}] = {value} is not {}", of_word(wanted.as_ref())),
        })
    });
    replaced(plan, values.collect::<Result<Vec<_>, _>>()?)
}

fn of_word(wanted: Option<&DataType>) -> String {
    wanted.map_or_else(|| "known".to_owned(), |of| format!("a {of}"))
}

/// A value for a place where `wanted` is expected. What its sender calls it comes first where the two meet in a comparison:
/// a fraction beside whole numbers, a stamp beside a day, a span beside a time.
fn fitted(value: &ScalarValue, wanted: &DataType) -> Option<ScalarValue> {
    let of = value.data_type();
    let is_number = of.is_numeric();
    match value {
        _ if value.is_null() => ScalarValue::try_from(&finest(wanted)).ok(),
        ScalarValue::Utf8(Some(text)) if wanted.is_decimal() => {
            exact(text).or_else(|| value.cast_to(wanted).ok())
        }
        _ if wanted.is_decimal() && is_number => match of.is_floating() {
            // As it would be written: a float has no digits of its own.
            true => exact(&value.to_string()).or_else(|| value.cast_to(wanted).ok()),
            false => Some(value.clone()),
        },
        _ if wanted.is_integer() && (of.is_decimal() || of.is_floating()) => Some(value.clone()),
        ScalarValue::IntervalYearMonth(_)
        | ScalarValue::IntervalDayTime(_)
        | ScalarValue::IntervalMonthDayNano(_) => Some(value.clone()),
        _ if matches!(of, DataType::Duration(_)) => {
            value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)).ok()
        }
        _ if matches!(of, DataType::Timestamp(..)) && matches!(wanted, DataType::Date32) => {
            Some(value.clone())
        }
        // A day begins by the clock of what it is compared with.
        ScalarValue::Date32(_) if matches!(wanted, DataType::Timestamp(_, Some(_))) => {
            let naive = value.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
            naive.cast_to(&finest(wanted)).ok()
        }
        _ => value.cast_to(&finest(wanted)).ok(),
    }
}

fn check_count(wanted: usize, got: usize) -> Result<(), SqlError> {
    if wanted == got {
        return Ok(());
    }
    Err(SqlError::Params {
        message: format!("the query has {wanted} placeholders and got {got} params"),
    })
}

/// A plan whose types follow what has been put into it.
fn retyped(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let told =
        plan.transform_up_with_subqueries(|node| node.recompute_schema().map(Transformed::yes))?;
    Ok(told.data)
}

/// The type that a parameter is read as: a time to its microsecond, whatever it stands beside.
pub(super) fn finest(wanted: &DataType) -> DataType {
    match wanted {
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        wanted => wanted.clone(),
    }
}

fn scalar(
    nth: usize,
    value: &Value,
    types: &HashMap<String, Option<DataType>>,
) -> Result<ScalarValue, SqlError> {
    let plain = match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(truth) => ScalarValue::Boolean(Some(*truth)),
        // A stamp may leave out its seconds where a time is read, and be a text elsewhere.
        Value::String(text) => match (stamp_in_full(text), types.get(&format!("${nth}"))) {
            (Some(full), Some(Some(DataType::Timestamp(..)))) => ScalarValue::Utf8(Some(full)),
            _ => ScalarValue::Utf8(Some(text.clone())),
        },
        // As text first, so that a decimal keeps every digit it was written with.
        Value::Number(number) => match number.as_i64() {
            Some(whole) => ScalarValue::Int64(Some(whole)),
            None => ScalarValue::Utf8(Some(number.to_string())),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(SqlError::Params {
                message: format!("params[{nth}] must be a plain value"),
            });
        }
    };
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    match types.get(&format!("${nth}")) {
        Some(Some(wanted)) if wanted.is_decimal() || wanted.is_integer() && text.contains('.') => {
            let exact = exact(&text).or_else(|| plain.cast_to(wanted).ok());
            exact.ok_or_else(|| SqlError::Params {
                message: format!("params[{nth}] = {value} is not a {wanted}"),
            })
        }
        Some(Some(wanted)) => plain.cast_to(&finest(wanted)).map_err(|_| SqlError::Params {
            message: format!("params[{nth}] = {value} is not a {wanted}"),
        }),
        Some(None) => Ok(plain),
        None => Err(SqlError::Params { message: format!("the query has no placeholder ${nth}") }),
    }
}
