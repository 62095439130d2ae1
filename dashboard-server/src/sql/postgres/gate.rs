//! What may pass: reading statements with a checked plan, cursors over them, and the small talk of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::common::{DFSchema, ParamValues};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{Declare, Statement};
use datafusion_postgres::QueryHook;
use datafusion_postgres::arrow_pg::datatypes::df::encode_dataframe;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::results::{QueryResponse, Response, Tag};
use datafusion_postgres::pgwire::api::stmt::StoredStatement;
use datafusion_postgres::pgwire::api::store::{MemPortalStore, PortalStore as _};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireFrontendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::TARGET_TYPE_BYTE_STATEMENT;
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::catalogue::{plan_of_nothing, rewritten};
use super::copy::Form;
use super::cursors::{Cursors, declared};
use super::error::pg_error;
use super::gathering::Gathering;
use super::kept::Kept;
use super::parameters::Prepared;
use super::passage::{Passage, passage};
use super::settings::{set_time_zone, setting, time_zone};
use super::words::name_of;
use crate::config::SqlConfig;
use crate::sql::allow::check_plan;
use crate::sql::dialect::planned_as;
use crate::sql::error::SqlError;
use crate::sql::expansion::check_expansion;
use crate::sql::past::check_versions;
use crate::sql::size::check_tables;
use crate::sql::tables::Pin;

/// The first hook: whatever reaches the library has passed here.
pub(super) struct Gate {
    pin: Arc<Pin>,
    limits: SqlConfig,
    cursors: Arc<Cursors>,
    gathering: Gathering,
    kept: Kept,
    /// Whether a transaction has begun in the words that are being answered; the client is told after them.
    is_begun: AtomicBool,
}

impl Gate {
    /// Queries see the cut of `pin`, which is renewed before each of them.
    pub(super) fn new(pin: Arc<Pin>, limits: SqlConfig, gathering: Gathering, kept: Kept) -> Self {
        let (cursors, is_begun) = (Arc::default(), AtomicBool::new(false));
        Self { pin, limits, cursors, gathering, kept, is_begun }
    }

    /// Brings a message within its bounds, and enters what it leaves with the connection.
    ///
    /// # Errors
    /// When it leaves too much.
    pub(super) fn bounded(&self, message: &mut PgWireFrontendMessage) -> PgWireResult<()> {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        match message {
            PgWireFrontendMessage::Parse(parse) => {
                self.kept.statement(&named(&parse.name), parse.query.len())
            }
            PgWireFrontendMessage::Bind(bind) => {
                let bytes = bind.parameters.iter().flatten().map(|value| value.len()).sum();
                self.kept.portal(&named(&bind.portal_name), bytes)
            }
            PgWireFrontendMessage::Execute(execute) => {
                // The library makes room for as many rows as are asked for; 0 is all there are.
                let most = self.pin.rules().bounds.rows.most;
                let most = i32::try_from(most).unwrap_or(i32::MAX);
                execute.max_rows = execute.max_rows.clamp(0, most.saturating_add(1));
                Ok(())
            }
            PgWireFrontendMessage::Close(close) => {
                match close.target_type {
                    TARGET_TYPE_BYTE_STATEMENT => self.kept.forget_statement(&named(&close.name)),
                    _ => self.kept.forget_portal(&named(&close.name)),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Lets go of what ends with a transaction.
    pub(super) fn end_of_transaction(&self, store: &MemPortalStore<Prepared>) {
        self.is_begun.store(false, Ordering::Relaxed);
        self.cursors.end_of_transaction();
        self.kept.forget_portals();
        store.clear_portals();
    }

    /// Lets go of one prepared statement, or of all.
    fn deallocate(&self, name: Option<&str>, client: &dyn HookClient) -> Response {
        let names = match name {
            Some(name) => {
                self.kept.forget_statement(name);
                vec![name.to_owned()]
            }
            None => self.kept.forget_statements(),
        };
        names.iter().for_each(|name| client.portal_store().rm_statement(name));
        Response::Execution(Tag::new("DEALLOCATE"))
    }

    /// Lets go of all that a client has left.
    fn discard(&self, client: &dyn HookClient) -> PgWireResult<Response> {
        let _statements = self.deallocate(None, client);
        self.cursors.close(None)?;
        self.end_of_transaction(client.portal_store());
        Ok(Response::Execution(Tag::new("DISCARD ALL")))
    }

    async fn checked_plan(
        &self,
        statement: &Statement,
        session: &SessionContext,
    ) -> PgWireResult<LogicalPlan> {
        check_tables(statement, &self.limits).map_err(|error| pg_error(&error))?;
        check_versions(statement).map_err(|error| pg_error(&error))?;
        let nothing = plan_of_nothing(statement);
        if let Some(plan) = nothing.map_err(|error| pg_error(&SqlError::of_planning(&error)))? {
            return Ok(plan);
        }
        let statement =
            planned_as(rewritten(statement.clone())).map_err(|error| pg_error(&error))?;
        let engine = EngineStatement::Statement(Box::new(statement));
        let plan = session.state().statement_to_plan(engine).await;
        let told = |error| SqlError::of_planning(&error).before_cut(self.pin.cut().cut);
        let plan = plan.map_err(|error| pg_error(&told(error)))?;
        check_plan(&plan).map_err(|error| pg_error(&error))?;
        check_expansion(&plan, self.limits.operators_max).map_err(|error| pg_error(&error))?;
        Ok(plan)
    }

    async fn query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        options: Arc<FormatOptions>,
    ) -> PgWireResult<Response> {
        self.pin.renew();
        let plan = self.checked_plan(statement, session).await?;
        let answered = answered(plan, session, (&Format::UnifiedText, options)).await?;
        Ok(Response::Query(answered))
    }

    /// Copies the answer of a checked plan to the client.
    async fn copy(
        &self,
        plan: LogicalPlan,
        form: Form,
        (session, options): (&SessionContext, Arc<FormatOptions>),
    ) -> PgWireResult<Response> {
        let encoding = form.encoding();
        let answer = answered(plan, session, (&encoding, options)).await?;
        Ok(form.response(self.gathering.rows(answer).await?))
    }

    /// Opens a cursor over the answer of a checked plan without parameters.
    async fn declare(
        &self,
        (query, declare): (&Statement, &Declare),
        plan: LogicalPlan,
        session: &SessionContext,
        client: &mut dyn HookClient,
    ) -> PgWireResult<Response> {
        let (name, is_with_hold) = declared(declare)?;
        let is_idle = client.transaction_status() == TransactionStatus::Idle;
        if is_idle && !is_with_hold && !self.is_begun.load(Ordering::Relaxed) {
            let told = "a cursor ends with its transaction, and there is none: BEGIN first, or declare it WITH HOLD";
            let info = ErrorInfo::new("ERROR".to_owned(), "25P01".to_owned(), told.to_owned());
            return Err(PgWireError::UserError(Box::new(info)));
        }
        self.cursors.check(&name)?;
        let plan = planned(typed(session, plan))?;
        let frame = planned(session.execute_logical_plan(plan.clone()).await)?;
        let answer = self.gathering.batches(frame).await?;
        self.cursors.open((name.clone(), is_with_hold), answer)?;
        // A driver asks what is in a cursor as it asks of any portal.
        let statement = (query.to_string(), Some((query.clone(), plan)));
        let stored = StoredStatement::new(name.clone(), statement, Vec::new());
        client.portal_store().put_portal(Arc::new(Portal::new_cursor(name, Arc::new(stored))));
        Ok(Response::Execution(Tag::new("DECLARE CURSOR")))
    }

    fn fetch_plan(&self, statement: &Statement) -> PgWireResult<LogicalPlan> {
        match statement {
            Statement::Fetch { name, direction, .. } => {
                self.cursors.plan(&name_of(name), direction)
            }
            _ => Ok(nothing_plan()),
        }
    }

    /// Passes over rows of a cursor.
    fn moved(&self, statement: &Statement) -> PgWireResult<Response> {
        let rows = match statement {
            Statement::Fetch { name, direction, .. } => {
                self.cursors.pass_over(&name_of(name), direction)?
            }
            _ => 0,
        };
        Ok(Response::Execution(Tag::new("MOVE").with_rows(rows)))
    }

    fn close(&self, name: Option<&str>, client: &mut dyn HookClient) -> PgWireResult<Response> {
        self.cursors.close(name)?;
        match name {
            Some(name) => client.portal_store().rm_portal(name),
            None => client.portal_store().clear_portals(),
        }
        Ok(Response::Execution(Tag::new("CLOSE CURSOR")))
    }
}

/// What was planned, or the error in our words.
fn planned<T>(planned: Result<T, DataFusionError>) -> PgWireResult<T> {
    planned.map_err(|error| pg_error(&SqlError::of_planning(&error)))
}

async fn answered(
    plan: LogicalPlan,
    session: &SessionContext,
    (encoding, options): (&Format, Arc<FormatOptions>),
) -> PgWireResult<QueryResponse> {
    // The library describes an answer by the plan that it is given: this one has the types that the answer will have.
    let plan = planned(typed(session, plan))?;
    let frame = planned(session.execute_logical_plan(plan).await)?;
    encode_dataframe(frame, encoding, Some(options)).await
}

async fn of_plan(
    plan: PgWireResult<LogicalPlan>,
    session: &SessionContext,
    options: Arc<FormatOptions>,
) -> PgWireResult<Response> {
    answered(plan?, session, (&Format::UnifiedText, options)).await.map(Response::Query)
}

fn options(client: &dyn HookClient) -> Arc<FormatOptions> {
    Arc::new(FormatOptions::from_client_metadata(client.metadata()))
}

/// A plan whose types have been made alike.
///
/// # Errors
/// When they cannot be, or where a parameter has none yet.
pub(super) fn typed(
    session: &SessionContext,
    plan: LogicalPlan,
) -> Result<LogicalPlan, DataFusionError> {
    let state = session.state();
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}

fn nothing_plan() -> LogicalPlan {
    let schema = Arc::new(DFSchema::empty());
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })
}

#[async_trait]
impl QueryHook for Gate {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        let passage = match passage(statement) {
            Ok(passage) => passage,
            Err(error) => return Some(Err(pg_error(&error))),
        };
        let options = options(client);
        Some(match passage {
            Passage::SmallTalk => {
                let begins = matches!(statement, Statement::StartTransaction { .. });
                self.is_begun.fetch_or(begins, Ordering::Relaxed);
                return None;
            }
            Passage::EndOfTransaction => {
                self.end_of_transaction(client.portal_store());
                return None;
            }
            Passage::Nothing(tag) => Ok(Response::Execution(Tag::new(tag))),
            Passage::Close(name) => self.close(name.as_deref(), client),
            Passage::Deallocate(name) => Ok(self.deallocate(name.as_deref(), client)),
            Passage::Discard => self.discard(client),
            Passage::Fixed(name, value) => of_plan(setting(name, value), session, options).await,
            Passage::TimeZone => of_plan(time_zone(self.pin.ledger_zone()), session, options).await,
            Passage::SetTimeZone(asked) => set_time_zone(self.pin.ledger_zone(), &asked),
            Passage::Fetch => {
                let fetched = of_plan(self.fetch_plan(statement), session, options).await;
                fetched.map(|response| match response {
                    Response::Query(mut rows) => {
                        rows.set_command_tag("FETCH");
                        Response::Query(rows)
                    }
                    response => response,
                })
            }
            Passage::Move => self.moved(statement),
            Passage::Query => self.query(statement, session, options).await,
            Passage::Copy(query, form) => {
                self.pin.renew();
                match self.checked_plan(&query, session).await {
                    Ok(plan) => self.copy(plan, form, (session, options)).await,
                    Err(error) => Err(error),
                }
            }
            Passage::Declare(query, declare) => {
                self.pin.renew();
                match self.checked_plan(&query, session).await {
                    Ok(plan) => self.declare((&query, &declare), plan, session, client).await,
                    Err(error) => Err(error),
                }
            }
        })
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        _client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        Some(match passage(statement) {
            Ok(Passage::SmallTalk | Passage::EndOfTransaction) => return None,
            Ok(
                Passage::Nothing(_)
                | Passage::SetTimeZone(_)
                | Passage::Close(_)
                | Passage::Deallocate(_)
                | Passage::Discard
                | Passage::Move,
            ) => Ok(nothing_plan()),
            Ok(Passage::Fixed(name, value)) => setting(name, value),
            Ok(Passage::TimeZone) => time_zone(self.pin.ledger_zone()),
            Ok(Passage::Fetch) => self.fetch_plan(statement),
            Ok(Passage::Query) => self.checked_plan(statement, session).await,
            Ok(Passage::Copy(query, _) | Passage::Declare(query, _)) => {
                self.checked_plan(&query, session).await
            }
            Err(error) => Err(pg_error(&error)),
        })
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
        params: &ParamValues,
        session: &SessionContext,
        client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        let passage = match passage(statement) {
            Ok(passage) => passage,
            Err(error) => return Some(Err(pg_error(&error))),
        };
        match passage {
            Passage::SmallTalk => None,
            Passage::EndOfTransaction => {
                self.end_of_transaction(client.portal_store());
                None
            }
            Passage::Nothing(tag) => Some(Ok(Response::Execution(Tag::new(tag)))),
            Passage::Close(name) => Some(self.close(name.as_deref(), client)),
            Passage::Deallocate(name) => Some(Ok(self.deallocate(name.as_deref(), client))),
            Passage::Discard => Some(self.discard(client)),
            Passage::Fetch => None,
            Passage::Move => Some(self.moved(statement)),
            // A text is the same bytes in both forms.
            Passage::Fixed(name, value) => {
                Some(of_plan(setting(name, value), session, options(client)).await)
            }
            Passage::TimeZone => {
                Some(of_plan(time_zone(self.pin.ledger_zone()), session, options(client)).await)
            }
            Passage::SetTimeZone(asked) => Some(set_time_zone(self.pin.ledger_zone(), &asked)),
            Passage::Query | Passage::Copy(..) | Passage::Declare(..) => {
                // Checked when it was prepared; again, because nothing depends on that being so.
                if let Err(error) = check_plan(plan) {
                    return Some(Err(pg_error(&error)));
                }
                self.pin.renew();
                let bound = || planned(plan.clone().replace_params_with_values(params));
                match passage {
                    Passage::Copy(_, form) => Some(match bound() {
                        Ok(plan) => self.copy(plan, form, (session, options(client))).await,
                        Err(error) => Err(error),
                    }),
                    Passage::Declare(query, declare) => Some(match bound() {
                        Ok(plan) => self.declare((&query, &declare), plan, session, client).await,
                        Err(error) => Err(error),
                    }),
                    _ => None,
                }
            }
        }
    }
}
