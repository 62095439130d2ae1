//! What is kept for someone between two calls, under a handle that cannot be guessed and is of use to nobody else.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::auth::{Principal, secret};

/// Things by their handles. Past the bound of one owner the one that was not used for longest goes; what is not used for
/// its life is gone.
#[derive(Debug)]
pub(super) struct Handles<T> {
    life: Duration,
    of_one_max: usize,
    kept: Mutex<HashMap<String, Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    owner: Arc<Principal>,
    used: Instant,
    what: T,
}

impl<T> Handles<T> {
    /// Nothing is kept.
    pub(super) fn new(life: Duration, of_one_max: usize) -> Self {
        Self { life, of_one_max, kept: Mutex::default() }
    }

    /// Keeps something for its owner, and says the handle.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(super) fn keep(&self, owner: &Arc<Principal>, what: T) -> io::Result<String> {
        let handle = secret::random_text()?;
        let mut kept = self.kept.lock();
        kept.retain(|_, one| one.used.elapsed() < self.life);
        let of_owner = || kept.iter().filter(|(_, one)| Arc::ptr_eq(&one.owner, owner));
        if of_owner().count() >= self.of_one_max {
            let oldest = of_owner().min_by_key(|(_, one)| one.used);
            let oldest = oldest.map(|(handle, _)| handle.clone());
            oldest.and_then(|handle| kept.remove(&handle));
        }
        let one = Kept { owner: Arc::clone(owner), used: Instant::now(), what };
        kept.insert(handle.clone(), one);
        Ok(handle)
    }

    /// Uses what is kept under a handle; `None` where nothing is, or it is somebody else's.
    pub(super) fn with<R>(
        &self,
        owner: &Arc<Principal>,
        handle: &[u8],
        of: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let mut kept = self.kept.lock();
        let one = kept.get_mut(std::str::from_utf8(handle).ok()?)?;
        if !Arc::ptr_eq(&one.owner, owner) || one.used.elapsed() >= self.life {
            return None;
        }
        one.used = Instant::now();
        Some(of(&mut one.what))
    }

    /// Lets go of what is kept under a handle.
    pub(super) fn close(&self, owner: &Arc<Principal>, handle: &[u8]) -> Option<T> {
        let handle = std::str::from_utf8(handle).ok()?;
        let mut kept = self.kept.lock();
        let is_of = kept.get(handle).is_some_and(|one| Arc::ptr_eq(&one.owner, owner));
        if is_of { kept.remove(handle).map(|one| one.what) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Arc<Principal> {
        Arc::new(Principal::anyone())
    }

    #[test]
    fn a_handle_is_of_use_to_its_owner_only() {
        let handles = Handles::new(Duration::from_secs(60), 10);
        let (lin, wang) = (owner(), owner());
        let handle = handles.keep(&lin, 7).expect("random");
        assert_eq!(handles.with(&lin, handle.as_bytes(), |one| *one), Some(7));
        assert_eq!(handles.with(&wang, handle.as_bytes(), |one| *one), None);
        assert_eq!(handles.close(&wang, handle.as_bytes()), None);
        assert_eq!(handles.with(&lin, b"another", |one| *one), None);
        assert_eq!(handles.close(&lin, handle.as_bytes()), Some(7));
        assert_eq!(handles.with(&lin, handle.as_bytes(), |one| *one), None, "closed");
    }

    #[test]
    fn the_oldest_of_an_owner_goes_and_what_is_not_used_is_gone() {
        let handles = Handles::new(Duration::from_secs(60), 2);
        let (lin, wang) = (owner(), owner());
        let others = handles.keep(&wang, 0).expect("random");
        let kept: Vec<String> =
            (1..4).map(|nth| handles.keep(&lin, nth).expect("random")).collect();
        let left: Vec<_> =
            kept.iter().map(|handle| handles.with(&lin, handle.as_bytes(), |one| *one)).collect();
        assert_eq!(left, [None, Some(2), Some(3)]);
        assert_eq!(handles.with(&wang, others.as_bytes(), |one| *one), Some(0));
        let short = Handles::new(Duration::ZERO, 2);
        let handle = short.keep(&lin, 1).expect("random");
        assert_eq!(short.with(&lin, handle.as_bytes(), |one| *one), None);
    }
}
