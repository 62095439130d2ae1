//! Where panels lie: one table a layout, with the size it is drawn for and a box for each panel.
//!
//! The page takes the layout whose shape is nearest to the window's and scales its unit to fit, so
//! a screen needs one layout and may have more. A panel without a box is not shown in that layout;
//! one that does not rotate shows the panels of all scenes at once.

use std::ops::Range;

use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::walk::{Entry, PanelPlace, Walk, entry, integer};

/// Design units that the header takes at the top of every layout.
const HEADER_UNITS: i64 = 84;
/// Design units that the footer takes at the bottom.
const FOOTER_UNITS: i64 = 52;
/// Sides of a layout in design units.
const SIDE_MIN: i64 = 480;
const SIDE_MAX: i64 = 16_384;

/// Keys of a layout that are no panel's box.
pub(super) const KEYS: [&str; 2] = ["size", "rotate"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    x: i64,
    y: i64,
    width: i64,
    height: i64,
}

impl Area {
    fn overlaps(self, other: Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

struct Placed<'a> {
    panel: &'a PanelPlace,
    lies: Area,
    span: Range<usize>,
}

/// Notes scenes in which nothing would be seen.
pub(super) fn check_scenes(walk: &mut Walk<'_>, found: Entry<'_, '_>, panels: &[PanelPlace]) {
    let Some(DeValue::Array(scenes)) = found.map(Spanned::get_ref) else { return };
    for (number, scene) in (1..).zip(scenes) {
        if !panels.iter().any(|panel| panel.is_in(number)) {
            walk.wrong(
                &scene.span(),
                &format!("no panel is in scene {number}: the wall would be empty for its seconds"),
            );
        }
    }
}

/// The layouts as a JSON list.
pub(super) fn read(
    walk: &mut Walk<'_>,
    found: Option<&Spanned<DeValue<'_>>>,
    panels: &[PanelPlace],
) -> Value {
    let Some(DeValue::Table(layouts)) = found.map(Spanned::get_ref) else {
        let span = found.map_or(0..0, Spanned::span);
        return walk.wrong(
            &span,
            "a screen needs a layout: write `[layout.wide]` with `size = [1920, 1080]`",
        );
    };
    let mut out = Vec::new();
    for (name, value) in layouts {
        match value.get_ref() {
            DeValue::Table(table) => {
                out.push(one(walk, (name.get_ref(), table, value.span()), panels))
            }
            _ => drop(walk.wrong(&value.span(), "a layout is a table of boxes")),
        }
    }
    for panel in panels {
        let shown = layouts.iter().any(|(_, value)| match value.get_ref() {
            DeValue::Table(table) => entry(table, &panel.name).is_some(),
            _ => false,
        });
        if !shown {
            walk.wrong(&panel.span, &format!("panel `{}` has no box in any layout", panel.name));
        }
    }
    Value::Array(out)
}

fn one(
    walk: &mut Walk<'_>,
    (name, table, whole): (&str, &DeTable<'_>, Range<usize>),
    panels: &[PanelPlace],
) -> Value {
    let size = entry(table, "size").and_then(|value| numbers::<2>(value.get_ref()));
    let Some([width, height]) =
        size.filter(|size| size.iter().all(|side| (SIDE_MIN..=SIDE_MAX).contains(side)))
    else {
        let at = entry(table, "size").map_or(whole, Spanned::span);
        return walk.wrong(
            &at,
            &format!(
                "`size` of layout `{name}` is [width, height], each from {SIDE_MIN} to {SIDE_MAX}"
            ),
        );
    };
    let rotates = match entry(table, "rotate").map(|value| (value.get_ref(), value.span())) {
        None => true,
        Some((DeValue::Boolean(on), _)) => *on,
        Some((_, at)) => {
            walk.wrong(&at, "`rotate` must be true or false");
            true
        }
    };
    let mut placed: Vec<Placed<'_>> = Vec::new();
    let mut boxes = Map::new();
    for (key, value) in table {
        let key_text: &str = key.get_ref();
        if KEYS.contains(&key_text) {
            continue;
        }
        let Some(panel) = panels.iter().find(|panel| panel.name == key_text) else {
            let names: Vec<&str> = panels.iter().map(|panel| panel.name.as_str()).collect();
            walk.unknown(&key.span(), "panel", key_text, &names);
            continue;
        };
        let Some([x, y, w, h]) = numbers::<4>(value.get_ref()) else {
            walk.wrong(&value.span(), "a box is [x, y, width, height] in whole units");
            continue;
        };
        let lies = Area { x, y, width: w, height: h };
        if check_box(walk, panel, lies, &value.span())
            && check_inside(walk, lies, (width, height), &value.span())
        {
            placed.push(Placed { panel, lies, span: value.span() });
        }
        boxes.insert(key_text.to_owned(), json!([x, y, w, h]));
    }
    check_overlaps(walk, name, &placed, rotates);
    check_seen(walk, (name, &whole), (&boxes, rotates), panels);
    json!({ "name": name, "size": [width, height], "rotate": rotates, "boxes": boxes })
}

/// Notes a layout in which nothing would be seen, be it for the seconds of one scene.
fn check_seen(
    walk: &mut Walk<'_>,
    (name, span): (&str, &Range<usize>),
    (boxes, rotates): (&Map<String, Value>, bool),
    panels: &[PanelPlace],
) {
    if boxes.is_empty() {
        let what = format!("layout `{name}` has no box: give it one for each panel that it shows");
        walk.wrong(span, &what);
        return;
    }
    let shows = |scene: i64| {
        let mut of_scene = panels.iter().filter(|panel| panel.is_in(scene)).peekable();
        // A scene without any panel is a mistake of its own.
        of_scene.peek().is_none() || of_scene.any(|panel| boxes.contains_key(&panel.name))
    };
    for scene in (1..=walk.scenes).filter(|scene| rotates && !shows(*scene)) {
        let what = format!("layout `{name}` has no box for any panel of scene {scene}");
        walk.wrong(span, &what);
    }
}

/// Whether a panel is whole in its box.
fn check_box(walk: &mut Walk<'_>, panel: &PanelPlace, lies: Area, span: &Range<usize>) -> bool {
    let Some(least) = &panel.least else { return true };
    if least.fits(lies.width, lies.height) {
        return true;
    }
    let what = format!(
        "a box of {} x {} is too small for {}: {}",
        lies.width,
        lies.height,
        least.what,
        least.advice(lies.width, lies.height)
    );
    walk.wrong(span, &what);
    false
}

fn check_inside(
    walk: &mut Walk<'_>,
    lies: Area,
    (width, height): (i64, i64),
    span: &Range<usize>,
) -> bool {
    let bottom = height - FOOTER_UNITS;
    let inside = lies.x >= 0
        && lies.x.saturating_add(lies.width) <= width
        && lies.y >= HEADER_UNITS
        && lies.y.saturating_add(lies.height) <= bottom;
    if !inside {
        let what = format!(
            "the box reaches outside: x from 0 to {width}, y from {HEADER_UNITS} (header) to {bottom} (footer)"
        );
        walk.wrong(span, &what);
    }
    inside
}

fn check_overlaps(walk: &mut Walk<'_>, layout: &str, placed: &[Placed<'_>], rotates: bool) {
    for (nth, one) in placed.iter().enumerate() {
        for other in placed.iter().take(nth) {
            if one.lies.overlaps(other.lies) && (!rotates || share_a_scene(one.panel, other.panel))
            {
                let what = format!(
                    "in layout `{layout}` the box of `{}` overlaps that of `{}`",
                    one.panel.name, other.panel.name
                );
                walk.wrong(&one.span, &what);
            }
        }
    }
}

fn share_a_scene(one: &PanelPlace, other: &PanelPlace) -> bool {
    one.scenes.is_empty()
        || other.scenes.is_empty()
        || one.scenes.iter().any(|scene| other.scenes.contains(scene))
}

fn numbers<const N: usize>(value: &DeValue<'_>) -> Option<[i64; N]> {
    let DeValue::Array(list) = value else { return None };
    let read: Option<Vec<i64>> = list.iter().map(|item| integer(item.get_ref())).collect();
    read?.try_into().ok()
}
