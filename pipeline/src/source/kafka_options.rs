//! What is asked of a Kafka client, and the client errors in an operator's words.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, TopicPartitionList};

use super::SourceError;
use crate::model::PartitionId;

/// How long a broker may take to answer before it counts as unreachable.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Events served after a question: a handful for each broker that refused.
const EVENTS_HEARD: u32 = 32;

/// Prefix of the options that are handed to librdkafka as they are.
const PROPERTIES: &str = "properties.";

/// librdkafka's properties that Tidemark sets itself: its offsets stand in its own checkpoints, a
/// gap in the log is an error, reading creates nothing, and the end of a partition is told.
const OURS: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("allow.auto.create.topics", "false"),
    // Only so is known that what is left at the end are marks of transactions and what they took back.
    ("enable.partition.eof", "true"),
];

/// Defaults that differ from librdkafka's, each of which a `properties.*` replaces.
const READING: [(&str, &str); 4] = [
    ("client.id", "tidemark"),
    // Needed by the client to take partitions at all; no group is ever joined.
    ("group.id", "tidemark"),
    // librdkafka stops fetching for a whole second once its queue is full; we drain that in 100 ms.
    ("fetch.queue.backoff.ms", "5"),
    // Bounds what waits in memory for all partitions of a stream together.
    ("queued.max.messages.kbytes", "65536"),
];

/// Topic and client properties of a stream, as its SQL `WITH (…)` gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Topic to read or write.
    pub topic: String,
    /// librdkafka's own properties, `bootstrap.servers` among them.
    pub properties: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// Takes `topic` and every `properties.*` out of a stream's options; others are left alone.
    ///
    /// # Errors
    /// When the topic or the brokers are missing, or a property is one Tidemark sets itself.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let needed = |name: &str, example: &str| {
            options.get(name).filter(|value| !value.is_empty()).cloned().ok_or_else(|| {
                bad_option(name, &format!("is missing; a Kafka stream needs it, as {example}"))
            })
        };
        let topic = needed("topic", "'topic' = 'orders'")?;
        needed("properties.bootstrap.servers", "'properties.bootstrap.servers' = 'host:9092'")?;
        let properties = options
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PROPERTIES)?, value)))
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        let options = Self { topic, properties };
        options.refuse_ours()?;
        Ok(options)
    }

    /// The brokers as configured, for messages.
    #[must_use]
    pub fn brokers(&self) -> &str {
        self.properties.get("bootstrap.servers").map_or("no brokers", String::as_str)
    }

    fn refuse_ours(&self) -> Result<(), SourceError> {
        for (name, value) in OURS {
            if self.properties.get(name).is_some_and(|given| given != value) {
                let detail = format!("is always {value}: Tidemark sets it itself; remove it");
                return Err(bad_option(&format!("{PROPERTIES}{name}"), &detail));
            }
        }
        Ok(())
    }

    /// A reading client. It connects in the background; [`topic_partitions`] is the first question.
    ///
    /// # Errors
    /// [`SourceError::BadOption`] naming the property librdkafka refuses.
    pub(crate) fn consumer(&self) -> Result<Consumer, SourceError> {
        let config = self.config(READING.iter().chain(OURS.iter()));
        let context = KafkaContext { client: "reading", ..KafkaContext::default() };
        let created = config.create_with_context::<_, Consumer>(context);
        created.map_err(|error| self.refused(error))
    }

    /// The configuration of a client: `defaults`, and over them what the user gave.
    pub(crate) fn config<'a>(
        &self,
        defaults: impl Iterator<Item = &'a (&'static str, &'static str)>,
    ) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// What librdkafka has against the configuration, in the user's own names.
    pub(crate) fn refused(&self, error: KafkaError) -> SourceError {
        match error {
            KafkaError::ClientConfig(_, detail, property, _) => {
                bad_option(&format!("{PROPERTIES}{property}"), &detail)
            }
            other => bad_option("properties", &other.to_string()),
        }
    }

    /// The topic is not there.
    pub(super) fn missing(&self) -> SourceError {
        SourceError::MissingTopic { topic: self.topic.clone(), place: self.brokers().to_owned() }
    }

    /// A question to the brokers failed; `context` knows the reason better than the answer does.
    pub(super) fn unanswered(&self, error: &KafkaError, context: &KafkaContext) -> SourceError {
        if error.rdkafka_error_code().is_some_and(is_missing_topic) {
            return self.missing();
        }
        let heard = context.last_error().unwrap_or_else(|| error.to_string());
        SourceError::Unreachable {
            place: format!("Kafka at {} for topic {}", self.brokers(), self.topic),
            detail: format!("{heard}; check `properties.bootstrap.servers` and that a broker runs"),
        }
    }
}

fn bad_option(option: &str, detail: &str) -> SourceError {
    SourceError::BadOption { option: option.to_owned(), detail: detail.to_owned() }
}

/// Whether the code says that there is no such topic or partition.
pub(super) fn is_missing_topic(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicId
    )
}

/// The reading client.
pub(crate) type Consumer = BaseConsumer<KafkaContext>;

/// Keeps what a client reports in the background until somebody asks.
#[derive(Debug, Default)]
pub(crate) struct KafkaContext {
    client: &'static str,
    last: Mutex<Option<String>>,
    all_down: Mutex<Option<Down>>,
}

/// That no broker could be reached, and when one was last asked for.
#[derive(Debug)]
struct Down {
    detail: String,
    asked: Instant,
}

/// How often a broker is asked for while none can be reached.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long one may take to answer then; nothing else can be read meanwhile.
const ASK_WAIT: Duration = Duration::from_millis(300);

impl KafkaContext {
    /// The newest background error.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last.lock().clone()
    }

    /// A record has come, so a broker can be reached.
    pub(super) fn is_reached(&self) {
        *self.all_down.lock() = None;
    }

    /// Why no broker can be reached, as long as none answers; librdkafka tells it only once, and
    /// silence says nothing: a topic may simply have no new records.
    pub(super) fn still_down(&self, consumer: &Consumer, topic: &str) -> Option<String> {
        {
            let mut down = self.all_down.lock();
            let known = down.as_mut()?;
            if known.asked.elapsed() < ASK_EVERY {
                return Some(known.detail.clone());
            }
            known.asked = Instant::now();
        }
        if consumer.fetch_metadata(Some(topic), ASK_WAIT).is_ok() {
            self.is_reached();
        }
        self.all_down.lock().as_ref().map(|down| down.detail.clone())
    }
}

impl ClientContext for KafkaContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Errors also come as events, where they are handled; here they are details.
        tracing::debug!(client = self.client, ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            let detail = self.last_error().unwrap_or_else(|| reason.to_owned());
            *self.all_down.lock() = Some(Down { detail, asked: Instant::now() });
        } else {
            *self.last.lock() = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for KafkaContext {}

/// Numbers of the topic's partitions, each with a leader.
///
/// # Errors
/// [`SourceError::MissingTopic`] or [`SourceError::Unreachable`] within [`ANSWER_WAIT`] or so.
pub(crate) fn topic_partitions(
    consumer: &Consumer,
    options: &KafkaOptions,
) -> Result<Vec<PartitionId>, SourceError> {
    let until = Instant::now() + ANSWER_WAIT;
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let answer = consumer.fetch_metadata(Some(&options.topic), left);
        hear(consumer);
        let metadata = answer.map_err(|error| options.unanswered(&error, consumer.context()))?;
        let topic = metadata.topics().first().ok_or_else(|| options.missing())?;
        match topic.error().map(RDKafkaErrorCode::from) {
            Some(code) if is_missing_topic(code) => return Err(options.missing()),
            Some(code) if code != RDKafkaErrorCode::LeaderNotAvailable => {
                return Err(SourceError::Read {
                    place: format!("topic {} on {}", options.topic, options.brokers()),
                    detail: code.to_string(),
                });
            }
            None if topic.partitions().iter().all(|partition| partition.leader() >= 0) => {
                let ids = topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id);
                let mut ids: Vec<_> = ids.filter_map(|id| PartitionId::try_from(id).ok()).collect();
                ids.sort_unstable();
                return Ok(ids);
            }
            // A topic that has just been made has no leaders yet.
            _ if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            _ => {
                let error = KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable);
                return Err(options.unanswered(&error, consumer.context()));
            }
        }
    }
}

/// Serves what waits on the main queue: errors, logs, token refreshes. Messages never come there.
pub(crate) fn hear(consumer: &Consumer) {
    // A poll that served a log line also answers "nothing", so the number is fixed.
    (0..EVENTS_HEARD).for_each(|_| hear_one(consumer));
}

/// Serves one event of the main queue, if one waits; for the path every batch takes.
pub(super) fn hear_one(consumer: &Consumer) {
    if let Some(Err(error)) = consumer.poll(Duration::ZERO) {
        tracing::debug!(%error, "kafka client event");
    }
}

/// A list with one partition at one offset.
pub(super) fn one_partition(
    topic: &str,
    partition: i32,
    offset: rdkafka::Offset,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset)?;
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn properties_are_passed_through_and_the_rest_is_left_alone() {
        let given = options(&[
            ("connector", "kafka"),
            ("topic", "orders"),
            ("properties.bootstrap.servers", "a:1,b:2"),
            ("properties.group.id", "mine"),
        ]);
        let parsed = KafkaOptions::from_options(&given).unwrap();
        assert_eq!(parsed.brokers(), "a:1,b:2");
        assert_eq!(parsed.config(READING.iter()).get("group.id"), Some("mine"));
        assert_eq!(parsed.properties.len(), 2);
    }

    #[test]
    fn an_unknown_property_is_named_at_once() {
        let given = options(&[
            ("topic", "orders"),
            ("properties.bootstrap.servers", "127.0.0.1:1"),
            ("properties.fetch.colour", "blue"),
        ]);
        let error = KafkaOptions::from_options(&given).unwrap().consumer().err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with("option 'properties.fetch.colour': No such"), "{text}");
    }

    #[test]
    fn missing_brokers_and_our_own_properties_are_refused() {
        let error = KafkaOptions::from_options(&options(&[("topic", "orders")])).unwrap_err();
        assert!(
            error.to_string().contains("'properties.bootstrap.servers': is missing"),
            "{error}"
        );
        let given = options(&[
            ("topic", "orders"),
            ("properties.bootstrap.servers", "a:1"),
            ("properties.enable.auto.commit", "true"),
        ]);
        let error = KafkaOptions::from_options(&given).unwrap_err();
        assert!(error.to_string().contains("properties.enable.auto.commit"), "{error}");
    }
}
