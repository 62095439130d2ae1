//! The first words of a connection, and how long they may take: whoever says nothing, or a letter a minute, gives its place to
//! others. (The PostgreSQL door knows more of its protocol, and bounds its greeting itself.)
//!
//! ```text
//! connected ─▶ head ─▶ answer ─▶ nothing is asked ─▶ head ─▶ answer …
//!   └ GREETING_MAX ┘              as long as it likes   └ GREETING_MAX from its first byte
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

/// From the first byte to the last of a greeting; a browser that has connected beforehand connects again.
const GREETING_MAX: Duration = Duration::from_secs(15);
/// What ends the head of a request.
const BLANK_LINE: &[u8] = b"\r\n\r\n";
/// What HTTP/2 begins with; after it there are frames, and no heads that could be known by their bytes.
const HTTP2: &[u8] = b"PRI * HTTP/2";

/// The requests of one connection, counted by who answers them.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// All that there were.
    begun: AtomicU64,
    /// Those that are not answered whole yet.
    open: AtomicU64,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(crate) struct Request(Arc<Requests>);

impl Requests {
    /// One more, whose head has come.
    pub(crate) fn begin(self: &Arc<Self>) -> Request {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Request(Arc::clone(self))
    }

    fn is_idle(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }
}

impl Request {
    /// From here on the connection speaks another language, in which there are no more requests.
    pub(crate) fn is_the_last(self) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What has to come before a connection may take its time, and the heads of its later requests.
#[derive(Debug)]
pub(crate) struct Greeting {
    most: Duration,
    by: Option<Pin<Box<Sleep>>>,
    awaited: Awaited,
    later: Option<Later>,
}

/// Heads after the first.
#[derive(Debug)]
struct Later {
    requests: Arc<Requests>,
    /// When the one that has begun has to have ended, and how many had ended when it began.
    head: Option<(Pin<Box<Sleep>>, u64)>,
    /// How many of its first bytes are those of HTTP/2; `None` where one was not.
    http2: Option<usize>,
}

#[derive(Debug)]
enum Awaited {
    /// So many more bytes.
    Bytes(usize),
    /// The blank line, of which so much has come.
    BlankLine(usize),
}

impl Greeting {
    /// Of this many bytes.
    pub(crate) fn of_bytes(count: usize) -> Self {
        Self::within(GREETING_MAX, Awaited::Bytes(count), None)
    }

    /// Up to a blank line, as the head of a request, and the head of each one after it.
    pub(crate) fn of_heads(requests: Arc<Requests>) -> Self {
        Self::within(GREETING_MAX, Awaited::BlankLine(0), Some(requests))
    }

    fn within(most: Duration, awaited: Awaited, requests: Option<Arc<Requests>>) -> Self {
        let by = Some(Box::pin(tokio::time::sleep(most)));
        let later = requests.map(|requests| Later { requests, head: None, http2: Some(0) });
        Self { most, by, awaited, later }
    }

    /// Reads, as long as there is time.
    pub(crate) fn poll_read(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Some(by) = &mut self.by else {
            let Some(later) = &mut self.later else { return stream.poll_read(context, buffer) };
            if later.is_late(context) {
                return Poll::Ready(Err(too_slow("the head of a request")));
            }
            let polled = stream.poll_read(context, buffer);
            if buffer.filled().len() > before {
                later.begins(self.most);
            }
            return polled;
        };
        if by.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(too_slow("the first words of the connection")));
        }
        let polled = stream.poll_read(context, buffer);
        let come = buffer.filled().get(before..).unwrap_or_default();
        if let Some(later) = &mut self.later {
            later.look_for_http2(come);
        }
        if self.awaited.is_over_with(come) {
            self.by = None;
        }
        polled
    }
}

fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} took too long"))
}

impl Later {
    fn look_for_http2(&mut self, come: &[u8]) {
        for byte in come {
            let Some(seen) = self.http2.filter(|seen| *seen < HTTP2.len()) else { return };
            self.http2 = (HTTP2.get(seen) == Some(byte)).then_some(seen + 1);
        }
    }

    /// Whether a head has begun and not ended in its time.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let Some((by, begun)) = &mut self.head else { return false };
        if self.requests.begun.load(Ordering::Relaxed) != *begun {
            self.head = None;
            return false;
        }
        by.as_mut().poll(context).is_ready()
    }

    /// Bytes have come: those of a head, where nothing else is going on.
    fn begins(&mut self, most: Duration) {
        let is_http2 = self.http2 == Some(HTTP2.len());
        if self.head.is_none() && !is_http2 && self.requests.is_idle() {
            let begun = self.requests.begun.load(Ordering::Relaxed);
            self.head = Some((Box::pin(tokio::time::sleep(most)), begun));
        }
    }
}

impl Awaited {
    fn is_over_with(&mut self, come: &[u8]) -> bool {
        match self {
            Self::Bytes(count) => {
                *count = count.saturating_sub(come.len());
                *count == 0
            }
            Self::BlankLine(seen) => come.iter().any(|byte| {
                let goes_on = BLANK_LINE.get(*seen) == Some(byte);
                *seen = if goes_on { *seen + 1 } else { usize::from(*byte == b'\r') };
                *seen == BLANK_LINE.len()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    struct Greeted(DuplexStream, Greeting);

    impl AsyncRead for Greeted {
        fn poll_read(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            this.1.poll_read(Pin::new(&mut this.0), context, buffer)
        }
    }

    /// A connection whose first head has come and been answered.
    async fn asked_once(head: &[u8]) -> (DuplexStream, Greeted, Arc<Requests>) {
        let requests = Arc::<Requests>::default();
        let greeting = Greeting::within(SHORT, Awaited::BlankLine(0), Some(Arc::clone(&requests)));
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Greeted(server, greeting);
        client.write_all(head).await.expect("writes");
        server.read_exact(&mut vec![0; head.len()]).await.expect("reads");
        drop(requests.begin());
        (client, server, requests)
    }

    #[tokio::test]
    async fn a_later_head_may_begin_late_and_has_to_end_in_its_time() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        let (mut client, mut server, requests) = asked_once(head).await;
        let idle = tokio::time::timeout(SHORT * 4, server.read_u8()).await;
        assert!(idle.is_err(), "whoever asks nothing may stay");
        client.write_all(b"GET").await.expect("writes");
        server.read_exact(&mut [0; 3]).await.expect("reads");
        // Its head has come: however slowly the rest does, it is waited for until it is answered.
        let request = requests.begin();
        let body = tokio::time::timeout(SHORT * 4, server.read_u8()).await;
        assert!(body.is_err(), "a body may take its time");
        drop(request);
        client.write_all(b"G").await.expect("writes");
        assert_eq!(server.read_u8().await.expect("reads"), b'G');
        let late = server.read_u8().await.expect_err("is not waited for");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_speaks_another_language_has_no_more_heads() {
        let (mut client, mut server, _requests) = asked_once(b"PRI * HTTP/2.0\r\n\r\n").await;
        client.write_all(b"f").await.expect("writes");
        assert_eq!(server.read_u8().await.expect("reads"), b'f');
        assert!(tokio::time::timeout(SHORT * 4, server.read_u8()).await.is_err(), "frames");
        let (mut client, mut server, requests) = asked_once(b"GET / HTTP/1.1\r\n\r\n").await;
        requests.begin().is_the_last();
        client.write_all(b"f").await.expect("writes");
        assert_eq!(server.read_u8().await.expect("reads"), b'f');
        assert!(tokio::time::timeout(SHORT * 4, server.read_u8()).await.is_err(), "a socket");
    }

    #[test]
    fn a_head_ends_with_a_blank_line_however_it_comes() {
        let over = |parts: &[&str]| {
            let mut awaited = Awaited::BlankLine(0);
            parts.iter().any(|part| awaited.is_over_with(part.as_bytes()))
        };
        assert!(
            over(&["GET / HTTP/1.1\r\n\r\n"])
                && over(&["a\r", "\n", "\r\nb"])
                && over(&["\r\r\n\r\n"])
        );
        assert!(!over(&["GET / HTTP/1.1\r\nhost: x\r\n"]) && !over(&["\r\n", "\n\r", "\n"]));
        let mut bytes = Awaited::Bytes(3);
        assert!(!bytes.is_over_with(b"ab") && bytes.is_over_with(b"cd"));
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for_and_who_has_greeted_is() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Greeted(server, Greeting::within(SHORT, Awaited::Bytes(2), None));
        client.write_all(b"a").await.expect("writes");
        assert_eq!(server.read_u8().await.expect("reads"), b'a');
        let late = server.read_u8().await.expect_err("is not waited for");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Greeted(server, Greeting::within(SHORT, Awaited::Bytes(2), None));
        client.write_all(b"ab").await.expect("writes");
        let mut greeting = [0; 2];
        server.read_exact(&mut greeting).await.expect("reads");
        let waited = tokio::time::timeout(SHORT * 4, server.read_u8()).await;
        assert!(waited.is_err(), "it may take its time");
    }
}
