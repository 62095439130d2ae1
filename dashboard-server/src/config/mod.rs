//! The configuration: text, then [`RawConfig`], then [`Config`], once at start.
//!
//! All mistakes are reported together, each with its file, line and column. After this nothing
//! reads files or the environment.

mod raw;
mod file;
mod roles;
mod checked;

pub use checked::{Config, Overrides, ServerConfig, SqlConfig, TlsFiles, TokenHash, User};
pub use file::{ConfigError, read, read_all};
pub(crate) use file::{nearest, place};
pub use raw::{RawConfig, RawRole, RawServerConfig, RawSqlConfig, RawUser, StreamPlace};
pub use roles::{Personal, RoleConfig};
