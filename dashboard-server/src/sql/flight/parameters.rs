//! Values of parameters as Arrow sends them: one row.

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use datafusion::scalar::ScalarValue;
use futures::{Stream, TryStreamExt as _};
use tonic::Status;

use super::status::of_flight;

/// The values of one row. A stream without columns or rows is of a statement without parameters.
///
/// # Errors
/// When there are several rows, or more bytes than `bytes_max`.
pub(super) async fn one_row(
    sent: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    bytes_max: usize,
) -> Result<Vec<ScalarValue>, Status> {
    let sent = sent.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(sent);
    let mut row = None;
    while let Some(batch) = batches.try_next().await.map_err(of_flight)? {
        if batch.get_array_memory_size() > bytes_max {
            return Err(Status::resource_exhausted(format!(
                "the parameters have more than {bytes_max} bytes (sql.statement-bytes-max)"
            )));
        }
        match batch.num_rows() {
            0 => {}
            1 if row.is_none() => row = Some(values(&batch)?),
            _ => {
                return Err(Status::invalid_argument(
                    "a statement takes one row of parameters at a time",
                ));
            }
        }
    }
    Ok(row.unwrap_or_default())
}

fn values(batch: &RecordBatch) -> Result<Vec<ScalarValue>, Status> {
    let value = |column: &ArrayRef| {
        let value = ScalarValue::try_from_array(column, 0).map_err(|error| {
            Status::invalid_argument(format!("a parameter cannot be read: {error}"))
        })?;
        Ok(plain(value))
    };
    batch.columns().iter().map(value).collect()
}

/// A value as our rules about parameters know it, however its client packs it.
fn plain(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => ScalarValue::Utf8(text),
        ScalarValue::Dictionary(_, of) => plain(*of),
        // What a client cannot know the type of it sends as one of several.
        ScalarValue::Union(Some((_, of)), ..) => plain(*of),
        other => other,
    }
}
