//! One viewer's WebSocket, from the first frame to the last.
//!
//! ```text
//!  waiting for `auth` ──ticket──▶ open ──shutdown, end of session──▶ `bye` ──▶ closed
//!  (only with users)                └──3 pings missed, nothing drains, line broken──▶ closed
//! ```
//!
//! One task, one frame group in flight: while it sends it takes no new cut, and afterwards takes
//! the newest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures::SinkExt as _;
use tidemark_pipeline::results::Cut;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::asked::Asked;
use super::hub::Hub;
use super::protocol::{self, ClientFrame};
use super::viewer::{Viewer, Wish, named};
use crate::auth::{Admitted, Gate, Principal};
use crate::closing::Closing;
use crate::sql::SqlService;

/// Pings in a row that may stay unanswered.
const PINGS_MISSED_MAX: u32 = 3;
/// How long a viewer may take to show its ticket.
const AUTH_WAIT: Duration = Duration::from_secs(10);

/// How a session is run.
#[derive(Clone)]
pub struct SessionOptions {
    /// Time between pings.
    pub ping_every: Duration,
    /// Time in which something of what waits has to leave.
    pub write_timeout: Duration,
    /// Bytes that the viewer's connection has taken so far.
    pub taken: Arc<AtomicU64>,
    /// Who is there, where that is known; else the first frame has to show a ticket.
    pub admitted: Option<Admitted>,
    /// Where it is checked.
    pub gate: Arc<Gate>,
    /// Answers queries.
    pub sql: SqlService,
    /// Says when the server goes away.
    pub closing: Closing,
}

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// The viewer is gone, or its line is.
    Gone,
    /// The viewer no longer answers or drains.
    Dead,
    /// The server goes away.
    Closing,
    /// No ticket, or a wrong one.
    NotAllowed,
    /// Its session, user or device is no more.
    SessionEnded,
}

/// Serves one viewer until it leaves or the server does.
pub async fn run(socket: WebSocket, hub: Arc<Hub>, options: SessionOptions) {
    metrics::gauge!("tidemark_viewers").increment(1);
    let cuts = hub.results().watch();
    let status = hub.watch_status();
    // Nothing is subscribed before it is known who is there.
    let viewer = Viewer::new(Arc::clone(&hub));
    let asked = Asked::new(options.sql.clone());
    let mut session =
        Session { socket, hub, viewer, asked, cuts, status, options, pings_missed: 0 };
    let end = session.serve().await;
    session.close(end).await;
    metrics::gauge!("tidemark_viewers").decrement(1);
}

struct Session {
    socket: WebSocket,
    hub: Arc<Hub>,
    viewer: Viewer,
    /// What it subscribed to in SQL.
    asked: Asked,
    cuts: watch::Receiver<Arc<Cut>>,
    status: watch::Receiver<Utf8Bytes>,
    options: SessionOptions,
    pings_missed: u32,
}

impl Session {
    async fn serve(&mut self) -> End {
        match self.try_serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn try_serve(&mut self) -> Result<std::convert::Infallible, End> {
        let Admitted { principal, mut stay } = self.authenticate().await?;
        let hello = self.hub.hello(&principal.views);
        self.viewer.is_of(&principal);
        let status = self.status_for(&principal);
        self.send(vec![hello, status]).await?;
        let mut ping = every(self.options.ping_every);
        loop {
            tokio::select! {
                () = self.options.closing.begun() => return Err(End::Closing),
                () = stay.over() => return Err(End::SessionEnded),
                message = self.socket.recv() => self.receive(message, &principal).await?,
                frames = self.asked.frames() => self.send(frames).await?,
                _ = self.cuts.changed() => self.send_changes().await?,
                _ = self.status.changed() => self.send_status(&principal).await?,
                _ = ping.tick() => self.ping().await?,
            }
        }
    }

    /// The figures first, so that a status never speaks of fresher ones than the viewer has got.
    async fn send_status(&mut self, principal: &Principal) -> Result<(), End> {
        let status = self.status_for(principal);
        let mut frames = self.newest_frames();
        frames.push(status);
        self.send(frames).await
    }

    fn status_for(&mut self, principal: &Principal) -> Utf8Bytes {
        let all = self.status.borrow_and_update().clone();
        self.hub.status_for(&principal.views, all)
    }

    async fn authenticate(&mut self) -> Result<Admitted, End> {
        if let Some(admitted) = &self.options.admitted {
            return Ok(admitted.clone());
        }
        let first = tokio::time::timeout(AUTH_WAIT, self.socket.recv()).await;
        let Ok(Some(Ok(Message::Text(text)))) = first else { return Err(End::NotAllowed) };
        match serde_json::from_str(&text) {
            Ok(ClientFrame::Auth { ticket }) => {
                self.options.gate.tickets.redeem(&ticket).ok_or(End::NotAllowed)
            }
            _ => Err(End::NotAllowed),
        }
    }

    async fn receive(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        principal: &Arc<Principal>,
    ) -> Result<(), End> {
        let Some(Ok(message)) = message else { return Err(End::Gone) };
        // Whatever it says, it is alive.
        self.pings_missed = 0;
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(frame) => self.obey(frame, principal).await,
                Err(error) => self.refuse("bad_frame", &format!("not a frame: {error}")).await,
            },
            Message::Binary(_) => self.refuse("bad_frame", "frames are text, not bytes").await,
            Message::Close(_) => Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    async fn obey(&mut self, frame: ClientFrame, principal: &Arc<Principal>) -> Result<(), End> {
        match frame {
            ClientFrame::Subscribe { views, space, last, from } => {
                let wish = Wish { space: space.as_deref(), last, from: from.as_ref() };
                self.subscribe(&views, &wish).await
            }
            ClientFrame::Unsubscribe { views, space } => {
                self.unsubscribe(&views, space.as_deref()).await
            }
            ClientFrame::SubscribeSql { id, sql, params } => {
                let refused = self.asked.subscribe(principal, (id, sql, params));
                self.send(refused.into_iter().collect()).await
            }
            ClientFrame::UnsubscribeSql { id } => {
                self.asked.unsubscribe(&id);
                Ok(())
            }
            // The answer proves that what is shown is no older than the ping: the figures come first.
            ClientFrame::Ping {} => {
                let mut frames = self.newest_frames();
                frames.push(Utf8Bytes::from_static(protocol::PONG));
                self.send(frames).await
            }
            // A ticket where none is needed is as good as one where it is.
            ClientFrame::Pong {} | ClientFrame::Auth { .. } => Ok(()),
        }
    }

    async fn subscribe(&mut self, views: &[String], wish: &Wish<'_>) -> Result<(), End> {
        let mut frames = Vec::new();
        for view in views {
            if let Err(error) = self.viewer.subscribe(view, wish) {
                frames.push(protocol::error(error.code(), &error.to_string()).into());
            }
        }
        frames.extend(self.newest_frames());
        self.send(frames).await
    }

    async fn unsubscribe(&mut self, views: &[String], space: Option<&str>) -> Result<(), End> {
        match space.map(named).transpose() {
            Ok(space) => {
                views.iter().for_each(|view| self.viewer.unsubscribe(view, space));
                Ok(())
            }
            Err(error) => self.refuse(error.code(), &error.to_string()).await,
        }
    }

    async fn refuse(&mut self, code: &str, message: &str) -> Result<(), End> {
        self.send(vec![protocol::error(code, message).into()]).await
    }

    async fn send_changes(&mut self) -> Result<(), End> {
        let frames = self.newest_frames();
        self.send(frames).await
    }

    /// What brings the viewer to the newest cut.
    fn newest_frames(&mut self) -> Vec<Utf8Bytes> {
        let cut = Arc::clone(&self.cuts.borrow_and_update());
        self.viewer.frames(&cut)
    }

    /// One ping for the page's own clock and one of the protocol, which every client answers.
    async fn ping(&mut self) -> Result<(), End> {
        if self.pings_missed >= PINGS_MISSED_MAX {
            return Err(End::Dead);
        }
        self.pings_missed += 1;
        let ping = Message::Ping(axum::body::Bytes::new());
        self.send_all(vec![Message::Text(self.hub.ping()), ping]).await
    }

    async fn send(&mut self, frames: Vec<Utf8Bytes>) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        metrics::counter!("tidemark_frames_sent_total")
            .increment(u64::try_from(frames.len()).unwrap_or(0));
        self.send_all(frames.into_iter().map(Message::Text).collect()).await
    }

    /// Writes a group with one flush, and gives the viewer up when nothing of it leaves any more.
    async fn send_all(&mut self, messages: Vec<Message>) -> Result<(), End> {
        let (socket, taken) = (&mut self.socket, &self.options.taken);
        let mut sending = std::pin::pin!(async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        });
        loop {
            let before = taken.load(Ordering::Relaxed);
            match tokio::time::timeout(self.options.write_timeout, &mut sending).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) => return Err(End::Gone),
                // A slow line is no dead one: the largest snapshot takes it minutes.
                Err(_) if taken.load(Ordering::Relaxed) > before => {}
                Err(_) => {
                    metrics::counter!("tidemark_viewers_too_slow_total").increment(1);
                    return Err(End::Dead);
                }
            }
        }
    }

    async fn close(&mut self, end: End) {
        let (frame, code) = match end {
            End::Gone | End::Dead => return,
            End::Closing => (self.hub.bye(), close_code::RESTART),
            End::NotAllowed => {
                let message =
                    "the first frame must be `auth` with a fresh ticket from POST /api/ws-ticket";
                (protocol::error("unauthorized", message).into(), close_code::POLICY)
            }
            End::SessionEnded => {
                (Utf8Bytes::from_static(protocol::SESSION_ENDED), protocol::SESSION_ENDED_CODE)
            }
        };
        let farewell = CloseFrame { code, reason: Utf8Bytes::default() };
        // Whether it is heard makes no difference: the line is closed next.
        let _sent = self.send_all(vec![Message::Text(frame), Message::Close(Some(farewell))]).await;
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
