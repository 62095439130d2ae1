//! What a time without a zone tells: an instant, or what a clock shows.
//!
//! A column in UTC is an instant; a stamp in a query, a day, or an event time whose zone was taken off is what a clock of the
//! zone shows. The type is the same, so where such a time comes from is looked for down the plan: through projections,
//! subqueries, `VALUES`, joins and unions, to a table, a literal or a cast.

use std::cell::Cell;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::functions::datetime;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Cast, Distinct, Expr, ExprSchemable as _, JoinType, LogicalPlan, TableScan, TryCast,
};
use datafusion::optimizer::AnalyzerRule;

use super::instants::{Over, rewritten_over};
use super::session::{DeclaredTable, RowsOf};

/// What a time without a zone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// A moment, by the clock of UTC.
    Instant,
    /// What a clock shows; which zone's is for who reads it to say. A day is its midnight.
    Clock,
    /// What the clock of an event time's own zone shows.
    ClockOfZone,
    /// Nothing that could matter: it is NULL.
    Nothing,
    /// It cannot be followed, or is now this and now that.
    Unknown,
}

impl Tells {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (left, right) if left == right => left,
            (Self::Clock, Self::ClockOfZone) | (Self::ClockOfZone, Self::Clock) => {
                Self::ClockOfZone
            }
            _ => Self::Unknown,
        }
    }

    fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::Nothing, Self::and)
    }
}

/// Functions whose value is one of their arguments.
pub(super) const CHOOSE: [&str; 5] = ["coalesce", "nvl", "nullif", "greatest", "least"];

/// Aggregate and window functions whose value is one of those of their first argument.
const PICK: [&str; 10] = [
    "min", "max", "median", "first_value", "last_value", "nth_value", "any_value", "lag", "lead",
    "array_agg",
];

/// What an expression over these inputs tells, which is a time without a zone or a day.
pub(super) fn tells(expr: &Expr, inputs: &[&LogicalPlan]) -> Tells {
    Walk { left: Cell::new(STEPS_MAX) }.expr(expr, inputs)
}

/// How far a time is followed; a column that is chosen among itself twice over thirty subqueries would be without end.
const STEPS_MAX: usize = 10_000;

struct Walk {
    left: Cell<usize>,
}

impl Walk {
    fn expr(&self, expr: &Expr, inputs: &[&LogicalPlan]) -> Tells {
        let Some(left) = self.left.get().checked_sub(1) else { return Tells::Unknown };
        self.left.set(left);
        match expr {
            Expr::Alias(alias) => self.expr(&alias.expr, inputs),
            Expr::Column(column) => self.column(column, inputs),
            Expr::Literal(value, _) if value.is_null() => Tells::Nothing,
            Expr::Literal(..) => Tells::Clock,
            Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
                self.cast(expr, inputs)
            }
            Expr::Case(case) => {
                let then = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                self.all(then.chain(case.else_expr.as_deref()), inputs)
            }
            Expr::ScalarFunction(call) => self.function(call.name(), &call.args, inputs),
            Expr::AggregateFunction(call) if PICK.contains(&call.func.name()) => {
                self.all(call.params.args.first(), inputs)
            }
            Expr::WindowFunction(call) if PICK.contains(&call.fun.name()) => {
                self.all(call.params.args.first(), inputs)
            }
            Expr::BinaryExpr(binary) => {
                let sides = [binary.left.as_ref(), binary.right.as_ref()];
                self.all(sides.into_iter().filter(|side| is_time_or_day(side, inputs)), inputs)
            }
            Expr::ScalarSubquery(query) => self.output(&query.subquery, 0),
            _ => Tells::Unknown,
        }
    }

    fn all<'e>(
        &self,
        all: impl IntoIterator<Item = &'e Expr>,
        inputs: &[&LogicalPlan],
    ) -> Tells {
        Tells::of_all(all.into_iter().map(|expr| self.expr(expr, inputs)))
    }

    /// What is made a time without a zone, by what it was.
    fn cast(&self, from: &Expr, inputs: &[&LogicalPlan]) -> Tells {
        match type_of(from, inputs) {
            Some(DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64) => {
                self.expr(from, inputs)
            }
            // DataFusion keeps the moment and takes the zone off; a cast that is written has become another (below).
            Some(DataType::Timestamp(_, Some(_))) => Tells::Instant,
            Some(of) if of.is_numeric() => Tells::Instant,
            Some(DataType::Null) => Tells::Nothing,
            Some(of) if of.is_string() => of_text(from),
            _ => Tells::Unknown,
        }
    }

    fn function(&self, name: &str, args: &[Expr], inputs: &[&LogicalPlan]) -> Tells {
        match (name, args) {
            ("to_local_time", [time]) => match type_of(time, inputs) {
                Some(DataType::Timestamp(_, Some(_))) => Tells::ClockOfZone,
                _ => self.expr(time, inputs),
            },
            ("from_unixtime", _) => Tells::Instant,
            (name, [time]) if name.starts_with("to_timestamp") => self.cast(time, inputs),
            ("date_trunc" | "date_bin", args) => {
                self.all(args.iter().filter(|arg| is_time_or_day(arg, inputs)), inputs)
            }
            (name, args) if CHOOSE.contains(&name) => self.all(args, inputs),
            _ => Tells::Unknown,
        }
    }

    fn column(&self, column: &Column, inputs: &[&LogicalPlan]) -> Tells {
        let at = |input: &&LogicalPlan| input.schema().maybe_index_of_column(column);
        let found = inputs.iter().find_map(|input| Some((input, at(input)?)));
        found.map_or(Tells::Unknown, |(input, at)| self.output(input, at))
    }

    /// What one of a plan's columns tells.
    fn output(&self, plan: &LogicalPlan, at: usize) -> Tells {
        let Some(left) = self.left.get().checked_sub(1) else { return Tells::Unknown };
        self.left.set(left);
        let inputs = plan.inputs();
        let same = || inputs.first().map_or(Tells::Unknown, |input| self.output(input, at));
        let written =
            |expr: Option<&Expr>| expr.map_or(Tells::Unknown, |expr| self.expr(expr, &inputs));
        match plan {
            LogicalPlan::Projection(projection) => written(projection.expr.get(at)),
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => same(),
            LogicalPlan::Distinct(Distinct::On(on)) => written(on.select_expr.get(at)),
            LogicalPlan::Aggregate(aggregate) => {
                let Ok(groups) = grouping_set_to_exprlist(&aggregate.group_expr) else {
                    return Tells::Unknown;
                };
                let is_set = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
                let calls_from = groups.len() + usize::from(is_set);
                let call = || aggregate.aggr_expr.get(at.checked_sub(calls_from)?);
                written(groups.get(at).copied().or_else(call))
            }
            LogicalPlan::Window(window) => {
                match at.checked_sub(window.input.schema().fields().len()) {
                    None => same(),
                    Some(nth) => written(window.window_expr.get(nth)),
                }
            }
            LogicalPlan::Join(join) => {
                let left = join.left.schema().fields().len();
                match (join.join_type, at.checked_sub(left)) {
                    (JoinType::RightSemi | JoinType::RightAnti, _) => self.output(&join.right, at),
                    (_, None) => self.output(&join.left, at),
                    (_, Some(nth)) => self.output(&join.right, nth),
                }
            }
            LogicalPlan::Union(union) => {
                Tells::of_all(union.inputs.iter().map(|input| self.output(input, at)))
            }
            LogicalPlan::Values(values) => {
                Tells::of_all(values.values.iter().map(|row| written(row.get(at))))
            }
            LogicalPlan::RecursiveQuery(query) => {
                // What it adds may be another thing in every round.
                let terms = [&query.static_term, &query.recursive_term];
                Tells::of_all(terms.map(|term| self.output(term, at)))
            }
            LogicalPlan::TableScan(scan) => self.table(scan, at),
            LogicalPlan::EmptyRelation(_) => Tells::Nothing,
            // A window function adds its columns behind those of its input: moments, where they have no zone.
            LogicalPlan::Extension(_) => match (plan.schema().iter().nth(at), inputs.as_slice()) {
                (Some(of), [input]) => {
                    let column = Column::from(of);
                    match input.schema().maybe_index_of_column(&column) {
                        Some(at) => self.output(input, at),
                        None => Tells::Instant,
                    }
                }
                _ => Tells::Unknown,
            },
            _ => Tells::Unknown,
        }
    }

    /// What a table's column tells. A stream or reference table without a zone is in UTC; of results it is known where no
    /// column beside it has a zone, for a view shows its times with their zone unless it takes it off.
    fn table(&self, scan: &TableScan, at: usize) -> Tells {
        let at = match &scan.projection {
            Some(columns) => columns.get(at).copied(),
            None => Some(at),
        };
        let Some(at) = at else { return Tells::Unknown };
        if let Some(plan) = scan.source.get_logical_plan() {
            return self.output(&plan, at);
        }
        let zoned = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, Some(_)));
        let schema = scan.source.schema();
        let has_zone = schema.fields().iter().any(|field| zoned(field.data_type()));
        match DeclaredTable::of(scan) {
            Some((_, RowsOf::Stream)) => Tells::Instant,
            _ if has_zone => Tells::Unknown,
            _ => Tells::Instant,
        }
    }
}

/// A text that is read as a time is what a clock shows, or a moment where it names its offset.
fn of_text(text: &Expr) -> Tells {
    let Expr::Literal(text, _) = text else { return Tells::Unknown };
    let by = |zone: &str| {
        let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from(zone)));
        match text.cast_to(&zoned) {
            Ok(ScalarValue::TimestampNanosecond(time, _)) => time,
            _ => None,
        }
    };
    match (by("+00:00"), by("+05:00")) {
        (Some(there), Some(elsewhere)) if there == elsewhere => Tells::Instant,
        (Some(_), Some(_)) => Tells::Clock,
        _ => Tells::Unknown,
    }
}

fn type_of(expr: &Expr, inputs: &[&LogicalPlan]) -> Option<DataType> {
    let mut schema = DFSchema::empty();
    inputs.iter().for_each(|input| schema.merge(input.schema()));
    expr.get_type(&schema).ok()
}

fn is_time_or_day(expr: &Expr, inputs: &[&LogicalPlan]) -> bool {
    use DataType::{Date32, Date64, Timestamp};
    matches!(type_of(expr, inputs), Some(Timestamp(..) | Date32 | Date64))
}

/// Casts that a query writes itself, before DataFusion adds its own. `CAST(event_time AS TIMESTAMP(3))` is what the
/// clock of its zone shows, as in Flink; DataFusion would take the zone off the moment. And a time of which nobody knows
/// what it tells is, cast to a zone, what a clock there shows: it was asked for in so many words.
#[derive(Debug)]
pub struct WrittenCasts;

impl AnalyzerRule for WrittenCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten_over(plan, written)
    }

    fn name(&self) -> &str {
        "written_casts"
    }
}

fn written(expr: Expr, over: Over<'_>) -> Result<Transformed<Expr>> {
    let (Expr::Cast(Cast { expr: from, field }) | Expr::TryCast(TryCast { expr: from, field })) =
        &expr
    else {
        return Ok(Transformed::no(expr));
    };
    let (Ok(DataType::Timestamp(_, of)), DataType::Timestamp(_, zone)) =
        (from.get_type(over.schema), field.data_type())
    else {
        return Ok(Transformed::no(expr));
    };
    let through = match (of, zone) {
        (Some(_), None) => datetime::to_local_time().call(vec![from.as_ref().clone()]),
        (None, Some(_)) if tells(from, over.inputs) == Tells::Unknown => {
            Expr::Cast(Cast::new(from.clone(), DataType::Utf8))
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let told = Cast::new_from_field(Box::new(through), Arc::clone(field));
    Ok(Transformed::yes(Expr::Cast(told)))
}
