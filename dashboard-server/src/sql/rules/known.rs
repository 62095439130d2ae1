//! The tables that there are, for who makes rules about them: their columns, and which of these tell of a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tidemark_pipeline::history::{HashKey, HistoryLayout};
use tidemark_pipeline::ledger::{Entry, LedgerKind, table};
use tidemark_pipeline::run::publisher::view_info;
use tidemark_pipeline::sql::Catalog;
use tidemark_pipeline::sql::catalog::{ViewQuery, system_tables};
use tidemark_pipeline::sql::stream::StreamDefinition;

use super::guard::Mask;
use super::hash::is_hashed;
use super::lineage::personal_columns;

/// Why a role is not shown a raw record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// It holds columns that tell of a person.
    Persons,
    /// The role is shown the stream in part, by its filter or masks, and the record would tell the rest.
    InPart,
}

impl Hidden {
    /// What stands in the place of the record.
    fn told(self) -> &'static str {
        match self {
            Self::Persons => "(hidden: the stream has personal columns)",
            Self::InPart => "(hidden: your role is shown this stream in part)",
        }
    }
}

/// How a column that tells of a person is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// As it came.
    Clear,
    /// As its keyed hash already.
    Hashed,
}

/// Tables by name.
#[derive(Debug, Clone, Default)]
pub struct Known {
    tables: BTreeMap<String, SchemaRef>,
    views: BTreeSet<String>,
    /// By table, the columns that tell of a person.
    personal: BTreeMap<String, BTreeMap<String, Kept>>,
    /// Streams with such columns: their raw records hold them.
    raw: BTreeSet<String>,
    /// Those of them that are partitioned by such a column.
    keyed: BTreeSet<String>,
    /// Tables whose rows are in the order in which they came, which says nothing of what they hold: histories and ledgers.
    as_they_came: BTreeSet<String>,
    /// Since when each view is what it is, epoch milliseconds; always, where nothing is said.
    since: BTreeMap<String, i64>,
    /// By view, the hash of its definition and the views it reads.
    definitions: BTreeMap<String, (String, BTreeSet<String>)>,
}

impl Known {
    /// What a catalogue has.
    #[must_use]
    pub fn of_catalog(catalog: &Catalog) -> Self {
        let mut known = Self::default();
        for (name, schema) in system_tables() {
            known.tables.insert(name.to_owned(), schema);
        }
        for ledger in LedgerKind::ALL {
            known.tables.insert(ledger.table().to_owned(), table::schema(ledger, catalog.zone()));
            known.as_they_came.insert(ledger.table().to_owned());
        }
        for (name, rows) in &catalog.reference {
            known.tables.insert(name.clone(), rows.schema());
        }
        for plan in catalog.streams.values() {
            known.add_stream(catalog, &plan.definition);
        }
        for view in &catalog.views {
            let info = view_info(catalog, view);
            known.tables.insert(view.name.clone(), Arc::clone(&info.schema));
            known.views.insert(view.name.clone());
            let inputs = match &view.query {
                ViewQuery::Results(over) => over.inputs.iter().cloned().collect(),
                ViewQuery::Stream(_) => BTreeSet::new(),
            };
            known.definitions.insert(view.name.clone(), (info.hash, inputs));
        }
        for (view, columns) in personal_columns(catalog, &personal_of) {
            let kept = columns.into_iter().map(|column| (column, Kept::Clear)).collect();
            known.personal.insert(view, kept);
        }
        known
    }

    fn add_stream(&mut self, catalog: &Catalog, definition: &StreamDefinition) {
        let columns = personal_of(catalog, definition);
        let base = catalog.streams.get(definition.base()).map(|plan| &plan.definition);
        // Whatever columns a derived table has, the record is that of its source.
        if let Some(base) = base.filter(|base| !base.personal.is_empty()) {
            self.raw.insert(definition.name.clone());
            if base.partition_key.is_some_and(|key| base.personal.contains(&key)) {
                self.keyed.insert(definition.name.clone());
            }
        }
        // A key that hashes nothing: only the columns are looked at.
        let layout = HistoryLayout::of(definition, HashKey::new([0; 32]));
        let Some(layout) = layout.ok().filter(|_| definition.keeps_history) else { return };
        self.tables.insert(definition.name.clone(), Arc::clone(&layout.shown));
        self.as_they_came.insert(definition.name.clone());
        let kept = columns.into_iter().map(|column| {
            let is_hashed = definition
                .column(&column)
                .is_some_and(|at| definition.history_hashed.contains(&at));
            (column, if is_hashed { Kept::Hashed } else { Kept::Clear })
        });
        self.personal.insert(definition.name.clone(), kept.collect());
    }

    /// With what [`super::Definitions`] knows.
    #[must_use]
    pub fn with_since(mut self, since: BTreeMap<String, i64>) -> Self {
        self.since = since;
        self
    }

    /// The views, each with since when it is what it is.
    pub(super) fn views_since(&self) -> BTreeMap<String, i64> {
        let since = |view: &String| self.since.get(view).copied().unwrap_or(i64::MIN);
        self.views.iter().map(|view| (view.clone(), since(view))).collect()
    }

    /// The views, each with the hash of its definition and the views it reads.
    pub(super) fn definitions(&self) -> impl Iterator<Item = (&str, &str, &BTreeSet<String>)> {
        let all = self.definitions.iter();
        all.map(|(view, (hash, inputs))| (view.as_str(), hash.as_str(), inputs))
    }

    /// Whether the rows of a table are in the order in which they came.
    pub(super) fn is_as_it_came(&self, table: &str) -> bool {
        self.as_they_came.contains(table)
    }

    /// Streams whose raw records hold columns that tell of a person.
    pub(super) fn raw_personal(&self) -> BTreeSet<String> {
        self.raw.clone()
    }

    /// Those of them that are partitioned by such a column.
    pub(super) fn keyed_personal(&self) -> BTreeSet<String> {
        self.keyed.clone()
    }

    /// Names of the views.
    pub(super) fn views(&self) -> impl Iterator<Item = &String> {
        self.views.iter()
    }

    /// Names of what can be masked and filtered.
    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// The columns of a table.
    pub(super) fn columns(&self, table: &str) -> Option<&SchemaRef> {
        self.tables.get(table)
    }

    /// What is masked for who is shown no person, as table, column and mask. What a history holds as a hash stays the
    /// hash that it is: it is the same as that of the other tables.
    pub(super) fn usual_masks(&self) -> Vec<(String, String, Mask)> {
        let mut masks = Vec::new();
        for (table, columns) in &self.personal {
            let clear = columns.iter().filter(|(_, kept)| **kept == Kept::Clear);
            for (column, _) in clear {
                let field = self.tables.get(table).and_then(|schema| {
                    schema.field_with_name(column).ok().map(|field| field.data_type().clone())
                });
                let Some(of) = field else { continue };
                let mask = if is_hashed(&of) { Mask::Hash } else { Mask::Null };
                masks.push((table.clone(), column.clone(), mask));
            }
        }
        masks
    }

    /// As [`without_record`], in SQL, for a role that is shown no person (or is) and these tables in part: of such a stream the raw
    /// record is not shown, nor a reason that quotes it, nor its key if it tells of a person.
    pub(super) fn ledger_masks(
        &self,
        is_shown_persons: bool,
        in_part: &BTreeSet<String>,
    ) -> Vec<(String, String, Mask)> {
        let none = BTreeSet::new();
        let persons = if is_shown_persons { &none } else { &self.raw };
        let keyed = if is_shown_persons { &none } else { &self.keyed };
        let of = |ledger: LedgerKind, column: &str, cases: &[(&BTreeSet<String>, String)]| {
            let cases = cases.iter().filter(|(streams, _)| !streams.is_empty());
            let cases: Vec<String> = cases
                .map(|(streams, instead)| {
                    let names: Vec<String> = streams.iter().map(|name| quoted(name)).collect();
                    format!("WHEN stream IN ({}) THEN {instead}", names.join(", "))
                })
                .collect();
            let text = format!("CASE {} ELSE {column} END", cases.join(" "));
            let mask = (!cases.is_empty()).then_some(Mask::Sql(text))?;
            Some((ledger.table().to_owned(), column.to_owned(), mask))
        };
        let why = |why: Hidden| quoted(why.told());
        let raw = [(persons, why(Hidden::Persons)), (in_part, why(Hidden::InPart))];
        let kind = [(persons, "kind".to_owned()), (in_part, "kind".to_owned())];
        let masks = LedgerKind::ALL.map(|ledger| of(ledger, "raw", &raw)).into_iter().chain([
            of(LedgerKind::DeadLetter, "reason", &kind),
            of(LedgerKind::Unmatched, "order_key", &[(keyed, "''".to_owned())]),
        ]);
        masks.flatten().collect()
    }
}

/// An entry of a stream whose record is not shown, without it, with the word for its reason where that could quote it, and
/// without its key if that tells of a person.
pub(super) fn without_record(
    ledger: LedgerKind,
    entry: Entry,
    why: Hidden,
    is_keyed: bool,
) -> Entry {
    let quotes = ledger == LedgerKind::DeadLetter;
    let reason = if quotes { entry.kind.clone() } else { entry.reason };
    let order_key = if is_keyed { String::new() } else { entry.order_key };
    let raw_bytes = u64::try_from(why.told().len()).unwrap_or(0);
    Entry { raw: why.told().into(), raw_bytes, order_key, reason, ..entry }
}

#[cfg(test)]
impl Known {
    /// The views of results, without a catalogue.
    pub(crate) fn of_results(results: &tidemark_pipeline::results::Results) -> Self {
        let views = results.views();
        let tables = views.iter().map(|view| (view.name.clone(), Arc::clone(&view.schema)));
        let names = views.iter().map(|view| view.name.clone()).collect();
        let definitions = views.iter();
        let definitions = definitions
            .map(|view| (view.name.clone(), (view.hash.clone(), BTreeSet::new())))
            .collect();
        Self { tables: tables.collect(), views: names, definitions, ..Self::default() }
    }

    /// With another definition of a view, over these.
    pub(crate) fn with_definition(mut self, view: &str, hash: &str, inputs: &[&str]) -> Self {
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.definitions.insert(view.to_owned(), (hash.to_owned(), inputs));
        self
    }

    /// With one more table.
    pub(crate) fn with_table(mut self, name: &str, schema: SchemaRef) -> Self {
        self.tables.insert(name.to_owned(), schema);
        self
    }

    /// With a column that tells of a person, and a stream of that name.
    pub(crate) fn with_personal(mut self, table: &str, column: &str) -> Self {
        let columns = self.personal.entry(table.to_owned()).or_default();
        columns.insert(column.to_owned(), Kept::Clear);
        self.raw.insert(table.to_owned());
        self
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The columns of a stream that tell of a person; a derived table carries those of its source under their names.
fn personal_of(catalog: &Catalog, definition: &StreamDefinition) -> BTreeSet<String> {
    let named = |of: &StreamDefinition| -> BTreeSet<String> {
        let columns = of.personal.iter().filter_map(|at| of.columns.get(*at));
        columns.map(|column| column.field.name().clone()).collect()
    };
    match catalog.streams.get(definition.base()) {
        Some(base) if definition.derived.is_some() => {
            let theirs = named(&base.definition);
            let own = definition.columns.iter().map(|column| column.field.name().clone());
            own.filter(|name| theirs.contains(name)).collect()
        }
        _ => named(definition),
    }
}
