//! Reads one screen file along the shapes, and finds every mistake in one go.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use serde_json::{Map, Value, json};
use tidemark_pipeline::results::ViewInfo;
use tidemark_pipeline::results::snapshot::ROW_KEY;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::map_pack::Found;
use super::shape::{Field, KINDS, Needs, Of, PANEL, PANELS_MAX, SCREEN, Shape};
use super::windows::{self, Windows};
use super::{layout, least, sense};
use crate::config::{nearest, place};

/// What a screen may name.
pub(super) struct Known<'a> {
    pub(super) views: &'a [Arc<ViewInfo>],
    /// A map pack by its name.
    pub(super) map: &'a dyn Fn(&str) -> Found,
}

/// A panel as layouts need it.
pub(super) struct PanelPlace {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    /// Numbers of its scenes; empty for all.
    pub(super) scenes: Vec<i64>,
    /// What it needs of a layout, where its kind is known.
    pub(super) least: Option<least::Least>,
}

impl PanelPlace {
    /// Whether it is shown in a scene.
    pub(super) fn is_in(&self, scene: i64) -> bool {
        self.scenes.is_empty() || self.scenes.contains(&scene)
    }
}

/// A view that a panel names, and where.
pub(super) struct Named {
    pub(super) view: Arc<ViewInfo>,
    pub(super) span: Range<usize>,
    /// Whether the panel shows one window of it, and not every row.
    pub(super) by_window: bool,
}

/// The screen as the page reads it.
///
/// # Errors
/// Every mistake, in the order of the lines.
pub(super) fn read(text: &str, file: &Path, known: &Known<'_>) -> Result<Value, Vec<String>> {
    let mut walk = Walk {
        text,
        file,
        known,
        scenes: 1,
        windows: Windows::default(),
        named: Vec::new(),
        names: Map::new(),
        mistakes: Vec::new(),
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        walk.wrong(&error.span().unwrap_or(0..0), error.message().trim_end());
    }
    let screen = if walk.mistakes.is_empty() { walk.screen(root.get_ref()) } else { Value::Null };
    if walk.mistakes.is_empty() { Ok(screen) } else { Err(walk.told()) }
}

pub(super) struct Walk<'a> {
    text: &'a str,
    file: &'a Path,
    pub(super) known: &'a Known<'a>,
    /// Scenes the screen has.
    pub(super) scenes: i64,
    /// Columns that tell windows apart.
    windows: Windows,
    /// Every view that is named, in the order of the file's panels.
    pub(super) named: Vec<Named>,
    /// What keys are called, by the name of the list.
    pub(super) names: Map<String, Value>,
    mistakes: Vec<(usize, String)>,
}

/// A value that may be there.
pub(super) type Entry<'a, 'i> = Option<&'a Spanned<DeValue<'i>>>;

impl Walk<'_> {
    fn screen(&mut self, root: &DeTable<'_>) -> Value {
        let mut rest = DeTable::new();
        for (key, value) in root {
            if !["panel", "layout", "names"].contains(&key.get_ref().as_ref()) {
                rest.insert(key.clone(), value.clone());
            }
        }
        if let Some(DeValue::Array(scenes)) = entry(root, "scene").map(Spanned::get_ref) {
            self.scenes = i64::try_from(scenes.len()).unwrap_or(1).max(1);
        }
        self.windows = Windows::read(entry(root, "window"));
        self.read_names(entry(root, "names"));
        let mut screen = self.table(&[SCREEN], &rest, &(0..0), None);
        super::sense::check_head(self, root);
        let (panels, places) = self.panels(entry(root, "panel"));
        windows::check(self, entry(root, "window"));
        layout::check_scenes(self, entry(root, "scene"), &places);
        let layouts = layout::read(self, entry(root, "layout"), &places);
        screen.insert("panels".to_owned(), panels);
        screen.insert("layouts".to_owned(), layouts);
        Value::Object(screen)
    }

    fn panels(&mut self, found: Entry<'_, '_>) -> (Value, Vec<PanelPlace>) {
        let Some(DeValue::Array(list)) = found.map(Spanned::get_ref) else {
            let span = found.map_or(0..0, Spanned::span);
            self.wrong(&span, "a screen needs panels: write `[[panel]]` for each");
            return (json!([]), Vec::new());
        };
        if list.len() > PANELS_MAX {
            self.wrong(
                &found.map_or(0..0, Spanned::span),
                &format!("more than {} panels", PANELS_MAX),
            );
        }
        let mut panels = Vec::new();
        let mut places: Vec<PanelPlace> = Vec::new();
        for item in list {
            let DeValue::Table(table) = item.get_ref() else {
                self.wrong(&item.span(), "a panel is a table: write `[[panel]]`");
                continue;
            };
            panels.push(Value::Object(self.panel(table, &item.span())));
            let Some((name, span)) = text_of(entry(table, "name")) else { continue };
            if !super::is_name(&name) {
                self.wrong(&span, "a panel's name has lower-case letters, digits and `-` only");
            }
            if places.iter().any(|other| other.name == name) {
                self.wrong(&span, &format!("there is already a panel `{name}`"));
            }
            if layout::KEYS.contains(&name.as_str()) {
                self.wrong(
                    &span,
                    &format!("a panel cannot be called `{name}`: that is a key of every layout"),
                );
            }
            let least =
                least::of(table, &|list| self.every_name(list), &|pack| self.has_inset(pack));
            places.push(PanelPlace { name, span, scenes: scenes_of(table), least });
        }
        (Value::Array(panels), places)
    }

    fn panel(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Map<String, Value> {
        let kinds: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let Some((kind, at)) = text_of(entry(table, "kind")) else {
            self.wrong(span, &format!("a panel needs `kind`, one of {}", kinds.join(", ")));
            return Map::new();
        };
        let Some((_, shapes)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            self.unknown(&at, "kind of panel", &kind, &kinds);
            return Map::new();
        };
        let mut all = vec![PANEL];
        all.extend_from_slice(shapes);
        let read = self.table(&all, table, span, None);
        sense::check(self, &kind, table);
        read
    }

    /// Reads `table` along `shapes`; columns belong to its own `view`, or else to `outer`.
    fn table(
        &mut self,
        shapes: &[Shape],
        table: &DeTable<'_>,
        span: &Range<usize>,
        outer: Option<&Arc<ViewInfo>>,
    ) -> Map<String, Value> {
        let fields: Vec<&Field> = shapes.iter().flat_map(|shape| shape.iter()).collect();
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        for (key, _) in table {
            if !names.contains(&key.get_ref().as_ref()) {
                self.unknown(&key.span(), "key", key.get_ref(), &names);
            }
        }
        let own = text_of(entry(table, "view")).filter(|_| names.contains(&"view"));
        let by_window = fields.iter().all(|field| !matches!(field.of, Of::WholeView));
        let view = match &own {
            Some((name, at)) => self.view(name, at, by_window),
            None => outer.map(Arc::clone),
        };
        let mut out = Map::new();
        for field in fields {
            match entry(table, field.name) {
                Some(value) => {
                    let read = self.value(field, value, view.as_ref());
                    out.insert(camel(field.name), read);
                }
                None if field.needed => {
                    self.wrong(span, &format!("`{}` is missing", field.name));
                }
                None => {}
            }
        }
        out
    }

    fn value(
        &mut self,
        field: &Field,
        value: &Spanned<DeValue<'_>>,
        view: Option<&Arc<ViewInfo>>,
    ) -> Value {
        let (name, span) = (field.name, value.span());
        match (field.of, value.get_ref()) {
            (Of::Words, DeValue::Table(table)) => self.words(name, table, &span),
            (Of::OneRowView, DeValue::String(_)) => self.one_row(value, &span, view),
            (Of::Text | Of::View | Of::WholeView, DeValue::String(text))
                if !text.trim().is_empty() =>
            {
                json!(text)
            }
            (Of::Flag, DeValue::Boolean(on)) => json!(on),
            (Of::Number(least, most), DeValue::Integer(_)) => {
                let number = integer(value.get_ref());
                match number.filter(|number| (least..=most).contains(number)) {
                    Some(number) => json!(number),
                    None => self.wrong(&span, &format!("`{name}` must be from {least} to {most}")),
                }
            }
            (Of::Part, DeValue::Integer(_) | DeValue::Float(_)) => match part(value.get_ref()) {
                Some(part) => json!(part),
                None => self.wrong(&span, &format!("`{name}` must be from 0 to 1")),
            },
            // The kind was checked where its shape was chosen.
            (Of::Choice([]), DeValue::String(text)) => json!(text),
            (Of::Choice(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
                json!(text)
            }
            (Of::Choice(words), _) => {
                self.wrong(&span, &format!("`{name}` must be one of {}", words.join(", ")))
            }
            (Of::Column(needs), DeValue::String(column)) => self.column(needs, column, &span, view),
            (Of::MapPack, DeValue::String(pack)) => self.map_pack(pack, &span),
            (Of::Names, DeValue::String(list)) => self.names(list, &span),
            (Of::Scenes, _) => self.scene_numbers(value),
            (Of::Table(shape), DeValue::Table(table)) => {
                Value::Object(self.table(&[shape], table, &span, view))
            }
            (Of::List(shape, most), DeValue::Array(list)) => {
                if list.is_empty() || list.len() > most {
                    self.wrong(&span, &format!("`{name}` holds 1 to {most} tables"));
                }
                let mut items = Vec::new();
                for item in list {
                    match item.get_ref() {
                        DeValue::Table(table) => {
                            items.push(Value::Object(self.table(
                                &[shape],
                                table,
                                &item.span(),
                                view,
                            )));
                        }
                        _ => drop(self.wrong(&item.span(), &format!("`{name}` holds tables"))),
                    }
                }
                Value::Array(items)
            }
            (of, _) => self.wrong(&span, &format!("`{name}` must be {}", said(of))),
        }
    }

    /// Both languages: a wall that falls back to the other one looks broken in front of guests.
    pub(super) fn words(&mut self, name: &str, table: &DeTable<'_>, span: &Range<usize>) -> Value {
        let mut out = Map::new();
        for (key, _) in table {
            if !["zh", "en"].contains(&key.get_ref().as_ref()) {
                self.unknown(&key.span(), "language", key.get_ref(), &["zh", "en"]);
            }
        }
        for language in ["zh", "en"] {
            match text_of(entry(table, language)).filter(|(text, _)| !text.trim().is_empty()) {
                Some((text, _)) => drop(out.insert(language.to_owned(), json!(text))),
                None => drop(self.wrong(span, &format!("`{name}` has no text in `{language}`"))),
            }
        }
        Value::Object(out)
    }

    fn view(&mut self, name: &str, span: &Range<usize>, by_window: bool) -> Option<Arc<ViewInfo>> {
        let Some(found) = self.known.views.iter().find(|view| view.name == name) else {
            let names: Vec<&str> = self.known.views.iter().map(|view| view.name.as_str()).collect();
            self.unknown(span, "view", name, &names);
            return None;
        };
        self.named.push(Named { view: Arc::clone(found), span: span.clone(), by_window });
        Some(Arc::clone(found))
    }

    /// The name of a view that is told apart by its windows alone.
    fn one_row(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        span: &Range<usize>,
        view: Option<&Arc<ViewInfo>>,
    ) -> Value {
        let Some(view) = view else { return Value::Null };
        // A view over results may have `_row` for want of anything else; how many rows it has is seen on the wall.
        let keys = view.keys.iter().map(String::as_str);
        let keys: Vec<&str> =
            keys.filter(|key| *key != ROW_KEY && !self.windows.tell_apart(view, key)).collect();
        if !keys.is_empty() {
            return self.wrong(
                span,
                &format!(
                    "view {} has a row for each {} of a window, and one row is shown here: name a view that is grouped \
                     by its window alone",
                    view.name,
                    keys.join(", ")
                ),
            );
        }
        text_of(Some(value)).map_or(Value::Null, |(name, _)| json!(name))
    }

    fn column(
        &mut self,
        needs: Needs,
        name: &str,
        span: &Range<usize>,
        view: Option<&Arc<ViewInfo>>,
    ) -> Value {
        // Without a view there is a mistake already.
        let Some(view) = view else { return json!(name) };
        let Ok(field) = view.schema.field_with_name(name) else {
            let names: Vec<&str> =
                view.schema.fields().iter().map(|field| field.name().as_str()).collect();
            self.unknown(span, &format!("column of `{}`", view.name), name, &names);
            return Value::Null;
        };
        let (fits, wanted) = match needs {
            Needs::Figure => (field.data_type().is_numeric(), "a number"),
            Needs::Time => (matches!(field.data_type(), DataType::Timestamp(..)), "a time"),
            Needs::Any => (true, ""),
        };
        if !fits {
            let is = crate::sql::sql_type(field.data_type());
            return self
                .wrong(span, &format!("column `{name}` of `{}` is {is}, not {wanted}", view.name));
        }
        json!(name)
    }

    pub(super) fn map_pack(&mut self, name: &str, span: &Range<usize>) -> Value {
        if !super::is_name(name) || matches!((self.known.map)(name), Found::Nothing) {
            let how = format!("put it at sql/screens/maps/{name}.json, or use `china`");
            return self.wrong(span, &format!("there is no map pack `{name}`; {how}"));
        }
        json!(name)
    }

    fn scene_numbers(&mut self, value: &Spanned<DeValue<'_>>) -> Value {
        let numbers: Option<Vec<i64>> = match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|item| integer(item.get_ref())).collect(),
            _ => None,
        };
        let last = self.scenes;
        match numbers {
            Some(numbers)
                if !numbers.is_empty() && numbers.iter().all(|one| (1..=last).contains(one)) =>
            {
                json!(numbers)
            }
            _ => self.wrong(
                &value.span(),
                &format!("`scenes` holds numbers of scenes, from 1 to {last}"),
            ),
        }
    }

    /// Notes an unknown name with what is near to it.
    pub(super) fn unknown(&mut self, span: &Range<usize>, what: &str, name: &str, known: &[&str]) {
        let advice = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.wrong(span, &format!("unknown {what} `{name}`; {advice}"));
    }

    /// Notes a mistake; the null stands where the value would.
    pub(super) fn wrong(&mut self, span: &Range<usize>, what: &str) -> Value {
        let (line, column) = place(self.text, span.start);
        self.mistakes
            .push((span.start, format!("{}:{line}:{column}: {what}", self.file.display())));
        Value::Null
    }

    fn told(mut self) -> Vec<String> {
        self.mistakes.sort_by_key(|(at, _)| *at);
        self.mistakes.dedup();
        self.mistakes.into_iter().map(|(_, what)| what).collect()
    }
}

/// A value by its key.
pub(super) fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Entry<'a, 'i> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
}

/// A text and where it stands.
pub(super) fn text_of(value: Entry<'_, '_>) -> Option<(String, Range<usize>)> {
    let value = value?;
    match value.get_ref() {
        DeValue::String(text) => Some((text.to_string(), value.span())),
        _ => None,
    }
}

/// A whole number.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// A number from 0 to 1.
pub(super) fn part(value: &DeValue<'_>) -> Option<f64> {
    let text = match value {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => return None,
    };
    text.parse().ok().filter(|part| (0.0..=1.0).contains(part))
}

fn scenes_of(table: &DeTable<'_>) -> Vec<i64> {
    match entry(table, "scenes").map(Spanned::get_ref) {
        Some(DeValue::Array(list)) => {
            list.iter().filter_map(|item| integer(item.get_ref())).collect()
        }
        _ => Vec::new(),
    }
}

fn said(of: Of) -> &'static str {
    match of {
        Of::Words => "`{ zh = \"…\", en = \"…\" }`",
        Of::Text
        | Of::View
        | Of::WholeView
        | Of::OneRowView
        | Of::Column(_)
        | Of::MapPack
        | Of::Choice(_) => "a text that is not empty",
        Of::Flag => "true or false",
        Of::Number(..) => "a whole number",
        Of::Part => "a number from 0 to 1",
        Of::Table(_) => "a table",
        Of::List(..) => "a list of tables",
        Of::Names => "`\"map:PACK\"` or the name of a list under `[names.LIST]`",
        Of::Scenes => "a list of numbers",
    }
}

/// `stale-after-ms` as the page's `staleAfterMs`.
fn camel(name: &str) -> String {
    let mut out = String::new();
    for (nth, part) in name.split('-').enumerate() {
        match part.chars().next() {
            Some(first) if nth > 0 => {
                out.extend(first.to_uppercase());
                out.push_str(part.get(first.len_utf8()..).unwrap_or(""));
            }
            _ => out.push_str(part),
        }
    }
    out
}
