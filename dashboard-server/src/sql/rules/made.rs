//! Of which definitions rows of views are that a role is shown.
//!
//! ```text
//! reload ─▶ rules of the new definition ─▶ the view is filled again ─────────────▶ its new rows
//!                                          meanwhile its old ones are in the cut
//! ```
//! The masks of a view are by its columns, and the same name may have been another column before. So old rows are shown under the
//! new masks only where these hide all that the old ones did; else the view is not there until it is filled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::guard::Guard;
use super::known::Known;

/// What rows may be made of, by view.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    views: BTreeMap<String, OfView>,
}

#[derive(Debug, Clone)]
struct OfView {
    /// Hashes of the definitions whose rows may be shown, the newest among them.
    hashes: BTreeSet<String>,
    /// The views that it reads, whose rows it shows in its own.
    inputs: BTreeSet<String>,
}

impl Made {
    /// Of the definitions that there are.
    pub(super) fn of(known: &Known) -> Self {
        let views = known.definitions().map(|(view, hash, inputs)| {
            let hashes = BTreeSet::from([hash.to_owned()]);
            (view.to_owned(), OfView { hashes, inputs: inputs.clone() })
        });
        Self { views: views.collect() }
    }

    /// Whether rows of a view may be shown, where `hash_of` tells of which definition those of each view are. `None` for a view
    /// that is not known.
    pub(super) fn shows<'a>(
        &self,
        view: &str,
        hash_of: &dyn Fn(&str) -> Option<&'a str>,
    ) -> Option<bool> {
        let known = self.views.get(view)?;
        let is_own = hash_of(view).is_none_or(|hash| known.hashes.contains(hash));
        let is_of_inputs =
            || known.inputs.iter().all(|input| self.shows(input, hash_of).unwrap_or(true));
        Some(is_own && is_of_inputs())
    }

    /// Adds the definitions before, where these guards hide what those did; the views of whose rows that is not so, and those
    /// that read them.
    pub(super) fn follow(
        &mut self,
        before: &Self,
        (old, new): (&BTreeMap<String, Arc<Guard>>, &BTreeMap<String, Arc<Guard>>),
    ) -> BTreeSet<String> {
        let mut left_out = BTreeSet::new();
        for (view, known) in &mut self.views {
            let Some(was) = before.views.get(view) else { continue };
            if is_covered(old.get(view), new.get(view)) {
                known.hashes.extend(was.hashes.iter().cloned());
            } else if !was.hashes.is_subset(&known.hashes) {
                left_out.insert(view.clone());
            }
        }
        // Views over views, until there are no more of them.
        loop {
            let reads = |known: &OfView| !known.inputs.is_disjoint(&left_out);
            let more: Vec<String> = self
                .views
                .iter()
                .filter(|(view, known)| !left_out.contains(*view) && reads(known))
                .map(|(view, _)| view.clone())
                .collect();
            if more.is_empty() {
                return left_out;
            }
            left_out.extend(more);
        }
    }
}

/// Whether all that one guard hides is hidden by another too.
fn is_covered(old: Option<&Arc<Guard>>, new: Option<&Arc<Guard>>) -> bool {
    match (old, new) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(old), Some(new)) => {
            old.masks.keys().all(|column| new.masks.contains_key(column))
                && (old.filter.is_none() || old.filter == new.filter)
        }
    }
}
