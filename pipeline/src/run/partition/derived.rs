//! A life cycle behind a stream: its operator, and the derived tables that read what it makes.
//!
//! ```text
//! accepted rows ─▶ operator ─┬─▶ dated by the effect ─▶ branch of one table
//!                            └─▶ dated by the order  ─▶ branch of another
//! ```
//! Tables that are LIKE one another share one operator; each has its own event time, and so its own branch.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, plan_err};

use super::branch::{AcceptedRows, Branch};
use super::drain::BranchDrain;
use super::intake::Read;
use crate::lifecycle::operator::{OperatorDrain, Output, Papers, Taken};
use crate::lifecycle::{Counts, Operator};
use crate::model::{Offset, Space};
use crate::sql::StreamPlan;
use crate::sql::stream_plan::RefusedRows;
use crate::state::SavedPartition;

/// One operator of one partition.
#[derive(Debug)]
pub struct DerivedRun {
    space: Space,
    name: Arc<str>,
    operator: Operator,
    readings: Vec<Reading>,
}

/// A table over what the operator makes.
#[derive(Debug)]
pub struct Reading {
    /// The table, with its computed columns.
    pub plan: Arc<StreamPlan>,
    /// Which of the operator's times dates its rows.
    pub time: Output,
    /// Its views.
    pub branch: Branch,
}

impl DerivedRun {
    /// An operator before its first record.
    #[must_use]
    pub fn new(name: Arc<str>, operator: Operator, readings: Vec<Reading>) -> Self {
        let mut run = Self { space: Space::Live, name, operator, readings };
        run.make_only_what_is_read();
        run
    }

    /// Spares the operator the columns that no view looks at.
    fn make_only_what_is_read(&mut self) {
        let columns = |reading: &Reading| reading.plan.decoded_behind(&reading.branch.columns()?);
        let all = self.readings.iter().map(columns).try_fold(BTreeSet::new(), |mut all, own| {
            all.extend(own?);
            Some(all)
        });
        self.operator.make_only(all.as_ref());
    }

    /// The same life cycle in another space, before its first record.
    ///
    /// # Errors
    /// When a fold cannot be made.
    pub fn alike(&self, space: Space) -> Result<Self> {
        let reading = |of: &Reading| {
            Ok(Reading {
                plan: Arc::clone(&of.plan),
                time: of.time,
                branch: of.branch.alike(space)?,
            })
        };
        let readings = self.readings.iter().map(reading).collect::<Result<_>>()?;
        let mut alike =
            Self { space, name: Arc::clone(&self.name), operator: self.operator.alike(), readings };
        alike.make_only_what_is_read();
        Ok(alike)
    }

    /// Its name: that of the table that declares it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Takes over the views of the same life cycle that has had the same rows.
    pub fn join(&mut self, other: &mut Self) {
        for reading in &mut other.readings {
            let is_same = |own: &&mut Reading| own.branch.stream() == reading.branch.stream();
            if let Some(own) = self.readings.iter_mut().find(is_same) {
                own.branch.join(&mut reading.branch);
            }
        }
        self.make_only_what_is_read();
    }

    /// Takes views out.
    pub fn remove(&mut self, keys: &[Arc<str>]) {
        self.readings.iter_mut().for_each(|reading| reading.branch.remove(keys));
    }

    /// Says that the log had been cut before `offset` when its views began with it.
    pub fn begins_at(&mut self, offset: Offset, end: Offset) {
        self.readings.iter_mut().for_each(|reading| reading.branch.begins_at(offset, end));
    }

    /// Goes on from a checkpoint; `orders` are those it kept.
    ///
    /// # Errors
    /// When they are not what it saved.
    pub fn restore(&mut self, at: &SavedPartition, orders: &[u8]) -> Result<()> {
        let counts = at.operators.get(&*self.name).copied().unwrap_or_default();
        self.operator.restore(counts, orders).map_err(|detail| {
            DataFusionError::Execution(format!(
                "the orders of {} cannot be taken up: {detail}",
                self.name
            ))
        })?;
        for reading in &mut self.readings {
            reading.branch.restore(at);
        }
        Ok(())
    }

    /// Takes accepted rows in and folds what comes of them; `watermark` is the partition's after them.
    ///
    /// # Errors
    /// When the rows are not of the source's columns, or a computed column fails.
    pub fn process(&mut self, rows: &AcceptedRows, read: &Read, watermark: i64) -> Result<()> {
        if !rows.is_empty() {
            let offsets: Vec<i64> = rows.origins.iter().map(|row| read.offset(*row)).collect();
            let raw: Vec<&[u8]> =
                rows.origins.iter().map(|row| shortened(read.raw(*row))).collect();
            let papers = Papers {
                times: &rows.times,
                watermarks: &rows.watermarks,
                offsets: &offsets,
                raw: &raw,
            };
            let taken = self.operator.take(&rows.batch, papers)?;
            for reading in &mut self.readings {
                let accepted = accepted(reading, &taken, rows)?;
                reading.branch.fold(&accepted, read);
            }
        }
        self.operator.forget(watermark, *read.last_offset.of(self.space));
        Ok(())
    }

    /// Its branches, one a table.
    pub fn branches(&self) -> impl Iterator<Item = &Branch> {
        self.readings.iter().map(|reading| &reading.branch)
    }

    /// How many events stand otherwise than before the last drain.
    #[must_use]
    pub fn notices(&self) -> usize {
        self.operator.notices()
    }

    /// What became of the events.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.operator.counts()
    }

    /// Everything since the last drain. `watermark` is the partition's own.
    ///
    /// # Errors
    /// When an accumulator cannot give its state.
    pub fn drain(&mut self, watermark: i64) -> Result<(OperatorDrain, Vec<BranchDrain>)> {
        let branches = self.readings.iter_mut().map(|reading| reading.branch.drain(watermark));
        Ok((self.operator.drain(), branches.collect::<Result<_>>()?))
    }
}

/// Raw bytes of an event that are kept while it waits.
const RAW_BYTES_MAX: usize = 4_096;

fn shortened(raw: &[u8]) -> &[u8] {
    raw.get(..RAW_BYTES_MAX).unwrap_or(raw)
}

/// What the operator made, as a table's rows with the papers of the records they are due to.
fn accepted(reading: &Reading, taken: &Taken, from: &AcceptedRows) -> Result<AcceptedRows> {
    let times = match reading.time {
        Output::OrderTime => &taken.order_times,
        Output::PaidTime => &taken.paid_times,
        _ => &taken.effect_times,
    };
    let mut rows = AcceptedRows::with_capacity(times.len());
    rows.records = Some(from.len());
    rows.corrections.clone_from(&taken.corrections);
    for (time, due_to) in times.iter().zip(&taken.due_to) {
        let at = usize::try_from(*due_to).unwrap_or(usize::MAX);
        let of = |values: &[i64]| values.get(at).copied().unwrap_or(i64::MIN);
        let arrival = from.arrivals.get(at).copied().unwrap_or(0);
        let origin = from.origins.get(at).copied().unwrap_or(usize::MAX);
        rows.note(Some(*time), of(&from.watermarks), arrival, origin);
    }
    let mut refused = RefusedRows::new();
    rows.batch = reading.plan.complete(&taken.batch, &mut refused)?;
    match refused.into_values().next() {
        Some(detail) => plan_err!("table {}: {detail}", reading.plan.definition.name),
        None => Ok(rows),
    }
}
