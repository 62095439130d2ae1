//! A join of two streams: the tables of both sides in one state, and a window's rows of both put together.
//!
//! Each side is kept as in a view of its own, late by itself, under partitions of its own. They meet when a window
//! that either of them touched is put together, for no other.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err};

use super::assemble::assemble;
use super::assign::{SliceKey, Window, Windows};
use super::fire::{Fired, Progress, ViewState, reach};
use super::fire_rows::is_wanted;
use super::slice::Slice;
use super::table::Codec;
use crate::model::PartitionId;
use crate::results::Mark;
use crate::sql::plan::{AggregatePlan, Shape};

/// A side of a join; a view over one stream has its left one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// The uppermost bit of a partition's number; no log has two thousand million partitions.
const RIGHT_SIDE: PartitionId = 1 << 31;

/// The partition under which a join's right stream keeps its state beside the left one's.
#[must_use]
pub fn right_partition(partition: PartitionId) -> PartitionId {
    partition | RIGHT_SIDE
}

impl Side {
    /// The side that a partition of a state is of.
    #[must_use]
    pub fn of(partition: PartitionId) -> Self {
        if partition & RIGHT_SIDE == 0 { Self::Left } else { Self::Right }
    }

    /// The number in its own stream of a partition of a state.
    #[must_use]
    pub fn number(partition: PartitionId) -> PartitionId {
        partition & !RIGHT_SIDE
    }

    /// The partition of its stream under which it keeps its state.
    #[must_use]
    pub fn partition(self, partition: PartitionId) -> PartitionId {
        match self {
            Self::Left => partition,
            Self::Right => right_partition(partition),
        }
    }
}

impl Progress {
    /// How far two streams are together: no further than the one that is behind, and as new as the newer.
    #[must_use]
    pub fn weaker(self, other: Self) -> Self {
        Self {
            watermark: self.watermark.min(other.watermark),
            settled: self.settled.min(other.settled),
            as_of: self.as_of.max(other.as_of),
            partitions: self.partitions + other.partitions,
            ended: self.ended && other.ended,
        }
    }
}

impl ViewState {
    /// The result over both sides' rows of a window; `None` where neither has any.
    pub(super) fn joined(
        &self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let plan = self.plan();
        let Some(right) = &plan.join else { return internal_err!("a join without its right side") };
        let rows = |side: Side, shape: &Shape, schema: &SchemaRef, filter| -> Result<_> {
            if !is_wanted(windows, window, (filter, schema))? {
                return Ok(None);
            }
            match (shape, self.codec_of(side)) {
                (Shape::Aggregate(aggregate), Some(codec)) => {
                    let slices = self.slices_of(side, windows, window, holds);
                    groups((aggregate, codec), schema, slices, (windows, window))
                }
                _ => self.kept_of(windows, window, holds, (side, schema)),
            }
        };
        let (left_schema, right_schema) = (&plan.kept_schema, &right.kept_schema);
        let left_rows = rows(Side::Left, &plan.shape, left_schema, &plan.window_filter)?;
        let right_rows = rows(Side::Right, &right.shape, right_schema, &right.window_filter)?;
        if left_rows.is_none() && right_rows.is_none() {
            return Ok(None);
        }
        let or_none = |rows: Option<RecordBatch>, schema: &SchemaRef| {
            rows.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema)))
        };
        let (left, right) = (or_none(left_rows, left_schema), or_none(right_rows, right_schema));
        Ok(Some(self.fired(windows, window, self.above.run_join(left, right), mark)))
    }

    pub(super) fn codec_of(&self, side: Side) -> Option<&Codec> {
        match side {
            Side::Left => self.codec.as_ref(),
            Side::Right => self.right_codec.as_ref(),
        }
    }

    fn slices_of(
        &self,
        side: Side,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
    ) -> Vec<&Slice> {
        let mut slices = Vec::new();
        for (partition, table) in
            self.partitions.iter().filter(|(partition, _)| Side::of(**partition) == side)
        {
            slices.extend(table.prefixes.get(&window.start));
            let within = table.slices.range(reach(windows, window));
            slices
                .extend(within.filter(|(key, _)| holds(*partition, **key)).map(|(_, slice)| slice));
        }
        slices
    }
}

/// The groups of a window; `None` where it has none. Without keys there is a group only where a row came.
fn groups(
    (plan, codec): (&AggregatePlan, &Codec),
    schema: &SchemaRef,
    slices: Vec<&Slice>,
    (windows, window): (Option<&Windows>, Window),
) -> Result<Option<RecordBatch>> {
    if slices.is_empty() {
        return Ok(None);
    }
    let evaluated = codec.evaluate(slices.into_iter())?;
    if evaluated.count == 0 && !plan.keys.is_empty() {
        return Ok(None);
    }
    assemble(plan, schema, windows, window, evaluated).map(Some)
}
