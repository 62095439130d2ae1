//! A place that only the process which claimed it last may write.
//!
//! ```text
//! claim: owner = generation n ─▶ writes … ─▶ another claims n + 1 ─▶ every write is refused from then on
//! ```
//! A worker that is taken for dead and wakes again (a pause, a network that was away) would otherwise
//! write over what its successor has written, or delete it.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::{ObjectError, Objects, Tag};

/// Name of the object that says whose the place is.
const OWNER: &str = "owner";
/// Claims tried against others that claim at the same time.
const CLAIMS_MAX: u32 = 32;

/// Whose the place is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// One more for each claim.
    generation: u64,
    /// Who claimed, in words; never the same twice.
    name: String,
}

/// A place in the hands of this process, until another claims it.
#[derive(Debug)]
pub struct Fenced {
    inner: Arc<dyn Objects>,
    own: Owner,
    /// Who has taken it over, once that is known.
    taken: OnceLock<String>,
}

impl Fenced {
    /// Claims a place: whoever had it is refused from now on. `name` says who claims and must never come
    /// again; the start of a process in nanoseconds does.
    ///
    /// # Errors
    /// When the place refuses, or holds an owner nobody can read.
    pub fn claim(inner: Arc<dyn Objects>, name: &str) -> Result<Arc<Self>, ObjectError> {
        let failed = |detail: String| ObjectError {
            step: "claim",
            place: format!("{}/{OWNER}", inner.place()),
            detail,
        };
        for _ in 0..CLAIMS_MAX {
            let found = inner.read_tagged(OWNER)?;
            let before =
                found.as_ref().map(|(bytes, _)| serde_json::from_slice::<Owner>(bytes)).transpose();
            let before = before.map_err(|error| {
                failed(format!("it is damaged: {error}; remove it once no process writes here"))
            })?;
            let own = Owner {
                generation: before.map_or(0, |owner| owner.generation) + 1,
                name: name.to_owned(),
            };
            let bytes = serde_json::to_vec(&own).map_err(|error| failed(error.to_string()))?;
            let was: Option<&Tag> = found.as_ref().map(|(_, tag)| tag);
            if inner.write_if(OWNER, &bytes, was)?.is_some() {
                return Ok(Arc::new(Self {
                    inner: Arc::clone(&inner),
                    own,
                    taken: OnceLock::new(),
                }));
            }
        }
        Err(failed("other processes claim it again and again".to_owned()))
    }

    /// The number of this claim.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.own.generation
    }

    /// Who has taken the place over; `None` while a write has not found it out.
    #[must_use]
    pub fn taken(&self) -> Option<&str> {
        self.taken.get().map(String::as_str)
    }

    /// Refuses a step unless the place is still ours.
    fn check(&self, step: &'static str, name: &str) -> Result<(), ObjectError> {
        let refused = |detail: String| ObjectError {
            step,
            place: format!("{}/{name}", self.inner.place()),
            detail,
        };
        if let Some(taken) = self.taken.get() {
            return Err(refused(taken.clone()));
        }
        let found = self.inner.read(OWNER)?;
        let owner = found.and_then(|bytes| serde_json::from_slice::<Owner>(&bytes).ok());
        if owner.as_ref() == Some(&self.own) {
            return Ok(());
        }
        let by = owner.map_or_else(
            || "its owner is gone".to_owned(),
            |owner| {
                format!(
                    "process {} has taken it over with generation {}",
                    owner.name, owner.generation
                )
            },
        );
        let own = self.own.generation;
        let taken = self.taken.get_or_init(|| {
            format!("{by}; this process has generation {own} and may write no more: stop it, the other one goes on")
        });
        Err(refused(taken.clone()))
    }
}

impl Objects for Fenced {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ObjectError> {
        self.inner.list(folder)
    }

    fn read_tagged(&self, name: &str) -> Result<Option<(Vec<u8>, Tag)>, ObjectError> {
        self.inner.read_tagged(name)
    }

    fn read_range(&self, name: &str, from: u64, to: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        self.inner.read_range(name, from, to)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        self.check("write", name)?;
        self.inner.write(name, bytes)
    }

    fn write_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Tag>,
    ) -> Result<Option<Tag>, ObjectError> {
        self.check("write", name)?;
        self.inner.write_if(name, bytes, was)
    }

    fn grow(&self, name: &str, at: u64, bytes: &[u8]) -> Result<bool, ObjectError> {
        self.check("write", name)?;
        self.inner.grow(name, at, bytes)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.check("delete", name)?;
        self.inner.delete(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::objects::Disk;

    fn disk(dir: &tempfile::TempDir) -> Arc<dyn Objects> {
        Arc::new(Disk::open(dir.path()).expect("opens"))
    }

    #[test]
    fn whoever_claimed_before_is_refused_at_every_step_and_nothing_of_its_is_written() {
        let dir = tempfile::tempdir().expect("folder");
        let zombie = Fenced::claim(disk(&dir), "first").expect("claimed");
        zombie.write("a", b"1").expect("its own");
        assert!(zombie.grow("log", 0, b"x").expect("its own"));
        let owner = Fenced::claim(disk(&dir), "second").expect("claimed");
        assert_eq!((zombie.generation(), owner.generation()), (1, 2));
        for refused in [
            zombie.write("a", b"2").err(),
            zombie.write_if("b", b"2", None).err(),
            zombie.grow("log", 1, b"y").err(),
            zombie.delete("a").err(),
        ] {
            let said = refused.expect("refused").to_string();
            assert!(said.contains("process second has taken it over with generation 2"), "{said}");
        }
        assert!(zombie.taken().is_some() && owner.taken().is_none());
        assert_eq!(owner.read("a").expect("read").as_deref(), Some(&b"1"[..]));
        assert_eq!(owner.read("log").expect("read").as_deref(), Some(&b"x"[..]));
        assert_eq!(owner.read("b").expect("read"), None);
        owner.write("a", b"3").expect("the owner writes");
        assert_eq!(zombie.read("a").expect("reading harms nobody").as_deref(), Some(&b"3"[..]));
    }

    #[test]
    fn of_many_who_claim_at_once_each_gets_a_generation_of_its_own_and_the_last_one_writes() {
        let dir = tempfile::tempdir().expect("folder");
        let place = disk(&dir);
        let mut claims: Vec<Arc<Fenced>> = std::thread::scope(|scope| {
            let claim = |nth: usize| {
                let place = Arc::clone(&place);
                scope.spawn(move || {
                    Fenced::claim(place, &format!("process {nth}")).expect("claimed")
                })
            };
            let threads: Vec<_> = (0..8).map(claim).collect();
            threads.into_iter().map(|thread| thread.join().expect("ends")).collect()
        });
        claims.sort_by_key(|claim| claim.generation());
        assert_eq!(
            claims.iter().map(|claim| claim.generation()).collect::<Vec<_>>(),
            (1..=8).collect::<Vec<_>>()
        );
        let last = claims.pop().expect("eight");
        assert!(claims.iter().all(|claim| claim.write("a", b"1").is_err()));
        last.write("a", b"2").expect("the last one");
    }
}
