//! `AS OF` at this door: the library parses the text itself, so it is given one that says the same in words it plans.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion_postgres::pgwire::error::PgWireResult;

use super::place::told_at;
use super::words::plain;
use crate::sql::SqlService;
use crate::sql::allow::innermost;
use crate::sql::error::SqlError;
use crate::sql::past::{Given, Parameters, Reading, check_names, read};
use crate::sql::tables::Pin;

/// Finds what the statements of one connection ask for of the past.
pub(super) struct Past {
    service: SqlService,
    pin: Arc<Pin>,
}

impl Past {
    /// Of the tables of `pin`.
    pub(super) fn new(service: SqlService, pin: Arc<Pin>) -> Self {
        Self { service, pin }
    }

    /// The parameters of a text that say of which past its tables are.
    pub(super) fn parameters(&self, text: &str) -> Parameters {
        // Nearly no text has any, and each is asked before it runs.
        if !text.contains('$') {
            return Parameters::new();
        }
        let reading = read(&plain(text), &self.service.now(), Given::Later);
        reading.ok().flatten().map(|reading| reading.parameters).unwrap_or_default()
    }

    /// The text that is planned, by what is given for parameters of its clauses.
    ///
    /// # Errors
    /// When a table cannot be had as it was.
    pub(super) async fn planned<'a>(
        &self,
        text: &'a str,
        given: Given<'_>,
    ) -> PgWireResult<Cow<'a, str>> {
        let reading = read(text, &self.service.now(), given);
        let reading = reading.map_err(|error| told_at(&error, text))?;
        // What is no SQL is told so by the library.
        let Some(reading) = reading.filter(|reading| !reading.is_as_written()) else {
            self.pin.pasts.set(Default::default());
            return Ok(Cow::Borrowed(text));
        };
        check(&reading).map_err(|error| told_at(&error, text))?;
        self.pin.renew();
        let found = self.service.find_pasts(&reading.asked, &self.pin).await;
        found.map_err(|error| told_at(&error, text))?;
        Ok(Cow::Owned(reading.text))
    }
}

/// Whether the names of a text mean what they seem to; what cannot be parsed is told by the library.
fn check(reading: &Reading) -> Result<(), SqlError> {
    let parser = DFParserBuilder::new(reading.words.clone()).with_dialect(&PostgreSqlDialect {});
    let Ok(statements) = parser.build().and_then(|mut parser| parser.parse_statements()) else {
        return Ok(());
    };
    let parsed = statements.iter().filter_map(innermost);
    parsed.into_iter().try_for_each(|sql| check_names(sql, &reading.asked))
}
