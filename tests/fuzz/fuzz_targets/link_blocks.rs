#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::link_blocks(input));
