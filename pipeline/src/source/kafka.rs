//! Kafka topics as sources. Offsets are Tidemark's own: a partition is opened at the offset of its
//! checkpoint, nothing is committed, and no consumer group is joined.
//!
//! ```text
//! open at an offset ─▶ queue of its own ─▶ assigned ─▶ read in batches ─▶ dropped: unassigned
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::kafka_batch::{self, BatchError, PartitionQueue};
use super::kafka_options::{
    self, ANSWER_WAIT, Consumer, KafkaOptions, hear, hear_one, one_partition,
};
use super::{Bounds, PartitionReader, ReadOutcome, Source, SourceError};
use crate::model::{Offset, PartitionId, Position, Record};

/// A Kafka topic as a source. All its readers share one client and its connections.
pub struct KafkaSource {
    client: Arc<Client>,
}

/// What a source and its readers share.
struct Client {
    consumer: Arc<Consumer>,
    options: KafkaOptions,
}

impl KafkaSource {
    /// A source over the topic of a stream's options (`topic`, `properties.*`).
    ///
    /// Nothing is asked of the brokers yet; [`Source::partitions`] is the first question.
    ///
    /// # Errors
    /// [`SourceError::BadOption`] naming the option that is missing, unknown or refused.
    pub fn new(options: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let options = KafkaOptions::from_options(options)?;
        let consumer = Arc::new(options.consumer()?);
        Ok(Self { client: Arc::new(Client { consumer, options }) })
    }
}

impl Source for KafkaSource {
    fn origin(&self) -> &str {
        &self.client.options.topic
    }

    fn partitions(&mut self) -> Result<Vec<PartitionId>, SourceError> {
        kafka_options::topic_partitions(&self.client.consumer, &self.client.options)
    }

    fn bounds(&mut self, partition: PartitionId) -> Result<Option<Bounds>, SourceError> {
        self.client.bounds(partition).map(Some)
    }

    fn offset_at(
        &mut self,
        partition: PartitionId,
        time_ms: i64,
    ) -> Result<Option<Offset>, SourceError> {
        self.client.offset_at(partition, time_ms).map(Some)
    }

    fn open(
        &mut self,
        partition: PartitionId,
        from: Option<Offset>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        let client = Arc::clone(&self.client);
        let next = client.checked(partition, from)?;
        let queue =
            PartitionQueue::take(Arc::clone(&client.consumer), &client.options.topic, partition);
        let queue = queue.ok_or_else(|| client.failed(partition, next, "it cannot be opened"))?;
        client.assign(partition, next)?;
        Ok(Box::new(KafkaReader { queue, client, partition, next, failure: None, lost_at: None }))
    }
}

/// Reads one partition of a topic.
pub struct KafkaReader {
    queue: PartitionQueue,
    client: Arc<Client>,
    partition: PartitionId,
    /// The offset wanted next; a message before it is never visited.
    next: Offset,
    /// An error that came behind records of the same call.
    failure: Option<BatchError>,
    /// Where reading stood when the log no longer held the next record. librdkafka tells it once and is
    /// silent then; a log that only looks quiet would be a jump over what is lost.
    lost_at: Option<Offset>,
}

impl PartitionReader for KafkaReader {
    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn read(
        &mut self,
        records_max: usize,
        wait: Duration,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<ReadOutcome, SourceError> {
        hear_one(&self.client.consumer);
        if let Some(error) = self.failure.take() {
            return Err(self.fails(error));
        }
        if let Some(offset) = self.lost_at {
            // Within the log after all, as after a move of the leader, it is read from there.
            self.seek(offset)?;
        }
        let (mut records, mut next) = (0, self.next);
        let outcome = self.queue.read(records_max, wait, &mut |record: Record<'_>| {
            if record.offset >= next {
                next = record.offset + 1;
                records += 1;
                visit(record);
            }
        });
        self.next = next;
        match outcome {
            Ok(_) => {}
            // Records before an error have been visited and count: the error is the next answer.
            Err(error) if records > 0 => self.failure = Some(error),
            Err(error) => return Err(self.fails(error)),
        }
        let Client { consumer, options } = &*self.client;
        if records > 0 {
            consumer.context().is_reached();
        } else if let Some(detail) = consumer.context().still_down(consumer, &options.topic) {
            return Err(self.client.unreachable(detail));
        }
        Ok(ReadOutcome { records, ended: false })
    }

    fn seek(&mut self, offset: Offset) -> Result<(), SourceError> {
        let offset = self.client.checked(self.partition, Some(offset))?;
        self.client.seek(self.partition, offset)?;
        self.queue.clear();
        self.failure = None;
        self.lost_at = None;
        self.next = offset;
        Ok(())
    }

    fn end_offset(&mut self) -> Option<Offset> {
        let Client { consumer, options } = &*self.client;
        let known = kafka_batch::known_end(consumer, &options.topic, self.partition)?;
        let has_all = self.queue.ended_at().is_some_and(|ended| ended >= known);
        Some(if has_all { self.next } else { known })
    }

    fn position(&self, offset: Offset) -> Position {
        let origin = self.client.options.topic.clone();
        Position { origin, partition: self.partition, offset, is_file: false }
    }
}

impl KafkaReader {
    fn fails(&mut self, error: BatchError) -> SourceError {
        if is_lost(error.code) {
            self.lost_at = Some(error.offset);
            if let Err(lost) = self.client.checked(self.partition, Some(error.offset)) {
                return lost;
            }
        }
        self.client.read_failed(self.partition, &error)
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        let topic = &self.client.options.topic;
        let list = one_partition(topic, number(self.partition), rdkafka::Offset::Invalid);
        let dropped = list.and_then(|list| self.client.consumer.incremental_unassign(&list));
        if let Err(error) = dropped {
            tracing::debug!(topic, partition = self.partition, %error, "not unassigned");
        }
    }
}

impl Client {
    /// `from`, or the first offset, if the partition can be read from there.
    fn checked(&self, partition: PartitionId, from: Option<Offset>) -> Result<Offset, SourceError> {
        let Bounds { first, end } = self.bounds(partition)?;
        let offset = from.unwrap_or(first);
        if (first..=end).contains(&offset) {
            return Ok(offset);
        }
        let topic = self.options.topic.clone();
        Err(SourceError::OffsetOutOfRange { topic, partition, offset, first, end })
    }

    fn bounds(&self, partition: PartitionId) -> Result<Bounds, SourceError> {
        let topic = &self.options.topic;
        let until = Instant::now() + ANSWER_WAIT;
        loop {
            let asked = self.consumer.fetch_watermarks(topic, number(partition), ANSWER_WAIT);
            hear(&self.consumer);
            match asked {
                Ok((first, end)) => return Ok(Bounds { first, end }),
                // The leader moves, or the topic has just been made: another broker is asked soon.
                Err(error) if is_between_leaders(&error) && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(self.unanswered(&error)),
            }
        }
    }

    fn offset_at(&self, partition: PartitionId, time_ms: i64) -> Result<Offset, SourceError> {
        // A negative time has a meaning of its own in the protocol (earliest, latest).
        let time = rdkafka::Offset::Offset(time_ms.max(0));
        let asked = one_partition(&self.options.topic, number(partition), time)
            .and_then(|list| self.consumer.offsets_for_times(list, ANSWER_WAIT));
        hear(&self.consumer);
        let answer = asked.map_err(|error| self.unanswered(&error))?;
        match answer
            .elements()
            .first()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::offset)
        {
            Some(rdkafka::Offset::Offset(offset)) => Ok(offset),
            _ => Ok(self.bounds(partition)?.end),
        }
    }

    fn assign(&self, partition: PartitionId, from: Offset) -> Result<(), SourceError> {
        one_partition(&self.options.topic, number(partition), rdkafka::Offset::Offset(from))
            .and_then(|list| self.consumer.incremental_assign(&list))
            .map_err(|error| self.failed(partition, from, &error.to_string()))
    }

    /// Moves an assigned partition. One that was assigned a moment ago is not ready for that yet.
    fn seek(&self, partition: PartitionId, offset: Offset) -> Result<(), SourceError> {
        let until = Instant::now() + ANSWER_WAIT;
        loop {
            let sought = one_partition(
                &self.options.topic,
                number(partition),
                rdkafka::Offset::Offset(offset),
            )
            .and_then(|list| self.consumer.seek_partitions(list, ANSWER_WAIT))
            .and_then(|list| list.elements().iter().try_for_each(|one| one.error()));
            match sought {
                Ok(()) => return Ok(()),
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(self.failed(partition, offset, &error.to_string())),
            }
        }
    }

    fn read_failed(&self, partition: PartitionId, error: &BatchError) -> SourceError {
        match error.code {
            code if kafka_options::is_missing_topic(code) => self.options.missing(),
            _ => self.failed(partition, error.offset, &error.detail),
        }
    }

    fn failed(&self, partition: PartitionId, offset: Offset, detail: &str) -> SourceError {
        let KafkaOptions { topic, .. } = &self.options;
        let brokers = self.options.brokers();
        SourceError::Read {
            place: format!("topic {topic} partition {partition} offset {offset} on {brokers}"),
            detail: detail.to_owned(),
        }
    }

    fn unanswered(&self, error: &KafkaError) -> SourceError {
        self.options.unanswered(error, self.consumer.context())
    }

    fn unreachable(&self, detail: String) -> SourceError {
        let place = format!("Kafka at {}", self.options.brokers());
        SourceError::Unreachable { place, detail }
    }
}

/// Whether the error says that the broker that was asked does not lead the partition now.
fn is_between_leaders(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        matches!(
            code,
            RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable
        )
    })
}

/// Whether the code says that the log does not hold the offset that is wanted.
fn is_lost(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
}

fn number(partition: PartitionId) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
