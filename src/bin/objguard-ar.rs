//! The archiver's wrapper: `AR=objguard-ar`.

// `cargo test` brings a main of its own.
#![cfg_attr(not(test), no_main)]

#[cfg(not(test))]
use std::ffi::{c_char, c_int};

/// What the C library calls: see `objguard::start`.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library passes what `main` gets, and calls it before anything of ours.
    unsafe { objguard::start::wrapper(argc, argv) }
}
