//! Seeds of the link's targets.

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

fn datagrams() {
    /// A source symbol with one frame of one byte.
    fn source(lane: u8, number: u8, frame: u8) -> Vec<u8> {
        let mut body = vec![lane, 0, 0, 0, 0, 0, 0, 0, number, 0, number];
        body.extend([0, 0, 1, 1, frame, frame]);
        body
    }
    let sealed = |seed: Seed, body: &[u8]| seed.put(&[0, 1]).with(body);
    let in_order = (0..6).fold(Seed::default(), |seed, at| sealed(seed, &source(0, at, at + 1)));
    write("link_datagrams", "in-order", &in_order.0);
    let hole = [0, 1, 4, 5].into_iter();
    let hole = hole.fold(Seed::default(), |seed, at| sealed(seed, &source(0, at, at + 1)));
    let hole = hole.put(&[0, 6, 0xe8, 0x07]);
    let again = [2, 3, 4].into_iter();
    let filled = again.fold(hole, |seed, at| sealed(seed, &source(1, at - 2, at + 1)));
    write("link_datagrams", "second-pass", &filled.0);
    let replayed = in_order.clone().put(&[1, 3, 0, 0, 3, 0, 1, 3, 2, 0, 3, 9]);
    write("link_datagrams", "replayed", &replayed.0);
    let damaged = in_order.clone().put(&[0, 4, 1, 7, 1, 0, 4, 2, 0, 0]);
    write("link_datagrams", "damaged", &damaged.0);
    let restarted = in_order.clone().put(&[0, 5, 1, 0, 3, 2, 0, 3, 3]);
    write("link_datagrams", "receiver-restarted", &restarted.0);
    let session = sealed(in_order.clone().put(&[0, 5, 0]), &source(0, 0, 9));
    write("link_datagrams", "session", &session.put(&[0, 3, 0]).0);
    let mut repair = vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0];
    repair.extend([6, 0, 0, 0, 1, 1, 5, 5]);
    write("link_datagrams", "copy", &sealed(Seed::default(), &repair).0);
    let heartbeat = [[5].as_slice(), &[0; 32]].concat();
    let signs = sealed(sealed(Seed::default(), &heartbeat), &[4, 5, 192, 4, 0, 0, 0, 0, 250]);
    write("link_datagrams", "signs", &signs.0);
}
