//! Writes a recording: never over an existing file, and never beyond a limit.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{CaptureError, Header, Record, VERSION};

/// Real traffic of a plant: for its owner alone.
const FILE_MODE: u32 = 0o600;

/// Whether there is room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Limit {
    /// Written.
    Below,
    /// Not written: the file would become larger than it may.
    Reached,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Writer<W: Write = File> {
    output: BufWriter<W>,
    path: PathBuf,
    /// Bytes that were written, and that may be.
    bytes: u64,
    max_bytes: u64,
    line: Vec<u8>,
}

/// The header as it is written.
#[derive(Serialize)]
struct RawHeader<'a> {
    #[serde(rename = "sparkdiode-capture")]
    version: u64,
    #[serde(rename = "made-by")]
    made_by: &'a str,
    relay: &'a str,
    broker: &'a str,
    started_ms: u64,
    filters: &'a [String],
    redacted: bool,
}

#[derive(Serialize)]
struct RawRecord<'a> {
    at_ms: u64,
    topic: &'a str,
    payload: String,
    qos: u8,
    retain: bool,
    dup: bool,
}

#[derive(Serialize)]
struct RawNote<'a> {
    at_ms: u64,
    note: &'a str,
}

/// Creates an empty file for a recording, to write and to read, with mode 0600. It must not exist.
///
/// # Errors
/// The file exists, or the operating system refuses.
pub fn create_file(path: &Path) -> Result<File, CaptureError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(FILE_MODE);
    options.open(path).map_err(|source| CaptureError::Os {
        verb: "create",
        path: path.to_owned(),
        source,
    })
}

impl<W: Write> Writer<W> {
    /// Writes a recording to `output`, which messages call `path`.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn new(
        path: &Path,
        output: W,
        header: &Header,
        max_bytes: u64,
    ) -> Result<Self, CaptureError> {
        let mut writer = Writer {
            output: BufWriter::new(output),
            path: path.to_owned(),
            bytes: 0,
            max_bytes: u64::MAX,
            line: Vec::new(),
        };
        let Header { made_by, relay, broker, started_ms, filters, redacted } = header;
        let _ = writer.put(&RawHeader {
            version: VERSION,
            made_by,
            relay,
            broker,
            started_ms: *started_ms,
            filters,
            redacted: *redacted,
        })?;
        writer.max_bytes = max_bytes;
        Ok(writer)
    }

    /// Appends a message.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&mut self, record: &Record) -> Result<Limit, CaptureError> {
        let Record { at_ms, topic, payload, qos, retain, dup } = record;
        let payload = STANDARD.encode(payload);
        self.put(&RawRecord {
            at_ms: *at_ms,
            topic,
            payload,
            qos: *qos,
            retain: *retain,
            dup: *dup,
        })
    }

    /// Appends what happened to the recorder.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn note(&mut self, at_ms: u64, note: &str) -> Result<Limit, CaptureError> {
        self.put(&RawNote { at_ms, note })
    }

    /// Bytes of the recording so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands everything to the operating system. A writer that is dropped does so too, but
    /// can't tell whether it worked.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.output.flush().map_err(|source| self.refused(source))
    }

    fn put(&mut self, line: &impl Serialize) -> Result<Limit, CaptureError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)
            .map_err(|error| self.refused(io::Error::other(error)))?;
        self.line.push(b'\n');
        let length = u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        let bytes = self.bytes.saturating_add(length);
        if bytes > self.max_bytes {
            return Ok(Limit::Reached);
        }
        self.output.write_all(&self.line).map_err(|source| self.refused(source))?;
        self.bytes = bytes;
        Ok(Limit::Below)
    }

    fn refused(&self, source: io::Error) -> CaptureError {
        CaptureError::Os { verb: "write", path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::{any, proptest};
    use proptest::prop_assert_eq;

    use super::super::Reader;
    use super::*;

    fn header() -> Header {
        Header {
            made_by: "sparkdiode test".into(),
            relay: "plant-a".into(),
            broker: "[::1]:8883".into(),
            started_ms: 1,
            filters: vec!["spBv1.0/+/NBIRTH/+".into()],
            redacted: true,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            topic in "\\PC{1,20}|[\\x00-\\x1f\"\\\\]{1,4}",
            payload: Vec<u8>,
            (at_ms, qos, retain, dup) in (any::<u64>(), 0_u8..3, any::<bool>(), any::<bool>()),
        ) {
            let record = Record { at_ms, topic, payload, qos, retain, dup };
            let mut file = Vec::new();
            let mut writer = Writer::new(Path::new("x"), &mut file, &header(), u64::MAX).unwrap();
            for _ in 0..2 {
                prop_assert_eq!(writer.write(&record).unwrap(), Limit::Below);
                prop_assert_eq!(writer.note(at_ms, "connection lost").unwrap(), Limit::Below);
            }
            let bytes = writer.bytes();
            drop(writer);
            prop_assert_eq!(bytes, file.len() as u64);
            let mut reader = Reader::new(Path::new("x"), file.as_slice()).unwrap();
            prop_assert_eq!(reader.header(), &header());
            let records: Vec<Record> = reader.by_ref().map(Result::unwrap).collect();
            prop_assert_eq!(records, [record.clone(), record]);
            prop_assert_eq!(reader.notes(), 2);
        }
    }

    #[test]
    fn an_existing_file_is_never_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.capture");
        drop(Writer::new(&path, create_file(&path).unwrap(), &header(), 1 << 20).unwrap());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&path).unwrap();
        let error = create_file(&path).unwrap_err();
        assert!(error.to_string().contains("file exists (17)"), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_recording_ends_below_its_limit_and_with_a_whole_line() {
        let mut file = Vec::new();
        let mut writer = Writer::new(Path::new("x"), &mut file, &header(), 500).unwrap();
        let record = Record { topic: "t".into(), payload: vec![7; 90], ..Record::default() };
        let written = (0..9).filter(|_| writer.write(&record).unwrap() == Limit::Below).count();
        drop(writer);
        assert!(file.len() <= 500 && (1..9).contains(&written), "{written}");
        let reader = Reader::new(Path::new("x"), file.as_slice()).unwrap();
        assert_eq!(reader.map(Result::unwrap).count(), written);
    }
}
