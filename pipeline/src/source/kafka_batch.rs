//! Reading one Kafka partition in batches, straight from librdkafka's own message bytes.
//!
//! Polling one message at a time costs more than everything behind it (three times as much CPU per
//! order), and the safe crate has no call for a batch. So this one file calls librdkafka itself:
//! it takes a partition's queue, reads arrays of messages from it, lends their bytes to a visitor
//! and destroys each once it has been visited.
#![expect(
    unsafe_code,
    reason = "the safe crate cannot read a batch; every call here has its reason beside it"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys::bindings as sys;

use super::kafka_options::Consumer;
use crate::model::{Header, Offset, PartitionId, Record};

/// Messages taken from librdkafka by one call; more gains nothing (measured).
pub(super) const BATCH_MESSAGES_MAX: usize = 8_192;

/// A message that librdkafka put into the queue to report an error.
#[derive(Debug)]
pub(crate) struct BatchError {
    pub(crate) code: RDKafkaErrorCode,
    pub(super) offset: Offset,
    pub(crate) detail: String,
}

/// The queue of one partition, taken out of the client's common one.
pub(crate) struct PartitionQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Messages read and not yet visited, from `at` on. Each is owned here until it is destroyed.
    messages: Vec<*mut sys::rd_kafka_message_t>,
    at: usize,
    partition: PartitionId,
    /// Where the partition last ended for a reader.
    ended_at: Option<Offset>,
    /// Kept after the queue in order of dropping: the queue must be gone before its client.
    _consumer: Arc<Consumer>,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, one at a time for a
// message; the raw pointers are owned by this value and reached only through `&mut self`.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Takes the partition's queue out of the common one. To be called before the partition is
    /// assigned, so that no message of it goes to the common queue; librdkafka keeps it apart then.
    ///
    /// `None` when librdkafka does not know the partition or the topic's name holds a zero byte.
    pub(crate) fn take(
        consumer: Arc<Consumer>,
        topic: &str,
        partition: PartitionId,
    ) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        let number = i32::try_from(partition).ok()?;
        // SAFETY: the client lives as long as `consumer`, which is kept; the name is a C string
        // that outlives the call. The queue that comes back is ours to destroy.
        let queue = NonNull::new(unsafe {
            sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), number)
        })?;
        // SAFETY: both are valid queues; null means "no longer forwarded".
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        let messages = Vec::with_capacity(BATCH_MESSAGES_MAX);
        Some(Self { queue, messages, at: 0, partition, ended_at: None, _consumer: consumer })
    }

    /// Visits up to `records_max` messages, waiting at most `wait` for the first.
    ///
    /// # Errors
    /// The first error message met; messages behind it are kept for the next call. How many were
    /// visited before it is the sum the visitor counted.
    pub(crate) fn read(
        &mut self,
        records_max: usize,
        wait: Duration,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<usize, BatchError> {
        let mut records = 0;
        let mut wait = wait;
        while records < records_max {
            if self.at == self.messages.len() && self.fill(records_max - records, wait) == 0 {
                break;
            }
            wait = Duration::ZERO;
            records += self.visit_next(visit)?;
        }
        Ok(records)
    }

    /// Forgets messages that were read and not visited.
    pub(super) fn clear(&mut self) {
        while let Some(message) = self.messages.get(self.at).copied() {
            self.at += 1;
            // SAFETY: the message is ours, and `at` has moved past it: it is destroyed once.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
        self.messages.clear();
        self.at = 0;
        self.ended_at = None;
    }

    /// The offset at which a reader last had everything there was: behind the last record, and behind
    /// what takes offsets without being one (marks of transactions, records they took back).
    pub(crate) fn ended_at(&self) -> Option<Offset> {
        self.ended_at
    }

    /// Reads the next messages; how many. A batch call waits until its array is full, so only the
    /// first message is waited for and the rest is what is there.
    fn fill(&mut self, records_max: usize, wait: Duration) -> usize {
        self.messages.clear();
        self.at = 0;
        if !wait.is_zero() && self.take_batch(1, wait) == 0 {
            return 0;
        }
        let left = records_max.min(BATCH_MESSAGES_MAX).saturating_sub(self.messages.len());
        if left > 0 {
            self.take_batch(left, Duration::ZERO);
        }
        self.messages.len()
    }

    fn take_batch(&mut self, size: usize, wait: Duration) -> usize {
        let start = self.messages.len();
        self.messages.reserve(size);
        let wait_ms = i32::try_from(wait.as_millis().max(u128::from(!wait.is_zero())));
        // SAFETY: the queue is ours; the array has room for `size` pointers behind `start`, and
        // librdkafka writes at most that many.
        let taken = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                wait_ms.unwrap_or(i32::MAX),
                self.messages.as_mut_ptr().add(start),
                size,
            )
        };
        // A negative count is an error of the call itself, which it makes only without arguments.
        let taken = usize::try_from(taken).unwrap_or(0).min(size);
        // SAFETY: librdkafka has written the `taken` pointers behind `start`.
        unsafe { self.messages.set_len(start + taken) };
        taken
    }

    /// Visits the next message and destroys it; 1, or 0 for the mark of the partition's end.
    fn visit_next(&mut self, visit: &mut dyn FnMut(Record<'_>)) -> Result<usize, BatchError> {
        let Some(pointer) = self.messages.get(self.at).copied() else { return Ok(0) };
        // SAFETY: librdkafka gave a valid message, which is ours and not yet destroyed. The borrow
        // ends before it is.
        let message = unsafe { &*pointer };
        let outcome = match RDKafkaErrorCode::from(message.err) {
            RDKafkaErrorCode::NoError => {
                visit_message(message, self.partition, visit);
                Ok(1)
            }
            RDKafkaErrorCode::PartitionEOF => {
                self.ended_at = Some(message.offset);
                Ok(0)
            }
            code => Err(BatchError { code, offset: message.offset, detail: error_text(message) }),
        };
        self.at += 1;
        // SAFETY: as above; `at` has moved past it, so it is destroyed once. Should the visitor
        // panic, `at` still points to it and dropping this value destroys it.
        unsafe { sys::rd_kafka_message_destroy(pointer) };
        outcome
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: the queue is ours, and its client still lives.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// The end offset the client last heard of, without asking the broker; `None` before the first.
pub(super) fn known_end(
    consumer: &Consumer,
    topic: &str,
    partition: PartitionId,
) -> Option<Offset> {
    let name = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client lives, the name is a C string, both numbers are ours to write to.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            name.as_ptr(),
            i32::try_from(partition).ok()?,
            &raw mut low,
            &raw mut high,
        )
    };
    let is_known = RDKafkaErrorCode::from(error) == RDKafkaErrorCode::NoError && high >= 0;
    is_known.then_some(high)
}

fn visit_message(
    message: &sys::rd_kafka_message_t,
    partition: PartitionId,
    visit: &mut dyn FnMut(Record<'_>),
) {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is valid, and the kind is ours to write to.
    let timestamp_ms = unsafe { sys::rd_kafka_message_timestamp(message, &raw mut kind) };
    let headers = headers(message);
    visit(Record {
        partition,
        offset: message.offset,
        timestamp_ms: (timestamp_ms >= 0).then_some(timestamp_ms),
        headers: &headers,
        // SAFETY: key and payload are as long as the message says, and live as long as it.
        key: unsafe { bytes(message.key, message.key_len) },
        payload: unsafe { bytes(message.payload, message.len) }.unwrap_or_default(),
    });
}

/// The message's headers; no allocation when it has none. A name that is not UTF-8, which Kafka's
/// protocol does not allow, becomes the empty name.
fn headers(message: &sys::rd_kafka_message_t) -> Vec<Header<'_>> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is valid; the list belongs to it and lives as long.
    let error = unsafe { sys::rd_kafka_message_headers(message, &raw mut list) };
    if RDKafkaErrorCode::from(error) != RDKafkaErrorCode::NoError {
        return Vec::new();
    }
    // SAFETY: the list is valid while the message is, which the result borrows.
    (0..).map_while(|index| unsafe { header(list, index) }).collect()
}

/// The header at `index`.
///
/// # Safety
/// `list` is valid for `'a`.
unsafe fn header<'a>(list: *const sys::rd_kafka_headers_t, index: usize) -> Option<Header<'a>> {
    let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
    // SAFETY: the list is valid, the three are ours to write to.
    let error = unsafe {
        sys::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut size)
    };
    if RDKafkaErrorCode::from(error) != RDKafkaErrorCode::NoError {
        return None;
    }
    // SAFETY: librdkafka gives a C string and a value of `size` bytes that live as long as the list.
    let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, size)) };
    Some((name.to_str().unwrap_or_default(), value.unwrap_or_default()))
}

/// `length` bytes at `start`; `None` for null.
///
/// # Safety
/// Unless null, `start` is valid for `length` bytes during `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: promised by the caller.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

fn error_text(message: &sys::rd_kafka_message_t) -> String {
    // SAFETY: the message is valid; the text lives as long as it and is copied at once.
    let text = unsafe { sys::rd_kafka_message_errstr(message) };
    if text.is_null() {
        return RDKafkaErrorCode::from(message.err).to_string();
    }
    // SAFETY: librdkafka gives a C string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
