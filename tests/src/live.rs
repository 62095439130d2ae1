//! A random log as a source, through the pipeline that `serve` starts: its threads, its clock, its files.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use tidemark_pipeline::config::{PipelineConfig, RawPipelineConfig};
use tidemark_pipeline::model::{Header, Offset, PartitionId, Position, Record};
use tidemark_pipeline::results::{Cut, Mode, Results};
use tidemark_pipeline::run::live::{Pipeline, StreamInput, start};
use tidemark_pipeline::source::{Bounds, PartitionReader, ReadOutcome, Source, SourceError};
use tidemark_pipeline::sql::Catalog;

use crate::orders::Log;
use crate::served::encoded;

/// Longer than any log here takes; a run that hangs fails.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A log whose partitions end where a test says, so that more can come later.
#[derive(Clone)]
pub struct LogSource {
    log: Arc<Log>,
    /// Share of each partition that is there, in hundredths.
    there: Arc<AtomicUsize>,
}

impl LogSource {
    /// A log of which nothing is there yet.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log: Arc::new(log), there: Arc::new(AtomicUsize::new(0)) }
    }

    /// From now on this share of each partition is there; 100 is all of it.
    pub fn appear(&self, hundredths: usize) {
        self.there.store(hundredths, Ordering::SeqCst);
    }

    fn end(&self, partition: PartitionId) -> usize {
        let length = self
            .log
            .partitions
            .get(usize::try_from(partition).unwrap_or(usize::MAX))
            .map_or(0, Vec::len);
        length * self.there.load(Ordering::SeqCst) / 100
    }
}

impl Source for LogSource {
    fn origin(&self) -> &str {
        "orders"
    }

    fn partitions(&mut self) -> Result<Vec<PartitionId>, SourceError> {
        Ok((0..).take(self.log.partitions.len()).collect())
    }

    fn bounds(&mut self, partition: PartitionId) -> Result<Option<Bounds>, SourceError> {
        Ok(Some(Bounds { first: 0, end: offset(self.end(partition)) }))
    }

    fn offset_at(&mut self, partition: PartitionId, _: i64) -> Result<Option<Offset>, SourceError> {
        Ok(Some(offset(self.end(partition))))
    }

    fn open(
        &mut self,
        partition: PartitionId,
        from: Option<Offset>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        let next = usize::try_from(from.unwrap_or(0)).unwrap_or(0);
        Ok(Box::new(LogReader { source: self.clone(), partition, next }))
    }
}

struct LogReader {
    source: LogSource,
    partition: PartitionId,
    next: usize,
}

impl PartitionReader for LogReader {
    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn read(
        &mut self,
        records_max: usize,
        _: Duration,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<ReadOutcome, SourceError> {
        let to = self.source.end(self.partition).min(self.next + records_max);
        let entries =
            &self.source.log.partitions[usize::try_from(self.partition).unwrap_or(usize::MAX)];
        let records = to.saturating_sub(self.next);
        for entry in &entries[self.next..self.next + records] {
            let (payload, header) = encoded(&entry.body);
            let headers: Vec<Header<'_>> =
                header.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            visit(Record {
                partition: self.partition,
                offset: offset(self.next),
                timestamp_ms: Some(entry.log_time),
                headers: &headers,
                key: None,
                payload: &payload,
            });
            self.next += 1;
        }
        Ok(ReadOutcome { records, ended: false })
    }

    fn seek(&mut self, to: Offset) -> Result<(), SourceError> {
        self.next = usize::try_from(to).unwrap_or(0);
        Ok(())
    }

    fn end_offset(&mut self) -> Option<Offset> {
        Some(offset(self.source.end(self.partition)))
    }

    fn position(&self, offset: Offset) -> Position {
        Position { origin: "orders".to_owned(), partition: self.partition, offset, is_file: false }
    }
}

fn offset(at: usize) -> Offset {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// Runs a log with so many threads and records a batch; stopped and started again after each of `shares`
/// (hundredths of the log) has been read. Answers the last cut.
///
/// # Errors
/// When the pipeline fails or does not get to the end.
pub fn run(
    catalog: &dyn Fn() -> Result<Catalog>,
    log: &Log,
    limits: (usize, usize),
    shares: &[usize],
    folder: &Path,
) -> Result<Arc<Cut>> {
    let mut last = Arc::default();
    for share in shares.iter().chain(&[100]) {
        last = run_to(catalog, log, limits, *share, folder)?.latest();
    }
    Ok(last)
}

/// Starts on what the folder has, with `share` hundredths of the log there, and stops when they are read.
///
/// # Errors
/// As [`run`].
pub fn run_to(
    catalog: &dyn Fn() -> Result<Catalog>,
    log: &Log,
    (fold_threads, batch_records_max): (usize, usize),
    share: usize,
    folder: &Path,
) -> Result<Arc<Results>> {
    let raw = RawPipelineConfig {
        fold_threads,
        batch_records_max,
        publish_every_ms: 10,
        checkpoint_every_ms: 100,
        ..RawPipelineConfig::default()
    };
    let config =
        PipelineConfig::check(&raw, folder.to_owned(), folder.to_owned(), Default::default())
            .map_err(|mistakes| anyhow!(mistakes.join("; ")))?;
    let source = LogSource::new(log.clone());
    source.appear(share);
    let opened = source.clone();
    let open = Arc::new(move || Ok(Box::new(opened.clone()) as Box<dyn Source>));
    let inputs = vec![StreamInput { stream: "orders".to_owned(), open }];
    let pipeline = start(catalog()?, &config, Mode::Live, inputs)?;
    let read = wait(&pipeline, &source);
    let results = Arc::clone(pipeline.results());
    pipeline.stop();
    read?;
    Ok(results)
}

/// Waits until a cut holds everything that is there.
fn wait(pipeline: &Pipeline, source: &LogSource) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < WAIT_MAX {
        ensure!(
            !pipeline.has_ended(),
            "the pipeline has ended: {:?}",
            pipeline.results().status().problem
        );
        let cut = pipeline.results().latest();
        let read = cut.offsets.get("orders");
        let is_read = |partition: &PartitionId| {
            let next = read.and_then(|read| read.get(partition)).copied().unwrap_or(0);
            next == offset(source.end(*partition))
        };
        if cut.cut > 0
            && (0..).take(source.log.partitions.len()).all(|partition| is_read(&partition))
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("not at the end in {WAIT_MAX:?}: {:?}", pipeline.results().latest().offsets)
}
