//! What a map pack must be, so that the page can draw it without a doubt.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Longitude and latitude, or a point of a box of its own.
type Point = [f64; 2];
type Ring = Vec<Point>;

/// A ring of fewer points encloses nothing.
const RING_POINTS_MIN: usize = 3;
/// More mistakes of one file are not listed.
const MISTAKES_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pack {
    #[serde(rename = "$doc")]
    _doc: Option<IgnoredAny>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "attribution")]
    _attribution: Option<IgnoredAny>,
    caption: Words,
    regions: Vec<Region>,
    #[serde(default)]
    places: Vec<Place>,
    #[serde(default)]
    marks: Vec<Mark>,
    inset: Option<Inset>,
    #[serde(default)]
    dots: Vec<Point>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    zh: String,
    en: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    code: String,
    name: Words,
    #[serde(default)]
    aliases: Vec<String>,
    label: Point,
    polygons: Vec<Ring>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    name: String,
    region: String,
    at: Point,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    name: Words,
    at: Point,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inset {
    name: Words,
    #[serde(rename = "box")]
    size: Point,
    polygons: Vec<Ring>,
}

/// What panels ask of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Everything that its regions may be called.
    pub(super) names: BTreeSet<String>,
    /// What they are called on the wall, in Chinese and English.
    pub(super) titles: Vec<[String; 2]>,
    /// Whether some region has an outline.
    pub(super) has_outlines: bool,
    /// Whether a part lies in a corner of its own.
    pub(super) has_inset: bool,
    /// Whether there are points for a globe.
    pub(super) has_dots: bool,
}

/// What there is of a pack that a screen names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No pack.
    Nothing,
    /// One that a build with the page will bring, or that is refused itself.
    Unseen,
    /// This.
    Pack(Facts),
}

/// Checks a pack.
///
/// # Errors
/// What is wrong and where in the file: line and column of its form, or the way to a value as `regions[3].label`.
pub(super) fn check(bytes: &[u8]) -> Result<Facts, Vec<String>> {
    let pack: Pack = serde_json::from_slice(bytes).map_err(|error| vec![error.to_string()])?;
    let mut mistakes = Vec::new();
    check_words(&mut mistakes, "caption", &pack.caption);
    if pack.regions.is_empty() {
        mistakes.push("`regions`: there are none".to_owned());
    }
    let names = check_regions(&mut mistakes, &pack.regions);
    check_places(&mut mistakes, &pack);
    for (nth, mark) in pack.marks.iter().enumerate() {
        check_words(&mut mistakes, &format!("marks[{nth}].name"), &mark.name);
        check_degrees(&mut mistakes, &format!("marks[{nth}].at"), mark.at);
    }
    for (nth, dot) in pack.dots.iter().enumerate() {
        check_degrees(&mut mistakes, &format!("dots[{nth}]"), *dot);
    }
    if let Some(inset) = &pack.inset {
        check_inset(&mut mistakes, inset);
    }
    if mistakes.is_empty() {
        return Ok(Facts {
            names,
            titles: pack
                .regions
                .iter()
                .map(|region| [region.name.zh.clone(), region.name.en.clone()])
                .collect(),
            has_outlines: pack.regions.iter().any(|region| !region.polygons.is_empty()),
            has_inset: pack.inset.is_some(),
            has_dots: !pack.dots.is_empty(),
        });
    }
    let more = mistakes.len().saturating_sub(MISTAKES_MAX);
    mistakes.truncate(MISTAKES_MAX);
    if more > 0 {
        mistakes.push(format!("and {more} more"));
    }
    Err(mistakes)
}

/// Everything the regions are called; no two may share a code or a name.
fn check_regions(mistakes: &mut Vec<String>, regions: &[Region]) -> BTreeSet<String> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut codes = BTreeSet::new();
    for (nth, region) in regions.iter().enumerate() {
        let path = format!("regions[{nth}]");
        check_words(mistakes, &format!("{path}.name"), &region.name);
        check_degrees(mistakes, &format!("{path}.label"), region.label);
        for (ring, points) in region.polygons.iter().enumerate() {
            let path = format!("{path}.polygons[{ring}]");
            check_ring(mistakes, &path, points);
            // One says it for the ring.
            if let Some(at) = points.iter().find(|point| !is_degrees(**point)) {
                check_degrees(mistakes, &path, *at);
            }
        }
        if !codes.insert(region.code.as_str()) {
            mistakes.push(format!("`{path}.code`: two regions have the code {}", region.code));
        }
        let own = [&region.code, &region.name.zh].into_iter().chain(&region.aliases);
        for name in own {
            check_filled(mistakes, &path, name);
            if let Some(other) = names.insert(name, nth)
                && other != nth
                && !name.trim().is_empty()
            {
                mistakes.push(format!("`{path}` and `regions[{other}]` are both called {name}"));
            }
        }
    }
    names.into_keys().map(str::to_owned).collect()
}

fn check_places(mistakes: &mut Vec<String>, pack: &Pack) {
    let codes: BTreeSet<&str> = pack.regions.iter().map(|region| region.code.as_str()).collect();
    for (nth, place) in pack.places.iter().enumerate() {
        let path = format!("places[{nth}]");
        check_filled(mistakes, &format!("{path}.name"), &place.name);
        check_degrees(mistakes, &format!("{path}.at"), place.at);
        if !codes.contains(place.region.as_str()) {
            mistakes.push(format!(
                "`{path}.region`: {} is in region {}, which is the code of none",
                place.name, place.region
            ));
        }
    }
}

fn check_inset(mistakes: &mut Vec<String>, inset: &Inset) {
    check_words(mistakes, "inset.name", &inset.name);
    let [width, height] = inset.size;
    if width <= 0.0 || height <= 0.0 {
        mistakes.push(format!("`inset.box`: [{width}, {height}] has no area"));
    }
    if inset.polygons.is_empty() {
        mistakes.push("`inset.polygons`: there are none".to_owned());
    }
    for (nth, ring) in inset.polygons.iter().enumerate() {
        check_ring(mistakes, &format!("inset.polygons[{nth}]"), ring);
    }
}

fn check_words(mistakes: &mut Vec<String>, path: &str, words: &Words) {
    check_filled(mistakes, &format!("{path}.zh"), &words.zh);
    check_filled(mistakes, &format!("{path}.en"), &words.en);
}

fn check_filled(mistakes: &mut Vec<String>, path: &str, text: &str) {
    if text.trim().is_empty() {
        mistakes.push(format!("`{path}`: a name that is empty"));
    }
}

fn check_ring(mistakes: &mut Vec<String>, path: &str, ring: &[Point]) {
    if ring.len() < RING_POINTS_MIN {
        mistakes.push(format!(
            "`{path}`: {} points are no outline, it takes {RING_POINTS_MIN}",
            ring.len()
        ));
    }
}

fn is_degrees([longitude, latitude]: Point) -> bool {
    (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)
}

fn check_degrees(mistakes: &mut Vec<String>, path: &str, at: Point) {
    if !is_degrees(at) {
        let [longitude, latitude] = at;
        mistakes.push(format!(
            "`{path}`: [{longitude}, {latitude}] is nowhere: write longitude and latitude in degrees"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(regions: &str, rest: &str) -> Result<Facts, Vec<String>> {
        let text = format!(r#"{{"caption":{{"zh":"图","en":"map"}},"regions":[{regions}]{rest}}}"#);
        check(text.as_bytes())
    }

    const NORTH: &str = r#"{"code":"N","name":{"zh":"北","en":"North"},"label":[1,2],"polygons":[[[0,0],[1,1],[0,1]]]}"#;
    const INSET: &str =
        r#","inset":{"name":{"zh":"海","en":"Sea"},"box":[3,4],"polygons":[[[0,0],[1,1],[0,1]]]}"#;

    #[test]
    fn a_pack_that_can_be_drawn_passes_and_says_what_it_has() {
        let place = r#","places":[{"name":"城","region":"N","at":[1,2]}]"#;
        let facts = pack(NORTH, &format!("{place}{INSET}")).expect("passes");
        assert!(facts.has_outlines && !facts.has_dots);
        assert_eq!(Vec::from_iter(facts.names), ["N", "北"]);
        assert!(pack(NORTH, r#","dots":[[1,2]]"#).expect("passes").has_dots);
    }

    #[test]
    fn the_built_in_packs_pass() {
        for (name, made) in [("china", true), ("world", false)] {
            let text = std::fs::read(format!("../web/dist/maps/{name}.json"));
            // A tree whose page is not built has none.
            let Ok(text) = text else { continue };
            let facts = check(&text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"));
            assert_eq!((facts.has_outlines, facts.has_dots), (made, !made), "{name}");
        }
    }

    #[test]
    fn what_could_not_be_drawn_is_refused_with_the_reason_and_where_it_is() {
        let told = |regions: &str, rest: &str| pack(regions, rest).expect_err("refused").join("; ");
        let north = |from: &str, to: &str| {
            assert!(NORTH.contains(from));
            told(&NORTH.replacen(from, to, 1), "")
        };
        let inset = |from: &str, to: &str| {
            assert!(INSET.contains(from));
            told(NORTH, &INSET.replacen(from, to, 1))
        };
        assert!(
            check(b"{}").expect_err("refused")[0].contains("missing field `caption` at line 1")
        );
        assert_eq!(told("", ""), "`regions`: there are none");
        assert!(told("5", "").contains("line 1 column"));
        assert!(north("[1,2]", "null").contains("line 1 column"));
        assert!(north("[[[0,0],[1,1],[0,1]]]", "\"x\"").contains("line 1 column"));
        assert!(north("\"label\"", "\"typo\":1,\"label\"").contains("unknown field `typo`"));
        assert!(north("\"label\"", "\"typo\":1,\"label\"").contains("line 1 column"));
        assert!(north("[1,2]", "[1,200]").starts_with("`regions[0].label`: [1, 200] is nowhere"));
        assert!(north("[1,1]", "[1,100]").starts_with("`regions[0].polygons[0]`: [1, 100] is"));
        assert_eq!(north("\"North\"", "\" \""), "`regions[0].name.en`: a name that is empty");
        assert_eq!(
            north("[[0,0],[1,1],[0,1]]", "[]"),
            "`regions[0].polygons[0]`: 0 points are no outline, it takes 3"
        );
        assert!(told(&format!("{NORTH},{NORTH}"), "").contains("two regions have the code N"));
        let other = NORTH.replace(r#""code":"N""#, r#""code":"M""#);
        assert!(told(&format!("{NORTH},{other}"), "").contains("are both called 北"));
        let place = r#","places":[{"name":"城","region":"S","at":[1,2]}]"#;
        assert!(told(NORTH, place).starts_with("`places[0].region`: 城 is in region S"));
        assert_eq!(inset("[3,4]", "[0,0]"), "`inset.box`: [0, 0] has no area");
        assert_eq!(inset("[[[0,0],[1,1],[0,1]]]", "[]"), "`inset.polygons`: there are none");
        assert!(inset("\"Sea\"", "\"\"").starts_with("`inset.name.en`"));
        assert!(inset("\"box\"", "\"bx\"").contains("unknown field `bx`"));
    }

    #[test]
    fn a_file_full_of_mistakes_does_not_fill_the_log() {
        let dots = vec!["[1,200]"; 100].join(",");
        let told = pack(NORTH, &format!(r#","dots":[{dots}]"#)).expect_err("refused");
        assert_eq!((told.len(), told[20].as_str()), (21, "and 80 more"));
    }
}
