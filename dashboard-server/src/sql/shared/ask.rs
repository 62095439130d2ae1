//! Sharing a query, and opening one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectNamePart, Statement as SqlStatement, Visit as _, Visitor,
};
use tidemark_pipeline::history::{HeldVersions, Pins, Wanted};

use super::store::{
    PinnedCut, PutBy, Shared, SharedError, SharedKind, SharedQueries, SharedTable, holder,
};
use crate::auth::Principal;
use crate::sql::allow;
use crate::sql::error::SqlError;
use crate::sql::output::Answer;
use crate::sql::params;
use crate::sql::past::{self, Given, Now, PastRows, PastTable};
use crate::sql::running::Door;
use crate::sql::session::{Question, SCHEMA, SqlService, end};
use crate::sql::tables::Pin;

/// Bytes of rows that are put by for one query: those of views and reference tables, and not of histories.
const PUT_BY_BYTES_MAX: usize = 33_554_432;

/// Tables of a statement by the names by which it reads them.
type Tables = BTreeMap<String, Arc<PastTable>>;

impl SqlService {
    /// Shares a query as it is answered at this moment; its id.
    ///
    /// # Errors
    /// When it cannot be asked, or would not answer the same again.
    pub async fn share(
        &self,
        queries: &SharedQueries,
        principal: &Principal,
        question: Question,
    ) -> Result<String, SharedError> {
        let turn = self.queries().begin(
            question.id.clone(),
            Door::Http,
            &principal.name,
            &question.text,
        )?;
        let (service, queries, asker) = (self.clone(), queries.clone(), principal.clone());
        let rules = self.rules_of(principal);
        let sharing = self.bounded(&rules, move |is_left| async move {
            Ok(service.fixed(&queries, &asker, &question, is_left).await)
        });
        let shared = tokio::select! {
            shared = sharing => shared.map_err(SharedError::from).and_then(|shared| shared),
            () = turn.stopped() => Err(SharedError::Sql(SqlError::Cancelled)),
        };
        match &shared {
            Ok(_) => turn.ended(Ok(None)),
            Err(SharedError::Sql(error)) => turn.ended(Err(error)),
            Err(other) => turn.ended(Err(&SqlError::Run { message: other.to_string() })),
        }
        shared
    }

    async fn fixed(
        &self,
        queries: &SharedQueries,
        principal: &Principal,
        question: &Question,
        is_left: Arc<AtomicBool>,
    ) -> Result<String, SharedError> {
        queries.check_room()?;
        let (pin, now) = (self.pin(), self.now());
        pin.show_to(principal);
        let values = params::plain(&question.params);
        let given = (&now, Given::Values(&values));
        let parsed = allow::parse_reading(&question.text, &self.limits().config, given)?;
        let (statement, clauses) = (parsed.statement, parsed.parameters);
        self.find_pasts(&parsed.asked, &pin).await?;
        let mut tables = pin.pasts.all();
        let mut names = names_of(&statement)?;
        names.retain(|name| !tables.contains_key(name));
        let moment = self.moment(&pin, &names).await?;
        for name in &names {
            if let Some(table) = self.as_it_is((&pin, &moment), name).await? {
                tables.insert(name.clone(), Arc::new(table));
            }
        }
        pin.pasts.set_alone(tables.clone());
        let session = self.session(&pin).map_err(|error| SqlError::of_planning(&error))?;
        let time = pin.rules().bounds.time;
        let _running = session.budget.begin((time.most, time.limit), is_left);
        let plan = self.checked_plan(statement, &session.context).await?;
        let plan = params::bind(plan, &question.params, &clauses)?;
        check_fixed(&plan)?;
        let read = past::names_of(&plan);
        tables.retain(|name, _| read.contains(name));
        let is_of_moment = tables.keys().any(|name| names.contains(name));
        let pinned = is_of_moment.then(|| moment.pinned(self.epoch()));
        let id = queries.new_id()?;
        self.put(queries, (&id, principal, now.ms), (question, pinned), &tables).await?;
        Ok(id)
    }

    async fn put(
        &self,
        queries: &SharedQueries,
        (id, principal, now): (&str, &Principal, i64),
        (question, pinned): (&Question, Option<PinnedCut>),
        tables: &Tables,
    ) -> Result<(), SharedError> {
        let (told, rows, held) = told(tables, &|name| self.reference().contains_key(name))?;
        let pins = self.results().past().map(|past| Arc::clone(&past.pins));
        if let Some(pins) = pins.as_ref().filter(|_| !held.is_empty()) {
            hold(pins, id, held)?;
            pins.undisturbed().await;
        }
        let asked = (question.text.as_str(), question.params.as_slice());
        let shared = Shared::new(asked, &principal.name, now, (told, pinned));
        // Held from here on; but files of it may have been deleted before.
        let outcome = match self.still_there(&shared).await {
            Ok(()) => queries.put(id, &shared, &rows),
            Err(gone) => Err(gone),
        };
        outcome.inspect_err(|_| queries.release(pins.as_deref(), id))
    }

    async fn still_there(&self, shared: &Shared) -> Result<(), SharedError> {
        let pin = self.pin();
        for table in &shared.tables {
            if let (SharedKind::History { .. }, Some(version)) = (&table.kind, table.paper.version)
            {
                let past = past::history(&pin, &table.paper.table, Wanted::Version(version)).await;
                let past = past.map_err(|reason| SharedError::NotFixed { reason })?;
                past.map_err(|error| SharedError::NotFixed { reason: error.to_string() })?;
            }
        }
        Ok(())
    }

    /// Answers a shared query with the rows it was shared with, as far as whoever opens it sees its tables.
    ///
    /// # Errors
    /// When there is none, it reads what is not to be seen, or it fails.
    pub async fn open_shared(
        &self,
        queries: &SharedQueries,
        principal: &Principal,
        id: &str,
    ) -> Result<Answer, SharedError> {
        let (reading, name) = (queries.clone(), id.to_owned());
        let read = tokio::task::spawn_blocking(move || reading.get(&name)).await;
        let shared = read.map_err(|_| SqlError::Stopped)??;
        if !self.shows_shared(principal, &shared) {
            return Err(SharedError::Unknown { id: id.to_owned() });
        }
        let turn = self.queries().begin(None, Door::Http, &principal.name, &shared.sql)?;
        let (service, queries) = (self.clone(), queries.clone());
        let asked = (id.to_owned(), principal.clone());
        let rules = self.rules_of(principal);
        let answering = self.bounded(&rules, move |is_left| async move {
            let (id, principal) = asked;
            Ok(service.opened(&queries, (&id, &shared), &principal, is_left).await)
        });
        let answered = tokio::select! {
            answered = answering => answered.map_err(SharedError::from).and_then(|answer| answer),
            () = turn.stopped() => Err(SharedError::Sql(SqlError::Cancelled)),
        };
        match answered {
            Ok(answer) => {
                let answer = Ok(Answer { query: turn.id().to_owned(), ..answer });
                end(turn, &answer);
                Ok(answer?)
            }
            Err(SharedError::Sql(error)) => {
                turn.ended(Err(&error));
                Err(SharedError::Sql(error))
            }
            Err(other) => {
                turn.ended(Err(&SqlError::Run { message: other.to_string() }));
                Err(other)
            }
        }
    }

    /// Whether someone sees every table of a shared query; to others there is none, for its text tells of them.
    #[must_use]
    pub fn shows_shared(&self, principal: &Principal, shared: &Shared) -> bool {
        let pin = self.pin();
        pin.show_to(principal);
        shared.tables.iter().all(|table| is_seen(table, &pin))
    }

    async fn opened(
        &self,
        queries: &SharedQueries,
        (id, shared): (&str, &Shared),
        principal: &Principal,
        is_left: Arc<AtomicBool>,
    ) -> Result<Answer, SharedError> {
        let pin = self.pin();
        pin.show_to(principal);
        let mut tables = Tables::new();
        for (nth, table) in shared.tables.iter().enumerate() {
            let found = self.table_of(queries, (id, nth), table, &pin).await?;
            tables.insert(table.name.clone(), Arc::new(found));
        }
        pin.pasts.set_alone(tables);
        // What it asked of the clock, it asked then.
        let now = Now { ms: shared.created_at, ..self.now() };
        let values = params::plain(&shared.params);
        let given = (&now, Given::Values(&values));
        let parsed = allow::parse_reading(&shared.sql, &self.limits().config, given)?;
        let asked = (parsed.statement, parsed.parameters);
        let answer = self.answered(asked, (&shared.params, &pin), is_left).await?;
        Ok(match shared.pinned.clone() {
            Some(PinnedCut { epoch, cut, as_of, watermark, .. }) => {
                Answer { epoch, cut, as_of, watermark, ..answer }
            }
            None => answer,
        })
    }

    async fn table_of(
        &self,
        queries: &SharedQueries,
        (id, nth): (&str, usize),
        shared: &SharedTable,
        pin: &Pin,
    ) -> Result<PastTable, SharedError> {
        let table = &shared.paper.table;
        // Asked when it was opened; again, because nothing depends on that being so.
        if !is_seen(shared, pin) {
            return Err(SharedError::Unknown { id: id.to_owned() });
        }
        if let (SharedKind::View, Some(at)) = (&shared.kind, shared.paper.at)
            && !pin.rules().shows_past_of(table, at)
        {
            let (message, place) = (past::not_shown(table), None);
            return Err(SharedError::Sql(SqlError::Plan { message, place }));
        }
        let (SharedKind::History { table_id }, Some(version)) =
            (&shared.kind, shared.paper.version)
        else {
            let (schema, rows) = queries.rows(id, nth)?;
            return Ok(PastTable::held(shared.paper.clone(), schema, rows));
        };
        let broken = |message: String| SharedError::Sql(SqlError::Run { message });
        let wanted = Wanted::Version(version);
        let past = past::history(pin, table, wanted).await.map_err(broken)?;
        let past = past.map_err(|error| broken(error.to_string()))?;
        match past.table_id == *table_id {
            true => Ok(PastTable::of_history(table, past, wanted).told(shared.paper.clone())),
            false => Err(broken(format!(
                "the history of {table} was begun anew since this was shared; put the table of then back"
            ))),
        }
    }
}

/// Whether whoever a pin is of sees a table of a shared query.
fn is_seen(shared: &SharedTable, pin: &Pin) -> bool {
    let table = &shared.paper.table;
    pin.rules().allows(table)
        && match shared.kind {
            SharedKind::View => pin.shows(table),
            SharedKind::History { .. } => pin.shows_all(),
            SharedKind::Reference => true,
        }
}

/// What is told of tables, the rows of theirs that are put by, and the versions that are held.
fn told(
    tables: &Tables,
    is_reference: &dyn Fn(&str) -> bool,
) -> Result<(Vec<SharedTable>, Vec<PutBy>, HeldVersions), SharedError> {
    let (mut all, mut put_by, mut held) = (Vec::new(), Vec::new(), HeldVersions::new());
    let mut bytes = 0_usize;
    for (nth, (name, table)) in tables.iter().enumerate() {
        let paper = table.paper().clone();
        let kind = match table.rows() {
            PastRows::History { table_id, .. } => {
                held.entry(paper.table.clone()).or_default().extend(paper.version);
                SharedKind::History { table_id: table_id.clone() }
            }
            PastRows::Held(rows) => {
                bytes += rows.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
                put_by.push((
                    nth,
                    datafusion::catalog::TableProvider::schema(table.as_ref()),
                    rows.clone(),
                ));
                match paper.at.is_none() && is_reference(&paper.table) {
                    true => SharedKind::Reference,
                    false => SharedKind::View,
                }
            }
        };
        all.push(SharedTable { name: name.clone(), kind, paper });
    }
    if bytes > PUT_BY_BYTES_MAX {
        return Err(SharedError::NotFixed {
            reason: format!(
                "the views it reads have {bytes} bytes, and {PUT_BY_BYTES_MAX} can be put by; ask of smaller views"
            ),
        });
    }
    Ok((all, put_by, held))
}

fn hold(pins: &Pins, id: &str, held: HeldVersions) -> Result<(), SharedError> {
    pins.hold(&holder(id), held).map_err(|error| SharedError::Store {
        place: "the pins of histories".to_owned(),
        detail: error.to_string(),
    })
}

/// The tables that a query names, as they are looked up.
fn names_of(statement: &Statement) -> Result<BTreeSet<String>, SharedError> {
    let not_fixed = |reason: String| SharedError::NotFixed { reason };
    let Statement::Statement(sql) = statement else {
        return Err(not_fixed("only a query has rows; leave EXPLAIN out".to_owned()));
    };
    if !matches!(sql.as_ref(), SqlStatement::Query(_)) {
        return Err(not_fixed("only a query has rows that stay".to_owned()));
    }
    let mut names = Names::default();
    match sql.visit(&mut names) {
        ControlFlow::Continue(()) => Ok(names.0),
        ControlFlow::Break(name) => Err(not_fixed(format!(
            "{name} is of now; only the views, histories and reference tables of schema {SCHEMA} can be shared"
        ))),
    }
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Visitor for Names {
    type Break = String;

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        let parts: Vec<String> = relation
            .0
            .iter()
            .filter_map(ObjectNamePart::as_ident)
            .map(|part| match part.quote_style {
                Some(_) => part.value.clone(),
                None => part.value.to_lowercase(),
            })
            .collect();
        match parts.as_slice() {
            [name] => self.0.insert(name.clone()),
            [.., schema, name] if schema == SCHEMA => self.0.insert(name.clone()),
            _ => return ControlFlow::Break(relation.to_string()),
        };
        ControlFlow::Continue(())
    }
}

/// Whether nothing in a plan is another at another time.
fn check_fixed(plan: &LogicalPlan) -> Result<(), SharedError> {
    let mut changing = None;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarFunction(call) = part
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    changing = Some(call.func.name().to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    match (walked, changing) {
        (Err(error), _) => Err(SharedError::Sql(SqlError::of_planning(&error))),
        (Ok(_), None) => Ok(()),
        (Ok(_), Some(name)) => Err(SharedError::NotFixed {
            reason: format!("{name}() gives another value at another time; write the value itself"),
        }),
    }
}
