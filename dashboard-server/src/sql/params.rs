//! Parameters of a query: JSON values for `$1`, `$2`, …, read as the types the query expects; a decimal has its own digits.

use std::collections::HashMap;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use serde_json::Value;

use super::decimals::exact;
use super::error::SqlError;

/// The plan with `params` in place of its placeholders.
///
/// # Errors
/// When their number or a type does not fit.
pub(super) fn bind(plan: LogicalPlan, params: &[Value]) -> Result<LogicalPlan, SqlError> {
    let types = plan.get_parameter_types().map_err(|error| SqlError::of_planning(&error))?;
    if types.len() != params.len() {
        return Err(SqlError::Params {
            message: format!(
                "the query has {} placeholders and got {} params",
                types.len(),
                params.len()
            ),
        });
    }
    if params.is_empty() {
        return Ok(plan);
    }
    let values = params.iter().enumerate().map(|(nth, value)| scalar(nth + 1, value, &types));
    let values = ParamValues::from(values.collect::<Result<Vec<_>, _>>()?);
    let bound = plan.replace_params_with_values(&values).and_then(retyped);
    bound.map_err(|error| SqlError::of_planning(&error))
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
        Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
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
