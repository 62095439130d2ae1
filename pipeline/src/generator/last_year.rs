//! A made-up "last year" for the demo to be compared with: the expected day of fewer orders and a flatter
//! rush, worked out and not drawn. It stands for no real year.

use std::fmt::Write as _;

use super::catalogue::BASKET_MEAN_YUAN;
use super::curve::DayCurve;
use super::dice::float;
use super::options::{DAY_SECONDS, GeneratorOptions};

/// The name of the curve; the shipped reference tables have its heading.
pub const CURVE: &str = "demo-last-year";

/// Orders of last year's day for each of this year's, and how far its rush stood out.
const ORDERS: f64 = 0.79;
const PEAK: f64 = 31.0;

/// Points by the second, as milestones of the opening are.
const SECONDS: u32 = 1_800;

/// The day's running total as CSV with the columns `curve,second,total`, the total in yuan.
#[must_use]
pub fn last_year_points(options: &GeneratorOptions) -> String {
    let day = LastYear::new(options);
    let mut csv = String::from("curve,second,total\n");
    for second in (0..SECONDS).chain((SECONDS..=DAY_SECONDS).step_by(60)) {
        let total = day.total_before(f64::from(second));
        let _infallible = writeln!(csv, "{CURVE},{second},{total:.2}");
    }
    csv
}

struct LastYear {
    curve: DayCurve,
    /// Yuan of a day's ordinary payments, balances and deposits.
    paid: f64,
    balances: f64,
    deposits: f64,
}

impl LastYear {
    fn new(options: &GeneratorOptions) -> Self {
        let whole = float(options.orders_a_day) * ORDERS * BASKET_MEAN_YUAN;
        let presale = whole * options.shares.presale;
        Self {
            curve: DayCurve::new(PEAK.min(options.peak_over_mean)),
            paid: (whole - presale) * options.shares.paid,
            balances: presale * 0.85 * 0.93,
            deposits: presale * 0.15,
        }
    }

    /// Orders are paid 27 seconds after they are placed, balances over twenty minutes, deposits evenly over
    /// the last four hours: the means of what is played.
    fn total_before(&self, second: f64) -> f64 {
        let evening = ((second - 72_000.0) / 14_400.0).clamp(0.0, 1.0);
        self.paid * self.curve.share_before(second - 27.0)
            + self.balances * (1.0 - (-second / 1_200.0).exp())
            + self.deposits * evening
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_year_never_falls_and_ends_about_a_fifth_below_this_year() {
        let options = GeneratorOptions::default();
        let csv = last_year_points(&options);
        let totals: Vec<f64> = csv
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(totals.len(), 1_800 + 1_411);
        assert!(totals.is_sorted());
        let this_year = 1_000_000.0 * BASKET_MEAN_YUAN * 0.91;
        let ratio = totals.last().unwrap() / this_year;
        assert!((0.74..0.84).contains(&ratio), "{ratio}");
    }
}
