//! The first words of a connection, and how long they may take: whoever says nothing, or a letter a minute, gives its place to
//! others. (The PostgreSQL door knows more of its protocol, and bounds its greeting itself.)

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

/// From the first byte to the last of a greeting; a browser that has connected beforehand connects again.
const GREETING_MAX: Duration = Duration::from_secs(15);
/// What ends the head of a request.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// What has to come before a connection may take its time.
#[derive(Debug)]
pub(crate) struct Greeting {
    by: Option<Pin<Box<Sleep>>>,
    awaited: Awaited,
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
        Self::within(GREETING_MAX, Awaited::Bytes(count))
    }

    /// Up to a blank line, as the head of a request.
    pub(crate) fn of_a_head() -> Self {
        Self::within(GREETING_MAX, Awaited::BlankLine(0))
    }

    fn within(most: Duration, awaited: Awaited) -> Self {
        Self { by: Some(Box::pin(tokio::time::sleep(most))), awaited }
    }

    /// Reads, as long as there is time.
    pub(crate) fn poll_read(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(by) = &mut self.by else { return stream.poll_read(context, buffer) };
        if by.as_mut().poll(context).is_ready() {
            let told = "the first words of the connection took too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, told)));
        }
        let before = buffer.filled().len();
        let polled = stream.poll_read(context, buffer);
        let come = buffer.filled().get(before..).unwrap_or_default();
        if self.awaited.is_over_with(come) {
            self.by = None;
        }
        polled
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
    use super::*;

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
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        const SHORT: Duration = Duration::from_millis(50);
        struct Greeted(tokio::io::DuplexStream, Greeting);
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
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Greeted(server, Greeting::within(SHORT, Awaited::Bytes(2)));
        client.write_all(b"a").await.expect("writes");
        assert_eq!(server.read_u8().await.expect("reads"), b'a');
        let late = server.read_u8().await.expect_err("is not waited for");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Greeted(server, Greeting::within(SHORT, Awaited::Bytes(2)));
        client.write_all(b"ab").await.expect("writes");
        let mut greeting = [0; 2];
        server.read_exact(&mut greeting).await.expect("reads");
        let waited = tokio::time::timeout(SHORT * 4, server.read_u8()).await;
        assert!(waited.is_err(), "it may take its time");
    }
}
