//! Keys and what the configuration holds of them: an Argon2id hash.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest name of a user, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Random bytes of the system.
///
/// # Errors
/// When it has none to give.
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    use std::io::Read as _;
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Whether a name may stand before the dot of a key.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_fine)
}

/// A new key of a user: its name, a dot and 256 random bits.
///
/// # Errors
/// When the system has no random bytes to give.
pub fn new_key(name: &str) -> std::io::Result<String> {
    Ok(format!("{name}.{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>()?)))
}

/// The hash of a key for the configuration.
///
/// # Errors
/// When the system has no random bytes to give, or the hash cannot be made.
pub fn hashed(key: &str) -> Result<String, String> {
    let salt = random_bytes::<16>().map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    let hash = Argon2::default()
        .hash_password(key.as_bytes(), &salt)
        .map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// Whether a text is a hash that [`is_of`] can check, as [`hashed`] makes it.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    let parsed = PasswordHash::new(text);
    parsed.is_ok_and(|hash| hash.algorithm == Algorithm::Argon2id.ident() && hash.hash.is_some())
}

/// Whether a hash is that of a key. It takes tens of milliseconds and 19 MiB, on purpose.
#[must_use]
pub fn is_of(hash: &str, key: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(key.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_and_two_hashes_of_it_differ() {
        let key = new_key("lin").expect("random");
        let (first, second) = (hashed(&key).expect("hashed"), hashed(&key).expect("hashed"));
        assert!(
            key.starts_with("lin.") && is_hash(&first) && first != second && !first.contains(&key)
        );
        assert!(is_of(&first, &key) && is_of(&second, &key));
        assert!(!is_of(&first, "lin.guess"));
        assert!(!is_hash("plain") && !is_of("plain", "plain"));
    }

    #[test]
    fn names_have_no_dot_and_no_space() {
        assert!(is_name("lin-2_a"));
        for name in ["", "a.b", "a b", "林", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
