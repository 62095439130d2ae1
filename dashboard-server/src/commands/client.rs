//! As much HTTP as one request to our own server needs.
//!
//! HTTP/1.0, so that the answer ends with the connection and has no chunks.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Time to reach the server; how long a query takes is the server's limit.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes; the server's own row limit is far below.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// Header lines, lower-case name and value.
    pub(super) headers: Vec<(String, String)>,
    /// Body.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The first header called `name`, in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The server's message, with the place in the query where it has one.
    pub(super) fn refusal(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = &body["error"];
        let Some(message) = error["message"].as_str() else {
            return format!("the server answered with status {}", self.status);
        };
        match (error["line"].as_u64(), error["column"].as_u64()) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: {message}"),
            _ => message.to_owned(),
        }
    }
}

/// A question to a server.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// `http://host:port`.
    pub(super) server: &'a str,
    /// Shown as bearer token, if given.
    pub(super) token: Option<&'a str>,
    /// `GET` or `POST`.
    pub(super) method: &'static str,
    /// Path, as `/api/sql`.
    pub(super) path: &'a str,
    /// Further headers.
    pub(super) headers: Vec<(&'a str, String)>,
    /// Body.
    pub(super) body: String,
}

impl<'a> Question<'a> {
    /// A question with a JSON body that wants JSON.
    pub(super) fn post(
        server: &'a str,
        token: Option<&'a str>,
        path: &'a str,
        body: String,
    ) -> Self {
        let json = |name| (name, "application/json".to_owned());
        let headers = vec![json("Content-Type"), json("Accept")];
        Self { server, token, method: "POST", path, headers, body }
    }

    /// A question without a body.
    pub(super) fn get(server: &'a str, token: Option<&'a str>, path: &'a str) -> Self {
        Self { server, token, method: "GET", path, headers: Vec::new(), body: String::new() }
    }
}

/// Asks and waits for the whole answer.
///
/// # Errors
/// When the server cannot be reached or does not speak HTTP.
pub(super) async fn ask(question: &Question<'_>) -> anyhow::Result<Answer> {
    let stream = send(question).await?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await.context("the connection broke")?;
    parse(&bytes)
}

/// Asks, and hands the lines of an answer over as they come, until it ends or one is enough.
///
/// # Errors
/// When the server cannot be reached or refuses, or whoever takes the lines fails.
pub(super) async fn follow(
    question: &Question<'_>,
    take: &mut (dyn FnMut(&str) -> anyhow::Result<bool> + Send),
) -> anyhow::Result<()> {
    let mut stream = BufReader::new(send(question).await?);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read_until(b'\n', &mut head).await.context("the connection broke")?;
        if read == 0 {
            break;
        }
    }
    if !parse(&head).is_ok_and(|answer| answer.status == 200) {
        stream
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut head)
            .await
            .context("the connection broke")?;
        bail!("{}", parse(&head)?.refusal());
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await.context("the connection broke")? > 0 {
        if !take(line.trim_end())? {
            break;
        }
        line.clear();
    }
    Ok(())
}

async fn send(question: &Question<'_>) -> anyhow::Result<TcpStream> {
    let host = host(question.server)?;
    let unreachable = || {
        format!(
            "cannot reach a server at {}; is `tidemark demo` or `serve` running?",
            question.server
        )
    };
    let connecting = tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(&host)).await;
    let mut stream = connecting.with_context(unreachable)?.with_context(unreachable)?;
    let token =
        question.token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let headers: String =
        question.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{} {} HTTP/1.0\r\nHost: {host}\r\n{token}{headers}Content-Length: {}\r\n\r\n{}",
        question.method,
        question.path,
        question.body.len(),
        question.body
    );
    stream.write_all(request.as_bytes()).await.with_context(unreachable)?;
    Ok(stream)
}

fn host(server: &str) -> anyhow::Result<String> {
    let plain = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    if server.starts_with("https://") || plain.contains('/') || plain.is_empty() {
        bail!(
            "--server {server}: write it as http://127.0.0.1:8080 (for https, connect through a tunnel)"
        );
    }
    let has_port = plain.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { plain.to_owned() } else { format!("{plain}:80") })
}

fn parse(bytes: &[u8]) -> anyhow::Result<Answer> {
    let not_http = "the server at this address does not speak HTTP";
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context(not_http)?;
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context(not_http)?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let answer = Answer { status, headers, body: rest.get(4..).unwrap_or_default().to_vec() };
    let announced = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length != answer.body.len()) {
        bail!("the answer is incomplete: the connection broke on the way");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart_and_a_torn_one_noticed() {
        let answer =
            parse(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}").expect("whole");
        assert_eq!((answer.status, answer.header("x-a")), (200, Some("b")));
        assert_eq!(answer.body, b"{}");
        assert!(parse(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n{}").is_err());
        assert!(parse(b"220 mail.example.com").is_err());
    }

    #[test]
    fn servers_are_written_with_or_without_a_scheme() {
        assert_eq!(host("http://127.0.0.1:8080/").expect("host"), "127.0.0.1:8080");
        assert_eq!(host("localhost").expect("host"), "localhost:80");
        assert!(host("https://wall.example.com").is_err());
        assert!(host("http://h/path").is_err());
    }
}
