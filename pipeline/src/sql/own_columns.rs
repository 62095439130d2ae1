//! What a sort, a function OVER or a GROUP BY reckons with, in columns of its own below it.
//!
//! Sums, differences and products are checked where a projection computes them (`exact.rs`). Those that stand in the
//! keys of a sort or an aggregate, in what a window function is given, in a FILTER or behind a DISTINCT are put into a
//! projection, so that they are checked too. In the executable plan it could not be done: what is sorted there is told by its
//! expression, and another one would not be known for the same.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Window,
};
use datafusion::optimizer::AnalyzerRule;

/// [`with_own_columns`] as a rule of a session.
#[derive(Debug)]
pub struct OwnColumns;

impl AnalyzerRule for OwnColumns {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        with_own_columns(plan)
    }

    fn name(&self) -> &str {
        "own_columns"
    }
}

/// The plan with what its sorts, window functions and GROUP BYs reckon in projections below them; its columns stay as
/// they are. Done once more it stays as it is.
///
/// # Errors
/// DataFusion's own, when a changed node cannot be made.
pub fn with_own_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(mut sort) => {
            let mut own = Own::default();
            for one in &mut sort.expr {
                one.expr = own.column_of(one.expr.clone());
            }
            let schema = Arc::clone(sort.input.schema());
            let Some(input) = own.below(&sort.input)? else {
                return Ok(Transformed::no(LogicalPlan::Sort(sort)));
            };
            sort.input = Arc::new(input);
            columns_of(LogicalPlan::Sort(sort), &schema).map(Transformed::yes)
        }
        LogicalPlan::Window(window) => {
            let mut own = Own::default();
            let node = LogicalPlan::Window(window.clone());
            let given = window.window_expr.iter().map(|expr| own.given(&node, expr));
            let given = given.collect::<Result<Vec<_>>>()?;
            let Some(input) = own.below(&window.input)? else { return Ok(Transformed::no(node)) };
            let built = LogicalPlan::Window(Window::try_new(given, Arc::new(input))?);
            columns_of(built, &window.schema).map(Transformed::yes)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut own = Own::default();
            let node = LogicalPlan::Aggregate(aggregate.clone());
            let keys = aggregate.group_expr.iter().map(|expr| own.key(&node, expr));
            let keys = keys.collect::<Result<Vec<_>>>()?;
            let calls = aggregate.aggr_expr.iter().map(|expr| own.called(&node, expr));
            let calls = calls.collect::<Result<Vec<_>>>()?;
            let Some(input) = own.below(&aggregate.input)? else {
                return Ok(Transformed::no(node));
            };
            let built = Aggregate::try_new(Arc::new(input), keys, calls)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(built)))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(changed.data)
}

/// What is put below a node.
#[derive(Debug, Default)]
struct Own {
    exprs: Vec<Expr>,
}

impl Own {
    /// The column that an expression is put into, or itself where it reckons nothing.
    fn column_of(&mut self, expr: Expr) -> Expr {
        if !reckons(&expr) {
            return expr;
        }
        let at = self.exprs.iter().position(|own| *own == expr).unwrap_or_else(|| {
            self.exprs.push(expr);
            self.exprs.len() - 1
        });
        Expr::Column(Column::from_name(name_of(at)))
    }

    /// A window function that is given columns, by the name it had.
    fn given(&mut self, node: &LogicalPlan, expr: &Expr) -> Result<Expr> {
        let name = NamePreserver::new(node).save(expr);
        let given = expr.clone().transform_down(|part| match part {
            Expr::WindowFunction(_) => {
                let given = part.map_children(|part| Ok(Transformed::yes(self.column_of(part))))?;
                Ok(Transformed::new(given.data, true, TreeNodeRecursion::Jump))
            }
            part => Ok(Transformed::no(part)),
        })?;
        Ok(name.restore(given.data))
    }

    /// An aggregate function whose condition is a column, and whose argument is one where it is DISTINCT: that becomes a
    /// key while the plan is optimized. Others have their arguments checked where they are computed.
    fn called(&mut self, node: &LogicalPlan, expr: &Expr) -> Result<Expr> {
        let name = NamePreserver::new(node).save(expr);
        let called = expr.clone().transform_down(|part| match part {
            Expr::AggregateFunction(mut call) => {
                if let Some(filter) = call.params.filter.take() {
                    call.params.filter = Some(Box::new(self.column_of(*filter)));
                }
                if call.params.distinct {
                    let args = std::mem::take(&mut call.params.args);
                    call.params.args = args.into_iter().map(|arg| self.column_of(arg)).collect();
                }
                let call = Expr::AggregateFunction(call);
                Ok(Transformed::new(call, true, TreeNodeRecursion::Jump))
            }
            part => Ok(Transformed::no(part)),
        })?;
        Ok(name.restore(called.data))
    }

    /// A key of GROUP BY, or those of grouping sets, by the names they had.
    fn key(&mut self, node: &LogicalPlan, expr: &Expr) -> Result<Expr> {
        let mut named = |part: Expr| {
            let name = NamePreserver::new(node).save(&part);
            name.restore(self.column_of(part))
        };
        match expr {
            Expr::GroupingSet(_) => {
                let sets = expr.clone().map_children(|part| Ok(Transformed::yes(named(part))))?;
                Ok(sets.data)
            }
            key => Ok(named(key.clone())),
        }
    }

    /// The input with these columns behind its own; `None` where there are none.
    fn below(self, input: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        if self.exprs.is_empty() {
            return Ok(None);
        }
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let own = self.exprs.into_iter().enumerate().map(|(at, expr)| expr.alias(name_of(at)));
        LogicalPlanBuilder::from(input.clone()).project(columns.chain(own))?.build().map(Some)
    }
}

fn name_of(at: usize) -> String {
    format!("__own_{at}")
}

/// The columns of `schema` out of a node that has more.
fn columns_of(node: LogicalPlan, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let columns = schema.columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(node).project(columns)?.build()
}

/// Whether an expression adds, subtracts, multiplies or negates what comes from a column.
fn reckons(expr: &Expr) -> bool {
    let arithmetic = |part: &Expr| match part {
        Expr::BinaryExpr(binary) => {
            matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply)
        }
        part => matches!(part, Expr::Negative(_)),
    };
    expr.any_column_refs() && expr.exists(|part| Ok(arithmetic(part))).unwrap_or(false)
}
