//! The tables a statement asks for as they were, found before it is planned.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_pipeline::history::{HistoryAt, PastError, PastHistory, Wanted};
use tidemark_pipeline::model::Space;
use tidemark_pipeline::results::view_history::{ViewHistoryError, ViewThen};

use super::clause::Asked;
use super::moment::Now;
use super::table::PastTable;
use crate::sql::error::SqlError;
use crate::sql::session::{CATALOG, SCHEMA, SqlService};
use crate::sql::tables::Pin;
use crate::sql::tables::VIEW_HISTORY_TABLE;

/// How long a statement waits for the next look at views.
const LOOK_MAX: Duration = Duration::from_secs(5);

impl SqlService {
    /// What time it is to a statement.
    pub(in crate::sql) fn now(&self) -> Now {
        Now { ms: self.clock().now_ms(), zone: self.results().ledger_zone() }
    }

    /// Finds what a statement asks for, as far as its asker sees it, and puts it into the catalogue of `pin` for this
    /// statement alone.
    ///
    /// # Errors
    /// Why a table cannot be had so, with its place.
    pub(in crate::sql) async fn find_pasts(
        &self,
        asked: &[Asked],
        pin: &Arc<Pin>,
    ) -> Result<(), SqlError> {
        let mut found = BTreeMap::new();
        for asked in asked {
            let refused = |message| SqlError::Plan { message, place: Some(asked.place) };
            let table = found_one(self, pin, asked).await.map_err(refused)?;
            found.insert(asked.relation.clone(), Arc::new(table));
        }
        pin.pasts.set(found);
        Ok(())
    }
}

async fn found_one(service: &SqlService, pin: &Pin, asked: &Asked) -> Result<PastTable, String> {
    let now = service.now().ms;
    let table = bare_name(&asked.table)?;
    if let Wanted::Time(ms) = asked.wanted
        && ms > now
    {
        return Err(format!("AS OF {} is in the future: it is {} now", told(ms), told(now)));
    }
    match (asked.wanted, kind_of(pin, table)) {
        (Wanted::Time(ms), Some(Kind::View)) => {
            known_until(pin, ms).await;
            let then = view(pin, table, ms).map_err(|error| error.to_string())?;
            match pin.rules().shows_past_of(table, then.at) {
                true => Ok(PastTable::of_view(table, then)),
                false => Err(not_shown(table)),
            }
        }
        (Wanted::Version(_), Some(Kind::View)) => Err(format!(
            "{table} is a view, which has no versions: ask for it FOR SYSTEM_TIME AS OF a time"
        )),
        (wanted, Some(Kind::History)) => {
            let past = history(pin, table, wanted).await?;
            Ok(PastTable::of_history(table, past.map_err(|error| error.to_string())?, wanted))
        }
        (_, Some(Kind::NoPast)) => Err(format!(
            "{table} has no past: only views, and streams with 'history' = 'keep', can be had AS OF a time"
        )),
        (_, None) if service.reference().contains_key(table) && pin.rules().allows(table) => {
            Err(format!("{table} is a reference table, of which no past is kept: leave AS OF out"))
        }
        (_, None) => Err(format!("table '{table}' not found")),
    }
}

/// Why someone is not shown what a view was.
pub(in crate::sql) fn not_shown(table: &str) -> String {
    format!(
        "{table} was defined otherwise then, or there is no such view any more: what it showed may tell of persons, which \
         your role is not shown"
    )
}

/// The name without our one catalogue and the schema of what counts.
fn bare_name(parts: &[String]) -> Result<&str, String> {
    match parts {
        [table] => Ok(table),
        [schema, table] if schema == SCHEMA => Ok(table),
        [catalog, schema, table] if catalog == CATALOG && schema == SCHEMA => Ok(table),
        [.., schema, _] if schema == Space::Shadow.as_str() => {
            Err("of shadow records no past is kept; leave AS OF out".to_owned())
        }
        _ => Err(format!("{} has no past", parts.join("."))),
    }
}

/// What a name stands for.
pub(in crate::sql) enum Kind {
    /// A view, or one that there was.
    View,
    /// A stream whose records are kept.
    History,
    /// Something that is only of now.
    NoPast,
}

/// What a name stands for to whoever asks; `None` where it sees nothing of that name.
pub(in crate::sql) fn kind_of(pin: &Pin, table: &str) -> Option<Kind> {
    if !pin.rules().allows(table) {
        return None;
    }
    let cut = pin.cut();
    let was_view = || {
        let views = pin.past().and_then(|past| past.views.as_ref());
        views.is_some_and(|views| views.views().iter().any(|view| view == table))
    };
    if pin.may_see(table) && (cut.views.contains_key(table) || was_view()) {
        return Some(Kind::View);
    }
    if pin.shows_all() && cut.histories.contains_key(table) {
        return Some(Kind::History);
    }
    (table == VIEW_HISTORY_TABLE || pin.has_table(table)).then_some(Kind::NoPast)
}

/// Waits until a look at views has come to an instant: a time that was not looked at yet would be told otherwise later.
async fn known_until(pin: &Pin, ms: i64) {
    if let Some(views) = pin.past().and_then(|past| past.views.as_ref()) {
        views.known_until(ms, LOOK_MAX).await;
    }
}

/// What a view showed at an instant.
fn view(pin: &Pin, table: &str, ms: i64) -> Result<ViewThen, ViewHistoryError> {
    let views = pin.past().and_then(|past| past.views.as_ref());
    let none = || ViewHistoryError::Unknown { view: table.to_owned() };
    views.ok_or_else(none)?.at(table, ms)
}

/// A history as it was.
///
/// # Errors
/// When there is none.
pub(in crate::sql) async fn history(
    pin: &Pin,
    table: &str,
    wanted: Wanted,
) -> Result<Result<PastHistory, PastError>, String> {
    let cut = pin.cut();
    let kept = cut.histories.get(table).and_then(|table| {
        let table: &dyn Any = table.as_ref();
        table.downcast_ref::<HistoryAt>()
    });
    match kept {
        Some(kept) => Ok(kept.past(wanted).await),
        None => Err(format!("{table} keeps no history")),
    }
}

fn told(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
