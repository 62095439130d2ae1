//! Pairing a wall: it shows six digits, someone who may says them back, and the wall is a device.
//!
//! ```text
//! wall      begin ─▶ code 123 456, secret ─▶ claim(secret), again and again ─▶ grant
//! approver                       approve(code) ─┘
//! ```
//! The code is only good for approving, which needs a right; what gets the grant is the secret, 256 bits that
//! never leave the wall. Codes live five minutes; wrong ones and new ones are counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::attempts::{Attempts, Rate, place};
use super::devices::Device;
use super::secret::{Fingerprint, fingerprint, random_bytes, random_text};
use crate::clock::Clock;

/// How long a code is good for.
pub const CODE_MS: i64 = 300_000;
/// Walls that wait at one time, so that a guess hits one in ten thousand at the most. When all places are taken, one that
/// comes takes that of the place from which most are waiting.
const WAITING_MAX: usize = 100;
/// Walls that wait from one place: as many as it may begin at once.
const WAITING_OF_PLACE_MAX: usize = 30;
/// Codes from one place: a hall of walls may begin at once, and each needs one every five minutes.
const BEGINS: Rate = Rate { burst: 30, every: Duration::from_secs(10) };
/// Wrong codes of one approver.
const WRONG_CODES: Rate = Rate { burst: 5, every: Duration::from_secs(30) };
const CODES: u32 = 1_000_000;

/// What a wall shows and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Six digits.
    pub code: String,
    /// Shown to claim what was granted.
    pub secret: String,
}

/// Why a pairing does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// Too many codes or guesses.
    #[error("too many tries; again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// No wall shows this code.
    #[error("no wall shows this code; codes live five minutes, and one that was used is gone")]
    NoSuchCode,
    /// The system has no random bytes to give.
    #[error("no code can be made right now")]
    NoCode,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has approved it yet.
    Waiting,
    /// Approved as this device.
    Granted(Device),
    /// Too old, claimed already, or never there.
    Gone,
}

/// A wall that waits, as an approver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingWall {
    /// Where it asks from.
    pub address: IpAddr,
    /// When its code ends, epoch milliseconds.
    pub until_ms: i64,
}

#[derive(Debug)]
struct Waiting {
    code: String,
    until_ms: i64,
    address: IpAddr,
    granted: Option<Device>,
}

/// The walls that wait, by the fingerprint of each secret.
#[derive(Debug)]
pub struct Pairing {
    clock: Clock,
    waiting: Mutex<HashMap<Fingerprint, Waiting>>,
    begins: Attempts<IpAddr>,
    wrong: Attempts<String>,
}

impl Pairing {
    /// No wall waits.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let begins = Attempts::new(clock.clone(), BEGINS);
        let wrong = Attempts::new(clock.clone(), WRONG_CODES);
        Self { clock, waiting: Mutex::default(), begins, wrong }
    }

    /// A code for a wall at an address.
    ///
    /// # Errors
    /// When there are too many.
    pub fn begin(&self, address: IpAddr) -> Result<Begun, PairingError> {
        self.begins.take(&place(address)).map_err(PairingError::TooMany)?;
        let now = self.clock.now_ms();
        let secret = random_text().map_err(|_| PairingError::NoCode)?;
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, wall| wall.until_ms > now);
        make_room(&mut waiting, place(address), now)?;
        let mut code = new_code()?;
        while waiting.values().any(|wall| wall.code == code) {
            code = new_code()?;
        }
        let until_ms = now.saturating_add(CODE_MS);
        let wall = Waiting { code: code.clone(), until_ms, address, granted: None };
        waiting.insert(fingerprint(&secret), wall);
        Ok(Begun { code, secret })
    }

    /// Grants the wall that shows a code what a device is; where it asks from.
    ///
    /// # Errors
    /// When none shows it, or the approver was wrong too often.
    pub fn approve(&self, code: &str, device: Device) -> Result<IpAddr, PairingError> {
        let approver = device.paired_by.clone();
        self.wrong.take(&approver).map_err(PairingError::TooMany)?;
        let now = self.clock.now_ms();
        let digits: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
        let mut waiting = self.waiting.lock();
        let wall = waiting
            .values_mut()
            .find(|wall| wall.until_ms > now && wall.granted.is_none() && wall.code == digits)
            .ok_or(PairingError::NoSuchCode)?;
        wall.granted = Some(device);
        self.wrong.give_back(&approver);
        Ok(wall.address)
    }

    /// What became of the wall with this secret. A grant is given once.
    pub fn claim(&self, secret: &str) -> Claim {
        let now = self.clock.now_ms();
        let key = fingerprint(secret);
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, wall| wall.until_ms > now);
        match waiting.get(&key) {
            None => Claim::Gone,
            Some(Waiting { granted: None, .. }) => Claim::Waiting,
            Some(_) => match waiting.remove(&key).and_then(|wall| wall.granted) {
                Some(device) => Claim::Granted(device),
                None => Claim::Gone,
            },
        }
    }

    /// The walls that nobody has approved yet, those that wait longest first. Without their codes: those are
    /// read off the wall.
    #[must_use]
    pub fn waiting(&self) -> Vec<WaitingWall> {
        let now = self.clock.now_ms();
        let waiting = self.waiting.lock();
        let open = waiting.values().filter(|wall| wall.until_ms > now && wall.granted.is_none());
        let mut open: Vec<WaitingWall> = open
            .map(|wall| WaitingWall { address: wall.address, until_ms: wall.until_ms })
            .collect();
        open.sort_by_key(|wall| (wall.until_ms, wall.address));
        open
    }
}

/// Sees to it that one more wall from `from` may wait. What was granted waits to be claimed and stays.
fn make_room(
    waiting: &mut HashMap<Fingerprint, Waiting>,
    from: IpAddr,
    now: i64,
) -> Result<(), PairingError> {
    let mut places: HashMap<IpAddr, usize> = HashMap::new();
    for wall in waiting.values() {
        *places.entry(place(wall.address)).or_default() += 1;
    }
    let own = places.get(&from).copied().unwrap_or(0);
    let first_of = |of: Option<IpAddr>| {
        let walls =
            waiting.iter().filter(|(_, wall)| of.is_none_or(|of| place(wall.address) == of));
        walls.min_by_key(|(_, wall)| wall.until_ms)
    };
    let too_many = |of: Option<IpAddr>| {
        let until = first_of(of).map_or(now, |(_, wall)| wall.until_ms);
        let wait = u64::try_from(until.saturating_sub(now)).unwrap_or(0);
        PairingError::TooMany(Duration::from_millis(wait))
    };
    if own >= WAITING_OF_PLACE_MAX {
        return Err(too_many(Some(from)));
    }
    if waiting.len() < WAITING_MAX {
        return Ok(());
    }
    let fullest = places.into_iter().max_by_key(|(_, walls)| *walls);
    let (fullest, _) =
        fullest.filter(|(_, walls)| *walls > own + 1).ok_or_else(|| too_many(None))?;
    let open =
        waiting.iter().filter(|(_, wall)| wall.granted.is_none() && place(wall.address) == fullest);
    let oldest = open.min_by_key(|(_, wall)| wall.until_ms).map(|(secret, _)| *secret);
    match oldest {
        Some(oldest) => drop(waiting.remove(&oldest)),
        None => return Err(too_many(None)),
    }
    Ok(())
}

/// Six digits, each number as likely as any other.
fn new_code() -> Result<String, PairingError> {
    const FAIR: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let number =
            random_bytes::<4>().map(u32::from_be_bytes).map_err(|_| PairingError::NoCode)?;
        if number < FAIR {
            return Ok(format!("{:06}", number % CODES));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    const WALL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn pairing() -> (Pairing, Arc<AtomicI64>) {
        let now = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&now);
        (Pairing::new(Clock::from_fn(move || shown.load(Ordering::Relaxed))), now)
    }

    fn device() -> Device {
        Device {
            id: "a".to_owned(),
            name: "hall".to_owned(),
            screens: None,
            paired_by: "lin".to_owned(),
            paired_at_ms: 0,
        }
    }

    #[test]
    fn a_wall_gets_its_grant_once_and_only_with_its_secret() {
        let (pairing, _) = pairing();
        let begun = pairing.begin(WALL).expect("begins");
        assert!(begun.code.len() == 6 && begun.code.bytes().all(|digit| digit.is_ascii_digit()));
        assert_eq!(pairing.claim(&begun.secret), Claim::Waiting);
        assert_eq!(pairing.waiting().len(), 1);
        let spaced = format!("{} {}", &begun.code[..3], &begun.code[3..]);
        assert_eq!(pairing.approve(&spaced, device()), Ok(WALL));
        assert_eq!(pairing.approve(&begun.code, device()), Err(PairingError::NoSuchCode));
        assert!(pairing.waiting().is_empty());
        assert_eq!(pairing.claim(&begun.code), Claim::Gone, "the code is not the secret");
        assert_eq!(pairing.claim(&begun.secret), Claim::Granted(device()));
        assert_eq!(pairing.claim(&begun.secret), Claim::Gone);
    }

    #[test]
    fn a_code_ends_after_five_minutes() {
        let (pairing, now) = pairing();
        let begun = pairing.begin(WALL).expect("begins");
        now.store(CODE_MS, Ordering::Relaxed);
        assert_eq!(pairing.approve(&begun.code, device()), Err(PairingError::NoSuchCode));
        assert_eq!(pairing.claim(&begun.secret), Claim::Gone);
    }

    #[test]
    fn no_place_keeps_the_walls_of_others_from_waiting() {
        let (pairing, now) = pairing();
        let stranger = |nth: u8| IpAddr::V4(Ipv4Addr::new(203, 0, 113, nth));
        let mut begun = 0;
        // Four strangers, each as often as it may until the first codes end.
        for second in (0..CODE_MS / 1_000).step_by(10) {
            now.store(second * 1_000, Ordering::Relaxed);
            for nth in 0..4 {
                while pairing.begin(stranger(nth)).is_ok() {
                    begun += 1;
                }
            }
        }
        assert!(begun >= WAITING_MAX, "{begun}");
        assert_eq!(pairing.waiting().len(), WAITING_MAX);
        let of = |address: IpAddr| {
            pairing.waiting().iter().filter(|wall| wall.address == address).count()
        };
        assert!((0..4).all(|nth| of(stranger(nth)) <= WAITING_OF_PLACE_MAX));
        let walls: Vec<Begun> = (0..10).filter_map(|_| pairing.begin(WALL).ok()).collect();
        assert_eq!(walls.len(), 10, "a hall of walls pairs all the same");
        assert!(walls.iter().all(|wall| pairing.claim(&wall.secret) == Claim::Waiting));
        assert_eq!(pairing.waiting().len(), WAITING_MAX);
    }

    #[test]
    fn codes_are_not_guessed_and_not_begun_without_end() {
        let (pairing, _) = pairing();
        let begun = pairing.begin(WALL).expect("begins");
        let wrong = if begun.code == "000000" { "000001" } else { "000000" };
        for _ in 0..WRONG_CODES.burst {
            assert_eq!(pairing.approve(wrong, device()), Err(PairingError::NoSuchCode));
        }
        let refused = pairing.approve(&begun.code, device());
        assert_eq!(refused, Err(PairingError::TooMany(WRONG_CODES.every)), "even the right one");
        for _ in 1..BEGINS.burst {
            assert!(pairing.begin(WALL).is_ok());
        }
        assert!(pairing.begin(WALL).is_err());
        for last in 0..=255 {
            let _full = pairing.begin(IpAddr::V4(Ipv4Addr::new(10, 0, 1, last)));
        }
        assert_eq!(pairing.waiting().len(), WAITING_MAX);
    }
}
