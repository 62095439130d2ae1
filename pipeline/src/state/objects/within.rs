//! A part of a place: the objects below one folder of it, under names of their own.

use std::sync::Arc;

use super::{ObjectError, Objects, Tag};

/// The objects below a folder of another place.
#[derive(Debug)]
pub struct Within {
    inner: Arc<dyn Objects>,
    /// With `/` at its end.
    folder: String,
}

impl Within {
    /// What `inner` has below `folder`, which has `/` between its parts and none at its ends.
    #[must_use]
    pub fn new(inner: Arc<dyn Objects>, folder: &str) -> Arc<Self> {
        Arc::new(Self { inner, folder: format!("{folder}/") })
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }
}

impl Objects for Within {
    fn place(&self) -> String {
        format!("{}/{}", self.inner.place(), self.folder.trim_end_matches('/'))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ObjectError> {
        let names = self.inner.list(self.name(folder).trim_end_matches('/'))?;
        let own = |name: String| name.strip_prefix(&self.folder).map(str::to_owned);
        Ok(names.into_iter().filter_map(own).collect())
    }

    fn read_tagged(&self, name: &str) -> Result<Option<(Vec<u8>, Tag)>, ObjectError> {
        self.inner.read_tagged(&self.name(name))
    }

    fn read_range(&self, name: &str, from: u64, to: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        self.inner.read_range(&self.name(name), from, to)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        self.inner.write(&self.name(name), bytes)
    }

    fn write_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Tag>,
    ) -> Result<Option<Tag>, ObjectError> {
        self.inner.write_if(&self.name(name), bytes, was)
    }

    fn grow(&self, name: &str, at: u64, bytes: &[u8]) -> Result<bool, ObjectError> {
        self.inner.grow(&self.name(name), at, bytes)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.inner.delete(&self.name(name))
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::state::objects::{Disk, Remote};

    #[test]
    fn a_part_of_a_place_has_names_of_its_own_and_sees_nothing_of_its_neighbours() {
        let dir = tempfile::tempdir().expect("folder");
        let places: [Arc<dyn Objects>; 2] = [
            Arc::new(Disk::open(dir.path()).expect("opens")),
            Arc::new(Remote::new(Arc::new(InMemory::new()), "memory://", "").expect("opens")),
        ];
        for place in places {
            let one = Within::new(Arc::clone(&place), "partitions/orders/1");
            let ten = Within::new(Arc::clone(&place), "partitions/orders/10");
            one.write("a", b"1").expect("written");
            one.write("orders/log", b"2").expect("written");
            ten.write("a", b"10").expect("written");
            assert_eq!(one.list("").expect("lists"), ["a", "orders/log"]);
            assert_eq!(one.list("orders").expect("lists"), ["orders/log"]);
            assert_eq!(ten.list("").expect("lists"), ["a"]);
            assert_eq!(one.read("a").expect("reads").as_deref(), Some(&b"1"[..]));
            let whole = "partitions/orders/10/a";
            assert_eq!(place.read(whole).expect("reads").as_deref(), Some(&b"10"[..]));
            assert!(one.place().ends_with("partitions/orders/1"), "{}", one.place());
            one.delete("a").expect("deleted");
            assert_eq!(ten.read("a").expect("reads").as_deref(), Some(&b"10"[..]));
            assert_eq!(one.write_if("a", b"3", None).expect("asked").map(drop), Some(()));
        }
    }
}
