#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::it_connection_five(input));
