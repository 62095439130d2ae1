//! A screen as plain HTML: its panels in their order, each as the rows it would draw.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tidemark_pipeline::model::Zone;
use tidemark_pipeline::results::snapshot::MARK_COLUMN;
use tidemark_pipeline::results::{Cut, Snapshot, WindowRows};

use super::words::Language;
use super::{escaped, words};
use crate::auth::Views;
use crate::headlines::number::Exact;
use crate::headlines::words::local_time;

const DAY_MS: i64 = 86_400_000;

/// Rows of a list where the panel names no limit.
pub(super) const ROWS_MAX: usize = 20;

pub(super) type Row = Map<String, Value>;

/// What a screen is written from.
pub(super) struct Screen<'a> {
    /// As the page reads it.
    pub(super) screen: &'a Value,
    pub(super) cut: &'a Cut,
    /// The views that the reader may see.
    pub(super) views: &'a Views,
    pub(super) language: Language,
    /// A map pack by its name.
    pub(super) pack: &'a dyn Fn(&str) -> Option<Value>,
}

impl Screen<'_> {
    /// The panels; one without rows says why, and one of views that the reader may not see is left out.
    pub(super) fn write(&self, out: &mut String) {
        for panel in items(self.screen, "panels") {
            let mut lines = self.lines(panel);
            if let Some(word) = self.word_for(panel, lines.is_empty()) {
                lines.push(vec![word.to_owned()]);
            }
            if lines.is_empty() {
                continue;
            }
            let title = self.language.text(panel.get("title"));
            let _infallible = write!(out, "<h2>{}</h2><table border=\"1\">", escaped(title));
            for line in lines {
                out.push_str("<tr>");
                for cell in line {
                    let _infallible = write!(out, "<td>{}</td>", escaped(&cell));
                }
                out.push_str("</tr>");
            }
            out.push_str("</table>");
        }
    }

    /// What has to be said of a panel beside its rows: that a view of it has no row for a window or is stopped, or that none
    /// has come yet.
    fn word_for(&self, panel: &Value, is_empty: bool) -> Option<&'static str> {
        let lists = ["notes", "figures", "checks"].iter().flat_map(|list| items(panel, list));
        let views = std::iter::once(panel).chain(lists).map(|of| text(of, "view"));
        let views: Vec<&str> = views
            .filter(|name| self.cut.views.contains_key(*name) && self.views.has(name))
            .collect();
        let is_troubled = |name: &&str| {
            self.cut.statuses.get(*name).is_some_and(|status| status.problem.is_some())
        };
        match (views.iter().any(is_troubled), is_empty && !views.is_empty()) {
            (true, _) => Some(self.language.of("部分时段算不出", "Not all computed")),
            (false, true) => {
                Some(self.language.of("等待首个数据", "Waiting for the first figures"))
            }
            (false, false) => None,
        }
    }

    /// The rows of a panel as texts.
    fn lines(&self, panel: &Value) -> Vec<Vec<String>> {
        match text(panel, "kind") {
            "odometer" => {
                let mut lines: Vec<_> = self.single(panel, panel).into_iter().collect();
                lines.extend(
                    items(panel, "notes").iter().filter_map(|note| self.single(note, note)),
                );
                lines
            }
            "kpi" => {
                let figures = items(panel, "figures").iter();
                figures.filter_map(|figure| self.single(figure, figure)).collect()
            }
            "trend" => self.course(panel),
            "rank" | "share" | "map" | "globe" => self.ranked(panel),
            "ticker" => self.newest(panel),
            "milestones" => self.milestones(panel),
            "accounting" => {
                let parts = items(panel, "parts").iter();
                let all = panel.get("total").into_iter().chain(parts);
                all.filter_map(|part| self.count(panel, part)).collect()
            }
            "scorecard" => {
                items(panel, "checks").iter().filter_map(|check| self.check(check)).collect()
            }
            "text" => vec![vec![self.language.text(panel.get("words")).to_owned()]],
            _ => Vec::new(),
        }
    }

    /// A view that the reader may see.
    pub(super) fn view(&self, of: &Value) -> Option<&Snapshot> {
        let name = text(of, "view");
        self.cut.views.get(name).filter(|_| self.views.has(name)).map(AsRef::as_ref)
    }

    /// The newest window of a view, or with `pick = "complete"` the newest that has ended.
    pub(super) fn window<'v>(&self, view: &'v Snapshot, of: &Value) -> Option<&'v WindowRows> {
        let as_of = self.cut.progress(&view.info).as_of.unwrap_or(i64::MAX);
        let has_ended = |window: &&&std::sync::Arc<WindowRows>| {
            text(of, "pick") != "complete" || window.window.1 <= as_of
        };
        let with_rows = view.windows.iter().filter(|window| !window.rows.is_empty());
        with_rows.rev().find(|window| has_ended(&window)).map(AsRef::as_ref)
    }

    /// A figure with what it is called, its time and its mark; none where its window does not have one row.
    fn single(&self, labelled: &Value, of: &Value) -> Option<Vec<String>> {
        let view = self.view(of)?;
        let [row] = rows(self.window(view, of)?).try_into().ok()?;
        let label = match self.language.text(labelled.get("label")) {
            "" => self.language.text(labelled.get("title")),
            label => label,
        };
        let mark = row.get(MARK_COLUMN).and_then(Value::as_str).unwrap_or("");
        let begins = self.begins(&row);
        Some(vec![
            label.to_owned(),
            self.value(&row, of.get("value")),
            begins,
            words::mark(mark, self.language).to_owned(),
        ])
    }

    /// The newest values of a curve, the newest first: those of the newest day.
    fn course(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let with_rows = || view.windows.iter().rev().filter(|window| !window.rows.is_empty());
        let day = |window: &&std::sync::Arc<WindowRows>| {
            window.window.0.saturating_add(self.offset_ms()).div_euclid(DAY_MS)
        };
        let Some(newest_day) = with_rows().next().map(|window| day(&window)) else {
            return Vec::new();
        };
        let newest = with_rows().filter(|window| day(window) == newest_day);
        let newest = newest.flat_map(|window| rows(window));
        let line = |row: Row| vec![self.begins(&row), self.value(&row, panel.get("value"))];
        newest.take(ROWS_MAX).map(line).collect()
    }

    /// The newest rows of a view with some of its columns, the newest first.
    fn newest(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let newest = view.windows.iter().rev().flat_map(|window| rows(window).into_iter().rev());
        let columns: Vec<(&Value, Option<Value>)> = items(panel, "columns")
            .iter()
            .map(|column| (column, self.names(column.get("names"))))
            .collect();
        let cell = |row: &Row, column: &Value, names: Option<&Value>| match text(column, "format") {
            "clock" => self.time(row, text(column, "column")),
            _ => {
                let value = row.get(text(column, "column")).map(plain).unwrap_or_default();
                match text(column, "format") {
                    "money" => self.money(&value),
                    "count" => grouped(&value),
                    _ => self.named(&value, names),
                }
            }
        };
        let line = |row: Row| {
            columns.iter().map(|(column, names)| cell(&row, column, names.as_ref())).collect()
        };
        newest.take(ROWS_MAX).map(line).collect()
    }

    /// The levels that were passed in the newest window, with the time: once the watermark has passed it, for until then an
    /// order that is on its way may move it. What is known to the minute has passed within it.
    fn milestones(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let Some(window) = self.window(view, panel) else { return Vec::new() };
        let label = format!("label{}", self.language.of("Zh", "En"));
        // Of the stream that the total is of: a view over several streams waits for those that have not begun, too.
        let total = panel.get("total").and_then(|total| self.view(total)).unwrap_or(view);
        let watermark = self.cut.progress(&total.info).watermark.unwrap_or(i64::MIN);
        let has_passed = |row: &Row| {
            let reached = row.get(text(panel, "reached")).and_then(Value::as_i64);
            reached.is_some_and(|reached| reached <= watermark)
        };
        let line = |row: Row| {
            let step = row.get(text(panel, "step")).and_then(Value::as_i64).unwrap_or(1);
            let within = if step >= 60 { "≤ " } else { "" };
            let name = row.get(text(panel, &label)).map(plain).unwrap_or_default();
            let level = row.get(text(panel, "level")).map(plain).unwrap_or_default();
            let name = if name.is_empty() { self.money(&level) } else { name };
            vec![name, format!("{within}{}", self.time(&row, text(panel, "reached")))]
        };
        rows(window)
            .into_iter()
            .filter(has_passed)
            .map(line)
            .filter(|line| line.iter().all(|cell| !cell.is_empty()))
            .collect()
    }

    fn count(&self, panel: &Value, part: &Value) -> Option<Vec<String>> {
        let view = self.view(panel)?;
        let sum = self.sum(view, panel, text(part, "column"))?;
        Some(vec![self.language.text(part.get("label")).to_owned(), grouped(&sum.to_string())])
    }

    /// A part of a whole, rounded down.
    fn check(&self, check: &Value) -> Option<Vec<String>> {
        let view = self.view(check)?;
        let part = self.sum(view, check, text(check, "part"))?;
        let whole = self.sum(view, check, text(check, "whole"))?;
        let share = match part.checked_mul(10_000)?.checked_div(whole) {
            Some(share) => format!("{}.{:02} %", share / 100, share % 100),
            None => "–".to_owned(),
        };
        Some(vec![self.language.text(check.get("label")).to_owned(), share])
    }

    /// A count of all rows of the newest window: an account has a row a partition.
    fn sum(&self, view: &Snapshot, of: &Value, column: &str) -> Option<i128> {
        let rows = rows(self.window(view, of)?);
        let counts = rows.iter().map(|row| row.get(column).map(plain)?.parse::<i128>().ok());
        counts.sum()
    }

    fn value(&self, row: &Row, value: Option<&Value>) -> String {
        let Some(value) = value else { return String::new() };
        let Some(figure) = row.get(text(value, "column")).map(plain).filter(|it| !it.is_empty())
        else {
            return "–".to_owned();
        };
        self.written(figure, value)
    }

    /// A figure in the unit of its column.
    pub(super) fn written(&self, figure: String, value: &Value) -> String {
        match text(value, "unit") {
            "money" => self.money(&figure),
            "percent" => {
                Exact::parse(&figure).map_or(figure, |share| format!("{} %", share.percent()))
            }
            "milliseconds" => format!("{} ms", grouped(&figure)),
            _ => grouped(&figure),
        }
    }

    fn money(&self, figure: &str) -> String {
        let symbol = self.screen.pointer("/currency/symbol").and_then(Value::as_str).unwrap_or("");
        format!("{symbol}{}", grouped(figure))
    }

    /// What keys are called: a table of the screen, or the regions of a map pack with all that they are known as.
    pub(super) fn names(&self, from: Option<&Value>) -> Option<Value> {
        // What a pack has no region for may be named beside it.
        let (name, more) = match (from?.as_str(), from?.get("map").and_then(Value::as_str)) {
            (Some(name), _) => (name.strip_prefix("map:").unwrap_or(name), None),
            (None, Some(pack)) => (pack, from?.get("more")),
            (None, None) => return from.cloned(),
        };
        let mut names = more.and_then(Value::as_object).cloned().unwrap_or_default();
        let Some(pack) = (self.pack)(name) else { return Some(Value::Object(names)) };
        for region in items(&pack, "regions") {
            let Some(called) = region.get("name") else { continue };
            let aliases = items(region, "aliases").iter().filter_map(Value::as_str);
            let own = ["zh", "en"].map(|language| text(called, language));
            for key in aliases.chain(own).chain([text(region, "code")]) {
                names.insert(key.to_owned(), called.clone());
            }
        }
        Some(Value::Object(names))
    }

    /// What a key is called; itself where nothing is said.
    pub(super) fn named(&self, key: &str, names: Option<&Value>) -> String {
        match self.language.text(names.and_then(|names| names.get(key))) {
            "" if key.is_empty() => self.unnamed().to_owned(),
            "" => key.to_owned(),
            name => name.to_owned(),
        }
    }

    /// When a row's window began, by the column that the screen names.
    fn begins(&self, row: &Row) -> String {
        let column = self.screen.pointer("/window/start").and_then(Value::as_str);
        self.time(row, column.unwrap_or("window_start"))
    }

    /// The word for a key that is NULL or empty.
    pub(super) fn unnamed(&self) -> &'static str {
        self.language.of("未注明", "Not stated")
    }

    /// How far the screen's clock is ahead of UTC.
    fn offset_ms(&self) -> i64 {
        let minutes = self.screen.pointer("/timeZone/offsetMinutes").and_then(Value::as_i64);
        minutes.unwrap_or(0) * 60_000
    }

    /// An instant by the screen's clock, as the wall has it: a view over several others has no zone of its own.
    fn time(&self, row: &Row, column: &str) -> String {
        let ms = row.get(column).and_then(Value::as_i64);
        ms.map_or_else(String::new, |ms| {
            local_time(ms.saturating_add(self.offset_ms()), &Zone::UTC)
        })
    }
}

pub(super) fn rows(window: &WindowRows) -> Vec<Row> {
    window.rows.iter().filter_map(|row| serde_json::from_str(&row.json).ok()).collect()
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A value as it stands in JSON, without quotes; NULL is empty.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Digits in groups of three; what is no plain decimal stays as it is.
fn grouped(figure: &str) -> String {
    Exact::parse(figure).map_or_else(|| figure.to_owned(), Exact::grouped)
}
