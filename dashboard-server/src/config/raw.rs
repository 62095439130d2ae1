//! The configuration as written, before anything is checked. `config/default.toml` is its manual.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidemark_pipeline::config::{RawPipelineConfig, StreamOverrides};

/// The whole file, every key with its default where the file leaves it out.
#[derive(Debug, Clone)]
pub struct RawConfig {
    /// Folder with `streams/`, `scopes/`, `views/`, `reference/`, `screens/`.
    pub sql_dir: String,
    /// Folder for checkpoints, ledgers and the embedded log.
    pub data_dir: String,
    /// `[server]`.
    pub server: RawServerConfig,
    /// `[sql]`.
    pub sql: RawSqlConfig,
    /// `[pipeline]`.
    pub pipeline: RawPipelineConfig,
    /// `[users.NAME]`.
    pub users: BTreeMap<String, RawUser>,
    /// `[streams.NAME]`.
    pub streams: StreamOverrides,
    /// Where each of those stands in the file, for messages.
    pub stream_places: BTreeMap<String, StreamPlace>,
}

/// Where a section `[streams.NAME]` stands, and each of its options, as `file:line:column`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPlace {
    /// Of the section's name.
    pub place: String,
    /// Of each option.
    pub options: BTreeMap<String, String>,
}

impl Default for RawConfig {
    fn default() -> Self {
        let top = RawTop::default();
        Self {
            sql_dir: top.sql_dir,
            data_dir: top.data_dir,
            server: RawServerConfig::default(),
            sql: RawSqlConfig::default(),
            pipeline: RawPipelineConfig::default(),
            users: BTreeMap::new(),
            streams: StreamOverrides::new(),
            stream_places: BTreeMap::new(),
        }
    }
}

/// The keys that stand before the first section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTop {
    /// See [`RawConfig::sql_dir`].
    pub(super) sql_dir: String,
    /// See [`RawConfig::data_dir`].
    pub(super) data_dir: String,
}

impl Default for RawTop {
    fn default() -> Self {
        Self { sql_dir: "sql".to_owned(), data_dir: "data".to_owned() }
    }
}

/// `[server]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawServerConfig {
    /// Address of pages, HTTP and WebSockets; port 0 takes a free one.
    pub listen: String,
    /// Address of the PostgreSQL door; empty keeps it shut.
    pub postgres: String,
    /// Address of the Arrow Flight SQL door; empty keeps it shut.
    pub flight: String,
    /// Certificate of these two doors, with the chain above it, as a PEM file; empty: no TLS.
    pub tls_certificate: String,
    /// Its private key, as a PEM file.
    pub tls_key: String,
    /// Whether the PostgreSQL door refuses who does not ask for TLS; the Flight SQL door always does.
    pub tls_required: bool,
    /// Origins of pages that may connect, as `https://wall.example.com`, beside the server's own.
    pub origins: Vec<String>,
    /// SHA-256 hashes of the tokens that open the doors, 64 hexadecimal digits each.
    pub tokens: Vec<String>,
    /// Hours a page stays logged in.
    pub session_hours: u64,
    /// Connections at one time; more wait in the system's queue until one ends.
    pub connections_max: usize,
    /// Connections of the PostgreSQL door at one time; more are told so and closed.
    pub postgres_connections_max: usize,
    /// Connections of the Flight SQL door at one time; more are closed at once.
    pub flight_connections_max: usize,
    /// Bodies of `POST /api/ingest` being written at one time; more get 429.
    pub ingest_in_flight_max: usize,
    /// Milliseconds between two pings to a viewer; three unanswered close the socket.
    pub ping_every_ms: u64,
    /// Milliseconds one frame may take to leave; then the viewer's socket is closed.
    pub write_timeout_ms: u64,
    /// Milliseconds without a cut after which the publisher is said to have stalled.
    pub stalled_after_ms: u64,
}

impl Default for RawServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            postgres: "127.0.0.1:5433".to_owned(),
            flight: "127.0.0.1:5434".to_owned(),
            tls_certificate: String::new(),
            tls_key: String::new(),
            tls_required: true,
            origins: Vec::new(),
            tokens: Vec::new(),
            session_hours: 72,
            connections_max: 12_000,
            postgres_connections_max: 64,
            flight_connections_max: 64,
            ingest_in_flight_max: 8,
            ping_every_ms: 5_000,
            write_timeout_ms: 10_000,
            stalled_after_ms: 10_000,
        }
    }
}

/// `[users.NAME]`, as written; `tidemark user add` makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawUser {
    /// `viewer`, `analyst`, `media`, `operator` or `admin`.
    pub role: String,
    /// Argon2id hash of the user's key.
    pub key: String,
    /// SCRAM-SHA-256 verifier of the key for the PostgreSQL door; when not given, the key goes over the line
    /// there.
    pub scram: Option<String>,
    /// Views the user sees, each by name or by the beginning of names (`gmv_*`); all when not given.
    pub views: Option<Vec<String>>,
}

/// `[sql]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawSqlConfig {
    /// Rows of one result; what is beyond is cut off, and the answer says so.
    pub rows_max: usize,
    /// Seconds one query may run; then it is stopped.
    pub seconds_max: u64,
    /// Bytes one query may hold; then it fails.
    pub memory_bytes_max: usize,
    /// Queries at one time, all doors together; more are refused.
    pub concurrent_max: usize,
    /// Bytes of one row, and of one value that a function makes; a query that passes it fails.
    pub row_bytes_max: usize,
    /// Bytes of one statement's text; a longer one is refused.
    pub statement_bytes_max: usize,
    /// Parentheses, `CASE`s and subqueries within one another; a deeper statement is refused.
    pub nesting_max: usize,
    /// Operators and function calls of one statement; one with more is refused.
    pub operators_max: usize,
    /// Tables one statement names once every `WITH` is written out; one with more is refused.
    pub tables_max: usize,
    /// Queries the log remembers; past it the oldest go.
    pub query_log_max: usize,
    /// Shared queries; past it none is added until one is removed.
    pub shared_max: usize,
    /// Subscriptions at one time, of all roles together; more are refused.
    pub subscriptions_max: usize,
    /// Threads that run queries, apart from those that serve people. 0 takes half the cores.
    pub threads: usize,
    /// `[sql.roles.NAME]`.
    #[serde(skip)]
    pub roles: BTreeMap<String, RawRole>,
}

impl Default for RawSqlConfig {
    fn default() -> Self {
        Self {
            rows_max: 100_000,
            seconds_max: 60,
            memory_bytes_max: 268_435_456,
            concurrent_max: 4,
            row_bytes_max: 131_072,
            statement_bytes_max: 524_288,
            nesting_max: 40,
            operators_max: 2_000,
            tables_max: 500,
            query_log_max: 1_000,
            shared_max: 1_000,
            subscriptions_max: 100,
            threads: 0,
            roles: BTreeMap::new(),
        }
    }
}

/// `[sql.roles.NAME]`, as written: what a role may use, and what it is shown. What is left out is as `[sql]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawRole {
    /// See [`RawSqlConfig::rows_max`].
    pub rows_max: Option<usize>,
    /// See [`RawSqlConfig::seconds_max`].
    pub seconds_max: Option<u64>,
    /// See [`RawSqlConfig::memory_bytes_max`].
    pub memory_bytes_max: Option<usize>,
    /// Queries of everyone in the role at one time; more are refused.
    pub concurrent_max: Option<usize>,
    /// Subscriptions of everyone in the role at one time; more are refused.
    pub subscriptions_max: Option<usize>,
    /// Tables it may ask, each by name or by the beginning of names (`gmv_*`); all when not given.
    pub tables: Option<Vec<String>>,
    /// Tables it may not ask, whatever `tables` says.
    pub tables_refused: Vec<String>,
    /// `masked` or `clear`: the columns that streams declare as `'personal'`.
    pub personal: Option<String>,
    /// By table and column what is shown instead: `hash`, `null`, `clear` or a SQL expression.
    pub masks: BTreeMap<String, BTreeMap<String, String>>,
    /// By table the SQL condition of the rows that are shown.
    pub filters: BTreeMap<String, String>,
    /// Where the section and its masks and filters stand, as `file:line:column`; by `""`, `masks.TABLE.COLUMN` and
    /// `filters.TABLE`.
    #[serde(skip)]
    pub places: BTreeMap<String, String>,
}
