//! Queries that run and queries that ran, whichever door they came through: seen, stopped, remembered.
//!
//! ```text
//! begin ─▶ running ─▶ end ─▶ the log, the newest first to be asked for, the oldest first to go
//!             └─ stop: hears it at once; the work is freed where it next pauses
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::SqlError;
use crate::auth::{Principal, Right};
use crate::clock::Clock;

/// Letters of a statement that are kept; the rest of a longer one is of no use to who reads the list.
const STATEMENT_LETTERS: usize = 4_000;

/// Where a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `POST /api/sql`.
    Http,
    /// The PostgreSQL wire.
    Postgres,
    /// Arrow Flight SQL.
    Flight,
    /// A subscription, over a WebSocket or HTTP.
    Subscribe,
}

impl Door {
    /// Its word in tables and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Postgres => "postgres",
            Self::Flight => "flight",
            Self::Subscribe => "subscribe",
        }
    }
}

/// Whose queries someone sees and may stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// Everybody's: an operator's view.
    All,
    /// One's own.
    Own(String),
}

impl Watch {
    /// Who operates the server sees all; the statements of others may hold what is not for everyone.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        if principal.role.may(Right::Operate) && principal.views.spans_all() {
            return Self::All;
        }
        Self::Own(principal.name.clone())
    }

    fn has(&self, query: &Running) -> bool {
        match self {
            Self::All => true,
            Self::Own(name) => !name.is_empty() && *name == query.who,
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::Own(String::new())
    }
}

/// A query as it is seen while it runs.
#[derive(Debug)]
pub struct Running {
    /// Its name; nobody else's as long as it runs.
    pub id: String,
    /// Where it came in.
    pub door: Door,
    /// Who asks, as the door knows them.
    pub who: String,
    /// Its text, cut off where it is very long.
    pub statement: String,
    /// When it began, epoch milliseconds.
    pub began_at: i64,
    since: Instant,
    stop: Notify,
}

impl Running {
    /// How long it has run, in milliseconds.
    #[must_use]
    pub fn ran_ms(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// A query that is over.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What it was.
    pub query: Arc<Running>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// Rows of its answer; `None` where it had none.
    pub rows: Option<u64>,
    /// `done`, `cancelled`, `left` (nobody waited any more), or the code of what went wrong.
    pub outcome: &'static str,
}

/// The queries of all doors.
#[derive(Debug)]
pub struct Queries {
    clock: Clock,
    log_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    begun: u64,
    running: BTreeMap<String, Arc<Running>>,
    log: VecDeque<Ran>,
}

impl Queries {
    /// Nothing runs. The log holds `log_max` queries; past it the oldest go.
    #[must_use]
    pub fn new(clock: Clock, log_max: usize) -> Arc<Self> {
        Arc::new(Self { clock, log_max, inner: Mutex::default() })
    }

    /// Enters a query, under the name its asker wants or a new one.
    ///
    /// # Errors
    /// When a query of this name runs already.
    pub(super) fn begin(
        self: &Arc<Self>,
        wanted: Option<String>,
        door: Door,
        who: &str,
        statement: &str,
    ) -> Result<Turn, SqlError> {
        let mut inner = self.inner.lock();
        inner.begun += 1;
        let id = wanted.unwrap_or_else(|| format!("{}-{:08}", door.as_str(), inner.begun));
        if inner.running.contains_key(&id) {
            return Err(SqlError::Params { message: format!("a query named {id} runs already") });
        }
        let running = Arc::new(Running {
            id: id.clone(),
            door,
            who: who.to_owned(),
            statement: statement.chars().take(STATEMENT_LETTERS).collect(),
            began_at: self.clock.now_ms(),
            since: Instant::now(),
            stop: Notify::new(),
        });
        inner.running.insert(id, Arc::clone(&running));
        Ok(Turn { queries: Arc::clone(self), running, ended: None, is_part: false })
    }

    /// Stops a query; false when none of this name runs that may be seen.
    pub fn stop(&self, id: &str, watch: &Watch) -> bool {
        let found = self.inner.lock().running.get(id).map(Arc::clone);
        let found = found.filter(|query| watch.has(query));
        if let Some(running) = &found {
            running.stop.notify_one();
        }
        found.is_some()
    }

    /// What runs and may be seen, by name.
    #[must_use]
    pub fn running(&self, watch: &Watch) -> Vec<Arc<Running>> {
        let inner = self.inner.lock();
        inner.running.values().filter(|query| watch.has(query)).map(Arc::clone).collect()
    }

    /// What ran and may be seen, the newest first.
    #[must_use]
    pub fn log(&self, watch: &Watch) -> Vec<Ran> {
        let inner = self.inner.lock();
        inner.log.iter().rev().filter(|ran| watch.has(&ran.query)).cloned().collect()
    }

    fn end(&self, query: &Arc<Running>, rows: Option<u64>, outcome: &'static str) {
        let ran = Ran { query: Arc::clone(query), took_ms: query.ran_ms(), rows, outcome };
        let mut inner = self.inner.lock();
        inner.running.remove(&query.id);
        inner.log.push_back(ran);
        while inner.log.len() > self.log_max {
            inner.log.pop_front();
        }
    }
}

/// One query's entry; it ends when this is dropped.
pub(super) struct Turn {
    queries: Arc<Queries>,
    running: Arc<Running>,
    ended: Option<(Option<u64>, &'static str)>,
    /// Whether what has ended was only a part of a query.
    is_part: bool,
}

impl Turn {
    /// The query's name.
    pub(super) fn id(&self) -> &str {
        &self.running.id
    }

    /// Ready when someone stops it.
    pub(super) async fn stopped(&self) {
        self.running.stop.notified().await;
    }

    /// Says how it ended: with so many rows, or with an error.
    pub(super) fn ended(mut self, how: Result<Option<u64>, &SqlError>) {
        self.ended = Some(match how {
            Ok(rows) => (rows, "done"),
            Err(error) => (None, error.code()),
        });
    }
}

impl Turn {
    /// Ends without a line in the log: the query has been planned, and is entered again when it runs.
    pub(super) fn goes_on(mut self) {
        self.is_part = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_part {
            self.queries.inner.lock().running.remove(&self.running.id);
            return;
        }
        // Dropped without a word: whoever asked has gone.
        let (rows, outcome) = self.ended.unwrap_or((None, "left"));
        self.queries.end(&self.running, rows, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(log_max: usize) -> Arc<Queries> {
        Queries::new(Clock::from_fn(|| 7), log_max)
    }

    fn begin(queries: &Arc<Queries>, id: &str) -> Turn {
        queries.begin(Some(id.to_owned()), Door::Http, "ann", "SELECT 1").expect("begins")
    }

    #[test]
    fn a_query_is_seen_while_it_runs_and_remembered_afterwards() {
        let queries = queries(10);
        let turn = begin(&queries, "first-one");
        assert_eq!(
            queries.running(&Watch::All).first().map(|query| query.id.clone()).as_deref(),
            Some("first-one")
        );
        turn.ended(Ok(Some(3)));
        drop(begin(&queries, "second-one"));
        begin(&queries, "third-one").ended(Err(&SqlError::Stopped));
        assert!(queries.running(&Watch::All).is_empty());
        let log: Vec<_> = queries
            .log(&Watch::All)
            .iter()
            .map(|ran| (ran.query.id.clone(), ran.rows, ran.outcome))
            .collect();
        assert_eq!(
            log,
            [
                ("third-one".to_owned(), None, "stopped"),
                ("second-one".to_owned(), None, "left"),
                ("first-one".to_owned(), Some(3), "done")
            ]
        );
    }

    #[test]
    fn two_queries_at_one_time_have_two_names_and_the_log_has_an_end() {
        let queries = queries(2);
        let held = begin(&queries, "the-name");
        assert!(queries.begin(Some("the-name".to_owned()), Door::Http, "bob", "x").is_err());
        assert!(!queries.stop("another-name", &Watch::All));
        assert!(!queries.stop("the-name", &Watch::Own("bob".to_owned())));
        assert!(queries.stop("the-name", &Watch::Own("ann".to_owned())));
        drop(held);
        for _ in 0..5 {
            drop(queries.begin(None, Door::Postgres, "bob", &"x".repeat(9_000)).expect("begins"));
        }
        assert_eq!(queries.log(&Watch::All).len(), 2);
        assert!(
            queries
                .log(&Watch::All)
                .iter()
                .all(|ran| ran.query.statement.len() == STATEMENT_LETTERS)
        );
    }

    #[tokio::test]
    async fn a_stop_is_heard_whether_it_comes_before_or_after_the_listening() {
        let queries = queries(2);
        let turn = begin(&queries, "the-name");
        assert!(!queries.stop("the-name", &Watch::Own("bob".to_owned())));
        assert!(queries.stop("the-name", &Watch::Own("ann".to_owned())));
        turn.stopped().await;
    }
}
