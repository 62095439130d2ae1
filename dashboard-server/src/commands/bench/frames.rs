//! From an event to the frame that has it: orders dated by the wall clock into Kafka at a steady rate, and
//! a viewer beside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{SinkExt as _, StreamExt as _};
use tidemark_pipeline::source::kafka_writer::KafkaWriter;
use tidemark_pipeline::source::writer::{LogWriter as _, NewRecord};
use tidemark_pipeline::sql::Catalog;
use tokio_tungstenite::tungstenite::Message;

use super::Bench;
use super::process::Server;
use super::records::{self, PARTITIONS};
use super::table::{Row, Table};

const ORDERS_A_SECOND: u64 = 50_000;
/// Orders are written in bursts of this long.
const TICK: Duration = Duration::from_millis(5);
/// The server is left to warm up for so long before frames count.
const WARM_UP: Duration = Duration::from_secs(3);

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Measures how old each tick is when the first frame that has it arrives.
///
/// # Errors
/// When the server or the brokers cannot be reached.
pub(super) fn measure(
    bench: &Bench,
    catalog: &Catalog,
    bootstrap: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let topic = format!("tidemark-bench-frames-{}", now_ms());
    let mut writer = KafkaWriter::open(&records::options(bootstrap, &topic), Some(PARTITIONS))?;
    let data_dir = bench.folder.path().join("frames");
    let server = Server::start(&bench.config.pipeline.sql_dir, &data_dir, (bootstrap, &topic))?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let producer = std::thread::spawn(move || produce(&mut writer, &stopping));
    let seconds = Duration::from_secs(bench.args.seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let frames = runtime.block_on(watch(&server.address, WARM_UP + seconds));
    stop.store(true, Ordering::Relaxed);
    let produced = producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    let mut ages = ages(&frames?);
    ages.sort_unstable();
    let at = |share: f64| ages.get((ages.len() as f64 * share) as usize).copied().unwrap_or(-1);
    let kept_up = produced as f64 / (WARM_UP + seconds).as_secs_f64();
    table.push(Row {
        what: format!(
            "event to frame at {ORDERS_A_SECOND} orders/s, {} views",
            catalog.views.len()
        ),
        records: produced,
        bytes: 0,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        figure: format!(
            "p50 {} ms, p99 {} ms, most {} ms",
            at(0.5),
            at(0.99),
            at(1.0 - f64::EPSILON)
        ),
        ratio: format!(
            "{kept_up:.0} orders/s were produced; {:.2} cores used",
            server.cpu_seconds()? / server.began.elapsed().as_secs_f64()
        ),
    });
    Ok(())
}

/// Writes orders until it is told to stop; how many.
fn produce(writer: &mut KafkaWriter, stop: &AtomicBool) -> anyhow::Result<u64> {
    let began = Instant::now();
    let mut written = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = began.elapsed().as_millis() as u64 * ORDERS_A_SECOND / 1_000;
        let now = now_ms();
        while written < due {
            let order = format!(
                "{{\"event_id\":\"e{written:015}\",\"order_id\":\"o{written:015}\",\"event_type\":\"paid\",\"event_time\":\"{now}\",\
                 \"buyer_id\":\"b{:09}\",\"province\":\"浙江\",\"city\":\"杭州\",\"category\":\"c{}\",\"brand\":\"brand-{}\",\
                 \"channel\":\"app\",\"platform\":\"ios\",\"amount\":129.90,\"currency\":\"CNY\",\"source\":\"shop-{}\",\"source_seq\":{written}}}",
                written % 1_000_000,
                written % 20,
                written % 500,
                written % 30
            );
            let key = format!("o{written:015}");
            writer.write(&NewRecord {
                partition: None,
                key: Some(key.as_bytes()),
                timestamp_ms: now,
                headers: &[],
                payload: order.as_bytes(),
            })?;
            written += 1;
        }
        std::thread::sleep(TICK);
    }
    writer.flush()?;
    Ok(written)
}

/// A frame: when it arrived, and the newest event it has.
type Frame = (i64, i64);

async fn watch(address: &str, length: Duration) -> anyhow::Result<Vec<Frame>> {
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{address}/api/ws")).await?;
    let subscribe = r#"{"type":"subscribe","views":["gmv_day"],"space":"live","last":1}"#;
    socket.send(Message::text(subscribe)).await?;
    let until = tokio::time::Instant::now() + length;
    let mut frames = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout_at(until, socket.next()).await {
        let Message::Text(text) = message? else { continue };
        let frame: serde_json::Value = serde_json::from_str(&text)?;
        if frame["type"] == "delta"
            && let Some(as_of) = frame["asOf"].as_i64()
        {
            frames.push((now_ms(), as_of));
        }
    }
    Ok(frames)
}

/// The age of every millisecond's orders at the first frame that has them.
fn ages(frames: &[Frame]) -> Vec<i64> {
    let warm =
        frames.first().map_or(0, |(at, _)| at + i64::try_from(WARM_UP.as_millis()).unwrap_or(0));
    let mut all = Vec::new();
    let mut seen = frames.first().map_or(0, |(_, as_of)| *as_of);
    for (at, as_of) in frames {
        if *at >= warm {
            all.extend((seen + 1..=*as_of).map(|event| at - event));
        }
        seen = seen.max(*as_of);
    }
    all
}
