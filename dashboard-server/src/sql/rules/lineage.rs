//! Which columns of a view come from columns of a stream that tell of a person: followed down its plan.
//!
//! One comes from them that is computed from such a value in whatever way: as it is, cut, put together with others
//! (`buyer_id || ''`, `buyer_id + 0`), compared with something, picked from a group or ranked by it. Only a count tells
//! nothing of a single value: `COUNT`, `COUNT(DISTINCT …)`, `APPROX_DISTINCT`. What the author of a view shows on purpose is
//! declared in the head of the view, `-- clear: COLUMN, COLUMN`, and is then clear there and in what reads it.
//!
//! What cannot be followed is taken for one of them. Which rows there are is not followed: a view of the orders of one
//! buyer, by a condition, is what its author made it.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::expr::{
    AggregateFunction, Exists, InSubquery, SetComparison, WindowFunction,
};
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, Subquery};
use tidemark_pipeline::sql::script::StatementKind;
use tidemark_pipeline::sql::session::analyzed;
use tidemark_pipeline::sql::stream::StreamDefinition;
use tidemark_pipeline::sql::window_function::WindowNode;
use tidemark_pipeline::sql::{Catalog, ViewDefinition};

/// Aggregates of which nothing can be told about a single value.
const COUNTING: [&str; 2] = ["approx_distinct", "count"];

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
        let mut columns = self.of_view(view);
        columns.retain(|column| !view.clear.contains(column));
        self.views.insert(name.to_owned(), columns.clone());
        columns
    }

    fn of_view(&mut self, view: &ViewDefinition) -> BTreeSet<String> {
        let planned = match &view.statement.kind {
            StatementKind::CreateView(written) => {
                analyzed(&self.catalog.context.state(), &written.query).ok()
            }
            _ => None,
        };
        // It has been planned before, when it was declared; if it cannot be now, nobody knows what it shows.
        let Some(plan) = planned else {
            let schema = view.query.schema();
            return schema.fields().iter().map(|field| field.name().clone()).collect();
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
            LogicalPlan::Projection(node) => self.of_each(&node.expr, &node.input),
            LogicalPlan::Aggregate(node) => {
                let mut all = match node.group_expr.as_slice() {
                    [Expr::GroupingSet(set)] => {
                        let groups: Vec<Expr> = set.distinct_expr().into_iter().cloned().collect();
                        let mut all = self.of_each(&groups, &node.input);
                        // Which of the sets a row is of.
                        all.push(false);
                        all
                    }
                    groups => self.of_each(groups, &node.input),
                };
                all.extend(self.of_each(&node.aggr_expr, &node.input));
                self.fitting(plan, all)
            }
            LogicalPlan::Window(node) => {
                let mut all = self.of_plan(&node.input);
                all.extend(self.of_each(&node.window_expr, &node.input));
                self.fitting(plan, all)
            }
            LogicalPlan::Join(node) => {
                let all = self.of_join(node);
                self.fitting(plan, all)
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
            LogicalPlan::Distinct(Distinct::On(node)) => {
                self.of_each(&node.select_expr, &node.input)
            }
            LogicalPlan::Subquery(node) => self.of_plan(&node.subquery),
            LogicalPlan::Filter(node) => self.of_plan(&node.input),
            LogicalPlan::Sort(node) => self.of_plan(&node.input),
            LogicalPlan::Limit(node) => self.of_plan(&node.input),
            LogicalPlan::Repartition(node) => self.of_plan(&node.input),
            LogicalPlan::SubqueryAlias(node) => self.of_plan(&node.input),
            LogicalPlan::Extension(node) => match node.node.as_any().downcast_ref::<WindowNode>() {
                Some(windows) => {
                    let mut all = self.of_plan(&windows.input);
                    // Its own columns are behind those of its rows: where a window begins and ends.
                    all.resize(plan.schema().fields().len(), false);
                    all
                }
                None => self.by_name(plan),
            },
            _ => self.by_name(plan),
        }
    }

    fn of_join(&mut self, node: &Join) -> Vec<bool> {
        let (mut left, right) = (self.of_plan(&node.left), self.of_plan(&node.right));
        match node.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            _ => {
                left.extend(right);
                left
            }
        }
    }

    /// For each expression over a plan whether it is one.
    fn of_each(&mut self, all: &[Expr], input: &LogicalPlan) -> Vec<bool> {
        let marks = self.of_plan(input);
        all.iter().map(|expr| self.comes_from(expr, (input, &marks))).collect()
    }

    /// What has been told for the columns of a node, or else by their names.
    fn fitting(&mut self, plan: &LogicalPlan, marks: Vec<bool>) -> Vec<bool> {
        if marks.len() == plan.schema().fields().len() { marks } else { self.by_name(plan) }
    }

    /// Of a node that is not known each column is one, where any below is, but those that have the name of one below that
    /// is none.
    fn by_name(&mut self, plan: &LogicalPlan) -> Vec<bool> {
        let (mut marked, mut clear) = (BTreeSet::new(), BTreeSet::new());
        for input in plan.inputs() {
            let marks = self.of_plan(input);
            for (field, mark) in input.schema().fields().iter().zip(marks) {
                let names = if mark { &mut marked } else { &mut clear };
                names.insert(field.name().clone());
            }
        }
        let is_one =
            |name: &String| !marked.is_empty() && (marked.contains(name) || !clear.contains(name));
        plan.schema().fields().iter().map(|field| is_one(field.name())).collect()
    }

    /// Whether an expression comes from a marked column of its input.
    fn comes_from(&mut self, expr: &Expr, of: (&LogicalPlan, &[bool])) -> bool {
        match expr {
            Expr::Column(column) => {
                let at = of.0.schema().maybe_index_of_column(column);
                let mark = at.and_then(|at| of.1.get(at).copied());
                mark.unwrap_or_else(|| of.1.contains(&true))
            }
            Expr::AggregateFunction(call) => !is_counting(call) && self.part_comes_from(expr, of),
            Expr::WindowFunction(call) => {
                // Who is counted together says nothing; in which order tells of the values.
                let WindowFunction { fun, params } = call.as_ref();
                let order = params.order_by.iter().map(|sort| &sort.expr);
                let counts = COUNTING.contains(&fun.name());
                let told = params.args.iter().chain(params.filter.as_deref()).filter(|_| !counts);
                order.chain(told).any(|part| self.comes_from(part, of))
            }
            Expr::ScalarSubquery(inner) | Expr::Exists(Exists { subquery: inner, .. }) => {
                self.subquery_comes_from(inner, of)
            }
            Expr::InSubquery(InSubquery { expr: left, subquery: inner, .. })
            | Expr::SetComparison(SetComparison { expr: left, subquery: inner, .. }) => {
                self.comes_from(left, of) || self.subquery_comes_from(inner, of)
            }
            _ => self.part_comes_from(expr, of),
        }
    }

    fn part_comes_from(&mut self, expr: &Expr, of: (&LogicalPlan, &[bool])) -> bool {
        let mut is_found = false;
        let walked = expr.apply_children(|part| {
            is_found = is_found || self.comes_from(part, of);
            Ok(TreeNodeRecursion::Continue)
        });
        is_found || walked.is_err()
    }

    fn subquery_comes_from(
        &mut self,
        inner: &Subquery,
        (input, marks): (&LogicalPlan, &[bool]),
    ) -> bool {
        let outer = inner.outer_ref_columns.iter().any(|column| match column {
            Expr::OuterReferenceColumn(_, column) => {
                let at = input.schema().maybe_index_of_column(column);
                at.is_none_or(|at| marks.get(at).copied().unwrap_or(true))
            }
            _ => true,
        });
        outer || self.of_plan(&inner.subquery).contains(&true)
    }
}

/// Whether an aggregate counts. Which rows it counts, and in which order, does not tell a value.
fn is_counting(call: &AggregateFunction) -> bool {
    COUNTING.contains(&call.func.name())
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
        catalog_with(personal, views, "")
    }

    /// With a head of the first view.
    fn catalog_with(personal: &str, views: &[(&str, String)], head: &str) -> Catalog {
        let first = head;
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
        for (nth, (name, query)) in views.iter().enumerate() {
            let head = if nth == 0 { first } else { "" };
            let text = format!(
                "{head}CREATE MATERIALIZED VIEW {name} WITH ('state.groups' = '100') AS {query};"
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
            ("joined", grouped("buyer_id || '' AS b, SUM(amount) AS gmv", ", buyer_id || ''")),
            (
                "cut",
                grouped(
                    "REPLACE(SUBSTRING(buyer_id, 1, 99), 'x', 'y') AS b, COUNT(*) AS n",
                    ", REPLACE(SUBSTRING(buyer_id, 1, 99), 'x', 'y')",
                ),
            ),
            (
                "added",
                grouped(
                    "CAST(buyer_id AS BIGINT) + 0 AS b, COUNT(*) AS n",
                    ", CAST(buyer_id AS BIGINT) + 0",
                ),
            ),
            (
                "asked",
                grouped("SUM(CASE WHEN buyer_id = 'b1' THEN amount END) AS a, COUNT(*) AS n", ""),
            ),
            ("within", grouped("MAX(CASE WHEN buyer_id > 'b1' THEN 1 ELSE 0 END) AS m", "")),
            ("rolled", grouped("MAX(buyer_id) AS top, shop, COUNT(*) AS n", ", ROLLUP (shop)")),
            (
                "placed",
                format!(
                    "SELECT {WINDOW}, gmv, nth FROM (SELECT *, RANK() OVER (PARTITION BY {WINDOW} ORDER BY \
                     buyer_id) AS nth FROM ({plain})) WHERE nth <= 3"
                ),
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
        let hidden: Vec<String> = rules.hidden_views().into_iter().collect();
        let all = [
            "added", "asked", "cut", "joined", "made", "named", "over", "picked", "placed",
            "plain", "ranked", "rolled", "scoped", "within",
        ];
        assert_eq!(hidden, all);
        for (view, column) in [
            ("plain", "buyer_id"),
            ("named", "x"),
            ("picked", "top"),
            ("scoped", "who"),
            ("over", "b"),
            ("ranked", "b"),
            ("made", "b"),
            ("joined", "b"),
            ("cut", "b"),
            ("added", "b"),
            ("asked", "a"),
            ("within", "m"),
            ("rolled", "top"),
            ("placed", "nth"),
            ("orders", "buyer_id"),
            ("dead_letters", "raw"),
            ("dead_letters", "reason"),
            ("late_orders", "raw"),
            ("unmatched", "raw"),
        ] {
            assert!(rules.is_masked(view, column), "{view}.{column}");
        }
        for (view, column) in [
            ("picked", "n"),
            ("plain", "gmv"),
            ("ranked", "nth"),
            ("asked", "n"),
            ("rolled", "n"),
            ("rolled", "shop"),
            ("placed", "gmv"),
            ("unmatched", "order_key"),
        ] {
            assert!(!rules.is_masked(view, column), "{view}.{column}");
        }
    }

    #[test]
    fn what_a_view_declares_clear_is_clear_there_and_in_what_reads_it_and_nothing_else() {
        let tail = format!(
            "SELECT {WINDOW}, '*' || RIGHT(buyer_id, 4) AS b, MAX(buyer_id) AS top {OVER} \
             GROUP BY {WINDOW}, '*' || RIGHT(buyer_id, 4)"
        );
        let over =
            "SELECT window_start, b AS tail, MAX(top) AS top FROM tails GROUP BY window_start, b";
        let views = [("tails", tail), ("over", over.to_owned())];
        let of = |head: &str| analyst(&catalog_with("'personal' = 'buyer_id'", &views, head));
        let rules = of("-- title.en: Tails\n-- clear: b\n");
        for (view, column, is_masked) in [
            ("tails", "b", false),
            ("tails", "top", true),
            ("over", "tail", false),
            ("over", "top", true),
        ] {
            assert_eq!(rules.is_masked(view, column), is_masked, "{view}.{column}");
        }
        let rules = of("");
        assert!(rules.is_masked("tails", "b") && rules.is_masked("over", "tail"));
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
