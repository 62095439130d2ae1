//! Membership of a consumer group: Kafka says which partitions of a topic are this process's, and takes them back.
//!
//! ```text
//! subscribe ─▶ assigned ─▶ … ─▶ revoked: whoever has the partition lets go, and only then Kafka may give it on
//!                          └─▶ lost: the group thinks this process dead; another may have it already
//! ```
//! Nothing is read here and no offset is committed: offsets stand in checkpoints, and records are read by
//! [`super::kafka`] from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::SourceError;
use super::kafka_options::KafkaOptions;
use crate::model::PartitionId;

/// How long one look at the group takes at most; a stop is seen after it.
const POLL: Duration = Duration::from_millis(100);
/// How long whoever has a partition may take to let go of it. Kafka waits for it as long as `max.poll.interval.ms`,
/// five minutes where nothing else is said.
const LETTING_GO_MAX: Duration = Duration::from_secs(60);

/// What the group says.
#[derive(Debug)]
pub enum Told {
    /// These partitions are this process's from now on.
    Assigned {
        /// The stream.
        stream: String,
        /// Its partitions.
        partitions: Vec<PartitionId>,
    },
    /// These are another's soon, or already. The group waits until `done` is told or dropped.
    Revoked {
        /// The stream.
        stream: String,
        /// Its partitions.
        partitions: Vec<PartitionId>,
        /// Whether the group has given this process up, so that another may have them already.
        is_lost: bool,
        /// To be told once they have been let go of.
        done: Sender<()>,
    },
}

/// Hears what the group says; answers whether anyone still listens.
pub type Listener = Arc<dyn Fn(Told) -> bool + Send + Sync>;

/// How a group is joined.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Its name, `group.id`.
    pub group: String,
    /// How long a member may be silent before its partitions are another's, `session.timeout.ms`.
    pub session_timeout: Duration,
}

/// A member of a consumer group, until it is dropped.
#[derive(Debug)]
pub struct Membership {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Membership {
    /// Joins the group for the topic of a stream's options. Whoever listens is called by a thread of its own.
    ///
    /// # Errors
    /// When an option is refused, or the system gives no thread.
    pub fn join(
        stream: &str,
        options: &KafkaOptions,
        group: &GroupOptions,
        listener: Listener,
    ) -> Result<Self, SourceError> {
        let context = GroupContext { stream: stream.to_owned(), listener };
        let ms = |time: Duration| time.as_millis().max(1).to_string();
        let mut config = options.config([].iter());
        config
            .set("group.id", &group.group)
            .set("client.id", format!("tidemark-{}", std::process::id()))
            .set("session.timeout.ms", ms(group.session_timeout))
            .set("heartbeat.interval.ms", ms(group.session_timeout / 4))
            // A partition that stays where it is is not interrupted by one that moves.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            // Nothing is fetched: partitions are paused as soon as they are assigned.
            .set("auto.offset.reset", "latest")
            .set("queued.max.messages.kbytes", "1");
        let consumer: BaseConsumer<GroupContext> =
            config.create_with_context(context).map_err(|error| options.refused(error))?;
        let refused = |detail: String| SourceError::BadOption {
            option: "pipeline.worker-group".to_owned(),
            detail,
        };
        consumer.subscribe(&[&options.topic]).map_err(|error| refused(error.to_string()))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("tidemark-group".to_owned())
            .spawn(move || be_member(&consumer, &over))
            .map_err(|error| refused(format!("no thread for its member: {error}")))?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that is a member of the consumer group panicked");
        }
    }
}

/// Stays in the group until it is over, and leaves it then.
fn be_member(consumer: &BaseConsumer<GroupContext>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        if let Some(Err(error)) = consumer.poll(POLL) {
            let stream = &consumer.context().stream;
            tracing::warn!(stream, %error, "consumer group of stream {stream}: {error}");
        }
    }
    consumer.unsubscribe();
}

/// Hands on what the group says.
struct GroupContext {
    stream: String,
    listener: Listener,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(client = "group", ?level, facility, "{message}");
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let (done, is_done) = bounded(1);
        let partitions = numbers(list);
        if partitions.is_empty() {
            return;
        }
        let is_lost = consumer.assignment_lost();
        let stream = self.stream.clone();
        let told = Told::Revoked { stream: stream.clone(), partitions, is_lost, done };
        // Dropped, it is as good as told.
        if (self.listener)(told)
            && matches!(
                is_done.recv_timeout(LETTING_GO_MAX),
                Err(crossbeam_channel::RecvTimeoutError::Timeout)
            )
        {
            tracing::warn!(
                stream,
                "partitions of stream {stream} go to another worker before they have been let go of here"
            );
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                if let Err(error) = consumer.pause(list) {
                    tracing::warn!(%error, "partitions of the group are fetched twice: {error}");
                }
                let told =
                    Told::Assigned { stream: self.stream.clone(), partitions: numbers(list) };
                let _listened = (self.listener)(told);
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                let stream = &self.stream;
                tracing::warn!(stream, %error, "consumer group of stream {stream}: {error}");
            }
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<PartitionId> {
    let elements = list.elements();
    elements.iter().filter_map(|element| PartitionId::try_from(element.partition()).ok()).collect()
}
