//! Looks at corrected records before they go back to the log: would the stream take them now?

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::build::decoder;
use crate::admit::Bounds;
use crate::decode::{Columns, Decoder};
use crate::model::{Record, RejectReason};
use crate::sql::StreamPlan;
use crate::sql::stream_plan::RefusedRows;

/// Judges corrected records of one stream one by one. Whether a record is a duplicate or too old for its
/// dedup horizon only the running pipeline knows.
#[derive(Debug)]
pub struct CorrectedRecords {
    plan: Arc<StreamPlan>,
    decoder: Decoder,
    columns: Columns,
}

impl CorrectedRecords {
    /// A judge of a stream's records.
    ///
    /// # Errors
    /// When the stream's columns cannot be decoded.
    pub fn new(plan: Arc<StreamPlan>) -> Result<Self, String> {
        let columns = Columns::new(Arc::clone(&plan.decoded)).map_err(|error| error.to_string())?;
        Ok(Self { decoder: decoder(&plan, None), columns, plan })
    }

    /// The key by which producers place the record; `None` where the stream or the record has none.
    ///
    /// # Errors
    /// Why the stream would reject the record again.
    pub fn key(
        &mut self,
        payload: &[u8],
        log_time: Option<i64>,
    ) -> Result<Option<Vec<u8>>, String> {
        let record = Record {
            partition: 0,
            offset: 0,
            timestamp_ms: log_time,
            headers: &[],
            key: None,
            payload,
        };
        let refused = |reason: RejectReason| reason.to_string();
        let maximum = self.plan.definition.record_bytes_max;
        if payload.len() > maximum {
            return Err(refused(RejectReason::TooLarge { bytes: payload.len(), maximum }));
        }
        self.decoder.decode(&record, &mut self.columns).map_err(refused)?;
        let decoded = self.columns.take().map_err(|error| error.to_string())?;
        let told = |error: datafusion::common::DataFusionError| error.strip_backtrace();
        let mut refused_rows = RefusedRows::new();
        let rows = self.plan.complete(&decoded, &mut refused_rows).map_err(told)?;
        for (holds, text) in self.plan.checked(&rows, &mut refused_rows).map_err(told)? {
            if !holds.is_null(0) && !holds.value(0) {
                return Err(format!("CHECK ({text}) does not hold"));
            }
        }
        if let Some(detail) = refused_rows.remove(&0) {
            return Err(detail);
        }
        let definition = &self.plan.definition;
        let bounds = Bounds {
            minimum_ms: definition.event_time_min_ms,
            max_future_skew_ms: definition.max_future_skew_ms,
        };
        if let Some(times) = self.plan.event_times(&rows).map_err(told)? {
            let Some(time) = times.first().copied().flatten() else {
                return Err("it has no event time".to_owned());
            };
            bounds.check(time, log_time).map_err(refused)?;
        }
        let Some(at) = definition.partition_key else { return Ok(None) };
        let keys = cast(rows.column(at), &DataType::Utf8).map_err(|error| error.to_string())?;
        let keys = keys.as_string::<i32>();
        Ok((!keys.is_null(0)).then(|| keys.value(0).as_bytes().to_vec()))
    }
}
