//! TLS of the PostgreSQL door and the Flight SQL door: one certificate for both, read once at start.
//!
//! What cannot be set up is an error at start. Nothing falls back to plain text.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tonic::transport::{Identity, ServerTlsConfig};

use crate::config::TlsFiles;

/// The name of PostgreSQL's protocol in a TLS greeting.
const POSTGRES_PROTOCOL: &[u8] = b"postgresql";

/// A certificate with its key, ready for both doors.
#[derive(Clone)]
pub struct Tls {
    /// For the PostgreSQL door, which speaks plain until a client asks for TLS.
    pub acceptor: TlsAcceptor,
    /// For the Flight SQL door, which speaks nothing else.
    pub flight: ServerTlsConfig,
    /// Whether the PostgreSQL door refuses who does not ask.
    pub is_required: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key} = {path:?} cannot be read: {source}")]
    Unreadable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{key} = {path:?} holds no {what} in PEM")]
    Empty {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it has to hold.
        what: &'static str,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("server.tls-certificate and server.tls-key cannot be used together: {0}")]
    Unusable(#[source] rustls::Error),
}

impl Tls {
    /// Reads the files and makes both doors' side of TLS of them.
    ///
    /// # Errors
    /// When a file cannot be read, or they are not a certificate and its key.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |key: &'static str, path: &PathBuf| {
            let unreadable = |source| TlsError::Unreadable { key, path: path.clone(), source };
            std::fs::read(path).map_err(unreadable)
        };
        let (certificate_key, key_key) = ("server.tls-certificate", "server.tls-key");
        let certificates = read(certificate_key, &files.certificate)?;
        let key = read(key_key, &files.key)?;
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&certificates).filter_map(Result::ok).collect();
        if chain.is_empty() {
            let (key, path) = (certificate_key, files.certificate.clone());
            return Err(TlsError::Empty { key, path, what: "certificate" });
        }
        let private = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::Empty {
            key: key_key,
            path: files.key.clone(),
            what: "private key",
        })?;
        // tonic takes the process's own, and panics where two are linked and none is chosen. Whoever chose before us chose this.
        let _chosen = ring::default_provider().install_default();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![POSTGRES_PROTOCOL.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            flight: ServerTlsConfig::new().identity(Identity::from_pem(certificates, key)),
            is_required: files.is_required,
        })
    }
}
