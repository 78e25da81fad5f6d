//! Tests of `session`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use proptest::prelude::{any, proptest};

use super::{Edge, ReceiverState, SenderState, SessionsExhausted, StateError};
use crate::datagram::SessionId;

fn edge(key: u32, number: u64) -> Edge {
    Edge { key, session: SessionId { number, random: [3; 8] }, edge: 77 }
}

#[test]
fn a_session_number_never_goes_back() {
    let mut stored = None;
    let mut before = 0;
    // Clocks that stand, go back, jump and come to their end.
    for wall_ms in [0, 0, 1_000, 5, 0, 2_000_000, 1_999_999, 2_000_001] {
        let next = SenderState::next(stored, wall_ms).unwrap();
        assert!(next.session > before);
        before = next.session;
        stored = Some(SenderState::decode(&next.encode()).unwrap());
    }
    assert_eq!(
        SenderState::next(Some(SenderState { session: u64::MAX }), 0),
        Err(SessionsExhausted)
    );
    // A state that was lost goes on above what it was.
    assert!(SenderState::next(None, 2_000_003).unwrap().session > before);
}

#[test]
fn what_is_damaged_is_no_state() {
    let mut state = ReceiverState::default();
    state.set(edge(1, 5));
    state.set(edge(2, 6));
    for bytes in [state.encode(), SenderState { session: 9 }.encode()] {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(ReceiverState::decode(&damaged).is_err(), "{at}");
                assert!(SenderState::decode(&damaged).is_err(), "{at}");
            }
            assert!(ReceiverState::decode(&bytes[..at]).is_err(), "{at}");
            assert!(SenderState::decode(&bytes[..at]).is_err(), "{at}");
        }
    }
    assert_eq!(SenderState::decode(&state.encode()), Err(StateError::Magic));
    assert_eq!(SenderState::decode(&SenderState { session: 0 }.encode()), Err(StateError::Content));
    let twice = ReceiverState(vec![edge(1, 5), edge(1, 6)]);
    assert_eq!(ReceiverState::decode(&twice.encode()), Err(StateError::Content));
    let many = ReceiverState((0..5).map(|key| edge(key, 5)).collect());
    assert_eq!(ReceiverState::decode(&many.encode()), Err(StateError::Length));
}

#[test]
fn a_key_has_one_edge() {
    let mut state = ReceiverState::default();
    assert_eq!(state.highest(), None);
    state.set(edge(1, 5));
    state.set(edge(2, 4));
    state.set(edge(2, 6));
    assert_eq!(state.highest(), Some(edge(2, 6)));
    assert_eq!(state.edges().len(), 2);
    state.retain(|key| key == 1);
    assert_eq!(state.highest(), Some(edge(1, 5)));
}

proptest! {
    #[test]
    fn states_are_read_as_they_were_written(session in 1..=u64::MAX, edges: [(u64, [u8; 8], u64); 3]) {
        let state = SenderState { session };
        assert_eq!(SenderState::decode(&state.encode()), Ok(state));
        let mut state = ReceiverState::default();
        for (key, (number, random, edge)) in (0..).zip(edges) {
            state.set(Edge { key, session: SessionId { number, random }, edge });
        }
        assert_eq!(ReceiverState::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn any_bytes_are_no_state(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        assert!(ReceiverState::decode(&bytes).is_err());
        assert!(SenderState::decode(&bytes).is_err());
    }
}
