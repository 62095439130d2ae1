//! Times as a query writes them, before DataFusion adds casts of its own.
//!
//! `CAST(event_time AS TIMESTAMP(3))` is what the clock of its zone shows, as in Flink, and so is what other functions make
//! of a time when they take its zone off; DataFusion would take the zone off the moment. What would be answered by the clock
//! of UTC without a word is refused: seconds since 1970 of what a clock shows, the day or hour of a moment that was counted. So are a
//! zone that nobody knows and hours that are added to a day.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::regex;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, TryCast, binary_expr, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::alike::{leaves, mixed};
use super::clocks::{Tells, is_day, shown, tells};
use super::finer::{cut_as_written, finer_sum};
use super::instants::{Over, is_within_an_hour, rewritten_over};
use super::refusal::{in_words, refuse};
use super::spans::spans;
use crate::model::Zone;

/// Says in DataFusion's words what a query says about times, or refuses it.
#[derive(Debug)]
pub struct WrittenTimes;

impl AnalyzerRule for WrittenTimes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten_over(plan, |part, over| {
            plain_cast(part, over)?
                .transform_data(|part| Ok(within_ns(part)))?
                .transform_data(|part| Ok(cut_as_written(part, over.schema)))?
                .transform_data(|part| cast(part, over))?
                .transform_data(|part| call(part, over))?
                .transform_data(|part| days_between(part, over))?
                .transform_data(|part| finer_sum(part, over.schema))?
                .transform_data(|part| hours_on_a_day(part, over))?
                .transform_data(|part| times_within(part, over))?
                .transform_data(|part| spans(part, over))
        })
    }

    fn name(&self) -> &str {
        "written_times"
    }
}

/// A function that casts, as the cast it is.
fn plain_cast(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
    let Some(from) = call.args.first() else { return Ok(Transformed::no(expr)) };
    let is_strict = match call.name() {
        "arrow_cast" | "cast_to_type" => true,
        "arrow_try_cast" | "try_cast_to_type" => false,
        _ => return Ok(Transformed::no(expr)),
    };
    let (from, to) = (Box::new(from.clone()), expr.get_type(over.schema)?);
    Ok(Transformed::yes(match is_strict {
        true => Expr::Cast(Cast::new(from, to)),
        false => Expr::TryCast(TryCast::new(from, to)),
    }))
}

/// A stamp that nanoseconds cannot hold, as `TIMESTAMP '9999-12-31 23:59:59'`, in milliseconds.
fn within_ns(expr: Expr) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr: text, field }) = &expr else { return Transformed::no(expr) };
    let (Expr::Literal(value, _), DataType::Timestamp(TimeUnit::Nanosecond, zone)) =
        (text.as_ref(), field.data_type())
    else {
        return Transformed::no(expr);
    };
    let ms = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
    let is_beyond = value.data_type().is_string()
        && value.cast_to(field.data_type()).is_err()
        && value.cast_to(&ms).is_ok();
    match is_beyond {
        true => Transformed::yes(Expr::Cast(Cast::new(text.clone(), ms))),
        false => Transformed::no(expr),
    }
}

/// A cast of a time, and into one.
fn cast(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let (Expr::Cast(Cast { expr: from, field }) | Expr::TryCast(TryCast { expr: from, field })) =
        &expr
    else {
        return Ok(Transformed::no(expr));
    };
    let to = field.data_type();
    if let DataType::Timestamp(_, Some(zone)) = to
        && zone.parse::<Tz>().is_err()
    {
        return refuse(
            &expr,
            format!(
                "nobody knows a time zone '{zone}': write its name, as 'Asia/Shanghai', or an offset, as '+08:00'"
            ),
        );
    }
    // What is computed by an outer query has its type there.
    let Ok(of) = from.get_type(over.schema) else { return Ok(Transformed::no(expr)) };
    let through = match (&of, to) {
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => shown(from),
        // It was asked for in so many words: what a clock there shows.
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_)))
            if is_by_another_clock(from, to, over) =>
        {
            Expr::Cast(Cast::new(from.clone(), DataType::Utf8))
        }
        (of, to) if of.is_string() && is_day(to) => {
            let Some(text) = without_offset(from) else { return Ok(Transformed::no(expr)) };
            let (text, field) = (Box::new(text), Arc::clone(field));
            return Ok(Transformed::yes(match &expr {
                Expr::TryCast(_) => Expr::TryCast(TryCast::new_from_field(text, field)),
                _ => Expr::Cast(Cast::new_from_field(text, field)),
            }));
        }
        (DataType::Timestamp(_, None), to) if is_day(to) || to.is_string() => {
            by_some_clock(from, over)?;
            return Ok(Transformed::no(expr));
        }
        (DataType::Timestamp(_, None), to) if to.is_numeric() => {
            counted(from, &of, over)?;
            return Ok(Transformed::no(expr));
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let told = Cast::new_from_field(Box::new(through), Arc::clone(field));
    Ok(Transformed::yes(Expr::Cast(told)))
}

/// Whether a time is of an unknown clock, or was taken off another zone's, and this one's was asked for in so many words.
fn is_by_another_clock(time: &Expr, to: &DataType, over: Over<'_>) -> bool {
    match (tells(time, over.inputs), to) {
        (Tells::Unknown, _) => true,
        (Tells::ClockOfZone(zone), DataType::Timestamp(_, Some(to))) => Zone::named(to) != Ok(zone),
        _ => false,
    }
}

/// Refuses to read the day, the hour or the words of a moment that no clock has been named for.
fn by_some_clock(time: &Expr, over: Over<'_>) -> Result<()> {
    if tells(time, over.inputs) != Tells::Moment {
        return Ok(());
    }
    let shown = in_words(time);
    refuse(
        time,
        format!(
            "{shown} is a moment, and what day and hour it is depends on the clock: say whose, as in {shown} AT TIME ZONE \
             'Asia/Shanghai', or AT TIME ZONE 'UTC'"
        ),
    )
}

/// Parts of a time that every clock shows alike.
fn is_below_an_hour(part: &ScalarValue) -> bool {
    let Some(Some(part)) = part.try_as_str() else { return false };
    let part = part.trim_matches('\'').to_ascii_lowercase();
    part.starts_with("sec")
        || part.starts_with("milli")
        || part.starts_with("micro")
        || part.starts_with("nano")
}

/// A function that takes the zone off a time, or counts its seconds.
fn call(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
    let zoned =
        |time: &Expr| matches!(time.get_type(over.schema), Ok(DataType::Timestamp(_, Some(_))));
    let naive =
        |time: &Expr| matches!(time.get_type(over.schema), Ok(DataType::Timestamp(_, None)));
    match (call.name(), call.args.as_slice()) {
        ("to_unixtime", [time, ..]) => counted(time, &time.get_type(over.schema)?, over)?,
        ("date_part", [Expr::Literal(part, _), time]) if is_epoch(part) => {
            counted(time, &time.get_type(over.schema)?, over)?;
        }
        ("date_part" | "date_trunc", [Expr::Literal(part, _), time])
            if is_below_an_hour(part) || is_day(&time.get_type(over.schema)?) => {}
        ("date_part" | "date_trunc", [_, time]) | ("to_char", [time, _]) if naive(time) => {
            by_some_clock(time, over)?;
        }
        ("date_bin", [span, time, ..]) if naive(time) && !is_within_an_hour(span) => {
            by_some_clock(time, over)?;
        }
        ("to_date", [time]) if naive(time) => by_some_clock(time, over)?,
        ("nvl", parts) if parts.iter().any(|part| !naive(part)) => {
            for time in parts.iter().filter(|part| naive(part)) {
                by_some_clock(time, over)?;
            }
        }
        ("concat" | "concat_ws", parts) => {
            for time in parts.iter().filter(|part| naive(part)) {
                by_some_clock(time, over)?;
            }
        }
        ("to_date", [Expr::Cast(text)])
            if text.field.data_type().is_string() && zoned(&text.expr) =>
        {
            return Ok(Transformed::yes(day_of(&text.expr)));
        }
        ("to_date", [time]) if zoned(time) => return Ok(Transformed::yes(day_of(time))),
        ("to_date", [text]) if text.get_type(over.schema)?.is_string() => {
            let Some(text) = without_offset(text) else { return Ok(Transformed::no(expr)) };
            let (func, args) = (Arc::clone(&call.func), vec![text]);
            return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })));
        }
        (name, [time]) if name.starts_with("to_timestamp") && zoned(time) => {
            if let DataType::Timestamp(_, None) = expr.get_type(over.schema)? {
                let (func, args) = (Arc::clone(&call.func), vec![shown(time)]);
                return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })));
            }
        }
        _ => {}
    }
    Ok(Transformed::no(expr))
}

/// A text without the offset of the time in it: its day is the one that is written, as PostgreSQL has it, where
/// DataFusion would take that of UTC. `None` where there is none to take off.
fn without_offset(text: &Expr) -> Option<Expr> {
    const TIME_AND_OFFSET: &str = r"^(.*\d:\d\d.*?)\s*([Zz]|[+-]\d\d(:?\d\d)?)$";
    let is_done = |call: &ScalarFunction| matches!(call.args.get(1), Some(Expr::Literal(pattern, _)) if matches!(pattern.try_as_str(), Some(Some(TIME_AND_OFFSET))));
    match text {
        Expr::Literal(text, _) if !matches!(text.try_as_str(), Some(Some(text)) if text.contains(':')) => {
            None
        }
        Expr::ScalarFunction(call) if is_done(call) => None,
        text => {
            Some(regex::regexp_replace().call(vec![text.clone(), lit(TIME_AND_OFFSET), lit(r"\1")]))
        }
    }
}

/// The day that the clock of its zone shows.
fn day_of(time: &Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(shown(time)), DataType::Date32))
}

fn is_epoch(part: &ScalarValue) -> bool {
    matches!(part.try_as_str(), Some(Some(part)) if part.trim_matches('\'').eq_ignore_ascii_case("epoch"))
}

/// Refuses to count the seconds since 1970 of what is no moment.
fn counted(time: &Expr, of: &DataType, over: Over<'_>) -> Result<()> {
    let of_clock = match of {
        DataType::Timestamp(_, None) => {
            !matches!(tells(time, over.inputs), Tells::Instant | Tells::Moment | Tells::Nothing)
        }
        of if is_day(of) => true,
        // As it would be read as a time.
        of if of.is_string() => {
            let naive = DataType::Timestamp(TimeUnit::Millisecond, None);
            let read = Expr::Cast(Cast::new(Box::new(time.clone()), naive));
            !matches!(tells(&read, over.inputs), Tells::Instant | Tells::Moment | Tells::Nothing)
        }
        _ => false,
    };
    if !of_clock {
        return Ok(());
    }
    if let Some(moment) = whose_clock(time) {
        let moment = in_words(moment);
        return refuse(
            time,
            format!(
                "seconds are counted to a moment, and what the clock shows of {moment} has no zone: count those of {moment} itself"
            ),
        );
    }
    let shown = in_words(time);
    let zoned = match of {
        DataType::Timestamp(..) => shown.clone(),
        _ => format!("CAST({shown} AS TIMESTAMP)"),
    };
    refuse(
        time,
        format!(
            "seconds are counted to a moment, and {shown} has no zone: say whose clock it is by, as in {zoned} AT TIME ZONE \
             'Asia/Shanghai', or AT TIME ZONE 'UTC'"
        ),
    )
}

/// The time whose zone was taken off here; `None` for others.
fn whose_clock(time: &Expr) -> Option<&Expr> {
    match time {
        Expr::Alias(alias) => whose_clock(&alias.expr),
        Expr::Cast(cast) => whose_clock(&cast.expr),
        Expr::ScalarFunction(call) if call.name() == "to_local_time" => call.args.first(),
        _ => None,
    }
}

/// The days between two days, as the number that they are: DataFusion's estimate of a filter takes them for a span, and fails.
fn days_between(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::Minus, right }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let is_day = |side: &Expr| {
        // The type of a long sum is not looked for at each of its steps.
        !matches!(side, Expr::BinaryExpr(_))
            && matches!(side.get_type(over.schema), Ok(DataType::Date32))
    };
    if !is_day(right) || !is_day(left) {
        return Ok(Transformed::no(expr));
    }
    let number = |day: &Expr| {
        let day = Expr::Cast(Cast::new(Box::new(day.clone()), DataType::Int32));
        Expr::Cast(Cast::new(Box::new(day), DataType::Int64))
    };
    Ok(Transformed::yes(binary_expr(number(left), *op, number(right))))
}

/// Refuses to add to a day, or take from it, what is not whole days: its type has no room for hours, and DataFusion drops them.
fn hours_on_a_day(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) = &expr
    else {
        return Ok(Transformed::no(expr));
    };
    let is =
        |side: &Expr, is: fn(&DataType) -> bool| side.get_type(over.schema).is_ok_and(|of| is(&of));
    let is_span = |of: &DataType| matches!(of, DataType::Interval(_) | DataType::Duration(_));
    // The type of a long sum is not looked for at each of its steps.
    let is_other = |side: &Expr| {
        matches!(side, Expr::Literal(..) | Expr::Column(_))
            && !is(side, is_day)
            && !is(side, is_span)
    };
    if is_other(left) || is_other(right) {
        return Ok(Transformed::no(expr));
    }
    let (day, span) = match (is(left, is_day), is(right, is_day)) {
        (true, false) if is(right, is_span) => (left, right),
        (false, true) if is(left, is_span) => (right, left),
        _ => return Ok(Transformed::no(expr)),
    };
    if is_whole_days(span) {
        return Ok(Transformed::no(expr));
    }
    let (day, span) = (in_words(day), in_words(span));
    refuse(
        &expr,
        format!(
            "{day} is a day, and {span} is not known to be whole days: for a time write CAST({day} AS TIMESTAMP) + INTERVAL \
             '…', for a day an interval of days, months or years"
        ),
    )
}

/// Refuses to put what holds times with a zone and what holds days or times without one in one list: its functions compare
/// them by the clock of UTC as they run. `NVL` of such a pair is a text.
fn times_within(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
    if !matches!(call.name(), "nvl" | "make_array") && !call.name().starts_with("array_") {
        return Ok(Transformed::no(expr));
    }
    let types = call.args.iter().filter_map(|arg| arg.get_type(over.schema).ok());
    let leaves: Vec<DataType> = types.flat_map(|of| leaves(&of)).collect();
    let is_zoned = |of: &DataType| matches!(of, DataType::Timestamp(_, Some(_)));
    let is_naive = |of: &DataType| is_day(of) || matches!(of, DataType::Timestamp(_, None));
    if leaves.iter().any(is_zoned) && leaves.iter().any(is_naive) {
        return mixed(&expr);
    }
    Ok(Transformed::no(expr))
}

/// Whether an interval is known to be of whole days.
fn is_whole_days(span: &Expr) -> bool {
    const DAY_MS: i64 = 86_400_000;
    match span {
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => true,
        Expr::Literal(ScalarValue::IntervalDayTime(span), _) => {
            span.is_none_or(|span| i64::from(span.milliseconds) % DAY_MS == 0)
        }
        Expr::Literal(ScalarValue::IntervalMonthDayNano(span), _) => {
            span.is_none_or(|span| span.nanoseconds % (DAY_MS * 1_000_000) == 0)
        }
        Expr::Literal(value, _) => value.is_null(),
        Expr::Alias(alias) => is_whole_days(&alias.expr),
        Expr::Negative(span) | Expr::Cast(Cast { expr: span, .. }) => is_whole_days(span),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => {
            is_whole_days(left) && is_whole_days(right)
        }
        _ => false,
    }
}
