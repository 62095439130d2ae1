//! A generated day, or its beginning, in memory and in Kafka.

use std::collections::BTreeMap;

use tidemark_pipeline::generator::{Generator, GeneratorOptions, Records as _, Shares};
use tidemark_pipeline::model::Record;
use tidemark_pipeline::source::Source as _;
use tidemark_pipeline::source::kafka::KafkaSource;
use tidemark_pipeline::source::kafka_writer::KafkaWriter;
use tidemark_pipeline::source::writer::LogWriter as _;

/// The day whose beginning is measured: 40,000 orders in its peak second, and nothing bought ahead, or
/// it would begin with four hours of deposits and nothing else.
fn large_day() -> GeneratorOptions {
    let shares = Shares { presale: 0.0, ..Shares::default() };
    GeneratorOptions { orders_a_day: 100_000_000, shares, ..GeneratorOptions::default() }
}

/// Partitions of a topic that is made.
pub(super) const PARTITIONS: u32 = 4;

/// Records of one partition, one after another.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    times: Vec<i64>,
}

impl Records {
    /// The first records of a large day.
    ///
    /// # Errors
    /// When the generator refuses its options.
    pub(super) fn generated(count: usize) -> anyhow::Result<Self> {
        let mut generator = generator(large_day())?;
        let mut all = Self::default();
        while all.ends.len() < count
            && let Some(generated) = generator.next_record()
        {
            all.bytes.extend_from_slice(generated.record.payload);
            all.ends.push(all.bytes.len());
            all.times.push(generated.record.timestamp_ms);
        }
        Ok(all)
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all payloads.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Each with its offset.
    pub(super) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        (0..).zip(starts.zip(&self.ends).zip(&self.times)).map(|(offset, ((from, to), time))| {
            Record {
                partition: 0,
                offset,
                timestamp_ms: Some(*time),
                headers: &[],
                key: None,
                payload: self.bytes.get(from..*to).unwrap_or(&[]),
            }
        })
    }
}

fn generator(options: GeneratorOptions) -> anyhow::Result<Generator> {
    Generator::new(options).map_err(|mistakes| anyhow::anyhow!(mistakes.join("\n")))
}

/// A topic with records in it.
#[derive(Debug)]
pub(super) struct Filled {
    /// Its name.
    pub(super) topic: String,
    /// Records in it.
    pub(super) records: u64,
}

/// The options of a stream over a topic.
pub(super) fn options(bootstrap: &str, topic: &str) -> BTreeMap<String, String> {
    [("topic", topic), ("properties.bootstrap.servers", bootstrap)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The beginning of the large day in a topic; one that is there from another run is taken as it is.
///
/// # Errors
/// When the brokers cannot be reached or written to.
pub(super) fn beginning_of_day(bootstrap: &str, records: u64) -> anyhow::Result<Filled> {
    fill(bootstrap, format!("tidemark-bench-{records}"), large_day(), records)
}

/// A whole day of few orders in a topic.
///
/// # Errors
/// When the brokers cannot be reached or written to.
pub(super) fn whole_day(bootstrap: &str, orders: u64) -> anyhow::Result<Filled> {
    let day = GeneratorOptions { orders_a_day: orders, ..GeneratorOptions::default() };
    fill(bootstrap, format!("tidemark-bench-day-{orders}"), day, u64::MAX)
}

fn fill(
    bootstrap: &str,
    topic: String,
    day: GeneratorOptions,
    records_max: u64,
) -> anyhow::Result<Filled> {
    let options = options(bootstrap, &topic);
    let mut writer = KafkaWriter::open(&options, Some(PARTITIONS))?;
    let there = ends(&options)?;
    if there > 0 {
        return Ok(Filled { topic, records: there });
    }
    let mut generator = generator(day)?;
    let mut written = 0;
    while written < records_max
        && let Some(generated) = generator.next_record()
    {
        writer.write(&generated.record)?;
        written += 1;
    }
    writer.flush()?;
    Ok(Filled { topic, records: written })
}

/// Records in all partitions.
fn ends(options: &BTreeMap<String, String>) -> anyhow::Result<u64> {
    let mut source = KafkaSource::new(options)?;
    let mut sum = 0;
    for partition in source.partitions()? {
        sum += source.bounds(partition)?.map_or(0, |bounds| u64::try_from(bounds.end).unwrap_or(0));
    }
    Ok(sum)
}
