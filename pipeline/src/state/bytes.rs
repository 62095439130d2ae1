//! Numbers and byte strings, written and read in order: little-endian, lengths before contents.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// Appends values.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What has been written.
    pub bytes: Vec<u8>,
}

impl Encoder {
    /// Appends a number.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a number.
    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a number that may be absent.
    pub fn optional(&mut self, value: Option<i64>) {
        self.u64(u64::from(value.is_some()));
        self.i64(value.unwrap_or(0));
    }

    /// Appends how many of something follow.
    pub fn count(&mut self, count: usize) {
        self.u64(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Appends a byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Appends rows as Arrow IPC.
    ///
    /// # Errors
    /// When Arrow cannot write them.
    pub fn rows(&mut self, rows: &RecordBatch) -> Result<(), String> {
        let mut out = Vec::new();
        let write = || -> Result<(), arrow::error::ArrowError> {
            let mut writer = StreamWriter::try_new(&mut out, &rows.schema())?;
            writer.write(rows)?;
            writer.finish()
        };
        let mut write = write;
        write().map_err(|error| error.to_string())?;
        drop(write);
        self.bytes(&out);
        Ok(())
    }
}

/// Reads values in the order in which they were written.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Begins at the front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next bytes, as many as these.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        match self.rest.split_at_checked(count) {
            Some((front, rest)) => {
                self.rest = rest;
                Ok(front)
            }
            None => Err(format!("ends {} bytes early", count - self.rest.len())),
        }
    }

    /// The next number of 32 bits.
    ///
    /// # Errors
    /// At the end.
    pub fn u32(&mut self) -> Result<u32, String> {
        let mut raw = [0; 4];
        raw.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(raw))
    }

    /// The next number.
    ///
    /// # Errors
    /// At the end.
    pub fn u64(&mut self) -> Result<u64, String> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(raw))
    }

    /// The next number.
    ///
    /// # Errors
    /// At the end.
    pub fn i64(&mut self) -> Result<i64, String> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.take(8)?);
        Ok(i64::from_le_bytes(raw))
    }

    /// The next number of 128 bits.
    ///
    /// # Errors
    /// At the end.
    pub fn i128(&mut self) -> Result<i128, String> {
        let mut raw = [0; 16];
        raw.copy_from_slice(self.take(16)?);
        Ok(i128::from_le_bytes(raw))
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next number that may be absent.
    ///
    /// # Errors
    /// At the end.
    pub fn optional(&mut self) -> Result<Option<i64>, String> {
        let present = self.u64()? == 1;
        let value = self.i64()?;
        Ok(present.then_some(value))
    }

    /// How many of something follow; each takes at least a byte, so a damaged count is noticed.
    ///
    /// # Errors
    /// When there cannot be as many.
    pub fn count(&mut self) -> Result<usize, String> {
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        if count > self.rest.len() {
            return Err(format!("says {count} where {} bytes are left", self.rest.len()));
        }
        Ok(count)
    }

    /// The next byte string.
    ///
    /// # Errors
    /// At the end.
    pub fn bytes(&mut self) -> Result<&'a [u8], String> {
        let count = self.count()?;
        self.take(count)
    }

    /// The next text.
    ///
    /// # Errors
    /// When it is no UTF-8.
    pub fn text(&mut self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|error| error.to_string())
    }

    /// The next rows.
    ///
    /// # Errors
    /// When they are not one Arrow IPC batch.
    pub fn rows(&mut self) -> Result<RecordBatch, String> {
        let bytes = self.bytes()?;
        let mut reader =
            StreamReader::try_new(Cursor::new(bytes), None).map_err(|error| error.to_string())?;
        match reader.next() {
            Some(rows) => rows.map_err(|error| error.to_string()),
            None => Ok(RecordBatch::new_empty(Arc::clone(&reader.schema()))),
        }
    }
}
