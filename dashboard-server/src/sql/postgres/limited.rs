//! The library's query service within our limits: turns, time, rows and memory.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::pgwire::api::portal::Portal;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::Response;
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, METADATA_USER};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::{DfSessionService, QueryHook};
use futures::Sink;

use super::error::pg_error;
use super::gate::Gate;
use super::gathering::Gathering;
use super::parameters::{Prepared, over_plan, values_of, with_decimals};
use super::parser::SizedParser;
use super::past::Past;
use super::place::Places;
use super::stamps::by_the_zone;
use super::words;
use crate::config::SqlConfig;
use crate::sql::SqlService;
use crate::sql::error::SqlError;
use crate::sql::growth::Budget;
use crate::sql::limits::{Bound, Limit};
use crate::sql::past::Given;
use crate::sql::running::Door;
use crate::sql::session::Session;
use crate::sql::size::check_text;
use crate::sql::tables::Pin;

/// Where the library keeps what a client set with `SET statement_timeout`, in milliseconds.
const STATEMENT_TIMEOUT: &str = "statement_timeout_ms";

/// One connection's queries.
pub(super) struct LimitedService {
    library: DfSessionService,
    parser: Arc<SizedParser>,
    places: Arc<Places>,
    past: Arc<Past>,
    service: SqlService,
    gathering: Gathering,
    budget: Arc<Budget>,
    pin: Arc<Pin>,
}

impl LimitedService {
    /// Queries run in `session`, whose tables are those of `pin`, and pass `gate` first.
    pub(super) fn new(
        service: SqlService,
        (session, pin): (Session, Arc<Pin>),
        gate: Arc<Gate>,
        gathering: Gathering,
    ) -> Self {
        let hooks: Vec<Arc<dyn QueryHook>> =
            vec![gate, Arc::new(SetShowHook), Arc::new(TransactionStatementHook)];
        let limits = service.limits().config.clone();
        let context = Arc::new(session.context);
        let places = Places::new(Arc::clone(&context), service.clone(), Arc::clone(&pin));
        let (places, past) =
            (Arc::new(places), Arc::new(Past::new(service.clone(), Arc::clone(&pin))));
        let library = DfSessionService::new_with_hooks(Arc::clone(&context), hooks);
        let ours = (Arc::clone(&places), Arc::clone(&past));
        let parser = SizedParser::new(library.query_parser(), context, limits, ours);
        let (parser, budget) = (Arc::new(parser), session.budget);
        Self { library, parser, places, past, service, gathering, budget, pin }
    }

    fn config(&self) -> &SqlConfig {
        &self.service.limits().config
    }

    /// Runs within the time that is left to the strictest of server and client.
    async fn within<T>(
        &self,
        asked: &Asked,
        running: impl Future<Output = PgWireResult<T>> + Send,
    ) -> PgWireResult<T> {
        let entered = self.service.queries().begin(None, Door::Postgres, &asked.who, &asked.text);
        let turn = entered.map_err(|error| pg_error(&error))?;
        let ended = tokio::select! {
            ended = self.bounded(asked.after, running) => ended,
            () = turn.stopped() => Err(pg_error(&SqlError::Cancelled)),
        };
        // Rows are on their way to the client by now, and the protocol's own words say how it failed.
        let failed = SqlError::Run { message: String::new() };
        turn.ended(if ended.is_ok() { Ok(None) } else { Err(&failed) });
        ended
    }

    async fn bounded<T>(
        &self,
        asked: Option<Duration>,
        running: impl Future<Output = PgWireResult<T>> + Send,
    ) -> PgWireResult<T> {
        let rules = self.pin.rules();
        let turn = self.service.limits().turn(&rules).await;
        let _turn = turn.map_err(|error| pg_error(&error))?;
        metrics::counter!("tidemark_sql_queries_total", "door" => "postgres").increment(1);
        let Bound { most, limit } = rules.bounds.time;
        let of_client = asked.filter(|asked| *asked < most);
        let (after, limit) = of_client.map_or((most, limit), |asked| (asked, Limit::of_client()));
        // Between batches the engine stops by itself; within one the functions ask.
        let _running = self.budget.begin((after, limit), Arc::default());
        let timed = tokio::time::timeout(after, running).await;
        timed.unwrap_or_else(|_| Err(pg_error(&SqlError::Timeout { after, limit })))
    }

    /// The portal over what the parameters of its clauses ask for; `None` where it has none.
    async fn as_then<C>(
        &self,
        client: &C,
        portal: &Portal<Prepared>,
    ) -> PgWireResult<Option<Portal<Prepared>>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let (text, Some((_, prepared))) = &portal.statement.statement else { return Ok(None) };
        let clauses = self.past.parameters(text);
        if clauses.is_empty() {
            return Ok(None);
        }
        let (values, types) = (values_of(portal, &clauses), &portal.statement.parameter_types);
        let asked = (text.as_str(), Given::Values(&values));
        let Some((_, Some((statement, plan)))) = self.parser.parsed(client, asked, types).await?
        else {
            return Ok(None);
        };
        if columns(prepared) != columns(&plan) {
            let told = "the table had other columns then than it has now, as which this was described: write the version \
                        or time itself into the query";
            let info = ErrorInfo::new("ERROR".to_owned(), "0A000".to_owned(), told.to_owned());
            return Err(PgWireError::UserError(Box::new(info)));
        }
        let then = over_plan(portal, (text, &statement, plan));
        then.map(Some).map_err(|error| pg_error(&SqlError::of_planning(&error)))
    }

    async fn gathered(&self, response: Response) -> PgWireResult<Response> {
        match response {
            Response::Query(query) => Ok(Response::Query(self.gathering.rows(query).await?)),
            response => Ok(response),
        }
    }
}

/// Names and types of what a plan answers with.
fn columns(plan: &LogicalPlan) -> Vec<(&str, &DataType)> {
    let fields = plan.schema().fields().iter();
    fields.map(|field| (field.name().as_str(), field.data_type())).collect()
}

/// What is asked, by whom, and how long they want to wait.
struct Asked {
    text: String,
    who: String,
    after: Option<Duration>,
}

impl Asked {
    fn new(client: &impl ClientInfo, text: &str) -> Self {
        let who = client.metadata().get(METADATA_USER).cloned().unwrap_or_default();
        Self { text: text.to_owned(), who, after: statement_timeout(client) }
    }
}

fn statement_timeout(client: &impl ClientInfo) -> Option<Duration> {
    let text = client.metadata().get(STATEMENT_TIMEOUT)?;
    text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

#[async_trait]
impl SimpleQueryHandler for LimitedService {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        check_text(query, self.config()).map_err(|error| pg_error(&error))?;
        let asked = Asked::new(client, query);
        let running = async {
            let text = words::plain(query);
            let text = self.past.planned(&text, Given::Nothing).await?;
            let responses = SimpleQueryHandler::do_query(&self.library, client, &text).await?;
            let mut gathered = Vec::with_capacity(responses.len());
            for response in responses {
                gathered.push(self.gathered(response).await?);
            }
            Ok(gathered)
        };
        match self.within(&asked, running).await {
            Ok(responses) => Ok(responses),
            Err(error) => Err(self.places.put_into(error, query).await),
        }
    }
}

#[async_trait]
impl ExtendedQueryHandler for LimitedService {
    type Statement = <DfSessionService as ExtendedQueryHandler>::Statement;
    type QueryParser = SizedParser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.parser)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let asked = Asked::new(client, &portal.statement.statement.0);
        let running = async {
            let then = self.as_then(client, portal).await?;
            let portal = then.as_ref().unwrap_or(portal);
            let exact =
                with_decimals(portal).map_err(|error| pg_error(&SqlError::of_planning(&error)))?;
            let portal = exact.as_ref().unwrap_or(portal);
            let plan = portal.statement.statement.1.as_ref().map(|(_, plan)| plan);
            let told = plan.and_then(|plan| by_the_zone(portal, plan));
            let portal = told.as_ref().unwrap_or(portal);
            let response =
                ExtendedQueryHandler::do_query(&self.library, client, portal, max_rows).await?;
            match (self.gathered(response).await?, &portal.statement.statement.1) {
                (Response::Query(mut rows), Some((Statement::Fetch { .. }, _))) => {
                    rows.set_command_tag("FETCH");
                    Ok(Response::Query(rows))
                }
                (response, _) => Ok(response),
            }
        };
        self.within(&asked, running).await
    }
}
