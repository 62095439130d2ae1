//! What kind of day to play.

use chrono::NaiveDate;

use super::curve::PEAK_OVER_MEAN;

/// Milliseconds the generator's clocks are ahead of UTC: Asia/Shanghai, which has one offset.
pub(super) const ZONE_MS: i64 = 8 * 3_600_000;

/// Seconds of a day.
pub(super) const DAY_SECONDS: u32 = 86_400;

/// A day, or several, to generate. The same options give the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorOptions {
    /// Orders placed in a whole day, shadow orders not among them; 1 to 10 billion.
    pub orders_a_day: u64,
    /// Peak rate over the day's mean, 1 (flat) to 36 (the real day).
    pub peak_over_mean: f64,
    /// Everything random follows from it.
    pub seed: u64,
    /// The first day, in Asia/Shanghai.
    pub date: NaiveDate,
    /// Days to play one after another; `None` never ends.
    pub days: Option<u32>,
    /// Second of the first day at which it begins.
    pub from_second: u32,
    /// Second of the last day at which it ends; 86,400 is midnight.
    pub to_second: u32,
    /// How much of each thing there is.
    pub shares: Shares,
}

/// Shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Orders that are paid, mostly within a minute.
    pub paid: f64,
    /// Orders that are cancelled in place of being paid; half of those records carry the order id only.
    pub cancelled: f64,
    /// Paid orders that are refunded, four in ten of them in part.
    pub refunded: f64,
    /// Orders bought ahead: a deposit the evening before, the balance in the minutes after midnight.
    pub presale: f64,
    /// Events sent again, byte for byte, within half a minute.
    pub duplicate: f64,
    /// Events that arrive 6 seconds to 20 minutes late.
    pub late: f64,
    /// Events of which a broken copy comes first.
    pub malformed: f64,
    /// Orders with something out of the ordinary: cancelled twice, refunded above what was paid, refunded
    /// in the log before they are paid, or paid in the log before they are placed.
    pub oddities: f64,
    /// Records that belong to shadow orders, which come on top and carry the shadow header.
    pub shadow: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            paid: 0.90,
            cancelled: 0.06,
            refunded: 0.05,
            presale: 0.08,
            duplicate: 0.005,
            late: 0.003,
            malformed: 0.000_02,
            oddities: 0.002,
            shadow: 0.0,
        }
    }
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self {
            orders_a_day: 1_000_000,
            peak_over_mean: PEAK_OVER_MEAN,
            seed: 11,
            date: NaiveDate::from_ymd_opt(2020, 11, 11).unwrap_or_default(),
            days: Some(1),
            from_second: 0,
            to_second: DAY_SECONDS,
            shares: Shares::default(),
        }
    }
}

impl GeneratorOptions {
    /// Sets the orders of the day by rates a second: the mean, the peak, or both, which also sets
    /// how far the peak stands out.
    #[must_use]
    pub fn with_rates(mut self, mean: Option<f64>, peak: Option<f64>) -> Self {
        if let (Some(mean), Some(peak)) = (mean, peak) {
            self.peak_over_mean = peak / mean;
        }
        let mean = mean.or(peak.map(|peak| peak / self.peak_over_mean));
        if let Some(mean) = mean {
            let orders = (mean * f64::from(DAY_SECONDS)).round().max(0.0);
            self.orders_a_day = u64::try_from(super::dice::whole(orders)).unwrap_or(0);
        }
        self
    }

    /// Midnight at which the first day begins, epoch milliseconds.
    #[must_use]
    pub fn first_midnight_ms(&self) -> i64 {
        let midnight = self.date.and_time(chrono::NaiveTime::MIN).and_utc();
        midnight.timestamp_millis() - ZONE_MS
    }

    /// Every mistake in the options, each naming its option and the range.
    ///
    /// # Errors
    /// The mistakes.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut mistakes = Vec::new();
        let mut must = |is_right: bool, text: String| {
            if !is_right {
                mistakes.push(text);
            }
        };
        let (orders, ratio) = (self.orders_a_day, self.peak_over_mean);
        must(
            (1..=10_000_000_000).contains(&orders),
            format!("orders = {orders}: must be 1 to 10,000,000,000"),
        );
        must(
            (1.0..=PEAK_OVER_MEAN).contains(&ratio),
            format!("peak = {ratio} times the mean: must be 1 to {PEAK_OVER_MEAN}"),
        );
        let (from, to) = (self.from_second, self.to_second);
        let is_one_day = self.days == Some(1);
        must(
            from < DAY_SECONDS && (1..=DAY_SECONDS).contains(&to) && (from < to || !is_one_day),
            format!("from second {from} to {to}: must lie in the day, from before to"),
        );
        must(self.days != Some(0), "days = 0: must be at least 1".to_owned());
        for (name, share) in self.shares.named() {
            must(
                (0.0..=0.95).contains(&share),
                format!("share of {name} = {share}: must be 0 to 0.95"),
            );
        }
        let outcomes = self.shares.paid + self.shares.cancelled;
        must(
            outcomes <= 1.0,
            format!("shares of paid and cancelled = {outcomes}: must be 1 at most"),
        );
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

impl Shares {
    fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("paid", self.paid),
            ("cancelled", self.cancelled),
            ("refunded", self.refunded),
            ("presale", self.presale),
            ("duplicate", self.duplicate),
            ("late", self.late),
            ("malformed", self.malformed),
            ("oddities", self.oddities),
            ("shadow", self.shadow),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_set_the_orders_and_the_peak() {
        let options = GeneratorOptions::default().with_rates(None, Some(583_000.0));
        assert_eq!(options.orders_a_day, 1_399_200_000);
        let options = GeneratorOptions::default().with_rates(Some(100.0), Some(400.0));
        assert_eq!((options.orders_a_day, options.peak_over_mean), (8_640_000, 4.0));
    }

    #[test]
    fn every_mistake_is_named() {
        let shares = Shares { late: 1.5, ..Shares::default() };
        let wrong = GeneratorOptions {
            orders_a_day: 0,
            from_second: 9,
            to_second: 9,
            shares,
            ..Default::default()
        };
        assert_eq!(wrong.check().unwrap_err().len(), 3);
        assert_eq!(GeneratorOptions::default().check(), Ok(()));
    }

    #[test]
    fn the_day_begins_at_midnight_in_shanghai() {
        assert_eq!(GeneratorOptions::default().first_midnight_ms(), 1_605_024_000_000);
    }
}
