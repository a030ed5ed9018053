//! Who asks: the chain of processes above us, each with the thread that forked the next.
//!
//! setuptools builds one extension a thread, all in one process, so a process alone doesn't tell extensions apart. On Linux
//! `/proc/<pid>/task/<tid>/children` (proc(5), CONFIG_PROC_CHILDREN) lists the children that one thread forked, vfork and
//! posix_spawn included. When a thread ends, its children pass to another thread of the process; so the lineage is read first
//! thing, while whoever started us still waits for us.
//!
//! Elsewhere only our parent is known, without its threads: evidence falls back to the flags (DESIGN, section 5).

use std::io;

/// One ancestor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// Its process id.
    pub pid: u32,
    /// Its start, in clock ticks since boot; 0: unknown.
    pub start: u64,
    /// The thread of it that forked the next step towards us; 0: unknown.
    pub thread: u32,
    /// The start of that thread, in clock ticks since boot; 0: unknown.
    pub thread_start: u64,
}

impl Step {
    /// Whether both name the same process.
    pub fn same_process(&self, other: &Step) -> bool {
        self.pid == other.pid && self.start == other.start
    }

    /// Whether both are known to name the same thread of the same process.
    pub fn same_thread(&self, other: &Step) -> bool {
        self.same_process(other)
            && self.thread != 0
            && self.thread == other.thread
            && self.thread_start == other.thread_start
    }
}

/// Other objguards of the same thread that were at work when one began. If there are any, that thread doesn't wait for its
/// children in turn (make -j, an event loop), and the order of its claims proves little.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Beside {
    /// None.
    #[default]
    Nothing,
    /// Some.
    Others,
}

/// The chain of ancestors, nearest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lineage {
    /// Tells hosts, boots and pid namespaces apart: process ids of different ones don't compare.
    pub host: u64,
    /// When this wrapper began, ns of CLOCK_BOOTTIME.
    pub began: u64,
    /// What else of our parent's thread was at work when this wrapper began.
    pub beside: Beside,
    /// The ancestors, nearest first.
    pub steps: Vec<Step>,
}

/// More ancestors than this aren't looked at.
const DEPTH: usize = 24;

/// Now, ns of the clock that process start times are measured with.
pub fn boottime_ns() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec for the call to fill.
    unsafe { libc::clock_gettime(CLOCK, &mut now) };
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// Length of a clock tick of process start times, ns.
pub fn tick_ns() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000_000 / hz.max(1) as u64
}

#[cfg(target_os = "linux")]
mod platform {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    /// The chain above this process, which ends at what is hidden from us or gone.
    ///
    /// # Errors
    /// When something that is there can't be read, descriptors being short for one: a chain that lacks a thread would make a
    /// claim look like somebody else's.
    pub fn read() -> io::Result<Lineage> {
        let began = boottime_ns();
        let mut steps = Vec::with_capacity(8);
        let mut beside = Beside::Nothing;
        let mut buffer = Vec::with_capacity(1024);
        let mut child = std::process::id();
        // SAFETY: getppid and getsid have no preconditions.
        let (mut pid, mut session) = unsafe { (libc::getppid() as u32, libc::getsid(0) as u32) };
        while pid > 0 && steps.len() < DEPTH {
            let Some(stat) = seen(|| stat(&format!("/proc/{pid}/stat"), &mut buffer))? else {
                break;
            };
            // Orphans are adopted by init, which has not started them: their session isn't its. In a container the builder
            // itself may be init.
            if pid == 1 && stat.session != session {
                break;
            }
            session = stat.session;
            let mut step = Step {
                pid,
                start: stat.start,
                thread: 0,
                thread_start: 0,
            };
            let forked = if stat.threads == 1 && !steps.is_empty() {
                // Its only thread; what else an ancestor started isn't asked.
                Some((pid, Vec::new()))
            } else {
                forking_thread(pid, child, stat.threads, &mut buffer)?
            };
            if let Some((thread, siblings)) = forked {
                step.thread = thread;
                if thread != pid {
                    let path = format!("/proc/{pid}/task/{thread}/stat");
                    let stat = seen(|| super::platform::stat(&path, &mut buffer))?;
                    step.thread_start = stat.map_or(0, |s| s.start);
                }
                if steps.is_empty() && any_objguard(&siblings)? {
                    beside = Beside::Others;
                }
            }
            steps.push(step);
            if pid == 1 {
                break;
            }
            child = pid;
            pid = stat.parent;
        }
        Ok(Lineage {
            host: host()?,
            began,
            beside,
            steps,
        })
    }

    /// What a look at /proc gives; `None`: it is gone, or none of our business. What fails otherwise is tried once more.
    fn seen<T>(mut look: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
        match look().or_else(|e| if is_hidden(&e) { Err(e) } else { look() }) {
            Ok(found) => Ok(Some(found)),
            Err(e) if is_hidden(&e) || e.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn is_hidden(e: &io::Error) -> bool {
        e.raw_os_error() == Some(libc::ESRCH)
            || matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData
            )
    }

    /// Whether the process leads its session: a login shell, or the shell of a terminal.
    pub fn leads_a_session(pid: u32) -> bool {
        stat(&format!("/proc/{pid}/stat"), &mut Vec::new()).is_ok_and(|s| s.session == pid)
    }

    /// Whether the process is still there: the same one, not a later one of the same id, and no zombie.
    pub fn alive(pid: u32, start: u64) -> bool {
        let path = format!("/proc/{pid}/stat");
        match seen(|| stat(&path, &mut Vec::new())) {
            Ok(Some(s)) => s.start == start && s.state != b'Z' && s.state != b'X',
            Ok(None) => false,
            // Whoever can't be seen may live.
            Err(_) => true,
        }
    }

    /// The command name of a process, as ps(1) shows it: at most 15 bytes.
    pub fn name(pid: u32) -> Option<String> {
        let mut name = Vec::new();
        read_into(&format!("/proc/{pid}/comm"), &mut name).ok()?;
        Some(String::from_utf8_lossy(&name).trim_end().to_owned())
    }

    /// Whether a step's thread is still there. One that isn't known may be.
    pub fn thread_alive(step: &Step) -> bool {
        if step.thread == 0 || step.thread == step.pid {
            return true;
        }
        let path = format!("/proc/{}/task/{}/stat", step.pid, step.thread);
        match seen(|| stat(&path, &mut Vec::new())) {
            Ok(Some(s)) => s.start == step.thread_start,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    struct Stat {
        state: u8,
        parent: u32,
        session: u32,
        threads: u32,
        start: u64,
    }

    /// Fields of `/proc/<pid>/stat` (proc(5)): the command name may hold anything, so they are counted from the last `)`.
    fn stat(path: &str, buffer: &mut Vec<u8>) -> io::Result<Stat> {
        read_into(path, buffer)?;
        parse_stat(buffer).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse_stat(text: &[u8]) -> Option<Stat> {
        let end = text.iter().rposition(|b| *b == b')')?;
        let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let threads = fields.nth(13)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        Some(Stat {
            state,
            parent,
            session,
            threads,
            start,
        })
    }

    /// The thread of `pid` that forked `child`, and its other children.
    fn forking_thread(
        pid: u32,
        child: u32,
        threads: u32,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<(u32, Vec<u32>)>> {
        let mut look = |thread: u32| -> io::Result<Option<Vec<u32>>> {
            let path = format!("/proc/{pid}/task/{thread}/children");
            if seen(|| read_into(&path, buffer))?.is_none() {
                return Ok(None);
            }
            let mut found = false;
            let mut siblings = Vec::new();
            for word in buffer.split(|b| b.is_ascii_whitespace()) {
                match std::str::from_utf8(word).map(str::parse::<u32>) {
                    Ok(Ok(id)) if id == child => found = true,
                    Ok(Ok(id)) => siblings.push(id),
                    _ => {}
                }
            }
            Ok(found.then_some(siblings))
        };
        if threads <= 1 {
            return Ok(look(pid)?.map(|siblings| (pid, siblings)));
        }
        for thread in threads_of(pid)? {
            if let Some(siblings) = look(thread)? {
                return Ok(Some((thread, siblings)));
            }
        }
        Ok(None)
    }

    fn threads_of(pid: u32) -> io::Result<Vec<u32>> {
        let list = || -> io::Result<Vec<u32>> {
            let mut threads = Vec::new();
            for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
                let name = entry?.file_name();
                threads.extend(name.to_str().and_then(|n| n.parse::<u32>().ok()));
            }
            Ok(threads)
        };
        seen(list).map(Option::unwrap_or_default)
    }

    /// Whether one of these processes runs our own program.
    fn any_objguard(pids: &[u32]) -> io::Result<bool> {
        let of = |path: &str| seen(|| fs::metadata(path).map(|m| (m.dev(), m.ino())));
        if pids.is_empty() {
            return Ok(false);
        }
        let ours = of("/proc/self/exe")?;
        for pid in pids {
            let theirs = of(&format!("/proc/{pid}/exe"))?;
            if theirs.is_some() && theirs == ours {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn host() -> io::Result<u64> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = Vec::new();
        if seen(|| read_into("/proc/sys/kernel/random/boot_id", &mut buffer))?.is_some() {
            hasher.update(&buffer);
        }
        if let Some(meta) = seen(|| fs::metadata("/proc/self/ns/pid"))? {
            hasher.update(&meta.ino().to_le_bytes());
        }
        Ok(u64::from_le_bytes(
            hasher.finalize().as_bytes()[..8]
                .try_into()
                .expect("8 of 32 bytes"),
        ))
    }

    fn read_into(path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let mut file = File::open(path)?;
        let mut chunk = [0u8; 1024];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(()),
                n => buffer.extend_from_slice(&chunk[..n]),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_command_name_with_parentheses_and_spaces() {
            let line = b"42 (a) b (c) S 7 42 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 123456 0 0";
            let stat = parse_stat(line).unwrap();
            assert_eq!((stat.state, stat.parent, stat.session), (b'S', 7, 41));
            assert_eq!((stat.threads, stat.start), (3, 123456));
        }

        #[test]
        fn the_chain_begins_with_the_parent_and_lives() {
            let lineage = read().unwrap();
            // SAFETY: getppid has no preconditions.
            assert_eq!(lineage.steps[0].pid, unsafe { libc::getppid() } as u32);
            assert!(alive(lineage.steps[0].pid, lineage.steps[0].start));
            assert!(!alive(lineage.steps[0].pid, lineage.steps[0].start + 1));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::*;

    /// Our parent only; its start and threads are unknown.
    ///
    /// # Errors
    /// None.
    pub fn read() -> io::Result<Lineage> {
        // SAFETY: getppid has no preconditions.
        let pid = unsafe { libc::getppid() } as u32;
        let step = Step {
            pid,
            start: 0,
            thread: 0,
            thread_start: 0,
        };
        Ok(Lineage {
            host: 0,
            began: boottime_ns(),
            beside: Beside::Nothing,
            steps: vec![step],
        })
    }

    /// Not known.
    pub fn leads_a_session(_pid: u32) -> bool {
        false
    }

    /// Not known.
    pub fn name(_pid: u32) -> Option<String> {
        None
    }

    /// Whether a step's thread is still there: threads aren't known here, so it may be.
    pub fn thread_alive(_step: &Step) -> bool {
        true
    }

    /// Whether there is a process of that id.
    pub fn alive(pid: u32, _start: u64) -> bool {
        // SAFETY: signal 0 only asks.
        unsafe {
            libc::kill(pid as libc::pid_t, 0) == 0
                || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
        }
    }
}

pub use platform::{alive, leads_a_session, name, read, thread_alive};
