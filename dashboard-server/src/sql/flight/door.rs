//! Accepting connections.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::transport::{Error, Server};

use super::service::Service;
use super::statements::Statements;
use crate::auth::Gate;
use crate::closing::Closing;
use crate::greeting::Greeting;
use crate::sql::SqlService;
use crate::tls::Tls;

/// Calls of one connection at one time; more wait.
const CALLS_MAX: u32 = 64;
/// How often a silent connection is asked whether it is still there, so that a query does not run on for a client whose
/// machine went away.
const ASKED_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that every client begins with (RFC 9113, section 3.4). With TLS they are the first of its own greeting, which has a time
/// of its own.
const PREFACE_BYTES: usize = 24;
/// How long the greeting of TLS may take.
const TLS_GREETING_MAX: Duration = Duration::from_secs(15);
/// Bytes of one message from a client.
const MESSAGE_BYTES_MAX: usize = 2_097_152;

/// The door, ready to be opened.
pub struct FlightDoor {
    service: SqlService,
    gate: Arc<Gate>,
    connections: Arc<Semaphore>,
    server: Server,
}

impl FlightDoor {
    /// A door to `service` for at most `connections_max` at a time. Where there are users, a user's key opens it, and the
    /// user's role must allow SQL. With `tls` it speaks nothing else.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        service: SqlService,
        gate: Arc<Gate>,
        (connections_max, tls): (usize, Option<Tls>),
    ) -> Result<Self, Error> {
        let mut server = Server::builder()
            .max_concurrent_streams(CALLS_MAX)
            .http2_keepalive_interval(Some(ASKED_EVERY))
            .http2_keepalive_timeout(Some(ANSWERED_WITHIN));
        if let Some(tls) = tls {
            server = server.tls_config(tls.flight.timeout(TLS_GREETING_MAX))?;
        }
        let connections = Arc::new(Semaphore::new(connections_max));
        Ok(Self { service, gate, connections, server })
    }

    /// Serves until the server goes away.
    pub async fn serve(mut self, listener: TcpListener, closing: Closing) {
        let statements = Statements::new(self.service);
        let service = Service::new(self.gate, statements, closing.clone());
        let service =
            FlightServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut ends = closing;
        let served = self
            .server
            .add_service(service)
            .serve_with_incoming_shutdown(arriving(listener, self.connections), async move {
                ends.begun().await
            });
        if let Err(error) = served.await {
            tracing::error!(%error, "the Flight SQL door is shut: {error}");
        }
    }
}

/// Connections as they come; those past the bound are closed at once.
fn arriving(
    listener: TcpListener,
    connections: Arc<Semaphore>,
) -> impl Stream<Item = io::Result<Placed>> {
    futures::stream::unfold((listener, connections), |(listener, connections)| async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a Flight SQL connection failed: {error}");
                    // Mostly there are no file handles left; asking again at once would not help.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&connections).try_acquire_owned() else {
                tracing::warn!(
                    "a Flight SQL connection was closed: server.flight-connections-max is reached"
                );
                continue;
            };
            if stream.set_nodelay(true).is_ok() {
                let greeting = Greeting::of_bytes(PREFACE_BYTES);
                let placed = Placed { stream, greeting, _place: place };
                return Some((Ok(placed), (listener, connections)));
            }
        }
    })
}

/// A connection that gives its place back when it ends.
struct Placed {
    stream: TcpStream,
    greeting: Greeting,
    _place: OwnedSemaphorePermit,
}

impl Connected for Placed {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.greeting.poll_read(Pin::new(&mut this.stream), context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
