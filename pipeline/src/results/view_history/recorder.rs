//! Looks at the newest cut from time to time and writes what views show otherwise than at the last look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::entry::{Entry, Kind, Place, Told};
use super::error::ViewHistoryError;
use super::store::ViewHistory;
use crate::results::{Cut, Results, Snapshot};

/// Looks after which what was written is made to survive a power cut; the process it survives at once.
const PERSIST_EVERY: u64 = 10;

/// What was written of a view in this life of the publisher.
struct Written {
    /// The cut of the last look that wrote something.
    cut: u64,
    /// Its columns then.
    schema: SchemaRef,
    /// When, epoch milliseconds.
    at: i64,
}

/// Writes cuts into the history of views.
pub struct RecordedViews {
    store: Arc<ViewHistory>,
    epoch: String,
    written: BTreeMap<String, Written>,
    has_looked: bool,
}

impl RecordedViews {
    /// Goes on in a new life of the publisher.
    #[must_use]
    pub fn new(store: Arc<ViewHistory>, epoch: String) -> Self {
        Self { store, epoch, written: BTreeMap::new(), has_looked: false }
    }

    /// Writes what a cut shows otherwise than the one before. Before the first cut nothing is shown.
    ///
    /// # Errors
    /// When the disk refuses; what was not written is written at the next look.
    pub fn look(&mut self, cut: &Cut) -> Result<(), ViewHistoryError> {
        if cut.cut == 0 {
            return Ok(());
        }
        let look = Look { cut, at: self.stamp(cut) };
        let gone = self.end_of_views(look)?;
        for snapshot in cut.views.values() {
            self.look_at(look, snapshot)?;
        }
        for view in self.store.forget(cut.published_at)? {
            if let Some(snapshot) = cut.views.get(&view) {
                self.write(look, snapshot, Kind::Whole, whole(snapshot))?;
            }
        }
        let newest = self.written.values().map(|written| written.at).max().max(gone);
        #[expect(clippy::cast_precision_loss, reason = "for graphs; bounded far below 2^53")]
        metrics::gauge!("tidemark_view_history_bytes").set(self.store.bytes() as f64);
        self.store.has_looked_at(cut.published_at.max(newest.unwrap_or(i64::MIN)))
    }

    /// Says that nothing is shown after the last look until another life begins.
    ///
    /// # Errors
    /// When the disk refuses; the next life then says that nothing is known of the time between.
    pub fn end(&self) -> Result<(), ViewHistoryError> {
        self.store.ends()
    }

    /// What a look writes is of when its cut was published, and after every instant that was known before, whose rows may
    /// have been told: also where two cuts are of one millisecond, or the clock was put back.
    fn stamp(&self, cut: &Cut) -> i64 {
        let known = self.store.looked_at().map(|known| known.saturating_add(1));
        cut.published_at.max(known.unwrap_or(i64::MIN))
    }

    /// Views that are no more, also those that went while nobody looked; the newest instant that was written.
    fn end_of_views(
        &mut self,
        Look { cut, at: stamp }: Look<'_>,
    ) -> Result<Option<i64>, ViewHistoryError> {
        let known = match std::mem::replace(&mut self.has_looked, true) {
            false => self.store.views(),
            true => self.written.keys().cloned().collect(),
        };
        let mut written = None;
        for view in known.into_iter().filter(|view| !cut.views.contains_key(view)) {
            let newest = self.store.newest(&view)?;
            let Some((at, told)) = newest.filter(|(_, told)| !told.is_gone) else { continue };
            let told = Told {
                epoch: self.epoch.clone(),
                cut: cut.cut,
                is_gone: true,
                keys: Vec::new(),
                deleted: Vec::new(),
                ..told
            };
            let place = Place { view: view.clone(), at: stamp.max(at + 1), kind: Kind::Change };
            let rows = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
            self.store.append(&place, &Entry { told, rows })?;
            self.written.remove(&view);
            written = written.max(Some(place.at));
        }
        Ok(written)
    }

    fn look_at(&mut self, look: Look<'_>, snapshot: &Snapshot) -> Result<(), ViewHistoryError> {
        let written = self.written.get(&snapshot.info.name);
        let written = written.filter(|before| before.schema == snapshot.info.schema);
        let (kind, changed) = match written {
            Some(before) if snapshot.changed_at <= before.cut => return Ok(()),
            Some(before) => match since(snapshot, before.cut) {
                Some(changed) => (Kind::Change, changed),
                None => (Kind::Begin, whole(snapshot)),
            },
            None => (Kind::Begin, whole(snapshot)),
        };
        if self.write(look, snapshot, kind, changed)? {
            self.write(look, snapshot, Kind::Whole, whole(snapshot))?;
        }
        Ok(())
    }

    /// Whether another segment should begin.
    fn write(
        &mut self,
        Look { cut, at: stamp }: Look<'_>,
        snapshot: &Snapshot,
        kind: Kind,
        changed: Changed,
    ) -> Result<bool, ViewHistoryError> {
        let view = snapshot.info.name.clone();
        let before = match self.written.get(&view) {
            Some(before) => Some(before.at),
            None => self.store.newest(&view)?.map(|(at, _)| at),
        };
        // A look that failed half way has left an entry that nobody was told of.
        let at = match (kind, before) {
            (Kind::Whole, Some(before)) => before,
            (_, Some(before)) => stamp.max(before + 1),
            (_, None) => stamp,
        };
        let progress = cut.progress(&snapshot.info);
        let rows = changed.rows(&snapshot.info.schema).map_err(|error| {
            let detail = format!("rows of {view} cannot be put together: {error}");
            ViewHistoryError::Store { place: format!("{:?}", self.store), detail }
        })?;
        let told = Told {
            epoch: self.epoch.clone(),
            cut: cut.cut,
            as_of: progress.as_of,
            watermark: progress.watermark,
            deleted: changed.deleted,
            keys: changed.keys,
            ..Told::default()
        };
        let place = Place { view: view.clone(), at, kind };
        let is_long = self.store.append(&place, &Entry { told, rows })?;
        let schema = Arc::clone(&snapshot.info.schema);
        self.written.insert(view, Written { cut: cut.cut, schema, at });
        Ok(is_long)
    }
}

/// A cut that is looked at, and the instant of what that writes, epoch milliseconds.
#[derive(Clone, Copy)]
struct Look<'a> {
    cut: &'a Cut,
    at: i64,
}

/// Rows of some windows of a view, and keys of rows that went.
#[derive(Default)]
struct Changed {
    deleted: Vec<String>,
    keys: Vec<String>,
    rows: Vec<(RecordBatch, Vec<u32>)>,
}

impl Changed {
    fn rows(&self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let taken = self.rows.iter().map(|(batch, rows)| match rows.len() == batch.num_rows() {
            true => Ok(batch.clone()),
            false => take_record_batch(batch, &UInt32Array::from(rows.clone())),
        });
        concat_batches(schema, &taken.collect::<Result<Vec<_>, _>>()?)
    }
}

fn whole(snapshot: &Snapshot) -> Changed {
    changed(snapshot, |_| true)
}

/// What changed after a cut; `None` when that is no longer known.
fn since(snapshot: &Snapshot, cut: u64) -> Option<Changed> {
    if cut < snapshot.complete_since {
        return None;
    }
    let deleted = snapshot.tombstones.iter().filter(|gone| gone.deleted_at > cut);
    let deleted = deleted.map(|gone| gone.key.to_string()).collect();
    Some(Changed { deleted, ..changed(snapshot, |changed_at| changed_at > cut) })
}

fn changed(snapshot: &Snapshot, is_wanted: impl Fn(u64) -> bool) -> Changed {
    let mut changed = Changed::default();
    for window in snapshot.windows.iter().filter(|window| is_wanted(window.changed_at)) {
        let mut rows = Vec::new();
        for (nth, row) in (0..).zip(&window.rows) {
            if is_wanted(row.changed_at) {
                rows.push(nth);
                changed.keys.push(row.key.to_string());
            }
        }
        if !rows.is_empty() {
            changed.rows.push((window.batch.clone(), rows));
        }
    }
    changed
}

/// The thread that looks. It costs who publishes nothing: it holds one cut at a time.
#[derive(Debug)]
pub struct Recorder {
    stop: Sender<()>,
    thread: JoinHandle<()>,
    problem: Arc<Mutex<Option<String>>>,
}

impl Recorder {
    /// Begins to look at the newest cut every `every`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        store: Arc<ViewHistory>,
        results: Arc<Results>,
        every: Duration,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let problem = Arc::new(Mutex::new(None));
        let told = Arc::clone(&problem);
        let thread = std::thread::Builder::new().name("tidemark-views".to_owned());
        let thread = thread.spawn(move || {
            let mut views = RecordedViews::new(Arc::clone(&store), results.epoch().to_owned());
            let mut looks = 0_u64;
            // Until the other end is dropped.
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                looks += 1;
                let looked = views.look(&results.latest());
                note(
                    &told,
                    match looks.is_multiple_of(PERSIST_EVERY) {
                        true => looked.and_then(|()| store.persist()),
                        false => looked,
                    },
                );
            }
            let last = views.look(&results.latest()).and_then(|()| views.end());
            note(&told, last.and_then(|()| store.persist()));
        })?;
        Ok(Self { stop, thread, problem })
    }

    /// Where its problem stands, for who tells of alarms.
    #[must_use]
    pub fn problem(&self) -> Arc<Mutex<Option<String>>> {
        Arc::clone(&self.problem)
    }

    /// Looks once more and ends.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps the history of views panicked");
        }
    }
}

fn note(told: &Mutex<Option<String>>, outcome: Result<(), ViewHistoryError>) {
    let mut told = told.lock();
    match outcome {
        Ok(()) => *told = None,
        Err(error) => {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                tracing::error!(error, "what views show is not kept: {error}");
            }
            *told = Some(error);
        }
    }
}
