//! One publish: every view at the same vector of offsets, and the channel that hands it on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::commits::Commits;
use super::snapshot::{Snapshot, ViewInfo};
use super::view_history::ViewHistory;
use super::view_status::ViewStatus;
use crate::history::Pins;
use crate::ledger::LedgerStore;
use crate::model::{Offset, PartitionId, Space, Zone};

/// How far one stream is at a cut; times in epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamProgress {
    /// Largest accepted event time; `None` before the first record.
    pub as_of: Option<i64>,
    /// Event time every partition has passed by what is in the log; `None` until all have begun.
    pub watermark: Option<i64>,
    /// Event time every partition but the idle ones has passed; `None` until one has begun.
    pub settled: Option<i64>,
    /// The idle partitions `settled` does not wait for: it would be earlier with them.
    pub idle: Vec<PartitionId>,
    /// Partitions that the log did not have at first, with the wall-clock time at which they were taken
    /// in: since then the figures are those of another partitioning.
    pub added: BTreeMap<PartitionId, i64>,
}

impl StreamProgress {
    /// How far two streams are together: no further than the one that is behind, and as new as the newer.
    /// A partition is named that is idle in one of them.
    #[must_use]
    pub fn weaker(self, other: Self) -> Self {
        let idle: BTreeSet<PartitionId> = self.idle.into_iter().chain(other.idle).collect();
        let mut added = self.added;
        for (partition, at) in other.added {
            let first = added.entry(partition).or_insert(at);
            *first = at.min(*first);
        }
        Self {
            as_of: self.as_of.max(other.as_of),
            // One that has not begun has no watermark, and then both together have none.
            watermark: self.watermark.min(other.watermark),
            settled: self.settled.min(other.settled),
            idle: idle.into_iter().collect(),
            added,
        }
    }
}

/// Every view and table at one vector of offsets.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    /// Number of this publish within its epoch, from 1; 0 before the first.
    pub cut: u64,
    /// How far each stream is, by name.
    pub streams: BTreeMap<String, StreamProgress>,
    /// Offset after the last record read, by stream and partition.
    pub offsets: BTreeMap<String, BTreeMap<PartitionId, Offset>>,
    /// When it was published, epoch milliseconds by the wall clock.
    pub published_at: i64,
    /// The views by name.
    pub views: BTreeMap<String, Arc<Snapshot>>,
    /// Whether each view stands at the cut, by name.
    pub statuses: BTreeMap<String, ViewStatus>,
    /// The accounting by name, as tables analysts can query. The ledgers are in their store.
    pub tables: BTreeMap<String, RecordBatch>,
    /// The histories of streams at this cut, by name: every record accepted up to its offsets.
    pub histories: BTreeMap<String, Arc<dyn TableProvider>>,
    /// The result space it shows.
    pub of: Space,
    /// The shadow space at this very cut; `None` before the first shadow record.
    pub shadow: Option<Arc<Cut>>,
}

impl Cut {
    /// What a result space shows at this cut; the shadow space has the same views, without a row before its
    /// first record.
    #[must_use]
    pub fn space(self: &Arc<Self>, space: Space) -> Arc<Self> {
        match (space, &self.shadow) {
            (Space::Live, _) => Arc::clone(self),
            (Space::Shadow, Some(shadow)) => Arc::clone(shadow),
            (Space::Shadow, None) => Arc::new(self.without_rows()),
        }
    }

    fn without_rows(&self) -> Self {
        let empty = |view: &Arc<Snapshot>| Arc::new(Snapshot::empty(Arc::clone(&view.info)));
        Self {
            of: Space::Shadow,
            cut: self.cut,
            offsets: self.offsets.clone(),
            published_at: self.published_at,
            streams: self
                .streams
                .keys()
                .map(|name| (name.clone(), StreamProgress::default()))
                .collect(),
            views: self.views.iter().map(|(name, view)| (name.clone(), empty(view))).collect(),
            tables: self
                .tables
                .iter()
                .map(|(name, table)| (name.clone(), table.slice(0, 0)))
                .collect(),
            ..Self::default()
        }
    }

    /// How far the streams of a view are, no further than the one that is behind; for a view over the
    /// engine's own tables, all streams together.
    #[must_use]
    pub fn progress(&self, view: &ViewInfo) -> StreamProgress {
        let of_view =
            view.streams.iter().map(|name| self.streams.get(name).cloned().unwrap_or_default());
        of_view.reduce(StreamProgress::weaker).unwrap_or_else(|| self.overall())
    }

    /// All streams together: the newest of their newest records, and the earliest of their watermarks.
    #[must_use]
    pub fn overall(&self) -> StreamProgress {
        let all = || self.streams.values();
        // A stream that has not begun has no watermark, and then all together have none.
        let earliest = |of: fn(&StreamProgress) -> Option<i64>| all().map(of).min().flatten();
        StreamProgress {
            as_of: all().filter_map(|stream| stream.as_of).max(),
            watermark: earliest(|stream| stream.watermark),
            settled: earliest(|stream| stream.settled),
            idle: Vec::new(),
            added: BTreeMap::new(),
        }
    }
}

/// What kind of stream the figures come from; the screen says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A real topic.
    Live,
    /// Generated orders.
    Demo,
    /// Recorded orders at their own or another speed.
    Replay,
}

/// How fresh the figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The log is read to its end.
    Live,
    /// Records wait in the log longer than they should.
    CatchingUp,
    /// The log is read to its end and nothing has come for a while.
    Quiet,
    /// A partition is not read until there is room for what its records leave; [`Status::problem`] says where.
    Paused,
    /// Reading fails; the last figures stay.
    Stale,
}

/// The pipeline's own account of its freshness.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// See [`State`].
    pub state: State,
    /// How long the oldest unread record has waited, in milliseconds; 0 when drained.
    pub lag_ms: i64,
    /// Records in the log that are not read yet.
    pub lag_records: i64,
    /// Time since a record last came, in milliseconds.
    pub quiet_ms: i64,
    /// Records read per second, over the last second.
    pub records_per_second: f64,
    /// What is wrong, in one sentence; `None` when nothing is.
    pub problem: Option<String>,
    /// What someone must look at although the figures go on: accounting that does not add up, ledgers
    /// without room, partitions that wait for it. A sentence each.
    pub alarms: Vec<String>,
}

/// A publisher tells its status several times a second; silent for this long, its figures are behind.
const SILENT_AFTER: Duration = Duration::from_secs(2);
/// Silent for this long, they are stale.
const STALE_AFTER: Duration = Duration::from_secs(10);

impl Status {
    /// What it is worth when nothing has been told since.
    fn after(&self, silent: Duration) -> Self {
        let mut now = self.clone();
        now.lag_ms =
            now.lag_ms.saturating_add(i64::try_from(silent.as_millis()).unwrap_or(i64::MAX));
        if matches!(now.state, State::Live | State::Quiet | State::CatchingUp) {
            now.state = if silent < STALE_AFTER { State::CatchingUp } else { State::Stale };
            now.problem.get_or_insert_with(|| {
                format!("nothing has been published for {} s", silent.as_secs())
            });
        }
        now
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: State::CatchingUp,
            lag_ms: 0,
            lag_records: 0,
            quiet_ms: 0,
            records_per_second: 0.0,
            problem: None,
            alarms: Vec::new(),
        }
    }
}

/// The meeting point of pipeline and server: the newest cut, and a bell for the next.
#[derive(Debug)]
pub struct Results {
    epoch: String,
    mode: Mode,
    cut: watch::Sender<Arc<Cut>>,
    status: watch::Sender<Arc<Status>>,
    /// When the publisher last told its status, which it does with every cut.
    told: Mutex<Instant>,
    ledgers: OnceLock<(Arc<LedgerStore>, Zone)>,
    past: OnceLock<Past>,
}

/// What there is of the past beside the newest cut.
#[derive(Debug, Clone)]
pub struct Past {
    /// What views showed; `None` where that is not kept.
    pub views: Option<Arc<ViewHistory>>,
    /// Versions of histories that must stay.
    pub pins: Arc<Pins>,
    /// Where a commit is asked for before its time; `None` where nobody commits.
    pub commits: Option<Commits>,
}

impl Results {
    /// Starts with every view and table of the accounting empty. `epoch` names this life of the publisher.
    #[must_use]
    pub fn new(
        epoch: String,
        mode: Mode,
        views: Vec<Arc<ViewInfo>>,
        tables: Vec<(&'static str, SchemaRef)>,
    ) -> Arc<Self> {
        let empty = views
            .iter()
            .map(|info| (info.name.clone(), Arc::new(Snapshot::empty(Arc::clone(info)))))
            .collect();
        let without_rows =
            |(name, schema): (&str, _)| (name.to_owned(), RecordBatch::new_empty(schema));
        let tables = tables.into_iter().map(without_rows).collect();
        let first = Cut { views: empty, tables, ..Cut::default() };
        Arc::new(Self {
            epoch,
            mode,
            cut: watch::Sender::new(Arc::new(first)),
            status: watch::Sender::new(Arc::default()),
            told: Mutex::new(Instant::now()),
            ledgers: OnceLock::new(),
            past: OnceLock::new(),
        })
    }

    /// Tells where the ledgers are, and by which zone's clock they show their times; the first one told stays.
    pub fn set_ledgers(&self, ledgers: Arc<LedgerStore>, zone: Zone) {
        let _first = self.ledgers.set((ledgers, zone));
    }

    /// The ledgers on disk; `None` where the publisher has none.
    #[must_use]
    pub fn ledgers(&self) -> Option<&Arc<LedgerStore>> {
        self.ledgers.get().map(|(ledgers, _)| ledgers)
    }

    /// Tells where the past is; the first one told stays.
    pub fn set_past(&self, past: Past) {
        let _first = self.past.set(past);
    }

    /// What there is of the past; `None` where the publisher keeps none of it.
    #[must_use]
    pub fn past(&self) -> Option<&Past> {
        self.past.get()
    }

    /// The zone of the times in the ledgers' tables: that of the streams, UTC where these differ.
    #[must_use]
    pub fn ledger_zone(&self) -> Zone {
        self.ledgers.get().map_or(Zone::UTC, |(_, zone)| *zone)
    }

    /// Names this life of the publisher; cut numbers compare only within it.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// What kind of stream the figures come from.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The views there are now, in the order of their names.
    #[must_use]
    pub fn views(&self) -> Vec<Arc<ViewInfo>> {
        self.cut.borrow().views.values().map(|view| Arc::clone(&view.info)).collect()
    }

    /// The newest cut.
    #[must_use]
    pub fn latest(&self) -> Arc<Cut> {
        Arc::clone(&self.cut.borrow())
    }

    /// A receiver that is told of every later cut; slow receivers see only the newest.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Cut>> {
        self.cut.subscribe()
    }

    /// The status of this moment: the newest one, and where the publisher has told none for a while, what that means. One
    /// that hangs cannot say so itself.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        let told = Arc::clone(&self.status.borrow());
        let silent = self.told.lock().elapsed();
        if silent < SILENT_AFTER { told } else { Arc::new(told.after(silent)) }
    }

    /// Replaces the newest cut and wakes the receivers.
    pub fn publish(&self, cut: Cut) {
        self.cut.send_replace(Arc::new(cut));
    }

    /// Replaces the status.
    pub fn set_status(&self, status: Status) {
        *self.told.lock() = Instant::now();
        self.status.send_replace(Arc::new(status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_been_told_for_long_is_no_longer_live() {
        let live = Status { state: State::Live, lag_ms: 20, ..Status::default() };
        let behind = live.after(Duration::from_millis(2_500));
        assert_eq!((behind.state, behind.lag_ms), (State::CatchingUp, 2_520));
        assert_eq!(behind.problem.as_deref(), Some("nothing has been published for 2 s"));
        assert_eq!(live.after(Duration::from_secs(10)).state, State::Stale);
        // What was wrong before stays what is wrong.
        let problem = Some("the disk is full".to_owned());
        let paused = Status { state: State::Paused, problem, ..Status::default() };
        let later = paused.after(Duration::from_secs(60));
        assert_eq!((later.state, later.problem), (State::Paused, paused.problem));
    }
}
