//! The sentences of a headline, and times as people write them: always with their zone.

use chrono::DateTime;
use tidemark_pipeline::model::Zone;
use tidemark_pipeline::results::snapshot::Bilingual;

use super::figure::Figure;
use super::number::{Exact, Rounded};

/// A value in words: short, rounded down, and exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Rounded down, with the unit.
    pub rounded: Bilingual,
    /// All digits, grouped, with the unit.
    pub exact: String,
}

/// The value in words. What is no plain decimal stays as it is.
#[must_use]
pub fn speak(value: &str, unit: &str) -> Spoken {
    let with_unit =
        |number: &str| if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") };
    let Some(exact) = Exact::parse(value) else {
        let plain = with_unit(value);
        return Spoken {
            rounded: Bilingual { zh: plain.clone(), en: plain.clone() },
            exact: plain,
        };
    };
    let rounded = |number: Rounded| with_unit(&number.text);
    Spoken {
        rounded: Bilingual { zh: rounded(exact.chinese()), en: rounded(exact.english()) },
        exact: with_unit(&exact.grouped()),
    }
}

/// One sentence in each language that can be printed as it is: figure, exact value, what counts,
/// window, as-of time with its zone, and that it is provisional while it is.
#[must_use]
pub fn sentence(figure: &Figure, value: &str, as_of_ms: i64, zone: &Zone) -> Bilingual {
    let spoken = speak(value, &figure.info.unit);
    let place = Place { figure, zone, as_of_ms };
    Bilingual { zh: chinese(&spoken, value, &place), en: english(&spoken, value, &place) }
}

struct Place<'a> {
    figure: &'a Figure,
    zone: &'a Zone,
    as_of_ms: i64,
}

fn chinese(spoken: &Spoken, value: &str, place: &Place<'_>) -> String {
    let figure = place.figure;
    let title = or(&figure.info.title.zh, &figure.column);
    let cut = Exact::parse(value).is_some_and(|exact| exact.chinese().inexact);
    let exact = if cut {
        format!("（向下取整，精确值 {}）", spoken.exact)
    } else {
        String::new()
    };
    let scope = figure.info.scope.as_ref().map_or(String::new(), |scope| format!("，口径 {scope}"));
    let window = figure.window.map_or(String::new(), |(start, end)| {
        format!("，统计窗口 {} 至 {}", local_time(start, place.zone), local_time(end, place.zone))
    });
    let mark = match figure.mark.as_str() {
        "final" => "最终值",
        "settled" => "已稳定，仍可能修订",
        _ => "暂定值，仍在变动",
    };
    format!(
        "截至 {}（{}），{title}{} {}{exact}{scope}{window}；{mark}。",
        local_time(place.as_of_ms, place.zone),
        zone_name(place.as_of_ms, place.zone),
        keys(figure, "（", "）"),
        spoken.rounded.zh,
    )
}

fn english(spoken: &Spoken, value: &str, place: &Place<'_>) -> String {
    let figure = place.figure;
    let title = or(&figure.info.title.en, &figure.column);
    let cut = Exact::parse(value).is_some_and(|exact| exact.english().inexact);
    let exact =
        if cut { format!(" (rounded down; exactly {})", spoken.exact) } else { String::new() };
    let scope =
        figure.info.scope.as_ref().map_or(String::new(), |scope| format!(", scope {scope}"));
    let window = figure.window.map_or(String::new(), |(start, end)| {
        format!(", window {} to {}", local_time(start, place.zone), local_time(end, place.zone))
    });
    let mark = match figure.mark.as_str() {
        "final" => "final",
        "settled" => "settled, may still be revised",
        _ => "provisional, still moving",
    };
    format!(
        "As of {} ({}), {title}{} was {}{exact}{scope}{window}; {mark}.",
        local_time(place.as_of_ms, place.zone),
        zone_name(place.as_of_ms, place.zone),
        keys(figure, " (", ")"),
        spoken.rounded.en,
    )
}

fn or<'a>(title: &'a str, column: &'a str) -> &'a str {
    if title.is_empty() { column } else { title }
}

fn keys(figure: &Figure, open: &str, close: &str) -> String {
    if figure.key.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> =
        figure.key.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{open}{}{close}", pairs.join(", "))
}

/// `2020-11-11 00:30:00`, on the clocks of `zone`.
#[must_use]
pub fn local_time(utc_ms: i64, zone: &Zone) -> String {
    let wall = DateTime::from_timestamp_millis(zone.wall_ms(utc_ms));
    wall.map_or_else(|| format!("{utc_ms} ms"), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// `Asia/Shanghai, UTC+08:00`: the offset is that of the moment, for zones with a summer time.
#[must_use]
pub fn zone_name(utc_ms: i64, zone: &Zone) -> String {
    let minutes = (zone.wall_ms(utc_ms) - utc_ms) / 60_000;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("{}, UTC{sign}{:02}:{:02}", zone.name(), minutes / 60, minutes % 60)
}
