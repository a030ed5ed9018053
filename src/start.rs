//! How the wrappers start: `main` as C knows it, without what Rust does before its own.
//!
//! Rust installs a handler that names a stack overflow. For that glibc reads `/proc/self/maps` and parses it with `sscanf`: 100,000
//! instructions, a fifth of what a skip takes. Without it an overflow dies of SIGSEGV all the same. The rest of what Rust
//! does is done here: the three standard descriptors are open, so that no file of ours takes their numbers, and SIGPIPE is
//! ignored, so that a closed pipe is an error of `write` ([`crate::process::say`]).

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use crate::wrapper;

/// The wrapper, from C's `main`.
///
/// # Safety
/// `argv` has `argc` C strings, as C's `main` gets them; nothing of Rust has run yet.
pub unsafe fn wrapper(argc: c_int, argv: *const *const c_char) -> ! {
    open_standard_descriptors();
    // SAFETY: no other thread runs, and no handler is replaced that anybody waits for.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let count = usize::try_from(argc).unwrap_or(0);
    let words = (0..count).map(|n| {
        // SAFETY: the caller says that there are so many C strings.
        let word = unsafe { CStr::from_ptr(*argv.add(n)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    });
    let words: Vec<OsString> = words.collect();
    wrapper::main(&words)
}

/// Opens `/dev/null` for those of the descriptors 0 to 2 that are closed.
fn open_standard_descriptors() {
    for fd in 0..3 {
        // SAFETY: both calls take any number, and the path is a C string.
        unsafe {
            let closed = libc::fcntl(fd, libc::F_GETFD) == -1
                && std::io::Error::last_os_error().raw_os_error() == Some(libc::EBADF);
            // The lowest that is free, so this one.
            if closed && libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) == -1 {
                libc::abort();
            }
        }
    }
}
