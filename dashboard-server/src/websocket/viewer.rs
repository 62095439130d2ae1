//! What one viewer has and wants: the same for WebSockets and server-sent events.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::Cut;

use super::hub::{Held, Hub};
use super::protocol::{self, Resume};
use crate::auth::{Principal, Views};

/// Why a subscription is refused; the viewer goes on with what it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// There is no such view.
    #[error("there is no view {name:?}; the views are in `hello` and at /api/views")]
    UnknownView {
        /// As asked for.
        name: String,
    },
    /// There is no such result space.
    #[error("there is no space {space:?}; they are \"live\" and, for load tests, \"shadow\"")]
    UnknownSpace {
        /// As asked for.
        space: String,
    },
}

impl SubscribeError {
    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownView { .. } => "unknown_view",
            Self::UnknownSpace { .. } => "unknown_space",
        }
    }
}

/// A wish for views, as it came in.
#[derive(Debug, Clone, Default)]
pub struct Wish<'a> {
    /// `live` or `shadow`; `live` if not given.
    pub space: Option<&'a str>,
    /// Rows of the snapshot.
    pub last: Option<usize>,
    /// What the viewer has already.
    pub from: Option<&'a Resume>,
}

#[derive(Debug)]
struct Subscription {
    space: Space,
    view: Arc<str>,
    held: Held,
}

/// One viewer's subscriptions, by result space and view. Bounded by the number of views there are.
#[derive(Debug)]
pub struct Viewer {
    hub: Arc<Hub>,
    /// What it sees.
    views: Views,
    subscriptions: Vec<Subscription>,
}

impl Viewer {
    /// A viewer that wants nothing yet, and sees nothing until it is known who it is.
    #[must_use]
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, views: Views::Only(Vec::new()), subscriptions: Vec::new() }
    }

    /// Says who it is.
    pub fn is_of(&mut self, principal: &Principal) {
        self.views = principal.views.clone();
    }

    /// Adds one view, or starts it again. One that it may not see is for it one that there is not.
    ///
    /// # Errors
    /// When the view or the space does not exist.
    pub fn subscribe(&mut self, name: &str, wish: &Wish<'_>) -> Result<(), SubscribeError> {
        let space = match wish.space {
            None => Space::Live,
            Some(name) => named(name)?,
        };
        if !self.views.has(name) || !self.hub.results().latest().views.contains_key(name) {
            return Err(SubscribeError::UnknownView { name: name.to_owned() });
        }
        let held = Held { cut: self.known_cut(wish), last: wish.last };
        self.unsubscribe(name, Some(space));
        self.subscriptions.push(Subscription { space, view: name.into(), held });
        Ok(())
    }

    /// Ends one view, in one space or in all; one that is not subscribed is passed over.
    pub fn unsubscribe(&mut self, name: &str, space: Option<Space>) {
        let is_meant =
            |of: &Subscription| *of.view == *name && space.is_none_or(|space| of.space == space);
        self.subscriptions.retain(|subscription| !is_meant(subscription));
    }

    /// The frames that bring this viewer to `cut`. They count as got: a viewer whose line breaks
    /// comes back with the cut it has, or without one. A view that has been removed is told as an
    /// error, once.
    pub fn frames(&mut self, cut: &Arc<Cut>) -> Vec<Utf8Bytes> {
        let mut frames = Vec::new();
        let has_shadow =
            self.subscriptions.iter().any(|subscription| subscription.space == Space::Shadow);
        let shadow = has_shadow.then(|| cut.space(Space::Shadow));
        for subscription in &mut self.subscriptions {
            let shown = match (subscription.space, &shadow) {
                (Space::Shadow, Some(shadow)) => shadow,
                _ => cut,
            };
            if let Some(frame) = self.hub.frame(shown, &subscription.view, subscription.held) {
                frames.push(frame);
                subscription.held.cut = Some(cut.cut);
            }
        }
        self.subscriptions.retain(|subscription| {
            let is_there = cut.views.contains_key(&*subscription.view);
            if !is_there {
                let gone = SubscribeError::UnknownView { name: subscription.view.to_string() };
                frames.push(protocol::error(gone.code(), &gone.to_string()).into());
            }
            is_there
        });
        frames
    }

    /// A cut of another epoch, or one that has not been yet, says nothing about what a viewer has.
    fn known_cut(&self, wish: &Wish<'_>) -> Option<u64> {
        let results = self.hub.results();
        let known = wish.from.filter(|from| from.epoch == results.epoch());
        known.map(|from| from.cut).filter(|cut| *cut <= results.latest().cut)
    }
}

/// The space of this name.
///
/// # Errors
/// When there is none.
pub fn named(name: &str) -> Result<Space, SubscribeError> {
    Space::named(name).ok_or_else(|| SubscribeError::UnknownSpace { space: name.to_owned() })
}
