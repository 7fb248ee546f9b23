#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mpfork_tests::fuzz::configuration(data));
