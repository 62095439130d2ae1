//! Versions of histories that someone holds: their files and their place in the log stay, however old they are.
//!
//! ```text
//! hold ─▶ data-dir/pins.json ─▶ undisturbed ─▶ the version is looked for: there, and now it stays
//! the writer: told what is held ─▶ deletes the files of nothing else
//! ```
//! What deletes may have looked at the pins just before one was set: whoever sets one waits until it is through, and
//! only then looks whether everything is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Holders at one time; past it none is added until one lets go.
const HOLDERS_MAX: usize = 10_000;
/// Form of the file.
const FORMAT: u32 = 1;

/// Versions by stream.
pub type HeldVersions = BTreeMap<String, BTreeSet<u64>>;

/// Why the pins cannot be read or written, or another one not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinsError {
    /// The file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is not one of ours.
    #[error("{}: {reason}; mend it: without it, what shared queries show would be deleted", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There are as many as there may be.
    #[error(
        "{HOLDERS_MAX} shared queries hold versions of histories already; remove some that nobody needs"
    )]
    Full,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    holders: BTreeMap<String, HeldVersions>,
}

/// Who holds which versions.
#[derive(Debug)]
pub struct Pins {
    file: PathBuf,
    holders: Mutex<BTreeMap<String, HeldVersions>>,
    /// How many are deleting files at the moment.
    deleting: watch::Sender<usize>,
}

impl Pins {
    /// Reads those of a data folder.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(data_dir: &Path) -> Result<Arc<Self>, PinsError> {
        let file = data_dir.join("pins.json");
        let holders = match std::fs::read(&file) {
            Ok(bytes) => {
                read(&bytes).map_err(|reason| PinsError::Form { file: file.clone(), reason })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(PinsError::File { file, source }),
        };
        let deleting = watch::Sender::new(0);
        Ok(Arc::new(Self { file, holders: Mutex::new(holders), deleting }))
    }

    /// Holds versions in the name of `holder`, in place of those it held. Blocks until that is on disk.
    ///
    /// # Errors
    /// When there are too many holders, or the file cannot be written; then nothing is changed.
    pub fn hold(&self, holder: &str, versions: HeldVersions) -> Result<(), PinsError> {
        let mut holders = self.holders.lock();
        if holders.len() >= HOLDERS_MAX && !holders.contains_key(holder) {
            return Err(PinsError::Full);
        }
        let before = holders.insert(holder.to_owned(), versions);
        self.write(&holders).inspect_err(|_| {
            match before {
                Some(before) => holders.insert(holder.to_owned(), before),
                None => holders.remove(holder),
            };
        })
    }

    /// Lets go of what `holder` holds. Blocks until that is on disk.
    ///
    /// # Errors
    /// When the file cannot be written; it is held again after the next start then.
    pub fn release(&self, holder: &str) -> Result<(), PinsError> {
        let mut holders = self.holders.lock();
        match holders.remove(holder) {
            Some(_) => self.write(&holders),
            None => Ok(()),
        }
    }

    /// Who holds anything.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        self.holders.lock().keys().cloned().collect()
    }

    /// Ready when nothing is being deleted that did not know of the pins set so far.
    pub async fn undisturbed(&self) {
        // The sender is here, so the wait has an end.
        let mut deleting = self.deleting.subscribe();
        let _none = deleting.wait_for(|count| *count == 0).await;
    }

    /// The versions of a stream that are held; files may be deleted while what comes with them lives.
    pub(super) fn before_deleting(&self, stream: &str) -> (Vec<u64>, Deleting<'_>) {
        self.deleting.send_modify(|count| *count += 1);
        let deleting = Deleting(self);
        (self.of(stream), deleting)
    }

    /// Whether any version of a stream is held.
    pub(super) fn holds(&self, stream: &str) -> bool {
        !self.of(stream).is_empty()
    }

    fn of(&self, stream: &str) -> Vec<u64> {
        let holders = self.holders.lock();
        let versions: BTreeSet<u64> =
            holders.values().filter_map(|held| held.get(stream)).flatten().copied().collect();
        versions.into_iter().collect()
    }

    /// Beside the file first, so that a crash leaves the old one whole.
    fn write(&self, holders: &BTreeMap<String, HeldVersions>) -> Result<(), PinsError> {
        let written = Written { format: FORMAT, holders: holders.clone() };
        let replaced = || -> std::io::Result<()> {
            let text = serde_json::to_vec(&written)?;
            let folder = self.file.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            let beside = self.file.with_extension("json.new");
            let mut options = std::fs::OpenOptions::new();
            options.create(true).truncate(true).write(true).mode(0o600);
            let mut file = options.open(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.file)?;
            std::fs::File::open(folder)?.sync_all()
        };
        replaced().map_err(|source| PinsError::File { file: self.file.clone(), source })
    }
}

/// Files are being deleted as long as it lives.
#[derive(Debug)]
pub(super) struct Deleting<'a>(&'a Pins);

impl Drop for Deleting<'_> {
    fn drop(&mut self) {
        self.0.deleting.send_modify(|count| *count -= 1);
    }
}

fn read(bytes: &[u8]) -> Result<BTreeMap<String, HeldVersions>, String> {
    let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match written.format {
        FORMAT => Ok(written.holders),
        other => Err(format!("has the format {other}, and this version reads {FORMAT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(version: u64) -> HeldVersions {
        BTreeMap::from([("orders".to_owned(), BTreeSet::from([version]))])
    }

    #[test]
    fn what_is_held_is_held_after_a_restart_until_the_last_holder_lets_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let pins = Pins::open(folder.path()).expect("opens");
        pins.hold("a", held(3)).expect("held");
        pins.hold("b", held(3)).expect("held");
        pins.hold("b", held(5)).expect("held");
        let pins = Pins::open(folder.path()).expect("opens again");
        assert_eq!(pins.of("orders"), [3, 5]);
        pins.release("a").expect("released");
        pins.release("nobody").expect("nothing to do");
        let pins = Pins::open(folder.path()).expect("opens again");
        assert_eq!(pins.of("orders"), [5]);
        assert!(pins.holds("orders") && !pins.holds("parcels"));
        assert_eq!(pins.holders(), ["b"]);
        std::fs::write(folder.path().join("pins.json"), "{}").expect("written");
        assert!(Pins::open(folder.path()).expect_err("refused").to_string().contains("pins.json"));
    }

    #[tokio::test]
    async fn who_sets_a_pin_waits_until_what_did_not_know_of_it_is_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let pins = Pins::open(folder.path()).expect("opens");
        let (known, deleting) = pins.before_deleting("orders");
        pins.hold("a", held(3)).expect("held");
        let mut waiting = Box::pin(pins.undisturbed());
        assert!(known.is_empty() && futures::poll!(waiting.as_mut()).is_pending());
        drop(deleting);
        waiting.await;
    }
}
