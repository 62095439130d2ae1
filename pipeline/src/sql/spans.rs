//! Spans between two times, beside intervals.
//!
//! What lies between two times is a length; an interval is months, days and a rest, each for itself. DataFusion makes both
//! intervals and compares months, days and the rest one after the other, so that 25 hours would be less than a day. Here a
//! constant interval beside a span is a span too: a day is 24 hours, as in PostgreSQL, and a month has no length. What is
//! still an interval behind this is compared with nothing (`alike.rs`).

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable as _, Operator, binary_expr};

use super::alike::no_order;
use super::constants::value_of;
use super::instants::{Over, is_constant};
use super::refusal::{in_words, refuse};
use super::sides::{Meet, with_sides};

/// Makes what stands beside a span one of the same unit.
pub(super) fn spans(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let beside = Beside { over };
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus),
            right,
        }) if beside.may_be_spans([&left, &right]) => {
            let told = beside.added(&[&left, &right])?;
            Ok(match told.map(<[Expr; 2]>::try_from) {
                Some(Ok([left, right])) => Transformed::yes(binary_expr(left, op, right)),
                _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        Expr::WindowFunction(mut call) => {
            // DataFusion cannot put spans in order there; as numbers they have the same one.
            let mut is_told = false;
            for key in &mut call.params.order_by {
                match key.expr.get_type(over.schema) {
                    Ok(DataType::Duration(_)) => {
                        key.expr =
                            Expr::Cast(Cast::new(Box::new(key.expr.clone()), DataType::Int64));
                        is_told = true;
                    }
                    Ok(DataType::Interval(_)) => return no_order(&key.expr),
                    _ => {}
                }
            }
            Ok(Transformed::new_transformed(Expr::WindowFunction(call), is_told))
        }
        expr => with_sides(expr, |meet, sides| match meet {
            Meet::Compared => beside.compared(sides),
            Meet::Chosen => beside.chosen(sides),
        }),
    }
}

/// What one side is.
enum Side<'e> {
    Span(&'e Expr, TimeUnit),
    /// A constant interval.
    Constant(&'e Expr),
    /// NULL, which is a span of any unit.
    Null(&'e Expr),
}

struct Beside<'a> {
    over: Over<'a>,
}

impl Beside<'_> {
    /// Sides that are compared, as spans of one unit; two constants too. `None` where they are already, or are something else.
    fn compared(&self, sides: &[&Expr]) -> Result<Option<Vec<Expr>>> {
        let Some(sides) = self.sides(sides) else { return Ok(None) };
        if sides.iter().any(|side| matches!(side, Side::Span(..) | Side::Constant(_))) {
            return alike(&sides);
        }
        Ok(None)
    }

    /// What is chosen among, as spans of one unit where one is a span.
    fn chosen(&self, sides: &[&Expr]) -> Result<Option<Vec<Expr>>> {
        let Some(sides) = self.sides(sides) else { return Ok(None) };
        if sides.iter().any(|side| matches!(side, Side::Span(..))) {
            alike(&sides)
        } else {
            Ok(None)
        }
    }

    /// A sum or difference of a span and a constant, which is a span where the constant has a length.
    fn added(&self, sides: &[&Expr]) -> Result<Option<Vec<Expr>>> {
        let Some(sides) = self.sides(sides) else { return Ok(None) };
        let has_length = |side: &Side<'_>| match side {
            Side::Constant(interval) => matches!(length_of(interval), Some(Length::Whole(_))),
            _ => true,
        };
        let is_span = sides.iter().any(|side| matches!(side, Side::Span(..)));
        if is_span && sides.iter().all(has_length) { alike(&sides) } else { Ok(None) }
    }

    /// The type of a long sum is not looked for at each of its steps.
    fn may_be_spans(&self, sides: [&Expr; 2]) -> bool {
        let is_short = |side: &&&Expr| !matches!(side, Expr::BinaryExpr(_));
        let is_length = |side: &&Expr| {
            matches!(
                side.get_type(self.over.schema),
                Ok(DataType::Duration(_) | DataType::Interval(_))
            )
        };
        sides.iter().filter(is_short).all(is_length)
    }

    /// What the sides are; `None` where one is neither a span nor a constant interval.
    fn sides<'e>(&self, sides: &[&'e Expr]) -> Option<Vec<Side<'e>>> {
        sides.iter().map(|side| self.side(side)).collect()
    }

    fn side<'e>(&self, side: &'e Expr) -> Option<Side<'e>> {
        if let Some((span, unit)) = self.span_of(side) {
            return Some(Side::Span(span, unit));
        }
        match side.get_type(self.over.schema).ok()? {
            DataType::Interval(_) if is_constant(side) => Some(Side::Constant(side)),
            DataType::Null => Some(Side::Null(side)),
            _ => None,
        }
    }

    /// A span between two times, from under the cast that an analysis before this one put on it.
    fn span_of<'e>(&self, side: &'e Expr) -> Option<(&'e Expr, TimeUnit)> {
        let of = |side: &'e Expr| match side.get_type(self.over.schema) {
            Ok(DataType::Duration(unit)) => Some((side, unit)),
            _ => None,
        };
        match side {
            Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Interval(_)) => {
                of(cast.expr.as_ref())
            }
            side => of(side),
        }
    }
}

/// All sides as spans of the finest unit that one of them has; `None` where they are.
fn alike(sides: &[Side<'_>]) -> Result<Option<Vec<Expr>>> {
    let units = || {
        sides.iter().filter_map(|side| match side {
            Side::Span(_, unit) => Some(*unit),
            _ => None,
        })
    };
    // Units are in the order of their length.
    let mut finest = units().max().unwrap_or(TimeUnit::Nanosecond);
    let is_alike = sides.iter().all(|side| !matches!(side, Side::Constant(_)));
    if is_alike && units().all(|unit| unit == finest) {
        return Ok(None);
    }
    let mut constants = Vec::new();
    for side in sides {
        constants.push(match side {
            Side::Constant(interval) => whole_span(interval)?,
            _ => None,
        });
    }
    if constants.iter().flatten().any(|ns| ns % ns_in(finest) != 0) {
        finest = TimeUnit::Nanosecond;
    }
    let told = |(side, constant): (&Side<'_>, Option<i64>)| match side {
        Side::Span(span, unit) if *unit == finest => (*span).clone(),
        Side::Span(span, _) => cast((*span).clone(), finest),
        Side::Null(null) => cast((*null).clone(), finest),
        Side::Constant(_) => {
            Expr::Literal(span(constant.map(|ns| ns / ns_in(finest)), finest), None)
        }
    };
    Ok(Some(sides.iter().zip(constants).map(told).collect()))
}

fn cast(expr: Expr, unit: TimeUnit) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), DataType::Duration(unit)))
}

fn span(count: Option<i64>, unit: TimeUnit) -> ScalarValue {
    match unit {
        TimeUnit::Second => ScalarValue::DurationSecond(count),
        TimeUnit::Millisecond => ScalarValue::DurationMillisecond(count),
        TimeUnit::Microsecond => ScalarValue::DurationMicrosecond(count),
        TimeUnit::Nanosecond => ScalarValue::DurationNanosecond(count),
    }
}

/// How many nanoseconds a unit has.
pub(super) const fn ns_in(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// How long a constant interval is.
enum Length {
    /// In nanoseconds, with days of 24 hours.
    Whole(i64),
    /// It is NULL.
    Null,
    /// It has months, or nanoseconds cannot hold it.
    None,
}

/// `None` for what is no constant that is known here.
fn length_of(interval: &Expr) -> Option<Length> {
    const DAY_NS: i64 = 86_400_000_000_000;
    let (months, days, rest) = match value_of(interval).ok()? {
        ScalarValue::IntervalMonthDayNano(Some(of)) => (of.months, of.days, of.nanoseconds),
        ScalarValue::IntervalDayTime(Some(of)) => {
            (0, of.days, i64::from(of.milliseconds) * 1_000_000)
        }
        ScalarValue::IntervalYearMonth(Some(months)) => (months, 0, 0),
        value if value.is_null() => return Some(Length::Null),
        _ => return None,
    };
    let ns = i64::from(days).checked_mul(DAY_NS).and_then(|days| days.checked_add(rest));
    Some(ns.filter(|_| months == 0).map_or(Length::None, Length::Whole))
}

/// A constant interval in nanoseconds, a day being 24 hours; `None` for NULL.
fn whole_span(interval: &Expr) -> Result<Option<i64>> {
    let why = match length_of(interval) {
        Some(Length::Whole(ns)) => return Ok(Some(ns)),
        Some(Length::Null) => return Ok(None),
        Some(Length::None) => {
            "has no length in hours: compare with an interval of days, hours or less, below 292 years"
        }
        None => {
            "is no constant that is known here, and a span between two times is compared with one"
        }
    };
    refuse(interval, format!("{} {why}", in_words(interval)))
}
