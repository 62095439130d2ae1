//! What is compared, chosen among or put in order, and is not alike once all types are.
//!
//! DataFusion makes types alike wherever two expressions meet, and some of what it makes alike means different things: an
//! interval's months, days and hours are counted apart, so that 25 hours would be less than a day; a moment without a zone and
//! what a clock shows have one type; rows and lists are made alike with the clock of UTC. The rules before this one say what is
//! meant where they can. What is left is refused here, wherever it meets.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{InSubquery, SetComparison, Sort};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Distinct, Expr, ExprSchemable as _, LogicalPlan, Operator, TryCast,
};
use datafusion::optimizer::AnalyzerRule;

use super::clocks::{CHOOSE, Tells, is_day, tells, tells_of_column};
use super::instants::{Over, schema_under};
use super::refusal::{in_words, refuse};

/// Refuses it; behind all other rules about times.
#[derive(Debug)]
pub struct AlikeTimes;

impl AnalyzerRule for AlikeTimes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            let schema = schema_under(node)?;
            let inputs = node.inputs();
            let met = Met { over: Over { schema: &schema, inputs: &inputs } };
            met.in_node(node)?;
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    met.in_part(part)?;
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "alike_times"
    }
}

/// Aggregate and window functions that put nothing in order and compare nothing, unless they are asked for what is distinct.
const TAKE: [&str; 10] = [
    "count",
    "sum",
    "avg",
    "array_agg",
    "first_value",
    "last_value",
    "nth_value",
    "any_value",
    "lag",
    "lead",
];

/// Functions that choose by comparing; the others by what is NULL.
const BY_COMPARING: [&str; 3] = ["nullif", "greatest", "least"];

/// What meets over these columns.
struct Met<'a> {
    over: Over<'a>,
}

impl Met<'_> {
    fn in_part(&self, part: &Expr) -> Result<()> {
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
                self.compared(part, &[left, right])
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => {
                self.of_one_clock(part, &[left, right])
            }
            Expr::InList(list) => {
                let sides: Vec<&Expr> =
                    std::iter::once(list.expr.as_ref()).chain(&list.list).collect();
                self.compared(part, &sides)
            }
            Expr::Between(Between { expr, low, high, .. }) => {
                self.compared(part, &[expr, low, high])
            }
            Expr::Case(case) => {
                if let Some(asked) = &case.expr {
                    let when = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
                    let sides: Vec<&Expr> = std::iter::once(asked.as_ref()).chain(when).collect();
                    self.compared(part, &sides)?;
                }
                let then = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                let chosen: Vec<&Expr> = then.chain(case.else_expr.as_deref()).collect();
                self.of_one_clock(part, &chosen)
            }
            Expr::ScalarFunction(call) => {
                let args: Vec<&Expr> = call.args.iter().collect();
                match call.name() {
                    name if BY_COMPARING.contains(&name) => self.compared(part, &args),
                    name if CHOOSE.contains(&name) => self.of_one_clock(part, &args),
                    name if name == "make_array" || name.starts_with("array_") => {
                        self.compared(part, &args)
                    }
                    _ => Ok(()),
                }
            }
            Expr::InSubquery(InSubquery { expr, subquery, .. })
            | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
                if expr.get_type(self.over.schema).is_ok_and(|of| has_interval(&of)) {
                    return no_order(part);
                }
                if !self.is_naive(expr) {
                    return Ok(());
                }
                let others =
                    [tells(expr, self.over.inputs), tells_of_column(&subquery.subquery, 0)];
                let name = subquery.subquery.schema().field(0).name();
                one_clock(&others, part, |nth| if nth == 0 { in_words(expr) } else { name.clone() })
            }
            Expr::AggregateFunction(call) => {
                let params = &call.params;
                if params.distinct || !TAKE.contains(&call.func.name()) {
                    params.args.iter().try_for_each(|arg| self.ordered(arg))?;
                }
                self.sorted(&params.order_by)
            }
            Expr::WindowFunction(call) => {
                let params = &call.params;
                if params.distinct || !TAKE.contains(&call.fun.name()) {
                    params.args.iter().try_for_each(|arg| self.ordered(arg))?;
                }
                params.partition_by.iter().try_for_each(|key| self.ordered(key))?;
                self.sorted(&params.order_by)
            }
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                let Ok(from) = expr.get_type(self.over.schema) else { return Ok(()) };
                within(part, &from, field.data_type())
            }
            _ => Ok(()),
        }
    }

    fn in_node(&self, node: &LogicalPlan) -> Result<()> {
        match node {
            LogicalPlan::Join(join) => {
                join.on.iter().try_for_each(|(left, right)| self.compared(left, &[left, right]))
            }
            LogicalPlan::Union(union) => self
                .of_one_clock_in(node, &union.inputs.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
            LogicalPlan::Values(values) => {
                let columns = values.values.first().map_or(0, Vec::len);
                (0..columns).try_for_each(|at| {
                    let rows: Vec<&Expr> =
                        values.values.iter().filter_map(|row| row.get(at)).collect();
                    match rows.first() {
                        Some(first) => self.of_one_clock(first, &rows),
                        None => Ok(()),
                    }
                })
            }
            LogicalPlan::RecursiveQuery(query) => {
                if query.is_distinct {
                    distinct(node)?;
                }
                self.of_one_clock_in(node, &[&query.static_term, &query.recursive_term])
            }
            LogicalPlan::Distinct(Distinct::All(_)) => distinct(node),
            LogicalPlan::Distinct(Distinct::On(on)) => {
                on.on_expr.iter().try_for_each(|key| self.ordered(key))?;
                self.sorted(on.sort_expr.as_deref().unwrap_or_default())
            }
            LogicalPlan::Aggregate(aggregate) => {
                let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
                keys.into_iter().try_for_each(|key| self.ordered(key))
            }
            LogicalPlan::Sort(sort) => self.sorted(&sort.expr),
            _ => Ok(()),
        }
    }

    /// What is compared with one another: nothing with intervals, and times of one clock.
    fn compared(&self, whole: &Expr, sides: &[&Expr]) -> Result<()> {
        if sides.iter().any(|side| self.has_interval(side)) {
            return no_order(whole);
        }
        self.of_one_clock(whole, sides)
    }

    fn sorted(&self, keys: &[Sort]) -> Result<()> {
        keys.iter().try_for_each(|key| self.ordered(&key.expr))
    }

    /// What is put in order, or grouped by.
    fn ordered(&self, key: &Expr) -> Result<()> {
        if self.has_interval(key) { no_order(key) } else { Ok(()) }
    }

    fn has_interval(&self, expr: &Expr) -> bool {
        // Spans of two units, made alike, have no days.
        if let Expr::Cast(cast) = expr
            && let Ok(DataType::Duration(_)) = cast.expr.get_type(self.over.schema)
        {
            return false;
        }
        expr.get_type(self.over.schema).is_ok_and(|of| has_interval(&of))
    }

    fn is_naive(&self, expr: &Expr) -> bool {
        expr.get_type(self.over.schema).is_ok_and(|of| is_naive(&of))
    }

    /// Where no side has a zone, what the clock of an event time shows cannot be set beside a moment in UTC.
    fn of_one_clock(&self, whole: &Expr, sides: &[&Expr]) -> Result<()> {
        if sides.len() < 2 || !sides.iter().all(|side| self.is_naive(side)) {
            return Ok(());
        }
        let all: Vec<Tells> = sides.iter().map(|side| tells(side, self.over.inputs)).collect();
        one_clock(&all, whole, |nth| sides.get(nth).map_or_else(String::new, |side| in_words(side)))
    }

    /// The same, of the columns of plans that are put below one another.
    fn of_one_clock_in(&self, node: &LogicalPlan, parts: &[&LogicalPlan]) -> Result<()> {
        let columns: Vec<Column> = node.schema().iter().map(Column::from).collect();
        for (at, field) in node.schema().fields().iter().enumerate() {
            if !is_naive(field.data_type()) {
                continue;
            }
            let all: Vec<Tells> = parts.iter().map(|part| tells_of_column(part, at)).collect();
            let told = |nth: usize| format!("{} of query {}", field.name(), nth + 1);
            let column =
                columns.get(at).cloned().unwrap_or_else(|| Column::from_name(field.name()));
            one_clock(&all, &Expr::Column(column), told)?;
        }
        Ok(())
    }
}

/// Refuses a cast that reads a number as a day, and one that makes days, times with a zone and times without one alike within
/// rows and lists, which would be by the clock of UTC.
fn within(whole: &Expr, from: &DataType, to: &DataType) -> Result<()> {
    if is_day(to) && from.is_numeric() {
        let told = in_words(whole);
        return refuse(
            whole,
            format!(
                "{told} would be days since 1970: a number is no day, write it as DATE '2020-11-11'"
            ),
        );
    }
    if !to.is_nested() {
        return Ok(());
    }
    let is_other = |(from, to): (&DataType, &DataType)| match (kind(from), kind(to)) {
        (Some(from), Some(to)) => from != to,
        _ => false,
    };
    if leaves(from).iter().zip(&leaves(to)).any(is_other) { mixed(whole) } else { Ok(()) }
}

/// Refuses what puts times that have a zone, times that have none and days together within rows and lists.
pub(super) fn mixed<T>(whole: &Expr) -> Result<T> {
    let told = in_words(whole);
    refuse(
        whole,
        format!(
            "{told} puts times that have a zone, times that have none or days together, and within rows, lists and NVL all \
             would be by the clock of UTC: compare them one by one (AND, OR, IN), choose with COALESCE, or make them \
             alike with CAST(… AS TIMESTAMP)"
        ),
    )
}

/// Refuses to compare intervals or to put them in order.
pub(super) fn no_order<T>(whole: &Expr) -> Result<T> {
    let told = in_words(whole);
    refuse(
        whole,
        format!(
            "{told} would compare intervals, whose months, days and hours are counted apart: 25 hours would be less than a \
             day. Compare what lies between two times with a constant, as in now() - event_time > INTERVAL '1' DAY, or count \
             seconds, as in to_unixtime(now()) - to_unixtime(event_time)"
        ),
    )
}

/// Rows that are compared as a whole.
fn distinct(node: &LogicalPlan) -> Result<()> {
    let has_interval = |field: &&FieldRef| has_interval(field.data_type());
    match node.schema().fields().iter().find(has_interval) {
        Some(field) => no_order(&Expr::Column(Column::from_name(field.name()))),
        None => Ok(()),
    }
}

/// Refuses times without a zone of which some are moments and others what a clock shows.
fn one_clock(all: &[Tells], whole: &Expr, in_words: impl Fn(usize) -> String) -> Result<()> {
    let find = |wanted: fn(&Tells) -> bool| all.iter().position(wanted);
    let clock = find(|of| matches!(of, Tells::ClockOfZone(_)));
    let instant = find(|of| matches!(of, Tells::Instant | Tells::Moment));
    if let (Some(clock), Some(instant)) = (clock, instant) {
        return refuse(
            whole,
            format!(
                "{} is a moment in UTC, and {} what the clock of a zone shows: compare the event time itself, with its zone",
                in_words(instant),
                in_words(clock)
            ),
        );
    }
    // A stamp or a day beside it would be by the clock of UTC.
    let clock = find(|of| *of == Tells::Clock);
    let moment = find(|of| *of == Tells::Moment);
    if let (Some(clock), Some(moment)) = (clock, moment) {
        let (clock, moment) = (in_words(clock), in_words(moment));
        return refuse(
            whole,
            format!(
                "{moment} is a moment, and {clock} what a clock shows: say whose, as in {moment} AT TIME ZONE \
                 'Asia/Shanghai', or AT TIME ZONE 'UTC'"
            ),
        );
    }
    Ok(())
}

/// What a type of times is.
#[derive(PartialEq, Eq)]
enum Kind {
    Day,
    WithoutZone,
    Zoned,
}

fn kind(of: &DataType) -> Option<Kind> {
    match of {
        of if is_day(of) => Some(Kind::Day),
        DataType::Timestamp(_, None) => Some(Kind::WithoutZone),
        DataType::Timestamp(_, Some(_)) => Some(Kind::Zoned),
        _ => None,
    }
}

fn is_naive(of: &DataType) -> bool {
    leaves(of).iter().any(|leaf| kind(leaf) == Some(Kind::WithoutZone))
}

fn has_interval(of: &DataType) -> bool {
    match of {
        DataType::Interval(_) => true,
        of => of.is_nested() && leaves(of).iter().any(|leaf| matches!(leaf, DataType::Interval(_))),
    }
}

/// The types that a type is made of, in their order.
pub(super) fn leaves(of: &DataType) -> Vec<DataType> {
    match of {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaves(item.data_type()),
        DataType::Struct(fields) => {
            fields.iter().flat_map(|field| leaves(field.data_type())).collect()
        }
        of => vec![of.clone()],
    }
}
