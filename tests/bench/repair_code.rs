//! Repair codes for the link, beside each other: reed-solomon-simd and raptorq, at block sizes from
//! one symbol to 1,024. What is encoded at a quarter of overhead, and decoded where as much is lost as
//! a code can mend; and how often exactly as many symbols as the block has are enough.

use std::hint::black_box;
use std::time::{Duration, Instant};

use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, SourceBlockDecoder, SourceBlockEncoder,
    SourceBlockEncodingPlan,
};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use serde_json::{Value, json};

use crate::options::Options;
use crate::table;

/// Source symbols of a block.
const SYMBOLS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];
/// What fits into a datagram of 1,500 bytes.
const SYMBOL_BYTES: usize = 1_400;
/// Blocks of which as many symbols as they have arrive, drawn at random.
const TRIES: usize = 200;

/// Bytes of payload per second, and how many of [`TRIES`] were decoded.
struct Figures {
    encode: f64,
    decode: f64,
    decoded: usize,
}

pub(crate) fn run(options: &Options) -> Value {
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for k in SYMBOLS {
        let repair = k.div_ceil(4);
        for (code, measure) in [
            ("reed-solomon-simd", reed_solomon as fn(usize, usize, Duration) -> Figures),
            ("raptorq", raptor_q),
        ] {
            let figures = measure(k, repair, options.stretch / 4);
            let gigabits = |bytes: f64| format!("{:.2}", bytes * 8.0 / 1e9);
            rows.push(vec![
                k.to_string(),
                repair.to_string(),
                code.to_owned(),
                gigabits(figures.encode),
                gigabits(figures.decode),
                format!("{} of {TRIES}", figures.decoded),
            ]);
            results.push(json!({
                "k": k, "repair": repair, "code": code,
                "encode_bytes_per_s": figures.encode, "decode_bytes_per_s": figures.decode,
                "decoded_with_k": figures.decoded, "tries": TRIES,
            }));
        }
    }
    table::print(
        "repair codes, Gb/s of source symbols of 1,400 bytes",
        &["k", "repair", "code", "encode Gb/s", "decode Gb/s", "decoded with any k"],
        &rows,
    );
    json!(results)
}

fn reed_solomon(k: usize, repair: usize, stretch: Duration) -> Figures {
    let source = source(k);
    let mut encoder = ReedSolomonEncoder::new(k, repair, SYMBOL_BYTES).unwrap();
    let mut encode = || {
        for symbol in &source {
            encoder.add_original_shard(symbol).unwrap();
        }
        let result = encoder.encode().unwrap();
        result.recovery_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let encode_rate = rate(k, stretch, &mut encode);
    let repaired = encode();
    let mut decoder = ReedSolomonDecoder::new(k, repair, SYMBOL_BYTES).unwrap();
    let mut decode = |present: &[usize]| {
        for &index in present {
            if index < k {
                decoder.add_original_shard(index, &source[index]).unwrap();
            } else {
                decoder.add_recovery_shard(index - k, &repaired[index - k]).unwrap();
            }
        }
        let result = decoder.decode().unwrap();
        result.restored_original_iter().all(|(index, symbol)| symbol == source[index])
    };
    let worst: Vec<usize> = (repair.min(k)..k + repair.min(k)).collect();
    let decode_rate = rate(k, stretch, &mut || decode(&worst));
    let mut random = Random(1);
    let decoded = (0..TRIES).filter(|_| decode(&random.draw(k + repair, k))).count();
    Figures { encode: encode_rate, decode: decode_rate, decoded }
}

fn raptor_q(k: usize, repair: usize, stretch: Duration) -> Figures {
    let data: Vec<u8> = source(k).concat();
    let layout =
        ObjectTransmissionInformation::new(data.len() as u64, SYMBOL_BYTES as u16, 1, 1, 1);
    let plan = SourceBlockEncodingPlan::generate(k as u16);
    let encode = || {
        let encoder = SourceBlockEncoder::with_encoding_plan(0, &layout, &data, &plan);
        encoder.repair_packets(0, repair as u32)
    };
    let encode_rate = rate(k, stretch, &mut || encode());
    let encoder = SourceBlockEncoder::with_encoding_plan(0, &layout, &data, &plan);
    let packets: Vec<EncodingPacket> =
        encoder.source_packets().into_iter().chain(encode()).collect();
    let decode = |present: &[usize]| {
        let mut decoder = SourceBlockDecoder::new(0, &layout, data.len() as u64);
        let decoded = decoder.decode(present.iter().map(|index| packets[*index].clone()));
        decoded.is_some_and(|decoded| decoded == data)
    };
    let worst: Vec<usize> = (repair.min(k)..k + repair.min(k)).collect();
    let decode_rate = rate(k, stretch, &mut || decode(&worst));
    let mut random = Random(1);
    let decoded = (0..TRIES).filter(|_| decode(&random.draw(k + repair, k))).count();
    Figures { encode: encode_rate, decode: decode_rate, decoded }
}

/// Symbols that differ.
fn source(k: usize) -> Vec<Vec<u8>> {
    let mut random = Random(k as u64);
    (0..k).map(|_| (0..SYMBOL_BYTES).map(|_| random.next() as u8).collect()).collect()
}

/// Bytes of source symbols that `work` gets through in a second.
fn rate<T>(k: usize, stretch: Duration, work: &mut dyn FnMut() -> T) -> f64 {
    black_box(work());
    let begin = Instant::now();
    let mut blocks = 0_u32;
    while begin.elapsed() < stretch {
        black_box(work());
        blocks += 1;
    }
    f64::from(blocks) * (k * SYMBOL_BYTES) as f64 / begin.elapsed().as_secs_f64()
}

/// xorshift: the same draws each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// `wanted` of the numbers below `end`.
    fn draw(&mut self, end: usize, wanted: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..end).collect();
        for at in 0..wanted {
            let other = at + self.next() as usize % (end - at);
            all.swap(at, other);
        }
        all.truncate(wanted);
        all
    }
}
