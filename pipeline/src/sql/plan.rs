//! A continuous query, ready to run: plans with their slots, the aggregate, the roles of its columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::across::refuse_across_windows;
use super::aggregate_plan::aggregate_plan;
pub use super::aggregate_plan::{AggregateCall, AggregatePlan, Output};
use super::column_type::timestamp_type;
use super::cut::{self, ROW_COLUMN, window_node};
pub use super::join_plan::JoinedSide;
use super::join_plan::plan_join;
use super::pinned;
use super::refusal::refuse_function;
use super::roles::{Role, is_keyed, outer_roles, roles, slot_roles};
use super::slot::{self, Physical, SlotNode, SlotRows};
use super::stream::StreamDefinition;
use super::ties::make_deterministic;
use super::window_function::{DAY_MS, WINDOW_COLUMNS, WindowKind, WindowSpec};
use super::window_join::{cut_join, key_of, source_column};

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

impl ViewPlan {
    /// What the bytes of a saved state mean: a state of another layout is not taken up but computed again.
    ///
    /// # Errors
    /// DataFusion's own, when a function does not tell its state.
    pub fn state_layout(&self) -> Result<String> {
        let mut layout = LAYOUT_VERSION.to_string();
        let shapes = std::iter::once(&self.shape).chain(self.join.iter().map(|join| &join.shape));
        for shape in shapes {
            let Shape::Aggregate(aggregate) = shape else { continue };
            for field in aggregate
                .calls
                .iter()
                .map(|call| call.function.state_fields())
                .collect::<Result<Vec<_>>>()?
                .concat()
            {
                layout += &format!(";{}:{}", field.name(), field.data_type());
            }
        }
        Ok(layout)
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
    /// Whether the stream's partition key is among what keeps its sessions apart, so that none has records in
    /// two partitions.
    pub sessions_stay: bool,
    /// Columns the shape hands to `above`.
    pub kept_schema: SchemaRef,
    /// From the kept columns to the result.
    pub above: SlotPlan,
    /// The result's columns.
    pub schema: SchemaRef,
    /// Result columns that identify a row, if [`Self::is_keyed`].
    pub keys: Vec<usize>,
    /// Whether no two rows have the same keys, by what the query is: everything it groups by is among its
    /// columns as it is. Not so for grouping sets, whose NULL may be a key's or that of a total.
    pub is_keyed: bool,
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
    let Some(stream) = streams.get(&cut.stream) else {
        return plan_err!("the query reads no stream");
    };
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
    let of_slot = match &cut.outer {
        None => slot_roles(&above, cut.aggregate.as_ref()),
        Some(outer) => outer_roles(&above, &outer.middle, cut.aggregate.as_ref()),
    };
    if cut.window.is_some() {
        refuse_across_windows(&above, &of_slot)?;
    }
    let is_keyed = match (&cut.aggregate, &cut.outer) {
        (Some(aggregate), None) => is_keyed(&above, aggregate, &of_slot, cut.window.as_ref()),
        _ => false,
    };
    let roles = roles(&above, &of_slot);
    let session =
        cut.window.as_ref().is_some_and(|window| matches!(window.kind, WindowKind::Session { .. }));
    let passes_late = cut.aggregate.is_none() && !session && row_by_row(&above);
    let slot_schema = kept_schema(&above);
    let mut reference = Sha256::new();
    let (outer, kept_schema) = match cut.outer {
        None => (None, slot_schema),
        Some(outer) => {
            let middle = make_deterministic(outer.middle, scope)?;
            let kept = kept_schema(&middle);
            let middle =
                SlotPlan::new(slot::physical(state, &pinned::pin(&mut reference, state, middle)?)?);
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
        sessions_stay: sessions_stay(plan, stream),
        below,
        shape,
        kept_schema,
        schema: above.plan.schema(),
        keys: roles
            .iter()
            .enumerate()
            .filter(|(_, role)| role.is_some())
            .map(|(at, _)| at)
            .collect(),
        is_keyed,
        window_start: position(Role::Window(0)),
        window_end: position(Role::Window(1)),
        above,
        reference_hash: reference.finalize().into(),
    })
}

/// Whether the sessions of a plan's window function are kept apart by the key the stream is partitioned by.
fn sessions_stay(plan: &LogicalPlan, stream: &StreamDefinition) -> bool {
    let Some(node) = window_node(plan) else {
        return plan.inputs().into_iter().any(|input| sessions_stay(input, stream));
    };
    let Some(key) = key_of(stream) else { return false };
    let schema = node.input.schema();
    let columns =
        node.spec.partition_by.iter().filter_map(|name| {
            schema.iter().find(|(_, field)| field.name() == name).map(Column::from)
        });
    columns.into_iter().any(|column| source_column(&node.input, &column).as_ref() == Some(&key))
}

pub(super) fn check_window(window: &WindowSpec, stream: &StreamDefinition) -> Result<()> {
    let event_time = stream.event_time.and_then(|at| stream.columns.get(at));
    match event_time {
        None => plan_err!("{} has no WATERMARK; a window needs its event time", stream.name),
        Some(column) if *column.field.name() != window.time_column => plan_err!(
            "'{}' is not the event time of {}; the window must be over '{}'",
            window.time_column,
            stream.name,
            column.field.name()
        ),
        Some(_) => check_steps(&window.kind, stream),
    }
}

/// Days follow the zone's days, some of 23 or 25 hours; what divides them could not be hours there.
fn check_steps(kind: &WindowKind, stream: &StreamDefinition) -> Result<()> {
    let is_session = matches!(kind, WindowKind::Session { .. });
    let divides_days = kind.size() % DAY_MS == 0 && kind.slice() % DAY_MS != 0;
    if is_session || !divides_days || !stream.zone.changes_its_clock() {
        return Ok(());
    }
    let name = if matches!(kind, WindowKind::Hop { .. }) { "hop" } else { "cumulate" };
    refuse_function(
        name,
        format!(
            "{} divides days of the zone {}, whose clock changes: a step would hold another hour than it says on \
             that day. Use steps of whole days, a zone with one clock ('time-zone' = 'UTC'), or TUMBLE by the hour",
            name.to_uppercase(),
            stream.zone.name()
        ),
    )
}

pub(super) fn window_filter(
    state: &SessionState,
    filters: Vec<Expr>,
    stream: &StreamDefinition,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(filter) = datafusion::logical_expr::utils::conjunction(filters) else {
        return Ok(None);
    };
    let schema = DFSchema::try_from(window_schema(stream).as_ref().clone())?;
    state.create_physical_expr(filter, &schema).map(Some)
}

/// The three window columns as the window function gives them.
#[must_use]
pub fn window_schema(stream: &StreamDefinition) -> SchemaRef {
    let data_type = timestamp_type(stream.zone);
    let zone = stream
        .event_time
        .and_then(|at| stream.columns.get(at))
        .map(|column| column.field.data_type());
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
pub(super) fn row_first(below: &LogicalPlan) -> Result<LogicalPlan> {
    let row = cut::row_column(below)?;
    let rest = below.schema().columns().into_iter().filter(|column| *column != row);
    let exprs: Vec<Expr> = std::iter::once(Expr::Column(row.clone()).alias(ROW_COLUMN))
        .chain(rest.map(Expr::Column))
        .collect();
    LogicalPlanBuilder::from(below.clone()).project(exprs)?.build()
}

/// Whether every row of the plan comes from one row of its slot.
fn row_by_row(plan: &LogicalPlan) -> bool {
    let plain = matches!(
        plan,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Extension(_)
    );
    plain && plan.inputs().into_iter().all(row_by_row)
}

/// The columns of the plan's slot.
pub(super) fn kept_schema(above: &LogicalPlan) -> SchemaRef {
    match above.inputs().as_slice() {
        [] => Arc::clone(above.schema().inner()),
        inputs => inputs
            .iter()
            .find(|input| holds_slot(input))
            .map_or_else(|| Arc::clone(above.schema().inner()), |input| kept_schema(input)),
    }
}

/// Whether a plan has a slot.
pub(super) fn holds_slot(plan: &LogicalPlan) -> bool {
    SlotNode::of(plan).is_some() || plan.inputs().into_iter().any(holds_slot)
}
