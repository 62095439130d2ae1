//! What one query may use, and how many may run: by the role of who asks, and of all together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::SqlError;
use super::rules::RoleRules;
use super::tables::Pin;
use crate::auth::Role;
use crate::config::{RoleConfig, SqlConfig};

/// How long a query waits for its turn before it is refused: a dashboard asks a dozen questions at
/// once and each takes milliseconds, so most need no more than this.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// Where a bound is configured, for whoever has reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its key in `[sql]` or in the role's section.
    pub key: &'static str,
    /// The role that has a bound of its own; `None` where it has that of everybody.
    pub role: Option<Role>,
}

impl Limit {
    /// The bound of everybody.
    #[must_use]
    pub const fn of_all(key: &'static str) -> Self {
        Self { key, role: None }
    }

    /// The time that a client has said it waits, with `SET statement_timeout`.
    #[must_use]
    pub(super) const fn of_client() -> Self {
        Self::of_all(STATEMENT_TIMEOUT)
    }
}

/// The setting of a client; no key of ours.
const STATEMENT_TIMEOUT: &str = "statement_timeout";

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role.map(Role::as_str) {
            None if self.key == STATEMENT_TIMEOUT => {
                write!(f, "{STATEMENT_TIMEOUT}, which this connection has set")
            }
            None => write!(f, "sql.{}", self.key),
            Some(role) => {
                write!(f, "sql.roles.{role}.{}, the limit of role {role}", self.key)
            }
        }
    }
}

/// A bound and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound<T> {
    /// How much may be.
    pub(super) most: T,
    /// Where that is configured.
    pub(super) limit: Limit,
}

/// What one query of a role may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Rows of its answer.
    pub(super) rows: Bound<usize>,
    /// How long it may run.
    pub(super) time: Bound<Duration>,
    /// Bytes it may hold.
    pub(super) memory_bytes: Bound<usize>,
}

impl Bounds {
    /// The role's own, and where it has none those of everybody.
    pub(super) fn new(role: Role, all: &SqlConfig, own: &RoleConfig) -> Self {
        Self {
            rows: bound(role, "rows-max", own.rows_max, all.rows_max),
            time: bound(role, "seconds-max", own.time_max, all.time_max),
            memory_bytes: bound(
                role,
                "memory-bytes-max",
                own.memory_bytes_max,
                all.memory_bytes_max,
            ),
        }
    }
}

fn bound<T>(role: Role, key: &'static str, own: Option<T>, all: T) -> Bound<T> {
    let limit = Limit { key, role: own.is_some().then_some(role) };
    Bound { most: own.unwrap_or(all), limit }
}

/// Places for so many at one time.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    bound: Bound<usize>,
}

impl Places {
    /// All are free.
    pub(super) fn new(most: usize, limit: Limit) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), bound: Bound { most, limit } }
    }

    /// A place at once.
    ///
    /// # Errors
    /// When none is free.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, SqlError> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| self.busy())
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, SqlError> {
        let waiting = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(TURN_WAIT, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(self.busy()),
        }
    }

    fn busy(&self) -> SqlError {
        SqlError::Busy { running: self.bound.most, limit: self.bound.limit }
    }
}

/// A turn: a place among those of the role, where these are counted, and one among all.
#[derive(Debug)]
pub(super) struct Permits {
    _of_role: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

/// The limits of all queries together.
#[derive(Debug)]
pub(super) struct Limits {
    /// The configured bounds.
    pub(super) config: SqlConfig,
    running: Places,
    subscribed: Places,
}

impl Limits {
    /// Nothing runs yet.
    pub(super) fn new(config: SqlConfig) -> Self {
        let running = Places::new(config.concurrent_max, Limit::of_all("concurrent-max"));
        let subscribed = Places::new(config.subscriptions_max, Limit::of_all("subscriptions-max"));
        Self { config, running, subscribed }
    }

    /// Waits shortly for a turn. The query runs until the permits are dropped.
    ///
    /// # Errors
    /// When no query ended in time.
    pub(super) async fn turn(&self, rules: &RoleRules) -> Result<Permits, SqlError> {
        let of_role = match &rules.running {
            Some(places) => Some(places.wait().await?),
            None => None,
        };
        Ok(Permits { _of_role: of_role, _of_all: self.running.wait().await? })
    }

    /// A place for a subscription, which has it until the permits are dropped.
    ///
    /// # Errors
    /// When there are as many as may be.
    pub(super) fn subscribe(&self, rules: &RoleRules) -> Result<Permits, SqlError> {
        let of_role = rules.subscribed.as_ref().map(Places::take).transpose()?;
        Ok(Permits { _of_role: of_role, _of_all: self.subscribed.take()? })
    }

    /// Memory for one query or one connection: bounded by the role of whoever `pin` is shown to, and never spilled to a
    /// disk that the checkpoints need.
    ///
    /// # Errors
    /// When the engine refuses the settings.
    pub(super) fn memory(pin: &Arc<Pin>) -> Result<Arc<RuntimeEnv>> {
        let pool = RolePool { pin: Arc::clone(pin), used: AtomicUsize::new(0) };
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()
    }
}

/// Bytes up to what the role may have. A connection has its pool before it is known whose it is.
#[derive(Debug)]
struct RolePool {
    pin: Arc<Pin>,
    used: AtomicUsize,
}

impl RolePool {
    fn most(&self) -> usize {
        self.pin.rules().bounds.memory_bytes.most
    }
}

impl fmt::Display for RolePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RolePool({} of {} bytes)", self.reserved(), self.most())
    }
}

impl MemoryPool for RolePool {
    fn name(&self) -> &'static str {
        "role"
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, _reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let most = self.most();
        let grown = |used: usize| used.checked_add(additional).filter(|used| *used <= most);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => Ok(()),
            // Told as it is where the library hands the engine's errors on.
            Err(_) => Err(DataFusionError::ResourcesExhausted(
                SqlError::of_memory(&self.pin.rules().bounds).to_string(),
            )),
        }
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most())
    }
}
