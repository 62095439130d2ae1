//! The brokers of the result topics: topics made and read back, cuts written in transactions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::record::{CONTROL_KEY, Control, Papers, SEQUENCE_HEADER};
use super::settings::ResultTopicsConfig;
use super::written::{Difference, Written};
use crate::fail_points;
use crate::model::Record;
use crate::results::{Cut, Snapshot, ViewState};
use crate::source::SourceError;
use crate::source::kafka_batch::PartitionQueue;
use crate::source::kafka_options::{ANSWER_WAIT, Consumer, KafkaOptions, hear, topic_partitions};
use crate::source::kafka_writer::{Deliveries, create_topic, until_made};

/// Producer defaults that differ from librdkafka's, each of which a `properties.*` replaces.
const WRITING: [(&str, &str); 8] = [
    ("client.id", "tidemark"),
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    // Bounds what waits in memory; a write waits while it is full.
    ("queue.buffering.max.kbytes", "65536"),
    // Readers with read_committed wait at an open transaction; that of a killed worker at most so long.
    ("transaction.timeout.ms", "30000"),
    // Must end before the transaction does.
    ("message.timeout.ms", "20000"),
    ("max.in.flight.requests.per.connection", "5"),
];

/// Consumer defaults for reading a topic back.
const READING_BACK: [(&str, &str); 8] = [
    ("client.id", "tidemark"),
    ("group.id", "tidemark"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
    ("allow.auto.create.topics", "false"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    // The end of a topic is known after an empty answer; that need not wait for records.
    ("fetch.wait.max.ms", "20"),
];

/// Longest wait for the end of a transaction; the producer's own time-outs come first.
const COMMIT_WAIT: Duration = Duration::from_secs(40);
/// Longest silence while topics are read back.
const READ_WAIT: Duration = Duration::from_secs(15);
/// Records of one topic before the next has its turn, and how long its first is waited for.
const READ_RECORDS: usize = 8_192;
const READ_POLL: Duration = Duration::from_millis(10);

/// Why a cut is not in its topics.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicsError {
    /// Another process has the name.
    #[error(
        "another process writes with result-topics.transactional-id '{id}' and has shut this one out; this one \
         writes no more: stop one of them, or give each its own id and topics, and restart"
    )]
    Fenced {
        /// The name.
        id: String,
    },
    /// The views do not fit the topics.
    #[error("{0}")]
    Views(String),
    /// The topic has another number of partitions.
    #[error(
        "topic {topic} has {found} partitions: a reader sees a cut whole only within one; make it again with one \
         partition and cleanup.policy=compact"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// Partitions it has.
        found: usize,
    },
    /// The topic holds something else.
    #[error(
        "topic {topic}: {detail}; a result topic holds one view and nothing else, name another"
    )]
    Foreign {
        /// The topic.
        topic: String,
        /// What was found.
        detail: String,
    },
    /// A broker does not do what it is asked.
    #[error(transparent)]
    Broker(#[from] SourceError),
    /// A transaction failed; whether it is committed is found out by reading the topics.
    #[error("the cut is not written to Kafka at {brokers}: {step}: {detail}")]
    Transaction {
        /// The brokers.
        brokers: String,
        /// What was being done.
        step: &'static str,
        /// The library's words.
        detail: String,
    },
}

/// An open writer to all result topics, which knows what they hold.
pub(super) struct TopicsClient {
    producer: BaseProducer<Deliveries>,
    id: String,
    brokers: String,
    topics: BTreeMap<String, ViewTopic>,
    /// Number of the process among those that have written these topics.
    pub(super) generation: u64,
}

/// The topic of one view.
struct ViewTopic {
    topic: String,
    written: Written,
}

impl TopicsClient {
    /// Makes missing topics, shuts out earlier writers of the same name, and reads what the topics hold.
    ///
    /// A process that has written before says its `generation`: it must not shut out one that came after it,
    /// as it would when it wakes from a pause or finds its broker again.
    ///
    /// # Errors
    /// When a broker does not answer, a topic cannot be a result topic, or a later process has written.
    pub(super) fn open(
        config: &ResultTopicsConfig,
        topics: &BTreeMap<String, String>,
        generation: Option<u64>,
    ) -> Result<Self, TopicsError> {
        let options = |topic: &str| {
            let mut options = config.properties.clone();
            options.insert("topic".to_owned(), topic.to_owned());
            KafkaOptions::from_options(&options)
        };
        let any = options("result topics")?;
        let asking = any.consumer()?;
        for topic in topics.values() {
            ensure(&asking, &options(topic)?)?;
        }
        let reader = any.config(READING_BACK.iter());
        let reader: Consumer =
            reader.create_with_context(Default::default()).map_err(|error| any.refused(error))?;
        let reader = Arc::new(reader);
        if let Some(own) = generation
            && newest_generation(&read_back(&reader, any.brokers(), topics)?) > own
        {
            return Err(TopicsError::Fenced { id: config.transactional_id.clone() });
        }
        let producer = producer(config, &any)?;
        let failed = |step, error: &KafkaError| failure(config, any.brokers(), step, error);
        // Ends what an earlier writer left open: after this the topics say what is committed.
        producer
            .init_transactions(ANSWER_WAIT)
            .map_err(|error| failed("taking over the transactional id", &error))?;
        let topics = read_back(&reader, any.brokers(), topics)?;
        let generation = generation.unwrap_or_else(|| newest_generation(&topics) + 1);
        let (id, brokers) = (config.transactional_id.clone(), any.brokers().to_owned());
        Ok(Self { producer, id, brokers, topics, generation })
    }

    /// Whether the topic of a view is open.
    pub(super) fn has(&self, view: &str) -> bool {
        self.topics.contains_key(view)
    }

    /// In what a cut is behind what the topics hold; `None` when it can be written.
    pub(super) fn behind(&self, cut: &Cut) -> Option<String> {
        let controls = self.topics.values().filter_map(|topic| topic.written.control.as_ref());
        controls
            .filter(|control| cut.views.contains_key(&control.view))
            .find_map(|control| control.ahead_of(cut))
    }

    /// Makes every topic hold the cut, in one transaction. Views that do not stand at the cut are left.
    ///
    /// # Errors
    /// When it is not committed, or that is not known.
    pub(super) fn write(&mut self, cut: &Cut, epoch: &str) -> Result<(), TopicsError> {
        let stands = |view: &str| {
            cut.statuses.get(view).is_none_or(|status| status.state == ViewState::Live)
        };
        let mut done = Vec::new();
        for (name, topic) in &self.topics {
            let Some(view) = cut.views.get(name).filter(|_| stands(name)) else { continue };
            let difference = topic.written.difference(view);
            let control = self.control((cut, view), (epoch, topic), &difference);
            done.push((name.clone(), difference, control));
        }
        if done.iter().all(|(name, difference, _)| self.holds(name, difference, cut)) {
            return Ok(());
        }
        fail_points::hit("transaction-begin");
        self.producer.begin_transaction().map_err(|error| self.failed("beginning", &error))?;
        for (name, difference, control) in &done {
            if let (Some(topic), Some(view)) = (self.topics.get(name), cut.views.get(name)) {
                self.send_cut(topic, (cut, view), difference, control)?;
            }
        }
        // So that a kill here leaves records of an open transaction in the topics.
        self.producer.flush(COMMIT_WAIT).map_err(|error| self.failed("sending", &error))?;
        fail_points::hit("transaction-commit");
        self.producer
            .commit_transaction(COMMIT_WAIT)
            .map_err(|error| self.failed("committing", &error))?;
        let records: usize = done
            .iter()
            .map(|(_, difference, _)| difference.upserts.len() + difference.deletes.len())
            .sum();
        metrics::counter!("tidemark_result_topics_records_total")
            .increment(u64::try_from(records).unwrap_or(0));
        metrics::counter!("tidemark_result_topics_cuts_total").increment(1);
        for (name, difference, control) in done {
            if let Some(topic) = self.topics.get_mut(&name) {
                topic.written.committed(difference, control);
            }
        }
        Ok(())
    }

    /// Whether a cut says nothing that the topic does not hold: no row is another, no record was read.
    fn holds(&self, view: &str, difference: &Difference, cut: &Cut) -> bool {
        let last = self.topics.get(view).and_then(|topic| topic.written.control.as_ref());
        *difference == Difference::default() && last.is_some_and(|last| last.offsets == cut.offsets)
    }

    fn control(
        &self,
        (cut, view): (&Cut, &Snapshot),
        (epoch, topic): (&str, &ViewTopic),
        difference: &Difference,
    ) -> Control {
        let progress = cut.progress(&view.info);
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Control {
            view: view.info.name.clone(),
            generation: self.generation,
            sequence: topic.written.control.as_ref().map_or(0, |last| last.sequence) + 1,
            epoch: epoch.to_owned(),
            cut: cut.cut,
            upserts: wide(difference.upserts.len()),
            deletes: wide(difference.deletes.len()),
            as_of: progress.as_of,
            watermark: progress.watermark,
            offsets: cut.offsets.clone(),
        }
    }

    fn send_cut(
        &self,
        topic: &ViewTopic,
        (cut, view): (&Cut, &Snapshot),
        difference: &Difference,
        control: &Control,
    ) -> Result<(), TopicsError> {
        let progress = cut.progress(&view.info);
        let papers = Papers { cut: cut.cut, epoch: &control.epoch, progress: &progress };
        let sequence = control.sequence.to_string();
        let mut value = String::new();
        for row in &difference.upserts {
            papers.write(&mut value, &row.json, row.window);
            self.send(&topic.topic, &sequence, (&row.key, Some(&value)))?;
        }
        for key in &difference.deletes {
            self.send(&topic.topic, &sequence, (key, None))?;
        }
        self.send(&topic.topic, &sequence, (CONTROL_KEY, Some(&control.encode())))
    }

    fn send(
        &self,
        topic: &str,
        sequence: &str,
        (key, value): (&str, Option<&str>),
    ) -> Result<(), TopicsError> {
        let header = Header { key: SEQUENCE_HEADER, value: Some(sequence) };
        let mut record: BaseRecord<'_, str, str> =
            BaseRecord::to(topic).partition(0).key(key).headers(OwnedHeaders::new().insert(header));
        record.payload = value;
        let until = Instant::now() + COMMIT_WAIT;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again))
                    if Instant::now() < until =>
                {
                    self.producer.poll(Duration::from_millis(10));
                    record = again;
                }
                Err((error, _)) => return Err(self.failed("sending", &error)),
            }
        }
    }

    fn failed(&self, step: &'static str, error: &KafkaError) -> TopicsError {
        if is_fenced(error)
            || self.producer.client().fatal_error().is_some_and(|(code, _)| is_fence(code))
        {
            return TopicsError::Fenced { id: self.id.clone() };
        }
        let heard = self.producer.context().heard();
        let detail = heard.map_or_else(|| error.to_string(), |heard| format!("{error} ({heard})"));
        TopicsError::Transaction { brokers: self.brokers.clone(), step, detail }
    }
}

/// The generation of the process that wrote last; 0 before the first.
fn newest_generation(topics: &BTreeMap<String, ViewTopic>) -> u64 {
    topics
        .values()
        .filter_map(|topic| Some(topic.written.control.as_ref()?.generation))
        .max()
        .unwrap_or(0)
}

fn producer(
    config: &ResultTopicsConfig,
    any: &KafkaOptions,
) -> Result<BaseProducer<Deliveries>, TopicsError> {
    let mut settings = any.config(WRITING.iter());
    settings.set("transactional.id", &config.transactional_id);
    let created = settings.create_with_context::<_, BaseProducer<_>>(Deliveries::default());
    Ok(created.map_err(|error| any.refused(error))?)
}

/// The topic, made if it is missing, has one partition.
fn ensure(asking: &Consumer, options: &KafkaOptions) -> Result<(), TopicsError> {
    let found = match topic_partitions(asking, options) {
        Err(SourceError::MissingTopic { .. }) => {
            create_topic(options, 1, &[("cleanup.policy", "compact")])?;
            usize::try_from(until_made(asking, options)?).unwrap_or(usize::MAX)
        }
        found => found?.len(),
    };
    match found {
        1 => Ok(()),
        found => Err(TopicsError::Partitions { topic: options.topic.clone(), found }),
    }
}

/// What the topics hold, as a reader with `read_committed` sees them; all are read side by side.
fn read_back(
    reader: &Arc<Consumer>,
    brokers: &str,
    topics: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, ViewTopic>, TopicsError> {
    let unread = |topic: &str, detail: &str| SourceError::Read {
        place: format!("topic {topic} on {brokers}"),
        detail: format!("it cannot be read back: {detail}"),
    };
    let mut list = TopicPartitionList::new();
    let mut open = Vec::new();
    for (view, topic) in topics {
        let queue = PartitionQueue::take(Arc::clone(reader), topic, 0);
        let queue = queue.ok_or_else(|| unread(topic, "it cannot be opened"))?;
        let added = list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning);
        added.map_err(|error| unread(topic, &error.to_string()))?;
        open.push((view, topic, queue, Written::default()));
    }
    // What was assigned before is read again from its beginning.
    let assigned = reader.unassign().and_then(|()| reader.assign(&list));
    assigned.map_err(|error| unread("of results", &error.to_string()))?;
    let mut read = BTreeMap::new();
    let mut heard = Instant::now();
    while let Some((view, topic, mut queue, mut written)) = open.pop() {
        let mut strange = None;
        let records = queue.read(READ_RECORDS, READ_POLL, &mut |record: Record<'_>| {
            // A row or control record is never empty, so an empty one is a tombstone.
            let value = Some(record.payload).filter(|value| !value.is_empty());
            if let Err(detail) = written.read_back((record.key, value), record.offset) {
                strange.get_or_insert(detail);
            }
        });
        let records = records.map_err(|error| unread(topic, &error.detail))?;
        if let Some(detail) = strange.or_else(|| written.is_of_another(view)) {
            return Err(TopicsError::Foreign { topic: topic.clone(), detail });
        }
        if queue.ended_at().is_some() {
            read.insert(view.clone(), ViewTopic { topic: topic.clone(), written });
            heard = Instant::now();
            continue;
        }
        if records > 0 {
            heard = Instant::now();
        } else if heard.elapsed() > READ_WAIT {
            hear(reader);
            let why = reader.context().last_error();
            return Err(unread(topic, &why.unwrap_or_else(|| "no answer".to_owned())).into());
        }
        open.insert(0, (view, topic, queue, written));
    }
    Ok(read)
}

fn failure(
    config: &ResultTopicsConfig,
    brokers: &str,
    step: &'static str,
    error: &KafkaError,
) -> TopicsError {
    match is_fenced(error) {
        true => TopicsError::Fenced { id: config.transactional_id.clone() },
        false => TopicsError::Transaction {
            brokers: brokers.to_owned(),
            step,
            detail: error.to_string(),
        },
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => is_fence(error.code()),
        other => other.rdkafka_error_code().is_some_and(is_fence),
    }
}

fn is_fence(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
    )
}
