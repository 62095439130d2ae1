//! A join of two streams window by window.
//!
//! ```text
//! above      the join and all over it                 run over both sides' rows of a window
//! ── slot 1 ──────────────── slot 2 ──────────────────
//! aggregate, or the rows     aggregate, or the rows   kept by slice, each side late by itself
//! window function            window function
//! below                      below
//! stream                     stream
//! ```
//! Both sides have the same windows, and rows meet only within one: the join is on `window_start` and
//! `window_end`. Where both sides are rows it is also on the key by which both streams are partitioned; groups
//! are put together from all partitions before they meet, so there it need not be.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Join, LogicalPlan, Operator};

use super::cut::{
    ARRIVAL_COLUMN, below_of, check_reference_join, reads_stream, stream_of, window_column,
    window_node, with_column,
};
use super::refusal::refuse;
use super::slot::SlotNode;
use super::stream::StreamDefinition;
use super::window_function::{WindowKind, WindowSpec};

/// A query over two streams in its parts.
#[derive(Debug)]
pub struct JoinCut {
    /// The left and the right side.
    pub sides: [JoinSide; 2],
    /// From the slots 1 and 2, the sides' rows, up to the result.
    pub above: LogicalPlan,
}

/// One side of a join.
#[derive(Debug)]
pub struct JoinSide {
    /// The stream it reads.
    pub stream: String,
    /// Its windows.
    pub window: WindowSpec,
    /// Filters on window columns alone, which stand between the window function and the aggregate.
    pub window_filters: Vec<Expr>,
    /// From a slot with the stream's columns up to the aggregate's input, or the rows that are kept.
    pub below: LogicalPlan,
    /// What the engine keeps of it; `None` for its rows.
    pub aggregate: Option<Aggregate>,
}

/// Cuts a query that joins two streams; `None` when it reads one.
///
/// # Errors
/// A refusal, when the join is not one of windows of the same kind on window and partition key.
pub fn cut_join(
    plan: &LogicalPlan,
    streams: &HashMap<String, StreamDefinition>,
) -> Result<Option<JoinCut>> {
    let Some(join) = find(plan)? else { return Ok(None) };
    let (left, right) = (side(&join.left)?, side(&join.right)?);
    check(join, [&left, &right], streams)?;
    let above = with_slots(plan, &mut 0)?;
    Ok(Some(JoinCut { sides: [left, right], above }))
}

/// The topmost node both of whose inputs read a stream.
fn find(plan: &LogicalPlan) -> Result<Option<&Join>> {
    let bearing: Vec<&LogicalPlan> =
        plan.inputs().into_iter().filter(|input| reads_stream(input)).collect();
    match (plan, bearing.as_slice()) {
        (_, []) => Ok(None),
        (LogicalPlan::Join(join), [one]) => {
            check_reference_join(join)?;
            find(one)
        }
        (_, [one]) => match find(one)? {
            Some(_) if window_node(plan).is_some() => plan_err!(
                "windows cannot stand over a join of two streams; put each side into its windows first, and join on \
                 window_start and window_end"
            ),
            found => Ok(found),
        },
        (LogicalPlan::Join(join), _) => Ok(Some(join)),
        (other, many) => plan_err!(
            "{} reads {} streams; only a windowed join of two can",
            other.display(),
            many.len()
        ),
    }
}

/// A side of the join, down to its stream.
fn side(plan: &LogicalPlan) -> Result<JoinSide> {
    let mut node = plan;
    let mut aggregate = None;
    let window = loop {
        if let Some(window) = window_node(node) {
            break window;
        }
        if let LogicalPlan::Join(join) = node {
            check_reference_join(join)?;
        }
        if let LogicalPlan::Aggregate(found) = node {
            // Those above the lowest run at a publish, over its groups.
            aggregate = Some(found);
        }
        let bearing: Vec<&LogicalPlan> =
            node.inputs().into_iter().filter(|input| reads_stream(input)).collect();
        match bearing.as_slice() {
            [one] => node = one,
            [] => {
                return plan_err!(
                    "two streams are joined window by window: put each side into TUMBLE, HOP or CUMULATE"
                );
            }
            _ => return plan_err!("two streams can be joined, not three"),
        }
    };
    if matches!(window.spec.kind, WindowKind::Session { .. }) {
        return plan_err!(
            "sessions of two streams have no bounds in common; join them by TUMBLE, HOP or CUMULATE"
        );
    }
    if find(&window.input)?.is_some() || has_window(&window.input) || has_aggregate(&window.input) {
        return plan_err!(
            "a joined side is one window function over one stream, with or without a GROUP BY over it"
        );
    }
    let input = aggregate.map_or(&window.input, |aggregate| &aggregate.input);
    let (below, window_filters) = below_of(input)?;
    Ok(JoinSide {
        stream: stream_under(&window.input),
        window: window.spec.clone(),
        window_filters,
        below,
        aggregate: aggregate.cloned(),
    })
}

fn has_aggregate(plan: &LogicalPlan) -> bool {
    reads_stream(plan)
        && (matches!(plan, LogicalPlan::Aggregate(_))
            || plan.inputs().into_iter().any(has_aggregate))
}

fn has_window(plan: &LogicalPlan) -> bool {
    window_node(plan).is_some() || plan.inputs().into_iter().any(has_window)
}

fn stream_under(plan: &LogicalPlan) -> String {
    match plan {
        LogicalPlan::TableScan(scan) => stream_of(scan).unwrap_or_default(),
        other => other
            .inputs()
            .into_iter()
            .find(|input| reads_stream(input))
            .map_or(String::new(), stream_under),
    }
}

fn check(
    join: &Join,
    sides: [&JoinSide; 2],
    streams: &HashMap<String, StreamDefinition>,
) -> Result<()> {
    let place = join.filter.as_ref().or(join.on.first().map(|(left, _)| left));
    let wrong = |message: String| match place {
        Some(expr) => refuse(expr, message),
        None => plan_err!("{message}"),
    };
    let [left, right] = sides;
    if left.window.kind != right.window.kind || left.window.offset != right.window.offset {
        return wrong(format!(
            "the windows of {} and {} differ; join windows of one kind and length",
            left.stream, right.stream
        ));
    }
    let zones = sides.map(|side| streams.get(&side.stream).map(|stream| stream.zone.name()));
    if let [Some(left_zone), Some(right_zone)] = zones
        && left_zone != right_zone
    {
        return wrong(format!(
            "the days of {} are those of {left_zone} and the days of {} those of {right_zone}: give both streams one 'time-zone'",
            left.stream, right.stream
        ));
    }
    let equal = equalities(join);
    for (nth, name) in ["window_start", "window_end"].into_iter().enumerate() {
        let is_window = |(left, right): &(Column, Column)| {
            window_column(&join.left, left) == Some(nth)
                && window_column(&join.right, right) == Some(nth)
        };
        if !equal.iter().any(is_window) {
            return wrong(format!(
                "a join of two streams must be ON … left.{name} = right.{name} AND …"
            ));
        }
    }
    // Groups are of all partitions, wherever their rows were.
    if sides.iter().any(|side| side.aggregate.is_some()) {
        return Ok(());
    }
    let keys = sides.map(|side| streams.get(&side.stream).and_then(key_of));
    let derived = sides.iter().filter_map(|side| streams.get(&side.stream));
    if let Some(derived) = derived.into_iter().find(|stream| stream.derived.is_some()) {
        return wrong(format!(
            "rows of {} are made by a life cycle, and cannot be joined with others one by one: GROUP BY window_start, \
             window_end in one of the sides first",
            derived.name
        ));
    }
    let [Some(left_key), Some(right_key)] = &keys else {
        return wrong(format!(
            "rows of {} and {} can be joined only if both declare 'partition.key'; or GROUP BY window_start, window_end in \
             each side first",
            left.stream, right.stream
        ));
    };
    let is_key = |(left, right): &(Column, Column)| {
        source_column(&join.left, left).as_ref() == Some(left_key)
            && source_column(&join.right, right).as_ref() == Some(right_key)
    };
    if !equal.iter().any(is_key) {
        return wrong(format!(
            "{} is partitioned by {left_key} and {} by {right_key}: join ON left.{left_key} = right.{right_key}, for rows of \
             other partitions never meet",
            left.stream, right.stream
        ));
    }
    Ok(())
}

/// The column by which a stream is partitioned.
pub(super) fn key_of(stream: &StreamDefinition) -> Option<String> {
    stream.columns.get(stream.partition_key?).map(|column| column.field.name().clone())
}

/// Pairs of a left and a right column that the join wants equal.
fn equalities(join: &Join) -> Vec<(Column, Column)> {
    let mut all: Vec<(Expr, Expr)> = join.on.clone();
    for part in join.filter.iter().flat_map(split_conjunction) {
        if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part {
            all.push((left.as_ref().clone(), right.as_ref().clone()));
        }
    }
    let columns = |(left, right): (Expr, Expr)| match (left, right) {
        (Expr::Column(one), Expr::Column(other)) if join.left.schema().has_column(&one) => {
            Some((one, other))
        }
        (Expr::Column(one), Expr::Column(other)) => Some((other, one)),
        _ => None,
    };
    all.into_iter().filter_map(columns).collect()
}

/// The stream's column that a column is, if it is one as it stands.
pub(super) fn source_column(plan: &LogicalPlan, column: &Column) -> Option<String> {
    let at = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan.projected_schema.field(at).name().clone()),
        LogicalPlan::Projection(projection) => match projection.expr.get(at)?.clone().unalias() {
            Expr::Column(inner) => source_column(&projection.input, &inner),
            _ => None,
        },
        LogicalPlan::SubqueryAlias(alias) => {
            source_column(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))
        }
        other => {
            let input =
                other.inputs().into_iter().find(|input| input.schema().has_column(column))?;
            source_column(input, column)
        }
    }
}

/// The plan with what both sides keep replaced by slots, the left one first.
fn with_slots(plan: &LogicalPlan, number: &mut usize) -> Result<LogicalPlan> {
    if window_node(plan).is_some() {
        *number += 1;
        let kept = with_column(plan.schema(), None, ARRIVAL_COLUMN, DataType::UInt64)?;
        return Ok(SlotNode::plan(Arc::new(kept), *number));
    }
    if let LogicalPlan::Aggregate(aggregate) = plan
        && streams_under(plan) == 1
        && !has_aggregate(&aggregate.input)
    {
        *number += 1;
        return Ok(SlotNode::plan(Arc::clone(&aggregate.schema), *number));
    }
    if !reads_stream(plan) {
        return Ok(plan.clone());
    }
    let inputs =
        plan.inputs().into_iter().map(|input| with_slots(input, number)).collect::<Result<_>>()?;
    plan.with_new_exprs(plan.expressions(), inputs)
}

fn streams_under(plan: &LogicalPlan) -> usize {
    match plan {
        LogicalPlan::TableScan(scan) => usize::from(stream_of(scan).is_some()),
        other => other.inputs().into_iter().map(streams_under).sum(),
    }
}
