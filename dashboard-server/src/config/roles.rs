//! `[sql.roles.NAME]`: what a role may use and what it is shown, checked as far as that can be done without the tables.
//!
//! Whether tables and columns exist and conditions are SQL is checked against the catalogue, in `sql/rules`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checked::{wide, within};
use super::raw::RawRole;
use crate::auth::{Right, Role};

/// What a role is told of the columns that tell of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personal {
    /// Something else in their place.
    Masked,
    /// The columns as they are.
    Clear,
}

/// `[sql.roles.NAME]`, checked. A bound that is `None` is the one of `[sql]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleConfig {
    /// See [`RawRole::rows_max`].
    pub rows_max: Option<usize>,
    /// See [`RawRole::seconds_max`].
    pub time_max: Option<Duration>,
    /// See [`RawRole::memory_bytes_max`].
    pub memory_bytes_max: Option<usize>,
    /// See [`RawRole::concurrent_max`].
    pub concurrent_max: Option<usize>,
    /// See [`RawRole::subscriptions_max`].
    pub subscriptions_max: Option<usize>,
    /// See [`RawRole::tables`].
    pub tables: Option<Vec<String>>,
    /// See [`RawRole::tables_refused`].
    pub tables_refused: Vec<String>,
    /// See [`RawRole::personal`].
    pub personal: Personal,
    /// See [`RawRole::masks`].
    pub masks: BTreeMap<String, BTreeMap<String, String>>,
    /// See [`RawRole::filters`].
    pub filters: BTreeMap<String, String>,
    /// See [`RawRole::places`].
    pub places: BTreeMap<String, String>,
}

impl RoleConfig {
    /// A role of which nothing is said: who runs the server sees what is in it, everyone else no person.
    #[must_use]
    pub fn of(role: Role) -> Self {
        let personal = match role {
            Role::Operator | Role::Admin => Personal::Clear,
            Role::Viewer | Role::Media | Role::Analyst => Personal::Masked,
        };
        Self {
            rows_max: None,
            time_max: None,
            memory_bytes_max: None,
            concurrent_max: None,
            subscriptions_max: None,
            tables: None,
            tables_refused: Vec::new(),
            personal,
            masks: BTreeMap::new(),
            filters: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }
}

/// The sections of all roles.
pub(super) fn checked(
    mistakes: &mut Vec<String>,
    raw: &BTreeMap<String, RawRole>,
) -> BTreeMap<Role, RoleConfig> {
    raw.iter().filter_map(|(name, role)| one(mistakes, name, role)).collect()
}

fn one(mistakes: &mut Vec<String>, name: &str, raw: &RawRole) -> Option<(Role, RoleConfig)> {
    let section = format!("sql.roles.{name}");
    let Some(role) = Role::named(name) else {
        let known = Role::ALL.map(|(word, _)| word).join(", ");
        let place = placed(raw, "");
        mistakes.push(format!("{place}{section}: there is no role {name}; there are {known}"));
        return None;
    };
    let refused = said_in_vain(role, raw).map(|why| format!("{}{section}: {why}", placed(raw, "")));
    mistakes.extend(refused);
    let mut bound = |key: &str, value: Option<u64>, (low, high): (u64, u64)| {
        if let Some(value) = value {
            let key = format!("{}{section}.{key}", placed(raw, key));
            within(mistakes, &key, value, low, high);
        }
    };
    bound("rows-max", raw.rows_max.map(wide), (1, 10_000_000));
    bound("seconds-max", raw.seconds_max, (1, 86_400));
    bound("memory-bytes-max", raw.memory_bytes_max.map(wide), (1_048_576, 1 << 40));
    bound("concurrent-max", raw.concurrent_max.map(wide), (1, 1_000));
    bound("subscriptions-max", raw.subscriptions_max.map(wide), (0, 100_000));
    let usual = RoleConfig::of(role);
    let personal = match raw.personal.as_deref() {
        None => usual.personal,
        Some("masked") => Personal::Masked,
        Some("clear") => Personal::Clear,
        Some(other) => {
            let place = placed(raw, "personal");
            mistakes.push(format!(
                "{place}{section}.personal = {other:?}: must be \"masked\" or \"clear\""
            ));
            usual.personal
        }
    };
    let config = RoleConfig {
        rows_max: raw.rows_max,
        time_max: raw.seconds_max.map(Duration::from_secs),
        memory_bytes_max: raw.memory_bytes_max,
        concurrent_max: raw.concurrent_max,
        subscriptions_max: raw.subscriptions_max,
        tables: raw.tables.clone(),
        tables_refused: raw.tables_refused.clone(),
        personal,
        masks: raw.masks.clone(),
        filters: raw.filters.clone(),
        places: raw.places.clone(),
    };
    Some((role, config))
}

/// Why something is said of a role that cannot be so of it; `None` where nothing is.
fn said_in_vain(role: Role, raw: &RawRole) -> Option<&'static str> {
    if !role.may(Right::Query) {
        let without = RawRole { personal: None, places: BTreeMap::new(), ..raw.clone() };
        return (without != RawRole::default()).then_some(
            "who has this role does not ask in SQL, so only `personal` can be said of it; say what a user sees with \
             users.NAME.views",
        );
    }
    let limits_only = RawRole {
        tables: None,
        tables_refused: Vec::new(),
        masks: BTreeMap::new(),
        filters: BTreeMap::new(),
        ..raw.clone()
    };
    let hides = limits_only != *raw || raw.personal.as_deref() == Some("masked");
    (role == Role::Admin && hides).then_some(
        "an admin sees everything, for who may change this may see what it hides; give the user the role operator",
    )
}

/// The place of a key in the file, ready to stand before a message; empty where it is not known.
fn placed(raw: &RawRole, key: &str) -> String {
    raw.places.get(key).map_or_else(String::new, |place| format!("{place}: "))
}
