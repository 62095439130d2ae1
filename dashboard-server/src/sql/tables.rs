//! The catalogue: the views and tables of one pinned cut, and the reference tables.
//!
//! A table does not hold rows; it looks them up in the pin when a query begins to run. So a
//! statement prepared long ago answers with today's figures, and all tables of one query are at
//! one cut as long as the pin is not moved while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use tidemark_pipeline::ledger::{LedgerKind, LedgerStore};
use tidemark_pipeline::model::{Space, Zone};
use tidemark_pipeline::results::{Cut, Filled, Past, Results, StreamProgress, ViewStatus};

use super::ledgers::LedgerTable;
use super::past::{PastTable, Pasts};
use super::query_tables::{
    LOG_TABLE, RUNNING_TABLE, log_batch, log_schema, running_batch, running_schema,
};
use super::rules::{RoleRules, SharedRules};
use super::running::{Queries, Watch};
use super::versions::VersionsTable;
use super::view_history::ViewHistoryTable;
use crate::auth::{Principal, Role, Views};

/// Reference tables by name, the same for every query.
pub(super) type ReferenceTables = Arc<BTreeMap<String, Arc<dyn TableProvider>>>;

/// Table with the cut a query sees: its number, epoch and times.
const CUT_TABLE: &str = "current_cut";
/// Table with the offsets a query sees, by stream and partition.
const OFFSETS_TABLE: &str = "current_offsets";
/// Table with how far each stream is at the cut a query sees.
const STREAMS_TABLE: &str = "current_streams";
/// Table with what views showed when.
pub(super) const VIEW_HISTORY_TABLE: &str = "view_history";
/// Table with the versions of histories.
const VERSIONS_TABLE: &str = "history_versions";
/// Table with whether each view stands at the cut a query sees.
const VIEWS_TABLE: &str = "current_views";

/// Whether a table is what the server tells of itself and of one's own queries.
pub(super) fn is_own_table(name: &str) -> bool {
    let own = [CUT_TABLE, OFFSETS_TABLE, STREAMS_TABLE, VIEWS_TABLE, RUNNING_TABLE, LOG_TABLE];
    own.contains(&name)
}

/// The cut that the queries of one session see.
pub(super) struct Pin {
    results: Arc<Results>,
    queries: Arc<Queries>,
    cut: Mutex<Arc<Cut>>,
    /// The views that the session's user sees.
    seen: Mutex<Views>,
    /// The queries that the session's user sees.
    watched: Mutex<Watch>,
    /// What the session's statement asks for of the past.
    pub(super) pasts: Pasts,
    rules: SharedRules,
    /// The role of the session's user.
    role: Mutex<Role>,
}

impl Pin {
    /// Pins the newest cut; `queries` are no part of it, and are seen as they are. Before it is known to whom it is
    /// shown, it is shown like to an analyst.
    pub(super) fn new(
        results: Arc<Results>,
        queries: Arc<Queries>,
        rules: SharedRules,
    ) -> Arc<Self> {
        let cut = Mutex::new(results.latest());
        Arc::new(Self {
            results,
            queries,
            cut,
            seen: Mutex::default(),
            watched: Mutex::default(),
            pasts: Pasts::default(),
            rules,
            role: Mutex::new(Role::Analyst),
        })
    }

    /// What the session's user is shown and may use.
    pub(super) fn rules(&self) -> Arc<RoleRules> {
        self.rules.read().of(*self.role.lock())
    }

    /// The pinned cut.
    pub(super) fn cut(&self) -> Arc<Cut> {
        Arc::clone(&self.cut.lock())
    }

    /// What a result space shows at the pinned cut.
    fn space(&self, space: Space) -> Arc<Cut> {
        self.cut().space(space)
    }

    /// From now on shows what this one sees: its views, nothing that is about all of them where it does not see
    /// all, and its own queries where it does not operate the server.
    pub(super) fn show_to(&self, principal: &Principal) {
        // What a role is shown in part is here, in part.
        *self.seen.lock() = principal.views.of_user().clone();
        *self.watched.lock() = Watch::of(principal);
        *self.role.lock() = principal.role;
    }

    /// Whether the session's user sees a view.
    pub(super) fn shows(&self, view: &str) -> bool {
        self.may_see(view) && self.rules().shows_made(view, &self.cut())
    }

    /// Whether it may see a view, of whichever definition the rows of now are.
    pub(super) fn may_see(&self, view: &str) -> bool {
        self.seen.lock().has(view) && self.rules().allows(view)
    }

    /// Whether it sees what a view showed at an instant, all of it.
    pub(super) fn shows_raw_past_of(&self, view: &str, at_ms: i64) -> bool {
        self.shows(view) && self.rules().shows_raw_past_of(view, at_ms)
    }

    /// Whether it sees what is about all views.
    pub(super) fn shows_all(&self) -> bool {
        self.seen.lock().spans_all()
    }

    /// Moves to the newest cut. Only between queries of this session.
    pub(super) fn renew(&self) {
        *self.cut.lock() = self.results.latest();
    }

    /// What a table is, for who reads the catalogue.
    pub(super) fn comment(&self, table: &str) -> Option<String> {
        let cut = self.cut();
        if let Some(view) = cut.views.get(table) {
            let (title, definition) = (&view.info.title, &view.info.definition);
            return Some(format!(
                "{} / {}: {} / {} ({})",
                title.zh, title.en, definition.zh, definition.en, view.info.unit
            ));
        }
        if cut.histories.contains_key(table) {
            return Some("Every accepted record, those that came late flagged".to_owned());
        }
        let told = match table {
            CUT_TABLE => "The cut that this query sees",
            OFFSETS_TABLE => "The offsets that this query sees, by stream and partition",
            STREAMS_TABLE => "How far each stream is at the cut that this query sees",
            VIEWS_TABLE => "Whether each view stands at the cut that this query sees",
            VERSIONS_TABLE => "The versions of histories that can be asked for, with AS OF",
            VIEW_HISTORY_TABLE => "What changed in views, looked at once a second",
            RUNNING_TABLE => "The queries that run, one's own or everybody's",
            LOG_TABLE => "The queries that ran, the newest first",
            _ => return None,
        };
        Some(told.to_owned())
    }

    /// What a column is that every view has, and which of a view's own columns are shown to everyone on purpose.
    pub(super) fn column_comment(&self, table: &str, column: &str) -> Option<String> {
        let cut = self.cut();
        let view = &cut.views.get(table)?.info;
        if view.clear.contains(column) {
            return Some("Comes from personal columns, and is declared clear".to_owned());
        }
        let told = match column {
            "window_start" => {
                format!("Beginning of the window, by the clock of {}", view.time_zone)
            }
            "window_end" => format!("End of the window, by the clock of {}", view.time_zone),
            "_mark" => "provisional, settled or final".to_owned(),
            "_revision" => "How often the row was corrected".to_owned(),
            key if view.keys.iter().any(|known| known == key) => "Key".to_owned(),
            _ => return None,
        };
        Some(told)
    }

    /// The ledgers on disk, where there are any.
    pub(super) fn ledgers(&self) -> Option<&Arc<LedgerStore>> {
        self.results.ledgers()
    }

    /// The zone of the times in the ledgers.
    pub(super) fn ledger_zone(&self) -> Zone {
        self.results.ledger_zone()
    }

    /// What there is of the past.
    pub(super) fn past(&self) -> Option<&Past> {
        self.results.past()
    }

    /// Whether there is a table of the accounting or of the server of this name, to whom the session is.
    pub(super) fn has_table(&self, name: &str) -> bool {
        let own = [CUT_TABLE, OFFSETS_TABLE, STREAMS_TABLE, RUNNING_TABLE, LOG_TABLE];
        let is_of_all = || {
            let cut = self.cut();
            [VIEWS_TABLE, VERSIONS_TABLE].contains(&name)
                || cut.tables.contains_key(name)
                || LedgerKind::named(name).is_some()
        };
        own.contains(&name) || self.shows_all() && is_of_all()
    }

    fn epoch(&self) -> &str {
        self.results.epoch()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin(cut {})", self.cut.lock().cut)
    }
}

/// The tables of one result space of the pinned cut as one schema.
#[derive(Debug)]
pub(super) struct CutSchema {
    space: Space,
    pin: Arc<Pin>,
    reference: ReferenceTables,
}

impl CutSchema {
    /// Views come before histories, histories before ledgers, ledgers before reference tables, where names
    /// are the same.
    pub(super) fn new(space: Space, pin: Arc<Pin>, reference: ReferenceTables) -> Self {
        Self { space, pin, reference }
    }

    /// Records are of all views at once, as in the ledgers.
    fn history(&self, name: &str) -> Option<HistoryTable> {
        if !self.pin.shows_all() {
            return None;
        }
        let cut = self.pin.space(self.space);
        let schema = cut.histories.get(name)?.schema();
        Some(HistoryTable { name: name.to_owned(), schema, pin: Arc::clone(&self.pin) })
    }

    /// What the statement asks for of the past, by the name that stands for it, and the name of the table itself; of shadow
    /// records none is kept.
    fn past(&self, name: &str) -> Option<(Arc<PastTable>, String)> {
        let past = self.pin.pasts.get(name).filter(|_| self.space == Space::Live)?;
        let table = past.paper().table.clone();
        self.pin.rules().allows(&table).then_some((past, table))
    }

    fn view_history(&self, name: &str) -> Option<ViewHistoryTable> {
        let is_it = name == VIEW_HISTORY_TABLE && self.space == Space::Live;
        if is_it { ViewHistoryTable::of(&self.pin) } else { None }
    }

    /// Only where there are histories, as far as they are seen.
    fn versions(&self, name: &str) -> Option<VersionsTable> {
        let is_it = name == VERSIONS_TABLE && self.space == Space::Live && self.pin.shows_all();
        let has_any = is_it && !self.pin.cut().histories.is_empty();
        has_any.then(|| VersionsTable::of(&self.pin))
    }

    /// The table of now without its guard; `None` where there is none, or the role may not ask it.
    fn found(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        if self.pin.pasts.is_alone() || !self.pin.rules().allows(name) {
            return None;
        }
        if let Some(table) = self.live(name) {
            return Some(Arc::new(table));
        }
        if let Some(table) = self.view_history(name) {
            return Some(Arc::new(table));
        }
        if let Some(table) = self.versions(name) {
            return Some(Arc::new(table));
        }
        if let Some(table) = self.history(name) {
            return Some(Arc::new(table));
        }
        if let Some(table) = self.ledger(name) {
            return Some(Arc::new(table));
        }
        self.reference.get(name).map(Arc::clone)
    }

    /// Whether the rows of a view in this space may be seen.
    fn shows(&self, view: &str, cut: &Cut) -> bool {
        self.pin.shows(view) && self.pin.rules().shows_made(view, cut)
    }

    fn ledger(&self, name: &str) -> Option<LedgerTable> {
        if !self.pin.shows_all() {
            return None;
        }
        LedgerTable::named(name, self.space.as_str(), &self.pin)
    }

    fn live(&self, name: &str) -> Option<LiveTable> {
        let cut = self.pin.space(self.space);
        let live = self.space == Space::Live;
        let (origin, schema) =
            if let Some(view) = cut.views.get(name).filter(|_| self.shows(name, &cut)) {
                (Origin::View(name.to_owned()), Arc::clone(&view.info.schema))
            } else if let Some(table) = cut.tables.get(name).filter(|_| self.pin.shows_all()) {
                (Origin::Ledger(name.to_owned()), table.schema())
            } else {
                match name {
                    CUT_TABLE => (Origin::Cut, cut_schema()),
                    OFFSETS_TABLE => (Origin::Offsets, offsets_schema()),
                    STREAMS_TABLE => (Origin::Streams, streams_schema()),
                    RUNNING_TABLE if live => (Origin::Running, running_schema()),
                    LOG_TABLE if live => (Origin::Log, log_schema()),
                    VIEWS_TABLE if self.pin.shows_all() => (Origin::Views, views_schema()),
                    _ => return None,
                }
            };
        Some(LiveTable { space: self.space, origin, schema, pin: Arc::clone(&self.pin) })
    }
}

#[async_trait]
impl SchemaProvider for CutSchema {
    fn table_names(&self) -> Vec<String> {
        let cut = self.pin.space(self.space);
        let own = [
            CUT_TABLE,
            OFFSETS_TABLE,
            STREAMS_TABLE,
            VIEWS_TABLE,
            VIEW_HISTORY_TABLE,
            VERSIONS_TABLE,
        ]
        .map(str::to_owned);
        let own_rows = cut.views.keys().chain(cut.tables.keys()).chain(cut.histories.keys());
        let mut names: Vec<String> = own_rows.cloned().collect();
        names.extend(self.reference.keys().cloned());
        names.extend(own);
        if self.space == Space::Live {
            names.extend([RUNNING_TABLE, LOG_TABLE].map(str::to_owned));
        }
        if self.pin.ledgers().is_some() {
            names.extend(LedgerKind::ALL.map(|ledger| ledger.table().to_owned()));
        }
        names.retain(|name| self.table_exist(name));
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let rules = self.pin.rules();
        // The past of a table is shown as the table is.
        if let Some((past, table)) = self.past(name) {
            return Ok(Some(rules.guarded(&table, past)));
        }
        Ok(self.found(name).map(|table| rules.guarded(name, table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.past(name).is_some() || self.found(name).is_some()
    }
}

#[derive(Debug, Clone)]
enum Origin {
    View(String),
    Ledger(String),
    Cut,
    Offsets,
    Streams,
    Views,
    Running,
    Log,
}

/// A table of the pinned cut.
#[derive(Debug)]
struct LiveTable {
    space: Space,
    origin: Origin,
    schema: SchemaRef,
    pin: Arc<Pin>,
}

impl LiveTable {
    fn batches(&self) -> Result<Vec<RecordBatch>> {
        let cut = self.pin.space(self.space);
        match &self.origin {
            Origin::View(name) => {
                Ok(cut.views.get(name).map(|view| view.batches()).unwrap_or_default())
            }
            Origin::Ledger(name) => {
                let rows = cut.tables.get(name).map(|rows| told_of(rows, &self.pin));
                rows.into_iter().collect()
            }
            Origin::Cut => Ok(vec![cut_batch(&cut, self.pin.epoch())?]),
            Origin::Offsets => Ok(vec![told_of(&offsets_batch(&cut)?, &self.pin)?]),
            Origin::Streams => Ok(vec![told_of(&streams_batch(&cut)?, &self.pin)?]),
            Origin::Views => Ok(vec![views_batch(&cut, &|view| self.pin.shows(view))?]),
            Origin::Running => {
                Ok(vec![running_batch(&self.pin.queries, &self.pin.watched.lock())?])
            }
            Origin::Log => Ok(vec![log_batch(&self.pin.queries, &self.pin.watched.lock())?]),
        }
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = self.batches()?;
        let same = |batch: &RecordBatch| batch.schema_ref().fields() == self.schema.fields();
        if !batches.iter().all(same) {
            return Err(DataFusionError::Execution(format!(
                "the columns of {:?} have changed since this statement was prepared; prepare it again",
                self.origin
            )));
        }
        let exec = MemorySourceConfig::try_new_exec(
            &[batches],
            Arc::clone(&self.schema),
            projection.cloned(),
        )?;
        Ok(exec)
    }
}

/// The history of a stream at the pinned cut: its table and every row accepted since.
#[derive(Debug)]
struct HistoryTable {
    name: String,
    schema: SchemaRef,
    pin: Arc<Pin>,
}

#[async_trait]
impl TableProvider for HistoryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let cut = self.pin.cut();
        match cut.histories.get(&self.name) {
            Some(table) if table.schema() == self.schema => {
                table.scan(state, projection, filters, limit).await
            }
            _ => Err(DataFusionError::Execution(format!(
                "the columns of {} have changed since this statement was prepared; prepare it again",
                self.name
            ))),
        }
    }
}

/// The rows that are of no stream and no view that the session's user is refused.
fn told_of(rows: &RecordBatch, pin: &Pin) -> Result<RecordBatch> {
    let rules = pin.rules();
    let of_stream = only(rows, "stream", |stream| rules.tells_of(stream))?;
    // A row may be of no view.
    only(&of_stream, "view", |view| view.is_empty() || pin.shows(view))
}

/// The rows whose text in a column is told; all, where there is no such column.
fn only(rows: &RecordBatch, column: &str, is_told: impl Fn(&str) -> bool) -> Result<RecordBatch> {
    let names = rows.column_by_name(column).and_then(|names| names.as_string_opt::<i32>());
    let Some(names) = names else { return Ok(rows.clone()) };
    let told = names.iter().map(|name| Some(name.is_none_or(&is_told)));
    Ok(filter_record_batch(rows, &told.collect::<BooleanArray>())?)
}

fn time_field(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true)
}

fn cut_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("cut", DataType::UInt64, false),
        Field::new("epoch", DataType::Utf8, false),
        time_field("as_of"),
        time_field("watermark"),
        time_field("published_at"),
    ]))
}

fn cut_batch(cut: &Cut, epoch: &str) -> Result<RecordBatch> {
    let time = |ms: Option<i64>| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(vec![ms]).with_timezone("UTC"))
    };
    let overall = cut.overall();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(vec![cut.cut])),
        Arc::new(StringArray::from(vec![epoch])),
        time(overall.as_of),
        time(overall.watermark),
        time(Some(cut.published_at)),
    ];
    Ok(RecordBatch::try_new(cut_schema(), columns)?)
}

fn offsets_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("stream", DataType::Utf8, false),
        Field::new("partition", DataType::UInt32, false),
        Field::new("next_offset", DataType::Int64, false),
    ]))
}

fn offsets_batch(cut: &Cut) -> Result<RecordBatch> {
    let rows: Vec<(&str, u32, i64)> = cut
        .offsets
        .iter()
        .flat_map(|(stream, offsets)| {
            offsets.iter().map(|(part, next)| (stream.as_str(), *part, *next))
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<UInt32Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
    ];
    Ok(RecordBatch::try_new(offsets_schema(), columns)?)
}

fn streams_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("stream", DataType::Utf8, false),
        time_field("as_of"),
        time_field("watermark"),
        time_field("settled"),
        Field::new("idle_partitions", DataType::Utf8, false),
    ]))
}

fn streams_batch(cut: &Cut) -> Result<RecordBatch> {
    let all = || cut.streams.values();
    let times = |of: fn(&StreamProgress) -> Option<i64>| -> ArrayRef {
        let in_time = |ms: &i64| *ms != i64::MIN && *ms != i64::MAX;
        let times = all().map(|stream| of(stream).filter(in_time));
        Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let idle = |stream: &StreamProgress| {
        let names: Vec<String> = stream.idle.iter().map(ToString::to_string).collect();
        Some(names.join(","))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(cut.streams.keys().map(Some).collect::<StringArray>()),
        times(|stream| stream.as_of),
        times(|stream| stream.watermark),
        times(|stream| stream.settled),
        Arc::new(all().map(idle).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(streams_schema(), columns)?)
}

fn views_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("view", DataType::Utf8, false),
        Field::new("state", DataType::Utf8, false),
        Field::new("share_filled", DataType::Float64, true),
        Field::new("records_per_second", DataType::Float64, true),
        Field::new("since_offsets", DataType::Utf8, false),
        Field::new("problem", DataType::Utf8, true),
    ]))
}

fn views_batch(cut: &Cut, is_seen: &dyn Fn(&str) -> bool) -> Result<RecordBatch> {
    let all: Vec<(&String, ViewStatus)> = cut
        .views
        .keys()
        .filter(|name| is_seen(name))
        .map(|name| (name, cut.statuses.get(name).cloned().unwrap_or_default()))
        .collect();
    let since = |status: &ViewStatus| {
        let told: Vec<String> = status
            .since
            .iter()
            .map(|(partition, offset)| format!("{partition}: {offset}"))
            .collect();
        Some(told.join(", "))
    };
    let numbers = |of: fn(&Filled) -> f64| -> ArrayRef {
        Arc::new(
            all.iter().map(|(_, status)| status.filled.as_ref().map(of)).collect::<Float64Array>(),
        )
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(all.iter().map(|(name, _)| Some(name.as_str())).collect::<StringArray>()),
        Arc::new(
            all.iter().map(|(_, status)| Some(status.state.as_str())).collect::<StringArray>(),
        ),
        numbers(Filled::share),
        numbers(|filled| filled.records_per_second),
        Arc::new(all.iter().map(|(_, status)| since(status)).collect::<StringArray>()),
        Arc::new(all.iter().map(|(_, status)| status.problem.clone()).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(views_schema(), columns)?)
}
