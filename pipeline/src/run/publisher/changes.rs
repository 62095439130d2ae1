//! Views that come and go while the others are published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::over_results::ResultsView;
use super::{Publisher, ViewRuntime, view_info, view_key};
use crate::model::PartitionId;
use crate::results::{Filled, ViewInfo};
use crate::sql::Catalog;

impl Publisher {
    /// The partitions of a stream.
    #[must_use]
    pub fn partitions(&self, stream: &str) -> BTreeSet<PartitionId> {
        self.streams
            .get(stream)
            .map(|at| at.partitions.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Takes in a partition that the log did not have at first.
    pub fn add_partition(&mut self, stream: &str, partition: PartitionId, now_ms: i64) {
        let partitions = &mut self.streams.entry(stream.to_owned()).or_default().partitions;
        partitions.entry(partition).or_default().added_at = Some(now_ms);
    }

    /// Adds a view that has been filled; it is shown once every partition of its streams has taken it over.
    pub fn join(&mut self, mut view: ViewRuntime) {
        view.joining = view
            .inputs
            .iter()
            .flat_map(|input| {
                let all = self.partitions(&input.base).into_iter();
                all.map(|partition| input.side.partition(partition))
            })
            .collect();
        view.is_shown = false;
        self.views.push(view);
        self.views.sort_by(|left, right| left.name.cmp(&right.name));
    }

    /// Shows the views that every partition has taken over, each in the place of the one of its name; the
    /// keys of these come back, to be folded no longer.
    pub fn show_joined(&mut self) -> Vec<Arc<str>> {
        let next = self.cut + 1;
        let mut shown = Vec::new();
        for view in self.views.iter_mut().filter(|view| !view.is_shown && view.joining.is_empty()) {
            view.is_shown = true;
            view.published.begin(next);
            // What the definition before left out is not late for this one.
            self.ledgers.forget_view(&view.name);
            self.ledgers.note(view.late.take());
            shown.push((Arc::clone(&view.name), Arc::clone(&view.key)));
        }
        let is_replaced = |view: &ViewRuntime| {
            view.is_shown && shown.iter().any(|(name, key)| *name == view.name && *key != view.key)
        };
        let replaced: Vec<Arc<str>> = self
            .views
            .iter()
            .filter(|view| is_replaced(view))
            .map(|view| Arc::clone(&view.key))
            .collect();
        self.remove(&replaced);
        replaced
    }

    /// Shows what another publisher of the same cut shows, and nothing else.
    pub(super) fn show_as(&mut self, other: &Self) {
        let next = self.cut + 1;
        for view in self.views.iter_mut().filter(|view| !view.is_shown) {
            if other.views.iter().any(|shown| shown.key == view.key && shown.is_shown) {
                view.is_shown = true;
                view.published.begin(next);
                self.ledgers.forget_view(&view.name);
                self.ledgers.note(view.late.take());
            }
        }
    }

    /// Takes views out, those that are shown and those that are joining.
    pub fn remove(&mut self, keys: &[Arc<str>]) -> Vec<ViewRuntime> {
        self.views.extract_if(.., |view| keys.contains(&view.key)).collect()
    }

    /// Says which views are being filled elsewhere, and how far they are.
    pub fn set_pending(&mut self, pending: BTreeMap<String, (Arc<ViewInfo>, Filled)>) {
        self.pending = pending;
    }

    /// Sets the table of all versions of all scopes.
    pub fn set_scopes(&mut self, scopes: RecordBatch) {
        self.scopes = Some(scopes);
    }

    /// Takes titles, units and the views over results from another catalogue.
    ///
    /// # Errors
    /// When the system gives nothing to run views over results on; nothing is changed then.
    pub fn set_catalog(&mut self, catalog: &Catalog) -> Result<()> {
        let mut over_results = ResultsView::of(catalog, self.limits)?;
        for view in &mut over_results {
            match self.over_results.iter_mut().find(|old| old.key == view.key) {
                Some(old) => {
                    std::mem::swap(&mut view.published, &mut old.published);
                    view.published.set_info(Arc::clone(old.published.info()));
                }
                None => view.published.begin(self.cut + 1),
            }
        }
        self.over_results = over_results;
        for definition in &catalog.views {
            let key = view_key(definition);
            if let Some(view) = self.views.iter_mut().find(|view| view.key == key) {
                view.published.set_info(Arc::new(view_info(catalog, definition)));
            }
        }
        Ok(())
    }
}
