//! A publisher that is driven by hand, and a server over it on free ports.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use tidemark_pipeline::history::HashKey;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::results::snapshot::Bilingual;
use tidemark_pipeline::results::{
    Cut, Keep, Mode, PublishedRow, Results, Snapshot, State, Status, StreamProgress, Tombstone,
    ViewInfo, ViewStatus, WindowRows,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::auth::Gate;
use crate::clock::Clock;
use crate::config::{Config, Overrides, RawConfig, User};
use crate::ingest::IngestSink;
use crate::reload::Reload;
use crate::screens::Screens;
use crate::server::{Bound, ServeError, ServerParts, serve};
use crate::sql::{Known, Rules, SharedRules};
use crate::telemetry::install_metrics;

/// 2020-11-11 00:00 in Shanghai.
pub(super) const DAY_START: i64 = 1_605_024_000_000;
const DAY_MS: i64 = 86_400_000;

pub(super) const DAY: &str = "gmv_day";
pub(super) const PROVINCE: &str = "gmv_by_province";

/// One row: province, gmv in fen, orders, mark.
type Row = (i128, i64, &'static str, u64);

/// Publishes what it is told to.
pub(super) struct Publisher {
    pub(super) results: Arc<Results>,
    cut: u64,
    rows: BTreeMap<(String, i64, String), Row>,
    gone: BTreeMap<String, VecDeque<Tombstone>>,
    /// Before it, changes can no longer be told.
    pub(super) complete_since: u64,
    pub(super) as_of: Option<i64>,
    /// What is told of views beside their rows.
    pub(super) statuses: BTreeMap<String, ViewStatus>,
    /// The shadow space of the next cut.
    pub(super) shadow: Option<Arc<Cut>>,
    /// When the next cut is published.
    pub(super) published_at: i64,
    /// Its histories.
    pub(super) histories: BTreeMap<String, Arc<dyn TableProvider>>,
    /// Streams that have been read; the next cut tells of all of them.
    pub(super) read: Vec<String>,
    /// Views whose rows are of another definition than that of the results, by its hash.
    pub(super) made_of: BTreeMap<String, String>,
}

impl Publisher {
    pub(super) fn new(epoch: &str) -> Self {
        let views = vec![Arc::new(info(PROVINCE)), Arc::new(info(DAY))];
        Self {
            results: Results::new(epoch.to_owned(), Mode::Demo, views, Vec::new()),
            cut: 0,
            rows: BTreeMap::new(),
            gone: BTreeMap::new(),
            complete_since: 0,
            as_of: Some(DAY_START + 1_800_000),
            statuses: BTreeMap::new(),
            shadow: None,
            published_at: DAY_START,
            histories: BTreeMap::new(),
            read: vec!["orders".to_owned()],
            made_of: BTreeMap::new(),
        }
    }

    /// Sets the day's total, in fen.
    pub(super) fn day(&mut self, fen: i128) -> &mut Self {
        self.set(DAY, DAY_START, "", (fen, 7, "provisional"))
    }

    /// Sets one province of the day, in fen.
    pub(super) fn province(&mut self, name: &str, fen: i128) -> &mut Self {
        self.set(PROVINCE, DAY_START, name, (fen, 3, "provisional"))
    }

    pub(super) fn set(
        &mut self,
        view: &str,
        window: i64,
        key: &str,
        (fen, orders, mark): (i128, i64, &'static str),
    ) -> &mut Self {
        let key = (view.to_owned(), window, key.to_owned());
        self.rows.insert(key, (fen, orders, mark, self.cut + 1));
        self
    }

    /// Takes a province away.
    pub(super) fn remove(&mut self, name: &str) -> &mut Self {
        self.rows.remove(&(PROVINCE.to_owned(), DAY_START, name.to_owned()));
        let key = format!(
            "{{\"window_start\":{DAY_START},\"window_end\":{},\"province\":\"{name}\"}}",
            DAY_START + DAY_MS
        );
        let gone = Tombstone { key: key.into(), deleted_at: self.cut + 1 };
        self.gone.entry(PROVINCE.to_owned()).or_default().push_back(gone);
        self
    }

    /// Takes a province away if it is there.
    pub(super) fn remove_known(&mut self, name: &str) -> &mut Self {
        let key = (PROVINCE.to_owned(), DAY_START, name.to_owned());
        if self.rows.contains_key(&key) { self.remove(name) } else { self }
    }

    /// Publishes the next cut with what `other` has as its shadow space, and says its number.
    pub(super) fn publish_with(&mut self, other: &Self) -> u64 {
        let shown = other.results.latest();
        self.shadow =
            Some(Arc::new(Cut { cut: self.cut + 1, of: Space::Shadow, ..(*shown).clone() }));
        self.publish()
    }

    /// Publishes the next cut and says its number.
    pub(super) fn publish(&mut self) -> u64 {
        self.cut += 1;
        let infos = self.results.views();
        let views = infos.iter().map(|info| self.snapshot(info));
        let views = views.map(|view| (view.info.name.clone(), Arc::new(view))).collect();
        let next = BTreeMap::from([(0, 120), (1, 117)]);
        let offsets = self.read.iter().map(|stream| (stream.clone(), next.clone())).collect();
        let streams = self.read.iter().map(|stream| (stream.clone(), self.progress())).collect();
        let late = Schema::new(vec![Field::new("reason", DataType::Utf8, false)]);
        let reasons: ArrayRef =
            Arc::new(StringArray::from(vec!["=cmd()", "plain, with \"quotes\""]));
        let late = RecordBatch::try_new(Arc::new(late), vec![reasons]).expect("fits");
        self.results.publish(Cut {
            cut: self.cut,
            streams,
            offsets,
            published_at: self.published_at,
            histories: self.histories.clone(),
            views,
            statuses: self.statuses.clone(),
            tables: BTreeMap::from([("late_orders".to_owned(), late)]),
            shadow: self.shadow.clone(),
            ..Cut::default()
        });
        self.results.set_status(Status { state: State::Live, ..Status::default() });
        self.cut
    }

    fn progress(&self) -> StreamProgress {
        let behind = self.as_of.map(|as_of| as_of - 5_000);
        StreamProgress {
            as_of: self.as_of,
            watermark: behind,
            settled: behind,
            ..StreamProgress::default()
        }
    }

    fn snapshot(&self, info: &Arc<ViewInfo>) -> Snapshot {
        let mut windows: BTreeMap<i64, Vec<(&str, Row)>> = BTreeMap::new();
        for ((view, window, key), row) in &self.rows {
            if *view == info.name {
                windows.entry(*window).or_default().push((key, *row));
            }
        }
        let windows: Vec<Arc<WindowRows>> =
            windows.iter().map(|(start, rows)| Arc::new(window(info, *start, rows))).collect();
        let gone = self.gone.get(&info.name).cloned().unwrap_or_default();
        let changed = windows.iter().map(|window| window.changed_at);
        let changed = changed.chain(gone.iter().map(|gone| gone.deleted_at)).max();
        let info = match self.made_of.get(&info.name) {
            Some(hash) => Arc::new(ViewInfo { hash: hash.clone(), ..info.as_ref().clone() }),
            None => Arc::clone(info),
        };
        Snapshot {
            info,
            changed_at: changed.unwrap_or(0),
            windows,
            tombstones: Arc::new(gone),
            complete_since: self.complete_since,
            keep: Keep::Rows(usize::MAX),
            gone_before: i64::MIN,
        }
    }
}

fn window(info: &ViewInfo, start: i64, rows: &[(&str, Row)]) -> WindowRows {
    let end = start + DAY_MS;
    let time = |ms: i64| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(vec![ms; rows.len()]).with_timezone("UTC"))
    };
    let mut columns = vec![time(start), time(end)];
    if info.name == PROVINCE {
        columns.push(Arc::new(rows.iter().map(|(key, _)| Some(*key)).collect::<StringArray>()));
    }
    let gmv = rows.iter().map(|(_, row)| row.0).collect::<Decimal128Array>();
    columns.push(Arc::new(gmv.with_precision_and_scale(38, 2).expect("fits")));
    columns.push(Arc::new(rows.iter().map(|(_, row)| row.1).collect::<Int64Array>()));
    columns.push(Arc::new(rows.iter().map(|(_, row)| Some(row.2)).collect::<StringArray>()));
    columns.push(Arc::new(UInt64Array::from(vec![0; rows.len()])));
    let batch = RecordBatch::try_new(Arc::clone(&info.schema), columns).expect("fits");
    let keys: Vec<usize> = (0..info.keys.len()).collect();
    let all: Vec<usize> = (0..batch.num_columns()).collect();
    let json = |columns: &[usize], row| -> Arc<str> {
        let mut out = String::new();
        write_row(&mut out, &batch, columns, row);
        out.into()
    };
    let published = rows.iter().enumerate().map(|(nth, (_, row))| PublishedRow {
        key: json(&keys, nth),
        json: json(&all, nth),
        changed_at: row.3,
    });
    let changed_at = rows.iter().map(|(_, row)| row.3).max().unwrap_or(0);
    let published = published.collect();
    WindowRows { window: (start, end), batch, rows: published, changed_at }
}

fn info(name: &str) -> ViewInfo {
    let mut keys = vec!["window_start".to_owned(), "window_end".to_owned()];
    if name == PROVINCE {
        keys.push("province".to_owned());
    }
    ViewInfo {
        name: name.to_owned(),
        streams: vec!["orders".to_owned()],
        keys,
        schema: schema(name),
        scope: Some("paid@1".to_owned()),
        title: Bilingual { zh: "今日成交额".to_owned(), en: "GMV today".to_owned() },
        definition: Bilingual { zh: "已支付".to_owned(), en: "paid orders".to_owned() },
        unit: "CNY".to_owned(),
        time_zone: "Asia/Shanghai".to_owned(),
        sql: format!("CREATE MATERIALIZED VIEW {name} AS SELECT 1"),
        hash: format!("hash of {name}"),
        window_start: Some(0),
        window_end: Some(1),
        result_topic: None,
        clear: Default::default(),
    }
}

fn schema(name: &str) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("window_start", time.clone(), false),
        Field::new("window_end", time, false),
    ];
    if name == PROVINCE {
        fields.push(Field::new("province", DataType::Utf8, true));
    }
    fields.extend([
        Field::new("gmv", DataType::Decimal128(38, 2), true),
        Field::new("orders", DataType::Int64, true),
        Field::new("_mark", DataType::Utf8, false),
        Field::new("_revision", DataType::UInt64, false),
    ]);
    Arc::new(Schema::new(fields))
}

/// A running server; dropped, it goes away without goodbye.
pub(super) struct TestServer {
    pub(super) bound: Bound,
    /// Who is let in.
    pub(super) gate: Arc<Gate>,
    /// What each role is shown.
    pub(super) rules: SharedRules,
    /// Its users, as configured.
    pub(super) users: Vec<User>,
    /// Its data folder, which goes with it.
    pub(super) data_dir: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

/// What a test wants otherwise.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) raw: RawConfig,
    pub(super) ingest: Option<Arc<dyn IngestSink>>,
    pub(super) reload: Option<Arc<dyn Reload>>,
    pub(super) screens: Screens,
    pub(super) clock: Option<Clock>,
    /// What there is; the views of the results when not given.
    pub(super) known: Option<Known>,
    /// Tables beside the views.
    pub(super) reference: Vec<(String, Arc<dyn TableProvider>)>,
}

impl TestServer {
    pub(super) async fn start(results: &Arc<Results>) -> Self {
        Self::start_with(results, Wishes::default()).await
    }

    pub(super) async fn start_with(results: &Arc<Results>, mut wishes: Wishes) -> Self {
        wishes.raw.server.listen = "127.0.0.1:0".to_owned();
        wishes.raw.server.postgres = "127.0.0.1:0".to_owned();
        wishes.raw.server.flight = "127.0.0.1:0".to_owned();
        let data_dir = tempfile::tempdir().expect("a folder");
        wishes.raw.data_dir = data_dir.path().display().to_string();
        let mut config = Config::check(wishes.raw, Overrides::default()).expect("valid");
        let known = wishes.known.unwrap_or_else(|| Known::of_results(results));
        let rules = Rules::new(&config.sql, &known, &HashKey::new([7; 32])).expect("valid");
        config.server.users = rules.of_users(&config.server.users);
        let rules = rules.shared();
        let users = config.server.users.clone();
        let clock = wishes.clock.unwrap_or_else(Clock::system);
        let gate = Gate::open(&config.server, data_dir.path(), &clock).expect("opens");
        let gate = Arc::new(gate);
        let parts = ServerParts {
            results: Arc::clone(results),
            reference: wishes.reference,
            rules: Arc::clone(&rules),
            screens: Arc::new(parking_lot::RwLock::new(wishes.screens)),
            ingest: wishes.ingest,
            reload: wishes.reload,
            gate: Arc::clone(&gate),
            config,
            metrics: install_metrics(),
            clock,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let task =
            tokio::spawn(serve(parts, |bound| tell.send(bound).expect("test waits"), async {
                let _stop = stopped.await;
            }));
        Self { bound: told.await.expect("binds"), gate, rules, users, data_dir, stop, task }
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn stop(self) {
        let _gone = self.stop.send(());
        self.task.await.expect("does not panic").expect("ends well");
    }
}
