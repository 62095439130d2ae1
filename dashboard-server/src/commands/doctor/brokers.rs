//! The streams' logs: Kafka is asked, an embedded log is only named.

use tidemark_pipeline::source::kafka::KafkaSource;
use tidemark_pipeline::source::kafka_topic::timestamp_type;
use tidemark_pipeline::source::{Source as _, SourceError};
use tidemark_pipeline::sql::{Catalog, StreamDefinition};

use super::Finding;

/// One line a stream, and one about its clock where it has one.
pub(super) fn streams(catalog: &Catalog) -> Vec<Finding> {
    let mut found = Vec::new();
    for plan in catalog.logs() {
        let stream = &plan.definition;
        if stream.connector != "kafka" {
            found.push(Finding::ok("stream", format!("{}: {} log", stream.name, stream.connector)));
            continue;
        }
        match reached(stream) {
            Err(error) => {
                found.push(Finding::fail("kafka", format!("stream {}: {error}", stream.name)));
            }
            Ok(told) => {
                found.push(Finding::ok("kafka", format!("stream {}: {told}", stream.name)));
                found.push(stamped(stream));
            }
        }
    }
    found
}

/// How much the topic holds; asking for the ends asks the leader of every partition.
fn reached(stream: &StreamDefinition) -> Result<String, SourceError> {
    let mut source = KafkaSource::new(&stream.options)?;
    let partitions = source.partitions()?;
    let mut records = 0;
    for partition in &partitions {
        records += source.bounds(*partition)?.map_or(0, |bounds| bounds.end - bounds.first);
    }
    Ok(format!(
        "topic {} has {} partitions and {records} offsets, every leader answers",
        source.origin(),
        partitions.len()
    ))
}

fn stamped(stream: &StreamDefinition) -> Finding {
    let name = &stream.name;
    match timestamp_type(&stream.options) {
        Ok(Some(kind)) if kind == "LogAppendTime" => Finding::ok(
            "clock",
            format!("stream {name}: the brokers stamp records (LogAppendTime)"),
        ),
        Ok(Some(kind)) => Finding::warn(
            "clock",
            format!(
                "stream {name}: its producers stamp records ({kind}), so max-future-skew is judged by their clocks; \
                 message.timestamp.type=LogAppendTime on the topic makes it the brokers'"
            ),
        ),
        Ok(None) => Finding::warn(
            "clock",
            format!("stream {name}: the brokers do not say who stamps records"),
        ),
        Err(error) => Finding::warn("clock", format!("stream {name}: {error}")),
    }
}
