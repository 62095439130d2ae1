//! The aggregate of a query, lowered: what it needs as columns, its functions, its keys and grouping sets.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, GroupingSet};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, SortExpr, when,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};

use super::aggregates::allowed::{Surroundings, allowed};
use super::cut::{self, ARRIVAL_COLUMN, ROW_COLUMN, window_column, window_node};
use super::refusal::{refuse, refuse_call};
use super::session::message_of;
use super::window_function::WindowKind;

/// One aggregate function over columns of the below plan's output.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// DataFusion's function with its arguments.
    pub function: Arc<AggregateFunctionExpr>,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
}

/// What a column of the aggregate's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// 0 `window_start`, 1 `window_end`, 2 `window_time`.
    Window(usize),
    /// The n-th group key.
    Key(usize),
    /// Which grouping set the row belongs to.
    GroupingId,
    /// The n-th aggregate.
    Aggregate(usize),
}

/// An aggregate cut out of a query.
#[derive(Debug, Clone)]
pub struct AggregatePlan {
    /// Fields of the group keys; the below plan's columns from 1 on.
    pub keys: Vec<FieldRef>,
    /// For each grouping set, which keys are NULL in it, and its grouping id; one without any for a plain GROUP BY.
    pub grouping_sets: Vec<(Vec<bool>, u64)>,
    /// Type of the grouping id; `None` for a plain GROUP BY.
    pub grouping_id_type: Option<DataType>,
    /// The functions.
    pub calls: Vec<AggregateCall>,
    /// Whether some of them read [`ARRIVAL_COLUMN`], which then comes after the below plan's columns.
    pub needs_arrival: bool,
    /// The output columns in order.
    pub outputs: Vec<Output>,
}

/// Collects what the aggregate needs as columns of one projection.
struct Inputs {
    exprs: Vec<Expr>,
    names: HashMap<String, String>,
}

impl Inputs {
    /// The column under which `expr` will stand; a literal stands for itself.
    fn column(&mut self, expr: &Expr) -> Expr {
        if matches!(expr, Expr::Literal(..)) {
            return expr.clone();
        }
        let text = format!("{expr}");
        let next = format!("__a{}", self.names.len());
        let name = self.names.entry(text).or_insert_with(|| {
            self.exprs.push(expr.clone().alias(next.clone()));
            next
        });
        Expr::Column(Column::from_name(name.clone()))
    }

    fn call(&mut self, call: &AggregateFunction) -> Result<AggregateFunction> {
        let mut call = call.clone();
        if let Some(filter) = &call.params.filter {
            call.params.args.iter_mut().try_for_each(|arg| guard(arg, filter))?;
        }
        call.params.args = call.params.args.iter().map(|arg| self.column(arg)).collect();
        call.params.filter = call.params.filter.take().map(|filter| Box::new(self.column(&filter)));
        for SortExpr { expr, .. } in
            call.params.order_by.iter_mut().filter(|sort| sort.expr != arrival())
        {
            *expr = self.column(expr);
        }
        Ok(call)
    }
}

/// An argument that is only computed where the call's FILTER holds: `SUM(10 / i) FILTER (WHERE i <> 0)`.
fn guard(arg: &mut Expr, filter: &Expr) -> Result<()> {
    if !matches!(arg, Expr::Column(_) | Expr::Literal(..)) {
        *arg = when(filter.clone(), arg.clone()).end()?;
    }
    Ok(())
}

/// Partition and offset of a row.
fn arrival() -> Expr {
    Expr::Column(Column::from_name(ARRIVAL_COLUMN))
}

/// Lowers an aggregate over `below`: the projection under it and the rest.
///
/// # Errors
/// When a function is not allowed or the groups do not fit the windows.
pub(super) fn aggregate_plan(
    state: &SessionState,
    aggregate: &Aggregate,
    below: &LogicalPlan,
    scope: Option<&str>,
) -> Result<(LogicalPlan, AggregatePlan)> {
    let groups: Vec<Expr> =
        grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
    let windows: Vec<Option<usize>> =
        groups.iter().map(|group| window_of(group, &aggregate.input)).collect();
    check_groups(aggregate, &groups, &windows)?;
    let mut exprs = vec![Expr::Column(cut::row_column(below)?).alias(ROW_COLUMN)];
    let mut outputs = Vec::new();
    let mut keys = 0;
    for (group, window) in groups.iter().zip(&windows) {
        outputs.push(match window {
            Some(nth) => Output::Window(*nth),
            None => {
                exprs.push(one_zero(group, &aggregate.input)?.alias(format!("__k{keys}")));
                keys += 1;
                Output::Key(keys - 1)
            }
        });
    }
    let is_set = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    let grouping_id_type = is_set
        .then(|| aggregate.schema.field(groups.len()).data_type().clone())
        .inspect(|_| outputs.push(Output::GroupingId));
    let mut inputs = Inputs { exprs, names: HashMap::new() };
    let order = [arrival().sort(true, true)];
    let place = Surroundings { input: &aggregate.input, order: &order, scope };
    let mut calls = Vec::new();
    for (nth, expr) in aggregate.aggr_expr.iter().enumerate() {
        let (call, name) = call_of(expr)?;
        let mut call = allowed(call, place)?;
        if call.params.distinct || call.func.name() == "approx_distinct" {
            for argument in &mut call.params.args {
                *argument = one_zero(argument, &aggregate.input)?;
            }
        }
        calls.push((inputs.call(&call)?, name));
        outputs.push(Output::Aggregate(nth));
    }
    let needs_arrival = calls
        .iter()
        .any(|(call, _)| call.params.order_by.iter().any(|sort| sort.expr == arrival()));
    let projection = LogicalPlanBuilder::from(below.clone()).project(inputs.exprs)?.build()?;
    let schema = &cut::with_column(projection.schema(), None, ARRIVAL_COLUMN, DataType::UInt64)?;
    let mut lowered = Vec::with_capacity(calls.len());
    for ((call, name), written) in calls.into_iter().zip(&aggregate.aggr_expr) {
        let call = lower(state, call, &name, schema)?;
        check_types(&call, call_of(written)?.0, &aggregate.input)?;
        lowered.push(call);
    }
    let key_fields = schema.fields().iter().skip(1).take(keys).cloned().collect();
    let plan = AggregatePlan {
        keys: key_fields,
        grouping_sets: grouping_sets(&aggregate.group_expr, &groups, &windows)?,
        grouping_id_type,
        calls: lowered,
        needs_arrival,
        outputs,
    };
    Ok((projection, plan))
}

/// Which window column a group is: 0 start, 1 end, 2 time.
pub(super) fn window_of(group: &Expr, input: &LogicalPlan) -> Option<usize> {
    match group.clone().unalias() {
        Expr::Column(column) => window_column(input, &column),
        _ => None,
    }
}

fn check_groups(aggregate: &Aggregate, groups: &[Expr], windows: &[Option<usize>]) -> Result<()> {
    for (group, window) in groups.iter().zip(windows) {
        let computed = group
            .column_refs()
            .iter()
            .any(|column| window_column(&aggregate.input, column).is_some());
        if window.is_none() && computed {
            return refuse(
                group,
                format!(
                    "GROUP BY '{group}': group by window_start and window_end, and compute afterwards"
                ),
            );
        }
    }
    let of_window = |expr: &&Expr| {
        expr.column_refs().iter().any(|column| window_column(&aggregate.input, column).is_some())
    };
    if let Some(call) = aggregate.aggr_expr.iter().find(of_window) {
        return refuse(
            call,
            format!(
                "'{call}' asks for the window of each record, and a record is added up before its windows are known: use \
                 the event time there, and window_start and window_end after GROUP BY"
            ),
        );
    }
    let has_window =
        aggregate.input.schema().fields().iter().any(|field| {
            window_column(&aggregate.input, &Column::from_name(field.name())).is_some()
        });
    if has_window && !windows.iter().flatten().any(|nth| *nth <= 1) {
        return plan_err!(
            "an aggregate over a window function must GROUP BY window_start, window_end"
        );
    }
    let by_start = groups.iter().zip(windows).find(|(_, nth)| **nth == Some(0));
    if let Some((group, _)) = by_start
        && is_over_steps(&aggregate.input)
        && !windows.iter().flatten().any(|nth| *nth > 0)
    {
        // SQL asks for one row of all steps here, which would count a record once a step.
        return refuse(
            group,
            "the windows of CUMULATE begin together: GROUP BY window_start, window_end",
        );
    }
    Ok(())
}

/// Whether the windows under an aggregate are those of `CUMULATE`.
fn is_over_steps(plan: &LogicalPlan) -> bool {
    match window_node(plan) {
        Some(node) => matches!(node.spec.kind, WindowKind::Cumulate { .. }),
        None => plan.inputs().into_iter().any(is_over_steps),
    }
}

fn call_of(expr: &Expr) -> Result<(&AggregateFunction, String)> {
    let name = expr.schema_name().to_string();
    let mut found = expr;
    while let Expr::Alias(alias) = found {
        found = &alias.expr;
    }
    match found {
        Expr::AggregateFunction(call) => Ok((call, name)),
        other => plan_err!("'{other}' is not an aggregate function"),
    }
}

fn lower(
    state: &SessionState,
    call: AggregateFunction,
    name: &str,
    schema: &DFSchema,
) -> Result<AggregateCall> {
    let expr = Expr::AggregateFunction(call);
    let context = PhysicalPlanningContext::default();
    let lowered = LoweredAggregateBuilder::new(
        &expr,
        schema,
        schema.as_arrow(),
        state.execution_props(),
        &context,
    )
    .with_name(name)
    .build()?;
    Ok(AggregateCall { function: lowered.aggregate, filter: lowered.filter })
}

/// Refuses a function that has no accumulator for its types; otherwise the first record would tell.
fn check_types(
    lowered: &AggregateCall,
    written: &AggregateFunction,
    input: &LogicalPlan,
) -> Result<()> {
    let function = &lowered.function;
    let made = match function.groups_accumulator_supported() {
        true => function.create_groups_accumulator().map(drop),
        false => function.create_accumulator().map(drop),
    };
    let Err(error) = made else { return Ok(()) };
    let types: Vec<String> = written
        .params
        .args
        .iter()
        .filter_map(|argument| Some(argument.get_type(input.schema()).ok()?.to_string()))
        .collect();
    let instead = match written.func.name() {
        "approx_distinct" => "use COUNT(DISTINCT x), or CAST it to STRING",
        _ => "CAST it to a type that it takes",
    };
    let message = format!(
        "{} cannot take {}; {instead} ({})",
        written.func.name().to_uppercase(),
        types.join(", "),
        message_of(&error)
    );
    refuse_call(written, message)
}

/// The expression without -0.0, which would be another key than 0.0: added to zero it is 0.0.
fn one_zero(expr: &Expr, input: &LogicalPlan) -> Result<Expr> {
    let zero = match expr.get_type(input.schema())? {
        DataType::Float64 => ScalarValue::Float64(Some(0.0)),
        DataType::Float32 => ScalarValue::Float32(Some(0.0)),
        _ => return Ok(expr.clone()),
    };
    Ok(expr.clone().unalias() + Expr::Literal(zero, None))
}

/// The sets as NULL masks over the keys, numbered as DataFusion numbers them.
fn grouping_sets(
    group_expr: &[Expr],
    groups: &[Expr],
    windows: &[Option<usize>],
) -> Result<Vec<(Vec<bool>, u64)>> {
    let [Expr::GroupingSet(set)] = group_expr else {
        let keys = windows.iter().filter(|window| window.is_none()).count();
        return Ok(vec![(vec![false; keys], 0)]);
    };
    let sets: Vec<Vec<Expr>> = match set {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(exprs) => {
            (0..=exprs.len()).map(|keep| exprs[..keep].to_vec()).collect()
        }
        GroupingSet::Cube(exprs) => (0..1_usize << exprs.len())
            .map(|chosen| {
                let kept = exprs.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
                kept.map(|(_, expr)| expr.clone()).collect()
            })
            .collect(),
    };
    let mut all = Vec::new();
    for set in sets {
        let absent: Vec<bool> = groups.iter().map(|group| !set.contains(group)).collect();
        if absent.iter().zip(windows).any(|(absent, window)| *absent && window.is_some()) {
            return plan_err!("every grouping set must hold window_start and window_end");
        }
        let id = absent.iter().fold(0_u64, |id, absent| id << 1 | u64::from(*absent));
        let mask: Vec<bool> = absent
            .iter()
            .zip(windows)
            .filter(|(_, window)| window.is_none())
            .map(|(absent, _)| *absent)
            .collect();
        if all.iter().any(|(earlier, _)| *earlier == mask) {
            return plan_err!("the same grouping set is named twice");
        }
        all.push((mask, id));
    }
    Ok(all)
}
