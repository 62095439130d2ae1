//! Parameters that are times: by the clock of what they are compared with.
//!
//! A client that sends `2020-11-11 10:50:00` means what the same words mean in the query: the clock of the event time's zone.
//! The library takes a time without an offset for one in UTC, so that is what it is given.

use arrow::datatypes::DataType;
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime};
use datafusion::logical_expr::LogicalPlan;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Portal;
use tidemark_pipeline::model::Zone;

/// Between the epoch of PostgreSQL, 2000-01-01, and ours.
const EPOCH_US: i64 = 946_684_800_000_000;

/// The portal with its parameters as moments; `None` where it can stay as it is.
pub(super) fn by_the_zone<S: Default>(
    portal: &Portal<S>,
    plan: &LogicalPlan,
) -> Option<Portal<S>> {
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
        let said = portal.statement.parameter_types.get(at).cloned().flatten();
        let moment = match portal.parameter_format.is_text(at) {
            true => moment_of_text(value, zone),
            // What a client calls a time with a zone is a moment.
            false if said == Some(Type::TIMESTAMP) => moment_of_number(value, zone),
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
    portal_told.statement = std::sync::Arc::clone(&portal.statement);
    portal_told.parameter_format = portal.parameter_format.clone();
    portal_told.parameters = told;
    portal_told.result_column_format = portal.result_column_format.clone();
    portal_told.state = std::sync::Arc::clone(&portal.state);
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
            let text = text.strip_suffix(['Z', 'z']).map_or(text.to_owned(), |of| format!("{of}+00"));
            let forms = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
            let time = forms.iter().find_map(|form| DateTime::parse_from_str(&text, form).ok())?;
            time.timestamp_micros()
        }
    };
    let utc = DateTime::from_timestamp_micros(us)?;
    Some(Bytes::from(utc.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()))
}

/// Microseconds since 2000 by the zone's clock, in UTC; `None` for the ends of time and what is no such number.
fn moment_of_number(bytes: &[u8], zone: Zone) -> Option<Bytes> {
    let wall = i64::from_be_bytes(bytes.try_into().ok()?);
    if wall == i64::MIN || wall == i64::MAX {
        return None;
    }
    let utc = utc_us(wall.checked_add(EPOCH_US)?, zone)?.checked_sub(EPOCH_US)?;
    Some(Bytes::copy_from_slice(&utc.to_be_bytes()))
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

    #[test]
    fn a_number_is_by_the_clock_of_the_zone() {
        let wall = (1_605_052_800_000_001_i64 - EPOCH_US).to_be_bytes();
        let utc = moment_of_number(&wall, shanghai()).expect("a time");
        let utc = i64::from_be_bytes(utc.as_ref().try_into().expect("eight bytes"));
        assert_eq!(utc + EPOCH_US, 1_605_024_000_000_001);
        assert_eq!(moment_of_number(&i64::MAX.to_be_bytes(), shanghai()), None);
    }
}
