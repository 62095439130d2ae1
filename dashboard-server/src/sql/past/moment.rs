//! The instant behind `AS OF`: a stamp, the clock, and spans from these.

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType as SqlType, Expr, FunctionArguments, Interval, Value,
};
use tidemark_pipeline::model::Zone;

/// What the time of day is, and by which clock a stamp without an offset is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::sql) struct Now {
    /// Epoch milliseconds.
    pub(in crate::sql) ms: i64,
    /// The zone of the streams.
    pub(in crate::sql) zone: Zone,
}

/// How the instant may be written, for messages.
const FORMS: &str =
    "write TIMESTAMP '2020-11-11 10:00:00', one with an offset, or now() - INTERVAL '1 hour'";
/// Functions that ask the clock.
const CLOCKS: [&str; 5] =
    ["now", "current_timestamp", "localtimestamp", "transaction_timestamp", "statement_timestamp"];

impl Now {
    /// The instant that is written, epoch milliseconds.
    ///
    /// # Errors
    /// When it is none, or depends on more than the clock.
    pub(super) fn instant(&self, written: &Expr) -> Result<i64, String> {
        match self.value(written)? {
            ScalarValue::TimestampMicrosecond(Some(us), _) => Ok(us.div_euclid(1_000)),
            _ => Err(format!("AS OF {written} is no instant; {FORMS}")),
        }
    }

    fn kind(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some(self.zone.name().into()))
    }

    fn value(&self, written: &Expr) -> Result<ScalarValue, String> {
        match written {
            Expr::Nested(inner) => self.value(inner),
            Expr::Value(value) => self.stamp(&value.value),
            Expr::TypedString(typed) if is_time(&typed.data_type) => self.stamp(&typed.value.value),
            Expr::Cast { expr, data_type, .. } if is_time(data_type) => self.value(expr),
            Expr::Function(function)
                if CLOCKS.contains(&function.name.to_string().to_lowercase().as_str())
                    && has_no_arguments(&function.args) =>
            {
                let us = self.ms.saturating_mul(1_000);
                Ok(ScalarValue::TimestampMicrosecond(Some(us), Some(self.zone.name().into())))
            }
            Expr::BinaryOp { left, op, right } => {
                let (from, Expr::Interval(span)) = (self.value(left)?, right.as_ref()) else {
                    return Err(format!("AS OF {written}: only a span is added or taken; {FORMS}"));
                };
                let span = span_of(span)?;
                let moved = match op {
                    BinaryOperator::Plus => from.add(span),
                    BinaryOperator::Minus => from.sub(span),
                    _ => return Err(format!("AS OF {written} is no instant; {FORMS}")),
                };
                moved.map_err(|_| format!("AS OF {written} is beyond what a time can be"))
            }
            _ => Err(format!("AS OF {written} is no instant that is known beforehand; {FORMS}")),
        }
    }

    fn stamp(&self, value: &Value) -> Result<ScalarValue, String> {
        let Value::SingleQuotedString(text) = value else {
            return Err(format!(
                "AS OF {value} is no time, and a parameter cannot be one; {FORMS}"
            ));
        };
        let read = ScalarValue::Utf8(Some(text.trim().to_owned())).cast_to(&self.kind());
        read.map_err(|_| format!("AS OF '{text}' is no time; {FORMS}"))
    }
}

fn is_time(kind: &SqlType) -> bool {
    matches!(kind, SqlType::Timestamp(..) | SqlType::Date | SqlType::Datetime(_))
}

fn has_no_arguments(arguments: &FunctionArguments) -> bool {
    match arguments {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty(),
        FunctionArguments::Subquery(_) => false,
    }
}

fn span_of(span: &Interval) -> Result<ScalarValue, String> {
    let text = match span.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    let unit = span.leading_field.as_ref().map(ToString::to_string).unwrap_or_default();
    let read = parse_interval_month_day_nano(format!("{text} {unit}").trim());
    let read = read.map_err(|_| format!("{span} is no span; write INTERVAL '90 minutes'"))?;
    Ok(ScalarValue::IntervalMonthDayNano(Some(read)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    /// 2020-11-11 10:00 in Shanghai.
    const NOW: i64 = 1_605_060_000_000;
    const HOUR: i64 = 3_600_000;

    fn instant(written: &str) -> Result<i64, String> {
        let parser = Parser::new(&PostgreSqlDialect {});
        let mut parser = parser.try_with_sql(written).expect("words");
        let expression = parser.parse_expr().expect("an expression");
        let zone = Zone::named("Asia/Shanghai").expect("known");
        Now { ms: NOW, zone }.instant(&expression)
    }

    #[test]
    fn a_stamp_is_by_the_clock_of_the_streams_unless_it_says_otherwise() {
        for (written, at) in [
            ("TIMESTAMP '2020-11-11 10:00:00'", NOW),
            ("'2020-11-11T10:00:00.250'", NOW + 250),
            ("TIMESTAMP '2020-11-11 02:00:00Z'", NOW),
            ("TIMESTAMP '2020-11-11 03:00:00+01:00'", NOW),
            ("'2020-11-11 10:00:00'::timestamptz", NOW),
            ("DATE '2020-11-11'", NOW - 10 * HOUR),
            ("now()", NOW),
            ("CURRENT_TIMESTAMP", NOW),
            ("now() - INTERVAL '1' HOUR", NOW - HOUR),
            ("(now() - INTERVAL '90 minutes') + INTERVAL '30' MINUTE", NOW - HOUR),
            ("TIMESTAMP '2020-11-11 10:00:00.0009'", NOW),
            ("TIMESTAMP '2020-12-11 10:00:00' - INTERVAL '1' MONTH", NOW),
        ] {
            assert_eq!(instant(written), Ok(at), "{written}");
        }
    }

    #[test]
    fn what_is_no_instant_or_not_known_beforehand_is_refused_with_how_to_write_it() {
        for written in [
            "12",
            "'yesterday'",
            "$1",
            "event_time",
            "now() - 5",
            "INTERVAL '1 hour'",
            "date_trunc('hour', now())",
            "now() * INTERVAL '1 hour'",
            "(SELECT now())",
            "NULL",
        ] {
            let told = instant(written).expect_err(written);
            assert!(told.contains("TIMESTAMP '2020-11-11"), "{written}: {told}");
        }
    }
}
