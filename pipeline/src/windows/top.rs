//! The leading rows of a window with many groups, kept from one publish to the next.
//!
//! `ROW_NUMBER() … WHERE rank <= 10` over a million shops looks at all of them, and a publish changes a few hundred. So
//! where the plan above the aggregate first picks the leading rows of a window, those and some more are kept in their
//! order; a publish evaluates the groups that were touched, puts them in their places, and hands the leading rows alone
//! to the plan. What it makes of them is what it would make of all.
//!
//! ```text
//! groups touched ─▶ evaluated ─▶ in or out, by the order ─▶ leading rows ─▶ above plan
//!                                  └─ too few are left: all groups once more
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NegativeExpr,
};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::window::StandardWindowExpr;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use hashbrown::HashMap;

use super::assemble::batch;
use crate::sql::exact::unchecked;
use crate::sql::plan::{AggregatePlan, Output, Shape, ViewPlan};
use crate::sql::slot::is_slot;

/// Windows with fewer groups are put together from all of them.
pub(super) const TOP_FROM: usize = 1_000;
/// Rows kept beyond twice those that are picked: as many may fall back before all groups have to be looked at again.
const SPARE: usize = 512;

/// How the plan above the aggregate picks the leading rows of a window.
#[derive(Debug)]
pub(super) struct TopPlan {
    /// What rows are left out by before, over the kept columns.
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// What they are picked by, over the kept columns.
    order: Vec<PhysicalSortExpr>,
    /// How many are picked.
    picked: usize,
    /// How many are kept beyond twice those.
    pub(super) spare: usize,
    schema: SchemaRef,
    orders: RowConverter,
    rows: RowConverter,
}

impl TopPlan {
    /// How `plan` picks leading rows; `None` where it looks at all, or what it looks at may fail on some rows depending
    /// on which others it sees.
    pub(super) fn of(plan: &ViewPlan) -> Option<Self> {
        let Shape::Aggregate(aggregate) = &plan.shape else { return None };
        if plan.join.is_some() || plan.outer.is_some() {
            return None;
        }
        let picking = Picking::below(&plan.above.plan)?;
        let (mut order, mut conditions) = (picking.order, Vec::new());
        let mut node = picking.input;
        while !is_slot(&node) {
            if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
                for one in &mut order {
                    one.expr = through(projection, &one.expr)?;
                }
                for condition in &mut conditions {
                    *condition = through(projection, condition)?;
                }
            } else if let Some(filter) = node.downcast_ref::<FilterExec>() {
                if filter.projection().is_some() {
                    return None;
                }
                conditions.push(Arc::clone(filter.predicate()));
            } else if node.downcast_ref::<CooperativeExec>().is_none()
                && node.downcast_ref::<SortExec>().is_none_or(|sort| sort.fetch().is_some())
            {
                return None;
            }
            let [input] = node.children()[..] else { return None };
            node = Arc::clone(input);
        }
        let own = order.split_off(picking.partition_keys.min(order.len()));
        // Each window is put together by itself: within it, they are all the same.
        let is_by_window = order.iter().all(|one| is_of_window(&one.expr, aggregate));
        if !is_by_window || !own.iter().map(|one| &one.expr).chain(&conditions).all(is_plain) {
            return None;
        }
        let schema = Arc::clone(&plan.kept_schema);
        let sorted = own.iter().map(|one| {
            let data_type = one.expr.data_type(&schema).ok()?;
            Some(SortField::new_with_options(data_type, one.options))
        });
        let orders = RowConverter::new(sorted.collect::<Option<_>>()?).ok()?;
        let kept = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let rows = RowConverter::new(kept.collect()).ok()?;
        Some(Self {
            conditions,
            order: own,
            picked: picking.rows,
            spare: SPARE,
            schema,
            orders,
            rows,
        })
    }

    /// The place of each row in the order; `None` for one that is left out before.
    fn places(&self, rows: &RecordBatch, groups: &[&[u8]]) -> Result<Vec<Option<Box<[u8]>>>> {
        let count = rows.num_rows();
        let mut wanted = vec![true; count];
        for condition in &self.conditions {
            let passes = condition.evaluate(rows)?.into_array(count)?;
            let passes = passes.as_boolean();
            for (row, wanted) in wanted.iter_mut().enumerate() {
                *wanted &= passes.is_valid(row) && passes.value(row);
            }
        }
        let columns = self.order.iter().map(|one| one.expr.evaluate(rows)?.into_array(count));
        let encoded = self.orders.convert_columns(&columns.collect::<Result<Vec<_>>>()?)?;
        let place = |((row, group), wanted): ((arrow::row::Row<'_>, &&[u8]), bool)| {
            // Equal rows of two groups, should there be any, go by the group.
            wanted.then(|| [row.as_ref(), group].concat().into_boxed_slice())
        };
        Ok(encoded.iter().zip(groups).zip(wanted).map(place).collect())
    }
}

/// A node that picks leading rows.
struct Picking {
    order: Vec<PhysicalSortExpr>,
    /// How many of those it picks within.
    partition_keys: usize,
    rows: usize,
    input: Arc<dyn ExecutionPlan>,
}

impl Picking {
    /// The first one on the way from the top of a plan down; `None` where the way forks before.
    fn below(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let mut node = plan;
        loop {
            if let Some(filter) = node.downcast_ref::<FilterExec>()
                && let Some(ranked) = Self::ranked(filter)
            {
                return Some(ranked);
            }
            if let Some(sort) = node.downcast_ref::<SortExec>()
                && let Some(rows) = sort.fetch()
            {
                let (order, input) = (sort.expr().iter().cloned().collect(), sort.input());
                return Some(Self { order, partition_keys: 0, rows, input: Arc::clone(input) });
            }
            let [input] = node.children()[..] else { return None };
            node = input;
        }
    }

    /// `ROW_NUMBER() OVER (…) <= n`, whatever else the filter asks: that is asked of the leading rows then.
    fn ranked(filter: &FilterExec) -> Option<Self> {
        let bounds = split_conjunction(filter.predicate()).into_iter().filter_map(bound);
        bounds.filter_map(|(column, rows)| Self::numbered(filter.input(), column, rows)).next()
    }

    /// Where a column is a row's number, and nothing else is computed over the rows together.
    fn numbered(plan: &Arc<dyn ExecutionPlan>, column: usize, rows: usize) -> Option<Self> {
        let (mut node, mut column) = (plan, column);
        while let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            column = column_of(&projection.expr().get(column)?.expr)?;
            node = projection.input();
        }
        let (exprs, input) = match node.downcast_ref::<BoundedWindowAggExec>() {
            Some(window) => (window.window_expr(), window.input()),
            None => {
                let window = node.downcast_ref::<WindowAggExec>()?;
                (window.window_expr(), window.input())
            }
        };
        let [only] = exprs else { return None };
        let function = only.as_any().downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
        let function = function.as_any().downcast_ref::<WindowUDFExpr>()?.fun().name();
        if column != input.schema().fields().len() || function != "row_number" {
            return None;
        }
        let keys = only.partition_by();
        let of_key = |key: &Arc<dyn PhysicalExpr>| PhysicalSortExpr::new_default(Arc::clone(key));
        let order = keys.iter().map(of_key).chain(only.order_by().iter().cloned()).collect();
        Some(Self { order, partition_keys: keys.len(), rows, input: Arc::clone(input) })
    }
}

/// The column and the number of `column <= number`.
fn bound(condition: &Arc<dyn PhysicalExpr>) -> Option<(usize, usize)> {
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    let (column, number, is_less) = match binary.op() {
        Operator::LtEq | Operator::Lt => {
            (binary.left(), binary.right(), *binary.op() == Operator::Lt)
        }
        Operator::GtEq | Operator::Gt => {
            (binary.right(), binary.left(), *binary.op() == Operator::Gt)
        }
        _ => return None,
    };
    let number = number.downcast_ref::<Literal>()?.value();
    // Less than 3.5 is not less than 3.
    if !number.data_type().is_integer() {
        return None;
    }
    let number = number.cast_to(&DataType::UInt64).ok()?;
    let ScalarValue::UInt64(Some(number)) = number else { return None };
    let most = usize::try_from(number).ok()?.saturating_sub(usize::from(is_less));
    Some((column_of(column)?, most))
}

/// The column that an expression is, in a wider type perhaps.
fn column_of(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => column_of(cast.expr()),
        None => Some(expr.downcast_ref::<Column>()?.index()),
    }
}

/// The expression over what a projection is made from; `None` where they do not fit together.
fn through(
    projection: &ProjectionExec,
    expr: &Arc<dyn PhysicalExpr>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let below = Arc::clone(expr).transform_up(|node| {
        let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
        match projection.expr().get(column.index()) {
            Some(one) => Ok(Transformed::yes(Arc::clone(&one.expr))),
            None => internal_err!("a column that its projection does not have"),
        }
    });
    Some(below.ok()?.data)
}

/// Whether it is a column of the window itself.
fn is_of_window(expr: &Arc<dyn PhysicalExpr>, aggregate: &AggregatePlan) -> bool {
    let column = expr.downcast_ref::<Column>().and_then(|at| aggregate.outputs.get(at.index()));
    matches!(column, Some(Output::Window(_)))
}

/// Whether it says the same of a row whichever rows are beside it. What is left out where it is not needed, as the right
/// side of an AND, may fail or not by the other rows of a batch.
fn is_plain(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let expr = unchecked(expr);
    let is_known = match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) => !matches!(binary.op(), Operator::And | Operator::Or),
        None => {
            expr.downcast_ref::<Column>().is_some()
                || expr.downcast_ref::<Literal>().is_some()
                || expr.downcast_ref::<CastExpr>().is_some()
                || expr.downcast_ref::<NegativeExpr>().is_some()
                || expr.downcast_ref::<IsNullExpr>().is_some()
                || expr.downcast_ref::<IsNotNullExpr>().is_some()
        }
    };
    is_known && expr.children().into_iter().all(is_plain)
}

/// The leading rows of one window.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// Groups by their places in the order, each with its row.
    leading: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// Their places.
    places: HashMap<Box<[u8]>, Box<[u8]>>,
    /// Where the first of the groups that are not kept may stand; `None` where all are.
    bound: Option<Box<[u8]>>,
}

impl Top {
    /// Of all rows of a window, which are the groups' in their order.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub(super) fn of(plan: &TopPlan, rows: &RecordBatch, groups: &[&[u8]]) -> Result<Self> {
        let mut top = Self::default();
        top.put(plan, rows, groups)?;
        Ok(top)
    }

    /// Puts rows of groups in their places, in the place of those they had; answers whether enough are left to pick
    /// from. Where not, and at an error, it is of no use any more.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub(super) fn put(
        &mut self,
        plan: &TopPlan,
        rows: &RecordBatch,
        groups: &[&[u8]],
    ) -> Result<bool> {
        let places = plan.places(rows, groups)?;
        let encoded = plan.rows.convert_columns(rows.columns())?;
        for ((group, place), row) in groups.iter().zip(places).zip(encoded.iter()) {
            if let Some(before) = self.places.remove(*group) {
                self.leading.remove(&before);
            }
            let Some(place) = place else { continue };
            if self.bound.as_ref().is_none_or(|bound| place < *bound) {
                self.places.insert((*group).into(), place.clone());
                self.leading.insert(place, row.as_ref().into());
            }
        }
        let most = 2 * plan.picked + plan.spare;
        if self.leading.len() > 2 * most {
            self.cut(most);
        }
        Ok(self.bound.is_none() || self.leading.len() >= plan.picked)
    }

    fn cut(&mut self, most: usize) {
        let Some(first) = self.leading.keys().nth(most).cloned() else { return };
        let _rest = self.leading.split_off(&first);
        self.places.retain(|_, place| *place < first);
        self.bound = Some(first);
    }

    /// The rows that are picked, in no order that says anything.
    ///
    /// # Errors
    /// When they cannot be read back.
    pub(super) fn picked(&self, plan: &TopPlan) -> Result<RecordBatch> {
        let parser = plan.rows.parser();
        let rows: Vec<_> =
            self.leading.values().take(plan.picked).map(|row| parser.parse(row)).collect();
        let count = rows.len();
        batch(&plan.schema, plan.rows.convert_rows(rows)?, count)
    }

    /// Bytes on the heap, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let leading: usize = self.leading.iter().map(|(place, row)| place.len() + row.len()).sum();
        let places: usize =
            self.places.iter().map(|(group, place)| group.len() + place.len()).sum();
        leading + places + 96 * self.leading.len()
    }
}

/// Which groups of a window were touched since the last publish.
#[derive(Debug)]
pub(super) enum Fresh {
    /// These, by their keys.
    Groups(BTreeSet<Box<[u8]>>),
    /// More than are worth telling apart.
    Many,
}

/// Groups told apart in one publish.
const FRESH_MAX: usize = 500_000;

impl Default for Fresh {
    fn default() -> Self {
        Self::Groups(BTreeSet::new())
    }
}

impl Fresh {
    /// Takes note of a group.
    pub(super) fn note(&mut self, group: &[u8]) {
        let Self::Groups(groups) = self else { return };
        if !groups.contains(group) {
            groups.insert(group.into());
        }
        if groups.len() > FRESH_MAX {
            *self = Self::Many;
        }
    }
}
