//! Reads a recording, line by line, in constant memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use foreign::ForeignError;
use serde::Deserialize;

use super::{CaptureError, Header, MAX_LINE_BYTES, Record, VERSION};

/// A recording that is being read: an iterator over its records. After an error it ends.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    notes: u64,
    over: bool,
}

/// The header as it is written.
#[derive(Deserialize)]
struct RawHeader {
    #[serde(rename = "sparkdiode-capture")]
    version: u64,
    #[serde(default, rename = "made-by")]
    made_by: String,
    #[serde(default)]
    relay: String,
    #[serde(default)]
    broker: String,
    #[serde(default)]
    started_ms: u64,
    #[serde(default)]
    filters: Vec<String>,
    #[serde(default)]
    redacted: bool,
}

/// Any later line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    at_ms: u64,
    topic: Option<String>,
    payload: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    dup: bool,
    note: Option<String>,
}

impl Reader<BufReader<File>> {
    /// Opens the recording at `path` and reads its header. It may lie where somebody else writes.
    ///
    /// # Errors
    /// The file can't be read, isn't a regular one, or isn't a recording.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        // Of any size: it is read line by line.
        let file = foreign::open_named(path, u64::MAX).map_err(|error| match error {
            ForeignError::Os { verb, path, source } => CaptureError::Os { verb, path, source },
            error => CaptureError::Foreign(error),
        })?;
        Reader::new(path, BufReader::new(file))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a recording from `input`, which messages call `path`.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(path: &Path, input: R) -> Result<Self, CaptureError> {
        let mut lines = Lines { input, path: path.to_owned(), line: 0, buffer: Vec::new() };
        let not_a_capture =
            |detail: String| CaptureError::NotACapture { path: path.to_owned(), detail };
        let first = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Err(not_a_capture("it is empty".to_owned())),
            // A large binary file has no line ends, and isn't a long line of ours.
            Err(CaptureError::TooLong { .. } | CaptureError::Torn { .. }) => {
                return Err(not_a_capture("it has no lines".to_owned()));
            }
            Err(error) => return Err(error),
        };
        let raw: RawHeader =
            serde_json::from_slice(first).map_err(|error| not_a_capture(error.to_string()))?;
        if raw.version != VERSION {
            return Err(CaptureError::Version { path: path.to_owned(), found: raw.version });
        }
        let RawHeader { version: _, made_by, relay, broker, started_ms, filters, redacted } = raw;
        let header = Header { made_by, relay, broker, started_ms, filters, redacted };
        Ok(Reader { lines, header, notes: 0, over: false })
    }

    /// Where the recording comes from.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Notes of the recorder so far: connections that were lost and made again.
    pub fn notes(&self) -> u64 {
        self.notes
    }

    /// The line (from 1) of the record that was returned last.
    pub fn line(&self) -> u64 {
        self.lines.line
    }

    fn read(&mut self) -> Result<Option<Record>, CaptureError> {
        // Terminates: every turn takes a line of a finite file.
        loop {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            let raw = serde_json::from_slice::<RawLine>(line).map_err(|error| error.to_string());
            match raw.and_then(record) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => self.notes = self.notes.saturating_add(1),
                Err(detail) => {
                    let Lines { path, line, .. } = &self.lines;
                    return Err(CaptureError::Line { path: path.clone(), line: *line, detail });
                }
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.read().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// `Ok(None)` is a note.
fn record(raw: RawLine) -> Result<Option<Record>, String> {
    let (topic, payload) = match (raw.topic, raw.payload, raw.note) {
        (Some(topic), Some(payload), None) => (topic, payload),
        (None, None, Some(_)) => return Ok(None),
        (None, _, _) => return Err("missing field `topic`".to_owned()),
        (_, None, _) => return Err("missing field `payload`".to_owned()),
        (Some(_), _, Some(_)) => return Err("a message can't have a `note`".to_owned()),
    };
    if raw.qos > 2 {
        return Err(format!("`qos` must be 0, 1 or 2: {}", raw.qos));
    }
    let payload = STANDARD.decode(payload).map_err(|error| format!("`payload`: {error}"))?;
    let RawLine { at_ms, qos, retain, dup, .. } = raw;
    Ok(Some(Record { at_ms, topic, payload, qos, retain, dup }))
}

/// Lines of capped length, counted.
#[derive(Debug)]
struct Lines<R> {
    input: R,
    path: PathBuf,
    /// Of the line returned last, from 1.
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end. Empty lines are passed over.
    fn next(&mut self) -> Result<Option<&[u8]>, CaptureError> {
        loop {
            self.buffer.clear();
            let mut input = (&mut self.input).take(MAX_LINE_BYTES);
            let count = input.read_until(b'\n', &mut self.buffer).map_err(|source| {
                CaptureError::Os { verb: "read", path: self.path.clone(), source }
            })?;
            if count == 0 {
                return Ok(None);
            }
            self.line = self.line.saturating_add(1);
            let (path, line) = (self.path.clone(), self.line);
            if self.buffer.pop_if(|last| *last == b'\n').is_none() {
                let full = u64::try_from(count).is_ok_and(|count| count >= MAX_LINE_BYTES);
                return Err(match full {
                    true => CaptureError::TooLong { path, line },
                    false => CaptureError::Torn { path, line },
                });
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(&self.buffer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const HEADER: &str = "{\"sparkdiode-capture\":1}\n";

    fn open(text: &str) -> Result<Reader<Cursor<Vec<u8>>>, CaptureError> {
        Reader::new(Path::new("a.capture"), Cursor::new(text.as_bytes().to_vec()))
    }

    fn read(lines: &str) -> Result<Vec<Record>, CaptureError> {
        open(&format!("{HEADER}{lines}"))?.collect()
    }

    #[test]
    fn a_file_written_by_hand_needs_time_topic_and_payload() {
        let records = read("\n{\"at_ms\":7,\"topic\":\"a/b\",\"payload\":\"AQI=\"}\n").unwrap();
        let wanted =
            Record { at_ms: 7, topic: "a/b".into(), payload: vec![1, 2], ..Record::default() };
        assert_eq!(records, [wanted]);
    }

    #[test]
    fn notes_are_counted_and_passed_over() {
        let text = format!("{HEADER}{{\"at_ms\":1,\"note\":\"connection lost\"}}\n");
        let mut reader = open(&text).unwrap();
        assert!(reader.next().is_none());
        assert_eq!(reader.notes(), 1);
    }

    #[test]
    fn a_bad_line_is_named_and_ends_the_reading() {
        for (line, wanted) in [
            ("{}", "missing field `at_ms`"),
            ("{\"at_ms\":1,\"payload\":\"\"}", "missing field `topic`"),
            ("{\"at_ms\":1,\"topic\":\"t\"}", "missing field `payload`"),
            ("{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"*\"}", "`payload`: "),
            ("{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\",\"qos\":3}", "`qos` must be 0, 1 or 2"),
            ("{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\",\"x\":3}", "unknown field `x`"),
            ("{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\",\"note\":\"\"}", "can't have a `note`"),
            ("nonsense", "expected"),
        ] {
            let good = "{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\"}\n";
            let mut reader = open(&format!("{HEADER}{good}{line}\n{good}")).unwrap();
            assert!(reader.next().unwrap().is_ok());
            let error = reader.next().unwrap().unwrap_err().to_string();
            assert!(error.starts_with("a.capture:3: not a record: "), "{error}");
            assert!(error.contains(wanted), "{error}");
            assert!(reader.next().is_none());
        }
    }

    #[test]
    fn what_was_torn_by_a_kill_is_told_after_the_records_before_it() {
        let good = "{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\"}\n";
        let mut reader = open(&format!("{HEADER}{good}{}", good.trim_end())).unwrap();
        assert!(reader.next().unwrap().is_ok());
        let error = reader.next().unwrap().unwrap_err();
        assert!(matches!(error, CaptureError::Torn { line: 3, .. }), "{error}");
    }

    #[test]
    fn other_files_and_versions_are_refused() {
        for text in ["", "\n", "{}\n", "[[rule]]\n", "no line end", "{\"at_ms\":1}\n"] {
            let error = open(text).unwrap_err();
            assert!(matches!(error, CaptureError::NotACapture { .. }), "{text:?}: {error}");
        }
        let error = open("{\"sparkdiode-capture\":2}\n").unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    /// An endless line, made on the fly.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut_off_at_the_cap() {
        let input = Cursor::new(HEADER.as_bytes()).chain(Endless);
        let input = BufReader::with_capacity(1 << 20, input);
        let mut reader = Reader::new(Path::new("a"), input).unwrap();
        let error = reader.next().unwrap().unwrap_err();
        assert!(matches!(error, CaptureError::TooLong { line: 2, .. }), "{error}");
        assert!(reader.lines.buffer.len() as u64 <= MAX_LINE_BYTES);
    }
}
