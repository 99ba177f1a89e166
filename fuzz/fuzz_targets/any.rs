//! All targets: one program, for linking burn and tract sixteen times is slow.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: genre_transfer_fuzz::begin(),
    |data: &[u8]| genre_transfer_fuzz::run(data)
);
