//! Seeds of the link's targets.

use std::ops::Range;
use std::time::Duration;

use link::{Keys, LinkKey, LinkName, Opener, Segment, Sender, SenderOptions, SenderState};
use targets::input::Seed;

use super::{noise, write};

/// Datagrams, counters and losses, by lists of operations.
pub(super) fn link() {
    for at in 0..4_u64 {
        write("link_datagrams", &format!("noise-{at}"), &noise(at, 400));
        write("link_window", &format!("noise-{at}"), &noise(at + 50, 400));
        write("link_blocks", &format!("noise-{at}"), &noise(at + 90, 900));
    }
    datagrams();
    for at in 0..8_u8 {
        // Each kind of step, on and back, with its numbers small, large and at the window's edge.
        let steps =
            (0..60_u8).flat_map(|step| [at % 5, step.wrapping_mul(7), 0, 0, 0, step / 3 % 2]);
        write("link_window", &format!("steps-{at}"), &steps.collect::<Vec<u8>>());
        // Blocks of each size, with and without losses.
        let mut seed = Seed::default().put(&[at * 5, 0xe8, at, at % 4, 40]);
        for frame in 0..40_u8 {
            seed = seed.put(&[frame.wrapping_mul(37), at % 3, frame / 4 % 2]);
        }
        for datagram in 0..200_u8 {
            let lost = if at % 2 == 1 && datagram % (at + 2) == 0 { 3 } else { 0 };
            seed = seed.put(&[lost, if at > 4 { datagram.wrapping_mul(11) % 60 } else { 0 }]);
        }
        write("link_blocks", &format!("blocks-{at}"), &seed.0);
    }
}

/// What a sender says of frames, each in a symbol of its own, in blocks of four with a repair symbol,
/// and of those that go again.
fn bodies(frames: &[u64], again: Range<u64>) -> Vec<Vec<u8>> {
    let name = LinkName::new("seed").unwrap();
    let key = LinkKey::new(&[1; 32]);
    let mut options = SenderOptions { datagram_bytes: 300, ..SenderOptions::default() };
    options.blocks.symbols = 4;
    options.blocks.linger = Duration::ZERO;
    options.second_pass.share_percent = 0;
    let state = SenderState { session: 1 };
    let mut now = Duration::ZERO;
    let mut sender = Sender::new(options, &name, &key, state, [1; 8], now).unwrap();
    for number in frames {
        sender.push(now, &segment(), *number, b"frame").unwrap();
        sender.flush(now);
    }
    sender.resend(again).unwrap();
    let mut opener = Opener::new(&name, Keys::new(key, None).unwrap());
    let mut bodies = Vec::new();
    let mut out = Vec::new();
    while !sender.is_idle() {
        while sender.poll_datagram(now, 1_000, &mut out).unwrap() {
            let (_, plain) = opener.open(&mut out).unwrap();
            bodies.push(plain.to_vec());
        }
        if let Some(numbers) = sender.poll_again(now) {
            for number in numbers {
                sender.push_again(now, &segment(), number, b"frame").unwrap();
            }
            sender.again_done(now);
        }
        now = sender.next_due().max(now);
    }
    bodies
}

fn segment() -> Segment {
    Segment { epoch: 1, first_seq: 1, relay_name: "plant".to_owned(), ..Segment::default() }
}

fn datagrams() {
    let sealed = |seed: Seed, body: &Vec<u8>| seed.put(&[0, 1]).with(body);
    let all = |bodies: &[Vec<u8>]| bodies.iter().fold(Seed::default(), sealed);
    let sent = bodies(&[1, 2, 3, 4, 5, 6], 0..0);
    let in_order = all(&sent);
    write("link_datagrams", "in-order", &in_order.0);
    let second_pass = all(&bodies(&[1, 2, 5, 6], 3..5)).put(&[0, 6, 0xe8, 0x07]);
    write("link_datagrams", "second-pass", &second_pass.0);
    // One in four is lost, and mended; and a hole that isn't, whose time ends.
    for (name, lost) in [("repaired", 3), ("hole", 2)] {
        let left =
            sent.iter().enumerate().filter(|(at, _)| at % 4 != lost && (lost == 3 || *at < 7));
        let left: Vec<Vec<u8>> = left.map(|(_, body)| body.clone()).collect();
        write("link_datagrams", name, &all(&left).put(&[0, 6, 0xe8, 0x07]).0);
    }
    let replayed = in_order.clone().put(&[1, 3, 0, 0, 3, 0, 1, 3, 2, 0, 3, 9]);
    write("link_datagrams", "replayed", &replayed.0);
    let damaged = in_order.clone().put(&[0, 4, 1, 7, 1, 0, 4, 2, 0, 0]);
    write("link_datagrams", "damaged", &damaged.0);
    let restarted = in_order.clone().put(&[0, 5, 1, 0, 3, 2, 0, 3, 3]);
    write("link_datagrams", "receiver-restarted", &restarted.0);
    let session = bodies(&[4, 5, 9], 0..0);
    let session = session.iter().fold(in_order.clone().put(&[0, 5, 0]), sealed);
    write("link_datagrams", "session", &session.put(&[0, 3, 0]).0);
    let signs = all(&[[[5].as_slice(), &[0; 32]].concat(), vec![4, 5, 192, 4, 0, 0, 0, 0, 250]]);
    write("link_datagrams", "signs", &signs.0);
}
