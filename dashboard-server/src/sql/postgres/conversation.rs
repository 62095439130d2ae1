//! One connection from its first byte to its last, within bounds that the library has none of: how long a greeting and a message
//! may take to come, how long a message may be, and how much may be left with the connection.
//!
//! ```text
//! greeting (TLS or not) ─▶ who it is ─▶ message ─▶ answer ─▶ message …
//!     START_UP_MAX in all                  │
//!                                          ├─ too long: skipped without being kept, and refused
//!                                          └─ begun and not ended in MESSAGE_MAX: the connection is closed
//! ```
//! Whoever comes when all places are taken is told so, in the protocol's words, and may still cancel a query.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use datafusion_postgres::pgwire::api::cancel::{CancelHandler as _, DefaultCancelHandler};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ClientPortalStore as _, ErrorHandler as _, NoopHandler, PgWireConnectionState,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{negotiate_tls, process_error, process_message};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::door::{Connection, PlainErrors};
use super::error::pg_error;
use super::parameters::Prepared;
use super::passage::goes_back;
use crate::config::SqlConfig;
use crate::sql::error::SqlError;

/// From the first byte until it is known who it is. A person who types a password is not connected meanwhile.
const START_UP_MAX: Duration = Duration::from_secs(15);
/// From the first byte of a message to its last; a parameter of megabytes over a bad line takes seconds.
const MESSAGE_MAX: Duration = Duration::from_secs(30);
/// For who is turned away.
const TURNING_AWAY_MAX: Duration = Duration::from_secs(5);
/// Bytes of a message that is skipped; who sends more is not waited for.
const SKIPPED_BYTES_MAX: usize = 64 * 1_048_576;
/// What a message may have beside its text: a name, and the types of 65,535 parameters.
const BESIDE_TEXT_BYTES: usize = 300_000;
/// Values may have so many times the bytes of a statement.
const VALUES_TO_STATEMENT: usize = 8;

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

    /// What is wrong with a message of which this much has come; `None` as long as nothing is.
    fn too_long(self, begun: &[u8]) -> Option<TooLong> {
        let (kind, rest) = begun.split_first()?;
        let length = rest.first_chunk::<4>().map(|length| i32::from_be_bytes(*length))?;
        // A length below zero is none; the library says so and closes.
        let length = usize::try_from(length).ok()?;
        let is_text = matches!(kind, b'Q' | b'P');
        let most = if is_text { self.text_bytes_max } else { self.values_bytes_max };
        let is_too_long = length > most.saturating_add(BESIDE_TEXT_BYTES);
        is_too_long.then_some(TooLong { length, most, is_extended: *kind != b'Q' })
    }
}

/// A message that will not be read.
#[derive(Debug, PartialEq, Eq)]
struct TooLong {
    length: usize,
    most: usize,
    is_extended: bool,
}

impl TooLong {
    fn told(&self) -> PgWireError {
        let (has, most) = (self.length, self.most);
        let key = "sql.statement-bytes-max";
        pg_error(&SqlError::TooLarge { has, what: "bytes", most, key })
    }
}

/// What has come over a connection.
enum Come {
    Message(Option<Result<PgWireFrontendMessage, PgWireError>>),
    /// A part of a message.
    Part,
    TooLong(TooLong),
}

/// Serves a connection until it ends.
///
/// # Errors
/// When it breaks, or its client takes too long.
pub(super) async fn converse(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    connection: &Connection,
) -> io::Result<()> {
    let start_by = Instant::now() + START_UP_MAX;
    let negotiated = timeout_at(start_by, negotiate_tls::<Prepared>(stream, acceptor)).await;
    let Some(mut socket) = negotiated.map_err(|_| too_slow("greeting"))?? else { return Ok(()) };
    loop {
        let state = socket.state();
        let is_starting = is_starting(state);
        let is_discarded = matches!(state, PgWireConnectionState::AwaitingSync);
        let come = if is_starting {
            let next = timeout_at(start_by, socket.next()).await;
            Come::Message(next.map_err(|_| too_slow("start-up"))?)
        } else {
            next(&mut socket, |socket| socket.read_buffer(), connection.lengths).await?
        };
        let mut message = match come {
            Come::Message(Some(Ok(PgWireFrontendMessage::Terminate(_))) | None) | Come::Part => {
                return Ok(());
            }
            Come::Message(Some(Ok(message))) => message,
            Come::Message(Some(Err(error))) => {
                let told = format!("this is not PostgreSQL's protocol: {error}");
                return refuse(&mut socket, fatal("08P01", told)).await;
            }
            Come::TooLong(wrong) if wrong.length > SKIPPED_BYTES_MAX => {
                return refuse(&mut socket, fatal("54000", wrong.told().to_string())).await;
            }
            Come::TooLong(wrong) => {
                let rest = (wrong.length + 1).saturating_sub(socket.read_buffer().len());
                socket.read_buffer_mut().clear();
                skip(socket.get_mut(), rest).await?;
                if !is_discarded {
                    process_error(&mut socket, wrong.told(), wrong.is_extended).await?;
                }
                continue;
            }
        };
        let is_extended = message.is_extended_query();
        if !is_starting
            && !is_discarded
            && let Err(error) = connection.gate.bounded(&mut message)
        {
            process_error(&mut socket, error, is_extended).await?;
            continue;
        }
        go_back(&mut socket, &message);
        let is_last =
            matches!(message, PgWireFrontendMessage::Query(_) | PgWireFrontendMessage::Sync(_));
        let processed = process_message(
            message,
            &mut socket,
            Arc::clone(&connection.startup),
            Arc::clone(&connection.queries),
            Arc::clone(&connection.queries),
            Arc::new(NoopHandler),
            Arc::clone(&connection.cancel),
        );
        if let Err(mut error) = processed.await {
            PlainErrors.on_error(&socket, &mut error);
            process_error(&mut socket, error, is_extended).await?;
        }
        if is_last && socket.transaction_status() == TransactionStatus::Idle {
            connection.gate.end_of_transaction(socket.portal_store());
        }
    }
}

/// A transaction that has failed goes on after it has gone back to a savepoint; the library takes its state before it asks.
fn go_back(client: &mut impl ClientInfo, message: &PgWireFrontendMessage) {
    let goes_back = match message {
        PgWireFrontendMessage::Query(query) => goes_back(&query.query),
        PgWireFrontendMessage::Parse(parse) => goes_back(&parse.query),
        _ => false,
    };
    if goes_back && client.transaction_status() == TransactionStatus::Error {
        client.set_transaction_status(TransactionStatus::Transaction);
    }
}

/// Whether it is not known yet who it is.
fn is_starting(state: PgWireConnectionState) -> bool {
    matches!(
        state,
        PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress
    )
}

/// The next message of who has been let in; `begun` is what has come of it.
///
/// # Errors
/// When it has begun, and does not end in its time.
async fn next<S>(socket: &mut S, begun: impl Fn(&S) -> &[u8], lengths: Lengths) -> io::Result<Come>
where
    S: Stream<Item = Result<PgWireFrontendMessage, PgWireError>> + Unpin,
{
    let mut is_begun = false;
    loop {
        let next = poll_fn(|context| match socket.poll_next_unpin(context) {
            Poll::Ready(message) => Poll::Ready(Come::Message(message)),
            Poll::Pending => match lengths.too_long(begun(socket)) {
                Some(wrong) => Poll::Ready(Come::TooLong(wrong)),
                None if is_begun || begun(socket).is_empty() => Poll::Pending,
                None => Poll::Ready(Come::Part),
            },
        });
        let come = match is_begun {
            true => timeout(MESSAGE_MAX, next).await.map_err(|_| too_slow("message"))?,
            false => next.await,
        };
        match come {
            Come::Part => is_begun = true,
            come => return Ok(come),
        }
    }
}

/// Reads so many bytes and keeps none.
///
/// # Errors
/// When the connection breaks, or they do not come in their time.
async fn skip(stream: &mut (impl AsyncRead + Unpin), bytes: usize) -> io::Result<()> {
    let mut rest = stream.take(u64::try_from(bytes).unwrap_or(u64::MAX));
    let mut nowhere = tokio::io::sink();
    let skipped = tokio::io::copy(&mut rest, &mut nowhere);
    timeout(MESSAGE_MAX, skipped).await.map_err(|_| too_slow("message"))?.map(drop)
}

/// Says why, and closes.
///
/// # Errors
/// When the connection breaks.
async fn refuse<S>(socket: &mut S, told: ErrorInfo) -> io::Result<()>
where
    S: Sink<PgWireBackendMessage, Error = io::Error> + Unpin,
{
    socket.send(PgWireBackendMessage::ErrorResponse(told.into())).await?;
    socket.close().await
}

fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("its {what} took too long"))
}

fn fatal(code: &str, told: String) -> ErrorInfo {
    ErrorInfo::new("FATAL".to_owned(), code.to_owned(), told)
}

/// Tells a client that there is no place for it, or cancels the query it has come to cancel.
///
/// # Errors
/// When the connection breaks, or its client takes too long.
pub(super) async fn turn_away(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    cancel: &DefaultCancelHandler,
    connections_max: usize,
) -> io::Result<()> {
    let turning_away = async {
        let Some(mut socket) = negotiate_tls::<Prepared>(stream, acceptor).await? else {
            return Ok(());
        };
        match socket.next().await {
            Some(Ok(PgWireFrontendMessage::CancelRequest(asked))) => {
                cancel.on_cancel_request(asked).await;
            }
            Some(Ok(PgWireFrontendMessage::Startup(_))) => {
                let told = format!(
                    "too many connections: {connections_max} are open, and no more may; close one, or raise \
                     server.postgres-connections-max"
                );
                return refuse(&mut socket, fatal("53300", told)).await;
            }
            _ => {}
        }
        socket.close().await
    };
    timeout(TURNING_AWAY_MAX, turning_away).await.map_err(|_| too_slow("greeting"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_too_long_by_what_it_says_of_itself() {
        let lengths = Lengths { text_bytes_max: 1_000, values_bytes_max: 8_000 };
        let begun = |kind: u8, length: i32| [&[kind][..], &length.to_be_bytes()].concat();
        assert_eq!(lengths.too_long(&begun(b'Q', 301_000)), None);
        assert_eq!(lengths.too_long(&begun(b'B', 308_000)), None);
        let wrong = lengths.too_long(&begun(b'Q', 301_001)).expect("is too long");
        assert_eq!(wrong, TooLong { length: 301_001, most: 1_000, is_extended: false });
        let wrong = lengths.too_long(&begun(b'B', i32::MAX)).expect("is too long");
        assert!(wrong.is_extended && wrong.told().to_string().contains("2147483647 bytes"));
        // No length yet, or none at all.
        assert_eq!(lengths.too_long(b"Q\x7f\xff\xff"), None);
        assert_eq!(lengths.too_long(&begun(b'Q', -1)), None);
    }
}
