//! Reading the embedded log: one block in memory per reader, waiting without polling.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::block::Block;
use super::place;
use super::stream::Stream;
use crate::model::{Offset, PartitionId, Position, Record};
use crate::source::{Bounds, PartitionReader, ReadOutcome, Source, SourceError};

/// One stream of a [`super::LocalLog`] as a source.
pub struct LocalLogSource {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
}

impl LocalLogSource {
    pub(super) fn new(shared: Arc<Shared>, stream: Arc<Stream>) -> Self {
        Self { shared, stream }
    }
}

impl Source for LocalLogSource {
    fn origin(&self) -> &str {
        self.stream.name()
    }

    fn partitions(&mut self) -> Result<Vec<PartitionId>, SourceError> {
        Ok((0..self.stream.count()).collect())
    }

    fn bounds(&mut self, partition: PartitionId) -> Result<Option<Bounds>, SourceError> {
        self.stream.bounds(partition).map(Some)
    }

    fn offset_at(
        &mut self,
        partition: PartitionId,
        time_ms: i64,
    ) -> Result<Option<Offset>, SourceError> {
        first_since(&self.shared, &self.stream, partition, time_ms).map(Some)
    }

    fn open(
        &mut self,
        partition: PartitionId,
        from: Option<Offset>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        let first = self.stream.bounds(partition)?.first;
        let mut reader = LocalLogReader {
            shared: Arc::clone(&self.shared),
            stream: Arc::clone(&self.stream),
            partition,
            next: first,
            block: None,
        };
        reader.seek(from.unwrap_or(first))?;
        Ok(Box::new(reader))
    }
}

/// Reads one partition of the embedded log.
pub struct LocalLogReader {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    partition: PartitionId,
    next: Offset,
    /// The block `next` lies in, if it has been loaded and is not read to its end.
    block: Option<Block>,
}

impl PartitionReader for LocalLogReader {
    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn read(
        &mut self,
        records_max: usize,
        wait: Duration,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<ReadOutcome, SourceError> {
        let bounds = self.stream.wait_for(self.partition, self.next, wait)?;
        check_offset(&self.stream, self.partition, self.next, bounds)?;
        let mut records = 0;
        while records < records_max && self.next < bounds.end {
            let mut block = match self.block.take() {
                Some(block) => block,
                None => self.load()?,
            };
            block.visit(self.partition, visit).map_err(|detail| self.damaged(&detail))?;
            self.next = block.next_offset();
            self.block = (!block.is_read()).then_some(block);
            records += 1;
        }
        Ok(ReadOutcome { records, ended: false })
    }

    fn seek(&mut self, offset: Offset) -> Result<(), SourceError> {
        let bounds = self.stream.bounds(self.partition)?;
        check_offset(&self.stream, self.partition, offset, bounds)?;
        self.block = None;
        self.next = offset;
        Ok(())
    }

    fn end_offset(&mut self) -> Option<Offset> {
        self.stream.bounds(self.partition).ok().map(|bounds| bounds.end)
    }

    fn position(&self, offset: Offset) -> Position {
        let origin = self.stream.name().to_owned();
        Position { origin, partition: self.partition, offset, is_file: false }
    }
}

impl LocalLogReader {
    fn load(&self) -> Result<Block, SourceError> {
        let loaded = load(&self.shared, &self.stream, self.partition, self.next);
        if loaded.is_err() {
            // Retention may have taken the block since the bounds were looked at.
            let bounds = self.stream.bounds(self.partition)?;
            check_offset(&self.stream, self.partition, self.next, bounds)?;
        }
        let mut block = loaded?;
        block.skip_to(self.next).map_err(|detail| self.damaged(&detail))?;
        if block.is_read() {
            return Err(self.damaged("no block holds this offset"));
        }
        Ok(block)
    }

    fn damaged(&self, detail: &str) -> SourceError {
        self.shared.damaged(&self.position(self.next).to_string(), detail)
    }
}

/// The block that holds `offset`, from its first record.
fn load(
    shared: &Shared,
    stream: &Stream,
    partition: PartitionId,
    offset: Offset,
) -> Result<Block, SourceError> {
    let what = || format!("topic {} partition {partition} offset {offset}", stream.name());
    let range = place::key(stream.id(), partition, 0)..=place::key(stream.id(), partition, offset);
    let Some(entry) = shared.blocks.range(range).next_back() else {
        return Err(shared.damaged(&what(), "no block holds this offset"));
    };
    let (key, value) = entry.into_inner().map_err(|error| shared.unreadable(error))?;
    let base = place::base_of(&key).ok_or_else(|| shared.damaged(&what(), "its key is no key"))?;
    Block::open(value, base).map_err(|detail| shared.damaged(&what(), &detail))
}

fn check_offset(
    stream: &Stream,
    partition: PartitionId,
    offset: Offset,
    bounds: Bounds,
) -> Result<(), SourceError> {
    let Bounds { first, end } = bounds;
    if (first..=end).contains(&offset) {
        return Ok(());
    }
    let topic = stream.name().to_owned();
    Err(SourceError::OffsetOutOfRange { topic, partition, offset, first, end })
}

/// Offset of the first record at or after `time_ms`, by halving over the running maxima.
fn first_since(
    shared: &Shared,
    stream: &Stream,
    partition: PartitionId,
    time_ms: i64,
) -> Result<Offset, SourceError> {
    let Bounds { first, end } = stream.bounds(partition)?;
    let (mut low, mut high) = (first, end);
    while low < high {
        let middle = low + (high - low) / 2;
        match shared.summary_at(stream.id(), partition, middle)? {
            Some((base, found)) if found.running_max_ms < time_ms => {
                low = base + Offset::from(found.count);
            }
            Some((base, _)) => high = base.max(low),
            None => break,
        }
    }
    // Where retention has removed the block that raised the maximum, the first few may not qualify.
    for entry in shared.summaries_from(stream.id(), partition, low) {
        let (base, summary) = entry?;
        if summary.max_ms >= time_ms && base < end {
            let mut block = load(shared, stream, partition, base)?;
            let found = block.first_since(time_ms);
            return Ok(found
                .map_err(|detail| shared.damaged(stream.name(), &detail))?
                .unwrap_or(end));
        }
    }
    Ok(end)
}
