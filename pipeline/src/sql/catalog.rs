//! The folder `sql/` as a whole: streams, scopes, views and reference tables, checked together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use sha2::{Digest as _, Sha256};

use super::cut::reads_stream;
use super::error::SqlError;
use super::float_money;
use super::lifecycle;
use super::loading::ReadRows;
use super::meaning::{Beneath, meaning_of};
use super::names::{wrong_columns, wrong_name};
use super::of_script::ReadTable;
use super::options::Options;
use super::over_results::{InputView, OverResults, reads_results};
use super::plan::{ViewPlan, plan_view};
use super::refusal::located;
pub use super::scope::ScopeDefinition;
use super::scope::{head, hex, read_by, scope_of};
use super::script::{Statement, TableStatement, ViewStatement};
use super::session::{DeclaredTable, RowsOf, analyzed, message_of, new_session, tables_of};
use super::state_estimate::{StateBounds, StateEstimate};
use super::stream::StreamDefinition;
use super::stream_plan::StreamPlan;
pub use super::system_tables::system_tables;
use super::view::clear_columns;
pub use super::view::{ViewDefinition, ViewQuery};
use super::view_options::ViewOptions;
use super::window_function::WindowKind;
use crate::model::Zone;
use crate::results::published::schema_with_papers;
use crate::results::snapshot::Bilingual;

/// Everything `sql/` says, planned.
pub struct Catalog {
    /// The planning session with all streams and scopes.
    pub context: SessionContext,
    /// Streams by name.
    pub streams: BTreeMap<String, Arc<StreamPlan>>,
    /// Scopes by their name in SQL: the current version by its name, an older one that is kept as `NAME@VERSION`.
    pub scopes: BTreeMap<String, ScopeDefinition>,
    /// Views in the order of their names.
    pub views: Vec<ViewDefinition>,
    /// Rows of the tables read once at start, by name.
    pub reference: BTreeMap<String, RecordBatch>,
    /// How much state a view may need.
    pub(super) bounds: StateBounds,
    /// Reads the tables that queries join; `None` where `reference/` has them.
    pub(super) read_joined: Option<ReadTable>,
}

impl Catalog {
    /// An empty catalogue with the engine's own tables.
    #[must_use]
    pub fn empty() -> Self {
        let context = new_session();
        for (name, schema) in system_tables() {
            register(&context, name, schema, RowsOf::Results);
        }
        Self {
            context,
            streams: BTreeMap::new(),
            scopes: BTreeMap::new(),
            views: Vec::new(),
            reference: BTreeMap::new(),
            bounds: StateBounds::default(),
            read_joined: None,
        }
    }

    /// The streams of the log, in the order of their names.
    pub fn logs(&self) -> impl Iterator<Item = &Arc<StreamPlan>> {
        self.streams.values().filter(|plan| plan.definition.derived.is_none())
    }

    /// The tables derived from a stream of the log, in the order of their names.
    #[must_use]
    pub fn derived_from(&self, stream: &str) -> Vec<Arc<StreamPlan>> {
        let derived = self.streams.values().filter(|plan| plan.definition.derived.is_some());
        derived.filter(|plan| plan.definition.base() == stream).cloned().collect()
    }

    /// SHA-256 over everything that decides what is read and kept for a stream of the log: its own
    /// declaration and those of the tables derived from it.
    #[must_use]
    pub fn stream_hash(&self, stream: &StreamPlan) -> String {
        let mut hash = Sha256::new();
        hash.update(stream.definition.hash());
        for derived in self.derived_from(&stream.definition.name) {
            hash.update(derived.definition.hash());
        }
        hex(&hash.finalize())
    }

    /// The zone that all streams have; UTC where they differ.
    #[must_use]
    pub fn zone(&self) -> Zone {
        common_zone(self.streams.values().map(|stream| stream.definition.zone))
    }

    /// Declares a stream.
    ///
    /// # Errors
    /// Every mistake of the statement.
    pub fn add_stream(
        &mut self,
        statement: &Statement,
        table: &TableStatement,
        zone: Zone,
        overrides: &Options,
    ) -> Result<Arc<StreamPlan>, Vec<SqlError>> {
        self.refuse_second(statement, &table.name)?;
        let definition = match lifecycle::is_derived(table) {
            true => {
                let mut table = table.clone();
                table
                    .options
                    .extend(overrides.iter().map(|(key, value)| (key.clone(), value.clone())));
                lifecycle::read(statement, &table, &self.streams)?
            }
            false => StreamDefinition::read(statement, table, zone, overrides)?,
        };
        let plan = Arc::new(StreamPlan::new(&self.context.state(), definition)?);
        let columns: Vec<Field> =
            plan.definition.columns.iter().map(|column| column.field.clone()).collect();
        register(&self.context, &table.name, Arc::new(Schema::new(columns)), RowsOf::Stream);
        self.streams.insert(table.name.clone(), Arc::clone(&plan));
        Ok(plan)
    }

    /// Declares a reference table and reads it.
    ///
    /// # Errors
    /// Every mistake of the statement and of the rows.
    pub(super) fn add_reference(
        &mut self,
        statement: &Statement,
        table: &TableStatement,
        overrides: &Options,
        read_rows: ReadRows<'_>,
    ) -> Result<(), Vec<SqlError>> {
        self.refuse_second(statement, &table.name)?;
        let definition = StreamDefinition::read(statement, table, Zone::UTC, overrides)?;
        let rows = read_rows(&StreamPlan::new(&self.context.state(), definition)?)?;
        let wrong = |error: datafusion::common::DataFusionError| {
            vec![SqlError::at(&statement.file, statement.place, message_of(&error))]
        };
        let provider = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).map_err(wrong)?;
        self.context.register_table(table.name.as_str(), Arc::new(provider)).map_err(wrong)?;
        self.reference.insert(table.name.clone(), rows);
        Ok(())
    }

    /// Declares a scope.
    pub(super) fn add_scope(
        &mut self,
        statement: &Statement,
        view: &ViewStatement,
    ) -> Result<(), Vec<SqlError>> {
        let mut scope = scope_of(statement, view).map_err(|error| vec![error])?;
        // A script reads a table only when something joins it.
        let is_known =
            |table: &&String| self.reference.contains_key(*table) || self.read_joined.is_some();
        if let Some(table) = scope.follows.iter().find(|table| !is_known(table)) {
            let message = format!("'-- follows: {table}': no such reference table is declared");
            return Err(vec![SqlError::at(&statement.file, statement.place, message)]);
        }
        self.add_view_table(statement, view)?;
        let failed = |error: datafusion::common::DataFusionError| {
            vec![located(statement, &view.query, &error)]
        };
        let state = self.context.state();
        let plan = analyzed(&state, &view.query).map_err(failed)?;
        let beneath = Beneath { streams: &self.streams, scopes: &self.scopes };
        let reads = tables_of(&state, &view.query);
        float_money::check(&plan, &scope.name, true).map_err(failed)?;
        scope.meaning =
            meaning_of(&state, &plan, (&reads, &scope.follows), &beneath).map_err(failed)?;
        self.scopes.insert(view.name.clone(), scope);
        Ok(())
    }

    /// Declares a plain view.
    ///
    /// # Errors
    /// When its query cannot be planned.
    pub fn add_view_table(
        &mut self,
        statement: &Statement,
        view: &ViewStatement,
    ) -> Result<(), Vec<SqlError>> {
        self.refuse_second(statement, &view.name)?;
        let state = self.context.state();
        let plan = analyzed(&state, &view.query)
            .map_err(|error| vec![located(statement, &view.query, &error)])?;
        let table = ViewTable::new(plan, Some(statement.text.clone()));
        match self.context.register_table(view.name.as_str(), Arc::new(table)) {
            Ok(_) => Ok(()),
            Err(error) => Err(vec![located(statement, &view.query, &error)]),
        }
    }

    fn refuse_second(&self, statement: &Statement, name: &str) -> Result<(), Vec<SqlError>> {
        if let Some(message) = wrong_name(name) {
            return Err(vec![SqlError::at(&statement.file, statement.place, message)]);
        }
        let taken = self.context.table_exist(name).unwrap_or(false)
            || self.views.iter().any(|view| view.name == name);
        if taken {
            let message = format!("'{name}' is already declared");
            return Err(vec![SqlError::at(&statement.file, statement.place, message)]);
        }
        Ok(())
    }

    /// Declares a materialized view.
    ///
    /// # Errors
    /// Every mistake of its options, and why its query cannot be kept up to date.
    pub fn add_view(
        &mut self,
        statement: &Statement,
        view: &ViewStatement,
    ) -> Result<(), Vec<SqlError>> {
        self.refuse_second(statement, &view.name)?;
        let logical = self.logical(statement, &view.query)?;
        let planned = self.planned_view(statement, view, &logical)?;
        self.keep_view(planned)
    }

    /// Keeps what [`Catalog::planned_view`] has made.
    ///
    /// # Errors
    /// When the name has been declared since.
    pub(super) fn keep_view(&mut self, view: ViewDefinition) -> Result<(), Vec<SqlError>> {
        self.refuse_second(&view.statement, &view.name)?;
        let shown = schema_with_papers(&view.query.schema());
        register(&self.context, &view.name, shown, RowsOf::Results);
        self.views.push(view);
        Ok(())
    }

    /// Plans a materialized view over what has been declared; `logical` is the analyzed plan of its query.
    ///
    /// # Errors
    /// As [`Catalog::add_view`].
    pub(super) fn planned_view(
        &self,
        statement: &Statement,
        view: &ViewStatement,
        logical: &LogicalPlan,
    ) -> Result<ViewDefinition, Vec<SqlError>> {
        let refused = |message: String| SqlError::at(&statement.file, statement.place, message);
        let options = ViewOptions::read(&view.options, self.bounds)
            .map_err(|messages| messages.into_iter().map(refused).collect::<Vec<_>>())?;
        let query = self.query(statement, view, logical)?;
        if let Some(message) = wrong_columns(&query.schema()).or_else(|| options.refusal(&query)) {
            return Err(vec![refused(message)]);
        }
        let clear = clear_columns(statement, &query.schema());
        let clear = clear.map_err(|message| vec![refused(message)])?;
        if let ViewQuery::Stream(plan) = &query {
            let bounds = StateBounds {
                partitions: self
                    .declared_partitions(&plan.stream)
                    .unwrap_or(options.bounds.partitions),
                ..options.bounds
            };
            let estimate =
                StateEstimate::of(plan, options.allowed_lateness, options.retention, bounds)
                    .map_err(|error| vec![located(statement, &view.query, &error)])?;
            if let Some(message) = estimate.refusal(bounds) {
                return Err(vec![refused(message)]);
            }
        }
        let scope = self.scope_of(logical).cloned();
        let is_join = matches!(&query, ViewQuery::Stream(plan) if plan.join.is_some());
        let read = read_by(&self.scopes, |table| is_join && reads(logical, table));
        let other_scopes = read.into_iter().skip(1).cloned().collect();
        let hash = self.view_hash(statement, logical, scope.as_ref(), &query);
        Ok(ViewDefinition {
            name: view.name.clone(),
            statement: statement.clone(),
            query,
            scope,
            other_scopes,
            allowed_lateness: options.allowed_lateness,
            retention: options.retention,
            emit: options.emit,
            state_bytes_max: options.bounds.bytes_max,
            result_topic: options.result_topic,
            title: Bilingual {
                zh: head(statement, "title.zh").unwrap_or_default(),
                en: head(statement, "title.en").unwrap_or_default(),
            },
            unit: head(statement, "unit").unwrap_or_default(),
            clear,
            hash,
        })
    }

    /// How many partitions the stream of the log is declared to have that a stream's rows come from; `None` where
    /// only its log knows.
    fn declared_partitions(&self, stream: &str) -> Option<u64> {
        let base = self.streams.get(self.streams.get(stream)?.definition.base())?;
        base.definition.options.get("partitions")?.trim().parse().ok().filter(|count| *count > 0)
    }

    /// What a query over a view knows of it; `None` where there is no view of the name.
    fn input_view(&self, name: &str) -> Option<InputView> {
        let view = self.views.iter().find(|view| view.name == name)?;
        let plan = match &view.query {
            ViewQuery::Results(over) => return Some(over.as_input()),
            ViewQuery::Stream(plan) => plan,
        };
        let column = |at: Option<usize>| at.map(|at| plan.schema.field(at).name().clone());
        let window = plan.outer.as_ref().map(|outer| &outer.window).or(plan.window.as_ref());
        let kind = window.map(|window| &window.kind);
        Some(InputView {
            level: 0,
            window: (column(plan.window_start), column(plan.window_end)),
            is_told_by_one: matches!(
                kind,
                Some(WindowKind::Tumble { .. } | WindowKind::Hop { .. })
            ),
            rests_on: BTreeSet::from([name.to_owned()]),
        })
    }

    fn query(
        &self,
        statement: &Statement,
        view: &ViewStatement,
        logical: &LogicalPlan,
    ) -> Result<ViewQuery, Vec<SqlError>> {
        let state = self.context.state();
        let failed = |error: &datafusion::common::DataFusionError| {
            vec![located(statement, &view.query, error)]
        };
        if reads_results(logical) || !reads_stream(logical) {
            let over = OverResults::new(&state, logical, &|name| self.input_view(name));
            return over
                .map(|over| ViewQuery::Results(Arc::new(over)))
                .map_err(|error| failed(&error));
        }
        let mut plan = self.plan(logical).map_err(|error| failed(&error))?;
        // Its rows are kept, so its windows must close, and what comes after that is late.
        plan.passes_late = false;
        if matches!(plan.shape, super::plan::Shape::Pass) {
            let message = "a materialized view needs GROUP BY or a window; a plain SELECT would grow for ever";
            return Err(vec![SqlError::at(&statement.file, statement.place, message)]);
        }
        if plan.window.is_some() && plan.window_start.is_none() && plan.window_end.is_none() {
            let message = "a windowed view must select window_start or window_end, or its rows could not be told apart";
            return Err(vec![SqlError::at(&statement.file, statement.place, message)]);
        }
        if let Some(message) = self.one_log_joined(&plan) {
            return Err(vec![SqlError::at(&statement.file, statement.place, message)]);
        }
        Ok(ViewQuery::Stream(Arc::new(plan)))
    }

    /// Why a view cannot join two readings of one log: each of its records would be counted, late and
    /// accounted for twice under one name.
    pub(crate) fn one_log_joined(&self, plan: &ViewPlan) -> Option<String> {
        let right = plan.join.as_ref()?;
        let base = |name: &str| Some(self.streams.get(name)?.definition.base().to_owned());
        let (left, right) = (&plan.stream, &right.stream);
        (base(left) == base(right)).then(|| {
            format!(
                "{left} and {right} come from one log, and a view joins two; make a view of each side with GROUP BY \
                 window_start, window_end, and join those in a third view"
            )
        })
    }

    /// Plans a query over the catalogue's streams.
    ///
    /// # Errors
    /// When the query cannot be a continuous one.
    pub fn plan(&self, logical: &LogicalPlan) -> datafusion::common::Result<ViewPlan> {
        let definitions: HashMap<String, StreamDefinition> = self
            .streams
            .iter()
            .map(|(name, stream)| (name.clone(), stream.definition.clone()))
            .collect();
        let scope = self.scope_of(logical).map(|scope| scope.name.as_str());
        if let Some(scope) = scope {
            float_money::check(logical, scope, false)?;
        }
        plan_view(&self.context.state(), logical, &definitions, scope)
    }

    /// The scope a query reads, if it reads one.
    fn scope_of(&self, logical: &LogicalPlan) -> Option<&ScopeDefinition> {
        read_by(&self.scopes, |table| reads(logical, table)).first().copied()
    }

    fn view_hash(
        &self,
        statement: &Statement,
        logical: &LogicalPlan,
        scope: Option<&ScopeDefinition>,
        query: &ViewQuery,
    ) -> String {
        let mut hash = Sha256::new();
        hash.update(&statement.text);
        hash.update(scope.map_or("", |scope| scope.hash.as_str()));
        hash.update(logical.display_indent_schema().to_string());
        if let ViewQuery::Stream(plan) = query {
            for stream in plan.streams().filter_map(|name| self.streams.get(name)) {
                hash.update(stream.definition.hash());
                // State from before they did holds other windows.
                if plan
                    .window
                    .as_ref()
                    .is_some_and(|window| window.kind.divides_days_of(stream.definition.zone))
                {
                    hash.update("windows by the zone's clock");
                }
            }
            hash.update(plan.reference_hash);
            // It was told already when the plan was made, so there is nothing left to fail.
            hash.update(plan.state_layout().unwrap_or_default());
        }
        hex(&hash.finalize())
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog")
            .field("streams", &self.streams.keys())
            .field("views", &self.views.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn register(context: &SessionContext, name: &str, schema: SchemaRef, rows_of: RowsOf) {
    let table = DeclaredTable { name: name.to_owned(), schema, rows_of };
    if let Err(error) = context.register_table(name, Arc::new(table)) {
        // The caller has checked that the name is free.
        tracing::error!(%error, name, "a table could not be registered");
    }
}

/// The zone that all of these are; UTC where they differ, or where there is none.
#[must_use]
pub fn common_zone(zones: impl IntoIterator<Item = Zone>) -> Zone {
    let mut zones = zones.into_iter();
    let first = zones.next();
    first.filter(|first| zones.all(|zone| zone == *first)).unwrap_or(Zone::UTC)
}

/// Whether a plan reads a table or view of this name.
fn reads(plan: &LogicalPlan, name: &str) -> bool {
    let mut found = false;
    let _visited = plan.apply(|node| {
        found |= match node {
            LogicalPlan::TableScan(scan) => scan.table_name.table() == name,
            LogicalPlan::SubqueryAlias(alias) => alias.alias.table() == name,
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
