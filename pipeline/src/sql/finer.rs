//! Times that are written finer than what they are compared with.
//!
//! DataFusion compares two times in the coarser of their units, and cuts the other: an event time of 08:00:00.000 would be
//! `= TIMESTAMP '2020-11-11 08:00:00.0005'` and not before it. Here a constant between two milliseconds lies between them:
//! nothing equals it, and what is before it is at most the millisecond that it was cut to.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, Volatility,
    binary_expr, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::constants::value_of;
use super::instants::{is_constant, rewritten_over};

/// Puts such constants between two units; behind the rules that make types alike.
#[derive(Debug)]
pub struct FinerTimes;

impl AnalyzerRule for FinerTimes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten_over(plan, |expr, over| Ok(told(expr, over.schema)))
    }

    fn name(&self) -> &str {
        "finer_times"
    }
}

fn told(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            if let Some((time, cut)) = cut_down(&left, &right, schema) {
                return Transformed::yes(compared(time, op, cut));
            }
            match cut_down(&right, &left, schema) {
                Some((time, cut)) => Transformed::yes(compared(time, op.swap().unwrap_or(op), cut)),
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            }
        }
        Expr::Between(Between { expr, negated, low, high })
            if [&low, &high].iter().any(|bound| cut_down(&expr, bound, schema).is_some()) =>
        {
            let side = |op, bound: Expr| match cut_down(&expr, &bound, schema) {
                Some((time, cut)) => compared(time, op, cut),
                None => binary_expr(expr.as_ref().clone(), op, bound),
            };
            Transformed::yes(match negated {
                false => side(Operator::GtEq, *low).and(side(Operator::LtEq, *high)),
                true => side(Operator::Lt, *low).or(side(Operator::Gt, *high)),
            })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let found = list.iter().find_map(|item| cut_down(&expr, item, schema));
            let Some((time, cut)) = found else {
                return Transformed::no(Expr::InList(InList { expr, list, negated }));
            };
            let is_whole = |item: &Expr| cut_down(&expr, item, schema).is_none();
            let list: Vec<Expr> = list.into_iter().filter(is_whole).collect();
            Transformed::yes(match (list.is_empty(), negated) {
                (false, _) => Expr::InList(InList { expr, list, negated }),
                (true, false) => compared(time, Operator::Eq, cut),
                (true, true) => compared(time, Operator::NotEq, cut),
            })
        }
        expr => Transformed::no(expr),
    }
}

/// A time compared with one that lies just above `cut`.
fn compared(time: Expr, op: Operator, cut: Expr) -> Expr {
    match op {
        Operator::Lt | Operator::LtEq => time.lt_eq(cut),
        Operator::Gt | Operator::GtEq => time.gt(cut),
        // It is neither, and unknown where the time is.
        Operator::Eq => time.clone().lt_eq(cut.clone()).and(time.gt(cut)),
        Operator::NotEq => time.clone().lt_eq(cut.clone()).or(time.gt(cut)),
        Operator::IsDistinctFrom => lit(true),
        Operator::IsNotDistinctFrom => lit(false),
        op => binary_expr(time, op, cut),
    }
}

/// A time and the unit of it below a constant that lies between two; `None` where it lies upon one, and for what is no constant.
///
/// DataFusion has cast the constant down, or the time up, which its optimizer turns round.
fn cut_down(time: &Expr, constant: &Expr, schema: &DFSchema) -> Option<(Expr, Expr)> {
    if !is_constant(constant) || !is_immutable(constant) {
        return None;
    }
    let (time, fine) = match (time, constant) {
        (Expr::Cast(up), _) if is_finer(up.field.data_type(), &up.expr.get_type(schema).ok()?) => {
            (up.expr.as_ref(), constant)
        }
        (time, Expr::Cast(down)) => (time, down.expr.as_ref()),
        (time, _) => (time, constant),
    };
    let of = time.get_type(schema).ok()?;
    let DataType::Timestamp(unit, zone) = &of else { return None };
    let per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => return None,
    };
    let finest = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
    let finest = Expr::Cast(Cast::new(Box::new(fine.clone()), finest));
    // What nanoseconds cannot hold is compared as it is.
    let ScalarValue::TimestampNanosecond(Some(ns), zone) = value_of(&finest).ok()? else {
        return None;
    };
    if ns.rem_euclid(per_unit) == 0 {
        return None;
    }
    let below = ns.div_euclid(per_unit);
    let below = match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(below), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(below), zone),
        _ => ScalarValue::TimestampMicrosecond(Some(below), zone),
    };
    Some((time.clone(), Expr::Literal(below, None)))
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
