//! Views as Kafka topics: compacted, keyed by the view's key columns, each cut whole and exactly once.
//!
//! ```text
//! checkpoint written ─▶ offer(cut) ─▶ newest cut only ─▶ differences to what the topics hold ─▶ one transaction
//!                                                              ▲                                     │
//!                                     at start and after errors: the topics, read back ◀─────────────┘
//! ```
//! Only a cut whose checkpoint is written goes out, so a topic is never ahead of what a restart goes on
//! from. A transaction holds the changed rows of every view and, behind them in every topic, a control
//! record that names the cut: its number in the topic, its offsets, how many records belong to it. After
//! a crash, or when nobody knows whether a commit went through, the topics themselves say what they hold,
//! and the next transaction is the difference to that: nothing is doubled, torn or left out, whichever
//! of checkpoint and commit came last. A cut that is behind what a topic holds (an older checkpoint had
//! to be taken) waits until reading has caught up.
//!
//! A slow or dead broker costs the pipeline nothing: only the newest cut waits, and the difference to it
//! is made when it can be written, so changes are conflated by key.

mod client;
mod record;
mod settings;
mod written;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::client::TopicsClient;
pub use self::client::TopicsError;
pub use self::settings::{ResultTopicsConfig, topics_of};
use crate::results::Cut;

/// How long the broker is left alone after an error.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a cut may wait before it is an alarm: ten checkpoints of the default.
const BEHIND_AFTER: Duration = Duration::from_secs(10);
/// How long a stop waits for the last cut.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Writes cuts to their topics on a thread of its own.
#[derive(Debug)]
pub struct ResultTopics {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Where the publisher leaves cuts and finds how writing them goes.
#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    /// The newest cut that is not being written yet.
    next: Option<Arc<Cut>>,
    /// Since when there has been a cut that is not written.
    waiting_since: Option<Instant>,
    problem: Option<String>,
    is_stopping: bool,
    has_ended: bool,
}

impl ResultTopics {
    /// Starts the thread; brokers are asked only when there is a first cut to write.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: ResultTopicsConfig, epoch: String) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let desk = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("tidemark-topics".to_owned()).spawn(move || {
                Writing { config, epoch, open: None, generation: None }.run(&desk);
                desk.desk.lock().has_ended = true;
                desk.bell.notify_all();
            })?;
        Ok(Self { shared, thread })
    }

    /// Leaves a cut whose checkpoint is written; one that still waits is replaced. Never blocks.
    pub fn offer(&self, cut: Arc<Cut>) {
        let mut desk = self.shared.desk.lock();
        desk.next = Some(cut);
        desk.waiting_since.get_or_insert_with(Instant::now);
        let waited = desk.waiting_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        metrics::gauge!("tidemark_result_topics_behind_seconds").set(waited);
        self.shared.bell.notify_all();
    }

    /// What someone must look at: topics that cannot be written, or are long behind.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let desk = self.shared.desk.lock();
        let waited = desk.waiting_since.map_or(Duration::ZERO, |since| since.elapsed());
        match &desk.problem {
            Some(problem) => vec![format!("result topics: {problem}")],
            None if waited > BEHIND_AFTER => {
                let seconds = waited.as_secs();
                vec![format!(
                    "result topics: the newest cut has not been written for {seconds} s; the brokers are slow"
                )]
            }
            None => Vec::new(),
        }
    }

    /// Writes the cut that waits and ends; a broker that does not answer is not waited for.
    pub fn stop(self) {
        let until = Instant::now() + STOP_WAIT;
        let mut desk = self.shared.desk.lock();
        desk.is_stopping = true;
        self.shared.bell.notify_all();
        while !desk.has_ended {
            if self.shared.bell.wait_until(&mut desk, until).timed_out() {
                tracing::warn!(
                    "the last cut is not in the result topics; the next start writes it"
                );
                return;
            }
        }
        drop(desk);
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes result topics panicked");
        }
    }
}

impl Shared {
    /// The next cut to write; `None` when it is time to end.
    fn next(&self) -> Option<Arc<Cut>> {
        let mut desk = self.desk.lock();
        loop {
            if let Some(cut) = desk.next.take() {
                return Some(cut);
            }
            if desk.is_stopping {
                return None;
            }
            self.bell.wait(&mut desk);
        }
    }

    fn is_written(&self) {
        let mut desk = self.desk.lock();
        if desk.problem.take().is_some() {
            tracing::info!("the result topics are written again");
        }
        desk.waiting_since = desk.next.is_some().then(Instant::now);
        metrics::gauge!("tidemark_result_topics_behind_seconds").set(0.0);
    }

    fn fails(&self, problem: String) {
        let mut desk = self.desk.lock();
        if desk.problem.as_ref() != Some(&problem) {
            tracing::error!(problem, "result topics: {problem}");
        }
        desk.problem = Some(problem);
    }

    /// Keeps a cut that could not be written, unless a newer one has come, and leaves the broker alone.
    fn try_later(&self, cut: Arc<Cut>) {
        let until = Instant::now() + RETRY_AFTER;
        let mut desk = self.desk.lock();
        while !desk.is_stopping && !self.bell.wait_until(&mut desk, until).timed_out() {}
        if !desk.is_stopping {
            desk.next.get_or_insert(cut);
        }
    }
}

struct Writing {
    config: ResultTopicsConfig,
    epoch: String,
    open: Option<TopicsClient>,
    /// Known once the topics have been open; see [`TopicsClient::open`].
    generation: Option<u64>,
}

impl Writing {
    fn run(&mut self, shared: &Shared) {
        while let Some(cut) = shared.next() {
            match self.write(&cut) {
                Ok(None) => shared.is_written(),
                // A later cut will have caught up.
                Ok(Some(behind)) => shared.fails(behind),
                Err(error @ TopicsError::Fenced { .. }) => {
                    metrics::counter!("tidemark_result_topics_failures_total").increment(1);
                    shared.fails(error.to_string());
                    return;
                }
                Err(error) => {
                    metrics::counter!("tidemark_result_topics_failures_total").increment(1);
                    // Whether it is committed is found out by reading the topics.
                    self.open = None;
                    shared.fails(error.to_string());
                    shared.try_later(cut);
                }
            }
        }
    }

    /// Writes one cut; or says in what it is behind the topics.
    fn write(&mut self, cut: &Cut) -> Result<Option<String>, TopicsError> {
        let views = cut.views.values().map(|view| &*view.info);
        let topics = topics_of(&self.config, views).map_err(TopicsError::Views)?;
        if topics.is_empty() {
            return Ok(None);
        }
        let mut open = match self.open.take() {
            Some(open) if topics.keys().all(|view| open.has(view)) => open,
            _ => TopicsClient::open(&self.config, &topics, self.generation)?,
        };
        self.generation = Some(open.generation);
        let behind = open.behind(cut);
        if behind.is_none() {
            open.write(cut, &self.epoch)?;
        }
        self.open = Some(open);
        Ok(behind)
    }
}
