//! The Flight SQL door, asked by the client of its own library.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Decimal128Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandStatementQuery, ProstMessageExt as _, SqlInfo,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor,
    FlightInfo, Ticket,
};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::client::{get, send};
use super::fixture::{DAY_START, Publisher, TestServer, Wishes};
use super::users;

const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a(value), \
                       generate_series(1, 1000000) b(value)";
/// Its rows come one batch after another for as long as they are read.
const LONG: &str = "SELECT a.value FROM generate_series(1, 100000) a(value), \
                    generate_series(1, 1000) b(value)";
const PROVINCES: &str = "SELECT province, gmv FROM gmv_by_province ORDER BY gmv";

pub(super) type Client = FlightSqlServiceClient<Channel>;

fn publisher() -> Publisher {
    let mut publisher = Publisher::new("e1");
    publisher.province("浙江", 150).province("广东", 250).day(400).publish();
    publisher
}

async fn channel(server: &TestServer) -> Channel {
    let at = server.bound.flight.expect("the door is open");
    let channel = Channel::from_shared(format!("http://{at}")).expect("an address");
    channel.connect().await.expect("connects")
}

pub(super) async fn client(server: &TestServer) -> Client {
    FlightSqlServiceClient::new(channel(server).await)
}

async fn as_user(server: &TestServer, name: &str) -> Client {
    let mut client = client(server).await;
    client.set_token(format!("{name}.sesame"));
    client
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().expect("a ticket")
}

/// All rows of an answer; its schema is the one that was told before.
async fn rows(client: &mut Client, info: &FlightInfo) -> Result<RecordBatch, FlightError> {
    let told = info.clone().try_decode_schema().expect("a schema");
    let stream = client.do_get(ticket(info)).await?;
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    let schema = batches.first().map_or_else(|| Arc::new(told.clone()), RecordBatch::schema);
    assert_eq!(schema.fields(), told.fields());
    Ok(concat_batches(&schema, &batches)?)
}

pub(super) async fn ask(client: &mut Client, text: &str) -> Result<RecordBatch, FlightError> {
    let info = client.execute(text.to_owned(), None).await?;
    rows(client, &info).await
}

/// The rows of an answer to a user, as texts.
pub(super) async fn ask_as(
    server: &TestServer,
    who: &str,
    text: &str,
) -> Result<Vec<Vec<String>>, String> {
    let mut client = as_user(server, who).await;
    let rows = ask(&mut client, text).await;
    rows.map(|rows| told(&rows)).map_err(|error| error.to_string())
}

pub(super) fn told(batch: &RecordBatch) -> Vec<Vec<String>> {
    let value =
        |column: &ArrayRef, row| array_value_to_string(column, row).expect("can be written");
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| value(column, row)).collect())
        .collect()
}

async fn queries(server: &TestServer) -> Value {
    get(server.bound.http, "/api/queries").await.json()
}

/// Waits until as many queries run.
async fn until_running(server: &TestServer, count: usize) -> Value {
    let begun = Instant::now();
    loop {
        let running = queries(server).await["running"].clone();
        if running.as_array().is_some_and(|all| all.len() == count) {
            return running;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{count}: {running}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_with_their_types_and_what_they_are_true_of() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut client = client(&server).await;
    let all = ask(&mut client, "SELECT * FROM gmv_by_province ORDER BY gmv").await.expect("runs");
    assert_eq!(all.schema().metadata()["cut"], "1");
    let as_of = publisher.as_of.map(|as_of| as_of.to_string());
    assert_eq!(all.schema().metadata().get("as_of"), as_of.as_ref());
    let published = publisher.results.latest().views["gmv_by_province"].info.schema.clone();
    for (told, published) in all.schema().fields().iter().zip(published.fields()) {
        assert_eq!((told.name(), told.data_type()), (published.name(), published.data_type()));
    }
    let asked = ask(&mut client, PROVINCES).await.expect("runs");
    assert_eq!(told(&asked), [["浙江", "1.50"], ["广东", "2.50"]]);
    let text = ask(&mut client, "SELECT CAST(orders AS VARCHAR), NULL FROM gmv_day").await;
    let text = text.expect("runs");
    assert_eq!(*text.column(0).data_type(), DataType::Utf8, "every client knows this one");
    let none = ask(&mut client, "SELECT gmv FROM gmv_day WHERE orders < 0").await.expect("runs");
    assert_eq!(none.num_rows(), 0);
    let plan = ask(&mut client, "EXPLAIN SELECT gmv FROM gmv_day").await.expect("runs");
    assert!(plan.num_rows() > 0);
    let log = queries(&server).await["log"].clone();
    let first = log.as_array().and_then(|log| log.last()).expect("is remembered");
    assert_eq!((&first["door"], &first["rows"]), (&json!("flight"), &json!(2)));
    assert_eq!(log.as_array().map(Vec::len), Some(5), "planning is no query of its own: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_has_its_place_and_nobody_may_change_anything() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut client = client(&server).await;
    let wrong = ask(&mut client, "SELECT\n gvm FROM gmv_day").await.expect_err("no such column");
    assert!(wrong.to_string().contains("(line 2, column 2)"), "{wrong}");
    for command in [
        "CREATE TABLE t (a INT)",
        "INSERT INTO gmv_day VALUES (1)",
        "DELETE FROM gmv_day",
        "SELECT * INTO t FROM gmv_day",
        "COPY gmv_day TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        for refused in [
            ask(&mut client, command).await.map(drop),
            client.prepare(command.to_owned(), None).await.map(drop),
        ] {
            let refused = refused.expect_err(command).to_string();
            assert!(refused.contains("is not allowed here"), "{command}: {refused}");
        }
    }
    let update = client.execute_update("DELETE FROM gmv_day".to_owned(), None).await;
    let update = update.expect_err("an update").to_string();
    assert!(update.contains("is not allowed here"), "{update}");
    assert!(client.begin_transaction().await.is_err());
    let log = queries(&server).await["log"].clone();
    let outcomes: Vec<&Value> =
        log.as_array().expect("a list").iter().map(|ran| &ran["outcome"]).collect();
    assert!(outcomes.contains(&&json!("sql_plan")) && outcomes.contains(&&json!("sql_refused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_asked_again_with_other_values() {
    let mut publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut client = client(&server).await;
    let text = "SELECT province FROM gmv_by_province WHERE gmv > $1 AND window_start <= $2 \
                ORDER BY gmv";
    let mut prepared = client.prepare(text.to_owned(), None).await.expect("prepares");
    let wanted = prepared.parameter_schema().expect("a schema").clone();
    assert_eq!(*wanted.field(0).data_type(), DataType::Decimal128(38, 2));
    let answer = prepared.dataset_schema().expect("a schema").clone();
    assert_eq!(answer.field(0).name(), "province");
    let moment: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![DAY_START * 1_000]).with_timezone("UTC"));
    let exact = |value: i128| -> ArrayRef {
        let value = Decimal128Array::from(vec![value]);
        Arc::new(value.with_precision_and_scale(10, 3).expect("fits"))
    };
    let whole = |value: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    for (least, want) in [
        (exact(1_499), vec![["浙江"], ["广东"]]),
        (exact(1_501), vec![["广东"]]),
        (text("1.4999"), vec![["浙江"], ["广东"]]),
        (text("1.5001"), vec![["广东"]]),
        (whole(Some(2)), vec![["广东"]]),
        (whole(None), vec![]),
    ] {
        let values = [("$1", least), ("$2", Arc::clone(&moment))];
        let values = RecordBatch::try_from_iter_with_nullable(
            values.into_iter().map(|(name, value)| (name, value, true)),
        );
        prepared.set_parameters(values.expect("one row")).expect("are taken");
        let info = prepared.execute().await.expect("runs");
        assert_eq!(told(&rows(&mut client, &info).await.expect("runs")), want);
    }
    let none: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
    let two =
        RecordBatch::try_from_iter([("$1", Arc::clone(&none)), ("$2", none)]).expect("two rows");
    prepared.set_parameters(two).expect("are taken");
    let refused = prepared.execute().await.expect_err("two rows").to_string();
    assert!(refused.contains("one row of parameters"), "{refused}");
    prepared.close().await.expect("closes");
    // A statement that was prepared long ago answers with today's figures.
    let mut today = client.prepare("SELECT gmv FROM gmv_day".to_owned(), None).await.expect("is");
    publisher.day(900).publish();
    let info = today.execute().await.expect("runs");
    assert_eq!(told(&rows(&mut client, &info).await.expect("runs")), [["9.00"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_is_told() {
    let publisher = publisher();
    let server = TestServer::start(&publisher.results).await;
    let mut client = client(&server).await;
    let info = client.get_catalogs().await.expect("answers");
    assert_eq!(told(&rows(&mut client, &info).await.expect("rows")), [["tidemark"]]);
    let all = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let info = client.get_db_schemas(all).await.expect("answers");
    let schemas = told(&rows(&mut client, &info).await.expect("rows"));
    assert!(schemas.contains(&vec!["tidemark".to_owned(), "public".to_owned()]), "{schemas:?}");
    let asked = CommandGetTables {
        catalog: Some("tidemark".to_owned()),
        db_schema_filter_pattern: Some("public".to_owned()),
        table_name_filter_pattern: Some("gmv%".to_owned()),
        table_types: vec!["TABLE".to_owned()],
        include_schema: true,
    };
    let info = client.get_tables(asked).await.expect("answers");
    let tables = rows(&mut client, &info).await.expect("rows");
    let names: Vec<_> = tables.column(2).as_string::<i32>().iter().flatten().collect();
    assert_eq!(names, ["gmv_by_province", "gmv_day"]);
    let schema = tables.column(4).as_binary::<i32>().value(0);
    let schema = FlightInfo { schema: schema.to_vec().into(), ..FlightInfo::default() };
    let schema = schema.try_decode_schema().expect("a schema");
    let gmv = schema.field_with_name("gmv").expect("a column");
    assert_eq!(*gmv.data_type(), DataType::Decimal128(38, 2));
    assert_eq!(gmv.metadata()["ARROW:FLIGHT:SQL:SCALE"], "2");
    let info = client.get_table_types().await.expect("answers");
    assert_eq!(told(&rows(&mut client, &info).await.expect("rows")), [["TABLE"]]);
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly]).await.expect("answers");
    let read_only = told(&rows(&mut client, &info).await.expect("rows"));
    assert!(read_only.len() == 1 && read_only[0][1].contains("true"), "{read_only:?}");
    let all = CommandGetXdbcTypeInfo { data_type: None };
    let info = client.get_xdbc_type_info(all).await.expect("answers");
    let types = told(&rows(&mut client, &info).await.expect("rows"));
    assert!(types.iter().any(|row| row[0] == "DECIMAL"), "{types:?}");
    let of = CommandGetPrimaryKeys { table: "gmv_day".to_owned(), ..Default::default() };
    let info = client.get_primary_keys(of).await.expect("answers");
    assert_eq!(rows(&mut client, &info).await.expect("rows").num_rows(), 0);
    // The columns without running anything.
    let query = CommandStatementQuery { query: PROVINCES.to_owned(), transaction_id: None };
    let query = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let mut plain = FlightServiceClient::new(channel(&server).await);
    let columns = plain.get_schema(query).await.expect("answers").into_inner();
    let columns = Schema::try_from(&columns).expect("a schema");
    assert_eq!(columns.field(1), &Field::new("gmv", DataType::Decimal128(38, 2), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_read_while_it_is_made_and_has_an_end() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.rows_max = 50_000;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut client = client(&server).await;
    let most = "SELECT value FROM generate_series(1, 50000)";
    let most = ask(&mut client, most).await.expect("runs");
    let sum: i64 = most.column(0).as_primitive::<Int64Type>().values().iter().sum();
    assert_eq!((most.num_rows(), sum), (50_000, 50_000 * 50_001 / 2));
    let info = client.execute(LONG.to_owned(), None).await.expect("is planned");
    let mut stream = client.do_get(ticket(&info)).await.expect("begins");
    let first = stream.next().await.expect("a batch").expect("is one");
    assert!(first.num_rows() > 0);
    let rest: Vec<_> = stream.collect().await;
    let rows: usize = rest.iter().flatten().map(RecordBatch::num_rows).sum();
    assert!(rows + first.num_rows() <= 50_000);
    let end = rest.last().expect("an end").as_ref().expect_err("too many").to_string();
    assert!(end.contains("the result is over 50000 rows"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_it_is_cancelled_stopped_by_its_name_or_no_longer_read() {
    let publisher = publisher();
    let mut wishes = Wishes::default();
    wishes.raw.sql.concurrent_max = 1;
    wishes.raw.sql.rows_max = 10_000_000;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut asker = client(&server).await;
    let mut other = client(&server).await;
    // By the ticket.
    let info = asker.execute(LONG.to_owned(), None).await.expect("is planned");
    let mut stream = asker.do_get(ticket(&info)).await.expect("begins");
    stream.next().await.expect("a batch").expect("is one");
    let begun = Instant::now();
    let request = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
    let action = Action { r#type: "CancelFlightInfo".to_owned(), body: request.into() };
    let answer = other.do_action(action).await.expect("answers").message().await;
    let answer = answer.expect("answers").expect("one result");
    let answer = CancelFlightInfoResult::decode(answer.body).expect("is one");
    assert_eq!(answer.status, CancelStatus::Cancelled as i32);
    let rest: Vec<_> = stream.collect().await;
    let end = rest.last().expect("an end").as_ref().expect_err("cancelled").to_string();
    assert!(end.contains("cancelled"), "{end}");
    ask(&mut other, "SELECT 1").await.expect("the turn is free");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // By an operator, while it has no row yet.
    let info = asker.execute(ENDLESS.to_owned(), None).await.expect("is planned");
    let asking = tokio::spawn(async move { rows(&mut asker, &info).await });
    // Planned before, so that what runs now is the query itself.
    let name = until_running(&server, 1).await[0]["id"].clone();
    let name = name.as_str().expect("a name").to_owned();
    let begun = Instant::now();
    let stopped = send(server.bound.http, &format!("DELETE /api/queries/{name}"), &[], b"").await;
    assert_eq!(stopped.status, 204);
    let end = asking.await.expect("answers").expect_err("stopped").to_string();
    assert!(end.contains("cancelled"), "{end}");
    ask(&mut other, "SELECT 1").await.expect("the turn is free");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // By going away, with rows that wait to be read.
    let mut leaver = client(&server).await;
    let info = leaver.execute(LONG.to_owned(), None).await.expect("is planned");
    let mut stream = leaver.do_get(ticket(&info)).await.expect("begins");
    stream.next().await.expect("a batch").expect("is one");
    until_running(&server, 1).await;
    let begun = Instant::now();
    drop(stream);
    ask(&mut other, "SELECT 1").await.expect("the turn is free");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let log = queries(&server).await["log"].clone();
    let outcomes: Vec<&Value> =
        log.as_array().expect("a list").iter().map(|ran| &ran["outcome"]).collect();
    let done = json!("done");
    assert_eq!(
        outcomes,
        [&done, &json!("left"), &done, &json!("cancelled"), &done, &json!("cancelled")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_and_of_no_use_to_another() {
    let server = users::with_users().await;
    let mut analyst = as_user(&server, "analyst").await;
    let mut admin = as_user(&server, "admin").await;
    let info = analyst.execute(PROVINCES.to_owned(), None).await.expect("is planned");
    let stolen = rows(&mut admin, &info).await.expect_err("another's").to_string();
    assert!(stolen.contains("this handle is not known"), "{stolen}");
    assert_eq!(rows(&mut analyst, &info).await.expect("its own").num_rows(), 1);
    let again = rows(&mut analyst, &info).await.expect_err("was used").to_string();
    assert!(again.contains("this handle is not known"), "{again}");
    let mut forged = info.clone();
    let bytes = forged.endpoint[0].ticket.as_mut().expect("a ticket");
    let mut changed = bytes.ticket.to_vec();
    *changed.last_mut().expect("bytes") ^= 1;
    bytes.ticket = changed.into();
    assert!(rows(&mut analyst, &forged).await.is_err());
    let prepared = analyst.prepare(PROVINCES.to_owned(), None).await.expect("prepares");
    drop(prepared);
    let mut stranger = FlightServiceClient::new(channel(&server).await);
    assert!(stranger.do_get(Ticket::new(vec![1, 2, 3])).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_the_door_and_each_sees_what_is_its_own() {
    let server = users::with_users().await;
    let mut nobody = client(&server).await;
    let refused = nobody.execute("SELECT 1".to_owned(), None).await.expect_err("no key");
    assert!(refused.to_string().contains("this needs a key"), "{refused}");
    assert!(nobody.get_catalogs().await.is_err(), "the catalogue is behind the same door");
    for (name, key) in [("analyst", "analyst.guess"), ("admin", "analyst.sesame")] {
        assert!(nobody.handshake(name, key).await.is_err(), "{name} with {key}");
    }
    nobody.handshake("analyst", "analyst.sesame").await.expect("is let in");
    let seen = ask(&mut nobody, PROVINCES).await.expect("with the key it was given");
    assert_eq!(seen.num_rows(), 1);
    for (role, may) in [
        ("viewer", false),
        ("media", false),
        ("analyst", true),
        ("operator", true),
        ("admin", true),
    ] {
        let asked = ask(&mut as_user(&server, role).await, "SELECT 1").await;
        assert_eq!(asked.is_ok(), may, "{role}: {asked:?}");
    }
    let mut asker = as_user(&server, "asker").await;
    assert!(ask(&mut asker, "SELECT gmv FROM gmv_day").await.is_ok());
    let hidden = ask(&mut asker, PROVINCES).await.expect_err("a view it does not see");
    assert!(hidden.to_string().contains("gmv_by_province"), "{hidden}");
    let info = asker.get_tables(CommandGetTables::default()).await.expect("answers");
    let tables = told(&rows(&mut asker, &info).await.expect("rows"));
    assert!(tables.iter().any(|row| row[2] == "gmv_day"));
    assert!(!tables.iter().any(|row| row[2] == "gmv_by_province"), "{tables:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_user_is_taken_out() {
    let publisher = publisher();
    let mut wishes = users::wishes();
    wishes.raw.sql.rows_max = 10_000_000;
    let server = TestServer::start_with(&publisher.results, wishes).await;
    let mut analyst = as_user(&server, "analyst").await;
    let info = analyst.execute(LONG.to_owned(), None).await.expect("is planned");
    let mut stream = analyst.do_get(ticket(&info)).await.expect("begins");
    stream.next().await.expect("a batch").expect("is one");
    let others: Vec<_> =
        server.users.iter().filter(|user| user.name != "analyst").cloned().collect();
    server.gate.renew(&others, &[]);
    let rest: Vec<_> = stream.collect().await;
    // And not because there were too many rows, which it would have come to.
    let end = rest.last().expect("an end").as_ref().expect_err("is no longer its").to_string();
    assert!(end.contains("cancelled"), "it went on to the end: {end}");
    assert!(ask(&mut analyst, "SELECT 1").await.is_err());
}
