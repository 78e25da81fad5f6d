//! Recordings of `sparkdiode capture`, which people edit and hand around.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sparkplug::Caps;
use tools::capture::redact::{Redacted, redact};
use tools::capture::{Header, Limit, Reader, Record, Writer};

const HEADER: &str = "{\"sparkdiode-capture\":1}\n";

/// Reads any bytes as a recording, and any bytes as the lines of one.
///
/// - A record is what its line says, read by another reader of JSON.
/// - Written again, the records read the same, and nothing else is there.
/// - A redacted payload has no value left, and redacted again it stays as it is.
/// - A reader that met an error has ended.
pub fn capture(input: &[u8]) {
    recording(input);
    recording(&[HEADER.as_bytes(), input, b"\n"].concat());
}

fn recording(text: &[u8]) {
    let path = Path::new("fuzz.capture");
    let Ok(mut reader) = Reader::new(path, text) else { return };
    let header = reader.header().clone();
    let mut records = Vec::new();
    // Terminates: every record is a line.
    while let Some(Ok(record)) = reader.next() {
        records.push(record);
    }
    assert!(reader.next().is_none(), "it goes on behind its end");
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(records.len() < lines && reader.notes() < lines as u64);
    says_the_same(text, &records);
    let written = write(path, &header, &records);
    let mut again = Reader::new(path, written.as_slice()).expect("what was written");
    assert_eq!(again.header(), &header);
    let read: Vec<Record> = again.by_ref().map(|record| record.expect("a record")).collect();
    assert_eq!(read, records);
    for record in &records {
        redacted(&record.payload);
    }
}

/// The lines with a topic, read by themselves, are the records; behind an error there may be more.
fn says_the_same(text: &[u8], records: &[Record]) {
    let lines = text.split(|byte| *byte == b'\n').skip_while(|line| line.trim_ascii().is_empty());
    let values = lines.skip(1).map_while(|line| match line.trim_ascii() {
        [] => Some(Value::Null),
        line => serde_json::from_slice::<Value>(line).ok(),
    });
    let messages = values.filter(|value| value["topic"].is_string());
    for (record, message) in records.iter().zip(messages) {
        assert_eq!(Value::from(record.at_ms), message["at_ms"]);
        assert_eq!(Value::from(&*record.topic), message["topic"]);
        assert_eq!(Value::from(STANDARD.encode(&record.payload)), message["payload"]);
        assert_eq!(u64::from(record.qos), message["qos"].as_u64().unwrap_or(0));
        assert_eq!(record.retain, message["retain"].as_bool().unwrap_or(false));
        assert_eq!(record.dup, message["dup"].as_bool().unwrap_or(false));
    }
}

fn write(path: &Path, header: &Header, records: &[Record]) -> Vec<u8> {
    let mut written = Vec::new();
    let mut writer = Writer::new(path, &mut written, header, u64::MAX).expect("memory");
    for record in records {
        assert_eq!(writer.write(record).expect("memory"), Limit::Below);
    }
    writer.flush().expect("memory");
    drop(writer);
    written
}

fn redacted(payload: &[u8]) {
    let caps = Caps::default();
    let (once, how) = redact(payload, &caps);
    if how == Redacted::Emptied {
        assert!(once.is_empty());
        return;
    }
    let (twice, _) = redact(&once, &caps);
    assert_eq!(twice, once, "a second redaction finds something");
}
