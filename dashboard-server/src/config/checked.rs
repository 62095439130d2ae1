//! The configuration, checked and typed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidemark_pipeline::config::PipelineConfig;

use super::file::ConfigError;
use super::raw::{RawConfig, RawServerConfig, RawSqlConfig, RawUser};
use super::roles::{self, RoleConfig};
use crate::auth::scram::Verifier;
use crate::auth::{Role, Views, secret};

/// What the command line says over the file. `None` leaves the file's word.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--postgres`.
    pub postgres: Option<String>,
    /// `--flight`.
    pub flight: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--sql-dir`.
    pub sql_dir: Option<PathBuf>,
}

/// The configuration of everything, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What talks to people.
    pub server: ServerConfig,
    /// Limits of queries.
    pub sql: SqlConfig,
    /// What computes the figures.
    pub pipeline: PipelineConfig,
}

/// `[server]`, checked.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address of pages, HTTP and WebSockets.
    pub listen: SocketAddr,
    /// Address of the PostgreSQL door; `None` keeps it shut.
    pub postgres: Option<SocketAddr>,
    /// Address of the Flight SQL door; `None` keeps it shut.
    pub flight: Option<SocketAddr>,
    /// TLS of the PostgreSQL door and the Flight SQL door; without it both are for this machine only.
    pub tls: Option<TlsFiles>,
    /// Origins beside the server's own, lower-case and without a trailing slash.
    pub origins: Vec<String>,
    /// Users by name; with no user and no token, loopback only.
    pub users: Vec<User>,
    /// Hashes of the older tokens, each of an admin.
    pub tokens: Vec<TokenHash>,
    /// See [`RawServerConfig::session_hours`].
    pub session_life: Duration,
    /// See [`RawServerConfig::connections_max`].
    pub connections_max: usize,
    /// See [`RawServerConfig::postgres_connections_max`].
    pub postgres_connections_max: usize,
    /// See [`RawServerConfig::flight_connections_max`].
    pub flight_connections_max: usize,
    /// See [`RawServerConfig::ingest_in_flight_max`].
    pub ingest_in_flight_max: usize,
    /// See [`RawServerConfig::ping_every_ms`].
    pub ping_every: Duration,
    /// See [`RawServerConfig::write_timeout_ms`].
    pub write_timeout: Duration,
    /// See [`RawServerConfig::stalled_after_ms`].
    pub stalled_after: Duration,
}

/// Where a certificate and its key are. They are read when the doors are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and the chain above it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// See [`RawServerConfig::tls_required`].
    pub is_required: bool,
}

/// A user, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it sees.
    pub views: Views,
    /// Argon2id hash of its key.
    pub key_hash: String,
    /// What the PostgreSQL door knows of its key; `None` where the key is shown there.
    pub scram: Option<Verifier>,
    /// What its role is shown, in short: when this changes at a reload, what the user has open is closed.
    pub shown: String,
}

/// The SHA-256 of a token. The token itself is never kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

/// `[sql]`, checked.
#[derive(Debug, Clone)]
pub struct SqlConfig {
    /// See [`RawSqlConfig::rows_max`].
    pub rows_max: usize,
    /// See [`RawSqlConfig::seconds_max`].
    pub time_max: Duration,
    /// See [`RawSqlConfig::memory_bytes_max`].
    pub memory_bytes_max: usize,
    /// See [`RawSqlConfig::concurrent_max`].
    pub concurrent_max: usize,
    /// See [`RawSqlConfig::row_bytes_max`].
    pub row_bytes_max: usize,
    /// See [`RawSqlConfig::statement_bytes_max`].
    pub statement_bytes_max: usize,
    /// See [`RawSqlConfig::nesting_max`].
    pub nesting_max: usize,
    /// See [`RawSqlConfig::operators_max`].
    pub operators_max: usize,
    /// See [`RawSqlConfig::tables_max`].
    pub tables_max: usize,
    /// See [`RawSqlConfig::query_log_max`].
    pub query_log_max: usize,
    /// See [`RawSqlConfig::shared_max`].
    pub shared_max: usize,
    /// See [`RawSqlConfig::subscriptions_max`].
    pub subscriptions_max: usize,
    /// See [`RawSqlConfig::threads`]; at least 1.
    pub threads: usize,
    /// `[sql.roles.NAME]`, those that are written.
    pub roles: BTreeMap<Role, RoleConfig>,
}

impl Config {
    /// Checks what was written and what the command line says over it.
    ///
    /// # Errors
    /// Every mistake, each naming its key, its value and what to do.
    pub fn check(raw: RawConfig, overrides: Overrides) -> Result<Self, ConfigError> {
        let mut written = raw.server;
        if let Some(listen) = overrides.listen {
            written.listen = listen;
        }
        if let Some(postgres) = overrides.postgres {
            written.postgres = postgres;
        }
        if let Some(flight) = overrides.flight {
            written.flight = flight;
        }
        let mut mistakes = Vec::new();
        let users: Vec<User> = raw
            .users
            .iter()
            .filter_map(|(name, user)| checked_user(&mut mistakes, name, user))
            .collect();
        let has_users = !raw.users.is_empty();
        let server = ServerConfig::check(&written, (users, has_users), &mut mistakes);
        let sql = SqlConfig::check(&raw.sql, &mut mistakes);
        let sql_dir = overrides.sql_dir.unwrap_or_else(|| PathBuf::from(raw.sql_dir));
        let data_dir = overrides.data_dir.unwrap_or_else(|| PathBuf::from(raw.data_dir));
        let pipeline = PipelineConfig::check(&raw.pipeline, sql_dir, data_dir, raw.streams)
            .map_err(|more| mistakes.extend(more))
            .ok();
        match (server, pipeline) {
            (Some(server), Some(pipeline)) if mistakes.is_empty() => {
                Ok(Self { server, sql, pipeline })
            }
            _ => Err(ConfigError { mistakes }),
        }
    }
}

impl ServerConfig {
    fn check(
        raw: &RawServerConfig,
        (users, has_users): (Vec<User>, bool),
        mistakes: &mut Vec<String>,
    ) -> Option<Self> {
        within(mistakes, "server.connections-max", wide(raw.connections_max), 1, 1_000_000);
        within(
            mistakes,
            "server.postgres-connections-max",
            wide(raw.postgres_connections_max),
            1,
            10_000,
        );
        within(
            mistakes,
            "server.flight-connections-max",
            wide(raw.flight_connections_max),
            1,
            10_000,
        );
        within(mistakes, "server.ingest-in-flight-max", wide(raw.ingest_in_flight_max), 1, 1_000);
        within(mistakes, "server.ping-every-ms", raw.ping_every_ms, 100, 60_000);
        within(mistakes, "server.write-timeout-ms", raw.write_timeout_ms, 100, 600_000);
        within(mistakes, "server.session-hours", raw.session_hours, 1, 8_760);
        within(mistakes, "server.stalled-after-ms", raw.stalled_after_ms, 100, 3_600_000);
        let listen = address(mistakes, "server.listen", &raw.listen);
        let mut door = |key, text: &str| match text {
            "" => None,
            text => address(mistakes, key, text),
        };
        let postgres = door("server.postgres", &raw.postgres);
        let flight = door("server.flight", &raw.flight);
        let origins =
            raw.origins.iter().filter_map(|origin| checked_origin(mistakes, origin)).collect();
        let tokens: Vec<TokenHash> =
            raw.tokens.iter().filter_map(|token| checked_token(mistakes, token)).collect();
        let tls = checked_tls(mistakes, raw);
        let is_open = raw.tokens.is_empty() && !has_users;
        refuse_open_doors(mistakes, listen, is_open);
        let doors = [("server.postgres", postgres), ("server.flight", flight)];
        doors.into_iter().filter_map(|(key, address)| Some((key, address?))).for_each(
            |(key, address)| refuse_plain_door(mistakes, (key, address), tls.as_ref(), is_open),
        );
        Some(Self {
            listen: listen?,
            postgres,
            flight,
            tls,
            origins,
            users,
            tokens,
            session_life: Duration::from_secs(raw.session_hours.saturating_mul(3_600)),
            connections_max: raw.connections_max,
            postgres_connections_max: raw.postgres_connections_max,
            flight_connections_max: raw.flight_connections_max,
            ingest_in_flight_max: raw.ingest_in_flight_max,
            ping_every: Duration::from_millis(raw.ping_every_ms),
            write_timeout: Duration::from_millis(raw.write_timeout_ms),
            stalled_after: Duration::from_millis(raw.stalled_after_ms),
        })
    }
}

impl SqlConfig {
    fn check(raw: &RawSqlConfig, mistakes: &mut Vec<String>) -> Self {
        within(mistakes, "sql.rows-max", wide(raw.rows_max), 1, 10_000_000);
        within(mistakes, "sql.seconds-max", raw.seconds_max, 1, 86_400);
        within(mistakes, "sql.memory-bytes-max", wide(raw.memory_bytes_max), 1_048_576, 1 << 40);
        within(mistakes, "sql.concurrent-max", wide(raw.concurrent_max), 1, 1_000);
        within(mistakes, "sql.row-bytes-max", wide(raw.row_bytes_max), 1_024, 16_777_216);
        let statement_bytes = wide(raw.statement_bytes_max);
        within(mistakes, "sql.statement-bytes-max", statement_bytes, 1_024, 1_048_576);
        // Beyond these the stack of a query thread would no longer do.
        within(mistakes, "sql.nesting-max", wide(raw.nesting_max), 1, 48);
        within(mistakes, "sql.operators-max", wide(raw.operators_max), 1, 4_000);
        within(mistakes, "sql.tables-max", wide(raw.tables_max), 1, 2_000);
        within(mistakes, "sql.query-log-max", wide(raw.query_log_max), 0, 100_000);
        within(mistakes, "sql.shared-max", wide(raw.shared_max), 0, 10_000);
        within(mistakes, "sql.subscriptions-max", wide(raw.subscriptions_max), 0, 100_000);
        within(mistakes, "sql.threads", wide(raw.threads), 0, 256);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            rows_max: raw.rows_max,
            time_max: Duration::from_secs(raw.seconds_max),
            memory_bytes_max: raw.memory_bytes_max,
            concurrent_max: raw.concurrent_max,
            row_bytes_max: raw.row_bytes_max,
            statement_bytes_max: raw.statement_bytes_max,
            nesting_max: raw.nesting_max,
            operators_max: raw.operators_max,
            tables_max: raw.tables_max,
            query_log_max: raw.query_log_max,
            shared_max: raw.shared_max,
            subscriptions_max: raw.subscriptions_max,
            threads: if raw.threads == 0 { (cores / 2).max(1) } else { raw.threads },
            roles: roles::checked(mistakes, &raw.roles),
        }
    }
}

pub(super) fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

pub(super) fn within(mistakes: &mut Vec<String>, key: &str, value: u64, low: u64, high: u64) {
    if !(low..=high).contains(&value) {
        mistakes.push(format!("{key} = {value}: must be from {low} to {high}"));
    }
}

fn address(mistakes: &mut Vec<String>, key: &str, text: &str) -> Option<SocketAddr> {
    let numeric = text.replace("localhost:", "127.0.0.1:");
    numeric
        .parse()
        .map_err(|_| {
            mistakes.push(format!(
                "{key} = {text:?}: write an address and a port, as \"127.0.0.1:8080\""
            ));
        })
        .ok()
}

/// Nothing is reachable from another machine before there is a way to say who may.
fn refuse_open_doors(mistakes: &mut Vec<String>, listen: Option<SocketAddr>, open_to_all: bool) {
    if let Some(listen) = listen.filter(|address| open_to_all && !address.ip().is_loopback()) {
        mistakes.push(format!(
            "server.listen = \"{listen}\": other machines could reach this; add a user with `tidemark user add`, or \
             listen on 127.0.0.1"
        ));
    }
}

/// A door through which keys and figures pass leaves the machine with TLS and users only.
fn refuse_plain_door(
    mistakes: &mut Vec<String>,
    (key, address): (&str, SocketAddr),
    tls: Option<&TlsFiles>,
    open_to_all: bool,
) {
    if address.ip().is_loopback() {
        return;
    }
    if open_to_all {
        mistakes.push(format!(
            "{key} = \"{address}\": other machines could reach this; add a user with `tidemark user add`, or listen \
             on 127.0.0.1"
        ));
    }
    match tls {
        Some(tls) if tls.is_required => {}
        Some(_) => mistakes.push(format!(
            "{key} = \"{address}\": other machines could reach this in plain text; set server.tls-required = true"
        )),
        None => mistakes.push(format!(
            "{key} = \"{address}\": without TLS this stays on this machine; set server.tls-certificate and \
             server.tls-key, or listen on 127.0.0.1 and reach it through an SSH tunnel"
        )),
    }
}

fn checked_tls(mistakes: &mut Vec<String>, raw: &RawServerConfig) -> Option<TlsFiles> {
    if raw.tls_certificate.is_empty() && raw.tls_key.is_empty() {
        return None;
    }
    for (key, value, other) in [
        ("server.tls-certificate", &raw.tls_certificate, "server.tls-key"),
        ("server.tls-key", &raw.tls_key, "server.tls-certificate"),
    ] {
        if value.is_empty() {
            mistakes.push(format!("{key} = \"\": {other} is set, and a certificate needs its key"));
        }
    }
    let (certificate, key) = (PathBuf::from(&raw.tls_certificate), PathBuf::from(&raw.tls_key));
    Some(TlsFiles { certificate, key, is_required: raw.tls_required })
}

fn checked_origin(mistakes: &mut Vec<String>, origin: &str) -> Option<String> {
    let plain = origin.trim_end_matches('/').to_lowercase();
    let host = plain.strip_prefix("https://").or_else(|| plain.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '*', '@', ' ']) => Some(plain),
        _ => {
            mistakes.push(format!(
                "server.origins: {origin:?} is not an origin; write it as \"https://wall.example.com\""
            ));
            None
        }
    }
}

fn checked_user(mistakes: &mut Vec<String>, name: &str, raw: &RawUser) -> Option<User> {
    let before = mistakes.len();
    if !secret::is_name(name) {
        mistakes.push(format!("users.{name:?}: a name is up to 64 letters, digits, `_` and `-`"));
    }
    let role = Role::named(&raw.role);
    if role.is_none() {
        let known = Role::ALL.map(|(word, _)| word).join(", ");
        mistakes.push(format!("users.{name}.role = {:?}: must be one of {known}", raw.role));
    }
    if !secret::is_hash(&raw.key) {
        // The text itself may be a key someone pasted; it must not reach a log.
        mistakes.push(format!(
            "users.{name}.key: {} letters that are no Argon2id hash; let `tidemark user add {name}` write it",
            raw.key.chars().count()
        ));
    }
    let scram = raw.scram.as_deref().map(Verifier::read);
    if scram == Some(None) {
        mistakes.push(format!(
            "users.{name}.scram: no SCRAM-SHA-256 verifier; let `tidemark user add {name}` write it"
        ));
    }
    let views = raw.views.clone().map_or(Views::All, Views::Only);
    let role = role.filter(|_| mistakes.len() == before)?;
    Some(User {
        name: name.to_owned(),
        role,
        views,
        key_hash: raw.key.clone(),
        scram: scram.flatten(),
        shown: String::new(),
    })
}

fn checked_token(mistakes: &mut Vec<String>, text: &str) -> Option<TokenHash> {
    let hash = hex_32(text);
    if hash.is_none() {
        // The text itself may be a token someone pasted; it must not reach a log.
        mistakes.push(format!(
            "server.tokens: an entry of {} letters is not a SHA-256; write the 64 hexadecimal digits \
             of `printf %s TOKEN | sha256sum`",
            text.chars().count()
        ));
    }
    hash.map(TokenHash)
}

fn hex_32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (nth, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(nth * 2..nth * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::raw::RawRole;
    use super::super::roles::Personal;
    use super::*;

    fn check(raw: RawConfig) -> Result<Config, Vec<String>> {
        Config::check(raw, Overrides::default()).map_err(|error| error.mistakes)
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = check(RawConfig::default()).expect("valid");
        assert_eq!(config.server.listen.port(), 8080);
        assert!(config.sql.threads >= 1);
    }

    #[test]
    fn another_machines_address_without_tokens_is_refused_and_with_tokens_allowed() {
        let mut raw = RawConfig::default();
        raw.server.listen = "0.0.0.0:8080".to_owned();
        let mistakes = check(raw.clone()).expect_err("open to all");
        assert!(mistakes[0].contains("tidemark user add"), "{mistakes:?}");
        raw.server.tokens = vec!["ab".repeat(32)];
        assert_eq!(check(raw).expect("has tokens").server.tokens, [TokenHash([0xab; 32])]);
    }

    #[test]
    fn the_doors_for_sql_leave_the_machine_with_tls_and_users_only() {
        let mut raw = RawConfig::default();
        raw.server.postgres = "0.0.0.0:5433".to_owned();
        raw.server.flight = "0.0.0.0:5434".to_owned();
        let open = check(raw.clone()).expect_err("open, and no TLS");
        assert_eq!(open.len(), 4, "{open:#?}");
        raw.server.tokens = vec!["ab".repeat(32)];
        let plain = check(raw.clone()).expect_err("no TLS");
        assert!(plain.iter().all(|line| line.contains("SSH tunnel")), "{plain:#?}");
        raw.server.tls_certificate = "server.pem".to_owned();
        let half = check(raw.clone()).expect_err("no key");
        assert!(half.len() == 1 && half[0].contains("server.tls-key = \"\""), "{half:#?}");
        raw.server.tls_key = "server.key".to_owned();
        let files = check(raw.clone()).expect("has TLS").server.tls.expect("has TLS");
        assert!(files.is_required && files.key == PathBuf::from("server.key"));
        raw.server.tls_required = false;
        let loose = check(raw.clone()).expect_err("plain text");
        assert!(loose.iter().all(|line| line.contains("tls-required")), "{loose:#?}");
        raw.server.postgres = "127.0.0.1:5433".to_owned();
        raw.server.flight = String::new();
        assert!(check(raw).is_ok(), "on this machine it may be plain");
    }

    #[test]
    fn mistakes_of_all_sections_come_together_and_never_show_a_token() {
        let mut raw = RawConfig::default();
        raw.server.listen = "here".to_owned();
        raw.server.tokens = vec!["secret".to_owned()];
        raw.server.origins = vec!["*".to_owned()];
        raw.sql.rows_max = 0;
        raw.pipeline.batch_records_max = 0;
        let mistakes = check(raw).expect_err("many mistakes");
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
        assert!(!mistakes.join(" ").contains("secret"));
    }

    #[test]
    fn mistakes_in_what_a_role_may_are_told_with_their_keys() {
        let mut raw = RawConfig::default();
        let mut role = |name: &str, role: RawRole| raw.sql.roles.insert(name.to_owned(), role);
        role("analysts", RawRole::default());
        let (rows_max, personal) = (Some(0), Some("hidden".to_owned()));
        role("analyst", RawRole { rows_max, personal, ..RawRole::default() });
        role("viewer", RawRole { seconds_max: Some(1), ..RawRole::default() });
        let (rows_max, tables) = (Some(5), Some(Vec::new()));
        role("admin", RawRole { rows_max, tables, ..RawRole::default() });
        let mistakes = check(raw.clone()).expect_err("five mistakes");
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
        for part in [
            "there is no role analysts",
            "sql.roles.analyst.rows-max = 0",
            "sql.roles.analyst.personal = \"hidden\"",
            "sql.roles.viewer: who has this role does not ask in SQL",
            "an admin sees everything",
        ] {
            assert!(mistakes.iter().any(|line| line.contains(part)), "{part}: {mistakes:#?}");
        }
        let seconds_max = Some(5);
        raw.sql.roles =
            BTreeMap::from([("analyst".to_owned(), RawRole { seconds_max, ..RawRole::default() })]);
        let config = check(raw).expect("valid").sql;
        let analyst = &config.roles[&Role::Analyst];
        assert_eq!((analyst.time_max, analyst.rows_max), (Some(Duration::from_secs(5)), None));
        assert_eq!(analyst.personal, Personal::Masked, "unless it is said otherwise");
    }

    #[test]
    fn the_command_line_is_said_over_the_file() {
        let overrides = Overrides {
            listen: Some("127.0.0.1:0".to_owned()),
            postgres: Some(String::new()),
            flight: Some(String::new()),
            data_dir: Some(PathBuf::from("/tmp/elsewhere")),
            sql_dir: None,
        };
        let config = Config::check(RawConfig::default(), overrides).expect("valid");
        assert_eq!(config.server.listen.port(), 0);
        assert!(config.server.postgres.is_none() && config.server.flight.is_none());
        assert_eq!(config.pipeline.data_dir, PathBuf::from("/tmp/elsewhere"));
    }
}
