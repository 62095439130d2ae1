//! The messages of a connection, one by one, each within its bounds and looked at before it is decoded.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use datafusion_postgres::pgwire::error::PgWireError;
use datafusion_postgres::pgwire::messages::{
    DecodeContext, PgWireFrontendMessage, ProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::pg_error;
use super::frame::{Begun, wrong};
use crate::config::SqlConfig;
use crate::sql::error::SqlError;

/// From the first byte of a message to its last; a parameter of megabytes over a bad line takes seconds.
const MESSAGE_MAX: Duration = Duration::from_secs(30);
/// Bytes of a message that is skipped; who sends more is not waited for.
const SKIPPED_BYTES_MAX: usize = 64 * 1_048_576;
/// What a message may have beside its text: a name, and the types of 65,535 parameters.
const BESIDE_TEXT_BYTES: usize = 300_000;
/// Values may have so many times the bytes of a statement.
const VALUES_TO_STATEMENT: usize = 8;
/// What a message may have before it is known who sends it: a password, or the proof of a key.
const STRANGER_BYTES_MAX: usize = 10_000;
/// Room that is made for what comes next.
const READ_BYTES: usize = 8_192;

/// How long a message may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    text_bytes_max: usize,
    values_bytes_max: usize,
}

impl Lengths {
    /// Of the configured bound of a statement.
    pub(super) fn new(limits: &SqlConfig) -> Self {
        let values_bytes_max = limits.statement_bytes_max.saturating_mul(VALUES_TO_STATEMENT);
        Self { text_bytes_max: limits.statement_bytes_max, values_bytes_max }
    }

    /// Bytes of texts, and of values, that may be left with a connection.
    pub(super) fn kept_bytes_max(self) -> usize {
        self.values_bytes_max
    }

    /// What is wrong with a message of so many bytes; `None` where nothing is.
    fn too_long(self, begun: &[u8], bytes: usize) -> Option<TooLong> {
        let kind = begun.first()?;
        let length = bytes.saturating_sub(1);
        let is_text = matches!(kind, b'Q' | b'P');
        let most = if is_text { self.text_bytes_max } else { self.values_bytes_max };
        let is_too_long = length > most.saturating_add(BESIDE_TEXT_BYTES);
        is_too_long.then_some(TooLong { length, most, is_extended: *kind != b'Q' })
    }
}

/// A message that will not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    length: usize,
    most: usize,
    /// Whether its sender waits for the answer to a `Sync`.
    pub(super) is_extended: bool,
}

impl TooLong {
    /// What is said of it.
    pub(super) fn told(&self) -> PgWireError {
        let (has, most) = (self.length, self.most);
        let key = "sql.statement-bytes-max";
        pg_error(&SqlError::TooLarge { has, what: "bytes", most, key })
    }

    /// Whether it is too long to be skipped.
    pub(super) fn is_not_skipped(&self) -> bool {
        self.length > SKIPPED_BYTES_MAX
    }
}

/// What has come over a connection.
pub(super) enum Come {
    /// A message.
    Message(PgWireFrontendMessage),
    /// The end of it.
    End,
    /// One that will not be read; nothing of it has been taken away.
    TooLong(TooLong),
    /// What is no message.
    Wrong(String),
}

/// The next message of who speaks this version of the protocol. `begun` is what has come already, of which its bytes are taken
/// away; until it is known who it is, it is short and all of it has to have come `by` an instant.
///
/// # Errors
/// When the connection breaks, or a message has begun and does not end in its time.
pub(super) async fn next(
    stream: &mut (impl AsyncRead + Unpin),
    begun: &mut BytesMut,
    (version, lengths): (ProtocolVersion, Lengths),
    mut by: Option<Instant>,
) -> io::Result<Come> {
    let is_stranger = by.is_some();
    loop {
        match Begun::of(begun) {
            Begun::Wrong(told) => return Ok(Come::Wrong(told)),
            Begun::Of(bytes) if is_stranger && bytes > STRANGER_BYTES_MAX => {
                let told = format!("{bytes} bytes before it is known who sends them");
                return Ok(Come::Wrong(told));
            }
            Begun::Of(bytes) => {
                if let Some(wrong) = lengths.too_long(begun, bytes) {
                    return Ok(Come::TooLong(wrong));
                }
                if begun.len() >= bytes {
                    return Ok(decoded(begun.split_to(bytes), version));
                }
            }
            Begun::Head => {}
        }
        if by.is_none() && !begun.is_empty() {
            by = Some(Instant::now() + MESSAGE_MAX);
        }
        begun.reserve(READ_BYTES);
        let reading = stream.read_buf(begun);
        let read = match by {
            Some(by) => timeout_at(by, reading).await.map_err(|_| too_slow("message"))??,
            None => reading.await?,
        };
        if read == 0 {
            return Ok(Come::End);
        }
    }
}

/// A whole message in the library's words.
fn decoded(mut message: BytesMut, version: ProtocolVersion) -> Come {
    if let Some(told) = wrong(&message) {
        return Come::Wrong(told);
    }
    let mut context = DecodeContext::new(version);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    match PgWireFrontendMessage::decode(&mut message, &context) {
        Ok(Some(message)) => Come::Message(message),
        Ok(None) => Come::Wrong("a message breaks off".to_owned()),
        Err(error) => Come::Wrong(error.to_string()),
    }
}

/// Reads a message that is too long to its end, and keeps none of it.
///
/// # Errors
/// When the connection breaks, or it does not come in its time.
pub(super) async fn skip(
    stream: &mut (impl AsyncRead + Unpin),
    begun: &mut BytesMut,
    wrong: &TooLong,
) -> io::Result<()> {
    let bytes = wrong.length + 1;
    let here = bytes.min(begun.len());
    begun.advance(here);
    let mut rest = stream.take(u64::try_from(bytes - here).unwrap_or(u64::MAX));
    let mut nowhere = tokio::io::sink();
    let skipped = tokio::io::copy(&mut rest, &mut nowhere);
    timeout(MESSAGE_MAX, skipped).await.map_err(|_| too_slow("message"))?.map(drop)
}

/// Something did not come in its time.
pub(super) fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("its {what} took too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths { text_bytes_max: 1_000, values_bytes_max: 8_000 };

    #[test]
    fn a_message_is_too_long_by_what_it_says_of_itself() {
        assert_eq!(LENGTHS.too_long(b"Q", 301_001), None);
        assert_eq!(LENGTHS.too_long(b"B", 308_001), None);
        let wrong = LENGTHS.too_long(b"Q", 301_002).expect("is too long");
        assert_eq!(wrong, TooLong { length: 301_001, most: 1_000, is_extended: false });
        let wrong = LENGTHS.too_long(b"B", 400_001).expect("is too long");
        assert!(wrong.is_extended && wrong.told().to_string().contains("400000 bytes"));
    }

    #[tokio::test]
    async fn messages_come_one_by_one_and_what_follows_one_that_is_skipped_is_read() {
        let long = [&b"Q"[..], &400_000_i32.to_be_bytes(), &[b'x'; 399_996][..]].concat();
        let sent = [&b"S\0\0\0\x04H\0\0\0\x04"[..], &long, b"X\0\0\0\x04B\0\0\0\x04"].concat();
        let (mut stream, mut begun) = (sent.as_slice(), BytesMut::new());
        let kind = (ProtocolVersion::PROTOCOL3_0, LENGTHS);
        let mut told = Vec::new();
        for _ in 0..5 {
            let come = next(&mut stream, &mut begun, kind, None).await.expect("reads");
            told.push(match come {
                Come::Message(PgWireFrontendMessage::Sync(_)) => "sync".to_owned(),
                Come::Message(PgWireFrontendMessage::Flush(_)) => "flush".to_owned(),
                Come::Message(PgWireFrontendMessage::Terminate(_)) => "terminate".to_owned(),
                Come::Message(other) => format!("{other:?}"),
                Come::TooLong(wrong) => {
                    skip(&mut stream, &mut begun, &wrong).await.expect("skips");
                    "too long".to_owned()
                }
                Come::End => "end".to_owned(),
                Come::Wrong(told) => told,
            });
        }
        let broken = "a message of kind B breaks off, or has no end of a text";
        assert_eq!(told, ["sync", "flush", "too long", "terminate", broken]);
    }
}
