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
    pub(super) fn read_back(&mut self, (key, value): (Option<&[u8]>, Option<&[u8]>), offset: Offset) -> Result<(), String> {
        let no_key = || format!("the record at offset {offset} has no key that is text");
        let key = key.and_then(|key| std::str::from_utf8(key).ok()).ok_or_else(no_key)?;
        match value {
            None => {
                self.rows.remove(key);
            }
            Some(value) if key == CONTROL_KEY => {
                let control = serde_json::from_slice(value);
                self.control = Some(control.map_err(|error| format!("the control record at offset {offset}: {error}"))?);
            }
            Some(value) => {
                let row = row_of(value).ok_or_else(|| format!("the record at offset {offset} is no row of a view"))?;
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
        let gone = view.tombstones.iter().filter(|gone| gone.deleted_at > base).map(|gone| &gone.key);
        let mut gone: HashSet<&Arc<str>> = gone.filter(|key| self.rows.contains_key(&***key)).collect();
        if !gone.is_empty() {
            // A row may have come back, in this window or in another.
            view.rows(None).for_each(|row| {
                gone.remove(&row.key);
            });
        }
        Difference { upserts: self.changed(view, Some(base)), deletes: gone.into_iter().cloned().collect() }
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
