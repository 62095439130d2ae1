//! What one query may make and how long it may go on, asked by the functions while they work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{Array as _, ArrayRef, make_array};
use arrow::buffer::Buffer;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use crate::sql::limits::Limit;

/// Why a function gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::sql) enum Overrun {
    /// A value, or a row, would be larger than it may be.
    #[error("{what} could have {bytes} bytes, and {most} may be")]
    Row {
        /// What makes it.
        what: String,
        /// Its size at worst.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// The time of the query is over, or nobody waits for it any more.
    #[error("stopped")]
    Stopped {
        /// The time it had, and where that is configured; `None` when it was let go of before.
        after: Option<(Duration, Limit)>,
    },
}

impl From<Overrun> for DataFusionError {
    fn from(overrun: Overrun) -> Self {
        Self::External(Box::new(overrun))
    }
}

/// What the queries of one session may use. They run one after the other.
#[derive(Debug)]
pub(in crate::sql) struct Budget {
    pool: Arc<dyn MemoryPool>,
    row_bytes_max: usize,
    query: Mutex<Option<Query>>,
}

/// The query that runs.
#[derive(Debug, Clone)]
struct Query {
    begun: Instant,
    most: (Duration, Limit),
    is_left: Arc<AtomicBool>,
}

/// A query that may run; dropped, its functions stop where they are.
#[derive(Debug)]
pub(in crate::sql) struct Running(Arc<Budget>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.query.lock() = None;
    }
}

impl Budget {
    /// Bytes come from `pool`; a value and a row have at most `row_bytes_max`.
    pub(in crate::sql) fn new(pool: Arc<dyn MemoryPool>, row_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { pool, row_bytes_max, query: Mutex::new(None) })
    }

    /// A query begins that may run for so long, by this limit, and while `is_left` is false: whoever waits for it
    /// says there that it no longer does.
    pub(in crate::sql) fn begin(
        self: &Arc<Self>,
        most: (Duration, Limit),
        is_left: Arc<AtomicBool>,
    ) -> Running {
        *self.query.lock() = Some(Query { begun: Instant::now(), most, is_left });
        Running(Arc::clone(self))
    }

    /// Asked between rows: the engine itself asks only between batches.
    ///
    /// # Errors
    /// When the query is over.
    pub(super) fn go_on(&self) -> Result<(), Overrun> {
        let Some(query) = self.query.lock().clone() else {
            return Err(Overrun::Stopped { after: None });
        };
        if query.is_left.load(Ordering::Relaxed) {
            return Err(Overrun::Stopped { after: None });
        }
        if query.begun.elapsed() >= query.most.0 {
            return Err(Overrun::Stopped { after: Some(query.most) });
        }
        Ok(())
    }

    /// Refuses a value that could be too large.
    ///
    /// # Errors
    /// When it is.
    pub(super) fn allow(&self, what: &str, bytes: usize) -> Result<(), Overrun> {
        let most = self.row_bytes_max;
        if bytes > most { Err(Overrun::Row { what: what.to_owned(), bytes, most }) } else { Ok(()) }
    }

    /// Takes bytes before they are made.
    ///
    /// # Errors
    /// When the query has no more.
    pub(super) fn reserve(&self, bytes: usize) -> Result<MemoryReservation> {
        let reservation = MemoryConsumer::new("functions").register(&self.pool);
        reservation.try_grow(bytes)?;
        Ok(reservation)
    }
}

/// The array, which gives the reserved bytes back when the last of its copies is dropped.
///
/// # Errors
/// When the query has fewer bytes than the array has become.
pub(super) fn claimed(array: ArrayRef, reservation: MemoryReservation) -> Result<ArrayRef> {
    let data = array.to_data();
    reservation.try_resize(data.get_array_memory_size())?;
    let mut buffers = data.buffers().to_vec();
    let Some(first) = buffers.first_mut() else { return Ok(array) };
    if first.is_empty() {
        return Ok(array);
    }
    let owner = Claimed { bytes: first.clone(), _reservation: reservation };
    *first = Buffer::from(bytes::Bytes::from_owner(owner));
    Ok(make_array(data.into_builder().buffers(buffers).build()?))
}

/// A buffer and the bytes reserved for its array.
struct Claimed {
    bytes: Buffer,
    _reservation: MemoryReservation,
}

impl AsRef<[u8]> for Claimed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
