//! SCRAM-SHA-256 (RFC 7677) for the PostgreSQL door: the key never goes over the line, and what the
//! configuration holds of it lets nobody in.
//!
//! ```text
//! client                              server
//!   r=CLIENT                     ──▶
//!                                ◀──  r=CLIENT+SERVER, s=SALT, i=4096
//!   c=biws, r=…, p=PROOF         ──▶  proof ⊕ HMAC(stored key, all of it) hashes to the stored key?
//!                                ◀──  v=HMAC(server key, all of it)
//! ```
//! `pgwire` has the mechanism too, but wants the salted key kept, with which anyone could log in; what
//! PostgreSQL itself keeps, and this does, only checks a proof.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::secret::random_bytes;

/// Name of the mechanism.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Rounds of the hash, as PostgreSQL has them: keys have 256 random bits, so more would protect nothing.
const ITERATIONS: u32 = 4_096;
/// Bytes of salt, as PostgreSQL has them.
const SALT_BYTES: usize = 16;
/// No channel binding, as the client says it first and repeats it in base64: it knows none, or (over TLS) it does and was
/// offered none. Whoever would take the offer out on the way has no certificate.
const NO_BINDING: [&str; 2] = ["n,,", "y,,"];

type Bytes32 = [u8; 32];

/// What is kept of a key, as PostgreSQL writes it:
/// `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Bytes32,
    server_key: Bytes32,
}

impl Verifier {
    /// The verifier of a key, with fresh salt.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn new(key: &str) -> std::io::Result<Self> {
        Ok(Self::salted(key, random_bytes::<SALT_BYTES>()?.to_vec(), ITERATIONS))
    }

    /// A verifier that no key fits, for a name that is not known: PostgreSQL's own way not to tell which are.
    #[must_use]
    pub fn mock(secret: &Bytes32, name: &str) -> Self {
        let of = |what: &str| hmac(secret, format!("{what} {name}").as_bytes());
        let salt = of("salt").iter().take(SALT_BYTES).copied().collect();
        let (stored_key, server_key) = (of("stored"), of("server"));
        Self { iterations: ITERATIONS, salt, stored_key, server_key }
    }

    fn salted(key: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let salted = stretched(key.as_bytes(), &salt, iterations);
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
        Self { iterations, stored_key, server_key: hmac(&salted, b"Server Key"), salt }
    }

    /// Reads what [`Verifier::to_text`] writes; `None` when it is not that.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (salt, keys) = text.strip_prefix(MECHANISM)?.strip_prefix('$')?.split_once('$')?;
        let (iterations, salt) = salt.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations: iterations.parse().ok().filter(|count| *count > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }

    /// As the configuration holds it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (salt, stored) = (STANDARD.encode(&self.salt), STANDARD.encode(self.stored_key));
        format!(
            "{MECHANISM}${}:{salt}${stored}:{}",
            self.iterations,
            STANDARD.encode(self.server_key)
        )
    }
}

/// An exchange whose first answer has been given.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    /// Everything said so far that the proof is over.
    said: String,
    nonce: String,
    /// What the client said of channel binding.
    binding: &'static str,
}

impl Exchange {
    /// Answers the client's first words; `None` when they are not of this mechanism.
    #[must_use]
    pub fn begin(verifier: Verifier, first: &str, server_nonce: &str) -> Option<(Self, String)> {
        let binding = NO_BINDING.into_iter().find(|words| first.starts_with(words))?;
        let bare = first.strip_prefix(binding)?;
        let client_nonce = field(bare, 'r').filter(|nonce| !nonce.is_empty())?;
        let nonce = format!("{client_nonce}{server_nonce}");
        let answer =
            format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        Some((Self { verifier, said: format!("{bare},{answer}"), nonce, binding }, answer))
    }

    /// Checks the client's proof; the server's own, or `None` when it is wrong.
    #[must_use]
    pub fn end(self, last: &str) -> Option<String> {
        let (without_proof, proof) = last.rsplit_once(",p=")?;
        let binding = field(without_proof, 'c')?;
        if binding != STANDARD.encode(self.binding) || field(without_proof, 'r')? != self.nonce {
            return None;
        }
        let said = format!("{},{without_proof}", self.said);
        let proof: Bytes32 = STANDARD.decode(proof).ok()?.try_into().ok()?;
        let signature = hmac(&self.verifier.stored_key, said.as_bytes());
        let shown: Bytes32 = Sha256::digest(xor(&proof, &signature)).into();
        let differs = xor(&shown, &self.verifier.stored_key).iter().fold(0, |all, byte| all | byte);
        (differs == 0).then(|| {
            format!("v={}", STANDARD.encode(hmac(&self.verifier.server_key, said.as_bytes())))
        })
    }
}

fn field(text: &str, name: char) -> Option<&str> {
    text.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn xor(left: &Bytes32, right: &Bytes32) -> Bytes32 {
    let mut out = *left;
    out.iter_mut().zip(right).for_each(|(byte, other)| *byte ^= other);
    out
}

/// HMAC of RFC 2104 over SHA-256, whose blocks have 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> Bytes32 {
    let mut block = [0_u8; 64];
    match key.len() > block.len() {
        true => block.iter_mut().zip(Sha256::digest(key)).for_each(|(byte, of)| *byte = of),
        false => block.iter_mut().zip(key).for_each(|(byte, of)| *byte = *of),
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

/// The first block of PBKDF2, which is all that 32 bytes need.
fn stretched(key: &[u8], salt: &[u8], iterations: u32) -> Bytes32 {
    let mut last = hmac(key, &[salt, &[0, 0, 0, 1]].concat());
    let mut all = last;
    for _ in 1..iterations {
        last = hmac(key, &last);
        all = xor(&all, &last);
    }
    all
}

/// What a client says, for tests of the door.
#[cfg(test)]
pub(crate) fn proved(key: &str, bare: &str, answer: &str) -> String {
    let nonce = field(answer, 'r').expect("a nonce");
    let salt = STANDARD.decode(field(answer, 's').expect("salt")).expect("base64");
    let salted = stretched(
        key.as_bytes(),
        &salt,
        field(answer, 'i').expect("rounds").parse().expect("number"),
    );
    let client_key = hmac(&salted, b"Client Key");
    let last = format!("c=biws,r={nonce}");
    let said = format!("{bare},{answer},{last}");
    let stored: Bytes32 = Sha256::digest(client_key).into();
    format!("{last},p={}", STANDARD.encode(xor(&client_key, &hmac(&stored, said.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_exchange_of_the_standard_is_spoken_to_the_letter() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let verifier = Verifier::salted("pencil", salt, 4_096);
        let first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
        let (exchange, answer) =
            Exchange::begin(verifier, first, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0").expect("begins");
        assert_eq!(
            answer,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(
            exchange.end(last).as_deref(),
            Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
    }

    #[test]
    fn an_unknown_name_has_a_verifier_that_looks_like_any_and_fits_no_key() {
        let mock = Verifier::mock(&[7; 32], "wang");
        let known = Verifier::new("lin.sesame").expect("random");
        assert_eq!((mock.iterations, mock.salt.len()), (known.iterations, known.salt.len()));
        let (exchange, answer) = Exchange::begin(mock, "n,,n=,r=abc", "def").expect("begins");
        assert!(exchange.end(&proved("wang.sesame", "n=,r=abc", &answer)).is_none());
    }

    #[test]
    fn a_wrong_key_another_nonce_and_a_binding_nobody_asked_for_are_refused() {
        let verifier = Verifier::new("lin.sesame").expect("random");
        assert_eq!(Verifier::read(&verifier.to_text()), Some(verifier.clone()));
        let begin = || Exchange::begin(verifier.clone(), "n,,n=,r=abc", "def").expect("begins");
        let last = |key: &str| proved(key, "n=,r=abc", &begin().1);
        assert!(begin().0.end(&last("lin.sesame")).is_some());
        assert!(begin().0.end(&last("lin.sesam")).is_none());
        assert!(begin().0.end(&last("lin.sesame").replace("r=abcdef", "r=abcxyz")).is_none());
        assert!(begin().0.end(&last("lin.sesame").replace("c=biws", "c=eSws")).is_none());
        assert!(begin().0.end("p=").is_none() && begin().0.end("c=biws,r=abcdef,p=x").is_none());
        assert!(
            Exchange::begin(verifier.clone(), "p=tls-server-end-point,,n=,r=abc", "def").is_none()
        );
        for text in ["", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-1$1:a$b:c", "md5abc"] {
            assert_eq!(Verifier::read(text), None, "{text}");
        }
    }
}
