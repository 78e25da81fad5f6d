//! What comes over the one-way link: datagrams of anybody, of somebody with the key, again, late,
//! damaged, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use link::{
    Body, HEADER_BYTES, Header, Keys, LinkKey, LinkName, Opener, Output, Rates, Receiver,
    ReceiverOptions, ReceiverState, Sealer, Seen, Segment, Sender, SenderOptions, SenderState,
    SessionId, TAG_BYTES, Verdict, WINDOW, Window,
};

use crate::input::Input;

fn name() -> LinkName {
    LinkName::new("fuzzed").unwrap()
}

fn key() -> LinkKey {
    LinkKey::new(&[3; 32])
}

fn keys() -> Keys {
    Keys::new(key(), None).unwrap()
}

fn sealer(number: u64) -> Sealer {
    Sealer::new(&name(), &key(), SessionId { number, random: [number as u8; 8] })
}

/// A receiver between two paths: operations of the wire, of somebody with the key, and restarts.
///
/// - A header and a body that are read are the same when they are written.
/// - Bytes of somebody without the key, and damaged ones, are foreign.
/// - A datagram is taken once, whatever is played again, and whoever begins again.
/// - Each is in one count; frames hold no more than came, and have growing numbers unless they are
///   late; none comes twice.
pub fn link_datagrams(input: &[u8]) {
    if let Ok(header) = Header::decode(input) {
        let mut out = Vec::new();
        header.encode(&mut out);
        assert_eq!(out, &input[..HEADER_BYTES]);
    }
    if let Ok(body) = Body::decode(input) {
        let mut out = Vec::new();
        body.encode(&mut out);
        assert_eq!(out, input);
    }
    let options = ReceiverOptions {
        datagram_bytes: 600,
        paths: 2,
        max_blocks: 4,
        max_bytes: 2_000,
        max_frame_bytes: 200,
        ..ReceiverOptions::default()
    };
    let new =
        |state: ReceiverState, now| Receiver::new(options, &name(), keys(), state, now).unwrap();
    let mut input = Input::new(input);
    let mut now = Duration::ZERO;
    let mut state = ReceiverState::default();
    let mut receiver = new(state.clone(), now);
    let mut sealer_number = 1;
    let mut sealer = sealer(1);
    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut taken = BTreeSet::new();
    let mut came = 0_u64;
    let mut bytes_in = 0;
    let mut bytes_out = 0;
    let mut frames = BTreeSet::new();
    let mut last = None;
    while !input.is_empty() {
        let path = input.below(2);
        let mut datagram = Vec::new();
        let mut is_genuine = true;
        match input.below(7) {
            0 => {
                datagram = input.bytes().to_vec();
                is_genuine = false;
            }
            1 | 2 => {
                sealer.seal_raw(input.bytes(), &mut datagram).unwrap();
                sent.push(datagram.clone());
            }
            3 if !sent.is_empty() => datagram = sent[input.below(256) % sent.len()].clone(),
            4 if !sent.is_empty() => {
                datagram = sent[input.below(256) % sent.len()].clone();
                let bit = usize::from(input.short()) % (datagram.len() * 8);
                datagram[bit / 8] ^= 1 << (bit % 8);
                is_genuine = false;
            }
            5 => {
                // The sender, or the receiver, begins again.
                if input.below(2) == 0 {
                    sealer_number += 1;
                    sealer = self::sealer(sealer_number);
                } else {
                    receiver = new(state.clone(), now);
                    frames.clear();
                    last = None;
                    came = 0;
                }
                continue;
            }
            _ => {
                now += Duration::from_millis(u64::from(input.short()));
                receiver.tick(now);
                continue;
            }
        }
        came += 1;
        bytes_in += datagram.len();
        let known = datagram.clone();
        let verdict = receiver.handle_datagram(now, 0, path, &mut datagram);
        match verdict {
            Verdict::Foreign(_) => {
                let fits = (HEADER_BYTES + 1 + TAG_BYTES..=600).contains(&known.len());
                assert!(!is_genuine || !fits);
            }
            verdict => {
                assert!(is_genuine, "{verdict:?}");
                if matches!(verdict, Verdict::Taken | Verdict::Malformed) {
                    assert!(taken.insert(known), "taken twice");
                }
            }
        }
        receiver.tick(now);
        if let Some(stored) = receiver.state_to_store(now) {
            assert_eq!(receiver.poll_output(), None);
            state = ReceiverState::decode(&stored.encode()).unwrap();
            receiver.state_stored(now, stored);
        }
        while let Some(output) = receiver.poll_output() {
            match output {
                Output::Frame { number, bytes, late, .. } => {
                    assert!(bytes.len() <= 200);
                    bytes_out += bytes.len();
                    // Of numbers before the first that came, nothing is known.
                    let is_first = frames.insert(number);
                    let begin = frames.first().is_some_and(|first| number <= *first);
                    assert!(is_first || begin || late, "{number} twice");
                    assert!(late || last.is_none_or(|last| number > last));
                    last = if late { last } else { Some(number) };
                }
                Output::Session(_) | Output::Heartbeat(_) => {}
            }
        }
        assert_eq!(receiver.account().datagrams(), came);
        // A repair symbol stands for each of a block's: a few bytes more than came, restored.
        assert!(bytes_out <= bytes_in * 8, "{bytes_out} of {bytes_in}");
    }
}

/// The window of counters, beside a set.
pub fn link_window(input: &[u8]) {
    let mut input = Input::new(input);
    let lowest = u64::from(input.short());
    let mut window = Window::new(lowest);
    let mut seen = BTreeSet::new();
    let mut counter = lowest;
    while !input.is_empty() {
        let step = match input.below(5) {
            0 => u64::from(input.byte()),
            1 => u64::from(input.short()),
            2 => WINDOW - 128 + u64::from(input.byte()),
            3 => u64::from(input.word()) << input.below(32),
            _ => 1,
        };
        counter = if input.below(2) == 0 {
            counter.saturating_add(step)
        } else {
            counter.saturating_sub(step)
        };
        let highest = seen.last().copied().unwrap_or(0);
        let is_old = counter < lowest || (counter < highest && highest - counter >= WINDOW);
        let wanted = if is_old {
            Seen::TooOld
        } else if seen.insert(counter) {
            Seen::New
        } else {
            Seen::Before
        };
        assert_eq!(window.see(counter), wanted, "{counter}");
        assert_eq!(window.highest(), seen.last().copied());
    }
}

/// Sound blocks of a sender, of which the wire leaves some symbols, in any order.
///
/// - A frame comes out as it went in, and once.
/// - Where as many symbols of each block came as it has, all of them come out, in order.
pub fn link_blocks(input: &[u8]) {
    let mut input = Input::new(input);
    let mut options = SenderOptions {
        datagram_bytes: 256,
        rates: Rates { bytes_per_s: 1 << 40, packets_per_s: 1 << 40 },
        ..SenderOptions::default()
    };
    options.blocks.symbols = 1 + input.below(40);
    options.blocks.overhead_permille = u32::from(input.short()) % 2_001;
    options.blocks.min_repair = input.below(4);
    options.second_pass.share_percent = 0;
    let state = SenderState { session: 1 };
    let mut now = Duration::ZERO;
    let mut sender = Sender::new(options, &name(), &key(), state, [1; 8], now).unwrap();
    let mut datagrams = Vec::new();
    let mut drain = |sender: &mut Sender, now| {
        let mut out = Vec::new();
        while sender.poll_datagram(now, 0, &mut out).unwrap() {
            datagrams.push(out.clone());
        }
    };
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for _ in 0..input.below(64) {
        let bytes = vec![frames.len() as u8; usize::from(input.short()) % 700];
        let number = frames.len() as u64 + 1;
        sender.push(now, &Segment::default(), number, &bytes).unwrap();
        frames.push(bytes);
        if input.below(2) == 0 {
            sender.flush(now);
            drain(&mut sender, now);
        }
    }
    while !sender.is_idle() {
        sender.flush(now);
        drain(&mut sender, now);
        now = sender.next_due().max(now);
    }
    drain(&mut sender, now);
    // What is left of them, in an order of its own.
    let mut left = Vec::new();
    let mut needed: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for datagram in &datagrams {
        let (is_lost, moved) = (input.below(4) == 3, input.byte());
        let Some((first, source)) = block_of(datagram) else { continue };
        let block = needed.entry(first).or_default();
        block.0 = block.0.max(source);
        if !is_lost {
            block.1 += 1;
            let at = left.len() - usize::from(moved) % (left.len() + 1);
            left.insert(at, datagram.clone());
        }
    }
    let mut receiver = Receiver::new(
        ReceiverOptions { datagram_bytes: 256, ..ReceiverOptions::default() },
        &name(),
        keys(),
        ReceiverState::default(),
        now,
    )
    .unwrap();
    for datagram in &mut left {
        assert_eq!(receiver.handle_datagram(now, 0, 0, datagram), Verdict::Taken);
    }
    receiver.tick(now + Duration::from_secs(60));
    receiver.state_stored(now, receiver.state_to_store(now).unwrap_or_default());
    let mut came = BTreeSet::new();
    while let Some(output) = receiver.poll_output() {
        if let Output::Frame { number, bytes, .. } = output {
            assert_eq!(bytes, frames[number as usize - 1]);
            assert!(came.insert(number));
        }
    }
    // A block without any symbol isn't known to be missing: it isn't in there at all.
    if needed.values().all(|(source, there)| *source > 0 && there >= source) {
        assert_eq!(came.len(), frames.len(), "{needed:?}");
        assert_eq!(receiver.account().symbols_lost, 0);
    }
}

/// First symbol of the block, and how many source symbols it has as far as this says.
fn block_of(datagram: &[u8]) -> Option<(u64, usize)> {
    let mut datagram = datagram.to_vec();
    let mut opener = Opener::new(&name(), keys());
    let (_, plain) = opener.open(&mut datagram).unwrap();
    match Body::decode(plain).unwrap() {
        Body::Source(source) => {
            Some((source.number - u64::from(source.index), usize::from(source.index) + 1))
        }
        Body::Repair(repair) => Some((repair.first, usize::from(repair.source))),
        Body::Announcement(_) | Body::Heartbeat(_) => None,
    }
}
