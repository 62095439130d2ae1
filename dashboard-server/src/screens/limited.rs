//! A screen for someone who may not see every view: what is not theirs is for them not there.

use serde_json::{Map, Value, json};

/// The screen without any view, or column of a view, that `may_see` does not allow.
///
/// Figures, curves and checks of such views are left out; a panel that has nothing to show without them says so in its
/// place, as the page does of a view that it is not served.
#[must_use]
pub fn limited(screen: &Value, may_see: &dyn Fn(&str) -> bool) -> Value {
    let Value::Object(keys) = screen else { return screen.clone() };
    let mut out = Map::new();
    for (key, value) in keys {
        match (key.as_str(), value) {
            ("panels", Value::Array(panels)) => {
                let panels = panels.iter().map(|panel| {
                    kept(panel, may_see)
                        .filter(|left| is_whole(panel, left))
                        .unwrap_or_else(|| instead(panel))
                });
                out.insert(key.clone(), panels.collect());
            }
            _ => out.extend(kept(value, may_see).map(|value| (key.clone(), value))),
        }
    }
    Value::Object(out)
}

/// What is left of a value; nothing of a table of a view that is not seen, nor of a list of such.
fn kept(value: &Value, may_see: &dyn Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(table) => {
            if !table.get("view").and_then(Value::as_str).is_none_or(may_see) {
                return None;
            }
            let kept =
                table.iter().filter_map(|(key, value)| Some((key.clone(), kept(value, may_see)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => {
            let left: Vec<Value> = list.iter().filter_map(|value| kept(value, may_see)).collect();
            (list.is_empty() || !left.is_empty()).then_some(Value::Array(left))
        }
        other => Some(other.clone()),
    }
}

/// Whether a panel still has what it cannot be shown without.
fn is_whole(panel: &Value, left: &Value) -> bool {
    ["figures", "checks", "total"]
        .iter()
        .all(|key| panel.get(key).is_none() || left.get(key).is_some())
}

/// A panel of words in the place of one that is not for everyone.
fn instead(panel: &Value) -> Value {
    let mut out = json!({
        "kind": "text",
        "words": {"zh": "服务端未提供此视图", "en": "The server does not serve this view"},
    });
    for key in ["name", "title", "scenes"] {
        if let Some(value) = panel.get(key) {
            out[key] = value.clone();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_view_that_is_not_seen_is_named() {
        let screen = json!({
            "title": {"zh": "墙", "en": "Wall"},
            "campaign": {"view": "secret_waves", "starts": "secret_start"},
            "panels": [
                {"name": "a", "kind": "odometer", "view": "day", "value": {"column": "gmv"}, "title": {},
                 "notes": [{"view": "secret", "value": {"column": "secret_n"}}],
                 "against": {"view": "secret_year", "growth": "secret_growth"}},
                {"name": "b", "kind": "kpi", "title": {}, "figures": [
                    {"view": "secret", "value": {"column": "secret_n"}},
                    {"view": "day", "value": {"column": "gmv"}, "spark": {"view": "secret_m", "column": "secret_n"}}]},
                {"name": "c", "kind": "kpi", "title": {}, "figures": [{"view": "secret", "value": {}}]},
                {"name": "d", "kind": "milestones", "title": {}, "scenes": [2], "view": "day",
                 "total": {"view": "secret", "value": {}}},
                {"name": "e", "kind": "rank", "title": {}, "view": "secret", "key": "secret_key",
                 "names": {"secret brand": {"zh": "密", "en": "Secret"}}},
            ],
        });
        let seen = limited(&screen, &|view| view == "day");
        assert!(!seen.to_string().contains("secret"), "{seen:#}");
        assert!(seen.get("campaign").is_none());
        let kinds: Vec<&str> = seen["panels"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|panel| panel["kind"].as_str())
            .collect();
        assert_eq!(kinds, ["odometer", "kpi", "text", "text", "text"]);
        assert_eq!(
            seen["panels"][1]["figures"],
            json!([{"view": "day", "value": {"column": "gmv"}}])
        );
        assert_eq!(seen["panels"][3]["scenes"], json!([2]), "in its place");
        assert_eq!(limited(&screen, &|_| true), screen);
    }
}
