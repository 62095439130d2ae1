//! Parameters that are times: by the clock of what they are compared with.
//!
//! A client that sends `2020-11-11 10:50:00` means what the same words mean in the query: the clock of the event time's zone.
//! The library takes a time without an offset for one in UTC, so that is what it is given.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::stmt::StoredStatement;
use tidemark_pipeline::model::Zone;

use super::lists::{Sent, type_of_values, with_lists};
use crate::sql::decimals::{exact, in_words};
use crate::sql::params::finest;

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
/// to a time, a stamp that is compared with a day, a float beside whole numbers.
fn is_other(said: &Type, told: &DataType) -> bool {
    match *said {
        Type::INTERVAL => !matches!(told, DataType::Interval(_)),
        Type::TIMESTAMP => matches!(told, DataType::Date32 | DataType::Date64),
        Type::FLOAT4 | Type::FLOAT8 => told.is_integer(),
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
        let value = match parameter.as_deref() {
            Some(value) if portal.parameter_format.is_text(at) => {
                number_of_text(value, said.as_ref(), beside)
            }
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
    let kept = |types: &[Option<Type>]| {
        rest.iter().map(|at| types.get(*at).cloned().flatten()).collect::<Vec<_>>()
    };
    let mut prepared = StoredStatement::default();
    prepared.id.clone_from(&portal.statement.id);
    prepared.statement = (text.clone(), Some((statement.clone(), plan)));
    prepared.parameter_types = kept(&portal.statement.parameter_types);
    let mut portal_told = like(portal);
    portal_told.statement = Arc::new(prepared);
    portal_told.parameters =
        rest.iter().map(|at| portal.parameters.get(*at).cloned().flatten()).collect();
    if let Format::Individual(formats) = &portal.parameter_format {
        let formats = rest.iter().filter_map(|at| formats.get(*at).copied()).collect();
        portal_told.parameter_format = Format::Individual(formats);
    }
    Ok(Some(portal_told))
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
fn like<S: Default>(portal: &Portal<S>) -> Portal<S> {
    let mut like = Portal::default();
    like.name.clone_from(&portal.name);
    like.statement = Arc::clone(&portal.statement);
    like.parameter_format = portal.parameter_format.clone();
    like.parameters.clone_from(&portal.parameters);
    like.result_column_format = portal.result_column_format.clone();
    like.state = Arc::clone(&portal.state);
    like
}

/// The portal with its parameters as moments; `None` where it can stay as it is.
pub(super) fn by_the_zone<S: Default>(portal: &Portal<S>, plan: &LogicalPlan) -> Option<Portal<S>> {
    let types = plan.get_parameter_types().ok()?;
    let mut told = portal.parameters.clone();
    let mut changed = false;
    for (at, parameter) in told.iter_mut().enumerate() {
        let Some(value) = parameter.as_ref() else { continue };
        let Some(Some(DataType::Timestamp(_, Some(zone)))) = types.get(&format!("${}", at + 1))
        else {
            continue;
        };
        let Ok(zone) = Zone::named(zone) else { continue };
        // What a client calls a time without a zone, or a day, reaches the plan as one, and is read as if it were written there.
        let said = portal.statement.parameter_types.get(at).cloned().flatten();
        let is_naive = matches!(said, Some(Type::TIMESTAMP | Type::DATE));
        // A number is a moment: it can only be of a time with a zone.
        let moment = match portal.parameter_format.is_text(at) && !is_naive {
            true => moment_of_text(value, zone),
            false => None,
        };
        if let Some(moment) = moment {
            *parameter = Some(moment);
            changed = true;
        }
    }
    if !changed {
        return None;
    }
    let mut portal_told = like(portal);
    portal_told.parameters = told;
    Some(portal_told)
}

/// A stamp in words, in UTC; `None` for one that cannot be read, which the library refuses in its own words.
fn moment_of_text(text: &[u8], zone: Zone) -> Option<Bytes> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let day = format!("{text} 00:00:00");
    let stamp = |text: &str| {
        let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
        forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let us = match stamp(text).or_else(|| stamp(&day)) {
        Some(wall) => utc_us(wall.and_utc().timestamp_micros(), zone)?,
        None => {
            let text =
                text.strip_suffix(['Z', 'z']).map_or(text.to_owned(), |of| format!("{of}+00"));
            let forms = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
            let time = forms.iter().find_map(|form| DateTime::parse_from_str(&text, form).ok())?;
            time.timestamp_micros()
        }
    };
    let utc = DateTime::from_timestamp_micros(us)?;
    Some(Bytes::from(utc.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()))
}

fn utc_us(wall_us: i64, zone: Zone) -> Option<i64> {
    let (wall_ms, rest_us) = (wall_us.div_euclid(1_000), wall_us.rem_euclid(1_000));
    zone.utc_ms(wall_ms).checked_mul(1_000)?.checked_add(rest_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shanghai() -> Zone {
        Zone::named("Asia/Shanghai").expect("a zone")
    }

    #[test]
    fn a_stamp_is_by_the_clock_of_the_zone_or_by_its_own_offset() {
        let told = |text: &str| {
            let moment = moment_of_text(text.as_bytes(), shanghai())?;
            Some(String::from_utf8(moment.to_vec()).expect("text"))
        };
        let midnight = Some("2020-11-10 16:00:00.000000+00:00".to_owned());
        for same in [
            "2020-11-11 00:00:00",
            "2020-11-11T00:00:00",
            "2020-11-11",
            "2020-11-11 00:00",
            "2020-11-11 00:00:00+08",
            "2020-11-11T00:00:00.000+08:00",
            "2020-11-10 16:00:00Z",
            "2020-11-10T17:00:00.0+0100",
        ] {
            assert_eq!(told(same), midnight, "{same}");
        }
        assert_eq!(
            told("2020-11-11 00:00:00.123456").as_deref(),
            Some("2020-11-10 16:00:00.123456+00:00")
        );
        assert_eq!(told("yesterday"), None);
    }
}
