//! Whether the publisher still publishes, seen from outside: it makes a cut every few hundred
//! milliseconds, whether or not records come. One that hangs cannot say so itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidemark_pipeline::results::Results;

/// When the last cut came.
#[derive(Debug)]
pub struct Pulse {
    last: Mutex<Instant>,
    silence_max: Duration,
}

impl Pulse {
    /// A publisher is given up after `silence_max` without a cut. Nothing is heard until
    /// [`Pulse::listen`] runs.
    #[must_use]
    pub fn new(silence_max: Duration) -> Arc<Self> {
        Arc::new(Self { last: Mutex::new(Instant::now()), silence_max })
    }

    /// Takes note of every cut, until there are no more results.
    pub async fn listen(self: Arc<Self>, results: Arc<Results>) {
        let mut cuts = results.watch();
        while cuts.changed().await.is_ok() {
            *self.last.lock() = Instant::now();
        }
    }

    /// That and for how long nothing was published; `None` while the publisher is well.
    #[must_use]
    pub fn stalled(&self) -> Option<String> {
        let silent = self.last.lock().elapsed();
        (silent > self.silence_max).then(|| {
            format!(
                "the publisher has stalled: no cut for {} s (server.stalled-after-ms); look at the log, \
                 and restart if it does not come back",
                silent.as_secs()
            )
        })
    }
}
