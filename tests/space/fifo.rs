//! Hand-shakes: a FIFO through which a fake compiler or a script tells the test something, or is told.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

use super::PATIENCE;

/// One direction of a hand-shake; every line in it is one signal. The test keeps both ends open, so that nobody
/// blocks in `open` and a signal is kept until it is read.
pub struct Fifo {
    path: PathBuf,
    file: File,
}

impl Fifo {
    /// Makes the FIFO at `path`.
    pub fn new(path: PathBuf) -> Fifo {
        let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL in the path");
        // SAFETY: `name` is a C string that outlives the call.
        let made = unsafe { libc::mkfifo(name.as_ptr(), 0o666) };
        assert_eq!(
            made,
            0,
            "cannot make `{}`: {}",
            path.display(),
            std::io::Error::last_os_error()
        );
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK);
        let file = options
            .open(&path)
            .unwrap_or_else(|error| panic!("cannot open `{}`: {error}", path.display()));
        Fifo { path, file }
    }

    /// Lets one waiter go on.
    pub fn tell(&mut self) {
        self.file.write_all(b".\n").expect("the FIFO has room");
    }

    /// Waits for one signal.
    pub fn wait(&mut self) {
        let signal = self.poll(PATIENCE.as_millis() as i32);
        assert!(signal, "waited in vain for `{}`", self.path.display());
    }

    /// Whether a signal is there already; takes it.
    pub fn arrived(&mut self) -> bool {
        self.poll(0)
    }

    fn poll(&mut self, milliseconds: i32) -> bool {
        let start = Instant::now();
        loop {
            let mut ready = libc::pollfd {
                fd: self.file.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            let left = i64::from(milliseconds) - start.elapsed().as_millis() as i64;
            // SAFETY: one valid pollfd, and its count is 1.
            let found = unsafe { libc::poll(&mut ready, 1, left.max(0) as i32) };
            if found == 1 {
                let mut byte = [0];
                // Whoever writes a line writes it at once, so its end is there when its start is.
                while self.file.read_exact(&mut byte).is_ok() {
                    if byte[0] == b'\n' {
                        return true;
                    }
                }
            }
            if left <= 0 {
                return false;
            }
        }
    }
}
