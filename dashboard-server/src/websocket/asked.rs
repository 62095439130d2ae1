//! The subscriptions in SQL of one viewer: opened aside, so that figures go on while a query is planned.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use futures::future::select_all;
use serde_json::Value;
use tokio::task::JoinSet;

use super::protocol;
use crate::auth::{Principal, Right};
use crate::sql::{Question, SqlError, SqlService, Subscribed, refused};

/// Subscriptions of one socket, those that are being opened included; how many there may be of a role is configured.
const OF_ONE_MAX: usize = 64;

/// What came of opening one: its id, which opening it was, and the subscription.
type Opened = (String, u64, Result<Subscribed, SqlError>);

/// One viewer's subscriptions by the ids it gave them.
pub(super) struct Asked {
    sql: SqlService,
    open: Vec<Subscribed>,
    opening: JoinSet<Opened>,
    /// By id, which opening is waited for.
    awaited: HashMap<String, u64>,
    openings: u64,
}

impl Asked {
    /// None yet.
    pub(super) fn new(sql: SqlService) -> Self {
        let (open, opening) = (Vec::new(), JoinSet::new());
        Self { sql, open, opening, awaited: HashMap::new(), openings: 0 }
    }

    /// Opens one, in place of the one that had the id. Says at once what refuses it before it is looked at.
    pub(super) fn subscribe(
        &mut self,
        principal: &Arc<Principal>,
        (id, sql, params): (String, String, Vec<Value>),
    ) -> Option<Utf8Bytes> {
        if !principal.role.may(Right::Query) {
            let role = principal.role.as_str();
            let message = format!("role {role:?} does not allow {}", Right::Query.told());
            return Some(protocol::error_of(&id, "forbidden", &message).into());
        }
        self.unsubscribe(&id);
        if self.open.len() + self.opening.len() >= OF_ONE_MAX {
            let message =
                format!("a socket has at most {OF_ONE_MAX} subscriptions; end one of them");
            return Some(protocol::error_of(&id, "sql_busy", &message).into());
        }
        self.openings += 1;
        let (service, nth) = (self.sql.clone(), self.openings);
        self.awaited.insert(id.clone(), nth);
        let principal = Arc::clone(principal);
        self.opening.spawn(async move {
            let question = Question { text: sql, params, id: None };
            let opened = service.subscribe(&principal, (question, Some(id.clone()))).await;
            (id, nth, opened)
        });
        None
    }

    /// Ends one; an id that is not known is passed over.
    pub(super) fn unsubscribe(&mut self, id: &str) {
        self.awaited.remove(id);
        self.open.retain(|subscribed| subscribed.id() != id);
    }

    /// Waits until there are frames, and gives them. What is behind gets what is other by now, and nothing twice.
    pub(super) async fn frames(&mut self) -> Vec<Utf8Bytes> {
        let Self { open, opening, .. } = self;
        let changed = async {
            match open.is_empty() {
                true => std::future::pending().await,
                false => {
                    let all = open.iter_mut().map(|subscribed| Box::pin(subscribed.changed()));
                    select_all(all).await;
                }
            }
        };
        let opened = async {
            match opening.join_next().await {
                Some(opened) => opened.ok(),
                None => std::future::pending().await,
            }
        };
        let opened = tokio::select! {
            () = changed => None,
            opened = opened => opened,
        };
        let mut frames = Vec::new();
        if let Some((id, nth, opened)) = opened
            && self.awaited.get(&id) == Some(&nth)
        {
            self.awaited.remove(&id);
            match opened {
                Ok(subscribed) => self.open.push(subscribed),
                Err(error) => frames.push(refused(&id, &error).into()),
            }
        }
        let newest = self.open.iter_mut().filter_map(Subscribed::frame);
        frames.extend(newest.map(Utf8Bytes::from));
        self.open.retain(|subscribed| !subscribed.is_over());
        frames
    }
}
