//! Any bytes to the decoder, as JSON and as CSV: it answers, and a row is there or is not.
#![no_main]

// The decoder's own files, not a copy: `crate::model` and `crate::decode` are what they are in the pipeline.
#[path = "../../pipeline/src/model/mod.rs"]
#[allow(dead_code, unused_imports)]
mod model;
#[path = "../../pipeline/src/decode/mod.rs"]
#[allow(dead_code, unused_imports)]
mod decode;
#[path = "../../tests/src/feed.rs"]
mod feed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feed::feed(bytes));
