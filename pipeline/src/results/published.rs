//! The published rows of one view: what is shown now, what changed when, what went.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::json::write_row;
use super::snapshot::{
    Keep, MARK_COLUMN, Mark, Place, PublishedRow, REVISION_COLUMN, ROW_KEY, Snapshot, Tombstone,
    ViewInfo, WindowRows,
};

/// Rows of one window as they come from the engine.
#[derive(Debug, Clone)]
pub struct NewWindow {
    /// Start and end as instants, epoch milliseconds; `i64::MIN` and `i64::MAX` for a running total.
    pub window: (i64, i64),
    /// The result's columns.
    pub rows: RecordBatch,
    /// How settled they are.
    pub mark: Mark,
    /// How many records came after the window's end.
    pub revision: u64,
}

impl WindowRows {
    /// The mark and the revision of the rows, which are those of their window.
    #[must_use]
    pub fn papers(&self) -> (Mark, u64) {
        let columns = self.batch.num_columns();
        let mark = match self.batch.column(columns - 2).as_string::<i32>().iter().next().flatten() {
            Some("final") => Mark::Final,
            Some("settled") => Mark::Settled,
            _ => Mark::Provisional,
        };
        let revisions = self.batch.column(columns - 1).as_primitive::<Int64Type>();
        let revision = revisions.iter().next().flatten();
        (mark, revision.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// The rows without their mark and revision, which are told apart.
    #[must_use]
    pub fn as_new(&self) -> NewWindow {
        let own: Vec<usize> = (0..self.batch.num_columns() - 2).collect();
        let (mark, revision) = self.papers();
        NewWindow {
            window: self.window,
            rows: self.batch.project(&own).unwrap_or_else(|_| self.batch.clone()),
            mark,
            revision,
        }
    }
}

/// The published rows of one view.
#[derive(Debug)]
pub struct PublishedView {
    info: Arc<ViewInfo>,
    keys: Vec<usize>,
    windows: BTreeMap<Place, Arc<WindowRows>>,
    row_count: usize,
    tombstones: Arc<VecDeque<Tombstone>>,
    tombstones_max: usize,
    complete_since: u64,
    changed_at: u64,
    keep: Keep,
    gone_before: i64,
    snapshot: Option<Arc<Snapshot>>,
}

/// A view's schema with its mark and revision.
#[must_use]
pub fn schema_with_papers(schema: &Schema) -> SchemaRef {
    let mut fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    fields.push(Field::new(MARK_COLUMN, DataType::Utf8, false));
    fields.push(Field::new(REVISION_COLUMN, DataType::Int64, false));
    Arc::new(Schema::new(fields))
}

impl PublishedView {
    /// A view before its first row. `keys` are the columns that identify a row.
    #[must_use]
    pub fn new(info: Arc<ViewInfo>, keys: Vec<usize>, keep: Keep, tombstones_max: usize) -> Self {
        Self {
            info,
            keys,
            windows: BTreeMap::new(),
            row_count: 0,
            tombstones: Arc::default(),
            tombstones_max,
            complete_since: 0,
            changed_at: 0,
            keep,
            gone_before: i64::MIN,
            snapshot: None,
        }
    }

    /// The same view before its first row.
    #[must_use]
    pub fn alike(&self) -> Self {
        Self::new(Arc::clone(&self.info), self.keys.clone(), self.keep, self.tombstones_max)
    }

    /// What the view is.
    #[must_use]
    pub fn info(&self) -> &Arc<ViewInfo> {
        &self.info
    }

    /// Says anew what the view is; its columns must be the same.
    pub fn set_info(&mut self, info: Arc<ViewInfo>) {
        self.info = info;
        self.snapshot = None;
    }

    /// Begins to be shown at `cut`: whoever has seen an earlier cut gets the whole view.
    pub fn begin(&mut self, cut: u64) {
        self.tombstones = Arc::default();
        self.complete_since = cut;
        self.changed(cut);
    }

    /// The windows shown now, in order.
    #[must_use]
    pub fn windows(&self) -> &BTreeMap<(i64, i64), Arc<WindowRows>> {
        &self.windows
    }

    /// Shows the rows of a window in the place of those it had.
    ///
    /// # Errors
    /// When the rows are not of the view's schema.
    pub fn show(&mut self, cut: u64, new: NewWindow) -> Result<(), ArrowError> {
        let place = (new.window.1, new.window.0);
        let old = self.windows.get(&place).cloned();
        if old.is_none() && self.is_beyond(place) {
            return Ok(());
        }
        let batch = with_papers(&self.info.schema, &new)?;
        let (rows, gone) = self.compared(cut, (place, &batch), old.as_deref());
        if let Some(old) = &old
            && gone.is_empty()
            && rows.iter().all(|row| row.changed_at < cut)
            && rows.len() == old.rows.len()
        {
            return Ok(());
        }
        self.row_count += rows.len();
        self.row_count -= old.map_or(0, |old| old.rows.len());
        let changed_at = rows.iter().map(|row| row.changed_at).max().unwrap_or(cut);
        self.bury(cut, gone);
        if rows.is_empty() {
            self.windows.remove(&place);
        } else {
            let window = WindowRows { window: new.window, batch, rows, changed_at };
            self.windows.insert(place, Arc::new(window));
        }
        self.changed(cut);
        Ok(())
    }

    /// Takes a window off.
    pub fn withdraw(&mut self, cut: u64, window: (i64, i64)) {
        if let Some(old) = self.windows.remove(&(window.1, window.0)) {
            self.row_count -= old.rows.len();
            let gone = old.rows.iter().map(|row| Arc::clone(&row.key)).collect();
            self.bury(cut, gone);
            self.changed(cut);
        }
    }

    /// Whether a window is older than all that is kept, so that [`PublishedView::trim`] would drop it at
    /// once: one that is closed for good, or revised, long after it was last shown.
    fn is_beyond(&self, place: Place) -> bool {
        let (first, last) = (self.windows.first_key_value(), self.windows.last_key_value());
        let Some(((oldest, _), (newest, _))) = first.zip(last) else { return false };
        place.0 < self.gone_before || self.keep.is_beyond(place, (*oldest, *newest), self.row_count)
    }

    /// Drops the windows that ended before an instant, which no fresh reading of the log would show.
    pub fn drop_before(&mut self, cut: u64, instant: i64) {
        if instant <= self.gone_before {
            return;
        }
        self.gone_before = instant;
        self.snapshot = None;
        while let Some((place, window)) = self.windows.first_key_value()
            && place.0 < instant
        {
            let window = window.window;
            self.withdraw(cut, window);
        }
    }

    /// Drops the oldest windows beyond what is kept.
    pub fn trim(&mut self, cut: u64) {
        while let Some((place, window)) = self.windows.first_key_value() {
            let newest = self.windows.last_key_value().map_or(place.0, |(place, _)| place.0);
            let spare = match self.keep {
                Keep::Rows(rows) => self.row_count.saturating_sub(window.rows.len()) >= rows,
                Keep::Time(ms) => place.0 < newest.saturating_sub(ms),
            };
            if !spare || self.windows.len() == 1 {
                return;
            }
            let window = window.window;
            self.withdraw(cut, window);
        }
    }

    /// Rows as they were saved, with no history of changes.
    ///
    /// # Errors
    /// When rows and columns disagree.
    pub fn restore(&mut self, cut: u64, windows: Vec<NewWindow>) -> Result<(), ArrowError> {
        for window in windows {
            self.show(cut, window)?;
        }
        self.tombstones = Arc::default();
        self.complete_since = cut;
        Ok(())
    }

    /// The view at this cut; shared with the cut before when nothing changed.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.get_or_insert_with(|| {
            Arc::new(Snapshot {
                info: Arc::clone(&self.info),
                changed_at: self.changed_at,
                windows: self.windows.values().cloned().collect(),
                tombstones: Arc::clone(&self.tombstones),
                complete_since: self.complete_since,
                keep: self.keep,
                gone_before: self.gone_before,
            })
        });
        Arc::clone(snapshot)
    }

    fn changed(&mut self, cut: u64) {
        self.changed_at = cut;
        self.snapshot = None;
    }

    fn bury(&mut self, cut: u64, gone: Vec<Arc<str>>) {
        if gone.is_empty() {
            return;
        }
        let tombstones = Arc::make_mut(&mut self.tombstones);
        tombstones.extend(gone.into_iter().map(|key| Tombstone { key, deleted_at: cut }));
        while tombstones.len() > self.tombstones_max {
            if let Some(oldest) = tombstones.pop_front() {
                self.complete_since = oldest.deleted_at;
            }
        }
    }

    /// The new rows, unchanged ones with the cut at which they changed, and the keys that went.
    fn compared(
        &self,
        cut: u64,
        (place, batch): (Place, &RecordBatch),
        old: Option<&WindowRows>,
    ) -> (Vec<PublishedRow>, Vec<Arc<str>>) {
        let has_row_key = self.info.keys.last().is_some_and(|key| key == ROW_KEY);
        // What tells such rows apart depends on the rows before them, so none is taken over unseen.
        let same = old.filter(|_| !has_row_key).and_then(|old| same_rows(&old.batch, batch));
        let is_same = |row: usize| same.as_ref().is_some_and(|same| same.value(row));
        let old = old.map_or(&[][..], |old| old.rows.as_slice());
        let changed = old.iter().enumerate().filter(|(row, _)| !is_same(*row));
        let mut before: HashMap<&str, &PublishedRow> =
            changed.map(|(_, row)| (row.key.as_ref(), row)).collect();
        let columns: Vec<usize> = (0..batch.num_columns()).collect();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut rows = Vec::with_capacity(batch.num_rows());
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            if let Some(unchanged) = old.get(row).filter(|_| is_same(row)) {
                rows.push(unchanged.clone());
                continue;
            }
            text.clear();
            write_row(&mut text, batch, &self.keys, row);
            let row_key = has_row_key.then(|| {
                let count = seen.entry(text.clone()).or_insert(0);
                *count += 1;
                row_key(place, *count)
            });
            if let Some(row_key) = &row_key {
                add(&mut text, row_key);
            }
            let key = text.clone();
            text.clear();
            write_row(&mut text, batch, &columns, row);
            if let Some(row_key) = &row_key {
                add(&mut text, row_key);
            }
            rows.push(match before.remove(key.as_str()) {
                Some(same) if same.json.as_ref() == text => same.clone(),
                Some(changed) => PublishedRow {
                    key: Arc::clone(&changed.key),
                    json: text.as_str().into(),
                    changed_at: cut,
                },
                None => {
                    PublishedRow { key: key.into(), json: text.as_str().into(), changed_at: cut }
                }
            });
        }
        let gone = before.into_values().map(|row| Arc::clone(&row.key)).collect();
        (rows, gone)
    }
}

/// Which rows are as those of the same number before; `None` where they cannot be laid side by side.
fn same_rows(old: &RecordBatch, new: &RecordBatch) -> Option<BooleanBuffer> {
    if old.num_rows() != new.num_rows() {
        return None;
    }
    let mut all = BooleanBuffer::new_set(new.num_rows());
    for (old, new) in old.columns().iter().zip(new.columns()) {
        if !Arc::ptr_eq(old, new) {
            all = &all & not_distinct(old, new).ok()?.values();
        }
    }
    Some(all)
}

/// What tells rows with the same key columns apart: their window, which the columns may not say, and the
/// how many-th of them a row is there.
fn row_key((end, start): Place, nth: usize) -> String {
    match (start, end) {
        (i64::MIN, i64::MAX) => nth.to_string(),
        _ => format!("{start}-{end}-{nth}"),
    }
}

/// Adds [`ROW_KEY`] to a row's JSON object.
fn add(object: &mut String, row_key: &str) {
    let is_closed = object.pop();
    debug_assert_eq!(is_closed, Some('}'), "an object ends");
    let comma = if object.len() > 1 { "," } else { "" };
    object.push_str(&format!("{comma}\"{ROW_KEY}\":\"{row_key}\"}}"));
}

fn with_papers(schema: &SchemaRef, new: &NewWindow) -> Result<RecordBatch, ArrowError> {
    let count = new.rows.num_rows();
    let mut columns: Vec<ArrayRef> = new.rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec![new.mark.as_str(); count])));
    let revision = i64::try_from(new.revision).unwrap_or(i64::MAX);
    columns.push(Arc::new(Int64Array::from(vec![revision; count])));
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Changes;

    fn view(tombstones_max: usize) -> PublishedView {
        let schema = Schema::new(vec![
            Field::new("end", DataType::Int64, false),
            Field::new("n", DataType::Int64, false),
        ]);
        let info = ViewInfo {
            name: "v".into(),
            streams: Vec::new(),
            keys: vec!["end".into()],
            schema: schema_with_papers(&schema),
            scope: None,
            title: Default::default(),
            definition: Default::default(),
            unit: String::new(),
            time_zone: "UTC".into(),
            sql: String::new(),
            hash: String::new(),
            window_start: None,
            window_end: Some(0),
            result_topic: None,
            clear: Default::default(),
        };
        PublishedView::new(Arc::new(info), vec![0], Keep::Rows(2), tombstones_max)
    }

    fn window(end: i64, n: i64) -> NewWindow {
        let schema = Schema::new(vec![
            Field::new("end", DataType::Int64, true),
            Field::new("n", DataType::Int64, true),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![end])), Arc::new(Int64Array::from(vec![n]))];
        let rows = RecordBatch::try_new(Arc::new(schema), columns).expect("batch");
        NewWindow { window: (end - 1, end), rows, mark: Mark::Provisional, revision: 0 }
    }

    #[test]
    fn a_reader_is_told_only_what_changed_since_its_cut() {
        let mut view = view(10);
        view.show(1, window(1, 5)).expect("shown");
        view.show(2, window(2, 6)).expect("shown");
        view.show(2, window(1, 5)).expect("shown");
        let changes = view.snapshot().changes_since(1).expect("known");
        assert_eq!(changes.upsert.len(), 1);
        assert!(changes.upsert[0].contains("\"n\":6"));
        assert!(view.snapshot().changes_since(2).expect("known").upsert.is_empty());
    }

    #[test]
    fn a_row_that_went_is_a_deletion_until_its_tombstone_is_dropped() {
        let mut view = view(1);
        view.show(1, window(1, 5)).expect("shown");
        view.withdraw(2, (0, 1));
        assert_eq!(view.snapshot().changes_since(1).expect("known").delete.len(), 1);
        view.show(3, window(2, 5)).expect("shown");
        view.withdraw(4, (1, 2));
        assert!(view.snapshot().changes_since(1).is_none());
        assert_eq!(view.snapshot().changes_since(3).expect("known").delete.len(), 1);
    }

    #[test]
    fn a_window_older_than_what_is_kept_does_not_come_back_when_it_is_closed_for_good() {
        let mut view = view(10);
        for end in 1..=4 {
            view.show(1, window(end, end)).expect("shown");
        }
        view.trim(1);
        view.show(2, window(1, 7)).expect("left out");
        view.trim(2);
        assert_eq!(view.windows().keys().map(|(end, _)| *end).collect::<Vec<_>>(), [3, 4]);
        let changes = view.snapshot().changes_since(1).expect("known");
        assert!(changes.upsert.is_empty() && changes.delete.is_empty(), "{changes:?}");
        view.show(3, window(3, 8)).expect("one that is kept is revised");
        assert_eq!(view.snapshot().changes_since(2).expect("known").upsert.len(), 1);
    }

    #[test]
    fn the_oldest_windows_go_when_there_are_more_rows_than_kept() {
        let mut view = view(10);
        for end in 1..=4 {
            view.show(1, window(end, end)).expect("shown");
        }
        view.trim(1);
        assert_eq!(view.windows().keys().map(|(end, _)| *end).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn rows_that_stay_are_taken_over_and_those_that_move_or_change_are_told() {
        let of = |cells: &[(i64, i64)]| {
            let column = |of: fn(&(i64, i64)) -> i64| -> ArrayRef {
                Arc::new(cells.iter().map(|cell| Some(of(cell))).collect::<Int64Array>())
            };
            let schema = view(10).info.schema.project(&[0, 1]).expect("two columns");
            let rows = RecordBatch::try_new(
                Arc::new(schema),
                vec![column(|cell| cell.0), column(|cell| cell.1)],
            );
            let rows = rows.expect("batch");
            NewWindow { window: (0, 1), rows, mark: Mark::Provisional, revision: 0 }
        };
        let steps: [&[(i64, i64)]; 6] = [
            &[(1, 5), (2, 6), (3, 7)],
            &[(1, 5), (2, 8), (3, 7)],
            &[(2, 8), (1, 5), (3, 7)],
            &[(2, 8), (1, 5)],
            &[(4, 8), (1, 5)],
            &[(4, 8), (1, 5), (2, 8)],
        ];
        let mut view = view(100);
        let keys = vec![view.info.schema.field(0).name().clone()];
        let mut held = BTreeMap::new();
        for (cut, cells) in (1..).zip(steps) {
            view.show(cut, of(cells)).expect("shown");
            let snapshot = view.snapshot();
            let changes = snapshot.changes_since(cut - 1).expect("known");
            apply(&mut held, &keys, &changes);
            let shown: Vec<&str> = snapshot.rows(None).map(|row| row.json.as_ref()).collect();
            assert_eq!(shown.len(), cells.len());
            let mut sorted: Vec<&str> = shown.clone();
            sorted.sort_unstable();
            let mut all: Vec<&str> = held.values().map(String::as_str).collect();
            all.sort_unstable();
            assert_eq!(all, sorted, "at cut {cut}");
            if cut == 2 {
                assert_eq!((changes.upsert.len(), changes.delete.len()), (1, 0));
            }
        }
    }

    /// What a client of the protocol holds: rows by the columns that the view calls its keys.
    fn apply(held: &mut BTreeMap<String, String>, keys: &[String], changes: &Changes) {
        let key_of = |object: &str| {
            let row: serde_json::Value = serde_json::from_str(object).expect("JSON");
            keys.iter().map(|key| row.get(key).expect(key).to_string()).collect::<String>()
        };
        for gone in &changes.delete {
            held.remove(&key_of(gone));
        }
        for row in &changes.upsert {
            held.insert(key_of(row), row.to_string());
        }
    }

    #[test]
    fn a_client_holds_every_row_also_where_no_column_tells_rows_apart() {
        let of = |cells: &[(i64, Option<i64>, i64)]| {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(cells.iter().map(|cell| cell.1).collect::<Int64Array>()),
                Arc::new(cells.iter().map(|cell| Some(cell.2)).collect::<Int64Array>()),
            ];
            let schema = view(10).info.schema.project(&[0, 1]).expect("two columns");
            let nullable =
                schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
            let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
            let end = cells.first().map_or(1, |cell| cell.0);
            let rows = RecordBatch::try_new(schema, columns).expect("batch");
            NewWindow { window: (end - 1, end), rows, mark: Mark::Provisional, revision: 0 }
        };
        let mut view = view(100);
        let mut info = view.info.as_ref().clone();
        info.keys.push(ROW_KEY.to_owned());
        view.set_info(Arc::new(info));
        let keys = view.info.keys.clone();
        let mut held = BTreeMap::new();
        // A NULL that is a key and one that is a total, the same in two windows, then one row less.
        let steps = [
            vec![of(&[(1, None, 5), (1, None, 9), (1, Some(7), 4)])],
            vec![of(&[(2, None, 5), (2, None, 5)])],
            vec![of(&[(1, None, 6), (1, Some(7), 4)]), of(&[(2, None, 5), (2, None, 8)])],
        ];
        for (cut, windows) in (1..).zip(steps) {
            for window in windows {
                view.show(cut, window).expect("shown");
            }
            let snapshot = view.snapshot();
            apply(&mut held, &keys, &snapshot.changes_since(cut - 1).expect("known"));
            let mut shown: Vec<String> =
                snapshot.rows(None).map(|row| row.json.to_string()).collect();
            let mut held: Vec<String> = held.values().cloned().collect();
            shown.sort();
            held.sort();
            assert_eq!(held, shown, "at cut {cut}");
        }
    }
}
