//! Binding, serving and going away.
//!
//! ```text
//!  bind all doors ──▶ tell the addresses ──▶ serve ──shutdown──▶ `bye`, drain ──▶ done (5 s at most)
//! ```
//!
//! Serving runs on the runtime that [`serve`] is called on, which should be its own
//! ([`people_runtime`]); queries run on one that `serve` starts. Neither is a folding thread.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use datafusion::catalog::TableProvider;
use metrics_exporter_prometheus::PrometheusHandle;
use tidemark_pipeline::results::Results;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::Gate;
use crate::clock::Clock;
use crate::closing::{Closing, Doorkeeper};
use crate::config::Config;
use crate::greeting::{Greeting, Requests};
use crate::http::access::Client;
use crate::http::router::router;
use crate::http::state::AppState;
use crate::ingest::IngestSink;
use crate::pulse::Pulse;
use crate::reload::Reload;
use crate::screens::SharedScreens;
use crate::sql::{
    FlightDoor, PostgresDoor, PostgresError, STACK_BYTES, SharedQueries, SharedRules, SqlService,
};
use crate::tls::{Tls, TlsError};
use crate::websocket::hub::Hub;

/// Time for everyone to leave after shutdown was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Send buffer of a connection. What lies in it is old by the time a slow viewer reads it, so it is
/// kept to a second or two of frames; the system doubles it.
const SEND_BUFFER_BYTES: u32 = 65_536;
/// Of these, what has not left yet: on a slow line the next cut waits here and not behind the ones before it.
const UNSENT_BYTES: u32 = 16_384;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// How often histograms are folded, so that an unread `/metrics` does not grow.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// What is served.
pub struct ServerParts {
    /// Where the figures come from.
    pub results: Arc<Results>,
    /// Tables beside the views, by name; the same for every query.
    pub reference: Vec<(String, Arc<dyn TableProvider>)>,
    /// What walls show.
    pub screens: SharedScreens,
    /// The embedded log, where there is one.
    pub ingest: Option<Arc<dyn IngestSink>>,
    /// Reads the SQL folder again, where there is a pipeline.
    pub reload: Option<Arc<dyn Reload>>,
    /// Who is let in.
    pub gate: Arc<Gate>,
    /// What each role is shown.
    pub rules: SharedRules,
    /// Everything that can be set.
    pub config: Config,
    /// Renders `/metrics`; from [`crate::telemetry::install_metrics`].
    pub metrics: PrometheusHandle,
    /// The time of day.
    pub clock: Clock,
}

/// Where the doors are, after port 0 has become a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Pages, HTTP and WebSockets.
    pub http: SocketAddr,
    /// The PostgreSQL door, if it is open.
    pub postgres: Option<SocketAddr>,
    /// The Flight SQL door, if it is open.
    pub flight: Option<SocketAddr>,
    /// Whether the last two have TLS.
    pub has_tls: bool,
}

/// Why serving did not begin, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program has the address.
    #[error("{address} is in use: stop the program that has it, or choose another with `{option}`")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
        /// The option that changes it.
        option: &'static str,
    },
    /// The address cannot be had for another reason.
    #[error("cannot listen on {address}: {source}; choose another with `{option}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The option that changes it.
        option: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The PostgreSQL door cannot be set up.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The Flight SQL door cannot be set up.
    #[error("the Flight SQL door cannot be set up: {0}")]
    Flight(#[from] tonic::transport::Error),
    /// The threads for queries cannot be started.
    #[error("cannot start the threads for queries: {0}")]
    Threads(#[source] io::Error),
    /// Accepting connections failed for good.
    #[error("serving HTTP failed: {0}")]
    Http(#[source] io::Error),
}

/// A runtime for [`serve`]: two threads are enough for ten thousand viewers, because every frame
/// is encoded once.
///
/// # Errors
/// When the system gives no threads.
pub fn people_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tidemark-people")
        .enable_all()
        .build()
}

/// Serves until `shutdown` is ready, then says goodbye and returns within 5 s.
///
/// `bound` is called once, when all doors are open. Addresses come from `parts.config.server`.
///
/// # Errors
/// When a door cannot be opened, before `bound` is called; or when accepting fails for good.
pub async fn serve(
    parts: ServerParts,
    bound: impl FnOnce(Bound),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let server = &parts.config.server;
    let tls = server.tls.as_ref().map(Tls::open).transpose()?;
    let http = listen(server.listen, "--listen")?;
    let postgres = server.postgres.map(|address| listen(address, "--postgres")).transpose()?;
    let flight = server.flight.map(|address| listen(address, "--flight")).transpose()?;
    let queries = QueryThreads::start(parts.config.sql.threads).map_err(ServeError::Threads)?;
    let sql = SqlService::new(
        Arc::clone(&parts.results),
        parts.reference.clone(),
        (parts.config.sql.clone(), Arc::clone(&parts.rules)),
        queries.handle(),
        parts.clock.clone(),
    );
    let gate = Arc::clone(&parts.gate);
    let (has_tls, most) = (tls.is_some(), server.postgres_connections_max);
    let door = PostgresDoor::new(sql.clone(), Arc::clone(&gate), (most, tls.clone()))?;
    let most = server.flight_connections_max;
    let flight_door = FlightDoor::new(sql.clone(), Arc::clone(&gate), (most, tls))?;
    let (data_dir, most) = (&parts.config.pipeline.data_dir, parts.config.sql.shared_max);
    let pins = parts.results.past().map(|past| past.pins.as_ref());
    let shared = SharedQueries::open(data_dir, most, pins);
    let keeper = Doorkeeper::default();
    bound(Bound {
        http: http.local_addr().map_err(ServeError::Http)?,
        postgres: postgres.as_ref().and_then(|listener| listener.local_addr().ok()),
        flight: flight.as_ref().and_then(|listener| listener.local_addr().ok()),
        has_tls,
    });
    let hub = Hub::new(Arc::clone(&parts.results), parts.clock.clone());
    // A publisher that is told to publish every minute is well for three.
    let silence_max = server.stalled_after.max(parts.config.pipeline.publish_every * 3);
    let pulse = Pulse::new(silence_max);
    let helpers = [
        tokio::spawn(Arc::clone(&pulse).listen(Arc::clone(&parts.results))),
        tokio::spawn(keep_status(Arc::clone(&hub))),
        tokio::spawn(keep_metrics(parts.metrics.clone())),
        tokio::spawn(async move { gate.keep_sessions().await }),
    ];
    if let Some(postgres) = postgres {
        // On the threads for queries: encoding rows is part of the query.
        queries.handle().spawn(door.serve(postgres, keeper.closing()));
    }
    if let Some(flight) = flight {
        queries.handle().spawn(flight_door.serve(flight, keeper.closing()));
    }
    let served =
        serve_http(http, state(parts, (hub, sql, pulse, shared), &keeper), keeper, shutdown).await;
    helpers.iter().for_each(tokio::task::JoinHandle::abort);
    served
}

async fn keep_status(hub: Arc<Hub>) {
    hub.keep_status().await;
}

async fn keep_metrics(metrics: PrometheusHandle) {
    let mut every = tokio::time::interval(METRICS_UPKEEP);
    loop {
        every.tick().await;
        metrics.run_upkeep();
    }
}

fn state(
    parts: ServerParts,
    (hub, sql, pulse, shared): (Arc<Hub>, SqlService, Arc<Pulse>, SharedQueries),
    keeper: &Doorkeeper,
) -> AppState {
    AppState {
        results: parts.results,
        hub,
        sql,
        shared,
        pulse,
        ingest: parts.ingest,
        reload: parts.reload,
        ingest_turns: Arc::new(Semaphore::new(parts.config.server.ingest_in_flight_max)),
        screens: parts.screens,
        examples: parts.config.pipeline.sql_dir.join("examples"),
        config: parts.config.server,
        metrics: parts.metrics,
        gate: parts.gate,
        clock: parts.clock,
        closing: keeper.closing(),
        guest: keeper.guest(),
    }
}

async fn serve_http(
    listener: TcpListener,
    state: AppState,
    keeper: Doorkeeper,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let connections = Arc::new(Semaphore::new(state.config.connections_max));
    let mut closing: Closing = keeper.closing();
    let routes = router(Arc::new(state)).into_make_service_with_connect_info::<Client>();
    let serving = axum::serve(Bounded { listener, connections }, routes)
        .with_graceful_shutdown(async move { closing.begun().await });
    let mut serving = std::pin::pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return ended.map_err(ServeError::Http),
        () = shutdown => keeper.close(),
    }
    let drained = tokio::time::timeout(DRAIN_MAX, async {
        let served = serving.await;
        keeper.last_guest_left().await;
        served
    });
    match drained.await {
        Ok(served) => served.map_err(ServeError::Http),
        Err(_) => {
            tracing::warn!("some connections did not end within 5 s and were cut");
            Ok(())
        }
    }
}

fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, ServeError> {
    open(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { address, option },
        _ => ServeError::Bind { address, option, source },
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart does not wait for the connections of the life before.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The threads that run queries. Dropping it stops them without waiting for a long query.
struct QueryThreads(Option<Runtime>);

impl QueryThreads {
    fn start(threads: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // One more, so that the PostgreSQL door answers while every query thread is busy.
            .worker_threads(threads + 1)
            .max_blocking_threads(threads.max(2))
            .thread_name("tidemark-sql")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> tokio::runtime::Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            // Only a dropped one has none.
            None => tokio::runtime::Handle::current(),
        }
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A listener that accepts only while there is room.
pub(crate) struct Bounded {
    listener: TcpListener,
    connections: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Counted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Counted, SocketAddr) {
        loop {
            // The semaphore is never closed; if it were, there would be no more room for ever.
            let Ok(place) = Arc::clone(&self.connections).acquire_owned().await else {
                return std::future::pending().await;
            };
            let (stream, from) = Listener::accept(&mut self.listener).await;
            // A frame must not wait for the next one to fill a packet.
            let quick = stream
                .set_nodelay(true)
                .and_then(|()| socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES));
            if quick.is_ok() {
                let (taken, requests) = (Arc::default(), Arc::<Requests>::default());
                let greeting = Greeting::of_heads(Arc::clone(&requests));
                return (Counted { stream, greeting, requests, taken, _place: place }, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that gives its place back when it ends, and counts what it takes.
pub(crate) struct Counted {
    stream: TcpStream,
    greeting: Greeting,
    requests: Arc<Requests>,
    taken: Arc<AtomicU64>,
    _place: OwnedSemaphorePermit,
}

impl Counted {
    /// Bytes it has taken, as they come to be more.
    pub(crate) fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }

    /// Its requests, for who answers them to count.
    pub(crate) fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.requests)
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.taken.fetch_add(u64::try_from(*bytes).unwrap_or(0), Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.greeting.poll_read(Pin::new(&mut this.stream), context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.count(written)
    }
}
