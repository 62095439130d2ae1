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

/// Rows of a list where the panel names no limit.
const ROWS_MAX: usize = 20;

type Row = Map<String, Value>;

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
    /// The panels; those that show no rows of a view, a text apart, are left out.
    pub(super) fn write(&self, out: &mut String) {
        for panel in items(self.screen, "panels") {
            let lines = self.lines(panel);
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
    fn view(&self, of: &Value) -> Option<&Snapshot> {
        let name = text(of, "view");
        self.cut.views.get(name).filter(|_| self.views.has(name)).map(AsRef::as_ref)
    }

    /// The newest window of a view, or with `pick = "complete"` the newest that has ended.
    fn window<'v>(&self, view: &'v Snapshot, of: &Value) -> Option<&'v WindowRows> {
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
        let begins = self.time(&row, "window_start", view);
        Some(vec![
            label.to_owned(),
            self.value(&row, of.get("value")),
            begins,
            words::mark(mark, self.language).to_owned(),
        ])
    }

    /// The newest values of a curve, the newest first.
    fn course(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let newest = view.windows.iter().rev().flat_map(|window| rows(window));
        let line = |row: Row| {
            vec![self.time(&row, "window_start", view), self.value(&row, panel.get("value"))]
        };
        newest.take(ROWS_MAX).map(line).collect()
    }

    /// The keys of the newest window by their value, the largest first.
    fn ranked(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let Some(window) = self.window(view, panel) else { return Vec::new() };
        let column = panel.get("value").map_or("", |value| text(value, "column"));
        let amount = |row: &Row| row.get(column).map(plain).and_then(|text| Exact::parse(&text));
        let mut ranked: Vec<(Option<Exact>, Row)> =
            rows(window).into_iter().map(|row| (amount(&row), row)).collect();
        ranked.sort_by(|(left, _), (right, _)| match (left, right) {
            (Some(left), Some(right)) => right.compared(*left),
            _ => right.is_some().cmp(&left.is_some()),
        });
        let limit = panel.get("limit").and_then(Value::as_u64);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(ROWS_MAX);
        let names = self.names(panel.get("names").or_else(|| panel.get("map")));
        let line = |(nth, (_, row)): (usize, (_, Row))| {
            let key = row.get(text(panel, "key")).map(plain).unwrap_or_default();
            let name = self.named(&key, names.as_ref());
            vec![(nth + 1).to_string(), name, self.value(&row, panel.get("value"))]
        };
        ranked.into_iter().take(limit).enumerate().map(line).collect()
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
            "clock" => self.time(row, text(column, "column"), view),
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

    /// The levels that were passed in the newest window, with the time.
    fn milestones(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let Some(window) = self.window(view, panel) else { return Vec::new() };
        let label = format!("label{}", self.language.of("Zh", "En"));
        let line = |row: Row| {
            let name = row.get(text(panel, &label)).map(plain).unwrap_or_default();
            let level = row.get(text(panel, "level")).map(plain).unwrap_or_default();
            let name = if name.is_empty() { self.money(&level) } else { name };
            vec![name, self.time(&row, text(panel, "reached"), view)]
        };
        rows(window)
            .into_iter()
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
    fn names(&self, from: Option<&Value>) -> Option<Value> {
        let Some(name) = from.and_then(Value::as_str) else { return from.cloned() };
        let pack = (self.pack)(name.strip_prefix("map:").unwrap_or(name))?;
        let mut names = Map::new();
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
    fn named(&self, key: &str, names: Option<&Value>) -> String {
        match self.language.text(names.and_then(|names| names.get(key))) {
            "" if key.is_empty() => self.language.of("未注明", "Not stated").to_owned(),
            "" => key.to_owned(),
            name => name.to_owned(),
        }
    }

    fn time(&self, row: &Row, column: &str, view: &Snapshot) -> String {
        let zone = Zone::named(&view.info.time_zone).unwrap_or(Zone::UTC);
        row.get(column).and_then(Value::as_i64).map_or_else(String::new, |ms| local_time(ms, &zone))
    }
}

fn rows(window: &WindowRows) -> Vec<Row> {
    window.rows.iter().filter_map(|row| serde_json::from_str(&row.json).ok()).collect()
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A value as it stands in JSON, without quotes; NULL is empty.
fn plain(value: &Value) -> String {
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
