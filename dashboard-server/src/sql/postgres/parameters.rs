//! Parameters that are times: by the clock of what they are compared with.
//!
//! A client that sends `2020-11-11 10:50:00` means what the same words mean in the query: the clock of the event time's zone.
//! The library takes a time without an offset for one in UTC, so that is what it is given.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use bytes::Bytes;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::stmt::StoredStatement;

use super::lists::{Sent, type_of_values, value_of_bytes, with_lists};
use super::stamps::{cast_to_times, words};
use crate::sql::decimals::{exact, in_words};
use crate::sql::params::finest;
use crate::sql::past::{Parameters, Says};

/// The plan with each parameter that a client calls a moment, and whose type the query does not tell, as one: the library
/// would take its zone off, and what has none is by the clock of what it is compared with. One that is a time is read to its
/// microsecond, whatever it stands beside.
///
/// # Errors
/// DataFusion's, of a plan that does not fit together with it.
pub(super) fn with_moments(plan: LogicalPlan, said: &[Option<Type>]) -> Result<LogicalPlan> {
    let is_moment = |said: &Option<Type>| *said == Some(Type::TIMESTAMPTZ);
    let types = plan.get_parameter_types()?;
    let is_untold = |of: &Option<DataType>| of.is_none();
    let is_coarse = |of: &Option<DataType>| of.as_ref().is_some_and(|of| as_sent(of) != *of);
    let said_of = |id: &str| {
        let nth: usize = id.strip_prefix('$')?.parse().ok()?;
        said.get(nth.checked_sub(1)?)?.as_ref()
    };
    let is_another = |(id, of): (&String, &Option<DataType>)| {
        said_of(id).zip(of.as_ref()).is_some_and(|(said, of)| is_other(said, of))
    };
    if !types.iter().any(|of| is_coarse(of.1) || is_untold(of.1) || is_another(of)) {
        return Ok(plan);
    }
    let moments: Vec<String> = (1..)
        .zip(said)
        .filter(|(_, said)| is_moment(said))
        .map(|(nth, _)| format!("${nth}"))
        .filter(|id| !matches!(types.get(id), Some(Some(_))))
        .collect();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    with_placeholders(plan, |parameter| {
        let Placeholder { id, field } = parameter;
        if moments.contains(id) {
            let parameter = Box::new(Expr::Placeholder(parameter.clone()));
            return Some(Expr::Cast(Cast::new(parameter, utc.clone())));
        }
        let said = said_of(id);
        let field = match field {
            None => said.and_then(type_of).map(|of| Arc::new(Field::new(id, of, true)))?,
            Some(field) if said.is_some_and(|said| is_other(said, field.data_type())) => {
                Arc::new(field.as_ref().clone().with_data_type(said.and_then(type_of)?))
            }
            Some(field) => {
                let finer =
                    Some(as_sent(field.data_type())).filter(|of| of != field.data_type())?;
                Arc::new(field.as_ref().clone().with_data_type(finer))
            }
        };
        Some(Expr::Placeholder(Placeholder::new_with_field(id.clone(), Some(field))))
    })
}

/// The plan with what `told` puts in the place of its placeholders; `None` leaves one as it is.
fn with_placeholders(
    plan: LogicalPlan,
    told: impl Fn(&Placeholder) -> Option<Expr>,
) -> Result<LogicalPlan> {
    let told = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let told = expr.transform_up(|part| match &part {
                Expr::Placeholder(parameter) => Ok(match told(parameter) {
                    Some(told) => Transformed::yes(told),
                    None => Transformed::no(part),
                }),
                _ => Ok(Transformed::no(part)),
            })?;
            Ok(told.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(told.data)
}

/// The type that a parameter is sent as: a time in microseconds. The library would make it NULL where nanoseconds cannot hold it.
fn as_sent(wanted: &DataType) -> DataType {
    match wanted {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        wanted => finest(wanted),
    }
}

/// The type of a parameter that the query does not tell and its client does; `None` for one that is left to the library.
fn type_of(said: &Type) -> Option<DataType> {
    Some(match *said {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        // Each value has digits of its own, which it is put into the plan with; this is said of the answer.
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}

/// Whether a client sends another type than the query takes a parameter for from what it stands beside: an interval that is added
/// to a time, a stamp that is compared with a day, a fraction beside whole numbers, a day that a number is added to.
fn is_other(said: &Type, told: &DataType) -> bool {
    match *said {
        Type::INTERVAL => !matches!(told, DataType::Interval(_)),
        Type::TIMESTAMP => matches!(told, DataType::Date32 | DataType::Date64) || told.is_numeric(),
        Type::DATE => told.is_numeric(),
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => told.is_integer(),
        _ => false,
    }
}

/// What the library prepares: the text of a statement, and what it was parsed and planned to.
pub(super) type Prepared = (String, Option<(ast::Statement, LogicalPlan)>);

/// The portal with each list that a value is looked for in, and each number that is, or stands beside, a decimal put into its
/// plan as exactly as it was sent, and each NULL without a type; `None` where there is none. The library would cut a number to the scale of what it is compared with.
///
/// # Errors
/// DataFusion's, of a plan that does not fit together with them.
pub(super) fn with_decimals(portal: &Portal<Prepared>) -> Result<Option<Portal<Prepared>>> {
    let (text, Some((statement, plan))) = &portal.statement.statement else { return Ok(None) };
    let lists = lists(portal);
    let plan = with_lists(plan.clone(), &lists)?;
    let types = plan.get_parameter_types()?;
    let cast = cast_to_times(&plan)?;
    let mut told = HashMap::new();
    let mut rest = Vec::new();
    for (at, parameter) in portal.parameters.iter().enumerate() {
        let id = format!("${}", at + 1);
        if lists.contains_key(&id) && !types.contains_key(&id) {
            continue;
        }
        let beside = types.get(&id).cloned().flatten().is_some_and(|of| of.is_decimal());
        let said = portal.statement.parameter_types.get(at).cloned().flatten();
        let is_untold = types.get(&id).is_some_and(Option::is_none);
        let is_text = portal.parameter_format.is_text(at);
        let is_words = cast.contains(&id)
            && match said {
                None | Some(Type::UNKNOWN) => is_text,
                // The bytes of a text are the same in both forms.
                Some(Type::TEXT | Type::VARCHAR) => true,
                Some(_) => false,
            };
        let value = match parameter.as_deref() {
            // What the query makes of the same words, it makes of these.
            Some(value) if is_words => words(value),
            Some(value) if is_text => number_of_text(value, said.as_ref(), beside),
            Some(value) => number_of_bytes(value, said.as_ref(), beside),
            // Of a NULL that nobody knows the type of the library would have no value.
            None => is_untold.then_some(ScalarValue::Null),
        };
        match value {
            Some(value) => drop(told.insert(id, Expr::Literal(value, None))),
            None => {
                rest.push(at);
                let renumbered = Placeholder::new_with_field(format!("${}", rest.len()), None);
                told.insert(id, Expr::Placeholder(renumbered));
            }
        }
    }
    if rest.len() == portal.parameters.len() {
        return Ok(None);
    }
    let plan = with_placeholders(plan, |parameter| match told.get(&parameter.id)? {
        Expr::Placeholder(renumbered) => {
            let (id, field) = (renumbered.id.clone(), parameter.field.clone());
            Some(Expr::Placeholder(Placeholder::new_with_field(id, field)))
        }
        value => Some(value.clone()),
    })?;
    Ok(Some(with_rest(portal, (text.clone(), Some((statement.clone(), plan))), &rest)))
}

/// The portal over another plan, with those of its parameters that are left, by their places.
fn with_rest(portal: &Portal<Prepared>, prepared: Prepared, rest: &[usize]) -> Portal<Prepared> {
    let mut stored = StoredStatement::default();
    stored.id.clone_from(&portal.statement.id);
    stored.statement = prepared;
    let types = &portal.statement.parameter_types;
    stored.parameter_types =
        rest.iter().map(|at| types.get(*at).cloned().flatten()).collect::<Vec<_>>();
    let mut told = like(portal);
    told.statement = Arc::new(stored);
    told.parameters = rest.iter().map(|at| portal.parameters.get(*at).cloned().flatten()).collect();
    if let Format::Individual(formats) = &portal.parameter_format {
        let formats = rest.iter().filter_map(|at| formats.get(*at).copied()).collect();
        told.parameter_format = Format::Individual(formats);
    }
    told
}

/// The portal over the plan of a text whose clauses have been read with its parameters: what they were asked for is not among
/// its placeholders any more.
///
/// # Errors
/// DataFusion's, of a plan that does not fit together with the others.
pub(super) fn over_plan(
    portal: &Portal<Prepared>,
    (text, statement, plan): (&str, &ast::Statement, LogicalPlan),
) -> Result<Portal<Prepared>> {
    let types = plan.get_parameter_types()?;
    let is_left = |at: &usize| types.contains_key(&format!("${}", at + 1));
    let rest: Vec<usize> = (0..portal.parameters.len()).filter(is_left).collect();
    let plan = with_placeholders(plan, |parameter| {
        let at = rest.iter().position(|at| format!("${}", at + 1) == parameter.id)?;
        let (id, field) = (format!("${}", at + 1), parameter.field.clone());
        Some(Expr::Placeholder(Placeholder::new_with_field(id, field)))
    })?;
    let prepared = (text.to_owned(), Some((statement.clone(), plan)));
    Ok(with_rest(portal, prepared, &rest))
}

/// The values of a portal as they were sent; NULL for one that cannot be read, or is none.
pub(super) fn values_of(portal: &Portal<Prepared>, clauses: &Parameters) -> Vec<ScalarValue> {
    let value = |(at, sent): (usize, &Option<Bytes>)| {
        let bytes = sent.as_deref()?;
        if portal.parameter_format.is_text(at) {
            return std::str::from_utf8(bytes).ok().map(ScalarValue::from);
        }
        let said = portal.statement.parameter_types.get(at).cloned().flatten();
        let of =
            said.filter(|said| *said != Type::UNKNOWN).unwrap_or(match clauses.get(&(at + 1)) {
                Some(Says::Version) => Type::INT8,
                Some(Says::Time) => Type::TIMESTAMPTZ,
                None => return None,
            });
        value_of_bytes(bytes, &of)
    };
    portal
        .parameters
        .iter()
        .enumerate()
        .map(|one| value(one).unwrap_or(ScalarValue::Null))
        .collect()
}

/// The parameters that are lists, or that nobody says the type of and may be lists.
fn lists(portal: &Portal<Prepared>) -> HashMap<String, Sent<'_>> {
    let mut lists = HashMap::new();
    for (at, parameter) in portal.parameters.iter().enumerate() {
        let Some(bytes) = parameter.as_deref() else { continue };
        let said = portal.statement.parameter_types.get(at).and_then(Option::as_ref);
        let of = said.and_then(type_of_values);
        let is_said = said.is_some_and(|said| *said != Type::UNKNOWN);
        if is_said && of.is_none() {
            continue;
        }
        let is_text = portal.parameter_format.is_text(at);
        lists.insert(format!("${}", at + 1), Sent { of, is_text, bytes });
    }
    lists
}

/// A number in words, where it is a decimal or stands beside one.
fn number_of_text(text: &[u8], said: Option<&Type>, beside: bool) -> Option<ScalarValue> {
    let is_number = match said {
        Some(&Type::NUMERIC) => true,
        Some(
            &Type::INT2
            | &Type::INT4
            | &Type::INT8
            | &Type::FLOAT4
            | &Type::FLOAT8
            | &Type::UNKNOWN,
        )
        | None => beside,
        Some(_) => false,
    };
    exact(std::str::from_utf8(text).ok().filter(|_| is_number)?)
}

/// As [`number_of_text`], in PostgreSQL's binary form; without a type of the client it is that of what stands beside it.
fn number_of_bytes(bytes: &[u8], said: Option<&Type>, beside: bool) -> Option<ScalarValue> {
    let whole = match said {
        Some(&Type::NUMERIC) => return exact(&in_words(bytes)?),
        None if beside => return exact(&in_words(bytes)?),
        Some(&Type::INT2) => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        Some(&Type::INT4) => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        Some(&Type::INT8) => i64::from_be_bytes(bytes.try_into().ok()?),
        Some(&Type::FLOAT4) if beside => {
            let value = f32::from_be_bytes(bytes.try_into().ok()?);
            return Some(exact(&value.to_string()).unwrap_or_else(|| float(f64::from(value))));
        }
        Some(&Type::FLOAT8) if beside => {
            return Some(float(f64::from_be_bytes(bytes.try_into().ok()?)));
        }
        _ => return None,
    };
    beside.then_some(ScalarValue::Int64(Some(whole)))
}

/// A float beside a decimal is what it is written as; one that is not written out in digits stays a float.
fn float(value: f64) -> ScalarValue {
    exact(&value.to_string()).unwrap_or(ScalarValue::Float64(Some(value)))
}

/// A portal that is not ours to clone.
pub(super) fn like<S: Default>(portal: &Portal<S>) -> Portal<S> {
    let mut like = Portal::default();
    like.name.clone_from(&portal.name);
    like.statement = Arc::clone(&portal.statement);
    like.parameter_format = portal.parameter_format.clone();
    like.parameters.clone_from(&portal.parameters);
    like.result_column_format = portal.result_column_format.clone();
    like.state = Arc::clone(&portal.state);
    like
}
