//! This machine: folders, room on the disk, clock, ports.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use tidemark_pipeline::ledger::LedgerKind;

use super::Finding;
use crate::clock::Clock;
use crate::config::{Config, ServerConfig};
use crate::tls::Tls;

/// How far the clock of a file system may be from this machine's, in milliseconds.
const SKEW_MS_MAX: u128 = 2_000;
/// 2020-01-01: a clock before it has never been set.
const SET_AFTER_MS: i64 = 1_577_836_800_000;
/// Bytes beside the ledgers' bounds that checkpoints, keys and the log want at least.
const ROOM_BYTES: u64 = 1_073_741_824;

/// The data folder: whether it can be written, and the room that is left for what may grow in it.
pub(super) fn folders(config: &Config) -> Vec<Finding> {
    let folder = &config.pipeline.data_dir;
    let mut found = vec![match written(folder) {
        Ok(()) => Finding::ok("data folder", format!("{} can be written", folder.display())),
        Err(error) => Finding::fail(
            "data folder",
            format!(
                "{} cannot be written: {error}; mend its rights, or name another with --data-dir",
                folder.display()
            ),
        ),
    }];
    let ledgers = u64::try_from(LedgerKind::ALL.len()).unwrap_or(u64::MAX);
    let wanted =
        config.pipeline.ledger_bytes_max.saturating_mul(ledgers).saturating_add(ROOM_BYTES);
    found.push(match free_bytes(&nearest(folder)) {
        None => Finding::warn("disk", "how much room is left is not known: `df -Pk` did not say"),
        Some(free) if free < wanted => Finding::warn(
            "disk",
            format!(
                "{} MiB are free at {}; full ledgers (pipeline.ledger-bytes-max) and what is beside them take {} MiB",
                free >> 20, folder.display(), wanted >> 20
            ),
        ),
        Some(free) => Finding::ok("disk", format!("{} MiB are free at {}", free >> 20, folder.display())),
    });
    let checkpoints = folder.join("checkpoints");
    if config.pipeline.checkpoint_store.is_empty() {
        found.push(match newest(&checkpoints) {
            None => Finding::ok("checkpoints", "there is none yet: figures begin with the log"),
            Some(age_s) => Finding::ok("checkpoints", format!("the newest is {age_s} s old")),
        });
    }
    found
}

/// Writes and removes a file, as far as the folder is there; a missing one must be possible to make.
fn written(folder: &Path) -> std::io::Result<()> {
    tempfile::NamedTempFile::new_in(nearest(folder)).map(drop)
}

/// The folder, or the first above it that exists.
fn nearest(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|folder| folder.is_dir());
    match found {
        Some(found) if !found.as_os_str().is_empty() => found.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The fourth number of the second line of `df -Pk`, which POSIX fixes, is the free room in KiB.
fn free_bytes(folder: &Path) -> Option<u64> {
    let said = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    let kib: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    kib.checked_mul(1_024)
}

/// Seconds since something in a folder was last written.
fn newest(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let changed = files.filter_map(|file| file.metadata().ok()?.modified().ok()).max()?;
    Some(changed.elapsed().map_or(0, |age| age.as_secs()))
}

/// This machine's clock, against the one that stamps files in the data folder.
pub(super) fn clock(folder: &Path) -> Finding {
    if Clock::system().now_ms() < SET_AFTER_MS {
        return Finding::fail("clock", "this machine's clock is before 2020: set it");
    }
    let stamped = tempfile::NamedTempFile::new_in(nearest(folder))
        .and_then(|file| file.as_file().metadata()?.modified());
    let skew = stamped.ok().map(|stamped| {
        let now = SystemTime::now();
        let apart = now.duration_since(stamped).or_else(|_| stamped.duration_since(now));
        apart.unwrap_or_default().as_millis()
    });
    match skew {
        Some(skew) if skew > SKEW_MS_MAX => Finding::warn(
            "clock",
            format!(
                "the disk's clock is {skew} ms from this machine's; let both follow a time server"
            ),
        ),
        _ => Finding::ok("clock", "agrees with the disk's; no time server was asked"),
    }
}

/// Whether the doors can be opened.
pub(super) fn ports(server: &ServerConfig) -> Vec<Finding> {
    let doors = [
        ("server.listen", Some(server.listen)),
        ("server.postgres", server.postgres),
        ("server.flight", server.flight),
    ];
    let asked = doors.into_iter().filter_map(|(key, address)| Some((key, address?)));
    asked.map(|(key, address)| port(key, address)).collect()
}

/// Whether TLS can be set up, where it is wanted.
pub(super) fn tls(server: &ServerConfig) -> Option<Finding> {
    let files = server.tls.as_ref()?;
    Some(match Tls::open(files) {
        Ok(_) => Finding::ok("tls", format!("{} and its key fit", files.certificate.display())),
        Err(error) => Finding::fail("tls", error.to_string()),
    })
}

fn port(key: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok("port", format!("{key} {address} is free")),
        Err(error) => Finding::fail(
            "port",
            format!(
                "{key} {address} cannot be opened: {error}; stop what has it, or name another address"
            ),
        ),
    }
}
