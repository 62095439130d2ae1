//! A derived table: what the life cycle of a stream's orders amounts to, declared as
//!
//! ```sql
//! CREATE TABLE order_flow (
//!   order_id STRING NOT NULL,                                -- a column of the source, carried
//!   event_time TIMESTAMP(3) NOT NULL,                        -- when an effect takes place
//!   order_time TIMESTAMP(3) METADATA FROM 'order-time',      -- what the life cycle knows of it
//!   net DECIMAL(18, 2) METADATA,
//!   WATERMARK FOR event_time AS SOURCE_WATERMARK()
//! ) WITH ('connector' = 'lifecycle', 'source' = 'orders', 'key' = 'order_id', 'kind' = 'event_type',
//!   'amount' = 'amount', 'on.placed' = 'open', 'on.paid' = 'pay', 'on.refunded' = 'refund');
//!
//! CREATE TABLE order_flow_by_order (WATERMARK FOR order_time AS SOURCE_WATERMARK())
//! LIKE order_flow (OVERWRITING WATERMARKS);
//! ```
//! A table that is LIKE another is the same rows of the same operator, dated otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};

use super::column_type::timestamp_type;
use super::error::{Place, SqlError};
use super::options::{self, Options, nearest};
use super::script::{Statement, TableStatement};
use super::stream::StreamDefinition;
use super::stream_plan::StreamPlan;
use crate::lifecycle::operator::{Columns, Measure, Output};
use crate::lifecycle::rules::{Action, Kind, Rules};
use crate::model::Zone;

/// The connector's name.
pub const CONNECTOR: &str = "lifecycle";
/// Options of such a table; `on.KIND` besides.
const OPTIONS: [&str; 10] = [
    "connector",
    "source",
    "key",
    "kind",
    "amount",
    "currency",
    "currency.default",
    "horizon",
    "orders.max",
    "events.max",
];
/// Option prefix of what a kind of event does.
const ON: &str = "on.";
/// Default of `horizon`: thirty days, within which nearly every order is paid, cancelled or sent back.
const HORIZON_MS: i64 = 30 * 86_400_000;
/// Default of `orders.max`: about 250 bytes each, so a quarter of a gigabyte a partition.
const ORDERS_MAX: usize = 1_000_000;
/// Default of `events.max`: no honest order has as many.
const EVENTS_MAX: usize = 100;

/// How a table's rows come from another stream's.
#[derive(Debug, PartialEq, Eq)]
pub struct Derived {
    /// The stream of the log.
    pub source: String,
    /// The table whose operator makes the rows: itself, or the one it is LIKE.
    pub operator: String,
    /// What each kind of event does.
    pub rules: Arc<Rules>,
    /// What is read and what is made.
    pub columns: Arc<Columns>,
    /// Which of the operator's times is the table's event time.
    pub time: Output,
    /// The statements its rows depend on besides its own.
    pub text: String,
}

/// Whether a statement declares a derived table.
#[must_use]
pub fn is_derived(table: &TableStatement) -> bool {
    table.like.is_some()
        || table.options.get("connector").is_some_and(|connector| connector == CONNECTOR)
}

/// Reads a derived table; `streams` are those declared before it.
///
/// # Errors
/// Every mistake of the statement.
pub fn read(
    statement: &Statement,
    table: &TableStatement,
    streams: &BTreeMap<String, Arc<StreamPlan>>,
) -> Result<StreamDefinition, Vec<SqlError>> {
    let wrong = |place: Place, message: String| vec![SqlError::at(&statement.file, place, message)];
    let Some((like, place)) = &table.like else { return read_new(statement, table, streams) };
    let Some(other) = streams.get(like) else {
        return Err(wrong(*place, format!("LIKE {like}: there is no such table before this one")));
    };
    let Some(derived) = &other.definition.derived else {
        let message = format!(
            "LIKE {like}: only a table of the connector '{CONNECTOR}' can be read otherwise"
        );
        return Err(wrong(*place, message));
    };
    if !table.columns.is_empty() || !table.options.is_empty() || !table.checks.is_empty() {
        let message = "a table that is LIKE another declares its WATERMARK and nothing else";
        return Err(wrong(statement.place, message.to_owned()));
    }
    let mut definition = other.definition.clone();
    definition.name.clone_from(&table.name);
    definition.statement = statement.clone();
    let mut reader = Reader { statement, table, errors: Vec::new() };
    let time = reader.event_time(&mut definition, &derived.columns);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    definition.derived = Some(Arc::new(Derived {
        source: derived.source.clone(),
        operator: derived.operator.clone(),
        rules: Arc::clone(&derived.rules),
        columns: Arc::clone(&derived.columns),
        time: time.unwrap_or(Output::EffectTime),
        text: other.definition.text(),
    }));
    Ok(definition)
}

fn read_new(
    statement: &Statement,
    table: &TableStatement,
    streams: &BTreeMap<String, Arc<StreamPlan>>,
) -> Result<StreamDefinition, Vec<SqlError>> {
    let mut reader = Reader { statement, table, errors: Vec::new() };
    reader.refuse_unknown_options();
    let Some(source) = reader.source(streams) else { return Err(reader.errors) };
    let zone = source.definition.zone;
    // Columns and their types are read as those of any stream.
    let plain = TableStatement {
        options: Options::from([("connector".to_owned(), CONNECTOR.to_owned())]),
        ..table.clone()
    };
    let mut definition = StreamDefinition::read(statement, &plain, zone, &Options::new())?;
    if let Some((_, text)) = table.checks.first() {
        reader.wrong(
            statement.place,
            format!("CHECK ({text}): declare it at {}", source.definition.name),
        );
    }
    let mut rules = reader.rules();
    let columns = reader.operator_columns(&source.definition, &definition, &rules);
    rules.currency = reader.currency(&source.definition, &columns);
    rules.currency_default = reader.currency_default(&source.definition);
    let time = reader.event_time(&mut definition, &columns);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    definition.options.clone_from(&table.options);
    definition.derived = Some(Arc::new(Derived {
        source: source.definition.name.clone(),
        operator: table.name.clone(),
        rules: Arc::new(rules),
        columns: Arc::new(columns),
        time: time.unwrap_or(Output::EffectTime),
        text: source.definition.text(),
    }));
    Ok(definition)
}

struct Reader<'a> {
    statement: &'a Statement,
    table: &'a TableStatement,
    errors: Vec<SqlError>,
}

impl Reader<'_> {
    fn wrong(&mut self, place: Place, message: String) {
        self.errors.push(SqlError::at(&self.statement.file, place, message));
    }

    fn wrong_option(&mut self, option: &str, message: String) {
        self.wrong(self.table.place_of(option, self.statement.place), message);
    }

    fn refuse_unknown_options(&mut self) {
        for key in self.table.options.keys() {
            if !OPTIONS.contains(&key.as_str()) && !key.starts_with(ON) {
                let hint = hint(key, &OPTIONS);
                self.wrong_option(key, format!("unknown option '{key}'{hint}"));
            }
        }
    }

    fn source<'s>(
        &mut self,
        streams: &'s BTreeMap<String, Arc<StreamPlan>>,
    ) -> Option<&'s Arc<StreamPlan>> {
        let Some(name) = self.table.options.get("source") else {
            self.wrong(
                self.statement.place,
                "option 'source' is missing; name the stream of the events".to_owned(),
            );
            return None;
        };
        let Some(source) = streams.get(name) else {
            let known: Vec<&str> = streams.keys().map(String::as_str).collect();
            self.wrong_option(
                "source",
                format!("'source' = '{name}': no such stream is declared{}", hint(name, &known)),
            );
            return None;
        };
        if source.definition.derived.is_some() || source.definition.event_time.is_none() {
            let message =
                format!("'source' = '{name}': it must be a stream of the log with a WATERMARK");
            self.wrong_option("source", message);
            return None;
        }
        Some(source)
    }

    fn number<T: std::str::FromStr + PartialOrd>(
        &mut self,
        option: &str,
        otherwise: T,
        range: (T, T),
    ) -> T
    where
        T: std::fmt::Display,
    {
        let Some(text) = self.table.options.get(option) else { return otherwise };
        match text.parse::<T>() {
            Ok(number) if number >= range.0 && number <= range.1 => number,
            _ => {
                let message = format!(
                    "'{option}' = '{text}': write a number from {} to {}",
                    range.0, range.1
                );
                self.wrong_option(option, message);
                otherwise
            }
        }
    }

    fn rules(&mut self) -> Rules {
        let mut kinds = Vec::new();
        for (key, text) in self.table.options.iter().filter(|(key, _)| key.starts_with(ON)) {
            match Action::read(text) {
                Ok(action) => {
                    kinds.push(Kind { name: key.trim_start_matches(ON).to_owned(), action })
                }
                Err(message) => self.wrong_option(key, format!("'{key}' = '{text}': {message}")),
            }
        }
        if self.errors.is_empty() && !kinds.iter().any(|kind| kind.action.opens) {
            let message = "no kind of event opens an order; declare one, as 'on.placed' = 'open'";
            self.wrong(self.statement.place, message.to_owned());
        }
        let horizon_ms = match self.table.options.get("horizon").map(|text| options::duration(text))
        {
            None => HORIZON_MS,
            Some(Ok(long)) => options::ms(long),
            Some(Err(message)) => {
                self.wrong_option("horizon", format!("option 'horizon': {message}"));
                HORIZON_MS
            }
        };
        Rules {
            kinds,
            horizon_ms,
            orders_max: self.number("orders.max", ORDERS_MAX, (1, 100_000_000)),
            events_max: self.number("events.max", EVENTS_MAX, (1, 10_000)),
            currency: None,
            currency_default: None,
        }
    }

    /// The source's column that an option names.
    fn named(&mut self, option: &str, source: &StreamDefinition) -> Option<usize> {
        let name = self.table.options.get(option)?;
        let found = source.column(name);
        if found.is_none() {
            let hint = hint(name, &names(source));
            self.wrong_option(
                option,
                format!("'{option}' = '{name}': {} has no such column{hint}", source.name),
            );
        }
        found
    }

    /// The carried column that says what currency an amount is in.
    fn currency(&mut self, source: &StreamDefinition, columns: &Columns) -> Option<usize> {
        let at = self.named("currency", source)?;
        let found = columns.carried.iter().position(|carried| *carried == at);
        if found.is_none() {
            let name = self.table.options.get("currency").cloned().unwrap_or_default();
            let message = format!(
                "'currency' = '{name}': declare the column `{name}` in this table too, so that its rows say what they are in"
            );
            self.wrong_option("currency", message);
        }
        if columns.amount.is_none() {
            self.wrong_option("currency", "'currency' has no effect without 'amount'".to_owned());
        }
        found
    }

    /// The currency of an order whose opening says none.
    fn currency_default(&mut self, source: &StreamDefinition) -> Option<Vec<u8>> {
        let default = self.table.options.get("currency.default")?.clone();
        let column = self.table.options.get("currency").and_then(|name| source.column(name));
        match column.and_then(|at| source.columns.get(at)) {
            Some(column) if column.field.data_type().is_string() && !default.is_empty() => {
                return Some(default.into_bytes());
            }
            Some(_) => self.wrong_option(
                "currency.default",
                "'currency.default' is a currency as a column of texts says it, as 'CNY'"
                    .to_owned(),
            ),
            None => self.wrong_option(
                "currency.default",
                "'currency.default' has no effect without 'currency'".to_owned(),
            ),
        }
        None
    }

    fn required(&mut self, option: &str, source: &StreamDefinition) -> usize {
        if !self.table.options.contains_key(option) {
            let message = format!("option '{option}' is missing; name a column of {}", source.name);
            self.wrong(self.statement.place, message);
        }
        self.named(option, source).unwrap_or(0)
    }

    fn operator_columns(
        &mut self,
        source: &StreamDefinition,
        own: &StreamDefinition,
        rules: &Rules,
    ) -> Columns {
        let key = self.required("key", source);
        let kind = self.required("kind", source);
        let amount = self.named("amount", source);
        if self.errors.is_empty() {
            self.check_roles(source, (key, kind, amount), rules);
        }
        let type_of = |at: usize| {
            source.columns.get(at).map_or(DataType::Utf8, |column| column.field.data_type().clone())
        };
        let mut columns = Columns {
            key,
            key_type: type_of(key),
            kind,
            amount,
            carried: Vec::new(),
            carried_types: Vec::new(),
            outputs: Vec::new(),
            schema: Arc::new(Schema::empty()),
        };
        let amount_type = amount.map(&type_of);
        let mut fields = Vec::new();
        for column in own.columns.iter().filter(|column| column.computed.is_none()) {
            let output = match &column.metadata {
                Some(key) => match known(key, source.zone, amount_type.as_ref()) {
                    Ok((output, wanted)) if fits(column.field.data_type(), &wanted) => Some(output),
                    Ok((_, wanted)) => {
                        let message = format!(
                            "METADATA FROM '{key}' is a {}, not a {}",
                            sql_name(&wanted),
                            column.declared
                        );
                        self.wrong(column.place, message);
                        None
                    }
                    Err(message) => {
                        self.wrong(column.place, message);
                        None
                    }
                },
                None => self.carried(column, source, &mut columns),
            };
            columns.outputs.push(output.unwrap_or(Output::Sign));
            fields.push(column.field.clone());
        }
        columns.schema = Arc::new(Schema::new(fields));
        columns
    }

    fn check_roles(
        &mut self,
        source: &StreamDefinition,
        (key, kind, amount): (usize, usize, Option<usize>),
        rules: &Rules,
    ) {
        let name = |at: usize| {
            source.columns.get(at).map_or("", |column| column.field.name().as_str()).to_owned()
        };
        let field = |at: usize| source.columns.get(at).map(|column| &column.field);
        if source.partition_key != Some(key) {
            let message = format!(
                "'key' = '{}': an order's events must be in one partition; declare 'partition.key' = '{}' at {}",
                name(key),
                name(key),
                source.name
            );
            self.wrong_option("key", message);
        }
        if field(key).is_some_and(|field| field.is_nullable()) {
            let message = format!(
                "'key' = '{}': it may be NULL; declare it NOT NULL at {}",
                name(key),
                source.name
            );
            self.wrong_option("key", message);
        }
        if field(kind).is_some_and(|field| *field.data_type() != DataType::Utf8) {
            self.wrong_option("kind", format!("'kind' = '{}': it must be a STRING", name(kind)));
        }
        match amount.and_then(field).map(|field| field.data_type()) {
            Some(DataType::Decimal128(..)) => {}
            Some(_) => {
                let message =
                    format!("'amount' = '{}': money is a DECIMAL(p, s)", name(amount.unwrap_or(0)));
                self.wrong_option("amount", message);
            }
            None if rules.kinds.iter().any(|kind| kind.action.pays) => {
                let message = "option 'amount' is missing; a kind of event pays, so name the column of its amount";
                self.wrong(self.statement.place, message.to_owned());
            }
            None => {}
        }
    }

    /// A column without METADATA: one of the source's, under its name.
    fn carried(
        &mut self,
        column: &super::StreamColumn,
        source: &StreamDefinition,
        columns: &mut Columns,
    ) -> Option<Output> {
        let name = column.field.name();
        let Some(at) = source.column(name) else {
            let hint = hint(name, &names(source));
            let message = format!(
                "`{name}` is no column of {}{hint}; what the life cycle itself knows is declared METADATA FROM '…'",
                source.name
            );
            self.wrong(column.place, message);
            return None;
        };
        let theirs = source.columns.get(at)?;
        if theirs.field.data_type() != column.field.data_type() {
            let message = format!(
                "`{name}` is {} here and {} at {}",
                column.declared, theirs.declared, source.name
            );
            self.wrong(column.place, message);
            return None;
        }
        if columns.amount == Some(at) {
            let message = format!(
                "`{name}` is the amount of an event; declare what it does instead, as `paid {} METADATA`",
                column.declared
            );
            self.wrong(column.place, message);
            return None;
        }
        if !column.field.is_nullable() && theirs.field.is_nullable() {
            self.wrong(column.place, format!("`{name}` may be NULL, as it may at {}", source.name));
            return None;
        }
        Some(match at {
            at if at == columns.key => Output::Key,
            at if at == columns.kind => Output::Kind,
            at if source.event_time == Some(at) => Output::EffectTime,
            at => {
                columns.carried.push(at);
                columns.carried_types.push(theirs.field.data_type().clone());
                Output::Carried(columns.carried.len() - 1)
            }
        })
    }

    /// The operator's time that the WATERMARK clause names; the definition's event time becomes it.
    fn event_time(
        &mut self,
        definition: &mut StreamDefinition,
        columns: &Columns,
    ) -> Option<Output> {
        definition.watermark = None;
        definition.event_time = None;
        let Some((name, expression, place)) = &self.table.watermark else {
            let message = "WATERMARK FOR column AS SOURCE_WATERMARK() is missing; it says by which time rows are dated";
            self.wrong(self.statement.place, message.to_owned());
            return None;
        };
        if !expression.to_string().eq_ignore_ascii_case("SOURCE_WATERMARK()") {
            let message = "a derived table has its source's watermark; write AS SOURCE_WATERMARK()";
            self.wrong(*place, message.to_owned());
            return None;
        }
        let at = definition.column(name);
        let fields = definition.columns.iter().filter(|column| column.computed.is_none());
        let outputs: BTreeMap<&str, Output> = fields
            .map(|column| column.field.name().as_str())
            .zip(columns.outputs.iter().copied())
            .collect();
        match outputs.get(name.as_str()) {
            Some(time @ (Output::EffectTime | Output::OrderTime | Output::PaidTime)) => {
                definition.event_time = at;
                Some(*time)
            }
            _ => {
                let message = format!(
                    "WATERMARK FOR {name}: it must be the source's event time, or METADATA FROM 'order-time' or 'paid-time'"
                );
                self.wrong(*place, message);
                None
            }
        }
    }
}

/// What the life cycle knows of an effect, by its name behind METADATA FROM.
const KNOWN: [(&str, Output); 13] = [
    ("order-time", Output::OrderTime),
    ("paid-time", Output::PaidTime),
    ("sign", Output::Sign),
    ("placed", Output::Measure(Measure::Placed)),
    ("cancelled", Output::Measure(Measure::Cancelled)),
    ("paid", Output::Measure(Measure::Paid)),
    ("refunded", Output::Measure(Measure::Refunded)),
    ("net", Output::Measure(Measure::Net)),
    ("excess", Output::Measure(Measure::Excess)),
    ("placed-orders", Output::Measure(Measure::PlacedOrders)),
    ("cancelled-orders", Output::Measure(Measure::CancelledOrders)),
    ("paid-orders", Output::Measure(Measure::PaidOrders)),
    ("refunded-orders", Output::Measure(Measure::RefundedOrders)),
];

/// The output behind a METADATA key, with its type.
fn known(key: &str, zone: Zone, amount: Option<&DataType>) -> Result<(Output, DataType), String> {
    let Some((_, output)) = KNOWN.iter().find(|(name, _)| *name == key) else {
        let all = KNOWN.map(|(name, _)| name);
        return Err(format!(
            "METADATA FROM '{key}': the life cycle knows {}{}",
            all.join(", "),
            hint(key, &all)
        ));
    };
    let data_type = match output {
        Output::Sign => DataType::Int32,
        Output::Measure(
            Measure::PlacedOrders
            | Measure::CancelledOrders
            | Measure::PaidOrders
            | Measure::RefundedOrders,
        ) => DataType::Int64,
        Output::Measure(_) => match amount {
            Some(amount) => amount.clone(),
            None => return Err(format!("METADATA FROM '{key}' needs the option 'amount'")),
        },
        _ => timestamp_type(zone),
    };
    Ok((*output, data_type))
}

/// Whether a column can hold what it is of: the same type, or a decimal with more digits in front.
fn fits(column: &DataType, wanted: &DataType) -> bool {
    match (column, wanted) {
        (DataType::Decimal128(digits, scale), DataType::Decimal128(least, exactly)) => {
            digits >= least && scale == exactly
        }
        _ => column == wanted,
    }
}

fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Decimal128(digits, scale) => format!("DECIMAL({digits}, {scale}) or longer"),
        DataType::Timestamp(..) => "TIMESTAMP(3)".to_owned(),
        other => other.to_string(),
    }
}

fn names(source: &StreamDefinition) -> Vec<&str> {
    source.columns.iter().map(|column| column.field.name().as_str()).collect()
}

fn hint(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or(String::new(), |near| format!("; did you mean '{near}'?"))
}
