//! What is refused, with its place; and that the shipped screens pass.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_pipeline::results::ViewInfo;
use tidemark_pipeline::run::publisher::view_info;
use tidemark_pipeline::run::reference;

use super::shape::{KINDS, Of, PANEL, SCREEN, Shape};
use super::walk::{Known, read};
use super::{Screens, is_name};

fn views() -> Vec<Arc<ViewInfo>> {
    views_of("../sql")
}

fn views_of(folder: &str) -> Vec<Arc<ViewInfo>> {
    let catalog = reference::catalog(Path::new(folder), &Default::default(), Default::default())
        .expect("plans");
    catalog.views.iter().map(|view| Arc::new(view_info(&catalog, view))).collect()
}

const HEAD: &str = r#"version = 1
title = { zh = "墙", en = "Wall" }
time-zone = { offset-minutes = 480, label = { zh = "北京时间", en = "UTC+8" } }
currency = { code = "CNY", symbol = "¥", name = { zh = "元", en = "RMB" } }
footer = { scope = { zh = "口径", en = "Scope" }, source = { zh = "源", en = "Source" } }
"#;
const HERO: &str = r#"[[panel]]
name = "hero"
kind = "odometer"
title = { zh = "成交额", en = "GMV" }
view = "gmv_day"
value = { column = "gmv", unit = "money" }
"#;
const LAYOUT: &str = "[layout.wide]\nsize = [1920, 1080]\nhero = [24, 100, 900, 200]\n";

fn checked(text: &str) -> Result<Value, Vec<String>> {
    let views = views();
    let known = Known { views: &views, has_map: &|name| name == "china" };
    read(text, Path::new("wall.toml"), &known)
}

/// The mistakes of the small screen after one change; the change must have found its text.
fn mistakes(from: &str, to: &str) -> Vec<String> {
    let text = format!("{HEAD}{HERO}{LAYOUT}");
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "{from:?} is not in the screen");
    checked(&changed).expect_err("is refused")
}

#[test]
fn the_small_screen_passes_and_reads_as_the_page_expects() {
    let screen = checked(&format!("{HEAD}{HERO}{LAYOUT}")).expect("passes");
    assert_eq!(screen["timeZone"]["offsetMinutes"], 480);
    assert_eq!(screen["panels"][0]["value"], json!({"column": "gmv", "unit": "money"}));
    let layout = json!([{"name": "wide", "size": [1920, 1080], "rotate": true, "boxes": {"hero": [24, 100, 900, 200]}}]);
    assert_eq!(screen["layouts"], layout);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_is_near() {
    let cases = [
        (
            "\"odometer\"",
            "\"odmeter\"",
            "wall.toml:8:8: unknown kind of panel `odmeter`; did you mean `odometer`?",
        ),
        (
            "\"gmv_day\"",
            "\"gmv_dya\"",
            "wall.toml:10:8: unknown view `gmv_dya`; did you mean `gmv_day`?",
        ),
        (
            "column = \"gmv\"",
            "column = \"gmvs\"",
            "wall.toml:11:20: unknown column of `gmv_day` `gmvs`; did you mean `gmv`?",
        ),
        (
            "column = \"gmv\"",
            "column = \"window_end\"",
            "wall.toml:11:20: column `window_end` of `gmv_day` is TIMESTAMP(3) WITH TIME ZONE, not a number",
        ),
        (", en = \"GMV\"", "", "wall.toml:9:9: `title` has no text in `en`"),
        ("\"GMV\"", "\" \"", "wall.toml:9:9: `title` has no text in `en`"),
        (
            "unit = \"money\"",
            "units = \"money\"",
            "wall.toml:11:27: unknown key `units`; did you mean `unit`?",
        ),
        (
            "unit = \"money\"",
            "unit = \"cash\"",
            "wall.toml:11:34: `unit` must be one of money, count, percent, milliseconds",
        ),
        ("version = 1", "version = 2", "wall.toml:1:11: `version` must be from 1 to 1"),
        ("hero = [", "heroo = [", "wall.toml:14:1: unknown panel `heroo`; did you mean `hero`?"),
        (
            "900, 200]",
            "2000, 200]",
            "wall.toml:14:8: the box reaches outside: x from 0 to 1920, y from 84 (header) to 1028 (footer)",
        ),
        (
            "24, 100,",
            "24, 9223372036854775807,",
            "wall.toml:14:8: the box reaches outside: x from 0 to 1920, y from 84 (header) to 1028 (footer)",
        ),
        (
            "900, 200]",
            "900, 20]",
            "wall.toml:14:8: a box of 900 x 20 is too small: at least 160 x 80",
        ),
        (
            "size = [1920, 1080]",
            "size = [1, 1]",
            "wall.toml:13:8: `size` of layout `wide` is [width, height], each from 480 to 16384",
        ),
        (
            "unit =",
            "label = 3, unit =",
            "wall.toml:11:35: `label` must be `{ zh = \"…\", en = \"…\" }`",
        ),
        (
            "kind =",
            "scenes = [2]\nkind =",
            "wall.toml:8:10: `scenes` holds numbers of scenes, from 1 to 1",
        ),
    ];
    for (from, to, said) in cases {
        let found = mistakes(from, to);
        assert!(found.iter().any(|mistake| mistake == said), "{from} -> {to}: {found:#?}");
    }
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_lines() {
    let text = format!("{HEAD}{HERO}{LAYOUT}").replace("gmv_day", "no").replace("\"墙\"", "3");
    let found = checked(&text).expect_err("is refused");
    assert!(found.len() >= 2 && found[0].starts_with("wall.toml:2:"), "{found:#?}");
}

#[test]
fn broken_toml_names_its_place() {
    let found = checked("version = \n").expect_err("is refused");
    assert!(found[0].starts_with("wall.toml:1:"), "{found:?}");
}

#[test]
fn boxes_overlap_only_where_panels_share_a_scene() {
    let second = HERO.replace("\"hero\"", "\"two\"");
    let text = |scenes: (&str, &str)| {
        let (one, two) = (
            HERO.replace("kind", &format!("{}kind", scenes.0)),
            second.replace("kind", &format!("{}kind", scenes.1)),
        );
        let scene = "[[scene]]\ntitle = { zh = \"一\", en = \"One\" }\nseconds = 30\n".repeat(2);
        format!("{HEAD}{scene}{one}{two}{LAYOUT}two = [800, 250, 400, 200]\n")
    };
    let found = checked(&text(("", ""))).expect_err("is refused");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("the box of `two` overlaps that of `hero`"), "{found:?}");
    checked(&text(("scenes = [1]\n", "scenes = [2]\n"))).expect("scenes keep them apart");
    checked(&text(("scenes = [1]\n", "scenes = [1, 2]\n"))).expect_err("scene 1 has both");
}

#[test]
fn a_panel_without_a_box_is_refused() {
    let found = mistakes("hero = [24, 100, 900, 200]\n", "");
    assert_eq!(found, ["wall.toml:7:8: panel `hero` has no box in any layout"]);
}

#[test]
fn the_shipped_screens_pass_against_their_own_views() {
    for folder in ["../sql", "../sql/examples/online_retail"] {
        let screens = Path::new(folder).join("screens");
        let found =
            Screens::load(&screens, &views_of(folder), &|name| ["china", "world"].contains(&name));
        let found = found.unwrap_or_else(|errors| panic!("{errors}"));
        assert!(found.screen("wall").is_some(), "{folder}");
    }
}

#[test]
fn the_readme_explains_every_key_and_kind() {
    fn keys(shape: Shape, found: &mut Vec<&'static str>) {
        for field in shape {
            found.push(field.name);
            if let Of::Table(inner) | Of::List(inner, _) = field.of {
                keys(inner, found);
            }
        }
    }
    let text = std::fs::read_to_string("../sql/screens/README.md").expect("reads");
    let mut all = vec!["panel", "layout", "names", "size", "rotate"];
    keys(SCREEN, &mut all);
    keys(PANEL, &mut all);
    for (kind, shapes) in KINDS {
        all.push(kind);
        shapes.iter().for_each(|shape| keys(shape, &mut all));
    }
    for key in all {
        let named = ["`", "."].iter().any(|before| {
            ["`", "."].iter().any(|after| text.contains(&format!("{before}{key}{after}")))
        });
        assert!(named, "sql/screens/README.md does not explain `{key}`");
    }
}

#[test]
fn a_map_pack_of_the_folder_comes_before_the_built_in_one_and_must_be_one() {
    const PACK: &str = r#"{"caption":{"zh":"图","en":"map"},"regions":[{"code":"N","name":{"zh":"北","en":"North"},
        "label":[1,2],"polygons":[]}]}"#;
    let folder = tempfile::tempdir().expect("folder");
    let maps = folder.path().join("maps");
    std::fs::create_dir(&maps).expect("folder");
    std::fs::write(maps.join("own.json"), PACK).expect("writes");
    let found = Screens::load(folder.path(), &[], &|_| false).expect("loads");
    assert_eq!(found.map("own").map(|pack| &**pack), Some(PACK.as_bytes()));
    for wrong in ["{", "{}", &PACK.replace("[1,2]", "null")] {
        std::fs::write(maps.join("own.json"), wrong).expect("writes");
        let told = Screens::load(folder.path(), &[], &|_| false).expect_err("is refused");
        assert!(told.to_string().contains("own.json: not a map pack"), "{told}");
    }
}

#[test]
fn no_path_is_a_name() {
    assert!(is_name("wall-2"));
    for bad in ["", "..", "../wall", "a/b", "a.b", "a%2fb", "墙", "Wall"] {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn a_figure_of_a_view_with_several_rows_a_window_is_refused_with_what_tells_them_apart() {
    let found = mistakes("gmv_day", "gmv_by_province");
    assert_eq!(
        found,
        [format!(
            "wall.toml:{}:8: view gmv_by_province has a row for each province of a window, and one row is shown here: \
             name a view that is grouped by its window alone",
            HEAD.lines().count() + 5
        )]
    );
}
