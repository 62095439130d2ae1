//! Keys and what the configuration holds of them: an Argon2id hash.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Longest name of a user, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Shortest password that a person may choose.
const PASSWORD_MIN: usize = 12;
/// Longest password.
const PASSWORD_MAX: usize = 256;
/// The least that a hash may cost: OWASP's weakest pair for Argon2id, 7 MiB. [`hashed`] takes 19 MiB twice.
const MEMORY_KIB_MIN: u32 = 7_168;
/// The most that one may cost, so that a hash in the configuration does not stop the server: 256 MiB, 16 times.
const MEMORY_KIB_MAX: u32 = 262_144;
const PASSES_MAX: u32 = 16;

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

/// SHA-256 of a random text, by which it is known without being kept.
pub type Fingerprint = [u8; 32];

/// The fingerprint of a random text. A plain hash is enough: nobody guesses 256 bits.
#[must_use]
pub fn fingerprint(text: &str) -> Fingerprint {
    Sha256::digest(text.as_bytes()).into()
}

/// A text that nobody guesses: 256 random bits.
///
/// # Errors
/// When the system has no random bytes to give.
pub fn random_text() -> std::io::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?))
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
    Ok(format!("{name}.{}", random_text()?))
}

/// The key of a user with a password that a person chose.
///
/// # Errors
/// When it is too short to hold, or cannot be typed at every door.
pub fn chosen_key(name: &str, password: &str) -> Result<String, String> {
    let typed = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if !password.bytes().all(typed) || password.trim() != password {
        return Err(
            "a password is letters, digits, signs and inner spaces of ASCII, so that every \
                    keyboard and every PostgreSQL client sends the same"
                .to_owned(),
        );
    }
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&password.len()) {
        return Err(format!("a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters"));
    }
    Ok(format!("{name}.{password}"))
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

/// Whether a text is a hash that [`is_of`] can check, as [`hashed`] makes it: Argon2id at a fair cost.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let costs = Params::try_from(&hash).is_ok_and(|params| {
        (MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&params.m_cost())
            && params.t_cost() <= PASSES_MAX
    });
    costs && hash.algorithm == Algorithm::Argon2id.ident() && hash.hash.is_some()
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
    fn a_hash_that_is_cheap_to_guess_or_too_dear_to_check_is_none() {
        let rest = "$MDAwMDAwMDAwMDAwMDAwMA$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA";
        for (costs, is_fine) in [
            ("$argon2id$v=19$m=19456,t=2,p=1", true),
            ("$argon2id$v=19$m=1024,t=2,p=1", false),
            ("$argon2id$v=19$m=4194304,t=2,p=1", false),
            ("$argon2id$v=19$m=19456,t=1000,p=1", false),
            ("$argon2i$v=19$m=19456,t=2,p=1", false),
        ] {
            assert_eq!(is_hash(&format!("{costs}{rest}")), is_fine, "{costs}");
        }
    }

    #[test]
    fn a_chosen_password_is_long_and_can_be_typed_anywhere() {
        let chosen = chosen_key("lin", "correct horse battery");
        assert_eq!(chosen.as_deref(), Ok("lin.correct horse battery"));
        for password in
            ["short", " leading-space-1", "密码密码密码密码密码密码", "tab\tin-the-middle", ""]
        {
            assert!(chosen_key("lin", password).is_err(), "{password}");
        }
    }

    #[test]
    fn names_have_no_dot_and_no_space() {
        assert!(is_name("lin-2_a"));
        for name in ["", "a.b", "a b", "林", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
