//! Which windows the rows of a query over results are of.
//!
//! A row may be called final only if nothing it is made of can still change. So the windows of what a view over
//! results reads are followed through its plan: where every row depends on input rows of its own window alone, the
//! row takes its mark from that window. Where a row depends on others too (the newest window, a share of all days, a
//! LIMIT), it has no window of its own, and stays provisional.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, Join, JoinType, LogicalPlan, Operator};

use super::slot::SlotNode;

/// The result columns that name the window of a row, as indices into the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowColumns {
    /// Where it starts.
    pub start: Option<usize>,
    /// Where it ends.
    pub end: Option<usize>,
}

impl WindowColumns {
    /// Whether rows name their window at all.
    #[must_use]
    pub fn is_some(self) -> bool {
        self.start.is_some() || self.end.is_some()
    }
}

/// The window columns of an optimized query's result; `leaf` knows those of a slot's columns, by its number.
///
/// # Errors
/// When the plan's columns do not fit together.
pub fn window_columns(
    plan: &LogicalPlan,
    leaf: &dyn Fn(usize, &DFSchema) -> WindowColumns,
) -> Result<WindowColumns> {
    let bound = bound(plan, leaf)?;
    if bound.is_constant {
        return Ok(WindowColumns::default());
    }
    Ok(WindowColumns { start: bound.start.first().copied(), end: bound.end.first().copied() })
}

/// Columns of which each says: this row depends only on input rows whose window starts (or ends) at its value.
#[derive(Debug, Clone, Default)]
struct Bound {
    start: BTreeSet<usize>,
    end: BTreeSet<usize>,
    /// Depends on no window at all, as a reference table.
    is_constant: bool,
}

impl Bound {
    fn constant() -> Self {
        Self { is_constant: true, ..Self::default() }
    }

    /// The same through a node whose output column `to` is the input column `from`, for each `(from, to)`.
    fn through(self, kept: &[(usize, usize)]) -> Self {
        let map = |columns: &BTreeSet<usize>| {
            kept.iter().filter(|(from, _)| columns.contains(from)).map(|(_, to)| *to).collect()
        };
        Self { start: map(&self.start), end: map(&self.end), is_constant: self.is_constant }
    }

    /// The same where it holds only within groups of equal `columns`.
    fn within(self, columns: &BTreeSet<usize>) -> Self {
        let keep =
            |own: BTreeSet<usize>| if own.is_disjoint(columns) { BTreeSet::new() } else { own };
        Self { start: keep(self.start), end: keep(self.end), is_constant: self.is_constant }
    }
}

fn bound(plan: &LogicalPlan, leaf: &dyn Fn(usize, &DFSchema) -> WindowColumns) -> Result<Bound> {
    if has_subquery(plan)? {
        return Ok(Bound::default());
    }
    let input = |plan: &LogicalPlan| bound(plan, leaf);
    Ok(match plan {
        LogicalPlan::Extension(_) => match SlotNode::of(plan) {
            Some((number, schema)) => {
                let columns = leaf(number, schema);
                let set = |column: Option<usize>| column.into_iter().collect();
                Bound { start: set(columns.start), end: set(columns.end), is_constant: false }
            }
            None => Bound::constant(),
        },
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            Bound::constant()
        }
        LogicalPlan::Projection(node) => {
            input(&node.input)?.through(&kept(&node.expr, node.input.schema()))
        }
        LogicalPlan::Aggregate(node) => {
            let columns = kept(&node.group_expr, node.input.schema());
            let below = input(&node.input)?;
            // Grouping sets are one expression here, which is no column.
            below.through(&columns)
        }
        LogicalPlan::Window(node) => {
            let mut below = input(&node.input)?;
            for expr in &node.window_expr {
                let partition = partition_of(expr, node.input.schema());
                below = below.within(&partition);
            }
            below
        }
        LogicalPlan::Join(node) => joined(node, input(&node.left)?, input(&node.right)?),
        LogicalPlan::Union(node) => {
            let mut all: Option<Bound> = None;
            for part in &node.inputs {
                let part = input(part)?;
                all = Some(match all {
                    None => part,
                    Some(all) if all.is_constant => part,
                    Some(all) if part.is_constant => all,
                    Some(all) => Bound {
                        start: &all.start & &part.start,
                        end: &all.end & &part.end,
                        is_constant: false,
                    },
                });
            }
            all.unwrap_or_default()
        }
        LogicalPlan::Sort(node) if node.fetch.is_none() => input(&node.input)?,
        LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => match plan.inputs().first() {
            Some(below) => input(below)?,
            None => Bound::default(),
        },
        // A LIMIT leaves out rows by those of other windows.
        _ => Bound::default(),
    })
}

fn joined(join: &Join, left: Bound, right: Bound) -> Bound {
    let width = join.left.schema().fields().len();
    if left.is_constant && right.is_constant {
        return Bound::constant();
    }
    let equal = equal_columns(join);
    let of_role = |left_own: &BTreeSet<usize>, right_own: &BTreeSet<usize>| {
        let meet = |(l, r): &(usize, usize)| left_own.contains(l) && right_own.contains(r);
        let is_one_window = left.is_constant || right.is_constant || equal.iter().any(meet);
        let shifted = right_own.iter().map(|column| column + width);
        match join.join_type {
            _ if !is_one_window => BTreeSet::new(),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left_own.iter().copied().chain(shifted).collect()
            }
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left_own.clone(),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right_own.clone(),
        }
    };
    let (start, end) = (of_role(&left.start, &right.start), of_role(&left.end, &right.end));
    Bound { start, end, is_constant: false }
}

/// Columns that must be equal for rows to meet, of the left side and of the right.
fn equal_columns(join: &Join) -> Vec<(usize, usize)> {
    let at = |expr: &Expr, schema: &DFSchema| index_of(expr, schema);
    let (left, right) = (join.left.schema(), join.right.schema());
    let mut pairs: Vec<(usize, usize)> =
        join.on.iter().filter_map(|(l, r)| Some((at(l, left)?, at(r, right)?))).collect();
    for part in join.filter.iter().flat_map(split_conjunction) {
        if let Expr::BinaryExpr(BinaryExpr { left: l, op: Operator::Eq, right: r }) = part {
            let straight = at(l, left).zip(at(r, right));
            pairs.extend(straight.or_else(|| at(r, left).zip(at(l, right))));
        }
    }
    pairs
}

/// Of expressions that are a column of the input: which, and where it is now.
fn kept(exprs: &[Expr], input: &DFSchema) -> Vec<(usize, usize)> {
    exprs.iter().enumerate().filter_map(|(to, expr)| Some((index_of(expr, input)?, to))).collect()
}

fn index_of(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Alias(alias) => index_of(&alias.expr, schema),
        Expr::Column(column) => index_of_column(column, schema),
        _ => None,
    }
}

fn index_of_column(column: &Column, schema: &DFSchema) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// The columns within whose groups a window function looks; none where it looks at all rows.
fn partition_of(expr: &Expr, schema: &DFSchema) -> BTreeSet<usize> {
    match expr {
        Expr::Alias(alias) => partition_of(&alias.expr, schema),
        Expr::WindowFunction(function) => {
            let WindowFunction { params, .. } = function.as_ref();
            params.partition_by.iter().filter_map(|expr| index_of(expr, schema)).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Whether an expression of this very node asks another query, which may look at any window.
fn has_subquery(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= expr.exists(|part| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
            ))
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
