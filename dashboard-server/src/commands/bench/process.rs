//! CPU time and memory as Linux tells them, and `tidemark serve` as a process of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// CPU time of this thread, in seconds.
///
/// # Errors
/// Where the system does not tell it.
pub(super) fn thread_seconds() -> anyhow::Result<f64> {
    // The count is brought up to date when the thread is scheduled, else only at every tick.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split(' ').next().context("no CPU time in schedstat")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

/// Clock ticks of `/proc/PID/stat` a second: fixed on Linux for all that read it.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU time of a process, user and system, in seconds.
///
/// # Errors
/// When there is no such process.
pub(super) fn process_seconds(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / TICKS_A_SECOND)
}

/// A line of `/proc/PID/status` in MiB: `VmRSS` or `VmHWM`.
fn mebibytes(process: u32, line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line))
        .context("no such line in status")?;
    let kibibytes: u64 =
        found.trim_start_matches(':').split_whitespace().next().unwrap_or("0").parse()?;
    Ok(kibibytes / 1_024)
}

/// Longest wait for a server.
const SERVER_WAIT: Duration = Duration::from_secs(300);

/// A running `tidemark serve`; killed when it is dropped.
pub(super) struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(super) address: String,
    /// When it was started.
    pub(super) began: Instant,
}

impl Server {
    /// Starts one over a topic, on a free port.
    ///
    /// # Errors
    /// When it does not say within a minute where it listens.
    pub(super) fn start(
        sql_dir: &Path,
        data_dir: &Path,
        (bootstrap, topic): (&str, &str),
    ) -> anyhow::Result<Self> {
        let config = data_dir.with_extension("toml");
        let text = format!(
            // What is measured is what the records on file were measured with.
            "[pipeline]\nhistory = \"off\"\nview-history-hours = 0\n[streams.orders]\ntopic = \"{topic}\"\n\"properties.bootstrap.servers\" = \"{bootstrap}\"\n"
        );
        std::fs::write(&config, text)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "serve",
                "--quiet",
                "--listen",
                "127.0.0.1:0",
                "--postgres",
                "",
                "--flight",
                "",
                "--config",
            ])
            .arg(&config)
            .arg("--sql-dir")
            .arg(sql_dir)
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let began = Instant::now();
        let mut said = child.stdout.take().context("no output")?;
        let mut text = Vec::new();
        let mut byte = [0_u8];
        while said.read(&mut byte)? == 1 && byte != [b'\n'] {
            text.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let address = text.split("http://").nth(1).map(str::trim).map(str::to_owned);
        let mut server = Self { child, address: String::new(), began };
        match address {
            Some(address) => server.address = address,
            None => bail!("tidemark serve did not start: {text}"),
        }
        Ok(server)
    }

    /// Waits until as many records are read as there are in the topic; `each` sees every count.
    ///
    /// # Errors
    /// When it does not come to that.
    pub(super) fn wait_for(&self, records: u64, mut each: impl FnMut(u64)) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let read = self.records_read().unwrap_or(0);
            each(read);
            if read >= records {
                return Ok(());
            }
            if began.elapsed() > SERVER_WAIT {
                bail!("after {SERVER_WAIT:?} only {read} of {records} records are read");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Records that the last cut has read, of all partitions.
    fn records_read(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let ask = "GET /api/views/record_accounting HTTP/1.0\r\nHost: localhost\r\n\r\n";
        stream.write_all(ask.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let body: serde_json::Value = serde_json::from_str(body)?;
        let rows = body["rows"].as_array().context("no rows")?;
        // 64-bit counts and decimals come as text.
        let read = rows.iter().map(|row| match &row["read"] {
            serde_json::Value::String(text) => text.parse().unwrap_or(0),
            other => other.as_u64().unwrap_or(0),
        });
        Ok(read.sum())
    }

    /// Its CPU time so far, in seconds.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        process_seconds(&self.child.id().to_string())
    }

    /// Resident memory now, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn resident_mib(&self) -> anyhow::Result<u64> {
        mebibytes(self.child.id(), "VmRSS")
    }

    /// The most memory it has had, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn peak_mib(&self) -> anyhow::Result<u64> {
        mebibytes(self.child.id(), "VmHWM")
    }
}

/// `kill -9`, which is also how a restart is measured.
impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}
