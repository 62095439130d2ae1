//! One connection from its first byte to its last, within bounds that the library has none of: how long a greeting and a message
//! may take to come, how long a message may be, and how much may be left with the connection.
//!
//! ```text
//! greeting (TLS or not) ─▶ who it is ─▶ message ─▶ answer ─▶ message …
//!     START_UP_MAX in all                  │
//!                                          ├─ too long: skipped without being kept, and refused (`reading.rs`)
//!                                          ├─ not what it says it is: the connection is closed (`frame.rs`)
//!                                          └─ begun and not ended in MESSAGE_MAX: the connection is closed
//! ```
//! Whoever comes when all places are taken is told so, in the protocol's words, and may still cancel a query.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::cancel::{CancelHandler as _, DefaultCancelHandler};
use datafusion_postgres::pgwire::api::store::{Entry, MemPortalStore, PortalStore as _};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ClientPortalStore as _, DEFAULT_NAME, ErrorHandler as _, NoopHandler,
    PgWireConnectionState,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::extendedquery::Bind;
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{negotiate_tls, process_error, process_message};
use futures::{Sink, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::door::{Connection, PlainErrors};
use super::parameters::Prepared;
use super::passage::goes_back;
use super::reading::{Come, next, skip, too_slow};

/// From the first byte until it is known who it is. A person who types a password is not connected meanwhile.
const START_UP_MAX: Duration = Duration::from_secs(15);
/// For who is turned away.
const TURNING_AWAY_MAX: Duration = Duration::from_secs(5);

/// Serves a connection until it ends.
///
/// # Errors
/// When it breaks, or its client takes too long.
#[expect(clippy::too_many_lines, reason = "a conversation is read from its greeting to its end")]
pub(super) async fn converse(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    connection: &Connection,
) -> io::Result<()> {
    let start_by = Instant::now() + START_UP_MAX;
    let negotiated = timeout_at(start_by, negotiate_tls::<Prepared>(stream, acceptor)).await;
    let Some(mut socket) = negotiated.map_err(|_| too_slow("greeting"))?? else { return Ok(()) };
    if socket.is_secure() && !socket.read_buffer().is_empty() {
        let told = "something was sent before TLS began, which could be anybody's";
        return broken(&mut socket, told).await;
    }
    let mut over = pin!(connection.startup.has_to_go());
    loop {
        let state = socket.state();
        let is_starting = is_starting(state);
        let is_discarded = matches!(state, PgWireConnectionState::AwaitingSync);
        let come = if matches!(state, PgWireConnectionState::AwaitingStartup) {
            let first = timeout_at(start_by, socket.next()).await;
            first_words(first.map_err(|_| too_slow("start-up"))?)
        } else {
            let mut begun = std::mem::take(socket.read_buffer_mut());
            let of = (socket.protocol_version(), connection.lengths);
            let by = is_starting.then_some(start_by);
            let come = tokio::select! {
                come = next(socket.get_mut(), &mut begun, of, by) => come?,
                () = &mut over => return dismiss(&mut socket).await,
            };
            *socket.read_buffer_mut() = begun;
            come
        };
        let mut message = match come {
            Come::Message(PgWireFrontendMessage::Terminate(_)) | Come::End => return Ok(()),
            Come::Message(message) => message,
            Come::Wrong(told) => return broken(&mut socket, &told).await,
            Come::TooLong(wrong) if is_starting || wrong.is_not_skipped() => {
                return refuse(&mut socket, fatal("54000", wrong.told().to_string())).await;
            }
            Come::TooLong(wrong) => {
                let mut begun = std::mem::take(socket.read_buffer_mut());
                skip(socket.get_mut(), &mut begun, &wrong).await?;
                *socket.read_buffer_mut() = begun;
                if !is_discarded {
                    process_error(&mut socket, wrong.told(), wrong.is_extended).await?;
                }
                continue;
            }
        };
        let is_extended = message.is_extended_query();
        if !is_starting
            && !is_discarded
            && let Err(error) = bounded(connection, &mut message, socket.portal_store())
        {
            process_error(&mut socket, error, is_extended).await?;
            continue;
        }
        go_back(&mut socket, &message);
        let is_last = is_last(&message);
        let (startup, cancel) = (Arc::clone(&connection.startup), Arc::clone(&connection.cancel));
        let (simple, extended) = (Arc::clone(&connection.queries), Arc::clone(&connection.queries));
        let copy = Arc::new(NoopHandler);
        let done = process_message(message, &mut socket, startup, simple, extended, copy, cancel);
        let done = tokio::select! {
            done = done => done,
            () = &mut over => return dismiss(&mut socket).await,
        };
        if let Err(mut error) = done {
            PlainErrors.on_error(&socket, &mut error);
            process_error(&mut socket, error, is_extended).await?;
        }
        if is_last && socket.transaction_status() == TransactionStatus::Idle {
            connection.gate.end_of_transaction(socket.portal_store());
        }
    }
}

/// The first words of a connection, which have no kind; the library knows them.
fn first_words(first: Option<Result<PgWireFrontendMessage, PgWireError>>) -> Come {
    match first {
        Some(Ok(message)) => Come::Message(message),
        Some(Err(error)) => Come::Wrong(error.to_string()),
        None => Come::End,
    }
}

/// Whether its sender waits for the server to be ready.
fn is_last(message: &PgWireFrontendMessage) -> bool {
    matches!(message, PgWireFrontendMessage::Query(_) | PgWireFrontendMessage::Sync(_))
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

/// Looks at what a message leaves with its connection, and at its formats.
///
/// # Errors
/// When it is too much, or they do not fit.
fn bounded(
    connection: &Connection,
    message: &mut PgWireFrontendMessage,
    store: &MemPortalStore<Prepared>,
) -> PgWireResult<()> {
    connection.gate.bounded(message)?;
    check_formats(message, store)
}

/// Whether each column of an answer has a format, where some are named; the library takes it for granted.
///
/// # Errors
/// When they are not as many.
fn check_formats(
    message: &PgWireFrontendMessage,
    store: &MemPortalStore<Prepared>,
) -> PgWireResult<()> {
    let PgWireFrontendMessage::Bind(Bind {
        statement_name,
        result_column_format_codes: formats,
        ..
    }) = message
    else {
        return Ok(());
    };
    let name = statement_name.as_deref().unwrap_or(DEFAULT_NAME);
    let Some(Entry::Value(stored)) = store.get_statement(name) else { return Ok(()) };
    let Some((_, plan)) = &stored.statement.1 else { return Ok(()) };
    let columns = plan.schema().fields().len();
    if formats.len() < 2 || formats.len() == columns {
        return Ok(());
    }
    let told = format!("Bind has {} formats, and the answer {columns} columns", formats.len());
    let info = ErrorInfo::new("ERROR".to_owned(), "08P01".to_owned(), told);
    Err(PgWireError::UserError(Box::new(info)))
}

/// Says that this is not how one speaks here, once to the client and once in the log, and closes.
///
/// # Errors
/// When the connection breaks.
async fn broken<S>(socket: &mut S, told: &str) -> io::Result<()>
where
    S: Sink<PgWireBackendMessage, Error = io::Error> + ClientInfo + Unpin,
{
    let from = socket.socket_addr();
    tracing::warn!(%from, told, "a PostgreSQL connection from {from} was closed: {told}");
    refuse(socket, fatal("08P01", format!("this is not PostgreSQL's protocol: {told}"))).await
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

/// Says to whom is let in no longer why the connection ends.
///
/// # Errors
/// When the connection breaks, or its client does not read.
async fn dismiss<S>(socket: &mut S) -> io::Result<()>
where
    S: Sink<PgWireBackendMessage, Error = io::Error> + Unpin,
{
    tracing::info!("a PostgreSQL connection was closed: its user is no more, or another");
    let told = "this user, or what its role is shown, has changed: the connection is closed, connect again";
    let refused = refuse(socket, fatal("57P01", told.to_owned()));
    timeout(TURNING_AWAY_MAX, refused).await.map_err(|_| too_slow("farewell"))?
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
