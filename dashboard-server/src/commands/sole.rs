//! One process a folder: who begins anew in it first makes sure that nobody is there.
//!
//! The lock is the system's own on a file that stays, so it goes with the process, however that ends. The file says who has
//! it, for whoever comes second.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Name of the file in the folder.
pub(super) const FILE: &str = "demo.lock";

/// A folder that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Sole(File);

impl Sole {
    /// Takes a folder, which is made if it is missing.
    ///
    /// # Errors
    /// When another process has it; the message says which.
    pub(super) fn take(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let path = dir.join(FILE);
        let failed = || format!("cannot lock {}", path.display());
        let mut options = OpenOptions::new();
        // What another has written there stays until the folder is ours.
        let file = options.create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut who = String::new();
                // Its words are only told: whoever has the folder has it.
                let _unread = file.read_to_string(&mut who);
                let who = if who.trim().is_empty() { "another process" } else { who.trim() };
                bail!(
                    "{} is in use by a demo that runs: {who}; stop it, or give this one another --data-dir",
                    dir.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let mut sole = Self(file);
        sole.say(&format!("process {}", std::process::id())).with_context(failed)?;
        Ok(sole)
    }

    /// Says where this process is to be found.
    pub(super) fn is_at(&mut self, address: &str) {
        let told = self.say(&format!("process {}, http://{address}", std::process::id()));
        if let Err(error) = told {
            tracing::debug!(%error, "the lock of the demo does not say its address: {error}");
        }
    }

    fn say(&mut self, who: &str) -> std::io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(who.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_demo_and_the_second_is_told_which() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("demo");
        let mut first = Sole::take(&dir).expect("free");
        let refused = Sole::take(&dir).expect_err("taken").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        first.is_at("127.0.0.1:8080");
        let refused = Sole::take(&dir).expect_err("taken").to_string();
        assert!(
            refused.contains("http://127.0.0.1:8080") && refused.contains("--data-dir"),
            "{refused}"
        );
        drop(first);
        Sole::take(&dir).expect("free again");
    }
}
