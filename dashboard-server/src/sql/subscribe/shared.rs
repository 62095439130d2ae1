//! Who is subscribed, and the one computation behind all who ask the same.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde_json::Value;
use tidemark_pipeline::history::HashKey;
use tokio::sync::watch;

use super::frames;
use super::query::LiveQuery;
use super::selection::Selection;
use crate::auth::{Principal, Role, Views, secret};
use crate::sql::Question;
use crate::sql::error::SqlError;
use crate::sql::limits::Permits;
use crate::sql::running::{Door, Turn};
use crate::sql::session::SqlService;

/// Frames of one selection that are kept; those of subscribers that are further apart are encoded for each.
const FRAMES_MAX: usize = 64;

/// What two subscribers must have in common to be one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    text: String,
    values: String,
    role: Role,
    views: Views,
    /// What the role is shown, in short.
    shown: String,
}

/// Where a subscription stands.
#[derive(Debug, Clone)]
enum State {
    /// At a cut.
    At(Arc<Told>),
    /// It is over.
    Over(SqlError),
}

/// A selection with the frames that have been made of it.
#[derive(Debug)]
struct Told {
    selection: Selection,
    bodies: Mutex<HashMap<Option<u64>, Arc<str>>>,
}

impl Told {
    fn new(selection: Selection) -> State {
        State::At(Arc::new(Self { selection, bodies: Mutex::default() }))
    }
}

/// A computation; it goes on as long as someone holds it.
struct Shared {
    query: Arc<LiveQuery>,
    epoch: String,
    states: watch::Receiver<State>,
}

/// All that is subscribed to.
#[derive(Default)]
pub(in crate::sql) struct Subscriptions(Mutex<HashMap<Asked, Weak<Shared>>>);

impl Subscriptions {
    fn find(&self, asked: &Asked) -> Option<Arc<Shared>> {
        self.0.lock().get(asked).and_then(Weak::upgrade)
    }

    /// Keeps a computation for those who will ask the same; gives the one that came first.
    fn keep(&self, asked: Asked, new: Arc<Shared>) -> Arc<Shared> {
        let mut all = self.0.lock();
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(first) = all.get(&asked).and_then(Weak::upgrade) {
            return first;
        }
        all.insert(asked, Arc::downgrade(&new));
        new
    }
}

/// One subscriber's subscription. Dropped, it is over.
pub struct Subscribed {
    id: String,
    name: String,
    shared: Arc<Shared>,
    states: watch::Receiver<State>,
    /// The cut of the last frame.
    held: Option<u64>,
    /// `None` once it is over.
    turn: Option<Turn>,
    is_stopped: bool,
    /// Whether the computation is no more.
    is_lost: bool,
    _permits: Permits,
}

impl SqlService {
    /// Subscribes to a query over one view. The question's id is the name to stop it by, like a query.
    ///
    /// # Errors
    /// When it is wrong, cannot be kept up to date, or there are too many already.
    pub async fn subscribe(
        &self,
        principal: &Arc<Principal>,
        (question, id): (Question, Option<String>),
    ) -> Result<Subscribed, SqlError> {
        let Question { text, params, id: name } = question;
        let turn = self.queries().begin(name, Door::Subscribe, &principal.name, &text)?;
        let made = self.shared(principal, text, params).await;
        match made {
            Ok((shared, permits)) => {
                let name = turn.id().to_owned();
                let states = shared.states.clone();
                let (held, turn, id) = (None, Some(turn), id.unwrap_or_else(|| name.clone()));
                Ok(Subscribed {
                    id,
                    name,
                    shared,
                    states,
                    held,
                    turn,
                    is_stopped: false,
                    is_lost: false,
                    _permits: permits,
                })
            }
            Err(error) => {
                turn.ended(Err(&error));
                Err(error)
            }
        }
    }

    async fn shared(
        &self,
        principal: &Arc<Principal>,
        text: String,
        params: Vec<Value>,
    ) -> Result<(Arc<Shared>, Permits), SqlError> {
        let rules = self.rules_of(principal);
        let permits = self.limits().subscribe(&rules)?;
        let asked = Asked {
            text: text.clone(),
            values: Value::Array(params.clone()).to_string(),
            role: principal.role,
            views: principal.views.of_user().clone(),
            shown: rules.shown().to_owned(),
        };
        if let Some(shared) = self.subscriptions().find(&asked) {
            return Ok((shared, permits));
        }
        let names = secret::random_bytes().map(HashKey::new).map_err(|error| SqlError::Run {
            message: format!("the system has no random bytes to give: {error}"),
        })?;
        let (service, principal) = (self.clone(), Arc::clone(principal));
        let cuts = self.results().watch();
        let begun = self.bounded(&rules, |is_left| async move {
            let query = LiveQuery::plan(&service, &principal, (&text, &params), is_left).await?;
            let mut cuts = cuts;
            let cut = Arc::clone(&cuts.borrow_and_update());
            let first = Selection::default().at(&cut, &query, &names).await?;
            Ok((query, first, cuts, names))
        });
        let (query, first, cuts, names) = begun.await?;
        let query = Arc::new(query);
        let (states, receiver) = watch::channel(Told::new(first));
        let epoch = self.epoch().to_owned();
        let new = Arc::new(Shared { query: Arc::clone(&query), epoch, states: receiver });
        let shared = self.subscriptions().keep(asked, Arc::clone(&new));
        if Arc::ptr_eq(&shared, &new) {
            drop(new);
            self.runtime().spawn(keep_up(query, states, cuts, names));
        }
        Ok((shared, permits))
    }
}

/// Brings the selection to every cut, until nobody listens or it fails.
async fn keep_up(
    query: Arc<LiveQuery>,
    states: watch::Sender<State>,
    mut cuts: watch::Receiver<Arc<tidemark_pipeline::results::Cut>>,
    names: HashKey,
) {
    loop {
        tokio::select! {
            () = states.closed() => return,
            changed = cuts.changed() => if changed.is_err() {
                states.send_replace(State::Over(SqlError::Stopped));
                return;
            },
        }
        let cut = Arc::clone(&cuts.borrow_and_update());
        let before = match &*states.borrow() {
            State::At(told) => Arc::clone(told),
            State::Over(_) => return,
        };
        match before.selection.at(&cut, &query, &names).await {
            Ok(selection) => states.send_replace(Told::new(selection)),
            Err(error) => {
                states.send_replace(State::Over(error));
                return;
            }
        };
    }
}

impl Subscribed {
    /// What the subscriber calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name to stop it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is over: its last frame said why.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.turn.is_none()
    }

    /// Ready when there may be another frame.
    pub async fn changed(&mut self) {
        let Some(turn) = &self.turn else { return std::future::pending().await };
        tokio::select! {
            () = turn.stopped() => self.is_stopped = true,
            changed = self.states.changed() => self.is_lost = changed.is_err(),
        }
    }

    /// What brings the subscriber to the newest cut; `None` where it is there already. The frame counts as got.
    pub fn frame(&mut self) -> Option<String> {
        self.turn.as_ref()?;
        let state = match self.is_stopped {
            true => State::Over(SqlError::Cancelled),
            false => self.states.borrow_and_update().clone(),
        };
        let state = match state {
            State::At(_) if self.is_lost => State::Over(SqlError::Stopped),
            state => state,
        };
        let told = match state {
            State::At(told) => told,
            State::Over(error) => {
                if let Some(turn) = self.turn.take() {
                    turn.ended(Err(&error));
                }
                return Some(frames::error(&self.id, &error));
            }
        };
        let selection = &told.selection;
        if self.held.is_some_and(|held| selection.changed_at <= held) {
            return None;
        }
        let body = self.body(&told, self.held);
        self.held = Some(selection.cut);
        Some(frames::frame(&self.id, &self.name, &body))
    }

    /// How far it is, where nothing has changed.
    #[must_use]
    pub fn progress(&self) -> Option<String> {
        match &*self.states.borrow() {
            State::At(told) => Some(frames::progress(&self.id, &told.selection)),
            State::Over(_) => None,
        }
    }

    fn body(&self, told: &Told, base: Option<u64>) -> Arc<str> {
        if let Some(body) = told.bodies.lock().get(&base) {
            return Arc::clone(body);
        }
        let shared = &self.shared;
        let body = frames::body(&told.selection, base, &shared.query, &shared.epoch);
        let mut bodies = told.bodies.lock();
        if bodies.len() < FRAMES_MAX {
            bodies.insert(base, Arc::clone(&body));
        }
        body
    }
}

/// What is said of a subscription that could not begin.
#[must_use]
pub fn refused(id: &str, error: &SqlError) -> String {
    frames::error(id, error)
}
