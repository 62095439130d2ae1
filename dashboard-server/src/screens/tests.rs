//! What is refused, with its place; and that the shipped screens pass.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use serde_json::{Value, json};
use tidemark_pipeline::results::ViewInfo;
use tidemark_pipeline::run::publisher::view_info;
use tidemark_pipeline::run::reference;

use super::map_pack::{self, Found};
use super::shape::{KINDS, Of, PANEL, SCREEN, Shape};
use super::walk::{Known, read};
use super::{BuiltIn, Screens, is_name};

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
    checked_with(text, &views())
}

fn checked_with(text: &str, views: &[Arc<ViewInfo>]) -> Result<Value, Vec<String>> {
    let known = Known { views, map: &map };
    read(text, Path::new("wall.toml"), &known)
}

/// Packs as a map and as a globe.
fn map(name: &str) -> Found {
    let region = r#"{"code":"CN","name":{"zh":"中国","en":"China"},"label":[1,2],"polygons":"#;
    let (polygons, dots) = match name {
        "china" => ("[[[0,0],[1,1],[0,1]]]", "[]"),
        "world" => ("[]", "[[1,2]]"),
        _ => return Found::Nothing,
    };
    let text = format!(
        r#"{{"caption":{{"zh":"图","en":"Map"}},"regions":[{region}{polygons}}}],"dots":{dots}}}"#
    );
    Found::Pack(map_pack::check(text.as_bytes()).expect("a pack"))
}

/// What the built page brings; in a tree whose page is not built, nothing can be said of it.
fn built_in(name: &str) -> BuiltIn {
    match std::fs::read(format!("../web/dist/maps/{name}.json")) {
        Ok(pack) => BuiltIn::Pack(pack),
        Err(_) => BuiltIn::NotBuilt,
    }
}

/// The view with its windows called `ws` and `we`.
fn renamed(view: &ViewInfo) -> Arc<ViewInfo> {
    let rename = |name: &str| match name {
        "window_start" => "ws".to_owned(),
        "window_end" => "we".to_owned(),
        other => other.to_owned(),
    };
    let fields = view.schema.fields().iter();
    let fields: Vec<Field> =
        fields.map(|field| field.as_ref().clone().with_name(rename(field.name()))).collect();
    let keys = view.keys.iter().map(|key| rename(key)).collect();
    Arc::new(ViewInfo { schema: Arc::new(Schema::new(fields)), keys, ..view.clone() })
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
            "wall.toml:14:8: a box of 900 x 20 is too small for an odometer with 0 notes: at least 480 x 160",
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
        format!("{HEAD}{scene}{one}{two}{LAYOUT}two = [800, 250, 500, 200]\n")
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
    assert_eq!(
        found,
        [
            "wall.toml:7:8: panel `hero` has no box in any layout",
            "wall.toml:12:1: layout `wide` has no box: give it one for each panel that it shows",
        ]
    );
}

#[test]
fn the_shipped_screens_pass_against_their_own_views() {
    for folder in ["../sql", "../sql/examples/online_retail"] {
        let screens = Path::new(folder).join("screens");
        let found = Screens::load(&screens, &views_of(folder), &built_in);
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
    let found = Screens::load(folder.path(), &[], &|_| BuiltIn::Absent).expect("loads");
    assert_eq!(found.map("own").map(|pack| &**pack), Some(PACK.as_bytes()));
    for wrong in ["{", "{}", &PACK.replace("[1,2]", "null")] {
        std::fs::write(maps.join("own.json"), wrong).expect("writes");
        let told = Screens::load(folder.path(), &[], &|_| BuiltIn::Absent).expect_err("is refused");
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

const RANK: &str = r#"[[panel]]
name = "provinces"
kind = "rank"
title = { zh = "省份", en = "Provinces" }
view = "gmv_by_province"
key = "province"
value = { column = "gmv", unit = "money" }
"#;
const TWO: &str = "[layout.wide]\nsize = [1920, 1080]\nhero = [24, 100, 900, 200]\nprovinces = [24, 400, 900, 200]\n";

#[test]
fn window_columns_that_no_view_has_are_refused_with_what_is_near() {
    let text =
        format!("window = {{ start = \"window_strat\", end = \"nope\" }}\n{HEAD}{HERO}{LAYOUT}");
    let found = checked(&text).expect_err("is refused");
    let of = "unknown window column of the views here";
    assert_eq!(
        found,
        [
            format!("wall.toml:1:20: {of} `window_strat`; did you mean `window_start`?"),
            format!("wall.toml:1:42: {of} `nope`; known here: window_start, window_end"),
        ]
    );
    let text = text.replace("window_strat", "gmv");
    let found = checked(&text).expect_err("is refused");
    assert!(found[0].contains("unknown window column of the views here `gmv`"), "{found:?}");
}

#[test]
fn a_view_whose_windows_are_called_otherwise_than_the_screen_says_is_refused() {
    let mut views = views();
    for view in &mut views {
        if view.name == "gmv_by_province" {
            *view = renamed(view);
        }
    }
    let text = format!("{HEAD}{HERO}{RANK}{TWO}");
    let found = checked_with(&text, &views).expect_err("is refused");
    let line = HEAD.lines().count() + HERO.lines().count() + 5;
    assert_eq!(
        found,
        [
            format!(
                "wall.toml:{line}:8: view `gmv_by_province` calls the start of its windows `ws`, and this screen looks \
                 for `window_start`: write `window = {{ start = \"ws\" }}`, or `AS window_start` in the view"
            ),
            format!(
                "wall.toml:{line}:8: view `gmv_by_province` calls the end of its windows `we`, and this screen looks \
                 for `window_end`: write `window = {{ end = \"we\" }}`, or `AS window_end` in the view"
            ),
        ]
    );
}

#[test]
fn a_screen_with_window_columns_of_its_own_has_single_figures_and_ranks() {
    let views: Vec<Arc<ViewInfo>> = views().iter().map(|view| renamed(view)).collect();
    let text = format!("window = {{ start = \"ws\", end = \"we\" }}\n{HEAD}{HERO}{RANK}{TWO}");
    checked_with(&text, &views).expect("passes");
    let text = text.replace("view = \"gmv_day\"", "view = \"gmv_by_province\"");
    let found = checked_with(&text, &views).expect_err("is refused");
    assert!(found[0].contains("has a row for each province of a window"), "{found:?}");
}

#[test]
fn a_panel_is_not_called_as_a_key_of_its_layout() {
    for name in ["size", "rotate"] {
        let found = mistakes("\"hero\"", &format!("\"{name}\""));
        let said = format!(
            "wall.toml:7:8: a panel cannot be called `{name}`: that is a key of every layout"
        );
        assert!(found.contains(&said), "{found:#?}");
    }
}

#[test]
fn a_layout_and_a_scene_in_which_nothing_would_be_seen_are_refused() {
    let text = format!("{HEAD}{HERO}{LAYOUT}[layout.other]\nsize = [3840, 1080]\n");
    let found = checked(&text).expect_err("is refused");
    assert_eq!(
        found,
        ["wall.toml:15:1: layout `other` has no box: give it one for each panel that it shows"]
    );
    let scenes = "[[scene]]\ntitle = { zh = \"一\", en = \"One\" }\nseconds = 30\n".repeat(2);
    let hero = HERO.replace("kind", "scenes = [1]\nkind");
    let found = checked(&format!("{HEAD}{scenes}{hero}{LAYOUT}")).expect_err("is refused");
    assert_eq!(
        found,
        ["wall.toml:9:1: no panel is in scene 2: the wall would be empty for its seconds"]
    );
    let rank = RANK.replace("kind", "scenes = [2]\nkind");
    let other = "[layout.other]\nsize = [3840, 1080]\nhero = [24, 100, 900, 200]\n";
    let found =
        checked(&format!("{HEAD}{scenes}{hero}{rank}{TWO}{other}")).expect_err("is refused");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].ends_with("layout `other` has no box for any panel of scene 2"), "{found:?}");
    checked(&format!("{HEAD}{scenes}{hero}{rank}{TWO}{other}rotate = false\n"))
        .expect("without turns there is no empty one");
}

#[test]
fn a_globe_needs_dots_and_a_home_that_its_pack_knows_and_a_map_needs_outlines() {
    const GLOBE: &str = r#"[[panel]]
name = "hero"
kind = "globe"
title = { zh = "跨境", en = "World" }
view = "gmv_by_country"
map = "world"
home = "CN"
key = "country"
value = { column = "gmv", unit = "money" }
"#;
    let layout = LAYOUT.replace("200]", "400]");
    checked(&format!("{HEAD}{GLOBE}{layout}")).expect("passes");
    let told = |from: &str, to: &str| {
        let globe = GLOBE.replace(from, to);
        assert_ne!(globe, GLOBE);
        checked(&format!("{HEAD}{globe}{layout}")).expect_err("is refused")
    };
    assert_eq!(
        told("\"world\"", "\"china\""),
        [
            "wall.toml:11:7: map pack `china` has no `dots`, and a globe is drawn of them; use `world`"
        ]
    );
    assert_eq!(
        told("\"CN\"", "\"Chna\""),
        ["wall.toml:12:8: unknown region of map pack `world` `Chna`; known here: CN, 中国"]
    );
    let map = GLOBE.replace("\"globe\"", "\"map\"").replace("home = \"CN\"\n", "");
    let found = checked(&format!("{HEAD}{map}{layout}")).expect_err("is refused");
    assert!(found[0].contains("no region of map pack `world` has an outline"), "{found:?}");
}

#[test]
fn a_check_does_not_warn_above_what_is_bad() {
    const CHECKS: &str = r#"[[panel]]
name = "hero"
kind = "scorecard"
title = { zh = "质量", en = "Quality" }
[[panel.checks]]
label = { zh = "拒收", en = "Rejected" }
view = "record_accounting"
part = "rejected"
whole = "read"
warn-above = 0.1
bad-above = 0.1
"#;
    checked(&format!("{HEAD}{CHECKS}{LAYOUT}")).expect("passes");
    let wrong = CHECKS.replace("warn-above = 0.1", "warn-above = 0.5");
    let found = checked(&format!("{HEAD}{wrong}{LAYOUT}")).expect_err("is refused");
    assert_eq!(
        found,
        [
            "wall.toml:15:14: `warn-above` 0.5 is above `bad-above` 0.1: what is to be watched comes before what is wrong"
        ]
    );
}

#[test]
fn a_rank_may_say_what_its_names_lie_in() {
    let rank = RANK.replace("gmv_by_province", "gmv_by_city").replace("\"province\"", "\"city\"");
    let within = format!("{rank}within = \"province\"\n");
    let screen = checked(&format!("{HEAD}{HERO}{within}{TWO}")).expect("passes");
    assert_eq!(screen["panels"][1]["within"], "province");
    let wrong = within.replace("within = \"province\"", "within = \"provnce\"");
    let found = checked(&format!("{HEAD}{HERO}{wrong}{TWO}")).expect_err("is refused");
    assert!(found[0].ends_with("`provnce`; did you mean `province`?"), "{found:?}");
}

#[test]
fn a_box_is_large_enough_for_what_its_panel_shows() {
    let boxes = |panel: &str, area: &str| {
        let layout = LAYOUT.replace("[24, 100, 900, 200]", area);
        checked(&format!("{HEAD}{panel}{layout}")).map_err(|found| found.join("; "))
    };
    let figure = "[[panel.figures]]\nlabel = { zh = \"额\", en = \"GMV\" }\nview = \"gmv_day\"\n\
                  value = { column = \"gmv\", unit = \"money\" }\n";
    let tiles = |count: usize| {
        let head =
            HERO.lines().filter(|line| !line.starts_with("view") && !line.starts_with("value"));
        let head: Vec<&str> = head.collect();
        head.join("\n").replace("odometer", "kpi") + "\n" + &figure.repeat(count)
    };
    // Four tiles stand two by two, or in a column or a row.
    for area in ["[24, 100, 400, 152]", "[24, 100, 190, 316]", "[24, 100, 820, 72]"] {
        let fits = boxes(&tiles(4), area);
        assert!(fits.is_ok(), "{area}: {fits:?}");
    }
    let told = boxes(&tiles(8), "[24, 100, 400, 152]").expect_err("is refused");
    assert!(
        told.contains("a box of 400 x 152 is too small for a kpi panel with 8 figures"),
        "{told}"
    );
    let rank = RANK.replace("\"provinces\"", "\"hero\"");
    let told = boxes(&rank, "[24, 100, 160, 200]").expect_err("is refused");
    assert!(told.contains("too small for a rank panel with these words: at least"), "{told}");
    let long = rank.replace("Provinces", "Provinces and municipalities of the People's Republic");
    assert!(boxes(&rank, "[24, 100, 400, 200]").is_ok());
    boxes(&long, "[24, 100, 400, 200]").expect_err("its title would be cut");
}
