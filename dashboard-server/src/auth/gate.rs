//! Everything that lets people and programs in, together.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::devices::{Devices, DevicesError};
use super::doorman::{Doorman, Refusal, Renewed};
use super::pairing::Pairing;
use super::sessions::Sessions;
use super::stay::Admitted;
use super::tickets::Tickets;
use crate::clock::Clock;
use crate::config::{ServerConfig, TokenHash, User};

/// How often sessions are looked through for those that are too old.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The users, sessions, tickets and devices of a server.
#[derive(Debug)]
pub struct Gate {
    /// Knows users by their keys.
    pub doorman: Doorman,
    /// Who is logged in.
    pub sessions: Sessions,
    /// Tickets for WebSockets.
    pub tickets: Tickets,
    /// Paired walls.
    pub devices: Devices,
    /// Walls that wait to be paired.
    pub pairing: Pairing,
}

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No random bytes.
    #[error("the system has no random bytes to give: {0}")]
    Random(#[source] io::Error),
    /// The devices cannot be read.
    #[error("the paired devices cannot be read: {0}")]
    Devices(#[source] DevicesError),
}

/// What a request shows of who sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown<'a> {
    /// A user's key.
    pub key: Option<&'a str>,
    /// The cookie of a session.
    pub session: Option<&'a str>,
    /// The cookie of a device.
    pub device: Option<&'a str>,
}

impl Gate {
    /// The gate of a configuration, with the devices of its data folder.
    ///
    /// # Errors
    /// When these cannot be read.
    pub fn open(config: &ServerConfig, data_dir: &Path, clock: &Clock) -> Result<Self, GateError> {
        let doorman = Doorman::new(&config.users, &config.tokens, clock.clone());
        Ok(Self {
            doorman: doorman.map_err(GateError::Random)?,
            sessions: Sessions::new(clock.clone(), config.session_life),
            tickets: Tickets::new(clock.clone()),
            devices: Devices::open(data_dir, clock.clone()).map_err(GateError::Devices)?,
            pairing: Pairing::new(clock.clone()),
        })
    }

    /// Takes other users and tokens; who is no longer there has to go from wherever it is.
    pub fn renew(&self, users: &[User], tokens: &[TokenHash]) -> Renewed {
        let renewed = self.doorman.renew(users, tokens);
        self.sessions.keep(|principal| self.doorman.still_knows(principal));
        renewed
    }

    /// Who someone is: anyone where no key is needed, else the user of a key or session, or a device.
    ///
    /// # Errors
    /// When it is nobody, or a key was shown after too many wrong ones.
    pub async fn who(&self, shown: Shown<'_>, from: IpAddr) -> Result<Admitted, Refusal> {
        if let Some(anyone) = self.doorman.anyone() {
            return Ok(anyone);
        }
        if let Some(key) = shown.key {
            return self.doorman.who(key, from).await;
        }
        let user = shown.session.and_then(|cookie| self.sessions.of(cookie));
        let device = || {
            let (principal, stay) = self.devices.of(shown.device?)?;
            Some(Admitted { principal, stay })
        };
        user.or_else(device).ok_or(Refusal::Unknown)
    }

    /// Ends sessions when their time is over, for as long as it is polled.
    pub async fn keep_sessions(&self) {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        loop {
            every.tick().await;
            self.sessions.keep(|principal| self.doorman.still_knows(principal));
        }
    }
}
