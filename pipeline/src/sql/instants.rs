//! Times with a zone beside times and days without one: what each means.
//!
//! The event time of a stream has the stream's zone; the columns of a stream or reference table in UTC have none.
//! DataFusion makes both alike by taking the clock of the one without a zone for the zone's own, and a day for midnight
//! in UTC, so that in Shanghai `event_time >= DATE '2020-11-11'` would begin at eight in the morning. Here a day begins at
//! the zone's midnight, a column without a zone is the instant that it is, and a stamp that is written in the query is
//! by the zone's clock, or by the offset it names.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, binary_expr,
};
use datafusion::optimizer::AnalyzerRule;

/// Rewrites the casts that DataFusion has put in, and those that are written; behind its own rules.
#[derive(Debug)]
pub struct Instants;

impl AnalyzerRule for Instants {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let schema = schema_under(&node)?;
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let told = expr.transform_up(|part| {
                    of_zone(part, &schema)?.transform_data(|part| Ok(beside_a_day(part, &schema)))
                })?;
                Ok(told.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &str {
        "instants"
    }
}

/// The columns that the expressions of a node may read; those of a scan are over its own.
pub(super) fn schema_under(node: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = DFSchema::empty();
    for input in node.inputs() {
        schema.merge(input.schema());
    }
    if node.inputs().is_empty() {
        schema.merge(node.schema());
    }
    Ok(schema)
}

/// A cast into a time with a zone, as it is meant. Done once more it stays as it is.
fn of_zone(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    let DataType::Timestamp(unit, Some(_)) = cast.field.data_type() else {
        return Ok(Transformed::no(expr));
    };
    // What is computed by an outer query has its type there.
    let Ok(from) = cast.expr.get_type(schema) else { return Ok(Transformed::no(expr)) };
    let inner = match (&from, cast.expr.as_ref()) {
        (DataType::Date32 | DataType::Date64, day) => {
            Expr::Cast(Cast::new(Box::new(day.clone()), DataType::Utf8))
        }
        (DataType::Timestamp(_, None), Expr::Cast(stamp)) if matches!(stamp.expr.as_ref(), Expr::Literal(value, _) if value.data_type().is_string()) => {
            stamp.expr.as_ref().clone()
        }
        (DataType::Timestamp(_, None), other) if is_instant(other)? => {
            let utc = DataType::Timestamp(*unit, Some(Arc::from("UTC")));
            Expr::Cast(Cast::new(Box::new(other.clone()), utc))
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let to = Arc::clone(&cast.field);
    Ok(Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(inner), to))))
}

/// A comparison of a time that has a zone with a day: DataFusion takes the zone off the one and makes the other midnight,
/// in UTC both. Here both have the zone.
fn beside_a_day(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let zoned = |expr: &Expr| match expr {
        Expr::Cast(cast) => match (cast.expr.get_type(schema), cast.field.data_type()) {
            (Ok(DataType::Timestamp(_, Some(zone))), DataType::Timestamp(unit, None)) => {
                let to = DataType::Timestamp(*unit, Some(zone));
                Some((Expr::Cast(Cast::new(cast.expr.clone(), to.clone())), to))
            }
            _ => None,
        },
        _ => None,
    };
    let day = |expr: &Expr, to: &DataType| match expr {
        Expr::Cast(cast) => match (cast.expr.get_type(schema), cast.field.data_type()) {
            (Ok(DataType::Date32 | DataType::Date64), DataType::Timestamp(_, None)) => {
                let text = Expr::Cast(Cast::new(cast.expr.clone(), DataType::Utf8));
                Some(Expr::Cast(Cast::new(Box::new(text), to.clone())))
            }
            _ => None,
        },
        _ => None,
    };
    match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            let sides = match (zoned(left), zoned(right)) {
                (Some((left, to)), None) => day(right, &to).map(|right| (left, right)),
                (None, Some((right, to))) => day(left, &to).map(|left| (left, right)),
                _ => None,
            };
            match sides {
                Some((left, right)) => Transformed::yes(binary_expr(left, *op, right)),
                None => Transformed::no(expr),
            }
        }
        Expr::Between(Between { expr: time, negated, low, high }) => {
            let told = zoned(time).and_then(|(time, to)| {
                let (low, high) = (day(low, &to)?, day(high, &to)?);
                Some(Between::new(Box::new(time), *negated, Box::new(low), Box::new(high)))
            });
            told.map_or(Transformed::no(expr.clone()), |told| Transformed::yes(Expr::Between(told)))
        }
        _ => Transformed::no(expr),
    }
}

/// Whether a time without a zone is an instant: it comes from a column, or is reckoned from the epoch.
fn is_instant(expr: &Expr) -> Result<bool> {
    let mut found = false;
    expr.apply(|part| {
        found |= match part {
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => true,
            Expr::ScalarFunction(call) => {
                call.name().starts_with("to_timestamp") || call.name() == "from_unixtime"
            }
            _ => false,
        };
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
