//! What one topic holds, and what has to be written so that it holds another cut.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::record::{CONTROL_KEY, Control, fingerprint, row_of};
use crate::model::Offset;
use crate::results::Snapshot;

/// The rows of a topic by key, as fingerprints.
#[derive(Debug, Default)]
pub(super) struct Written {
    rows: HashMap<Arc<str>, u128>,
    /// The last control record; `None` before the first.
    pub(super) control: Option<Control>,
    /// Cut of this epoch that the topic holds; `None` when that is only known from the topic itself.
    pub(super) cut: Option<u64>,
}

/// A row to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upsert {
    pub(super) key: Arc<str>,
    pub(super) json: Arc<str>,
    pub(super) window: (i64, i64),
}

/// What makes a topic hold a cut.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) upserts: Vec<Upsert>,
    pub(super) deletes: Vec<Arc<str>>,
}

impl Written {
    /// Takes note of a record read back from the topic.
    ///
    /// # Errors
    /// Why it is none of ours.
    pub(super) fn read_back(
        &mut self,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        offset: Offset,
    ) -> Result<(), String> {
        let no_key = || format!("the record at offset {offset} has no key that is text");
        let key = key.and_then(|key| std::str::from_utf8(key).ok()).ok_or_else(no_key)?;
        match value {
            None => {
                self.rows.remove(key);
            }
            Some(value) if key == CONTROL_KEY => {
                let control = serde_json::from_slice(value);
                self.control =
                    Some(control.map_err(|error| {
                        format!("the control record at offset {offset}: {error}")
                    })?);
            }
            Some(value) => {
                let row = row_of(value)
                    .ok_or_else(|| format!("the record at offset {offset} is no row of a view"))?;
                self.rows.insert(key.into(), fingerprint(row));
            }
        }
        Ok(())
    }

    /// Whose topic it is, when it is not this view's.
    pub(super) fn is_of_another(&self, view: &str) -> Option<String> {
        let other = self.control.as_ref().filter(|control| control.view != view)?;
        Some(format!("it holds the view {}, not {view}", other.view))
    }

    /// The difference between the topic and a snapshot of its view.
    pub(super) fn difference(&self, view: &Snapshot) -> Difference {
        match self.cut {
            Some(base) if base >= view.changed_at => Difference::default(),
            Some(base) if base >= view.complete_since => self.since(view, base),
            _ => self.whole(view),
        }
    }

    /// Takes note that a difference is committed.
    pub(super) fn committed(&mut self, done: Difference, control: Control) {
        for row in done.upserts {
            self.rows.insert(row.key, fingerprint(&row.json));
        }
        for key in done.deletes {
            self.rows.remove(&key);
        }
        self.cut = Some(control.cut);
        self.control = Some(control);
    }

    fn whole(&self, view: &Snapshot) -> Difference {
        let live: HashSet<&str> = view.rows(None).map(|row| &*row.key).collect();
        let deletes = self.rows.keys().filter(|key| !live.contains(&***key)).cloned().collect();
        Difference { upserts: self.changed(view, None), deletes }
    }

    fn since(&self, view: &Snapshot, base: u64) -> Difference {
        let gone =
            view.tombstones.iter().filter(|gone| gone.deleted_at > base).map(|gone| &gone.key);
        let mut gone: HashSet<&Arc<str>> =
            gone.filter(|key| self.rows.contains_key(&***key)).collect();
        if !gone.is_empty() {
            // A row may have come back, in this window or in another.
            view.rows(None).for_each(|row| {
                gone.remove(&row.key);
            });
        }
        Difference {
            upserts: self.changed(view, Some(base)),
            deletes: gone.into_iter().cloned().collect(),
        }
    }

    fn changed(&self, view: &Snapshot, base: Option<u64>) -> Vec<Upsert> {
        let is_new = |changed_at: u64| base.is_none_or(|base| changed_at > base);
        let mut upserts = Vec::new();
        for window in view.windows.iter().filter(|window| is_new(window.changed_at)) {
            for row in window.rows.iter().filter(|row| is_new(row.changed_at)) {
                if self.rows.get(&row.key) != Some(&fingerprint(&row.json)) {
                    let (key, json) = (Arc::clone(&row.key), Arc::clone(&row.json));
                    upserts.push(Upsert { key, json, window: window.window });
                }
            }
        }
        upserts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::results::Keep;
    use crate::results::published::{NewWindow, schema_with_papers};
    use crate::results::{Mark, PublishedView, StreamProgress, ViewInfo};
    use crate::sinks::result_topics::record::Papers;

    fn view() -> PublishedView {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let info = ViewInfo {
            name: "v".into(),
            streams: Vec::new(),
            keys: vec!["end".into()],
            schema: schema_with_papers(&Schema::new(vec![field("end"), field("n")])),
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
        PublishedView::new(Arc::new(info), vec![0], Keep::Rows(100), 1)
    }

    fn show(view: &mut PublishedView, cut: u64, end: i64, n: i64) {
        let schema = Schema::new(vec![
            Field::new("end", DataType::Int64, true),
            Field::new("n", DataType::Int64, true),
        ]);
        let column = |value| Arc::new(Int64Array::from(vec![value])) as arrow::array::ArrayRef;
        let rows =
            RecordBatch::try_new(Arc::new(schema), vec![column(end), column(n)]).expect("batch");
        let window =
            NewWindow { window: (end - 1, end), rows, mark: Mark::Provisional, revision: 0 };
        view.show(cut, window).expect("shown");
    }

    fn control(cut: u64) -> Control {
        Control {
            view: "v".into(),
            generation: 1,
            sequence: 1,
            epoch: "e".into(),
            cut,
            upserts: 0,
            deletes: 0,
            as_of: None,
            watermark: None,
            offsets: BTreeMap::new(),
        }
    }

    /// The ends of the rows that are written and deleted; the topic holds the cut afterwards.
    fn go_to(
        written: &mut Written,
        view: &mut PublishedView,
        cut: u64,
    ) -> (Vec<String>, Vec<String>) {
        let difference = written.difference(&view.snapshot());
        let mut told = (
            difference.upserts.iter().map(|row| row.json.to_string()).collect::<Vec<_>>(),
            difference.deletes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        );
        told.0.sort();
        written.committed(difference, control(cut));
        told
    }

    #[test]
    fn a_topic_gets_what_changed_since_its_cut_and_rows_that_went_and_came_back_are_no_deletions() {
        let (mut view, mut written) = (view(), Written::default());
        show(&mut view, 1, 1, 5);
        show(&mut view, 1, 2, 6);
        assert_eq!(go_to(&mut written, &mut view, 1).0.len(), 2);
        show(&mut view, 2, 2, 7);
        view.withdraw(3, (0, 1));
        show(&mut view, 4, 1, 5);
        let (upserts, deletes) = go_to(&mut written, &mut view, 4);
        assert!(upserts.len() == 1 && upserts[0].contains("\"n\":7"), "{upserts:?}");
        assert!(deletes.is_empty(), "{deletes:?}");
        view.withdraw(5, (0, 1));
        assert_eq!(go_to(&mut written, &mut view, 5), (Vec::new(), vec!["{\"end\":1}".to_owned()]));
        assert_eq!(go_to(&mut written, &mut view, 6), (Vec::new(), Vec::new()));
    }

    #[test]
    fn changes_too_old_to_be_told_are_found_by_comparing_everything() {
        let (mut view, mut written) = (view(), Written::default());
        (1..=4).for_each(|end| show(&mut view, 1, end, end));
        go_to(&mut written, &mut view, 1);
        // Only one deletion is remembered.
        view.withdraw(2, (0, 1));
        view.withdraw(3, (1, 2));
        show(&mut view, 3, 3, 9);
        let (upserts, mut deletes) = go_to(&mut written, &mut view, 3);
        deletes.sort();
        assert!(upserts.len() == 1 && upserts[0].contains("\"n\":9"), "{upserts:?}");
        assert_eq!(deletes, ["{\"end\":1}", "{\"end\":2}"]);
    }

    #[test]
    fn what_is_read_back_from_a_topic_is_not_written_again() {
        let (mut view, mut written) = (view(), Written::default());
        show(&mut view, 1, 1, 5);
        show(&mut view, 1, 2, 6);
        let progress = StreamProgress::default();
        let papers = Papers { cut: 9, epoch: "before", progress: &progress };
        let mut value = String::new();
        for upsert in written.difference(&view.snapshot()).upserts {
            papers.write(&mut value, &upsert.json, upsert.window);
            written
                .read_back((Some(upsert.key.as_bytes()), Some(value.as_bytes())), 0)
                .expect("ours");
        }
        written.read_back((Some(b"{\"end\":7}"), Some(value.as_bytes())), 2).expect("ours");
        written
            .read_back((Some(CONTROL_KEY.as_bytes()), Some(control(9).encode().as_bytes())), 3)
            .expect("ours");
        assert_eq!(written.control, Some(control(9)));
        show(&mut view, 2, 2, 8);
        let (upserts, deletes) = go_to(&mut written, &mut view, 2);
        assert!(upserts.len() == 1 && upserts[0].contains("\"n\":8"), "{upserts:?}");
        assert_eq!(deletes, ["{\"end\":7}"], "a row that is not in the view any more");
        assert!(written.read_back((Some(b"k"), Some(b"{\"n\":1}")), 4).is_err(), "none of ours");
        assert!(written.read_back((None, None), 5).is_err());
    }
}
