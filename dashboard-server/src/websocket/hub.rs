//! Encodes each frame once and hands the same bytes to everyone who needs it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use parking_lot::Mutex;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::{Cut, Results, Snapshot, Status};
use tokio::sync::watch;

use super::protocol;
use crate::auth::Views;
use crate::clock::Clock;

/// Cuts whose frames are kept. Viewers in step all want the newest; the one before is for those
/// that were just sending when it came.
const CUTS_KEPT: usize = 3;
/// Frames kept for one cut. Viewers that are behind each want another one; past this number theirs
/// are encoded for them alone.
const FRAMES_MAX: usize = 2_048;

/// How often the status frame is sent.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Which frame of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Since {
    /// The whole view, or its newest so many rows.
    Start(Option<usize>),
    /// What changed since this cut.
    Cut(u64),
}

/// What a viewer has of a view, and how much of it it wants at most to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The cut at which it last got the view; `None` if never.
    pub cut: Option<u64>,
    /// Rows of a snapshot: the newest so many; all if `None`.
    pub last: Option<usize>,
}

type Frame = Arc<OnceLock<Utf8Bytes>>;

/// The frames of one cut, by result space and view.
#[derive(Debug)]
struct Board {
    cut: u64,
    frames: HashMap<(Space, Arc<str>, Since), Frame>,
}

/// The frames of the newest cuts, and what every viewer is told beside them.
#[derive(Debug)]
pub struct Hub {
    results: Arc<Results>,
    clock: Clock,
    boards: Mutex<VecDeque<Board>>,
    status: watch::Sender<Utf8Bytes>,
    /// The status frames of this second for those who see only some views.
    narrow: Mutex<HashMap<Views, Utf8Bytes>>,
    retries: std::sync::atomic::AtomicU64,
}

impl Hub {
    /// A hub over `results`. Nothing moves until [`Hub::keep_status`] runs.
    #[must_use]
    pub fn new(results: Arc<Results>, clock: Clock) -> Arc<Self> {
        let (status, cut) = (results.status(), results.latest());
        let first = protocol::status(&status, &cut, &Views::All, clock.now_ms());
        Arc::new(Self {
            results,
            clock,
            boards: Mutex::default(),
            status: watch::Sender::new(first.into()),
            narrow: Mutex::default(),
            retries: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// Where the figures come from.
    #[must_use]
    pub fn results(&self) -> &Arc<Results> {
        &self.results
    }

    /// The `hello` of this moment for someone who sees these views.
    #[must_use]
    pub fn hello(&self, views: &Views) -> Utf8Bytes {
        protocol::hello(&self.results, views, self.clock.now_ms()).into()
    }

    /// The `ping` of this moment.
    #[must_use]
    pub fn ping(&self) -> Utf8Bytes {
        protocol::ping(self.clock.now_ms()).into()
    }

    /// The `bye` for one viewer. Each gets another time to come back, from 0.5 to 4.5 s, so that
    /// ten thousand do not knock at once.
    #[must_use]
    pub fn bye(&self) -> Utf8Bytes {
        let nth = self.retries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        protocol::bye("the server is shutting down", 500 + nth.wrapping_mul(1_543) % 4_000).into()
    }

    /// A receiver of the status frames.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Utf8Bytes> {
        self.status.subscribe()
    }

    /// Writes the status frame once a second, for ever.
    pub async fn keep_status(&self) {
        let mut every = tokio::time::interval(STATUS_EVERY);
        loop {
            every.tick().await;
            let frame = self.status_frame(&Views::All);
            self.narrow.lock().clear();
            self.status.send_replace(frame);
        }
    }

    /// The status frame for someone who sees these views: `all` itself for who sees everything. It is written
    /// once a second for everyone who sees the same.
    #[must_use]
    pub fn status_for(&self, views: &Views, all: Utf8Bytes) -> Utf8Bytes {
        if views.is_all() {
            return all;
        }
        let mut narrow = self.narrow.lock();
        if let Some(frame) = narrow.get(views) {
            return frame.clone();
        }
        let frame = self.status_frame(views);
        if narrow.len() < FRAMES_MAX {
            narrow.insert(views.clone(), frame.clone());
        }
        frame
    }

    fn status_frame(&self, seen: &Views) -> Utf8Bytes {
        let mut status = Status::clone(&self.results.status());
        let hidden: Vec<String> = self
            .results
            .views()
            .iter()
            .filter(|view| !seen.has(&view.name))
            .map(|view| view.name.clone())
            .collect();
        // An alarm about a view is not for who does not see it.
        status.alarms.retain(|alarm| !hidden.iter().any(|name| alarm.contains(name.as_str())));
        protocol::status(&status, &self.results.latest(), seen, self.clock.now_ms()).into()
    }

    /// The frame that brings a viewer of `view` to `cut`, and `None` when the view has not changed
    /// since. A viewer too far behind gets a snapshot again.
    ///
    /// `None` too for a view the cut does not have.
    #[must_use]
    pub fn frame(&self, cut: &Cut, view: &Arc<str>, held: Held) -> Option<Utf8Bytes> {
        let snapshot = cut.views.get(&**view)?;
        let since = match held.cut {
            Some(base) if snapshot.changed_at <= base => return None,
            Some(base) if snapshot.complete_since <= base => Since::Cut(base),
            _ => Since::Start(held.last.filter(|last| *last < snapshot.row_count())),
        };
        let slot = self.slot(cut, view, since);
        Some(slot.get_or_init(|| encode(cut, snapshot, since)).clone())
    }

    /// The shared place of a frame. The lock is held to find it, never to encode it.
    fn slot(&self, shown: &Cut, view: &Arc<str>, since: Since) -> Frame {
        let cut = shown.cut;
        let mut boards = self.boards.lock();
        let at = match boards.iter().position(|board| board.cut == cut) {
            Some(at) => at,
            None => {
                if boards.len() >= CUTS_KEPT {
                    boards.pop_front();
                }
                boards.push_back(Board { cut, frames: HashMap::new() });
                boards.len() - 1
            }
        };
        let Some(board) = boards.get_mut(at) else { return Frame::default() };
        let place = (shown.of, Arc::clone(view), since);
        if let Some(frame) = board.frames.get(&place) {
            return Arc::clone(frame);
        }
        let frame = Frame::default();
        if board.frames.len() < FRAMES_MAX {
            board.frames.insert(place, Arc::clone(&frame));
        }
        frame
    }
}

fn encode(cut: &Cut, snapshot: &Snapshot, since: Since) -> Utf8Bytes {
    metrics::counter!("tidemark_frames_encoded_total").increment(1);
    let text = match since {
        Since::Start(last) => protocol::snap(cut, snapshot, last),
        Since::Cut(base) => match snapshot.changes_since(base) {
            Some(changes) => protocol::delta(cut, snapshot, base, &changes),
            None => protocol::snap(cut, snapshot, None),
        },
    };
    text.into()
}
