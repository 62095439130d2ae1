//! The guards of a role: what is so by default, what the configuration says over it, and whether that can be.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::config::Dialect;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use tidemark_pipeline::history::HashKey;

use super::guard::{Guard, Mask, Wanted, asks_the_clock, refusal, told};
use super::hash::is_hashed;
use super::known::Known;
use crate::auth::Role;
use crate::config::{Personal, RoleConfig, nearest};

/// A session that only plans.
static PLANNER: LazyLock<SessionState> = LazyLock::new(|| {
    let mut config = SessionConfig::new();
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    SessionStateBuilder::new().with_config(config).with_default_features().build()
});

/// What a role is shown in part, by table.
pub(super) fn guards(
    mistakes: &mut Vec<String>,
    (role, own): (Role, &RoleConfig),
    known: &Known,
    key: &HashKey,
) -> BTreeMap<String, Arc<Guard>> {
    let mut checking = Checking { mistakes, role, own, known, asks_the_clock: false };
    let mut guards: BTreeMap<String, Guard> = BTreeMap::new();
    let new = || Guard::new(key);
    if own.personal == Personal::Masked {
        for (table, column, mask) in known.usual_masks() {
            guards.entry(table).or_insert_with(new).masks.insert(column, mask);
        }
    }
    for (table, masks) in &own.masks {
        let Some(columns) = checking.columns(&format!("masks.{table}"), table) else { continue };
        let guard = guards.entry(table.clone()).or_insert_with(new);
        guard.is_configured = true;
        for (column, text) in masks {
            match checking.shown((table, column), text, &columns) {
                Some(Shown::Instead(mask)) => {
                    guard.masks.insert(column.clone(), mask);
                }
                Some(Shown::AsItIs) => {
                    guard.masks.remove(column);
                }
                None => {}
            }
        }
        guard.asks_the_clock |= std::mem::take(&mut checking.asks_the_clock);
    }
    for (table, text) in &own.filters {
        let at = format!("filters.{table}");
        let Some(columns) = checking.columns(&at, table) else { continue };
        let guard = guards.entry(table.clone()).or_insert_with(new);
        guard.is_configured = true;
        if checking.filter(&at, text, &columns) {
            guard.filter = Some(text.clone());
        }
        guard.asks_the_clock |= std::mem::take(&mut checking.asks_the_clock);
    }
    // Of a stream that is shown in part the ledgers tell no more than that part, unless they are said to.
    let in_part = guards.iter().filter(|(_, guard)| guard.is_configured && !guard.is_open());
    let in_part = in_part.map(|(table, _)| table.clone()).collect();
    for (ledger, column, mask) in known.ledger_masks(own.personal == Personal::Clear, &in_part) {
        if !own.masks.get(&ledger).is_some_and(|masks| masks.contains_key(&column)) {
            guards.entry(ledger).or_insert_with(new).masks.insert(column, mask);
        }
    }
    guards.retain(|_, guard| !guard.is_open());
    for (table, guard) in &mut guards {
        guard.is_ordered = !known.is_as_it_came(table);
    }
    for (table, guard) in &guards {
        checking.whole(table, guard);
    }
    guards.into_iter().map(|(table, guard)| (table, Arc::new(guard))).collect()
}

/// What the configuration says of a column.
enum Shown {
    AsItIs,
    Instead(Mask),
}

struct Checking<'a> {
    mistakes: &'a mut Vec<String>,
    role: Role,
    own: &'a RoleConfig,
    known: &'a Known,
    /// Whether an expression since this was last looked at is other at another time.
    asks_the_clock: bool,
}

impl Checking<'_> {
    fn wrong(&mut self, at: &str, value: Option<&str>, message: &str) {
        let place = self.own.places.get(at).map_or_else(String::new, |place| format!("{place}: "));
        let value = value.map_or_else(String::new, |value| format!(" = {value:?}"));
        let role = self.role.as_str();
        self.mistakes.push(format!("{place}sql.roles.{role}.{at}{value}: {message}"));
    }

    /// The columns of a table that can be masked and filtered.
    fn columns(&mut self, at: &str, table: &str) -> Option<SchemaRef> {
        if let Some(columns) = self.known.columns(table) {
            return Some(Arc::clone(columns));
        }
        let names: Vec<&str> = self.known.tables().collect();
        let message = match nearest(table, &names) {
            Some(near) => format!("there is no table {table}; did you mean {near}?"),
            None => format!("there is no table {table} that can be masked or filtered"),
        };
        self.wrong(at, None, &message);
        None
    }

    /// What is shown of a column; `None` for a mistake.
    fn shown(
        &mut self,
        (table, column): (&str, &str),
        text: &str,
        columns: &SchemaRef,
    ) -> Option<Shown> {
        let at = format!("masks.{table}.{column}");
        let Ok(field) = columns.field_with_name(column) else {
            let names: Vec<&str> =
                columns.fields().iter().map(|field| field.name().as_str()).collect();
            let names = names.join(", ");
            self.wrong(&at, None, &format!("{table} has no column {column}; it has {names}"));
            return None;
        };
        match text {
            "clear" => Some(Shown::AsItIs),
            "null" => Some(Shown::Instead(Mask::Null)),
            "hash" if is_hashed(field.data_type()) => Some(Shown::Instead(Mask::Hash)),
            "hash" => {
                let message = format!(
                    "{column} is {}, and only text and BIGINT are hashed; take \"null\" or an expression",
                    crate::sql::sql_type(field.data_type())
                );
                self.wrong(&at, Some(text), &message);
                None
            }
            _ => {
                let of = self.expression(&at, text, columns)?;
                if !is_alike(&of, field.data_type()) {
                    let (of, wanted) =
                        (crate::sql::sql_type(&of), crate::sql::sql_type(field.data_type()));
                    self.wrong(
                        &at,
                        Some(text),
                        &format!("it is {of}, and {column} is {wanted}: CAST it"),
                    );
                    return None;
                }
                Some(Shown::Instead(Mask::Sql(text.to_owned())))
            }
        }
    }

    fn filter(&mut self, at: &str, text: &str, columns: &SchemaRef) -> bool {
        match self.expression(at, text, columns) {
            Some(DataType::Boolean) => true,
            Some(other) => {
                let other = crate::sql::sql_type(&other);
                self.wrong(at, Some(text), &format!("it is {other}, and no condition"));
                false
            }
            None => false,
        }
    }

    /// The type of an expression over a table's columns.
    fn expression(&mut self, at: &str, text: &str, columns: &SchemaRef) -> Option<DataType> {
        let typed = DFSchema::try_from(columns.as_ref().clone()).and_then(|schema| {
            let expr = PLANNER.create_logical_expr(text, &schema)?;
            let refused = refusal(&expr);
            let is_unsteady = asks_the_clock(&expr);
            let physical = PLANNER.create_physical_expr(expr, &schema)?;
            Ok((refused, is_unsteady, physical.data_type(columns)?))
        });
        match typed {
            Ok((None, is_unsteady, of)) => {
                self.asks_the_clock |= is_unsteady;
                Some(of)
            }
            Ok((Some(message), ..)) => {
                self.wrong(at, Some(text), message);
                None
            }
            Err(error) => {
                self.wrong(at, Some(text), &told(&error));
                None
            }
        }
    }

    /// What each part does alone, all of them do together; this is asked once, and not first by an analyst.
    fn whole(&mut self, table: &str, guard: &Guard) {
        let Some(columns) = self.known.columns(table) else { return };
        let source = provider_as_source(Arc::new(EmptyTable::new(Arc::clone(columns))));
        let wanted = Wanted { columns: None, conditions: &[] };
        let planned = guard.plan(&PLANNER, source, &wanted);
        if let Err(error) = planned.and_then(|plan| PLANNER.optimize(&plan)) {
            let message = format!("it cannot be planned: {}", told(&error));
            self.wrong(&format!("masks.{table}"), None, &message);
        }
    }
}

/// Whether values of one type are taken for another's without anything that could fail.
fn is_alike(of: &DataType, wanted: &DataType) -> bool {
    let is_text =
        |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    of == wanted
        || *of == DataType::Null
        || is_text(of) && is_text(wanted)
        || of.is_numeric() && wanted.is_numeric()
        || matches!((of, wanted), (DataType::Timestamp(..), DataType::Timestamp(..)))
}
