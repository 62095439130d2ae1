//! The instant behind `AS OF`: a stamp, the clock, and spans from these.

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType as SqlType, Expr, FunctionArguments, Interval, Value,
};
use tidemark_pipeline::model::Zone;

use super::given::{Given, Parameters, Says};

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

/// What the instant of a clause may depend on.
pub(super) struct AsOf<'a> {
    /// The clock.
    pub(super) now: &'a Now,
    /// The values of parameters.
    pub(super) given: Given<'a>,
    /// The parameters that it depends on.
    pub(super) parameters: &'a mut Parameters,
}

impl AsOf<'_> {
    /// The instant that is written, epoch milliseconds; some instant, where the value of a parameter comes later.
    ///
    /// # Errors
    /// When it is none, or depends on more than the clock and parameters.
    pub(super) fn instant(&mut self, written: &Expr) -> Result<i64, String> {
        match self.value(written)? {
            ScalarValue::TimestampMicrosecond(Some(us), _) => Ok(us.div_euclid(1_000)),
            _ => Err(format!("AS OF {written} is no instant; {FORMS}")),
        }
    }

    fn kind(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some(self.now.zone.name().into()))
    }

    fn of_clock(&self) -> ScalarValue {
        let us = self.now.ms.saturating_mul(1_000);
        ScalarValue::TimestampMicrosecond(Some(us), Some(self.now.zone.name().into()))
    }

    fn value(&mut self, written: &Expr) -> Result<ScalarValue, String> {
        match written {
            Expr::Nested(inner) => self.value(inner),
            Expr::Value(value) => self.stamp(&value.value),
            Expr::TypedString(typed) if is_time(&typed.data_type) => self.stamp(&typed.value.value),
            Expr::Cast { expr, data_type, .. } if is_time(data_type) => self.value(expr),
            Expr::Function(function)
                if CLOCKS.contains(&function.name.to_string().to_lowercase().as_str())
                    && has_no_arguments(&function.args) =>
            {
                Ok(self.of_clock())
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

    fn stamp(&mut self, value: &Value) -> Result<ScalarValue, String> {
        match value {
            Value::SingleQuotedString(text) => self.read(text),
            Value::Placeholder(name) => self.parameter(name),
            other => Err(format!("AS OF {other} is no time; {FORMS}")),
        }
    }

    /// The time that a parameter has: a text is read as it would be in the words, a time without a zone is by the clock of
    /// the streams.
    fn parameter(&mut self, name: &str) -> Result<ScalarValue, String> {
        let (nth, value) = self.given.value(name)?;
        self.parameters.insert(nth, Says::Time);
        let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
        let read = match value {
            None => return Ok(self.of_clock()),
            Some(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))) => {
                return self.read(text);
            }
            Some(value) => match value.data_type() {
                DataType::Timestamp(..) => value.cast_to(&self.kind()),
                DataType::Date32 => value.cast_to(&naive).and_then(|day| day.cast_to(&self.kind())),
                _ => return Err(format!("AS OF {name} = {value} is no time; {FORMS}")),
            },
        };
        read.map_err(|_| format!("AS OF {name} is beyond what a time can be"))
    }

    fn read(&self, text: &str) -> Result<ScalarValue, String> {
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
        told(&expression, Given::Nothing)
    }

    fn told(expression: &Expr, given: Given<'_>) -> Result<i64, String> {
        let now = Now { ms: NOW, zone: Zone::named("Asia/Shanghai").expect("known") };
        AsOf { now: &now, given, parameters: &mut Parameters::new() }.instant(expression)
    }

    #[test]
    fn a_parameter_without_a_zone_is_by_the_clock_of_the_streams_too() {
        let parser = Parser::new(&PostgreSqlDialect {});
        let written = parser.try_with_sql("$1::timestamptz").expect("words").parse_expr();
        let written = written.expect("an expression");
        let us = NOW * 1_000;
        for value in [
            ScalarValue::from("2020-11-11 10:00:00"),
            ScalarValue::from("2020-11-11T02:00:00Z"),
            ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())),
            ScalarValue::TimestampMillisecond(Some(NOW + 8 * HOUR), None),
        ] {
            assert_eq!(
                told(&written, Given::Values(std::slice::from_ref(&value))),
                Ok(NOW),
                "{value}"
            );
        }
        let day = [ScalarValue::Date32(Some(18_577))];
        assert_eq!(told(&written, Given::Values(&day)), Ok(NOW - 10 * HOUR));
        let number = [ScalarValue::from(NOW)];
        assert!(told(&written, Given::Values(&number)).is_err_and(|told| told.contains("no time")));
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
