//! The calls of Arrow Flight, each by who makes it: nothing is looked at before that is known.

use std::pin::Pin;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Any, Command, DoPutPreparedStatementResult,
    ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria,
    Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaAsIpc, SchemaResult,
    Ticket,
};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::catalogue;
use super::guard::{bearer, who};
use super::parameters::one_row;
use super::statements::Statements;
use super::status::{in_stream, of_flight, status};
use crate::auth::{Admitted, Gate, Principal};
use crate::closing::Closing;
use crate::sql::allow;
use crate::sql::error::SqlError;
use crate::sql::past::Given;
use crate::sql::stream::{Bound, Poured};

/// The actions there are, with what each does.
const ACTIONS: [(&str, &str); 4] = [
    (PREPARE, "Prepares a statement: ActionCreatePreparedStatementRequest"),
    (CLOSE, "Lets a prepared statement go: ActionClosePreparedStatementRequest"),
    (CANCEL_QUERY, "Stops a query: ActionCancelQueryRequest"),
    (CANCEL, "Stops a query: CancelFlightInfoRequest"),
];
const PREPARE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";
const CANCEL_QUERY: &str = "CancelQuery";
const CANCEL: &str = "CancelFlightInfo";

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the door does with calls.
pub(super) struct Service {
    gate: Arc<Gate>,
    statements: Arc<Statements>,
    closing: Closing,
}

impl Service {
    /// Lets in whom `gate` lets in.
    pub(super) fn new(gate: Arc<Gate>, statements: Statements, closing: Closing) -> Self {
        Self { gate, statements: Arc::new(statements), closing }
    }

    async fn who<T>(&self, request: &Request<T>) -> Result<Admitted, Status> {
        who(&self.gate, request).await
    }

    async fn catalogue(
        &self,
        principal: &Principal,
        command: Command,
    ) -> Result<RecordBatch, Status> {
        let kind = command.type_url().to_owned();
        let answered = catalogue::answer(self.statements.service(), principal, command).await?;
        answered.ok_or_else(|| Status::unimplemented(format!("{kind} is not answered here")))
    }

    /// The statement that a command is about, with its values; the command itself where it is about the catalogue.
    fn statement(
        &self,
        principal: &Arc<Principal>,
        command: Command,
    ) -> Result<Result<Bound, Command>, Status> {
        match command {
            Command::CommandStatementQuery(asked) => {
                no_transaction(asked.transaction_id.as_deref())?;
                Ok(Ok(Bound { text: asked.query, values: None }))
            }
            Command::CommandPreparedStatementQuery(asked) => {
                let handle = &asked.prepared_statement_handle;
                self.statements.prepared(principal, handle).map(Ok)
            }
            other => Ok(Err(other)),
        }
    }

    async fn info(
        &self,
        principal: &Arc<Principal>,
        asked: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        match self.statement(principal, command(&asked.cmd)?)? {
            Ok(bound) => self.statements.info(principal, bound, asked).await,
            Err(command) => {
                // What is asked is no secret, and answered to whoever asks: so it is its own ticket.
                let ticket = Ticket::new(asked.cmd.clone());
                let batch = self.catalogue(principal, command).await?;
                let info = FlightInfo::new().with_descriptor(asked);
                let info = info.with_endpoint(FlightEndpoint::new().with_ticket(ticket));
                info.try_with_schema(&batch.schema())
                    .map_err(|error| Status::internal(error.to_string()))
            }
        }
    }

    /// Refuses what would change something, in the words of the other doors.
    fn refused(&self, text: &str) -> Status {
        let service = self.statements.service();
        let given = (&service.now(), Given::Later);
        match allow::parse_reading(text, &service.limits().config, given) {
            Err(error) => status(&error),
            Ok(_) => Status::invalid_argument("this statement reads: run it as a query"),
        }
    }

    async fn put(
        &self,
        admitted: &Admitted,
        mut sent: Streaming<FlightData>,
    ) -> Result<PutResult, Status> {
        let first = sent.try_next().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("nothing was sent"))?;
        let asked = first.flight_descriptor.as_ref();
        let asked = asked.ok_or_else(|| Status::invalid_argument("there is no command"))?;
        match command(&asked.cmd)? {
            Command::CommandPreparedStatementQuery(asked) => {
                let principal = &admitted.principal;
                let handle = asked.prepared_statement_handle;
                // A handle that is not known is not worth reading for.
                self.statements.prepared(principal, &handle)?;
                let bytes_max = self.statements.service().limits().config.statement_bytes_max;
                let sent = futures::stream::iter([Ok(first)]).chain(sent);
                let values = one_row(sent, bytes_max).await?;
                self.statements.bind(principal, &handle, values)?;
                let told = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
                Ok(PutResult { app_metadata: told.encode_to_vec().into() })
            }
            Command::CommandStatementUpdate(asked) => Err(self.refused(&asked.query)),
            Command::CommandPreparedStatementUpdate(asked) => {
                let handle = asked.prepared_statement_handle;
                let bound = self.statements.prepared(&admitted.principal, &handle)?;
                Err(self.refused(&bound.text))
            }
            other => {
                let what = format!("{} ", other.type_url().rsplit('.').next().unwrap_or(""));
                Err(status(&SqlError::Refused { what: what.trim().to_owned() }))
            }
        }
    }

    async fn act(&self, principal: &Arc<Principal>, asked: Action) -> Result<Vec<u8>, Status> {
        let body = &asked.body;
        match asked.r#type.as_str() {
            PREPARE => {
                let asked: ActionCreatePreparedStatementRequest = unpacked(body)?;
                no_transaction(asked.transaction_id.as_deref())?;
                let prepared = self.statements.prepare(principal, asked.query).await?;
                Ok(prepared.as_any().encode_to_vec())
            }
            CLOSE => {
                let asked: ActionClosePreparedStatementRequest = unpacked(body)?;
                self.statements.close(principal, &asked.prepared_statement_handle);
                Ok(Vec::new())
            }
            CANCEL_QUERY => {
                let asked: ActionCancelQueryRequest = unpacked(body)?;
                let info = decoded(&asked.info)?;
                // Both enumerations have the same numbers.
                let result = self.statements.cancel(principal, &info)? as i32;
                Ok(ActionCancelQueryResult { result }.as_any().encode_to_vec())
            }
            CANCEL => {
                let asked: CancelFlightInfoRequest = decoded(body)?;
                let info = asked.info.ok_or_else(|| Status::invalid_argument("of what?"))?;
                let told: CancelStatus = self.statements.cancel(principal, &info)?;
                Ok(CancelFlightInfoResult { status: told as i32 }.encode_to_vec())
            }
            other => Err(Status::unimplemented(format!(
                "{other} is not answered here: this door only reads, and has no transactions"
            ))),
        }
    }
}

fn decoded<T: Message + Default>(bytes: &[u8]) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn unpacked<T: ProstMessageExt>(bytes: &[u8]) -> Result<T, Status> {
    let any: Any = decoded(bytes)?;
    let told = any.unpack().map_err(|error| Status::invalid_argument(error.to_string()))?;
    told.ok_or_else(|| Status::invalid_argument("the body is of another kind than the action"))
}

fn command(bytes: &[u8]) -> Result<Command, Status> {
    let any: Any = decoded(bytes)?;
    Command::try_from(any).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn no_transaction(id: Option<&[u8]>) -> Result<(), Status> {
    match id {
        None | Some([]) => Ok(()),
        Some(_) => Err(Status::unimplemented("there are no transactions: this door only reads")),
    }
}

fn encoded(batch: RecordBatch) -> Streamed<FlightData> {
    let schema = batch.schema();
    let rows = futures::stream::iter([Ok(batch)]);
    Box::pin(FlightDataEncoderBuilder::new().with_schema(schema).build(rows).map_err(of_flight))
}

fn poured(rows: Poured) -> Streamed<FlightData> {
    let (schema, name) = (Arc::clone(&rows.schema), rows.id.clone());
    let rows = rows.stream().map_err(|error| in_stream(&error));
    let encoder = FlightDataEncoderBuilder::new().with_schema(schema).with_metadata(name.into());
    Box::pin(encoder.build(rows).map_err(of_flight))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = Streamed<FlightInfo>;
    type DoGetStream = Streamed<FlightData>;
    type DoPutStream = Streamed<PutResult>;
    type DoActionStream = Streamed<ActionResult>;
    type ListActionsStream = Streamed<ActionType>;
    type DoExchangeStream = Streamed<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let key = bearer(&self.gate, &request).await?;
        let header = format!("Bearer {key}").parse();
        let header = header.map_err(|_| Status::unauthenticated("the key is not known"))?;
        let told = HandshakeResponse { protocol_version: 0, payload: key.into() };
        let told: Self::HandshakeStream = futures::stream::iter([Ok(told)]).boxed();
        let mut response = Response::new(told);
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.who(&request).await?;
        Err(Status::unimplemented("flights are not listed: ask for tables"))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let admitted = self.who(&request).await?;
        self.info(&admitted.principal, request.into_inner()).await.map(Response::new)
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let admitted = self.who(&request).await?;
        // Rows come as they are made, so there is nothing to wait for.
        let info = self.info(&admitted.principal, request.into_inner()).await?;
        Ok(Response::new(PollInfo::new().with_info(info)))
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        let principal = self.who(&request).await?.principal;
        let asked = command(&request.into_inner().cmd)?;
        let schema = match self.statement(&principal, asked)? {
            Ok(bound) => self.statements.described(&principal, &bound).await?.schema,
            Err(command) => self.catalogue(&principal, command).await?.schema(),
        };
        let told = SchemaAsIpc::new(&schema, &Default::default()).try_into();
        told.map(Response::new)
            .map_err(|error: arrow::error::ArrowError| Status::internal(error.to_string()))
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        let admitted = self.who(&request).await?;
        let principal = Arc::clone(&admitted.principal);
        match command(&request.into_inner().ticket)? {
            Command::TicketStatementQuery(ticket) => {
                let closing = self.closing.clone();
                let rows = self.statements.rows(admitted, &ticket, closing).await?;
                Ok(Response::new(poured(rows)))
            }
            other => self.catalogue(&principal, other).await.map(encoded).map(Response::new),
        }
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let admitted = self.who(&request).await?;
        let told = self.put(&admitted, request.into_inner()).await?;
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(told)]))))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        let admitted = self.who(&request).await?;
        let body = self.act(&admitted.principal, request.into_inner()).await?;
        let told = (!body.is_empty()).then(|| Ok(ActionResult { body: body.into() }));
        Ok(Response::new(Box::pin(futures::stream::iter(told))))
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        self.who(&request).await?;
        let told = ACTIONS.map(|(name, what)| {
            Ok(ActionType { r#type: name.to_owned(), description: what.to_owned() })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(told))))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.who(&request).await?;
        Err(Status::unimplemented("nothing is exchanged here"))
    }
}
