//! The progress bar of long work: what is done, the rate, the time left; silent when not on a terminal.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second at most.
const DRAWS_A_SECOND: u8 = 5;

/// Steps of a bar that shows a share.
const SHARE_STEPS: u64 = 1_000;

/// A bar on standard error, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Where the bar is a share and not a number of records.
    share: Option<ShareOf>,
}

#[derive(Debug, Default)]
struct ShareOf {
    records: AtomicU64,
}

impl Progress {
    /// A bar for `total` records, or a counter when the total is not known, if standard error is a
    /// terminal and `is_quiet` is false.
    #[must_use]
    pub fn new(what: &'static str, total: Option<u64>, is_quiet: bool) -> Self {
        if is_quiet || !std::io::stderr().is_terminal() {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(
            total,
            ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND),
        );
        let template = match total {
            Some(_) => {
                "{prefix} {wide_bar} {human_pos}/{human_len} · {per_sec} · {eta} left · {msg}"
            }
            None => "{prefix} {spinner} {human_pos} · {per_sec} · {elapsed} · {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, share: None }
    }

    /// A bar for work whose records are not known before, but what share of its input is read.
    #[must_use]
    pub fn by_share(what: &'static str, is_quiet: bool) -> Self {
        let progress = Self::new(what, None, is_quiet);
        let template = "{prefix} {wide_bar} {percent}% · {eta} left · {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            progress.bar.set_style(style);
        }
        progress.bar.set_length(SHARE_STEPS);
        Self { share: Some(ShareOf::default()), ..progress }
    }

    /// Says which share of the input is read, as parts of a whole.
    pub fn show_share(&self, (part, whole): (u64, u64)) {
        if self.share.is_some() && whole > 0 {
            self.bar.set_position(part.saturating_mul(SHARE_STEPS) / whole);
        }
    }

    /// A bar that shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), share: None }
    }

    /// Counts records.
    pub fn add(&self, records: u64) {
        match &self.share {
            Some(share) => {
                share.records.fetch_add(records, Ordering::Relaxed);
            }
            None => self.bar.inc(records),
        }
    }

    /// Shows where in recorded time the work is.
    pub fn show_time(&self, time_ms: i64) {
        let time = crate::model::EventTime(time_ms);
        let Some(share) = &self.share else { return self.bar.set_message(time.to_string()) };
        let records = share.records.load(Ordering::Relaxed);
        let seconds = self.bar.elapsed().as_secs().max(1);
        let (count, rate) = (HumanCount(records), HumanCount(records / seconds));
        self.bar.set_message(format!("{count} · {rate}/s · {time}"));
    }

    /// Says something on standard error, above the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
