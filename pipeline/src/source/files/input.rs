//! Bytes of one file or of standard input, a chunk at a time.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use flate2::read::MultiGzDecoder;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 256 * 1_024;

/// Chunks that wait between standard input and its reader; beyond, the sender of the pipe waits.
const CHUNKS_WAITING_MAX: usize = 4;

/// What [`Input::fill`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// The chunk holds new bytes.
    Some,
    /// Nothing came in time; only standard input says this.
    Pending,
    /// There is no more.
    End,
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.read.fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
        Ok(length)
    }
}

/// Where bytes come from.
pub(super) enum Input {
    /// A file, read where it is asked for; how much of it has been read, packed as it lies.
    File(Box<dyn Read + Send>, Arc<AtomicU64>),
    /// A pipe, read by a thread of its own so that a silent one does not hold up the reader.
    Pipe(Receiver<std::io::Result<Vec<u8>>>),
}

impl Input {
    /// Opens a file, unpacking it if its name ends in `.gz`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let file = Counted { file: File::open(path)?, read: Arc::clone(&read) };
        let is_packed =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let file: Box<dyn Read + Send> = match is_packed {
            true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            false => Box::new(file),
        };
        Ok(Self::File(file, read))
    }

    /// Bytes read of a file; 0 of a pipe.
    pub(super) fn bytes_read(&self) -> u64 {
        match self {
            Self::File(_, read) => read.load(Ordering::Relaxed),
            Self::Pipe(_) => 0,
        }
    }

    /// Reads `pipe` in a thread, which ends with the pipe or with this input.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn pipe(mut pipe: impl Read + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = bounded(CHUNKS_WAITING_MAX);
        let work = move || {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = retry(|| pipe.read(&mut chunk)).map(|length| {
                    chunk.truncate(length);
                    chunk
                });
                let is_last = !matches!(&read, Ok(chunk) if !chunk.is_empty());
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("tidemark-stdin".to_owned()).spawn(work)?;
        Ok(Self::Pipe(receiver))
    }

    /// Replaces the chunk's bytes by the next ones.
    ///
    /// # Errors
    /// When reading or unpacking fails.
    pub(super) fn fill(&mut self, chunk: &mut Vec<u8>, wait: Duration) -> std::io::Result<Filled> {
        let length = match self {
            Self::File(file, _) => {
                chunk.resize(CHUNK_BYTES, 0);
                let length = retry(|| file.read(chunk))?;
                chunk.truncate(length);
                length
            }
            Self::Pipe(receiver) => match receiver.recv_timeout(wait) {
                Ok(bytes) => {
                    *chunk = bytes?;
                    chunk.len()
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Filled::Pending),
                Err(RecvTimeoutError::Disconnected) => 0,
            },
        };
        Ok(if length == 0 { Filled::End } else { Filled::Some })
    }
}

fn retry(mut read: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
