//! Knows users by their keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::policy::{Principal, Role, Views};
use super::scram::Verifier;
use super::secret;
use crate::config::{TokenHash, User};

/// Keys that are checked at one time: each takes tens of milliseconds of a core and 19 MiB.
const CHECKS_MAX: usize = 2;
/// Keys remembered by their SHA-256, so that a program that asks often is checked once; past it all are
/// forgotten and checked anew. A user has one key.
const REMEMBERED_MAX: usize = 10_000;

/// A user as the configuration knows it.
#[derive(Debug)]
struct Known {
    principal: Arc<Principal>,
    key_hash: String,
    scram: Option<Verifier>,
}

/// Checks keys against the configuration.
#[derive(Debug)]
pub struct Doorman {
    users: BTreeMap<String, Known>,
    tokens: Vec<TokenHash>,
    /// Who showed a right key, by its SHA-256.
    known: Mutex<HashMap<[u8; 32], Arc<Principal>>>,
    turns: Semaphore,
    /// Hash of no key, so that an unknown name takes as long as a wrong key.
    nobody: String,
}

impl Doorman {
    /// The users and the older tokens of the configuration.
    #[must_use]
    pub fn new(users: &[User], tokens: &[TokenHash]) -> Self {
        let user = |user: &User| {
            let principal =
                Principal { name: user.name.clone(), role: user.role, views: user.views.clone() };
            let (key_hash, scram) = (user.key_hash.clone(), user.scram.clone());
            (user.name.clone(), Known { principal: Arc::new(principal), key_hash, scram })
        };
        let users: BTreeMap<_, _> = users.iter().map(user).collect();
        let nobody = match users.is_empty() {
            true => String::new(),
            false => secret::hashed("nobody").unwrap_or_default(),
        };
        Self {
            users,
            tokens: tokens.to_vec(),
            known: Mutex::default(),
            turns: Semaphore::new(CHECKS_MAX),
            nobody,
        }
    }

    /// Whether nobody has to show a key.
    #[must_use]
    pub fn lets_everyone_in(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    /// A user by name with what proves its key without showing it; `None` where there is none of these.
    #[must_use]
    pub fn prover(&self, name: &str) -> Option<(Arc<Principal>, Verifier)> {
        let user = self.users.get(name)?;
        Some((Arc::clone(&user.principal), user.scram.clone()?))
    }

    /// Whose key it is; `None` when it is nobody's.
    pub async fn who(&self, key: &str) -> Option<Arc<Principal>> {
        let shown: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        if self.tokens.iter().fold(false, |found, known| found | same_bytes(&shown, &known.0)) {
            return Some(Arc::new(Principal {
                name: "token".to_owned(),
                role: Role::Admin,
                views: Views::All,
            }));
        }
        if let Some(principal) = self.known.lock().get(&shown) {
            return Some(Arc::clone(principal));
        }
        if self.users.is_empty() {
            return None;
        }
        let user = key.split_once('.').and_then(|(name, _)| self.users.get(name));
        let hash = user.map_or_else(|| self.nobody.clone(), |user| user.key_hash.clone());
        let (key, _turn) = (key.to_owned(), self.turns.acquire().await.ok()?);
        let is_right =
            tokio::task::spawn_blocking(move || secret::is_of(&hash, &key)).await.unwrap_or(false);
        let principal = &user.filter(|_| is_right)?.principal;
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(shown, Arc::clone(principal));
        Some(Arc::clone(principal))
    }
}

/// Takes the same time wherever they differ.
fn same_bytes(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_user_is_known_by_the_whole_key_and_an_older_token_is_an_admin() {
        let key_hash = secret::hashed("lin.sesame").expect("hashed");
        let views = Views::Only(vec!["gmv_day".to_owned()]);
        let users =
            [User { name: "lin".to_owned(), role: Role::Viewer, views, key_hash, scram: None }];
        let doorman = Doorman::new(&users, &[TokenHash(Sha256::digest(b"older").into())]);
        for _ in 0..2 {
            let lin = doorman.who("lin.sesame").await.expect("known");
            assert_eq!((lin.name.as_str(), lin.role), ("lin", Role::Viewer));
        }
        for wrong in ["lin.sesam", "sesame", "wang.sesame", ".sesame", "lin.", "nobody"] {
            assert_eq!(doorman.who(wrong).await, None, "{wrong}");
        }
        assert_eq!(doorman.who("older").await.map(|older| older.role), Some(Role::Admin));
        assert!(Doorman::new(&[], &[]).lets_everyone_in() && !doorman.lets_everyone_in());
    }
}
