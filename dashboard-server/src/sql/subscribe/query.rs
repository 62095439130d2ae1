//! A subscription's query, planned once and run over the windows of its view that have changed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::AsArray as _;
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, Volatility};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt as _;
use serde_json::Value;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::results::snapshot::ROW_KEY;
use tidemark_pipeline::results::{ViewInfo, WindowRows};

use super::feed::{FeedTable, NUMBER};
use super::statement::{self, Subscribable, not_live};
use crate::auth::Principal;
use crate::sql::dialect::columns_as_written;
use crate::sql::error::SqlError;
use crate::sql::params;
use crate::sql::past::Parameters;
use crate::sql::session::{SCHEMA, Session, SqlService};
use crate::sql::tables::Pin;

/// What to do where a table is none that can be kept up to date.
const A_VIEW: &str = "subscribe to a view; GET /api/views lists them";

/// A query, ready to run.
pub(super) struct LiveQuery {
    /// The view.
    pub(super) view: String,
    /// The result space it is read in.
    pub(super) space: Space,
    /// The view's columns when it was planned.
    pub(super) schema: SchemaRef,
    /// Columns of the result that tell its rows apart; `None` where they do not.
    pub(super) keys: Option<Vec<usize>>,
    /// Columns of the result.
    pub(super) columns: SchemaRef,
    /// Whose bounds it has.
    pub(super) pin: Arc<Pin>,
    session: Session,
    feed: Arc<FeedTable>,
    plan: Arc<dyn ExecutionPlan>,
}

/// A row of the result: which row of the windows it is of, and its JSON.
pub(super) struct Selected {
    /// The number of the row over all windows.
    pub(super) number: usize,
    /// The row as a JSON object.
    pub(super) json: Arc<str>,
    /// Its keys as a JSON object; `None` where its columns do not tell it apart.
    pub(super) key: Option<Arc<str>>,
}

impl LiveQuery {
    /// Plans a query for whoever asks.
    ///
    /// # Errors
    /// When it is wrong, or cannot be kept up to date.
    pub(super) async fn plan(
        service: &SqlService,
        principal: &Principal,
        (text, values): (&str, &[Value]),
        is_left: Arc<AtomicBool>,
    ) -> std::result::Result<Self, SqlError> {
        let Subscribable { statement } =
            statement::read(text, &service.limits().config, &service.now())?;
        let pin = service.pin();
        pin.show_to(principal);
        let of_planning = |error: DataFusionError| SqlError::of_planning(&error);
        let session = service.session(&pin).map_err(of_planning)?;
        {
            // One after the other, so that rows keep their order and no task is started for a handful of them.
            let state = session.context.state_ref();
            let mut state = state.write();
            state.config_mut().options_mut().execution.target_partitions = 1;
        }
        let bounds = pin.rules().bounds;
        let running = session.budget.begin((bounds.time.most, bounds.time.limit), is_left);
        let plan = service.checked_plan(statement, &session.context).await?;
        let names = plan.schema().fields().iter().map(|field| field.name().as_str());
        if columns_as_written(names).is_some() {
            let message = "the rows of a live query are told by the names of their columns, and two have one name: write AS";
            return Err(SqlError::NotLive { message: message.to_owned(), place: None });
        }
        let plan = params::bind(plan, values, &Parameters::new())?;
        let scan = scanned(&plan)?;
        let (space, name) = view_of(scan)?;
        let cut = pin.cut().space(space);
        let info = match cut.views.get(&name).filter(|_| pin.shows(&name)) {
            Some(view) => Arc::clone(&view.info),
            None => return Err(no_view(&name)),
        };
        if pin.rules().asks_the_clock(&name) {
            let what = format!("what your role is shown of {name} changes with the clock");
            return Err(not_live(&what, "ask again with POST /api/sql", None));
        }
        check_steady(&plan)?;
        let feed = Arc::new(FeedTable::new(&info.schema));
        let table = pin.rules().guarded(&name, Arc::clone(&feed) as _);
        let source = provider_as_source(table);
        let fed = numbered(&plan, &source).and_then(LogicalPlanBuilder::build);
        let state = session.context.state();
        let fed = fed.map_err(of_planning)?;
        let physical = state.create_physical_plan(&fed).await.map_err(of_planning)?;
        drop(running);
        let own: Vec<usize> = (0..physical.schema().fields().len().saturating_sub(1)).collect();
        let columns = physical.schema().project(&own).map_err(|error| of_planning(error.into()))?;
        if columns.field_with_name(ROW_KEY).is_ok() {
            let message = format!("{ROW_KEY} is the name of what tells rows apart: take another");
            return Err(SqlError::Plan { message, place: None });
        }
        let keys = keys_in(&plan, &info, &|column| !pin.rules().is_masked(&name, column));
        Ok(Self {
            view: name,
            space,
            schema: Arc::clone(&info.schema),
            keys,
            columns: Arc::new(columns),
            pin,
            session,
            feed,
            plan: physical,
        })
    }

    /// The rows of some windows that are selected, in the order of the windows' rows.
    ///
    /// # Errors
    /// When an expression fails on a row, or a bound is reached.
    pub(super) async fn select(
        &self,
        windows: &[&Arc<WindowRows>],
    ) -> std::result::Result<Vec<Selected>, SqlError> {
        let bounds = self.pin.rules().bounds;
        let time = (bounds.time.most, bounds.time.limit);
        let _running = self.session.budget.begin(time, Arc::default());
        let running = tokio::time::timeout(bounds.time.most, self.run(windows));
        let selected = running.await.map_err(|_| SqlError::of_time(&bounds))?;
        self.feed.clear();
        selected.map_err(|error| SqlError::of_running(&error, &bounds))
    }

    async fn run(&self, windows: &[&Arc<WindowRows>]) -> Result<Vec<Selected>> {
        let batches: Vec<&RecordBatch> = windows.iter().map(|window| &window.batch).collect();
        self.feed.fill(&batches)?;
        let task = self.session.context.task_ctx();
        let mut rows = execute_stream(Arc::clone(&self.plan), task)?;
        let mut selected = Vec::new();
        while let Some(batch) = rows.next().await {
            self.encode(&batch?, &mut selected);
        }
        selected.sort_by_key(|row| row.number);
        Ok(selected)
    }

    fn encode(&self, batch: &RecordBatch, selected: &mut Vec<Selected>) {
        let own: Vec<usize> = (0..self.columns.fields().len()).collect();
        let numbers = batch.column(own.len()).as_primitive::<UInt64Type>();
        let json = |columns: &[usize], row: usize| -> Arc<str> {
            let mut out = String::new();
            write_row(&mut out, batch, columns, row);
            out.into()
        };
        selected.extend(numbers.values().iter().enumerate().map(|(row, number)| Selected {
            number: usize::try_from(*number).unwrap_or(usize::MAX),
            json: json(&own, row),
            key: self.keys.as_ref().map(|keys| json(keys, row)),
        }));
    }
}

fn no_view(name: &str) -> SqlError {
    not_live(&format!("{name} is no view"), A_VIEW, None)
}

/// The one table that is read, through filters and columns.
fn scanned(plan: &LogicalPlan) -> std::result::Result<&TableScan, SqlError> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan),
        LogicalPlan::Projection(node) => scanned(&node.input),
        LogicalPlan::Filter(node) => scanned(&node.input),
        LogicalPlan::SubqueryAlias(node) => scanned(&node.input),
        LogicalPlan::Aggregate(_) => Err(not_live(
            "an aggregate is about several rows",
            "ask again with POST /api/sql, or make it a view (CREATE MATERIALIZED VIEW)",
            None,
        )),
        other => {
            let what = other.display().to_string();
            let what = what.split([':', ' ']).next().unwrap_or("").to_owned();
            Err(not_live(&format!("{what} is about more than a row"), A_VIEW, None))
        }
    }
}

fn view_of(scan: &TableScan) -> std::result::Result<(Space, String), SqlError> {
    let name = scan.table_name.table().to_owned();
    let space = match &scan.table_name {
        TableReference::Bare { .. } => Some(Space::Live),
        TableReference::Partial { schema, .. } | TableReference::Full { schema, .. } => {
            if **schema == *SCHEMA { Some(Space::Live) } else { Space::named(schema) }
        }
    };
    space.map(|space| (space, name)).ok_or_else(|| no_view(&scan.table_name.to_string()))
}

/// Refuses what would change although no row has.
fn check_steady(plan: &LogicalPlan) -> std::result::Result<(), SqlError> {
    let mut unsteady = None;
    let walked = plan.apply_expressions(|expr| {
        expr.apply(|part| {
            match part {
                Expr::ScalarFunction(call)
                    if call.func.signature().volatility != Volatility::Immutable =>
                {
                    unsteady = Some(format!("{}() changes by itself", call.name()));
                }
                Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) => {
                    unsteady = Some("a subquery is about other rows".to_owned());
                }
                _ => {}
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })
    });
    walked.map_err(|error| SqlError::of_planning(&error))?;
    if let Some(what) = unsteady {
        let instead = "give its value as a parameter, or ask again with POST /api/sql";
        return Err(not_live(&what, instead, None));
    }
    plan.inputs().into_iter().try_for_each(check_steady)
}

/// The same plan over the feed, with the number of the row as its last column.
fn numbered(
    plan: &LogicalPlan,
    source: &Arc<dyn datafusion::logical_expr::TableSource>,
) -> Result<LogicalPlanBuilder> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            LogicalPlanBuilder::scan(scan.table_name.clone(), Arc::clone(source), None)
        }
        LogicalPlan::SubqueryAlias(node) => {
            numbered(&node.input, source)?.alias(node.alias.clone())
        }
        LogicalPlan::Filter(node) => numbered(&node.input, source)?.filter(node.predicate.clone()),
        LogicalPlan::Projection(node) => {
            let input = numbered(&node.input, source)?;
            let schema = input.schema();
            let at = schema.fields().len().saturating_sub(1);
            let number = Expr::Column(Column::from(schema.qualified_field(at)));
            let columns = node.expr.iter().cloned().chain([number.alias(NUMBER)]);
            let columns: Vec<Expr> = columns.collect();
            input.project(columns)
        }
        other => Err(DataFusionError::Internal(format!("{} is not fed", other.display()))),
    }
}

/// The columns of the result that are the view's keys, as they are; `None` where not all of them are there.
fn keys_in(
    plan: &LogicalPlan,
    info: &ViewInfo,
    is_as_it_is: &dyn Fn(&str) -> bool,
) -> Option<Vec<usize>> {
    let LogicalPlan::Projection(top) = plan else { return None };
    let is_of_view = matches!(
        top.input.as_ref(),
        LogicalPlan::Filter(_) | LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_)
    );
    if !is_of_view || info.keys.iter().any(|key| key == ROW_KEY) {
        return None;
    }
    let shows = |expr: &Expr, key: &str| match expr.clone().unalias() {
        Expr::Column(column) => column.name == key,
        _ => false,
    };
    let find = |key: &String| {
        top.expr.iter().position(|expr| shows(expr, key)).filter(|_| is_as_it_is(key))
    };
    info.keys.iter().map(find).collect()
}
