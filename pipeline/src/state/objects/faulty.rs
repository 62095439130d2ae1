//! A place that refuses at chosen steps, writes half, or is slow: for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{ObjectError, Objects, Tag};

/// Steps at which a place may refuse.
pub(crate) const STEPS: [&str; 6] = ["list", "read", "write", "torn", "grow", "delete"];

/// A place in front of another.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Objects>,
    refuses: Mutex<Vec<&'static str>>,
    slow_ms: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Objects>) -> Arc<Self> {
        Arc::new(Self { inner, refuses: Mutex::default(), slow_ms: AtomicU64::new(0) })
    }

    /// From now on refuses these steps; `torn` leaves half of the bytes under the name and refuses then.
    pub(crate) fn refuse(&self, steps: &[&'static str]) {
        *self.refuses.lock() = steps.to_vec();
    }

    /// From now on every write takes this long.
    pub(crate) fn slow(&self, ms: u64) {
        self.slow_ms.store(ms, Ordering::Relaxed);
    }

    fn check(&self, step: &'static str, name: &str) -> Result<(), ObjectError> {
        match self.refuses.lock().contains(&step) {
            false => Ok(()),
            true => Err(ObjectError {
                step,
                place: name.to_owned(),
                detail: "no space left on device".to_owned(),
            }),
        }
    }

    fn linger(&self) {
        std::thread::sleep(Duration::from_millis(self.slow_ms.load(Ordering::Relaxed)));
    }
}

impl Objects for Faulty {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ObjectError> {
        self.check("list", folder)?;
        self.inner.list(folder)
    }

    fn read_tagged(&self, name: &str) -> Result<Option<(Vec<u8>, Tag)>, ObjectError> {
        self.check("read", name)?;
        self.inner.read_tagged(name)
    }

    fn read_range(&self, name: &str, from: u64, to: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        self.check("read", name)?;
        self.inner.read_range(name, from, to)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        self.linger();
        self.check("write", name)?;
        if let Err(error) = self.check("torn", name) {
            self.inner.write(name, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.write(name, bytes)
    }

    fn write_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Tag>,
    ) -> Result<Option<Tag>, ObjectError> {
        self.linger();
        self.check("write", name)?;
        if let Err(error) = self.check("torn", name) {
            self.inner.write(name, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.write_if(name, bytes, was)
    }

    fn grow(&self, name: &str, at: u64, bytes: &[u8]) -> Result<bool, ObjectError> {
        self.linger();
        if let Err(error) = self.check("grow", name) {
            // As a full disk does: a part of it is there.
            self.inner.grow(name, at, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.grow(name, at, bytes)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.check("delete", name)?;
        self.inner.delete(name)
    }
}
