//! What each role is shown and may use. Masks and filters are put below everything that a query can say.
//!
//! ```text
//! [sql.roles.NAME] ─┐
//! 'personal' = …  ──┴▶ checked against the catalogue ─▶ rules of each role ─▶ every table that a role asks is
//!                                                                              its guarded one (`barrier.rs`)
//! ```
//! A frame has a view whole, so a view that a role is shown in part is for that role not there at the doors of frames.

mod barrier;
mod checked;
mod guard;
mod hash;
mod known;
mod lineage;
mod made;
mod since;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tidemark_pipeline::history::HashKey;
use tidemark_pipeline::ledger::{Entry, LedgerKind};
use tidemark_pipeline::results::Cut;

use self::barrier::GuardedTable;
use self::guard::Guard;
use super::limits::{Bounds, Limit, Places};
use super::tables::is_own_table;
use crate::auth::{Role, is_among};
use crate::config::{Personal, RoleConfig, SqlConfig, User};

pub(super) use self::barrier::below_guard;
use self::known::Hidden;
pub use self::known::Known;
use self::made::Made;
pub use self::since::Definitions;

/// The rules that hold now; replaced whole when the SQL folder is read again.
pub type SharedRules = Arc<RwLock<Arc<Rules>>>;

/// The rules of every role.
#[derive(Debug)]
pub struct Rules {
    viewer: Arc<RoleRules>,
    analyst: Arc<RoleRules>,
    media: Arc<RoleRules>,
    operator: Arc<RoleRules>,
    admin: Arc<RoleRules>,
}

impl Rules {
    /// The rules of a configuration over the tables there are; `key` is that of the hashes.
    ///
    /// # Errors
    /// Every mask and filter that is wrong, with its place and key.
    pub fn new(config: &SqlConfig, known: &Known, key: &HashKey) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut of = |role: Role| {
            let usual = RoleConfig::of(role);
            let own = config.roles.get(&role).unwrap_or(&usual);
            let guards = checked::guards(&mut mistakes, (role, own), known, key);
            Arc::new(RoleRules::new((role, own), config, known, guards))
        };
        let rules = Self {
            viewer: of(Role::Viewer),
            analyst: of(Role::Analyst),
            media: of(Role::Media),
            operator: of(Role::Operator),
            admin: of(Role::Admin),
        };
        if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
    }

    /// The rules as they are shared.
    #[must_use]
    pub fn shared(self) -> SharedRules {
        Arc::new(RwLock::new(Arc::new(self)))
    }

    /// These after others, of whose views the rows may still be shown while changed ones are filled again.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        for (rules, before) in [
            (&mut self.viewer, &before.viewer),
            (&mut self.analyst, &before.analyst),
            (&mut self.media, &before.media),
            (&mut self.operator, &before.operator),
            (&mut self.admin, &before.admin),
        ] {
            // Nobody else has them yet.
            if let Some(rules) = Arc::get_mut(rules) {
                let guards = (&before.guards, &rules.guards);
                let mut filling = rules.made.follow(&before.made, guards);
                // Those of the reload before, if it was not over yet.
                filling.extend(before.filling.read().iter().cloned());
                rules.filling.get_mut().extend(filling);
                rules.filled.get_mut().extend(before.filled.read().clone());
            }
        }
        self
    }

    fn all(&self) -> [&Arc<RoleRules>; 5] {
        [&self.viewer, &self.analyst, &self.media, &self.operator, &self.admin]
    }

    /// The views that some role is not shown for now, because they are being filled.
    #[must_use]
    pub fn filling(&self) -> BTreeSet<String> {
        self.all().iter().flat_map(|rules| rules.filling.read().clone()).collect()
    }

    /// Shows the views that a cut has filled. What they showed before `now_ms`, epoch milliseconds, is of before.
    pub fn look_at(&self, cut: &Cut, now_ms: i64) {
        for rules in self.all() {
            let mut filling = rules.filling.write();
            let filled: Vec<String> =
                filling.iter().filter(|view| rules.shows_made(view, cut)).cloned().collect();
            filling.retain(|view| !filled.contains(view));
            rules.filled.write().extend(filled.into_iter().map(|view| (view, now_ms)));
        }
    }

    /// The rules of a role.
    #[must_use]
    pub fn of(&self, role: Role) -> Arc<RoleRules> {
        Arc::clone(match role {
            Role::Viewer => &self.viewer,
            Role::Analyst => &self.analyst,
            Role::Media => &self.media,
            Role::Operator => &self.operator,
            Role::Admin => &self.admin,
        })
    }

    /// The users with what their roles are not shown taken from what they see.
    #[must_use]
    pub fn of_users(&self, users: &[User]) -> Vec<User> {
        let ruled = users.iter().map(|user| {
            let rules = self.of(user.role);
            let views = user.views.clone().without(&rules.hidden_views());
            User { views, shown: rules.shown.clone(), ..user.clone() }
        });
        ruled.collect()
    }

    /// The longest that a query of any role may run.
    pub(super) fn time_max(&self) -> std::time::Duration {
        self.all().into_iter().map(|rules| rules.bounds.time.most).max().unwrap_or_default()
    }
}

/// What a role is shown and may use.
#[derive(Debug)]
pub struct RoleRules {
    /// What one query may use.
    pub(super) bounds: Bounds,
    /// Turns of the role, where it has a bound of its own.
    pub(super) running: Option<Places>,
    /// Places for subscriptions of the role, where it has a bound of its own.
    pub(super) subscribed: Option<Places>,
    role: Role,
    tables: Option<Vec<String>>,
    refused: Vec<String>,
    guards: BTreeMap<String, Arc<Guard>>,
    /// Streams whose raw records hold what the role is not shown.
    raw_hidden: BTreeSet<String>,
    /// Those of them whose keys do too.
    keys_hidden: BTreeSet<String>,
    /// Tables that the role is shown in part by what is configured: the record of such a stream would tell the rest.
    in_part: BTreeSet<String>,
    hidden_views: BTreeSet<String>,
    /// Views that are not shown until they are filled again, whatever of them.
    filling: RwLock<BTreeSet<String>>,
    /// When those were filled that were not shown meanwhile; what was kept until then is of their old definitions.
    filled: RwLock<BTreeMap<String, i64>>,
    /// Of which definitions rows of views are shown.
    made: Made,
    /// Views whose past the role is shown, and from when on: those there are, since they are what they are, for of others
    /// nobody knows what they hold. `None` for all.
    past_views: Option<BTreeMap<String, i64>>,
    shown: String,
}

impl RoleRules {
    fn new(
        (role, own): (Role, &RoleConfig),
        all: &SqlConfig,
        known: &Known,
        guards: BTreeMap<String, Arc<Guard>>,
    ) -> Self {
        let places = |most: Option<usize>, key| {
            most.map(|most| Places::new(most, Limit { key, role: Some(role) }))
        };
        let (raw_hidden, keys_hidden) = match own.personal {
            Personal::Masked => (known.raw_personal(), known.keyed_personal()),
            Personal::Clear => (BTreeSet::new(), BTreeSet::new()),
        };
        let in_part = guards.iter().filter(|(_, guard)| guard.is_configured);
        let in_part = in_part.map(|(table, _)| table.clone()).collect();
        let told = format!("{own:?} {guards:?} {raw_hidden:?} {keys_hidden:?}");
        let mut rules = Self {
            bounds: Bounds::new(role, all, own),
            running: places(own.concurrent_max, "concurrent-max"),
            subscribed: places(own.subscriptions_max, "subscriptions-max"),
            role,
            tables: own.tables.clone(),
            refused: own.tables_refused.clone(),
            guards,
            raw_hidden,
            keys_hidden,
            in_part,
            hidden_views: BTreeSet::new(),
            filling: RwLock::default(),
            filled: RwLock::default(),
            made: Made::of(known),
            past_views: match own.personal {
                Personal::Masked => Some(known.views_since()),
                Personal::Clear => None,
            },
            shown: Sha256::digest(told).iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let is_hidden = |view: &&String| !rules.allows(view) || rules.guards.contains_key(*view);
        rules.hidden_views = known.views().filter(is_hidden).cloned().collect();
        rules
    }

    /// Whether the role may ask a table. What the server tells of itself and of one's own queries everyone may.
    pub(super) fn allows(&self, table: &str) -> bool {
        is_own_table(table)
            || self.tables.as_ref().is_none_or(|tables| is_among(tables, table))
                && !is_among(&self.refused, table)
    }

    /// Whether the role is shown what a view showed at an instant, as far as it is shown the view.
    pub(super) fn shows_past_of(&self, view: &str, at_ms: i64) -> bool {
        let known =
            |views: &BTreeMap<String, i64>| views.get(view).is_some_and(|since| at_ms >= *since);
        let is_of_old = self.filling.read().contains(view)
            || self.filled.read().get(view).is_some_and(|filled| at_ms < *filled);
        !is_of_old && self.past_views.as_ref().is_none_or(known)
    }

    /// As [`RoleRules::shows_past_of`], row by row as the view made it and without masks.
    pub(super) fn shows_raw_past_of(&self, view: &str, at_ms: i64) -> bool {
        self.shows_past_of(view, at_ms) && !self.hidden_views.contains(view)
    }

    /// The table as the role is shown it.
    pub(super) fn guarded(
        &self,
        name: &str,
        table: Arc<dyn TableProvider>,
    ) -> Arc<dyn TableProvider> {
        match self.guards.get(name) {
            Some(guard) => Arc::new(GuardedTable::new(table, Arc::clone(guard))),
            None => table,
        }
    }

    /// Whether the role is shown something else in place of a column.
    pub(super) fn is_masked(&self, table: &str, column: &str) -> bool {
        self.guards.get(table).is_some_and(|guard| guard.masks.contains_key(column))
    }

    /// Whether what the role is shown of a table is other rows at another time, although the table is the same.
    pub(super) fn asks_the_clock(&self, table: &str) -> bool {
        self.guards.get(table).is_some_and(|guard| guard.asks_the_clock)
    }

    /// What the role is shown, in short: another text where it is shown something else.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Views that the role does not see whole, or not at all.
    #[must_use]
    pub fn hidden_views(&self) -> BTreeSet<String> {
        self.hidden_views.union(&self.filling.read()).cloned().collect()
    }

    /// Whether the rows that a cut has of a view are of a definition that the rules are about.
    pub(super) fn shows_made(&self, view: &str, cut: &Cut) -> bool {
        let hash_of = |view: &str| cut.views.get(view).map(|view| view.info.hash.as_str());
        // Of a view that is no more nobody knows any more what tells of persons.
        self.made.shows(view, &hash_of).unwrap_or(self.past_views.is_none())
    }

    /// Whether the role is told of a stream's records: not of one that it may not ask.
    #[must_use]
    pub fn tells_of(&self, stream: &str) -> bool {
        self.allows(stream)
    }

    /// An entry of a ledger as the role is shown it, where [`RoleRules::refuses_entries`] and [`RoleRules::tells_of`] have
    /// nothing against it: without the record where that holds more of a person, or of the stream, than the role is shown.
    #[must_use]
    pub fn shown_entry(&self, ledger: LedgerKind, entry: Entry) -> Entry {
        let stream = &entry.id.stream;
        let why = if self.raw_hidden.contains(stream) {
            Hidden::Persons
        } else if self.in_part.contains(stream) {
            Hidden::InPart
        } else {
            return entry;
        };
        let is_keyed = self.keys_hidden.contains(stream);
        known::without_record(ledger, entry, why, is_keyed)
    }

    /// Why the role is not shown the entries of a ledger one by one, by what is configured; `None` where it is.
    #[must_use]
    pub fn refuses_entries(&self, ledger: &str) -> Option<String> {
        let role = self.role.as_str();
        if !self.allows(ledger) {
            return Some(format!("role {role} may not read {ledger} (sql.roles.{role})"));
        }
        let is_own = self.guards.get(ledger).is_some_and(|guard| guard.is_configured);
        is_own.then(|| {
            format!("role {role} is shown {ledger} in part (sql.roles.{role}): read it with SQL")
        })
    }
}
