//! A plan as plain steps: filters, projections and joins with rows that never change, each row by itself.
//!
//! A step is run over a batch without a stream, a task or a lock, and what several views have in common is done
//! once (`shared`). So that it can be seen what they have in common, a step numbers all columns of its rows and not
//! only those its own plan goes on with. A plan with any other node is executed as DataFusion made it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::lookup::{From, Lookup, LookupJoin};
use super::rounded::rounded;
use crate::sql::slot::is_slot;

/// One step.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Keeps the rows for which the value is true, with all their columns.
    Filter(Value),
    /// Finds for each row the one of a table that belongs to it; the columns of the table stand behind the row's own,
    /// of which there are `width`.
    Lookup { key: Value, lookup: Lookup, width: usize },
    /// Makes other columns of the columns.
    Project(Vec<Value>),
}

/// An expression over some of the columns of its rows.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Numbers of the columns it looks at, ascending.
    pub(super) columns: Vec<usize>,
    /// Over those columns alone, numbered from 0.
    pub(super) expr: Arc<dyn PhysicalExpr>,
    /// Of those columns.
    pub(super) schema: SchemaRef,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && self.expr.eq(&other.expr)
    }
}

impl Value {
    /// A column as it is.
    fn column(at: usize, field: &FieldRef) -> Self {
        Self {
            columns: vec![at],
            expr: Arc::new(Column::new(field.name(), 0)),
            schema: Arc::new(Schema::new(vec![Arc::clone(field)])),
        }
    }

    /// The number of the column that it is, unchanged.
    pub(super) fn as_column(&self) -> Option<usize> {
        self.expr.is::<Column>().then(|| self.columns.first().copied()).flatten()
    }
}

/// All steps of a plan, from its slot up.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) steps: Vec<Arc<Step>>,
    /// The columns of the result, over the rows that the last step leaves.
    pub(super) outputs: Vec<Value>,
    pub(super) schema: SchemaRef,
}

impl Steps {
    /// The steps of a plan; `None` when it has another kind of node.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let Reading { steps, outputs, .. } = Reading::of(plan)?;
        Some(Self { steps, outputs, schema: plan.schema() })
    }

    /// The columns of the slot that they look at, by number.
    pub(super) fn columns(&self) -> BTreeSet<usize> {
        let mut columns = looked_at(&self.outputs);
        for step in self.steps.iter().rev() {
            match &**step {
                Step::Filter(value) => columns.extend(&value.columns),
                Step::Lookup { key, width, .. } => {
                    columns.retain(|at| at < width);
                    columns.extend(&key.columns);
                }
                Step::Project(values) => {
                    columns = looked_at(columns.iter().filter_map(|at| values.get(*at)));
                }
            }
        }
        columns
    }
}

fn looked_at<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<usize> {
    values.into_iter().flat_map(|value| value.columns.iter().copied()).collect()
}

/// A plan as far as it has been read.
struct Reading {
    steps: Vec<Arc<Step>>,
    /// The columns of the rows after the last step.
    fields: Vec<FieldRef>,
    /// What the plan's own columns are made of.
    outputs: Vec<Value>,
}

impl Reading {
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        if is_slot(plan) {
            let fields: Vec<FieldRef> = plan.schema().fields().iter().cloned().collect();
            return Some(Self { steps: Vec::new(), outputs: as_they_are(&fields), fields });
        }
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            return Self::of_join(join);
        }
        let children = plan.children();
        let [input] = children.as_slice() else { return None };
        let mut read = Self::of(input)?;
        if plan.is::<CooperativeExec>() {
            // It only lets other tasks have their turn, and there are none.
            return Some(read);
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            if filter.fetch().is_some() {
                return None;
            }
            let predicate = read.value(filter.predicate())?;
            read.steps.push(Arc::new(Step::Filter(predicate)));
            if let Some(keep) = filter.projection().as_ref() {
                read.outputs =
                    keep.iter().map(|at| read.outputs.get(*at).cloned()).collect::<Option<_>>()?;
            }
            return Some(read);
        }
        let projection = plan.downcast_ref::<ProjectionExec>()?;
        // First, or some of the values would be over the rows before the step and some over those after it.
        if projection.expr().iter().any(|found| read.is_over_computed(&found.expr)) {
            read.project()?;
        }
        let made = projection.expr().iter().map(|found| read.value(&found.expr));
        read.outputs = made.collect::<Option<_>>()?;
        Some(read)
    }

    fn of_join(join: &HashJoinExec) -> Option<Self> {
        let is_left = match (has_slot(join.left()), has_slot(join.right())) {
            (true, false) => true,
            (false, true) => false,
            _ => return None,
        };
        let mut read = Self::of(if is_left { join.left() } else { join.right() })?;
        let LookupJoin { lookup, key, columns } = LookupJoin::of(join, is_left)?;
        let key = read.value(key)?;
        let width = read.fields.len();
        read.fields.extend(lookup.fields());
        read.outputs = columns
            .into_iter()
            .map(|from| match from {
                From::Row(at) => read.outputs.get(at).cloned(),
                From::Table(at) => Some(Value::column(width + at, read.fields.get(width + at)?)),
            })
            .collect::<Option<_>>()?;
        read.steps.push(Arc::new(Step::Lookup { key, lookup, width }));
        Some(read)
    }

    /// An expression of the plan's over the rows. What it is computed of is computed first, in a step.
    fn value(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Value> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return self.outputs.get(column.index()).cloned();
        }
        if self.is_over_computed(expr) {
            self.project()?;
        }
        let source = |at: usize| self.outputs.get(at)?.as_column();
        let sources = collect_columns(expr).into_iter().map(|column| source(column.index()));
        let mut columns = sources.collect::<Option<Vec<_>>>()?;
        columns.sort_unstable();
        columns.dedup();
        let fields: Vec<FieldRef> =
            columns.iter().map(|at| self.fields.get(*at).cloned()).collect::<Option<_>>()?;
        let renumbered = |node: Arc<dyn PhysicalExpr>| -> Result<_> {
            let Some(column) = node.downcast_ref::<Column>() else {
                return Ok(Transformed::no(node));
            };
            let found = source(column.index()).and_then(|at| columns.binary_search(&at).ok());
            let found = found.and_then(|at| Some((fields.get(at)?, at)));
            let Some((field, at)) = found else {
                return internal_err!("column {column} of no step");
            };
            Ok(Transformed::yes(Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>))
        };
        let expr = Arc::clone(expr).transform_up(renumbered).ok()?.data;
        let schema = Arc::new(Schema::new(fields));
        Some(Value { columns, expr: rounded(expr, &schema).ok()?, schema })
    }

    /// Whether an expression computes with a column that is itself computed and not one of the rows'.
    fn is_over_computed(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        if expr.is::<Column>() {
            return false;
        }
        let is_computed =
            |at: usize| self.outputs.get(at).is_some_and(|own| own.as_column().is_none());
        collect_columns(expr).into_iter().any(|column| is_computed(column.index()))
    }

    /// Makes a step of what the columns are made of.
    fn project(&mut self) -> Option<()> {
        let field = |value: &Value| value.expr.return_field(&value.schema).ok();
        self.fields = self.outputs.iter().map(field).collect::<Option<_>>()?;
        let made = std::mem::replace(&mut self.outputs, as_they_are(&self.fields));
        self.steps.push(Arc::new(Step::Project(made)));
        Some(())
    }
}

fn as_they_are(fields: &[FieldRef]) -> Vec<Value> {
    fields.iter().enumerate().map(|(at, field)| Value::column(at, field)).collect()
}

fn has_slot(plan: &Arc<dyn ExecutionPlan>) -> bool {
    is_slot(plan) || plan.children().into_iter().any(has_slot)
}
