//! Writing to a Kafka topic: an idempotent producer, with partitions chosen by us.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext,
};

use super::SourceError;
use super::kafka_options::{ANSWER_WAIT, KafkaOptions, topic_partitions};
use super::writer::{LogWriter, NewRecord};

/// Defaults that differ from librdkafka's, each of which a `properties.*` replaces.
const WRITING: [(&str, &str); 7] = [
    ("client.id", "tidemark"),
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    // Bounds what waits in memory; a write waits while it is full.
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "131072"),
    // After this long without an acknowledgement a record counts as not written.
    ("message.timeout.ms", "60000"),
];

/// Longest wait for the acknowledgement of everything; past `message.timeout.ms` all have failed.
const FLUSH_WAIT: Duration = Duration::from_secs(120);

/// Writes between looks at the acknowledgements.
const WRITES_A_POLL: u32 = 512;

/// Writes to one topic.
pub struct KafkaWriter {
    producer: BaseProducer<Deliveries>,
    options: KafkaOptions,
    partitions: u32,
    writes: u32,
}

impl KafkaWriter {
    /// A writer to the topic of a stream's options (`topic`, `properties.*`).
    ///
    /// With `partitions`, a missing topic is made with that many, kept for ever
    /// (`retention.ms=-1`), and one that is there must have as many. Without, it must be there.
    ///
    /// # Errors
    /// [`SourceError::BadOption`], [`SourceError::Unreachable`], [`SourceError::MissingTopic`],
    /// [`SourceError::PartitionCount`], or [`SourceError::Write`] when it cannot be made.
    pub fn open(
        options: &BTreeMap<String, String>,
        partitions: Option<u32>,
    ) -> Result<Self, SourceError> {
        let options = KafkaOptions::from_options(options)?;
        // A reading client asks, since a question by a producer would make the topic.
        let consumer = options.consumer()?;
        let found = match (topic_partitions(&consumer, &options), partitions) {
            (Err(SourceError::MissingTopic { .. }), Some(wanted)) => {
                create_topic(&options, wanted, &[("retention.ms", "-1")])?;
                until_made(&consumer, &options)?
            }
            (found, _) => u32::try_from(found?.len()).unwrap_or(u32::MAX),
        };
        match partitions {
            Some(wanted) if wanted != found => {
                let topic = options.topic;
                return Err(SourceError::PartitionCount { topic, wanted, found });
            }
            _ => {}
        }
        let config = options.config(WRITING.iter());
        let created = config.create_with_context::<_, BaseProducer<_>>(Deliveries::default());
        let producer = created.map_err(|error| options.refused(error))?;
        Ok(Self { producer, options, partitions: found, writes: 0 })
    }

    fn send(&self, record: &NewRecord<'_>, partition: i32) -> Result<(), KafkaError> {
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.options.topic)
            .partition(partition)
            .payload(record.payload)
            .timestamp(record.timestamp_ms);
        message.key = record.key;
        message.headers = headers(record);
        let mut waiting = self.producer.send(message);
        while let Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), message)) =
            waiting
        {
            // Ends at the latest when the oldest record's message.timeout.ms is over.
            self.producer.poll(Duration::from_millis(10));
            waiting = self.producer.send(message);
        }
        waiting.map_err(|(error, _)| error)
    }

    fn check_deliveries(&self) -> Result<(), SourceError> {
        let deliveries = self.producer.context();
        match deliveries.failed.lock().clone() {
            None => Ok(()),
            Some(failed) => Err(self.unwritten(failed.partition, &failed.detail)),
        }
    }

    fn unwritten(&self, partition: i32, detail: &str) -> SourceError {
        let topic = &self.options.topic;
        let place = format!("topic {topic} partition {partition} on {}", self.options.brokers());
        let heard = self.producer.context().last.lock().clone();
        let heard = heard.map_or_else(String::new, |heard| format!(" ({heard})"));
        SourceError::Write { place, detail: format!("{detail}{heard}") }
    }
}

impl LogWriter for KafkaWriter {
    fn origin(&self) -> &str {
        &self.options.topic
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn write(&mut self, record: &NewRecord<'_>) -> Result<(), SourceError> {
        let partition = i32::try_from(record.partition_among(self.partitions)).unwrap_or(i32::MAX);
        let sent = self.send(record, partition);
        sent.map_err(|error| self.unwritten(partition, &error.to_string()))?;
        self.writes = (self.writes + 1) % WRITES_A_POLL;
        if self.writes == 0 {
            self.producer.poll(Duration::ZERO);
            self.check_deliveries()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        let flushed = self.producer.flush(FLUSH_WAIT);
        self.check_deliveries()?;
        flushed.map_err(|error| {
            let waiting = self.producer.in_flight_count();
            self.unwritten(-1, &format!("{waiting} records are not acknowledged: {error}"))
        })
    }
}

fn headers(record: &NewRecord<'_>) -> Option<OwnedHeaders> {
    let mut headers = record.headers.iter();
    let first = headers.next()?;
    let start = OwnedHeaders::new_with_capacity(record.headers.len());
    let add = |list: OwnedHeaders, (key, value): &(&str, &[u8])| {
        list.insert(KafkaHeader { key, value: Some(*value) })
    };
    Some(headers.fold(add(start, first), add))
}

/// Makes a topic with the brokers' own replication factor and these settings.
///
/// # Errors
/// When the brokers refuse; that somebody else has made it meanwhile is none.
pub(crate) fn create_topic(
    options: &KafkaOptions,
    partitions: u32,
    settings: &[(&str, &str)],
) -> Result<(), SourceError> {
    let unmade = |detail: String| SourceError::Write {
        place: format!("topic {} on {}", options.topic, options.brokers()),
        detail: format!("it cannot be created: {detail}"),
    };
    let config = options.config(std::iter::empty());
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| options.refused(error))?;
    let count = i32::try_from(partitions).map_err(|error| unmade(error.to_string()))?;
    // -1 asks for the brokers' own replication factor.
    let topic = NewTopic::new(&options.topic, count, TopicReplication::Fixed(-1));
    let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    let wait = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT));
    let asked = futures::executor::block_on(admin.create_topics([&topic], &wait));
    match asked.map_err(|error| unmade(error.to_string()))?.pop() {
        // Somebody else may have made it since; its partitions are compared like any other's.
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
            Err(unmade(code.to_string()))
        }
        _ => Ok(()),
    }
}

/// Waits until every broker that is asked knows the new topic.
///
/// # Errors
/// When none does within [`ANSWER_WAIT`].
pub(crate) fn until_made(
    consumer: &super::kafka_options::Consumer,
    options: &KafkaOptions,
) -> Result<u32, SourceError> {
    let until = Instant::now() + ANSWER_WAIT;
    loop {
        match topic_partitions(consumer, options) {
            Err(SourceError::MissingTopic { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            found => return Ok(u32::try_from(found?.len()).unwrap_or(u32::MAX)),
        }
    }
}

/// The first record that was not written.
#[derive(Debug, Clone)]
struct Failed {
    partition: i32,
    detail: String,
}

/// Looks through the acknowledgements; what matters is the first that is none.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    failed: Mutex<Option<Failed>>,
    last: Mutex<Option<String>>,
}

impl Deliveries {
    /// The newest background error.
    pub(crate) fn heard(&self) -> Option<String> {
        self.last.lock().clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(client = "writing", ?level, facility, "{message}");
    }

    fn error(&self, _: KafkaError, reason: &str) {
        *self.last.lock() = Some(reason.to_owned());
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let (partition, detail) = (message.partition(), error.to_string());
            self.failed.lock().get_or_insert(Failed { partition, detail });
        }
    }
}
