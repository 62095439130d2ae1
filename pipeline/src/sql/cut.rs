//! Cuts a query at its windowed aggregate: what runs per batch, what the engine keeps, what runs at a publish.
//!
//! ```text
//! above     projections, HAVING, ranks, ORDER BY, LIMIT   run over a window's rows at a publish
//! ── slot ──────────────────────────────────────────────
//! aggregate (or the rows themselves)                      kept by the engine, by slice
//! ── window function ───────────────────────────────────
//! below     filters, projections, joins with reference tables   run over each batch
//! ── slot ──────────────────────────────────────────────
//! stream
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, DFSchema, Result, TableReference, plan_err};
use datafusion::logical_expr::utils::{conjunction, grouping_set_to_exprlist, split_conjunction};
use datafusion::logical_expr::{Aggregate, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder};

use super::refusal::refuse;
use super::session::{DeclaredTable, RowsOf};
use super::slot::SlotNode;
use super::stream::StreamDefinition;
use super::window_function::{WINDOW_COLUMNS, WindowKind, WindowNode, WindowSpec};

/// The hidden column that says which row of the batch a row came from.
pub const ROW_COLUMN: &str = "__row";
/// The hidden column that orders kept rows by partition and offset.
pub const ARRIVAL_COLUMN: &str = "__arrival";

/// A query in its parts.
#[derive(Debug)]
pub struct CutQuery {
    /// The stream it reads.
    pub stream: String,
    /// Its window function; `None` for a running total or a plain query.
    pub window: Option<WindowSpec>,
    /// Filters on window columns alone, over `window_start`, `window_end`, `window_time`.
    pub window_filters: Vec<Expr>,
    /// From a slot with the stream's columns and [`ROW_COLUMN`] up to the aggregate's input.
    pub below: LogicalPlan,
    /// The aggregate; `None` when rows are kept.
    pub aggregate: Option<Aggregate>,
    /// A window function over the aggregate's `window_time`, and what stands between the two.
    pub outer: Option<OuterCut>,
    /// From a slot with the aggregate's (or the rows') columns up to the result.
    pub above: LogicalPlan,
}

/// A window function over another's windows.
#[derive(Debug)]
pub struct OuterCut {
    /// Its windows.
    pub window: WindowSpec,
    /// From a slot with the aggregate's columns up to the rows that the outer windows hold.
    pub middle: LogicalPlan,
}

/// Cuts an analyzed plan.
///
/// # Errors
/// When the query reads no stream, more than one, or something between the stream and the aggregate
/// that cannot run per batch; the message says what.
pub fn cut(plan: &LogicalPlan, streams: &HashMap<String, StreamDefinition>) -> Result<CutQuery> {
    let chain = chain_to_stream(plan)?;
    let windows: Vec<usize> =
        (0..chain.len()).filter(|at| window_node(chain[*at]).is_some()).collect();
    let (outer_at, window_at) = match windows.as_slice() {
        [] => (None, None),
        [one] => (None, Some(*one)),
        [outer, inner] => {
            let is_session = |at: &usize| {
                window_node(chain[*at])
                    .is_some_and(|node| matches!(node.spec.kind, WindowKind::Session { .. }))
            };
            if is_session(outer) || is_session(inner) {
                return plan_err!(
                    "a session has no place in windows over windows, for its end is known only once it is closed: make \
                     the sessions a view of their own, and aggregate that in a second view"
                );
            }
            (Some(*outer), Some(*inner))
        }
        _ => return plan_err!("windows can stand over windows once, not twice"),
    };
    let aggregate_at = chain
        .iter()
        .enumerate()
        .filter(|(at, node)| {
            matches!(node, LogicalPlan::Aggregate(_))
                && window_at.is_none_or(|window| *at < window)
                && outer_at.is_none_or(|outer| *at > outer)
        })
        .map(|(at, _)| at)
        .next_back();
    let beneath_window = window_at.map_or(&[][..], |at| &chain[at..]);
    if beneath_window.iter().any(|node| matches!(node, LogicalPlan::Aggregate(_))) {
        return plan_err!(
            "a window function over an aggregate is not supported; window first, then aggregate"
        );
    }
    let Some(LogicalPlan::TableScan(scan)) = chain.last().copied() else {
        return plan_err!("the query reads no stream");
    };
    let stream = stream_of(scan).unwrap_or_default();
    if !streams.contains_key(&stream) {
        return plan_err!("the query reads no stream");
    }
    let window = window_at.and_then(|at| chain.get(at)).and_then(|node| window_node(node));
    let mut rebuild = Rebuild { window_filters: Vec::new() };
    let aggregate = aggregate_at.and_then(|at| chain.get(at)).and_then(|node| match node {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate.clone()),
        _ => None,
    });
    let (cut_at, below, kept) = match (&aggregate, aggregate_at, window_at, window) {
        (Some(aggregate), Some(at), ..) => {
            (at, rebuild.plan(&aggregate.input)?, Arc::clone(&aggregate.schema))
        }
        (None, _, Some(at), Some(node)) => {
            let kept = with_column(chain[at].schema(), None, ARRIVAL_COLUMN, DataType::UInt64)?;
            (at, rebuild.plan(&node.input)?, Arc::new(kept))
        }
        _ => {
            // A plain query: everything runs per batch and the rows pass through.
            let below = rebuild.plan(plan)?;
            let above = SlotNode::plan(Arc::clone(plan.schema()), 0);
            return Ok(CutQuery {
                stream,
                window: None,
                window_filters: Vec::new(),
                below,
                aggregate: None,
                outer: None,
                above,
            });
        }
    };
    let kept = SlotNode::plan(kept, 1);
    let (outer, above) = match outer_at.map(|at| (at, window_node(chain[at]))) {
        Some((at, Some(node))) => {
            if aggregate.is_none() {
                return plan_err!(
                    "a window function over another needs a GROUP BY window_start, window_end, window_time between them"
                );
            }
            check_outer_time(node)?;
            let middle = replace_at(&node.input, cut_at - at - 1, &kept)?;
            let slot = SlotNode::plan(Arc::clone(chain[at].schema()), 1);
            (Some(OuterCut { window: node.spec.clone(), middle }), replace_at(plan, at, &slot)?)
        }
        _ => (None, replace_at(plan, cut_at, &kept)?),
    };
    Ok(CutQuery {
        stream,
        window: window.map(|node| node.spec.clone()),
        window_filters: rebuild.window_filters,
        below,
        aggregate,
        outer,
        above,
    })
}

/// The outer windows are over the time at which the inner ones end: `window_time`, by whatever name.
fn check_outer_time(outer: &WindowNode) -> Result<()> {
    let name = &outer.spec.time_column;
    let time = outer.input.schema().columns().into_iter().find(|column| column.name == *name);
    if let Some(time) = time
        && is_window_time(&outer.input, &time)
    {
        return Ok(());
    }
    plan_err!(
        "'{name}' is not the inner window's time; select and group by window_time, and window over that"
    )
}

fn is_window_time(plan: &LogicalPlan, column: &Column) -> bool {
    let Some(at) = plan.schema().maybe_index_of_column(column) else { return false };
    let of =
        |expr: Option<&Expr>, input: &LogicalPlan| match expr.map(|expr| expr.clone().unalias()) {
            Some(Expr::Column(inner)) => {
                is_window_time(input, &inner) || window_column(input, &inner) == Some(2)
            }
            _ => false,
        };
    match plan {
        LogicalPlan::Projection(projection) => of(projection.expr.get(at), &projection.input),
        LogicalPlan::Aggregate(aggregate) => of(aggregate.group_expr.get(at), &aggregate.input),
        LogicalPlan::SubqueryAlias(alias) => {
            is_window_time(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))
        }
        other => other.inputs().into_iter().any(|input| is_window_time(input, column)),
    }
}

/// The nodes from the root to the one stream.
fn chain_to_stream(plan: &LogicalPlan) -> Result<Vec<&LogicalPlan>> {
    let mut chain = vec![plan];
    let mut node = plan;
    loop {
        if let LogicalPlan::TableScan(_) = node {
            return Ok(chain);
        }
        let bearing: Vec<&LogicalPlan> =
            node.inputs().into_iter().filter(|input| reads_stream(input)).collect();
        match bearing.as_slice() {
            [one] => {
                if let LogicalPlan::Join(join) = node {
                    check_reference_join(join)?;
                }
                chain.push(one);
                node = one;
            }
            [] => return plan_err!("the query reads no stream"),
            _ => {
                return plan_err!(
                    "a continuous query reads one stream; this one reads {}",
                    bearing.len()
                );
            }
        }
    }
}

/// A join with a reference table keeps to the stream's rows: one that also gave the table's rows without
/// a partner would give them once a batch.
pub(super) fn check_reference_join(join: &Join) -> Result<()> {
    let is_left = reads_stream(&join.left);
    let keeps = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => is_left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            !is_left
        }
        JoinType::Full => false,
    };
    if keeps {
        return Ok(());
    }
    let message = format!(
        "a {} join would give rows of the reference table that no record has; put the stream on the side that is kept",
        join.join_type
    );
    match join.filter.as_ref().or(join.on.first().map(|(left, _)| left)) {
        Some(expr) => refuse(expr, message),
        None => plan_err!("{message}"),
    }
}

/// Whether a stream is read at or under a node.
#[must_use]
pub fn reads_stream(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => stream_of(scan).is_some(),
        other => other.inputs().into_iter().any(reads_stream),
    }
}

/// The stream that a scan reads.
pub(super) fn stream_of(scan: &datafusion::logical_expr::TableScan) -> Option<String> {
    DeclaredTable::of(scan).filter(|(_, of)| *of == RowsOf::Stream).map(|(name, _)| name)
}

/// The window function that a node is.
pub(super) fn window_node(plan: &LogicalPlan) -> Option<&WindowNode> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

/// The plan with the node `depth` steps down the stream's chain replaced.
fn replace_at(plan: &LogicalPlan, depth: usize, leaf: &LogicalPlan) -> Result<LogicalPlan> {
    if depth == 0 {
        return Ok(leaf.clone());
    }
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push(if reads_stream(input) {
            replace_at(input, depth - 1, leaf)?
        } else {
            input.clone()
        });
    }
    plan.with_new_exprs(plan.expressions(), inputs)
}

/// The schema with one more column that is never NULL.
pub(super) fn with_column(
    schema: &DFSchema,
    qualifier: Option<TableReference>,
    name: &str,
    data_type: DataType,
) -> Result<DFSchema> {
    let mut fields: Vec<_> =
        schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
    fields.push((qualifier, Arc::new(Field::new(name, data_type, false))));
    DFSchema::new_with_metadata(fields, schema.metadata().clone())
}

/// Which of the window columns (0 start, 1 end, 2 time) a column of `plan` is, if it is one.
#[must_use]
pub fn window_column(plan: &LogicalPlan, column: &Column) -> Option<usize> {
    let at = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::Extension(_) => {
            let own = plan.schema().fields().len()
                - window_node(plan).map_or(0, |_| WINDOW_COLUMNS.len());
            at.checked_sub(own).filter(|nth| *nth < WINDOW_COLUMNS.len())
        }
        LogicalPlan::Projection(projection) => match projection.expr.get(at)?.clone().unalias() {
            Expr::Column(inner) => window_column(&projection.input, &inner),
            _ => None,
        },
        LogicalPlan::SubqueryAlias(alias) => {
            window_column(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))
        }
        LogicalPlan::Filter(filter) => window_column(&filter.input, column),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = grouping_set_to_exprlist(&aggregate.group_expr).ok()?;
            match groups.get(at).map(|group| (*group).clone().unalias()) {
                Some(Expr::Column(inner)) => window_column(&aggregate.input, &inner),
                _ => None,
            }
        }
        LogicalPlan::Join(join) => [&join.left, &join.right]
            .into_iter()
            .find(|side| side.schema().has_column(column))
            .and_then(|side| window_column(side, column)),
        _ => None,
    }
}

/// What is below an aggregate or a window function, without the window function and with the row number, and
/// the filters on window columns that stood there.
pub(super) fn below_of(input: &LogicalPlan) -> Result<(LogicalPlan, Vec<Expr>)> {
    let mut rebuild = Rebuild { window_filters: Vec::new() };
    let below = rebuild.plan(input)?;
    Ok((below, rebuild.window_filters))
}

/// Rebuilds what is below the aggregate without the window function and with the row number.
struct Rebuild {
    window_filters: Vec<Expr>,
}

impl Rebuild {
    fn plan(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if !reads_stream(plan) {
            return Ok(plan.clone());
        }
        if let Some(node) = window_node(plan) {
            return self.plan(&node.input);
        }
        match plan {
            LogicalPlan::TableScan(scan) => {
                let qualifier = Some(scan.table_name.clone());
                let schema =
                    with_column(&scan.projected_schema, qualifier, ROW_COLUMN, DataType::UInt32)?;
                Ok(SlotNode::plan(Arc::new(schema), 0))
            }
            LogicalPlan::SubqueryAlias(alias) => LogicalPlanBuilder::from(self.plan(&alias.input)?)
                .alias(alias.alias.clone())?
                .build(),
            LogicalPlan::Filter(filter) => {
                let input = self.plan(&filter.input)?;
                self.filter(&filter.predicate, &filter.input, input)
            }
            LogicalPlan::Projection(projection) => {
                let input = self.plan(&projection.input)?;
                let mut exprs = Vec::new();
                for expr in &projection.expr {
                    match uses_window(expr, &projection.input) {
                        Uses::Nothing => exprs.push(expr.clone()),
                        Uses::Alone if matches!(expr.clone().unalias(), Expr::Column(_)) => {}
                        _ => {
                            let message = format!(
                                "'{expr}' computes with a window column before the aggregate; compute with it after GROUP BY"
                            );
                            return refuse(expr, message);
                        }
                    }
                }
                exprs.push(Expr::Column(row_column(&input)?));
                LogicalPlanBuilder::from(input).project(exprs)?.build()
            }
            LogicalPlan::Join(_) => {
                let inputs = plan
                    .inputs()
                    .into_iter()
                    .map(|input| self.plan(input))
                    .collect::<Result<_>>()?;
                plan.with_new_exprs(plan.expressions(), inputs)
            }
            other => refuse_below(other),
        }
    }

    fn filter(
        &mut self,
        predicate: &Expr,
        under: &LogicalPlan,
        input: LogicalPlan,
    ) -> Result<LogicalPlan> {
        let mut rows = Vec::new();
        for part in split_conjunction(predicate) {
            match uses_window(part, under) {
                Uses::Nothing => rows.push(part.clone()),
                Uses::Alone => self.window_filters.push(canonical(part, under)?),
                Uses::Mixed => {
                    let message = format!(
                        "'{part}' mixes window columns with others; filter after GROUP BY instead"
                    );
                    return refuse(part, message);
                }
            }
        }
        match conjunction(rows) {
            Some(predicate) => LogicalPlanBuilder::from(input).filter(predicate)?.build(),
            None => Ok(input),
        }
    }
}

/// Refuses what would need more of the stream than the row at hand.
fn refuse_below<T>(plan: &LogicalPlan) -> Result<T> {
    let (name, instead) = match plan {
        LogicalPlan::Distinct(_) => (
            "DISTINCT",
            "which rows are new depends on all before; count with COUNT(DISTINCT …), or declare 'dedup.key' at the stream",
        ),
        LogicalPlan::Limit(_) => (
            "LIMIT",
            "which rows come first depends on arrival; rank after GROUP BY, with ORDER BY … LIMIT or ROW_NUMBER()",
        ),
        LogicalPlan::Sort(_) => ("ORDER BY", "order the rows after GROUP BY"),
        LogicalPlan::Window(_) => ("a function OVER (…)", "use it after GROUP BY"),
        LogicalPlan::Aggregate(_) => ("GROUP BY", "aggregate once, over the window function"),
        LogicalPlan::Union(_) => ("UNION", "read each stream by a view of its own"),
        LogicalPlan::Unnest(_) => ("UNNEST", "a record is one row"),
        _ => ("this", "only WHERE, expressions and joins with reference tables can stand there"),
    };
    let message =
        format!("{name} cannot stand below the aggregate of a continuous query: {instead}");
    match first_placed(plan) {
        Some(expr) => refuse(&expr, message),
        None => plan_err!("{message}"),
    }
}

/// The first expression at or under a node that knows where it stands.
fn first_placed(plan: &LogicalPlan) -> Option<Expr> {
    let has_place =
        |expr: &&Expr| expr.column_refs().into_iter().any(|column| column.spans.first().is_some());
    let own = plan.expressions().iter().find(has_place).cloned();
    own.or_else(|| plan.inputs().into_iter().find_map(first_placed))
}

/// The row-number column of a rebuilt plan, under whatever qualifier it has there.
///
/// # Errors
/// When the plan lost it, which is a fault of this module.
pub fn row_column(plan: &LogicalPlan) -> Result<Column> {
    match plan.schema().index_of_column_by_name(None, ROW_COLUMN) {
        Some(at) => Ok(Column::from(plan.schema().qualified_field(at))),
        None => match plan.schema().iter().find(|(_, field)| field.name() == ROW_COLUMN) {
            Some(found) => Ok(Column::from(found)),
            None => plan_err!("the row number was lost below the aggregate"),
        },
    }
}

enum Uses {
    Nothing,
    Alone,
    Mixed,
}

fn uses_window(expr: &Expr, under: &LogicalPlan) -> Uses {
    let columns = expr.column_refs();
    let windows = columns.iter().filter(|column| window_column(under, column).is_some()).count();
    match windows {
        0 => Uses::Nothing,
        all if all == columns.len() => Uses::Alone,
        _ => Uses::Mixed,
    }
}

/// The expression over the plain names `window_start`, `window_end`, `window_time`.
fn canonical(expr: &Expr, under: &LogicalPlan) -> Result<Expr> {
    let plain = expr.clone().transform(|node| match &node {
        Expr::Column(column) => {
            match window_column(under, column).and_then(|at| WINDOW_COLUMNS.get(at)) {
                Some(name) => Ok(Transformed::yes(Expr::Column(Column::from_name(*name)))),
                None => Ok(Transformed::no(node)),
            }
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(plain.data)
}
