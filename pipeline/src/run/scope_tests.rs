//! What a version of a scope means, over real files: whatever changes its figures under the same number is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::publisher::view_info;
use super::reference::catalog;
use crate::sql::{Catalog, StateBounds};
use crate::state::ScopeRegister;
use crate::state::objects::{Disk, Objects};

const ORDERS: &str = "CREATE TABLE orders (
  order_id STRING NOT NULL, kind STRING NOT NULL, amount DECIMAL(12, 2), currency STRING,
  doubled AS amount * 2,
  event_time TIMESTAMP(3) NOT NULL,
  CHECK (amount >= 0),
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH ('connector' = 'embedded', 'partition.key' = 'order_id', 'dedup.key' = 'order_id', 'topic' = 'a');";
const FLOW: &str = "CREATE TABLE flow (
  order_id STRING NOT NULL, event_time TIMESTAMP(3) NOT NULL, net DECIMAL(12, 2) NOT NULL METADATA,
  WATERMARK FOR event_time AS SOURCE_WATERMARK()
) WITH ('connector' = 'lifecycle', 'source' = 'orders', 'key' = 'order_id', 'kind' = 'kind', 'amount' = 'amount',
  'on.placed' = 'open', 'on.paid' = 'pay', 'on.refunded' = 'refund', 'horizon' = '1 h');";
const RATES: &str = "CREATE TABLE rates (currency STRING NOT NULL, published_on DATE NOT NULL, cny DECIMAL(10, 2) NOT NULL)
WITH ('connector' = 'filesystem', 'path' = 'rates.csv', 'format' = 'csv', 'csv.header' = 'true');";
const RATES_ROWS: &str = "currency,published_on,cny\nEUR,2020-11-10,8.00\n";
const LARGE: &str = "-- scope: large@1\n-- zh: 大额\n-- en: large\nCREATE VIEW large AS SELECT * FROM orders WHERE amount > 10;";
const IN_YUAN: &str = "-- scope: in_yuan@1\n-- zh: 折算\n-- en: in yuan
CREATE VIEW in_yuan AS SELECT large.event_time, large.amount * rates.cny AS gmv
FROM large JOIN rates ON rates.currency = large.currency WHERE rates.published_on <= DATE '2020-11-10';";
const NET: &str = "-- scope: net@1\n-- zh: 净\n-- en: net\nCREATE VIEW net AS SELECT * FROM flow;";

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = Self { dir: tempfile::tempdir().expect("a folder") };
        folder.write("streams/orders.sql", ORDERS);
        folder.write("streams/flow.sql", FLOW);
        folder.write("reference/rates.sql", RATES);
        folder.write("reference/rates.csv", RATES_ROWS);
        folder.write("scopes/large.sql", LARGE);
        folder.write("scopes/in_yuan.sql", IN_YUAN);
        folder.write("scopes/net.sql", NET);
        folder
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    fn catalog(&self) -> Catalog {
        catalog(self.dir.path(), &BTreeMap::new(), StateBounds::default()).expect("is right")
    }
}

fn register(dir: &Path) -> ScopeRegister {
    let objects: Arc<dyn Objects> = Arc::new(Disk::open(dir).expect("opens"));
    ScopeRegister::open(&objects).expect("opens")
}

/// What is refused after one file has another text, by scope, with the words of the refusal.
fn refused_after(file: &str, text: &str) -> BTreeMap<String, String> {
    let (folder, kept) = (Folder::new(), tempfile::tempdir().expect("a folder"));
    let scopes = folder.catalog().scopes;
    register(kept.path()).learn(&scopes).expect("is written");
    register(kept.path()).check(&scopes).expect("nothing has changed");
    folder.write(file, text);
    let told = register(kept.path()).check(&folder.catalog().scopes).err().unwrap_or_default();
    told.into_iter().map(|conflict| (conflict.name.clone(), conflict.to_string())).collect()
}

#[test]
fn a_version_is_refused_when_anything_it_counts_by_has_changed_and_says_what() {
    let all = &["in_yuan", "large", "net"][..];
    let cases = [
        (
            "streams/orders.sql",
            ORDERS.replace("amount * 2", "amount * 3"),
            all,
            "column orders.doubled: then AS amount * 2, now AS amount * 3",
        ),
        (
            "streams/orders.sql",
            ORDERS.replace("amount >= 0", "amount > 0"),
            all,
            "CHECK (amount >= 0) of orders",
        ),
        (
            "streams/orders.sql",
            ORDERS.replace("'5' SECOND", "'6' SECOND"),
            all,
            "WATERMARK of orders: then FOR event_time AS",
        ),
        (
            "streams/orders.sql",
            ORDERS.replace("currency STRING,", "currency STRING NOT NULL,"),
            all,
            "column orders.currency: new, STRING NOT NULL",
        ),
        (
            "streams/orders.sql",
            ORDERS.replace("'dedup.key' = 'order_id'", "'dedup.key' = 'order_id,kind'"),
            all,
            "option 'dedup.key' of orders: then 'order_id', now 'order_id,kind'",
        ),
        (
            "streams/orders.sql",
            ORDERS.replace("'topic' = 'a'", "'time-zone' = 'UTC'"),
            all,
            "time zone of orders: then Asia/Shanghai, now UTC",
        ),
        (
            "streams/flow.sql",
            FLOW.replace("'on.refunded' = 'refund'", "'on.refunded' = 'cancel'"),
            &["net"],
            "option 'on.refunded' of flow: then 'refund', now 'cancel'",
        ),
        (
            "reference/rates.csv",
            RATES_ROWS.replace("8.00", "8.50"),
            &["in_yuan"],
            "rows it reads of rates",
        ),
        ("scopes/large.sql", LARGE.replace("> 10", "> 11"), &["in_yuan", "large"], "SHA-256 then"),
        (
            "scopes/large.sql",
            LARGE.replace("large@1", "large@2").replace("> 10", "> 11"),
            &["in_yuan"],
            "scope large: then",
        ),
    ];
    for (file, text, expected, words) in cases {
        let refused = refused_after(file, &text);
        assert_eq!(refused.keys().collect::<Vec<_>>(), expected, "{words}: {refused:#?}");
        for (name, told) in &refused {
            let to_do = format!("raise the version (-- scope: {name}@2)");
            let place = format!("scopes/{name}.sql:4:1");
            for word in [&place, &to_do] {
                assert!(told.contains(word), "{word} not in: {told}");
            }
        }
        let named = refused.values().filter(|told| told.contains(words)).count();
        assert!(named > 0, "{words} not in {refused:#?}");
    }
}

#[test]
fn what_moves_no_figure_of_a_version_is_not_refused() {
    let cases = [
        // A rate that is published later is outside of what the scope pins.
        ("reference/rates.csv", format!("{RATES_ROWS}EUR,2020-11-12,9.00\n")),
        ("streams/orders.sql", ORDERS.replace("'topic' = 'a'", "'topic' = 'b'")),
        ("streams/orders.sql", ORDERS.replace("currency STRING,", "currency STRING, note STRING,")),
        ("scopes/large.sql", LARGE.replace("en: large", "en: large orders")),
    ];
    for (file, text) in cases {
        let refused = refused_after(file, &text);
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

#[test]
fn a_column_that_came_later_is_kept_to_from_then_on() {
    let (folder, kept) = (Folder::new(), tempfile::tempdir().expect("a folder"));
    register(kept.path()).learn(&folder.catalog().scopes).expect("is written");
    let with_note =
        |note: &str| ORDERS.replace("currency STRING,", &format!("currency STRING, {note},"));
    folder.write("streams/orders.sql", &with_note("note STRING"));
    let scopes = folder.catalog().scopes;
    let mut again = register(kept.path());
    again.check(&scopes).expect("it rejects no record");
    again.learn(&scopes).expect("is written");
    folder.write("streams/orders.sql", &with_note("note INT"));
    let told = register(kept.path()).check(&folder.catalog().scopes).expect_err("it was a text");
    assert!(told[0].to_string().contains("orders.note: then STRING, now INT"), "{}", told[0]);
}

#[test]
fn rows_of_a_table_that_the_scope_follows_may_change_and_nothing_else_may() {
    let (folder, kept) = (Folder::new(), tempfile::tempdir().expect("a folder"));
    let following =
        |table: &str| IN_YUAN.replace("\n-- zh", &format!("\n-- follows: {table}\n-- zh"));
    folder.write("scopes/in_yuan.sql", &following("rates"));
    register(kept.path()).learn(&folder.catalog().scopes).expect("is written");
    folder.write("reference/rates.csv", &RATES_ROWS.replace("8.00", "8.50"));
    register(kept.path()).check(&folder.catalog().scopes).expect("it follows them");
    folder.write("scopes/in_yuan.sql", IN_YUAN);
    let told =
        register(kept.path()).check(&folder.catalog().scopes).expect_err("it no longer does");
    assert!(
        told[0].to_string().contains("'-- follows: rates': then declared, now gone"),
        "{}",
        told[0]
    );
    folder.write("scopes/in_yuan.sql", &following("rate"));
    let wrong = catalog(folder.dir.path(), &BTreeMap::new(), StateBounds::default())
        .expect_err("no such table");
    assert!(
        wrong[0].to_string().contains("'-- follows: rate': no such reference table"),
        "{}",
        wrong[0]
    );
}

#[test]
fn a_register_of_texts_only_is_read_and_learns_what_they_mean() {
    let (folder, kept) = (Folder::new(), tempfile::tempdir().expect("a folder"));
    let scopes = folder.catalog().scopes;
    let known = |name: &str| {
        let scope = &scopes[name];
        format!(
            "\"{name}\":{{\"1\":{{\"hash\":\"{}\",\"zh\":\"z\",\"en\":\"e\",\"text\":\"t\"}}}}",
            scope.hash
        )
    };
    let old = format!("{{{},{},{}}}", known("in_yuan"), known("large"), known("net"));
    std::fs::write(kept.path().join("scopes.json"), old).expect("written");
    let mut first = register(kept.path());
    first.check(&scopes).expect("the texts are the same");
    first.learn(&scopes).expect("is written");
    folder.write("reference/rates.csv", &RATES_ROWS.replace("8.00", "8.50"));
    let told = register(kept.path()).check(&folder.catalog().scopes).expect_err("it has learned");
    assert!(told[0].to_string().contains("rows it reads of rates"), "{}", told[0]);
}

#[test]
fn an_older_version_that_is_kept_is_read_beside_the_current_one_and_is_the_same_version() {
    let (folder, kept) = (Folder::new(), tempfile::tempdir().expect("a folder"));
    register(kept.path()).learn(&folder.catalog().scopes).expect("is written");
    let next = LARGE.replace("large@1", "large@2").replace("amount > 10", "amount > 20");
    folder.write("scopes/large.sql", &next);
    folder.write("scopes/in_yuan.sql", &IN_YUAN.replace("in_yuan@1", "in_yuan@2"));
    for old in ["\"large@1\"", "`large@1`"] {
        folder.write("scopes/large_1.sql", &LARGE.replace("VIEW large", &format!("VIEW {old}")));
        folder.write("views/both.sql", BOTH);
        let catalog = folder.catalog();
        register(kept.path()).check(&catalog.scopes).expect("it means what it meant");
        let scopes: Vec<(&str, String)> = catalog
            .views
            .iter()
            .map(|view| {
                let scope = view.scope.as_ref().expect("a scope");
                (view.name.as_str(), format!("{}@{}", scope.name, scope.version))
            })
            .collect();
        let told = scopes.iter().map(|(view, scope)| (*view, scope.as_str())).collect::<Vec<_>>();
        // Not the scope beneath: `in_yuan` reads `large`.
        assert_eq!(told, [("a", "large@2"), ("b", "large@1"), ("c", "in_yuan@2")]);
    }
    let changed = LARGE.replace("VIEW large", "VIEW \"large@1\"").replace("> 10", "> 11");
    folder.write("scopes/large_1.sql", &changed);
    let told = register(kept.path()).check(&folder.catalog().scopes).expect_err("it has changed");
    assert!(told[0].to_string().contains("scope large@1 means something else"), "{}", told[0]);

    folder.write("scopes/large_1.sql", &LARGE.replace("VIEW large", "VIEW \"large@1\""));
    folder.write("scopes/large.sql", LARGE);
    let refused = catalog(folder.dir.path(), &BTreeMap::new(), StateBounds::default());
    let told = refused.expect_err("both are version 1");
    assert!(told[0].to_string().contains("large@1 is kept as an older version"), "{}", told[0]);
}

const BOTH: &str = "
CREATE MATERIALIZED VIEW a AS SELECT COUNT(*) AS n FROM large;
CREATE MATERIALIZED VIEW b AS SELECT COUNT(*) AS n FROM \"large@1\";
CREATE MATERIALIZED VIEW c AS SELECT COUNT(*) AS n, SUM(gmv) AS gmv FROM in_yuan;";

#[test]
fn a_view_over_views_counts_in_their_scopes_each_named_once() {
    let folder = Folder::new();
    let over = "
CREATE MATERIALIZED VIEW over AS SELECT MAX(a.n + b.n) AS n FROM a CROSS JOIN b;
CREATE MATERIALIZED VIEW larger AS SELECT MAX(over.n + c.n + a.n) AS n FROM over CROSS JOIN c CROSS JOIN a;
CREATE MATERIALIZED VIEW records AS SELECT MAX(accepted) AS n FROM records_accounted;";
    folder.write("views/both.sql", &BOTH.replace("\"large@1\"", "net"));
    folder.write("views/over.sql", over);
    let catalog = folder.catalog();
    let told = |name: &str| {
        let view = catalog.views.iter().find(|view| view.name == name).expect("a view");
        let info = view_info(&catalog, view);
        (info.scope, info.definition.en)
    };
    let of = |scopes: &str, definition: &str| (Some(scopes.to_owned()), definition.to_owned());
    assert_eq!(told("a"), of("large@1", "large"));
    assert_eq!(told("over"), of("large@1, net@1", "large net"));
    assert_eq!(told("larger"), of("large@1, in_yuan@1, net@1", "large in yuan net"));
    assert_eq!(told("records"), (None, String::new()));
}
