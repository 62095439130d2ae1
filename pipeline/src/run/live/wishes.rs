//! Who waits for a commit: from the wish to the answer.
//!
//! ```text
//! waits ── a checkpoint of a cut is begun ─▶ of this cut ── it is written ─▶ histories commit up to it ─▶ answered
//! ```
//! Histories commit only what a written checkpoint stands behind. One that waits has them commit up to its own checkpoint
//! and no further, so that the version is of one cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::history::{History, Stand, Standing};
use crate::results::{CommitWish, CommittedCut, Cut};

/// Wishes that wait at one time; past it they are refused.
const WISHES_MAX: usize = 100;

/// A wish on its way.
struct Wish {
    asked: CommitWish,
    /// The cut whose checkpoint was begun after it was asked for.
    cut: Option<Arc<Cut>>,
    /// That checkpoint, once it is written.
    stand: Option<Stand>,
    /// Streams whose rows the writer was given for it.
    given: BTreeSet<String>,
    versions: BTreeMap<String, u64>,
}

/// Everyone who waits for a commit, the first first.
#[derive(Default)]
pub(super) struct Wishes(Vec<Wish>);

impl Wishes {
    /// Takes one in.
    pub(super) fn add(&mut self, asked: CommitWish) {
        // Who asked and left would count for nothing.
        self.0.retain(|wish| !wish.asked.reply.is_closed());
        if self.0.len() >= WISHES_MAX {
            let many =
                format!("{WISHES_MAX} others wait for a commit already; ask again in a moment");
            let _left = asked.reply.send(Err(many));
            return;
        }
        let (given, versions) = (BTreeSet::new(), BTreeMap::new());
        self.0.push(Wish { asked, cut: None, stand: None, given, versions });
    }

    /// Whether someone waits for a checkpoint to be begun.
    pub(super) fn want_checkpoint(&self) -> bool {
        self.0.iter().any(|wish| wish.cut.is_none())
    }

    /// Takes note that a checkpoint of a cut is begun, or was to be: one that fails is tried again at its time.
    pub(super) fn checkpoint_begun(&mut self, cut: &Arc<Cut>) {
        for wish in self.0.iter_mut().filter(|wish| wish.stand.is_none()) {
            wish.cut = Some(Arc::clone(cut));
        }
    }

    /// Takes note that the checkpoint of a cut is written.
    pub(super) fn checkpoint_written(&mut self, cut: &Arc<Cut>, stand: &Stand) {
        for wish in self.0.iter_mut().filter(|wish| wish.stand.is_none()) {
            if wish.cut.as_ref().is_some_and(|of| Arc::ptr_eq(of, cut)) {
                wish.stand = Some(stand.clone());
            }
        }
    }

    /// Whether someone waits for a stream to be committed up to a checkpoint that is written.
    pub(super) fn hold_back(&self, stream: &str) -> bool {
        self.0.iter().any(|wish| {
            wish.stand.is_some()
                && wish.asked.streams.contains(stream)
                && !wish.versions.contains_key(stream)
        })
    }

    /// Has histories commit what is waited for, and answers whom it has come for.
    pub(super) fn serve(&mut self, history: &mut History) {
        // A stream is at one version at a time: who came first has it go up to its own checkpoint first.
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let waiting = std::mem::take(&mut self.0);
        for mut wish in waiting {
            if wish.asked.reply.is_closed() {
                continue;
            }
            if let Err(why) = wish.go_on(history, &mut taken) {
                let _left = wish.asked.reply.send(Err(why));
            } else if let Some(committed) = wish.committed() {
                let _left = wish.asked.reply.send(Ok(committed));
            } else {
                self.0.push(wish);
            }
        }
    }
}

impl Wish {
    fn go_on(&mut self, history: &mut History, taken: &mut BTreeSet<String>) -> Result<(), String> {
        let Some(stand) = &self.stand else { return Ok(()) };
        for stream in &self.asked.streams {
            if self.versions.contains_key(stream) || taken.contains(stream) {
                continue;
            }
            if let Some(why) = history.refusal(stream).filter(|_| self.given.contains(stream)) {
                return Err(why.to_owned());
            }
            match history.commit_up_to(stream, stand) {
                Some(Standing::Committed(version)) => {
                    self.versions.insert(stream.clone(), version);
                }
                Some(Standing::Given) => {
                    self.given.insert(stream.clone());
                    taken.insert(stream.clone());
                }
                Some(Standing::Busy) => {
                    taken.insert(stream.clone());
                }
                None => return Err(format!("{stream} keeps no history")),
            }
        }
        Ok(())
    }

    fn committed(&self) -> Option<CommittedCut> {
        let cut = self.cut.as_ref().filter(|_| self.stand.is_some())?;
        let is_whole = self.asked.streams.iter().all(|stream| self.versions.contains_key(stream));
        is_whole.then(|| CommittedCut { cut: Arc::clone(cut), versions: self.versions.clone() })
    }
}
