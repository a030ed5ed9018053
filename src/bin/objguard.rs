//! The user's command.

fn main() {
    let words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    objguard::wrapper::prefixed(&words)
}
