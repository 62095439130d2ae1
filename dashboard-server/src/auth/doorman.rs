//! Knows users by their keys.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::attempts::{Attempts, Rate, place};
use super::policy::{Principal, Role, Views};
use super::scram::Verifier;
use super::secret;
use super::stay::{Admitted, Tether};
use crate::clock::Clock;
use crate::config::{TokenHash, User};

/// Keys that are checked at one time: each takes tens of milliseconds of a core and 19 MiB.
const CHECKS_MAX: usize = 2;
/// Keys that wait for their check; another one is told to come back. Three seconds' worth.
const WAITING_MAX: usize = 64;
/// Keys remembered by their SHA-256, so that a program that asks often is checked once; past it all are
/// forgotten and checked anew. A user has one key.
const REMEMBERED_MAX: usize = 10_000;
/// Wrong keys from one place: room for a person who mistypes, 600 guesses an hour for everyone else.
const BY_PLACE: Rate = Rate { burst: 10, every: Duration::from_secs(6) };
/// Wrong keys of one name, from wherever: many places guess no faster than this. Higher than the other,
/// so that a stranger does not easily keep a user out.
const BY_NAME: Rate = Rate { burst: 100, every: Duration::from_secs(6) };

/// Why someone is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No key, or nobody's.
    Unknown,
    /// Too many wrong keys came before it, or too many wait to be checked; again after this time.
    TooMany(Duration),
}

/// Users that a reload added, changed and removed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Renewed {
    /// Those that were not there.
    pub added: Vec<String>,
    /// Those with another key, role or views, or whose role is shown something else: what they had open is closed.
    pub changed: Vec<String>,
    /// Those that are gone: what they had open is closed.
    pub removed: Vec<String>,
}

/// A user as the configuration knows it.
#[derive(Debug)]
struct Known {
    user: User,
    principal: Arc<Principal>,
    tether: Tether,
}

/// All that the configuration says, replaced whole when it is read again.
#[derive(Debug)]
struct Book {
    users: BTreeMap<String, Arc<Known>>,
    tokens: Vec<TokenHash>,
    /// Whoever shows one of the tokens; while there is neither user nor token, whoever comes.
    nameless: Arc<Known>,
    /// Who showed a right key, by its SHA-256.
    remembered: Mutex<HashMap<[u8; 32], Arc<Known>>>,
}

/// Checks keys against the configuration.
#[derive(Debug)]
pub struct Doorman {
    book: RwLock<Arc<Book>>,
    turns: Semaphore,
    waiting: Semaphore,
    /// Hash of no key, so that an unknown name takes as long as a wrong key.
    nobody: String,
    /// From which the verifier of an unknown name is made, the same each time it is asked for.
    mock: [u8; 32],
    by_place: Attempts<IpAddr>,
    by_name: Attempts<String>,
}

impl Known {
    fn new(user: User) -> Arc<Self> {
        let (name, views) = (user.name.clone(), user.views.clone());
        let principal =
            Arc::new(Principal { name, role: user.role, views, screens: None, is_device: false });
        Arc::new(Self { user, principal, tether: Tether::default() })
    }

    /// An admin without a key of its own.
    fn nameless(name: &str) -> Arc<Self> {
        let (name, key_hash) = (name.to_owned(), String::new());
        let shown = String::new();
        Self::new(User { name, role: Role::Admin, views: Views::All, key_hash, scram: None, shown })
    }

    fn admitted(&self) -> Admitted {
        Admitted { principal: Arc::clone(&self.principal), stay: self.tether.stay() }
    }
}

impl Book {
    fn new(users: &[User], tokens: &[TokenHash], before: Option<&Self>) -> Self {
        let same = |user: &User| {
            let known = before?.users.get(&user.name)?;
            (known.user == *user).then(|| Arc::clone(known))
        };
        let known = |user: &User| same(user).unwrap_or_else(|| Known::new(user.clone()));
        let users: BTreeMap<_, _> =
            users.iter().map(|user| (user.name.clone(), known(user))).collect();
        let open = users.is_empty() && tokens.is_empty();
        let nameless = before
            .filter(|before| before.tokens == tokens && before.is_open() == open)
            .map(|before| Arc::clone(&before.nameless));
        let nameless = nameless.unwrap_or_else(|| Known::nameless(if open { "" } else { "token" }));
        Self { users, tokens: tokens.to_vec(), nameless, remembered: Mutex::default() }
    }

    fn is_open(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    fn has_token(&self, shown: &[u8; 32]) -> bool {
        self.tokens.iter().fold(false, |found, known| found | same_bytes(shown, &known.0))
    }
}

impl Doorman {
    /// The users and the older tokens of the configuration.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn new(users: &[User], tokens: &[TokenHash], clock: Clock) -> std::io::Result<Self> {
        Ok(Self {
            book: RwLock::new(Arc::new(Book::new(users, tokens, None))),
            turns: Semaphore::new(CHECKS_MAX),
            waiting: Semaphore::new(WAITING_MAX),
            nobody: secret::hashed("nobody").map_err(std::io::Error::other)?,
            mock: secret::random_bytes()?,
            by_place: Attempts::new(clock.clone(), BY_PLACE),
            by_name: Attempts::new(clock, BY_NAME),
        })
    }

    /// Takes other users and tokens. Who is no longer there, or no longer the same, has to go.
    pub fn renew(&self, users: &[User], tokens: &[TokenHash]) -> Renewed {
        let mut book = self.book.write();
        let new = Book::new(users, tokens, Some(&book));
        let mut renewed = Renewed::default();
        for (name, known) in &new.users {
            match book.users.get(name) {
                None => renewed.added.push(name.clone()),
                Some(old) if !Arc::ptr_eq(old, known) => renewed.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = book.users.keys().filter(|name| !new.users.contains_key(*name));
        renewed.removed.extend(gone.cloned());
        *book = Arc::new(new);
        renewed
    }

    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read())
    }

    /// Whoever comes, where nobody has to show a key.
    #[must_use]
    pub fn anyone(&self) -> Option<Admitted> {
        let book = self.book();
        book.is_open().then(|| book.nameless.admitted())
    }

    /// Whether it is still known as it was when it was let in.
    #[must_use]
    pub fn still_knows(&self, principal: &Arc<Principal>) -> bool {
        let book = self.book();
        let of_name = book.users.get(&principal.name);
        let mut all = of_name.into_iter().chain([&book.nameless]);
        all.any(|known| Arc::ptr_eq(&known.principal, principal))
    }

    /// How a name proves its key at the PostgreSQL door without showing it; `None` where it has to show
    /// it, because all the configuration has is a hash. An unknown name is answered as a known one is,
    /// with a verifier that no key fits, and with `None` for who it is.
    #[must_use]
    pub fn prover(&self, name: &str) -> Option<(Verifier, Option<Admitted>)> {
        let book = self.book();
        if let Some(known) = book.users.get(name) {
            return Some((known.user.scram.clone()?, Some(known.admitted())));
        }
        let all_prove =
            book.tokens.is_empty() && book.users.values().all(|it| it.user.scram.is_some());
        all_prove.then(|| (Verifier::mock(&self.mock, name), None))
    }

    /// Takes an attempt of a place and a name, before it is known whether it is right.
    ///
    /// # Errors
    /// When none is left.
    pub fn attempt(&self, from: IpAddr, name: &str) -> Result<Attempt<'_>, Refusal> {
        let (from, name) = (place(from), named(name));
        self.by_place.take(&from).map_err(Refusal::TooMany)?;
        if let Err(wait) = self.by_name.take(&name) {
            self.by_place.give_back(&from);
            return Err(Refusal::TooMany(wait));
        }
        Ok(Attempt { doorman: self, from, name })
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// When it is nobody's, or there have been too many of those.
    pub async fn who(&self, key: &str, from: IpAddr) -> Result<Admitted, Refusal> {
        let book = self.book();
        let shown: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        if let Some(known) = book.remembered.lock().get(&shown) {
            return Ok(known.admitted());
        }
        let name = key.split_once('.').map_or("", |(name, _)| name);
        let attempt = self.attempt(from, name)?;
        if book.has_token(&shown) {
            attempt.does_not_count();
            return Ok(book.nameless.admitted());
        }
        let known = book.users.get(name);
        let hash = known.map_or(&self.nobody, |known| &known.user.key_hash);
        let is_right = match self.is_of(hash.clone(), key.to_owned()).await {
            Ok(is_right) => is_right && known.is_some(),
            Err(busy) => {
                attempt.does_not_count();
                return Err(busy);
            }
        };
        let known = known.filter(|_| is_right).ok_or(Refusal::Unknown)?;
        attempt.does_not_count();
        let mut remembered = book.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(shown, Arc::clone(known));
        Ok(known.admitted())
    }

    async fn is_of(&self, hash: String, key: String) -> Result<bool, Refusal> {
        let busy = Refusal::TooMany(Duration::from_secs(1));
        let _waiting = self.waiting.try_acquire().map_err(|_| busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| busy)?;
        let checking = tokio::task::spawn_blocking(move || secret::is_of(&hash, &key));
        Ok(checking.await.unwrap_or(false))
    }
}

/// An attempt that was taken; it counts as a wrong one unless it is said that it does not.
#[derive(Debug)]
pub struct Attempt<'a> {
    doorman: &'a Doorman,
    from: IpAddr,
    name: String,
}

impl Attempt<'_> {
    /// It was right, or nobody looked.
    pub fn does_not_count(self) {
        self.doorman.by_place.give_back(&self.from);
        self.doorman.by_name.give_back(&self.name);
    }
}

/// Names that cannot be one count as one, so that nobody fills the memory with them.
fn named(name: &str) -> String {
    if secret::is_name(name) { name.to_owned() } else { String::new() }
}

/// Takes the same time wherever they differ.
fn same_bytes(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn user(name: &str) -> User {
        let key_hash = secret::hashed(&format!("{name}.sesame")).expect("hashed");
        let (name, views) = (name.to_owned(), Views::Only(vec!["gmv_day".to_owned()]));
        let shown = String::new();
        User { name, role: Role::Viewer, views, key_hash, scram: None, shown }
    }

    fn doorman(users: &[User], tokens: &[TokenHash]) -> Doorman {
        Doorman::new(users, tokens, Clock::from_fn(|| 0)).expect("random")
    }

    #[tokio::test]
    async fn a_user_is_known_by_the_whole_key_and_an_older_token_is_an_admin() {
        let doorman = doorman(&[user("lin")], &[TokenHash(Sha256::digest(b"older").into())]);
        for _ in 0..2 {
            let lin = doorman.who("lin.sesame", HERE).await.expect("known").principal;
            assert_eq!((lin.name.as_str(), lin.role), ("lin", Role::Viewer));
        }
        for wrong in ["lin.sesam", "sesame", "wang.sesame", ".sesame", "lin.", "nobody"] {
            assert_eq!(doorman.who(wrong, HERE).await.err(), Some(Refusal::Unknown), "{wrong}");
        }
        let older = doorman.who("older", HERE).await.expect("known").principal;
        assert_eq!(older.role, Role::Admin);
        assert!(doorman.anyone().is_none());
    }

    #[tokio::test]
    async fn after_too_many_wrong_keys_a_place_waits_and_a_known_key_does_not() {
        let doorman = doorman(&[user("lin")], &[]);
        assert!(doorman.who("lin.sesame", HERE).await.is_ok());
        for nth in 0..BY_PLACE.burst {
            let wrong = doorman.who(&format!("lin.{nth}"), HERE).await;
            assert_eq!(wrong.err(), Some(Refusal::Unknown));
        }
        let wait = Refusal::TooMany(BY_PLACE.every);
        assert_eq!(doorman.who("lin.guess", HERE).await.err(), Some(wait));
        let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(doorman.who("lin.guess", elsewhere).await.err(), Some(Refusal::Unknown));
        assert!(doorman.who("lin.sesame", HERE).await.is_ok(), "was right before");
    }

    #[tokio::test]
    async fn who_is_taken_out_or_changed_has_to_go_and_who_stayed_the_same_stays() {
        let (lin, wang, zhao) = (user("lin"), user("wang"), user("zhao"));
        let doorman = doorman(&[lin.clone(), wang.clone(), zhao.clone()], &[]);
        let mut admitted = Vec::new();
        for name in ["lin", "wang", "zhao"] {
            admitted.push(doorman.who(&format!("{name}.sesame"), HERE).await.expect("known"));
        }
        let promoted = User { role: Role::Analyst, ..wang };
        let renewed = doorman.renew(&[lin, promoted, user("new")], &[]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expected = Renewed {
            added: names(&["new"]),
            changed: names(&["wang"]),
            removed: names(&["zhao"]),
        };
        assert_eq!(renewed, expected);
        let over: Vec<bool> = admitted.iter().map(|it| it.stay.is_over()).collect();
        assert_eq!(over, [false, true, true]);
        let knows: Vec<bool> =
            admitted.iter().map(|it| doorman.still_knows(&it.principal)).collect();
        assert_eq!(knows, [true, false, false]);
        assert_eq!(doorman.who("zhao.sesame", HERE).await.err(), Some(Refusal::Unknown));
    }

    #[test]
    fn where_the_first_user_comes_whoever_was_there_without_a_key_has_to_go() {
        let doorman = doorman(&[], &[]);
        let anyone = doorman.anyone().expect("is open");
        doorman.renew(&[], &[]);
        assert!(!anyone.stay.is_over(), "nothing changed");
        doorman.renew(&[user("lin")], &[]);
        assert!(anyone.stay.is_over() && doorman.anyone().is_none());
    }

    #[test]
    fn an_unknown_name_is_answered_like_a_known_one() {
        let scram = Verifier::new("lin.sesame").ok();
        let doorman = doorman(&[User { scram, ..user("lin") }], &[]);
        let (known, lin) = doorman.prover("lin").expect("proves");
        let (mock, nobody) = doorman.prover("wang").expect("is asked to prove all the same");
        assert!(lin.is_some() && nobody.is_none() && known != mock);
        assert_eq!(
            doorman.prover("wang").expect("again").0,
            mock,
            "the salt is the same each time"
        );
        assert_ne!(doorman.prover("zhao").expect("another").0, mock);
    }
}
