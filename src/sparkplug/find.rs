//! The sequence number and the time of a payload that can't be read as a whole.

use super::wire::Cursor;

/// Key of `seq`: field 3, a varint.
const SEQ: u64 = 3 << 3;
const TIMESTAMP: u64 = 1 << 3;

/// The `seq` of a payload, as far as its outermost fields can be told from each other: what is wrong
/// inside of a metric doesn't hide it.
pub fn find_seq(bytes: &[u8]) -> Option<u64> {
    find(bytes, SEQ)
}

/// The timestamp of a payload, in milliseconds since the epoch (UTC), found in the same way.
pub fn find_timestamp(bytes: &[u8]) -> Option<u64> {
    find(bytes, TIMESTAMP)
}

fn find(bytes: &[u8], wanted: u64) -> Option<u64> {
    let mut cursor = Cursor::new(bytes);
    let mut found = None;
    while !cursor.is_empty() {
        let Ok(key) = cursor.key() else { break };
        if key == wanted {
            match cursor.varint() {
                Ok(number) => found = Some(number),
                Err(_) => break,
            }
        } else if cursor.skip(key, 0).is_err() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_behind_what_cannot_be_read() {
        // A metric with a name that isn't UTF-8, then `seq`.
        let bytes = [0x12, 0x03, 0x0a, 0x01, 0xff, 0x18, 0x96, 0x01];
        assert_eq!(find_seq(&bytes), Some(150));
        assert_eq!(find_seq(&bytes[..6]), None, "cut short");
        assert_eq!(find_seq(b"\x18\x07\xff\xff"), Some(7), "what follows is nothing");
        assert_eq!(find_seq(b"\xff\x18\x07"), None);
        assert_eq!(find_seq(b""), None);
        assert_eq!(find_timestamp(b"\x12\x03\x0a\x01\xff\x08\x96\x01\x18\x07"), Some(150));
        assert_eq!(find_timestamp(&bytes), None);
    }
}
