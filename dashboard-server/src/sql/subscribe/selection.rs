//! The rows of a subscription at one cut, and what is other since an earlier one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidemark_pipeline::history::HashKey;
use tidemark_pipeline::results::snapshot::ROW_KEY;
use tidemark_pipeline::results::{Cut, StreamProgress, WindowRows};

use super::query::{LiveQuery, Selected};
use crate::sql::error::SqlError;

/// Rows that went which are remembered; a subscriber that is further behind gets all rows again.
const GONE_MAX: usize = 10_000;

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What it is known by: a JSON object.
    pub(super) key: Arc<str>,
    /// The row: a JSON object.
    pub(super) json: Arc<str>,
    /// The cut at which it last was another.
    pub(super) changed_at: u64,
}

/// The rows of one window that are selected.
#[derive(Debug)]
struct Window {
    of: Arc<WindowRows>,
    rows: Vec<Row>,
    /// The newest `changed_at` of the rows.
    changed_at: u64,
}

/// Rows that went, by what they were known by.
#[derive(Debug, Clone, Default)]
struct Gone(HashMap<Arc<str>, u64>);

/// All rows at one cut.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The cut.
    pub(super) cut: u64,
    /// The cut at which a row was last other than before.
    pub(super) changed_at: u64,
    /// Changes can be told since this cut.
    pub(super) complete_since: u64,
    /// How far the streams of the view are.
    pub(super) progress: StreamProgress,
    windows: Vec<Arc<Window>>,
    gone: Arc<Gone>,
}

impl Selection {
    /// The rows in the order of the view.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.windows.iter().flat_map(|window| &window.rows)
    }

    /// The rows that are other than at `base`.
    pub(super) fn changed_since(&self, base: u64) -> impl Iterator<Item = &Row> {
        let windows = self.windows.iter().filter(move |window| window.changed_at > base);
        windows.flat_map(|window| &window.rows).filter(move |row| row.changed_at > base)
    }

    /// The keys of the rows that were there at `base`, or since, and are not.
    pub(super) fn gone_since(&self, base: u64) -> impl Iterator<Item = &str> {
        let gone = self.gone.0.iter().filter(move |(_, at)| **at > base);
        gone.map(|(key, _)| &**key)
    }

    /// The rows at a later cut.
    ///
    /// # Errors
    /// When the view is gone or another, an expression fails, or a bound is reached.
    pub(super) async fn at(
        &self,
        cut: &Arc<Cut>,
        query: &LiveQuery,
        names: &HashKey,
    ) -> Result<Self, SqlError> {
        let shown = cut.space(query.space);
        let view = shown.views.get(&query.view);
        let view = view.filter(|view| view.info.schema == query.schema).ok_or_else(|| {
            let message = format!(
                "{} is gone, or has other columns than when it was subscribed to: subscribe again",
                query.view
            );
            SqlError::Run { message }
        })?;
        let known: HashMap<usize, &Arc<Window>> =
            self.windows.iter().map(|window| (place(&window.of), window)).collect();
        let is_new = |window: &&Arc<WindowRows>| !known.contains_key(&place(window));
        let new: Vec<&Arc<WindowRows>> = view.windows.iter().filter(is_new).collect();
        let mut next = Self {
            cut: cut.cut,
            changed_at: self.changed_at,
            complete_since: if self.cut == 0 { cut.cut } else { self.complete_since },
            progress: shown.progress(&view.info),
            windows: Vec::new(),
            gone: Arc::clone(&self.gone),
        };
        if new.is_empty() && view.windows.len() == self.windows.len() {
            next.windows.clone_from(&self.windows);
            return Ok(next);
        }
        let selected = query.select(&new).await?;
        let mut made = self.made(&new, selected, (cut.cut, names)).into_iter();
        for window in &view.windows {
            match known.get(&place(window)) {
                Some(same) => next.windows.push(Arc::clone(same)),
                None => next.windows.extend(made.next().map(Arc::new)),
            }
        }
        next.check(query)?;
        next.forget(self);
        Ok(next)
    }

    /// New windows with those of their rows that are selected; a row that is as it was before keeps its cut.
    fn made(
        &self,
        new: &[&Arc<WindowRows>],
        selected: Vec<Selected>,
        (cut, names): (u64, &HashKey),
    ) -> Vec<Window> {
        let mut before: HashMap<&str, &Row> = HashMap::new();
        let spans: HashSet<(i64, i64)> = new.iter().map(|window| window.window).collect();
        for window in self.windows.iter().filter(|window| spans.contains(&window.of.window)) {
            before.extend(window.rows.iter().map(|row| (&*row.key, row)));
        }
        let mut selected = selected.into_iter().peekable();
        let mut first = 0;
        let mut made = Vec::with_capacity(new.len());
        for window in new {
            let end = first + window.rows.len();
            let mut rows = Vec::new();
            while let Some(one) = selected.next_if(|one| one.number < end) {
                let (key, json) = match one.key {
                    Some(key) => (key, one.json),
                    None => {
                        let of = window.rows.get(one.number - first).map_or("", |row| &*row.key);
                        named(&names.hash(of), &one.json)
                    }
                };
                let same = before.get(&*key).filter(|row| row.json == json);
                let changed_at = same.map_or(cut, |row| row.changed_at);
                rows.push(Row { key, json, changed_at });
            }
            let changed_at = rows.iter().map(|row| row.changed_at).max().unwrap_or(0);
            made.push(Window { of: Arc::clone(window), rows, changed_at });
            first = end;
        }
        made
    }

    /// Notes the rows of an earlier selection that are no longer there.
    fn forget(&mut self, before: &Self) {
        let same: HashSet<usize> = self.windows.iter().map(place).collect();
        let left: HashSet<usize> = before.windows.iter().map(place).collect();
        let old = before.windows.iter().filter(|window| !same.contains(&place(window)));
        let new = self.windows.iter().filter(|window| !left.contains(&place(window)));
        let here: HashSet<Arc<str>> =
            new.flat_map(|window| &window.rows).map(|row| Arc::clone(&row.key)).collect();
        let went: Vec<Arc<str>> = old
            .flat_map(|window| &window.rows)
            .filter(|row| !here.contains(&row.key))
            .map(|row| Arc::clone(&row.key))
            .collect();
        let newest = self.windows.iter().map(|window| window.changed_at).max().unwrap_or(0);
        self.changed_at = self.changed_at.max(newest);
        let is_back = |key: &Arc<str>| here.contains(key);
        if went.is_empty() && !self.gone.0.keys().any(is_back) {
            return;
        }
        if !went.is_empty() {
            self.changed_at = self.cut;
        }
        let gone = Arc::make_mut(&mut self.gone);
        gone.0.retain(|key, _| !here.contains(key));
        gone.0.extend(went.into_iter().map(|key| (key, self.cut)));
        if gone.0.len() > GONE_MAX {
            // All at once: whoever is behind gets all rows, and that is seldom.
            self.complete_since = self.cut;
            gone.0.clear();
        }
    }

    fn check(&self, query: &LiveQuery) -> Result<(), SqlError> {
        let bounds = query.pin.rules().bounds;
        let rows: usize = self.windows.iter().map(|window| window.rows.len()).sum();
        if rows > bounds.rows.most {
            return Err(SqlError::of_rows(&bounds));
        }
        let bytes: usize = self.rows().map(|row| row.json.len() + row.key.len()).sum();
        if bytes > bounds.memory_bytes.most {
            return Err(SqlError::of_memory(&bounds));
        }
        Ok(())
    }
}

/// Where something is held: two are the same when they are at one place, as long as both are held.
fn place<T>(held: &Arc<T>) -> usize {
    Arc::as_ptr(held).addr()
}

/// What a row is known by whose columns do not tell it apart, and the row with it.
fn named(name: &str, json: &str) -> (Arc<str>, Arc<str>) {
    let name = format!("\"{ROW_KEY}\":\"{name}\"}}");
    let columns = json.strip_suffix('}').unwrap_or(json);
    let comma = if columns == "{" { "" } else { "," };
    (format!("{{{name}").into(), format!("{columns}{comma}{name}").into())
}
