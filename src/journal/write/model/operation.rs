//! What can happen to a journal and its readers.

use proptest::prelude::*;

pub(super) const READERS: usize = 3;

#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Push this many frames with payloads of this size.
    Push {
        frames: u8,
        payload_bytes: u16,
    },
    Commit,
    /// Begin a segment with this many keyframes, asked for or not.
    Segment {
        keyframes: u8,
    },
    Retain,
    /// Commit, but die after a part of the bytes (in 1/65536); `garbage` follows on the disk.
    KillInCommit {
        part: u16,
        garbage: Vec<u8>,
    },
    /// Die while a head is being written.
    KillInHead {
        bytes: Vec<u8>,
    },
    /// The reader polls up to this often.
    Poll {
        reader: usize,
        polls: u8,
    },
    /// The reader starts anew where it was.
    Resume {
        reader: usize,
    },
    Reopen {
        reader: usize,
        oldest: bool,
    },
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let garbage = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(any::<u8>(), 1..40),
        1 => (1..40_usize).prop_map(|bytes| vec![0; bytes]),
    ];
    let reader = 0..READERS;
    prop_oneof![
        6 => (1..6_u8, prop_oneof![4 => 0..200_u16, 1 => any::<u16>()])
            .prop_map(|(frames, payload_bytes)| Operation::Push { frames, payload_bytes }),
        5 => Just(Operation::Commit),
        1 => (0..4_u8).prop_map(|keyframes| Operation::Segment { keyframes }),
        2 => Just(Operation::Retain),
        2 => (any::<u16>(), garbage)
            .prop_map(|(part, garbage)| Operation::KillInCommit { part, garbage }),
        1 => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| Operation::KillInHead { bytes }),
        8 => (reader.clone(), 1..20_u8).prop_map(|(reader, polls)| Operation::Poll { reader, polls }),
        1 => reader.clone().prop_map(|reader| Operation::Resume { reader }),
        1 => (reader, any::<bool>())
            .prop_map(|(reader, oldest)| Operation::Reopen { reader, oldest }),
    ]
}
