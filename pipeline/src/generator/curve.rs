//! When orders are placed: the day of Double 11, with its rush at midnight and its evening.
//!
//! The curve is a rate over the day, straight between authored points. It follows the public marks
//! of 2019 (10, 100, 120.7, 200 and 213.5 of 268.4 billion yuan at their clock times) and has its
//! peak at 00:00:26, the second of the record of 2020, at 36 times the mean.

/// Seconds of a day.
pub const DAY_SECONDS: f64 = 86_400.0;

/// Peak over mean of the authored points.
pub const PEAK_OVER_MEAN: f64 = 36.0;

/// Second of the day, and the rate there as a multiple of the day's mean.
const POINTS: [(f64, f64); 22] = [
    (0.0, 22.0),
    (26.0, 36.0),
    (96.0, 33.0),
    (240.0, 11.0),
    (1_200.0, 7.6),
    (3_839.0, 5.4),
    (5_167.0, 4.2),
    (7_200.0, 1.3),
    (12_600.0, 0.26),
    (18_000.0, 0.12),
    (25_200.0, 0.22),
    (28_800.0, 0.36),
    (36_000.0, 0.57),
    (51_687.0, 0.56),
    (59_460.0, 0.55),
    (64_800.0, 0.48),
    (70_200.0, 0.60),
    (75_600.0, 0.78),
    (79_200.0, 0.82),
    (83_700.0, 0.73),
    (85_800.0, 0.87),
    (86_400.0, 0.95),
];

/// The rate of orders over a day, and its running total from 0 to 1.
#[derive(Debug, Clone)]
pub struct DayCurve {
    segments: Vec<Segment>,
    mean_rate: f64,
}

/// A straight piece: rates at both ends and the running total at its start, not yet scaled.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: f64,
    end: f64,
    rate: f64,
    rise: f64,
    total: f64,
}

impl Segment {
    fn total_at(&self, second: f64) -> f64 {
        let into = second - self.start;
        self.total + into * (self.rate + self.rise * into / 2.0)
    }

    /// The second at which the running total is `total`: a root of the quadratic, in the form that
    /// is also exact where the rate does not change.
    fn second_at(&self, total: f64) -> f64 {
        let area = total - self.total;
        let root = (self.rate * self.rate + 2.0 * self.rise * area).max(0.0).sqrt();
        (self.start + 2.0 * area / (self.rate + root)).clamp(self.start, self.end)
    }
}

impl DayCurve {
    /// The curve with its peak at `peak_over_mean` times the mean: 1 is flat, 36 the real one.
    #[must_use]
    pub fn new(peak_over_mean: f64) -> Self {
        let sharpness = (peak_over_mean - 1.0) / (PEAK_OVER_MEAN - 1.0);
        let shaped =
            POINTS.map(|(second, rate)| (second, (1.0 + (rate - 1.0) * sharpness).max(0.01)));
        let (mut segments, mut total) = (Vec::with_capacity(POINTS.len()), 0.0);
        for ((start, rate), (end, end_rate)) in std::iter::zip(shaped, shaped.into_iter().skip(1)) {
            let rise = (end_rate - rate) / (end - start);
            let segment = Segment { start, end, rate, rise, total };
            total = segment.total_at(end);
            segments.push(segment);
        }
        Self { segments, mean_rate: total / DAY_SECONDS }
    }

    /// Share of the day's orders placed before `second` of the day, from 0 to 1.
    #[must_use]
    pub fn share_before(&self, second: f64) -> f64 {
        let second = second.clamp(0.0, DAY_SECONDS);
        let found = self.segment(|segment| segment.start <= second);
        found.map_or(0.0, |segment| segment.total_at(second) / (self.mean_rate * DAY_SECONDS))
    }

    /// The second of the day before which `share` of its orders are placed.
    #[must_use]
    pub fn second_at(&self, share: f64) -> f64 {
        let total = share.clamp(0.0, 1.0) * self.mean_rate * DAY_SECONDS;
        self.segment(|segment| segment.total <= total)
            .map_or(0.0, |segment| segment.second_at(total))
    }

    /// Rate at `second` of the day over the day's mean.
    #[must_use]
    pub fn rate_over_mean(&self, second: f64) -> f64 {
        let found = self.segment(|segment| segment.start <= second);
        found.map_or(0.0, |s| (s.rate + s.rise * (second - s.start)) / self.mean_rate)
    }

    /// The last segment for which `begins` holds.
    fn segment(&self, begins: impl Fn(&Segment) -> bool) -> Option<&Segment> {
        let behind = self.segments.partition_point(begins);
        self.segments.get(behind.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_36_times_the_mean_at_26_seconds_past_midnight() {
        let curve = DayCurve::new(PEAK_OVER_MEAN);
        let peak = curve.rate_over_mean(26.0);
        assert!((35.7..36.3).contains(&peak), "{peak}");
        assert!((0..86_400).all(|second| curve.rate_over_mean(f64::from(second)) <= peak));
    }

    #[test]
    fn the_running_total_passes_the_public_marks_of_2019() {
        let curve = DayCurve::new(PEAK_OVER_MEAN);
        for (clock, billions) in
            [(96, 10.0), (3_839, 100.0), (5_167, 120.7), (51_687, 200.0), (59_460, 213.5)]
        {
            let share = curve.share_before(f64::from(clock));
            let marked = billions / 268.444_058_381;
            assert!(
                (share - marked).abs() < 0.01,
                "second {clock}: {share:.4}, marked {marked:.4}"
            );
        }
        assert!((curve.share_before(DAY_SECONDS) - 1.0).abs() < 1e-12);
        let minute = curve.share_before(60.0);
        assert!((0.020..0.025).contains(&minute), "first minute {minute}");
    }

    #[test]
    fn the_evening_rises_again() {
        let curve = DayCurve::new(PEAK_OVER_MEAN);
        let hour = |hour: f64| curve.rate_over_mean(hour * 3_600.0);
        assert!(hour(21.0) > hour(18.0) && hour(22.0) > hour(15.0) && hour(4.5) < hour(10.0));
    }

    #[test]
    fn a_share_leads_back_to_its_second() {
        for ratio in [1.0, 4.0, PEAK_OVER_MEAN] {
            let curve = DayCurve::new(ratio);
            for second in [0.0, 1.0, 26.0, 95.5, 4_000.0, 43_200.0, 86_399.0] {
                let back = curve.second_at(curve.share_before(second));
                assert!((back - second).abs() < 1e-3, "{ratio}: {second} became {back}");
            }
        }
        assert!((DayCurve::new(4.0).rate_over_mean(26.0) - 4.0).abs() < 0.1);
    }
}
