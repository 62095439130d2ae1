//! The library's parser behind our bounds: a prepared statement is counted before it is parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::Parser;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::FieldInfo;
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::{ClientInfo, Type};
use datafusion_postgres::pgwire::error::PgWireResult;

use super::error::pg_error;
use super::gate::typed;
use super::gathering::fields_as_written;
use super::parameters::with_moments;
use super::past::Past;
use super::place::Places;
use super::words;
use crate::config::SqlConfig;
use crate::sql::error::SqlError;
use crate::sql::past::{Given, Says};
use crate::sql::size::check_text;

/// Refuses what is too large, and leaves the rest to the library.
pub(super) struct SizedParser {
    library: Arc<Parser>,
    context: Arc<SessionContext>,
    limits: SqlConfig,
    places: Arc<Places>,
    past: Arc<Past>,
}

impl SizedParser {
    /// The parser of one connection.
    pub(super) fn new(
        library: Arc<Parser>,
        context: Arc<SessionContext>,
        limits: SqlConfig,
        (places, past): (Arc<Places>, Arc<Past>),
    ) -> Self {
        Self { library, context, limits, places, past }
    }

    /// A statement, by what is given for the parameters of its clauses.
    ///
    /// # Errors
    /// When it is too large, is no SQL, or cannot be planned, with its place.
    pub(super) async fn parsed<C>(
        &self,
        client: &C,
        (sql, given): (&str, Given<'_>),
        types: &[Option<Type>],
    ) -> PgWireResult<Option<<Self as QueryParser>::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        check_text(sql, &self.limits).map_err(|error| pg_error(&error))?;
        let plain = words::plain(sql);
        let planned = self.past.planned(&plain, given).await?;
        match self.library.parse_sql(client, &planned, types).await {
            Ok(Some((text, Some((statement, plan))))) => {
                // What is seen of it is what was written.
                let text = if planned == sql { text } else { sql.to_owned() };
                let plan = with_moments(plan, types)
                    .map_err(|error| pg_error(&SqlError::of_planning(&error)))?;
                Ok(Some((text, Some((statement, plan)))))
            }
            Ok(statement) => Ok(statement),
            Err(error) => Err(self.places.put_into(error, sql).await),
        }
    }

    /// The statement with the types that its answer will have: the library describes a plan before types are made alike,
    /// and sends what the plan behind that gives, so that a client would read the bytes of one type as another's.
    fn as_answered(
        &self,
        statement: &<Self as QueryParser>::Statement,
    ) -> Option<<Self as QueryParser>::Statement> {
        let (text, Some((parsed, plan))) = statement else { return None };
        let analyzed = typed(&self.context, plan.clone());
        // Without the type of a parameter it cannot be said; then the plan as it is stands for it.
        Some((text.clone(), Some((parsed.clone(), analyzed.ok()?))))
    }
}

#[async_trait]
impl QueryParser for SizedParser {
    type Statement = <Parser as QueryParser>::Statement;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        types: &[Option<Type>],
    ) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        self.parsed(client, (sql, Given::Later), types).await
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        let types = self.library.get_parameter_types(statement)?;
        let clauses = self.past.parameters(&statement.0);
        let (false, Some((_, plan))) = (clauses.is_empty(), &statement.1) else {
            return Ok(types);
        };
        let known = plan.get_parameter_types();
        let known = known.map_err(|error| pg_error(&SqlError::of_planning(&error)))?;
        let numbers = known.keys().filter_map(|id| id.strip_prefix('$')?.parse::<usize>().ok());
        // The library tells those of the plan in the order of their numbers.
        let numbers: BTreeSet<usize> = numbers.collect();
        let mut all: BTreeMap<usize, Type> = numbers.into_iter().zip(types).collect();
        for (nth, says) in clauses {
            all.entry(nth).or_insert(match says {
                Says::Version => Type::INT8,
                Says::Time => Type::TIMESTAMPTZ,
            });
        }
        Ok(all.into_values().collect())
    }

    fn get_result_schema(
        &self,
        statement: &Self::Statement,
        column_format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        // Their rows are not the answer to them: they are fetched, or copied.
        if let Some((Statement::Declare { .. } | Statement::Copy { .. }, _)) = &statement.1 {
            return Ok(Vec::new());
        }
        let answered = self.as_answered(statement);
        let answered = answered.as_ref().unwrap_or(statement);
        self.library.get_result_schema(answered, column_format).map(fields_as_written)
    }
}
