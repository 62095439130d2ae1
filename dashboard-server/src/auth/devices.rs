//! Paired devices: walls that stay in by a cookie of their own, without a person who logs in.
//!
//! They are in `data-dir/devices.json`, a device with the SHA-256 of its token; the token itself is in the
//! wall's cookie and nowhere else. A device is a viewer of the screens it was paired for.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::policy::{Principal, Role, Views};
use super::secret::{Fingerprint, fingerprint, random_bytes, random_text};
use super::stay::{Stay, Tether};
use crate::clock::Clock;

/// Devices at one time; past it none is paired until one is revoked.
const DEVICES_MAX: usize = 1_000;
/// Longest name of a device, in characters.
const NAME_CHARS_MAX: usize = 60;
/// Form of the file.
const FORMAT: u32 = 1;

/// What was said of a device when it was paired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its name among devices, made here.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Screens it shows; all when not given.
    pub screens: Option<Vec<String>>,
    /// Who approved it.
    pub paired_by: String,
    /// When, epoch milliseconds.
    pub paired_at_ms: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    devices: Vec<WrittenDevice>,
}

#[derive(Clone, Serialize, Deserialize)]
struct WrittenDevice {
    #[serde(flatten)]
    device: Device,
    /// SHA-256 of its token, in base64.
    token: String,
}

/// Why the devices cannot be read or written, or another one not be paired.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// The file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is not one of ours.
    #[error("{}: {reason}; mend it, or move it away and pair the walls again", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There are as many as there may be.
    #[error("there are {DEVICES_MAX} devices already; revoke one that is no longer there")]
    Full,
    /// No name.
    #[error("a device's name is 1 to {NAME_CHARS_MAX} characters")]
    Name,
}

#[derive(Debug)]
struct Paired {
    device: Device,
    principal: Arc<Principal>,
    tether: Tether,
    /// When its cookie was last shown in this life of the server, epoch milliseconds.
    seen_at_ms: Option<i64>,
}

/// The devices, by the fingerprint of each token.
#[derive(Debug)]
pub struct Devices {
    file: PathBuf,
    clock: Clock,
    paired: Mutex<HashMap<Fingerprint, Paired>>,
}

impl Devices {
    /// Reads those of a data folder.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(data_dir: &Path, clock: Clock) -> Result<Self, DevicesError> {
        let file = data_dir.join("devices.json");
        let paired = match std::fs::read(&file) {
            Ok(bytes) => {
                read(&bytes).map_err(|reason| DevicesError::Form { file: file.clone(), reason })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HashMap::new(),
            Err(source) => return Err(DevicesError::File { file, source }),
        };
        Ok(Self { file, clock, paired: Mutex::new(paired) })
    }

    /// Whether a device may have this name.
    ///
    /// # Errors
    /// When it may not.
    pub fn check_name(name: &str) -> Result<(), DevicesError> {
        let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
        let plain = !name.chars().any(char::is_control);
        if fits && plain { Ok(()) } else { Err(DevicesError::Name) }
    }

    /// A name among devices for a new one.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn new_id() -> std::io::Result<String> {
        Ok(random_bytes::<5>()?.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Adds a device; its token, of which only the fingerprint is kept. Blocks until it is on disk.
    ///
    /// # Errors
    /// When there are too many, or the file cannot be written; then it is not added.
    pub fn add(&self, device: Device) -> Result<String, DevicesError> {
        let file_error = |source| DevicesError::File { file: self.file.clone(), source };
        let token = random_text().map_err(file_error)?;
        let mut paired = self.paired.lock();
        if paired.len() >= DEVICES_MAX {
            return Err(DevicesError::Full);
        }
        let key = fingerprint(&token);
        paired.insert(key, Paired::new(device));
        if let Err(error) = self.write(&paired) {
            paired.remove(&key);
            return Err(file_error(error));
        }
        Ok(token)
    }

    /// Takes a device out; what it shows is closed at once. `None` when there is none of this id. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written; it is out until the next start then.
    pub fn revoke(&self, id: &str) -> Result<Option<Device>, DevicesError> {
        let mut paired = self.paired.lock();
        let Some(key) = paired.iter().find(|(_, it)| it.device.id == id).map(|(key, _)| *key)
        else {
            return Ok(None);
        };
        let gone = paired.remove(&key);
        self.write(&paired)
            .map_err(|source| DevicesError::File { file: self.file.clone(), source })?;
        Ok(gone.map(|gone| gone.device))
    }

    /// Whose token it is, and until when it may stay.
    #[must_use]
    pub fn of(&self, token: &str) -> Option<(Arc<Principal>, Stay)> {
        let mut paired = self.paired.lock();
        let found = paired.get_mut(&fingerprint(token))?;
        found.seen_at_ms = Some(self.clock.now_ms());
        Some((Arc::clone(&found.principal), found.tether.stay()))
    }

    /// All of them with when each was last seen in this life of the server, in the order they were paired.
    #[must_use]
    pub fn all(&self) -> Vec<(Device, Option<i64>)> {
        let paired = self.paired.lock();
        let mut all: Vec<_> =
            paired.values().map(|it| (it.device.clone(), it.seen_at_ms)).collect();
        all.sort_by(|(a, _), (b, _)| (a.paired_at_ms, &a.id).cmp(&(b.paired_at_ms, &b.id)));
        all
    }

    /// Beside the file first, so that a crash leaves the old one whole.
    fn write(&self, paired: &HashMap<Fingerprint, Paired>) -> std::io::Result<()> {
        let mut devices: Vec<WrittenDevice> = paired
            .iter()
            .map(|(key, it)| WrittenDevice {
                device: it.device.clone(),
                token: URL_SAFE_NO_PAD.encode(key),
            })
            .collect();
        devices.sort_by(|a, b| a.device.id.cmp(&b.device.id));
        let text = serde_json::to_vec_pretty(&Written { format: FORMAT, devices })?;
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let beside = self.file.with_extension("json.new");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.file)?;
        std::fs::File::open(folder)?.sync_all()
    }
}

impl Paired {
    fn new(device: Device) -> Self {
        // Which views its screens need is known only where the screens are.
        let views = device.screens.as_ref().map_or(Views::All, |_| Views::Only(Vec::new()));
        let principal = Principal {
            name: device.name.clone(),
            role: Role::Viewer,
            views,
            screens: device.screens.clone(),
            is_device: true,
        };
        let (principal, tether) = (Arc::new(principal), Tether::default());
        Self { device, principal, tether, seen_at_ms: None }
    }
}

fn read(bytes: &[u8]) -> Result<HashMap<Fingerprint, Paired>, String> {
    let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if written.format != FORMAT {
        return Err(format!("has the format {}, and this version reads {FORMAT}", written.format));
    }
    let paired = written.devices.into_iter().map(|WrittenDevice { device, token }| {
        let key = URL_SAFE_NO_PAD.decode(&token).ok().and_then(|bytes| bytes.try_into().ok());
        let key: Fingerprint =
            key.ok_or_else(|| format!("device {}: `token` is no fingerprint", device.id))?;
        Ok((key, Paired::new(device)))
    });
    paired.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str) -> Device {
        Device {
            id: id.to_owned(),
            name: "大厅 wall".to_owned(),
            screens: Some(vec!["overview".to_owned()]),
            paired_by: "lin".to_owned(),
            paired_at_ms: 1,
        }
    }

    #[test]
    fn a_device_stays_over_a_restart_until_it_is_revoked_and_its_token_is_kept_nowhere() {
        let folder = tempfile::tempdir().expect("folder");
        let open = || Devices::open(folder.path(), Clock::from_fn(|| 7)).expect("opens");
        let devices = open();
        let token = devices.add(device("a")).expect("paired");
        let text = std::fs::read_to_string(folder.path().join("devices.json")).expect("written");
        assert!(text.contains("大厅 wall") && !text.contains(&token), "{text}");
        let again = open();
        assert_eq!(again.all(), [(device("a"), None)]);
        let (principal, stay) = again.of(&token).expect("is known");
        assert_eq!(
            (principal.role, principal.screens.as_deref()),
            (Role::Viewer, Some(&["overview".to_owned()][..]))
        );
        assert_eq!(again.all()[0].1, Some(7));
        assert!(again.of("guess").is_none() && !stay.is_over());
        assert_eq!(again.revoke("b").expect("reads"), None);
        assert_eq!(again.revoke("a").expect("written"), Some(device("a")));
        assert!(stay.is_over() && again.of(&token).is_none() && open().of(&token).is_none());
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused_with_its_place() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("devices.json");
        for (text, reason) in [
            ("{\"format\": 2, \"devices\": []}", "has the format 2"),
            ("{\"format\": 1, \"devices\": [{}]}", "missing field"),
            ("", "EOF"),
        ] {
            std::fs::write(&file, text).expect("written");
            let error = Devices::open(folder.path(), Clock::from_fn(|| 0)).expect_err("wrong");
            let told = error.to_string();
            assert!(told.contains(reason) && told.contains("devices.json"), "{told}");
        }
    }

    #[test]
    fn names_of_devices_are_short_and_have_no_control_characters() {
        assert!(Devices::check_name("大厅 wall 1").is_ok());
        for name in ["", "a\nb", &"x".repeat(61)] {
            assert!(Devices::check_name(name).is_err(), "{name:?}");
        }
    }
}
