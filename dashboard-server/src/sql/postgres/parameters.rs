//! Parameters that are times: by the clock of what they are compared with.
//!
//! A client that sends `2020-11-11 10:50:00` means what the same words mean in the query: the clock of the event time's zone.
//! The library takes a time without an offset for one in UTC, so that is what it is given.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Portal;
use tidemark_pipeline::model::Zone;

/// The plan with each parameter that a client calls a moment, and whose type the query does not tell, as one: the library
/// would take its zone off, and what has none is by the clock of what it is compared with.
///
/// # Errors
/// DataFusion's, of a plan that does not fit together with it.
pub(super) fn with_moments(plan: LogicalPlan, said: &[Option<Type>]) -> Result<LogicalPlan> {
    let is_moment = |said: &Option<Type>| *said == Some(Type::TIMESTAMPTZ);
    if !said.iter().any(is_moment) {
        return Ok(plan);
    }
    let types = plan.get_parameter_types()?;
    let moments: Vec<String> = (1..)
        .zip(said)
        .filter(|(_, said)| is_moment(said))
        .map(|(nth, _)| format!("${nth}"))
        .filter(|id| !matches!(types.get(id), Some(Some(_))))
        .collect();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let told = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let told = expr.transform_up(|part| match part {
                Expr::Placeholder(parameter) if moments.contains(&parameter.id) => {
                    let parameter = Box::new(Expr::Placeholder(parameter));
                    Ok(Transformed::yes(Expr::Cast(Cast::new(parameter, utc.clone()))))
                }
                part => Ok(Transformed::no(part)),
            })?;
            Ok(told.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(told.data)
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
    let mut portal_told = Portal::default();
    portal_told.name.clone_from(&portal.name);
    portal_told.statement = Arc::clone(&portal.statement);
    portal_told.parameter_format = portal.parameter_format.clone();
    portal_told.parameters = told;
    portal_told.result_column_format = portal.result_column_format.clone();
    portal_told.state = Arc::clone(&portal.state);
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
