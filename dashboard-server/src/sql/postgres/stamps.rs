//! Parameters that are stamps in words: read as the same words in the query would be.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::DataType;
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, LogicalPlan};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Portal;
use tidemark_pipeline::model::Zone;

use super::parameters::like;
use crate::sql::dialect::stamp_in_full;

/// The parameters that are cast to times or days wherever they stand.
///
/// # Errors
/// DataFusion's, of a plan that cannot be walked.
pub(super) fn cast_to_times(plan: &LogicalPlan) -> Result<HashSet<String>> {
    let (mut cast, mut bare) = (HashMap::<String, usize>::new(), HashMap::<String, usize>::new());
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                match part {
                    Expr::Cast(Cast { expr, field }) => {
                        let to = field.data_type();
                        let is_time = to.is_temporal() && !matches!(to, DataType::Interval(_));
                        if let (Expr::Placeholder(parameter), true) = (expr.as_ref(), is_time) {
                            *cast.entry(parameter.id.clone()).or_default() += 1;
                        }
                    }
                    Expr::Placeholder(parameter) => {
                        *bare.entry(parameter.id.clone()).or_default() += 1;
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    // The parameter of a cast is come upon twice: with its cast, and by itself.
    let all = cast.into_iter().filter(|(id, times)| bare.get(id) == Some(times));
    Ok(all.map(|(id, _)| id).collect())
}

/// A text as it would stand in the query; a stamp may leave out its seconds.
pub(super) fn words(text: &[u8]) -> Option<ScalarValue> {
    let text = std::str::from_utf8(text).ok()?;
    Some(ScalarValue::Utf8(Some(stamp_in_full(text).unwrap_or_else(|| text.to_owned()))))
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
    let full = stamp_in_full(text);
    let text = full.as_deref().unwrap_or(text);
    let day = format!("{text} 00:00:00");
    let stamp = |text: &str| {
        let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
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
            "2020-11-11 00:00+08",
            "2020-11-10T16:00Z",
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
