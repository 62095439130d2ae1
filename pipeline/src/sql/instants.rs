//! Times with a zone beside times and days without one: what each means.
//!
//! The event time of a stream has the stream's zone; the columns of a stream or reference table in UTC have none.
//! DataFusion makes both alike by taking the clock of the one without a zone for the zone's own, and a day for midnight
//! in UTC, so that in Shanghai `event_time >= DATE '2020-11-11'` would begin at eight in the morning. Here a day begins at
//! the zone's midnight, a column without a zone is the instant that it is, and a stamp that is written in the query is
//! by the zone's clock, or by the offset it names.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, Projection,
    binary_expr,
};
use datafusion::optimizer::AnalyzerRule;

use super::clocks::{CHOOSE, Tells, shown, tells};
use super::refusal::{in_words, refuse};
use crate::model::Zone;

/// Rewrites the casts that DataFusion has put in, and those that are written; behind its own rules.
#[derive(Debug)]
pub struct Instants;

impl AnalyzerRule for Instants {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = rewritten_over(plan, |part, over| {
            of_zone(part, over)?
                .transform_data(|part| chosen_among(part, over))?
                .transform_data(|part| beside_a_day(part, over))?
                .transform_data(|part| difference(part, over))?
                .transform_data(|part| from_midnight(part, over))
        })?;
        rewritten_over(plan, zone_off)
    }

    fn name(&self) -> &str {
        "instants"
    }
}

/// What the expressions of a node stand over.
#[derive(Clone, Copy)]
pub(super) struct Over<'a> {
    /// Columns they may read.
    pub schema: &'a DFSchema,
    /// Where these come from.
    pub inputs: &'a [&'a LogicalPlan],
}

/// A plan and its subqueries with each part of each expression rewritten, from below; names stay, and schemas are anew.
pub(super) fn rewritten_over(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr, Over<'_>) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = schema_under(&node)?;
        let names = NamePreserver::new(&node);
        let inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
        let inputs: Vec<&LogicalPlan> = inputs.iter().collect();
        let over = Over { schema: &schema, inputs: &inputs };
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let told = expr.transform_up(|part| rewrite(part, over))?;
            Ok(told.update_data(|expr| name.restore(expr)))
        })?;
        match node.transformed {
            true => Ok(Transformed::yes(node.data.recompute_schema()?)),
            false => Ok(Transformed::no(node.data)),
        }
    })?;
    Ok(rewritten.data)
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
fn of_zone(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    if !matches!(cast.field.data_type(), DataType::Timestamp(_, Some(_))) {
        return Ok(Transformed::no(expr));
    }
    match as_meant(&cast.expr, &cast.field, over)? {
        Some(meant) => Ok(Transformed::yes(meant)),
        None => Ok(Transformed::no(expr)),
    }
}

/// Where DataFusion still takes the zone off a time, as in a union with days, what the clock of the zone shows stays.
fn zone_off(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    let (Ok(DataType::Timestamp(_, Some(_))), DataType::Timestamp(_, None)) =
        (cast.expr.get_type(over.schema), cast.field.data_type())
    else {
        return Ok(Transformed::no(expr));
    };
    let shown = Box::new(shown(&cast.expr));
    Ok(Transformed::yes(Expr::Cast(Cast::new_from_field(shown, Arc::clone(&cast.field)))))
}

/// A day or a time without a zone as a time with one; `None` where a plain cast says what is meant.
fn as_meant(expr: &Expr, to: &FieldRef, over: Over<'_>) -> Result<Option<Expr>> {
    let schema = over.schema;
    let cast = |expr: Expr| Some(Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::clone(to))));
    // What is computed by an outer query has its type there.
    let Ok(from) = expr.get_type(schema) else { return Ok(None) };
    let unit = match from {
        DataType::Date32 | DataType::Date64 => {
            return Ok(cast(Expr::Cast(Cast::new(Box::new(expr.clone()), DataType::Utf8))));
        }
        DataType::Timestamp(unit, None) => unit,
        _ => return Ok(None),
    };
    let each = |part: Expr| match as_meant(&part, to, over)?.or_else(|| cast(part.clone())) {
        Some(meant) => Ok(Transformed::yes(meant)),
        None => Ok(Transformed::no(part)),
    };
    match expr {
        Expr::Cast(inner) => match inner.expr.get_type(schema) {
            // `TIMESTAMP(3)` cuts what is written finer, so that it is none of `finer.rs`.
            Ok(of) if of.is_string() && unit != TimeUnit::Nanosecond => {
                let DataType::Timestamp(_, zone) = to.data_type() else { return Ok(None) };
                let zoned = DataType::Timestamp(unit, zone.clone());
                return Ok(cast(Expr::Cast(Cast::new(inner.expr.clone(), zoned))));
            }
            Ok(of) if of.is_string() => {
                return Ok(cast(inner.expr.as_ref().clone()));
            }
            Ok(DataType::Date32 | DataType::Date64) => return as_meant(&inner.expr, to, over),
            Ok(DataType::Timestamp(_, Some(_))) => return Ok(cast(inner.expr.as_ref().clone())),
            _ => {}
        },
        // What is chosen among is meant each by itself; what is asked to choose is not touched.
        Expr::Case(case) => {
            let mut case = case.clone();
            for (_, then) in &mut case.when_then_expr {
                **then = each(then.as_ref().clone())?.data;
            }
            if let Some(otherwise) = &mut case.else_expr {
                **otherwise = each(otherwise.as_ref().clone())?.data;
            }
            return Ok(Some(Expr::Case(case)));
        }
        Expr::ScalarFunction(call) if CHOOSE.contains(&call.name()) => {
            return Ok(Some(expr.clone().map_children(each)?.data));
        }
        _ => {}
    }
    let in_zone = |expr: Expr, zone: &str| {
        let zoned = DataType::Timestamp(unit, Some(Arc::from(zone)));
        Expr::Cast(Cast::new(Box::new(expr), zoned))
    };
    // Beside a constant the optimizer would take a plain cast off, and the zone of the constant by the clock of UTC.
    let read = || Expr::Cast(Cast::new(Box::new(expr.clone()), DataType::Utf8));
    match tells(expr, over.inputs) {
        Tells::Clock if !is_constant(expr) => Ok(cast(read())),
        Tells::Clock | Tells::Nothing => Ok(None),
        Tells::ClockOfZone(zone) => match to.data_type() {
            DataType::Timestamp(_, Some(to)) if Zone::named(to) == Ok(zone) => Ok(cast(read())),
            _ => Ok(cast(in_zone(read(), zone.name()))),
        },
        Tells::Unknown => refuse(expr, unclear(expr, to)),
        Tells::Instant | Tells::Moment => Ok(cast(in_zone(expr.clone(), "UTC"))),
    }
}

/// Whether nothing in an expression depends on a row.
pub(super) fn is_constant(expr: &Expr) -> bool {
    let varies = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Placeholder(_)
        ))
    };
    !expr.exists(varies).unwrap_or(true)
}

/// Why a time without a zone cannot stand beside one that has one.
fn unclear(time: &Expr, beside: &FieldRef) -> String {
    let zone = match beside.data_type() {
        DataType::Timestamp(_, Some(zone)) => zone,
        _ => "UTC",
    };
    let time = in_words(time);
    format!(
        "{time} has no zone, and what it is compared with has that of {zone}: whether it is a moment in UTC or what the clock \
         shows cannot be told from here. Say which: {time} AT TIME ZONE '{zone}', or AT TIME ZONE 'UTC'"
    )
}

/// What chooses among a time that has a zone and a day: DataFusion takes the zone off the one and makes the other midnight,
/// in UTC both. Here both have the zone, and what was chosen is what its clock shows.
fn chosen_among(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let schema = over.schema;
    let parts: Vec<&Expr> = match &expr {
        Expr::Case(case) => {
            let then = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            then.chain(case.else_expr.as_deref()).collect()
        }
        Expr::ScalarFunction(call) if CHOOSE.contains(&call.name()) => call.args.iter().collect(),
        _ => return Ok(Transformed::no(expr)),
    };
    let (mut zoned, mut has_day) = (None, false);
    for part in parts {
        let Expr::Cast(cast) = part else { continue };
        let DataType::Timestamp(unit, None) = cast.field.data_type() else { continue };
        match cast.expr.get_type(schema) {
            Ok(DataType::Timestamp(_, Some(zone))) => {
                zoned = Some(DataType::Timestamp(*unit, Some(zone)));
            }
            Ok(DataType::Date32 | DataType::Date64) => has_day = true,
            _ => {}
        }
    }
    let Some(to) = zoned.filter(|_| has_day) else { return Ok(Transformed::no(expr)) };
    let naive = expr.get_type(schema)?;
    let to = Arc::new(Field::new("time", to, true));
    let Some(chosen) = as_meant(&expr, &to, over)? else { return Ok(Transformed::no(expr)) };
    Ok(Transformed::yes(Expr::Cast(Cast::new(Box::new(shown(&chosen)), naive))))
}

/// A time that has a zone beside a day: DataFusion takes the zone off the one and makes the other midnight, in UTC both.
/// Here all that stands beside it has the zone.
fn beside_a_day(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let beside = Beside { over };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if op.supports_propagation() || op == Operator::Minus =>
        {
            let sides = match (beside.zoned(&left), beside.zoned(&right)) {
                (Some((time, to)), None) if beside.is_day(&right) => {
                    Some((time, beside.meant(&right, &to)?))
                }
                (None, Some((time, to))) if beside.is_day(&left) => {
                    Some((beside.meant(&left, &to)?, time))
                }
                _ => None,
            };
            Ok(match sides {
                Some((left, right)) => Transformed::yes(binary_expr(left, op, right)),
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        Expr::InList(mut list) => {
            let told = beside.all(&list.expr, list.list.iter().collect())?;
            Ok(match told {
                Some((time, items)) => {
                    (*list.expr, list.list) = (time, items);
                    Transformed::yes(Expr::InList(list))
                }
                None => Transformed::no(Expr::InList(list)),
            })
        }
        Expr::Between(Between { expr: time, negated, low, high }) => {
            let told = beside.all(&time, vec![&low, &high])?;
            Ok(match told.map(|(time, bounds)| (time, <[Expr; 2]>::try_from(bounds))) {
                Some((time, Ok([low, high]))) => {
                    let told = Between::new(time.into(), negated, low.into(), high.into());
                    Transformed::yes(Expr::Between(told))
                }
                _ => Transformed::no(Expr::Between(Between { expr: time, negated, low, high })),
            })
        }
        Expr::Case(mut case) => {
            let Some(time) = &case.expr else { return Ok(Transformed::no(Expr::Case(case))) };
            let cases = case.when_then_expr.iter().map(|(when, _)| when.as_ref()).collect();
            let Some((time, cases)) = beside.all(time, cases)? else {
                return Ok(Transformed::no(Expr::Case(case)));
            };
            case.expr = Some(Box::new(time));
            for ((when, _), told) in case.when_then_expr.iter_mut().zip(cases) {
                **when = told;
            }
            Ok(Transformed::yes(Expr::Case(case)))
        }
        Expr::InSubquery(mut query) => {
            let Some((time, to)) = beside.zoned(&query.expr) else {
                return Ok(Transformed::no(Expr::InSubquery(query)));
            };
            let Some(days) = as_days(&query.subquery.subquery, &to)? else {
                return Ok(Transformed::no(Expr::InSubquery(query)));
            };
            (*query.expr, query.subquery.subquery) = (time, Arc::new(days));
            Ok(Transformed::yes(Expr::InSubquery(query)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// A difference of a time with a zone and one without, of one unit: DataFusion leaves them as they are, and would count what
/// the clock shows as a moment in UTC.
fn difference(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::Minus, right }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let beside = Beside { over };
    let of = |side: &Expr| side.get_type(over.schema);
    let is_time = |side: &Expr| matches!(of(side), Ok(DataType::Timestamp(..)));
    // The type of a long sum is not looked for at each of its steps: the shorter side is asked first.
    let is_short = |side: &Expr| matches!(side, Expr::Literal(..) | Expr::Column(_));
    if [&left, &right].into_iter().any(|side| is_short(side) && !is_time(side)) {
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    Ok(match (of(&left), of(&right)) {
        (Ok(to @ DataType::Timestamp(_, Some(_))), Ok(DataType::Timestamp(_, None))) => {
            Transformed::yes(binary_expr(*left, op, beside.meant(&right, &to)?))
        }
        (Ok(DataType::Timestamp(_, None)), Ok(to @ DataType::Timestamp(_, Some(_)))) => {
            Transformed::yes(binary_expr(beside.meant(&left, &to)?, op, *right))
        }
        _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
    })
}

/// What stands beside a time, over these columns.
struct Beside<'a> {
    over: Over<'a>,
}

impl Beside<'_> {
    /// A time whose zone has been taken off, with it, and its type.
    fn zoned(&self, expr: &Expr) -> Option<(Expr, DataType)> {
        let Expr::Cast(cast) = expr else { return None };
        match (cast.expr.get_type(self.over.schema), cast.field.data_type()) {
            (Ok(DataType::Timestamp(_, Some(zone))), DataType::Timestamp(unit, None)) => {
                let to = DataType::Timestamp(*unit, Some(zone));
                Some((Expr::Cast(Cast::new(cast.expr.clone(), to.clone())), to))
            }
            _ => None,
        }
    }

    /// Whether it is a day that has been made a time.
    fn is_day(&self, expr: &Expr) -> bool {
        let Expr::Cast(cast) = expr else { return false };
        let from = cast.expr.get_type(self.over.schema);
        let is_time = matches!(cast.field.data_type(), DataType::Timestamp(_, None));
        is_time && matches!(from, Ok(DataType::Date32 | DataType::Date64))
    }

    fn meant(&self, expr: &Expr, to: &DataType) -> Result<Expr> {
        let field = Arc::new(Field::new("time", to.clone(), true));
        let plain = || Expr::Cast(Cast::new(Box::new(expr.clone()), to.clone()));
        Ok(as_meant(expr, &field, self.over)?.unwrap_or_else(plain))
    }

    /// A time and all that stands beside it, where a day is among that.
    fn all(&self, time: &Expr, others: Vec<&Expr>) -> Result<Option<(Expr, Vec<Expr>)>> {
        let Some((time, to)) = self.zoned(time) else { return Ok(None) };
        if !others.iter().any(|other| self.is_day(other)) {
            return Ok(None);
        }
        let told = others.into_iter().map(|other| self.meant(other, &to));
        Ok(Some((time, told.collect::<Result<_>>()?)))
    }
}

/// The rows of a query that are days made times, with their zone; `None` where they are something else.
fn as_days(query: &LogicalPlan, to: &DataType) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = query else { return Ok(None) };
    let [column] = projection.expr.as_slice() else { return Ok(None) };
    let inputs = [projection.input.as_ref()];
    let beside = Beside { over: Over { schema: projection.input.schema(), inputs: &inputs } };
    let (name, day) = (NamePreserver::new(query).save(column), column.clone().unalias());
    if !beside.is_day(&day) {
        return Ok(None);
    }
    let told = name.restore(beside.meant(&day, to)?);
    let days = Projection::try_new(vec![told], Arc::clone(&projection.input))?;
    Ok(Some(LogicalPlan::Projection(days)))
}

/// `date_bin` of a time with a zone begins to count at the zone's midnight where no origin is named, and at the origin by the
/// zone's clock where one is; DataFusion's own would by that of UTC.
fn from_midnight(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let schema = over.schema;
    match expr {
        Expr::ScalarFunction(mut call) if call.name() == "date_bin" => {
            let zoned = match call.args.get(1).map(|time| time.get_type(schema)) {
                Some(Ok(DataType::Timestamp(_, Some(zone)))) => zone,
                _ => return Ok(Transformed::no(Expr::ScalarFunction(call))),
            };
            let changes = Zone::named(&zoned).is_ok_and(|zone| zone.changes_its_clock());
            if changes && !call.args.first().is_some_and(is_within_an_hour) {
                return plan_err!(
                    "date_bin counts hours, and days of {zoned} have 23, 24 or 25: use date_trunc for days and longer, or \
                     TUMBLE over an event time"
                );
            }
            let to = DataType::Timestamp(TimeUnit::Nanosecond, Some(zoned));
            if let Some(origin) = call.args.get_mut(2) {
                if origin.any_column_refs() {
                    return refuse(origin, "the origin of date_bin has to be a constant");
                }
                let to = Arc::new(Field::new("origin", to, true));
                let Some(meant) = origin_of_zone(origin, &to, over)? else {
                    return Ok(Transformed::no(Expr::ScalarFunction(call)));
                };
                *origin = meant;
                return Ok(Transformed::yes(Expr::ScalarFunction(call)));
            }
            let midnight = ScalarValue::from("1970-01-01T00:00:00");
            call.args.push(Expr::Literal(midnight.cast_to(&to)?, None));
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Whether an interval is known to be of an hour at most.
pub(super) fn is_within_an_hour(interval: &Expr) -> bool {
    const HOUR_MS: i64 = 3_600_000;
    match interval {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(time)), _) => {
            (time.months, time.days) == (0, 0) && time.nanoseconds <= HOUR_MS * 1_000_000
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(time)), _) => {
            time.days == 0 && i64::from(time.milliseconds) <= HOUR_MS
        }
        _ => false,
    }
}

/// The zone that DataFusion gives to an argument without one, of a function that wants one of any zone.
const ANY_ZONE: &str = "+00";

/// The origin of `date_bin` by the zone's clock; `None` where it is an instant already.
fn origin_of_zone(origin: &Expr, to: &FieldRef, over: Over<'_>) -> Result<Option<Expr>> {
    let written = |expr: &Expr| {
        let clock = Cast::new_from_field(Box::new(expr.clone()), Arc::clone(to));
        Some(Expr::Cast(clock))
    };
    match (origin.get_type(over.schema)?, origin) {
        // So it has been made to fit where it had no zone; what is under that is as it is meant.
        (DataType::Timestamp(_, Some(zone)), Expr::Cast(cast)) if &*zone == ANY_ZONE => {
            Ok(written(&cast.expr))
        }
        (DataType::Timestamp(_, None), Expr::Literal(..)) => Ok(written(origin)),
        (DataType::Timestamp(_, None), _) => as_meant(origin, to, over),
        _ => Ok(None),
    }
}
