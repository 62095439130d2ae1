//! The rows and columns of one table that a role is shown, as a plan over the table.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, SortExpr, TableSource, Volatility,
    cast,
};
use std::sync::Arc;
use tidemark_pipeline::history::HashKey;

use super::hash::hashed;

/// What stands in the place of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mask {
    /// The value's keyed hash.
    Hash,
    /// NULL.
    Null,
    /// What a SQL expression makes of the row.
    Sql(String),
}

/// What a role is shown of a table.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The SQL condition of the rows that are shown.
    pub(super) filter: Option<String>,
    /// Masks by column.
    pub(super) masks: BTreeMap<String, Mask>,
    /// Whether the configuration says something of the table, beside what is so by default.
    pub(super) is_configured: bool,
    /// Whether a condition or a mask calls what is other at another time (`now()`).
    pub(super) asks_the_clock: bool,
    /// Whether the rows are in an order that tells of their values, as those of a view are, by its keys.
    pub(super) is_ordered: bool,
    /// The key of hashes.
    pub(super) key: HashKey,
}

/// Which part of a table is wanted.
pub(super) struct Wanted<'a> {
    /// Columns by their place; all when `None`.
    pub(super) columns: Option<&'a Vec<usize>>,
    /// Conditions that [`Guard::may_ask_below`].
    pub(super) conditions: &'a [Expr],
}

impl Guard {
    /// Everything, until something is said.
    pub(super) fn new(key: &HashKey) -> Self {
        let (filter, masks, key) = (None, BTreeMap::new(), key.clone());
        let (is_configured, asks_the_clock, is_ordered) = (false, false, false);
        Self { filter, masks, is_configured, asks_the_clock, is_ordered, key }
    }

    /// Whether it shows everything.
    pub(super) fn is_open(&self) -> bool {
        self.filter.is_none() && self.masks.is_empty()
    }

    /// The columns that are shown: those of the table by name and type.
    pub(super) fn shown(&self, table: &Schema) -> Schema {
        let fields = table.fields().iter().map(|field| {
            let is_masked = self.masks.contains_key(field.name());
            let field = field.as_ref().clone();
            let is_nullable = field.is_nullable();
            field.with_nullable(is_nullable || is_masked)
        });
        Schema::new(fields.collect::<Vec<_>>())
    }

    /// The wanted part as a plan: the condition of the rows first, then what is wanted of them, then the masks, then an order
    /// that tells of nothing but what is shown.
    ///
    /// # Errors
    /// When the condition or a mask is no SQL expression over the table.
    pub(super) fn plan(
        &self,
        state: &SessionState,
        table: Arc<dyn TableSource>,
        wanted: &Wanted<'_>,
    ) -> Result<LogicalPlan> {
        let fields = table.schema();
        let name = TableReference::bare("guarded");
        let mut plan = LogicalPlanBuilder::scan(name, table, None)?;
        if let Some(filter) = &self.filter {
            let condition = state.create_logical_expr(filter, plan.schema())?;
            plan = plan.filter(condition)?;
        }
        for condition in wanted.conditions {
            plan = plan.filter(condition.clone())?;
        }
        let all = || (0..fields.fields().len()).collect();
        let places: Vec<usize> = wanted.columns.cloned().unwrap_or_else(all);
        let mut shown = Vec::with_capacity(places.len());
        for at in places {
            let field = fields.field(at);
            let value = self.value(state, &plan, field.name(), field.data_type())?;
            shown.push(value.alias(field.name()));
        }
        if shown.is_empty() {
            // Rows without columns are still counted.
            shown.push(Expr::Literal(ScalarValue::Boolean(Some(true)), None).alias("row"));
        }
        plan = plan.project(shown)?;
        if self.is_ordered && !self.masks.is_empty() {
            let columns = plan.schema().columns().into_iter();
            let order: Vec<SortExpr> =
                columns.map(|column| Expr::Column(column).sort(true, false)).collect();
            plan = plan.sort(order)?;
        }
        plan.build()
    }

    fn value(
        &self,
        state: &SessionState,
        plan: &LogicalPlanBuilder,
        name: &str,
        of: &DataType,
    ) -> Result<Expr> {
        let column = || Expr::Column(Column::new_unqualified(name));
        Ok(match self.masks.get(name) {
            None => column(),
            Some(Mask::Hash) => hashed(column(), &self.key),
            Some(Mask::Null) => Expr::Literal(ScalarValue::try_from(of)?, None),
            Some(Mask::Sql(text)) => {
                cast(state.create_logical_expr(text, plan.schema())?, of.clone())
            }
        })
    }

    /// Whether a condition of a query may be asked of rows before it is known that the role is shown them. One that can
    /// fail would tell of rows by failing, and one about a masked column by its answer; so only columns that are shown as
    /// they are, compared with one another and with constants.
    pub(super) fn may_ask_below(&self, condition: &Expr) -> bool {
        let operand = |expr: &Expr| match expr {
            Expr::Column(column) => !self.masks.contains_key(&column.name),
            Expr::Literal(..) => true,
            _ => false,
        };
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And | Operator::Or => {
                    self.may_ask_below(left) && self.may_ask_below(right)
                }
                Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq => operand(left) && operand(right),
                _ => false,
            },
            Expr::Not(inner) => self.may_ask_below(inner),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => operand(inner),
            Expr::Between(between) => {
                operand(&between.expr) && operand(&between.low) && operand(&between.high)
            }
            Expr::InList(list) => operand(&list.expr) && list.list.iter().all(operand),
            other => operand(other),
        }
    }
}

/// Why an expression cannot be a mask or a condition; `None` where it can.
pub(super) fn refusal(expr: &Expr) -> Option<&'static str> {
    if expr.is_volatile() {
        return Some("it would be something else each time it is asked");
    }
    let is = |test: fn(&Expr) -> bool| expr.exists(|part| Ok(test(part))).unwrap_or(true);
    if is(|part| matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_))) {
        return Some("it is about one row, so it has no aggregate and nothing OVER others");
    }
    if is(|part| matches!(part, Expr::Placeholder(_) | Expr::ScalarVariable(..))) {
        return Some("it has no parameters");
    }
    if is(|part| matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_))) {
        return Some("it is about one row of this table, so it has no subquery");
    }
    None
}

/// Whether an expression is other at another time.
pub(super) fn asks_the_clock(expr: &Expr) -> bool {
    let is_steady = |part: &Expr| match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
        _ => true,
    };
    expr.exists(|part| Ok(!is_steady(part))).unwrap_or(true)
}

/// The part of an error that is about the expression.
pub(super) fn told(error: &DataFusionError) -> String {
    crate::sql::SqlError::of_planning(error).to_string()
}
