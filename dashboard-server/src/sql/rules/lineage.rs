//! Which columns of a view are columns of a stream that tell of a person: followed down its plan.
//!
//! A column is one of them that shows such a value as it is, under whatever name, trimmed, cast, chosen among others or
//! picked from a group. What an expression makes of it (`'***' || RIGHT(buyer_id, 4)`), how many there are, and what is
//! compared with it, is what the author of the view shows on purpose.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::logical_expr::expr::{Alias, Case, Cast, TryCast, WindowFunction};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use tidemark_pipeline::sql::script::StatementKind;
use tidemark_pipeline::sql::session::analyzed;
use tidemark_pipeline::sql::stream::StreamDefinition;
use tidemark_pipeline::sql::{Catalog, ViewDefinition};

/// Functions that give back what they are given, or nearly.
const KEEPING: [&str; 11] = [
    "btrim", "coalesce", "greatest", "least", "lower", "ltrim", "nullif", "nvl", "rtrim", "trim",
    "upper",
];
/// Aggregates and window functions of which nothing can be told about a single value.
const COUNTING: [&str; 12] = [
    "approx_distinct",
    "avg",
    "count",
    "cume_dist",
    "dense_rank",
    "ntile",
    "percent_rank",
    "rank",
    "regr_count",
    "row_number",
    "stddev",
    "sum",
];

/// The columns of a stream that tell of a person.
pub(super) type OfStream<'a> = &'a dyn Fn(&Catalog, &StreamDefinition) -> BTreeSet<String>;

/// By view, those of its columns that tell of a person; only views that have some.
pub(super) fn personal_columns(
    catalog: &Catalog,
    of_stream: OfStream<'_>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut lineage = Lineage { catalog, of_stream, views: BTreeMap::new() };
    for view in &catalog.views {
        lineage.of_table(&view.name);
    }
    lineage.views.retain(|_, columns| !columns.is_empty());
    lineage.views
}

struct Lineage<'a> {
    catalog: &'a Catalog,
    of_stream: OfStream<'a>,
    views: BTreeMap<String, BTreeSet<String>>,
}

impl Lineage<'_> {
    fn of_table(&mut self, name: &str) -> BTreeSet<String> {
        if let Some(stream) = self.catalog.streams.get(name) {
            return (self.of_stream)(self.catalog, &stream.definition);
        }
        if let Some(known) = self.views.get(name) {
            return known.clone();
        }
        let Some(view) = self.catalog.views.iter().find(|view| view.name == name) else {
            return BTreeSet::new();
        };
        // No view reads itself, so this ends.
        let columns = self.of_view(view);
        self.views.insert(name.to_owned(), columns.clone());
        columns
    }

    fn of_view(&mut self, view: &ViewDefinition) -> BTreeSet<String> {
        let StatementKind::CreateView(written) = &view.statement.kind else {
            return BTreeSet::new();
        };
        // It has been planned before, when it was declared.
        let Ok(plan) = analyzed(&self.catalog.context.state(), &written.query) else {
            return BTreeSet::new();
        };
        let marks = self.of_plan(&plan);
        let fields = plan.schema().fields().iter();
        let marked = fields.zip(marks).filter(|(_, is_personal)| *is_personal);
        marked.map(|(field, _)| field.name().clone()).collect()
    }

    /// For each column of a plan whether it is one.
    fn of_plan(&mut self, plan: &LogicalPlan) -> Vec<bool> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let personal = self.of_table(scan.table_name.table());
                let fields = scan.projected_schema.fields().iter();
                fields.map(|field| personal.contains(field.name())).collect()
            }
            LogicalPlan::Projection(node) => {
                let below = self.of_plan(&node.input);
                let shows = |expr: &Expr| shows(expr, &node.input, &below);
                node.expr.iter().map(shows).collect()
            }
            LogicalPlan::Aggregate(node) => {
                let below = self.of_plan(&node.input);
                let shows = |expr: &Expr| shows(expr, &node.input, &below);
                let all: Vec<bool> =
                    node.group_expr.iter().chain(&node.aggr_expr).map(shows).collect();
                self.fitting(plan, all)
            }
            LogicalPlan::Window(node) => {
                let mut below = self.of_plan(&node.input);
                let own: Vec<bool> =
                    node.window_expr.iter().map(|expr| shows(expr, &node.input, &below)).collect();
                below.extend(own);
                self.fitting(plan, below)
            }
            LogicalPlan::Join(node) => {
                let mut both = self.of_plan(&node.left);
                both.extend(self.of_plan(&node.right));
                self.fitting(plan, both)
            }
            LogicalPlan::Union(node) => {
                let mut all = vec![false; plan.schema().fields().len()];
                for input in &node.inputs {
                    for (one, other) in all.iter_mut().zip(self.of_plan(input)) {
                        *one |= other;
                    }
                }
                all
            }
            LogicalPlan::Distinct(Distinct::All(input)) => self.of_plan(input),
            LogicalPlan::Filter(node) => self.of_plan(&node.input),
            LogicalPlan::Sort(node) => self.of_plan(&node.input),
            LogicalPlan::Limit(node) => self.of_plan(&node.input),
            LogicalPlan::Repartition(node) => self.of_plan(&node.input),
            LogicalPlan::SubqueryAlias(node) => self.of_plan(&node.input),
            _ => self.by_name(plan),
        }
    }

    /// What has been told for the columns of a node, or else by their names.
    fn fitting(&mut self, plan: &LogicalPlan, marks: Vec<bool>) -> Vec<bool> {
        if marks.len() == plan.schema().fields().len() { marks } else { self.by_name(plan) }
    }

    /// Of a node that is not known a column is one that has the name of one below.
    fn by_name(&mut self, plan: &LogicalPlan) -> Vec<bool> {
        let mut names = BTreeSet::new();
        for input in plan.inputs() {
            let marks = self.of_plan(input);
            let fields = input.schema().fields().iter().zip(marks);
            names.extend(fields.filter(|(_, mark)| *mark).map(|(field, _)| field.name().clone()));
        }
        plan.schema().fields().iter().map(|field| names.contains(field.name())).collect()
    }
}

/// Whether an expression shows a marked column of its input.
fn shows(expr: &Expr, input: &LogicalPlan, marks: &[bool]) -> bool {
    let any = |all: &[Expr]| all.iter().any(|expr| shows(expr, input, marks));
    match expr {
        Expr::Column(column) => {
            let at = input.schema().maybe_index_of_column(column);
            at.is_some_and(|at| marks.get(at).copied().unwrap_or(false))
        }
        Expr::Alias(Alias { expr, .. })
        | Expr::Cast(Cast { expr, .. })
        | Expr::TryCast(TryCast { expr, .. }) => shows(expr, input, marks),
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let branches = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            branches.into_iter().any(|then| shows(then, input, marks))
        }
        Expr::ScalarFunction(call) => KEEPING.contains(&call.name()) && any(&call.args),
        Expr::AggregateFunction(call) => !is_counting(call.func.name()) && any(&call.params.args),
        Expr::WindowFunction(call) => {
            let WindowFunction { fun, params } = call.as_ref();
            !is_counting(fun.name()) && any(&params.args)
        }
        Expr::GroupingSet(set) => set.distinct_expr().iter().any(|expr| shows(expr, input, marks)),
        _ => false,
    }
}

fn is_counting(function: &str) -> bool {
    COUNTING.iter().any(|known| function == *known || function.starts_with("stddev"))
}

#[cfg(test)]
mod tests {
    use tidemark_pipeline::run::reference;
    use tidemark_pipeline::sql::StateBounds;

    use super::super::known::Known;
    use super::super::{HashKey, Rules};
    use super::*;
    use crate::auth::Role;
    use crate::config::{Config, Overrides, RawConfig};

    const STREAM: &str = "CREATE TABLE orders (order_id STRING NOT NULL, buyer_id STRING, shop STRING, \
         amount DECIMAL(18, 2), event_time TIMESTAMP(3), \
         WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND) \
         WITH ('connector' = 'embedded', 'history' = 'keep', PERSONAL);";
    const OVER: &str = "FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' DAY))";
    const WINDOW: &str = "window_start, window_end";

    fn catalog(personal: &str, views: &[(&str, String)]) -> Catalog {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, text).expect("written");
        };
        write("streams/orders.sql", &STREAM.replace("PERSONAL", personal));
        let scope = "CREATE VIEW bought AS SELECT event_time, buyer_id AS who, amount FROM orders;";
        let head = "-- scope: bought@1\n-- zh: 买\n-- en: bought\n";
        write("scopes/bought.sql", &format!("{head}{scope}"));
        for (name, query) in views {
            let text = format!(
                "CREATE MATERIALIZED VIEW {name} WITH ('state.groups' = '100') AS {query};"
            );
            write(&format!("views/{name}.sql"), &text);
        }
        reference::catalog(folder.path(), &BTreeMap::new(), StateBounds::default())
            .unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    fn analyst(catalog: &Catalog) -> std::sync::Arc<super::super::RoleRules> {
        let config = Config::check(RawConfig::default(), Overrides::default()).expect("valid");
        let known = Known::of_catalog(catalog);
        let rules = Rules::new(&config.sql, &known, &HashKey::new([1; 32]));
        rules.unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).of(Role::Analyst)
    }

    #[test]
    fn a_view_that_shows_buyers_under_whatever_name_is_masked_and_one_that_counts_them_is_not() {
        let grouped = |columns: &str, by: &str| {
            format!("SELECT {WINDOW}, {columns} {OVER} GROUP BY {WINDOW}{by}")
        };
        let plain = grouped("buyer_id, SUM(amount) AS gmv", ", buyer_id");
        let views = [
            ("plain", plain.clone()),
            (
                "named",
                grouped("UPPER(TRIM(buyer_id)) AS x, COUNT(*) AS n", ", UPPER(TRIM(buyer_id))"),
            ),
            ("picked", grouped("MAX(buyer_id) AS top, COUNT(DISTINCT buyer_id) AS n", "")),
            ("counted", grouped("shop, APPROX_DISTINCT(buyer_id) AS n", ", shop")),
            (
                "made",
                grouped(
                    "'*' || RIGHT(buyer_id, 4) AS b, COUNT(*) AS n",
                    ", '*' || RIGHT(buyer_id, 4)",
                ),
            ),
            (
                "scoped",
                grouped("who, COUNT(*) AS n", ", who").replace("TABLE orders", "TABLE bought"),
            ),
            (
                "over",
                "SELECT window_start, buyer_id AS b, MAX(gmv) AS most FROM plain \
                 GROUP BY window_start, buyer_id"
                    .to_owned(),
            ),
            (
                "ranked",
                format!(
                    "SELECT {WINDOW}, buyer_id AS b, nth FROM (SELECT *, ROW_NUMBER() OVER \
                     (PARTITION BY {WINDOW} ORDER BY gmv DESC) AS nth FROM ({plain})) WHERE nth <= 3"
                ),
            ),
        ];
        let catalog = catalog("'personal' = 'buyer_id'", &views);
        let rules = analyst(&catalog);
        let hidden: Vec<&str> = rules.hidden_views().iter().map(String::as_str).collect();
        assert_eq!(hidden, ["named", "over", "picked", "plain", "ranked", "scoped"]);
        for (view, column) in [
            ("plain", "buyer_id"),
            ("named", "x"),
            ("picked", "top"),
            ("scoped", "who"),
            ("over", "b"),
            ("ranked", "b"),
            ("orders", "buyer_id"),
            ("dead_letters", "raw"),
            ("dead_letters", "reason"),
            ("late_orders", "raw"),
            ("unmatched", "raw"),
        ] {
            assert!(rules.is_masked(view, column), "{view}.{column}");
        }
        for (view, column) in
            [("picked", "n"), ("plain", "gmv"), ("ranked", "nth"), ("unmatched", "order_key")]
        {
            assert!(!rules.is_masked(view, column), "{view}.{column}");
        }
    }

    #[test]
    fn what_a_history_holds_as_a_hash_is_not_hashed_again_and_without_personal_columns_all_is_shown()
     {
        let hashed = catalog("'history.hashed' = 'buyer_id', 'personal' = 'buyer_id, shop'", &[]);
        let rules = analyst(&hashed);
        assert!(!rules.is_masked("orders", "buyer_id") && rules.is_masked("orders", "shop"));
        let plain = catalog("'history.hashed' = 'buyer_id'", &[]);
        let declared = |of: &Catalog| of.streams["orders"].definition.hash();
        assert_eq!(
            declared(&hashed),
            declared(&plain),
            "the same records count, whoever is shown them"
        );
        let rules = analyst(&plain);
        assert!(!rules.is_masked("orders", "shop") && !rules.is_masked("dead_letters", "raw"));
    }

    #[test]
    fn the_shipped_views_show_no_buyer_and_the_ledgers_of_orders_no_record() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql"));
        let shipped = reference::catalog(folder, &BTreeMap::new(), StateBounds::default());
        let rules = analyst(&shipped.expect("is right"));
        assert!(rules.hidden_views().is_empty(), "{:?}", rules.hidden_views());
        assert!(rules.is_masked("dead_letters", "raw"));
    }
}
