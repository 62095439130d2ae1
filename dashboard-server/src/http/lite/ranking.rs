//! Names by their figure, as the wall ranks them (`web/src/panels/rank.ts`): who is one and who is two, who has a
//! place, and what each is called.

use std::collections::BTreeMap;

use serde_json::Value;

use super::panels::{ROWS_MAX, Row, Screen, plain, rows, text};
use crate::headlines::number::Exact;

/// One name with its figure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct One {
    key: String,
    /// What it lies in; empty where nothing says.
    within: String,
    /// How many of the same name in the same place stand before it.
    twice: usize,
    /// Its own name; empty where nothing says.
    label: String,
}

/// A ranking of one window.
#[derive(Debug, Default)]
struct Ranking {
    /// The largest first, equal ones by name.
    placed: Vec<(One, Exact)>,
    /// Names without a figure.
    silent: Vec<One>,
    /// What the rows come to that name nobody; `None` where there are none, and within it where the sum is too long.
    unnamed: Option<Option<Exact>>,
}

/// Columns of a panel.
struct Columns<'a> {
    key: &'a str,
    within: &'a str,
    label: &'a str,
    value: &'a str,
}

impl Ranking {
    /// A rank: every row is one, for 朝阳 of 北京 is another than 朝阳 of 辽宁.
    fn of_rows(rows: &[Row], columns: &Columns<'_>) -> Self {
        let mut found = Self::default();
        let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
        for row in rows {
            let (key, amount) = (cell(row, columns.key), amount(row, columns.value));
            if key.is_empty() {
                found.add_unnamed(amount);
                continue;
            }
            let within = cell(row, columns.within);
            let twice = seen.entry((key.clone(), within.clone())).or_default();
            let one = One { key, within, twice: *twice, label: cell(row, columns.label) };
            *twice += 1;
            match amount {
                Some(amount) => found.placed.push((one, amount)),
                None => found.silent.push(one),
            }
        }
        found.sort();
        found
    }

    /// Parts of a whole: rows of one name are one part, and what names nobody is a part like others.
    fn of_parts(rows: &[Row], columns: &Columns<'_>) -> Self {
        let mut found = Self::default();
        let mut sums: BTreeMap<String, Option<Exact>> = BTreeMap::new();
        for row in rows {
            let Some(amount) = amount(row, columns.value) else { continue };
            let sum = sums.entry(cell(row, columns.key));
            sum.and_modify(|sum| *sum = sum.and_then(|sum| sum.plus(amount)))
                .or_insert(Some(amount));
        }
        for (key, sum) in sums {
            let one = One { key, within: String::new(), twice: 0, label: String::new() };
            match sum {
                Some(sum) => found.placed.push((one, sum)),
                None => found.silent.push(one),
            }
        }
        found.sort();
        found
    }

    /// Takes out what is on no map, and counts it as one.
    fn on_map(mut self, is_region: impl Fn(&str) -> bool) -> Self {
        let (on, off) = self.placed.into_iter().partition(|(one, _)| is_region(&one.key));
        self.placed = on;
        let off: Vec<(One, Exact)> = off;
        for (_, amount) in off {
            self.add_unnamed(Some(amount));
        }
        self
    }

    fn add_unnamed(&mut self, amount: Option<Exact>) {
        let Some(amount) = amount else { return };
        self.unnamed = Some(match self.unnamed {
            None => Some(amount),
            Some(sum) => sum.and_then(|sum| sum.plus(amount)),
        });
    }

    fn sort(&mut self) {
        self.placed.sort_by(|(left, one), (right, other)| {
            other.compared(*one).then_with(|| left.cmp(right))
        });
        self.silent.sort();
    }
}

impl Screen<'_> {
    /// The keys of the newest window by their value, the largest first. What names nobody comes last and has no place.
    pub(super) fn ranked(&self, panel: &Value) -> Vec<Vec<String>> {
        let Some(view) = self.view(panel) else { return Vec::new() };
        let Some(window) = self.window(view, panel) else { return Vec::new() };
        let value = panel.get("value");
        let label = format!("label{}", self.language.of("Zh", "En"));
        let columns = Columns {
            key: text(panel, "key"),
            within: text(panel, "within"),
            label: text(panel, &label),
            value: value.map_or("", |value| text(value, "column")),
        };
        let names = self.names(panel.get("names").or_else(|| panel.get("map")));
        let rows = rows(window);
        let (ranking, last) = match text(panel, "kind") {
            "rank" => (Ranking::of_rows(&rows, &columns), self.unnamed()),
            "share" => (Ranking::of_parts(&rows, &columns), self.unnamed()),
            _ => {
                let is_region =
                    |key: &str| names.as_ref().is_some_and(|names| names.get(key).is_some());
                let off = self.language.of("未上图", "Not on the map");
                (Ranking::of_parts(&rows, &columns).on_map(is_region), off)
            }
        };
        let limit = panel.get("limit").and_then(Value::as_u64);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(ROWS_MAX);
        let called = |key: &str| self.named(key, names.as_ref());
        let figures = ranking.placed.iter().map(|(one, amount)| (one, Some(*amount)));
        let shown: Vec<(&One, Option<Exact>)> =
            figures.chain(ranking.silent.iter().map(|one| (one, None))).take(limit).collect();
        let ones: Vec<&One> = shown.iter().map(|(one, _)| *one).collect();
        let written = |figure: Option<Exact>| match (figure, value) {
            (Some(figure), Some(value)) => self.written(figure.plain(), value),
            _ => "–".to_owned(),
        };
        let mut lines = Vec::new();
        for (nth, ((_, amount), name)) in shown.iter().zip(names_of(&ones, called)).enumerate() {
            let place = amount.map_or_else(|| "–".to_owned(), |_| (nth + 1).to_string());
            lines.push(vec![place, name, written(*amount)]);
        }
        if let Some(sum) = ranking.unnamed {
            lines.push(vec!["–".to_owned(), last.to_owned(), written(sum)]);
        }
        lines
    }
}

/// What each is called; names that stand there more than once are told apart by what they lie in.
fn names_of(ones: &[&One], called: impl Fn(&str) -> String) -> Vec<String> {
    let own = |one: &One| Some(one.label.clone()).filter(|label| !label.is_empty());
    let texts: Vec<String> =
        ones.iter().map(|one| own(one).unwrap_or_else(|| called(&one.key))).collect();
    let is_twice = |text: &String| texts.iter().filter(|other| *other == text).count() > 1;
    let tell = |(one, text): (&&One, &String)| match one.within.is_empty() || !is_twice(text) {
        true => text.clone(),
        false => format!("{text} · {}", called(&one.within)),
    };
    ones.iter().zip(&texts).map(tell).collect()
}

/// A column of a row as text; nothing where it is NULL or there is no such column.
fn cell(row: &Row, column: &str) -> String {
    row.get(column).map(plain).unwrap_or_default()
}

fn amount(row: &Row, column: &str) -> Option<Exact> {
    Exact::parse(&cell(row, column))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: Columns<'static> =
        Columns { key: "city", within: "province", label: "name", value: "gmv" };

    fn rows(values: &[Value]) -> Vec<Row> {
        values.iter().map(|value| value.as_object().expect("a row").clone()).collect()
    }

    #[test]
    fn two_of_one_name_are_two_and_called_by_what_they_lie_in() {
        let rows = rows(&[
            json!({"city": "朝阳", "province": "辽宁", "gmv": "2.00"}),
            json!({"city": "朝阳", "province": "北京", "gmv": "9.00"}),
            json!({"city": "杭州", "province": "浙江", "gmv": "5.00"}),
        ]);
        let ranking = Ranking::of_rows(&rows, &COLUMNS);
        let ones: Vec<&One> = ranking.placed.iter().map(|(one, _)| one).collect();
        let names = names_of(&ones, str::to_owned);
        assert_eq!(names, ["朝阳 · 北京", "杭州", "朝阳 · 辽宁"]);
    }

    #[test]
    fn a_row_that_has_a_name_of_its_own_is_called_by_it() {
        let rows = rows(&[
            json!({"city": "1", "name": "Wave 1", "gmv": "2.00"}),
            json!({"city": "2", "name": null, "gmv": "1.00"}),
        ]);
        let ranking = Ranking::of_rows(&rows, &COLUMNS);
        let ones: Vec<&One> = ranking.placed.iter().map(|(one, _)| one).collect();
        assert_eq!(names_of(&ones, |key| format!("#{key}")), ["Wave 1", "#2"]);
    }

    #[test]
    fn a_key_that_is_null_and_one_that_is_empty_are_one_that_has_no_place() {
        let rows = rows(&[
            json!({"city": null, "province": "北京", "gmv": "4000.55"}),
            json!({"city": "", "province": null, "gmv": "3000.55"}),
            json!({"city": "杭州", "province": "浙江", "gmv": null}),
        ]);
        let ranking = Ranking::of_rows(&rows, &COLUMNS);
        assert_eq!(ranking.unnamed.flatten().map(Exact::plain).as_deref(), Some("7001.10"));
        assert!(ranking.placed.is_empty());
        assert_eq!(ranking.silent.len(), 1, "it has no figure, and is named");
    }

    #[test]
    fn parts_of_one_name_are_added_up_and_what_is_on_no_map_is_one() {
        let rows = rows(&[
            json!({"city": "甲", "gmv": "1.00"}),
            json!({"city": "甲", "gmv": "2.50"}),
            json!({"city": "海外", "gmv": "7.00"}),
            json!({"city": null, "gmv": "1.00"}),
        ]);
        let parts = Ranking::of_parts(&rows, &COLUMNS);
        assert_eq!(parts.placed.len(), 3);
        let on_map = parts.on_map(|key| key == "甲");
        assert_eq!(on_map.placed.iter().map(|(_, sum)| sum.plain()).collect::<Vec<_>>(), ["3.50"]);
        assert_eq!(on_map.unnamed.flatten().map(Exact::plain).as_deref(), Some("8.00"));
    }
}
