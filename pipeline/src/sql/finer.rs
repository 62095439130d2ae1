//! Times that are finer than what they are compared with.
//!
//! DataFusion compares two times in the finer of their units, and its optimizer then brings a constant down to the unit of the
//! column and cuts it: an event time of 08:00:00.000 would be `= TIMESTAMP '2020-11-11 08:00:00.0005'` and not before it. Here
//! what is between two milliseconds lies between them: nothing equals it, and what is before it is at most the millisecond below.
//! Where a finer time would still be cast down, it is refused: only a cast that is written cuts it.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::datetime;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, TryCast,
    Volatility, binary_expr, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::clocks::{is_day, shown};
use super::constants::value_of;
use super::instants::{is_constant, rewritten_over};
use super::refusal::{in_words, refuse};
use super::sides::with_sides;
use super::spans::ns_in;

/// Puts such times between two of the coarser unit; behind the rules that make types alike.
#[derive(Debug)]
pub struct FinerTimes;

impl AnalyzerRule for FinerTimes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = rewritten_over(plan, |expr, over| {
            as_coarse(expr, over.schema)?.transform_data(|expr| Ok(told(expr, over.schema)))
        })?;
        rewritten_over(plan, |expr, over| {
            cut(&expr, over.schema)?;
            Ok(kept_fine(expr, over.schema))
        })
    }

    fn name(&self) -> &str {
        "finer_times"
    }
}

fn told(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            if let Some((time, finer)) = finer(&left, &right, schema) {
                return Transformed::yes(compared(time, op, finer));
            }
            match finer(&right, &left, schema) {
                Some((time, finer)) => {
                    Transformed::yes(compared(time, op.swap().unwrap_or(op), finer))
                }
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            }
        }
        Expr::Between(Between { expr, negated, low, high })
            if [(&*expr, &*low), (&low, &expr), (&expr, &high), (&high, &expr)]
                .into_iter()
                .any(|(one, other)| finer(one, other, schema).is_some()) =>
        {
            let side =
                |op, bound: Expr| told(binary_expr(expr.as_ref().clone(), op, bound), schema).data;
            Transformed::yes(match negated {
                false => side(Operator::GtEq, *low).and(side(Operator::LtEq, *high)),
                true => side(Operator::Lt, *low).or(side(Operator::Gt, *high)),
            })
        }
        Expr::InList(InList { expr, list, negated })
            if list.iter().any(|item| {
                finer(&expr, item, schema).is_some() || finer(item, &expr, schema).is_some()
            }) =>
        {
            let op = if negated { Operator::NotEq } else { Operator::Eq };
            let each = list
                .into_iter()
                .map(|item| told(binary_expr(expr.as_ref().clone(), op, item), schema).data);
            let all = each.reduce(|all, one| if negated { all.and(one) } else { all.or(one) });
            Transformed::yes(all.unwrap_or_else(|| lit(negated)))
        }
        expr => Transformed::no(expr),
    }
}

/// Days and times of milliseconds that meet, in milliseconds: DataFusion makes them nanoseconds, which end in 2262.
fn as_coarse(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let chosen = match &expr {
        Expr::Case(_) | Expr::ScalarFunction(_) => expr.get_type(schema).ok(),
        _ => None,
    };
    let told = with_sides(expr, |_, sides| {
        let mut zone = None;
        for side in sides {
            if let Expr::Cast(cast) = side
                && let DataType::Timestamp(TimeUnit::Nanosecond, of) = cast.field.data_type()
            {
                zone = Some(of.clone());
            }
        }
        let Some(zone) = zone else { return Ok(None) };
        let ms = DataType::Timestamp(TimeUnit::Millisecond, zone);
        let told = sides.iter().map(|side| in_ms(side, &ms, schema));
        Ok(told.collect::<Option<Vec<Expr>>>())
    })?;
    // What it stands in expects the type that it had.
    Ok(match chosen {
        Some(of) if told.transformed => {
            told.update_data(|chosen| Expr::Cast(Cast::new(Box::new(chosen), of)))
        }
        _ => told,
    })
}

/// A day or a time of milliseconds, as a type of milliseconds; `None` for what is, or may be, finer.
fn in_ms(side: &Expr, ms: &DataType, schema: &DFSchema) -> Option<Expr> {
    let coarse = coarse(side, schema)?;
    match coarse.get_type(schema) {
        Ok(of) if of == *ms => Some(coarse),
        _ => Some(Expr::Cast(Cast::new(Box::new(coarse), ms.clone()))),
    }
}

/// An expression before it was made nanoseconds; `None` for what is, or may be, finer than milliseconds.
fn coarse(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let of = expr.get_type(schema).ok()?;
    let is_coarse = matches!(of, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _));
    if is_coarse || of.is_null() || is_day(&of) {
        return Some(expr.clone());
    }
    let cast = |expr: Expr, to: DataType| Expr::Cast(Cast::new(Box::new(expr), to));
    match (expr, of) {
        (Expr::Cast(Cast { expr: from, .. }), DataType::Timestamp(_, zone)) => {
            let ms = DataType::Timestamp(TimeUnit::Millisecond, zone);
            match from.as_ref() {
                Expr::Literal(text, _) if text.data_type().is_string() => {
                    let is_whole = below(from, &ms).is_none() && text.cast_to(&ms).is_ok();
                    is_whole.then(|| cast(from.as_ref().clone(), ms))
                }
                // By the clock of a zone.
                Expr::Cast(read) if read.field.data_type().is_string() => {
                    let read = cast(coarse(&read.expr, schema)?, DataType::Utf8);
                    Some(cast(read, ms))
                }
                from => Some(cast(coarse(from, schema)?, ms)),
            }
        }
        (Expr::ScalarFunction(call), _) if call.name() == "to_local_time" => {
            Some(shown(&coarse(call.args.first()?, schema)?))
        }
        _ => None,
    }
}

/// A time of a coarser unit as a finer one, so that the optimizer does not take the cast off it again and cut what it is
/// compared with.
fn kept_fine(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_kept = |expr: &Expr| {
        matches!(expr, Expr::ScalarFunction(call) if call.name() == "date_trunc"
            && matches!(call.args.first(), Some(Expr::Literal(part, _)) if matches!(part.try_as_str(), Some(Some("microsecond")))))
    };
    match expr {
        Expr::Cast(ref cast)
            if !is_constant(&cast.expr)
                && cast
                    .expr
                    .get_type(schema)
                    .is_ok_and(|of| is_finer(cast.field.data_type(), &of)) =>
        {
            Transformed::yes(cut_to(TimeUnit::Microsecond, expr))
        }
        // An analysis before this one has kept it.
        Expr::ScalarFunction(mut call)
            if call.name() == "date_trunc" && call.args.get(1).is_some_and(is_kept) =>
        {
            match (is_kept(&Expr::ScalarFunction(call.clone())), call.args.pop()) {
                (true, Some(kept)) => Transformed::yes(kept),
                (_, kept) => {
                    call.args.extend(kept);
                    Transformed::no(Expr::ScalarFunction(call))
                }
            }
        }
        expr => Transformed::no(expr),
    }
}

/// A sum of a time and a constant that is finer than it, in the finer unit: DataFusion would drop what is finer.
pub(super) fn finer_sum(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let is_finer_span = |side: &Expr| {
        matches!(side, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(of)), _)
            if of.nanoseconds % ns_in(TimeUnit::Millisecond) != 0)
    };
    let as_fine = |time: &Expr| match time.get_type(schema) {
        Ok(DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone)) => {
            let finest = DataType::Timestamp(TimeUnit::Nanosecond, zone);
            Some(Expr::Cast(Cast::new(Box::new(time.clone()), finest)))
        }
        _ => None,
    };
    let told = match op {
        Operator::Plus | Operator::Minus if is_finer_span(&right) => {
            as_fine(&left).map(|time| binary_expr(time, op, right.as_ref().clone()))
        }
        Operator::Plus if is_finer_span(&left) => {
            as_fine(&right).map(|time| binary_expr(left.as_ref().clone(), op, time))
        }
        _ => None,
    };
    Ok(match told {
        Some(told) => Transformed::yes(told),
        None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
    })
}

/// A time finer than the unit of what it is compared with.
enum Finer {
    /// It is only written so, and this it is.
    Is(Expr),
    /// A constant between two of the unit: the one below.
    Above(Expr),
    /// The two of the unit that it lies between; the same one twice where it lies upon it.
    Between(Expr, Expr),
}

/// A time compared with a finer one.
fn compared(time: Expr, op: Operator, finer: Finer) -> Expr {
    let (below, above) = match finer {
        Finer::Is(other) => return binary_expr(time, op, other),
        Finer::Between(below, above) => (below, above),
        Finer::Above(below) => {
            return match op {
                Operator::Lt | Operator::LtEq => time.lt_eq(below),
                Operator::Gt | Operator::GtEq => time.gt(below),
                // It is neither, and unknown where the time is.
                Operator::Eq => time.clone().lt_eq(below.clone()).and(time.gt(below)),
                Operator::NotEq => time.clone().lt_eq(below.clone()).or(time.gt(below)),
                Operator::IsDistinctFrom => lit(true),
                Operator::IsNotDistinctFrom => lit(false),
                op => binary_expr(time, op, below),
            };
        }
    };
    match op {
        Operator::Lt | Operator::GtEq => binary_expr(time, op, above),
        Operator::Eq | Operator::IsNotDistinctFrom => {
            binary_expr(time.clone(), op, below).and(binary_expr(time, op, above))
        }
        Operator::NotEq | Operator::IsDistinctFrom => {
            binary_expr(time.clone(), op, below).or(binary_expr(time, op, above))
        }
        op => binary_expr(time, op, below),
    }
}

/// Refuses what would be cut.
fn cut(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let (fine, to) = match expr {
        Expr::Cast(Cast { expr: fine, field }) => (fine.as_ref(), field.data_type().clone()),
        // What LAG and LEAD give where there is no such row.
        Expr::WindowFunction(call) => match call.params.args.as_slice() {
            [time, _, otherwise] => (otherwise, time.get_type(schema)?),
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    if !is_cut(fine, &to, schema) {
        return Ok(());
    }
    let told = in_words(fine);
    refuse(
        expr,
        format!(
            "{told} is finer than the times it is put beside, and would be cut: write it as they are, or \
             CAST({told} AS TIMESTAMP(3))"
        ),
    )
}

/// A written cast that cuts, as the words it is: nothing behind it takes it for a finer one.
pub(super) fn cut_as_written(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (from, to) = match &expr {
        Expr::Cast(Cast { expr: from, field }) | Expr::TryCast(TryCast { expr: from, field }) => {
            (from.as_ref(), field.data_type())
        }
        _ => return Transformed::no(expr),
    };
    let (true, DataType::Timestamp(unit, _)) = (is_cut(from, to, schema), to) else {
        return Transformed::no(expr);
    };
    let fine = match from {
        Expr::Literal(text, _) if text.data_type().is_string() => {
            let finest = DataType::Timestamp(TimeUnit::Nanosecond, None);
            Expr::Cast(Cast::new(Box::new(from.clone()), finest))
        }
        fine => fine.clone(),
    };
    let cut = Box::new(cut_to(*unit, fine));
    Transformed::yes(match &expr {
        Expr::TryCast(cast) => Expr::TryCast(TryCast::new_from_field(cut, Arc::clone(&cast.field))),
        _ => Expr::Cast(Cast::new(cut, to.clone())),
    })
}

fn cut_to(unit: TimeUnit, fine: Expr) -> Expr {
    let part = match unit {
        TimeUnit::Second => "second",
        TimeUnit::Millisecond => "millisecond",
        TimeUnit::Microsecond | TimeUnit::Nanosecond => "microsecond",
    };
    datetime::date_trunc().call(vec![lit(part), fine])
}

/// Whether a time is finer than a type and not known to be one of its times.
fn is_cut(fine: &Expr, to: &DataType, schema: &DFSchema) -> bool {
    let DataType::Timestamp(unit, _) = to else { return false };
    match (fine.get_type(schema), fine) {
        (Ok(DataType::Timestamp(of, _)), _) if of > *unit => {
            !is_whole(fine, *unit, schema) && !is_known_whole(fine, to)
        }
        // What is written.
        (Ok(of), Expr::Literal(..)) if of.is_string() => below(fine, to).is_some(),
        _ => false,
    }
}

/// Whether a constant can be computed here and is one of a type's times.
fn is_known_whole(fine: &Expr, to: &DataType) -> bool {
    is_fixed(fine) && value_of(fine).is_ok() && below(fine, to).is_none()
}

/// Whether a time has been made one of a unit.
fn is_whole(fine: &Expr, unit: TimeUnit, schema: &DFSchema) -> bool {
    match fine {
        Expr::Alias(alias) => is_whole(&alias.expr, unit, schema),
        Expr::Cast(Cast { expr, .. }) => match expr.get_type(schema) {
            Ok(DataType::Timestamp(of, _)) => of <= unit || is_whole(expr, unit, schema),
            Ok(of) => is_day(&of),
            Err(_) => false,
        },
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("date_trunc", [Expr::Literal(part, _), time]) => {
                let part = part.try_as_str().flatten().unwrap_or_default().to_ascii_lowercase();
                let to_unit = match unit {
                    TimeUnit::Second => part != "millisecond" && part != "microsecond",
                    TimeUnit::Millisecond => part != "microsecond",
                    _ => true,
                };
                to_unit || is_whole(time, unit, schema)
            }
            ("to_local_time", [time]) => is_whole(time, unit, schema),
            _ => false,
        },
        _ => false,
    }
}

/// A time and what is finer beside it; `None` where nothing is cut.
///
/// DataFusion has cast the finer one down, or the time up, which its optimizer turns round where the finer is a constant.
fn finer(time: &Expr, other: &Expr, schema: &DFSchema) -> Option<(Expr, Finer)> {
    // A constant stays as it is, where nanoseconds can hold it.
    let lifted = match time.get_type(schema).ok()? {
        DataType::Timestamp(TimeUnit::Nanosecond, _)
            if !is_fixed(time) || value_of(time).is_err() =>
        {
            coarse(time, schema)
        }
        _ => None,
    };
    let (time, fine) = match (&lifted, time, other) {
        (Some(coarse), _, other) => (coarse, other),
        (_, Expr::Cast(up), _)
            if is_finer(up.field.data_type(), &up.expr.get_type(schema).ok()?) =>
        {
            (up.expr.as_ref(), other)
        }
        (_, time, Expr::Cast(down)) => (time, down.expr.as_ref()),
        (_, time, _) => (time, other),
    };
    let of = time.get_type(schema).ok()?;
    let DataType::Timestamp(unit, _) = of else { return None };
    if is_fixed(fine) {
        let told = match beyond(fine, &of) {
            Some(written) => Some(Finer::Is(Expr::Literal(written, None))),
            None => below(fine, &of).map(|below| Finer::Above(Expr::Literal(below, None))),
        };
        if let Some(told) = told {
            return Some((time.clone(), told));
        }
    }
    if !is_cut(fine, &of, schema) {
        return None;
    }
    let almost_one = lit(ScalarValue::new_interval_mdn(0, 0, ns_in(unit) - 1));
    let of_unit = |fine: Expr| Expr::Cast(Cast::new(Box::new(cut_to(unit, fine)), of.clone()));
    let (below, above) = (of_unit(fine.clone()), of_unit(fine.clone() + almost_one));
    Some((time.clone(), Finer::Between(below, above)))
}

/// What is written and nanoseconds cannot hold, as the type that it is compared with.
fn beyond(written: &Expr, of: &DataType) -> Option<ScalarValue> {
    let DataType::Timestamp(_, zone) = of else { return None };
    let text = match written {
        Expr::Literal(text, _) => text,
        Expr::Cast(cast) => return beyond(&cast.expr, of),
        _ => return None,
    };
    let finest = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
    if !text.data_type().is_string() || text.cast_to(&finest).is_ok() {
        return None;
    }
    text.cast_to(of).ok()
}

/// Whether a constant is the same whenever it is computed.
fn is_fixed(expr: &Expr) -> bool {
    is_constant(expr) && is_immutable(expr)
}

/// The time of a type that is right below a constant; `None` where the constant is one of them, and for what nanoseconds cannot
/// hold, which is compared as it is.
fn below(fine: &Expr, of: &DataType) -> Option<ScalarValue> {
    let DataType::Timestamp(unit, zone) = of else { return None };
    let finest = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
    let finest = Expr::Cast(Cast::new(Box::new(fine.clone()), finest));
    let ScalarValue::TimestampNanosecond(Some(ns), zone) = value_of(&finest).ok()? else {
        return None;
    };
    if ns.rem_euclid(ns_in(*unit)) == 0 {
        return None;
    }
    let below = ns.div_euclid(ns_in(*unit));
    Some(match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(below), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(below), zone),
        _ => ScalarValue::TimestampMicrosecond(Some(below), zone),
    })
}

/// Whether a time is of the other's zone and a finer unit. Units are in the order of their length.
fn is_finer(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (DataType::Timestamp(one, zone), DataType::Timestamp(other, same)) => {
            one > other && zone == same
        }
        _ => false,
    }
}

/// Whether an expression has the same value whenever it is computed.
fn is_immutable(expr: &Expr) -> bool {
    let varies = |part: &Expr| {
        Ok(
            matches!(part, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable),
        )
    };
    !expr.exists(varies).unwrap_or(true)
}
