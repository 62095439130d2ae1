//! How large a panel's box must be at least, so that nothing in it is cut: no title, no label, and no figure that its
//! format can come to.
//!
//! The numbers are those of the page's panels (`web/src/panels`), in design units; `tests/page/least_tests.mjs` looks at
//! every kind in exactly the box that is asked for here.

mod kinds;
pub(super) mod width;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::width::{Language, word_ems};
use super::walk::{entry, integer, text_of};

/// What a panel needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Least {
    /// The panel in words.
    pub(super) what: String,
    /// Width and height in design units: one of these, the widest first.
    pub(super) boxes: Vec<(i64, i64)>,
    /// Whether there is an inset, which must lie beside the land and not upon it.
    pub(super) has_inset: bool,
}

impl Least {
    /// Whether the panel is whole in a box.
    pub(super) fn fits(&self, width: i64, height: i64) -> bool {
        let is_clear = !self.has_inset || width >= beside(height) || height >= beneath(width);
        is_clear && self.boxes.iter().any(|least| width >= least.0 && height >= least.1)
    }

    /// What a box should have been.
    pub(super) fn advice(&self, width: i64, height: i64) -> String {
        let is_large = self.boxes.iter().any(|least| width >= least.0 && height >= least.1);
        match self.has_inset {
            true if is_large => {
                format!(
                    "its inset would lie upon the land; make it {} wide or {} high",
                    beside(height),
                    beneath(width)
                )
            }
            true => format!("at least {}", self.with_inset()),
            false => format!("at least {}", self.told()),
        }
    }

    /// The least box in which an inset lies beside the land.
    fn with_inset(&self) -> String {
        let boxes =
            self.boxes.iter().map(|(width, height)| ((*width).max(beside(*height)), *height));
        boxes.map(|(width, height)| format!("{width} x {height}")).collect::<Vec<_>>().join(" or ")
    }

    /// The boxes in words.
    fn told(&self) -> String {
        let boxes: Vec<String> =
            self.boxes.iter().map(|(width, height)| format!("{width} x {height}")).collect();
        boxes.join(" or ")
    }
}

/// How wide a map of this height is, so that an inset at its right and a name at the coast have room, as the page draws them.
fn beside(height: i64) -> i64 {
    height * 19 / 20 + 312
}

/// How high one of this width is, so that the inset has room under the land.
fn beneath(width: i64) -> i64 {
    width * 3 / 5 + 296
}

/// What the panel of a table needs; `None` where its kind is none. What is missing in the table is told elsewhere.
pub(super) fn of(
    table: &DeTable<'_>,
    names: &dyn Fn(&str) -> Vec<[String; 2]>,
    has_inset: &dyn Fn(&str) -> bool,
) -> Option<Least> {
    let (kind, _) = text_of(entry(table, "kind"))?;
    let panel = Panel { table, names };
    let boxes = match kind.as_str() {
        "odometer" => vec![kinds::odometer(&panel)],
        "kpi" => kinds::kpi(&panel),
        "trend" => vec![kinds::trend(&panel)],
        "rank" => vec![kinds::rank(&panel)],
        "share" => vec![kinds::share(&panel)],
        "map" => vec![kinds::map(&panel)],
        "globe" => vec![kinds::globe(&panel)],
        "ticker" => vec![kinds::ticker(&panel)],
        "milestones" => vec![kinds::milestones(&panel)],
        "accounting" => vec![kinds::accounting(&panel)],
        "scorecard" => vec![kinds::scorecard(&panel)],
        "text" => vec![kinds::text(&panel)],
        _ => return None,
    };
    let pack = text_of(entry(table, "map")).filter(|_| kind == "map");
    Some(Least {
        what: kinds::told(&panel, &kind),
        boxes: boxes.into_iter().map(whole).collect(),
        has_inset: pack.is_some_and(|(pack, _)| has_inset(&pack)),
    })
}

/// Whole units, in fours as boxes are usually written.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a few thousand units, and cut after rounding up"
)]
fn whole((width, height): (f64, f64)) -> (i64, i64) {
    let fours = |units: f64| (units / 4.0).ceil() as i64 * 4;
    (fours(width), fours(height))
}

/// A panel as its file has it.
struct Panel<'a> {
    table: &'a DeTable<'a>,
    /// What keys may be called, by the name of the list.
    names: &'a dyn Fn(&str) -> Vec<[String; 2]>,
}

impl Panel<'_> {
    /// The largest of both languages.
    fn widest(&self, width: impl Fn(Language) -> f64) -> f64 {
        Language::BOTH.into_iter().map(width).fold(0.0, f64::max)
    }

    /// The tables of a list.
    fn list(&self, key: &str) -> Vec<&DeTable<'_>> {
        let Some(DeValue::Array(list)) = entry(self.table, key).map(Spanned::get_ref) else {
            return Vec::new();
        };
        list.iter().filter_map(|item| as_table(item.get_ref())).collect()
    }

    fn number(&self, key: &str) -> Option<i64> {
        entry(self.table, key).and_then(|value| integer(value.get_ref()))
    }

    fn has(&self, key: &str) -> bool {
        entry(self.table, key).is_some()
    }

    fn is_on(&self, key: &str) -> bool {
        matches!(entry(self.table, key).map(Spanned::get_ref), Some(DeValue::Boolean(true)))
    }

    /// The longest name that a list of names can give, em.
    fn longest_name(&self, table: &DeTable<'_>, language: Language) -> Option<f64> {
        let (list, _) = text_of(entry(table, "names"))?;
        let nth = usize::from(language == Language::En);
        let names = (self.names)(&list);
        names
            .iter()
            .filter_map(|name| name.get(nth))
            .map(|name| word_ems(name, language))
            .reduce(f64::max)
    }
}

fn as_table<'a, 'i>(value: &'a DeValue<'i>) -> Option<&'a DeTable<'i>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// A table under a key.
fn inner<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
    entry(table, key).and_then(|value| as_table(value.get_ref()))
}

/// Width of `{ zh, en }` under a key at one em; nothing where it is not there.
fn words(table: &DeTable<'_>, key: &str, language: Language) -> f64 {
    let text = inner(table, key).and_then(|words| text_of(entry(words, language.code())));
    text.map_or(0.0, |(text, _)| word_ems(&text, language))
}

fn letters(table: &DeTable<'_>, key: &str, language: Language) -> usize {
    let text = inner(table, key).and_then(|words| text_of(entry(words, language.code())));
    text.map_or(0, |(text, _)| text.chars().count())
}
