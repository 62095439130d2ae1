//! The progress bar of long work: what is done, the rate, the time left; silent when not on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second at most.
const DRAWS_A_SECOND: u8 = 5;

/// A bar on standard error, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
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
        Self { bar }
    }

    /// A bar that shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// Counts records.
    pub fn add(&self, records: u64) {
        self.bar.inc(records);
    }

    /// Shows where in recorded time the work is.
    pub fn show_time(&self, time_ms: i64) {
        self.bar.set_message(crate::model::EventTime(time_ms).to_string());
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
