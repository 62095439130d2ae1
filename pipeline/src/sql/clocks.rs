//! What a time without a zone tells: an instant, or what a clock shows.
//!
//! A column in UTC is an instant; a stamp in a query, a day, or an event time whose zone was taken off is what a clock of the
//! zone shows. The type is the same, so where such a time comes from is looked for down the plan: through projections,
//! subqueries, `VALUES`, joins and unions, to a table, a literal or a cast.

use std::cell::Cell;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::functions::datetime;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Cast, Distinct, Expr, ExprSchemable as _, JoinType, LogicalPlan, TableScan, TryCast,
};

use super::session::{DeclaredTable, RowsOf};
use super::slot::SlotNode;
use crate::model::Zone;

/// What a time without a zone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// A moment, by the clock of UTC.
    Instant,
    /// What a clock shows; which zone's is for who reads it to say. A day is its midnight.
    Clock,
    /// What the clock of this zone showed of a time that had it.
    ClockOfZone(Zone),
    /// A moment that was counted or asked for, by no clock yet.
    Moment,
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
            (Self::Clock, Self::ClockOfZone(zone)) | (Self::ClockOfZone(zone), Self::Clock) => {
                Self::ClockOfZone(zone)
            }
            (Self::Instant, Self::Moment) | (Self::Moment, Self::Instant) => Self::Moment,
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
    "min",
    "max",
    "median",
    "first_value",
    "last_value",
    "nth_value",
    "any_value",
    "lag",
    "lead",
    "array_agg",
];

/// What an expression over these inputs tells, which is a time without a zone or a day.
pub(super) fn tells(expr: &Expr, inputs: &[&LogicalPlan]) -> Tells {
    Walk { left: Cell::new(STEPS_MAX) }.expr(expr, inputs)
}

/// What one of a plan's columns tells, of the same types.
pub(super) fn tells_of_column(plan: &LogicalPlan, at: usize) -> Tells {
    Walk { left: Cell::new(STEPS_MAX) }.output(plan, at)
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
            // A day is its midnight by whatever clock, however it was found.
            _ if type_of(expr, inputs).is_some_and(|of| is_day(&of)) => Tells::Clock,
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

    fn all<'e>(&self, all: impl IntoIterator<Item = &'e Expr>, inputs: &[&LogicalPlan]) -> Tells {
        Tells::of_all(all.into_iter().map(|expr| self.expr(expr, inputs)))
    }

    /// What is made a time without a zone, by what it was.
    fn cast(&self, from: &Expr, inputs: &[&LogicalPlan]) -> Tells {
        match type_of(from, inputs) {
            Some(DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64) => {
                self.expr(from, inputs)
            }
            // Written or put in by DataFusion, it shows what the clock shows (`written.rs`, `instants.rs`).
            Some(DataType::Timestamp(_, Some(zone))) => of_zone(&zone),
            Some(of) if of.is_numeric() => Tells::Moment,
            Some(DataType::Null) => Tells::Nothing,
            Some(of) if of.is_string() => of_text(from),
            Some(of) if of.is_nested() => self.expr(from, inputs),
            _ => Tells::Unknown,
        }
    }

    fn function(&self, name: &str, args: &[Expr], inputs: &[&LogicalPlan]) -> Tells {
        match (name, args) {
            ("to_local_time", [time]) => match type_of(time, inputs) {
                Some(DataType::Timestamp(_, Some(zone))) => of_zone(&zone),
                _ => self.expr(time, inputs),
            },
            ("from_unixtime" | "now", _) => Tells::Moment,
            (name, [time]) if name.starts_with("to_timestamp") => self.cast(time, inputs),
            ("date_trunc" | "date_bin", args) => {
                self.all(args.iter().filter(|arg| is_time_or_day(arg, inputs)), inputs)
            }
            (name, args) if CHOOSE.contains(&name) => self.all(args, inputs),
            // Rows and lists tell what the times in them do.
            ("named_struct" | "struct" | "make_array", args) => {
                self.all(args.iter().filter(|arg| is_time_or_day(arg, inputs)), inputs)
            }
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
        if plan.schema().fields().get(at).is_some_and(|field| is_day(field.data_type())) {
            return Tells::Clock;
        }
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
                // The columns of a stream, in its own declaration.
                (_, []) if SlotNode::of(plan).is_some() => Tells::Instant,
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
            // Whether it counts from a moment or from what a clock shows is not kept.
            _ if has_zone || is_series(scan) => Tells::Unknown,
            _ => Tells::Instant,
        }
    }
}

/// Whether a scan reads what `generate_series` or `range` makes.
fn is_series(scan: &TableScan) -> bool {
    let provider = source_as_provider(&scan.source);
    provider.is_ok_and(|provider| provider.downcast_ref::<GenerateSeriesTable>().is_some())
}

fn of_zone(zone: &str) -> Tells {
    Zone::named(zone).map_or(Tells::Unknown, Tells::ClockOfZone)
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
    type_of(expr, inputs).is_some_and(|of| is_day(&of) || matches!(of, DataType::Timestamp(..)))
}

/// Whether this is the type of a day.
pub(super) fn is_day(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64)
}

/// What the clock of its zone shows of a time that has one.
pub(super) fn shown(time: &Expr) -> Expr {
    datetime::to_local_time().call(vec![time.clone()])
}
