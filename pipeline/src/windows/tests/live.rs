//! One view over one or more partitions, record by record.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array, new_null_array,
};

use super::{load, plan};
use crate::results::Mark;
use crate::results::json::write_row;
use crate::sql::Catalog;
use crate::windows::fire::{Firing, Progress, ViewState, right_partition};
use crate::windows::fold::{Accepted, ViewFold};
use crate::windows::{SliceKey, Windows};

/// A view that is fed and published by hand. The stream's watermark is one second behind.
pub struct Live {
    catalog: Catalog,
    windows: Option<Windows>,
    pub state: ViewState,
    folds: BTreeMap<u32, (ViewFold, i64, u64)>,
    as_of: Option<i64>,
    pub late: usize,
    /// What is shown now, by window end and start.
    pub shown: BTreeMap<(i64, i64), (Vec<String>, Mark, u64)>,
}

impl Live {
    pub fn new(view: &str, partitions: u32) -> Self {
        Self::of(load(&[], view).unwrap_or_else(|errors| panic!("{errors:?}")), partitions)
    }

    pub fn of(catalog: Catalog, partitions: u32) -> Self {
        let plan = plan(&catalog);
        let view = &catalog.views[0];
        let zone = catalog.streams["t"].definition.zone;
        let windows =
            plan.window.as_ref().map(|spec| Windows::new(spec, zone, view.allowed_lateness));
        let state =
            ViewState::new(Arc::clone(&plan), windows.clone(), view.retention).expect("a state");
        let fold = || ViewFold::new(Arc::clone(&plan), windows.clone()).expect("a fold");
        let mut folds: BTreeMap<u32, (ViewFold, i64, u64)> =
            (0..partitions).map(|partition| (partition, (fold(), i64::MIN, 0))).collect();
        if let Some(right) = plan.right_side().map(Arc::new) {
            let windows =
                right.window.as_ref().map(|spec| Windows::new(spec, zone, view.allowed_lateness));
            for partition in 0..partitions {
                let fold = ViewFold::new(Arc::clone(&right), windows.clone()).expect("a fold");
                folds.insert(right_partition(partition), (fold, i64::MIN, 0));
            }
        }
        Self { folds, windows, state, as_of: None, late: 0, shown: BTreeMap::new(), catalog }
    }

    /// One record a time, key and number; times in milliseconds.
    pub fn take(&mut self, partition: u32, records: &[(i64, &str, i64)]) {
        let stream = Arc::clone(&self.catalog.streams["t"]);
        for (time, key, number) in records {
            let (fold, watermark, offset) = self.folds.get_mut(&partition).expect("a partition");
            let columns = stream
                .schema
                .fields()
                .iter()
                .map(|field| -> arrow::array::ArrayRef {
                    match field.name().as_str() {
                        "id" | "i" => Arc::new(Int64Array::from(vec![*number])),
                        "k" => Arc::new(StringArray::from(vec![*key])),
                        "ts" => Arc::new(TimestampMillisecondArray::from(vec![*time])),
                        "__row" => Arc::new(UInt32Array::from(vec![0])),
                        _ => new_null_array(field.data_type(), 1),
                    }
                })
                .collect();
            let batch = RecordBatch::try_new(Arc::clone(&stream.schema), columns).expect("a batch");
            let arrivals = [u64::from(partition) << 48 | *offset];
            let accepted = Accepted {
                batch: &batch,
                times: &[*time],
                watermarks: &[*watermark],
                arrivals: &arrivals,
                records: None,
                corrections: &[],
            };
            let late = &mut self.late;
            fold.fold(accepted, &mut |_| *late += 1).expect("folds");
            *watermark = (*watermark).max(time - 1_000);
            *offset += 1;
            self.as_of = self.as_of.max(Some(*time));
        }
    }

    pub fn publish(&mut self) -> Firing {
        self.fire(false)
    }

    pub fn end(&mut self) -> Firing {
        self.fire(true)
    }

    fn fire(&mut self, ended: bool) -> Firing {
        for (partition, (fold, watermark, _)) in &mut self.folds {
            self.state.absorb(*partition, fold.drain(*watermark).expect("drains")).expect("merges");
        }
        let watermark =
            self.folds.values().map(|(_, watermark, _)| *watermark).min().unwrap_or(i64::MIN);
        let progress =
            Progress { watermark, settled: watermark, as_of: self.as_of, partitions: 1, ended };
        let firing = self.state.fire(progress).expect("fires");
        for (start, end) in &firing.withdrawn {
            self.shown.remove(&(*end, *start));
        }
        let gone_before = firing.gone_before.unwrap_or(i64::MIN);
        self.shown.retain(|(end, _), _| *end >= gone_before);
        for fired in &firing.fired {
            let (start, end) = fired.instants.unwrap_or((i64::MIN, i64::MAX));
            let columns: Vec<usize> = (0..fired.rows.num_columns()).collect();
            let text = |row| {
                let mut text = String::new();
                write_row(&mut text, &fired.rows, &columns, row);
                text
            };
            let rows = (0..fired.rows.num_rows()).map(text).collect();
            self.shown.insert((end, start), (rows, fired.mark, fired.revision));
        }
        firing
    }

    /// Window ends in seconds that were shown by a publish, with mark and revision.
    pub fn ends(firing: &Firing) -> Vec<(i64, Mark, u64)> {
        let end = |instants: Option<(i64, i64)>| instants.map_or(0, |(_, end)| end / 1_000);
        firing.fired.iter().map(|fired| (end(fired.instants), fired.mark, fired.revision)).collect()
    }

    /// Stops and goes on from what a checkpoint would hold.
    pub fn restart(&mut self) {
        let fresh = Live::of_state(&self.catalog, &self.windows);
        let old = std::mem::replace(&mut self.state, fresh);
        let copy =
            |table: &crate::windows::table::PartitionTable| crate::windows::table::PartitionTable {
                slices: table.slices.clone(),
                prefixes: table.prefixes.clone(),
                rows: table.rows.clone(),
                sessions: table.sessions.clone(),
                revised: table.revised.clone(),
            };
        let tables =
            old.tables().iter().map(|(partition, table)| (*partition, copy(table))).collect();
        let watermark =
            self.folds.values().map(|(_, watermark, _)| *watermark).min().unwrap_or(i64::MIN);
        // A checkpoint holds which steps are closed and which is shown, and nothing else of a base.
        let bases = old.bases().iter().map(|(start, base)| {
            (
                *start,
                crate::windows::fire::Base {
                    next_end: base.next_end,
                    shown: base.shown,
                    ..Default::default()
                },
            )
        });
        self.state.restore(tables, bases.collect(), watermark);
    }

    fn of_state(catalog: &Catalog, windows: &Option<Windows>) -> ViewState {
        ViewState::new(plan(catalog), windows.clone(), catalog.views[0].retention).expect("a state")
    }

    pub fn counts(&self, partition: u32) -> crate::windows::ViewCounts {
        self.folds[&partition].0.counts()
    }

    /// Slices kept apart, over all partitions.
    pub fn slices(&self) -> Vec<SliceKey> {
        self.state.tables().values().flat_map(|table| table.slices.keys().copied()).collect()
    }
}
