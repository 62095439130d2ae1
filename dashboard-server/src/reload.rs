//! Reading the SQL folder and the users again while the server runs. Whoever runs the pipeline implements [`Reload`].

use serde::Serialize;
use tidemark_pipeline::run::live::Reloaded;

use crate::auth::Renewed;

/// What reading again has changed.
#[derive(Debug, Clone, Serialize)]
pub struct Reread {
    /// The views.
    #[serde(flatten)]
    pub views: Reloaded,
    /// The users of the configuration.
    pub users: Renewed,
}

/// Why everything stays as it was: every reason with its place, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing was changed: {reasons}")]
pub struct ReloadRefused {
    /// The reasons.
    pub reasons: String,
}

/// What `POST /api/reload` and SIGHUP do.
///
/// Calls block until the change has begun, and come from threads that may block.
pub trait Reload: Send + Sync {
    /// Reads and plans the SQL folder and hands it to the pipeline, and takes the users of the configuration.
    ///
    /// # Errors
    /// When the folder or the configuration has a mistake or the pipeline cannot take it; nothing is changed then.
    fn reload(&self) -> Result<Reread, ReloadRefused>;
}
