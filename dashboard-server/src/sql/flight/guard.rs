//! Who asks: `authorization: Bearer KEY`, or `Basic` with a name and its key, on every call.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tonic::metadata::MetadataMap;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Extensions, Request, Status};

use crate::auth::{Admitted, Gate, Principal, Refusal, Right};

/// Base64 as clients write it: ADBC's driver leaves the `=` at the end away.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is in the head of a call.
enum Shown {
    Key(String),
    /// A name with its key.
    Named(String, String),
}

/// Who sends a request; the key comes with each.
///
/// # Errors
/// When no key, a wrong one, or one of somebody who may not ask is shown, and after too many wrong ones.
pub(super) async fn who<T>(gate: &Gate, request: &Request<T>) -> Result<Admitted, Status> {
    who_sent(gate, request.metadata(), request.extensions()).await
}

/// The key that a client is to show from now on, which is the one it has shown: the answer to a handshake.
///
/// # Errors
/// As for [`who`].
pub(super) async fn bearer<T>(gate: &Gate, request: &Request<T>) -> Result<String, Status> {
    who(gate, request).await?;
    Ok(match shown(request.metadata()) {
        Some(Shown::Key(key) | Shown::Named(_, key)) if !key.is_empty() => key,
        // Nobody needs one here, and some clients cannot go on without.
        _ => "anyone".to_owned(),
    })
}

async fn who_sent(
    gate: &Gate,
    head: &MetadataMap,
    connection: &Extensions,
) -> Result<Admitted, Status> {
    if let Some(anyone) = gate.doorman.anyone() {
        return Ok(anyone);
    }
    let shown = shown(head).ok_or_else(|| {
        Status::unauthenticated(
            "this needs a key: send `authorization: Bearer KEY`, or name and key",
        )
    })?;
    let (name, key) = match shown {
        Shown::Key(key) => (None, key),
        Shown::Named(name, key) => (Some(name), key),
    };
    let admitted = gate.doorman.who(&key, from(connection)).await.map_err(refused)?;
    if name.is_some_and(|name| !is_of(&admitted.principal, &name)) {
        return Err(refused(Refusal::Unknown));
    }
    if !admitted.principal.role.may(Right::Query) {
        let role = admitted.principal.role.as_str();
        return Err(Status::permission_denied(format!(
            "{role} is not for {}",
            Right::Query.told()
        )));
    }
    Ok(admitted)
}

/// A key that is one of the older tokens has no name.
fn is_of(principal: &Arc<Principal>, name: &str) -> bool {
    principal.name == name || principal.name == "token"
}

fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Unknown => Status::unauthenticated("the key is not known"),
        Refusal::TooMany(wait) => Status::resource_exhausted(format!(
            "too many wrong keys; again in {} s",
            wait.as_secs().max(1)
        )),
    }
}

fn shown(head: &MetadataMap) -> Option<Shown> {
    let text = head.get("authorization")?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Shown::Key(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASIC.decode(rest.trim()).ok()?).ok()?;
    let (name, key) = decoded.split_once(':')?;
    Some(Shown::Named(name.to_owned(), key.to_owned()))
}

/// Where a connection comes from.
fn from(connection: &Extensions) -> IpAddr {
    let plain = connection.get::<TcpConnectInfo>();
    let tls = connection.get::<TlsConnectInfo<TcpConnectInfo>>();
    let told = plain.or_else(|| tls.map(TlsConnectInfo::get_ref));
    let address = told.and_then(TcpConnectInfo::remote_addr);
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_key_are_read_with_and_without_the_signs_that_fill_up() {
        for text in ["YW5uYTprZXk=", "YW5uYTprZXk", "YW5hOmtleQ==", "YW5hOmtleQ"] {
            let mut head = MetadataMap::new();
            head.insert("authorization", format!("Basic {text}").parse().expect("a head"));
            match shown(&head) {
                Some(Shown::Named(name, key)) => {
                    assert!((name == "anna" || name == "ana") && key == "key", "{text}: {name}");
                }
                _ => panic!("{text} is not read"),
            }
        }
    }
}
