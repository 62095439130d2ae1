//! The least box of each kind of panel, from what the page's panel sets of it.

use toml::de::DeTable;

use super::super::walk::{entry, text_of};
use super::width::{Language, figure_ems};
use super::{Panel, inner, letters, words};

/// Width and height, design units.
type Size = (f64, f64);

/// What the frame takes of a panel: its edges, and its title with them.
const FRAME: Size = (34.0, 24.0);
const TITLE_HEIGHT: f64 = 34.0;
const GAP: f64 = 12.0;
/// The bar before a title, its size, and the space between its letters.
const TITLE: (f64, f64, f64) = (13.0, 20.0, 0.8);
/// The smallest text of a wall, and the figures that stand in a line of it.
const SMALL: f64 = 16.0;
const IN_LINE: f64 = 20.0;

/// What a panel is, as a message calls it.
pub(super) fn told(panel: &Panel<'_>, kind: &str) -> String {
    let with = |count: usize, what: &str| {
        let many = if count == 1 { "" } else { "s" };
        format!("a {kind} panel with {count} {what}{many}")
    };
    match kind {
        "odometer" => format!("an odometer with {} notes", panel.list("notes").len()),
        "kpi" => with(panel.list("figures").len(), "figure"),
        "accounting" => format!("an accounting of {} parts", panel.list("parts").len()),
        "scorecard" => with(panel.list("checks").len(), "check"),
        "ticker" => with(panel.list("columns").len(), "column"),
        _ => format!("a {kind} panel with these words"),
    }
}

fn title(panel: &Panel<'_>, language: Language) -> f64 {
    let (bar, size, space) = TITLE;
    let count = letters(panel.table, "title", language);
    // No wall has a title of more letters than a float can count.
    let spaces = space * f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    bar + size * words(panel.table, "title", language) + spaces
}

/// A title with what stands at its right.
fn heading(panel: &Panel<'_>, language: Language, aside: f64) -> f64 {
    title(panel, language) + if aside > 0.0 { GAP + aside } else { 0.0 }
}

/// Digits, unit and currency of the widest figure of a value, em of the figure; unit and currency are set smaller.
fn figure(value: Option<&DeTable<'_>>, language: Language) -> (f64, f64) {
    let text = |key: &str| value.and_then(|value| text_of(entry(value, key))).map(|(text, _)| text);
    let is_plain = text("style").as_deref() == Some("plain");
    let symbol = if text("unit").as_deref() == Some("money") { figure_ems("¥") } else { 0.0 };
    let (digits, unit) = match text("unit").as_deref() {
        Some("percent") => (figure_ems("-999.9"), figure_ems("%")),
        Some("milliseconds") => (figure_ems("9999.9"), language.of(2.0, 1.6)),
        Some("money") if is_plain => (figure_ems("9,999,999.99"), 0.0),
        _ if is_plain => (figure_ems("99,999,999"), 0.0),
        _ => (figure_ems("-9999.99"), language.of(1.0, 0.54)),
    };
    (digits, unit + symbol)
}

/// A figure in a line of small text, with its gap.
fn in_line(value: Option<&DeTable<'_>>, language: Language) -> f64 {
    let (digits, beside) = figure(value, language);
    IN_LINE * digits + SMALL * (beside + 0.25)
}

/// A figure in a row of its own, which has no currency.
fn in_row(value: Option<&DeTable<'_>>, language: Language) -> f64 {
    let (digits, beside) = figure(value, language);
    let is_money = value.and_then(|value| text_of(entry(value, "unit")));
    let symbol =
        if is_money.is_some_and(|(unit, _)| unit == "money") { figure_ems("¥") } else { 0.0 };
    22.0 * (digits + 0.73 * (beside - symbol))
}

/// The big figure: the line above it, itself, and the line beneath.
pub(super) fn odometer(panel: &Panel<'_>) -> Size {
    const HEIGHT: f64 = 160.0;
    const BETWEEN: f64 = 14.0;
    const NOTES_GAP: f64 = 18.0;
    let width = panel.widest(|language| {
        let name = 22.0 * words(panel.table, "title", language)
            + 1.8 * f64::from(u32::try_from(letters(panel.table, "title", language)).unwrap_or(0));
        let short = BETWEEN + 28.0 * (figure_ems("9999.99") + language.of(1.6, 1.5));
        let mark = BETWEEN + 16.0 + SMALL * language.of(2.0, 4.4);
        // A correction, or last year with its growth and what it is compared with.
        let other = match panel.has("against") {
            true => BETWEEN + 18.0 * language.of(7.0, 8.4) + 26.0 * figure_ems("▲ +999.9%") + 160.0,
            false => {
                BETWEEN
                    + 18.0
                    + SMALL * (language.of(2.2, 3.6) + figure_ems("-999,999,999.99") + 0.4)
            }
        };
        let line = name + short + mark + other;
        let mut notes = SMALL * language.of(2.0, 4.2) + 19.0 * figure_ems("88:88:88") + 4.0;
        for note in panel.list("notes") {
            let (digits, beside) = figure(inner(note, "value"), language);
            let label = SMALL * (words(note, "label", language) + 0.5 + beside);
            notes += NOTES_GAP + label + 19.0 * digits;
        }
        if panel.has("speed") {
            notes += NOTES_GAP
                + SMALL * (words(panel.table, "speed", language) + 2.0)
                + 19.0 * figure_ems("9999.99");
        }
        if let Some(against) = inner(panel.table, "against") {
            let amount = SMALL * 2.0 + 19.0 * figure_ems("9999.99");
            if entry(against, "target").is_some() {
                let name = SMALL * language.of(2.0, 2.3);
                notes += NOTES_GAP + name + amount + 19.0 * figure_ems("99.9%");
            }
            if entry(against, "forecast").is_some() {
                notes += NOTES_GAP + SMALL * language.of(4.0, 4.6) + amount;
            }
            if entry(against, "forecast-low").is_some() {
                notes += SMALL * figure_ems("(9999.99-9999.99");
            }
        }
        line.max(notes)
    });
    (width, HEIGHT)
}

/// Tiles two beside each other, or in other columns that leave no hole.
pub(super) fn kpi(panel: &Panel<'_>) -> Vec<Size> {
    /// Between two tiles; what the edges of one take; its least figure; a day beside a label, em.
    const BETWEEN: f64 = 12.0;
    const EDGES: Size = (38.0, 28.0);
    const FIGURE: f64 = 22.0;
    const DAY: f64 = 3.6;
    let figures = panel.list("figures");
    let width = panel.widest(|language| {
        let tiles = figures.iter().map(|tile| {
            let (digits, beside) = figure(inner(tile, "value"), language);
            let change = match entry(tile, "change").is_some() {
                true => SMALL * figure_ems("▲ -999.9%") + 4.0,
                false => 0.0,
            };
            let words = SMALL * words(tile, "label", language);
            let label = words + SMALL * DAY + change;
            // The line of the minutes before has two fifths of the tile.
            let beside_line =
                if entry(tile, "spark").is_some() { (words + 28.0) / 0.6 - EDGES.0 } else { 0.0 };
            label.max(beside_line).max(FIGURE * digits + SMALL * (beside + 0.5))
        });
        tiles.fold(0.0, f64::max)
    });
    let tile = (EDGES.0 + width, EDGES.1 + 1.2 * SMALL + FIGURE);
    let count = figures.len().max(1);
    let usual = count.min(2);
    let options = (1..=count).rev().filter(|columns| *columns == usual || count % columns == 0);
    let side = |tiles: usize, one: f64| {
        let tiles = f64::from(u32::try_from(tiles).unwrap_or(1));
        tiles * one + (tiles - 1.0) * BETWEEN
    };
    options.map(|columns| (side(columns, tile.0), side(count.div_ceil(columns), tile.1))).collect()
}

/// A curve with its hours, and beside the title what it shows and is compared with.
pub(super) fn trend(panel: &Panel<'_>) -> Size {
    /// Beside the axis of amounts twelve marks of the hours; above them the curve, and over it the word at its peak.
    const CHART: Size = (580.0, 122.0);
    let value = inner(panel.table, "value");
    let width = panel.widest(|language| {
        let label = value.map_or(0.0, |value| words(value, "label", language));
        let mut aside = SMALL * (label + 0.2) + in_line(value, language);
        aside += SMALL * (figure_ems("▲ +999.9%") + 0.2);
        if let Some(reference) = inner(panel.table, "reference") {
            // What it is compared with is data: as much as a year and a wave take.
            aside += 42.0 + SMALL * language.of(8.0, 10.0);
            if entry(reference, "target").is_some() {
                aside += 42.0 + SMALL * language.of(2.0, 2.3);
            }
        }
        if text_of(entry(panel.table, "scale")).is_some_and(|(scale, _)| scale == "root") {
            aside += 14.0 + SMALL * language.of(5.0, 4.0);
        }
        heading(panel, language, aside)
    });
    (FRAME.0 + width.max(CHART.0), FRAME.1 + TITLE_HEIGHT + CHART.1)
}

/// What the page gives to any name, design units.
const NAME_USUAL: f64 = 150.0;

/// How much of a row a name takes: the longest of its list, or the usual where none is known before.
fn name(panel: &Panel<'_>, size: f64) -> f64 {
    const LEAST: f64 = 84.0;
    let longest = |language| panel.longest_name(panel.table, language);
    panel.widest(|language| longest(language).map_or(NAME_USUAL, |ems| size * ems)).max(LEAST)
}

/// Two rows with place, name, move, a little of a bar, figure and part.
pub(super) fn rank(panel: &Panel<'_>) -> Size {
    const ROW: f64 = 33.0;
    const BAR: f64 = 4.0;
    const BAR_LEAST: f64 = 40.0;
    /// Place, move and the gaps, without name, bar and figure.
    const BESIDE: f64 = 28.0 + 36.0 + 4.0 * 8.0;
    const PART: f64 = 52.0 + 8.0;
    let value = panel.widest(|language| in_row(inner(panel.table, "value"), language));
    let part = if panel.is_on("share") { PART } else { 0.0 };
    let value = value.clamp(if panel.is_on("share") { 92.0 } else { 96.0 }, 170.0);
    let name = name(panel, 19.0);
    // A name that is longer than usual leaves the bar its own least.
    let row = BESIDE + name + if name > NAME_USUAL { BAR_LEAST } else { BAR } + value + part;
    let width = row.max(panel.widest(|language| heading(panel, language, 0.0)));
    (FRAME.0 + width, FRAME.1 + TITLE_HEIGHT + 2.0 * ROW)
}

/// A bar, and a row for each part and the rest.
pub(super) fn share(panel: &Panel<'_>) -> Size {
    const BAR: f64 = 34.0;
    const ROW: f64 = 28.8;
    /// A square, the part, and the gaps.
    const BESIDE: f64 = 12.0 + 74.0 + 3.0 * 12.0;
    const PARTS_MOST: i64 = 5;
    let value = inner(panel.table, "value");
    let width = panel.widest(|language| {
        let row = BESIDE + name(panel, 19.0) + in_row(value, language);
        row.max(heading(panel, language, SMALL * language.of(2.0, 2.0) + in_line(value, language)))
    });
    let parts = panel.number("limit").unwrap_or(PARTS_MOST).clamp(1, PARTS_MOST);
    let rows = f64::from(u32::try_from(parts).unwrap_or(5)) + 1.0;
    (FRAME.0 + width, FRAME.1 + TITLE_HEIGHT + BAR + rows * ROW)
}

/// Land of which the names can be read, with its legend, and at its right the name of what lies off the coast.
pub(super) fn map(panel: &Panel<'_>) -> Size {
    const LAND: Size = (664.0, 420.0);
    (LAND.0.max(panel.widest(|language| 16.0 + title(panel, language))), LAND.1)
}

/// A ball with the names around it.
pub(super) fn globe(panel: &Panel<'_>) -> Size {
    const BALL: f64 = 360.0;
    (BALL.max(panel.widest(|language| 16.0 + title(panel, language))), BALL)
}

/// Three lines of rows, each column with what it usually holds.
pub(super) fn ticker(panel: &Panel<'_>) -> Size {
    const ROW: f64 = 31.0;
    const BETWEEN: f64 = 6.0;
    /// A text that no list has a name for, em.
    const TEXT: f64 = 4.0;
    /// The page lets words give way by as much when they would need more than there is: reckoned widths are above drawn ones.
    const GIVES_WAY: f64 = 0.9;
    const TEXT_MOST: f64 = 10.0;
    let width = panel.widest(|language| {
        let columns = panel.list("columns");
        let column = |column: &&DeTable<'_>| {
            let (format, _) = text_of(entry(column, "format")).unwrap_or_default();
            BETWEEN
                + match format.as_str() {
                    "clock" => 17.0 * figure_ems("88:88:88"),
                    "money" => 20.0 * figure_ems("¥88,888.88"),
                    "count" => 20.0 * figure_ems("88,888"),
                    _ => {
                        GIVES_WAY
                            * 17.0
                            * panel.longest_name(column, language).unwrap_or(TEXT).min(TEXT_MOST)
                    }
                }
        };
        let row = columns.iter().map(column).sum::<f64>() - BETWEEN;
        let rate = inner(panel.table, "rate").and_then(|rate| inner(rate, "value"));
        let aside = SMALL * language.of(4.0, 3.2)
            + rate.map_or(0.0, |value| {
                SMALL * (0.6 + language.of(2.8, 4.4)) + in_line(Some(value), language)
            });
        row.max(heading(panel, language, aside))
    });
    (FRAME.0 + width, FRAME.1 + TITLE_HEIGHT + 3.0 * ROW)
}

/// The way to the next level, and two rows.
pub(super) fn milestones(panel: &Panel<'_>) -> Size {
    const ABOVE: f64 = 96.0;
    const ROW: f64 = 34.0;
    let value = inner(panel.table, "total").and_then(|total| inner(total, "value"));
    let width = panel.widest(|language| {
        // Level, clock, and how much sooner than last year.
        let row = 112.0 + 86.0 + 20.0 + 18.0 * language.of(8.5, 8.5);
        // Scope, a little of the way, when it may fall, and the part.
        let way = SMALL * figure_ems("placed@1")
            + 40.0
            + 3.0 * GAP
            + 52.0
            + SMALL * language.of(2.0, 4.4)
            + 18.0 * figure_ems("88:88-88:88");
        let next = SMALL * (language.of(3.0, 2.0) + 0.4) + in_line(value, language);
        row.max(way).max(heading(panel, language, next))
    });
    (FRAME.0 + width, ABOVE + 2.0 * ROW)
}

/// The total, and its parts in two columns under the first.
pub(super) fn accounting(panel: &Panel<'_>) -> Size {
    const TOTAL: f64 = 42.0;
    const ROW: f64 = 29.0;
    /// A sign and the gaps.
    const BESIDE: f64 = 26.0;
    const COLUMNS_GAP: f64 = 26.0;
    let parts = panel.list("parts");
    let width = panel.widest(|language| {
        let label = |part: &DeTable<'_>| 17.0 * words(part, "label", language);
        let first = parts
            .first()
            .map_or(0.0, |part| BESIDE + label(part) + 26.0 * figure_ems("999,999,999,999"));
        let total = inner(panel.table, "total").map_or(0.0, label)
            + GAP
            + 40.0 * figure_ems("999,999,999,999");
        let others = parts.iter().skip(1).map(|part| label(part)).fold(0.0, f64::max);
        let other = BESIDE + others + 22.0 * figure_ems("99,999,999");
        let pair = if parts.len() > 2 { 2.0 * other + COLUMNS_GAP } else { other };
        let verdict = 18.0 * (0.8 + language.of(3.0, 6.4));
        first.max(total).max(pair).max(heading(panel, language, verdict))
    });
    let lines = parts.len().saturating_sub(1).div_ceil(2);
    let lines = f64::from(u32::try_from(lines).unwrap_or(6));
    (FRAME.0 + width, FRAME.1 + TITLE_HEIGHT + TOTAL + ROW * (lines + 1.0))
}

/// Two lines for each check.
pub(super) fn scorecard(panel: &Panel<'_>) -> Size {
    const CHECK: f64 = 50.0;
    /// The sign, the verdict, and the gaps.
    const BESIDE: f64 = 30.0 + 52.0 + 3.0 * 10.0;
    let checks = panel.list("checks");
    let width = panel.widest(|language| {
        let labels = checks.iter().map(|check| 20.0 * words(check, "label", language));
        let line = BESIDE + labels.fold(0.0, f64::max) + 26.0 * figure_ems("100.000%");
        let detail = 40.0 + SMALL * (figure_ems("999,999,999") + 2.4 + figure_ems("99.999%"));
        line.max(detail).max(heading(panel, language, 0.0))
    });
    let count = f64::from(u32::try_from(checks.len()).unwrap_or(12));
    (FRAME.0 + width, FRAME.1 + TITLE_HEIGHT + CHECK * count)
}

/// A line of words; more of them are set smaller, and what is left out says so.
pub(super) fn text(panel: &Panel<'_>) -> Size {
    const LINE: f64 = 32.0;
    const WIDTH: f64 = 166.0;
    let width = panel.widest(|language| heading(panel, language, 0.0));
    (FRAME.0 + width.max(WIDTH), FRAME.1 + TITLE_HEIGHT + LINE)
}
