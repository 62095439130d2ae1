//! Objects as files of a local folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::{ObjectError, Objects, Tag};
use crate::fail_points;

/// What is being written has this extension, and counts as absent.
const ASIDE: &str = "partial";
/// Held while a conditional write compares and writes; also by other processes.
const LOCK: &str = ".lock";

/// Objects as files of a local folder.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// The objects in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, ObjectError> {
        fs::create_dir_all(dir).map_err(|error| failed("create", dir, &error))?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path of an object that is about to be written, with its folder there.
    fn path_to_write(&self, name: &str) -> Result<PathBuf, ObjectError> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.dir);
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(|error| failed("create", folder, &error))?;
            let above = folder.parent().unwrap_or(folder);
            sync_folder(above).map_err(|error| failed("sync", above, &error))?;
        }
        Ok(path)
    }

    fn list_into(&self, folder: &str, names: &mut Vec<String>) -> Result<(), ObjectError> {
        let dir = if folder.is_empty() { self.dir.clone() } else { self.path(folder) };
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("list", &dir, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", &dir, &error))?;
            let Ok(own) = entry.file_name().into_string() else { continue };
            let name = if folder.is_empty() { own.clone() } else { format!("{folder}/{own}") };
            if entry.path().is_dir() {
                self.list_into(&name, names)?;
            } else if own != LOCK
                && entry.path().extension().is_none_or(|extension| extension != ASIDE)
            {
                names.push(name);
            }
        }
        Ok(())
    }
}

impl Objects for Disk {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ObjectError> {
        let mut names = Vec::new();
        self.list_into(folder, &mut names)?;
        names.sort_unstable();
        Ok(names)
    }

    fn read_tagged(&self, name: &str) -> Result<Option<(Vec<u8>, Tag)>, ObjectError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => {
                let tag = tag_of(&bytes);
                Ok(Some((bytes, tag)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn read_range(&self, name: &str, from: u64, to: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        let path = self.path(name);
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        let path = self.path_to_write(name)?;
        let aside = path.with_added_extension(ASIDE);
        let written = write_aside(&aside, bytes);
        if written.is_err() {
            // On a full disk it would be in the way of the next one; that it cannot be removed says nothing new.
            let _gone = fs::remove_file(&aside);
        }
        written?;
        fail_points::hit("checkpoint-rename");
        fs::rename(&aside, &path).map_err(|error| failed("rename", &aside, &error))?;
        fail_points::hit("checkpoint-renamed");
        let folder = path.parent().unwrap_or(&self.dir);
        sync_folder(folder).map_err(|error| failed("sync", folder, &error))
    }

    fn write_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Tag>,
    ) -> Result<Option<Tag>, ObjectError> {
        let lock = self.dir.join(LOCK);
        let held = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let held = held.map_err(|error| failed("lock", &lock, &error))?;
        let now = self.read_tagged(name)?.map(|(_, tag)| tag);
        let written = match now.as_ref() == was {
            true => self.write(name, bytes).map(|()| Some(tag_of(bytes))),
            false => Ok(None),
        };
        drop(held);
        written
    }

    fn grow(&self, name: &str, at: u64, bytes: &[u8]) -> Result<bool, ObjectError> {
        let path = self.path_to_write(name)?;
        let is_new = !path.exists();
        let options = || OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let mut file = options().map_err(|error| failed("create", &path, &error))?;
        let mut write = || -> io::Result<()> {
            // What an interrupted run wrote after its last checkpoint is written over.
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write().map_err(|error| failed("write", &path, &error))?;
        file.sync_data().map_err(|error| failed("sync", &path, &error))?;
        if is_new {
            let folder = path.parent().unwrap_or(&self.dir);
            sync_folder(folder).map_err(|error| failed("sync", folder, &error))?;
        }
        Ok(true)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("delete", &path, &error))
            }
            _ => Ok(()),
        }
    }
}

fn write_aside(aside: &Path, bytes: &[u8]) -> Result<(), ObjectError> {
    let mut file = File::create(aside).map_err(|error| failed("create", aside, &error))?;
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let refused = |error: io::Error| failed("write", aside, &error);
    file.write_all(front).map_err(refused)?;
    // Half of it is there when a test ends the process here.
    fail_points::hit("checkpoint-write");
    file.write_all(back).map_err(refused)?;
    file.sync_all().map_err(|error| failed("sync", aside, &error))
}

/// Of the contents: whoever writes conditionally puts something into them that never comes again.
fn tag_of(bytes: &[u8]) -> Tag {
    Tag(format!("{:032x}", xxh3_128(bytes)))
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn failed(step: &'static str, path: &Path, error: &io::Error) -> ObjectError {
    ObjectError { step, place: path.display().to_string(), detail: error.to_string() }
}
