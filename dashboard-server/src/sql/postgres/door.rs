//! Accepting connections, and what each of them is made of.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use datafusion_postgres::pgwire::api::cancel::DefaultCancelHandler;
use datafusion_postgres::pgwire::api::{ClientInfo, ConnectionManager, ErrorHandler};
use datafusion_postgres::pgwire::error::PgWireError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::catalogue;
use super::conversation::{converse, turn_away};
use super::functions;
use super::gate::Gate;
use super::gathering::{Gathering, Waiting};
use super::kept::Kept;
use super::limited::LimitedService;
use super::reading::Lengths;
use super::startup::Startup;
use crate::auth;
use crate::closing::Closing;
use crate::sql::SqlService;
use crate::sql::session::CATALOG;
use crate::tls::Tls;

/// Connections that are being told that there is no place; each costs a socket and a few KiB.
const TURNED_AWAY_MAX: usize = 512;

/// Why the door cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the PostgreSQL catalogue cannot be set up: {0}")]
pub struct PostgresError(#[source] DataFusionError);

/// The door, ready to be opened.
pub struct PostgresDoor {
    parts: Arc<Parts>,
    connections: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
}

struct Parts {
    service: SqlService,
    waiting: Arc<Waiting>,
    connections_max: usize,
    gate: Arc<auth::Gate>,
    manager: Arc<ConnectionManager>,
    tls: Option<Tls>,
}

impl PostgresDoor {
    /// A door to `service` for at most `connections_max` at a time. Where there are users, the password is
    /// a user's key, and the user's role must allow SQL. With `tls` a client may ask for it, or has to.
    ///
    /// # Errors
    /// When the catalogue that psql asks for cannot be built; tried here so that it fails at start.
    pub fn new(
        service: SqlService,
        gate: Arc<auth::Gate>,
        (connections_max, tls): (usize, Option<Tls>),
    ) -> Result<Self, PostgresError> {
        let manager = Arc::new(ConnectionManager::new());
        let waiting = Waiting::new(&service.limits().config);
        let parts = Arc::new(Parts { service, waiting, connections_max, gate, manager, tls });
        Connection::new(&parts, IpAddr::V4(Ipv4Addr::LOCALHOST)).map_err(PostgresError)?;
        let connections = Arc::new(Semaphore::new(connections_max));
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        Ok(Self { parts, connections, turned_away })
    }

    /// Serves until the server goes away.
    pub async fn serve(self, listener: TcpListener, mut closing: Closing) {
        loop {
            tokio::select! {
                () = closing.begun() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => self.admit(stream, from.ip(), closing.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "accepting a PostgreSQL connection failed: {error}");
                        // Mostly there are no file handles left; asking again at once would not help.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    fn admit(&self, stream: TcpStream, from: IpAddr, mut closing: Closing) {
        let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.turn_away(stream);
            return;
        };
        let parts = Arc::clone(&self.parts);
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = closing.begun() => {}
                () = serve_one(stream, from, &parts) => {}
            }
        });
    }
}

impl PostgresDoor {
    /// Tells why there is no place; too many at a time are not told.
    fn turn_away(&self, stream: TcpStream) {
        tracing::warn!(
            "a PostgreSQL connection was turned away: server.postgres-connections-max is reached"
        );
        let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() else { return };
        let parts = Arc::clone(&self.parts);
        tokio::spawn(async move {
            let _place = place;
            let cancel = DefaultCancelHandler::new(Arc::clone(&parts.manager));
            let acceptor = parts.tls.as_ref().map(|tls| tls.acceptor.clone());
            let told = turn_away(stream, acceptor, &cancel, parts.connections_max).await;
            if let Err(error) = told {
                tracing::debug!(%error, "a PostgreSQL connection could not be told: {error}");
            }
        });
    }
}

/// Serves a connection until it ends, or whoever it is of has to go.
async fn serve_one(stream: TcpStream, from: IpAddr, parts: &Arc<Parts>) {
    let connection = match Connection::new(parts, from) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!(%error, "a PostgreSQL session cannot be set up: {error}");
            return;
        }
    };
    let acceptor = parts.tls.as_ref().map(|tls| tls.acceptor.clone());
    if let Err(error) = converse(stream, acceptor, &connection).await {
        tracing::debug!(%error, "a PostgreSQL connection ended: {error}");
    }
}

/// What one connection is made of.
pub(super) struct Connection {
    /// What may pass.
    pub(super) gate: Arc<Gate>,
    /// How long its messages may be.
    pub(super) lengths: Lengths,
    /// What asks.
    pub(super) queries: Arc<LimitedService>,
    /// Who lets it in.
    pub(super) startup: Arc<Startup>,
    /// Who cancels what another connection asks.
    pub(super) cancel: Arc<DefaultCancelHandler>,
    context: SessionContext,
}

impl Connection {
    fn new(parts: &Arc<Parts>, from: IpAddr) -> Result<Self, DataFusionError> {
        let pin = parts.service.pin();
        let session = parts.service.session(&pin)?;
        setup_pg_catalog(&session.context, CATALOG, EmptyContextProvider)
            .map_err(|error| *error)?;
        catalogue::describe(&session.context, &pin)?;
        let user = functions::User::default();
        functions::all(pin.ledger_zone(), &user)
            .into_iter()
            .for_each(|function| session.context.register_udf(function));
        let manager = Arc::clone(&parts.manager);
        let limits = &parts.service.limits().config;
        let lengths = Lengths::new(limits);
        let gathering = Gathering::new(Arc::clone(&pin), Arc::clone(&parts.waiting));
        let kept = Kept::new(lengths.kept_bytes_max());
        let gate = Gate::new(Arc::clone(&pin), limits.clone(), gathering.clone(), kept);
        let gate = Arc::new(gate);
        Ok(Self {
            lengths,
            startup: Arc::new(Startup::new(
                (Arc::clone(&parts.gate), from),
                parts.tls.as_ref().is_some_and(|tls| tls.is_required),
                (Arc::clone(&pin), user),
                Arc::clone(&manager),
            )),
            context: session.context.clone(),
            queries: Arc::new(LimitedService::new(
                parts.service.clone(),
                (session, pin),
                Arc::clone(&gate),
                gathering,
            )),
            gate,
            cancel: Arc::new(DefaultCancelHandler::new(manager)),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        catalogue::forget(&self.context);
    }
}

/// Puts the engine's errors into words and codes a PostgreSQL client knows.
pub(super) struct PlainErrors;

impl ErrorHandler for PlainErrors {
    fn on_error<C>(&self, _client: &C, error: &mut PgWireError)
    where
        C: ClientInfo,
    {
        if let Some(told) = super::error::told(error) {
            *error = told;
        }
    }
}
