//! What no single key shows to be wrong: keys of a panel that do not go together.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::least::width::{Language, figure_ems, word_ems};
use super::map_pack::{Facts, Found};
use super::walk::{Walk, entry, part, text_of};

/// Notes what cannot be right in a panel of a kind.
pub(super) fn check(walk: &mut Walk<'_>, kind: &str, table: &DeTable<'_>) {
    match kind {
        "map" => check_map(walk, table),
        "globe" => check_globe(walk, table),
        "scorecard" => check_scorecard(walk, table),
        _ => {}
    }
}

/// Widths at one em that the header has for its texts, and the figures for the currency's symbol.
const TITLE_EMS: f64 = 17.0;
const SUBTITLE_EMS: f64 = 10.0;
const SYMBOL_EMS: f64 = 1.7;

/// Notes texts for which the header has no room: clock and status stand beside them.
pub(super) fn check_head(walk: &mut Walk<'_>, root: &DeTable<'_>) {
    for (name, most) in [("title", TITLE_EMS), ("subtitle", SUBTITLE_EMS)] {
        let Some(DeValue::Table(texts)) = entry(root, name).map(Spanned::get_ref) else { continue };
        for language in Language::BOTH {
            let Some((text, at)) = text_of(entry(texts, language.code())) else { continue };
            if word_ems(&text, language) > most {
                let what = format!(
                    "`{name}` is too long for the header: about {most:.0} Chinese or {:.0} Latin letters fit",
                    most * 2.0
                );
                walk.wrong(&at, &what);
            }
        }
    }
    let Some(DeValue::Table(currency)) = entry(root, "currency").map(Spanned::get_ref) else {
        return;
    };
    let Some((symbol, at)) = text_of(entry(currency, "symbol")) else { return };
    if figure_ems(&symbol) > SYMBOL_EMS {
        walk.wrong(
            &at,
            "`symbol` stands before every amount and may take about three letters, as HK$",
        );
    }
}

/// The pack that a panel names, where it can be looked at.
fn pack(walk: &Walk<'_>, table: &DeTable<'_>) -> Option<Facts> {
    let (name, _) = text_of(entry(table, "map"))?;
    match (walk.known.map)(&name) {
        Found::Pack(facts) => Some(facts),
        Found::Nothing | Found::Unseen => None,
    }
}

fn check_map(walk: &mut Walk<'_>, table: &DeTable<'_>) {
    let (Some(facts), Some((name, at))) = (pack(walk, table), text_of(entry(table, "map"))) else {
        return;
    };
    if !facts.has_outlines {
        walk.wrong(
            &at,
            &format!("no region of map pack `{name}` has an outline, so there is no map to draw"),
        );
    }
}

fn check_globe(walk: &mut Walk<'_>, table: &DeTable<'_>) {
    let (Some(facts), Some((name, at))) = (pack(walk, table), text_of(entry(table, "map"))) else {
        return;
    };
    if !facts.has_dots {
        walk.wrong(
            &at,
            &format!("map pack `{name}` has no `dots`, and a globe is drawn of them; use `world`"),
        );
    }
    if let Some((home, at)) = text_of(entry(table, "home"))
        && !facts.names.contains(&home)
    {
        let names: Vec<&str> = facts.names.iter().map(String::as_str).collect();
        walk.unknown(&at, &format!("region of map pack `{name}`"), &home, &names);
    }
}

fn check_scorecard(walk: &mut Walk<'_>, table: &DeTable<'_>) {
    let Some(DeValue::Array(checks)) = entry(table, "checks").map(Spanned::get_ref) else { return };
    for check in checks {
        let DeValue::Table(check) = check.get_ref() else { continue };
        let [warn, bad] = ["warn-above", "bad-above"].map(|key| entry(check, key));
        let (Some(warn), Some(bad)) = (warn, bad) else { continue };
        if let (Some(from), Some(until)) = (part(warn.get_ref()), part(bad.get_ref()))
            && from > until
        {
            let what = format!(
                "`warn-above` {from} is above `bad-above` {until}: what is to be watched comes before what is wrong"
            );
            walk.wrong(&warn.span(), &what);
        }
    }
}
