//! A join of two streams, ready to run: each side as a view of its own stream would be, and the join above.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Aggregate, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use sha2::{Digest as _, Sha256};

use super::aggregate_plan::aggregate_plan;
use super::pinned;
use super::plan::{Shape, SlotPlan, ViewPlan, check_window, row_first, window_filter};
use super::roles::{Role, roles_over, slot_roles};
use super::slot::{self, RIGHT_SLOT, SlotNode};
use super::stream::StreamDefinition;
use super::ties::make_deterministic;
use super::window_function::WindowSpec;
use super::window_join::{JoinCut, JoinSide};

/// The right side of a join of two streams; the left one is the plan's own.
#[derive(Debug, Clone)]
pub struct JoinedSide {
    /// The stream it reads.
    pub stream: String,
    /// Its windows, of the same kind as the left side's.
    pub window: WindowSpec,
    /// Filter over the three window columns, if there is one.
    pub window_filter: Option<Arc<dyn PhysicalExpr>>,
    /// From the stream's columns up to the shape's input.
    pub below: SlotPlan,
    /// What is kept: groups or rows.
    pub shape: Shape,
    /// Columns it hands to `above`.
    pub kept_schema: SchemaRef,
}

impl ViewPlan {
    /// The plan as the right stream's partitions fold it; `None` for a view over one stream.
    #[must_use]
    pub fn right_side(&self) -> Option<Self> {
        let right = self.join.clone()?;
        Some(Self {
            stream: right.stream,
            window: Some(right.window),
            window_filter: right.window_filter,
            below: right.below,
            shape: right.shape,
            kept_schema: right.kept_schema,
            join: None,
            ..self.clone()
        })
    }

    /// The streams it reads, the left side's first.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        let right = self.join.iter().map(|join| join.stream.as_str());
        std::iter::once(self.stream.as_str()).chain(right)
    }

    /// Whether it joins rows with rows, which meet only where both streams have the same partitions.
    #[must_use]
    pub fn joins_rows(&self) -> bool {
        let is_rows = |shape: &Shape| matches!(shape, Shape::Rows);
        self.join.as_ref().is_some_and(|right| is_rows(&right.shape) && is_rows(&self.shape))
    }
}

/// Plans a join of two streams, window by window.
///
/// # Errors
/// When a side cannot be a continuous query.
pub(super) fn plan_join(
    state: &SessionState,
    join: JoinCut,
    streams: &HashMap<String, StreamDefinition>,
    scope: Option<&str>,
) -> Result<ViewPlan> {
    let above = make_deterministic(join.above, scope)?;
    let mut reference = Sha256::new();
    let mut sides = Vec::new();
    let mut aggregates = Vec::new();
    for (side, number) in join.sides.into_iter().zip([1, RIGHT_SLOT]) {
        let kept_schema = slot_schema(&above, number).unwrap_or_else(|| Arc::new(Schema::empty()));
        aggregates.push(side.aggregate.clone());
        sides.push(plan_side(state, side, kept_schema, (streams, scope), &mut reference)?);
    }
    let roles = roles_over(&above, &|leaf| slot_roles(leaf, aggregate_of(leaf, &aggregates)));
    let above = SlotPlan::new(slot::physical(state, &pinned::pin(&mut reference, state, above)?)?);
    let mut sides = sides.into_iter();
    let (Some(left), Some(right)) = (sides.next(), sides.next()) else {
        return plan_err!("a join has two sides");
    };
    let position = |role: Role| roles.iter().position(|found| *found == Some(role));
    let is_key = |(at, role): (usize, &Option<Role>)| role.map(|_| at);
    Ok(ViewPlan {
        stream: left.stream,
        window: Some(left.window),
        window_filter: left.window_filter,
        below: left.below,
        shape: left.shape,
        kept_schema: left.kept_schema,
        join: Some(right),
        outer: None,
        passes_late: false,
        sessions_stay: false,
        schema: above.plan.schema(),
        keys: roles.iter().enumerate().filter_map(is_key).collect(),
        is_keyed: false,
        window_start: position(Role::Window(0)),
        window_end: position(Role::Window(1)),
        above,
        reference_hash: reference.finalize().into(),
    })
}

fn plan_side(
    state: &SessionState,
    side: JoinSide,
    kept_schema: SchemaRef,
    (streams, scope): (&HashMap<String, StreamDefinition>, Option<&str>),
    reference: &mut Sha256,
) -> Result<JoinedSide> {
    let Some(definition) = streams.get(&side.stream) else {
        return plan_err!("the query reads no stream");
    };
    check_window(&side.window, definition)?;
    let (below, shape) = match &side.aggregate {
        Some(aggregate) => {
            let (below, plan) = aggregate_plan(state, aggregate, &side.below, scope)?;
            (below, Shape::Aggregate(plan))
        }
        None => (row_first(&side.below)?, Shape::Rows),
    };
    let below = pinned::pin(reference, state, below)?;
    Ok(JoinedSide {
        stream: side.stream,
        window: side.window,
        window_filter: window_filter(state, side.window_filters, definition)?,
        below: SlotPlan::new(slot::physical(state, &below)?),
        shape,
        kept_schema,
    })
}

/// The aggregate of the side that feeds a slot.
fn aggregate_of<'a>(slot: &LogicalPlan, sides: &'a [Option<Aggregate>]) -> Option<&'a Aggregate> {
    let (number, _) = SlotNode::of(slot)?;
    sides.get(number.checked_sub(1)?)?.as_ref()
}

/// The columns of a plan's slot of this number.
fn slot_schema(plan: &LogicalPlan, number: usize) -> Option<SchemaRef> {
    match SlotNode::of(plan) {
        Some((found, schema)) if found == number => Some(Arc::clone(schema.inner())),
        _ => plan.inputs().into_iter().find_map(|input| slot_schema(input, number)),
    }
}
