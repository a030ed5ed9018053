//! The signals that end a build: passed on to the compiler, then died by.
//!
//! A handler can reach nothing but statics, so this module has the crate's only ones: the signal that came, how many came from
//! another process, and the child to tell. make and terminals expect a command that got SIGINT to die by SIGINT; and a wrapper that dies at once would leave its
//! scratch and the compiler behind (compiler-options.md, H).

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

static CAUGHT: AtomicI32 = AtomicI32::new(0);
static CHILD: AtomicI32 = AtomicI32::new(0);
static SENT: AtomicU32 = AtomicU32::new(0);

const FORWARDED: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

extern "C" fn note(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    CAUGHT.store(signal, Ordering::SeqCst);
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t.
    if !info.is_null() && unsafe { (*info).si_pid() } != 0 {
        SENT.fetch_add(1, Ordering::SeqCst);
    }
    let child = CHILD.load(Ordering::SeqCst);
    if child > 0 {
        // SAFETY: kill is async-signal-safe (signal-safety(7)); the child isn't reaped while its id stands here.
        unsafe { libc::kill(child, signal) };
    }
}

/// Begins to catch SIGINT, SIGTERM and SIGHUP; one that is ignored (nohup, a background job) stays ignored.
pub fn catch() {
    for signal in FORWARDED {
        // SAFETY: both structures are zeroed plain data that sigaction reads and fills; `note` is async-signal-safe.
        unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &mut old) == 0
                && old.sa_sigaction == libc::SIG_IGN
            {
                continue;
            }
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = note as *const () as libc::sighandler_t;
            new.sa_flags = libc::SA_SIGINFO;
            libc::sigemptyset(&mut new.sa_mask);
            // No SA_RESTART: waiting for a lock must end.
            libc::sigaction(signal, &new, std::ptr::null_mut());
        }
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Lets a write beyond the file size limit fail with EFBIG instead of ending us. A handler, unlike an ignored signal, is not
/// inherited by the compiler.
pub fn survive_file_size_limit() {
    // SAFETY: the structure is zeroed plain data; the handler does nothing.
    unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = nothing as *const () as libc::sighandler_t;
        libc::sigaction(libc::SIGXFSZ, &new, std::ptr::null_mut());
    }
}

/// The signal that came, if any.
pub fn caught() -> Option<i32> {
    match CAUGHT.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(signal),
    }
}

/// How many signals came from a process. Those that a terminal sends go to every process in front of it: nobody need pass
/// them on.
pub fn sent() -> u32 {
    SENT.load(Ordering::SeqCst)
}

/// Names the child that signals are passed on to; 0: none. One that came just before is passed on now.
pub fn set_child(pid: i32) {
    CHILD.store(pid, Ordering::SeqCst);
    if pid > 0
        && let Some(signal) = caught()
    {
        // SAFETY: plain system call on a child that isn't reaped yet.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Dies by `signal`, as the compiler did; where that can't be, exits with 128 + `signal` as a shell would say it.
pub fn die(signal: i32) -> ! {
    // SAFETY: plain system calls; the core limit keeps the compiler's core dump from being followed by one of ours.
    unsafe {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}
