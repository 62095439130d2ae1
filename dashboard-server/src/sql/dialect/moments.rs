//! Moments: what is counted in seconds has the zone of the streams, and a stamp may leave out its seconds.
//!
//! `to_timestamp(1605024600)` is a moment. The engine tells it without a zone, or, where a session has one, takes the hours of UTC
//! for those of the zone. Here it is told by the clock of the streams, as `now()` is; so is a text, as PostgreSQL has it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, make_array};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    Between, BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, ScalarFunctionArgs,
    ScalarUDF,
};
use datafusion::optimizer::AnalyzerRule;
use tidemark_pipeline::model::Zone;

use super::patterns::with_patterns;
use super::plans::rewritten;
use super::wrapped::{Manner, Wrapped};

/// Functions that read a moment, or a text as one.
const READ: [&str; 6] = [
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_timestamp_nanos",
    "from_unixtime",
];

/// All of them by the clock of a zone.
///
/// # Errors
/// When the engine has one no longer.
pub(super) fn all(state: &SessionState, zone: Zone) -> Result<Vec<ScalarUDF>> {
    let name: Arc<str> = Arc::from(zone.name());
    let mut options = ConfigOptions::default();
    let plain = options.clone();
    options.execution.time_zone = Some(zone.name().to_owned());
    let of = |function: &&str| -> Result<ScalarUDF> {
        let engine = state.udf(function)?;
        let by = |options: &ConfigOptions| {
            engine.inner().with_updated_config(options).unwrap_or_else(|| engine.as_ref().clone())
        };
        let manner = Moments { plain: by(&plain), zoned: by(&options), zone: Arc::clone(&name) };
        Ok(Wrapped::around(Arc::new(manner.plain.clone()), manner))
    };
    READ.iter().map(of).collect()
}

/// Moments by the clock of one zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Moments {
    /// The engine's function, which gives moments without a zone.
    plain: ScalarUDF,
    /// The same with the zone, for texts.
    zoned: ScalarUDF,
    zone: Arc<str>,
}

impl Manner for Moments {
    fn return_type(&self, engine: &DataType, arguments: &[DataType]) -> DataType {
        let DataType::Timestamp(unit, None) = engine else { return engine.clone() };
        match arguments.first() {
            // What has no zone, a day too, is by the clock of what it stands beside.
            Some(DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64) => {
                engine.clone()
            }
            Some(DataType::Timestamp(_, Some(zone))) => {
                DataType::Timestamp(*unit, Some(Arc::clone(zone)))
            }
            _ => DataType::Timestamp(*unit, Some(Arc::clone(&self.zone))),
        }
    }

    fn invoke(&self, inner: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let told = args.return_field.data_type().clone();
        let Some(first) = args.args.first() else { return inner.invoke_with_args(args) };
        let from = first.data_type();
        if from.is_string() {
            let function = if matches!(told, DataType::Timestamp(_, Some(_))) && !self.is_plain() {
                &self.zoned
            } else {
                inner
            };
            return function.invoke_with_args(with_patterns(args)?);
        }
        if matches!(from, DataType::Timestamp(..)) {
            return first.cast_to(&told, None);
        }
        let untold = args.return_field.as_ref().clone();
        let plain = match &told {
            DataType::Timestamp(unit, _) if !from.is_null() && args.args.len() == 1 => {
                DataType::Timestamp(*unit, None)
            }
            told => told.clone(),
        };
        let return_field = Arc::new(untold.with_data_type(plain));
        let value = inner.invoke_with_args(ScalarFunctionArgs { return_field, ..args })?;
        labelled(value, &told)
    }
}

impl Moments {
    /// Whether the engine's function knows no zone, as `from_unixtime`, which takes no text.
    fn is_plain(&self) -> bool {
        self.plain == self.zoned
    }
}

/// Moments under the type with their zone; they stay the same.
fn labelled(value: ColumnarValue, told: &DataType) -> Result<ColumnarValue> {
    let under = |array: &ArrayRef| -> Result<ArrayRef> {
        Ok(make_array(array.to_data().into_builder().data_type(told.clone()).build()?))
    };
    match value {
        value if value.data_type() == *told => Ok(value),
        ColumnarValue::Array(array) => Ok(ColumnarValue::Array(under(&array)?)),
        ColumnarValue::Scalar(scalar) => {
            let one = under(&scalar.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
        }
    }
}

/// `'2020-11-11 10:00'` and `'2020-11-11 10:00+08'` where a time is read, with the seconds that the engine wants.
#[derive(Debug)]
pub(super) struct FullStamps;

impl AnalyzerRule for FullStamps {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, in_full)
    }

    fn name(&self) -> &str {
        "full_stamps"
    }
}

fn in_full(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_time = |side: &Expr| matches!(side.get_type(schema), Ok(DataType::Timestamp(..)));
    Ok(match expr {
        Expr::Cast(mut cast) if matches!(cast.field.data_type(), DataType::Timestamp(..)) => {
            let changed = fill(&mut cast.expr);
            Transformed::new_transformed(Expr::Cast(cast), changed)
        }
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) => {
            // The type of the other side is only looked for where there is something to be filled.
            let changed = (is_short(&left) && is_time(&right) && fill(&mut left))
                || (is_short(&right) && is_time(&left) && fill(&mut right));
            let binary = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Transformed::new_transformed(binary, changed)
        }
        Expr::Between(Between { expr, negated, mut low, mut high }) => {
            let any = is_short(&low) || is_short(&high);
            let changed = any && is_time(&expr) && (fill(&mut low) | fill(&mut high));
            let between = Expr::Between(Between { expr, negated, low, high });
            Transformed::new_transformed(between, changed)
        }
        Expr::InList(mut list) => {
            let any = list.list.iter().any(is_short);
            let changed = any
                && is_time(&list.expr)
                && list.list.iter_mut().fold(false, |changed, item| fill(item) | changed);
            Transformed::new_transformed(Expr::InList(list), changed)
        }
        Expr::ScalarFunction(mut call) if READ.contains(&call.name()) && call.args.len() == 1 => {
            let changed = call.args.first_mut().is_some_and(fill);
            Transformed::new_transformed(Expr::ScalarFunction(call), changed)
        }
        expr => Transformed::no(expr),
    })
}

fn text_of(expr: &Expr) -> Option<&str> {
    let Expr::Literal(value, _) = expr else { return None };
    value.try_as_str().flatten()
}

fn is_short(expr: &Expr) -> bool {
    text_of(expr).is_some_and(|text| stamp_in_full(text).is_some())
}

/// Whether it was a stamp without its seconds, which it has now.
fn fill(expr: &mut Expr) -> bool {
    let Some(full) = text_of(expr).and_then(stamp_in_full) else { return false };
    *expr = Expr::Literal(ScalarValue::Utf8(Some(full)), None);
    true
}

/// A stamp with its seconds, where they were left out; `None` for any other text.
pub(in crate::sql) fn stamp_in_full(text: &str) -> Option<String> {
    let text = text.trim();
    let (minute, offset) = (text.get(..16)?, text.get(16..)?);
    let is_minute =
        minute.bytes().zip("0000-00-00 00:00".bytes()).all(|(letter, form)| match form {
            b'0' => letter.is_ascii_digit(),
            b' ' => matches!(letter, b' ' | b'T' | b't'),
            form => letter == form,
        });
    let is_offset = match offset.trim_start().as_bytes() {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', digits @ ..] => {
            matches!(digits.len(), 2 | 4 | 5)
                && digits.iter().all(|digit| digit.is_ascii_digit() || *digit == b':')
        }
        _ => false,
    };
    (is_minute && is_offset).then(|| format!("{minute}:00{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_without_its_seconds_gets_them() {
        for (text, full) in [
            ("2020-11-11 10:00", Some("2020-11-11 10:00:00")),
            ("2020-11-11T10:00", Some("2020-11-11T10:00:00")),
            ("2020-11-11 10:00+08", Some("2020-11-11 10:00:00+08")),
            ("2020-11-11 10:00 +0800", Some("2020-11-11 10:00:00 +0800")),
            ("2020-11-11T10:00Z", Some("2020-11-11T10:00:00Z")),
            ("2020-11-11 10:00:05", None),
            ("2020-11-11", None),
            ("2020-11-11 10:00 in the morning", None),
            ("浙江浙江浙江浙江", None),
        ] {
            assert_eq!(stamp_in_full(text).as_deref(), full, "{text}");
        }
    }
}
