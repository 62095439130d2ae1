//! Named places at which a test may end the process, as a power cut would.
//!
//! `TIDEMARK_CRASH_AT=checkpoint-rename:3` aborts it at the third time that place is reached: no
//! destructor runs and nothing is flushed. Read once, by [`arm`]; without it a place costs one load.
//!
//! | place | reached |
//! |---|---|
//! | `source-read` | before a partition reads a batch |
//! | `fold` | after a batch has been folded, before anyone has been told |
//! | `publish` | after all partitions have been drained, before the cut |
//! | `published` | after the cut has been handed to the viewers |
//! | `ledger-write` | before entries of ledgers are written |
//! | `ledger-persist` | before the ledgers are synced for a checkpoint |
//! | `dedup-append` | before dedup keys of a partition are appended for a checkpoint |
//! | `journal-append` | before the orders of an operator are appended for a checkpoint |
//! | `checkpoint-write` | half of an object's bytes are written aside (object store: before the request) |
//! | `checkpoint-rename` | the object is written aside and synced, not yet renamed (local disk only) |
//! | `checkpoint-renamed` | it has its name, its folder is not yet synced (object store: after the answer) |
//! | `checkpoint-forget` | before files that no checkpoint names are removed |
//! | `transaction-begin` | before a transaction of result topics begins |
//! | `transaction-commit` | before it is committed |
//! | `history-commit` | before rows are committed to a history |
//! | `history-committed` | after that, before anyone has been told |

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// All places, in the order of a record's way.
pub const PLACES: [&str; 16] = [
    "source-read",
    "fold",
    "publish",
    "published",
    "ledger-write",
    "ledger-persist",
    "dedup-append",
    "journal-append",
    "checkpoint-write",
    "checkpoint-rename",
    "checkpoint-renamed",
    "checkpoint-forget",
    "transaction-begin",
    "transaction-commit",
    "history-commit",
    "history-committed",
];

/// Names the variable.
pub const VARIABLE: &str = "TIDEMARK_CRASH_AT";

static IS_ARMED: AtomicBool = AtomicBool::new(false);
static CHOSEN: OnceLock<Chosen> = OnceLock::new();

#[derive(Debug)]
struct Chosen {
    place: String,
    at: u64,
    hits: AtomicU64,
}

/// Arms the place that [`VARIABLE`] names, if it is set; to be called once, at start.
///
/// # Errors
/// When it names no place, or no number from 1 on.
pub fn arm() -> Result<(), String> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let chosen = parse(&text)?;
    tracing::warn!(
        place = chosen.place,
        at = chosen.at,
        "a test device: this process will end itself at {text}"
    );
    IS_ARMED.store(CHOSEN.set(chosen).is_ok(), Ordering::Release);
    Ok(())
}

fn parse(text: &str) -> Result<Chosen, String> {
    let (place, at) = text.split_once(':').unwrap_or((text, "1"));
    if !PLACES.contains(&place) {
        return Err(format!(
            "{VARIABLE}={text}: there is no place '{place}'; there are {}",
            PLACES.join(", ")
        ));
    }
    let at = at.parse().ok().filter(|at| *at > 0);
    let at = at.ok_or_else(|| format!("{VARIABLE}={text}: write {place}:N with N from 1 on"))?;
    Ok(Chosen { place: place.to_owned(), at, hits: AtomicU64::new(0) })
}

/// Ends the process if a test has chosen this place and this is the time it has chosen.
#[inline]
pub fn hit(place: &'static str) {
    if IS_ARMED.load(Ordering::Relaxed) {
        reached(place);
    }
}

#[cold]
#[expect(clippy::print_stderr, reason = "the log may be buffered, and this process ends here")]
fn reached(place: &'static str) {
    let Some(chosen) = CHOSEN.get().filter(|chosen| chosen.place == place) else { return };
    if chosen.hits.fetch_add(1, Ordering::Relaxed) + 1 == chosen.at {
        eprintln!("crash at {place}:{}", chosen.at);
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_does_not_exist_is_refused_with_those_that_do() {
        let told = parse("checkpoint-renam:2").expect_err("unknown");
        assert!(
            told.contains("'checkpoint-renam'") && told.contains("checkpoint-renamed"),
            "{told}"
        );
        assert!(parse("fold:0").is_err() && parse("fold:x").is_err());
        assert_eq!(parse("fold").expect("known").at, 1);
    }
}
