//! A continuous query, ready to run: plans with their slots, the aggregate, the roles of its columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, GroupingSet};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::aggregates::allowed::{Surroundings, allowed};
use super::cut::{self, ARRIVAL_COLUMN, ROW_COLUMN, window_column};
use super::pinned;
use super::refusal::refuse;
use super::slot::{self, Physical, RIGHT_SLOT, SlotNode, SlotRows};
use super::stream::{StreamDefinition, timestamp_type};
use super::ties::make_deterministic;
use super::window_function::{WINDOW_COLUMNS, WindowKind, WindowSpec};
use super::window_join::{JoinCut, JoinSide, cut_join};

/// To be raised when states of the same columns come to mean something else.
const LAYOUT_VERSION: u32 = 2;

/// A plan and the slot that feeds it.
#[derive(Debug, Clone)]
pub struct SlotPlan {
    /// The plan.
    pub plan: Arc<dyn ExecutionPlan>,
    /// The rows of its next execution.
    pub rows: SlotRows,
    /// The rows of a join's right side at its next execution.
    pub right: SlotRows,
    /// Held while the plan runs, for partitions on other threads share it.
    pub turn: Arc<Mutex<()>>,
}

impl SlotPlan {
    pub(super) fn new(physical: Physical) -> Self {
        let Physical { plan, rows, right } = physical;
        Self { plan, rows, right, turn: Arc::default() }
    }
}

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

/// What the engine keeps for a view.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Accumulators by group.
    Aggregate(AggregatePlan),
    /// The rows themselves.
    Rows,
    /// Nothing: rows pass through.
    Pass,
}

/// The right side of a join of two streams; the left one is the plan's own.
#[derive(Debug, Clone)]
pub struct JoinedSide {
    /// The stream it reads.
    pub stream: String,
    /// Its windows, of the same kind as the left side's.
    pub window: WindowSpec,
    /// From the stream's columns up to the rows that are kept.
    pub below: SlotPlan,
    /// Columns it hands to `above`.
    pub kept_schema: SchemaRef,
}

impl ViewPlan {
    /// What the bytes of a saved state mean: a state of another layout is not taken up but computed again.
    ///
    /// # Errors
    /// DataFusion's own, when a function does not tell its state.
    pub fn state_layout(&self) -> Result<String> {
        let mut layout = LAYOUT_VERSION.to_string();
        if let Shape::Aggregate(aggregate) = &self.shape {
            for field in aggregate.calls.iter().map(|call| call.function.state_fields()).collect::<Result<Vec<_>>>()?.concat() {
                layout += &format!(";{}:{}", field.name(), field.data_type());
            }
        }
        Ok(layout)
    }

    /// The plan as the right stream's partitions fold it; `None` for a view over one stream.
    #[must_use]
    pub fn right_side(&self) -> Option<Self> {
        let right = self.join.clone()?;
        Some(Self {
            stream: right.stream,
            window: Some(right.window),
            below: right.below,
            kept_schema: right.kept_schema,
            ..self.clone()
        })
    }
}

/// A window function over another's windows: hours over minutes.
#[derive(Debug, Clone)]
pub struct OuterWindow {
    /// The outer windows.
    pub window: WindowSpec,
    /// From an inner window's rows to those that the outer windows hold.
    pub middle: SlotPlan,
    /// Columns handed to `above`: the middle's and the outer window's.
    pub schema: SchemaRef,
}

/// A continuous query, ready to run.
#[derive(Debug, Clone)]
pub struct ViewPlan {
    /// The stream it reads.
    pub stream: String,
    /// Its windows; `None` for a running total or a plain query.
    pub window: Option<WindowSpec>,
    /// Filter over the three window columns, if there is one.
    pub window_filter: Option<Arc<dyn PhysicalExpr>>,
    /// From the stream's columns and [`ROW_COLUMN`] (always the first column of the output) up to the shape's input.
    pub below: SlotPlan,
    /// What is kept.
    pub shape: Shape,
    /// The other side of a join of two streams.
    pub join: Option<JoinedSide>,
    /// Windows over the windows, if there are any.
    pub outer: Option<OuterWindow>,
    /// Whether rows only pass through a window function, which then leaves nothing out as late.
    pub passes_late: bool,
    /// Columns the shape hands to `above`.
    pub kept_schema: SchemaRef,
    /// From the kept columns to the result.
    pub above: SlotPlan,
    /// The result's columns.
    pub schema: SchemaRef,
    /// Result columns that identify a row.
    pub keys: Vec<usize>,
    /// Result column with the start of the window.
    pub window_start: Option<usize>,
    /// Result column with the end of the window.
    pub window_end: Option<usize>,
    /// SHA-256 over the rows of reference tables that the query can see.
    pub reference_hash: [u8; 32],
}

/// Plans a query over its stream; `scope` names the scope it reads.
///
/// # Errors
/// When the query cannot be a continuous one; the message says what stands in the way.
pub fn plan_view(
    state: &SessionState,
    plan: &LogicalPlan,
    streams: &HashMap<String, StreamDefinition>,
    scope: Option<&str>,
) -> Result<ViewPlan> {
    if let Some(join) = cut_join(plan, streams)? {
        return plan_join(state, join, streams, scope);
    }
    let cut = cut::cut(plan, streams)?;
    let Some(stream) = streams.get(&cut.stream) else { return plan_err!("the query reads no stream") };
    if let Some(window) = &cut.window {
        check_window(window, stream)?;
    }
    let (below, shape) = match &cut.aggregate {
        Some(aggregate) => {
            let (below, plan) = aggregate_plan(state, aggregate, &cut.below, scope)?;
            (below, Shape::Aggregate(plan))
        }
        None => {
            let below = row_first(&cut.below)?;
            (below, if cut.window.is_some() { Shape::Rows } else { Shape::Pass })
        }
    };
    let above = make_deterministic(cut.above, scope)?;
    let roles = match &cut.outer {
        None => roles(&above, &slot_roles(&above, cut.aggregate.as_ref())),
        Some(outer) => roles(&above, &outer_roles(&above, &outer.middle, cut.aggregate.as_ref())),
    };
    let session = cut.window.as_ref().is_some_and(|window| matches!(window.kind, WindowKind::Session { .. }));
    let passes_late = cut.aggregate.is_none() && !session && row_by_row(&above);
    let slot_schema = kept_schema(&above);
    let mut reference = Sha256::new();
    let (outer, kept_schema) = match cut.outer {
        None => (None, slot_schema),
        Some(outer) => {
            let middle = make_deterministic(outer.middle, scope)?;
            let kept = kept_schema(&middle);
            let middle = SlotPlan::new(slot::physical(state, &pinned::pin(&mut reference, state, middle)?)?);
            (Some(OuterWindow { window: outer.window, middle, schema: slot_schema }), kept)
        }
    };
    let below = pinned::pin(&mut reference, state, below)?;
    let above = pinned::pin(&mut reference, state, above)?;
    let below = SlotPlan::new(slot::physical(state, &below)?);
    let above = SlotPlan::new(slot::physical(state, &above)?);
    let position = |role: Role| roles.iter().position(|found| *found == Some(role));
    Ok(ViewPlan {
        stream: cut.stream.clone(),
        window_filter: window_filter(state, cut.window_filters, stream)?,
        window: cut.window,
        join: None,
        outer,
        passes_late,
        below,
        shape,
        kept_schema,
        schema: above.plan.schema(),
        keys: roles.iter().enumerate().filter(|(_, role)| role.is_some()).map(|(at, _)| at).collect(),
        window_start: position(Role::Window(0)),
        window_end: position(Role::Window(1)),
        above,
        reference_hash: reference.finalize().into(),
    })
}

/// Plans a join of two streams, window by window.
fn plan_join(
    state: &SessionState,
    join: JoinCut,
    streams: &HashMap<String, StreamDefinition>,
    scope: Option<&str>,
) -> Result<ViewPlan> {
    let mut reference = Sha256::new();
    let mut sides = Vec::new();
    for JoinSide { stream, window, below } in join.sides {
        match streams.get(&stream) {
            Some(definition) => check_window(&window, definition)?,
            None => return plan_err!("the query reads no stream"),
        }
        let below = pinned::pin(&mut reference, state, row_first(&below)?)?;
        sides.push((stream, window, SlotPlan::new(slot::physical(state, &below)?)));
    }
    let above = make_deterministic(join.above, scope)?;
    let roles = roles(&above, &[]);
    let kept = |number: usize| slot_schema(&above, number).unwrap_or_else(|| Arc::new(Schema::empty()));
    let (left_schema, right_schema) = (kept(1), kept(RIGHT_SLOT));
    let above = SlotPlan::new(slot::physical(state, &pinned::pin(&mut reference, state, above)?)?);
    let mut sides = sides.into_iter();
    let (Some(left), Some(right)) = (sides.next(), sides.next()) else { return plan_err!("a join has two sides") };
    let (right_stream, right_window, right_below) = right;
    let position = |role: Role| roles.iter().position(|found| *found == Some(role));
    Ok(ViewPlan {
        stream: left.0,
        window: Some(left.1),
        join: Some(JoinedSide {
            stream: right_stream,
            window: right_window,
            below: right_below,
            kept_schema: right_schema,
        }),
        outer: None,
        window_filter: None,
        below: left.2,
        shape: Shape::Rows,
        passes_late: false,
        kept_schema: left_schema,
        schema: above.plan.schema(),
        keys: roles.iter().enumerate().filter(|(_, role)| role.is_some()).map(|(at, _)| at).collect(),
        window_start: position(Role::Window(0)),
        window_end: position(Role::Window(1)),
        above,
        reference_hash: reference.finalize().into(),
    })
}

/// The columns of a plan's slot of this number.
fn slot_schema(plan: &LogicalPlan, number: usize) -> Option<SchemaRef> {
    match SlotNode::of(plan) {
        Some((found, schema)) if found == number => Some(Arc::clone(schema.inner())),
        _ => plan.inputs().into_iter().find_map(|input| slot_schema(input, number)),
    }
}

fn check_window(window: &WindowSpec, stream: &StreamDefinition) -> Result<()> {
    let event_time = stream.event_time.and_then(|at| stream.columns.get(at));
    match event_time {
        None => plan_err!("{} has no WATERMARK; a window needs its event time", stream.name),
        Some(column) if *column.field.name() != window.time_column => plan_err!(
            "'{}' is not the event time of {}; the window must be over '{}'",
            window.time_column,
            stream.name,
            column.field.name()
        ),
        Some(_) => Ok(()),
    }
}

fn window_filter(
    state: &SessionState,
    filters: Vec<Expr>,
    stream: &StreamDefinition,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(filter) = datafusion::logical_expr::utils::conjunction(filters) else { return Ok(None) };
    let schema = DFSchema::try_from(window_schema(stream).as_ref().clone())?;
    state.create_physical_expr(filter, &schema).map(Some)
}

/// The three window columns as the window function gives them.
#[must_use]
pub fn window_schema(stream: &StreamDefinition) -> SchemaRef {
    let data_type = timestamp_type(stream.zone);
    let zone = stream.event_time.and_then(|at| stream.columns.get(at)).map(|column| column.field.data_type());
    let data_type = match zone {
        Some(DataType::Timestamp(_, zone)) => {
            DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone.clone())
        }
        _ => data_type,
    };
    Arc::new(Schema::new(
        WINDOW_COLUMNS.map(|name| Field::new(name, data_type.clone(), false)).to_vec(),
    ))
}

/// The row number in front, for the shapes that keep rows.
fn row_first(below: &LogicalPlan) -> Result<LogicalPlan> {
    let row = cut::row_column(below)?;
    let rest = below.schema().columns().into_iter().filter(|column| *column != row);
    let exprs: Vec<Expr> =
        std::iter::once(Expr::Column(row.clone()).alias(ROW_COLUMN)).chain(rest.map(Expr::Column)).collect();
    LogicalPlanBuilder::from(below.clone()).project(exprs)?.build()
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

    fn call(&mut self, call: &AggregateFunction) -> AggregateFunction {
        let mut call = call.clone();
        call.params.args = call.params.args.iter().map(|arg| self.column(arg)).collect();
        call.params.filter = call.params.filter.take().map(|filter| Box::new(self.column(&filter)));
        for SortExpr { expr, .. } in call.params.order_by.iter_mut().filter(|sort| sort.expr != arrival()) {
            *expr = self.column(expr);
        }
        call
    }
}

/// Partition and offset of a row.
fn arrival() -> Expr {
    Expr::Column(Column::from_name(ARRIVAL_COLUMN))
}

fn aggregate_plan(
    state: &SessionState,
    aggregate: &Aggregate,
    below: &LogicalPlan,
    scope: Option<&str>,
) -> Result<(LogicalPlan, AggregatePlan)> {
    let groups: Vec<Expr> =
        grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
    let windows: Vec<Option<usize>> = groups.iter().map(|group| window_of(group, &aggregate.input)).collect();
    check_groups(aggregate, &groups, &windows)?;
    let mut exprs = vec![Expr::Column(cut::row_column(below)?).alias(ROW_COLUMN)];
    let mut outputs = Vec::new();
    let mut keys = 0;
    for (group, window) in groups.iter().zip(&windows) {
        outputs.push(match window {
            Some(nth) => Output::Window(*nth),
            None => {
                exprs.push(group.clone().alias(format!("__k{keys}")));
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
        calls.push((inputs.call(&allowed(call, place)?), name));
        outputs.push(Output::Aggregate(nth));
    }
    let needs_arrival =
        calls.iter().any(|(call, _)| call.params.order_by.iter().any(|sort| sort.expr == arrival()));
    let projection = LogicalPlanBuilder::from(below.clone()).project(inputs.exprs)?.build()?;
    let schema = &cut::with_column(projection.schema(), None, ARRIVAL_COLUMN, DataType::UInt64)?;
    let lowered = calls
        .into_iter()
        .map(|(call, name)| lower(state, call, &name, schema))
        .collect::<Result<Vec<_>>>()?;
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

fn window_of(group: &Expr, input: &LogicalPlan) -> Option<usize> {
    match group.clone().unalias() {
        Expr::Column(column) => window_column(input, &column),
        _ => None,
    }
}

fn check_groups(aggregate: &Aggregate, groups: &[Expr], windows: &[Option<usize>]) -> Result<()> {
    for (group, window) in groups.iter().zip(windows) {
        let computed = group.column_refs().iter().any(|column| window_column(&aggregate.input, column).is_some());
        if window.is_none() && computed {
            return refuse(group, format!("GROUP BY '{group}': group by window_start and window_end, and compute afterwards"));
        }
    }
    let has_window = aggregate.input.schema().fields().iter().any(|field| {
        window_column(&aggregate.input, &Column::from_name(field.name())).is_some()
    });
    if has_window && !windows.iter().flatten().any(|nth| *nth <= 1) {
        return plan_err!("an aggregate over a window function must GROUP BY window_start, window_end");
    }
    Ok(())
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

fn lower(state: &SessionState, call: AggregateFunction, name: &str, schema: &DFSchema) -> Result<AggregateCall> {
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

/// The sets as NULL masks over the keys, numbered as DataFusion numbers them.
fn grouping_sets(group_expr: &[Expr], groups: &[Expr], windows: &[Option<usize>]) -> Result<Vec<(Vec<bool>, u64)>> {
    let [Expr::GroupingSet(set)] = group_expr else {
        let keys = windows.iter().filter(|window| window.is_none()).count();
        return Ok(vec![(vec![false; keys], 0)]);
    };
    let sets: Vec<Vec<Expr>> = match set {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).map(|keep| exprs[..keep].to_vec()).collect(),
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
        let mask: Vec<bool> =
            absent.iter().zip(windows).filter(|(_, window)| window.is_none()).map(|(absent, _)| *absent).collect();
        if all.iter().any(|(earlier, _)| *earlier == mask) {
            return plan_err!("the same grouping set is named twice");
        }
        all.push((mask, id));
    }
    Ok(all)
}

/// Why a result column identifies a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Window(usize),
    Key,
}

/// The roles of a plan's output columns, followed up from the slot's; without any, a slot's window columns
/// are told by their names.
fn roles(plan: &LogicalPlan, slot: &[Option<Role>]) -> Vec<Option<Role>> {
    let inputs = plan.inputs();
    let under = |expr: &Expr, input: &LogicalPlan, found: &[Option<Role>]| match expr.clone().unalias() {
        Expr::Column(column) => {
            input.schema().maybe_index_of_column(&column).and_then(|at| found.get(at).copied().flatten())
        }
        _ => None,
    };
    match (plan, inputs.as_slice()) {
        (_, []) if slot.is_empty() => slot_roles(plan, None),
        (_, []) => slot.to_vec(),
        (LogicalPlan::Projection(projection), [input]) => {
            let found = roles(input, slot);
            projection.expr.iter().map(|expr| under(expr, input, &found)).collect()
        }
        (LogicalPlan::Aggregate(second), [input]) => {
            let found = roles(input, slot);
            let groups = grouping_set_to_exprlist(&second.group_expr).unwrap_or_default();
            let mut all: Vec<_> =
                groups.iter().map(|group| under(group, input, &found).or(Some(Role::Key))).collect();
            all.resize(plan.schema().fields().len(), None);
            all
        }
        (LogicalPlan::Join(_), [left, right]) if holds_slot(left) || holds_slot(right) => {
            let side = |input: &LogicalPlan| match holds_slot(input) {
                true => roles(input, slot),
                false => vec![None; input.schema().fields().len()],
            };
            let mut found = side(left);
            found.extend(side(right));
            // A semi join has the columns of one side only.
            found.resize(plan.schema().fields().len(), None);
            found
        }
        (_, [input, ..]) => {
            let mut found = roles(input, slot);
            found.resize(plan.schema().fields().len(), None);
            found
        }
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
fn outer_roles(above: &LogicalPlan, middle: &LogicalPlan, aggregate: Option<&Aggregate>) -> Vec<Option<Role>> {
    let inner = roles(middle, &slot_roles(middle, aggregate));
    let mut all: Vec<_> = inner.into_iter().map(|role| role.map(|_| Role::Key)).collect();
    all.truncate(kept_schema(above).fields().len() - WINDOW_COLUMNS.len());
    all.extend((0..WINDOW_COLUMNS.len()).map(|nth| Some(Role::Window(nth))));
    all
}

/// What the columns of a plan's slot are.
fn slot_roles(plan: &LogicalPlan, aggregate: Option<&Aggregate>) -> Vec<Option<Role>> {
    let schema = kept_schema(plan);
    let names = schema.fields().iter().enumerate();
    let groups = aggregate.map(|aggregate| grouping_set_to_exprlist(&aggregate.group_expr).unwrap_or_default());
    names
        .map(|(at, field)| match (&aggregate, &groups) {
            (Some(aggregate), Some(groups)) => match groups.get(at) {
                Some(group) => Some(window_of(group, &aggregate.input).map_or(Role::Key, Role::Window)),
                None if field.name() == Aggregate::INTERNAL_GROUPING_ID => Some(Role::Key),
                None => None,
            },
            _ => WINDOW_COLUMNS.iter().position(|name| name == field.name()).map(Role::Window),
        })
        .collect()
}

/// Whether every row of the plan comes from one row of its slot.
fn row_by_row(plan: &LogicalPlan) -> bool {
    let plain = matches!(
        plan,
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Extension(_)
    );
    plain && plan.inputs().into_iter().all(row_by_row)
}

/// The columns of the plan's slot.
fn kept_schema(above: &LogicalPlan) -> SchemaRef {
    match above.inputs().as_slice() {
        [] => Arc::clone(above.schema().inner()),
        inputs => inputs
            .iter()
            .find(|input| holds_slot(input))
            .map_or_else(|| Arc::clone(above.schema().inner()), |input| kept_schema(input)),
    }
}

fn holds_slot(plan: &LogicalPlan) -> bool {
    SlotNode::of(plan).is_some() || plan.inputs().into_iter().any(holds_slot)
}
