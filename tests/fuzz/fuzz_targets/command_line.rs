#![no_main]

#[path = "../../properties/invariants.rs"]
#[allow(dead_code, reason = "each target has one of its functions")]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::command_line(data));
