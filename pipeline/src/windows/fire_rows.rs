//! The rows of one window, put together from its slices in all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::PhysicalExpr;

use super::assemble::{assemble, in_arrival_order, window_batch, with_window_columns};
use super::assign::{SliceKey, Window, Windows};
use super::fire::{Fired, ViewState, reach};
use super::sides::Side;
use super::slice::Slice;
use super::table::{Evaluated, PartitionTable};
use crate::model::PartitionId;
use crate::results::Mark;
use crate::sql::plan::Shape;

impl ViewState {
    /// The rows of one window from all its slices in all partitions.
    pub(super) fn put_together(
        &self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        if self.plan.join.is_some() {
            let fired = self.joined(windows, window, holds, mark);
            return fired.or_else(|error| Ok(Some(self.fired(windows, window, Err(error), mark))));
        }
        let Some(codec) = &self.codec else {
            return self.rows_of_kept(windows, window, holds, mark);
        };
        let slices = slices_of(&self.partitions, windows, window, holds);
        self.rows_of_groups(windows, window, codec.evaluate(slices), mark)
    }

    /// The rows of a window of these groups. Groups without a value, as a sum that has no room, leave their window
    /// without a row: that it has none depends on what it holds, and not on what was read together.
    pub(super) fn rows_of_groups(
        &self,
        windows: Option<&Windows>,
        window: Window,
        evaluated: Result<Evaluated>,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let evaluated = match evaluated {
            Ok(evaluated) => evaluated,
            Err(_) if !self.is_wanted(windows, window)? => return Ok(None),
            Err(error) => return Ok(Some(self.fired(windows, window, Err(error), mark))),
        };
        match self.kept_rows(windows, window, evaluated)? {
            Some(rows) => Ok(Some(self.fired(windows, window, self.above.run(rows), mark))),
            None => Ok(None),
        }
    }

    /// The aggregate's rows of a window; `None` where it has none or the query leaves the window out.
    pub(super) fn kept_rows(
        &self,
        windows: Option<&Windows>,
        window: Window,
        evaluated: Evaluated,
    ) -> Result<Option<RecordBatch>> {
        let Shape::Aggregate(plan) = &self.plan.shape else {
            return internal_err!("groups of a view without an aggregate");
        };
        if evaluated.count == 0 && !plan.keys.is_empty() || !self.is_wanted(windows, window)? {
            return Ok(None);
        }
        assemble(plan, &self.plan.kept_schema, windows, window, evaluated).map(Some)
    }

    fn rows_of_kept(
        &self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        match self.kept_of(windows, window, holds, (Side::Left, &self.plan.kept_schema))? {
            Some(rows) if self.is_wanted(windows, window)? => {
                Ok(Some(self.fired(windows, window, self.above.run(rows), mark)))
            }
            _ => Ok(None),
        }
    }

    /// The kept rows of a window from the partitions of one side, in the order of their arrival.
    pub(super) fn kept_of(
        &self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        (side, schema): (Side, &SchemaRef),
    ) -> Result<Option<RecordBatch>> {
        let mut batches = Vec::new();
        for (partition, table) in
            self.partitions.iter().filter(|(partition, _)| Side::of(**partition) == side)
        {
            let held = table
                .rows
                .range(reach(windows, window))
                .filter(|(slice, _)| holds(*partition, **slice));
            batches.extend(held.flat_map(|(_, rows)| rows.iter().cloned()));
        }
        let Some(first) = batches.first() else { return Ok(None) };
        let rows = in_arrival_order(&concat_batches(&first.schema(), &batches)?)?;
        with_window_columns(&rows, schema, windows, window).map(Some)
    }

    /// Whether the query's conditions on window columns let a window through.
    pub(super) fn is_wanted(&self, windows: Option<&Windows>, window: Window) -> Result<bool> {
        is_wanted(windows, window, (&self.plan.window_filter, &self.plan.kept_schema))
    }

    pub(super) fn fired(
        &self,
        windows: Option<&Windows>,
        window: Window,
        rows: Result<RecordBatch>,
        mark: Mark,
    ) -> Fired {
        let (rows, problem) = self.or_problem(rows);
        let instants =
            windows.map(|windows| (windows.instant(window.start), windows.instant(window.end)));
        Fired { window, instants, rows, mark, revision: self.revision(windows, window), problem }
    }

    /// The rows of a window, or none and why. What fails on a state that is passed through between two records must
    /// not decide about later ones: how often is published is not in the log.
    pub(super) fn or_problem(&self, rows: Result<RecordBatch>) -> (RecordBatch, Option<String>) {
        match rows {
            Ok(rows) => (rows, None),
            Err(error) => {
                let none = RecordBatch::new_empty(self.above.schema());
                (none, Some(error.strip_backtrace()))
            }
        }
    }

    fn revision(&self, windows: Option<&Windows>, window: Window) -> u64 {
        match (windows, &self.revisions) {
            (Some(windows), Some(revisions)) => revisions.of_window(windows, window),
            _ => 0,
        }
    }
}

/// Whether a query's conditions on window columns let a window through; `schema` has their type.
pub(super) fn is_wanted(
    windows: Option<&Windows>,
    window: Window,
    (filter, schema): (&Option<Arc<dyn PhysicalExpr>>, &SchemaRef),
) -> Result<bool> {
    let (Some(filter), Some(windows)) = (filter, windows) else { return Ok(true) };
    let bounds = window_batch(windows, window, schema)?;
    let passes = filter.evaluate(&bounds)?.into_array(1)?;
    Ok(!passes.is_null(0) && passes.as_boolean().value(0))
}

/// The slices of a window in all partitions, in their order.
pub(super) fn slices_of<'a>(
    partitions: &'a BTreeMap<PartitionId, PartitionTable>,
    windows: Option<&'a Windows>,
    window: Window,
    holds: &'a dyn Fn(PartitionId, SliceKey) -> bool,
) -> impl Iterator<Item = &'a Slice> {
    partitions.iter().flat_map(move |(partition, table)| {
        let held = table.slices.range(reach(windows, window));
        let held = held.filter(move |(key, _)| holds(*partition, **key)).map(|(_, slice)| slice);
        table.prefixes.get(&window.start).into_iter().chain(held)
    })
}
