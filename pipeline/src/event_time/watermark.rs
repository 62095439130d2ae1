//! Watermarks: one a partition, in offset order; merged they say what is settled and what is final.

use std::time::Duration;

/// How far one partition is at a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Its watermark, epoch milliseconds; `i64::MIN` before its first record.
    pub watermark: i64,
    /// How long nothing has come from it.
    pub quiet: Duration,
}

/// The event time that all partitions have passed by what is in the log, and the one that all but
/// idle partitions have passed. A partition that has never had a record holds the first one back.
///
/// With no partitions at all, or none that is not idle, `settled` is the largest watermark: nobody
/// is left to wait for.
#[must_use]
pub fn merged(partitions: &[PartitionProgress], idle_after: Duration) -> (i64, i64) {
    let in_log = partitions.iter().map(|partition| partition.watermark).min().unwrap_or(i64::MIN);
    let settled = partitions
        .iter()
        .filter(|partition| partition.quiet < idle_after)
        .map(|partition| partition.watermark)
        .min()
        .or_else(|| partitions.iter().map(|partition| partition.watermark).max())
        .unwrap_or(i64::MIN);
    (in_log, settled.max(in_log))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(watermark: i64, quiet_s: u64) -> PartitionProgress {
        PartitionProgress { watermark, quiet: Duration::from_secs(quiet_s) }
    }

    #[test]
    fn the_slowest_partition_holds_what_is_final_and_an_idle_one_not_what_is_settled() {
        let idle_after = Duration::from_secs(5);
        assert_eq!(merged(&[at(10, 0), at(3, 60)], idle_after), (3, 10));
        assert_eq!(merged(&[at(10, 0), at(3, 1)], idle_after), (3, 3));
        assert_eq!(merged(&[at(10, 60), at(3, 60)], idle_after), (3, 10));
        assert_eq!(merged(&[at(10, 0), at(i64::MIN, 60)], idle_after), (i64::MIN, 10));
    }
}
