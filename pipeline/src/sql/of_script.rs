//! The catalogue of a script for `tidemark run`: one text instead of the folders of `sql/`, so that what stands
//! where tells nothing. A plain view with a scope's head is a scope. A file without an event time of its own
//! that a query joins is read whole before the first record of its stream, as the tables of `reference/` are.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Query;

use super::catalog::{Catalog, register};
use super::cut::stream_of;
use super::error::SqlError;
use super::over_results::reads_results;
use super::refusal::located;
use super::scope::head;
use super::script::{Statement, ViewStatement};
use super::session::{RowsOf, analyzed};
use super::state_estimate::StateBounds;
use super::stream_plan::StreamPlan;

/// Reads all rows of a table.
pub type ReadTable = fn(&StreamPlan) -> Result<RecordBatch, Vec<SqlError>>;

impl Catalog {
    /// A script's catalogue before its first statement, with `tables` beside the engine's own; `read_joined`
    /// reads the tables that its queries join.
    #[must_use]
    pub fn of_script(
        bounds: StateBounds,
        read_joined: ReadTable,
        tables: impl IntoIterator<Item = (&'static str, SchemaRef)>,
    ) -> Self {
        let catalog = Self { bounds, read_joined: Some(read_joined), ..Self::empty() };
        for (name, schema) in tables {
            register(&catalog.context, name, schema, RowsOf::Results);
        }
        catalog
    }

    /// Declares a plain view of a script; one whose head says `-- scope: name@1` is a scope, with its rules.
    ///
    /// # Errors
    /// When its head lacks something or its query cannot be planned.
    pub fn add_scope_or_view(
        &mut self,
        statement: &Statement,
        view: &ViewStatement,
    ) -> Result<(), Vec<SqlError>> {
        match head(statement, "scope") {
            Some(_) => self.add_scope(statement, view),
            None => self.add_view_table(statement, view),
        }
    }

    /// The analyzed plan of a statement's query. In a script the tables it joins are in it with their rows.
    ///
    /// # Errors
    /// When it cannot be planned, or a joined table not be read.
    pub fn logical(
        &mut self,
        statement: &Statement,
        query: &Query,
    ) -> Result<LogicalPlan, Vec<SqlError>> {
        let wrong = |error: &DataFusionError| vec![located(statement, query, error)];
        let plan = analyzed(&self.context.state(), query).map_err(|error| wrong(&error))?;
        let Some(read) = self.read_joined else { return Ok(plan) };
        let joined = self.joined(&plan);
        for name in &joined {
            if let (false, Some(table)) =
                (self.reference.contains_key(name), self.streams.get(name))
            {
                let rows = read(table)?;
                self.reference.insert(name.clone(), rows);
            }
        }
        self.with_rows(plan, &joined).map_err(|error| wrong(&error))
    }

    /// Names of the tables that a query joins. Where nothing in it has an event time, the first table in
    /// FROM is its stream.
    fn joined(&self, plan: &LogicalPlan) -> Vec<String> {
        let mut names = Vec::new();
        let mut note = |node: &LogicalPlan| {
            if let LogicalPlan::TableScan(scan) = node {
                names.extend(stream_of(scan).filter(|name| !names.contains(name)));
            }
            Ok(TreeNodeRecursion::Continue)
        };
        // Those in FROM come before those of subqueries. That a visit succeeds is known: it never fails.
        let _visited = plan.apply(&mut note);
        let _visited = plan.apply_with_subqueries(&mut note);
        let is_table = |name: &String| {
            self.streams.get(name).is_some_and(|table| {
                let table = &table.definition;
                table.connector == "filesystem" && table.watermark.is_none()
            })
        };
        if names.len() == 1 && !reads_results(plan) {
            return Vec::new();
        }
        if names.iter().all(is_table) && !reads_results(plan) {
            return names.into_iter().skip(1).collect();
        }
        names.into_iter().filter(is_table).collect()
    }

    fn with_rows(&self, plan: LogicalPlan, joined: &[String]) -> PlanResult<LogicalPlan> {
        if joined.is_empty() {
            return Ok(plan);
        }
        let with_rows = |node: LogicalPlan| {
            let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
            let rows = stream_of(&scan)
                .filter(|name| joined.contains(name))
                .and_then(|name| self.reference.get(&name));
            let Some(rows) = rows else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
            scan.source = provider_as_source(Arc::new(table));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        };
        Ok(plan.transform_up_with_subqueries(with_rows)?.data)
    }
}
