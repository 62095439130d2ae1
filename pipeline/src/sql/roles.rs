//! Which columns of a result identify a row: the window, and what the query groups by.

use arrow::datatypes::DataType;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, JoinType, LogicalPlan};

use super::aggregate_plan::window_of;
use super::plan::{holds_slot, kept_schema};
use super::window_function::{WINDOW_COLUMNS, WindowKind, WindowSpec};

/// Why a result column identifies a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A window column: 0 start, 1 end, 2 time.
    Window(usize),
    /// Something it groups by.
    Key,
}

/// The roles of a plan's output columns, followed up from the slot's; without any, a slot's window columns
/// are told by their names.
pub(super) fn roles(plan: &LogicalPlan, slot: &[Option<Role>]) -> Vec<Option<Role>> {
    roles_over(plan, &|leaf| match slot {
        [] => slot_roles(leaf, None),
        known => known.to_vec(),
    })
}

/// The roles of a plan's output columns, followed up from those of its leaves.
pub(super) fn roles_over(
    plan: &LogicalPlan,
    leaf: &dyn Fn(&LogicalPlan) -> Vec<Option<Role>>,
) -> Vec<Option<Role>> {
    let inputs = plan.inputs();
    match (plan, inputs.as_slice()) {
        (_, []) => leaf(plan),
        (LogicalPlan::Projection(projection), [input]) => {
            let found = roles_over(input, leaf);
            projection.expr.iter().map(|expr| role_of(expr, input, &found)).collect()
        }
        (LogicalPlan::Aggregate(second), [input]) => {
            let found = roles_over(input, leaf);
            let groups = grouping_set_to_exprlist(&second.group_expr).unwrap_or_default();
            let mut all: Vec<_> = groups
                .iter()
                .map(|group| role_of(group, input, &found).or(Some(Role::Key)))
                .collect();
            all.resize(plan.schema().fields().len(), None);
            all
        }
        (LogicalPlan::Join(join), [left, right]) if holds_slot(left) || holds_slot(right) => {
            let side = |input: &LogicalPlan| match holds_slot(input) {
                true => roles_over(input, leaf),
                false => vec![None; input.schema().fields().len()],
            };
            let mut found = match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => side(right),
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => side(left),
                _ => [side(left), side(right)].concat(),
            };
            found.resize(plan.schema().fields().len(), None);
            found
        }
        (_, [input, ..]) => {
            let mut found = roles_over(input, leaf);
            found.resize(plan.schema().fields().len(), None);
            found
        }
    }
}

/// The role of an expression over the columns of `input`: that of the column it is, or of the columns of
/// which it is the first that is not NULL, as after a FULL JOIN.
fn role_of(expr: &Expr, input: &LogicalPlan, found: &[Option<Role>]) -> Option<Role> {
    match expr.clone().unalias() {
        Expr::Column(column) => {
            let at = input.schema().maybe_index_of_column(&column)?;
            found.get(at).copied().flatten()
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => {
            let mut roles = call.args.iter().map(|arg| role_of(arg, input, found));
            let first = roles.next().flatten()?;
            roles.all(|role| role == Some(first)).then_some(first)
        }
        _ => None,
    }
}

/// Result columns of a plan without an engine aggregate that identify a row: those it groups by, or
/// the texts where it does not group.
pub(super) fn key_columns(plan: &LogicalPlan) -> Vec<usize> {
    let found = roles(plan, &[]);
    let grouped: Vec<usize> =
        found.iter().enumerate().filter(|(_, role)| role.is_some()).map(|(at, _)| at).collect();
    if !grouped.is_empty() {
        return grouped;
    }
    let fields = plan.schema().fields().iter().enumerate();
    fields.filter(|(_, field)| *field.data_type() == DataType::Utf8).map(|(at, _)| at).collect()
}

/// The columns of a slot under outer windows: what identifies a row of the inner ones, and the windows.
pub(super) fn outer_roles(
    above: &LogicalPlan,
    middle: &LogicalPlan,
    aggregate: Option<&Aggregate>,
) -> Vec<Option<Role>> {
    let inner = roles(middle, &slot_roles(middle, aggregate));
    let mut all: Vec<_> = inner.into_iter().map(|role| role.map(|_| Role::Key)).collect();
    all.truncate(kept_schema(above).fields().len() - WINDOW_COLUMNS.len());
    all.extend((0..WINDOW_COLUMNS.len()).map(|nth| Some(Role::Window(nth))));
    all
}

/// Whether the columns of a result tell its rows apart: every group of the aggregate is among them as it is, or
/// for the window's bounds one that says which window it is, and nothing above makes two rows of one.
pub(super) fn is_keyed(
    above: &LogicalPlan,
    aggregate: &Aggregate,
    slot: &[Option<Role>],
    window: Option<&WindowSpec>,
) -> bool {
    let is_set = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    if is_set || !keeps_rows_apart(above) {
        return false;
    }
    let is_shown = |wanted: &dyn Fn(usize, Role) -> bool| {
        let only = |(at, role): (usize, &Option<Role>)| role.filter(|role| wanted(at, *role));
        let masked: Vec<Option<Role>> = slot.iter().enumerate().map(only).collect();
        roles(above, &masked).iter().any(Option::is_some)
    };
    // The steps of CUMULATE begin together.
    let is_cumulate =
        window.is_some_and(|window| matches!(window.kind, WindowKind::Cumulate { .. }));
    let tells_window =
        |_: usize, role: Role| matches!(role, Role::Window(nth) if nth > 0 || !is_cumulate);
    let keys = slot.iter().enumerate().filter(|(_, role)| **role == Some(Role::Key));
    (window.is_none() || is_shown(&tells_window))
        && keys.map(|(at, _)| at).all(|key| is_shown(&|at, _| at == key))
}

/// Whether every row of the plan comes from one row of its slot, and no two from the same.
fn keeps_rows_apart(plan: &LogicalPlan) -> bool {
    let plain = matches!(
        plan,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Extension(_)
    );
    let inputs = plan.inputs();
    inputs.is_empty() || plain && inputs.into_iter().all(keeps_rows_apart)
}

/// What the columns of a plan's slot are.
pub(super) fn slot_roles(plan: &LogicalPlan, aggregate: Option<&Aggregate>) -> Vec<Option<Role>> {
    let schema = kept_schema(plan);
    let names = schema.fields().iter().enumerate();
    let groups = aggregate
        .map(|aggregate| grouping_set_to_exprlist(&aggregate.group_expr).unwrap_or_default());
    names
        .map(|(at, field)| match (&aggregate, &groups) {
            (Some(aggregate), Some(groups)) => match groups.get(at) {
                Some(group) => {
                    Some(window_of(group, &aggregate.input).map_or(Role::Key, Role::Window))
                }
                None if field.name() == Aggregate::INTERNAL_GROUPING_ID => Some(Role::Key),
                None => None,
            },
            _ => WINDOW_COLUMNS.iter().position(|name| name == field.name()).map(Role::Window),
        })
        .collect()
}
