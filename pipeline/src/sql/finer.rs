//! Times that are written finer than what they are compared with.
//!
//! DataFusion compares two times in the coarser of their units, and cuts the other: an event time of 08:00:00.000 would be
//! `= TIMESTAMP '2020-11-11 08:00:00.0005'` and not before it. Here a constant between two milliseconds lies between them:
//! nothing equals it, and what is before it is at most the millisecond that it was cut to.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, LogicalPlan, Operator, Volatility, binary_expr, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::constants::value_of;
use super::instants::is_constant;
use super::rewrite::rewritten;

/// Puts such constants between two units; behind the rules that make types alike.
#[derive(Debug)]
pub struct FinerTimes;

impl AnalyzerRule for FinerTimes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, |expr| Ok(told(expr)))
    }

    fn name(&self) -> &str {
        "finer_times"
    }
}

fn told(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if op.supports_propagation() || is_distinct(op) =>
        {
            if let Some(cut) = cut_down(&right) {
                return Transformed::yes(compared(*left, op, cut));
            }
            match (cut_down(&left), op.swap()) {
                (Some(cut), Some(op)) => Transformed::yes(compared(*right, op, cut)),
                (Some(cut), None) => Transformed::yes(compared(*right, op, cut)),
                _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            }
        }
        Expr::Between(between)
            if cut_down(&between.low).is_some() || cut_down(&between.high).is_some() =>
        {
            let Between { expr, negated, low, high } = between;
            let side = |op, bound: Expr| match cut_down(&bound) {
                Some(cut) => compared(expr.as_ref().clone(), op, cut),
                None => binary_expr(expr.as_ref().clone(), op, bound),
            };
            Transformed::yes(match negated {
                false => side(Operator::GtEq, *low).and(side(Operator::LtEq, *high)),
                true => side(Operator::Lt, *low).or(side(Operator::Gt, *high)),
            })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let cut = list.iter().find_map(cut_down);
            let Some(cut) = cut else {
                return Transformed::no(Expr::InList(InList { expr, list, negated }));
            };
            let list: Vec<Expr> =
                list.into_iter().filter(|item| cut_down(item).is_none()).collect();
            Transformed::yes(match (list.is_empty(), negated) {
                (false, _) => Expr::InList(InList { expr, list, negated }),
                (true, false) => compared(*expr, Operator::Eq, cut),
                (true, true) => compared(*expr, Operator::NotEq, cut),
            })
        }
        expr => Transformed::no(expr),
    }
}

fn is_distinct(op: Operator) -> bool {
    matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
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

/// The unit below a constant that DataFusion has cut to it; `None` for one that lost nothing, and for what is no constant.
fn cut_down(side: &Expr) -> Option<Expr> {
    let Expr::Cast(cast) = side else { return None };
    let DataType::Timestamp(unit, zone) = cast.field.data_type() else { return None };
    if *unit == TimeUnit::Nanosecond || !is_constant(side) || !is_immutable(side) {
        return None;
    }
    let finest = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
    let finest = Expr::Cast(Cast::new(cast.expr.clone(), finest));
    let per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => 1_000,
    };
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
    Some(Expr::Literal(below, None))
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
