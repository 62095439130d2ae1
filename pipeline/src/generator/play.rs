//! Writes a generated day to a log: in time, or as fast as it goes.

use super::life::Generated;
use crate::model::{EventTime, PartitionId, Space};
use crate::source::SourceError;
use crate::source::pace::Speed;
use crate::source::player::{Player, Stage};

/// How far behind the newest arrival the watermark of a silent partition is moved: longer than the
/// ordinary way of an event to the log, so that control records make nothing late.
const IDLE_LAG_MS: i64 = 5_000;

/// Simulated time between looks for silent partitions when nothing paces them.
const IDLE_CHECK_MS: i64 = 60_000;

/// Generated records in the order in which they arrive.
pub trait Records: Send {
    /// Whether shadow records are among its own.
    fn has_shadow(&self) -> bool;

    /// Where playing begins, epoch milliseconds; the first records may be older.
    fn start_ms(&self) -> i64;

    /// End of event time, epoch milliseconds; `None` when it never ends.
    fn end_ms(&self) -> Option<i64>;

    /// The next record; `None` at the end of the last day.
    fn next_record(&mut self) -> Option<Generated<'_>>;
}

/// What playing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaySummary {
    /// Records written, control records not among them.
    pub records: u64,
    /// Whether the last day was played to its end and closed; false when it was stopped.
    pub ended: bool,
}

/// Writes every record of the generator to the stage's log.
///
/// A partition that nothing was written to for a second (a minute of simulated time when unpaced)
/// gets a control record, so that it does not hold back the watermark of the others. At the end
/// every partition gets one with the end of the day. Where shadow orders are played, their space gets its
/// own control records. Everything taken is flushed, also on a stop.
///
/// # Errors
/// When the log cannot be written to.
pub fn play(
    generator: &mut dyn Records,
    speed: Speed,
    stage: Stage<'_>,
) -> Result<PlaySummary, SourceError> {
    let start_ms = generator.start_ms();
    let spaces = if generator.has_shadow() { &Space::ALL[..] } else { &Space::ALL[..1] };
    let partitions = stage.writer.partitions();
    let mut silences: Vec<(Space, Silence)> =
        spaces.iter().map(|space| (*space, Silence::new(partitions, speed))).collect();
    let mut player = Player::new(stage, speed, Some(start_ms));
    let mut newest_ms = start_ms;
    while let Some(generated) = generator.next_record() {
        let arrival_ms = generated.record.timestamp_ms;
        if !player.wait_for(arrival_ms)? {
            player.writer().flush()?;
            return Ok(PlaySummary { records: player.records(), ended: false });
        }
        player.write(&generated.record, generated.event_ms)?;
        newest_ms = newest_ms.max(arrival_ms);
        let partition = generated.record.partition_among(partitions);
        for (space, silence) in &mut silences {
            let heard = (*space == generated.space).then_some(partition);
            for partition in silence.hear(heard, arrival_ms) {
                let watermark = EventTime(arrival_ms - IDLE_LAG_MS);
                player.writer().write_watermark(*space, partition, watermark, arrival_ms)?;
            }
        }
    }
    let end_ms = generator.end_ms().unwrap_or(newest_ms);
    for space in spaces {
        player.writer().close(*space, EventTime(end_ms), newest_ms.max(end_ms))?;
    }
    Ok(PlaySummary { records: player.records(), ended: true })
}

/// Which partitions have heard nothing since the last look.
struct Silence {
    is_heard: Vec<bool>,
    check_ms: i64,
    next_ms: Option<i64>,
}

impl Silence {
    fn new(partitions: u32, speed: Speed) -> Self {
        let count = usize::try_from(partitions).unwrap_or(0);
        let check_ms = match speed {
            Speed::Unpaced => IDLE_CHECK_MS,
            Speed::Times(times) => {
                super::dice::whole((times * 1_000.0).clamp(1_000.0, 3_600_000.0))
            }
        };
        Self { is_heard: vec![false; count], check_ms, next_ms: None }
    }

    /// Takes note of the partition of a record, if it is of this space; the silent partitions, if it is time to look.
    fn hear(&mut self, partition: Option<PartitionId>, time_ms: i64) -> Vec<PartitionId> {
        if let Some(heard) = partition
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| self.is_heard.get_mut(at))
        {
            *heard = true;
        }
        let next_ms = *self.next_ms.get_or_insert(time_ms + self.check_ms);
        if time_ms < next_ms {
            return Vec::new();
        }
        self.next_ms = Some(time_ms + self.check_ms);
        let numbered = (0..).zip(&mut self.is_heard);
        numbered.filter_map(|(at, heard)| (!std::mem::take(heard)).then_some(at)).collect()
    }
}
