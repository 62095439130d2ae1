//! The columns that tell windows apart: every panel looks for the same two.
//!
//! A view that calls them otherwise would have all its windows taken for one, and its ranks, shares and
//! maps would add them up; so it is refused here.

use std::sync::Arc;

use arrow::datatypes::DataType;
use tidemark_pipeline::results::ViewInfo;
use toml::Spanned;
use toml::de::DeValue;

use super::walk::{Entry, Walk, entry, text_of};

/// Names of the two columns.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    start: String,
    end: String,
}

impl Default for Windows {
    fn default() -> Self {
        Self { start: "window_start".to_owned(), end: "window_end".to_owned() }
    }
}

impl Windows {
    /// As a screen's `window` says; what is wrong with its form is found where its shape is read.
    pub(super) fn read(found: Entry<'_, '_>) -> Self {
        let usual = Self::default();
        let Some(DeValue::Table(table)) = found.map(Spanned::get_ref) else { return usual };
        let named = |key: &str| text_of(entry(table, key)).map(|(name, _)| name);
        Self {
            start: named("start").unwrap_or(usual.start),
            end: named("end").unwrap_or(usual.end),
        }
    }

    /// Whether a column of a view says in which window a row is.
    pub(super) fn tell_apart(&self, view: &ViewInfo, column: &str) -> bool {
        [self.start.as_str(), self.end.as_str()].contains(&column)
            || own(view).contains(&Some(column))
    }
}

/// Notes window columns that no view has, and views whose windows are called something else.
pub(super) fn check(walk: &mut Walk<'_>, found: Entry<'_, '_>) {
    let written = match found.map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => Some(table),
        _ => None,
    };
    let Windows { start, end } = Windows::read(found);
    for (nth, key, name) in [(0, "start", start), (1, "end", end)] {
        let at = written.and_then(|table| entry(table, key)).map(Spanned::span);
        let views: Vec<Arc<ViewInfo>> =
            walk.named.iter().map(|named| Arc::clone(&named.view)).collect();
        if let Some(at) = at
            && !views.is_empty()
            && !views.iter().any(|view| has_time(view, &name))
        {
            let known = times(&views);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            walk.unknown(&at, "window column of the views here", &name, &known);
            continue;
        }
        check_views(walk, nth, key, &name);
    }
}

/// The views whose start or end is shown under another name.
fn check_views(walk: &mut Walk<'_>, nth: usize, key: &str, name: &str) {
    let mut wrong = Vec::new();
    for named in walk.named.iter().filter(|named| named.by_window) {
        if let Some(Some(shown)) = own(&named.view).get(nth)
            && *shown != name
            && !has_time(&named.view, name)
        {
            let view = &named.view.name;
            let what = format!(
                "view `{view}` calls the {key} of its windows `{shown}`, and this screen looks for `{name}`: write \
                 `window = {{ {key} = \"{shown}\" }}`, or `AS {name}` in the view"
            );
            wrong.push((named.span.clone(), what));
        }
    }
    for (span, what) in wrong {
        walk.wrong(&span, &what);
    }
}

/// What a view calls the start and the end of its windows, where it shows them.
fn own(view: &ViewInfo) -> [Option<&str>; 2] {
    let name = |at: Option<usize>| {
        at.and_then(|at| view.schema.fields().get(at)).map(|field| field.name().as_str())
    };
    [name(view.window_start), name(view.window_end)]
}

fn has_time(view: &ViewInfo, column: &str) -> bool {
    let found = view.schema.field_with_name(column);
    found.is_ok_and(|field| matches!(field.data_type(), DataType::Timestamp(..)))
}

/// Columns of views that could tell windows apart, those that do so first.
fn times(views: &[Arc<ViewInfo>]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let windows = views.iter().flat_map(|view| own(view)).flatten();
    let others = views.iter().flat_map(|view| view.schema.fields()).map(|field| field.name());
    let others = others.filter(|name| views.iter().any(|view| has_time(view, name)));
    for name in windows.chain(others.map(String::as_str)) {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}
