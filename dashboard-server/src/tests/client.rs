//! The other side: as little of a browser as the tests need.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Long enough for a busy machine; a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

pub(super) async fn get(at: SocketAddr, path: &str) -> Reply {
    send(at, &format!("GET {path}"), &[], b"").await
}

pub(super) async fn post(
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    send(at, &format!("POST {path}"), headers, body.as_bytes()).await
}

/// `what` is method and path; `Host` is the address unless given.
pub(super) async fn send(
    at: SocketAddr,
    what: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    send_as("1.0", at, what, headers, body).await
}

async fn send_as(
    version: &str,
    at: SocketAddr,
    what: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut head = format!("{what} HTTP/{version}\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {at}\r\n"));
    }
    let sized = ["content-length", "transfer-encoding"];
    if !headers.iter().any(|(name, _)| sized.contains(&name.to_lowercase().as_str())) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    let talking = async {
        let mut stream = TcpStream::connect(at).await.expect("connects");
        stream.write_all(head.as_bytes()).await.expect("writes");
        // A server that has refused may close before it has read everything.
        let _early = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _reset = stream.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = tokio::time::timeout(PATIENCE, talking).await.expect("answers in time");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("is HTTP");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("has a status");
    Reply { status, head, body: bytes[end + 4..].to_vec() }
}

/// An answer that does not end: what comes of it, head included, can be read off the line.
pub(super) async fn stream(at: SocketAddr, what: &str, headers: &[(&str, &str)]) -> TcpStream {
    let mut head = format!("{what} HTTP/1.0\r\nHost: {at}\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(at).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("writes");
    stream
}

/// A viewer.
pub(super) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(super) async fn open(at: SocketAddr) -> Self {
        Self::open_as(at, &[]).await.unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// With headers; the status when it is refused.
    pub(super) async fn open_as(
        at: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{at}/api/ws").into_client_request().expect("is a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("is a header"));
        }
        let socket = TcpSocket::new_v4().expect("has a socket");
        // So small that a viewer who does not read is noticed at once.
        socket.set_recv_buffer_size(4_096).expect("sets");
        let stream = socket.connect(at).await.expect("connects");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("sends");
    }

    /// The next frame that is not about time or state; `None` when the socket is closed.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = self.any().await?;
            if !["status", "ping"].contains(&frame["type"].as_str().unwrap_or("")) {
                return Some(frame);
            }
        }
    }

    /// The next frame of any kind.
    pub(super) async fn any(&mut self) -> Option<Value> {
        loop {
            let next =
                tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a frame in time");
            match next? {
                Ok(Message::Text(text)) => {
                    return Some(serde_json::from_str(&text).expect("is JSON"));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The code that the server closes with, whatever comes before it; `None` when the line just breaks.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        loop {
            let next =
                tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a close in time");
            match next? {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// The next frame, which must be of this type.
    pub(super) async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.next().await.unwrap_or_else(|| panic!("closed instead of {kind}"));
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// The bytes below, for those who want to be rude.
    pub(super) fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }
}

/// As [`send`], for bodies that only HTTP/1.1 has.
pub(super) async fn send_1_1(
    at: SocketAddr,
    what: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    send_as("1.1", at, what, headers, body).await
}
