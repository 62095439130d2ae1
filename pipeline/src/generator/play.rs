//! Writes a generated day to a log: in time, or as fast as it goes.

use super::life::Generator;
use crate::model::{EventTime, PartitionId};
use crate::source::SourceError;
use crate::source::pace::Speed;
use crate::source::player::{Player, Stage};

/// How far behind the newest arrival the watermark of a silent partition is moved: longer than the
/// ordinary way of an event to the log, so that control records make nothing late.
const IDLE_LAG_MS: i64 = 5_000;

/// Simulated time between looks for silent partitions when nothing paces them.
const IDLE_CHECK_MS: i64 = 60_000;

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
/// every partition gets one with the end of the day. Everything taken is flushed, also on a stop.
///
/// # Errors
/// When the log cannot be written to.
pub fn play(
    generator: &mut Generator,
    speed: Speed,
    stage: Stage<'_>,
) -> Result<PlaySummary, SourceError> {
    let start_ms = generator.start_ms();
    let mut silence = Silence::new(stage.writer.partitions(), speed);
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
        let partition = generated.record.partition_among(silence.partitions());
        for partition in silence.hear(partition, arrival_ms) {
            let watermark = EventTime(arrival_ms - IDLE_LAG_MS);
            player.writer().write_watermark(partition, watermark, arrival_ms)?;
        }
    }
    let end_ms = generator.end_ms().unwrap_or(newest_ms);
    player.writer().close(EventTime(end_ms), newest_ms.max(end_ms))?;
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

    fn partitions(&self) -> u32 {
        u32::try_from(self.is_heard.len()).unwrap_or(u32::MAX)
    }

    /// Takes note of a record; the silent partitions, if it is time to look.
    fn hear(&mut self, partition: PartitionId, time_ms: i64) -> Vec<PartitionId> {
        if let Some(heard) =
            usize::try_from(partition).ok().and_then(|at| self.is_heard.get_mut(at))
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
