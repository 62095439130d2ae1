//! Windows of which leading rows are kept, put together from the groups that were touched.

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::assemble::assemble;
use super::assign::{SliceKey, Window, Windows};
use super::fire::{Fired, ViewState};
use super::fire_rows::{is_wanted, slices_of};
use super::slice::Slice;
use super::top::{Fresh, Top};
use crate::model::PartitionId;
use crate::results::Mark;
use crate::sql::plan::Shape;

impl ViewState {
    /// Keeps leading rows of windows with at least `from` groups, and `spare` of them beyond twice those that are picked.
    #[cfg(test)]
    pub(super) fn keep_leading(&mut self, from: usize, spare: usize) {
        self.top_from = from;
        if let Some(plan) = &mut self.top_plan {
            plan.spare = spare;
        }
    }

    /// Whether it keeps leading rows at all.
    #[cfg(test)]
    pub(super) fn keeps_leading(&self) -> bool {
        self.top_plan.is_some()
    }

    /// Of how many windows it keeps them now.
    #[cfg(test)]
    pub(super) fn windows_with_leading(&self) -> usize {
        self.tops.len()
    }

    /// As [`Self::put_together`]; where leading rows are picked from many groups, from those that were touched.
    pub(super) fn put_together_again(
        &mut self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let fresh = self.fresh.remove(&window);
        match self.leading(windows, window, holds, fresh) {
            Ok(Some(rows)) => Ok(Some(self.fired(windows, window, self.above.run(rows), mark))),
            Ok(None) => self.put_together(windows, window, holds, mark),
            // Put together from all groups it says what is wrong.
            Err(_) => {
                self.tops.remove(&window);
                self.put_together(windows, window, holds, mark)
            }
        }
    }

    /// The rows that the plan above picks of a window; `None` where it has to look at all.
    fn leading(
        &mut self,
        windows: Option<&Windows>,
        window: Window,
        holds: &dyn Fn(PartitionId, SliceKey) -> bool,
        fresh: Option<Fresh>,
    ) -> Result<Option<RecordBatch>> {
        let (Some(plan), Some(codec)) = (&self.top_plan, &self.codec) else { return Ok(None) };
        let Shape::Aggregate(aggregate) = &self.plan.shape else { return Ok(None) };
        if !is_wanted(windows, window, (&self.plan.window_filter, &self.plan.kept_schema))? {
            return Ok(None);
        }
        let schema = &self.plan.kept_schema;
        if let Some(mut top) = self.tops.remove(&window) {
            let is_enough = match fresh {
                None => true,
                Some(Fresh::Many) => false,
                Some(Fresh::Groups(groups)) => {
                    let slices = slices_of(&self.partitions, windows, window, holds);
                    let (touched, groups) = codec.evaluate_groups(slices, &groups)?;
                    let rows = assemble(aggregate, schema, windows, window, touched)?;
                    top.put(plan, &rows, &groups)?
                }
            };
            if is_enough {
                let picked = top.picked(plan)?;
                self.tops.insert(window, top);
                return Ok(Some(picked));
            }
        }
        let slices = || slices_of(&self.partitions, windows, window, holds);
        // Of one group the slices of all partitions may have a part.
        if slices().map(Slice::len).sum::<usize>() < self.top_from {
            return Ok(None);
        }
        let (all, groups) = codec.evaluate_with_keys(slices())?;
        let rows = assemble(aggregate, schema, windows, window, all)?;
        let top = Top::of(plan, &rows, &groups)?;
        let picked = top.picked(plan)?;
        self.tops.insert(window, top);
        Ok(Some(picked))
    }
}
