//! The first words of a connection: who it is, and its token where one is needed.

use std::fmt::Debug;
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
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::sink::{Sink, SinkExt as _};
use parking_lot::Mutex;

use crate::auth::scram::{Exchange, MECHANISM};
use crate::auth::secret::random_bytes;
use crate::auth::{Doorman, Principal, Right};
use crate::sql::tables::Pin;

/// Lets a connection in: at once where nobody needs a key, else with a user's key as its password.
///
/// A user with a SCRAM verifier proves its key and never shows it. Otherwise the password is not hidden on
/// the way, which is one reason why this door never leaves the machine.
pub(super) struct Startup {
    doorman: Arc<Doorman>,
    /// The exchange of a user who proves its key, and who that is.
    proving: Mutex<Option<(Exchange, Arc<Principal>)>>,
    /// What the connection sees, once it is known whose it is.
    pin: Arc<Pin>,
    manager: Arc<ConnectionManager>,
    keys: RandomPidSecretKeyGenerator,
}

impl Startup {
    /// A start that moves `pin` to what its user sees.
    pub(super) fn new(
        doorman: Arc<Doorman>,
        pin: Arc<Pin>,
        manager: Arc<ConnectionManager>,
    ) -> Self {
        Self {
            doorman,
            proving: Mutex::default(),
            pin,
            manager,
            keys: RandomPidSecretKeyGenerator::default(),
        }
    }

    async fn let_in<C>(&self, client: &mut C) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (pid, key) = self.keys.generate(client);
        client.set_pid_and_secret_key(pid, key);
        // Known to the manager, so that another connection can cancel what this one runs.
        let (pid, key) = client.pid_and_secret_key();
        let (handle, guard) = self.manager.register(pid, key);
        client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
        client.session_extensions().insert::<ConnectionGuard>(guard);
        finish_authentication(client, &DefaultServerParameterProvider::default()).await
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
        let Some((exchange, principal)) = begun else {
            let (principal, verifier) = self.doorman.prover(&user(client)).ok_or_else(wrong)?;
            let first = message.into_sasl_initial_response()?;
            let words = first
                .data
                .as_deref()
                .and_then(|data| std::str::from_utf8(data).ok())
                .ok_or_else(wrong)?;
            let nonce = random_bytes::<18>().map(|bytes| STANDARD.encode(bytes))?;
            let (exchange, answer) = Exchange::begin(verifier, words, &nonce).ok_or_else(wrong)?;
            *self.proving.lock() = Some((exchange, principal));
            let answer = Authentication::SASLContinue(answer.into());
            client.send(PgWireBackendMessage::Authentication(answer)).await?;
            return Ok(());
        };
        let last = message.into_sasl_response()?;
        let proof = std::str::from_utf8(&last.data).ok().and_then(|words| exchange.end(words));
        let proof = proof.filter(|_| principal.role.may(Right::Query)).ok_or_else(wrong)?;
        let answer = Authentication::SASLFinal(proof.into());
        client.send(PgWireBackendMessage::Authentication(answer)).await?;
        self.pin.show_only(principal.views.clone());
        self.let_in(client).await
    }
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
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                if self.doorman.lets_everyone_in() {
                    return self.let_in(client).await;
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let ask = match self.doorman.prover(&user(client)) {
                    Some(_) => Authentication::SASL(vec![MECHANISM.to_owned()]),
                    None => Authentication::CleartextPassword,
                };
                client.send(PgWireBackendMessage::Authentication(ask)).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(message)
                if self.doorman.prover(&user(client)).is_some() =>
            {
                self.prove(client, message).await
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => {
                let shown = message.into_password()?;
                let principal = self.doorman.who(&shown.password).await;
                if let Some(principal) =
                    principal.filter(|principal| principal.role.may(Right::Query))
                {
                    self.pin.show_only(principal.views.clone());
                    return self.let_in(client).await;
                }
                Err(PgWireError::InvalidPassword(user(client)))
            }
            _ => Ok(()),
        }
    }
}
