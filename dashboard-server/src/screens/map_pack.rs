//! What a map pack must be, so that the page can draw it without a doubt.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Longitude and latitude, or a point of a box of its own.
type Point = [f64; 2];

#[derive(Deserialize)]
struct Pack {
    #[serde(rename = "caption")]
    _caption: Words,
    regions: Vec<Region>,
    #[serde(default)]
    places: Vec<Place>,
    #[serde(default, rename = "marks")]
    _marks: Vec<Mark>,
    #[serde(rename = "inset")]
    _inset: Option<Inset>,
    #[serde(default, rename = "dots")]
    _dots: Vec<Point>,
}

#[derive(Deserialize)]
struct Words {
    zh: String,
    #[serde(rename = "en")]
    _en: String,
}

#[derive(Deserialize)]
struct Region {
    code: String,
    name: Words,
    #[serde(default)]
    aliases: Vec<String>,
    label: Point,
    #[serde(rename = "polygons")]
    _polygons: Vec<Vec<Point>>,
}

#[derive(Deserialize)]
struct Place {
    name: String,
    region: String,
    #[serde(rename = "at")]
    _at: Point,
}

#[derive(Deserialize)]
struct Mark {
    #[serde(rename = "name")]
    _name: Words,
    #[serde(rename = "at")]
    _at: Point,
}

#[derive(Deserialize)]
struct Inset {
    #[serde(rename = "name")]
    _name: Words,
    #[serde(rename = "box")]
    _box: Point,
    #[serde(rename = "polygons")]
    _polygons: Vec<Vec<Point>>,
}

/// Checks a pack.
///
/// # Errors
/// What is wrong, where the file's form is with line and column.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let pack: Pack = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if pack.regions.is_empty() {
        return Err("it has no regions".to_owned());
    }
    let (mut codes, mut names) = (BTreeMap::new(), BTreeMap::new());
    for region in &pack.regions {
        let [longitude, latitude] = region.label;
        if !(-180.0..=180.0).contains(&longitude) || !(-90.0..=90.0).contains(&latitude) {
            return Err(format!(
                "the label of region {} is at [{longitude}, {latitude}]: write longitude and latitude in degrees",
                region.code
            ));
        }
        if codes.insert(region.code.as_str(), ()).is_some() {
            return Err(format!("two regions have the code {}", region.code));
        }
        for name in std::iter::once(&region.name.zh).chain(&region.aliases) {
            if let Some(other) = names.insert(name.as_str(), region.code.as_str())
                && other != region.code
            {
                return Err(format!(
                    "the regions {other} and {} are both called {name}",
                    region.code
                ));
            }
        }
    }
    match pack.places.iter().find(|place| !codes.contains_key(place.region.as_str())) {
        Some(place) => {
            Err(format!("the place {} is in region {}, which is none", place.name, place.region))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(regions: &str, rest: &str) -> Result<(), String> {
        let text = format!(r#"{{"caption":{{"zh":"图","en":"map"}},"regions":[{regions}]{rest}}}"#);
        check(text.as_bytes())
    }

    const NORTH: &str = r#"{"code":"N","name":{"zh":"北","en":"North"},"label":[1,2],"polygons":[[[0,0],[1,1],[0,1]]]}"#;

    #[test]
    fn a_pack_that_can_be_drawn_passes() {
        assert_eq!(pack(NORTH, r#","places":[{"name":"城","region":"N","at":[1,2]}]"#), Ok(()));
    }

    #[test]
    fn what_could_not_be_drawn_is_refused_with_the_reason() {
        let told = |regions: &str, rest: &str| pack(regions, rest).expect_err("refused");
        assert!(check(b"{}").expect_err("refused").contains("missing field `caption` at line 1"));
        assert!(told("", "").contains("no regions"));
        assert!(told("5", "").contains("line 1 column"));
        assert!(told(&NORTH.replace("[1,2]", "null"), "").contains("line 1 column"));
        assert!(
            told(&NORTH.replace("[[[0,0],[1,1],[0,1]]]", "\"x\""), "").contains("line 1 column")
        );
        assert!(told(&NORTH.replace("[1,2]", "[1,200]"), "").contains("the label of region N"));
        assert!(told(&format!("{NORTH},{NORTH}"), "").contains("two regions have the code N"));
        let other = NORTH.replace(r#""code":"N""#, r#""code":"M""#);
        assert!(told(&format!("{NORTH},{other}"), "").contains("both called 北"));
        let place = r#","places":[{"name":"城","region":"S","at":[1,2]}]"#;
        assert!(told(NORTH, place).contains("the place 城 is in region S"));
    }
}
