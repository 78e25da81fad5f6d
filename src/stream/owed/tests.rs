//! Answers, asked for and not.

use super::*;

fn owed(written: &[&[u8]]) -> Owed {
    let mut owed = Owed::default();
    owed.watch();
    owed.wrote(&written.concat());
    owed
}

fn answered(owed: &mut Owed, whole: &[u8]) -> Answer {
    owed.answered(whole.to_vec(), 2)
}

fn as_it_is(whole: &[u8]) -> Answer {
    Answer::GoesOn(whole.to_vec(), None)
}

/// A CONNECT without a will.
fn connect(flags: u8) -> Vec<u8> {
    [&[0x10, 13, 0, 4], &b"MQTT"[..], &[4, flags, 0, 60, 0, 1, b'x']].concat()
}

const SUBSCRIBE_TWO: &[u8] = &[0x82, 10, 0, 7, 0, 1, b'a', 1, 0, 1, b'b', 1];

#[test]
fn what_was_asked_for_goes_on_once() {
    let publish = [0x32, 6, 0, 1, b't', 0, 9, b'!'];
    let unsubscribe = [0xa2, 5, 0, 8, 0, 1, b'a'];
    let plain = [0x30, 4, 0, 1, b't', b'!'];
    let mut owed = owed(&[&connect(0), &publish, SUBSCRIBE_TWO, &plain, &unsubscribe]);
    for (answer, odd) in [
        (&[0x20, 2, 1, 0][..], Odd::SecondConnack),
        (&[0x90, 4, 0, 7, 1, 0x80], Odd::Unasked("a SUBACK", 7)),
        (&[0x40, 2, 0, 9], Odd::Unasked("a PUBACK", 9)),
        (&[0xb0, 2, 0, 8], Odd::Unasked("an UNSUBACK", 8)),
    ] {
        assert_eq!(answered(&mut owed, answer), as_it_is(answer));
        assert_eq!(answered(&mut owed, answer), Answer::SteppedOver(odd));
    }
    for (answer, odd) in [
        (&[0x40, 2, 0, 1][..], Odd::Unasked("a PUBACK", 1)),
        (&[0x50, 2, 0, 1], Odd::Unasked("a PUBREC", 1)),
        (&[0x70, 2, 0, 1], Odd::Unasked("a PUBCOMP", 1)),
        (&[0x40, 1, 0], Odd::WithoutIdentifier("a PUBACK")),
        (&[0x90, 0], Odd::WithoutIdentifier("a SUBACK")),
    ] {
        assert_eq!(answered(&mut owed, answer), Answer::SteppedOver(odd));
    }
    // Again with the same identifier.
    owed.wrote(&publish);
    assert!(owed.settles(&[0x40, 2, 0, 9]));
    assert!(!owed.settles(&[0x40, 2, 0, 9]));
}

#[test]
fn codes_for_another_number_of_filters_are_mended() {
    for (codes, mended) in [(&[][..], [0x80, 0x80]), (&[1], [1, 0x80]), (&[0x80, 1, 1], [0x80, 1])]
    {
        let mut owed = owed(&[SUBSCRIBE_TWO]);
        let came = [&[0x90, 2 + codes.len() as u8, 0, 7], codes].concat();
        let wanted = [&[0x90, 4, 0, 7][..], &mended].concat();
        let odd = Odd::Codes { wanted: 2, got: codes.len() };
        assert_eq!(answered(&mut owed, &came), Answer::GoesOn(wanted, Some(odd)));
    }
}

#[test]
fn a_session_is_not_kept_where_none_was_asked_for_and_reserved_flags_count_for_nothing() {
    for (flags, came, goes_on) in [
        (0, [1, 0], [1, 0]),
        (CLEAN, [1, 0], [0, 0]),
        (0, [0xff, 0], [1, 0]),
        (0, [1, 5], [0, 5]),
        (CLEAN, [0, 2], [0, 2]),
    ] {
        let mut owed = owed(&[&connect(flags)]);
        let answer = answered(&mut owed, &[&[0x20, 2][..], &came].concat());
        assert_eq!(answer, as_it_is(&[&[0x20, 2][..], &goes_on].concat()), "{came:?}");
    }
    // In MQTT 5: others judge that.
    let five = [0x20, 3, 1, 0x87, 0];
    assert_eq!(answered(&mut owed(&[&connect(0)]), &five), as_it_is(&five));
}

#[test]
fn reasons_behind_an_identifier_are_left_out() {
    let mut owed = owed(&[&[0x32, 5, 0, 1, b't', 0, 9]]);
    assert!(!owed.settles(&[0x40, 3, 0, 9, 0x10]));
    assert_eq!(answered(&mut owed, &[0x40, 3, 0, 9, 0x10]), as_it_is(&[0x40, 2, 0, 9]));
    assert_eq!(answered(&mut owed, &[0xd0, 1, 0]), as_it_is(&[0xd0, 0]));
}

#[test]
fn where_it_is_not_known_what_was_written_everything_goes_on() {
    let unasked = [0x40, 2, 0, 1];
    assert_eq!(answered(&mut Owed::default(), &unasked), as_it_is(&unasked));
    let mut lost = owed(&[&[0x32, 50, 0, 1]]);
    assert!(!lost.wants(PUBACK, 2));
    assert_eq!(answered(&mut lost, &unasked), as_it_is(&unasked));
    let mut exactly_once = owed(&[&[0x34, 5, 0, 1, b't', 0, 9]]);
    assert_eq!(answered(&mut exactly_once, &[0x50, 2, 0, 9]), as_it_is(&[0x50, 2, 0, 9]));
}
