//! The first words of a connection: who it is, and its token where one is needed.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion_postgres::pgwire::api::auth::{
    DefaultServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, ConnectionManager, PgWireConnectionState,
    PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::sink::{Sink, SinkExt as _};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::frame::is_first_proof;
use super::functions::User;
use crate::auth::scram::{Exchange, MECHANISM};
use crate::auth::secret::random_bytes;
use crate::auth::{Admitted, Gate, Refusal, Right, Role};
use crate::sql::tables::Pin;

/// Lets a connection in: at once where nobody needs a key, else with a user's key as its password.
///
/// A user with a SCRAM verifier proves its key and never shows it. Otherwise only TLS hides the password on the
/// way, which is one reason why without it this door never leaves the machine.
///
/// A name that is not known is asked to prove its key like any other, and takes as long to be refused.
pub(super) struct Startup {
    gate: Arc<Gate>,
    /// Where the connection comes from.
    from: IpAddr,
    /// Whether who has not asked for TLS is refused.
    needs_tls: bool,
    /// The exchange of who proves a key, and who that is; `None` for a name that is not known.
    proving: Mutex<Option<(Exchange, Option<Admitted>)>>,
    /// Who it is, once that is known.
    admitted: watch::Sender<Option<Admitted>>,
    /// What the connection sees, once it is known whose it is.
    pin: Arc<Pin>,
    /// What it is called, once it is let in.
    user: User,
    manager: Arc<ConnectionManager>,
    keys: RandomPidSecretKeyGenerator,
}

impl Startup {
    /// A start that moves `pin` to what its user sees.
    pub(super) fn new(
        (gate, from): (Arc<Gate>, IpAddr),
        needs_tls: bool,
        (pin, user): (Arc<Pin>, User),
        manager: Arc<ConnectionManager>,
    ) -> Self {
        Self {
            gate,
            from,
            needs_tls,
            proving: Mutex::default(),
            admitted: watch::Sender::new(None),
            pin,
            user,
            manager,
            keys: RandomPidSecretKeyGenerator::default(),
        }
    }

    /// Waits until whoever the connection is of has to go.
    pub(super) async fn has_to_go(&self) {
        let mut known = self.admitted.subscribe();
        let admitted = known.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match admitted {
            Some(mut admitted) => admitted.stay.over().await,
            None => std::future::pending().await,
        }
    }

    async fn let_in<C>(&self, client: &mut C, admitted: Admitted) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.pin.show_to(&admitted.principal);
        *self.user.lock() = user(client);
        self.admitted.send_replace(Some(admitted));
        let (pid, key) = self.keys.generate(client);
        client.set_pid_and_secret_key(pid, key);
        // Known to the manager, so that another connection can cancel what this one runs.
        let (pid, key) = client.pid_and_secret_key();
        let (handle, guard) = self.manager.register(pid, key);
        client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
        client.session_extensions().insert::<ConnectionGuard>(guard);
        let mut told = DefaultServerParameterProvider::default();
        // Clients show times by it, and read those without an offset.
        self.pin.ledger_zone().name().clone_into(&mut told.time_zone);
        finish_authentication(client, &told).await
    }
}

impl Startup {
    /// The two steps of an exchange that proves a key: the answer to the first words, then the check.
    async fn prove<C>(&self, client: &mut C, message: PasswordMessageFamily) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let wrong = || PgWireError::InvalidPassword(user(client));
        let begun = self.proving.lock().take();
        let Some((exchange, admitted)) = begun else {
            let prover = self.gate.doorman.prover(&user(client)).ok_or_else(wrong)?;
            let (verifier, admitted) = prover;
            if let PasswordMessageFamily::Raw(body) = &message
                && !is_first_proof(body)
            {
                let told = "the first words of a proof break off".to_owned();
                let info = ErrorInfo::new("FATAL".into(), "08P01".into(), told);
                return Err(PgWireError::UserError(Box::new(info)));
            }
            let first = message.into_sasl_initial_response()?;
            let words = first
                .data
                .as_deref()
                .and_then(|data| std::str::from_utf8(data).ok())
                .ok_or_else(wrong)?;
            let nonce = random_bytes::<18>().map(|bytes| STANDARD.encode(bytes))?;
            let (exchange, answer) = Exchange::begin(verifier, words, &nonce).ok_or_else(wrong)?;
            *self.proving.lock() = Some((exchange, admitted));
            let answer = Authentication::SASLContinue(answer.into());
            client.send(PgWireBackendMessage::Authentication(answer)).await?;
            return Ok(());
        };
        let name = user(client);
        let attempt = self.gate.doorman.attempt(self.from, &name).map_err(|_| too_many(&name))?;
        let last = message.into_sasl_response()?;
        let proof = std::str::from_utf8(&last.data).ok().and_then(|words| exchange.end(words));
        let (proof, admitted) = proof.zip(admitted).ok_or_else(wrong)?;
        attempt.does_not_count();
        may_ask(admitted.principal.role)?;
        let answer = Authentication::SASLFinal(proof.into());
        client.send(PgWireBackendMessage::Authentication(answer)).await?;
        self.let_in(client, admitted).await
    }
}

/// Whoever has shown a key is told where it opens nothing.
fn may_ask(role: Role) -> PgWireResult<()> {
    if role.may(Right::Query) {
        return Ok(());
    }
    let told = format!(
        "the key is right, but role {} may not ask in SQL: this door is for analyst, operator and admin",
        role.as_str()
    );
    let refused = ErrorInfo::new("FATAL".into(), "28000".into(), told);
    Err(PgWireError::UserError(Box::new(refused)))
}

/// After too many wrong keys; told with the class of errors that a client does not try again at once.
fn too_many(name: &str) -> PgWireError {
    let told = format!("too many wrong keys for {name:?} or from this address; wait a minute");
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".into(), "53300".into(), told)))
}

/// The name a connection gives itself.
fn user(client: &impl ClientInfo) -> String {
    client.metadata().get("user").cloned().unwrap_or_default()
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(_) if self.needs_tls && !client.is_secure() => {
                let told = "this door needs TLS: connect with sslmode=require or stricter";
                let refused = ErrorInfo::new("FATAL".into(), "28000".into(), told.into());
                Err(PgWireError::UserError(Box::new(refused)))
            }
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                if let Some(anyone) = self.gate.doorman.anyone() {
                    return self.let_in(client, anyone).await;
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let ask = match self.gate.doorman.prover(&user(client)) {
                    Some(_) => Authentication::SASL(vec![MECHANISM.to_owned()]),
                    None => Authentication::CleartextPassword,
                };
                client.send(PgWireBackendMessage::Authentication(ask)).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(message)
                if self.gate.doorman.prover(&user(client)).is_some() =>
            {
                self.prove(client, message).await
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => {
                let shown = message.into_password()?;
                match self.gate.doorman.who(&shown.password, self.from).await {
                    Ok(admitted) => {
                        may_ask(admitted.principal.role)?;
                        self.let_in(client, admitted).await
                    }
                    Err(Refusal::TooMany(_)) => Err(too_many(&user(client))),
                    Err(Refusal::Unknown) => Err(PgWireError::InvalidPassword(user(client))),
                }
            }
            _ => Ok(()),
        }
    }
}
