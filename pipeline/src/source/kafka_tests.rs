//! Kafka against a real broker, named by the environment variable `KAFKA_BOOTSTRAP`
//! (`tests/kafka/broker.sh start` prints one). Run with `-- --include-ignored`; without they count as
//! ignored, not as passed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::kafka::KafkaSource;
use super::kafka_writer::KafkaWriter;
use super::writer::{LogWriter as _, NewRecord};
use super::{Bounds, PartitionReader, Source as _, SourceError};
use crate::model::record::WATERMARK_HEADER;
use crate::model::{EventTime, Offset, PartitionId};

type Options = BTreeMap<String, String>;

fn options(brokers: &str, topic: &str) -> Options {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    [pair("topic", topic), pair("properties.bootstrap.servers", brokers)].into()
}

/// Options for a topic of this run's own.
fn broker(test: &str) -> Options {
    let brokers = std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP names a broker");
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    options(&brokers, &format!("tidemark-{test}-{now}"))
}

fn numbered(partition: PartitionId, number: i64, payload: &[u8]) -> NewRecord<'_> {
    let partition = Some(partition);
    NewRecord { partition, key: None, timestamp_ms: 1_000 + number * 10, headers: &[], payload }
}

fn write_numbers(writer: &mut KafkaWriter, partition: PartitionId, count: i64) {
    for number in 0..count {
        let text = number.to_string();
        writer.write(&numbered(partition, number, text.as_bytes())).unwrap();
    }
    writer.flush().unwrap();
}

/// Reads until `count` records have come or half a minute is over.
fn read(reader: &mut dyn PartitionReader, count: usize) -> Vec<(Offset, String)> {
    let (mut seen, until) = (Vec::new(), Instant::now() + Duration::from_secs(30));
    while seen.len() < count && Instant::now() < until {
        let left = count - seen.len();
        let mut visit = |r: crate::model::Record<'_>| {
            seen.push((r.offset, String::from_utf8_lossy(r.payload).into_owned()));
        };
        reader.read(left, Duration::from_millis(500), &mut visit).unwrap();
    }
    seen
}

fn expected(numbers: std::ops::Range<i64>) -> Vec<(Offset, String)> {
    numbers.map(|n| (n, n.to_string())).collect()
}

#[test]
#[ignore = "needs a Kafka broker: set KAFKA_BOOTSTRAP"]
fn what_is_written_to_four_partitions_is_read_with_its_headers_and_timestamps() {
    let options = broker("round-trip");
    let mut writer = KafkaWriter::open(&options, Some(4)).unwrap();
    let headers = [("tidemark-shadow", &b"1"[..]), ("trace", &b""[..])];
    for number in 0..1_000_i64 {
        let key = format!("order-{number}");
        let payload = format!("{{\"n\":{number}}}");
        let record = NewRecord {
            partition: None,
            key: Some(key.as_bytes()),
            timestamp_ms: 1_605_024_000_000 + number,
            headers: if number % 10 == 0 { &headers } else { &[] },
            payload: payload.as_bytes(),
        };
        writer.write(&record).unwrap();
    }
    writer
        .close(crate::model::Space::Live, EventTime(1_605_110_400_000), 1_605_110_400_000)
        .unwrap();

    let mut source = KafkaSource::new(&options).unwrap();
    assert_eq!(source.partitions().unwrap(), [0, 1, 2, 3]);
    let (mut orders, mut shadow, mut controls) = (0, 0, 0);
    for partition in 0..4 {
        let end = source.bounds(partition).unwrap().unwrap().end;
        let mut reader = source.open(partition, None).unwrap();
        let (mut next, until) = (0, Instant::now() + Duration::from_secs(30));
        while next < end && Instant::now() < until {
            let mut visit = |r: crate::model::Record<'_>| {
                assert_eq!((r.partition, r.offset), (partition, next));
                next += 1;
                if r.header(WATERMARK_HEADER) == Some(b"1605110400000") {
                    controls += 1;
                    return;
                }
                let key = std::str::from_utf8(r.key.unwrap()).unwrap();
                let number: i64 = key.strip_prefix("order-").unwrap().parse().unwrap();
                assert_eq!(r.payload, format!("{{\"n\":{number}}}").as_bytes());
                assert_eq!(r.timestamp_ms, Some(1_605_024_000_000 + number));
                assert_eq!(r.headers.len(), if number % 10 == 0 { 2 } else { 0 });
                assert_eq!(r.header("trace"), (number % 10 == 0).then_some(&b""[..]));
                let home = super::partitioner::partition_for_key(key.as_bytes(), 4);
                assert_eq!(home, partition);
                orders += 1;
                shadow += usize::from(r.header("tidemark-shadow").is_some());
            };
            reader.read(8_192, Duration::from_millis(500), &mut visit).unwrap();
        }
        assert_eq!(reader.end_offset(), Some(end));
    }
    assert_eq!((orders, shadow, controls), (1_000, 100, 4));
}

#[test]
#[ignore = "needs a Kafka broker: set KAFKA_BOOTSTRAP"]
fn a_partition_is_read_from_any_offset_and_sought_both_ways() {
    let options = broker("seek");
    let mut writer = KafkaWriter::open(&options, Some(1)).unwrap();
    write_numbers(&mut writer, 0, 20_000);
    let mut source = KafkaSource::new(&options).unwrap();
    assert_eq!(source.bounds(0).unwrap(), Some(Bounds { first: 0, end: 20_000 }));
    let mut reader = source.open(0, Some(12_345)).unwrap();
    assert_eq!(read(&mut *reader, 100), expected(12_345..12_445));
    for from in [0, 19_999, 7, 10_000, 12_400] {
        reader.seek(from).unwrap();
        let to = (from + 50).min(20_000);
        let count = usize::try_from(to - from).unwrap();
        assert_eq!(read(&mut *reader, count), expected(from..to), "from {from}");
    }
    drop(reader);
    // A partition can be opened again, and one at its end waits without an error.
    let mut reader = source.open(0, Some(20_000)).unwrap();
    let outcome = reader.read(10, Duration::from_millis(300), &mut |_| {}).unwrap();
    assert_eq!(outcome.records, 0);
    write_numbers(&mut writer, 0, 3);
    assert_eq!(read(&mut *reader, 3).first().map(|one| one.0), Some(20_000));
}

#[test]
#[ignore = "needs a Kafka broker: set KAFKA_BOOTSTRAP"]
fn a_time_leads_to_the_first_record_that_is_not_older() {
    let options = broker("times");
    let mut writer = KafkaWriter::open(&options, Some(1)).unwrap();
    write_numbers(&mut writer, 0, 100);
    let mut source = KafkaSource::new(&options).unwrap();
    for (ms, offset) in [(-1, 0), (0, 0), (1_001, 1), (1_990, 99), (1_991, 100)] {
        assert_eq!(source.offset_at(0, ms).unwrap(), Some(offset), "at {ms} ms");
    }
}

#[test]
#[ignore = "needs a Kafka broker: set KAFKA_BOOTSTRAP"]
fn an_offset_that_is_not_in_the_log_is_refused_with_the_bounds() {
    let options = broker("range");
    let mut writer = KafkaWriter::open(&options, Some(1)).unwrap();
    write_numbers(&mut writer, 0, 10);
    let mut source = KafkaSource::new(&options).unwrap();
    let error = source.open(0, Some(11)).err().unwrap();
    assert!(
        matches!(error, SourceError::OffsetOutOfRange { offset: 11, first: 0, end: 10, .. }),
        "{error}"
    );
}

#[test]
#[ignore = "needs a Kafka broker: set KAFKA_BOOTSTRAP"]
fn a_missing_topic_is_named_and_reading_does_not_make_it() {
    let options = broker("missing");
    for _ in 0..3 {
        let mut source = KafkaSource::new(&options).unwrap();
        let error = source.partitions().unwrap_err();
        assert!(matches!(error, SourceError::MissingTopic { .. }), "{error}");
        assert!(source.open(0, None).is_err());
    }
    let error = KafkaWriter::open(&options, None).err().unwrap();
    assert!(matches!(error, SourceError::MissingTopic { .. }), "{error}");
}

#[test]
#[ignore = "needs a Kafka broker: set KAFKA_BOOTSTRAP"]
fn another_number_of_partitions_is_refused() {
    let options = broker("count");
    KafkaWriter::open(&options, Some(2)).unwrap();
    let error = KafkaWriter::open(&options, Some(3)).err().unwrap().to_string();
    assert!(error.contains("has 2 partitions, not 3"), "{error}");
}

#[test]
fn an_unreachable_broker_is_named_within_a_quarter_minute() {
    let options = options("127.0.0.1:1", "orders");
    let started = Instant::now();
    let error = KafkaSource::new(&options).unwrap().partitions().unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1") && text.contains("topic orders"), "{text}");
    assert!(text.contains("refused") && text.contains("bootstrap.servers"), "{text}");
}
