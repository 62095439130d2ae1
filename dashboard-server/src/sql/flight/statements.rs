//! Statements: described, prepared, given their parameters, run, cancelled.
//!
//! ```text
//! execute ─▶ described ─▶ ticket ─▶ DoGet, once ─▶ rows
//! prepare ─▶ described ─▶ handle ─▶ values (DoPut) ─▶ execute …
//! ```

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{ActionCreatePreparedStatementResult, Any, Command, TicketStatementQuery};
use arrow_flight::{
    CancelStatus, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket,
};
use datafusion::scalar::ScalarValue;
use prost::Message as _;
use tonic::Status;

use super::handles::Handles;
use super::status::{status, unknown_handle};
use crate::auth::{Admitted, Principal};
use crate::closing::Closing;
use crate::sql::SqlService;
use crate::sql::running::Watch;
use crate::sql::stream::{Bound, Described, Poured};

/// How long a ticket waits for its DoGet, beside the time that a query may take: so long it can be cancelled by it.
const TICKET_WAITS: Duration = Duration::from_secs(60);
/// Tickets of one user.
const TICKETS_MAX: usize = 256;
/// How long a prepared statement is kept after it was used.
const PREPARED_LIFE: Duration = Duration::from_secs(3_600);
/// Prepared statements of one user.
const PREPARED_MAX: usize = 256;

/// The statements of everybody.
pub(super) struct Statements {
    service: SqlService,
    prepared: Handles<Bound>,
    tickets: Handles<Asked>,
}

/// What a ticket stands for.
enum Asked {
    /// It has not been taken.
    Waiting(Bound),
    /// A query of this name runs, or ran.
    Taken(Option<String>),
}

impl Statements {
    /// None yet.
    pub(super) fn new(service: SqlService) -> Self {
        let ticket_life = TICKET_WAITS + service.rules().read().time_max();
        let prepared = Handles::new(PREPARED_LIFE, PREPARED_MAX);
        Self { service, prepared, tickets: Handles::new(ticket_life, TICKETS_MAX) }
    }

    /// Where queries run.
    pub(super) fn service(&self) -> &SqlService {
        &self.service
    }

    /// A statement's columns, and a ticket for its rows.
    ///
    /// # Errors
    /// When it is wrong, or not one that reads.
    pub(super) async fn info(
        &self,
        owner: &Arc<Principal>,
        bound: Bound,
        asked: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let bound = Bound { values: Some(bound.values.unwrap_or_default()), ..bound };
        let described = self.described(owner, &bound).await?;
        let handle = self.tickets.keep(owner, Asked::Waiting(bound)).map_err(no_handle)?;
        let ticket = TicketStatementQuery { statement_handle: handle.into() };
        let ticket = Command::TicketStatementQuery(ticket).into_any().encode_to_vec();
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
        let info = FlightInfo::new().with_descriptor(asked).with_endpoint(endpoint);
        info.try_with_schema(&described.schema).map_err(unsayable)
    }

    /// The columns of a statement's answer.
    ///
    /// # Errors
    /// When it is wrong, or not one that reads.
    pub(super) async fn described(
        &self,
        owner: &Arc<Principal>,
        bound: &Bound,
    ) -> Result<Described, Status> {
        self.service.describe(owner, bound).await.map_err(|error| status(&error))
    }

    /// The rows of a ticket, once.
    ///
    /// # Errors
    /// When it is not known, or the query fails before its first row.
    pub(super) async fn rows(
        &self,
        admitted: Admitted,
        ticket: &TicketStatementQuery,
        closing: Closing,
    ) -> Result<Poured, Status> {
        let owner = Arc::clone(&admitted.principal);
        let handle = &ticket.statement_handle;
        let taken = self.tickets.with(&owner, handle, |asked| {
            match std::mem::replace(asked, Asked::Taken(None)) {
                Asked::Waiting(bound) => Some(bound),
                taken @ Asked::Taken(_) => {
                    *asked = taken;
                    None
                }
            }
        });
        let bound = taken.flatten().ok_or_else(unknown_handle)?;
        let poured = self.service.pour(admitted, bound, closing).await;
        let poured = poured.map_err(|error| status(&error))?;
        let name = Some(poured.id.clone());
        self.tickets.with(&owner, handle, |asked| *asked = Asked::Taken(name));
        Ok(poured)
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// When it is wrong, or not one that reads.
    pub(super) async fn prepare(
        &self,
        owner: &Arc<Principal>,
        text: String,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let bound = Bound { text, values: None };
        let Described { schema, parameters } = self.described(owner, &bound).await?;
        let handle = self.prepared.keep(owner, bound).map_err(no_handle)?;
        let parameter = |(nth, of): (usize, Option<DataType>)| {
            // Where the statement does not tell, a text is: it is read as what it stands beside.
            Field::new(format!("${}", nth + 1), of.unwrap_or(DataType::Utf8), true)
        };
        let parameters: Vec<Field> = parameters.into_iter().enumerate().map(parameter).collect();
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema: encoded(&schema)?,
            parameter_schema: encoded(&Schema::new(parameters))?,
        })
    }

    /// Gives a prepared statement its values.
    ///
    /// # Errors
    /// When it is not known.
    pub(super) fn bind(
        &self,
        owner: &Arc<Principal>,
        handle: &[u8],
        values: Vec<ScalarValue>,
    ) -> Result<(), Status> {
        let bound = self.prepared.with(owner, handle, |bound| bound.values = Some(values));
        bound.ok_or_else(unknown_handle)
    }

    /// A prepared statement with its values.
    ///
    /// # Errors
    /// When it is not known.
    pub(super) fn prepared(&self, owner: &Arc<Principal>, handle: &[u8]) -> Result<Bound, Status> {
        self.prepared.with(owner, handle, |bound| bound.clone()).ok_or_else(unknown_handle)
    }

    /// Lets a prepared statement go; one that is gone already is none the worse.
    pub(super) fn close(&self, owner: &Arc<Principal>, handle: &[u8]) {
        drop(self.prepared.close(owner, handle));
    }

    /// Stops what the tickets of an answer stand for.
    ///
    /// # Errors
    /// When one of them is not known.
    pub(super) fn cancel(
        &self,
        owner: &Arc<Principal>,
        info: &FlightInfo,
    ) -> Result<CancelStatus, Status> {
        let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
        let mut told = Err(unknown_handle());
        for ticket in tickets {
            let message = Any::decode(&*ticket.ticket).ok().map(Command::try_from);
            let Some(Ok(Command::TicketStatementQuery(ticket))) = message else { continue };
            let asked = self.tickets.with(owner, &ticket.statement_handle, |asked| {
                std::mem::replace(asked, Asked::Taken(None))
            });
            let stopped = match asked.ok_or_else(unknown_handle)? {
                Asked::Waiting(_) => true,
                Asked::Taken(None) => false,
                // Whoever has the ticket has the query.
                Asked::Taken(Some(name)) => self.service.queries().stop(&name, &Watch::All),
            };
            told = Ok(if stopped { CancelStatus::Cancelled } else { CancelStatus::NotCancellable });
        }
        told
    }
}

fn encoded(schema: &Schema) -> Result<bytes::Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(unsayable)?;
    Ok(bytes)
}

fn unsayable(error: arrow::error::ArrowError) -> Status {
    Status::internal(format!("the columns cannot be told: {error}"))
}

fn no_handle(error: std::io::Error) -> Status {
    Status::internal(format!("the system has no random bytes to give: {error}"))
}
